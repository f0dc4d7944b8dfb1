//! Topics and partitions begin and end.

use alloc::{string::ToString, vec, vec::Vec};

use protocol::{BrokerId, PartitionIndex, TopicId};

use super::{
    NODE, NOW, apply, broker, create, creation, delete, directory, new_topic, registration, shards,
    started, started_with, text, topic_id,
};
use crate::{
    limits::RECORDS_PER_DECISION_MAX,
    metadata::{
        AssignmentError, CreatePartitions, CreateTopics, DeleteTopics, FinishDelete, Metadata,
        MetadataRecord, OfflinePlaces, ShardId, TopicNameError, TopicSelector,
        create_partitions::{CreatePartitionsError, CreatePartitionsRefused, GrownTopic},
        create_topics::{
            CreateTopicError, CreateTopicsError, CreatedTopic, NewAssignment, NewTopic,
        },
        delete_topics::{DeleteTopicError, DeleteTopicsError, FinishDeleteError},
    },
    topic_config::{ConfigError, Overrides},
};

fn decide(metadata: &Metadata, topic: NewTopic) -> Result<CreatedTopic, CreateTopicError> {
    let command = creation(vec![topic]);
    metadata.decide(NOW, &command).unwrap().reply.remove(0).1
}

fn refused(metadata: &Metadata, topic: NewTopic) -> (CreateTopicError, alloc::string::String) {
    let error = decide(metadata, topic).unwrap_err();
    let message = error.to_string();
    (error, message)
}

fn assigned(brokers: &[&[i32]]) -> Vec<NewAssignment> {
    let numbered = (0..).map(PartitionIndex).zip(brokers);
    let to = |(partition, brokers): (PartitionIndex, &&[i32])| NewAssignment {
        partition,
        brokers: brokers.iter().copied().map(BrokerId).collect(),
    };
    numbered.map(to).collect()
}

fn with_assignments(name: &str, assignments: Vec<NewAssignment>) -> NewTopic {
    NewTopic { partitions: None, assignments, ..new_topic(name, 7, 1) }
}

#[test]
fn a_created_topic_has_its_configs_and_a_leader_for_every_partition() {
    let mut metadata = started(2);
    let mut topic = new_topic("a", 1, 3);
    topic.configs = vec![(text("retention.ms"), Some(text("5")))];
    let command = creation(vec![topic]);
    let decision = metadata.decide(NOW, &command).unwrap();
    assert_eq!(decision.records.len(), 1 + 1 + 3);
    let reply = apply(&mut metadata, &command).unwrap();
    let expected = CreatedTopic {
        id: topic_id(1),
        partitions: 3,
        replication_factor: 1,
        configs: Overrides::from([(text("retention.ms"), text("5"))]),
        predecessors: vec![],
    };
    assert_eq!(reply, vec![(text("a"), Ok(expected))]);
    let created = metadata.image().topic_by_name("a").unwrap();
    assert_eq!(created.created(), NOW);
    assert_eq!(metadata.topic_config(topic_id(1)).unwrap().retention.retention_ms, Some(5));
    for partition in created.partitions() {
        assert_eq!((partition.leader, &partition.isr[..]), (Some(NODE), &[NODE][..]));
        assert_eq!((partition.leader_epoch.0, partition.partition_epoch), (0, 0));
    }
}

#[test]
fn defaults_come_from_the_configuration_file() {
    let mut metadata = started_with(1, &[("num.partitions", "4")]);
    let automatic = CreateTopics::automatic([(text("a"), topic_id(1))]);
    let reply = apply(&mut metadata, &automatic).unwrap();
    assert_eq!(reply[0].1.as_ref().unwrap().partitions, 4);
    let metadata = started_with(1, &[("default.replication.factor", "2")]);
    let reply = metadata.decide(NOW, &automatic).unwrap().reply;
    let expected = CreateTopicError::TooFewBrokers { replication_factor: 2, brokers: 1 };
    assert_eq!(reply[0].1, Err(expected));
}

