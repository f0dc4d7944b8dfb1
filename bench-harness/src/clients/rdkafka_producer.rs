//! A librdkafka producer: one thread sends what is due, one takes delivery reports.
//!
//! librdkafka chooses partitions and makes batches, as in the programs of users. Each record carries its stamp;
//! when it was sent travels beside it as librdkafka's opaque value.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, ProducerContext};

use super::raw_producer::no_thread;
use super::{DRAIN_TIME, Pace, Produced, give_up};
use crate::cluster::PartitionPlace;
use crate::failure::Failure;
use crate::histograms::Acknowledged;
use crate::keys::Keys;
use crate::payload::{PayloadPool, Stamp};
use crate::recorder::{Recorder, Window};
use crate::run_clock::{RunClock, Waited, wake_precisely};
use crate::verification::{Entry, PartitionNumber, ProducedChains, ProducerNumber};
use crate::workload::{OwnKeys, codec_name};

/// librdkafka's queue: enough for a second at the rates that it reaches.
const QUEUE_RECORDS_MAX: &str = "1000000";
const QUEUE_KILOBYTES_MAX: &str = "262144";
const BATCH_BYTES_DEFAULT: u32 = 1_000_000;
/// Before a full queue is tried again.
const QUEUE_FULL_WAIT: Duration = Duration::from_micros(200);
/// Records that take no time to be delivered are counted this often.
const POLL_TIME: Duration = Duration::from_millis(20);

/// What a producer is to do.
pub struct RdkafkaProducerPlan {
    pub number: ProducerNumber,
    pub bootstrap: String,
    pub topic: String,
    /// Of the topic, by index.
    pub partitions: Vec<PartitionPlace>,
    pub keys: Keys,
    pub own: OwnKeys,
    pub pool: Arc<PayloadPool>,
}

/// Configured; it connects when it sends.
pub struct RdkafkaProducer {
    plan: RdkafkaProducerPlan,
    producer: BaseProducer<Reports>,
}

impl RdkafkaProducer {
    pub fn create(plan: RdkafkaProducerPlan, clock: &Arc<RunClock>) -> Result<Self, Failure> {
        let config = configuration(&plan.bootstrap, &plan.own);
        let reports = Reports { clock: Arc::clone(clock) };
        let producer = config.create_with_context(reports).map_err(|error| {
            Failure::new(format!("librdkafka refuses the producer's configuration: {error}"))
        })?;
        Ok(Self { plan, producer })
    }

    pub fn start(
        self,
        pace: Pace,
        clock: Arc<RunClock>,
        windows: Sender<Window>,
    ) -> Result<JoinHandle<Produced>, Failure> {
        let Self { plan, producer } = self;
        let producer = Arc::new(producer);
        let counters = Arc::new(Counters::default());
        let deliveries = Deliveries {
            chains: ProducedChains::new(plan.number),
            pool: Arc::clone(&plan.pool),
            numbers: plan.partitions.iter().map(|place| (place.index, place.number)).collect(),
            recorder: Recorder::new(Arc::clone(&clock), windows),
            clock: Arc::clone(&clock),
            answered: 0,
            failure: None,
        };
        let polled = Polled {
            producer: Arc::clone(&producer),
            counters: Arc::clone(&counters),
            clock: Arc::clone(&clock),
        };
        let polling = std::thread::Builder::new().name("rdkafka-reports".to_owned());
        let polling = polling.spawn(move || polled.take(deliveries)).map_err(no_thread)?;
        let sending = std::thread::Builder::new().name("rdkafka-producer".to_owned());
        sending
            .spawn(move || {
                let (unsent_records, failure) =
                    Sending { plan, producer, counters, clock }.send(pace);
                let deliveries = polling.join().expect("the reports' thread does not panic");
                let failure = deliveries.failure.or(failure);
                Produced { chains: deliveries.chains, unsent_records, failure }
            })
            .map_err(no_thread)
    }
}

/// The properties that every client of the run has.
pub(super) fn client_configuration(bootstrap: &str, own: &OwnKeys) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("client.id", "corelane-bench")
        .set("broker.address.family", "any")
        .set("allow.auto.create.topics", "false")
        // What is wrong is said by the run, once.
        .set_log_level(RDKafkaLogLevel::Emerg);
    for (name, value) in &own.client_configs {
        config.set(name, value);
    }
    config
}

