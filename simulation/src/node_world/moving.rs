//! Connections on their way from one shard to another: bytes come meanwhile, and nobody has them.

use broker::net::{ConnectionId, ListenerId, NetEvent};
use broker::shard::event::Event;
use broker::shard::steering::{Luggage, Move};

use super::{NodeWorld, client_of};

/// A move takes up to this long.
const MOVE_NS: u64 = 500_000;
/// The place of a connection that no shard has.
const NOWHERE: usize = usize::MAX;

#[derive(Debug)]
pub(super) struct MovedConnection {
    pub(super) due: u64,
    connection: ConnectionId,
    to: usize,
    luggage: Luggage,
}

impl NodeWorld {
    /// The shard `from` has given a connection away. Where it wanted to go may have too many: then it comes back.
    pub(super) fn begin_move(&mut self, from: usize, moved: Move) {
        let Move { connection, to, luggage } = moved;
        self.note(|_| format!("{connection} leaves shard {from} for {}", to.0));
        let to = if self.random.one_in(4) { from } else { usize::from(to.0) };
        client_of(&mut self.clients, connection).connection.shard = NOWHERE;
        let due = self.now + self.random.below(MOVE_NS);
        self.node.moved_connections.push(MovedConnection { due, connection, to, luggage });
        self.tally.moved_connections += 1;
    }

    pub(super) fn is_under_way(shard: usize) -> bool {
        shard == NOWHERE
    }

    /// What a shard hears of connections that have arrived there.
    pub(super) fn take_moved_here(&mut self, at: usize) -> Vec<Event> {
        let now = self.now;
        let arrives = |moved: &mut MovedConnection| moved.to == at && moved.due <= now;
        let arrived: Vec<_> = self.node.moved_connections.extract_if(.., arrives).collect();
        let mut events = Vec::new();
        for MovedConnection { connection, luggage, .. } in arrived {
            let is_stopping = self.is_stopping;
            let found = &mut client_of(&mut self.clients, connection).connection;
            if is_stopping {
                // Nobody takes it any more.
                found.is_closed = true;
                continue;
            }
            found.shard = at;
            let peer = "127.0.0.1:5000".parse().expect("an address");
            let opened = NetEvent::Opened { connection, listener: ListenerId(0), peer };
            events.push(Event::Net(opened));
            events.push(Event::MovedHere { connection, luggage });
        }
        events
    }
}
