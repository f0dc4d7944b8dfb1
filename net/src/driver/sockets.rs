//! The driver: effects of the core to operations of the ring, completions to events.

use std::collections::VecDeque;
use std::fmt;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use bytes::Bytes;
use runtime::OsError;
use runtime::memory::Block;
use runtime::ring::{Completion, Descriptor, Ring};
use runtime::socket::{configure, peer_address};

use super::acceptor::AcceptedSocket;
use super::pieces::Pieces;
use super::socket_options::CONNECTION_OPTIONS;
use super::socket_table::{Receiving, Socket, SocketTable, Stage, Way};
use super::token::{SLOTS_MAX, connection_of, socket_token};
use crate::close_reason::CloseReason;
use crate::ids::ConnectionId;
use crate::limits::SMALL_FRAME_BYTES_MAX;
use crate::metrics::count;
use crate::seam::{NetEffect, NetEvent, SendMode};

/// Sizes of one shard's driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverConfig {
    /// Sockets at once, those that are closing included.
    pub connections_max: usize,
    /// Sends in the ring at once, unreleased ones included; more wait their turn. Every connection may
    /// have one, but only those that are being answered do.
    pub sends_max: usize,
    /// Below this many free small buffers of the ring, received bytes are copied and the buffer goes
    /// back at once: requests that are held for long (fetches that wait for data) must not starve
    /// everybody's receives.
    pub receive_buffers_low: usize,
}

impl DriverConfig {
    /// Operations of the ring that the driver uses at most: one receive a connection, and the sends.
    /// So a receive always finds a free slot, and idle connections never keep a response from leaving.
    #[must_use]
    pub const fn operations_max(&self) -> usize {
        self.connections_max + self.sends_max
    }

    fn check(&self) {
        assert!(self.sends_max > 0, "nothing could be sent");
        assert!(self.connections_max <= SLOTS_MAX, "more sockets than a token names");
    }
}

/// Counts since start, but for those named `_now`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DriverMetrics {
    pub sockets_now: u64,
    /// Accepted sockets that found no slot.
    pub refused_full: u64,
    /// Accepted sockets whose peer was gone before they were set up.
    pub refused_gone: u64,
    /// Receives whose bytes were copied because small buffers were short.
    pub receives_copied: u64,
    /// Sends that had to wait for a slot of the ring.
    pub sends_waited: u64,
    /// Zero-copy sends that were copied because too many were unreleased.
    pub sends_copied_instead: u64,
}

/// Why a socket could not be adopted. It is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AdoptError {
    /// The shard has as many sockets as it may.
    Full,
    /// The peer is gone already, or the socket is unusable.
    Gone(OsError),
}

impl fmt::Display for AdoptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the shard has as many connections as it may"),
            Self::Gone(error) => write!(f, "the connection ended before it began: {error}"),
        }
    }
}

impl std::error::Error for AdoptError {}

/// The sockets of one shard.
#[derive(Debug)]
pub struct Driver {
    config: DriverConfig,
    sockets: SocketTable,
    /// Slots of the ring in use by sends. Invariant: at most `sends_max`.
    sends: usize,
    /// Of those, zero-copy ones.
    sends_zero_copy: usize,
    /// Connections that have something to send and no slot for it. May name some that are closed.
    waiting: VecDeque<ConnectionId>,
    metrics: DriverMetrics,
}

impl Driver {
    #[must_use]
    pub fn new(config: DriverConfig) -> Self {
        config.check();
        Self {
            sockets: SocketTable::new(config.connections_max),
            config,
            sends: 0,
            sends_zero_copy: 0,
            waiting: VecDeque::new(),
            metrics: DriverMetrics::default(),
        }
    }

    #[must_use]
    pub const fn metrics(&self) -> &DriverMetrics {
        &self.metrics
    }

