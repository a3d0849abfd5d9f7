#!/usr/bin/env python3
"""Properties of images: reproducible, small where they should be, and a
folder of any content baked in whole.

# test: limit 400
"""
import hashlib
import os
import random
import shutil
from urllib.parse import quote

from lib import (FATA, GUEST, PREFIX, ROOT, Namespace, Process, command,
                 connect, folder, need_namespaces, request, run, test)


def example(name, where):
    path = os.path.join(where, name)
    shutil.copytree(os.path.join(ROOT, "examples", name), path,
                    ignore=shutil.ignore_patterns("dist", ".fata"))
    return path


def built(path, target):
    command(FATA, "configure", "-t", target, cwd=path)
    command(FATA, "build", cwd=path)
    name = os.path.basename(path)
    with open(os.path.join(path, "dist", f"{name}.{target}"), "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


@test
def two_builds_in_different_folders_give_the_same_bytes():
    for target in ("spt", "sim"):
        other = os.path.join(folder(), "a longer name", "é")
        os.makedirs(other)
        first = built(example("www", folder()), target)
        assert first == built(example("www", other), target), target


@test
def nothing_is_rebuilt_when_nothing_changed_and_clean_leaves_nothing():
    path = example("hello", folder())
    before = sorted(os.listdir(path))
    built(path, "spt")
    image = os.path.join(path, "dist/hello.spt")
    made = os.stat(image).st_mtime_ns
    command(FATA, "build", cwd=path)
    assert os.stat(image).st_mtime_ns == made
    command(FATA, "clean", cwd=path)
    assert sorted(os.listdir(path)) == before, os.listdir(path)


ODD_NAMES = ["with space.txt", "quote\".txt", "back\\slash.txt", "$dollar.txt",
             "ünïcödé.html", "percent%41.txt", "line\nbreak.txt", "a'b.txt",
             "deep/er/and/deeper/x.css", "#hash.txt", "semi;colon", "*star*",
             "-dash", "tab\there", "x" * 200, "empty"]


@test
def ten_thousand_files_with_odd_names_are_all_served():
    need_namespaces()
    path = example("www", folder())
    site = os.path.join(path, "site")
    chance = random.Random(7)
    files = {f"d{i % 100}/file-{i}.txt": b"%d" % i * (i % 50)
             for i in range(10000 - len(ODD_NAMES))}
    files.update({name: name.encode() * 3 for name in ODD_NAMES})
    files["empty"] = b""
    for name, content in files.items():
        os.makedirs(os.path.dirname(os.path.join(site, name)), exist_ok=True)
        with open(os.path.join(site, name), "wb") as f:
            f.write(content)
    built(path, "spt")

    namespace = Namespace()
    namespace.tap("tap0")
    server = Process(FATA, "run", "--net", "tap:tap0", "--",
                     f"--ipv4={GUEST}/{PREFIX}", namespace=namespace, cwd=path)
    wanted = ODD_NAMES + chance.sample(sorted(files), 300)
    with namespace.inside(), connect(GUEST, 80, server) as s:
        for name in wanted:
            status, _, body = request(
                s, f"GET /{quote(name)} HTTP/1.1\r\nHost: w\r\n\r\n")
            assert (status, body) == (200, files[name]), (name, status)


run()
