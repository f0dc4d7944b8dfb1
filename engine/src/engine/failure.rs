//! Disk operations that failed: a full disk refuses what needs room and nothing else; anything else is
//! the end of a log directory.

use protocol::Offset;

use super::completion::Pending;
use super::{Engine, Notice, Slot};
use crate::disk::{DirId, FileSystemError, Step};
use crate::limits::BLOCK_BYTES;
use crate::partition::segment::SegmentState;
use crate::partition::{Closing, PartitionState};
use crate::request::{AppendError, EngineEvent, LifecycleError, Token};

impl Engine {
    /// An operation of the disk (not a read) failed.
    pub(super) fn on_failed(&mut self, pending: Pending, error: FileSystemError) {
        match pending {
            // The process is dying: nothing after this happened.
            _ if error == FileSystemError::Stopped => {}
            Pending::Cleanup => {}
            // Its directory is gone already: so much the better.
            Pending::RemovePartition { id, token, .. } if error == FileSystemError::NotFound => {
                self.deleting.remove(&id);
                self.done(token, Ok(()));
            }
            pending if error == FileSystemError::NoSpace => self.on_no_space(pending),
            pending => self.on_directory_failure(pending, error),
        }
    }

    fn on_no_space(&mut self, pending: Pending) {
        match pending {
            Pending::CreateSegment { slot, base, .. } => {
                self.undo_roll(slot, base);
                self.fail_waiting(slot, &AppendError::NoSpace);
                self.end_operation(slot);
            }
            Pending::ExtendSegment { slot, base, .. } => {
                if let Some(segment) =
                    self.partition_mut(slot).and_then(|partition| partition.segment_mut(base))
                {
                    segment.extending = false;
                    segment.reset_step();
                }
                self.fail_waiting(slot, &AppendError::NoSpace);
                self.end_operation(slot);
            }
            Pending::FinishSegment { slot, base } => self.undo_finish(slot, base),
            Pending::CheckpointSync { .. } => self.on_checkpoint_synced(true),
            Pending::PrewriteJournal { file, path, .. } => {
                // What it got is given back; the next tick tries again.
                self.preparing -= 1;
                self.unbind(file);
                let dir = self.config.journal_dir;
                self.issue_job(dir, vec![Step::RemoveFile(path)], Pending::Cleanup);
                self.refuse_without_journal();
            }
            Pending::CreatePartition { slot, token } => {
                self.forget(slot);
                self.done(token, Err(LifecycleError::NoSpace));
            }
            Pending::RemovePartition { token, .. } => {
                self.done(token, Err(LifecycleError::NoSpace));
            }
            Pending::Shutdown => self.give_up_shutdown(),
            // What it writes to was reserved: a disk that has no room for it is broken.
            pending => self.on_directory_failure(pending, FileSystemError::NoSpace),
        }
    }

    /// With a single journal file nothing can ever be freed: whoever waits is told why.
    fn refuse_without_journal(&mut self) {
        if self.journal.file_count() > 1 || self.journal_has_room(0) {
            return;
        }
        let slots: Vec<Slot> = self.waiting.iter().copied().collect();
        for slot in slots {
            self.fail_waiting(slot, &AppendError::NoSpace);
        }
    }

    /// Completing a segment found no space for its index files: tried again with the next tick.
    fn undo_finish(&mut self, slot: Slot, base: Offset) {
        if let Some(segment) =
            self.partition_mut(slot).and_then(|partition| partition.segment_mut(base))
        {
            segment.state = SegmentState::Sealed;
            // The file may be cut already: whoever goes on with it allocates again.
            segment.allocated = segment.length - segment.length % BLOCK_BYTES as u64;
        }
        self.shutdown_without(slot);
        self.end_operation(slot);
    }

    /// A roll that found no space: the old segment goes on, unless its file is complete (or about to be):
    /// then the next append tries to roll again.
    fn undo_roll(&mut self, slot: Slot, base: Offset) {
        let Some(partition) = self.partition_mut(slot) else { return };
        if partition.segments.back().is_some_and(|segment| segment.base == base) {
            partition.segments.pop_back();
        }
        let last = partition.segments.back_mut();
        let Some(last) = last.filter(|last| last.state == SegmentState::Sealed) else { return };
        last.state = SegmentState::Active;
        let (segment, position) = (last.base, last.length);
        partition.end.segment = segment;
        partition.end.position = position;
        if partition.durable.segment == base {
            partition.durable = partition.end;
        }
        let end = partition.end;
        self.checkpoint.undo_roll(slot, base, end);
    }

