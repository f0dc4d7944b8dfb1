"""Load for the power cut: produces and logs each promise, or checks what is left of the promises.

  load.py produce BOOTSTRAP ACKS --counter FILE --seconds S    one line a promise, see below
  load.py verify  BOOTSTRAP ACKS --cut N                       exit status 1: a promise was broken

The lines of ACKS; SEQ is the recorder's counter read after the promise was heard, so that every cut at
SEQ or later must keep it; BEFORE is the counter read before the request was sent: cuts up to it know
nothing of the request.

  t TOPIC BEFORE SEQ                               the topic is created
  x TOPIC BEFORE SEQ                               the topic is deleted
  r TOPIC PARTITION OFFSET NUMBER SEQ              the record is stored
  d TOPIC PARTITION LOG_START BEFORE SEQ           records below LOG_START are deleted
"""

import argparse
import collections
import hashlib
import mmap
import random
import struct
import sys
import threading
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

# Small records that share journal groups; runs that go straight to their segments, idempotent; segments
# that roll each second; a log whose start moves.
TOPICS = {
    "small": (8, {}),
    "bulk": (2, {}),
    "rolled": (3, {"segment.bytes": str(1 << 20)}),
    "trimmed": (1, {"segment.bytes": str(1 << 20)}),
}
IDEMPOTENT = ("bulk",)
PRODUCERS = {
    "small": {"acks": "all", "linger.ms": 0},
    "bulk": {"enable.idempotence": True, "linger.ms": 20, "batch.size": 900_000},
    "rolled": {"acks": 1, "linger.ms": 5, "compression.type": "lz4"},
    "trimmed": {"acks": 1, "linger.ms": 2},
}
REQUEST_SECONDS_MAX = 30.0
READ_SECONDS_MAX = 120.0
TICK_SECONDS = 0.01
LIFECYCLE_SECONDS = 0.3
# A record's number tells in which life of the node it was produced, and no two are the same.
NUMBERS_OF_A_LIFE = 1_000_000_000
FINDINGS_SHOWN_MAX = 10


