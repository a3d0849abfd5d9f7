"""What the end-to-end tests share: namespaces with taps, images, unikernels,
and the certainty that all of it is gone in the end, whatever happens.
"""
import atexit
import contextlib
import ctypes
import hashlib
import http.client
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "test"))

from check import Skipped, run, skip, test  # noqa: E402,F401  (for the tests)

FATA = os.path.join(ROOT, "build/fata")
os.environ["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin"

HOST, GUEST, PREFIX = "10.77.0.1", "10.77.0.2", 24
BOOT_SECONDS = 60  # far more than any start takes, for a busy machine

_cleanup = contextlib.ExitStack()
atexit.register(_cleanup.close)
for _signal in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(_signal, lambda number, _: sys.exit(128 + number))


def command(*words, check=True, timeout=240, **options):
    """Run a command to its end; its output is part of what it returns.

    The timeout is for what hangs: a busy machine builds an image in minutes.
    """
    options.setdefault("stdin", subprocess.DEVNULL)
    result = subprocess.run(words, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True,
                            errors="replace", timeout=timeout, **options)
    if check and result.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: exit status "
                           f"{result.returncode}\n{result.stdout}")
    return result


def need(*programs):
    for program in programs:
        if shutil.which(program) is None:
            skip(f"{program} is not installed")


def folder():
    """An empty folder that is removed in the end."""
    path = tempfile.mkdtemp(prefix="fata-test-")
    _cleanup.callback(shutil.rmtree, path, ignore_errors=True)
    return path


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(condition, what=None, seconds=BOOT_SECONDS):
    """Wait until `condition()` is true, and return what it returned.

    A fixed sleep is too short on a busy machine, and too long on others.
    `what()` says what there was instead, once it has waited for too long.
    """
    end = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > end:
            raise AssertionError(what() if what else
                                 f"not so within {seconds} s")
        time.sleep(0.05)
    return result


# ---- processes

class Process:
    """A program that runs in the background; its output is collected."""

    def __init__(self, *words, namespace=None, **options):
        self.words = words
        words = (namespace.prefix if namespace else ()) + words
        self.log = tempfile.TemporaryFile()
        options.setdefault("stdin", subprocess.DEVNULL)
        self.process = subprocess.Popen(
            words, stdout=self.log, stderr=subprocess.STDOUT,
            start_new_session=True, **options)
        self.pid = self.process.pid
        _cleanup.callback(self.stop)

    def output(self):
        size = os.fstat(self.log.fileno()).st_size
        return os.pread(self.log.fileno(), size, 0).decode("utf-8", "replace")

    def running(self):
        return self.process.poll() is None

    def wait(self, seconds=30):
        return self.process.wait(seconds)

    def wait_for(self, pattern, seconds=BOOT_SECONDS):
        """Wait until it has printed what matches `pattern`."""
        end = time.monotonic() + seconds
        while True:
            alive = self.running()
            match = re.search(pattern, self.output())
            if match:
                return match
            if not alive:
                raise AssertionError(f"{self.words[0]} ended with "
                                     f"{self.process.returncode}:\n"
                                     f"{self.output()}")
            if time.monotonic() > end:
                raise AssertionError(f"{self.words[0]} never printed "
                                     f"{pattern}:\n{self.output()}")
            time.sleep(0.01)

    def stop(self, sig=signal.SIGTERM, seconds=10):
        """End its whole process group; returns the exit status."""
        for number, wait in ((sig, seconds), (signal.SIGKILL, 10)):
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(wait)
        return self.process.wait(10)

    def children(self):
        """Every process of its session, itself included."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
                    fields = f.read().rsplit(")", 1)[1].split()
                if int(fields[3]) == self.pid and fields[0] != "Z":
                    found.append(int(pid))
        return found

    def find(self, name):
        """The process of its session that runs the program `name`."""
        for pid in self.children():
            with contextlib.suppress(OSError):
                exe = os.path.basename(os.readlink(f"/proc/{pid}/exe"))
                if exe == name:
                    return pid
        return None


def rss_kb(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


# ---- namespaces

class Namespace:
    """A network namespace with no way out of it. Removed in the end."""

    count = 0

    def __init__(self):
        Namespace.count += 1
        self.name = f"fata-{os.getpid()}-{Namespace.count}"
        command("ip", "netns", "add", self.name)
        _cleanup.callback(self.remove)
        self.prefix = ("ip", "netns", "exec", self.name)
        self.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1",
                 "net.ipv6.conf.default.disable_ipv6=1", check=False)
        self.ip("link", "set", "lo", "up")

    def remove(self):
        command("ip", "netns", "del", self.name, check=False)

    def ip(self, *words):
        return command("ip", "-n", self.name, *words).stdout

    def run(self, *words, **options):
        return command(*self.prefix, *words, **options)

    def tap(self, name="tap0", address=f"{HOST}/{PREFIX}"):
        """A tap for a unikernel; `address` is the host's side, or None."""
        self.ip("tuntap", "add", "dev", name, "mode", "tap")
        self.up(name, address)

    def up(self, name, address):
        if address:
            self.ip("addr", "add", address, "dev", name)
        self.ip("link", "set", name, "up")

    @contextlib.contextmanager
    def inside(self):
        """Sockets made in the `with` block belong to this namespace."""
        with open("/proc/self/ns/net", encoding="utf-8") as own, \
                open(f"/var/run/netns/{self.name}", encoding="utf-8") as its:
            _setns(its)
            try:
                yield self
            finally:
                _setns(own)


