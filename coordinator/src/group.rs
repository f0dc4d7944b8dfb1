//! The group coordinator's machine: the groups of one partition of `__consumer_offsets`, decided by
//! commands and replayed from records.
//!
//! ```text
//! command ── decide(&self) ──▶ records + answers     records ── replay(&mut self) ──▶ state
//!                                  │                     ▲
//!                                  └── durable ones: the log of a partition of __consumer_offsets
//! ```
//!
//! Records are of two kinds. A [`DurableRecord`] goes through the log, and its replay after a restart
//! is all that is left then. A [`LiveRecord`] says what only the living know (who waits for an answer,
//! until when a session lasts): it is replayed at once and never written. Answers wait until every
//! durable record decided before them is committed, also those of reads, so that nobody is told what a
//! crash could still take back, and one state is enough. When the log refuses records, the machine is
//! dropped and loaded anew.
//!
//! A group is there while it has members or a record of its own, or offsets: those of consumers that work
//! without a group's members make a group by themselves.
//!
//! * `classic`: groups of the classic protocol, whose members agree among themselves
//! * `consumer`: groups of the consumer protocol (KIP-848), whose partitions are assigned here
//! * `settings`: the properties that rule both; `topics`: what there is to read
//! * `record`: what is decided and replayed; `batch`: how much one decision writes;
//!   `codec`: its bytes in the log
//! * `answer`: what members are told, and their errors
//! * `offsets`: what a group committed; `commit`, `offset_fetch`, `offset_delete`: one file per request
//! * `delete`: groups that an operator takes away; `expiry`: what goes by itself;
//!   `forget`: what goes with its topic
//! * `describe`: what operators see; `room`: how much of it one answer holds
//! * `home`: which partition a group belongs to
//! * `subscribed`: the topics that a group of consumers reads
//! * `memory`: what all of it takes
//! * `timers`: until when sessions, rebalances and given member ids last

pub mod answer;
mod batch;
pub mod classic;
mod codec;
pub mod commit;
pub mod consumer;
pub mod delete;
pub mod describe;
pub mod expiry;
pub mod forget;
pub mod home;
pub mod memory;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offsets;
pub mod record;
mod room;
pub mod settings;
pub mod subscribed;
pub mod timers;
pub mod topics;

#[cfg(test)]
mod tests;

use alloc::{collections::BTreeMap, rc::Rc, vec::Vec};
use core::ops::Bound;

use bytes::Bytes;
use protocol::Str;

pub use answer::{Answer, Token};
pub use classic::ClassicGroup;
pub use consumer::ConsumerGroup;
pub use offsets::{CommittedOffset, Offsets};
pub use record::{DurableRecord, GroupRecord, LiveRecord};
pub use settings::{ConsumerSettings, GroupConfig, GroupSettings, MigrationPolicy};
pub use timers::{Due, Timer};
pub use topics::{ClusterTopic, ClusterTopics};

use crate::{limits::GROUPS_MAX, metadata::WallMillis};
use classic::change::Change;
use consumer::{ConsumerPart, change::ConsumerChange};
use expiry::Expiry;
use memory::{MemoryLeft, WithoutMemory};
use timers::Timers;

/// When something happens: sessions and rebalances are measured on the monotonic clock, records are
/// stamped with the wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    pub monotonic_ms: u64,
    pub wall: WallMillis,
}

/// What a command decided.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupDecision {
    /// In order. The durable ones are one atomic batch of the log.
    pub records: Vec<GroupRecord>,
    /// To be given once all durable records decided until now are committed. One command may answer
    /// many who waited: a rebalance that is complete answers all its members.
    pub answers: Vec<(Token, Answer)>,
}

impl GroupDecision {
    /// Nothing changes; somebody is told.
    fn answer(token: Token, answer: Answer) -> Self {
        Self { records: Vec::new(), answers: Vec::from([(token, answer)]) }
    }
}

