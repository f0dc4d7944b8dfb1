//! The state of one connection, on the shard that adopted it.
//!
//! ```text
//!            Opened            close decided              Closed
//!   (absent) ──────▶ Open ───────────────────▶ Closing ──────────▶ (absent)
//!                      └──────────── Closed ──────────────────────▶
//!
//!   receiving, while Open:
//!
//!     Head ──4 bytes──▶ Sized ──memory──▶ (in place) ────────▶ frame, Head
//!                         │  ▲          ├─▶ Small ──rest──────▶ frame, Head
//!                         └──┘          └─▶ Body ──ReceiveInto─▶ frame, Head
//!                    waits its turn
//! ```

use std::net::SocketAddr;

use bytes::Bytes;
use runtime::clock::Monotonic;

use crate::close_reason::CloseReason;
use crate::frame_size::SIZE_BYTES;
use crate::ids::{ConnectionId, ListenerId, Principal};
use crate::limits::{Limits, MS};
use crate::outbound::Outbound;
use crate::request_memory::{Charge, Lane};
use crate::request_order::RequestOrder;
use crate::transform::Transform;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    Open,
    /// The driver was told to close; what it still has comes back before `Closed`.
    Closing(CloseReason),
}

/// Where in the stream of frames the next byte belongs.
#[derive(Debug)]
pub(crate) enum Framing {
    /// In the size before a frame; `have` of its bytes are known.
    Head { bytes: [u8; SIZE_BYTES], have: usize },
    /// Before a frame's first byte: its size is allowed, its turn or its memory is not there yet.
    Sized { length: usize },
    /// In a small frame that a buffer's end has cut. Invariant: `frame.len() < length`.
    Small { frame: Vec<u8>, length: usize, charge: Charge },
    /// In a large frame, whose block the driver is filling.
    Body { length: usize, received: usize, charge: Charge },
}

impl Framing {
    pub(crate) const START: Self = Self::Head { bytes: [0; SIZE_BYTES], have: 0 };

    /// The length of the frame that has begun, `None` between frames. In its head it is not known.
    pub(crate) const fn begun(&self) -> Option<usize> {
        match self {
            Self::Head { have: 0, .. } => None,
            Self::Head { .. } => Some(0),
            Self::Sized { length } | Self::Small { length, .. } | Self::Body { length, .. } => {
                Some(*length)
            }
        }
    }

    pub(crate) const fn charge(&self) -> Option<&Charge> {
        match self {
            Self::Head { .. } | Self::Sized { .. } => None,
            Self::Small { charge, .. } | Self::Body { charge, .. } => Some(charge),
        }
    }

    pub(crate) fn into_charge(self) -> Option<Charge> {
        match self {
            Self::Head { .. } | Self::Sized { .. } => None,
            Self::Small { charge, .. } | Self::Body { charge, .. } => Some(charge),
        }
    }
}

/// What the driver is receiving for the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Armed {
    Nothing,
    Receive,
    ReceiveInto,
}

/// A place in the queue for memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Waiting {
    pub(crate) lane: Lane,
    pub(crate) since: Monotonic,
}

/// The receiving half of a connection.
#[derive(Debug)]
pub(crate) struct Inbound {
    pub(crate) framing: Framing,
    /// Received and not yet looked at, because the connection has to wait. Copied out of the buffer it
    /// came in, so that a waiting connection never keeps one. Invariant: empty while `armed` is not `Nothing`.
    pub(crate) set_aside: Bytes,
    pub(crate) armed: Armed,
    /// Invariant: only while `Sized`.
    pub(crate) waiting: Option<Waiting>,
    /// No request is taken any more: the connection closes after an answer, or the node is stopping.
    pub(crate) ended: bool,
    /// Another shard shall have the connection: between frames nothing is received any more, and that the peer has
    /// gone is seen when what it asked last is answered.
    pub(crate) leaves: bool,
}

/// The times of a connection.
#[derive(Debug)]
pub(crate) struct Clocks {
    /// When a byte last came or went, or a request was last answered.
    pub(crate) active: Monotonic,
    /// When the size of the frame that is being received was known.
    pub(crate) frame_begun: Monotonic,
    /// When the frame being received must be complete. Only while its bytes are being received: a peer
    /// does not pay for the time that it is made to wait.
    pub(crate) frame_due: Option<Monotonic>,
    /// When the peer was last given something, or last took or acknowledged something.
    pub(crate) send_progress: Monotonic,
    /// Throttled: no request is taken until then. Its response has been given before.
    pub(crate) muted_until: Option<Monotonic>,
    /// The connection's entry in `Deadlines`.
    pub(crate) entry: Option<Monotonic>,
}

/// What is to be done when a connection's time has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    Unmute,
    Close(CloseReason),
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) listener: ListenerId,
    pub(crate) peer: SocketAddr,
    pub(crate) principal: Principal,
    pub(crate) transform: Transform,
    pub(crate) phase: Phase,
    pub(crate) inbound: Inbound,
    pub(crate) requests: RequestOrder,
    pub(crate) outbound: Outbound,
    pub(crate) clocks: Clocks,
    /// It is in the list of connections that the end of the batch looks at.
    pub(crate) touched: bool,
}

