//! A topic's configuration as the engine takes it.

use coordinator::Metadata;
use coordinator::metadata::is_internal;
use coordinator::topic_config::{Durability, TimestampType, TopicConfig};
use engine::config::{CompactionConfig, LogConfig};
use protocol::{TopicId, record_batch};

use crate::limits::{METADATA_BATCH_BYTES_MAX, METADATA_SEGMENT_BYTES};

fn millis(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Of a ratio from 0 to 1.
fn millionths(ratio: f64) -> u32 {
    let rounded = (ratio.clamp(0.0, 1.0) * 1e6).round();
    // Digits are parsed, not cast: no number in between can be anything but whole.
    format!("{rounded:.0}").parse().expect("a ratio is at most a million millionths")
}

fn size(value: u32) -> usize {
    usize::try_from(value).expect("usize is at least 32 bits")
}

/// What the partitions of a topic act on, if there is the topic.
pub fn log_config_of(metadata: &Metadata, topic: TopicId) -> Option<LogConfig> {
    let config = log_config(&metadata.topic_config(topic)?);
    let is_of_coordinator = metadata.image().topic(topic).is_some_and(|of| is_internal(of.name()));
    if !is_of_coordinator {
        return Some(config);
    }
    // Clients do not write there, and a coordinator's decision is one batch.
    let batch_bytes_max = config.batch_bytes_max.max(METADATA_BATCH_BYTES_MAX);
    Some(LogConfig { batch_bytes_max, ..config })
}

fn log_config(topic: &TopicConfig) -> LogConfig {
    // The newest segment is never compacted: a log with a lag to keep begins another one in time.
    let lag_ms = topic.compaction.max_compaction_lag_ms.filter(|_| topic.cleanup.compact);
    let segment_ms = topic.segment.segment_ms.min(lag_ms.unwrap_or(u64::MAX));
    LogConfig {
        durability: match topic.durability {
            Durability::Fsync => engine::config::Durability::Fsync,
            Durability::Memory => engine::config::Durability::Memory,
        },
        timestamp_type: match topic.timestamp.timestamp_type {
            TimestampType::CreateTime => record_batch::TimestampType::CreateTime,
            TimestampType::LogAppendTime => record_batch::TimestampType::LogAppendTime,
        },
        timestamp_before_ms_max: topic.timestamp.before_max_ms.map(millis),
        timestamp_after_ms_max: topic.timestamp.after_max_ms.map(millis),
        batch_bytes_max: size(topic.max_message_bytes),
        segment_bytes: u64::from(topic.segment.segment_bytes),
        segment_ms: millis(segment_ms),
        segment_index_bytes: size(topic.segment.segment_index_bytes),
        index_interval_bytes: topic.segment.index_interval_bytes,
        retention_ms: topic.retention.retention_ms.map(millis),
        retention_bytes: topic.retention.retention_bytes,
        cleanup_delete: topic.cleanup.delete,
        cleanup_compact: topic.cleanup.compact,
        compaction: CompactionConfig {
            delete_retention_ms: millis(topic.compaction.delete_retention_ms),
            dirty_ratio_ppm_min: millionths(topic.compaction.min_cleanable_dirty_ratio),
            lag_ms_min: millis(topic.compaction.min_compaction_lag_ms),
            lag_ms_max: topic.compaction.max_compaction_lag_ms.map(millis),
        },
    }
}

/// The controller's own log: kept for ever, cut by snapshots alone.
pub fn metadata_log_config() -> LogConfig {
    LogConfig {
        batch_bytes_max: METADATA_BATCH_BYTES_MAX,
        segment_bytes: METADATA_SEGMENT_BYTES,
        segment_ms: i64::MAX,
        retention_ms: None,
        retention_bytes: None,
        ..LogConfig::default()
    }
}
