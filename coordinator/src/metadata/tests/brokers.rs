//! Clusters form and brokers start, with other shards and directories each time.

use alloc::{vec, vec::Vec};

use protocol::PartitionIndex;

use super::{
    NODE, NOW, apply, broker, create, delete, directory, empty, registration, shards, started,
    text, topic_id,
};
use crate::{
    limits::{LISTENERS_MAX, LOG_DIRECTORIES_MAX, SHARDS_MAX},
    metadata::{
        Broker, FormCluster, MetadataRecord, MovePartition, PlacementReason, RegisterBroker,
        ShardId, TopicSelector,
        form_cluster::FormClusterError,
        register_broker::{RegisterBrokerError, Registered},
    },
};

#[test]
fn a_cluster_forms_once() {
    let mut metadata = empty();
    let command = FormCluster { cluster_id: text("one") };
    apply(&mut metadata, &command).unwrap();
    let error = metadata.decide(NOW, &command).unwrap_err();
    assert_eq!(error, FormClusterError::AlreadyFormed { cluster_id: text("one") });
}

#[test]
fn a_registration_is_refused_for_each_reason_in_order() {
    let mut metadata = empty();
    let refused = |metadata: &super::Metadata, command: &RegisterBroker| {
        metadata.decide(NOW, command).unwrap_err()
    };
    let nothing = Broker { listeners: vec![], log_directories: vec![], ..broker(1, 0) };
    let mut command = registration(nothing);
    command.broker.incarnation = 4;
    command.cluster_id = text("other");
    assert_eq!(refused(&metadata, &command), RegisterBrokerError::ClusterNotFormed);
    metadata = started(1);
    let (expected, actual) = (text("cluster"), text("other"));
    assert_eq!(
        refused(&metadata, &command),
        RegisterBrokerError::WrongCluster { expected, actual }
    );
    command.cluster_id = text("cluster");
    let later = Broker { incarnation: 5, ..broker(1, 1) };
    apply(&mut metadata, &registration(later)).unwrap();
    let expected = RegisterBrokerError::StaleIncarnation { registered: 5, offered: 4 };
    assert_eq!(refused(&metadata, &command), expected);
    command.broker.incarnation = 6;
    assert_eq!(refused(&metadata, &command), RegisterBrokerError::NoShards);
    let shards = SHARDS_MAX + 1;
    command.broker.data_shards = shards;
    assert_eq!(refused(&metadata, &command), RegisterBrokerError::TooManyShards { shards });
    command.broker.data_shards = 1;
    assert_eq!(refused(&metadata, &command), RegisterBrokerError::NoListeners);
    let listener = broker(1, 1).listeners.remove(0);
    command.broker.listeners = vec![listener.clone(); LISTENERS_MAX + 1];
    let expected = RegisterBrokerError::TooManyListeners { listeners: LISTENERS_MAX + 1 };
    assert_eq!(refused(&metadata, &command), expected);
    command.broker.listeners.truncate(2);
    let expected = RegisterBrokerError::DuplicateListener { name: text("PLAINTEXT") };
    assert_eq!(refused(&metadata, &command), expected);
    command.broker.listeners.truncate(1);
    assert_eq!(refused(&metadata, &command), RegisterBrokerError::NoLogDirectories);
    command.broker.log_directories = vec![directory(1, 1); LOG_DIRECTORIES_MAX + 1];
    let directories = LOG_DIRECTORIES_MAX + 1;
    let expected = RegisterBrokerError::TooManyLogDirectories { directories };
    assert_eq!(refused(&metadata, &command), expected);
    command.broker.log_directories.truncate(2);
    let expected = RegisterBrokerError::DuplicateLogDirectory { id: directory(1, 1).id };
    assert_eq!(refused(&metadata, &command), expected);
    command.broker.log_directories.truncate(1);
    assert!(apply(&mut metadata, &command).unwrap().complete);
}

