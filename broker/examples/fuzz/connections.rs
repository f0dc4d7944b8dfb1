//! A client's stream of frames, in pieces of any size, through the connections' state machine, whose
//! invariants are checked after every step: what comes out is what a plain parser finds in the stream.

use bytes::Bytes;
use net::{
    CloseReason, ConnectionId, Connections, Limits, ListenerId, NetEffect, NetEvent, NetOutput,
};
use runtime::clock::Monotonic;
use runtime::memory::{Arena, Block};

use crate::mutation::Random;

const REQUEST_BYTES_MAX: usize = 48 << 10;
const ARENA_BYTES: usize = 256 << 10;
/// Steps after which a stream that still goes on is stuck.
const STEPS_MAX: usize = 1 << 20;

/// What the driver was asked to receive.
enum Receiving {
    Small,
    Into { block: Block, from: usize, to: usize },
}

/// One connection of a virtual driver, and its broker that answers at random.
struct Stream {
    connections: Connections,
    out: NetOutput,
    now: Monotonic,
    random: Random,
    left: Bytes,
    receiving: Option<Receiving>,
    sending: usize,
    close_asked: bool,
    /// Frames taken so far, and those that are not answered.
    taken: Vec<Bytes>,
    unanswered: Vec<net::Sequence>,
}

const CONNECTION: ConnectionId = ConnectionId::new(0, 1);

/// The bytes are content; how they are framed and cut follows from the first of them.
pub(crate) fn streams(bytes: &[u8]) {
    let seed = bytes.iter().take(16).fold(7u64, |seed, byte| {
        (seed ^ u64::from(*byte)).wrapping_mul(0x100_0193).wrapping_add(1)
    });
    let mut random = Random::new(seed, 0);
    let stream = framed(&mut random, bytes);
    let expected = parsed(&stream);
    let mut run = Stream::new(random, stream);
    run.play();
    assert_eq!(run.taken, expected.0, "frames as a plain parser finds them");
    assert_eq!(run.close_asked, expected.1, "a size that cannot be closes the connection");
    run.end();
}

/// Most of the bytes in sound frames, some as they are.
fn framed(random: &mut Random, bytes: &[u8]) -> Bytes {
    let mut stream = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() && stream.len() < 128 << 10 {
        let length_max = [40, 4_000, 40_000][random.below(3)];
        let length = 1 + random.below(length_max.min(rest.len()));
        let (piece, after) = rest.split_at(length.min(rest.len()));
        rest = after;
        if random.below(12) > 0 {
            stream.extend(u32::try_from(piece.len()).unwrap_or(0).to_be_bytes());
        }
        stream.extend_from_slice(piece);
    }
    Bytes::from(stream)
}

/// The whole frames at the front, and whether what follows is a size that cannot be.
fn parsed(stream: &Bytes) -> (Vec<Bytes>, bool) {
    let (mut frames, mut at) = (Vec::new(), 0);
    while let Some(size) = stream.get(at..at + 4) {
        let size = i32::from_be_bytes(size.try_into().unwrap_or_default());
        let length = usize::try_from(size).unwrap_or(0);
        if length == 0 || length > REQUEST_BYTES_MAX {
            return (frames, true);
        }
        at += 4;
        if stream.len() - at < length {
            break;
        }
        frames.push(stream.slice(at..at + length));
        at += length;
    }
    (frames, false)
}

impl Stream {
    fn new(random: Random, left: Bytes) -> Self {
        let limits = Limits {
            request_bytes_max: REQUEST_BYTES_MAX,
            requests_in_flight_max: 3,
            request_small_bytes_max: 20 << 10,
            request_large_bytes_max: 128 << 10,
            response_bytes_unsent_max: 2 << 10,
            ..Limits::default()
        };
        let arena = Arena::new(ARENA_BYTES).expect("256 KiB can be mapped");
        let mut stream = Self {
            connections: Connections::new(limits, arena),
            out: NetOutput::default(),
            now: Monotonic(0),
            random,
            left,
            receiving: None,
            sending: 0,
            close_asked: false,
            taken: Vec::new(),
            unanswered: Vec::new(),
        };
        let peer = "192.0.2.7:4000".parse().expect("an address");
        let opened = NetEvent::Opened { connection: CONNECTION, listener: ListenerId(0), peer };
        stream.event(opened);
        stream
    }

