//! Connections that go to the shard that owns what they use.

use net::{NetEvent, Principal};
use protocol::messages::fetch::FetchResponse;

use super::produce_and_fetch::{create, fetch, produce};
use super::world::{Client, World, batch, owner};

const PRODUCE: i16 = 9;
const FETCH: i16 = 12;
/// Requests in a row after which a connection goes to the shard they are about.
const STEERED_AFTER: u32 = 4;

/// A world with a topic, and a client that is not where its partition 0 is.
fn world() -> (World, Client, usize) {
    let mut world = World::new(2);
    (0..2).for_each(|shard| world.shard_mut(shard).node.steered_after = STEERED_AFTER);
    let setup = world.connect(0);
    create(&mut world, setup, "t", 2);
    let owner = owner(&world, "t", 0);
    let client = world.connect(1 - owner);
    (world, client, owner)
}

fn produce_some(world: &mut World, client: Client, index: i32, times: u32) {
    for _ in 0..times {
        let response = world.ask(client, PRODUCE, produce(-1, "t", index, small()));
        assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
    }
}

fn small() -> bytes::Bytes {
    batch(&["a"], 1_700_000_000_000)
}

#[test]
fn a_connection_of_small_requests_goes_to_the_shard_that_owns_their_partition() {
    let (mut world, client, owner) = world();
    produce_some(&mut world, client, 0, STEERED_AFTER - 1);
    assert!(world.moves.is_empty());
    produce_some(&mut world, client, 0, 1);
    assert_eq!(world.moves.len(), 1);
    assert_eq!(world.shard(client.shard).front.connections.len(), 0);
    let moved = world.arrive(owner);
    produce_some(&mut world, moved, 0, 4 * STEERED_AFTER);
    assert!(world.moves.is_empty(), "it is where it belongs");
}

#[test]
fn a_fetch_session_and_a_principal_go_with_their_connection() {
    let (mut world, client, owner) = world();
    produce_some(&mut world, client, 0, 1);
    let ada = Principal::User("ada".into());
    let connections = &mut world.shard_mut(client.shard).front.connections;
    connections.set_principal(client.connection, ada.clone());
    let mut request = fetch("t", &[(0, 0)], (0, 1));
    request.session_epoch = 0;
    let first: FetchResponse = world.ask(client, FETCH, request.clone());
    (request.session_id, request.topics) = (first.session_id, Vec::new());
    assert_ne!(request.session_id, 0);
    let mut epoch = 1;
    while world.moves.is_empty() {
        request.session_epoch = epoch;
        let response: FetchResponse = world.ask(client, FETCH, request.clone());
        assert_eq!(response.error_code, 0);
        epoch += 1;
        assert!(epoch < 100, "it never leaves");
    }
    let moved = world.arrive(owner);
    request.session_epoch = epoch;
    let response: FetchResponse = world.ask(moved, FETCH, request);
    assert_eq!((response.error_code, response.responses.len()), (0, 1));
    assert_eq!(world.shard(owner).front.connections.principal(moved.connection), Some(&ada));
    assert_eq!(world.shard(client.shard).front.sessions.len(), 0);
}

#[test]
fn a_connection_stays_whose_requests_are_for_several_shards_or_large_or_pipelined() {
    let (mut world, client, _) = world();
    for _ in 0..2 * STEERED_AFTER {
        produce_some(&mut world, client, 0, 1);
        produce_some(&mut world, client, 1, 1);
    }
    let value = "x".repeat(crate::limits::STEERED_BYTES_MAX);
    let large = world.connect(client.shard);
    for _ in 0..2 * STEERED_AFTER {
        let records = batch(&[&value], 1_700_000_000_000);
        world.ask(large, PRODUCE, produce(-1, "t", 0, records));
    }
    let pipelined = world.connect(client.shard);
    world.send(pipelined, PRODUCE, produce(-1, "t", 0, small()));
    for _ in 0..2 * STEERED_AFTER {
        world.send(pipelined, PRODUCE, produce(-1, "t", 0, small()));
        world.complete_one();
    }
    assert!(world.moves.is_empty());
}

#[test]
fn a_connection_that_comes_back_tries_again_after_four_times_as_many_requests() {
    let (mut world, client, _) = world();
    produce_some(&mut world, client, 0, STEERED_AFTER);
    let back = world.arrive(client.shard);
    produce_some(&mut world, back, 0, 4 * STEERED_AFTER - 1);
    assert!(world.moves.is_empty());
    produce_some(&mut world, back, 0, 1);
    assert_eq!(world.moves.len(), 1);
}

#[test]
fn a_connection_does_not_leave_before_its_answers_have() {
    let (mut world, client, owner) = world();
    produce_some(&mut world, client, 0, STEERED_AFTER - 1);
    world.holds_sent = true;
    world.ask(client, PRODUCE, produce(-1, "t", 0, small()));
    assert!(world.moves.is_empty(), "the answer is still with the kernel");
    let (connection, bytes) = world.held.take().expect("it is held");
    world.holds_sent = false;
    world
        .apply(client.shard, crate::shard::event::Event::Net(NetEvent::Sent { connection, bytes }));
    assert_eq!(world.moves.len(), 1);
    world.arrive(owner);
}

#[test]
fn a_request_that_outlives_its_connection_leaves_nothing_behind() {
    let (mut world, client, _) = world();
    produce_some(&mut world, client, 0, 1);
    // The second request waits for the first one, which waits for records.
    world.send(client, FETCH, fetch("t", &[(0, 1)], (60_000, 1)));
    world.send(client, PRODUCE, produce(-1, "t", 0, small()));
    world.disconnect(client);
    world.settle();
    assert_eq!(world.shard(client.shard).front.steering.len(), 0);
}
