"""The scenarios of the Kafka introductions, each for any kind of member.

A scenario gets a `Place` (the bootstrap address, a name that is its own) and a kind of member, and returns a sentence; what
is not as it must be raises. Duplicates are allowed where a member was killed, and only behind its last answered commit.
"""

import subprocess
from dataclasses import dataclass

from harness import install
from survival.checks import wait_until

from .members import ENDS_WITH_US, JAVA, KINDS, log_of
from .team import Team, expect, set_group_config

TAKEN_OVER_MS_MAX = 10_000
SESSION_MS = 6_000


@dataclass
class Place:
    bootstrap: str
    name: str

    def team(self, partitions):
        return Team(self.bootstrap, self.name, partitions)


def shared(place, kind, partitions, counts):
    """So many partitions among so many members; everything is read once."""
    with place.team(partitions) as team:
        members = [team.member(kind, f"member-{number}") for number in range(len(counts))]
        team.settled(counts)
        team.produce(100)
        team.all_read()
        team.committed_to_the_end(members)
        team.read_once()
        for member in members:
            expect({partition for partition, _, _ in member.read()} == set(member.owns()),
                   f"{member.name} read others' partitions")
        team.commits_are_at_the_end()
        team.close()
    return f"{partitions} partitions, {len(counts)} members: {counts}"


def four_and_two(place, kind):
    return shared(place, kind, 4, [2, 2])


def three_and_three(place, kind):
    return shared(place, kind, 3, [1, 1, 1])


def killed(place, team, kind, victim):
    """Kills a member of a settled team while it reads, and checks what follows: the time until its partitions are others',
    and which records were read again."""
    before = victim.owns()
    others = [member for member in team.running() if member is not victim]
    # It has read and committed some, and is in the middle of the others.
    expect(wait_until(lambda: len(victim.last_committed()) == len(before), 30), lambda: f"nothing is committed{team.why()}")
    at = victim.kill()
    committed = team.commits_of()
    lost = [partition for partition, offset in victim.last_committed().items() if committed.get(partition, -1) < offset]
    expect(not lost or not kind.hears_of_commits,
           lambda: f"OffsetFetch says {committed}, answered was {victim.last_committed()}")

    def taken_over():
        now = {}
        for member in others:
            now |= {partition: since for partition, since in member.owned_since().items() if since >= at - 100}
        return {partition: now[partition] for partition in before} if set(before) <= now.keys() else None

    since = wait_until(taken_over, 45)
    expect(since, lambda: f"partitions {before} are not taken over: {[member.owns() for member in others]}{team.why()}")
    took = max(since.values()) - at
    expect(took <= TAKEN_OVER_MS_MAX, f"partitions {before} were taken over after {took} ms")
    team.all_read()
    team.committed_to_the_end(team.members)
    twice = [place for place, count in team.read().items() if count > 1]
    unexpected = [(partition, offset) for partition, offset in twice
                  if partition not in before or offset < committed.get(partition, 0)]
    expect(not unexpected, lambda: f"records were read twice that were committed: {sorted(unexpected)[:5]}{team.why()}")
    team.commits_are_at_the_end()
    return f"taken over after {took / 1000:.1f} s, {len(twice)} of {len(team.read())} records read again"


def with_short_sessions(place, kind, group):
    if kind.is_classic:
        return {"session_ms": SESSION_MS}
    set_group_config(place.bootstrap, group, "consumer.session.timeout.ms", str(SESSION_MS))
    return {}


def two_and_three(place, kind):
    """2 partitions and 3 members: one is idle, and takes over when another is killed."""
    with place.team(2) as team:
        settings = with_short_sessions(place, kind, team.group)
        members = [team.member(kind, f"member-{number}", batch=20, pause_ms=20, **settings) for number in range(3)]
        team.settled([0, 1, 1])
        idle = next(member for member in members if not member.owns())
        victim = next(member for member in members if member.owns())
        team.produce(500)
        expect(not idle.read(), "the idle member reads")
        text = killed(place, team, kind, victim)
        team.settled([1, 1])
        expect(idle.owns(), "the idle member is idle still")
        team.close()
    return text


