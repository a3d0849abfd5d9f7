#!/usr/bin/env python3
"""hello and noop on spt and unix: output, exit statuses, boot arguments."""
import os

from lib import ROOT, command, image, run, start, test

TARGETS = ("spt", "unix")


def outcome(name, target, *arguments):
    process = start(name, target, *arguments)
    status = process.wait(30)
    return status, process.output()


@test
def hello_greets_as_often_as_it_is_told():
    for target in TARGETS:
        status, text = outcome("hello", target, "--count=3", "--pause=0")
        greetings = [line for line in text.splitlines() if "ello" in line]
        assert status == 0 and len(greetings) == 3, (target, status, text)


@test
def hello_pauses_between_greetings():
    for target in TARGETS:
        status, text = outcome("hello", target, "--count=2", "--pause=10ms")
        greetings = [line for line in text.splitlines() if "ello" in line]
        assert status == 0 and len(greetings) == 2, (target, status, text)


@test
def noop_does_nothing_and_succeeds():
    for target in TARGETS:
        assert outcome("noop", target)[0] == 0, target


@test
def help_is_shown_with_status_63():
    for target in TARGETS:
        status, text = outcome("hello", target, "--help")
        assert status == 63, (target, status, text)
        assert "--count" in text and "--pause" in text, text
        assert "--log" in text, text


@test
def a_wrong_argument_is_named_with_status_64():
    for target in TARGETS:
        status, text = outcome("hello", target, "--count=many")
        assert status == 64 and "--count" in text and "many" in text, text
        status, text = outcome("hello", target, "--cuont=3")
        assert status == 64 and "--cuont" in text and "--count" in text, text


@test
def the_tender_runs_an_image_by_itself():
    status = command(os.path.join(ROOT, "build/fata-spt"), "--",
                     image("hello", "spt"), "--count=1", "--pause=0")
    assert "ello" in status.stdout


@test
def the_unix_image_is_a_program():
    result = command(image("hello", "unix"), "--count=1", "--pause=0")
    assert "ello" in result.stdout


run()
