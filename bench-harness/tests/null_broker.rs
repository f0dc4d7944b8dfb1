//! The null broker over TCP: what it takes, what it refuses, and what a run against it says.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps nothing")]

use std::time::Duration;

use bench_harness::connection::Connection;
use bench_harness::failure::Failure;
use bench_harness::machine::{Group, LimitsRequest, measure};
use bench_harness::null_broker::{NULL_CLUSTER_ID, NullBroker};
use bench_harness::results::RunReport;
use bench_harness::run::{RunRequest, run};
use bench_harness::verification::VerifiedScope;
use bench_harness::workload::{Source, Workload, shipped};
use protocol::ErrorCode;
use protocol::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use protocol::messages::find_coordinator::FindCoordinatorRequest;
use protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use protocol::messages::metadata::MetadataRequest;
use protocol::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use protocol::record_batch::{BatchBuilder, BatchOptions};

const TIMEOUT: Duration = Duration::from_secs(10);

fn connected(broker: &NullBroker) -> Connection {
    Connection::open(&broker.address().to_string(), TIMEOUT).unwrap()
}

fn create(connection: &mut Connection, name: &str, partitions: i32) -> i16 {
    let topic =
        CreatableTopic { name: name.into(), num_partitions: partitions, ..Default::default() };
    let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
    connection.call(request).unwrap().topics[0].error_code
}

fn batch(records: u8) -> Vec<u8> {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for record in 0..records {
        builder.push(0, None, Some(&[record]), &[]);
    }
    builder.finish()
}

fn produce(topic: &str, partition: i32, batch: Vec<u8>) -> ProduceRequest {
    let partition_data =
        vec![PartitionProduceData { index: partition, records: Some(batch.into()) }];
    ProduceRequest {
        acks: -1,
        topic_data: vec![TopicProduceData { name: topic.into(), partition_data }],
        ..Default::default()
    }
}

/// Base offset and error code.
fn append(connection: &mut Connection, request: ProduceRequest) -> (i64, i16) {
    let response = connection.call(request).unwrap();
    let answer = &response.responses[0].partition_responses[0];
    (answer.base_offset, answer.error_code)
}

#[test]
fn offsets_follow_each_other_and_a_bad_crc_is_refused() {
    let broker = NullBroker::start("127.0.0.1:0").unwrap();
    let mut connection = connected(&broker);
    assert_eq!(create(&mut connection, "t", 2), 0);
    assert_eq!(append(&mut connection, produce("t", 0, batch(3))), (0, 0));
    assert_eq!(append(&mut connection, produce("t", 0, batch(2))), (3, 0));
    assert_eq!(append(&mut connected(&broker), produce("t", 0, batch(1))), (5, 0));
    assert_eq!(append(&mut connection, produce("t", 1, batch(1))), (0, 0));

    let mut damaged = batch(3);
    *damaged.last_mut().unwrap() ^= 1;
    let refused = append(&mut connection, produce("t", 0, damaged));
    assert_eq!(refused, (-1, ErrorCode::CorruptMessage.code()));
    assert_eq!(append(&mut connection, produce("t", 0, batch(1))), (6, 0), "none was used up");

    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    assert_eq!(append(&mut connection, produce("t", 2, batch(1))), (-1, unknown));
    assert_eq!(append(&mut connection, produce("nobody's", 0, batch(1))), (-1, unknown));
    let two = [batch(1), batch(1)].concat();
    let refused = append(&mut connection, produce("t", 0, two));
    assert_eq!(refused, (-1, ErrorCode::InvalidRecord.code()), "a request has one batch each");
}

#[test]
fn large_and_small_requests_share_a_connection() {
    let broker = NullBroker::start("127.0.0.1:0").unwrap();
    let mut connection = connected(&broker);
    create(&mut connection, "t", 1);
    let lengths = [10, 2_000_000, 1, 70_000, 65_000, 3_000_000, 10];
    for (next, length) in (0..).zip(lengths) {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        builder.push(0, None, Some(&vec![7; length]), &[]);
        let offset = append(&mut connection, produce("t", 0, builder.finish()));
        assert_eq!(offset, (next, 0), "{length} bytes");
    }
}

