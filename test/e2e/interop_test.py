#!/usr/bin/env python3
"""Our TCP beside Linux's, in both roles, and what their packets say of it.

Ours serves as the unikernel echo, and connects through libfata-net.so. What
was agreed and done is read from a capture on Linux's side.

# test: limit 300
"""
import contextlib
import ctypes
import errno
import fcntl
import os
import random
import socket
import struct
import threading
import time

from lib import (GUEST, HOST, PREFIX, ROOT, Capture, Namespace, Process,
                 command, connect, image, need, need_namespaces, receive_all,
                 run, test, until)

LIBRARY = os.path.join(ROOT, "build/libfata-net.so")
SIZE = 2 << 20
DATA = random.Random(2).randbytes(SIZE)
PORT = 7000


class Options(ctypes.Structure):
    """struct fata_net_options of sockets/fata_net.h."""
    _fields_ = [("ipv4", ctypes.c_char_p), ("gateway", ctypes.c_char_p),
                ("tap", ctypes.c_char_p), ("mac", ctypes.c_uint8 * 6),
                ("mtu", ctypes.c_uint16), ("sockets", ctypes.c_uint16),
                ("buffers", ctypes.c_uint32), ("log", ctypes.c_char_p),
                ("seed", ctypes.c_uint64), ("start", ctypes.c_uint64)]


class Ours:
    """Our stack in this process, on a tap of a namespace."""

    def __init__(self, namespace, tap="tap0", gateway=None):
        self.library = ctypes.CDLL(LIBRARY, use_errno=True)
        for name, result in (("open", ctypes.c_void_p), ("read",
                             ctypes.c_ssize_t), ("write", ctypes.c_ssize_t),
                             ("error", ctypes.c_char_p)):
            getattr(self.library, f"fata_net_{name}").restype = result
        options = Options(ipv4=f"{GUEST}/{PREFIX}".encode(),
                          gateway=gateway and gateway.encode(),
                          tap=tap.encode())
        with namespace.inside():
            net = self.library.fata_net_open(ctypes.byref(options))
        assert net, self.library.fata_net_error().decode()
        self.net = ctypes.c_void_p(net)

    def call(self, name, *arguments):
        result = getattr(self.library, f"fata_net_{name}")(self.net,
                                                            *arguments)
        if result < 0:
            raise OSError(ctypes.get_errno(), name)
        return result

    def connect(self, host, port):
        address = struct.pack("=H2s4s8x", socket.AF_INET,
                              struct.pack("!H", port), socket.inet_aton(host))
        s = self.call("socket", socket.AF_INET, socket.SOCK_STREAM, 0)
        self.call("connect", s, address, len(address))
        return s

    def write(self, s, data):
        at = 0
        while at < len(data):
            at += self.call("write", s, ctypes.c_char_p(data[at:]),
                            ctypes.c_size_t(min(len(data) - at, 65536)))

    def read_all(self, s):
        room = ctypes.create_string_buffer(65536)
        data = bytearray()
        while (n := self.call("read", s, room, ctypes.c_size_t(65536))) > 0:
            data += room.raw[:n]
        return bytes(data)

    def close(self):
        self.library.fata_net_close_all(self.net)


def tap_namespace(**settings):
    namespace = Namespace()
    namespace.tap("tap0")
    for name, value in settings.items():
        namespace.run("sysctl", "-qw", f"net.ipv4.{name}={value}")
    return namespace


def routed():
    """A router with tap0, and a host behind it."""
    router, far = tap_namespace(), Namespace()
    router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    command("ip", "link", "add", "veth0", "netns", far.name, "type", "veth",
            "peer", "name", "veth1", "netns", router.name)
    far.up("veth0", "10.80.0.1/24")
    router.up("veth1", "10.80.0.254/24")
    far.ip("route", "add", "default", "via", "10.80.0.254")
    return router, far


def echo(namespace, *arguments, options=()):
    return Process(os.path.join(ROOT, "build/fata-spt"), "--net:service=tap0",
                   *options, "--", image("echo", "spt"),
                   f"--ipv4={GUEST}/{PREFIX}", "--port=7", *arguments,
                   namespace=namespace)


