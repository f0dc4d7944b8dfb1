//! SIGTERM and SIGINT as bytes in pipes, so that the main thread waits for them like for anything else.
//!
//! The first of either ends the node in good order. Another SIGTERM changes nothing then: supervisors repeat it. A
//! SIGINT that comes while the node ends is somebody at a keyboard who will not wait: it ends at once.

use std::ffi::c_int;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

#[derive(Debug)]
pub(super) struct Signals {
    terminations: UnixStream,
    interrupts: UnixStream,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { terminations: pipe_of(SIGTERM)?, interrupts: pipe_of(SIGINT)? })
    }

    /// Whether any has come since the last call.
    pub(super) fn take(&self) -> bool {
        // Both are emptied: one that came with another is no second one.
        take_from(&self.terminations) | take_from(&self.interrupts)
    }

    /// Whether a SIGINT has come since the last call.
    pub(super) fn take_interrupt(&self) -> bool {
        take_from(&self.interrupts)
    }

    /// To wait for any.
    pub(super) fn fds(&self) -> [BorrowedFd<'_>; 2] {
        [self.terminations.as_fd(), self.interrupts.as_fd()]
    }

    /// To wait for a SIGINT alone.
    pub(super) fn interrupt_fd(&self) -> BorrowedFd<'_> {
        self.interrupts.as_fd()
    }
}

fn pipe_of(signal: c_int) -> io::Result<UnixStream> {
    let (receiver, sender) = UnixStream::pair()?;
    receiver.set_nonblocking(true)?;
    pipe::register(signal, sender)?;
    Ok(receiver)
}

fn take_from(mut receiver: &UnixStream) -> bool {
    let mut bytes = [0; 16];
    receiver.read(&mut bytes).unwrap_or(0) > 0
}
