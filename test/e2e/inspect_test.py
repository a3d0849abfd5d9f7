#!/usr/bin/env python3
"""fata inspect: what is in an image, as solo5-elftool says it too, and files
that are no images."""
import hashlib
import json
import os
import random

from lib import FATA, ROOT, command, folder, image, run, test


def inspected(path, *options):
    return command(FATA, "inspect", path, *options).stdout


def contents(path):
    with open(path, "rb") as f:
        return f.read()


@test
def the_abi_is_printed_byte_for_byte_as_solo5_elftool_does():
    assert inspected(image("www", "spt"), "--query-abi") == (
        '{\n  "type": "solo5.abi",\n  "target": "spt",\n'
        '  "version": 2\n}\n')


@test
def the_manifest_is_printed_byte_for_byte_as_solo5_elftool_does():
    assert inspected(image("www", "spt"), "--query-manifest") == (
        '{\n  "type": "solo5.manifest",\n  "version": 1,\n  "devices": [\n'
        '    { "name": "service", "type": "NET_BASIC" }\n  ]\n}\n')
    assert inspected(image("hello", "spt"), "--query-manifest") == (
        '{\n  "type": "solo5.manifest",\n  "version": 1,\n  "devices": [\n'
        '  ]\n}\n')


@test
def programs_are_told_everything():
    path = image("www", "spt")
    told = json.loads(inspected(path, "--json"))
    assert told["abi"] == {"target": "spt", "version": 2}, told
    assert told["machine"] == "x86-64"
    assert told["devices"] == [{"name": "service", "type": "NET_BASIC"}]
    assert told["bytes"] == os.path.getsize(path)
    assert sum(s["bytes"] for s in told["segments"]) == \
        told["sizes"]["text"] + told["sizes"]["constants"] + \
        told["sizes"]["data"]
    assert any(s["start"] <= told["entry"] < s["end"] and
               "x" in s["rights"] for s in told["segments"])
    assert all("w" not in s["rights"] or "x" not in s["rights"]
               for s in told["segments"])
    assert {"owner": "Solo5", "type": "ABI1", "bytes": 16} in told["notes"]
    text = inspected(path)
    for word in (told["build_id"], told["lock"], "service", "NET_BASIC"):
        assert word in text, (word, text)


@test
def every_image_for_a_tender_or_a_machine_has_a_build_id():
    seen = set()
    for target, abi in (("spt", "spt"), ("hvt", "hvt"), ("virtio", "virtio")):
        told = json.loads(inspected(image("hello", target), "--json"))
        assert told["abi"]["target"] == abi, told
        assert len(told["build_id"]) == 64 and len(told["lock"]) == 64, target
        seen.add(told["build_id"])
    assert len(seen) == 3, seen
    assert json.loads(inspected(image("hello", "virtio"), "--json")
                      )["boot"]["multiboot"]


@test
def the_build_id_and_the_lock_hash_are_hashes_of_what_they_say():
    path = image("www", "spt")
    told = json.loads(inspected(path, "--json"))
    configuration = contents(os.path.join(
        ROOT, "build/images/www/.fata/spt/graph.json"))
    assert told["lock"] == hashlib.sha256(configuration).hexdigest()
    # The id is that of the file with zeroes in its place, and behind it.
    file = contents(path)
    hashes = bytes.fromhex(told["build_id"] + told["lock"])
    assert file.count(hashes) == 1
    assert told["build_id"] == hashlib.sha256(
        file.replace(hashes, bytes.fromhex("00" * 32 + told["lock"]))
    ).hexdigest()


@test
def what_is_no_image_is_refused_with_the_reason():
    here = folder()
    broken = os.path.join(here, "broken")
    cases = [(os.path.join(ROOT, "build/fata"), "ET_EXEC"),
             (os.path.join(ROOT, "README.md"), "not a 64-bit"),
             (os.path.join(here, "none"), "No such file"),
             (here, "is a folder")]
    for path, reason in cases:
        result = command(FATA, "inspect", path, check=False)
        assert result.returncode == 1 and reason in result.stdout, \
            (path, result.stdout)
    good = contents(image("hello", "spt"))
    for size in (0, 10, 64, 200, 4096):
        with open(broken, "wb") as f:
            f.write(good[:size])
        result = command(FATA, "inspect", broken, check=False)
        assert result.returncode == 1 and "error" in result.stdout, size


@test
def an_image_for_another_processor_is_read_but_not_run():
    spoiled = bytearray(contents(image("hello", "spt")))
    spoiled[18] = 183  # EM_AARCH64
    path = os.path.join(folder(), "hello.spt")
    with open(path, "wb") as f:
        f.write(spoiled)
    assert "machine    aarch64" in inspected(path)
    result = command(os.path.join(ROOT, "build/fata-spt"), path, check=False)
    assert result.returncode == 1 and "another processor" in result.stdout


@test
def no_spoiled_image_crashes_it():
    good = contents(image("hello", "spt"))
    broken = os.path.join(folder(), "broken")
    chance = random.Random(1)
    for _ in range(100):
        spoiled = bytearray(good)
        for _ in range(chance.randint(1, 8)):
            spoiled[chance.randrange(1024)] = chance.randrange(256)
        with open(broken, "wb") as f:
            f.write(spoiled)
        result = command(FATA, "inspect", broken, check=False)
        assert result.returncode in (0, 1), result
        assert all(c.isprintable() or c == "\n" for c in result.stdout)


run()
