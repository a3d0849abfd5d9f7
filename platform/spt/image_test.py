#!/usr/bin/env python3
"""What an spt image does for the code linked into it: the stack protector,
fortified functions, entropy, memory; and how small it is.

Each test's code is linked with the target's own sources, without the rest of
a unikernel, in a temporary folder.
"""
import atexit
import glob
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "test"))
from check import run, skip, test  # noqa: E402

TENDER = os.path.join(ROOT, "build/fata-spt")
FOLDER = tempfile.mkdtemp(prefix="fata-image-")
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
TARGET = {}

SOURCE = """
#include "abi/solo5.h"
#include "base/fmt.h"
#include "platform/platform.h"
SOLO5_MANIFEST(DEVICES)
static void print(struct platform *platform, const char *format, ...)
{
    char text[200];
    struct writer w = WRITER(text);
    va_list arguments;
    va_start(arguments, format);
    fmt_put_va(&w, format, arguments);
    va_end(arguments);
    platform_console_write(platform, written(&w));
}
int platform_main(struct platform *platform)
{
    (void)print;
    BODY
    return 0;
}
"""


def setup():
    if not os.path.exists(TENDER):
        skip("build/fata-spt is not built")
    with open(os.path.join(ROOT, "platform/spt/target")) as f:
        for line in f:
            key, _, value = line.partition(" = ")
            TARGET[key] = value.split()


def image(body, flags=(), head="", stderr=None, devices=""):
    """Build an image whose platform_main is `body`; its path."""
    name = os.path.join(FOLDER, "image")
    with open(name + ".c", "w") as f:
        f.write(head + SOURCE.replace("DEVICES", devices)
                .replace("BODY", body))
    sources = [path for pattern in TARGET["sources"]
               for path in glob.glob(os.path.join(ROOT, pattern))]
    sources += [os.path.join(ROOT, "base", f"{part}.c")
                for part in ("fmt", "arena", "pool", "pbuf")]
    common = ["gcc", "-std=gnu17", "-O2", "-I.", "-Iinclude",
              "-ffunction-sections", "-fdata-sections", *TARGET["cflags"]]
    subprocess.run([*common, *flags, "-c", name + ".c", "-o", name + ".o"],
                   cwd=ROOT, check=True)
    subprocess.run([*common, "-s", "-Wl,--gc-sections", *TARGET["ldflags"],
                    "-o", name, *sources, name + ".o", *TARGET["libs"]],
                   cwd=ROOT, check=True, stderr=stderr)
    return name


def boot(path, *options, pass_fds=()):
    result = subprocess.run([TENDER, *options, path], timeout=30,
                            pass_fds=pass_fds,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)
    return result.returncode, result.stdout


SMASH = """
__attribute__((noipa)) static void fill(char *to, int len)
{
    for (int i = 0; i < len; i++)
        to[i] = 'x';
}
__attribute__((noipa)) static void smash(int len)
{
    char text[16];
    fill(text, len);
}
"""


@test
def a_smashed_stack_is_noticed():
    # With our canary, and with the one that Debian's archives look for.
    for guard in ("global", "tls"):
        for length, outcome in ((16, (0, "")), (64, (255, "stack smashed"))):
            path = image(f"smash({length});",
                         [f"-mstack-protector-guard={guard}"], SMASH)
            status, out = boot(path)
            assert (status, out[:13]) == outcome, (guard, length, status, out)


@test
def the_canary_is_another_one_in_each_run():
    path = image("uint64_t fs; __asm__ volatile(\"mov %%fs:40, %0\" : "
                 "\"=r\"(fs)); print(platform, \"%llx\", "
                 "(unsigned long long)fs);")
    outs = {boot(path)[1] for _ in range(3)}
    assert len(outs) == 3, outs
    assert all(out.endswith("00") for out in outs), "a zero byte first"


@test
def a_fortified_function_stops_an_overflow():
    head = ("#include <stddef.h>\nvoid *__memcpy_chk(void *, const void *, "
            "size_t, size_t);\n")
    for room, status in ((8, 0), (7, 255)):
        path = image(f"static char text[8]; volatile size_t room = {room}; "
                     "__memcpy_chk(text, \"1234567\", 8, room); "
                     "print(platform, \"%s\\n\", text);", head=head)
        assert boot(path)[0] == status
    assert boot(path)[1].startswith("buffer overflow"), boot(path)


