#!/usr/bin/env python3
"""Side-by-side figures: make bench, or bench/bench.py [--quick] [NAME...].

Runs alternate between us and the peer, on a quiet machine as far as that can
be had; medians are compared. CPU time stands beside every rate. Writes
build/bench.json and prints a table; figures never fail.
"""
import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time

import harness
from harness import (ROOT, alternate, measured, output, pin, private_kb, say,
                     seconds_of, version, wait_quiet)
from network import Network

import lib  # test/e2e: namespaces, taps, processes, and their removal
import nested  # and Debian's kernel

BUILD = os.path.join(ROOT, "build")
TENDER = os.path.join(BUILD, "fata-spt")
FATA = os.path.join(BUILD, "fata")
MAC = "02:00:00:00:00:77"
figures = []


def figure(name, value, unit, peer=None, at_least=None, aim=None,
           more_is_better=False, **details):
    """Record one figure. Without at_least it is only reported."""

    def reaches(bound):
        if bound is None:
            return None
        return value >= bound if more_is_better else value <= bound

    figures.append({"name": name, "value": value, "unit": unit, "peer": peer,
                    "at_least": at_least, "aim": aim,
                    "met": reaches(at_least), "aim_met": reaches(aim),
                    "more_is_better": more_is_better, **details})


def project(name, change=None, folder="examples", target="spt"):
    """A copy of a unikernel, changed by `change(folder)`, built."""
    path = os.path.join(lib.folder(), name)
    shutil.copytree(os.path.join(ROOT, folder, name), path,
                    ignore=shutil.ignore_patterns("dist", ".fata"))
    if change:
        change(path)
    output(FATA, "configure", "-t", target, cwd=path)
    output(FATA, "build", cwd=path)
    return path


def spt_image(path):
    return os.path.join(path, "dist", os.path.basename(path) + ".spt")


def empty_site(path):
    """Take the site's files away, but for one small page."""
    site = os.path.join(path, "site")
    shutil.rmtree(site)
    os.mkdir(site)
    with open(os.path.join(site, "index.html"), "wb") as f:
        f.write(PAGE)


PAGE = (b"<!doctype html><title>bench</title>" + b"." * 1024)[:1024]


def serve(namespace, image, tap, address, **options):
    """The tender with www on a tap, until lib ends it."""
    return lib.Process(
        TENDER, f"--net:service={tap}", f"--net-mac:service={MAC}", "--",
        image, f"--ipv4={address}/24", "--log=*:error",
        namespace=namespace, **options)


def tap_namespace(taps=1):
    """A namespace with taps made beforehand; the guests' MAC is known."""
    lib.need_namespaces()
    namespace = lib.Namespace()
    for i in range(taps):
        namespace.tap(f"tap{i}", f"10.77.{i}.1/24")
        namespace.ip("neigh", "replace", f"10.77.{i}.2", "lladdr", MAC,
                     "dev", f"tap{i}", "nud", "permanent")
    return namespace


# ---- the figures

def hello():
    """Process start to exit, against a static C program."""
    image = spt_image(project("hello"))
    ours = [TENDER, image, "--count=1", "--pause=0"]
    text = output(*ours).splitlines()
    peer = [os.path.join(BUILD, "bench/hello_c"), *text]
    wait_quiet()
    runs = 100 if harness.quick else 500
    got = measured(os.path.join(BUILD, "bench/starts"), str(runs), *ours,
                   "--", *peer)
    figure("hello, start to exit", got["a"]["wall_ns"] / got["b"]["wall_ns"],
           "x the peer's time", f"static C program, {version('gcc', '--version')}",
           1.6, 1.25, ours_us=got["a"]["wall_ns"] / 1e3,
           peer_us=got["b"]["wall_ns"] / 1e3,
           ours_cpu_us=got["a"]["cpu_ns"] / 1e3,
           peer_cpu_us=got["b"]["cpu_ns"] / 1e3, runs=runs)


def first_reply():
    """Process start to the first HTTP reply over a tap made beforehand."""
    namespace = tap_namespace()
    image = spt_image(project("www"))
    wait_quiet()
    runs = 20 if harness.quick else 100
    got = measured(*namespace.prefix, os.path.join(BUILD, "bench/first_reply"),
                   str(runs), "10.77.0.2", "80", TENDER, "--net:service=tap0",
                   f"--net-mac:service={MAC}", "--", image,
                   "--ipv4=10.77.0.2/24", "--log=*:error")
    figure("www, start to first reply", got["wall_ns"] / 1e6, "ms", None,
           5, 1.5, minimum_ms=got["wall_min_ns"] / 1e6,
           p90_ms=got["wall_p90_ns"] / 1e6, ours_cpu_ms=got["cpu_ns"] / 1e6,
           runs=runs)


