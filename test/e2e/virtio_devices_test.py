#!/usr/bin/env python3
"""Virtio devices as QEMU has them, on PCI and in memory, with each of their
features on and off: networks, disks, entropy, consoles.

What goes through a network is compared with what comes back from echo; what a
disk was told, with the file on the host.
"""
import hashlib
import os
import socket
import threading

from lib import (FATA, GUEST, HOST, PREFIX, ROOT, Namespace, Process, command,
                 connect, folder, image, need, need_namespaces, receive_all,
                 run, sha256, start, test)

BULK = os.urandom(3 << 20)
ADDRESS = f"--ipv4={GUEST}/{PREFIX}"
BUS = {"microvm": "device", "q35": "pci", "pc": "pci"}
NO_OFFLOADS = ("csum=off,guest_csum=off,gso=off,host_tso4=off,host_tso6=off,"
               "host_ecn=off,host_ufo=off,guest_tso4=off,guest_tso6=off,"
               "guest_ecn=off,guest_ufo=off")
LARGE = 2500  # bytes a frame: more than nobody merged or cut, ACKs counted

# Discards most of a disk, and leaves a mark that it was flushed.
DISCARD = """
#include "discard.h"
int discard_main(struct fata_env *env, struct fata_block *disk)
{
    static uint8_t mark[4096] = "here and no further";
    uint64_t middle = disk->capacity / 2 / 4096 * 4096;
    if (fata_block_discard(disk, 0, middle) != OK ||
        fata_block_write(disk, middle, bytes_of(mark, 4096)) != OK ||
        fata_block_flush(disk) != OK)
        return 1;
    fata_print(env, "flushed\\n");
    return 0;
}
"""
DISCARD_CONFIG = """
#include <fata/config.h>
FATA_CONFIG("discard")
{
    cfg_main("discard.c", "discard_main", cfg_block_named("disk"));
}
"""


def setup():
    need("qemu-system-x86_64")
    image("echo", "virtio")


def qemu(machine, kernel, append, *more, namespace=None, cpu="max"):
    return Process(
        "timeout", "100", "qemu-system-x86_64", "-M", machine, "-accel", "tcg",
        "-cpu", cpu, "-m", "64M", "-nodefaults", "-no-user-config",
        "-no-reboot", "-display", "none", "-serial", "stdio", "-global",
        "virtio-mmio.force-legacy=false", "-device",
        "isa-debug-exit,iobase=0x501,iosize=4", "-kernel", kernel, "-append",
        append, *more, namespace=namespace)


def device(kind, machine, options=""):
    options = f",{options}" if options else ""
    return "-device", f"virtio-{kind}-{BUS[machine]}{options}"


# ---- networks

class Guest:
    """echo behind a tap, its device with these options."""

    def __init__(self, machine, options, *words):
        need_namespaces()
        self.what = f"{machine}, {options or 'as it comes'}"
        self.namespace = Namespace()
        self.namespace.tap("tap0")
        self.process = qemu(
            machine, image("echo", "virtio"), " ".join((ADDRESS, *words)),
            "-netdev", "tap,id=n,ifname=tap0,script=no,downscript=no,vhost=off",
            *device("net", machine, "netdev=n" + "," * bool(options) + options),
            namespace=self.namespace)

    def counted(self, what):
        path = f"/sys/class/net/tap0/statistics/{what}"
        return int(self.namespace.run("cat", path).stdout)

    def echoes(self, data, address=GUEST):
        """Bytes per frame on the way there, and on the way back."""
        with self.namespace.inside(), \
                connect(address, 7, self.process) as s:
            before = [self.counted(f"{way}_packets") for way in ("tx", "rx")]
            sender = threading.Thread(target=self.send, args=(s, data))
            sender.start()
            got = receive_all(s)
            sender.join()
        assert sha256(got) == sha256(data), \
            f"{self.what}: {len(got)} of {len(data)}\n{self.process.output()}"
        after = [self.counted(f"{way}_packets") for way in ("tx", "rx")]
        return [len(data) / (b - a) for a, b in zip(before, after)]

    @staticmethod
    def send(s, data):
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)

    def stop(self):
        self.process.stop()
        self.namespace.remove()


def echoed(machine, options):
    guest = Guest(machine, options)
    try:
        return guest.echoes(BULK)
    finally:
        guest.stop()


@test
def bulk_goes_both_ways_in_large_frames_on_each_machine():
    for machine in BUS:
        there, back = echoed(machine, "")
        assert there > LARGE and back > LARGE, (machine, there, back)