def plain(namespace, *arguments):
    """Segments as they are on a wire: none is cut or merged by the tap."""
    need("ethtool")
    namespace.run("ethtool", "-K", "tap0", "tso", "off", "gso", "off")
    return echo(namespace, *arguments,
                options=("--net-offload:service=off",))


@contextlib.contextmanager
def linux_server(namespace, serve):
    """serve(connection) in a thread, for one connection to PORT."""
    with namespace.inside():
        listener = socket.create_server(("0.0.0.0", PORT))
    listener.settimeout(60)
    failures = []

    def work():
        try:
            with listener, listener.accept()[0] as connection:
                connection.settimeout(60)
                serve(connection)
        except Exception as failure:  # pylint: disable=broad-except
            failures.append(failure)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    except BaseException as failure:
        raise AssertionError(f"{failure}; server: {failures}") from failure
    thread.join(60)
    assert not thread.is_alive(), "the server did not end"
    assert not failures, failures


def exchange(s, data):
    """Send data to the echo and read it back, both at once."""
    sender = threading.Thread(target=lambda: (
        s.sendall(data), s.shutdown(socket.SHUT_WR)), daemon=True)
    sender.start()
    back = receive_all(s)
    sender.join(60)
    return back


def drop(namespace, hook, match, every):
    """Have the namespace lose one of `every` packets that match."""
    need("nft")
    namespace.run("nft", "add table inet loss; add chain inet loss way "
                  f"{{ type filter hook {hook} priority 0; }}; "
                  f"add rule inet loss way {match} numgen inc mod "
                  f"{every} == {every // 2} drop")


OURS = f"ip.src == {GUEST}"
LINUX = f"ip.src == {HOST}"


@test
def the_handshake_offers_and_takes_what_both_can():
    namespace = tap_namespace()
    server = echo(namespace)
    with namespace.inside(), connect(GUEST, 7, server) as s:
        with Capture(namespace) as capture:
            with connect(GUEST, 7, server) as second:
                assert exchange(second, b"x") == b"x"
        s.close()
    for who in (OURS, LINUX):
        row, = capture.fields(f"tcp.flags.syn == 1 && {who}",
                              "tcp.options.mss_val",
                              "tcp.options.wscale.shift",
                              "tcp.options.sack_perm",
                              "tcp.options.timestamp.tsval")
        assert row[0] == "1460" and all(row), row
    server.stop()


@test
def as_a_client_ours_negotiates_the_same():
    namespace = tap_namespace()
    ours = Ours(namespace)
    with Capture(namespace) as capture, \
            linux_server(namespace, lambda c: c.sendall(receive_all(c))):
        s = ours.connect(HOST, PORT)
        ours.write(s, b"both ways")
        ours.call("shutdown", s, socket.SHUT_WR)
        assert ours.read_all(s) == b"both ways"
        ours.call("close", s)
    ours.close()
    row, = capture.fields(f"tcp.flags.syn == 1 && tcp.flags.ack == 0 && {OURS}",
                          "tcp.options.mss_val", "tcp.options.wscale.shift",
                          "tcp.options.sack_perm",
                          "tcp.options.timestamp.tsval")
    assert row[0] == "1460" and all(row), row
    assert capture.count("tcp.flags.reset == 1") == 0


@test
def under_loss_ours_sends_again_only_what_linux_says_is_missing():
    namespace = tap_namespace()
    drop(namespace, "input", f"ip saddr {GUEST} tcp sport 7", 50)
    server = plain(namespace)
    with Capture(namespace) as capture:
        with namespace.inside(), connect(GUEST, 7, server) as s:
            s.settimeout(120)
            assert exchange(s, DATA) == DATA
    server.stop()
    assert capture.count(f"tcp.options.sack.count > 0 && {LINUX}") > 0
    sent = capture.fields(f"tcp.len > 0 && {OURS}", "tcp.seq", "tcp.len")
    sent_bytes = sum(int(length) for _, length in sent)
    # 2 % are lost, and some of what is sent again: anything near twice that
    # would be going back, not filling holes.
    assert sent_bytes < SIZE * 1.08, sent_bytes / SIZE


