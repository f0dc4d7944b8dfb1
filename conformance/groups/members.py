"""The members of groups: one process each, in any client, told and heard in the same words.

A member program gets JSON in its only argument: bootstrap, group, topic, name; and, where wanted, protocol (classic or
consumer), assignor, instance, session_ms, batch (records a poll), pause_ms (between polls), stop_at (the offset of the last
record that it processes). It begins at the earliest offset, and commits by itself, waiting for the answer, what it has
processed after each poll. It prints a JSON object a line, with the time: assigned, revoked, lost (partitions), records
(partition, offsets, values), committed (offsets), commit-failed, error, obeyed, closed. On its standard input it takes the
orders pause, resume and seek; the end of that is its order to leave.

Belongs here: how each client's member is started, and what one member has said. Never what is right.
"""

import functools
import json
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field, replace

from harness import install
from harness.install import HERE, WORK

JAVA = ["java", "-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"]
CLOSE_S = 30
# Its parent's death ends a member, however that comes.
ENDS_WITH_US = ["setpriv", "--pdeathsig", "KILL"]


def _python(environment, program):
    return functools.cache(lambda: [install.python(environment), HERE / "python" / program])


def _java(version):
    return functools.cache(lambda: [*JAVA, "-cp", install.java_clients(version), "conformance.GroupMember"])


def _go(program):
    return functools.cache(lambda: [install.go(program)])


def _javascript(program):
    return functools.cache(lambda: ["node", install.javascript() / program])


@dataclass(frozen=True)
class Kind:
    """A client in one of its ways to be a member."""

    name: str
    program: callable
    settings: dict = field(default_factory=dict)
    # Whether "committed" means that the commit was answered. sarama does not tell, and what Confluent's JavaScript client
    # has one wait for is over before the answer, as Apache Kafka shows.
    hears_of_commits: bool = True

    def with_settings(self, **more):
        return replace(self, settings={**self.settings, **more})

    @property
    def is_classic(self):
        return self.settings.get("protocol") != "consumer"


CONSUMER = {"protocol": "consumer"}
CONFLUENT, JAVA_3, JAVA_4 = _python("main", "confluent_member.py"), _java(install.JAVA_3), _java(install.JAVA_4)
KINDS = {kind.name: kind for kind in [
    Kind("confluent-kafka", CONFLUENT),
    Kind("confluent-kafka, consumer protocol", CONFLUENT, CONSUMER),
    Kind("kafka-python", _python("kafka-python", "kafka_python_member.py")),
    Kind("aiokafka", _python("main", "aiokafka_member.py")),
    Kind("java-3", JAVA_3),
    Kind("java-4", JAVA_4),
    Kind("java-4, consumer protocol", JAVA_4, CONSUMER),
    Kind("franz-go", _go("franzgomember")),
    Kind("sarama", _go("saramamember"), hears_of_commits=False),
    Kind("kafkajs", _javascript("kafkajs_member.js")),
    Kind("confluent-kafka-javascript", _javascript("confluent_member.js"), hears_of_commits=False),
]}


class Heard:
    """What one member has said."""

    def __init__(self, kind, configuration):
        self.kind, self.name, self.configuration = kind, configuration["name"], {**configuration, **kind.settings}
        self.lock = threading.Lock()
        self.events = []
        # Partition -> since when; and (partition, since, until) of what it owned before.
        self.owned, self.was_owned = {}, []
        # (partition, offset, value), in the order of reading; partition -> the last offset whose commit was answered.
        self.records, self.committed = [], {}

    def take(self, event):
        self.events.append(event)
        match event["event"]:
            case "assigned":
                for partition in event["partitions"]:
                    self.owned.setdefault(partition, event["at"])
            case "revoked" | "lost":
                self._disown(event["partitions"], event["at"])
            case "records":
                self.records += [(event["partition"], offset, value)
                                 for offset, value in zip(event["offsets"], event["values"], strict=True)]
            case "committed":
                self.committed |= {int(partition): offset for partition, offset in event["offsets"].items()}

    def _disown(self, partitions, at):
        for partition in partitions:
            if (since := self.owned.pop(partition, None)) is not None:
                self.was_owned.append((partition, since, at))

    def said(self, *names):
        with self.lock:
            return [event for event in self.events if event["event"] in names]

    def owns(self):
        with self.lock:
            return sorted(self.owned)

    def owned_since(self):
        with self.lock:
            return dict(self.owned)

    def read(self):
        with self.lock:
            return list(self.records)

    def last_committed(self):
        with self.lock:
            return dict(self.committed)

    def intervals(self):
        """(partition, since, until, who): all that it owned; until is None where it still does."""
        with self.lock:
            return [(partition, since, until, self.name) for partition, since, until in self.was_owned] \
                + [(partition, since, None, self.name) for partition, since in self.owned.items()]


class Member(Heard):
    """One process, and what it has said."""

    def __init__(self, kind, configuration, log):
        super().__init__(kind, configuration)
        self.log, self.ended_at = log, None
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [*ENDS_WITH_US, *map(str, kind.program()), json.dumps(self.configuration)], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True)
        self.reader = threading.Thread(target=self._listen, daemon=True)
        self.reader.start()

    def _listen(self):
        for line in self.process.stdout:
            with self.log.open("a") as log:
                log.write(line)
            try:
                event = json.loads(line)
            except ValueError:
                event = {"at": 0, "event": "noise", "line": line}
            with self.lock:
                self.take(event)
        self.process.wait()
        with self.lock:
            self._disown(list(self.owned), self.ended_at or int(time.time() * 1000))

    def is_running(self):
        return self.process.poll() is None

    def tell(self, what, partitions, **more):
        self.process.stdin.write(json.dumps({"do": what, "partitions": partitions, **more}) + "\n")
        self.process.stdin.flush()

    def kill(self):
        """SIGKILL; returns when, in the milliseconds of the events. What it owned it owned until then."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.ended_at = int(time.time() * 1000)
        self.reader.join()
        return self.ended_at

    def close(self):
        """Tells it to leave; what is wrong with how it ended, or None."""
        try:
            self.process.stdin.close()
        except OSError:
            pass
        return self.ended()

    def ended(self):
        """Waits for its end; what is wrong with it, or None."""
        try:
            code = self.process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return f"{self.name} ({self.kind.name}) ran on for {CLOSE_S} s"
        self.reader.join()
        if code or not self.said("closed"):
            return f"{self.name} ({self.kind.name}) ended with {code}: {self.tail()}"
        return None

    def end(self):
        """However it stands: it is gone afterwards."""
        if self.is_running():
            self.kill()

    def tail(self):
        return " | ".join(self.log.read_text(errors="replace").splitlines()[-5:])


def log_of(name):
    directory = WORK / "logs" / "groups"
    directory.mkdir(parents=True, exist_ok=True)
    return directory / f"{name}.log"
