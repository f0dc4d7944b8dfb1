//! The typed view of a topic's configuration: what the owner of a partition works with.

use alloc::string::String;

use super::{
    definition::ConfigDefinition,
    layers::ConfigLayers,
    topic_table::topic_config,
    value::{ConfigValue, parse},
};

/// A topic's configuration as it is in force, typed, in the units of the names.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicConfig {
    pub durability: Durability,
    pub cleanup: CleanupPolicy,
    pub retention: RetentionConfig,
    pub segment: SegmentConfig,
    pub timestamp: TimestampConfig,
    pub flush: FlushConfig,
    pub compaction: CompactionConfig,
    pub compression: Compression,
    /// Largest batch in bytes, compressed, with its 12 leading bytes.
    pub max_message_bytes: u32,
    pub min_insync_replicas: u32,
    pub unclean_leader_election: bool,
}

/// When a record counts as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// On stable storage: acknowledged and visible then.
    Fsync,
    /// In memory: acknowledged and visible at once, and lost in a crash.
    Memory,
}

/// What happens to old segments; neither means that they are kept for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    pub delete: bool,
    pub compact: bool,
}

/// Limits of what is kept; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionConfig {
    pub retention_ms: Option<u64>,
    pub retention_bytes: Option<u64>,
    pub file_delete_delay_ms: u64,
}

/// When a segment ends, and what stands beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentConfig {
    pub segment_bytes: u32,
    pub segment_ms: u64,
    pub segment_jitter_ms: u64,
    pub index_interval_bytes: u32,
    pub segment_index_bytes: u32,
    pub preallocate: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    CreateTime,
    LogAppendTime,
}

/// Whose clock counts, and how far a producer's may differ; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampConfig {
    pub timestamp_type: TimestampType,
    pub before_max_ms: Option<u64>,
    pub after_max_ms: Option<u64>,
}

/// Kafka's sync intervals; `None` is never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlushConfig {
    pub flush_messages: Option<u64>,
    pub flush_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CompactionConfig {
    pub min_cleanable_dirty_ratio: f64,
    pub min_compaction_lag_ms: u64,
    /// `None` is no limit.
    pub max_compaction_lag_ms: Option<u64>,
    pub delete_retention_ms: u64,
}

/// The codec that batches are stored with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// As the producer sent them.
    Producer,
    Uncompressed,
    Gzip {
        level: i32,
    },
    Snappy,
    Lz4 {
        level: i32,
    },
    Zstd {
        level: i32,
    },
}

impl TopicConfig {
    /// The values in force, found in the layers. Total: an invalid stored value gives way to the
    /// next layer's.
    pub fn resolve(layers: &ConfigLayers<'_>) -> Self {
        let view = View { layers };
        let policy = view.text("cleanup.policy");
        let has = |wanted: &str| policy.split(',').any(|part| part == wanted);
        let min_cleanable_dirty_ratio = view.ratio("min.cleanable.dirty.ratio");
        Self {
            durability: view.durability(),
            cleanup: CleanupPolicy { delete: has("delete"), compact: has("compact") },
            retention: RetentionConfig {
                retention_ms: view.limit_or_negative("retention.ms"),
                retention_bytes: view.limit_or_negative("retention.bytes"),
                file_delete_delay_ms: view.millis("file.delete.delay.ms"),
            },
            segment: view.segment(),
            timestamp: view.timestamp(),
            flush: FlushConfig {
                flush_messages: view.limit_or_max("flush.messages"),
                flush_ms: view.limit_or_max("flush.ms"),
            },
            compaction: CompactionConfig {
                min_cleanable_dirty_ratio,
                min_compaction_lag_ms: view.millis("min.compaction.lag.ms"),
                max_compaction_lag_ms: view.limit_or_max("max.compaction.lag.ms"),
                delete_retention_ms: view.millis("delete.retention.ms"),
            },
            compression: view.compression(),
            max_message_bytes: view.count("max.message.bytes"),
            min_insync_replicas: view.count("min.insync.replicas"),
            unclean_leader_election: view.boolean("unclean.leader.election.enable"),
        }
    }
}

/// Reads values in force by name; the tables' types and ranges make the conversions safe.
struct View<'a> {
    layers: &'a ConfigLayers<'a>,
}

impl View<'_> {
    fn durability(&self) -> Durability {
        match &*self.text("corelane.durability") {
            "memory" => Durability::Memory,
            _ => Durability::Fsync,
        }
    }

    fn segment(&self) -> SegmentConfig {
        let internal = self.layers.value_text(row("internal.segment.bytes"));
        let internal = internal.and_then(|text| text.parse::<u32>().ok()).filter(|n| *n > 0);
        SegmentConfig {
            segment_bytes: internal.unwrap_or_else(|| self.count("segment.bytes")),
            segment_ms: self.millis("segment.ms"),
            segment_jitter_ms: self.millis("segment.jitter.ms"),
            index_interval_bytes: self.count("index.interval.bytes"),
            segment_index_bytes: self.count("segment.index.bytes"),
            preallocate: self.boolean("preallocate"),
        }
    }

    fn timestamp(&self) -> TimestampConfig {
        let timestamp_type = match &*self.text("message.timestamp.type") {
            "LogAppendTime" => TimestampType::LogAppendTime,
            _ => TimestampType::CreateTime,
        };
        TimestampConfig {
            timestamp_type,
            before_max_ms: self.limit_or_max("message.timestamp.before.max.ms"),
            after_max_ms: self.limit_or_max("message.timestamp.after.max.ms"),
        }
    }

    fn compression(&self) -> Compression {
        match &*self.text("compression.type") {
            "uncompressed" => Compression::Uncompressed,
            "gzip" => Compression::Gzip { level: self.level("compression.gzip.level") },
            "snappy" => Compression::Snappy,
            "lz4" => Compression::Lz4 { level: self.level("compression.lz4.level") },
            "zstd" => Compression::Zstd { level: self.level("compression.zstd.level") },
            _ => Compression::Producer,
        }
    }

    fn text(&self, name: &str) -> String {
        self.layers.value_text(row(name)).expect("the table gives a default")
    }

    fn boolean(&self, name: &str) -> bool {
        self.text(name) == "true"
    }

    fn ratio(&self, name: &str) -> f64 {
        match parse(row(name), &self.text(name)) {
            Ok(ConfigValue::Ratio(ratio)) => ratio,
            other => unreachable!("{name} is a valid ratio, not {other:?}"),
        }
    }

    fn level(&self, name: &str) -> i32 {
        i32::try_from(self.layers.integer(row(name))).expect("levels are ints")
    }

    fn count(&self, name: &str) -> u32 {
        u32::try_from(self.layers.integer(row(name))).expect("the table's range is not negative")
    }

    fn millis(&self, name: &str) -> u64 {
        u64::try_from(self.layers.integer(row(name))).expect("the table's range is not negative")
    }

    /// A number whose negative values mean "no limit".
    fn limit_or_negative(&self, name: &str) -> Option<u64> {
        u64::try_from(self.layers.integer(row(name))).ok()
    }

    /// A number whose largest value means "no limit".
    fn limit_or_max(&self, name: &str) -> Option<u64> {
        let number = self.layers.integer(row(name));
        if number == i64::MAX { None } else { u64::try_from(number).ok() }
    }
}

fn row(name: &str) -> &'static ConfigDefinition {
    topic_config(name).expect("the name is in the table")
}
