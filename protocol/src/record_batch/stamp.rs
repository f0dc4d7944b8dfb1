//! What the broker writes into a batch: offsets and epoch at every append, the time on some topics.

use super::header::{
    ATTRIBUTES_AT, Attributes, BASE_OFFSET_AT, BATCH_LENGTH_AT, CRC_AT, CRC_COVERS_FROM,
    HEADER_BYTES, MAX_TIMESTAMP_AT, PARTITION_LEADER_EPOCH_AT, PATCHED_BYTES, TimestampType,
};
use crate::ids::{LeaderEpoch, Offset};

/// Assigns a batch its place in the log. The CRC does not cover these fields.
///
/// # Panics
/// When `batch` is shorter than the bytes it overwrites: the caller validated it.
pub fn patch(batch: &mut [u8], base_offset: Offset, leader_epoch: LeaderEpoch) {
    assert!(batch.len() >= PATCHED_BYTES, "a batch was validated before it is patched");
    batch[BASE_OFFSET_AT..BATCH_LENGTH_AT].copy_from_slice(&base_offset.0.to_be_bytes());
    batch[PARTITION_LEADER_EPOCH_AT..PATCHED_BYTES].copy_from_slice(&leader_epoch.0.to_be_bytes());
}

/// For topics with `message.timestamp.type=LogAppendTime`: sets the attribute and the maximum timestamp,
/// which clients then report for every record, and recomputes the CRC. The base timestamp and the records'
/// deltas stay, as in Kafka.
///
/// # Panics
/// When `batch` is not one whole batch: the caller validated it.
pub fn stamp_log_append_time(batch: &mut [u8], now_ms: i64) {
    assert!(batch.len() >= HEADER_BYTES, "a batch was validated before it is stamped");
    let attributes = i16::from_be_bytes([batch[ATTRIBUTES_AT], batch[ATTRIBUTES_AT + 1]]);
    let attributes = Attributes(attributes).with_timestamp_type(TimestampType::LogAppendTime);
    batch[ATTRIBUTES_AT..ATTRIBUTES_AT + 2].copy_from_slice(&attributes.0.to_be_bytes());
    restate_max_timestamp(batch, now_ms);
}

/// States another largest timestamp, and recomputes the CRC.
///
/// # Panics
/// When `batch` is not one whole batch: the caller validated it.
pub fn restate_max_timestamp(batch: &mut [u8], max_timestamp: i64) {
    assert!(batch.len() >= HEADER_BYTES, "a batch was validated before it is stamped");
    batch[MAX_TIMESTAMP_AT..MAX_TIMESTAMP_AT + 8].copy_from_slice(&max_timestamp.to_be_bytes());
    let crc = crc32c::crc32c(&batch[CRC_COVERS_FROM..]);
    batch[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::{BatchBuilder, BatchOptions, BatchSlice, TimestampType};
    use super::{LeaderEpoch, Offset, patch, stamp_log_append_time};

    #[test]
    fn patching_keeps_the_crc_and_stamping_renews_it() {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        builder.push(100, None, Some(b"value"), &[]);
        builder.push(90, None, Some(b"value"), &[]);
        let mut bytes = builder.finish();
        let crc = BatchSlice::first(&bytes).unwrap().header.crc;

        patch(&mut bytes, Offset(1 << 40), LeaderEpoch(9));
        let patched = BatchSlice::first(&bytes).unwrap();
        assert!(patched.crc_is_valid());
        assert_eq!(patched.header.crc, crc);
        assert_eq!(patched.header.base_offset, Offset(1 << 40));
        assert_eq!(patched.header.partition_leader_epoch, LeaderEpoch(9));

        stamp_log_append_time(&mut bytes, 12_345);
        let stamped = BatchSlice::first(&bytes).unwrap();
        assert!(stamped.crc_is_valid());
        assert_ne!(stamped.header.crc, crc);
        assert_eq!(stamped.header.attributes.timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!((stamped.header.base_timestamp, stamped.header.max_timestamp), (100, 12_345));
    }
}
