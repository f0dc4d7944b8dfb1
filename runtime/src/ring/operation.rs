//! What a slot holds while its operation is in the kernel, and the entry made from it.

use std::mem;

use bytes::Bytes;
use io_uring::types::Fd;
use io_uring::{opcode, squeue};

use crate::limits::{VECTOR_PARTS_KEPT, VECTOR_PARTS_MAX};
use crate::memory::Block;
use crate::ring::completion::Token;
use crate::ring::descriptors::{Descriptor, Target};
use crate::ring::receive_buffers::GROUP;
use crate::ring::registered::Registered;

/// `IORING_SEND_ZC_REPORT_USAGE`: the notification says whether the kernel copied (Linux 6.2; where
/// it is unknown, the send falls back to copying).
const REPORT_USAGE: u16 = 1 << 3;
/// `IORING_RECVSEND_POLL_FIRST`: do not try before there is something.
const POLL_FIRST: u16 = 1;
/// A send goes on until all is queued, and a closed peer is an error, not a signal.
const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;

/// What a write writes; comes back with its completion.
#[derive(Debug)]
pub enum WriteData {
    /// Slices, one behind the other.
    Parts(Vec<Bytes>),
    /// The first `len` bytes of a block.
    Block { block: Block, len: usize },
}

/// An operation in a slot; owns its buffers until its last completion.
pub(super) struct Operation {
    pub(super) token: Token,
    /// None for `nop`, and once the operation is done with the descriptor.
    pub(super) descriptor: Option<Descriptor>,
    pub(super) work: Work,
}

pub(super) enum Work {
    Nop,
    Accept,
    Receive,
    Fill { block: Block, filled: usize, to: usize },
    Send { parts: Parts, sent: usize, way: SendWay },
    Write { data: Written, position: u64, durable: bool },
    Read { block: Block, position: u64, len: usize, read: usize },
}

/// How a send goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SendWay {
    Copy,
    /// `notifications`: how many more will say that the kernel is done with the buffers. `sent`:
    /// `Sent` has been reported, only notifications are waited for. `fallen_back`: the kernel
    /// refused, the rest is copied.
    ZeroCopy {
        notifications: u32,
        copied: bool,
        sent: bool,
        fallen_back: bool,
    },
}

/// A list of slices and how far it has been worked off.
pub(super) struct Parts {
    list: Vec<Bytes>,
    first: usize,
    offset: usize,
}

/// What a write has still to write.
pub(super) enum Written {
    Parts(Parts),
    Block { block: Block, len: usize, written: usize },
}

/// Vectors and message header of one slot: the kernel reads them when the entry is submitted.
pub(super) struct Vectors {
    parts: Vec<libc::iovec>,
    message: libc::msghdr,
}

impl Parts {
    pub(super) fn new(list: Vec<Bytes>) -> Self {
        let mut parts = Self { list, first: 0, offset: 0 };
        parts.skip_empty();
        parts
    }

    pub(super) fn is_done(&self) -> bool {
        self.first == self.list.len()
    }

    pub(super) fn advance(&mut self, mut bytes: usize) {
        while bytes > 0 {
            let left = self.list[self.first].len() - self.offset;
            if bytes < left {
                self.offset += bytes;
                return;
            }
            bytes -= left;
            self.first += 1;
            self.offset = 0;
        }
        self.skip_empty();
    }

    /// The slices that are left; at most so many as the kernel takes at once.
    fn rest(&self) -> impl Iterator<Item = &[u8]> {
        let mut offset = self.offset;
        self.list[self.first..]
            .iter()
            .map(move |part| &part[mem::take(&mut offset)..])
            .take(VECTOR_PARTS_MAX)
    }

    fn only(&self) -> Option<&[u8]> {
        if self.first + 1 == self.list.len() { self.rest().next() } else { None }
    }

    fn skip_empty(&mut self) {
        while self.list.get(self.first).is_some_and(Bytes::is_empty) {
            self.first += 1;
        }
    }
}

impl Written {
    pub(super) fn new(data: WriteData) -> Self {
        match data {
            WriteData::Parts(list) => Self::Parts(Parts::new(list)),
            WriteData::Block { block, len } => {
                assert!(len <= block.capacity());
                Self::Block { block, len, written: 0 }
            }
        }
    }

    pub(super) fn is_done(&self) -> bool {
        match self {
            Self::Parts(parts) => parts.is_done(),
            Self::Block { len, written, .. } => written == len,
        }
    }

    pub(super) fn advance(&mut self, bytes: usize) {
        match self {
            Self::Parts(parts) => parts.advance(bytes),
            Self::Block { written, .. } => *written += bytes,
        }
    }

    pub(super) fn into_data(self) -> WriteData {
        match self {
            Self::Parts(parts) => WriteData::Parts(parts.list),
            Self::Block { block, len, .. } => WriteData::Block { block, len },
        }
    }

    fn only(&self) -> Option<(*const u8, usize)> {
        match self {
            Self::Parts(parts) => parts.only().map(|part| (part.as_ptr(), part.len())),
            Self::Block { block, len, written } => {
                Some((block.address().wrapping_add(*written), len - written))
            }
        }
    }
}

impl Vectors {
    pub(super) fn new() -> Self {
        // SAFETY: all-zero is a valid message header: null pointers and zero lengths.
        Self { parts: Vec::new(), message: unsafe { mem::zeroed() } }
    }

    /// After an operation: long vectors do not stay.
    pub(super) fn trim(&mut self) {
        if self.parts.capacity() > VECTOR_PARTS_KEPT {
            self.parts = Vec::new();
        }
    }

