//! A segment's sparse offset index and time index, in memory and in Kafka's files.
//!
//! ```text
//! .index      relative offset u32 | position u32                 (big endian, 8 bytes an entry)
//! .timeindex  largest timestamp i64 | relative offset u32        (big endian, 12 bytes an entry)
//! ```
//!
//! An offset entry says: the batch at `position` ends at `relative offset`: Kafka indexes a batch by
//! its last offset, and so do we, because its tools check that. A time entry says: no record up to this
//! offset has a timestamp above this one. Both are derived from the batches and rebuilt at will.
//!
//! A batch that does not begin where the one before ended (compaction took what was between) always has an
//! entry: so the index tells where offsets may be missing, and elsewhere each batch must follow.

use std::path::Path;

use bytes::Bytes;
use protocol::Offset;
use protocol::record_batch::BatchHeader;

use super::batch_walk::walk_batches;
use crate::batch::BatchView;
use crate::disk::{FileSystem, FileSystemError};

const OFFSET_ENTRY_BYTES: usize = 8;
const TIME_ENTRY_BYTES: usize = 12;

/// The index of one segment, as far as its batches have been seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentIndex {
    /// (last offset relative to the segment's base, position of the batch).
    offsets: Vec<(u32, u32)>,
    /// (largest timestamp so far, offset of the batch that has it relative to the base).
    times: Vec<(i64, u32)>,
    /// Everything below this position has been seen.
    covered: u64,
    /// Bytes since the last offset entry.
    since_entry: u64,
    /// Where the next batch begins, unless offsets are missing there; `None`: not known.
    next: Option<Offset>,
    /// It does not tell where offsets are missing.
    is_blind: bool,
    /// Largest timestamp seen, with the last offset of its batch relative to the base.
    max_timestamp: Option<(i64, u32)>,
}

impl SegmentIndex {
    /// Of a segment with a damaged batch that nobody can walk past: it is filled by whoever reads.
    pub fn blind() -> Self {
        Self { is_blind: true, ..Self::default() }
    }

    /// Whether it does not tell where offsets are missing.
    pub fn is_blind(&self) -> bool {
        self.is_blind
    }

    /// Position up to which batches have been seen without a gap.
    pub fn covered(&self) -> u64 {
        self.covered
    }

    pub fn memory_bytes(&self) -> usize {
        self.offsets.len() * 8 + self.times.len() * 16
    }

    /// Largest timestamp of the batches seen, of those that have one.
    pub fn max_timestamp(&self) -> Option<i64> {
        self.max_timestamp.map(|entry| entry.0)
    }

    /// Last offset of the batch with the largest timestamp, relative to the segment's base.
    pub fn max_timestamp_offset(&self) -> Option<u32> {
        self.max_timestamp.map(|entry| entry.1)
    }

    /// Number of offset entries, for rolling when the index is full.
    pub fn entries(&self) -> usize {
        self.offsets.len()
    }

    /// The batch with `header` stands at `position`; batches come in order, those already seen are ignored.
    pub fn note(&mut self, base: Offset, position: u64, header: &BatchHeader, interval_bytes: u32) {
        if position != self.covered {
            return;
        }
        let bytes = header.total_bytes() as u64;
        let relative = relative_offset(header.last_offset(), base);
        // Times are of records: a batch that compaction emptied has none.
        if let Some(relative) = relative
            && header.record_count > 0
            && header.max_timestamp > self.max_timestamp.map_or(-1, |(largest, _)| largest)
        {
            self.max_timestamp = Some((header.max_timestamp, relative));
        }
        let due = self.next.or((position == 0).then_some(base));
        let is_behind_a_gap = due.is_some_and(|due| due < header.base_offset);
        self.next = Some(header.next_offset());
        // An entry for a batch once enough bytes passed since the last one, as Kafka does: never for
        // the first batch of a segment.
        if self.since_entry > u64::from(interval_bytes) || is_behind_a_gap {
            if let (Some(relative), Ok(at)) = (relative, u32::try_from(position)) {
                self.offsets.push((relative, at));
                self.push_time();
            }
            self.since_entry = 0;
        }
        self.since_entry += bytes;
        self.covered += bytes;
    }

    fn push_time(&mut self) {
        if let Some((timestamp, relative)) = self.max_timestamp
            && self.times.last().is_none_or(|last| last.0 < timestamp && last.1 < relative)
        {
            self.times.push((timestamp, relative));
        }
    }

    /// A position at or before the batch that contains `offset`.
    pub fn position_before(&self, base: Offset, offset: Offset) -> u64 {
        let relative = offset.0.saturating_sub(base.0);
        if relative < 0 {
            return 0;
        }
        let relative = u32::try_from(relative).unwrap_or(u32::MAX);
        let after = self.offsets.partition_point(|entry| entry.0 <= relative);
        // The entry found ends at or below the offset; the batch sought stands at or behind it.
        after.checked_sub(1).map_or(0, |at| u64::from(self.offsets[at].1))
    }

    /// The last offset of the batch at `position`, if there is an entry for it.
    pub fn last_offset_at(&self, base: Offset, position: u64) -> Option<Offset> {
        let at = self.offsets.binary_search_by_key(&position, |entry| u64::from(entry.1)).ok()?;
        Some(Offset(base.0 + i64::from(self.offsets[at].0)))
    }