def value_of(topic, number, length):
    """Tells itself which record it is, in every byte."""
    head = f"{topic}/{number}/{length}/".encode()
    filler = hashlib.sha256(head).digest()
    return (head + filler * (length // len(filler) + 1))[: max(length, len(head))]


def number_of(topic, value):
    """The number of a record that was produced by this program, whole; else None."""
    parts = value[:80].split(b"/", 3)
    if len(parts) < 4 or parts[0] != topic.encode() or not parts[1].isdigit() or not parts[2].isdigit():
        return None
    number = int(parts[1])
    return number if value_of(topic, number, int(parts[2])) == value else None


class Promises:
    """The log of what was promised, with the recorder's counter."""

    def __init__(self, acks, counter):
        self.file, self.lock = open(acks, "a"), threading.Lock()
        with open(counter, "rb") as file:
            self.map = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)
        self.records = self.failed = self.bytes = 0

    def sequence(self):
        return struct.unpack("<Q", self.map[:8])[0]

    def add(self, *words):
        sequence = self.sequence()
        with self.lock:
            print(*words, sequence, file=self.file)

    def on_delivery(self, number):
        def delivered(error, record):
            if error is not None:
                self.failed += 1
                return
            self.add("r", record.topic(), record.partition(), record.offset(), number)
            self.records += 1
            self.bytes += len(record.value())

        return delivered


class Load:
    def __init__(self, bootstrap, promises, seed, durability, life):
        self.promises, self.random, self.durability = promises, random.Random(seed + life), durability
        self.life = life
        self.admin = AdminClient({"bootstrap.servers": bootstrap})
        common = {"bootstrap.servers": bootstrap, "queue.buffering.max.messages": 1_000_000}
        self.producers = {topic: Producer(common | own) for topic, own in PRODUCERS.items()}
        self.numbers = collections.Counter(dict.fromkeys(TOPICS, life * NUMBERS_OF_A_LIFE))
        self.trimmed_end = 0

    def create(self, topic, partitions, config):
        before = self.promises.sequence()
        if self.durability != "fsync":
            config = config | {"corelane.durability": self.durability}
        new = NewTopic(topic, num_partitions=partitions, replication_factor=1, config=config)
        self.admin.create_topics([new], request_timeout=REQUEST_SECONDS_MAX)[topic].result()
        self.promises.add("t", topic, before)

    def delete(self, topic):
        before = self.promises.sequence()
        self.admin.delete_topics([topic], request_timeout=REQUEST_SECONDS_MAX)[topic].result()
        self.promises.add("x", topic, before)

    def delete_records(self, topic, offset):
        before = self.promises.sequence()
        what = TopicPartition(topic, 0, offset)
        self.admin.delete_records([what], request_timeout=REQUEST_SECONDS_MAX)[what].result()
        self.promises.add("d", topic, 0, offset, before)

    def produce(self, topic, partition, length):
        number = self.numbers[topic]
        self.numbers[topic] += 1
        value = value_of(topic, number, length)
        self.producers[topic].produce(
            topic, value, partition=partition, on_delivery=self.promises.on_delivery(number)
        )

    def tick(self, number):
        draw = self.random
        for _ in range(draw.randrange(1, 20)):
            self.produce("small", draw.randrange(8), draw.randrange(20, 1500))
        for _ in range(4):
            self.produce("rolled", draw.randrange(3), draw.randrange(500, 8000))
        self.produce("trimmed", 0, draw.randrange(20, 3000))
        if number % 10 == 0:
            partition = draw.randrange(2)
            for _ in range(draw.randrange(5, 60)):
                self.produce("bulk", partition, 16_000)

    def lifecycle(self, stop, errors):
        """Topics come and go, and a log's start moves, beside the records."""
        try:
            number = 0
            while not stop.wait(LIFECYCLE_SECONDS):
                self.create(f"transient-{self.life}-{number}", 1 + number % 3, {})
                if number >= 2:
                    self.delete(f"transient-{self.life}-{number - 2}")
                if self.promises.records > 0 and self.trimmed_end > 0:
                    self.delete_records("trimmed", self.random_offset())
                number += 1
        except Exception as error:  # told by the main thread
            errors.append(error)

    def random_offset(self):
        return random.Random(self.trimmed_end).randrange(self.trimmed_end // 2, self.trimmed_end)

    def run(self, seconds):
        for topic, (partitions, config) in TOPICS.items() if self.life == 0 else ():
            self.create(topic, partitions, config)
        stop, errors = threading.Event(), []
        other = threading.Thread(target=self.lifecycle, args=(stop, errors))
        other.start()
        end, number = time.monotonic() + seconds, 0
        try:
            while time.monotonic() < end and not errors:
                self.tick(number)
                number += 1
                wake = time.monotonic() + TICK_SECONDS
                while time.monotonic() < wake:
                    for producer in self.producers.values():
                        producer.poll(TICK_SECONDS / 10)
                # Its end is above this in later lives, too: they append to what is there.
                self.trimmed_end = max(0, self.numbers["trimmed"] - self.life * NUMBERS_OF_A_LIFE - 1000)
        finally:
            stop.set()
            other.join()
        for producer in self.producers.values():
            producer.flush(REQUEST_SECONDS_MAX)
        if errors:
            raise errors[0]


class Expected:
    """What must be there at the cut, and what may be missing."""

    def __init__(self, acks, cut):
        self.cut = cut
        self.records = collections.defaultdict(dict)
        self.created, self.deleted, self.maybe_deleted = set(), set(), set()
        self.log_start, self.maybe_log_start = collections.Counter(), collections.Counter()
        with open(acks) as lines:
            for line in lines:
                self.take(line.split())

    def take(self, words):
        kind, topic, sequence = words[0], words[1], int(words[-1])
        promised = sequence <= self.cut
        if kind == "r" and promised:
            self.records[topic, int(words[2])][int(words[3])] = int(words[4])
        elif kind == "t" and promised:
            self.created.add(topic)
        elif kind == "x":
            if promised:
                self.deleted.add(topic)
            if int(words[2]) < self.cut:
                self.maybe_deleted.add(topic)
        elif kind == "d":
            where, offset = (topic, int(words[2])), int(words[3])
            if promised:
                self.log_start[where] = max(self.log_start[where], offset)
            if int(words[4]) < self.cut:
                self.maybe_log_start[where] = max(self.maybe_log_start[where], offset)

    def check_topics(self, present):
        findings = [f"topic {topic} is lost" for topic in sorted(self.created - self.maybe_deleted - present)]
        return findings + [f"deleted topic {topic} is back" for topic in sorted(self.deleted & present)]

    def check_partition(self, topic, partition, found):
        """`found`: offset and number (None: not a record of ours) of all records, as they were read."""
        where, findings = (topic, partition), []
        offsets = [offset for offset, _ in found]
        findings += [f"{topic}-{partition}: offset {b} follows {a}" for a, b in zip(offsets, offsets[1:]) if b != a + 1]
        findings += [f"{topic}-{partition}@{offset}: not a record of ours" for offset, number in found if number is None]
        numbers = [number for _, number in found if number is not None]
        if topic in IDEMPOTENT and any(b <= a for a, b in zip(numbers, numbers[1:])):
            findings.append(f"{topic}-{partition}: records of an idempotent producer twice or out of order")
        if offsets and offsets[0] < self.log_start[where]:
            findings.append(f"{topic}-{partition}: deleted records are back from {offsets[0]}")
        have = dict(found)
        for offset, number in self.records[where].items():
            if have.get(offset, -1) != number and not (offset < self.maybe_log_start[where] and offset not in have):
                findings.append(f"{topic}-{partition}@{offset}: record {number} is lost (there: {have.get(offset)})")
        return findings


def read_all(bootstrap, partitions):
    """Everything that the node serves, by partition."""
    found = {where: [] for where in partitions}
    if not partitions:
        return found
    consumer = Consumer({
        "bootstrap.servers": bootstrap, "group.id": "power-cut", "enable.auto.commit": False,
        "enable.partition.eof": True, "auto.offset.reset": "error",
    })
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for topic, partition in partitions])
    left, end = set(partitions), time.monotonic() + READ_SECONDS_MAX
    while left:
        if time.monotonic() > end:
            raise KafkaException(f"not read to the end within {READ_SECONDS_MAX:.0f} s: {sorted(left)}")
        for record in consumer.consume(1000, timeout=0.5):
            error, where = record.error(), (record.topic(), record.partition())
            if error is None:
                found[where].append((record.offset(), number_of(record.topic(), record.value())))
            elif error.code() == KafkaError._PARTITION_EOF:
                left.discard(where)
            else:
                raise KafkaException(error)
    consumer.close()
    return found


