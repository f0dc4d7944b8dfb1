//! A real client, librdkafka through the `rdkafka` crate, against the real binary: what is written is
//! what is read, by every codec, every acks, from every place.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

mod node;

use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures_executor::block_on;
use node::Node;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);
/// A batch of so many records is worth compressing.
const LARGE_RECORDS: u64 = 20;
const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

/// Collects (partition, offset) of delivered records, or the error.
#[derive(Default)]
struct Deliveries(Mutex<Vec<Result<(i32, i64), KafkaError>>>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let outcome = match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, _)) => Err(error.clone()),
        };
        self.0.lock().unwrap().push(outcome);
    }
}

/// What a record is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Written {
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    timestamp: i64,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

fn config(node: &Node) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", node.bootstrap()).set("broker.address.family", "v4");
    config
}

fn create_topic(node: &Node, name: &str, partitions: i32) {
    let admin: AdminClient<DefaultClientContext> = config(node).create().unwrap();
    // Records have times of years ago: retention would take them while they are read.
    let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    let topic = topic.set("retention.ms", "-1");
    let results = block_on(admin.create_topics([&topic], &AdminOptions::new())).unwrap();
    assert!(results[0].is_ok(), "{results:?}");
}

fn record(codec: &str, at: usize) -> Written {
    let value = (at % 7 != 3).then(|| format!("{codec} value {at} ").repeat(1 + at % 50).into());
    Written {
        key: format!("key-{}", at % 10).into(),
        value,
        timestamp: 1_700_000_000_000 + at as i64 * 1000,
        headers: vec![
            ("trace".into(), Some(vec![0, 159, at as u8])),
            ("empty".into(), Some(Vec::new())),
            ("null".into(), None),
        ],
    }
}

/// Produces `count` records to one partition and gives their offsets.
fn produce(
    node: &Node,
    topic: &str,
    settings: &[(&str, &str)],
    codec: &str,
    count: usize,
) -> Vec<Written> {
    let mut config = config(node);
    config.set("linger.ms", "5").set("compression.codec", codec);
    for (name, value) in settings {
        config.set(*name, *value);
    }
    let producer: BaseProducer<Deliveries> =
        config.create_with_context(Deliveries::default()).unwrap();
    let records: Vec<Written> = (0..count).map(|at| record(codec, at)).collect();
    for written in &records {
        let mut headers = OwnedHeaders::new();
        for (key, value) in &written.headers {
            headers = headers.insert(Header { key, value: value.as_ref() });
        }
        let mut record: BaseRecord<'_, _, [u8]> = BaseRecord::to(topic)
            .partition(0)
            .key(&written.key)
            .timestamp(written.timestamp)
            .headers(headers);
        if let Some(value) = &written.value {
            record = record.payload(value);
        }
        producer.send(record).map_err(|error| error.0).unwrap();
        producer.poll(Duration::ZERO);
    }
    producer.flush(PATIENCE).unwrap();
    let delivered = producer.context().0.lock().unwrap();
    assert_eq!(delivered.len(), count);
    for outcome in delivered.iter() {
        assert!(outcome.is_ok(), "{outcome:?}");
    }
    records
}

/// A consumer of the only partition that begins at `from` and tells when it is at the end.
fn consumer(node: &Node, topic: &str, from: Offset) -> BaseConsumer {
    let mut config = config(node);
    config
        .set("group.id", "unused")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "error")
        .set("check.crcs", "true");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, from).unwrap();
    consumer.assign(&list).unwrap();
    consumer
}

/// Reads from `from` until `count` records came.
fn consume(node: &Node, topic: &str, from: Offset, count: usize) -> Vec<(i64, Written)> {
    receive(&consumer(node, topic, from), count)
}

fn receive(consumer: &BaseConsumer, count: usize) -> Vec<(i64, Written)> {
    let begun = Instant::now();
    let mut read = Vec::new();
    while read.len() < count {
        assert!(begun.elapsed() < PATIENCE, "{} of {count} records", read.len());
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => read.push((message.offset(), content(&message))),
            Some(Err(KafkaError::PartitionEOF(0))) | None => {}
            Some(Err(error)) => panic!("{error}"),
        }
    }
    read
}

