#!/usr/bin/env python3
"""User-mode networking: unikernels behind fata-nat, without taps or root."""
import os
import signal
import socket

from lib import (command, connect, free_port, need, receive, request, run,
                 site_file, start, test)


def page_on(target):
    port = free_port()
    server = start("www", target, net="nat", publish=[f"{port}:80"])
    with connect("127.0.0.1", port, server) as s:
        status, _, body = request(s, "GET / HTTP/1.1\r\nHost: w\r\n\r\n")
    assert status == 200 and body == site_file("index.html")
    return server, port


def ends_whole(server, sig):
    processes = server.children()
    assert len(processes) > 1, "the tender and fata-nat at least"
    os.kill(server.pid, sig)  # as a user ends it: only what he started
    server.wait(10)
    left = [pid for pid in processes if os.path.exists(f"/proc/{pid}")]
    assert not left, command("ps", "-f", "-p", ",".join(map(str, left)),
                             check=False).stdout


@test
def www_on_spt_serves_its_page_through_a_published_port():
    server, _ = page_on("spt")
    ends_whole(server, signal.SIGINT)


@test
def www_on_unix_serves_its_page_through_a_published_port():
    server, _ = page_on("unix")
    ends_whole(server, signal.SIGTERM)


@test
def curl_and_wrk_find_no_fault():
    need("curl", "wrk")
    server, port = page_on("spt")
    url = f"http://127.0.0.1:{port}/"
    body = command("curl", "-fsS", "--max-time", "20", url).stdout
    assert body.encode() == site_file("index.html")
    result = command("wrk", "-t1", "-c16", "-d1s", url).stdout
    assert "Socket errors" not in result and "Non-2xx" not in result, result
    server.stop()


@test
def tcp_and_udp_of_echo_are_published_side_by_side():
    tcp, udp = free_port(), free_port(socket.SOCK_DGRAM)
    server = start("echo", "spt", net="nat",
                   publish=[f"{tcp}:7", f"{udp}:7/udp"])
    data = os.urandom(300000)
    with connect("127.0.0.1", tcp, server) as s:
        for i in range(0, len(data), 10000):
            s.sendall(data[i:i + 10000])
            assert receive(s, 10000) == data[i:i + 10000]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(20)
        s.connect(("127.0.0.1", udp))
        # fata-nat passes on no fragments, for libslirp's sake.
        for size in (1, 1000, 1472):
            s.send(data[:size])
            assert s.recv(70000) == data[:size]
    server.stop()


@test
def nat_is_what_run_chooses_by_itself():
    port = free_port()
    server = start("www", "spt", publish=[f"{port}:80"])
    with connect("127.0.0.1", port, server) as s:
        assert request(s, "GET / HTTP/1.1\r\nHost: w\r\n\r\n")[0] == 200
    server.stop()


@test
def a_busy_port_is_named_with_a_remedy():
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = start("www", "spt", net="nat", publish=[f"{port}:80"])
        status = server.wait(20)
    assert status != 0
    text = server.output()
    assert str(port) in text and "in use" in text, text
    assert "--publish" in text, text


run()
