//! How operations end: slots, cancellation, the end of a ring.

use std::io::{Read, Write};

use bytes::Bytes;
use runtime::OsError;
use runtime::ring::{Completion, RingConfig, Token};
use runtime::socket::listen_on;

use crate::bench::Bench;

#[test]
fn slots_are_credits_and_are_reused() {
    let mut bench = Bench::with(&RingConfig { operations_max: 4, ..RingConfig::default() });
    let mut submitted = 0_u64;
    let mut completed = Vec::new();
    while completed.len() < 10_000 {
        while bench.ring.free_slots() > 0 && submitted < 10_000 {
            bench.ring.nop(Token(submitted));
            submitted += 1;
        }
        let Completion::Nop { token } = bench.next() else { panic!() };
        completed.push(token.0);
    }
    completed.sort_unstable();
    assert!(completed.into_iter().eq(0..10_000));
    assert_eq!((bench.ring.free_slots(), bench.ring.in_flight()), (4, 0));
}

#[test]
fn more_operations_than_the_submission_queue_holds_are_flushed_not_blocked() {
    let mut bench = Bench::with(&RingConfig { operations_max: 8192, ..RingConfig::default() });
    for number in 0..8192 {
        bench.ring.nop(Token(number));
    }
    let mut sum = 0;
    for _ in 0..8192 {
        let Completion::Nop { token } = bench.next() else { panic!() };
        sum += token.0;
    }
    assert_eq!(sum, 8191 * 8192 / 2);
}

#[test]
#[should_panic(expected = "a free slot was reserved")]
fn submitting_without_a_credit_is_a_broken_invariant() {
    let mut bench = Bench::with(&RingConfig { operations_max: 1, ..RingConfig::default() });
    bench.ring.nop(Token(0));
    bench.ring.nop(Token(1));
}

#[test]
fn closing_ends_what_is_in_flight_before_the_descriptor_goes() {
    let mut bench = Bench::new();
    for round in 0..200_u64 {
        let (socket, _peer) = bench.connection();
        let block = bench.arena.allocate(1 << 20).unwrap();
        bench.ring.receive_into(Token(round), socket, block, 0..1 << 20);
        // In the kernel already, or still queued: both must end.
        if round % 2 == 0 {
            assert!(bench.completed().is_empty());
        }
        bench.ring.close(Token(1000 + round), socket);
        let Completion::Filled { token, filled, .. } = bench.next() else { panic!() };
        assert_eq!((token, filled), (Token(round), 0));
        let Completion::Closed { token } = bench.next() else { panic!() };
        assert_eq!(token, Token(1000 + round));
        assert!(bench.ring.fd(socket).is_none(), "the name is stale though its slot is reused");
    }
    assert_eq!((bench.ring.in_flight(), bench.arena.allocated()), (0, 0));
}

#[test]
fn closing_ends_receives_sends_and_accepts_alike() {
    let mut bench = Bench::with(&RingConfig { receive_buffers: 1, ..RingConfig::default() });
    let listener = bench.ring.adopt(listen_on("127.0.0.1:0".parse().unwrap(), 1).unwrap()).unwrap();
    bench.ring.accept(Token(1), listener);
    // A send that cannot proceed: the peer does not read.
    let (sending, _silent) = bench.connection();
    bench.ring.send(Token(2), sending, vec![Bytes::from(vec![0; 32 << 20])]);
    // A receive that waits for the only buffer, which the test holds.
    let (holder, mut peer) = bench.connection();
    peer.write_all(b"x").unwrap();
    bench.ring.receive(Token(3), holder);
    let Completion::Received { result, .. } = bench.next() else { panic!() };
    let held = result.unwrap();
    peer.write_all(b"y").unwrap();
    bench.ring.receive(Token(4), holder);
    assert!(bench.completed().is_empty());
    for (token, descriptor) in [(11, listener), (12, sending), (14, holder)] {
        bench.ring.close(Token(token), descriptor);
    }
    let mut ended = Vec::new();
    let mut closed = Vec::new();
    while closed.len() < 3 {
        match bench.next() {
            Completion::Accepted { token, result, armed: false } => {
                assert!(result.is_err());
                ended.push(token.0);
            }
            Completion::Sent { token, result } => {
                assert!(result.is_err());
                ended.push(token.0);
            }
            Completion::Received { token, result } => {
                assert_eq!(result, Err(OsError::CANCELLED));
                ended.push(token.0);
            }
            Completion::Closed { token } => {
                assert!(ended.contains(&(token.0 - 10)), "closed after its operation");
                closed.push(token.0);
            }
            other => panic!("unexpected {other:?}"),
        }
    }
    drop(held);
    assert_eq!(bench.ring.in_flight(), 0);
}

#[test]
fn an_idle_descriptor_closes_at_once_and_the_peer_sees_it() {
    let mut bench = Bench::new();
    let (socket, mut peer) = bench.connection();
    bench.ring.close(Token(5), socket);
    assert!(matches!(bench.next(), Completion::Closed { token: Token(5) }));
    assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn a_ring_that_ends_gives_all_memory_back() {
    let mut bench = Bench::new();
    let (socket, _peer) = bench.connection();
    let (other, _silent) = bench.connection();
    let block = bench.arena.allocate(1 << 20).unwrap();
    let mut sent = bench.arena.allocate(16 << 20).unwrap();
    sent.fill(1);
    bench.ring.receive_into(Token(1), socket, block, 0..1 << 20);
    bench.ring.receive(Token(2), socket);
    bench.ring.send(Token(3), other, vec![sent.freeze(16 << 20)]);
    bench.ring.set_deadline(Some(runtime::clock::Monotonic::MAX));
    assert!(bench.completed().is_empty());
    let arena = bench.arena.clone();
    assert!(arena.allocated() > 0);
    drop(bench);
    assert_eq!(arena.allocated(), 0);
}

#[test]
fn received_slices_outlive_their_ring() {
    let mut bench = Bench::new();
    let (socket, mut peer) = bench.connection();
    peer.write_all(b"hello").unwrap();
    bench.ring.receive(Token(1), socket);
    let Completion::Received { result, .. } = bench.next() else { panic!() };
    drop(bench);
    assert_eq!(&result.unwrap()[..], b"hello");
}
