//! Opening while the process or the machine has no descriptor left: it is waited for, because sockets and
//! other programs give theirs back, and a log directory that went offline for it would be lost until the
//! next start.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rustix::io::{Errno, retry_on_intr};

use crate::limits::{OPEN_RETRIES_MAX, OPEN_RETRY_MS};

/// Counts how often a file system found no descriptor.
#[derive(Debug, Default)]
pub(super) struct Descriptors {
    spent: AtomicU64,
}

impl Descriptors {
    /// Only helper threads and starts wait here, never a shard.
    pub(super) fn open<T>(&self, mut open: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
        for _ in 0..OPEN_RETRIES_MAX {
            match retry_on_intr(&mut open) {
                Err(Errno::MFILE | Errno::NFILE) => {
                    self.spent.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(OPEN_RETRY_MS));
                }
                result => return result,
            }
        }
        retry_on_intr(open)
    }

    pub(super) fn spent(&self) -> u64 {
        self.spent.load(Ordering::Relaxed)
    }
}
