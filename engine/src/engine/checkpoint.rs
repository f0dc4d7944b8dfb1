//! Checkpoints: what is in the journal becomes durable in segments, then journal files are free again.
//!
//! ```text
//! Idle ─start─► Flushing ─all written behind─► Syncing ─synced, state saved─► Logging ─rows durable─► Idle
//! ```
//!
//! One run covers every partition with entries since the last one, and idle partitions whose
//! unfinished last block stands in a file that is to be freed: that block is logged again (a fragment).
//! A run never waits for a partition that is offline or gone.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use protocol::Offset;

use super::completion::Pending;
use super::{Engine, Notice, Slot};
use crate::PartitionId;
use crate::disk::{DirId, Step};
use crate::journal::entry::{Entry, EntryKind};
use crate::limits::{
    BLOCK_BYTES, CHECKPOINT_BYPASS_BYTES, CHECKPOINT_INTERVAL_MS, CHECKPOINT_TARGETS_A_BATCH,
    FILE_SYNCS_MAX,
};
use crate::partition::PartitionState;
use crate::partition::index::segment_path;
use crate::partition::position::LogPosition;
use crate::recovery::state_file;
use crate::request::{EngineEvent, Token};

/// One partition of a run.
#[derive(Clone, Copy, Debug)]
struct Target {
    slot: Slot,
    /// The log end when the run began; all before it becomes durable in segments, but for its last block.
    end: LogPosition,
}

/// A target that is written behind.
#[derive(Debug)]
struct Flushed {
    slot: Slot,
    /// Segments with how far they are durable once the sync is done.
    synced: Vec<(Offset, u64)>,
    /// The last block of what the run covers, as far as the run covers it: the only bytes of the
    /// partition that journal files to be freed may have alone. What came later is in newer files.
    fragment: Option<(Entry, Bytes)>,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Idle,
    Flushing {
        targets: VecDeque<Target>,
        flushed: Vec<Target>,
        state: Bytes,
    },
    Syncing {
        targets: Vec<Flushed>,
        /// Syncs under way.
        jobs: usize,
        found_no_space: bool,
    },
    Logging,
}

/// Where the shard's checkpoint stands.
#[derive(Debug, Default)]
pub(super) struct Checkpoint {
    stage: Stage,
    /// Groups below it are in files that are free once the run is done.
    release_below: u64,
    direct_bytes: u64,
    begun_ms: u64,
    /// No space for the state file: tried again then.
    retry_ms: Option<u64>,
    /// Adoptions that this run makes durable.
    adoptions: Vec<(PartitionId, Token)>,
    /// Runs that began and runs that ended; the newest run has the number of those that began.
    begun: u64,
    ended: u64,
    /// Somebody waits for a run with this number.
    wanted: u64,
}

impl Checkpoint {
    pub(super) fn note_direct(&mut self, bytes: u64) {
        self.direct_bytes += bytes;
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Idle)
    }

    pub(super) fn retry_ms(&self) -> Option<u64> {
        self.retry_ms
    }

    /// Asks for a run that begins from now on; gives its number.
    pub(super) fn want_run(&mut self) -> u64 {
        self.wanted = self.begun + 1;
        self.wanted
    }

    /// Whether somebody waits for a run that has not begun.
    pub(super) fn is_wanted(&self) -> bool {
        self.is_idle() && self.retry_ms.is_none() && self.wanted > self.begun
    }

    /// Runs that began.
    pub(super) fn runs_begun(&self) -> u64 {
        self.begun
    }

    /// Whether the run with this number, or a later one, is durable.
    pub(super) fn has_ended(&self, run: u64) -> bool {
        self.ended >= run
    }

    /// The partition in `slot` is gone (or offline); another may get the slot.
    pub(super) fn forget(&mut self, slot: Slot) {
        match &mut self.stage {
            Stage::Flushing { targets, flushed, .. } => {
                targets.retain(|target| target.slot != slot);
                flushed.retain(|target| target.slot != slot);
            }
            Stage::Syncing { targets, .. } => targets.retain(|target| target.slot != slot),
            Stage::Idle | Stage::Logging => {}
        }
    }

    /// The segment that began at `base` was taken back: the log ends at `end`, where it did before.
    pub(super) fn undo_roll(&mut self, slot: Slot, base: Offset, end: LogPosition) {
        if let Stage::Flushing { targets, flushed, .. } = &mut self.stage {
            let all = targets.iter_mut().chain(flushed.iter_mut());
            for target in all.filter(|target| target.slot == slot && target.end.segment == base) {
                target.end = end;
            }
        }
    }

    pub(super) fn take_adoptions(&mut self) -> Vec<(PartitionId, Token)> {
        std::mem::take(&mut self.adoptions)
    }
}

