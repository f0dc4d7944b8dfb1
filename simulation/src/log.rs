//! What the clients of one partition know of its log, and what must therefore be true of it.

use std::collections::{BTreeMap, BTreeSet};

use broker::engine::PartitionId;
use broker::engine::config::{Durability, LogConfig};
use broker::engine::disk::DirId;
use broker::engine::request::PartitionOffsets;
use broker::protocol::record_batch::{
    BatchHeader, BatchSlice, CRC_AT, HEADER_BYTES, TimestampType,
};
use broker::protocol::{LeaderEpoch, Offset};
use bytes::Bytes;

use crate::batches::{BatchNumber, keyed_records, number_of};
use crate::compacted::{Compacted, TombstoneClock};
use crate::violation::{Checked, Checker};

/// Where a partition is in its life, as the metadata of the node would say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogState {
    /// Asked for; its directory may or may not be there.
    Creating,
    /// Created for good, on this shard.
    Live { shard: usize },
    /// On its way to another shard.
    Moving,
    /// Its removal is decided; its files may or may not be there.
    Deleting,
    /// Gone for good.
    Deleted,
    /// Damaged on purpose: no promise holds but that this is told.
    Damaged,
}

/// A call of append; grows with every call to the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Call(pub(crate) u64);

/// A batch that was sent at least once.
#[derive(Clone, Debug)]
struct Sent {
    bytes: Bytes,
    max_timestamp: i64,
    /// By the wall clock.
    sent_ms: i64,
    /// Calls that were not refused: where the batch may stand in the order.
    calls: BTreeSet<Call>,
    /// Where it stands, once known.
    base: Option<Offset>,
    /// Its producer is known by the partition: it may be sent twice and stands once.
    is_idempotent: bool,
}

/// A batch whose place is known: somebody was told, or has read it.
#[derive(Clone, Copy, Debug)]
struct Placed {
    next: Offset,
    number: BatchNumber,
    acknowledged: bool,
}

/// A walk through the whole log in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Walk {
    pub(crate) next: Option<Offset>,
    /// Where it began, and the number of the newest cleaned segment then.
    pub(crate) begun: Option<(Offset, u64)>,
    last_call: Option<Call>,
    last_epoch: Option<LeaderEpoch>,
}

impl Walk {
    /// For clients, who do not know what is cleaned.
    pub(crate) fn from(start: Offset) -> Self {
        Self { begun: Some((start, 0)), ..Self::default() }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) id: PartitionId,
    pub(crate) name: String,
    pub(crate) dir: DirId,
    pub(crate) config: LogConfig,
    pub(crate) state: LogState,
    sent: BTreeMap<BatchNumber, Sent>,
    placed: BTreeMap<Offset, Placed>,
    /// Of a log that is compacted.
    pub(crate) compacted: Option<Compacted>,
    calls: u64,
    /// Log start as far as it was acknowledged, and as far as it was ever seen.
    log_start_acknowledged: Offset,
    log_start_seen: Offset,
    high_watermark_seen: Offset,
    /// The newest epoch that was asked for, and that an acknowledged batch stands in.
    pub(crate) epoch_asked: LeaderEpoch,
    epoch_acknowledged: LeaderEpoch,
}

impl Log {
    pub(crate) fn new(id: PartitionId, name: String, dir: DirId, config: LogConfig) -> Self {
        let compacted = config.cleanup_compact.then(Compacted::default);
        Self {
            id,
            name,
            dir,
            config,
            compacted,
            state: LogState::Creating,
            sent: BTreeMap::new(),
            placed: BTreeMap::new(),
            calls: 0,
            log_start_acknowledged: Offset(0),
            log_start_seen: Offset(0),
            high_watermark_seen: Offset(0),
            epoch_asked: LeaderEpoch(0),
            epoch_acknowledged: LeaderEpoch(0),
        }
    }

    /// Its batches carry the broker's time.
    pub(crate) fn stamps(&self) -> bool {
        self.config.timestamp_type == TimestampType::LogAppendTime
    }

    pub(crate) fn is_durable(&self) -> bool {
        self.config.durability == Durability::Fsync
    }

    /// The shard that serves it now.
    pub(crate) fn shard(&self) -> Option<usize> {
        match self.state {
            LogState::Live { shard } => Some(shard),
            _ => None,
        }
    }

    pub(crate) fn high_watermark_seen(&self) -> Offset {
        self.high_watermark_seen
    }

    pub(crate) fn log_start_seen(&self) -> Offset {
        self.log_start_seen
    }

