//! One shard: ring, acceptor, driver, core, and a broker that answers each frame with its own bytes.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use net::driver::{AcceptedSocket, Acceptor, Driver, DriverConfig};
use net::{
    ClosedConnection, ConnectionId, Connections, Frame, Limits, ListenerId, NetEvent, NetOutput,
};
use runtime::clock::Monotonic;
use runtime::mailbox::Bell;
use runtime::memory::Arena;
use runtime::ring::{Completion, Ring, RingConfig};

/// A test in which nothing happens for this long has failed.
const NOTHING_HAPPENS: Duration = Duration::from_secs(30);

pub(crate) struct Node {
    pub(crate) bell: Arc<Bell>,
    pub(crate) arena: Arena,
    pub(crate) ring: Ring,
    pub(crate) acceptor: Acceptor,
    pub(crate) driver: Driver,
    pub(crate) connections: Connections,
    pub(crate) closed: Vec<ClosedConnection>,
    pub(crate) opened: Vec<ConnectionId>,
    /// Accepted, if they are not to be adopted here; and connections that have left.
    pub(crate) handed_off: Vec<AcceptedSocket>,
    pub(crate) hands_off: bool,
    /// How a frame is answered: `None` leaves it in `frames`.
    pub(crate) answer: fn(&Frame) -> Option<Vec<Bytes>>,
    pub(crate) frames: VecDeque<Frame>,
    completions: Vec<Completion>,
    events: Vec<NetEvent>,
    out: NetOutput,
}

/// An answer that is the request again, framed.
pub(crate) fn echo(frame: &Frame) -> Option<Vec<Bytes>> {
    let size = i32::try_from(frame.bytes.len()).unwrap();
    Some(vec![Bytes::copy_from_slice(&size.to_be_bytes()), frame.bytes.clone()])
}

impl Node {
    pub(crate) fn new(limits: Limits, config: DriverConfig) -> Self {
        let bell = Arc::new(Bell::new().unwrap());
        let arena = Arena::new(16 << 20).unwrap();
        let ring_config = RingConfig {
            operations_max: config.operations_max() + 1,
            descriptors_max: 256,
            receive_buffers: 16,
            ..RingConfig::default()
        };
        Self {
            ring: Ring::new(&ring_config, &[&arena], Arc::clone(&bell)).unwrap(),
            bell,
            acceptor: Acceptor::new(),
            driver: Driver::new(config),
            connections: Connections::new(limits, arena.clone()),
            arena,
            closed: Vec::new(),
            opened: Vec::new(),
            handed_off: Vec::new(),
            hands_off: false,
            answer: echo,
            frames: VecDeque::new(),
            completions: Vec::new(),
            events: Vec::new(),
            out: NetOutput::default(),
        }
    }

    pub(crate) fn echoing() -> Self {
        Self::new(Limits::default(), Self::config())
    }

    pub(crate) fn config() -> DriverConfig {
        DriverConfig { connections_max: 64, sends_max: 32, receive_buffers_low: 4 }
    }

    pub(crate) fn listen(&mut self) -> SocketAddr {
        let address = "127.0.0.1:0".parse().unwrap();
        self.acceptor.listen(&mut self.ring, ListenerId(0), address).unwrap()
    }

    pub(crate) fn adopt(&mut self, accepted: AcceptedSocket) {
        let _ = self.driver.adopt(&mut self.ring, accepted, &mut self.events);
    }

    /// Turns until the condition holds.
    pub(crate) fn run(&mut self, mut until: impl FnMut(&Self) -> bool) {
        loop {
            self.turn();
            if until(self) {
                return;
            }
            let idle = self.events.is_empty();
            let woken = self.ring.park_thread(Some(NOTHING_HAPPENS), || idle);
            assert!(woken, "nothing happens any more: {:?}", self.connections.metrics());
        }
    }

    /// One turn of a shard's loop.
    pub(crate) fn turn(&mut self) {
        let now = Monotonic::read();
        let mut completions = std::mem::take(&mut self.completions);
        self.ring.pump(&mut completions);
        for completion in completions.drain(..) {
            self.on_completion(now, completion);
        }
        self.completions = completions;
        for event in std::mem::take(&mut self.events) {
            if let NetEvent::Opened { connection, .. } = &event {
                self.opened.push(*connection);
            }
            self.connections.on_event(now, event, &mut self.out);
        }
        self.connections.on_deadline(now, &mut self.out);
        self.frames.extend(self.out.frames.drain(..));
        for _ in 0..self.frames.len() {
            let Some(frame) = self.frames.pop_front() else { break };
            match (self.answer)(&frame) {
                Some(parts) => self.respond(now, &frame, parts),
                None => self.frames.push_back(frame),
            }
            self.frames.extend(self.out.frames.drain(..));
        }
        self.finish(now);
    }

    pub(crate) fn respond(&mut self, now: Monotonic, frame: &Frame, parts: Vec<Bytes>) {
        let (connection, sequence) = (frame.connection, frame.sequence);
        self.connections.respond(now, connection, sequence, parts, &mut self.out);
    }

    pub(crate) fn finish(&mut self, now: Monotonic) {
        self.connections.finish_batch(now, &mut self.out);
        for effect in self.out.effects.drain(..) {
            self.driver.perform(&mut self.ring, effect);
        }
        for left in self.out.left.drain(..) {
            self.handed_off.push(self.driver.give_away(&mut self.ring, left.connection));
        }
        self.closed.append(&mut self.out.closed);
        self.connections.invariants();
        self.driver.invariants();
        let deadline = self.connections.deadline();
        self.ring.set_deadline(deadline);
    }

    pub(crate) fn close(&mut self, connection: ConnectionId) {
        let now = Monotonic::read();
        self.connections.close(now, connection, &mut self.out);
        self.finish(now);
    }

    /// Everything is back where it came from.
    pub(crate) fn assert_nothing_is_held(&self) {
        assert_eq!(self.connections.len(), 0);
        assert_eq!(self.connections.request_bytes_held(), 0);
        assert_eq!(self.connections.response_bytes_pinned(), 0);
        assert_eq!(self.driver.metrics().sockets_now, 0);
        assert_eq!(self.arena.allocated(), 0);
        assert_eq!(self.connections.metrics().record_bytes_copied, 0);
    }

    fn on_completion(&mut self, now: Monotonic, completion: Completion) {
        let mut accepted = Vec::new();
        let left = self.acceptor.on_completion(&mut self.ring, now, completion, &mut accepted);
        for socket in accepted {
            if self.hands_off {
                self.handed_off.push(socket);
            } else {
                self.adopt(socket);
            }
        }
        let Some(completion) = left else { return };
        let left = self.driver.on_completion(&mut self.ring, completion, &mut self.events);
        assert!(
            matches!(left, None | Some(Completion::DeadlineReached)),
            "a completion that is nobody's: {left:?}"
        );
    }
}
