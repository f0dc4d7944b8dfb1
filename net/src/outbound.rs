//! What one connection has to send: answers in their order, one send in flight, and whether the kernel
//! is asked to send without copying.

use bytes::Bytes;
use runtime::clock::Monotonic;

use crate::limits::{
    SEND_PARTS_MAX, UNRELEASED_BYTES_MAX, ZERO_COPY_BYTES_MIN, ZERO_COPY_COPIES_MAX,
};
use crate::request_order::{Answer, Then};
use crate::seam::SendMode;

/// Whether large sends ask for zero copy. Loopback, TLS in the kernel and devices without
/// scatter-gather copy all the same, after paying for the pinning: the kernel says so with each send,
/// and a connection that was told so a few times stops asking. Its route does not change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ZeroCopy {
    Wanted { copies: u8 },
    Off,
}

/// What a report about a send changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ZeroCopyChange {
    Unchanged,
    TurnedOff,
}

/// The sending half of a connection.
#[derive(Debug)]
pub(crate) struct Outbound {
    /// Answered and at their turn, not yet given to the driver.
    ready: Vec<Bytes>,
    /// Invariant: the sum of `ready`.
    ready_bytes: usize,
    /// Record bytes of `ready` and of earlier parts of the same answers that were not seen in log memory.
    ready_records: usize,
    /// Of the one send that the driver has, what has not left.
    sending: usize,
    /// How that send goes.
    mode: SendMode,
    /// Since when the oldest of `ready`, and of what is being sent, was to be sent.
    ready_since: Option<Monotonic>,
    sending_since: Monotonic,
    /// Left without a copy, and not yet acknowledged by the peer: the kernel still reads these.
    unreleased: usize,
    /// Answered, but an older request is not: these are still in `RequestOrder`.
    blocked: usize,
    /// The answer after which the connection closes is among `ready`; nothing follows it.
    close_after: bool,
    zero_copy: ZeroCopy,
}

impl Outbound {
    pub(crate) const fn new(peer_is_loopback: bool) -> Self {
        let zero_copy =
            if peer_is_loopback { ZeroCopy::Off } else { ZeroCopy::Wanted { copies: 0 } };
        Self {
            ready: Vec::new(),
            ready_bytes: 0,
            ready_records: 0,
            sending: 0,
            mode: SendMode::Plain,
            ready_since: None,
            sending_since: Monotonic(0),
            unreleased: 0,
            blocked: 0,
            close_after: false,
            zero_copy,
        }
    }

    /// All response bytes that this connection keeps in memory.
    pub(crate) const fn unsent(&self) -> usize {
        self.ready_bytes + self.sending + self.blocked + self.unreleased
    }

    /// Whether the peer has something to take, or to acknowledge.
    pub(crate) const fn waits_for_peer(&self) -> bool {
        self.sending > 0 || self.unreleased > 0
    }

    pub(crate) const fn closes_next(&self) -> bool {
        self.close_after && self.ready_bytes == 0 && self.sending == 0
    }

    pub(crate) const fn closes(&self) -> bool {
        self.close_after
    }

    pub(crate) fn block(&mut self, bytes: usize) {
        self.blocked += bytes;
    }

    /// An answer whose turn has come.
    pub(crate) fn queue(&mut self, now: Monotonic, answer: Answer) {
        assert!(!self.close_after, "an answer after the one that closes the connection");
        assert!(self.blocked >= answer.bytes, "an answer was not counted as blocked first");
        self.blocked -= answer.bytes;
        self.ready_bytes += answer.bytes;
        self.ready_records += answer.record_bytes;
        self.close_after = answer.then == Then::Close;
        if answer.bytes == 0 {
            return;
        }
        self.ready_since.get_or_insert(now);
        if self.ready.is_empty() {
            // The common case: the encoder's own list goes to the driver, nothing is allocated here.
            self.ready = answer.parts;
        } else {
            self.ready.extend(answer.parts);
        }
    }

