// A member of a consumer group in kafkajs; see group_member.js.
'use strict';

const { Kafka, logLevel } = require('kafkajs');

const member = require('./group_member');

async function start() {
  const kafka = new Kafka({ clientId: member.name, brokers: [member.bootstrap], logLevel: logLevel.ERROR });
  // It sends heartbeats between its fetches, and has one wait 5 s unless told otherwise: 500 ms is the Java client's.
  const consumer = kafka.consumer({
    groupId: member.group, maxWaitTimeInMs: 500, ...(member.session_ms && { sessionTimeout: member.session_ms }),
  });
  let owned = [];
  const none = () => {
    if (owned.length) member.say('revoked', { partitions: owned });
    owned = [];
  };
  consumer.on(consumer.events.REBALANCING, none);
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    none();
    owned = payload.memberAssignment[member.topic] ?? [];
    member.say('assigned', { partitions: owned });
  });
  await consumer.connect();
  await consumer.subscribe({ topics: [member.topic], fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: false,
    eachBatch: async ({ batch, resolveOffset, heartbeat, isStale }) => {
      for (let at = 0; at < batch.messages.length && !member.closing && !isStale(); at += member.batch) {
        const some = batch.messages.slice(at, at + member.batch);
        const offset = member.read(batch.partition, some.map((one) => [Number(one.offset), one.value.toString()]));
        if (offset === null) return;
        resolveOffset(String(offset - 1));
        try {
          await consumer.commitOffsets([{ topic: member.topic, partition: batch.partition, offset: String(offset) }]);
          member.say('committed', { offsets: { [batch.partition]: offset } });
        } catch (error) {
          member.say('commit-failed', { why: String(error) });
        }
        await heartbeat();
        await member.rest();
      }
    },
  });
  return consumer;
}

member.main(start);
