#!/usr/bin/env python3
"""How little memory www serves with: numbers that are configured are the most,
and each kind of thing has its share of what there is (include/fata/config.h).
"""
import os
import time

from lib import (FATA, GUEST, PREFIX, ROOT, Namespace, Process, connect, image,
                 need, need_namespaces, request, run, site_file, skip, test)

SECONDS = 1.5
PAGES = [(name, site_file(name)) for name in
         sorted(os.listdir(os.path.join(ROOT, "examples/www/site")))]


def started(ns, target, mib):
    image("www", target)
    return Process(FATA, "run", "-t", target, f"--mem={mib}", "--net",
                   "tap:tap0", "--", f"--ipv4={GUEST}/{PREFIX}", namespace=ns,
                   cwd=os.path.join(ROOT, "build/images/www"))


def answers(ns, process, at_once):
    """Have every page served, over connections that are open together."""
    with ns.inside():
        sockets = [connect(GUEST, 80, process) for _ in range(at_once)]
    turn = 0
    end = time.monotonic() + SECONDS
    while turn < len(PAGES) or time.monotonic() < end:
        wanted = [PAGES[(turn + i) % len(PAGES)] for i in range(at_once)]
        # All of them ask before the first is listened to.
        for s, (name, _) in zip(sockets, wanted):
            s.sendall(f"GET /{name} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        for s, (name, body) in zip(sockets, wanted):
            status, _, got = request(s, "")
            assert status == 200 and got == body, (name, status, len(got))
        turn += 1
    for s in sockets:
        s.close()


def serves(target, mib, at_once):
    ns = Namespace()
    ns.tap()
    process = started(ns, target, mib)
    try:
        answers(ns, process, at_once)
    except (AssertionError, OSError) as error:
        raise AssertionError(f"with {mib} MiB: {process.output()}") from error
    finally:
        process.stop()


@test
def spt_serves_64_at_once_with_4_mib_and_some_with_2():
    serves("spt", 4, 64)
    serves("spt", 2, 32)


@test
def virtio_serves_64_at_once_with_4_mib_and_some_with_2():
    need("qemu-system-x86_64")
    serves("virtio", 4, 64)
    serves("virtio", 2, 32)


@test
def hvt_serves_64_at_once_with_4_mib_and_some_with_2():
    # Where there is none, test/e2e/hvt_test.py has one that is emulated.
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        skip("there is no /dev/kvm here")
    serves("hvt", 4, 64)
    serves("hvt", 2, 32)


run(need_namespaces)
