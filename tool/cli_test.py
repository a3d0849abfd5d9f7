#!/usr/bin/env python3
"""The fata command as its users meet it: good and bad input, in folders of its
own. Prints `ok SENTENCE` or `not ok SENTENCE`; exits 1 if one failed.

test: limit 400
"""
import fcntl
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FATA = os.path.join(ROOT, "build", "fata")
tests = []


def test(function):
    """A test is a function whose name is the sentence it proves."""
    tests.append(function)
    return function


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def contains(text, *parts):
    for part in parts:
        check(part in text, f"no {part!r} in:\n{text}")


def fata(*words, cwd=None, env=None, preexec=None):
    """Runs the command; (status, standard output, standard error)."""
    done = subprocess.run([FATA, *words], cwd=cwd, capture_output=True,
                          text=True, errors="replace", timeout=120,
                          stdin=subprocess.DEVNULL, preexec_fn=preexec,
                          env={**os.environ, "LC_ALL": "C", **(env or {})})
    return done.returncode, done.stdout, done.stderr


def good(*words, cwd=None, **more):
    status, out, err = fata(*words, cwd=cwd, **more)
    check(status == 0, f"fata {' '.join(words)} ended with {status}:\n"
                       f"{out}{err}")
    return out, err


def bad(*words, cwd=None, status=1, **more):
    got, out, err = fata(*words, cwd=cwd, **more)
    check(got == status, f"fata {' '.join(words)} ended with {got}, not "
                         f"{status}:\n{out}{err}")
    check(err != "", "no message")
    return err


def write(folder, name, text):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()


def config(body, before=""):
    return (f"#include <fata/config.h>\n{before}\n"
            f"FATA_CONFIG(\"app\")\n{{\n{body}\n}}\n")


# A project to try things in: only what the test is about differs.
APP = '#include "app.h"\nint app_main(struct fata_env *env%s)\n{\n%s\n}\n'


def project(folder, body='cfg_main("app.c", "app_main");', before="",
            parameters="", code='fata_print(env, "ran\\n"); return 0;'):
    path = os.path.join(folder, "app")
    os.makedirs(path, exist_ok=True)
    write(path, "config.c", config(body, before))
    write(path, "app.c", APP % (parameters, code))
    return path


def line_of(path, text):
    return 1 + read(path).split("\n").index(text)


# --- A first project ---

@test
def a_new_project_builds_and_runs(tmp):
    out, _ = good("new", "hello", cwd=tmp)
    contains(out, "cd hello", "fata run")
    folder = os.path.join(tmp, "hello")
    good("configure", "-t", "unix", cwd=folder)
    out, err = good("run", cwd=folder)
    check(out == "hello, world\n", out)
    check(err == "", f"not quiet: {err}")
    out, _ = good("run", "--", "--name", "you and me", cwd=folder)
    check(out == "hello, you and me\n", out)


@test
def the_name_of_a_project_may_hold_a_dash(tmp):
    good("new", "my-site", cwd=tmp)
    folder = os.path.join(tmp, "my-site")
    good("build", "-t", "unix", cwd=folder)
    check(os.access(os.path.join(folder, "dist", "my-site.unix"), os.X_OK),
          "no image")


@test
def new_refuses_bad_names_and_folders_that_exist(tmp):
    contains(bad("new", "Hello", cwd=tmp, status=64), "Hello", "a-z")
    contains(bad("new", cwd=tmp, status=64), "fata new NAME")
    contains(bad("new", "x", "--template", "helo", cwd=tmp, status=64),
             "did you mean hello")
    os.mkdir(os.path.join(tmp, "x"))
    contains(bad("new", "x", cwd=tmp), "x is there already")


@test
def build_prints_the_size_by_library(tmp):
    folder = project(tmp)
    out, err = good("build", "-t", "unix", cwd=folder)
    contains(out, "base", "platform", "dist/app.unix")
    check(err == "", f"not quiet: {err}")
    sizes = [int(line.split()[0].replace(",", ""))
             for line in out.splitlines()]
    check(sum(sizes[:-1]) == sizes[-1], "the parts do not sum up")
    out, _ = good("build", "--json", cwd=folder)
    parsed = json.loads(out)
    image = os.path.join(folder, "dist", "app.unix")
    check(parsed["bytes"] == os.path.getsize(image), out)


@test
def a_second_build_changes_nothing(tmp):
    folder = project(tmp)
    good("build", "-t", "unix", cwd=folder)

    def times():
        paths = [os.path.join(at, name) for at, _, names in os.walk(folder)
                 for name in names if name != ".ninja_log"]
        return {path: os.stat(path).st_mtime_ns for path in paths}
    before = times()
    good("build", cwd=folder)
    again = times()
    check(again == before, {p for p in again if again[p] != before.get(p)})
    good("configure", "-t", "unix", cwd=folder)
    after = times()
    changed = {path for path in after if after[path] != before.get(path)}
    check(all(os.path.basename(p) in ("configured", "config", "config.d")
              for p in changed), f"written again: {changed}")


@test
def the_version_is_told(tmp):
    out, _ = good("--version")
    check(out.startswith("fata "), out)


@test
def output_that_is_lost_is_an_error(tmp):
    for words in (["--version"], ["--help"], ["describe", "--help"]):
        with open("/dev/full", "w", encoding="utf-8") as full:
            result = subprocess.run([FATA, *words], stdin=subprocess.DEVNULL,
                                    stdout=full, stderr=subprocess.PIPE,
                                    text=True, timeout=60)
        check(result.returncode == 1, (words, result))
        contains(result.stderr, "cannot be written", "No space left")


