//! The ring of a shard: what can be submitted.

use std::fmt;
use std::mem;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use bytes::Bytes;
use io_uring::opcode;
use io_uring::types::CancelBuilder;

use crate::clock::Monotonic;
use crate::mailbox::Bell;
use crate::memory::{Arena, Block};
use crate::os_error::OsError;
use crate::ring::completion::{Completion, Token};
use crate::ring::config::{RingConfig, RingError};
use crate::ring::deadline::Deadline;
use crate::ring::descriptors::{Descriptor, Descriptors};
use crate::ring::kernel::{Kernel, RawCompletion};
use crate::ring::operation::{Operation, Parts, SendWay, Vectors, Work, WriteData, Written};
use crate::ring::receive_buffers::ReceiveBuffers;
use crate::ring::registered::Registered;
use crate::ring::slab::{Key, Slab};

/// User data of entries that have no slot: slot numbers that no slab reaches.
pub(super) const CANCEL: u64 = u32::MAX as u64;
pub(super) const TIMEOUT: u64 = u32::MAX as u64 - 1;
pub(super) const TIMEOUT_UPDATE: u64 = u32::MAX as u64 - 2;

/// How long the end of a ring waits for what cannot be cancelled: 1,000 × 10 ms.
const END_WAITS_MAX: u32 = 1000;
const END_WAIT_NANOS: u32 = 10_000_000;

/// The ring of a shard. Lives on the thread that made it.
///
/// Submitting never blocks and never fails: slots are credits ([`Ring::free_slots`]), errors come
/// back as completions. Submitting without a credit, or on a descriptor that is closing, is a
/// broken invariant.
pub struct Ring {
    // Dropped in this order: the kernel's side first, then what it pointed to.
    pub(super) kernel: Kernel,
    pub(super) operations: Slab<Operation>,
    /// By slot of `operations`.
    pub(super) vectors: Box<[Vectors]>,
    pub(super) descriptors: Descriptors,
    pub(super) receive_buffers: ReceiveBuffers,
    pub(super) registered: Registered,
    pub(super) deadline: Deadline,
    pub(super) bell: Arc<Bell>,
    /// Completions of what needed no trip to the kernel; the next pump hands them out.
    pub(super) ready: Vec<Completion>,
    /// Where a pump takes the kernel's completions; kept for its memory.
    pub(super) raw: Vec<RawCompletion>,
    pub(super) counters: RingCounters,
}

/// A write at a position of a file.
#[derive(Debug)]
pub struct WriteRequest {
    pub position: u64,
    pub data: WriteData,
    /// Completes only when the bytes are on stable storage (RWF_DSYNC).
    pub durable: bool,
}

/// What a ring has done so far; for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RingCounters {
    /// System calls of the ring.
    pub enters: u64,
    /// Completions of the kernel.
    pub completions: u64,
    /// Receives that had to wait for a buffer.
    pub receives_starved: u64,
    /// Sends, reads and writes that the kernel cut short and that were continued.
    pub continued: u64,
}

impl Ring {
    /// A ring on this thread. The bell is the shard's: completions ring it while the shard is
    /// parked. Of each arena the part that `config` names is registered with the kernel; where the
    /// limit of locked memory forbids that, the ring works without
    /// ([`Ring::buffers_registered`]).
    pub fn new(config: &RingConfig, arenas: &[&Arena], bell: Arc<Bell>) -> Result<Self, RingError> {
        config.check();
        let kernel = Kernel::new(config, bell.as_fd())?;
        let descriptors = Descriptors::new(&kernel, config.descriptors_max);
        let receive_buffers =
            ReceiveBuffers::new(&kernel, config.receive_buffers, Arc::clone(&bell))
                .map_err(|error| RingError::ReceiveBuffers(error.into()))?;
        let registered = Registered::register(&kernel, arenas, config.registered_bytes_max)
            .unwrap_or_else(|_| Registered::none());
        kernel.silence_bell();
        Ok(Self {
            kernel,
            operations: Slab::new(config.operations_max),
            vectors: (0..config.operations_max).map(|_| Vectors::new()).collect(),
            descriptors,
            receive_buffers,
            registered,
            deadline: Deadline::new(),
            bell,
            ready: Vec::new(),
            raw: Vec::new(),
            counters: RingCounters::default(),
        })
    }

