#!/usr/bin/env python3
"""Block devices on every target that has them: examples/blocktest writes all
of a disk and reads it back, under its runner and under the tender by itself."""
import hashlib
import os
import shutil
import signal
import tempfile

from lib import FATA, ROOT, Process, command, image, need, run, skip, test

TARGETS = ("spt", "unix")
PROJECT = os.path.join(ROOT, "build/images/blocktest")
FOLDER = tempfile.TemporaryDirectory(prefix="fata-block-")
DISK = os.path.join(FOLDER.name, "disk.img")
FINAL = "ok the final pattern is on it"


def disk(size=1 << 20):
    with open(DISK, "wb") as f:
        f.truncate(size)
    return DISK


def digest():
    with open(DISK, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def start(target, *words, source=DISK):
    return Process(FATA, "run", "-t", target, "--block", f"disk={source}",
                   *words, cwd=PROJECT)


def outcome(target, *words, source=DISK):
    process = start(target, *words, source=source)
    return process.wait(60), process.output()


def passes(seen):
    assert seen[0] == 0 and FINAL in seen[1] and "not ok" not in seen[1], seen


@test
def all_of_a_disk_is_written_and_read_back():
    digests = set()
    for target in TARGETS:
        for size in (512, 7 * 512, 1 << 20, (3 << 20) + 512):
            disk(size)
            passes(outcome(target))
        digests.add(digest())
    assert len(digests) == 1, "the same content, whoever wrote it"


@test
def what_one_target_wrote_another_reads():
    for writer in TARGETS:
        disk()
        passes(outcome(writer))
        before = digest()
        for reader in TARGETS:
            status, text = outcome(reader, source=DISK + ",ro")
            passes((status, text))
            assert "read-only" in text, text
        assert digest() == before


@test
def a_disk_that_was_never_written_to_is_told_from_one_that_was():
    for target in TARGETS:
        disk()
        status, text = outcome(target, source=DISK + ",ro")
        assert status == 1 and "not " + FINAL in text, text


@test
def a_file_that_may_only_be_read_can_be_attached_so():
    disk()
    passes(outcome("unix"))
    os.chmod(DISK, 0o444)
    for target in TARGETS:
        passes(outcome(target, source=DISK + ",ro"))
    os.chmod(DISK, 0o644)


@test
def blocks_may_be_larger():
    disk()
    for size in (512, 4096, 32768):
        seen = command(os.path.join(ROOT, "build/fata-spt"),
                       f"--block:disk={DISK}",
                       f"--block-sector-size:disk={size}",
                       image("blocktest", "spt"))
        assert f"blocks of {size} bytes" in seen.stdout, seen.stdout
        assert FINAL in seen.stdout, seen.stdout


@test
def a_mistake_ends_it_and_leaves_the_disk_as_it_was():
    disk()
    for target in TARGETS:
        passes(outcome(target))
        before = digest()
        for mistake, source in (("end", DISK), ("unaligned", DISK),
                                ("read-only", DISK + ",ro")):
            status, text = outcome(target, "--", f"--mistake={mistake}",
                                   source=source)
            assert status in (255, -signal.SIGABRT, 134), (mistake, status)
            assert "assertion failed" in text, text
            assert "was made" not in text, text
            assert digest() == before, (target, mistake)


@test
def a_file_that_makes_no_disk_is_refused_and_why_is_said():
    for target in TARGETS:
        for size, why in ((0, "less than a block"), (100, "less than a block"),
                          (1000, "truncate -s %512")):
            disk(size)
            status, text = outcome(target)
            assert status == 1, (target, size, status, text)
            assert why in text, text
        status, text = outcome(target, source=FOLDER.name)
        assert status == 1 and FOLDER.name in text, text


@test
def one_that_writes_keeps_all_others_off_until_it_is_gone():
    disk()
    for first in TARGETS:
        passes(outcome(first))
        for second in TARGETS:
            holder = start(first, "--", "--pause=60s")
            holder.wait_for("checks passed")
            status, text = outcome(second)
            assert status == 1 and "in use" in text and "fuser" in text, text
            status, text = outcome(second, source=DISK + ",ro")
            assert status == 1 and "in use" in text, text
            holder.process.kill()
            holder.wait()
            passes(outcome(second))


OPTIONAL = {
    "config.c": """#include <fata/config.h>
FATA_CONFIG("maybe")
{
    cfg_main("maybe.c", "maybe_main", cfg_block_optional("extra"));
}
""",
    "maybe.c": """#include "maybe.h"
int maybe_main(struct fata_env *env, struct fata_block *extra)
{
    fata_print(env, "%s\\n", extra != NULL ? "a disk" : "no disk");
    return extra == NULL ? 5 : extra->read_only ? 7 : 6;
}
"""}


@test
def an_optional_disk_may_be_left_out():
    project = os.path.join(FOLDER.name, "maybe")
    os.makedirs(project)
    for name, text in OPTIONAL.items():
        with open(os.path.join(project, name), "w") as f:
            f.write(text)
    disk()
    for target in TARGETS:
        command(FATA, "configure", "-t", target, cwd=project)
        command(FATA, "build", cwd=project)
        for words, status, said in (
                ((), 5, "no disk"),
                (("--block", f"extra={DISK}"), 6, "a disk"),
                (("--block", f"extra={DISK},ro"), 7, "a disk")):
            seen = command(FATA, "run", *words, cwd=project, check=False)
            assert seen.returncode == status and said in seen.stdout, \
                (target, words, seen.returncode, seen.stdout)
        seen = command(FATA, "run", "--block", f"extar={DISK}", cwd=project,
                       check=False)
        assert seen.returncode == 64 and "extra" in seen.stdout, seen.stdout


@test
def a_virtual_machine_has_the_same_disk_and_the_same_locks():
    need("qemu-system-x86_64")
    disk()
    passes(outcome("virtio"))
    for reader in (*TARGETS, "virtio"):
        passes(outcome(reader, source=DISK + ",ro"))
    holder = start("virtio", "--", "--pause=60s")
    holder.wait_for("checks passed")
    status, text = outcome("spt")
    assert status == 1 and "in use" in text, text
    holder.process.kill()
    holder.wait()
    holder = start("spt", "--", "--pause=60s")
    holder.wait_for("checks passed")
    status, text = outcome("virtio")
    assert status != 0 and "lock" in text, text
    holder.process.kill()
    holder.wait()


@test
def a_disk_of_a_virtual_machine_may_have_any_name():
    need("qemu-system-x86_64")
    for name in ("nbd:a,b.img", "json:{}"):
        path = os.path.join(PROJECT, name)
        os.replace(disk(), path)
        try:
            passes(outcome("virtio", source=name))
        finally:
            os.remove(path)


@test
def a_block_device_of_the_host_is_a_disk():
    if os.geteuid() != 0 or shutil.which("losetup") is None:
        skip("loop devices need root and losetup")
    disk()
    made = command("losetup", "--find", "--show", DISK, check=False)
    device = made.stdout.strip()
    if made.returncode != 0 or not device.startswith("/dev/"):
        skip("there are no loop devices here")
    try:
        for target in TARGETS:
            passes(outcome(target, source=device))
            passes(outcome(target, source=device + ",ro"))
    finally:
        command("losetup", "--detach", device)


run()
