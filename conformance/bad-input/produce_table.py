"""The validation table of a produce request: what is sent, and the code that Kafka answers.

Belongs here: one row a case. A row is refused unless its code is 0; how it is sent and checked is in `run`.
"""

import gzip
import time
import zlib
from dataclasses import dataclass

from survival.wire import NewBatch, record, varint

CORRUPT, UNKNOWN, TOO_LARGE, INVALID_TOPIC, LIST_TOO_LARGE, ACKS = 2, 3, 10, 17, 18, 21
TRANSACTION_STATE, PRODUCER_MAPPING, ABORTABLE = 48, 49, 120
INVALID_TIMESTAMP, OUT_OF_ORDER, OLD_EPOCH, TRANSACTION_DENIED, CODEC, INVALID_RECORD = 32, 45, 47, 53, 76, 87
DAY_MS = 86_400_000
# A batch may have 1,048,588 bytes by default.
TOO_LARGE_BYTES = 1_100_000
BOMB_BYTES = 512 << 20

TOPICS = {
    "plain": {},
    "compacted": {"cleanup.policy": "compact"},
    "timely": {"message.timestamp.before.max.ms": 60_000, "message.timestamp.after.max.ms": 60_000},
    "tight": {"segment.bytes": 1 << 20, "max.message.bytes": 4 << 20},
    # One node has one replica.
    "careful": {"min.insync.replicas": 2},
    "stamped": {"message.timestamp.type": "LogAppendTime"},
}


@dataclass
class Row:
    name: str
    code: int
    records: bytes | None
    topic: str = "plain"
    partition: int = 0
    acks: int = -1
    version: int = 8
    transactional_id: str | None = None
    # Another topic and the records for it in the same request.
    beside: tuple | None = None
    # Kafka names the records that it refuses; so many are expected here.
    record_errors: int = 0
    # What Kafka itself does where the reference decides otherwise.
    kafka: object = None


def bomb():
    """A batch of half a megabyte with one record of 512 MiB of zeros."""
    packer, piece, size = zlib.compressobj(6, zlib.DEFLATED, 31), bytes(1 << 20), BOMB_BYTES
    data = packer.compress(bomb_head(size))
    data += b"".join(packer.compress(piece) for _ in range(size >> 20))
    data += packer.compress(b"\0") + packer.flush()
    return NewBatch([b"one"], attributes=1, body=data).encode()


def bomb_head(size):
    """All of a record before its value, which is as long as said; a key of one byte, no headers behind it."""
    inner = b"\0\0\0" + varint(1) + b"k" + varint(size)
    return varint(len(inner) + size + 1) + inner


