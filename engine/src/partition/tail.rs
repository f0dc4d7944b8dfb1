//! The newest bytes of a partition's log, in memory: what consumers at the tail are served from and
//! what is written behind to the segments.
//!
//! Bytes stand at addresses congruent to their file position modulo 4 KiB, so that the same memory goes
//! to the disk with direct I/O and to consumers' sockets; nothing is copied again after the append.
//!
//! ```text
//! chunk     |4 KiB blocks ………………|      chunks cover positions without a gap, oldest first
//! position  start          start + capacity
//! ```

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use protocol::Offset;
use runtime::memory::{Arena, Block, Chunk};

use crate::limits::{BLOCK_BYTES, CHUNK_BYTES, CHUNK_FAST_FILL_MS};

const BLOCK: u64 = BLOCK_BYTES as u64;

/// What files hold of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Every byte before this position.
    pub bytes: u64,
    /// The log goes on in another one, and this file will not change.
    pub is_complete: bool,
}

#[derive(Debug)]
struct TailChunk {
    segment: Offset,
    /// File position of the chunk's first byte, a multiple of 4 KiB.
    start: u64,
    /// When bytes were last appended to it.
    written_ms: u64,
    chunk: Chunk,
}

impl TailChunk {
    fn end(&self) -> u64 {
        self.start + self.chunk.published() as u64
    }

    fn capacity_end(&self) -> u64 {
        self.start + self.chunk.capacity() as u64
    }
}

/// The chunks of one partition.
#[derive(Debug, Default)]
pub struct Tail {
    chunks: VecDeque<TailChunk>,
    class: usize,
    chunk_since_ms: u64,
    /// When room was last asked for: appends follow at once.
    reserved_ms: u64,
    memory_bytes: usize,
}

impl Tail {
    /// Memory held, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// First position of `segment` that is in memory without a gap up to the segment's end.
    pub fn start(&self, segment: Offset) -> Option<u64> {
        self.chunks.iter().find(|chunk| chunk.segment == segment).map(|chunk| chunk.start)
    }

    /// Bytes that fit behind `position` of `segment` without a new chunk.
    fn room(&self, segment: Offset, position: u64) -> u64 {
        match self.chunks.back() {
            Some(last) if last.segment == segment => {
                assert!(last.end() == position, "appends continue where the last one ended");
                last.capacity_end() - position
            }
            _ => 0,
        }
    }

    /// Makes room for `bytes` more at `position` of `segment`, so that `append` cannot fail; false if
    /// the arena has no memory now (nothing changed then, or only spare chunks were added).
    pub fn reserve(
        &mut self,
        arena: &Arena,
        now_ms: u64,
        at: (Offset, u64),
        bytes: usize,
    ) -> Option<Vec<Block>> {
        let (segment, position) = at;
        self.reserved_ms = now_ms;
        let missing = (bytes as u64).saturating_sub(self.room(segment, position));
        let mut missing = usize::try_from(missing).unwrap_or(usize::MAX);
        let mut blocks = Vec::new();
        if missing > 0 && self.room(segment, position) == 0 {
            // The first block of the chunk may begin before the position.
            missing += usize::try_from(position % BLOCK_BYTES as u64).unwrap_or(0);
        }
        while missing > 0 {
            let block = arena.allocate(self.next_chunk_bytes(now_ms, missing))?;
            missing = missing.saturating_sub(block.len());
            self.chunk_since_ms = now_ms;
            blocks.push(block);
        }
        Some(blocks)
    }

    /// Quick partitions get larger chunks, slow ones smaller.
    fn next_chunk_bytes(&mut self, now_ms: u64, missing: usize) -> usize {
        if !self.chunks.is_empty() {
            let fast = now_ms.saturating_sub(self.chunk_since_ms) < CHUNK_FAST_FILL_MS;
            self.class = if fast {
                (self.class + 1).min(CHUNK_BYTES.len() - 1)
            } else {
                self.class.saturating_sub(1)
            };
        }
        let fitting = CHUNK_BYTES.iter().position(|bytes| *bytes >= missing);
        self.class = self.class.max(fitting.unwrap_or(CHUNK_BYTES.len() - 1));
        CHUNK_BYTES[self.class]
    }

    /// Copies `parts` behind the last byte, into the room and the blocks that `reserve` gave.
    pub fn append(&mut self, at: (Offset, u64), blocks: Vec<Block>, parts: &[&[u8]]) {
        let (segment, mut position) = at;
        let written_ms = self.reserved_ms;
        let mut blocks = blocks.into_iter();
        for part in parts {
            let mut rest = *part;
            while !rest.is_empty() {
                if self.room(segment, position) == 0 {
                    let block = blocks.next().expect("reserve counted the blocks");
                    self.begin_chunk(segment, position, block);
                }
                let last = self.chunks.back_mut().expect("there is room in the last chunk");
                let from = last.chunk.published();
                let length = rest.len().min(last.chunk.capacity() - from);
                last.chunk.unpublished_mut(from..from + length).copy_from_slice(&rest[..length]);
                last.chunk.publish(from + length);
                last.written_ms = written_ms;
                position += length as u64;
                rest = &rest[length..];
            }
        }
        for block in blocks {
            drop(block);
        }
    }

