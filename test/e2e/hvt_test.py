#!/usr/bin/env python3
"""Images of the target hvt under the monitor build/fata-hvt: all of it in a
machine with KVM that is emulated, and where this one has KVM, there too.

# test: limit 400
"""
import base64
import gzip
import os
import re
import shutil
import struct
import subprocess
import time

import nested
from lib import FATA, ROOT, command, folder, image, need, run, skip, test

MONITOR = os.path.join(ROOT, "build/fata-hvt")
RESULTS = {}
ANSWERS = 0x31534E41  # the note that says where answers go

# A tap that a page is fetched through, by the machine itself.
NET = """
tunctl -t tap0 >/dev/null
ip address add 10.77.0.1/24 dev tap0
ip link set tap0 up
"""

# A unikernel that does to itself what it is asked to.
ATTACK = {
    "config.c": """#include <fata/config.h>
FATA_CONFIG("attack")
{
    cfg_stack_size(256 * 1024);
    cfg_main("attack.c", "attack_main",
             cfg_arg_string("on", "nothing", "what is attacked"));
}
""",
    "attack.c": """#include "attack.h"
#include <string.h>
static int deep(volatile char *above)
{
    volatile char here[512];
    here[0] = above[0];
    return deep(here) + here[0];
}
static void store(uintptr_t where) { *(volatile char *)where = 1; }
static void execute(void *what) { ((void (*)(void))what)(); }
int attack_main(struct fata_env *env, const char *on)
{
    static unsigned char data[16] = {0xc3};
    unsigned char stack[16] = {0xc3};
    static char *volatile constant = (char *)"constant";
    if (strcmp(on, "null") == 0)
        store(8);
    if (strcmp(on, "code") == 0)
        store((uintptr_t)attack_main);
    if (strcmp(on, "constant") == 0)
        store((uintptr_t)constant);
    if (strcmp(on, "data") == 0)
        execute(data);
    if (strcmp(on, "stack") == 0)
        execute(stack);
    if (strcmp(on, "info") == 0)
        store(0x10000);
    if (strcmp(on, "depth") == 0)
        return deep((char *)stack);
    if (strcmp(on, "instruction") == 0)
        __asm__ volatile("ud2");
    if (strcmp(on, "port") == 0)
        __asm__ volatile("outb %al, $0x80");
    if (strcmp(on, "halt") == 0)
        __asm__ volatile("hlt");
    while (strcmp(on, "loop") == 0)
        __asm__ volatile("");
    if (strcmp(on, "sleep") == 0)
        return (int)fata_sleep(env, SECONDS(3600));
    fata_print(env, "survived %s\\n", on);
    return 0;
}
""",
}

# One with a network that only waits: what was left until then is its boot's.
WAITER = {
    "config.c": """#include <fata/config.h>
FATA_CONFIG("waiter")
{
    cfg_main("waiter.c", "waiter_main",
             cfg_stack_generic(cfg_netif_default()));
}
""",
    "waiter.c": """#include "waiter.h"
int waiter_main(struct fata_env *env, struct fata_stack *stack)
{
    (void)stack;
    return (int)fata_sleep(env, SECONDS(3600));
}
""",
}

# What is attacked, and what is said of it.
ATTACKS = {
    "null": "writing to 0x8, the null page",
    "code": "which is read-only",
    "constant": "which is read-only",
    "info": "writing to 0x10000, which is read-only",
    "data": "which is data, not code",
    "stack": "which is data, not code",
    "depth": "below a stack, which is too small",
    "instruction": "invalid instruction",
}

