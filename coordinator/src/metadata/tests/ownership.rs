//! Moves, leader epochs, producer ids.

use alloc::{collections::BTreeSet, string::ToString, vec};

use protocol::{BrokerId, LeaderEpoch, PartitionIndex, ProducerId};

use super::{
    NODE, NOW, apply, broker, create, delete, directory, new_topic, registration, shards, started,
    text, topic_id,
};
use crate::{
    limits::{PARTITIONS_PER_SHARD_MAX, RECORDS_PER_DECISION_MAX},
    metadata::{
        AllocateProducerIds, BumpLeaderEpochs, CONSUMER_OFFSETS_TOPIC, CreatePartitions,
        CreateTopics, FinishDelete, LeaderEpochBump, LogDirectoryId, Metadata, MetadataRecord,
        MovePartition, OfflinePlaces, PlacementReason, ShardId, ShardsFull, TopicSelector,
        allocate_producer_ids::AllocateProducerIdsError,
        bump_leader_epochs::{BumpLeaderEpochError, BumpLeaderEpochsError},
        create_partitions::{CreatePartitionsError, GrownTopic},
        create_topics::CreateTopicError,
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

#[test]
fn the_group_coordinators_log_lives_on_its_shard_whatever_the_number_of_data_shards() {
    let mut metadata = started(4);
    create(&mut metadata, "a", 1, 4);
    let command = CreateTopics::consumer_offsets(topic_id(2), &metadata);
    let created = apply(&mut metadata, &command).unwrap();
    assert_eq!(created[0].1.as_ref().map(|topic| topic.partitions), Ok(50));
    let of_coordinator = vec![ShardId::COORDINATOR.0; 50];
    assert_eq!(shards(&metadata, CONSUMER_OFFSETS_TOPIC), of_coordinator);
    // Data shards are balanced as if it were not there.
    create(&mut metadata, "b", 3, 4);
    assert_eq!(shards(&metadata, "b").iter().collect::<BTreeSet<_>>().len(), 4);
    for data_shards in [2, 8, 1] {
        apply(&mut metadata, &registration(broker(1, data_shards))).unwrap();
        assert_eq!(shards(&metadata, CONSUMER_OFFSETS_TOPIC), of_coordinator, "{data_shards}");
        assert!(shards(&metadata, "a").iter().all(|shard| *shard < data_shards));
    }
    metadata.invariants();
}

#[test]
fn partitions_do_not_move_onto_the_coordinators_shard_nor_off_it() {
    let mut metadata = started(2);
    create(&mut metadata, "a", 1, 1);
    let command = CreateTopics::consumer_offsets(topic_id(2), &metadata);
    apply(&mut metadata, &command).unwrap();
    let shard = ShardId::COORDINATOR;
    assert_eq!(
        metadata.decide(NOW, &to(Some(shard.0), None)).unwrap_err(),
        MovePartitionError::UnknownShard { shard, shards: 2 }
    );
    let topic = TopicSelector::Name(text(CONSUMER_OFFSETS_TOPIC));
    assert_eq!(
        metadata.decide(NOW, &MovePartition { topic, ..to(Some(1), None) }).unwrap_err(),
        MovePartitionError::BelongsToCoordinator
    );
}

#[test]
fn an_internal_topic_does_not_grow() {
    let mut metadata = started(2);
    let command = CreateTopics::consumer_offsets(topic_id(2), &metadata);
    apply(&mut metadata, &command).unwrap();
    let name = text(CONSUMER_OFFSETS_TOPIC);
    let grown = GrownTopic { name, count: 51, assignments: None };
    let offline = OfflinePlaces::NONE;
    let command = CreatePartitions { topics: vec![grown], validate_only: false, offline };
    let refused = apply(&mut metadata, &command).unwrap();
    assert_eq!(refused[0].1, Err(CreatePartitionsError::InternalTopic));
}

/// A shard's journal is made for so many: what would not fit is refused before anything of it is recorded.
#[test]
fn partitions_that_no_shard_has_room_for_are_refused_whole() {
    let mut metadata = started(2);
    let max = i32::try_from(PARTITIONS_PER_SHARD_MAX).unwrap();
    create(&mut metadata, "a", 1, 9_000);
    let decide = |metadata: &Metadata, topics| {
        let command = CreateTopics { topics, validate_only: false, offline: OfflinePlaces::NONE };
        metadata.decide(NOW, &command).unwrap()
    };
    let room = 2 * i64::from(max) - 9_000;
    let full = |wanted: u64, room: i64| ShardsFull {
        broker: NODE,
        wanted,
        room: u64::try_from(room).unwrap(),
    };
    let refused = decide(&metadata, vec![new_topic("b", 2, 9_000)]);
    assert_eq!(refused.reply[0].1, Err(CreateTopicError::ShardsFull(full(9_000, room))));
    assert_eq!(refused.records, vec![]);
    // Beside one that is refused others are created, and the room is used to the last place.
    move_to_first_shard(&mut metadata, "a", 100);
    let exactly = i32::try_from(room).unwrap();
    let topics = vec![new_topic("b", 2, exactly), new_topic("c", 3, 1)];
    let decided = decide(&metadata, topics);
    assert!(decided.reply[0].1.is_ok());
    assert_eq!(decided.reply[1].1, Err(CreateTopicError::ShardsFull(full(1, 0))));
    create(&mut metadata, "b", 2, exactly);
    let counts = |metadata: &Metadata| {
        let all = [shards(metadata, "a"), shards(metadata, "b")].concat();
        [0, 1].map(|shard| all.iter().filter(|of| **of == shard).count())
    };
    assert_eq!(counts(&metadata), [PARTITIONS_PER_SHARD_MAX as usize; 2]);
    let grown = GrownTopic { name: text("a"), count: 9_001, assignments: None };
    let offline = OfflinePlaces::NONE;
    let command = CreatePartitions { topics: vec![grown], validate_only: false, offline };
    let refused = metadata.decide(NOW, &command).unwrap();
    assert_eq!(refused.reply[0].1, Err(CreatePartitionsError::ShardsFull(full(1, 0))));
    let other = 1 - shards(&metadata, "a")[0];
    assert_eq!(
        metadata.decide(NOW, &to(Some(other), None)).unwrap_err(),
        MovePartitionError::ShardFull { shard: ShardId(other) }
    );
    // What is left of a deleted topic has its place until it is gone.
    delete(&mut metadata, 2);
    let refused = decide(&metadata, vec![new_topic("c", 3, 1)]);
    assert_eq!(refused.reply[0].1, Err(CreateTopicError::ShardsFull(full(1, 0))));
    apply(&mut metadata, &FinishDelete { topic: topic_id(2) }).unwrap();
    assert!(decide(&metadata, vec![new_topic("c", 3, 1)]).reply[0].1.is_ok());
}

fn move_to_first_shard(metadata: &mut Metadata, topic: &str, partitions: i32) {
    for partition in (0..partitions).map(PartitionIndex) {
        let command = MovePartition {
            topic: TopicSelector::Name(text(topic)),
            partition,
            ..to(Some(0), None)
        };
        apply(metadata, &command).unwrap();
    }
}

/// A start loses nothing: with fewer shards they have more than a command may give them, and get no new one.
#[test]
fn a_start_with_fewer_shards_keeps_all_partitions_and_refuses_new_ones() {
    let mut metadata = started(2);
    create(&mut metadata, "a", 1, 8_000);
    create(&mut metadata, "b", 2, 8_000);
    while !apply(&mut metadata, &registration(broker(1, 1))).unwrap().complete {}
    let all = [shards(&metadata, "a"), shards(&metadata, "b")].concat();
    assert_eq!(all, vec![0; 16_000]);
    let topics = vec![new_topic("c", 3, 1)];
    let command = CreateTopics { topics, validate_only: false, offline: OfflinePlaces::NONE };
    let refused = metadata.decide(NOW, &command).unwrap();
    assert_eq!(
        refused.reply[0].1,
        Err(CreateTopicError::ShardsFull(ShardsFull { broker: NODE, wanted: 1, room: 0 }))
    );
    while !apply(&mut metadata, &registration(broker(1, 3))).unwrap().complete {}
    assert!(metadata.decide(NOW, &command).unwrap().reply[0].1.is_ok());
}
