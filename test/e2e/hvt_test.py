#!/usr/bin/env python3
"""Images of the target hvt, in machines of KVM: under the monitor build/
fata-hvt, here if /dev/kvm can be used, else in a machine that is emulated.
"""
import os
import re

import nested
from lib import ROOT, command, folder, image, run, skip, test

MONITOR = os.path.join(ROOT, "build/fata-hvt")
RESULTS = {}

# A tap that a page is fetched through, by the machine itself.
NET = """
tunctl -t tap0 >/dev/null
ip address add 10.77.0.1/24 dev tap0
ip link set tap0 up
"""

SCRIPTS = {
    "01-hello": "fata-hvt --count-exits --mem=16 hello.hvt --count=3 "
                "--pause=10ms",
    "02-www": NET + """
fata-hvt --count-exits --mem=128 --net:service=tap0 www.hvt \
    --ipv4=10.77.0.2/24 >www.log 2>&1 &
fetch 10.77.0.2 80 / 30 && echo "page fetched"
fetch 10.77.0.2 80 /nothing || echo "no such page"
kill -TERM $!
wait $!
echo "ended with $?"
cat www.log
""",
    # What Solo5's monitor would make of it, which knows none of Fata's notes.
    "03-stock": NET + """
fata-hvt --mem=128 --net:service=tap0 www.stock --ipv4=10.77.0.2/24 >log 2>&1 &
fetch 10.77.0.2 80 / 30 && echo "page fetched"
kill -TERM $!
wait $!
echo "ended with $?"
cat log
""",
    "04-wrong": """
fata-hvt fata-hvt; echo "not an image: $?"
fata-hvt --mem=2 hello.hvt; echo "too little memory: $?"
fata-hvt --mem=128 www.hvt; echo "no device: $?"
fata-hvt --mem=16 hello.hvt --count=x; echo "wrong argument: $?"
""",
}


def without_notes(path):
    """The image as a monitor sees it that does not know Fata's notes."""
    with open(path, "rb") as f:
        data = f.read()
    assert b"Fata\0\0\0\0" in data
    return data.replace(b"Fata\0\0\0\0", b"Nobo\0\0\0\0")


def setup():
    if not os.path.exists(MONITOR):
        skip("build/fata-hvt is not built")
    client = os.path.join(folder(), "fetch")
    command("gcc", "-O2", "-static", "-o", client,
            os.path.join(ROOT, "test/e2e/fetch.c"))
    files = {"fetch": client, "fata-hvt": MONITOR, "hello.hvt": image("hello", "hvt"),
             "www.hvt": image("www", "hvt"),
             "www.stock": without_notes(image("www", "hvt"))}
    RESULTS.update(nested.run(files, SCRIPTS))


def result(name):
    if name not in RESULTS:
        raise AssertionError(f"{name} did not come to its end; "
                             f"there are {sorted(RESULTS)}")
    return RESULTS[name]


@test
def an_image_greets_and_ends():
    r = result("01-hello")
    assert r.status == 0, r
    assert r.output.count("Hello, world!") == 3, r


@test
def a_page_is_served():
    r = result("02-www")
    assert "<html" in r.output.lower() and "page fetched" in r.output, r
    assert "no such page" in r.output, r


@test
def the_first_signal_is_for_the_guest_to_end_itself():
    r = result("02-www")
    assert "ended with 0" in r.output, r


@test
def it_serves_under_a_monitor_that_knows_nothing_of_fata():
    r = result("03-stock")
    assert "page fetched" in r.output, r
    assert "Exiting on signal 15" in r.output and "ended with 1" in r.output, r


@test
def what_is_wrong_is_named():
    r = result("04-wrong")
    for line in ("not an image: 1", "too little memory: 1", "no device: 1",
                 "wrong argument: 64", "stacks: give more",
                 "'service' of type NET_BASIC declared but not attached"):
        assert line in r.output, (line, r)


@test
def the_monitor_is_left_seldom_before_main():
    exits = int(re.search(r"(\d+) exits", result("01-hello").output).group(1))
    assert exits <= 30, exits


run(setup)
