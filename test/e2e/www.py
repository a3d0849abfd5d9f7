"""www over a tap, from Ethernet to HTTP: what www_spt_test.py and
www_unix_test.py run, each for its target.
"""
import re
import socket

from lib import (GUEST, HOST, PREFIX, Namespace, command, connect, need,
                 need_namespaces, quiet, receive_all, request, run, site_file,
                 start, test)

GET = "GET / HTTP/1.1\r\nHost: www\r\n\r\n"

target = None
server = None
namespace = None


def setup():
    global server, namespace
    need_namespaces()
    namespace = Namespace()
    namespace.tap("tap0")
    server = start("www", target, f"--ipv4={GUEST}/{PREFIX}",
                   namespace=namespace, net="tap:tap0")
    with namespace.inside():
        connect(GUEST, 80, server).close()


def main(which):
    global target
    target = which
    run(setup)


def ask(text, method="GET"):
    """One request on a connection of its own."""
    with namespace.inside(), connect(GUEST, 80, server) as s:
        return request(s, text, method)


# ---- below HTTP

@test
def ping_is_answered_at_every_size():
    need("ping")
    for size in (0, 1, 56, 1472, 1473, 3000, 20000, 65507):
        result = namespace.run("ping", "-c", "2", "-i", "0.2", "-W", "10",
                               "-s", str(size), GUEST, check=False)
        assert " 0% packet loss" in result.stdout, \
            f"size {size}:\n{result.stdout}\n{server.output()}"


@test
def a_port_nobody_listens_on_refuses():
    with namespace.inside():
        try:
            socket.create_connection((GUEST, 81), timeout=10).close()
        except ConnectionRefusedError:
            return
    raise AssertionError("accepted")


@test
def a_udp_port_nobody_listens_on_is_reported_unreachable():
    with namespace.inside(), \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(10)
        s.connect((GUEST, 9))
        s.send(b"anyone?")
        try:
            s.recv(100)
        except ConnectionRefusedError:
            return
    raise AssertionError("answered")


# ---- HTTP

@test
def the_index_page_is_what_the_site_holds():
    status, headers, body = ask(GET)
    assert status == 200 and body == site_file("index.html")
    assert headers["Content-Type"].startswith("text/html")
    assert int(headers["Content-Length"]) == len(body)


@test
def what_does_not_exist_is_404():
    status, _, _ = ask("GET /no/such/page HTTP/1.1\r\nHost: www\r\n\r\n")
    assert status == 404, status


@test
def head_has_the_headers_of_get_and_no_body():
    _, of_get, body = ask(GET)
    status, of_head, nothing = ask("HEAD / HTTP/1.1\r\nHost: www\r\n\r\n",
                                   "HEAD")
    assert status == 200 and nothing == b""
    assert of_head["Content-Length"] == str(len(body))
    assert of_head["ETag"] == of_get["ETag"]


@test
def an_unchanged_page_is_304_without_a_body():
    _, headers, _ = ask(GET)
    status, again, body = ask("GET / HTTP/1.1\r\nHost: www\r\n"
                              f"If-None-Match: {headers['ETag']}\r\n\r\n")
    assert (status, body) == (304, b""), status
    assert again["ETag"] == headers["ETag"]
    status, _, _ = ask("GET / HTTP/1.1\r\nHost: www\r\n"
                       'If-None-Match: "another"\r\n\r\n')
    assert status == 200, status


@test
def a_range_is_a_part_of_the_page():
    page = site_file("index.html")
    for wanted, part in (("0-9", page[:10]), ("10-19", page[10:20]),
                         ("-7", page[-7:]), ("5-", page[5:])):
        status, headers, body = ask("GET / HTTP/1.1\r\nHost: www\r\n"
                                    f"Range: bytes={wanted}\r\n\r\n")
        assert status == 206 and body == part, (wanted, status)
        assert headers["Content-Range"].endswith(f"/{len(page)}")
    status, _, _ = ask("GET / HTTP/1.1\r\nHost: www\r\n"
                       "Range: bytes=99999999-\r\n\r\n")
    assert status == 416, status


@test
def a_connection_serves_one_request_after_another():
    page = site_file("index.html")
    with namespace.inside(), connect(GUEST, 80, server) as s:
        for _ in range(100):
            status, _, body = request(s, GET)
            assert status == 200 and body == page


@test
def requests_in_a_row_are_answered_in_order():
    page = site_file("index.html")
    row = (GET + "GET /nothing HTTP/1.1\r\nHost: www\r\n\r\n") * 50
    last = "GET / HTTP/1.1\r\nHost: www\r\nConnection: close\r\n\r\n"
    with namespace.inside(), connect(GUEST, 80, server) as s:
        s.sendall((row + last).encode())
        data = receive_all(s)
    statuses = re.findall(rb"HTTP/1\.1 (\d+)", data)
    assert statuses == [b"200", b"404"] * 50 + [b"200"], statuses
    assert data.count(page) == 51 and data.endswith(page)


@test
def connection_close_and_http_1_0_end_the_connection():
    for text in ("GET / HTTP/1.1\r\nHost: www\r\nConnection: close\r\n\r\n",
                 "GET / HTTP/1.0\r\n\r\n"):
        with namespace.inside(), connect(GUEST, 80, server) as s:
            s.sendall(text.encode())
            data = receive_all(s)
        assert data.startswith(b"HTTP/1.1 200"), data[:100]
        assert data.endswith(site_file("index.html"))


