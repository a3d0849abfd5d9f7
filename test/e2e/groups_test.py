#!/usr/bin/env python3
"""What a unikernel says of the groups it joins and leaves, IGMP and MLD, as
tshark reads it on the tap; and that it hears what is sent to them.

# test: limit 240
"""
import os
import socket

from lib import (FATA, GUEST, HOST, PREFIX, Capture, Namespace, Process,
                 command, folder, need, need_namespaces, run, test, until)

GROUP, GROUP6 = "239.1.2.3", "ff15::77"

CONFIG = """#include <fata/config.h>
FATA_CONFIG("member")
{
    cfg_main("member.c", "member_main",
             cfg_stack_generic(cfg_netif_default()));
}
"""

CODE = """#include "member.h"

#include <fata/stack.h>

static const struct fata_ip groups[] = {
    {{[10] = 0xff, [11] = 0xff, 239, 1, 2, 3}},
    {{0xff, 0x15, [15] = 0x77}},
};

/* The first datagram that comes makes it leave, and says so. */
static void heard(void *context, struct fata_udp *udp,
                  const struct fata_endpoint *peer, struct bytes data)
{
    struct fata_env *env = context;

    (void)peer, (void)data;
    for (int i = 0; i < 2; i++)
        fata_udp_leave(udp, &groups[i]);
    fata_print(env, "left\\n");
}

int member_main(struct fata_env *env, struct fata_stack *stack)
{
    struct fata_udp *udp;

    if (fata_udp_bind(stack, 5000, heard, env, &udp) != OK)
        return 1;
    for (int i = 0; i < 2; i++)
        if (fata_udp_join(udp, &groups[i]) != OK)
            return 2;
    fata_print(env, "joined\\n");
    for (;;)
        (void)fata_sleep(env, SECONDS(3600));
}
"""


def reports(capture, display, *names):
    return capture.fields(f"{display} && !_ws.malformed", *names, check=False)


@test
def groups_are_reported_when_they_are_joined_and_when_they_are_left():
    project = folder()
    for name, text in (("config.c", CONFIG), ("member.c", CODE)):
        with open(os.path.join(project, name), "w", encoding="utf-8") as f:
            f.write(text)
    command(FATA, "build", "-t", "unix", cwd=project)
    namespace = Namespace()
    namespace.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=0",
                  "net.ipv6.conf.default.disable_ipv6=0")
    namespace.tap()

    def seen(four, six):
        """Reports with records of these types, as the RFCs have them."""
        igmp = reports(capture, f"igmp.type == 0x22 && igmp.record_type == "
                       f"{four} && igmp.maddr == {GROUP}", "ip.src", "ip.dst",
                       "ip.ttl", "igmp.checksum.status", "ip.opt.type")
        mld = reports(capture, "icmpv6.type == 143 && "
                      f"icmpv6.mldr.mar.record_type == {six} && "
                      f"icmpv6.mldr.mar.multicast_address == {GROUP6}",
                      "ipv6.dst", "ipv6.hlim", "icmpv6.checksum.status",
                      "ipv6.opt.router_alert")
        return (igmp[0], mld[0]) if igmp and mld else None

    with Capture(namespace, words="igmp or ip6", whole=True) as capture:
        process = Process(FATA, "run", "-t", "unix", "--net", "tap:tap0", "--",
                          f"--ipv4={GUEST}/{PREFIX}", namespace=namespace,
                          cwd=project)
        process.wait_for("joined")
        joined = until(lambda: seen(4, 4), process.output)  # to EXCLUDE {}
        with namespace.inside(), socket.socket(
                socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF,
                         socket.inet_aton(HOST))
            s.sendto(b"leave", (GROUP, 5000))
        process.wait_for("left")
        left = until(lambda: seen(3, 3), process.output)  # to INCLUDE {}
    for igmp, mld in joined, left:
        assert igmp[:4] == [GUEST, "224.0.0.22", "1", "1"], igmp
        assert igmp[4].startswith("148"), igmp  # router alert
        assert mld == ["ff02::16", "1", "1", "0"], mld
    process.stop()


def setup():
    need_namespaces()
    need("tshark", "tcpdump")


run(setup)
