//! Checks a batch against its topic's rules before it gets offsets.

use bytes::Bytes;
use protocol::record_batch::{
    BatchHeader, ProduceRules, RecordRules, validate_produce, validate_records,
};

use crate::config::LogConfig;
use crate::limits::DECOMPRESSED_BYTES_MAX;
use crate::request::InvalidBatch;

/// The header of the one sound batch in `bytes`, or the first rule that it breaks.
pub fn validate(
    bytes: &Bytes,
    config: &LogConfig,
    zstd_allowed: bool,
    wall_ms: i64,
) -> Result<BatchHeader, InvalidBatch> {
    let rules = ProduceRules {
        zstd_allowed,
        batch_bytes_max: config.batch_bytes_max,
        segment_bytes_max: usize::try_from(config.segment_bytes).unwrap_or(usize::MAX),
        timestamp_type: config.timestamp_type,
    };
    let batch = validate_produce(Some(bytes), &rules).map_err(InvalidBatch::Batch)?;
    let bounds = timestamp_bounds(config, wall_ms);
    // Looking at records costs a decompression, so only topics whose rules need it pay for it. A bound on
    // the future alone (Kafka's default) is kept by the header's largest timestamp.
    let within = |bounds: &std::ops::RangeInclusive<i64>| {
        *bounds.start() == i64::MIN && batch.header().max_timestamp <= *bounds.end()
    };
    if config.cleanup_compact || bounds.as_ref().is_some_and(|bounds| !within(bounds)) {
        let rules = RecordRules {
            key_required: config.cleanup_compact,
            timestamps: bounds,
            decompressed_bytes_max: DECOMPRESSED_BYTES_MAX,
        };
        validate_records(&batch, &rules).map_err(InvalidBatch::Records)?;
    }
    Ok(*batch.header())
}

fn timestamp_bounds(config: &LogConfig, wall_ms: i64) -> Option<std::ops::RangeInclusive<i64>> {
    use protocol::record_batch::TimestampType;
    let (before, after) = (config.timestamp_before_ms_max, config.timestamp_after_ms_max);
    if config.timestamp_type == TimestampType::LogAppendTime
        || (before.is_none() && after.is_none())
    {
        return None;
    }
    let earliest = before.map_or(i64::MIN, |before| wall_ms.saturating_sub(before));
    let latest = after.map_or(i64::MAX, |after| wall_ms.saturating_add(after));
    Some(earliest..=latest)
}