QEMU = shutil.which("qemu-system-x86_64") or "qemu-system-x86_64"
MACHINE = (QEMU, "-nodefaults", "-no-user-config", "-no-reboot", "-display",
           "none", "-machine", "microvm", "-accel", "tcg", "-cpu", "max", "-m",
           "256M", "-serial", "stdio", "-global",
           "virtio-mmio.force-legacy=false")


def seconds_to_line(words, line):
    """Wall and CPU seconds of a program until it prints `line`."""
    before, began = os.times(), time.monotonic()
    with subprocess.Popen(words, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE) as process:
        limit = threading.Timer(300, process.kill)
        limit.start()
        found = any(line in said for said in process.stdout)
        wall = time.monotonic() - began
        limit.cancel()
        process.kill()
    after = os.times()
    assert found, f"{words[0]} never printed {line}"
    return wall, (after.children_user - before.children_user +
                  after.children_system - before.children_system)


def virtual_machine():
    """Start of an emulated machine to www's first reply, against Debian's
    kernel and a first process that prints a line."""
    lib.need("qemu-system-x86_64", "gcc")
    namespace = tap_namespace()
    image = project("www", target="virtio")
    kernel = nested.debian_kernel()
    folder = lib.folder()
    with open(os.path.join(folder, "init.c"), "w", encoding="utf-8") as f:
        f.write('#include <unistd.h>\n'
                'int main(void) { for (;;) { write(1, "started\\n", 8); '
                'pause(); } }\n')
    init, initrd = (os.path.join(folder, name) for name in ("init", "initrd"))
    output("gcc", "-O2", "-static", "-o", init, init + ".c")
    with open(init, "rb") as f, open(initrd, "wb") as to:
        to.write(nested.archive({"init": (0o100755, f.read())}))
    # It does not start on microvm without KVM.
    linux = [*("pc" if word == "microvm" else word for word in MACHINE),
             "-kernel", kernel, "-initrd", initrd, "-append",
             "console=ttyS0 quiet panic=-1 rdinit=/init"]
    ours = [*MACHINE, "-kernel", os.path.join(image, "dist/www.virtio"),
            "-append", "--ipv4=10.77.0.2/24 --log=*:error", "-netdev",
            "tap,id=n,ifname=tap0,script=no,downscript=no", "-device",
            f"virtio-net-device,netdev=n,mac={MAC}"]

    def first():
        got = measured(*namespace.prefix,
                       os.path.join(BUILD, "bench/first_reply"), "1",
                       "10.77.0.2", "80", *ours)
        return {"wall": got["wall_ns"] / 1e9, "cpu": got["cpu_ns"] / 1e9}

    def line():
        wall, cpu = seconds_to_line(linux, b"started")
        return {"wall": wall, "cpu": cpu}

    got = alternate(1 if harness.quick else 5, ours=first, peer=line)
    figure("virtio www without KVM, start to first reply",
           got["peer"]["wall"] / got["ours"]["wall"], "x sooner",
           f"Debian's {os.path.basename(kernel)} to a static init", 10, 30,
           True, ours_s=got["ours"]["wall"], peer_s=got["peer"]["wall"],
           ours_cpu_s=got["ours"]["cpu"], peer_cpu_s=got["peer"]["cpu"])


def instructions():
    """Instructions of www on an emulated machine, from its entry to main."""
    lib.need("qemu-system-x86_64", "nm")
    path = project("www", target="virtio")
    code = [(int(address, 16), name) for address, kind, name in (
        line.split() for line in output(
            "nm", "--defined-only", "-n",
            os.path.join(path, ".fata/virtio/www.virtio.debug")).splitlines())
            if kind in "tT"]
    main = dict((name, address) for address, name in code)["www_main"]
    log = os.path.join(lib.folder(), "log")
    # A line in the log for each: a block of code has one instruction.
    qemu = lib.Process(
        *MACHINE, "-kernel", os.path.join(path, "dist/www.virtio"), "-append",
        "--ipv4=10.0.2.15/24", "-netdev", "user,id=n,restrict=on", "-device",
        f"virtio-net-device,netdev=n,mac={MAC}", "-singlestep", "-d",
        "exec,nochain", "-D", log, "-dfilter",
        f"{code[0][0]:#x}..{code[-1][0] + 4096:#x}")
    count = 0
    with open_when_there(log, qemu) as lines:
        for line in followed(lines, qemu, 60):
            at = re.search(r"\[[0-9a-f]+/([0-9a-f]{16})/", line)
            if at and int(at[1], 16) == main:
                break
            count += at is not None
        else:
            raise AssertionError(f"main was not reached: {qemu.output()}")
    qemu.stop()
    figure("virtio www, instructions from entry to main", count, "", None,
           60000, 20000)