    /// A batch is sent, perhaps again.
    pub(crate) fn send(&mut self, number: BatchNumber, bytes: &Bytes, now_ms: i64) -> Call {
        self.calls += 1;
        let call = Call(self.calls);
        let sent = self.sent.entry(number).or_insert_with(|| {
            let header = BatchHeader::read(bytes).expect("the clients make sound batches");
            Sent {
                bytes: bytes.clone(),
                max_timestamp: header.max_timestamp,
                sent_ms: now_ms,
                calls: BTreeSet::new(),
                base: None,
                is_idempotent: header.producer().is_some(),
            }
        });
        sent.calls.insert(call);
        call
    }

    /// The call was refused for good: it has left nothing behind.
    pub(crate) fn refused(&mut self, number: BatchNumber, call: Call) {
        if let Some(sent) = self.sent.get_mut(&number) {
            sent.calls.remove(&call);
        }
    }

    pub(crate) fn bytes_of(&self, number: BatchNumber) -> Option<Bytes> {
        self.sent.get(&number).map(|sent| sent.bytes.clone())
    }

    /// The append was acknowledged at `base`.
    pub(crate) fn acknowledged(&mut self, number: BatchNumber, base: Offset) -> Checked {
        // Deleted meanwhile, or below the log start long ago.
        let Some(sent) = self.sent.get(&number) else { return Ok(()) };
        let records = BatchHeader::read(&sent.bytes).map_or(0, |header| header.last_offset_delta);
        let next = Offset(base.0 + i64::from(records) + 1);
        self.place(base, next, number, Checker::ExactlyOnce)?;
        if let Some(placed) = self.placed.get_mut(&base) {
            placed.acknowledged = true;
        }
        if self.is_durable() {
            self.high_watermark_seen = self.high_watermark_seen.max(next);
        }
        Ok(())
    }

    /// `number` stands at `[base, next)`: nothing else may, and it nowhere else.
    fn place(
        &mut self,
        base: Offset,
        next: Offset,
        number: BatchNumber,
        checker: Checker,
    ) -> Checked {
        let name = &self.name;
        let overlapping = self.placed.range(..next).next_back().filter(|(_, at)| at.next > base);
        if let Some((at, placed)) = overlapping {
            let same = *at == base && placed.next == next && placed.number == number;
            return checker.check(same, || {
                format!(
                    "{name}: {number:?} at {}..{}, where {:?} was at {}..{} (acknowledged: {})",
                    base.0, next.0, placed.number, at.0, placed.next.0, placed.acknowledged
                )
            });
        }
        let sent = self.sent.get_mut(&number).expect("callers know the batch");
        if let Some(before) = sent.base {
            return Err(Checker::ExactlyOnce.violated(format!(
                "{name}: {number:?} stands at {} and again at {} (idempotent: {})",
                before.0, base.0, sent.is_idempotent
            )));
        }
        sent.base = Some(base);
        if let Some(compacted) = &mut self.compacted {
            compacted.placed(base, &sent.bytes, sent.sent_ms);
        }
        self.placed.insert(base, Placed { next, number, acknowledged: false });
        Ok(())
    }

    /// A batch of this log was read. `None`: compaction left none of its records.
    pub(crate) fn found(&mut self, batch: &BatchSlice<'_>) -> Checked<Option<BatchNumber>> {
        if self.compacted.is_some() {
            return self.found_compacted(batch);
        }
        let name = &self.name;
        let (header, at) = (&batch.header, batch.header.base_offset.0);
        let known =
            number_of(batch.bytes).and_then(|number| Some((number, self.sent.get(&number)?)));
        let Some((number, sent)) = known else {
            let what = format!("{name}: the batch at {at} was never sent to this partition");
            return Err(Checker::BytesAreThose.violated(what));
        };
        Checker::RefusedStaysOut
            .check(!sent.calls.is_empty(), || format!("{name}: {number:?} at {at} was refused"))?;
        // What the broker stamps: the log append time, and the CRC with it.
        let is_stamped = self.stamps();
        let from = if is_stamped { HEADER_BYTES } else { CRC_AT };
        let same = batch.bytes.get(from..) == sent.bytes.get(from..);
        Checker::BytesAreThose.check(same && (!is_stamped || batch.crc_is_valid()), || {
            format!("{name}: {number:?} at {at} differs from what was sent")
        })?;
        Checker::EpochsHold.check(header.partition_leader_epoch <= self.epoch_asked, || {
            format!("{name}: {number:?} at {at} is of epoch {:?}", header.partition_leader_epoch)
        })?;
        self.place(header.base_offset, header.next_offset(), number, Checker::ReadStaysTrue)?;
        Ok(Some(number))
    }

