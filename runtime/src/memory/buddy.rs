//! Which pages of a region are free: a binary buddy system over page numbers.
//!
//! ```text
//!   order 2 │        0..4         │        4..8         │   allocate: split the smallest that fits,
//!   order 1 │  0..2   │  2..4     │  4..6   │  6..8     │             low half first
//!   order 0 │ 0  │ 1  │ 2  │ 3    │ …                   │   free: merge with the buddy while it is free
//! ```

use crate::limits::{BLOCK_BYTES_MAX, PAGE_BYTES};

/// Orders of block sizes: 4 KiB (order 0) to [`BLOCK_BYTES_MAX`].
const ORDERS: usize = (BLOCK_BYTES_MAX / PAGE_BYTES).trailing_zeros() as usize + 1;

/// What a page is the first page of. Other pages are `INSIDE`.
const INSIDE: u8 = 0;
const FREE: u8 = 0x40;
const TAKEN: u8 = 0x80;

const _: () = assert!(ORDERS <= 32 && ORDERS < FREE as usize);

/// Page bookkeeping of one arena; pages are `0..pages`.
///
/// Invariants: the blocks marked FREE and TAKEN tile `0..pages`; each is aligned to its own size;
/// a free block is in the list of its order; no two free buddies exist.
pub(super) struct Buddy {
    pages: u32,
    free_pages: u32,
    /// Bit n: the list of order n is not empty.
    non_empty: u32,
    /// First free page (plus one) per order; zero: none.
    heads: [u32; ORDERS],
    /// Previous and next free page (plus one) in its list. Zero pages, so untouched memory costs
    /// nothing.
    links: Vec<[u32; 2]>,
    states: Vec<u8>,
}

impl Buddy {
    pub(super) fn new(pages: u32) -> Self {
        let mut buddy = Self {
            pages,
            free_pages: pages,
            non_empty: 0,
            heads: [0; ORDERS],
            links: vec![[0; 2]; pages as usize],
            states: vec![INSIDE; pages as usize],
        };
        let mut page = 0;
        while page < pages {
            let aligned = if page == 0 { 31 } else { page.trailing_zeros() };
            let fitting = (pages - page).ilog2();
            let order = (aligned.min(fitting) as usize).min(ORDERS - 1);
            buddy.push(page, order);
            page += 1 << order;
        }
        buddy
    }

    pub(super) fn free_pages(&self) -> u32 {
        self.free_pages
    }

    /// The order whose blocks hold `bytes`; none where no block can.
    pub(super) fn order_of(bytes: usize) -> Option<usize> {
        if bytes > BLOCK_BYTES_MAX {
            return None;
        }
        Some(bytes.div_ceil(PAGE_BYTES).next_power_of_two().trailing_zeros() as usize)
    }

    /// Takes a block of `order`; its first page.
    pub(super) fn take(&mut self, order: usize) -> Option<u32> {
        let fitting = self.non_empty & !((1_u32 << order) - 1);
        if fitting == 0 {
            return None;
        }
        let mut found = fitting.trailing_zeros() as usize;
        let page = self.heads[found] - 1;
        self.unlink(page, found);
        while found > order {
            found -= 1;
            self.push(page + (1 << found), found);
        }
        self.states[page as usize] = TAKEN | order as u8;
        self.free_pages -= 1 << order;
        Some(page)
    }

    /// Gives back a block by its first page.
    pub(super) fn give_back(&mut self, mut page: u32) {
        let state = self.states[page as usize];
        assert!(state & TAKEN != 0, "only a taken block can be given back");
        let mut order = (state & !TAKEN) as usize;
        self.free_pages += 1 << order;
        self.states[page as usize] = INSIDE;
        while order < ORDERS - 1 {
            let buddy = page ^ (1 << order);
            // A buddy that would reach beyond the end is never marked free at this order.
            if buddy >= self.pages || self.states[buddy as usize] != FREE | order as u8 {
                break;
            }
            self.unlink(buddy, order);
            page = page.min(buddy);
            order += 1;
        }
        self.push(page, order);
    }

    fn push(&mut self, page: u32, order: usize) {
        let next = self.heads[order];
        if next != 0 {
            self.links[next as usize - 1][0] = page + 1;
        }
        self.links[page as usize] = [0, next];
        self.heads[order] = page + 1;
        self.non_empty |= 1 << order;
        self.states[page as usize] = FREE | order as u8;
    }

    fn unlink(&mut self, page: u32, order: usize) {
        debug_assert_eq!(self.states[page as usize], FREE | order as u8);
        let [previous, next] = self.links[page as usize];
        if next != 0 {
            self.links[next as usize - 1][0] = previous;
        }
        if previous == 0 {
            self.heads[order] = next;
            if next == 0 {
                self.non_empty &= !(1 << order);
            }
        } else {
            self.links[previous as usize - 1][1] = next;
        }
        self.states[page as usize] = INSIDE;
    }
}