    fn begin_chunk(&mut self, segment: Offset, position: u64, block: Block) {
        let offset_in_block = position % BLOCK_BYTES as u64;
        let mut chunk = Chunk::new(block);
        let skipped = usize::try_from(offset_in_block).unwrap_or(0);
        if skipped > 0 {
            // Only after recovery without a fragment: the bytes before are not ours to serve.
            chunk.unpublished_mut(0..skipped).fill(0);
            chunk.publish(skipped);
        }
        self.memory_bytes += chunk.capacity();
        let (start, written_ms) = (position - offset_in_block, self.reserved_ms);
        self.chunks.push_back(TailChunk { segment, start, written_ms, chunk });
    }

    /// The bytes at `range` of `segment`, all of which are in memory.
    pub fn slices(&self, segment: Offset, range: Range<u64>, into: &mut Vec<Bytes>) {
        let mut position = range.start;
        let of_segment = self.chunks.iter().filter(|chunk| chunk.segment == segment);
        for chunk in of_segment.skip_while(|chunk| chunk.end() <= range.start) {
            if position >= range.end {
                break;
            }
            assert!(chunk.start <= position, "chunks cover positions without a gap");
            let end = chunk.end().min(range.end);
            let slice = index(position - chunk.start)..index(end - chunk.start);
            into.push(chunk.chunk.slice(slice));
            position = end;
        }
        assert!(position >= range.end, "the caller asks for bytes that are in memory");
    }

    /// Whole 4 KiB blocks of `range` (both ends multiples of 4 KiB) for a direct write; the last block
    /// of a finished segment may be padded with zeros by `pad`.
    pub fn blocks(&self, segment: Offset, range: Range<u64>) -> Vec<Bytes> {
        let mut parts = Vec::new();
        self.slices(segment, range, &mut parts);
        parts
    }

    /// When bytes were last appended to what would be released next; none if nothing would.
    pub fn spare_since(&self, stored: impl Fn(Offset) -> Stored) -> Option<u64> {
        let first = self.chunks.front()?;
        let stored = stored(first.segment);
        let is_spare = self.goes(first, stored) || self.shrinks(first, stored.bytes);
        is_spare.then_some(first.written_ms)
    }

    /// Drops the oldest chunk, if files hold all of it. Gives the bytes released.
    pub fn evict_oldest(&mut self, stored: impl Fn(Offset) -> Stored) -> usize {
        let Some(first) = self.chunks.front() else { return 0 };
        if !self.goes(first, stored(first.segment)) {
            return 0;
        }
        let bytes = first.chunk.capacity();
        self.chunks.pop_front();
        self.memory_bytes -= bytes;
        bytes
    }

    fn goes(&self, first: &TailChunk, stored: Stored) -> bool {
        // The chunk that is being filled stays unless it is full.
        let is_filling = self.chunks.len() == 1 && first.end() < first.capacity_end();
        first.end() <= stored.bytes && (stored.is_complete || !is_filling)
    }

    /// Whether the last chunk is of use for its last block alone.
    fn shrinks(&self, first: &TailChunk, stored_bytes: u64) -> bool {
        self.chunks.len() == 1
            && first.chunk.capacity() > BLOCK_BYTES
            && first.end() / BLOCK * BLOCK <= stored_bytes
    }

    /// Moves an unfinished last block out of a large chunk into a small one, so that a partition that
    /// went quiet holds 4 KiB. Everything below that block must be in files.
    pub fn shrink(&mut self, arena: &Arena, stored: impl Fn(Offset) -> Stored) -> usize {
        let Some(last) = self.chunks.back() else { return 0 };
        if !self.shrinks(last, stored(last.segment).bytes) {
            return 0;
        }
        let block_start = last.end() - last.end() % BLOCK;
        let (segment, end, before) = (last.segment, last.end(), last.chunk.capacity());
        let written_ms = last.written_ms;
        let mut bytes = Vec::new();
        if block_start < end {
            let range = index(block_start - last.start)..index(end - last.start);
            let Some(block) = arena.allocate(BLOCK_BYTES) else { return 0 };
            let kept = last.chunk.slice(range);
            let mut chunk = Chunk::new(block);
            chunk.unpublished_mut(0..kept.len()).copy_from_slice(&kept);
            chunk.publish(kept.len());
            bytes.push(TailChunk { segment, start: block_start, written_ms, chunk });
        }
        self.chunks = bytes.into();
        self.class = 0;
        self.memory_bytes = self.chunks.iter().map(|chunk| chunk.chunk.capacity()).sum();
        before - self.memory_bytes
    }

    /// Forgets the bytes of the segments in this range, which stand in other places now. Gives the bytes
    /// released.
    pub fn forget_segments(&mut self, segments: Range<Offset>) -> usize {
        let before = self.memory_bytes;
        self.chunks.retain(|chunk| !segments.contains(&chunk.segment));
        self.memory_bytes = self.chunks.iter().map(|chunk| chunk.chunk.capacity()).sum();
        before - self.memory_bytes
    }

    /// Forgets everything, for a partition that is closed.
    pub fn clear(&mut self) {
        self.chunks.clear();
        self.memory_bytes = 0;
    }
}

fn index(bytes: u64) -> usize {
    usize::try_from(bytes).expect("a chunk is far smaller than the address space")
}

#[cfg(test)]
mod tests;