def open_when_there(path, process):
    """The file that a process is about to write, for reading."""
    while not os.path.exists(path):
        assert process.running(), process.output()
        time.sleep(0.01)
    return open(path, encoding="ascii", errors="replace")


def followed(lines, process, seconds):
    """The lines of a file that grows, until its process ends."""
    end, rest = time.monotonic() + seconds, ""
    while process.running() and time.monotonic() < end:
        text = lines.read()
        if not text:
            time.sleep(0.01)
        *whole, rest = (rest + text).split("\n")
        yield from whole


def sizes():
    """Stripped images."""
    def stripped(image):
        copy = os.path.join(lib.folder(), "image")
        output("strip", "-s", "-o", copy, image)
        return os.path.getsize(copy)

    figure("size of hello", stripped(spt_image(project("hello"))) / 1024,
           "KB", None, 24, 12)
    image = spt_image(project("www", empty_site))
    figure("size of virtio www", os.path.getsize(os.path.join(
        project("www", target="virtio"), "dist/www.virtio")) / 1024, "KB",
           None, 220, 128)
    figure("size of www without its site",
           (stripped(image) - len(PAGE)) / 1024, "KB", None, 160, 96)


def memory():
    """Private memory of a www that has served one page and is idle."""
    namespace = tap_namespace(2)
    image = spt_image(project("www"))
    # Two of them, so that the pages of the files count as shared.
    servers = [serve(namespace, image, f"tap{i}", f"10.77.{i}.2")
               for i in range(2)]
    with namespace.inside():
        for i, server in enumerate(servers):
            with lib.connect(f"10.77.{i}.2", 80, server) as s:
                status, _, _ = lib.request(
                    s, "GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
                assert status == 200, status
    time.sleep(1)
    sizes_kb = [private_kb(server.find("fata-spt")) for server in servers]
    for server in servers:
        server.stop()
    figure("memory private to an idle www", statistics.median(sizes_kb),
           "KB", None, 512, 128)


def tcp_memory():
    """Two stacks in one process, in memory, on one core."""
    wait_quiet()
    got = alternate(1 if harness.quick else 3, ours=lambda: measured(
        os.path.join(BUILD, "bench/tcp_memory"),
        "1" if harness.quick else "3", preexec_fn=pin(0)))["ours"]
    for name, key, unit, scale, least, aim in (
            ("TCP in memory, one stream", "bytes", "Gbit/s", 8e-9, 20, 40),
            ("the same, checksums and cutting left to the wire", "merged",
             "Gbit/s", 8e-9, None, None),
            ("TCP in memory, requests on 64 connections", "requests",
             "k/s", 1e-3, 600, 1200),
            ("TCP in memory, connect-request-close", "cycles", "k/s", 1e-3,
             300, 1000)):
        figure(name, got[f"{key}_per_second"] * scale, unit, None, least, aim,
               True, cpu_share=got[f"{key}_cpu_share"])


def tcp_idle():
    """Memory of the server's side for 100,000 idle connections."""
    got = measured(os.path.join(BUILD, "bench/tcp_idle"), "100000")
    figure("memory of 100,000 idle connections", got["bytes"] / 1e6, "MB",
           None, 100, 50)


def micro():
    """What the smallest things cost."""
    wait_quiet()
    text = output(os.path.join(BUILD, "bench/micro"), preexec_fn=pin(0))
    costs = dict(re.findall(r"^(.+) ([\d.]+) ns$", text, re.M))
    for name, line, least, aim in (
            ("task switch", "task_switch", 20, 10),
            ("timer, arm and cancel", "timer_arm_and_cancel", 30, 15),
            ("packet buffer, take and give", "pbuf_take_and_give", 20, 8)):
        figure(name, float(costs[line]), "ns", None, least, aim)


def build():
    """A clean build, and a rebuild after one edited line."""
    times = 1 if harness.quick else 3
    clean, again, clean_cpu, again_cpu = [], [], [], []
    for _ in range(times):
        tree = os.path.join(lib.folder(), "fata")
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(
            "build", ".git", "dist", ".fata"))
        www = os.path.join(tree, "examples/www")
        fata = os.path.join(tree, "build/fata")
        wait_quiet()
        wall, cpu = seconds_of(
            "sh", "-c", "make build/fata build/fata-spt >/dev/null && "
            f"cd examples/www && {fata} configure -t spt >/dev/null && "
            f"{fata} build", cwd=tree)
        clean.append(wall)
        clean_cpu.append(cpu)
        for _ in range(3):
            with open(os.path.join(www, "www.c"), "a", encoding="utf-8") as f:
                f.write("/* one more line */\n")
            wall, cpu = seconds_of(fata, "build", cwd=www)
            again.append(wall)
            again_cpu.append(cpu)
        shutil.rmtree(tree)
    figure("clean build of the tool and www", statistics.median(clean), "s",
           None, 30, 3, ours_cpu_s=statistics.median(clean_cpu))
    figure("rebuild after one edited line", statistics.median(again), "s",
           None, 2, 0.2, ours_cpu_s=statistics.median(again_cpu))


