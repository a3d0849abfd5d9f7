"""What the tests of the targets for arm64 share: images, their structure, and
a unikernel that attacks itself.
"""
import os
import shutil
import struct

from lib import FATA, ROOT, command, folder, need, skip

CROSS = os.path.join(ROOT, "build/cross/aarch64")
BUILT = os.path.join(ROOT, "build/aarch64")
EM_AARCH64 = 183


def need_cross():
    need("aarch64-linux-gnu-gcc")
    if not os.path.isdir(CROSS):
        skip("the libraries for arm64 are not in build/cross: "
             "`test/setup cross' fetches them")


ATTACK = """
#include "attack.h"
#include <string.h>
static int below(volatile char *p, int n)
{
    volatile char room[4096];
    room[0] = *p;
    return n == 0 ? room[0] : below(room, n - 1) + room[1];
}
int attack_main(struct fata_env *env, const char *what)
{
    static const char constant[16] = "constant";
    static char data[16];
    char c = 0;
    if (!strcmp(what, "null"))
        return *(volatile char *)(uintptr_t)strlen("");
    if (!strcmp(what, "constant"))
        *(volatile char *)(uintptr_t)constant = 1;
    if (!strcmp(what, "code"))
        *(volatile char *)(uintptr_t)attack_main = 1;
    if (!strcmp(what, "execute"))
        ((void (*)(void))(uintptr_t)data)();
    if (!strcmp(what, "stack"))
        return below(&c, 1000);
    if (!strcmp(what, "undefined"))
        __asm__ volatile("udf #0");
    if (!strcmp(what, "far"))
        return *(volatile char *)(uintptr_t)0x700000000;
    fata_print(env, "survived\\n");
    return 7;
}
"""

# What it does wrong, and what is then said.
FAULTS = {
    "null": "data abort at 0x.*: reading 0x0, the null page",
    "constant": "writing to 0x.*, which is read-only",
    "code": "writing to 0x.*, which is read-only",
    "execute": "instruction abort .*executing 0x.*, which is data",
    "stack": "writing to 0x.*, below a stack, which is too small",
    "undefined": "invalid instruction at 0x",
    "far": "reading 0x700000000, where there is nothing",
}

_images = {}


def built(example, target):
    """The image of an example for a target, and the folder it is in."""
    need_cross()
    if (example, target) not in _images:
        project = os.path.join(folder(), example)
        shutil.copytree(os.path.join(ROOT, "examples", example), project)
        command(FATA, "build", "-t", target, cwd=project, timeout=200)
        _images[example, target] = os.path.join(
            project, "dist", f"{example}.{target}")
    return _images[example, target]


def attack(target):
    """The image of a unikernel that attacks itself."""
    need_cross()
    project = os.path.join(folder(), "attack")
    os.mkdir(project)
    with open(os.path.join(project, "attack.c"), "w", encoding="utf-8") as f:
        f.write(ATTACK)
    with open(os.path.join(project, "config.c"), "w", encoding="utf-8") as f:
        f.write('#include <fata/config.h>\nFATA_CONFIG("attack")\n{\n'
                '    cfg_main("attack.c", "attack_main", cfg_arg_string('
                '"what", "none", "what to do wrong"));\n}\n')
    command(FATA, "build", "-t", target, cwd=project, timeout=200)
    return os.path.join(project, "dist", f"attack.{target}")


class Elf:
    """What a loader sees of an ELF file."""

    def __init__(self, path):
        with open(path, "rb") as f:
            self.data = f.read()
        self.type, self.machine = struct.unpack_from("<HH", self.data, 16)
        self.entry, offset = struct.unpack_from("<QQ", self.data, 24)
        size, count = struct.unpack_from("<HH", self.data, 54)
        self.segments = [
            dict(zip(("type", "flags", "offset", "vaddr", "paddr", "filesz",
                      "memsz", "align"),
                     struct.unpack_from("<IIQQQQQQ", self.data,
                                        offset + i * size)))
            for i in range(count)]

    def loads(self):
        return [s for s in self.segments if s["type"] == 1]

    def notes(self):
        """The first note of each PT_NOTE, as tenders see them: type, words."""
        for s in self.segments:
            if s["type"] == 4:
                _, _, kind = struct.unpack_from("<III", self.data, s["offset"])
                yield kind, self.data[s["offset"] + 12:
                                      s["offset"] + s["filesz"]]


def check_segments(elf):
    assert elf.machine == EM_AARCH64 and elf.type == 2
    end = 0
    for s in elf.loads():
        assert s["flags"] & 3 != 3, "writable and executable"
        assert s["vaddr"] >= end & ~0xfff
        assert s["vaddr"] & ~0xfff >= (end + 0xfff) & ~0xfff or end == 0, \
            "two rights on one page"
        end = s["vaddr"] + s["memsz"]
    code = [s for s in elf.loads() if s["flags"] & 1]
    assert len(code) == 1
    assert code[0]["vaddr"] <= elf.entry < code[0]["vaddr"] + code[0]["filesz"]
    stack = [s for s in elf.segments if s["type"] == 0x6474e551]
    assert all(s["flags"] & 1 == 0 for s in stack)