@test
def a_unikernel_that_breaks_its_cage_is_explained(tmp):
    where = project(tmp, code="*(volatile int *)8 = 1; return 0;")
    err = bad("run", cwd=where, status=139)
    contains(err, "signal 11", "-t unix under gdb")


@test
def an_image_that_has_nowhere_to_go_is_told_of(tmp):
    where = project(tmp)
    write(where, "dist", "not a folder")
    contains(bad("build", cwd=where), "the folder dist cannot be made")


@test
def ninja_alone_builds_what_was_configured(tmp):
    folder = project(tmp)
    good("configure", "-t", "unix", cwd=folder)
    subprocess.run(["ninja", "-C", ".fata/unix"], cwd=folder, check=True,
                   capture_output=True)
    check(os.path.exists(os.path.join(folder, "dist", "app.unix")), "no image")


@test
def two_folders_give_the_same_bytes(tmp):
    digests = set()
    for name in ("one", "another place"):
        where = os.path.join(tmp, name)
        os.makedirs(where)
        folder = project(where, code='assert(env != NULL); return 0;')
        for target in ("unix", "spt"):
            good("build", "-t", target, cwd=folder)
        with open(os.path.join(folder, "dist/app.unix"), "rb") as f:
            one = f.read()
        with open(os.path.join(folder, "dist/app.spt"), "rb") as f:
            digests.add(hashlib.sha256(one + f.read()).hexdigest())
        check(b"app.c" in one and tmp.encode() not in one, "paths in the image")
    check(len(digests) == 1, "the images differ")


@test
def an_older_config_put_back_is_noticed(tmp):
    folder = project(tmp)
    first = os.stat(os.path.join(folder, "config.c"))
    good("build", "-t", "unix", cwd=folder)
    text = read(folder, "config.c")
    write(folder, "config.c", "broken")
    bad("build", cwd=folder)
    write(folder, "config.c", text.replace("{", "{ cfg_about(\"old\");", 1))
    os.utime(os.path.join(folder, "config.c"),
             ns=(first.st_atime_ns, first.st_mtime_ns - 10**9))
    good("build", cwd=folder)
    contains(read(folder, ".fata/unix/main.c"), '.about = "old"')
    # So is a generated file that has gone.
    os.remove(os.path.join(folder, ".fata/unix/main.c"))
    good("build", cwd=folder)


@test
def clean_removes_what_was_made_and_nothing_else(tmp):
    folder = project(tmp)
    good("build", "-t", "unix", cwd=folder)
    good("clean", cwd=folder)
    check(sorted(os.listdir(folder)) == ["app.c", "config.c"],
          os.listdir(folder))
    contains(bad("clean", cwd=tmp), "no config.c")


@test
def the_exit_status_is_the_unikernels(tmp):
    folder = project(tmp, code="(void)env; return 1;")
    status, _, _ = fata("run", "-t", "unix", cwd=folder)
    check(status == 1, status)
    status, _, _ = fata("run", "-t", "spt", cwd=folder)
    check(status == 1, status)
    status, out, _ = fata("run", "-t", "unix", "--", "--nosuch", cwd=folder)
    check(status == 64, f"{status}: {out}")
    status, out, _ = fata("run", "-t", "unix", "--", "--help", cwd=folder)
    check(status == 63 and "--log" in out, f"{status}: {out}")


@test
def words_reach_the_unikernel_whole_through_a_tender(tmp):
    folder = project(
        tmp, 'cfg_main("app.c", "app_main", cfg_arg_string("w", NULL, "x"));',
        parameters=", const char *w", code='fata_print(env, "<%s>\\n", w);'
        ' return 0;')
    for word in ("a  b", "it's", 'say "x"', "back\\slash", "", "--net"):
        out, _ = good("run", "-t", "spt", "--", f"--w={word}", cwd=folder)
        check(out == f"<{word}>\n", f"{word!r} became {out!r}")


# --- config.c ---

@test
def a_config_that_does_not_compile_shows_the_users_line(tmp):
    folder = project(tmp, "    this is wrong;")
    line = line_of(os.path.join(folder, "config.c"), "    this is wrong;")
    contains(bad("configure", cwd=folder), f"config.c:{line}:", "error:",
             "does not compile")


@test
def a_handle_of_the_wrong_type_does_not_compile(tmp):
    wrong = '    cfg_stack_generic(cfg_block("disk"));'
    folder = project(tmp, wrong)
    line = line_of(os.path.join(folder, "config.c"), wrong)
    contains(bad("configure", cwd=folder), f"config.c:{line}:", "cfg_netif",
             "incompatible type")
    wrong = '    cfg_main("app.c", "app_main", 80);'
    folder = project(tmp, wrong)
    contains(bad("configure", cwd=folder),
             f"config.c:{line_of(os.path.join(folder, 'config.c'), wrong)}:")


@test
def a_choice_between_handles_of_two_types_does_not_compile(tmp):
    for choice in ("cfg_if(f, cfg_netif_default(), cfg_block(\"d\"))",
                   "cfg_match(cfg_target(), cfg_netif_default(), "
                   "{\"spt\", cfg_block(\"d\")})"):
        folder = project(tmp, 'cfg_flag f = cfg_key_flag("f", true, "f");\n'
                              f'(void)f; cfg_netif n = {choice};\n'
                              'cfg_main("app.c", "app_main", n);')
        contains(bad("configure", cwd=folder), "config.c:6:", "error")