#[test]
fn validate_only_answers_without_records() {
    let metadata = started(2);
    let topics = vec![new_topic("a", 1, 3)];
    let decision =
        metadata.decide(NOW, &CreateTopics { validate_only: true, ..creation(topics) }).unwrap();
    assert_eq!(decision.records, vec![]);
    assert_eq!(decision.reply[0].1.as_ref().unwrap().partitions, 3);
}

#[test]
fn duplicate_names_are_refused_each_and_stop_no_other() {
    let mut metadata = started(1);
    let topics = vec![new_topic("a", 1, 1), new_topic("b", 2, 1), new_topic("a", 3, 1)];
    let reply = apply(&mut metadata, &creation(topics)).unwrap();
    assert_eq!(reply[0].1, Err(CreateTopicError::DuplicateName));
    assert!(reply[1].1.is_ok());
    assert_eq!(reply[2].1, Err(CreateTopicError::DuplicateName));
}

#[test]
fn names_follow_kafkas_rules() {
    let mut metadata = started(1);
    create(&mut metadata, "a.b", 1, 1);
    let error = |name: &str| refused(&metadata, new_topic(name, 7, 1));
    let longest = "x".repeat(249);
    assert!(decide(&metadata, new_topic(&longest, 7, 1)).is_ok());
    assert!(decide(&metadata, new_topic("__consumer_offsets", 7, 1)).is_ok());
    let rows = [
        ("", TopicNameError::Empty, "Topic name is invalid: the empty string is not allowed"),
        (".", TopicNameError::Dot, "Topic name is invalid: '.' is not allowed"),
        ("..", TopicNameError::DotDot, "Topic name is invalid: '..' is not allowed"),
        (
            "a/b",
            TopicNameError::IllegalCharacter { name: text("a/b") },
            "Topic name is invalid: 'a/b' contains one or more characters other than ASCII \
             alphanumerics, '.', '_' and '-'",
        ),
    ];
    for (name, expected, message) in rows {
        assert_eq!(error(name), (CreateTopicError::InvalidName(expected), message.into()));
    }
    let (too_long, message) = error(&"x".repeat(250));
    assert!(matches!(too_long, CreateTopicError::InvalidName(TopicNameError::TooLong { .. })));
    assert!(message.ends_with("is longer than the max allowed length 249"));
    assert_eq!(error("__cluster_metadata").0, CreateTopicError::ReservedName);
    let exists = CreateTopicError::AlreadyExists { name: text("a.b") };
    assert_eq!(error("a.b"), (exists, "Topic 'a.b' already exists.".into()));
    let collides = CreateTopicError::NameCollides { name: text("a_b"), existing: text("a.b") };
    assert_eq!(error("a_b"), (collides, "Topic 'a_b' collides with existing topic: a.b".into()));
}

#[test]
fn names_of_one_command_may_not_collide_either() {
    let metadata = started(1);
    let topics = vec![new_topic("x.y", 1, 1), new_topic("x_y", 2, 1)];
    let reply = metadata.decide(NOW, &creation(topics)).unwrap().reply;
    assert!(reply[0].1.is_ok());
    assert!(matches!(reply[1].1, Err(CreateTopicError::NameCollides { .. })));
}

#[test]
fn configs_are_checked_before_numbers() {
    let metadata = started(1);
    let with = |value: Option<&str>| NewTopic {
        configs: vec![(text("retention.ms"), value.map(text))],
        ..new_topic("a", 7, 0)
    };
    let (error, message) = refused(&metadata, with(None));
    assert_eq!(error, CreateTopicError::NullConfigValues { names: vec![text("retention.ms")] });
    assert_eq!(message, "Null value not supported for topic configs: retention.ms");
    let (error, _) = refused(&metadata, with(Some("x")));
    assert!(matches!(error, CreateTopicError::Config(ConfigError::NotANumber { .. })));
    let (error, _) = refused(&metadata, with(Some("1")));
    assert_eq!(error, CreateTopicError::InvalidPartitions { partitions: 0 });
}

