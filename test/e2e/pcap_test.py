#!/usr/bin/env python3
"""fata run --pcap: what was captured, read back by tcpdump and tshark, of taps
and of NAT, on unix and spt.

# test: limit 240
"""
import os
import re
import signal
import time

import lib
from lib import FATA, GUEST, HOST, PREFIX, run, test

TARGETS = ("unix", "spt")
WWW = os.path.join(lib.ROOT, "build/images/www")

folder = space = None


def setup():
    global folder, space
    lib.need_namespaces()
    lib.need("tcpdump", "tshark", "ping", "curl", "setpriv")
    folder = lib.folder()
    os.environ["XDG_RUNTIME_DIR"] = folder
    space = lib.Namespace()
    space.tap()


def start(target, file, *options, arguments=(f"--ipv4={GUEST}/{PREFIX}",)):
    process = lib.Process(
        FATA, "run", "-t", target, "--pcap", file, *options, "--", *arguments,
        namespace=space, cwd=WWW)
    process.wait_for("serving http")
    return process


def start_tap(target, file, *options):
    return start(target, file, "--net", "tap:tap0", *options)


def lines(file, *words):
    """What tcpdump says of a capture, a line for each frame."""
    text = lib.command("tcpdump", "-nr", file, *words).stdout
    return [line for line in text.splitlines()
            if not line.startswith("reading from file")]


def fields(file, *names):
    words = [word for name in names for word in ("-e", name)]
    text = lib.command("tshark", "-r", file, "-T", "fields", *words).stdout
    return [line.split("\t") for line in text.splitlines()
            if "Running as user" not in line]


def curl(url):
    space.run("curl", "-sf", "-o", "/dev/null", url)


@test
def a_tap_is_captured_in_both_directions_through_a_filter():
    for target in TARGETS:
        file = os.path.join(folder, f"tap.{target}.pcapng")
        process = start_tap(target, file, "--filter", "icmp")
        space.run("ping", "-c", "3", "-i", "0.05", GUEST)
        curl(f"http://{GUEST}/")
        process.stop(signal.SIGINT)
        found = lines(file)
        assert len(found) == 6, found
        assert sum("echo request" in line for line in found) == 3, found
        assert sum(f"{GUEST} > {HOST}: ICMP echo reply" in line
                   for line in found) == 3, found


@test
def times_are_in_nanoseconds_and_interfaces_are_named():
    file = os.path.join(folder, "tap.spt.pcapng")
    found = fields(file, "frame.time_epoch", "frame.interface_name",
                   "frame.interface_description")
    now = time.time()
    for stamp, name, description in found:
        assert re.fullmatch(r"\d+\.\d{9}", stamp), found
        assert now - 300 < float(stamp) <= now, found
        assert (name, description) == ("service", "tap:tap0"), found
    assert any(not stamp.endswith("000") for stamp, _, _ in found), found
    assert found == sorted(found), "in the order of time"


@test
def nat_is_captured_by_its_helper():
    for target in TARGETS:
        file = os.path.join(folder, f"nat.{target}.pcapng")
        port = lib.free_port()
        process = start(target, file, "--publish", f"{port}:80", arguments=())
        curl(f"http://127.0.0.1:{port}/")
        process.stop(signal.SIGINT)
        found = fields(file, "ip.src", "ip.dst", "_ws.col.Protocol",
                       "frame.interface_description")
        assert {f[3] for f in found} == {"nat"}, found
        kinds = [tuple(f[:3]) for f in found]
        assert ("0.0.0.0", "255.255.255.255", "DHCP") in kinds, kinds
        assert ("10.0.2.2", "10.0.2.15", "HTTP") in kinds, kinds
        assert ("10.0.2.15", "10.0.2.2", "HTTP") in kinds, kinds


@test
def nat_knows_the_same_filters():
    file = os.path.join(folder, "nat.pcapng")
    port = lib.free_port()
    process = start("spt", file, "--publish", f"{port}:80", "--filter",
                    "tcp[tcpflags] & tcp-syn != 0", arguments=())
    curl(f"http://127.0.0.1:{port}/")
    process.stop(signal.SIGINT)
    found = lines(file)
    assert len(found) == 2 and all("Flags [S" in f for f in found), found