@test
def an_entry_point_that_does_not_match_does_not_compile(tmp):
    folder = project(
        tmp, 'cfg_main("app.c", "app_main", cfg_arg_int("n", 1, "n"));',
        parameters=", const char *n", code="(void)env; (void)n; return 0;")
    contains(bad("build", "-t", "unix", cwd=folder), "app.c:2:",
             "conflicting types for 'app_main'", "app.h")
    # Also where the application forgot to include its header.
    write(folder, "app.c", "int app_main(int x) { return x; }\n")
    contains(bad("build", "-t", "unix", cwd=folder), "app.c:1:",
             "conflicting types")


@test
def an_error_of_the_application_shows_the_users_line(tmp):
    folder = project(tmp, code="return nosuch;")
    err = bad("build", "-t", "unix", cwd=folder)
    contains(err, "\napp.c:4:", "nosuch", "dist/app.unix was not built")
    check("../../" not in err, err)
    check("gcc -std" not in err, "the command is shown without -v")
    contains(bad("build", "-v", cwd=folder), "gcc -std")


@test
def a_failed_build_leaves_the_image_as_it_was(tmp):
    folder = project(tmp)
    good("build", "-t", "unix", cwd=folder)
    image = os.path.join(folder, "dist", "app.unix")
    before = os.stat(image).st_mtime_ns
    write(folder, "app.c", "broken")
    bad("build", cwd=folder)
    check(os.stat(image).st_mtime_ns == before, "the image was touched")
    check(os.listdir(os.path.dirname(image)) == ["app.unix"], "left over")


@test
def a_config_without_a_body_or_an_entry_says_so(tmp):
    folder = project(tmp)
    write(folder, "config.c", "#include <fata/config.h>\n")
    contains(bad("configure", cwd=folder), "FATA_CONFIG")
    folder = project(tmp, "")
    contains(bad("configure", cwd=folder), "config.c:3", "cfg_main")
    folder = project(tmp, 'cfg_main("app.c", "app_main");\n'
                          'cfg_main("app.c", "app_main");')
    contains(bad("configure", cwd=folder), "config.c:6", "second time")


@test
def a_config_that_does_not_end_is_stopped(tmp):
    folder = project(tmp, "for (volatile int i = 0;; i++) {}")
    contains(bad("configure", cwd=folder), "still running after")


@test
def a_config_that_crashes_is_reported(tmp):
    folder = project(tmp, "*(volatile int *)0 = 0;")
    contains(bad("configure", cwd=folder), "crashed", "config.c")


@test
def defaults_of_arguments_are_checked_at_their_line(tmp):
    for body, words in (
            ('cfg_arg_duration("d", "1 week", "d");', "1 week"),
            ('cfg_arg_ipv4("d", "10.0.0.256", "d");', "10.0.0.256"),
            ('cfg_arg_ipv4_net("d", "10.0.0.1", "d");', "10.0.0.1"),
            ('cfg_arg_int_in("d", 70000, 1, 65535, "d");', "70000"),
            ('cfg_arg_string("D", "x", "d");', '"D"'),
            ('cfg_arg_string("log", "x", "d");', "--log"),
            ('cfg_stack_size(5000);', "5000"),
            ('cfg_main("app.c", "app-main");', "app-main")):
        folder = project(tmp, "\n" + body)
        contains(bad("configure", cwd=folder), "config.c:6: error:", words)


@test
def what_is_missing_is_named_with_its_line(tmp):
    folder = project(tmp, 'cfg_main("nosuch.c", "app_main");')
    contains(bad("configure", cwd=folder), "config.c:5", "nosuch.c")
    folder = project(tmp, 'cfg_main("app.c", "app_main", '
                          'cfg_kv_crunch("nosite"));')
    contains(bad("configure", cwd=folder), "config.c:5", "nosite",
             "No such file")
    contains(bad("build", cwd=tmp), "no config.c", "fata new")


@test
def an_unknown_target_lists_those_there_are(tmp):
    folder = project(tmp)
    contains(bad("build", "-t", "sptt", cwd=folder, status=64), "sptt",
             "did you mean spt", "unix", "sim")


@test
def mistyped_commands_options_and_keys_suggest_the_nearest(tmp):
    folder = project(tmp, 'cfg_main("app.c", "app_main", '
                          'cfg_stack_generic(cfg_netif_default()));')
    contains(bad("biuld", status=64), "did you mean build")
    contains(bad("run", "--pubish", "1:2", cwd=folder, status=64),
             "did you mean --publish")
    contains(bad("configure", "--dchp=false", cwd=folder, status=64),
             "did you mean --dhcp", "--net")
    contains(bad("configure", "--dhcp=maybe", cwd=folder, status=64),
             "true or false")
    contains(bad("build", "--target", cwd=folder, status=64), "needs a value")
    contains(bad("build", "x", cwd=folder, status=64), '"x"')
    contains(bad("help", "bild", status=64), "did you mean build")


@test
def every_command_has_help(tmp):
    out, _ = good("help")
    listed = out.partition("Commands:")[2].partition("Options")[0]
    commands = re.findall(r"^  ([a-z]+)  ", listed, re.M)
    check(commands == ["new", "configure", "describe", "build", "run",
                       "inspect", "pack", "ps", "stats", "connections", "audit",
                       "clean", "help"],
          commands)
    for command in commands + ["crunch", "link-check", "stamp"]:
        help_out, _ = good("help", command)
        option_out, _ = good(command, "--help", cwd=tmp)
        check(help_out == option_out, command)
        contains(help_out, f"Usage: fata {command}")
    check(fata()[0] == 64, "no command is not a success")


# --- Keys, choices and instances ---

KEYS = '''
    cfg_flag loud = cfg_key_flag("loud", false, "shout");
    cfg_key how = cfg_key_choice("how", "manner", "kind", "rude");
    cfg_const word = cfg_if(loud, cfg_text("HEY"), cfg_text("hey"));
    cfg_const tone = cfg_match(how, cfg_text("sir"), {"rude", cfg_text("you")});
    cfg_main("app.c", "app_main", word, tone, how, loud);
'''