SCRIPTS = {
    "01-hello": "fata-hvt --count-exits --mem=16 hello.hvt --count=3 "
                "--pause=10ms",
    "02-www": NET + """
fata-hvt --count-exits --mem=2 --net:service=tap0 www.hvt \
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
fata-hvt --mem=2 attack.hvt; echo "too little memory: $?"
fata-hvt --mem=128 www.hvt; echo "no device: $?"
fata-hvt --mem=16 hello.hvt --count=x; echo "wrong argument: $?"
""",
    "05-attacks": "".join(
        f"echo '== {on}'; fata-hvt --mem=16 attack.hvt --on={on}; echo \"= $?\"\n"
        for on in [*ATTACKS, "port", "halt", "nothing"]),
    "06-core": """
mkdir dumps
fata-hvt --mem=16 --dumpcore=dumps attack.hvt --on=code
echo "ended with $?"
gzip -c dumps/core.solo5-hvt.* | base64 | sed 's/^/core /'
""",
    "09-block": """
truncate -s 1M disk
fata-hvt --count-exits --mem=64 --block:disk=disk blocktest.hvt
echo "tested: $?"
od -An -N 16 -tx1 disk
fata-hvt --mem=64 --block-read-only:disk=disk blocktest.hvt
echo "read-only: $?"
fata-hvt --mem=64 --block:disk=disk blocktest.hvt --mistake=end
echo "beyond the end: $?"
""",
    # No address is looked for, so that none waits for an answer.
    "10-exits": NET + """
fata-hvt --count-exits --mem=64 --net:service=tap0 waiter.hvt \
    --ipv4=10.77.0.2/24 --log='*:off' &
sleep 2
for name in exits io_exits hypercalls; do
    echo $name $(cat /sys/kernel/debug/kvm/*/$name)
done
kill -TERM $!
wait $!
""",
    "08-signals": """
for on in sleep loop; do
    fata-hvt --mem=16 attack.hvt --on=$on &
    sleep 1
    kill -TERM $!
    sleep 1
    kill -TERM $! 2>/dev/null && echo "$on: there after the first"
    wait $!
    echo "$on: $?"
done
""",
    # What knows of the signal, and is not told that the monitor does.
    "11-no-room": """
fata-hvt --mem=16 attack.room --on=sleep &
sleep 1
kill -TERM $!
sleep 1
kill -KILL $! 2>/dev/null && echo "there after the first"
wait $!
echo "ended with $?"
""",
    "07-debugger": """
fata-hvt --mem=16 --gdb hello.hvt --count=2 --pause=10ms &
serial /dev/ttyS1 1234
wait $!
""",
}


def without_notes(path):
    """The image as a monitor sees it that does not know Fata's notes."""
    with open(path, "rb") as f:
        data = f.read()
    assert b"Fata\0\0\0\0" in data
    return data.replace(b"Fata\0\0\0\0", b"Nobo\0\0\0\0")


def without_room(path):
    """The same image, but with too little room for what Fata's monitor says."""
    with open(path, "rb") as f:
        data = bytearray(f.read())
    head = struct.pack("<II", 5, 36)
    at = data.index(struct.pack("<I8s", ANSWERS, b"Fata")) - len(head)
    assert data[at:at + len(head)] == head
    struct.pack_into("<Q", data, at + 32, 8)
    return bytes(data)


def build(files):
    where = folder()
    for name, text in files.items():
        with open(os.path.join(where, name), "w", encoding="utf-8") as f:
            f.write(text)
    command(FATA, "build", "-t", "hvt", cwd=where, timeout=120)
    return where


# What is typed into gdb, which shows a line before each.
SESSION = """
set confirm off
set pagination off
set remotetimeout 30
target remote LINE
echo == at hello.c:7\\n
break hello.c:7
continue
print i
print count
backtrace
fata-fibers
echo == step\\n
delete
next
info registers rip
print $rip == $pc
next
print i
set var i = 1000
print i
echo == end\\n
continue
"""


def debug(line):
    def meanwhile(machine):
        if shutil.which("gdb") is None:
            RESULTS["gdb"] = None
            return
        try:
            machine.wait_for("the line is open", 150)
        except AssertionError as never:
            RESULTS["gdb"] = str(never)
            return
        commands = os.path.join(folder(), "commands")
        with open(commands, "w", encoding="utf-8") as f:
            f.write(SESSION.replace("LINE", line))
        where = os.path.join(ROOT, "build/images/hello/.fata/hvt")
        try:
            RESULTS["gdb"] = command(
                "gdb", "-nx", "-batch", "-x",
                os.path.join(ROOT, "tender/hvt/fata.gdb"), "-x", commands,
                "hello.hvt.debug", cwd=where, timeout=100, check=False).stdout
        except subprocess.TimeoutExpired as late:
            RESULTS["gdb"] = f"too late: {late.stdout}"
    return meanwhile


def setup():
    if not os.path.exists(MONITOR):
        skip("build/fata-hvt is not built")
    attack = build(ATTACK)
    RESULTS["attack"] = attack
    client = os.path.join(folder(), "fetch")
    relay = os.path.join(folder(), "serial")
    line = os.path.join(folder(), "line")
    for program in client, relay:
        command("gcc", "-O2", "-static", "-o", program, os.path.join(
            ROOT, f"test/e2e/{os.path.basename(program)}.c"))
    files = {"fetch": client, "serial": relay, "fata-hvt": MONITOR, "hello.hvt": image("hello", "hvt"),
             "blocktest.hvt": image("blocktest", "hvt"),
             "waiter.hvt": os.path.join(build(WAITER), "dist/waiter.hvt"),
             "attack.hvt": os.path.join(attack, "dist/attack.hvt"),
             "attack.room": without_room(
                 os.path.join(attack, "dist/attack.hvt")),
             "www.hvt": image("www", "hvt"),
             "www.stock": without_notes(image("www", "hvt"))}
    RESULTS.update(nested.run(files, SCRIPTS, line=line,
                              meanwhile=debug(line)))


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
def a_unikernel_that_attacks_itself_is_stopped_and_told_where():
    parts = dict(re.findall(r"== (\w+)\n(.*?)= (?=\d)",
                            result("05-attacks").output, re.DOTALL))
    status = dict(re.findall(r"== (\w+)\n.*?= (\d+)",
                             result("05-attacks").output, re.DOTALL))
    for on, words in ATTACKS.items():
        assert words in parts[on] and status[on] == "255", (on, parts[on])
        assert "survived" not in parts[on], (on, parts[on])
    assert "survived nothing" in parts["nothing"]


