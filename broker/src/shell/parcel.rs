//! What mailboxes carry: a turn's mail, or what only shells and the node's main thread are concerned with.

use std::net::SocketAddr;

use net::ListenerId;
use net::driver::AcceptedSocket;

use crate::shard::mail::Mail;
use crate::shard::steering::Luggage;

#[derive(Debug)]
pub(crate) enum Parcel {
    /// All the mail of one turn for one shard.
    Mail(Vec<Mail>),
    /// A connection for a data shard: accepted, or another shard's before.
    Connection(AcceptedSocket, Option<Luggage>),
    /// To the accepting shard: a connection of the sender would do better on the data shard `to`.
    Steered { socket: AcceptedSocket, to: usize, luggage: Luggage },
    /// So many connections of the sender have ended.
    Ended(usize),
    /// To the accepting shard: begin.
    Listen(Vec<(ListenerId, SocketAddr)>),
    /// To the accepting shard: no more connections.
    StopListening,
    /// To the node's main thread: what is listened on, or why not.
    Listening(Result<Vec<SocketAddr>, String>),
}
