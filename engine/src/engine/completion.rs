//! Completions of disk operations find their way back to what they were for.

use std::ops::Range;

use protocol::Offset;

use super::reads::ReadOperation;
use super::{Engine, Notice, Slot};
use crate::disk::{DirId, DiskEvent, DiskOutput, FileId, FileSystemError};
use crate::partition::segment::SegmentState;
use crate::partition::{Closing, PartitionState};
use crate::request::{AppendError, EngineEvent, LifecycleError, Token};

/// What an operation in flight is for.
#[derive(Debug)]
pub(super) enum Pending {
    Group,
    DirectRun {
        slot: Slot,
        base: Offset,
        blocks: Range<u64>,
        crc: u32,
    },
    WriteBehind {
        slot: Slot,
        base: Offset,
    },
    CreateSegment {
        slot: Slot,
        base: Offset,
        size: u64,
    },
    ExtendSegment {
        slot: Slot,
        base: Offset,
        to: u64,
    },
    FinishSegment {
        slot: Slot,
        base: Offset,
    },
    CheckpointSync,
    PrewriteJournal {
        file: FileId,
        bytes: u64,
    },
    /// Nobody waits for it: removal of files that nothing refers to any more.
    Cleanup,
    Read(ReadOperation),
    LoadIndex {
        slot: Slot,
        base: Offset,
    },
    CreatePartition {
        slot: Slot,
        token: Token,
    },
    RemovePartition {
        token: Token,
    },
    Shutdown,
}

impl Engine {
    /// One disk operation completed.
    pub fn on_disk(&mut self, event: DiskEvent) {
        let Some(pending) = self.pending.remove(&event.op) else {
            unreachable!("every completion belongs to an operation: {event:?}");
        };
        match (pending, event.result) {
            (Pending::Read(read), result) => self.on_read(read, result),
            (Pending::LoadIndex { slot, base }, result) => self.on_index(slot, base, result),
            (pending, Ok(output)) => self.on_done(event.op, pending, output),
            (pending, Err(error)) => self.on_failed(pending, error),
        }
    }

    fn on_done(&mut self, op: crate::disk::OpId, pending: Pending, _output: DiskOutput) {
        match pending {
            Pending::Group => {
                let mut notices = Vec::new();
                let now = self.now_ms();
                self.journal.on_written(now, op, &mut notices);
                for notice in notices {
                    self.on_notice(notice);
                }
            }
            Pending::DirectRun { slot, base, blocks, crc } => {
                self.on_direct_written(slot, base, &blocks, op, crc);
            }
            Pending::WriteBehind { slot, base } => {
                self.write_behind_in_flight -= 1;
                if let Some(segment) =
                    self.partition_mut(slot).and_then(|partition| partition.segment_mut(base))
                {
                    segment.end_write_behind();
                }
                self.end_operation(slot);
                self.advance_segments(slot);
                self.mark_ready(slot);
            }
            Pending::CreateSegment { slot, base, size } => {
                self.on_segment_created(slot, base, size)
            }
            Pending::ExtendSegment { slot, base, to } => {
                if let Some(segment) =
                    self.partition_mut(slot).and_then(|partition| partition.segment_mut(base))
                {
                    segment.allocated = to;
                    segment.extending = false;
                }
                self.end_operation(slot);
                self.advance_segments(slot);
            }
            Pending::FinishSegment { slot, base } => self.on_segment_finished(slot, base),
            Pending::CheckpointSync => self.on_checkpoint_synced(),
            Pending::PrewriteJournal { file, bytes } => {
                self.preparing -= 1;
                self.journal.add_file(file, bytes);
            }
            Pending::Cleanup => {}
            Pending::CreatePartition { slot, token } => self.on_partition_created(slot, token),
            Pending::RemovePartition { token } => {
                self.events.push_back(EngineEvent::Done { token, result: Ok(()) });
            }
            Pending::Shutdown => self.on_shutdown_written(),
            Pending::Read(_) | Pending::LoadIndex { .. } => {
                unreachable!("reads were told apart before")
            }
        }
    }

