#!/usr/bin/env python3
"""fata pack: OCI images for urunc and ordinary ones, whose layouts are exact
and which other tools read; disks; and descriptions of virtual machines.

# test: limit 300
"""
import atexit
import base64
import contextlib
import hashlib
import http.client
import io
import json
import os
import shutil
import signal
import struct
import tarfile
import time
import xml.etree.ElementTree

from lib import (FATA, GUEST, PREFIX, ROOT, Namespace, Process, command,
                 connect, folder, free_port, image, need, need_namespaces,
                 request, run, site_file, skip, test)

KEY = "com.urunc.unikernel."
OCI = "application/vnd.oci.image."
HVT, VIRTIO = 1, 3


def contents(path):
    with open(path, "rb") as f:
        return f.read()


def pack(*words, **options):
    return command(FATA, "pack", *words, **options)


def other(path, target=None, block=False):
    """A copy of an image that says it is for another target, or has a disk
    where it had a network: packing looks at what it says only."""
    data = bytearray(contents(path))
    if target is not None:
        note = data.index(struct.pack("<III8s", 6, 16, 0x31494241, b"Solo5"))
        struct.pack_into("<I", data, note + 20, target)
    if block:
        entry = data.index(b"service".ljust(68, b"\0") + struct.pack("<I", 2))
        data[entry:entry + 7] = b"storage"
        struct.pack_into("<I", data, entry + 68, 1)
    endings = {HVT: "hvt", VIRTIO: "virtio"}
    ending = endings.get(target, path.rpartition(".")[2])
    copy = os.path.join(folder(), f"app.{ending}")
    with open(copy, "wb") as f:
        f.write(data)
    return copy


