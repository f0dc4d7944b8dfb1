//! The durable records of one decision: as many as one batch of the log takes.

use alloc::vec::Vec;

use protocol::Str;

use super::{DurableRecord, GroupDecision, GroupRecord, Groups, record::StoredMember};
use crate::limits::{DECISION_BYTES_MAX, RECORDS_PER_DECISION_MAX};

/// What a record takes beside its strings: lengths, versions and numbers of key, value and record.
const RECORD_OVERHEAD_BYTES: usize = 96;
/// What a member takes beside its strings.
const MEMBER_OVERHEAD_BYTES: usize = 32;

/// Filled until it is full.
#[derive(Debug, Default)]
pub(super) struct Batch {
    records: Vec<GroupRecord>,
    bytes: usize,
}

impl Batch {
    /// False: there is no room for the record any more, and it was not taken.
    #[must_use]
    pub(super) fn push(&mut self, record: DurableRecord) -> bool {
        let bytes = self.bytes + record.bytes_max();
        if self.records.len() >= RECORDS_PER_DECISION_MAX || bytes > DECISION_BYTES_MAX {
            return false;
        }
        self.bytes = bytes;
        self.records.push(GroupRecord::Durable(record));
        true
    }

    /// For the records of an empty group. False: there is no room for all of them, and none was taken.
    #[must_use]
    pub(super) fn push_tombstones(&mut self, groups: &Groups, group: &Str) -> bool {
        let mut tombstones = Vec::new();
        match groups.consumer(group) {
            Some(consumers) => {
                let part = |part| DurableRecord::Consumer { group: group.clone(), part };
                tombstones.extend(consumers.tombstones().into_iter().map(part));
            }
            None => tombstones.push(DurableRecord::GroupGone { group: group.clone() }),
        }
        let bytes: usize = tombstones.iter().map(DurableRecord::bytes_max).sum();
        if self.records.len() + tombstones.len() > RECORDS_PER_DECISION_MAX
            || self.bytes + bytes > DECISION_BYTES_MAX
        {
            return false;
        }
        tombstones.into_iter().all(|tombstone| self.push(tombstone))
    }

    pub(super) fn into_records(self) -> Vec<GroupRecord> {
        self.records
    }

    pub(super) fn decided(self) -> GroupDecision {
        GroupDecision { records: self.records, answers: Vec::new() }
    }
}

impl DurableRecord {
    /// Never less than what its bytes take in a batch.
    pub(super) fn bytes_max(&self) -> usize {
        RECORD_OVERHEAD_BYTES
            + match self {
                Self::ClassicGroup { group, value } => {
                    let length_of = |text: &Option<_>| text.as_deref().map_or(0, str::len);
                    let members = value.members.iter().map(StoredMember::bytes_max);
                    group.len()
                        + value.protocol_type.len()
                        + length_of(&value.protocol)
                        + length_of(&value.leader)
                        + members.sum::<usize>()
                }
                Self::GroupGone { group } => group.len(),
                Self::Offset { group, topic, value, .. } => {
                    group.len() + topic.len() + value.metadata.len()
                }
                Self::Consumer { group, part } => group.len() + part.bytes_max(),
                Self::OffsetGone { group, topic, .. } => group.len() + topic.len(),
                Self::Apart { key, value } => key.len() + value.as_ref().map_or(0, |of| of.len()),
            }
    }
}

impl StoredMember {
    fn bytes_max(&self) -> usize {
        MEMBER_OVERHEAD_BYTES
            + self.member.len()
            + self.instance.as_deref().map_or(0, str::len)
            + self.client_id.len()
            + self.client_host.len()
            + self.subscription.len()
            + self.assignment.len()
    }
}
