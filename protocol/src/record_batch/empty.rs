//! A batch without records, as Kafka's compaction leaves them: it keeps offsets dense, and consumers go on
//! behind it.

use super::header::{
    BASE_SEQUENCE_AT, BASE_TIMESTAMP_AT, BATCH_LENGTH_AT, CRC_AT, CRC_COVERS_FROM, HEADER_BYTES,
    LAST_OFFSET_DELTA_AT, LENGTH_COUNTS_FROM, MAGIC, MAGIC_AT, MAX_TIMESTAMP_AT, PRODUCER_EPOCH_AT,
    PRODUCER_ID_AT,
};
use super::stamp::patch;
use crate::ids::{LeaderEpoch, Offset};

/// Stands for the offsets from `base` to the one before `next`.
///
/// # Panics
/// When the range is empty or longer than a batch's offsets can be.
#[must_use]
pub fn empty_batch(base: Offset, next: Offset, leader_epoch: LeaderEpoch) -> Vec<u8> {
    let delta = i32::try_from(next.0 - base.0 - 1).ok().filter(|delta| *delta >= 0);
    let delta = delta.expect("the caller bounds the range");
    let length = i32::try_from(HEADER_BYTES - LENGTH_COUNTS_FROM).expect("a header is short");
    let mut batch = vec![0; HEADER_BYTES];
    let mut put = |at: usize, bytes: &[u8]| batch[at..at + bytes.len()].copy_from_slice(bytes);
    put(BATCH_LENGTH_AT, &length.to_be_bytes());
    put(MAGIC_AT, &MAGIC.to_be_bytes());
    put(LAST_OFFSET_DELTA_AT, &delta.to_be_bytes());
    for (at, bytes) in [
        (BASE_TIMESTAMP_AT, 8),
        (MAX_TIMESTAMP_AT, 8),
        (PRODUCER_ID_AT, 8),
        (PRODUCER_EPOCH_AT, 2),
        (BASE_SEQUENCE_AT, 4),
    ] {
        // Kafka's -1: there is none.
        put(at, &[0xff; 8][..bytes]);
    }
    patch(&mut batch, base, leader_epoch);
    let crc = crc32c::crc32c(&batch[CRC_COVERS_FROM..]);
    batch[CRC_AT..CRC_COVERS_FROM].copy_from_slice(&crc.to_be_bytes());
    batch
}

#[cfg(test)]
mod tests {
    use super::super::BatchSlice;
    use super::{LeaderEpoch, Offset, empty_batch};

    #[test]
    fn an_empty_batch_is_sound_and_reaches_as_far_as_it_was_asked_to() {
        let bytes = empty_batch(Offset(7), Offset(40), LeaderEpoch(3));
        let batch = BatchSlice::first(&bytes).unwrap();
        assert!(batch.crc_is_valid());
        assert_eq!((batch.bytes.len(), batch.header.record_count), (61, 0));
        assert_eq!((batch.header.base_offset, batch.header.next_offset()), (Offset(7), Offset(40)));
        assert_eq!(batch.header.partition_leader_epoch, LeaderEpoch(3));
        assert_eq!((batch.header.producer(), batch.header.max_timestamp), (None, -1));
    }
}
