#!/usr/bin/env python3
"""Transfers over a wire that loses 5 %, repeats 5 % and reorders 10 % of the
frames arrive whole, in both directions.

# test: limit 400
"""
import os
import re
import random
import shutil
import socket
import threading

from lib import (FATA, GUEST, HOST, PREFIX, ROOT, Namespace, Process, command,
                 connect, folder, need_namespaces, receive, receive_all,
                 request, run, sha256, start, test)

RELAY = os.path.join(ROOT, "build/test/relay")
SIZE = 1 << 20
DATA = random.Random(1).randbytes(SIZE)


def bad_wire(seed):
    """A namespace whose `wire` leads over the relay to the taps `tap0`."""
    namespace = Namespace()
    namespace.tap("tap0", None)
    relay = Process(RELAY, "wire", "tap0", "5", "5", "10", str(seed),
                    namespace=namespace)
    relay.wait_for("ready")
    namespace.up("wire", f"{HOST}/{PREFIX}")
    return namespace, relay


def faulty(relay):
    """The wire must really have been bad.

    Large frames are few, so that one way there may be none of a kind.
    """
    relay.stop()
    for word in ("lost", "doubled", "overtaken"):
        ways = re.findall(rf"(\d+) {word}", relay.output())
        assert len(ways) == 2 and ways != ["0", "0"], relay.output()


@test
def a_download_from_www_arrives_whole():
    www = os.path.join(folder(), "www")
    shutil.copytree(os.path.join(ROOT, "examples/www"), www,
                    ignore=shutil.ignore_patterns("dist", ".fata"))
    with open(os.path.join(www, "site/data.bin"), "wb") as f:
        f.write(DATA)
    command(FATA, "configure", "-t", "spt", cwd=www)
    command(FATA, "build", cwd=www)
    namespace, relay = bad_wire(1)
    server = Process(FATA, "run", "--net", "tap:tap0", "--",
                     f"--ipv4={GUEST}/{PREFIX}", namespace=namespace, cwd=www)
    with namespace.inside(), connect(GUEST, 80, server) as s:
        s.settimeout(120)
        status, _, body = request(
            s, "GET /data.bin HTTP/1.1\r\nHost: w\r\n\r\n")
        assert status == 200, status
        assert sha256(body) == sha256(DATA), len(body)
        s.sendall(b"GET /data.bin HTTP/1.1\r\nHost: w\r\n"
                  b"Connection: close\r\n\r\n")
        assert sha256(receive_all(s)[-SIZE:]) == sha256(DATA)
    server.stop()
    faulty(relay)


def upload_and_back(target, seed):
    namespace, relay = bad_wire(seed)
    server = start("echo", target, f"--ipv4={GUEST}/{PREFIX}",
                   namespace=namespace, net="tap:tap0")
    with namespace.inside(), connect(GUEST, 7, server) as s:
        s.settimeout(120)
        sender = threading.Thread(target=lambda: (
            s.sendall(DATA), s.shutdown(socket.SHUT_WR)))
        sender.start()
        back = receive(s, SIZE)
        sender.join()
        assert sha256(back) == sha256(DATA), len(back)
        assert s.recv(1) == b""
    server.stop()
    faulty(relay)


@test
def an_upload_to_echo_on_spt_comes_back_whole():
    upload_and_back("spt", 2)


@test
def an_upload_to_echo_on_unix_comes_back_whole():
    upload_and_back("unix", 3)


run(need_namespaces)