impl Engine {
    /// Begins a run unless one is under way.
    pub(super) fn start_checkpoint(&mut self) {
        if !self.checkpoint.is_idle() || self.journal.has_failed() {
            return;
        }
        let active_start = self.journal.active_start();
        let slots: Vec<Slot> = self.by_id.values().copied().collect();
        let mut targets = VecDeque::new();
        for slot in slots {
            let Some(partition) = self.partition_mut(slot).filter(|it| it.is_created) else {
                continue;
            };
            let fragment_is_old =
                partition.has_partial_block() && partition.partial_since < active_start;
            if (std::mem::take(&mut partition.is_dirty) || fragment_is_old)
                && partition.state != PartitionState::Offline
            {
                targets.push_back(Target { slot, end: partition.end });
            }
        }
        let state = self.encode_state();
        let adoptions = std::mem::take(&mut self.adoptions);
        self.checkpoint.adoptions.extend(adoptions);
        self.checkpoint.stage = Stage::Flushing { targets, flushed: Vec::new(), state };
        self.checkpoint.release_below = active_start;
        self.checkpoint.direct_bytes = 0;
        self.checkpoint.begun_ms = self.now_ms();
        self.checkpoint.begun += 1;
        self.metrics.checkpoints += 1;
    }

    /// Moves the run on as far as it goes without waiting.
    pub(super) fn drive_checkpoint(&mut self) {
        if self.journal.has_failed() {
            return;
        }
        if self.checkpoint.is_idle() && !self.begin_due_checkpoint() {
            return;
        }
        let Stage::Flushing { targets, flushed, .. } = &mut self.checkpoint.stage else { return };
        let (mut targets, mut flushed) = (std::mem::take(targets), std::mem::take(flushed));
        for _ in 0..targets.len().min(CHECKPOINT_TARGETS_A_BATCH) {
            let Some(target) = targets.pop_front() else { break };
            let is_full = self.write_behind_in_flight >= self.config.disk.segment_writes_in_flight;
            if !is_full {
                self.write_behind(target.slot, BLOCK_BYTES as u64);
            }
            if self.is_flushed(&target) {
                flushed.push(target);
            } else if is_full {
                // The others wait as this one does.
                targets.push_front(target);
                break;
            } else {
                targets.push_back(target);
            }
        }
        if targets.is_empty() {
            self.sync_targets(&flushed);
        } else if let Stage::Flushing { targets: waiting, flushed: done, .. } =
            &mut self.checkpoint.stage
        {
            (*waiting, *done) = (targets, flushed);
        }
    }

    /// True if a run began.
    fn begin_due_checkpoint(&mut self) -> bool {
        if self.is_completing() {
            // Its rows would state files as durable that wait for the last sync.
            return false;
        }
        let now = self.now_ms();
        if self.checkpoint.retry_ms.is_some_and(|retry| now < retry) {
            return false;
        }
        self.checkpoint.retry_ms = None;
        let is_old = now >= self.checkpoint.begun_ms + CHECKPOINT_INTERVAL_MS;
        let is_due = self.journal_wants_checkpoint()
            || !self.adoptions.is_empty()
            || self.checkpoint.wanted > self.checkpoint.begun
            || self.checkpoint.direct_bytes >= CHECKPOINT_BYPASS_BYTES
            || (is_old && self.is_any_dirty());
        if is_due {
            self.start_checkpoint();
        } else if is_old {
            // Nothing to do: all partitions are not looked at again with every batch.
            self.checkpoint.begun_ms = now;
        }
        is_due
    }

