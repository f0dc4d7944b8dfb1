//! The records in data that are decompressed while they are read: a batch of a megabyte can become a
//! thousand times that, and none of it is kept. What `record.rs` does for data in memory.
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

use std::io::Read;

use super::compression::DecompressError;
use super::record::{Record, RecordError};
use super::walk::BatchSlice;
use crate::limits::{RECORD_HEADERS_MAX, VARINT_BYTES_MAX, VARLONG_BYTES_MAX};
use crate::wire::{DecodeError, read_varint, read_varlong};

/// What is decompressed at a time.
const WINDOW_BYTES: usize = 8 * 1024;

/// What can be said of a record without its contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHead {
    /// Added to the batch's base timestamp.
    pub timestamp_delta: i64,
    /// Added to the batch's base offset.
    pub offset_delta: i32,
    pub has_key: bool,
}

/// The heads of a stored batch's records: all that can be read, for these are the producer's bytes.
/// Decompresses `bytes_max` bytes at most, and keeps none of them.
pub fn read_record_heads(
    batch: &BatchSlice<'_>,
    bytes_max: usize,
    mut each: impl FnMut(RecordHead),
) {
    let Some(compression) = batch.header.attributes.compression() else { return };
    let Ok(reader) = compression.reader(batch.record_data(), bytes_max) else { return };
    let mut records = StreamedRecords::new(reader, bytes_max);
    for _ in 0..batch.header.record_count {
        match records.next() {
            Ok(head) => each(head),
            Err(_) => return,
        }
    }
}

impl RecordHead {
    #[inline]
    pub(super) const fn of(record: &Record<'_>) -> Self {
        Self {
            timestamp_delta: record.timestamp_delta,
            offset_delta: record.offset_delta,
            has_key: record.key.is_some(),
        }
    }
}

/// Why there is no further record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamError {
    Decompress(DecompressError),
    Record(RecordError),
}

impl From<DecodeError> for StreamError {
    fn from(error: DecodeError) -> Self {
        Self::Record(error.into())
    }
}

/// Reads records one after the other.
pub(super) struct StreamedRecords<'a> {
    reader: Box<dyn Read + 'a>,
    window: Box<[u8; WINDOW_BYTES]>,
    /// The part of the window that is not read yet.
    unread: std::ops::Range<usize>,
    /// Bytes taken so far; at most `bytes_max`.
    taken: usize,
    bytes_max: usize,
}

impl<'a> StreamedRecords<'a> {
    pub(super) fn new(reader: Box<dyn Read + 'a>, bytes_max: usize) -> Self {
        Self { reader, window: Box::new([0; WINDOW_BYTES]), unread: 0..0, taken: 0, bytes_max }
    }

    pub(super) fn next(&mut self) -> Result<RecordHead, StreamError> {
        let length = length(self.varint()?)?;
        let end = self.taken.saturating_add(length);
        // The attributes have no meaning yet.
        self.skip(1)?;
        let timestamp_delta = self.varlong()?;
        let offset_delta = self.varint()?;
        let has_key = self.skip_nullable()?;
        self.skip_nullable()?;
        let headers = length_of_headers(self.varint()?)?;
        for _ in 0..headers {
            if !self.skip_nullable()? {
                return Err(StreamError::Record(RecordError::NegativeLength));
            }
            self.skip_nullable()?;
        }
        if self.taken != end {
            return Err(StreamError::Record(RecordError::RecordLength));
        }
        Ok(RecordHead { timestamp_delta, offset_delta, has_key })
    }

    /// The data end here, and the codec finds them whole.
    pub(super) fn end(&mut self) -> Result<(), StreamError> {
        if self.fill()? {
            return Err(StreamError::Record(RecordError::TrailingBytes));
        }
        Ok(())
    }

    /// Whether there is a further byte in the window now.
    fn fill(&mut self) -> Result<bool, StreamError> {
        if !self.unread.is_empty() {
            return Ok(true);
        }
        let corrupt = StreamError::Decompress(DecompressError::Corrupt);
        let read = self.reader.read(&mut self.window[..]).map_err(|_| corrupt)?;
        self.unread = 0..read;
        Ok(read > 0)
    }

    fn byte(&mut self) -> Result<u8, StreamError> {
        self.fill()?;
        let byte = self.window.get(self.unread.clone()).and_then(|unread| unread.first()).copied();
        self.take(1)?;
        byte.ok_or(StreamError::Record(RecordError::Truncated))
    }

    /// Takes so many bytes of the window, which has them.
    fn take(&mut self, bytes: usize) -> Result<(), StreamError> {
        self.unread.start = self.unread.start.saturating_add(bytes).min(self.unread.end);
        self.taken = self.taken.saturating_add(bytes);
        if self.taken > self.bytes_max {
            let bytes_max = self.bytes_max;
            return Err(StreamError::Decompress(DecompressError::TooLarge { bytes_max }));
        }
        Ok(())
    }

    fn skip(&mut self, bytes: usize) -> Result<(), StreamError> {
        let mut left = bytes;
        while left > 0 {
            if !self.fill()? {
                return Err(StreamError::Record(RecordError::Truncated));
            }
            let piece = left.min(self.unread.len());
            self.take(piece)?;
            left = left.saturating_sub(piece);
        }
        Ok(())
    }

