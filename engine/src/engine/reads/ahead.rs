//! Windows that are read before a sequential reader asks for them.

use protocol::Offset;

use super::{Purpose, Read, window_bytes};
use crate::engine::{Engine, Slot};
use crate::limits::{AHEAD_MAX, BLOCK_BYTES};
use crate::partition::window::Window;

/// The window behind the last one that a partition's sequential reader was given.
#[derive(Debug)]
pub(super) struct Ahead {
    pub(super) segment: Offset,
    pub(super) generation: u64,
    pub(super) start: u64,
    pub(super) end: u64,
    /// `None` while it is being read.
    pub(super) window: Option<Window>,
    pub(super) waiting: Vec<Read>,
    /// A tick passed and nobody asked for it.
    is_idle: bool,
}

impl Engine {
    /// Reads the next window of a sequential reader before it asks.
    pub(super) fn read_ahead(&mut self, read: &Read, from: u64, to: u64) {
        let slot = read.slot;
        let here = (read.segment, to);
        let before = self.reads.last_end.insert(slot, here);
        let is_sequential =
            before.is_some_and(|(segment, end)| segment == read.segment && end == from);
        if !is_sequential
            || self.reads.ahead.len() >= AHEAD_MAX
            || self.reads.ahead.contains_key(&slot)
        {
            return;
        }
        let bytes = window_bytes(read);
        if let Some(end) = self.issue_window(slot, read.segment, to, bytes, Purpose::Ahead) {
            let start = to - to % BLOCK_BYTES as u64;
            let ahead = Ahead {
                segment: read.segment,
                generation: read.generation,
                start,
                end,
                window: None,
                waiting: Vec::new(),
                is_idle: false,
            };
            self.reads.ahead.insert(slot, ahead);
        }
    }

    pub(super) fn on_ahead(
        &mut self,
        slot: Slot,
        segment: (Offset, u64),
        start: u64,
        window: Option<Window>,
    ) {
        let is_it =
            |ahead: &Ahead| (ahead.segment, ahead.generation) == segment && ahead.start == start;
        let Some(ahead) = self.reads.ahead.get_mut(&slot).filter(|ahead| is_it(ahead)) else {
            return;
        };
        let mut waiting = std::mem::take(&mut ahead.waiting);
        ahead.window = window;
        if ahead.window.is_none() {
            self.reads.ahead.remove(&slot);
        }
        for read in waiting.drain(..) {
            self.step(read);
        }
    }

    pub(in crate::engine) fn drop_read_ahead(&mut self) {
        self.reads.ahead.retain(|_, ahead| ahead.window.is_none());
    }

    /// Windows that nobody asked for since the last tick are not worth their memory.
    pub(in crate::engine) fn drop_idle_read_ahead(&mut self) {
        self.reads.ahead.retain(|_, ahead| {
            let is_idle = std::mem::replace(&mut ahead.is_idle, true);
            !is_idle || ahead.window.is_none()
        });
    }

    /// What was read ahead of a partition is not what its files hold any more; whoever waits for it asks again.
    pub(in crate::engine) fn drop_ahead_of(&mut self, slot: Slot) {
        self.reads.last_end.remove(&slot);
        if let Some(ahead) = self.reads.ahead.remove(&slot) {
            self.reads.queue.extend(ahead.waiting);
        }
    }

    /// Forgets what was read ahead of a partition that goes away.
    pub(in crate::engine) fn forget_reads(&mut self, slot: Slot) {
        self.reads.last_end.remove(&slot);
        if self.reads.ahead.get(&slot).is_some_and(|ahead| ahead.window.is_some()) {
            self.reads.ahead.remove(&slot);
        }
    }
}
