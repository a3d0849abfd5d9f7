#!/usr/bin/env python3
"""Tests of test/run itself: nothing that goes wrong may count as passed."""
import os
import subprocess
import sys
import tempfile
import time

from check import run, test

RUNNER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "run")


def outcome(*scripts):
    """Run shell scripts as test programs: exit status, output, last line."""
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for i, script in enumerate(scripts):
            path = os.path.join(folder, f"program{i}")
            with open(path, "w", encoding="utf-8") as f:
                f.write("#!/bin/sh\n" + script)
            os.chmod(path, 0o755)
            paths.append(path)
        result = subprocess.run(
            [sys.executable, RUNNER, "--program", *paths],
            capture_output=True, text=True, timeout=60)
    return result.returncode, result.stdout, result.stdout.splitlines()[-1]


@test
def results_are_counted_and_the_last_line_sums_them_up():
    status, _, last = outcome("echo ok one; echo ok two", "echo ok three")
    assert (status, last) == (0, "3 passed, 0 failed"), last


@test
def a_failure_fails_the_run_and_shows_the_output():
    status, out, last = outcome("echo why; echo not ok one; exit 1")
    assert status == 1 and last == "0 passed, 1 failed", last
    assert "why" in out


@test
def a_failure_reported_with_exit_status_0_is_a_failure():
    status, _, last = outcome("echo ok zero; echo not ok one")
    assert (status, last) == (1, "1 passed, 1 failed"), last


@test
def a_skip_is_named_with_its_reason():
    status, out, last = outcome("echo ok one; echo skip two: no root")
    assert (status, last) == (0, "1 passed, 0 failed, 1 skipped"), last
    assert "two: no root" in out


@test
def a_crash_after_passing_is_a_failure():
    status, out, last = outcome("echo ok one; kill -SEGV $$")
    assert (status, last) == (1, "1 passed, 1 failed"), last
    assert "SIGSEGV" in out


@test
def a_program_that_prints_nothing_is_a_failure():
    status, _, last = outcome("exit 0")
    assert (status, last) == (1, "0 passed, 1 failed"), last


@test
def skips_alone_are_no_success():
    status, _, last = outcome("echo skip one: nothing here")
    assert (status, last) == (1, "0 passed, 0 failed, 1 skipped"), last


@test
def what_a_program_leaves_running_is_ended():
    with tempfile.TemporaryDirectory() as folder:
        pid_file = os.path.join(folder, "pid")
        outcome(f"sleep 1000 >/dev/null 2>&1 & echo $! >{pid_file}; echo ok x")
        with open(pid_file, encoding="utf-8") as f:
            pid = int(f.read())
        for _ in range(300):
            if not os.path.exists(f"/proc/{pid}"):
                return
            with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
                if f.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return
            time.sleep(0.1)
        raise AssertionError("still running")


run()
