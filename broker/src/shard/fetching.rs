//! An owner's part of a fetch: read at once where there is enough, else park and count.
//!
//! ```text
//!   ask ─► some bytes, failed, or may not wait ─► reading ─► Fetched
//!      │                                            └─► all there is, and too little ─► parked
//!      └─► parked ─ high watermark moves ─► enough here ─► reading ─► Fetched
//!                 │                     └─► more than before ─► FetchParked (bytes)
//!                 ├─ FetchNow ─► reading ─► Fetched
//!                 └─ FetchCancel ─► gone
//! ```
//!
//! A parked fetch pins no record: it is a list of offsets.

use std::collections::{BTreeMap, BTreeSet};

use engine::PartitionId;
use engine::partition::Partition;
use engine::partition::position::LogPosition;
use engine::request::{PartitionOffsets, ReadError, ReadRequest, ReadTarget, Records, Token};
use protocol::{LeaderEpoch, Offset};

use super::Shard;
use super::mail::{FetchAsk, FetchError, FetchTarget, Fetched, FetchedPart, Mail, ShardIndex};
use super::owner::{Wait, check_epoch};
use super::requests::RequestId;

/// A fetch of some shard's connection, as its owner knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FetchId {
    shard: ShardIndex,
    request: RequestId,
}

/// Fetches that wait for records or for the disk.
#[derive(Debug, Default)]
pub(crate) struct OwnerFetches {
    parked: BTreeMap<FetchId, Parked>,
    /// Parked fetches by partition, each with its place in the fetch.
    by_partition: BTreeMap<PartitionId, BTreeSet<(FetchId, usize)>>,
    reading: BTreeMap<FetchId, Reading>,
}

impl OwnerFetches {
    pub(crate) fn parked(&self) -> usize {
        self.parked.len()
    }
}

#[derive(Debug)]
struct Parked {
    ask: FetchAsk,
    /// By part.
    counted: Vec<Counted>,
    /// What the connection's shard was told last.
    told: u64,
}

/// From the offset of a part there are so many bytes up to this place, which was the high watermark.
#[derive(Clone, Copy, Debug)]
struct Counted {
    bytes: u64,
    to: LogPosition,
}

#[derive(Debug)]
struct Reading {
    parts: Vec<FetchedPart>,
    outstanding: usize,
    response_bytes_max: usize,
    /// It waits on if these are all the bytes there are, and too few.
    may_wait: Option<FetchAsk>,
}

impl Shard {
    pub(super) fn fetch(&mut self, ask: FetchAsk) {
        let id = FetchId { shard: ask.shard, request: ask.request };
        if !ask.may_wait {
            return self.read_all(id, &ask, None);
        }
        let mut counted = Vec::with_capacity(ask.parts.len());
        for part in &ask.parts {
            if self.check_target(part).is_err() || diverging(self, part).is_some() {
                return self.read_all(id, &ask, None);
            }
            counted.extend(self.counted(part, 0, part.offset));
        }
        if counted.len() == ask.parts.len() {
            return self.park(id, ask, counted);
        }
        // How many bytes there are is known exactly once they are read.
        let may_wait = (ask.bytes_min > 1).then(|| ask.clone());
        self.read_all(id, &ask, may_wait);
    }

    /// The bytes of a part that were read up to `next`, if that is all there is.
    fn counted(&self, part: &FetchTarget, bytes: u64, next: Offset) -> Option<Counted> {
        let to = self.owner.engine.get(part.partition)?.high_watermark();
        (next >= to.offset).then_some(Counted { bytes, to })
    }

    fn park(&mut self, id: FetchId, ask: FetchAsk, counted: Vec<Counted>) {
        for (at, part) in ask.parts.iter().enumerate() {
            self.owner.fetches.by_partition.entry(part.partition).or_default().insert((id, at));
        }
        let bytes = total(&counted);
        self.owner.fetches.parked.insert(id, Parked { ask, counted, told: bytes });
        let (from, request) = (self.node.me, id.request);
        self.outbox.post(id.shard, Mail::FetchParked { request, from, bytes });
    }

    /// Bytes that a parked fetch would find in a part, or that it must be answered because something is wrong.
    fn count_again(&self, part: &FetchTarget, counted: Counted) -> Result<Counted, FetchError> {
        self.check_target(part)?;
        let engine = &self.owner.engine;
        let more = engine.visible_bytes_from(part.partition, counted.to);
        let to = engine.get(part.partition).map_or(counted.to, Partition::high_watermark);
        let bytes = counted.bytes.saturating_add(more);
        // A capped partition gives no more, however long one waits.
        let is_capped = usize::try_from(bytes).is_ok_and(|bytes| bytes >= part.bytes_max);
        let is_over = is_capped || diverging(self, part).is_some();
        Ok(Counted { bytes: if is_over { u64::MAX } else { bytes }, to })
    }

