#!/usr/bin/env python3
"""fata audit: what it refuses, what it prints, and its cases against Linux,
which stands for what is required, and against www.

AUDIT_SECONDS=10 makes every flood that long, and runs the cases that take
long too: `make soak` does so.
"""
import functools
import http.server
import json
import os
import signal
import socket
import sys

from lib import (FATA, GUEST, PREFIX, Namespace, Process, command, connect,
                 need, need_namespaces, run, start, test, until)

SOAK = int(os.environ.get("AUDIT_SECONDS", "0"))
SECONDS = str(SOAK or 1)
RATE = "200000" if SOAK else "20000"
# What the gate has no time for: they wait for timers, or send very much.
SLOW = set() if SOAK else {"zero_window", "big_ping", "arp_poison", "ackflood",
                           "arp_flood", "nd_flood", "option_lengths",
                           "icmp_errors", "syn_est", "closed_port"}
# What Linux does not do: put fragments together right after very many; and, on
# a busy machine, echo again soon after so many echoes of 64 KB.
LINUX_FAILS = {"frag_flood", "pingflood"}

sides = {}


def setup():
    need_namespaces()
    sides["tester"] = Namespace()


def audit(target, *words, namespace=None, timeout=580):
    runner = namespace.run if namespace else command
    return runner(FATA, "audit", target, *words, check=False, timeout=timeout)


def cases():
    listed = json.loads(command(FATA, "audit", "--list", "--json").stdout)
    return [case["name"] for case in listed]


def begin(target, namespace, but=()):
    """Run all the cases there is time for, in the background."""
    words = ["--json", "--seconds", SECONDS, "--rate", RATE]
    if not SOAK:
        words += ["--connections", "500"]
    for name in cases():
        if name not in SLOW and name not in but:
            words += ["--case", name]
    return Process(FATA, "audit", target, *words, namespace=namespace)


def report(process):
    """Its end: what each case said, by its name."""
    status = process.wait(580)
    try:
        all_of_it = json.loads(process.output())
    except ValueError:
        raise AssertionError(process.output()) from None
    found = {case["name"]: case for case in all_of_it["cases"]}
    failed = [case for case in found.values() if case["verdict"] == "FAIL"]
    assert status == (1 if failed else 0), status
    assert all_of_it["failed"] == len(failed)
    return found


def failures(found):
    return {name: case["seen"] for name, case in found.items()
            if case["verdict"] == "FAIL"}


# ---- whom it refuses

@test
def every_address_of_others_is_refused_before_anything_is_sent():
    trace = sides["tester"]
    for address in ("8.8.8.8", "1.1.1.1", "172.32.0.1", "192.169.1.1",
                    "100.64.0.1", "224.0.0.1", "255.255.255.255", "0.0.0.0",
                    "2001:db8::1", "ff02::1", "::", "::ffff:8.8.8.8",
                    "::8.8.8.8", "64:ff9b::10.0.0.1", "2002:a00:1::",
                    "fec0::1"):
        result = audit(address, "--interface", "lo", namespace=trace)
        assert result.returncode == 64, (address, result.stdout)
        assert f"{address} is refused" in result.stdout, result.stdout
    counted = trace.run("cat", "/proc/net/dev").stdout
    assert "lo:       0       0" in counted, counted


@test
def what_is_no_plain_address_is_refused_too():
    for text in ("localhost", "example.com", "0x0a000001", "010.0.0.1",
                 "10.1", "10.0.0.1/24", "10.0.0.1:80", "10.0.0.1.nip.io", "",
                 "[::1]", "10.0.0.256"):
        result = audit(text)
        assert result.returncode == 64, (text, result.stdout)
        assert "is not an address" in result.stdout, result.stdout


@test
def bounds_and_names_are_checked():
    for words, said in ((["--rate", "1000001"], "--rate is a number"),
                        (["--seconds", "61"], "--seconds is a number"),
                        (["--seconds", "0"], "--seconds is a number"),
                        (["--connections", "10001"], "--connections is"),
                        (["--port", "65536"], "--port is a number"),
                        (["--case", "sinflood"], "did you mean synflood?"),
                        (["--path", "x"], "--path is a path"),
                        (["10.0.0.2"], "one address is wanted")):
        result = audit("10.0.0.1", *words)
        assert result.returncode == 64, result.stdout
        assert said in result.stdout, result.stdout


@test
def this_machine_itself_is_no_target():
    own = sides["tester"]
    own.ip("addr", "add", "10.78.0.1/24", "dev", "lo")
    for address, said in (("127.0.0.1", "is this machine"),
                          ("::1", "is this machine"),
                          ("10.78.0.1", "is an address of this machine")):
        result = audit(address, namespace=own)
        assert result.returncode == 1 and said in result.stdout, result.stdout


@test
def without_the_capability_the_error_names_it():
    need("setpriv")
    result = command("setpriv", "--bounding-set=-net_raw", "--inh-caps=-all",
                     FATA, "audit", "10.0.0.1", "--interface", "lo",
                     check=False)
    assert result.returncode == 1 and "CAP_NET_RAW" in result.stdout, \
        result.stdout


