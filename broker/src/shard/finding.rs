//! Offsets by time, and times by offset: the engine finds the batch, the records in it are looked at here.

use bytes::Bytes;
use engine::PartitionId;
use engine::request::{ReadError, ReadRequest, ReadTarget, Records};
use protocol::Offset;
use protocol::record_batch::{
    BatchHeader, BatchSlice, HEADER_BYTES, TimestampType, read_record_heads,
};

use super::Shard;
use super::mail::{Answer, FoundOffset, OffsetSpec, QueryError, ReplyTo};
use super::owner::Wait;
use crate::limits::DECOMPRESSED_BYTES_MAX;

/// A search in progress.
#[derive(Debug)]
pub(crate) struct Finding {
    reply: ReplyTo,
    partition: PartitionId,
    at: Sought,
}

/// Of a batch only its header is known before it is read, and that may promise more than the batch holds: its
/// newest records are below the log start, or its producer wrote something else. Then the search goes on behind it.
#[derive(Clone, Copy, Debug)]
enum Sought {
    /// The batch that an offset is in.
    At(Offset),
    /// The first record at or after a time, and behind an offset.
    From { timestamp: i64, behind: Offset },
    /// The first record with the largest timestamp.
    Largest(Largest),
}

/// The search goes through the log once, with what the newest segment says as the least that is looked for; where
/// no record holds that, again with what the next lower segment says.
#[derive(Clone, Copy, Debug)]
struct Largest {
    at_least: i64,
    best: Option<FoundOffset>,
    behind: Offset,
}

impl Sought {
    fn target(self) -> ReadTarget {
        match self {
            Self::At(offset) => ReadTarget::Offset(offset),
            Self::From { timestamp, behind } => {
                ReadTarget::Timestamp { at_least: timestamp, from: behind }
            }
            Self::Largest(largest) => {
                ReadTarget::Timestamp { at_least: largest.wanted(), from: largest.behind }
            }
        }
    }
}

impl Largest {
    /// A record has to have it to be larger than the best so far.
    fn wanted(&self) -> i64 {
        let found = self.best.and_then(|best| best.timestamp);
        found.map_or(self.at_least, |timestamp| timestamp.saturating_add(1))
    }
}

impl Shard {
    pub(super) fn begin_finding(&mut self, reply: ReplyTo, id: PartitionId, at: OffsetSpec) {
        let at = match at {
            OffsetSpec::Timestamp(timestamp) => Sought::From { timestamp, behind: Offset(0) },
            OffsetSpec::MaxTimestamp => {
                let at_least = self.largest_below(id, i64::MAX);
                Sought::Largest(Largest { at_least, best: None, behind: Offset(0) })
            }
            OffsetSpec::Latest
            | OffsetSpec::Earliest
            | OffsetSpec::EarliestLocal
            | OffsetSpec::LatestTiered => unreachable!("answered without a search"),
        };
        self.find(Finding { reply, partition: id, at });
    }

    /// The largest timestamp that a segment says it has, below a bound; 0 where none is known.
    fn largest_below(&self, id: PartitionId, bound: i64) -> i64 {
        let partition = self.owner.engine.get(id);
        let segments = partition.into_iter().flat_map(|found| &found.segments);
        let stated = segments.filter_map(|segment| segment.max_timestamp);
        stated.filter(|timestamp| *timestamp < bound).max().unwrap_or(0)
    }

    /// For whoever only wants to know: where there is no room now, there is no answer.
    pub(super) fn find_record(&mut self, reply: ReplyTo, id: PartitionId, offset: Offset) {
        if !self.owner.waits.has_room() {
            return self.reply(reply, Answer::Offset(Err(QueryError::Unavailable)));
        }
        self.find(Finding { reply, partition: id, at: Sought::At(offset) });
    }

    fn find(&mut self, finding: Finding) {
        let partition = finding.partition;
        let target = finding.at.target();
        let token = self.wait_for(Wait::Find(Box::new(finding)));
        self.owner.engine.read(ReadRequest { token, partition, target, bytes_max: 1 });
    }