@test
def a_capture_can_be_read_while_it_is_made():
    for target, options in (("unix", ("--net", "tap:tap0")), ("spt", ())):
        file = os.path.join(folder, "now.pcapng")
        arguments = (f"--ipv4={GUEST}/{PREFIX}",) if options else ()
        process = start(target, file, *options, arguments=arguments)
        if options:
            space.run("ping", "-c", "2", "-i", "0.05", GUEST)
            lib.until(lambda: len(lines(file, "icmp")) == 4,
                      lambda: str(lines(file)))
        else:
            lib.until(lambda: len(lines(file)) >= 4,
                      lambda: "the lease: " + str(lines(file)))
        process.stop(signal.SIGINT)


@test
def frames_beyond_the_mtu_are_captured_whole():
    """Where the tap carries merged segments; else none is beyond it."""
    file = os.path.join(folder, "whole.pcapng")
    process = start_tap("spt", file, "--filter", "tcp port 80")
    for _ in range(5):
        curl(f"http://{GUEST}/")
    process.stop(signal.SIGINT)
    found = fields(file, "frame.len", "frame.cap_len")
    assert len(found) > 20, found
    assert all(length == captured for length, captured in found), found


@test
def with_nothing_left_to_the_tap_frames_are_as_on_a_wire():
    for target in TARGETS:
        file = os.path.join(folder, f"wire.{target}.pcapng")
        process = start_tap(target, file, "--filter", "tcp port 80",
                            "--net-offload", "off")
        for _ in range(5):
            curl(f"http://{GUEST}/")
        process.stop(signal.SIGINT)
        found = [int(length) for length, in fields(file, "frame.len")]
        assert len(found) > 20 and max(found) <= 1514, (target, found)


@test
def a_killed_run_leaves_a_capture_that_can_be_read():
    file = os.path.join(folder, "killed.pcapng")
    process = start_tap("spt", file)
    space.run("ping", "-c", "2", "-i", "0.05", GUEST)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    end = time.monotonic() + 10
    while process.children():
        assert time.monotonic() < end, process.children()
        time.sleep(0.05)
    assert len(lines(file, "icmp")) == 4, lines(file)


@test
def the_unikernel_has_no_more_descriptors_than_without():
    counts = []
    for options in ((), ("--pcap", os.path.join(folder, "fds.pcapng"))):
        process = lib.Process(
            FATA, "run", "-t", "spt", "--net", "tap:tap0", *options, "--",
            f"--ipv4={GUEST}/{PREFIX}", namespace=space, cwd=WWW)
        process.wait_for("serving http")
        pid = process.find("fata-spt")
        counts.append(sorted(os.listdir(f"/proc/{pid}/fd")))
        process.stop(signal.SIGINT)
    assert counts[0] == counts[1], counts


@test
def mistakes_are_named_before_anything_starts():
    for words, status, expected in (
            (("--pcap", "x", "--filter", "tcp prt 80"), 64, "syntax error"),
            (("--filter", "tcp"), 64, "give --pcap FILE as well"),
            (("--net-offload", "of"), 64, "one of on, checksum, off"),
            (("--net-offload", "servce=off"), 64, "did you mean service"),
            (("--pcap", "/nonexistent/x"), 1, "No such file"),
            (("--pcap", os.path.join(folder, "x"), "--net", "@0"), 64,
             "nobody can listen")):
        result = lib.command(FATA, "run", "-t", "spt", *words, check=False,
                             cwd=WWW)
        assert result.returncode == status, (words, result)
        assert expected in result.stdout, (words, result.stdout)


@test
def without_the_right_to_listen_the_remedy_is_said():
    without = ("setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw")
    result = lib.command(
        *without, *space.prefix, *without, FATA, "run", "-t", "spt", "--net",
        "tap:tap0", "--pcap", os.path.join(folder, "no.pcapng"), check=False,
        cwd=WWW)
    assert result.returncode == 1, result
    assert "no permission to listen on tap0" in result.stdout, result.stdout
    assert re.search(r"setcap cap_net_raw\+ep /\S*/build/fata-pcap",
                     result.stdout), result.stdout


run(setup)
