//! How much of the log stays in memory: little at first, more where consumers come back for it.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

mod world;

use engine::disk::{DiskClass, DiskOp};
use protocol::Offset;
use world::{Batch, World};

const MIB: usize = 1 << 20;
const FIRST: usize = 4 * MIB;
/// Chunks that are being filled, and one that is wanted.
const SLACK: usize = 4 * MIB;

/// A log of 20 MiB that nobody has read.
fn written() -> (World, engine::PartitionId) {
    let mut world = World::new();
    world.config.batch_bytes_max = 4 << 20;
    world.tail_bytes_first = FIRST;
    world.stop();
    let partition = world.create("tail-0");
    append(&mut world, partition);
    (world, partition)
}

fn append(world: &mut World, partition: engine::PartitionId) {
    for _ in 0..20 {
        world.append(partition, &Batch::sized(MIB));
        world.settle(5);
    }
}

#[test]
fn tails_hold_little_while_consumers_read_what_was_just_written() {
    let (mut world, partition) = written();
    assert!(world.engine().tail_bytes() <= FIRST + SLACK, "{}", world.engine().tail_bytes());
    let reads = world.engine().metrics.disk_reads;
    world.read(partition, Offset(19));
    assert_eq!(world.engine().metrics.disk_reads, reads, "the newest is in memory");
}

#[test]
fn a_read_of_what_was_given_up_makes_tails_hold_more() {
    let (mut world, partition) = written();
    world.read(partition, Offset(2));
    assert!(world.engine().metrics.disk_reads > 0);
    append(&mut world, partition);
    let held = world.engine().tail_bytes();
    assert!(held > 2 * FIRST && held <= world.tail_bytes_max, "{held}");
}

/// It was taken from partitions in turn, whatever they had: a consumer that was a little late read from disk.
#[test]
fn what_was_written_last_is_given_up_last() {
    let (mut world, _) = written();
    let partitions: Vec<_> = (0..5).map(|at| world.create(&format!("new-{at}"))).collect();
    for partition in &partitions {
        world.append(*partition, &Batch::sized(600_000));
        world.settle(1);
    }
    let reads = world.engine().metrics.disk_reads;
    for partition in &partitions[1..] {
        world.read(*partition, Offset(0));
    }
    assert_eq!(world.engine().metrics.disk_reads, reads, "what is old went first");
}

/// The index leads to the batch before.
#[test]
fn the_newest_batch_is_served_from_memory_when_the_one_before_was_given_up() {
    let (mut world, _) = written();
    let partition = world.create("slow-0");
    world.append(partition, &Batch::sized(600_000));
    world.settle(1);
    for at in 0..5 {
        let other = world.create(&format!("other-{at}"));
        world.append(other, &Batch::sized(900_000));
        world.settle(1);
    }
    world.append(partition, &Batch::sized(600_000));
    let reads = world.engine().metrics.disk_reads;
    world.read(partition, Offset(1));
    assert_eq!(world.engine().metrics.disk_reads, reads);
    world.read(partition, Offset(0));
    assert_eq!(world.engine().metrics.disk_reads, reads + 1, "it was given up");
}

/// Rolled by retention, with nothing appended since: what such a partition has in memory was promised and not given, and
/// nobody else was asked.
#[test]
fn a_partition_whose_log_went_on_in_an_empty_segment_keeps_nobody_waiting() {
    let mut world = World::new();
    world.config.batch_bytes_max = 4 << 20;
    world.config.retention_ms = Some(1_000);
    world.tail_bytes_first = FIRST;
    world.stop();
    let old = world.create("old-0");
    world.append(old, &Batch::sized(600_000));
    world.settle(80);
    world.config.retention_ms = None;
    let busy = world.create("busy-0");
    for _ in 0..world.tail_bytes_max / MIB + 8 {
        world.append(busy, &Batch::sized(MIB));
        world.settle(2);
    }
    let held = world.engine().tail_bytes();
    assert!(held <= FIRST + SLACK, "{held}");
}

/// The pointer in the journal holds the last bytes of a run, which end in the first block of the next one.
#[test]
fn what_the_journal_is_to_be_told_of_a_large_run_stays_in_memory() {
    let mut world = World::new();
    world.tail_bytes_first = 64 << 10;
    world.stop();
    let (large, other) = (world.create("large-0"), world.create("other-0"));
    world.append(large, &Batch::of(1));
    world.append(other, &Batch::of(1));
    world.hold = |effect| matches!(&effect.request, DiskOp::Write { class: DiskClass::Bypass, .. });
    let tokens = [300_000, 300_000].map(|bytes| {
        let token = world.submit(large, &Batch::sized(bytes));
        world.run();
        token
    });
    assert_eq!(world.held(), 2);
    world.settle(1);
    world.complete_held();
    world.submit(other, &Batch::sized(30_000));
    world.let_go();
    for token in tokens {
        assert!(world.answer(token).expect("it is answered").is_ok());
    }
    assert_eq!(world.read_all(large).len(), 3);
}
