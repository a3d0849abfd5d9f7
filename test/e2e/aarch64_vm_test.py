#!/usr/bin/env python3
"""The target virtio for arm64 processors, on QEMU's machine `virt`: hello, www
through a tap, the conformance unikernel with a disk, and what goes wrong.
"""
# test: limit 300
import os
import re
import socket
import subprocess
import time

from aarch64 import (BUILT, FAULTS, Elf, attack, built, check_segments,
                     need_cross)
from lib import (FATA, GUEST, PREFIX, Namespace, Process, command, connect,
                 folder, need, need_namespaces, request, run, site_file, skip,
                 test)

QEMU = "qemu-system-aarch64"
TARGET = "virtio-aarch64"

def words(image, *arguments, machine="virt", cpu="cortex-a57", memory=32,
          devices=()):
    """QEMU's command line for an image."""
    need_cross()
    need(QEMU)
    return (QEMU, "-machine", machine, "-cpu", cpu, "-m", str(memory),
            "-nodefaults", "-display", "none", "-serial", "stdio",
            "-semihosting-config", "enable=on,target=native",
            "-global", "virtio-mmio.force-legacy=false", *devices,
            "-kernel", image, "-append", " ".join(arguments))


def machine(image, *arguments, **options):
    """Run an image in a machine to its end; status and output."""
    result = command(*words(image, *arguments, **options), check=False,
                     timeout=60)
    return result.returncode, result.stdout


@test
def an_image_for_a_machine_has_its_segments_apart():
    elf = Elf(built("hello", TARGET))
    check_segments(elf)
    assert min(s["vaddr"] for s in elf.loads()) == 0x40200000
    assert {0x31494241, 0x3154464d} <= {kind for kind, _ in elf.notes()}


@test
def hello_greets_and_its_status_is_told():
    image = built("hello", TARGET)
    status, text = machine(image, "--count=2", "--pause=50ms")
    assert status == 0 and text.count("Hello") == 2, text
    status, text = machine(image, "--count=many")
    assert status == 64 and "many" in text, text


@test
def every_kind_of_the_machine_boots():
    image = built("hello", TARGET)
    for kind, cpu, memory in (("virt,gic-version=3", "cortex-a57", 32),
                              ("virt,virtualization=on", "cortex-a57", 32),
                              ("virt,virtualization=on,gic-version=3", "max",
                               2048)):
        status, text = machine(image, "--count=2", "--pause=20ms",
                               machine=kind, cpu=cpu, memory=memory)
        assert status == 0 and text.count("Hello") == 2, (kind, text)


@test
def the_image_is_booted_as_linux_is():
    image = os.path.join(folder(), "Image")
    command("aarch64-linux-gnu-objcopy", "-O", "binary",
            built("hello", TARGET), image)
    status, text = machine(image, "--count=1", memory=64)
    assert status == 0 and "Hello" in text, text


@test
def without_semihosting_the_machine_is_switched_off():
    need_cross()
    need(QEMU)
    result = command(QEMU, "-machine", "virt", "-cpu", "cortex-a57", "-m",
                     "32", "-nodefaults", "-display", "none", "-serial",
                     "stdio", "-kernel", built("hello", TARGET), "-append",
                     "--count=1 --pause=0", timeout=60)
    assert "Hello" in result.stdout and "trap" not in result.stdout


@test
def a_fault_says_what_and_where():
    image = attack(TARGET)
    for what, report in FAULTS.items():
        status, text = machine(image, f"--what={what}")
        assert status == 255, (what, status, text)
        assert re.search(f"trap: .*{report}", text), (what, text)
        assert re.search("esr  [0-9a-f]{16}  elr  [0-9a-f]{16}  far", text)
    status, text = machine(image, "--what=none")
    assert status == 7 and "survived" in text, (status, text)


@test
def a_machine_without_the_devices_is_told_what_is_missing():
    status, text = machine(built("www", TARGET))
    assert status == 1, text
    assert "the manifest has service as net, and the machine has 0" in text
    assert "-device virtio-net-device" in text, text


@test
def too_little_memory_is_said():
    status, text = machine(built("www", TARGET), memory="2560K", devices=(
        "-netdev", "user,id=n,restrict=on", "-device",
        "virtio-net-device,netdev=n"))
    assert status == 1 and "give more" in text, (status, text)


