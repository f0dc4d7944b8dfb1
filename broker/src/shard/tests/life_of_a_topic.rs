//! Topics are created, found, configured, grown, moved and deleted; producers get ids.

use coordinator::metadata::{MovePartition, ShardId, TopicSelector};
use coordinator::topic_config::StaticBrokerConfig;
use protocol::messages::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use protocol::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use protocol::messages::delete_topics::DeleteTopicsRequest;
use protocol::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use protocol::messages::describe_topic_partitions::{DescribeTopicPartitionsRequest, TopicRequest};
use protocol::messages::fetch::FetchResponse;
use protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use protocol::messages::init_producer_id::InitProducerIdRequest;
use protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use protocol::messages::produce::ProduceResponse;
use protocol::{BrokerId, PartitionIndex, Str, TopicId};

use super::code;
use super::produce_and_fetch::{create, fetch, produce};
use super::world::{Client, World, batch, owner};
use crate::shard::RequestId;
use crate::shard::command::{Command, CommandReply};
use crate::shard::mail::Mail;
use crate::shard::slab::SlabKey;

fn metadata(world: &mut World, client: Client, name: &str, create: bool) -> (i16, usize, TopicId) {
    let name = Some(Str::from(name));
    let request = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic { name, ..Default::default() }]),
        allow_auto_topic_creation: create,
        ..MetadataRequest::default()
    };
    let response = world.ask(client, 12, request);
    let topic = &response.topics[0];
    let led = topic.partitions.iter().filter(|partition| partition.leader_id == 1).count();
    (topic.error_code, led, topic.topic_id)
}

#[test]
fn metadata_creates_what_it_is_asked_for_and_may_create() {
    let mut world = World::new(2);
    let client = world.connect(1);
    let unknown = code::UNKNOWN_TOPIC_OR_PARTITION;
    assert_eq!(metadata(&mut world, client, "t", false), (unknown, 0, TopicId::NONE));
    let (code, led, id) = metadata(&mut world, client, "t", true);
    assert_eq!((code, led), (0, 1));
    let other = world.connect(0);
    assert_eq!(metadata(&mut world, other, "t", false), (0, 1, id), "every shard knows of it");
}

/// It was, where nothing was to be created, one that does not exist yet.
#[test]
fn a_name_that_no_topic_can_have_is_told_whether_or_not_topics_are_created() {
    for enabled in ["true", "false"] {
        let values = [(Str::from("auto.create.topics.enable"), Str::from(enabled))];
        let mut world = World::configured(1, StaticBrokerConfig::new(values).unwrap());
        let client = world.connect(0);
        for create in [true, false] {
            for name in ["no good", "", "..", &"x".repeat(250)] {
                let invalid = (code::INVALID_TOPIC_EXCEPTION, 0, TopicId::NONE);
                assert_eq!(metadata(&mut world, client, name, create), invalid, "{name}");
            }
        }
        let unknown = code::UNKNOWN_TOPIC_OR_PARTITION;
        assert_eq!(metadata(&mut world, client, "good", false).0, unknown);
        for (name, code) in [("no good", code::INVALID_TOPIC_EXCEPTION), ("good", unknown)] {
            let request = DescribeTopicPartitionsRequest {
                topics: vec![TopicRequest { name: Str::from(name) }],
                ..Default::default()
            };
            let response = world.ask(client, 0, request);
            assert_eq!(response.topics[0].error_code, code, "{name}");
        }
    }
}

