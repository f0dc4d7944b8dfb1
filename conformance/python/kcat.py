"""kcat as Debian ships it: the oldest librdkafka still in wide use, driven through its command line.

kcat has no admin requests: topics are made through auto-creation in one check, else through our raw socket. It stamps
records itself. Its key is a C string, so a key with a zero byte is replaced; a record is sent from a file or from
standard input, and one kcat sends one kind of header, so that each record of the feature part is one process.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "wire"))

import flow
import kafka_wire

TIMEOUT_S = 60
# Field lengths come first, so that no byte of a record can be taken for the frame. Headers have no length in kcat's
# format language: they end at SEPARATOR, which no test record contains.
SEPARATOR = b"\x1e\x1e#end#\x1e\x1e\n"
FORMAT = r"%p %o %T %K %S\n%k%s%h" + "".join(f"\\x{byte:02x}" for byte in SEPARATOR)


class Kcat(flow.ClientUnderTest):
    keeps_timestamps = False
    has_describe_configs = has_create_partitions = has_delete_topics = False

    def __init__(self, bootstrap):
        super().__init__(bootstrap)
        self.raw = kafka_wire.Connection(bootstrap)
        self.scratch = tempfile.TemporaryDirectory(prefix="kcat-")

    def close(self):
        self.raw.close()
        self.scratch.cleanup()

    def command(self, *arguments):
        return ["kcat", "-b", self.bootstrap, *arguments]

    def kcat(self, *arguments, stdin=b""):
        done = subprocess.run(self.command(*arguments), input=stdin, capture_output=True, timeout=TIMEOUT_S, check=False)
        text = done.stderr.decode(errors="replace")
        if done.returncode or "ERROR" in text:
            raise flow.Refused(f"kcat {' '.join(arguments)[:200]}: {text[:400]}")
        return done.stdout

    def create_topic(self, name, partitions, configs):
        self.raw.create_topic(name, partitions, configs)

    def topics(self):
        listed = self.kcat("-L").decode()
        return {name: int(count) for name, count in re.findall(r'topic "([^"]*)" with (\d+) partitions', listed)}

    def send(self, common, record):
        """One record that stands alone: a key of its own, a header list of its own, any value."""
        arguments = [*common, "-p", str(record.partition)]
        for name, value in record.headers:
            arguments += ["-H", name if value is None else f"{name}={value.decode()}"]
        if not record.value:
            # Nothing behind the key delimiter is an empty value, or with -Z a null one.
            arguments += ["-K", "\\t", *(["-Z"] if record.value is None else [])]
            self.kcat(*arguments, stdin=record.key + b"\t\n")
            return
        if record.key is not None:
            arguments += ["-k", record.key.decode()]
        path = Path(self.scratch.name) / "value"
        path.write_bytes(record.value)
        self.kcat(*arguments, str(path))

    def produce(self, topic, codec, settings, records):
        common = ["-P", "-t", topic, "-z", codec, "-X", f"acks={settings['acks']}", "-X", "linger.ms=20",
                  "-X", f"enable.idempotence={str(settings['idempotent']).lower()}"]
        # Lines of key, tab, value; only what has both, no headers, and no tab or newline can go that way.
        plain = [r for r in records if self.is_line(r)]
        for record in records:
            self.restrict(record)
            if not self.is_line(record):
                self.send(common, record)
        for partition in sorted({r.partition for r in plain}):
            lines = b"".join(r.key + b"\t" + r.value + b"\n" for r in plain if r.partition == partition)
            self.kcat(*common, "-p", str(partition), "-K", "\\t", stdin=lines)
        # The single records went first.
        records.sort(key=self.is_line)

    @staticmethod
    def is_line(record):
        return bool(record.key and record.value and not record.headers and len(record.value) < 300)

    @staticmethod
    def restrict(record):
        """What a command line cannot carry: zero bytes and bytes that are no text, in keys and header values."""
        if record.key is not None:
            record.key = record.key.replace(b"\x00", b"").decode(errors="ignore").encode()
        # kcat prints a null header value as "NULL" and ends a header at a comma: values here have neither.
        record.headers = [(name, None if value is None else
                           value.replace(b"\x00", b"0").decode(errors="ignore").replace(",", ";").encode())
                          for name, value in record.headers]

    def produce_too_large(self, topic, size):
        path = Path(self.scratch.name) / "large"
        path.write_bytes(b"x" * size)
        self.kcat("-P", "-t", topic, "-p", "0", str(path))

    def end_offset(self, topic, partition):
        found = self.kcat("-Q", "-t", f"{topic}:{partition}:-1").decode()
        return int(re.search(r"offset (-?\d+)", found)[1])

    def offset_for_time(self, topic, partition, timestamp):
        found = self.kcat("-Q", "-t", f"{topic}:{partition}:{timestamp}").decode()
        offset = int(re.search(r"offset (-?\d+)", found)[1])
        if offset < 0:
            return None
        [record] = self.read(topic, partition, f"s@{timestamp}", 1)
        if record.offset != offset:
            raise flow.Refused(f"-Q finds offset {offset}, -o s@ starts at {record.offset}")
        return offset, record.timestamp

    @staticmethod
    def parse(output):
        records = []
        for part in output.split(SEPARATOR)[:-1]:
            front, rest = part.split(b"\n", 1)
            partition, offset, timestamp, key_size, value_size = map(int, front.split())
            key, rest = rest[: max(key_size, 0)], rest[max(key_size, 0):]
            value, headers = rest[: max(value_size, 0)], rest[max(value_size, 0):]
            pairs = [item.split(b"=", 1) for item in headers.split(b",")] if headers else []
            records.append(flow.Record(partition, offset, timestamp, None if key_size < 0 else key,
                                       None if value_size < 0 else value,
                                       [(n.decode(), None if v == b"NULL" else v) for n, v in pairs]))
        return records

    def consume(self, topic, partition, start, *more):
        return self.command("-C", "-t", topic, "-p", str(partition), "-o", str(start), "-f", FORMAT,
                            "-X", "topic.auto.offset.reset=error", "-X", "fetch.wait.max.ms=20", *more)

    def read(self, topic, partition, start, count):
        arguments = self.consume(topic, partition, start, "-c", str(count), "-e")[3:]
        return self.parse(self.kcat(*arguments))

    def tail(self, topic, partition, produce, count):
        # kcat says when it has reached the end: from then on it has its place.
        arguments = self.consume(topic, partition, "end", "-c", str(count), "-u")
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                for line in process.stderr:
                    if b"Reached end of topic" in line:
                        break
                produce()
                output, _ = process.communicate(timeout=TIMEOUT_S)
            finally:
                process.kill()
        return self.parse(output)

    def read_out_of_range(self, topic, partition, offset):
        self.read(topic, partition, offset, 1)

    def unknown_topic(self, name):
        self.kcat("-C", "-t", name, "-p", "0", "-o", "beginning", "-c", "1", "-e",
                  "-X", "allow.auto.create.topics=false", "-X", "topic.metadata.propagation.max.ms=1000")


class KcatRun(flow.Run):
    """The scenario, and auto-creation: producing to a topic that is not there makes it."""

    def admin(self, topic):
        super().admin(topic)
        name = f"{self.prefix}-auto-created"
        record = flow.Record(0, 0, 0, b"user-12345", b"first", [])
        self.client.send(["-P", "-t", name], record)
        got = self.client.read(name, 0, "beginning", 1)
        self.equal("the record in the auto-created topic", [(r.key, r.value) for r in got], [(b"user-12345", b"first")])
        for name in [name, *(f"{self.prefix}-{codec}" for codec in self.scenario.delete_codecs)]:
            self.client.raw.delete_topic(name)
        self.say("auto-creation")


if __name__ == "__main__":
    flow.main(Kcat, KcatRun)
