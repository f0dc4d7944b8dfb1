//! Configuration of a log and of a shard's engine, as parsed values with units.

use protocol::record_batch::TimestampType;

use crate::disk::DirId;
use crate::limits::INDEX_INTERVAL_BYTES;

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

/// What the engine of one shard needs to know.
#[derive(Clone, Copy, Debug)]
pub struct EngineConfig {
    /// Log directory of the shard's journal.
    pub journal_dir: DirId,
    pub shard: u32,
    pub journal_file_bytes: u64,
    /// Memory for log tails; the newest bytes stay until something newer needs the room.
    pub tail_bytes_max: usize,
    /// Producers silent this long are forgotten (`producer.id.expiration.ms`).
    pub producer_expiration_ms: i64,
    /// Segments that are due are looked for this often (`log.retention.check.interval.ms`), first after
    /// this time or `RETENTION_FIRST_MS`, whichever is less.
    pub retention_check_ms: u64,
    /// Logs to compact are looked for this often (`log.cleaner.backoff.ms`).
    pub cleaner_backoff_ms: u64,
}