    /// Operations that may be submitted now: credits, nobody else takes them.
    pub fn free_slots(&self) -> usize {
        self.operations.free_slots()
    }

    /// Operations in flight.
    pub fn in_flight(&self) -> usize {
        self.operations.len()
    }

    /// Descriptors that may be adopted now.
    pub fn free_descriptors(&self) -> usize {
        self.descriptors.free_slots()
    }

    /// Receive buffers that are neither filled nor held.
    pub fn free_receive_buffers(&self) -> usize {
        self.receive_buffers.available()
    }

    /// Whether arena memory is registered with the kernel. Without, each read and write pins its
    /// pages anew.
    pub fn buffers_registered(&self) -> bool {
        !self.registered.is_empty()
    }

    /// Whether descriptors are registered with the kernel.
    pub fn descriptors_registered(&self) -> bool {
        self.descriptors.registered()
    }

    pub fn counters(&self) -> RingCounters {
        RingCounters { enters: self.kernel.enters(), ..self.counters }
    }

    /// Takes ownership of a socket or file. The caller holds a credit
    /// ([`Ring::free_descriptors`]). On an error it is closed.
    pub fn adopt(&mut self, fd: OwnedFd) -> Result<Descriptor, OsError> {
        self.descriptors.adopt(&self.kernel, fd)
    }