    /// Makes an accepted socket this shard's own: its `Opened` is appended to `events`.
    pub fn adopt(
        &mut self,
        ring: &mut Ring,
        accepted: AcceptedSocket,
        events: &mut Vec<NetEvent>,
    ) -> Result<ConnectionId, AdoptError> {
        if self.sockets.is_full() || ring.free_descriptors() == 0 {
            self.metrics.refused_full += 1;
            return Err(AdoptError::Full);
        }
        let listener = accepted.listener;
        let (peer, descriptor) = match set_up(ring, accepted.fd) {
            Ok(adopted) => adopted,
            Err(error) => {
                self.metrics.refused_gone += 1;
                return Err(AdoptError::Gone(error));
            }
        };
        let connection = self.sockets.insert(Socket::new(descriptor, listener));
        self.metrics.sockets_now += 1;
        events.push(NetEvent::Opened { connection, listener, peer });
        Ok(connection)
    }

    /// Gives away the socket of a connection that has left this shard: nothing of it is in the kernel.
    pub fn give_away(&mut self, ring: &mut Ring, connection: ConnectionId) -> AcceptedSocket {
        let socket = self.open(connection).expect("only an open connection leaves");
        assert_eq!(socket.receiving, Receiving::Nothing, "a receive of a connection that has left");
        assert!(
            socket.in_kernel.is_none() && socket.pieces.is_none() && socket.unreleased.is_empty()
        );
        let (descriptor, listener) = (socket.descriptor, socket.listener);
        self.sockets.remove(connection);
        self.metrics.sockets_now -= 1;
        AcceptedSocket { fd: ring.give_back(descriptor), listener }
    }

    /// Carries out an effect of the core. One for a connection that the peer has ended meanwhile is
    /// dropped: its `Closed` is on the way.
    pub fn perform(&mut self, ring: &mut Ring, effect: NetEffect) {
        match effect {
            NetEffect::Receive { connection } => {
                if let Some(socket) = self.open(connection) {
                    assert_eq!(socket.receiving, Receiving::Nothing, "one receive at a time");
                    socket.receiving = Receiving::Small;
                    ring.receive(socket_token(connection), socket.descriptor);
                }
            }
            NetEffect::ReceiveInto { connection, block, from, to } => {
                if let Some(socket) = self.open(connection) {
                    assert_eq!(socket.receiving, Receiving::Nothing, "one receive at a time");
                    socket.receiving = Receiving::Into { to };
                    let token = socket_token(connection);
                    ring.receive_into(token, socket.descriptor, block, from..to);
                }
            }
            NetEffect::Send { connection, parts, mode } => {
                if let Some(socket) = self.open(connection) {
                    assert!(socket.pieces.is_none(), "one send at a time");
                    socket.pieces = Some(Pieces::new(parts, mode));
                    self.send_next(ring, connection);
                }
            }
            NetEffect::Close { connection } => {
                self.begin_close(ring, connection, CloseReason::Requested);
            }
        }
    }

    /// Takes a completion of the ring, or gives it back if it is not of a socket of ours.
    pub fn on_completion(
        &mut self,
        ring: &mut Ring,
        completion: Completion,
        events: &mut Vec<NetEvent>,
    ) -> Option<Completion> {
        let token = match &completion {
            Completion::Received { token, .. }
            | Completion::Filled { token, .. }
            | Completion::Sent { token, .. }
            | Completion::Released { token, .. }
            | Completion::Closed { token } => *token,
            _ => return Some(completion),
        };
        let Some(connection) = connection_of(token) else { return Some(completion) };
        // A slot outlives every operation on it, so a completion is never late for its generation.
        assert!(self.sockets.get_mut(connection).is_some(), "a completion after the last one");
        match completion {
            Completion::Received { result, .. } => {
                self.on_received(ring, connection, result, events);
            }
            Completion::Filled { block, filled, result, .. } => {
                self.on_filled(ring, connection, block, filled, result, events);
            }
            Completion::Sent { result, .. } => self.on_sent(ring, connection, result, events),
            Completion::Released { copied, .. } => {
                self.on_released(ring, connection, copied, events);
            }
            Completion::Closed { .. } => self.on_closed(connection, events),
            other => return Some(other),
        }
        None
    }

