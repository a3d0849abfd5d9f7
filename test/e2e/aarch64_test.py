#!/usr/bin/env python3
"""The target spt for arm64 processors: what is built for it, by its structure;
unit tests and the conformance unikernel under QEMU's user emulation.

That has no seccomp, so a loader of the tests' own (test/aarch64) stands in for
the tender. What it runs is the same image.
"""
# test: limit 300
import os
import re
import shutil
import socket
import struct
import subprocess

from aarch64 import BUILT, Elf, built, check_segments, need_cross
from lib import FATA, ROOT, command, folder, need, run, skip, test

USER = "qemu-aarch64-static"


def emulated(*words, timeout=60, **options):
    """Run a program for arm64; status and output."""
    need_cross()
    need(USER)
    result = command(USER, *words, check=False, timeout=timeout, cwd=ROOT,
                     **options)
    return result.returncode, result.stdout


def under_loader(image, *words, devices=(), **options):
    return emulated(os.path.join(BUILT, "spt_loader"), *devices, image, *words,
                    **options)


@test
def an_spt_image_for_arm64_has_what_tenders_look_for():
    elf = Elf(built("www", "spt-aarch64"))
    check_segments(elf)
    assert min(s["vaddr"] for s in elf.loads()) >= 0x100000
    notes = dict(elf.notes())
    target, version = struct.unpack_from("<II", notes[0x31494241], 8)
    assert (target, version) == (2, 2)
    count, = struct.unpack_from("<I", notes[0x3154464d], 8 + 4 + 4)
    assert count == 2, "the reserved entry and the network device"


@test
def two_builds_for_arm64_give_the_same_bytes():
    first = built("hello", "spt-aarch64")
    project = os.path.join(folder(), "hello")
    shutil.copytree(os.path.join(ROOT, "examples/hello"), project)
    command(FATA, "build", "-t", "spt-aarch64", cwd=project)
    with open(first, "rb") as a, \
            open(os.path.join(project, "dist/hello.spt-aarch64"), "rb") as b:
        assert a.read() == b.read()


@test
def a_system_call_outside_the_platform_is_refused_on_arm64_too():
    need_cross()
    project = os.path.join(folder(), "stray")
    command(FATA, "new", project)
    with open(os.path.join(project, "stray.c"), "a", encoding="utf-8") as f:
        f.write("int stray_call(void);\n"
                "__attribute__((used, retain)) int stray_call(void)\n"
                '{ __asm__ volatile("svc #0"); return 0; }\n')
    result = command(FATA, "build", "-t", "spt-aarch64", cwd=project,
                     check=False)
    assert result.returncode == 1, result.stdout
    assert "a system call (svc) outside platform/" in result.stdout
    assert "stray_call" in result.stdout, result.stdout


@test
def without_the_cross_compiler_the_remedy_is_named():
    project = os.path.join(folder(), "bare")
    command(FATA, "new", project)
    programs = os.path.join(folder(), "bin")
    os.mkdir(programs)
    for name in ("gcc", "as", "ld", "cc1", "ninja", "pkg-config", "sh"):
        os.symlink(shutil.which(name) or "/bin/false",
                   os.path.join(programs, name))
    result = command(FATA, "build", "-t", "spt-aarch64", cwd=project,
                     check=False, env={**os.environ, "PATH": programs})
    assert result.returncode == 1, result.stdout
    assert re.search("for aarch64 processors, and aarch64-linux-gnu-gcc is "
                     "not there: run `test/setup cross' in /",
                     result.stdout), result.stdout


@test
def an_image_for_arm64_is_not_run_on_another_processor():
    if os.uname().machine == "aarch64":
        skip("this machine has that processor")
    image = built("hello", "spt-aarch64")
    result = command(FATA, "run", "-t", "spt-aarch64", check=False,
                     cwd=os.path.dirname(os.path.dirname(image)))
    assert result.returncode == 1, result.stdout
    assert "is for aarch64 processors" in result.stdout, result.stdout


@test
def the_libraries_pass_their_unit_tests_on_arm64():
    need_cross()
    need(USER)
    names = command("make", "-s", "print-A64_UNIT", cwd=ROOT).stdout.split()
    assert len(names) > 20, names
    for name in names:
        status, text = emulated(name)
        assert status == 0 and "not ok" not in text, f"{name}:\n{text}"
        assert re.search("^ok ", text, re.MULTILINE), f"{name}:\n{text}"


@test
def hello_greets_on_arm64():
    image = built("hello", "spt-aarch64")
    status, text = under_loader(image, "--count=2", "--pause=20ms")
    assert status == 0 and text.count("Hello") == 2, text
    status, text = under_loader(image, "--count=many")
    assert status == 64 and "many" in text, text


def conformance(*words, **options):
    return under_loader(os.path.join(BUILT, "conformance.spt-aarch64"), *words,
                        **options)


@test
def the_spt_platform_conforms_on_arm64():
    disk = os.path.join(folder(), "disk")
    with open(disk, "wb") as f:
        f.truncate(1 << 20)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        status, text = conformance(
            devices=("--block", f"disk={disk}", "--net",
                     f"service={theirs.fileno()}"),
            pass_fds=(theirs.fileno(),))
    # Not under a tender of ours: nobody has answered that it can be flushed.
    failed = [line for line in text.splitlines() if line.startswith("not ok")]
    assert failed == ["not ok a block device flushes"], text
    assert status == 1 and text.count("ok ") > 10, text


@test
def frames_go_in_and_out_on_arm64():
    need_cross()
    need(USER)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(20)
    process = subprocess.Popen(
        [USER, os.path.join(BUILT, "spt_loader"), "--net",
         f"service={theirs.fileno()}",
         os.path.join(BUILT, "conformance.spt-aarch64"),
         "--echo"], pass_fds=(theirs.fileno(),), stdout=subprocess.PIPE,
        text=True)
    theirs.close()
    try:
        for kind in (b"\x12\x34", b"\x99\x99"):
            ours.send(b"\x02\0\0\0\0\x01" + b"\x02\0\0\0\0\x02" + kind +
                      b"payload of a frame")
            echo = ours.recv(2000)
            assert echo[:6] == b"\x02\0\0\0\0\x02", echo
            assert echo[12:] == kind + b"payload of a frame", echo
        text, _ = process.communicate(timeout=20)
        assert process.returncode == 0 and "echoed 2" in text, text
    finally:
        process.kill()
        ours.close()


@test
def what_fails_on_arm64_ends_with_255():
    status, text = conformance("--fault=assert")
    assert status == 255 and "assertion failed" in text, text
    status, text = conformance("--fault=exit")
    assert status == 42, text


run()
