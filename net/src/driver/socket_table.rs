//! The sockets of one shard by slot. A slot is used again, with another generation, once nothing of its
//! last connection is in the kernel.

use std::collections::VecDeque;

use runtime::ring::Descriptor;

use super::pieces::Pieces;
use crate::close_reason::CloseReason;
use crate::ids::{ConnectionId, ListenerId};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    Open,
    /// The ring was told to close it; its operations are coming back.
    Closing(CloseReason),
    /// The descriptor is closed; the kernel may still read from zero-copy sends.
    Closed(CloseReason),
}

/// What the ring is receiving.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Receiving {
    Nothing,
    Small,
    Into { to: usize },
}

/// How the piece in the kernel was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    Plain,
    /// Asked without a copy, sent with one because too many sends are unreleased: the core is told
    /// `Released` at once.
    PlainInstead,
    ZeroCopy,
}

#[derive(Debug)]
pub(super) struct Socket {
    pub(super) listener: ListenerId,
    pub(super) descriptor: Descriptor,
    pub(super) stage: Stage,
    pub(super) receiving: Receiving,
    /// What is left of the core's send, without the piece in the kernel.
    pub(super) pieces: Option<Pieces>,
    /// The piece in the kernel.
    pub(super) in_kernel: Option<(usize, Way)>,
    /// In the queue for a slot of the ring.
    pub(super) waits_to_send: bool,
    /// Pieces that the kernel still reads from, oldest first. It may release them in another order; the
    /// lengths then go to the wrong ones, and add up all the same.
    pub(super) unreleased: VecDeque<usize>,
}

impl Socket {
    pub(super) fn new(descriptor: Descriptor, listener: ListenerId) -> Self {
        Self {
            listener,
            descriptor,
            stage: Stage::Open,
            receiving: Receiving::Nothing,
            pieces: None,
            in_kernel: None,
            waits_to_send: false,
            unreleased: VecDeque::new(),
        }
    }
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    socket: Option<Socket>,
}

/// A fixed number of slots; the last freed is used first, while it is warm.
#[derive(Debug)]
pub(super) struct SocketTable {
    slots: Vec<Slot>,
    free: Vec<u32>,
    capacity: usize,
}

impl SocketTable {
    pub(super) fn new(capacity: usize) -> Self {
        Self { slots: Vec::new(), free: Vec::new(), capacity }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.capacity
    }

    pub(super) fn insert(&mut self, socket: Socket) -> ConnectionId {
        assert!(!self.is_full(), "no slot for one more socket");
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, socket: None });
            u32::try_from(self.slots.len() - 1).expect("slots are bounded by SLOTS_MAX")
        });
        let found = &mut self.slots[place(slot)];
        found.generation = found.generation.wrapping_add(1);
        found.socket = Some(socket);
        ConnectionId::new(slot, found.generation)
    }

    /// The socket, if it is still that connection's.
    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Socket> {
        let slot = self.slots.get_mut(place(id.slot()))?;
        if slot.generation == id.generation() { slot.socket.as_mut() } else { None }
    }

    pub(super) fn remove(&mut self, id: ConnectionId) {
        let slot = &mut self.slots[place(id.slot())];
        assert_eq!(slot.generation, id.generation(), "the slot belongs to a later connection");
        assert!(slot.socket.take().is_some(), "the slot is free already");
        self.free.push(id.slot());
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Socket> {
        self.slots.iter().filter_map(|slot| slot.socket.as_ref())
    }
}

fn place(slot: u32) -> usize {
    usize::try_from(slot).expect("usize has at least 32 bits")
}