@test
def bulk_goes_both_ways_without_any_offload():
    for machine in ("microvm", "q35"):
        there, back = echoed(machine, NO_OFFLOADS +
                             ",mrg_rxbuf=off,event_idx=off")
        assert there < 1500 and back < 1500, (machine, there, back)


@test
def bulk_goes_both_ways_with_each_feature_on_and_off():
    for options, merged, cut in (
            ("event_idx=off", True, True),
            ("mrg_rxbuf=off", False, True),
            ("guest_tso4=off,guest_tso6=off", False, True),
            ("host_tso4=off,host_tso6=off", True, False),
            ("csum=off,host_tso4=off,host_tso6=off,host_ecn=off,"
             "host_ufo=off", True, False),
            ("indirect_desc=off,packed=off", True, True),
            ("disable-legacy=on,iommu_platform=on", True, True),
            ("vectors=0", True, True),
            ("rx_queue_size=1024,tx_queue_size=256", True, True)):
        there, back = echoed("q35", options)
        assert (there > LARGE) == merged, (options, there)
        assert (back > LARGE) == cut, (options, back)


@test
def an_mtu_that_the_device_knows_is_kept_to():
    for mtu in (600, 9000):
        guest = Guest("microvm", f"host_mtu={mtu}," + NO_OFFLOADS)
        guest.namespace.ip("link", "set", "tap0", "mtu", "9000")
        try:
            _, back = guest.echoes(BULK[:1 << 20])
        finally:
            guest.stop()
        assert mtu * 0.7 < back < mtu, (mtu, back)


@test
def bulk_over_ipv6_is_cut_and_merged_too():
    guest = Guest("microvm", "", "--ipv6=fd00:77::2/64")
    guest.namespace.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=0",
                        "net.ipv6.conf.tap0.disable_ipv6=0",
                        "net.ipv6.conf.tap0.accept_dad=0")
    guest.namespace.ip("-6", "addr", "add", "fd00:77::1/64", "dev", "tap0",
                       "nodad")
    try:
        there, back = guest.echoes(BULK, "fd00:77::2")
    finally:
        guest.stop()
    assert there > LARGE and back > LARGE, (there, back)


@test
def many_connections_at_once_are_echoed_through_short_queues():
    guest = Guest("q35", "rx_queue_size=256,tx_queue_size=256," + NO_OFFLOADS)
    problems = []

    def one(seed):
        data = hashlib.sha256(bytes([seed])).digest() * 4096
        with connect(GUEST, 7, guest.process) as s:
            sender = threading.Thread(target=guest.send, args=(s, data))
            sender.start()
            if receive_all(s) != data:
                problems.append(seed)
            sender.join()

    with guest.namespace.inside():
        connect(GUEST, 7, guest.process).close()
    # A thread is born in the namespace of who starts it.
    with guest.namespace.inside():
        threads = [threading.Thread(target=one, args=(i,)) for i in range(20)]
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join()
    guest.stop()
    assert not problems, problems


@test
def a_device_of_before_virtio_1_0_is_refused_with_what_to_do():
    for machine, options, said in (
            ("q35", "disable-modern=on", "disable-modern=off"),
            ("pc", "disable-modern=on", "disable-modern=off")):
        guest = Guest(machine, options)
        assert guest.process.wait(60) == 5, guest.process.output()
        assert said in guest.process.output(), guest.process.output()
        assert "pci 00:" in guest.process.output()
        guest.stop()


@test
def unikernels_fetch_from_each_other_over_a_bridge():
    need_namespaces()
    client = os.path.join(folder(), "fetch")
    command("cp", "-R", os.path.join(ROOT, "test/sim/fetch"), client)
    targets = ("spt", "virtio")
    for target in targets:
        command(FATA, "build", "-t", target, cwd=client, timeout=300)
    namespace = Namespace()
    namespace.ip("link", "add", "bridge0", "type", "bridge")
    namespace.up("bridge0", f"{HOST}/{PREFIX}")
    for tap in ("tap0", "tap1"):
        namespace.tap(tap, None)
        namespace.ip("link", "set", tap, "master", "bridge0")
    hashes = set()
    for target in targets:
        server = start("www", target, ADDRESS, namespace=namespace,
                       net="tap:tap0")
        with namespace.inside():
            connect(GUEST, 80, server).close()
        for other in targets:
            got = command(*namespace.prefix, FATA, "run", "-t", other,
                          "--net", "tap:tap1", "--",
                          f"--ipv4=10.77.0.3/{PREFIX}", f"--server={GUEST}",
                          "--count=3", cwd=client, timeout=100).stdout
            pages = [line for line in got.splitlines() if "200 OK" in line]
            assert len(pages) == 3, f"{other} from {target}:\n{got}"
            hashes.update(pages)
        server.stop()
    assert len(hashes) == 1, hashes


