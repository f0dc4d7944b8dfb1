"""The shared scenario, for clients that have a Python face; `README.md` says the same in words.

Belongs here: what is produced, read and compared, in which order. A client is an adapter: a class with the methods that
`ClientUnderTest` names. An adapter returns `Record`s and raises `Refused` where the broker (or the client, after asking
the broker) says no.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

STORED_CODEC = Path(__file__).resolve().parent.parent / "wire" / "stored_codec"
SETTLE_S = 30
LIVE_RECORDS_PER_PARTITION = 3


@dataclass
class Record:
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list


class Refused(Exception):
    """The broker said no; the text holds the error's name as the client gives it."""


class Mismatch(Exception):
    pass


class ClientUnderTest:
    """What an adapter offers. `None` in a class attribute means that the client has no such API."""

    codecs = ["none", "gzip", "snappy", "lz4", "zstd"]
    idempotent = True
    keeps_timestamps = True
    null_header_values = True
    has_describe_configs = has_create_partitions = has_delete_topics = True

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap

    # admin: create_topic(name, partitions, configs), topics() -> {name: partitions}, topic_config(name) -> {k: v},
    #        create_partitions(name, total), delete_topic(name), unknown_topic(name) -> raises Refused
    # produce(topic, codec, round, records) -> [(partition, offset)] in the order of `records`, or None with acks=0
    # produce_too_large(topic, size) -> raises Refused
    # end_offset(topic, partition), offset_for_time(topic, partition, timestamp) -> (offset, timestamp) or None
    # read(topic, partition, start, count) -> [Record], start is "beginning" or an offset
    # tail(topic, partition, produce, count) -> [Record]: starts at the end, calls produce(), reads `count` records
    # read_out_of_range(topic, partition, offset) -> raises Refused
    # close()


def unhex(text):
    return None if text is None else bytes.fromhex(text)


class Scenario:
    def __init__(self, path):
        raw = json.loads(Path(path).read_text())
        self.run, self.partitions, self.configs = raw["run"], raw["partitions"], raw["topic_configs"]
        self.rounds, self.round_step_ms = raw["rounds"], raw["round_step_ms"]
        self.too_large_bytes, self.delete_codecs = raw["too_large_bytes"], raw["delete_codecs"]
        self.plain = [
            (r["feature"], Record(r["partition"], -1, r["timestamp"], unhex(r["key"]), unhex(r["value"]),
                                  [(name, unhex(value)) for name, value in r["headers"]]))
            for r in raw["records"]
        ]

    def records(self, round_number, keep=lambda feature, record: True):
        shift = round_number * self.round_step_ms
        return [Record(r.partition, -1, r.timestamp + shift, r.key, r.value, r.headers)
                for feature, r in self.plain if keep(feature, r)]


