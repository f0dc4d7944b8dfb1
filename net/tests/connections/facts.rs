//! What the core promises, one fact a test.

use bytes::Bytes;
use net::{CloseReason, Limits, SendMode};

use crate::world::{MS, Receiving, World, framed};

const KIB: usize = 1024;

fn world() -> World {
    World::new(Limits::default(), 8 << 20)
}

fn bytes(text: &'static str) -> Vec<Bytes> {
    vec![Bytes::from_static(text.as_bytes())]
}

fn closed_for(world: &World) -> Vec<CloseReason> {
    world.closed.iter().map(|closed| closed.reason).collect()
}

#[test]
fn pipelined_small_frames_are_taken_out_of_one_buffer_in_place() {
    let mut world = world();
    let a = world.open();
    world.write(a, &[framed(b"one"), framed(b"two"), framed(b"three")].concat());
    world.run(a);
    assert_eq!(world.frame_bytes(a), [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()]);
    let first = world.frames[0].bytes.as_ptr().addr();
    assert_eq!(world.frames[1].bytes.as_ptr().addr(), first + 3 + 4, "slices of one buffer");
    assert_eq!(world.connections.metrics().frames_reassembled, 0);
    assert_eq!(world.connections.request_bytes_held(), 11);
}

#[test]
fn responses_leave_in_request_order_whatever_order_they_are_given_in() {
    let mut world = world();
    let a = world.open();
    world.write(a, &[framed(b"one"), framed(b"two"), framed(b"three"), framed(b"four")].concat());
    world.run(a);
    world.respond(a, 3, bytes("4"));
    world.respond(a, 1, bytes("2"));
    world.run(a);
    assert_eq!(world.peers[&a].arrived, b"");
    assert_eq!(world.connections.response_bytes_unsent(a), 2);
    world.no_response(a, 2);
    world.respond(a, 0, bytes("1"));
    world.run(a);
    assert_eq!(world.peers[&a].arrived, b"124");
    assert_eq!(world.connections.metrics().sends, 1, "what is ready leaves together");
    assert_eq!(world.connections.response_bytes_pinned(), 0);
}

#[test]
fn a_large_frame_has_its_memory_before_its_body_is_received() {
    let mut world = world();
    let a = world.open();
    let frame = vec![7; 100 * KIB];
    world.write(a, &framed(&frame)[..10]);
    world.run(a);
    assert_eq!(world.connections.request_bytes_held(), 128 * KIB, "a block of a power of two");
    let Some(Receiving::Into { from, to, .. }) = &world.peers[&a].receiving else {
        panic!("the rest is received into the block");
    };
    assert_eq!((*from, *to), (6, 100 * KIB));
    world.write(a, &framed(&frame)[10..]);
    world.write(a, &framed(b"next"));
    world.run(a);
    assert_eq!(world.frame_bytes(a), [frame, b"next".to_vec()]);
}

#[test]
fn a_spent_budget_stops_reading_and_is_shared_in_turn() {
    let limits = Limits { request_large_bytes_max: 64 * KIB, ..Limits::default() };
    let mut world = World::new(limits, 8 << 20);
    let [a, b, c] = [world.open(), world.open(), world.open()];
    let frame = framed(&vec![1; 60 * KIB]);
    for connection in [a, b, c] {
        world.write(connection, &frame);
        world.run(connection);
    }
    assert_eq!((world.frames.len(), world.connections.waiting_for_memory()), (1, 2));
    assert!(world.peers[&b].receiving.is_none(), "a waiting connection is not read");
    world.write(a, &frame);
    world.run(a);
    assert_eq!(world.connections.waiting_for_memory(), 3);
    world.no_response(a, 0);
    for connection in [a, c, b] {
        world.run(connection);
    }
    assert_eq!(world.frames[0].connection, b, "who came first is served first");
    world.no_response(b, 0);
    world.run(c);
    assert_eq!(world.frames[0].connection, c);
    world.no_response(c, 0);
    world.run(a);
    assert_eq!(world.frames[0].connection, a, "who has had a turn queues again at the end");
}

