#!/usr/bin/env python3
"""What is left to the tap: checksums, and segments merged and cut by the host.

echo and www on unix and spt, each with all offloads, with checksums only and
with none, against Linux; what is on the wire is captured on the host's side.
"""
import fcntl
import os
import re
import socket
import struct
import threading
import time

from lib import (GUEST, HOST, PREFIX, ROOT, Capture, Namespace, Process,
                 connect, folder, image, need, need_namespaces, receive,
                 request, run, sha256, site_file, test)

WAYS = ("on", "checksum", "off")
MSS = 1460
TUNSETIFF = 0x400454ca
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x2, 0x1000, 0x4000
guests = {}


class Guest:
    """One unikernel, its namespace, and what its tap carries."""

    def __init__(self, name, target, how, *arguments, port, image_path=None):
        self.what = f"{name} on {target}, offload {how}"
        self.target, self.how, self.port = target, how, port
        self.namespace = Namespace()
        self.namespace.tap("tap0")
        path = image_path or image(name, target)
        options = ("--net:service=tap0", f"--net-offload:service={how}")
        words = (path, *options)
        if target == "spt":
            words = (os.path.join(ROOT, "build/fata-spt"), *options, "--", path)
        self.words = (*words, f"--ipv4={GUEST}/{PREFIX}", *arguments)
        self.process = Process(*self.words, namespace=self.namespace)

    def connect(self):
        with self.namespace.inside():
            return connect(GUEST, self.port, self.process)

    def capture(self, action):
        """Run `action`; the TCP segments seen, as (sender, length)."""
        with Capture(self.namespace, words="tcp") as capture:
            action()
        return [(m.group(1), int(m.group(2))) for m in re.finditer(
            r"IP (\d+\.\d+\.\d+\.\d+)\.\d+ > .* length (\d+)",
            "\n".join(capture.lines()))]


def setup():
    need_namespaces()
    need("tcpdump")
    for target in ("unix", "spt"):
        for how in WAYS:
            guests[target, how] = Guest("echo", target, how, port=7)
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


def largest(segments, sender):
    return max(length for who, length in segments if who == sender)


@test
def every_byte_comes_back_whatever_is_left_to_the_tap():
    data = os.urandom(6 << 20)
    for guest in guests.values():
        echo(guest, data)


@test
def segments_are_merged_both_ways_where_that_was_agreed():
    data = os.urandom(4 << 20)
    for (_, how), guest in guests.items():
        segments = guest.capture(lambda guest=guest: echo(guest, data))
        if how == "on":
            assert largest(segments, HOST) > 10000, guest.what
            assert largest(segments, GUEST) > 10000, guest.what
        else:
            assert largest(segments, HOST) <= MSS, guest.what
            assert largest(segments, GUEST) <= MSS, guest.what


@test
def frames_of_every_length_come_back():
    # Around what fits one packet buffer, and what is merged from several
    # segments: one write each, so that the host merges just that.
    lengths = [*range(1, 40), *range(1400, 1500, 7), *range(1690, 1830, 3),
               *range(2800, 3000, 13), *range(3600, 3800, 17), 10000, 17000,
               17400, 20000, 40000, 60000, 65000, 65160, 65483]
    data = os.urandom(70000)
    for guest in guests.values():
        with guest.connect() as s:
            for length in lengths:
                s.sendall(data[:length])
                assert receive(s, length) == data[:length], (guest.what,
                                                            length)


@test
def checksums_are_right_at_the_receiver():
    # Linux counts what does not add up.
    def errors(guest):
        text = guest.namespace.run("nstat", "-asz", "TcpInCsumErrors",
                                   "UdpInCsumErrors", "IpInHdrErrors").stdout
        return sum(int(n) for n in re.findall(r"Errors\s+(\d+)", text))
    need("nstat")
    for guest in guests.values():
        before = errors(guest)
        echo(guest, os.urandom(100000))
        with guest.namespace.inside():
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with udp:
            udp.settimeout(10)
            for length in (0, 1, 17, 1000, 1472, 4000):
                sent = os.urandom(length)
                udp.sendto(sent, (GUEST, 7))
                if length <= 1472:
                    assert udp.recv(65536) == sent, guest.what
        assert errors(guest) == before, guest.what


@test
def wrong_checksums_are_noticed_whoever_was_to_check_them():
    # A forwarded frame whose checksum is wrong is not one left to us to
    # complete: tcp without a partial checksum, from a raw socket.
    for guest in guests.values():
        with guest.namespace.inside():
            raw = socket.socket(socket.AF_INET, socket.SOCK_RAW,
                                socket.IPPROTO_UDP)
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with raw, udp:
            udp.bind((HOST, 0))
            udp.settimeout(0.3)
            port = udp.getsockname()[1]
            datagram = (port.to_bytes(2, "big") + (7).to_bytes(2, "big") +
                        (12).to_bytes(2, "big") + b"\x12\x34" + b"evil")
            raw.sendto(datagram, (GUEST, 0))
            try:
                got = udp.recv(100)
            except TimeoutError:
                got = None
            assert got is None, (guest.what, got)