    pub(super) fn on_found(&mut self, finding: Finding, result: Result<Records, ReadError>) {
        let records = match result {
            Ok(records) => records,
            Err(error) => {
                let answer = Answer::Offset(Err(query_error(error)));
                return self.reply(finding.reply, answer);
            }
        };
        let (partition, reply) = (finding.partition, finding.reply);
        let log_start = self.owner.engine.offsets(partition).map(|offsets| offsets.log_start);
        let log_start = log_start.unwrap_or(records.first);
        let is_end = records.bytes == 0;
        let found = match finding.at {
            Sought::At(offset) => {
                let timestamp = time_of_batch(&records);
                let found = FoundOffset { offset, timestamp, leader_epoch: None };
                return self.reply(reply, Answer::Offset(Ok(Some(found))));
            }
            Sought::From { timestamp, .. } => {
                let found = first_from(&records, timestamp, log_start);
                if found.is_none() && !is_end {
                    let at = Sought::From { timestamp, behind: records.next };
                    return self.find(Finding { at, ..finding });
                }
                found
            }
            Sought::Largest(largest) => match self.look_further(partition, largest, &records) {
                Some(next) => return self.find(Finding { at: Sought::Largest(next), ..finding }),
                None => largest.best,
            },
        };
        let epochs = self.owner.engine.get(partition).map(|found| &found.epochs);
        let found = found.map(|found| FoundOffset {
            leader_epoch: epochs.and_then(|epochs| epochs.epoch_at(found.offset)),
            ..found
        });
        self.reply(reply, Answer::Offset(Ok(found)));
    }

    /// What to look for next; `None` where the best so far is the largest.
    fn look_further(
        &self,
        partition: PartitionId,
        largest: Largest,
        records: &Records,
    ) -> Option<Largest> {
        if records.bytes > 0 {
            let log_start = self.owner.engine.offsets(partition)?.log_start;
            let found = largest_in(records, log_start);
            let is_larger = found.and_then(|found| found.timestamp) >= Some(largest.wanted());
            let best = if is_larger { found } else { largest.best };
            return Some(Largest { best, behind: records.next, ..largest });
        }
        if largest.best.is_some() || largest.at_least <= 0 {
            return None;
        }
        // No record has it any more: compaction took it, or the log start passed it.
        let at_least = self.largest_below(partition, largest.at_least);
        Some(Largest { at_least, best: None, behind: Offset(0) })
    }
}

fn query_error(error: ReadError) -> QueryError {
    match error {
        ReadError::NotOwner => QueryError::NotOwner,
        ReadError::OutOfRange { .. } | ReadError::Unavailable => QueryError::Unavailable,
    }
}

/// The timestamp of the batch's first record, without a look at the records.
fn time_of_batch(records: &Records) -> Option<i64> {
    let bytes = records.parts.iter().flatten().copied().take(HEADER_BYTES);
    let header = BatchHeader::read(&bytes.collect::<Vec<u8>>())?;
    let time = match header.attributes.timestamp_type() {
        TimestampType::LogAppendTime => header.max_timestamp,
        TimestampType::CreateTime => header.base_timestamp,
    };
    (time >= 0).then_some(time)
}

/// The first record with a timestamp at or above `timestamp`.
fn first_from(records: &Records, timestamp: i64, log_start: Offset) -> Option<FoundOffset> {
    let mut first = None;
    each_record(records, |offset, found| {
        if first.is_none() && found >= timestamp && offset >= log_start {
            first = Some(FoundOffset { offset, timestamp: Some(found), leader_epoch: None });
        }
    });
    first
}

/// The first record with the largest timestamp.
fn largest_in(records: &Records, log_start: Offset) -> Option<FoundOffset> {
    let mut largest: Option<FoundOffset> = None;
    each_record(records, |offset, found| {
        let is_larger = largest.is_none_or(|largest| largest.timestamp < Some(found));
        if is_larger && offset >= log_start {
            largest = Some(FoundOffset { offset, timestamp: Some(found), leader_epoch: None });
        }
    });
    largest
}

/// Offset and timestamp of every record of the batch. Where the records cannot be read (they are the
/// producer's bytes) the batch stands for them.
fn each_record(records: &Records, mut each: impl FnMut(Offset, i64)) {
    let bytes = match records.parts.as_slice() {
        [] => return,
        [part] => part.clone(),
        parts => Bytes::from(parts.concat()),
    };
    let Ok(batch) = BatchSlice::first(&bytes) else { return };
    let header = batch.header;
    let is_append_time = header.attributes.timestamp_type() == TimestampType::LogAppendTime;
    let mut is_empty = true;
    read_record_heads(&batch, DECOMPRESSED_BYTES_MAX, |record| {
        is_empty = false;
        let offset = Offset(header.base_offset.0.saturating_add(i64::from(record.offset_delta)));
        let created = header.base_timestamp.saturating_add(record.timestamp_delta);
        each(offset, if is_append_time { header.max_timestamp } else { created });
    });
    if is_empty {
        each(header.base_offset, header.max_timestamp);
    }
}