    /// Until nothing is left that could happen.
    fn play(&mut self) {
        for _ in 0..STEPS_MAX {
            self.connections.finish_batch(self.now, &mut self.out);
            self.absorb();
            let has_moved = match self.random.below(3) {
                0 => self.answer() || self.receive() || self.send(),
                1 => self.send() || self.answer() || self.receive(),
                _ => self.receive() || self.send() || self.answer(),
            };
            if !has_moved {
                return;
            }
        }
        panic!("a stream of {} bytes does not end", self.left.len());
    }

    fn receive(&mut self) -> bool {
        if self.left.is_empty() || self.close_asked {
            return false;
        }
        let piece_max = [2, 30, 5_000, 60_000][self.random.below(4)];
        let piece = 1 + self.random.below(piece_max);
        let Some(receiving) = self.receiving.take() else { return false };
        let event = match receiving {
            Receiving::Small => {
                let length = piece.min(net::limits::SMALL_FRAME_BYTES_MAX).min(self.left.len());
                NetEvent::Received { connection: CONNECTION, data: self.left.split_to(length) }
            }
            Receiving::Into { mut block, from, to } => {
                let data = self.left.split_to(piece.min(self.left.len()).min(to - from));
                let filled = from + data.len();
                block[from..filled].copy_from_slice(&data);
                NetEvent::Filled { connection: CONNECTION, block, filled }
            }
        };
        self.event(event);
        true
    }

    fn send(&mut self) -> bool {
        if self.sending == 0 || self.close_asked {
            return false;
        }
        let bytes = 1 + self.random.below(self.sending);
        self.sending -= bytes;
        self.event(NetEvent::Sent { connection: CONNECTION, bytes });
        true
    }

    fn answer(&mut self) -> bool {
        if self.unanswered.is_empty() {
            return false;
        }
        let at = self.random.below(self.unanswered.len());
        let sequence = self.unanswered.remove(at);
        let connections = &mut self.connections;
        match self.random.below(4) {
            0 => connections.no_response(self.now, CONNECTION, sequence, &mut self.out),
            kind => {
                if kind == 1 {
                    connections.release_memory(self.now, CONNECTION, sequence, &mut self.out);
                }
                let parts = vec![Bytes::from(vec![7; self.random.below(3_000)])];
                connections.respond(self.now, CONNECTION, sequence, parts, &mut self.out);
            }
        }
        self.absorb();
        true
    }

    fn event(&mut self, event: NetEvent) {
        self.now = Monotonic(self.now.0 + 1_000);
        self.connections.on_event(self.now, event, &mut self.out);
        self.absorb();
    }

    fn absorb(&mut self) {
        for effect in self.out.effects.drain(..) {
            match effect {
                NetEffect::Receive { .. } => {
                    assert!(self.receiving.replace(Receiving::Small).is_none(), "two receives");
                }
                NetEffect::ReceiveInto { block, from, to, .. } => {
                    let receiving = Receiving::Into { block, from, to };
                    assert!(self.receiving.replace(receiving).is_none(), "two receives");
                }
                NetEffect::Send { parts, .. } => {
                    assert_eq!(self.sending, 0, "two sends");
                    self.sending = parts.iter().map(Bytes::len).sum();
                    assert!(self.sending > 0, "an empty send");
                }
                NetEffect::Close { .. } => {
                    assert!(!self.close_asked, "closed twice");
                    self.close_asked = true;
                }
            }
        }
        for frame in self.out.frames.drain(..) {
            self.unanswered.push(frame.sequence);
            // A copy, as a broker keeps no frame's memory beyond its answer.
            self.taken.push(Bytes::copy_from_slice(&frame.bytes));
        }
        self.connections.invariants();
    }

    /// The peer goes, late answers come: nothing is held.
    fn end(mut self) {
        self.receiving = None;
        let reason = CloseReason::PeerClosed;
        self.event(NetEvent::Closed { connection: CONNECTION, reason });
        while self.answer() {}
        assert!(self.connections.is_empty());
        assert_eq!(self.connections.request_bytes_held(), 0);
        assert_eq!(self.connections.response_bytes_pinned(), 0);
        assert_eq!(self.connections.waiting_for_memory(), 0);
    }
}