    /// The next send, if none is in flight and something is ready: all of it, up to `SEND_PARTS_MAX`.
    pub(crate) fn take_send(&mut self) -> Option<(Vec<Bytes>, SendMode)> {
        if self.sending > 0 || self.ready_bytes == 0 {
            return None;
        }
        let rest = if self.ready.len() > SEND_PARTS_MAX {
            self.ready.split_off(SEND_PARTS_MAX)
        } else {
            Vec::new()
        };
        let parts = std::mem::replace(&mut self.ready, rest);
        self.sending = parts.iter().map(Bytes::len).sum();
        self.ready_bytes -= self.sending;
        // What is left for the next send has waited as long.
        let since = if self.ready_bytes > 0 { self.ready_since } else { self.ready_since.take() };
        self.sending_since = since.unwrap_or(self.sending_since);
        if self.sending == 0 {
            // Nothing but empty parts: the ones behind them are the next send.
            return self.take_send();
        }
        let large = self.sending >= ZERO_COPY_BYTES_MIN;
        // A peer that acknowledges slowly gets copies: the socket's own buffer bounds those.
        let acknowledges = self.unreleased < UNRELEASED_BYTES_MAX;
        self.mode = if large && acknowledges && self.zero_copy != ZeroCopy::Off {
            SendMode::ZeroCopy
        } else {
            SendMode::Plain
        };
        Some((parts, self.mode))
    }

    /// Whether the send that was just taken may have records.
    pub(crate) const fn expects_records(&self) -> bool {
        self.ready_records > 0
    }

    /// So many bytes of the send that was just taken lie in log memory. Returns how many record bytes do not,
    /// as soon as no more can come: a large answer leaves in several sends.
    pub(crate) fn seen_in_log_memory(&mut self, bytes: usize) -> usize {
        self.ready_records = self.ready_records.saturating_sub(bytes);
        if self.ready_bytes > 0 {
            return 0;
        }
        std::mem::take(&mut self.ready_records)
    }

    /// Since when what has left altogether had been waiting; `None` while some of the send has not left.
    pub(crate) fn sent_since(&self) -> Option<Monotonic> {
        (self.sending == 0).then_some(self.sending_since)
    }

    /// Returns how many of the bytes are no longer in memory for this connection.
    pub(crate) fn sent(&mut self, bytes: usize) -> usize {
        assert!(bytes <= self.sending, "{bytes} bytes sent of {}", self.sending);
        self.sending -= bytes;
        match self.mode {
            SendMode::Plain => bytes,
            SendMode::ZeroCopy => {
                self.unreleased += bytes;
                0
            }
        }
    }

    pub(crate) fn released(&mut self, bytes: usize, copied: bool) -> ZeroCopyChange {
        assert!(bytes <= self.unreleased, "{bytes} bytes released of {}", self.unreleased);
        self.unreleased -= bytes;
        match (copied, self.zero_copy) {
            (true, ZeroCopy::Wanted { copies }) if copies + 1 >= ZERO_COPY_COPIES_MAX => {
                self.zero_copy = ZeroCopy::Off;
                ZeroCopyChange::TurnedOff
            }
            (true, ZeroCopy::Wanted { copies }) => {
                self.zero_copy = ZeroCopy::Wanted { copies: copies + 1 };
                ZeroCopyChange::Unchanged
            }
            (false, _) | (true, ZeroCopy::Off) => ZeroCopyChange::Unchanged,
        }
    }

    /// The connection closes: only what the driver has remains, until it reports the end. Returns how
    /// many bytes were dropped.
    pub(crate) fn drop_unsent(&mut self) -> usize {
        let dropped = self.ready_bytes + self.blocked;
        self.ready = Vec::new();
        self.ready_bytes = 0;
        self.ready_records = 0;
        self.blocked = 0;
        dropped
    }

    pub(crate) fn invariants(&self, blocked: usize) {
        let ready: usize = self.ready.iter().map(Bytes::len).sum();
        assert_eq!(ready, self.ready_bytes, "ready bytes are miscounted");
        assert_eq!(blocked, self.blocked, "blocked bytes are miscounted");
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Answer, Bytes, Monotonic, Outbound, SEND_PARTS_MAX, SendMode, Then, UNRELEASED_BYTES_MAX,
    };

    const LARGE: &[u8] = &[7; 40_000];

    fn queue(outbound: &mut Outbound, parts: Vec<Bytes>) {
        let answer = Answer::new(parts, Then::Continue);
        outbound.block(answer.bytes);
        outbound.queue(Monotonic(1), answer);
    }

