"""The ledger notices what it is there for: run with `python3 -m unittest discover conformance/survival` in the clients'
environment."""

import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HERE), str(HERE / "wire")]

from survival.checks import with_clients

with_clients()

from survival.ledger import Ledger, record_of, value_of

WHERE = ("topic", 0)


def ledger(*records, once=True, ordered=True):
    """One producer, whose records with these sequences are acknowledged at 0, 1, 2 …; the log holds the same."""
    new = Ledger()
    number = new.producer("p", once, ordered)
    for offset, sequence in enumerate(records):
        new.acknowledge(*WHERE, offset, number, sequence)
        new.content[WHERE].append(number << 40 | sequence)
    return new


class TheLedger(unittest.TestCase):
    def broken(self, one):
        return one.broken(one.snapshot())

    def test_a_log_as_promised_breaks_nothing(self):
        self.assertEqual(self.broken(ledger(0, 1, 5)), [])

    def test_an_acknowledged_record_beyond_the_end_is_lost(self):
        one = ledger(0, 1, 2)
        one.content[WHERE].pop()
        self.assertIn("is lost", self.broken(one)[0])

    def test_another_record_in_its_place_is_a_loss(self):
        one = ledger(0, 1, 2)
        one.content[WHERE][1] = 7
        self.assertIn("p's record 1 is lost", self.broken(one)[0])

    def test_a_copy_breaks_once_only_where_that_was_promised(self):
        self.assertIn("twice", self.broken(ledger(0, 1, 1))[0])
        self.assertEqual(self.broken(ledger(0, 1, 1, once=False)), [])
        self.assertEqual(self.broken(ledger(0, 1, 0, 1, 2, once=False)), [])

    def test_a_record_that_overtakes_breaks_the_order_only_where_that_was_promised(self):
        self.assertIn("follows", self.broken(ledger(0, 2, 1))[0])
        self.assertEqual(self.broken(ledger(0, 2, 1, ordered=False)), [])

    def test_a_value_tells_its_record_and_every_flipped_byte(self):
        value = value_of(3, 9_000_000_001, 400)
        self.assertEqual(record_of(value), 3 << 40 | 9_000_000_001)
        for at in range(len(value)):
            damaged = bytearray(value)
            damaged[at] ^= 1
            self.assertNotEqual(record_of(bytes(damaged)), record_of(value), at)


if __name__ == "__main__":
    unittest.main()