#[test]
fn partitions_of_shards_that_are_gone_move_and_the_others_stay() {
    let mut metadata = started(4);
    create(&mut metadata, "a", 1, 8);
    create(&mut metadata, "gone", 2, 4);
    delete(&mut metadata, 2);
    let registered = apply(&mut metadata, &registration(broker(1, 3))).unwrap();
    assert_eq!(registered, Registered { complete: true, moved: 3, offline: vec![] });
    let now = shards(&metadata, "a");
    for (before, after) in [0, 1, 2, 3, 0, 1, 2, 3].into_iter().zip(&now) {
        assert!(before == 3 || before == *after, "{now:?}");
    }
    let mut of_shard = [0; 3];
    now.iter().for_each(|shard| of_shard[usize::from(*shard)] += 1);
    of_shard.sort_unstable();
    assert_eq!(of_shard, [2, 3, 3]);
    let topic = metadata.image().topic_by_name("a").unwrap();
    let reason = topic.partition(PartitionIndex(3)).unwrap().replicas[0].reason;
    assert_eq!(reason, PlacementReason::ShardGone { from: ShardId(3) });
}

#[test]
fn more_shards_are_filled_evenly_but_what_an_operator_placed_stays() {
    let mut metadata = started(1);
    create(&mut metadata, "a", 1, 9);
    for id in 2..10 {
        create(&mut metadata, &alloc::format!("single-{id}"), id, 1);
    }
    let command = MovePartition {
        topic: TopicSelector::Name(text("a")),
        partition: PartitionIndex(0),
        broker: NODE,
        shard: Some(ShardId(0)),
        directory: None,
    };
    apply(&mut metadata, &registration(broker(1, 2))).unwrap();
    let moved = apply(&mut metadata, &command).unwrap();
    assert_eq!(moved.to.shard, ShardId(0));
    apply(&mut metadata, &registration(broker(1, 8))).unwrap();
    let mut totals = [0; 8];
    let mut of_a = [0; 8];
    for topic in metadata.image().topics() {
        for partition in topic.partitions() {
            let shard = usize::from(partition.replicas[0].shard.0);
            totals[shard] += 1;
            of_a[shard] += i32::from(**topic.name() == *"a");
        }
    }
    assert!(of_a.iter().all(|count| (1..=2).contains(count)), "{of_a:?}");
    assert!(totals.iter().all(|count| (2..=3).contains(count)), "{totals:?}");
    let again = metadata.decide(NOW, &registration(broker(1, 8))).unwrap();
    assert_eq!(again.records, vec![MetadataRecord::Broker(broker(1, 8))], "nothing left to move");
}

#[test]
fn partitions_of_a_missing_directory_are_offline_and_stay_there() {
    let mut metadata = started(1);
    let mut two = broker(1, 1);
    two.log_directories = vec![directory(1, 1), directory(2, 1_000_000)];
    apply(&mut metadata, &registration(two)).unwrap();
    create(&mut metadata, "a", 1, 2);
    let registered = apply(&mut metadata, &registration(broker(1, 1))).unwrap();
    let offline = vec![(topic_id(1), PartitionIndex(0)), (topic_id(1), PartitionIndex(1))];
    assert_eq!(registered, Registered { complete: true, moved: 0, offline });
    let explained = metadata.image().explain(topic_id(1), PartitionIndex(0), NODE).unwrap();
    assert!(!explained.directory_online);
    assert!(std::format!("{explained}").ends_with("its log directory is missing"));
}

#[test]
fn more_moves_than_one_batch_holds_take_several_decisions() {
    let mut metadata = started(4);
    for id in 1..4 {
        create(&mut metadata, &alloc::format!("t{id}"), id, 8_000);
    }
    let command = registration(broker(1, 1));
    let first = apply(&mut metadata, &command).unwrap();
    assert_eq!((first.complete, first.moved), (false, 10_000));
    assert_eq!(metadata.image().broker(NODE).unwrap().data_shards, 4, "not yet");
    let second = apply(&mut metadata, &command).unwrap();
    assert_eq!((second.complete, second.moved), (true, 8_000));
    let all: Vec<_> = (1..4).flat_map(|id| shards(&metadata, &alloc::format!("t{id}"))).collect();
    assert_eq!(all, vec![0; 24_000]);
}
