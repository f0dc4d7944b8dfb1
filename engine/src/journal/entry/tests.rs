//! Rows of the entry table: golden bytes, round trips, garbage.

use proptest::prelude::*;
use protocol::{LeaderEpoch, Offset, PartitionIndex, TopicId};

use super::{ENTRY_BYTES, Entry, EntryKind};
use crate::PartitionId;

const KINDS: [EntryKind; 10] = [
    EntryKind::Append,
    EntryKind::Pointer,
    EntryKind::Fragment,
    EntryKind::Checkpoint,
    EntryKind::EpochStart,
    EntryKind::LogStart,
    EntryKind::Close,
    EntryKind::Start,
    EntryKind::CheckpointEnd,
    EntryKind::Delete,
];

fn some_entry() -> Entry {
    let topic_id = TopicId(std::array::from_fn(|at| at as u8));
    Entry {
        kind: EntryKind::Append,
        partition: PartitionId { topic_id, partition: PartitionIndex(3) },
        leader_epoch: LeaderEpoch(7),
        base: Offset(0x0102_0304),
        next: Offset(0x0102_0309),
        segment: Offset(0x0102),
        position: 0x1_0000_0001,
        run_bytes: 0x64,
        run_crc: 0xdead_beef,
        head_bytes: 0x11,
        body_bytes: 0x64,
        as_of: 0x0a0b,
    }
}

#[test]
fn a_row_has_the_layout_that_journals_on_disk_have() {
    let mut row = [0xff; ENTRY_BYTES];
    some_entry().encode(&mut row);
    let mut golden = Vec::new();
    golden.extend([1, 0, 0, 0, 3, 0, 0, 0]);
    golden.extend(0..16u8);
    golden.extend([7, 0, 0, 0, 0x64, 0, 0, 0]);
    golden.extend([4, 3, 2, 1, 0, 0, 0, 0, 9, 3, 2, 1, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0]);
    golden.extend([1, 0, 0, 0, 1, 0, 0, 0, 0x64, 0, 0, 0, 0, 0, 0, 0]);
    golden.extend([0xef, 0xbe, 0xad, 0xde, 0x11, 0, 0, 0, 0x0b, 0x0a, 0, 0, 0, 0, 0, 0]);
    assert_eq!(row.to_vec(), golden);
    assert_eq!(Entry::decode(&row), Some(some_entry()));
}

#[test]
fn codes_of_kinds_never_change() {
    let codes: Vec<u8> = KINDS.iter().map(|kind| kind.code()).collect();
    assert_eq!(codes, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    assert!(KINDS.iter().all(|kind| EntryKind::from_code(kind.code()) == Some(*kind)));
    assert_eq!(EntryKind::from_code(0), None);
    assert_eq!(EntryKind::from_code(11), None);
}

#[test]
fn fields_that_contradict_each_other_are_no_entry() {
    let sound = some_entry();
    let pointer = Entry {
        kind: EntryKind::Pointer,
        position: 8_000,
        run_bytes: 300_000,
        head_bytes: 0,
        body_bytes: (308_000 % 4096) as u32,
        ..sound
    };
    for entry in [sound, pointer, Entry { kind: EntryKind::Fragment, ..sound }] {
        assert_eq!(decoded(&entry), Some(entry));
    }
    let senseless = [
        Entry { next: sound.base, ..sound },
        Entry { body_bytes: 0, run_bytes: 0, ..sound },
        Entry { body_bytes: 0x63, ..sound },
        Entry { position: u64::MAX, ..sound },
        Entry { base: Offset(-1), ..sound },
        Entry { segment: Offset(-1), kind: EntryKind::Checkpoint, ..sound },
        Entry { kind: EntryKind::Fragment, body_bytes: 0, ..sound },
        // The body is what stands behind the last whole block.
        Entry { body_bytes: pointer.body_bytes + 1, ..pointer },
        // Not one whole block: it would not have gone to the segment.
        Entry { position: 1, run_bytes: 100, body_bytes: 101, ..pointer },
    ];
    for entry in senseless {
        assert_eq!(decoded(&entry), None, "{entry:?}");
    }
}

fn decoded(entry: &Entry) -> Option<Entry> {
    let mut row = [0; ENTRY_BYTES];
    entry.encode(&mut row);
    Entry::decode(&row)
}

proptest! {
    #[test]
    fn any_bytes_are_an_entry_or_none(row in proptest::collection::vec(any::<u8>(), 0..100)) {
        if let Some(entry) = Entry::decode(&row) {
            prop_assert_eq!(decoded(&entry), Some(entry));
        }
    }
}
