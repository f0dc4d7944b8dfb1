//! One completion of the kernel moves its operation on, or ends it.

use std::os::fd::{FromRawFd, OwnedFd};

use io_uring::cqueue;

use crate::clock::Monotonic;
use crate::os_error::OsError;
use crate::ring::completion::Completion;
use crate::ring::kernel::RawCompletion;
use crate::ring::operation::{SendWay, Work};
use crate::ring::shard_ring::{CANCEL, Ring, TIMEOUT, TIMEOUT_UPDATE};
use crate::ring::slab::Key;

/// `IORING_NOTIF_USAGE_ZC_COPIED`.
const COPIED: u32 = 1 << 31;

/// Direct reads end in the middle of a sector only at the end of a file.
const SECTOR_BYTES: usize = 512;

/// What an operation does after a completion.
enum Next {
    /// Hand the rest to the kernel.
    Continue,
    /// Report and free the slot.
    Finish(Result<usize, OsError>),
}

impl Work {
    /// Whether nothing is left to do.
    pub(super) fn is_done(&self) -> bool {
        match self {
            Self::Nop | Self::Accept | Self::Receive => false,
            Self::Fill { filled, to, .. } => filled == to,
            Self::Send { parts, .. } => parts.is_done(),
            Self::Write { data, .. } => data.is_done(),
            Self::Read { len, read, .. } => len == read,
        }
    }
}

impl Ring {
    pub(super) fn progress(&mut self, raw: RawCompletion, out: &mut Vec<Completion>) {
        match raw.user_data {
            CANCEL | TIMEOUT_UPDATE => return,
            TIMEOUT => {
                if self.deadline.ended(Monotonic::read()) {
                    out.push(Completion::DeadlineReached);
                }
                return;
            }
            _ => {}
        }
        let key = Key::from_u64(raw.user_data);
        let operation = self.operations.get_mut(key).expect("a slot lives to its last completion");
        let next = match &operation.work {
            Work::Accept => return self.accepted(key, raw, out),
            Work::Receive => return self.received(key, raw, out),
            Work::Send { way: SendWay::ZeroCopy { .. }, .. } => {
                return self.progress_zero_copy(key, raw, out);
            }
            Work::Nop => Next::Finish(OsError::from_result(raw.result)),
            Work::Fill { .. } | Work::Send { .. } | Work::Write { .. } | Work::Read { .. } => {
                operation.work.advance(OsError::from_result(raw.result))
            }
        };
        match next {
            Next::Continue => {
                self.counters.continued += 1;
                self.push_or_cancel(key, out);
            }
            Next::Finish(result) => self.finish(key, result, out),
        }
    }

    pub(super) fn push_or_cancel(&mut self, key: Key, out: &mut Vec<Completion>) {
        if !self.push(key) {
            self.finish(key, Err(OsError::CANCELLED), out);
        }
    }

    fn accepted(&mut self, key: Key, raw: RawCompletion, out: &mut Vec<Completion>) {
        let operation = self.operations.get_mut(key).expect("looked up by the caller");
        let token = operation.token;
        let result = OsError::from_result(raw.result).map(|_| {
            // SAFETY: the kernel made this descriptor for us; nobody else has it.
            unsafe { OwnedFd::from_raw_fd(raw.result) }
        });
        let armed = cqueue::more(raw.flags);
        out.push(Completion::Accepted { token, result, armed });
        if !armed {
            self.free(key);
        }
    }

    fn received(&mut self, key: Key, raw: RawCompletion, out: &mut Vec<Completion>) {
        let result = OsError::from_result(raw.result);
        let buffer = cqueue::buffer_select(raw.flags);
        let operation = self.operations.get_mut(key).expect("looked up by the caller");
        let (token, descriptor) = (operation.token, operation.descriptor);
        if result == Err(OsError::from_raw(libc::ENOBUFS)) {
            self.counters.receives_starved += 1;
            self.receive_buffers.starve(key);
            return;
        }
        let descriptor = descriptor.expect("a receive names a socket");
        *self.descriptors.more_to_receive(descriptor) = cqueue::sock_nonempty(raw.flags);
        // A buffer may come with an error or with nothing: then dropping the slice recycles it.
        let bytes =
            buffer.map(|buffer| self.receive_buffers.received(buffer, result.unwrap_or_default()));
        let result = result.map(|_| bytes.unwrap_or_default());
        out.push(Completion::Received { token, result });
        self.free(key);
    }

    /// A zero-copy send completes for what was queued, and is notified once per kernel operation
    /// that queued something; notifications may come in any order and much later.
    fn progress_zero_copy(&mut self, key: Key, raw: RawCompletion, out: &mut Vec<Completion>) {
        let operation = self.operations.get_mut(key).expect("looked up by the caller");
        let Work::Send { way, .. } = &mut operation.work else {
            unreachable!("matched by the caller")
        };
        let SendWay::ZeroCopy { notifications, copied, sent, fallen_back } = way else {
            unreachable!("matched by the caller")
        };
        if cqueue::notif(raw.flags) {
            *notifications -= 1;
            *copied |= raw.result as u32 & COPIED != 0;
            if *sent && *notifications == 0 {
                self.release(key, out);
            }
            return;
        }
        if cqueue::more(raw.flags) {
            *notifications += 1;
        }
        let result = OsError::from_result(raw.result);
        if !*fallen_back && result.is_err_and(refuses_zero_copy) {
            (*fallen_back, *copied) = (true, true);
            return self.push_or_cancel(key, out);
        }
        match operation.work.advance(result) {
            Next::Continue => {
                self.counters.continued += 1;
                self.push_or_cancel(key, out);
            }
            Next::Finish(result) => self.finish(key, result, out),
        }
    }