def takeover(place, kind):
    """4 partitions and 2 members; one is killed while both read."""
    with place.team(4) as team:
        settings = with_short_sessions(place, kind, team.group)
        members = [team.member(kind, f"member-{number}", batch=20, pause_ms=20, **settings) for number in range(2)]
        team.settled([2, 2])
        team.produce(500)
        text = killed(place, team, kind, members[0])
        team.settled([4])
        team.close()
    return text


def own_pace(place, kind):
    """Three groups of one topic: each gets all of it, at its own pace."""
    paces = {"analytics": {"batch": 500}, "email": {"batch": 25, "pause_ms": 20}, "archiving": {"batch": 10, "pause_ms": 30}}
    with place.team(2) as team:
        groups = {name: f"{place.name}-{name}" for name in paces}
        members = {name: team.member(kind, name, group=groups[name], **pace) for name, pace in paces.items()}
        for member in members.values():
            team.settled([2], [member])
        team.produce(600)
        ended = {}
        for name, member in members.items():
            team.all_read([member])
            team.committed_to_the_end([member])
            team.read_once([member])
            team.commits_are_at_the_end(groups[name])
            ended[name] = max(event["at"] for event in member.said("records"))
        expect(ended["analytics"] < ended["email"] < ended["archiving"], f"they ended at {ended}")
        team.close()
    first = min(ended.values())
    return ", ".join(f"{name} {(at - first) / 1000:.1f} s later" for name, at in ended.items() if at > first)


def restart(place, kind):
    """A member processes the record at 1047, commits 1048, and leaves; the next one receives 1048 first."""
    with place.team(1) as team:
        team.produce(1100)
        first = team.member(kind, "first", stop_at=1047)
        problem = first.ended()
        expect(problem is None, problem)
        expect([offset for _, offset, _ in first.read()] == list(range(1048)), lambda: f"it read {len(first.read())} records")
        expect(team.commits_of() == {0: 1048}, lambda: f"OffsetFetch says {team.commits_of()}")
        second = team.member(kind, "second")
        expect(wait_until(second.read, 45), lambda: f"the second reads nothing{team.why()}")
        expect(second.read()[0][1] == 1048, lambda: f"it receives {second.read()[0]} first")
        team.all_read()
        team.committed_to_the_end([second])
        team.read_once()
        team.close()
    return "1048 first"


def pause_resume_seek(place, kind):
    with place.team(2) as team:
        member = team.member(kind, "member")
        team.settled([2])
        team.produce(100)
        team.all_read()

        def order(*command, **more):
            count = len(member.said("obeyed"))
            member.tell(*command, **more)
            expect(wait_until(lambda: len(member.said("obeyed")) > count, 10), lambda: f"{command} is not obeyed{team.why()}")

        def of(partition):
            return [offset for at, offset, _ in member.read() if at == partition]

        order("pause", [0])
        team.produce(50)
        expect(wait_until(lambda: len(of(1)) == 150, 20), lambda: f"partition 1 is not read on: {len(of(1))}")
        expect(len(of(0)) == 100, lambda: f"partition 0 is paused, and read to {of(0)[-1]}")
        order("resume", [0])
        expect(wait_until(lambda: len(of(0)) == 150, 20), lambda: f"partition 0 is not resumed: {len(of(0))}")
        order("seek", [0], offset=10)
        expect(wait_until(lambda: len(of(0)) == 290, 20), lambda: f"after seek {len(of(0))} records")
        expect(of(0) == [*range(150), *range(10, 150)], lambda: f"partition 0: {of(0)[145:155]} …")
        expect(of(1) == [*range(150)], "partition 1 is read again")
        team.close()
    return "paused 50 records, resumed, 140 again after seek"


