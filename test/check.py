"""The test framework of the scripts, the twin of test.h.

    from check import test, skip, run

    @test
    def a_page_is_found():
        assert fetch("/") == 200, "why this matters"

    run()

A test is a function whose name is the sentence it proves; run() runs those
marked, in order, and prints the lines that test/run reads. Words given to
the script pick tests by part of their name.
"""
import sys
import traceback

_tests = []


class Skipped(Exception):
    pass


def test(function):
    _tests.append(function)
    return function


def skip(reason):
    """End the test that runs as skipped: what it needs is not here."""
    raise Skipped(reason)


def run(setup=None):
    """Run the tests; `setup`, if given, first: its skip is that of all."""
    failures = 0
    reason = None
    if setup is not None:
        try:
            setup()
        except Skipped as skipped:
            reason = str(skipped)
        except Exception:
            traceback.print_exc(file=sys.stdout)
            print("not ok setup", flush=True)
            sys.exit(1)
    for function in _tests:
        name = function.__name__
        if len(sys.argv) > 1 and not any(w in name for w in sys.argv[1:]):
            continue
        if reason is not None:
            print(f"skip {name}: {reason}", flush=True)
            continue
        try:
            function()
        except Skipped as skipped:
            print(f"skip {name}: {skipped}", flush=True)
        except Exception:
            failures += 1
            traceback.print_exc(file=sys.stdout)
            print(f"not ok {name}", flush=True)
        else:
            print(f"ok {name}", flush=True)
    sys.exit(1 if failures else 0)
