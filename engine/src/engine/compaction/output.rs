//! The file of a cleaned segment while it is written: batches gather and go out in whole blocks.

use std::path::PathBuf;

use bytes::Bytes;
use protocol::Offset;
use protocol::record_batch::BatchHeader;
use runtime::memory::Arena;

use super::{BLOCK, WINDOW};
use crate::disk::FileId;
use crate::limits::{BLOCK_BYTES, CLEANED_SEGMENT_BYTES_MAX, CLEANER_WINDOW_BYTES};
use crate::partition::index::SegmentIndex;

#[derive(Debug)]
pub(super) struct Output {
    pub(super) base: Offset,
    pub(super) file: FileId,
    pub(super) generation: u64,
    /// Log, offset index, time index, before they take their names.
    pub(super) paths: [PathBuf; 3],
    pub(super) index: SegmentIndex,
    /// Bytes of batches.
    pub(super) length: u64,
    /// Of these, in the file. A multiple of 4 KiB.
    written: u64,
    gathered: Vec<u8>,
    is_writing: bool,
}

impl Output {
    pub(super) fn new(base: Offset, file: FileId, generation: u64, paths: [PathBuf; 3]) -> Self {
        Self {
            base,
            file,
            generation,
            paths,
            index: SegmentIndex::default(),
            length: 0,
            written: 0,
            gathered: Vec::new(),
            is_writing: false,
        }
    }

    /// False if the segment has no room for it.
    pub(super) fn push(&mut self, batch: &[u8], interval_bytes: u32) -> bool {
        let bytes = batch.len() as u64;
        let Some(header) = BatchHeader::read(batch) else { return false };
        if self.length + bytes > CLEANED_SEGMENT_BYTES_MAX {
            return false;
        }
        self.index.note(self.base, self.length, &header, interval_bytes);
        self.length += bytes;
        self.gathered.extend_from_slice(batch);
        true
    }

    /// The write that is due (position, bytes of batches in it): whole blocks of a window, or, when
    /// nothing comes any more, what is left.
    pub(super) fn next_write(&mut self, is_last: bool) -> Option<(u64, usize)> {
        self.is_writing = false;
        let gathered = self.gathered.len();
        let is_due = gathered >= CLEANER_WINDOW_BYTES || (is_last && gathered > 0);
        is_due.then_some((self.written, gathered.min(CLEANER_WINDOW_BYTES)))
    }

    /// The first so many bytes, padded to a block; `None` when there is no memory now.
    pub(super) fn take_blocks(&mut self, arena: &Arena, length: usize) -> Option<Bytes> {
        let padded = length.next_multiple_of(BLOCK_BYTES);
        let mut block = arena.allocate(padded)?;
        block[..length].copy_from_slice(&self.gathered[..length]);
        block[length..padded].fill(0);
        self.gathered.drain(..length);
        self.written += padded as u64;
        self.is_writing = true;
        Some(block.freeze(padded))
    }

    /// A write is under way.
    pub(super) fn is_writing(&self) -> bool {
        self.is_writing
    }
}

const _: () = assert!(WINDOW.is_multiple_of(BLOCK));
