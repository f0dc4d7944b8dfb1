//! Rotation, acknowledgement in order, release of files, statements of idle shards.

use bytes::Bytes;
use proptest::prelude::*;
use runtime::memory::Arena;

use super::{Journal, JournalFileName, JournalIdentity, JournalOpening};
use crate::PartitionId;
use crate::config::DiskConfig;
use crate::disk::{DiskOp, FileId, OpId};
use crate::journal::entry::{Entry, EntryKind};
use crate::journal::group::{GroupHeader, JournalSalt, peek};
use crate::limits::{JOURNAL_GROUP_BYTES_EAGER, JOURNAL_GROUPS_IN_FLIGHT_MAX, JOURNAL_IDLE_MS};

const SALT: JournalSalt = JournalSalt(3);
const FILE_BYTES: u64 = 32 << 10;

struct World {
    journal: Journal<u64>,
    arena: Arena,
    next_op: u64,
    now: u64,
}

impl World {
    /// An opening of two groups, and three further files.
    fn new() -> Self {
        Self::with(DiskConfig::default())
    }

    fn with(disk: DiskConfig) -> Self {
        let identity = JournalIdentity { shard: 1, incarnation: 4, salt: SALT };
        let opening = JournalOpening { next_sequence: 2, previous_crc: 9, write_position: 8_192 };
        let mut journal = Journal::new(identity, opening, (FileId(0), FILE_BYTES), disk);
        for file in 1..4 {
            journal.add_file(FileId(file), FILE_BYTES);
        }
        Self { journal, arena: Arena::new(8 << 20).unwrap(), next_op: 0, now: 0 }
    }

    /// A group of one block with a notice that says its sequence; (op, file, position, header).
    fn submit(&mut self, rows: usize) -> (OpId, FileId, u64, GroupHeader) {
        let op = OpId(self.next_op);
        self.next_op += 1;
        let rows = vec![Entry::new(EntryKind::CheckpointEnd, PartitionId::NONE); rows];
        let sequence = self.journal.next_sequence();
        let effect = self.journal.submit(&rows, &[Bytes::new()], &self.arena, op).unwrap();
        self.journal.notify(vec![sequence]);
        let DiskOp::Write { file, position, data, durable: true, .. } = effect.request else {
            panic!("groups are written durably")
        };
        let (header, _, _) = peek(&data[0], SALT, 1).unwrap();
        assert_eq!(header.sequence, sequence);
        (op, file, position, header)
    }

    fn written(&mut self, op: OpId) -> Vec<u64> {
        let mut notices = Vec::new();
        self.journal.on_written(self.now, op, &mut notices);
        notices
    }

    fn submit_and_acknowledge(&mut self) -> GroupHeader {
        let (op, _, _, header) = self.submit(1);
        assert_eq!(self.written(op), [header.sequence]);
        header
    }
}

#[test]
fn groups_count_in_sequence_whatever_completes_first() {
    let mut world = World::new();
    let ops: Vec<OpId> = (0..4).map(|_| world.submit(1).0).collect();
    assert_eq!(world.written(ops[1]), []);
    assert_eq!(world.written(ops[3]), []);
    assert_eq!(world.written(ops[0]), [2, 3]);
    assert_eq!(world.journal.acknowledged_end(), 4);
    assert_eq!(world.written(ops[2]), [4, 5]);
    assert!(world.journal.is_idle());
}

#[test]
fn a_header_states_what_is_acknowledged_and_follows_the_one_before() {
    let mut world = World::new();
    let (op, _, position, first) = world.submit(1);
    assert_eq!((first.acknowledged_end, first.opening_end, first.previous_crc), (2, 2, 9));
    assert_eq!(position, 8_192, "behind the opening");
    let (_, _, position, second) = world.submit(1);
    assert_eq!((second.acknowledged_end, position), (2, 12_288));
    assert_ne!(second.previous_crc, first.previous_crc);
    world.written(op);
    let (_, _, _, third) = world.submit(1);
    assert_eq!(third.acknowledged_end, 3);
}

#[test]
fn groups_beside_others_need_enough_that_waits_and_are_bounded() {
    let mut world = World::new();
    assert!(world.journal.admits(1));
    world.submit(1);
    assert!(!world.journal.admits(JOURNAL_GROUP_BYTES_EAGER - 1));
    for _ in 1..JOURNAL_GROUPS_IN_FLIGHT_MAX {
        assert!(world.journal.admits(JOURNAL_GROUP_BYTES_EAGER));
        if world.journal.room() < 4096 {
            assert!(world.journal.rotate());
        }
        world.submit(1);
    }
    assert!(!world.journal.admits(usize::MAX));
}

