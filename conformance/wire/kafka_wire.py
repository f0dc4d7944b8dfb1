"""Just enough of Kafka's wire protocol to look at a broker from outside any client.

Belongs here: one blocking connection, the few requests that the checks need, and the record batch (magic 2) as it
is stored. Standard library only, so that every program can run the checks with the machine's own Python; records in
snappy, lz4 or zstd batches can be decoded only where `cramjam` is installed.
"""

import gzip
import socket
import struct
import time
from dataclasses import dataclass

PRODUCE, FETCH, LIST_OFFSETS, METADATA, API_VERSIONS, CREATE_TOPICS, DELETE_TOPICS = 0, 1, 2, 3, 18, 19, 20

EARLIEST, LATEST = -2, -1
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
RESPONSE_BYTES_MAX = 256 << 20
FETCH_BYTES_MAX = 8 << 20

ERROR_NAMES = {
    0: "NONE",
    1: "OFFSET_OUT_OF_RANGE",
    2: "CORRUPT_MESSAGE",
    3: "UNKNOWN_TOPIC_OR_PARTITION",
    5: "LEADER_NOT_AVAILABLE",
    6: "NOT_LEADER_OR_FOLLOWER",
    10: "MESSAGE_TOO_LARGE",
    17: "INVALID_TOPIC_EXCEPTION",
    36: "TOPIC_ALREADY_EXISTS",
    37: "INVALID_PARTITIONS",
    38: "INVALID_REPLICATION_FACTOR",
    40: "INVALID_CONFIG",
    87: "INVALID_RECORD",
}


class WireError(Exception):
    """The broker, or the bytes that it sent, are not what Kafka's protocol says."""


class KafkaError(WireError):
    """The broker answered with an error code."""

    def __init__(self, where, code):
        self.code = code
        super().__init__(f"{where}: {ERROR_NAMES.get(code, 'error')} ({code})")


def _crc32c_table():
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


_CRC32C_TABLE = _crc32c_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    table = _CRC32C_TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


class Reader:
    """Big-endian fields from a buffer; running past its end is a WireError."""

    def __init__(self, data):
        self.data, self.at = memoryview(data), 0

    def remaining(self):
        return len(self.data) - self.at

    def take(self, size):
        if size < 0 or size > self.remaining():
            raise WireError(f"{size} bytes wanted at {self.at}, {self.remaining()} left")
        self.at += size
        return bytes(self.data[self.at - size : self.at])

    def _unpack(self, form, size):
        return struct.unpack(form, self.take(size))[0]

    def i8(self):
        return self._unpack(">b", 1)

    def i16(self):
        return self._unpack(">h", 2)

    def i32(self):
        return self._unpack(">i", 4)

    def u32(self):
        return self._unpack(">I", 4)

    def i64(self):
        return self._unpack(">q", 8)

    def string(self):
        size = self.i16()
        return None if size < 0 else self.take(size).decode()

    def bytes32(self):
        size = self.i32()
        return None if size < 0 else self.take(size)

    def array(self, read):
        return [read() for _ in range(max(0, self.i32()))]

    def varint(self):
        shift = result = 0
        while True:
            byte = self.take(1)[0]
            result |= (byte & 0x7F) << shift
            if not byte & 0x80:
                return (result >> 1) ^ -(result & 1)
            shift += 7
            if shift > 63:
                raise WireError("a varint of more than ten bytes")

    def varint_bytes(self):
        size = self.varint()
        return None if size < 0 else self.take(size)


def string(text):
    if text is None:
        return struct.pack(">h", -1)
    data = text.encode()
    return struct.pack(">h", len(data)) + data


def array(items):
    return struct.pack(">i", len(items)) + b"".join(items)


@dataclass
class Record:
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list


