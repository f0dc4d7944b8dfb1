"""One line a check, and `N passed, N failed` at the end: how the programs of the node's survival report.

Belongs here: counting and printing, the time limit of a wait, and the Python in which the clients are.
"""

import importlib.util
import os
import sys
import time
import traceback
from contextlib import contextmanager

from harness import install

SHOWN_MAX = 5
DETAIL_CHARACTERS_MAX = 500


def with_clients():
    """Goes on in the environment with confluent-kafka, which is installed the first time."""
    if importlib.util.find_spec("confluent_kafka") is None:
        python = install.python("main")
        os.execv(python, [str(python), *sys.argv])


class Checks:
    def __init__(self):
        self.passed = self.failed = 0
        self.started = time.monotonic()

    def say(self, text):
        print(f"{time.monotonic() - self.started:7.1f} s  {text}", flush=True)

    def check(self, name, right, detail=""):
        """Counts and prints one check; returns whether it passed."""
        self.passed += bool(right)
        self.failed += not right
        detail = str(detail).replace("\n", " | ")
        if len(detail) > DETAIL_CHARACTERS_MAX:
            detail = detail[:DETAIL_CHARACTERS_MAX] + " …"
        self.say(f"{'passed' if right else 'FAILED'}  {name}{': ' if detail else ''}{detail}")
        return bool(right)

    def equal(self, name, expected, actual):
        return self.check(name, expected == actual, f"{actual!r}" if expected == actual
                          else f"{actual!r}, expected {expected!r}")

    def none(self, name, problems, detail=""):
        """Passes if there is no problem; shows the first ones."""
        shown = "; ".join(map(str, problems[:SHOWN_MAX]))
        more = f" … {len(problems)} in all" if len(problems) > SHOWN_MAX else ""
        return self.check(name, not problems, shown + more if problems else detail)

    @contextmanager
    def part(self, name):
        """One part of a program: what it throws fails it, and the next part goes on."""
        self.say(f"-- {name}")
        try:
            yield
        except Exception as error:  # Whatever it is, the program has to end with a count.
            where = traceback.extract_tb(error.__traceback__)[-1]
            self.check(name, False, f"{type(error).__name__}: {error} ({os.path.basename(where.filename)}:{where.lineno})")

    def close(self):
        """The closing line; the exit code."""
        print(f"\n{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed or not self.passed else 0


def wait_until(condition, seconds, step_s=0.05):
    """The first true value of `condition()`, or the last false one after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(step_s)