#[test]
fn huge_requests_come_one_at_a_time_whatever_their_size() {
    let limits = Limits { request_large_bytes_max: 64 * KIB, ..Limits::default() };
    let mut world = World::new(limits, 8 << 20);
    let [a, b] = [world.open(), world.open()];
    world.write(a, &framed(&vec![1; 20 * KIB]));
    world.run(a);
    world.write(b, &framed(&vec![2; 900 * KIB]));
    world.run(b);
    assert_eq!(world.connections.waiting_for_memory(), 1);
    world.no_response(a, 0);
    world.run(b);
    assert_eq!(world.connections.request_bytes_held(), 1024 * KIB);
    assert_eq!(world.frames.len(), 1);
}

/// Two hundred clients that announced 90 MiB each and stalled kept every produce request out, for minutes.
#[test]
fn huge_frames_that_do_not_come_keep_nobody_out_and_lose_their_turn() {
    let limits = Limits { request_large_bytes_max: 1024 * KIB, ..Limits::default() };
    let mut world = World::new(limits, 8 << 20);
    let stalled = [world.open(), world.open(), world.open()];
    for connection in stalled {
        world.write(connection, &framed(&vec![1; 3000 * KIB])[..64 * KIB]);
        world.run(connection);
    }
    assert_eq!(world.connections.request_bytes_held(), 4096 * KIB, "one at a time");
    assert_eq!(world.connections.waiting_for_memory(), 2);
    let good = world.open();
    let frame = vec![2; 200 * KIB];
    world.write(good, &framed(&frame));
    world.run(good);
    assert_eq!(world.frame_bytes(good), [frame]);
    world.pass(999);
    assert!(world.connections.is_open(stalled[0]));
    world.pass(100);
    world.end_asked();
    assert_eq!(closed_for(&world), [CloseReason::SlowFrame]);
    assert_eq!(world.closed[0].connection, stalled[0]);
    assert_eq!(world.connections.waiting_for_memory(), 1, "the next one has its turn");
}

#[test]
fn a_huge_frame_that_stops_before_its_end_has_no_credit_for_what_came() {
    let limits = Limits { request_large_bytes_max: 1024 * KIB, ..Limits::default() };
    let mut world = World::new(limits, 8 << 20);
    let a = world.open();
    world.write(a, &framed(&vec![1; 4000 * KIB])[..3999 * KIB]);
    world.run(a);
    world.pass(999);
    assert!(world.connections.is_open(a));
    world.pass(100);
    assert!(!world.connections.is_open(a));
}

#[test]
fn a_frame_that_trickles_loses_its_memory_while_others_wait() {
    let limits = Limits { request_small_bytes_max: 16 * KIB, ..Limits::default() };
    let mut world = World::new(limits, 8 << 20);
    let [trickle, good] = [world.open(), world.open()];
    world.write(trickle, &framed(&vec![1; 16 * KIB])[..100]);
    world.run(trickle);
    world.write(good, &framed(b"fetch"));
    world.run(good);
    for _ in 0..49 {
        world.pass(100);
        world.write(trickle, &[1]);
        world.run(trickle);
    }
    assert!(world.connections.is_open(trickle));
    world.pass(100);
    world.end_asked();
    assert_eq!(closed_for(&world), [CloseReason::SlowFrame]);
}

#[test]
fn a_frame_that_keeps_coming_is_received_although_others_wait() {
    let limits = Limits { request_large_bytes_max: 512 * KIB, ..Limits::default() };
    let mut world = World::new(limits, 8 << 20);
    let slow = [world.open(), world.open(), world.open(), world.open()];
    let frame = framed(&vec![1; 120 * KIB]);
    for connection in slow {
        world.write(connection, &frame[..20 * KIB]);
        world.run(connection);
    }
    let waiting = world.open();
    world.write(waiting, &frame);
    world.run(waiting);
    assert_eq!(world.connections.waiting_for_memory(), 1);
    // The first goes on at half of the slowest rate, within its grace; the others stop.
    for piece in frame[20 * KIB..].chunks(10 * KIB) {
        world.pass(20);
        world.write(slow[0], piece);
        world.run(slow[0]);
    }
    assert_eq!(world.frame_bytes(slow[0]).len(), 1);
    for _ in 0..20 {
        world.pass(100);
    }
    assert!(world.connections.is_open(slow[0]), "its frame is complete");
    for connection in &slow[1..] {
        assert!(!world.connections.is_open(*connection));
    }
    world.end_asked();
    world.run(waiting);
    assert_eq!(world.frame_bytes(waiting).len(), 1);
}