@dataclass
class Batch:
    """One stored record batch: its header, and its bytes."""

    base_offset: int
    length: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    count: int
    data: bytes

    @property
    def codec(self):
        code = self.attributes & 7
        return CODECS[code] if code < len(CODECS) else f"codec {code}"

    @property
    def next_offset(self):
        return self.base_offset + self.last_offset_delta + 1

    def problems(self):
        """What is wrong with this batch as it is stored, in words."""
        found = []
        if self.magic != 2:
            found.append(f"magic {self.magic}")
        if self.count != self.last_offset_delta + 1:
            found.append(f"{self.count} records, last offset delta {self.last_offset_delta}")
        if crc32c(self.data[21:]) != self.crc:
            found.append("CRC mismatch")
        return [f"batch at offset {self.base_offset}: {problem}" for problem in found]

    def records(self, partition=-1):
        reader = Reader(decompress(self.codec, self.data[61:]))
        records = []
        for _ in range(self.count):
            record = Reader(reader.take(reader.varint()))
            record.i8()
            timestamp = self.base_timestamp + record.varint()
            if self.attributes & 8:
                timestamp = self.max_timestamp
            offset = self.base_offset + record.varint()
            key, value = record.varint_bytes(), record.varint_bytes()
            headers = [(record.varint_bytes().decode(), record.varint_bytes()) for _ in range(record.varint())]
            if record.remaining():
                raise WireError(f"{record.remaining()} bytes behind the record at offset {offset}")
            records.append(Record(partition, offset, timestamp, key, value, headers))
        if reader.remaining():
            raise WireError(f"{reader.remaining()} bytes behind the last record of the batch at {self.base_offset}")
        return records


def _xerial_blocks(data):
    """Java's snappy is framed: magic, two version words, then blocks with their sizes."""
    reader = Reader(data)
    reader.take(16)
    while reader.remaining():
        yield reader.take(reader.u32())


def decompress(codec, data):
    if codec == "none":
        return data
    if codec == "gzip":
        return gzip.decompress(data)
    import cramjam

    if codec == "snappy":
        blocks = _xerial_blocks(data) if data.startswith(b"\x82SNAPPY\x00") else [data]
        return b"".join(bytes(cramjam.snappy.decompress_raw(block)) for block in blocks)
    if codec == "lz4":
        return bytes(cramjam.lz4.decompress(data))
    if codec == "zstd":
        return bytes(cramjam.zstd.decompress(data))
    raise WireError(f"unknown {codec}")


def parse_batches(data):
    """The whole batches at the front of `data`; Fetch may cut the last one short, and that one is left out."""
    batches, at = [], 0
    while len(data) - at >= 61:
        base_offset, length = struct.unpack_from(">qi", data, at)
        end = at + 12 + length
        if length < 49:
            raise WireError(f"batch at offset {base_offset}: impossible length {length}")
        if end > len(data):
            break
        magic, crc, attributes, last, base_ts, max_ts, pid, epoch, sequence, count = struct.unpack_from(
            ">4xbIhiqqqhii", data, at + 12
        )
        batches.append(
            Batch(base_offset, length, magic, crc, attributes, last, base_ts, max_ts, pid, epoch, sequence, count,
                  bytes(data[at:end]))
        )
        at = end
    return batches