# ---- disks

def disk(path, options=""):
    return "-drive", f"if=none,id=d,format=raw,file={path}{options}"


def file_of(size):
    path = os.path.join(folder(), "disk")
    with open(path, "wb") as f:
        f.write(b"\xaa" * size)
    return path


def tested(machine, path, options="", drive=""):
    process = qemu(machine, image("blocktest", "virtio"), "",
                   *disk(path, drive),
                   *device("blk", machine, "drive=d" + options))
    status = process.wait(90)
    return status, process.output()


@test
def all_of_a_disk_is_written_as_the_host_sees_it():
    digests = set()
    for machine, options in (
            ("microvm", ""), ("q35", ""), ("pc", ",event_idx=off,vectors=0"),
            ("q35", ",queue-size=4,seg-max-adjust=off"),
            ("q35", ",queue-size=16,indirect_desc=off,num-queues=2"),
            ("q35", ",queue-size=1024,write-cache=off")):
        path = file_of(1 << 20)
        status, said = tested(machine, path, options)
        assert status == 3 and " 0 failed" in said, (machine, options, said)
        with open(path, "rb") as f:
            digests.add(sha256(f.read()))
    assert len(digests) == 1, "the same content, whatever the device is like"


@test
def a_disk_with_blocks_of_4096_bytes_is_used_by_those():
    status, said = tested("q35", file_of(1 << 20), ",logical_block_size=4096,"
                          "physical_block_size=4096")
    assert status == 3 and "256 blocks of 4096 bytes" in said, said


@test
def a_disk_that_is_read_only_is_known_to_be():
    path = file_of(1 << 20)
    status, said = tested("microvm", path)
    assert status == 3, said
    for machine in ("microvm", "q35"):
        status, said = tested(machine, path, drive=",readonly=on")
        assert status == 3 and "read-only" in said, said
        assert "the final pattern is on it" in said, said


@test
def what_is_discarded_is_given_back_to_the_host():
    where = folder()
    for name, text in (("discard.c", DISCARD), ("config.c", DISCARD_CONFIG)):
        with open(os.path.join(where, name), "w", encoding="utf-8") as f:
            f.write(text)
    command(FATA, "build", "-t", "virtio", cwd=where, timeout=300)
    for machine in ("microvm", "q35"):
        path = file_of(4 << 20)
        process = qemu(machine, os.path.join(where, "dist/discard.virtio"), "",
                       *disk(path, ",discard=unmap"),
                       *device("blk", machine, "drive=d"))
        assert process.wait(60) == 3, process.output()
        with open(path, "rb") as f:
            data = f.read()
        half = len(data) // 2
        assert data[:half] == bytes(half), "it reads as zeroes"
        assert data[half:].startswith(b"here and no further\0")
        assert data[half + 4096:] == b"\xaa" * (half - 4096)
        assert os.stat(path).st_blocks * 512 <= half + 65536, \
            "and takes no room on the host"


# ---- entropy and consoles

@test
def entropy_comes_from_the_device_where_the_processor_has_none():
    user = ("-netdev", "user,id=n")
    for machine in ("microvm", "q35"):
        net = (*user, *device("net", machine, "netdev=n"))
        cpu = "qemu64,-rdrand,-rdseed"
        process = qemu(machine, image("echo", "virtio"),
                       "--ipv4=10.0.2.15/24", *net, cpu=cpu)
        assert process.wait(60) == 5, process.output()
        assert "the platform gives no entropy" in process.output()
        process = qemu(machine, image("echo", "virtio"),
                       "--ipv4=10.0.2.15/24", *net, *device("rng", machine),
                       cpu=cpu)
        process.wait_for("address 10.0.2.15/24")
        process.stop()


@test
def what_is_printed_is_on_a_virtio_console_as_well():
    for machine in ("microvm", "q35"):
        path = os.path.join(folder(), "console")
        process = qemu(machine, image("hello", "virtio"),
                       "--count=20 --pause=1ms", "-chardev",
                       f"file,id=c,path={path}", *device("serial", machine),
                       "-device", "virtconsole,chardev=c")
        assert process.wait(60) == 3, process.output()
        with open(path, encoding="utf-8") as f:
            text = f.read()
        assert text.count("\n") == 20 and "(20 of 20)" in text, text
        assert process.output().replace("\r", "").endswith(text)


run(setup)