class Run:
    """One client's run of the scenario: every check is counted, the first that fails ends it."""

    def __init__(self, client, scenario, prefix):
        self.client, self.scenario, self.prefix = client, scenario, prefix
        if not client.null_header_values:
            for _, record in scenario.plain:
                record.headers = [(name, value or b"") for name, value in record.headers]
        self.checks = self.compared = 0

    def equal(self, what, got, wanted):
        self.checks += 1
        if got != wanted:
            raise Mismatch(f"{what}: got {got!r:.600}, wanted {wanted!r:.600}")

    def refused(self, what, call, *names):
        """`call` must fail, and say one of `names`."""
        self.checks += 1
        try:
            result = call()
        except Refused as error:
            if not any(name in str(error) for name in names):
                raise Mismatch(f"{what}: refused with {error}, wanted {' or '.join(names)}") from error
            return
        raise Mismatch(f"{what}: not refused, returned {result!r:.300}")

    def compare(self, what, got, wanted):
        """Records read against records produced, field by field, so that a failure names the field."""
        self.equal(f"{what}: number of records", len(got), len(wanted))
        for one, other in zip(got, wanted):
            for field in ("partition", "offset", "key", "value", "headers"):
                self.equal(f"{what}: {field} at offset {other.offset}", getattr(one, field), getattr(other, field))
            if self.client.keeps_timestamps:
                self.equal(f"{what}: timestamp at offset {other.offset}", one.timestamp, other.timestamp)
            self.compared += 1

    def wait(self, what, probe, wanted):
        deadline = time.monotonic() + SETTLE_S
        while (got := probe()) != wanted and time.monotonic() < deadline:
            time.sleep(0.05)
        self.equal(what, got, wanted)

    def say(self, text):
        print(f"ok {text}", flush=True)

    # The steps.

    def everything(self):
        first = None
        for codec in self.client.codecs:
            topic = f"{self.prefix}-{codec}"
            self.create(topic)
            log = self.produce_rounds(topic, codec)
            self.read_back(topic, log)
            self.read_tail(topic, codec, log)
            self.stored_codec(topic, codec, sum(map(len, log)))
            self.say(f"{codec}: {sum(map(len, log))} records")
            first = first or (topic, log)
        self.errors(*first)
        self.admin(first[0])

    def create(self, topic):
        self.client.create_topic(topic, self.scenario.partitions, self.scenario.configs)
        self.wait(f"partitions of {topic}", lambda: self.client.topics().get(topic), self.scenario.partitions)
        self.leaders_answer(topic, range(self.scenario.partitions))

    def leaders_answer(self, topic, partitions):
        """Metadata may name a leader that does not know it yet; a retry would reorder records, acks=0 lose them."""
        for partition in partitions:
            self.wait(f"end offset of new {topic}-{partition}", lambda p=partition: self.end_or_none(topic, p), 0)

    def end_or_none(self, topic, partition):
        try:
            return self.client.end_offset(topic, partition)
        except Refused:
            return None

    def produce_rounds(self, topic, codec):
        """Returns the log that each partition must now hold."""
        log = [[] for _ in range(self.scenario.partitions)]
        for number, settings in enumerate(self.scenario.rounds):
            if settings["idempotent"] and not self.client.idempotent:
                continue
            records = self.scenario.records(number)
            started_ms = int(time.time() * 1000)
            acknowledged = self.client.produce(topic, codec, settings, records)
            for record in records:
                record.offset = len(log[record.partition])
                log[record.partition].append(record)
            if acknowledged is not None:
                self.equal(f"{topic}, {settings['name']}: acknowledged partitions and offsets", acknowledged,
                           [(r.partition, r.offset) for r in records])
            for partition, wanted in enumerate(log):
                self.wait(f"{topic}-{partition}, {settings['name']}: end offset",
                          lambda p=partition: self.client.end_offset(topic, p), len(wanted))
            if not self.client.keeps_timestamps:
                self.stamps(topic, log, started_ms)
        return log

    def stamps(self, topic, log, started_ms):
        """A client that stamps records itself: the stamps must lie within the round, and are then expected again."""
        for partition, wanted in enumerate(log):
            new = [r for r in wanted if r.timestamp < started_ms - self.scenario.round_step_ms]
            if not new:
                continue
            for got, record in zip(self.client.read(topic, partition, new[0].offset, len(new)), new):
                self.equal(f"{topic}-{partition}: timestamp {got.timestamp} at offset {record.offset} is from now",
                           started_ms - 1 <= got.timestamp <= time.time() * 1000 + 1, True)
                record.timestamp = got.timestamp

    def read_back(self, topic, log):
        for partition, wanted in enumerate(log):
            where = f"{topic}-{partition}"
            got = self.client.read(topic, partition, "beginning", len(wanted))
            self.compare(f"{where} from the beginning", got, wanted)
            if not self.client.keeps_timestamps:
                self.equal(f"{where}: timestamps", [r.timestamp for r in got], [r.timestamp for r in wanted])
            for start in (1, len(wanted) // 2, len(wanted) - 1):
                rest = wanted[start:start + 50]
                self.compare(f"{where} from offset {start}", self.client.read(topic, partition, start, len(rest)), rest)
            self.by_time(topic, partition, wanted)

    def by_time(self, topic, partition, wanted):
        """From a time: the first offset whose timestamp is not below it, exactly, also inside a batch."""
        where = f"{topic}-{partition}"
        stamps = [r.timestamp for r in wanted]
        middle = len(stamps) // 2
        for target in (stamps[0] - 5000, stamps[0], stamps[7], stamps[12] - 1, stamps[middle], stamps[middle + 3] + 1,
                       max(stamps), max(stamps) + 1):
            found = next(((r.offset, r.timestamp) for r in wanted if r.timestamp >= target), None)
            self.equal(f"{where}: first offset from time {target}", self.client.offset_for_time(topic, partition, target),
                       found)
            if found:
                rest = wanted[found[0]:found[0] + 5]
                self.compare(f"{where} from time {target}",
                             self.client.read(topic, partition, found[0], len(rest)), rest)

    def read_tail(self, topic, codec, log):
        """From the end: only what is produced after the consumer took its place."""
        settings = {"name": "tail", "acks": "all", "idempotent": False}
        for partition in range(self.scenario.partitions):
            new = self.scenario.records(len(self.scenario.rounds), lambda f, r: f and r.partition == partition)
            new = new[:LIVE_RECORDS_PER_PARTITION]
            for record in new:
                record.offset = len(log[partition])
                log[partition].append(record)
            got = self.client.tail(topic, partition, lambda: self.client.produce(topic, codec, settings, new), len(new))
            self.compare(f"{topic}-{partition} from the end", got, new)

    def stored_codec(self, topic, codec, records):
        self.checks += 1
        done = subprocess.run(
            [STORED_CODEC, "--bootstrap", self.client.bootstrap, "--topic", topic, "--expect", codec,
             "--records", str(records)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Mismatch(done.stderr.strip()[:600])

    def errors(self, topic, log):
        unknown = f"{self.prefix}-unknown"
        self.refused("a topic that is not there", lambda: self.client.unknown_topic(unknown),
                     "UNKNOWN_TOPIC_OR_PART", "UnknownTopicOrPartition", "Unknown topic")
        self.equal("the unknown topic was not created", unknown in self.client.topics(), False)
        self.refused("an offset beyond the end",
                     lambda: self.client.read_out_of_range(topic, 0, len(log[0]) + 1000),
                     "OFFSET_OUT_OF_RANGE", "OffsetOutOfRange", "Offset out of range")
        self.refused("a record above max.message.bytes",
                     lambda: self.client.produce_too_large(topic, self.scenario.too_large_bytes),
                     "MSG_SIZE_TOO_LARGE", "MessageSizeTooLarge", "Message size too large", "MESSAGE_TOO_LARGE")
        self.wait("end offset after a refused record", lambda: self.client.end_offset(topic, 0), len(log[0]))
        self.say("errors: unknown topic, offset out of range, record too large")

    def admin(self, topic):
        done = ["metadata"]
        listed = self.client.topics()
        for codec in self.client.codecs:
            self.equal(f"partitions of {self.prefix}-{codec}", listed.get(f"{self.prefix}-{codec}"),
                       self.scenario.partitions)
        if self.client.has_describe_configs:
            config = self.client.topic_config(topic)
            for key, value in {**self.scenario.configs, "cleanup.policy": "delete"}.items():
                self.equal(f"config {key} of {topic}", config.get(key), value)
            done.append("describe configs")
        if self.client.has_create_partitions:
            self.grow(topic)
            done.append("create partitions")
        if self.client.has_delete_topics:
            for codec in self.scenario.delete_codecs:
                self.client.delete_topic(f"{self.prefix}-{codec}")
                self.wait(f"{self.prefix}-{codec} is gone",
                          lambda c=codec: f"{self.prefix}-{c}" in self.client.topics(), False)
            done.append("delete topics")
        self.say("admin: " + ", ".join(done))

    def grow(self, topic):
        total = self.scenario.partitions + 2
        self.client.create_partitions(topic, total)
        self.wait(f"partitions of {topic}", lambda: self.client.topics().get(topic), total)
        self.leaders_answer(topic, range(self.scenario.partitions, total))
        [record] = self.scenario.records(0, lambda f, r: r.key == self.scenario.plain[0][1].key)[:1]
        record.partition, record.offset = total - 1, 0
        settings = {"name": "grown", "acks": "all", "idempotent": False}
        self.client.produce(topic, "none", settings, [record])
        got = self.client.read(topic, total - 1, "beginning", 1)
        self.compare(f"{topic}-{total - 1}", got, [record])


def main(adapter, run_class=Run):
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--bootstrap", required=True)
    arguments.add_argument("--scenario", required=True)
    arguments.add_argument("--prefix", required=True)
    options = arguments.parse_args()
    client = adapter(options.bootstrap)
    run = run_class(client, Scenario(options.scenario), options.prefix)
    try:
        run.everything()
    except (Mismatch, Refused) as error:
        sys.exit(f"FAILED {type(error).__name__}: {error}")
    finally:
        client.close()
    print(f"conformance: {run.compared} records compared, {run.checks} checks, codecs {','.join(client.codecs)}",
          flush=True)