def verify(arguments):
    expected = Expected(arguments.acks, arguments.cut)
    metadata = AdminClient({"bootstrap.servers": arguments.bootstrap}).list_topics(timeout=REQUEST_SECONDS_MAX)
    present = {topic: len(of.partitions) for topic, of in metadata.topics.items() if not topic.startswith("__")}
    findings = expected.check_topics(set(present))
    partitions = [(topic, partition) for topic, count in present.items() for partition in range(count)]
    found = read_all(arguments.bootstrap, partitions)
    for topic, partition in sorted(set(partitions) | set(expected.records)):
        if topic not in present and topic in expected.maybe_deleted:
            continue
        findings += expected.check_partition(topic, partition, found.get((topic, partition), []))
    promised = sum(len(of) for of in expected.records.values())
    print(f"{promised} records promised, {sum(map(len, found.values()))} read, {len(findings)} findings")
    for finding in findings[:FINDINGS_SHOWN_MAX]:
        print(f"  {finding}")
    return 1 if findings else 0


def produce(arguments):
    promises = Promises(arguments.acks, arguments.counter)
    load = Load(arguments.bootstrap, promises, arguments.seed, arguments.durability, arguments.life)
    load.run(arguments.seconds)
    promises.file.close()
    print(f"{promises.records} records acknowledged ({promises.bytes >> 20} MiB), {promises.failed} failed")
    return 0 if promises.records > 0 else 2


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("produce", "verify"))
    parser.add_argument("bootstrap")
    parser.add_argument("acks")
    parser.add_argument("--counter")
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--life", type=int, default=0, help="how often the node was started before")
    parser.add_argument("--durability", choices=("fsync", "memory"), default="fsync")
    parser.add_argument("--cut", type=int, default=0)
    arguments = parser.parse_args()
    return produce(arguments) if arguments.what == "produce" else verify(arguments)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KafkaException as error:
        print(f"load: {error}")
        sys.exit(2)
