//! One partition's log, as its owner shard holds it.
//!
//! ```text
//! log start ≤ high watermark ≤ durable ≤ log end          (durability=fsync: high watermark = durable)
//! log start ≤ durable ≤ high watermark = log end          (durability=memory)
//! ```

pub mod batch_walk;
pub mod cleaner;
pub mod cleaner_checkpoint;
pub mod epochs;
pub mod index;
pub mod newest;
pub mod position;
pub mod producers;
pub mod segment;
pub mod tail;
pub mod validate;
pub mod window;

use std::collections::VecDeque;
use std::path::PathBuf;

use bytes::Bytes;
use protocol::record_batch::BatchHeader;
use protocol::{LeaderEpoch, Offset};
use runtime::clock::Monotonic;

use crate::PartitionId;
use crate::config::{Durability, LogConfig};
use crate::disk::{DirId, OpId};
use crate::limits::BLOCK_BYTES;
use crate::request::Token;
use cleaner_checkpoint::CleanerCheckpoint;
use epochs::EpochHistory;
use newest::NewestBatches;
use position::LogPosition;
use producers::ProducerTable;
use segment::Segment;
use tail::Tail;

/// Where a partition's files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDirectory {
    pub dir: DirId,
    /// `<topic>-<partition>`, below the log directory's root.
    pub path: PathBuf,
}

/// Whether a partition takes appends and serves reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartitionState {
    Open,
    /// Acknowledged data behind the log end was lost to corruption; read-only until the loss is accepted.
    Suspect,
    /// Its log directory failed.
    Offline,
    /// Being deleted or handed over.
    Closing,
}

/// Appended batches on their way to stable storage, all in one segment.
#[derive(Clone, Debug)]
pub struct Run {
    pub from: LogPosition,
    pub to: LogPosition,
    /// Epoch of all its batches: a run never spans two.
    pub leader_epoch: LeaderEpoch,
    /// CRC32C of its batches' headers, for the pointer of a large run.
    pub headers_crc: u32,
    pub state: RunState,
}

impl Run {
    pub fn bytes(&self) -> u64 {
        self.to.position - self.from.position
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// Still growing, or waiting for a group.
    Gathering,
    /// Its blocks are being written straight to the segment.
    Direct(OpId),
    /// Its blocks are durable in the segment; the pointer is due.
    Written,
}

/// An append that waits for room, validated already.
#[derive(Clone, Debug)]
pub struct WaitingAppend {
    pub token: Token,
    pub batch: Bytes,
    pub header: BatchHeader,
}

/// An append that waits for its end to be durable.
#[derive(Clone, Copy, Debug)]
pub struct PendingAck {
    pub end: Offset,
    pub token: Token,
    pub base: Offset,
    pub timestamp: i64,
    pub accepted: Monotonic,
}

#[derive(Debug)]
pub struct Partition {
    pub id: PartitionId,
    pub directory: PartitionDirectory,
    pub config: LogConfig,
    pub state: PartitionState,
    pub leader_epoch: LeaderEpoch,
    pub epochs: EpochHistory,
    /// Invariant: log_start <= end. (Not the high watermark: a topic that begins to ask for stable
    /// storage may have deleted records that were not there yet.)
    pub log_start: Offset,
    /// The log start as acknowledged by the journal: segments below it may go.
    pub log_start_durable: Offset,
    pub end: LogPosition,
    /// Everything before it is on stable storage, in segments or in acknowledged journal groups.
    pub durable: LogPosition,
    /// Oldest first; the last one takes the appends. Empty until the first append.
    pub segments: VecDeque<Segment>,
    /// How far it is compacted.
    pub cleaner: CleanerCheckpoint,
    pub tail: Tail,
    pub newest: NewestBatches,
    pub producers: ProducerTable,
    /// False while the state of idempotent producers is being rebuilt: their appends are refused.
    pub producers_known: bool,
    pub waiting: VecDeque<WaitingAppend>,
    pub runs: VecDeque<Run>,
    pub acks: VecDeque<PendingAck>,
    /// Disk operations in flight on its files.
    pub operations: u32,
    /// In the engine's list of partitions with runs for the journal.
    pub is_ready: bool,
    /// In the engine's list of partitions whose appends wait.
    pub is_waiting: bool,
    /// In the engine's list of partitions whose memory can be taken back.
    pub is_held: bool,
    /// In the engine's list of partitions whose high watermark moved.
    pub is_moved: bool,
    /// Where the log ended when it was taken over: what the tail has before it came from a file, and is checked when
    /// it is read.
    pub unchecked_to: LogPosition,
    /// Its directory is durable. Before, the journal does not speak of it: a start that finds it in the journal takes its
    /// files for durable, and does not write again what a failed sync left in the page cache alone.
    pub is_created: bool,
    /// The journal of this shard speaks of the partition; appends wait for that, so that recovery
    /// takes files without a journal for damage and not for something new.
    pub is_vouched: bool,
    /// Its last entry in this journal (Close) was given to the journal.
    pub is_leaving: bool,
    /// Something was journaled since the last checkpoint began.
    pub is_dirty: bool,
    /// Group in which the first byte of the unfinished last block was journaled.
    pub partial_since: u64,
    /// Set while it is on its way out.
    pub closing: Option<Closing>,
    /// A hand-over waits for this run of the checkpoint: it saves what the journal does not hold.
    pub released_by: Option<u64>,
}

/// What happens to a partition when its last operation is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    Delete(Token),
    Release(Token),
}

