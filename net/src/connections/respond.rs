//! Answers of the broker to bytes in request order, and what frees a connection to go on.

use bytes::Bytes;
use runtime::clock::Monotonic;
use runtime::memory::MemoryRange;

use super::Connections;
use crate::close_reason::CloseReason;
use crate::connection::Armed;
use crate::ids::{ConnectionId, Sequence};
use crate::metrics::count;
use crate::outbound::ZeroCopyChange;
use crate::request_order::{Answer, Then};
use crate::seam::{NetEffect, NetOutput, SendMode};

impl Connections {
    /// Gives a request its response; it leaves when all older requests of the connection have theirs.
    /// The parts are sent as they are, never copied.
    pub fn respond(
        &mut self,
        now: Monotonic,
        connection: ConnectionId,
        sequence: Sequence,
        parts: Vec<Bytes>,
        out: &mut NetOutput,
    ) {
        self.answer(now, connection, sequence, Answer::new(parts, Then::Continue), out);
    }

    /// Like `respond`, of parts with so many bytes of records: those that do not lie in memory that is known
    /// (`know_log_memory`) when they are sent are counted as copied.
    pub fn respond_with_records(
        &mut self,
        now: Monotonic,
        connection: ConnectionId,
        sequence: Sequence,
        (parts, record_bytes): (Vec<Bytes>, usize),
        out: &mut NetOutput,
    ) {
        self.answer(now, connection, sequence, Answer::with_records(parts, record_bytes), out);
    }

    /// Records are sent from this memory, too: another shard's. The own one is known.
    pub fn know_log_memory(&mut self, range: MemoryRange) {
        self.log_memory.know(range);
    }

    /// The request wants no response (acks=0), or nobody can take it any more; it keeps its place in
    /// the order.
    pub fn no_response(
        &mut self,
        now: Monotonic,
        connection: ConnectionId,
        sequence: Sequence,
        out: &mut NetOutput,
    ) {
        self.answer(now, connection, sequence, Answer::new(Vec::new(), Then::Continue), out);
    }

    /// Gives a request its last word (`parts` may be empty): when its turn has come and everything up
    /// to it has left, the connection closes. No further request is taken.
    pub fn close_after(
        &mut self,
        now: Monotonic,
        connection: ConnectionId,
        sequence: Sequence,
        parts: Vec<Bytes>,
        out: &mut NetOutput,
    ) {
        if let Some(open) = self.table.get_mut(connection) {
            open.inbound.ended = true;
        }
        self.answer(now, connection, sequence, Answer::new(parts, Then::Close), out);
    }

    /// Gives a request's memory back before its answer: the caller keeps no slice of its frame. For
    /// produce requests whose records were copied to the log, and for fetches that wait long.
    pub fn release_memory(
        &mut self,
        now: Monotonic,
        connection: ConnectionId,
        sequence: Sequence,
        out: &mut NetOutput,
    ) {
        let requests = match self.table.get_mut(connection) {
            Some(found) => Some(&mut found.requests),
            None => self.left_behind.get_mut(&connection),
        };
        if let Some(charge) = requests.and_then(|requests| requests.release(sequence)) {
            self.memory.release(charge);
            self.settle(now, out);
        }
    }

    fn answer(
        &mut self,
        now: Monotonic,
        id: ConnectionId,
        sequence: Sequence,
        answer: Answer,
        out: &mut NetOutput,
    ) {
        let Some(connection) = self.table.get_mut(id) else {
            return self.answer_left_behind(now, id, sequence, out);
        };
        if !connection.is_open() {
            self.metrics.responses_dropped += 1;
            let dropped = Answer::new(Vec::new(), Then::Continue);
            if let Some(charge) = connection.requests.answer(sequence, dropped) {
                self.memory.release(charge);
            }
            return self.settle(now, out);
        }
        connection.clocks.active = now;
        self.pinned += answer.bytes;
        connection.outbound.block(answer.bytes);
        if let Some(charge) = connection.requests.answer(sequence, answer) {
            self.memory.release(charge);
        }
        while !connection.outbound.closes() {
            let Some(answer) = connection.requests.pop_ready() else { break };
            self.metrics.responses_sent += u64::from(answer.bytes > 0);
            connection.outbound.queue(now, answer);
        }
        self.go_on(now, id, out);
    }

