//! Pumping: what is queued goes to the kernel, what is done comes out; and parking in between.
//!
//! One enter a turn does both: the entries of the last turn go in, the completions for the next one
//! come out. So the shell's batch of events is also the kernel's batch of operations.

use std::mem;
use std::time::Duration;

use crate::limits::COMPLETIONS_PER_PUMP_MAX;
use crate::ring::completion::Completion;
use crate::ring::shard_ring::{Ring, TIMEOUT, TIMEOUT_UPDATE};

impl Ring {
    /// Submits what is queued and appends what has completed to `out`. Never waits. The caller
    /// pumps until nothing comes out and [`Ring::has_work`] is false, then parks.
    pub fn pump(&mut self, out: &mut Vec<Completion>) {
        self.feed_starved(out);
        if let Some(entry) = self.deadline.arm(TIMEOUT, TIMEOUT_UPDATE) {
            // SAFETY: the entry points into the deadline's boxed times, which change only with the
            // next entry; the kernel reads them when the entry is submitted.
            unsafe { self.kernel.push(&entry) };
        }
        if self.kernel.wants_enter() {
            self.kernel.enter();
        }
        out.append(&mut self.ready);
        let mut raw = mem::take(&mut self.raw);
        self.kernel.take_completions(&mut raw, COMPLETIONS_PER_PUMP_MAX);
        self.counters.completions += raw.len() as u64;
        for completion in raw.drain(..) {
            self.progress(completion, out);
        }
        self.raw = raw;
        out.append(&mut self.ready);
    }

    /// Whether pumping would do something now.
    pub fn has_work(&self) -> bool {
        !self.ready.is_empty()
            || self.kernel.has_completions()
            || self.kernel.wants_enter()
            || self.deadline.wants_arming()
            || self.receive_buffers.can_feed()
    }

    /// For a thread without an executor: parks until something completes or the shard's bell rings
    /// for another reason. `is_idle` looks at whatever else can wake the shard (its mailbox).
    /// False: the time was up.
    pub fn park_thread(
        &mut self,
        timeout: Option<Duration>,
        is_idle: impl FnOnce() -> bool,
    ) -> bool {
        let idle = self.prepare_park(is_idle);
        let woken = !idle || self.bell.wait(timeout);
        self.end_park();
        woken
    }

    /// Announces that the shard is about to sleep, then looks once more. True: sleep. Either way
    /// [`Ring::end_park`] follows.
    pub(crate) fn prepare_park(&mut self, is_idle: impl FnOnce() -> bool) -> bool {
        self.bell.announce_park();
        self.kernel.arm_bell();
        is_idle() && !self.has_work()
    }

    pub(crate) fn end_park(&mut self) {
        self.bell.announce_awake();
        self.kernel.silence_bell();
    }

    /// Lets receives that found no buffer go on, in order, now that buffers have come back.
    fn feed_starved(&mut self, out: &mut Vec<Completion>) {
        self.receive_buffers.recycle();
        let count = self.receive_buffers.available().min(self.receive_buffers.starved());
        for _ in 0..count {
            if let Some(key) = self.receive_buffers.next_starved() {
                self.push_or_cancel(key, out);
            }
        }
    }
}
