#!/usr/bin/env python3
"""Whole unikernels, built for target sim, in virtual time: www serves what a
client of its own kind fetches, over a network with every fault.
"""
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "test"))

from check import run, test  # noqa: E402

FATA = os.path.join(ROOT, "build/fata")
SIM = os.path.join(ROOT, "build/fata-sim")
FAULTS = ("--loss", "5%", "--duplicate", "5%", "--reorder", "10%",
          "--corrupt", "1%", "--delay", "10ms", "--jitter", "5ms")

folder = tempfile.TemporaryDirectory(prefix="fata-test-")
images = {}


def setup():
    for name, source in (("www", "examples/www"), ("hello", "examples/hello"),
                         ("fetch", "test/sim/fetch")):
        project = os.path.join(folder.name, name)
        shutil.copytree(os.path.join(ROOT, source), project,
                        ignore=shutil.ignore_patterns("dist", ".fata"))
        for words in ((FATA, "configure", "-t", "sim"), (FATA, "build")):
            done = subprocess.run(words, cwd=project, text=True,
                                  stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=120)
            assert done.returncode == 0, done.stdout
        images[name] = os.path.join(project, "dist", f"{name}.sim")
    done = subprocess.run(
        ("make", "build/sim/conformance.sim"), cwd=ROOT, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=120)
    assert done.returncode == 0, done.stdout
    images["conformance"] = os.path.join(ROOT, "build/sim/conformance.sim")
    with open(os.path.join(folder.name, "www/site/index.html"), "rb") as f:
        setup.page = f.read()


def simulate(*words):
    return subprocess.run((SIM, *words), text=True, timeout=120,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)


def fetches(*options, count=3):
    return simulate(
        *options, "--until", "fetch", images["www"], "--ipv4", "10.0.0.1/24",
        "+", images["fetch"], "--ipv4", "10.0.0.2/24", "--server", "10.0.0.1",
        "--count", str(count))


def fnv1a(data):
    value = 0xcbf29ce484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    return value


def expected():
    return (f"200 OK, {len(setup.page)} bytes, "
            f"hash {fnv1a(setup.page):016x}\n")


@test
def www_serves_a_client_over_a_perfect_network():
    done = fetches()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(expected()) == 3, done.stdout


@test
def www_serves_a_client_over_a_bad_network():
    for seed in range(1, 21):
        done = fetches(*FAULTS, "--seed", str(seed), count=10)
        assert done.returncode == 0, (seed, done.stdout + done.stderr)
        assert done.stdout.count(expected()) == 10, (seed, done.stdout)


