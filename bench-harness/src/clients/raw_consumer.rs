//! A connection of the `raw` tier that reads: batches are checked by their CRC and never decoded further.

use std::collections::{BTreeSet, HashMap};
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

use bytes::Bytes;
use protocol::frame::decode_response;
use protocol::messages::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use protocol::record_batch::{BatchSlice, BatchWalk, WalkError};
use protocol::{ApiKey, Str};

use super::encoded_batch::BatchNames;
use super::raw_producer::{DueTimes, no_thread};
use super::{ANSWER_TIMEOUT, Idle, Progress, Read, give_up};
use crate::cluster::{PartitionPlace, error_name};
use crate::connection::{Connection, FrameReader, broken, encode};
use crate::failure::Failure;
use crate::recorder::{Consumed, Reading, Recorder, Window};
use crate::run_clock::{Gate, RunClock};
use crate::verification::{ConsumedChains, Entry, PartitionNumber, ProducerNumber};

/// The last version with topics' names.
const FETCH_VERSION: i16 = 12;
const FETCH_BYTES_MAX: i32 = 8 << 20;
const PARTITION_BYTES_MAX: i32 = 2 << 20;

/// What a connection is to read.
pub struct RawConsumerPlan {
    /// All led by the broker at `leader`.
    pub partitions: Vec<PartitionPlace>,
    pub leader: String,
    pub gate: Gate,
    pub reading: Reading,
    /// Of a record's key and value: batches are counted as records, not decoded.
    pub payload_bytes: u64,
    pub fetch_min_bytes: u32,
    pub fetch_wait_milliseconds_max: u32,
    pub names: BatchNames,
    /// By producer.
    pub due_times: Arc<Vec<Arc<DueTimes>>>,
    pub progress: Progress,
    pub clock: Arc<RunClock>,
}

/// Connected.
pub struct RawConsumer {
    plan: RawConsumerPlan,
    stream: TcpStream,
    reader: FrameReader,
    version: i16,
    chains: ConsumedChains,
    recorder: Recorder,
    numbers: HashMap<(Str, i32), PartitionNumber>,
    /// Partitions whose end was not seen yet, for who catches up; what comes behind it is the tail.
    behind: BTreeSet<PartitionNumber>,
}

impl RawConsumer {
    pub fn connect(plan: RawConsumerPlan, windows: Sender<Window>) -> Result<Self, Failure> {
        let connection = Connection::open(&plan.leader, ANSWER_TIMEOUT)?;
        let version = connection.version(ApiKey::Fetch, FETCH_VERSION)?;
        let (stream, reader) = connection.split()?;
        let name = |place: &PartitionPlace| (Str::from(place.topic.as_str()), place.index);
        let numbers = plan.partitions.iter().map(|place| (name(place), place.number)).collect();
        let recorder = Recorder::new(Arc::clone(&plan.clock), windows);
        let chains = ConsumedChains::default();
        let mut behind = BTreeSet::new();
        if plan.reading == Reading::CatchUp {
            behind.extend(plan.partitions.iter().map(|place| place.number));
            plan.clock.begin_catching_up();
        }
        Ok(Self { plan, stream, reader, version, chains, recorder, numbers, behind })
    }

    pub fn start(self) -> Result<JoinHandle<Read>, Failure> {
        let thread = std::thread::Builder::new().name("raw-consumer".to_owned());
        thread.spawn(move || self.read()).map_err(no_thread)
    }

    fn read(mut self) -> Read {
        let mut failure = None;
        let mut idle = Idle::default();
        if self.plan.gate == Gate::Start || self.plan.clock.pass(self.plan.gate) {
            while !self.plan.progress.is_over(&self.plan.clock, &mut idle) {
                if let Err(error) = self.fetch() {
                    failure = give_up(&self.plan.clock, error);
                    break;
                }
                self.recorder.tick();
            }
        }
        Read { chains: self.chains, failure }
    }

