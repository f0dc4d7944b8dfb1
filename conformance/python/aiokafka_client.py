"""aiokafka: asyncio, and the oldest request versions of all clients here."""

import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

import flow

TIMEOUT_S = 30


def named(error):
    return flow.Refused(f"{type(error).__name__}: {error}")


class AioKafka(flow.ClientUnderTest):
    def __init__(self, bootstrap):
        super().__init__(bootstrap)
        self.loop = asyncio.new_event_loop()
        self.run(self.start())

    def run(self, coroutine):
        try:
            return self.loop.run_until_complete(asyncio.wait_for(coroutine, 4 * TIMEOUT_S))
        except KafkaError as error:
            raise named(error) from error

    async def start(self):
        self.admin_client = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        self.consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, group_id=None, enable_auto_commit=False,
                                         auto_offset_reset="none", fetch_max_wait_ms=20)
        await self.admin_client.start()
        await self.consumer.start()

    def close(self):
        self.run(self.consumer.stop())
        self.run(self.admin_client.close())

    def create_topic(self, name, partitions, configs):
        topic = NewTopic(name, partitions, 1, topic_configs=configs)
        response = self.run(self.admin_client.create_topics([topic]))
        for _, code, message in response.topic_errors:
            if code:
                raise named(for_code(code)(message))

    def topics(self):
        return {topic["topic"]: len(topic["partitions"]) for topic in self.run(self.admin_client.describe_topics())}

    def topic_config(self, name):
        resource = ConfigResource(ConfigResourceType.TOPIC, name)
        [response] = self.run(self.admin_client.describe_configs([resource]))
        [(_, _, _, _, entries)] = response.resources
        return {entry[0]: entry[1] for entry in entries}

    def create_partitions(self, name, total):
        self.run(self.admin_client.create_partitions({name: NewPartitions(total)}))

    def delete_topic(self, name):
        for _, code in self.run(self.admin_client.delete_topics([name])).topic_error_codes:
            if code:
                raise named(for_code(code)(name))

    async def produce_async(self, topic, codec, settings, records):
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, linger_ms=20, max_batch_size=32_768,
                                    acks=settings["acks"] if settings["acks"] == "all" else int(settings["acks"]),
                                    enable_idempotence=settings["idempotent"],
                                    compression_type=None if codec == "none" else codec)
        await producer.start()
        try:
            futures = [await producer.send(topic, key=r.key, value=r.value, headers=r.headers, partition=r.partition,
                                           timestamp_ms=r.timestamp) for r in records]
            return await asyncio.gather(*futures)
        finally:
            await producer.stop()

    def produce(self, topic, codec, settings, records):
        sent = self.run(self.produce_async(topic, codec, settings, records))
        return None if settings["acks"] == "0" else [(one.partition, one.offset) for one in sent]

    def produce_too_large(self, topic, size):
        async def send():
            producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, max_batch_size=2 * size, acks="all")
            await producer.start()
            try:
                await producer.send_and_wait(topic, b"x" * size, partition=0)
            finally:
                await producer.stop()

        self.run(send())

    def end_offset(self, topic, partition):
        place = TopicPartition(topic, partition)
        return self.run(self.consumer.end_offsets([place]))[place]

    def offset_for_time(self, topic, partition, timestamp):
        place = TopicPartition(topic, partition)
        found = self.run(self.consumer.offsets_for_times({place: timestamp}))[place]
        return None if found is None else (found.offset, found.timestamp)

    async def poll(self, count):
        records, empty = [], 0
        while len(records) < count and empty < 2 * TIMEOUT_S:
            polled = await self.consumer.getmany(timeout_ms=500, max_records=count - len(records))
            empty = 0 if polled else empty + 1
            for messages in polled.values():
                records += [flow.Record(m.partition, m.offset, m.timestamp, m.key, m.value, list(m.headers))
                            for m in messages]
        return records

    def read(self, topic, partition, start, count):
        async def read():
            place = TopicPartition(topic, partition)
            self.consumer.assign([place])
            if start == "beginning":
                await self.consumer.seek_to_beginning(place)
            else:
                self.consumer.seek(place, start)
            return await self.poll(count)

        return self.run(read())

    def tail(self, topic, partition, produce, count):
        async def take_place():
            place = TopicPartition(topic, partition)
            self.consumer.assign([place])
            await self.consumer.seek_to_end(place)
            return await self.consumer.getmany(timeout_ms=200)

        if early := self.run(take_place()):
            raise flow.Refused(f"a record before any was produced: {early}")
        produce()
        return self.run(self.poll(count))

    def read_out_of_range(self, topic, partition, offset):
        self.read(topic, partition, offset, 1)

    def unknown_topic(self, name):
        # Its Metadata requests always allow auto-creation; growing a topic asks without.
        self.create_partitions(name, 2)


if __name__ == "__main__":
    flow.main(AioKafka)
