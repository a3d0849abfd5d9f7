"""The network figures: our stack over a tap, and at one end of a veth through
the rings of a packet socket, beside the host's own over a veth; and, where
FATA_BENCH_LWIP names one, beside lwIP on the same kind of tap. Of our two the
better one is held against what is asked of us beside the host's.

The lwIP program is started as `PROGRAM TAP ADDRESS/PREFIX`, says `ready` and
serves TCP ports 9 (discard), 19 (source) and 80 (HTTP: /index.html of 1 KB,
/page.html of 16 KB) and UDP port 7 (echo). None is part of this project: its
rows are skipped by name where there is none.
"""
import contextlib
import json
import os
import re
import signal

import harness
from harness import (ROOT, alternate, cpu_seconds, output, pin, say, version,
                     wait_quiet)

import lib

LOAD = os.path.join(ROOT, "build/bench/load")
PATH = os.path.join(ROOT, "build/bench/path")
MAC = "02:00:00:00:00:77"
LWIP = os.environ.get("FATA_BENCH_LWIP")
SERVER, CLIENT = 0, 1  # the CPUs they are kept on
KEEP = ("-H", "Connection: keep-alive")  # lwIP wants to be told
SIZES = {"index.html": 1024, "page.html": 16384}


def page(size):
    return (b"<!doctype html><title>bench</title>" + b"." * size)[:size]


def control(namespace, wanted="cubic"):
    """The same congestion control for every host that is compared, where the
    machine allows it; else that is said."""
    namespace.run("sysctl", "-qw", f"net.ipv4.tcp_congestion_control={wanted}",
                  check=False)
    if congestion(namespace) != wanted:
        say(f"    the hosts here use {congestion(namespace)}: "
            f"net.ipv4.tcp_allowed_congestion_control has no {wanted}")


def congestion(namespace):
    return namespace.run("sysctl", "-n",
                         "net.ipv4.tcp_congestion_control").stdout.strip()


def offloads(namespace, interface, on):
    lib.need("ethtool")
    state = "on" if on else "off"
    namespace.run("ethtool", "-K", interface, "tso", state, "gso", state,
                  "gro", state, check=False)


class Server:
    """What is measured: where its client is, its address, its CPU time."""

    def __init__(self, client, address, processes, name):
        self.client, self.address, self.name = client, address, name
        self.processes = processes  # a function: their ids

    def cpu(self):
        total = 0
        for pid in self.processes():
            with contextlib.suppress(OSError):
                total += cpu_seconds(pid)
        return total

    def run(self, *words, count=None):
        """Run a client; its JSON and the server's CPU time for each unit."""
        before = self.cpu()
        text = output(*self.client.prefix, *words, preexec_fn=pin(CLIENT))
        spent = self.cpu() - before
        row = json.loads(text) if count is None else count(text)
        row["cpu_us"] = spent / row["count"] * 1e6 if row["count"] else 0
        return {key: row[key] for key in row if key != "count"}

    def bulk(self, direction, seconds):
        """Bytes per second; CPU in seconds a gigabyte."""
        row = self.run(LOAD, direction, self.address, str(seconds))
        return {"rate": row["rate"], "cpu_s_gb": row["cpu_us"] * 1e3}

    def echo(self, outstanding, seconds):
        return self.run(LOAD, "echo", self.address, str(seconds),
                        str(outstanding), "18")

    def http(self, name, connections, seconds, *headers):
        def count(text):
            rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])
            wrong = re.search(r"Socket errors.*|Non-2xx.*", text)
            if wrong:
                say(f"    wrk at {self.name}: {wrong[0]}")
            return {"rate": rate,
                    "count": int(re.search(r"(\d+) requests in", text)[1])}
        return self.run("wrk", "-t1", f"-c{connections}", f"-d{seconds}s",
                        *headers, f"http://{self.address}/{name}",
                        count=count)


def tap_client(number):
    """A namespace with a tap for one stack of its own."""
    client = lib.Namespace()
    control(client)
    client.tap("tap0", f"10.77.{number}.1/24")
    return client


