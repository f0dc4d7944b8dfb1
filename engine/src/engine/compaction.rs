//! Log compaction: of logs that ask for it, finished segments are cleaned in the background, one log at a time.
//!
//! ```text
//! Idle ─due─► Mapping ─map full, or all read─► Preparing ─► Rewriting ─group read─► Sealing ─► Committing
//!               │ read a window, note its keys               │ read a window,                      │
//!               └◄──────────────────────────┘                │ keep what stays, write              ▼
//! Idle ◄─no group is left─ Settling ◄── Switching ◄───────────────────────────────────────────────┘
//! ```
//!
//! One disk operation is under way at any time, and one window is looked at between two of them: the shard does
//! everything else in between. Until the commit the round can be given up at any point, and nothing has happened;
//! from then on it is ended, whatever becomes of the partition.
//!
//! * [`choice`]: which log is cleaned next, and which segments of it.
//! * [`scan`]: the walk through batches that are read back.
//! * `indexes`: what tells where a segment that was cleaned before lacks offsets.
//! * [`output`]: the file of a cleaned segment.
//! * `replacement`: the new segment takes the place of the old ones.
//!
//! What may be cleaned: segments that are finished, that a durable run of the checkpoint has passed (no journal
//! refers to positions in them any more) and that have another segment behind them.

mod choice;
mod indexes;
mod output;
mod replacement;
mod scan;

use std::collections::BTreeSet;

use bytes::Bytes;
use protocol::Offset;

use self::choice::Chosen;
use self::output::Output;
use self::scan::{Scan, Source};
use super::completion::Pending;
use super::{Engine, Slot};
use crate::PartitionId;
use crate::disk::{DiskClass, DiskOp, DiskOutput, FileSystemError};
use crate::limits::{BLOCK_BYTES, CLEANER_WINDOW_BYTES};
use crate::partition::PartitionState;
use crate::partition::cleaner::key_hash::KeyHasher;
use crate::partition::cleaner::offset_map::OffsetMap;
use crate::partition::cleaner::{CleanRules, CleanedBatch, KeysNoted, clean_batch, note_keys};
use crate::partition::index::SegmentIndex;

/// What one shard cleans now, and what it knows of earlier rounds.
#[derive(Debug, Default)]
pub(super) struct Cleaner {
    round: Option<Round>,
    /// When a log to clean is looked for next.
    due_ms: u64,
    /// Damaged logs: not tried again before the next start.
    uncleanable: BTreeSet<PartitionId>,
}

impl Cleaner {
    /// The first look is due then.
    pub(super) fn due_at(due_ms: u64) -> Self {
        Self { due_ms, ..Self::default() }
    }

    /// Whether segments of the partition must stay until a replacement has come to its end.
    pub(super) fn holds_segments_of(&self, slot: Slot) -> bool {
        self.round.as_ref().is_some_and(|round| {
            round.slot == slot && !matches!(round.stage, Stage::Mapping | Stage::Rewriting)
        })
    }

    /// The partition's id is free again.
    pub(super) fn forget(&mut self, id: PartitionId) {
        self.uncleanable.remove(&id);
    }
}

/// Where a round stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Reads the dirty part of the log.
    Mapping,
    /// The file of the next cleaned segment is being made.
    Preparing,
    /// Reads the segments of a group.
    Rewriting,
    /// The cleaned segment becomes durable.
    Sealing,
    /// The word that it replaces others becomes durable.
    Committing,
    /// The file takes its name.
    Switching,
    /// The files of the others go, durable.
    Settling,
}

