"""What producers were promised and what is in the log: every record says which it is, in every byte of its value.

Belongs here: the records of the programs in which a node dies, the list of acknowledged ones, and the comparison of both
with what consumers read. Nothing about how a node is started or ended.

A record is one integer: the number of its producer and its sequence in that producer.
"""

import random
import threading
import time
from array import array
from collections import defaultdict
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, TopicPartition

import kafka_wire
from survival.checks import wait_until

SEQUENCE_BITS = 40
SEQUENCE_MASK = (1 << SEQUENCE_BITS) - 1
FILLER = random.Random(1).randbytes(1 << 17)
FILLER_STEPS = 4096
STALLED_S = 60
# A node that is ready leads all its partitions; Kafka takes a while.
LED_S = 15
# Problems of one kind are all alike; the first ones tell the story.
PROBLEMS_MAX = 1000


def value_of(producer, sequence, length):
    head = b"%d/%d/%d/" % (producer, sequence, length)
    start = sequence % FILLER_STEPS
    return head + FILLER[start:start + max(0, length - len(head))]


def record_of(value):
    """The record with this value; None if nobody wrote these bytes."""
    parts = value[:64].split(b"/", 3)
    try:
        producer, sequence, length = int(parts[0]), int(parts[1]), int(parts[2])
    except (ValueError, IndexError):
        return None
    return producer << SEQUENCE_BITS | sequence if value_of(producer, sequence, length) == value else None


@dataclass
class Promise:
    """What one producer may count on beyond its acknowledged records."""

    name: str
    # No record twice.
    once: bool
    # The first copy of each record comes after the first copies of all before it.
    ordered: bool


class Ledger:
    """All producers' acknowledged records, and what every partition was seen to hold."""

    def __init__(self):
        self.producers, self.acknowledged = [], defaultdict(dict)
        self.lock = threading.Lock()
        self.content = defaultdict(lambda: array("q"))

    def producer(self, name, once, ordered):
        """The number of a new producer."""
        with self.lock:
            self.producers.append(Promise(name, once, ordered))
            return len(self.producers) - 1

    def acknowledge(self, topic, partition, offset, producer, sequence):
        with self.lock:
            self.acknowledged[topic, partition][offset] = producer << SEQUENCE_BITS | sequence

    def snapshot(self):
        """Partition -> {offset: record}, as of now."""
        with self.lock:
            return {partition: dict(records) for partition, records in self.acknowledged.items()}

    def count(self):
        with self.lock:
            return sum(map(len, self.acknowledged.values()))

    def name(self, record):
        producer = record >> SEQUENCE_BITS
        known = self.producers[producer].name if 0 <= producer < len(self.producers) else f"producer {producer}"
        return f"{known}'s record {record & SEQUENCE_MASK}"

    def read_on(self, bootstrap, partitions, again=False):
        """Reads what is new in the partitions (with `again` all of it): the problems.

        Offsets must be dense, the log must begin at 0, every byte must be one that was written, and nothing that was read
        once may read differently later.
        """
        problems, starts, ends = [], {}, {}
        with kafka_wire.Connection(bootstrap) as connection:
            for topic, partition in partitions:
                wait_until(lambda: connection.list_offset_or_none(topic, partition) is not None, LED_S)
                start = connection.list_offset(topic, partition, kafka_wire.EARLIEST)
                ends[topic, partition] = end = connection.list_offset(topic, partition, kafka_wire.LATEST)
                seen = self.content[topic, partition]
                starts[topic, partition] = 0 if again else len(seen)
                if start != 0:
                    problems.append(f"{topic}-{partition} begins at {start}")
                if end < len(seen):
                    problems.append(f"{topic}-{partition} ends at {end}, and {len(seen)} records were read before")
                    starts[topic, partition] = min(starts[topic, partition], end)
        expected = dict(starts)

        def on_record(where, offset, value):
            if len(problems) > PROBLEMS_MAX:
                return
            if offset != expected[where]:
                problems.append(f"{where[0]}-{where[1]}: offset {offset} follows {expected[where] - 1}")
            expected[where] = offset + 1
            record = record_of(value)
            seen = self.content[where]
            if record is None:
                problems.append(f"{where[0]}-{where[1]}: nobody wrote the value at {offset}")
            elif offset < len(seen):
                if seen[offset] != record:
                    problems.append(f"{where[0]}-{where[1]} at {offset}: {self.name(record)}, and before "
                                    f"{self.name(seen[offset])}")
            elif offset == len(seen):
                seen.append(record)

        problems += read(bootstrap, starts, ends, on_record)
        return problems

    def broken(self, acknowledged):
        """The promises that the content breaks: acknowledged records that are not at their offsets, records twice, or out
        of order."""
        problems = []
        for where, records in acknowledged.items():
            seen = self.content[where]
            for offset, record in records.items():
                if offset >= len(seen) or seen[offset] != record:
                    there = self.name(seen[offset]) if offset < len(seen) else f"the end is {len(seen)}"
                    problems.append(f"{where[0]}-{where[1]} at {offset}: {self.name(record)} is lost ({there})")
        for where, seen in self.content.items():
            problems += self._order(where, seen)
        return problems

    def _order(self, where, seen):
        problems, last, copies = [], {}, set()
        for offset, record in enumerate(seen):
            producer = record >> SEQUENCE_BITS
            promise = self.producers[producer]
            if record in copies:
                if promise.once:
                    problems.append(f"{where[0]}-{where[1]} at {offset}: {self.name(record)} is there twice")
                continue
            copies.add(record)
            if promise.ordered and record < last.get(producer, -1):
                problems.append(f"{where[0]}-{where[1]} at {offset}: {self.name(record)} follows "
                                f"{self.name(last[producer])}")
            last[producer] = record
        return problems

    def copies(self):
        """Records that are in the log more than once."""
        return sum(len(seen) - len(set(seen)) for seen in self.content.values())


def read(bootstrap, starts, ends, on_record):
    """Reads partitions between offsets with librdkafka, which checks the CRCs; the problems."""
    positions = {where: start for where, start in starts.items() if start < ends[where]}
    if not positions:
        return []
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "nobody", "enable.auto.commit": False,
                         "check.crcs": True, "auto.offset.reset": "error", "log_level": 2,
                         "fetch.wait.max.ms": 50, "fetch.error.backoff.ms": 50, "queued.min.messages": 100_000})
    try:
        consumer.assign([TopicPartition(topic, partition, start) for (topic, partition), start in positions.items()])
        moved = time.monotonic()
        while positions:
            for message in consumer.consume(10_000, 0.5):
                if message.error():
                    if message.error().code() == KafkaError._PARTITION_EOF or message.error().retriable():
                        continue
                    if message.error().code() in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):
                        continue
                    return [f"{message.topic()}-{message.partition()}: {message.error()}"]
                where, offset = (message.topic(), message.partition()), message.offset()
                if where not in positions:
                    continue
                on_record(where, offset, message.value())
                moved = time.monotonic()
                positions[where] = offset + 1
                if offset + 1 >= ends[where]:
                    del positions[where]
                    consumer.incremental_unassign([TopicPartition(*where)])
            if time.monotonic() - moved > STALLED_S:
                return [f"{topic}-{partition}: nothing at {at} for {STALLED_S} s, its end is {ends[topic, partition]}"
                        for (topic, partition), at in positions.items()]
        return []
    finally:
        consumer.close()
