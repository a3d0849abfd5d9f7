"""A machine with KVM where this one has none: QEMU without acceleration
emulates a processor of AMD's with its virtualization; in it runs the kernel of
Debian, whose KVM is the real one, with a first process of ours. Slow, and
exact.

    sections = nested.run({"hello.hvt": path}, {"greets": "fata-hvt hello.hvt"})
    sections["greets"].status, sections["greets"].output

One start serves all scripts of a test: they run one after the other, each with
a limit, in a folder that holds the files and is in PATH.
"""
import glob
import gzip
import os
import re
import stat
import subprocess

from lib import ROOT, Process, command, folder, need, skip

DEBS = os.path.join(ROOT, "build/debs")
MODULES = ("irqbypass", "kvm", "kvm-amd", "tun")
LIMIT = 40  # seconds of a script

INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t debugfs debugfs /sys/kernel/debug
mount -t tmpfs tmpfs /tmp
for module in {modules}; do insmod /lib/$module.ko; done
ip link set lo up
cd /work
export PATH=/work:/bin
for script in /scripts/*; do
    echo "@@ begin ${{script##*/}}"
    timeout -s KILL {limit} sh $script 2>&1
    echo "@@ end ${{script##*/}} $?"
done
poweroff -f
"""


class Section:
    def __init__(self, status, output):
        self.status, self.output = status, output

    def __repr__(self):
        return f"status {self.status}\n{self.output}"


def _package(name):
    """The files of a Debian package, which is not installed for this."""
    where = os.path.join(DEBS, name)
    if os.path.isdir(where):
        return where
    need("apt-get", "dpkg-deb")
    os.makedirs(DEBS, exist_ok=True)
    if command("apt-get", "download", "-q", name, cwd=DEBS, check=False,
               timeout=120).returncode:
        skip(f"the package {name} cannot be fetched, for a machine with KVM")
    deb = glob.glob(os.path.join(DEBS, f"{name}_*.deb"))[0]
    command("dpkg-deb", "-x", deb, where + ".new")
    os.remove(deb)
    os.rename(where + ".new", where)
    return where


def _kernel():
    """(kernel, modules) of Debian's kernel for clouds, the smallest."""
    names = command("apt-cache", "depends", "linux-image-cloud-amd64",
                    check=False).stdout
    found = re.search(r"Depends: (linux-image-\S+)", names)
    if found is None:
        skip("no package of a kernel is known here (apt-get update)")
    files = _package(found.group(1))
    kernel = glob.glob(os.path.join(files, "boot/vmlinuz-*"))[0]
    modules = []
    for name in MODULES:
        modules += glob.glob(os.path.join(files, "lib/modules/*/kernel", "**",
                                          f"{name}.ko"), recursive=True)
    assert len(modules) == len(MODULES), modules
    return kernel, modules


def debian_kernel():
    """Debian's kernel for clouds, to be booted."""
    return _kernel()[0]


def _entry(name, mode, data=b"", number=[0]):
    """One file of an archive in cpio's format "newc"."""
    number[0] += 1
    fields = [number[0], mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0,
              len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08x" % f for f in fields)
    head += name.encode() + b"\0"
    return (head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4))


def archive(files):
    """The archive of {name: (mode, bytes)}, and of the folders they are in."""
    made, out = set(), []
    for name, (mode, data) in files.items():
        parts = name.split("/")[:-1]
        for i in range(1, len(parts) + 1):
            where = "/".join(parts[:i])
            if where not in made:
                out.append(_entry(where, stat.S_IFDIR | 0o755))
                made.add(where)
        out.append(_entry(name, mode, data))
    return b"".join(out) + _entry("TRAILER!!!", 0)


def _content(source):
    if isinstance(source, bytes):
        return source
    with open(source, "rb") as f:
        return f.read()


def run(files, scripts, seconds=240, line=None, meanwhile=None):
    """Run the scripts; a Section for each that came to its end. `line` is the
    path of a socket that is /dev/ttyS1 inside. `meanwhile` is called with the
    process of the machine while that runs."""
    need("qemu-system-x86_64")
    kernel, modules = _kernel()
    busybox = os.path.join(_package("busybox-static"), "bin/busybox")
    program, plain = stat.S_IFREG | 0o755, stat.S_IFREG | 0o644
    init = INIT.format(limit=LIMIT, modules=" ".join(MODULES))
    inside = {"init": (program, init.encode()),
              "bin/busybox": (program, _content(busybox))}
    for path in modules:
        inside["lib/" + os.path.basename(path)] = (plain, _content(path))
    for name in ("proc", "sys", "dev", "tmp"):
        inside[name + "/.keep"] = (plain, b"")
    for name, source in files.items():
        inside["work/" + name] = (program, _content(source))
    for name, text in scripts.items():
        inside["scripts/" + name] = (program, text.encode())
    initrd = os.path.join(folder(), "initrd")
    with gzip.open(initrd, "wb", compresslevel=1) as f:
        f.write(archive(inside))
    words = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "768",
             "-nodefaults", "-no-reboot", "-display", "none",
             "-serial", "stdio", "-kernel", kernel, "-initrd", initrd,
             "-append", "console=ttyS0 quiet panic=-1 mitigations=off "
             "tsc=reliable rdinit=/init"]
    if line is not None:
        words += ["-serial", f"unix:{line},server=on,wait=off"]
    machine = Process(*words)
    try:
        if meanwhile is not None:
            meanwhile(machine)
        machine.wait(seconds)
    except subprocess.TimeoutExpired:
        pass
    finally:
        machine.stop()
    text = machine.output()
    sections = {}
    for match in re.finditer(r"@@ begin (\S+)\r?\n(.*?)"
                             r"@@ end \1 (\d+)", text, re.DOTALL):
        name, output, status = match.groups()
        sections[name] = Section(int(status), output.replace("\r", ""))
    if not sections:
        raise AssertionError("the machine with KVM did not start:\n" + text)
    return sections