@test
def a_request_may_come_byte_by_byte():
    with namespace.inside(), connect(GUEST, 80, server) as s:
        for byte in GET[:-1].encode():
            s.sendall(bytes([byte]))
        status, _, _ = request(s, GET[-1])
        assert status == 200, status


@test
def malformed_and_smuggling_requests_are_400_and_closed():
    bad = {
        "no version": "GET /\r\n\r\n",
        "no host": "GET / HTTP/1.1\r\n\r\n",
        "two hosts": "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "space before the colon":
            "GET / HTTP/1.1\r\nHost : www\r\n\r\n",
        "a folded header": "GET / HTTP/1.1\r\nHost: www\r\nA: b\r\n c\r\n\r\n",
        "two lengths": "POST / HTTP/1.1\r\nHost: www\r\nContent-Length: 1\r\n"
                       "Content-Length: 2\r\n\r\nab",
        "a length and chunks":
            "POST / HTTP/1.1\r\nHost: www\r\nContent-Length: 4\r\n"
            "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "a negative length":
            "POST / HTTP/1.1\r\nHost: www\r\nContent-Length: -1\r\n\r\n",
        "a length with a sign":
            "POST / HTTP/1.1\r\nHost: www\r\nContent-Length: +1\r\n\r\na",
        "a zero byte": "GET /\0 HTTP/1.1\r\nHost: www\r\n\r\n",
        "a chunk size that is none":
            "POST / HTTP/1.1\r\nHost: www\r\n"
            "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "garbage": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    }
    wrong = []
    for what, text in bad.items():
        with namespace.inside(), connect(GUEST, 80, server) as s:
            # What follows must not be taken for a request of its own.
            s.sendall((text + GET).encode("latin-1"))
            try:
                data = receive_all(s)
            except ConnectionResetError:
                data = b"reset"
            except TimeoutError:
                data = b"neither answered nor closed"
        statuses = re.findall(rb"HTTP/1\.1 (\d+)", data)
        if statuses != [b"400"]:
            wrong.append((what, statuses or data[:60]))
    assert not wrong, wrong


@test
def no_path_leads_out_of_the_site():
    for path in ("/../../etc/passwd", "/%2e%2e/config.c", "//etc/passwd",
                 "/./../www.c", "/..%2f..%2fwww.c"):
        status, _, _ = ask(f"GET {path} HTTP/1.1\r\nHost: www\r\n\r\n")
        assert status in (400, 404), (path, status)


@test
def headers_without_end_are_refused():
    with namespace.inside(), connect(GUEST, 80, server) as s:
        try:
            s.sendall(b"GET / HTTP/1.1\r\nHost: www\r\nX: " +
                      b"a" * 1000000 + b"\r\n\r\n")
            data = receive_all(s)
        except (ConnectionResetError, BrokenPipeError):
            return  # refused, and our last bytes met a closed connection
    assert data[:12] in (b"HTTP/1.1 431", b"HTTP/1.1 400"), data[:100]


@test
def an_idle_connection_stays_open_while_others_are_served():
    with namespace.inside(), connect(GUEST, 80, server) as idle:
        assert ask(GET)[0] == 200
        assert quiet(idle, 0.3)
        assert request(idle, GET)[0] == 200


# ---- other people's clients

@test
def curl_fetches_the_page():
    need("curl")
    result = namespace.run("curl", "-fsS", "--max-time", "20",
                           f"http://{GUEST}/")
    assert result.stdout.encode() == site_file("index.html")
    missing = namespace.run("curl", "-fsS", "--max-time", "20",
                            f"http://{GUEST}/nothing", check=False)
    assert missing.returncode == 22, missing.stdout


@test
def curl_posts_in_chunks_and_expects_to_be_told():
    need("curl")
    result = namespace.run(
        "curl", "-sS", "--max-time", "20", "-o", "/dev/null", "-w",
        "%{http_code}", "-H", "Transfer-Encoding: chunked", "-H",
        "Expect: 100-continue", "--data-binary", "x" * 5000,
        f"http://{GUEST}/", "--next", "-sS", "--max-time", "20", "-o",
        "/dev/null", "-w", " %{http_code}", f"http://{GUEST}/")
    assert result.stdout == "405 200", result.stdout


@test
def nc_fetches_the_page():
    need("nc")
    result = namespace.run("nc", "-N", "-w", "10", GUEST, "80", stdin=None,
                           input="GET / HTTP/1.0\r\n\r\n")
    assert result.stdout.startswith("HTTP/1.1 200"), result.stdout[:100]


@test
def wrk_with_64_connections_sees_no_error():
    need("wrk")
    result = namespace.run("wrk", "-t1", "-c64", "-d2s", f"http://{GUEST}/")
    assert "Socket errors" not in result.stdout, result.stdout
    assert "Non-2xx" not in result.stdout, result.stdout
    count = int(re.search(r"(\d+) requests in", result.stdout).group(1))
    assert count > 0, result.stdout


@test
def interrupted_it_ends_and_nothing_of_it_remains():
    import os
    import signal
    processes = server.children()
    server.stop(signal.SIGINT)
    left = [pid for pid in processes if os.path.exists(f"/proc/{pid}")]
    assert not left, command("ps", "-p", ",".join(map(str, left)),
                             check=False).stdout
