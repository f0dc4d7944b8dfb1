// The shared scenario for JavaScript's clients, whose consumers need groups: they produce, and `wire/compare` reads back.
//
// Belongs here: what is produced and checked, in which order (README.md says it in words). A client is an object with
// the functions that main() calls; its errors are thrown as they come.
'use strict';

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { parseArgs, isDeepStrictEqual } = require('node:util');

const WIRE = path.join(__dirname, '..', 'wire');
const SETTLE_MS = 30_000;
const LIVE_RECORDS = 3;

const unhex = (text) => (text === null ? null : Buffer.from(text, 'hex'));
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Both clients take headers as an object; a name that comes several times has an array. */
function headersOf(pairs) {
  const headers = {};
  for (const [name, value] of pairs) headers[name] = name in headers ? [headers[name], value].flat() : value;
  return headers;
}

class Mismatch extends Error {}

class Run {
  constructor(client, scenario, options) {
    Object.assign(this, { client, scenario, options, checks: 0, compared: 0 });
  }

  equal(what, got, wanted) {
    this.checks += 1;
    if (!isDeepStrictEqual(got, wanted)) {
      throw new Mismatch(`${what}: got ${JSON.stringify(got)}, wanted ${JSON.stringify(wanted)}`);
    }
  }

  async settles(what, probe, wanted) {
    const deadline = Date.now() + SETTLE_MS;
    for (;;) {
      let got;
      try {
        got = await probe();
      } catch (error) {
        got = String(error);
      }
      if (isDeepStrictEqual(got, wanted) || Date.now() > deadline) return this.equal(what, got, wanted);
      await sleep(50);
    }
  }

  /** `call` must fail, and the error must say one of `names`. */
  async refused(what, call, ...names) {
    this.checks += 1;
    let result;
    try {
      result = await call();
    } catch (error) {
      const said = `${error.type} ${error.code} ${error.name}: ${error.message}`;
      if (names.some((name) => said.includes(name))) return;
      throw new Mismatch(`${what}: refused with ${said}, wanted ${names.join(' or ')}`);
    }
    throw new Mismatch(`${what}: not refused, returned ${JSON.stringify(result)}`);
  }

  records(round, keep = () => true) {
    return this.scenario.records.filter(keep).map((record) => ({
      partition: record.partition,
      key: unhex(record.key),
      value: unhex(record.value),
      // Neither client takes null as a header's value.
      headers: headersOf(record.headers.map(([name, value]) => [name, unhex(value ?? '')])),
      timestamp: String(record.timestamp + round * this.scenario.round_step_ms),
    }));
  }

  compare(topic, codec) {
    const output = execFileSync(process.env.CONFORMANCE_PYTHON || 'python3', [
      path.join(WIRE, 'compare'), '--bootstrap', this.options.bootstrap, '--topic', topic, '--scenario',
      this.options.scenario, '--tail', String(LIVE_RECORDS), '--null-headers-are-empty',
      ...(this.client.emptyIsNull ? ['--empty-is-null'] : []),
    ]);
    this.compared += Number(/(\d+) records/.exec(output)[1]);
    this.checks += 1;
    const records = String(/(\d+) records/.exec(output)[1]);
    execFileSync(path.join(WIRE, 'stored_codec'), ['--bootstrap', this.options.bootstrap, '--topic', topic,
      '--expect', codec, '--records', records]);
    this.checks += 1;
    console.log(`ok ${codec}: ${records} records`);
  }

  async everything() {
    for (const codec of this.scenario.codecs) await this.oneCodec(codec);
    const topic = `${this.options.prefix}-${this.scenario.codecs[0]}`;
    await this.errors(topic);
    await this.admin(topic);
  }

  async oneCodec(codec) {
    const { client, scenario } = this;
    const topic = `${this.options.prefix}-${codec}`;
    await client.createTopic(topic, scenario.partitions, scenario.topic_configs);
    await this.settles(`partitions of ${topic}`, () => client.partitionsOf(topic), scenario.partitions);
    let ends = Array(scenario.partitions).fill(0);
    await this.settles(`end offsets of new ${topic}`, () => client.endOffsets(topic), ends);
    const rounds = [...scenario.rounds, { name: 'tail', acks: 'all', idempotent: false }];
    for (const [number, round] of rounds.entries()) {
      const taken = ends.map(() => 0);
      const live = (record) => record.feature && taken[record.partition]++ < LIVE_RECORDS;
      const records = this.records(number, round.name === 'tail' ? live : undefined);
      const bases = await client.produce(topic, codec, round, records);
      if (round.acks !== '0') this.equal(`${topic}, ${round.name}: base offsets`, bases, ends);
      ends = ends.map((end, partition) => end + records.filter((r) => r.partition === partition).length);
      await this.settles(`${topic}, ${round.name}: end offsets`, () => client.endOffsets(topic), ends);
    }
    this.compare(topic, codec);
    await this.byTime(topic, ends);
  }

