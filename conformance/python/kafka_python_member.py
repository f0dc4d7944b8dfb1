"""A member of a consumer group in kafka-python; see group_member.py."""

from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.errors import KafkaError

from group_member import POLL_S, Member
from kafka_python_names import obey, settings

ASSIGNORS = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor}


class Listener(ConsumerRebalanceListener):
    def __init__(self, member):
        self.member = member

    def told(self, event, partitions):
        self.member.say(event, partitions=[one.partition for one in partitions])

    def on_partitions_assigned(self, assigned):
        self.told("assigned", assigned)

    def on_partitions_revoked(self, revoked):
        self.told("revoked", revoked)

    def on_partitions_lost(self, lost):
        self.told("lost", lost)


class KafkaPython(Member):
    def commit(self, consumer, offsets):
        try:
            consumer.commit({TopicPartition(self.topic, partition): OffsetAndMetadata(offset, "", -1)
                             for partition, offset in offsets.items()})
        except KafkaError as error:
            self.say("commit-failed", why=repr(error))
        else:
            self.committed(offsets)

    def run(self):
        consumer = KafkaConsumer(**settings(self, ASSIGNORS))
        consumer.subscribe([self.topic], listener=Listener(self))
        while not self.closing:
            obey(self, consumer, TopicPartition)
            polled = consumer.poll(timeout_ms=int(POLL_S * 1000), max_records=self.batch)
            records = [(one.partition, one.offset, one.value) for some in polled.values() for one in some]
            if offsets := self.read(records):
                self.commit(consumer, offsets)
                self.rest()
        consumer.close()
        self.say("closed")


if __name__ == "__main__":
    KafkaPython().run()
