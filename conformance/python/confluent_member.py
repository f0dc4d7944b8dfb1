"""A member of a consumer group in confluent-kafka; see group_member.py."""

from confluent_kafka import Consumer, KafkaException, TopicPartition

from group_member import POLL_S, Member


class Confluent(Member):
    def settings(self):
        settings = {"bootstrap.servers": self.bootstrap, "group.id": self.group, "client.id": self.name,
                    "auto.offset.reset": "earliest", "enable.auto.commit": False,
                    "reconnect.backoff.max.ms": 500, "log_level": 3}
        if self.protocol == "consumer":
            settings["group.protocol"] = "consumer"
            if self.assignor:
                settings["group.remote.assignor"] = self.assignor
        else:
            if self.assignor:
                settings["partition.assignment.strategy"] = self.assignor
            if self.session_ms:
                settings["session.timeout.ms"] = self.session_ms
        if self.instance:
            settings["group.instance.id"] = self.instance
        return settings

    def at(self, offsets):
        return [TopicPartition(self.topic, partition, offset) for partition, offset in offsets.items()]

    def commit(self, consumer, offsets):
        try:
            answered = consumer.commit(offsets=self.at(offsets), asynchronous=False)
        except KafkaException as error:
            self.say("commit-failed", why=str(error))
            return
        failed = [str(one.error) for one in answered if one.error]
        self.say("commit-failed", why=failed) if failed else self.committed(offsets)

    def obey(self, consumer, command):
        partitions = [TopicPartition(self.topic, partition) for partition in command["partitions"]]
        if command["do"] == "pause":
            consumer.pause(partitions)
        elif command["do"] == "resume":
            consumer.resume(partitions)
        elif command["do"] == "seek":
            for one in partitions:
                consumer.seek(TopicPartition(self.topic, one.partition, command["offset"]))
        self.say("obeyed", do=command["do"])

    def polled(self, consumer):
        records = []
        for message in consumer.consume(self.batch, POLL_S):
            if message.error() is None:
                records.append((message.partition(), message.offset(), message.value()))
            elif message.error().fatal():
                raise KafkaException(message.error())
            else:
                self.say("error", why=str(message.error()))
        return records

    def run(self):
        consumer = Consumer(self.settings())

        def told(event):
            return lambda _, partitions: self.say(event, partitions=[one.partition for one in partitions])

        consumer.subscribe([self.topic], on_assign=told("assigned"), on_revoke=told("revoked"), on_lost=told("lost"))
        while not self.closing:
            for command in self.told():
                self.obey(consumer, command)
            if offsets := self.read(self.polled(consumer)):
                self.commit(consumer, offsets)
                self.rest()
        consumer.close()
        self.say("closed")


if __name__ == "__main__":
    Confluent().run()
