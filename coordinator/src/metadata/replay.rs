//! Records into state: one arm per record, no decisions.
//!
//! Total: a record that does not fit the state is an error, because the log's bytes come from a
//! disk. Nothing is changed by a record that errs.

use core::fmt;

use alloc::vec::Vec;

use protocol::{BrokerId, LeaderEpoch, PartitionIndex, ProducerId, Str, TopicId};

use super::{
    image::Image,
    record::{ConfigTarget, MetadataRecord},
    topic::{Partition, Replica, Topic},
    topic_name,
};
use crate::topic_config::Overrides;

/// Why a record does not fit the state before it: the log is damaged, or not this cluster's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayError {
    ClusterAlreadyFormed {
        cluster_id: Str,
    },
    TopicExists {
        topic: TopicId,
    },
    NameTaken {
        name: Str,
    },
    UnknownTopic {
        topic: TopicId,
    },
    NotDeleting {
        topic: TopicId,
    },
    UnknownPartition {
        topic: TopicId,
        partition: PartitionIndex,
    },
    PartitionOutOfOrder {
        topic: TopicId,
        expected: usize,
        actual: PartitionIndex,
    },
    NoReplicas {
        topic: TopicId,
        partition: PartitionIndex,
    },
    DuplicateReplica {
        topic: TopicId,
        partition: PartitionIndex,
        broker: BrokerId,
    },
    /// The leader is not in sync, or an in-sync replica is no replica.
    LeadershipBroken {
        topic: TopicId,
        partition: PartitionIndex,
    },
    UnknownReplica {
        topic: TopicId,
        partition: PartitionIndex,
        broker: BrokerId,
    },
    UnknownShard {
        topic: TopicId,
        partition: PartitionIndex,
        broker: BrokerId,
    },
    LeaderEpochNotHigher {
        current: LeaderEpoch,
        recorded: LeaderEpoch,
    },
    ProducerIdsBackward {
        current: ProducerId,
        recorded: ProducerId,
    },
    BrokerWithoutShards {
        broker: BrokerId,
    },
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a metadata record does not fit what came before it: {self:?}")
    }
}

impl core::error::Error for ReplayError {}

impl Image {
    pub(crate) fn replay(&mut self, record: &MetadataRecord) -> Result<(), ReplayError> {
        match record {
            MetadataRecord::Cluster { cluster_id } => {
                if let Some(cluster_id) = self.cluster_id.clone() {
                    return Err(ReplayError::ClusterAlreadyFormed { cluster_id });
                }
                self.cluster_id = Some(cluster_id.clone());
            }
            MetadataRecord::Broker(broker) => {
                if broker.data_shards == 0 {
                    return Err(ReplayError::BrokerWithoutShards { broker: broker.id });
                }
                self.brokers.insert(broker.id, broker.clone());
            }
            MetadataRecord::Topic { topic, name, created } => {
                let (id, name, created) = (*topic, name.clone(), *created);
                let (partitions, configs) = (Vec::new(), Overrides::new());
                self.add_topic(Topic { id, name, created, partitions, configs })?;
            }
            MetadataRecord::Partition { topic, partition, state } => {
                self.add_partition(*topic, *partition, state)?;
            }
            &MetadataRecord::PartitionMoved {
                topic,
                partition,
                broker,
                shard,
                directory,
                reason,
            } => {
                let replica = Replica { broker, shard, directory, reason };
                self.move_replica(topic, partition, replica)?;
            }
            &MetadataRecord::LeaderEpochBumped { topic, partition, leader_epoch, .. } => {
                self.bump_leader_epoch(topic, partition, leader_epoch)?;
            }
            &MetadataRecord::TopicDeleted { topic } => self.delete_topic(topic)?,
            &MetadataRecord::TopicRemoved { topic } => {
                self.deleting.remove(&topic).ok_or(ReplayError::NotDeleting { topic })?;
            }
            MetadataRecord::Config { target, name, value } => {
                self.set_config(target, name, value.as_ref())?;
            }
            &MetadataRecord::ProducerIds { next } => {
                let current = self.next_producer_id;
                if next <= current {
                    return Err(ReplayError::ProducerIdsBackward { current, recorded: next });
                }
                self.next_producer_id = next;
            }
            &MetadataRecord::TopicsPlaced { count } => self.topics_placed = count,
        }
        Ok(())
    }

    fn add_topic(&mut self, topic: Topic) -> Result<(), ReplayError> {
        if self.knows(topic.id) {
            return Err(ReplayError::TopicExists { topic: topic.id });
        }
        let unified = Str::from(topic_name::unify(&topic.name));
        if self.topic_ids.contains_key(&topic.name) || self.unified_names.contains_key(&unified) {
            return Err(ReplayError::NameTaken { name: topic.name });
        }
        self.topic_ids.insert(topic.name.clone(), topic.id);
        self.unified_names.insert(unified, topic.id);
        self.topics.insert(topic.id, topic);
        self.topics_placed += 1;
        Ok(())
    }

