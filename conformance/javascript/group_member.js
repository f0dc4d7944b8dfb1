// What both members of consumer groups in JavaScript share: the configuration, which is the only argument, the lines that
// they print, and the end of standard input, at which they leave. groups/members.py has the words.
'use strict';

const fs = require('node:fs');

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
process.stdin.on('end', member.close).on('close', member.close).resume();

// Runs the member: start() gives back what leaves the group.
member.main = async (start) => {
  const leave = await start();
  await member.closed;
  await leave();
  say('closed');
  process.exit(0);
};

module.exports = member;