    /// The state file as of now.
    pub(super) fn encode_state(&self) -> Bytes {
        let departed = self.departed.values().map(|departed| &departed.state);
        state_file::encode(self.iter(), departed)
    }

    fn is_any_dirty(&self) -> bool {
        self.partitions.iter().flatten().any(|partition| partition.is_dirty)
    }

    fn is_flushed(&self, target: &Target) -> bool {
        let Some(partition) = self.partition(target.slot) else { return true };
        if partition.state == PartitionState::Offline || partition.is_leaving {
            return true;
        }
        if partition.durable.offset < target.end.offset {
            return false;
        }
        partition.segments.iter().all(|segment| {
            if segment.base > target.end.segment || segment.is_finished() {
                return true;
            }
            // Older segments must be finished; the one that was active, written up to its last block.
            segment.base == target.end.segment
                && segment.flushed >= target.end.position - target.end.position % BLOCK_BYTES as u64
        })
    }

    fn sync_targets(&mut self, targets: &[Target]) {
        let mut by_dir: BTreeMap<DirId, Vec<_>> = BTreeMap::new();
        let mut flushed = Vec::new();
        for target in targets {
            let Some(partition) = self.partition(target.slot) else { continue };
            if partition.state == PartitionState::Offline {
                continue;
            }
            let mut synced = Vec::new();
            let segments = partition.segments.iter();
            for segment in segments.filter(|segment| !segment.is_finished()) {
                if segment.flushed > segment.durable {
                    synced.push((segment.base, segment.flushed));
                    let path = segment_path(&partition.directory.path, segment.base, "log");
                    by_dir.entry(partition.directory.dir).or_default().push(path);
                }
            }
            let fragment = self.fragment(target);
            flushed.push(Flushed { slot: target.slot, synced, fragment });
        }
        let Stage::Flushing { state, .. } = std::mem::take(&mut self.checkpoint.stage) else {
            unreachable!("targets are synced once they are flushed");
        };
        let journal_dir = self.config.journal_dir;
        by_dir.entry(journal_dir).or_default();
        let jobs = by_dir.len();
        for (dir, paths) in by_dir {
            let mut steps: Vec<Step> = if paths.len() > FILE_SYNCS_MAX {
                vec![Step::SyncFileSystem]
            } else {
                paths.into_iter().map(Step::Sync).collect()
            };
            if dir == journal_dir {
                steps.extend(state_file::replace_steps(self.config.shard, state.clone()));
            }
            self.issue_job(dir, steps, Pending::CheckpointSync { dir });
        }
        self.checkpoint.stage = Stage::Syncing { targets: flushed, jobs, found_no_space: false };
    }

    /// The bytes that the run's end has in an unfinished block, if that block is not durable with the run and the
    /// files that have it are freed: they are logged again. Others stay where they are: a run that frees nothing
    /// takes next to nothing of the journal.
    fn fragment(&self, target: &Target) -> Option<(Entry, Bytes)> {
        let partition = self.partition(target.slot)?;
        let end = target.end;
        let start = end.position - end.position % BLOCK_BYTES as u64;
        let segment = partition.segment(end.segment)?;
        if start == end.position || segment.is_finished() || segment.flushed > start {
            return None;
        }
        let now = partition.end;
        let is_last_block = now.segment == end.segment && now.position - start < BLOCK_BYTES as u64;
        let release_below = self.checkpoint.release_below;
        let stays = (is_last_block && partition.partial_since >= release_below)
            || release_below <= self.journal.live_start();
        // A complete file came with the partition, perhaps: no journal of this shard has its last block.
        if stays && segment.complete_at != Some(segment.length) {
            return None;
        }
        let mut parts = Vec::new();
        partition.tail.slices(end.segment, start..end.position, &mut parts);
        let body = match parts.len() {
            1 => parts.swap_remove(0),
            _ => Bytes::from(parts.concat()),
        };
        let entry = Entry {
            leader_epoch: partition.leader_epoch,
            next: end.offset,
            segment: end.segment,
            position: start,
            ..Entry::new(EntryKind::Fragment, partition.id)
        };
        Some((entry, body))
    }

