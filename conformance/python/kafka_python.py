"""kafka-python, both of the 3.x line and 2.0.2, which guesses the broker's version from what it advertises."""

import time

import kafka
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic
from kafka.errors import KafkaError, for_code

import flow

TIMEOUT_S = 30
MAJOR = int(kafka.__version__.split(".", maxsplit=1)[0])


def named(error):
    return flow.Refused(f"{type(error).__name__}: {error}")


class KafkaPython(flow.ClientUnderTest):
    idempotent = MAJOR >= 3
    # Both refuse None as a header's value before anything is sent.
    null_header_values = False

    def __init__(self, bootstrap):
        super().__init__(bootstrap)
        self.admin_client = KafkaAdminClient(bootstrap_servers=bootstrap)
        self.consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False,
                                      auto_offset_reset="none", fetch_max_wait_ms=20)

    def close(self):
        self.consumer.close()
        self.admin_client.close()

    def create_topic(self, name, partitions, configs):
        self.admin_client.create_topics([NewTopic(name, partitions, 1, topic_configs=configs)])

    def described(self, names=None):
        """kafka-python 2.0.2 calls a topic's name "topic", 3.x "name"."""
        return {topic.get("name") or topic["topic"]: topic for topic in self.admin_client.describe_topics(names)}

    def topics(self):
        return {name: len(topic["partitions"]) for name, topic in self.described().items()}

    def topic_config(self, name):
        resource = ConfigResource(ConfigResourceType.TOPIC, name)
        if MAJOR >= 3:
            entries = self.admin_client.describe_configs([resource], config_filter="all")["topic"][name]
            return {key: entry["value"] for key, entry in entries.items()}
        [response] = self.admin_client.describe_configs([resource])
        [(_, _, _, _, entries)] = response.resources
        return {entry[0]: entry[1] for entry in entries}

    def create_partitions(self, name, total):
        self.admin_client.create_partitions({name: NewPartitions(total) if MAJOR < 3 else total})

    def delete_topic(self, name):
        self.admin_client.delete_topics([name])

    def produce(self, topic, codec, settings, records):
        options = {"enable_idempotence": settings["idempotent"]} if MAJOR >= 3 else {}
        producer = KafkaProducer(bootstrap_servers=self.bootstrap, linger_ms=20, batch_size=32_768,
                                 acks=settings["acks"] if settings["acks"] == "all" else int(settings["acks"]),
                                 compression_type=None if codec == "none" else codec, **options)
        try:
            futures = [producer.send(topic, key=r.key, value=r.value, headers=r.headers, partition=r.partition,
                                     timestamp_ms=r.timestamp) for r in records]
            producer.flush(TIMEOUT_S)
            sent = [future.get(TIMEOUT_S) for future in futures]
        except KafkaError as error:
            raise named(error) from error
        finally:
            producer.close()
        return None if settings["acks"] == "0" else [(one.partition, one.offset) for one in sent]

    def produce_too_large(self, topic, size):
        record = flow.Record(0, -1, 1, b"k", b"x" * size, [])
        self.produce(topic, "none", {"acks": "all", "idempotent": False}, [record])

    def end_offset(self, topic, partition):
        place = TopicPartition(topic, partition)
        try:
            return self.consumer.end_offsets([place])[place]
        except KafkaError as error:
            raise named(error) from error

    def offset_for_time(self, topic, partition, timestamp):
        place = TopicPartition(topic, partition)
        found = self.consumer.offsets_for_times({place: timestamp})[place]
        return None if found is None else (found.offset, found.timestamp)

    def poll(self, count):
        records, deadline = [], time.monotonic() + TIMEOUT_S
        while len(records) < count and time.monotonic() < deadline:
            try:
                polled = self.consumer.poll(timeout_ms=500, max_records=count - len(records))
            except KafkaError as error:
                raise named(error) from error
            for messages in polled.values():
                records += [flow.Record(m.partition, m.offset, m.timestamp, m.key, m.value, list(m.headers))
                            for m in messages]
        return records

    def read(self, topic, partition, start, count):
        place = TopicPartition(topic, partition)
        self.consumer.assign([place])
        if start == "beginning":
            self.consumer.seek_to_beginning(place)
        else:
            self.consumer.seek(place, start)
        return self.poll(count)

    def tail(self, topic, partition, produce, count):
        place = TopicPartition(topic, partition)
        self.consumer.assign([place])
        self.consumer.seek_to_end(place)
        self.consumer.position(place)
        if early := self.consumer.poll(timeout_ms=200):
            raise flow.Refused(f"a record before any was produced: {early}")
        produce()
        return self.poll(count)

    def read_out_of_range(self, topic, partition, offset):
        self.read(topic, partition, offset, 1)

    def unknown_topic(self, name):
        if code := self.described([name])[name]["error_code"]:
            raise named(for_code(code)(name))


if __name__ == "__main__":
    flow.main(KafkaPython)