    /// The connection went first. Its request's memory is free only now.
    #[cold]
    fn answer_left_behind(
        &mut self,
        now: Monotonic,
        id: ConnectionId,
        sequence: Sequence,
        out: &mut NetOutput,
    ) {
        self.metrics.responses_dropped += 1;
        let Some(requests) = self.left_behind.get_mut(&id) else { return };
        let charge = requests.answer(sequence, Answer::new(Vec::new(), Then::Continue));
        if !requests.has_pending() {
            self.left_behind.remove(&id);
        }
        if let Some(charge) = charge {
            self.memory.release(charge);
        }
        self.settle(now, out);
    }

    pub(super) fn on_sent(
        &mut self,
        now: Monotonic,
        id: ConnectionId,
        bytes: usize,
        out: &mut NetOutput,
    ) {
        let Some(connection) = self.table.get_mut(id) else { return };
        self.metrics.bytes_sent += count(bytes);
        self.pinned -= connection.outbound.sent(bytes);
        if let Some(since) = connection.outbound.sent_since() {
            self.metrics.send.record(since, now);
        }
        connection.clocks.active = now;
        connection.clocks.send_progress = now;
        self.go_on(now, id, out);
    }

    pub(super) fn on_released(
        &mut self,
        now: Monotonic,
        id: ConnectionId,
        bytes: usize,
        copied: bool,
        out: &mut NetOutput,
    ) {
        let Some(connection) = self.table.get_mut(id) else { return };
        self.metrics.releases_copied += u64::from(copied);
        self.pinned -= bytes;
        if connection.outbound.released(bytes, copied) == ZeroCopyChange::TurnedOff {
            self.metrics.zero_copy_turned_off += 1;
        }
        connection.clocks.active = now;
        connection.clocks.send_progress = now;
        self.go_on(now, id, out);
    }

    /// A connection may have become free to take its next request, or memory free for another's.
    fn go_on(&mut self, now: Monotonic, id: ConnectionId, out: &mut NetOutput) {
        self.advance(now, id, out);
        self.touch(id);
        self.settle(now, out);
    }

    /// The end of a batch, for one connection that something happened to.
    pub(super) fn finish(&mut self, now: Monotonic, id: ConnectionId, out: &mut NetOutput) {
        let Some(connection) = self.table.get_mut(id) else { return };
        connection.touched = false;
        if !connection.is_open() {
            return;
        }
        if let Some((mut parts, mode)) = connection.outbound.take_send() {
            connection.transform.outgoing(&mut parts);
            if connection.outbound.expects_records() {
                let bytes = self.log_memory.bytes_in(&parts);
                self.metrics.record_bytes_copied +=
                    count(connection.outbound.seen_in_log_memory(bytes));
            }
            self.metrics.sends += 1;
            self.metrics.sends_zero_copy += u64::from(mode == SendMode::ZeroCopy);
            connection.clocks.send_progress = now;
            out.effects.push(NetEffect::Send { connection: id, parts, mode });
        }
        if connection.outbound.closes_next() {
            return self.begin_close(id, CloseReason::Requested, out);
        }
        if self.draining && connection.requests.is_empty() && connection.outbound.unsent() == 0 {
            return self.begin_close(id, CloseReason::Drained, out);
        }
        if connection.may_leave() {
            return self.leave(id, out);
        }
        if connection.wants_receive(&self.limits) {
            connection.inbound.armed = Armed::Receive;
            out.effects.push(NetEffect::Receive { connection: id });
        }
        // The frame's clock runs while its bytes are being received: a peer does not pay for the time
        // that it is made to wait.
        connection.clocks.frame_due = match connection.inbound.framing.begun() {
            Some(length) if connection.inbound.armed != Armed::Nothing => {
                let at = Monotonic(now.0.saturating_add(self.limits.slow_frame_ns(length)));
                connection.clocks.frame_due.or(Some(at))
            }
            _ => None,
        };
        let due = connection.due(&self.limits).map(|(at, _)| at);
        self.deadlines.set(id, &mut connection.clocks.entry, due);
    }
}