@test
def cases_are_listed_with_what_they_require():
    text = command(FATA, "audit", "--list").stdout
    names = cases()
    assert len(names) == len(set(names)) >= 40, names
    for name in names:
        assert name in text
    assert text.count("must: ") == len(names)


# ---- Linux

class Page(http.server.BaseHTTPRequestHandler):
    """A server that keeps connections, as the kernel's stack needs one."""
    protocol_version = "HTTP/1.1"
    body = bytes(range(32, 127)) * 80

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    request_queue_size = 1024

    def handle_error(self, *_):
        pass  # that clients vanish is what the cases are about


def serve():
    Page.log_message = lambda *_: None
    Server(("::", 80), Page).serve_forever()


def linux():
    """A namespace with a server, at the other end of a wire."""
    if "linux" not in sides:
        tester = sides["tester"]
        other = Namespace()
        tester.ip("link", "add", "wire", "type", "veth", "peer", "name",
                  "wire", "netns", other.name)
        other.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=0",
                  "net.ipv6.conf.default.disable_ipv6=0",
                  "net.ipv6.conf.wire.disable_ipv6=0", check=False)
        for side, last in ((tester, "1"), (other, "2")):
            side.ip("addr", "add", f"10.79.0.{last}/24", "dev", "wire")
            side.ip("link", "set", "wire", "up")
        other.ip("-6", "addr", "add", "fd79::2/64", "dev", "wire", "nodad")
        server = Process(sys.executable, os.path.abspath(__file__), "--serve",
                         namespace=other)
        with tester.inside():
            connect("10.79.0.2", 80, server).close()
        sides["linux"] = server
    return sides["tester"]


OF_IPV6 = ("checksums", "rst", "frag", "nd_options", "extension_headers",
           "tiny_fragments", "mss_floor", "land", "ra_flood", "too_big",
           "redirects")


def passes_ipv6(target, interface, namespace):
    words = [word for name in OF_IPV6 for word in ("--case", name)]
    result = audit(target, *words, "--interface", interface,
                   namespace=namespace)
    assert result.returncode == 0, result.stdout
    assert result.stdout.count("PASS") == len(OF_IPV6), result.stdout


@test
def linux_passes_the_cases_of_ipv6():
    passes_ipv6("fd79::2", "wire", linux())


@test
def www_passes_the_cases_of_ipv6():
    namespace = Namespace()
    namespace.tap("tap0")
    server = start("www", "unix-san", f"--ipv4={GUEST}/{PREFIX}",
                   "--ipv6=fd77::2/64", namespace=namespace, net="tap:tap0")
    with namespace.inside():
        connect(GUEST, 80, server).close()
    passes_ipv6("fd77::2", "tap0", namespace)
    assert server.running(), server.output()
    server.stop()


@test
def interrupted_it_ends_at_once_and_leaves_no_flood_behind():
    process = Process(FATA, "audit", "10.79.0.2", "--case", "synflood",
                      "--seconds", "60", "--rate", "1000",
                      namespace=linux())
    until(lambda: len(process.children()) >= 2,  # the flood's own process
          process.output)
    pids = process.children()
    os.kill(process.pid, signal.SIGINT)
    assert process.wait() == 130, process.output()
    assert "interrupted" in process.output()
    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))


@test
def two_runs_with_one_seed_send_the_same_number_of_frames():
    seen = []
    for _ in range(2):
        result = audit("10.79.0.2", "--json", "--case", "malformed", "--seed",
                       "7", namespace=linux())
        seen.append(json.loads(result.stdout)["cases"][0]["seen"])
    assert seen[0] == seen[1] and "--seed 7" in seen[0], seen


# ---- everything, first against Linux alone, then against two www at once:
# they mostly wait

@test
def linux_passes_what_its_stack_is_known_to_pass():
    found = report(begin("10.79.0.2", linux(), {"slow_headers", "halfopen"}))
    assert failures(found).keys() <= LINUX_FAILS, failures(found)
    passed = sum(case["verdict"] == "PASS" for case in found.values())
    assert passed >= 20, found


def www(target):
    namespace = Namespace()
    namespace.tap("tap0")
    server = start("www", target, f"--ipv4={GUEST}/{PREFIX}",
                   namespace=namespace, net="tap:tap0")
    with namespace.inside():
        connect(GUEST, 80, server).close()
    return begin(GUEST, namespace), server


@functools.cache
def begin_www():
    return {target: www(target) for target in ("unix-san", "spt")}


def www_passes(target):
    process, server = begin_www()[target]
    found = report(process)
    assert server.running(), server.output()
    assert not failures(found), (failures(found), server.output()[-2000:])
    server.stop()


@test
def www_on_unix_with_sanitizers_passes_every_case():
    www_passes("unix-san")


@test
def www_on_spt_passes_every_case():
    www_passes("spt")


if "--serve" in sys.argv:
    serve()
run(setup)
