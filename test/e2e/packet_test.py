#!/usr/bin/env python3
"""Unikernels at one end of a veth, through the rings of a packet socket.

www and echo on spt, unix and unix-san with all offloads and with none, against
Linux at the other end; the interface goes down, up and away.

# test: limit 240
"""
import json
import os
import re
import signal
import socket
import threading
import time

import lib
from lib import (FATA, GUEST, HOST, PREFIX, ROOT, Capture, Namespace, Process,
                 command, connect, folder, image, need, need_namespaces,
                 receive, request, run, sha256, site_file, test, until)

TENDER = os.path.join(ROOT, "build/fata-spt")
TARGETS = ("spt", "unix", "unix-san")
guests = {}


class Guest:
    """A unikernel, its namespace with one end of a veth, and its client's."""

    def __init__(self, name, target, how="on", options=(), image_path=None,
                 client_offload=True, **popen):
        self.what = f"{name} on {target}, offload {how}"
        self.port = {"echo": 7, "www": 80}[name]
        self.client, self.server = Namespace(), Namespace()
        command("ip", "link", "add", "veth0", "netns", self.client.name,
                "type", "veth", "peer", "name", "veth1", "netns",
                self.server.name)
        self.client.up("veth0", f"{HOST}/{PREFIX}")
        self.server.up("veth1", None)
        if not client_offload:
            need("ethtool")
            self.client.run("ethtool", "-K", "veth0", "tx", "off", "tso",
                            "off", "gso", "off")
        self.path = image_path or image(name, target)
        words = ("--net:service=packet:veth1",
                 f"--net-offload:service={how}", *options)
        self.words = (self.path, *words)
        if target == "spt":
            self.words = (TENDER, *words, "--", self.path)
        self.process = Process(*self.words, f"--ipv4={GUEST}/{PREFIX}",
                               namespace=self.server, **popen)

    def connect(self):
        with self.client.inside():
            return connect(GUEST, self.port, self.process)

    def pid(self):
        return self.process.find("fata-spt") or self.process.find(
            os.path.basename(self.path))

    def lost(self):
        """Whether it ended, or says that something is wrong."""
        return not self.process.running() or re.search(
            "error|warning|ERROR", self.process.output())


def setup():
    need_namespaces()
    for target in TARGETS:
        for how in ("on", "off"):
            name = "www" if target == "unix-san" else "echo"
            guests[target, how] = Guest(name, target, how)
    for guest in guests.values():
        guest.connect().close()


def echo(guest, data):
    with guest.connect() as s:
        sender = threading.Thread(target=lambda: (
            s.sendall(data), s.shutdown(socket.SHUT_WR)))
        sender.start()
        back = receive(s, len(data))
        sender.join()
        assert sha256(back) == sha256(data), (guest.what, len(back))
        assert s.recv(1) == b"", f"{guest.what}: more than was sent"


def echoes():
    return [g for (target, _), g in guests.items() if target != "unix-san"]


@test
def it_answers_a_ping():
    need("ping")
    for guest in guests.values():
        said = guest.client.run("ping", "-c", "3", "-i", "0.2", GUEST)
        assert " 3 received" in said.stdout, (guest.what, said.stdout)
        said = guest.client.run("ping", "-c", "1", "-s", "1472", GUEST)
        assert " 1 received" in said.stdout, (guest.what, said.stdout)


@test
def every_byte_comes_back_with_and_without_offloads():
    data = os.urandom(6 << 20)
    for guest in echoes():
        echo(guest, data)


@test
def frames_of_every_length_come_back():
    # Around the size of a slot, beyond which frames are read and written.
    lengths = [*range(1, 30, 3), *range(1400, 1500, 7), *range(1840, 2100, 11),
               3000, 10000, 17000, 40000, 60000, 65000, 65160, 65483]
    data = os.urandom(70000)
    for guest in echoes():
        with guest.connect() as s:
            for length in lengths:
                s.sendall(data[:length])
                assert receive(s, length) == data[:length], (guest.what,
                                                            length)