class Connection:
    """One blocking connection to one broker."""

    def __init__(self, bootstrap, timeout=30):
        host, port = bootstrap.rsplit(":", 1)
        self.socket = socket.create_connection((host.strip("[]"), int(port)), timeout=timeout)
        self.correlation = 0

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _receive(self, size):
        parts = []
        while size:
            part = self.socket.recv(min(size, 1 << 20))
            if not part:
                raise WireError("the broker closed the connection")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def request(self, api_key, version, body):
        """Send one request (header version 1) and return a Reader over the response's body."""
        self.correlation += 1
        header = struct.pack(">hhi", api_key, version, self.correlation) + string("conformance")
        self.socket.sendall(struct.pack(">i", len(header) + len(body)) + header + body)
        size = struct.unpack(">i", self._receive(4))[0]
        if not 4 <= size <= RESPONSE_BYTES_MAX:
            raise WireError(f"a response of {size} bytes")
        reader = Reader(self._receive(size))
        if (correlation := reader.i32()) != self.correlation:
            raise WireError(f"response {correlation} to request {self.correlation}")
        return reader

    def api_versions(self):
        reader = self.request(API_VERSIONS, 0, b"")
        if code := reader.i16():
            raise KafkaError("ApiVersions", code)
        return {key: (low, high) for key, low, high in
                reader.array(lambda: (reader.i16(), reader.i16(), reader.i16()))}

    def metadata(self, topics=None, auto_create=False):
        """Topic name -> (error code, {partition: leader}); `topics=None` asks for all."""
        names = struct.pack(">i", -1) if topics is None else array([string(name) for name in topics])
        reader = self.request(METADATA, 4, names + struct.pack(">b", auto_create))
        reader.i32()
        reader.array(lambda: (reader.i32(), reader.string(), reader.i32(), reader.string()))
        reader.string(), reader.i32()

        def partition():
            reader.i16()
            index, leader = reader.i32(), reader.i32()
            reader.array(reader.i32), reader.array(reader.i32)
            return index, leader

        def topic():
            code, name = reader.i16(), reader.string()
            reader.i8()
            return name, (code, dict(reader.array(partition)))

        return dict(reader.array(topic))

    def create_topic(self, name, partitions, configs=None, timeout_ms=30000):
        pairs = [string(key) + string(str(value)) for key, value in (configs or {}).items()]
        body = array([string(name) + struct.pack(">ih", partitions, 1) + array([]) + array(pairs)])
        reader = self.request(CREATE_TOPICS, 2, body + struct.pack(">ib", timeout_ms, 0))
        reader.i32()
        for created, code, message in reader.array(lambda: (reader.string(), reader.i16(), reader.string())):
            if code:
                raise KafkaError(f"create topic {created}: {message}", code)

    def delete_topic(self, name, timeout_ms=30000):
        reader = self.request(DELETE_TOPICS, 1, array([string(name)]) + struct.pack(">i", timeout_ms))
        reader.i32()
        for deleted, code in reader.array(lambda: (reader.string(), reader.i16())):
            if code:
                raise KafkaError(f"delete topic {deleted}", code)

    def list_offset(self, topic, partition, timestamp):
        body = struct.pack(">i", -1) + array([string(topic) + array([struct.pack(">iq", partition, timestamp)])])
        reader = self.request(LIST_OFFSETS, 1, body)
        reader.i32(), reader.string(), reader.i32(), reader.i32()
        code, _, offset = reader.i16(), reader.i64(), reader.i64()
        if code:
            raise KafkaError(f"list offsets of {topic}-{partition}", code)
        return offset

    def list_offset_or_none(self, topic, partition, timestamp=LATEST):
        """None while the leader does not know the partition."""
        try:
            return self.list_offset(topic, partition, timestamp)
        except KafkaError:
            return None

    def fetch(self, topic, partition, offset, wait_ms=500, bytes_max=FETCH_BYTES_MAX):
        """(high watermark, whole batches from the one that holds `offset` on)."""
        wanted = array([string(topic) + array([struct.pack(">iqi", partition, offset, bytes_max)])])
        reader = self.request(FETCH, 4, struct.pack(">iiiib", -1, wait_ms, 1, bytes_max, 0) + wanted)
        reader.i32(), reader.i32(), reader.string(), reader.i32(), reader.i32()
        code, high_watermark, _ = reader.i16(), reader.i64(), reader.i64()
        reader.array(lambda: (reader.i64(), reader.i64()))
        if code:
            raise KafkaError(f"fetch {topic}-{partition} at {offset}", code)
        return high_watermark, parse_batches(reader.bytes32() or b"")

    def produce(self, topic, partition, records):
        """One batch, acks=all; returns its base offset."""
        entry = string(topic) + array([struct.pack(">ii", partition, len(records)) + records])
        reader = self.request(PRODUCE, 3, string(None) + struct.pack(">hi", -1, 30000) + array([entry]))
        reader.i32(), reader.string(), reader.i32(), reader.i32()
        code, base_offset = reader.i16(), reader.i64()
        if code:
            raise KafkaError(f"produce to {topic}-{partition}", code)
        return base_offset

    def produce_when_led(self, topic, partition, records, seconds=30):
        """Produce to a topic that may be so new that its leader does not know it yet."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self.produce(topic, partition, records)
            except KafkaError as error:
                if error.code not in (3, 5, 6) or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def stored_batches(self, topic, partition):
        """Every batch of a partition, from its log start to the end that it has now."""
        offset = self.list_offset(topic, partition, EARLIEST)
        end = self.list_offset(topic, partition, LATEST)
        deadline = time.monotonic() + 60
        while offset < end:
            _, batches = self.fetch(topic, partition, offset)
            if not batches and time.monotonic() > deadline:
                raise WireError(f"{topic}-{partition}: nothing at {offset} for 60 s, its end is {end}")
            for batch in batches:
                if batch.next_offset > offset:
                    yield batch
                    offset = batch.next_offset