    fn fetch(&mut self) -> Result<(), Failure> {
        let frame = encode(self.request(), self.version, 1)?;
        let address = &self.plan.leader;
        self.stream.write_all(&frame).map_err(|error| broken(address, &error))?;
        let frame = self.reader.next_frame().map_err(|error| broken(address, &error))?;
        let consumed_ns = self.plan.clock.now_ns();
        let (_, response): (_, FetchResponse) = decode_response(self.version, &frame)
            .map_err(|error| Failure::new(format!("a fetch response makes no sense: {error}")))?;
        refuse(response.error_code)?;
        for topic in response.responses {
            for partition in topic.partitions {
                refuse(partition.error_code)?;
                let place = (topic.topic.clone(), partition.partition_index);
                let number = *self.numbers.get(&place).ok_or_else(|| {
                    Failure::new("a fetch response has a partition that was not asked for")
                })?;
                self.batches(number, &partition.records.joined(), consumed_ns)?;
                self.note_end(number, partition.high_watermark, consumed_ns);
            }
        }
        self.reader.recycle(frame);
        Ok(())
    }

    fn request(&self) -> FetchRequest {
        let mut topics: Vec<FetchTopic> = Vec::new();
        for place in &self.plan.partitions {
            let partition = FetchPartition {
                partition: place.index,
                fetch_offset: self.chains.next_offset(place.number),
                partition_max_bytes: PARTITION_BYTES_MAX,
                ..FetchPartition::default()
            };
            match topics.last_mut().filter(|topic| *topic.topic == *place.topic) {
                Some(topic) => topic.partitions.push(partition),
                None => topics.push(FetchTopic {
                    topic: Str::from(place.topic.as_str()),
                    partitions: vec![partition],
                    ..FetchTopic::default()
                }),
            }
        }
        FetchRequest {
            max_wait_ms: self.plan.fetch_wait_milliseconds_max.cast_signed(),
            min_bytes: self.plan.fetch_min_bytes.cast_signed(),
            max_bytes: FETCH_BYTES_MAX,
            topics,
            ..FetchRequest::default()
        }
    }

    fn batches(
        &mut self,
        partition: PartitionNumber,
        records: &Bytes,
        consumed_ns: u64,
    ) -> Result<(), Failure> {
        for batch in BatchWalk::new(records) {
            match batch {
                Ok(batch) => self.batch(partition, &batch, consumed_ns),
                // The last batch of a response may be cut.
                Err(WalkError::Truncated { .. }) => break,
                Err(error) => {
                    return Err(Failure::new(format!("what was fetched is no batch: {error}")));
                }
            }
        }
        Ok(())
    }

    fn note_end(&mut self, partition: PartitionNumber, high_watermark: i64, now_ns: u64) {
        if self.chains.next_offset(partition) >= high_watermark
            && self.behind.remove(&partition)
            && self.behind.is_empty()
        {
            self.plan.clock.caught_up(now_ns);
        }
    }

    fn batch(&mut self, partition: PartitionNumber, batch: &BatchSlice<'_>, consumed_ns: u64) {
        let header = &batch.header;
        let name = self.plan.names.read(header.base_timestamp);
        let Some((producer, ordinal)) = name else {
            self.chains.read_foreign(partition, header.next_offset().0 - 1);
            return;
        };
        let records = header.record_count.unsigned_abs();
        let entry = Entry {
            offset: header.base_offset.0,
            records,
            producer: ProducerNumber(producer),
            ordinal,
            fingerprint: u64::from(header.crc),
        };
        self.chains.read(partition, &entry, batch.crc_is_valid());
        let due = self.plan.due_times.get(usize::from(producer));
        let consumed = Consumed {
            intended_ns: due.and_then(|times| times.get(ordinal)),
            consumed_ns,
            records: u64::from(records),
            bytes: u64::from(records) * self.plan.payload_bytes,
        };
        let reading = self.plan.reading.of_partition(self.behind.contains(&partition));
        self.recorder.consumed(reading, consumed);
        self.plan.progress.add(u64::from(records));
    }
}

fn refuse(code: i16) -> Result<(), Failure> {
    if code == 0 {
        return Ok(());
    }
    Err(Failure::new(format!("the broker refused a fetch: {}", error_name(code))))
}
