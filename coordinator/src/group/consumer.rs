//! A group of the consumer protocol (KIP-848): the coordinator assigns, and moves each member on by itself.
//!
//! ```text
//!  subscriptions, topics change      the assignor             each member at its own heartbeats
//!  group epoch ──────────────▶ target assignment ──────────▶ gives back, then gets
//!                               (assignment epoch)            (member epoch)
//!
//!                    nothing to give back
//!   Stable ───────────────────────────────────────────▶ Stable in the target's epoch
//!     │ has to give back          has given back    ▲    │ others have not given back yet
//!     ▼                                             │    ▼
//!   UnrevokedPartitions ────────────────────────────┴─ UnreleasedPartitions
//! ```
//!
//! The state is what the records say, part by part, and counts over it. Every part is set by its own key,
//! and every count is one over all members: so records of different keys may come in any order, as they do
//! when a compacted log is loaded.
//!
//! * `part`: the records; `codec`: their bytes; `member`, `partitions`: what they hold
//! * `index`: what is counted over all members
//! * `change`: a group while a command on it is decided
//! * `heartbeat`: the request; `request`: what it may say; `membership`: who joins, comes back, is fenced
//! * `subscription`: topics and regular expressions; `pattern`: how Kafka reads those
//! * `target`: the target assignment; `assignor`: who gets what
//! * `reconcile`: one member's next step
//! * `leave`: who goes, or is fenced
//! * `convert`: from the classic protocol and back; `classic_member`: members that still speak it
//! * `offsets`: who may commit and fetch; `describe`: what operators see

pub mod assignor;
pub(super) mod change;
pub(super) mod classic_member;
mod codec;
pub(super) mod convert;
pub mod describe;
pub mod heartbeat;
mod index;
pub(super) mod leave;
pub mod member;
mod membership;
pub(super) mod offsets;
pub mod part;
pub mod partitions;
pub mod pattern;
mod reconcile;
pub mod request;
mod subscription;
mod target;

use alloc::{collections::BTreeMap, rc::Rc};

use protocol::{PartitionIndex, Str, TopicId};

pub use assignor::Assignor;
pub use member::{ConsumerMember, CurrentAssignment, MemberState, StoredConsumerMember};
pub use part::{ConsumerPart, GroupEpoch, ResolvedRegex, TargetEpoch};
pub use partitions::{OwnedPartitions, PartitionSet};

use super::describe::GroupState;
use index::Index;

/// The epoch of a group, and of its target assignment, before anything was recorded.
const FIRST_EPOCH: i32 = 1;

/// A group of the consumer protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerGroup {
    epoch: Option<GroupEpoch>,
    target_epoch: Option<TargetEpoch>,
    /// A record of an older Kafka, for which a hash stands now, is in the log.
    has_old_topics: bool,
    /// By member id.
    members: BTreeMap<Str, Rc<ConsumerMember>>,
    regexes: BTreeMap<Str, Rc<ResolvedRegex>>,
    index: Index,
    /// Known only while the group lives.
    refreshed: Refreshed,
    /// What its parts take in memory.
    bytes: usize,
}

/// What the group last saw of the cluster's topics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refreshed {
    /// Whose hash is in the group's epoch; `None`: not looked at since the log was loaded.
    pub topics_version: Option<u64>,
    /// In which its regular expressions were looked up.
    pub regex_version: Option<u64>,
    pub regex_at_ms: u64,
}

impl ConsumerGroup {
    /// Sets one part. Total: also what is not there is taken away, and parts come in any order.
    pub(super) fn apply(&mut self, part: &ConsumerPart) {
        self.bytes = self.bytes + part.bytes_in_memory() - self.bytes_of_part(part);
        match part {
            ConsumerPart::Epoch(value) => self.epoch = *value,
            ConsumerPart::TargetEpoch(value) => self.target_epoch = *value,
            ConsumerPart::OldTopics(is_there) => self.has_old_topics = *is_there,
            ConsumerPart::Regex { regex, value } => {
                match value {
                    Some(value) => drop(self.regexes.insert(regex.clone(), Rc::clone(value))),
                    None => drop(self.regexes.remove(regex)),
                };
            }
            ConsumerPart::Member { member, value } => self.change_member(member, |index, known| {
                index.change_said(member, known.said.as_deref(), value.as_deref());
                known.said.clone_from(value);
            }),
            ConsumerPart::Target { member, value } => {
                self.change_member(member, |_, known| known.target.clone_from(value));
            }
            ConsumerPart::Current { member, value } => {
                self.change_member(member, |index, known| {
                    index.change_current(known.current.as_deref(), value.as_deref());
                    known.current.clone_from(value);
                })
            }
        }
    }

    fn change_member(&mut self, id: &Str, change: impl FnOnce(&mut Index, &mut ConsumerMember)) {
        if !self.members.contains_key(id) {
            self.members.insert(id.clone(), Rc::default());
        }
        let Some(member) = self.members.get_mut(id) else { return };
        change(&mut self.index, Rc::make_mut(member));
        if member.is_nothing() {
            self.members.remove(id);
        }
    }

    pub(super) fn set_refreshed(&mut self, refreshed: Refreshed) {
        self.refreshed = refreshed;
    }

