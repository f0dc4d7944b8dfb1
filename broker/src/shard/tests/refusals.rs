//! What is refused for what the cluster is, not for what the bytes are: internal topics, too few replicas in sync,
//! transactions that nobody has begun, answers
//! that an old consumer would not understand.

use bytes::Bytes;
use coordinator::topic_config::StaticBrokerConfig;
use protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use protocol::messages::fetch::FetchResponse;
use protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use protocol::messages::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use protocol::record_batch::{BatchBuilder, BatchOptions, Producer};
use protocol::{ProducerEpoch, ProducerId, Str};

use super::code;
use super::produce_and_fetch::{create, fetch, produce};
use super::world::{Client, World, batch};

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

#[test]
fn records_that_only_compaction_takes_are_not_deleted() {
    let mut world = World::new(1);
    let client = world.connect(0);
    for (topic, policy, expected) in
        [("kept", "compact", code::POLICY_VIOLATION), ("both", "compact,delete", code::NONE)]
    {
        let value = Some(Str::from(policy));
        let topic_to_be = CreatableTopic {
            name: Str::from(topic),
            num_partitions: 1,
            replication_factor: 1,
            configs: vec![CreatableTopicConfig { name: Str::from("cleanup.policy"), value }],
            ..CreatableTopic::default()
        };
        let topics = vec![topic_to_be];
        world.ask(client, 7, CreateTopicsRequest { topics, ..CreateTopicsRequest::default() });
        let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset: -1 }];
        let topics = vec![DeleteRecordsTopic { name: Str::from(topic), partitions }];
        let response = world.ask(client, 2, DeleteRecordsRequest { topics, timeout_ms: 1_000 });
        assert_eq!(response.topics[0].partitions[0].error_code, expected, "{policy}");
    }
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

/// Of one replica, one is in sync: Kafka asks for no more replicas than there are.
#[test]
fn acks_all_asks_for_no_more_replicas_in_sync_than_the_topic_has() {
    let mut world = configured(&[("min.insync.replicas", "2")]);
    let client = world.connect(0);
    create_with(&mut world, client, "two", ("min.insync.replicas", "2"));
    create_with(&mut world, client, "one", ("min.insync.replicas", "1"));
    create(&mut world, client, "default", 1);
    let record = || batch(&["a"], 1_700_000_000_000);
    for (topic, acks, code) in [
        ("two", -1, 0),
        ("two", 1, 0),
        ("two", 2, code::INVALID_REQUIRED_ACKS),
        ("one", -1, 0),
        ("default", -1, 0),
        ("default", 1, 0),
    ] {
        let response = world.ask(client, PRODUCE, produce(acks, topic, 0, record()));
        assert_eq!(code_of(&response), code, "{topic}, acks={acks}");
    }
}

