//! A member's next step towards its target assignment.
//!
//! ```text
//! state          what the member has to give back      what others still have     next
//! Stable,        something that it still owns          –                          Unrevoked, same epoch
//! Unreleased     nothing, or it owns none of it        something                  Unreleased, target's epoch
//!                nothing, or it owns none of it        nothing                    Stable, target's epoch
//! Unrevoked      it still owns some of it              –                          waits
//!                it owns none of it                    –                          as from Stable
//! ```
//!
//! A partition that one member has, or has yet to give back, goes to nobody else: that is the promise of the
//! protocol.

use alloc::rc::Rc;

use protocol::{PartitionIndex, Str, TopicId};

use super::{
    ConsumerPart, CurrentAssignment, MemberState, OwnedPartitions, PartitionSet,
    StoredConsumerMember,
    change::ConsumerChange,
    heartbeat::Listed,
    partitions::{Owned, split},
};
use crate::group::{Timer, answer::ConsumerHeartbeatError};

/// What a step depends on.
struct Step<'a> {
    current: &'a CurrentAssignment,
    target: &'a PartitionSet,
    target_epoch: i32,
    /// What the member says that it owns; `None`: as it last said.
    owned: Option<&'a Listed>,
}

impl ConsumerChange<'_> {
    /// Records the member's next step and answers what it has then. It is the last that a heartbeat
    /// decides about the group.
    pub(super) fn reconcile(
        &mut self,
        id: &Str,
        said: &StoredConsumerMember,
        subscription_has_changed: bool,
        owned: Option<&Listed>,
    ) -> Result<Rc<CurrentAssignment>, ConsumerHeartbeatError> {
        let current = self.group.member(id).map(|member| member.current()).unwrap_or_default();
        let target_epoch = self.group.assignment_epoch();
        if !subscription_has_changed && current.is_reconciled_to(target_epoch) {
            return Ok(current);
        }
        let target = self.target_of(id);
        let step = Step { current: &current, target: &target, target_epoch, owned };
        let Some(next) = self.next_of(&step, said, subscription_has_changed)? else {
            return Ok(current);
        };
        let next = match next == *current {
            true => return Ok(current),
            false => Rc::new(next),
        };
        let (member, value) = (id.clone(), Some(Rc::clone(&next)));
        self.write_last(ConsumerPart::Current { member, value });
        // Members of the classic protocol have timers of their own.
        if said.classic.is_none() {
            let timer = Timer::Revocation { member: id.clone() };
            match next.state {
                MemberState::UnrevokedPartitions => self.set_timer_in(timer, said.rebalance_ms()),
                _ => self.set_timer(timer, None),
            }
        }
        Ok(next)
    }

    /// `None`: it stays where it is.
    fn next_of(
        &self,
        step: &Step<'_>,
        said: &StoredConsumerMember,
        subscription_has_changed: bool,
    ) -> Result<Option<CurrentAssignment>, ConsumerHeartbeatError> {
        let current = step.current;
        match current.state {
            MemberState::Stable if current.epoch != step.target_epoch => {
                Ok(Some(self.towards_target(step, said, current.epoch)))
            }
            MemberState::UnreleasedPartitions => {
                Ok(Some(self.towards_target(step, said, current.epoch)))
            }
            MemberState::UnrevokedPartitions if !step.still_owns(&current.revoking) => {
                Ok(Some(self.towards_target(step, said, current.epoch)))
            }
            MemberState::Stable | MemberState::UnrevokedPartitions => {
                Ok(subscription_has_changed.then(|| self.without_unsubscribed(step, said)))
            }
            MemberState::Unknown if step.owned.is_some_and(<[_]>::is_empty) => {
                Ok(Some(self.towards_target(step, said, step.target_epoch)))
            }
            MemberState::Unknown => Err(ConsumerHeartbeatError::FencedMemberEpoch),
        }
    }

    fn towards_target(
        &self,
        step: &Step<'_>,
        said: &StoredConsumerMember,
        epoch: i32,
    ) -> CurrentAssignment {
        let current = step.current;
        let (mut assigned, mut revoking) = <(OwnedPartitions, OwnedPartitions)>::default();
        let mut gained = OwnedPartitions::default();
        let mut waits = false;
        let mut visit = |topic: TopicId, target: &[PartitionIndex]| {
            let target = if self.is_subscribed(said, topic) { target } else { &[] };
            let split = split(current.assigned.of_topic(topic), target);
            assigned.add(topic, split.kept);
            revoking.add(topic, split.lost);
            let wanted = split.gained.len();
            let is_free = |partition: &PartitionIndex| {
                self.group.is_free(topic, *partition)
                    || current.revoking.contains(topic, *partition)
            };
            let free = split.gained.into_iter().filter(is_free);
            let free: alloc::vec::Vec<Owned> = free.map(|at| (at, step.target_epoch)).collect();
            waits |= free.len() < wanted;
            gained.add(topic, free);
        };
        step.target.iter().for_each(|(topic, partitions)| visit(topic, partitions));
        let elsewhere = current.assigned.topics().filter(|of| step.target.of_topic(*of).is_empty());
        elsewhere.for_each(|topic| visit(topic, &[]));

        if step.still_owns(&revoking) {
            let state = MemberState::UnrevokedPartitions;
            return CurrentAssignment {
                epoch,
                previous_epoch: current.epoch,
                state,
                assigned,
                revoking,
            };
        }
        for (topic, partitions) in gained.iter() {
            assigned.add(topic, partitions.to_vec());
        }
        let state = match waits {
            true => MemberState::UnreleasedPartitions,
            false => MemberState::Stable,
        };
        let (epoch, revoking) = (step.target_epoch, OwnedPartitions::default());
        CurrentAssignment { epoch, previous_epoch: current.epoch, state, assigned, revoking }
    }

    /// What the member no longer reads it gives back at once, whatever its target says.
    fn without_unsubscribed(
        &self,
        step: &Step<'_>,
        said: &StoredConsumerMember,
    ) -> CurrentAssignment {
        let current = step.current;
        let mut assigned = current.assigned.clone();
        let mut revoking = current.revoking.clone();
        for topic in current.assigned.topics().filter(|topic| !self.is_subscribed(said, *topic)) {
            revoking.add(topic, assigned.remove_topic(topic));
        }
        if assigned == current.assigned {
            return current.clone();
        }
        let (epoch, previous_epoch) = (current.epoch, current.epoch);
        match step.still_owns(&revoking) {
            true => {
                let state = MemberState::UnrevokedPartitions;
                CurrentAssignment { epoch, previous_epoch, state, assigned, revoking }
            }
            // It has given them back already.
            false => CurrentAssignment { previous_epoch, assigned, ..current.clone() },
        }
    }
}

impl Step<'_> {
    /// The member has not said that it gave all of them back.
    fn still_owns(&self, revoking: &OwnedPartitions) -> bool {
        let Some(owned) = self.owned else { return !revoking.is_empty() };
        owned.iter().any(|(topic, partitions)| {
            partitions.iter().any(|partition| revoking.contains(*topic, *partition))
        })
    }
}
