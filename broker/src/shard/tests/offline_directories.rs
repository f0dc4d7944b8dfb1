//! Log directories that failed while the node ran: who is told of them, and what goes on without them.

use coordinator::metadata::Replica;
use engine::disk::DirId;
use protocol::messages::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use protocol::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use protocol::messages::delete_topics::DeleteTopicsRequest;
use protocol::messages::describe_log_dirs::DescribeLogDirsRequest;
use protocol::messages::describe_topic_partitions::{DescribeTopicPartitionsRequest, TopicRequest};
use protocol::messages::fetch::FetchResponse;
use protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use protocol::messages::produce::ProduceResponse;
use protocol::{PartitionIndex, Str};

use super::code;
use super::life_of_a_topic::begin_move;
use super::produce_and_fetch::{create, fetch, produce};
use super::world::{Client, World, batch};
use crate::shard::command::{CommandReply, MoveError, Refused};
use crate::shard::mail::Mail;

const PRODUCE: i16 = 9;
const TIME: i64 = 1_700_000_000_000;

/// It was shown as a healthy one of its last size.
#[test]
fn a_log_directory_that_failed_is_shown_as_offline() {
    let mut world = World::new(1);
    let client = world.connect(0);
    create(&mut world, client, "t", 1);
    for (is_offline, expected) in
        [(false, (0, 1, 900, 700)), (true, (code::KAFKA_STORAGE_ERROR, 0, -1, -1))]
    {
        world.tell_offline(&[is_offline]);
        let response = world.ask(client, 4, DescribeLogDirsRequest { topics: None });
        let found = &response.results[0];
        let sizes = (found.total_bytes, found.usable_bytes);
        assert_eq!((found.error_code, found.topics.len(), sizes.0, sizes.1), expected);
        assert_eq!((response.error_code, &*found.log_dir), (0, "/d"));
    }
}

/// Where a partition lives: its shard, and its log directory.
fn place(world: &World, index: i32) -> (usize, DirId) {
    let shard = world.shard(0);
    let topic = shard.replica.topic_by_name("t").unwrap();
    let replica: &Replica = &topic.partition(PartitionIndex(index)).unwrap().replicas[0];
    (usize::from(replica.shard.0), shard.node.dir_of(replica.directory).unwrap())
}

/// Code, leader, replicas in sync and offline, as Metadata says; DescribeTopicPartitions says the same.
fn shown(world: &mut World, client: Client) -> Vec<(i16, i32, Vec<i32>, Vec<i32>)> {
    let wanted = MetadataRequestTopic { name: Some(Str::from("t")), ..Default::default() };
    let request = MetadataRequest { topics: Some(vec![wanted]), ..Default::default() };
    let response = world.ask(client, 12, request);
    let partitions = response.topics[0].partitions.iter();
    let all = partitions.map(|one| {
        (one.error_code, one.leader_id, one.isr_nodes.clone(), one.offline_replicas.clone())
    });
    let all: Vec<_> = all.collect();
    let request = DescribeTopicPartitionsRequest {
        topics: vec![TopicRequest { name: Str::from("t") }],
        response_partition_limit: 100,
        ..Default::default()
    };
    let response = world.ask(client, 0, request);
    let partitions = response.topics[0].partitions.iter();
    let same = partitions.map(|one| {
        (one.error_code, one.leader_id, one.isr_nodes.clone(), one.offline_replicas.clone())
    });
    assert_eq!(same.collect::<Vec<_>>(), all);
    all
}

/// What `partition list` shows, by partition.
fn states(world: &mut World) -> Vec<&'static str> {
    world.main.clear();
    for shard in 0..3 {
        world.tell(shard, Mail::ListPartitions);
    }
    let mut all = Vec::new();
    for mail in &world.main {
        let Mail::Partitions(placed) = mail else { panic!("{mail:?}") };
        all.extend(placed.iter().map(|one| (one.partition, one.state)));
    }
    all.sort_unstable();
    all.into_iter().map(|one| one.1).collect()
}

