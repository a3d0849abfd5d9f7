#!/usr/bin/env python3
"""What an operator sees from outside a running unikernel, on unix and spt:
fata ps, fata stats and fata connections.

# test: limit 240
"""
import collections
import json
import os
import re
import signal
import socket
import struct
import sys
import time

import lib
from lib import FATA, run, test

TARGETS = ("unix", "spt")

space = None
unikernels = {}  # target: process, in the order of TARGETS
addresses = {}  # target: of the unikernel


def setup():
    """Lists are not to show what other tests run: a folder of our own."""
    global space
    lib.need_namespaces()
    lib.need("ping", "curl")
    os.environ["XDG_RUNTIME_DIR"] = lib.folder()
    space = lib.Namespace()
    for number, target in enumerate(TARGETS):
        tap, guest = f"tap{number}", f"10.77.{number}.2"
        space.tap(tap, f"10.77.{number}.1/24")
        addresses[target] = guest
        unikernels[target] = lib.start(
            "www", target, f"--ipv4={guest}/24", namespace=space,
            net=f"tap:{tap}")
    for process in unikernels.values():
        process.wait_for("serving http")


def fata(*words, check=True):
    return lib.command(FATA, *words, check=check)


def listed():
    return json.loads(fata("ps", "--json").stdout)


def pid_of(target):
    return next(u["pid"] for u in listed() if u["target"] == target)


def listed_at(target):
    return next(u["addresses"] for u in listed() if u["target"] == target)


def counters(target):
    """Every counter by group and name."""
    shown = json.loads(fata("stats", str(pid_of(target)), "--json").stdout)
    return {(group["group"], name): value for group in shown["groups"]
            for name, value in group["counters"].items()}


def grown(target, action, wanted):
    """What `action` adds to the counters, once it is what is wanted.

    They are shown soon after they have changed, not at once.
    """
    before = counters(target)
    action()
    grown_by = collections.Counter()

    def found():
        grown_by.clear()
        grown_by.update({key: value - before[key] for key, value
                         in counters(target).items() if value != before[key]})
        return wanted(grown_by)
    lib.until(found, lambda: f"{target}: {dict(grown_by)}")


def connections(target):
    shown = json.loads(
        fata("connections", str(pid_of(target)), "--json").stdout)
    return [c for table in shown["tables"] for c in table["connections"]]


def at_peer(target, address, since=0):
    """Its connections to one address, those older than `since` seconds."""
    return [c for c in connections(target)
            if c["peer"] == address and c["age"] >= since]


def wake_ups(target):
    with open(f"/proc/{pid_of(target)}/status", encoding="utf-8") as f:
        text = f.read()
    return int(re.search(r"\nvoluntary_ctxt_switches:\s+(\d+)",
                         text).group(1))


def send_raw(address, packet):
    """Send an IPv4 packet whose header the kernel only completes."""
    with space.inside(), socket.socket(
            socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as s:
        s.sendto(packet, (address, 0))


def ipv4(address, protocol, payload):
    source = re.sub(r"\.2$", ".1", address)
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64,
                       protocol, 0, socket.inet_aton(source),
                       socket.inet_aton(address)) + payload


def cut_segment(address):
    """A segment whose header claims to be shorter than one can be; its
    checksum is right."""
    header = struct.pack("!HHIIBBHHH", 7, 80, 1, 0, 4 << 4, 2, 1000, 0, 0)
    source = re.sub(r"\.2$", ".1", address)
    covered = socket.inet_aton(source) + socket.inet_aton(address) + \
        struct.pack("!HH", 6, len(header)) + header
    total = sum(struct.unpack(f"!{len(covered) // 2}H", covered))
    while total > 0xffff:
        total = (total & 0xffff) + (total >> 16)
    return header[:16] + struct.pack("!H", ~total & 0xffff) + header[18:]


@test
def running_unikernels_are_listed_with_their_addresses():
    found = {u["target"]: u for u in listed()}
    assert set(found) == set(TARGETS), found
    for target, process in unikernels.items():
        assert found[target]["name"] == "www", found
        assert f"{addresses[target]}/24" in found[target]["addresses"], found
        lib.until(lambda: any(a.startswith("fe80::")
                              for a in listed_at(target)),
                  lambda: str(listed()))
        shown = listed_at(target)
        assert len(shown) == len(set(shown)), shown
        assert found[target]["pid"] in process.children(), found
        assert 0 < found[target]["uptime"] < 600, found
        rss = lib.rss_kb(found[target]["pid"]) * 1024
        assert rss / 2 < found[target]["memory"] < rss * 2, (rss, found)
        tap = f"tap{TARGETS.index(target)}"
        assert found[target]["devices"] == [f"service={tap}"], found
    text = fata("ps").stdout.splitlines()
    assert text[0].split() == ["NAME", "PID", "TARGET", "MIB", "UPTIME",
                               "DEVICES", "ADDRESSES"], text
    assert len(text) == 1 + len(TARGETS), text


