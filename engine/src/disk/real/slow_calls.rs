//! A bound on the calls of all of a node's helper threads that keep the device or its file system
//! busy for long.

use std::io;

use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;
use rustix::io::{read, retry_on_intr, write};

/// Permits for slow calls; shared by the file systems of all of a node's shards. A semaphore of the
/// kernel's: only helper threads wait for it, never a shard.
#[derive(Debug)]
pub struct SlowCalls {
    permits: OwnedFd,
}

/// One call may be under way while this is held.
#[derive(Debug)]
pub(super) struct Permit<'a>(&'a SlowCalls);

impl SlowCalls {
    pub fn new(in_flight_max: u32) -> io::Result<Self> {
        assert!(in_flight_max > 0, "at least one call at a time");
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::SEMAPHORE;
        Ok(Self { permits: eventfd(in_flight_max, flags)? })
    }

    /// Waits for its turn.
    pub(super) fn take(&self) -> Permit<'_> {
        let mut one = [0; 8];
        retry_on_intr(|| read(&self.permits, &mut one)).expect("an eventfd of ours can be read");
        Permit(self)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        retry_on_intr(|| write(&self.0.permits, &1_u64.to_ne_bytes()))
            .expect("an eventfd takes eight bytes");
    }
}
