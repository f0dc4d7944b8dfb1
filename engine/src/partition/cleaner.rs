//! What log compaction keeps of a log: of each key the newest record, as Kafka's log cleaner decides it.
//!
//! ```text
//! 0 ……………… first dirty …………………… uncleanable ………… log end
//! │ clean: each key once  │ dirty: its keys go into the map │ not looked at │
//! ```
//!
//! | record | stays |
//! |---|---|
//! | behind the last offset that the map covers | yes |
//! | without a key | no |
//! | a newer one of its key is in the map | no |
//! | a tombstone, and its batch's delete horizon has passed | no |
//! | any other | yes |
//!
//! A batch that loses all its records goes, unless it is the newest of its producer (which may come again with
//! the next sequence) or the last of what is cleaned (or nobody would know how far the log reached): then it
//! stays without records. Control batches stay.

pub mod key_hash;
pub mod offset_map;

use bytes::Bytes;
use protocol::Offset;
use protocol::record_batch::{BatchSlice, FilteredBatch, RecordIterator, emptied, filter_records};

use self::key_hash::KeyHasher;
use self::offset_map::OffsetMap;
use crate::limits::CLEANER_DECOMPRESSED_BYTES_MAX;

/// How far the keys of a batch went into the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeysNoted {
    All,
    /// The map is full: it covers the log below this offset.
    Below(Offset),
}

/// Puts the keys of a batch's records from `from` on into the map.
pub fn note_keys(
    batch: &BatchSlice<'_>,
    from: Offset,
    hasher: &KeyHasher,
    map: &mut OffsetMap,
) -> KeysNoted {
    if batch.header.attributes.is_control() {
        return KeysNoted::All;
    }
    // Whose records cannot be read stays whole, and makes nothing older go.
    let Some(data) = record_data(batch) else { return KeysNoted::All };
    for record in RecordIterator::new(&data, batch.header.record_count) {
        let Ok(record) = record else { return KeysNoted::All };
        let offset = Offset(batch.header.base_offset.0 + i64::from(record.offset_delta));
        if offset < from {
            continue;
        }
        if let Some(key) = record.key
            && !map.put(hasher.hash(key), offset)
        {
            return KeysNoted::Below(offset);
        }
    }
    KeysNoted::All
}

/// What a batch is held to.
#[derive(Clone, Copy, Debug)]
pub struct CleanRules<'a> {
    pub map: &'a OffsetMap,
    pub hasher: &'a KeyHasher,
    /// The map knows the newest record of each key below this offset.
    pub covered: Offset,
    pub now_ms: i64,
    pub delete_retention_ms: i64,
    /// Nothing of it may be left but its header: it is the last of its producer, or of what is cleaned.
    pub must_stay: bool,
}

/// What is left of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CleanedBatch {
    Unchanged,
    Rewritten(Vec<u8>),
    Dropped,
}

/// Cleans one batch.
pub fn clean_batch(batch: &BatchSlice<'_>, rules: &CleanRules<'_>) -> CleanedBatch {
    let header = &batch.header;
    if header.attributes.is_control() {
        return CleanedBatch::Unchanged;
    }
    let Some(data) = record_data(batch) else { return CleanedBatch::Unchanged };
    let may_go = header.delete_horizon_ms().is_some_and(|horizon| horizon <= rules.now_ms);
    let horizon = rules.now_ms.saturating_add(rules.delete_retention_ms);
    let filtered = filter_records(batch, &data, Some(horizon), |record| {
        let offset = Offset(header.base_offset.0 + i64::from(record.offset_delta));
        if offset >= rules.covered {
            return true;
        }
        let Some(key) = record.key else { return false };
        let newest = rules.map.get(rules.hasher.hash(key));
        newest.is_none_or(|newest| newest <= offset) && (record.value.is_some() || !may_go)
    });
    match filtered {
        Ok(FilteredBatch::Unchanged) | Err(_) => CleanedBatch::Unchanged,
        Ok(FilteredBatch::Rewritten(bytes)) => CleanedBatch::Rewritten(bytes),
        Ok(FilteredBatch::Nothing) if !rules.must_stay => CleanedBatch::Dropped,
        Ok(FilteredBatch::Nothing) if header.record_count == 0 => CleanedBatch::Unchanged,
        Ok(FilteredBatch::Nothing) => CleanedBatch::Rewritten(emptied(header)),
    }
}

/// The uncompressed records; `None` where they cannot be had, or are more than may be held: then the batch
/// stays as it is.
fn record_data(batch: &BatchSlice<'_>) -> Option<Bytes> {
    let codec = batch.header.attributes.compression()?;
    let data = Bytes::copy_from_slice(batch.record_data());
    codec.decompress(&data, CLEANER_DECOMPRESSED_BYTES_MAX).ok()
}

#[cfg(test)]
mod tests;
