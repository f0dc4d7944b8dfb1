"""Where members of a group read on, and what of their commits is left: problems, in words, where there are any.

Belongs here: judging what was heard, by itself; never a node or a process.
"""


def behind(found, wanted, what):
    """Partitions whose committed offset is behind one that it must have reached."""
    return [f"{what}: partition {partition} at {offset}, and is at {found.get(partition)}"
            for partition, offset in wanted.items() if found.get(partition, -1) < offset]


def read_on_elsewhere(members):
    """A member reads a partition without gaps, and begins where others' commits were, not before: each record was read by
    somebody, and again only if its commit was not answered before the partition was given on."""
    problems = []
    for member in members:
        committed_at = [(event["at"], event["offsets"]) for other in members if other is not member
                        for event in other.said("committed")]
        position, began = {}, {}
        for event in member.said("assigned", "revoked", "lost", "records"):
            if event["event"] != "records":
                for partition in event["partitions"]:
                    position.pop(partition, None)
                    began[partition] = event["at"]
                continue
            partition, first = event["partition"], event["offsets"][0]
            offsets = event["offsets"]
            if offsets != list(range(first, first + len(offsets))):
                problems.append(f"{member.name}: partition {partition} has gaps in {first} to {offsets[-1]}")
            if partition in position and first != position[partition]:
                problems.append(f"{member.name}: partition {partition} goes on at {first}, was at {position[partition]}")
            if partition not in position:
                before = [committed[str(partition)] for at, committed in committed_at
                          if str(partition) in committed and at < began.get(partition, 0)]
                if before and first < max(before):
                    problems.append(f"{member.name}: partition {partition} begins at {first}, {max(before)} was committed")
            position[partition] = offsets[-1] + 1
    return problems
