//! Members that speak the classic protocol in a group of the consumer protocol: they join to take a step, and
//! are asked to join again whenever there is one to take.
//!
//! ```text
//! JoinGroup    the member's next step; the generation is the member's epoch, the leader is nobody
//! SyncGroup    what the member has now
//! Heartbeat    REBALANCE_IN_PROGRESS while there is a step to take
//! ```

use alloc::{collections::BTreeSet, rc::Rc, vec::Vec};

use protocol::{PartitionIndex, Str, TopicId, consumer_protocol::ConsumerProtocolSubscription};

use super::{
    ConsumerGroup, ConsumerMember, ConsumerPart, CurrentAssignment, MemberState,
    StoredConsumerMember,
    change::ConsumerChange,
    codec::sorted,
    convert::{AfterDowngrade, assignment_bytes},
    member::ClassicPart,
};
use crate::group::{
    Answer, DurableRecord, GroupDecision, Groups, Moment, Timer,
    answer::{
        ConsumerHeartbeatError, HeartbeatError, JoinError, Joined, LeaveError, SyncError, Synced,
    },
    classic::{
        heartbeat::Heartbeat,
        join::JoinGroup,
        leave::{LeaveGroup, Leaving},
        sync::SyncGroup,
    },
    describe::GroupState,
    settings::MigrationPolicy,
    subscribed::CONSUMER,
};

/// Of a group of the consumer protocol that has members.
pub(in crate::group) fn join(groups: &Groups, now: Moment, join: &JoinGroup) -> GroupDecision {
    let mut change = ConsumerChange::of(groups, &join.group, now);
    let result = match change.join(join) {
        Ok(_) if !change.fits_a_batch() => Err(JoinError::GroupIsFull),
        result => result,
    };
    match result {
        Ok(joined) => {
            change.answer(join.token, Answer::Join(Ok(joined)));
            change.decided()
        }
        Err(error) => GroupDecision::answer(join.token, Answer::Join(Err(error))),
    }
}

pub(in crate::group) fn sync(groups: &Groups, now: Moment, sync: &SyncGroup) -> GroupDecision {
    let mut change = ConsumerChange::of(groups, &sync.group, now);
    let result = change.sync(sync);
    change.answer(sync.token, Answer::Sync(result));
    change.decided()
}

pub(in crate::group) fn heartbeat(
    groups: &Groups,
    now: Moment,
    heartbeat: &Heartbeat,
) -> GroupDecision {
    let mut change = ConsumerChange::of(groups, &heartbeat.group, now);
    let result = change.beat(heartbeat);
    change.answer(heartbeat.token, Answer::Heartbeat(result));
    change.decided()
}

/// Members of both protocols are taken out this way, by operators too.
pub(in crate::group) fn leave(groups: &Groups, now: Moment, leave: &LeaveGroup) -> GroupDecision {
    let mut change = ConsumerChange::of(groups, &leave.group, now);
    let mut members = BTreeSet::new();
    let mut bytes = 0;
    let mut results = Vec::with_capacity(leave.members.len());
    for leaving in &leave.members {
        results.push(change.who_leaves(leaving).and_then(|id| {
            bytes += tombstone_bytes(&leave.group, &id);
            if !change.room_for_tombstones(members.len() + 1, bytes) {
                return Err(LeaveError::TooManyMembers);
            }
            members.insert(id);
            Ok(())
        }));
    }
    change.fence(&members);
    change.answer(leave.token, Answer::Leave(results));
    change.decided()
}

/// Of the three records of a member.
fn tombstone_bytes(group: &Str, member: &Str) -> usize {
    let (group, member) = (group.clone(), member.clone());
    let part = ConsumerPart::Member { member, value: None };
    3 * DurableRecord::Consumer { group, part }.bytes_max()
}