#[test]
fn small_frames_that_do_not_come_are_closed_only_while_others_wait() {
    let limits = Limits { request_small_bytes_max: 32 * KIB, ..Limits::default() };
    let mut world = World::new(limits, 8 << 20);
    let stalled = [world.open(), world.open()];
    for connection in stalled {
        world.write(connection, &framed(&vec![1; 16 * KIB])[..100]);
        world.run(connection);
    }
    world.pass(5_000);
    assert!(stalled.iter().all(|connection| world.connections.is_open(*connection)));
    let good = world.open();
    world.write(good, &framed(b"fetch"));
    world.run(good);
    assert_eq!(world.connections.waiting_for_memory(), 1);
    world.pass(100);
    world.end_asked();
    world.run(good);
    assert_eq!(world.frame_bytes(good), [b"fetch".to_vec()]);
    assert_eq!(closed_for(&world), [CloseReason::SlowFrame; 2]);
}

#[test]
fn small_requests_go_on_while_large_ones_wait() {
    let limits = Limits { request_large_bytes_max: 64 * KIB, ..Limits::default() };
    let mut world = World::new(limits, 8 << 20);
    let [a, b, c] = [world.open(), world.open(), world.open()];
    for connection in [a, b] {
        world.write(connection, &framed(&vec![1; 60 * KIB]));
        world.run(connection);
    }
    world.write(c, &framed(b"fetch"));
    world.run(c);
    assert_eq!(world.frame_bytes(c), [b"fetch".to_vec()]);
}

#[test]
fn a_block_given_back_by_another_owner_ends_the_wait() {
    let mut world = World::new(Limits::default(), 2 << 20);
    let taken = world.arena.allocate(2 << 20).unwrap();
    let a = world.open();
    world.write(a, &framed(&vec![1; 20 * KIB]));
    world.run(a);
    assert_eq!(world.connections.waiting_for_memory(), 1);
    assert_eq!(world.connections.metrics().arena_waits, 1);
    assert!(world.connections.deadline().is_some_and(|at| at.0 <= MS));
    drop(taken);
    world.pass(1);
    world.run(a);
    assert_eq!(world.frames.len(), 1);
}

#[test]
fn a_request_that_waits_too_long_for_memory_loses_its_connection() {
    let mut world = World::new(Limits::default(), 2 << 20);
    let _taken = world.arena.allocate(2 << 20).unwrap();
    let a = world.open();
    world.write(a, &framed(&vec![1; 20 * KIB]));
    world.run(a);
    world.pass(29_999);
    assert!(world.connections.is_open(a));
    world.pass(1);
    world.end_asked();
    assert_eq!(closed_for(&world), [CloseReason::MemoryWait]);
}

#[test]
fn sizes_that_cannot_be_close_quietly_and_are_told_apart() {
    let mut world = world();
    let cases: [(&[u8], CloseReason); 7] = [
        (&[0, 0, 0, 0], CloseReason::SizeZero),
        (&[0xff; 4], CloseReason::SizeNegative { size: -1 }),
        (&[0x7f, 0xff, 0xff, 0xff], CloseReason::SizeTooLarge { size: i32::MAX }),
        (&[0x06, 0x40, 0, 1], CloseReason::SizeTooLarge { size: 104_857_601 }),
        (&[0x06, 0x40, 0, 0], CloseReason::SizeBeyondMemory { size: 104_857_600 }),
        (&[0x16, 3, 1, 2, 0, 1], CloseReason::TlsOnPlaintext),
        (b"GET / HTTP/1.1\r\n", CloseReason::HttpOnPlaintext),
    ];
    for (start, reason) in cases {
        let connection = world.open();
        world.write(connection, start);
        world.run(connection);
        assert!(world.peers[&connection].close_asked);
        assert_eq!(world.peers[&connection].arrived, b"");
        world.end_asked();
        assert_eq!(world.closed.last().unwrap().reason, reason);
    }
    let metrics = world.connections.metrics();
    assert_eq!(metrics.closed(CloseReason::TlsOnPlaintext), 1);
    assert_eq!(metrics.closed(CloseReason::SizeTooLarge { size: 0 }), 2);
    world.assert_nothing_is_held();
}

