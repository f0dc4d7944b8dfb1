//! Who goes: by itself, because nothing was heard of it, or because it did not give back in time.

use alloc::{collections::BTreeSet, rc::Rc, vec::Vec};

use protocol::Str;

use super::{
    ConsumerPart, CurrentAssignment, GroupEpoch, MemberState, OwnedPartitions,
    change::ConsumerChange, member::STATIC_LEAVE_EPOCH, request::ConsumerHeartbeat,
};
use crate::group::{
    Timer,
    answer::{ConsumerHeartbeatAnswer, ConsumerHeartbeatError},
};

impl ConsumerHeartbeat {
    pub(super) fn leave(
        &self,
        change: &mut ConsumerChange<'_>,
    ) -> Result<ConsumerHeartbeatAnswer, ConsumerHeartbeatError> {
        if change.groups.consumer(&self.group).is_none() {
            return Err(ConsumerHeartbeatError::UnknownGroup);
        }
        change.check_member(&self.member, self.instance.as_ref())?;
        let id = change.name_of_member(&self.member);
        if self.member_epoch == STATIC_LEAVE_EPOCH {
            change.leave_for_a_while(&id);
        } else {
            change.fence(&BTreeSet::from([id.clone()]));
        }
        Ok(ConsumerHeartbeatAnswer {
            member: id,
            member_epoch: self.member_epoch,
            heartbeat_interval_ms: 0,
            assignment: None,
        })
    }
}

impl ConsumerChange<'_> {
    /// A static member keeps its partitions until its session ends; whoever comes with its instance id gets
    /// them, and may commit for them from its first epoch on.
    fn leave_for_a_while(&mut self, id: &Str) {
        let Some(member) = self.group.member(id) else { return };
        let current = member.current();
        let away = CurrentAssignment {
            epoch: STATIC_LEAVE_EPOCH,
            assigned: current.assigned.with_epoch(0),
            revoking: OwnedPartitions::default(),
            ..(*current).clone()
        };
        let (member, value) = (id.clone(), Some(Rc::new(away)));
        self.write(ConsumerPart::Current { member, value });
        self.set_timer(Timer::Revocation { member: id.clone() }, None);
    }

    /// Takes members out: their partitions are free. A group in which only members of the classic protocol
    /// are left is one of that protocol again.
    pub(super) fn fence(&mut self, members: &BTreeSet<Str>) {
        if members.is_empty() || self.downgrade_without(members) {
            return;
        }
        let said = members.iter().filter_map(|id| self.group.member(id)?.said.clone());
        let regexes: Vec<Str> = said.map(|said| said.regex.clone()).collect();
        for id in members {
            self.remove_member(id);
            self.clear_timers_of(id);
        }
        for regex in &regexes {
            self.drop_unused_regex(regex);
        }
        let epoch = self.group.next_epoch();
        let metadata_hash = self.group.hash_of_topics(self.topics());
        self.write(ConsumerPart::Epoch(Some(GroupEpoch { epoch, metadata_hash })));
    }

    /// The log is loaded: all begin anew.
    pub(in crate::group) fn arm_all_timers(&mut self) {
        let group = Rc::clone(&self.group);
        for (id, member) in group.members() {
            let Some(said) = member.said.as_deref() else { continue };
            self.extend_session(id, said);
            let is_revoking = member.current().state == MemberState::UnrevokedPartitions;
            if is_revoking && said.classic.is_none() {
                self.set_timer_in(Timer::Revocation { member: id.clone() }, said.rebalance_ms());
            }
        }
    }

    /// One of the group's timers has come to its end.
    pub(in crate::group) fn timer_ended(&mut self, timer: &Timer) {
        match timer {
            Timer::Session { member }
            | Timer::ClassicJoin { member }
            | Timer::ClassicSync { member } => self.fence_if_there(member),
            Timer::Revocation { member } => {
                let of_member = self.group.member(member).map(|of| of.current().state);
                if of_member == Some(MemberState::UnrevokedPartitions) {
                    self.fence_if_there(member);
                }
            }
            Timer::Assignment => self.update_target_late(),
            Timer::GivenId { .. } | Timer::Rebalance => {}
        }
    }

    fn fence_if_there(&mut self, member: &Str) {
        if self.group.member(member).is_some() {
            self.fence(&BTreeSet::from([member.clone()]));
        }
    }
}
