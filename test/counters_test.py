#!/usr/bin/env python3
"""No counter is kept where no operator can see it.

That no field of a struct is forgotten is checked when it is compiled
(include/fata/counters.h); this checks that no struct is.
"""
import os
import re

from check import run, test

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDERS = ["base", "include", "net", "http", "crunch", "random"]

DECLARED = re.compile(r"^struct (\w+_counters) \{", re.MULTILINE)
NAMED = re.compile(r"^FATA_COUNTERS_NAMED\((\w+),", re.MULTILINE)
READ = re.compile(r"\bsizeof\(struct (\w+_counters)\) ==")
SHOWN = re.compile(r"\bFATA_COUNTERS_OF\((\w+)\)")
ITSELF = "include/fata/counters.h"


def texts():
    for folder in [*FOLDERS, "platform"]:
        for here, _, files in os.walk(os.path.join(ROOT, folder)):
            for file in files:
                path = os.path.relpath(os.path.join(here, file), ROOT)
                if (path.endswith((".c", ".h")) and path != ITSELF and
                        not path.endswith(("_test.c", "_fuzz.c"))):
                    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
                        yield path, f.read()


@test
def every_struct_of_counters_is_shown():
    declared, shown = {}, set()
    for path, text in texts():
        if path.split("/")[0] in FOLDERS:
            declared.update({name: path for name in DECLARED.findall(text)})
        names = set(NAMED.findall(text)) | set(READ.findall(text))
        assert names or "FATA_COUNTERS_NAMED" not in text, path
        shown |= set(SHOWN.findall(text)) | set(READ.findall(text))
    assert len(declared) > 8, declared
    hidden = [f"{path}: struct {name}" for name, path in declared.items()
              if name not in shown]
    assert not hidden, "register with fata_counters_add: " + ", ".join(hidden)


run()
