//! A shard's replica of the cluster metadata: replayed from the records that the controller announces.
//! What is in it is committed.

use std::collections::BTreeSet;

use coordinator::Metadata;
use coordinator::metadata::{MetadataRecord, Topic};
use engine::PartitionId;
use protocol::{BrokerId, LeaderEpoch, Offset, PartitionIndex, TopicId};

use super::mail::ShardIndex;
use super::start::NodeFacts;

#[derive(Debug)]
pub(crate) struct Replica {
    broker: BrokerId,
    /// Where the coordinator's partitions are.
    coordinator: ShardIndex,
    metadata: Metadata,
    /// Records below it are in `metadata`.
    next: Offset,
    /// Partitions whose owners' directories are not durable yet: nobody is told of their leaders.
    unusable: BTreeSet<PartitionId>,
}

/// A partition as a client addresses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) partition: PartitionId,
    pub(crate) owner: ShardIndex,
    pub(crate) leader_epoch: LeaderEpoch,
}

impl Replica {
    /// `metadata` holds all records below `next`.
    pub(crate) fn new(node: &NodeFacts, metadata: Metadata, next: Offset) -> Self {
        let (broker, coordinator) = (node.broker, node.coordinator());
        Self { broker, coordinator, metadata, next, unusable: BTreeSet::new() }
    }

    pub(crate) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Takes records at `from`; those that are in it already are passed over.
    pub(crate) fn apply(
        &mut self,
        from: Offset,
        records: &[MetadataRecord],
    ) -> Vec<MetadataRecord> {
        let known = usize::try_from(self.next.0 - from.0).unwrap_or(0).min(records.len());
        let new = &records[known..];
        for record in new {
            match record {
                MetadataRecord::Partition { topic, partition, .. } => {
                    self.unusable.insert(PartitionId { topic_id: *topic, partition: *partition });
                }
                MetadataRecord::TopicDeleted { topic } => {
                    self.unusable.retain(|partition| partition.topic_id != *topic);
                }
                _ => {}
            }
            let replayed = self.metadata.replay(record);
            assert!(replayed.is_ok(), "committed records fit: {replayed:?}");
        }
        let count = i64::try_from(records.len()).expect("a decision is bounded");
        self.next = self.next.max(Offset(from.0 + count));
        new.to_vec()
    }

    pub(crate) fn set_usable(&mut self, partitions: &[PartitionId]) {
        for partition in partitions {
            self.unusable.remove(partition);
        }
    }

    /// Whether clients may be told of the partition's leader.
    pub(crate) fn is_usable(&self, partition: PartitionId) -> bool {
        !self.unusable.contains(&partition)
    }

    pub(crate) fn topic_by_name(&self, name: &str) -> Option<&Topic> {
        self.metadata.image().topic_by_name(name)
    }

    pub(crate) fn topic(&self, id: TopicId) -> Option<&Topic> {
        self.metadata.image().topic(id)
    }

    /// Where a partition of a topic is on this node.
    pub(crate) fn route(&self, topic: &Topic, index: PartitionIndex) -> Option<Route> {
        let partition = topic.partition(index)?;
        let replica = partition.replica_on(self.broker)?;
        Some(Route {
            partition: PartitionId { topic_id: topic.id(), partition: index },
            owner: ShardIndex::of_owner(replica.shard, self.coordinator),
            leader_epoch: partition.leader_epoch,
        })
    }

    pub(crate) fn route_by_name(&self, name: &str, index: PartitionIndex) -> Option<Route> {
        self.route(self.topic_by_name(name)?, index)
    }
}