def without_note(path):
    """The image as a tender sees it that does not know Fata's notes."""
    with open(path, "rb") as f:
        data = f.read()
    assert data.count(b"Fata\0\0\0\0") >= 1
    other = path + ".stock"
    with open(other, "wb") as f:
        f.write(data.replace(b"Fata\0\0\0\0", b"Nobo\0\0\0\0"))
    return other


@test
def entropy_differs_from_run_to_run_also_under_a_stock_tender():
    path = image("""
    uint8_t bytes[100];
    enum err err = platform_entropy(platform, bytes, sizeof(bytes));
    print(platform, "%d ", (int)err);
    for (size_t i = 0; i < sizeof(bytes) && err == OK; i++)
        print(platform, "%02x", bytes[i]);
    """)
    stock = without_note(path)
    with open("/proc/cpuinfo") as f:
        cpu_can = " rdrand" in f.read()
    if not cpu_can:
        assert boot(stock) == (0, f"11 "), "ERR_IO"
        skip("this processor has no random number generator")
    outs = [boot(p) for p in (path, path, stock, stock)]
    assert all(s == 0 and o.startswith("0 ") and len(o) == 202
               for s, o in outs), outs
    assert len({o for _, o in outs}) == 4, outs


@test
def entropy_that_was_given_out_is_gone_from_memory():
    path = image("""
    uint8_t bytes[32], given[32];
    memcpy(given, solo5_answers + 8, sizeof(given));
    enum err err = platform_entropy(platform, bytes, sizeof(bytes));
    print(platform, "%d %d %d", (int)err, memcmp(bytes, given, 32),
          (int)solo5_answers[8] + solo5_answers[20] + solo5_answers[39]);
    """, head='#include "platform/solo5/solo5.h"\n')
    assert boot(path) == (0, "0 0 0"), boot(path)


@test
def frames_without_buffers_for_them_do_not_keep_it_awake():
    path = image("""
    struct platform_net_info info;
    struct pbuf_pool pool;
    struct pbuf *packets[8];
    size_t count = 0;
    if (platform_net_open(platform, "service", &info) != OK ||
        pbuf_pool_init(&pool, platform_memory(platform), 1, 0) != OK)
        return 1;
    struct pbuf *only = pbuf_take(&pool);
    uint64_t now = platform_clock_monotonic(platform);
    print(platform, "%d ", (int)platform_wait(platform, now));
    if (platform_net_receive(platform, info.handle, &pool, packets, 8,
                             &count) != OK || count != 0)
        return 1;
    pbuf_give(only);
    print(platform, "%d", (int)platform_wait(platform, now));
    """, devices='SOLO5_NET("service")')
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, its:
        for _ in range(3):
            ours.send(bytes(60))
        outcome = boot(path, f"--net:service=@{its.fileno()}",
                       pass_fds=[its.fileno()])
    assert outcome == (0, "2 0"), outcome


@test
def memory_of_its_own_too_large_for_it_is_explained():
    path = image("static char big[8 << 20]; char *volatile at = big; "
                 "at[0] = 1; print(platform, \"%d\", at[0]);")
    assert boot(path, "--mem=16") == (0, "1")
    status, out = boot(path, "--mem=9")
    assert status == 255 and "--mem" in out, (status, out)


@test
def an_image_has_no_padding_and_segments_that_can_be_mapped():
    path = image("print(platform, \"hello\\n\");")
    assert os.path.getsize(path) < 12 * 1024, os.path.getsize(path)
    with open(path, "rb") as f:
        data = f.read()
    count = struct.unpack_from("<H", data, 56)[0]
    loads = []
    for i in range(count):
        kind, flags, offset, address = struct.unpack_from(
            "<IIQQ", data, 64 + 56 * i)
        if kind == 1:
            loads.append(flags)
            assert offset % 4096 == address % 4096
    assert loads == [5, 4, 6], "R+X, R, RW"


@test
def thread_local_variables_and_constructors_do_not_link():
    for head, body in (
            ("_Thread_local int local = 1;", "return local;"),
            ("int n; __attribute__((constructor)) static void first(void) "
             "{ n = 1; }", "return n;")):
        try:
            image(body, head=head, stderr=subprocess.DEVNULL)
        except subprocess.CalledProcessError:
            continue
        raise AssertionError("it was linked: " + head)


run(setup)
