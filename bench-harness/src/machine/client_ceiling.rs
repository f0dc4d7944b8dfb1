//! What librdkafka reaches where the broker does next to nothing: its own mock broker, and our null broker over TCP.
//!
//! Against the null broker it is the run of `bench run`, with the same client and the same threads, so a broker's
//! throughput divided by this one is the broker's share. The mock broker is librdkafka's, in a thread of the client.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;

use super::Measuring;
use super::limit::{Limit, Unit};
use crate::clients::rdkafka_producer::configuration;
use crate::failure::Failure;
use crate::null_broker::NullBroker;
use crate::run::{RunRequest, run};
use crate::workload::{ClientTier, Source, Workload, shipped};

/// The workloads of `bench run` that ask for all that a client can do.
const WORKLOADS: [(&str, &str); 2] = [("saturate-1k", "1KiB"), ("saturate-100b", "100B")];
/// Until connections are there and memory was touched.
const WARM_UP: Duration = Duration::from_millis(500);
/// Before a full queue is tried again.
const QUEUE_FULL_WAIT: Duration = Duration::from_micros(200);
const MOCK_TOPIC: &str = "ceiling";

pub(super) fn measure(measuring: &mut Measuring<'_>) -> Result<(), Failure> {
    for (name, size) in WORKLOADS {
        measuring.begin(&format!("clients: librdkafka and the null broker, records of {size}"));
        let seconds = measuring.time(2_000).as_secs();
        let workload = workload(name, seconds)?;
        let (rate, records) = against_null_broker(workload.clone())?;
        let how =
            "rdkafka tier, closed loop, null broker over TCP: receives, checks CRCs, discards";
        let id = format!("client.rdkafka.null-broker.{size}");
        measuring.limits.push(Limit::rate(&id, Unit::RecordsPerSecond, rate, records, how));
        measuring.begin(&format!("clients: librdkafka and its mock broker, records of {size}"));
        let (rate, records) = against_mock_broker(&workload, measuring.time(1_000))?;
        let how = "librdkafka and the mock broker inside it, closed loop";
        let id = format!("client.rdkafka.mock-broker.{size}");
        measuring.limits.push(Limit::rate(&id, Unit::RecordsPerSecond, rate, records, how));
    }
    Ok(())
}

fn workload(name: &str, seconds: u64) -> Result<Workload, Failure> {
    let text = shipped::find(name).expect("a workload that comes along");
    let settings = [format!("corelane.durationSeconds={seconds}"), "corelane.warmUp=1".to_owned()];
    Workload::parse(&Source { text, directory: None, settings: &settings })
        .map_err(|error| Failure::new(format!("workload {name}: {error}")))
}

/// Records a second, and how many.
fn against_null_broker(workload: Workload) -> Result<(f64, u64), Failure> {
    let broker = NullBroker::start("127.0.0.1:0")?;
    let report = run(
        &RunRequest {
            workload,
            bootstrap: broker.address().to_string(),
            label: "null broker".to_owned(),
            broker_process: None,
            metrics: None,
            keep_topics: false,
            out: None,
            arguments: Vec::new(),
            limits: None,
        },
        &mut |_| {},
    )?;
    let rate = report.throughput.acknowledged_records_per_second;
    Ok((rate, (rate * report.measured_seconds) as u64))
}

/// Counts what is delivered.
struct Delivered(Arc<AtomicU64>);

impl ClientContext for Delivered {
    fn log(&self, _level: rdkafka::config::RDKafkaLogLevel, _from: &str, _text: &str) {}
}

impl ProducerContext for Delivered {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _opaque: ()) {
        if result.is_ok() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn against_mock_broker(workload: &Workload, time: Duration) -> Result<(f64, u64), Failure> {
    debug_assert_eq!(workload.own.client, ClientTier::Rdkafka);
    let refused = |error: rdkafka::error::KafkaError| {
        Failure::new(format!("librdkafka's mock broker cannot be measured: {error}"))
    };
    let mut config = configuration("", &workload.own);
    config.set("test.mock.num.brokers", "1").set("allow.auto.create.topics", "true");
    let count = Arc::new(AtomicU64::new(0));
    let producer: ThreadedProducer<Delivered> =
        config.create_with_context(Delivered(Arc::clone(&count))).map_err(refused)?;
    let value = vec![0x5a; workload.record_bytes];
    let delivered = || count.load(Ordering::Relaxed);
    let mut begin = Instant::now();
    let mut before = None;
    loop {
        let record = BaseRecord::<(), [u8]>::to(MOCK_TOPIC).partition(0).payload(&value);
        match producer.send(record) {
            Ok(()) => {}
            Err((error, _)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                std::thread::sleep(QUEUE_FULL_WAIT);
            }
            Err((error, _)) => return Err(refused(error)),
        }
        let elapsed = begin.elapsed();
        match before {
            None if elapsed >= WARM_UP => (before, begin) = (Some(delivered()), Instant::now()),
            Some(before) if elapsed >= time => {
                let records = delivered() - before;
                producer.purge(rdkafka::producer::PurgeConfig::default().queue().inflight());
                return Ok((records as f64 / elapsed.as_secs_f64(), records));
            }
            _ => {}
        }
    }
}
