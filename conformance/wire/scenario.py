"""The records that every client produces and must read back: written once a run, read by programs in five languages.

Belongs here: what is in the records, and nothing about any client. The file is JSON; keys, values and header values are
hex, or null. README.md says what a client does with it.
"""

import json
import sys
import time

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
PARTITIONS = 3
FEATURE_RECORDS = 30
BULK_RECORDS = 600
STEP_MS = 1000
ROUND_STEP_MS = 1_000_000
# All timestamps lie in the past, so that brokers that refuse records from the future take them.
AGE_MS = 3 * 3_600_000

ROUNDS = [
    {"name": "acks=1", "acks": "1", "idempotent": False},
    {"name": "acks=0", "acks": "0", "idempotent": False},
    {"name": "acks=all", "acks": "all", "idempotent": False},
    {"name": "idempotent", "acks": "all", "idempotent": True},
]

ALL_BYTES = bytes(range(256))


def _filler(number, size):
    """Text that every codec shortens."""
    line = f"record {number}: the quick brown fox jumps over the lazy dog; "
    return (line * (size // len(line) + 1))[:size].encode()


def _feature(number):
    """(key, value, headers) of the records in which clients and brokers differ; one kind for each remainder."""
    filler = _filler(number, 600)
    kinds = [
        (b"user-%d" % number, filler, []),
        (None, filler, [("trace", b"0123456789")]),
        (b"", filler, [("empty", b"")]),
        (b"tombstone-%d" % number, None, [("why", filler)]),
        (b"empty-value-%d" % number, b"", [("pad", filler)]),
        (ALL_BYTES, ALL_BYTES * 4, [("binary", ALL_BYTES)]),
        ("clé-κλειδί-鍵".encode(), "värde-значение-値 ".encode() * 40, [("überschrift-表頭", "内容".encode())]),
        (b"repeated-header", filler, [("h", b"first"), ("h", b"second"), ("h", b"first"), ("other", b"x")]),
        (b"null-header", filler, [("nothing", None), ("something", b"\x00")]),
        (b"large-%d" % number, _filler(number, 60_000), [("size", b"60000")]),
    ]
    return kinds[number // PARTITIONS % len(kinds)]


def records(base_ms):
    """Feature records, then many small ones; partitions take turns, timestamps rise but for one record a partition."""
    listed = []
    for number in range(FEATURE_RECORDS + BULK_RECORDS):
        feature = number < FEATURE_RECORDS
        if feature:
            key, value, headers = _feature(number)
        else:
            key, value, headers = b"key-%d" % (number % 50), _filler(number, 100 + number % 150), []
        timestamp = base_ms + number * STEP_MS
        if FEATURE_RECORDS <= number - 12 < FEATURE_RECORDS + PARTITIONS:
            timestamp -= 20 * STEP_MS
        listed.append({
            "partition": number % PARTITIONS,
            "key": None if key is None else key.hex(),
            "value": None if value is None else value.hex(),
            "headers": [[name, None if content is None else content.hex()] for name, content in headers],
            "timestamp": timestamp,
            "feature": feature,
        })
    return listed


def scenario(run, delete_codecs):
    base_ms = int(time.time() * 1000) - AGE_MS
    return {
        "run": run,
        "partitions": PARTITIONS,
        "codecs": CODECS,
        "rounds": ROUNDS,
        "round_step_ms": ROUND_STEP_MS,
        "topic_configs": {"max.message.bytes": "262144", "retention.ms": "864000000"},
        "too_large_bytes": 400_000,
        # The topics that a client deletes at its end; the others stay for whoever looks at the files.
        "delete_codecs": delete_codecs,
        "records": records(base_ms),
    }


if __name__ == "__main__":
    json.dump(scenario(sys.argv[1], CODECS), sys.stdout)
