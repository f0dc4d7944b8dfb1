//! DeleteGroups: an operator takes a group away, with all its offsets.

use protocol::Str;

use super::{
    Answer, DurableRecord, GroupCommand, GroupDecision, GroupRecord, Groups, Moment, Token,
    answer::DeleteGroupError, classic::ClassicState,
};
use crate::limits::RECORDS_PER_DECISION_MAX;

/// One group of a DeleteGroups request. A group with more offsets than one batch takes tombstones for is
/// deleted in several decisions: the command is decided again until it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteGroup {
    pub token: Token,
    pub group: Str,
}

impl GroupCommand for DeleteGroup {
    fn decide(&self, groups: &Groups, _now: Moment) -> GroupDecision {
        let refused = |why| GroupDecision::answer(self.token, Answer::DeleteGroup(Err(why)));
        let Some(group) = groups.get(&self.group) else {
            return refused(DeleteGroupError::UnknownGroup);
        };
        if group.state() != ClassicState::Empty {
            return refused(DeleteGroupError::NonEmptyGroup);
        }
        let mut decision = GroupDecision::default();
        let offsets = groups.offsets_of(&self.group).into_iter().flat_map(|of| of.iter());
        for (topic, partition, _) in offsets {
            if decision.records.len() == RECORDS_PER_DECISION_MAX {
                return decision;
            }
            decision.records.push(GroupRecord::Durable(DurableRecord::OffsetGone {
                group: self.group.clone(),
                topic: topic.clone(),
                partition,
            }));
        }
        let group = self.group.clone();
        decision.records.push(GroupRecord::Durable(DurableRecord::GroupGone { group }));
        decision.answers.push((self.token, Answer::DeleteGroup(Ok(()))));
        decision
    }
}
