//! What goes into a shard and what comes out: one closed list each.

use engine::disk::{DiskEffect, DiskEvent};
use net::{ConnectionId, NetEffect, NetEvent};

use super::mail::{Mail, ShardIndex};
use super::steering::{Luggage, Move};

#[derive(Debug)]
pub enum Event {
    Net(NetEvent),
    Disk(DiskEvent),
    /// All mail that one sender's turn had for this shard.
    Mail {
        from: ShardIndex,
        parcel: Vec<Mail>,
    },
    /// A connection that was just `Opened` was another shard's before.
    MovedHere {
        connection: ConnectionId,
        luggage: Luggage,
    },
    /// The time of `Shard::deadline` has come.
    Deadline,
}

/// What a shard wants done, in order within each list. The shell empties them and reuses them.
#[derive(Debug, Default)]
pub struct Effects {
    /// In: free mailbox slots by destination; the shard takes no more than these.
    pub mail_slots: Vec<usize>,
    pub net: Vec<NetEffect>,
    /// Connections that are this shard's no more, once `net` is done.
    pub moves: Vec<Move>,
    pub disk: Vec<DiskEffect>,
    /// At most one parcel for each destination.
    pub mail: Vec<(ShardIndex, Vec<Mail>)>,
}
