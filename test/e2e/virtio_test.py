#!/usr/bin/env python3
"""Images of the target virtio in QEMU's machines: microvm (virtio-mmio), q35
and pc (virtio-pci), under each way to boot them and each command line that
engines write.
"""
import os
import re
import subprocess
import time

from lib import (BOOT_SECONDS, FATA, GUEST, HOST, PREFIX, ROOT, Namespace,
                 Process, command, folder, image, need, need_namespaces, run,
                 site_file, start, test)

MACHINES = ("microvm", "q35", "pc")
MMIO = ("-global", "virtio-mmio.force-legacy=false")
ADDRESS = f"--ipv4={GUEST}/{PREFIX}"
TAP = "tap,id=n,ifname=tap0,script=no,downscript=no"

# What it is told to do, it must not get away with.
ATTACKS = """
#include "attack.h"
static const char constant[] = "constant";
static uint8_t data[] = {0xc3};
static volatile uintptr_t null;
static volatile size_t many = 40;
static int deeper(int n)
{
    volatile char room[512] = {(char)n};
    return room[0] + (n > 0 ? deeper(n - 1) + room[511] : 0);
}
__attribute__((noinline)) static void overwrite(void)
{
    uint8_t few[16];
    memset(few, 0x41, many);
    __asm__ volatile("" : : "r"(few) : "memory");
}
static void call(const void *code)
{
    void (*function)(void);
    memcpy(&function, &code, sizeof code);
    function();
}
int attack_main(struct fata_env *env, const char *what)
{
    uint8_t stack[] = {0xc3};
    uint8_t *code, *where = stack;
    int (*self)(struct fata_env *, const char *) = attack_main;
    memcpy(&code, &self, sizeof self);
    fata_print(env, "attack: %s, stack at %p\\n", what, (void *)where);
    switch (what[0]) {
    case 'r': return *(volatile int *)null;
    case 'w': *(volatile int *)null = 1; break;
    case 'c': *(volatile uint8_t *)code = 0xc3; break;
    case 'k': *(volatile char *)(uintptr_t)constant = 1; break;
    case 'd': call(data); break;
    case 's': call(stack); break;
    case 'f': return deeper(1 << 20);
    case 'n': *(volatile uint8_t *)0x7000000000 = 1; break;
    case 'u': __builtin_trap();
    case 'o': overwrite(); break;
    default: break;
    }
    fata_print(env, "it worked\\n");
    return 0;
}
"""
CONFIG = """
#include <fata/config.h>
FATA_CONFIG("attack")
{
    cfg_main("attack.c", "attack_main", cfg_arg_string("what", "", "what"));
}
"""


def qemu(machine, kernel, append, *more, namespace=None, memory="64M"):
    """A machine with what `fata run` would not give it; ends when it likes."""
    return Process("timeout", "100", "qemu-system-x86_64", "-M", machine,
                   "-accel", "tcg", "-cpu", "max", "-m", memory,
                   "-nodefaults", "-no-user-config", "-no-reboot", "-display",
                   "none", "-serial", "stdio", *MMIO, "-kernel", kernel,
                   "-append", append, *more, namespace=namespace)


def net(machine, options=""):
    bus = "device" if machine.startswith("microvm") else "pci"
    return "-netdev", TAP, "-device", f"virtio-net-{bus},netdev=n{options}"


def without_multiboot(path):
    """The image as a loader sees it that knows PVH only."""
    with open(path, "rb") as f:
        data = bytearray(f.read())
    at = data.index(bytes.fromhex("02b0ad1b"))
    assert at < 8192, "multiboot's header is in the first 8 KiB"
    data[at] = 0
    copy = os.path.join(folder(), "pvh")
    with open(copy, "wb") as f:
        f.write(data)
    return copy


def setup():
    need("qemu-system-x86_64")
    image("hello", "virtio")


def hello(*words, machine="microvm"):
    return subprocess.run(
        (FATA, "run", "-t", "virtio", "--machine", machine, "--", *words),
        cwd=os.path.join(ROOT, "build/images/hello"), capture_output=True,
        text=True, timeout=100, stdin=subprocess.DEVNULL)


def network():
    need("curl")
    need_namespaces()
    ns = Namespace()
    ns.tap()
    return ns


def page(ns, process, port=80):
    """The site's first page, as curl gets it."""
    end = time.monotonic() + BOOT_SECONDS
    while True:
        got = subprocess.run((*ns.prefix, "curl", "-s", "-m", "20",
                              f"http://{GUEST}:{port}/"),
                             capture_output=True, timeout=60)
        if got.returncode == 0:
            return got.stdout
        assert process.running() and time.monotonic() < end, process.output()
        time.sleep(0.1)


def serves(ns, process, port=80):
    try:
        assert page(ns, process, port) == site_file("index.html")
    except AssertionError as error:
        raise AssertionError(process.output()) from error
    finally:
        process.stop()


