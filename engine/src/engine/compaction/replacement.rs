//! A cleaned segment takes the place of those it was made of: see [`cleaner_checkpoint`] for the steps on disk.
//!
//! [`cleaner_checkpoint`]: crate::partition::cleaner_checkpoint

use protocol::Offset;

use super::{BLOCK, GivenUp, Output, Round, Scan, Stage};
use crate::disk::{DiskOp, FileSystemError, Job, Step};
use crate::engine::Engine;
use crate::engine::completion::Pending;
use crate::limits::FREE_BYTES_RESERVED;
use crate::partition::cleaner_checkpoint::{CleanerCheckpoint, FILE_NAME, cleaned_paths};
use crate::partition::index::segment_path;
use crate::partition::segment::Segment;

const EXTENSIONS: [&str; 3] = ["log", "index", "timeindex"];

impl Engine {
    /// Makes the file for the next group.
    pub(super) fn begin_group(&mut self, round: &mut Round) {
        let first = round.group;
        round.group = first + 1;
        round.scan = Scan::of(first);
        let Some(partition) = self.partition(round.slot) else { return };
        let directory = partition.directory.clone();
        let generation = partition.cleaner.generation + 1;
        let base = round.sources[first].base;
        let paths = cleaned_paths(&directory.path, base, generation);
        // What is not needed is given back when the file is cut.
        let bytes: u64 = round.sources[first..].iter().map(|source| source.length).sum();
        let bound = partition.config.segment_bytes.max(round.sources[first].length);
        let room = bytes.min(bound).next_multiple_of(BLOCK).max(BLOCK);
        let mut steps: Vec<Step> = paths.iter().cloned().map(Step::RemoveFile).collect();
        steps.push(Step::RequireFree(FREE_BYTES_RESERVED + room));
        steps.push(Step::Allocate { path: paths[0].clone(), from: 0, to: room });
        let file = self.new_file(directory.dir, paths[0].clone());
        round.output = Some(Output::new(base, file, generation, paths));
        self.issue_cleaner_job(round, Stage::Preparing, steps);
    }

    fn issue_cleaner_job(&mut self, round: &mut Round, stage: Stage, steps: Vec<Step>) {
        let Some(partition) = self.partition(round.slot) else { return };
        let dir = partition.directory.dir;
        round.stage = stage;
        self.issue_for_cleaner(round, DiskOp::Job(Job { dir, steps }));
    }

    /// The group's numbers among the round's segments.
    fn group(round: &Round) -> std::ops::Range<usize> {
        let base = round.output.as_ref().expect("a group has a file").base;
        let first = round.sources.partition_point(|source| source.base < base);
        first..round.group
    }

    /// What the log will say of itself once the group is replaced.
    fn next_checkpoint(&self, round: &Round) -> Option<CleanerCheckpoint> {
        let before = self.partition(round.slot)?.cleaner;
        let output = round.output.as_ref()?;
        let end = round.sources[round.group - 1].end;
        let is_last = round.group == round.sources.len();
        let first_dirty = if is_last { round.covered } else { before.first_dirty };
        Some(CleanerCheckpoint {
            first_dirty: before.first_dirty.max(first_dirty),
            cleaned: before.cleaned.max(end),
            generation: output.generation,
            replaced: (output.base, end),
        })
    }

    /// All batches are in the file: it is cut, indexed and synced, and the word that it counts is prepared.
    pub(super) fn seal_group(&mut self, round: &mut Round) {
        let Some(checkpoint) = self.next_checkpoint(round) else { return };
        let Some(partition) = self.partition(round.slot) else { return };
        let directory = partition.directory.path.clone();
        let output = round.output.as_ref().expect("a group has a file");
        let [log, offsets, times] = output.paths.clone();
        let (offset_entries, time_entries) = output.index.encode();
        let new = directory.join(FILE_NAME).with_extension("new");
        let steps = vec![
            Step::SetLength { path: log.clone(), length: output.length },
            Step::Sync(log),
            Step::WriteFile { path: offsets.clone(), data: offset_entries },
            Step::Sync(offsets),
            Step::WriteFile { path: times.clone(), data: time_entries },
            Step::Sync(times),
            Step::WriteFile { path: new.clone(), data: checkpoint.encode() },
            Step::Sync(new),
            Step::SyncDir(directory),
        ];
        self.issue_cleaner_job(round, Stage::Sealing, steps);
    }

    /// One of the jobs of a replacement is done: the next one, or the next group. False after the last.
    pub(super) fn on_cleaner_job(
        &mut self,
        round: &mut Round,
        result: Result<(), FileSystemError>,
    ) -> Result<bool, GivenUp> {
        if let Err(error) = result {
            return Err(self.cleaner_failure(round, error));
        }
        let Some(partition) = self.partition(round.slot) else { return Err(GivenUp::ForNow) };
        if partition.state == crate::partition::PartitionState::Offline {
            self.release_group(round);
            return Err(GivenUp::ForNow);
        }
        match round.stage {
            Stage::Sealing => {
                self.check_group(round)?;
                self.commit_group(round);
            }
            Stage::Committing => self.switch_group(round),
            Stage::Switching => self.settle_group(round),
            _ => return self.next_group(round),
        }
        Ok(true)
    }

    /// Nothing of the group may have changed before it is replaced.
    fn check_group(&self, round: &Round) -> Result<(), GivenUp> {
        let partition = self.partition(round.slot).ok_or(GivenUp::ForNow)?;
        let is_as_it_was = partition.state == crate::partition::PartitionState::Open
            && round.sources[Self::group(round)].iter().all(|source| {
                let segment = partition.segment(source.base);
                segment.is_some_and(|segment| segment.generation == source.generation)
            });
        if is_as_it_was { Ok(()) } else { Err(GivenUp::ForNow) }
    }