impl Connection {
    pub(crate) fn new(
        id: ConnectionId,
        listener: ListenerId,
        peer: SocketAddr,
        now: Monotonic,
    ) -> Self {
        Self {
            id,
            listener,
            peer,
            principal: Principal::Anonymous,
            transform: Transform::Identity,
            phase: Phase::Open,
            inbound: Inbound {
                framing: Framing::START,
                set_aside: Bytes::new(),
                armed: Armed::Nothing,
                waiting: None,
                ended: false,
                leaves: false,
            },
            requests: RequestOrder::default(),
            outbound: Outbound::new(peer.ip().to_canonical().is_loopback()),
            clocks: Clocks {
                active: now,
                frame_begun: now,
                frame_due: None,
                send_progress: now,
                muted_until: None,
                entry: None,
            },
            touched: false,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Whether the next request may be taken off the socket.
    pub(crate) fn takes_requests(&self, limits: &Limits) -> bool {
        self.is_open()
            && !self.inbound.ended
            && self.clocks.muted_until.is_none()
            && self.requests.len() < limits.requests_in_flight_max
            && self.outbound.unsent() < limits.response_bytes_unsent_max
    }

    /// Whether a plain receive is what the connection needs next.
    pub(crate) fn wants_receive(&self, limits: &Limits) -> bool {
        if self.inbound.armed != Armed::Nothing || !self.inbound.set_aside.is_empty() {
            return false;
        }
        match self.inbound.framing {
            Framing::Head { have: 0, .. } if self.inbound.leaves => false,
            Framing::Head { .. } => self.takes_requests(limits),
            // It holds memory: finishing it is the way to give that back.
            Framing::Small { .. } => self.is_open() && !self.inbound.ended,
            Framing::Sized { .. } | Framing::Body { .. } => false,
        }
    }

    /// Nothing received that is not answered, nothing answered that has not left.
    pub(crate) fn is_quiet(&self) -> bool {
        self.requests.is_empty()
            && self.outbound.unsent() == 0
            && self.inbound.framing.begun().is_none()
            && self.inbound.set_aside.is_empty()
    }

    /// Whether the connection may go to another shard now: the driver has nothing of it, and all that it is
    /// can be told in a few words.
    pub(crate) fn may_leave(&self) -> bool {
        self.inbound.leaves
            && self.is_open()
            && self.is_quiet()
            && self.inbound.armed == Armed::Nothing
            && !self.inbound.ended
            && self.clocks.muted_until.is_none()
    }

    /// The next time at which something must be done although nothing happens.
    pub(crate) fn due(&self, limits: &Limits) -> Option<(Monotonic, Due)> {
        if !self.is_open() {
            return None;
        }
        let after =
            |from: Monotonic, ms: u64| Monotonic(from.0.saturating_add(ms.saturating_mul(MS)));
        let close = |at, reason| (at, Due::Close(reason));
        let clocks = &self.clocks;
        [
            clocks.frame_due.map(|at| close(at, CloseReason::SlowFrame)),
            self.inbound
                .waiting
                .map(|w| close(after(w.since, limits.memory_wait_ms_max), CloseReason::MemoryWait)),
            self.outbound.waits_for_peer().then(|| {
                close(
                    after(clocks.send_progress, limits.send_stall_ms_max),
                    CloseReason::SendStalled,
                )
            }),
            clocks.muted_until.map(|at| (at, Due::Unmute)),
            self.is_quiet()
                .then(|| close(after(clocks.active, limits.idle_ms_max), CloseReason::Idle)),
        ]
        .into_iter()
        .flatten()
        .min_by_key(|(at, _)| *at)
    }

    /// From when on the frame being received is behind the slowest client that is waited for while memory
    /// is short: on the whole, or because nothing comes any more, however much came before.
    pub(crate) fn lags_from(&self, limits: &Limits) -> Option<Monotonic> {
        let (length, received) = match &self.inbound.framing {
            Framing::Head { .. } | Framing::Sized { .. } => return None,
            Framing::Small { length, frame, .. } => (*length, frame.len()),
            Framing::Body { length, received, .. } => (*length, *received),
        };
        // Its clock began so long before it ends.
        let begun = self.clocks.frame_due?.0.saturating_sub(limits.slow_frame_ns(length));
        let on_the_whole = begun.saturating_add(limits.slow_frame_pressed_ns(received));
        let pause_ns = limits.slow_frame_pressed_ms_max.saturating_mul(MS);
        let since_the_last = self.clocks.active.0.saturating_add(pause_ns);
        Some(Monotonic(on_the_whole.min(since_the_last)))
    }

    pub(crate) fn invariants(&self, limits: &Limits) {
        let inbound = &self.inbound;
        assert!(
            self.requests.len() <= limits.requests_in_flight_max,
            "too many requests in flight"
        );
        assert!(inbound.armed == Armed::Nothing || inbound.set_aside.is_empty());
        assert!(
            inbound.waiting.is_none() || matches!(inbound.framing, Framing::Sized { .. }),
            "waiting for memory without a size"
        );
        assert!(
            self.touched || self.clocks.frame_due.is_none() || inbound.armed != Armed::Nothing,
            "a frame's clock runs although nothing is received"
        );
        match (&inbound.framing, self.phase) {
            (Framing::Body { length, received, .. }, _) => {
                assert_eq!(inbound.armed, Armed::ReceiveInto);
                assert!(received < length);
            }
            (Framing::Small { frame, length, .. }, Phase::Open) => assert!(frame.len() < *length),
            (Framing::Small { .. }, Phase::Closing(_)) => {
                panic!("a closing connection keeps a frame")
            }
            (Framing::Sized { .. }, _) => assert_eq!(inbound.armed, Armed::Nothing),
            (Framing::Head { have, .. }, _) => {
                assert!(*have < SIZE_BYTES);
                assert_ne!(inbound.armed, Armed::ReceiveInto);
            }
        }
        let blocked = if self.is_open() { self.requests.ready_bytes() } else { 0 };
        self.outbound.invariants(blocked);
    }
}