    /// False for null.
    fn skip_nullable(&mut self) -> Result<bool, StreamError> {
        match self.varint()? {
            -1 => Ok(false),
            bytes => self.skip(length(bytes)?).map(|()| true),
        }
    }

    fn varint(&mut self) -> Result<i32, StreamError> {
        let (bytes, length) = self.varint_bytes(VARINT_BYTES_MAX as usize)?;
        Ok(read_varint(&mut bytes.get(..length).unwrap_or_default())?)
    }

    fn varlong(&mut self) -> Result<i64, StreamError> {
        let (bytes, length) = self.varint_bytes(VARLONG_BYTES_MAX as usize)?;
        Ok(read_varlong(&mut bytes.get(..length).unwrap_or_default())?)
    }

    /// The bytes of the number that stands here.
    fn varint_bytes(
        &mut self,
        bytes_max: usize,
    ) -> Result<([u8; VARLONG_BYTES_MAX as usize], usize), StreamError> {
        let mut bytes = [0; VARLONG_BYTES_MAX as usize];
        for (length, place) in (1..=bytes_max).zip(&mut bytes) {
            *place = self.byte()?;
            if *place & 0x80 == 0 {
                return Ok((bytes, length));
            }
        }
        Err(StreamError::Record(RecordError::VarintTooLong))
    }
}

fn length(value: i32) -> Result<usize, StreamError> {
    usize::try_from(value).map_err(|_| StreamError::Record(RecordError::NegativeLength))
}

fn length_of_headers(value: i32) -> Result<usize, StreamError> {
    let count = length(value)?;
    if count > RECORD_HEADERS_MAX {
        return Err(StreamError::Record(RecordError::TooManyHeaders));
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::super::{BatchBuilder, BatchOptions, Compression, HeaderField, RecordIterator};
    use super::{BatchSlice, RecordHead, StreamError, StreamedRecords, read_record_heads};
    use crate::wire::generate::Source;

    fn data() -> Vec<u8> {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        let headers = [HeaderField::new("a", Some(b"1")), HeaderField::new("a", None)];
        builder.push(10, Some(b"key"), None, &headers);
        builder.push(1 << 40, None, Some(&vec![7; 20_000]), &[]);
        builder.push(7, None, Some(b""), &[]);
        let bytes = builder.finish();
        BatchSlice::first(&bytes).unwrap().record_data().to_vec()
    }

    /// Heads up to the end or the first error.
    fn streamed(data: &[u8], count: i32) -> Result<Vec<RecordHead>, StreamError> {
        let mut records = StreamedRecords::new(Box::new(data), usize::MAX);
        let heads = (0..count).map(|_| records.next()).collect::<Result<_, _>>()?;
        records.end().map(|()| heads)
    }

    fn in_memory(data: &[u8], count: i32) -> Result<Vec<RecordHead>, StreamError> {
        RecordIterator::new(data, count)
            .map(|record| record.map(|record| RecordHead::of(&record)).map_err(StreamError::Record))
            .collect()
    }

    #[test]
    fn a_stream_gives_what_memory_gives() {
        let data = data();
        assert_eq!(streamed(&data, 3).unwrap().len(), 3);
        for count in 0..5 {
            assert_eq!(streamed(&data, count), in_memory(&data, count));
        }
    }

    #[test]
    fn heads_of_a_stored_batch_end_at_the_first_that_cannot_be_read() {
        for compression in Compression::ALL {
            let options = BatchOptions { compression, ..BatchOptions::default() };
            let mut builder = BatchBuilder::new(options);
            for at in 0..100 {
                builder.push(at, Some(b"key"), Some(b"some value"), &[]);
            }
            let bytes = builder.finish();
            let batch = BatchSlice::first(&bytes).unwrap();
            let read = |bytes_max| {
                let mut heads = Vec::new();
                read_record_heads(&batch, bytes_max, |head| heads.push(head));
                heads
            };
            let deltas: Vec<i32> = read(usize::MAX).iter().map(|head| head.offset_delta).collect();
            assert_eq!(deltas, (0..100).collect::<Vec<_>>(), "{compression}");
            // A block of snappy becomes all of its bytes at once: it is read whole or not at all.
            let least = usize::from(compression != Compression::Snappy);
            assert!((least..100).contains(&read(500).len()), "{compression}");
        }
    }

    #[test]
    fn damage_is_found_in_a_stream_where_it_is_found_in_memory() {
        let (data, mut source) = (data(), Source::new(3));
        for end in (0..60).chain(data.len() - 20..data.len()) {
            assert!(streamed(&data[..end], 3).is_err());
        }
        for _ in 0..20_000 {
            let mut wrong = data.clone();
            let at = usize::try_from(source.below(80)).unwrap();
            let at = if at < 40 { at } else { data.len() - 1 - (at - 40) };
            wrong[at] = source.next().to_le_bytes()[0];
            let (stream, memory) = (streamed(&wrong, 3), in_memory(&wrong, 3));
            assert_eq!(stream.is_ok(), memory.is_ok(), "{at}: {stream:?}, {memory:?}");
            if stream.is_ok() {
                assert_eq!(stream, memory);
            }
        }
    }
}
