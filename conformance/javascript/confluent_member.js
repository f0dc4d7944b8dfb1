// A member of a consumer group in @confluentinc/kafka-javascript; see group_member.js.
'use strict';

const { Kafka, logLevel, ErrorCodes } = require('@confluentinc/kafka-javascript').KafkaJS;

const member = require('./group_member');

async function start() {
  const kafka = new Kafka({ kafkaJS: { brokers: [member.bootstrap], clientId: member.name, logLevel: logLevel.ERROR } });
  let processed = 0;
  const consumer = kafka.consumer({
    kafkaJS: {
      groupId: member.group, fromBeginning: true, autoCommit: false,
      ...(member.session_ms && { sessionTimeout: member.session_ms }),
    },
    ...(member.assignor && { 'partition.assignment.strategy': member.assignor }),
    ...(member.instance && { 'group.instance.id': member.instance }),
    rebalance_cb: (error, assignment) => {
      const partitions = assignment.map((one) => one.partition);
      member.say(error.code === ErrorCodes.ERR__ASSIGN_PARTITIONS ? 'assigned' : 'revoked', { partitions });
    },
  });
  await consumer.connect();
  await consumer.subscribe({ topic: member.topic });
  await consumer.run({
    eachMessage: async ({ partition, message }) => {
      if (member.closing) return;
      const offset = member.read(partition, [[Number(message.offset), message.value.toString()]]);
      if (offset === null) return;
      try {
        await consumer.commitOffsets([{ topic: member.topic, partition, offset: String(offset) }]);
        member.say('committed', { offsets: { [partition]: offset } });
      } catch (error) {
        member.say('commit-failed', { why: String(error) });
      }
      // It gives one record at a time.
      processed += 1;
      if (processed % member.batch === 0) await member.rest();
    },
  });
  return consumer;
}

member.main(start);