@test
def keys_choose_and_hold_until_configured_again(tmp):
    folder = project(tmp, KEYS, parameters=", const char *word, const char *"
                     "tone, const char *how, bool loud",
                     code='fata_print(env, "%s %s %s %d\\n", word, tone, how,'
                     ' loud); return 0;')
    good("configure", "-t", "unix", cwd=folder)
    check(good("run", cwd=folder)[0] == "hey sir kind 0\n", "defaults")
    good("configure", "-t", "unix", "--loud", "--how=rude", cwd=folder)
    check(good("run", cwd=folder)[0] == "HEY you rude 1\n", "given")
    write(folder, "config.c", read(folder, "config.c") + "\n")
    check(good("run", cwd=folder)[0] == "HEY you rude 1\n", "kept")
    good("configure", "-t", "unix", "--no-loud", cwd=folder)
    check(good("run", cwd=folder)[0] == "hey sir kind 0\n", "reset")
    contains(bad("configure", "--how=rud", cwd=folder, status=64),
             "kind, rude", "did you mean rude")


@test
def describe_shows_the_graph_before_and_after_the_keys(tmp):
    folder = project(tmp, KEYS, parameters="", code="")
    out, _ = good("describe", "--loud", cwd=folder)
    contains(out, '"HEY"', '"sir"', "--loud=true")
    check('"hey"' not in out, out)
    out, _ = good("describe", "--full", cwd=folder)
    contains(out, "if key --loud", "match --how", '"hey"', '"HEY"', "rude: ")
    out, _ = good("describe", "--dot", cwd=folder)
    contains(out, 'digraph "app"', "->")
    check(json.loads(good("describe", "--json", cwd=folder)[0])["keys"]["how"]
          == "kind", "json")
    check(not os.path.exists(os.path.join(folder, ".fata", "target")),
          "describe has configured")
    if shutil.which("dot"):
        contains(good("describe", "--svg", cwd=folder)[0], "<svg")


GREETER = '''
CFG_INTERFACE(cfg_greeter, "struct greeter", "greeter.h");
static inline cfg_greeter cfg_greeter_polite(cfg_const name)
{
    static const struct cfg_device polite = {
        .name = "polite greeter",
        .header = "greeter.h",
        .connect = "polite_connect",
        .sources = {"greeter.c"},
        .packages = {{"PACKAGE", "VERSION", "PACKAGE-dev"}},
    };
    return cfg_new(cfg_greeter, &polite, name,
                   cfg_needs(cfg_clock_default()));
}
'''
GREETER_H = '''
#pragma once
#include "fata/env.h"
struct greeter { const char *name; };
enum err polite_connect(struct fata_env *env, struct writer *why,
                        struct greeter **greeter, const char *name);
'''
GREETER_C = '''
#include "greeter.h"
enum err polite_connect(struct fata_env *env, struct writer *why,
                        struct greeter **greeter, const char *name)
{
    fata_print(env, "connect %s\\n", name);
    if (name[0] == 'x') {
        fmt_put(why, "it is called x");
        return ERR_INVALID;
    }
    *greeter = arena_take(env->arena, sizeof **greeter, 8);
    (*greeter)->name = name;
    return OK;
}
'''


def greeter_project(tmp, body, package="jansson", version=">= 2.0"):
    folder = project(
        tmp, body, before='#include "devices/greeter_config.h"',
        parameters=", struct greeter *a, struct greeter *b",
        code='fata_print(env, "%d\\n", a == b); return 0;')
    write(folder, "devices/greeter_config.h",
          GREETER.replace("PACKAGE", package).replace("VERSION", version))
    write(folder, "devices/greeter.h", GREETER_H)
    write(folder, "devices/greeter.c", GREETER_C)
    return folder


@test
def a_device_of_the_user_is_built_and_equal_ones_are_one(tmp):
    folder = greeter_project(
        tmp, 'cfg_main("app.c", "app_main", cfg_greeter_polite(cfg_text("a")),'
             'cfg_greeter_polite(cfg_text("a")));')
    good("configure", "-t", "unix", cwd=folder)
    check(good("run", cwd=folder)[0] == "connect a\n1\n", "one instance")
    folder = greeter_project(
        tmp, 'cfg_main("app.c", "app_main", cfg_greeter_polite(cfg_text("a")),'
             'cfg_greeter_polite(cfg_text("b")));')
    check(good("run", cwd=folder)[0] == "connect a\nconnect b\n0\n", "two")
    # Nothing of the tool knows about the type; a wrong one does not compile.
    folder = greeter_project(
        tmp, 'cfg_main("app.c", "app_main", cfg_stack_generic('
             'cfg_greeter_polite(cfg_text("a"))));')
    contains(bad("build", cwd=folder), "cfg_greeter", "incompatible")


@test
def a_device_that_does_not_start_says_why(tmp):
    folder = greeter_project(
        tmp, 'cfg_main("app.c", "app_main", cfg_greeter_polite(cfg_text("x")),'
             'cfg_greeter_polite(cfg_text("x")));')
    status, out, _ = fata("run", "-t", "unix", cwd=folder)
    check(status == 1, status)
    contains(out, "app: polite greeter: it is called x")


@test
def a_missing_package_is_named_with_what_to_install(tmp):
    body = ('cfg_main("app.c", "app_main", cfg_greeter_polite(cfg_text("a")),'
            'cfg_greeter_polite(cfg_text("b")));')
    folder = greeter_project(tmp, body, package="nosuchlib")
    contains(bad("configure", cwd=folder), "greeter_config.h:",
             "nosuchlib >= 2.0", "not installed",
             "apt-get install nosuchlib-dev")
    folder = greeter_project(tmp, body, version=">= 99")
    contains(bad("configure", cwd=folder), "jansson >= 99", "version 2.")


