"""More of Kafka's protocol than `kafka_wire` needs: any produce request, batches that are wrong on purpose, fetch
sessions, and the requests of a topic's life.

Belongs here: bytes on one connection. What an answer should be stands in the programs.
"""

import socket
import struct
import time
from dataclasses import dataclass, field

import kafka_wire
from kafka_wire import Reader, WireError, array, crc32c, string

DELETE_RECORDS, INIT_PRODUCER_ID, CREATE_PARTITIONS = 21, 22, 37
NONE, OFFSET_OUT_OF_RANGE, UNKNOWN_TOPIC, STORAGE_ERROR = 0, 1, 3, 56
HEADER_BYTES = 61


def varint(number):
    number = (number << 1) ^ (number >> 63)
    return uvarint(number & 0xFFFFFFFFFFFFFFFF)


def uvarint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def compact_string(text):
    if text is None:
        return b"\0"
    data = text.encode()
    return uvarint(len(data) + 1) + data


def compact_array(items):
    return uvarint(len(items) + 1) + b"".join(items)


class FlexibleReader(Reader):
    """Fields of the flexible versions: compact lengths and tagged fields."""

    def uvarint(self):
        shift = result = 0
        while True:
            byte = self.take(1)[0]
            result |= (byte & 0x7F) << shift
            if not byte & 0x80:
                return result
            shift += 7

    def compact_bytes(self):
        size = self.uvarint()
        return None if size == 0 else self.take(size - 1)

    def compact_string(self):
        data = self.compact_bytes()
        return None if data is None else data.decode()

    def compact_array(self, read):
        return [read() for _ in range(max(0, self.uvarint() - 1))]

    def tags(self):
        for _ in range(self.uvarint()):
            self.uvarint()
            self.compact_bytes()


def record(delta, key, value, timestamp_delta=0, headers=()):
    body = b"\0" + varint(timestamp_delta) + varint(delta)
    for data in (key, value):
        body += varint(-1) if data is None else varint(len(data)) + data
    body += varint(len(headers))
    for name, data in headers:
        body += varint(len(name)) + name + (varint(-1) if data is None else varint(len(data)) + data)
    return varint(len(body)) + body


@dataclass
class NewBatch:
    """A batch to send; every field of its header can be made wrong."""

    values: list
    key: bytes | None = b"key"
    timestamp: int | None = None
    producer_id: int = -1
    producer_epoch: int = -1
    base_sequence: int = -1
    attributes: int = 0
    magic: int = 2
    base_offset: int = 0
    count: int | None = None
    last_offset_delta: int | None = None
    length: int | None = None
    crc_flip: int = 0
    body: bytes | None = None
    max_timestamp: int | None = field(default=None)

    def encode(self):
        stamp = int(time.time() * 1000) if self.timestamp is None else self.timestamp
        body = self.body
        if body is None:
            body = b"".join(record(delta, self.key, value) for delta, value in enumerate(self.values))
        count = len(self.values) if self.count is None else self.count
        last = len(self.values) - 1 if self.last_offset_delta is None else self.last_offset_delta
        signed = struct.pack(">hiqqqhii", self.attributes, last, stamp,
                             stamp if self.max_timestamp is None else self.max_timestamp,
                             self.producer_id, self.producer_epoch, self.base_sequence, count) + body
        length = 9 + len(signed) if self.length is None else self.length
        return struct.pack(">qiibI", self.base_offset, length, -1, self.magic, crc32c(signed) ^ self.crc_flip) + signed


@dataclass
class Produced:
    code: int
    base_offset: int
    log_append_time: int
    log_start: int
    record_errors: list


