// What both members of consumer groups in JavaScript share: the configuration, which is the only argument, the lines that
// they print, the orders that come on standard input, and its end, at which they leave. groups/members.py has the words.
'use strict';

const fs = require('node:fs');
const readline = require('node:readline');

const configuration = { batch: 500, pause_ms: 0, ...JSON.parse(process.argv[2]) };

function say(event, fields = {}) {
  fs.writeSync(1, `${JSON.stringify({ at: Date.now(), event, ...fields })}\n`);
}

const member = {
  ...configuration,
  closing: false,
  say,
  // Prints records of one partition, in pairs of offset and value; returns the offset to commit, or null. The record at
  // stop_at is the last one that is processed.
  read(partition, records) {
    const { stop_at: stopAt } = configuration;
    const processed = records.filter(([offset]) => stopAt == null || offset <= stopAt);
    if (processed.length === 0) return null;
    say('records', { partition, offsets: processed.map(([offset]) => offset), values: processed.map(([, value]) => value) });
    const last = processed.at(-1)[0];
    if (last === stopAt) member.close();
    return last + 1;
  },
  rest: () => new Promise((done) => { setTimeout(done, configuration.pause_ms); }),
};

member.closed = new Promise((done) => {
  member.close = () => {
    member.closing = true;
    done();
  };
});

// Both clients have KafkaJS's names.
async function obey(consumer, { do: what, partitions, offset }) {
  if (what === 'pause') consumer.pause([{ topic: member.topic, partitions }]);
  if (what === 'resume') consumer.resume([{ topic: member.topic, partitions }]);
  if (what === 'seek') {
    await Promise.all(partitions.map((partition) => consumer.seek({ topic: member.topic, partition, offset: String(offset) })));
  }
  say('obeyed', { do: what });
}

// Runs the member: start() gives back its consumer.
member.main = async (start) => {
  const consumer = await start();
  const orders = readline.createInterface({ input: process.stdin });
  orders.on('line', (line) => obey(consumer, JSON.parse(line))).on('close', member.close);
  await member.closed;
  await consumer.disconnect();
  say('closed');
  process.exit(0);
};

module.exports = member;
