//! A stored batch with some of its records taken out, as Kafka's log cleaner leaves it.
//!
//! | field | what becomes of it |
//! |---|---|
//! | base offset, last offset Δ | stay, so that the offsets of what is left do not change |
//! | leader epoch, producer id and epoch, base sequence | stay: the last sequence is the one it was |
//! | codec | stays, of an empty batch: none |
//! | base timestamp | stays, or becomes the delete horizon; records' deltas follow it |
//! | largest timestamp | of what is left; the log append time stays, and an empty batch keeps its own |
//!
//! A delete horizon is the time from which on tombstones may go; its bit says that the base timestamp is one.
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

use super::compression::Compression;
use super::header::{
    Attributes, BatchHeader, CRC_AT, CRC_COVERS_FROM, HEADER_BYTES, LENGTH_COUNTS_FROM,
    TimestampType,
};
use super::record::{Record, RecordError, RecordIterator};
use super::walk::BatchSlice;
use crate::wire::{read_varint, read_varlong, varlong_length, write_varint, write_varlong};

/// What is left of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilteredBatch {
    /// Every record, as it stands.
    Unchanged,
    /// A new batch.
    Rewritten(Vec<u8>),
    /// No record: the caller drops the batch, or keeps [`emptied`] in its place.
    Nothing,
}

/// A record that stays, with its bytes.
struct Kept<'a> {
    raw: &'a [u8],
    timestamp_delta: i64,
}