/// Metadata named the node as the leader of partitions that it could not serve any more.
#[test]
fn partitions_of_a_log_directory_that_failed_have_no_leader_and_an_offline_replica() {
    let mut world = World::with_two_directories(3);
    let client = world.connect(0);
    create(&mut world, client, "t", 6);
    let places: Vec<_> = (0..6).map(|index| place(&world, index)).collect();
    let online = (0, 1, vec![1], vec![]);
    let offline = (code::LEADER_NOT_AVAILABLE, -1, vec![1], vec![1]);
    assert_eq!(shown(&mut world, client), vec![online.clone(); 6]);
    // The journal of shard 1 is in the second directory.
    let hit = places.iter().position(|place| *place == (1, DirId(1))).unwrap();
    let record = produce(1, "t", i32::try_from(hit).unwrap(), batch(&["a"], TIME));
    world.send(client, PRODUCE, record);
    world.main.clear();
    world.fail_disk();
    let heard = world.main.iter().filter_map(|mail| match mail {
        Mail::DirectoryFailed { path, .. } => Some(path.as_str()),
        _ => None,
    });
    assert_eq!(heard.collect::<Vec<_>>(), ["/e"]);
    assert!(world.response::<ProduceResponse>(client, PRODUCE).is_some());
    world.tell_offline(&[false, true]);
    let is_offline = |place: &(usize, DirId)| place.0 == 1 || place.1 == DirId(1);
    let expected = places.iter().map(|place| if is_offline(place) { &offline } else { &online });
    let expected: Vec<_> = expected.cloned().collect();
    assert_eq!(shown(&mut world, client), expected);
    assert_eq!(expected.iter().filter(|one| **one == online).count(), 2, "{places:?}");
    let expected = places.iter().map(|place| if is_offline(place) { "offline" } else { "online" });
    assert_eq!(states(&mut world), expected.collect::<Vec<_>>());
    // Clients that have not asked again are told by the partitions themselves, on every shard.
    for (index, place) in (0..).zip(&places) {
        let code = if is_offline(place) { code::KAFKA_STORAGE_ERROR } else { 0 };
        let response = world.ask(client, PRODUCE, produce(1, "t", index, batch(&["a"], TIME)));
        assert_eq!(response.responses[0].partition_responses[0].error_code, code, "{place:?}");
        let response = world.ask(client, 12, fetch("t", &[(index, 0)], (0, 1)));
        assert_eq!(response.responses[0].partitions[0].error_code, code, "{place:?}");
    }
}

/// It waited for ever when the failure was found by another shard.
#[test]
fn a_consumer_hears_of_a_log_directory_that_failed_under_another_shard() {
    let mut world = World::with_two_directories(3);
    let client = world.connect(0);
    create(&mut world, client, "t", 6);
    let index = (0..6).find(|index| place(&world, *index) == (0, DirId(1))).unwrap();
    world.send(client, 12, fetch("t", &[(index, 0)], (10_000, 1)));
    world.settle();

    assert_eq!(world.response::<FetchResponse>(client, 12), None, "it waits");
    world.tell_offline(&[false, true]);
    let response = world.response::<FetchResponse>(client, 12).expect("an answer");
    assert_eq!(response.responses[0].partitions[0].error_code, code::KAFKA_STORAGE_ERROR);
}