    /// The same where records may be missing: place, producer and epoch are those of the batch that was sent.
    fn found_compacted(&mut self, batch: &BatchSlice<'_>) -> Checked<Option<BatchNumber>> {
        let (header, at) = (batch.header, batch.header.base_offset.0);
        let first = keyed_records(&Bytes::copy_from_slice(batch.bytes)).first().map(|it| it.number);
        let placed = self.placed.get(&header.base_offset).map(|placed| placed.number);
        let number = first.or(placed);
        let name = self.name.clone();
        let Some(number) = number else {
            // Nobody was told of it, and nobody read it before its records went.
            let is_empty = header.record_count == 0;
            Checker::BytesAreThose
                .check(is_empty, || format!("{name}: the batch at {at} was never sent"))?;
            return Ok(None);
        };
        let Some(sent) = self.sent.get(&number) else {
            let what = format!("{name}: the batch at {at} was never sent to this partition");
            return Err(Checker::BytesAreThose.violated(what));
        };
        Checker::RefusedStaysOut
            .check(!sent.calls.is_empty(), || format!("{name}: {number:?} at {at} was refused"))?;
        let sent_header = BatchHeader::read(&sent.bytes).expect("the clients make sound batches");
        let same = header.producer() == sent_header.producer()
            && header.last_offset_delta == sent_header.last_offset_delta;
        Checker::BytesAreThose
            .check(same, || format!("{name}: {number:?} at {at} has another producer or end"))?;
        Checker::EpochsHold.check(header.partition_leader_epoch <= self.epoch_asked, || {
            format!("{name}: {number:?} at {at} is of epoch {:?}", header.partition_leader_epoch)
        })?;
        self.place(header.base_offset, header.next_offset(), number, Checker::ReadStaysTrue)?;
        let sent = self.sent[&number].bytes.clone();
        if let Some(compacted) = &self.compacted {
            compacted.check(&name, batch, &sent)?;
        }
        Ok(first)
    }

    /// The next batch of a walk through the log: in order and without gaps.
    pub(crate) fn walked(&mut self, walk: &mut Walk, batch: &BatchSlice<'_>) -> Checked {
        let number = self.found(batch)?;
        let (name, header, at) = (&self.name, &batch.header, batch.header.base_offset.0);
        let begun = walk.begun.map_or(Offset(0), |begun| begun.0);
        let due = walk.next.replace(header.next_offset());
        if let Some(expected) = due {
            let follows = match self.compacted {
                Some(_) => header.base_offset >= expected,
                None => header.base_offset == expected,
            };
            Checker::OffsetsAreDense
                .check(follows, || format!("{name}: {at} follows where {} is due", expected.0))?;
        }
        if let Some(compacted) = &mut self.compacted {
            compacted.passed(due.unwrap_or(begun), batch);
        }
        let Some(number) = number else { return Ok(()) };
        let calls = &self.sent[&number].calls;
        let next_call = match walk.last_call {
            Some(last) => calls.range(Call(last.0 + 1)..).next(),
            None => calls.first(),
        };
        let Some(call) = next_call else {
            let what = format!("{name}: {number:?} at {at} stands behind batches sent later");
            return Err(Checker::OrderIsKept.violated(what));
        };
        walk.last_call = Some(*call);
        let epoch = header.partition_leader_epoch;
        let before = walk.last_epoch.replace(epoch);
        Checker::EpochsHold.check(before.is_none_or(|before| before <= epoch), || {
            format!("{name}: epoch {epoch:?} at {at} follows {before:?}")
        })
    }

    /// A walk came to the end of the log.
    pub(crate) fn walk_ended(
        &self,
        walk: &Walk,
        generation: u64,
        clock: TombstoneClock,
    ) -> Checked {
        let (Some(compacted), Some((start, before)), Some(end)) =
            (&self.compacted, walk.begun, walk.next)
        else {
            return Ok(());
        };
        let unplaced = self.sent.values().filter(|sent| sent.base.is_none());
        let unplaced: Vec<(Bytes, i64)> =
            unplaced.map(|sent| (sent.bytes.clone(), sent.sent_ms)).collect();
        compacted.walked(&self.name, (start, end), clock, before == generation, &unplaced)
    }

