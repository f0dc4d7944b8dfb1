//! What is refused for what the cluster is, not for what the bytes are: internal topics.

use protocol::Str;
use protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use protocol::messages::produce::ProduceResponse;

use super::code;
use super::produce_and_fetch::{create, produce};
use super::world::{World, batch};

const PRODUCE: i16 = 9;

fn code_of(response: &ProduceResponse) -> i16 {
    response.responses[0].partition_responses[0].error_code
}

#[test]
fn internal_topics_take_records_of_kafkas_own_tools_alone() {
    let mut world = World::new(1);
    let client = world.connect(0);
    let record = || batch(&["a"], 1_700_000_000_000);
    for topic in ["__consumer_offsets", "__transaction_state", "__share_group_state"] {
        let missing = world.ask(client, PRODUCE, produce(1, topic, 0, record()));
        assert_eq!(code_of(&missing), code::UNKNOWN_TOPIC_OR_PARTITION);
        create(&mut world, client, topic, 1);
        let refused = world.ask(client, PRODUCE, produce(1, topic, 0, record()));
        assert_eq!(code_of(&refused), code::INVALID_TOPIC_EXCEPTION);
        let refused = world.ask(client, PRODUCE, produce(2, topic, 0, record()));
        assert_eq!(code_of(&refused), code::INVALID_REQUIRED_ACKS, "is looked at first");
        world.send_as("__admin_client", client, PRODUCE, produce(1, topic, 0, record()));
        world.settle();
        let taken = world.response::<ProduceResponse>(client, PRODUCE).unwrap();
        assert_eq!(code_of(&taken), 0);
    }
}

#[test]
fn records_of_internal_topics_are_not_deleted() {
    let mut world = World::new(1);
    let client = world.connect(0);
    let topic = "__consumer_offsets";
    create(&mut world, client, topic, 1);
    let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset: -1 }];
    let topics = vec![DeleteRecordsTopic { name: Str::from(topic), partitions }];
    let response = world.ask(client, 2, DeleteRecordsRequest { topics, timeout_ms: 1_000 });
    let code = response.topics[0].partitions[0].error_code;
    assert_eq!(code, code::INVALID_TOPIC_EXCEPTION);
}

/// A plain topic in a coordinator's place would have the wrong partitions and be deleted by age.
#[test]
fn asking_for_an_internal_topic_does_not_create_it() {
    let mut world = World::new(1);
    let client = world.connect(0);
    for name in ["__consumer_offsets", "__transaction_state", "__share_group_state"] {
        let wanted = MetadataRequestTopic { name: Some(Str::from(name)), ..Default::default() };
        let request = MetadataRequest {
            topics: Some(vec![wanted]),
            allow_auto_topic_creation: true,
            ..MetadataRequest::default()
        };
        let response = world.ask(client, 12, request);
        let topic = &response.topics[0];
        let expected = (code::UNKNOWN_TOPIC_OR_PARTITION, true, 0);
        assert_eq!((topic.error_code, topic.is_internal, topic.partitions.len()), expected);
        assert!(world.shard(0).replica.topic_by_name(name).is_none());
    }
}
