"""A member of a consumer group in aiokafka; see group_member.py."""

import asyncio

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import KafkaError

from group_member import POLL_S, Member
from kafka_python_names import obey, settings

ASSIGNORS = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor}


class Listener(ConsumerRebalanceListener):
    def __init__(self, member):
        self.member = member

    async def on_partitions_assigned(self, assigned):
        self.member.say("assigned", partitions=[one.partition for one in assigned])

    async def on_partitions_revoked(self, revoked):
        self.member.say("revoked", partitions=[one.partition for one in revoked])


class Aiokafka(Member):
    async def commit(self, consumer, offsets):
        try:
            await consumer.commit({TopicPartition(self.topic, partition): offset
                                   for partition, offset in offsets.items()})
        except KafkaError as error:
            self.say("commit-failed", why=repr(error))
        else:
            self.committed(offsets)

    async def run(self):
        consumer = AIOKafkaConsumer(**settings(self, ASSIGNORS))
        consumer.subscribe([self.topic], listener=Listener(self))
        await consumer.start()
        while not self.closing:
            obey(self, consumer, TopicPartition)
            polled = await consumer.getmany(timeout_ms=int(POLL_S * 1000), max_records=self.batch)
            records = [(one.partition, one.offset, one.value) for some in polled.values() for one in some]
            if offsets := self.read(records):
                await self.commit(consumer, offsets)
                await asyncio.sleep(self.pause_ms / 1000)
        await consumer.stop()
        self.say("closed")


async def main():
    # Its clients belong to the loop that runs when they are made.
    await Aiokafka().run()


if __name__ == "__main__":
    asyncio.run(main())
