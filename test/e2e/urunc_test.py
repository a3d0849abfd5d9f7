#!/usr/bin/env python3
"""Our image and our tender under urunc's hands: it is simulated to the letter,
from the OCI image's own keys to the tap and the command line, in both forms
that its versions have, so that what runs here runs unchanged there.

In the container's network namespace, as urunc leaves it:

    outside --- eth0 <-- tc, both ways --> tap0_urunc --- unikernel
"""
import base64
import json
import os
import shutil
import signal

from lib import (FATA, ROOT, Namespace, Process, command, connect, folder,
                 image, need, need_namespaces, request, run, site_file, skip,
                 test)

ADDRESS, GATEWAY = "10.244.0.7", "10.244.0.1"
KEY = "com.urunc.unikernel."


class Container:
    """An OCI image unpacked, and the keys as urunc's oldest versions read
    them: from /urunc.json, in base64."""

    def __init__(self, path, *words, options=()):
        need("umoci", "chroot")
        if os.geteuid() != 0:
            skip("a root folder of its own needs root")
        where = folder()
        layout = os.path.join(where, "image")
        command(FATA, "pack", "-f", "oci", "-o", layout, *options,
                path, *words)
        bundle = os.path.join(where, "bundle")
        command("umoci", "unpack", "--rootless", "--image",
                f"{layout}:latest", bundle)
        self.root = os.path.join(bundle, "rootfs")
        with open(os.path.join(self.root, "urunc.json"), "rb") as f:
            self.keys = {key: base64.b64decode(value).decode()
                         for key, value in json.load(f).items()}
        with open(os.path.join(bundle, "config.json"), "rb") as f:
            self.args = json.load(f)["process"]["args"]
        if self.keys[KEY + "hypervisor"] == "qemu":
            return
        # urunc gives it the monitor, and device nodes.
        self.monitor = "/usr/bin/solo5-" + self.keys[KEY + "hypervisor"]
        os.makedirs(os.path.join(self.root, "usr/bin"))
        shutil.copy(os.path.join(
            ROOT, "build/fata-" + self.keys[KEY + "hypervisor"]),
            self.root + self.monitor)
        os.makedirs(os.path.join(self.root, "dev/net"))
        for name, mode, major, minor in (("null", 0o666, 1, 3),
                                         ("urandom", 0o666, 1, 9),
                                         ("net/tun", 0o666, 10, 200)):
            node = os.path.join(self.root, "dev", name)
            try:
                os.mknod(node, 0o20000 | mode, os.makedev(major, minor))
                os.chmod(node, mode)
                os.close(os.open(node, os.O_RDWR))
            except OSError as error:
                skip(f"device nodes are not permitted here: {error}")

    def start(self, words, namespace=None):
        """One element of argv per word, empty ones too."""
        return Process("chroot", self.root, self.monitor, *words,
                       namespace=namespace)


def old_form(container, net):
    """June 2025: a string that is cut at every blank."""
    binary, args = container.keys[KEY + "binary"], " ".join(container.args)
    guest = (f"--ipv4={ADDRESS}/24 --ipv4-gateway={GATEWAY}" if net else " ")
    monitor = "--mem=64 " + ("--net:service=tap0_urunc " if net else " ")
    return (monitor + binary + " " + guest + " " + args).split(" ")


def new_form(container, net, mac=None):
    """Later: `--`, the hardware address, the guest's words as one."""
    args = " ".join(container.args)
    if not net:
        return ["--mem=64", "--", container.keys[KEY + "binary"],
                "  " + args]
    return ["--mem=64", "--net:service=tap0_urunc",
            f"--net-mac:service={mac}", "--",
            container.keys[KEY + "binary"],
            f"--ipv4={ADDRESS}/24 --ipv4-gateway={GATEWAY} {args}"]


def pod():
    """Two namespaces: the pod's, with eth0, and whoever is outside."""
    need_namespaces()
    need("tc")
    outside, inside = Namespace(), Namespace()
    outside.ip("link", "add", "veth0", "type", "veth", "peer", "name", "eth0",
               "netns", inside.name)
    outside.up("veth0", f"{GATEWAY}/24")
    inside.up("eth0", f"{ADDRESS}/24")
    inside.ip("route", "add", "default", "via", GATEWAY)
    mac = json.loads(inside.ip("-j", "link", "show", "eth0"))[0]["address"]
    # As internal/network does it: a tap with vnet_hdr and eth0's MTU.
    inside.ip("tuntap", "add", "tap0_urunc", "mode", "tap", "vnet_hdr")
    inside.ip("link", "set", "tap0_urunc", "mtu", "1500", "up")
    for one, other in (("eth0", "tap0_urunc"), ("tap0_urunc", "eth0")):
        for words in (("qdisc", "add", "dev", one, "ingress"),
                      ("filter", "add", "dev", one, "parent", "ffff:",
                       "protocol", "all", "u32", "match", "u32", "0", "0",
                       "action", "mirred", "egress", "redirect", "dev",
                       other)):
            result = inside.run("tc", *words, check=False)
            if result.returncode:
                skip("this kernel cannot redirect with tc: " +
                     result.stdout.strip())
    return outside, inside, mac


def serves(outside, process, path="index.html"):
    with outside.inside():
        s = connect(ADDRESS, 80, process)
        status, _, body = request(s, f"GET /{path} HTTP/1.1\r\nHost: x\r\n"
                                     "Connection: close\r\n\r\n")
    assert status == 200 and body == site_file(path), status


