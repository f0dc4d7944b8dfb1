//! The engine over real files: appends, crashes (the engine is dropped), recovery, reads.

mod world;

use std::path::PathBuf;

use protocol::Offset;
use world::{Batch, World};

#[test]
fn an_acknowledged_batch_survives_a_crash_and_reads_back() {
    let mut world = World::new();
    let partition = world.create("topic-0");
    let first = world.append(partition, &Batch::of(3));
    let second = world.append(partition, &Batch::of(2));
    assert_eq!((first.base, second.base), (Offset(0), Offset(3)));
    assert_eq!(world.read_all(partition).len(), 2);
    world.crash();
    let offsets = world.offsets(partition);
    assert_eq!((offsets.log_start, offsets.high_watermark), (Offset(0), Offset(5)));
    let batches = world.read_all(partition);
    assert_eq!(batches.len(), 2);
    let third = world.append(partition, &Batch::of(1));
    assert_eq!(third.base, Offset(5));
    world.crash();
    assert_eq!(world.read_all(partition).len(), 3);
}

#[test]
fn large_runs_go_straight_to_the_segment_and_survive() {
    let mut world = World::new();
    let partition = world.create("bulk-0");
    let mut expected = 0;
    for round in 0..40u64 {
        let size = [400_000, 900_000, 10, 300_000, 70_000][usize::try_from(round % 5).unwrap()];
        world.append(partition, &Batch::sized(size));
        expected += 1;
        if round % 13 == 12 {
            assert!(world.engine().metrics.direct_runs > 0);
            world.crash();
            assert_eq!(world.read_all(partition).len(), expected, "after round {round}");
        }
    }
    assert_eq!(world.read_all(partition).len(), expected);
    world.stop();
    assert_eq!(world.read_all(partition).len(), expected);
}

#[test]
fn journal_files_are_recycled_and_nothing_is_lost() {
    let mut world = World::new();
    let partitions: Vec<_> = (0..20).map(|at| world.create(&format!("many-{at}"))).collect();
    let idle = world.create("idle-0");
    world.append(idle, &Batch::of(1));
    let mut counts = vec![0usize; partitions.len()];
    // 16 MiB journal files: enough rounds for several turns of the rotation.
    for round in 0..3_000usize {
        let at = round % partitions.len();
        world.append(partitions[at], &Batch::sized(30_000));
        counts[at] += 1;
    }
    let rotations = world.engine().journal_metrics().rotations;
    assert!(rotations >= 4, "{:?}", world.engine().journal_metrics());
    // The first file of a start is a small one.
    let checkpoints = world.engine().metrics.checkpoints;
    assert!(checkpoints * 2 <= rotations + 2, "{checkpoints} of them free {rotations} files");
    for (partition, count) in partitions.iter().zip(&counts) {
        assert_eq!(world.read_all(*partition).len(), *count);
    }
    world.crash();
    for (partition, count) in partitions.iter().zip(&counts) {
        assert_eq!(world.read_all(*partition).len(), *count);
    }
    assert_eq!(world.read_all(idle).len(), 1);
}

#[test]
fn segments_roll_and_old_ones_are_read_from_disk() {
    let mut world = World::new();
    world.config.segment_bytes = 1 << 20;
    let partition = world.create("rolling-0");
    for _ in 0..120 {
        world.append(partition, &Batch::sized(50_000));
    }
    assert!(world.engine().get(partition).unwrap().segments.len() > 4);
    assert_eq!(world.read_all(partition).len(), 120);
    world.crash();
    assert_eq!(world.read_all(partition).len(), 120);
    assert!(world.engine().metrics.disk_reads > 0);
    world.stop();
    assert_eq!(world.read_all(partition).len(), 120);
}

#[test]
fn an_orderly_end_leaves_exact_files() {
    let mut world = World::new();
    let partition = world.create("exact-0");
    for _ in 0..5 {
        world.append(partition, &Batch::sized(10_001));
    }
    let bytes = world.engine().get(partition).unwrap().end.position;
    world.stop();
    let file = world.root().join("exact-0/00000000000000000000.log");
    assert_eq!(std::fs::metadata(file).unwrap().len(), bytes);
    for _ in 0..5 {
        world.append(partition, &Batch::sized(10_001));
    }
    assert_eq!(world.read_all(partition).len(), 10);
    world.crash();
    assert_eq!(world.read_all(partition).len(), 10);
}

