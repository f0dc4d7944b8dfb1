//! A start leaves the prewriting of its journal's files for later: what it does itself are small syncs, which would
//! wait for it.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

mod world;

use std::path::Path;

use engine::disk::{DirId, DirectoryEntry, FileSystem};
use engine::journal::writer::JournalFileName;
use engine::limits::JOURNAL_FILES;
use world::{Batch, World};

/// Files that the journal is written to, one after the other.
fn journal_files(world: &World) -> usize {
    let entries = world.disks[0].entries(Path::new("journal/0")).unwrap();
    let number = |entry: &&DirectoryEntry| JournalFileName::number_of(Path::new(&entry.name));
    entries.iter().filter(|entry| number(entry).is_some()).count()
}

#[test]
fn a_quiet_shard_prewrites_its_journal_some_time_after_its_start() {
    let mut world = World::new();
    world.submit_create("quiet-0", DirId(0));
    world.run();
    assert_eq!(journal_files(&world), 1);
    world.settle(3);
    assert_eq!(journal_files(&world), JOURNAL_FILES);
}

#[test]
fn a_quarter_of_the_first_file_is_a_reason_not_to_wait() {
    let mut world = World::new();
    let (partition, _) = world.submit_create("busy-0", DirId(0));
    world.run();
    for _ in 0..6 {
        world.submit(partition, &Batch::sized(200_000));
        world.run();
    }
    assert_eq!(journal_files(&world), JOURNAL_FILES);
}

#[test]
fn a_batch_for_which_the_first_file_has_no_room_waits_for_no_clock() {
    let mut world = World::new();
    world.config.batch_bytes_max = 4 << 20;
    let (partition, _) = world.submit_create("large-0", DirId(0));
    world.run();
    let token = world.submit(partition, &Batch::sized(2 << 20));
    world.run();
    assert!(world.answer(token).expect("it is answered").is_ok());
}