@test
def the_monitor_outlives_what_no_guest_should_do():
    output = result("05-attacks").output
    assert "Invalid guest port access: port=0x80\n= 1" in output, output
    assert "exit_reason=0x5, rip=" in output, output


@test
def a_dump_shows_where_it_aborted():
    need("gdb", "readelf")
    r = result("06-core")
    assert "ended with 255" in r.output, r
    assert "dumping guest core to: dumps/core.solo5-hvt." in r.output, r
    data = "".join(re.findall(r"^core (.*)$", r.output, re.MULTILINE))
    core = os.path.join(folder(), "core")
    with open(core, "wb") as f:
        f.write(gzip.decompress(base64.b64decode(data)))
    notes = command("readelf", "-hln", core).stdout
    for words in ("CORE (Core file)", "NT_PRSTATUS", "X86-64"):
        assert words in notes, notes
    debug = os.path.join(result("attack"), ".fata/hvt/attack.hvt.debug")
    shown = command("gdb", "-nx", "-batch", "-ex", "bt", "-ex",
                    "print unikernel.name", debug, core).stdout
    assert re.search(r"#0 .*store", shown), shown
    assert re.search(r"#1 .*attack_main", shown), shown
    assert '"attack"' in shown, shown


@test
def the_options_for_looking_into_a_guest_are_listed_and_checked():
    told = command(MONITOR, "--help", check=False).stdout
    for option in ("--dumpcore=", "--gdb ", "--gdb-port=", "--no-net-ring"):
        assert option in told, told
    for port in ("", "x", "0", "-1", "65536", "80x"):
        r = command(MONITOR, "--gdb", f"--gdb-port={port}", "x", check=False)
        assert r.returncode == 1 and "--gdb-port: " in r.stdout, r.stdout


@test
def a_disk_is_written_read_and_flushed():
    output = result("09-block").output
    for words in ("11 checks passed, 0 failed", "tested: 0",
                  "512 bytes, read-only", "read-only: 0",
                  "assertion failed\nbeyond the end: 255"):
        assert words in output, (words, output)


@test
def a_guest_that_does_not_heed_the_first_signal_ends_by_the_second():
    output = result("08-signals").output
    assert "sleep: 0" in output and "loop: there after" in output, output
    assert "loop: 143" in output, output


@test
def a_guest_that_cannot_be_told_of_a_signal_ends_by_the_first():
    output = result("11-no-room").output
    assert "there after" not in output, output
    assert "Exiting on signal 15" in output and "ended with 1" in output, output


@test
def a_debugger_stops_at_a_line_steps_and_lists_fibers():
    if result("gdb") is None:
        skip("gdb is not installed")
    shown = result("gdb")
    assert re.search(r"Breakpoint 1, hello_main .*hello.c:7", shown), shown
    assert "$1 = 1\n$2 = 2\n" in shown, shown
    assert re.search(r"#1 .*main", shown), shown
    assert re.search(r"\* 0 +running +main", shown), shown
    assert re.search(r"== step\n(.*\n)*.*= 1000", shown), shown
    assert "exited normally" in shown, shown
    assert "Hello, world! (2 of 2)" not in result("07-debugger").output


@test
def the_monitor_is_left_seldom_before_main():
    output = result("10-exits").output
    exits = int(re.search(r"(\d+) exits", output).group(1))
    assert exits <= 30, output


@test
def it_runs_on_this_machines_own_kvm():
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        skip("/dev/kvm is not there or not for us; in the emulated machine "
             "the same has run")
    began = time.monotonic()
    try:
        r = command(MONITOR, "--mem=16", image("hello", "hvt"), "--count=2",
                    "--pause=0", check=False, timeout=60)
    except subprocess.TimeoutExpired:
        skip("this KVM emulates each instruction: no greeting in 60 s")
    for words, reason in (
            ("host TSC is unstable", "this KVM's guests have no clock"),
            ("exit_reason=0x11", "this KVM emulates, and not all of it"),
            ("KVM gives no", "this KVM gives no machine")):
        if words in r.stdout:
            skip(f"{reason}: {r.stdout.strip()}")
    assert r.returncode == 0 and r.stdout.count("Hello") == 2, r.stdout
    print(f"# greeted on this machine's KVM in "
          f"{time.monotonic() - began:.1f} s")


run(setup)
