//! Receive buffers provided to the kernel: it picks one when bytes arrive, so that a connection that
//! waits holds none.
//!
//! ```text
//!   kernel ring ──picked──► Received (Bytes, any thread) ──drop──► return lane ──recycle──► kernel ring
//! ```

use std::collections::VecDeque;
use std::io;
use std::ptr;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering, fence};

use bytes::Bytes;

use crate::limits::{PAGE_BYTES, RECEIVE_BUFFER_BYTES};
use crate::locked_memory;
use crate::mailbox::Bell;
use crate::memory::Region;
use crate::ring::kernel::Kernel;
use crate::ring::slab::Key;

/// The one group of provided buffers of a ring.
pub(super) const GROUP: u16 = 0;

const PAGES_PER_BUFFER: u32 = (RECEIVE_BUFFER_BYTES / PAGE_BYTES) as u32;
const _: () = assert!(RECEIVE_BUFFER_BYTES.is_multiple_of(PAGE_BYTES));

/// An entry of the kernel's buffer ring. The tail lives in the first entry's last field.
#[repr(C)]
struct Entry {
    address: u64,
    len: u32,
    buffer: u16,
    tail: u16,
}
const _: () = assert!(size_of::<Entry>() == 16);

pub(super) struct ReceiveBuffers {
    /// Shared with the kernel: written here, read there.
    entries: Region,
    count: u16,
    tail: u16,
    /// Buffers the kernel may still pick.
    available: usize,
    pool: Arc<Pool>,
    /// Receives that found no buffer; they go on, in order, when buffers come back.
    starved: VecDeque<Key>,
}

/// The buffers themselves; outlive the ring while slices of them are held.
struct Pool {
    buffers: Region,
    /// Receives wait for buffers: whoever returns one wakes the shard.
    starved: AtomicBool,
    bell: Arc<Bell>,
}

impl ReceiveBuffers {
    pub(super) fn new(kernel: &Kernel, count: usize, bell: Arc<Bell>) -> io::Result<Self> {
        let entries = Region::map(count * size_of::<Entry>())?;
        let buffers = Region::map(count * RECEIVE_BUFFER_BYTES)?;
        let count = u16::try_from(count).expect("bounded by RECEIVE_BUFFERS_MAX");
        // SAFETY: the entries are mapped, page-aligned, zero (an empty ring), and outlive the
        // kernel's use of them: a ring waits for its operations before it drops this.
        let register = || unsafe {
            kernel.submitter().register_buf_ring_with_flags(entries.base() as u64, count, GROUP, 0)
        };
        locked_memory::wait_for(register)?;
        let pool = Arc::new(Pool { buffers, starved: AtomicBool::new(false), bell });
        let mut new =
            Self { entries, count, tail: 0, available: 0, pool, starved: VecDeque::new() };
        for buffer in 0..count {
            new.provide(buffer);
        }
        new.publish();
        Ok(new)
    }

    /// Buffers the kernel may pick now.
    pub(super) fn available(&self) -> usize {
        self.available
    }

    /// The kernel picked a buffer and wrote `len` bytes into it.
    pub(super) fn received(&mut self, buffer: u16, len: usize) -> Bytes {
        assert!(buffer < self.count && len <= RECEIVE_BUFFER_BYTES);
        self.available -= 1;
        Bytes::from_owner(Received { pool: Arc::clone(&self.pool), buffer, len })
    }

    /// A receive found no buffer.
    pub(super) fn starve(&mut self, operation: Key) {
        self.starved.push_back(operation);
        self.pool.starved.store(true, Ordering::Relaxed);
    }

    /// Gives returned buffers to the kernel again.
    pub(super) fn recycle(&mut self) {
        if !self.pool.buffers.has_returned() {
            return;
        }
        let pool = Arc::clone(&self.pool);
        pool.buffers.take_returned(|page| {
            self.provide(u16::try_from(page / PAGES_PER_BUFFER).expect("one of `count`"));
        });
        self.publish();
    }

    /// A starved receive that may try again, at most as many in a row as buffers are available.
    pub(super) fn next_starved(&mut self) -> Option<Key> {
        let next = self.starved.pop_front();
        if self.starved.is_empty() {
            self.pool.starved.store(false, Ordering::Relaxed);
        }
        next
    }

    pub(super) fn starved(&self) -> usize {
        self.starved.len()
    }

    /// Whether starved receives could go on.
    pub(super) fn can_feed(&self) -> bool {
        !self.starved.is_empty() && (self.available > 0 || self.pool.buffers.has_returned())
    }

    /// Takes starved receives that `which` names out of the queue.
    pub(super) fn forget_starved(&mut self, mut which: impl FnMut(Key) -> bool) -> Vec<Key> {
        let (gone, kept) = self.starved.drain(..).partition(|key| which(*key));
        self.starved = kept;
        let mut gone: VecDeque<Key> = gone;
        gone.make_contiguous().to_vec()
    }

    /// For a ring that could not end its operations: the kernel may write here for ever.
    pub(super) fn leak(&self) {
        std::mem::forget(Arc::clone(&self.pool));
    }

    fn provide(&mut self, buffer: u16) {
        let index = usize::from(self.tail & (self.count - 1));
        let address = self.pool.buffers.address(u32::from(buffer) * PAGES_PER_BUFFER);
        let entry = self.entries.base().cast::<Entry>().wrapping_add(index);
        // SAFETY: in bounds; the kernel reads an entry only once the tail is past it. The tail,
        // which shares the first entry, is not touched.
        unsafe {
            ptr::addr_of_mut!((*entry).address).write(address as u64);
            ptr::addr_of_mut!((*entry).len).write(RECEIVE_BUFFER_BYTES as u32);
            ptr::addr_of_mut!((*entry).buffer).write(buffer);
        }
        self.tail = self.tail.wrapping_add(1);
        self.available += 1;
        assert!(self.available <= usize::from(self.count), "a buffer is returned once");
    }

    fn publish(&self) {
        let first = self.entries.base().cast::<Entry>();
        // SAFETY: mapped, aligned; the kernel only loads it.
        let tail = unsafe { AtomicU16::from_ptr(ptr::addr_of_mut!((*first).tail)) };
        tail.store(self.tail, Ordering::Release);
    }
}

/// The owner behind the slices of a receive buffer.
struct Received {
    pool: Arc<Pool>,
    buffer: u16,
    len: usize,
}

impl Received {
    fn page(&self) -> u32 {
        u32::from(self.buffer) * PAGES_PER_BUFFER
    }
}

impl AsRef<[u8]> for Received {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: mapped and initialised; the kernel wrote these bytes before it posted the
        // completion and does not touch the buffer until it is provided again, after the drop.
        unsafe { slice::from_raw_parts(self.pool.buffers.address(self.page()), self.len) }
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        self.pool.buffers.give_back(self.page());
        // With the fence of the bell on the other side: either the shard sees the buffer before it
        // parks, or this sees that it starves.
        fence(Ordering::SeqCst);
        if self.pool.starved.load(Ordering::Relaxed) {
            self.pool.bell.ring_if_parked();
        }
    }
}
