//! Who joins, comes back, or is somebody else: the checks of a heartbeat before it changes anything.

use alloc::rc::Rc;

use protocol::Str;

use super::{
    ConsumerPart, StoredConsumerMember,
    change::ConsumerChange,
    heartbeat::Listed,
    member::{CurrentAssignment, STATIC_LEAVE_EPOCH},
    request::{ConsumerHeartbeat, JOIN_EPOCH},
};
use crate::{
    group::answer::{ConsumerHeartbeatError, NotAMember},
    limits::{CONSUMER_MEMBER_BYTES_MAX, GROUP_MEMBERS_MAX, GROUP_SAID_BYTES_MAX},
};

impl ConsumerHeartbeat {
    /// The group that is there, the one that begins, or the one that a group of the classic protocol becomes.
    pub(super) fn find_group(
        &self,
        change: &mut ConsumerChange<'_>,
    ) -> Result<(), ConsumerHeartbeatError> {
        let groups = change.groups;
        if groups.consumer(&self.group).is_some() {
            return Ok(());
        }
        if !self.joins() {
            return Err(ConsumerHeartbeatError::UnknownGroup);
        }
        if !groups.has_room_for(&self.group) {
            return Err(ConsumerHeartbeatError::TooManyGroups);
        }
        match groups.groups.get(&self.group) {
            Some(classic) => change.upgrade(classic),
            None => Ok(()),
        }
    }

    /// Members that are there have their place; so does who comes back as a static member.
    pub(super) fn check_room(
        &self,
        change: &ConsumerChange<'_>,
        id: &str,
    ) -> Result<(), ConsumerHeartbeatError> {
        match change.has_room_for(id, self.instance.as_ref()) {
            true => Ok(()),
            false => Err(ConsumerHeartbeatError::GroupIsFull),
        }
    }

    /// The member is there, or is new, or has taken the place of a static member before it.
    pub(super) fn find_member(
        &self,
        change: &mut ConsumerChange<'_>,
        id: &Str,
    ) -> Result<(), ConsumerHeartbeatError> {
        let Some(instance) = &self.instance else {
            return match change.group.member(id) {
                Some(member) => {
                    check_epoch(&member.current(), self.member_epoch, self.owned.as_deref())
                }
                None if self.joins() => Ok(()),
                None => Err(ConsumerHeartbeatError::UnknownMember),
            };
        };
        let before = change.group.of_instance(instance).cloned();
        match before {
            None if self.joins() => Ok(()),
            None => Err(ConsumerHeartbeatError::UnknownMember),
            Some(before) if self.joins() => {
                let Some(member) = change.group.member(&before) else { return Ok(()) };
                // Whoever still speaks the classic protocol is replaced without having left.
                if member.is_classic() || member.epoch() == STATIC_LEAVE_EPOCH {
                    change.replace_member(&before, id);
                    return Ok(());
                }
                // It was fenced, and comes back with what it is. (Kafka lets it wait for its own session.)
                match before == *id {
                    true => Ok(()),
                    false => Err(ConsumerHeartbeatError::UnreleasedInstance),
                }
            }
            Some(before) if before != *id => Err(ConsumerHeartbeatError::FencedInstance),
            Some(_) => {
                let current = change.group.member(id).map(|member| member.current());
                check_epoch(&current.unwrap_or_default(), self.member_epoch, self.owned.as_deref())
            }
        }
    }
}

/// A member that did not hear of its new epoch may come with the one before, while it claims nothing that it
/// has not got.
fn check_epoch(
    current: &CurrentAssignment,
    epoch: i32,
    owned: Option<&Listed>,
) -> Result<(), ConsumerHeartbeatError> {
    if epoch == JOIN_EPOCH || epoch == current.epoch {
        return Ok(());
    }
    let owns_no_more = |owned: &Listed| {
        owned.iter().all(|(topic, partitions)| {
            partitions.iter().all(|partition| current.assigned.contains(*topic, *partition))
        })
    };
    let is_late = epoch < current.epoch && epoch == current.previous_epoch;
    match is_late && owned.is_some_and(owns_no_more) {
        true => Ok(()),
        false => Err(ConsumerHeartbeatError::FencedMemberEpoch),
    }
}

impl ConsumerChange<'_> {
    /// The member's id in memory that is kept anyway; for a new one in memory of its own.
    pub(super) fn name_of_member(&self, id: &Str) -> Str {
        let known = self.group.members.get_key_value(id).map(|(known, _)| known.clone());
        known.unwrap_or_else(|| id.detached())
    }

    pub(super) fn has_room_for(&self, id: &str, instance: Option<&Str>) -> bool {
        let members_max = self.settings().members_max.min(GROUP_MEMBERS_MAX);
        instance.is_some_and(|instance| self.group.of_instance(instance).is_some())
            || self.group.member(id).is_some()
            || self.group.member_count() < members_max
    }

    /// A group keeps what its members say: not without bounds.
    pub(super) fn check_said(
        &self,
        id: &str,
        said: &StoredConsumerMember,
    ) -> Result<(), ConsumerHeartbeatError> {
        let before = self.group.member(id).and_then(|member| member.said());
        let known = before.map_or(0, |said| id.len() + said.said_bytes());
        let others = self.group.index.said_bytes() - known;
        let bytes = id.len() + said.said_bytes();
        match bytes <= CONSUMER_MEMBER_BYTES_MAX && others + bytes <= GROUP_SAID_BYTES_MAX {
            true => Ok(()),
            false => Err(ConsumerHeartbeatError::GroupIsFull),
        }
    }

    /// A static member came back under a new id: it has what the one before it had, and nobody else hears of
    /// it. The timers of the one before go.
    pub(super) fn replace_member(&mut self, before: &Str, id: &Str) {
        let Some(member) = self.group.member(before).cloned() else { return };
        self.remove_member(before);
        self.clear_timers_of(before);
        let current =
            CurrentAssignment { epoch: 0, previous_epoch: 0, ..(*member.current()).clone() };
        let (member_id, value) = (id.clone(), member.said.clone());
        self.write(ConsumerPart::Member { member: member_id, value });
        let (member_id, value) = (id.clone(), member.target.or_else(|| Some(Rc::default())));
        self.write(ConsumerPart::Target { member: member_id, value });
        let (member_id, value) = (id.clone(), Some(Rc::new(current)));
        self.write(ConsumerPart::Current { member: member_id, value });
    }

    /// Tombstones for all that is recorded of it.
    pub(super) fn remove_member(&mut self, id: &Str) {
        self.write(ConsumerPart::Current { member: id.clone(), value: None });
        self.write(ConsumerPart::Target { member: id.clone(), value: None });
        self.write(ConsumerPart::Member { member: id.clone(), value: None });
    }

    /// Who names an instance id has to be the member that has it.
    pub(super) fn check_member(&self, id: &str, instance: Option<&Str>) -> Result<(), NotAMember> {
        if let Some(instance) = instance {
            match self.group.of_instance(instance) {
                None => return Err(NotAMember::Unknown),
                Some(member) if *member != *id => return Err(NotAMember::Fenced),
                Some(_) => {}
            }
        }
        self.group.member(id).map(|_| ()).ok_or(NotAMember::Unknown)
    }
}