#[test]
fn a_topic_is_created_once_and_its_reply_waits_for_its_directories() {
    let mut world = World::new(2);
    let client = world.connect(0);
    let topic = CreatableTopic {
        name: Str::from("t"),
        num_partitions: 3,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
    world.send(client, 7, request.clone());
    type Response = protocol::messages::create_topics::CreateTopicsResponse;
    let mut steps = 0;
    let mut response = None;
    while response.is_none() && world.complete_one() {
        steps += 1;
        response = world.response::<Response>(client, 7);
    }
    assert!(steps > 3, "the log's write and three directories");
    assert_eq!(response.unwrap().topics[0].error_code, 0);
    let again = world.ask(client, 7, request);
    assert_eq!(again.topics[0].error_code, code::TOPIC_ALREADY_EXISTS);
}

#[test]
fn a_recreated_topic_has_a_new_id_and_no_old_record() {
    let mut world = World::new(2);
    let client = world.connect(0);
    create(&mut world, client, "t", 2);
    let (_, _, first) = metadata(&mut world, client, "t", false);
    world.ask(client, 9, produce(1, "t", 0, batch(&["old"], 1_700_000_000_000)));
    let topic_names = vec![Str::from("t")];
    let request = DeleteTopicsRequest { topic_names, timeout_ms: 1_000, ..Default::default() };
    let response = world.ask(client, 5, request);
    assert_eq!(response.responses[0].error_code, 0);
    let unknown = code::UNKNOWN_TOPIC_OR_PARTITION;
    assert_eq!(metadata(&mut world, client, "t", false).0, unknown);
    create(&mut world, client, "t", 2);
    let (code, led, second) = metadata(&mut world, client, "t", false);
    assert_eq!((code, led), (0, 2));
    assert_ne!(first, second);
    let response = world.ask(client, 12, fetch("t", &[(0, 0)], (0, 1)));
    let partition = &response.responses[0].partitions[0];
    assert_eq!((partition.error_code, partition.high_watermark), (0, 0));
    assert!(partition.records.is_empty());
}

#[test]
fn new_partitions_can_be_used_when_they_are_answered() {
    let mut world = World::new(2);
    let client = world.connect(0);
    create(&mut world, client, "t", 1);
    let name = Str::from("t");
    let topic = CreatePartitionsTopic { name, count: 5, assignments: None };
    let request =
        CreatePartitionsRequest { topics: vec![topic], timeout_ms: 1000, ..Default::default() };
    let response = world.ask(client, 3, request);
    assert_eq!(response.results[0].error_code, 0);
    assert_eq!(metadata(&mut world, client, "t", false).1, 5);
    for index in 0..5 {
        let records = batch(&["x"], 1_700_000_000_000);
        let response = world.ask(client, 9, produce(1, "t", index, records));
        assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
    }
}

#[test]
fn a_changed_property_takes_effect_and_is_described() {
    let mut world = World::new(1);
    let client = world.connect(0);
    create(&mut world, client, "t", 1);
    let config = AlterableConfig {
        name: Str::from("max.message.bytes"),
        config_operation: 0,
        value: Some(Str::from("100")),
    };
    let resource = AlterConfigsResource {
        resource_type: 2,
        resource_name: Str::from("t"),
        configs: vec![config],
    };
    let request =
        IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    assert_eq!(world.ask(client, 1, request).responses[0].error_code, 0);
    let records = batch(&[&"x".repeat(200)], 1_700_000_000_000);
    let response = world.ask(client, 9, produce(1, "t", 0, records));
    let found = response.responses[0].partition_responses[0].error_code;
    assert_eq!(found, code::MESSAGE_TOO_LARGE);
    let resource = DescribeConfigsResource {
        resource_type: 2,
        resource_name: Str::from("t"),
        configuration_keys: Some(vec![Str::from("max.message.bytes")]),
    };
    let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
    let response = world.ask(client, 4, request);
    let config = &response.results[0].configs[0];
    assert_eq!((config.value.as_deref(), config.config_source), (Some("100"), 1));
}

#[test]
fn deleted_records_are_out_of_range() {
    let mut world = World::new(1);
    let client = world.connect(0);
    create(&mut world, client, "t", 1);
    for _ in 0..3 {
        world.ask(client, 9, produce(1, "t", 0, batch(&["x"], 1_700_000_000_000)));
    }
    let mut delete = |offset: i64| {
        let partition = DeleteRecordsPartition { partition_index: 0, offset };
        let topic = DeleteRecordsTopic { name: Str::from("t"), partitions: vec![partition] };
        let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms: 1000 };
        let response = world.ask(client, 2, request);
        let partition = &response.topics[0].partitions[0];
        (partition.error_code, partition.low_watermark)
    };
    assert_eq!(delete(2), (0, 2));
    assert_eq!(delete(4).0, code::OFFSET_OUT_OF_RANGE);
    assert_eq!(delete(-1), (0, 3));
    let response = world.ask(client, 12, fetch("t", &[(0, 2)], (0, 1)));
    let found = response.responses[0].partitions[0].error_code;
    assert_eq!(found, code::OFFSET_OUT_OF_RANGE);
}

