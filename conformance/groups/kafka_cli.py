"""Kafka's own command-line tools, from its jars, against a node: what they print, and what they did.

Two jobs, each a sequence of runs of the tools. What a tool changed is looked up through another way: OffsetFetch, a raw
connection, or another tool. Belongs here: nothing that is not about these tools.
"""

import json
import re
import subprocess
import tempfile
from pathlib import Path

import kafka_wire
from harness import install
from survival.checks import wait_until

from .members import JAVA, KINDS
from .team import Team, expect

TOOLS = {
    "kafka-topics": "org.apache.kafka.tools.TopicCommand",
    "kafka-configs": "kafka.admin.ConfigCommand",
    "kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "kafka-delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
}
DUMP = "org.apache.kafka.tools.DumpLogSegments"
TOOL_S = 90


def java(program, *arguments, standard_input=""):
    """(exit code, all that it printed)."""
    done = subprocess.run([*JAVA, "-cp", install.kafka(), program, *map(str, arguments)], input=standard_input, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace", timeout=TOOL_S, check=False)
    return done.returncode, done.stdout


class Tools:
    def __init__(self, bootstrap):
        self.bootstrap, self.runs = bootstrap, 0

    def run(self, tool, *arguments, standard_input="", fails=False):
        """What it printed. Some of the tools end with 0 whatever happened; an error is then in what they say."""
        self.runs += 1
        code, said = java(TOOLS[tool], "--bootstrap-server", self.bootstrap, *arguments, standard_input=standard_input)
        failed = code != 0 or re.search(r"\b(Error|Exception)\b", said) is not None
        expect(failed == fails, f"{tool} {' '.join(map(str, arguments))} ended with {code}: {said[-800:]}")
        return said

    def groups(self, *arguments, **more):
        return self.run("kafka-consumer-groups", *arguments, **more)

    def says(self, wanted, tool, *arguments, **more):
        """Runs it; its output must have a line that matches."""
        said = self.run(tool, *arguments, **more)
        expect(re.search(wanted, said, re.MULTILINE), f"{tool} {' '.join(map(str, arguments))}: no {wanted!r} in {said[-800:]}")
        return said


def topic_tools(place):
    tools, topic, group = Tools(place.bootstrap), place.name, f"{place.name}-group"
    tools.says("^Created topic", "kafka-topics", "--create", "--topic", topic, "--partitions", 2,
               "--config", "retention.ms=3600000")
    expect(topic in tools.run("kafka-topics", "--list").split(), "kafka-topics --list does not name the topic")
    tools.says(r"PartitionCount: 2\s+ReplicationFactor: 1\s+Configs:.*retention.ms=3600000", "kafka-topics", "--describe",
               "--topic", topic)
    tools.says("^Completed updating config", "kafka-configs", "--entity-type", "topics", "--entity-name", topic, "--alter",
               "--add-config", "max.message.bytes=200000", "--delete-config", "retention.ms")
    said = tools.says("max.message.bytes=200000", "kafka-configs", "--entity-type", "topics", "--entity-name", topic,
                      "--describe")
    expect("retention.ms=3600000" not in said, f"retention.ms is still set: {said}")
    tools.run("kafka-configs", "--entity-type", "groups", "--entity-name", group, "--alter",
              "--add-config", "consumer.session.timeout.ms=50000")
    tools.says("consumer.session.timeout.ms=50000", "kafka-configs", "--entity-type", "groups", "--entity-name", group,
               "--describe")
    tools.run("kafka-console-producer", "--topic", topic, "--reader-property", "parse.key=true", "--reader-property",
              "key.separator=:", standard_input="".join(f"key-{number}:value-{number}\n" for number in range(20)))
    ends = tools.run("kafka-get-offsets", "--topic", topic)
    found = {int(one[0]): int(one[1]) for one in re.findall(rf"^{re.escape(topic)}:(\d+):(\d+)$", ends, re.MULTILINE)}
    expect(set(found) == {0, 1} and sum(found.values()) == 20, f"kafka-get-offsets: {ends}")
    wanted = sorted(f"value-{number}" for number in range(20))
    read = tools.run("kafka-console-consumer", "--topic", topic, "--group", group, "--from-beginning", "--max-messages", 20)
    expect(sorted(line for line in read.splitlines() if line.startswith("value-")) == wanted, f"console-consumer: {read}")
    tools.run("kafka-console-producer", "--topic", topic, standard_input="one-more\n")
    read = tools.run("kafka-console-consumer", "--topic", topic, "--group", group, "--max-messages", 1,
                     "--command-property", "group.protocol=consumer")
    expect([line for line in read.splitlines() if line.startswith(("value-", "one"))] == ["one-more"],
           f"the console consumer of the same group, in the other protocol: {read}")
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"version": 1, "partitions": [{"topic": topic, "partition": 0, "offset": min(3, found[0])}]}, file)
        file.flush()
        tools.says(rf"partition: {re.escape(topic)}-0\s+low_watermark: {min(3, found[0])}", "kafka-delete-records",
                   "--offset-json-file", file.name)
    tools.says(rf"^{re.escape(topic)}:0:{min(3, found[0])}$", "kafka-get-offsets", "--topic", topic, "--time", "earliest")
    tools.run("kafka-topics", "--alter", "--topic", topic, "--partitions", 3)
    tools.says("PartitionCount: 3", "kafka-topics", "--describe", "--topic", topic)
    tools.run("kafka-topics", "--delete", "--topic", topic)
    with kafka_wire.Connection(place.bootstrap) as connection:
        expect(wait_until(lambda: connection.metadata([topic])[topic][0] == 3, 15), "the topic is still there")
    return f"topics, configs, console producer and consumer, get-offsets, delete-records: {tools.runs} runs"


