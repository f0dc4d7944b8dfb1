//! What the core and the driver say to each other: events in, effects out.
//!
//! ```text
//!        Opened, Received, Filled, Sent, Released, Closed
//!   driver  ─────────────────────────────────────────▶  core
//!   (sockets)                                           (Connections)
//!           ◀─────────────────────────────────────────
//!              Receive, ReceiveInto, Send, Close
//! ```
//!
//! The contract, which the driver keeps and a simulated network must keep too:
//! * `Opened` comes first and `Closed` last, each exactly once for a connection. `Closed` comes when
//!   nothing of the connection is in the kernel any more: every block and slice has come back. It
//!   follows a `Close`, or the peer's own end of the connection; a `Close` that crosses the latter is ignored.
//!   No `Closed` comes for a connection that has left for another shard, which sees its `Opened`.
//! * Each `Receive` or `ReceiveInto` is answered by one `Received` or `Filled`, unless `Closed` comes
//!   instead. At most one of the two is outstanding for a connection.
//! * A `Send` is carried out whole, in order, reported by one or more `Sent` whose bytes add up to it,
//!   unless `Closed` comes instead. At most one is outstanding for a connection. With
//!   `SendMode::ZeroCopy` the kernel keeps the parts longer: `Released` follows, for the same bytes.

use std::net::SocketAddr;

use bytes::Bytes;
use runtime::memory::Block;

use crate::close_reason::CloseReason;
use crate::ids::{ConnectionId, ListenerId, Principal};

/// What happened to a socket.
#[derive(Debug)]
pub enum NetEvent {
    Opened {
        connection: ConnectionId,
        listener: ListenerId,
        peer: SocketAddr,
    },
    /// At least one byte, at most `SMALL_FRAME_BYTES_MAX`: a slice of a buffer that the driver gets
    /// back when its last slice is dropped.
    Received {
        connection: ConnectionId,
        data: Bytes,
    },
    /// `filled` is where the received bytes in the block now end: more than the effect's `from`, at
    /// most its `to`.
    Filled {
        connection: ConnectionId,
        block: Block,
        filled: usize,
    },
    /// `bytes` more of the outstanding send are on their way.
    Sent {
        connection: ConnectionId,
        bytes: usize,
    },
    /// Of a zero-copy send, `bytes` that were `Sent` have reached the peer and their memory is free.
    /// `copied`: the kernel copied all the same.
    Released {
        connection: ConnectionId,
        bytes: usize,
        copied: bool,
    },
    Closed {
        connection: ConnectionId,
        reason: CloseReason,
    },
}

/// What the driver is to do to a socket.
#[derive(Debug)]
pub enum NetEffect {
    /// Receive once into a small buffer of the driver's choice.
    Receive { connection: ConnectionId },
    /// Receive into `block[from..to]`: the rest of a large frame.
    ReceiveInto { connection: ConnectionId, block: Block, from: usize, to: usize },
    /// Send all parts in order.
    Send { connection: ConnectionId, parts: Vec<Bytes>, mode: SendMode },
    /// Cancel what is outstanding, close the socket, then report `Closed`.
    Close { connection: ConnectionId },
}

/// How the kernel is asked to take a send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SendMode {
    /// The kernel copies into the socket's buffer: always for small sends.
    Plain,
    /// The network device reads the parts where they are.
    ZeroCopy,
}

/// A complete request: the bytes after the 4 that state its size.
///
/// Every frame is answered exactly once, by `respond`, `no_response` or `close_after`, even after its
/// connection is gone: that is when its memory counts as free again.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    pub connection: ConnectionId,
    pub sequence: crate::ids::Sequence,
    pub bytes: Bytes,
}

/// A connection that has ended, with what a log line needs.
#[derive(Debug, PartialEq, Eq)]
pub struct ClosedConnection {
    pub connection: ConnectionId,
    pub listener: ListenerId,
    pub peer: SocketAddr,
    pub reason: CloseReason,
}

/// A connection that was asked to leave its shard and has: its socket is with the driver until that gives it away.
#[derive(Debug, PartialEq, Eq)]
pub struct LeftConnection {
    pub connection: ConnectionId,
    pub principal: Principal,
}

/// Where `Connections` puts what it has to say. The caller drains the lists and reuses them.
#[derive(Debug, Default)]
pub struct NetOutput {
    /// For the driver, in order.
    pub effects: Vec<NetEffect>,
    /// For the broker: of one connection, in the order received.
    pub frames: Vec<Frame>,
    /// For the broker: sessions of these connections can go.
    pub closed: Vec<ClosedConnection>,
    /// Connections that this shard does not have any more, and that may be given to another one.
    pub left: Vec<LeftConnection>,
}
