//! The entry points for fuzzers take anything.

use bytes::Bytes;
use proptest::prelude::*;
use protocol::{LeaderEpoch, Offset};
use runtime::memory::Arena;

use super::{SALT, index_files, journal_scan, samples, segment_window, some_partition, state_file};
use crate::PartitionId;
use crate::journal::entry::{Entry, EntryKind};
use crate::journal::group::{GroupHeader, JournalSalt, encode};
use crate::journal::scan::scan;
use crate::recovery::state_file::decode;

/// Numbers where arithmetic goes wrong, and small ones.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0u64..20,
        2 => 0u64..20_000,
        1 => any::<u64>(),
        1 => Just(u64::MAX),
        1 => Just(i64::MAX as u64),
        1 => Just(4096u64),
    ]
}

fn entry() -> impl Strategy<Value = (Entry, Vec<u8>)> {
    let kind = prop::sample::select(vec![
        EntryKind::Append,
        EntryKind::Pointer,
        EntryKind::Fragment,
        EntryKind::Checkpoint,
        EntryKind::EpochStart,
        EntryKind::LogStart,
        EntryKind::Close,
        EntryKind::Delete,
        EntryKind::CheckpointEnd,
    ]);
    let numbers = (number(), number(), number(), number(), number());
    let body = proptest::collection::vec(any::<u8>(), 0..200);
    (kind, numbers, body, prop::bool::weighted(0.97), any::<i32>()).prop_map(build_entry)
}

type Parts = (EntryKind, (u64, u64, u64, u64, u64), Vec<u8>, bool, i32);

fn build_entry(
    (kind, (base, next, segment, position, run_bytes), body, fits, epoch): Parts,
) -> (Entry, Vec<u8>) {
    let offset = |number: u64| Offset(i64::try_from(number).unwrap_or(i64::MAX));
    let mut entry = Entry {
        leader_epoch: LeaderEpoch(epoch),
        base: offset(base),
        next: offset(next),
        segment: offset(segment),
        position,
        run_bytes,
        run_crc: crc32c::crc32c(&[]),
        as_of: run_bytes,
        body_bytes: u32::try_from(body.len()).unwrap(),
        ..Entry::new(kind, some_partition())
    };
    let mut body = body;
    if fits {
        // What a row must hold to be taken for one; the rest is anything.
        body.push(1);
        entry.position = position.min(u64::MAX / 4);
        entry.base = Offset(entry.base.0.min(i64::MAX - 1));
        entry.next = entry.next.max(Offset(entry.base.0 + 1));
        entry.run_bytes = match kind {
            EntryKind::Append => body.len() as u64,
            EntryKind::Pointer => run_bytes.clamp(8_192, u64::MAX / 4),
            _ => run_bytes.min(u64::MAX / 4),
        };
        entry.body_bytes = u32::try_from(body.len()).unwrap();
    }
    if fits && kind == EntryKind::Pointer {
        let end = entry.position + entry.run_bytes;
        body.resize(usize::try_from(end % 4096).unwrap(), 7);
        entry.body_bytes = u32::try_from(body.len()).unwrap();
    }
    (entry, body)
}

/// A journal whose CRCs are right and whose contents are anything.
fn journal() -> impl Strategy<Value = Vec<u8>> {
    let group = (proptest::collection::vec(entry(), 0..6), number(), number());
    proptest::collection::vec(group, 1..6).prop_map(|groups| {
        let mut file = Vec::new();
        let mut block = Arena::new(2 << 20).unwrap().allocate(1 << 20).unwrap();
        let mut previous_crc = 0;
        for (at, (entries, acknowledged_end, live_start)) in groups.into_iter().enumerate() {
            let header = GroupHeader {
                shard: 0,
                incarnation: 1,
                sequence: at as u64,
                acknowledged_end: acknowledged_end.min(at as u64),
                live_start: live_start.min(acknowledged_end).min(at as u64),
                opening_end: 1,
                previous_crc,
                file_bytes: 0,
            };
            let rows: Vec<Entry> =
                std::iter::once(start()).chain(entries.iter().map(|e| e.0)).collect();
            let bodies = entries.iter().map(|entry| &entry.1[..]);
            let (length, crc) = encode(&mut block, JournalSalt(0), &header, &rows, bodies);
            previous_crc = crc;
            file.extend_from_slice(&block[..length]);
        }
        file
    })
}

fn start() -> Entry {
    Entry::new(EntryKind::Start, PartitionId::NONE)
}

/// A sample that nothing takes would only be noise.
#[test]
fn samples_are_sound() {
    let samples: Vec<Bytes> = samples().into_iter().map(Bytes::from).collect();
    let journals =
        samples.iter().filter(|file| !scan(&[(*file).clone().into()], SALT, 0).complete.is_empty());
    assert_eq!(journals.count(), 4);
    let states = samples.iter().filter(|file| !decode((*file).clone()).is_empty());
    assert_eq!(states.count(), 1);
    for sample in &samples {
        journal_scan(sample);
        state_file(sample);
        segment_window(sample);
        index_files(sample);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn journals_that_contradict_themselves_never_panic(journal in journal()) {
        journal_scan(&journal);
    }

    #[test]
    fn damaged_journals_never_panic(
        mut journal in journal(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..30),
    ) {
        for (at, byte) in flips {
            let at = at.index(journal.len());
            journal[at] ^= byte;
        }
        journal_scan(&journal);
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..20_000)) {
        journal_scan(&bytes);
        state_file(&bytes);
        segment_window(&bytes);
        index_files(&bytes);
    }
}
