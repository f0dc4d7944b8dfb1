//! A librdkafka consumer: told its partitions, or a member of a group.
//!
//! A member's chains are of the partitions that it read from their beginning. Partitions that move to another
//! member within a run would break them, and the run is given up with that reason.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::raw_producer::no_thread;
use super::rdkafka_producer::{client_configuration, fatal};
use super::{Idle, Progress, Read, give_up};
use crate::cluster::PartitionPlace;
use crate::failure::Failure;
use crate::payload::{PayloadPool, Stamp};
use crate::recorder::{Consumed, Reading, Recorder, Window};
use crate::run_clock::{Gate, RunClock};
use crate::verification::{ConsumedChains, Entry, PartitionNumber};
use crate::workload::{Grouping, OwnKeys};

const POLL_TIME: Duration = Duration::from_millis(20);
/// For a partition's end, which a leader knows: longer than a fetch usually waits, behind which the question may stand.
const END_TIMEOUT: Duration = Duration::from_secs(1);
/// An end that is reached so soon after it was told is the end: a newer one would always be.
const END_RECENT: Duration = Duration::from_millis(100);

/// What a consumer is to read.
pub struct RdkafkaConsumerPlan {
    pub bootstrap: String,
    /// The subscription's name: its group.
    pub group: String,
    /// All of the topic's where a group divides them, else this consumer's own.
    pub partitions: Vec<PartitionPlace>,
    pub grouping: Grouping,
    pub gate: Gate,
    pub reading: Reading,
    pub own: OwnKeys,
    pub progress: Progress,
    /// How many partitions its group has given it, for whoever waits until groups have settled.
    pub assigned: Arc<AtomicUsize>,
    pub clock: Arc<RunClock>,
}

/// Configured; it reads when its gate opens.
pub struct RdkafkaConsumer {
    plan: RdkafkaConsumerPlan,
    consumer: BaseConsumer<Reports>,
    chains: ConsumedChains,
    recorder: Recorder,
    numbers: HashMap<String, HashMap<i32, PartitionNumber>>,
    /// What a reader that catches up has not seen the end of.
    behind: HashMap<PartitionNumber, End>,
    /// Partitions when they were last counted.
    counted: usize,
    failure: Option<Failure>,
}

impl RdkafkaConsumer {
    pub fn create(plan: RdkafkaConsumerPlan, windows: Sender<Window>) -> Result<Self, Failure> {
        let reports = Reports { clock: Arc::clone(&plan.clock) };
        let consumer: BaseConsumer<Reports> =
            configuration(&plan).create_with_context(reports).map_err(|error| {
                Failure::new(format!("librdkafka refuses the consumer's configuration: {error}"))
            })?;
        let mut numbers: HashMap<String, HashMap<i32, PartitionNumber>> = HashMap::new();
        for place in &plan.partitions {
            numbers.entry(place.topic.clone()).or_default().insert(place.index, place.number);
        }
        let recorder = Recorder::new(Arc::clone(&plan.clock), windows);
        let chains = ConsumedChains::default();
        let mut behind = HashMap::new();
        if plan.reading == Reading::CatchUp {
            behind.extend(plan.partitions.iter().map(|place| (place.number, End::default())));
            plan.clock.begin_catching_up();
        }
        Ok(Self { plan, consumer, chains, recorder, numbers, behind, counted: 0, failure: None })
    }

    pub fn start(self) -> Result<JoinHandle<Read>, Failure> {
        let thread = std::thread::Builder::new().name("rdkafka-consumer".to_owned());
        thread.spawn(move || self.read()).map_err(no_thread)
    }

    fn read(mut self) -> Read {
        let mut idle = Idle::default();
        if self.plan.clock.pass(self.plan.gate) {
            if let Err(failure) = self.begin() {
                self.failure = give_up(&self.plan.clock, failure);
            }
            while !self.plan.progress.is_over(&self.plan.clock, &mut idle) {
                self.poll();
                self.recorder.tick();
            }
        }
        Read { chains: self.chains, failure: self.failure }
    }

    fn begin(&self) -> Result<(), Failure> {
        let result = if self.plan.grouping == Grouping::Assigned {
            let mut list = TopicPartitionList::new();
            for place in &self.plan.partitions {
                let added = list.add_partition_offset(&place.topic, place.index, Offset::Offset(0));
                added.map_err(|error| Failure::new(error.to_string()))?;
            }
            self.consumer.assign(&list)
        } else {
            let topics: Vec<&str> = self.numbers.keys().map(String::as_str).collect();
            self.consumer.subscribe(&topics)
        };
        result.map_err(|error| Failure::new(format!("librdkafka does not subscribe: {error}")))
    }

    /// Whether a partition's end is reached. Where the last answer is older than a moment there may be a newer end by now,
    /// and it is asked for; who does not answer is asked again later.
    fn note_position(&mut self, partition: PartitionNumber, now_ns: u64) {
        let Some(end) = self.behind.get(&partition).copied() else { return };
        let next = self.chains.next_offset(partition);
        let mut is_reached = end.offset.is_some_and(|offset| next >= offset);
        let is_recent = end
            .told_ns
            .is_some_and(|told_ns| now_ns.saturating_sub(told_ns) < END_RECENT.as_nanos() as u64);
        if !is_recent && (is_reached || end.offset.is_none()) {
            let offset = self.end_of(partition);
            let told_ns = Some(self.plan.clock.now_ns());
            self.behind.insert(partition, End { offset, told_ns });
            is_reached = offset.is_some_and(|offset| next >= offset);
        }
        if is_reached && self.behind.remove(&partition).is_some() && self.behind.is_empty() {
            self.plan.clock.caught_up(now_ns);
        }
    }

