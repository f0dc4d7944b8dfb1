//! The connections of one shard: a state machine without sockets, clock or threads.
//!
//! Events of the driver and answers of the broker go in; effects for the driver and frames for the
//! broker come out. Sends and receives are decided at the end of a batch (`finish_batch`), so that all
//! responses that a batch has made ready leave together, and a connection that was throttled while its
//! request was handled is not read first.
//!
//! Invariants (`invariants` checks them):
//! * memory held by requests = the sum over unanswered requests and frames being received;
//! * of one connection, at most one receive and one send are with the driver;
//! * responses leave in request order; at most `requests_in_flight_max` requests are unanswered;
//! * a connection that waits holds no small buffer of the driver.
//!
//! What is allocated in the steady state, and why it stays: nothing for a frame that arrives in one small
//! buffer or goes into a block; one exact buffer for a small frame that a buffer's end cuts, and one for
//! bytes that have to wait; room in a connection's queue of requests and in the lists of `NetOutput`,
//! which is kept. A response brings its own list of parts, which goes on to the driver as it is.

mod expire;
mod receive;
mod respond;
mod table;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use runtime::clock::Monotonic;
use runtime::memory::Arena;

use self::receive::Intake;
use self::table::Table;
use crate::close_reason::CloseReason;
use crate::connection::{Connection, Framing, Phase};
use crate::deadlines::Deadlines;
use crate::ids::{ConnectionId, ListenerId, Principal, Sequence};
use crate::limits::{ARENA_RETRY_NS, Limits, PRESSED_LOOK_NS};
use crate::log_memory::LogMemory;
use crate::metrics::Metrics;
use crate::request_memory::{Lane, RequestMemory};
use crate::request_order::RequestOrder;
use crate::seam::{ClosedConnection, LeftConnection, NetEffect, NetEvent, NetOutput};

/// All connections of one shard. `!Send`: it lives on the shard's core.
#[derive(Debug)]
pub struct Connections {
    limits: Limits,
    table: Table,
    memory: RequestMemory,
    /// Requests whose connection has gone before their answer: they still hold memory.
    left_behind: BTreeMap<ConnectionId, RequestOrder>,
    deadlines: Deadlines,
    /// When the arena is to be asked again for a block.
    arena_retry: Option<Monotonic>,
    /// When frames that keep memory from others are to be looked at: do their bytes come?
    pressed_look: Option<Monotonic>,
    /// Connections that `finish_batch` has to look at, each once.
    touched: Vec<ConnectionId>,
    /// Response bytes in memory, of all connections.
    pinned: usize,
    draining: bool,
    log_memory: LogMemory,
    metrics: Metrics,
}

impl Connections {
    /// Blocks of large requests come out of `arena`, which others use too.
    #[must_use]
    pub fn new(limits: Limits, arena: Arena) -> Self {
        limits.check();
        let mut log_memory = LogMemory::default();
        log_memory.know(arena.range());
        Self {
            log_memory,
            memory: RequestMemory::new(&limits, arena),
            limits,
            table: Table::default(),
            left_behind: BTreeMap::new(),
            deadlines: Deadlines::default(),
            arena_retry: None,
            pressed_look: None,
            touched: Vec::new(),
            pinned: 0,
            draining: false,
            metrics: Metrics::default(),
        }
    }

    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    #[must_use]
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Connections that the driver holds, those that are closing included.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.table.len()
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[must_use]
    pub fn is_open(&self, connection: ConnectionId) -> bool {
        self.table.get(connection).is_some_and(Connection::is_open)
    }

    #[must_use]
    pub fn listener(&self, connection: ConnectionId) -> Option<ListenerId> {
        self.table.get(connection).map(|found| found.listener)
    }

    #[must_use]
    pub fn peer(&self, connection: ConnectionId) -> Option<SocketAddr> {
        self.table.get(connection).map(|found| found.peer)
    }

    #[must_use]
    pub fn principal(&self, connection: ConnectionId) -> Option<&Principal> {
        self.table.get(connection).map(|found| &found.principal)
    }

    #[must_use]
    pub fn requests_in_flight(&self, connection: ConnectionId) -> usize {
        self.table.get(connection).map_or(0, |found| found.requests.len())
    }

    /// Whether every request before this one is answered.
    #[must_use]
    pub fn is_oldest(&self, connection: ConnectionId, sequence: Sequence) -> bool {
        let requests = match self.table.get(connection) {
            Some(found) => Some(&found.requests),
            None => self.left_behind.get(&connection),
        };
        requests.is_none_or(|requests| requests.is_oldest(sequence))
    }

    /// Response bytes that this connection keeps in memory: a new response should not bring it far
    /// beyond 4 MiB.
    #[must_use]
    pub fn response_bytes_unsent(&self, connection: ConnectionId) -> usize {
        self.table.get(connection).map_or(0, |found| found.outbound.unsent())
    }

    /// Response bytes that all connections keep in memory: the broker keeps it below a quarter of the
    /// shard's memory.
    #[must_use]
    pub const fn response_bytes_pinned(&self) -> usize {
        self.pinned
    }

