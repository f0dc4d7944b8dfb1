//! The records of the metadata log: what changes the state, and its bytes.
//!
//! A record is the value of one Kafka record in `__cluster_metadata-0`; a decision's records are
//! one batch. Bytes:
//!
//! ```text
//! type u8 │ version u8 │ fields of that type and version
//! ```
//!
//! Fields: numbers are LEB128 varints (signed ones zigzag), ids 16 bytes, strings and lists
//! prefixed by their varint length, options by a byte 0 or 1, enums by a byte. A version never
//! changes once it was released: a new field is a new version, and a reader refuses versions that
//! it does not know, by name.

mod decode;
mod encode;

#[cfg(test)]
mod tests;

use alloc::vec::Vec;

pub use decode::DecodeError;
use protocol::{BrokerId, LeaderEpoch, PartitionIndex, ProducerId, Str, TopicId};

use super::{
    WallMillis,
    broker::{Broker, LogDirectoryId, ShardId},
    topic::{Partition, PlacementReason},
};
use crate::limits::DECISION_BYTES_MAX;

/// One change of the metadata.
#[derive(Clone, Debug, PartialEq)]
pub enum MetadataRecord {
    /// The cluster's id; the first record of every log.
    Cluster { cluster_id: Str },
    /// A broker started.
    Broker(Broker),
    /// A topic exists; its configs and partitions follow in the same batch.
    Topic { topic: TopicId, name: Str, created: WallMillis },
    /// A partition exists; they come in order of their index.
    Partition { topic: TopicId, partition: PartitionIndex, state: Partition },
    /// A replica has another owner.
    PartitionMoved {
        topic: TopicId,
        partition: PartitionIndex,
        broker: BrokerId,
        shard: ShardId,
        directory: LogDirectoryId,
        reason: PlacementReason,
    },
    /// A leadership began anew on the same leader.
    LeaderEpochBumped {
        topic: TopicId,
        partition: PartitionIndex,
        leader_epoch: LeaderEpoch,
        reason: LeaderEpochReason,
    },
    /// A topic is no more; its owners close and remove its partitions.
    TopicDeleted { topic: TopicId },
    /// Nothing of a deleted topic is left.
    TopicRemoved { topic: TopicId },
    /// An override was set, or removed.
    Config { target: ConfigTarget, name: Str, value: Option<Str> },
    /// Producer ids below this one are taken.
    ProducerIds { next: ProducerId },
    /// Topics ever created; in snapshots, where those deleted since no longer count themselves.
    TopicsPlaced { count: u64 },
}

/// What an override belongs to: a topic by its id, so that a later topic of the same name never
/// inherits it; a group by its name, for it may not be there yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigTarget {
    Topic(TopicId),
    Group(Str),
    Broker(BrokerId),
    BrokerDefault,
}

/// Why a leader epoch grew without a new leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaderEpochReason {
    /// An operator accepted that records are lost.
    LossAccepted,
    /// A memory topic after a start that was not clean: records may be lost.
    UncleanStart,
}

/// The bytes of these records, where they are more than one decision may have.
pub(crate) fn excess_bytes(records: &[MetadataRecord]) -> Option<usize> {
    let bytes: usize = records.iter().map(|record| record.encode().len()).sum();
    (bytes > DECISION_BYTES_MAX).then_some(bytes)
}

impl MetadataRecord {
    /// The record's bytes.
    pub fn encode(&self) -> Vec<u8> {
        encode::encode(self)
    }

    /// The record of these bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode::decode(bytes)
    }
}
