//! Checks a batch against its topic's rules before it gets offsets.

use std::ops::RangeInclusive;

use bytes::Bytes;
use protocol::record_batch::{
    BatchHeader, Compression, ProduceRules, RecordBatch, RecordRules, TimestampType,
    restate_max_timestamp, validate_produce, validate_records,
};

use crate::config::LogConfig;
use crate::limits::DECOMPRESSED_BYTES_MAX;
use crate::request::InvalidBatch;

/// A batch as it may be stored.
#[derive(Clone, Debug)]
pub struct Validated {
    pub header: BatchHeader,
    pub batch: Bytes,
}

/// The one sound batch in `bytes`, or the first rule that it breaks. Where its records were looked at and have
/// another largest timestamp than its header says, the header says theirs: retention and offsets by time go by it.
pub fn validate(
    bytes: &Bytes,
    config: &LogConfig,
    zstd_allowed: bool,
    wall_ms: i64,
) -> Result<Validated, InvalidBatch> {
    let rules = ProduceRules {
        zstd_allowed,
        batch_bytes_max: config.batch_bytes_max,
        segment_bytes_max: usize::try_from(config.segment_bytes).unwrap_or(usize::MAX),
        timestamp_type: config.timestamp_type,
    };
    let batch = validate_produce(Some(bytes), &rules).map_err(InvalidBatch::Batch)?;
    let rules = RecordRules {
        key_required: config.cleanup_compact,
        timestamps: timestamp_bounds(config, wall_ms),
        decompressed_bytes_max: DECOMPRESSED_BYTES_MAX,
    };
    let mut header = *batch.header();
    if !must_see_records(&batch, &rules) {
        batch.check_compressed(DECOMPRESSED_BYTES_MAX).map_err(InvalidBatch::Records)?;
        return Ok(Validated { header, batch: bytes.clone() });
    }
    let newest = validate_records(&batch, &rules).map_err(InvalidBatch::Records)?;
    if newest == header.max_timestamp || config.timestamp_type == TimestampType::LogAppendTime {
        return Ok(Validated { header, batch: bytes.clone() });
    }
    let mut restated = bytes.to_vec();
    restate_max_timestamp(&mut restated, newest);
    header.max_timestamp = newest;
    Ok(Validated { header, batch: Bytes::from(restated) })
}

/// Uncompressed records are always walked, some nanoseconds each. Decompressing costs a multiple of the
/// append, so only topics whose rules need it pay for it; a bound on the future alone (Kafka's default)
/// is kept by the header's largest timestamp, and one below the first record's is none.
fn must_see_records(batch: &RecordBatch, rules: &RecordRules) -> bool {
    let beyond = |bounds: &RangeInclusive<i64>| {
        *bounds.start() > i64::MIN || batch.header().max_timestamp > *bounds.end()
    };
    batch.compression() == Compression::None
        || batch.header().max_timestamp < batch.header().base_timestamp
        || rules.key_required
        || rules.timestamps.as_ref().is_some_and(beyond)
}

