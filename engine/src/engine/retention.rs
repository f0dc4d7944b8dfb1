//! Retention by time and by size: whole segments go, oldest first, and the log start moves.

use protocol::Offset;

use super::completion::Pending;
use super::{Engine, Slot};
use crate::disk::Step;
use crate::limits::{INDEX_LOADS_A_TICK, PRODUCERS_PER_SHARD_MAX};
use crate::partition::index::segment_path;
use crate::partition::producers::ProducerTable;
use crate::partition::segment::Segment;
use crate::partition::{Partition, PartitionState};

impl Engine {
    /// Looks at every partition; segments that are due go once the new log start is durable.
    pub(super) fn apply_retention(&mut self) {
        let slots: Vec<Slot> = self.by_id.values().copied().collect();
        let mut loads = INDEX_LOADS_A_TICK;
        let is_due = self.retention_check_due_ms <= self.now_ms();
        if is_due {
            self.retention_check_due_ms = self.now_ms() + self.config.retention_check_ms;
        }
        let expire_before = self.producers_expire_before();
        for slot in slots {
            let Some(partition) = self.partition_mut(slot) else { continue };
            if partition.state != PartitionState::Open {
                continue;
            }
            partition.producers.expire(expire_before);
            if loads > 0 && self.load_oldest_timestamp(slot) {
                loads -= 1;
            }
            if is_due {
                self.apply_retention_to(slot);
            }
            self.advance_segments(slot);
        }
    }

    /// Producers that were silent since before this time are forgotten: the configured time ago, or less if
    /// the shard would remember too many.
    fn producers_expire_before(&self) -> i64 {
        let expired = self.now.wall.0 - self.config.producer_expiration_ms;
        let open = self.by_id.values().filter_map(|slot| self.partition(*slot));
        let tables = open.map(|partition| &partition.producers);
        let crowded_out = ProducerTable::crowded_out_before(tables, PRODUCERS_PER_SHARD_MAX);
        crowded_out.map_or(expired, |before| before.max(expired))
    }

    fn apply_retention_to(&mut self, slot: Slot) {
        let wall_ms = self.now.wall.0;
        let Some(partition) = self.partition(slot) else { return };
        let Some(target) = retained_from(partition, wall_ms) else { return };
        if target > partition.durable.offset || !partition.is_vouched {
            return;
        }
        let is_active_due = partition.segments.back().is_some_and(|last| last.base < target);
        if is_active_due {
            // Even the newest segment is due: the log goes on in an empty one.
            let next = partition.end.offset;
            self.roll(slot, next);
        }
        self.log_start_to(slot, target);
    }

    /// The timestamps of segments found on disk are read when retention needs them, one at a time; true
    /// if one is on its way.
    fn load_oldest_timestamp(&mut self, slot: Slot) -> bool {
        let Some(partition) = self.partition(slot) else { return false };
        if partition.config.retention_ms.is_none() || !partition.config.cleanup_delete {
            return false;
        }
        let unknown = partition.segments.iter().take(1).find(|segment| {
            segment.is_finished() && segment.max_timestamp.is_none() && segment.index.is_none()
        });
        let Some(base) = unknown.map(|segment| segment.base) else { return false };
        self.issue_index_load(slot, base);
        true
    }

    /// The moved log start is durable: segments wholly below it go.
    pub(super) fn on_log_start_durable(&mut self, slot: Slot, offset: Offset) {
        let Some(partition) = self.partition_mut(slot) else { return };
        partition.log_start_durable = partition.log_start_durable.max(offset);
        self.remove_deleted_segments(slot);
    }

