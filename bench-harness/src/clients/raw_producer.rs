//! A connection of the `raw` tier that produces: one thread writes what is due, one reads the answers in order.
//!
//! The batch is the unit of the schedule here: its records are due together, and a batch's latency counts once for
//! each of them. Batches go to the connection's partitions in turn.

use std::io::{self, IoSlice, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use protocol::frame::decode_response;
use protocol::messages::init_producer_id::InitProducerIdRequest;
use protocol::messages::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use protocol::record_batch::{Producer, increment_sequence};
use protocol::{ApiKey, ProducerEpoch, ProducerId, Str};

use super::encoded_batch::{BatchNames, BatchSize, EncodedBatch};
use super::{ANSWER_TIMEOUT, DRAIN_TIME, Pace, Produced, give_up};
use crate::cluster::{PartitionPlace, error_name};
use crate::connection::{Connection, FrameReader, broken, encode};
use crate::failure::Failure;
use crate::histograms::Acknowledged;
use crate::keys::Keys;
use crate::limits::{BATCHES_ENCODED_BYTES_MAX, BATCHES_ENCODED_MAX, SENT_BATCHES_REMEMBERED};
use crate::payload::PayloadPool;
use crate::recorder::{Recorder, Window};
use crate::run_clock::{RunClock, Waited, wake_precisely};
use crate::verification::{Entry, PartitionNumber, ProducedChains, ProducerNumber};

/// The last version without compact lengths: a frame is a head and the batch, with nothing behind it.
const PRODUCE_VERSION: i16 = 8;
const PRODUCE_TIMEOUT_MS: i32 = 30_000;

/// When batches were due, by ordinal: consumers look here. The newest are remembered.
#[derive(Debug)]
pub struct DueTimes {
    slots: Vec<AtomicU64>,
    /// Ordinals below this one have been sent.
    sent: AtomicU64,
}

impl Default for DueTimes {
    fn default() -> Self {
        let slots = (0..SENT_BATCHES_REMEMBERED).map(|_| AtomicU64::new(0)).collect();
        Self { slots, sent: AtomicU64::new(0) }
    }
}

impl DueTimes {
    fn remember(&self, ordinal: u64, intended_ns: u64) {
        self.sent.store(ordinal + 1, Ordering::Release);
        self.slot(ordinal).store(intended_ns, Ordering::Release);
    }

    /// `None` for a batch so old that its slot has another's time.
    #[must_use]
    pub fn get(&self, ordinal: u64) -> Option<u64> {
        let intended = self.slot(ordinal).load(Ordering::Acquire);
        let sent = self.sent.load(Ordering::Acquire);
        (ordinal < sent && ordinal + SENT_BATCHES_REMEMBERED as u64 > sent).then_some(intended)
    }

    fn slot(&self, ordinal: u64) -> &AtomicU64 {
        &self.slots[(ordinal % SENT_BATCHES_REMEMBERED as u64) as usize]
    }
}

/// What a connection is to do.
pub struct RawProducerPlan {
    pub number: ProducerNumber,
    /// All led by the broker at `leader`.
    pub partitions: Vec<PartitionPlace>,
    pub leader: String,
    pub acks: i16,
    pub is_idempotent: bool,
    pub batch_bytes: usize,
    pub codec: protocol::record_batch::Compression,
    pub in_flight_max: usize,
    pub keys: Keys,
    pub names: BatchNames,
    pub due_times: Arc<DueTimes>,
}

/// Connected, with its batches encoded.
pub struct RawProducer {
    plan: RawProducerPlan,
    connection: Connection,
    identity: Option<(ProducerId, ProducerEpoch)>,
    batches: Vec<EncodedBatch>,
}

impl RawProducer {
    pub fn connect(mut plan: RawProducerPlan, pool: &PayloadPool) -> Result<Self, Failure> {
        let mut connection = Connection::open(&plan.leader, ANSWER_TIMEOUT)?;
        let identity = plan.is_idempotent.then(|| identify(&mut connection)).transpose()?;
        let batches = encode_batches(&mut plan, pool);
        Ok(Self { plan, connection, identity, batches })
    }

    /// Of each of its batches, on average.
    #[must_use]
    pub fn records_per_batch(&self) -> f64 {
        let records: u32 = self.batches.iter().map(|batch| batch.records).sum();
        f64::from(records) / self.batches.len() as f64
    }

    /// Sends until the run's measured time ends. Pace counts batches.
    pub fn start(
        self,
        pace: Pace,
        clock: Arc<RunClock>,
        windows: Sender<Window>,
    ) -> Result<JoinHandle<Produced>, Failure> {
        let Self { plan, connection, identity, batches } = self;
        let version = connection.version(ApiKey::Produce, PRODUCE_VERSION)?;
        let heads = plan
            .partitions
            .iter()
            .map(|place| frame_head(place, plan.acks, version))
            .collect::<Result<Vec<_>, _>>()?;
        let (stream, reader) = connection.split()?;
        let (sent, in_flight) = channel();
        let (free, tokens) = channel();
        for _ in 0..plan.in_flight_max {
            let _ = free.send(());
        }
        let answers = Answers {
            reader,
            address: plan.leader.clone(),
            version,
            chains: ProducedChains::new(plan.number),
            number: plan.number,
            in_flight,
            free,
            recorder: Recorder::new(Arc::clone(&clock), windows),
            clock: Arc::clone(&clock),
        };
        let writer = Writer {
            sequences: vec![0; plan.partitions.len()],
            plan,
            stream,
            identity,
            batches,
            heads,
            tokens,
            sent,
            clock,
        };
        let reading = std::thread::Builder::new().name("raw-answers".to_owned());
        let reading = reading.spawn(move || answers.read()).map_err(no_thread)?;
        let writing = std::thread::Builder::new().name("raw-producer".to_owned());
        writing
            .spawn(move || {
                let (unsent_records, failure) = writer.write(pace);
                let (chains, other) = reading.join().expect("the answers' thread does not panic");
                Produced { chains, unsent_records, failure: other.or(failure) }
            })
            .map_err(no_thread)
    }
}

pub(super) fn no_thread(error: io::Error) -> Failure {
    Failure::new(format!("a client's thread cannot be started ({error}); raise `ulimit -u`"))
}

struct Sent {
    partition: PartitionNumber,
    ordinal: u64,
    records: u32,
    bytes: u64,
    crc: u32,
    intended_ns: u64,
    sent_ns: u64,
}

struct Writer {
    plan: RawProducerPlan,
    stream: TcpStream,
    identity: Option<(ProducerId, ProducerEpoch)>,
    batches: Vec<EncodedBatch>,
    heads: Vec<Vec<u8>>,
    /// Of each partition, for idempotence.
    sequences: Vec<i32>,
    tokens: Receiver<()>,
    sent: Sender<Sent>,
    clock: Arc<RunClock>,
}

impl Writer {
    /// Gives the records that were due and not sent, and what went wrong.
    fn write(mut self, mut pace: Pace) -> (u64, Option<Failure>) {
        wake_precisely();
        for ordinal in 0u64.. {
            let due_ns = match &mut pace {
                Pace::Open(schedule) => schedule.next_ns(),
                Pace::Closed => 0,
            };
            if self.clock.wait_until(due_ns) == Waited::Ended || self.is_past(&pace) {
                break;
            }
            match self.token() {
                Ok(true) => {}
                Ok(false) => return (self.unsent(&mut pace, due_ns), None),
                // The thread that reads answers has ended, and says why.
                Err(()) => return (0, None),
            }
            let now = self.clock.now_ns();
            let intended_ns = if matches!(pace, Pace::Open(_)) { due_ns } else { now };
            if let Err(error) = self.send(ordinal, intended_ns, now) {
                let failure = broken(&self.plan.leader, &error);
                return (0, give_up(&self.clock, failure));
            }
        }
        (0, None)
    }

    /// A closed loop ends with the measured time; an open one sends all that was due in it.
    fn is_past(&self, pace: &Pace) -> bool {
        matches!(pace, Pace::Closed) && self.clock.now_ns() >= self.clock.until_ns()
    }

    /// Waits until one more request may be in flight. `false`: not in the time there is.
    fn token(&self) -> Result<bool, ()> {
        loop {
            match self.tokens.recv_timeout(Duration::from_millis(100)) {
                Ok(()) => return Ok(true),
                Err(RecvTimeoutError::Disconnected) => return Err(()),
                Err(RecvTimeoutError::Timeout) if self.clock.is_aborted() => return Err(()),
                Err(RecvTimeoutError::Timeout) => {
                    let limit = u64::try_from(DRAIN_TIME.as_nanos()).unwrap_or(u64::MAX);
                    if self.clock.now_ns() > self.clock.until_ns().saturating_add(limit) {
                        return Ok(false);
                    }
                }
            }
        }
    }

    fn unsent(&self, pace: &mut Pace, mut due_ns: u64) -> u64 {
        let mut batches = 0;
        while due_ns < self.clock.until_ns() {
            batches += 1;
            match pace {
                Pace::Open(schedule) => due_ns = schedule.next_ns(),
                Pace::Closed => break,
            }
        }
        batches * u64::from(self.batches[0].records)
    }

    fn send(&mut self, ordinal: u64, intended_ns: u64, now: u64) -> io::Result<()> {
        let at = (ordinal % self.heads.len() as u64) as usize;
        // Not the same batch to the same partition each time, where there are as many of both.
        let turn = ordinal / self.heads.len() as u64 + ordinal;
        let batch = &self.batches[(turn % self.batches.len() as u64) as usize];
        let producer = self.identity.map(|(id, epoch)| Producer {
            id,
            epoch,
            base_sequence: self.sequences[at],
        });
        let timestamp = self.plan.names.timestamp(self.plan.number.0, ordinal);
        let (header, crc) = batch.header(timestamp, producer);
        let head = &mut self.heads[at];
        set_lengths(head, batch.length());
        let _ = self.sent.send(Sent {
            partition: self.plan.partitions[at].number,
            ordinal,
            records: batch.records,
            bytes: batch.payload_bytes,
            crc,
            intended_ns,
            sent_ns: now,
        });
        self.plan.due_times.remember(ordinal, intended_ns);
        write_all(&mut self.stream, [head, &header, batch.body()])?;
        let records = i32::try_from(batch.records).unwrap_or(i32::MAX);
        self.sequences[at] = increment_sequence(self.sequences[at], records);
        Ok(())
    }
}

struct Answers {
    reader: FrameReader,
    address: String,
    version: i16,
    chains: ProducedChains,
    number: ProducerNumber,
    in_flight: Receiver<Sent>,
    free: Sender<()>,
    recorder: Recorder,
    clock: Arc<RunClock>,
}

impl Answers {
    fn read(mut self) -> (ProducedChains, Option<Failure>) {
        let mut failure = None;
        loop {
            let sent = match self.in_flight.recv_timeout(Duration::from_millis(200)) {
                Ok(sent) => sent,
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    self.recorder.tick();
                    continue;
                }
            };
            if let Err(error) = self.read_one(&sent) {
                failure = give_up(&self.clock, error);
                break;
            }
        }
        (self.chains, failure)
    }

    fn read_one(&mut self, sent: &Sent) -> Result<(), Failure> {
        let frame = self.reader.next_frame().map_err(|error| broken(&self.address, &error))?;
        let acknowledged_ns = self.clock.now_ns();
        let offset = base_offset(&frame, self.version)?;
        self.reader.recycle(frame);
        let _ = self.free.send(());
        let entry = Entry {
            offset,
            records: sent.records,
            producer: self.number,
            ordinal: sent.ordinal,
            fingerprint: u64::from(sent.crc),
        };
        self.chains.acknowledged(sent.partition, &entry);
        let times =
            Acknowledged { intended_ns: sent.intended_ns, sent_ns: sent.sent_ns, acknowledged_ns };
        self.recorder.sent(u64::from(sent.records));
        self.recorder.acknowledged(times, u64::from(sent.records), sent.bytes);
        self.recorder.tick_at(acknowledged_ns);
        Ok(())
    }
}

