"""confluent-kafka for Python (librdkafka)."""

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic, ResourceType

import flow

TIMEOUT_S = 30


def refused(error):
    """confluent_kafka.KafkaError's name is Kafka's own, with librdkafka's for the local ones."""
    return flow.Refused(f"{error.name()}: {error.str()}")


class ConfluentPython(flow.ClientUnderTest):
    def __init__(self, bootstrap):
        super().__init__(bootstrap)
        self.common = {"bootstrap.servers": bootstrap}
        self.admin_client = AdminClient(self.common)
        # A group id must be set; with assign() and no commit the group is never joined.
        self.offsets = self.consumer()

    def consumer(self):
        return Consumer({**self.common, "group.id": "not-joined", "enable.auto.commit": False,
                         "auto.offset.reset": "error", "allow.auto.create.topics": False,
                         # A new assignment waits for the fetch in flight, so let that one be short.
                         "fetch.wait.max.ms": 20, "topic.metadata.propagation.max.ms": 1000})

    def close(self):
        self.offsets.close()

    def admin(self, futures):
        results = {}
        for key, future in futures.items():
            try:
                results[key] = future.result(TIMEOUT_S)
            except KafkaException as error:
                raise refused(error.args[0]) from error
        return results

    def create_topic(self, name, partitions, configs):
        self.admin(self.admin_client.create_topics([NewTopic(name, partitions, 1, config=configs)]))

    def topics(self):
        listed = self.admin_client.list_topics(timeout=TIMEOUT_S).topics
        return {name: len(topic.partitions) for name, topic in listed.items()}

    def topic_config(self, name):
        resource = ConfigResource(ResourceType.TOPIC, name)
        entries = self.admin(self.admin_client.describe_configs([resource]))[resource]
        return {key: entry.value for key, entry in entries.items()}

    def create_partitions(self, name, total):
        self.admin(self.admin_client.create_partitions([NewPartitions(name, total)]))

    def delete_topic(self, name):
        self.admin(self.admin_client.delete_topics([name]))

    def produce(self, topic, codec, settings, records):
        producer = Producer({**self.common, "compression.type": codec, "acks": settings["acks"], "linger.ms": 20,
                             "enable.idempotence": settings["idempotent"], "batch.size": 100_000})
        delivered, failures = [None] * len(records), []

        def on_delivery(number):
            def callback(error, message):
                if error:
                    failures.append(refused(error))
                else:
                    delivered[number] = (message.partition(), message.offset())
            return callback

        for number, record in enumerate(records):
            producer.produce(topic, partition=record.partition, key=record.key, value=record.value,
                             headers=record.headers, timestamp=record.timestamp, on_delivery=on_delivery(number))
            producer.poll(0)
        left = producer.flush(TIMEOUT_S)
        if failures or left:
            raise failures[0] if failures else flow.Refused(f"{left} records not delivered in {TIMEOUT_S} s")
        return None if settings["acks"] == "0" else delivered

    def produce_too_large(self, topic, size):
        record = flow.Record(0, -1, 0, b"k", b"x" * size, [])
        self.produce(topic, "none", {"acks": "all", "idempotent": False}, [record])

    def end_offset(self, topic, partition):
        try:
            return self.offsets.get_watermark_offsets(TopicPartition(topic, partition), timeout=TIMEOUT_S)[1]
        except KafkaException as error:
            # librdkafka answers from its metadata cache, which knows new partitions only after a refresh.
            self.offsets.list_topics(topic, timeout=TIMEOUT_S)
            raise refused(error.args[0]) from error

    def offset_for_time(self, topic, partition, timestamp):
        [found] = self.offsets.offsets_for_times([TopicPartition(topic, partition, timestamp)], timeout=TIMEOUT_S)
        if found.offset < 0:
            return None
        # librdkafka does not hand the timestamp on: take it from the record.
        [record] = self.read(topic, partition, found.offset, 1)
        return found.offset, record.timestamp

    def poll(self, count):
        records = []
        while len(records) < count:
            messages = self.offsets.consume(count - len(records), timeout=TIMEOUT_S)
            if not messages:
                break
            for message in messages:
                if message.error():
                    raise refused(message.error())
                records.append(flow.Record(message.partition(), message.offset(), message.timestamp()[1],
                                           message.key(), message.value(), message.headers() or []))
        return records

    def read(self, topic, partition, start, count):
        offset = OFFSET_BEGINNING if start == "beginning" else start
        self.offsets.assign([TopicPartition(topic, partition, offset)])
        try:
            return self.poll(count)
        finally:
            self.offsets.unassign()

    def tail(self, topic, partition, produce, count):
        place = TopicPartition(topic, partition, OFFSET_END)
        self.offsets.assign([place])
        end = self.end_offset(topic, partition)
        # The cached watermark is set by the first Fetch response: from then on the consumer has its place.
        while self.offsets.get_watermark_offsets(place, cached=True)[1] != end:
            if early := self.offsets.consume(1, timeout=0.05):
                raise flow.Refused(f"a record before any was produced: offset {early[0].offset()}")
        try:
            produce()
            return self.poll(count)
        finally:
            self.offsets.unassign()

    def read_out_of_range(self, topic, partition, offset):
        self.read(topic, partition, offset, 1)

    def unknown_topic(self, name):
        if error := self.offsets.list_topics(name, timeout=TIMEOUT_S).topics[name].error:
            raise refused(error)


if __name__ == "__main__":
    flow.main(ConfluentPython)
