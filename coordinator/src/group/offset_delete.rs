//! OffsetDelete: an operator takes offsets away that nobody goes on from.

use alloc::vec::Vec;

use protocol::{PartitionIndex, Str};

use super::{
    Answer, DurableRecord, GroupCommand, GroupDecision, GroupRecord, Groups, Moment, Token,
    answer::{OffsetDeleteError, OffsetNotDeleted},
    classic::ClassicState,
};
use crate::limits::RECORDS_PER_DECISION_MAX;

/// An OffsetDelete request. That its topics and partitions exist was checked before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetDelete {
    pub token: Token,
    pub group: Str,
    pub partitions: Vec<(Str, PartitionIndex)>,
}

impl GroupCommand for OffsetDelete {
    fn decide(&self, groups: &Groups, _now: Moment) -> GroupDecision {
        let mut decision = GroupDecision::default();
        let result = self.delete(groups, &mut decision.records);
        decision.answers.push((self.token, Answer::OffsetDelete(result)));
        decision
    }
}

impl OffsetDelete {
    fn delete(
        &self,
        groups: &Groups,
        records: &mut Vec<GroupRecord>,
    ) -> Result<Vec<Result<(), OffsetNotDeleted>>, OffsetDeleteError> {
        if self.group.is_empty() {
            return Err(OffsetDeleteError::InvalidGroupId);
        }
        let Some(group) = groups.get(&self.group) else {
            return Err(OffsetDeleteError::UnknownGroup);
        };
        if group.state() != ClassicState::Empty && !group.is_of_consumers() {
            return Err(OffsetDeleteError::NonEmptyGroup);
        }
        if self.partitions.len() > RECORDS_PER_DECISION_MAX {
            return Err(OffsetDeleteError::TooManyOffsets);
        }
        let offsets = groups.offsets_of(&self.group);
        let results = self.partitions.iter().map(|(topic, partition)| {
            if group.is_subscribed_to(topic) {
                return Err(OffsetNotDeleted::GroupIsSubscribed);
            }
            if offsets.is_some_and(|offsets| offsets.get(topic, *partition).is_some()) {
                records.push(GroupRecord::Durable(DurableRecord::OffsetGone {
                    group: self.group.clone(),
                    topic: topic.clone(),
                    partition: *partition,
                }));
            }
            Ok(())
        });
        Ok(results.collect())
    }
}