    fn check_target(&self, part: &FetchTarget) -> Result<PartitionOffsets, FetchError> {
        let offsets = self.owner.engine.offsets(part.partition);
        let offsets = offsets.ok_or(FetchError::Read(ReadError::NotOwner))?;
        if offsets.is_offline {
            return Err(FetchError::Read(ReadError::Unavailable));
        }
        check_epoch(part.current_leader_epoch, offsets.leader_epoch).map_err(FetchError::Epoch)?;
        let (log_start, log_end) = (offsets.log_start, offsets.log_end);
        if part.offset < log_start || part.offset > log_end {
            return Err(FetchError::Read(ReadError::OutOfRange { log_start, log_end }));
        }
        Ok(offsets)
    }

    /// Consumers may read further: fetches that are parked there count again.
    pub(super) fn wake_fetches(&mut self, partition: PartitionId) {
        let Some(waiting) = self.owner.fetches.by_partition.get(&partition) else { return };
        let waiting: Vec<(FetchId, usize)> = waiting.iter().copied().collect();
        for (id, at) in waiting {
            self.wake_fetch(id, at);
        }
    }

    /// A partition changed in a way that its readers should hear of.
    pub(super) fn fail_fetches(&mut self, partition: PartitionId) {
        let Some(waiting) = self.owner.fetches.by_partition.get(&partition) else { return };
        let waiting: Vec<FetchId> = waiting.iter().map(|waiting| waiting.0).collect();
        for id in waiting {
            if let Some(parked) = self.unpark(id) {
                self.read_all(id, &parked.ask, None);
            }
        }
    }

    /// Log directories went offline: who waits for records of their partitions hears so.
    pub(super) fn fail_offline_fetches(&mut self) {
        let parked = self.owner.fetches.by_partition.keys().copied();
        let engine = &self.owner.engine;
        let is_offline = |id: &PartitionId| engine.offsets(*id).is_some_and(|it| it.is_offline);
        let offline: Vec<PartitionId> = parked.filter(is_offline).collect();
        for partition in offline {
            self.fail_fetches(partition);
        }
    }

    fn wake_fetch(&mut self, id: FetchId, at: usize) {
        let Some(parked) = self.owner.fetches.parked.get(&id) else { return };
        let found = self.count_again(&parked.ask.parts[at], parked.counted[at]);
        let parked = self.owner.fetches.parked.get_mut(&id).expect("it was just there");
        let is_enough = match found {
            Ok(counted) => {
                parked.counted[at] = counted;
                let (bytes, bytes_min) = (total(&parked.counted), parked.ask.bytes_min);
                if bytes < bytes_min && bytes > parked.told {
                    parked.told = bytes;
                    let (from, request) = (self.node.me, id.request);
                    self.outbox.post(id.shard, Mail::FetchParked { request, from, bytes });
                }
                bytes >= bytes_min
            }
            Err(_) => true,
        };
        if is_enough && let Some(parked) = self.unpark(id) {
            self.read_all(id, &parked.ask, None);
        }
    }

    fn unpark(&mut self, id: FetchId) -> Option<Parked> {
        let parked = self.owner.fetches.parked.remove(&id)?;
        for (at, part) in parked.ask.parts.iter().enumerate() {
            let by_partition = &mut self.owner.fetches.by_partition;
            if let Some(waiting) = by_partition.get_mut(&part.partition) {
                waiting.remove(&(id, at));
                if waiting.is_empty() {
                    by_partition.remove(&part.partition);
                }
            }
        }
        Some(parked)
    }

    pub(super) fn fetch_now(
        &mut self,
        shard: ShardIndex,
        request: RequestId,
        response_bytes_max: usize,
    ) {
        let id = FetchId { shard, request };
        // It may have been answered meanwhile: then that answer is on its way.
        if let Some(mut parked) = self.unpark(id) {
            parked.ask.response_bytes_max = response_bytes_max;
            self.read_all(id, &parked.ask, None);
        }
    }

    pub(super) fn cancel_fetch(&mut self, shard: ShardIndex, request: RequestId) {
        self.unpark(FetchId { shard, request });
    }

    /// Reads every partition of a fetch as far as its bytes are allowed.
    fn read_all(&mut self, id: FetchId, ask: &FetchAsk, may_wait: Option<FetchAsk>) {
        let reading = Reading {
            parts: Vec::with_capacity(ask.parts.len()),
            outstanding: 0,
            response_bytes_max: ask.response_bytes_max,
            may_wait,
        };
        self.owner.fetches.reading.insert(id, reading);
        let mut left = ask.response_bytes_max;
        let mut reads = Vec::new();
        for (at, part) in ask.parts.iter().enumerate() {
            // Kafka gives the first batch that there is, whatever is allowed.
            let allowed = if reads.is_empty() { left.max(1) } else { left };
            let (result, wanted) = self.look_at(part, allowed);
            if wanted > 0 {
                let enough = u64::try_from(wanted).unwrap_or(u64::MAX);
                let engine = &self.owner.engine;
                let readable = engine.readable_bytes(part.partition, part.offset, enough);
                left = left.saturating_sub(wanted.min(usize::try_from(readable).unwrap_or(wanted)));
            }
            if wanted > 0 {
                reads.push((at, *part, wanted));
            }
            let reading = self.owner.fetches.reading.get_mut(&id).expect("it was just inserted");
            reading.parts.push(FetchedPart { part: part.part, result });
        }
        let reading = self.owner.fetches.reading.get_mut(&id).expect("it was just inserted");
        reading.outstanding = reads.len();
        for (at, part, bytes_max) in reads {
            let token = self.wait_for(Wait::Fetch { fetch: id, at });
            let target = ReadTarget::Offset(part.offset);
            let partition = part.partition;
            self.owner.engine.read(ReadRequest { token, partition, target, bytes_max });
        }
        self.finish_reading(id);
    }

