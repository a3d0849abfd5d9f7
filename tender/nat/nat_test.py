#!/usr/bin/env python3
"""fata-nat as the unikernel at the other end of its socket sees it."""
import os
import random
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "test"))
from check import run, skip, test  # noqa: E402

NAT = os.path.join(ROOT, "build/fata-nat")
MAC, HOST_MAC = b"\x02\0\0\0\0\1", bytes.fromhex("52550a000202")
GUEST, GATEWAY = bytes([10, 0, 2, 15]), bytes([10, 0, 2, 2])


def setup():
    if not os.path.exists(NAT):
        skip("build/fata-nat is not built")


class Nat:
    """A running fata-nat and the guest's end of its socket."""

    def __init__(self, *words):
        self.guest, other = socket.socketpair(socket.AF_UNIX,
                                              socket.SOCK_SEQPACKET)
        ready, theirs = os.pipe()
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [NAT, "--fd", str(other.fileno()), "--ready-fd", str(theirs),
             *words], pass_fds=[other.fileno(), theirs],
            stdin=subprocess.DEVNULL, stderr=self.errors)
        other.close()
        os.close(theirs)
        self.ready = os.read(ready, 1) == b"\0"
        os.close(ready)
        self.guest.settimeout(20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.guest.close()
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            self.process.wait()

    def message(self):
        self.errors.seek(0)
        return self.errors.read().decode()

    def frames(self, wanted):
        """The first frame for which wanted(frame) is true."""
        while True:
            frame = self.guest.recv(2000)
            assert frame, "it ended: " + self.message()
            if wanted(frame):
                return frame

    def knows_us(self):
        """Exchange ARP, so that it knows where the guest is."""
        self.guest.send(b"\xff" * 6 + MAC + b"\x08\x06\0\1\x08\0\6\4\0\1"
                        + MAC + GUEST + bytes(6) + GATEWAY)
        return self.frames(lambda f: f[12:14] == b"\x08\x06")


def checksum(data):
    total = sum(struct.unpack(f">{(len(data) + 1) // 2}H",
                              data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ipv4(protocol, payload, to=GATEWAY, fragment=0):
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 1, fragment,
                         64, protocol, 0) + GUEST + to
    header = header[:10] + struct.pack(">H", checksum(header)) + header[12:]
    return HOST_MAC + MAC + b"\x08\0" + header + payload


def echo_request(data):
    message = struct.pack(">BBHHH", 8, 0, 0, 7, 1) + data
    return (message[:2] + struct.pack(">H", checksum(message)) + message[4:])


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@test
def the_gateway_answers_arp_and_ping():
    with Nat() as nat:
        assert nat.ready
        assert nat.knows_us()[28:32] == GATEWAY
        nat.guest.send(ipv4(1, echo_request(b"hello")))
        reply = nat.frames(lambda f: f[12:14] == b"\x08\0" and f[23] == 1)
        assert reply[34] == 0 and reply[42:47] == b"hello"


@test
def it_ends_when_the_other_end_is_closed():
    with Nat() as nat:
        nat.guest.close()
        assert nat.process.wait(20) == 0


@test
def a_published_tcp_port_reaches_the_guest():
    port = free_port()
    with Nat("--publish", f"{port}:80") as nat:
        assert nat.ready, nat.message()
        nat.knows_us()
        with socket.create_connection(("127.0.0.1", port), 20):
            syn = nat.frames(lambda f: f[12:14] == b"\x08\0" and f[23] == 6)
            assert struct.unpack_from(">H", syn, 36)[0] == 80
            assert syn[47] & 2, "a SYN"


class Connection:
    """The guest's end of a TCP connection, of which nothing gets lost."""

    def __init__(self, nat):
        self.nat = nat
        syn = nat.frames(lambda f: f[12:14] == b"\x08\0" and f[23] == 6
                         and f[47] & 0x02)
        self.ports = struct.unpack_from(">HH", syn, 34)
        self.theirs = struct.unpack_from(">I", syn, 38)[0] + 1
        self.ours = 1000
        self.send(0x12)  # SYN, ACK
        self.ours += 1
        nat.frames(lambda f: f[23] == 6 and f[47] & 0x10 and
                   struct.unpack_from(">HH", f, 34) == self.ports)

    def send(self, flags, data=b""):
        peer, own = self.ports
        segment = struct.pack(">HHIIBBHHH", own, peer, self.ours, self.theirs,
                              0x50, flags, 60000, 0, 0) + data
        pseudo = GUEST + GATEWAY + struct.pack(">HH", 6, len(segment))
        sum_ = struct.pack(">H", checksum(pseudo + segment))
        self.nat.guest.send(ipv4(6, segment[:16] + sum_ + segment[18:]))


@test
def clients_that_leave_early_do_it_no_harm():
    port = free_port()
    with Nat("--publish", f"{port}:80") as nat:
        nat.knows_us()
        for _ in range(3):
            client = socket.create_connection(("127.0.0.1", port), 20)
            guest = Connection(nat)
            client.close()
            for _ in range(20):
                guest.send(0x18, b"x" * 1000)  # PSH, ACK
                guest.ours += 1000
                time.sleep(0.01)
            assert nat.process.poll() is None, nat.process.returncode
            guest.send(0x04)  # RST


@test
def connections_wait_until_the_guest_has_its_address():
    port = free_port()
    with Nat("--publish", f"{port}:80") as nat:
        with socket.create_connection(("127.0.0.1", port), 20):
            # Not by a probe, whose sender has no address yet (RFC 5227, 2.1).
            nat.guest.send(b"\xff" * 6 + MAC + b"\x08\x06\0\1\x08\0\6\4\0\1"
                           + MAC + bytes(4) + bytes(6) + GUEST)
            assert not select.select([nat.guest], [], [], 0.2)[0]
            nat.knows_us()
            Connection(nat)


@test
def a_published_udp_port_reaches_the_guest_and_back():
    port = free_port(socket.SOCK_DGRAM)
    with Nat("--publish", f"{port}:7/udp") as nat:
        assert nat.ready, nat.message()
        nat.knows_us()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(20)
            client.sendto(b"hello", ("127.0.0.1", port))
            datagram = nat.frames(lambda f: f[23] == 17 and f[42:] == b"hello")
            source, to = struct.unpack_from(">HH", datagram, 34)
            assert to == 7
            reply = struct.pack(">HHHH", 7, source, 8 + 5, 0) + b"there"
            nat.guest.send(ipv4(17, reply))
            assert client.recv(100) == b"there"


@test
def a_port_in_use_is_named_with_what_to_do():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        with Nat("--publish", f"{port}:80") as nat:
            assert not nat.ready and nat.process.wait(20) == 1
            assert f"port {port} of this host is in use" in nat.message()
            assert "--publish" in nat.message()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        # Not even if the other program would share it.
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
        with Nat("--publish", f"{s.getsockname()[1]}:80/udp") as nat:
            assert not nat.ready and nat.process.wait(20) == 1
            assert "in use" in nat.message()


@test
def wrong_options_are_named():
    for words, why in (
            ([], "--fd is missing"), (["--fd"], "its value is missing"),
            (["--fd", "x"], "--fd x: not the number"),
            (["--fd", "99"], "--fd 99: Bad file descriptor"),
            (["--fd", "0"], "--fd 0"), (["--port", "1"], "unknown option")):
        result = subprocess.run([NAT, *words], stdin=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True, timeout=20)
        assert result.returncode == 1 and why in result.stderr, result
    for ports in ("80", "x:80", "80:", "80:0", "80:65536", "1:2:3:4", "-1:80",
                  "80:80/sctp", "300.0.0.1:80:80"):
        with Nat("--publish", ports) as nat:
            assert nat.process.wait(20) == 1, ports
            assert f"--publish {ports}: not " in nat.message(), nat.message()
    result = subprocess.run([NAT, "--help"], stdout=subprocess.PIPE, text=True)
    assert result.returncode == 0 and "10.0.2.15" in result.stdout


def hostile_frames(seed, count):
    """Frames that are wrong in some way, most of them almost right."""
    rand = random.Random(seed)
    for _ in range(count):
        size = rand.choice([1, 13, 14, 20, 33, 34, 60, 200, 1514, 1518, 3000])
        frame = bytearray(rand.randbytes(size))
        if size >= 60 and rand.random() < 0.85:
            protocol = rand.choice([1, 2, 6, 17])
            to = bytes([10, 0, 2, rand.choice([2, 3, 15, 255])])
            if protocol == 17:
                struct.pack_into(">HHH", frame, 36, rand.choice([53, 67, 69]),
                                 size - 34, 0)
            fragment = rand.choice([0, 0, 0, 0x2000, 0x2001, 7, 0x1fff])
            frame = bytearray(ipv4(protocol, bytes(frame[34:]), to, fragment))
            for _ in range(rand.choice([0, 0, 1, 3])):
                frame[rand.randrange(len(frame))] = rand.randrange(256)
        yield frame


@test
def hostile_frames_do_it_no_harm():
    with Nat() as nat:
        nat.knows_us()
        for frame in hostile_frames(1, 20000):
            nat.guest.send(frame)
            while select.select([nat.guest], [], [], 0)[0]:
                assert nat.guest.recv(2000), "it ended"
        nat.guest.send(ipv4(1, echo_request(b"still there")))
        nat.frames(lambda f: f[42:53] == b"still there")
        assert nat.process.poll() is None


run(setup)
