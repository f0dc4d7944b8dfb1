"""Bad input for groups: what members, their leaders and operators may get wrong, each with Kafka's code.

Each function yields (name, the codes that are right, the code that came); those of `bounds` are Corelane's own limits.
"""

import os
import struct

from kafka_wire import array, string
from survival.checks import wait_until
from survival.wire import compact_array, compact_string, uvarint

OFFSET_COMMIT, FIND_COORDINATOR, JOIN, HEARTBEAT, LEAVE, SYNC, DESCRIBE, CONSUMER_HEARTBEAT = 8, 10, 11, 12, 13, 14, 15, 68
UNKNOWN_TOPIC, METADATA_TOO_LARGE, NOT_AVAILABLE, ILLEGAL_GENERATION, INCONSISTENT = 3, 12, 15, 22, 23
UNKNOWN_MEMBER, INVALID_SESSION_TIMEOUT, MEMBER_ID_REQUIRED, MAX_SIZE = 25, 26, 79, 81
FENCED_EPOCH, STALE_EPOCH = 110, 113
TOPIC = "grouped"
SESSION_MS = 6_000
PENDING = 10_000
LONG_NAME_BYTES = 32_000
NAMED = 800
ANSWERED_BYTES_MAX = 64 << 20


def data(value):
    return struct.pack(">i", len(value)) + value


class Member:
    """What one connection says for groups, in versions whose bodies are short."""

    def __init__(self, connection):
        self.connection = connection

    def ask(self, api_key, version, body, flexible=False):
        return self.connection.receive(self.connection.send(api_key, version, body, "bad", flexible), flexible)

    @staticmethod
    def join_body(group, member="", protocols=(("range", b""),), session_ms=SESSION_MS, protocol_type="consumer"):
        return (string(group) + struct.pack(">ii", session_ms, SESSION_MS) + string(member) + string(protocol_type)
                + array([string(name) + data(said) for name, said in protocols]))

    @staticmethod
    def joined(reader):
        """(code, generation, member id)."""
        reader.i32()
        code, generation = reader.i16(), reader.i32()
        reader.string(), reader.string()
        return code, generation, reader.string()

    def join(self, *arguments, version=3, **named):
        return self.joined(self.ask(JOIN, version, self.join_body(*arguments, **named)))

    def sync(self, group, generation, member, assignments=()):
        """(code, assignment)."""
        given = array([string(to) + data(assignment) for to, assignment in assignments])
        reader = self.ask(SYNC, 2, string(group) + struct.pack(">i", generation) + string(member) + given)
        reader.i32()
        return reader.i16(), reader.bytes32()

    def heartbeat(self, group, generation, member):
        reader = self.ask(HEARTBEAT, 2, string(group) + struct.pack(">i", generation) + string(member))
        reader.i32()
        return reader.i16()

    def leave(self, group, member):
        reader = self.ask(LEAVE, 2, string(group) + string(member))
        reader.i32()
        return reader.i16()

    def commit(self, group, generation, member, topic=TOPIC, partition=0, metadata=""):
        offset = struct.pack(">iq", partition, 5) + string(metadata)
        topics = array([string(topic) + array([offset])])
        reader = self.ask(OFFSET_COMMIT, 5, string(group) + struct.pack(">i", generation) + string(member) + topics)
        reader.i32()
        return reader.array(lambda: (reader.string(), reader.array(lambda: (reader.i32(), reader.i16()))))[0][1][0][1]

    def commit_in_epoch(self, group, epoch, member):
        offset = struct.pack(">iqi", 0, 5, -1) + compact_string("") + b"\0"
        topics = compact_array([compact_string(TOPIC) + compact_array([offset]) + b"\0"])
        body = compact_string(group) + struct.pack(">i", epoch) + compact_string(member) + compact_string(None) + topics + b"\0"
        reader = self.ask(OFFSET_COMMIT, 9, body, True)
        reader.i32()

        def partition():
            found = reader.i32(), reader.i16()
            reader.tags()
            return found

        return reader.compact_array(lambda: (reader.compact_string(), reader.compact_array(partition), reader.tags()))[0][1][0][1]

    def consumer_heartbeat(self, group, epoch, member="", topics=None):
        """(code, member id, epoch)."""
        names = b"\0" if topics is None else compact_array([compact_string(topic) for topic in topics])
        owned = b"\0" if epoch else uvarint(1)
        body = (compact_string(group) + compact_string(member) + struct.pack(">i", epoch) + compact_string(None)
                + compact_string(None) + struct.pack(">i", 60_000 if epoch == 0 else -1) + names + compact_string(None)
                + owned + b"\0")
        reader = self.ask(CONSUMER_HEARTBEAT, 0, body, True)
        reader.i32()
        code = reader.i16()
        reader.compact_string()
        return code, reader.compact_string(), reader.i32()

    def stable(self, group, said=b"", assigned=b""):
        """(generation, member id) of a lonely member."""
        code, generation, member = self.join(group, protocols=[("range", said)])
        if code:
            raise OSError(f"no member of {group}: code {code}")
        self.sync(group, generation, member, [(member, assigned)])
        return generation, member