#[test]
fn producers_get_ids_that_are_never_given_twice() {
    let mut world = World::new(2);
    let mut ids = Vec::new();
    for shard in [0, 1, 0, 1] {
        let client = world.connect(shard);
        let response = world.ask(
            client,
            4,
            InitProducerIdRequest { producer_id: -1, producer_epoch: -1, ..Default::default() },
        );
        assert_eq!((response.error_code, response.producer_epoch), (0, 0));
        ids.push(response.producer_id);
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4);
    let client = world.connect(0);
    let transactional = InitProducerIdRequest {
        transactional_id: Some(Str::from("tx")),
        producer_id: -1,
        producer_epoch: -1,
        ..Default::default()
    };
    let response = world.ask(client, 4, transactional);
    assert_eq!(response.error_code, code::COORDINATOR_NOT_AVAILABLE);
}

/// An operator moves t-0 on a node with two data shards.
pub(super) fn begin_move(world: &mut World, to: usize) {
    let command = MovePartition {
        topic: TopicSelector::Name(Str::from("t")),
        partition: PartitionIndex(0),
        broker: BrokerId(1),
        shard: Some(ShardId(u16::try_from(to).unwrap())),
        directory: None,
    };
    let command = Box::new(Command::MovePartition(command));
    let main = world.main_index();
    let mail = Mail::Command { shard: main, request: RequestId::from_raw(1), command };
    world.tell(2, mail);
}

#[test]
fn a_moved_partition_keeps_its_records_and_takes_new_ones() {
    let mut world = World::new(2);
    let client = world.connect(0);
    create(&mut world, client, "t", 1);
    world.ask(client, 9, produce(1, "t", 0, batch(&["before"], 1_700_000_000_000)));
    let from = owner(&world, "t", 0);
    let to = 1 - from;
    begin_move(&mut world, to);
    let is_moved = |world: &World| {
        world.main.iter().any(|mail| match mail {
            Mail::CommandDone { reply, .. } => {
                matches!(**reply, CommandReply::MovePartition(Ok(_)))
            }
            _ => false,
        })
    };
    // Checkpoints stand between the two owners; time is what makes them due.
    for _ in 0..100 {
        world.settle();
        world.advance_ms(200);
    }
    assert!(is_moved(&world), "{:?}", world.main);
    assert_eq!(owner(&world, "t", 0), to);
    let response = world.ask(client, 9, produce(1, "t", 0, batch(&["after"], 1_700_000_000_000)));
    let partition = &response.responses[0].partition_responses[0];
    assert_eq!((partition.error_code, partition.base_offset), (0, 1));
}

