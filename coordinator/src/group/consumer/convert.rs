//! From the classic protocol and back, while members work.
//!
//! The first member of the consumer protocol that joins converts the group: everybody keeps what it has, and the
//! new assignment moves each on from there. When the last one leaves, the group is of the classic protocol
//! again, and rebalances.

use alloc::{collections::BTreeSet, rc::Rc, vec::Vec};
use core::cmp::Reverse;

use bytes::Bytes;
use protocol::{
    PartitionIndex, Str, TopicId,
    consumer_protocol::{ConsumerProtocolAssignment, ConsumerProtocolSubscription, TopicPartition},
};

use super::{
    ConsumerGroup, ConsumerPart, CurrentAssignment, GroupEpoch, MemberState, OwnedPartitions,
    PartitionSet, StoredConsumerMember, TargetEpoch, change::ConsumerChange, codec::sorted,
    member::ClassicPart,
};
use crate::{
    group::{
        Answer, ClassicGroup, ClusterTopics, DurableRecord, LiveRecord, Timer,
        answer::{ConsumerHeartbeatError, JoinError, SyncError},
        classic::{ClassicState, Member, change::Change},
    },
    limits::{CONSUMER_DECISION_RECORDS_MAX, DECISION_BYTES_MAX, GROUP_RECORD_BYTES_MAX},
};

/// A member of the classic protocol, as a member of the consumer protocol.
struct Converted {
    id: Str,
    said: StoredConsumerMember,
    has: PartitionSet,
}

impl ConsumerChange<'_> {
    /// The group of the classic protocol becomes this one. An empty one leaves nothing behind.
    pub(super) fn upgrade(&mut self, classic: &ClassicGroup) -> Result<(), ConsumerHeartbeatError> {
        if classic.state() == ClassicState::Empty {
            self.take_classic_away(classic);
            return Ok(());
        }
        let settings = self.settings();
        if !settings.migration.upgrades()
            || !classic.is_of_consumers()
            || classic.member_count() > settings.members_max
        {
            return Err(ConsumerHeartbeatError::UnknownGroup);
        }
        let members = converted(classic, self.topics());
        let members = members.ok_or(ConsumerHeartbeatError::UnknownGroup)?;
        self.take_classic_away(classic);
        self.write_converted(members, classic.generation().max(0));
        Ok(())
    }

    fn take_classic_away(&mut self, classic: &ClassicGroup) {
        for (id, member) in classic.members() {
            if let Some(joining) = member.joining {
                self.answer(joining.token, Answer::Join(Err(JoinError::RebalanceInProgress)));
            }
            if let Some(token) = member.syncing {
                self.answer(token, Answer::Sync(Err(SyncError::RebalanceInProgress)));
            }
            self.set_timer(Timer::Session { member: id.clone() }, None);
        }
        for id in classic.given_ids() {
            self.set_timer(Timer::GivenId { member: id.clone() }, None);
        }
        self.set_timer(Timer::Rebalance, None);
        let group = self.id().clone();
        self.write_live(LiveRecord::ClassicGroup { group: group.clone(), value: None });
        if classic.is_stored {
            self.write_durable(DurableRecord::GroupGone { group });
        }
    }

    fn write_converted(&mut self, members: Vec<Converted>, epoch: i32) {
        for Converted { id, said, has } in members {
            self.extend_session(&id, &said);
            let (member, value) = (id.clone(), Some(Rc::new(said)));
            self.write(ConsumerPart::Member { member, value });
            let current = CurrentAssignment {
                epoch,
                previous_epoch: epoch,
                state: MemberState::Stable,
                assigned: OwnedPartitions::since(&has, epoch),
                revoking: OwnedPartitions::default(),
            };
            let (member, value) = (id.clone(), Some(Rc::new(has)));
            self.write(ConsumerPart::Target { member, value });
            let (member, value) = (id, Some(Rc::new(current)));
            self.write(ConsumerPart::Current { member, value });
        }
        let metadata_hash = self.group.hash_of_topics(self.topics());
        self.write(ConsumerPart::Epoch(Some(GroupEpoch { epoch, metadata_hash })));
        let target = TargetEpoch { epoch, computed_at: None };
        self.write(ConsumerPart::TargetEpoch(Some(target)));
    }

    /// Tombstones for all that is recorded of the group.
    pub(in crate::group) fn write_tombstones(&mut self) {
        let group = Rc::clone(&self.group);
        for part in group.tombstones() {
            self.write(part);
        }
        for id in group.members.keys() {
            self.clear_timers_of(id);
        }
        self.set_timer(Timer::Assignment, None);
    }

    /// Whether those who would be left all speak the classic protocol, and the group is one of theirs now.
    pub(super) fn downgrade_without(&mut self, leaving: &BTreeSet<Str>) -> bool {
        let left: Vec<&Str> =
            self.group.members().map(|(id, _)| id).filter(|id| !leaving.contains(*id)).collect();
        let is_classic = |id: &Str| self.group.member(id).is_some_and(|member| member.is_classic());
        let may = self.settings().migration.downgrades();
        if !may || left.is_empty() || left.len() > self.groups.settings.members_max {
            return false;
        }
        if !left.into_iter().all(is_classic) {
            return false;
        }
        self.downgrade(leaving, AfterDowngrade::Rebalance)
    }

    /// False: the group's members do not fit together, or not into a record; it stays as it is.
    pub(super) fn downgrade(&mut self, leaving: &BTreeSet<Str>, then: AfterDowngrade) -> bool {
        let Some(mut classic) = self.group.to_classic(leaving, self.topics()) else { return false };
        classic.state_since = Some(self.now.wall);
        let (group, value) = (self.id().clone(), classic.stored());
        let stored = DurableRecord::ClassicGroup { group, value };
        if !self.has_room_to_downgrade(&stored) {
            return false;
        }
        self.write_tombstones();
        self.write_durable(stored);
        let mut change = Change::of_new(self.groups, self.id(), self.now, classic);
        change.extend_all_sessions();
        if then == AfterDowngrade::Rebalance {
            change.begin_rebalance();
        }
        self.absorb(change.decided());
        true
    }

    fn has_room_to_downgrade(&self, stored: &DurableRecord) -> bool {
        let tombstones = self.group.tombstones();
        let count = self.record_count() + tombstones.len() + 1;
        let group = self.id();
        let bytes_of = |part| DurableRecord::Consumer { group: group.clone(), part }.bytes_max();
        let bytes: usize = tombstones.into_iter().map(bytes_of).sum();
        count <= CONSUMER_DECISION_RECORDS_MAX
            && stored.bytes_max() <= GROUP_RECORD_BYTES_MAX
            && self.bytes() + bytes + stored.bytes_max() <= DECISION_BYTES_MAX
    }
}

