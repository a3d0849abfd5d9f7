#!/usr/bin/env python3
"""www gets its address from dnsmasq, on spt and unix."""
import os
import re

from lib import (HOST, PREFIX, Namespace, Process, connect, folder, need,
                 need_namespaces, request, run, site_file, start, test)


def lease_and_page(target):
    namespace = Namespace()
    namespace.tap("tap0", f"{HOST}/{PREFIX}")
    leases = os.path.join(folder(), "leases")
    dnsmasq = Process(
        "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null",
        "--port=0", "--user=root", "--pid-file=", "--log-facility=-",
        "--interface=tap0", "--bind-interfaces", "--log-dhcp",
        f"--dhcp-leasefile={leases}", "--dhcp-authoritative", "--no-ping",
        "--dhcp-range=10.77.0.50,10.77.0.60,255.255.255.0,2m",
        namespace=namespace)
    dnsmasq.wait_for("DHCP, IP range")
    server = start("www", target, namespace=namespace, net="tap:tap0")
    address = dnsmasq.wait_for(r"DHCPACK\(tap0\) (\S+)").group(1)
    with namespace.inside(), connect(address, 80, server) as s:
        status, _, body = request(s, "GET / HTTP/1.1\r\nHost: w\r\n\r\n")
    assert status == 200 and body == site_file("index.html")
    with open(leases, encoding="utf-8") as f:
        assert re.search(rf" {re.escape(address)} ", f.read())


@test
def a_lease_from_dnsmasq_is_the_address_of_www_on_spt():
    lease_and_page("spt")


@test
def a_lease_from_dnsmasq_is_the_address_of_www_on_unix():
    lease_and_page("unix")


def setup():
    need_namespaces()
    need("dnsmasq")


run(setup)
