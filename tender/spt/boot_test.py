#!/usr/bin/env python3
"""fata-spt as a guest sees it: the boot info, the cage, the command line.

The guest is probe/probe.c, built here in a temporary folder; it does what its
command line says.
"""
import atexit
import fcntl
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "test"))
from check import run, skip, test  # noqa: E402

TENDER = os.path.join(ROOT, "build/fata-spt")
FOLDER = tempfile.mkdtemp(prefix="fata-spt-")
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
NET, BLOCK = 2, 1
READ_ONLY = 11  # of the answers
KILLED, FAULT = -signal.SIGSYS, -signal.SIGSEGV

CALL = {"read": 0, "write": 1, "mprotect": 10, "pread64": 17, "pwrite64": 18, "getpid": 39,
        "open": 2, "mprotect": 10, "sigreturn": 15, "fdatasync": 75,
        "arch_prctl": 158, "clock_gettime": 228, "exit_group": 231,
        "epoll_pwait": 281, "timerfd_settime": 286, "epoll_pwait2": 441}

_images = {}


def image(*devices, target=2, version=2, note=True, wants=0, code=0):
    """The path of a probe that declares these (name, type) devices.

    With a third word a device is optional. `code` is how much more it has.
    """
    key = (devices, target, version, note, wants, code)
    if key not in _images:
        path = os.path.join(FOLDER, f"probe{len(_images)}")
        manifest = ", ".join(f'{{"{name}", {kind}, {{[25] = {len(more)}}}}}'
                             for name, kind, *more in devices)
        more_code = os.path.join(FOLDER, "more.S")
        with open(more_code, "w", encoding="utf-8") as f:
            f.write(f'.section .text, "ax"\n.skip {code}\n'
                    '.section .note.GNU-stack, ""\n')
        subprocess.run(
            ["gcc", "-O1", "-ffreestanding", "-fno-stack-protector", "-fno-pic",
             "-no-pie", "-nostdlib", "-static", "-fcf-protection=none",
             f"-DMANIFEST={manifest}", f"-DTARGET={target}",
             f"-DVERSION={version}", f"-DWANTS={wants}", "-Wl,--build-id=none",
             "-Wl,-z,max-page-size=0x1000", "-Wl,-z,norelro",
             "-Wl,-T," + os.path.join(ROOT, "platform/spt/spt.lds"),
             os.path.join(ROOT, "tender/spt/probe/probe.c"), "-o", path]
            + ([more_code] if code > 0 else [])
            + (["-DWITH_NOTE"] if note else []), check=True)
        _images[key] = path
    return _images[key]


def tender(*words, **options):
    """Run the tender; returns (status, stdout, stderr)."""
    options.setdefault("timeout", 30)
    result = subprocess.run([TENDER, *words], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            **options)
    return (result.returncode, result.stdout.decode(errors="replace"),
            result.stderr.decode(errors="replace"))


def guest(words, devices=(), options=(), **more):
    return tender(*options, "--", image(*devices), *words.split(), **more)


def calls(name, *arguments):
    """The words for a system call."""
    arguments += ("0",) * (4 - len(arguments))
    return " ".join(["call", str(CALL[name]), *map(str, arguments)])


