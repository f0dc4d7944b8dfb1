"""The checks notice what they are there for, in members that were never there."""

import unittest
from collections import Counter

from .members import KINDS, Heard
from .positions import behind, read_on_elsewhere
from .team import ScenarioFailed, Team


def member(name, *events):
    """A member that said these: (at, what, partitions, or a partition with offsets)."""
    heard = Heard(KINDS["confluent-kafka"], {"name": name, "group": "g"})
    for at, what, where in events:
        if what == "records":
            partition, offsets = where
            fields = {"partition": partition, "offsets": list(offsets),
                      "values": [f"{partition}:{offset}" for offset in offsets]}
        elif what == "committed":
            fields = {"offsets": {str(partition): offset for partition, offset in where.items()}}
        else:
            fields = {"partitions": where}
        heard.take({"at": at, "event": what, **fields})
    return heard


class OnPaper(Team):
    """Without a topic and processes."""

    def __init__(self, members, produced):
        self.members, self.partitions, self.produced = members, 1, Counter(produced)

    def why(self):
        return ""


def team(*members, produced=()):
    return OnPaper(list(members), dict(produced))


def gives_on(until, since):
    """Two members: one has the partition until then, the other since then."""
    return team(member("a", (1, "assigned", [0]), (until, "revoked", [0])), member("b", (since, "assigned", [0])))


class TheChecks(unittest.TestCase):
    def test_one_owner_after_the_other_is_right(self):
        gives_on(5, 5).one_owner_at_a_time()

    def test_two_owners_at_a_time_are_noticed(self):
        with self.assertRaisesRegex(ScenarioFailed, "owned partition 0 until 6"):
            gives_on(6, 5).one_owner_at_a_time()

    def test_an_owner_that_never_gave_it_up_is_noticed(self):
        two = team(member("a", (1, "assigned", [0])), member("b", (9, "assigned", [0])))
        with self.assertRaises(ScenarioFailed):
            two.one_owner_at_a_time()

    def test_a_partition_without_an_owner_is_noticed(self):
        one = team(member("a", (1, "assigned", [])))
        one.partitions = 1
        with self.assertRaisesRegex(ScenarioFailed, "members own"):
            one.settled([1], one.members, seconds=0)

    def test_a_record_that_nobody_read_is_noticed(self):
        read = (2, "records", (0, range(9)))
        with self.assertRaisesRegex(ScenarioFailed, "1 of 10 records were not read"):
            team(member("a", (1, "assigned", [0]), read), produced={0: 10}).all_read(seconds=0)

    def test_a_record_that_was_read_twice_is_noticed(self):
        both = [member(name, (1, "records", (0, [3]))) for name in "ab"]
        with self.assertRaisesRegex(ScenarioFailed, "read twice"):
            team(*both).read_once()

    def test_a_record_in_anothers_place_is_noticed(self):
        wrong = member("a", (1, "records", (0, [3])))
        wrong.records = [(0, 3, "0:4")]
        with self.assertRaisesRegex(ScenarioFailed, "0:4"):
            team(wrong).in_order()

    def test_commits_that_are_missing_are_noticed(self):
        with self.assertRaisesRegex(ScenarioFailed, "committed"):
            team(produced={0: 10}).committed_to_the_end([member("a", (1, "committed", {0: 9}))], seconds=0)

    def test_a_lost_commit_is_behind(self):
        self.assertEqual(behind({0: 5, 1: 7}, {0: 5}, "x"), [])
        self.assertEqual(len(behind({0: 5}, {0: 6, 1: 1}, "x")), 2)

    def test_reading_on_at_the_commit_is_right(self):
        first = member("a", (1, "assigned", [0]), (2, "records", (0, range(5))), (3, "committed", {0: 5}), (4, "revoked", [0]))
        second = member("b", (5, "assigned", [0]), (6, "records", (0, range(5, 8))))
        self.assertEqual(read_on_elsewhere([first, second]), [])

    def test_beginning_before_the_commit_is_noticed(self):
        first = member("a", (1, "assigned", [0]), (2, "records", (0, range(5))), (3, "committed", {0: 5}), (4, "revoked", [0]))
        second = member("b", (5, "assigned", [0]), (6, "records", (0, range(4, 8))))
        self.assertIn("begins at 4, 5 was committed", read_on_elsewhere([first, second])[0])

    def test_a_gap_is_noticed(self):
        gap = member("a", (1, "assigned", [0]), (2, "records", (0, [1, 2])), (3, "records", (0, [4])))
        self.assertIn("goes on at 4, was at 3", read_on_elsewhere([gap])[0])
        self.assertIn("has gaps", read_on_elsewhere([member("a", (1, "records", (0, [1, 3])))])[0])


def all_pass(_):
    """As a row of `run`."""
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(TheChecks)
    result = unittest.TestResult()
    suite.run(result)
    problems = [text for _, text in result.failures + result.errors]
    if problems or not result.testsRun:
        raise ScenarioFailed(problems[0][-600:] if problems else "there is no test")
    return f"{result.testsRun} tests"