fn create_with(world: &mut World, client: Client, name: &str, config: (&str, &str)) {
    let config =
        CreatableTopicConfig { name: Str::from(config.0), value: Some(Str::from(config.1)) };
    let topic = CreatableTopic {
        name: Str::from(name),
        num_partitions: 1,
        replication_factor: 1,
        configs: vec![config],
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
    assert_eq!(world.ask(client, 7, request).topics[0].error_code, 0);
}

fn transactional(id: i64, epoch: i16) -> Bytes {
    let producer = Producer { id: ProducerId(id), epoch: ProducerEpoch(epoch), base_sequence: 0 };
    let options = BatchOptions {
        is_transactional: true,
        producer: Some(producer),
        ..BatchOptions::default()
    };
    let mut builder = BatchBuilder::new(options);
    builder.push(1_700_000_000_000, None, Some(b"a"), &[]);
    Bytes::from(builder.finish())
}

/// A batch for each partition from 0 on.
fn in_transaction(id: Option<&str>, batches: Vec<Bytes>) -> ProduceRequest {
    let data = (0..).zip(batches);
    let data = data.map(|(index, batch)| PartitionProduceData { index, records: Some(batch) });
    ProduceRequest {
        transactional_id: id.map(Str::from),
        acks: -1,
        timeout_ms: 5_000,
        topic_data: vec![TopicProduceData { name: Str::from("t"), partition_data: data.collect() }],
    }
}

#[test]
fn batches_of_a_transaction_that_was_never_begun_have_kafkas_codes() {
    let mut world = World::new(1);
    let client = world.connect(0);
    create(&mut world, client, "t", 2);
    let plain = || batch(&["a"], 1_700_000_000_000);
    let (mapping, denied) =
        (code::INVALID_PRODUCER_ID_MAPPING, code::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    for (version, id, batches, codes) in [
        (9, None, vec![transactional(5, 0), plain()], [denied; 2]),
        (9, None, vec![plain(), transactional(5, 0)], [denied; 2]),
        (9, None, vec![transactional(5, 0), transactional(6, 0)], [denied; 2]),
        (9, Some("id"), vec![transactional(5, 0), transactional(6, 0)], [mapping; 2]),
        (9, Some("id"), vec![transactional(5, 0), transactional(5, 1)], [mapping; 2]),
        (
            9,
            Some("id"),
            vec![transactional(5, 0), transactional(5, 0)],
            [code::INVALID_TXN_STATE; 2],
        ),
        (9, Some("id"), vec![transactional(5, 0), plain()], [code::INVALID_TXN_STATE, 0]),
        (10, Some("id"), vec![transactional(5, 0), plain()], [code::INVALID_TXN_STATE, 0]),
        (11, Some("id"), vec![transactional(5, 0), plain()], [code::TRANSACTION_ABORTABLE, 0]),
        (9, Some("id"), vec![plain(), plain()], [0; 2]),
    ] {
        let response = world.ask(client, version, in_transaction(id, batches));
        let found = &response.responses[0].partition_responses;
        let found = [found[0].error_code, found[1].error_code];
        assert_eq!(found, codes, "Produce {version}, transactional id {id:?}");
    }
}

fn fetched_code(response: &FetchResponse) -> i16 {
    response.responses[0].partitions[0].error_code
}

#[test]
fn a_topic_that_is_compressed_with_zstd_is_for_clients_that_know_it() {
    let mut world = World::new(1);
    let client = world.connect(0);
    create_with(&mut world, client, "zstd", ("compression.type", "zstd"));
    create_with(&mut world, client, "lz4", ("compression.type", "lz4"));
    create(&mut world, client, "producer", 1);
    let unsupported = code::UNSUPPORTED_COMPRESSION_TYPE;
    for (version, topic, code) in [
        (4, "zstd", unsupported),
        (9, "zstd", unsupported),
        (10, "zstd", 0),
        (4, "lz4", 0),
        (4, "producer", 0),
    ] {
        let response = world.ask(client, version, fetch(topic, &[(0, 0)], (0, 1)));
        assert_eq!(fetched_code(&response), code, "Fetch {version} of {topic}");
    }
}

/// They would take an error that they do not know for the end of everything.
#[test]
fn consumers_before_fetch_6_are_told_of_offline_storage_as_of_another_leader() {
    let mut world = World::new(1);
    let client = world.connect(0);
    create(&mut world, client, "t", 1);
    world.send(client, PRODUCE, produce(1, "t", 0, batch(&["a"], 1_700_000_000_000)));
    world.fail_disk();
    let produced = world.response::<ProduceResponse>(client, PRODUCE).unwrap();
    assert_eq!(code_of(&produced), code::KAFKA_STORAGE_ERROR);
    for (version, code) in [(5, code::NOT_LEADER_OR_FOLLOWER), (6, code::KAFKA_STORAGE_ERROR)] {
        let response = world.ask(client, version, fetch("t", &[(0, 0)], (0, 1)));
        assert_eq!(fetched_code(&response), code, "Fetch {version}");
    }
}

/// It waited for ever: only who had records to read heard of it.
#[test]
fn a_consumer_at_the_end_of_the_log_hears_that_its_storage_went_offline() {
    let mut world = World::new(1);
    let (producer, consumer) = (world.connect(0), world.connect(0));
    create(&mut world, producer, "t", 1);
    world.send(consumer, 12, fetch("t", &[(0, 0)], (10_000, 1)));
    world.settle();
    assert_eq!(world.response::<FetchResponse>(consumer, 12), None, "it waits");
    world.send(producer, PRODUCE, produce(1, "t", 0, batch(&["a"], 1_700_000_000_000)));
    world.fail_disk();
    let response = world.response::<FetchResponse>(consumer, 12).expect("an answer");
    assert_eq!(fetched_code(&response), code::KAFKA_STORAGE_ERROR);
    let again = world.ask(consumer, 12, fetch("t", &[(0, 0)], (10_000, 1)));
    assert_eq!(fetched_code(&again), code::KAFKA_STORAGE_ERROR);
}

fn configured(values: &[(&str, &str)]) -> World {
    let values = values.iter().map(|(name, value)| (Str::from(*name), Str::from(*value)));
    World::configured(1, StaticBrokerConfig::new(values).unwrap())
}

#[test]
fn a_fetch_carries_no_more_than_the_broker_allows_and_one_batch_at_least() {
    for (bytes_max, batches) in [("4096", 1), ("8192", 2)] {
        let mut world = configured(&[("fetch.max.bytes", bytes_max)]);
        let client = world.connect(0);
        create(&mut world, client, "t", 2);
        let value = "v".repeat(3_000);
        for index in 0..2 {
            let record = batch(&[&value], 1_700_000_000_000);
            let response = world.ask(client, PRODUCE, produce(1, "t", index, record));
            assert_eq!(code_of(&response), 0);
        }
        let response = world.ask(client, 12, fetch("t", &[(0, 0), (1, 0)], (0, 1)));
        let partitions = response.responses[0].partitions.iter();
        let found = partitions.filter(|partition| !partition.records.is_empty()).count();
        assert_eq!(found, batches, "fetch.max.bytes={bytes_max}");
    }
}

#[test]
fn a_request_beyond_the_brokers_largest_closes_its_connection() {
    let mut world = configured(&[("socket.request.max.bytes", "1000")]);
    let client = world.connect(0);
    create(&mut world, client, "t", 1);
    assert_eq!(world.closed, []);
    let record = batch(&[&"v".repeat(2_000)], 1_700_000_000_000);
    world.send(client, PRODUCE, produce(1, "t", 0, record));
    assert_eq!(world.closed, [(0, client.connection)]);
}

#[test]
fn a_connection_is_idle_as_long_as_the_broker_allows() {
    let mut world = configured(&[("connections.max.idle.ms", "5000")]);
    let client = world.connect(0);
    world.advance_ms(4_999);
    assert_eq!(world.closed, []);
    world.advance_ms(2);
    assert_eq!(world.closed, [(0, client.connection)]);
}
