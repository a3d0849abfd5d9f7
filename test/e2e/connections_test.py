#!/usr/bin/env python3
"""100,000 connections come and go, and www's memory does not grow.

# test: limit 400
"""
import os
import re

from lib import (GUEST, PREFIX, ROOT, Namespace, connect, need_namespaces,
                 rss_kb, run, start, test)

CLIENT = os.path.join(ROOT, "build/test/connections")
WARM_UP, COUNT, WIDTH = 100000, 100000, 64
GROWTH_KB = 256  # a leak of 3 bytes in each connection is more


@test
def memory_does_not_grow_over_100000_connections():
    namespace = Namespace()
    namespace.tap("tap0")
    namespace.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=1024 65000")
    server = start("www", "spt", f"--ipv4={GUEST}/{PREFIX}", "--log=*:error",
                   namespace=namespace, net="tap:tap0")
    with namespace.inside():
        connect(GUEST, 80, server).close()
    tender = server.find("fata-spt")

    def visit(count):
        result = namespace.run(CLIENT, GUEST, "80", str(count), str(WIDTH),
                               timeout=360, check=False)
        answered, failed = map(int, re.findall(r"\d+", result.stdout)[:2])
        assert (answered, failed) == (count, 0), \
            result.stdout + server.output()

    # Bounded tables fill in the warm-up. That of TIME_WAIT takes that long,
    # for a client that comes again from the same port frees its old entry.
    visit(WARM_UP)
    before = rss_kb(tender)
    visit(COUNT)
    after = rss_kb(tender)
    assert after - before <= GROWTH_KB, f"{before} KB, then {after} KB"


run(need_namespaces)
