//! A walk through the batches of some segments, read back window by window; what is read is checked like what
//! consumers read.

use std::ops::Range;

use protocol::Offset;
use protocol::record_batch::{BatchHeader, BatchSlice};

use super::{BLOCK, WINDOW};
use crate::batch::BatchView;
use crate::partition::index::SegmentIndex;
use crate::partition::window::Known;

/// A segment that is cleaned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) base: Offset,
    pub(super) generation: u64,
    pub(super) length: u64,
    /// Where the next segment begins.
    pub(super) end: Offset,
}

/// Where the walk stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scan {
    /// Number of the segment.
    pub(super) source: usize,
    position: u64,
    /// No batch begins below; `None` at the segment's beginning.
    next: Option<Offset>,
    /// The batch there is this long.
    bytes_min: u64,
}

/// The bytes at this position are no batch that belongs there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Damage;

impl Scan {
    /// The beginning of a segment.
    pub(super) fn of(source: usize) -> Self {
        Self { source, ..Self::default() }
    }

    /// The beginning of the segment that `offset` is in.
    pub(super) fn from_segment_of(offset: Offset, sources: &[Source]) -> Self {
        let after = sources.partition_point(|source| source.base <= offset);
        Self::of(after.saturating_sub(1))
    }

    pub(super) fn is_at_end(&self, sources: &[Source]) -> bool {
        self.source >= sources.len()
    }

    /// The segment to read from and the positions there, whole blocks.
    pub(super) fn next_window(&self, sources: &[Source]) -> Option<(Offset, Range<u64>)> {
        let source = sources.get(self.source)?;
        let start = self.position - self.position % BLOCK;
        let end = (self.position + self.bytes_min.max(WINDOW)).min(source.length);
        Some((source.base, start..end.next_multiple_of(BLOCK).max(start + BLOCK)))
    }

    /// A walk through a window that was read at the place that `next_window` gave. `index` tells where the
    /// segment lacks offsets; without one it lacks none.
    pub(super) fn walk<'a>(
        &self,
        sources: &[Source],
        window: &'a [u8],
        index: Option<&'a SegmentIndex>,
    ) -> WindowWalk<'a> {
        let source = sources[self.source];
        let start = self.position - self.position % BLOCK;
        let walk = WindowWalk { window, start, source, index, scan: *self, is_begun: false };
        walk.skipping_empty()
    }
}

/// The whole batches of one window.
pub(super) struct WindowWalk<'a> {
    window: &'a [u8],
    start: u64,
    source: Source,
    index: Option<&'a SegmentIndex>,
    scan: Scan,
    is_begun: bool,
}

impl<'a> WindowWalk<'a> {
    /// A segment that has nothing is passed at once.
    fn skipping_empty(mut self) -> Self {
        self.pass_end();
        self
    }

    pub(super) fn source(&self) -> usize {
        // The batch given last may have been the segment's last.
        self.scan.source - usize::from(self.is_begun && self.scan.next.is_none())
    }

    /// Where the next window begins.
    pub(super) fn scan(self) -> Scan {
        self.scan
    }

    fn pass_end(&mut self) {
        if self.scan.position >= self.source.length {
            self.scan = Scan::of(self.scan.source + 1);
        }
    }

    fn is_in_place(&self, header: &BatchHeader, next: Offset) -> bool {
        let known = Known::at(self.source.base, self.scan.position, next, self.index);
        header.is_plausible()
            && known.fits(header)
            && header.base_offset >= next
            && header.next_offset() <= self.source.end
    }

    /// `None`: the window has no further one whole.
    pub(super) fn next_batch(&mut self) -> Result<Option<BatchSlice<'a>>, Damage> {
        let is_over = self.is_begun && self.scan.next.is_none();
        if is_over || self.scan.position >= self.source.length {
            return Ok(None);
        }
        let at = usize::try_from(self.scan.position - self.start).map_err(|_| Damage)?;
        let rest = self.window.get(at..).unwrap_or_default();
        let left = self.source.length - self.scan.position;
        let Some(header) = BatchHeader::read(rest) else {
            // Less than a header in a whole window: the file is shorter than the segment, or it ends here.
            let is_short = !self.is_begun && self.scan.bytes_min > 0;
            self.scan.bytes_min = WINDOW;
            return if is_short { Err(Damage) } else { Ok(None) };
        };
        let next = self.scan.next.unwrap_or(self.source.base);
        let bytes = header.total_bytes();
        if !self.is_in_place(&header, next) || bytes as u64 > left {
            return Err(Damage);
        }
        if bytes > rest.len() {
            let wanted = bytes as u64;
            let is_short = !self.is_begun && self.scan.bytes_min >= wanted;
            self.scan.bytes_min = wanted;
            return if is_short { Err(Damage) } else { Ok(None) };
        }
        let batch = BatchSlice::first(&rest[..bytes]).map_err(|_| Damage)?;
        if !batch.crc_is_valid() {
            return Err(Damage);
        }
        self.is_begun = true;
        self.scan.position += bytes as u64;
        self.scan.next = Some(header.next_offset());
        self.scan.bytes_min = 0;
        self.pass_end();
        Ok(Some(batch))
    }
}