/// The producer's properties, as the manifest shows them.
#[must_use]
pub fn configuration(bootstrap: &str, own: &OwnKeys) -> ClientConfig {
    let batch_bytes = own.batch_bytes.unwrap_or(BATCH_BYTES_DEFAULT).max(1);
    let acks = if own.acks.code() == -1 { "all" } else { "1" };
    let mut config = client_configuration(bootstrap, own);
    let mut set = |name: &str, value: &str| {
        if config.get(name).is_none() {
            config.set(name, value);
        }
    };
    set("acks", acks);
    set("enable.idempotence", if own.idempotence { "true" } else { "false" });
    set("compression.codec", codec_name(own.codec));
    set("linger.ms", &own.linger_milliseconds.to_string());
    set("batch.size", &batch_bytes.to_string());
    set("batch.num.messages", if batch_bytes == 1 { "1" } else { "10000" });
    set("message.max.bytes", &batch_bytes.max(1_000_000).to_string());
    set("max.in.flight.requests.per.connection", &own.in_flight_max.to_string());
    set("queue.buffering.max.messages", QUEUE_RECORDS_MAX);
    set("queue.buffering.max.kbytes", QUEUE_KILOBYTES_MAX);
    set("message.timeout.ms", "30000");
    config
}

/// How many records librdkafka has.
#[derive(Default)]
struct Counters {
    sent: AtomicU64,
    is_all_sent: AtomicBool,
}

struct Sending {
    plan: RdkafkaProducerPlan,
    producer: Arc<BaseProducer<Reports>>,
    counters: Arc<Counters>,
    clock: Arc<RunClock>,
}

impl Sending {
    /// Gives the records that were due and not sent, and what went wrong.
    fn send(mut self, mut pace: Pace) -> (u64, Option<Failure>) {
        let mut payload = Vec::new();
        let mut result = (0, None);
        wake_precisely();
        for sequence in 0u64.. {
            let due_ns = match &mut pace {
                Pace::Open(schedule) => schedule.next_ns(),
                Pace::Closed => 0,
            };
            if self.clock.wait_until(due_ns) == Waited::Ended || self.is_past(&pace) {
                break;
            }
            match self.send_one(sequence, due_ns, &pace, &mut payload) {
                Ok(true) => self.counters.sent.store(sequence + 1, Ordering::Release),
                Ok(false) => {
                    result.0 = self.unsent(&mut pace, due_ns);
                    break;
                }
                Err(failure) => {
                    result.1 = give_up(&self.clock, failure);
                    break;
                }
            }
        }
        self.counters.is_all_sent.store(true, Ordering::Release);
        result
    }

    fn is_past(&self, pace: &Pace) -> bool {
        matches!(pace, Pace::Closed) && self.clock.now_ns() >= self.clock.until_ns()
    }

    /// `false`: librdkafka's queue stayed full until time was up.
    fn send_one(
        &mut self,
        sequence: u64,
        due_ns: u64,
        pace: &Pace,
        payload: &mut Vec<u8>,
    ) -> Result<bool, Failure> {
        let key = self.plan.keys.next_key();
        loop {
            let now = self.clock.now_ns();
            let intended_ns = if matches!(pace, Pace::Open(_)) { due_ns } else { now };
            let stamp = Stamp { producer: self.plan.number, sequence, intended_ns };
            self.plan.pool.write(stamp, payload);
            let sent_ns = usize::try_from(now).expect("a 64-bit machine");
            let mut record =
                BaseRecord::with_opaque_to(&self.plan.topic, sent_ns).payload(&payload[..]);
            if let Some(key) = &key {
                record = record.key(&key[..]);
            }
            match self.producer.send(record) {
                Ok(()) => return Ok(true),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    if self.clock.is_aborted() || self.is_over(pace) {
                        return Ok(false);
                    }
                    std::thread::sleep(QUEUE_FULL_WAIT);
                }
                Err((error, _)) => {
                    return Err(Failure::new(format!(
                        "librdkafka does not take a record: {error}"
                    )));
                }
            }
        }
    }

    /// A closed loop ends with the measured time; an open one has some more for what was due.
    fn is_over(&self, pace: &Pace) -> bool {
        let more = match pace {
            Pace::Open(_) => u64::try_from(DRAIN_TIME.as_nanos()).unwrap_or(u64::MAX),
            Pace::Closed => 0,
        };
        self.clock.now_ns() >= self.clock.until_ns().saturating_add(more)
    }

    fn unsent(&self, pace: &mut Pace, mut due_ns: u64) -> u64 {
        let Pace::Open(schedule) = pace else { return 0 };
        let mut records = 0;
        while due_ns < self.clock.until_ns() && !self.clock.is_aborted() {
            records += 1;
            due_ns = schedule.next_ns();
        }
        records
    }
}

