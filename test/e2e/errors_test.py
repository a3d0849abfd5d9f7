#!/usr/bin/env python3
"""Whatever is wrong, the message names it and the remedy, the exit status is
not 0, and nothing half-written is left behind.
"""
import os
import re
import shutil

from lib import (FATA, ROOT, Namespace, command, folder, image,
                 need_namespaces, run, start, test)


def example(name):
    path = os.path.join(folder(), name)
    shutil.copytree(os.path.join(ROOT, "examples", name), path,
                    ignore=shutil.ignore_patterns("dist", ".fata"))
    return path


def edit(path, old, new):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    assert old in text, (path, old)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace(old, new, 1))
    return text[:text.index(old)].count("\n") + 1


def fails(*words, cwd=None, says=()):
    result = command(FATA, *words, cwd=cwd, check=False)
    assert result.returncode not in (0, None), result.stdout
    assert result.returncode > 0, f"killed by {-result.returncode}"
    for text in says:
        assert re.search(text, result.stdout), \
            f"{words} says nothing of {text}:\n{result.stdout}"
    return result.stdout


def nothing_built(path):
    dist = os.path.join(path, "dist")
    assert not os.path.isdir(dist) or os.listdir(dist) == [], \
        os.listdir(dist)


@test
def a_config_that_does_not_compile_fails_at_the_users_line():
    path = example("www")
    line = edit(os.path.join(path, "config.c"), "cfg_main(", "cfg_mian(")
    fails("configure", cwd=path, says=[rf"config\.c:{line}:\d+: .*cfg_mian"])
    fails("build", cwd=path)
    nothing_built(path)


@test
def a_handle_of_the_wrong_type_is_a_compile_error_at_the_users_line():
    path = example("www")
    config = os.path.join(path, "config.c")
    line = edit(config, "cfg_netif_default()", 'cfg_kv_crunch("site")')
    fails("configure", cwd=path, says=[rf"config\.c:{line}:\d+: error"])
    nothing_built(path)


@test
def a_program_that_does_not_compile_fails_at_its_line():
    path = example("hello")
    command(FATA, "configure", "-t", "spt", cwd=path)
    with open(os.path.join(path, "hello.c"), encoding="utf-8") as f:
        lines = f.read().count("\n")
    with open(os.path.join(path, "hello.c"), "a", encoding="utf-8") as f:
        f.write("int broken(void) { return nothing; }\n")
    fails("build", cwd=path, says=[rf"hello\.c:{lines + 1}:\d+: .*nothing"])
    nothing_built(path)


@test
def an_unknown_target_is_named_with_those_there_are():
    path = example("hello")
    fails("configure", "-t", "sptt", cwd=path,
          says=["sptt", r"\bspt\b", r"\bunix\b"])
    nothing_built(path)
    assert not os.path.exists(os.path.join(path, ".fata", "sptt"))


@test
def an_unknown_command_or_option_suggests_the_nearest():
    path = example("hello")
    fails("biuld", cwd=path, says=["biuld", r"\bbuild\b"])
    fails("configure", "--tagret=spt", cwd=path,
          says=["--tagret", "--target"])


@test
def a_folder_without_config_is_named():
    fails("configure", cwd=folder(), says=[r"config\.c"])


@test
def a_missing_site_folder_is_named():
    path = example("www")
    shutil.rmtree(os.path.join(path, "site"))
    out = command(FATA, "configure", "-t", "spt", cwd=path, check=False)
    if out.returncode == 0:
        out = command(FATA, "build", cwd=path, check=False)
    assert out.returncode > 0 and "site" in out.stdout, out.stdout
    nothing_built(path)


@test
def an_unreadable_site_file_is_named():
    # Root may read everything, so it is a link that leads nowhere.
    path = example("www")
    os.symlink("nowhere", os.path.join(path, "site/broken.html"))
    out = command(FATA, "configure", "-t", "spt", cwd=path, check=False)
    if out.returncode == 0:
        out = command(FATA, "build", cwd=path, check=False)
    assert out.returncode > 0 and "broken.html" in out.stdout, out.stdout
    nothing_built(path)


@test
def a_missing_tap_is_named_with_the_command_that_makes_it():
    need_namespaces()
    namespace = Namespace()
    for target in ("spt", "unix"):
        server = start("www", target, "--ipv4=10.0.0.2/24",
                       namespace=namespace, net="tap:nosuchtap")
        status = server.wait(20)
        text = server.output()
        assert status not in (0, None) and status > 0, (target, status, text)
        assert "nosuchtap" in text and "ip tuntap add" in text, (target, text)
        # It must not have been made by the attempt.
        assert "nosuchtap" not in namespace.ip("link"), target


@test
def the_tender_names_an_image_that_is_none():
    path = os.path.join(folder(), "image")
    tender = os.path.join(ROOT, "build/fata-spt")
    for content in (b"", b"#!/bin/sh\n", b"\x7fELF" + bytes(60)):
        with open(path, "wb") as f:
            f.write(content)
        result = command(tender, "--", path, check=False)
        assert result.returncode > 0 and path in result.stdout, result.stdout
    result = command(tender, "--", path + ".no", check=False)
    assert result.returncode > 0 and path + ".no" in result.stdout


@test
def the_tender_names_a_device_that_is_not_given():
    tender = os.path.join(ROOT, "build/fata-spt")
    result = command(tender, "--", image("www", "spt"), check=False)
    assert result.returncode > 0, result.stdout
    assert "service" in result.stdout and "--help" in result.stdout, \
        result.stdout


@test
def a_new_project_does_not_overwrite_what_is_there():
    path = folder()
    os.mkdir(os.path.join(path, "mine"))
    with open(os.path.join(path, "mine/notes"), "w", encoding="utf-8") as f:
        f.write("dear")
    fails("new", "mine", cwd=path, says=["mine"])
    assert os.listdir(os.path.join(path, "mine")) == ["notes"]


run()