/// Keeps the records of `batch`, whose uncompressed data are `data`, for which `keep` says so. Where tombstones
/// (records without a value) are left and the batch has no delete horizon, it gets `delete_horizon_ms`.
pub fn filter_records(
    batch: &BatchSlice<'_>,
    data: &[u8],
    delete_horizon_ms: Option<i64>,
    mut keep: impl FnMut(&Record<'_>) -> bool,
) -> Result<FilteredBatch, RecordError> {
    let header = &batch.header;
    let mut kept = Vec::new();
    let mut has_tombstone = false;
    let mut found = 0i32;
    let mut records = RecordIterator::new(data, header.record_count);
    loop {
        let before = records.rest();
        let Some(record) = records.next() else { break };
        let record = record?;
        found = found.saturating_add(1);
        if keep(&record) {
            let bytes = before.len().saturating_sub(records.rest().len());
            let raw = before.get(..bytes).unwrap_or_default();
            has_tombstone |= record.value.is_none();
            kept.push(Kept { raw, timestamp_delta: record.timestamp_delta });
        }
    }
    let horizon =
        delete_horizon_ms.filter(|_| has_tombstone && header.delete_horizon_ms().is_none());
    if kept.is_empty() {
        return Ok(FilteredBatch::Nothing);
    }
    if kept.len() == usize::try_from(found).unwrap_or(usize::MAX) && horizon.is_none() {
        return Ok(FilteredBatch::Unchanged);
    }
    Ok(FilteredBatch::Rewritten(rewritten(header, &kept, horizon)?))
}

fn rewritten(
    header: &BatchHeader,
    kept: &[Kept<'_>],
    horizon: Option<i64>,
) -> Result<Vec<u8>, RecordError> {
    let base_timestamp = horizon.unwrap_or(header.base_timestamp);
    let moved_by = header.base_timestamp.wrapping_sub(base_timestamp);
    let mut records = Vec::with_capacity(kept.iter().map(|record| record.raw.len()).sum());
    let mut newest = i64::MIN;
    for record in kept {
        newest = newest.max(header.base_timestamp.wrapping_add(record.timestamp_delta));
        match horizon {
            None => records.extend_from_slice(record.raw),
            Some(_) => write_moved(&mut records, record.raw, moved_by)?,
        }
    }
    let max_timestamp = match header.attributes.timestamp_type() {
        TimestampType::CreateTime => newest,
        TimestampType::LogAppendTime => header.max_timestamp,
    };
    let compression = header.attributes.compression().unwrap_or_default();
    let records = match compression {
        Compression::None => records,
        codec => codec.compress(&records),
    };
    let attributes = match horizon {
        Some(_) => header.attributes.with_delete_horizon(true),
        None => header.attributes,
    };
    let record_count = i32::try_from(kept.len()).unwrap_or(i32::MAX);
    let header = BatchHeader { attributes, base_timestamp, max_timestamp, record_count, ..*header };
    Ok(encoded(header, &records))
}

/// The record with its timestamp's delta moved.
fn write_moved(out: &mut Vec<u8>, mut raw: &[u8], by: i64) -> Result<(), RecordError> {
    read_varint(&mut raw)?;
    let (attributes, mut rest) = raw.split_first().ok_or(RecordError::Truncated)?;
    let delta = read_varlong(&mut rest)?.wrapping_add(by);
    let length = varlong_length(delta).saturating_add(rest.len()).saturating_add(1);
    write_varint(out, i32::try_from(length).map_err(|_| RecordError::RecordLength)?);
    out.push(*attributes);
    write_varlong(out, delta);
    out.extend_from_slice(rest);
    Ok(())
}

/// A batch with the place, producer and largest timestamp of this one, and without records: what keeps a
/// producer's last sequence and the end of a cleaned log.
#[must_use]
pub fn emptied(header: &BatchHeader) -> Vec<u8> {
    let attributes = Attributes::new(Compression::None)
        .with_timestamp_type(header.attributes.timestamp_type())
        .with_transactional(header.attributes.is_transactional())
        .with_control(header.attributes.is_control());
    encoded(BatchHeader { attributes, base_timestamp: -1, record_count: 0, ..*header }, &[])
}

fn encoded(header: BatchHeader, records: &[u8]) -> Vec<u8> {
    let counted = HEADER_BYTES.saturating_sub(LENGTH_COUNTS_FROM).saturating_add(records.len());
    let batch_length = i32::try_from(counted).unwrap_or(i32::MAX);
    let mut bytes = Vec::with_capacity(HEADER_BYTES.saturating_add(records.len()));
    BatchHeader { batch_length, crc: 0, ..header }.write(&mut bytes);
    bytes.extend_from_slice(records);
    let crc = crc32c::crc32c(bytes.get(CRC_COVERS_FROM..).unwrap_or_default());
    if let Some(field) = bytes.get_mut(CRC_AT..CRC_COVERS_FROM) {
        field.copy_from_slice(&crc.to_be_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::{BatchBuilder, BatchOptions, Producer, patch, stamp_log_append_time};
    use super::*;
    use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

    const PRODUCER: Producer =
        Producer { id: ProducerId(9), epoch: ProducerEpoch(2), base_sequence: 40 };

    type Content = (i32, i64, Option<Vec<u8>>, Option<Vec<u8>>);

    /// Key, value and timestamp of each record, at offset 100 and the following.
    fn batch(compression: Compression, records: &[(&str, Option<&str>, i64)]) -> Vec<u8> {
        let producer = Some(PRODUCER);
        let options = BatchOptions { compression, producer, ..BatchOptions::default() };
        let mut builder = BatchBuilder::new(options);
        for (key, value, timestamp) in records {
            builder.push(*timestamp, Some(key.as_bytes()), value.map(str::as_bytes), &[]);
        }
        let mut bytes = builder.finish();
        patch(&mut bytes, Offset(100), LeaderEpoch(7));
        bytes
    }

    fn filtered(
        bytes: &[u8],
        horizon: Option<i64>,
        keep: impl FnMut(&Record<'_>) -> bool,
    ) -> FilteredBatch {
        let batch = BatchSlice::first(bytes).unwrap();
        filter_records(&batch, &data(&batch), horizon, keep).unwrap()
    }

    fn data(batch: &BatchSlice<'_>) -> Bytes {
        let codec = batch.header.attributes.compression().unwrap();
        codec.decompress(&Bytes::copy_from_slice(batch.record_data()), 1 << 20).unwrap()
    }

    /// (offset Δ, timestamp, key, value)
    fn contents(bytes: &[u8]) -> Vec<Content> {
        let batch = BatchSlice::first(bytes).unwrap();
        assert!(batch.crc_is_valid());
        assert_eq!(batch.bytes.len(), bytes.len());
        RecordIterator::new(&data(&batch), batch.header.record_count)
            .map(|record| {
                let record = record.unwrap();
                let timestamp = batch.header.base_timestamp + record.timestamp_delta;
                let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
                (record.offset_delta, timestamp, owned(record.key), owned(record.value))
            })
            .collect()
    }

    #[test]
    fn what_is_left_keeps_its_offsets_times_and_producer_in_every_codec() {
        let records = [("a", Some("1"), 50), ("b", Some("2"), 70), ("c", Some("3"), 60)];
        for codec in Compression::ALL {
            let bytes = batch(codec, &records);
            let before = BatchSlice::first(&bytes).unwrap().header;
            let left = filtered(&bytes, None, |record| record.key != Some(b"b"));
            let FilteredBatch::Rewritten(left) = left else { panic!("{left:?}") };
            let expected: Vec<Content> =
                contents(&bytes).into_iter().filter(|record| record.0 != 1).collect();
            assert_eq!(contents(&left), expected, "{codec}");
            let after = BatchSlice::first(&left).unwrap().header;
            assert_eq!(
                after,
                BatchHeader {
                    batch_length: after.batch_length,
                    crc: after.crc,
                    max_timestamp: 60,
                    record_count: 2,
                    ..before
                }
            );
        }
    }

    #[test]
    fn a_batch_that_loses_nothing_is_not_touched_and_one_that_loses_all_is_nothing() {
        let bytes = batch(Compression::Zstd, &[("a", Some("1"), 50), ("b", None, 70)]);
        assert_eq!(filtered(&bytes, None, |_| true), FilteredBatch::Unchanged);
        assert_eq!(filtered(&bytes, Some(9), |_| false), FilteredBatch::Nothing);
        let only_value = filtered(&bytes, Some(9), |record| record.value.is_some());
        let FilteredBatch::Rewritten(left) = only_value else { panic!("{only_value:?}") };
        let header = BatchSlice::first(&left).unwrap().header;
        assert!(!header.attributes.has_delete_horizon(), "no tombstone is left");
    }

    #[test]
    fn a_delete_horizon_is_set_once_and_moves_no_timestamp() {
        let records = [("a", Some("1"), 50), ("b", None, 70), ("c", Some("3"), -1)];
        for codec in Compression::ALL {
            let bytes = batch(codec, &records);
            let dated = filtered(&bytes, Some(1 << 41), |_| true);
            let FilteredBatch::Rewritten(dated) = dated else { panic!("{dated:?}") };
            assert_eq!(contents(&dated), contents(&bytes), "{codec}");
            let header = BatchSlice::first(&dated).unwrap().header;
            assert_eq!(header.delete_horizon_ms(), Some(1 << 41));
            assert_eq!(header.max_timestamp, 70);
            // A later cleaning does not put it off.
            assert_eq!(filtered(&dated, Some(1 << 42), |_| true), FilteredBatch::Unchanged);
            let again = filtered(&dated, Some(1 << 42), |record| record.offset_delta > 0);
            let FilteredBatch::Rewritten(again) = again else { panic!("{again:?}") };
            assert_eq!(contents(&again), contents(&bytes)[1..]);
            let header = BatchSlice::first(&again).unwrap().header;
            assert_eq!(header.delete_horizon_ms(), Some(1 << 41));
        }
    }

    #[test]
    fn the_log_append_time_stays() {
        let mut bytes = batch(Compression::None, &[("a", Some("1"), 50), ("b", Some("2"), 70)]);
        stamp_log_append_time(&mut bytes, 500);
        let left = filtered(&bytes, None, |record| record.offset_delta == 0);
        let FilteredBatch::Rewritten(left) = left else { panic!("{left:?}") };
        assert_eq!(BatchSlice::first(&left).unwrap().header.max_timestamp, 500);
    }

    #[test]
    fn an_emptied_batch_keeps_place_producer_and_last_sequence() {
        let bytes = batch(Compression::Lz4, &[("a", Some("1"), 50), ("b", None, 70)]);
        let before = BatchSlice::first(&bytes).unwrap().header;
        let empty = emptied(&before);
        assert_eq!(contents(&empty), []);
        let after = BatchSlice::first(&empty).unwrap().header;
        assert_eq!((after.base_offset, after.next_offset()), (Offset(100), Offset(102)));
        assert_eq!((after.producer(), after.last_sequence()), (Some(PRODUCER), 41));
        assert_eq!((after.record_count, after.max_timestamp), (0, 70));
        assert_eq!(after.attributes, Attributes(0));
        assert_eq!(after.partition_leader_epoch, LeaderEpoch(7));
    }
}
