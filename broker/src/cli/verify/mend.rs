//! Segments with damaged batches, written anew without them: an empty batch stands for the offsets that are
//! lost, so that consumers go on behind them, and every sound batch stays as it is.

use std::ops::Range;
use std::path::Path;

use engine::disk::real::RealFileSystem;
use engine::disk::{FileSystem, FileSystemError};
use engine::limits::INDEX_INTERVAL_BYTES;
use engine::partition::index::{build_files, segment_path};
use engine::partition::position::LogPosition;
use engine::recovery::{ActiveSegment, RecoveredPartition};
use protocol::record_batch::{
    BASE_OFFSET_AT, BATCH_LENGTH_AT, HEADER_BYTES, MAGIC, MAGIC_AT, empty_batch,
};
use protocol::{LeaderEpoch, Offset};

use super::partitions::segments;
use crate::cli::segment_walk::{SegmentWalk, StoredBatch};

/// Read at once where the next sound batch is looked for.
const WINDOW_BYTES: usize = 4 << 20;
/// Copied at once.
const COPY_BYTES: usize = 4 << 20;

/// A part of a segment that is written anew.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// Sound batches, at these positions of the file as it is.
    Kept(Range<u64>),
    Lost {
        offsets: Range<Offset>,
        leader_epoch: LeaderEpoch,
    },
}

/// A segment that is not sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mend {
    base: Offset,
    parts: Vec<Part>,
}

impl Mend {
    pub(super) fn lost(&self) -> impl Iterator<Item = Range<Offset>> + '_ {
        self.parts.iter().filter_map(|part| match part {
            Part::Lost { offsets, .. } => Some(offsets.clone()),
            Part::Kept(_) => None,
        })
    }
}

/// Looks at every batch below the log end. What is behind it is the suspicion's.
pub(super) fn find(
    fs: &dyn FileSystem,
    partition: &RecoveredPartition,
) -> Result<Vec<Mend>, FileSystemError> {
    let all = segments(partition);
    let end = partition.end.offset;
    let mut mends = Vec::new();
    let mut leader_epoch = LeaderEpoch(0);
    for (at, (base, length)) in all.iter().enumerate() {
        let next = all.get(at + 1).map_or(end, |next| next.0);
        let path = segment_path(&partition.directory.path, *base, "log");
        let mut walk = Walk {
            fs,
            path: &path,
            length: *length,
            newest_epoch: partition.leader_epoch,
            is_cleaned: *base < partition.cleaner.cleaned,
            expected: *base,
            leader_epoch,
            parts: Vec::new(),
        };
        walk.run(next)?;
        leader_epoch = walk.leader_epoch;
        if walk.parts.iter().any(|part| matches!(part, Part::Lost { .. })) {
            mends.push(Mend { base: *base, parts: walk.parts });
        }
    }
    Ok(mends)
}

struct Walk<'a> {
    fs: &'a dyn FileSystem,
    path: &'a Path,
    length: u64,
    newest_epoch: LeaderEpoch,
    /// Compaction may have taken offsets of it.
    is_cleaned: bool,
    expected: Offset,
    leader_epoch: LeaderEpoch,
    parts: Vec<Part>,
}

impl Walk<'_> {
    /// Through the whole segment; the next one begins at `next`.
    fn run(&mut self, next: Offset) -> Result<(), FileSystemError> {
        let mut position = 0;
        while position < self.length {
            let Some(batch) = self.next_sound(position, next)? else { break };
            let is_passed = batch.position > position;
            if batch.header.base_offset > self.expected && (is_passed || !self.is_cleaned) {
                self.lose(batch.header.base_offset);
            }
            self.keep(batch.position..batch.end());
            self.expected = batch.header.next_offset();
            self.leader_epoch = batch.header.partition_leader_epoch;
            position = batch.end();
        }
        if self.expected < next && (position < self.length || !self.is_cleaned) {
            self.lose(next);
        }
        Ok(())
    }

    fn keep(&mut self, positions: Range<u64>) {
        match self.parts.last_mut() {
            Some(Part::Kept(last)) if last.end == positions.start => last.end = positions.end,
            _ => self.parts.push(Part::Kept(positions)),
        }
    }

    fn lose(&mut self, next: Offset) {
        let (offsets, leader_epoch) = (self.expected..next, self.leader_epoch);
        self.parts.push(Part::Lost { offsets, leader_epoch });
        self.expected = next;
    }

    /// The batch at `position` if it is sound, or the first one behind it that is.
    fn next_sound(
        &self,
        position: u64,
        next: Offset,
    ) -> Result<Option<StoredBatch>, FileSystemError> {
        if let Some(batch) = self.sound_at(position, next)? {
            return Ok(Some(batch));
        }
        let mut start = position + 1;
        let mut window = vec![0; WINDOW_BYTES];
        while start + HEADER_BYTES as u64 <= self.length {
            let read = self.fs.read(self.path, start, &mut window)?;
            if read < HEADER_BYTES {
                break;
            }
            let last = read - HEADER_BYTES;
            for at in 0..=last {
                if self.may_begin(&window[at..], next)
                    && let Some(batch) = self.sound_at(start + at as u64, next)?
                {
                    return Ok(Some(batch));
                }
            }
            start += last as u64 + 1;
        }
        Ok(None)
    }

    /// A look at few bytes before a batch is read whole.
    fn may_begin(&self, bytes: &[u8], next: Offset) -> bool {
        let base = &bytes[BASE_OFFSET_AT..BATCH_LENGTH_AT];
        let base = base.try_into().map_or(-1, i64::from_be_bytes);
        bytes[MAGIC_AT] == MAGIC.cast_unsigned() && (self.expected.0..next.0).contains(&base)
    }

    fn sound_at(&self, at: u64, next: Offset) -> Result<Option<StoredBatch>, FileSystemError> {
        let mut walk = SegmentWalk::new(self.fs, self.path, at)?.until(self.length);
        // Whatever it is, it is no batch.
        let Ok(Some(batch)) = walk.next_batch() else { return Ok(None) };
        let header = &batch.header;
        let epochs = self.leader_epoch..=self.newest_epoch;
        let is_sound = batch.crc_is_valid
            && header.base_offset >= self.expected
            && header.next_offset() <= next
            && epochs.contains(&header.partition_leader_epoch);
        let is_sound =
            is_sound && (header.base_offset == self.expected || self.goes_on(&batch, next));
        Ok(is_sound.then_some(batch))
    }

    /// A batch behind lost ones must be followed by what it says follows: the CRC does not cover offsets.
    fn goes_on(&self, batch: &StoredBatch, next: Offset) -> bool {
        if batch.end() >= self.length {
            return self.is_cleaned || batch.header.next_offset() == next;
        }
        let Ok(walk) = SegmentWalk::new(self.fs, self.path, batch.end()) else { return false };
        match walk.until(self.length).next_batch() {
            Ok(Some(follower)) => {
                let (next, base) = (batch.header.next_offset(), follower.header.base_offset);
                base == next || (self.is_cleaned && base > next)
            }
            // That one is damaged, too.
            Ok(None) | Err(_) => true,
        }
    }
}

