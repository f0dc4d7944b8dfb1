//! One segment of a log: a file of record batches named by its first offset.
//!
//! ```text
//! 0 ………… durable ………… flushed ………… length ………… allocated
//! │ synced  │ written     │ in memory  │ zeros       │
//! ```
//! `durable` is what a checkpoint may state, `flushed` is on disk in whole blocks, bytes up to `length`
//! are in the tail (and, once acknowledged, in the journal).

use std::collections::VecDeque;
use std::ops::Range;

use protocol::Offset;

use super::index::SegmentIndex;
use crate::disk::FileId;
use crate::limits::{BLOCK_BYTES, SEGMENT_STEP_BYTES_MAX, SEGMENT_STEP_BYTES_MIN};

/// Life of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentState {
    /// Its file is being created.
    Creating,
    /// The log's last segment; appends go here.
    Active,
    /// Full; its last bytes are on their way to the file.
    Sealed,
    /// The job that cuts the file and writes its indexes is under way.
    Finishing,
    /// The file is complete, durable and exactly `length` long.
    Finished,
}

/// A run that was, or is being, written straight to the file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct DirectRange {
    blocks: Range<u64>,
    written: bool,
}

#[derive(Debug)]
pub struct Segment {
    pub base: Offset,
    pub state: SegmentState,
    /// Bound once the file is read or written.
    pub file: Option<FileId>,
    /// Bytes of record batches.
    pub length: u64,
    /// Size of the file, blocks allocated.
    pub allocated: u64,
    step: u64,
    pub extending: bool,
    /// Everything below is on disk. A multiple of 4 KiB until finished.
    pub flushed: u64,
    /// Everything below is on stable storage. A multiple of 4 KiB until finished.
    pub durable: u64,
    /// A write-behind operation is in flight up to here.
    pub flushing_to: Option<u64>,
    direct: VecDeque<DirectRange>,
    /// `None`: not loaded. Of finished segments only some are kept in memory.
    pub index: Option<SegmentIndex>,
    pub max_timestamp: Option<i64>,
    /// The file is cut, indexed and durable as of this length: completing it again is free.
    pub complete_at: Option<u64>,
    /// Wall clock of the first append, for rolling by time.
    pub first_append_ms: Option<i64>,
    /// Of its file: each replacement by a cleaned one is another, and no position in one means anything in
    /// the other.
    pub generation: u64,
    /// Its files are about to be those of a cleaned segment: nothing is read until it is known which.
    pub is_replaced: bool,
    /// Compaction may take it when this run of the checkpoint is durable: from then on no journal refers to
    /// positions in it.
    pub settled_by: Option<u64>,
    /// Below the log start: its files go when this run of the checkpoint is durable, with what is known of the
    /// producers in it.
    pub doomed_until: Option<u64>,
}

impl Segment {
    /// A segment that does not exist on disk yet.
    pub fn new(base: Offset) -> Self {
        Self {
            base,
            state: SegmentState::Creating,
            file: None,
            length: 0,
            allocated: 0,
            step: SEGMENT_STEP_BYTES_MIN,
            extending: false,
            flushed: 0,
            durable: 0,
            flushing_to: None,
            direct: VecDeque::new(),
            index: Some(SegmentIndex::default()),
            max_timestamp: None,
            complete_at: None,
            first_append_ms: None,
            generation: 0,
            is_replaced: false,
            settled_by: None,
            doomed_until: None,
        }
    }

    /// A complete segment found on disk: the journal's opening states that it is.
    pub fn finished(base: Offset, length: u64) -> Self {
        Self {
            settled_by: Some(0),
            doomed_until: Some(0),
            state: SegmentState::Finished,
            length,
            allocated: length,
            flushed: length,
            durable: length,
            index: None,
            ..Self::new(base)
        }
    }

