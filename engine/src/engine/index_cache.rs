//! Indexes of finished segments: loaded when somebody reads there, a bounded number kept.

use std::collections::VecDeque;

use bytes::Bytes;
use protocol::Offset;

use super::completion::Pending;
use super::reads::Read;
use super::{Engine, Slot};
use crate::disk::{DiskOutput, FileSystemError, Step};
use crate::limits::{INDEX_CACHE_BYTES_MAX, INDEX_CACHE_ENTRIES_MAX, INDEX_FILE_BYTES_MAX};
use crate::partition::index::{SegmentIndex, segment_path};

/// Which finished segments have their index in memory, and who waits for one.
#[derive(Debug, Default)]
pub(super) struct IndexCache {
    awaiting: Vec<Read>,
    /// In the order in which they came.
    loaded: VecDeque<(Slot, Offset)>,
}

impl Engine {
    /// The read goes on when the index of its segment is there.
    pub(super) fn load_index(&mut self, read: Read) {
        let is_same = |other: &Read| {
            (other.slot, other.segment, other.generation)
                == (read.slot, read.segment, read.generation)
        };
        let is_loading = self.indexes.awaiting.iter().any(is_same);
        self.indexes.awaiting.push(read);
        if !is_loading {
            self.issue_index_load(read.slot, read.segment);
        }
    }

    /// Loads a finished segment's index files.
    pub(super) fn issue_index_load(&mut self, slot: Slot, base: Offset) {
        let Some(generation) = self.generation_of(slot, base) else { return };
        let Some(partition) = self.partition_mut(slot) else { return };
        partition.operations += 1;
        let directory = partition.directory.clone();
        let file = |extension| Step::ReadFile {
            path: segment_path(&directory.path, base, extension),
            length_max: INDEX_FILE_BYTES_MAX,
        };
        let steps = vec![file("index"), file("timeindex")];
        let pending = Pending::LoadIndex { slot, base, generation, is_walk: false };
        self.issue_job(directory.dir, steps, pending);
    }

    fn generation_of(&self, slot: Slot, base: Offset) -> Option<u64> {
        Some(self.partition(slot)?.segment(base)?.generation)
    }

    /// Files that are missing (a crash came between a segment's last batch and its index) or senseless
    /// are made again: without them nobody knows how old the segment is.
    fn issue_index_walk(&mut self, slot: Slot, base: Offset) {
        let Some(generation) = self.generation_of(slot, base) else { return };
        let Some(partition) = self.partition_mut(slot) else { return };
        partition.operations += 1;
        let directory = partition.directory.clone();
        let steps = vec![Step::WalkIndex {
            directory: directory.path,
            base_offset: base.0,
            interval_bytes: partition.config.index_interval_bytes,
        }];
        let pending = Pending::LoadIndex { slot, base, generation, is_walk: true };
        self.issue_job(directory.dir, steps, pending);
    }

    /// Whole or not at all, under their names; should that fail, the next look walks again.
    fn write_index_files(&mut self, slot: Slot, base: Offset, files: [Bytes; 2]) {
        let Some(partition) = self.partition(slot) else { return };
        let directory = partition.directory.clone();
        let mut steps = Vec::new();
        for (extension, data) in ["index", "timeindex"].into_iter().zip(files) {
            let to = segment_path(&directory.path, base, extension);
            let from = to.with_extension(format!("{extension}.part"));
            steps.push(Step::WriteFile { path: from.clone(), data });
            steps.push(Step::Sync(from.clone()));
            steps.push(Step::Rename { from, to });
        }
        steps.push(Step::SyncDir(directory.path));
        self.issue_job(directory.dir, steps, Pending::Cleanup);
    }

    pub(super) fn on_index(
        &mut self,
        slot: Slot,
        (base, generation): (Offset, u64),
        is_walk: bool,
        result: Result<DiskOutput, FileSystemError>,
    ) {
        let files = match result {
            Ok(DiskOutput::Done(output)) => output.files,
            _ => Vec::new(),
        };
        if let Some(segment) =
            self.partition_mut(slot).and_then(|partition| partition.segment_mut(base))
            && segment.index.is_none()
            && segment.generation == generation
            && !segment.is_replaced
        {
            let index = match files.as_slice() {
                [Some(offsets), Some(times)] if is_walk => {
                    SegmentIndex::of_walk(offsets, times, segment.length)
                }
                [Some(offsets), Some(times)] => {
                    SegmentIndex::decode(offsets, times, segment.length)
                }
                _ => None,
            };
            if index.is_none() && !is_walk {
                self.issue_index_walk(slot, base);
                return self.end_operation(slot);
            }
            // Where a batch is damaged, reads walk through the log themselves, and tell.
            let is_made = is_walk && index.is_some();
            let index = index.unwrap_or_else(SegmentIndex::blind);
            segment.max_timestamp = segment.max_timestamp.max(index.max_timestamp());
            segment.index = Some(index);
            self.note_index(slot, base);
            if let (true, [Some(offsets), Some(times)]) = (is_made, files.as_slice()) {
                self.write_index_files(slot, base, [offsets.clone(), times.clone()]);
            }
        }
        let all = std::mem::take(&mut self.indexes.awaiting);
        let (mine, others): (Vec<Read>, Vec<Read>) = all.into_iter().partition(|read| {
            (read.slot, read.segment, read.generation) == (slot, base, generation)
        });
        self.indexes.awaiting = others;
        for read in mine {
            self.step(read);
        }
        self.end_operation(slot);
    }

    /// The index of a finished segment came into memory; those that came first go when it is too much.
    pub(super) fn note_index(&mut self, slot: Slot, base: Offset) {
        let mut indexes = std::mem::take(&mut self.indexes.loaded);
        indexes.retain(|(of, at)| {
            (*of, *at) != (slot, base) && self.finished_index_bytes(*of, *at) > 0
        });
        indexes.push_back((slot, base));
        let bytes = |(slot, base): &(Slot, Offset)| self.finished_index_bytes(*slot, *base);
        let mut total: usize = indexes.iter().map(bytes).sum();
        while indexes.len() > 1
            && (total > INDEX_CACHE_BYTES_MAX || indexes.len() > INDEX_CACHE_ENTRIES_MAX)
        {
            let Some((slot, base)) = indexes.pop_front() else { break };
            total -= self.finished_index_bytes(slot, base);
            if let Some(segment) =
                self.partition_mut(slot).and_then(|partition| partition.segment_mut(base))
                && segment.is_finished()
            {
                segment.index = None;
            }
        }
        self.indexes.loaded = indexes;
    }

    fn finished_index_bytes(&self, slot: Slot, base: Offset) -> usize {
        self.partition(slot)
            .and_then(|partition| partition.segment(base))
            .filter(|segment| segment.is_finished())
            .and_then(|segment| segment.index.as_ref())
            .map_or(0, |index| index.memory_bytes() + size_of::<SegmentIndex>())
    }
}
