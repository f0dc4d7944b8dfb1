//! The records in a batch's uncompressed data.
//!
//! ```text
//! record   length varint │ attributes i8 │ timestamp Δ varlong │ offset Δ varint │
//!          key length varint (−1: null) │ key │ value length varint (−1: null) │ value │
//!          headers varint │ { key length varint │ key │ value length varint (−1: null) │ value }…
//! ```
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

use std::borrow::Cow;
use std::fmt;

use crate::limits::RECORD_HEADERS_MAX;
use crate::wire::DecodeError;
use crate::wire::{read_varint, read_varlong};

/// The smallest record: one byte each for length, attributes, timestamp, offset, key, value, headers.
pub(super) const RECORD_BYTES_MIN: usize = 7;

/// Why data are not the records that a batch announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// The data end inside a record, or before the last one.
    Truncated,
    VarintTooLong,
    /// A length below −1, or below 0 where null is not allowed.
    NegativeLength,
    /// A record that does not end where its length says.
    RecordLength,
    TooManyHeaders,
    /// Bytes after the last record.
    TrailingBytes,
}

impl fmt::Display for RecordError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Truncated => "the data end inside a record",
            Self::VarintTooLong => "varint beyond its width",
            Self::NegativeLength => "negative length",
            Self::RecordLength => "a record does not end where its length says",
            Self::TooManyHeaders => "too many headers",
            Self::TrailingBytes => "bytes after the last record",
        })
    }
}

impl std::error::Error for RecordError {}

impl From<DecodeError> for RecordError {
    /// Varints have these two errors only.
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::VarintTooLong => Self::VarintTooLong,
            _ => Self::Truncated,
        }
    }
}

/// One record; slices of the batch's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Added to the batch's base timestamp.
    pub timestamp_delta: i64,
    /// Added to the batch's base offset.
    pub offset_delta: i32,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Headers<'a>,
}

/// A record's headers: kept as bytes that were checked, read again when they are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers<'a> {
    count: usize,
    /// Invariant: exactly `count` well-formed headers.
    bytes: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// UTF-8 by convention; brokers do not check it.
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
}

impl<'a> Header<'a> {
    #[must_use]
    pub fn key_text(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.key)
    }
}

impl<'a> Headers<'a> {
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// In the record's order, duplicates included.
    pub fn iter(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        let mut rest = self.bytes;
        (0..self.count).map_while(move |_| read_header(&mut rest).ok())
    }
}

/// Reads exactly the records that a batch announces, then checks that nothing follows.
#[derive(Clone, Debug)]
pub struct RecordIterator<'a> {
    rest: &'a [u8],
    left: i32,
    ended: bool,
}

impl<'a> RecordIterator<'a> {
    /// `data` is uncompressed; `record_count` is the header's.
    #[must_use]
    pub const fn new(data: &'a [u8], record_count: i32) -> Self {
        Self { rest: data, left: record_count, ended: false }
    }

    /// What was not read yet.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for RecordIterator<'a> {
    type Item = Result<Record<'a>, RecordError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        if self.left <= 0 {
            self.ended = true;
            return (!self.rest.is_empty()).then_some(Err(RecordError::TrailingBytes));
        }
        self.left = self.left.saturating_sub(1);
        let record = read_record(&mut self.rest);
        self.ended = record.is_err();
        Some(record)
    }
}

#[inline]
fn read_record<'a>(rest: &mut &'a [u8]) -> Result<Record<'a>, RecordError> {
    match read_usual(rest) {
        Some(record) => Ok(record),
        None => read_any(rest),
    }
}

/// The front of a record in a register: varints of one or two bytes are shifted out of it.
#[derive(Clone, Copy)]
struct Front {
    bits: u64,
    taken: usize,
}

impl Front {
    #[inline(always)]
    fn of(bytes: &[u8]) -> Option<Self> {
        Some(Self { bits: u64::from_le_bytes(*bytes.first_chunk()?), taken: 0 })
    }

    #[inline(always)]
    const fn byte(&mut self) {
        self.bits >>= 8;
        self.taken = self.taken.saturating_add(1);
    }

    /// None: it is longer.
    #[inline(always)]
    const fn varint(&mut self) -> Option<i32> {
        let zigzag = if self.bits & 0x80 == 0 {
            let zigzag = self.bits & 0x7f;
            self.byte();
            zigzag
        } else if self.bits & 0x8000 == 0 {
            let zigzag = (self.bits & 0x7f) | ((self.bits >> 1) & 0x3f80);
            self.byte();
            self.byte();
            zigzag
        } else {
            return None;
        };
        #[expect(clippy::cast_possible_truncation, reason = "fourteen bits")]
        let zigzag = zigzag as u32;
        Some((zigzag >> 1).cast_signed() ^ (zigzag & 1).cast_signed().wrapping_neg())
    }
}