    /// No record of it is left.
    pub(super) fn is_nothing(&self) -> bool {
        self.epoch.is_none()
            && self.target_epoch.is_none()
            && !self.has_old_topics
            && self.members.is_empty()
            && self.regexes.is_empty()
    }

    pub fn epoch(&self) -> i32 {
        self.epoch.map_or(FIRST_EPOCH, |value| value.epoch)
    }

    /// Of the topics that it subscribes to; 0: there are none.
    pub fn metadata_hash(&self) -> i64 {
        self.epoch.map_or(0, |value| value.metadata_hash)
    }

    pub fn assignment_epoch(&self) -> i32 {
        self.target_epoch.map_or(FIRST_EPOCH, |value| value.epoch)
    }

    /// Beyond what any log says.
    fn next_epoch(&self) -> i32 {
        self.epoch().max(self.assignment_epoch()).max(0).saturating_add(1)
    }

    pub fn state(&self) -> GroupState {
        if self.is_empty() {
            return GroupState::Empty;
        }
        let target_epoch = self.assignment_epoch();
        if self.epoch() > target_epoch {
            return GroupState::Assigning;
        }
        let is_reconciled =
            |(_, member): (&Str, &ConsumerMember)| member.current().is_reconciled_to(target_epoch);
        match self.members().all(is_reconciled) {
            true => GroupState::Stable,
            false => GroupState::Reconciling,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.index.member_count() == 0
    }

    pub fn member_count(&self) -> usize {
        self.index.member_count()
    }

    /// In the order of their ids.
    pub fn members(&self) -> impl Iterator<Item = (&Str, &ConsumerMember)> {
        let members = self.members.iter().map(|(id, member)| (id, member.as_ref()));
        members.filter(|(_, member)| member.said.is_some())
    }

    pub fn member(&self, id: &str) -> Option<&ConsumerMember> {
        self.members.get(id).map(Rc::as_ref).filter(|member| member.said.is_some())
    }

    /// What is recorded of somebody, though it may be no member.
    #[cfg(test)]
    pub(super) fn part_of(&self, id: &str) -> &ConsumerMember {
        self.members.get(id).expect("something is recorded of it")
    }

    /// The member that has this instance id.
    pub fn of_instance(&self, instance: &str) -> Option<&Str> {
        self.index.of_instance(instance)
    }

    /// Whether a member reads the topic, by name or by a regular expression.
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        self.index.topics().contains_key(topic)
            || self.regexes.values().any(|regex| regex.has(topic))
    }

    pub fn regexes(&self) -> impl Iterator<Item = (&Str, &ResolvedRegex)> {
        self.regexes.iter().map(|(regex, resolved)| (regex, resolved.as_ref()))
    }

    /// Nobody has it, or has yet to give it back.
    pub(super) fn is_free(&self, topic: TopicId, partition: PartitionIndex) -> bool {
        self.index.owner_count(topic, partition) == 0
    }

    /// What it takes in memory, beside its name.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What is known now under the part's key.
    pub(super) fn bytes_of_part(&self, part: &ConsumerPart) -> usize {
        let of = |id: &Str| self.members.get(id);
        match part {
            ConsumerPart::Epoch(_) | ConsumerPart::OldTopics(_) | ConsumerPart::TargetEpoch(_) => 0,
            ConsumerPart::Regex { regex, .. } => {
                self.regexes.get(regex).map_or(0, |known| part::regex_bytes(regex, known))
            }
            ConsumerPart::Member { member, .. } => {
                let said = of(member).and_then(|known| known.said.as_ref());
                said.map_or(0, |said| part::said_bytes(member, said))
            }
            ConsumerPart::Target { member, .. } => {
                let target = of(member).and_then(|known| known.target.as_ref());
                target.map_or(0, |target| part::target_bytes_in_memory(member, target))
            }
            ConsumerPart::Current { member, .. } => {
                let current = of(member).and_then(|known| known.current.as_ref());
                current.map_or(0, |current| part::current_bytes(member, current))
            }
        }
    }

    /// As [`Self::bytes`], of all parts anew.
    pub(super) fn counted_bytes(&self) -> usize {
        let regexes = self.regexes.iter().map(|(regex, known)| part::regex_bytes(regex, known));
        let members = self.members.iter().map(|(id, known)| {
            let said = known.said.as_ref().map_or(0, |said| part::said_bytes(id, said));
            let target = known.target.as_ref();
            let target = target.map_or(0, |target| part::target_bytes_in_memory(id, target));
            let current = known.current.as_ref();
            said + target + current.map_or(0, |current| part::current_bytes(id, current))
        });
        regexes.sum::<usize>() + members.sum::<usize>()
    }

    /// Asserts what must hold after every decision.
    pub(super) fn invariants(&self) {
        assert!(!self.is_nothing(), "a group of which nothing is left is gone");
        assert_eq!(self.index, Index::of(self.members.iter()), "counts are of what is there");
        for (id, member) in &self.members {
            assert!(member.said.is_some(), "{id} is a member, or nothing of it is left");
        }
        assert!(self.index.no_partition_has_two_owners(), "a partition has one owner");
        if let (Some(epoch), Some(target)) = (self.epoch, self.target_epoch) {
            assert!(target.epoch <= epoch.epoch, "a target assignment is of an epoch");
        }
    }
}