#[test]
fn frames_before_a_bad_size_are_still_delivered() {
    let mut world = world();
    let a = world.open();
    world.write(a, &[framed(b"fine"), vec![0xff; 8]].concat());
    world.run(a);
    assert_eq!(world.frame_bytes(a), [b"fine".to_vec()]);
    assert!(!world.connections.is_open(a));
    world.respond(a, 0, bytes("late"));
    world.end_asked();
    world.assert_nothing_is_held();
}

#[test]
fn beyond_the_requests_in_flight_the_socket_is_not_read() {
    let limits = Limits { requests_in_flight_max: 2, ..Limits::default() };
    let mut world = World::new(limits, 8 << 20);
    let a = world.open();
    world.write(a, &[framed(b"1"), framed(b"2"), framed(b"3"), framed(b"4")].concat());
    world.run(a);
    assert_eq!(world.frame_bytes(a).len(), 2);
    assert!(world.peers[&a].receiving.is_none());
    assert!(world.connections.metrics().bytes_set_aside > 0, "the small buffer went back");
    world.respond(a, 1, bytes("b"));
    world.run(a);
    assert_eq!(world.frame_bytes(a).len(), 1, "an answer out of turn does not make room");
    world.respond(a, 0, bytes("a"));
    world.run(a);
    assert_eq!(world.frame_bytes(a), [b"3".to_vec(), b"4".to_vec()]);
}

#[test]
fn a_client_that_does_not_take_its_responses_gets_no_new_request() {
    let limits = Limits { response_bytes_unsent_max: 10, ..Limits::default() };
    let mut world = World::new(limits, 8 << 20);
    let a = world.open();
    world.write(a, &[framed(b"1"), framed(b"2")].concat());
    world.receive(a, usize::MAX);
    world.finish();
    world.receive(a, usize::MAX);
    world.respond(a, 0, bytes("0123456789"));
    world.respond(a, 1, bytes(""));
    world.finish();
    world.write(a, &framed(b"3"));
    world.receive(a, usize::MAX);
    assert_eq!(world.frames.len(), 0);
    assert_eq!(world.connections.response_bytes_unsent(a), 10);
    world.run(a);
    assert_eq!(world.frame_bytes(a), [b"3".to_vec()]);
}

#[test]
fn a_throttled_client_gets_its_response_first_and_is_then_not_read() {
    let mut world = world();
    let a = world.open();
    world.write(a, &framed(b"1"));
    world.run(a);
    world.respond(a, 0, bytes("throttled"));
    world.connections.mute_until(a, runtime::clock::Monotonic(500 * MS));
    world.write(a, &framed(b"2"));
    world.run(a);
    assert_eq!(world.peers[&a].arrived, b"throttled");
    assert_eq!(world.frames.len(), 0);
    world.pass(499);
    world.run(a);
    assert_eq!(world.frames.len(), 0);
    world.pass(1);
    world.run(a);
    assert_eq!(world.frame_bytes(a), [b"2".to_vec()]);
}

#[test]
fn a_connection_closes_after_its_last_word_has_left() {
    let mut world = world();
    let a = world.open();
    world.write(a, &[framed(b"1"), framed(b"2"), framed(b"3")].concat());
    world.run(a);
    world.respond(a, 2, bytes("never"));
    world.close_after(a, 1, bytes("bye"));
    world.write(a, &framed(b"4"));
    world.run(a);
    assert!(!world.peers[&a].close_asked, "the first request has no answer yet");
    world.respond(a, 0, bytes("1"));
    world.run(a);
    assert_eq!(world.peers[&a].arrived, b"1bye");
    assert!(world.peers[&a].close_asked);
    world.end_asked();
    assert_eq!(closed_for(&world), [CloseReason::Requested]);
    world.assert_nothing_is_held();
}

