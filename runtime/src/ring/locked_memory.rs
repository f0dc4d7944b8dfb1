//! Waiting for memory that may be locked. What a process that just ended had locked is given back a little
//! later, by a worker of the kernel: a node that takes the place of another waits for it.

use std::io;
use std::thread::sleep;

use crate::limits::{LOCKED_MEMORY_WAIT, LOCKED_MEMORY_WAITS_MAX};

/// Attempts again, for a bounded time, what the kernel has no memory for.
pub(super) fn wait_for<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
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

    use super::wait_for;

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
}
