//! A virtual network that keeps the driver's contract, and a broker that holds what it was given.
//! After every input the core's invariants are checked.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use net::{
    CloseReason, ClosedConnection, ConnectionId, Connections, Frame, LeftConnection, Limits,
    ListenerId, NetEffect, NetEvent, NetOutput, SendMode, Sequence,
};
use runtime::clock::Monotonic;
use runtime::memory::{Arena, Block};

pub(crate) const MS: u64 = 1_000_000;

/// What the driver is receiving.
#[derive(Debug)]
pub(crate) enum Receiving {
    Small,
    Into { block: Block, from: usize, to: usize },
}

/// The far end of a connection and the driver's part of the near end.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    /// Written by the client, not yet received.
    pub(crate) stream: Vec<u8>,
    pub(crate) receiving: Option<Receiving>,
    /// The outstanding send, what has left of it is cut off.
    pub(crate) sending: Vec<u8>,
    pub(crate) mode: Option<SendMode>,
    /// Sent without a copy, not yet released.
    pub(crate) unreleased: usize,
    /// What has arrived at the client.
    pub(crate) arrived: Vec<u8>,
    pub(crate) close_asked: bool,
    /// Addresses of the parts given to the driver.
    pub(crate) part_addresses: Vec<usize>,
}

pub(crate) struct World {
    pub(crate) connections: Connections,
    pub(crate) arena: Arena,
    pub(crate) now: Monotonic,
    pub(crate) peers: BTreeMap<ConnectionId, Peer>,
    /// Given to the broker and not answered.
    pub(crate) frames: Vec<Frame>,
    pub(crate) closed: Vec<ClosedConnection>,
    pub(crate) left: Vec<LeftConnection>,
    out: NetOutput,
    opened: u32,
}

impl World {
    pub(crate) fn new(limits: Limits, arena_bytes: usize) -> Self {
        let arena = Arena::new(arena_bytes).unwrap();
        Self {
            connections: Connections::new(limits, arena.clone()),
            arena,
            now: Monotonic(0),
            peers: BTreeMap::new(),
            frames: Vec::new(),
            closed: Vec::new(),
            left: Vec::new(),
            out: NetOutput::default(),
            opened: 0,
        }
    }

    pub(crate) fn open(&mut self) -> ConnectionId {
        self.open_from("192.0.2.7:4000".parse().unwrap())
    }

    pub(crate) fn open_from(&mut self, peer: SocketAddr) -> ConnectionId {
        let connection = ConnectionId::new(self.opened, 1);
        self.opened += 1;
        self.peers.insert(connection, Peer::default());
        self.event(NetEvent::Opened { connection, listener: ListenerId(0), peer });
        connection
    }

    pub(crate) fn event(&mut self, event: NetEvent) {
        self.connections.on_event(self.now, event, &mut self.out);
        self.absorb();
    }

    pub(crate) fn finish(&mut self) {
        self.connections.finish_batch(self.now, &mut self.out);
        assert!(self.out.frames.is_empty(), "the end of a batch yields no frames");
        self.absorb();
    }

    pub(crate) fn pass(&mut self, ms: u64) {
        self.now = Monotonic(self.now.0 + ms * MS);
        self.connections.on_deadline(self.now, &mut self.out);
        self.absorb();
        self.finish();
    }

    /// The client writes; what the driver was asked to receive is received in pieces of up to `piece`.
    pub(crate) fn write(&mut self, connection: ConnectionId, bytes: &[u8]) {
        self.peers.get_mut(&connection).unwrap().stream.extend_from_slice(bytes);
    }

    /// One completion of a receive, if there is one to complete. Returns whether there was.
    pub(crate) fn receive(&mut self, connection: ConnectionId, piece: usize) -> bool {
        let peer = self.peers.get_mut(&connection).unwrap();
        if peer.stream.is_empty() {
            return false;
        }
        let Some(receiving) = peer.receiving.take() else { return false };
        let event = match receiving {
            Receiving::Small => {
                let taken = piece.min(net::limits::SMALL_FRAME_BYTES_MAX).min(peer.stream.len());
                let data = Bytes::from(peer.stream.drain(..taken).collect::<Vec<_>>());
                NetEvent::Received { connection, data }
            }
            Receiving::Into { mut block, from, to } => {
                let filled = to.min(from + piece.min(peer.stream.len()));
                for (place, byte) in
                    block[from..filled].iter_mut().zip(peer.stream.drain(..filled - from))
                {
                    *place = byte;
                }
                NetEvent::Filled { connection, block, filled }
            }
        };
        self.event(event);
        true
    }

    /// One report about a send. Returns whether there was a send.
    pub(crate) fn send(&mut self, connection: ConnectionId, piece: usize) -> bool {
        let peer = self.peers.get_mut(&connection).unwrap();
        let bytes = piece.min(peer.sending.len());
        if bytes == 0 {
            return false;
        }
        let sent: Vec<u8> = peer.sending.drain(..bytes).collect();
        peer.arrived.extend(sent);
        if peer.mode == Some(SendMode::ZeroCopy) {
            peer.unreleased += bytes;
        }
        self.event(NetEvent::Sent { connection, bytes });
        true
    }

    /// The peer acknowledges what was sent without a copy. Returns whether there was any.
    pub(crate) fn release(&mut self, connection: ConnectionId, piece: usize, copied: bool) -> bool {
        let peer = self.peers.get_mut(&connection).unwrap();
        let bytes = piece.min(peer.unreleased);
        peer.unreleased -= bytes;
        if bytes > 0 {
            self.event(NetEvent::Released { connection, bytes, copied });
        }
        bytes > 0
    }

