//! What clients and operators do next.

use broker::engine::PartitionId;
use broker::engine::config::{CompactionConfig, Durability, LogConfig};
use broker::engine::engine::lifecycle::PartitionSpec;
use broker::engine::partition::PartitionDirectory;
use broker::engine::request::{AppendRequest, ReadTarget};
use broker::protocol::record_batch::TimestampType;
use broker::protocol::{LeaderEpoch, Offset, PartitionIndex, TopicId};
use bytes::Bytes;

use super::node::dir_id;
use super::{EngineWorld, Expected, LogKey, NANOS_PER_MS};
use crate::batches::{BatchNumber, BatchShape};
use crate::log::{Log, LogState};

/// The overhead of a batch beside its values, generously.
const BATCH_OVERHEAD_BYTES: u64 = 512;

impl EngineWorld {
    /// One action, and when the next one is due.
    pub(super) fn act(&mut self) {
        let drawn = self.random.below(100);
        match drawn {
            0..=37 => self.append_some(),
            38..=57 => self.produce(),
            58..=69 => self.read_somewhere(),
            70..=73 => self.produce_again(),
            74..=76 => self.delete_some_records(),
            77..=80 => self.create_or_not(),
            81 => self.delete_something(),
            82..=85 => self.move_something(),
            86..=87 => self.begin_epoch(),
            88 => self.change_config(),
            89..=90 => self.wait(),
            91 => self.send_garbage(),
            92..=93 => self.bump_producer(),
            94 => self.step_wall_clock(),
            95..=96 => self.disturb_disk(),
            _ => self.join_producer(),
        }
        self.next_action = self.next_action.max(self.now)
            + self.traits.pause_ns / 2
            + self.random.below(self.traits.pause_ns);
    }

    pub(super) fn any_log(&mut self, wanted: impl Fn(&Log) -> bool) -> Option<LogKey> {
        let fitting: Vec<usize> =
            (0..self.logs.len()).filter(|at| wanted(&self.logs[*at])).collect();
        let count = fitting.len() as u64;
        (count > 0).then(|| LogKey(fitting[self.random.below(count) as usize]))
    }

    pub(super) fn any_live_log(&mut self) -> Option<LogKey> {
        self.any_log(|log| log.shard().is_some())
    }

    /// Sizes as clients have them: mostly small, some of a batch's usual size, a few large runs.
    pub(super) fn draw_bytes(&mut self, log: LogKey) -> usize {
        let bound = self.logs[log.0].config.segment_bytes.min(900 << 10) - BATCH_OVERHEAD_BYTES;
        let spent = self.tally.appended_bytes >= self.traits.bytes_max * (self.lives_lived() + 1);
        let bytes = match self.random.below(100) {
            _ if spent => 10 + self.random.below(100),
            _ if self.random.one_in(self.traits.large_one_in) => {
                (256 << 10) + self.random.below(512 << 10)
            }
            _ if self.traits.is_heavy => (4 << 10) + self.random.below(60 << 10),
            0..=59 => 10 + self.random.below(300),
            60..=84 => 300 + self.random.below(8 << 10),
            _ => (8 << 10) + self.random.below(56 << 10),
        };
        bytes.min(bound) as usize
    }

    /// Lives that ended so far.
    fn lives_lived(&self) -> u64 {
        self.tally.cuts + self.tally.kills + self.tally.stops
    }

    /// One batch, or several of one partition in a row, which become one run.
    fn append_some(&mut self) {
        let Some(log) = self.any_live_log() else { return };
        let batches = if self.random.one_in(4) { 1 + self.random.below(12) } else { 1 };
        for _ in 0..batches {
            let bytes = self.draw_bytes(log);
            let records = 1 + self.random.below(3) as usize;
            // Some clients' clocks are wrong.
            let timestamp = self.clock().wall.0 - self.random.below(20_000) as i64;
            let is_keyed = self.logs[log.0].config.cleanup_compact;
            let shape = BatchShape { records, bytes, producer: None, timestamp, is_keyed };
            let (number, bytes) = self.batches.make(&mut self.random, &shape);
            self.send(log, number, bytes, None);
        }
    }