    /// One directory of the run is synced, has no space for it, or failed (then its partitions are out).
    pub(super) fn on_checkpoint_synced(&mut self, no_space: bool) {
        let Stage::Syncing { jobs, found_no_space, .. } = &mut self.checkpoint.stage else {
            assert!(self.journal.has_failed(), "a sync belongs to a run");
            return;
        };
        *jobs -= 1;
        *found_no_space |= no_space;
        if *jobs > 0 {
            return;
        }
        let Stage::Syncing { targets, found_no_space, .. } =
            std::mem::take(&mut self.checkpoint.stage)
        else {
            unreachable!("the stage was just looked at");
        };
        if found_no_space {
            return self.put_off_checkpoint(&targets);
        }
        for target in targets {
            let Some(partition) = self.partition_mut(target.slot) else { continue };
            for (base, to) in target.synced {
                if let Some(segment) = partition.segment_mut(base) {
                    segment.durable = segment.durable.max(to);
                }
            }
            self.log_checkpoint(target.slot, target.fragment);
        }
        let end = Entry::new(EntryKind::CheckpointEnd, PartitionId::NONE);
        self.push_control(end, Bytes::new(), Some(Notice::Checkpoint));
        self.checkpoint.stage = Stage::Logging;
    }

    /// The row of a partition, and its unfinished last block.
    fn log_checkpoint(&mut self, slot: Slot, fragment: Option<(Entry, Bytes)>) {
        if self.partition(slot).is_some_and(|partition| partition.is_leaving) {
            return;
        }
        let Some(entry) = self.checkpoint_entry(slot) else { return };
        self.push_control(entry, Bytes::new(), None);
        if let Some((entry, body)) = fragment {
            self.push_control(entry, body, None);
        }
    }

    /// All rows of the run are durable: the files before the one that was active are free.
    pub(super) fn on_checkpoint_logged(&mut self) {
        self.checkpoint.stage = Stage::Idle;
        self.checkpoint.ended = self.checkpoint.begun;
        self.journal.release_below(self.checkpoint.release_below);
        if self.journal.free_files() == 0 || !self.waiting.is_empty() {
            // The next header frees files; appends may be waiting for just that.
            let end = Entry::new(EntryKind::CheckpointEnd, PartitionId::NONE);
            self.push_control(end, Bytes::new(), None);
        }
        for (id, token) in self.checkpoint.take_adoptions() {
            let slot = self.slot(id);
            if let Some(partition) = slot.and_then(|slot| self.partition_mut(slot)) {
                partition.is_vouched = true;
            }
            self.events.push_back(EngineEvent::Done { token, result: Ok(()) });
        }
        self.remove_all_deleted_segments();
    }

    /// The run failed for lack of space: it begins again later, nothing was released.
    fn put_off_checkpoint(&mut self, targets: &[Flushed]) {
        for target in targets {
            if let Some(partition) = self.partition_mut(target.slot) {
                partition.is_dirty = true;
            }
        }
        self.adoptions.append(&mut self.checkpoint.adoptions);
        self.checkpoint.retry_ms = Some(self.now_ms() + 1_000);
        // The run that failed is run again under the same number.
        self.checkpoint.begun -= 1;
        // Deletion is what may make the room for it.
        self.remove_all_deleted_segments();
    }

    /// A run is under way or due.
    pub(super) fn checkpoint_is_idle(&self) -> bool {
        self.checkpoint.is_idle()
    }
}