@test
def segments_are_merged_both_ways():
    guest = guests["spt", "on"]
    with Capture(guest.client, "veth0", "tcp") as capture:
        echo(guest, os.urandom(4 << 20))
    text = "\n".join(capture.lines())
    for sender in (HOST, GUEST):
        largest = max(int(n) for n in re.findall(
            rf"IP {sender}\.\d+ > .* length (\d+)", text))
        assert largest > 10000, (sender, largest)


@test
def segments_are_cut_for_an_interface_that_cannot():
    # What is left to it is then done by the kernel before it.
    need("ethtool")
    for target in ("spt", "unix"):
        guest = guests[target, "on"]
        guest.server.run("ethtool", "-K", "veth1", "tso", "off", "gso", "off",
                         "tx", "off")
        echo(guest, os.urandom(2 << 20))
        guest.server.run("ethtool", "-K", "veth1", "tso", "on", "gso", "on",
                         "tx", "on")


@test
def checksums_are_right_at_the_receiver():
    need("nstat")
    for guest in echoes():
        echo(guest, os.urandom(100000))
        with guest.client.inside():
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with udp:
            udp.settimeout(10)
            for length in (0, 1, 17, 1000, 1472, 4000):
                sent = os.urandom(length)
                udp.sendto(sent, (GUEST, 7))
                if length <= 1472:
                    assert udp.recv(65536) == sent, guest.what
        text = guest.client.run("nstat", "-asz", "TcpInCsumErrors",
                                "UdpInCsumErrors", "IpInHdrErrors").stdout
        wrong = sum(int(n) for n in re.findall(r"Errors\s+(\d+)", text))
        assert wrong == 0, (guest.what, text)