@test
def a_virtual_machine_is_listed_and_has_no_counters_to_show():
    lib.need("qemu-system-x86_64")
    space.tap("tap9", None)
    for net, devices in (("tap:tap9", ["service=tap9"]),
                         ("nat", ["service"])):
        process = lib.start("www", "virtio", f"--ipv4={addresses['spt']}/24",
                            namespace=space, net=net)
        process.wait_for("serving http")
        found, = [u for u in listed() if u["target"] == "virtio"]
        assert found["name"] == "www" and found["devices"] == devices, found
        assert found["pid"] == process.find("qemu-system-x86_64"), found
        assert found["memory"] > 1 << 20 and found["addresses"] is None, found
        assert 0 < found["uptime"] < 600, found
        for word in "stats", "connections":
            result = fata(word, str(found["pid"]), check=False)
            assert result.returncode == 1, result.stdout
            assert "QEMU" in result.stdout and "-t spt" in result.stdout, \
                result.stdout
        process.stop()
        assert "virtio" not in {u["target"] for u in listed()}


@test
def a_ping_is_counted_at_each_layer():
    for target in TARGETS:
        grown(target, lambda t=target: space.run(
            "ping", "-c", "3", "-i", "0.05", addresses[t]), lambda n:
              n["icmp", "echoes"] == 3 and
              n["ip", "received"] >= 3 and n["ip", "sent"] >= 3 and
              n["netif", "rx_frames"] >= 3 and n["netif", "tx_bytes"] > 200)


@test
def a_page_is_counted_by_tcp_and_http():
    for target in TARGETS:
        grown(target, lambda t=target: space.run(
            "curl", "-sf", "-o", "/dev/null", f"http://{addresses[t]}/"),
              lambda n: n["http", "requests"] == 1 and
              n["http", "answers_2xx"] == 1 and n["tcp", "accepted"] == 1 and
              n["tcp", "bytes_out"] > n["http", "body_bytes"] > 1000)


@test
def what_is_dropped_is_counted_by_its_reason():
    udp = struct.pack("!HHHH", 7, 7, 12, 0xbad) + b"data"
    short = struct.pack("!HHHH", 7, 7, 400, 0) + b"data"
    tcp = struct.pack("!HHIIBBHHH", 7, 80, 1, 0, 5 << 4, 2, 1000, 0xbad, 0)
    closed = struct.pack("!HHHH", 7, 4000, 8, 0)
    for target in TARGETS:
        address = addresses[target]
        for packet, reason in (
                (ipv4(address, 17, udp), ("udp", "bad_checksum")),
                (ipv4(address, 17, short), ("udp", "malformed")),
                (ipv4(address, 17, closed), ("udp", "no_port")),
                (ipv4(address, 6, tcp), ("tcp", "bad_checksum")),
                (ipv4(address, 6, cut_segment(address)), ("tcp", "malformed")),
                (ipv4(address, 132, b"sctp"), ("ip", "no_protocol"))):
            grown(target, lambda: send_raw(address, packet),
                  lambda n: n[reason] == 1)


@test
def a_connection_is_listed_while_it_is_open():
    for target in TARGETS:
        with space.inside(), lib.connect(addresses[target], 80) as s:
            local = "{}:{}".format(*s.getsockname())
            s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")  # half of a request
            mine, = lib.until(lambda: at_peer(target, local, since=0.2),
                              lambda: str(connections(target)))
            assert mine["state"] == "established", mine
            assert mine["local"] == f"{addresses[target]}:80", mine
            assert mine["cwnd"] > 0 and mine["rto"] > 0, mine
            assert mine["age"] < 200, mine
            assert mine["rtt"] is not None, mine
            found = connections(target)
            assert [c["local"] for c in found if c["state"] == "listen"] == \
                ["*:80"], found
            assert local in fata("connections", str(pid_of(target))).stdout
        lib.until(lambda: not any(c["state"] == "established"
                                  for c in at_peer(target, local)),
                  lambda: str(connections(target)))


def looks_cause_no_wake_up(target, before):
    for _ in range(4):
        fata("stats", str(pid_of(target)))
        connections(target)
        time.sleep(0.2)
    return wake_ups(target) == before


@test
def an_idle_unikernel_is_not_woken_by_those_who_look():
    for target in TARGETS:
        with space.inside(), lib.connect(addresses[target], 80):
            lib.until(lambda: len(connections(target)) >= 2)
            # It has timers of its own (it looks for routers), but not always.
            for _ in range(15):
                time.sleep(1)
                before = wake_ups(target)
                if looks_cause_no_wake_up(target, before):
                    break
            else:
                raise AssertionError(target)