#[test]
fn a_duplicate_is_answered_with_the_first_offset_even_after_a_crash() {
    let mut world = World::new();
    let partition = world.create("idempotent-0");
    let batches: Vec<Batch> = (0..7).map(|at| Batch::of(2).by_producer(77, 0, at * 2)).collect();
    let offsets: Vec<Offset> =
        batches.iter().map(|batch| world.append(partition, batch).base).collect();
    assert_eq!(world.append(partition, &batches[6]).base, offsets[6]);
    world.crash();
    for at in 2..7 {
        assert_eq!(world.append(partition, &batches[at]).base, offsets[at]);
    }
    assert!(world.try_append(partition, &batches[0]).is_err(), "older than the window");
    let next = Batch::of(2).by_producer(77, 0, 14);
    assert_eq!(world.append(partition, &next).base, Offset(14));
}

#[test]
fn the_log_start_moves_and_stays_moved() {
    let mut world = World::new();
    world.config.segment_bytes = 1 << 20;
    let partition = world.create("trimmed-0");
    for _ in 0..60 {
        world.append(partition, &Batch::sized(50_000));
    }
    world.delete_records(partition, Offset(50));
    assert_eq!(world.offsets(partition).log_start, Offset(50));
    // They wait for a checkpoint, which saves what is known of the producers in them.
    world.settle(100);
    assert!(world.engine().get(partition).unwrap().segments.len() < 3);
    world.crash();
    assert_eq!(world.offsets(partition).log_start, Offset(50));
    assert_eq!(world.offsets(partition).high_watermark, Offset(60));
}

#[test]
fn a_producer_goes_on_after_its_newest_batch_was_deleted_with_its_segment() {
    let mut world = World::new();
    world.config.segment_bytes = 1 << 20;
    let partition = world.create("forgotten-0");
    world.append(partition, &Batch::of(1).by_producer(77, 0, 0));
    world.settle(100);
    // A large run is nowhere but in its segment.
    for at in 1..3 {
        world.append(partition, &Batch::sized(600_000).by_producer(77, 0, at));
    }
    world.append(partition, &Batch::sized(600_000));
    world.append(partition, &Batch::of(1));
    world.delete_records(partition, Offset(4));
    world.crash();
    let next = Batch::of(1).by_producer(77, 0, 3);
    assert_eq!(world.append(partition, &next).base, Offset(5));
}

#[test]
fn a_deleted_partition_is_gone_and_a_new_one_of_the_same_name_is_empty() {
    let mut world = World::new();
    let partition = world.create("again-0");
    world.append(partition, &Batch::of(10));
    world.delete(partition);
    let fresh = world.create("again-0");
    assert_ne!(partition, fresh);
    world.crash();
    assert!(world.engine().offsets(partition).is_none());
    assert_eq!(world.offsets(fresh).log_end, Offset(0));
    world.append(fresh, &Batch::of(1));
    world.crash();
    assert_eq!(world.read_all(fresh).len(), 1);
}

#[test]
fn retention_by_size_deletes_whole_segments() {
    let mut world = World::new();
    world.config.segment_bytes = 1 << 20;
    world.config.retention_bytes = Some(2 << 20);
    let partition = world.create("bounded-0");
    for _ in 0..200 {
        world.append(partition, &Batch::sized(50_000));
        world.tick();
    }
    let held = world.engine().get(partition).unwrap().bytes();
    assert!(held < 4 << 20, "{held}");
    assert!(world.offsets(partition).log_start > Offset(0));
}

#[test]
fn a_partition_moves_to_another_shard_with_everything_it_knows() {
    let mut world = World::new();
    let partition = world.create("moving-0");
    let batch = Batch::of(3).by_producer(9, 0, 0);
    let first = world.append(partition, &batch).base;
    world.move_to_new_shard(partition);
    assert_eq!(world.append(partition, &batch).base, first, "the producer is still known");
    world.append(partition, &Batch::of(3).by_producer(9, 0, 3));
    world.crash();
    assert_eq!(world.read_all(partition).len(), 2);
    assert_eq!(world.append(partition, &batch).base, first);
}

