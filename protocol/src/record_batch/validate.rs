//! What a producer's batch must be before it is appended. Checked once, at the door; inside, batches are
//! trusted.
//!
//! Here is the batch as a whole; `records` looks at the records in it.
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

mod records;

use std::fmt;

use bytes::Bytes;

use super::compression::Compression;
use super::header::{
    BATCH_LENGTH_AT, BatchHeader, CRC_COVERS_FROM, HEADER_BYTES, LENGTH_COUNTS_FROM, MAGIC,
    MAGIC_AT, TimestampType,
};
use crate::ids::Offset;

pub use records::{
    RecordRefusal, RecordRules, RecordsError, RefusedRecord, RefusedRecords, validate_records,
};

/// The least that a message of any format counts; below it, Kafka calls the length illegal.
const LENGTH_MIN_OF_ANY_MAGIC: i32 = 14;

/// The header's part that the length counts.
const LENGTH_MIN: usize = HEADER_BYTES - LENGTH_COUNTS_FROM;

/// What the request and the topic allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProduceRules {
    /// False below Produce version 7.
    pub zstd_allowed: bool,
    /// `max.message.bytes`: of the whole batch, as it is compressed.
    pub batch_bytes_max: usize,
    /// `segment.bytes`.
    pub segment_bytes_max: usize,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
}

/// Why a produce request's records are refused, in the order in which they are checked. The broker answers
/// INVALID_RECORD but where a variant says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProduceBatchError {
    /// A length that no message of any format has, or one below the header's: CORRUPT_MESSAGE.
    IllegalLength {
        batch_length: i32,
    },
    /// Null, or the bytes end inside the first batch.
    NoBatch,
    /// Kafka says CORRUPT_MESSAGE for a magic above 2; clients treat the two alike.
    WrongMagic {
        magic: i8,
    },
    /// UNSUPPORTED_COMPRESSION_TYPE.
    ZstdNotAllowed,
    MoreThanOneBatch,
    BaseOffsetNotZero {
        base_offset: Offset,
    },
    /// MESSAGE_TOO_LARGE: producers then split the batch.
    TooLarge {
        bytes: usize,
        bytes_max: usize,
    },
    /// RECORD_LIST_TOO_LARGE.
    LargerThanSegment {
        bytes: usize,
        bytes_max: usize,
    },
    /// CORRUPT_MESSAGE: the CRC differs.
    Corrupt,
    NegativeOffsetRange {
        last_offset_delta: i32,
    },
    NoRecords {
        record_count: i32,
    },
    CountMismatch {
        last_offset_delta: i32,
        record_count: i32,
    },
    ControlBatch,
    /// UNSUPPORTED_COMPRESSION_TYPE, where Kafka fails with UNKNOWN_SERVER_ERROR.
    UnknownCodec,
    NegativeBaseSequence {
        base_sequence: i32,
    },
    /// INVALID_TIMESTAMP: only the broker sets LogAppendTime.
    LogAppendTimestamps,
}

impl fmt::Display for ProduceBatchError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IllegalLength { batch_length } => {
                write!(formatter, "batch length {batch_length}")
            }
            Self::NoBatch => formatter.write_str("no whole record batch"),
            Self::WrongMagic { magic } => write!(formatter, "magic {magic}, only 2 is accepted"),
            Self::ZstdNotAllowed => formatter.write_str("zstd needs Produce version 7"),
            Self::MoreThanOneBatch => formatter.write_str("more than one record batch"),
            Self::BaseOffsetNotZero { base_offset } => {
                write!(formatter, "base offset {base_offset}, producers send 0")
            }
            Self::TooLarge { bytes, bytes_max } => {
                write!(formatter, "batch of {bytes} bytes, max.message.bytes is {bytes_max}")
            }
            Self::LargerThanSegment { bytes, bytes_max } => {
                write!(formatter, "batch of {bytes} bytes, segment.bytes is {bytes_max}")
            }
            Self::Corrupt => formatter.write_str("CRC does not match"),
            Self::NegativeOffsetRange { last_offset_delta } => {
                write!(formatter, "last offset delta {last_offset_delta}")
            }
            Self::NoRecords { record_count } => write!(formatter, "record count {record_count}"),
            Self::CountMismatch { last_offset_delta, record_count } => write!(
                formatter,
                "record count {record_count} with last offset delta {last_offset_delta}"
            ),
            Self::ControlBatch => formatter.write_str("clients may not write control batches"),
            Self::UnknownCodec => formatter.write_str("unknown compression codec"),
            Self::NegativeBaseSequence { base_sequence } => {
                write!(formatter, "base sequence {base_sequence} with a producer id")
            }
            Self::LogAppendTimestamps => {
                formatter.write_str("LogAppendTime batch for a topic with CreateTime")
            }
        }
    }
}

