#!/usr/bin/env python3
"""www over IPv6: advertised addresses, ping, pages, a path that narrows, and a
bridge that listens to MLD; against Linux and dnsmasq.
"""
import os
import re
import time

from lib import (GUEST, PREFIX, Namespace, Process, connect, folder, image,
                 need, need_namespaces, request, run, site_file, start, test)

NET = "fd00:77::"
ROUTER = "fd00:77::1"
SECRET = "000102030405060708090a0b0c0d0e0f"


def with_ipv6(namespace, device):
    namespace.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=0",
                  "net.ipv6.conf.default.disable_ipv6=0",
                  f"net.ipv6.conf.{device}.disable_ipv6=0",
                  f"net.ipv6.conf.{device}.accept_dad=0",
                  "net.ipv6.conf.all.forwarding=1")
    namespace.ip("addr", "add", f"{ROUTER}/64", "dev", device, "nodad")


def advertise(namespace, device):
    """dnsmasq as the router that says which addresses there are."""
    dnsmasq = Process(
        "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null",
        "--port=0", "--user=root", "--pid-file=", "--log-facility=-",
        f"--interface={device}", "--bind-dynamic", "--log-dhcp",
        f"--dhcp-leasefile={os.path.join(folder(), 'leases')}",
        "--enable-ra", f"--dhcp-range={NET},ra-only,64,10m",
        f"--ra-param={device},4,600", namespace=namespace)
    dnsmasq.wait_for("router advertisement|RA|DHCPv6|IPv6")
    return dnsmasq


def network(device="tap0"):
    namespace = Namespace()
    namespace.tap(device)
    with_ipv6(namespace, device)
    return namespace


def advertised_address(server):
    return server.wait_for(r"address (fd00:77:\S+)/64").group(1)


def page(namespace, address, server):
    with namespace.inside(), connect(address, 80, server) as s:
        status, _, body = request(s, "GET / HTTP/1.1\r\nHost: w\r\n\r\n")
    assert status == 200 and body == site_file("index.html")


def served_over_ipv6(target):
    namespace = network()
    advertise(namespace, "tap0")
    server = start("www", target, f"--ipv4={GUEST}/{PREFIX}",
                   f"--ipv6-secret={SECRET}", namespace=namespace,
                   net="tap:tap0")
    # IPv4 does not wait for any of the rest.
    page(namespace, GUEST, server)
    address = advertised_address(server)
    page(namespace, address, server)
    for size in ("56", "1400", "8000", "60000"):
        namespace.run("ping", "-6", "-c", "2", "-i", "0.2", "-W", "5",
                      "-s", size, address)
    out = namespace.run("ping", "-6", "-c", "1", "-W", "5",
                        "ff02::1%tap0").stdout
    assert "from fe80::" in out, out
    fetched = namespace.run("curl", "-6", "-sS", "--max-time", "20",
                            f"http://[{address}]/").stdout
    assert fetched.encode() == site_file("index.html"), fetched
    return address


@test
def www_on_unix_is_reached_at_an_advertised_address():
    served_over_ipv6("unix")


@test
def www_on_spt_is_reached_at_an_advertised_address():
    served_over_ipv6("spt")


@test
def the_same_secret_gives_the_same_address_on_the_same_device():
    """RFC 7217: stable, and unrelated to the hardware address."""
    addresses = set()
    for _ in range(2):
        namespace = network()
        advertise(namespace, "tap0")
        server = Process(image("www", "unix"), "--net:service=tap0",
                         "--net-mac:service=02:00:00:00:77:02",
                         f"--ipv4={GUEST}/{PREFIX}",
                         f"--ipv6-secret={SECRET}", namespace=namespace)
        addresses.add(advertised_address(server))
        server.stop()
    assert len(addresses) == 1, addresses
    assert "ff:fe" not in addresses.pop()


@test
def an_address_by_hand_does_without_a_router():
    namespace = network()
    server = start("www", "unix", f"--ipv4={GUEST}/{PREFIX}",
                   "--ipv6=fd00:77::2/64", namespace=namespace,
                   net="tap:tap0")
    server.wait_for("address fd00:77::2/64")
    page(namespace, "fd00:77::2", server)
    out = namespace.run("ip", "-6", "neigh", "show", "dev", "tap0").stdout
    assert re.search(r"fd00:77::2 lladdr", out), out


@test
def wrong_arguments_are_explained():
    namespace = network()
    for argument, message in (
            ("--ipv6=fd00:77::2", "no address of a host"),
            ("--ipv6=ff02::1/64", "no address of a host"),
            ("--ipv6-gateway=10.0.0.1", "no address of a router"),
            ("--ipv6-secret=abc", "32 hexadecimal digits")):
        server = start("www", "unix", f"--ipv4={GUEST}/{PREFIX}", argument,
                       namespace=namespace, net="tap:tap0")
        assert server.wait() == 1, server.output()
        assert message in server.output(), server.output()


@test
def a_path_that_becomes_narrow_is_followed():
    """RFC 8201: behind a router whose next link takes 1300 bytes."""
    namespace = network()
    far = Namespace()
    namespace.ip("link", "add", "out", "type", "veth", "peer", "name", "in",
                 "netns", far.name)
    for space, device, address in ((namespace, "out", "fd00:88::1"),
                                   (far, "in", "fd00:88::2")):
        space.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=0",
                  f"net.ipv6.conf.{device}.disable_ipv6=0")
        space.ip("link", "set", device, "up")
        space.ip("addr", "add", f"{address}/64", "dev", device, "nodad")
    far.ip("-6", "route", "add", "default", "via", "fd00:88::1")
    server = start("www", "unix", f"--ipv4={GUEST}/{PREFIX}",
                   "--ipv6=fd00:77::2/64", f"--ipv6-gateway={ROUTER}",
                   namespace=namespace, net="tap:tap0")
    server.wait_for("address fd00:77::2/64")
    page(far, "fd00:77::2", server)
    far.run("ping", "-6", "-c", "1", "-W", "5", "-s", "1400", "fd00:77::2")
    namespace.ip("link", "set", "out", "mtu", "1300")
    page(far, "fd00:77::2", server)


@test
def a_bridge_that_listens_to_mld_still_reaches_us():
    """net.md 2.2: without reports of the solicited-node group a snooping
    bridge with a querier would keep neighbor solicitations from us."""
    namespace = Namespace()
    namespace.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=0",
                  "net.ipv6.conf.default.disable_ipv6=0")
    namespace.ip("link", "add", "br0", "type", "bridge", "mcast_snooping", "1",
                 "mcast_querier", "1", "mcast_query_interval", "300",
                 "mcast_startup_query_interval", "100",
                 "mcast_query_response_interval", "100")
    namespace.tap("tap0", None)
    namespace.ip("link", "set", "tap0", "master", "br0")
    namespace.up("br0", None)
    with_ipv6(namespace, "br0")
    server = start("www", "unix", f"--ipv4={GUEST}/{PREFIX}",
                   "--ipv6=fd00:77::2/64", namespace=namespace,
                   net="tap:tap0")
    server.wait_for("address fd00:77::2/64")
    end = time.monotonic() + 30
    members = ""
    while "ff02::1:ff00:2" not in members and time.monotonic() < end:
        time.sleep(0.2)
        members = namespace.run("bridge", "mdb", "show").stdout
    assert re.search(r"port tap0 grp ff02::1:ff00:2", members), members
    namespace.ip("-6", "neigh", "flush", "dev", "br0")
    page(namespace, "fd00:77::2", server)


def setup():
    need_namespaces()
    need("dnsmasq", "curl", "ping", "bridge")


run(setup)