@test
def a_library_of_the_host_is_linked_in(tmp):
    folder = project(tmp, 'cfg_library("jansson", ">= 2.0", "x");\n'
                          'cfg_main("app.c", "app_main");',
                     code='json_t *j = json_integer(7); fata_print(env, '
                     '"%d\\n", (int)json_integer_value(j)); return 0;')
    write(folder, "app.c", "#include <jansson.h>\n" + read(folder, "app.c"))
    check(good("run", "-t", "unix", cwd=folder)[0] == "7\n", "linked")
    folder = project(tmp, 'cfg_library("nosuch", NULL, "nosuch-dev");\n'
                          'cfg_main("app.c", "app_main");')
    contains(bad("configure", cwd=folder), "config.c:5", "package nosuch is",
             "apt-get install nosuch-dev")


@test
def conflicting_arguments_and_devices_name_both_places(tmp):
    folder = project(tmp, 'cfg_arg a = cfg_arg_int("n", 1, "n");\n'
                          'cfg_arg b = cfg_arg_int("n", 2, "n");\n'
                          'cfg_main("app.c", "app_main", a, b);')
    contains(bad("configure", cwd=folder), "config.c:6", "--n", "line 5")
    folder = project(tmp, 'cfg_netif a = cfg_netif("disk");\n'
                          'cfg_block b = cfg_block("disk");\n'
                          'cfg_main("app.c", "app_main", a, b);')
    contains(bad("configure", cwd=folder), "config.c:6", '"disk"', "line 5")
    folder = project(tmp, 'cfg_main("app.c", "app_main", cfg_netif("a_b"));')
    contains(bad("configure", cwd=folder), "a_b", "letters and digits")


@test
def a_required_argument_is_asked_for(tmp):
    folder = project(
        tmp, 'cfg_main("app.c", "app_main", cfg_arg_required('
             'cfg_arg_ipv4("a", NULL, "address")));',
        parameters=", struct fata_ip a", code='(void)env; return '
        'fata_ip_v4(&a) == 0x01020304 ? 0 : 1;')
    status, out, _ = fata("run", "-t", "unix", cwd=folder)
    check(status == 64, status)
    contains(out, "--a", "command line")
    good("run", "--", "--a=1.2.3.4", cwd=folder)


@test
def arguments_arrive_as_their_types(tmp):
    folder = project(
        tmp, '''
    cfg_main("app.c", "app_main", cfg_arg_flag("f", true, "f"),
             cfg_arg_int("i", -5, "i"), cfg_arg_string("s", NULL, "s"),
             cfg_arg_duration("d", "1.5ms", "d"),
             cfg_arg_ipv4("ip", NULL, "ip"),
             cfg_arg_ipv4_net("net", "10.1.2.3/8", "net"), cfg_number(7));''',
        parameters=", bool f, int64_t i, const char *s, uint64_t d, "
        "struct fata_ip ip, struct fata_ip_net net, int64_t n",
        code='fata_print(env, "%d %lld %d %llu %d %x/%d %d\\n", f, '
        '(long long)i, s == NULL, (unsigned long long)d, '
        'fata_ip_is_none(&ip), fata_ip_v4(&net.ip), net.prefix, (int)n); '
        'return 0;')
    out, _ = good("run", "-t", "unix", cwd=folder)
    check(out == "1 -5 1 1500000 1 a010203/8 7\n", out)
    out, _ = good("run", "--", "--no-f", "--i=9", "--s=x", "--d=2", "--ip",
                  "1.2.3.4", "--net=1.2.3.4/32", cwd=folder)
    check(out == "0 9 0 2000000000 0 1020304/32 7\n", out)


# --- Generated files ---

@test
def a_file_without_its_marker_is_the_users(tmp):
    folder = project(tmp)
    good("build", "-t", "unix", cwd=folder)
    path = os.path.join(folder, ".fata/unix/main.c")
    own = "\n".join(line for line in read(path).split("\n")
                    if "Generated by fata" not in line) + "/* mine */\n"
    write(folder, ".fata/unix/main.c", own)
    _, err = good("configure", "-t", "unix", cwd=folder)
    contains(err, ".fata/unix/main.c", "marker")
    check(read(path) == own, "overwritten")
    good("run", cwd=folder)


@test
def generated_code_compiles_without_a_warning(tmp):
    good("new", "w", "--template", "www", cwd=tmp)
    folder = os.path.join(tmp, "w")
    good("configure", "-t", "unix", cwd=folder)
    for name in ("main.c", "manifest.c"):
        subprocess.run(
            ["gcc", "-std=gnu17", "-Wall", "-Wextra", "-Werror", "-Wshadow",
             "-Wconversion", f"-I{ROOT}", f"-I{ROOT}/include", "-I.", "-c",
             name, "-o", "/dev/null"],
            cwd=os.path.join(folder, ".fata/unix"), check=True)


@test
def places_with_odd_names_build(tmp):
    odd = os.path.join(tmp, "it's a $HOME: \"odd\" place")
    os.makedirs(odd)
    folder = project(
        odd, 'cfg_main("app.c", "app_main", cfg_kv_crunch("my site"));\n'
        'cfg_sources("more files/*.c");',
        before="", parameters=", struct fata_kv *site",
        code='struct fata_kv_value v; return fata_kv_get(site, '
        'TEXT("a b"), &v) == OK && more() == 3 ? 0 : 1; (void)env;')
    write(folder, "app.c", "int more(void);\n" + read(folder, "app.c"))
    write(folder, "more files/x y.c", "int more(void);\n"
                                      "int more(void) { return 3; }\n")
    write(folder, "my site/a b", "x")
    good("run", "-t", "unix", cwd=folder)