    fn on_received(
        &mut self,
        ring: &mut Ring,
        connection: ConnectionId,
        result: Result<Bytes, OsError>,
        events: &mut Vec<NetEvent>,
    ) {
        let Some(socket) = self.sockets.get_mut(connection) else { return };
        assert_eq!(socket.receiving, Receiving::Small, "bytes that nobody asked for");
        socket.receiving = Receiving::Nothing;
        if socket.stage != Stage::Open {
            return;
        }
        match result {
            Ok(data) if data.is_empty() => {
                self.begin_close(ring, connection, CloseReason::PeerClosed);
            }
            Ok(data) => {
                assert!(data.len() <= SMALL_FRAME_BYTES_MAX, "a small buffer of {}", data.len());
                let data = if ring.free_receive_buffers() < self.config.receive_buffers_low {
                    self.metrics.receives_copied += 1;
                    Bytes::copy_from_slice(&data)
                } else {
                    data
                };
                events.push(NetEvent::Received { connection, data });
            }
            Err(error) => self.begin_close(ring, connection, close_reason(error)),
        }
    }

    fn on_filled(
        &mut self,
        ring: &mut Ring,
        connection: ConnectionId,
        block: Block,
        filled: usize,
        result: Result<(), OsError>,
        events: &mut Vec<NetEvent>,
    ) {
        let Some(socket) = self.sockets.get_mut(connection) else { return };
        let Receiving::Into { to } = socket.receiving else {
            panic!("a block that nobody lent");
        };
        socket.receiving = Receiving::Nothing;
        if socket.stage != Stage::Open {
            return;
        }
        match result {
            Ok(()) if filled == to => events.push(NetEvent::Filled { connection, block, filled }),
            Ok(()) => self.begin_close(ring, connection, CloseReason::PeerClosed),
            Err(error) => self.begin_close(ring, connection, close_reason(error)),
        }
    }

    fn on_sent(
        &mut self,
        ring: &mut Ring,
        connection: ConnectionId,
        result: Result<usize, OsError>,
        events: &mut Vec<NetEvent>,
    ) {
        let Some(socket) = self.sockets.get_mut(connection) else { return };
        let (bytes, way) = socket.in_kernel.take().expect("a send that nobody asked for");
        match way {
            // Its slot is free with `Released`.
            Way::ZeroCopy => socket.unreleased.push_back(bytes),
            Way::Plain | Way::PlainInstead => self.sends -= 1,
        }
        if socket.stage == Stage::Open {
            match result {
                Ok(sent) => {
                    assert_eq!(sent, bytes, "a send is carried out whole");
                    events.push(NetEvent::Sent { connection, bytes });
                    if way == Way::PlainInstead {
                        events.push(NetEvent::Released { connection, bytes, copied: false });
                    }
                    self.send_next(ring, connection);
                }
                Err(error) => self.begin_close(ring, connection, close_reason(error)),
            }
        }
        self.send_waiting(ring);
    }

    fn on_released(
        &mut self,
        ring: &mut Ring,
        connection: ConnectionId,
        copied: bool,
        events: &mut Vec<NetEvent>,
    ) {
        self.sends -= 1;
        self.sends_zero_copy -= 1;
        let Some(socket) = self.sockets.get_mut(connection) else { return };
        let bytes = socket.unreleased.pop_front().expect("a release follows its send");
        match socket.stage {
            Stage::Open => events.push(NetEvent::Released { connection, bytes, copied }),
            Stage::Closing(_) => {}
            Stage::Closed(reason) => self.end_if_released(connection, reason, events),
        }
        self.send_waiting(ring);
    }

    fn on_closed(&mut self, connection: ConnectionId, events: &mut Vec<NetEvent>) {
        let Some(socket) = self.sockets.get_mut(connection) else { return };
        let Stage::Closing(reason) = socket.stage else {
            panic!("a socket that nobody closed");
        };
        assert_eq!(socket.receiving, Receiving::Nothing, "a receive on a closed descriptor");
        assert!(socket.in_kernel.is_none(), "a send on a closed descriptor");
        socket.stage = Stage::Closed(reason);
        self.end_if_released(connection, reason, events);
    }

