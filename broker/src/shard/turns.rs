//! The order in which the requests of one connection begin.
//!
//! Requests of a connection are worked on together and answered in order, but for a fetch: it begins when
//! every request before it is answered, and what follows waits for its answer, as all requests of a
//! connection do in Kafka. Otherwise records that later fetches have read would pin memory until an older
//! fetch is answered, which waits for just that memory.

use std::collections::{BTreeMap, VecDeque};

use net::{ConnectionId, Frame};
use protocol::{ApiKey, RequestHeader};
use runtime::clock::Monotonic;

use super::Shard;

/// A frame, and when it was complete.
type Received = (Monotonic, Frame);

/// Frames whose turn has not come.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// Oldest first. No entry is empty.
    waiting: BTreeMap<ConnectionId, VecDeque<Received>>,
    /// Connections with frames that wait, of which a request was answered.
    answered: Vec<ConnectionId>,
}

impl Turns {
    /// A request of the connection was answered.
    pub(crate) fn on_answer(&mut self, connection: ConnectionId) {
        if self.waiting.contains_key(&connection) {
            self.answered.push(connection);
        }
    }

    pub(crate) fn has_news(&self) -> bool {
        !self.answered.is_empty()
    }
}

impl Shard {
    /// Puts the frame aside if its turn has not come.
    pub(super) fn wait_for_turn(&mut self, received: Received) -> Option<Received> {
        let connection = received.1.connection;
        if let Some(waiting) = self.progress.turns.waiting.get_mut(&connection) {
            waiting.push_back(received);
            return None;
        }
        if self.is_its_turn(&received.1) {
            return Some(received);
        }
        self.progress.turns.waiting.insert(connection, VecDeque::from([received]));
        None
    }

    /// Dispatches the frames that waited for answers that have been given.
    pub(super) fn dispatch_in_turn(&mut self) {
        while let Some(connection) = self.progress.turns.answered.pop() {
            if !self.has_room_for_requests() {
                return self.progress.turns.answered.push(connection);
            }
            if let Some((received, frame)) = self.next_in_turn(connection) {
                // The next one may begin as well.
                self.progress.turns.answered.push(connection);
                self.dispatch(received, &frame);
            }
        }
    }

    /// Takes the oldest waiting frame of the connection if its turn has come.
    fn next_in_turn(&mut self, connection: ConnectionId) -> Option<Received> {
        let (_, oldest) = self.progress.turns.waiting.get(&connection)?.front()?;
        if !self.is_its_turn(oldest) {
            return None;
        }
        let waiting = self.progress.turns.waiting.get_mut(&connection)?;
        let received = waiting.pop_front();
        if waiting.is_empty() {
            self.progress.turns.waiting.remove(&connection);
        }
        received
    }

    fn is_its_turn(&self, frame: &Frame) -> bool {
        let Frame { connection, sequence, .. } = *frame;
        if RequestHeader::api_key_of(&frame.bytes) == Some(ApiKey::Fetch) {
            return self.front.connections.is_oldest(connection, sequence);
        }
        self.fetches_of(connection).next().is_none()
    }
}
