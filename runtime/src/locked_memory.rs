//! Locked memory: one limit (RLIMIT_MEMLOCK) for all processes of a user. Since Linux 6.13 rings count.
//!
//! What a node takes of it is settled before its first shard starts:
//!
//! ```text
//!   all shards ≤ half of the limit          so that several nodes of a user run side by side
//!   a shard    = executor (24 KiB) + queues of its ring + provided buffers (4 KiB)
//!   a ring     ≤ a sixteenth of the limit, and no less than two pages
//! ```
//!
//! What a process that just ended had locked is given back a little later, by a worker of the kernel: a node
//! that takes the place of another waits for it.

use std::io;
use std::thread::sleep;

use crate::limits::{
    EXECUTOR_LOCKED_BYTES, LOCKED_MEMORY_WAIT, LOCKED_MEMORY_WAITS_MAX, LOCKED_NODE_SHARE,
    LOCKED_RING_SHARE, PAGE_BYTES, RING_LOCKED_BYTES_MIN, SHARD_LOCKED_BYTES_MIN,
};
use crate::os_error::OsError;

/// Why a shard does not start where all shards together should fit: others of the user have the rest.
pub(crate) const LOCKED_MEMORY_SPENT: &str = "the rings may not lock as much memory as they need \
    (RLIMIT_MEMLOCK, which all processes of a user share): stop others of this user, or raise the limit with \
    `ulimit -l unlimited`, LimitMEMLOCK=infinity in the systemd unit, or `docker run --ulimit memlock=-1 …`";

pub(crate) fn is_locked_memory_spent(error: OsError) -> bool {
    error.raw() == libc::ENOMEM
}

/// How many shards fit into this much locked memory.
pub fn shards_max(locked_bytes_max: u64) -> u64 {
    locked_bytes_max / SHARD_LOCKED_BYTES_MIN
}

/// What the queues of one ring may lock where so many shards share what the user may lock (none: as much
/// as it likes).
pub fn ring_share(locked_bytes_max: Option<u64>, shards: u64) -> u64 {
    let Some(all) = locked_bytes_max else { return u64::MAX };
    let shard = (all / LOCKED_NODE_SHARE / shards).max(SHARD_LOCKED_BYTES_MIN);
    let beside_queues = EXECUTOR_LOCKED_BYTES + PAGE_BYTES as u64;
    let ring = (shard - beside_queues).min(all / LOCKED_RING_SHARE);
    ring.max(RING_LOCKED_BYTES_MIN - PAGE_BYTES as u64)
}

/// Attempts again, for a bounded time, what the kernel has no memory for.
pub(crate) fn wait_for<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..LOCKED_MEMORY_WAITS_MAX {
        match attempt() {
            Err(error) if error.raw_os_error() == Some(libc::ENOMEM) => sleep(LOCKED_MEMORY_WAIT),
            result => return result,
        }
    }
    attempt()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{ring_share, shards_max, wait_for};
    use crate::limits::{EXECUTOR_LOCKED_BYTES, PAGE_BYTES};

    #[test]
    fn only_missing_memory_is_waited_for() {
        let mut attempts = 0;
        let found = wait_for(|| {
            attempts += 1;
            if attempts < 3 {
                Err(io::Error::from_raw_os_error(libc::ENOMEM))
            } else {
                Ok(attempts)
            }
        });
        assert_eq!(found.unwrap(), 3);
        let refused = wait_for::<()>(|| Err(io::Error::from_raw_os_error(libc::EPERM)));
        assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::EPERM));
    }

    #[test]
    fn all_shards_that_fit_fit_together() {
        for limit in (512 << 10..64 << 20).step_by(99_991) {
            for shards in (1..=shards_max(limit)).step_by(3) {
                let shard =
                    ring_share(Some(limit), shards) + EXECUTOR_LOCKED_BYTES + PAGE_BYTES as u64;
                assert!(shard * shards <= limit, "{shards} shards in {limit} bytes");
            }
        }
    }

    #[test]
    fn the_limit_of_a_stock_login_carries_all_queues_of_a_few_shards_and_some_of_many() {
        let share = |shards| ring_share(Some(8 << 20), shards) >> 10;
        assert_eq!([1, 3, 5, 17, 65].map(share), [512, 512, 512, 212, 35]);
        assert_eq!(shards_max(8 << 20), 227);
        assert_eq!(shards_max(512 << 10), 14);
        assert_eq!(ring_share(None, 3), u64::MAX);
    }
}