def conformance(*arguments, cpu="cortex-a57"):
    disk = os.path.join(folder(), "disk")
    with open(disk, "wb") as f:
        f.truncate(1 << 20)
    image = os.path.join(BUILT, "conformance.virtio-aarch64")
    status, text = machine(
        image, *arguments, cpu=cpu, memory=64, devices=(
            "-netdev", "user,id=n,restrict=on", "-device",
            "virtio-net-device,netdev=n", "-device", "virtio-rng-device",
            "-drive", f"if=none,id=b,format=raw,file={disk}", "-device",
            "virtio-blk-device,drive=b"))
    with open(disk, "rb") as f:
        return status, text, f.read()


@test
def the_virtio_platform_conforms_on_arm64():
    seen = set()
    for cpu in ("cortex-a57", "max"):
        status, text, disk = conformance(cpu=cpu)
        assert status == 0 and "not ok" not in text, text
        for sentence in ("a sleep never ends early", "memory is zeroed",
                         "a block device flushes", "entropy differs",
                         "blocks are read as they were written"):
            assert f"ok {sentence}" in text, (sentence, text)
        assert disk[0] == 1 and disk[-1] == 2, "the disk has what was written"
        seen.add(re.search("entropy ([0-9a-f]{16})", text).group(1))
    assert len(seen) == 2, "two machines have other random bytes"


@test
def a_disk_is_tested_in_a_machine():
    disk = os.path.join(folder(), "disk")
    with open(disk, "wb") as f:
        f.truncate(1 << 20)
    for how, wanted in (("", "ok written by 7 blocks, read by 13"),
                        (",readonly=on", "ok the final pattern is on it")):
        status, text = machine(
            built("blocktest", TARGET), memory=64, devices=(
                "-drive", f"if=none,id=b,format=raw,file={disk}{how}",
                "-device", "virtio-blk-device,drive=b"))
        assert status == 0 and "not ok" not in text, text
        assert wanted in text, text


@test
def a_fiber_that_overflows_hits_its_guard():
    status, text, _ = conformance("--fault=guard")
    assert status == 255 and "below a stack" in text, (status, text)


def fetch(s, path):
    return request(s, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")


def processor_time(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@test
def www_serves_through_a_tap():
    need_namespaces()
    need("curl")
    image = built("www", TARGET)
    namespace = Namespace()
    namespace.tap()
    vm = Process(*words(image, f"--ipv4={GUEST}/{PREFIX}", memory=64, devices=(
        "-netdev", "tap,id=n,ifname=tap0,script=no,downscript=no",
        "-device", "virtio-net-device,netdev=n")), namespace=namespace)
    vm.wait_for("serving http")
    page = namespace.run("curl", "-s", "-m", "20", f"http://{GUEST}/").stdout
    assert page.encode() == site_file("index.html"), page
    with namespace.inside():
        s = connect(GUEST, 80, vm)
    with s:
        for path, name, wanted in (("/index.html", "index.html", 200),
                                   ("/favicon.svg", "favicon.svg", 200),
                                   ("/nothing", "404.html", 404)) * 20:
            status, _, body = fetch(s, path)
            assert status == wanted and body == site_file(name), path
    time.sleep(1)
    before = processor_time(vm.pid)
    time.sleep(2)
    used = processor_time(vm.pid) - before
    assert used < 0.5, f"{used} s of 2 are spent on doing nothing"
    assert "trap" not in vm.output(), vm.output()


@test
def fata_run_starts_the_machine():
    need_cross()
    need(QEMU)
    image = built("hello", TARGET)
    project = os.path.dirname(os.path.dirname(image))
    for arguments, wanted in ((("--count=2", "--pause=20ms"), 0),
                              (("--count=many",), 64)):
        result = command(FATA, "run", "-t", TARGET, "--", *arguments,
                         cwd=project, check=False, timeout=60)
        assert result.returncode == wanted, result.stdout
    assert "many" in result.stdout


@test
def fata_run_gives_it_a_network():
    need_cross()
    need(QEMU, "curl")
    image = built("www", TARGET)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    vm = Process(FATA, "run", "-t", TARGET, "--publish", f"{port}:80",
                 cwd=os.path.dirname(os.path.dirname(image)))
    vm.wait_for("serving http")
    page = command("curl", "-s", "-m", "30", "--retry", "5",
                   "--retry-connrefused", f"http://127.0.0.1:{port}/").stdout
    assert page.encode() == site_file("index.html"), page
    vm.stop()
    left = subprocess.run(["pgrep", "-s", str(vm.pid)], capture_output=True,
                          text=True, check=False).stdout
    assert left == "", f"processes are left: {left}"


run()
