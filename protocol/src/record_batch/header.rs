//! The 61 bytes before the records: the fields and where they are.
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

use super::compression::Compression;
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

pub const BASE_OFFSET_AT: usize = 0;
pub const BATCH_LENGTH_AT: usize = 8;
pub const PARTITION_LEADER_EPOCH_AT: usize = 12;
pub const MAGIC_AT: usize = 16;
pub const CRC_AT: usize = 17;
pub const ATTRIBUTES_AT: usize = 21;
pub const LAST_OFFSET_DELTA_AT: usize = 23;
pub const BASE_TIMESTAMP_AT: usize = 27;
pub const MAX_TIMESTAMP_AT: usize = 35;
pub const PRODUCER_ID_AT: usize = 43;
pub const PRODUCER_EPOCH_AT: usize = 51;
pub const BASE_SEQUENCE_AT: usize = 53;
pub const RECORD_COUNT_AT: usize = 57;
pub const HEADER_BYTES: usize = 61;

/// The batch length counts the bytes from here on.
pub const LENGTH_COUNTS_FROM: usize = 12;
/// The CRC covers the bytes from here on.
pub const CRC_COVERS_FROM: usize = 21;
/// What an append overwrites lies in the first bytes of a batch.
pub const PATCHED_BYTES: usize = 16;

/// The only format there is: 0 and 1 are gone since Kafka 4.0.
pub const MAGIC: i8 = 2;

const _: () = assert!(PATCHED_BYTES <= CRC_COVERS_FROM);
const _: () = assert!(RECORD_COUNT_AT + 4 == HEADER_BYTES);

/// Whose clock a batch's timestamps are from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampType {
    #[default]
    CreateTime,
    LogAppendTime,
}

/// ```text
/// bit   15 … 7    6                5        4              3               2 … 0
///       unused    delete horizon   control  transactional  LogAppendTime   codec
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes(pub i16);

impl Attributes {
    const CODEC: i16 = 0b111;
    const LOG_APPEND_TIME: i16 = 1 << 3;
    const TRANSACTIONAL: i16 = 1 << 4;
    const CONTROL: i16 = 1 << 5;
    const DELETE_HORIZON: i16 = 1 << 6;

    #[must_use]
    pub const fn new(compression: Compression) -> Self {
        Self(compression.id() as i16)
    }

    /// `None` for the ids 5 to 7, which no codec has.
    #[must_use]
    pub const fn compression(self) -> Option<Compression> {
        Compression::from_id((self.0 & Self::CODEC).cast_unsigned().to_le_bytes()[0])
    }

    #[must_use]
    pub const fn timestamp_type(self) -> TimestampType {
        if self.0 & Self::LOG_APPEND_TIME == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    #[must_use]
    pub const fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    #[must_use]
    pub const fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// Whether the base timestamp is the compaction's delete horizon.
    #[must_use]
    pub const fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }

    #[must_use]
    pub const fn with_delete_horizon(self, is_there: bool) -> Self {
        Self(if is_there { self.0 | Self::DELETE_HORIZON } else { self.0 & !Self::DELETE_HORIZON })
    }

    #[must_use]
    pub const fn with_timestamp_type(self, timestamp_type: TimestampType) -> Self {
        match timestamp_type {
            TimestampType::CreateTime => Self(self.0 & !Self::LOG_APPEND_TIME),
            TimestampType::LogAppendTime => Self(self.0 | Self::LOG_APPEND_TIME),
        }
    }

    #[must_use]
    pub const fn with_transactional(self, transactional: bool) -> Self {
        Self(if transactional {
            self.0 | Self::TRANSACTIONAL
        } else {
            self.0 & !Self::TRANSACTIONAL
        })
    }

    #[must_use]
    pub const fn with_control(self, control: bool) -> Self {
        Self(if control { self.0 | Self::CONTROL } else { self.0 & !Self::CONTROL })
    }
}

/// Who wrote an idempotent batch, and where it stands in that producer's sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Producer {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
    /// Of the batch's first record.
    pub base_sequence: i32,
}

