//! Configuration of a log and of a shard's engine, as parsed values with units.

use std::ops::RangeInclusive;

use protocol::record_batch::TimestampType;

use crate::disk::DirId;
use crate::limits::{
    BYPASS_RUNS_IN_FLIGHT_MAX, INDEX_INTERVAL_BYTES, JOURNAL_GROUP_BYTES_EAGER,
    JOURNAL_GROUP_BYTES_EAGER_MAX, JOURNAL_GROUP_BYTES_EAGER_MIN, JOURNAL_GROUPS_IN_FLIGHT_MAX,
    WRITE_BEHIND_BYTES_MAX, WRITE_BEHIND_BYTES_MIN, WRITE_BEHIND_IN_FLIGHT_MAX,
};

/// When an append counts as done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// On stable storage.
    #[default]
    Fsync,
    /// In memory; it reaches the disk soon after, as with Kafka's defaults.
    Memory,
}

/// How a compacted log is cleaned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactionConfig {
    /// Tombstones stay this long after they were cleaned for the first time (`delete.retention.ms`).
    pub delete_retention_ms: i64,
    /// The share of a log, in millionths, that must be dirty (`min.cleanable.dirty.ratio`).
    pub dirty_ratio_ppm_min: u32,
    /// Records stay at least this long (`min.compaction.lag.ms`) …
    pub lag_ms_min: i64,
    /// … and a log is cleaned when its oldest dirty ones are this old (`max.compaction.lag.ms`).
    pub lag_ms_max: Option<i64>,
}

impl Default for CompactionConfig {
    fn default() -> Self {
        Self {
            delete_retention_ms: 24 * 3_600_000,
            dirty_ratio_ppm_min: 500_000,
            lag_ms_min: 0,
            lag_ms_max: None,
        }
    }
}

/// The properties of a topic that its partitions' logs act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    pub durability: Durability,
    pub timestamp_type: TimestampType,
    /// Largest distance of a record's timestamp behind and ahead of the wall clock; `None`: any.
    pub timestamp_before_ms_max: Option<i64>,
    pub timestamp_after_ms_max: Option<i64>,
    pub batch_bytes_max: usize,
    pub segment_bytes: u64,
    pub segment_ms: i64,
    pub segment_index_bytes: usize,
    pub index_interval_bytes: u32,
    /// `None`: kept for ever.
    pub retention_ms: Option<i64>,
    pub retention_bytes: Option<u64>,
    /// Whole segments may be deleted by retention.
    pub cleanup_delete: bool,
    /// Of each key the newest record stays; every record needs a key.
    pub cleanup_compact: bool,
    pub compaction: CompactionConfig,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            durability: Durability::Fsync,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_ms_max: None,
            timestamp_after_ms_max: None,
            batch_bytes_max: 1_048_588,
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3_600_000,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: INDEX_INTERVAL_BYTES,
            retention_ms: Some(7 * 24 * 3_600_000),
            retention_bytes: None,
            cleanup_delete: true,
            cleanup_compact: false,
            compaction: CompactionConfig::default(),
        }
    }
}

/// How a shard writes to its disk: what `corelane tune calibrate` finds out, within bounds that memory, recovery and
/// the queues of the ring are made for. The defaults are the bounds of `limits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskConfig {
    /// Journal groups that are written and not acknowledged.
    pub journal_groups_in_flight: usize,
    /// A further group is begun beside one in flight when so much waits.
    pub journal_group_bytes_eager: usize,
    /// One write behind the journal into a segment is at most so long.
    pub segment_write_bytes: u64,
    /// Such writes in flight.
    pub segment_writes_in_flight: usize,
    /// Large runs in flight, which go to their segment first.
    pub large_runs_in_flight: usize,
}

impl DiskConfig {
    pub const JOURNAL_GROUPS_IN_FLIGHT: RangeInclusive<u64> =
        1..=JOURNAL_GROUPS_IN_FLIGHT_MAX as u64;
    pub const JOURNAL_GROUP_BYTES_EAGER: RangeInclusive<u64> =
        JOURNAL_GROUP_BYTES_EAGER_MIN as u64..=JOURNAL_GROUP_BYTES_EAGER_MAX as u64;
    pub const SEGMENT_WRITE_BYTES: RangeInclusive<u64> =
        WRITE_BEHIND_BYTES_MIN..=WRITE_BEHIND_BYTES_MAX;
    pub const SEGMENT_WRITES_IN_FLIGHT: RangeInclusive<u64> = 1..=WRITE_BEHIND_IN_FLIGHT_MAX as u64;
    pub const LARGE_RUNS_IN_FLIGHT: RangeInclusive<u64> = 1..=BYPASS_RUNS_IN_FLIGHT_MAX as u64;
}

impl Default for DiskConfig {
    fn default() -> Self {
        Self {
            journal_groups_in_flight: JOURNAL_GROUPS_IN_FLIGHT_MAX,
            journal_group_bytes_eager: JOURNAL_GROUP_BYTES_EAGER,
            segment_write_bytes: WRITE_BEHIND_BYTES_MAX,
            segment_writes_in_flight: WRITE_BEHIND_IN_FLIGHT_MAX,
            large_runs_in_flight: BYPASS_RUNS_IN_FLIGHT_MAX,
        }
    }
}

/// What the engine of one shard needs to know.
#[derive(Clone, Copy, Debug)]
pub struct EngineConfig {
    /// Log directory of the shard's journal.
    pub journal_dir: DirId,
    pub shard: u32,
    pub journal_file_bytes: u64,
    /// Memory for log tails; the newest bytes stay until something newer needs the room.
    pub tail_bytes_max: usize,
    /// What of it they hold before reads show that more is of use.
    pub tail_bytes_first: usize,
    /// Producers silent this long are forgotten (`producer.id.expiration.ms`).
    pub producer_expiration_ms: i64,
    /// Segments that are due are looked for this often (`log.retention.check.interval.ms`), first after
    /// this time or `RETENTION_FIRST_MS`, whichever is less.
    pub retention_check_ms: u64,
    /// Logs to compact are looked for this often (`log.cleaner.backoff.ms`).
    pub cleaner_backoff_ms: u64,
    pub disk: DiskConfig,
}