    /// From here on the group is replaced, whatever happens.
    fn commit_group(&mut self, round: &mut Round) {
        let Some(partition) = self.partition(round.slot) else { return };
        let directory = partition.directory.path.clone();
        let to = directory.join(FILE_NAME);
        let steps =
            vec![Step::Rename { from: to.with_extension("new"), to }, Step::SyncDir(directory)];
        self.issue_cleaner_job(round, Stage::Committing, steps);
    }

    /// The new files take their names. Meanwhile nobody reads: whoever opened a file now could get either.
    fn switch_group(&mut self, round: &mut Round) {
        let checkpoint = self.next_checkpoint(round);
        let group = Self::group(round);
        let Some(partition) = self.partition_mut(round.slot) else { return };
        if let Some(checkpoint) = checkpoint {
            partition.cleaner = checkpoint;
        }
        for source in &round.sources[group] {
            if let Some(segment) = partition.segment_mut(source.base) {
                segment.is_replaced = true;
            }
        }
        let directory = partition.directory.path.clone();
        self.drop_ahead_of(round.slot);
        let output = round.output.as_ref().expect("a group has a file");
        // Never an old index beside the new log.
        let steps = switch_steps(&directory, output.base, output.generation);
        self.issue_cleaner_job(round, Stage::Switching, steps);
    }

    /// The new segment is there; those whose records it took over go.
    fn settle_group(&mut self, round: &mut Round) {
        let group = Self::group(round);
        let gone: Vec<Offset> =
            round.sources[group.clone()].iter().skip(1).map(|source| source.base).collect();
        self.install(round);
        let Some(partition) = self.partition(round.slot) else { return };
        let directory = partition.directory.path.clone();
        let mut steps: Vec<Step> = gone
            .iter()
            .flat_map(|base| {
                EXTENSIONS.map(|it| Step::RemoveFile(segment_path(&directory, *base, it)))
            })
            .collect();
        steps.push(Step::SyncDir(directory));
        self.issue_cleaner_job(round, Stage::Settling, steps);
    }

    /// The partition goes on with the new segment in the place of the old ones.
    fn install(&mut self, round: &mut Round) {
        let group = Self::group(round);
        let output = round.output.take().expect("a group has a file");
        self.unbind(output.file);
        let until = round.sources[round.group - 1].end;
        let Some(partition) = self.partition_mut(round.slot) else { return };
        let range = output.base..until;
        let mut files = Vec::new();
        let mut newest = None;
        partition.segments.retain(|segment| {
            let is_old = range.contains(&segment.base);
            if is_old {
                files.extend(segment.file);
                newest = newest.max(segment.max_timestamp);
            }
            !is_old
        });
        let mut segment = Segment::finished(output.base, output.length);
        segment.generation = output.generation;
        segment.max_timestamp = output.index.max_timestamp().or(newest);
        segment.index = Some(output.index);
        let at = partition.segments.partition_point(|other| other.base < output.base);
        partition.segments.insert(at, segment);
        let released = partition.tail.forget_segments(range);
        self.tail_bytes -= released;
        for file in files {
            self.unbind(file);
        }
        let replaced: u64 = round.sources[group].iter().map(|source| source.length).sum();
        self.metrics.cleaner_removed_bytes += replaced.saturating_sub(output.length);
        self.note_index(round.slot, output.base);
    }

    fn next_group(&mut self, round: &mut Round) -> Result<bool, GivenUp> {
        if round.group == round.sources.len() {
            return Ok(false);
        }
        self.check_round(round)?;
        self.begin_group(round);
        Ok(true)
    }

    /// An operation of the round failed: what needs room can wait, anything else ends the directory.
    pub(super) fn cleaner_failure(&mut self, round: &Round, error: FileSystemError) -> GivenUp {
        let can_wait = matches!(round.stage, Stage::Preparing | Stage::Rewriting | Stage::Sealing);
        if error == FileSystemError::NoSpace && can_wait {
            return GivenUp::ForNow;
        }
        if let Some(partition) = self.partition(round.slot) {
            let dir = partition.directory.dir;
            self.take_offline(dir, error);
        }
        self.release_group(round);
        GivenUp::ForNow
    }

    /// The directory failed: readers are told, instead of waiting for the new segment.
    fn release_group(&mut self, round: &Round) {
        let Some(partition) = self.partition_mut(round.slot) else { return };
        for segment in &mut partition.segments {
            segment.is_replaced = false;
        }
    }

    /// The files of an attempt that was given up go.
    pub(super) fn discard_output(&mut self, round: &Round) {
        let Some(output) = &round.output else { return };
        self.unbind(output.file);
        let Some(partition) = self.partition(round.slot).filter(|it| it.id == round.id) else {
            return;
        };
        if partition.state == crate::partition::PartitionState::Offline {
            return;
        }
        let dir = partition.directory.dir;
        let steps = output.paths.iter().cloned().map(Step::RemoveFile).collect();
        self.issue_job(dir, steps, Pending::Cleanup);
    }
}

/// What gives a cleaned segment its names; a start that finds it cut short does the same.
fn switch_steps(directory: &std::path::Path, base: Offset, generation: u64) -> Vec<Step> {
    let [log, offsets, times] = cleaned_paths(directory, base, generation);
    let path = |extension| segment_path(directory, base, extension);
    vec![
        Step::RemoveFile(path("index")),
        Step::RemoveFile(path("timeindex")),
        Step::Rename { from: log, to: path("log") },
        Step::Rename { from: offsets, to: path("index") },
        Step::Rename { from: times, to: path("timeindex") },
    ]
}
