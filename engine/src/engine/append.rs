//! Appends: checks, room, offsets. The only place where offsets are assigned.

use bytes::Bytes;
use protocol::record_batch::{self, BatchHeader, TimestampType};
use protocol::{LeaderEpoch, Offset};
use runtime::clock::Monotonic;

use super::{Engine, Slot};
use crate::batch::BatchView;
use crate::config::Durability;
use crate::limits::{APPENDS_WAITING_MAX, BATCH_MEMORY_DIVISOR, RUN_BYTES_MAX};
use crate::partition::position::LogPosition;
use crate::partition::producers::SequenceCheck;
use crate::partition::validate::{Validated, validate};
use crate::partition::{PartitionState, PendingAck, Run, RunState, WaitingAppend};
use crate::request::{AppendError, AppendMoments, AppendRequest, Appended, EngineEvent, Token};

/// What became of an append that passed all checks.
enum Attempt {
    Appended,
    /// No room yet; something is on its way that makes some.
    Wait,
    Refused(AppendError),
}

impl Engine {
    /// Appends one batch; the answer comes as an event once it is durable (or at once, with
    /// durability=memory). Batches of a partition are appended in the order of the calls.
    pub fn append(&mut self, request: AppendRequest) {
        let token = request.token;
        if let Err(error) = self.admit(request) {
            self.events.push_back(EngineEvent::Appended { token, result: Err(error) });
        }
    }

    fn admit(&mut self, request: AppendRequest) -> Result<(), AppendError> {
        let slot = self.slot(request.partition).ok_or(AppendError::NotOwner)?;
        let wall_ms = self.now.wall.0;
        let max = self.arena.capacity() / BATCH_MEMORY_DIVISOR;
        let partition = self.partition_mut(slot).ok_or(AppendError::NotOwner)?;
        match partition.state {
            PartitionState::Open => {}
            PartitionState::Closing => return Err(AppendError::NotOwner),
            PartitionState::Suspect | PartitionState::Offline => {
                return Err(AppendError::Unavailable);
            }
        }
        let Validated { header, batch } =
            validate(&request.batch, &partition.config, request.zstd_allowed, wall_ms)
                .map_err(AppendError::Invalid)?;
        // A batch that memory could never take would wait, and all behind it, for ever.
        let bytes = request.batch.len();
        if bytes > max {
            return Err(AppendError::BeyondMemory { bytes, max });
        }
        if partition.waiting.len() >= APPENDS_WAITING_MAX {
            return Err(AppendError::Overloaded);
        }
        let is_first = partition.waiting.is_empty();
        let append = WaitingAppend { token: request.token, batch, header };
        if is_first {
            match self.attempt(slot, &append) {
                Attempt::Appended => return Ok(()),
                Attempt::Refused(error) => return Err(error),
                Attempt::Wait => self.metrics.append_waits += 1,
            }
        }
        self.wait(slot, append);
        Ok(())
    }

    fn wait(&mut self, slot: Slot, append: WaitingAppend) {
        let partition = self.partition_mut(slot).expect("the partition was just looked up");
        partition.waiting.push_back(append);
        if !std::mem::replace(&mut partition.is_waiting, true) {
            self.waiting.push_back(slot);
        }
    }

    /// Tries waiting appends again, partition by partition, each in order.
    pub(super) fn retry_waiting(&mut self) {
        for _ in 0..self.waiting.len() {
            let Some(slot) = self.waiting.pop_front() else { break };
            if self.retry_partition(slot) {
                self.waiting.push_back(slot);
            } else if let Some(partition) = self.partition_mut(slot) {
                partition.is_waiting = false;
            }
        }
    }

    /// True if appends of the partition still wait.
    fn retry_partition(&mut self, slot: Slot) -> bool {
        loop {
            let Some(partition) = self.partition_mut(slot) else { return false };
            let Some(append) = partition.waiting.front().cloned() else { return false };
            let result = match self.attempt(slot, &append) {
                Attempt::Wait => return true,
                Attempt::Appended => None,
                Attempt::Refused(error) => Some(error),
            };
            if let Some(partition) = self.partition_mut(slot) {
                partition.waiting.pop_front();
            }
            if let Some(error) = result {
                let token = append.token;
                self.events.push_back(EngineEvent::Appended { token, result: Err(error) });
            }
        }
    }

