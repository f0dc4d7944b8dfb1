//! Every command: what it records, every error and their precedence.

mod brokers;
mod configs;
mod creation;
mod ownership;
mod random;

use alloc::{vec, vec::Vec};

use protocol::{BrokerId, LeaderEpoch, PartitionIndex, ProducerId, Str, TopicId};

use super::{
    AlterConfigs, Broker, Command, ConfigResource, CreateTopics, DeleteTopics, FormCluster,
    Listener, LogDirectory, LogDirectoryId, Metadata, MetadataRecord, OfflinePlaces, Partition,
    PlacementReason, RegisterBroker, ReplayError, ShardId, TopicSelector, WallMillis,
    create_topics::NewTopic,
    record::{ConfigTarget, LeaderEpochReason},
};
use crate::topic_config::StaticBrokerConfig;

pub(crate) const NODE: BrokerId = BrokerId(1);
const NOW: WallMillis = WallMillis(1_000);

pub(crate) fn text(text: &str) -> Str {
    Str::from(text)
}

pub(crate) fn topic_id(id: u8) -> TopicId {
    TopicId([id; 16])
}

pub(crate) fn directory(id: u8, free_bytes: u64) -> LogDirectory {
    LogDirectory { id: LogDirectoryId([id; 16]), path: text("/data"), free_bytes }
}

pub(crate) fn broker(id: i32, data_shards: u16) -> Broker {
    let listener = Listener { name: text("PLAINTEXT"), host: text("127.0.0.1"), port: 9092 };
    Broker {
        id: BrokerId(id),
        incarnation: 1,
        rack: None,
        listeners: vec![listener],
        data_shards,
        log_directories: vec![directory(1, 100)],
    }
}

pub(crate) fn registration(broker: Broker) -> RegisterBroker {
    RegisterBroker { cluster_id: text("cluster"), broker }
}

pub(crate) fn empty() -> Metadata {
    Metadata::new(NODE, StaticBrokerConfig::default())
}

/// A cluster of one node.
pub(crate) fn started(data_shards: u16) -> Metadata {
    started_with(data_shards, &[])
}

/// A cluster of one node with these lines in its configuration file.
fn started_with(data_shards: u16, entries: &[(&str, &str)]) -> Metadata {
    let entries = entries.iter().map(|(name, value)| (text(name), text(value)));
    let mut metadata = Metadata::new(NODE, StaticBrokerConfig::new(entries).unwrap());
    apply(&mut metadata, &FormCluster { cluster_id: text("cluster") }).unwrap();
    apply(&mut metadata, &registration(broker(1, data_shards))).unwrap();
    metadata
}

/// Decides and replays.
pub(crate) fn apply<C: Command>(
    metadata: &mut Metadata,
    command: &C,
) -> Result<C::Reply, C::Error> {
    let decision = metadata.decide(NOW, command)?;
    for record in &decision.records {
        metadata.replay(record).unwrap();
    }
    metadata.invariants();
    Ok(decision.reply)
}

fn new_topic(name: &str, id: u8, partitions: i32) -> NewTopic {
    let mut created = CreateTopics::automatic([(text(name), topic_id(id))]);
    let mut topic = created.topics.remove(0);
    topic.partitions = Some(partitions);
    topic
}

/// Where nothing failed.
fn creation(topics: Vec<NewTopic>) -> CreateTopics {
    CreateTopics { topics, validate_only: false, offline: OfflinePlaces::NONE }
}

fn create(metadata: &mut Metadata, name: &str, id: u8, partitions: i32) {
    let topics = vec![new_topic(name, id, partitions)];
    let reply = apply(metadata, &creation(topics)).unwrap();
    assert!(reply[0].1.is_ok(), "{reply:?}");
}

fn delete(metadata: &mut Metadata, id: u8) {
    let topics = vec![TopicSelector::Id(topic_id(id))];
    assert!(apply(metadata, &DeleteTopics { topics }).unwrap()[0].1.is_ok());
}

fn set_configs(metadata: &mut Metadata, topic: &str, configs: &[(&str, &str)]) {
    let configs = configs.iter().map(|(name, value)| (text(name), Some(text(value)))).collect();
    let resources = vec![(ConfigResource::Topic(text(topic)), configs)];
    let reply = apply(metadata, &AlterConfigs { resources, validate_only: false }).unwrap();
    assert_eq!(reply[0].1, Ok(()));
}

/// The shard of each partition of a topic.
fn shards(metadata: &Metadata, name: &str) -> Vec<u16> {
    let topic = metadata.image().topic_by_name(name).unwrap();
    topic.partitions().iter().map(|partition| partition.replicas[0].shard.0).collect()
}