#[test]
fn a_slow_frame_loses_its_connection_and_a_large_one_has_longer() {
    let mut world = world();
    let [a, b, c] = [world.open(), world.open(), world.open()];
    world.write(a, &[0, 0]);
    world.write(b, &framed(&vec![0; 1024 * KIB])[..20]);
    world.write(c, &framed(&[0; 100])[..99]);
    for connection in [a, b, c] {
        world.run(connection);
    }
    world.pass(29_999);
    assert!(world.connections.is_open(a) && world.connections.is_open(c));
    world.pass(1);
    assert!(!world.connections.is_open(a) && !world.connections.is_open(c));
    world.pass(1_023);
    assert!(world.connections.is_open(b));
    world.pass(1);
    assert!(!world.connections.is_open(b));
    assert_eq!(world.connections.request_bytes_held(), 1024 * KIB, "the driver has the block");
    world.end_asked();
    assert_eq!(closed_for(&world), [CloseReason::SlowFrame; 3]);
    world.assert_nothing_is_held();
}

#[test]
fn bytes_that_trickle_do_not_stop_the_clock_of_a_frame() {
    let mut world = world();
    let a = world.open();
    let frame = framed(&[0; 100]);
    for byte in frame.chunks(1) {
        world.write(a, byte);
        world.run(a);
        world.pass(500);
    }
    assert!(!world.connections.is_open(a));
}

#[test]
fn an_idle_connection_is_closed_and_one_with_a_request_in_progress_is_not() {
    let mut world = world();
    let [a, b] = [world.open(), world.open()];
    world.write(b, &framed(b"long poll"));
    world.run(a);
    world.run(b);
    world.pass(599_999);
    assert!(world.connections.is_open(a));
    world.pass(1);
    assert!(!world.connections.is_open(a));
    world.pass(6_000_000);
    assert!(world.connections.is_open(b));
    world.no_response(b, 0);
    world.run(b);
    world.pass(599_999);
    assert!(world.connections.is_open(b), "it was answered a moment ago");
    world.pass(1);
    assert!(!world.connections.is_open(b));
    world.end_asked();
    assert_eq!(closed_for(&world), [CloseReason::Idle; 2]);
}

#[test]
fn a_peer_that_takes_nothing_loses_its_connection_and_a_slow_one_does_not() {
    let mut world = world();
    let [a, b] = [world.open(), world.open()];
    for connection in [a, b] {
        world.write(connection, &framed(b"fetch"));
        world.run(connection);
        world.respond(connection, 0, vec![Bytes::from(vec![1; 100])]);
        world.finish();
    }
    for _ in 0..5 {
        world.pass(20_000);
        assert!(world.send(a, 1));
    }
    assert!(world.connections.is_open(a));
    assert!(!world.connections.is_open(b));
    assert_eq!(world.connections.response_bytes_pinned(), 195, "the kernel still has both");
    world.end_asked();
    assert_eq!(closed_for(&world), [CloseReason::SendStalled]);
    assert_eq!(world.connections.response_bytes_pinned(), 95);
}

#[test]
fn a_peer_that_acknowledges_nothing_loses_its_connection() {
    let mut world = world();
    let a = world.open();
    world.write(a, &framed(b"fetch"));
    world.run(a);
    world.respond(a, 0, vec![Bytes::from(vec![1; 40 * KIB])]);
    world.finish();
    world.send(a, usize::MAX);
    world.pass(29_999);
    assert!(world.connections.is_open(a));
    world.pass(1);
    assert!(!world.connections.is_open(a));
    assert_eq!(world.connections.response_bytes_pinned(), 40 * KIB, "the kernel still reads it");
    world.end_asked();
    world.assert_nothing_is_held();
}

#[test]
fn all_that_is_due_at_once_is_done_at_once() {
    let mut world = world();
    let a = world.open();
    world.write(a, &framed(b"fetch"));
    world.run(a);
    world.respond(a, 0, bytes("response"));
    world.connections.mute_until(a, runtime::clock::Monotonic(10 * MS));
    world.finish();
    world.pass(30_000);
    assert!(!world.connections.is_open(a), "the end of throttling hides no standstill");
}

#[test]
fn connections_beyond_the_maximum_are_closed_at_once_and_counted() {
    let limits = Limits { connections_max: 2, ..Limits::default() };
    let mut world = World::new(limits, 8 << 20);
    let [_, b, c] = [world.open(), world.open(), world.open()];
    assert!(world.peers[&c].close_asked);
    world.end_asked();
    let refused = world.connections.metrics().closed(CloseReason::TooManyConnections);
    assert_eq!((world.connections.len(), refused, world.closed.len()), (2, 1, 0));
    world.end(b, CloseReason::PeerClosed);
    let d = world.open();
    assert!(world.connections.is_open(d));
}

