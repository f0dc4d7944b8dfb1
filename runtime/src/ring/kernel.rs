//! The io_uring itself: pushing entries, entering the kernel, taking completions.

use std::io;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{Ordering, fence};

use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{IoUring, Submitter, cqueue, squeue};

use crate::locked_memory;
use crate::ring::config::{RingConfig, RingError};
use crate::ring::queues::Queues;

/// A completion as the kernel wrote it.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawCompletion {
    pub(super) user_data: u64,
    pub(super) result: i32,
    pub(super) flags: u32,
}

/// The ring. Lives on the thread that made it (the kernel refuses others: single issuer).
pub(super) struct Kernel {
    /// Only ever reached by shared reference, so that the submitter may borrow from it.
    ring: NonNull<IoUring>,
    /// Borrows from `ring`; kept because it remembers the registered ring descriptor, which saves
    /// the look-up in the process's file table on every enter.
    submitter: ManuallyDrop<Submitter<'static>>,
    /// Completions taken out of a full queue before their time.
    early: Vec<RawCompletion>,
    enters: u64,
    _on_its_thread: PhantomData<*const ()>,
}

impl Kernel {
    pub(super) fn new(config: &RingConfig, bell: BorrowedFd<'_>) -> Result<Self, RingError> {
        let ring = locked_memory::wait_for(|| set_up(config))
            .map_err(|error| RingError::Setup(error.into()))?;
        let ring = NonNull::from(Box::leak(Box::new(ring)));
        // SAFETY: the box lives until `drop`, which drops the submitter first; nothing ever makes
        // a unique reference to it meanwhile.
        let mut submitter = unsafe { ring.as_ref() }.submitter();
        // Best effort: saves some nanoseconds an enter.
        let _ = submitter.register_ring_fd();
        let kernel = Self {
            ring,
            submitter: ManuallyDrop::new(submitter),
            early: Vec::new(),
            enters: 0,
            _on_its_thread: PhantomData,
        };
        kernel
            .submitter
            .register_eventfd(bell.as_raw_fd())
            .map_err(|error| RingError::Bell(error.into()))?;
        let mut workers = [config.kernel_workers_max; 2];
        kernel
            .submitter
            .register_iowq_max_workers(&mut workers)
            .map_err(|error| RingError::Workers(error.into()))?;
        Ok(kernel)
    }