@test
def many_senders_at_once_neither_starve_nor_mix():
    for target in ("unix", "spt"):
        guest = guests[target, "on"]
        failures = []

        def one(seed, guest=guest, failures=failures):
            try:
                echo(guest, bytes([seed]) * (1 << 20))
            except (AssertionError, OSError) as error:
                failures.append(error)
        with guest.namespace.inside():
            threads = [threading.Thread(target=one, args=(i,))
                       for i in range(24)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert not failures, failures[0]


@test
def readers_who_stop_do_not_keep_large_buffers_from_others():
    # Each sends until nothing more is taken, and reads nothing.
    for target in ("unix", "spt"):
        guest = guests[target, "on"]
        stuck = []
        for _ in range(12):
            s = guest.connect()
            s.setblocking(False)
            stuck.append(s)
        end = time.monotonic() + 1
        while time.monotonic() < end:
            for s in stuck:
                try:
                    s.send(b"x" * 65536)
                except BlockingIOError:
                    pass
            time.sleep(0.02)
        echo(guest, os.urandom(1 << 20))
        for s in stuck:
            s.close()


@test
def pages_are_served_whole():
    page = site_file("index.html")
    for target in ("unix", "spt"):
        for how in WAYS:
            guest = Guest("www", target, how, port=80)
            with guest.connect() as s:
                for _ in range(50):
                    status, _, body = request(
                        s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                    assert status == 200 and body == page, guest.what
            guest.process.stop()


@test
def a_tap_with_headers_of_someone_elses_choice_works():
    # What an earlier owner of the tap asked for is not what we get.
    for target in ("unix", "spt"):
        guest = Guest("echo", target, "on", port=7)
        echo(guest, b"before")
        guest.process.stop()
        again = Guest.__new__(Guest)
        again.__dict__.update(guest.__dict__)
        path = image("echo", target)
        options = ("--net:service=tap0", "--net-offload:service=off")
        words = (path, *options)
        if target == "spt":
            words = (os.path.join(ROOT, "build/fata-spt"), *options, "--", path)
        again.process = Process(*words, f"--ipv4={GUEST}/{PREFIX}",
                                namespace=guest.namespace)
        segments = again.capture(lambda: echo(again, os.urandom(1 << 20)))
        assert largest(segments, HOST) <= MSS, target
        again.process.stop()


@test
def an_inherited_tap_keeps_its_headers_with_nothing_left_to_it():
    for target in ("unix", "spt"):
        guest = Guest("echo", target, "off", port=7)
        guest.process.stop()
        with guest.namespace.inside():
            fd = os.open("/dev/net/tun", os.O_RDWR)
            fcntl.ioctl(fd, TUNSETIFF, struct.pack(
                "16sH22x", b"tap0", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
        words = [word.replace("=tap0", f"=@{fd}") for word in guest.words]
        guest.process = Process(*words, namespace=guest.namespace,
                                pass_fds=[fd])
        os.close(fd)
        guest.namespace.ip("neigh", "flush", "dev", "tap0")
        segments = guest.capture(lambda: echo(guest, os.urandom(1 << 20)))
        assert largest(segments, HOST) <= MSS, target
        assert largest(segments, GUEST) <= MSS, target
        guest.process.stop()


@test
def an_image_that_does_not_ask_gets_plain_frames():
    # The same image with its notes under a name nobody knows: as a stock
    # image is to our tender.
    path = os.path.join(folder(), "echo.stock")
    with open(image("echo", "spt"), "rb") as f:
        data = f.read()
    with open(path, "wb") as f:
        f.write(data.replace(b"Fata\0\0\0\0", b"Nobo\0\0\0\0"))
    guest = Guest("echo", "spt", "on", port=7, image_path=path)
    segments = guest.capture(lambda: echo(guest, os.urandom(1 << 20)))
    assert largest(segments, HOST) <= MSS


@test
def a_stock_tender_runs_the_same_image():
    tender = "solo5-spt"
    need(tender)
    namespace = Namespace()
    namespace.tap("tap0")
    process = Process(tender, "--net:service=tap0", "--",
                      image("echo", "spt"), f"--ipv4={GUEST}/{PREFIX}",
                      namespace=namespace)
    with namespace.inside(), connect(GUEST, 7, process) as s:
        s.sendall(b"stock")
        assert receive(s, 5) == b"stock"


run(setup)
