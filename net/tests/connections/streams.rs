//! Random streams, cut anywhere, answered in any order, with memory short: what comes out is what went in.

use std::collections::BTreeMap;

use bytes::Bytes;
use net::{CloseReason, ConnectionId, Limits, Sequence};
use proptest::prelude::{Strategy, any, prop_oneof, proptest};
use runtime::clock::Monotonic;
use runtime::memory::Block;

use crate::world::{MS, World, framed};

const KIB: usize = 1024;

/// Choices that follow from one number, so that a failure repeats.
struct Choices(u64);

impl Choices {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn piece(&mut self) -> usize {
        let bound = [3, 100, 20 * KIB, 200 * KIB][self.below(4)];
        1 + self.below(bound)
    }
}

struct Run {
    world: World,
    choices: Choices,
    sent: BTreeMap<ConnectionId, Vec<Vec<u8>>>,
    seen: BTreeMap<ConnectionId, usize>,
    responses: BTreeMap<ConnectionId, BTreeMap<u64, Vec<u8>>>,
    taken: Vec<Block>,
}

impl Run {
    fn new(frames: &[Vec<usize>], seed: u64) -> Self {
        let limits = Limits {
            requests_in_flight_max: 4,
            request_small_bytes_max: 20 * KIB,
            request_large_bytes_max: 128 * KIB,
            response_bytes_unsent_max: 2 * KIB,
            // The wait for memory is the subject, not its end.
            memory_wait_ms_max: u64::MAX,
            slow_frame_ms_max: u64::MAX,
            slow_frame_pressed_ms_max: u64::MAX,
            ..Limits::default()
        };
        let mut run = Self {
            world: World::new(limits, 2 << 20),
            choices: Choices(seed),
            sent: BTreeMap::new(),
            seen: BTreeMap::new(),
            responses: BTreeMap::new(),
            taken: Vec::new(),
        };
        for lengths in frames {
            let connection = run.world.open();
            let frames: Vec<_> = lengths.iter().map(|length| run.content(*length)).collect();
            let stream: Vec<u8> = frames.iter().flat_map(|frame| framed(frame)).collect();
            run.world.write(connection, &stream);
            run.sent.insert(connection, frames);
        }
        run
    }

    fn content(&mut self, length: usize) -> Vec<u8> {
        let start = self.choices.below(251);
        (start..start + length).map(|at| u8::try_from(at % 251).unwrap()).collect()
    }

    /// New frames are the next ones of their stream, whole and in order.
    fn check_frames(&mut self) {
        for frame in &self.world.frames {
            let Sequence(sequence) = frame.sequence;
            let place = usize::try_from(sequence).unwrap();
            assert_eq!(frame.bytes, self.sent[&frame.connection][place]);
            let seen = self.seen.entry(frame.connection).or_default();
            assert!(place <= *seen, "a frame was skipped");
            *seen = (*seen).max(place + 1);
        }
    }

    fn answer_some(&mut self) {
        self.check_frames();
        if self.world.frames.is_empty() {
            return;
        }
        let place = self.choices.below(self.world.frames.len());
        let (connection, Sequence(sequence)) =
            (self.world.frames[place].connection, self.world.frames[place].sequence);
        let kind = self.choices.below(5);
        if kind == 0 {
            self.world.no_response(connection, sequence);
            return;
        }
        if kind == 1 {
            self.world.release_memory(connection, sequence);
        }
        let bound = if self.choices.below(8) == 0 { 40 * KIB } else { 900 };
        let parts: Vec<Vec<u8>> = (0..self.choices.below(4))
            .map(|_| {
                let length = self.choices.below(bound);
                self.content(length)
            })
            .collect();
        if self.world.connections.is_open(connection) {
            self.responses.entry(connection).or_default().insert(sequence, parts.concat());
        }
        self.world.respond(connection, sequence, parts.into_iter().map(Bytes::from).collect());
    }

