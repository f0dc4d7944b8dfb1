//! Topics and partitions as the cluster sees them: who leads, who replicates, and which shard owns
//! each replica.

use alloc::{collections::BTreeMap, vec::Vec};

use protocol::{BrokerId, LeaderEpoch, PartitionIndex, Str, TopicId};

use super::{
    WallMillis,
    broker::{LogDirectoryId, ShardId},
};
use crate::topic_config::Overrides;

/// A topic by the name or the id that a client gave.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TopicSelector {
    Name(Str),
    Id(TopicId),
}

/// A topic, live or being deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub(crate) id: TopicId,
    pub(crate) name: Str,
    pub(crate) created: WallMillis,
    /// By partition index, dense from 0.
    pub(crate) partitions: Vec<Partition>,
    /// What was set for this topic; all else is default.
    pub(crate) configs: Overrides,
}

impl Topic {
    pub fn id(&self) -> TopicId {
        self.id
    }

    pub fn name(&self) -> &Str {
        &self.name
    }

    pub fn created(&self) -> WallMillis {
        self.created
    }

    pub fn configs(&self) -> &Overrides {
        &self.configs
    }

    /// All partitions, in order of their index from 0.
    pub fn partitions(&self) -> &[Partition] {
        &self.partitions
    }

    pub fn partition(&self, index: PartitionIndex) -> Option<&Partition> {
        self.partitions.get(usize::try_from(index.0).ok()?)
    }

    pub(crate) fn partition_mut(&mut self, index: PartitionIndex) -> Option<&mut Partition> {
        self.partitions.get_mut(usize::try_from(index.0).ok()?)
    }

    pub(crate) fn indexed(&self) -> impl Iterator<Item = (PartitionIndex, &Partition)> {
        (0..).map(PartitionIndex).zip(&self.partitions)
    }
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// In order of preference. Invariant: brokers differ; never empty.
    pub replicas: Vec<Replica>,
    /// Invariant: a subset of the replicas' brokers.
    pub isr: Vec<BrokerId>,
    /// Invariant: in sync.
    pub leader: Option<BrokerId>,
    /// Grows with every new leadership, and where records may have been lost.
    pub leader_epoch: LeaderEpoch,
    /// Counts the changes of this partition's state.
    pub partition_epoch: u32,
}

impl Partition {
    /// The replica on a broker: its owner there.
    pub fn replica_on(&self, broker: BrokerId) -> Option<&Replica> {
        self.replicas.iter().find(|replica| replica.broker == broker)
    }

    pub(crate) fn replica_on_mut(&mut self, broker: BrokerId) -> Option<&mut Replica> {
        self.replicas.iter_mut().find(|replica| replica.broker == broker)
    }
}

/// One copy of a partition, and the one shard and log directory of its broker that own it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replica {
    pub broker: BrokerId,
    pub shard: ShardId,
    pub directory: LogDirectoryId,
    pub reason: PlacementReason,
}

/// Why a replica lives on its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlacementReason {
    /// It was created there, for balance.
    Created,
    /// An operator moved it there; balancing leaves it.
    Moved,
    /// Its former shard is no more.
    ShardGone { from: ShardId },
    /// The number of shards changed, and it was moved for balance.
    Rebalanced { from: ShardId },
}

/// Partitions of one topic per shard.
pub(crate) type TopicLoad = BTreeMap<(BrokerId, ShardId), u32>;

impl Topic {
    /// How this topic's replicas are spread over shards.
    pub(crate) fn load(&self) -> TopicLoad {
        let mut load = TopicLoad::new();
        for replica in self.partitions.iter().flat_map(|partition| &partition.replicas) {
            *load.entry((replica.broker, replica.shard)).or_default() += 1;
        }
        load
    }
}
