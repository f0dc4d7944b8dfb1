//! What a peer may send that is no request: nothing panics, nothing stays, nothing grows.

use net::{CloseReason, Limits};
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

use crate::world::{World, framed};

const KIB: usize = 1024;

/// A piece of a stream: noise, a size with noise behind it, half a frame, a whole one.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let noise = proptest::collection::vec(any::<u8>(), 0..300);
    let size = prop_oneof![
        any::<i32>(),
        Just(0),
        Just(-1),
        Just(i32::MIN),
        Just(i32::MAX),
        0..40_000_i32,
        104_857_600..104_857_700_i32,
    ];
    prop_oneof![
        noise.clone(),
        (size, noise.clone()).prop_map(|(size, rest)| [&size.to_be_bytes()[..], &rest].concat()),
        (1_usize..60 * KIB, 0_usize..8).prop_map(|(length, cut)| {
            let mut frame = framed(&vec![0; length]);
            frame.truncate(frame.len().saturating_sub(cut * length / 8));
            frame
        }),
        (1_usize..100).prop_map(|length| framed(&vec![1; length])),
    ]
}

proptest! {
    #[test]
    fn garbage_costs_its_own_connection_at_most(
        streams in proptest::collection::vec(proptest::collection::vec(piece(), 1..6), 1..5),
        cut in 1_usize..40_000,
    ) {
        let limits = Limits {
            request_small_bytes_max: 32 * KIB,
            request_large_bytes_max: 128 * KIB,
            ..Limits::default()
        };
        let mut world = World::new(limits, 2 << 20);
        let well_behaved = world.open();
        for stream in streams {
            let connection = world.open();
            world.write(connection, &stream.concat());
            for _ in 0..10_000 {
                world.finish();
                if !world.receive(connection, cut) {
                    break;
                }
            }
            while let Some(frame) = world.frames.first() {
                let (connection, sequence) = (frame.connection, frame.sequence.0);
                world.no_response(connection, sequence);
            }
        }
        world.pass(599_999);
        world.end_asked();
        assert!(world.connections.is_open(well_behaved), "another client noticed");
        world.pass(1);
        world.end_asked();
        while let Some(frame) = world.frames.first() {
            let (connection, sequence) = (frame.connection, frame.sequence.0);
            world.no_response(connection, sequence);
            world.pass(600_000);
            world.end_asked();
        }
        world.pass(1_200_000);
        world.end_asked();
        let left: Vec<_> = world.peers.keys().copied().collect();
        for connection in left {
            world.end(connection, CloseReason::PeerClosed);
        }
        world.assert_nothing_is_held();
    }
}

#[test]
fn half_frames_on_every_connection_hold_what_they_announced_and_no_more() {
    let limits = Limits { request_large_bytes_max: 256 * KIB, ..Limits::default() };
    let mut world = World::new(limits, 4 << 20);
    for _ in 0..50 {
        let connection = world.open();
        world.write(connection, &framed(&vec![0; 60 * KIB])[..100]);
        world.run(connection);
    }
    assert_eq!(world.connections.request_bytes_held(), 256 * KIB);
    assert_eq!(world.connections.waiting_for_memory(), 46);
    world.pass(30_100);
    world.end_asked();
    assert!(world.connections.request_bytes_held() <= 256 * KIB);
    for _ in 0..20 {
        world.pass(30_100);
        world.end_asked();
    }
    world.assert_nothing_is_held();
}
