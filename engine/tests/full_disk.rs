//! Full disks: appends are refused, reads go on, and everything resumes when there is room.

mod world;

use engine::disk::{DiskOp, Step};
use engine::partition::segment::Segment;
use engine::request::AppendError;
use protocol::Offset;
use world::{Batch, World};

#[test]
fn a_full_disk_refuses_appends_serves_reads_and_resumes() {
    let mut world = World::new();
    let partition = world.create("full-0");
    let mut count = 0;
    for _ in 0..20 {
        world.append(partition, &Batch::sized(30_000));
        count += 1;
    }
    world.disks[0].is_full.set(true);
    let mut refused = 0;
    for _ in 0..200 {
        match world.try_append(partition, &Batch::sized(30_000)) {
            Ok(_) => count += 1,
            Err(error) => {
                assert_eq!(error, AppendError::NoSpace);
                refused += 1;
            }
        }
    }
    assert!(refused > 100, "{refused}");
    assert_eq!(world.read_all(partition).len(), count);
    assert!(world.failed_directories.is_empty(), "a full disk is no broken disk");
    world.settle(30);
    world.disks[0].is_full.set(false);
    for _ in 0..20 {
        world.append(partition, &Batch::sized(30_000));
        count += 1;
    }
    world.crash();
    assert_eq!(world.read_all(partition).len(), count);
}

#[test]
fn deletion_makes_room_on_a_full_disk_where_no_checkpoint_can_be_saved() {
    let mut world = World::new();
    world.config.segment_bytes = 1 << 20;
    let partition = world.create("full-0");
    for _ in 0..60 {
        world.append(partition, &Batch::sized(50_000));
    }
    world.disks[0].is_full.set(true);
    world.delete_records(partition, Offset(50));
    world.settle(30);
    assert!(world.engine().get(partition).unwrap().segments.len() < 3);
    world.disks[0].is_full.set(false);
    world.crash();
    assert_eq!(world.offsets(partition).log_start, Offset(50));
    assert_eq!(world.read_all(partition).len(), 10);
}

#[test]
fn a_roll_on_a_full_disk_is_undone_and_no_checkpoint_waits_for_it() {
    // The segment that could not be created was the place that a checkpoint waited for.
    let mut world = World::new();
    world.config.segment_bytes = 1 << 20;
    let partition = world.create("roll-0");
    let other = world.create("other-0");
    world.append(other, &Batch::of(1));
    let mut count = 0;
    while world.engine().get(partition).is_none_or(|found| found.end.position < 900_000) {
        world.append(partition, &Batch::sized(100_000));
        count += 1;
    }
    world.disks[0].is_full.set(true);
    world.hold = |effect| {
        matches!(&effect.request, DiskOp::Job(job)
            if job.steps.iter().any(|step| matches!(step, Step::Allocate { .. })))
    };
    let token = world.submit(partition, &Batch::sized(200_000));
    world.settle(120);
    assert!(world.held() > 0 && world.answer(token).is_none());
    world.let_go();
    assert_eq!(world.answer(token), Some(Err(AppendError::NoSpace)));
    world.settle(20);
    let result = world.try_append(partition, &Batch::sized(200_000));
    assert_eq!(result.unwrap_err(), AppendError::NoSpace);
    world.disks[0].is_full.set(false);
    world.rotate(other, 9);
    world.append(partition, &Batch::sized(200_000));
    count += 1;
    assert_eq!(world.read_all(partition).len(), count);
    world.crash();
    assert_eq!(world.read_all(partition).len(), count);
}

#[test]
fn a_partition_whose_last_roll_found_no_space_moves_with_all_its_records() {
    // A start found its last segment complete and no next one. The roll that found no space put the log's
    // end back into it, and so into a last block that nobody had in memory. (Found by the simulation.)
    let mut world = World::new();
    world.config.segment_bytes = 1 << 20;
    let partition = world.create("roll-0");
    let other = world.create("other-0");
    let mut count = 0;
    while world.engine().get(partition).is_none_or(|found| found.end.position < 900_000) {
        world.append(partition, &Batch::sized(100_000));
        count += 1;
    }
    world.hold = |effect| {
        matches!(&effect.request, DiskOp::Job(job)
            if job.steps.iter().any(|step| matches!(step, Step::Allocate { path, .. }
                if path.starts_with("roll-0"))))
    };
    world.submit(partition, &Batch::sized(200_000));
    world.settle(20);
    world.rotate(other, 3);
    world.crash();
    world.hold = |_| false;
    let found = world.engine().get(partition).unwrap();
    assert!(found.segments.iter().all(Segment::is_finished), "{found:?}");
    world.disks[0].is_full.set(true);
    let result = world.try_append(partition, &Batch::sized(30_000));
    assert_eq!(result.unwrap_err(), AppendError::NoSpace);
    world.disks[0].is_full.set(false);
    world.move_to_new_shard(partition);
    assert_eq!(world.read_all(partition).len(), count);
    world.append(partition, &Batch::sized(200_000));
    assert_eq!(world.read_all(partition).len(), count + 1);
    world.crash();
    assert_eq!(world.read_all(partition).len(), count + 1);
}

#[test]
fn journal_files_that_found_no_space_are_made_when_there_is_some() {
    let mut world = World::new();
    let partition = world.create("late-0");
    world.append(partition, &Batch::of(1));
    world.hold = |effect| {
        matches!(&effect.request, DiskOp::Job(job)
            if job.steps.iter().any(|step| matches!(step, Step::Prewrite { .. })))
    };
    world.crash();
    world.disks[0].is_full.set(true);
    world.let_go();
    world.settle(5);
    world.disks[0].is_full.set(false);
    world.settle(30);
    world.rotate(partition, 6);
}

#[test]
fn a_journal_that_finds_no_second_file_refuses_appends() {
    let mut world = World::new();
    let partition = world.create("alone-0");
    world.append(partition, &Batch::of(1));
    world.hold = |effect| {
        matches!(&effect.request, DiskOp::Job(job)
            if job.steps.iter().any(|step| matches!(step, Step::Prewrite { .. })))
    };
    world.crash();
    // Room in the segment there is.
    for _ in 0..4 {
        world.append(partition, &Batch::sized(60_000));
    }
    world.disks[0].is_full.set(true);
    world.let_go();
    let tokens: Vec<_> = (0..100).map(|_| world.submit(partition, &Batch::sized(60_000))).collect();
    world.settle(30);
    let refused = tokens.iter().filter(|token| {
        matches!(world.answer(**token).expect("answered"), Err(AppendError::NoSpace))
    });
    assert!(refused.count() > 0);
    world.disks[0].is_full.set(false);
    world.settle(30);
    world.append(partition, &Batch::sized(60_000));
}