#[test]
fn an_orderly_end_waits_for_every_block_of_many_partitions() {
    // More partitions with unwritten blocks than write-behind operations may be in flight: those that
    // wait for a place once had their files cut with zeros where records belong.
    let mut world = World::new();
    let partitions: Vec<_> = (0..40).map(|at| world.create(&format!("end-{at}"))).collect();
    for partition in &partitions {
        for _ in 0..3 {
            world.append(*partition, &Batch::sized(20_000));
        }
    }
    world.stop();
    for partition in &partitions {
        assert_eq!(world.read_all(*partition).len(), 3);
    }
}

/// A start with fewer shards can leave a shard more partitions than one journal file has last blocks for. Appends
/// took the room of the checkpoint that would have freed files, and everything waited for ever.
#[test]
fn last_blocks_of_more_partitions_than_one_journal_file_holds_keep_the_journal_going() {
    last_blocks_keep_the_journal_going(20);
}

/// A checkpoint because of its time, which frees no file, logged all last blocks again, and the next one had no room
/// for that.
#[test]
fn checkpoints_that_free_nothing_leave_the_journal_its_room() {
    last_blocks_keep_the_journal_going(100);
}

fn last_blocks_keep_the_journal_going(steps_between: usize) {
    let mut world = World::new();
    world.journal_file_bytes = 512 << 10;
    world.crash();
    let partitions: Vec<_> = (0..250).map(|at| world.create(&format!("many-{at}"))).collect();
    let mut counts = vec![0usize; partitions.len()];
    for round in 0..8usize {
        let mut tokens = Vec::new();
        for (partition, count) in partitions.iter().zip(&mut counts) {
            tokens.push(world.submit(*partition, &Batch::sized(3_900 - 7 * round)));
            *count += 1;
        }
        for _ in 0..100 {
            tokens.push(world.submit(partitions[round], &Batch::sized(20_000)));
            counts[round] += 1;
        }
        world.settle(steps_between);
        assert!(tokens.iter().all(|token| world.answer(*token).is_some_and(|it| it.is_ok())));
    }
    assert!(world.engine().journal_metrics().rotations >= 8);
    world.crash();
    for (partition, count) in partitions.iter().zip(&counts) {
        assert_eq!(world.read_all(*partition).len(), *count);
    }
}

/// It kept the newest segment for ever.
#[test]
fn retention_of_no_bytes_leaves_no_records() {
    let mut world = World::new();
    world.config.retention_bytes = Some(0);
    let partition = world.create("nothing-0");
    for _ in 0..3 {
        world.append(partition, &Batch::sized(10_000));
    }
    world.settle(500);
    assert_eq!(world.offsets(partition).log_start, Offset(3));
    assert_eq!(world.append(partition, &Batch::of(1)).base, Offset(3));
    world.crash();
    assert_eq!(world.offsets(partition).log_end, Offset(4));
}

/// A journal that little memory made small reserved more for last blocks than all its files have: appends waited
/// for ever.
#[test]
fn more_partitions_than_the_whole_journal_has_blocks_for_take_records() {
    let mut world = World::new();
    world.journal_file_bytes = 256 << 10;
    world.crash();
    let partitions: Vec<_> = (0..1_300).map(|at| world.create(&format!("many-{at}"))).collect();
    for at in 0..400 {
        world.append(partitions[at % 3], &Batch::sized(20_000));
    }
    assert!(world.engine().journal_metrics().rotations >= 4);
    world.append(partitions[1_200], &Batch::of(1));
}

/// A power cut at the creation of a partition left zeros in its file, and `verify` called that damage.
#[test]
fn a_creation_that_ended_too_early_is_no_damage_and_a_damaged_identity_is() {
    let mut world = World::new();
    let half = world.root().join("half-0");
    std::fs::create_dir(&half).unwrap();
    let metadata = half.join("partition.metadata");
    for unwritten in [None, Some(&[][..]), Some(&[0; 44])] {
        if let Some(bytes) = unwritten {
            std::fs::write(&metadata, bytes).unwrap();
        }
        world.crash();
        assert_eq!(world.left_alone, [""; 0].map(PathBuf::from), "{unwritten:?}");
    }
    std::fs::write(half.join("00000000000000000000.log"), [0; 4096]).unwrap();
    world.crash();
    assert_eq!(world.left_alone, [PathBuf::from("half-0")], "it has records, perhaps");
    std::fs::remove_file(half.join("00000000000000000000.log")).unwrap();
    std::fs::write(&metadata, b"version: 0\ntopic_id: ?\n").unwrap();
    world.crash();
    assert_eq!(world.left_alone, [PathBuf::from("half-0")], "it was written once");
}
