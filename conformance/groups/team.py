"""A topic, its records, and the members of groups that read it: what a scenario is written with.

Belongs here: creating and producing, waiting for a state, and the checks that hold in every scenario: who owns what, that no
partition had two owners at a time, and that every record was read as expected. A check that fails raises.
"""

import struct
import time
from collections import Counter, defaultdict

import kafka_wire
from survival.checks import wait_until

from .members import Member, log_of

SETTLE_S, READ_S = 45, 45
OFFSET_FETCH, INCREMENTAL_ALTER_CONFIGS, GROUP, SET = 9, 44, 32, 0
# COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR.
COORDINATOR_IS_NOT_THERE = (14, 15, 16)
RETRY_S = 15


class ScenarioFailed(Exception):
    pass


def expect(right, text):
    if not right:
        raise ScenarioFailed(text() if callable(text) else text)


def set_group_config(bootstrap, group, name, value):
    """IncrementalAlterConfigs, version 0, on the resource GROUP."""
    config = kafka_wire.string(name) + struct.pack(">b", SET) + kafka_wire.string(value)
    resource = struct.pack(">b", GROUP) + kafka_wire.string(group) + kafka_wire.array([config])
    with kafka_wire.Connection(bootstrap) as connection:
        reader = connection.request(INCREMENTAL_ALTER_CONFIGS, 0, kafka_wire.array([resource]) + b"\0")
        reader.i32(), reader.i32()
        code, message = reader.i16(), reader.string()
    expect(code == 0, f"{name}={value} of group {group} is refused: {code}, {message}")


def offset_fetch(bootstrap, group):
    """OffsetFetch, version 5, for all partitions: the error, and (topic, partition) -> offset."""
    with kafka_wire.Connection(bootstrap) as connection:
        reader = connection.request(OFFSET_FETCH, 5, kafka_wire.string(group) + struct.pack(">i", -1))
    reader.i32()

    def partition():
        index, offset, _, _, code = reader.i32(), reader.i64(), reader.i32(), reader.string(), reader.i16()
        expect(code == 0, f"OffsetFetch answers {code} for partition {index}")
        return index, offset

    topics = reader.array(lambda: (reader.string(), reader.array(partition)))
    return reader.i16(), {(topic, index): offset for topic, partitions in topics for index, offset in partitions}


