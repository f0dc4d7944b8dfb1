//! The records of a group of the consumer protocol: one for each part that changes by itself.

use alloc::{rc::Rc, vec::Vec};

use protocol::Str;

use super::{
    member::{CurrentAssignment, StoredConsumerMember},
    partitions::{OwnedPartitions, PartitionSet},
};
use crate::{group::memory, metadata::WallMillis};

/// One part of a group; `None` is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsumerPart {
    Epoch(Option<GroupEpoch>),
    /// What an older Kafka knew of the topics: only that it is there counts, for its tombstone.
    OldTopics(bool),
    Member {
        member: Str,
        value: Option<Rc<StoredConsumerMember>>,
    },
    TargetEpoch(Option<TargetEpoch>),
    Target {
        member: Str,
        value: Option<Rc<PartitionSet>>,
    },
    Current {
        member: Str,
        value: Option<Rc<CurrentAssignment>>,
    },
    Regex {
        regex: Str,
        value: Option<Rc<ResolvedRegex>>,
    },
}

/// Counts what changes the assignment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupEpoch {
    pub epoch: i32,
    /// Of the topics that the group subscribes to.
    pub metadata_hash: i64,
}

/// For which of the group's epochs the target assignment was computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TargetEpoch {
    pub epoch: i32,
    /// `None`: not known.
    pub computed_at: Option<WallMillis>,
}

/// The topics that match a regular expression.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvedRegex {
    /// Sorted.
    pub topics: Vec<Str>,
    /// Of the cluster's topics, when they were looked up.
    pub version: i64,
    pub at: WallMillis,
}

impl ResolvedRegex {
    pub fn has(&self, topic: &str) -> bool {
        self.topics.binary_search_by(|known| known.as_str().cmp(topic)).is_ok()
    }
}

/// A topic's id, the lengths of its lists and its tags.
const TOPIC_BYTES: usize = 16 + 4 * 5 + 4;
/// A partition's index.
const PARTITION_BYTES: usize = 4;
/// And the epoch in which a member got it.
const OWNED_BYTES: usize = 4 + 4;
/// The length of a string.
const STRING_BYTES: usize = 4;

impl ConsumerPart {
    /// Never less than what its bytes take, beside what every record takes.
    pub(in crate::group) fn bytes_max(&self) -> usize {
        match self {
            Self::Epoch(_) | Self::OldTopics(_) | Self::TargetEpoch(_) => 0,
            Self::Member { member, value } => {
                member.len() + value.as_ref().map_or(0, |said| said.said_bytes())
            }
            Self::Target { member, value } => {
                member.len() + value.as_ref().map_or(0, |target| target_bytes(target))
            }
            Self::Current { member, value } => {
                let owned = |of: &Rc<CurrentAssignment>| {
                    owned_bytes(&of.assigned) + owned_bytes(&of.revoking)
                };
                member.len() + value.as_ref().map_or(0, owned)
            }
            Self::Regex { regex, value } => {
                let topics = value.iter().flat_map(|of| &of.topics);
                regex.len() + topics.map(|topic| STRING_BYTES + topic.len()).sum::<usize>()
            }
        }
    }
}

impl ConsumerPart {
    /// What it takes in the group that keeps it.
    pub(in crate::group) fn bytes_in_memory(&self) -> usize {
        match self {
            Self::Epoch(_) | Self::OldTopics(_) | Self::TargetEpoch(_) => 0,
            Self::Member { member, value } => {
                value.as_ref().map_or(0, |said| said_bytes(member, said))
            }
            Self::Target { member, value } => {
                value.as_ref().map_or(0, |target| target_bytes_in_memory(member, target))
            }
            Self::Current { member, value } => {
                value.as_ref().map_or(0, |current| current_bytes(member, current))
            }
            Self::Regex { regex, value } => {
                value.as_ref().map_or(0, |resolved| regex_bytes(regex, resolved))
            }
        }
    }
}

/// Names of topics and of protocols stand in the group's counts, too.
pub(super) fn said_bytes(member: &Str, said: &StoredConsumerMember) -> usize {
    let names = said.topics.len() + said.classic.as_ref().map_or(0, |of| of.protocols.len());
    memory::consumer_member_bytes(member) + 2 * said.said_bytes() + names * memory::TOPIC_BYTES
}

pub(super) fn target_bytes_in_memory(member: &Str, target: &PartitionSet) -> usize {
    memory::consumer_member_bytes(member)
        + target.topic_count() * memory::TOPIC_BYTES
        + target.len() * memory::PARTITION_BYTES
}

/// Who has a partition stands in the group's counts, too.
pub(super) fn current_bytes(member: &Str, current: &CurrentAssignment) -> usize {
    let topics = current.assigned.topic_count() + current.revoking.topic_count();
    let partitions = current.assigned.len() + current.revoking.len();
    memory::consumer_member_bytes(member)
        + topics * 2 * memory::TOPIC_BYTES
        + partitions * memory::PARTITION_BYTES
}

pub(super) fn regex_bytes(regex: &Str, resolved: &ResolvedRegex) -> usize {
    let topics = resolved.topics.iter().map(|topic| memory::TOPIC_BYTES + topic.len());
    memory::TOPIC_BYTES + 2 * regex.len() + topics.sum::<usize>()
}

fn target_bytes(target: &PartitionSet) -> usize {
    target.topic_count() * TOPIC_BYTES + target.len() * PARTITION_BYTES
}

fn owned_bytes(owned: &OwnedPartitions) -> usize {
    owned.topic_count() * TOPIC_BYTES + owned.len() * OWNED_BYTES
}
