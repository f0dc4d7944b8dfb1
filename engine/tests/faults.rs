//! Dead disks, slow disks, and what a review of the engine found: every accepted append is
//! answered exactly once, and nothing waits for ever.

mod world;

use std::path::Path;

use engine::disk::{DirId, DiskClass, DiskEffect, DiskOp, FileSystem, Step};
use engine::request::{AppendError, LifecycleError, ReadError};
use protocol::{LeaderEpoch, Offset};
use world::{Batch, World};

#[test]
fn more_large_batches_than_direct_writes_allowed_are_all_answered() {
    // The ninth partition's run lost its place in the list of those that wait.
    let mut world = World::new();
    let partitions: Vec<_> = (0..20).map(|at| world.create(&format!("bulk-{at}"))).collect();
    for partition in &partitions {
        world.append(*partition, &Batch::of(1));
    }
    world.settle(2);
    let tokens: Vec<_> = partitions
        .iter()
        .map(|partition| world.submit(*partition, &Batch::sized(400_000)))
        .collect();
    world.run();
    for token in tokens {
        world.settle(1);
        assert!(world.answer(token).is_some_and(|answer| answer.is_ok()));
    }
}

#[test]
fn an_idle_shard_writes_one_empty_group_and_then_nothing() {
    let mut world = World::new();
    let partition = world.create("idle-0");
    world.append(partition, &Batch::of(1));
    world.settle(150);
    let before = world.engine().journal_metrics().groups;
    world.settle(300);
    assert_eq!(world.engine().journal_metrics().groups, before);
}

#[test]
fn batches_larger_than_a_chunk_leave_no_memory_behind() {
    // Each took several chunks and one place in the list of what can be taken back.
    let mut world = World::new();
    world.config.batch_bytes_max = 4 << 20;
    let partition = world.create("large-0");
    for _ in 0..50 {
        world.append(partition, &Batch::sized(3_000_000));
    }
    assert!(world.engine().tail_bytes() <= world.tail_bytes_max + (4 << 20));
    assert_eq!(world.read_all(partition).len(), 50);
}

#[test]
fn a_dead_journal_answers_everybody_once() {
    let mut world = World::new();
    let partition = world.create("dead-0");
    let other = world.create("dead-1");
    world.append(partition, &Batch::of(1));
    world.append(other, &Batch::sized(300_000));
    world.disks[0].is_dead.set(true);
    let mut tokens: Vec<_> = (0..5).map(|_| world.submit(partition, &Batch::of(1))).collect();
    tokens.extend((0..3).map(|_| world.submit(other, &Batch::sized(400_000))));
    let (trim, delete) = (world.token(), world.token());
    world.engine_mut().delete_records(trim, partition, Offset(1));
    world.engine_mut().delete(delete, other);
    world.run();
    tokens.push(world.submit(partition, &Batch::of(1)));
    world.settle(20);
    for token in tokens {
        let answer = world.answer(token).expect("answered");
        assert!(matches!(answer, Err(AppendError::Unavailable | AppendError::NotOwner)));
    }
    for token in [trim, delete] {
        assert_eq!(world.answer_of(token), Some(Err(LifecycleError::Unavailable)));
    }
    let (_, create) = world.submit_create("new-0", DirId(0));
    let stop = world.token();
    world.engine_mut().shut_down(stop);
    world.settle(5);
    for token in [create, stop] {
        assert_eq!(world.answer_of(token), Some(Err(LifecycleError::Unavailable)));
    }
    assert_eq!(world.failed_directories, [DirId(0)]);
}

