//! Connections that leave for another shard: only when nothing of them is under way.

use bytes::Bytes;
use net::{CloseReason, ConnectionId, Limits, Principal};

use crate::world::{World, framed};

fn world() -> World {
    World::new(Limits::default(), 8 << 20)
}

fn answer() -> Vec<Bytes> {
    vec![Bytes::from_static(b"answer")]
}

fn asked(world: &mut World, connection: ConnectionId, frame: &[u8]) {
    world.write(connection, &framed(frame));
    world.run(connection);
}

#[test]
fn a_connection_leaves_when_its_last_answer_has_left() {
    let mut world = world();
    let a = world.open();
    asked(&mut world, a, b"one");
    world.connections.set_principal(a, Principal::User("ada".into()));
    world.connections.let_leave(a);
    world.finish();
    assert!(world.left.is_empty(), "a request is unanswered");
    assert!(world.peers[&a].receiving.is_some(), "this receive was asked for before");
    world.respond(a, 0, answer());
    world.run(a);
    assert!(world.left.is_empty(), "a receive is outstanding");
    asked(&mut world, a, b"two");
    assert!(world.peers[&a].receiving.is_none(), "no further one is asked for");
    world.respond(a, 1, answer());
    world.run(a);
    assert_eq!(world.peers[&a].arrived, b"answeranswer");
    let left = world.left.pop().expect("it has left");
    assert_eq!((left.connection, left.principal), (a, Principal::User("ada".into())));
    assert_eq!((world.connections.len(), world.connections.metrics().connections_now), (0, 0));
    assert!(world.closed.is_empty());
    world.connections.invariants();
}

#[test]
fn a_frame_that_has_begun_is_received_and_answered_first() {
    let mut world = world();
    let a = world.open();
    let both = [framed(b"one"), framed(b"and a second one")].concat();
    world.write(a, &both[..10]);
    world.run(a);
    world.connections.let_leave(a);
    world.respond(a, 0, answer());
    world.write(a, &both[10..]);
    world.run(a);
    assert_eq!(world.frame_bytes(a), [b"and a second one".to_vec()]);
    assert!(world.left.is_empty());
    world.respond(a, 1, answer());
    world.run(a);
    assert_eq!(world.left.len(), 1);
}

#[test]
fn a_peer_that_goes_and_a_node_that_stops_are_not_left_waiting() {
    let mut world = world();
    let (a, b) = (world.open(), world.open());
    for connection in [a, b] {
        asked(&mut world, connection, b"one");
        world.connections.let_leave(connection);
    }
    world.end(a, CloseReason::PeerClosed);
    world.connections.drain();
    world.respond(a, 0, answer());
    world.respond(b, 0, answer());
    world.run(b);
    world.end_asked();
    assert!(world.left.is_empty());
    assert_eq!((world.closed.len(), world.connections.len()), (2, 0));
}