    fn set(&mut self, parts: &Parts) {
        self.parts.clear();
        self.parts.extend(parts.rest().map(|part| libc::iovec {
            iov_base: part.as_ptr().cast_mut().cast(),
            iov_len: part.len(),
        }));
    }

    fn set_message(&mut self, parts: &Parts) -> *const libc::msghdr {
        self.set(parts);
        self.message.msg_iov = self.parts.as_mut_ptr();
        self.message.msg_iovlen = self.parts.len();
        &raw const self.message
    }
}

impl Operation {
    /// The kernel entry for what is left to do. It points into the operation's buffers and into
    /// `vectors`, both of which stay until its last completion.
    pub(super) fn entry(
        &self,
        vectors: &mut Vectors,
        target: Option<Target>,
        registered: &Registered,
        wait_first: bool,
    ) -> squeue::Entry {
        let (fd, flags) = match target {
            Some(Target::Registered(slot)) => (Fd(slot as i32), squeue::Flags::FIXED_FILE),
            Some(Target::Plain(raw)) => (Fd(raw), squeue::Flags::empty()),
            None => (Fd(-1), squeue::Flags::empty()),
        };
        let entry = match &self.work {
            Work::Nop => opcode::Nop::new().build(),
            Work::Accept => opcode::AcceptMulti::new(fd).flags(libc::SOCK_CLOEXEC).build(),
            Work::Receive => opcode::Recv::new(fd, std::ptr::null_mut(), 0)
                .buf_group(GROUP)
                .ioprio(if wait_first { POLL_FIRST } else { 0 })
                .build()
                .flags(squeue::Flags::BUFFER_SELECT),
            Work::Fill { block, filled, to } => {
                let rest = block.address().wrapping_add(*filled);
                opcode::Recv::new(fd, rest, len(to - filled)).flags(libc::MSG_WAITALL).build()
            }
            Work::Send { parts, way, .. } => send_entry(parts, *way, vectors, fd, registered),
            Work::Write { data, position, durable } => {
                let flags = if *durable { libc::RWF_DSYNC } else { 0 };
                write_entry(data, *position, flags, vectors, fd, registered)
            }
            Work::Read { block, position, len: bytes, read } => {
                let rest = block.address().wrapping_add(*read);
                let bytes = bytes - read;
                let position = position + *read as u64;
                match registered.index_of(rest, bytes) {
                    Some(index) => {
                        opcode::ReadFixed::new(fd, rest, len(bytes), index).offset(position).build()
                    }
                    None => opcode::Read::new(fd, rest, len(bytes)).offset(position).build(),
                }
            }
        };
        entry.flags(flags)
    }
}

fn send_entry(
    parts: &Parts,
    way: SendWay,
    vectors: &mut Vectors,
    fd: Fd,
    registered: &Registered,
) -> squeue::Entry {
    let zero_copy = matches!(way, SendWay::ZeroCopy { fallen_back: false, .. });
    match (parts.only(), zero_copy) {
        (Some(part), false) => {
            opcode::Send::new(fd, part.as_ptr(), len(part.len())).flags(SEND_FLAGS).build()
        }
        (Some(part), true) => opcode::SendZc::new(fd, part.as_ptr(), len(part.len()))
            .buf_index(registered.index_of(part.as_ptr(), part.len()))
            .flags(SEND_FLAGS)
            .zc_flags(REPORT_USAGE)
            .build(),
        (None, false) => {
            opcode::SendMsg::new(fd, vectors.set_message(parts)).flags(SEND_FLAGS as u32).build()
        }
        (None, true) => opcode::SendMsgZc::new(fd, vectors.set_message(parts))
            .flags(SEND_FLAGS as u32)
            .ioprio(REPORT_USAGE)
            .build(),
    }
}

fn write_entry(
    data: &Written,
    position: u64,
    flags: i32,
    vectors: &mut Vectors,
    fd: Fd,
    registered: &Registered,
) -> squeue::Entry {
    if let Some((address, bytes)) = data.only() {
        return match registered.index_of(address, bytes) {
            Some(index) => opcode::WriteFixed::new(fd, address, len(bytes), index)
                .offset(position)
                .rw_flags(flags)
                .build(),
            None => {
                opcode::Write::new(fd, address, len(bytes)).offset(position).rw_flags(flags).build()
            }
        };
    }
    let Written::Parts(parts) = data else { unreachable!("a block is one part") };
    vectors.set(parts);
    opcode::Writev::new(fd, vectors.parts.as_ptr(), len(vectors.parts.len()))
        .offset(position)
        .rw_flags(flags)
        .build()
}

/// A length for the kernel: it takes 32 bits, and no buffer is longer than a block.
fn len(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("bounded by BLOCK_BYTES_MAX")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::Parts;

    fn rest(parts: &Parts) -> Vec<&[u8]> {
        parts.rest().collect()
    }

    #[test]
    fn parts_are_worked_off_across_slices_and_empty_ones_are_skipped() {
        let list = ["", "abc", "", "de", ""].map(|part| Bytes::from_static(part.as_bytes()));
        let mut parts = Parts::new(list.to_vec());
        parts.advance(2);
        assert_eq!(rest(&parts), [&b"c"[..], b"", b"de", b""]);
        parts.advance(1);
        assert_eq!(rest(&parts)[0], b"de");
        parts.advance(2);
        assert!(parts.is_done());
        assert!(Parts::new(Vec::new()).is_done());
    }
}
