//! Every batch of every partition, as a node would have it after its recovery.

use std::path::Path;

use engine::disk::FileSystem;
use engine::partition::cleaner_checkpoint;
use engine::partition::epochs::EpochHistory;
use engine::partition::index::segment_path;
use engine::recovery::{RecoveredPartition, Suspicion};
use protocol::{LeaderEpoch, Offset};

use super::indexes::IndexCheck;
use super::journals::JournalFacts;
use super::report::Report;
use crate::cli::segment_walk::{SegmentWalk, StoredBatch};
use crate::cli::stored_files::file_error;

/// Checks one partition, or `only` the segment that begins there. `root` is the data directory's path, for messages.
pub(super) fn check(
    root: &Path,
    fs: &dyn FileSystem,
    partition: &RecoveredPartition,
    facts: &JournalFacts,
    only: Option<Offset>,
    report: &mut Report,
) {
    report.partitions += 1;
    if let Some(suspicion) = &partition.suspicion {
        let hurts = lost(partition, facts);
        let directory = root.join(&partition.directory.path);
        report.damage(&directory, None, suspicion.to_string(), hurts);
    }
    let mut check = LogCheck {
        root,
        fs,
        partition: Some(partition),
        directory: &partition.directory.path,
        cleaned: partition.cleaner.cleaned,
        expected: None,
        epoch: None,
    };
    let segments = segments(partition);
    let last = segments.last().map(|(base, _)| *base);
    for (base, length) in segments {
        if only.is_none_or(|only| only == base) {
            check.segment(base, Some(length), report);
        }
    }
    if partition.suspicion.is_none() && (only.is_none() || only == last) {
        check.end(facts, report);
    }
}

/// Checks segments of which nothing is known but their files.
pub(super) fn check_files(
    root: &Path,
    fs: &dyn FileSystem,
    directory: &Path,
    bases: &[Offset],
    report: &mut Report,
) {
    report.partitions += 1;
    let (expected, epoch) = (None, None);
    let cleaned = cleaner_checkpoint::read(fs, directory).cleaned;
    let mut check = LogCheck { root, fs, partition: None, directory, cleaned, expected, epoch };
    for base in bases {
        check.segment(*base, None, report);
    }
}

/// Bases of segments whose indexes are missing or damaged.
pub(super) fn damaged_indexes(
    root: &Path,
    fs: &dyn FileSystem,
    partition: &RecoveredPartition,
    facts: &JournalFacts,
) -> Vec<Offset> {
    let mut report = Report::default();
    check(root, fs, partition, facts, None, &mut report);
    let bases = segments(partition).into_iter().map(|(base, _)| base);
    let is_damaged = |base: &Offset| {
        ["index", "timeindex"].iter().any(|extension| {
            let path = root.join(segment_path(&partition.directory.path, *base, extension));
            report.damages.iter().any(|damage| damage.file == path)
                || report.notes.iter().any(|note| note.file == path)
        })
    };
    bases.filter(is_damaged).collect()
}

/// All segments, oldest first: (base, length).
pub(super) fn segments(partition: &RecoveredPartition) -> Vec<(Offset, u64)> {
    let active = partition.active.as_ref().map(|active| (active.base, active.length));
    partition.finished.iter().copied().chain(active).collect()
}

/// What a suspect partition lacks.
fn lost(partition: &RecoveredPartition, facts: &JournalFacts) -> String {
    let name = partition.directory.path.display();
    let end = partition.end.offset;
    let reached = facts.end_of(partition.id).unwrap_or_default().max(partition.reached);
    let lost = match partition.missing_below {
        Some(below) => match partition.suspicion {
            Some(Suspicion::Missing { acknowledged, .. }) => {
                format!("offsets {acknowledged} to {} are missing", below.0 - 1)
            }
            _ => format!("offsets below {below} are missing"),
        },
        None if reached > end => format!("offsets {end} to {} are missing", reached.0 - 1),
        None => format!("acknowledged records from offset {end} on may be missing"),
    };
    format!("{name}: {lost}; it is read-only until `corelane verify --accept-loss`")
}

struct LogCheck<'a> {
    root: &'a Path,
    fs: &'a dyn FileSystem,
    /// `None`: only the files are known.
    partition: Option<&'a RecoveredPartition>,
    directory: &'a Path,
    /// What begins below it may lack offsets before: the log was compacted up to there.
    cleaned: Offset,
    /// Offset that the next batch must begin with.
    expected: Option<Offset>,
    /// Of the batch before.
    epoch: Option<LeaderEpoch>,
}