# --- The link check ---

STRAY = '__asm__ volatile("syscall" ::: "memory"); (void)env; return 0;'


@test
def a_stray_system_call_is_refused_and_named(tmp):
    folder = project(tmp, code=STRAY)
    err = bad("build", "-t", "spt", cwd=folder)
    contains(err, "system call (syscall) outside platform/", "app.o",
             "app_main")
    check(not os.path.exists(os.path.join(folder, "dist/app.spt")), "an image")
    for instruction in ("sysenter", "int $0x80"):
        folder = project(tmp, code=STRAY.replace("syscall", instruction, 1))
        contains(bad("build", "-t", "spt", cwd=folder), instruction)
    # An ordinary process may do what it likes.
    good("build", "-t", "unix", cwd=folder)


@test
def a_system_call_of_the_c_library_is_refused_and_named(tmp):
    folder = project(tmp, code="extern int getpid(void); (void)env; "
                               "return getpid();")
    contains(bad("build", "-t", "spt", cwd=folder), "libc", "getpid.lo",
             "getpid")


@test
def the_bytes_of_a_system_call_within_another_instruction_pass(tmp):
    # mov $0x0f05050f, %eax and the like: no instruction begins there.
    folder = project(
        tmp, code='__asm__ volatile("movl $0x9005050f, %%eax\\n'
        'movl $0x9080cd90, %%eax\\nmovl $0x90340f90, %%eax" ::: "eax"); '
        '(void)env; return 0;')
    good("build", "-t", "spt", cwd=folder)


# --- crunch ---

CRUNCH_CODE = '''
    struct bytes key;
    struct fata_kv_value v;
    for (uint32_t i = 0; fata_kv_list(site, i, &key) == OK; i++) {
        if (fata_kv_get(site, key, &v) != OK)
            return 1;
        for (size_t j = 0; j < key.len; j++)
            fata_print(env, "%02x", key.at[j]);
        fata_print(env, " %d %.*s\\n", (int)v.data.len, (int)v.tag.len,
                   (const char *)v.tag.at);
    }
    return 0;'''


def crunch_project(tmp):
    folder = project(
        tmp, 'cfg_main("app.c", "app_main", cfg_kv_crunch("site"));',
        parameters=", struct fata_kv *site", code=CRUNCH_CODE)
    os.makedirs(os.path.join(folder, "site"), exist_ok=True)
    return folder, os.path.join(folder, "site").encode()


def stored(folder):
    """What the unikernel finds: {key: (length, tag)}, in its order."""
    found = {}
    for line in good("run", "-t", "unix", cwd=folder)[0].splitlines():
        key, size, tag = line.split()
        found[bytes.fromhex(key)] = (int(size), tag)
    check(list(found) == sorted(found), "not in order")
    return found


@test
def any_file_name_is_packed(tmp):
    folder, site = crunch_project(tmp)
    names = [b"a b", b"quote\"'", b"new\nline", b"\xff\xfe", b"$x`y`", b"#:|",
             "grüße".encode(), b"back\\slash", b".hidden", b"z" * 200,
             b"-n", b"a/b", b"a/b.c/d e", b"%s"]
    for name in names:
        os.makedirs(os.path.dirname(site + b"/" + name), exist_ok=True)
        with open(site + b"/" + name, "wb") as f:
            f.write(name)
    found = stored(folder)
    check(set(found) == set(names), set(names) ^ set(found))
    check(all(found[n][0] == len(n) for n in names), "lengths")


@test
def changes_of_a_folder_are_noticed(tmp):
    folder, site = crunch_project(tmp)
    for name in (b"one", b"two"):
        with open(site + b"/" + name, "wb") as f:
            f.write(b"same")
    first = stored(folder)
    check(first[b"one"] == first[b"two"], "the tag depends on the content only")
    with open(site + b"/two", "wb") as f:
        f.write(b"diff")
    second = stored(folder)
    check(second[b"one"] == first[b"one"] and second[b"two"] != first[b"two"],
          "content")
    with open(site + b"/three\n", "wb"):
        pass
    check(stored(folder)[b"three\n"][0] == 0, "an added, empty file")
    os.remove(site + b"/one")
    check(set(stored(folder)) == {b"two", b"three\n"}, "a removed file")
    os.remove(site + b"/two")
    os.remove(site + b"/three\n")
    check(stored(folder) == {}, "an empty folder")


@test
def links_inside_are_followed_and_those_outside_refused(tmp):
    folder, site = crunch_project(tmp)
    with open(site + b"/file", "wb") as f:
        f.write(b"text")
    os.symlink(b"file", site + b"/link")
    os.mkdir(site + b"/sub")
    os.symlink(b"../file", site + b"/sub/up")
    check(set(stored(folder)) == {b"file", b"link", b"sub/up"}, "inside")
    os.symlink(b"/etc/passwd", site + b"/out")
    contains(bad("build", cwd=folder), "site/out", "/etc/passwd", "copy it")
    os.remove(site + b"/out")
    os.symlink(b"nowhere", site + b"/dangling")
    contains(bad("build", cwd=folder), "site/dangling")
    os.remove(site + b"/dangling")
    os.symlink(b".", site + b"/sub/loop")
    contains(bad("build", cwd=folder), "site/sub/loop", "in itself")
    os.remove(site + b"/sub/loop")
    os.mkfifo(site + b"/pipe")
    contains(bad("build", cwd=folder), "site/pipe")