    /// The file descriptor itself, for settings. None: it is closed.
    pub fn fd(&mut self, descriptor: Descriptor) -> Option<BorrowedFd<'_>> {
        self.descriptors.fd(descriptor)
    }

    /// Gives a descriptor back, open, for another ring to adopt. No operation may use it.
    pub fn give_back(&mut self, descriptor: Descriptor) -> OwnedFd {
        self.descriptors.give_back(&self.kernel, descriptor)
    }

    /// Accepts connections on a listener until it fails or is closed.
    pub fn accept(&mut self, token: Token, listener: Descriptor) {
        self.submit(token, Some(listener), Work::Accept);
    }

    /// Receives what arrives next into a provided buffer. Where all buffers are in use, waits its
    /// turn for one.
    pub fn receive(&mut self, token: Token, socket: Descriptor) {
        self.submit(token, Some(socket), Work::Receive);
    }

    /// Receives until `range` of the block is full, or the peer ends its stream.
    pub fn receive_into(
        &mut self,
        token: Token,
        socket: Descriptor,
        block: Block,
        range: Range<usize>,
    ) {
        assert!(range.start <= range.end && range.end <= block.capacity());
        let (filled, to) = (range.start, range.end);
        self.submit(token, Some(socket), Work::Fill { block, filled, to });
    }

    /// Sends all parts. At most one send of a socket is in flight, or their bytes may mingle.
    pub fn send(&mut self, token: Token, socket: Descriptor, parts: Vec<Bytes>) {
        let parts = Parts::new(parts);
        let work = Work::Send { parts, sent: 0, way: SendWay::Copy };
        self.submit(token, Some(socket), work);
    }

    /// Sends all parts without copying them, where the kernel can: worth it from 32 KiB on and on
    /// real network cards. Completes twice: `Sent`, then `Released`.
    pub fn send_zero_copy(&mut self, token: Token, socket: Descriptor, parts: Vec<Bytes>) {
        let way =
            SendWay::ZeroCopy { notifications: 0, copied: false, sent: false, fallen_back: false };
        let work = Work::Send { parts: Parts::new(parts), sent: 0, way };
        self.submit(token, Some(socket), work);
    }

    /// Writes all bytes at a position.
    pub fn write(&mut self, token: Token, file: Descriptor, request: WriteRequest) {
        let WriteRequest { position, data, durable } = request;
        let work = Work::Write { data: Written::new(data), position, durable };
        self.submit(token, Some(file), work);
    }

    /// Reads `len` bytes at a position into the start of the block, or up to the end of the file.
    pub fn read(
        &mut self,
        token: Token,
        file: Descriptor,
        position: u64,
        block: Block,
        len: usize,
    ) {
        assert!(len <= block.capacity());
        self.submit(token, Some(file), Work::Read { block, position, len, read: 0 });
    }

    /// Goes through the kernel and back; for tests and for measuring.
    pub fn nop(&mut self, token: Token) {
        self.submit(token, None, Work::Nop);
    }

    /// The one deadline of the shard; replaces the one before.
    pub fn set_deadline(&mut self, deadline: Option<Monotonic>) {
        self.deadline.set(deadline);
    }

    /// Ends all operations of a descriptor (they complete, cancelled where they were waiting), then
    /// closes it and completes with `Closed`.
    pub fn close(&mut self, token: Token, descriptor: Descriptor) {
        if let Some(token) = self.descriptors.close(&self.kernel, descriptor, token) {
            self.ready.push(Completion::Closed { token });
            return;
        }
        let entry = opcode::AsyncCancel2::new(self.descriptors.cancellation(descriptor))
            .build()
            .user_data(CANCEL);
        // SAFETY: the entry points to nothing.
        unsafe { self.kernel.push(&entry) };
        let operations = &mut self.operations;
        let starved = self.receive_buffers.forget_starved(|key| {
            operations.get_mut(key).is_some_and(|found| found.descriptor == Some(descriptor))
        });
        for key in starved {
            self.finish_now(key, Err(OsError::CANCELLED));
        }
    }

    fn submit(&mut self, token: Token, descriptor: Option<Descriptor>, work: Work) {
        if let Some(descriptor) = descriptor {
            self.descriptors.begin(descriptor);
        }
        let done = work.is_done();
        let key = self.operations.insert(Operation { token, descriptor, work });
        if done {
            self.finish_now(key, Ok(0));
        } else {
            self.push(key);
        }
    }

    /// Ends an operation that is not in the kernel; the next pump hands it out.
    fn finish_now(&mut self, key: Key, result: Result<usize, OsError>) {
        let mut ready = mem::take(&mut self.ready);
        self.finish(key, result, &mut ready);
        // What finishing made ready (`Closed`) comes after the operation.
        ready.append(&mut self.ready);
        self.ready = ready;
    }

    /// Hands what is left of an operation to the kernel. False: its descriptor is closing.
    pub(super) fn push(&mut self, key: Key) -> bool {
        let operation = self.operations.get_mut(key).expect("in flight");
        let mut target = None;
        let mut wait_first = false;
        if let Some(descriptor) = operation.descriptor {
            target = self.descriptors.target(descriptor);
            if target.is_none() {
                return false;
            }
            wait_first = matches!(operation.work, Work::Receive)
                && !*self.descriptors.more_to_receive(descriptor);
        }
        let vectors = &mut self.vectors[key.slot as usize];
        let entry = operation.entry(vectors, target, &self.registered, wait_first);
        // SAFETY: the entry points to buffers that the operation owns and to its slot's vectors;
        // the slot is freed at its last completion, and neither moves: buffers live on the heap or
        // in arenas, vectors in a boxed slice that is not touched until the next entry of the slot.
        unsafe { self.kernel.push(&entry.user_data(key.to_u64())) };
        true
    }
}

impl Drop for Ring {
    /// Ends what is in flight: the kernel must not write into memory that has been given back.
    fn drop(&mut self) {
        let entry = opcode::AsyncCancel2::new(CancelBuilder::any()).build().user_data(CANCEL);
        // SAFETY: the entry points to nothing.
        unsafe { self.kernel.push(&entry) };
        self.deadline.set(None);
        let mut completions = Vec::new();
        self.descriptors.abandon();
        for _ in 0..END_WAITS_MAX {
            self.pump(&mut completions);
            completions.clear();
            // Receives that wait for a buffer are not in the kernel.
            let outside = self.receive_buffers.starved();
            if self.operations.len() == outside && !self.deadline.is_armed() {
                return;
            }
            self.kernel.enter_and_wait(END_WAIT_NANOS);
        }
        // A device that never answers: rather leak the memory than have it overwritten.
        mem::forget(mem::replace(&mut self.operations, Slab::new(0)));
        self.receive_buffers.leak();
        self.registered.leak();
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("in_flight", &self.in_flight())
            .field("free_slots", &self.free_slots())
            .finish_non_exhaustive()
    }
}