@test
def many_connections_at_once_neither_starve_nor_mix():
    for target in ("spt", "unix"):
        guest = guests[target, "on"]
        failures = []

        def one(seed, guest=guest, failures=failures):
            try:
                echo(guest, bytes([seed]) * (1 << 18))
            except (AssertionError, OSError) as error:
                failures.append(error)
        with guest.client.inside():
            threads = [threading.Thread(target=one, args=(i,))
                       for i in range(48)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert not failures, failures[0]


@test
def pages_are_served_whole():
    page = site_file("index.html")
    served = [guests["unix-san", "on"], guests["unix-san", "off"],
              Guest("www", "spt"), Guest("www", "unix")]
    for guest in served:
        with guest.connect() as s:
            for _ in range(50):
                status, _, body = request(s,
                                          "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                assert status == 200 and body == page, guest.what
    for guest in served[2:]:
        guest.process.stop()


@test
def receiving_takes_no_system_call_for_a_frame():
    # While frames come, input is seen where it is; and answers to many go out
    # with one call.
    need("strace")
    for target in ("spt", "unix"):
        guest = guests[target, "on"]
        path = os.path.join(folder(), "calls")
        trace = Process("strace", "-c", "-o", path, "-p", str(guest.pid()))
        trace.wait_for("attached")
        with guest.client.inside():
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        count = 0
        with udp:
            udp.settimeout(10)
            udp.connect((GUEST, 7))
            for _ in range(100):
                for _ in range(20):
                    udp.send(b"x" * 18)
                for _ in range(20):
                    udp.recv(100)
                    count += 1
        trace.stop(signal.SIGINT)
        with open(path, encoding="utf-8") as f:
            text = f.read()
        calls = {name: int(n) for n, name in re.findall(
            r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) .*?(\w+)$", text, re.MULTILINE)}
        reads = sum(calls.get(name, 0) for name in ("read", "readv"))
        sends = calls.get("write", 0) + calls.get("sendto", 0)
        assert count == 2000 and reads <= 20, (guest.what, text)
        assert 0 < sends <= 2000, (guest.what, text)


@test
def what_is_for_others_is_not_received():
    # A station beside it, and one of a VLAN: the kernel sorts them out.
    os.environ["XDG_RUNTIME_DIR"] = folder()
    guest = Guest("echo", "unix")
    guest.process.stop()
    process = Process(FATA, "run", "-t", "spt", "--net", "packet:veth1", "--",
                      f"--ipv4={GUEST}/{PREFIX}", namespace=guest.server,
                      cwd=os.path.join(ROOT, "build/images/echo"))
    guest.process = process
    guest.connect().close()

    def received():
        said = json.loads(command(
            FATA, "stats", str(process.find("fata-spt")), "--json").stdout)
        shown = {group["group"]: group["counters"]
                 for group in said["groups"]}
        return shown["netif"]["rx_frames"], shown["icmp"]["echoes"]

    def send(to):
        with guest.client.inside():
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with udp:
            for _ in range(200):
                udp.sendto(b"for whom?", (to, 9))
    guest.client.ip("neigh", "replace", "10.77.0.9", "lladdr",
                    "02:00:00:00:00:09", "dev", "veth0", "nud", "permanent")

    def last(before):
        """How many came since `before`, up to a ping's, sent last."""
        guest.client.run("ping", "-c", "1", "-W", "20", GUEST)
        until(lambda: received()[1] > before[1])
        return received()[0] - before[0]

    before = received()
    send("10.77.0.9")
    assert last(before) < 50
    before = received()
    send(GUEST)
    assert last(before) >= 200
    # A tagged frame, to its very address.
    with guest.client.inside():
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        raw.bind(("veth0", 0))
    neighbor = guest.client.ip("neigh", "show", GUEST)
    mac = bytes.fromhex(re.search(r"lladdr (\S+)", neighbor).group(1)
                        .replace(":", ""))
    before = received()
    with raw:
        for _ in range(200):
            raw.send(mac + b"\2\0\0\0\0\1" + b"\x81\0\0\5\x08\0" +
                     bytes(60))
    assert last(before) < 50
    process.stop()


@test
def an_interface_that_goes_down_comes_up_again():
    for target in ("spt", "unix"):
        guest = Guest("echo", target)
        echo(guest, os.urandom(1000))
        s = guest.connect()
        with s:
            guest.server.ip("link", "set", "veth1", "down")
            s.sendall(b"meanwhile")
            time.sleep(0.5)
            assert guest.process.running(), guest.process.output()
            busy = lib.command("ps", "-o", "cputimes=", "-p",
                               str(guest.pid())).stdout
            time.sleep(1)
            again = lib.command("ps", "-o", "cputimes=", "-p",
                                str(guest.pid())).stdout
            assert int(again) - int(busy) <= 1, "it waits by being busy"
            guest.server.ip("link", "set", "veth1", "up")
            assert receive(s, 9) == b"meanwhile", guest.what
        echo(guest, os.urandom(100000))
        guest.process.stop()


@test
def an_interface_that_is_deleted_ends_it_with_a_message():
    for target in ("spt", "unix"):
        guest = Guest("echo", target)
        echo(guest, b"here")
        guest.server.ip("link", "del", "veth1")
        assert guest.process.wait(20) == 1, guest.what
        said = guest.process.output()
        assert "the network device is gone" in said, said


@test
def what_is_wrong_is_named_with_a_remedy():
    server = guests["spt", "on"].server

    def said(*words, **options):
        result = server.run(*words, check=False, timeout=30, **options)
        assert result.returncode != 0, result.stdout
        return result.stdout
    server.ip("link", "add", "down0", "type", "veth", "peer", "name", "down1")
    for start in ((image("echo", "unix"), "--net:service="),
                  (TENDER, "--net:service=")):
        def refused(what, start=start, prefix=()):
            last = ("--", image("echo", "spt")) if start[0] == TENDER else ()
            return said(*prefix, start[0], start[1] + what, *last)
        text = refused("packet:nowhere")
        assert "no interface `nowhere'" in text and "ip link add" in text, text
        text = refused("packet:down0")
        assert "`down0' is down: ip link set dev down0 up" in text, text
        text = refused("packet:lo")
        assert "`lo' is no Ethernet interface" in text, text
        text = refused("packet:")
        assert "1 to 15 characters" in text, text
        need("setpriv")
        text = refused("packet:veth1", prefix=(
            "setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"))
        assert "CAP_NET_RAW" in text and "nat" in text, text


@test
def fata_run_starts_and_captures_it():
    need("tcpdump")
    guest = guests["spt", "on"]
    www = os.path.join(ROOT, "build/images/www")
    client, server = Namespace(), Namespace()
    command("ip", "link", "add", "veth0", "netns", client.name, "type",
            "veth", "peer", "name", "veth1", "netns", server.name)
    client.up("veth0", f"{HOST}/{PREFIX}")
    server.up("veth1", None)
    os.environ["XDG_RUNTIME_DIR"] = folder()
    for target in ("spt", "unix"):
        file = os.path.join(folder(), "run.pcapng")
        process = Process(FATA, "run", "-t", target, "--net", "packet:veth1",
                          "--pcap", file, "--", f"--ipv4={GUEST}/{PREFIX}",
                          namespace=server, cwd=www)
        process.wait_for("serving http")
        with client.inside(), connect(GUEST, 80, process) as s:
            assert request(s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 200
        until(lambda: f"{GUEST}.80 > {HOST}" in command(
            "tcpdump", "-nr", file, "tcp", check=False).stdout)
        process.stop()
        text = command("tcpdump", "-nr", file, "tcp").stdout
        assert f"{GUEST}.80 > {HOST}" in text, text
        assert re.search(rf"{HOST}\.\d+ > {GUEST}\.80", text), text
    for words, cause in (
            (("--net", "packet:nowhere"), "no network interface nowhere"),
            (("--net", "veth1"), "packet:INTERFACE"),
            (("--instances", "2", "--net", "packet:veth1"), "tap:NAME")):
        result = server.run(FATA, "run", "-t", "spt", *words, "--",
                            f"--ipv4={GUEST}/{PREFIX}", check=False, cwd=www)
        assert result.returncode != 0 and cause in result.stdout, result.stdout
    assert guest.process.running()


@test
def an_inherited_packet_socket_serves_as_well():
    # As whoever may open one hands it to a process that may not.
    need("setpriv")
    for target in ("spt", "unix"):
        guest = Guest("echo", target)
        echo(guest, b"before")
        guest.process.stop()
        with guest.server.inside():
            packet = socket.socket(socket.AF_PACKET, socket.SOCK_RAW,
                                   socket.htons(3))
            packet.bind(("veth1", 3))
        with packet:
            fd = packet.fileno()
            words = [word.replace("packet:veth1", f"@{fd}")
                     for word in guest.words]
            guest.process = Process(
                "setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw",
                *words, f"--ipv4={GUEST}/{PREFIX}", namespace=guest.server,
                pass_fds=[fd])
            guest.client.ip("neigh", "flush", "dev", "veth0")
            echo(guest, os.urandom(1 << 20))
            guest.process.stop()


@test
def an_image_that_does_not_ask_has_plain_frames():
    # The same image with its notes under a name nobody knows: as a stock
    # image is to our tender. The other end is to do its own work then.
    path = os.path.join(folder(), "echo.stock")
    with open(image("echo", "spt"), "rb") as f:
        data = f.read()
    with open(path, "wb") as f:
        f.write(data.replace(b"Fata\0\0\0\0", b"Nobo\0\0\0\0"))
    guest = Guest("echo", "spt", image_path=path, client_offload=False)
    echo(guest, os.urandom(1 << 20))
    assert "ethtool -K PEER tx off" in guest.process.output()
    guest.process.stop()


@test
def nothing_was_lost_on_the_way():
    for guest in guests.values():
        assert not guest.lost(), (guest.what, guest.process.output())


run(setup)