#[test]
fn numbers_of_partitions_and_replicas_are_checked_in_kafkas_order() {
    let metadata = started(1);
    let with = |partitions, replication_factor| NewTopic {
        replication_factor: Some(replication_factor),
        ..new_topic("a", 7, partitions)
    };
    let error = |partitions, factor| refused(&metadata, with(partitions, factor)).0;
    for factor in [0, -2] {
        let expected = CreateTopicError::InvalidReplicationFactor { replication_factor: factor };
        assert_eq!(error(0, factor), expected);
    }
    assert_eq!(error(-2, 5), CreateTopicError::InvalidPartitions { partitions: -2 });
    let expected = CreateTopicError::TooFewBrokers { replication_factor: 3, brokers: 1 };
    assert_eq!(error(1, 3), expected);
}

#[test]
fn manual_assignments_are_checked_one_by_one() {
    let mut metadata = started(1);
    apply(&mut metadata, &registration(broker(2, 3))).unwrap();
    let error = |assignments| match refused(&metadata, with_assignments("a", assignments)).0 {
        CreateTopicError::Assignment(error) => error,
        other => panic!("{other:?}"),
    };
    let mut twice = assigned(&[&[1], &[2]]);
    twice[1].partition = PartitionIndex(0);
    let partition = PartitionIndex(0);
    assert_eq!(error(twice), AssignmentError::DuplicatePartition { partition });
    assert_eq!(error(assigned(&[&[]])), AssignmentError::NoReplicas);
    let replicas = 65;
    assert_eq!(error(assigned(&[&[1; 65]])), AssignmentError::TooManyReplicas { replicas });
    let unknown = AssignmentError::UnknownBroker { broker: BrokerId(3) };
    assert_eq!(error(assigned(&[&[1, 3]])), unknown);
    let duplicate = AssignmentError::DuplicateBroker { broker: BrokerId(2) };
    assert_eq!(error(assigned(&[&[2, 2]])), duplicate);
    let differs = AssignmentError::ReplicationFactorDiffers { replicas: 1, expected: 2 };
    assert_eq!(error(assigned(&[&[1, 2], &[1]])), differs);
    let mut gap = assigned(&[&[1], &[2]]);
    gap[1].partition = PartitionIndex(2);
    assert_eq!(error(gap), AssignmentError::NotConsecutive);

    let mut both = with_assignments("a", assigned(&[&[1]]));
    both.partitions = Some(1);
    assert_eq!(refused(&metadata, both.clone()).0, CreateTopicError::AssignmentsWithPartitions);
    both.replication_factor = Some(1);
    let expected = CreateTopicError::AssignmentsWithReplicationFactor;
    assert_eq!(refused(&metadata, both).0, expected);

    let topics = vec![with_assignments("a", assigned(&[&[2, 1], &[1, 2], &[2, 1]]))];
    apply(&mut metadata, &creation(topics)).unwrap();
    let created = metadata.image().topic_by_name("a").unwrap();
    let leaders: Vec<_> = created.partitions().iter().map(|p| p.leader.unwrap().0).collect();
    assert_eq!(leaders, vec![2, 1, 2]);
    let on_second: Vec<_> =
        created.partitions().iter().map(|p| p.replica_on(BrokerId(2)).unwrap().shard.0).collect();
    let mut sorted = on_second.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, vec![0, 1, 2], "each on its own shard: {on_second:?}");
}

#[test]
fn replicas_are_spread_over_brokers() {
    let mut metadata = started(1);
    apply(&mut metadata, &registration(broker(2, 1))).unwrap();
    apply(&mut metadata, &registration(broker(3, 1))).unwrap();
    let topic = NewTopic { replication_factor: Some(2), ..new_topic("a", 1, 6) };
    let command = creation(vec![topic]);
    apply(&mut metadata, &command).unwrap();
    let created = metadata.image().topic_by_name("a").unwrap();
    for broker in [1, 2, 3].map(BrokerId) {
        let led = created.partitions().iter().filter(|p| p.leader == Some(broker)).count();
        let held = created.partitions().iter().filter(|p| p.replica_on(broker).is_some()).count();
        assert_eq!((led, held), (2, 4));
    }
}