    /// What the owner says of the log now, against all that was seen before.
    pub(crate) fn observe(&mut self, offsets: &PartitionOffsets) -> Checked {
        let name = &self.name;
        let (start, end) = (offsets.log_start, offsets.high_watermark);
        Checker::LogStartHolds.check(start >= self.log_start_acknowledged, || {
            format!("{name}: starts at {} again, not {}", start.0, self.log_start_acknowledged.0)
        })?;
        let last = self.placed.last_key_value().map_or(Offset(0), |(_, placed)| placed.next);
        let seen = self.high_watermark_seen.max(last);
        Checker::HighWatermarkHolds.check(!self.is_durable() || end >= seen, || {
            format!("{name}: the high watermark is {} where {} was seen", end.0, seen.0)
        })?;
        Checker::EpochsHold.check(offsets.leader_epoch >= self.epoch_acknowledged, || {
            format!("{name}: epoch {:?} again", offsets.leader_epoch)
        })?;
        self.high_watermark_seen = self.high_watermark_seen.max(end);
        self.log_start_seen = self.log_start_seen.max(start);
        Ok(())
    }

    /// What must be so from now on: log start and high watermark, as far as they were told.
    pub(crate) fn told(&self) -> (Offset, Offset) {
        let last = self.placed.last_key_value().map_or(Offset(0), |(_, placed)| placed.next);
        let end = if self.is_durable() { self.high_watermark_seen.max(last) } else { Offset(0) };
        (self.log_start_acknowledged, end)
    }

    /// An answer from somewhere says this of the log, `told` being what was known when it was asked.
    pub(crate) fn observe_since(
        &mut self,
        told: (Offset, Offset),
        start: Offset,
        end: Offset,
    ) -> Checked {
        let name = &self.name;
        Checker::LogStartHolds.check(start >= told.0, || {
            format!("{name}: starts at {} again, not {}", start.0, told.0.0)
        })?;
        Checker::HighWatermarkHolds.check(end >= told.1, || {
            format!("{name}: the high watermark is {} where {} was seen", end.0, told.1.0)
        })?;
        self.high_watermark_seen = self.high_watermark_seen.max(end);
        Ok(())
    }

    /// A move of the log start was asked for: it may happen or not.
    pub(crate) fn log_start_asked(&mut self, offset: Offset) {
        self.log_start_seen = self.log_start_seen.max(offset);
    }

    /// What a start found, against all that was seen before.
    pub(crate) fn restarted(&mut self, offsets: &PartitionOffsets) -> Checked {
        if !self.is_durable() {
            self.forget_from(offsets.high_watermark);
            self.epoch_acknowledged = LeaderEpoch(0);
            // What was deleted may have been lost, too: then the log begins where it ends.
            self.log_start_acknowledged = self.log_start_acknowledged.min(offsets.high_watermark);
        }
        let (name, start, seen) = (&self.name, offsets.log_start, self.log_start_seen);
        Checker::LogStartHolds.check(start <= seen.max(Offset(0)), || {
            format!(
                "{name}: starts at {} after the start, {} was the furthest seen",
                start.0, seen.0
            )
        })?;
        // A move that was not acknowledged may be gone.
        self.log_start_seen = start;
        self.observe(offsets)
    }

    /// It was told that acknowledged data is gone: what is left must still be right.
    pub(crate) fn loss_was_told(&mut self, offsets: &PartitionOffsets) {
        self.forget_from(offsets.high_watermark);
        self.log_start_acknowledged = self.log_start_acknowledged.min(offsets.log_start);
        self.log_start_seen = offsets.log_start;
        self.epoch_acknowledged = LeaderEpoch(0);
    }

    pub(crate) fn log_start_acknowledged(&mut self, offset: Offset) {
        self.log_start_acknowledged = self.log_start_acknowledged.max(offset);
    }

    /// An acknowledged batch stands in this epoch.
    pub(crate) fn epoch_acknowledged(&mut self, epoch: LeaderEpoch) {
        self.epoch_acknowledged = self.epoch_acknowledged.max(epoch);
    }

    /// With durability=memory the end of the log may be lost.
    fn forget_from(&mut self, end: Offset) {
        for placed in self.placed.split_off(&end).into_values() {
            if let Some(sent) = self.sent.get_mut(&placed.number) {
                sent.base = None;
            }
        }
        if let Some(compacted) = &mut self.compacted {
            compacted.forget_from(end);
        }
        self.high_watermark_seen = self.high_watermark_seen.min(end);
    }

    /// The first batch that ends above `start` with a timestamp at or above `timestamp`, among those
    /// whose place is known.
    pub(crate) fn first_at_time(&self, start: Offset, timestamp: i64) -> Option<Offset> {
        let is_due = |placed: &Placed| {
            let sent = self.sent.get(&placed.number);
            placed.next > start && sent.is_some_and(|sent| sent.max_timestamp >= timestamp)
        };
        self.placed.iter().find(|(_, placed)| is_due(placed)).map(|(base, _)| *base)
    }
}
