//! Records to batches, batches to leaders, acknowledgements back.
//!
//! One request is in flight for each leader; a request that failed for the moment is repeated with the
//! same bytes, which an idempotent producer's sequence makes harmless.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::messages::init_producer_id::InitProducerIdRequest;
use protocol::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData,
};
use protocol::partitioner::partition_for_key;
use protocol::record_batch::{
    BatchBuilder, BatchOptions, Compression, HeaderField, Producer, increment_sequence,
};
use protocol::{ErrorCode, ProducerEpoch, ProducerId};

use super::input::OutgoingRecord;
use super::{Acks, Written};
use crate::cli::client::{Client, Refusal, TopicInfo};
use crate::cli::failure::Failure;
use crate::cli::limits::{BATCH_BYTES_MAX, REQUEST_BATCHES_MAX};
use crate::cli::times;

/// Before a request is repeated.
const AGAIN: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug)]
pub(super) struct SenderOptions {
    pub(super) acks: Acks,
    pub(super) compression: Compression,
    pub(super) partition: Option<i32>,
}

pub(super) struct Sender {
    client: Client,
    topic: TopicInfo,
    options: SenderOptions,
    /// `None` without idempotence.
    identity: Option<(ProducerId, ProducerEpoch)>,
    /// Sequence of the next record, by partition.
    sequences: BTreeMap<i32, i32>,
    building: BTreeMap<i32, BatchBuilder>,
    /// Bytes of all that is being built, as estimated.
    held: usize,
    /// Where records without a key go until the next flush.
    unkeyed: i32,
    /// Counts flushes: each goes to the next partition.
    turn: usize,
    written: BTreeMap<i32, Written>,
}

/// A finished batch on its way.
#[derive(Clone)]
struct Outgoing {
    partition: i32,
    records: i32,
    bytes: Bytes,
}

impl Sender {
    pub(super) fn new(
        mut client: Client,
        topic: TopicInfo,
        options: SenderOptions,
    ) -> Result<Self, Failure> {
        let identity = match options.acks {
            // A sequence that is not acknowledged by all proves nothing.
            Acks::None | Acks::Leader => None,
            Acks::All => Some(identity(&mut client)?),
        };
        // Several short runs shall not all begin with the first partition.
        let turn = usize::try_from(times::now_ms()).unwrap_or(0);
        Ok(Self {
            client,
            unkeyed: available(&topic, turn),
            topic,
            options,
            identity,
            sequences: BTreeMap::new(),
            building: BTreeMap::new(),
            held: 0,
            turn,
            written: BTreeMap::new(),
        })
    }

    /// Nothing waits to be sent.
    pub(super) fn is_empty(&self) -> bool {
        self.building.is_empty()
    }

    /// What was written so far, by partition.
    pub(super) fn written(&self) -> Vec<Written> {
        self.written.values().copied().collect()
    }

    pub(super) fn push(&mut self, record: &OutgoingRecord<'_>) -> Result<(), Failure> {
        // Lengths and deltas of a record and its headers are below 64 bytes and 32 a header.
        let headers: usize =
            record.headers.iter().map(|(name, value)| name.len() + value.len() + 32).sum();
        let bytes = record.key.map_or(0, <[u8]>::len) + record.value.len() + headers + 64;
        let partition = self.partition_of(record);
        let in_batch = self.building.get(&partition).map_or(0, BatchBuilder::length);
        let is_full = in_batch > 0 && in_batch + bytes > BATCH_BYTES_MAX;
        if is_full || self.held + bytes > BATCH_BYTES_MAX * REQUEST_BATCHES_MAX {
            self.flush()?;
        }
        let partition = self.partition_of(record);
        let options = BatchOptions {
            compression: self.options.compression,
            producer: self.producer(partition),
            ..BatchOptions::default()
        };
        let builder = self.building.entry(partition).or_insert_with(|| BatchBuilder::new(options));
        let headers: Vec<HeaderField<'_>> = record
            .headers
            .iter()
            .map(|(name, value)| HeaderField::new(name, Some(value.as_bytes())))
            .collect();
        builder.push(record.timestamp, record.key, Some(record.value), &headers);
        self.held += bytes;
        Ok(())
    }