def ready(member):
    """The coordinator's log is there, and loaded."""
    def is_found():
        reader = member.ask(FIND_COORDINATOR, 1, string("rows") + b"\0")
        reader.i32()
        return reader.i16() == 0 and member.heartbeat("rows", 1, "nobody") == UNKNOWN_MEMBER
    return wait_until(is_found, 30, 0.1)


def classic(member):
    generation, me = member.stable("rows")
    yield "a heartbeat of the generation before", {ILLEGAL_GENERATION}, member.heartbeat("rows", generation - 1, me)
    yield "a heartbeat of the next generation", {ILLEGAL_GENERATION}, member.heartbeat("rows", generation + 1, me)
    yield "a heartbeat of nobody", {UNKNOWN_MEMBER}, member.heartbeat("rows", generation, "nobody")
    yield "a sync of the generation before", {ILLEGAL_GENERATION}, member.sync("rows", generation - 1, me)[0]
    yield "a commit of the generation before", {ILLEGAL_GENERATION}, member.commit("rows", generation - 1, me)
    yield "a commit of nobody", {UNKNOWN_MEMBER}, member.commit("rows", generation, "nobody")
    yield "a commit without a member, of a group that has some", {UNKNOWN_MEMBER}, member.commit("rows", -1, "")
    yield "a commit for a topic that is not there", {UNKNOWN_TOPIC}, member.commit("rows", generation, me, "nothing")
    for partition in (2, -1, 2**31 - 1):
        yield (f"a commit for partition {partition} of two", {UNKNOWN_TOPIC},
               member.commit("rows", generation, me, partition=partition))
    yield "4,096 bytes of an offset's metadata", {0}, member.commit("rows", generation, me, metadata="x" * 4096)
    yield "4,097 bytes of it", {METADATA_TOO_LARGE}, member.commit("rows", generation, me, metadata="x" * 4097)
    yield "a session of a millisecond", {INVALID_SESSION_TIMEOUT}, member.join("rows", session_ms=1)[0]
    yield "a session of 24 days", {INVALID_SESSION_TIMEOUT}, member.join("rows", session_ms=2**31 - 1)[0]
    yield "a member of another protocol type", {INCONSISTENT}, member.join("rows", protocol_type="connect")[0]
    yield "a member without protocols", {INCONSISTENT}, member.join("rows", protocols=[])[0]
    yield "an id that nobody was given", {UNKNOWN_MEMBER}, member.join("rows", "nobody")[0]
    yield "the member goes on", {0}, member.heartbeat("rows", generation, me)
    yield "it leaves", {0}, member.leave("rows", me)
    yield "it leaves again", {UNKNOWN_MEMBER}, member.leave("rows", me)


def malformed(member):
    """What members say to each other is theirs: garbage comes back as it was."""
    for name, said in {
        "no bytes": b"", "one byte": b"\0", "random bytes": os.urandom(200),
        "2,147,483,647 topics": struct.pack(">hi", 0, 2**31 - 1), "a topic longer than the metadata": struct.pack(">hih", 0, 1, 9999),
        "-1 topics": struct.pack(">hi", 1, -1), "a version that is not there": struct.pack(">hi", 32_767, 0),
    }.items():
        group, assignment = f"malformed {name}", os.urandom(100) + said
        code, generation, me = member.join(group, protocols=[("range", said)])
        yield f"metadata of {name}", {0}, code
        code, back = member.sync(group, generation, me, [(me, assignment), ("nobody", b"x")])
        yield f"an assignment of garbage and {name}, and one for nobody", {0}, code if back == assignment else "another came back"
        yield f"an offset of that group ({name})", {0}, member.commit(group, generation, me)
        yield f"the member leaves ({name})", {0}, member.leave(group, me)