@test
def an_unreadable_file_is_named(tmp):
    folder, site = crunch_project(tmp)
    os.chmod(tmp, 0o755)
    secret = site + b"/sec\nret"
    with open(secret, "wb"):
        pass
    os.chmod(secret, 0)
    output = os.path.join(tmp, "out")
    os.mkdir(output)
    os.chmod(output, 0o777)

    def nobody():
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
    if subprocess.run([FATA, "help"], preexec_fn=nobody, check=False,
                      stdout=subprocess.DEVNULL,
                      stderr=subprocess.DEVNULL).returncode != 0:
        return "another user may not run the command here"
    err = bad("crunch", os.path.join(folder, "site"),
              os.path.join(output, "blob"), preexec=nobody)
    contains(err, "sec\\012ret", "Permission denied", "chmod")
    check(os.listdir(output) == [], "something was left behind")
    return None


@test
def two_builds_at_once_do_not_disturb_each_other(tmp):
    folder = project(tmp)
    both = [subprocess.Popen([FATA, "build", "-q"], cwd=folder,
                             stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                             text=True) for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=120)
        check(process.returncode == 0, err)
    check(os.listdir(os.path.join(folder, "dist")) == ["app.spt"], "the image")


@test
def a_process_without_standard_descriptors_spoils_no_disk(tmp):
    folder = project(tmp, 'cfg_main("app.c", "app_main", cfg_block("disk"));',
                     parameters=", struct fata_block *disk",
                     code='(void)disk; fata_print(env, "ran"); return 0;')
    good("build", "-t", "unix", cwd=folder)
    disk = write(folder, "disk", "d" * 1024)
    for words in ("", "--no-such-argument"):
        subprocess.run(["sh", "-c", "exec dist/app.unix --block:disk=disk "
                        f"{words} <&- >&- 2>&-"], cwd=folder, timeout=60)
        check(read(disk) == "d" * 1024, "the disk was written to")


@test
def ten_thousand_files_are_packed_at_once(tmp):
    folder, site = crunch_project(tmp)
    for i in range(100):
        os.mkdir(site + b"/%d" % i)
        for j in range(100):
            with open(site + b"/%d/%d.html" % (i, j), "wb") as f:
                f.write(b"%d " % i * j)
    found = stored(folder)
    check(len(found) == 10000, len(found))
    check(found[b"7/50.html"][0] == 100, found[b"7/50.html"])


# --- fata run ---

SERVER = '''
    struct fata_ip ip;
    if (fata_stack_wait(stack, fata_deadline(env, SECONDS(20))) != OK)
        return 1;
    (void)fata_stack_address(stack, &ip);
    fata_print(env, "up\\n");
    return fata_sleep(env, SECONDS(60)) == OK ? 0 : 1;'''


def server_project(tmp):
    return project(tmp, 'cfg_main("app.c", "app_main", '
                        'cfg_stack_generic(cfg_netif_default()));',
                   parameters=", struct fata_stack *stack", code=SERVER)


def children_of(pid):
    found = []
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/stat", encoding="ascii",
                      errors="replace") as f:
                if f.read().rsplit(")", 1)[1].split()[1] == str(pid):
                    found.append(int(entry))
        except (OSError, IndexError):
            pass
    return found


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii",
                  errors="replace") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@test
def run_ends_all_that_it_started(tmp):
    folder = server_project(tmp)
    for target in ("unix", "spt"):
        good("build", "-t", target, cwd=folder)
        for how, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130),
                            (signal.SIGKILL, -9)):
            run = subprocess.Popen(
                [FATA, "run", "-t", target, "--publish",
                 f"{free_port()}:80"], cwd=folder, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            line = ""
            while "up" not in line:
                line = run.stdout.readline()
                check(line != "", "it ended before it was up")
            children = children_of(run.pid)
            check(len(children) == 2, children)
            run.send_signal(how)
            check(run.wait(20) == status, f"{target}: {run.returncode}")
            for _ in range(600):
                if not any(map(alive, children)):
                    break
                time.sleep(0.05)
            check(not any(map(alive, children)), f"{target}: left running")
            run.stdout.close()


@test
def a_busy_port_is_named(tmp):
    folder = server_project(tmp)
    good("build", "-t", "unix", cwd=folder)
    with socket.socket() as s:
        s.bind(("0.0.0.0", 0))
        s.listen()
        port = s.getsockname()[1]
        contains(bad("run", "--publish", f"{port}:80", cwd=folder), str(port),
                 "in use")


@test
def networks_that_cannot_be_had_are_explained(tmp):
    folder = server_project(tmp)
    good("configure", "-t", "unix", cwd=folder)
    contains(bad("run", "--net", "tap:nosuch0", cwd=folder), "nosuch0",
             "ip tuntap add nosuch0")
    contains(bad("run", "--net", "tap:lo", cwd=folder), "lo is not a tap")
    contains(bad("run", "--net", "tun", cwd=folder, status=64), "tap:NAME")
    contains(bad("run", "--net", "servic=nat", cwd=folder, status=64),
             "did you mean service")
    contains(bad("run", "--publish", "80", cwd=folder, status=64), "8080:80")
    contains(bad("run", "--mem", "1G", cwd=folder, status=64), "MiB")
    folder = project(tmp)
    contains(bad("run", "--publish", "8080:80", cwd=folder, status=64),
             "no network device")


@test
def a_disk_that_is_not_attached_is_asked_for(tmp):
    folder = project(tmp, 'cfg_main("app.c", "app_main", cfg_block("disk"));',
                     parameters=", struct fata_block *disk",
                     code='(void)env; return disk == NULL;')
    good("configure", "-t", "unix", cwd=folder)
    contains(bad("run", cwd=folder, status=64), "--block disk=FILE")
    contains(bad("run", "--block", "disk=nofile", cwd=folder), "nofile",
             "truncate")
    with open(os.path.join(folder, "image"), "wb") as f:
        f.truncate(1 << 20)
    good("run", "--block", "disk=image", cwd=folder)


@test
def a_disk_that_cannot_be_one_is_explained_whoever_would_open_it(tmp):
    folder = project(tmp, 'cfg_main("app.c", "app_main", cfg_block("disk"));',
                     parameters=", struct fata_block *disk",
                     code='(void)env; return disk == NULL;')
    for name, size in (("empty", 0), ("odd", 1000), ("image", 1 << 20)):
        with open(os.path.join(folder, name), "wb") as f:
            f.truncate(size)
    for target in ("unix", "virtio"):
        good("build", "-t", target, cwd=folder)
        for file, said in ((".", "it is a folder"), ("empty", "truncate -s 64M"),
                           ("odd", "truncate -s %512"),
                           ("/dev/null", "neither a file nor")):
            contains(bad("run", "-t", target, "--block", f"disk={file}",
                         cwd=folder), f"disk={file}", said)
        contains(bad("run", "-t", target, "--block", "disk=image", "--block",
                     "disk=image", cwd=folder, status=64), "twice for disk")
    with open(os.path.join(folder, "image"), "r+b") as f:
        # As QEMU locks what it writes: the byte is that of "others may not".
        fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 300, 0)
        contains(bad("run", "-t", "virtio", "--block", "disk=image",
                     cwd=folder), "disk=image", "in use by another", "fuser")