/// Waits until the consumer has asked for records behind the last one.
fn reach_the_end(consumer: &BaseConsumer) {
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < PATIENCE, "the end is not reached");
        match consumer.poll(Duration::from_millis(100)) {
            Some(Err(KafkaError::PartitionEOF(0))) => return,
            Some(Err(error)) => panic!("{error}"),
            Some(Ok(message)) => panic!("a record at {} before the end", message.offset()),
            None => {}
        }
    }
}

/// Codec and number of records of each batch as it is stored. The node has ended.
fn stored_batches(node: &Node, topic: &str) -> Vec<(String, u64)> {
    let segment = node.data_dir().join(format!("{topic}-0/00000000000000000000.log"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_corelane"));
    let output = command.args(["inspect", "--format", "json"]).arg(segment).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let batches = text.lines().map(|line| {
        let batch: Value = serde_json::from_str(line).unwrap();
        let codec = batch["compression"].as_str().unwrap().to_owned();
        (codec, batch["records"].as_u64().unwrap())
    });
    batches.collect()
}

/// Record bytes that shards sent from elsewhere than the log's memory.
fn record_bytes_copied(node: &Node) -> Vec<u64> {
    by_shard(node, "corelane_record_bytes_copied_total")
}

fn by_shard(node: &Node, metric: &str) -> Vec<u64> {
    let metrics = node.admin_get("/metrics").unwrap();
    let rows = metrics.lines().filter(|line| line.starts_with(metric));
    let values = rows.map(|line| line.split_whitespace().next_back().unwrap().parse().unwrap());
    values.collect()
}

fn content(message: &BorrowedMessage<'_>) -> Written {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers
            .iter()
            .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
            .collect()
    });
    Written {
        key: message.key().unwrap_or_default().to_vec(),
        value: message.payload().map(<[u8]>::to_vec),
        timestamp: message.timestamp().to_millis().unwrap(),
        headers,
    }
}

#[test]
fn every_codec_and_every_acks_reads_back_as_it_was_written() {
    let mut node = Node::start();
    let mut topics = Vec::new();
    for codec in CODECS {
        for (acks, idempotent) in
            [("0", "false"), ("1", "false"), ("all", "false"), ("all", "true")]
        {
            let topic = format!("codec-{codec}-{acks}-{idempotent}");
            create_topic(&node, &topic, 1);
            let settings =
                [("acks", acks), ("enable.idempotence", idempotent), ("linger.ms", "200")];
            let written = produce(&node, &topic, &settings, codec, 200);
            let read = consume(&node, &topic, Offset::Beginning, written.len());
            for (at, ((offset, read), written)) in read.iter().zip(&written).enumerate() {
                assert_eq!(*offset, at as i64);
                assert_eq!(read, written, "{topic} at {at}");
            }
            topics.push((topic, codec));
        }
    }
    assert_eq!(
        record_bytes_copied(&node),
        [0, 0, 0, 0],
        "two data shards, controller, coordinator"
    );
    node.stop();
    for (topic, codec) in topics {
        let batches = stored_batches(&node, &topic);
        assert_eq!(batches.iter().map(|batch| batch.1).sum::<u64>(), 200, "{topic}");
        // A few records that gain nothing by it are not compressed.
        let large: Vec<_> = batches.iter().filter(|batch| batch.1 >= LARGE_RECORDS).collect();
        assert!(!large.is_empty(), "{topic}: {batches:?}");
        assert!(large.iter().all(|batch| batch.0 == codec), "{topic}: {batches:?}");
    }
}

#[test]
fn a_consumer_at_the_end_receives_what_is_produced_from_then_on() {
    let node = Node::start();
    create_topic(&node, "live", 1);
    for (round, codec) in (0..).zip(CODECS) {
        let consumer = consumer(&node, "live", Offset::End);
        reach_the_end(&consumer);
        let written = produce(&node, "live", &[("acks", "all")], codec, 100);
        let read = receive(&consumer, written.len());
        for (at, ((offset, read), written)) in (100 * round..).zip(read.iter().zip(&written)) {
            assert_eq!((*offset, read), (at, written), "{codec}");
        }
        reach_the_end(&consumer);
    }
}