    /// Segments wholly below the durable log start go, as soon as nothing writes to them any more.
    pub(super) fn remove_deleted_segments(&mut self, slot: Slot) {
        let Some(partition) = self.partition_mut(slot) else { return };
        if matches!(partition.state, PartitionState::Offline | PartitionState::Suspect) {
            return;
        }
        if self.cleaner.holds_segments_of(slot) {
            // It looks here again when it is done.
            return;
        }
        self.doom_segments(slot);
        let checkpoint = &self.checkpoint;
        // Without room no run would ever end.
        let is_full = checkpoint.retry_ms().is_some();
        let may_go = |segment: &Segment| {
            is_full || segment.doomed_until.is_some_and(|run| checkpoint.has_ended(run))
        };
        let Some(partition) = self.partitions[slot.0 as usize].as_mut() else { return };
        let mut doomed = Vec::new();
        let mut files = Vec::new();
        while partition.is_below_log_start(0) && may_go(&partition.segments[0]) {
            let segment = partition.segments.pop_front().expect("there are two");
            doomed.push(segment.base);
            files.extend(segment.file);
        }
        for file in files {
            self.unbind(file);
        }
        self.remove_segments(slot, &doomed);
    }

    /// Large runs are nowhere but in their segment: before it goes a checkpoint has to save what it says of
    /// producers, or a start would forget their newest sequences.
    fn doom_segments(&mut self, slot: Slot) {
        let next_run = self.checkpoint.runs_begun() + 1;
        let Some(partition) = self.partition_mut(slot) else { return };
        let mut is_new = false;
        let mut at = 0;
        while partition.is_below_log_start(at) {
            let doomed_until = &mut partition.segments[at].doomed_until;
            is_new |= doomed_until.is_none();
            doomed_until.get_or_insert(next_run);
            at += 1;
        }
        if is_new {
            partition.is_dirty = true;
            self.checkpoint.want_run();
        }
    }

    /// A run of the checkpoint is durable: segments that waited for it go.
    pub(super) fn remove_all_deleted_segments(&mut self) {
        let slots: Vec<Slot> = self.by_id.values().copied().collect();
        for slot in slots {
            if self.partition(slot).is_some_and(|partition| partition.is_below_log_start(0)) {
                self.remove_deleted_segments(slot);
            }
        }
    }

    fn remove_segments(&mut self, slot: Slot, doomed: &[Offset]) {
        let Some(partition) = self.partition(slot) else { return };
        if doomed.is_empty() {
            return;
        }
        let directory = partition.directory.clone();
        let mut steps: Vec<Step> = doomed
            .iter()
            .flat_map(|base| {
                ["log", "index", "timeindex"].map(|extension| {
                    Step::RemoveFile(segment_path(&directory.path, *base, extension))
                })
            })
            .collect();
        steps.push(Step::SyncDir(directory.path));
        self.metrics.segments_deleted += doomed.len() as u64;
        self.issue_job(directory.dir, steps, Pending::Cleanup);
    }
}

/// The log start that retention asks for, if it is above today's.
fn retained_from(partition: &Partition, wall_ms: i64) -> Option<Offset> {
    let config = &partition.config;
    if !config.cleanup_delete {
        return None;
    }
    let mut excess =
        config.retention_bytes.map_or(0, |retained| partition.bytes().saturating_sub(retained));
    let mut from = None;
    for (at, segment) in partition.segments.iter().enumerate() {
        let next = partition.segments.get(at + 1).map(|next| next.base);
        let is_last = next.is_none();
        // Compaction left nothing of it.
        let is_void = segment.length == 0 && !is_last;
        let too_old = config.retention_ms.is_some_and(|retained| {
            segment.length > 0
                && segment
                    .max_timestamp
                    .is_some_and(|newest| newest < wall_ms.saturating_sub(retained))
        });
        // By size whole segments go as long as what is left still holds the retained bytes: the newest one only
        // where none are retained.
        let too_much = excess >= segment.length && segment.length > 0;
        if !is_void && !too_old && !too_much {
            break;
        }
        excess = excess.saturating_sub(segment.length);
        from = Some(next.unwrap_or(partition.end.offset));
    }
    from.filter(|from| *from > partition.log_start)
}