/// One log on its way through the cleaner.
#[derive(Debug)]
struct Round {
    slot: Slot,
    id: PartitionId,
    stage: Stage,
    /// An operation is under way.
    is_busy: bool,
    hasher: KeyHasher,
    map: OffsetMap,
    /// Where the map begins, and where it ends.
    first_dirty: Offset,
    covered: Offset,
    /// The segments that are cleaned, oldest first.
    sources: Vec<Source>,
    scan: Scan,
    /// The index of the segment that is read, if that one was cleaned before.
    index: Option<(Offset, SegmentIndex)>,
    /// That index is made by a walk, for its files make no sense.
    walks_index: bool,
    /// Where the group at hand ends, which becomes one segment.
    group: usize,
    output: Option<Output>,
    now_ms: i64,
}

impl Round {
    /// The offset at which what is cleaned ends.
    fn end(&self) -> Offset {
        self.sources.last().map_or(self.covered, |last| last.end)
    }
}

/// Why a round ends before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GivenUp {
    /// The log, its partition or the disk is not as it was: it may work another time.
    ForNow,
    /// What was read is damaged or cannot be read.
    Damaged,
}

impl Engine {
    /// Cleans the log that needs it most, if it is time and none is being cleaned.
    pub(super) fn start_cleaning(&mut self) {
        if self.cleaner.round.is_some() || self.cleaner.due_ms > self.now_ms() {
            return;
        }
        self.cleaner.due_ms = self.now_ms() + self.config.cleaner_backoff_ms;
        if self.shutdown_is_under_way() || self.journal.has_failed() {
            return;
        }
        let Some(Chosen { slot, first_dirty, sources, dirty_bytes }) = self.choose_log() else {
            return;
        };
        let id = self.partition(slot).expect("it was just chosen").id;
        // A key for each few bytes: more than there are, unless they are compressed.
        let keys = usize::try_from(dirty_bytes / 4).unwrap_or(usize::MAX);
        self.metrics.cleaner_rounds += 1;
        self.cleaner.round = Some(Round {
            slot,
            id,
            stage: Stage::Mapping,
            is_busy: false,
            hasher: KeyHasher::new(id.topic_id.0),
            map: OffsetMap::with_room_for(keys),
            first_dirty,
            covered: first_dirty,
            scan: Scan::from_segment_of(first_dirty, &sources),
            sources,
            index: None,
            walks_index: false,
            group: 0,
            output: None,
            now_ms: self.now.wall.0,
        });
        self.drive_cleaner();
    }

    /// Goes on where memory was missing.
    pub(super) fn drive_cleaner(&mut self) {
        let Some(mut round) = self.cleaner.round.take_if(|round| !round.is_busy) else { return };
        match self.clean_on(&mut round) {
            Ok(true) => self.cleaner.round = Some(round),
            Ok(false) => self.end_round(),
            Err(reason) => self.give_up_round(&round, reason),
        }
    }

    /// The next operation of the round, if there is memory for it; false when nothing is left to do.
    fn clean_on(&mut self, round: &mut Round) -> Result<bool, GivenUp> {
        self.check_round(round)?;
        match round.stage {
            Stage::Mapping if round.scan.is_at_end(&round.sources) => {
                round.covered = round.end();
                self.begin_group(round);
                Ok(true)
            }
            Stage::Mapping => self.read_for_cleaner(round).map(|()| true),
            Stage::Rewriting => {
                self.grow_group(round);
                let is_read = round.scan.source >= round.group;
                let output = round.output.as_mut().expect("a group has a file");
                if let Some((position, length)) = output.next_write(is_read) {
                    if let Some(data) = output.take_blocks(&self.arena, length) {
                        let file = output.file;
                        self.write_for_cleaner(round, file, position, data);
                    }
                } else if is_read {
                    self.seal_group(round);
                } else {
                    self.read_for_cleaner(round)?;
                }
                Ok(true)
            }
            Stage::Preparing
            | Stage::Sealing
            | Stage::Committing
            | Stage::Switching
            | Stage::Settling => {
                unreachable!("an operation is under way")
            }
        }
    }

