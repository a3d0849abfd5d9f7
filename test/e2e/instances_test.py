#!/usr/bin/env python3
"""fata run --instances: several of one unikernel behind one address, on unix
and spt, against clients of this machine."""
import os
import re
import signal
import socket
import threading
import time

from lib import (FATA, GUEST, HOST, PREFIX, ROOT, Capture, Namespace, Process,
                 connect, need, need_namespaces, receive, run, sha256,
                 site_file, test)

COUNT = 3
groups = {}


class Group:
    """Instances of an example at a tap of several queues."""

    def __init__(self, name, target, count=COUNT, queues=True, arguments=()):
        self.namespace = Namespace()
        kind = ("multi_queue",) if queues else ()
        self.namespace.ip("tuntap", "add", "dev", "tap0", "mode", "tap", *kind)
        self.namespace.up("tap0", f"{HOST}/{PREFIX}")
        self.process = Process(
            FATA, "run", "-t", target, "--instances", str(count), "--net",
            "tap:tap0", "--", *(arguments or (f"--ipv4={GUEST}/{PREFIX}",)),
            namespace=self.namespace,
            cwd=os.path.join(ROOT, "build/images", name))
        self.program = "fata-spt" if target == "spt" else f"{name}.unix"

    def connect(self, port):
        with self.namespace.inside():
            return connect(GUEST, port, self.process)

    def pids(self):
        found = []
        for pid in self.process.children():
            try:
                exe = os.path.basename(os.readlink(f"/proc/{pid}/exe"))
            except OSError:
                continue
            if exe == self.program:
                found.append(pid)
        return found

    def wait_up(self):
        end = time.monotonic() + 30
        while len(re.findall(r"address 10\.77", self.process.output())) < COUNT:
            assert self.process.running(), self.process.output()
            assert time.monotonic() < end, self.process.output()
            time.sleep(0.02)
        return self

    def served(self):
        """CPU ticks and reads of each instance, to see who does the work."""
        counts = []
        for pid in self.pids():
            with open(f"/proc/{pid}/io", encoding="utf-8") as f:
                counts.append(int(re.search(r"syscw: (\d+)", f.read())[1]))
        return counts


def setup():
    need_namespaces()
    for target in ("unix", "spt"):
        groups[target] = Group("echo", target).wait_up()


@test
def connections_are_spread_and_stay_where_they_are():
    for target, group in groups.items():
        before = group.served()
        assert len(before) == COUNT, (target, group.process.output())
        flows = [group.connect(7) for _ in range(48)]
        for turn in range(20):
            for i, s in enumerate(flows):
                s.sendall(bytes([i, turn]))
            for i, s in enumerate(flows):
                assert receive(s, 2) == bytes([i, turn]), (target, i, turn)
        grown = [b - a for a, b in zip(before, group.served())]
        assert min(grown) > 20, (target, grown)
        # Longer than the kernel remembers flows that are quiet.
        time.sleep(4)
        for s in flows:
            s.sendall(b"later")
        for s in flows:
            assert receive(s, 5) == b"later", target
            s.close()


@test
def much_passes_unharmed_through_each():
    data = os.urandom(2 << 20)
    for target, group in groups.items():
        failures = []

        def one(group=group, failures=failures, target=target):
            try:
                with group.connect(7) as s:
                    sender = threading.Thread(target=lambda: (
                        s.sendall(data), s.shutdown(socket.SHUT_WR)))
                    sender.start()
                    back = receive(s, len(data))
                    sender.join()
                    assert sha256(back) == sha256(data), (target, len(back))
            except (AssertionError, OSError) as error:
                failures.append(error)
        for _ in range(8):
            one()
        assert not failures, failures[0]


@test
def every_instance_finds_its_neighbours_at_once():
    # After the host and the guests have forgotten each other: the answer to
    # an instance's question must not go to another until it gives up.
    for target in ("unix", "spt"):
        group = Group("echo", target).wait_up()
        with Capture(group.namespace, words="arp") as capture:
            for _ in range(30):
                with group.connect(7) as s:
                    s.sendall(b"x")
                    assert receive(s, 1) == b"x"
        # Each asks once; one whose answer is late, again after a second.
        asked = [line for line in capture.lines()
                 if f"who-has {HOST} tell {GUEST}" in line]
        assert len(asked) <= COUNT + 2, (target, asked)
        group.process.stop()


@test
def all_have_the_same_addresses_of_version_6_too():
    for target, group in groups.items():
        end = time.monotonic() + 20
        while True:
            found = re.findall(r"address (fe80::\S+)", group.process.output())
            if len(found) >= COUNT:
                break
            assert time.monotonic() < end, group.process.output()
            time.sleep(0.05)
        assert len(set(found)) == 1, (target, found)


@test
def pings_are_answered_from_wherever_they_go():
    need("ping")
    for target, group in groups.items():
        out = group.namespace.run("ping", "-c", "20", "-i", "0.05", "-q", GUEST,
                                  check=False).stdout
        assert " 0% packet loss" in out, (target, out)
        assert "DUP" not in out and "duplicates" not in out, (target, out)


@test
def datagrams_come_back_once_each():
    for target, group in groups.items():
        with group.namespace.inside():
            for i in range(30):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                    s.settimeout(5)
                    s.sendto(bytes([i]), (GUEST, 7))
                    assert s.recv(10) == bytes([i]), target


@test
def pages_are_served_by_all():
    need("curl")
    page = site_file("index.html")
    for target in ("unix", "spt"):
        group = Group("www", target).wait_up()
        for _ in range(12):
            out = group.namespace.run("curl", "-sS", "--fail",
                                      f"http://{GUEST}/").stdout
            assert out.encode() == page, target
        group.process.stop()


@test
def they_are_stopped_together():
    for target in ("unix", "spt"):
        group = Group("echo", target).wait_up()
        pids = group.pids()
        assert len(pids) == COUNT, pids
        os.kill(group.process.pid, signal.SIGTERM)
        assert group.process.wait(15) == 128 + signal.SIGTERM
        assert not any(os.path.exists(f"/proc/{pid}") for pid in pids), target


@test
def one_that_fails_stops_all_with_its_status():
    for target in ("unix", "spt"):
        group = Group("echo", target).wait_up()
        pids = group.pids()
        os.kill(pids[1], signal.SIGKILL)
        assert group.process.wait(15) == 128 + signal.SIGKILL
        assert not any(os.path.exists(f"/proc/{pid}") for pid in pids), target


@test
def what_cannot_be_shared_is_refused_with_the_remedy():
    group = Group("echo", "unix", queues=False)
    assert group.process.wait(30) == 1
    assert "multi_queue" in group.process.output(), group.process.output()
    group = Group("echo", "unix", arguments=("--port=7",))
    assert group.process.wait(30) == 64
    assert "--ipv4=" in group.process.output(), group.process.output()
    for words, said in ((("--instances", "2"), "tap:NAME"),
                        (("--instances", "0"), "1 to 64"),
                        (("--instances", "x"), "1 to 64")):
        process = Process(FATA, "run", "-t", "unix", *words, "--",
                          f"--ipv4={GUEST}/{PREFIX}",
                          cwd=os.path.join(ROOT, "build/images/echo"))
        assert process.wait(30) == 64, process.output()
        assert said in process.output(), process.output()


run(setup)
