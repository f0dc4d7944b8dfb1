//! From what a crash left to logs that can be served: everything acknowledged, nothing invented.
//!
//! ```text
//! directories ─► partitions and their segment files       journal files ─► entries that count
//!            └──────────────► materialise: the journal's bytes go into the segments, durable ◄──────┘
//!                             opening: a new incarnation states every partition, old journals are free
//! ```
//!
//! Recovery trusts what was made durable and nothing else: a segment up to its checkpointed length,
//! then the journal. It may be cut short at any point and begun again: it writes the same bytes to the
//! same places until the new incarnation's opening is complete, and only then lets go of the old one.

mod beginning;
pub mod directories;
mod files_before;
mod from_journal;
pub mod identity;
mod journal_files;
mod journals;
pub mod materialise;
pub mod meta;
pub mod opening;
mod replacement;
pub mod replay;
pub mod state_file;
pub mod suspicion;
pub mod unsynced;

use std::collections::VecDeque;
use std::path::PathBuf;

use bytes::Bytes;
use protocol::{LeaderEpoch, Offset};

use crate::PartitionId;
use crate::config::LogConfig;
use crate::disk::{FileSystem, FileSystemError};
use crate::journal::writer::{JournalIdentity, JournalOpening};
use crate::limits::BLOCK_BYTES;
use crate::partition::cleaner_checkpoint::CleanerCheckpoint;
use crate::partition::epochs::EpochHistory;
use crate::partition::index::{SegmentIndex, segment_path};
use crate::partition::newest::NewestBatches;
use crate::partition::position::LogPosition;
use crate::partition::producers::ProducerTable;
use crate::partition::segment::Segment;
use crate::partition::tail::Tail;
use crate::partition::{Partition, PartitionDirectory, PartitionState};

pub use directories::{LogDirectories, NodeRecovery, RecoverError, Vanished, recover, restore};
pub use files_before::FilesBefore;
pub use from_journal::FromJournal;
pub use materialise::LastBlock;
pub use opening::{open_shard, open_shard_with};
pub use suspicion::Suspicion;

/// A shard's journal, open in a new incarnation.
#[derive(Clone, Debug)]
pub struct OpenedJournal {
    pub identity: JournalIdentity,
    pub opening: JournalOpening,
    pub first_file: PathBuf,
    pub first_file_bytes: u64,
    /// Prewritten files of earlier incarnations that can be written over.
    pub free_files: Vec<(PathBuf, u64)>,
    pub next_file_number: u64,
}

/// One partition as recovery, or the shard that handed it over, left it.
#[derive(Clone, Debug)]
pub struct RecoveredPartition {
    pub id: PartitionId,
    pub directory: PartitionDirectory,
    pub config: LogConfig,
    pub leader_epoch: LeaderEpoch,
    pub epochs: EpochHistory,
    pub log_start: Offset,
    pub end: LogPosition,
    /// Acknowledged at least up to here: behind `end` where the partition is suspect.
    pub reached: Offset,
    /// The log begins above where it should: segments with the offsets below this one are gone.
    pub missing_below: Option<Offset>,
    /// Finished segments, oldest first: (base, length).
    pub finished: Vec<(Offset, u64)>,
    /// How far they are compacted.
    pub cleaner: CleanerCheckpoint,
    pub active: Option<ActiveSegment>,
    /// Bytes of the active segment's unfinished last block.
    pub last_block: Bytes,
    pub producers: ProducerTable,
    pub producers_known: bool,
    pub suspicion: Option<Suspicion>,
    pub from_journal: FromJournal,
    pub files_before: FilesBefore,
}

/// The last segment of a recovered log.
#[derive(Clone, Debug)]
pub struct ActiveSegment {
    pub base: Offset,
    pub length: u64,
    pub allocated: u64,
    pub index: SegmentIndex,
    /// The file is cut to its length and indexed.
    pub is_complete: bool,
}

