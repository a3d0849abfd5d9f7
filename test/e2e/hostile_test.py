#!/usr/bin/env python3
"""What a hostile network must not do to a unikernel, seen from beside it: its
memory under floods, other people's clients beside crowds, other people's tools
at what it sends.

AUDIT_SECONDS=10 makes every flood that long: `make soak` does so.

# test: limit 600
"""
import json
import os
import re
import socket
import threading
import time

from lib import (FATA, GUEST, PREFIX, Capture, Namespace, command, connect,
                 need, need_namespaces, receive, request, rss_kb, run,
                 site_file, start, test)

SECONDS = os.environ.get("AUDIT_SECONDS", "1")
GET = "GET / HTTP/1.1\r\nHost: www\r\n\r\n"
FLOODS = ("synflood", "ackflood", "pingflood", "frag_flood", "arp_flood",
          "one_byte_ooo", "malformed", "option_lengths")


def setup():
    need_namespaces()


class Guest:
    """An example over a tap of its own."""

    def __init__(self, name, target, port, *arguments):
        self.namespace = Namespace()
        self.namespace.tap("tap0")
        self.server = start(name, target, f"--ipv4={GUEST}/{PREFIX}",
                            *arguments, namespace=self.namespace,
                            net="tap:tap0")
        with self.namespace.inside():
            connect(GUEST, port, self.server).close()
        program = "fata-spt" if target == "spt" else f"{name}.{target}"
        self.pid = self.server.find(program)
        assert self.pid, self.server.children()

    def connect(self, port=80):
        with self.namespace.inside():
            return connect(GUEST, port, self.server)

    def audit(self, *names, more=()):
        """Run these cases; every one must pass."""
        words = [word for name in names for word in ("--case", name)]
        result = self.namespace.run(
            FATA, "audit", GUEST, "--json", "--seconds", SECONDS, "--rate",
            "50000", *words, *more, check=False, timeout=500)
        found = json.loads(result.stdout)
        bad = [(case["name"], case["verdict"], case["seen"])
               for case in found["cases"] if case["verdict"] != "PASS"]
        assert not bad and self.server.running(), (bad, self.server.output())
        return {case["name"]: case["seen"] for case in found["cases"]}

    def stop(self):
        assert self.server.running(), self.server.output()
        self.server.stop()


@test
def memory_does_not_grow_with_floods():
    for target in ("spt", "unix"):
        guest = Guest("www", target, 80)
        guest.audit(*FLOODS)
        # What there is was touched by now; more of the same takes no more.
        first = rss_kb(guest.pid)
        guest.audit(*FLOODS)
        second = rss_kb(guest.pid)
        assert second - first <= 2048, (target, first, second)
        assert second < 100 * 1024, (target, second)
        guest.stop()


@test
def another_client_is_served_beside_10000_with_slow_headers():
    guest = Guest("www", "spt", 80)
    stop, times, wrong = threading.Event(), [], []

    def fetch():
        while not stop.is_set():
            begun = time.monotonic()
            try:
                with guest.connect() as s:
                    status, _, body = request(s, GET)
                if status != 200 or body != site_file("index.html"):
                    wrong.append(status)
            except OSError as error:
                wrong.append(error)
            times.append(time.monotonic() - begun)
            time.sleep(0.05)

    # A client of the kernel's, beside the ones that the audit has itself.
    client = threading.Thread(target=fetch)
    client.start()
    try:
        seen = guest.audit("slow_headers", more=("--connections", "10000"))
    finally:
        stop.set()
        client.join()
    crowd = int(re.search(r"beside (\d+) slow", seen["slow_headers"]).group(1))
    assert crowd >= 9000, seen
    assert len(times) >= 10 and len(wrong) * 100 <= len(times), \
        (len(times), wrong[:5])
    assert sorted(times)[len(times) // 2] < 0.5, sorted(times)[-5:]
    guest.stop()


@test
def a_reader_that_is_slow_gets_it_all_from_a_kernel_that_is_fast():
    guest = Guest("echo", "unix", 7)
    data = os.urandom(600000)
    with guest.connect(7) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sender = threading.Thread(target=s.sendall, args=(data,))
        sender.start()
        back = bytearray()
        for _ in range(100):  # the windows shut on both ways
            back += receive(s, 1024)
            time.sleep(0.01)
        back += receive(s, len(data) - len(back))
        sender.join()
    assert bytes(back) == data
    guest.stop()


@test
def tshark_finds_nothing_malformed_in_what_it_sends():
    need("tshark", "tcpdump")
    guest = Guest("www", "unix", 80)
    # Not what quotes our own malformed packets: those are.
    with Capture(guest.namespace, words=f"src host {GUEST}",
                 whole=True) as capture:
        guest.audit("rst", "syn_est", "ack_range", "outside_window",
                    "small_window", "window_shrink", "mss_floor", "optimistic",
                    "sack_lies", "partial_overlap", "ooo_wrap", "frag",
                    "big_ping", "xmas", "closed_port", "time_wait")
    assert capture.count("ip") > 200
    # Streams are not joined: what was sent again overlaps, as it should.
    found = command("tshark", "-r", capture.file,
                    "-o", "ip.check_checksum:TRUE",
                    "-o", "tcp.desegment_tcp_streams:FALSE", "-Y",
                    "_ws.malformed || ip.checksum.status == 0",
                    timeout=120)
    lines = [line for line in found.stdout.splitlines()
             if "Running as user" not in line and line.strip()]
    assert not lines, lines[:10]
    guest.stop()


@test
def nmap_finds_what_listens_and_numbers_that_cannot_be_guessed():
    need("nmap")
    guest = Guest("www", "spt", 80)
    for scan in ("-sN", "-sF", "-sX"):
        result = guest.namespace.run("nmap", "-n", "-Pn", scan, "-p", "80,81",
                                     GUEST, timeout=120)
        assert re.search(r"80/tcp\s+open\|filtered", result.stdout), \
            result.stdout
        assert re.search(r"81/tcp\s+closed", result.stdout), result.stdout
    result = guest.namespace.run("nmap", "-n", "-Pn", "-O", "-v", "-p",
                                 "80,81", GUEST, timeout=200)
    match = re.search(r"TCP Sequence Prediction: Difficulty=(\d+)",
                      result.stdout)
    assert match and int(match.group(1)) >= 200, result.stdout
    guest.stop()


run(setup)