    pub(super) fn send(
        &mut self,
        key: LogKey,
        number: BatchNumber,
        bytes: Bytes,
        producer: Option<usize>,
    ) {
        let now_ms = self.clock().wall.0;
        let log = &mut self.logs[key.0];
        let Some(shard) = log.shard() else { return };
        let call = log.send(number, &bytes, now_ms);
        let (partition, epoch) = (log.id, log.epoch_asked);
        self.tally.appends += 1;
        self.tally.appended_bytes += bytes.len() as u64;
        let token = self.expect(Expected::Append {
            log: key,
            number,
            call,
            producer,
            epoch,
            invalid: false,
        });
        let size = bytes.len();
        self.note(|world| {
            let name = &world.logs[key.0].name;
            format!("{token:?} append {number:?} of {size} bytes to {name} (producer {producer:?})")
        });
        let request = AppendRequest { token, partition, batch: bytes, zstd_allowed: true };
        self.node.shards[shard].engine.append(request);
    }

    /// A batch with a flipped bit must be refused.
    fn send_garbage(&mut self) {
        let Some(key) = self.any_live_log() else { return };
        let timestamp = self.clock().wall.0;
        let is_keyed = false;
        let shape = BatchShape { records: 2, bytes: 100, producer: None, timestamp, is_keyed };
        let (number, bytes) = self.batches.make(&mut self.random, &shape);
        let mut bytes = bytes.to_vec();
        let at = 17 + self.random.below(bytes.len() as u64 - 17) as usize;
        bytes[at] ^= 1 << self.random.below(8);
        let log = &mut self.logs[key.0];
        let (Some(shard), partition) = (log.shard(), log.id) else { return };
        let bytes = Bytes::from(bytes);
        let call = log.send(number, &bytes, timestamp);
        let epoch = log.epoch_asked;
        let token = self.expect(Expected::Append {
            log: key,
            number,
            call,
            producer: None,
            epoch,
            invalid: true,
        });
        let request = AppendRequest { token, partition, batch: bytes, zstd_allowed: true };
        self.node.shards[shard].engine.append(request);
    }

    fn read_somewhere(&mut self) {
        let Some(key) = self.any_live_log() else { return };
        let log = &self.logs[key.0];
        let (start, end) = (log.log_start_seen().0, log.high_watermark_seen().0);
        let target = match self.random.below(10) {
            0 => ReadTarget::Timestamp {
                at_least: self.clock().wall.0 - self.random.below(30_000) as i64,
                from: Offset((end - self.random.below(20) as i64).max(0)),
            },
            1 => ReadTarget::Offset(Offset(end)),
            2 => ReadTarget::Offset(Offset((start - 1).max(0))),
            3..=5 => ReadTarget::Offset(Offset(end - self.random.below(8) as i64).max(Offset(0))),
            _ => {
                let span = (end - start).max(0) as u64 + 2;
                ReadTarget::Offset(Offset(start + self.random.below(span) as i64))
            }
        };
        let bytes_max = [1, 1_000, 64 << 10, 1 << 20][self.random.below(4) as usize];
        self.read(key, target, bytes_max, false);
    }

    fn delete_some_records(&mut self) {
        let Some(key) = self.any_live_log() else { return };
        let log = &self.logs[key.0];
        let (start, end) = (log.log_start_seen().0, log.high_watermark_seen().0);
        let Some(shard) = log.shard() else { return };
        let span = (end - start).max(0) as u64 + 1;
        let offset = Offset(start + self.random.below(span) as i64);
        // Sometimes all of them.
        let offset = if self.random.one_in(6) { Offset(end) } else { offset };
        let token = self.expect(Expected::DeleteRecords { log: key, offset });
        let id = self.logs[key.0].id;
        self.note(|world| {
            format!("{token:?} delete records of {} below {}", world.logs[key.0].name, offset.0)
        });
        self.node.shards[shard].engine.delete_records(token, id, offset);
    }