    fn on_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Appended { slot, to } => self.on_durable(slot, to),
            Notice::Control(token) => {
                self.events.push_back(EngineEvent::Done { token, result: Ok(()) });
            }
            Notice::Closed(slot) => self.on_close_durable(slot),
            Notice::Checkpoint => self.on_checkpoint_logged(),
            Notice::LogStart { slot } => self.on_log_start_durable(slot),
        }
    }

    fn on_direct_written(
        &mut self,
        slot: Slot,
        base: Offset,
        blocks: &Range<u64>,
        op: crate::disk::OpId,
        crc: u32,
    ) {
        use crate::partition::RunState;
        self.direct_in_flight -= 1;
        if let Some(partition) = self.partition_mut(slot) {
            if let Some(run) =
                partition.runs.iter_mut().find(|run| run.state == RunState::Direct(op))
            {
                run.state = RunState::Written { crc };
            }
            if let Some(segment) = partition.segment_mut(base) {
                segment.end_direct(blocks);
            }
        }
        self.end_operation(slot);
        self.mark_ready(slot);
    }

    fn on_segment_created(&mut self, slot: Slot, base: Offset, size: u64) {
        if let Some(segment) =
            self.partition_mut(slot).and_then(|partition| partition.segment_mut(base))
        {
            segment.allocated = size;
            segment.state = SegmentState::Active;
        }
        self.end_operation(slot);
    }

    fn on_segment_finished(&mut self, slot: Slot, base: Offset) {
        let Some(partition) = self.partition_mut(slot) else { return };
        if let Some(segment) = partition.segment_mut(base) {
            segment.state = SegmentState::Finished;
            segment.flushed = segment.length;
            segment.durable = segment.length;
        }
        partition.is_dirty = true;
        self.end_operation(slot);
    }

    /// One operation on the partition's files is over; the last one lets a closing partition go.
    pub(super) fn end_operation(&mut self, slot: Slot) {
        let Some(partition) = self.partition_mut(slot) else { return };
        partition.operations -= 1;
        self.close_if_quiet(slot);
    }

    fn on_failed(&mut self, pending: Pending, error: FileSystemError) {
        let no_space = error == FileSystemError::NoSpace;
        match pending {
            Pending::CreateSegment { slot, base, .. } if no_space => {
                self.undo_roll(slot, base);
                self.fail_waiting(slot, &AppendError::NoSpace);
                self.end_operation(slot);
            }
            Pending::ExtendSegment { slot, base, .. } if no_space => {
                if let Some(segment) =
                    self.partition_mut(slot).and_then(|partition| partition.segment_mut(base))
                {
                    segment.extending = false;
                }
                self.fail_waiting(slot, &AppendError::NoSpace);
                self.end_operation(slot);
            }
            Pending::FinishSegment { slot, base } if no_space => {
                // Tried again with the next completion or deadline that touches the partition.
                if let Some(segment) =
                    self.partition_mut(slot).and_then(|partition| partition.segment_mut(base))
                {
                    segment.state = SegmentState::Sealed;
                }
                self.end_operation(slot);
            }
            Pending::CheckpointSync if no_space => self.on_checkpoint_no_space(),
            Pending::PrewriteJournal { .. } if no_space => self.preparing -= 1,
            Pending::CreatePartition { slot, token } if no_space => {
                self.forget(slot);
                let result = Err(LifecycleError::NoSpace);
                self.events.push_back(EngineEvent::Done { token, result });
            }
            Pending::Cleanup => {}
            pending => self.on_directory_failure(&pending, error),
        }
    }

    /// A roll that found no space: the old segment goes on.
    fn undo_roll(&mut self, slot: Slot, base: Offset) {
        let Some(partition) = self.partition_mut(slot) else { return };
        if partition.segments.back().is_some_and(|segment| segment.base == base) {
            partition.segments.pop_back();
        }
        if let Some(last) = partition.segments.back_mut() {
            if last.state == SegmentState::Sealed {
                last.state = SegmentState::Active;
            }
            let (segment, position) = (last.base, last.length);
            partition.end.segment = segment;
            partition.end.position = position;
            if partition.durable.segment == base {
                partition.durable = partition.end;
            }
        }
    }

    /// EIO and its kin: the log directory is dead, and everything in it fails as one. A failed sync is
    /// never retried: the kernel may have dropped the dirty pages and would report success.
    fn on_directory_failure(&mut self, pending: &Pending, error: FileSystemError) {
        if error == FileSystemError::Stopped {
            return;
        }
        let slot = match pending {
            Pending::DirectRun { slot, .. }
            | Pending::WriteBehind { slot, .. }
            | Pending::CreateSegment { slot, .. }
            | Pending::ExtendSegment { slot, .. }
            | Pending::FinishSegment { slot, .. }
            | Pending::CreatePartition { slot, .. } => Some(*slot),
            _ => None,
        };
        let dir = slot
            .and_then(|slot| self.partition(slot))
            .map_or(self.config.journal_dir, |partition| partition.directory.dir);
        self.take_offline(dir, error);
        if let Some(slot) = slot {
            self.end_operation(slot);
        }
        if let Pending::RemovePartition { token } | Pending::CreatePartition { token, .. } = pending
        {
            let result = Err(LifecycleError::Unavailable);
            self.events.push_back(EngineEvent::Done { token: *token, result });
        }
    }

    /// All partitions of `dir` stop; if the shard's journal is in it, all of the shard's.
    pub(super) fn take_offline(&mut self, dir: DirId, error: FileSystemError) {
        let journal_died = dir == self.config.journal_dir;
        if journal_died {
            self.journal.fail();
        }
        let slots: Vec<Slot> = self.by_id.values().copied().collect();
        let mut newly = false;
        for slot in slots {
            let Some(partition) = self.partition_mut(slot) else { continue };
            if partition.directory.dir != dir && !journal_died {
                continue;
            }
            if partition.state != PartitionState::Offline {
                newly = true;
                partition.state = PartitionState::Offline;
                let lost: u64 = partition.runs.drain(..).map(|run| run.bytes()).sum();
                self.unjournaled_bytes -= lost;
                self.fail_appends(slot, &AppendError::Unavailable);
            }
            if let Some(partition) = self.partition_mut(slot)
                && let Some(Closing::Delete(token) | Closing::Release(token)) =
                    partition.closing.take()
            {
                let result = Err(LifecycleError::Unavailable);
                self.events.push_back(EngineEvent::Done { token, result });
            }
        }
        if newly || journal_died {
            self.events.push_back(EngineEvent::DirectoryFailed { dir, error });
        }
    }
}