#[test]
fn a_request_holds_its_memory_until_it_is_answered_although_its_connection_is_gone() {
    let mut world = world();
    let a = world.open();
    world.write(a, &[framed(b"12345"), framed(b"123"), framed(b"1")].concat());
    world.run(a);
    world.respond(a, 1, bytes("unsent"));
    world.end(a, CloseReason::PeerReset);
    assert_eq!(world.connections.request_bytes_held(), 6);
    assert_eq!(world.connections.response_bytes_pinned(), 0);
    world.release_memory(a, 0);
    assert_eq!(world.connections.request_bytes_held(), 1);
    world.respond(a, 0, bytes("late"));
    world.no_response(a, 2);
    world.assert_nothing_is_held();
}

#[test]
fn memory_can_be_given_back_before_the_answer() {
    let mut world = world();
    let a = world.open();
    world.write(a, &framed(&vec![0; 100 * KIB]));
    world.run(a);
    assert_eq!(world.connections.request_bytes_held(), 128 * KIB);
    world.release_memory(a, 0);
    world.release_memory(a, 0);
    assert_eq!(world.connections.request_bytes_held(), 0);
    world.respond(a, 0, bytes("done"));
    world.run(a);
    assert_eq!(world.peers[&a].arrived, b"done");
}

#[test]
fn what_crosses_a_close_is_dropped() {
    let mut world = world();
    let [a, b] = [world.open(), world.open()];
    world.write(a, &framed(b"1"));
    world.write(b, &framed(&vec![0; 100 * KIB]));
    world.finish();
    world.receive(b, 1000);
    world.close(a);
    world.close(b);
    world.close(b);
    assert!(world.receive(a, usize::MAX));
    assert!(world.receive(b, usize::MAX));
    world.finish();
    assert_eq!(world.frames.len(), 0);
    world.end_asked();
    world.assert_nothing_is_held();
}

#[test]
fn zero_copy_is_asked_for_large_responses_until_the_kernel_copies() {
    let mut world = world();
    let a = world.open();
    let local = world.open_from("[::ffff:127.0.0.1]:4000".parse().unwrap());
    let part = Bytes::from(vec![1; 40 * KIB]);
    let mut modes = Vec::new();
    for sequence in 0..5 {
        for connection in [a, local] {
            world.write(connection, &framed(b"fetch"));
            world.run(connection);
            world.respond(connection, sequence, vec![part.clone()]);
            world.finish();
        }
        modes.push(world.peers[&a].mode.unwrap());
        assert_eq!(world.peers[&local].mode, Some(SendMode::Plain));
        world.send(a, usize::MAX);
        assert_eq!(
            world.connections.response_bytes_unsent(a),
            if sequence < 3 { 40 * KIB } else { 0 }
        );
        assert_eq!(world.release(a, usize::MAX, true), sequence < 3);
        world.run(local);
    }
    use SendMode::{Plain, ZeroCopy};
    assert_eq!(modes, [ZeroCopy, ZeroCopy, ZeroCopy, Plain, Plain]);
    let metrics = world.connections.metrics();
    assert_eq!((metrics.releases_copied, metrics.zero_copy_turned_off), (3, 1));
    let address = part.as_ptr().addr();
    assert!(world.peers[&a].part_addresses.iter().all(|part| *part == address), "never copied");
}

#[test]
fn draining_answers_what_was_asked_and_then_closes() {
    let mut world = world();
    let [a, b] = [world.open(), world.open()];
    world.write(a, &framed(b"1"));
    world.run(a);
    world.run(b);
    world.connections.drain();
    world.finish();
    assert!(world.peers[&b].close_asked && !world.peers[&a].close_asked);
    world.write(a, &framed(b"2"));
    world.run(a);
    world.respond(a, 0, bytes("done"));
    world.run(a);
    assert_eq!(world.peers[&a].arrived, b"done");
    let late = world.open();
    assert!(world.peers[&late].close_asked);
    world.end_asked();
    world.assert_nothing_is_held();
    assert_eq!(closed_for(&world), [CloseReason::Drained; 2]);
}
