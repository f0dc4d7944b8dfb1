//! What users have: librdkafka, with batches of 1 MB, against a node or against its own mock broker.

use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Default)]
struct Delivered {
    records: AtomicU64,
    failed: AtomicU64,
}

impl ClientContext for Delivered {}

impl ProducerContext for Delivered {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => self.records.fetch_add(1, Ordering::Relaxed),
            Err(_) => self.failed.fetch_add(1, Ordering::Relaxed),
        };
    }
}

/// librdkafka's mock broker in this process.
pub(crate) struct Mock(MockCluster<'static, rdkafka::producer::DefaultProducerContext>);

impl Mock {
    pub(crate) fn new(topics: &[(&str, i32)]) -> Self {
        let cluster = MockCluster::new(1).unwrap();
        for (topic, partitions) in topics {
            cluster.create_topic(topic, *partitions, 1).unwrap();
        }
        Self(cluster)
    }

    pub(crate) fn bootstrap(&self) -> String {
        self.0.bootstrap_servers()
    }
}

fn producer(bootstrap: &str) -> BaseProducer<Delivered> {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("broker.address.family", "v4")
        .set("acks", "1")
        .set("linger.ms", "5")
        .set("batch.size", "1000000")
        .set("batch.num.messages", "10000")
        .set("queue.buffering.max.messages", "2000000")
        .set("queue.buffering.max.kbytes", "524288")
        .set("message.max.bytes", "2000000")
        .create_with_context(Delivered::default())
        .unwrap()
}

/// Bytes of values a second.
pub(crate) fn produce(bootstrap: &str, topic: &str, record_bytes: usize, time: Duration) -> f64 {
    run(&producer(bootstrap), topic, record_bytes, |_, begun| begun.elapsed() < time)
}

pub(crate) fn produce_bytes(bootstrap: &str, topic: &str, record_bytes: usize, bytes: u64) {
    let records = bytes / record_bytes as u64;
    run(&producer(bootstrap), topic, record_bytes, |sent, _| sent < records);
}

fn run(
    producer: &BaseProducer<Delivered>,
    topic: &str,
    record_bytes: usize,
    goes_on: impl Fn(u64, Instant) -> bool,
) -> f64 {
    let value = vec![b'v'; record_bytes];
    let begun = Instant::now();
    let mut sent = 0u64;
    while goes_on(sent, begun) {
        let mut record: BaseRecord<'_, (), [u8]> = BaseRecord::to(topic).payload(&value);
        loop {
            match producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    producer.poll(Duration::from_millis(1));
                }
                Err((error, _)) => panic!("{error}"),
            }
        }
        sent += 1;
        if sent.is_multiple_of(1_000) {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(Duration::from_secs(60)).unwrap();
    let context = producer.context();
    assert_eq!(context.failed.load(Ordering::Relaxed), 0, "records failed");
    let delivered = context.records.load(Ordering::Relaxed);
    assert_eq!(delivered, sent, "every record is answered");
    delivered as f64 * record_bytes as f64 / begun.elapsed().as_secs_f64()
}
