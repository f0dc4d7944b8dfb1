//! Segments grow, roll, are written behind and finished.

use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;

use bytes::Bytes;
use protocol::Offset;
use protocol::record_batch::BatchHeader;

use super::append::fits_segment;
use super::completion::Pending;
use super::{Engine, Slot};
use crate::disk::{DiskClass, DiskOp, FileId, Step};
use crate::limits::{
    BLOCK_BYTES, FREE_BYTES_RESERVED, WRITE_BEHIND_BYTES_MIN, WRITE_BEHIND_BYTES_MIN_MOST,
};
use crate::partition::index::segment_path;
use crate::partition::position::LogPosition;
use crate::partition::segment::{Segment, SegmentState};
use crate::partition::{Partition, PartitionState};

impl Engine {
    /// True if the active segment has room for `bytes` more; otherwise room is on its way.
    pub(super) fn ensure_segment_room(
        &mut self,
        slot: Slot,
        header: &BatchHeader,
        bytes: u64,
    ) -> bool {
        let wall_ms = self.now.wall.0;
        let partition = self.partition_mut(slot).expect("callers hold a live slot");
        let next = partition.end.offset;
        let must_roll = partition
            .segments
            .back()
            .is_none_or(|segment| must_roll(segment, partition, header, bytes, wall_ms));
        if must_roll {
            self.roll(slot, next);
            return false;
        }
        let segment =
            partition.segments.back_mut().expect("there is a segment when none must be made");
        if segment.state == SegmentState::Creating {
            return false;
        }
        let end = segment.length + bytes;
        let fits = end <= segment.allocated;
        let may_grow = segment.allocated < partition.config.segment_bytes;
        if !segment.extending && (!fits || (may_grow && segment.is_nearly_full())) {
            self.extend(slot, end);
        }
        fits
    }

    /// Begins a new segment at `base`; the old one is sealed.
    pub(super) fn roll(&mut self, slot: Slot, base: Offset) {
        let partition = self.partition_mut(slot).expect("callers hold a live slot");
        if let Some(last) = partition.segments.back_mut() {
            if last.state == SegmentState::Creating {
                return;
            }
            if last.base == base {
                // Nothing was ever appended to it: it takes the append.
                assert!(last.length == 0, "only an empty segment begins at the log end");
                return;
            }
            if last.state == SegmentState::Active {
                last.state = SegmentState::Sealed;
            }
        }
        let mut segment = Segment::new(base);
        let size = segment.grown(1);
        partition.segments.push_back(segment);
        partition.end = LogPosition::segment_start(base);
        if partition.durable.offset == base {
            partition.durable = partition.end;
        }
        partition.operations += 1;
        let directory = partition.directory.clone();
        let log = segment_path(&directory.path, base, "log");
        let steps = vec![
            Step::RequireFree(FREE_BYTES_RESERVED),
            Step::Allocate { path: log.clone(), from: 0, to: size },
            Step::Sync(log),
            Step::SyncDir(directory.path),
        ];
        self.issue_job(directory.dir, steps, Pending::CreateSegment { slot, base, size });
        self.metrics.segments_created += 1;
        self.advance_segments(slot);
    }

    fn extend(&mut self, slot: Slot, end: u64) {
        let partition = self.partition_mut(slot).expect("callers hold a live slot");
        let directory = partition.directory.clone();
        let segment = partition.segments.back_mut().expect("the active segment is extended");
        let (base, from) = (segment.base, segment.allocated);
        // Not beyond what the segment may become, or the room would be of no use to anybody.
        let full = partition.config.segment_bytes.max(end).next_multiple_of(BLOCK_BYTES as u64);
        let to = segment.grown(end.max(from + 1)).min(full);
        segment.extending = true;
        // Whether or not anything is appended, the file will have to be cut again.
        segment.complete_at = None;
        partition.operations += 1;
        let path = segment_path(&directory.path, base, "log");
        // Not synced: a durable write into the new room brings the file's length with it, and what is written behind
        // there stays in the journal until a checkpoint has synced the file. Each sync would be a commit of the file
        // system's journal and a flush of the disk, which durable writes would wait for.
        let steps = vec![
            Step::RequireFree(FREE_BYTES_RESERVED + (to - from)),
            Step::Allocate { path, from, to },
        ];
        self.issue_job(directory.dir, steps, Pending::ExtendSegment { slot, base, to });
    }

