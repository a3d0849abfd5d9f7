#!/usr/bin/env python3
"""The target hvt for arm64 processors, without KVM: a monitor of the tests' own
(test/aarch64/hvt_monitor.c) stands in for it, at EL2 of an emulated machine.
"""
# test: limit 200
import os
import re
import struct

from aarch64 import (BUILT, FAULTS, Elf, attack, built, check_segments,
                     need_cross)
from lib import command, folder, need, run, test

QEMU = "qemu-system-aarch64"
TARGET = "hvt-aarch64"


def monitored(image, *arguments):
    """Run an image under the monitor; status and output."""
    need_cross()
    need(QEMU)
    line = os.path.join(folder(), "line")
    with open(line, "w", encoding="utf-8") as f:
        f.write(" ".join(arguments))
    words = [QEMU, "-machine", "virt,virtualization=on", "-cpu", "cortex-a57",
             "-m", "1024", "-nodefaults", "-display", "none", "-serial",
             "stdio", "-semihosting-config", "enable=on,target=native",
             "-kernel", os.path.join(BUILT, "hvt_monitor"),
             "-device", f"loader,file={image},addr=0x60000000,force-raw=on"]
    if arguments:
        words += ["-device",
                  f"loader,file={line},addr=0x5f000000,force-raw=on"]
    result = command(*words, check=False, timeout=60)
    return result.returncode, result.stdout


@test
def an_hvt_image_for_arm64_has_what_monitors_look_for():
    elf = Elf(built("www", TARGET))
    check_segments(elf)
    assert min(s["vaddr"] for s in elf.loads()) >= 0x100000
    notes = dict(elf.notes())
    assert struct.unpack_from("<II", notes[0x31494241], 8) == (1, 2)
    count, = struct.unpack_from("<I", notes[0x3154464d], 8 + 4 + 4)
    assert count == 2, "the reserved entry and the network device"


@test
def hello_greets_under_a_monitor():
    image = built("hello", TARGET)
    status, text = monitored(image, "--count=2", "--pause=50ms")
    assert status == 0 and text.count("Hello") == 2, text
    status, text = monitored(image, "--count=many")
    assert status == 64 and "many" in text, text


@test
def the_hvt_platform_conforms_on_arm64():
    status, text = monitored(os.path.join(BUILT, "conformance.hvt-aarch64"))
    failed = [line for line in text.splitlines() if line.startswith("not ok")]
    # A stock monitor has neither, and this one is as those are.
    assert set(failed) <= {"not ok a block device flushes"}, text
    assert "ok a sleep never ends early" in text, text
    assert "ok blocks are read as they were written" in text, text
    assert status == (1 if failed else 0), (status, text)


@test
def a_disk_is_tested_under_a_monitor():
    status, text = monitored(built("blocktest", TARGET))
    failed = [line for line in text.splitlines() if line.startswith("not ok")]
    assert set(failed) <= {"not ok flush", "not ok the final pattern",
                           "not ok the final pattern is on it"}, text
    assert "ok written by 7 blocks, read by 13" in text, text


@test
def a_fault_says_what_and_where_under_a_monitor():
    image = attack(TARGET)
    for what, report in FAULTS.items():
        status, text = monitored(image, f"--what={what}")
        assert status == 255, (what, status, text)
        assert re.search(f"trap: .*{report}", text), (what, text)
    status, text = monitored(image, "--what=none")
    assert status == 7 and "survived" in text, (status, text)


run()
