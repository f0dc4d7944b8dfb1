//! The machine's log as bytes, for trials: written, replayed, compacted by key.

use alloc::{collections::BTreeMap, vec::Vec};

use bytes::Bytes;
use protocol::group_record::EncodedGroupRecord;

use crate::group::{DurableRecord, GroupRecord, GroupSettings, Groups};

pub(super) fn encoded(log: &[DurableRecord]) -> Vec<EncodedGroupRecord> {
    log.iter().map(|record| record.encode().unwrap()).collect()
}

pub(super) fn replayed(settings: GroupSettings, log: &[EncodedGroupRecord]) -> Groups {
    let mut groups = Groups::new(settings);
    for EncodedGroupRecord { key, value } in log {
        let record = DurableRecord::decode(key, value.as_ref()).unwrap();
        groups.replay(&GroupRecord::Durable(record));
    }
    groups
}

/// The last record of each key, in the keys' order or against it, and not in the log's.
pub(super) fn compacted(log: &[EncodedGroupRecord], is_reversed: bool) -> Vec<EncodedGroupRecord> {
    let last: BTreeMap<&Bytes, &EncodedGroupRecord> =
        log.iter().map(|record| (&record.key, record)).collect();
    let records = last.into_values().cloned();
    if is_reversed { records.rev().collect() } else { records.collect() }
}