def disk(size=4 * 512):
    path = os.path.join(FOLDER, f"disk{size}")
    with open(path, "wb") as f:
        f.write(bytes(i // 512 + 1 for i in range(size)))
    return path


def expect(outcome, status, out=None, err=None):
    shown = str(outcome)[:500]
    assert outcome[0] == status, shown
    if out is not None:
        assert re.search(out, outcome[1], re.DOTALL), shown
    if err is not None:
        assert re.search(err, outcome[2]), shown


def setup():
    if not os.path.exists(TENDER):
        skip("build/fata-spt is not built")


@test
def the_console_and_the_command_line_work():
    expect(tender(image(), "a", "b  c", "", "d"), 0, "^words:a b  c  d\n$", "^$")


@test
def the_guests_status_is_the_processes():
    for status, seen in ((0, 0), (7, 7), (255, 255), (256 + 3, 3)):
        expect(guest(f"exit {status}"), seen)


@test
def the_boot_info_is_as_specified():
    for mib in (2, 16, 512, 5000):
        status, out, _ = guest("show", options=[f"--mem={mib}"])
        assert status == 0, out
        value = {k: int(v, 16) for k, v in re.findall(r"(\w+) (0x\w+)", out)}
        assert value["info"] == 0x11000
        assert value["mem_size"] == mib << 20
        assert value["stack"] == (mib << 20) - 8
        assert value["kernel_end"] == value["image_end"]
        assert value["manifest"] == 0x11028
        assert value["cmdline"] == 0x11028 + 8 + 104
        assert value["entries"] == 1


@test
def devices_are_in_the_manifest():
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with a, b:
        status, out, err = guest(
            "show", [("service", NET), ("disk", BLOCK)],
            [f"--block-sector-size:disk=1024", f"--net:service=@{b.fileno()}",
             "--net-mac:service=02:00:00:0a:0B:0c", f"--block:disk={disk()}"],
            pass_fds=[b.fileno()])
    assert status == 0, (out, err)
    net, block = out.split("device ")[1:]
    assert net.startswith("service 0x2\n"), net
    # The MAC address and behind it the MTU.
    assert f"0x{1500:x}".zfill(4)[2:] + "0c0b0a000002" in net, net
    assert block.startswith("disk 0x1\n"), block
    assert "capacity 0x800\nblock_size 0x400\n" in block, block
    assert "attached 0x1" in net and "attached 0x1" in block


@test
def a_random_mac_address_is_local_and_not_a_group():
    seen = set()
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with a, b:
        for _ in range(3):
            _, out, _ = guest("show", [("service", NET)],
                              [f"--net:service=@{b.fileno()}"],
                              pass_fds=[b.fileno()])
            mac = int(re.search("mac_or_capacity (0x\\w+)", out)[1], 16)
            assert mac & 3 == 2, hex(mac)
            seen.add(mac)
    assert len(seen) == 3, seen


@test
def memory_is_zeroed():
    expect(guest("zero", options=["--mem=64"]), 0, "zero yes")


@test
def fatas_answers_are_given_where_they_are_asked_for():
    status, out, _ = guest("answers")
    words = [int(w, 16) for w in re.findall("answer (0x\\w+)", out)]
    assert status == 0 and words[0] == 64 << 32 | 1, out
    assert len(set(words[1:9])) == 8, "64 bytes of entropy"
    assert guest("answers")[1] != out, "other ones in another run"
    expect(tender(image(note=False), "answers"), 0, "^(answer 0x0\n){64}")


@test
def pages_of_the_image_are_writable_or_executable_and_never_both():
    expect(guest("poke data 1 poke 0x20000 1 peek code peek constant"), 0)
    expect(guest("poke code 1"), FAULT)
    expect(guest("poke constant 1"), FAULT)
    expect(guest("run data"), FAULT)
    expect(guest("run constant"), FAULT)
    expect(guest("run 0x20000"), FAULT)
    expect(guest("poke 0x1000 1"), FAULT)


@test
def an_executable_heap_is_there_for_who_asks_for_it():
    words = "poke 0x20000 0xc3 run 0x20000 exit 4"  # a `ret`
    expect(guest(words), FAULT, err="^$")
    expect(guest(words, options=["--x-exec-heap"]), 4, err="WARNING")


@test
def what_the_specification_allows_is_allowed():
    expect(guest(calls("clock_gettime", 0, "buf") + " "
                 + calls("clock_gettime", 1, "buf") + " "
                 + calls("timerfd_settime", "timer", 1, "buf") + " "
                 + calls("epoll_pwait", "epoll", "buf", 1, 0) + " "
                 + calls("arch_prctl", 0x1002, 0)), 0, "(result 0x0\n){5}")


@test
def a_system_call_that_is_not_on_the_list_ends_the_guest():
    for name in ("getpid", "open", "mprotect", "sigreturn", "read", "pread64",
                 "pwrite64", "fdatasync"):
        expect(guest(calls(name)), KILLED, "^$", "^$")
    expect(guest("call 0x40000027 0 0 0 0"), KILLED)  # of the x32 ABI
    expect(guest("call 0x40000001 1 buf 0 0"), KILLED)


@test
def an_argument_that_is_not_on_the_list_ends_the_guest():
    for words in (calls("write", 2, "buf", 1), calls("write", 0, "buf", 1),
                  calls("write", 3, "buf", 1),
                  calls("write", 0x100000001, "buf", 1),
                  calls("clock_gettime", 2, "buf"),
                  calls("clock_gettime", 0x100000001, "buf"),
                  calls("epoll_pwait", "timer", "buf", 1),
                  f"call6 {CALL['epoll_pwait']} epoll buf 1 0 buf 8",
                  calls("timerfd_settime", "epoll", 0, "buf"),
                  calls("arch_prctl", 0x1001, "buf"),
                  calls("arch_prctl", 0x1003, "buf")):
        expect(guest(words), KILLED, "^$", "^$")


@test
def an_image_that_does_without_loses_what_it_has_no_use_for():
    waits, thread, guards = 2, 4, 32
    sleep = calls("epoll_pwait2", "epoll", "buf", 1, "buf")
    timer = calls("timerfd_settime", "timer", 1, "buf")
    poll = calls("epoll_pwait", "epoll", "buf", 1, 0)
    set_fs = calls("arch_prctl", 0x1002, 0)

    def run_wanting(wants, words):
        return tender(image(wants=wants), *words.split())

    expect(run_wanting(0, f"{timer} {poll} {set_fs}"), 0)
    expect(run_wanting(0, sleep), KILLED)
    expect(run_wanting(waits, f"{sleep} {set_fs}"), 0, "(result 0x0\n){2}")
    expect(run_wanting(waits, timer), KILLED)
    expect(run_wanting(waits, poll), KILLED)
    for words in (calls("epoll_pwait2", "timer", "buf", 1, "buf"),
                  f"call6 {CALL['epoll_pwait2']} epoll buf 1 buf buf 8"):
        expect(run_wanting(waits, words), KILLED)
    expect(run_wanting(thread, f"{timer} {poll}"), 0)
    expect(run_wanting(thread, set_fs), KILLED)
    # The probe gives `buf`, which is zeroed.
    expect(run_wanting(thread, "thread"), 0, "thread 0x0\n")
    # Access is taken away where the image wants to, never given.
    guard = f"call6 {CALL['mprotect']} 0x200000 4096"
    expect(run_wanting(0, f"{guard} 0 0 0 0"), KILLED)
    expect(run_wanting(guards, f"{guard} 0 0 0 0 peek 0x200000"), FAULT)
    for access in (1, 2, 3, 4, 7, 0x100000000):
        expect(run_wanting(guards, f"{guard} {access} 0 0 0"), KILLED)
    # What is agreed on must be told: not without a place for answers.
    expect(tender(image(note=False, wants=waits | thread),
                  *f"{timer} {poll} {set_fs}".split()), 0)


@test
def every_other_system_call_ends_the_guest():
    devices = [("service", NET), ("disk", BLOCK)]
    allowed = {CALL[name] for name in (
        "read", "write", "pread64", "pwrite64", "fdatasync", "epoll_pwait2",
        "clock_gettime", "mprotect", "exit_group")}
    read, write = os.pipe()
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    os.set_inheritable(b.fileno(), True)
    start = [TENDER, f"--net:service=@{b.fileno()}", f"--block:disk={disk()}",
             image(*devices, wants=38)]
    null = os.open(os.devnull, os.O_RDWR)
    streams = [(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)]

    def ends(words):
        pid = os.posix_spawn(TENDER, start + words.split(), {},
                             file_actions=streams)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    with a, b:
        # Of the first arguments, those that do the least harm here.
        for n in range(1024):
            seen = ends(f"call {n} -1 0 0 0 exit 5")
            # Linux lets no filter see uretprobe and uprobe, and refuses them.
            ends_so = {CALL["exit_group"]: [255], CALL["mprotect"]: [5], 335: [KILLED, -signal.SIGILL],
                       336: [KILLED, 5]}.get(n, [KILLED])
            assert seen in ends_so, (n, seen)
        for n in sorted(allowed):
            x32 = n | 0x40000000
            assert ends(f"call {x32} 1 0 0 0 exit 5") == KILLED, hex(x32)
        for n in (0x40000000 + 512, 0x40000000 + 547, 1 << 31, 0xffffffff):
            assert ends(f"call {n} 1 0 0 0 exit 5") == KILLED, hex(n)
        # The i386 entry, where the numbers mean other things.
        for n in [*range(0, 460), 0x40000000]:
            assert ends(f"int80 {n} exit 5") in (KILLED, FAULT), n
    for fd in (read, write, null):
        os.close(fd)


@test
def frames_come_and_go_on_a_descriptor():
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
             for _ in range(6)]
    # Up to four devices have a filter made at build time.
    for count in (1, 2, 4, 6):
        devices = [(f"net{i}", NET) for i in range(count)]
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                 for _ in range(count)]
        # In any order, so that the descriptors have to be moved about.
        ends = [b for _, b in pairs][::-1]
        process = subprocess.Popen(
            [TENDER] + [f"--net:net{i}=@{b.fileno()}"
                        for i, b in enumerate(ends)]
            + [image(*devices), "echo", "exit", "5"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            pass_fds=[b.fileno() for b in ends])
        for b in ends:
            b.close()
        for i, (a, _) in enumerate(pairs):
            a.settimeout(20)
            for size in (1, 60, 1514):
                a.send(bytes([i + 1]) * size)
                assert a.recv(4096) == bytes([i + 1]) * size
        pairs[0][0].close()
        out = process.communicate(timeout=20)[0].decode()
        assert process.returncode == 5, (count, process.returncode, out)
        assert out.endswith("frame 0x0\n"), out
        for a, _ in pairs:
            a.close()


@test
def a_network_device_is_not_a_licence_for_other_descriptors():
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with a, b:
        for words in (calls("read", "epoll", "buf", 8),
                      calls("read", "timer", "buf", 8),
                      calls("read", 0, "buf", 8), calls("read", 99, "buf", 8),
                      calls("write", 2, "buf", 8),
                      calls("pread64", "fd1", "buf", 8)):
            expect(guest(words, [("service", NET)],
                         [f"--net:service=@{b.fileno()}"],
                         pass_fds=[b.fileno()]), KILLED)


@test
def powers_of_two_of_blocks_within_the_device_are_read_and_written():
    devices, path = [("disk", BLOCK)], disk()
    options = [f"--block:disk={path}"]
    expect(guest(calls("pread64", "fd1", "buf", 512, 512) + " peek buf "
                 + calls("pwrite64", "fd1", "buf", 512, 1536),
                 devices, options), 0,
           "result 0x200\nbyte 0x2\nresult 0x200\n")
    with open(path, "rb") as f:
        assert f.read() == b"\1" * 512 + b"\2" * 512 + b"\3" * 512 + b"\2" * 512
    expect(guest(calls("pread64", "fd1", "buf", 1024, 1024) + " "
                 + calls("pwrite64", "fd1", "buf", 2048, 0), devices, options),
           0, "result 0x400\nresult 0x800\n")
    for words in (calls("pread64", "fd1", "buf", 1024, 1536),
                  calls("pread64", "fd1", "buf", 1536, 512),
                  calls("pread64", "fd1", "buf", 0, 0),
                  calls("pwrite64", "fd1", "buf", 2560, 0),
                  calls("pread64", "fd1", "buf", 511, 0),
                  calls("pread64", "fd1", "buf", 512, 1537),
                  calls("pread64", "fd1", "buf", 0x100000200, 0),
                  calls("pwrite64", "fd1", "buf", 0xfffffffffffffe00, 0),
                  calls("pwrite64", "fd1", "buf", 512, 0x20000000000),
                  calls("pwrite64", "fd1", "buf", 512, 2048),
                  calls("pwrite64", "fd1", "buf", 512, 0xfffffffffffffe00),
                  calls("pwrite64", "fd1", "buf", 512, 0x100000000),
                  calls("pread64", "epoll", "buf", 512, 0),
                  calls("read", "fd1", "buf", 512),
                  calls("write", "fd1", "buf", 512)):
        expect(guest(words, devices, options), KILLED)


@test
def a_flush_is_allowed_to_those_who_were_told_of_it():
    devices, options = [("disk", BLOCK)], [f"--block:disk={disk()}"]
    expect(guest(calls("fdatasync", "fd1"), devices, options), 0, "result 0x0")
    expect(tender(*options, image(*devices, note=False),
                  *calls("fdatasync", "fd1").split()), KILLED)


@test
def no_other_descriptor_is_open_in_the_guest():
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    read, write = os.pipe()
    process = subprocess.Popen(
        [TENDER, f"--net:service=@{b.fileno()}", image(("service", NET)),
         "show", "echo"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        pass_fds=[b.fileno(), read, write])
    b.close()
    try:
        process.stdout.readline()  # the guest runs
        fds = sorted(map(int, os.listdir(f"/proc/{process.pid}/fd")))
        with open(f"/proc/{process.pid}/status") as f:
            status = f.read()
    finally:
        a.close()
        process.communicate(timeout=20)
        os.close(read)
        os.close(write)
    assert fds[:3] == [0, 1, 2] and len(fds) == 6, fds
    assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status, status


@test
def the_guest_has_the_same_descriptors_whatever_was_inherited():
    for number in range(3, 8):
        a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        high = fcntl.fcntl(b, fcntl.F_DUPFD, 20)
        b.close()
        process = subprocess.Popen(
            [sys.executable, "-c", "import os, sys; "
             "os.dup2(int(sys.argv[1]), int(sys.argv[2])); "
             "os.execv(sys.argv[3], sys.argv[3:])", str(high), str(number),
             TENDER, f"--net:service=@{number}", image(("service", NET)),
             "echo", "exit", "5"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, pass_fds=[high])
        os.close(high)
        with a:
            a.settimeout(20)
            a.send(b"hello")
            assert a.recv(100) == b"hello"
            folder = f"/proc/{process.pid}/fd"
            kinds = sorted(os.readlink(f"{folder}/{fd}").split("[")[0]
                           for fd in os.listdir(folder))
        assert kinds == ["/dev/null"] * 3 + ["anon_inode:"] * 2 + [
            "socket:"], kinds
        assert process.wait(20) == 5


@test
def closed_standard_descriptors_do_no_harm():
    out = os.path.join(FOLDER, "out")
    subprocess.run(["sh", "-c", f"exec {TENDER} {image()} show <&- 2>&- >{out}"],
                   check=True)
    with open(out) as f:
        fds = re.findall(r"(?:epollfd|timerfd) 0x(\w+)", f.read())
        assert len(fds) == 2 and min(int(fd, 16) for fd in fds) > 2, fds
    result = subprocess.run(["sh", "-c", f"exec {TENDER} {image()} exit 3 >&-"])
    assert result.returncode == 3


@test
def nobody_reading_the_console_does_not_end_the_guest():
    read, write = os.pipe()
    os.close(read)
    result = subprocess.run([TENDER, image(), "show", "exit", "4"],
                            stdin=subprocess.DEVNULL, stdout=write)
    os.close(write)
    assert result.returncode == 4, result


@test
def the_environment_is_not_in_the_guests_process():
    process = subprocess.Popen(
        [TENDER, image(), "show", *calls("epoll_pwait", "epoll", "buf", 1,
                                         0xffffffffffffffff).split()],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        env={"FATA_PASSWORD": "secret"})
    process.stdout.readline()  # the guest runs
    with open(f"/proc/{process.pid}/environ", "rb") as f:
        environment = f.read()
    process.terminate()
    process.communicate(timeout=20)
    assert set(environment) <= {0}, environment


@test
def the_command_line_has_8191_characters_at_most():
    words = ["x" * 4095, "y" * 4095]
    expect(tender(image(), *words), 0, f"^words:{words[0]} {words[1]}\n$")
    words[1] += "y"
    expect(tender(image(), *words), 1, "^$", r"too long \(max=8191 characters\)")


@test
def devices_that_are_missing_or_unknown_are_named():
    expect(guest("exit 0", [("service", NET)]), 1, "^$",
           "^fata-spt: Device 'service' of type NET_BASIC declared but not "
           "attached.\nfata-spt: All declared devices must be attached. See "
           "--help for syntax. Here: --net:service=...\n$")
    expect(guest("exit 0", [("disk", BLOCK)]), 1, "^$", "type BLOCK_BASIC")
    expect(guest("exit 0", options=["--net:service=tap0"]), 1, "^$",
           "Resource not declared in manifest: 'service': leave out "
           "--net:service=tap0, or build an image that declares it")
    expect(guest("exit 0", [("disk", BLOCK)], ["--net:disk=tap0"]), 1, "^$",
           "Resource not declared in manifest: 'disk'")


@test
def wrong_options_are_named():
    for option, why in (("--nett:a=b", "Invalid option: `--nett:a=b'\nUsage"),
                        ("-x", "Invalid option"),
                        ("--mem=0", "Malformed argument to --mem"),
                        ("--mem=x", "Malformed argument to --mem"),
                        ("--mem=-1", "Malformed argument to --mem"),
                        ("--mem=", "Malformed argument to --mem"),
                        ("--mem=99999999999", "more than a guest"),
                        ("--mem=18446744073709551616", "Malformed argument"),
                        ("--mem=1", "larger --mem"),
                        ("--net:service", "Malformed argument"),
                        ("--net:=x", "Malformed argument")):
        expect(guest("exit 0", options=[option]), 1, "^$", why)
    expect(guest("exit 0", options=["--mem=8x"]), 0)
    expect(tender(), 1, "^$", "IMAGE.*\nUsage")
    for help in ("--help", "-h"):
        expect(tender(help), 1, "^$", "Usage: fata-spt")
    expect(tender("--version"), 0, "^$",
           "^fata-spt tender, version .*\nABI version 2\n")


@test
def a_network_device_that_cannot_be_had_is_explained():
    devices = [("service", NET)]
    for value, why in (("nosuchtap", "no network interface 'nosuchtap'.*ip tun"),
                       ("averyveryverylongname", "1 to 15 characters"),
                       ("@99", "descriptor 99: .*: Bad file descriptor"),
                       ("@x", "not @ and the number")):
        expect(guest("exit 0", devices, [f"--net:service={value}"]), 1, "^$",
               why)
    expect(guest("exit 0", devices, ["--net-mac:service=1:2:3:4:5:6",
                                     "--net:service=x"]), 1, "^$",
           "Malformed argument to --net-mac")


@test
def answers_are_about_as_many_devices_as_there_is_room_for():
    # Of a tap with several queues there is something to say, also to an image
    # that knows of no headers before frames.
    if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
        skip("taps need root and /dev/net/tun")
    names = [f"net{i}" for i in range(40)]
    script = "".join(
        f"ip tuntap add dev {name} mode tap multi_queue && "
        f"ip link set {name} up && " for name in names) + 'exec "$@"'
    outcome = subprocess.run(
        ["unshare", "--net", "sh", "-c", script, "sh", TENDER,
         *(f"--net:{name}={name}" for name in names),
         image(*((name, NET) for name in names)), "answers"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, timeout=60)
    expect((outcome.returncode, outcome.stdout, outcome.stderr), 0, err="^$")
    words = [int(n, 16) for n in re.findall(r"answer (0x\w+)", outcome.stdout)]
    assert (32 * 8) << 32 | 4 in words, [hex(w) for w in words]


@test
def a_block_device_that_cannot_be_had_is_explained():
    devices = [("disk", BLOCK)]
    for size, why in ((1000, r"disk: Backing storage size must be block "
                       r"aligned \(512 bytes\)"),
                      (100, r"disk: Backing storage must be at least 1 block "
                       r"\(512 bytes\) in size")):
        expect(guest("exit 0", devices, [f"--block:disk={disk(size)}"]), 1,
               "^$", why)
    expect(guest("exit 0", devices, ["--block:disk=/nonexistent"]), 1, "^$",
           "cannot open '/nonexistent'.*No such file")
    option = f"--block:disk={disk()}"
    expect(guest("exit 0", devices, [option, option]), 1, "^$",
           "'disk' is attached already: give the option once")
    for path in ("/dev/null", "/dev/tty", FOLDER):
        expect(guest("exit 0", devices, [f"--block-read-only:disk={path}"]), 1,
               "^$", "neither a file nor a block device|cannot open '/dev/tty'")
    fifo = os.path.join(FOLDER, "pipe")
    os.mkfifo(fifo)
    expect(guest("exit 0", devices, [f"--block:disk={fifo}"]), 1, "^$",
           "neither a file nor a block device")
    expect(guest("exit 0", devices, ["--block-sector-size:disk=100",
                                     f"--block:disk={disk()}"]), 1, "^$",
           "Block size must be a multiple of 2 greater than or equal 512")


def sleeping(*options):
    """A tender whose guest sleeps for ever; it runs when this returns."""
    process = subprocess.Popen(
        [TENDER, *options, image(("disk", BLOCK)), "show",
         *calls("epoll_pwait", "epoll", "buf", 1, 0xffffffffffffffff).split()],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


@test
def a_file_has_one_user_that_writes_or_several_that_read():
    devices, path = [("disk", BLOCK)], disk()
    write, read = f"--block:disk={path}", f"--block-read-only:disk={path}"
    in_use = (f"disk: '{path}' is in use by another unikernel.*"
              f"`fuser -v {path}` says who")
    for first, second, fine in ((write, write, False), (write, read, False),
                                (read, write, False), (read, read, True)):
        process = sleeping(first)
        outcome = guest("exit 3", devices, [second])
        process.kill()
        process.communicate()
        if fine:
            expect(outcome, 3)
        else:
            expect(outcome, 1, "^$", in_use)
        # Killed as it was, it has left nothing behind.
        expect(guest("exit 3", devices, [second]), 3)
    both = [("disk", BLOCK), ("other", BLOCK)]
    expect(guest("exit 0", both, [write, f"--block:other={path}"]), 1, "^$",
           "other: .*in use")


@test
def qemu_and_a_tender_keep_off_each_others_files():
    if shutil.which("qemu-io") is None:
        skip("qemu-io is not installed")
    path = disk()

    def qemu_opens(*flags):
        return subprocess.run(["qemu-io", "-f", "raw", *flags, "-c", "length",
                               path], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0

    for option, writes, reads in (("--block", False, False),
                                  ("--block-read-only", False, True)):
        process = sleeping(f"{option}:disk={path}")
        try:
            assert qemu_opens() == writes, option
            assert qemu_opens("-r") == reads, option
        finally:
            process.kill()
            process.communicate()
    assert qemu_opens()


@test
def a_read_only_device_is_not_written_to():
    devices, path = [("disk", BLOCK)], disk()
    before = open(path, "rb").read()
    os.chmod(path, 0o444)
    status, out, err = guest(calls("pwrite64", "fd1", "buf", 512, 0) + " "
                             + calls("pread64", "fd1", "buf", 512, 512)
                             + " peek buf answers", devices,
                             [f"--block-read-only:disk={path}"])
    os.chmod(path, 0o644)
    assert status == 0, err
    assert "result 0xfffffffffffffff7\nresult 0x200\nbyte 0x2\n" in out, out
    # Of the device with handle 1.
    assert f"answer 0x{8 << 32 | READ_ONLY:x}\nanswer 0x2\n" in out, out
    assert open(path, "rb").read() == before


@test
def an_optional_device_may_be_missing():
    devices = [("disk", BLOCK, "optional"), ("service", NET, "optional")]
    expect(guest("show exit 6", devices), 6, "attached 0x0.*attached 0x0", "^$")
    expect(guest("show exit 6", devices, [f"--block:disk={disk()}"]), 6,
           "attached 0x1.*attached 0x0", "^$")
    expect(guest("exit 6", devices, ["--block:dusk=x"]), 1, "^$",
           "not declared in manifest: 'dusk'")
    expect(guest("exit 6", [*devices, ("other", NET)]), 1, "^$",
           "Device 'other' of type NET_BASIC declared but not attached")


@test
def it_stands_in_for_solo5s_tenders():
    for name in ("solo5-spt", "solo5-hvt"):
        path = os.path.join(FOLDER, name)
        os.symlink(TENDER, path)

        def stand_in(*words):
            result = subprocess.run([path, *words], stdin=subprocess.DEVNULL,
                                    capture_output=True, text=True, timeout=20)
            return result.returncode, result.stdout, result.stderr

        expect(stand_in("--version"), 0, "^$", f"^{name} tender, version ")
        expect(stand_in("--nonsense", image()), 1, "^$",
               f"^{name}: Invalid option: `--nonsense'\nUsage: {name} ")
        # As albatross starts it, and urunc.
        expect(stand_in("--name=web", "--mem=32", "--", image(), "exit", "7"),
               7)
        expect(stand_in("--mem=32", "", image(), "", "a", "", "b"), 0,
               "^words: a  b\n$")
        expect(stand_in("--mem=32", "--", image(), "--", "--mem=1"), 0,
               "^words:-- --mem=1\n$")


@test
def files_that_are_not_for_this_tender_are_refused():
    expect(tender(image(target=1)), 1, "^$",
           "Executable is not for the solo5-spt target")
    expect(tender(image(version=3)), 1, "^$",
           "Executable requests unsupported ABI version 3")
    expect(tender(image(version=1), "exit", "9"), 9)
    expect(tender("/nonexistent"), 1, "^$", "/nonexistent: No such file")
    expect(tender("/"), 1, "^$", "not a file")
    expect(tender("/dev/null"), 1, "^$", "not a file")
    fifo = os.path.join(FOLDER, "fifo")
    os.mkfifo(fifo)
    expect(tender(fifo), 1, "^$", "not a file")
    expect(tender(os.path.abspath(__file__)), 1, "^$", "not a 64-bit")
    expect(tender(TENDER), 1, "^$", "position-dependent")


@test
def a_segment_that_is_writable_and_executable_is_refused():
    with open(image(), "rb") as f:
        data = bytearray(f.read())
    for i in range(struct.unpack_from("<H", data, 56)[0]):
        at = 64 + 56 * i
        if struct.unpack_from("<II", data, at) == (1, 5):
            struct.pack_into("<I", data, at + 4, 7)
    path = os.path.join(FOLDER, "wx")
    with open(path, "wb") as f:
        f.write(data)
    expect(tender(path), 1, "^$", "both writable and executable")


@test
def a_kernel_does_not_execute_an_image():
    try:
        subprocess.run([image()])
    except FileNotFoundError:
        return
    raise AssertionError("it was executed")


@test
def an_image_runs_from_where_files_are_not_executed():
    if os.geteuid() != 0:
        skip("mounting needs root")
    # So large that it is mapped where that can be.
    path = image(code=1 << 16)
    folder = tempfile.mkdtemp(dir=FOLDER)
    r = subprocess.run(
        ["unshare", "--mount", "sh", "-ec",
         f"mount -t tmpfs -o noexec none {folder}; cp {path} {folder}/image;"
         f"exec {TENDER} {folder}/image hello"], timeout=30, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if "unshare" in r.stdout or "mount:" in r.stdout:
        skip(f"mounting is not possible here: {r.stdout}")
    assert r.returncode == 0 and "words:hello" in r.stdout, r.stdout


@test
def a_sleeping_guest_ends_on_a_signal():
    process = subprocess.Popen(
        [TENDER, image(), *calls("epoll_pwait", "epoll", "buf", 1,
                                 0xffffffffffffffff).split()],
        stdin=subprocess.DEVNULL)
    time.sleep(0.1)
    process.terminate()
    assert process.wait(20) == -signal.SIGTERM


run(setup)