    fn end_of(&self, partition: PartitionNumber) -> Option<i64> {
        let place = self.plan.partitions.iter().find(|place| place.number == partition)?;
        let told = self.consumer.fetch_watermarks(&place.topic, place.index, END_TIMEOUT);
        told.ok().map(|(_, end)| end)
    }

    fn poll(&mut self) {
        match self.consumer.poll(POLL_TIME) {
            Some(Ok(message)) => {
                let read = read_of(&message, &self.numbers);
                let bytes = (message.payload_len() + message.key_len()) as u64;
                drop(message);
                let partition = read.partition;
                let now_ns = self.take(read, bytes);
                self.note_position(partition, now_ns);
            }
            Some(Err(error)) => self.look_at(&error),
            None => {
                self.count_assignment();
                // Nothing came of a partition without records either.
                let now_ns = self.plan.clock.now_ns();
                let silent: Vec<PartitionNumber> = self.behind.keys().copied().collect();
                silent.into_iter().for_each(|partition| self.note_position(partition, now_ns));
            }
        }
    }

    /// Gives when that was.
    fn take(&mut self, read: RecordRead, bytes: u64) -> u64 {
        let consumed_ns = self.plan.clock.now_ns();
        let RecordRead { partition, offset, content } = read;
        match content {
            Some((stamp, fingerprint)) => {
                let entry = Entry {
                    offset,
                    records: 1,
                    producer: stamp.producer,
                    ordinal: stamp.sequence,
                    fingerprint,
                };
                self.chains.read(partition, &entry, true);
                let intended_ns = Some(stamp.intended_ns);
                let consumed = Consumed { intended_ns, consumed_ns, records: 1, bytes };
                let reading = self.plan.reading.of_partition(self.behind.contains_key(&partition));
                self.recorder.consumed(reading, consumed);
            }
            None => self.chains.read_foreign(partition, offset),
        }
        self.plan.progress.add(1);
        self.recorder.tick_at(consumed_ns);
        consumed_ns
    }

    fn look_at(&mut self, error: &KafkaError) {
        let failure = match error.rdkafka_error_code() {
            // Not every broker has groups, and none is needed.
            Some(RDKafkaErrorCode::UnsupportedFeature)
                if self.plan.grouping == Grouping::Assigned =>
            {
                None
            }
            // A partition's leader is looked for, a coordinator is made: librdkafka goes on by itself.
            Some(
                RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::CoordinatorLoadInProgress
                | RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::UnknownTopicOrPartition,
            ) => None,
            _ => fatal(error, &error.to_string())
                .or_else(|| Some(Failure::new(format!("a consumer failed: {error}")))),
        };
        if let Some(failure) = failure
            && self.failure.is_none()
        {
            self.failure = give_up(&self.plan.clock, failure);
        }
    }

    /// While nothing comes, which is when a group settles.
    fn count_assignment(&mut self) {
        if self.plan.grouping == Grouping::Assigned {
            return;
        }
        let now = self.consumer.assignment().map_or(0, |list| list.count());
        if now < self.counted && !self.chains.is_empty() {
            let sentence = "the group moved partitions within the run; give members more time with \
                            clientConfigs: session.timeout.ms, or use groups: assigned";
            self.failure = give_up(&self.plan.clock, Failure::new(sentence));
        }
        self.plan.assigned.store(now, Ordering::Release);
        self.counted = now;
    }
}

/// Where a partition ends.
#[derive(Clone, Copy, Default)]
struct End {
    /// `None`: nobody has told yet.
    offset: Option<i64>,
    /// When that was.
    told_ns: Option<u64>,
}

/// Owned, so that the message can go before the chains are touched.
struct RecordRead {
    partition: PartitionNumber,
    offset: i64,
    /// Nothing where no producer of this run can have written it.
    content: Option<(Stamp, u64)>,
}

fn read_of(
    message: &BorrowedMessage<'_>,
    numbers: &HashMap<String, HashMap<i32, PartitionNumber>>,
) -> RecordRead {
    let payload = message.payload().unwrap_or_default();
    let stamp = Stamp::read(payload);
    RecordRead {
        partition: numbers[message.topic()][&message.partition()],
        offset: message.offset(),
        content: stamp
            .map(|stamp| (stamp, PayloadPool::fingerprint_of(stamp, message.key(), payload))),
    }
}

fn configuration(plan: &RdkafkaConsumerPlan) -> ClientConfig {
    let mut config = client_configuration(&plan.bootstrap, &plan.own);
    let mut set = |name: &str, value: &str| {
        if config.get(name).is_none() {
            config.set(name, value);
        }
    };
    set("group.id", &plan.group);
    set("enable.auto.commit", if plan.grouping == Grouping::Assigned { "false" } else { "true" });
    set("auto.offset.reset", "earliest");
    set("fetch.min.bytes", &plan.own.fetch_min_bytes.max(1).to_string());
    set("fetch.wait.max.ms", &plan.own.fetch_wait_milliseconds_max.to_string());
    // librdkafka stops fetching with this much unread, and then asks again only every so often.
    set("queued.min.messages", "1000000");
    set("fetch.queue.backoff.ms", "1");
    if plan.grouping == Grouping::Consumer {
        set("group.protocol", "consumer");
    }
    config
}

struct Reports {
    clock: Arc<RunClock>,
}

impl ClientContext for Reports {
    /// Consumers hear of errors from `poll`, too: that is where they are told.
    fn error(&self, error: KafkaError, reason: &str) {
        if fatal(&error, reason).is_some() && self.clock.records_to_read().is_some() {
            self.clock.abort();
        }
    }
}

impl ConsumerContext for Reports {}