class Team:
    """One topic and who reads it."""

    def __init__(self, bootstrap, name, partitions, group=None):
        self.bootstrap, self.name, self.partitions = bootstrap, name, partitions
        self.topic, self.group = name, group or name
        self.members, self.produced = [], Counter()
        with kafka_wire.Connection(bootstrap) as connection:
            connection.create_topic(self.topic, partitions)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for member in self.members:
            member.end()

    def member(self, kind, name, group=None, **settings):
        configuration = {"bootstrap": self.bootstrap, "group": group or self.group, "topic": self.topic, "name": name,
                         **settings}
        member = Member(kind, configuration, log_of(f"{self.name}-{name}"))
        self.members.append(member)
        return member

    def delete(self):
        with kafka_wire.Connection(self.bootstrap) as connection:
            connection.delete_topic(self.topic)

    def running(self):
        return [member for member in self.members if member.is_running()]

    def produce(self, count, partitions=None):
        """`count` records more in each of the partitions; the value of a record names its place."""
        from confluent_kafka import Producer

        failed = []
        producer = Producer({"bootstrap.servers": self.bootstrap, "acks": "all", "linger.ms": 20, "log_level": 3})
        for partition in range(self.partitions) if partitions is None else partitions:
            for offset in range(self.produced[partition], self.produced[partition] + count):
                producer.produce(self.topic, f"{partition}:{offset}", partition=partition,
                                 on_delivery=lambda error, _: failed.append(error) if error else None)
            self.produced[partition] += count
        expect(producer.flush(30) == 0 and not failed, lambda: f"the records are not produced: {failed[:1]}")

    def settled(self, counts, members=None, seconds=SETTLE_S):
        """Waits until each partition has one owner, and the members own so many: [0, 1, 1] is one idle."""
        def owned():
            return [member.owns() for member in members or self.running()]

        def is_so():
            now = owned()
            return sorted(map(len, now)) == sorted(counts) and sorted(sum(now, [])) == list(range(self.partitions))

        expect(wait_until(is_so, seconds), lambda: f"members own {owned()}, expected {sorted(counts)} of {self.partitions}"
               f"{self.why()}")

    def why(self):
        """What members said that may tell why something is not so."""
        said = [f"{member.name}: {event}" for member in self.members for event in member.said("error", "commit-failed", "noise")]
        ended = [f"{member.name} has ended: {member.tail()}" for member in self.members
                 if not member.is_running() and member.ended_at is None and not member.said("closed")]
        return "".join(f"; {one}" for one in (said[-3:] + ended))[:1500]

    def read(self, members=None):
        """(partition, offset) -> how often it was read."""
        return Counter((partition, offset) for member in members or self.members for partition, offset, _ in member.read())

    def all_read(self, members=None, seconds=READ_S):
        """Waits until every record was read at least once."""
        wanted = {(partition, offset) for partition, count in self.produced.items() for offset in range(count)}
        expect(wait_until(lambda: wanted <= self.read(members).keys(), seconds),
               lambda: f"{len(wanted - self.read(members).keys())} of {len(wanted)} records were not read, first "
                       f"{sorted(wanted - self.read(members).keys())[:3]}{self.why()}")

    def committed_to_the_end(self, members, seconds=READ_S):
        """Waits until the members' last acknowledged commits are at the end of what was produced."""
        def furthest():
            offsets = Counter()
            for member in members:
                offsets |= Counter(member.last_committed())
            return offsets
        expect(wait_until(lambda: furthest() == self.produced, seconds),
               lambda: f"committed {dict(furthest())}, produced {dict(self.produced)}{self.why()}")

    def read_once(self, members=None):
        twice = [place for place, count in self.read(members).items() if count > 1]
        expect(not twice, lambda: f"{len(twice)} records were read twice, first {sorted(twice)[:3]}{self.why()}")

    def in_order(self):
        """Values are in their places; a member reads on where it stands, or after a new assignment where one stood."""
        for member in self.members:
            wrong = [(partition, offset, value) for partition, offset, value in member.read() if value != f"{partition}:{offset}"]
            expect(not wrong, lambda: f"{member.name} read {wrong[:3]}")

    def one_owner_at_a_time(self):
        intervals = defaultdict(list)
        for member in self.members:
            for partition, since, until, who in member.intervals():
                intervals[member.configuration["group"], partition].append((since, until or float("inf"), who))
        for (_, partition), some in intervals.items():
            some.sort()
            for (_, until, who), (since, _, other) in zip(some, some[1:]):
                expect(since >= until or who == other, f"{who} owned partition {partition} until {until}, {other} since {since}")

    def commits_of(self, group=None):
        """What OffsetFetch says of the topic's partitions: partition -> offset."""
        deadline = time.monotonic() + RETRY_S
        while True:
            code, found = offset_fetch(self.bootstrap, group or self.group)
            if code not in COORDINATOR_IS_NOT_THERE or time.monotonic() > deadline:
                expect(code == 0, f"OffsetFetch answers {code}")
                return {partition: offset for (topic, partition), offset in found.items() if topic == self.topic}
            time.sleep(0.05)

    def commits_are_at_the_end(self, group=None):
        """What OffsetFetch says; at once, but where a member does not tell that a commit was answered."""
        seconds = 0 if all(member.kind.hears_of_commits for member in self.members) else READ_S
        expect(wait_until(lambda: self.commits_of(group) == dict(self.produced), seconds),
               lambda: f"OffsetFetch says {self.commits_of(group)}, produced {dict(self.produced)}{self.why()}")

    def close(self):
        """All leave; what holds in every scenario must have held."""
        for member in self.running():
            member.process.stdin.close()
        problems = [problem for member in self.members if member.ended_at is None for problem in [member.ended()] if problem]
        expect(not problems, lambda: "; ".join(problems))
        self.in_order()
        self.one_owner_at_a_time()
