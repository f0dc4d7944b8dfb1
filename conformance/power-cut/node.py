"""The workload with the node: `corelane serve` on the recorded disk under load, then on every cut."""

import random
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import disk

LOAD = Path(__file__).resolve().parent / "load.py"
READY_SECONDS_MAX = 60.0
LOAD_SECONDS_EXTRA = 120.0
VERIFY_SECONDS_MAX = 180.0
SHARDS = (1, 2, 4)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Process:
    """One run of the binary; ends with SIGKILL."""

    def __init__(self, binary, data, shards, log):
        self.listen, self.admin = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        self.command = disk.ENDS_WITH_US + [
            str(binary), "serve", "--data-dir", str(data), "--listen", self.listen, "--admin", self.admin,
            "--shards", str(shards),
        ]
        self.log = log

    def __enter__(self):
        started = time.monotonic()
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=subprocess.STDOUT)
        try:
            while not self.is_ready():
                if self.process.poll() is not None:
                    raise RuntimeError(f"the node ended with {self.process.returncode}: {self.log_end()}")
                if time.monotonic() - started > READY_SECONDS_MAX:
                    raise RuntimeError(f"the node is not ready after {READY_SECONDS_MAX:.0f} s: {self.log_end()}")
                time.sleep(0.01)
        except BaseException:
            self.__exit__()
            raise
        self.ready_seconds = time.monotonic() - started
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
        start = recorded.sequence()
        with Process(self.arguments.binary, recorded.mounted / "data", self.arguments.shards, self.log) as process:
            durability = "memory" if self.arguments.control == "memory" else "fsync"
            done = subprocess.run(
                disk.ENDS_WITH_US + [self.python, LOAD, "produce", process.listen, self.acks, "--counter", recorded.counter,
                 "--seconds", str(self.arguments.seconds), "--seed", str(self.arguments.seed),
                 "--durability", durability],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                timeout=self.arguments.seconds + LOAD_SECONDS_EXTRA,
            )
            end = recorded.sequence()
            if done.returncode != 0:
                raise RuntimeError(f"the load failed: {done.stdout[-2000:]}; the node: {process.log_end()}")
        print(done.stdout.strip(), flush=True)
        return start, end

    def check(self, cut_disk):
        shards = random.Random(cut_disk.cut).choice(SHARDS)
        with Process(self.arguments.binary, cut_disk.mounted / "data", shards, self.log) as process:
            done = subprocess.run(
                disk.ENDS_WITH_US + [self.python, LOAD, "verify", process.listen, self.acks, "--cut", str(cut_disk.cut)],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=VERIFY_SECONDS_MAX,
            )
            report = f"{done.stdout.strip()[-2000:]} (ready in {process.ready_seconds * 1000:.0f} ms, {shards} shards)"
            if done.returncode not in (0, 1):
                raise RuntimeError(f"verify failed: {report}; the node: {process.log_end()}")
            return done.returncode == 0, report