/// Where the segment that the log ends in becomes shorter, the log goes on in a new one, so that the
/// journal never speaks again of the places in that one.
pub(super) fn roll(partition: &mut RecoveredPartition, mends: &[Mend]) {
    let is_mended = |active: &mut ActiveSegment| mends.iter().any(|mend| mend.base == active.base);
    let Some(active) = partition.active.take_if(is_mended) else { return };
    partition.finished.push((active.base, active.length));
    partition.end = LogPosition::segment_start(partition.end.offset);
    partition.last_block.clear();
}

/// Each segment is replaced as one: a crash leaves it as it was, or mended.
pub(super) fn rewrite(
    fs: &RealFileSystem,
    directory: &Path,
    mends: &[Mend],
) -> Result<(), FileSystemError> {
    for mend in mends {
        let path = segment_path(directory, mend.base, "log");
        let temporary = path.with_extension("mended");
        write_parts(fs, &path, &temporary, &mend.parts)?;
        fs.sync(&temporary)?;
        fs.rename(&temporary, &path)?;
        build_files(fs, directory, mend.base.0, INDEX_INTERVAL_BYTES)?;
    }
    fs.sync_dir(directory)
}

fn write_parts(
    fs: &RealFileSystem,
    from: &Path,
    to: &Path,
    parts: &[Part],
) -> Result<(), FileSystemError> {
    let mut out = Output { fs, path: to, position: 0, buffer: Vec::new() };
    fs.write_file(to, &[])?;
    for part in parts {
        match part {
            Part::Kept(positions) => {
                let mut at = positions.start;
                while at < positions.end {
                    let left = usize::try_from(positions.end - at).unwrap_or(usize::MAX);
                    let mut piece = vec![0; left.min(COPY_BYTES)];
                    let read = fs.read(from, at, &mut piece)?;
                    out.push(&piece[..read])?;
                    at += read as u64;
                }
            }
            Part::Lost { offsets, leader_epoch } => {
                let mut base = offsets.start;
                while base < offsets.end {
                    let next = offsets.end.min(Offset(base.0 + i64::from(i32::MAX)));
                    out.push(&empty_batch(base, next, *leader_epoch))?;
                    base = next;
                }
            }
        }
    }
    out.finish()
}

/// Writes whole blocks, as direct I/O wants them.
struct Output<'a> {
    fs: &'a RealFileSystem,
    path: &'a Path,
    position: u64,
    buffer: Vec<u8>,
}

impl Output<'_> {
    fn push(&mut self, bytes: &[u8]) -> Result<(), FileSystemError> {
        self.buffer.extend_from_slice(bytes);
        let whole = self.buffer.len() - self.buffer.len() % engine::limits::BLOCK_BYTES;
        if whole >= COPY_BYTES {
            self.fs.write(self.path, self.position, &self.buffer[..whole])?;
            self.buffer.drain(..whole);
            self.position += whole as u64;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), FileSystemError> {
        let length = self.position + self.buffer.len() as u64;
        self.buffer.resize(self.buffer.len().next_multiple_of(engine::limits::BLOCK_BYTES), 0);
        self.fs.write(self.path, self.position, &self.buffer)?;
        self.fs.set_length(self.path, length)
    }
}