    /// A position at or before the first batch with a timestamp at or above `timestamp`.
    pub fn position_before_time(&self, base: Offset, timestamp: i64) -> u64 {
        let after = self.times.partition_point(|entry| entry.0 < timestamp);
        let Some(at) = after.checked_sub(1) else { return 0 };
        self.position_before(base, Offset(base.0.saturating_add(i64::from(self.times[at].1))))
    }

    /// The last batch entry at or below `position`: where to begin looking for a batch boundary there.
    pub fn entry_before_position(&self, position: u64) -> u64 {
        let after = self.offsets.partition_point(|entry| u64::from(entry.1) <= position);
        after.checked_sub(1).map_or(0, |at| u64::from(self.offsets[at].1))
    }

    /// The bytes of the `.index` and `.timeindex` files of a finished segment.
    pub fn encode(&self) -> (Bytes, Bytes) {
        let mut offsets = Vec::with_capacity(self.offsets.len() * OFFSET_ENTRY_BYTES);
        for (relative, position) in &self.offsets {
            offsets.extend_from_slice(&relative.to_be_bytes());
            offsets.extend_from_slice(&position.to_be_bytes());
        }
        let mut finished = self.clone();
        finished.push_time();
        let mut times = Vec::with_capacity(finished.times.len() * TIME_ENTRY_BYTES);
        for (timestamp, relative) in &finished.times {
            times.extend_from_slice(&timestamp.to_be_bytes());
            times.extend_from_slice(&relative.to_be_bytes());
        }
        (Bytes::from(offsets), Bytes::from(times))
    }

    /// The index that a walk through the segment gave, as the bytes of its files.
    pub fn of_walk(offsets: &[u8], times: &[u8], length: u64) -> Option<Self> {
        Self::decode_parts(offsets, times, length)
    }

    /// Reads the two files of a segment of `length` bytes; `None` when they make no sense. Files of a
    /// segment that grew since are sound for its beginning: the walk goes on behind the last entry.
    pub fn decode(offsets: &[u8], times: &[u8], length: u64) -> Option<Self> {
        // A file whose bytes the power took; a segment may have no timestamps, but then it is walked through.
        let is_cut = !offsets.is_empty() && times.is_empty();
        if is_cut { None } else { Self::decode_parts(offsets, times, length) }
    }

    fn decode_parts(offsets: &[u8], times: &[u8], length: u64) -> Option<Self> {
        if !offsets.len().is_multiple_of(OFFSET_ENTRY_BYTES)
            || !times.len().is_multiple_of(TIME_ENTRY_BYTES)
        {
            return None;
        }
        let offsets: Vec<(u32, u32)> = offsets
            .chunks_exact(OFFSET_ENTRY_BYTES)
            .map(|entry| (be_u32(&entry[..4]), be_u32(&entry[4..])))
            .collect();
        let times: Vec<(i64, u32)> = times
            .chunks_exact(TIME_ENTRY_BYTES)
            .map(|entry| {
                let (high, rest) = entry.split_at(8);
                (i64::from_be_bytes(high.try_into().unwrap_or_default()), be_u32(rest))
            })
            .collect();
        let ordered = offsets.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1)
            && times.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1)
            && offsets.last().is_none_or(|last| u64::from(last.1) < length);
        let max_timestamp = times.last().copied();
        let covered = offsets.last().map_or(0, |last| u64::from(last.1));
        ordered.then_some(Self { offsets, times, covered, max_timestamp, ..Self::default() })
    }
}

fn be_u32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes.try_into().unwrap_or_default())
}

fn relative_offset(offset: Offset, base: Offset) -> Option<u32> {
    let relative = u32::try_from(offset.0.checked_sub(base.0)?).ok()?;
    i32::try_from(relative).is_ok().then_some(relative)
}

/// Path of a segment's file with this extension, below its partition's directory.
pub fn segment_path(directory: &Path, base: Offset, extension: &str) -> std::path::PathBuf {
    directory.join(format!("{:020}.{extension}", base.0))
}

/// Builds the index files of a finished segment from its batches: the helper thread's work when a
/// crash took the index that was in memory.
pub fn build_files(
    fs: &dyn FileSystem,
    directory: &Path,
    base_offset: i64,
    interval_bytes: u32,
) -> Result<(), FileSystemError> {
    if let Some((offsets, times)) = walk(fs, directory, base_offset, interval_bytes)? {
        for (extension, data) in [("index", offsets), ("timeindex", times)] {
            let path = segment_path(directory, Offset(base_offset), extension);
            fs.write_file(&path, &data)?;
            fs.sync(&path)?;
        }
    }
    fs.sync_dir(directory)
}

/// The bytes of the two index files of a finished segment, from its batches. None where a damaged batch is
/// in the way: an index of what stands before it would tell a wrong age of the segment.
pub fn walk(
    fs: &dyn FileSystem,
    directory: &Path,
    base_offset: i64,
    interval_bytes: u32,
) -> Result<Option<(Bytes, Bytes)>, FileSystemError> {
    let base = Offset(base_offset);
    let log = segment_path(directory, base, "log");
    let length = fs.length(&log)?;
    let mut index = SegmentIndex::default();
    let end = walk_batches(fs, &log, length, |position, header| {
        index.note(base, position, header, interval_bytes);
    })?;
    Ok((end == length).then(|| index.encode()))
}

#[cfg(test)]
mod tests;
