//! ConsumerGroupHeartbeat: a member says what changed, and hears what it has now.
//!
//! 1. The member is created or changed; where that changes what the group reads, the group's epoch goes on.
//! 2. A group ahead of its target assignment gets a new one.
//! 3. The member takes its next step towards its target.

use alloc::{rc::Rc, vec::Vec};

use protocol::{PartitionIndex, Str, TopicId};

use super::{
    change::ConsumerChange,
    codec::sorted,
    member::{CurrentAssignment, StoredConsumerMember},
    request::{ConsumerHeartbeat, JOIN_EPOCH},
};
use crate::group::{
    Answer, GroupCommand, GroupDecision, Groups, Moment,
    answer::{ConsumerHeartbeatAnswer, ConsumerHeartbeatError},
    memory::{AsksFor, WithoutMemory},
};

impl GroupCommand for ConsumerHeartbeat {
    fn decide(&self, groups: &Groups, now: Moment) -> GroupDecision {
        let mut change = ConsumerChange::of(groups, &self.group, now);
        let result = self.check(&groups.settings.consumer).and_then(|()| match self.leaves() {
            true => self.leave(&mut change),
            false => self.beat(&mut change),
        });
        let result = match result {
            Ok(_) if !change.fits_a_batch() => Err(ConsumerHeartbeatError::GroupTooLarge),
            result => result,
        };
        match result {
            Ok(answer) => {
                change.answer(self.token, Answer::ConsumerHeartbeat(Ok(answer)));
                change.decided()
            }
            Err(error) => GroupDecision::answer(self.token, Answer::ConsumerHeartbeat(Err(error))),
        }
    }

    fn without_memory(&self, groups: &Groups) -> Option<WithoutMemory> {
        let is_member = groups.consumer(&self.group).is_some_and(|group| {
            let of_instance = self.instance.as_ref().and_then(|id| group.of_instance(id));
            group.member(&self.member).is_some() || of_instance.is_some()
        });
        let asks_for = if is_member { AsksFor::Member } else { AsksFor::Newcomer };
        let answer = Answer::ConsumerHeartbeat(Err(ConsumerHeartbeatError::OutOfMemory));
        Some(WithoutMemory { asks_for, token: self.token, answer })
    }
}

impl ConsumerHeartbeat {
    fn beat(
        &self,
        change: &mut ConsumerChange<'_>,
    ) -> Result<ConsumerHeartbeatAnswer, ConsumerHeartbeatError> {
        self.find_group(change)?;
        let id = match self.member.is_empty() {
            true => self.new_member.clone(),
            false => change.name_of_member(&self.member),
        };
        self.check_room(change, &id)?;
        self.find_member(change, &id)?;

        let before = change.group.member(&id).cloned().unwrap_or_default();
        let said = Rc::new(self.updated(before.said.as_deref()));
        change.check_said(&id, &said)?;
        let has_changed = change.subscribe(&id, &said)?;
        change.update_target();
        let before = before.current();
        let current = change.reconcile(&id, &said, has_changed, self.owned.as_deref())?;
        change.extend_session(&id, &said);
        let is_told = self.member_epoch == JOIN_EPOCH
            || self.is_full()
            || before.assigned != current.assigned;
        Ok(self.told(change, id, &current, is_told))
    }

    fn told(
        &self,
        change: &ConsumerChange<'_>,
        member: Str,
        current: &CurrentAssignment,
        is_told: bool,
    ) -> ConsumerHeartbeatAnswer {
        ConsumerHeartbeatAnswer {
            member,
            member_epoch: current.epoch,
            heartbeat_interval_ms: change.heartbeat_interval_ms(),
            assignment: is_told.then(|| current.assigned.listed()),
        }
    }

    /// What the member says now, in memory of its own.
    fn updated(&self, before: Option<&StoredConsumerMember>) -> StoredConsumerMember {
        let before = before.cloned();
        let is_new = before.is_none();
        let mut said = before.unwrap_or_default();
        if is_new {
            said.rebalance_timeout_ms = -1;
        }
        let update = |known: &mut Option<Str>, now: &Option<Str>| {
            if now.is_some() && known != now {
                *known = now.as_ref().map(Str::detached);
            }
        };
        update(&mut said.instance, &self.instance);
        update(&mut said.rack, &self.rack);
        update(&mut said.assignor, &self.assignor);
        if let Some(timeout_ms) = self.rebalance_timeout_ms {
            said.rebalance_timeout_ms = timeout_ms;
        }
        if let Some(topics) = &self.topics {
            said.topics = sorted(topics.iter().map(Str::detached));
        }
        if let Some(regex) = &self.regex
            && said.regex != *regex
        {
            said.regex = regex.detached();
        }
        if said.client_id != self.client_id {
            said.client_id = self.client_id.detached();
        }
        if said.client_host != self.client_host {
            said.client_host = self.client_host.detached();
        }
        said.classic = None;
        said
    }
}

/// Partitions as a request lists them.
pub(super) type Listed = [(TopicId, Vec<PartitionIndex>)];
