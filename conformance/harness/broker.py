"""Starts, kills and stops a broker process, and measures it.

Belongs here: the process, never the protocol beyond "does it answer". The command is a template with {data}, {port} and
{admin}, so that any broker fits.
"""

import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from .install import HERE

sys.path.insert(0, str(HERE / "wire"))

import kafka_wire

CORELANE = HERE.parent / "target" / "release" / "corelane"
DEFAULT_COMMAND = f"{CORELANE} serve --data-dir {{data}} --listen 127.0.0.1:{{port}} --admin 127.0.0.1:{{admin}}"
READY_S = 60
STOP_S = 60
SAMPLE_S = 0.5


class BrokerFailed(Exception):
    pass


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class Broker:
    """One broker, over several lives on the same data and the same ports."""

    def __init__(self, data, log, command=DEFAULT_COMMAND):
        self.port, admin = free_ports(2)
        self.command = shlex.split(command.format(data=data, port=self.port, admin=admin))
        self.log, self.process = Path(log), None
        self.cpu_s, self.rss_peak_bytes, self.life_cpu_s = 0.0, 0, 0.0
        self.bootstrap = f"127.0.0.1:{self.port}"

    def start(self):
        """Starts it and waits until it answers; returns the seconds that took."""
        started = time.monotonic()
        try:
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        except OSError as error:
            raise BrokerFailed(f"cannot start {self.command[0]}: {error}; build it with: cargo build --release") \
                from error
        threading.Thread(target=self._measure, args=(self.process,), daemon=True).start()
        while time.monotonic() - started < READY_S:
            if self.process.poll() is not None:
                raise BrokerFailed(f"it ended with {self.process.returncode}; see {self.log}:\n{self.tail()}")
            try:
                with kafka_wire.Connection(self.bootstrap, timeout=5) as connection:
                    connection.api_versions()
                    return time.monotonic() - started
            except (OSError, kafka_wire.WireError):
                time.sleep(0.02)
        raise BrokerFailed(f"it does not answer after {READY_S} s; see {self.log}:\n{self.tail()}")

    def tail(self):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    def sample(self):
        """CPU seconds and resident bytes of this life, as /proc has them now."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except (OSError, IndexError):
            return
        self.life_cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                self.rss_peak_bytes = max(self.rss_peak_bytes, int(line.split()[1]) * 1024)

    def _measure(self, process):
        while process is self.process and process.poll() is None:
            self.sample()
            time.sleep(SAMPLE_S)

    def _ended(self):
        self.cpu_s, self.life_cpu_s = self.cpu_s + self.life_cpu_s, 0.0

    def kill(self):
        """SIGKILL."""
        self.sample()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._ended()

    def end_if_running(self):
        if self.process and self.process.poll() is None:
            self.kill()

    def stop(self):
        """SIGTERM; returns what is wrong with how it ended, or None."""
        if self.process is None or self.process.poll() is not None:
            return "it had ended before it was told to"
        self.sample()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return f"it ran on for {STOP_S} s after SIGTERM"
        self._ended()
        # A JVM ends a clean shutdown with 128 + SIGTERM.
        return None if code in (0, 143, -signal.SIGTERM) else f"it ended with {code} after SIGTERM"