impl std::error::Error for ProduceBatchError {}

/// One batch that passed [`validate_produce`]: its CRC holds, its counts agree, a codec is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordBatch {
    header: BatchHeader,
    bytes: Bytes,
    compression: Compression,
}

impl RecordBatch {
    #[must_use]
    pub const fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    #[must_use]
    pub const fn compression(&self) -> Compression {
        self.compression
    }

    /// The records as they stand, compressed or not.
    #[must_use]
    pub fn record_data(&self) -> Bytes {
        self.bytes.slice(HEADER_BYTES..)
    }
}

/// Checks the records of one partition in a produce request, without touching the records themselves:
/// one pass over the bytes, for the CRC.
pub fn validate_produce(
    records: Option<&Bytes>,
    rules: &ProduceRules,
) -> Result<RecordBatch, ProduceBatchError> {
    let bytes = records.ok_or(ProduceBatchError::NoBatch)?;
    let size = check_structure(bytes)?;
    let header = BatchHeader::read(bytes).ok_or(ProduceBatchError::Corrupt)?;
    if !rules.zstd_allowed && header.attributes.compression() == Some(Compression::Zstd) {
        return Err(ProduceBatchError::ZstdNotAllowed);
    }
    if bytes.len() > size {
        return Err(ProduceBatchError::MoreThanOneBatch);
    }
    if header.base_offset != Offset(0) {
        return Err(ProduceBatchError::BaseOffsetNotZero { base_offset: header.base_offset });
    }
    check_size(size, rules)?;
    let covered = bytes.get(CRC_COVERS_FROM..).unwrap_or_default();
    if crc32c::crc32c(covered) != header.crc {
        return Err(ProduceBatchError::Corrupt);
    }
    let compression = check_header(&header, rules)?;
    Ok(RecordBatch { header, bytes: bytes.clone(), compression })
}

/// The size of the first batch, which is wholly there and has our magic.
fn check_structure(bytes: &Bytes) -> Result<usize, ProduceBatchError> {
    let length = bytes.get(BATCH_LENGTH_AT..LENGTH_COUNTS_FROM);
    let length = length.and_then(|length| length.first_chunk()).copied();
    let batch_length = i32::from_be_bytes(length.ok_or(ProduceBatchError::NoBatch)?);
    let illegal = ProduceBatchError::IllegalLength { batch_length };
    if batch_length < LENGTH_MIN_OF_ANY_MAGIC {
        return Err(illegal);
    }
    let counted = usize::try_from(batch_length).map_err(|_| illegal)?;
    let size = counted.checked_add(LENGTH_COUNTS_FROM).ok_or(illegal)?;
    let magic = bytes.get(MAGIC_AT).ok_or(ProduceBatchError::NoBatch)?.cast_signed();
    if bytes.len() < size {
        return Err(ProduceBatchError::NoBatch);
    }
    if magic != MAGIC {
        return Err(ProduceBatchError::WrongMagic { magic });
    }
    if counted < LENGTH_MIN {
        return Err(illegal);
    }
    Ok(size)
}

fn check_size(bytes: usize, rules: &ProduceRules) -> Result<(), ProduceBatchError> {
    if bytes > rules.batch_bytes_max {
        return Err(ProduceBatchError::TooLarge { bytes, bytes_max: rules.batch_bytes_max });
    }
    if bytes > rules.segment_bytes_max {
        let bytes_max = rules.segment_bytes_max;
        return Err(ProduceBatchError::LargerThanSegment { bytes, bytes_max });
    }
    Ok(())
}

fn check_header(
    header: &BatchHeader,
    rules: &ProduceRules,
) -> Result<Compression, ProduceBatchError> {
    let BatchHeader { last_offset_delta, record_count, base_sequence, attributes, .. } = *header;
    if last_offset_delta < 0 {
        return Err(ProduceBatchError::NegativeOffsetRange { last_offset_delta });
    }
    if record_count <= 0 {
        return Err(ProduceBatchError::NoRecords { record_count });
    }
    if record_count.saturating_sub(1) != last_offset_delta {
        return Err(ProduceBatchError::CountMismatch { last_offset_delta, record_count });
    }
    if attributes.is_control() {
        return Err(ProduceBatchError::ControlBatch);
    }
    let compression = attributes.compression().ok_or(ProduceBatchError::UnknownCodec)?;
    if header.producer().is_some() && base_sequence < 0 {
        return Err(ProduceBatchError::NegativeBaseSequence { base_sequence });
    }
    if rules.timestamp_type == TimestampType::CreateTime
        && attributes.timestamp_type() == TimestampType::LogAppendTime
    {
        return Err(ProduceBatchError::LogAppendTimestamps);
    }
    Ok(compression)
}

#[cfg(test)]
mod tests;