#[test]
fn a_dead_directory_leaves_the_others_alone() {
    let mut world = World::with_directories(2);
    let lost: Vec<_> = (0..10).map(|at| world.create_in(&format!("lost-{at}"), DirId(1))).collect();
    let kept = world.create_in("kept-0", DirId(0));
    for partition in &lost {
        for _ in 0..4 {
            world.append(*partition, &Batch::sized(300_000));
        }
    }
    world.append(kept, &Batch::of(1));
    world.hold = |effect| matches!(&effect.request, DiskOp::Write { class: DiskClass::Bypass, .. });
    let tokens: Vec<_> =
        lost.iter().map(|partition| world.submit(*partition, &Batch::sized(300_000))).collect();
    let delete = world.token();
    world.run();
    assert_eq!(world.held(), 8, "direct writes are in flight");
    world.engine_mut().delete(delete, lost[0]);
    world.disks[1].is_dead.set(true);
    world.let_go();
    world.settle(3);
    for token in tokens {
        assert!(world.answer(token).expect("answered").is_err());
    }
    assert_eq!(world.answer_of(delete), Some(Err(LifecycleError::Unavailable)));
    assert_eq!(world.failed_directories, [DirId(1)]);
    let held = world.engine().tail_bytes();
    assert!(held < 64 << 10, "what the lost partitions held is there for others: {held}");
    let result = world.try_append(lost[1], &Batch::of(1));
    assert_eq!(result.unwrap_err(), AppendError::Unavailable);
    // Direct writes and checkpoints of the other directory go on: no place of theirs was lost.
    for _ in 0..20 {
        world.append(kept, &Batch::sized(400_000));
    }
    world.rotate(kept, 9);
    world.append(kept, &Batch::of(1));
}

/// Its name in the sound directory was taken until the next start.
#[test]
fn a_partition_is_deleted_from_a_sound_directory_when_the_journal_is_lost() {
    let mut world = World::with_directories(2);
    let sound = world.create_in("sound-0", DirId(1));
    let lost = world.create_in("lost-0", DirId(0));
    world.append(sound, &Batch::of(1));
    world.engine_mut().on_directory_failed(DirId(0));
    for (partition, expected) in [(sound, Ok(())), (lost, Err(LifecycleError::Unavailable))] {
        let token = world.token();
        world.engine_mut().delete(token, partition);
        world.settle(3);
        assert_eq!(world.answer_of(token), Some(expected));
    }
    let left = |dir: usize, name| world.disks[dir].entries(name).is_ok_and(|it| !it.is_empty());
    assert!(!left(1, Path::new("sound-0")) && left(0, Path::new("lost-0")));
}

/// Its operations in flight may succeed all the same.
#[test]
fn a_directory_that_failed_for_another_shard_stops_here_whatever_is_in_flight() {
    for (dir, kept_answers) in [(DirId(0), false), (DirId(1), true)] {
        let mut world = World::with_directories(2);
        let kept = world.create_in("kept-0", DirId(0));
        let lost = world.create_in("lost-0", DirId(1));
        world.append(kept, &Batch::of(1));
        world.append(lost, &Batch::sized(300_000));
        world.hold = |effect| matches!(&effect.request, DiskOp::Write { .. });
        let lost_tokens =
            [world.submit(lost, &Batch::of(1)), world.submit(lost, &Batch::sized(300_000))];
        let token = world.submit(kept, &Batch::of(1));
        world.run();
        assert!(world.held() >= 2, "a group and a direct write are in flight");
        world.engine_mut().on_directory_failed(dir);
        world.let_go();
        world.settle(3);
        for token in lost_tokens {
            assert_eq!(world.answer(token), Some(Err(AppendError::Unavailable)));
        }
        assert_eq!(world.answer(token).expect("answered").is_ok(), kept_answers, "{dir:?}");
        let again = world.try_append(lost, &Batch::of(1));
        assert_eq!(again.unwrap_err(), AppendError::Unavailable);
        assert_eq!(world.try_append(kept, &Batch::of(1)).is_ok(), kept_answers, "{dir:?}");
        assert_eq!(world.failed_directories, [], "who told it knows");
    }
}

#[test]
fn a_checkpoint_that_fails_in_one_directory_takes_only_that_one_offline() {
    let mut world = World::with_directories(2);
    let lost = world.create_in("lost-0", DirId(1));
    let kept = world.create_in("kept-0", DirId(0));
    world.append(kept, &Batch::of(1));
    for _ in 0..10 {
        world.append(lost, &Batch::sized(50_000));
    }
    world.hold = |effect| {
        matches!(&effect.request, DiskOp::Job(job) if job.dir == DirId(1)
            && job.steps.iter().all(|step| matches!(step, Step::Sync(_) | Step::SyncFileSystem)))
    };
    world.settle(120);
    assert!(world.held() > 0, "a checkpoint syncs the second directory");
    world.disks[1].is_dead.set(true);
    world.let_go();
    world.settle(2);
    assert_eq!(world.failed_directories, [DirId(1)]);
    world.rotate(kept, 9);
}