class Wire(kafka_wire.Connection):
    """A connection that can send anything."""

    def send(self, api_key, version, body, client="survival", flexible=False):
        """Sends one request and returns its correlation id."""
        self.correlation += 1
        header = struct.pack(">hhi", api_key, version, self.correlation) + string(client) + (b"\0" if flexible else b"")
        self.socket.sendall(struct.pack(">i", len(header) + len(body)) + header + body)
        return self.correlation

    def receive(self, correlation, flexible=False):
        reader = FlexibleReader(self._receive(struct.unpack(">i", self._receive(4))[0]))
        if (got := reader.i32()) != correlation:
            raise WireError(f"response {got} to request {correlation}")
        if flexible:
            reader.tags()
        return reader

    def is_closed(self, seconds=5):
        """Whether the other side closes within `seconds` without sending anything more."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except (socket.timeout, TimeoutError):
            return False

    @staticmethod
    def produce_body(version, topic, partition, records, acks=-1, timeout_ms=30_000, transactional_id=None, beside=None):
        """`beside` is another topic, and records for its partition 0."""
        settings, entries = struct.pack(">hi", acks, timeout_ms), []
        for name, index, data in [(topic, partition, records)] + ([(beside[0], 0, beside[1])] if beside else []):
            if version >= 9:
                data = b"\0" if data is None else uvarint(len(data) + 1) + data
                part = struct.pack(">i", index) + data + b"\0"
                entries.append(compact_string(name) + compact_array([part]) + b"\0")
            else:
                data = struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data
                entries.append(string(name) + array([struct.pack(">i", index) + data]))
        if version >= 9:
            return compact_string(transactional_id) + settings + compact_array(entries) + b"\0"
        return string(transactional_id) + settings + array(entries)

    def append(self, topic, partition, records, acks=-1, version=8, client="survival", transactional_id=None,
               beside=None):
        """One produce request, most with one partition; with acks=0 there is no answer, and None is returned."""
        body = self.produce_body(version, topic, partition, records, acks, transactional_id=transactional_id,
                                 beside=beside)
        flexible = version >= 9
        correlation = self.send(kafka_wire.PRODUCE, version, body, client, flexible)
        if acks == 0:
            return None
        return self._produced(self.receive(correlation, flexible), version)

    @staticmethod
    def _produced(reader, version):
        if version >= 9:
            reader.uvarint(), reader.compact_string(), reader.uvarint()
        else:
            reader.i32(), reader.string(), reader.i32()
        reader.i32()
        answer = Produced(reader.i16(), reader.i64(), reader.i64(), -1, [])
        if version >= 5:
            answer.log_start = reader.i64()
        if version == 8:
            answer.record_errors = reader.array(lambda: (reader.i32(), reader.string()))
        elif version > 8:
            def one():
                index, text = reader.i32(), reader.compact_string()
                reader.tags()
                return index, text
            answer.record_errors = reader.compact_array(one)
        return answer

    def new_producer(self):
        """(producer id, epoch)."""
        reader = self.receive(self.send(INIT_PRODUCER_ID, 0, string(None) + struct.pack(">i", 60_000)))
        reader.i32()
        code, producer_id, epoch = reader.i16(), reader.i64(), reader.i16()
        if code:
            raise kafka_wire.KafkaError("InitProducerId", code)
        return producer_id, epoch

    def delete_records(self, topic, offsets):
        """{partition: offset} -> {partition: (low watermark, error code)}."""
        wanted = [struct.pack(">iq", partition, offset) for partition, offset in offsets.items()]
        body = array([string(topic) + array(wanted)]) + struct.pack(">i", 30_000)
        reader = self.receive(self.send(DELETE_RECORDS, 0, body))
        reader.i32(), reader.i32(), reader.string()
        return {index: (low, code) for index, low, code in
                reader.array(lambda: (reader.i32(), reader.i64(), reader.i16()))}

    def create_partitions(self, topic, count):
        """The error code."""
        body = array([string(topic) + struct.pack(">ii", count, -1)]) + struct.pack(">ib", 30_000, 0)
        reader = self.receive(self.send(CREATE_PARTITIONS, 0, body))
        reader.i32(), reader.i32(), reader.string()
        return reader.i16()

    def topic_ids(self, topics=None):
        """Topic -> (error code, topic id, number of partitions); all topics where none is named."""
        names = b"\0" if topics is None else compact_array([bytes(16) + compact_string(name) + b"\0" for name in topics])
        reader = self.receive(self.send(kafka_wire.METADATA, 10, names + b"\0\0\0\0", flexible=True), flexible=True)
        reader.i32()

        def node():
            reader.i32(), reader.compact_string(), reader.i32(), reader.compact_string(), reader.tags()

        def partition():
            reader.i16(), reader.i32(), reader.i32(), reader.i32()
            for _ in range(3):
                reader.compact_array(reader.i32)
            reader.tags()

        def topic():
            code, name, topic_id = reader.i16(), reader.compact_string(), reader.take(16)
            reader.i8()
            count = len(reader.compact_array(partition))
            reader.i32(), reader.tags()
            return name, (code, topic_id, count)

        reader.compact_array(node), reader.compact_string(), reader.i32()
        return dict(reader.compact_array(topic))

    def fetch_at(self, topic, partition, offset, wait_ms=0):
        """(error code, high watermark, log start, batches) of one partition, whatever the code is."""
        _, _, answers = self.fetch_session(0, -1, {topic: {partition: offset}}, wait_ms=wait_ms)
        code, high_watermark, log_start, records = answers[topic, partition]
        return code, high_watermark, log_start, kafka_wire.parse_batches(records)

    def fetch_session(self, session, epoch, topics, wait_ms=500, min_bytes=1, bytes_max=8 << 20, forgotten=None):
        """Fetch version 12: (error code, session id, {(topic, partition): (code, high watermark, log start, bytes)})."""
        wanted = []
        for topic, partitions in topics.items():
            rows = [struct.pack(">iiqiqi", partition, -1, offset, -1, -1, bytes_max) + b"\0"
                    for partition, offset in partitions.items()]
            wanted.append(compact_string(topic) + compact_array(rows) + b"\0")
        gone = [compact_string(topic) + compact_array([struct.pack(">i", index) for index in indexes]) + b"\0"
                for topic, indexes in (forgotten or {}).items()]
        body = struct.pack(">iiiibii", -1, wait_ms, min_bytes, bytes_max, 0, session, epoch)
        body += compact_array(wanted) + compact_array(gone) + compact_string("") + b"\0"
        reader = self.receive(self.send(kafka_wire.FETCH, 12, body, flexible=True), flexible=True)
        reader.i32()
        code, session = reader.i16(), reader.i32()
        answers = {}

        def partition(topic):
            index, error, high_watermark = reader.i32(), reader.i16(), reader.i64()
            reader.i64()
            log_start = reader.i64()
            reader.compact_array(lambda: (reader.i64(), reader.i64(), reader.tags()))
            reader.i32()
            answers[topic, index] = (error, high_watermark, log_start, reader.compact_bytes() or b"")
            reader.tags()

        def one_topic():
            name = reader.compact_string()
            reader.compact_array(lambda: partition(name))
            reader.tags()

        reader.compact_array(one_topic)
        return code, session, answers