#[test]
fn how_many_groups_and_how_eager_is_the_configurations_to_say() {
    let disk = DiskConfig {
        journal_groups_in_flight: 2,
        journal_group_bytes_eager: 32 << 10,
        ..DiskConfig::default()
    };
    let mut world = World::with(disk);
    world.submit(1);
    assert!(!world.journal.admits((32 << 10) - 1));
    assert!(world.journal.admits(32 << 10));
    world.submit(1);
    assert!(!world.journal.admits(usize::MAX));
}

#[test]
fn a_file_is_free_once_a_group_that_does_not_need_it_is_acknowledged() {
    let mut world = World::new();
    world.submit_and_acknowledge();
    assert!(world.journal.rotate());
    assert_eq!((world.journal.active_start(), world.journal.unreleased_files()), (3, 1));
    let (before, ..) = world.submit(1);
    world.journal.release_below(3);
    assert_eq!(world.journal.free_files(), 2);
    world.written(before);
    assert_eq!(world.journal.free_files(), 2, "this one's header still needed the old file");
    let header = world.submit_and_acknowledge();
    assert_eq!(header.live_start, 3);
    assert_eq!((world.journal.free_files(), world.journal.unreleased_files()), (3, 0));
    assert_eq!(world.journal.take_small_free_file(FILE_BYTES + 1), Some(FileId(0)));
    assert_eq!(world.journal.take_small_free_file(FILE_BYTES), None);
}

#[test]
fn with_no_free_file_the_journal_stalls_and_says_so() {
    let mut world = World::new();
    for _ in 0..3 {
        world.submit_and_acknowledge();
        assert!(world.journal.rotate());
    }
    assert!(!world.journal.rotate());
    assert_eq!(world.journal.metrics.stalls, 1);
    assert_eq!(world.journal.left(), FILE_BYTES);
}

#[test]
fn one_statement_is_owed_after_groups_with_contents_and_for_files_to_be_freed() {
    let mut world = World::new();
    let idle = Some(JOURNAL_IDLE_MS);
    assert_eq!(world.journal.statement_deadline(), idle, "of the opening");
    let (op, ..) = world.submit(0);
    assert_eq!(world.journal.statement_deadline(), None, "in flight");
    world.written(op);
    assert_eq!(world.journal.statement_deadline(), None, "an empty group needs none");
    world.submit_and_acknowledge();
    assert_eq!(world.journal.statement_deadline(), idle);
    world.journal.put_off_statement(50);
    assert_eq!(world.journal.statement_deadline(), Some(50 + JOURNAL_IDLE_MS));
    let (op, ..) = world.submit(0);
    world.written(op);
    assert_eq!(world.journal.statement_deadline(), None);
    world.journal.rotate();
    let end = world.journal.active_start();
    world.journal.release_below(end);
    assert!(world.journal.statement_deadline().is_some(), "a file waits to be freed");
}

#[test]
fn a_failed_journal_gives_back_what_nobody_will_hear_and_takes_nothing() {
    let mut world = World::new();
    let (first, ..) = world.submit(1);
    let (second, ..) = world.submit(1);
    world.written(second);
    assert_eq!(world.journal.fail(), [2, 3]);
    assert_eq!(world.written(first), []);
    assert!(world.journal.has_failed() && !world.journal.admits(usize::MAX));
    assert_eq!(world.journal.statement_deadline(), None);
}

#[test]
fn names_of_files_are_read_back() {
    let name = JournalFileName { shard: 3, number: 12 };
    assert_eq!(name.path().to_str(), Some("journal/3/12.journal"));
    assert_eq!(JournalFileName::number_of(name.path().file_name().unwrap().as_ref()), Some(12));
    assert_eq!(JournalFileName::number_of("state".as_ref()), None);
}

proptest! {
    #[test]
    fn any_order_of_completions_acknowledges_all_in_sequence(
        choices in proptest::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 1..120),
    ) {
        let mut world = World::new();
        let (mut in_flight, mut heard) = (Vec::new(), Vec::new());
        for (is_submit, index) in choices {
            if is_submit && in_flight.len() < JOURNAL_GROUPS_IN_FLIGHT_MAX {
                if world.journal.room() < 4096 {
                    let acknowledged = world.journal.acknowledged_end();
                    world.journal.release_below(acknowledged.min(world.journal.active_start()));
                    if !world.journal.rotate() {
                        continue;
                    }
                }
                let (op, _, _, header) = world.submit(1);
                prop_assert!(header.acknowledged_end <= header.sequence);
                in_flight.push(op);
            } else if !in_flight.is_empty() {
                let op = in_flight.swap_remove(index.index(in_flight.len()));
                heard.extend(world.written(op));
            }
            let expected: Vec<u64> = (2..world.journal.acknowledged_end()).collect();
            prop_assert_eq!(&heard, &expected);
        }
    }
}