    #[test]
    fn one_send_is_in_flight_and_what_is_ready_leaves_together() {
        let mut outbound = Outbound::new(true);
        queue(&mut outbound, vec![Bytes::from_static(b"one")]);
        assert_eq!(outbound.take_send().unwrap().0.len(), 1);
        queue(&mut outbound, vec![Bytes::from_static(b"two")]);
        queue(&mut outbound, vec![Bytes::from_static(b"three")]);
        assert!(outbound.take_send().is_none());
        outbound.sent(2);
        assert!(outbound.take_send().is_none());
        outbound.sent(1);
        assert_eq!(outbound.take_send().unwrap().0.concat(), b"twothree");
        assert_eq!(outbound.unsent(), 8);
    }

    #[test]
    fn a_send_has_waited_since_its_oldest_answer() {
        let mut outbound = Outbound::new(true);
        let answer = |size: usize| Answer::new(vec![Bytes::from(vec![1; size])], Then::Continue);
        let queue = |outbound: &mut Outbound, at, size| {
            outbound.block(size);
            outbound.queue(Monotonic(at), answer(size));
        };
        queue(&mut outbound, 10, 4);
        queue(&mut outbound, 20, 4);
        outbound.take_send().unwrap();
        queue(&mut outbound, 30, 4);
        outbound.sent(5);
        assert_eq!(outbound.sent_since(), None, "some of it is left");
        outbound.sent(3);
        assert_eq!(outbound.sent_since(), Some(Monotonic(10)));
        outbound.take_send().unwrap();
        outbound.sent(4);
        assert_eq!(outbound.sent_since(), Some(Monotonic(30)));
    }

    #[test]
    fn parts_are_passed_on_uncopied() {
        let part = Bytes::from(vec![1; 50_000]);
        let mut outbound = Outbound::new(true);
        queue(&mut outbound, vec![Bytes::from_static(b"head"), part.clone()]);
        let (parts, _) = outbound.take_send().unwrap();
        assert_eq!(parts[1].as_ptr(), part.as_ptr());
    }

    #[test]
    fn more_parts_than_a_send_takes_leave_in_several() {
        let mut outbound = Outbound::new(true);
        let parts = vec![Bytes::from_static(b"x"); SEND_PARTS_MAX + 1];
        queue(&mut outbound, parts);
        assert_eq!(outbound.take_send().unwrap().0.len(), SEND_PARTS_MAX);
        outbound.sent(SEND_PARTS_MAX);
        assert_eq!(outbound.take_send().unwrap().0.len(), 1);
    }

    #[test]
    fn zero_copy_is_asked_for_large_sends_until_the_kernel_has_copied_three() {
        let mut outbound = Outbound::new(false);
        queue(&mut outbound, vec![Bytes::from_static(b"small")]);
        assert_eq!(outbound.take_send().unwrap().1, SendMode::Plain);
        assert_eq!(outbound.sent(5), 5);
        for copied in [true, false, true, true] {
            queue(&mut outbound, vec![Bytes::from_static(LARGE)]);
            assert_eq!(outbound.take_send().unwrap().1, SendMode::ZeroCopy);
            assert_eq!((outbound.sent(LARGE.len()), outbound.unsent()), (0, LARGE.len()));
            outbound.released(LARGE.len(), copied);
        }
        queue(&mut outbound, vec![Bytes::from_static(LARGE)]);
        assert_eq!(outbound.take_send().unwrap().1, SendMode::Plain);
        assert_eq!((outbound.sent(LARGE.len()), outbound.unsent()), (LARGE.len(), 0));
    }

    #[test]
    fn a_peer_that_does_not_acknowledge_gets_copies() {
        let mut outbound = Outbound::new(false);
        for _ in 0..UNRELEASED_BYTES_MAX.div_ceil(LARGE.len()) {
            queue(&mut outbound, vec![Bytes::from_static(LARGE)]);
            assert_eq!(outbound.take_send().unwrap().1, SendMode::ZeroCopy);
            outbound.sent(LARGE.len());
        }
        queue(&mut outbound, vec![Bytes::from_static(LARGE)]);
        assert_eq!(outbound.take_send().unwrap().1, SendMode::Plain);
        outbound.released(LARGE.len(), false);
        outbound.sent(LARGE.len());
        queue(&mut outbound, vec![Bytes::from_static(LARGE)]);
        assert_eq!(outbound.take_send().unwrap().1, SendMode::ZeroCopy);
    }

    #[test]
    fn loopback_is_known_to_copy() {
        let mut outbound = Outbound::new(true);
        queue(&mut outbound, vec![Bytes::from_static(LARGE)]);
        assert_eq!(outbound.take_send().unwrap().1, SendMode::Plain);
    }
}
