//! The shard's one timer: a timeout operation that is moved, not replaced.

use io_uring::types::{TimeoutFlags, Timespec};
use io_uring::{opcode, squeue};

use crate::clock::Monotonic;

const NANOS: u64 = 1_000_000_000;

/// What the shard wants and what the kernel has.
pub(super) struct Deadline {
    wanted: Option<Monotonic>,
    /// At most one timeout operation is in the kernel. It may ring earlier than wanted (the
    /// deadline was moved back): then it is armed again, which is cheaper than moving it each time.
    armed: Option<Monotonic>,
    /// Where the kernel reads a new timeout and a moved one; boxed, so that they stay put.
    times: Box<[Timespec; 2]>,
}

impl Deadline {
    pub(super) fn new() -> Self {
        Self { wanted: None, armed: None, times: Box::new([Timespec::new(); 2]) }
    }

    pub(super) fn set(&mut self, wanted: Option<Monotonic>) {
        self.wanted = wanted;
    }

    /// Whether the kernel must be told.
    pub(super) fn wants_arming(&self) -> bool {
        match (self.wanted, self.armed) {
            (Some(wanted), Some(armed)) => wanted < armed,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    pub(super) fn is_armed(&self) -> bool {
        self.armed.is_some()
    }

    /// The entry that tells the kernel; none: it knows. The entry points into `self`, whose times
    /// stay as they are until the next call.
    pub(super) fn arm(&mut self, timeout: u64, update: u64) -> Option<squeue::Entry> {
        if !self.wants_arming() {
            return None;
        }
        let wanted = self.wanted?;
        let time = Timespec::new().sec(wanted.0 / NANOS).nsec((wanted.0 % NANOS) as u32);
        let moved = self.armed.replace(wanted).is_some();
        if moved {
            self.times[1] = time;
            let entry = opcode::TimeoutUpdate::new(timeout, &raw const self.times[1])
                .flags(TimeoutFlags::ABS)
                .build();
            return Some(entry.user_data(update));
        }
        self.times[0] = time;
        let entry = opcode::Timeout::new(&raw const self.times[0]).flags(TimeoutFlags::ABS).build();
        Some(entry.user_data(timeout))
    }

    /// The timeout operation has ended. True: what was wanted has come.
    pub(super) fn ended(&mut self, now: Monotonic) -> bool {
        self.armed = None;
        let reached = self.wanted.is_some_and(|wanted| wanted <= now);
        if reached {
            self.wanted = None;
        }
        reached
    }
}

#[cfg(test)]
mod tests {
    use super::{Deadline, Monotonic};

    #[test]
    fn only_an_earlier_deadline_is_told_to_the_kernel() {
        let mut deadline = Deadline::new();
        assert!(deadline.arm(1, 2).is_none());
        deadline.set(Some(Monotonic(100)));
        assert_eq!(deadline.arm(1, 2).map(|entry| entry.get_user_data()), Some(1));
        deadline.set(Some(Monotonic(200)));
        assert!(deadline.arm(1, 2).is_none(), "rings early, is armed again then");
        deadline.set(Some(Monotonic(50)));
        assert_eq!(deadline.arm(1, 2).map(|entry| entry.get_user_data()), Some(2));
        deadline.set(None);
        assert!(deadline.arm(1, 2).is_none());
    }

    #[test]
    fn a_timeout_that_rings_early_or_for_nobody_reaches_nothing() {
        let mut deadline = Deadline::new();
        deadline.set(Some(Monotonic(100)));
        deadline.arm(1, 2);
        deadline.set(Some(Monotonic(200)));
        assert!(!deadline.ended(Monotonic(100)));
        assert!(deadline.arm(1, 2).is_some());
        assert!(deadline.ended(Monotonic(200)));
        assert!(!deadline.wants_arming());
        deadline.set(Some(Monotonic(300)));
        deadline.arm(1, 2);
        deadline.set(None);
        assert!(!deadline.ended(Monotonic(300)));
    }
}