    /// The end of a connection: nothing of it is in the kernel.
    fn end_if_released(
        &mut self,
        connection: ConnectionId,
        reason: CloseReason,
        events: &mut Vec<NetEvent>,
    ) {
        let socket = self.sockets.get_mut(connection).expect("looked up by the caller");
        if !socket.unreleased.is_empty() {
            return;
        }
        self.sockets.remove(connection);
        self.metrics.sockets_now -= 1;
        events.push(NetEvent::Closed { connection, reason });
    }

    fn begin_close(&mut self, ring: &mut Ring, connection: ConnectionId, reason: CloseReason) {
        let Some(socket) = self.open(connection) else { return };
        socket.stage = Stage::Closing(reason);
        socket.pieces = None;
        socket.waits_to_send = false;
        ring.close(socket_token(connection), socket.descriptor);
    }

    /// Gives the ring the next piece of a connection's send, if there is one and a slot for it.
    fn send_next(&mut self, ring: &mut Ring, connection: ConnectionId) {
        let full = self.sends >= self.config.sends_max;
        let crowded = self.sends_zero_copy >= self.config.sends_max / 2;
        let Some(socket) = self.open(connection) else { return };
        let Some(pieces) = &mut socket.pieces else { return };
        assert!(socket.in_kernel.is_none(), "one send at a time");
        if pieces.are_given() {
            // Before a slot is looked for: the core may send again, whether one is free or not.
            socket.pieces = None;
            return;
        }
        if full {
            if !socket.waits_to_send {
                socket.waits_to_send = true;
                self.waiting.push_back(connection);
                self.metrics.sends_waited += 1;
            }
            return;
        }
        socket.waits_to_send = false;
        let way = match pieces.mode() {
            SendMode::Plain => Way::Plain,
            SendMode::ZeroCopy if crowded => Way::PlainInstead,
            SendMode::ZeroCopy => Way::ZeroCopy,
        };
        let (parts, bytes) = pieces.next().expect("there was something left");
        socket.in_kernel = Some((bytes, way));
        let (token, descriptor) = (socket_token(connection), socket.descriptor);
        self.sends += 1;
        match way {
            Way::Plain => ring.send(token, descriptor, parts),
            Way::PlainInstead => {
                self.metrics.sends_copied_instead += 1;
                ring.send(token, descriptor, parts);
            }
            Way::ZeroCopy => {
                self.sends_zero_copy += 1;
                ring.send_zero_copy(token, descriptor, parts);
            }
        }
    }

    /// Slots have become free: who waited longest sends first.
    fn send_waiting(&mut self, ring: &mut Ring) {
        while self.sends < self.config.sends_max {
            let Some(connection) = self.waiting.pop_front() else { return };
            if self.open(connection).is_some_and(|socket| socket.waits_to_send) {
                self.send_next(ring, connection);
            }
        }
    }

    fn open(&mut self, connection: ConnectionId) -> Option<&mut Socket> {
        self.sockets.get_mut(connection).filter(|socket| socket.stage == Stage::Open)
    }

    /// Checks what must always hold; linear in sockets, for tests.
    pub fn invariants(&self) {
        assert_eq!(self.metrics.sockets_now, count(self.sockets.len()));
        assert!(self.sends <= self.config.sends_max, "more sends than slots");
        let mut sends = 0;
        let mut zero_copy = 0;
        for socket in self.sockets.iter() {
            let in_kernel = socket.in_kernel.map(|(_, way)| way);
            sends += usize::from(in_kernel.is_some()) + socket.unreleased.len();
            zero_copy += usize::from(in_kernel == Some(Way::ZeroCopy)) + socket.unreleased.len();
            assert!(!socket.waits_to_send || socket.pieces.is_some());
        }
        assert_eq!((self.sends, self.sends_zero_copy), (sends, zero_copy));
    }
}

/// Gives an accepted socket to the ring. An error is the peer's: it ended before it began.
fn set_up(ring: &mut Ring, fd: OwnedFd) -> Result<(SocketAddr, Descriptor), OsError> {
    let peer = peer_address(&fd)?;
    configure(&fd, CONNECTION_OPTIONS)?;
    Ok((peer, ring.adopt(fd)?))
}

/// What a failed operation says about its connection.
fn close_reason(error: OsError) -> CloseReason {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => CloseReason::PeerReset,
        _ => CloseReason::SocketFailed,
    }
}
