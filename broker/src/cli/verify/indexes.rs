//! Index files against the batches that they are derived from.

use std::path::Path;

use engine::disk::FileSystem;
use engine::disk::job::read_file;
use engine::limits::INDEX_FILE_BYTES_MAX;
use engine::partition::index::segment_path;
use protocol::Offset;

use super::report::Report;
use crate::cli::segment_walk::StoredBatch;
use crate::cli::stored_files::file_error;
use crate::cli::stored_indexes::{OffsetEntry, TimeEntry, offset_entries, time_entries};

const HURTS: &str = "nothing but speed: `corelane verify --accept-loss` rebuilds it";

const MISSING: &str =
    "it is missing: reads walk the segment instead; `corelane verify --accept-loss` rebuilds it";

/// The two indexes of one segment, compared while its batches go by.
pub(super) struct IndexCheck<'a> {
    root: &'a Path,
    directory: &'a Path,
    base: Offset,
    offsets: Vec<OffsetEntry>,
    next_offset: usize,
    times: Vec<TimeEntry>,
    next_time: usize,
    /// Largest timestamp so far, and the last offset of its batch.
    largest: Option<(i64, i64)>,
    offsets_damage: Option<(u64, String)>,
    times_damage: Option<(u64, String)>,
}

impl<'a> IndexCheck<'a> {
    pub(super) fn new(
        root: &'a Path,
        fs: &dyn FileSystem,
        directory: &'a Path,
        base: Offset,
        is_expected: bool,
        report: &mut Report,
    ) -> Self {
        let mut read = |extension: &str| {
            let path = segment_path(directory, base, extension);
            match read_file(fs, &path, INDEX_FILE_BYTES_MAX) {
                Ok(None) => {
                    // A start after a crash leaves none where it cut a segment.
                    if is_expected {
                        report.note(&root.join(path), MISSING);
                    }
                    Vec::new()
                }
                Ok(Some(file)) => {
                    report.checked(file.len() as u64);
                    file.to_vec()
                }
                Err(error) => {
                    report.damage(&root.join(path), None, file_error(&error), HURTS);
                    Vec::new()
                }
            }
        };
        let (offsets, rest) = offset_entries(&read("index"), base.0);
        let cut =
            |rest: usize, at: u64| (rest > 0).then(|| (at, "it ends inside an entry".to_owned()));
        let offsets_damage = cut(rest, offsets.len() as u64 * 8);
        let (times, rest) = time_entries(&read("timeindex"), base.0);
        let times_damage = cut(rest, times.len() as u64 * 12);
        Self {
            root,
            directory,
            base,
            offsets,
            next_offset: 0,
            times,
            next_time: 0,
            largest: None,
            offsets_damage,
            times_damage,
        }
    }

    pub(super) fn batch(&mut self, batch: &StoredBatch) {
        let last = batch.header.next_offset().0 - 1;
        while let Some(entry) = self.offsets.get(self.next_offset)
            && entry.position < batch.end()
        {
            if entry.position != batch.position || entry.offset != last {
                let what = format!(
                    "an entry says that offset {} ends the batch at {}, but the batch at {} ends with {last}",
                    entry.offset, entry.position, batch.position
                );
                self.offsets_damage.get_or_insert((entry.at, what));
            }
            self.next_offset += 1;
        }
        let is_newer = self.largest.is_none_or(|(largest, _)| batch.header.max_timestamp > largest);
        if is_newer && batch.header.record_count > 0 {
            self.largest = Some((batch.header.max_timestamp, last));
        }
        while let Some(entry) = self.times.get(self.next_time)
            && entry.offset <= last
        {
            // An entry names the batch that brought a new largest timestamp.
            let is_right = self.largest == Some((entry.timestamp, entry.offset));
            if !is_right {
                let what = format!(
                    "an entry says that {} at offset {} is the largest timestamp, which it is not",
                    entry.timestamp, entry.offset
                );
                self.times_damage.get_or_insert((entry.at, what));
            }
            self.next_time += 1;
        }
    }

    /// The segment is at its end.
    pub(super) fn finish(mut self, report: &mut Report) {
        if let Some(entry) = self.offsets.get(self.next_offset) {
            let what = format!("an entry names position {}, behind the last batch", entry.position);
            self.offsets_damage.get_or_insert((entry.at, what));
        }
        if let Some(entry) = self.times.get(self.next_time) {
            let what = format!("an entry names offset {}, behind the last batch", entry.offset);
            self.times_damage.get_or_insert((entry.at, what));
        }
        for (extension, damage) in
            [("index", self.offsets_damage), ("timeindex", self.times_damage)]
        {
            if let Some((at, what)) = damage {
                let path = self.root.join(segment_path(self.directory, self.base, extension));
                report.damage(&path, Some(at), what, HURTS);
            }
        }
    }
}
