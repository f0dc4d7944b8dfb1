//! Checkpoints: what is in the journal becomes durable in segments, then journal files are free again.
//!
//! ```text
//! Idle ─start─► Flushing ─all written behind─► Syncing ─synced, state saved─► Logging ─rows durable─► Idle
//! ```
//!
//! One run covers every partition with entries since the last one, and idle partitions whose
//! unfinished last block stands in a file that is to be freed: that block is logged again (a fragment).

use bytes::Bytes;
use protocol::Offset;

use super::completion::Pending;
use super::{Engine, Notice, Slot};
use crate::disk::Step;
use crate::journal::entry::{Entry, EntryKind};
use crate::limits::{
    BLOCK_BYTES, CHECKPOINT_BYPASS_BYTES, CHECKPOINT_FILE_SYNCS_MAX, CHECKPOINT_INTERVAL_MS,
};
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

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Idle,
    Flushing {
        targets: Vec<Target>,
        state: Bytes,
    },
    Syncing {
        targets: Vec<Target>,
        /// Segments with how far they are durable once the sync is done.
        synced: Vec<(Slot, Offset, u64)>,
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
    rows_due: usize,
    /// Adoptions that this run makes durable.
    adoptions: Vec<Token>,
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
}

impl Engine {
    /// Begins a run unless one is under way.
    pub(super) fn start_checkpoint(&mut self) {
        if !self.checkpoint.is_idle() || self.journal.has_failed() {
            return;
        }
        let active_start = self.journal.active_start();
        let slots: Vec<Slot> = self.by_id.values().copied().collect();
        let mut targets = Vec::new();
        for slot in slots {
            let Some(partition) = self.partition_mut(slot) else { continue };
            let fragment_is_old =
                partition.partial_bytes() > 0 && partition.partial_since < active_start;
            if std::mem::take(&mut partition.is_dirty) || fragment_is_old {
                targets.push(Target { slot, end: partition.end });
            }
        }
        let state = state_file::encode(self.iter(), self.departed.values());
        let adoptions = std::mem::take(&mut self.adoptions);
        self.checkpoint.adoptions.extend(adoptions);
        self.checkpoint.stage = Stage::Flushing { targets, state };
        self.checkpoint.release_below = active_start;
        self.checkpoint.direct_bytes = 0;
        self.checkpoint.begun_ms = self.now_ms();
        self.metrics.checkpoints += 1;
    }

    /// Moves the run on as far as it goes without waiting.
    pub(super) fn drive_checkpoint(&mut self) {
        let now = self.now_ms();
        if self.checkpoint.is_idle() {
            let is_due = self.journal.full_files() > 0
                || !self.adoptions.is_empty()
                || self.checkpoint.direct_bytes >= CHECKPOINT_BYPASS_BYTES
                || (now >= self.checkpoint.begun_ms + CHECKPOINT_INTERVAL_MS
                    && self.is_any_dirty());
            if !is_due || self.checkpoint.retry_ms.is_some_and(|retry| now < retry) {
                return;
            }
            self.checkpoint.retry_ms = None;
            self.start_checkpoint();
        }
        let Stage::Flushing { targets, state } = &mut self.checkpoint.stage else { return };
        let (targets, state) = (std::mem::take(targets), state.clone());
        for target in &targets {
            self.write_behind(target.slot, BLOCK_BYTES as u64);
        }
        if targets.iter().all(|target| self.is_flushed(target)) {
            self.sync_targets(targets, state);
        } else {
            self.checkpoint.stage = Stage::Flushing { targets, state };
        }
    }

    fn is_any_dirty(&self) -> bool {
        self.partitions.iter().flatten().any(|partition| partition.is_dirty)
    }

