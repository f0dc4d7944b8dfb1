"""What kafka-python and aiokafka, which has its names, are told: the settings of a member, and its orders."""


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


def obey(member, consumer, topic_partition):
    """Does what the member was told since. `topic_partition`: the library's class."""
    for command in member.told():
        partitions = [topic_partition(member.topic, partition) for partition in command["partitions"]]
        if command["do"] == "pause":
            consumer.pause(*partitions)
        elif command["do"] == "resume":
            consumer.resume(*partitions)
        elif command["do"] == "seek":
            for one in partitions:
                consumer.seek(one, command["offset"])
        member.say("obeyed", do=command["do"])