/// librdkafka calls back in the thread that polls; this is that thread's state.
struct Deliveries {
    chains: ProducedChains,
    pool: Arc<PayloadPool>,
    numbers: HashMap<i32, PartitionNumber>,
    recorder: Recorder,
    clock: Arc<RunClock>,
    answered: u64,
    failure: Option<Failure>,
}

thread_local! {
    static DELIVERIES: RefCell<Option<Deliveries>> = const { RefCell::new(None) };
}

struct Polled {
    producer: Arc<BaseProducer<Reports>>,
    counters: Arc<Counters>,
    clock: Arc<RunClock>,
}

impl Polled {
    /// Until everything that was sent is answered, or time is up.
    fn take(self, deliveries: Deliveries) -> Deliveries {
        DELIVERIES.with(|slot| slot.replace(Some(deliveries)));
        let mut limit_ns = None;
        loop {
            self.producer.poll(POLL_TIME);
            let answered = DELIVERIES.with(|slot| {
                let mut slot = slot.borrow_mut();
                let deliveries = slot.as_mut().expect("it was put there above");
                deliveries.recorder.tick();
                deliveries.answered
            });
            if self.clock.is_aborted() {
                break;
            }
            if self.counters.is_all_sent.load(Ordering::Acquire) {
                if answered == self.counters.sent.load(Ordering::Acquire) {
                    break;
                }
                let drain = u64::try_from(DRAIN_TIME.as_nanos()).unwrap_or(u64::MAX);
                let limit = *limit_ns.get_or_insert(self.clock.now_ns().saturating_add(drain));
                if self.clock.now_ns() > limit {
                    break;
                }
            }
        }
        let mut deliveries =
            DELIVERIES.with(RefCell::take).expect("nobody else takes it out of this thread");
        let sent = self.counters.sent.load(Ordering::Acquire);
        if deliveries.failure.is_none() && deliveries.answered < sent && !self.clock.is_aborted() {
            let missing = sent - deliveries.answered;
            deliveries.failure = give_up(
                &self.clock,
                Failure::new(format!("{missing} records were never answered; look at the broker")),
            );
        }
        deliveries
    }
}

impl Deliveries {
    fn report(&mut self, result: &DeliveryResult<'_>, sent_ns: u64) {
        self.answered += 1;
        let message = match result {
            Ok(message) => message,
            Err((error, _)) => {
                if self.failure.is_none() {
                    let sentence = format!("a record was not delivered: {error}");
                    self.failure = give_up(&self.clock, Failure::new(sentence));
                }
                return;
            }
        };
        let payload = message.payload().unwrap_or_default();
        let stamp = Stamp::read(payload).expect("every record that was sent has a stamp");
        let partition = self.numbers[&message.partition()];
        let entry = Entry {
            offset: message.offset(),
            records: 1,
            producer: stamp.producer,
            ordinal: stamp.sequence,
            fingerprint: self.pool.fingerprint(stamp, message.key()),
        };
        self.chains.acknowledged(partition, &entry);
        let acknowledged_ns = self.clock.now_ns();
        let times = Acknowledged { intended_ns: stamp.intended_ns, sent_ns, acknowledged_ns };
        let bytes = payload.len() + message.key_len();
        self.recorder.sent(1);
        self.recorder.acknowledged(times, 1, bytes as u64);
        self.recorder.tick_at(acknowledged_ns);
    }
}

/// What librdkafka tells. Without state: that is the polling thread's.
pub(super) struct Reports {
    clock: Arc<RunClock>,
}

impl ClientContext for Reports {
    fn error(&self, error: KafkaError, reason: &str) {
        DELIVERIES.with(|slot| {
            if let Some(deliveries) = slot.borrow_mut().as_mut()
                && let Some(failure) = fatal(&error, reason)
                && deliveries.failure.is_none()
            {
                deliveries.failure = give_up(&self.clock, failure);
            }
        });
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, sent_ns: usize) {
        DELIVERIES.with(|slot| {
            if let Some(deliveries) = slot.borrow_mut().as_mut() {
                deliveries.report(result, sent_ns as u64);
            }
        });
    }
}

/// Errors after which a run has no result. librdkafka would try again for as long as it may.
pub(super) fn fatal(error: &KafkaError, reason: &str) -> Option<Failure> {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::AllBrokersDown) => Some(Failure::new(
            "librdkafka lost its connections to all brokers; does the broker still run?",
        )),
        Some(RDKafkaErrorCode::Fatal) => {
            Some(Failure::new(format!("librdkafka gave up: {reason}")))
        }
        _ => None,
    }
}