    /// The last segment of a log found on disk; its unfinished last block is in memory again.
    pub fn active(base: Offset, length: u64, allocated: u64, index: SegmentIndex) -> Self {
        let whole = length - length % BLOCK_BYTES as u64;
        Self {
            state: SegmentState::Active,
            length,
            allocated: (allocated - allocated % BLOCK_BYTES as u64).max(whole),
            flushed: whole,
            durable: whole,
            max_timestamp: index.max_timestamp(),
            index: Some(index),
            ..Self::new(base)
        }
    }

    /// Where the index does not reach the end, nobody knows how old the newest record is: no older than now.
    pub fn expect_age(&mut self, now_ms: i64) {
        let covered = self.index.as_ref().map_or(self.length, SegmentIndex::covered);
        if covered < self.length {
            self.max_timestamp = self.max_timestamp.max(Some(now_ms));
        }
    }

    /// Takes a file that is complete already as finished; true if it was.
    pub fn finish_if_complete(&mut self) -> bool {
        let is_complete = self.complete_at == Some(self.length);
        if is_complete {
            self.state = SegmentState::Finished;
            self.flushed = self.length;
            self.durable = self.length;
        }
        is_complete
    }

    /// Size of the file after the next extension that makes room up to `end`; steps double.
    pub fn grown(&mut self, end: u64) -> u64 {
        let mut size = self.allocated;
        while size < end {
            size += self.step;
            self.step = (self.step * 2).min(SEGMENT_STEP_BYTES_MAX);
        }
        size
    }

    /// An extension found no space: the next one asks for as little as possible.
    pub fn reset_step(&mut self) {
        self.step = SEGMENT_STEP_BYTES_MIN;
    }

    /// Whether it is time to extend before an append has to wait for it.
    pub fn is_nearly_full(&self) -> bool {
        self.allocated.saturating_sub(self.length) < self.step / 4
    }

    /// A run's blocks go straight to the file from now on.
    pub fn begin_direct(&mut self, blocks: Range<u64>) {
        self.direct.push_back(DirectRange { blocks, written: false });
    }

    /// The direct write of `blocks` completed.
    pub fn end_direct(&mut self, blocks: &Range<u64>) {
        if let Some(range) = self.direct.iter_mut().find(|range| range.blocks == *blocks) {
            range.written = true;
        }
        self.skip_written();
    }

    fn skip_written(&mut self) {
        while let Some(first) = self.direct.front() {
            if first.blocks.start > self.flushed || !first.written {
                break;
            }
            self.flushed = self.flushed.max(first.blocks.end);
            self.direct.pop_front();
        }
    }

    /// The blocks to write behind next, given how far the journal vouches for the bytes.
    pub fn write_behind_range(&self, acknowledged: u64, bytes_max: u64) -> Option<Range<u64>> {
        if self.flushing_to.is_some() {
            return None;
        }
        let whole = acknowledged - acknowledged % BLOCK_BYTES as u64;
        let until_direct = self.direct.front().map_or(whole, |range| range.blocks.start.min(whole));
        let end = until_direct.min(self.flushed + bytes_max);
        (self.flushed < end).then_some(self.flushed..end)
    }

    pub fn begin_write_behind(&mut self, range: &Range<u64>) {
        assert!(self.flushing_to.is_none(), "one write-behind operation of a segment at a time");
        self.flushing_to = Some(range.end);
    }

    pub fn end_write_behind(&mut self) {
        let to = self.flushing_to.take().expect("a write-behind operation was in flight");
        self.flushed = self.flushed.max(to);
        self.skip_written();
    }

    /// Whether direct writes of this segment are still under way.
    pub fn has_direct_in_flight(&self) -> bool {
        !self.direct.is_empty()
    }

    /// Bytes up to here can be read from the file.
    pub fn readable_from_disk(&self) -> u64 {
        match self.state {
            SegmentState::Finished => self.length,
            _ => self.flushed,
        }
    }

    pub fn is_finished(&self) -> bool {
        self.state == SegmentState::Finished
    }
}

#[cfg(test)]
mod tests;