def group_tools(place):
    tools = Tools(place.bootstrap)
    with Team(place.bootstrap, place.name, 2) as team:
        _group_tools(tools, team, place.name)
    return f"kafka-consumer-groups: {tools.runs} runs"


def _group_tools(tools, team, group):
    classic = team.member(KINDS["confluent-kafka"], "classic-member")
    newer = team.member(KINDS["confluent-kafka, consumer protocol"], "newer-member", group=f"{group}-newer")
    team.settled([2], [classic])
    team.settled([2], [newer])
    team.produce(10)
    for member in (classic, newer):
        team.committed_to_the_end([member])
    listed = tools.groups("--list")
    expect({group, f"{group}-newer"} <= set(listed.split()), f"--list: {listed}")
    tools.says(rf"^{re.escape(group)}\s+(Classic\s+)?Stable", "kafka-consumer-groups", "--list", "--state", "Stable")
    tools.says(rf"^{re.escape(group)}-newer\s+Consumer", "kafka-consumer-groups", "--list", "--type", "consumer")
    for name, client, kind in ((group, "classic-member", "range"), (f"{group}-newer", "newer-member", "uniform")):
        described = tools.groups("--describe", "--group", name, "--offsets")
        for partition in (0, 1):
            expect(re.search(rf"{name}\s+{group}\s+{partition}\s+(-\s+)?10\s+10\s+0\s+\S+\s+/\S+\s+{client}", described),
                   f"--describe --offsets: {described}")
        tools.says(rf"{name}\s+\S+(\s+\S+)*\s+{client}\s+2\s.*{group}[:(]", "kafka-consumer-groups", "--describe",
                   "--group", name, "--members", "--verbose")
        tools.says(rf"{name}\s+127.0.0.1:\d+\s+\(\d+\)\s+{kind}\s+Stable\s+(\d+\s+)?1\s*$", "kafka-consumer-groups",
                   "--describe", "--group", name, "--state")
    reset = ("--reset-offsets", "--group", group, "--topic", group)
    tools.says("inactive", "kafka-consumer-groups", *reset, "--to-earliest", "--execute", fails=True)
    for member in (classic, newer):
        problem = member.close()
        expect(problem is None, problem)
    tools.says(rf"{group}\s+{group}\s+0\s+0\b", "kafka-consumer-groups", *reset, "--to-earliest", "--dry-run")
    expect(team.commits_of() == {0: 10, 1: 10}, "a dry run changed offsets")
    for wanted, arguments in (({0: 0, 1: 0}, ["--to-earliest"]), ({0: 4, 1: 4}, ["--to-offset", 4]),
                              ({0: 10, 1: 10}, ["--to-latest"]), ({0: 0, 1: 0}, ["--by-duration", "P1D"]),
                              ({0: 7, 1: 7}, ["--shift-by", 7])):
        tools.groups(*reset, *arguments, "--execute")
        expect(team.commits_of() == wanted, f"after {arguments}: {team.commits_of()}, expected {wanted}")
    tools.says(rf"{group}\s+{group}\s+1\s+(-\s+)?7\s+10\s+3\s", "kafka-consumer-groups", "--describe", "--group", group)
    tools.groups("--delete-offsets", "--group", group, "--topic", f"{group}:1")
    expect(team.commits_of() == {0: 7}, f"after --delete-offsets: {team.commits_of()}")
    tools.groups("--reset-offsets", "--group", f"{group}-newer", "--topic", group, "--to-offset", 2, "--execute")
    expect(team.commits_of(f"{group}-newer") == {0: 2, 1: 2}, f"the other group: {team.commits_of(f'{group}-newer')}")
    tools.says("successful", "kafka-consumer-groups", "--delete", "--group", group, "--group", f"{group}-newer")
    left = tools.groups("--list").split()
    expect(group not in left and f"{group}-newer" not in left, f"--list after --delete: {left}")


def offsets_are_decoded(data):
    """Kafka's decoder over all segments of __consumer_offsets of a node that has ended."""
    segments = [path for path in Path(data).glob("__consumer_offsets-*/*.log") if path.stat().st_size]
    expect(segments, "there is no segment of __consumer_offsets")
    code, said = java(DUMP, "--offsets-decoder", "--files", ",".join(map(str, segments)))
    expect(code == 0, f"the decoder ended with {code}: {said[-500:]}")
    keys = re.findall(r'^\| offset: .* key: (\{"type":"(\d+)","data":\{"group(?:Id)?":"([^"]*)".*?\}\}) payload: (\S.*)$', said,
                      re.MULTILINE)
    records = len(re.findall(r"^\| offset: ", said, re.MULTILINE))
    expect(len(keys) == records > 0, f"{records} records, {len(keys)} of them decoded")
    kinds = {kind for _, kind, _, _ in keys}
    # Offset commits, classic groups, and of the consumer protocol the group, its members, targets and assignments.
    expect({"1", "2", "3", "5", "6", "7", "8"} <= kinds, f"types of keys: {sorted(kinds, key=int)}")
    return f"{len(segments)} segments, {records} records, key types {', '.join(sorted(kinds, key=int))}"
