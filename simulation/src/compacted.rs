//! What must be true of a log that is compacted by key: of each key the newest record stays, offsets and contents of
//! records never change, and what was cleaned away does not come back.

use std::collections::{BTreeMap, BTreeSet};

use broker::protocol::Offset;
use broker::protocol::record_batch::{BatchSlice, RecordIterator};
use bytes::Bytes;

use crate::batches::{KeyedRecord, keyed_records};
use crate::violation::{Checked, Checker};

/// A record whose place is known: somebody was told, or has read it.
#[derive(Clone, Copy, Debug)]
struct Known {
    key: u8,
    is_tombstone: bool,
    /// When it was sent, by the wall clock.
    sent_ms: i64,
}

/// The clock at the end of a walk, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TombstoneClock {
    pub(crate) now_ms: i64,
    /// The wall clock was set back by so much in all.
    pub(crate) set_back_ms: i64,
    pub(crate) delete_retention_ms: i64,
}

impl TombstoneClock {
    /// Before that, a tombstone that was sent at this time may not go.
    const fn stays_until(&self, sent_ms: i64) -> i64 {
        sent_ms + self.delete_retention_ms - self.set_back_ms
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Compacted {
    records: BTreeMap<Offset, Known>,
    /// Offsets of known records that somebody looked for and did not find.
    gone: BTreeSet<Offset>,
}

impl Compacted {
    /// The batch that was sent with these bytes stands at `base`.
    pub(crate) fn placed(&mut self, base: Offset, sent: &Bytes, sent_ms: i64) {
        for record in keyed_records(sent) {
            let offset = Offset(base.0 + i64::from(record.offset_delta));
            let known = Known { key: record.key, is_tombstone: record.is_tombstone, sent_ms };
            self.records.insert(offset, known);
        }
    }

    /// The log ends at `end` again.
    pub(crate) fn forget_from(&mut self, end: Offset) {
        self.records.split_off(&end);
        self.gone.split_off(&end);
    }

    /// What was read is what was sent, record by record, and was not gone before.
    pub(crate) fn check(&self, name: &str, batch: &BatchSlice<'_>, sent: &Bytes) -> Checked {
        let base = batch.header.base_offset;
        let sent_records: BTreeMap<i32, KeyedRecord> =
            keyed_records(sent).into_iter().map(|record| (record.offset_delta, record)).collect();
        let found = keyed_records(&Bytes::copy_from_slice(batch.bytes));
        let is_whole = found.len() == batch.header.record_count as usize;
        Checker::BytesAreThose.check(is_whole && batch.crc_is_valid(), || {
            format!("{name}: the batch at {} cannot be read", base.0)
        })?;
        let newest = found.iter().map(|record| record.timestamp).max();
        let is_dated = newest == Some(batch.header.max_timestamp);
        Checker::BytesAreThose.check(is_dated || found.is_empty(), || {
            format!("{name}: the batch at {} says another largest timestamp", base.0)
        })?;
        for record in &found {
            let at = Offset(base.0 + i64::from(record.offset_delta));
            let same = sent_records.get(&record.offset_delta) == Some(record);
            Checker::BytesAreThose
                .check(same, || format!("{name}: the record at {} was sent as another", at.0))?;
            Checker::CleanedStaysAway
                .check(!self.gone.contains(&at), || format!("{name}: {} is back", at.0))?;
        }
        Ok(())
    }

    /// A reader came from `from` to `batch`, or behind the last one: what is known in between is gone.
    pub(crate) fn passed(&mut self, from: Offset, batch: &BatchSlice<'_>) {
        let base = batch.header.base_offset;
        let there: BTreeSet<Offset> =
            records_in(batch).into_iter().map(|delta| Offset(base.0 + i64::from(delta))).collect();
        let known = self.records.range(from..batch.header.next_offset());
        let missing = known.map(|(offset, _)| *offset).filter(|offset| !there.contains(offset));
        let missing: Vec<Offset> = missing.collect();
        self.gone.extend(missing);
    }

    /// A walk came from `start` to `end`: the newest record of each key was there, unless it is a tombstone whose time
    /// has passed. `is_still`: nothing was cleaned meanwhile; then nothing that such a tombstone deleted is there.
    /// `unplaced` are batches that nobody was told of or has read, with when they were sent: the newest of a key may
    /// have been a tombstone among them, which came and went.
    pub(crate) fn walked(
        &self,
        name: &str,
        (start, end): (Offset, Offset),
        clock: TombstoneClock,
        is_still: bool,
        unplaced: &[(Bytes, i64)],
    ) -> Checked {
        let mut newest: BTreeMap<u8, Offset> = BTreeMap::new();
        for (offset, known) in self.records.range(start..end) {
            newest.insert(known.key, *offset);
        }
        for (key, offset) in &newest {
            if !self.gone.contains(offset) {
                continue;
            }
            let known = self.records[offset];
            let may_have_deleted = |sent_ms: i64| {
                sent_ms >= known.sent_ms && clock.now_ms >= clock.stays_until(sent_ms)
            };
            let is_deleted = unplaced.iter().any(|(sent, sent_ms)| {
                let mut records = keyed_records(sent).into_iter();
                may_have_deleted(*sent_ms)
                    && records.any(|record| record.key == *key && record.is_tombstone)
            });
            if is_deleted {
                continue;
            }
            Checker::NewestOfKeyIsThere.check(known.is_tombstone, || {
                format!("{name}: the newest record of key {key}, at {}, is gone", offset.0)
            })?;
            let stays_until = clock.stays_until(known.sent_ms);
            Checker::TombstonesStay.check(clock.now_ms >= stays_until, || {
                let now = clock.now_ms;
                format!("{name}: the tombstone at {} is gone at {now}, not {stays_until}", offset.0)
            })?;
            let of_key = self.records.range(start..*offset).filter(|(_, it)| it.key == *key);
            let left = of_key.map(|(offset, _)| *offset).find(|it| !self.gone.contains(it));
            Checker::CleanedStaysAway.check(left.is_none() || !is_still, || {
                let at = left.unwrap_or_default().0;
                format!(
                    "{name}: {at} is there, and the tombstone at {} that deleted it is not",
                    offset.0
                )
            })?;
        }
        Ok(())
    }

    /// Records that were found to be gone.
    pub(crate) fn gone(&self) -> usize {
        self.gone.len()
    }
}

/// The offset deltas of a batch's records.
fn records_in(batch: &BatchSlice<'_>) -> Vec<i32> {
    let codec = batch.header.attributes.compression().unwrap_or_default();
    let data = Bytes::copy_from_slice(batch.record_data());
    let Ok(data) = codec.decompress(&data, 64 << 20) else { return Vec::new() };
    let records = RecordIterator::new(&data, batch.header.record_count);
    records.filter_map(Result::ok).map(|record| record.offset_delta).collect()
}
