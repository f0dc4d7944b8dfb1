//! Checkpoints that take their time: what is appended, deleted and created meanwhile, and what is logged again.

mod world;

use engine::disk::{DiskClass, DiskEffect, DiskOp, Step};
use world::{Batch, World};

fn is_checkpoint_sync(effect: &DiskEffect) -> bool {
    let DiskOp::Job(job) = &effect.request else { return false };
    job.steps.iter().any(|step| matches!(step, Step::Rename { to, .. } if to.ends_with("state")))
}

#[test]
fn a_slot_that_was_given_away_during_a_checkpoint_belongs_to_the_new_partition() {
    // The run waited for the new partition to reach the old one's log end.
    let mut world = World::new();
    let filler = world.create("filler-0");
    let old = world.create("old-0");
    for _ in 0..5 {
        world.append(old, &Batch::of(1));
        world.append(filler, &Batch::sized(10_000));
    }
    world.hold =
        |effect| matches!(&effect.request, DiskOp::Write { class: DiskClass::WriteBehind, .. });
    world.settle(120);
    assert!(world.held() > 0, "a checkpoint is on its way");
    world.delete(old);
    let new = world.create("new-0");
    world.append(new, &Batch::of(1));
    world.let_go();
    world.rotate(filler, 9);
    world.crash();
    assert_eq!(world.read_all(new).len(), 1);
}

#[test]
fn a_block_that_filled_up_during_a_checkpoint_is_still_logged_again() {
    // Its first bytes stood in a journal file that was freed, its last ones in a newer file, and the
    // block itself not on disk.
    let mut world = World::new();
    let filler = world.create("filler-0");
    world.append(filler, &Batch::of(1));
    let partition = world.create("block-0");
    world.append(partition, &Batch::sized(2_000));
    world.hold = is_checkpoint_sync;
    world.rotate(filler, 3);
    world.settle(2);
    assert!(world.held() > 0, "a checkpoint is on its way");
    world.append(partition, &Batch::sized(3_000));
    world.let_held_go();
    world.settle(4);
    world.hold = |_| false;
    world.crash();
    assert_eq!(world.read_all(partition).len(), 2);
}

#[test]
fn a_block_that_grew_during_a_checkpoint_is_logged_again_with_all_of_it() {
    // What was logged again, in a new file, ended before bytes in an older file. The next checkpoint took the block for
    // one that stands in the new file, and freed the older one.
    let mut world = World::new();
    let filler = world.create("filler-0");
    world.append(filler, &Batch::of(1));
    let partition = world.create("block-0");
    world.append(partition, &Batch::sized(1_000));
    world.hold = is_checkpoint_sync;
    world.rotate(filler, 2);
    while world.held() == 0 {
        world.append(filler, &Batch::sized(60_000));
    }
    world.append(partition, &Batch::sized(500));
    world.rotate(filler, 1);
    world.let_go();
    // Because of its time, and without another rotation before it.
    world.settle(150);
    world.settle(150);
    world.crash();
    assert_eq!(world.read_all(partition).len(), 2);
}

#[test]
fn a_journal_that_is_full_while_its_checkpoint_is_slow_goes_on_afterwards() {
    // Appends filled the last file, and the checkpoint found no room for the rows that free one.
    let mut world = World::new();
    let partitions: Vec<_> = (0..50).map(|at| world.create(&format!("many-{at}"))).collect();
    for partition in &partitions {
        world.append(*partition, &Batch::of(1));
    }
    world.hold = is_checkpoint_sync;
    let mut tokens = Vec::new();
    for round in 0..3_000usize {
        tokens.push(world.submit(partitions[round % 50], &Batch::sized(50_000)));
        if round % 10 == 0 {
            world.run();
        }
    }
    world.settle(3);
    let waiting = tokens.iter().filter(|token| world.answer(**token).is_none()).count();
    assert!(waiting > 0, "the journal is full: {:?}", world.engine().journal_metrics());
    world.let_go();
    world.settle(100);
    for token in &tokens {
        assert!(world.answer(*token).expect("answered").is_ok());
    }
    world.crash();
    let found: usize = partitions.iter().map(|partition| world.read_all(*partition).len()).sum();
    assert_eq!(found, 3_050);
}
