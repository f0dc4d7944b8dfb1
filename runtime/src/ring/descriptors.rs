//! The file descriptors a ring owns.
//!
//! An owned descriptor cannot be closed, and its number reused, while an operation still names it;
//! and all of them are registered with the kernel, so that an operation takes no reference of the
//! process's file table.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use io_uring::types::{CancelBuilder, Fd, Fixed};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::net::{Shutdown, shutdown};

use crate::os_error::OsError;
use crate::ring::completion::Token;
use crate::ring::kernel::Kernel;
use crate::ring::slab::{Key, Slab};

/// A socket or a file that a ring owns. Stale once it is closed, even if its slot is reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Descriptor(pub(super) Key);

/// What an operation names in its kernel entry.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    Registered(u32),
    Plain(RawFd),
}

/// All descriptors of one ring.
pub(super) struct Descriptors {
    slab: Slab<Owned>,
    /// Whether the kernel has our table; without it, operations name plain descriptors.
    registered: bool,
    /// The ring is ending.
    abandoned: bool,
}

struct Owned {
    fd: OwnedFd,
    /// Operations that may still use the descriptor.
    operations: u32,
    closing: Option<Token>,
    /// The last receive left bytes behind: the next one finds them without waiting.
    more_to_receive: bool,
}

impl Descriptors {
    pub(super) fn new(kernel: &Kernel, capacity: usize) -> Self {
        let count = u32::try_from(capacity).expect("bounded by the limits");
        // The table counts against the limit of open files; without it all works, a little slower.
        let registered = kernel.submitter().register_files_sparse(count).is_ok();
        Self { slab: Slab::new(capacity), registered, abandoned: false }
    }

    pub(super) fn registered(&self) -> bool {
        self.registered
    }

    pub(super) fn free_slots(&self) -> usize {
        self.slab.free_slots()
    }

    pub(super) fn adopt(&mut self, kernel: &Kernel, fd: OwnedFd) -> Result<Descriptor, OsError> {
        // The ring polls for itself; a non-blocking descriptor would make it report EAGAIN.
        let flags = fcntl_getfl(&fd)?;
        if flags.contains(OFlags::NONBLOCK) {
            fcntl_setfl(&fd, flags & !OFlags::NONBLOCK)?;
        }
        let raw = fd.as_raw_fd();
        let owned = Owned { fd, operations: 0, closing: None, more_to_receive: false };
        let key = self.slab.insert(owned);
        if self.registered
            && let Err(error) = kernel.submitter().register_files_update(key.slot, &[raw])
        {
            self.slab.remove(key);
            return Err(error.into());
        }
        Ok(Descriptor(key))
    }

    pub(super) fn fd(&mut self, descriptor: Descriptor) -> Option<BorrowedFd<'_>> {
        self.slab.get_mut(descriptor.0).map(|owned| owned.fd.as_fd())
    }

    /// One more operation uses the descriptor.
    pub(super) fn begin(&mut self, descriptor: Descriptor) {
        let owned = self.slab.get_mut(descriptor.0).expect("the descriptor is open");
        assert!(owned.closing.is_none(), "nothing is submitted on a descriptor that is closing");
        owned.operations += 1;
    }

    /// What an operation that has begun names; none: the descriptor is closing.
    pub(super) fn target(&mut self, descriptor: Descriptor) -> Option<Target> {
        let (registered, abandoned) = (self.registered, self.abandoned);
        let owned = self.slab.get_mut(descriptor.0).expect("an operation keeps it open");
        if owned.closing.is_some() || abandoned {
            return None;
        }
        Some(if registered {
            Target::Registered(descriptor.0.slot)
        } else {
            Target::Plain(owned.fd.as_raw_fd())
        })
    }

    pub(super) fn more_to_receive(&mut self, descriptor: Descriptor) -> &mut bool {
        let owned = self.slab.get_mut(descriptor.0).expect("an operation keeps it open");
        &mut owned.more_to_receive
    }

    /// An operation is done with the descriptor. Some: that was the last one, it is closed now.
    pub(super) fn end(&mut self, kernel: &Kernel, descriptor: Descriptor) -> Option<Token> {
        let owned = self.slab.get_mut(descriptor.0).expect("an operation keeps it open");
        assert!(owned.operations > 0);
        owned.operations -= 1;
        self.close_if_unused(kernel, descriptor)
    }

    /// Starts closing. Some: no operation uses it, it is closed now.
    pub(super) fn close(
        &mut self,
        kernel: &Kernel,
        descriptor: Descriptor,
        token: Token,
    ) -> Option<Token> {
        let owned = self.slab.get_mut(descriptor.0).expect("the descriptor is open");
        assert!(owned.closing.is_none(), "a descriptor is closed once");
        owned.closing = Some(token);
        if owned.operations > 0 {
            // Ends waiting operations of a socket even where cancelling comes at a bad moment (an
            // operation that is just being retried); no socket: nothing happens.
            let _ = shutdown(&owned.fd, Shutdown::Both);
        }
        self.close_if_unused(kernel, descriptor)
    }

    /// Gives an open descriptor back that no operation uses.
    pub(super) fn give_back(&mut self, kernel: &Kernel, descriptor: Descriptor) -> OwnedFd {
        let owned = self.slab.get_mut(descriptor.0).expect("the descriptor is open");
        assert!(owned.closing.is_none(), "a descriptor that is closing is not given away");
        assert_eq!(owned.operations, 0, "a descriptor in use is not given away");
        self.forget(kernel, descriptor).fd
    }

    /// For the end of a ring: nothing is handed to the kernel any more.
    pub(super) fn abandon(&mut self) {
        self.abandoned = true;
    }

    pub(super) fn cancellation(&mut self, descriptor: Descriptor) -> CancelBuilder {
        let registered = self.registered;
        let owned = self.slab.get_mut(descriptor.0).expect("the descriptor is open");
        if registered {
            CancelBuilder::fd(Fixed(descriptor.0.slot)).all()
        } else {
            CancelBuilder::fd(Fd(owned.fd.as_raw_fd())).all()
        }
    }

    fn close_if_unused(&mut self, kernel: &Kernel, descriptor: Descriptor) -> Option<Token> {
        let owned = self.slab.get_mut(descriptor.0)?;
        if owned.operations > 0 {
            return None;
        }
        let token = owned.closing?;
        // Dropping the last reference closes it.
        drop(self.forget(kernel, descriptor));
        Some(token)
    }

    fn forget(&mut self, kernel: &Kernel, descriptor: Descriptor) -> Owned {
        if self.registered {
            kernel
                .submitter()
                .register_files_update(descriptor.0.slot, &[-1])
                .expect("a slot of our own table can be emptied");
        }
        self.slab.remove(descriptor.0).expect("the callers have looked it up")
    }
}