/// The code of CreateTopics.
fn create_code(world: &mut World, client: Client, name: &str) -> i16 {
    let topic = CreatableTopic {
        name: Str::from(name),
        num_partitions: 3,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
    world.ask(client, 7, request).topics[0].error_code
}

/// The code of CreatePartitions for topic "t".
fn grow_code(world: &mut World, client: Client, count: i32) -> i16 {
    let topic = CreatePartitionsTopic { name: Str::from("t"), count, assignments: None };
    let topics = vec![topic];
    let request =
        CreatePartitionsRequest { topics, timeout_ms: 5_000, ..CreatePartitionsRequest::default() };
    world.ask(client, 3, request).results[0].error_code
}

/// The code of a topic that is created by asking for it.
fn automatic_code(world: &mut World, client: Client, name: &str) -> i16 {
    let wanted = MetadataRequestTopic { name: Some(Str::from(name)), ..Default::default() };
    let request = MetadataRequest {
        topics: Some(vec![wanted]),
        allow_auto_topic_creation: true,
        ..Default::default()
    };
    world.ask(client, 12, request).topics[0].error_code
}

/// They were placed there, refused, and listed as offline from then on.
#[test]
fn new_partitions_are_placed_beside_a_log_directory_that_failed() {
    let mut world = World::with_two_directories(3);
    let client = world.connect(0);
    world.tell_offline(&[false, true]);
    create(&mut world, client, "t", 5);
    assert_eq!(grow_code(&mut world, client, 7), 0);
    assert_eq!(shown(&mut world, client), vec![(0, 1, vec![1], vec![]); 7]);
    assert_eq!(states(&mut world), ["online"; 7]);
    for index in 0..7 {
        let (shard, dir) = place(&world, index);
        assert!(shard != 1 && dir == DirId(0), "{shard} {dir:?}");
        let response = world.ask(client, PRODUCE, produce(-1, "t", index, batch(&["a"], TIME)));
        assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
        let response = world.ask(client, 12, fetch("t", &[(index, 0)], (0, 1)));
        assert_eq!(response.responses[0].partitions[0].high_watermark, 1);
    }
    assert_eq!(automatic_code(&mut world, client, "automatic"), 0);
    assert_eq!(states(&mut world), ["online"; 8]);
}

/// Its partitions waited for those that only the next start could remove: they had no leader until then.
#[test]
fn a_topic_is_deleted_and_created_again_beside_a_log_directory_that_failed() {
    let mut world = World::with_two_directories(3);
    let client = world.connect(0);
    create(&mut world, client, "t", 6);
    for index in 0..6 {
        world.ask(client, PRODUCE, produce(-1, "t", index, batch(&["old"], TIME)));
    }
    let places: Vec<_> = (0..6).map(|index| place(&world, index)).collect();
    assert!(places.contains(&(1, DirId(0))), "its journal is lost, its directory is not");
    world.tell_offline(&[false, true]);
    let topic_names = vec![Str::from("t")];
    let request = DeleteTopicsRequest { topic_names, timeout_ms: 1_000, ..Default::default() };
    assert_eq!(world.ask(client, 5, request).responses[0].error_code, 0);
    create(&mut world, client, "t", 6);
    assert_eq!(shown(&mut world, client), vec![(0, 1, vec![1], vec![]); 6]);
    for index in 0..6 {
        assert_eq!(place(&world, index).1, DirId(0));
        let response = world.ask(client, PRODUCE, produce(-1, "t", index, batch(&["a"], TIME)));
        let answer = &response.responses[0].partition_responses[0];
        assert_eq!((answer.error_code, answer.base_offset), (0, 0));
    }
    let image = world.shard(0).replica.metadata().image();
    assert_eq!(image.deleting().count(), 1, "the next start removes the rest of it");
}

#[test]
fn nothing_is_created_when_all_log_directories_failed() {
    let mut world = World::with_two_directories(3);
    let client = world.connect(0);
    create(&mut world, client, "t", 2);
    world.tell_offline(&[true, true]);
    assert_eq!(create_code(&mut world, client, "u"), code::KAFKA_STORAGE_ERROR);
    assert_eq!(grow_code(&mut world, client, 3), code::KAFKA_STORAGE_ERROR);
    assert_eq!(automatic_code(&mut world, client, "v"), code::KAFKA_STORAGE_ERROR);
    let topics = world.shard(0).replica.metadata().image().topics();
    let topics: Vec<_> =
        topics.map(|topic| (topic.name().to_string(), topic.partitions().len())).collect();
    assert_eq!(topics, [("t".to_owned(), 2)]);
}

/// It was released by its owner, and offline from then on: the other could not take it.
#[test]
fn a_partition_does_not_move_to_a_shard_whose_journal_is_lost() {
    for fails_during_the_move in [false, true] {
        let mut world = World::with_two_directories(2);
        let client = world.connect(0);
        create(&mut world, client, "t", 1);
        assert_eq!(place(&world, 0), (0, DirId(0)));
        world.main.clear();
        if fails_during_the_move {
            begin_move(&mut world, 1);
            world.tell_offline(&[false, true]);
        } else {
            world.tell_offline(&[false, true]);
            begin_move(&mut world, 1);
        }
        // Checkpoints stand between the two owners; time is what makes them due.
        for _ in 0..100 {
            world.settle();
            world.advance_ms(200);
        }
        let replies = world.main.iter().filter_map(|mail| match mail {
            Mail::CommandDone { reply, .. } => Some(&**reply),
            _ => None,
        });
        let replies: Vec<_> = replies.collect();
        let [CommandReply::MovePartition(Err(Refused::Command(MoveError::ShardOffline)))] =
            replies[..]
        else {
            panic!("{replies:?}");
        };
        assert_eq!(shown(&mut world, client), [(0, 1, vec![1], vec![])]);
        let response = world.ask(client, PRODUCE, produce(-1, "t", 0, batch(&["a"], TIME)));
        assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
    }
}
