//! Produce, durable, fetch: across shards, parked, cancelled, refused.

use bytes::Bytes;
use protocol::limits::RECORDS_REFUSED_MAX;
use protocol::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use protocol::messages::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use protocol::messages::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use protocol::record_batch::{BatchBuilder, BatchOptions, BatchSlice};
use protocol::{Offset, Str};

use crate::limits::RECORD_ERRORS_MAX;

use super::code;
use super::world::{Client, World, batch, owner};

const PRODUCE: i16 = 9;
const FETCH: i16 = 12;
const API_VERSIONS: i16 = 2;

pub(super) fn create(world: &mut World, client: Client, name: &str, partitions: i32) {
    let topic = CreatableTopic {
        name: Str::from(name),
        num_partitions: partitions,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
    let response = world.ask(client, 7, request);
    assert_eq!(response.topics[0].error_code, 0, "{response:?}");
}

pub(super) fn produce(acks: i16, topic: &str, index: i32, records: Bytes) -> ProduceRequest {
    ProduceRequest {
        acks,
        timeout_ms: 5_000,
        topic_data: vec![TopicProduceData {
            name: Str::from(topic),
            partition_data: vec![PartitionProduceData { index, records: Some(records) }],
        }],
        ..ProduceRequest::default()
    }
}

pub(super) fn fetch(topic: &str, partitions: &[(i32, i64)], wait: (i32, i32)) -> FetchRequest {
    let partition = |(index, offset): &(i32, i64)| FetchPartition {
        partition: *index,
        fetch_offset: *offset,
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    };
    FetchRequest {
        max_wait_ms: wait.0,
        min_bytes: wait.1,
        max_bytes: 1 << 20,
        topics: vec![FetchTopic {
            topic: Str::from(topic),
            partitions: partitions.iter().map(partition).collect(),
            ..FetchTopic::default()
        }],
        ..FetchRequest::default()
    }
}

fn produced(response: &ProduceResponse) -> (i16, i64) {
    let partition = &response.responses[0].partition_responses[0];
    (partition.error_code, partition.base_offset)
}

#[test]
fn a_batch_is_acknowledged_when_it_is_durable_and_served_then() {
    let mut world = World::new(1);
    let (client, reader) = (world.connect(0), world.connect(0));
    create(&mut world, client, "t", 1);
    let sent = batch(&["a", "b"], 1_700_000_000_000);
    // The first append makes the segment's file; the second one has only the journal to wait for.
    world.ask(client, PRODUCE, produce(1, "t", 0, sent.clone()));
    world.send(client, PRODUCE, produce(1, "t", 0, sent.clone()));
    assert_eq!(world.response::<ProduceResponse>(client, PRODUCE), None, "nothing is durable");
    world.send(client, API_VERSIONS, ApiVersionsRequest::default());
    let answer = world.response::<ApiVersionsResponse>(client, API_VERSIONS);
    assert_eq!(answer, None, "answers keep their order");
    world.send(reader, FETCH, fetch("t", &[(0, 2)], (0, 1)));
    world.settle();
    let response = world.response::<ProduceResponse>(client, PRODUCE).unwrap();
    assert_eq!(produced(&response), (0, 2));
    assert!(world.response::<ApiVersionsResponse>(client, API_VERSIONS).is_some());
    let early = world.response::<FetchResponse>(reader, FETCH).unwrap();
    let early = &early.responses[0].partitions[0];
    assert_eq!((early.error_code, early.high_watermark), (0, 2), "not shown before it is durable");
    assert!(early.records.is_empty());

    let response = world.ask(client, FETCH, fetch("t", &[(0, 3)], (0, 1)));
    let partition = &response.responses[0].partitions[0];
    assert_eq!((partition.error_code, partition.high_watermark), (0, 4));
    let stored = partition.records.joined();
    let header = BatchSlice::first(&stored).unwrap().header;
    assert_eq!(
        (header.base_offset, header.record_count),
        (Offset(2), 2),
        "the batch with offset 3"
    );
    assert_eq!(stored[16..], sent[16..], "what is in the CRC is as it was sent");
}

/// What later fetches have read would pin memory until the older one is answered.
#[test]
fn a_fetch_begins_when_all_before_it_is_answered_and_nothing_begins_behind_it() {
    let mut world = World::new(1);
    let client = world.connect(0);
    create(&mut world, client, "t", 1);
    let first = batch(&["a"], 1_700_000_000_000);
    world.ask(client, PRODUCE, produce(1, "t", 0, first.clone()));
    world.send(client, FETCH, fetch("t", &[(0, 1)], (500, 1)));
    world.send(client, PRODUCE, produce(1, "t", 0, first.clone()));
    world.send(client, FETCH, fetch("t", &[(0, 1)], (0, 1)));
    world.settle();
    assert_eq!(world.response::<FetchResponse>(client, FETCH), None, "it waits for records");
    world.advance_ms(500);
    world.settle();
    let records = |response: &FetchResponse| {
        response.responses[0].partitions[0].records.parts().concat().len()
    };
    let empty = world.response::<FetchResponse>(client, FETCH).unwrap();
    assert_eq!(records(&empty), 0, "what was sent behind it was not taken before it");
    let response = world.response::<ProduceResponse>(client, PRODUCE).unwrap();
    assert_eq!(produced(&response), (0, 1));
    let found = world.response::<FetchResponse>(client, FETCH).unwrap();
    assert_eq!(records(&found), first.len(), "it sees what was acknowledged before it");
}

#[test]
fn a_shard_serves_partitions_of_others_with_one_hop_each_way() {
    let mut world = World::new(2);
    let client = world.connect(0);
    create(&mut world, client, "t", 2);
    let owners = [owner(&world, "t", 0), owner(&world, "t", 1)];
    assert_ne!(owners[0], owners[1], "partitions are spread");
    for index in 0..2 {
        let records = batch(&["x"], 1_700_000_000_000);
        let response = world.ask(client, PRODUCE, produce(-1, "t", index, records));
        assert_eq!(produced(&response), (0, 0));
    }
    let response = world.ask(client, FETCH, fetch("t", &[(0, 0), (1, 0)], (0, 1)));
    let partitions = &response.responses[0].partitions;
    assert_eq!(partitions.len(), 2);
    assert!(partitions.iter().all(|partition| !partition.records.is_empty()), "{response:?}");
}

#[test]
fn a_long_poll_waits_for_bytes_of_all_its_owners() {
    let mut world = World::new(2);
    let client = world.connect(0);
    let producer = world.connect(1);
    create(&mut world, client, "t", 2);
    let bytes = batch(&["x"], 1_700_000_000_000).len();
    let both = i32::try_from(bytes + bytes / 2).unwrap();
    world.send(client, FETCH, fetch("t", &[(0, 0), (1, 0)], (10_000, both)));
    world.settle();
    assert_eq!(world.response::<FetchResponse>(client, FETCH), None);
    for index in 0..2 {
        assert_eq!(world.response::<FetchResponse>(client, FETCH), None, "one batch is too little");
        let records = batch(&["x"], 1_700_000_000_000);
        world.ask(producer, PRODUCE, produce(1, "t", index, records));
    }
    let response = world.response::<FetchResponse>(client, FETCH).expect("both are enough");
    let partitions = &response.responses[0].partitions;
    assert!(partitions.iter().all(|partition| !partition.records.is_empty()), "{response:?}");
}

#[test]
fn a_long_poll_ends_with_what_is_there_when_its_time_is_up() {
    let mut world = World::new(2);
    let client = world.connect(0);
    create(&mut world, client, "t", 2);
    world.send(client, FETCH, fetch("t", &[(0, 0), (1, 0)], (500, 1)));
    world.settle();
    world.advance_ms(499);
    assert_eq!(world.response::<FetchResponse>(client, FETCH), None);
    world.advance_ms(1);
    let response = world.response::<FetchResponse>(client, FETCH).expect("the time is up");
    let partitions = &response.responses[0].partitions;
    assert!(partitions.iter().all(|one| one.error_code == 0 && one.records.is_empty()));
}

#[test]
fn a_closed_connection_takes_its_long_poll_with_it() {
    let mut world = World::new(2);
    let client = world.connect(0);
    create(&mut world, client, "t", 2);
    world.send(client, FETCH, fetch("t", &[(0, 0), (1, 0)], (10_000, 1)));
    let parked = |world: &World| -> usize {
        (0..2).map(|shard| world.shard(shard).owner.fetches.parked()).sum()
    };
    assert_eq!(parked(&world), 2);
    world.disconnect(client);
    assert_eq!(parked(&world), 0);
    assert_eq!(world.shard(0).progress.requests.len(), 0);
}

#[test]
fn without_acknowledgement_there_is_no_answer_and_an_error_closes() {
    let mut world = World::new(1);
    let client = world.connect(0);
    create(&mut world, client, "t", 1);
    let sent = batch(&["a"], 1_700_000_000_000);
    world.send(client, PRODUCE, produce(0, "t", 0, sent.clone()));
    world.settle();
    assert_eq!(world.response::<ProduceResponse>(client, PRODUCE), None);
    assert_eq!(world.closed, []);
    world.send(client, PRODUCE, produce(0, "none", 0, sent));
    assert_eq!(world.closed, [(0, client.connection)]);
}

#[test]
fn refusals_have_kafkas_codes() {
    let mut world = World::new(1);
    let client = world.connect(0);
    create(&mut world, client, "t", 1);
    let good = batch(&["a"], 1_700_000_000_000);
    let mut wrong_crc = good.to_vec();
    wrong_crc[65] ^= 1;
    for (request, code) in [
        (produce(1, "none", 0, good.clone()), code::UNKNOWN_TOPIC_OR_PARTITION),
        (produce(1, "t", 1, good.clone()), code::UNKNOWN_TOPIC_OR_PARTITION),
        (produce(2, "t", 0, good.clone()), code::INVALID_REQUIRED_ACKS),
        (produce(1, "t", 0, Bytes::from(wrong_crc)), code::CORRUPT_MESSAGE),
        (produce(1, "t", 0, Bytes::new()), code::INVALID_RECORD),
    ] {
        let response = world.ask(client, PRODUCE, request);
        assert_eq!(produced(&response), (code, -1));
    }
    let response = world.ask(client, FETCH, fetch("t", &[(0, 5)], (0, 1)));
    let partition = &response.responses[0].partitions[0];
    assert_eq!(partition.error_code, code::OFFSET_OUT_OF_RANGE);
    assert_eq!(partition.high_watermark, -1);
}

/// Once the response named the first bad record only.
#[test]
fn every_record_without_a_key_is_named_up_to_a_bound() {
    let mut world = World::new(1);
    let client = world.connect(0);
    let name = Some(Str::from("compact"));
    let config = CreatableTopicConfig { name: Str::from("cleanup.policy"), value: name };
    let topic = CreatableTopic {
        name: Str::from("t"),
        num_partitions: 1,
        replication_factor: 1,
        configs: vec![config],
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
    assert_eq!(world.ask(client, 7, request).topics[0].error_code, 0);
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for _ in 0..RECORDS_REFUSED_MAX {
        builder.push(1_700_000_000_000, None, Some(b"value"), &[]);
    }
    let keyless = Bytes::from(builder.finish());
    let mut request = produce(1, "t", 0, keyless);
    let again = request.topic_data[0].partition_data[0].clone();
    let batches = RECORD_ERRORS_MAX / RECORDS_REFUSED_MAX + 1;
    request.topic_data[0].partition_data = vec![again; batches];
    let response = world.ask(client, PRODUCE, request);
    let partitions = &response.responses[0].partition_responses;
    assert!(partitions.iter().all(|partition| partition.error_code == code::INVALID_RECORD));
    let named: Vec<usize> =
        partitions.iter().map(|partition| partition.record_errors.len()).collect();
    assert_eq!(named[..batches - 1], vec![RECORDS_REFUSED_MAX; batches - 1]);
    assert_eq!(named[batches - 1], 0);
    let indexes = partitions[0].record_errors.iter().map(|error| error.batch_index);
    assert!(indexes.eq(0..100));
}

#[test]
fn an_unknown_version_closes_but_of_api_versions_it_is_answered() {
    let mut world = World::new(1);
    let client = world.connect(0);
    let frame = |key: u8, version: u8| {
        Bytes::from(vec![0, 0, 0, 10, 0, key, 0, version, 0, 0, 0, 7, 0xff, 0xff])
    };
    world.send_bytes(client, frame(18, 99));
    let response = world.response::<ApiVersionsResponse>(client, 0).unwrap();
    assert_eq!(response.error_code, code::UNSUPPORTED_VERSION);
    assert!(!response.api_keys.is_empty());
    assert_eq!(world.closed, []);
    world.send_bytes(client, frame(3, 99));
    assert_eq!(world.closed, [(0, client.connection)]);
}

#[test]
fn a_session_answers_with_what_changed() {
    let mut world = World::new(2);
    let client = world.connect(0);
    create(&mut world, client, "t", 4);
    let all: Vec<(i32, i64)> = (0..4).map(|index| (index, 0)).collect();
    let mut first = fetch("t", &all, (0, 1));
    first.session_epoch = 0;
    let response = world.ask(client, FETCH, first);
    assert_ne!(response.session_id, 0);
    assert_eq!(response.responses[0].partitions.len(), 4, "all in the first answer");
    let mut next = fetch("t", &[], (0, 1));
    next.topics.clear();
    (next.session_id, next.session_epoch) = (response.session_id, 1);
    let idle = world.ask(client, FETCH, next.clone());
    assert_eq!((idle.error_code, idle.responses.len()), (0, 0), "nothing to tell");
    let records = batch(&["x"], 1_700_000_000_000);
    world.ask(client, PRODUCE, produce(1, "t", 2, records));
    next.session_epoch = 2;
    let news = world.ask(client, FETCH, next.clone());
    let partitions = &news.responses[0].partitions;
    assert_eq!((news.responses.len(), partitions.len(), partitions[0].partition_index), (1, 1, 2));
    next.session_epoch = 2;
    let response = world.ask(client, FETCH, next);
    assert_eq!(response.error_code, code::INVALID_FETCH_SESSION_EPOCH);
}

/// Bytes were counted from the last entry of the index: a fetch at the tail was answered with every record.
#[test]
fn a_long_poll_waits_for_the_bytes_that_it_wants_behind_its_own_offset() {
    let mut world = World::new(1);
    let (client, producer) = (world.connect(0), world.connect(0));
    create(&mut world, client, "t", 1);
    let one = || batch(&["x"], 1_700_000_000_000);
    let bytes = i32::try_from(one().len()).unwrap();
    for _ in 0..20 {
        world.ask(producer, PRODUCE, produce(1, "t", 0, one()));
    }
    // From the tail, and from one record before it.
    for (behind, wanted) in [(0, 3), (1, 4)] {
        let end = 20 + 3 * behind;
        let wanted_bytes = (10_000, wanted * bytes);
        world.send(client, FETCH, fetch("t", &[(0, end - behind)], wanted_bytes));
        world.settle();
        for _ in 0..3 {
            assert_eq!(world.response::<FetchResponse>(client, FETCH), None);
            world.ask(producer, PRODUCE, produce(1, "t", 0, one()));
        }
        let response = world.response::<FetchResponse>(client, FETCH).expect("it is enough");
        let found = response.responses[0].partitions[0].records.length();
        assert_eq!(i32::try_from(found).unwrap(), wanted * bytes);
    }
}

#[test]
fn a_fetch_of_no_bytes_gets_the_first_batch() {
    let mut world = World::new(1);
    let client = world.connect(0);
    create(&mut world, client, "t", 2);
    for index in 0..2 {
        let records = batch(&["x"], 1_700_000_000_000);
        world.ask(client, PRODUCE, produce(1, "t", index, records));
    }
    for bytes_max in [0, -1] {
        let mut request = fetch("t", &[(0, 0), (1, 0)], (500, 1));
        request.max_bytes = bytes_max;
        let response = world.ask(client, FETCH, request);
        let partitions = &response.responses[0].partitions;
        let found = partitions.iter().filter(|partition| !partition.records.is_empty());
        assert_eq!(found.count(), 1, "{response:?}");
    }
}

#[test]
fn records_are_sent_from_where_their_owner_has_them() {
    let mut world = World::new(2);
    let client = world.connect(0);
    create(&mut world, client, "t", 2);
    let mut sent = 0;
    for index in 0..2 {
        let record = batch(&["a", "b"], 1_700_000_000_000);
        sent += record.len() as u64;
        world.ask(client, PRODUCE, produce(1, "t", index, record));
    }
    let copied = |world: &World| world.shard(0).front.connections.metrics().record_bytes_copied;
    for (plants_copies, expected) in [(false, 0), (true, sent / 2)] {
        world.plants_copies = plants_copies;
        let response = world.ask(client, FETCH, fetch("t", &[(0, 0), (1, 0)], (0, 1)));
        let partitions = response.responses[0].partitions.iter();
        let bytes: usize = partitions.map(|partition| partition.records.length()).sum();
        assert_eq!(bytes as u64, sent);
        assert_eq!(copied(&world), expected, "of the partition of the other shard");
    }
}