/// Whichever shard the connection came to first, one of the two partitions is the other one's.
#[test]
fn a_connection_goes_to_the_shard_of_the_partition_that_it_writes_to() {
    let node = Node::start();
    create_topic(&node, "steered", 2);
    let producer: BaseProducer<Deliveries> = config(&node)
        .set("linger.ms", "0")
        .set("enable.idempotence", "true")
        .create_with_context(Deliveries::default())
        .unwrap();
    for (partition, count) in [(0, 100), (1, 400), (0, 100)] {
        for _ in 0..count {
            let record: BaseRecord<'_, [u8], _> = BaseRecord::to("steered").payload(b"value");
            producer.send(record.partition(partition)).map_err(|error| error.0).unwrap();
            while producer.in_flight_count() > 0 {
                producer.poll(Duration::from_millis(1));
            }
        }
    }
    assert!(by_shard(&node, "corelane_connections_moved_total").iter().sum::<u64>() > 0);
    let delivered = producer.context().0.lock().unwrap();
    for (partition, count) in [(0, 200), (1, 400)] {
        let of_it = delivered.iter().map(|one| one.as_ref().unwrap());
        let offsets = of_it.filter(|one| one.0 == partition).map(|one| one.1);
        assert!(offsets.eq(0..count), "each once, in order");
    }
}

#[test]
fn reading_begins_where_it_is_asked_to() {
    let node = Node::start();
    create_topic(&node, "places", 1);
    let written = produce(&node, "places", &[("acks", "all")], "lz4", 500);
    let read = consume(&node, "places", Offset::Offset(417), 83);
    assert_eq!(read[0].0, 417);
    assert_eq!(read[0].1, written[417]);
    let read = consume(&node, "places", Offset::OffsetTail(3), 3);
    assert_eq!(read[0].0, 497);
    let consumer: BaseConsumer = config(&node).set("group.id", "unused").create().unwrap();
    let mut times = TopicPartitionList::new();
    let time = written[250].timestamp - 1;
    times.add_partition_offset("places", 0, Offset::Offset(time)).unwrap();
    let found = consumer.offsets_for_times(times, PATIENCE).unwrap();
    assert_eq!(found.elements()[0].offset(), Offset::Offset(250));
    let marks = consumer.fetch_watermarks("places", 0, PATIENCE).unwrap();
    assert_eq!(marks, (0, 500));
}

#[test]
fn what_was_acknowledged_is_there_after_sigkill_and_after_sigterm() {
    let mut node = Node::start();
    create_topic(&node, "lasting", 1);
    let mut written = Vec::new();
    for round in 0..4 {
        let settings = [("acks", "all"), ("enable.idempotence", "true")];
        written.extend(produce(&node, "lasting", &settings, "none", 300));
        if round % 2 == 0 {
            node.kill()
        } else {
            node.stop()
        }
        node.launch();
        let read = consume(&node, "lasting", Offset::Beginning, written.len());
        for (at, ((offset, read), written)) in read.iter().zip(&written).enumerate() {
            assert_eq!((*offset, read), (at as i64, written));
        }
        assert_eq!(
            record_bytes_copied(&node),
            [0, 0, 0, 0],
            "what was read from disk is not copied"
        );
    }
}

#[test]
fn a_record_that_is_too_large_and_an_offset_out_of_range_are_refused() {
    let node = Node::start();
    create_topic(&node, "bounds", 1);
    let producer: BaseProducer<Deliveries> = config(&node)
        .set("message.max.bytes", "5000000")
        .create_with_context(Deliveries::default())
        .unwrap();
    let large = vec![7u8; 2_000_000];
    let record: BaseRecord<'_, [u8], _> = BaseRecord::to("bounds").partition(0).payload(&large);
    producer.send(record).map_err(|error| error.0).unwrap();
    producer.flush(PATIENCE).unwrap();
    let delivered = producer.context().0.lock().unwrap();
    let expected = KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge);
    assert_eq!(delivered[0].clone().unwrap_err(), expected);

    let consumer: BaseConsumer =
        config(&node).set("group.id", "unused").set("auto.offset.reset", "error").create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("bounds", 0, Offset::Offset(1_000)).unwrap();
    consumer.assign(&list).unwrap();
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < PATIENCE, "the consumer was told nothing");
        match consumer.poll(Duration::from_millis(100)) {
            Some(Err(error)) => {
                assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::AutoOffsetReset));
                return;
            }
            Some(Ok(message)) => panic!("a record from nowhere at {}", message.offset()),
            None => {}
        }
    }
}
