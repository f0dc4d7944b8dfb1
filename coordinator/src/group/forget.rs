//! Offsets of topics that are not there any more: nobody goes on there, whatever the groups are doing. A topic that
//! was created anew is another one, though it has the name.
//!
//! Looked for when topics are deleted, and when groups were loaded: a topic may have gone meanwhile, or before what
//! was decided then was durable.

use alloc::collections::BTreeSet;
use core::ops::Bound;

use protocol::{Str, TopicId};

use super::{CommittedOffset, DurableRecord, GroupDecision, Groups, batch::Batch};
use crate::limits::{EXPIRY_VISITS_MAX, FORGOTTEN_OFFSETS_MAX};

/// A search through all groups, in bounded steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forgetting {
    /// Of topics that were deleted since the search before: offsets there that name no topic's id are of these.
    deleted: BTreeSet<Str>,
    /// The group that it goes on with; `None`: the first.
    next: Option<Str>,
}

/// What a step found.
#[derive(Clone, Debug, PartialEq)]
pub struct Forgotten {
    pub decision: GroupDecision,
    /// What is left to do.
    pub rest: Option<Forgetting>,
    /// Groups and offsets that were looked at.
    pub visits: usize,
}

impl Forgetting {
    /// Begins anew, with one more topic that was deleted.
    #[must_use]
    pub fn and(mut self, deleted: &Str) -> Self {
        self.deleted.insert(deleted.detached());
        Self { next: None, ..self }
    }

    /// One step.
    pub fn step(mut self, groups: &Groups) -> Forgotten {
        let mut batch = Batch::default();
        let mut visits = 0_usize;
        let mut forgotten = 0_usize;
        let from = self.next.as_ref().map_or(Bound::Unbounded, Bound::Included);
        for (group, offsets) in groups.offsets.range::<Str, _>((from, Bound::Unbounded)) {
            if visits >= EXPIRY_VISITS_MAX {
                self.next = Some(group.clone());
                return Forgotten { decision: batch.decided(), rest: Some(self), visits };
            }
            visits += 1 + offsets.len();
            for (topic, partition, offset) in offsets.iter() {
                if !self.is_of_no_topic(groups, topic, offset) {
                    continue;
                }
                let (of, topic) = (group.clone(), topic.clone());
                let gone = DurableRecord::OffsetGone { group: of, topic, partition };
                if forgotten >= FORGOTTEN_OFFSETS_MAX || !batch.push(gone) {
                    self.next = Some(group.clone());
                    return Forgotten { decision: batch.decided(), rest: Some(self), visits };
                }
                forgotten += 1;
            }
        }
        Forgotten { decision: batch.decided(), rest: None, visits }
    }

    fn is_of_no_topic(&self, groups: &Groups, name: &Str, offset: &CommittedOffset) -> bool {
        match groups.topics.by_name(name) {
            None => true,
            Some(_) if offset.topic_id == TopicId::NONE => self.deleted.contains(name),
            Some(topic) => offset.topic_id != topic.id,
        }
    }
}
