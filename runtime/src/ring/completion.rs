//! What comes back from a ring.

use std::os::fd::OwnedFd;

use bytes::Bytes;

use crate::memory::Block;
use crate::os_error::OsError;
use crate::ring::operation::WriteData;

/// The caller's name for an operation; comes back with its completion, means nothing to the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u64);

/// The end of an operation (or one step of those that say so). Buffers come back with it.
#[derive(Debug)]
pub enum Completion {
    /// `nop` has been through the kernel.
    Nop { token: Token },
    /// A connection arrived, or accepting failed. `armed`: more will follow; otherwise the caller
    /// accepts again when it can.
    Accepted { token: Token, result: Result<OwnedFd, OsError>, armed: bool },
    /// Bytes in a provided buffer, which is free again when the last slice is dropped, on any
    /// thread. Empty: the peer has ended its stream.
    Received { token: Token, result: Result<Bytes, OsError> },
    /// The block of `receive_into`, filled up to `filled`. With `Ok`, less than asked means that the
    /// peer has ended its stream.
    Filled { token: Token, block: Block, filled: usize, result: Result<(), OsError> },
    /// All bytes are in the socket's queue (`Ok`: how many), or sending failed. The buffers of
    /// `send` are free; those of `send_zero_copy` with `Released`.
    Sent { token: Token, result: Result<usize, OsError> },
    /// Follows each `Sent` of `send_zero_copy`: the peer has the bytes. `copied`: the kernel copied
    /// all the same, so that zero copy costs more than it saves on this connection.
    Released { token: Token, copied: bool },
    /// All bytes are written (and durable, where asked), or writing failed at an unknown byte.
    Written { token: Token, data: WriteData, result: Result<(), OsError> },
    /// Bytes at the block's start; less than asked: the file ends there.
    Read { token: Token, block: Block, result: Result<usize, OsError> },
    /// The deadline of `set_deadline` has come; none is set now.
    DeadlineReached,
    /// The descriptor is closed; nothing of it follows but `Released`.
    Closed { token: Token },
}