impl RecoveredPartition {
    /// The log's bytes in one of its segments, the unfinished last block included: that one may not be in
    /// the file.
    pub fn read_segment(
        &self,
        fs: &dyn FileSystem,
        base: Offset,
    ) -> Result<Vec<u8>, FileSystemError> {
        let finished = self.finished.iter().find(|segment| segment.0 == base);
        let from_file = match finished {
            Some((_, length)) => *length,
            None => self.end.position - self.last_block.len() as u64,
        };
        let mut bytes = vec![0; usize::try_from(from_file).unwrap_or(usize::MAX)];
        let read = fs.read(&segment_path(&self.directory.path, base, "log"), 0, &mut bytes)?;
        bytes.truncate(read);
        if finished.is_none() && read as u64 == from_file {
            bytes.extend_from_slice(&self.last_block);
        }
        Ok(bytes)
    }

    /// What another shard needs to go on with a partition whose files are complete.
    pub(crate) fn of(partition: &Partition) -> Self {
        // Without a file yet the log ends in a segment that its next append creates.
        let last = partition.segments.back().filter(|last| last.base == partition.end.segment);
        let active = last.map(|last| ActiveSegment {
            base: last.base,
            length: last.length,
            allocated: last.length,
            index: last.index.clone().unwrap_or_default(),
            is_complete: true,
        });
        let older =
            partition.segments.iter().filter(|segment| segment.base < partition.end.segment);
        let finished = older.map(|segment| (segment.base, segment.length)).collect();
        let end = partition.end;
        let mut parts = Vec::new();
        let start = end.position - end.position % BLOCK_BYTES as u64;
        if start < end.position {
            partition.tail.slices(end.segment, start..end.position, &mut parts);
        }
        Self {
            id: partition.id,
            directory: partition.directory.clone(),
            config: partition.config.clone(),
            leader_epoch: partition.leader_epoch,
            epochs: partition.epochs.clone(),
            log_start: partition.log_start,
            end,
            reached: end.offset,
            missing_below: None,
            finished,
            cleaner: partition.cleaner,
            active,
            last_block: Bytes::from(parts.concat()),
            producers: partition.producers.clone(),
            producers_known: partition.producers_known,
            suspicion: None,
            from_journal: FromJournal::default(),
            files_before: FilesBefore::default(),
        }
    }

    /// The live partition, and the bytes that belong into its tail.
    pub(crate) fn into_partition(self) -> (Partition, Bytes) {
        let mut segments: VecDeque<Segment> =
            self.finished.iter().map(|(base, length)| Segment::finished(*base, *length)).collect();
        if let Some(active) = self.active {
            let mut segment =
                Segment::active(active.base, active.length, active.allocated, active.index);
            segment.complete_at = active.is_complete.then_some(active.length);
            segments.push_back(segment);
        }
        let state = match self.suspicion {
            Some(_) => PartitionState::Suspect,
            None => PartitionState::Open,
        };
        let partition = Partition {
            id: self.id,
            directory: self.directory,
            config: self.config,
            state,
            leader_epoch: self.leader_epoch,
            epochs: self.epochs,
            log_start: self.log_start,
            log_start_durable: self.log_start,
            end: self.end,
            durable: self.end,
            segments,
            cleaner: self.cleaner,
            tail: Tail::default(),
            newest: NewestBatches::default(),
            producers: self.producers,
            producers_known: self.producers_known,
            waiting: VecDeque::new(),
            runs: VecDeque::new(),
            acks: VecDeque::new(),
            operations: 0,
            is_ready: false,
            is_waiting: false,
            is_held: false,
            is_moved: false,
            unchecked_to: self.end,
            is_created: true,
            is_vouched: true,
            is_leaving: false,
            is_dirty: false,
            partial_since: 0,
            closing: None,
            released_by: None,
        };
        (partition, self.last_block)
    }
}