def static(place, kind):
    """A static member that comes back within its session has what it had, and nobody else notices."""
    with place.team(4) as team:
        names = {"a": "instance-a", "b": "instance-b"}
        members = {}
        for name, instance in names.items():
            # One after the other: the first joins again, and says then what it owns, which it does not when it comes back.
            members[name] = team.member(kind, name, instance=instance)
            team.settled([4] if name == "a" else [2, 2])
        team.produce(50)
        team.all_read()
        team.committed_to_the_end(members.values())
        had, stayed = members["a"].owns(), members["b"]
        noticed = len(stayed.said("assigned", "revoked", "lost"))
        # In the consumer protocol an instance is refused while its last member may live: it has to leave for a while.
        problem = members["a"].kill() and None if kind.is_classic else members["a"].close()
        expect(problem is None, problem)
        back = team.member(kind, "a-again", instance=names["a"])
        team.settled([2, 2], [back, stayed])
        expect(back.owns() == had, f"it had {had}, and has {back.owns()}")
        team.produce(50)
        team.all_read()
        team.committed_to_the_end([*members.values(), back])
        team.read_once()
        expect(len(stayed.said("assigned", "revoked", "lost")) == noticed,
               lambda: f"the other saw {stayed.said('assigned', 'revoked', 'lost')[noticed:]}")
        team.close()
    return f"partitions {had} again, and no rebalance"


def cooperative(place, kind):
    """A third member joins: each of the others gives up one partition, and keeps its others all the time."""
    if kind.is_classic:
        kind = kind.with_settings(assignor="cooperative-sticky")
    with place.team(6) as team:
        members = [team.member(kind, f"member-{number}") for number in range(2)]
        team.settled([3, 3])
        before = [member.owned_since() for member in members]
        revoked = [len(member.said("revoked", "lost")) for member in members]
        team.member(kind, "third")
        team.settled([2, 2, 2])
        for member, had, count in zip(members, before, revoked, strict=True):
            kept = member.owned_since()
            expect(kept.items() <= had.items(), f"{member.name} had {had}, and has {kept}: some were revoked for a while")
            gave = [partition for event in member.said("revoked", "lost")[count:] for partition in event["partitions"]]
            expect(sorted(gave) == sorted(set(had) - set(kept)), f"{member.name} gave up {gave}, had {had}, has {kept}")
        team.produce(50)
        team.all_read()
        team.committed_to_the_end(team.members)
        team.read_once()
        team.close()
    return "two of three partitions stay"


def eager(place, kind):
    """The same with the assignor `range`: all give up everything, and share anew."""
    with place.team(6) as team:
        members = [team.member(kind.with_settings(assignor="range"), f"member-{number}") for number in range(2)]
        team.settled([3, 3])
        team.member(kind.with_settings(assignor="range"), "third")
        team.settled([2, 2, 2])
        for member in members:
            gave = sum((event["partitions"] for event in member.said("revoked")), [])
            expect(len(gave) == 3, f"{member.name} gave up {gave}")
        # Ranges: the first of the members in the order of their ids have the lowest partitions.
        expect(sorted(member.owns() for member in team.members) == [[0, 1], [2, 3], [4, 5]],
               lambda: f"{[member.owns() for member in team.members]}")
        team.produce(50)
        team.all_read()
        team.committed_to_the_end(team.members)
        team.read_once()
        team.close()
    return "[0, 1], [2, 3], [4, 5]"


MIXED = ["confluent-kafka", "kafka-python", "aiokafka", "java-3", "java-4", "franz-go", "sarama", "confluent-kafka-javascript"]


def mixed(place, _):
    """One group in five languages, with the assignor that all have."""
    with place.team(2 * len(MIXED)) as team:
        members = [team.member(KINDS[name].with_settings(assignor="range"), name) for name in MIXED]
        team.settled([2] * len(MIXED), seconds=60)
        team.produce(100)
        team.all_read()
        team.committed_to_the_end(members)
        team.read_once()
        team.commits_are_at_the_end()
        # One leaves, and the others share what it had.
        problem = members.pop().close()
        expect(problem is None, problem)
        team.settled([3, 3] + [2] * (len(MIXED) - 3), members)
        team.produce(20)
        team.all_read()
        team.committed_to_the_end(team.members)
        team.close()
    return f"{', '.join(MIXED)}: two partitions each"


