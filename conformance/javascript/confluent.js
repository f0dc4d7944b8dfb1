// @confluentinc/kafka-javascript: librdkafka behind kafkajs's interface.
'use strict';

const { Kafka, logLevel } = require('@confluentinc/kafka-javascript').KafkaJS;

const { main } = require('./producer_flow');

const ACKS = { 0: 0, 1: 1, all: -1 };

async function connect(bootstrap) {
  const kafka = new Kafka({ kafkaJS: { brokers: [bootstrap], clientId: 'conformance', logLevel: logLevel.NOTHING } });
  const admin = kafka.admin();
  await admin.connect();

  const offsets = async (topic) => (await admin.fetchTopicOffsets(topic)).sort((a, b) => a.partition - b.partition);

  return {
    // It hands librdkafka the address of an empty buffer's bytes, which is null, for keys, values and header values.
    emptyIsNull: true,
    async produce(topic, codec, round, records) {
      const producer = kafka.producer({
        kafkaJS: { acks: ACKS[round.acks], idempotent: round.idempotent, compression: codec },
        'linger.ms': 20,
      });
      await producer.connect();
      try {
        const sent = await producer.send({ topic, messages: records });
        const bases = [];
        for (const one of sent) bases[one.partition] = Math.min(bases[one.partition] ?? Infinity, one.baseOffset);
        return bases;
      } finally {
        await producer.disconnect();
      }
    },
    createTopic: (topic, numPartitions, configs) => admin.createTopics({
      topics: [{ topic, numPartitions, replicationFactor: 1,
        configEntries: Object.entries(configs).map(([name, value]) => ({ name, value })) }],
    }),
    topics: () => admin.listTopics(),
    partitionsOf: async (topic) => (await admin.fetchTopicMetadata({ topics: [topic] }))[0].partitions.length,
    endOffsets: async (topic) => (await offsets(topic)).map((one) => Number(one.high)),
    startOffset: async (topic, partition) => Number((await offsets(topic))[partition].low),
    offsetsFromTime: async (topic, time) => (await admin.fetchTopicOffsetsByTimestamp(topic, time))
      .sort((a, b) => a.partition - b.partition).map((one) => Number(one.offset)),
    unknownTopic: (topic) => admin.fetchTopicMetadata({ topics: [topic] }),
    deleteRecords: (topic, partition, offset) => admin.deleteTopicRecords({ topic,
      partitions: [{ partition, offset: String(offset) }] }),
    deleteTopic: (topic) => admin.deleteTopics({ topics: [topic] }),
    close: () => admin.disconnect(),
  };
}

main(connect);
