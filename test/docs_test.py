#!/usr/bin/env python3
"""Every command in the documentation, run as it stands there.

The pages are run in a fresh copy of the project, one after another, each from
its top folder. In a page, in order:

    ```sh           runs, each block in the folder the one before ended in,
                    and must succeed
    ```sh server    runs on in the background; the next block is tried until
                    it succeeds, then the server is interrupted (^C)
    ```text         directly after a block: what it prints, of which some
                    lines may be left out, as `...`
    ```c NAME       is written to the file NAME

`make test`, `make bench`, `make fuzz` and `make soak` are only asked what they
would do (make -n): it is `make test` that runs this.

# test: limit 900
"""
import configparser
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib

try:
    import yaml
except ImportError:
    yaml = None

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "test/e2e"))

import lib  # noqa: E402
from lib import run, test  # noqa: E402

BLOCK = re.compile(r"^```(\w+)(?: ([^\n]+))?\n(.*?)^```$", re.M | re.S)
ENDLESS = re.compile(r"^(\s*make) (test|bench|fuzz|soak)\b", re.M)

tree = None
namespace = None


def fresh_copy():
    """The project as a clone would have it: no build products."""
    path = os.path.join(lib.folder(), "fata")
    if os.path.isdir(os.path.join(ROOT, ".git")) or \
            os.path.isfile(os.path.join(ROOT, ".git")):
        files = subprocess.run(
            ["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT,
            capture_output=True, check=True).stdout.decode().split("\0")
        for file in filter(None, files):
            if os.path.lexists(os.path.join(ROOT, file)):
                target = os.path.join(path, file)
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copy2(os.path.join(ROOT, file), target,
                             follow_symlinks=False)
    else:
        shutil.copytree(ROOT, path, symlinks=True,
                        ignore=shutil.ignore_patterns("build", "dist",
                                                      ".fata"))
    return path


def setup():
    """A namespace of its own, where it can be had, keeps the ports free."""
    global tree, namespace
    tree = fresh_copy()
    try:
        lib.need_namespaces()
        namespace = lib.Namespace()
    except lib.Skipped:
        namespace = None


class Shell:
    """Where a page's commands have got to."""

    def __init__(self):
        self.folder = tree
        self.environment = {**os.environ}
        self.environment.pop("FATA_ROOT", None)
        # `fata ps` is not to list what other tests run.
        self.environment["XDG_RUNTIME_DIR"] = lib.folder()

    def words(self, text):
        text = ENDLESS.sub(r"\1 -n \2", text)
        prefix = namespace.prefix if namespace else ()
        where = os.path.join(tree, ".docs-test-folder")
        return (*prefix, "sh", "-c",
                f"trap 'pwd >\"{where}\"' EXIT; set -e\n{text}")

    def run(self, text):
        """Exit status and output."""
        result = lib.command(*self.words(text), cwd=self.folder, check=False,
                             env=self.environment, timeout=300)
        where = os.path.join(tree, ".docs-test-folder")
        if os.path.exists(where):
            with open(where, encoding="utf-8") as f:
                self.folder = f.read().rstrip("\n")
            os.remove(where)
        return result.returncode, result.stdout

    def serve(self, text):
        prefix = namespace.prefix if namespace else ()
        return lib.Process(*prefix, "sh", "-ec", text, cwd=self.folder,
                           env=self.environment)


def shows(expected, output):
    """Whether the lines come in the output, in order, with gaps at `...`."""
    pattern = r"\n".join(
        r"(?:.*\n)*?.*" if line.strip() == "..." else
        re.escape(line.rstrip()).replace(r"\.\.\.", ".*")
        for line in expected.rstrip().splitlines())
    return re.search(rf"^{pattern}[ \t]*$", output, re.M) is not None


def execute(page):
    with open(os.path.join(tree, page), encoding="utf-8") as f:
        text = f.read()
    shell = Shell()
    server, output, count = None, None, 0
    for match in BLOCK.finditer(text):
        kind, note, body = match.groups()
        place = f"{page}:{text.count(chr(10), 0, match.start()) + 1}"
        if kind == "c" and note:
            with open(os.path.join(shell.folder, note), "w",
                      encoding="utf-8") as f:
                f.write(body)
        elif kind == "sh" and note == "server":
            assert server is None, f"{place}: two servers in a row"
            server = shell.serve(body)
        elif kind == "sh":
            count += 1
            status, output = shell.run(body)
            end = time.monotonic() + 300
            while server and status != 0 and time.monotonic() < end:
                assert server.running(), \
                    f"{place}: the server ended:\n{server.output()}"
                time.sleep(0.2)
                status, output = shell.run(body)
            assert status == 0, f"{place}: exit status {status}\n{output}" + \
                (server.output() if server else "")
            if server:
                server.stop(signal.SIGINT)
                server = None
        elif kind == "text" and output is not None:
            assert shows(body, output), \
                f"{place}: expected\n{body}\nbut it printed\n{output}"
    assert server is None, f"{page}: nothing was asked of the last server"
    assert count > 0, f"{page} has no commands"


@test
def the_readme_holds_word_for_word():
    execute("README.md")


@test
def the_guide_holds_word_for_word():
    execute("docs/guide.md")


@test
def the_command_reference_holds_word_for_word():
    execute("docs/cli.md")


@test
def the_page_on_the_shared_library_runs():
    execute("docs/sockets.md")


@test
def the_page_on_deploying_holds_as_far_as_it_can_run_here():
    lib.need("skopeo", "umoci", "qemu-system-x86_64", "qemu-img",
             "virt-xml-validate")
    execute("docs/deploy.md")


def check_firecracker(told):
    """Every field is one of Firecracker's, and those it must have are there."""
    fields = {"boot-source": {"kernel_image_path", "boot_args", "initrd_path"},
              "machine-config": {"vcpu_count", "mem_size_mib"},
              "network-interfaces": {"iface_id", "host_dev_name", "guest_mac"},
              "drives": {"drive_id", "path_on_host", "is_root_device",
                         "is_read_only"},
              "entropy": set()}
    assert set(told) <= set(fields), told
    for name, value in told.items():
        for part in value if isinstance(value, list) else [value]:
            assert set(part) <= fields[name], part
    assert "kernel_image_path" in told["boot-source"]
    assert len(told["boot-source"]["boot_args"]) <= 2048


@test
def the_page_on_kvm_holds_as_far_as_it_can_run_here():
    execute("docs/hvt.md")


@test
def what_is_for_other_programs_can_be_read_by_them():
    count = 0
    for page in ("docs/deploy.md",):
        with open(os.path.join(tree, page), encoding="utf-8") as f:
            text = f.read()
        for kind, _, body in BLOCK.findall(text):
            if kind == "json":
                check_firecracker(json.loads(body))
            elif kind == "toml":
                tomllib.loads(body)
            elif kind == "ini":
                # Keys that come again are another of their kind to systemd.
                configparser.RawConfigParser(strict=False).read_string(body)
            elif kind == "yaml" and yaml:
                assert all(isinstance(part, dict) and "kind" in part
                           for part in yaml.safe_load_all(body)), body
            else:
                continue
            count += 1
    assert count >= 5, count
    if yaml is None:
        lib.skip("PyYAML is not installed: YAML was not read")


@test
def links_between_pages_lead_somewhere():
    wrong = []
    for folder in ("", "docs", "examples"):
        for here, _, files in os.walk(os.path.join(tree, folder)):
            if folder == "" and here != os.path.join(tree, ""):
                break
            for file in files:
                if not file.endswith(".md"):
                    continue
                path = os.path.join(here, file)
                with open(path, encoding="utf-8") as f:
                    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", f.read())
                wrong += [f"{path}: {link}" for link in links
                          if not os.path.exists(os.path.join(here, link))]
    assert not wrong, wrong


run(setup)