PARTS = {"hello": hello, "first_reply": first_reply,
         "virtual_machine": virtual_machine, "instructions": instructions,
         "sizes": sizes, "memory": memory,
         **Network(figure, project, spt_image).parts(),
         "tcp_memory": tcp_memory, "tcp_idle": tcp_idle, "micro": micro,
         "build": build}


# ---- telling

def number(value):
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def cpu_of(f):
    """The CPU time that stands beside a figure, in words."""
    for unit, shown in (("us", "µs"), ("ms", "ms"), ("s", "s"),
                        ("s_gb", "s/GB")):
        if f"ours_cpu_{unit}" in f:
            text = f"{number(f[f'ours_cpu_{unit}'])} {shown}"
            if f.get(f"peer_cpu_{unit}") is not None:
                text += f" : {number(f[f'peer_cpu_{unit}'])} {shown}"
            return text
    if "cpu_share" in f:
        return f"{f['cpu_share'] * 100:.0f} % of a core"
    return ""


def table():
    rows = [("figure", "measured", "at least", "aim", "", "CPU", "peer")]
    for f in figures:
        state = {True: "ok", False: "MISSED", None: ""}[f["met"]]
        if f["aim_met"]:
            state = "aim"
        rows.append((f["name"], f"{number(f['value'])} {f['unit']}",
                     number(f["at_least"]), number(f["aim"]), state,
                     cpu_of(f), f["peer"] or ""))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in
                               zip(row, widths)).rstrip() for row in rows)


def main():
    parser = argparse.ArgumentParser(
        prog="bench/bench.py", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME",
                        help="of: " + " ".join(PARTS))
    parser.add_argument("--quick", action="store_true",
                        help="fewer runs, no waiting for a quiet machine")
    options = parser.parse_args()
    unknown = set(options.names) - set(PARTS)
    if unknown:
        parser.error(f"no figure {unknown.pop()}; they are "
                     + ", ".join(PARTS))
    harness.quick = options.quick

    noisy = []
    for name, part in PARTS.items():
        if options.names and name not in options.names:
            continue
        say(f"{name}: {part.__doc__}")
        share = wait_quiet()
        if share >= harness.QUIET:
            noisy.append(f"{name} ({share:.0%})")
        try:
            part()
        except lib.Skipped as skipped:
            say(f"skip {name}: {skipped}")
        except (RuntimeError, AssertionError, OSError,
                subprocess.SubprocessError) as error:
            say(f"{name} could not be measured: {error}")

    os.makedirs(BUILD, exist_ok=True)
    with open(os.path.join(BUILD, "bench.json"), "w", encoding="utf-8") as f:
        json.dump(figures, f, indent=1)
        f.write("\n")
    print(table())
    print(f"\n{os.cpu_count()} CPUs, Linux {platform.release()}. The server's "
          "CPU time includes what the kernel does\nfor the network while it "
          "runs; softirqs on an idle CPU are nobody's.")
    if noisy:
        print("Others used the CPU while these were measured: " +
              ", ".join(noisy))
    return 0


if __name__ == "__main__":
    sys.exit(main())