    fn is_flushed(&self, target: &Target) -> bool {
        let Some(partition) = self.partition(target.slot) else { return true };
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

    fn sync_targets(&mut self, targets: Vec<Target>, state: Bytes) {
        let mut synced = Vec::new();
        let mut by_dir: std::collections::BTreeMap<_, Vec<_>> = std::collections::BTreeMap::new();
        for target in &targets {
            let Some(partition) = self.partition(target.slot) else { continue };
            let segments = partition.segments.iter();
            for segment in segments.filter(|segment| !segment.is_finished()) {
                if segment.flushed > segment.durable {
                    synced.push((target.slot, segment.base, segment.flushed));
                    let path = segment_path(&partition.directory.path, segment.base, "log");
                    by_dir.entry(partition.directory.dir).or_default().push(path);
                }
            }
        }
        let journal_dir = self.config.journal_dir;
        by_dir.entry(journal_dir).or_default();
        // The state file goes last, in the journal's directory; other directories are synced before it.
        let mut dirs: Vec<_> = by_dir.into_iter().collect();
        dirs.sort_by_key(|(dir, _)| *dir == journal_dir);
        let count = dirs.len();
        for (dir, paths) in dirs {
            let mut steps: Vec<Step> = if paths.len() > CHECKPOINT_FILE_SYNCS_MAX {
                vec![Step::SyncFileSystem]
            } else {
                paths.into_iter().map(Step::Sync).collect()
            };
            if dir == journal_dir {
                steps.extend(state_file::replace_steps(self.config.shard, state.clone()));
            }
            self.issue_job(dir, steps, Pending::CheckpointSync);
        }
        self.checkpoint.rows_due = count;
        self.checkpoint.stage = Stage::Syncing { targets, synced };
    }

    /// One directory of the run is synced.
    pub(super) fn on_checkpoint_synced(&mut self) {
        self.checkpoint.rows_due -= 1;
        if self.checkpoint.rows_due > 0 {
            return;
        }
        let Stage::Syncing { targets, synced } = std::mem::take(&mut self.checkpoint.stage) else {
            unreachable!("a sync belongs to a run");
        };
        for (slot, base, to) in synced {
            if let Some(segment) =
                self.partition_mut(slot).and_then(|partition| partition.segment_mut(base))
            {
                segment.durable = segment.durable.max(to);
            }
        }
        for target in &targets {
            self.log_checkpoint(target.slot);
        }
        let end = Entry::new(EntryKind::CheckpointEnd, crate::PartitionId::NONE);
        self.push_control(end, Bytes::new(), Some(Notice::Checkpoint));
        self.checkpoint.stage = Stage::Logging;
    }

    /// The row of a partition, and its unfinished last block.
    fn log_checkpoint(&mut self, slot: Slot) {
        let Some(entry) = self.checkpoint_entry(slot) else { return };
        self.push_control(entry, Bytes::new(), None);
        if let Some((entry, body)) = self.fragment(slot) {
            self.push_control(entry, body, None);
        }
    }

    /// The journal entry with the bytes of the last block that is acknowledged and not full.
    pub(super) fn fragment(&self, slot: Slot) -> Option<(Entry, Bytes)> {
        let partition = self.partition(slot)?;
        let at = partition.durable;
        let start = at.position - at.position % BLOCK_BYTES as u64;
        let segment = partition.segment(at.segment)?;
        if start == at.position || segment.is_finished() {
            return None;
        }
        let mut parts = Vec::new();
        partition.tail.slices(at.segment, start..at.position, &mut parts);
        let body = match parts.len() {
            1 => parts.swap_remove(0),
            _ => Bytes::from(parts.concat()),
        };
        let entry = Entry {
            leader_epoch: partition.leader_epoch,
            next: at.offset,
            segment: at.segment,
            position: start,
            ..Entry::new(EntryKind::Fragment, partition.id)
        };
        Some((entry, body))
    }

    /// All rows of the run are durable: the files before the one that was active are free.
    pub(super) fn on_checkpoint_logged(&mut self) {
        self.checkpoint.stage = Stage::Idle;
        self.journal.release_below(self.checkpoint.release_below);
        for token in std::mem::take(&mut self.checkpoint.adoptions) {
            self.events.push_back(EngineEvent::Done { token, result: Ok(()) });
        }
    }

    /// The run failed for lack of space: it begins again later, nothing was released.
    pub(super) fn on_checkpoint_no_space(&mut self) {
        if let Stage::Syncing { targets, .. } = std::mem::take(&mut self.checkpoint.stage) {
            for target in targets {
                if let Some(partition) = self.partition_mut(target.slot) {
                    partition.is_dirty = true;
                }
            }
        }
        self.checkpoint.retry_ms = Some(self.now_ms() + 1_000);
    }

    /// A run is under way or due.
    pub(super) fn checkpoint_is_idle(&self) -> bool {
        self.checkpoint.is_idle()
    }
}