    /// Reports the end of an operation.
    pub(super) fn finish(
        &mut self,
        key: Key,
        result: Result<usize, OsError>,
        out: &mut Vec<Completion>,
    ) {
        let operation = self.operations.get_mut(key).expect("in flight");
        let token = operation.token;
        if let Work::Send {
            sent: bytes, way: SendWay::ZeroCopy { notifications, sent, .. }, ..
        } = &mut operation.work
        {
            *sent = true;
            let waits = *notifications > 0;
            out.push(Completion::Sent { token, result: result.map(|_| *bytes) });
            // The descriptor may be closed while the peer has not acknowledged yet.
            self.leave_descriptor(key);
            if !waits {
                self.release(key, out);
            }
            return;
        }
        let work = self.free(key);
        out.push(match work {
            Work::Nop => Completion::Nop { token },
            Work::Accept => Completion::Accepted { token, result: cancelled(result), armed: false },
            Work::Receive => Completion::Received { token, result: cancelled(result) },
            Work::Fill { block, filled, .. } => {
                Completion::Filled { token, block, filled, result: result.map(|_| ()) }
            }
            Work::Send { sent, .. } => Completion::Sent { token, result: result.map(|_| sent) },
            Work::Write { data, .. } => {
                Completion::Written { token, data: data.into_data(), result: result.map(|_| ()) }
            }
            Work::Read { block, read, .. } => {
                Completion::Read { token, block, result: result.map(|_| read) }
            }
        });
    }

    fn release(&mut self, key: Key, out: &mut Vec<Completion>) {
        let operation = self.operations.remove(key).expect("in flight");
        self.vectors[key.slot as usize].trim();
        if let Work::Send { way: SendWay::ZeroCopy { copied, .. }, .. } = operation.work {
            out.push(Completion::Released { token: operation.token, copied });
        }
    }

    /// Frees a slot. `Closed`, if this was the last operation of a descriptor that is closing, is
    /// handed out after what the caller reports.
    fn free(&mut self, key: Key) -> Work {
        self.leave_descriptor(key);
        self.vectors[key.slot as usize].trim();
        self.operations.remove(key).expect("in flight").work
    }

    fn leave_descriptor(&mut self, key: Key) {
        let operation = self.operations.get_mut(key).expect("in flight");
        if let Some(descriptor) = operation.descriptor.take()
            && let Some(token) = self.descriptors.end(&self.kernel, descriptor)
        {
            self.ready.push(Completion::Closed { token });
        }
    }
}

impl Work {
    /// Takes the kernel's result for what was handed to it last.
    fn advance(&mut self, result: Result<usize, OsError>) -> Next {
        let bytes = match result {
            Ok(bytes) => bytes,
            Err(error) if error.raw() == libc::EINTR => return Next::Continue,
            // A disk that was busy for a moment.
            Err(error) if error.raw() == libc::EAGAIN && self.is_disk() => return Next::Continue,
            Err(error) => return Next::Finish(Err(error)),
        };
        let ended = match self {
            Self::Nop | Self::Accept | Self::Receive => unreachable!("not cut into pieces"),
            Self::Fill { filled, .. } => {
                *filled += bytes;
                bytes == 0
            }
            Self::Send { parts, sent, .. } => {
                parts.advance(bytes);
                *sent += bytes;
                if bytes == 0 {
                    return Next::Finish(Err(OsError::from_raw(libc::EPIPE)));
                }
                false
            }
            Self::Write { data, position, .. } => {
                data.advance(bytes);
                *position += bytes as u64;
                // A device that takes nothing and says nothing.
                if bytes == 0 {
                    return Next::Finish(Err(OsError::IO));
                }
                false
            }
            Self::Read { read, .. } => {
                *read += bytes;
                // A direct read that is continued there would be refused as unaligned.
                bytes == 0 || !read.is_multiple_of(SECTOR_BYTES)
            }
        };
        if ended || self.is_done() { Next::Finish(Ok(bytes)) } else { Next::Continue }
    }

    fn is_disk(&self) -> bool {
        matches!(self, Self::Write { .. } | Self::Read { .. })
    }
}

/// Kernels without usage reports, sockets without zero copy, locked memory that is spent.
fn refuses_zero_copy(error: OsError) -> bool {
    matches!(error.raw(), libc::EINVAL | libc::EOPNOTSUPP | libc::ENOBUFS | libc::ENOMEM)
}

/// The result of an operation that ends without having brought anything.
fn cancelled<T>(result: Result<usize, OsError>) -> Result<T, OsError> {
    Err(result.err().unwrap_or(OsError::CANCELLED))
}
