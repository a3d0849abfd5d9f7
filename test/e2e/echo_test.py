#!/usr/bin/env python3
"""echo on spt and unix, through a tap: TCP and UDP in both directions."""
import os
import socket
import statistics
import threading
import time

from lib import (GUEST, PREFIX, Namespace, connect, need, need_namespaces,
                 receive, run, sha256, start, test)

PORT = 7
servers = {}


def setup():
    need_namespaces()
    for target in ("spt", "unix"):
        namespace = Namespace()
        namespace.tap("tap0")
        server = start("echo", target, f"--ipv4={GUEST}/{PREFIX}",
                       namespace=namespace, net="tap:tap0")
        servers[target] = namespace, server
    for namespace, server in servers.values():
        with namespace.inside():
            connect(GUEST, PORT, server).close()


def each():
    for target, (namespace, server) in servers.items():
        with namespace.inside():
            yield target, namespace, server


@test
def tcp_gives_back_what_it_got():
    data = os.urandom(4 << 20)
    for target, _, server in each():
        with connect(GUEST, PORT, server) as s:
            # A thread keeps the namespace it was started in.
            sender = threading.Thread(target=lambda: (
                s.sendall(data), s.shutdown(socket.SHUT_WR)))
            sender.start()
            back = receive(s, len(data))
            sender.join()
            assert sha256(back) == sha256(data), (target, len(back))
            assert s.recv(1) == b"", f"{target}: more than was sent"


@test
def one_byte_after_another_does_not_stall():
    # Not a timing test: with a delayed acknowledgement (40 ms) or a timeout
    # (200 ms) in each turn all would take so long; on a busy machine few do.
    turns = 200
    for target, _, server in each():
        with connect(GUEST, PORT, server) as s:
            took = []
            for i in range(turns):
                began = time.monotonic()
                s.sendall(bytes([i]))
                assert s.recv(1) == bytes([i])
                took.append(time.monotonic() - began)
        assert statistics.median(took) < 0.040, (target, took)


@test
def two_writes_for_one_answer_do_not_stall():
    # The write-write-read of a request in two pieces, with Nagle's algorithm
    # on at the client.
    turns = 100
    for target, _, server in each():
        with connect(GUEST, PORT, server) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
            took = []
            for _ in range(turns):
                began = time.monotonic()
                s.sendall(b"a")
                s.sendall(b"b")
                assert receive(s, 2) == b"ab"
                took.append(time.monotonic() - began)
        assert statistics.median(took) < 0.040, (target, took)


@test
def many_connections_are_served_at_once():
    for _, _, server in each():
        connections = [connect(GUEST, PORT, server) for _ in range(200)]
        for i, s in enumerate(connections):
            s.sendall(b"connection %d" % i)
        for i, s in enumerate(connections):
            expected = b"connection %d" % i
            assert receive(s, len(expected)) == expected
            s.close()


@test
def udp_gives_back_datagrams_of_every_size():
    for target, _, server in each():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(20)
            s.connect((GUEST, PORT))
            for size in (0, 1, 100, 1472, 1473, 4000, 20000, 65507):
                data = os.urandom(size)
                s.send(data)
                back = s.recv(70000)
                assert sha256(back) == sha256(data), (target, size, len(back))


@test
def nc_talks_to_both():
    need("nc")
    for target, namespace, _ in each():
        for flags in (["-N"], ["-u"]):
            result = namespace.run("nc", *flags, "-w", "2", GUEST, str(PORT),
                                   stdin=None, input="hello\n", check=False)
            assert result.stdout == "hello\n", (target, flags, result.stdout)


run(setup)
