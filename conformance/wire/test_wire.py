"""Is the checker itself right? Against known bytes, and against a broker with topics in which something is wrong.

`BOOTSTRAP` in the environment names the broker.
"""

import gzip
import os
import struct
import subprocess
import sys
import unittest
import uuid
from pathlib import Path

import kafka_wire

HERE = Path(__file__).resolve().parent
BOOTSTRAP = os.environ.get("BOOTSTRAP")
# The CRC-32C of "123456789", as RFC 3720's polynomial gives it.
CRC_CHECK = 0xE3069283


def varint(number):
    number = (number << 1) ^ (number >> 63)
    data = b""
    while number > 0x7F:
        data, number = data + bytes([number & 0x7F | 0x80]), number >> 7
    return data + bytes([number])


def varint_bytes(data):
    return varint(-1) if data is None else varint(len(data)) + data


def batch(records, codec="none", timestamp=1_700_000_000_000):
    """A record batch as a producer sends it; records are (key, value, headers)."""
    body = b""
    for delta, (key, value, headers) in enumerate(records):
        record = b"\0" + varint(0) + varint(delta) + varint_bytes(key) + varint_bytes(value) + varint(len(headers))
        for name, content in headers:
            record += varint_bytes(name.encode()) + varint_bytes(content)
        body += varint(len(record)) + record
    body = gzip.compress(body) if codec == "gzip" else body
    counted = struct.pack(">hiqqqhii", kafka_wire.CODECS.index(codec), len(records) - 1, timestamp, timestamp, -1, -1,
                          -1, len(records)) + body
    front = struct.pack(">ibI", -1, 2, kafka_wire.crc32c(counted))
    return struct.pack(">qi", 0, len(front) + len(counted)) + front + counted


RECORDS = [(b"key", b"value " * 100, [("h", None), ("h", b"")]), (None, None, []), (b"", b"", [])]


class Bytes(unittest.TestCase):
    def test_crc32c_has_the_published_check_value(self):
        self.assertEqual(kafka_wire.crc32c(b"123456789"), CRC_CHECK)

    def test_varints_round_trip(self):
        for number in (0, -1, 1, 63, 64, -64, -65, 300, 2**31 - 1, -(2**31)):
            self.assertEqual(kafka_wire.Reader(varint(number)).varint(), number)

    def test_a_batch_is_read_as_it_was_written(self):
        for codec in ("none", "gzip"):
            [one] = kafka_wire.parse_batches(batch(RECORDS, codec))
            self.assertEqual((one.codec, one.problems(), one.next_offset), (codec, [], 3))
            self.assertEqual([(r.key, r.value, r.headers) for r in one.records()], RECORDS)

    def test_a_batch_that_is_cut_short_is_left_out(self):
        whole = batch(RECORDS)
        self.assertEqual(len(kafka_wire.parse_batches(whole + whole[:-1])), 1)

    def test_a_flipped_bit_is_a_crc_mismatch(self):
        data = bytearray(batch(RECORDS))
        data[90] ^= 1
        [one] = kafka_wire.parse_batches(data)
        self.assertEqual(one.problems(), ["batch at offset 0: CRC mismatch"])

    def test_a_record_may_not_run_past_its_end(self):
        with self.assertRaises(kafka_wire.WireError):
            kafka_wire.Reader(b"\x10abc").varint_bytes()


@unittest.skipIf(BOOTSTRAP is None, "BOOTSTRAP names no broker")
class Broker(unittest.TestCase):
    def setUp(self):
        self.connection = kafka_wire.Connection(BOOTSTRAP)
        self.topic = f"checker-{uuid.uuid4()}"
        self.connection.create_topic(self.topic, 1)
        self.connection.produce_when_led(self.topic, 0, batch([RECORDS[0]] * 20, "gzip"))

    def tearDown(self):
        self.connection.delete_topic(self.topic)
        self.connection.close()

    def check(self, program, *arguments):
        command = [sys.executable, HERE / program, "--bootstrap", BOOTSTRAP, "--topic", self.topic, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def test_stored_codec_passes_what_is_right_and_fails_what_is_wrong(self):
        self.assertEqual(self.check("stored_codec", "--expect", "gzip", "--records", "20").returncode, 0)
        wrong = self.check("stored_codec", "--expect", "zstd")
        self.assertIn("is gzip, not zstd", wrong.stderr)
        self.assertEqual(wrong.returncode, 1)
        missing = self.check("stored_codec", "--expect", "gzip", "--records", "21")
        self.assertIn("20 records, not 21", missing.stderr)
        self.connection.produce_when_led(self.topic, 0, batch([RECORDS[0]] * 20, "none"))
        self.assertIn("is none, not gzip", self.check("stored_codec", "--expect", "gzip").stderr)

    def test_compare_fails_a_topic_that_holds_something_else(self):
        done = self.check("compare", "--scenario", os.environ["SCENARIO"], "--tail", "3")
        self.assertIn("wanted Record", done.stderr)
        self.assertEqual(done.returncode, 1)


if __name__ == "__main__":
    unittest.main()