impl ConsumerChange<'_> {
    fn join(&mut self, join: &JoinGroup) -> Result<Joined, JoinError> {
        if self.settings().migration == MigrationPolicy::Disabled {
            return Err(JoinError::InconsistentProtocol);
        }
        let is_new = join.member.is_empty();
        let id = if is_new { join.new_member.clone() } else { self.name_of_member(&join.member) };
        if !self.has_room_for(&id, join.instance.as_ref()) {
            return Err(JoinError::GroupIsFull);
        }
        let is_known = |name: &str| self.group.index.is_known_to_all(name);
        if join.protocol_type != CONSUMER || !join.protocols.iter().any(|(name, _)| is_known(name))
        {
            return Err(JoinError::InconsistentProtocol);
        }
        let subscription = join.protocols.first().map(|(_, metadata)| metadata);
        let subscription = subscription.and_then(|of| ConsumerProtocolSubscription::parse(of).ok());
        let Some((_, subscription)) = subscription else {
            return Err(JoinError::InconsistentProtocol);
        };
        if is_new && join.instance.is_none() && join.knows_given_ids {
            return Err(JoinError::MemberIdRequired { member: id });
        }
        let replaced = self.take_instance(join, &id, is_new)?;
        let before = self.group.member(&id).and_then(|member| member.said.clone());
        let said = Rc::new(said(join, &subscription, before.as_deref()));
        self.check_said(&id, &said).map_err(join_error)?;
        let has_changed = self.subscribe(&id, &said).map_err(join_error)?;
        let owned = listed(&subscription, self);
        let protocol = said.classic.as_ref().map(ClassicPart::protocol).unwrap_or_default();
        if replaced == Replaced::TheLastConsumer
            && let Some(epoch) = self.downgrade_on_join(&id, &said, has_changed, &owned)?
        {
            return Ok(joined(id, epoch, protocol));
        }
        self.update_target();
        let current = self.reconcile(&id, &said, has_changed, Some(&owned)).map_err(join_error)?;
        self.extend_session(&id, &said);
        self.set_timer(Timer::ClassicJoin { member: id.clone() }, None);
        self.set_timer_in(Timer::ClassicSync { member: id.clone() }, said.rebalance_ms());
        Ok(joined(id, current.epoch, protocol))
    }

    /// A static member takes the place of the one before it.
    fn take_instance(
        &mut self,
        join: &JoinGroup,
        id: &Str,
        is_new: bool,
    ) -> Result<Replaced, JoinError> {
        let Some(instance) = &join.instance else { return Ok(Replaced::Nobody) };
        let before = self.group.of_instance(instance).cloned();
        let Some(before) = before else {
            return if is_new { Ok(Replaced::Nobody) } else { Err(JoinError::UnknownMember) };
        };
        if !is_new {
            return if before == *id {
                Ok(Replaced::Nobody)
            } else {
                Err(JoinError::FencedInstance)
            };
        }
        let is_consumer = self.group.member(&before).is_some_and(|of| !of.is_classic());
        let classic_count = self.group.index.classic_count();
        let was_last = is_consumer && classic_count + 1 == self.group.member_count();
        self.replace_member(&before, id);
        Ok(if was_last { Replaced::TheLastConsumer } else { Replaced::Another })
    }

    /// The epoch in which the member goes on, where the group is of the classic protocol now.
    fn downgrade_on_join(
        &mut self,
        id: &Str,
        said: &StoredConsumerMember,
        has_changed: bool,
        owned: &[(TopicId, Vec<PartitionIndex>)],
    ) -> Result<Option<i32>, JoinError> {
        let is_too_large = self.group.member_count() > self.groups.settings.members_max;
        if !self.settings().migration.downgrades() || is_too_large {
            return Ok(None);
        }
        let mut epoch = self.group.member(id).map_or(0, ConsumerMember::epoch);
        let mut then = AfterDowngrade::Rebalance;
        if !has_changed {
            let current = self.reconcile(id, said, false, Some(owned)).map_err(join_error)?;
            epoch = current.epoch;
            self.see(&ConsumerPart::Current { member: id.clone(), value: Some(current) });
            if self.group.state() == GroupState::Stable {
                then = AfterDowngrade::GoOn;
            }
        }
        Ok(self.downgrade(&BTreeSet::new(), then).then_some(epoch))
    }

    fn sync(&mut self, sync: &SyncGroup) -> Result<Synced, SyncError> {
        self.check_member(&sync.member, sync.instance.as_ref())?;
        let group = Rc::clone(&self.group);
        let (id, said, current) =
            group.classic_member(&sync.member).ok_or(SyncError::UnknownMember)?;
        if current.epoch != sync.generation {
            return Err(SyncError::IllegalGeneration);
        }
        let classic = said.classic.clone().unwrap_or_default();
        let protocol = classic.protocol();
        if sync.protocol_type.as_ref().is_some_and(|of| *of != CONSUMER)
            || sync.protocol.as_ref().is_some_and(|of| *of != protocol)
        {
            return Err(SyncError::InconsistentProtocol);
        }
        // While it gives back it has joined already: the next step is asked for after that.
        if group.assignment_epoch() > current.epoch
            && current.state != MemberState::UnrevokedPartitions
        {
            self.expect_join(id, said);
            return Err(SyncError::RebalanceInProgress);
        }
        let assigned = current.assigned.listed();
        let assigned = assigned.iter().map(|(topic, partitions)| (*topic, partitions.as_slice()));
        let metadata = classic.protocols.first().map(|(_, metadata)| metadata);
        let assignment = metadata.and_then(|of| assignment_bytes(assigned, self.topics(), of));
        self.set_timer(Timer::ClassicSync { member: id.clone() }, None);
        self.extend_session(id, said);
        Ok(Synced {
            protocol_type: Str::from(CONSUMER),
            protocol,
            assignment: assignment.unwrap_or_default(),
        })
    }

    fn beat(&mut self, heartbeat: &Heartbeat) -> Result<(), HeartbeatError> {
        self.check_member(&heartbeat.member, heartbeat.instance.as_ref())?;
        let group = Rc::clone(&self.group);
        let (id, said, current) =
            group.classic_member(&heartbeat.member).ok_or(HeartbeatError::UnknownMember)?;
        if current.epoch != heartbeat.generation {
            return Err(HeartbeatError::IllegalGeneration);
        }
        self.extend_session(id, said);
        let has_a_step = current.epoch < group.assignment_epoch()
            || current.state == MemberState::UnrevokedPartitions
            || (current.state == MemberState::UnreleasedPartitions && !group.waits_for_others(id));
        if !has_a_step {
            return Ok(());
        }
        self.expect_join(id, said);
        Err(HeartbeatError::RebalanceInProgress)
    }

    /// The member was asked to join, and has so long to do it.
    fn expect_join(&mut self, id: &Str, said: &StoredConsumerMember) {
        let timer = Timer::ClassicJoin { member: id.clone() };
        self.set_timer_if_absent(timer, said.rebalance_ms());
    }

    fn who_leaves(&self, leaving: &Leaving) -> Result<Str, LeaveError> {
        match &leaving.instance {
            Some(instance) if leaving.member.is_empty() => {
                self.group.of_instance(instance).cloned().ok_or(LeaveError::UnknownMember)
            }
            instance => {
                self.check_member(&leaving.member, instance.as_ref())?;
                Ok(self.name_of_member(&leaving.member))
            }
        }
    }
}

