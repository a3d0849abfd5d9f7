"""What the benchmarks share: a quiet machine, namespaces, CPU accounting,
alternating runs and medians.
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(ROOT, "test/e2e"))

QUIET = 0.05     # the share of one CPU that others may use while we measure
WAIT_QUIET = 60  # seconds to wait for that; then the figure says it is noisy

quick = False    # --quick: fewer runs, no waiting


def say(text):
    print(text, file=sys.stderr, flush=True)


def busy_seconds():
    """CPU seconds the whole machine has been busy, softirqs included."""
    with open("/proc/stat", encoding="utf-8") as f:
        fields = [int(word) for word in f.readline().split()[1:9]]
    user, nice, system, _, _, irq, softirq, _ = fields
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def wait_quiet():
    """Wait until nothing else runs. Returns the share of a CPU others use."""
    limit = time.monotonic() + (0 if quick else WAIT_QUIET)
    while True:
        before, began = busy_seconds(), time.monotonic()
        time.sleep(0.5)
        share = (busy_seconds() - before) / (time.monotonic() - began)
        if share < QUIET or time.monotonic() > limit:
            return share


def cpu_seconds(pid):
    """CPU time of a process and its threads, in the scheduler's own count.

    Work the kernel does in softirqs while the process runs is part of it;
    softirqs on an idle CPU are nobody's.
    """
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat",
                  encoding="utf-8") as f:
            total += int(f.read().split()[0])
    return total / 1e9


def private_kb(pid):
    """Memory that only this process has, from smaps_rollup."""
    total = 0
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as f:
        for line in f:
            if line.startswith(("Private_Clean:", "Private_Dirty:")):
                total += int(line.split()[1])
    return total


def pin(cpu):
    """A preexec_fn that keeps a process on one CPU, if there are two."""
    cpus = sorted(os.sched_getaffinity(0))
    chosen = {cpus[cpu % len(cpus)]}
    return lambda: os.sched_setaffinity(0, chosen)


def output(*words, **options):
    result = subprocess.run(words, capture_output=True, text=True,
                            stdin=subprocess.DEVNULL, **options)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, words))}: exit status "
                           f"{result.returncode}\n{result.stdout}"
                           f"{result.stderr}")
    return result.stdout


def measured(*words, **options):
    """The JSON line a measuring program prints."""
    return json.loads(output(*words, **options))


def seconds_of(*words, **options):
    """Wall and CPU seconds of a command and all its children."""
    before, began = os.times(), time.monotonic()
    output(*words, **options)
    wall, after = time.monotonic() - began, os.times()
    return wall, (after.children_user - before.children_user +
                  after.children_system - before.children_system)


def medians(rows):
    """The median of each column of a list of dictionaries of numbers."""
    return {key: statistics.median(row[key] for row in rows)
            for key in rows[0]}


def alternate(times, **variants):
    """Run each variant in turn, `times` over; its medians by name."""
    rows = {name: [] for name in variants}
    for _ in range(times):
        for name, run in variants.items():
            wait_quiet()
            rows[name].append(run())
    return {name: medians(found) for name, found in rows.items()}


def version(*words):
    """The first line a program says about its version."""
    if shutil.which(words[0]) is None:
        return f"{words[0]} (not installed)"
    result = subprocess.run(words, stdout=subprocess.PIPE, text=True,
                            stderr=subprocess.STDOUT)
    return result.stdout.splitlines()[0].strip()