#[test]
fn deleted_records_that_were_written_directly_raise_no_suspicion() {
    // Their segments were gone while the journal still pointed to runs in them.
    let mut world = World::new();
    world.config.segment_bytes = 1 << 20;
    let partition = world.create("bulk-0");
    world.append(partition, &Batch::sized(10_000));
    world.crash();
    for _ in 0..12 {
        world.append(partition, &Batch::sized(400_000));
    }
    world.delete_records(partition, Offset(12));
    world.settle(15);
    world.crash();
    assert_eq!(world.offsets(partition).log_start, Offset(12));
    assert_eq!(world.read_all(partition).len(), 1);
    let directory = world.root().join("bulk-0");
    let logs = std::fs::read_dir(directory).unwrap().filter(|entry| {
        entry.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "log")
    });
    assert!(logs.count() <= 2, "deleted segments do not come back");
    world.append(partition, &Batch::of(1));
    world.crash();
    assert_eq!(world.read_all(partition).len(), 2);
}

#[test]
fn the_last_segment_of_an_idle_partition_is_deleted_in_time() {
    // The log start was durable before the segment was complete, and nobody came back for it.
    let mut world = World::new();
    world.config.retention_ms = Some(5_000);
    let partition = world.create("old-0");
    for _ in 0..20 {
        world.append(partition, &Batch::sized(30_000));
    }
    world.hold = |effect| matches!(&effect.request, DiskOp::Job(_));
    world.settle(70);
    assert!(world.held() > 0, "the segment is being completed");
    world.let_go();
    world.settle(5);
    assert_eq!(world.offsets(partition).log_start, Offset(20));
    assert!(!world.root().join("old-0/00000000000000000000.log").exists());
    world.append(partition, &Batch::of(1));
    world.crash();
    assert_eq!(world.offsets(partition).log_start, Offset(20));
    assert_eq!(world.read_all(partition).len(), 1);
}

fn is_index_write(effect: &DiskEffect) -> bool {
    let is_index = |step: &Step| match step {
        Step::WriteFile { path, .. } => path.extension().is_some_and(|name| name == "index"),
        Step::BuildIndex { .. } => true,
        _ => false,
    };
    matches!(&effect.request, DiskOp::Job(job) if job.steps.iter().any(is_index))
}

#[test]
fn a_segment_whose_index_a_crash_took_is_deleted_in_time() {
    // Nobody knew how old it was, and retention waited for ever.
    let mut world = World::new();
    world.config.retention_ms = Some(20_000);
    world.config.segment_bytes = 1 << 20;
    let partition = world.create("old-0");
    world.hold = is_index_write;
    for _ in 0..30 {
        world.append(partition, &Batch::sized(50_000));
    }
    world.settle(5);
    assert_eq!(world.held(), 1, "the index of the first segment is not written");
    world.hold = |_| false;
    world.crash();
    let index = world.root().join("old-0/00000000000000000000.index");
    assert!(!index.exists());
    world.settle(100);
    assert_eq!(world.offsets(partition).log_start, Offset(0));
    assert!(index.exists(), "it is made again");
    world.settle(220);
    assert_eq!(world.offsets(partition).log_start, Offset(30));
}

#[test]
fn an_index_from_before_a_segment_grew_makes_nothing_look_older() {
    let mut world = World::new();
    world.config.retention_ms = Some(60_000);
    world.config.segment_bytes = 1 << 20;
    let partition = world.create("grown-0");
    world.append(partition, &Batch::sized(50_000));
    // Its index files tell of one batch.
    world.stop();
    world.settle(400);
    world.hold = is_index_write;
    for _ in 0..29 {
        world.append(partition, &Batch::sized(50_000));
    }
    world.settle(5);
    assert_eq!(world.held(), 1, "the index of the first segment is not written");
    world.hold = |_| false;
    world.crash();
    world.settle(300);
    assert_eq!(world.offsets(partition).log_start, Offset(0), "its records are 30 s old");
    world.settle(350);
    assert_eq!(world.offsets(partition).log_start, Offset(30));
}