@test
def groups_can_be_chosen_and_watched():
    pid = str(pid_of("spt"))
    text = fata("stats", pid, "tcp", "http").stdout
    assert "\ntcp service\n" in text and "\nhttp\n" in text, text
    assert "\nudp" not in text, text
    watching = lib.Process(FATA, "stats", pid, "--watch", "0.2", "tcp")
    watching.wait_for(r"segments_in +\d+ +0\.0/s")
    watching.stop(signal.SIGINT)


@test
def one_who_watches_for_long_needs_no_more_memory():
    pid = str(pid_of("spt"))
    watching = lib.Process(FATA, "stats", pid, "--watch", "0.1", "--json")
    watching.wait_for(r"(.*\n){5}")
    before = lib.rss_kb(watching.pid)
    watching.wait_for(r"(.*\n){25}")
    grown_by = lib.rss_kb(watching.pid) - before
    watching.stop(signal.SIGINT)
    assert grown_by < 200, f"{grown_by} KiB in 20 rounds"


@test
def those_outside_a_container_are_left_alone():
    # In it they have no number, and look as if they had ended.
    lib.need("unshare")
    before = [u["pid"] for u in listed()]
    result = lib.command("unshare", "--pid", "--fork", "--mount-proc", FATA,
                         "run", "-t", "spt", check=False,
                         cwd=os.path.join(lib.ROOT, "build/images/noop"))
    if "unshare" in result.stdout:
        lib.skip("containers are not permitted here: " + result.stdout)
    assert result.returncode == 0, result.stdout
    assert [u["pid"] for u in listed()] == before, result.stdout


@test
def wrong_words_are_named_with_the_right_ones():
    for words, status, expected in (
            (("stats",), 64, "more than one unikernel is running"),
            (("stats", "www"), 64, "process id"),
            (("stats", str(pid_of("spt")), "tpc"), 64, "did you mean tcp?"),
            (("connections", "nobody"), 1, "no unikernel \"nobody\""),
            (("stats", "--watch=x"), 64, "number of seconds")):
        result = fata(*words, check=False)
        assert result.returncode == status, (words, result)
        assert expected in result.stdout, (words, result.stdout)


@test
def what_a_hostile_unikernel_shows_is_refused():
    """The file may be written by the unikernel; here we do it."""
    folder = os.path.join(os.environ["XDG_RUNTIME_DIR"], "fata")
    pid = str(pid_of("unix"))
    path = next(os.path.join(folder, f) for f in os.listdir(folder)
                if ".unix." in f)
    os.kill(int(pid), signal.SIGSTOP)  # it would mend what we spoil
    with open(path, "rb") as f:
        good = f.read()
    for bad, expected in ((b"\x02\x1b[J" * 64, "makes no sense"),
                          (good[:16] + b"\x01" + good[17:], "stuck"),
                          (good.replace(b"segments_in", b"segments\x1bin"),
                           "makes no sense")):
        with open(path, "r+b") as f:
            f.write(bad)
        result = fata("stats", pid, check=False)
        assert result.returncode == 1 and expected in result.stdout, result
        assert "\x1b" not in result.stdout
        assert any(u["addresses"] is None for u in listed())
        with open(path, "r+b") as f:
            f.write(good)
    os.kill(int(pid), signal.SIGCONT)
    space.run("ping", "-c", "1", addresses["unix"])
    lib.until(lambda: fata("stats", pid, check=False).returncode == 0)


@test
def what_a_hostile_unikernel_makes_of_its_command_line_is_harmless():
    """On spt it is in its own memory."""
    path = os.path.join(os.environ["XDG_RUNTIME_DIR"], "fata",
                        f"fake.spt.{os.getpid()}")
    fake = lib.Process(
        sys.executable, "-c", "import fcntl, sys, time\n"
        "f = open(sys.argv[1], 'w')\n"
        "fcntl.lockf(f, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "time.sleep(600)", path, "--net:a\x1b[J=\"\\\n\xff")
    fake.wait_for("held")
    found, = [u for u in listed() if u["name"] == "fake"]
    assert found["devices"] == ["a?[J=?????"], found
    assert "\x1b" not in fata("ps").stdout
    fake.stop()
    os.unlink(path)


@test
def nothing_is_listed_of_those_that_were_killed():
    folder = os.path.join(os.environ["XDG_RUNTIME_DIR"], "fata")
    for target, process in unikernels.items():
        os.kill(pid_of(target), signal.SIGKILL)
        assert process.wait() == 128 + signal.SIGKILL
        assert target not in {u["target"] for u in listed()}
    assert os.listdir(folder) == []

    # Now fata run itself, which leaves the file behind.
    process = lib.start("hello", "spt", "--count=1000000")
    lib.until(listed, process.output)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    lib.until(lambda: not listed(), lambda: str(listed()))
    left = os.listdir(folder)
    assert len(left) == 1, left
    lib.start("noop", "spt").wait()
    assert os.listdir(folder) == [], "what was left is swept"


run(setup)