    /// Whether the log is still what the round began with.
    fn check_round(&self, round: &Round) -> Result<(), GivenUp> {
        let partition = self.partition(round.slot).filter(|it| it.id == round.id);
        let is_as_it_was = partition.is_some_and(|partition| {
            partition.state == PartitionState::Open
                && partition.config.cleanup_compact
                && round.sources.iter().skip(round.scan.source.min(round.group)).all(|source| {
                    let segment = partition.segment(source.base);
                    segment.is_some_and(|segment| segment.generation == source.generation)
                })
        });
        if is_as_it_was { Ok(()) } else { Err(GivenUp::ForNow) }
    }

    fn read_for_cleaner(&mut self, round: &mut Round) -> Result<(), GivenUp> {
        let Some((base, positions)) = round.scan.next_window(&round.sources) else { return Ok(()) };
        if self.lacks_index(round, base) {
            self.load_index_for_cleaner(round, base, false);
            return Ok(());
        }
        let length = usize::try_from(positions.end - positions.start).unwrap_or(usize::MAX);
        if length > self.arena.capacity() / 2 {
            return Err(GivenUp::Damaged);
        }
        let Some(block) = self.arena.allocate(length) else { return Ok(()) };
        let Some(file) = self.segment_file(round.slot, base) else { return Err(GivenUp::ForNow) };
        let position = positions.start;
        let class = DiskClass::Background;
        self.issue_for_cleaner(round, DiskOp::Read { file, position, block, length, class });
        Ok(())
    }

    fn write_for_cleaner(
        &mut self,
        round: &mut Round,
        file: crate::disk::FileId,
        position: u64,
        data: Bytes,
    ) {
        self.metrics.cleaner_written_bytes += data.len() as u64;
        let (data, class) = (vec![data], DiskClass::Background);
        let write = DiskOp::Write { file, position, data, durable: false, class };
        self.issue_for_cleaner(round, write);
    }

    fn issue_for_cleaner(&mut self, round: &mut Round, request: DiskOp) {
        round.is_busy = true;
        if let Some(partition) = self.partition_mut(round.slot) {
            partition.operations += 1;
        }
        self.issue(request, Pending::Cleaner { slot: round.slot });
    }

    /// The cleaner's operation is over.
    pub(super) fn on_cleaner(&mut self, slot: Slot, result: Result<DiskOutput, FileSystemError>) {
        if result.as_ref().is_err_and(|error| *error == FileSystemError::Stopped) {
            return;
        }
        let mut round = self.cleaner.round.take().expect("the operation belongs to a round");
        assert!(round.is_busy && round.slot == slot, "one operation at a time");
        round.is_busy = false;
        let outcome = match round.stage {
            Stage::Mapping | Stage::Rewriting => self.on_cleaner_transfer(&mut round, result),
            Stage::Preparing => {
                result.map_err(|error| self.cleaner_failure(&round, error)).map(|_| {
                    round.stage = Stage::Rewriting;
                    true
                })
            }
            Stage::Sealing | Stage::Committing | Stage::Switching | Stage::Settling => {
                self.on_cleaner_job(&mut round, result.map(|_| ()))
            }
        };
        let outcome = match outcome {
            Ok(true) if !round.is_busy => self.clean_on(&mut round),
            outcome => outcome,
        };
        match outcome {
            Ok(true) => self.cleaner.round = Some(round),
            Ok(false) => self.end_round(),
            Err(reason) => self.give_up_round(&round, reason),
        }
        self.remove_deleted_segments(slot);
        self.end_operation(slot);
    }

    fn on_cleaner_transfer(
        &mut self,
        round: &mut Round,
        result: Result<DiskOutput, FileSystemError>,
    ) -> Result<bool, GivenUp> {
        match result {
            Ok(DiskOutput::Read { block, length }) => {
                self.check_round(round)?;
                self.metrics.cleaner_read_bytes += length as u64;
                let window = block.freeze(length);
                self.look_at_window(round, &window).map(|()| true)
            }
            Ok(DiskOutput::Done(output)) => self.on_index_for_cleaner(round, &output.files),
            Ok(DiskOutput::Written) => Ok(true),
            // A read that fails concerns its reader alone; a write ends the directory.
            Err(error) if round.is_writing() => Err(self.cleaner_failure(round, error)),
            Err(_) => Err(GivenUp::Damaged),
        }
    }