/// Records about partition 1 of topic 1, or of one that is unknown, with why they do not fit.
fn unfit_partitions(state: &Partition) -> Vec<(MetadataRecord, ReplayError)> {
    let (topic, partition) = (topic_id(1), PartitionIndex(1));
    let at = |id, index, state: &Partition| MetadataRecord::Partition {
        topic: topic_id(id),
        partition: PartitionIndex(index),
        state: state.clone(),
    };
    let mut elsewhere = state.clone();
    elsewhere.replicas[0].shard.0 = 9;
    let mut leaderless = state.clone();
    leaderless.isr.clear();
    let mut twice = state.clone();
    twice.replicas.push(twice.replicas[0]);
    let nobody = Partition { replicas: vec![], leader: None, ..leaderless.clone() };
    let out_of_order =
        ReplayError::PartitionOutOfOrder { topic, expected: 1, actual: PartitionIndex(2) };
    vec![
        (at(9, 0, state), ReplayError::UnknownTopic { topic: topic_id(9) }),
        (at(1, 2, state), out_of_order),
        (at(1, 1, &elsewhere), ReplayError::UnknownShard { topic, partition, broker: NODE }),
        (at(1, 1, &leaderless), ReplayError::LeadershipBroken { topic, partition }),
        (at(1, 1, &twice), ReplayError::DuplicateReplica { topic, partition, broker: NODE }),
        (at(1, 1, &nobody), ReplayError::NoReplicas { topic, partition }),
    ]
}

/// Records about an owner or a leadership that do not fit, with why.
fn unfit_changes() -> Vec<(MetadataRecord, ReplayError)> {
    let topic = topic_id(1);
    let bumped = |index, epoch| MetadataRecord::LeaderEpochBumped {
        topic,
        partition: PartitionIndex(index),
        leader_epoch: LeaderEpoch(epoch),
        reason: LeaderEpochReason::LossAccepted,
    };
    let moved = |broker, shard| MetadataRecord::PartitionMoved {
        topic,
        partition: PartitionIndex(0),
        broker: BrokerId(broker),
        shard: ShardId(shard),
        directory: LogDirectoryId([1; 16]),
        reason: PlacementReason::Moved,
    };
    let (first, second) = (PartitionIndex(0), PartitionIndex(1));
    let zero = LeaderEpoch(0);
    vec![
        (bumped(1, 1), ReplayError::UnknownPartition { topic, partition: second }),
        (bumped(0, 0), ReplayError::LeaderEpochNotHigher { current: zero, recorded: zero }),
        (moved(1, 1), ReplayError::UnknownShard { topic, partition: first, broker: NODE }),
        (moved(2, 0), ReplayError::UnknownReplica { topic, partition: first, broker: BrokerId(2) }),
    ]
}

/// Records about topics and the cluster that do not fit, with why.
fn unfit_topics() -> Vec<(MetadataRecord, ReplayError)> {
    let topic =
        |id, name| MetadataRecord::Topic { topic: topic_id(id), name: text(name), created: NOW };
    let unknown = topic_id(9);
    let formed = ReplayError::ClusterAlreadyFormed { cluster_id: text("cluster") };
    let config = MetadataRecord::Config {
        target: ConfigTarget::Topic(unknown),
        name: text("retention.ms"),
        value: None,
    };
    let zero = ProducerId(0);
    vec![
        (MetadataRecord::Cluster { cluster_id: text("other") }, formed),
        (MetadataRecord::Broker(broker(1, 0)), ReplayError::BrokerWithoutShards { broker: NODE }),
        (topic(1, "b"), ReplayError::TopicExists { topic: topic_id(1) }),
        (topic(2, "a"), ReplayError::NameTaken { name: text("a") }),
        (
            MetadataRecord::TopicDeleted { topic: unknown },
            ReplayError::UnknownTopic { topic: unknown },
        ),
        (
            MetadataRecord::TopicRemoved { topic: topic_id(1) },
            ReplayError::NotDeleting { topic: topic_id(1) },
        ),
        (config, ReplayError::UnknownTopic { topic: unknown }),
        (
            MetadataRecord::ProducerIds { next: zero },
            ReplayError::ProducerIdsBackward { current: zero, recorded: zero },
        ),
    ]
}

#[test]
fn records_that_do_not_fit_are_errors_and_change_nothing() {
    let mut metadata = started(1);
    apply(&mut metadata, &registration(broker(2, 1))).unwrap();
    create(&mut metadata, "a", 1, 1);
    let state = metadata.image().topic(topic_id(1)).unwrap().partitions()[0].clone();
    let before = metadata.image().clone();
    let rows = [unfit_partitions(&state), unfit_changes(), unfit_topics()].concat();
    for (record, expected) in rows {
        assert_eq!(metadata.replay(&record), Err(expected));
        assert_eq!(metadata.image(), &before);
    }
}

#[test]
fn a_snapshot_keeps_topics_that_are_being_deleted_beside_their_successors() {
    let mut metadata = started(2);
    create(&mut metadata, "a.b", 1, 3);
    set_configs(&mut metadata, "a.b", &[("retention.ms", "5")]);
    delete(&mut metadata, 1);
    create(&mut metadata, "a_b", 2, 2);
    set_configs(&mut metadata, "a_b", &[("retention.ms", "6")]);
    let mut copy = empty();
    for record in metadata.snapshot_records() {
        copy.replay(&record).unwrap();
    }
    assert_eq!(copy.image(), metadata.image());
    assert!(copy.image().is_deleting(topic_id(1)));
}