fn timestamp_bounds(config: &LogConfig, wall_ms: i64) -> Option<RangeInclusive<i64>> {
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

#[cfg(test)]
mod tests {
    use protocol::record_batch::{
        ATTRIBUTES_AT, BatchBuilder, BatchOptions, BatchSlice, CRC_AT, CRC_COVERS_FROM,
        DecompressError, HEADER_BYTES, LAST_OFFSET_DELTA_AT, MAX_TIMESTAMP_AT, RECORD_COUNT_AT,
        RecordError, RecordsError,
    };

    use super::{Bytes, Compression, InvalidBatch, LogConfig, validate};

    const NOW_MS: i64 = 1_000;

    fn batch(compression: Compression, timestamp: i64) -> Vec<u8> {
        let options = BatchOptions { compression, ..BatchOptions::default() };
        let mut builder = BatchBuilder::new(options);
        builder.push(timestamp, None, Some(b"one"), &[]);
        builder.push(timestamp, None, Some(b"two"), &[]);
        builder.finish()
    }

    fn signed(mut bytes: Vec<u8>, at: usize, field: &[u8]) -> Vec<u8> {
        bytes[at..at + field.len()].copy_from_slice(field);
        let crc = crc32c::crc32c(&bytes[CRC_COVERS_FROM..]);
        bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    fn counted(bytes: Vec<u8>, count: i32) -> Vec<u8> {
        let bytes = signed(bytes, RECORD_COUNT_AT, &count.to_be_bytes());
        signed(bytes, LAST_OFFSET_DELTA_AT, &(count - 1).to_be_bytes())
    }

    fn error(config: &LogConfig, bytes: Vec<u8>) -> Option<RecordsError> {
        match validate(&Bytes::from(bytes), config, true, NOW_MS) {
            Ok(_) => None,
            Err(InvalidBatch::Records(error)) => Some(error),
            Err(InvalidBatch::Batch(error)) => panic!("{error}"),
        }
    }

    /// Once only topics whose rules need the records looked at them: two records were stored as 2^31 − 1.
    #[test]
    fn uncompressed_records_are_those_that_the_header_announces() {
        let config = LogConfig::default();
        let good = || batch(Compression::None, NOW_MS);
        assert_eq!(error(&config, good()), None);
        let malformed = |index, error| Some(RecordsError::Malformed { index, error });
        for count in [3, i32::MAX] {
            let truncated = malformed(2, RecordError::Truncated);
            assert_eq!(error(&config, counted(good(), count)), truncated);
        }
        let trailing = malformed(1, RecordError::TrailingBytes);
        assert_eq!(error(&config, counted(good(), 1)), trailing);
        let jumps = signed(good(), good().len() - 7, &[10]);
        let offset_delta = RecordsError::OffsetDelta { index: 1, offset_delta: 5 };
        assert_eq!(error(&config, jumps), Some(offset_delta));
        let too_long = malformed(0, RecordError::Truncated);
        assert_eq!(error(&config, signed(good(), HEADER_BYTES, &[126])), too_long);
    }

    /// Retention believed headers: a batch of today that said 1 was deleted at once.
    #[test]
    fn a_header_states_the_largest_timestamp_of_the_records_that_were_looked_at() {
        let stored = |compression, stated: i64| {
            let stated = stated.to_be_bytes();
            let bytes = signed(batch(compression, NOW_MS), MAX_TIMESTAMP_AT, &stated);
            let valid = validate(&Bytes::from(bytes), &LogConfig::default(), true, NOW_MS).unwrap();
            let slice = BatchSlice::first(&valid.batch).unwrap();
            assert!(slice.crc_is_valid());
            assert_eq!(slice.header.max_timestamp, valid.header.max_timestamp);
            valid.header.max_timestamp
        };
        for stated in [i64::MIN, -1, 1, NOW_MS - 1, NOW_MS, NOW_MS + 1, i64::MAX] {
            assert_eq!(stored(Compression::None, stated), NOW_MS);
        }
        assert_eq!(stored(Compression::Lz4, 1), NOW_MS, "less than its first record");
        assert_eq!(stored(Compression::Lz4, NOW_MS + 1), NOW_MS + 1, "it is believed");
    }

    #[test]
    fn compressed_records_are_looked_at_where_the_topic_needs_it() {
        let any = LogConfig::default();
        let compacted = LogConfig { cleanup_compact: true, ..LogConfig::default() };
        let hour = LogConfig { timestamp_after_ms_max: Some(100), ..LogConfig::default() };
        let garbage = |timestamp| {
            let bytes = batch(Compression::Gzip, timestamp);
            let at = bytes.len() - 4;
            signed(bytes, at, &[0xff; 4])
        };
        assert_eq!(error(&any, garbage(NOW_MS)), None);
        assert_eq!(error(&hour, garbage(NOW_MS)), None);
        let corrupt = Some(RecordsError::Decompress(DecompressError::Corrupt));
        assert_eq!(error(&compacted, garbage(NOW_MS)), corrupt);
        assert_eq!(error(&hour, garbage(NOW_MS + 101)), corrupt);
        let many = counted(batch(Compression::Gzip, NOW_MS), i32::MAX);
        let too_many = RecordsError::TooManyRecords { record_count: i32::MAX };
        assert_eq!(error(&any, many), Some(too_many));
        let not_lz4 = signed(batch(Compression::None, NOW_MS), ATTRIBUTES_AT, &[0, 3]);
        assert_eq!(error(&any, not_lz4), corrupt);
    }
}