_libc = ctypes.CDLL(None, use_errno=True)


def _setns(file):
    if _libc.setns(file.fileno(), 0x40000000) != 0:  # CLONE_NEWNET
        raise OSError(ctypes.get_errno(), "setns")


class Capture:
    """What passes an interface while the block runs, all of it, in `file`.

    Of frames that `words`, a filter of tcpdump's, let pass, the first bytes;
    or with `whole` each to its end. tcpdump may be behind: it is stopped when
    it has written a frame of ours, sent last, of an EtherType for experiments.
    """

    def __init__(self, namespace, interface="tap0", words="", whole=False):
        need("tcpdump")
        self.namespace, self.interface = namespace, interface
        self.file = os.path.join(folder(), "pcap")
        # Slots for whole frames would be few if they were not in blocks.
        how = ("-s", "0") if whole else ("-s", "128", "--immediate-mode")
        only = (f"({words}) or ether proto 0x88b5",) if words else ()
        self.process = Process("tcpdump", "-Z", "root", "-ni", interface, "-U",
                               "-B", "32768", *how, "-w", self.file, *only,
                               namespace=namespace)
        self.process.wait_for("listening on")

    def __enter__(self):
        return self

    def __exit__(self, error, *_):
        if error is None:
            self.catch_up()
        self.process.stop()

    def catch_up(self):
        mark = os.urandom(46)
        with self.namespace.inside():
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)

        def written():
            raw.send(b"\2\0\0\0\0\x63\2\0\0\0\0\x64\x88\xb5" + mark)
            with open(self.file, "rb") as f:
                f.seek(max(0, os.path.getsize(self.file) - 65536))
                return mark in f.read()
        with raw:
            raw.bind((self.interface, 0))
            until(written, self.process.output)

    def lines(self):
        """What tcpdump says of the frames, a line for each."""
        text = command("tcpdump", "-nn", "-r", self.file).stdout
        return [line for line in text.splitlines()
                if not line.startswith("reading from") and
                "ethertype Unknown (0x88b5)" not in line]

    def fields(self, display, *names, check=True):
        """tshark's texts of the fields, a row for each frame that matches."""
        words = ["tshark", "-r", self.file, "-n", "-Y", display,
                 "-T", "fields", "-o", "tcp.relative_sequence_numbers:FALSE"]
        for name in names:
            words += ["-e", name]
        text = command(*words, check=check).stdout
        return [line.split("\t") for line in text.splitlines()
                if not line.startswith("Running as user")]

    def count(self, display, **options):
        return len(self.fields(display, "frame.number", **options))


def need_namespaces():
    """Skip, with the reason, where namespaces and taps are not permitted."""
    need("ip")
    if os.geteuid() != 0:
        skip("network namespaces need root")
    if not os.path.exists("/dev/net/tun"):
        skip("taps need /dev/net/tun, which is not here")
    name = f"fata-{os.getpid()}-probe"
    try:
        if command("ip", "netns", "add", name, check=False).returncode:
            skip("network namespaces are not permitted here")
        if command("ip", "-n", name, "tuntap", "add", "dev", "tap0", "mode",
                   "tap", check=False).returncode:
            skip("taps are not permitted here")
    finally:
        command("ip", "netns", "del", name, check=False)


# ---- images and unikernels

def image(name, target):
    """The image of an example, built by `make images`."""
    path = os.path.join(ROOT, "build/images", name, "dist",
                        f"{name}.{target}")
    if not os.path.exists(path):
        raise AssertionError(f"{path} is not there; `make images` builds it")
    return path


def start(name, target, *arguments, namespace=None, net=None, publish=()):
    """Start an example, built by `make images`, with `fata run`."""
    image(name, target)
    words = [FATA, "run", "-t", target]
    if net:
        words += ["--net", net]
    for ports in publish:
        words += ["--publish", ports]
    return Process(*words, "--", *arguments, namespace=namespace,
                   cwd=os.path.join(ROOT, "build/images", name))


def connect(address, port, process=None, seconds=BOOT_SECONDS):
    """A TCP connection to what may still be starting."""
    end = time.monotonic() + seconds
    while True:
        try:
            s = socket.create_connection((address, port), timeout=1)
            s.settimeout(30)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return s
        except OSError as error:
            if process is not None and not process.running():
                raise AssertionError("it ended by itself:\n" +
                                     process.output()) from error
            if time.monotonic() > end:
                raise AssertionError(
                    f"nothing answers at {address}:{port}: {error}\n" +
                    (process.output() if process else "")) from error
            time.sleep(0.02)


def receive(s, n):
    """Exactly n bytes, or fewer where the other side closed."""
    data = bytearray()
    while len(data) < n:
        piece = s.recv(min(65536, n - len(data)))
        if not piece:
            break
        data += piece
    return bytes(data)


def receive_all(s):
    """All bytes until the other side closes."""
    return receive(s, 1 << 40)


def request(s, text, method="GET"):
    """Send raw bytes and read one response: status, headers, body."""
    s.sendall(text.encode("latin-1"))
    response = http.client.HTTPResponse(s, method=method)
    response.begin()
    body = response.read()
    return response.status, response.headers, body


def quiet(s, seconds=0.5):
    """Whether nothing arrives for so long."""
    return not select.select([s], [], [], seconds)[0]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def site_file(name):
    """The bytes of a file of examples/www's site."""
    with open(os.path.join(ROOT, "examples/www/site", name), "rb") as f:
        return f.read()
