//! What groups take in memory, and how much they may: all groups of a shard together have a budget.
//!
//! Bytes are counted as records are replayed, each group's by what it holds, never by looking at all of it. They
//! are estimates from above: the strings as they are, and for everything else what it takes with its places in
//! maps and timers. Who would go beyond the budget is refused before anything is decided; what a log says is
//! replayed, whatever it takes.

use bytes::Bytes;
use protocol::Str;
use protocol::consumer_protocol::ConsumerProtocolSubscription;

use super::{
    Answer, CommittedOffset, DurableRecord, GroupDecision, GroupRecord, Groups, LiveRecord, Token,
};

/// A group, in each of the maps that know it.
const GROUP_BYTES: usize = 768;
/// A member with its timers.
const MEMBER_BYTES: usize = 1_280;
/// A member id that was given, with its timer.
const GIVEN_ID_BYTES: usize = 512;
/// What a member says for a protocol.
const PROTOCOL_BYTES: usize = 96;
/// A topic of which something is known, in a map or a list, beside its name.
pub(super) const TOPIC_BYTES: usize = 128;
/// A committed offset.
const OFFSET_BYTES: usize = 192;
/// A partition that a member has or is to have.
pub(super) const PARTITION_BYTES: usize = 48;
/// A record that is kept as it is.
const APART_BYTES: usize = 160;

/// What groups may take beyond what they take now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLeft {
    /// For new members, groups and offsets.
    pub for_newcomers: usize,
    /// Also for what members say and get later on: some is kept for them, so that newcomers end nobody's
    /// membership.
    pub for_members: usize,
}

impl Default for MemoryLeft {
    fn default() -> Self {
        Self { for_newcomers: usize::MAX, for_members: usize::MAX }
    }
}

/// Whose memory a command asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsksFor {
    Newcomer,
    Member,
}

/// What a command is answered that would take more memory than there is.
#[derive(Clone, Debug, PartialEq)]
pub struct WithoutMemory {
    pub asks_for: AsksFor,
    pub token: Token,
    pub answer: Answer,
}

impl Groups {
    /// What all groups take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What they may take in addition, in the next decision.
    pub fn set_memory_left(&mut self, left: MemoryLeft) {
        self.memory_left = left;
    }

    /// What is known of one group.
    pub(super) fn bytes_of(&self, group: &str) -> usize {
        let classic = self.groups.get(group).map(|classic| classic.bytes());
        let consumers = self.consumers.get(group).map(|consumers| consumers.bytes());
        let offsets = self.offsets.get(group).map(|offsets| offsets.bytes());
        let each = [classic, consumers, offsets];
        each.into_iter().flatten().map(|bytes| GROUP_BYTES + group.len() + bytes).sum()
    }

    pub(super) fn apart_bytes(key: &Bytes, value: Option<&Bytes>) -> usize {
        value.map_or(0, |value| APART_BYTES + key.len() + value.len())
    }

    /// As [`Self::bytes`], by looking at everything.
    pub(super) fn counted_bytes(&self) -> usize {
        let ids = self.groups.keys().chain(self.consumers.keys()).chain(self.offsets.keys());
        let names: usize = ids.map(|id| GROUP_BYTES + id.len()).sum();
        let classic: usize = self.groups.values().map(|group| group.counted_bytes()).sum();
        let consumers: usize = self.consumers.values().map(|group| group.counted_bytes()).sum();
        let offsets: usize = self.offsets.values().map(|offsets| offsets.counted_bytes()).sum();
        let apart = self.apart.iter().map(|(key, value)| Self::apart_bytes(key, Some(value)));
        names + classic + consumers + offsets + apart.sum::<usize>()
    }

    /// The decision, or the refusal where it would take more than there is.
    pub(super) fn within_memory(
        &self,
        decision: GroupDecision,
        refusal: impl FnOnce() -> Option<WithoutMemory>,
    ) -> GroupDecision {
        // Most decisions add less than is there even if they replaced nothing.
        let most: usize = decision.records.iter().map(|record| self.added(record)).sum();
        if most <= self.memory_left.for_newcomers {
            return decision;
        }
        let Some(refusal) = refusal() else { return decision };
        match self.has_memory(&decision.records, refusal.asks_for) {
            true => decision,
            false => GroupDecision::answer(refusal.token, refusal.answer),
        }
    }