impl Partition {
    /// End of what consumers may read.
    pub fn high_watermark(&self) -> LogPosition {
        match self.config.durability {
            Durability::Fsync => self.durable,
            Durability::Memory => self.end,
        }
    }

    /// The segment with base `base`.
    pub fn segment(&self, base: Offset) -> Option<&Segment> {
        self.segments
            .binary_search_by_key(&base, |segment| segment.base)
            .ok()
            .map(|at| &self.segments[at])
    }

    /// Whether the segment at a place is finished and wholly below the durable log start; the last one never is.
    pub(crate) fn is_below_log_start(&self, at: usize) -> bool {
        let next = self.segments.get(at + 1);
        next.is_some_and(|next| next.base <= self.log_start_durable)
            && self.segments[at].is_finished()
    }

    /// Whether its bytes in memory at a place in a segment came from a file, and were not looked at.
    pub(crate) fn is_unchecked(&self, segment: Offset, position: u64) -> bool {
        segment == self.unchecked_to.segment && position < self.unchecked_to.position
    }

    pub fn segment_mut(&mut self, base: Offset) -> Option<&mut Segment> {
        let at = self.segments.binary_search_by_key(&base, |segment| segment.base).ok()?;
        self.segments.get_mut(at)
    }

    /// The segment that contains `offset`, which is at or above the log start.
    pub fn segment_of(&self, offset: Offset) -> Option<&Segment> {
        let after = self.segments.partition_point(|segment| segment.base <= offset);
        after.checked_sub(1).map(|at| &self.segments[at])
    }

    /// The offset at which what follows `segment` begins: its batches end there at the latest.
    pub fn end_of(&self, segment: Offset) -> Offset {
        let after = self.segments.partition_point(|other| other.base <= segment);
        self.segments.get(after).map_or(self.end.offset, |next| next.base)
    }

    /// Whether each batch of the segment begins where the one before ended: compaction leaves gaps.
    pub fn is_dense(&self, segment: Offset) -> bool {
        segment >= self.cleaner.cleaned
    }

    /// How far the bytes of `segment` are acknowledged by the journal.
    pub fn acknowledged_in(&self, segment: &Segment) -> u64 {
        if self.durable.segment == segment.base {
            self.durable.position
        } else if self.durable.segment > segment.base {
            segment.length
        } else {
            0
        }
    }

    /// How far the bytes of `segment` may be read by consumers.
    pub fn visible_in(&self, segment: &Segment) -> u64 {
        let bound = self.high_watermark();
        if bound.segment == segment.base {
            bound.position
        } else if bound.segment > segment.base {
            segment.length
        } else {
            0
        }
    }

    /// What a checkpoint may state: the first segment that is not finished, and how far it is durable.
    /// A file that is complete is durable to its last byte: of a partition that was just taken over,
    /// no fragment stands in this shard's journal yet.
    pub fn checkpointed(&self) -> (Offset, u64) {
        match self.segments.iter().find(|segment| !segment.is_finished()) {
            Some(segment) if segment.complete_at == Some(segment.length) => {
                (segment.base, segment.length)
            }
            Some(segment) => (segment.base, segment.durable),
            None => match self.segments.back() {
                Some(last) => (last.base, last.length),
                None => (self.end.segment, 0),
            },
        }
    }

    /// Acknowledged bytes behind what a checkpoint may state: only the journal has them for sure.
    pub fn unflushed_bytes(&self) -> u64 {
        self.segments
            .iter()
            .filter(|segment| !segment.is_finished() && segment.complete_at != Some(segment.length))
            .map(|segment| self.acknowledged_in(segment).saturating_sub(segment.durable))
            .sum()
    }

    /// Whether bytes that recovery needs may stand in the journal alone since `partial_since`: a last
    /// block that is not full, or a sealed segment whose file is not complete.
    pub fn has_partial_block(&self) -> bool {
        let is_unfinished =
            |segment: &Segment| segment.base != self.end.segment && !segment.is_finished();
        !self.end.position.is_multiple_of(BLOCK_BYTES as u64)
            || self.segments.iter().any(is_unfinished)
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.length).sum()
    }

    /// Checks what must hold between any two events.
    pub fn invariants(&self) {
        assert!(self.log_start <= self.end.offset, "{self:?}");
        assert!(self.durable.offset <= self.end.offset, "{self:?}");
        assert!(self.durable.segment <= self.end.segment, "{self:?}");
        let in_order = self.segments.iter().zip(self.segments.iter().skip(1));
        for (older, newer) in in_order {
            assert!(older.base < newer.base, "segments are ordered");
        }
        if let Some(last) = self.segments.back()
            && last.base == self.end.segment
        {
            assert!(last.length == self.end.position, "the log ends in its last segment");
        }
        for segment in &self.segments {
            assert!(segment.flushed <= segment.length.next_multiple_of(BLOCK_BYTES as u64));
            assert!(segment.durable <= segment.flushed);
        }
    }
}
