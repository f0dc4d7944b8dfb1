//! Records that leave from elsewhere than log memory are counted, and no others.

use bytes::Bytes;
use net::limits::SEND_PARTS_MAX;
use net::{ConnectionId, Limits};
use runtime::memory::Arena;

use crate::world::{World, framed};

const RECORD_BYTES: usize = 5_000;

/// A world with a connection whose first `requests` wait for an answer.
fn asked(requests: usize) -> (World, ConnectionId) {
    let mut world = World::new(Limits::default(), 8 << 20);
    let connection = world.open();
    world.write(connection, &framed(b"fetch").repeat(requests));
    world.run(connection);
    (world, connection)
}

fn records(arena: &Arena) -> Bytes {
    arena.allocate(RECORD_BYTES).unwrap().freeze(RECORD_BYTES)
}

fn head() -> Bytes {
    Bytes::from_static(b"head")
}

fn copied(world: &World) -> u64 {
    world.connections.metrics().record_bytes_copied
}

#[test]
fn a_planted_copy_of_records_is_counted() {
    let (mut world, connection) = asked(3);
    let record = records(&world.arena);
    let answer = |record: &Bytes| vec![head(), record.clone(), head()];
    world.respond_with_records(connection, 0, answer(&record), RECORD_BYTES);
    world.run(connection);
    assert_eq!(copied(&world), 0);
    let copy = Bytes::copy_from_slice(&record);
    // Both leave together, with another answer that has no records.
    world.respond_with_records(connection, 1, answer(&copy), RECORD_BYTES);
    world.respond_with_records(connection, 2, answer(&record), RECORD_BYTES);
    world.run(connection);
    assert_eq!(copied(&world), RECORD_BYTES as u64);
    assert_eq!(world.peers[&connection].arrived.len(), 3 * (RECORD_BYTES + 8));
}

#[test]
fn records_of_another_shard_are_in_its_memory() {
    let (mut world, connection) = asked(2);
    let other = Arena::new(1 << 20).unwrap();
    let record = records(&other);
    world.respond_with_records(connection, 0, vec![record.clone()], RECORD_BYTES);
    world.run(connection);
    assert_eq!(copied(&world), RECORD_BYTES as u64, "nobody said whose memory that is");
    world.connections.know_log_memory(other.range());
    world.respond_with_records(connection, 1, vec![record], RECORD_BYTES);
    world.run(connection);
    assert_eq!(copied(&world), RECORD_BYTES as u64);
}

#[test]
fn a_copy_is_found_in_an_answer_that_leaves_in_several_sends() {
    for planted in [None, Some(1), Some(2 * SEND_PARTS_MAX)] {
        let (mut world, connection) = asked(2);
        let record = records(&world.arena);
        let mut parts = vec![record.slice(..10); 2 * SEND_PARTS_MAX + 1];
        if let Some(planted) = planted {
            parts[planted] = Bytes::copy_from_slice(&parts[planted]);
        }
        let bytes = 10 * parts.len();
        world.respond_with_records(connection, 0, parts, bytes);
        world.respond_with_records(connection, 1, vec![head(), record], RECORD_BYTES);
        world.run(connection);
        assert_eq!(world.peers[&connection].arrived.len(), bytes + 4 + RECORD_BYTES);
        assert_eq!(copied(&world), if planted.is_some() { 10 } else { 0 }, "{planted:?}");
    }
}