def rows():
    """The rows that need no history."""
    now = int(time.time() * 1000)
    good = NewBatch([b"one", b"two"])

    def batch(**changed):
        return NewBatch([b"one", b"two"], **changed).encode()

    def transaction(producer_id, epoch):
        return batch(attributes=0x10, producer_id=producer_id, producer_epoch=epoch, base_sequence=0)

    whole = good.encode()
    body = b"".join(record(delta, b"k", b"v") for delta in range(2))
    return [
        Row("a good batch", 0, whole),
        Row("a wrong CRC", CORRUPT, batch(crc_flip=1)),
        Row("a bit flipped in a value", CORRUPT, whole[:-3] + bytes([whole[-3] ^ 4]) + whole[-2:]),
        Row("a batch length below the smallest", CORRUPT, batch(length=20)),
        Row("a negative batch length", CORRUPT, batch(length=-1)),
        # There is no whole batch there.
        Row("a batch length beyond the records", INVALID_RECORD, batch(length=5000)),
        Row("a batch cut short", INVALID_RECORD, whole[:-1]),
        Row("half a batch header", INVALID_RECORD, whole[:40]),
        Row("magic 1", INVALID_RECORD, batch(magic=1)),
        Row("magic 0", INVALID_RECORD, batch(magic=0)),
        Row("magic 3", INVALID_RECORD, batch(magic=3), kafka=(CORRUPT,)),
        Row("two batches", INVALID_RECORD, whole + whole),
        Row("no batch", INVALID_RECORD, b""),
        Row("null records", INVALID_RECORD, None, kafka="any"),
        Row("base offset 7", INVALID_RECORD, batch(base_offset=7)),
        Row("zstd with Produce 6", CODEC, batch(attributes=4), version=6),
        Row("zstd with Produce 3", CODEC, batch(attributes=4), version=3),
        Row("codec 5", CODEC, batch(attributes=5), kafka="any"),
        Row("codec 7", CODEC, batch(attributes=7), kafka="any"),
        Row("more bytes than max.message.bytes", TOO_LARGE, NewBatch([bytes(TOO_LARGE_BYTES)]).encode()),
        Row("more bytes than segment.bytes", LIST_TOO_LARGE, NewBatch([bytes(1_500_000)]).encode(), topic="tight"),
        Row("no records", INVALID_RECORD, NewBatch([], last_offset_delta=-1).encode()),
        Row("a count of 0 with a record", INVALID_RECORD, batch(count=0)),
        Row("a count below the offsets", INVALID_RECORD, batch(count=1)),
        Row("a count beyond the offsets", INVALID_RECORD, batch(count=3)),
        Row("a negative count", INVALID_RECORD, batch(count=-2)),
        Row("a negative last offset delta", INVALID_RECORD, batch(last_offset_delta=-2)),
        Row("a count of 2,147,483,647", INVALID_RECORD, batch(count=2**31 - 1, last_offset_delta=2**31 - 2)),
        Row("a control batch", INVALID_RECORD, batch(attributes=0x20)),
        Row("a producer without a sequence", INVALID_RECORD, batch(producer_id=5, producer_epoch=0, base_sequence=-1)),
        Row("an offset delta that jumps", INVALID_RECORD,
            batch(body=record(0, b"k", b"v") + record(5, b"k", b"v")), kafka="any"),
        Row("records with bytes behind them", INVALID_RECORD, batch(body=body + b"junk")),
        Row("a record longer than its batch", INVALID_RECORD, batch(body=b"\xfe\xff\x03" + body)),
        Row("a body of garbage", INVALID_RECORD, batch(body=b"\xff" * 60), kafka="any"),
        Row("a record without a key on a compacted topic", INVALID_RECORD, batch(key=None), topic="compacted",
            record_errors=2),
        Row("a gzip batch without keys on a compacted topic", INVALID_RECORD,
            batch(attributes=1, body=gzip.compress(b"".join(record(d, None, b"v") for d in range(2)))),
            topic="compacted", record_errors=2),
        # Kafka decompresses each batch and throws what its codec throws.
        Row("a gzip batch that claims 2,147,483,647 records", INVALID_RECORD,
            batch(attributes=1, body=gzip.compress(body), count=2**31 - 1, last_offset_delta=2**31 - 2), kafka="any"),
        Row("garbage that is said to be lz4", CORRUPT, batch(attributes=3, body=b"\xff" * 60), kafka="any"),
        Row("garbage that is said to be zstd", CORRUPT, batch(attributes=4, body=b"\xff" * 60), kafka="any"),
        Row("garbage behind gzip's first bytes on a compacted topic", CORRUPT,
            batch(attributes=1, body=b"\x1f\x8b" + b"\xff" * 60), topic="compacted", kafka="any"),
        Row("gzip that becomes 512 MiB on a compacted topic", TOO_LARGE, bomb(), topic="compacted", kafka="any"),
        Row("keyed records on a compacted topic", 0, whole, topic="compacted"),
        Row("a timestamp too old", INVALID_TIMESTAMP, batch(timestamp=now - DAY_MS), topic="timely", record_errors=2),
        Row("a timestamp too new", INVALID_TIMESTAMP, batch(timestamp=now + DAY_MS), topic="timely", record_errors=2),
        Row("a timestamp in time", 0, batch(timestamp=now), topic="timely"),
        Row("LogAppendTime set by the client", INVALID_TIMESTAMP, batch(attributes=8), kafka="any"),
        Row("any timestamp where the broker stamps", 0, batch(timestamp=now - DAY_MS), topic="stamped"),
        Row("acks=5", ACKS, whole, acks=5),
        Row("acks=-2", ACKS, whole, acks=-2),
        Row("an unknown topic", UNKNOWN, whole, topic="nobody-made-this"),
        Row("an unknown partition", UNKNOWN, whole, partition=99),
        Row("partition -1", UNKNOWN, whole, partition=-1),
        Row("a transactional batch without a transactional id", TRANSACTION_DENIED,
            transaction(5, 0)),
        Row("two producers in a transaction", PRODUCER_MAPPING, transaction(5, 0), transactional_id="id",
            beside=("stamped", transaction(6, 0))),
        Row("two epochs of a producer in a transaction", PRODUCER_MAPPING, transaction(5, 0), transactional_id="id",
            beside=("stamped", transaction(5, 1))),
        Row("two producers in a transaction, Produce 9", PRODUCER_MAPPING, transaction(5, 0), transactional_id="id",
            beside=("stamped", transaction(6, 0)), version=9),
        # Kafka looks the id up first: it knows no producer for it.
        Row("a transaction that was not begun", TRANSACTION_STATE, transaction(5, 0), transactional_id="id",
            kafka=(PRODUCER_MAPPING,)),
        Row("a transaction that was not begun, Produce 11", ABORTABLE, transaction(5, 0), transactional_id="id",
            version=11, kafka=(PRODUCER_MAPPING,)),
        # Kafka from 3.7 on asks for no more than the topic has replicas.
        Row("acks=-1 and too few replicas in sync", 0, whole, topic="careful"),
        Row("acks=1 and too few replicas in sync", 0, whole, topic="careful", acks=1),
        Row("a good batch, Produce 3", 0, whole, version=3),
        Row("a good batch, Produce 9", 0, whole, version=9),
        Row("a wrong CRC, Produce 9", CORRUPT, batch(crc_flip=9), version=9),
        Row("a good batch, acks=1", 0, whole, acks=1),
    ]