/// Whose place a member took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Replaced {
    Nobody,
    Another,
    /// The last one that spoke the consumer protocol.
    TheLastConsumer,
}

fn joined(member: Str, epoch: i32, protocol: Str) -> Joined {
    Joined {
        generation: epoch,
        protocol_type: Str::from(CONSUMER),
        protocol,
        leader: Str::default(),
        member,
        skips_assignment: false,
        members: Vec::new(),
    }
}

/// What a member of the classic protocol can be told.
fn join_error(error: ConsumerHeartbeatError) -> JoinError {
    match error {
        ConsumerHeartbeatError::FencedMemberEpoch => JoinError::UnknownMember,
        ConsumerHeartbeatError::OutOfMemory => JoinError::OutOfMemory,
        // It has no regular expression, and its request was checked: what is left is its size.
        ConsumerHeartbeatError::Invalid(_)
        | ConsumerHeartbeatError::UnsupportedAssignor
        | ConsumerHeartbeatError::UnknownGroup
        | ConsumerHeartbeatError::TooManyGroups
        | ConsumerHeartbeatError::GroupIsFull
        | ConsumerHeartbeatError::UnknownMember
        | ConsumerHeartbeatError::FencedInstance
        | ConsumerHeartbeatError::UnreleasedInstance
        | ConsumerHeartbeatError::InvalidRegularExpression
        | ConsumerHeartbeatError::GroupTooLarge => JoinError::GroupIsFull,
    }
}

fn said(
    join: &JoinGroup,
    subscription: &ConsumerProtocolSubscription,
    before: Option<&StoredConsumerMember>,
) -> StoredConsumerMember {
    let before = before.cloned().unwrap_or_default();
    let rack = subscription.rack_id.as_ref().map(Str::detached);
    StoredConsumerMember {
        instance: join.instance.as_ref().map(Str::detached).or(before.instance),
        rack: rack.or(before.rack),
        client_id: join.client_id.detached(),
        client_host: join.client_host.detached(),
        topics: sorted(subscription.topics.iter().map(Str::detached)),
        regex: Str::default(),
        rebalance_timeout_ms: join.rebalance_timeout_ms,
        assignor: before.assignor,
        classic: Some(ClassicPart {
            session_timeout_ms: join.session_timeout_ms,
            protocols: join.detached_protocols(),
        }),
    }
}

/// What the member owns, of topics that are there.
fn listed(
    subscription: &ConsumerProtocolSubscription,
    change: &ConsumerChange<'_>,
) -> Vec<(TopicId, Vec<PartitionIndex>)> {
    let of_topic = |of: &protocol::consumer_protocol::TopicPartition| {
        let topic = change.topics().by_name(&of.topic)?;
        let partitions = of.partitions.iter().map(|partition| PartitionIndex(*partition));
        Some((topic.id, partitions.collect()))
    };
    subscription.owned_partitions.iter().filter_map(of_topic).collect()
}

impl ConsumerGroup {
    /// One that speaks the classic protocol.
    fn classic_member(
        &self,
        id: &str,
    ) -> Option<(&Str, &StoredConsumerMember, Rc<CurrentAssignment>)> {
        let (id, member) = self.members.get_key_value(id)?;
        let said = member.said.as_deref().filter(|said| said.classic.is_some())?;
        Some((id, said, member.current()))
    }

    /// Somebody still has what the member is to get.
    fn waits_for_others(&self, id: &str) -> bool {
        let Some(member) = self.member(id) else { return false };
        let current = member.current();
        let target = member.target.iter().flat_map(|target| target.iter());
        target.into_iter().any(|(topic, partitions)| {
            let is_missing =
                |partition: &&PartitionIndex| !current.assigned.contains(topic, **partition);
            let mut missing = partitions.iter().filter(is_missing);
            missing.any(|partition| !self.is_free(topic, *partition))
        })
    }
}
