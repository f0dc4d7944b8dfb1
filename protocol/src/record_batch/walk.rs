//! The batches in a run of bytes: a segment, a fetched partition, a journal entry.
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

use std::fmt;

use super::header::{
    BATCH_LENGTH_AT, BatchHeader, CRC_COVERS_FROM, HEADER_BYTES, LENGTH_COUNTS_FROM, MAGIC,
};

/// Why the bytes at a position are no batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkError {
    /// The bytes end inside a batch, which is usual for the last batch of a fetch response.
    Truncated {
        position: usize,
    },
    /// A length that no batch has.
    Length {
        position: usize,
        batch_length: i32,
    },
    Magic {
        position: usize,
        magic: i8,
    },
    /// Offsets that no log has: negative, or past the last that there is.
    Offsets {
        position: usize,
    },
}

impl WalkError {
    #[must_use]
    pub const fn position(self) -> usize {
        match self {
            Self::Truncated { position }
            | Self::Length { position, .. }
            | Self::Magic { position, .. }
            | Self::Offsets { position } => position,
        }
    }
}

impl fmt::Display for WalkError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { position } => {
                write!(formatter, "the bytes end inside the batch at {position}")
            }
            Self::Length { position, batch_length } => {
                write!(formatter, "batch length {batch_length} at {position}")
            }
            Self::Magic { position, magic } => write!(formatter, "magic {magic} at {position}"),
            Self::Offsets { position } => {
                write!(formatter, "offsets of the batch at {position} are out of range")
            }
        }
    }
}

impl std::error::Error for WalkError {}

/// One whole batch in a run of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSlice<'a> {
    /// Of the batch's first byte within the run.
    pub position: usize,
    pub header: BatchHeader,
    /// The batch and nothing else.
    pub bytes: &'a [u8],
}

impl<'a> BatchSlice<'a> {
    /// Reads the batch at the front of `bytes`: structure only, no CRC.
    pub fn first(bytes: &'a [u8]) -> Result<Self, WalkError> {
        let position = 0;
        // A batch shorter than a header can only be told by its length, which may stand before the end.
        let length = bytes.get(BATCH_LENGTH_AT..LENGTH_COUNTS_FROM);
        let batch_length = length.and_then(|length| length.first_chunk()).copied();
        let batch_length =
            i32::from_be_bytes(batch_length.ok_or(WalkError::Truncated { position })?);
        let counted = usize::try_from(batch_length).unwrap_or(0);
        let size = counted
            .checked_add(LENGTH_COUNTS_FROM)
            .filter(|size| *size >= HEADER_BYTES)
            .ok_or(WalkError::Length { position, batch_length })?;
        let header = BatchHeader::read(bytes).ok_or(WalkError::Truncated { position })?;
        if header.magic != MAGIC {
            return Err(WalkError::Magic { position, magic: header.magic });
        }
        let last_offset = header.base_offset.0.checked_add(i64::from(header.last_offset_delta));
        let ordered = header.base_offset.0 >= 0 && header.last_offset_delta >= 0;
        if !ordered || last_offset.is_none_or(|last| last == i64::MAX) {
            return Err(WalkError::Offsets { position });
        }
        let bytes = bytes.get(..size).ok_or(WalkError::Truncated { position })?;
        Ok(Self { position, header, bytes })
    }

    /// The CRC-32C of the bytes that the header's CRC covers.
    #[must_use]
    pub fn computed_crc(&self) -> u32 {
        crc32c::crc32c(self.bytes.get(CRC_COVERS_FROM..).unwrap_or_default())
    }

    #[must_use]
    pub fn crc_is_valid(&self) -> bool {
        self.computed_crc() == self.header.crc
    }

    /// The records as they stand, compressed or not.
    #[must_use]
    pub fn record_data(&self) -> &'a [u8] {
        self.bytes.get(HEADER_BYTES..).unwrap_or_default()
    }
}

/// Walks whole batches from the front. Ends at the end of the bytes or after the first error.
#[derive(Clone, Debug)]
pub struct BatchWalk<'a> {
    rest: &'a [u8],
    position: usize,
}

impl<'a> BatchWalk<'a> {
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, position: 0 }
    }

    /// Of the next batch, or of the error.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }
}

impl<'a> Iterator for BatchWalk<'a> {
    type Item = Result<BatchSlice<'a>, WalkError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let position = self.position;
        match BatchSlice::first(self.rest) {
            Ok(batch) => {
                self.rest = self.rest.get(batch.bytes.len()..).unwrap_or_default();
                self.position = position.saturating_add(batch.bytes.len());
                Some(Ok(BatchSlice { position, ..batch }))
            }
            Err(error) => {
                self.rest = &[];
                Some(Err(match error {
                    WalkError::Truncated { .. } => WalkError::Truncated { position },
                    WalkError::Length { batch_length, .. } => {
                        WalkError::Length { position, batch_length }
                    }
                    WalkError::Magic { magic, .. } => WalkError::Magic { position, magic },
                    WalkError::Offsets { .. } => WalkError::Offsets { position },
                }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BatchBuilder, BatchOptions, patch};
    use super::{BatchWalk, WalkError};
    use crate::ids::{LeaderEpoch, Offset};

    fn batch(base_offset: i64, records: usize) -> Vec<u8> {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        for _ in 0..records {
            builder.push(5, Some(b"key"), Some(b"value"), &[]);
        }
        let mut bytes = builder.finish();
        patch(&mut bytes, Offset(base_offset), LeaderEpoch(1));
        bytes
    }

    #[test]
    fn a_walk_finds_every_batch_and_its_position() {
        let run = [batch(0, 3), batch(3, 1), batch(4, 10)].concat();
        let walked: Vec<_> = BatchWalk::new(&run).map(Result::unwrap).collect();
        let offsets: Vec<_> = walked
            .iter()
            .map(|batch| (batch.header.base_offset.0, batch.header.next_offset().0))
            .collect();
        assert_eq!(offsets, [(0, 3), (3, 4), (4, 14)]);
        assert_eq!(walked[1].position, walked[0].bytes.len());
        assert!(walked.iter().all(super::BatchSlice::crc_is_valid));
    }

    #[test]
    fn a_walk_ends_with_one_error_where_the_bytes_are_no_batch() {
        let first = batch(0, 1);
        let run = [first.clone(), batch(1, 1)].concat();
        for end in first.len() + 1..run.len() {
            let results: Vec<_> = BatchWalk::new(&run[..end]).collect();
            assert_eq!(results.len(), 2, "{end}");
            assert_eq!(results[1], Err(WalkError::Truncated { position: first.len() }));
        }
        let mut wrong = run.clone();
        wrong[first.len() + 8..first.len() + 12].copy_from_slice(&48i32.to_be_bytes());
        let error = WalkError::Length { position: first.len(), batch_length: 48 };
        assert_eq!(BatchWalk::new(&wrong).last(), Some(Err(error)));
        let mut wrong = run.clone();
        wrong[16] = 1;
        assert_eq!(
            BatchWalk::new(&wrong).next(),
            Some(Err(WalkError::Magic { position: 0, magic: 1 }))
        );
        let mut wrong = run;
        wrong[0] = 0xff;
        assert_eq!(BatchWalk::new(&wrong).next(), Some(Err(WalkError::Offsets { position: 0 })));
    }
}