class Layout:
    """An image-layout folder, every digest and size of it checked."""

    def __init__(self, path):
        self.path = path
        assert json.loads(self.read("oci-layout")) == \
            {"imageLayoutVersion": "1.0.0"}
        self.index = json.loads(self.read("index.json"))
        assert len(self.index["manifests"]) == 1
        self.descriptor = self.index["manifests"][0]
        self.manifest = json.loads(self.blob(self.descriptor))
        self.config = json.loads(self.blob(self.manifest["config"]))
        assert len(self.manifest["layers"]) == 1
        layer = self.blob(self.manifest["layers"][0])
        assert self.config["rootfs"] == {
            "type": "layers",
            "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}
        self.members = tarfile.open(fileobj=io.BytesIO(layer)).getmembers()
        self.layer = tarfile.open(fileobj=io.BytesIO(layer))
        assert len(os.listdir(os.path.join(path, "blobs/sha256"))) == 3

    def read(self, name):
        return contents(os.path.join(self.path, name))

    def blob(self, descriptor):
        name = descriptor["digest"].removeprefix("sha256:")
        data = self.read(os.path.join("blobs/sha256", name))
        assert hashlib.sha256(data).hexdigest() == name
        assert len(data) == descriptor["size"]
        return data

    def file(self, name):
        return self.layer.extractfile(name).read()

    def names(self):
        return [(m.name, oct(m.mode)[2:]) for m in self.members]


def packed(*words):
    path = os.path.join(folder(), "image")
    pack("-f", "oci", "-o", path, *words)
    return Layout(path)


def check_urunc(layout, keys, cmd):
    """The same keys in all three places, encoded as each wants them."""
    assert layout.manifest["annotations"] == keys, layout.manifest
    assert layout.config["config"]["Labels"] == keys, layout.config
    assert json.loads(layout.file("urunc.json")) == {
        key: base64.b64encode(value.encode()).decode()
        for key, value in keys.items()}
    assert layout.config["config"]["Cmd"] == cmd, layout.config


# --- OCI images for urunc

@test
def the_frame_is_that_of_an_oci_image():
    layout = packed("--tag", "v1", image("www", "spt"), "--port=80")
    assert layout.index["schemaVersion"] == 2
    assert layout.index["mediaType"] == OCI + "index.v1+json"
    assert layout.descriptor["mediaType"] == OCI + "manifest.v1+json"
    assert layout.descriptor["platform"] == {"architecture": "amd64",
                                             "os": "linux"}
    assert layout.descriptor["annotations"] == \
        {"org.opencontainers.image.ref.name": "v1"}
    assert layout.manifest["schemaVersion"] == 2
    assert layout.manifest["mediaType"] == OCI + "manifest.v1+json"
    assert layout.manifest["config"]["mediaType"] == OCI + "config.v1+json"
    assert layout.manifest["layers"][0]["mediaType"] == OCI + "layer.v1.tar"
    assert layout.config["architecture"] == "amd64"
    assert layout.config["os"] == "linux"
    assert layout.config["config"]["WorkingDir"] == "/"
    assert len(layout.config["history"]) == 1
    for member in layout.members:
        assert (member.uid, member.gid, member.mtime) == (0, 0, 0), member.name


@test
def an_spt_image_is_laid_out_as_urunc_wants_it():
    path = image("www", "spt")
    layout = packed(path, "--port=80")
    assert layout.names() == [("unikernel", "755"),
                              ("unikernel/app.spt", "755"),
                              ("urunc.json", "644")], layout.names()
    assert layout.file("unikernel/app.spt") == contents(path)
    check_urunc(layout, {
        KEY + "unikernelType": "mirage",
        KEY + "hypervisor": "spt",
        KEY + "binary": "/unikernel/app.spt",
        KEY + "cmdline": "--port=80",
        KEY + "mountRootfs": "false",
        KEY + "useDMBlock": "false"}, ["--port=80"])
    # Word for word what urunc's own format has.
    assert layout.file("urunc.json") == (
        b'{"com.urunc.unikernel.unikernelType":"bWlyYWdl",'
        b'"com.urunc.unikernel.hypervisor":"c3B0",'
        b'"com.urunc.unikernel.binary":"L3VuaWtlcm5lbC9hcHAuc3B0",'
        b'"com.urunc.unikernel.cmdline":"LS1wb3J0PTgw",'
        b'"com.urunc.unikernel.mountRootfs":"ZmFsc2U=",'
        b'"com.urunc.unikernel.useDMBlock":"ZmFsc2U="}')


@test
def an_hvt_image_is_laid_out_likewise():
    layout = packed(other(image("www", "spt"), HVT), "--port=80")
    assert ("unikernel/app.hvt", "755") in layout.names()
    check_urunc(layout, {
        KEY + "unikernelType": "mirage",
        KEY + "hypervisor": "hvt",
        KEY + "binary": "/unikernel/app.hvt",
        KEY + "cmdline": "--port=80",
        KEY + "mountRootfs": "false",
        KEY + "useDMBlock": "false"}, ["--port=80"])


@test
def a_virtio_image_is_laid_out_for_qemu():
    path = other(image("www", "spt"), VIRTIO)
    layout = packed(path, "--port=80")
    assert layout.names() == [(".boot", "755"), (".boot/kernel", "755"),
                              ("urunc.json", "644")], layout.names()
    assert layout.file(".boot/kernel") == contents(path)
    check_urunc(layout, {
        KEY + "unikernelType": "mirage",
        KEY + "hypervisor": "qemu",
        KEY + "binary": "/.boot/kernel",
        KEY + "cmdline": "--port=80",
        KEY + "mountRootfs": "false",
        KEY + "useDMBlock": "false"}, ["--port=80"])


@test
def a_virtio_image_is_laid_out_for_firecracker():
    path = other(image("www", "spt"), VIRTIO)
    layout = packed("--monitor", "firecracker", path, "--port=80")
    check_urunc(layout, {
        KEY + "unikernelType": "unikraft",
        KEY + "unikernelVersion": "0.18.0",
        KEY + "hypervisor": "firecracker",
        KEY + "binary": "/.boot/kernel",
        KEY + "cmdline": "app --port=80",
        KEY + "mountRootfs": "false",
        KEY + "useDMBlock": "false"}, ["app", "--port=80"])
    linux = packed("--monitor", "firecracker", "--type", "linux", path)
    assert linux.manifest["annotations"][KEY + "unikernelType"] == "linux"
    assert linux.config["config"]["Cmd"] == ["app"]
    refused = pack("-f", "oci", "--monitor", "firecracker", "--type", "mirage",
                   path, check=False)
    assert refused.returncode == 64 and "unikraft, linux" in refused.stdout


@test
def an_image_without_arguments_still_has_a_command():
    layout = packed(image("www", "spt"))
    assert layout.config["config"]["Cmd"] == ["--"]


@test
def a_disk_comes_with_the_image():
    path = other(image("www", "spt"), block=True)
    disk = os.path.join(folder(), "disk")
    with open(disk, "wb") as f:
        f.write(b"\1" * 5120)
    layout = packed("--disk", disk, path)
    assert layout.file("unikernel/disk.img") == contents(disk)
    assert layout.manifest["annotations"][KEY + "block"] == \
        "/unikernel/disk.img"
    refused = pack("-f", "oci", path, check=False)
    assert refused.returncode == 1 and "--disk" in refused.stdout
    refused = pack("-f", "oci", "--disk", disk, image("www", "spt"),
                   check=False)
    assert refused.returncode == 1 and "no block device" in refused.stdout


@test
def packing_twice_gives_the_same_bytes_as_folder_and_as_archive():
    one, two = folder(), folder()
    for where in (one, two):
        pack("-f", "oci", "-o", os.path.join(where, "x"), image("www", "spt"),
             "--port=80")
        pack("-f", "oci", "-o", os.path.join(where, "x.tar"),
             image("www", "spt"), "--port=80")
    assert contents(os.path.join(one, "x.tar")) == \
        contents(os.path.join(two, "x.tar"))
    archive = tarfile.open(os.path.join(one, "x.tar"))
    names = []
    for member in archive.getmembers():
        assert (member.uid, member.gid, member.mtime) == (0, 0, 0)
        if member.isfile():
            names.append(member.name)
            data = archive.extractfile(member).read()
            for where in (one, two):
                assert data == contents(os.path.join(where, "x", member.name))
    assert names == sorted(names) and len(names) == 5, names


@test
def a_folder_is_replaced_as_a_whole():
    path = os.path.join(folder(), "x")
    pack("-f", "oci", "-o", path, image("www", "spt"), "--port=80")
    pack("-f", "oci", "-o", path, image("www", "spt"), "--port=81")
    assert Layout(path).config["config"]["Cmd"] == ["--port=81"]


@test
def a_folder_of_several_images_is_left_as_it_is():
    path = os.path.join(folder(), "x")
    pack("-f", "oci", "-o", path, image("www", "spt"))
    index = os.path.join(path, "index.json")
    for change, said in (
            (lambda i: i["manifests"].append(
                {**i["manifests"][0], "annotations": {}}), "holds 2 images"),
            (lambda i: i.update(manifests="none"), "is not the index")):
        with open(index, encoding="utf-8") as f:
            changed = json.load(f)
        change(changed)
        with open(index, "w", encoding="utf-8") as f:
            json.dump(changed, f)
        before = contents(index), os.listdir(os.path.join(path, "blobs/sha256"))
        result = pack("-f", "oci", "-o", path, image("hello", "spt"),
                      check=False)
        assert result.returncode == 1 and said in result.stdout, result.stdout
        assert path in result.stdout and "-o" in result.stdout, result.stdout
        assert before == (contents(index), os.listdir(
            os.path.join(path, "blobs/sha256")))


@test
def without_an_image_the_one_of_the_project_is_packed():
    project = os.path.join(folder(), "hello")
    shutil.copytree(os.path.join(ROOT, "build/images/hello"), project)
    one, other_form = (os.path.join(folder(), n) for n in ("one", "other"))
    result = pack("-f", "oci", "-t", "spt", "--", "--count=1", cwd=project)
    assert result.stdout == "dist/hello.spt.oci\n", result.stdout
    written = os.path.join(project, "dist/hello.spt.oci")
    assert Layout(written).config["config"]["Cmd"] == ["--count=1"]
    pack("-f", "oci", "-o", one, "dist/hello.spt", "--count=1", cwd=project)
    assert Layout(written).descriptor == Layout(one).descriptor
    # And what is configured, if nothing is said.
    command(FATA, "configure", "-t", "virtio", cwd=project)
    pack("-f", "oci", "-o", other_form, cwd=project)
    assert Layout(other_form).manifest["annotations"][
        KEY + "hypervisor"] == "qemu"
    for words, said in (
            (["-f", "raw", "-t", "spt"], "give -t virtio"),
            (["-f", "oci", "-t", "unix"], "give -t spt"),
            (["-f", "oci", "-t", "vritio"], "did you mean virtio"),
            (["-f", "oci", "spt"], "give -t spt"),
            (["-f", "oci", "-t", "spt", "dist/hello.spt"], "leave one out")):
        result = pack(*words, cwd=project, check=False)
        assert result.returncode != 0 and said in result.stdout, \
            (words, result.stdout)


@test
def skopeo_reads_both_forms():
    need("skopeo")
    where = folder()
    for name, transport in (("x", "oci"), ("x.tar", "oci-archive")):
        path = os.path.join(where, name)
        pack("-f", "oci", "-o", path, image("www", "spt"), "--port=80")
        told = json.loads(command("skopeo", "inspect",
                                  f"{transport}:{path}:latest").stdout)
        assert told["Labels"][KEY + "hypervisor"] == "spt", told
        assert told["Architecture"] == "amd64" and told["Os"] == "linux"
        copy = os.path.join(where, "copy-" + name)
        command("skopeo", "copy", "--insecure-policy",
                f"{transport}:{path}:latest", f"dir:{copy}")


def unpacked(layout):
    need("umoci")
    bundle = os.path.join(folder(), "bundle")
    command("umoci", "unpack", "--rootless", "--image",
            f"{layout.path}:latest", bundle)
    return bundle


@test
def umoci_unpacks_exactly_what_was_packed():
    path = image("www", "spt")
    bundle = unpacked(packed(path, "--port=80"))
    found = []
    for here, _, files in os.walk(os.path.join(bundle, "rootfs")):
        found += [os.path.relpath(os.path.join(here, f), bundle)
                  for f in files]
    assert sorted(found) == ["rootfs/unikernel/app.spt", "rootfs/urunc.json"]
    assert contents(os.path.join(bundle, "rootfs/unikernel/app.spt")) == \
        contents(path)


# --- Ordinary containers

def prepare(bundle, namespace=None, devices=()):
    """The bundle as an engine would leave it, with no capability at all."""
    path = os.path.join(bundle, "config.json")
    spec = json.loads(contents(path))
    process = spec["process"]
    process["terminal"] = False
    process["noNewPrivileges"] = True
    process["capabilities"] = {
        kind: [] for kind in ("bounding", "effective", "permitted",
                              "inheritable", "ambient")}
    assert process["user"]["uid"] == 65534, process["user"]
    network = {"type": "network"}
    if namespace:
        network["path"] = f"/var/run/netns/{namespace.name}"
    spec["linux"]["namespaces"] = [network] + [
        n for n in spec["linux"]["namespaces"]
        if n["type"] not in ("user", "network")]
    spec["linux"].pop("uidMappings", None)
    spec["linux"].pop("gidMappings", None)
    spec["linux"]["devices"] = list(devices)
    with open(path, "w", encoding="utf-8") as f:
        json.dump(spec, f)


def crun(bundle):
    """The words that run a bundle, where this host lets us."""
    need("crun", "unshare")
    if os.geteuid() != 0:
        skip("containers with a given network need root")
    words = ("crun", "--root", folder(), "--cgroup-manager=disabled", "run",
             "--bundle", bundle, f"fata-{os.getpid()}")
    probe = 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"'
    if command("unshare", "-m", "sh", "-c", probe, "sh", "true",
               check=False).returncode:
        skip("mounting is not permitted here")
    # No cgroups are wanted, and crun refuses some hosts' way of having them.
    return ("unshare", "-m", "sh", "-c", probe, "sh", *words)


def running_in(namespace):
    """The tenders whose network is this namespace."""
    there = os.stat(f"/var/run/netns/{namespace.name}").st_ino
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.path.basename(os.readlink(f"/proc/{pid}/exe")) == \
                    "fata-spt" and \
                    os.stat(f"/proc/{pid}/ns/net").st_ino == there:
                found.append(int(pid))
    return found


@test
def hello_runs_as_an_ordinary_container_without_any_capability():
    layout = packed("--container", image("hello", "spt"), "--count=2",
                    "--pause=0")
    assert layout.config["config"]["Entrypoint"] == \
        ["/fata-spt", "--", "/unikernel/app.spt"]
    bundle = unpacked(layout)
    prepare(bundle)
    result = command(*crun(bundle), check=False, timeout=30)
    assert result.returncode == 0, result.stdout
    assert result.stdout.count("ello") == 2, result.stdout


@test
def www_serves_from_an_ordinary_container_without_any_capability():
    need_namespaces()
    layout = packed("--container", image("www", "spt"),
                    f"--ipv4={GUEST}/{PREFIX}")
    assert layout.config["config"]["Entrypoint"] == \
        ["/fata-spt", "--net:service=tap0", "--", "/unikernel/app.spt"]
    bundle = unpacked(layout)
    namespace = Namespace()
    namespace.tap()
    prepare(bundle, namespace, [{"path": "/dev/net/tun", "type": "c",
                                 "major": 10, "minor": 200, "fileMode": 0o666,
                                 "uid": 0, "gid": 0}])
    process = Process(*crun(bundle))
    atexit.register(lambda: [os.kill(pid, signal.SIGKILL)
                             for pid in running_in(namespace)])
    with namespace.inside():
        s = connect(GUEST, 80, process)
        status, _, body = request(s, "GET /index.html HTTP/1.1\r\nHost: x\r\n"
                                     "Connection: close\r\n\r\n")
    assert status == 200 and body == site_file("index.html"), status
    tenders = running_in(namespace)
    assert len(tenders) == 1, tenders
    with open(f"/proc/{tenders[0]}/status", encoding="utf-8") as f:
        state = f.read()
    assert "CapEff:\t0000000000000000" in state, state
    assert "CapBnd:\t0000000000000000" in state, state
    assert "Seccomp:\t2" in state, state
    assert layout.config["config"]["StopSignal"] == "SIGKILL"
    os.kill(tenders[0], signal.SIGKILL)
    assert process.wait(10) != 0 and running_in(namespace) == []


# --- Descriptions of virtual machines

def described(form, *words):
    path = os.path.join(folder(), "description")
    pack("-f", form, "-o", path, *words)
    return path


@test
def the_xml_of_a_domain_is_valid_to_libvirt():
    net = other(image("www", "spt"), VIRTIO)
    disk = other(net, block=True)
    backing = os.path.join(folder(), "a&b.img")
    with open(backing, "wb") as f:
        f.write(bytes(4096))
    for words in ([net, "--name=<'\"&>"], ["--net", "service=br0", net],
                  ["--block", f"storage={backing}", "--mem", "8", disk]):
        path = described("libvirt", *words)
        domain = xml.etree.ElementTree.parse(path).getroot()
        assert os.path.samefile(domain.findtext("os/kernel"), words[-1]
                                if "--name" not in words[-1] else net)
        if words[-1] == disk:
            assert domain.find("devices/disk/source").get("file") == backing
            assert domain.findtext("memory") == "8"
        elif words[0] == "--net":
            assert domain.find("devices/interface/source").get("bridge") == \
                "br0"
        else:
            assert domain.findtext("os/cmdline") == words[1]
            assert domain.find("devices/interface/source").get("network") == \
                "default"
        if shutil.which("virt-xml-validate"):
            command("virt-xml-validate", path, "domain")
    need("virt-xml-validate")


@test
def any_name_of_a_file_gives_a_well_formed_domain():
    path = os.path.join(folder(), "a--b-.virtio")
    shutil.copy(other(image("www", "spt"), VIRTIO), path)
    domain = xml.etree.ElementTree.parse(described("libvirt", path)).getroot()
    assert domain.findtext("name") == "a--b-"


@test
def the_configuration_for_xl_names_kernel_arguments_and_devices():
    net = other(image("www", "spt"), VIRTIO)
    with open(described("xl", "--net", "service=br1", net, "--port=80"),
              encoding="utf-8") as f:
        text = f.read()
    # Its language is a part of Python's.
    told = {}
    exec(text, {}, told)  # pylint: disable=exec-used
    assert told["type"] == "pvh" and told["kernel"] == os.path.realpath(net)
    assert told["cmdline"] == "--port=80" and told["memory"] == 64
    assert told["vif"] == ["bridge=br1,type=vif"], told
    words = "--quote='\"' --path=C:\\new"
    with open(described("xl", net, words), encoding="utf-8") as f:
        exec(f.read(), {}, told)  # pylint: disable=exec-used
    assert told["cmdline"] == words, told


# --- Disks

@test
def a_raw_disk_has_a_partition_with_the_image_and_the_arguments():
    path = image("hello", "virtio")
    disk = contents(described("raw", path, "--count=1", "--pause=0"))
    assert len(disk) % (1 << 20) == 0
    assert disk[510:512] == b"\x55\xaa"
    active, kind, start, sectors = struct.unpack("<B3xB3xII", disk[446:462])
    assert (active, kind, start) == (0x80, 0xda, 2048)
    assert (start + sectors) * 512 == len(disk)
    assert disk[462:510] == bytes(48), "three empty partitions"
    size = os.path.getsize(path)
    assert disk[start * 512:start * 512 + size] == contents(path)
    magic, at, length = struct.unpack("<8sII", disk[64 * 512:64 * 512 + 16])
    assert (magic, at, length) == (b"FATABOOT", 2048, size)
    assert disk[64 * 512 + 16:].startswith(b"--count=1 --pause=0\0")
    assert disk == contents(described("raw", path, "--count=1", "--pause=0"))


@test
def a_qcow2_disk_is_valid_and_the_same_as_the_raw_one():
    need("qemu-img")
    path = image("hello", "virtio")
    raw = described("raw", path, "--count=1")
    qcow2 = described("qcow2", path, "--count=1")
    told = command("qemu-img", "check", "-f", "qcow2", qcow2).stdout
    assert "No errors were found" in told, told
    told = command("qemu-img", "compare", "-f", "raw", "-F", "qcow2", raw,
                   qcow2).stdout
    assert "Images are identical" in told, told
    assert contents(qcow2) == contents(described("qcow2", path, "--count=1"))


QEMU = ("qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-display",
        "none", "-nodefaults", "-no-reboot", "-serial", "stdio", "-m", "64")


@test
def a_disk_boots_however_it_is_attached():
    need("qemu-system-x86_64")
    path = image("hello", "virtio")
    raw = described("raw", path, "--count=2", "--pause=0")
    qcow2 = described("qcow2", path, "--count=2", "--pause=0")
    aside = f"file={raw},format=raw,if=none,id=d"
    for words in (("-drive", f"file={raw},format=raw"),
                  ("-drive", f"file={qcow2},format=qcow2"),
                  ("-M", "q35", "-drive", f"file={raw},format=raw"),
                  ("-drive", f"file={raw},format=raw,if=virtio"),
                  ("-drive", aside, "-device", "nvme,drive=d,serial=1")):
        result = command(*QEMU, *words, check=False, timeout=60)
        assert result.stdout.count("Hello, world!") == 2, \
            (words, result.stdout)


@test
def www_serves_from_a_disk():
    need("qemu-system-x86_64")
    port = free_port()
    raw = described("raw", image("www", "virtio"))
    process = Process(*QEMU, "-drive", f"file={raw},format=raw,if=virtio",
                      "-netdev", f"user,id=n,hostfwd=tcp:127.0.0.1:{port}-:80",
                      "-device", "virtio-net-pci,netdev=n")
    end = time.monotonic() + 60
    while True:
        # QEMU answers before the guest does, and then closes.
        try:
            s = connect("127.0.0.1", port, process)
            status, _, body = request(s, "GET /index.html HTTP/1.1\r\n"
                                         "Host: x\r\n\r\n")
            break
        except (OSError, http.client.HTTPException):
            assert time.monotonic() < end, process.output()
            time.sleep(0.1)
    assert status == 200 and body == site_file("index.html")
    process.stop()


@test
def a_damaged_disk_says_what_is_wrong():
    need("qemu-system-x86_64")
    good = contents(described("raw", image("hello", "virtio"), "--count=1"))
    image_at = 2048 * 512
    for at, bytes_there, said in (
            (64 * 512, b"X", "what to boot is not said on it"),
            (64 * 512 + 12, struct.pack("<I", 5000), "the image is cut off"),
            (image_at, b"MZ", "no ELF file"),
            (image_at + 56, b"\xff\xff", "no ELF file"),
            (image_at + 32, struct.pack("<I", 1 << 30), "is cut off"),
            # The first segment's size in memory.
            (image_at + 64 + 40, struct.pack("<I", 1 << 30),
             "not enough memory")):
        disk = bytearray(good)
        disk[at:at + len(bytes_there)] = bytes_there
        path = os.path.join(folder(), "disk")
        with open(path, "wb") as f:
            f.write(disk)
        process = Process(*QEMU, "-drive", f"file={path},format=raw")
        process.wait_for("this disk does not boot: .*" + said, 30)
        process.stop()


# --- What cannot be packed

@test
def what_is_no_ordinary_file_is_written_to_and_not_replaced():
    link, path = (os.path.join(folder(), n) for n in ("link", "linked.xml"))
    os.symlink(path, link)
    pack("-f", "libvirt", "-o", link, image("hello", "virtio"))
    assert os.path.islink(link) and b"<domain" in contents(path)
    said = pack("-f", "raw", "-o", "/dev/full", image("hello", "virtio"),
                check=False)
    assert said.returncode == 1 and "No space left" in said.stdout
    assert not os.path.isfile("/dev/full")


@test
def our_tender_is_not_put_beside_an_image_for_another_processor():
    spoiled = bytearray(contents(image("hello", "spt")))
    spoiled[18] = 183  # EM_AARCH64
    path = os.path.join(folder(), "hello-arm.spt")
    with open(path, "wb") as f:
        f.write(spoiled)
    result = pack("-f", "oci", "--container", path, check=False)
    assert result.returncode == 1, result.stdout
    assert "without --container" in result.stdout, result.stdout


@test
def mistakes_are_explained():
    good = image("www", "spt")
    for words, status, said in (
            (["-f", "oic", good], 64, "did you mean oci"),
            ([good], 64, "-f is one of: oci, raw, qcow2, libvirt, xl"),
            (["-f", "oci"], 64, "no config.c here"),
            (["-f", "xl", good], 1, "fata build -t virtio"),
            (["-f", "raw", other(good, VIRTIO)], 1, "entry point for PVH"),
            (["-f", "raw", image("hello", "virtio"), "x" * 5000], 1,
             "too long"),
            (["-f", "oci", "--monitor", "qemu", good], 64, "one of: spt"),
            (["-f", "oci", good, b"--name=\xff"], 64, "UTF-8"),
            (["-f", "oci", "--container", "--net", "srevice=tap3", good], 64,
             "it has: service"),
            (["-f", "oci", "--net", "service=tap3", good], 64,
             "it is for oci --container, libvirt, xl"),
            (["-f", "raw", "--tag", "v1", good], 64, "it is for oci"),
            (["-f", "oci", "--tag", "a b/c", good], 64, "letters, digits"),
            (["-f", "oci", "--mem", "x", good], 64, "number of MiB"),
            (["-f", "oci", "--container", other(good, VIRTIO)], 64, "tender"),
            (["-f", "oci", image("www", "unix")], 1, "ET_EXEC"),
            (["-f", "oci", "-o", "/dev/null/x", good], 1,
             "cannot be made")):
        result = pack(*words, check=False)
        assert result.returncode == status and said in result.stdout, \
            (words, result.stdout)


run()
