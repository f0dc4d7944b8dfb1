//! A stretch of a segment's bytes, in pieces, and the walk over its record batches.

use std::ops::Range;

use bytes::Bytes;
use protocol::Offset;
use protocol::record_batch::{BatchHeader, CRC_COVERS_FROM, HEADER_BYTES};

use super::index::SegmentIndex;
use crate::batch::BatchView;

/// Consecutive bytes of a segment: from disk, from memory, or from both.
#[derive(Clone, Debug, Default)]
pub struct Window {
    parts: Vec<Bytes>,
    start: u64,
    end: u64,
}

impl Window {
    pub fn new(start: u64, parts: Vec<Bytes>) -> Self {
        let bytes: usize = parts.iter().map(Bytes::len).sum();
        Self { parts, start, end: start + bytes as u64 }
    }

    pub fn start(&self) -> u64 {
        self.start
    }

    pub fn end(&self) -> u64 {
        self.end
    }

    pub fn push(&mut self, part: Bytes) {
        self.end += part.len() as u64;
        self.parts.push(part);
    }

    /// The pieces of `range`, which lies inside the window.
    pub fn slices(&self, range: Range<u64>) -> Vec<Bytes> {
        let mut found = Vec::new();
        let mut at = self.start;
        for part in &self.parts {
            let end = at + part.len() as u64;
            if end > range.start && at < range.end {
                let from = usize::try_from(range.start.max(at) - at).unwrap_or(usize::MAX);
                let to = usize::try_from(range.end.min(end) - at).unwrap_or(usize::MAX);
                found.push(part.slice(from..to));
            }
            at = end;
        }
        found
    }

    /// The batch header at `position`, if it is inside the window as a whole.
    pub fn header_at(&self, position: u64) -> Option<BatchHeader> {
        let end = position + HEADER_BYTES as u64;
        if position < self.start || end > self.end {
            return None;
        }
        let mut head = [0u8; HEADER_BYTES];
        let mut at = 0;
        for slice in self.slices(position..end) {
            head[at..at + slice.len()].copy_from_slice(&slice);
            at += slice.len();
        }
        BatchHeader::read(&head)
    }

    /// Whether the batch at `range` has the CRC its header states.
    pub fn crc_matches(&self, range: Range<u64>, header: &BatchHeader) -> bool {
        let covered = range.start + CRC_COVERS_FROM as u64..range.end;
        let crc =
            self.slices(covered).iter().fold(0, |crc, slice| crc32c::crc32c_append(crc, slice));
        crc == header.crc
    }
}

/// What is sought in a window.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// Base offset of the segment.
    pub base: Offset,
    /// A batch boundary at or before what is sought.
    pub from: u64,
    /// What is known of the batch at `from`: its offsets are outside its CRC.
    pub known: Option<Known>,
    /// Each batch begins where the one before ended, whatever the index says.
    pub is_dense: bool,
    /// Where the next segment, or the log, begins to be: no batch reaches further.
    pub end: Offset,
    pub target: Target,
    /// Batches end here: the bound of what may be read.
    pub bound: u64,
    /// Whole batches up to this many bytes are wanted, the first one whatever its size.
    pub bytes_max: usize,
    /// Check what came from the disk.
    pub verify: bool,
    pub index_interval_bytes: u32,
}

/// What is known of a batch before it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Its base offset: it follows on another one, or begins its segment.
    Base(Offset),
    /// Its base offset is not below this one: compaction may have taken what was between.
    AtLeast(Offset),
    /// Its last offset: the index says so.
    Last(Offset),
}

impl Known {
    /// What is known of the batch at `position`, when what is before it ends at `next`. No index: nothing is
    /// missing anywhere.
    pub fn at(segment: Offset, position: u64, next: Offset, index: Option<&SegmentIndex>) -> Self {
        match index {
            Some(index) if index.is_blind() => Self::AtLeast(next),
            Some(index) => match index.last_offset_at(segment, position) {
                Some(last) => Self::Last(last),
                None => Self::Base(next),
            },
            None => Self::Base(next),
        }
    }

    /// Whether the batch with this header is that one.
    pub fn fits(self, header: &BatchHeader) -> bool {
        match self {
            Self::Base(base) => header.base_offset == base,
            Self::AtLeast(base) => header.base_offset >= base,
            Self::Last(last) => header.last_offset() == last,
        }
    }
}

/// Which batch is sought.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    Offset(Offset),
    /// The first batch with a timestamp at or above it that does not end before `from`.
    Timestamp {
        at_least: i64,
        from: Offset,
    },
}

impl Target {
    fn is_at_or_before(self, header: &BatchHeader) -> bool {
        match self {
            Self::Offset(offset) => header.last_offset() >= offset,
            Self::Timestamp { at_least, from } => {
                // A batch that compaction emptied has its timestamp still, and no record.
                header.max_timestamp >= at_least
                    && header.last_offset() >= from
                    && header.record_count > 0
            }
        }
    }
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Batches {
        range: Range<u64>,
        first: Offset,
        next: Offset,
    },
    /// The window ends before it; go on at `from`, with at least `bytes`.
    GoOn {
        from: u64,
        bytes: usize,
        known: Option<Known>,
    },
    /// There is no such batch below the bound.
    Nothing,
    /// The bytes at this position are not a batch that belongs here.
    Corrupt {
        position: u64,
    },
}

/// The index, where it has a say in which offsets follow.
fn dense_or<'a>(search: &Search, index: &'a SegmentIndex) -> Option<&'a SegmentIndex> {
    (!search.is_dense).then_some(index)
}

/// Walks the batches of `window` from `search.from`; notes in `index` those it had not seen.
pub fn search(window: &Window, search: &Search, index: &mut SegmentIndex) -> Found {
    let mut position = search.from;
    let mut found: Option<(u64, Offset)> = None;
    let mut next = Offset(0);
    let mut known = search.known;
    loop {
        if position >= search.bound {
            break;
        }
        let Some(header) = window.header_at(position) else {
            if found.is_some() {
                break;
            }
            return Found::GoOn { from: position, bytes: HEADER_BYTES, known };
        };
        let bytes = header.total_bytes();
        let end = position + bytes as u64;
        let in_place = header.is_plausible()
            && end <= search.bound
            && header.base_offset >= search.base
            && header.next_offset() <= search.end;
        if !in_place || known.is_some_and(|known| !known.fits(&header)) {
            return found.map_or(Found::Corrupt { position }, |(from, first)| Found::Batches {
                range: from..position,
                first,
                next,
            });
        }
        let wanted = found.is_some() || search.target.is_at_or_before(&header);
        if wanted {
            if found.is_some_and(|(from, _)| end - from > search.bytes_max as u64) {
                break;
            }
            if end > window.end() {
                if found.is_some() {
                    break;
                }
                return Found::GoOn { from: position, bytes, known };
            }
            if search.verify && !window.crc_matches(position..end, &header) {
                if found.is_some() {
                    break;
                }
                return Found::Corrupt { position };
            }
            found.get_or_insert((position, header.base_offset));
            next = Offset(header.last_offset().0 + 1);
        }
        index.note(search.base, position, &header, search.index_interval_bytes);
        known = Some(Known::at(search.base, end, header.next_offset(), dense_or(search, index)));
        position = end;
    }
    match found {
        Some((from, first)) => Found::Batches { range: from..position, first, next },
        None => Found::Nothing,
    }
}

#[cfg(test)]
mod tests;