  /** The end offset stands for "none" in both clients. */
  async byTime(topic, ends) {
    const { records, round_step_ms: step } = this.scenario;
    const first = records.findIndex((record) => !record.feature);
    const target = records[first].timestamp;
    const wanted = ends.map((_, partition) => {
      const own = records.filter((record) => record.partition === partition);
      return own.findIndex((record) => record.timestamp >= target);
    });
    this.equal(`${topic}: offsets from a time`, await this.client.offsetsFromTime(topic, target), wanted);
    const late = records.at(-1).timestamp + 10 * step;
    this.equal(`${topic}: offsets from a late time`, await this.client.offsetsFromTime(topic, late), ends);
  }

  async errors(topic) {
    const unknown = `${this.options.prefix}-unknown`;
    await this.refused('a topic that is not there', () => this.client.unknownTopic(unknown),
      'UNKNOWN_TOPIC_OR_PART', 'Unknown topic or partition', 'does not host this topic-partition');
    this.equal('the unknown topic was created', (await this.client.topics()).includes(unknown), false);
    const large = { partition: 0, key: null, value: Buffer.alloc(this.scenario.too_large_bytes, 'x'), headers: {},
      timestamp: '1' };
    const round = { name: 'large', acks: 'all', idempotent: false };
    await this.refused('a record above max.message.bytes', () => this.client.produce(topic, 'none', round, [large]),
      'MESSAGE_TOO_LARGE', 'MSG_SIZE_TOO_LARGE', 'Message size too large');
    console.log('ok errors: unknown topic, record too large');
  }

  async admin(topic) {
    const { client, scenario } = this;
    const done = ['metadata'];
    if (client.topicConfig) {
      const config = await client.topicConfig(topic);
      for (const [key, value] of Object.entries({ ...scenario.topic_configs, 'cleanup.policy': 'delete' })) {
        this.equal(`config ${key}`, config[key], value);
      }
      done.push('describe configs');
    }
    if (client.createPartitions) {
      await client.createPartitions(topic, scenario.partitions + 2);
      await this.settles(`partitions of ${topic}`, () => client.partitionsOf(topic), scenario.partitions + 2);
      await this.settles(`end offsets of the new partitions of ${topic}`,
        async () => (await client.endOffsets(topic)).slice(scenario.partitions), [0, 0]);
      done.push('create partitions');
    }
    await client.deleteRecords(topic, 0, 100);
    await this.settles('log start after deleting records', () => client.startOffset(topic, 0), 100);
    for (const codec of scenario.codecs) {
      const name = `${this.options.prefix}-${codec}`;
      this.equal(`${name} is listed`, (await client.topics()).includes(name), true);
    }
    for (const codec of scenario.delete_codecs) {
      const name = `${this.options.prefix}-${codec}`;
      await client.deleteTopic(name);
      await this.settles(`deleted ${name} is listed`, async () => (await client.topics()).includes(name), false);
    }
    console.log(`ok admin: ${[...done, 'delete records', 'delete topics'].join(', ')}`);
  }
}

async function main(connect) {
  const { values } = parseArgs({
    options: { bootstrap: { type: 'string' }, scenario: { type: 'string' }, prefix: { type: 'string' } },
  });
  const scenario = JSON.parse(fs.readFileSync(values.scenario));
  const client = await connect(values.bootstrap);
  const run = new Run(client, scenario, values);
  try {
    await run.everything();
  } catch (error) {
    console.error(`FAILED ${error.stack}\n${error.stderr || ''}`);
    process.exit(1);
  }
  await client.close();
  console.log(`conformance: ${run.compared} records compared, ${run.checks} checks, codecs ${scenario.codecs.join(',')}`);
}

module.exports = { main };