#[test]
fn an_active_segment_whose_index_ends_long_before_it_is_not_taken_for_old() {
    let mut world = World::new();
    world.config.retention_ms = Some(60_000);
    let partition = world.create("active-0");
    world.append(partition, &Batch::sized(50_000));
    world.stop();
    world.settle(400);
    for _ in 0..29 {
        world.append(partition, &Batch::sized(50_000));
    }
    world.settle(150);
    world.crash();
    world.settle(100);
    assert_eq!(world.offsets(partition).log_start, Offset(0), "its records are 25 s old");
    world.settle(520);
    assert_eq!(world.offsets(partition).log_start, Offset(30));
}

#[test]
fn a_segment_goes_only_below_a_log_start_that_is_durable() {
    let mut world = World::new();
    world.config.segment_bytes = 1 << 20;
    let partition = world.create("trim-0");
    for _ in 0..60 {
        world.append(partition, &Batch::sized(50_000));
    }
    world.delete_records(partition, Offset(10));
    // The second move is not written when the first is acknowledged.
    let (first, second) = (world.token(), world.token());
    world.hold = |effect| matches!(&effect.request, DiskOp::Write { durable: true, .. });
    world.engine_mut().delete_records(first, partition, Offset(25));
    world.run();
    world.engine_mut().delete_records(second, partition, Offset(55));
    world.run();
    assert_eq!(world.held(), 1);
    world.let_held_go();
    assert_eq!(world.held(), 1, "the second move is not written yet");
    world.hold = |_| false;
    world.crash();
    assert_eq!(world.offsets(partition).log_start, Offset(25));
    assert_eq!(world.read_all(partition).len(), 35);
}

#[test]
fn an_epoch_begins_where_the_log_ended_even_if_that_was_not_journaled() {
    let mut world = World::new();
    let partition = world.create("epoch-0");
    world.append(partition, &Batch::of(3));
    world.hold = |effect| matches!(&effect.request, DiskOp::Write { durable: true, .. });
    world.submit(partition, &Batch::of(1));
    world.run();
    // This one waits behind the group in flight, and its epoch is the old one.
    world.submit(partition, &Batch::of(2));
    world.engine_mut().begin_epoch(partition, LeaderEpoch(4));
    world.submit(partition, &Batch::of(1));
    world.let_go();
    let live = world.engine().get(partition).unwrap().epochs.clone();
    assert_eq!(live.pairs(), [(LeaderEpoch(0), Offset(0)), (LeaderEpoch(4), Offset(6))]);
    world.crash();
    let found = world.engine().get(partition).unwrap();
    assert_eq!(found.epochs, live);
    assert_eq!(found.leader_epoch, LeaderEpoch(4));
    assert_eq!(world.read_all(partition).len(), 4);
}

#[test]
fn a_delete_during_a_release_answers_both() {
    let mut world = World::new();
    let partition = world.create("going-0");
    world.append(partition, &Batch::sized(10_000));
    world.hold = |effect| matches!(&effect.request, DiskOp::Job(_));
    let (release, delete, again) = (world.token(), world.token(), world.token());
    world.engine_mut().release(release, partition);
    world.run();
    world.engine_mut().delete(delete, partition);
    world.engine_mut().delete(again, partition);
    world.run();
    world.let_go();
    world.settle(3);
    assert_eq!(world.answer_of(release), Some(Err(LifecycleError::NotOwner)));
    assert_eq!(world.answer_of(delete), Some(Ok(())));
    assert_eq!(world.answer_of(again), Some(Err(LifecycleError::NotOwner)));
    world.stop();
}

#[test]
fn a_journal_that_lost_its_opening_makes_its_partitions_suspect_and_empties_none() {
    let mut world = World::new();
    let partition = world.create("suspect-0");
    for _ in 0..3 {
        world.append(partition, &Batch::sized(5_000));
    }
    world.crash();
    world.settle(5);
    let journal = world.root().join("journal/0");
    for entry in std::fs::read_dir(journal).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "journal") {
            // The header of the first group.
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[17] ^= 1;
            std::fs::write(&path, bytes).unwrap();
        }
    }
    world.may_be_suspect = true;
    world.crash();
    let result = world.try_append(partition, &Batch::of(1));
    assert_eq!(result.unwrap_err(), AppendError::Unavailable);
    let log = world.root().join("suspect-0/00000000000000000000.log");
    assert!(std::fs::metadata(log).unwrap().len() >= 15_000, "what is there stays there");
    world.crash();
    assert!(world.try_append(partition, &Batch::of(1)).is_err(), "until the loss is accepted");
}