    fn add_partition(
        &mut self,
        topic: TopicId,
        partition: PartitionIndex,
        state: &Partition,
    ) -> Result<(), ReplayError> {
        for (at, replica) in state.replicas.iter().enumerate() {
            let broker = replica.broker;
            if state.replicas[..at].iter().any(|other| other.broker == broker) {
                return Err(ReplayError::DuplicateReplica { topic, partition, broker });
            }
            self.check_owner(topic, partition, replica)?;
        }
        if state.replicas.is_empty() {
            return Err(ReplayError::NoReplicas { topic, partition });
        }
        let replicated = state.isr.iter().all(|broker| state.replica_on(*broker).is_some());
        if !replicated || !state.leader.is_none_or(|leader| state.isr.contains(&leader)) {
            return Err(ReplayError::LeadershipBroken { topic, partition });
        }
        let found = self.topics.get_mut(&topic).ok_or(ReplayError::UnknownTopic { topic })?;
        let expected = found.partitions.len();
        if usize::try_from(partition.0) != Ok(expected) {
            return Err(ReplayError::PartitionOutOfOrder { topic, expected, actual: partition });
        }
        found.partitions.push(state.clone());
        Ok(())
    }

    fn move_replica(
        &mut self,
        topic: TopicId,
        partition: PartitionIndex,
        replica: Replica,
    ) -> Result<(), ReplayError> {
        self.check_owner(topic, partition, &replica)?;
        let broker = replica.broker;
        let state = self.partition_mut(topic, partition)?;
        let unknown = ReplayError::UnknownReplica { topic, partition, broker };
        *state.replica_on_mut(broker).ok_or(unknown)? = replica;
        state.partition_epoch = state.partition_epoch.saturating_add(1);
        Ok(())
    }

    fn bump_leader_epoch(
        &mut self,
        topic: TopicId,
        partition: PartitionIndex,
        recorded: LeaderEpoch,
    ) -> Result<(), ReplayError> {
        let state = self.partition_mut(topic, partition)?;
        let current = state.leader_epoch;
        if recorded <= current {
            return Err(ReplayError::LeaderEpochNotHigher { current, recorded });
        }
        state.leader_epoch = recorded;
        state.partition_epoch = state.partition_epoch.saturating_add(1);
        Ok(())
    }

    fn delete_topic(&mut self, id: TopicId) -> Result<(), ReplayError> {
        let mut topic = self.topics.remove(&id).ok_or(ReplayError::UnknownTopic { topic: id })?;
        self.topic_ids.remove(&topic.name);
        self.unified_names.remove(&*topic_name::unify(&topic.name));
        topic.configs.clear();
        self.deleting.insert(id, topic);
        Ok(())
    }

    fn set_config(
        &mut self,
        target: &ConfigTarget,
        name: &Str,
        value: Option<&Str>,
    ) -> Result<(), ReplayError> {
        let overrides = match target {
            &ConfigTarget::Topic(topic) => {
                let found = self.topics.get_mut(&topic);
                &mut found.ok_or(ReplayError::UnknownTopic { topic })?.configs
            }
            ConfigTarget::Broker(broker) => self.broker_configs.entry(*broker).or_default(),
            ConfigTarget::Group(group) => {
                self.set_group_config(group, name, value);
                return Ok(());
            }
            ConfigTarget::BrokerDefault => &mut self.broker_default_configs,
        };
        match value {
            Some(value) => overrides.insert(name.clone(), value.clone()),
            None => overrides.remove(name),
        };
        self.broker_configs.retain(|_, overrides| !overrides.is_empty());
        Ok(())
    }

    fn set_group_config(&mut self, group: &Str, name: &Str, value: Option<&Str>) {
        let overrides = self.group_configs.entry(group.clone()).or_default();
        let before = match value {
            Some(value) => overrides.insert(name.clone(), value.clone()),
            None => overrides.remove(name),
        };
        let bytes = |value: &Str| group.len() + name.len() + value.len();
        let (added, removed) = (value.map_or(0, bytes), before.as_ref().map_or(0, bytes));
        if overrides.is_empty() {
            self.group_configs.remove(group);
        }
        self.group_config_bytes = self.group_config_bytes + added - removed;
    }

    fn partition_mut(
        &mut self,
        topic: TopicId,
        partition: PartitionIndex,
    ) -> Result<&mut Partition, ReplayError> {
        let found = self.any_topic_mut(topic).ok_or(ReplayError::UnknownTopic { topic })?;
        found.partition_mut(partition).ok_or(ReplayError::UnknownPartition { topic, partition })
    }

    /// The owner is a shard that the broker registered. Its directory may be missing: then it is
    /// offline.
    fn check_owner(
        &self,
        topic: TopicId,
        partition: PartitionIndex,
        replica: &Replica,
    ) -> Result<(), ReplayError> {
        let broker = replica.broker;
        match self.brokers.get(&broker) {
            Some(registered) if registered.has_shard(replica.shard) => Ok(()),
            Some(_) | None => Err(ReplayError::UnknownShard { topic, partition, broker }),
        }
    }
}