@test
def what_is_given_in_the_wrong_place_is_sent_to_the_right_one(tmp):
    folder = server_project(tmp)
    contains(bad("build", "unix", cwd=folder, status=64), "-t unix")
    contains(bad("configure", "spt", cwd=folder, status=64), "-t spt")
    contains(bad("run", "unix", cwd=folder, status=64), "give -t unix")
    contains(bad("run", "--port=80", cwd=folder, status=64), "after `--'")
    contains(bad("pack", "-f", "oci", "--port=80", cwd=folder, status=64),
             "after `--'")
    contains(bad("inspect", "dist/no.spt", cwd=folder), "fata build")
    good("configure", "-t", "unix", cwd=folder)
    contains(bad("run", "--net", "nat", "--net", "nat", cwd=folder, status=64),
             "twice")
    contains(bad("run", "--publish", "8080:80", "--publish", "8080:81",
                 cwd=folder, status=64), "8080 of this host is given twice")


# --- What can go wrong below ---

@test
def a_full_disk_leaves_nothing_half_written(tmp):
    folder, site = crunch_project(tmp)
    with open(site + b"/big", "wb") as f:
        f.truncate(1 << 20)

    def small_files():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    output = os.path.join(tmp, "out")
    os.mkdir(output)
    err = bad("crunch", os.path.join(folder, "site"),
              os.path.join(output, "blob"), preexec=small_files)
    contains(err, "blob cannot be written")
    check(os.listdir(output) == [], os.listdir(output))


@test
def a_broken_target_file_is_named_by_line(tmp):
    tree = os.path.join(tmp, "tree")
    os.makedirs(tree)
    for name in os.listdir(ROOT):
        if name not in ("platform", ".git"):
            os.symlink(os.path.join(ROOT, name), os.path.join(tree, name))
    shutil.copytree(os.path.join(ROOT, "platform"),
                    os.path.join(tree, "platform"))
    write(tree, "platform/mine/target", "# mine\nabout = x\nsorces = y\n")
    folder = project(tmp)
    environment = {"FATA_ROOT": tree}
    contains(bad("build", "-t", "mine", cwd=folder, env=environment),
             "platform/mine/target:3", "sorces")
    # A new target is a new folder.
    shutil.copy(os.path.join(ROOT, "platform/unix/target"),
                os.path.join(tree, "platform/mine/target"))
    out, _ = good("run", "-t", "mine", cwd=folder, env=environment)
    check(out == "ran\n", out)
    contains(bad("build", cwd=folder, env={"FATA_ROOT": tmp}), "FATA_ROOT")


def tidy(tmp):
    """Leave of the last test only the objects of Fata's own sources: to compile
    them again and again is what would take the time."""
    for name in os.listdir(tmp):
        path = os.path.join(tmp, name)
        if name != "app" or not os.path.isdir(path):
            remove(path)
            continue
        for inner in os.listdir(path):
            if inner != ".fata":
                remove(os.path.join(path, inner))
    generated = os.path.join(tmp, "app", ".fata")
    kept = ("fata", ".ninja_deps", ".ninja_log")
    for name in os.listdir(generated) if os.path.isdir(generated) else []:
        path = os.path.join(generated, name)
        if not os.path.isdir(path):
            os.remove(path)
            continue
        for inner in os.listdir(path):
            if inner not in kept:
                remove(os.path.join(path, inner))


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.remove(path)


def main():
    only = sys.argv[1:]
    failures = 0
    with tempfile.TemporaryDirectory(prefix="fata-cli-") as tmp:
        for function in tests:
            sentence = function.__name__
            if only and sentence not in only:
                continue
            tidy(tmp)
            try:
                skipped = function(tmp)
            except (AssertionError, OSError,
                    subprocess.SubprocessError) as error:
                failures += 1
                print(error)
                print(f"not ok {sentence}", flush=True)
                continue
            if skipped:
                print(f"skip {sentence}: {skipped}", flush=True)
            else:
                print(f"ok {sentence}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
