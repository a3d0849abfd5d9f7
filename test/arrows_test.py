#!/usr/bin/env python3
"""Which folder may include which: the arrows of ARCHITECTURE.md, checked.

base includes nothing of ours; libraries include base, the interfaces and
themselves; no library includes platform, and none reaches for the system.
"""
import os
import re

from check import run, test

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LIBRARIES = ["net", "http", "crunch", "random"]

# Folder: what it may include besides itself. Tests beside the code may also
# include test/.
ARROWS = {
    "base": [],
    "include": ["base"],
    **{library: ["base", "include"] for library in LIBRARIES},
    "abi": ["base"],
    "platform": ["base", "include", "abi", "random"],
    "tender": ["base", "abi"],
    "sockets": ["base", "include", "net", "random"],
    "examples": ["base", "include"],
}

# All of the C library that a sans-I/O library has any business with.
PURE = {"assert.h", "cpuid.h", "limits.h", "stdalign.h", "stdarg.h",
        "stdatomic.h", "stdbool.h", "stddef.h", "stdint.h", "stdnoreturn.h",
        "string.h"}
PURE_PACKAGES = ("sodium", "sanitizer")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def is_test(path):
    return path.endswith(("_test.c", "_fuzz.c", "_double.h"))


def sources(folder):
    for here, _, files in os.walk(os.path.join(ROOT, folder)):
        for file in sorted(files):
            if file.endswith((".c", ".h", ".S")):
                yield os.path.relpath(os.path.join(here, file), ROOT)


def includes(path):
    """(line, name, is_ours, top folder) of every include in the file."""
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        text = f.read()
    for match in INCLUDE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        name = match.group(2)
        top = name.split("/")[0]
        if top == "fata":
            top = "include"
        ours = match.group(1) == '"' or top == "include"
        yield line, name, ours, top


def folder_of(path, name, top):
    """The top folder an include leads to, also where it is a plain name."""
    beside = os.path.join(os.path.dirname(path), name)
    if os.path.exists(os.path.join(ROOT, beside)):
        return os.path.normpath(beside).split("/")[0]
    return top


def wrong_arrows(folder, allowed):
    for path in sources(folder):
        for line, name, ours, top in includes(path):
            if not ours:
                continue
            leads_to = folder_of(path, name, top)
            if leads_to == folder or leads_to in allowed:
                continue
            if is_test(path) and leads_to in ("test", "include", "base"):
                continue
            if folder == "examples" and "/" not in name:
                continue  # the header that fata configure writes
            yield f"{path}:{line}: {folder}/ may not include {name}"


@test
def includes_follow_the_arrows():
    wrong = [line for folder, allowed in ARROWS.items()
             for line in wrong_arrows(folder, allowed)]
    assert not wrong, "\n" + "\n".join(wrong)


@test
def libraries_reach_for_nothing_of_the_system():
    wrong = []
    for folder in ["base", "include", *LIBRARIES]:
        for path in sources(folder):
            if is_test(path):
                continue
            for line, name, ours, _ in includes(path):
                if (ours or name in PURE or
                        name.removesuffix(".h").split("/")[0]
                        in PURE_PACKAGES):
                    continue
                wrong.append(f"{path}:{line}: <{name}> is not pure")
    # config.h is for the host program that config.c becomes.
    wrong = [w for w in wrong if not w.startswith("include/fata/config.h")]
    assert not wrong, "\n" + "\n".join(wrong)


@test
def every_source_says_what_it_is_for():
    wrong = []
    for folder in [*ARROWS, "tool", "test", "bench"]:
        for path in sources(folder):
            with open(os.path.join(ROOT, path), encoding="utf-8") as f:
                if not f.read(64).lstrip().startswith(("/*", "//", "#")):
                    wrong.append(path)
    assert not wrong, "no opening comment: " + " ".join(wrong)


run()
