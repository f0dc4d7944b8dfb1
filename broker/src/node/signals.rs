//! SIGTERM and SIGINT as bytes in a pipe, so that the main thread waits for them like for anything else.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

#[derive(Debug)]
pub(super) struct Signals {
    receiver: UnixStream,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        let (receiver, sender) = UnixStream::pair()?;
        receiver.set_nonblocking(true)?;
        for signal in [SIGTERM, SIGINT] {
            pipe::register(signal, sender.try_clone()?)?;
        }
        Ok(Self { receiver })
    }

    /// How many have come since the last call.
    pub(super) fn take(&self) -> usize {
        let mut bytes = [0; 16];
        (&self.receiver).read(&mut bytes).unwrap_or(0)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receiver.as_fd()
    }
}
