//! Connections that go to the shard that owns what they use: a request then needs no other core.
//!
//! ```text
//!   requests one at a time, small, all for partitions of one other shard
//!     └─ so many in a row ──► the connection leaves when nothing of it is under way ──► the accepting shard
//!                             counts it, and gives it to the owner, or back where that has its share already
//! ```
//!
//! Such a client waits for each answer, so the way to another core and back is time that it loses; and it is
//! little work, so that the owner's core can take it. Clients that pipeline or move many bytes stay where they
//! are: their work is better spread over the cores.

use std::collections::BTreeMap;

use net::{ConnectionId, LeftConnection, Principal};

use super::Shard;
use super::mail::ShardIndex;
use super::requests::Head;
use super::sessions::MovedSession;
use crate::limits::{STEERED_BYTES_MAX, STEERED_TIMES_MAX};

/// A connection that goes to another shard, for the shell to carry.
#[derive(Debug)]
pub struct Move {
    pub connection: ConnectionId,
    /// Who owns what its requests were about.
    pub to: ShardIndex,
    pub luggage: Luggage,
}

/// What the shards know of a connection besides its socket.
#[derive(Debug, Default)]
pub struct Luggage {
    principal: Principal,
    sessions: Vec<MovedSession>,
    times_moved: u32,
}

/// What the last requests of a connection had in common.
#[derive(Clone, Copy, Debug)]
struct Streak {
    to: ShardIndex,
    requests: u32,
    times_moved: u32,
}

/// Connections that may be better off elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Steering {
    streaks: BTreeMap<ConnectionId, Streak>,
    moved: u64,
}

impl Steering {
    /// Connections that have left this shard for another, since start.
    pub(crate) fn moved(&self) -> u64 {
        self.moved
    }

    /// What comes next of the connection begins a new streak.
    fn interrupt(&mut self, connection: ConnectionId) {
        if let Some(streak) = self.streaks.get_mut(&connection) {
            streak.requests = 0;
        }
    }

    /// One more request for one other shard; how long the streak is.
    fn count(&mut self, connection: ConnectionId, to: ShardIndex) -> Streak {
        let new = Streak { to, requests: 0, times_moved: 0 };
        let streak = self.streaks.entry(connection).or_insert(new);
        if streak.to != to {
            (streak.to, streak.requests) = (to, 0);
        }
        streak.requests = streak.requests.saturating_add(1);
        *streak
    }

    /// Connections that something is known of.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.streaks.len()
    }

    pub(crate) fn forget(&mut self, connection: ConnectionId) {
        self.streaks.remove(&connection);
    }
}

impl Shard {
    /// Notes whose partitions a request is about, and how many bytes of records it brings.
    pub(crate) fn note_owners(
        &mut self,
        head: &Head,
        mut owners: impl Iterator<Item = ShardIndex>,
        bytes: usize,
    ) {
        let Some(to) = owners.next() else { return };
        let connection = head.connection;
        if !self.front.connections.is_open(connection) {
            // Its last frames may have waited longer than it was there: nobody would forget it again.
            return;
        }
        let is_alone = self.front.connections.requests_in_flight(connection) <= 1;
        let is_elsewhere = to != self.node.me && to.0 < self.node.data_shards;
        if !is_elsewhere
            || !is_alone
            || bytes > STEERED_BYTES_MAX
            || owners.any(|owner| owner != to)
        {
            return self.front.steering.interrupt(connection);
        }
        let streak = self.front.steering.count(connection, to);
        // Each time takes longer, so that a connection that finds no place, or whose client uses many
        // partitions in turn, is not always under way.
        let times = streak.times_moved;
        let is_long = streak.requests >> (2 * times) >= self.node.steered_after;
        if is_long && times < STEERED_TIMES_MAX && !self.is_draining() {
            self.front.connections.let_leave(connection);
        }
    }

    /// Notes how many bytes of records a response has.
    pub(crate) fn note_records_sent(&mut self, head: &Head, bytes: usize) {
        if bytes > STEERED_BYTES_MAX {
            self.front.steering.interrupt(head.connection);
        }
    }

    /// A connection is this shard's no more.
    pub(crate) fn move_of(&mut self, left: LeftConnection) -> Move {
        let LeftConnection { connection, principal } = left;
        let streak = self.front.steering.streaks.remove(&connection);
        let streak = streak.expect("only steering lets connections leave");
        self.front.steering.moved += 1;
        let sessions = self.front.sessions.take_of(connection);
        let times_moved = streak.times_moved + 1;
        Move { connection, to: streak.to, luggage: Luggage { principal, sessions, times_moved } }
    }

    /// A connection that was another shard's, after its `Opened`.
    pub(crate) fn on_moved_here(&mut self, connection: ConnectionId, luggage: Luggage) {
        let Luggage { principal, sessions, times_moved } = luggage;
        if !self.front.connections.is_open(connection) {
            return;
        }
        self.front.connections.set_principal(connection, principal);
        self.front.sessions.put_back(connection, sessions);
        let streak = Streak { to: self.node.me, requests: 0, times_moved };
        self.front.steering.streaks.insert(connection, streak);
    }
}