@test
def under_loss_ours_tells_linux_what_has_come():
    router, far = routed()
    # Behind the sender's back: it is told of packets that its own host drops.
    drop(router, "forward", f"ip daddr {GUEST} tcp dport 7", 50)
    far.run("ethtool", "-K", "veth0", "tso", "off", "gso", "off")
    router.run("ethtool", "-K", "veth1", "gro", "off")
    server = plain(router, f"--gateway={HOST}")
    with Capture(router) as capture:
        with far.inside(), connect(GUEST, 7, server) as s:
            s.settimeout(120)
            assert exchange(s, DATA) == DATA
    server.stop()
    rows = capture.fields(f"tcp.options.sack.count > 0 && {OURS}", "tcp.ack",
                          "tcp.options.sack_le", "tcp.options.sack_re")
    assert rows
    for ack, lefts, rights in rows:
        for left, right in zip(lefts.split(","), rights.split(",")):
            length = (int(right) - int(left)) % 2**32
            assert 0 < length < 2**30, (ack, left, right)


@test
def ecn_is_agreed_and_a_mark_is_echoed_until_it_is_heard():
    namespace = tap_namespace(tcp_ecn=1)
    need("nft")
    # Some packets to ours meets congestion on the way.
    namespace.run("nft", "add table ip marks; add chain ip marks way "
                  "{ type filter hook output priority 0; }; add rule ip marks "
                  f"way ip daddr {GUEST} ip ecn ect0 numgen inc mod 10 == 5 "
                  "ip ecn set ce")
    server = plain(namespace)
    with Capture(namespace) as capture:
        with namespace.inside(), connect(GUEST, 7, server) as s:
            s.settimeout(60)
            assert exchange(s, DATA) == DATA
    server.stop()
    syn = "tcp.flags.syn == 1"
    assert capture.count(f"{syn} && tcp.flags.ack == 0 && tcp.flags.ece == 1")
    assert capture.count(f"{syn} && {OURS} && tcp.flags.ece == 1 && "
                         "tcp.flags.cwr == 0")
    # Ours marks what it sends, echoes the marks, and Linux says it has heard.
    assert capture.count(f"{OURS} && tcp.len > 0 && ip.dsfield.ecn == 2")
    assert capture.count(f"{LINUX} && ip.dsfield.ecn == 3")
    assert capture.count(f"{OURS} && tcp.flags.syn == 0 && tcp.flags.ece == 1")
    assert capture.count(f"{LINUX} && tcp.flags.syn == 0 && tcp.flags.cwr == 1")


@test
def ours_slows_down_when_linux_echoes_a_mark():
    namespace = tap_namespace(tcp_ecn=1)
    need("nft")
    namespace.run("nft", "add table ip marks; add chain ip marks way "
                  "{ type filter hook input priority -300; }; add rule ip "
                  f"marks way ip saddr {GUEST} ip ecn ect0 numgen inc mod 200 "
                  "== 100 ip ecn set ce")
    server = plain(namespace)
    with Capture(namespace) as capture:
        with namespace.inside(), connect(GUEST, 7, server) as s:
            s.settimeout(60)
            assert exchange(s, DATA) == DATA
    server.stop()
    assert capture.count(f"{LINUX} && tcp.flags.syn == 0 && "
                         "tcp.flags.ece == 1")
    assert capture.count(f"{OURS} && tcp.flags.syn == 0 && "
                         "tcp.flags.cwr == 1")


@test
def a_reader_that_stops_for_a_while_loses_nothing():
    namespace = tap_namespace()
    server = echo(namespace)
    with Capture(namespace) as capture:
        with namespace.inside():
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
            s.settimeout(60)
            connect(GUEST, 7, server).close()
            s.connect((GUEST, 7))
        sender = threading.Thread(target=lambda: (
            s.sendall(DATA[:1 << 20]), s.shutdown(socket.SHUT_WR)),
            daemon=True)
        sender.start()
        # Our own window fills, and Linux's. The last frame may not be whole.
        until(lambda: capture.count(f"tcp.window_size_value == 0 && {LINUX} "
                                    "&& tcp.flags.reset == 0", check=False))
        assert receive_all(s) == DATA[:1 << 20]
        sender.join(60)
        s.close()
    server.stop()
    assert capture.count(f"tcp.window_size_value == 0 && {LINUX} && "
                         "tcp.flags.reset == 0") > 0
    assert capture.count("tcp.flags.reset == 1") == 0


