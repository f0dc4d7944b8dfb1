"""What a member of a group is to kafka-python and to aiokafka, which has its names of settings."""


def settings(member, assignors):
    """The keyword arguments of the consumer. `assignors`: the library's class of each assignor's name."""
    found = {"bootstrap_servers": member.bootstrap, "group_id": member.group, "client_id": member.name,
             "auto_offset_reset": "earliest", "enable_auto_commit": False}
    if member.assignor:
        found["partition_assignment_strategy"] = (assignors[member.assignor],)
    if member.session_ms:
        found["session_timeout_ms"] = member.session_ms
    if member.instance:
        found["group_instance_id"] = member.instance
    return found