    /// The file of a segment, bound on first use.
    pub(super) fn segment_file(&mut self, slot: Slot, base: Offset) -> Option<FileId> {
        let partition = self.partition(slot)?;
        let segment = partition.segment(base)?;
        if let Some(file) = segment.file {
            return Some(file);
        }
        let path = segment_path(&partition.directory.path, base, "log");
        let file = self.new_file(partition.directory.dir, path);
        let partition = self.partition_mut(slot)?;
        partition.segment_mut(base)?.file = Some(file);
        Some(file)
    }

    /// Writes behind what the journal vouches for, and finishes sealed segments.
    pub(super) fn advance_segments(&mut self, slot: Slot) {
        self.write_behind(slot, self.write_behind_bytes_min());
        self.finish_sealed(slot);
    }

    /// How much of a partition waits for its write: a partition's part of one journal file, so that a checkpoint finds
    /// most of it written.
    fn write_behind_bytes_min(&self) -> u64 {
        let partitions = self.by_id.len().max(1) as u64;
        let most = WRITE_BEHIND_BYTES_MIN_MOST.min(self.config.disk.segment_write_bytes);
        let least = WRITE_BEHIND_BYTES_MIN.min(most);
        (self.config.journal_file_bytes / partitions).clamp(least, most)
    }

    /// Starts write-behind operations of `slot` where at least `bytes_min` wait (sealed segments: any).
    pub(super) fn write_behind(&mut self, slot: Slot, bytes_min: u64) {
        if self.partition(slot).is_none_or(|partition| partition.state == PartitionState::Offline) {
            return;
        }
        let disk = self.config.disk;
        while self.write_behind_in_flight < disk.segment_writes_in_flight {
            let bytes_max = disk.segment_write_bytes;
            let next = self
                .partition(slot)
                .and_then(|partition| next_write(partition, bytes_min..=bytes_max));
            let Some((base, range, parts)) = next else {
                return;
            };
            let Some(file) = self.segment_file(slot, base) else { return };
            let partition = self.partition_mut(slot).expect("it was just looked at");
            partition.operations += 1;
            let segment = partition.segment_mut(base).expect("it was just looked at");
            segment.begin_write_behind(&range);
            self.write_behind_in_flight += 1;
            self.metrics.write_behind_bytes += range.end - range.start;
            let request = DiskOp::Write {
                file,
                position: range.start,
                data: parts,
                durable: false,
                class: DiskClass::WriteBehind,
            };
            self.issue(request, Pending::WriteBehind { slot, base });
        }
    }

    /// Segments that are sealed and written but for their last block get cut, indexed and synced.
    fn finish_sealed(&mut self, slot: Slot) {
        let Some(partition) = self.partition(slot) else { return };
        if partition.state == PartitionState::Offline {
            return;
        }
        let due: Vec<Offset> = partition
            .segments
            .iter()
            .filter(|segment| segment.state == SegmentState::Sealed)
            .filter(|segment| is_written(segment, partition.acknowledged_in(segment)))
            .map(|segment| segment.base)
            .collect();
        for base in due {
            self.finish_segment(slot, base);
        }
    }

    pub(super) fn finish_segment(&mut self, slot: Slot, base: Offset) {
        let segment = self.partition_mut(slot).and_then(|partition| partition.segment_mut(base));
        if segment.is_some_and(Segment::finish_if_complete) {
            return;
        }
        // Blocks that wait for a place among the write-behind operations come first: cutting the file now
        // would leave zeros where acknowledged records belong.
        let written = self.partition(slot).is_some_and(|partition| {
            let segment = partition.segment(base);
            segment.is_some_and(|segment| is_written(segment, partition.acknowledged_in(segment)))
        });
        if !written {
            return;
        }
        let Some(steps) = self.finish_steps(slot, base) else { return };
        let partition = self.partition_mut(slot).expect("its steps were just made");
        partition.operations += 1;
        let dir = partition.directory.dir;
        let segment = partition.segment_mut(base).expect("its steps were just made");
        segment.state = SegmentState::Finishing;
        self.issue_job(dir, steps, Pending::FinishSegment { slot, base });
    }