    /// Memory that requests hold.
    #[must_use]
    pub fn request_bytes_held(&self) -> usize {
        self.memory.held()
    }

    /// Connections whose request waits for memory.
    #[must_use]
    pub fn waiting_for_memory(&self) -> usize {
        self.memory.waiting()
    }

    /// Takes what happened to a socket.
    pub fn on_event(&mut self, now: Monotonic, event: NetEvent, out: &mut NetOutput) {
        match event {
            NetEvent::Opened { connection, listener, peer } => {
                self.on_opened(now, connection, listener, peer, out);
            }
            NetEvent::Received { connection, data } => self.on_received(now, connection, data, out),
            NetEvent::Filled { connection, block, filled } => {
                self.on_filled(now, connection, block, filled, out);
            }
            NetEvent::Sent { connection, bytes } => self.on_sent(now, connection, bytes, out),
            NetEvent::Released { connection, bytes, copied } => {
                self.on_released(now, connection, bytes, copied, out);
            }
            NetEvent::Closed { connection, reason } => self.on_closed(now, connection, reason, out),
        }
    }

    /// The batch of events and answers is over: what is ready is sent, and whoever may go on is read
    /// from. Yields no frames.
    pub fn finish_batch(&mut self, now: Monotonic, out: &mut NetOutput) {
        let mut touched = std::mem::take(&mut self.touched);
        for connection in touched.drain(..) {
            self.finish(now, connection, out);
        }
        // A connection that closes here may have given memory back. Those who wait for it get it when
        // the driver reports `Closed`, which follows at once: that is an input, this is not.
        assert!(self.touched.is_empty());
        self.touched = touched;
    }

    /// Closes a connection at once; unsent responses are dropped.
    pub fn close(&mut self, now: Monotonic, connection: ConnectionId, out: &mut NetOutput) {
        if self.table.get(connection).is_some() {
            self.begin_close(connection, CloseReason::Requested, out);
            self.settle(now, out);
        }
    }

    /// Lets a connection go to another shard as soon as nothing of it is under way: it is among
    /// `NetOutput::left` then. Until that its requests are taken and answered as ever, but the next one only
    /// if its bytes are here already.
    pub fn let_leave(&mut self, connection: ConnectionId) {
        if let Some(found) = self.table.get_mut(connection) {
            found.inbound.leaves = true;
            self.touch(connection);
        }
    }

    /// The node is stopping: no new connections, no new requests; each connection closes when what it
    /// has asked for is answered and sent. The end is `is_empty`.
    pub fn drain(&mut self) {
        self.draining = true;
        let open: Vec<_> = self.table.iter().map(|connection| connection.id).collect();
        for id in open {
            if let Some(connection) = self.table.get_mut(id) {
                connection.inbound.ended = true;
            }
            self.touch(id);
        }
    }

    pub fn set_principal(&mut self, connection: ConnectionId, principal: Principal) {
        if let Some(found) = self.table.get_mut(connection) {
            found.principal = principal;
        }
    }

    fn on_opened(
        &mut self,
        now: Monotonic,
        id: ConnectionId,
        listener: ListenerId,
        peer: SocketAddr,
        out: &mut NetOutput,
    ) {
        let refusal = if self.draining {
            Some(CloseReason::Drained)
        } else if self.table.len() >= self.limits.connections_max {
            Some(CloseReason::TooManyConnections)
        } else {
            None
        };
        if let Some(reason) = refusal {
            self.metrics.count_closed(reason);
            out.effects.push(NetEffect::Close { connection: id });
            return;
        }
        self.metrics.connections_opened += 1;
        self.metrics.connections_now += 1;
        self.table.insert(Connection::new(id, listener, peer, now));
        self.touch(id);
    }

    fn on_received(&mut self, now: Monotonic, id: ConnectionId, data: Bytes, out: &mut NetOutput) {
        self.with_intake(now, id, out, |intake| intake.on_received(data));
        self.touch(id);
        self.settle(now, out);
    }

    fn on_filled(
        &mut self,
        now: Monotonic,
        id: ConnectionId,
        block: runtime::memory::Block,
        filled: usize,
        out: &mut NetOutput,
    ) {
        let connection = self.table.get(id);
        if connection.is_some_and(|connection| !connection.is_open()) {
            // It crossed our close. The block goes back to the arena; its memory counts as held until
            // `Closed`, which is about to follow.
            return;
        }
        self.with_intake(now, id, out, |intake| intake.on_filled(block, filled));
        self.touch(id);
        self.settle(now, out);
    }

    fn on_closed(
        &mut self,
        now: Monotonic,
        id: ConnectionId,
        reason: CloseReason,
        out: &mut NetOutput,
    ) {
        // A connection that was refused never got into the table.
        let Some(mut connection) = self.table.remove(id) else { return };
        let reason = match connection.phase {
            Phase::Closing(reason) => reason,
            Phase::Open => {
                self.metrics.count_closed(reason);
                reason
            }
        };
        self.metrics.connections_now -= 1;
        self.deadlines.remove(id, &mut connection.clocks.entry);
        if let Some(waiting) = connection.inbound.waiting {
            self.memory.leave_queue(id, waiting.lane);
        }
        if let Some(charge) = connection.inbound.framing.into_charge() {
            self.memory.release(charge);
        }
        self.pinned -= connection.outbound.unsent();
        if connection.requests.has_pending() {
            connection.requests.drop_answers();
            self.left_behind.insert(id, connection.requests);
        }
        let (listener, peer) = (connection.listener, connection.peer);
        out.closed.push(ClosedConnection { connection: id, listener, peer, reason });
        self.settle(now, out);
    }

