//! Workload files: OpenMessaging's keys as that program's users write them, and ours.

use super::{
    Acks, ClientTier, KeyChoice, PayloadChoice, Rate, Source, WarmUp, Workload, WorkloadError,
    shipped,
};
use crate::histograms::Latency;

fn parse_with(text: &str, settings: &[String]) -> Result<Workload, WorkloadError> {
    Workload::parse(&Source { text, directory: None, settings })
}

fn parse(text: &str) -> Result<Workload, WorkloadError> {
    parse_with(text, &[])
}

/// The keys of the files that come with that program.
const PLAIN: &str = r#"
# comment
name: 1 topic / 16 partitions / 1Kb

topics: 1
partitionsPerTopic: 16
keyDistributor: "NO_KEY"
messageSize: 1024
payloadFile: "payload/payload-1Kb.data"
subscriptionsPerTopic: 1
consumerPerSubscription: 2
producersPerTopic: 3
producerRate: 50000
consumerBacklogSizeGB: 0
testDurationMinutes: 15
"#;

#[test]
fn a_file_of_openmessaging_is_understood_as_it_is() {
    let workload = parse(PLAIN).unwrap();
    assert_eq!(workload.name, "1 topic / 16 partitions / 1Kb");
    assert_eq!((workload.topics, workload.partitions()), (1, 16));
    assert_eq!((workload.producers(), workload.consumers_per_subscription), (3, 2));
    assert_eq!(workload.record_bytes, 1024);
    assert_eq!(workload.rate, Rate::Open { records_per_second: 50_000.0 });
    assert_eq!(workload.keys, KeyChoice::None);
    assert_eq!(workload.duration_seconds, 900.0);
    assert_eq!(workload.own.client, ClientTier::Rdkafka);
    // The payload's file is not beside this test: that is said.
    assert!(workload.notes[0].contains("payload-1Kb.data"), "{:?}", workload.notes);
}

#[test]
fn randomised_payloads_backlogs_and_searched_rates_are_understood() {
    let workload = parse(
        "name: backlog
topics: 2
partitionsPerTopic: 100
messageSize: 512
useRandomizedPayloads: true
randomBytesRatio: 0.25
randomizedPayloadPoolSize: 77
keyDistributor: KEY_ROUND_ROBIN
subscriptionsPerTopic: 3
consumerPerSubscription: 4
producersPerTopic: 4
producerRate: 0
producerStartRate: 100000
consumerBacklogSizeGB: 2
testDurationMinutes: 5",
    )
    .unwrap();
    assert_eq!(workload.payload, PayloadChoice::Generated { entropy: 0.25, pool: 77 });
    assert_eq!(workload.keys, KeyChoice::RoundRobin { count: 10_000 });
    assert_eq!(workload.rate, Rate::Closed);
    assert_eq!(workload.backlog_bytes, 2 << 30);
    assert_eq!(workload.producers(), 8);
    assert!(workload.notes.iter().any(|note| note.contains("closed loop")));
    assert!(workload.notes.iter().any(|note| note.contains("producerStartRate")));
}

#[test]
fn unknown_keys_of_openmessaging_are_noted_and_ours_are_refused() {
    let workload = parse(&format!("{PLAIN}producerPauseBeforeDrain: 3\n")).unwrap();
    assert!(workload.notes.iter().any(|note| note.contains("producerPauseBeforeDrain")));
    let error = parse(&format!("{PLAIN}corelane:\n  ackss: 1\n")).unwrap_err();
    assert_eq!(error.key, "corelane.ackss");
}

#[test]
fn our_keys_are_understood() {
    let workload = parse(&format!(
        "{PLAIN}
corelane:
  client: raw
  arrival: bursty
  burstOnMilliseconds: 10
  seed: 9
  payloadEntropy: 1
  keys: zipf
  keyCount: 50
  codec: lz4
  acks: 1
  batchBytes: 16384
  inFlightMax: 8
  durability: memory
  warmUp: 3
  durationSeconds: 2.5
  topicConfigs:
    min.insync.replicas: 1
  invalidation:
    stealPercentMax: 5
  slo:
    percent: 99.9
    milliseconds: 10
"
    ))
    .unwrap();
    let own = &workload.own;
    assert_eq!(own.client, ClientTier::Raw);
    assert_eq!(own.acks, Acks::Leader);
    assert_eq!(own.warm_up, Some(WarmUp::Seconds(3.0)));
    assert_eq!(own.topic_configs, [("min.insync.replicas".to_owned(), "1".to_owned())]);
    assert_eq!(own.invalidation.steal_percent_max, 5.0);
    let slo = own.slo.unwrap();
    assert_eq!((slo.latency, slo.percent, slo.milliseconds), (Latency::Response, 99.9, 10.0));
    assert_eq!(workload.keys, KeyChoice::Zipf { count: 50 });
    assert_eq!(workload.duration_seconds, 2.5);
}

#[test]
fn settings_of_the_command_line_replace_keys_of_both_kinds() {
    let settings = ["messageSize=100", "acks=1", "corelane.codec=zstd", "durationSeconds=2"]
        .map(str::to_owned);
    let workload = parse_with(PLAIN, &settings).unwrap();
    assert_eq!(workload.record_bytes, 100);
    assert_eq!(workload.own.acks, Acks::Leader);
    assert_eq!(workload.duration_seconds, 2.0);
    assert!(parse_with(PLAIN, &["acks".to_owned()]).is_err());
}

#[test]
fn what_makes_no_sense_is_refused_with_its_key() {
    let refused = |settings: &[&str]| {
        let settings: Vec<String> = settings.iter().map(|text| (*text).to_owned()).collect();
        parse_with(PLAIN, &settings).unwrap_err().key
    };
    assert_eq!(refused(&["topics=0"]), "topics");
    assert_eq!(refused(&["partitionsPerTopic=many"]), "partitionsPerTopic");
    assert_eq!(refused(&["partitionsPerTopic=1000000"]), "partitionsPerTopic");
    assert_eq!(refused(&["producersPerTopic=0"]), "producersPerTopic");
    assert_eq!(refused(&["producerRate=-1"]), "producerRate");
    assert_eq!(refused(&["messageSize=15"]), "messageSize");
    assert_eq!(refused(&["testDurationMinutes=0"]), "testDurationMinutes");
    assert_eq!(refused(&["acks=0"]), "corelane.acks");
    assert_eq!(refused(&["acks=1", "idempotence=true"]), "corelane.acks");
    assert_eq!(refused(&["codec=brotli"]), "corelane.codec");
    assert_eq!(refused(&["keyDistributor=HASH"]), "keyDistributor");
    assert!(parse("[1, 2]").is_err());
    assert!(parse("a: [").is_err());
}

#[test]
fn every_shipped_workload_is_understood_and_says_what_it_is_for() {
    for shipped in shipped::ALL {
        let workload = parse(shipped.text).unwrap_or_else(|error| {
            panic!("{}: {error}", shipped.name);
        });
        let unknown = workload.notes.iter().find(|note| note.contains("not known"));
        assert_eq!(unknown, None, "{}", shipped.name);
        assert!(shipped::purpose(shipped.text).len() > 20, "{}", shipped.name);
        assert_eq!(shipped::find(shipped.name), Some(shipped.text));
    }
    assert!(shipped::find("nothing").is_none());
}