@test
def several_clients_on_one_switch_are_served():
    words = ["--until", "5s", images["www"], "--ipv4", "10.0.0.1/24"]
    for i in range(8):
        words += ["+", images["fetch"], "--ipv4", f"10.0.0.{i + 2}/24",
                  "--server", "10.0.0.1"]
    done = simulate(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(expected()) == 8, done.stdout
    assert "fetch-8|" in done.stdout, done.stdout


@test
def the_same_seed_is_the_same_run_byte_for_byte():
    runs = []
    for number, seed in enumerate((7, 7, 8)):
        pcap = os.path.join(folder.name, f"run{number}.pcap")
        done = fetches(*FAULTS, "--trace", "--seed", str(seed), "--pcap", pcap)
        assert done.returncode == 0, done.stdout + done.stderr
        with open(pcap, "rb") as f:
            runs.append((done.stdout, f.read()))
    assert runs[0] == runs[1]
    assert runs[0][0] != runs[2][0] and runs[0][1] != runs[2][1]
    assert len(runs[0][1]) > 3 * len(setup.page)


@test
def a_trace_names_what_happens_to_each_frame():
    done = fetches(*FAULTS, "--trace", count=10)
    for word in ("www* sends", "fetch* receives", "lost", "duplicated",
                 "corrupted", "arp who-has 10.0.0.2 > 10.0.0.1",
                 "10.0.0.1:80", " tcp SEC seq ",
                 ":: > ff02::16 icmp6 type 143 code 0"):
        assert word in done.stdout, (word, done.stdout[:5000])


@test
def virtual_time_costs_none():
    done = simulate(images["hello"], "--count", "3", "--pause", "1000s")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3 and lines[2].split(".")[0].strip() == "2000", lines


@test
def a_node_that_fails_ends_the_run_with_its_status():
    done = simulate(images["hello"], "--count", "many", "+", images["hello"])
    assert done.returncode == 64, (done.returncode, done.stderr)
    assert "hello ended with status 64" in done.stderr, done.stderr
    done = fetches("--loss", "100%", count=1)
    assert done.returncode == 1 and "cannot connect" in done.stdout, (
        done.returncode, done.stdout)


@test
def a_run_in_which_nothing_is_left_to_happen_ends():
    done = simulate(images["www"], "--ipv4", "10.0.0.1/24")
    assert done.returncode == 0, done.stderr
    assert "nothing is left to happen" in done.stderr, done.stderr
    assert "www" in done.stderr, done.stderr


@test
def the_platform_keeps_its_contract():
    disk = os.path.join(folder.name, "disk")
    with open(disk, "wb") as f:
        f.truncate(1 << 20)
    done = simulate(f"--block:disk={disk}", images["conformance"])
    assert done.returncode == 0, done.stdout + done.stderr
    results = [line.split("| ")[1] for line in done.stdout.splitlines()]
    assert len([r for r in results if r.startswith("ok ")]) > 10, results
    assert not [r for r in results if r.startswith("not ok")], results
    with open(disk, "rb") as f:
        assert f.read() == bytes(1 << 20), "the file was written to"


@test
def arguments_arrive_word_by_word():
    for word in ("a b", "\"", "it's", "back\\slash", "--x", "+y"):
        done = simulate(images["conformance"], "--text=" + word)
        assert f"text [{word}]\n" in done.stdout, (word, done.stdout)


@test
def a_failed_assertion_ends_one_unikernel_with_255():
    done = simulate(images["conformance"], "--fault", "assert")
    assert done.returncode == 255, (done.returncode, done.stderr)
    assert "conformance.c:" in done.stdout, done.stdout
    assert "assertion failed: " in done.stdout, done.stdout


@test
def an_exit_status_is_passed_on():
    done = simulate(images["conformance"], "--fault", "exit")
    assert done.returncode == 42, (done.returncode, done.stderr)


@test
def a_crash_names_the_node_the_time_and_the_seed():
    done = simulate("--seed", "5", images["conformance"], "--fault", "guard")
    assert done.returncode < 0, (done.returncode, done.stdout)
    assert "node conformance crashed at" in done.stderr, done.stderr
    assert "seed 5" in done.stderr, done.stderr


@test
def names_can_be_given():
    done = simulate("--name", "alice", images["hello"], "--count", "1", "+",
                    "--name", "bob", images["hello"], "--count", "1")
    assert "alice| Hello" in done.stdout and "bob| Hello" in done.stdout, (
        done.stdout + done.stderr)


@test
def mistakes_are_explained():
    hello = images["hello"]
    for words, status, text in (
            ((), 64, "no image"),
            ((hello, "+"), 64, "no image"),
            (("--los", "5%", hello), 64, "did you mean --loss?"),
            (("--loss", "5", hello), 64, "percentage"),
            (("--loss", "101%", hello), 64, "percentage"),
            (("--delay", "soon", hello), 64, "such as 10ms"),
            (("--rate", "fast", hello), 64, "bits per second"),
            (("--mtu", "20", hello), 64, "from 68"),
            (("--seed",), 64, "value is missing"),
            (("--trace=yes", hello), 64, "takes no value"),
            (("--until", "nobody", hello), 64, "neither a time nor a node"),
            (("--pcap", "/nowhere/x", hello), 1, "/nowhere/x"),
            (("--block:disk=/nowhere", hello), 1, "/nowhere"),
            (("--block:disk", hello), 64, "NAME=FILE"),
            (("/nowhere/x.sim",), 1, "/nowhere/x.sim"),
            ((__file__,), 1, "not an image for target sim"),
            (("/lib/x86_64-linux-gnu/libc.so.6",), 1, "configure -t sim")):
        done = simulate(*words)
        assert done.returncode == status, (words, done.returncode, done.stderr)
        assert text in done.stderr and done.stderr.startswith("fata-sim: "), (
            words, done.stderr)
        assert len(done.stderr.splitlines()) == 1, (words, done.stderr)


@test
def help_is_printed():
    done = simulate("--help")
    assert done.returncode == 0 and "--reorder P%" in done.stdout, done.stdout


run(setup)
