//! The mapping below an arena, and the lane on which blocks come back from any thread.

use std::io;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

use crate::limits::{ARENA_ALIGNMENT_BYTES, ARENA_BYTES_MAX, PAGE_BYTES};

/// No page: the end of the return lane.
const NONE: u32 = 0;

/// Anonymous memory, 2 MiB-aligned and touched lazily, so zero where nobody has written.
///
/// Invariant: a byte of the mapping is reached either through the one `Block` it belongs to, or
/// through shared slices of bytes that nobody writes any more.
pub(crate) struct Region {
    base: NonNull<u8>,
    bytes: usize,
    /// The lane is a stack: the page (plus one) that was returned last …
    lane_head: AtomicU32,
    /// … and for each returned page the one returned before it. Kept beside the memory, not in it,
    /// so that returning a block touches neither its cache lines nor a page never used.
    lane_next: Box<[AtomicU32]>,
}

// SAFETY: the region itself only hands out addresses; the lane is atomic. Who may read or write
// the bytes is decided by `Block` (unique) and by published slices (shared, never written again).
unsafe impl Send for Region {}
// SAFETY: as above; every method takes `&self` and touches atomics only.
unsafe impl Sync for Region {}

impl Region {
    /// Maps `bytes`, rounded up to whole pages.
    pub(crate) fn map(bytes: usize) -> io::Result<Self> {
        if bytes == 0 || bytes > ARENA_BYTES_MAX {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let bytes = bytes.next_multiple_of(PAGE_BYTES);
        let padded = bytes + ARENA_ALIGNMENT_BYTES;
        // SAFETY: a fresh anonymous mapping at an address of the kernel's choice overlaps nothing.
        let mapped = unsafe {
            mmap_anonymous(
                ptr::null_mut(),
                padded,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )?
        };
        let head = mapped.cast::<u8>().align_offset(ARENA_ALIGNMENT_BYTES);
        let tail = padded - head - bytes;
        // SAFETY: `head` and `tail` cut the unused ends off the mapping made above; both are whole
        // pages, and nothing refers to them yet.
        let base = unsafe {
            let base = mapped.byte_add(head);
            if head > 0 {
                munmap(mapped, head)?;
            }
            if tail > 0 {
                munmap(base.byte_add(bytes), tail)?;
            }
            // Best effort: a kernel without huge pages serves small ones.
            let _ = madvise(base, bytes, Advice::LinuxHugepage);
            base
        };
        Ok(Self {
            base: NonNull::new(base.cast()).expect("the kernel maps nothing at address zero"),
            bytes,
            lane_head: AtomicU32::new(NONE),
            lane_next: (0..bytes / PAGE_BYTES).map(|_| AtomicU32::new(NONE)).collect(),
        })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The first byte; for registration with the kernel and for address arithmetic.
    pub(crate) fn base(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// The address of a page.
    pub(crate) fn address(&self, page: u32) -> *mut u8 {
        let offset = page as usize * PAGE_BYTES;
        assert!(offset < self.bytes);
        // SAFETY: within the mapping, as asserted.
        unsafe { self.base.as_ptr().add(offset) }
    }

    /// Any thread: the block that starts at `page` is free again.
    pub(crate) fn give_back(&self, page: u32) {
        let mut head = self.lane_head.load(Ordering::Relaxed);
        loop {
            self.lane_next[page as usize].store(head, Ordering::Relaxed);
            // Release: what this thread did with the block's bytes happens before the owner hands
            // them out again. The stack is only pushed to or taken whole, so a head that was taken
            // and pushed again between the load and here is still the right successor.
            match self.lane_head.compare_exchange_weak(
                head,
                page + 1,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Whether something came back since the last `take_returned`.
    pub(crate) fn has_returned(&self) -> bool {
        self.lane_head.load(Ordering::Relaxed) != NONE
    }

    /// The owner: takes every returned page, one call of `each` per block.
    pub(crate) fn take_returned(&self, mut each: impl FnMut(u32)) {
        // The usual case, nothing came back, costs one load.
        if self.lane_head.load(Ordering::Relaxed) == NONE {
            return;
        }
        let mut next = self.lane_head.swap(NONE, Ordering::Acquire);
        while next != NONE {
            let page = next - 1;
            // Read before `each`, which may let the page be handed out and returned again.
            next = self.lane_next[page as usize].load(Ordering::Relaxed);
            each(page);
        }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the last of the arena, its blocks and its slices is gone (they hold this in an
        // `Arc`), so no address of the mapping is in use.
        let unmapped = unsafe { munmap(self.base.as_ptr().cast(), self.bytes) };
        debug_assert!(unmapped.is_ok());
    }
}
