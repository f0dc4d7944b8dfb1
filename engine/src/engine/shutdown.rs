//! An orderly end: everything durable in segments, nothing left to recover.
//!
//! ```text
//! Running ─shut_down─► Draining ─all durable─► Completing ─files complete─► Syncing ─files durable─►
//!         WritingState ─state durable─► Stating ─rows durable─► Done
//! ```
//!
//! Few files are synced as they are completed; many, all at once by a sync of their file systems.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::completion::Pending;
use super::{Engine, Notice, Slot};
use crate::disk::{DirId, Step};
use crate::journal::entry::{Entry, EntryKind};
use crate::limits::{BLOCK_BYTES, FILE_SYNCS_MAX};
use crate::partition::PartitionState;
use crate::recovery::state_file;
use crate::request::{AppendError, LifecycleError, Token};

/// Where the orderly end stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Shutdown {
    #[default]
    Running,
    Draining(Token),
    Completing {
        token: Token,
        is_synced_at_once: bool,
    },
    Syncing {
        token: Token,
        /// Directories whose sync is under way.
        jobs: usize,
    },
    WritingState(Token),
    Stating,
}

impl Engine {
    /// Ends in order: appends are refused, `Done` comes when nothing is left to recover.
    pub fn shut_down(&mut self, token: Token) {
        if self.shutdown != Shutdown::Running {
            return;
        }
        self.shutdown = Shutdown::Draining(token);
        let slots: Vec<Slot> = self.by_id.values().copied().collect();
        for slot in slots {
            self.fail_waiting(slot, &AppendError::NotOwner);
            if let Some(partition) = self.partition_mut(slot)
                && partition.state == PartitionState::Open
            {
                partition.state = PartitionState::Closing;
            }
        }
    }

    pub(super) fn drive_shutdown(&mut self) {
        if self.journal.has_failed() {
            return self.give_up_shutdown();
        }
        if let Shutdown::Draining(token) = self.shutdown
            && self.is_drained()
        {
            let is_synced_at_once = self.unfinished_segments() > FILE_SYNCS_MAX;
            self.shutdown = Shutdown::Completing { token, is_synced_at_once };
        }
        if let Shutdown::Completing { token, is_synced_at_once } = self.shutdown
            && self.complete_all()
        {
            if is_synced_at_once {
                self.sync_directories(token);
            } else {
                self.write_last_state(token);
            }
        }
    }

    pub(super) fn shutdown_is_under_way(&self) -> bool {
        self.shutdown != Shutdown::Running
    }

    /// Whether files that are finished now wait for a sync of the file system.
    pub(super) fn is_synced_later(&self) -> bool {
        matches!(self.shutdown, Shutdown::Completing { is_synced_at_once: true, .. })
    }

    /// Whether the files are being completed: everything is in the journal, and nothing is added.
    pub(super) fn is_completing(&self) -> bool {
        matches!(self.shutdown, Shutdown::Completing { .. } | Shutdown::Syncing { .. })
    }

    fn unfinished_segments(&self) -> usize {
        let segments = self.partitions.iter().flatten().flat_map(|partition| &partition.segments);
        segments.filter(|segment| !segment.is_finished()).count()
    }

    fn sync_directories(&mut self, token: Token) {
        let partitions = self.partitions.iter().flatten();
        let dirs: BTreeSet<DirId> = partitions
            .filter(|partition| partition.state == PartitionState::Closing)
            .map(|partition| partition.directory.dir)
            .collect();
        if dirs.is_empty() {
            return self.write_last_state(token);
        }
        self.shutdown = Shutdown::Syncing { token, jobs: dirs.len() };
        for dir in dirs {
            self.issue_job(dir, vec![Step::SyncFileSystem], Pending::ShutdownSync { dir });
        }
    }

    /// The files of one directory are durable, or it failed and its partitions are out.
    pub(super) fn on_shutdown_synced(&mut self) {
        let Shutdown::Syncing { token, jobs } = &mut self.shutdown else { return };
        *jobs -= 1;
        if *jobs == 0 {
            let token = *token;
            self.write_last_state(token);
        }
    }

    fn write_last_state(&mut self, token: Token) {
        self.shutdown = Shutdown::WritingState(token);
        let state = self.encode_state();
        let steps = state_file::replace_steps(self.config.shard, state);
        self.issue_job(self.config.journal_dir, steps, Pending::Shutdown);
    }

    /// The journal or its directory failed: there will be something to recover.
    pub(super) fn give_up_shutdown(&mut self) {
        if let Shutdown::Draining(token)
        | Shutdown::Completing { token, .. }
        | Shutdown::Syncing { token, .. }
        | Shutdown::WritingState(token) = self.shutdown
        {
            self.shutdown = Shutdown::Stating;
            self.done(token, Err(LifecycleError::Unavailable));
        }
    }

    /// The partition's files cannot be completed, for lack of space: the journal keeps what they miss.
    pub(super) fn shutdown_without(&mut self, slot: Slot) {
        if matches!(self.shutdown, Shutdown::Completing { .. }) {
            self.incomplete.insert(slot);
        }
    }

    /// Everything appended is acknowledged, and no checkpoint is half done.
    fn is_drained(&self) -> bool {
        self.unjournaled_bytes == 0
            && self.control.is_empty()
            && self.journal.is_idle()
            && self.checkpoint_is_idle()
            && self.releasing.is_empty()
    }

    /// Completes the files of all partitions; true when that is done.
    fn complete_all(&mut self) -> bool {
        let slots: Vec<Slot> = self.by_id.values().copied().collect();
        let mut is_complete = true;
        for slot in slots {
            is_complete &= self.complete(slot);
        }
        is_complete
    }

    fn complete(&mut self, slot: Slot) -> bool {
        let Some(partition) = self.partition(slot) else { return true };
        if partition.state != PartitionState::Closing || self.incomplete.contains(&slot) {
            return true;
        }
        let unfinished = partition.segments.iter().find(|segment| !segment.is_finished());
        let Some(base) = unfinished.map(|segment| segment.base) else {
            return partition.operations == 0;
        };
        self.write_behind(slot, BLOCK_BYTES as u64);
        let is_quiet = self.partition(slot).is_some_and(|partition| partition.operations == 0);
        if is_quiet {
            self.finish_segment(slot, base);
        }
        false
    }

    /// The state file is durable: the last rows say that nothing is left to recover.
    pub(super) fn on_shutdown_written(&mut self) {
        let Shutdown::WritingState(token) = self.shutdown else { return };
        self.shutdown = Shutdown::Stating;
        let slots: Vec<Slot> = self.by_id.values().copied().collect();
        for slot in slots {
            if self.partition(slot).is_some_and(|it| it.state == PartitionState::Offline) {
                // The sync of its files failed: what they hold is not known.
                continue;
            }
            if let Some(entry) = self.checkpoint_entry(slot) {
                self.push_control(entry, Bytes::new(), None);
            }
        }
        let end = Entry::new(EntryKind::CheckpointEnd, crate::PartitionId::NONE);
        self.push_control(end, Bytes::new(), Some(Notice::Control(token)));
    }
}