#[test]
fn a_drawn_id_that_is_taken_is_refused_even_by_a_topic_being_deleted() {
    let mut metadata = started(1);
    create(&mut metadata, "a", 1, 1);
    delete(&mut metadata, 1);
    let (error, _) = refused(&metadata, new_topic("b", 1, 1));
    assert_eq!(error, CreateTopicError::IdTaken { id: topic_id(1) });
    let topics = vec![new_topic("c", 2, 1), new_topic("d", 2, 1)];
    let reply = metadata.decide(NOW, &creation(topics)).unwrap().reply;
    assert_eq!(reply[1].1, Err(CreateTopicError::IdTaken { id: topic_id(2) }));
}

#[test]
fn more_than_one_batch_can_hold_is_refused_as_a_whole() {
    let metadata = started(1);
    for partitions in [10_000, i32::MAX] {
        let topics = vec![new_topic("a", 1, partitions), new_topic("b", 2, 1)];
        let error = metadata
            .decide(NOW, &CreateTopics { validate_only: true, ..creation(topics) })
            .unwrap_err();
        assert_eq!(error.to_string(), "Excessively large number of partitions per request.");
    }
    let records = 1 + RECORDS_PER_DECISION_MAX as u64;
    let topics = vec![new_topic("a", 1, 10_000)];
    let error = metadata.decide(NOW, &creation(topics));
    assert_eq!(error.unwrap_err(), CreateTopicsError::TooManyRecords { records });
    let topics = vec![new_topic("a", 1, 9_999)];
    assert!(metadata.decide(NOW, &creation(topics)).is_ok());
}

#[test]
fn more_bytes_than_one_batch_can_hold_are_refused_as_a_whole() {
    let mut metadata = started(1);
    for id in 2..=40 {
        apply(&mut metadata, &registration(broker(id, 1))).unwrap();
    }
    let topic = NewTopic { replication_factor: Some(40), ..new_topic("a", 1, 6_000) };
    let command = CreateTopics { validate_only: true, ..creation(vec![topic]) };
    let error = metadata.decide(NOW, &command).unwrap_err();
    assert!(matches!(error, CreateTopicsError::TooManyBytes { .. }));

    let topic = NewTopic { replication_factor: Some(40), ..new_topic("a", 1, 1) };
    apply(&mut metadata, &creation(vec![topic])).unwrap();
    let topics = vec![GrownTopic { name: text("a"), count: 6_000, assignments: None }];
    let command = CreatePartitions { topics, validate_only: true, offline: OfflinePlaces::NONE };
    let error = metadata.decide(NOW, &command).unwrap_err();
    assert!(matches!(error, CreatePartitionsRefused::TooManyBytes { .. }));
}

#[test]
fn each_topic_is_balanced_and_starts_where_there_is_room() {
    let mut metadata = started(4);
    create(&mut metadata, "a", 1, 6);
    assert_eq!(shards(&metadata, "a"), vec![0, 1, 2, 3, 0, 1]);
    create(&mut metadata, "b", 2, 2);
    assert_eq!(shards(&metadata, "b"), vec![2, 3]);
    for id in 3..7 {
        create(&mut metadata, &id.to_string(), id, 1);
    }
    let singles: Vec<_> = (3..7_u8).map(|id| shards(&metadata, &id.to_string())[0]).collect();
    let mut sorted = singles.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, vec![0, 1, 2, 3], "one each: {singles:?}");
}

#[test]
fn new_partitions_go_to_directories_by_free_space() {
    let mut metadata = started(1);
    let mut two = broker(1, 1);
    two.log_directories = vec![directory(1, 100), directory(2, 300)];
    apply(&mut metadata, &registration(two)).unwrap();
    create(&mut metadata, "a", 1, 8);
    let topic = metadata.image().topic_by_name("a").unwrap();
    let in_second =
        topic.partitions().iter().filter(|p| p.replicas[0].directory.0 == [2; 16]).count();
    assert_eq!(in_second, 6);
}

/// The shard and the directory of each partition of a topic.
fn places(metadata: &Metadata, name: &str) -> Vec<(u16, u8)> {
    let topic = metadata.image().topic_by_name(name).unwrap();
    let replicas = topic.partitions().iter().map(|partition| partition.replicas[0]);
    replicas.map(|replica| (replica.shard.0, replica.directory.0[0])).collect()
}

