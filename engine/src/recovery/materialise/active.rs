//! The last segment of a recovered log: its room, its index, and whether an orderly end completed it.

use std::path::Path;

use protocol::record_batch::BatchHeader;

use super::{ActiveSegment, BLOCK, Builder, LastBlock, index};
use crate::batch::BatchView;
use crate::disk::FileSystemError;
use crate::limits::BLOCK_BYTES;
use crate::partition::index::{SegmentIndex, segment_path};

impl Builder<'_> {
    pub(super) fn active(
        &mut self,
        path: &Path,
        length_before: Option<u64>,
    ) -> Result<ActiveSegment, FileSystemError> {
        let allocated = match length_before {
            Some(length) if !self.written => length,
            _ => self.fs.length(path)?,
        };
        let index = self.read_index()?;
        let index = self.complete_index(path, index)?;
        // It was cut to its length in good order, and nothing was appended since.
        let is_exact = length_before == Some(self.position) && !self.written && !self.grew;
        let is_indexed = index.covered() == self.position;
        let is_complete = is_exact && is_indexed && self.has_index_files()?;
        Ok(ActiveSegment {
            base: self.segment,
            length: self.position,
            allocated: allocated - allocated % BLOCK,
            index,
            is_complete,
        })
    }

    /// Whether the unfinished last block need not be written to a file that has room for it.
    pub(super) fn may_stay_behind(&self, last_block: LastBlock) -> Result<bool, FileSystemError> {
        let whole = self.buffer.len() - self.buffer.len() % BLOCK_BYTES;
        let start = self.buffer_start + whole as u64;
        // Of the block's bytes: what is not durable in the file need not be there.
        let durable = index(self.checkpointed.min(self.position).saturating_sub(start));
        match last_block {
            LastBlock::InFile => Ok(false),
            LastBlock::Compared if durable > 0 => {
                let mut block = vec![0; BLOCK_BYTES];
                self.fs.read(&self.log_path(), start, &mut block)?;
                Ok(block[..durable] == self.buffer[whole..][..durable])
            }
            LastBlock::Compared | LastBlock::InJournal => Ok(true),
        }
    }

    fn has_index_files(&self) -> Result<bool, FileSystemError> {
        let path = segment_path(&self.files.directory.path, self.segment, "index");
        match self.fs.length(&path) {
            Ok(_) => Ok(true),
            Err(FileSystemError::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn read_index(&self) -> Result<SegmentIndex, FileSystemError> {
        let read = |extension| {
            let path = segment_path(&self.files.directory.path, self.segment, extension);
            crate::disk::job::read_file(self.fs, &path, crate::limits::INDEX_FILE_BYTES_MAX)
        };
        let (Some(offsets), Some(times)) = (read("index")?, read("timeindex")?) else {
            return Ok(SegmentIndex::default());
        };
        Ok(SegmentIndex::decode(&offsets, &times, self.position).unwrap_or_default())
    }

    /// Walks from the index's last entry to the log end where that is near; a longer way is left to
    /// the reads that will go it.
    fn complete_index(
        &self,
        path: &Path,
        mut index_of: SegmentIndex,
    ) -> Result<SegmentIndex, FileSystemError> {
        const NEAR_BYTES: u64 = 1 << 20;
        let from = index_of.covered();
        if self.position - from > NEAR_BYTES || self.position == from {
            return Ok(index_of);
        }
        let from_file = self.buffer_start.saturating_sub(from);
        let mut bytes = vec![0u8; index(from_file)];
        let mut read = if from_file > 0 { self.fs.read(path, from, &mut bytes)? } else { 0 };
        if read == bytes.len() {
            let begin = index(from.saturating_sub(self.buffer_start));
            bytes.extend_from_slice(&self.buffer[begin..]);
            read = bytes.len();
        }
        let mut at = 0;
        while let Some(header) = BatchHeader::read(&bytes[at..read]) {
            if !header.is_plausible() || at + header.total_bytes() > read {
                break;
            }
            let interval = crate::limits::INDEX_INTERVAL_BYTES;
            index_of.note(self.segment, from + at as u64, &header, interval);
            at += header.total_bytes();
        }
        Ok(index_of)
    }
}
