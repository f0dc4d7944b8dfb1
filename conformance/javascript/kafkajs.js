// kafkajs: it looks at no broker's lowest version, only at the highest.
'use strict';

const { CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, Partitioners, logLevel } = require('kafkajs');
const lz4 = require('lz4-napi');
const { ZstdCodec } = require('zstd-codec');

const { main } = require('./producer_flow');

// kafkajs has gzip built in; the others are plugged in, as its documentation says.
CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy');
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: ({ buffer }) => lz4.compressFrame(buffer),
  decompress: (buffer) => lz4.decompressFrame(buffer),
});
const zstd = new Promise((done) => ZstdCodec.run((codec) => done(new codec.Simple())));
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async ({ buffer }) => Buffer.from((await zstd).compress(buffer)),
  decompress: async (buffer) => Buffer.from((await zstd).decompress(buffer)),
});

const CODECS = {
  none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4, zstd: CompressionTypes.ZSTD,
};
const ACKS = { 0: 0, 1: 1, all: -1 };

async function connect(bootstrap) {
  const kafka = new Kafka({ brokers: [bootstrap], clientId: 'conformance', logLevel: logLevel.NOTHING,
    retry: { retries: 3 } });
  const admin = kafka.admin();
  await admin.connect();

  const offsets = async (topic) => (await admin.fetchTopicOffsets(topic)).sort((a, b) => a.partition - b.partition);

  async function produce(topic, codec, round, records, more = {}) {
    const producer = kafka.producer({ idempotent: round.idempotent, allowAutoTopicCreation: false,
      createPartitioner: Partitioners.DefaultPartitioner, ...more });
    await producer.connect();
    try {
      const bases = [];
      for (let at = 0; at < records.length; at += 120) {
        const messages = records.slice(at, at + 120);
        const sent = await producer.send({ topic, messages, acks: ACKS[round.acks], compression: CODECS[codec] });
        for (const one of sent || []) bases[one.partition] ??= Number(one.baseOffset);
      }
      return bases;
    } finally {
      await producer.disconnect();
    }
  }

  return {
    produce,
    createTopic: (topic, numPartitions, configs) => admin.createTopics({
      topics: [{ topic, numPartitions, replicationFactor: 1,
        configEntries: Object.entries(configs).map(([name, value]) => ({ name, value })) }],
    }),
    topics: () => admin.listTopics(),
    partitionsOf: async (topic) => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length,
    endOffsets: async (topic) => (await offsets(topic)).map((one) => Number(one.high)),
    startOffset: async (topic, partition) => Number((await offsets(topic))[partition].low),
    offsetsFromTime: async (topic, time) => (await admin.fetchTopicOffsetsByTimestamp(topic, time))
      .sort((a, b) => a.partition - b.partition).map((one) => Number(one.offset)),
    unknownTopic: (topic) => produce(topic, 'none', { acks: '1' },
      [{ partition: 0, key: null, value: Buffer.from('x'), headers: {}, timestamp: '1' }], { retry: { retries: 0 } }),
    topicConfig: async (topic) => {
      const described = await admin.describeConfigs({ includeSynonyms: false,
        resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }] });
      return Object.fromEntries(described.resources[0].configEntries
        .map((entry) => [entry.configName, entry.configValue]));
    },
    createPartitions: (topic, count) => admin.createPartitions({ topicPartitions: [{ topic, count }] }),
    deleteRecords: (topic, partition, offset) => admin.deleteTopicRecords({ topic,
      partitions: [{ partition, offset: String(offset) }] }),
    deleteTopic: (topic) => admin.deleteTopics({ topics: [topic] }),
    close: () => admin.disconnect(),
  };
}

main(connect);
