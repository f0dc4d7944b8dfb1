//! Moves, leader epochs, producer ids.

use alloc::{string::ToString, vec};

use protocol::{BrokerId, LeaderEpoch, PartitionIndex, ProducerId};

use super::{NODE, NOW, apply, broker, create, directory, registration, started, text, topic_id};
use crate::{
    limits::RECORDS_PER_DECISION_MAX,
    metadata::{
        AllocateProducerIds, BumpLeaderEpochs, LeaderEpochBump, LogDirectoryId, Metadata,
        MetadataRecord, MovePartition, PlacementReason, ShardId, TopicSelector,
        allocate_producer_ids::AllocateProducerIdsError,
        bump_leader_epochs::{BumpLeaderEpochError, BumpLeaderEpochsError},
        move_partition::MovePartitionError,
        record::LeaderEpochReason,
    },
};

fn two_directories() -> Metadata {
    let mut metadata = started(2);
    let mut two = broker(1, 2);
    two.log_directories = vec![directory(1, 1_000), directory(2, 1)];
    apply(&mut metadata, &registration(two)).unwrap();
    create(&mut metadata, "a", 1, 2);
    metadata
}

fn to(shard: Option<u16>, directory: Option<u8>) -> MovePartition {
    MovePartition {
        topic: TopicSelector::Name(text("a")),
        partition: PartitionIndex(0),
        broker: NODE,
        shard: shard.map(ShardId),
        directory: directory.map(|id| LogDirectoryId([id; 16])),
    }
}

#[test]
fn a_partition_moves_to_another_shard_and_directory_and_says_why() {
    let mut metadata = two_directories();
    let moved = apply(&mut metadata, &to(Some(1), None)).unwrap();
    assert_eq!((moved.from.shard, moved.to.shard), (ShardId(0), ShardId(1)));
    assert_eq!(moved.to.directory, moved.from.directory);
    let moved = apply(&mut metadata, &to(None, Some(2))).unwrap();
    assert_eq!((moved.to.shard, moved.to.directory.0), (ShardId(1), [2; 16]));
    let topic = metadata.image().topic_by_name("a").unwrap();
    assert_eq!(topic.partition(PartitionIndex(0)).unwrap().partition_epoch, 2);
    let explained = metadata.image().explain(topic_id(1), PartitionIndex(0), NODE).unwrap();
    assert_eq!(explained.replica.reason, PlacementReason::Moved);
    assert_eq!(
        explained.to_string(),
        "moved here by an operator: 2 of the topic's 2 partitions, 2 in all, on this one of \
         2 shards"
    );
    let again = metadata.decide(NOW, &to(Some(1), Some(2))).unwrap();
    assert_eq!(again.records, vec![]);
    assert_eq!(again.reply.from, again.reply.to);
}

#[test]
fn a_move_is_refused_for_each_reason() {
    let mut metadata = two_directories();
    let refused =
        |metadata: &Metadata, command: MovePartition| metadata.decide(NOW, &command).unwrap_err();
    let topic = TopicSelector::Id(topic_id(9));
    let command = MovePartition { topic, ..to(Some(1), None) };
    assert_eq!(refused(&metadata, command), MovePartitionError::UnknownTopic);
    for index in [-1, 2] {
        let command = MovePartition { partition: PartitionIndex(index), ..to(Some(1), None) };
        let expected = MovePartitionError::UnknownPartition { partitions: 2 };
        assert_eq!(refused(&metadata, command), expected);
    }
    let broker_id = BrokerId(2);
    let command = MovePartition { broker: broker_id, ..to(Some(1), None) };
    let expected = MovePartitionError::NotAReplica { broker: broker_id };
    assert_eq!(refused(&metadata, command), expected);
    let expected = MovePartitionError::UnknownShard { shard: ShardId(2), shards: 2 };
    assert_eq!(refused(&metadata, to(Some(2), None)), expected);
    let expected = MovePartitionError::UnknownDirectory { directory: LogDirectoryId([3; 16]) };
    assert_eq!(refused(&metadata, to(None, Some(3))), expected);
    let mut without = broker(1, 2);
    without.log_directories = vec![directory(2, 1)];
    apply(&mut metadata, &registration(without)).unwrap();
    let expected = MovePartitionError::DirectoryOffline { directory: LogDirectoryId([1; 16]) };
    assert_eq!(refused(&metadata, to(None, Some(2))), expected);
    assert!(metadata.decide(NOW, &to(Some(1), None)).is_ok(), "another shard may own it offline");
}

#[test]
fn leader_epochs_grow_one_by_one() {
    let mut metadata = two_directories();
    let at = |id, index, above| LeaderEpochBump {
        topic: topic_id(id),
        partition: PartitionIndex(index),
        above: LeaderEpoch(above),
    };
    let command = BumpLeaderEpochs {
        partitions: vec![at(1, 0, 0), at(9, 0, 0), at(1, 7, 0), at(1, 0, 0), at(1, 1, 4)],
        reason: LeaderEpochReason::UncleanStart,
    };
    let reply = apply(&mut metadata, &command).unwrap();
    let expected = vec![
        Ok(LeaderEpoch(1)),
        Err(BumpLeaderEpochError::UnknownTopic),
        Err(BumpLeaderEpochError::UnknownPartition),
        Ok(LeaderEpoch(2)),
        Ok(LeaderEpoch(5)),
    ];
    assert_eq!(reply, expected);
    let last = MetadataRecord::LeaderEpochBumped {
        topic: topic_id(1),
        partition: PartitionIndex(0),
        leader_epoch: LeaderEpoch(i32::MAX),
        reason: LeaderEpochReason::LossAccepted,
    };
    metadata.replay(&last).unwrap();
    let reply = metadata.decide(NOW, &command).unwrap().reply;
    assert_eq!(reply[0], Err(BumpLeaderEpochError::Exhausted));
    let records = RECORDS_PER_DECISION_MAX + 1;
    let command = BumpLeaderEpochs { partitions: vec![at(1, 0, 0); records], ..command };
    let error = metadata.decide(NOW, &command).unwrap_err();
    assert_eq!(error, BumpLeaderEpochsError::TooManyRecords { records });
}

#[test]
fn producer_ids_are_given_out_once() {
    let mut metadata = started(1);
    let block = |count| AllocateProducerIds { count };
    let ids = |from, to| ProducerId(from)..ProducerId(to);
    assert_eq!(apply(&mut metadata, &block(1_000)), Ok(ids(0, 1_000)));
    assert_eq!(apply(&mut metadata, &block(1)), Ok(ids(1_000, 1_001)));
    for count in [0, 1_001] {
        let expected = AllocateProducerIdsError::InvalidCount { count };
        assert_eq!(metadata.decide(NOW, &block(count)).unwrap_err(), expected);
    }
    metadata.replay(&MetadataRecord::ProducerIds { next: ProducerId(i64::MAX - 1) }).unwrap();
    let expected = AllocateProducerIdsError::Exhausted;
    assert_eq!(metadata.decide(NOW, &block(2)).unwrap_err(), expected);
}
