//! Accepting connections for the whole node, handing each to the data shard with the fewest, and later to the one
//! that owns what it uses.

use std::collections::VecDeque;
use std::net::SocketAddr;

use net::driver::{AcceptMetrics, AcceptedSocket, Acceptor};
use net::{ListenerId, Placement};

use runtime::clock::Monotonic;
use runtime::mailbox::Mailbox;
use runtime::ring::{Completion, Ring};

use super::Parcel;
use crate::shard::steering::Luggage;

#[derive(Debug)]
pub(super) struct Accepting {
    acceptor: Acceptor,
    placement: Placement,
    accepted: Vec<AcceptedSocket>,
    /// Placed, and waiting for a mailbox slot of their shard.
    placed: VecDeque<(usize, AcceptedSocket, Option<Luggage>)>,
    /// The node is stopping.
    is_over: bool,
    /// What the node's main thread waits to hear.
    listening: Option<Result<Vec<SocketAddr>, String>>,
}

impl Accepting {
    pub(super) fn new(placement: Placement) -> Self {
        Self {
            acceptor: Acceptor::new(),
            placement,
            accepted: Vec::new(),
            placed: VecDeque::new(),
            is_over: false,
            listening: None,
        }
    }

    pub(super) fn metrics(&self) -> AcceptMetrics {
        self.acceptor.metrics().clone()
    }

    pub(super) fn listen(&mut self, ring: &mut Ring, addresses: &[(ListenerId, SocketAddr)]) {
        let bound = addresses.iter().map(|(id, address)| {
            let bound = self.acceptor.listen(ring, *id, *address);
            bound.map_err(|error| error.to_string())
        });
        self.listening = Some(bound.collect());
    }

    pub(super) fn stop(&mut self, ring: &mut Ring) {
        self.acceptor.close(ring);
        self.placed.clear();
        self.is_over = true;
    }

    /// A connection goes from one data shard to another, or back if that has too many. Of a node that is stopping
    /// it ends: nothing that it asked is unanswered.
    pub(super) fn steer(
        &mut self,
        socket: AcceptedSocket,
        (from, to): (usize, usize),
        luggage: Luggage,
    ) {
        if !self.is_over {
            let shard = self.placement.move_to(from, to);
            self.placed.push_back((shard, socket, Some(luggage)));
        }
    }

    pub(super) fn on_completion(&mut self, ring: &mut Ring, now: Monotonic, left: Completion) {
        let left = self.acceptor.on_completion(ring, now, left, &mut self.accepted);
        assert!(left.is_none(), "nobody else submits operations: {left:?}");
        for accepted in self.accepted.drain(..) {
            // Without a place the connection is closed at once, by being dropped.
            if let Some(shard) = self.placement.place() {
                self.placed.push_back((shard, accepted, None));
            }
        }
    }

    pub(super) fn ended(&mut self, shard: usize, count: usize) {
        for _ in 0..count {
            self.placement.ended(shard);
        }
    }

    pub(super) fn deadline(&self) -> Option<Monotonic> {
        self.acceptor.deadline()
    }

    pub(super) fn on_deadline(&mut self, ring: &mut Ring, now: Monotonic) {
        self.acceptor.on_deadline(ring, now);
    }

    pub(super) fn post(&mut self, mailbox: &mut Mailbox<Parcel>) {
        let main = mailbox.shards() - 1;
        if self.listening.is_some()
            && mailbox.free_slots(main) > 0
            && let Some(listening) = self.listening.take()
        {
            mailbox.post(main, Parcel::Listening(listening));
        }
        while let Some((shard, ..)) = self.placed.front() {
            if mailbox.free_slots(*shard) == 0 {
                return;
            }
            let (shard, socket, luggage) = self.placed.pop_front().expect("it was just looked at");
            mailbox.post(shard, Parcel::Connection(socket, luggage));
        }
    }

    /// Whether connections wait for a slot.
    pub(super) fn is_waiting(&self) -> bool {
        !self.placed.is_empty() || self.listening.is_some()
    }
}