    fn leave(&mut self, id: ConnectionId, out: &mut NetOutput) {
        let mut connection = self.table.remove(id).expect("the caller has looked it up");
        self.metrics.connections_now -= 1;
        self.deadlines.remove(id, &mut connection.clocks.entry);
        out.left.push(LeftConnection { connection: id, principal: connection.principal });
    }

    fn begin_close(&mut self, id: ConnectionId, reason: CloseReason, out: &mut NetOutput) {
        let connection = self.table.get_mut(id).expect("only a connection in the table is closed");
        if !connection.is_open() {
            return;
        }
        connection.phase = Phase::Closing(reason);
        self.metrics.count_closed(reason);
        self.deadlines.remove(id, &mut connection.clocks.entry);
        connection.clocks.frame_due = None;
        let inbound = &mut connection.inbound;
        inbound.set_aside = Bytes::new();
        if let Some(waiting) = inbound.waiting.take() {
            self.memory.leave_queue(id, waiting.lane);
        }
        // A block is with the driver until `Closed`, so its memory is held until then.
        if !matches!(inbound.framing, Framing::Body { .. }) {
            let framing = std::mem::replace(&mut inbound.framing, Framing::START);
            if let Some(charge) = framing.into_charge() {
                self.memory.release(charge);
            }
        }
        connection.requests.drop_answers();
        self.pinned -= connection.outbound.drop_unsent();
        out.effects.push(NetEffect::Close { connection: id });
    }

    /// Lets a connection take what it may of what it has set aside.
    fn advance(&mut self, now: Monotonic, id: ConnectionId, out: &mut NetOutput) {
        self.with_intake(now, id, out, |intake| intake.resume());
    }

    fn with_intake(
        &mut self,
        now: Monotonic,
        id: ConnectionId,
        out: &mut NetOutput,
        input: impl FnOnce(&mut Intake<'_>) -> Result<(), CloseReason>,
    ) {
        let Some(connection) = self.table.get_mut(id) else { return };
        if !connection.is_open() {
            return;
        }
        let (memory, metrics, limits) = (&mut self.memory, &mut self.metrics, &self.limits);
        let result = input(&mut Intake { now, connection, memory, metrics, limits, out });
        if let Err(reason) = result {
            self.begin_close(id, reason, out);
        }
    }

    /// Memory may have come back: the heads of the queues try again, for as long as they get on.
    fn settle(&mut self, now: Monotonic, out: &mut NetOutput) {
        for lane in Lane::ALL {
            while let Some(head) = self.memory.head(lane) {
                self.advance(now, head, out);
                if self.memory.head(lane) == Some(head) {
                    break;
                }
                self.touch(head);
            }
        }
        self.arena_retry =
            self.memory.waits_for_arena().then(|| Monotonic(now.0.saturating_add(ARENA_RETRY_NS)));
        self.pressed_look = if Lane::ALL.iter().any(|lane| self.memory.is_pressed(*lane)) {
            self.pressed_look.or(Some(Monotonic(now.0.saturating_add(PRESSED_LOOK_NS))))
        } else {
            None
        };
    }

    fn touch(&mut self, id: ConnectionId) {
        if let Some(connection) = self.table.get_mut(id)
            && !connection.touched
        {
            connection.touched = true;
            self.touched.push(id);
        }
    }

    /// Checks every invariant; linear in connections and requests: for tests and simulation.
    pub fn invariants(&self) {
        let (mut charged, mut waiting, mut unsent, mut entries) = ([0; 3], [0; 3], 0, 0);
        let lane = |lane| Lane::ALL.iter().position(|one| *one == lane).expect("one of all");
        for connection in self.table.iter() {
            connection.invariants(&self.limits);
            let charges = connection.requests.charges().chain(connection.inbound.framing.charge());
            for charge in charges {
                charged[lane(charge.lane())] += charge.bytes();
            }
            if let Some(place) = connection.inbound.waiting {
                waiting[lane(place.lane)] += 1;
            }
            unsent += connection.outbound.unsent();
            entries += usize::from(connection.clocks.entry.is_some());
        }
        for charge in self.left_behind.values().flat_map(RequestOrder::charges) {
            charged[lane(charge.lane())] += charge.bytes();
        }
        self.memory.invariants(charged, waiting);
        assert_eq!(self.pinned, unsent, "pinned response bytes are miscounted");
        assert_eq!(self.deadlines.len(), entries, "entries are lost or left");
        assert_eq!(self.metrics.connections_now, crate::metrics::count(self.table.len()));
        assert!(self.table.len() <= self.limits.connections_max, "too many connections");
        assert!(self.left_behind.values().all(RequestOrder::has_pending));
    }
}