/// What becomes of a group that is of the classic protocol again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterDowngrade {
    /// Somebody left, or reads something else.
    Rebalance,
    /// Everybody goes on with what it has.
    GoOn,
}

/// `None`: somebody's bytes cannot be read, or an assignor of its own left data that would be lost.
fn converted(classic: &ClassicGroup, topics: &ClusterTopics) -> Option<Vec<Converted>> {
    let protocol = classic.protocol().cloned().or_else(|| classic.choose_protocol())?;
    let mut members = Vec::with_capacity(classic.member_count());
    for (id, member) in classic.members() {
        let metadata = member.metadata_for(&protocol)?;
        let (_, subscription) = ConsumerProtocolSubscription::parse(metadata).ok()?;
        let assignment = assignment_of(member)?;
        members.push((id, member, subscription, assignment));
    }
    // While the leader is assigning, nobody is assigned anything: who joined said what it kept. Of two who say
    // so of one partition, the one that says so of the later generation is right.
    let is_assigning = classic.state() == ClassicState::CompletingRebalance;
    if is_assigning {
        members.sort_by_key(|(_, _, subscription, _)| Reverse(subscription.generation_id));
    }
    let mut taken = OwnedPartitions::default();
    let convert = |(id, member, subscription, assignment): (&Str, &Member, _, Vec<_>)| {
        let subscription: ConsumerProtocolSubscription = subscription;
        let listed = if is_assigning { &subscription.owned_partitions } else { &assignment };
        let has = free_of(listed, topics, &mut taken);
        let said = classic_said(member, &subscription);
        Converted { id: id.clone(), said, has }
    };
    Some(members.into_iter().map(convert).collect())
}

/// `None`: it cannot be read, or says more than partitions.
fn assignment_of(member: &Member) -> Option<Vec<TopicPartition>> {
    if member.assignment.is_empty() {
        return Some(Vec::new());
    }
    let (_, assignment) = ConsumerProtocolAssignment::parse(&member.assignment).ok()?;
    let has_more = assignment.user_data.is_some_and(|data| !data.is_empty());
    (!has_more).then_some(assignment.assigned_partitions)
}