def converted(place, kind):
    """Members of the classic and of the consumer protocol in one group, which is converted while it lives, and back."""
    classic, consumer = kind.with_settings(protocol="classic"), kind
    with place.team(4) as team:
        first = team.member(classic, "classic")
        team.settled([4])
        team.produce(50)
        team.all_read()
        team.committed_to_the_end([first])
        second = team.member(consumer, "consumer")
        team.settled([2, 2])
        team.produce(50)
        team.all_read()
        team.committed_to_the_end(team.members)
        team.read_once()
        problem = first.close()
        expect(problem is None, problem)
        team.settled([4])
        team.produce(50)
        team.all_read()
        team.committed_to_the_end(team.members)
        team.commits_are_at_the_end()
        team.close()
    return "classic alone, both, consumer alone"


def intro_of(place, name, version, *more):
    """The consumer of the introductions, unchanged, twice: the second goes on where the first committed."""
    group = f"{place.name}-{name}"

    def read(life, count):
        log = log_of(f"{group}-{life}")
        with log.open("wb") as output:
            process = subprocess.Popen([*ENDS_WITH_US, *JAVA, "-cp", install.java_clients(version),
                                        "conformance.IntroConsumer", place.bootstrap, f"group.id={group}", *more],
                                       stdin=subprocess.DEVNULL, stdout=output, stderr=output)

        def lines():
            return [line for line in log.read_text(errors="replace").splitlines() if line.startswith("partition = ")]

        def committed():
            return team.commits_of(group) == dict(team.produced)

        try:
            expect(wait_until(lambda: len(lines()) >= count, 45), lambda: f"{len(lines())} of {count} records: "
                   f"{log.read_text()[-500:]}")
            # Its commits come by themselves, every 5 s.
            expect(wait_until(committed, 15), lambda: f"committed {team.commits_of(group)}, produced {dict(team.produced)}")
            return lines()
        finally:
            # It never leaves: its loop is for ever.
            process.kill()
            process.wait()

    with Team(place.bootstrap, "user-purchases", 4, group) as team:
        try:
            team.produce(25)
            first = read("first", 100)
            expect(len(set(first)) == len(first) == 100, f"{name}: {len(first)} records, {len(set(first))} different ones")
            team.produce(5)
            second = read("second", 20)
            expect(len(set(second)) == len(second) == 20 and not set(first) & set(second),
                   f"{name}: then {len(second)} records, {len(set(second))} different ones")
        finally:
            team.delete()


def introductions(place, _):
    classic = f"session.timeout.ms={SESSION_MS}"
    intro_of(place, "java-3", install.JAVA_3, classic)
    intro_of(place, "java-4", install.JAVA_4, classic)
    set_group_config(place.bootstrap, f"{place.name}-java-4-consumer", "consumer.session.timeout.ms", str(SESSION_MS))
    intro_of(place, "java-4-consumer", install.JAVA_4, "group.protocol=consumer")
    return "3.9.2, 4.4.0, 4.4.0 in the consumer protocol: 100 records, and again the 20 that followed"


def plan():
    """(scenario, kind) in the order in which they begin: the longest first."""
    both = [name for name in KINDS if name.startswith(("confluent-kafka", "java-4")) and "javascript" not in name]
    java = ["java-3", "java-4"]
    of = {
        introductions: ["java-4"], mixed: ["java-4"], takeover: KINDS, two_and_three: KINDS, own_pace: KINDS,
        converted: [name for name in both if not KINDS[name].is_classic], static: [*both, "java-3"],
        cooperative: [*both, "java-3"], eager: ["confluent-kafka", *java], pause_resume_seek: KINDS, restart: KINDS,
        four_and_two: KINDS, three_and_three: KINDS,
    }
    return [(scenario, KINDS[name]) for scenario, names in of.items() for name in names]