fn base_offset(frame: &Bytes, version: i16) -> Result<i64, Failure> {
    let (_, response): (_, ProduceResponse) = decode_response(version, frame)
        .map_err(|error| Failure::new(format!("a produce response makes no sense: {error}")))?;
    let partitions = response.responses.first().map(|topic| &topic.partition_responses);
    let partition = partitions
        .and_then(|partitions| partitions.first())
        .ok_or_else(|| Failure::new("a produce response answers for no partition"))?;
    if partition.error_code != 0 {
        let said = partition.error_message.as_deref().map(|text| format!(" ({text})"));
        return Err(Failure::new(format!(
            "the broker refused a batch: {}{}",
            error_name(partition.error_code),
            said.unwrap_or_default()
        )));
    }
    Ok(partition.base_offset)
}

fn identify(connection: &mut Connection) -> Result<(ProducerId, ProducerEpoch), Failure> {
    let answer = connection.call(InitProducerIdRequest {
        transaction_timeout_ms: PRODUCE_TIMEOUT_MS,
        ..InitProducerIdRequest::default()
    })?;
    if answer.error_code != 0 {
        let name = error_name(answer.error_code);
        return Err(Failure::new(format!("the broker gives no producer id: {name}")));
    }
    Ok((ProducerId(answer.producer_id), ProducerEpoch(answer.producer_epoch)))
}