    /// The batches that are whole in the window.
    fn look_at_window(&mut self, round: &mut Round, window: &Bytes) -> Result<(), GivenUp> {
        let partition = self.partition(round.slot).ok_or(GivenUp::ForNow)?;
        let interval_bytes = partition.config.index_interval_bytes;
        let delete_retention_ms = partition.config.compaction.delete_retention_ms;
        let end = round.end();
        let is_mapping = round.stage == Stage::Mapping;
        let index = round.index.as_ref().map(|index| &index.1);
        let mut walk = round.scan.walk(&round.sources, window, index);
        while let Some(batch) = walk.next_batch().map_err(|_| GivenUp::Damaged)? {
            if is_mapping {
                let noted = note_keys(&batch, round.first_dirty, &round.hasher, &mut round.map);
                if let KeysNoted::Below(covered) = noted {
                    round.covered = covered;
                    let last = walk.source();
                    round.sources.truncate(last + 1);
                    self.begin_group(round);
                    return Ok(());
                }
                continue;
            }
            let output = round.output.as_mut().expect("a group has a file");
            let header = batch.header;
            let next = header.next_offset();
            let rules = CleanRules {
                map: &round.map,
                hasher: &round.hasher,
                covered: round.covered,
                now_ms: round.now_ms,
                delete_retention_ms,
                must_stay: next == end || partition.producers.is_newest_batch(&header),
            };
            let fits = match clean_batch(&batch, &rules) {
                CleanedBatch::Dropped => true,
                CleanedBatch::Unchanged => output.push(batch.bytes, interval_bytes),
                CleanedBatch::Rewritten(bytes) => output.push(&bytes, interval_bytes),
            };
            if !fits {
                return Err(GivenUp::Damaged);
            }
        }
        round.scan = walk.scan();
        Ok(())
    }

    /// A group that is read takes the next segment in, too, while the new one stays within its bounds.
    fn grow_group(&self, round: &mut Round) {
        let Some(partition) = self.partition(round.slot) else { return };
        let output = round.output.as_ref().expect("a group has a file");
        if round.scan.source >= round.group
            && let Some(next) = round.sources.get(round.group)
            && choice::takes(output, next, &partition.config)
        {
            round.group += 1;
        }
    }

    /// The round came to its end; the next one begins soon if there is more to do.
    fn end_round(&mut self) {
        self.metrics.cleaner_last_round_ms = Some(self.now.wall.0);
    }

    fn give_up_round(&mut self, round: &Round, reason: GivenUp) {
        if reason == GivenUp::Damaged {
            self.metrics.cleaner_failures += 1;
            self.cleaner.uncleanable.insert(round.id);
            self.metrics.cleaner_uncleanable = self.cleaner.uncleanable.len() as u64;
        }
        self.discard_output(round);
    }

    /// The partition in the slot is gone: so is a round that has nothing under way.
    pub(super) fn forget_cleaning(&mut self, slot: Slot, id: PartitionId) {
        self.cleaner.forget(id);
        self.metrics.cleaner_uncleanable = self.cleaner.uncleanable.len() as u64;
        let is_of_it = |round: &mut Round| round.slot == slot && round.id == id && !round.is_busy;
        if let Some(round) = self.cleaner.round.take_if(is_of_it)
            && let Some(output) = round.output
        {
            self.unbind(output.file);
        }
    }
}

impl Round {
    /// The operation that is over was a write.
    fn is_writing(&self) -> bool {
        self.output.as_ref().is_some_and(Output::is_writing)
    }
}

/// What is read or written at once.
const WINDOW: u64 = CLEANER_WINDOW_BYTES as u64;
const BLOCK: u64 = BLOCK_BYTES as u64;