#[test]
fn what_was_taken_is_nowhere_and_there_are_no_groups() {
    let broker = NullBroker::start("127.0.0.1:0").unwrap();
    let mut connection = connected(&broker);
    create(&mut connection, "t", 1);
    append(&mut connection, produce("t", 0, batch(4)));
    let partitions = vec![ListOffsetsPartition { timestamp: -2, ..Default::default() }];
    let topics = vec![ListOffsetsTopic { name: "t".into(), partitions }];
    let listed = connection.call(ListOffsetsRequest { topics, ..Default::default() }).unwrap();
    assert_eq!(listed.topics[0].partitions[0].offset, 4, "the earliest is the latest");

    let mut fetch = |offset| {
        let partitions = vec![FetchPartition { fetch_offset: offset, ..Default::default() }];
        let topics = vec![FetchTopic { topic: "t".into(), partitions, ..Default::default() }];
        let request = FetchRequest { topics, min_bytes: 1, max_wait_ms: 1, ..Default::default() };
        let response = connection.call(request).unwrap();
        let answer = &response.responses[0].partitions[0];
        (answer.error_code, answer.high_watermark)
    };
    assert_eq!(fetch(4), (0, 4));
    assert_eq!(fetch(0), (ErrorCode::OffsetOutOfRange.code(), 4));

    let keys = vec!["group".into()];
    let request = FindCoordinatorRequest { coordinator_keys: keys, ..Default::default() };
    let found = connection.call(request).unwrap();
    let code = found.coordinators.first().map_or(found.error_code, |one| one.error_code);
    assert_eq!(code, ErrorCode::CoordinatorNotAvailable.code());

    let metadata = connection.call(MetadataRequest::default()).unwrap();
    assert_eq!(metadata.cluster_id.as_deref(), Some(NULL_CLUSTER_ID));
    assert_eq!(create(&mut connection, "t", 1), ErrorCode::TopicAlreadyExists.code());
}

fn run_against(broker: &NullBroker, settings: &[&str]) -> Result<RunReport, Failure> {
    let settings: Vec<String> = settings.iter().map(|text| (*text).to_owned()).collect();
    let text = shipped::find("saturate-1k").unwrap();
    let source = Source { text, directory: None, settings: &settings };
    let request = RunRequest {
        workload: Workload::parse(&source).unwrap(),
        bootstrap: broker.address().to_string(),
        label: "null".to_owned(),
        broker_process: None,
        metrics: None,
        keep_topics: false,
        out: None,
        arguments: Vec::new(),
        limits: None,
    };
    run(&request, &mut |_| {})
}

#[test]
fn a_run_against_it_is_labelled_a_ceiling_for_both_clients() {
    for client in ["client=raw", "client=rdkafka"] {
        let broker = NullBroker::start("127.0.0.1:0").unwrap();
        let settings = [client, "durationSeconds=1", "warmUp=0", "partitionsPerTopic=3"];
        let report = run_against(&broker, &settings).unwrap();
        let verification = &report.verification;
        assert_eq!(verification.verified, VerifiedScope::Acknowledgements, "{client}");
        assert!(verification.is_verified && verification.records_acknowledged > 0, "{client}");
        assert!(report.notes.iter().any(|note| note.contains("a ceiling")), "{client}");
        let json = serde_json::to_value(&report).unwrap();
        let said = "acknowledgements only (null broker)";
        assert_eq!(json["verification"]["verified"], said, "{client}");
        let metadata =
            connected(&broker).call(MetadataRequest { topics: None, ..Default::default() });
        assert!(metadata.unwrap().topics.is_empty(), "the run's topics are gone");
    }
}

#[test]
fn a_workload_that_reads_is_refused_with_what_to_do() {
    let broker = NullBroker::start("127.0.0.1:0").unwrap();
    let settings = ["subscriptionsPerTopic=1", "consumerPerSubscription=1", "durationSeconds=1"];
    let refused = run_against(&broker, &settings).unwrap_err();
    assert!(refused.sentence.contains("use a workload without consumers"), "{refused}");
}

#[test]
fn limits_names_each_limit_of_its_groups() {
    let request = LimitsRequest {
        directory: ".".into(),
        is_thorough: false,
        groups: vec![Group::Processor, Group::Loopback],
    };
    let mut steps = 0;
    let report = measure(&request, &mut |_| steps += 1).unwrap();
    assert!(steps > 3);
    for id in [
        "memory.copy.one-thread",
        "memory.copy.all-threads",
        "cpu.crc32c",
        "cpu.system-call",
        "cpu.clock",
        "cpu.timer-lateness",
        "loopback.throughput",
        "loopback.round-trip",
        "machine.steal",
    ] {
        let limit = report.get(id).unwrap_or_else(|| panic!("no {id}"));
        assert!(!limit.how.is_empty() && limit.samples > 0, "{limit:?}");
    }
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["limits"][0]["unit"], "bytes/s");
}
