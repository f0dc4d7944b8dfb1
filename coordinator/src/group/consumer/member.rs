//! One member of a consumer group: what it said, what it is to have, what it has.

use alloc::{rc::Rc, vec::Vec};

use bytes::Bytes;
use protocol::{PartitionIndex, Str, TopicId};

use super::partitions::{OwnedPartitions, PartitionSet};

/// The epoch of a static member that left and will be back.
pub const STATIC_LEAVE_EPOCH: i32 = -2;

/// What a member said of itself: one record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredConsumerMember {
    pub instance: Option<Str>,
    pub rack: Option<Str>,
    pub client_id: Str,
    pub client_host: Str,
    /// By name, sorted, without duplicates.
    pub topics: Vec<Str>,
    /// Empty: none.
    pub regex: Str,
    /// -1: it did not say.
    pub rebalance_timeout_ms: i32,
    pub assignor: Option<Str>,
    /// Of one that speaks the classic protocol.
    pub classic: Option<ClassicPart>,
}

/// What a member of the classic protocol said beyond that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassicPart {
    pub session_timeout_ms: i32,
    /// Its favourite first. Never empty.
    pub protocols: Vec<(Str, Bytes)>,
}

impl ClassicPart {
    /// The name of the protocol that the member is told to use.
    pub fn protocol(&self) -> Str {
        self.protocols.first().map(|(name, _)| name.clone()).unwrap_or_default()
    }
}

impl StoredConsumerMember {
    pub fn rebalance_ms(&self) -> u64 {
        u64::try_from(self.rebalance_timeout_ms).unwrap_or(0)
    }

    /// What it takes, beside numbers.
    pub fn said_bytes(&self) -> usize {
        let length = |text: &Option<Str>| text.as_deref().map_or(0, str::len);
        let protocols = self.classic.iter().flat_map(|classic| &classic.protocols);
        length(&self.instance)
            + length(&self.rack)
            + length(&self.assignor)
            + self.client_id.len()
            + self.client_host.len()
            + self.regex.len()
            + self.topics.iter().map(|topic| topic.len() + NAME_OVERHEAD_BYTES).sum::<usize>()
            + protocols
                .map(|(name, metadata)| name.len() + metadata.len() + NAME_OVERHEAD_BYTES)
                .sum::<usize>()
    }
}

/// Lengths of what stands in lists.
const NAME_OVERHEAD_BYTES: usize = 8;

/// Where a member stands on its way to the target assignment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemberState {
    /// It has what it is to have.
    #[default]
    Stable,
    /// It has to give partitions back, and stays in its epoch until it has.
    UnrevokedPartitions,
    /// It is in the target's epoch, and others have not given back all that it is to have.
    UnreleasedPartitions,
    /// What a later Kafka wrote.
    Unknown,
}

/// What a member has: one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrentAssignment {
    /// [`STATIC_LEAVE_EPOCH`] of a static member that is away.
    pub epoch: i32,
    /// The answer with the new epoch may have been lost: the member then comes with this one.
    pub previous_epoch: i32,
    pub state: MemberState,
    pub assigned: OwnedPartitions,
    /// To be given back; nobody else gets them before.
    pub revoking: OwnedPartitions,
}

impl Default for CurrentAssignment {
    fn default() -> Self {
        Self {
            epoch: 0,
            previous_epoch: -1,
            state: MemberState::Stable,
            assigned: OwnedPartitions::default(),
            revoking: OwnedPartitions::default(),
        }
    }
}

impl CurrentAssignment {
    pub fn is_reconciled_to(&self, target_epoch: i32) -> bool {
        self.state == MemberState::Stable && self.epoch == target_epoch
    }

    /// Since which epoch it has the partition, or had it until now.
    pub fn epoch_of(&self, topic: TopicId, partition: PartitionIndex) -> Option<i32> {
        let revoking = || self.revoking.epoch_of(topic, partition);
        self.assigned.epoch_of(topic, partition).or_else(revoking)
    }
}

/// A member's three records, each of which may be missing while a log is loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerMember {
    /// Who has said nothing is no member.
    pub(super) said: Option<Rc<StoredConsumerMember>>,
    pub(super) target: Option<Rc<PartitionSet>>,
    pub(super) current: Option<Rc<CurrentAssignment>>,
}

impl ConsumerMember {
    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    pub fn said(&self) -> Option<&Rc<StoredConsumerMember>> {
        self.said.as_ref()
    }

    pub fn target(&self) -> Option<&Rc<PartitionSet>> {
        self.target.as_ref()
    }

    pub fn current(&self) -> Rc<CurrentAssignment> {
        self.current.clone().unwrap_or_default()
    }

    pub fn epoch(&self) -> i32 {
        self.current.as_ref().map_or(0, |current| current.epoch)
    }

    pub fn is_classic(&self) -> bool {
        self.said.as_ref().is_some_and(|said| said.classic.is_some())
    }
}