    /// The connection's end as the driver reports it: nothing of it is with the driver any more.
    pub(crate) fn end(&mut self, connection: ConnectionId, reason: CloseReason) {
        self.peers.remove(&connection).unwrap();
        self.event(NetEvent::Closed { connection, reason });
    }

    /// Reports the end of every connection that the core wanted closed.
    pub(crate) fn end_asked(&mut self) {
        let asked: Vec<_> =
            self.peers.iter().filter(|(_, peer)| peer.close_asked).map(|(id, _)| *id).collect();
        for connection in asked {
            self.end(connection, CloseReason::Requested);
        }
    }

    pub(crate) fn respond(&mut self, connection: ConnectionId, sequence: u64, parts: Vec<Bytes>) {
        self.forget(connection, sequence);
        self.connections.respond(self.now, connection, Sequence(sequence), parts, &mut self.out);
        self.absorb();
    }

    pub(crate) fn respond_with_records(
        &mut self,
        connection: ConnectionId,
        sequence: u64,
        parts: Vec<Bytes>,
        record_bytes: usize,
    ) {
        self.forget(connection, sequence);
        let (sequence, answer) = (Sequence(sequence), (parts, record_bytes));
        let (now, out) = (self.now, &mut self.out);
        self.connections.respond_with_records(now, connection, sequence, answer, out);
        self.absorb();
    }

    pub(crate) fn no_response(&mut self, connection: ConnectionId, sequence: u64) {
        self.forget(connection, sequence);
        self.connections.no_response(self.now, connection, Sequence(sequence), &mut self.out);
        self.absorb();
    }

    pub(crate) fn close_after(
        &mut self,
        connection: ConnectionId,
        sequence: u64,
        parts: Vec<Bytes>,
    ) {
        self.forget(connection, sequence);
        self.connections.close_after(
            self.now,
            connection,
            Sequence(sequence),
            parts,
            &mut self.out,
        );
        self.absorb();
    }

    pub(crate) fn release_memory(&mut self, connection: ConnectionId, sequence: u64) {
        self.connections.release_memory(self.now, connection, Sequence(sequence), &mut self.out);
        self.absorb();
    }

    pub(crate) fn close(&mut self, connection: ConnectionId) {
        self.connections.close(self.now, connection, &mut self.out);
        self.absorb();
    }

    /// Runs everything that can happen on this connection without the broker.
    pub(crate) fn run(&mut self, connection: ConnectionId) {
        loop {
            self.finish();
            let received = self.receive(connection, usize::MAX);
            let sent = self.send(connection, usize::MAX);
            let released = self.release(connection, usize::MAX, false);
            if !received && !sent && !released {
                return;
            }
        }
    }

    pub(crate) fn frame_bytes(&self, connection: ConnectionId) -> Vec<Vec<u8>> {
        let of_connection = self.frames.iter().filter(|frame| frame.connection == connection);
        of_connection.map(|frame| frame.bytes.to_vec()).collect()
    }

    /// Everything is back where it came from.
    pub(crate) fn assert_nothing_is_held(&self) {
        assert_eq!(self.connections.len(), 0);
        assert_eq!(self.connections.request_bytes_held(), 0);
        assert_eq!(self.connections.response_bytes_pinned(), 0);
        assert_eq!(self.connections.waiting_for_memory(), 0);
        assert_eq!(self.connections.deadline(), None);
        assert_eq!(self.arena.allocated(), 0);
        assert_eq!(self.connections.metrics().record_bytes_copied, 0);
    }

    fn forget(&mut self, connection: ConnectionId, sequence: u64) {
        self.frames.retain(|f| f.connection != connection || f.sequence != Sequence(sequence));
    }

    fn absorb(&mut self) {
        for effect in self.out.effects.drain(..) {
            match effect {
                NetEffect::Receive { connection } => {
                    let peer = self.peers.get_mut(&connection).unwrap();
                    assert!(peer.receiving.replace(Receiving::Small).is_none(), "two receives");
                }
                NetEffect::ReceiveInto { connection, block, from, to } => {
                    let peer = self.peers.get_mut(&connection).unwrap();
                    let receiving = Receiving::Into { block, from, to };
                    assert!(peer.receiving.replace(receiving).is_none(), "two receives");
                }
                NetEffect::Send { connection, parts, mode } => {
                    let peer = self.peers.get_mut(&connection).unwrap();
                    assert!(peer.sending.is_empty(), "two sends");
                    peer.part_addresses.extend(parts.iter().map(|part| part.as_ptr().addr()));
                    peer.sending = parts.concat();
                    assert!(!peer.sending.is_empty(), "an empty send");
                    peer.mode = Some(mode);
                }
                NetEffect::Close { connection } => {
                    let peer = self.peers.get_mut(&connection).unwrap();
                    assert!(!peer.close_asked, "closed twice");
                    peer.close_asked = true;
                }
            }
        }
        self.frames.append(&mut self.out.frames);
        self.closed.append(&mut self.out.closed);
        self.left.append(&mut self.out.left);
        self.connections.invariants();
    }
}

/// A frame as a client writes it: its size before it.
pub(crate) fn framed(frame: &[u8]) -> Vec<u8> {
    let size = i32::try_from(frame.len()).unwrap();
    [&size.to_be_bytes(), frame].concat()
}
