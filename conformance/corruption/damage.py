"""Damages to a stopped node's files: which file, where, and how.

Belongs here: finding a place of each kind in the files (with `corelane inspect`, which names positions) and changing it.
Nothing about what the node does with it.
"""

import json
import os
import random
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

BATCH_CRC_AT, BATCH_LENGTH_AT, BATCH_RECORDS_AT = 17, 8, 61
JOURNAL_HEADER_BYTES = 128
BLOCK = 4096
CONTROLLER = "65535"


@dataclass
class Damage:
    """What was done to which file, and what may suffer from it."""

    path: Path
    what: str
    # Directories of partitions of which `verify` may speak in place of the file.
    partitions: set = field(default_factory=set)


class Files:
    """The files of one data directory."""

    def __init__(self, data, binary, seed=1):
        self.data, self.binary, self.draw = Path(data), binary, random.Random(seed)

    def inspect(self, path):
        done = subprocess.run([self.binary, "inspect", path, "--format", "json"], stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def segments(self, partition):
        return sorted((self.data / partition).glob("*.log"))

    def batches(self, log):
        return self.inspect(log)

    def journals(self, shard):
        return sorted((self.data / "journal" / shard).glob("*.journal"))

    def groups(self, shard):
        """(file, group) of the newest incarnation, in order."""
        found = [(path, group) for path in self.journals(shard) for group in self.inspect(path)]
        newest = max((group["incarnation"] for _, group in found), default=0)
        found = [(path, group) for path, group in found if group["incarnation"] == newest]
        return sorted(found, key=lambda one: one[1]["sequence"])

    def data_shards(self):
        return sorted(path.name for path in (self.data / "journal").iterdir() if path.name != CONTROLLER)

    def partitions_of(self, topic_ids):
        """Directory names of partitions by (topic id, index)."""
        names = {}
        for path in self.data.glob("*-*/partition.metadata"):
            topic_id = re.search(r"topic_id: (\S+)", path.read_text()).group(1)
            names[topic_id, int(path.parent.name.rsplit("-", 1)[1])] = path.parent.name
        return {names[key] for key in topic_ids if key in names}

    # Changes.

    def flip(self, path, at, bit=0):
        with path.open("r+b") as file:
            file.seek(at)
            byte = file.read(1)
            assert byte, f"{path} ends before {at}"
            file.seek(at)
            file.write(bytes([byte[0] ^ (1 << bit)]))

    def zero(self, path, at, count):
        with path.open("r+b") as file:
            file.seek(at)
            file.write(bytes(count))


def segment_damage(partition, which, where):
    """`which`: index among the segments; `where`: header, records, crc, epoch, zeros, half, missing."""
    def damage(files):
        log = files.segments(partition)[which]
        batches = files.batches(log)
        batch = batches[len(batches) // 2]
        at, end = batch["position"], batches[-1]["position"] + batches[-1]["bytes"]
        if where == "missing":
            log.unlink()
        elif where == "half":
            os.truncate(log, at + batch["bytes"] // 2)
        elif where == "empty":
            os.truncate(log, 0)
        elif where == "zeros":
            first = -(-at // BLOCK) * BLOCK
            files.zero(log, min(first, end - end % BLOCK - BLOCK if end > 2 * BLOCK else 0), BLOCK)
        elif where == "last":
            files.flip(log, batches[-1]["position"] + batches[-1]["bytes"] - 1)
        else:
            place = {"offset": 7, "length": BATCH_LENGTH_AT + 3, "epoch": 15, "magic": 16, "crc": BATCH_CRC_AT,
                     "records": BATCH_RECORDS_AT + 40}[where]
            files.flip(log, at + place, bit=1)
        return Damage(log, where, {partition})
    return damage


def swapped(partition):
    def damage(files):
        first, second = files.segments(partition)[:2]
        hold = first.with_suffix(".hold")
        first.rename(hold)
        second.rename(first)
        hold.rename(second)
        return Damage(first, "swapped with the next", {partition})
    return damage


def index_damage(partition, extension, where):
    def damage(files):
        path = files.segments(partition)[0].with_suffix(extension)
        if where == "missing":
            path.unlink()
        elif where == "half":
            os.truncate(path, path.stat().st_size // 2 - 1)
        else:
            files.flip(path, path.stat().st_size // 2)
        return Damage(path, where, {partition})
    return damage


def journal_damage(shard_index, where, place):
    """`place`: the group (opening, appends, pointer, last, above); `where`: header, table, body, zeros."""
    def damage(files):
        shard = CONTROLLER if shard_index is None else files.data_shards()[shard_index]
        groups = files.groups(shard)
        kinds = {"appends": {"Append", "append"}, "pointer": {"Pointer", "pointer"}}
        if place == "opening":
            path, group = groups[0]
        elif place == "last":
            # The last group that is known as acknowledged.
            known = max(group["acknowledged_end"] for _, group in groups)
            path, group = [one for one in groups if one[1]["sequence"] < known and has_body(one[1])][-1]
        elif place == "above":
            known = max(group["acknowledged_end"] for _, group in groups)
            above = [one for one in groups if one[1]["sequence"] >= known]
            path, group = above[-1]
        else:
            wanted = [one for one in groups if any(entry["kind"] in kinds[place] and entry["body_bytes"]
                                                   for entry in one[1]["entries"])]
            path, group = wanted[len(wanted) // 2]
        at, rows = group["position"], len(group["entries"])
        if where == "header":
            files.flip(path, at + 30, bit=2)
        elif where == "table":
            files.flip(path, at + JOURNAL_HEADER_BYTES + 20)
        elif where == "body":
            files.flip(path, at + group["bytes"] - group_padding(files, path, group) - 1)
        else:
            files.zero(path, at, BLOCK)
        touched = {(entry["topic_id"], entry["partition"]) for entry in group["entries"]}
        return Damage(path, f"{where} of group {group['incarnation']}.{group['sequence']} ({rows} entries)",
                      files.partitions_of(touched))
    return damage


def has_body(group):
    return any(entry["body_bytes"] for entry in group["entries"])


def group_padding(files, path, group):
    """Zeros behind the bodies, which no CRC covers."""
    with path.open("rb") as file:
        file.seek(group["position"])
        data = file.read(group["bytes"])
    table, body = int.from_bytes(data[60:64], "little"), int.from_bytes(data[64:68], "little")
    return len(data) - JOURNAL_HEADER_BYTES - table - body


def journal_file(where):
    def damage(files):
        shard = files.data_shards()[0]
        path = files.groups(shard)[0][0]
        if where == "missing":
            path.unlink()
        elif where == "all":
            shutil.rmtree(path.parent)
        else:
            os.truncate(path, files.groups(shard)[len(files.groups(shard)) // 2][1]["position"] + BLOCK // 2)
        return Damage(path, where, {path.parent.name for path in files.data.glob("*-*/partition.metadata")})
    return damage


def plain_file(name, where, at=None):
    def damage(files):
        path = next(iter(sorted(files.data.glob(name))))
        size = path.stat().st_size
        if where == "missing":
            path.unlink()
        elif where == "empty":
            os.truncate(path, 0)
        elif where == "half":
            os.truncate(path, size // 2)
        else:
            files.flip(path, size // 2 if at is None else at, bit=1)
        return Damage(path, where, {path.parent.name})
    return damage


def meta_line(key):
    """One digit of a line's value is another one."""
    def damage(files):
        path = files.data / "meta.properties"
        text = path.read_text()
        at = text.index(f"{key}=") + len(key) + 1
        digit = "2" if text[at] != "2" else "3"
        path.write_text(text[:at] + digit + text[at + 1:])
        return Damage(path, f"{key} changed")
    return damage


def directory_gone(name):
    def damage(files):
        path = files.data / name
        shutil.rmtree(path)
        return Damage(path, "directory removed", {name})
    return damage