    pub(super) fn has_memory(&self, records: &[GroupRecord], asks_for: AsksFor) -> bool {
        let left = match asks_for {
            AsksFor::Newcomer => self.memory_left.for_newcomers,
            AsksFor::Member => self.memory_left.for_members,
        };
        let added: usize = records.iter().map(|record| self.added(record)).sum();
        let replaced: usize = records.iter().map(|record| self.replaced(record)).sum();
        added <= replaced.saturating_add(left)
    }

    /// What a record brings.
    fn added(&self, record: &GroupRecord) -> usize {
        let group_bytes = |group: &Str| GROUP_BYTES + group.len();
        match record {
            GroupRecord::Live(LiveRecord::ClassicGroup { group, value: Some(value) }) => {
                group_bytes(group) + value.bytes()
            }
            GroupRecord::Durable(DurableRecord::Offset { group, topic, value, .. }) => {
                let known = self.offsets.get(group);
                let knows_topic = known.is_some_and(|offsets| offsets.has_topic(topic));
                let of_group = if known.is_none() { group_bytes(group) } else { 0 };
                let of_topic = if knows_topic { 0 } else { TOPIC_BYTES + topic.len() };
                of_group + of_topic + value.bytes()
            }
            GroupRecord::Durable(DurableRecord::Consumer { group, part }) => {
                let is_known = self.consumers.contains_key(group);
                part.bytes_in_memory() + if is_known { 0 } else { group_bytes(group) }
            }
            _ => 0,
        }
    }

    /// What goes for it.
    fn replaced(&self, record: &GroupRecord) -> usize {
        let of_classic = |group: &Str| {
            let known = self.groups.get(group);
            known.map_or(0, |known| GROUP_BYTES + group.len() + known.bytes())
        };
        match record {
            GroupRecord::Live(LiveRecord::ClassicGroup { group, .. }) => of_classic(group),
            GroupRecord::Durable(
                DurableRecord::Offset { group, topic, partition, .. }
                | DurableRecord::OffsetGone { group, topic, partition },
            ) => {
                let known = self.offsets.get(group).and_then(|of| of.get(topic, *partition));
                known.map_or(0, CommittedOffset::bytes)
            }
            GroupRecord::Durable(DurableRecord::Consumer { group, part }) => {
                self.consumers.get(group).map_or(0, |known| known.bytes_of_part(part))
            }
            _ => 0,
        }
    }
}

impl CommittedOffset {
    pub(super) fn bytes(&self) -> usize {
        OFFSET_BYTES + self.metadata.len()
    }
}

/// A member of a group of the classic protocol.
pub(super) fn member_bytes(id: &str, member: &super::classic::Member) -> usize {
    MEMBER_BYTES
        + id.len()
        // Also by its instance.
        + 2 * member.instance.as_deref().map_or(0, str::len)
        + member.client_id.len()
        + member.client_host.len()
        + said_bytes(&member.protocols)
        + member.assignment.len()
}

pub(super) fn given_id_bytes(id: &str) -> usize {
    GIVEN_ID_BYTES + id.len()
}

/// One of the three records that are known of a member of the consumer protocol, beside what it says.
pub(super) fn consumer_member_bytes(id: &str) -> usize {
    MEMBER_BYTES / 2 + id.len()
}

pub(super) fn said_bytes(protocols: &[(Str, Bytes)]) -> usize {
    let each = protocols.iter().map(|(name, metadata)| {
        PROTOCOL_BYTES + name.len() + metadata.len() + topics_bytes(metadata)
    });
    each.sum()
}

/// What a group keeps in addition of the topics that its members subscribe to, when it comes to a generation: their
/// names. Of what cannot be read as that nothing is kept.
fn topics_bytes(metadata: &Bytes) -> usize {
    let topics = ConsumerProtocolSubscription::parse_topics(metadata).unwrap_or_default();
    topics.iter().map(|topic| TOPIC_BYTES + topic.len()).sum()
}

#[cfg(test)]
mod tests {
    use std::{vec, vec::Vec};

    use super::{Bytes, ConsumerProtocolSubscription, Str, TOPIC_BYTES, topics_bytes};

    #[test]
    fn topics_are_counted_where_they_can_be_read() {
        let topics: Vec<Str> = ["a", "bc"].map(Str::from).into();
        let said = ConsumerProtocolSubscription { topics, ..Default::default() };
        for version in 0..=3 {
            let metadata = said.to_bytes(version).unwrap();
            assert_eq!(topics_bytes(&metadata), 2 * TOPIC_BYTES + 3);
            assert_eq!(topics_bytes(&metadata.slice(..8)), 0);
        }
        assert_eq!((topics_bytes(&Bytes::new()), topics_bytes(&vec![b'z'; 1_000].into())), (0, 0));
    }
}