/// Partitions that are there, and that nobody before has: an assignor of the clients may have given one
/// partition to two.
fn free_of(
    listed: &[TopicPartition],
    topics: &ClusterTopics,
    taken: &mut OwnedPartitions,
) -> PartitionSet {
    let mut has = PartitionSet::default();
    for TopicPartition { topic, partitions } in listed {
        let Some(topic) = topics.by_name(topic) else { continue };
        let partitions = partitions.iter().map(|partition| PartitionIndex(*partition));
        let free = |at: &PartitionIndex| topic.has(*at) && !taken.contains(topic.id, *at);
        has.add(topic.id, partitions.filter(free).collect());
    }
    for (topic, partitions) in has.iter() {
        taken.add(topic, partitions.iter().map(|partition| (*partition, 0)).collect());
    }
    has
}

fn classic_said(
    member: &Member,
    subscription: &ConsumerProtocolSubscription,
) -> StoredConsumerMember {
    StoredConsumerMember {
        instance: member.instance.clone(),
        rack: subscription.rack_id.as_ref().map(Str::detached),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        topics: sorted(subscription.topics.iter().map(Str::detached)),
        regex: Str::default(),
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        assignor: None,
        classic: Some(ClassicPart {
            session_timeout_ms: member.session_timeout_ms,
            protocols: member.protocols.clone(),
        }),
    }
}

impl ConsumerGroup {
    /// For all that is recorded of the group.
    pub(in crate::group) fn tombstones(&self) -> Vec<ConsumerPart> {
        let mut parts = Vec::new();
        for member in self.members.keys() {
            parts.push(ConsumerPart::Current { member: member.clone(), value: None });
            parts.push(ConsumerPart::Target { member: member.clone(), value: None });
            parts.push(ConsumerPart::Member { member: member.clone(), value: None });
        }
        for regex in self.regexes.keys() {
            parts.push(ConsumerPart::Regex { regex: regex.clone(), value: None });
        }
        parts.push(ConsumerPart::TargetEpoch(None));
        parts.push(ConsumerPart::OldTopics(false));
        parts.push(ConsumerPart::Epoch(None));
        parts
    }

    /// Stable, with what each member has, and not with what it was to have: until it joins again it reads on, and
    /// the group may be converted anew before that.
    fn to_classic(&self, leaving: &BTreeSet<Str>, topics: &ClusterTopics) -> Option<ClassicGroup> {
        let mut classic = ClassicGroup::of_consumers(self.epoch());
        for (id, member) in self.members().filter(|(id, _)| !leaving.contains(*id)) {
            let said = member.said.as_deref()?;
            let part = said.classic.as_ref()?;
            let (_, metadata) = part.protocols.first()?;
            let current = member.current();
            let mut has = PartitionSet::new(current.assigned.listed());
            for (topic, partitions) in current.revoking.listed() {
                has.add(topic, partitions);
            }
            let member = Member {
                instance: said.instance.clone(),
                client_id: said.client_id.clone(),
                client_host: said.client_host.clone(),
                rebalance_timeout_ms: said.rebalance_timeout_ms,
                session_timeout_ms: part.session_timeout_ms,
                protocols: part.protocols.clone(),
                assignment: assignment_bytes(has.iter(), topics, metadata)?,
                ..Member::default()
            };
            classic.put(id.clone(), member);
        }
        let protocol = classic.choose_protocol()?;
        classic.protocol = Some(protocol);
        classic.note_subscribed_topics();
        Some(classic)
    }
}

/// As a member of the classic protocol reads it: by names, in the version of its own metadata. `None`: the
/// metadata has no version.
pub(super) fn assignment_bytes<'a>(
    assigned: impl Iterator<Item = (TopicId, &'a [PartitionIndex])>,
    topics: &ClusterTopics,
    metadata: &Bytes,
) -> Option<Bytes> {
    let (version, _) = ConsumerProtocolSubscription::parse(metadata).ok()?;
    let named = assigned.filter_map(|(id, partitions)| {
        let topic = topics.name_of(id)?.clone();
        Some(TopicPartition { topic, partitions: partitions.iter().map(|at| at.0).collect() })
    });
    let assignment =
        ConsumerProtocolAssignment { assigned_partitions: named.collect(), user_data: None };
    let version = version.min(protocol::consumer_protocol::VERSION_MAX);
    assignment.to_bytes(version).ok()
}
