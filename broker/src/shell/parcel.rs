//! What mailboxes carry: a turn's mail, or what only shells and the node's main thread are concerned with.

use std::net::SocketAddr;

use net::ListenerId;
use net::driver::AcceptedSocket;

use crate::shard::mail::Mail;

#[derive(Debug)]
pub(crate) enum Parcel {
    /// All the mail of one turn for one shard.
    Mail(Vec<Mail>),
    /// A connection for a data shard.
    Connection(AcceptedSocket),
    /// So many connections of the sender have ended.
    Ended(usize),
    /// To the accepting shard: begin.
    Listen(Vec<(ListenerId, SocketAddr)>),
    /// To the accepting shard: no more connections.
    StopListening,
    /// To the node's main thread: what is listened on, or why not.
    Listening(Result<Vec<SocketAddr>, String>),
}
