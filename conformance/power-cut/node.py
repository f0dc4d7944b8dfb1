"""The workload with the node: `corelane serve` on the recorded disk under load, then on every cut."""

import json
import os
import random
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import disk

# Controls for which the binary must be built with faults that can be planted; the last one breaks nothing.
PLANTED = ("no-dsync", "no-directory-sync", "early-acknowledgement", "marked-names")
LOAD = Path(__file__).resolve().parent / "load.py"
READY_SECONDS_MAX = 60.0
LOAD_SECONDS_EXTRA = 120.0
VERIFY_SECONDS_MAX = 180.0
SHARDS = (1, 2, 4)
# How much of a life counts as its start.
STARTED_SECONDS = 0.3
# What a node says that does not start because files that were durable are gone.
LOSS_IN_WORDS = "is missing or damaged beside partitions of a node"


class LossTold(Exception):
    """The node did not start, and said what it misses."""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Process:
    """One run of the binary; ends with SIGKILL."""

    def __init__(self, binary, data, shards, log, planted=None):
        self.planted = planted
        self.listen, self.admin = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        self.command = disk.ENDS_WITH_US + [
            str(binary), "serve", "--data-dir", str(data), "--listen", self.listen, "--admin", self.admin,
            "--shards", str(shards),
        ]
        self.log = log

    def ended(self):
        said = f"the node ended with {self.process.returncode}: {self.log_end()}"
        return LossTold(said) if LOSS_IN_WORDS in said else RuntimeError(said)

    def __enter__(self):
        started = time.monotonic()
        environment = {name: value for name, value in os.environ.items() if name != "CORELANE_PLANT"}
        if self.planted:
            environment["CORELANE_PLANT"] = self.planted
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        try:
            while not self.is_ready():
                if self.process.poll() is not None:
                    raise self.ended()
                if time.monotonic() - started > READY_SECONDS_MAX:
                    raise RuntimeError(f"the node is not ready after {READY_SECONDS_MAX:.0f} s: {self.log_end()}")
                time.sleep(0.01)
        except BaseException:
            self.__exit__()
            raise
        self.ready_seconds = time.monotonic() - started
        if ("ON PURPOSE" in self.log.read_text(errors="replace")) != bool(self.planted):
            self.__exit__()
            raise RuntimeError(f"{self.command[len(disk.ENDS_WITH_US)]} was built with" + ("out" if self.planted else "")
                               + " planted faults: see conformance/power-cut/README.md")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def is_ready(self):
        try:
            with urllib.request.urlopen(f"http://{self.admin}/readyz", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def log_end(self):
        return " | ".join(self.log.read_text(errors="replace").strip().splitlines()[-5:])


class Node:
    def __init__(self, arguments, _programs, work):
        self.arguments, self.acks, self.log = arguments, work / "acks", work / "node.log"
        if not arguments.binary.exists():
            raise RuntimeError(f"{arguments.binary} is not there: run `cargo build --release`, or give --binary")
        self.python = self.client_python(arguments.work / "venv")
        self.planted = arguments.control if arguments.control in PLANTED else None

    @staticmethod
    def client_python(venv):
        """An environment with the client; installed once."""
        python = venv / "bin/python"
        if not python.exists():
            disk.call(sys.executable, "-m", "venv", venv)
        if subprocess.run([python, "-c", "import confluent_kafka"], capture_output=True).returncode != 0:
            disk.call(python, "-m", "pip", "install", "--quiet", "confluent-kafka")
        return python

    def run(self, recorded):
        """Several lives, each ended by SIGKILL; the spans of the recording in which the cuts shall lie.

        The first span of a life is its start and what it does then: recovery, and the first promises of a new journal.
        """
        return [span for life in range(self.arguments.lives) for span in self.live(recorded, life)]

    def live(self, recorded, life):
        begin, shards = recorded.sequence(), (self.arguments.shards, *SHARDS)[life % (1 + len(SHARDS))]
        with Process(self.arguments.binary, recorded.mounted / "data", shards, self.log, self.planted) as process:
            durability = "memory" if self.arguments.control == "memory" else "fsync"
            load = subprocess.Popen(
                disk.ENDS_WITH_US + [self.python, LOAD, "produce", process.listen, self.acks, "--counter", recorded.counter,
                 "--seconds", str(self.arguments.seconds / self.arguments.lives), "--seed", str(self.arguments.seed),
                 "--life", str(life), "--durability", durability],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )
            started = self.first_promise_and(STARTED_SECONDS, load, recorded)
            said, _ = load.communicate(timeout=self.arguments.seconds + LOAD_SECONDS_EXTRA)
            end = recorded.sequence()
            if load.returncode != 0:
                raise RuntimeError(f"the load failed: {said[-2000:]}; the node: {process.log_end()}")
        print(f"life {life + 1}, {shards} shards: ready in {process.ready_seconds * 1000:.0f} ms, {said.strip()}", flush=True)
        return [(begin, started), (started, end)]

    def first_promise_and(self, seconds, load, recorded):
        """The sequence so long after the life's first promise."""
        size = self.acks.stat().st_size if self.acks.exists() else 0
        while load.poll() is None and (not self.acks.exists() or self.acks.stat().st_size == size):
            time.sleep(0.01)
        time.sleep(seconds)
        return recorded.sequence()

    def check(self, cut_disk):
        shards = random.Random(cut_disk.cut).choice(SHARDS)
        cut_disk.remove_unsynced_names()
        damages = [] if self.arguments.control else self.damages(cut_disk.mounted / "data")
        with Process(self.arguments.binary, cut_disk.mounted / "data", shards, self.log, self.planted) as process:
            done = subprocess.run(
                disk.ENDS_WITH_US + [self.python, LOAD, "verify", process.listen, self.acks, "--cut", str(cut_disk.cut)],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=VERIFY_SECONDS_MAX,
            )
            report = f"{done.stdout.strip()[-2000:]} (ready in {process.ready_seconds * 1000:.0f} ms, {shards} shards)"
            if done.returncode not in (0, 1):
                raise RuntimeError(f"verify failed: {report}; the node: {process.log_end()}")
            return done.returncode == 0 and not damages, "; ".join([report, *damages])

    def damages(self, data):
        """A power cut tears what was not promised, and leaves it out: `corelane verify` must not call that damage."""
        if not (data / "meta.properties").exists():
            return []
        done = subprocess.run([self.arguments.binary, "verify", "--format", "json", data], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=VERIFY_SECONDS_MAX)
        try:
            return [f"verify names {one['file']}: {one['what']}" for one in json.loads(done.stdout)["damages"]]
        except (ValueError, KeyError):
            raise RuntimeError(f"corelane verify failed: {done.stdout[-2000:]}") from None