/// Topic "a" with more partitions.
fn growth(count: i32, offline: OfflinePlaces) -> CreatePartitions {
    let topics = vec![GrownTopic { name: text("a"), count, assignments: None }];
    CreatePartitions { topics, validate_only: false, offline }
}

#[test]
fn new_partitions_are_placed_beside_what_failed() {
    let mut metadata = started(4);
    let mut two = broker(1, 4);
    two.log_directories = vec![directory(1, 1_000), directory(2, 1)];
    apply(&mut metadata, &registration(two)).unwrap();
    let offline = OfflinePlaces {
        directories: [directory(1, 0).id].into(),
        shards: [(NODE, ShardId(0)), (NODE, ShardId(2)), (BrokerId(2), ShardId(1))].into(),
    };
    let command = CreateTopics { offline: offline.clone(), ..creation(vec![new_topic("a", 1, 3)]) };
    assert!(apply(&mut metadata, &command).unwrap()[0].1.is_ok());
    assert_eq!(places(&metadata, "a"), vec![(1, 2), (3, 2), (1, 2)]);
    assert_eq!(apply(&mut metadata, &growth(5, offline)).unwrap()[0].1, Ok(()));
    assert_eq!(places(&metadata, "a")[3..], [(3, 2), (3, 2)]);
}

#[test]
fn nothing_is_created_on_a_broker_whose_directories_or_journals_all_failed() {
    let mut metadata = started(2);
    create(&mut metadata, "a", 1, 1);
    let directories = [directory(1, 0).id].into();
    let shards = [(NODE, ShardId(0)), (NODE, ShardId(1))].into();
    let rows = [
        OfflinePlaces { directories, ..OfflinePlaces::NONE },
        OfflinePlaces { shards, ..OfflinePlaces::NONE },
    ];
    for offline in rows {
        let command =
            CreateTopics { offline: offline.clone(), ..creation(vec![new_topic("b", 2, 1)]) };
        let decision = metadata.decide(NOW, &command).unwrap();
        let expected = Err(CreateTopicError::BrokerOffline { broker: NODE });
        assert_eq!((decision.records, &decision.reply[0].1), (vec![], &expected));
        let decision = metadata.decide(NOW, &growth(3, offline)).unwrap();
        let expected = Err(CreatePartitionsError::BrokerOffline { broker: NODE });
        assert_eq!((decision.records, &decision.reply[0].1), (vec![], &expected));
    }
}

#[test]
fn partitions_are_added_in_balance_and_with_their_own_errors() {
    let mut metadata = started(3);
    create(&mut metadata, "a", 1, 2);
    let grow = |count, assignments: Option<Vec<Vec<BrokerId>>>| CreatePartitions {
        topics: vec![GrownTopic { name: text("a"), count, assignments }],
        validate_only: false,
        offline: OfflinePlaces::NONE,
    };
    let error = |command: &CreatePartitions| {
        metadata.decide(NOW, command).unwrap().reply.remove(0).1.unwrap_err()
    };
    assert_eq!(error(&grow(2, None)).to_string(), "Topic already has 2 partition(s).");
    assert_eq!(
        error(&grow(1, None)).to_string(),
        "The topic a currently has 2 partition(s); 1 would not be an increase."
    );
    assert!(matches!(error(&grow(-1, None)), CreatePartitionsError::FewerPartitions { .. }));
    let count = AssignmentError::CountDiffers { added: 2, assignments: 1 };
    let given = Some(vec![vec![NODE]]);
    assert_eq!(error(&grow(4, given)), CreatePartitionsError::Assignment(count));
    let differs = AssignmentError::UnknownBroker { broker: BrokerId(2) };
    let given = Some(vec![vec![NODE, BrokerId(2)]]);
    assert_eq!(error(&grow(3, given)), CreatePartitionsError::Assignment(differs));
    let too_many = metadata.decide(NOW, &grow(10_003, None)).unwrap_err();
    assert_eq!(too_many, CreatePartitionsRefused::TooManyRecords { records: 10_001 });

    let topic = |name: &str| GrownTopic { name: text(name), count: 9, assignments: None };
    let topics = vec![topic("a"), topic("x"), topic("a")];
    let command = CreatePartitions { topics, validate_only: false, offline: OfflinePlaces::NONE };
    let reply = metadata.decide(NOW, &command).unwrap().reply;
    let errors: Vec<_> = reply.into_iter().map(|(_, result)| result.unwrap_err()).collect();
    let duplicate = CreatePartitionsError::DuplicateName;
    let expected = vec![duplicate.clone(), CreatePartitionsError::UnknownTopic, duplicate];
    assert_eq!(errors, expected);

    let validated = CreatePartitions { validate_only: true, ..grow(4, None) };
    assert_eq!(metadata.decide(NOW, &validated).unwrap().records, vec![]);
    assert_eq!(apply(&mut metadata, &grow(7, None)).unwrap(), vec![(text("a"), Ok(()))]);
    let mut of_shard = [0; 3];
    shards(&metadata, "a").into_iter().for_each(|shard| of_shard[usize::from(shard)] += 1);
    of_shard.sort_unstable();
    assert_eq!(of_shard, [2, 2, 3]);
}

