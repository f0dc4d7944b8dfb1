"""A node over several lives: with how many shards each begins, how it ends, what it says on its admin address.

Belongs here: the process of a node and its files from outside. The command is a template, so that Apache Kafka can take
the node's place where a program is checked itself.
"""

import os
import random
import shlex
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from harness.broker import CORELANE, STOP_S, Broker, BrokerFailed

# The node dies with us, however we end.
ENDS_WITH_US = "setpriv --pdeathsig KILL "
COMMAND = "{binary} serve --data-dir {data} --listen 127.0.0.1:{port} --admin 127.0.0.1:{admin} --shards {shards}"
# Below the ports that the kernel hands to clients: a client that tries a dead node's port again and again would end up
# connected to itself, and the node would find its port in use.
PORTS = range(20_000, 32_000)
RUN_S = 120
# Established, and closed by the client alone, as /proc/net/tcp writes them.
OPEN_STATES = ("01", "08")


def listening_ports(count):
    chosen = []
    while len(chosen) < count:
        port = random.SystemRandom().choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in chosen:
            chosen.append(port)
    return chosen


class Node(Broker):
    def __init__(self, data, log, binary=CORELANE, options=(), command=COMMAND, shards=2):
        self.port, self.admin_port = listening_ports(2)
        self.data, self.log, self.binary = Path(data), Path(log), Path(binary)
        self.template, self.options, self.shards = command, list(options), shards
        self.process = None
        self.cpu_s, self.rss_peak_bytes, self.life_cpu_s = 0.0, 0, 0.0
        self.bootstrap, self.admin = f"127.0.0.1:{self.port}", f"127.0.0.1:{self.admin_port}"
        self.command = self._command()

    def _command(self):
        text = ENDS_WITH_US + self.template.format(binary=self.binary, data=self.data, port=self.port,
                                                   admin=self.admin_port, shards=self.shards)
        return shlex.split(text) + self.options

    def start(self, shards=None):
        """Starts it and waits until it answers; returns the seconds that took."""
        self.shards = shards or self.shards
        self.command = self._command()
        self.said_before = self.log.stat().st_size if self.log.exists() else 0
        return super().start()

    def said(self):
        """What this life has printed so far."""
        with self.log.open("rb") as log:
            log.seek(self.said_before)
            return log.read().decode(errors="replace")

    def refused(self):
        """Runs it where it must not start: (exit code, or None if it ran on, and what it said)."""
        self.command = self._command()
        try:
            done = subprocess.run(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, errors="replace", timeout=20, check=False)
        except subprocess.TimeoutExpired as error:
            return None, (error.stdout or b"").decode(errors="replace")
        return done.returncode, done.stdout

    def resident_bytes(self):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    def waited_for_a_core_s(self):
        """How long its main thread, which starts everything, was ready to run and had no core."""
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[1]) / 1e9

    def open_files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def connections(self):
        """Connections of clients that the node has not closed; its sockets need not be among its open files."""
        local = f"0100007F:{self.port:04X}"
        rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
        return sum(row[1] == local and row[3] in OPEN_STATES for row in rows)

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def end(self):
        """However it stands: it is gone afterwards."""
        if self.is_running():
            self.kill()

    def get(self, path, timeout=5):
        """(status, text) of the admin address; status 0 where nothing answers."""
        try:
            with urllib.request.urlopen(f"http://{self.admin}{path}", timeout=timeout) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")
        except (urllib.error.URLError, OSError):
            return 0, ""

    def metric(self, name):
        """The sum of a metric's samples, or None."""
        values = [float(line.rsplit(" ", 1)[1]) for line in self.get("/metrics")[1].splitlines()
                  if line.split("{")[0].split(" ")[0] == name]
        return sum(values) if values else None

    def tool(self, *arguments, seconds=RUN_S):
        """Runs `corelane ARGUMENTS`: (exit code, output)."""
        done = subprocess.run([str(self.binary), *map(str, arguments)], stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace", timeout=seconds,
                              check=False)
        return done.returncode, done.stdout


def disk_bytes(directory):
    """What the files below a directory occupy."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except FileNotFoundError:
                pass
    return total
