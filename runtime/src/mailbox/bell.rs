//! The bell of a shard: what wakes it when it sleeps, and costs one load when it does not.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

/// Wakes one sleeping shard, from any thread.
///
/// The handshake (a Dekker pair; both fences are sequentially consistent, so at least one side
/// sees the other's store and no wake-up is lost):
///
/// ```text
///   sleeper: parked = true;  fence;  look at the queues again;  wait
///   sender:  queue an item;  fence;  parked?  then parked = false, write the eventfd
/// ```
#[derive(Debug)]
#[repr(align(128))] // On cache lines of its own: every sender looks at it.
pub struct Bell {
    parked: AtomicBool,
    eventfd: OwnedFd,
}

impl Bell {
    pub fn new() -> io::Result<Self> {
        // Blocking, or a ring's read of it would report EAGAIN instead of waiting.
        let eventfd = eventfd(0, EventfdFlags::CLOEXEC)?;
        Ok(Self { parked: AtomicBool::new(false), eventfd })
    }

    /// A sender, after it has queued something: wakes the shard if it sleeps.
    pub fn ring_if_parked(&self) {
        fence(Ordering::SeqCst);
        // Of several senders one pays for the system call.
        if self.parked.load(Ordering::Relaxed) && self.parked.swap(false, Ordering::Relaxed) {
            self.ring();
        }
    }

    /// Wakes the shard, or lets its next wait return at once.
    pub fn ring(&self) {
        rustix::io::retry_on_intr(|| rustix::io::write(&self.eventfd, &1_u64.to_ne_bytes()))
            .expect("an eventfd takes eight bytes");
    }

    /// The sleeper, before it looks at its queues for the last time.
    pub fn announce_park(&self) {
        self.parked.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The sleeper, awake again (or not gone to sleep after all).
    pub fn announce_awake(&self) {
        self.parked.store(false, Ordering::Relaxed);
    }

    /// Waits until the bell rings; for threads without an executor. False: the time was up, or a
    /// signal came: the caller looks at its queues and waits again.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        let readable = self.poll(timeout);
        if readable {
            self.silence();
        }
        readable
    }

    fn poll(&self, timeout: Option<Duration>) -> bool {
        let timeout = timeout.map(|duration| Timespec {
            tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(duration.subsec_nanos()),
        });
        let mut fds = [PollFd::new(&self.eventfd, PollFlags::IN)];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(ready) => ready > 0,
            // A signal.
            Err(Errno::INTR) => false,
            Err(error) => panic!("an eventfd can be polled: {error}"),
        }
    }

    /// Takes what was rung; only while it is readable, or this would wait.
    fn silence(&self) {
        let mut count = [0_u8; 8];
        match rustix::io::read(&self.eventfd, &mut count) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => panic!("an eventfd gives eight bytes: {error}"),
        }
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }
}