def epochs(member):
    code, me, epoch = member.consumer_heartbeat("epochs", 0, "", [TOPIC])
    yield "a member of the consumer protocol", {0}, code
    yield "a heartbeat of a later epoch", {FENCED_EPOCH}, member.consumer_heartbeat("epochs", epoch + 1, me)[0]
    yield "a heartbeat of an earlier epoch", {FENCED_EPOCH}, member.consumer_heartbeat("epochs", epoch - 1, me)[0]
    yield "a heartbeat of nobody in it", {UNKNOWN_MEMBER}, member.consumer_heartbeat("epochs", epoch, "nobody")[0]
    yield "a commit of a later epoch", {STALE_EPOCH}, member.commit_in_epoch("epochs", epoch + 1, me)
    yield "a commit of an earlier epoch", {STALE_EPOCH}, member.commit_in_epoch("epochs", epoch - 1, me)
    yield "a commit in its epoch", {0}, member.commit_in_epoch("epochs", epoch, me)
    yield "the member of the consumer protocol leaves", {0}, member.consumer_heartbeat("epochs", -1, me)[0]


def codes_of(member, version, bodies):
    """Codes of joins that are sent fifty at a time."""
    codes = set()
    for at in range(0, len(bodies), 50):
        sent = [member.connection.send(JOIN, version, body, "bad") for body in bodies[at:at + 50]]
        codes |= {member.joined(member.connection.receive(correlation))[0] for correlation in sent}
    return codes


def bounds(member, connect):
    """What would take much memory: (name, codes that may come, one that must, codes that came)."""
    bodies = [member.join_body("pending") for _ in range(PENDING)]
    yield f"{PENDING:,} ids that nobody comes back with", {MEMBER_ID_REQUIRED}, MEMBER_ID_REQUIRED, codes_of(member, 4, bodies)
    yield "one more", {MAX_SIZE}, MAX_SIZE, codes_of(member, 4, bodies[:1])
    bodies = (member.join_body(f"{at:06}" + "n" * LONG_NAME_BYTES) for at in range(4_000))
    yield (f"4,000 groups with names of {LONG_NAME_BYTES:,} bytes", {MEMBER_ID_REQUIRED, NOT_AVAILABLE}, NOT_AVAILABLE,
           codes_of(member, 4, list(bodies)))

    def is_over():
        return member.join("after" + "n" * LONG_NAME_BYTES, version=4)[0] == MEMBER_ID_REQUIRED

    yield "one more such group, when their sessions are over", {True}, True, {bool(wait_until(is_over, 30, 0.5))}

    protocols, others, codes = [("range", b""), ("other", bytes(20 << 20))], [connect() for _ in range(5)], set()
    sent = [other.send(JOIN, 3, member.join_body(f"huge {at}", protocols=protocols), "bad") for at, other in enumerate(others)]
    for at, other in enumerate(others):
        code, _, me = member.joined(other.receive(sent[at]))
        codes.add(code)
        if not code:
            member.leave(f"huge {at}", me)
        other.close()
    yield "five members with 20 MiB of metadata each", {0, NOT_AVAILABLE}, NOT_AVAILABLE, codes

    said = bytes(1_400_000)
    generation, me = member.stable("named often", said, said)
    correlation = member.connection.send(DESCRIBE, 0, array([string("named often")] * NAMED), "bad")
    reader = member.connection.receive(correlation)
    size = reader.remaining()

    def group():
        code = reader.i16()
        for _ in range(4):
            reader.string()
        reader.array(lambda: (reader.string(), reader.string(), reader.string(), reader.bytes32(), reader.bytes32()))
        return code

    codes = set(reader.array(group))
    yield f"a group of 2.8 MB that is named {NAMED} times", {0, NOT_AVAILABLE}, NOT_AVAILABLE, codes
    yield f"its answer has {ANSWERED_BYTES_MAX >> 20} MiB at the most", {True}, True, {size <= ANSWERED_BYTES_MAX}
    yield "the group goes on", {0}, 0, {member.heartbeat("named often", generation, me)}
    yield "and ends", {0}, 0, {member.leave("named often", me)}