def sequences(producer_id, epoch):
    """One producer's story, in order: (name, code, epoch, base sequence, records, the row whose offset it gets again)."""
    return [
        ("a first batch", 0, epoch, 0, 3, None),
        ("the next one", 0, epoch, 3, 1, None),
        ("the same again", 0, epoch, 3, 1, 1),
        ("the first one again", 0, epoch, 0, 3, 0),
        ("a gap", OUT_OF_ORDER, epoch, 9, 1, None),
        ("an overlap", OUT_OF_ORDER, epoch, 2, 2, None),
        ("batches on", 0, epoch, 4, 1, None),
        ("batches on", 0, epoch, 5, 1, None),
        ("batches on", 0, epoch, 6, 1, None),
        ("batches on", 0, epoch, 7, 1, None),
        ("the last of the five again", 0, epoch, 3, 1, 1),
        ("one behind the five again", OUT_OF_ORDER, epoch, 0, 3, None),
        ("a new epoch that does not begin at 0", OUT_OF_ORDER, epoch + 1, 8, 1, None),
        ("a new epoch", 0, epoch + 1, 0, 1, None),
        ("the old epoch", OLD_EPOCH, epoch, 8, 1, None),
    ]


def unknown_producer(producer_id):
    """A producer that the broker has forgotten may go on anywhere, also over the end of the sequences."""
    return [
        ("an unknown producer in the middle", 0, 7, 2**31 - 3, 3, None),
        ("the sequence wraps to 0", 0, 7, 0, 2, None),
        ("and goes on", 0, 7, 2, 1, None),
        ("a gap", OUT_OF_ORDER, 7, 9, 1, None),
    ]
