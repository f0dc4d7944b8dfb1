"""Producers that go on through a node's deaths, and write down what they were promised.

| producer | client | promise beyond "acknowledged is there" |
|---|---|---|
| idempotent | librdkafka, acks=all, five requests in flight | once, in order |
| all | librdkafka, acks=all, one request in flight | first copies in order |
| one | librdkafka, acks=1, five in flight | |
| raw | one record a request, never sent again | once, in order |
"""

import random
import threading
import time

from confluent_kafka import Producer

import kafka_wire
from survival import wire
from survival.ledger import value_of

KINDS = {
    "idempotent": ({"enable.idempotence": True, "linger.ms": 5}, True, True),
    "all": ({"acks": "all", "max.in.flight": 1, "linger.ms": 2}, False, True),
    "one": ({"acks": 1, "linger.ms": 5, "compression.type": "lz4"}, False, False),
}
# Nothing is given up, and a node that is back is found at once.
PATIENT = {
    "message.timeout.ms": 0, "retry.backoff.ms": 20, "retry.backoff.max.ms": 100, "reconnect.backoff.ms": 10,
    "reconnect.backoff.max.ms": 100, "socket.timeout.ms": 10_000, "queue.buffering.max.messages": 100_000, "log_level": 2,
    "topic.metadata.refresh.interval.ms": 1000,
}
WAITING_MAX = 20_000
JOIN_S = 60


class Load:
    """Threads of producers; `stop` flushes them and says what is wrong."""

    def __init__(self, bootstrap, ledger, topics, seed, record_bytes=(20, 1500), pause_s=0.002):
        """`topics`: name -> partitions."""
        self.bootstrap, self.ledger, self.topics = bootstrap, ledger, topics
        self.seed, self.record_bytes, self.pause_s = seed, record_bytes, pause_s
        self.stopping, self.problems, self.threads = threading.Event(), [], []
        self.unresolved = 0

    def start(self, kinds=("idempotent", "idempotent", "all", "one"), raw=2):
        for number, kind in enumerate(kinds):
            self._thread(self._librdkafka, kind, f"{kind}-{number}")
        for number in range(raw):
            self._thread(self._raw, f"raw-{number}")
        return self

    def _thread(self, work, *arguments):
        def run():
            try:
                work(*arguments)
            except Exception as error:
                self.problems.append(f"{arguments[-1]}: {type(error).__name__}: {error}")
        self.threads.append(threading.Thread(target=run, daemon=True))
        self.threads[-1].start()

    def _where(self, draw):
        topic = draw.choice(list(self.topics))
        return topic, draw.randrange(self.topics[topic])

    def _librdkafka(self, kind, name):
        config, once, ordered = KINDS[kind]
        number = self.ledger.producer(name, once, ordered)
        producer = Producer(PATIENT | config | {"bootstrap.servers": self.bootstrap, "error_cb": self._on_error(name)})
        draw, sequence = random.Random(f"{self.seed}{name}"), 0

        def delivered(at):
            def on_delivery(error, message):
                if error is not None:
                    self.problems.append(f"{name}: record {at}: {error}")
                    return
                self.ledger.acknowledge(message.topic(), message.partition(), message.offset(), number, at)
            return on_delivery

        while not self.stopping.is_set():
            topic, partition = self._where(draw)
            for _ in range(draw.randrange(1, 40)):
                value = value_for(draw, self.record_bytes, number, sequence)
                try:
                    producer.produce(topic, value, partition=partition, on_delivery=delivered(sequence))
                except BufferError:
                    break
                sequence += 1
            producer.poll(self.pause_s)
            while len(producer) > WAITING_MAX and not self.stopping.is_set():
                producer.poll(0.05)
        self.unresolved += producer.flush(JOIN_S / 2)
        producer.purge()

    def _on_error(self, name):
        def on_error(error):
            if error.fatal():
                self.problems.append(f"{name}: fatal: {error}")
        return on_error

    def _raw(self, name):
        number = self.ledger.producer(name, True, True)
        draw, sequence, connection = random.Random(f"{self.seed}{name}"), 0, None
        while not self.stopping.is_set():
            topic, partition = self._where(draw)
            value = value_for(draw, self.record_bytes, number, sequence)
            sequence += 1
            try:
                connection = connection or wire.Wire(self.bootstrap, timeout=10)
                answer = connection.append(topic, partition, wire.NewBatch([value]).encode(), acks=draw.choice((1, -1)))
                if answer.code == wire.NONE:
                    self.ledger.acknowledge(topic, partition, answer.base_offset, number, sequence - 1)
            except (OSError, kafka_wire.WireError):
                if connection:
                    connection.close()
                connection = None
                time.sleep(0.01)
            time.sleep(self.pause_s / 2)

    def stop(self):
        """Ends the producers while the node answers; the problems."""
        self.stopping.set()
        for thread in self.threads:
            thread.join(JOIN_S)
        if any(thread.is_alive() for thread in self.threads):
            self.problems.append(f"a producer did not end within {JOIN_S} s")
        return self.problems


def value_for(draw, record_bytes, number, sequence):
    return value_of(number, sequence, draw.randrange(*record_bytes))