fn encode_batches(plan: &mut RawProducerPlan, pool: &PayloadPool) -> Vec<EncodedBatch> {
    let size = BatchSize { bytes: plan.batch_bytes, codec: plan.codec };
    let mut batches: Vec<EncodedBatch> = Vec::new();
    let mut first = u64::from(plan.number.0);
    while batches.len() < BATCHES_ENCODED_MAX
        && batches.iter().map(EncodedBatch::length).sum::<usize>() < BATCHES_ENCODED_BYTES_MAX
    {
        let batch = EncodedBatch::encode(pool, &mut plan.keys, first, size);
        first += u64::from(batch.records);
        batches.push(batch);
    }
    batches
}

/// Everything before the batch. Its lengths are set for each sending.
fn frame_head(place: &PartitionPlace, acks: i16, version: i16) -> Result<Vec<u8>, Failure> {
    let request = ProduceRequest {
        acks,
        timeout_ms: PRODUCE_TIMEOUT_MS,
        topic_data: vec![TopicProduceData {
            name: Str::from(place.topic.as_str()),
            partition_data: vec![PartitionProduceData {
                index: place.index,
                records: Some(Bytes::new()),
            }],
        }],
        ..ProduceRequest::default()
    };
    encode(request, version, 1)
}

/// The frame's size stands first, the batch's length last.
fn set_lengths(head: &mut [u8], batch_bytes: usize) {
    let batch = u32::try_from(batch_bytes).expect("a batch is far below 2 GiB");
    let end = head.len();
    let frame = u32::try_from(end - 4).expect("a head is short") + batch;
    head[..4].copy_from_slice(&frame.to_be_bytes());
    head[end - 4..].copy_from_slice(&batch.to_be_bytes());
}

/// All parts, in as few calls as the socket's memory allows.
fn write_all(stream: &mut TcpStream, parts: [&[u8]; 3]) -> io::Result<()> {
    let mut slices = parts.map(IoSlice::new);
    let mut rest = &mut slices[..];
    while !rest.is_empty() {
        match stream.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{DueTimes, SENT_BATCHES_REMEMBERED};

    #[test]
    fn the_newest_due_times_are_remembered_and_older_ones_are_not_mixed_up() {
        let times = DueTimes::default();
        assert_eq!(times.get(0), None);
        let count = SENT_BATCHES_REMEMBERED as u64 + 10;
        (0..count).for_each(|ordinal| times.remember(ordinal, ordinal * 7));
        assert_eq!(times.get(count - 1), Some((count - 1) * 7));
        assert_eq!(times.get(11), Some(77));
        assert_eq!(times.get(9), None);
        assert_eq!(times.get(count), None);
    }
}