/// All fields of a batch's header as they stand there; nothing is implied about their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: Offset,
    /// Bytes after this field: the batch's bytes less twelve.
    pub batch_length: i32,
    pub partition_leader_epoch: LeaderEpoch,
    pub magic: i8,
    pub crc: u32,
    pub attributes: Attributes,
    pub last_offset_delta: i32,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub base_sequence: i32,
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads a header off the front; `None` when there are fewer than 61 bytes.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        Some(Self {
            base_offset: Offset(i64::from_be_bytes(fields.next()?)),
            batch_length: i32::from_be_bytes(fields.next()?),
            partition_leader_epoch: LeaderEpoch(i32::from_be_bytes(fields.next()?)),
            magic: i8::from_be_bytes(fields.next()?),
            crc: u32::from_be_bytes(fields.next()?),
            attributes: Attributes(i16::from_be_bytes(fields.next()?)),
            last_offset_delta: i32::from_be_bytes(fields.next()?),
            base_timestamp: i64::from_be_bytes(fields.next()?),
            max_timestamp: i64::from_be_bytes(fields.next()?),
            producer_id: ProducerId(i64::from_be_bytes(fields.next()?)),
            producer_epoch: ProducerEpoch(i16::from_be_bytes(fields.next()?)),
            base_sequence: i32::from_be_bytes(fields.next()?),
            record_count: i32::from_be_bytes(fields.next()?),
        })
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.base_offset.0.to_be_bytes());
        out.extend(self.batch_length.to_be_bytes());
        out.extend(self.partition_leader_epoch.0.to_be_bytes());
        out.extend(self.magic.to_be_bytes());
        out.extend(self.crc.to_be_bytes());
        out.extend(self.attributes.0.to_be_bytes());
        out.extend(self.last_offset_delta.to_be_bytes());
        out.extend(self.base_timestamp.to_be_bytes());
        out.extend(self.max_timestamp.to_be_bytes());
        out.extend(self.producer_id.0.to_be_bytes());
        out.extend(self.producer_epoch.0.to_be_bytes());
        out.extend(self.base_sequence.to_be_bytes());
        out.extend(self.record_count.to_be_bytes());
    }

    /// Bytes of the whole batch; `None` when the length cannot be one of a batch.
    #[must_use]
    pub fn bytes(&self) -> Option<usize> {
        let bytes = usize::try_from(self.batch_length).ok()?.checked_add(LENGTH_COUNTS_FROM)?;
        (bytes >= HEADER_BYTES).then_some(bytes)
    }

    /// The offset after the batch's last record. Meaningful for a batch that was validated or walked.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        let offsets = i64::from(self.last_offset_delta).saturating_add(1);
        Offset(self.base_offset.0.saturating_add(offsets))
    }

    /// `None` for a producer without idempotence (id −1).
    #[must_use]
    pub fn producer(&self) -> Option<Producer> {
        (self.producer_id.0 >= 0).then_some(Producer {
            id: self.producer_id,
            epoch: self.producer_epoch,
            base_sequence: self.base_sequence,
        })
    }

    /// From when on the batch's tombstones may go, if compaction has set it.
    #[must_use]
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        self.attributes.has_delete_horizon().then_some(self.base_timestamp)
    }

    /// The sequence of the batch's last record, for a batch with a producer.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        increment_sequence(self.base_sequence, self.last_offset_delta)
    }
}

/// Producers' sequences run from 0 to 2^31 − 1 and begin again at 0.
#[must_use]
pub const fn increment_sequence(sequence: i32, by: i32) -> i32 {
    sequence.wrapping_add(by) & i32::MAX
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn next<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        ATTRIBUTES_AT, Attributes, BASE_SEQUENCE_AT, BatchHeader, CRC_AT, Compression,
        HEADER_BYTES, LAST_OFFSET_DELTA_AT, LeaderEpoch, MAX_TIMESTAMP_AT, Offset,
        PRODUCER_EPOCH_AT, PRODUCER_ID_AT, ProducerEpoch, ProducerId, RECORD_COUNT_AT,
        TimestampType, increment_sequence,
    };

    #[test]
    fn fields_stand_where_the_constants_say() {
        let header = BatchHeader {
            base_offset: Offset(1),
            batch_length: 2,
            partition_leader_epoch: LeaderEpoch(3),
            magic: 4,
            crc: 5,
            attributes: Attributes(6),
            last_offset_delta: 7,
            base_timestamp: 8,
            max_timestamp: 9,
            producer_id: ProducerId(10),
            producer_epoch: ProducerEpoch(11),
            base_sequence: 12,
            record_count: 13,
        };
        let mut bytes = Vec::new();
        header.write(&mut bytes);
        assert_eq!(bytes.len(), HEADER_BYTES);
        assert_eq!(BatchHeader::read(&bytes), Some(header));
        assert_eq!(BatchHeader::read(&bytes[..60]), None);
        assert_eq!(bytes[CRC_AT + 3], 5);
        assert_eq!(bytes[ATTRIBUTES_AT + 1], 6);
        assert_eq!(bytes[LAST_OFFSET_DELTA_AT + 3], 7);
        assert_eq!(bytes[MAX_TIMESTAMP_AT + 7], 9);
        assert_eq!(bytes[PRODUCER_ID_AT + 7], 10);
        assert_eq!(bytes[PRODUCER_EPOCH_AT + 1], 11);
        assert_eq!(bytes[BASE_SEQUENCE_AT + 3], 12);
        assert_eq!(bytes[RECORD_COUNT_AT + 3], 13);
    }

    #[test]
    fn attributes_say_what_was_set() {
        let plain = Attributes::new(Compression::Zstd);
        assert_eq!(plain.compression(), Some(Compression::Zstd));
        assert_eq!(plain.timestamp_type(), TimestampType::CreateTime);
        let all = plain
            .with_timestamp_type(TimestampType::LogAppendTime)
            .with_transactional(true)
            .with_control(true);
        assert_eq!(all.0, 0b11_1100);
        assert!(all.is_transactional() && all.is_control() && !all.has_delete_horizon());
        assert_eq!(Attributes(5).compression(), None);
    }

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(increment_sequence(0, 4), 4);
        assert_eq!(increment_sequence(i32::MAX, 1), 0);
        assert_eq!(increment_sequence(i32::MAX - 1, 3), 1);
    }
}