    fn attempt(&mut self, slot: Slot, append: &WaitingAppend) -> Attempt {
        let partition = self.partition(slot).expect("callers hold a live slot");
        if !partition.is_vouched {
            return Attempt::Wait;
        }
        let header = &append.header;
        if header.producer().is_some() {
            if !partition.producers_known {
                return Attempt::Refused(AppendError::ProducersUnknown);
            }
            match partition.producers.check(header) {
                SequenceCheck::Append => {}
                SequenceCheck::Duplicate(batch) => {
                    self.metrics.duplicates += 1;
                    self.acknowledge_later(
                        slot,
                        append.token,
                        batch.base,
                        batch.next,
                        batch.timestamp,
                    );
                    return Attempt::Appended;
                }
                SequenceCheck::InvalidEpoch { stored } => {
                    let actual = header.producer_epoch;
                    return Attempt::Refused(AppendError::InvalidProducerEpoch { stored, actual });
                }
                SequenceCheck::OutOfOrder { expected, actual } => {
                    return Attempt::Refused(AppendError::OutOfOrderSequence { expected, actual });
                }
            }
        }
        let bytes = append.batch.len();
        if !self.journal_has_room(bytes as u64) {
            self.prepare_journal_now();
            return Attempt::Wait;
        }
        if !self.ensure_segment_room(slot, header, bytes as u64)
            || !self.ensure_tail_room(slot, bytes)
        {
            return Attempt::Wait;
        }
        self.append_now(slot, append)
    }

    /// Everything is reserved: assigns offsets and copies the batch into the tail.
    fn append_now(&mut self, slot: Slot, append: &WaitingAppend) -> Attempt {
        let now = self.now;
        let now_ms = self.now_ms();
        let arena = self.arena.clone();
        let partition = self.partition_mut(slot).expect("callers hold a live slot");
        let at = (partition.end.segment, partition.end.position);
        let before = partition.tail.memory_bytes();
        let Some(blocks) = partition.tail.reserve(&arena, now_ms, at, append.batch.len()) else {
            return Attempt::Wait;
        };
        let from = partition.end;
        let mut header = append.header;
        header.base_offset = from.offset;
        header.partition_leader_epoch = partition.leader_epoch;
        let stamped = (partition.config.timestamp_type == TimestampType::LogAppendTime)
            .then(|| stamp(&append.batch, now.wall.0));
        let timestamp = if stamped.is_some() { now.wall.0 } else { -1 };
        let source = stamped.as_ref().unwrap_or(&append.batch);
        if stamped.is_some() {
            header.max_timestamp = now.wall.0;
        }
        let (head, rest) = source.split_at(record_batch::PATCHED_BYTES);
        let mut patched = [0u8; record_batch::PATCHED_BYTES];
        patched.copy_from_slice(head);
        record_batch::patch(&mut patched, from.offset, partition.leader_epoch);
        partition.tail.append(at, blocks, &[&patched, rest]);
        let memory = partition.tail.memory_bytes() - before;
        let next = Offset(header.last_offset().0 + 1);
        let to = LogPosition {
            offset: next,
            segment: from.segment,
            position: from.position + source.len() as u64,
        };
        partition.end = to;
        partition.newest.push(from);
        let interval = partition.config.index_interval_bytes;
        let segment = partition.segments.back_mut().expect("room was made in the active segment");
        segment.length = to.position;
        segment.first_append_ms.get_or_insert(now.wall.0);
        // A batch without a timestamp is as old as its append.
        let newest = if header.max_timestamp < 0 { now.wall.0 } else { header.max_timestamp };
        segment.max_timestamp = segment.max_timestamp.max(Some(newest));
        let base = segment.base;
        if let Some(index) = &mut segment.index {
            index.note(base, from.position, &header, interval);
        }
        if header.producer().is_some() {
            partition.producers.note(&header, timestamp, now.wall.0);
        }
        let header_rest = &rest[..record_batch::HEADER_BYTES - patched.len()];
        gather(&mut partition.runs, (from, to), partition.leader_epoch, [&patched, header_rest]);
        partition.is_dirty = true;
        self.tail_bytes += memory;
        self.hold(slot);
        self.unjournaled_bytes += to.position - from.position;
        self.metrics.appends += 1;
        self.metrics.append_bytes += to.position - from.position;
        self.mark_ready(slot);
        self.acknowledge_later(slot, append.token, from.offset, next, timestamp);
        Attempt::Appended
    }

    /// Answers `token` once everything before `end` is durable (or at once where memory suffices).
    fn acknowledge_later(
        &mut self,
        slot: Slot,
        token: Token,
        base: Offset,
        end: Offset,
        timestamp: i64,
    ) {
        let accepted = self.now.monotonic;
        let partition = self.partition_mut(slot).expect("callers hold a live slot");
        let ack = PendingAck { end, token, base, timestamp, accepted };
        if partition.config.durability == Durability::Memory {
            let log_start = partition.log_start;
            self.moved_once(slot);
            self.answer(ack, log_start, accepted);
        } else if partition.durable.offset >= end {
            let log_start = partition.log_start;
            self.answer(ack, log_start, accepted);
        } else {
            let at = partition.acks.partition_point(|waiting| waiting.end <= end);
            partition.acks.insert(at, ack);
        }
    }