@test
def hello_runs_on_each_machine_and_its_status_is_that_of_fata_run():
    for machine in MACHINES:
        got = hello("--count=2", "--pause=1ms", machine=machine)
        assert got.returncode == 0, got
        assert got.stdout.endswith("(2 of 2)\n"), got
        assert got.stderr.count("QEMU emulates") <= 1, got
    assert hello("--count=x").returncode == 64
    assert hello("--help").returncode == 63


@test
def it_sleeps_for_as_long_as_it_was_asked_to():
    begun = time.monotonic()
    got = hello("--count=3", "--pause=1s")
    assert got.returncode == 0 and time.monotonic() - begun > 1.9, got


@test
def www_serves_through_a_tap_on_each_machine():
    ns = network()
    for machine in MACHINES:
        words = [FATA, "run", "-t", "virtio", "--machine", machine, "--net",
                 "tap:tap0", "--", ADDRESS]
        serves(ns, Process(*words, namespace=ns,
                           cwd=os.path.join(ROOT, "build/images/www")))


@test
def www_serves_through_nat():
    from lib import connect, free_port, request
    port = free_port()
    server = start("www", "virtio", "--ipv4=10.0.2.15/24",
                   "--gateway=10.0.2.2", publish=[f"{port}:80"])
    with connect("127.0.0.1", port, server) as s:
        status, _, body = request(s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status == 200 and body == site_file("index.html")
    assert server.stop() == 143, server.output()


@test
def a_pvh_loader_boots_the_same_image():
    kernel = without_multiboot(image("hello", "virtio"))
    for machine in ("microvm", "q35"):
        process = qemu(machine, kernel, "--count=1")
        process.wait_for(r"\(1 of 1\)")
        assert process.wait(60) == 0, process.output()
    ns = network()
    kernel = without_multiboot(image("www", "virtio"))
    serves(ns, qemu("microvm", kernel, ADDRESS, *net("microvm"), namespace=ns))


@test
def modern_and_transitional_functions_are_driven():
    ns = network()
    kernel = image("www", "virtio")
    for machine, options in (("pc", ""), ("q35", ",disable-legacy=on")):
        serves(ns, qemu(machine, kernel, ADDRESS, *net(machine, options),
                        namespace=ns))


@test
def a_device_without_messages_interrupts_by_its_line():
    ns = network()
    kernel = image("www", "virtio")
    for machine in ("pc", "q35"):
        log = os.path.join(folder(), "interrupts")
        process = qemu(machine, kernel, ADDRESS, "-d", "int", "-D", log,
                       *net(machine, ",vectors=0"), namespace=ns)
        end = time.monotonic() + BOOT_SECONDS
        came = None
        # It may find frames without having slept; interrupts of devices are
        # those before 0x40, the timer's.
        while came is None and time.monotonic() < end:
            assert page(ns, process) == site_file("index.html")
            time.sleep(0.2)
            with open(log, encoding="utf-8", errors="replace") as f:
                came = re.search("Servicing hardware INT=0x[23]", f.read())
        process.stop()
        assert came, machine


@test
def the_command_lines_of_unikraft_and_linux_are_understood():
    ns = network()
    kernel = image("www", "virtio")
    for words in (
            f"Unikraft netdev.ip={GUEST}/{PREFIX}:{HOST}:8.8.8.8 "
            'vfs.fstab=[ "initrd0:/:extract:::" ] -- --port=8080',
            f"app netdev.ipv4_addr={GUEST} netdev.ipv4_gw_addr={HOST} "
            "netdev.ipv4_subnet_mask=255.255.255.0 -- --port=8080",
            f"panic=-1 console=ttyS0 root=/dev/vda rw ip={GUEST}::{HOST}:"
            "255.255.255.0:urunc:eth0:off PATH=/bin init=/www -- "
            "--port=8080"):
        serves(ns, qemu("pc", kernel, words, *net("pc"), namespace=ns), 8080)


@test
def devices_may_be_named_on_the_command_line():
    # Without ACPI microvm appends them itself, for PVH.
    ns = network()
    kernel = without_multiboot(image("www", "virtio"))
    serves(ns, qemu("microvm,acpi=off", kernel, ADDRESS, *net("microvm"),
                    namespace=ns))


def entered_as_linux(machine, name, words, *more, namespace=None):
    loader = os.path.join(ROOT, "build/test/linux_loader")
    assert os.path.exists(loader), f"{loader}: `make peers` builds it"
    return qemu(machine, loader, "", *more, "-initrd",
                f"{image(name, 'virtio')} {words}", namespace=namespace,
                memory="96M")


@test
def it_is_entered_by_the_boot_protocol_of_linux():
    # As by a Firecracker that knows no PVH, which names devices like this.
    process = entered_as_linux(
        "pc", "hello", "reboot=k panic=1 pci=off nomodule -- --count=2")
    process.wait_for(r"linux_loader: entering")
    process.wait_for(r"\(2 of 2\)")
    assert process.wait(60) == 0, process.output()
    ns = network()
    serves(ns, entered_as_linux(
        "microvm,acpi=off", "www", "reboot=k panic=1 pci=off root=/dev/vda ro "
        f"ip={GUEST}::{HOST}:255.255.255.0::eth0:off "
        "virtio_mmio.device=512@0xfeb00e00:12 -- --port=8080",
        *net("microvm"), namespace=ns), 8080)


def refused(append, *more, status=3, machine="microvm", name="www"):
    process = qemu(machine, image(name, "virtio"), append, "-device",
                   "isa-debug-exit,iobase=0x501,iosize=4", *more)
    got = process.wait(60)
    # A status s of the unikernel is 2 s + 3 of QEMU.
    assert got == 2 * status + 3, (got, process.output())
    return process.output()


@test
def devices_that_are_not_those_of_the_manifest_are_named():
    user = ("-netdev", "user,id=n", "-device", "virtio-net-device,netdev=n")
    more = ("-netdev", "user,id=m", "-device", "virtio-net-device,netdev=m")
    disk = os.path.join(folder(), "disk")
    with open(disk, "wb") as f:
        f.truncate(1 << 20)
    other = ("-drive", f"if=none,id=b,format=raw,file={disk}", "-device",
             "virtio-blk-device,drive=b")

    said = refused(ADDRESS, status=1)
    assert ("the manifest has service as net, and the machine has 0 virtio "
            "net devices: attach one for each, with QEMU: -netdev") in said
    said = refused(ADDRESS, *user, *more, status=1)
    assert re.search(r"has 2 virtio net devices: mmio 0x\w+, mmio 0x\w+: "
                     "leave out", said), said
    said = refused(ADDRESS, *user, *other, status=1)
    assert "the manifest has none as block, and the machine has 1" in said
    said = refused("ip=10.0.0.2:::255.0.255.0 -- ", *user, status=64)
    assert "`ip=10.0.0.2:::255.0.255.0' on the command line" in said


@test
def a_machine_without_a_way_to_tell_the_status_is_switched_off():
    for machine in MACHINES:
        process = qemu(machine, image("hello", "virtio"), "--count=1")
        assert process.wait(60) == 0, process.output()
        assert "can now be switched off" not in process.output()


@test
def what_no_machine_could_start_with_is_refused():
    for words, said in ((("--mem", "1"), "give --mem 2 at least"),
                        (("--machine", "bogus"), "microvm, q35, pc")):
        got = subprocess.run((FATA, "run", "-t", "virtio", *words),
                             cwd=os.path.join(ROOT, "build/images/hello"),
                             capture_output=True, text=True, timeout=60)
        assert got.returncode == 64 and said in got.stderr, got.stderr


@test
def too_little_memory_is_said():
    said = refused(ADDRESS, "-netdev", "user,id=n", "-device",
                   "virtio-net-device,netdev=n", "-m", "1536K", status=1)
    assert re.search(r"64 of them, the fewest, take \d+ KiB of memory, and "
                     r"\d+ KiB are left: give more", said), said


@test
def attacks_on_its_own_memory_end_it_and_say_where():
    where = folder()
    for name, text in (("attack.c", ATTACKS), ("config.c", CONFIG)):
        with open(os.path.join(where, name), "w", encoding="utf-8") as f:
            f.write(text)
    command(FATA, "build", "-t", "virtio", cwd=where, timeout=300)
    stacks = set()
    for what, expected in (
            ("read", "reading 0x0, the null page"),
            ("write", "writing to 0x0, the null page"),
            ("code", r"writing to 0x\w+, which is read-only"),
            ("konstant", r"writing to 0x\w+, which is read-only"),
            ("data", r"executing 0x\w+, which is data, not code"),
            ("stack", r"executing 0x\w+, which is data, not code"),
            ("fiber", r"0x\w+, below a stack, which is too small"),
            ("nowhere", "writing to 0x7000000000, where there is nothing"),
            ("undefined", "invalid instruction"),
            ("overwrite", "stack smashed")):
        got = command(FATA, "run", "-t", "virtio", "--", f"--what={what}",
                      cwd=where, check=False)
        assert got.returncode == 255, (what, got.stdout)
        assert re.search(expected, got.stdout), (what, got.stdout)
        assert "it worked" not in got.stdout, got.stdout
        stacks.add(re.search(r"stack at (0x\w+)", got.stdout).group(1))
        place = re.search(r"trap: .* at (0x\w+)", got.stdout)
        if what in ("read", "code", "undefined"):
            line = command("addr2line", "-e", ".fata/virtio/attack.virtio."
                           "debug", place.group(1), cwd=where).stdout
            assert "attack.c:" in line, (what, line, got.stdout)
    # It has to be guessed where it is: of 32,768 places.
    assert len(stacks) > 5, stacks


run(setup)