TAP, RING = "over a tap", "over a packet ring"


def ours(image, number, *options, over=TAP, offload=True):
    """A unikernel on a tap or at one end of a veth, on the server's CPU.
    Without `offload` the interfaces have none."""
    address = f"10.77.{number}.2"
    if over == TAP:
        interface, source = "tap0", "tap0"
        client = server = tap_client(number)
    else:
        interface, source = "veth0", "packet:veth1"
        client, server = hosts(f"10.77.{number}.1/24", None)
    if not offload:
        offloads(client, interface, False)
    if not offload and over == RING:
        offloads(server, "veth1", False)
    process = lib.Process(
        os.path.join(ROOT, "build/fata-spt"), f"--net:service={source}",
        f"--net-mac:service={MAC}", *options, "--", image,
        f"--ipv4={address}/24", "--log=*:error", namespace=server,
        preexec_fn=pin(SERVER))
    client.ip("neigh", "replace", address, "lladdr", MAC, "dev", interface,
              "nud", "permanent")
    return Server(client, address, lambda: [process.find("fata-spt")], over)


def both(image, number, on_tap=(), on_ring=(), offload=True):
    """The same unikernel over either, with these options."""
    return [ours(image, number, *on_tap, offload=offload),
            ours(image, number + 2, *on_ring, over=RING, offload=offload)]


def lwip():
    """lwIP on a tap, or None."""
    if LWIP is None:
        return None
    client = tap_client(9)
    process = lib.Process(LWIP, "tap0", "10.77.9.2/24", namespace=client,
                          preexec_fn=pin(SERVER))
    process.wait_for("ready")
    return Server(client, "10.77.9.2", process.children, "lwIP")


def hosts(near="10.78.0.1/24", far="10.78.0.2/24"):
    """Two namespaces joined by a veth: the client's and the server's."""
    client, server = lib.Namespace(), lib.Namespace()
    output("ip", "link", "add", "veth0", "netns", client.name, "type", "veth",
           "peer", "name", "veth1", "netns", server.name)
    for namespace, interface, address in ((client, "veth0", near),
                                          (server, "veth1", far)):
        control(namespace)
        namespace.up(interface, address)
    return client, server


def linux(offload=True):
    """The host's own stack over veth, with the same services."""
    client, server = hosts()
    if not offload:
        offloads(client, "veth0", False)
        offloads(server, "veth1", False)
    process = lib.Process(LOAD, "serve", namespace=server,
                          preexec_fn=pin(SERVER))
    with client.inside():
        lib.connect("10.78.0.2", 9, process).close()
    return Server(client, "10.78.0.2", process.children,
                  f"Linux {os.uname().release}, veth"
                  + ("" if offload else " without offloads"))


NGINX = """
worker_processes 1;
daemon off;
error_log {folder}/error.log;
pid {folder}/pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    types {{ text/html html; }}
    sendfile on;
    tcp_nopush on;
    open_file_cache max=100;
    server {{ listen 80 backlog=4096; root {folder}/site; }}
}}
"""


def write_site(folder):
    os.makedirs(folder, exist_ok=True)
    for name, size in SIZES.items():
        with open(os.path.join(folder, name), "wb") as f:
            f.write(page(size))


def nginx():
    """nginx with one worker behind a veth, with its offloads."""
    lib.need("nginx")
    client, server = hosts()
    folder = lib.folder()
    os.chmod(folder, 0o755)
    write_site(f"{folder}/site")
    with open(f"{folder}/conf", "w", encoding="utf-8") as f:
        f.write(NGINX.format(folder=folder))
    master = lib.Process("nginx", "-c", f"{folder}/conf", "-p", folder,
                         namespace=server, preexec_fn=pin(SERVER))
    with client.inside():
        lib.connect("10.78.0.2", 80, master).close()
    worker = max(master.children())  # the master's only child
    name = version("nginx", "-v").removeprefix("nginx version: ")
    return Server(client, "10.78.0.2", lambda: [worker],
                  f"{name}, one worker, veth")