#[test]
fn a_shard_whose_partitions_are_all_suspect_ends_in_order() {
    // It waited for the sync of directories that no open partition was in.
    let mut world = World::new();
    let partitions: Vec<_> = (0..20).map(|at| world.create(&format!("suspect-{at}"))).collect();
    for partition in &partitions {
        world.append(*partition, &Batch::sized(5_000));
    }
    world.crash();
    world.settle(5);
    for entry in std::fs::read_dir(world.root().join("journal/0")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "journal") {
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[17] ^= 1;
            std::fs::write(&path, bytes).unwrap();
        }
    }
    world.may_be_suspect = true;
    world.crash();
    for partition in &partitions {
        assert!(world.try_append(*partition, &Batch::of(1)).is_err());
    }
    world.stop();
}

#[test]
fn a_damaged_batch_makes_those_behind_it_no_older() {
    let mut world = World::new();
    world.config.retention_ms = Some(60_000);
    world.config.segment_bytes = 1 << 20;
    let partition = world.create("damaged-0");
    world.append(partition, &Batch::sized(50_000));
    world.append(partition, &Batch::sized(50_000));
    world.settle(400);
    world.hold = is_index_write;
    for _ in 0..28 {
        world.append(partition, &Batch::sized(50_000));
    }
    world.settle(5);
    world.hold = |_| false;
    world.crash();
    let log = world.root().join("damaged-0/00000000000000000000.log");
    let mut bytes = std::fs::read(&log).unwrap();
    let batch_bytes = 12 + u32::from_be_bytes(bytes[8..12].try_into().unwrap()) as usize;
    bytes[2 * batch_bytes + 16] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    world.settle(300);
    assert_eq!(world.offsets(partition).log_start, Offset(0), "all but two are 30 s old");
}

/// A consumer asks again and again for what it cannot have: that was counted, and told nowhere.
#[test]
fn a_damaged_place_is_told_once_with_its_file_and_position() {
    let mut world = World::new();
    let partition = world.create("rotten-0");
    for _ in 0..4 {
        world.append(partition, &Batch::sized(50_000));
    }
    world.stop();
    let log = world.root().join("rotten-0/00000000000000000000.log");
    let mut bytes = std::fs::read(&log).unwrap();
    let batch_bytes = bytes.len() / 4;
    bytes[2 * batch_bytes + 100] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    let error = ReadError::Unavailable;
    for _ in 0..5 {
        assert_eq!(world.try_read(partition, Offset(2)), Err(error));
    }
    assert_eq!(world.engine().metrics.corrupt_reads, 5);
    let [damage] = &world.damages[..] else { panic!("told once: {:?}", world.damages) };
    assert_eq!(damage.file.path, Path::new("rotten-0/00000000000000000000.log"));
    assert_eq!((damage.position, damage.offset), (2 * batch_bytes as u64, Offset(2)));
    assert_eq!(world.engine().damages(partition).collect::<Vec<_>>(), [damage]);
    // It goes with its segment.
    world.delete(partition);
    assert_eq!(world.engine().damages(partition).count(), 0);
}

/// It was told to try again, which would have gone on for ever.
#[test]
fn a_batch_that_memory_could_never_take_is_refused_for_good() {
    let mut world = World::new();
    world.config.batch_bytes_max = usize::MAX;
    let partition = world.create("huge-0");
    let max = world::ARENA_BYTES / 4;
    assert!(world.try_append(partition, &Batch::sized(max - 200)).is_ok());
    let refused = world.try_append(partition, &Batch::sized(max + 1)).unwrap_err();
    assert!(
        matches!(refused, AppendError::BeyondMemory { max: at, .. } if at == max),
        "{refused:?}"
    );
    assert!(world.try_append(partition, &Batch::of(1)).is_ok());
}
