//! Records to bytes.

use alloc::vec::Vec;

use super::{ConfigTarget, LeaderEpochReason, MetadataRecord};
use crate::{
    limits::RECORD_BYTES_MAX,
    metadata::{
        broker::Broker,
        topic::{Partition, PlacementReason, Replica},
    },
};

/// The version that every record is written in.
pub(super) const VERSION: u8 = 0;

pub(super) const CLUSTER: u8 = 1;
pub(super) const BROKER: u8 = 2;
pub(super) const TOPIC: u8 = 3;
pub(super) const PARTITION: u8 = 4;
pub(super) const PARTITION_MOVED: u8 = 5;
pub(super) const LEADER_EPOCH_BUMPED: u8 = 6;
pub(super) const TOPIC_DELETED: u8 = 7;
pub(super) const TOPIC_REMOVED: u8 = 8;
pub(super) const CONFIG: u8 = 9;
pub(super) const PRODUCER_IDS: u8 = 10;
pub(super) const TOPICS_PLACED: u8 = 11;
/// A [`MetadataRecord::Config`] of a group: of a type of its own, which older versions of Corelane tell that they
/// do not know.
pub(super) const GROUP_CONFIG: u8 = 12;

pub(super) fn encode(record: &MetadataRecord) -> Vec<u8> {
    let mut to = Writer(Vec::with_capacity(128));
    to.byte(type_of(record));
    to.byte(VERSION);
    match record {
        MetadataRecord::Cluster { cluster_id } => to.text(cluster_id),
        MetadataRecord::Broker(broker) => encode_broker(broker, &mut to),
        MetadataRecord::Topic { topic, name, created } => {
            to.bytes(&topic.0);
            to.text(name);
            to.signed(created.0);
        }
        MetadataRecord::Partition { topic, partition, state } => {
            to.bytes(&topic.0);
            to.signed(partition.0.into());
            encode_partition(state, &mut to);
        }
        MetadataRecord::PartitionMoved { topic, partition, broker, shard, directory, reason } => {
            to.bytes(&topic.0);
            to.signed(partition.0.into());
            let (broker, shard, directory, reason) = (*broker, *shard, *directory, *reason);
            encode_replica(Replica { broker, shard, directory, reason }, &mut to);
        }
        MetadataRecord::LeaderEpochBumped { topic, partition, leader_epoch, reason } => {
            to.bytes(&topic.0);
            to.signed(partition.0.into());
            to.signed(leader_epoch.0.into());
            to.byte(match reason {
                LeaderEpochReason::LossAccepted => 0,
                LeaderEpochReason::UncleanStart => 1,
            });
        }
        MetadataRecord::TopicDeleted { topic } | MetadataRecord::TopicRemoved { topic } => {
            to.bytes(&topic.0);
        }
        MetadataRecord::Config { target, name, value } => {
            encode_config_target(target, &mut to);
            to.text(name);
            to.option(value.as_ref(), |value, to| to.text(value));
        }
        MetadataRecord::ProducerIds { next } => to.signed(next.0),
        MetadataRecord::TopicsPlaced { count } => to.unsigned(*count),
    }
    assert!(to.0.len() <= RECORD_BYTES_MAX, "a decided record is within its limit");
    to.0
}

fn type_of(record: &MetadataRecord) -> u8 {
    match record {
        MetadataRecord::Cluster { .. } => CLUSTER,
        MetadataRecord::Broker(_) => BROKER,
        MetadataRecord::Topic { .. } => TOPIC,
        MetadataRecord::Partition { .. } => PARTITION,
        MetadataRecord::PartitionMoved { .. } => PARTITION_MOVED,
        MetadataRecord::LeaderEpochBumped { .. } => LEADER_EPOCH_BUMPED,
        MetadataRecord::TopicDeleted { .. } => TOPIC_DELETED,
        MetadataRecord::TopicRemoved { .. } => TOPIC_REMOVED,
        MetadataRecord::Config { target: ConfigTarget::Group(_), .. } => GROUP_CONFIG,
        MetadataRecord::Config { .. } => CONFIG,
        MetadataRecord::ProducerIds { .. } => PRODUCER_IDS,
        MetadataRecord::TopicsPlaced { .. } => TOPICS_PLACED,
    }
}

fn encode_broker(broker: &Broker, to: &mut Writer) {
    to.signed(broker.id.0.into());
    to.unsigned(broker.incarnation);
    to.option(broker.rack.as_ref(), |rack, to| to.text(rack));
    to.count(broker.listeners.len());
    for listener in &broker.listeners {
        to.text(&listener.name);
        to.text(&listener.host);
        to.unsigned(listener.port.into());
    }
    to.unsigned(broker.data_shards.into());
    to.count(broker.log_directories.len());
    for directory in &broker.log_directories {
        to.bytes(&directory.id.0);
        to.text(&directory.path);
        to.unsigned(directory.free_bytes);
    }
}

fn encode_partition(partition: &Partition, to: &mut Writer) {
    to.count(partition.replicas.len());
    for replica in &partition.replicas {
        encode_replica(*replica, to);
    }
    to.count(partition.isr.len());
    for broker in &partition.isr {
        to.signed(broker.0.into());
    }
    to.option(partition.leader, |leader, to| to.signed(leader.0.into()));
    to.signed(partition.leader_epoch.0.into());
    to.unsigned(partition.partition_epoch.into());
}

fn encode_replica(replica: Replica, to: &mut Writer) {
    to.signed(replica.broker.0.into());
    to.unsigned(replica.shard.0.into());
    to.bytes(&replica.directory.0);
    match replica.reason {
        PlacementReason::Created => to.byte(0),
        PlacementReason::Moved => to.byte(1),
        PlacementReason::ShardGone { from } => {
            to.byte(2);
            to.unsigned(from.0.into());
        }
        PlacementReason::Rebalanced { from } => {
            to.byte(3);
            to.unsigned(from.0.into());
        }
    }
}

fn encode_config_target(target: &ConfigTarget, to: &mut Writer) {
    match target {
        ConfigTarget::Topic(topic) => {
            to.byte(0);
            to.bytes(&topic.0);
        }
        ConfigTarget::Broker(broker) => {
            to.byte(1);
            to.signed(broker.0.into());
        }
        ConfigTarget::BrokerDefault => to.byte(2),
        ConfigTarget::Group(group) => to.text(group),
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn unsigned(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.byte(u8::try_from(number & 0x7f).expect("seven bits") | 0x80);
            number >>= 7;
        }
        self.byte(u8::try_from(number).expect("seven bits"));
    }

    /// Zigzag: small numbers of either sign are short.
    fn signed(&mut self, number: i64) {
        self.unsigned(number.wrapping_shl(1).cast_unsigned() ^ (number >> 63).cast_unsigned());
    }

    fn count(&mut self, count: usize) {
        self.unsigned(u64::try_from(count).expect("counts fit 64 bits"));
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.bytes(text.as_bytes());
    }

    fn option<T>(&mut self, value: Option<T>, encode: impl FnOnce(T, &mut Self)) {
        match value {
            None => self.byte(0),
            Some(value) => {
                self.byte(1);
                encode(value, self);
            }
        }
    }
}