impl LogCheck<'_> {
    fn segment(&mut self, base: Offset, length: Option<u64>, report: &mut Report) {
        let path = segment_path(self.directory, base, "log");
        let shown = self.root.join(&path);
        let name = self.directory.display();
        if let Some(expected) = self.expected.filter(|expected| !self.follows(*expected, base)) {
            let what = format!("the segment before ends at offset {expected}");
            let hurts = match expected < base {
                true => format!("{name}: offsets {expected} to {} are missing", base.0 - 1),
                false => format!("{name}: offsets from {base} on are there twice"),
            };
            report.damage(&shown, None, what, hurts);
        }
        self.expected = Some(base);
        report.files += 1;
        let walk = SegmentWalk::new(self.fs, &path, 0);
        let mut walk = match walk {
            Ok(walk) => walk.until(length.unwrap_or(u64::MAX)),
            Err(error) => {
                let hurts = format!("{name}: everything from offset {base} to the next segment");
                report.damage(&shown, None, file_error(&error), hurts);
                return;
            }
        };
        let is_finished = self.partition.is_some_and(|partition| {
            partition.finished.iter().any(|finished| finished.0 == base && finished.1 > 0)
        });
        let mut indexes =
            IndexCheck::new(self.root, self.fs, self.directory, base, is_finished, report);
        let whole = loop {
            match walk.next_batch() {
                Ok(Some(batch)) => {
                    report.advanced(batch.bytes.len() as u64);
                    report.batches += 1;
                    report.records += u64::from(batch.header.record_count.unsigned_abs());
                    self.batch(&shown, &batch, report);
                    indexes.batch(&batch);
                }
                Ok(None) => break true,
                Err(damage) => {
                    let hurts = self.rest_of(base);
                    report.damage(&shown, Some(damage.position()), damage.to_string(), hurts);
                    // The offsets behind it are hurt by this damage, not by one of their own.
                    self.expected = None;
                    break false;
                }
            }
        };
        if whole {
            indexes.finish(report);
            if let Some(length) = length.filter(|length| walk.position() < *length) {
                let what = format!("zeros from here to {length}, where batches must be");
                report.damage(&shown, Some(walk.position()), what, self.rest_of(base));
                self.expected = None;
            }
        }
    }

    fn batch(&mut self, file: &Path, batch: &StoredBatch, report: &mut Report) {
        let header = &batch.header;
        let name = self.directory.display();
        let mut expected = self.expected.unwrap_or(header.base_offset);
        if self.follows(expected, header.base_offset) {
            expected = header.base_offset;
        }
        let delta = i64::from(header.last_offset_delta);
        let hurts = format!("{name}: offsets {expected} to {}", expected.0.saturating_add(delta));
        let at = Some(batch.position);
        if !batch.crc_is_valid {
            report.damage(file, at, "the batch's CRC does not match", hurts);
        } else if header.base_offset != expected {
            let what = format!(
                "the batch begins with offset {} instead of {expected}",
                header.base_offset
            );
            report.damage(file, at, what, hurts);
        } else if let Some(what) = self.wrong_epoch(header.partition_leader_epoch, expected) {
            report.damage(file, at, what, hurts);
        }
        self.epoch = self.epoch.max(Some(header.partition_leader_epoch));
        self.expected = Some(Offset(expected.0.saturating_add(delta).saturating_add(1)));
    }

    /// Whether what begins at `base` may follow where `expected` is due.
    fn follows(&self, expected: Offset, base: Offset) -> bool {
        expected == base || (expected < base && base <= self.cleaned)
    }

    fn wrong_epoch(&self, epoch: LeaderEpoch, offset: Offset) -> Option<String> {
        if let Some(partition) = self.partition {
            let known =
                partition.epochs.epoch_at(offset).filter(|_| is_known(&partition.epochs, offset));
            if known.is_some_and(|known| known != epoch) || epoch > partition.leader_epoch {
                let known = known.unwrap_or(partition.leader_epoch);
                return Some(format!("the batch says leader epoch {epoch} instead of {known}"));
            }
        }
        let before = self.epoch.filter(|before| *before > epoch)?;
        Some(format!("the batch says leader epoch {epoch} behind one of epoch {before}"))
    }

    /// What is hurt where no batch can be read any more in the segment at `base`.
    fn rest_of(&self, base: Offset) -> String {
        let name = self.directory.display();
        let from = self.expected.unwrap_or(base);
        let known = self.partition.map(|partition| (segments(partition), partition.end.offset));
        let next = known.map(|(segments, end)| {
            segments.iter().map(|(base, _)| *base).find(|next| *next > base).unwrap_or(end)
        });
        match next {
            Some(next) if next > from => format!("{name}: offsets {from} to {}", next.0 - 1),
            _ => format!("{name}: offsets from {from} to the end of the segment"),
        }
    }

    /// The log must end where recovery says, and hold nothing behind it that nobody speaks of.
    fn end(&self, facts: &JournalFacts, report: &mut Report) {
        let Some(partition) = self.partition else { return };
        let name = self.directory.display();
        let end = partition.end.offset;
        let path = segment_path(self.directory, partition.end.segment, "log");
        let shown = self.root.join(&path);
        if let Some(expected) = self.expected.filter(|expected| *expected != end) {
            let what = format!("the last batch ends at offset {expected}, the log at {end}");
            let (from, to) = (expected.min(end), expected.max(end));
            report.damage(&shown, None, what, format!("{name}: offsets {from} to {}", to.0 - 1));
        }
        let position = partition.end.position;
        let Ok(mut behind) = SegmentWalk::new(self.fs, &path, position) else { return };
        match behind.next_batch() {
            Ok(None) => {}
            Ok(Some(_)) | Err(_) if facts.end_of(partition.id).is_some() => {
                let what = format!(
                    "unacknowledged bytes behind the log end at {position}; the next start writes over them"
                );
                report.note(&shown, what);
            }
            Ok(Some(_)) | Err(_) => {
                let what = "it holds bytes that no journal speaks of";
                let hurts = format!("{name}: offsets from {end} on are not served");
                report.damage(&shown, Some(position), what, hurts);
            }
        }
    }
}

/// Whether the history reaches down to this offset: older epochs may have been forgotten.
fn is_known(epochs: &EpochHistory, offset: Offset) -> bool {
    epochs.pairs().first().is_some_and(|(_, start)| *start <= offset)
}