/// A record as nearly all are: no number in it takes more than two bytes, and it has no headers. The
/// producer's batches are walked in this way, so it counts. None: it is another, or none at all.
#[inline(always)]
fn read_usual<'a>(rest: &mut &'a [u8]) -> Option<Record<'a>> {
    let mut front = Front::of(rest)?;
    let length = usize::try_from(front.varint()?).ok()?;
    let (body, after) = rest.get(front.taken..)?.split_at_checked(length)?;
    // Attributes, timestamp, offset and key length are seven bytes at the most.
    let mut front = Front::of(body)?;
    front.byte();
    let timestamp_delta = i64::from(front.varint()?);
    let offset_delta = front.varint()?;
    let key_length = front.varint()?;
    let mut body = body.get(front.taken..)?;
    let key = match key_length {
        -1 => None,
        length => Some(take(&mut body, usize::try_from(length).ok()?).ok()?),
    };
    let value = match read_varint(&mut body).ok()? {
        -1 => None,
        length => Some(take(&mut body, usize::try_from(length).ok()?).ok()?),
    };
    if body != [0] {
        return None;
    }
    *rest = after;
    Some(Record { timestamp_delta, offset_delta, key, value, headers: Headers::default() })
}

#[inline(never)]
fn read_any<'a>(rest: &mut &'a [u8]) -> Result<Record<'a>, RecordError> {
    let length = read_varint(rest)?;
    let mut body = take(rest, usize::try_from(length).map_err(|_| RecordError::NegativeLength)?)?;
    // The attributes have no meaning yet.
    take(&mut body, 1)?;
    let timestamp_delta = read_varlong(&mut body)?;
    let offset_delta = read_varint(&mut body)?;
    let key = read_nullable(&mut body)?;
    let value = read_nullable(&mut body)?;
    let headers = read_headers(body)?;
    Ok(Record { timestamp_delta, offset_delta, key, value, headers })
}

/// The headers are the last thing in a record, so they must end with it.
fn read_headers(mut body: &[u8]) -> Result<Headers<'_>, RecordError> {
    let count = read_varint(&mut body)?;
    let count = usize::try_from(count).map_err(|_| RecordError::NegativeLength)?;
    if count > RECORD_HEADERS_MAX {
        return Err(RecordError::TooManyHeaders);
    }
    let bytes = body;
    for _ in 0..count {
        read_header(&mut body)?;
    }
    if !body.is_empty() {
        return Err(RecordError::RecordLength);
    }
    Ok(Headers { count, bytes })
}

fn read_header<'a>(rest: &mut &'a [u8]) -> Result<Header<'a>, RecordError> {
    let key = read_nullable(rest)?.ok_or(RecordError::NegativeLength)?;
    Ok(Header { key, value: read_nullable(rest)? })
}

fn read_nullable<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, RecordError> {
    match read_varint(rest)? {
        -1 => Ok(None),
        length => {
            let length = usize::try_from(length).map_err(|_| RecordError::NegativeLength)?;
            take(rest, length).map(Some)
        }
    }
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], RecordError> {
    let (taken, after) = rest.split_at_checked(length).ok_or(RecordError::Truncated)?;
    *rest = after;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::super::{BatchBuilder, BatchOptions, BatchSlice, HeaderField};
    use super::{RecordError, RecordIterator};

    fn data() -> Vec<u8> {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        let headers = [HeaderField::new("a", Some(b"1")), HeaderField::new("a", None)];
        builder.push(10, Some(b"key"), None, &headers);
        builder.push(7, None, Some(b""), &[]);
        let bytes = builder.finish();
        BatchSlice::first(&bytes).unwrap().record_data().to_vec()
    }

    #[test]
    fn records_come_back_with_nulls_empties_and_duplicate_headers() {
        let data = data();
        let records: Vec<_> = RecordIterator::new(&data, 2).map(Result::unwrap).collect();
        assert_eq!(records[0].key, Some(&b"key"[..]));
        assert_eq!(records[0].value, None);
        let headers: Vec<_> =
            records[0].headers.iter().map(|header| (header.key_text(), header.value)).collect();
        assert_eq!(headers, [("a".into(), Some(&b"1"[..])), ("a".into(), None)]);
        assert_eq!((records[1].timestamp_delta, records[1].offset_delta), (-3, 1));
        assert_eq!((records[1].key, records[1].value), (None, Some(&b""[..])));
        assert!(records[1].headers.is_empty());
    }

    #[test]
    fn counts_that_differ_from_the_data_are_errors() {
        let data = data();
        assert_eq!(RecordIterator::new(&data, 3).last(), Some(Err(RecordError::Truncated)));
        assert_eq!(RecordIterator::new(&data, 1).last(), Some(Err(RecordError::TrailingBytes)));
        assert_eq!(RecordIterator::new(&data, -1).last(), Some(Err(RecordError::TrailingBytes)));
        assert_eq!(RecordIterator::new(&[], 0).next(), None);
    }

    #[test]
    fn every_truncation_and_every_flipped_byte_ends_without_a_panic() {
        let data = data();
        for end in 0..data.len() {
            assert!(RecordIterator::new(&data[..end], 2).any(|record| record.is_err()));
        }
        for at in 0..data.len() {
            for byte in 0..=255 {
                let mut wrong = data.clone();
                wrong[at] = byte;
                for record in RecordIterator::new(&wrong, 2).flatten() {
                    record.headers.iter().count();
                }
            }
        }
    }
}
