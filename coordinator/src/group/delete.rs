//! DeleteGroups: an operator takes a group away, with all its offsets.

use protocol::Str;

use super::{
    Answer, ConsumerGroup, DurableRecord, GroupCommand, GroupDecision, Groups, Moment, Token,
    answer::DeleteGroupError, batch::Batch, classic::ClassicState,
};

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
        let classic = groups.get(&self.group).map(|group| group.state() == ClassicState::Empty);
        let consumers = groups.consumer(&self.group).map(ConsumerGroup::is_empty);
        match classic.or(consumers) {
            None => return refused(DeleteGroupError::UnknownGroup),
            Some(false) => return refused(DeleteGroupError::NonEmptyGroup),
            Some(true) => {}
        }
        let mut batch = Batch::default();
        let offsets = groups.offsets_of(&self.group).into_iter().flat_map(|of| of.iter());
        for (topic, partition, _) in offsets {
            let (group, topic) = (self.group.clone(), topic.clone());
            if !batch.push(DurableRecord::OffsetGone { group, topic, partition }) {
                return batch.decided();
            }
        }
        // Of offsets alone nothing is left to find: it has to be answered now.
        let is_done = batch.push_tombstones(groups, &self.group) || !groups.has_record(&self.group);
        let mut decision = batch.decided();
        if is_done {
            decision.answers.push((self.token, Answer::DeleteGroup(Ok(()))));
        }
        decision
    }
}