    /// EIO and its kin: the log directory is dead, and everything in it fails as one. A failed sync is
    /// never retried: the kernel may have dropped the dirty pages and would report success.
    fn on_directory_failure(&mut self, pending: Pending, error: FileSystemError) {
        let (mut slot, mut dir, mut token) = (None, self.config.journal_dir, None);
        match pending {
            Pending::DirectRun { slot: of, .. } => {
                self.direct_in_flight -= 1;
                slot = Some(of);
            }
            Pending::WriteBehind { slot: of, .. } => {
                self.write_behind_in_flight -= 1;
                slot = Some(of);
            }
            Pending::CreateSegment { slot: of, .. }
            | Pending::ExtendSegment { slot: of, .. }
            | Pending::FinishSegment { slot: of, .. } => slot = Some(of),
            Pending::CreatePartition { slot: of, token: waiting } => {
                (slot, token) = (Some(of), Some(waiting));
            }
            Pending::RemovePartition { dir: of, token: waiting, .. } => {
                (dir, token) = (of, Some(waiting));
            }
            Pending::CheckpointSync { dir: of } | Pending::ShutdownSync { dir: of } => dir = of,
            Pending::PrewriteJournal { .. } => self.preparing -= 1,
            Pending::Group | Pending::Shutdown | Pending::Cleanup => {}
            Pending::Read(_) | Pending::LoadIndex { .. } | Pending::Cleaner { .. } => {
                unreachable!("a failed read concerns its reader alone, and the cleaner was told")
            }
        }
        if let Some(partition) = slot.and_then(|slot| self.partition(slot)) {
            dir = partition.directory.dir;
        }
        self.take_offline(dir, error);
        if let Some(slot) = slot {
            self.end_operation(slot);
        }
        if let Some(token) = token {
            self.done(token, Err(LifecycleError::Unavailable));
        }
        if matches!(pending, Pending::CheckpointSync { .. }) {
            self.on_checkpoint_synced(false);
        }
        match pending {
            Pending::ShutdownSync { .. } if !self.journal.has_failed() => self.on_shutdown_synced(),
            Pending::ShutdownSync { .. } | Pending::Shutdown => self.give_up_shutdown(),
            _ => {}
        }
    }

    pub(super) fn take_offline(&mut self, dir: DirId, error: FileSystemError) {
        if self.stop_directory(dir) {
            self.events.push_back(EngineEvent::DirectoryFailed { dir, error });
        }
    }

    /// Another shard's operation in `dir` failed: the directory is dead for this shard, too.
    pub fn on_directory_failed(&mut self, dir: DirId) {
        self.stop_directory(dir);
    }

    /// All partitions of `dir` stop; if the shard's journal is in it, all of the shard's. True if that is news.
    fn stop_directory(&mut self, dir: DirId) -> bool {
        let journal_dies = dir == self.config.journal_dir && !self.journal.has_failed();
        let slots: Vec<Slot> = self.by_id.values().copied().collect();
        let mut is_news = journal_dies;
        for slot in slots {
            let Some(partition) = self.partition(slot) else { continue };
            if partition.directory.dir == dir || journal_dies {
                is_news |= self.take_partition_offline(slot);
            }
        }
        if journal_dies {
            self.fail_control();
        }
        is_news
    }

    /// True if it was not offline before.
    fn take_partition_offline(&mut self, slot: Slot) -> bool {
        let Some(partition) = self.partition_mut(slot) else { return false };
        let is_news = partition.state != PartitionState::Offline;
        partition.state = PartitionState::Offline;
        let lost: u64 = partition.runs.drain(..).map(|run| run.bytes()).sum();
        let closing = partition.closing.take();
        // What it did not write will not be written: nothing else would give it back.
        let held = partition.tail.memory_bytes();
        partition.tail.clear();
        self.tail_bytes -= held;
        self.unjournaled_bytes -= lost;
        self.fail_appends(slot, &AppendError::Unavailable);
        self.checkpoint.forget(slot);
        self.releasing.retain(|releasing| *releasing != slot);
        if let Some(Closing::Delete(token) | Closing::Release(token)) = closing {
            self.done(token, Err(LifecycleError::Unavailable));
        }
        is_news
    }

    /// The journal is dead: whoever waits for an entry of it hears so.
    fn fail_control(&mut self) {
        let in_flight = self.journal.fail();
        let queued: Vec<Notice> =
            self.control.drain(..).filter_map(|control| control.notice).collect();
        let mut tokens: Vec<Token> = in_flight
            .into_iter()
            .chain(queued)
            .filter_map(|notice| match notice {
                Notice::Control(token) | Notice::Created { token, .. } => Some(token),
                // Their waiters were told with their partitions.
                Notice::Appended { .. }
                | Notice::Closed(_)
                | Notice::Checkpoint
                | Notice::LogStart { .. } => None,
            })
            .collect();
        let adoptions = std::mem::take(&mut self.adoptions);
        let in_run = self.checkpoint.take_adoptions();
        tokens.extend(adoptions.into_iter().chain(in_run).map(|adoption| adoption.1));
        for token in tokens {
            self.done(token, Err(LifecycleError::Unavailable));
        }
    }

    pub(super) fn done(&mut self, token: Token, result: Result<(), LifecycleError>) {
        self.events.push_back(EngineEvent::Done { token, result });
    }
}