    fn create_or_not(&mut self) {
        let alive = self.logs.iter().filter(|log| log.state.is_alive()).count();
        if alive < self.traits.logs_max {
            self.create();
        }
    }

    /// A new partition; often under a name that a deleted one had.
    pub(super) fn create(&mut self) {
        self.next_topic += 1;
        // Drawn, so that no flipped bit makes one of another.
        let mut topic_id = [0; 16];
        topic_id[..8].copy_from_slice(&self.random.next_u64().to_be_bytes());
        topic_id[8..].copy_from_slice(&self.random.next_u64().to_be_bytes());
        let free = self.any_log(|log| log.state == LogState::Deleted);
        let free = free.map(|key| self.logs[key.0].name.clone());
        let is_free = |name: &String| {
            self.logs.iter().all(|log| log.name != *name || log.state == LogState::Deleted)
        };
        let name = free
            .filter(is_free)
            .unwrap_or_else(|| format!("topic{}-{}", self.next_topic, self.next_topic % 3));
        let index = name.rsplit_once('-').and_then(|name| name.1.parse().ok()).unwrap_or(0);
        let id = PartitionId { topic_id: TopicId(topic_id), partition: PartitionIndex(index) };
        let dir = dir_id(self.random.below(self.dirs.len() as u64) as usize);
        let config = self.draw_config();
        let config = self.compacting(&topic_id, config);
        let key = LogKey(self.logs.len());
        self.logs.push(Log::new(id, name, dir, config));
        let shard = self.random.below(self.node.shards.len() as u64) as usize;
        self.ask_create(key, shard);
    }

    /// Asks a shard for a partition that the metadata has.
    pub(super) fn ask_create(&mut self, key: LogKey, shard: usize) {
        let token = self.expect(Expected::Create { log: key, shard });
        self.note(|world| format!("{token:?} create {} on {shard}", world.logs[key.0].name));
        let log = &self.logs[key.0];
        let spec = PartitionSpec {
            id: log.id,
            directory: PartitionDirectory { dir: log.dir, path: log.name.clone().into() },
            config: self.options.plant.config(&log.config),
            leader_epoch: log.epoch_asked,
        };
        self.node.shards[shard].engine.create(token, spec);
    }

    fn draw_config(&mut self) -> LogConfig {
        let memory = self.traits.has_memory_topics && self.random.one_in(3);
        let stamped = self.traits.stamps_append_time && self.random.coin();
        let segment_bytes = self.traits.segment_bytes;
        LogConfig {
            durability: if memory { Durability::Memory } else { Durability::Fsync },
            timestamp_type: match stamped {
                true => TimestampType::LogAppendTime,
                false => TimestampType::CreateTime,
            },
            segment_bytes,
            segment_ms: if self.random.one_in(4) {
                15_000
            } else {
                LogConfig::default().segment_ms
            },
            retention_ms: self.random.one_in(5).then_some(30_000),
            retention_bytes: self.random.one_in(5).then(|| 2 * segment_bytes.min(1 << 20)),
            index_interval_bytes: if self.random.coin() { 4096 } else { 256 },
            ..LogConfig::default()
        }
    }