    /// For registrations.
    pub(super) fn submitter(&self) -> &Submitter<'static> {
        &self.submitter
    }

    pub(super) fn enters(&self) -> u64 {
        self.enters
    }

    /// Queues an entry; a full queue is flushed, which does not block.
    ///
    /// # Safety
    ///
    /// Everything the entry points to stays where it is and is not used otherwise until the
    /// operation's last completion.
    pub(super) unsafe fn push(&mut self, entry: &squeue::Entry) {
        loop {
            // SAFETY: the one submission queue, dropped at the end of the statement; the caller
            // answers for what the entry points to.
            let pushed = unsafe { self.ring.as_ref().submission_shared().push(entry) };
            if pushed.is_ok() {
                return;
            }
            self.enter();
            if self.submissions_full() {
                // The kernel takes nothing while completions overflow: make room for them.
                let mut early = std::mem::take(&mut self.early);
                self.take_posted(&mut early, usize::MAX);
                self.early = early;
            }
        }
    }

    /// Gives the kernel what is queued and lets it post what is ready. Never waits.
    pub(super) fn enter(&mut self) {
        self.enters += 1;
        loop {
            match self.submitter.submit() {
                Ok(_) => return,
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR) => {}
                    // Out of memory for requests, or completions overflow: what was not taken
                    // stays queued for the next time.
                    Some(libc::EAGAIN | libc::EBUSY) => return,
                    _ => panic!("io_uring_enter failed: {error}"),
                },
            }
        }
    }

    /// Waits for a completion for at most `nanos`; only for the end of a ring.
    pub(super) fn enter_and_wait(&mut self, nanos: u32) {
        let time = Timespec::new().nsec(nanos);
        // ETIME, EINTR: the caller looks again.
        let _ = self.submitter.submit_with_args(1, &SubmitArgs::new().timespec(&time));
    }

    /// Takes up to `max` posted completions.
    pub(super) fn take_completions(&mut self, out: &mut Vec<RawCompletion>, max: usize) {
        if self.early.is_empty() {
            self.take_posted(out, max);
        } else {
            let count = self.early.len().min(max);
            out.extend(self.early.drain(..count));
        }
    }

    fn take_posted(&self, out: &mut Vec<RawCompletion>, max: usize) {
        // SAFETY: the one completion queue, dropped at the end of the function.
        let queue = unsafe { self.ring.as_ref().completion_shared() };
        out.extend(queue.take(max).map(|entry: cqueue::Entry| RawCompletion {
            user_data: entry.user_data(),
            result: entry.result(),
            flags: entry.flags(),
        }));
    }

    /// Whether entering would do something: entries are queued, or the kernel has work to run for
    /// us before it can post.
    pub(super) fn wants_enter(&self) -> bool {
        // SAFETY: the one submission queue, dropped at the end of the function.
        let queue = unsafe { self.ring.as_ref().submission_shared() };
        !queue.is_empty() || queue.taskrun() || queue.cq_overflow()
    }

    /// Whether completions are there to be taken.
    pub(super) fn has_completions(&self) -> bool {
        // SAFETY: the one completion queue, dropped at the end of the statement.
        !self.early.is_empty() || unsafe { !self.ring.as_ref().completion_shared().is_empty() }
    }

    fn submissions_full(&self) -> bool {
        // SAFETY: the one submission queue, dropped at the end of the statement.
        unsafe { self.ring.as_ref().submission_shared().is_full() }
    }

    /// While the shard is awake it looks for itself: completions need not write the eventfd.
    pub(super) fn silence_bell(&self) {
        // SAFETY: the one completion queue, dropped at the end of the statement.
        unsafe { self.ring.as_ref().completion_shared() }.disable_eventfd();
    }

    /// Before parking. The caller looks for work once more afterwards: the kernel posts, then looks
    /// at the flag; we set the flag, then look at what is posted.
    pub(super) fn arm_bell(&self) {
        // SAFETY: the one completion queue, dropped at the end of the statement.
        unsafe { self.ring.as_ref().completion_shared() }.enable_eventfd();
        fence(Ordering::SeqCst);
    }
}

/// The ring, with queues as long as may be locked, for which they count: shorter ones cost more trips to
/// the kernel, nothing else.
fn set_up(config: &RingConfig) -> io::Result<IoUring> {
    let mut queues = Queues::within(config.operations_max, config.locked_bytes_max);
    loop {
        let made = IoUring::builder()
            .setup_single_issuer()
            // Completions are posted when we enter, not in the middle of something else.
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            // A bad entry fails alone; the batch goes on.
            .setup_submit_all()
            .setup_clamp()
            .setup_cqsize(u32::try_from(queues.completions).expect("bounded by OPERATIONS_MAX"))
            .build(u32::try_from(queues.submissions()).expect("bounded by SUBMISSIONS_MAX"));
        match (made, queues.shorter()) {
            (Err(error), Some(shorter)) if error.raw_os_error() == Some(libc::ENOMEM) => {
                queues = shorter;
            }
            (made, _) => return made,
        }
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        // A registered descriptor would keep the ring alive until the thread ends.
        let _ = self.submitter.unregister_ring_fd();
        // SAFETY: the submitter borrows from the ring and goes first; the ring was leaked from a
        // box in `new` and nothing else refers to it.
        unsafe {
            ManuallyDrop::drop(&mut self.submitter);
            drop(Box::from_raw(self.ring.as_ptr()));
        }
    }
}