    /// What is known of a partition without reading, and how many bytes to read.
    fn look_at(&self, part: &FetchTarget, left: usize) -> (Result<Fetched, FetchError>, usize) {
        let offsets = match self.check_target(part) {
            Ok(offsets) => offsets,
            Err(error) => return (Err(error), 0),
        };
        let diverging = diverging(self, part);
        let records = Records { first: part.offset, next: part.offset, ..Records::default() };
        let has_some = part.offset < offsets.high_watermark && diverging.is_none() && left > 0;
        let wanted = if has_some { part.bytes_max.min(left).max(1) } else { 0 };
        (Ok(Fetched { offsets, diverging, records }), wanted)
    }

    pub(super) fn on_read_done(&mut self, token: Token, result: Result<Records, ReadError>) {
        match self.owner.waits.remove(token) {
            Some(Wait::Fetch { fetch, at }) => self.on_fetch_read(fetch, at, result),
            Some(Wait::Find(finding)) => self.on_found(*finding, result),
            Some(Wait::GroupRead(partition)) => self.on_groups_read(partition, result),
            other => unreachable!("a read was waited for: {other:?}"),
        }
    }

    fn on_fetch_read(&mut self, id: FetchId, at: usize, result: Result<Records, ReadError>) {
        let reading = self.owner.fetches.reading.get_mut(&id).expect("a read belongs to a fetch");
        reading.outstanding -= 1;
        let part = &mut reading.parts[at];
        match result {
            Ok(records) => {
                if let Ok(fetched) = &mut part.result {
                    fetched.records = records;
                }
            }
            Err(error) => part.result = Err(FetchError::Read(error)),
        }
        self.finish_reading(id);
    }

    /// What was read, if it is all there is and less than the fetch wants.
    fn too_little(&self, ask: &FetchAsk, parts: &[FetchedPart]) -> Option<Vec<Counted>> {
        let mut counted = Vec::with_capacity(parts.len());
        for (target, part) in ask.parts.iter().zip(parts) {
            let Ok(Fetched { records, diverging: None, .. }) = &part.result else { return None };
            if records.bytes >= target.bytes_max {
                return None;
            }
            counted.push(self.counted(target, records.bytes as u64, records.next)?);
        }
        (total(&counted) < ask.bytes_min).then_some(counted)
    }

    fn finish_reading(&mut self, id: FetchId) {
        let is_done =
            self.owner.fetches.reading.get(&id).is_some_and(|reading| reading.outstanding == 0);
        if !is_done {
            return;
        }
        let mut reading = self.owner.fetches.reading.remove(&id).expect("it was just there");
        if let Some(ask) = reading.may_wait.take()
            && let Some(counted) = self.too_little(&ask, &reading.parts)
        {
            return self.park(id, ask, counted);
        }
        drop_surplus(&mut reading.parts, reading.response_bytes_max);
        let from = self.node.me;
        let (request, parts) = (id.request, reading.parts);
        let memory = self.owner.memory;
        self.outbox.post(id.shard, Mail::Fetched { request, from, parts, memory });
    }
}

fn total(counted: &[Counted]) -> u64 {
    counted.iter().fold(0, |sum, counted| sum.saturating_add(counted.bytes))
}

/// A fetcher that names the epoch of its last record is told where its log differs from this one.
fn diverging(shard: &Shard, part: &FetchTarget) -> Option<(LeaderEpoch, Offset)> {
    let last = part.last_fetched_epoch?;
    let partition = shard.owner.engine.get(part.partition)?;
    let (epoch, end) = partition.epochs.end_of(last, partition.end.offset)?;
    (epoch < last || end < part.offset).then_some((epoch, end))
}

/// The first batches of several partitions may be more than is allowed together: the later ones wait for
/// the next fetch. The first one stays, whatever its size.
pub(crate) fn drop_surplus(parts: &mut [FetchedPart], bytes_max: usize) {
    let mut total = 0;
    for part in parts {
        let Ok(fetched) = &mut part.result else { continue };
        let bytes = fetched.records.bytes;
        if bytes == 0 {
            continue;
        }
        if total > 0 && total + bytes > bytes_max {
            fetched.records.parts.clear();
            fetched.records.bytes = 0;
            // What follows may be smaller, but order is fairer than fullness.
            total = bytes_max.max(total);
        } else {
            total += bytes;
        }
    }
}