/// A question to the coordinator of a group, or the passing of time.
pub trait GroupCommand {
    fn decide(&self, groups: &Groups, now: Moment) -> GroupDecision;

    /// What is said where there is too little memory for the decision; `None`: it is carried out all the same.
    fn without_memory(&self, _groups: &Groups) -> Option<WithoutMemory> {
        None
    }
}

/// The groups of one partition of `__consumer_offsets`.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    settings: GroupSettings,
    groups: BTreeMap<Str, Rc<ClassicGroup>>,
    /// Of the consumer protocol. Invariant: no group is in both.
    consumers: BTreeMap<Str, Rc<ConsumerGroup>>,
    /// What there is to read.
    topics: Rc<ClusterTopics>,
    /// Of single groups.
    configs: BTreeMap<Str, GroupConfig>,
    /// By group. Invariant: no group without offsets.
    offsets: BTreeMap<Str, Offsets>,
    /// Records of groups of other kinds, by key.
    apart: BTreeMap<Bytes, Bytes>,
    timers: Timers,
    expiry: Expiry,
    /// What a group is that has nothing but offsets.
    offsets_alone: ClassicGroup,
    /// What all of this takes.
    bytes: usize,
    memory_left: MemoryLeft,
}

impl Groups {
    pub fn new(settings: GroupSettings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// The topics of the cluster changed. Groups look at them at their members' next heartbeats.
    pub fn set_topics(&mut self, topics: Rc<ClusterTopics>) {
        self.topics = topics;
    }

    /// An operator changed a group's properties; `None`: it has none of its own any more. They count from the
    /// members' next heartbeats on.
    pub fn set_config(&mut self, group: &Str, config: Option<GroupConfig>) {
        match config {
            Some(config) => drop(self.configs.insert(group.detached(), config)),
            None => drop(self.configs.remove(group)),
        }
    }

    /// Of the classic protocol, or with nothing but offsets.
    pub fn get(&self, group: &str) -> Option<&ClassicGroup> {
        if self.consumers.contains_key(group) {
            return None;
        }
        let alone = || self.offsets.contains_key(group).then_some(&self.offsets_alone);
        self.groups.get(group).map(Rc::as_ref).or_else(alone)
    }

    /// Of the consumer protocol.
    pub fn consumer(&self, group: &str) -> Option<&ConsumerGroup> {
        self.consumers.get(group).map(Rc::as_ref)
    }

    /// A group of which only offsets are known is one too.
    pub fn contains(&self, group: &str) -> bool {
        self.has_record(group) || self.offsets.contains_key(group)
    }

    fn has_record(&self, group: &str) -> bool {
        self.groups.contains_key(group) || self.consumers.contains_key(group)
    }

    /// Whether somebody in the group may read the topic.
    fn is_subscribed_to(&self, group: &str, topic: &str) -> bool {
        match self.consumers.get(group) {
            Some(consumers) => consumers.is_subscribed_to(topic),
            None => self.get(group).is_some_and(|classic| classic.is_subscribed_to(topic)),
        }
    }

    pub fn offsets_of(&self, group: &str) -> Option<&Offsets> {
        self.offsets.get(group)
    }

    /// Records of the log that belong to groups of other kinds: how many are kept.
    pub fn apart_count(&self) -> usize {
        self.apart.len()
    }

    fn has_room_for(&self, group: &str) -> bool {
        self.groups.len() + self.consumers.len() < GROUPS_MAX || self.has_record(group)
    }

    fn has_room_for_offsets_of(&self, group: &str) -> bool {
        self.offsets.len() < GROUPS_MAX || self.offsets.contains_key(group)
    }

    /// The group's id in memory that is kept anyway; for a new one in memory of its own.
    fn name_of(&self, group: &Str) -> Str {
        let of_group = self.groups.get_key_value(group).map(|(known, _)| known);
        let of_consumers = self.consumers.get_key_value(group).map(|(known, _)| known);
        let known = of_group
            .or(of_consumers)
            .or_else(|| self.offsets.get_key_value(group).map(|(known, _)| known));
        known.cloned().unwrap_or_else(|| group.detached())
    }

    /// Of the consumer protocol, by id.
    pub fn consumers(&self) -> impl Iterator<Item = (&Str, &ConsumerGroup)> {
        self.consumers.iter().map(|(id, group)| (id, group.as_ref()))
    }

    /// Those that [`Self::get`] knows, by id.
    pub fn iter(&self) -> impl Iterator<Item = (&Str, &ClassicGroup)> {
        let after = |id: &Str| self.first_id_from(Bound::Excluded(id));
        let first = self.first_id_from(Bound::Unbounded);
        let ids = core::iter::successors(first, move |id| after(id));
        ids.filter_map(|id| self.get(id).map(|group| (id, group)))
    }

    fn first_id_from(&self, from: Bound<&str>) -> Option<&Str> {
        let of_group = self.groups.range::<str, _>((from, Bound::Unbounded)).next();
        let of_offsets = self.offsets.range::<str, _>((from, Bound::Unbounded)).next();
        let of_consumers = self.consumers.range::<str, _>((from, Bound::Unbounded)).next();
        let (of_group, of_offsets) = (of_group.map(|(id, _)| id), of_offsets.map(|(id, _)| id));
        let of_consumers = of_consumers.map(|(id, _)| id);
        of_group.into_iter().chain(of_offsets).chain(of_consumers).min()
    }

    /// When [`Due`] is to be decided next.
    pub fn deadline_ms(&self) -> Option<u64> {
        let first = self.timers.first().map(|(at, _)| at);
        first.into_iter().chain(self.expiry.at_ms).min()
    }

    /// Decides a command against this state. Changes nothing: that is the records' part.
    pub fn decide<C: GroupCommand>(&self, now: Moment, command: &C) -> GroupDecision {
        self.within_memory(command.decide(self, now), || command.without_memory(self))
    }

    /// Applies one record. Total: a tombstone of what is not there is nothing, and a record of the log
    /// stands for all that it says, in whatever order groups come.
    pub fn replay(&mut self, record: &GroupRecord) {
        let Some(group) = record.group() else { return self.apply(record) };
        let before = self.bytes_of(group);
        self.apply(record);
        self.bytes = self.bytes + self.bytes_of(group) - before;
    }

    fn apply(&mut self, record: &GroupRecord) {
        match record {
            GroupRecord::Durable(DurableRecord::ClassicGroup { group, value }) => {
                // A group that lives knows more than its record.
                let is_living =
                    self.groups.get(group).is_some_and(|known| known.is_stored_as(value));
                if !is_living {
                    let restored = ClassicGroup::restored(value);
                    self.groups.insert(group.clone(), Rc::new(restored));
                }
            }
            GroupRecord::Durable(DurableRecord::GroupGone { group }) => {
                self.groups.remove(group);
                self.timers.forget(group);
            }
            GroupRecord::Durable(DurableRecord::Offset { group, topic, partition, value }) => {
                if !self.offsets.contains_key(group) {
                    self.offsets.insert(group.clone(), Offsets::default());
                }
                if let Some(offsets) = self.offsets.get_mut(group) {
                    offsets.set(topic, *partition, value.clone());
                }
            }
            GroupRecord::Durable(DurableRecord::OffsetGone { group, topic, partition }) => {
                let Some(offsets) = self.offsets.get_mut(group) else { return };
                offsets.remove(topic, *partition);
                if offsets.is_empty() {
                    self.offsets.remove(group);
                }
            }
            GroupRecord::Durable(DurableRecord::Consumer { group, part }) => {
                self.replay_consumer(group, part);
            }
            GroupRecord::Durable(DurableRecord::Apart { key, value }) => {
                let before = match value {
                    Some(value) => self.apart.insert(key.clone(), value.clone()),
                    None => self.apart.remove(key),
                };
                self.bytes += Self::apart_bytes(key, value.as_ref());
                self.bytes -= Self::apart_bytes(key, before.as_ref());
            }
            GroupRecord::Live(LiveRecord::ClassicGroup { group, value }) => match value {
                Some(value) => drop(self.groups.insert(group.clone(), Rc::clone(value))),
                None => drop(self.groups.remove(group)),
            },
            GroupRecord::Live(LiveRecord::Refreshed { group, value }) => {
                if let Some(consumers) = self.consumers.get_mut(group) {
                    Rc::make_mut(consumers).set_refreshed(*value);
                }
            }
            GroupRecord::Live(LiveRecord::Timer { group, timer, at_ms }) => {
                self.timers.set(group, timer, *at_ms);
            }
            GroupRecord::Live(LiveRecord::Expiry(expiry)) => self.expiry = expiry.clone(),
        }
    }

    fn replay_consumer(&mut self, group: &Str, part: &ConsumerPart) {
        if !self.consumers.contains_key(group) {
            self.consumers.insert(group.clone(), Rc::default());
        }
        let Some(consumers) = self.consumers.get_mut(group) else { return };
        Rc::make_mut(consumers).apply(part);
        if consumers.is_nothing() {
            self.consumers.remove(group);
        }
    }

    /// The log is loaded: sessions of all members begin anew, so that who did not hear of the
    /// coordinator's restart has its whole time to come back.
    pub fn on_loaded(&mut self, now: Moment) {
        let sessions: Vec<(Str, Str, u64)> = self
            .groups
            .iter()
            .flat_map(|(id, group)| {
                let members = group.members();
                members.map(|(member, of)| (id.clone(), member.clone(), of.session_ms()))
            })
            .collect();
        for (group, member, session_ms) in sessions {
            let at_ms = now.monotonic_ms.saturating_add(session_ms);
            self.timers.set(&group, &Timer::Session { member }, Some(at_ms));
        }
        self.shrink_crowded_groups(now);
        self.arm_timers_of_consumers(now);
        let check_ms = self.settings.offsets_retention_check_ms;
        let at_ms = Some(now.monotonic_ms.saturating_add(check_ms));
        self.expiry = Expiry { at_ms, next: None };
    }

    /// Sessions, and the time for those who have to give partitions back.
    fn arm_timers_of_consumers(&mut self, now: Moment) {
        let ids: Vec<Str> = self.consumers.keys().cloned().collect();
        for id in ids {
            let mut change = ConsumerChange::of(self, &id, now);
            change.arm_all_timers();
            for record in change.decided().records {
                self.replay(&record);
            }
        }
    }

    /// `group.max.size` may have become less: a rebalance has room for so many, and lets the others commit
    /// before.
    fn shrink_crowded_groups(&mut self, now: Moment) {
        let is_crowded = |group: &ClassicGroup| group.member_count() > self.settings.members_max;
        let groups = self.groups.iter().filter(|(_, group)| is_crowded(group));
        let crowded: Vec<Str> = groups.map(|(id, _)| id.clone()).collect();
        for id in crowded {
            let mut change = Change::of(self, &id, now);
            change.rebalance();
            for record in change.decided().records {
                let is_live = matches!(record, GroupRecord::Live(_));
                assert!(is_live, "nobody has joined: no generation can begin");
                self.replay(&record);
            }
        }
    }

    /// Asserts what must hold after every record.
    pub fn invariants(&self) {
        for group in self.groups.values() {
            group.invariants();
        }
        for (id, group) in &self.consumers {
            group.invariants();
            assert!(!self.groups.contains_key(id), "a group is of one protocol");
        }
        self.offsets.values().for_each(Offsets::invariants);
        assert_eq!(self.bytes, self.counted_bytes(), "memory is counted as records come");
    }
}
