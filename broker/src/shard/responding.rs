//! Responses on their way to their connections, and how much memory they may pin.

use bytes::Bytes;
use net::{Connections, NetOutput};
use protocol::messages::fetch::FetchResponse;
use protocol::{Response, encode_response};
use runtime::clock::Monotonic;

use super::Shard;
use super::mail::Mail;
use super::requests::Head;
use crate::limits::{
    COLLECTED_BYTES_MAX, COLLECTED_BYTES_MIN, COLLECTED_SHARE_DIVISOR, RESPONSE_BYTES_MAX,
};

/// What the answers to one request may collect from elsewhere; it counts as pinned until they are sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Collected {
    pub(crate) bytes_max: usize,
    /// The most that any request gets: what does not fit into this does not fit later either.
    best: usize,
}

impl Collected {
    /// Whether an answer that has found no room in so many bytes could find some at another time.
    pub(crate) fn may_fit_later(self, bytes_max: usize) -> bool {
        bytes_max < self.best
    }
}

impl Shard {
    /// Takes a share of what responses may still pin. Of connections that do not take what they asked for
    /// nothing more is collected.
    pub(crate) fn begin_collecting(&mut self, head: &Head) -> Collected {
        let share = |bytes: usize| (bytes / COLLECTED_SHARE_DIVISOR).min(COLLECTED_BYTES_MAX);
        let best = share(self.front.responses_bytes_max).max(COLLECTED_BYTES_MIN);
        let connections = &self.front.connections;
        let left = self.front.responses_bytes_max.saturating_sub(self.response_bytes_pinned());
        let has_taken = connections.response_bytes_unsent(head.connection) < RESPONSE_BYTES_MAX;
        let bytes_max = match has_taken && left >= COLLECTED_BYTES_MIN {
            true => share(left).max(COLLECTED_BYTES_MIN),
            false => 0,
        };
        self.front.collected_bytes += bytes_max;
        Collected { bytes_max, best }
    }

    /// The answers are about to be sent, or nobody waits for them.
    pub(crate) fn end_collecting(&mut self, collected: Collected) {
        self.front.collected_bytes -= collected.bytes_max;
    }

    /// Bytes of responses, those that are being collected included.
    pub(crate) fn response_bytes_pinned(&self) -> usize {
        self.front.connections.response_bytes_pinned() + self.front.collected_bytes
    }

    /// Gives a request its response.
    pub(crate) fn respond(&mut self, head: &Head, response: impl Into<Response>) {
        match encode_response(head.correlation_id, head.version, &response.into()) {
            Ok(parts) if self.may_pin(head, &parts) => self.respond_with(head, parts),
            Ok(_) => self.close_unanswered(head, "it does not take its responses"),
            Err(error) => self.close_unanswered(head, &error.to_string()),
        }
    }

    /// No request is taken of a connection that has not taken its responses, but those before may have been
    /// many: they do not get the memory of everybody's responses.
    fn may_pin(&self, head: &Head, parts: &[Bytes]) -> bool {
        let connections = &self.front.connections;
        let bytes: usize = parts.iter().map(Bytes::len).sum();
        connections.response_bytes_unsent(head.connection) < RESPONSE_BYTES_MAX
            || connections.response_bytes_pinned() + bytes <= self.front.responses_bytes_max
    }

    /// Gives a fetch its response, with so many bytes of records.
    pub(crate) fn respond_with_records(
        &mut self,
        head: &Head,
        response: FetchResponse,
        record_bytes: usize,
    ) {
        self.note_records_sent(head, record_bytes);
        match encode_response(head.correlation_id, head.version, &response.into()) {
            Ok(parts) => self.answer(head, |connections, now, out| {
                let (to, sequence) = (head.connection, head.sequence);
                connections.respond_with_records(now, to, sequence, (parts, record_bytes), out);
            }),
            Err(error) => self.close_unanswered(head, &error.to_string()),
        }
    }

    pub(crate) fn respond_with(&mut self, head: &Head, parts: Vec<Bytes>) {
        self.answer(head, |connections, now, out| {
            connections.respond(now, head.connection, head.sequence, parts, out);
        });
    }

    pub(crate) fn respond_nothing(&mut self, head: &Head) {
        self.answer(head, |connections, now, out| {
            connections.no_response(now, head.connection, head.sequence, out);
        });
    }

    fn answer(
        &mut self,
        head: &Head,
        give: impl FnOnce(&mut Connections, Monotonic, &mut NetOutput),
    ) {
        let now = self.now.monotonic;
        self.metrics.count_answer(head, now);
        give(&mut self.front.connections, now, &mut self.front.out);
        self.go_on_after(head.connection);
    }

    /// There is no response that the client could be sent.
    #[cold]
    fn close_unanswered(&mut self, head: &Head, why: &str) {
        let peer = self.front.connections.peer(head.connection);
        let peer = peer.map_or_else(|| "unknown".to_owned(), |peer| peer.to_string());
        let what = format!("connection from {peer} is closed: {why}");
        self.outbox.post(self.node.main(), Mail::Trouble { what });
        self.close_after(head.connection, head.sequence);
    }

    /// Closes the connection of a request when what came before is answered.
    pub(crate) fn close_after(&mut self, connection: net::ConnectionId, sequence: net::Sequence) {
        let now = self.now.monotonic;
        let out = &mut self.front.out;
        self.front.connections.close_after(now, connection, sequence, Vec::new(), out);
        self.go_on_after(connection);
    }

    /// A request of the connection was answered.
    fn go_on_after(&mut self, connection: net::ConnectionId) {
        self.progress.turns.on_answer(connection);
        self.take_frames();
    }
}
