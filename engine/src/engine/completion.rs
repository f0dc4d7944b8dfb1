//! Completions of disk operations find their way back to what they were for.

use std::ops::Range;
use std::path::PathBuf;

use protocol::Offset;

use super::reads::ReadOperation;
use super::{Engine, Notice, Slot};
use crate::PartitionId;
use crate::disk::{DirId, DiskEvent, DiskOutput, FileId};
use crate::partition::segment::SegmentState;
use crate::request::{EngineEvent, Token};

/// What an operation in flight is for.
#[derive(Debug)]
pub(super) enum Pending {
    Group,
    DirectRun {
        slot: Slot,
        base: Offset,
        blocks: Range<u64>,
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
    CheckpointSync {
        dir: DirId,
    },
    PrewriteJournal {
        file: FileId,
        path: PathBuf,
        bytes: u64,
    },
    /// Nobody waits for it and its failure hurts nobody: files that nothing refers to any more go, index
    /// files are made again.
    Cleanup,
    Read(ReadOperation),
    /// A finished segment's index: from its files, or by a walk through its batches.
    LoadIndex {
        slot: Slot,
        base: Offset,
        generation: u64,
        is_walk: bool,
    },
    /// The one operation that log compaction has under way.
    Cleaner {
        slot: Slot,
    },
    CreatePartition {
        slot: Slot,
        token: Token,
    },
    RemovePartition {
        dir: DirId,
        id: PartitionId,
        token: Token,
    },
    /// The sync of everything that an orderly end completed in one directory.
    ShutdownSync {
        dir: DirId,
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
            (Pending::LoadIndex { slot, base, generation, is_walk }, result) => {
                self.on_index(slot, (base, generation), is_walk, result);
            }
            (Pending::Cleaner { slot }, result) => self.on_cleaner(slot, result),
            (pending, Ok(output)) => self.on_done(event.op, pending, output),
            (pending, Err(error)) => self.on_failed(pending, error),
        }
    }

    fn on_done(&mut self, op: crate::disk::OpId, pending: Pending, _output: DiskOutput) {
        match pending {
            Pending::Group => self.on_group_written(op),
            Pending::DirectRun { slot, base, blocks } => {
                self.on_direct_written(slot, base, &blocks, op);
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
            Pending::CheckpointSync { .. } => self.on_checkpoint_synced(false),
            Pending::PrewriteJournal { file, bytes, .. } => {
                self.preparing -= 1;
                self.journal.add_file(file, bytes);
            }
            Pending::Cleanup => {}
            Pending::CreatePartition { slot, token } => self.on_partition_created(slot, token),
            Pending::RemovePartition { id, token, .. } => {
                self.deleting.remove(&id);
                self.events.push_back(EngineEvent::Done { token, result: Ok(()) });
            }
            Pending::ShutdownSync { .. } => self.on_shutdown_synced(),
            Pending::Shutdown => self.on_shutdown_written(),
            Pending::Read(_) | Pending::LoadIndex { .. } | Pending::Cleaner { .. } => {
                unreachable!("reads and the cleaner were told apart before")
            }
        }
    }

    /// A group is durable: in sequence order, what waited for it is told.
    pub(super) fn on_group_written(&mut self, op: crate::disk::OpId) {
        let mut notices = Vec::new();
        let now = self.now_ms();
        self.journal.on_written(now, op, &mut notices);
        for notice in notices {
            self.on_notice(notice);
        }
    }

    fn on_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Appended { slot, to, submitted } => self.on_durable(slot, to, submitted),
            Notice::Control(token) => {
                self.events.push_back(EngineEvent::Done { token, result: Ok(()) });
            }
            Notice::Closed(slot) => self.on_close_durable(slot),
            Notice::Checkpoint => self.on_checkpoint_logged(),
            Notice::LogStart { slot, offset } => self.on_log_start_durable(slot, offset),
            Notice::Created { slot, token } => self.on_created_durable(slot, token),
        }
    }

    fn on_direct_written(
        &mut self,
        slot: Slot,
        base: Offset,
        blocks: &Range<u64>,
        op: crate::disk::OpId,
    ) {
        use crate::partition::RunState;
        self.direct_in_flight -= 1;
        if let Some(partition) = self.partition_mut(slot) {
            if let Some(run) =
                partition.runs.iter_mut().find(|run| run.state == RunState::Direct(op))
            {
                run.state = RunState::Written;
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
        self.note_index(slot, base);
        // The log start may have moved past it meanwhile.
        self.remove_deleted_segments(slot);
        self.end_operation(slot);
    }

    /// One operation on the partition's files is over; the last one lets a closing partition go.
    pub(super) fn end_operation(&mut self, slot: Slot) {
        let Some(partition) = self.partition_mut(slot) else { return };
        partition.operations -= 1;
        self.close_if_quiet(slot);
    }
}
