//! The records of a producer's batch: that they are the records which its header announces, and that
//! each is one the topic takes.
//!
//! Uncompressed records are always walked. Looking into compressed ones costs several times what an
//! append costs, so it is the caller's choice; [`RecordBatch::check_compressed`] is what is checked
//! of them otherwise.
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

use std::fmt;
use std::ops::RangeInclusive;

use super::super::compression::{Compression, DecompressError};
use super::super::header::BatchHeader;
use super::super::record::{RECORD_BYTES_MIN, RecordError, RecordIterator};
use super::super::streamed_records::{RecordHead, StreamError, StreamedRecords};
use super::RecordBatch;
use crate::limits::RECORDS_REFUSED_MAX;

/// The timestamp of a record that has none: no bound holds for it.
const NO_TIMESTAMP: i64 = -1;

/// What a topic demands of each record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordRules {
    /// `cleanup.policy` has `compact`.
    pub key_required: bool,
    /// `message.timestamp.before.max.ms` and `after.max.ms` around now; `None` when they bound nothing.
    pub timestamps: Option<RangeInclusive<i64>>,
    /// What a compressed batch may become.
    pub decompressed_bytes_max: usize,
}

/// Why a batch's records are refused. `index` is that of the record in the batch. The broker answers
/// INVALID_RECORD but where a variant says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordsError {
    /// CORRUPT_MESSAGE, or MESSAGE_TOO_LARGE where the bound was passed.
    Decompress(DecompressError),
    /// More records than the compressed data can hold.
    TooManyRecords {
        record_count: i32,
    },
    Malformed {
        index: i32,
        error: RecordError,
    },
    /// Offset deltas that are not 0, 1, 2 and so on.
    OffsetDelta {
        index: i32,
        offset_delta: i32,
    },
    /// The records are sound, and the topic does not take them: INVALID_TIMESTAMP if a timestamp is among
    /// the reasons.
    Refused(RefusedRecords),
}

/// The records that a topic does not take, for `record_errors`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusedRecords {
    /// The first of them, in the batch's order: at most [`RECORDS_REFUSED_MAX`].
    pub first: Vec<RefusedRecord>,
    /// All of them.
    pub count: usize,
    pub timestamp_among_them: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedRecord {
    pub index: i32,
    pub refusal: RecordRefusal,
}

/// In the order in which they are checked; a record has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordRefusal {
    MissingKey,
    Timestamp { timestamp: i64 },
}

impl fmt::Display for RecordsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decompress(error) => error.fmt(formatter),
            Self::TooManyRecords { record_count } => {
                write!(formatter, "{record_count} records in too few bytes")
            }
            Self::Malformed { index, error } => write!(formatter, "record {index}: {error}"),
            Self::OffsetDelta { index, offset_delta } => {
                write!(formatter, "record {index}: offset delta {offset_delta}")
            }
            Self::Refused(refused) => {
                let first = refused.first.first().map(|first| (first.index, first.refusal));
                let (index, refusal) = first.unwrap_or((0, RecordRefusal::MissingKey));
                write!(formatter, "{} records refused, record {index}: {refusal}", refused.count)
            }
        }
    }
}

impl fmt::Display for RecordRefusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingKey => formatter.write_str("a compacted topic needs a key"),
            Self::Timestamp { timestamp } => {
                write!(formatter, "timestamp {timestamp} is out of range")
            }
        }
    }
}

impl std::error::Error for RecordsError {}

impl StreamError {
    fn of_record(self, index: i32) -> RecordsError {
        match self {
            Self::Decompress(error) => RecordsError::Decompress(error),
            Self::Record(error) => RecordsError::Malformed { index, error },
        }
    }
}

impl RefusedRecords {
    #[cold]
    fn push(&mut self, index: i32, refusal: RecordRefusal) {
        self.count = self.count.saturating_add(1);
        self.timestamp_among_them |= matches!(refusal, RecordRefusal::Timestamp { .. });
        if self.first.len() < RECORDS_REFUSED_MAX {
            self.first.push(RefusedRecord { index, refusal });
        }
    }
}

impl RecordBatch {
    /// What can be said of compressed records without decompressing them: that they begin as the codec's
    /// data do, and that so many records can be in so few bytes. A count beyond that would take offsets
    /// that no record ever has.
    pub fn check_compressed(&self, decompressed_bytes_max: usize) -> Result<(), RecordsError> {
        let data = self.record_data();
        if !self.compression.begins(&data) {
            return Err(RecordsError::Decompress(DecompressError::Corrupt));
        }
        let bytes_max = self.compression.decompressed_bytes_at_most(&data);
        let records_max = bytes_max.min(decompressed_bytes_max) / RECORD_BYTES_MIN;
        let record_count = self.header.record_count;
        if usize::try_from(record_count).is_ok_and(|count| count > records_max) {
            return Err(RecordsError::TooManyRecords { record_count });
        }
        Ok(())
    }
}

/// Walks the records of a validated batch: about 7 ns each, and a decompression where there is a codec,
/// which takes no more memory than the codec itself. Gives the largest timestamp of the records, which the
/// header should state.
pub fn validate_records(batch: &RecordBatch, rules: &RecordRules) -> Result<i64, RecordsError> {
    let (header, data) = (&batch.header, batch.record_data());
    let newest = NO_TIMESTAMP;
    let mut check = Check { header, rules, refused: RefusedRecords::default(), newest };
    if batch.compression == Compression::None {
        for (index, record) in (0..i32::MAX).zip(RecordIterator::new(&data, header.record_count)) {
            let record = record.map_err(|error| RecordsError::Malformed { index, error })?;
            check.record(index, RecordHead::of(&record))?;
        }
    } else {
        let bytes_max = rules.decompressed_bytes_max;
        let reader = batch.compression.reader(&data, bytes_max);
        let reader = reader.map_err(RecordsError::Decompress)?;
        let mut records = StreamedRecords::new(reader, bytes_max);
        for index in 0..header.record_count {
            let head = records.next().map_err(|error| error.of_record(index))?;
            check.record(index, head)?;
        }
        records.end().map_err(|error| error.of_record(header.record_count))?;
    }
    if check.refused.count > 0 {
        Err(RecordsError::Refused(check.refused))
    } else {
        Ok(check.newest)
    }
}

/// A batch's records against the rules.
struct Check<'a> {
    header: &'a BatchHeader,
    rules: &'a RecordRules,
    refused: RefusedRecords,
    newest: i64,
}

impl Check<'_> {
    #[inline]
    fn record(&mut self, index: i32, record: RecordHead) -> Result<(), RecordsError> {
        if record.offset_delta != index {
            return Err(RecordsError::OffsetDelta { index, offset_delta: record.offset_delta });
        }
        let timestamp = self.header.base_timestamp.wrapping_add(record.timestamp_delta);
        self.newest = self.newest.max(timestamp);
        if let Some(refusal) = refusal(record, timestamp, self.rules) {
            self.refused.push(index, refusal);
        }
        Ok(())
    }
}

fn refusal(record: RecordHead, timestamp: i64, rules: &RecordRules) -> Option<RecordRefusal> {
    if rules.key_required && !record.has_key {
        return Some(RecordRefusal::MissingKey);
    }
    let allowed = rules.timestamps.as_ref()?;
    let is_allowed = timestamp == NO_TIMESTAMP || allowed.contains(&timestamp);
    (!is_allowed).then_some(RecordRefusal::Timestamp { timestamp })
}