    /// Steps that write the last block, cut the file to its length and write its indexes, all durable, unless
    /// one sync for all of them comes later. `None` when there is no memory for the last block now.
    pub(super) fn finish_steps(&self, slot: Slot, base: Offset) -> Option<Vec<Step>> {
        let partition = self.partition(slot)?;
        let segment = partition.segment(base)?;
        let directory = &partition.directory.path;
        let log = segment_path(directory, base, "log");
        let mut steps = Vec::new();
        if let Some((position, data)) = self.last_block(partition, segment)? {
            steps.push(Step::Write { path: log.clone(), position, data });
        }
        steps.push(Step::SetLength { path: log.clone(), length: segment.length });
        steps.push(Step::Sync(log));
        match &segment.index {
            Some(index) if index.covered() == segment.length => {
                let (offsets, times) = index.encode();
                if self.is_synced_later() {
                    // Never a new index beside the times of an earlier end, whatever the power leaves.
                    let path = segment_path(directory, base, "timeindex");
                    steps.push(Step::RemoveFile(path));
                }
                for (extension, data) in [("index", offsets), ("timeindex", times)] {
                    let path = segment_path(directory, base, extension);
                    steps.push(Step::WriteFile { path: path.clone(), data });
                    steps.push(Step::Sync(path));
                }
            }
            _ => steps.push(Step::BuildIndex {
                directory: directory.clone(),
                base_offset: base.0,
                interval_bytes: partition.config.index_interval_bytes,
            }),
        }
        steps.push(Step::SyncDir(PathBuf::from(directory)));
        if self.is_synced_later() {
            steps.retain(|step| !matches!(step, Step::Sync(_) | Step::SyncDir(_)));
        }
        Some(steps)
    }

    /// The unfinished last block of `segment`, padded with zeros; `Some(None)` if there is none.
    #[expect(
        clippy::option_option,
        reason = "no block and no memory for one are different answers"
    )]
    fn last_block(&self, partition: &Partition, segment: &Segment) -> Option<Option<(u64, Bytes)>> {
        let start = segment.length - segment.length % BLOCK_BYTES as u64;
        if start == segment.length {
            return Some(None);
        }
        let mut block = self.arena.allocate(BLOCK_BYTES)?;
        let mut parts = Vec::new();
        partition.tail.slices(segment.base, start..segment.length, &mut parts);
        let mut at = 0;
        for part in parts {
            block[at..at + part.len()].copy_from_slice(&part);
            at += part.len();
        }
        block[at..BLOCK_BYTES].fill(0);
        Some(Some((start, block.freeze(BLOCK_BYTES))))
    }
}

fn must_roll(
    segment: &Segment,
    partition: &Partition,
    header: &BatchHeader,
    bytes: u64,
    wall_ms: i64,
) -> bool {
    if segment.state == SegmentState::Creating {
        return false;
    }
    if segment.state != SegmentState::Active {
        return true;
    }
    let config = &partition.config;
    let too_old = segment
        .first_append_ms
        .is_some_and(|first| wall_ms.saturating_sub(first) >= config.segment_ms);
    let index_full = segment
        .index
        .as_ref()
        .is_some_and(|index| index.entries() * 8 >= config.segment_index_bytes);
    segment.length > 0
        && (segment.length + bytes > config.segment_bytes
            || too_old
            || index_full
            || !fits_segment(segment.base, partition.end.offset, header))
}

/// The next blocks of the partition to write behind: so many wait at least, and so many go at once at most.
fn next_write(
    partition: &Partition,
    bytes: RangeInclusive<u64>,
) -> Option<(Offset, Range<u64>, Vec<Bytes>)> {
    for segment in &partition.segments {
        if segment.is_finished() || segment.state == SegmentState::Finishing {
            continue;
        }
        let acknowledged = partition.acknowledged_in(segment);
        let waits = acknowledged.saturating_sub(segment.flushed);
        let is_sealed = segment.state == SegmentState::Sealed;
        if waits < *bytes.start() && !is_sealed {
            continue;
        }
        if let Some(range) = segment.write_behind_range(acknowledged, *bytes.end()) {
            let parts = partition.tail.blocks(segment.base, range.clone());
            return Some((segment.base, range, parts));
        }
    }
    None
}

/// Whether everything but the last partial block is on disk.
fn is_written(segment: &Segment, acknowledged: u64) -> bool {
    let whole = segment.length - segment.length % BLOCK_BYTES as u64;
    acknowledged == segment.length
        && segment.flushed >= whole
        && segment.flushing_to.is_none()
        && !segment.has_direct_in_flight()
        && !segment.extending
}