    fn step(&mut self, connection: ConnectionId) {
        let piece = self.choices.piece();
        match self.choices.below(12) {
            0..=3 => drop(self.world.receive(connection, piece)),
            4 => drop(self.world.send(connection, piece)),
            5 => {
                let copied = self.choices.below(2) == 0;
                self.world.send(connection, piece);
                self.world.release(connection, piece, copied);
            }
            6 | 7 => self.answer_some(),
            8 => self.world.finish(),
            9 => self.world.pass(1),
            10 => {
                let until = Monotonic(self.world.now.0 + 3 * MS);
                self.world.connections.mute_until(connection, until);
            }
            _ => match self.choices.below(3) {
                0 => self.taken.extend(self.world.arena.allocate(1 << 20)),
                _ => self.taken.clear(),
            },
        }
        self.check_frames();
    }

    /// Everything that is left, with nothing in the way.
    fn complete(&mut self) {
        self.taken.clear();
        let connections: Vec<_> = self.world.peers.keys().copied().collect();
        for _ in 0..10_000 {
            let mut moved = false;
            self.world.pass(1);
            for connection in &connections {
                moved |= self.world.receive(*connection, usize::MAX);
                moved |= self.world.send(*connection, usize::MAX);
                moved |= self.world.release(*connection, usize::MAX, false);
            }
            self.check_frames();
            moved |= !self.world.frames.is_empty();
            self.answer_some();
            let left = self.world.peers.values().any(|peer| !peer.stream.is_empty());
            if !moved && !left && self.world.connections.waiting_for_memory() == 0 {
                return;
            }
        }
        panic!("a connection got stuck");
    }

    fn finish(mut self) {
        self.complete();
        // One more for those that were throttled to the last.
        self.world.pass(10);
        self.complete();
        for (connection, frames) in &self.sent {
            if frames.is_empty() || !self.world.connections.is_open(*connection) {
                continue;
            }
            assert_eq!(self.seen[connection], frames.len(), "a frame is missing");
            let responses = self.responses.get(connection);
            let expected: Vec<u8> =
                responses.into_iter().flat_map(|r| r.values().flatten().copied()).collect();
            assert_eq!(self.world.peers[connection].arrived, expected, "not in request order");
        }
        let connections: Vec<_> = self.world.peers.keys().copied().collect();
        for connection in connections {
            self.world.end(connection, CloseReason::PeerClosed);
        }
        self.world.assert_nothing_is_held();
    }
}

fn lengths() -> impl Strategy<Value = Vec<Vec<usize>>> {
    let length = prop_oneof![
        6 => 1_usize..200,
        2 => 200_usize..16 * KIB,
        1 => 16 * KIB - 8..16 * KIB + 8,
        2 => 16 * KIB..120 * KIB,
        1 => 120 * KIB..400 * KIB,
    ];
    proptest::collection::vec(proptest::collection::vec(length, 0..12), 1..6)
}

proptest! {
    #[test]
    fn frames_are_the_input_and_responses_are_in_order(
        lengths in lengths(),
        seed in any::<u64>(),
        steps in 0_usize..400,
    ) {
        let mut run = Run::new(&lengths, seed);
        for _ in 0..steps {
            let place = run.choices.below(lengths.len());
            let connection = *run.world.peers.keys().nth(place).unwrap();
            run.step(connection);
        }
        run.finish();
    }

    #[test]
    fn connections_that_end_anywhere_leave_nothing_behind_and_hold_up_nobody(
        lengths in lengths(),
        seed in any::<u64>(),
        steps in 0_usize..300,
    ) {
        let mut run = Run::new(&lengths, seed);
        for _ in 0..steps {
            let Some(place) = run.world.peers.len().checked_sub(1) else { break };
            let place = run.choices.below(place + 1);
            let connection = *run.world.peers.keys().nth(place).unwrap();
            match run.choices.below(60) {
                0 => run.world.end(connection, CloseReason::PeerReset),
                1 => run.world.close(connection),
                2 => run.world.end_asked(),
                3 => {
                    // No batch lasts ten minutes.
                    run.world.finish();
                    run.world.pass(600_000);
                }
                _ if run.world.peers[&connection].close_asked => {}
                _ => run.step(connection),
            }
        }
        // Whoever is left gets all it asked for, whatever memory the others took with them.
        run.world.end_asked();
        run.finish();
    }
}
