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
use crate::limits::{DECOMPRESSED_BYTES_MAX, MAX_TIMESTAMP_ROUNDS};

/// A search in progress.
#[derive(Debug)]
pub(crate) struct Finding {
    reply: ReplyTo,
    partition: PartitionId,
    at: Sought,
}

#[derive(Clone, Copy, Debug)]
enum Sought {
    /// The first record at or after a time.
    From(i64),
    /// The batch that an offset is in.
    At(Offset),
    /// The largest timestamp: each round looks for a larger one than `best` has.
    Largest { best: Option<FoundOffset>, rounds: usize },
}

impl Sought {
    fn target(self) -> ReadTarget {
        match self {
            Self::At(offset) => ReadTarget::Offset(offset),
            Self::From(_) | Self::Largest { .. } => ReadTarget::Timestamp(self.timestamp()),
        }
    }

    fn timestamp(self) -> i64 {
        match self {
            Self::From(timestamp) => timestamp,
            Self::At(_) => i64::MIN,
            Self::Largest { best, .. } => {
                let found = best.and_then(|best| best.timestamp);
                found.map_or(0, |timestamp| timestamp.saturating_add(1))
            }
        }
    }
}

impl Shard {
    pub(super) fn begin_finding(&mut self, reply: ReplyTo, id: PartitionId, at: OffsetSpec) {
        let at = match at {
            OffsetSpec::Timestamp(timestamp) => Sought::From(timestamp),
            OffsetSpec::MaxTimestamp => {
                // The newest batch is usually in the newest segment: begin right below it.
                let partition = self.owner.engine.get(id);
                let segments = partition.into_iter().flat_map(|found| &found.segments);
                let largest = segments.filter_map(|segment| segment.max_timestamp).max();
                let below = largest.map(|timestamp| FoundOffset {
                    offset: Offset(-1),
                    timestamp: Some(timestamp - 1),
                    leader_epoch: None,
                });
                Sought::Largest { best: below, rounds: 0 }
            }
            OffsetSpec::Latest
            | OffsetSpec::Earliest
            | OffsetSpec::EarliestLocal
            | OffsetSpec::LatestTiered => unreachable!("answered without a search"),
        };
        self.find(Finding { reply, partition: id, at });
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

    pub(super) fn on_found(&mut self, mut finding: Finding, result: Result<Records, ReadError>) {
        let records = match result {
            Ok(records) => records,
            Err(error) => {
                let answer = Answer::Offset(Err(query_error(error)));
                return self.reply(finding.reply, answer);
            }
        };
        let (partition, reply) = (finding.partition, finding.reply);
        if let Sought::At(offset) = finding.at {
            let timestamp = time_of_batch(&records);
            let found = FoundOffset { offset, timestamp, leader_epoch: None };
            return self.reply(reply, Answer::Offset(Ok(Some(found))));
        }
        let log_start = self.owner.engine.offsets(partition).map(|offsets| offsets.log_start);
        let log_start = log_start.unwrap_or(records.first);
        let found = first_from(&records, finding.at.timestamp(), log_start);
        let found = match &mut finding.at {
            Sought::From(_) | Sought::At(_) => found,
            Sought::Largest { best, rounds } => {
                *rounds += 1;
                if let Some(larger) = largest_in(&records, log_start)
                    && found.is_some()
                {
                    *best = Some(larger);
                    if *rounds < MAX_TIMESTAMP_ROUNDS {
                        return self.find(finding);
                    }
                }
                if let Some(FoundOffset { offset: Offset(-1), .. }) = best
                    && *rounds == 1
                {
                    // No record has the largest timestamp any more: compaction took it, or a log start.
                    *best = None;
                    return self.find(finding);
                }
                *best
            }
        };
        let epochs = self.owner.engine.get(partition).map(|found| &found.epochs);
        let found = found.map(|found| FoundOffset {
            leader_epoch: epochs.and_then(|epochs| epochs.epoch_at(found.offset)),
            ..found
        });
        self.reply(reply, Answer::Offset(Ok(found)));
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