@test
def each_side_may_close_its_half_first():
    namespace = tap_namespace()
    server = echo(namespace)
    with namespace.inside(), connect(GUEST, 7, server) as s:
        s.sendall(b"a")
        s.shutdown(socket.SHUT_WR)
        assert receive_all(s) == b"a"
    server.stop()
    ours = Ours(namespace)

    def late_answer(connection):
        assert receive_all(connection) == b"done"
        time.sleep(0.5)
        connection.sendall(DATA[:100000])

    with linux_server(namespace, late_answer):
        s = ours.connect(HOST, PORT)
        ours.write(s, b"done")
        ours.call("shutdown", s, socket.SHUT_WR)
        assert ours.read_all(s) == DATA[:100000]
        ours.call("close", s)

    def first_to_close(connection):
        connection.shutdown(socket.SHUT_WR)
        assert receive_all(connection) == DATA[:100000]

    with linux_server(namespace, first_to_close):
        s = ours.connect(HOST, PORT)
        assert ours.read_all(s) == b""
        ours.write(s, DATA[:100000])
        ours.call("close", s)
        with contextlib.suppress(OSError):
            ours.call("poll", None, 0, 500)
    ours.close()


@test
def a_path_that_gets_narrower_is_noticed_and_used():
    router, far = routed()
    server = echo(router, f"--gateway={HOST}")
    with Capture(router) as capture:
        with far.inside(), connect(GUEST, 7, server) as s:
            s.settimeout(60)
            half = SIZE // 2
            s.sendall(b"y" * 1000)
            assert s.recv(1000)
            # Only from the router on: both ends still offer 1460.
            router.ip("link", "set", "veth1", "mtu", "900")
            assert len(exchange(s, DATA[:half])) >= half
    server.stop()
    assert capture.count("icmp.type == 3 && icmp.code == 4") > 0
    assert capture.count(f"{OURS} && ip.len <= 900 && tcp.len > 800") > 0
    # What was too long was noticed once or twice, not with every segment.
    assert capture.count("icmp.type == 3 && icmp.code == 4") < 40


@test
def a_tap_that_gave_another_large_frames_gives_ours_ordinary_ones():
    tun_set_iff, tun_set_offload = 0x400454ca, 0x400454d0
    tap, no_pi, vnet_hdr = 0x0002, 0x1000, 0x4000
    checksum, tso4 = 1, 2
    namespace = tap_namespace()
    with namespace.inside(), open("/dev/net/tun", "r+b", buffering=0) as tun:
        fcntl.ioctl(tun, tun_set_iff, struct.pack(
            "16sH22x", b"tap0", tap | no_pi | vnet_hdr))
        fcntl.ioctl(tun, tun_set_offload, checksum | tso4)
    with linux_server(namespace, lambda c: c.sendall(DATA)):
        ours = Ours(namespace)
        assert ours.read_all(ours.connect(HOST, PORT)) == DATA
        ours.close()


@test
def a_tap_that_is_not_there_or_down_is_named_and_none_is_made():
    namespace = tap_namespace()
    namespace.ip("link", "set", "tap0", "down")
    for tap, error in (("tap0", errno.ENETDOWN), ("tap1", errno.ENODEV)):
        try:
            Ours(namespace, tap)
        except AssertionError as refused:
            assert f"tap {tap}: {os.strerror(error)}" in str(refused)
        else:
            raise AssertionError(f"{tap} was attached to")


@test
def tshark_finds_nothing_malformed():
    namespace = tap_namespace()
    server = echo(namespace)
    with Capture(namespace) as capture:
        with namespace.inside(), connect(GUEST, 7, server) as s:
            s.settimeout(60)
            assert exchange(s, DATA[:200000]) == DATA[:200000]
            with contextlib.suppress(OSError):
                socket.create_connection((GUEST, 9), timeout=5)
            command("ping", "-c3", "-i0.2", GUEST)
    server.stop()
    assert capture.count(f"{OURS}") > 10
    assert capture.count(f"_ws.malformed && {OURS}") == 0


run(need_namespaces)