def compare(servers, run):
    """Medians of `run(server)`, the servers taking turns."""
    for server in servers:
        run(server)  # caches, congestion windows, page tables
    got = alternate(3 if harness.quick else 5, **{
        str(i): lambda server=server: run(server)
        for i, server in enumerate(servers)})
    return [got[str(i)] for i in range(len(servers))]


def peers(*servers):
    return [server for server in servers if server is not None]


def seconds(usual):
    return 1 if harness.quick else usual


class Network:
    """The figures; `figure`, `project` and `image` are bench.py's."""

    def __init__(self, figure, project, image):
        self.figure, self.project, self.image = figure, project, image

    def services(self):
        return both(self.image(self.project("services", folder="bench")), 0)

    def www(self):
        def small(path):
            site = os.path.join(path, "site")
            output("rm", "-r", site)
            write_site(site)
        return both(self.image(self.project("www", small)), 1)

    def ratio(self, name, mine, got, others, at_least, aim,
              unit="x the peer's rate", key="rate"):
        """A row for each of `mine` against each of `others`. What is asked
        is asked of the better of ours; lwIP is on a tap, too."""
        own, rest = got[:len(mine)], got[len(mine):]
        more = key == "rate"
        best = (max if more else min)(range(len(mine)),
                                      key=lambda i: own[i][key])
        for other, row, least, goal in zip(others, rest, at_least, aim):
            same = other.name == "lwIP"
            for i, server in enumerate(mine):
                if same and server.name != TAP:
                    continue
                judged = same or i == best
                self.figure(
                    f"{name}, {server.name}", own[i][key] / row[key], unit,
                    other.name, least if judged else None,
                    goal if judged else None, more,
                    ours_per_second=own[i]["rate"],
                    peer_per_second=row["rate"],
                    **{f"{who}_{cpu}": r[cpu] for who, r in
                       (("ours", own[i]), ("peer", row))
                       for cpu in ("cpu_us", "cpu_s_gb") if cpu in r})

    def bulk(self):
        """Bulk TCP, one stream, each way, with offloads."""
        mine, others = self.services(), peers(linux(), lwip())
        for direction, what, least, aim in (
                ("send", "receiving", (0.9, 1.0), (1.1, 1.2)),
                ("receive", "sending", (0.5, 6), (1.0, 12))):
            got = compare([*mine, *others],
                          lambda s: s.bulk(direction, seconds(2)))
            self.ratio(f"bulk TCP, {what}", mine, got, others, least, aim)

    def bulk_plain(self):
        """Bulk TCP, a frame for each segment."""
        image = self.image(self.project("services", folder="bench"))
        # Linux leaves checksums to a veth, whose ends need none.
        mine = both(image, 0, ["--net-offload:service=off"],
                    ["--net-offload:service=checksum"], offload=False)
        others = [linux(False)]
        # Its own stack hands segments of 64 KB to the kernel, which cuts them
        # above a device that cannot. Beside what is asked of us: so may ours.
        cut = ours(image, 4, over=RING, offload=False)
        for direction, what in (("send", "receiving"), ("receive", "sending")):
            name = f"bulk TCP without offloads, {what}"
            servers = [*mine, *others] + [cut] * (what == "sending")
            got = compare(servers, lambda s: s.bulk(direction, seconds(2)))
            self.ratio(name, mine, got, others, (0.9,), (1.2,))
            if what == "sending":
                self.ratio(f"{name}, cut by the host's kernel", [cut],
                           [got[3], got[2]], others, (None,), (None,))

    def http(self):
        """HTTP keep-alive, 64 connections, pages of 1 and 16 KB."""
        lib.need("wrk")
        mine, others = self.www(), peers(nginx(), lwip())
        got = compare([*mine, *others],
                      lambda s: s.http("index.html", 64, seconds(3), *KEEP))
        self.ratio("HTTP keep-alive, 64 connections, 1 KB", mine, got, others,
                   (2.2, 1.1), (3, 1.5))
        self.ratio("the same, server CPU per request", mine, got, others[:1],
                   (0.45,), (0.25,), "x the peer's", "cpu_us")
        got = compare([*mine, *others],
                      lambda s: s.http("page.html", 64, seconds(3), *KEEP))
        self.ratio("HTTP keep-alive, 64 connections, 16 KB", mine, got, others,
                   (1.0, 3), (2, 6))

    def http_one(self):
        """HTTP, one connection, one request after another."""
        lib.need("wrk")
        mine, others = self.www(), [nginx()]
        got = compare([*mine, *others],
                      lambda s: s.http("index.html", 1, seconds(3), *KEEP))
        self.ratio("HTTP, one connection, one request after another", mine,
                   got, others, (1.5,), (2.2,))

    def http_short(self):
        """HTTP, a connection for each request, 16 at a time, held long."""
        lib.need("wrk")
        mine, others = self.www()[:1], [nginx()]
        held = 5 if harness.quick else 60
        got = [s.http("index.html", 16, held, "-H", "Connection: close")
               for s in [*mine, *others]]
        self.ratio(f"HTTP, a connection a request, 16 at a time, {held} s",
                   mine, got, others, (1.0,), (2,))

    def udp(self):
        """UDP echo of 18 bytes, 32 and 1 outstanding."""
        mine, others = self.services(), peers(linux(), lwip())
        for outstanding, least, aim in ((32, 1.6, 2), (1, 1.5, 2)):
            got = compare([*mine, *others],
                          lambda s: s.echo(outstanding, seconds(2)))
            self.ratio(f"UDP echo, {outstanding} outstanding", mine, got,
                       others, (least, None), (aim, None))

    def goodput(self):
        """Goodput over a path of 50 ms with 1 and 5 % loss."""
        image = self.image(self.project("services", folder="bench"))
        # As we are; and with the algorithm that every Linux has and allows.
        for loss, mine, theirs in ((1, "cubic", "cubic"), (5, "cubic", "cubic"),
                                   (1, "newreno", "reno"),
                                   (5, "newreno", "reno")):
            client, server = lib.Namespace(), lib.Namespace()
            for namespace in (client, server):
                control(namespace, theirs)
            alike = congestion(server) == theirs
            path = lib.Process(PATH, client.name, "far", server.name, "near",
                               str(loss * 10), "25000", "1",
                               preexec_fn=pin(SERVER))
            path.wait_for("ready")
            client.up("far", "10.79.0.1/24")
            server.ip("link", "add", "bridge0", "type", "bridge")
            server.tap("tap0", None)
            for port in ("near", "tap0"):
                server.ip("link", "set", port, "up", "master", "bridge0")
            server.up("bridge0", "10.79.0.3/24")
            unikernel = lib.Process(
                os.path.join(ROOT, "build/fata-spt"), "--net:service=tap0",
                f"--net-mac:service={MAC}", "--", image,
                "--ipv4=10.79.0.2/24", "--log=*:error",
                f"--congestion={mine}", namespace=server)
            host = lib.Process(LOAD, "serve", namespace=server)
            servers = [Server(client, "10.79.0.2", lambda:
                              [unikernel.find("fata-spt")], TAP),
                       Server(client, "10.79.0.3", host.children,
                              f"Linux {os.uname().release}, "
                              f"{congestion(server)}")]
            with client.inside():
                lib.connect("10.79.0.2", 9, unikernel).close()
            got = compare(servers, lambda s: s.bulk("receive",
                                                    3 if harness.quick else
                                                    8))
            self.ratio(f"goodput at {loss} % loss and 50 ms, sending by {mine}",
                       servers[:1], got, servers[1:],
                       (0.7 if alike else None,), (1.0,))
            for process in (unikernel, host, path):
                process.stop(signal.SIGTERM)

    def parts(self):
        return {"bulk": self.bulk, "bulk_plain": self.bulk_plain,
                "http": self.http, "http_one": self.http_one,
                "http_short": self.http_short, "udp": self.udp,
                "goodput": self.goodput}