@test
def www_serves_at_the_pods_address_under_urunc_of_june_2025():
    outside, inside, _ = pod()
    container = Container(image("www", "spt"), "--port=80")
    words = old_form(container, net=True)
    assert words[1:3] == ["--net:service=tap0_urunc", "/unikernel/app.spt"]
    process = container.start(words, inside)
    serves(outside, process)
    process.stop()


@test
def www_serves_at_the_pods_address_under_later_urunc():
    outside, inside, mac = pod()
    container = Container(image("www", "spt"), "--port=80")
    process = container.start(new_form(container, True, mac), inside)
    serves(outside, process)
    # It has the pod's own hardware address, as the network expects.
    table = outside.ip("neigh", "show", ADDRESS)
    assert mac in table, table
    process.stop()


@test
def more_than_a_page_goes_through_the_pods_tap():
    outside, inside, mac = pod()
    container = Container(image("www", "spt"), "--port=80")
    process = container.start(new_form(container, True, mac), inside)
    largest = max(os.listdir(os.path.join(ROOT, "examples/www/site")),
                  key=lambda name: os.path.getsize(
                      os.path.join(ROOT, "examples/www/site", name)))
    for _ in range(20):
        serves(outside, process, largest)
    process.stop()


@test
def a_pod_without_a_network_gets_empty_words():
    container = Container(image("hello", "spt"), "--count=2", "--pause=0")
    for words in (old_form(container, False), new_form(container, False)):
        assert "" in words or words[-1].startswith(" "), words
        process = container.start(words)
        status = process.wait(30)
        assert status == 0 and process.output().count("ello") == 2, \
            process.output()


@test
def an_image_without_arguments_serves_too():
    outside, inside, _ = pod()
    container = Container(image("www", "spt"))
    process = container.start(old_form(container, net=True), inside)
    serves(outside, process)
    process.stop()


@test
def a_killed_monitor_leaves_the_tap_to_the_engine_and_nothing_else():
    outside, inside, mac = pod()
    container = Container(image("www", "spt"), "--port=80")
    for _ in range(2):
        process = container.start(new_form(container, True, mac), inside)
        serves(outside, process)
        process.stop(signal.SIGKILL)
        state = inside.ip("link", "show", "tap0_urunc")
        assert "NO-CARRIER" in state or "state DOWN" in state, state


# --- QEMU, for virtio images

def dialect(keys, args):
    """The guest's command line, by the type that the image declares."""
    kind, words = keys[KEY + "unikernelType"], " ".join(args)
    if kind == "mirage":
        return f"--ipv4={ADDRESS}/24 --ipv4-gateway={GATEWAY} {words}"
    app, rest = args[0], " ".join(args[1:])
    if kind == "unikraft":
        return (f"Unikraft|{app} netdev.ip={ADDRESS}/24:{GATEWAY}:8.8.8.8 "
                f"-- {rest}")
    return (f"panic=-1 console=ttyS0 ip={ADDRESS}::{GATEWAY}:255.255.255.0:"
            f"urunc:eth0:off PATH=/bin:/usr/bin HOME=/root init={app} "
            f"-- {rest}")


def qemu_words(container, form, mac):
    """What urunc starts QEMU with; only that the processor is emulated here,
    for which it says -cpu host -enable-kvm."""
    kernel = container.root + container.keys[KEY + "binary"]
    words = ["qemu-system-x86_64", "-m", "256M", "-L", "/usr/share/qemu", "-cpu",
             "max", "--sandbox", "on,obsolete=deny,elevateprivileges=deny,"
             "spawn=deny,resourcecontrol=deny", "-kernel", kernel,
             "-append", dialect(container.keys, container.args)]
    if form == "old":
        return words + [
            "-nographic", "-vga", "none", "-net", "nic,model=virtio", "-net",
            "tap,script=no,downscript=no,ifname=tap0_urunc"]
    return words + [
        "-display", "none", "-monitor", "null", "-serial", "stdio", "-smp",
        "1", "-vga", "none", "-netdev",
        "tap,id=net0,script=no,downscript=no,ifname=tap0_urunc", "-device",
        f"virtio-net-pci,netdev=net0,host_mtu=1500,mac={mac}"]


@test
def a_virtio_image_serves_under_qemu_in_each_dialect_and_form():
    need("qemu-system-x86_64")
    for kind in ("mirage", "unikraft", "linux"):
        container = Container(image("www", "virtio"), "--port=80",
                              options=("--type", kind))
        assert container.keys[KEY + "unikernelType"] == kind
        for form in ("old", "new"):
            outside, inside, mac = pod()
            process = Process(*qemu_words(container, form, mac),
                              namespace=inside)
            serves(outside, process)
            process.stop()


@test
def a_pod_of_qemus_ends_with_its_unikernel():
    need("qemu-system-x86_64")
    container = Container(image("hello", "virtio"), "--count=2", "--pause=0")
    process = Process("qemu-system-x86_64", "-m", "256M", "-cpu", "max",
                      "-nographic", "-vga", "none", "-net", "none", "-kernel",
                      container.root + container.keys[KEY + "binary"],
                      "-append", " ".join(["", ""] + container.args))
    process.wait(60)
    assert process.output().count("Hello, world!") == 2, process.output()


run()
