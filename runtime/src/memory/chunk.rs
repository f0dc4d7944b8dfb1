//! A chunk: append-only memory whose published bytes are shared while the rest is still written.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::slice;
use std::sync::Arc;

use bytes::Bytes;

use crate::memory::block::Block;

/// Append-only memory.
///
/// ```text
///   0 ─────────────── published ─────────────── capacity
///   │ immutable, shared │ the owner's, writable │
/// ```
///
/// The owner writes beyond `published`, then publishes; readers on any core hold slices of what was
/// published. A published byte never changes, so no `&[u8]` ever covers a byte that is written.
pub struct Chunk {
    memory: Arc<Memory>,
    published: usize,
    /// A slice of everything published when it was made. Slices inside it cost one reference count
    /// and no allocation.
    view: RefCell<Bytes>,
}

/// The block, reached only by address: a reference to all of it would cover unpublished bytes.
struct Memory {
    block: Block,
}

impl Chunk {
    /// An empty chunk over all of `block`.
    pub fn new(block: Block) -> Self {
        let memory = Arc::new(Memory { block });
        Self { memory, published: 0, view: RefCell::new(Bytes::new()) }
    }

    pub fn capacity(&self) -> usize {
        self.memory.block.capacity()
    }

    /// Where the immutable bytes end.
    pub fn published(&self) -> usize {
        self.published
    }

    /// Bytes to write into; `range` lies between `published` and the capacity.
    pub fn unpublished_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        assert!(range.start >= self.published, "published bytes never change");
        assert!(range.start <= range.end && range.end <= self.capacity());
        // SAFETY: in bounds, mapped and initialised; every slice handed out ends at or below
        // `published` as it was then, which never moves back; `&mut self` excludes other writers.
        unsafe {
            slice::from_raw_parts_mut(
                self.memory.block.address().add(range.start),
                range.end - range.start,
            )
        }
    }

    /// Makes everything below `to` immutable and shareable.
    pub fn publish(&mut self, to: usize) {
        assert!(to >= self.published, "what was published stays published");
        assert!(to <= self.capacity());
        self.published = to;
    }

    /// Shares published bytes without copying.
    pub fn slice(&self, range: Range<usize>) -> Bytes {
        assert!(range.start <= range.end && range.end <= self.published);
        let mut view = self.view.borrow_mut();
        if view.len() < range.end {
            let memory = Arc::clone(&self.memory);
            *view = Bytes::from_owner(Published { memory, len: self.published });
        }
        view.slice(range)
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk")
            .field("capacity", &self.capacity())
            .field("published", &self.published)
            .finish_non_exhaustive()
    }
}

/// The owner behind the slices of a chunk.
struct Published {
    memory: Arc<Memory>,
    len: usize,
}

impl AsRef<[u8]> for Published {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: mapped and initialised; `len` was published, so these bytes are never written
        // again; `self` keeps the memory alive.
        unsafe { slice::from_raw_parts(self.memory.block.address(), self.len) }
    }
}