    /// Sends what was gathered, and waits until it is acknowledged.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        let mut batches = Vec::new();
        self.held = 0;
        for (partition, builder) in std::mem::take(&mut self.building) {
            let records = builder.records();
            let bytes = Bytes::from(builder.finish());
            let sequence = self.sequences.entry(partition).or_insert(0);
            *sequence = increment_sequence(*sequence, records);
            batches.push(Outgoing { partition, records, bytes });
        }
        self.turn = self.turn.wrapping_add(usize::from(!batches.is_empty()));
        let deadline = self.client.deadline();
        while !batches.is_empty() {
            let (again, reason) = self.send(batches)?;
            batches = again;
            if let Some(reason) = reason.filter(|_| !batches.is_empty()) {
                if Instant::now() >= deadline {
                    return Err(reason);
                }
                std::thread::sleep(AGAIN);
                // A node that is away for a moment says nothing about where leaders are.
                if let Ok(topic) = self.client.topic_now(&self.topic.name) {
                    self.topic = topic;
                }
            }
        }
        self.unkeyed = available(&self.topic, self.turn);
        Ok(())
    }

    fn partition_of(&self, record: &OutgoingRecord<'_>) -> i32 {
        if let Some(partition) = self.options.partition {
            return partition;
        }
        let count = self.topic.partitions.len().max(1);
        match record.key {
            Some(key) => {
                let count = u32::try_from(count).expect("a topic has at most 2^31 partitions");
                i32::try_from(partition_for_key(key, count)).expect("it is below their number")
            }
            None => self.unkeyed,
        }
    }

    fn producer(&self, partition: i32) -> Option<Producer> {
        let (id, epoch) = self.identity?;
        let base_sequence = self.sequences.get(&partition).copied().unwrap_or(0);
        Some(Producer { id, epoch, base_sequence })
    }

    /// Sends each batch once. Gives those to be sent again, and why.
    fn send(
        &mut self,
        batches: Vec<Outgoing>,
    ) -> Result<(Vec<Outgoing>, Option<Failure>), Failure> {
        let (mut again, mut reason, mut offline) = (Vec::new(), None, None);
        let mut by_leader: BTreeMap<i32, Vec<Outgoing>> = BTreeMap::new();
        for batch in batches {
            match self.topic.leader_of(batch.partition) {
                Some(leader) => by_leader.entry(leader).or_default().push(batch),
                None => {
                    let failure = self.topic.without_leader(batch.partition);
                    if self.topic.is_offline(batch.partition) {
                        offline = Some(failure);
                    } else {
                        reason = Some(failure);
                        again.push(batch);
                    }
                }
            }
        }
        for (leader, batches) in by_leader {
            let request = self.request(&batches);
            if self.options.acks == Acks::None {
                self.client.tell_broker(leader, request)?;
                batches.iter().for_each(|batch| self.note(batch, None));
                continue;
            }
            match self.client.on_broker(leader, request) {
                Ok(response) => {
                    let answers: Vec<&PartitionProduceResponse> = response
                        .responses
                        .iter()
                        .flat_map(|topic| &topic.partition_responses)
                        .collect();
                    for batch in batches {
                        if let Some(failure) = self.settle(&batch, &answers)? {
                            reason = Some(failure);
                            again.push(batch);
                        }
                    }
                }
                Err(failure) => {
                    reason = Some(failure);
                    again.extend(batches);
                }
            }
        }
        // What goes to other partitions is on its way: only then is it said.
        offline.map_or(Ok((again, reason)), Err)
    }

    /// What the broker answered for one batch; why it must be sent again.
    fn settle(
        &mut self,
        batch: &Outgoing,
        answers: &[&PartitionProduceResponse],
    ) -> Result<Option<Failure>, Failure> {
        let what = format!("partition {} of {}", batch.partition, self.topic.name);
        let Some(answer) = answers.iter().find(|answer| answer.index == batch.partition) else {
            return Ok(Some(Failure::failed(format!("{what} was not answered for"))));
        };
        match Refusal::of(answer.error_code) {
            None => self.note(batch, Some(answer.base_offset)),
            Some(refusal) if refusal.is(ErrorCode::DuplicateSequenceNumber) => {
                self.note(batch, None);
            }
            Some(refusal) => {
                let failure = refusal.failure(&what, answer.error_message.as_deref());
                return if refusal.is_retriable() { Ok(Some(failure)) } else { Err(failure) };
            }
        }
        Ok(None)
    }

    fn request(&self, batches: &[Outgoing]) -> ProduceRequest {
        let data = |batch: &Outgoing| PartitionProduceData {
            index: batch.partition,
            records: Some(batch.bytes.clone()),
        };
        ProduceRequest {
            transactional_id: None,
            acks: match self.options.acks {
                Acks::None => 0,
                Acks::Leader => 1,
                Acks::All => -1,
            },
            timeout_ms: self.client.timeout_ms(),
            topic_data: vec![TopicProduceData {
                name: self.topic.name.as_str().into(),
                partition_data: batches.iter().map(data).collect(),
            }],
        }
    }

    fn note(&mut self, batch: &Outgoing, base: Option<i64>) {
        let base = base.filter(|base| *base >= 0);
        let last = base.map(|base| base + i64::from(batch.records) - 1);
        let written = self.written.entry(batch.partition).or_insert(Written {
            partition: batch.partition,
            records: 0,
            first_offset: base,
            last_offset: last,
        });
        written.records += u64::from(batch.records.unsigned_abs());
        written.last_offset = last.or(written.last_offset);
    }
}

/// A partition for records without a key: one with a leader, while there is any.
fn available(topic: &TopicInfo, turn: usize) -> i32 {
    let led = || topic.partitions.iter().filter(|partition| partition.leader >= 0);
    let at = turn % led().count().max(1);
    led().nth(at).or(topic.partitions.first()).map_or(0, |found| found.index)
}

fn identity(client: &mut Client) -> Result<(ProducerId, ProducerEpoch), Failure> {
    let deadline = client.deadline();
    loop {
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: i32::MAX,
            producer_id: -1,
            producer_epoch: -1,
        };
        let response = client.any(request)?;
        match Refusal::of(response.error_code) {
            None => {
                return Ok((
                    ProducerId(response.producer_id),
                    ProducerEpoch(response.producer_epoch),
                ));
            }
            Some(refusal) if refusal.is_retriable() && Instant::now() < deadline => {
                std::thread::sleep(AGAIN);
            }
            Some(refusal) => return Err(refusal.failure("the producer's identity", None)),
        }
    }
}