#[test]
fn a_deleted_topic_is_remembered_until_its_removal_is_finished() {
    let mut metadata = started(1);
    create(&mut metadata, "a", 1, 2);
    let topics = vec![TopicSelector::Name(text("a"))];
    let decision = metadata.decide(NOW, &DeleteTopics { topics }).unwrap();
    assert_eq!(decision.records, vec![MetadataRecord::TopicDeleted { topic: topic_id(1) }]);
    delete(&mut metadata, 1);
    assert!(metadata.image().topic_by_name("a").is_none());
    assert!(metadata.image().topic(topic_id(1)).is_none());
    let deleting: Vec<_> = metadata.image().deleting().map(|t| t.partitions().len()).collect();
    assert_eq!(deleting, vec![2]);

    let created = decide(&metadata, new_topic("a", 2, 1)).unwrap();
    assert_eq!(created.predecessors, vec![topic_id(1)]);
    create(&mut metadata, "a", 2, 1);
    apply(&mut metadata, &FinishDelete { topic: topic_id(1) }).unwrap();
    assert_eq!(metadata.image().deleting().count(), 0);
    assert_eq!(metadata.image().topic_by_name("a").unwrap().id(), topic_id(2));
    for topic in [1, 2].map(topic_id) {
        let error = metadata.decide(NOW, &FinishDelete { topic }).unwrap_err();
        assert_eq!(error, FinishDeleteError::NotDeleting { topic });
    }
}

#[test]
fn deletions_have_their_own_errors() {
    let mut metadata = started(1);
    for (name, id) in [("a", 1), ("b", 2), ("c", 3)] {
        create(&mut metadata, name, id, 1);
    }
    let name = |name: &str| TopicSelector::Name(text(name));
    let id = |id| TopicSelector::Id(TopicId([id; 16]));
    let topics = vec![name("a"), name("a"), id(2), id(2), name("x"), id(9), name("c"), id(3)];
    let decision = metadata.decide(NOW, &DeleteTopics { topics }).unwrap();
    assert_eq!(decision.records, vec![]);
    let errors: Vec<_> =
        decision.reply.into_iter().map(|(_, result)| result.unwrap_err()).collect();
    let expected = vec![
        DeleteTopicError::DuplicateName,
        DeleteTopicError::DuplicateName,
        DeleteTopicError::DuplicateId,
        DeleteTopicError::DuplicateId,
        DeleteTopicError::UnknownName,
        DeleteTopicError::UnknownId,
        DeleteTopicError::AlsoGivenById,
        DeleteTopicError::AlsoGivenByName,
    ];
    assert_eq!(errors, expected);
    let topics = vec![name("a"); RECORDS_PER_DECISION_MAX + 1];
    let error = metadata.decide(NOW, &DeleteTopics { topics }).unwrap_err();
    assert!(matches!(error, DeleteTopicsError::TooManyRecords { .. }));
    let metadata = started_with(1, &[("delete.topic.enable", "false")]);
    let error = metadata.decide(NOW, &DeleteTopics { topics: vec![] }).unwrap_err();
    assert_eq!(error, DeleteTopicsError::Disabled);
}