/// Who asks while it moves is told who leads it, and where that is.
#[test]
fn an_answer_that_another_leads_names_the_leader_to_clients_that_know_of_it() {
    let mut world = World::new(2);
    let client = world.connect(0);
    create(&mut world, client, "t", 1);
    world.ask(client, 9, produce(1, "t", 0, batch(&["before"], 1_700_000_000_000)));
    let (_, _, id) = metadata(&mut world, client, "t", false);
    let to = 1 - owner(&world, "t", 0);
    begin_move(&mut world, to);
    for (version, hint) in [(9, (-1, -1)), (10, (1, 0))] {
        world.send(client, version, produce(1, "t", 0, batch(&["a"], 1_700_000_000_000)));
        let response = world.response::<ProduceResponse>(client, version).expect("an answer");
        let partition = &response.responses[0].partition_responses[0];
        assert_eq!(partition.error_code, code::NOT_LEADER_OR_FOLLOWER);
        let leader = &partition.current_leader;
        assert_eq!((leader.leader_id, leader.leader_epoch), hint, "Produce {version}");
        let nodes =
            response.node_endpoints.iter().map(|node| (node.node_id, &*node.host, node.port));
        let expected = if hint.0 < 0 { vec![] } else { vec![(1, "h", 9)] };
        assert_eq!(nodes.collect::<Vec<_>>(), expected, "Produce {version}");
    }
    for (version, hint) in [(15, (-1, -1)), (16, (1, 0))] {
        let mut request = fetch("t", &[(0, 0)], (0, 1));
        request.topics[0].topic_id = id;
        world.send(client, version, request);
        let response = world.response::<FetchResponse>(client, version).expect("an answer");
        let partition = &response.responses[0].partitions[0];
        assert_eq!(partition.error_code, code::NOT_LEADER_OR_FOLLOWER);
        let leader = &partition.current_leader;
        assert_eq!((leader.leader_id, leader.leader_epoch), hint, "Fetch {version}");
        let nodes =
            response.node_endpoints.iter().map(|node| (node.node_id, &*node.host, node.port));
        let expected = if hint.0 < 0 { vec![] } else { vec![(1, "h", 9)] };
        assert_eq!(nodes.collect::<Vec<_>>(), expected, "Fetch {version}");
    }
}

#[test]
fn a_long_poll_ends_when_the_node_does() {
    let mut world = World::new(2);
    let client = world.connect(0);
    create(&mut world, client, "t", 2);
    world.send(client, 12, fetch("t", &[(0, 0), (1, 0)], (10_000, 1)));
    world.tell(0, Mail::Drain);
    type Response = protocol::messages::fetch::FetchResponse;
    let response = world.response::<Response>(client, 12).expect("an answer");
    assert!(response.responses[0].partitions.iter().all(|partition| partition.error_code == 0));
    assert_eq!(world.closed, [(0, client.connection)]);
    assert!(world.main.iter().any(|mail| matches!(mail, Mail::Drained)));
}

#[test]
fn an_orderly_end_is_reported_by_every_shard() {
    let mut world = World::new(2);
    let client = world.connect(0);
    create(&mut world, client, "t", 2);
    world.ask(client, 9, produce(1, "t", 0, batch(&["x"], 1_700_000_000_000)));
    for shard in 0..2 {
        world.tell(shard, Mail::Drain);
    }
    assert_eq!(world.closed, [(0, client.connection)], "nothing was left to answer");
    for shard in 0..4 {
        world.tell(shard, Mail::ShutDown);
        world.settle();
        assert!(world.shard(shard).is_stopped(), "shard {shard}");
    }
    let stopped = world.main.iter().filter(|mail| matches!(mail, Mail::Stopped)).count();
    assert_eq!(stopped, 4);
}

/// As in Kafka it is a topic that there is not: asking for it creates nothing, and is no fault of the request.
#[test]
fn the_controllers_log_is_an_unknown_topic_to_whoever_asks_for_metadata() {
    let mut world = World::new(1);
    let client = world.connect(0);
    let name = Some(Str::from("__cluster_metadata"));
    let topic = MetadataRequestTopic { name, ..Default::default() };
    let request = MetadataRequest {
        topics: Some(vec![topic]),
        allow_auto_topic_creation: true,
        ..Default::default()
    };
    let response = world.ask(client, 9, request);
    assert_eq!(response.topics[0].error_code, 3);
}