    pub(super) fn moved_once(&mut self, slot: Slot) {
        let Some(partition) = self.partition_mut(slot) else { return };
        if !std::mem::replace(&mut partition.is_moved, true) {
            self.moved.push(slot);
        }
    }

    fn answer(&mut self, ack: PendingAck, log_start: Offset, submitted: Monotonic) {
        let log_append_ms = (ack.timestamp >= 0).then_some(ack.timestamp);
        let (accepted, durable) = (ack.accepted, self.now.monotonic);
        let moments = AppendMoments { accepted, submitted, durable };
        let appended = Appended { base: ack.base, log_append_ms, log_start, moments };
        let event = EngineEvent::Appended { token: ack.token, result: Ok(appended) };
        self.events.push_back(event);
    }

    /// The partition became durable up to `to`, with a group that was submitted then.
    pub(super) fn on_durable(&mut self, slot: Slot, to: LogPosition, submitted: Monotonic) {
        let Some(partition) = self.partition_mut(slot) else { return };
        assert!(partition.durable.offset <= to.offset, "the durable end never moves back");
        partition.durable = to;
        let log_start = partition.log_start;
        let is_fsync = partition.config.durability == Durability::Fsync;
        let count = partition.acks.partition_point(|ack| ack.end <= to.offset);
        let done: Vec<PendingAck> = partition.acks.drain(..count).collect();
        for ack in done {
            self.answer(ack, log_start, submitted);
        }
        if is_fsync {
            self.moved_once(slot);
        }
        self.advance_segments(slot);
    }

    /// Answers everything that was appended, durable or not.
    pub(super) fn release_acks(&mut self, slot: Slot) {
        let Some(partition) = self.partition_mut(slot) else { return };
        let log_start = partition.log_start;
        let all: Vec<PendingAck> = partition.acks.drain(..).collect();
        for ack in all {
            self.answer(ack, log_start, ack.accepted);
        }
        self.moved_once(slot);
    }

    /// Fails everything that waits for the partition.
    pub(super) fn fail_appends(&mut self, slot: Slot, error: &AppendError) {
        let Some(partition) = self.partition_mut(slot) else { return };
        let mut tokens: Vec<Token> = partition.acks.drain(..).map(|ack| ack.token).collect();
        tokens.extend(partition.waiting.drain(..).map(|append| append.token));
        for token in tokens {
            self.events.push_back(EngineEvent::Appended { token, result: Err(error.clone()) });
        }
    }

    /// Fails the appends that have no offset yet.
    pub(super) fn fail_waiting(&mut self, slot: Slot, error: &AppendError) {
        let Some(partition) = self.partition_mut(slot) else { return };
        let tokens: Vec<Token> = partition.waiting.drain(..).map(|append| append.token).collect();
        for token in tokens {
            self.events.push_back(EngineEvent::Appended { token, result: Err(error.clone()) });
        }
    }
}

/// The batch with the log append time stamped in and its CRC renewed.
#[cold]
fn stamp(batch: &Bytes, wall_ms: i64) -> Bytes {
    let mut copy = batch.to_vec();
    record_batch::stamp_log_append_time(&mut copy, wall_ms);
    Bytes::from(copy)
}

/// Adds a batch at `[from, to)`, with its header in two parts, to the last run if that one can still grow.
fn gather(
    runs: &mut std::collections::VecDeque<Run>,
    (from, to): (LogPosition, LogPosition),
    leader_epoch: LeaderEpoch,
    header: [&[u8]; 2],
) {
    let crc_with = |crc| header.iter().fold(crc, |crc, part| crc32c::crc32c_append(crc, part));
    if let Some(last) = runs.back_mut()
        && last.state == RunState::Gathering
        && last.leader_epoch == leader_epoch
        && last.to == from
        && to.position - last.from.position <= RUN_BYTES_MAX
    {
        last.to = to;
        last.headers_crc = crc_with(last.headers_crc);
        return;
    }
    let headers_crc = crc_with(0);
    runs.push_back(Run { from, to, leader_epoch, headers_crc, state: RunState::Gathering });
}

/// Whether `header` still fits behind `base`: Kafka's indexes hold 31-bit relative offsets.
pub(super) fn fits_segment(base: Offset, next: Offset, header: &BatchHeader) -> bool {
    next.0 + i64::from(header.last_offset_delta) - base.0 <= i64::from(i32::MAX)
}
