//! A block: a piece of an arena that belongs to its holder alone.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::slice;
use std::sync::Arc;

use bytes::Bytes;

use crate::memory::region::Region;

/// A piece of an arena, nobody else's. May travel to any thread; wherever it is dropped, its arena
/// has it back at its next allocation.
pub struct Block {
    region: Arc<Region>,
    page: u32,
    bytes: usize,
}

impl Block {
    pub(super) fn new(region: Arc<Region>, page: u32, bytes: usize) -> Self {
        Self { region, page, bytes }
    }

    /// Its size: at least what was asked for.
    pub fn capacity(&self) -> usize {
        self.bytes
    }

    /// Its first `len` bytes, shared and immutable from now on. The memory returns to the arena
    /// with the last slice.
    pub fn freeze(self, len: usize) -> Bytes {
        assert!(len <= self.bytes, "a block of {} bytes holds no {len}", self.bytes);
        Bytes::from_owner(Frozen { block: self, len })
    }

    /// The first byte. Reading and writing through it follow the rules of the block: see [`Block`]
    /// and `Chunk`.
    pub(crate) fn address(&self) -> *mut u8 {
        self.region.address(self.page)
    }
}

impl Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the whole range is mapped and initialised (anonymous pages are zero), lives as
        // long as `self` holds the region, and only this block reaches it.
        unsafe { slice::from_raw_parts(self.address(), self.bytes) }
    }
}

impl DerefMut for Block {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `deref`; `&mut self` makes the access exclusive.
        unsafe { slice::from_raw_parts_mut(self.address(), self.bytes) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // The same way on the owner's thread as on any other: one uncontended compare-and-swap,
        // and no question of who the owner is.
        self.region.give_back(self.page);
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block").field("page", &self.page).field("capacity", &self.bytes).finish()
    }
}

/// The owner behind the slices of a frozen block.
struct Frozen {
    block: Block,
    len: usize,
}

impl AsRef<[u8]> for Frozen {
    fn as_ref(&self) -> &[u8] {
        &self.block[..self.len]
    }
}