    /// Some topics of some worlds are compacted; their ids say so, which are drawn anyway.
    fn compacting(&self, topic_id: &[u8; 16], config: LogConfig) -> LogConfig {
        if !self.traits.compacts || topic_id[0] % 2 == 1 {
            return config;
        }
        let choose = |byte: u8, choices: &[i64]| choices[usize::from(byte) % choices.len()];
        // Large enough for runs that go straight to their segment, in some.
        let segment_bytes = choose(topic_id[1], &[16 << 10, 48 << 10, 400 << 10]).cast_unsigned();
        LogConfig {
            cleanup_compact: true,
            cleanup_delete: topic_id[2].is_multiple_of(4),
            // What a cleaner does to the broker's own time is the protocol crate's to test.
            timestamp_type: TimestampType::CreateTime,
            segment_bytes: segment_bytes.min(config.segment_bytes),
            compaction: CompactionConfig {
                delete_retention_ms: choose(topic_id[3], &[0, 5_000, 60_000]),
                dirty_ratio_ppm_min: choose(topic_id[4], &[0, 200_000]) as u32,
                lag_ms_min: choose(topic_id[5], &[0, 0, 0, 2_000]),
                lag_ms_max: (topic_id[6].is_multiple_of(4)).then_some(10_000),
            },
            ..config
        }
    }

    fn delete_something(&mut self) {
        if let Some(key) = self.any_live_log() {
            self.delete(key);
        }
    }

    /// Its removal is decided; from now on no client speaks to it.
    fn delete(&mut self, key: LogKey) {
        let Some(shard) = self.logs[key.0].shard() else { return };
        self.producers.leave(key);
        self.logs[key.0].state = LogState::Deleting;
        self.ask_delete(key, shard);
    }

    pub(super) fn ask_delete(&mut self, key: LogKey, shard: usize) {
        let token = self.expect(Expected::Delete(key));
        self.note(|world| format!("{token:?} delete {}", world.logs[key.0].name));
        let id = self.logs[key.0].id;
        self.node.shards[shard].engine.delete(token, id);
    }

    fn move_something(&mut self) {
        let shards = self.node.shards.len() as u64;
        if shards < 2 {
            return;
        }
        let Some(key) = self.any_live_log() else { return };
        let Some(from) = self.logs[key.0].shard() else { return };
        let to = (from + 1 + self.random.below(shards - 1) as usize) % self.node.shards.len();
        self.logs[key.0].state = LogState::Moving;
        let token = self.expect(Expected::Release { log: key, to });
        self.note(|world| format!("{token:?} move {} from {from} to {to}", world.logs[key.0].name));
        let id = self.logs[key.0].id;
        self.node.shards[from].engine.release(token, id);
    }

    fn begin_epoch(&mut self) {
        let Some(key) = self.any_live_log() else { return };
        let log = &mut self.logs[key.0];
        let Some(shard) = log.shard() else { return };
        log.epoch_asked = LeaderEpoch(log.epoch_asked.0 + 1);
        let (id, epoch) = (log.id, log.epoch_asked);
        self.note(|world| format!("{} begins {epoch:?}", world.logs[key.0].name));
        self.node.shards[shard].engine.begin_epoch(id, epoch);
    }

    fn change_config(&mut self) {
        let Some(key) = self.any_live_log() else { return };
        let segment_bytes = [48 << 10, 200 << 10, 1 << 30][self.random.below(3) as usize];
        let log = &mut self.logs[key.0];
        // Batches that are on their way must still fit.
        let segment_bytes = log.config.segment_bytes.max(segment_bytes);
        let Some(shard) = log.shard() else { return };
        log.config.segment_bytes = segment_bytes;
        let (id, config) = (log.id, self.options.plant.config(&log.config));
        self.trace.number(segment_bytes);
        self.node.shards[shard].engine.set_config(id, config);
    }

    /// Nobody does anything for a while.
    fn wait(&mut self) {
        let ms = [30, 150, 400, 2_000, 11_000][self.random.below(5) as usize];
        self.next_action = self.now + (ms + self.random.below(ms)) * NANOS_PER_MS;
    }

    fn step_wall_clock(&mut self) {
        if self.random.one_in(3) {
            let step = self.random.below(20_000) as i64 - 10_000;
            self.wall_ms += step;
            self.set_back_ms += (-step).max(0);
        }
    }

    fn join_producer(&mut self) {
        if self.producers.count() < self.traits.producers_max
            && let Some(key) = self.any_log(|log| log.shard().is_some() && log.is_durable())
        {
            self.add_producer(key);
        }
    }
}
