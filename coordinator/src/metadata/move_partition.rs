//! An operator gives a replica another shard or another log directory of the same broker.
//!
//! The record only says who owns the replica from now on. The broker moves: it proposes this once
//! the old owner has a checkpoint and has closed the partition, and the new owner opens it once the
//! record is committed.

use alloc::{vec, vec::Vec};
use core::fmt;

use protocol::{BrokerId, PartitionIndex};

use super::{
    Command, Decision, Metadata, MetadataRecord, WallMillis,
    broker::{LogDirectoryId, ShardId},
    placement::{OfflinePlaces, Placement},
    topic::{PlacementReason, Replica, TopicSelector},
};
use crate::limits::PARTITIONS_PER_SHARD_MAX;

/// Where a replica shall live; `None` leaves that half as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct MovePartition {
    pub topic: TopicSelector,
    pub partition: PartitionIndex,
    pub broker: BrokerId,
    pub shard: Option<ShardId>,
    pub directory: Option<LogDirectoryId>,
}

/// The owner before and after; equal where nothing had to change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MovedPartition {
    pub from: Replica,
    pub to: Replica,
}

/// Declared in the order in which it is checked.
#[derive(Clone, Debug, PartialEq)]
pub enum MovePartitionError {
    UnknownTopic,
    UnknownPartition {
        partitions: usize,
    },
    NotAReplica {
        broker: BrokerId,
    },
    UnknownShard {
        shard: ShardId,
        shards: u16,
    },
    /// The partition of an internal topic: the coordinator shard alone reads it.
    BelongsToCoordinator,
    UnknownDirectory {
        directory: LogDirectoryId,
    },
    /// The directory that it would have to leave is missing, and its records with it.
    DirectoryOffline {
        directory: LogDirectoryId,
    },
    ShardFull {
        shard: ShardId,
    },
}

impl Command for MovePartition {
    type Reply = MovedPartition;
    type Error = MovePartitionError;

    fn decide(
        &self,
        metadata: &Metadata,
        _: WallMillis,
    ) -> Result<Decision<MovedPartition>, MovePartitionError> {
        let image = &metadata.image;
        let topic = image.select(&self.topic).ok_or(MovePartitionError::UnknownTopic)?;
        let unknown = MovePartitionError::UnknownPartition { partitions: topic.partitions.len() };
        let partition = topic.partition(self.partition).ok_or(unknown)?;
        let unknown = MovePartitionError::NotAReplica { broker: self.broker };
        let from = *partition.replica_on(self.broker).ok_or(unknown)?;
        let broker = image.broker(self.broker).expect("replicas live on registered brokers");
        let (shard, directory) =
            (self.shard.unwrap_or(from.shard), self.directory.unwrap_or(from.directory));
        if from.shard == ShardId::COORDINATOR && shard != from.shard {
            return Err(MovePartitionError::BelongsToCoordinator);
        }
        if shard.0 >= broker.data_shards && shard != from.shard {
            let shards = broker.data_shards;
            return Err(MovePartitionError::UnknownShard { shard, shards });
        }
        if directory != from.directory {
            if broker.log_directory(directory).is_none() {
                return Err(MovePartitionError::UnknownDirectory { directory });
            }
            if broker.log_directory(from.directory).is_none() {
                let directory = from.directory;
                return Err(MovePartitionError::DirectoryOffline { directory });
            }
        }
        let placement = Placement::new(image, &OfflinePlaces::NONE);
        if shard != from.shard && !placement.has_room(self.broker, shard) {
            return Err(MovePartitionError::ShardFull { shard });
        }
        if (shard, directory) == (from.shard, from.directory) {
            return Ok(Decision { records: Vec::new(), reply: MovedPartition { from, to: from } });
        }
        let reason = PlacementReason::Moved;
        let record = MetadataRecord::PartitionMoved {
            topic: topic.id,
            partition: self.partition,
            broker: self.broker,
            shard,
            directory,
            reason,
        };
        let to = Replica { broker: self.broker, shard, directory, reason };
        Ok(Decision { records: vec![record], reply: MovedPartition { from, to } })
    }
}

impl fmt::Display for MovePartitionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownTopic => f.write_str("there is no such topic"),
            Self::UnknownPartition { partitions } => {
                write!(f, "the topic's partitions are 0 to {}", partitions.saturating_sub(1))
            }
            Self::NotAReplica { broker } => {
                write!(f, "broker {broker} has no replica of the partition")
            }
            Self::UnknownShard { shard, shards } => {
                write!(f, "there is no shard {shard}: the broker's are 0 to {}", shards - 1)
            }
            Self::BelongsToCoordinator => f.write_str(
                "the partition belongs to the coordinator, which has a shard of its own",
            ),
            Self::UnknownDirectory { directory } => {
                write!(
                    f,
                    "the broker has no log directory {:032x}",
                    u128::from_be_bytes(directory.0)
                )
            }
            Self::ShardFull { shard } => write!(
                f,
                "shard {shard} has {PARTITIONS_PER_SHARD_MAX} partitions, and a shard takes no more"
            ),
            Self::DirectoryOffline { directory } => write!(
                f,
                "the partition's records are in the log directory {:032x}, which is missing; start \
                 the node with it first",
                u128::from_be_bytes(directory.0)
            ),
        }
    }
}

impl core::error::Error for MovePartitionError {}
