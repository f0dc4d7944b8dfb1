//! What is known of idempotent producers across starts, and without the state file.

mod world;

use engine::disk::DiskOp;
use engine::request::AppendError;
use protocol::Offset;
use world::{Batch, World};

#[test]
fn a_producer_of_old_records_is_still_known_after_a_crash() {
    // It counted as silent since the timestamps of its records.
    let mut world = World::new();
    let partition = world.create("late-0");
    let batch = Batch::of(3).by_producer(9, 0, 0).aged(2 * 86_400_000);
    let first = world.append(partition, &batch).base;
    world.crash();
    world.settle(20);
    assert_eq!(world.append(partition, &batch).base, first);
}

#[test]
fn lost_producer_state_is_rebuilt_from_the_log() {
    let mut world = World::new();
    world.config.segment_bytes = 1 << 20;
    let partition = world.create("rebuild-0");
    let plain = Batch::of(1);
    let batches: Vec<Batch> =
        (0..40).map(|at| Batch::sized(60_000).by_producer(7, 2, at)).collect();
    for batch in &batches {
        world.append(partition, batch);
    }
    world.stop();
    std::fs::remove_file(world.root().join("journal/0/state")).unwrap();
    world.hold = |effect| matches!(&effect.request, DiskOp::Read { .. });
    world.crash();
    assert_eq!(world.engine().partitions_without_producers(), 1);
    let refused = world.submit(partition, &batches[39]);
    let accepted = world.submit(partition, &plain);
    world.settle(2);
    assert_eq!(world.answer(refused), Some(Err(AppendError::ProducersUnknown)));
    assert!(world.answer(accepted).is_some_and(|answer| answer.is_ok()));
    world.let_go();
    world.settle(5);
    assert_eq!(world.engine().partitions_without_producers(), 0);
    assert_eq!(world.append(partition, &batches[39]).base, Offset(39), "known again");
    assert!(world.try_append(partition, &batches[10]).is_err(), "out of order");
    let next = Batch::of(1).by_producer(7, 2, 40);
    assert_eq!(world.append(partition, &next).base, Offset(41));
    // And saved: the next start knows at once.
    world.settle(120);
    world.crash();
    assert_eq!(world.engine().partitions_without_producers(), 0);
    assert_eq!(world.append(partition, &next).base, Offset(41));
}

#[test]
fn unknown_producers_stay_unknown_through_checkpoints() {
    let mut world = World::new();
    let partition = world.create("unknown-0");
    let batch = Batch::sized(30_000).by_producer(7, 0, 0);
    world.append(partition, &batch);
    world.stop();
    std::fs::remove_file(world.root().join("journal/0/state")).unwrap();
    world.hold = |effect| matches!(&effect.request, DiskOp::Read { .. });
    world.crash();
    world.append(partition, &Batch::of(1));
    world.settle(120);
    world.crash();
    assert_eq!(world.engine().partitions_without_producers(), 1, "nobody looked at the log yet");
    world.let_go();
    world.settle(3);
    assert_eq!(world.append(partition, &batch).base, Offset(0));
}
