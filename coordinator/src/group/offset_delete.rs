//! OffsetDelete: an operator takes offsets away that nobody goes on from.

use alloc::vec::Vec;

use protocol::{PartitionIndex, Str};

use super::{
    Answer, DurableRecord, GroupCommand, GroupDecision, Groups, Moment, Token,
    answer::{OffsetDeleteError, OffsetNotDeleted},
    batch::Batch,
    classic::ClassicState,
};

/// An OffsetDelete request. That its topics and partitions exist was checked before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetDelete {
    pub token: Token,
    pub group: Str,
    pub partitions: Vec<(Str, PartitionIndex)>,
}

impl GroupCommand for OffsetDelete {
    fn decide(&self, groups: &Groups, _now: Moment) -> GroupDecision {
        let mut batch = Batch::default();
        match self.delete(groups, &mut batch) {
            Ok(results) => {
                let mut decision = batch.decided();
                decision.answers.push((self.token, Answer::OffsetDelete(Ok(results))));
                decision
            }
            Err(error) => GroupDecision::answer(self.token, Answer::OffsetDelete(Err(error))),
        }
    }
}

impl OffsetDelete {
    fn delete(
        &self,
        groups: &Groups,
        batch: &mut Batch,
    ) -> Result<Vec<Result<(), OffsetNotDeleted>>, OffsetDeleteError> {
        if self.group.is_empty() {
            return Err(OffsetDeleteError::InvalidGroupId);
        }
        let consumers = groups.consumer(&self.group);
        let classic = groups.get(&self.group);
        if consumers.is_none() && classic.is_none() {
            return Err(OffsetDeleteError::UnknownGroup);
        }
        if classic.is_some_and(|of| of.state() != ClassicState::Empty && !of.is_of_consumers()) {
            return Err(OffsetDeleteError::NonEmptyGroup);
        }
        let offsets = groups.offsets_of(&self.group);
        let mut results = Vec::with_capacity(self.partitions.len());
        for (topic, partition) in &self.partitions {
            if groups.is_subscribed_to(&self.group, topic) {
                results.push(Err(OffsetNotDeleted::GroupIsSubscribed));
                continue;
            }
            let is_there = offsets.is_some_and(|of| of.get(topic, *partition).is_some());
            let (group, topic, partition) = (self.group.clone(), topic.clone(), *partition);
            if is_there && !batch.push(DurableRecord::OffsetGone { group, topic, partition }) {
                return Err(OffsetDeleteError::TooManyOffsets);
            }
            results.push(Ok(()));
        }
        Ok(results)
    }
}
