"""A client that produces and consumes all the time while something terrible happens beside it, and notices everything."""

import threading
import time

import kafka_wire
from survival.checks import wait_until
from survival.wire import NONE, NewBatch, Wire

TOPIC = "witness"
PAUSE_S = 0.01


class Witness:
    def __init__(self, bootstrap):
        self.bootstrap, self.problems, self.rounds, self.slowest_s = bootstrap, [], 0, 0.0
        self.stopping = threading.Event()
        with kafka_wire.Connection(bootstrap) as connection:
            connection.create_topic(TOPIC, 2)
            for partition in (0, 1):
                connection.produce_when_led(TOPIC, partition, NewBatch([b"first"]).encode())
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            with Wire(self.bootstrap) as connection:
                number = 0
                while not self.stopping.is_set():
                    self._round(connection, number)
                    number += 1
                    time.sleep(PAUSE_S)
        except Exception as error:  # It says so in `verdict`; the program goes on.
            self.problems.append(f"{type(error).__name__}: {error}")

    def _round(self, connection, number):
        started, partition, value = time.monotonic(), number % 2, b"%d" % number
        answer = connection.append(TOPIC, partition, NewBatch([value]).encode())
        if answer.code != NONE:
            self.problems.append(f"produce: code {answer.code}")
            return
        code, _, _, batches = connection.fetch_at(TOPIC, partition, answer.base_offset)
        read = batches[0].records()[0].value if batches else None
        if code != NONE or read != value:
            self.problems.append(f"fetch at {answer.base_offset}: code {code}, {read!r}")
        self.rounds += 1
        self.slowest_s = max(self.slowest_s, time.monotonic() - started)

    def verdict(self, checks, part, slowest_max_s=5.0):
        """What it noticed since the last time."""
        problems, rounds, slowest = self.problems, self.rounds, self.slowest_s
        self.problems, self.rounds, self.slowest_s = [], 0, 0.0
        if not self.thread.is_alive():
            problems.append("its connection is gone")
        elif not rounds and not wait_until(lambda: self.rounds, slowest_max_s):
            problems.append(f"nothing went through for {slowest_max_s:.0f} s")
        if slowest > slowest_max_s:
            problems.append(f"a round took {slowest:.1f} s")
        checks.none(f"{part}: another client notices nothing", problems,
                    f"{rounds} records produced and read, slowest {slowest * 1000:.0f} ms")

    def stop(self):
        self.stopping.set()
        self.thread.join(30)
