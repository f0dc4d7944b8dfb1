//! The arena: all aligned memory of one shard, bounded.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use crate::limits::PAGE_BYTES;
use crate::memory::block::Block;
use crate::memory::buddy::Buddy;
use crate::memory::range::MemoryRange;
use crate::memory::region::Region;

/// All aligned memory of one shard. A handle: clones share the memory; none leaves its thread.
///
/// What is never written is never backed by physical memory.
#[derive(Clone)]
pub struct Arena {
    shared: Rc<Shared>,
}

struct Shared {
    region: Arc<Region>,
    buddy: RefCell<Buddy>,
}

impl Arena {
    /// An arena of `bytes`, rounded up to whole pages.
    pub fn new(bytes: usize) -> io::Result<Self> {
        let region = Arc::new(Region::map(bytes)?);
        let pages = u32::try_from(region.bytes() / PAGE_BYTES).expect("bounded by ARENA_BYTES_MAX");
        Ok(Self { shared: Rc::new(Shared { region, buddy: RefCell::new(Buddy::new(pages)) }) })
    }

    /// A block of at least `len` bytes: a power of two of 4 KiB or more, 4 KiB-aligned (aligned to
    /// its own size up to 2 MiB), nobody else's. Its contents are unspecified. None: the budget is
    /// spent, or no hole is large enough.
    pub fn allocate(&self, len: usize) -> Option<Block> {
        let order = Buddy::order_of(len)?;
        let mut buddy = self.shared.buddy.borrow_mut();
        self.shared.region.take_returned(|page| buddy.give_back(page));
        let page = buddy.take(order)?;
        Some(Block::new(Arc::clone(&self.shared.region), page, PAGE_BYTES << order))
    }

    /// Bytes of the whole arena.
    pub fn capacity(&self) -> usize {
        self.shared.region.bytes()
    }

    /// Bytes in blocks that are in use: not yet dropped, or still referred to by a slice.
    pub fn allocated(&self) -> usize {
        let mut buddy = self.shared.buddy.borrow_mut();
        self.shared.region.take_returned(|page| buddy.give_back(page));
        self.capacity() - buddy.free_pages() as usize * PAGE_BYTES
    }

    /// Where its memory lies.
    pub fn range(&self) -> MemoryRange {
        MemoryRange::new(self.shared.region.base(), self.shared.region.bytes())
    }

    /// The mapping, for registration with a ring.
    pub(crate) fn region(&self) -> &Arc<Region> {
        &self.shared.region
    }
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena")
            .field("capacity", &self.capacity())
            .field("allocated", &self.allocated())
            .finish()
    }
}
