//! What the journal says of partitions, doubts and clearances included.

use std::collections::BTreeMap;

use bytes::Bytes;
use protocol::{LeaderEpoch, Offset};

use super::{Replay, merge, replay};
use crate::PartitionId;
use crate::fuzz::some_partition;
use crate::journal::entry::{Entry, EntryKind};
use crate::journal::scan::{Damage, Scan, ScanStep};

fn append(base: i64, next: i64) -> ScanStep {
    let bytes = next - base;
    let entry = Entry {
        base: Offset(base),
        next: Offset(next),
        position: base as u64,
        run_bytes: bytes as u64,
        body_bytes: bytes as u32,
        ..Entry::new(EntryKind::Append, some_partition())
    };
    ScanStep::Apply(entry, Bytes::from(vec![0; bytes as usize]))
}

/// A row made when groups below `as_of` were acknowledged.
fn row(next: i64, position: u64, unflushed: u64, as_of: u64) -> ScanStep {
    let entry = Entry {
        next: Offset(next),
        position,
        run_bytes: unflushed,
        as_of,
        ..Entry::new(EntryKind::Checkpoint, some_partition())
    };
    ScanStep::Apply(entry, Bytes::new())
}

fn control(kind: EntryKind, base: i64, epoch: i32) -> ScanStep {
    let entry = Entry {
        base: Offset(base),
        leader_epoch: LeaderEpoch(epoch),
        ..Entry::new(kind, some_partition())
    };
    ScanStep::Apply(entry, Bytes::new())
}

fn lost(sequence: u64) -> ScanStep {
    ScanStep::AllDamaged(Damage { shard: 0, incarnation: 1, sequence })
}

fn told(steps: Vec<ScanStep>) -> Option<Replay> {
    let scan = Scan { incarnation: 1, steps, cut: 0, opening_end: 0 };
    replay(scan, 0).remove(&some_partition())
}

#[test]
fn entries_become_what_the_journal_says_of_a_partition() {
    let steps = vec![
        row(3, 0, 3, 0),
        append(3, 8),
        control(EntryKind::EpochStart, 8, 2),
        control(EntryKind::LogStart, 5, 0),
        row(8, 8, 0, 4),
    ];
    let found = told(steps).unwrap();
    assert_eq!((found.next, found.acknowledged), (Offset(8), Offset(8)));
    assert_eq!((found.log_start, found.leader_epoch), (Offset(5), LeaderEpoch(2)));
    assert_eq!(found.epochs, [(LeaderEpoch(2), Offset(8))]);
    assert_eq!((found.checkpoint, found.unflushed), (Some((Offset(0), 8)), 0));
    assert_eq!((found.pieces.len(), found.damage, found.is_closed), (1, None, false));
}

#[test]
fn a_lost_group_hurts_whoever_is_not_cleared_of_it() {
    let damaged = Some(Damage { shard: 0, incarnation: 1, sequence: 4 });
    let rows: Vec<(&str, Vec<ScanStep>, Option<Damage>)> = vec![
        ("nothing later", vec![append(0, 5), lost(4)], damaged),
        ("goes on where it was", vec![append(0, 5), lost(4), append(5, 9)], None),
        ("goes on elsewhere", vec![append(0, 5), lost(4), append(7, 9)], damaged),
        ("a row that knows of it", vec![append(0, 5), lost(4), row(5, 0, 5, 5)], None),
        ("a row from before it", vec![append(0, 5), lost(4), row(5, 0, 5, 4)], damaged),
        ("first heard of behind it, by a row that knows", vec![lost(4), row(5, 5, 0, 9)], None),
        ("first heard of behind it", vec![lost(4), append(5, 9)], damaged),
        ("new behind it", vec![lost(4), append(0, 9)], None),
    ];
    for (name, steps, expected) in rows {
        assert_eq!(told(steps).unwrap().damage, expected, "{name}");
    }
}

#[test]
fn a_damaged_body_ends_what_is_known_of_its_partition() {
    let damage = Damage { shard: 0, incarnation: 1, sequence: 2 };
    let steps = vec![
        append(0, 5),
        ScanStep::Damaged(Entry::new(EntryKind::Append, some_partition()), damage),
        append(9, 12),
        row(12, 0, 12, 9),
    ];
    let found = told(steps).unwrap();
    assert_eq!((found.damage, found.next, found.pieces.len()), (Some(damage), Offset(5), 1));
}

#[test]
fn entries_about_no_partition_make_none() {
    let start = Entry::new(EntryKind::Start, PartitionId::NONE);
    assert!(told(vec![ScanStep::Apply(start, Bytes::new())]).is_none());
}

#[test]
fn the_newer_incarnation_then_the_owner_then_who_knows_more_wins() {
    let known = |incarnation, is_closed, next| {
        let mut found = told(vec![append(0, next)]).unwrap();
        (found.incarnation, found.is_closed) = (incarnation, is_closed);
        BTreeMap::from([(some_partition(), found)])
    };
    let table = [
        ((1, false, 90), (2, true, 5), 5),
        ((2, true, 90), (2, false, 5), 5),
        ((2, false, 7), (2, false, 9), 9),
    ];
    for ((a_incarnation, a_closed, a_next), (b_incarnation, b_closed, b_next), expected) in table {
        for is_swapped in [false, true] {
            let mut both =
                [known(a_incarnation, a_closed, a_next), known(b_incarnation, b_closed, b_next)];
            if is_swapped {
                both.reverse();
            }
            let mut all = BTreeMap::new();
            for one in both {
                merge(&mut all, one);
            }
            assert_eq!(all[&some_partition()].next, Offset(expected));
        }
    }
}

/// A partition that moves is in both journals, and the shard that takes it over may have said something
/// about it before its row.
#[test]
fn a_shard_without_a_row_of_the_partition_has_not_taken_it_over() {
    let of = |step| BTreeMap::from([(some_partition(), told(vec![step]).unwrap())]);
    let closed = || of(control(EntryKind::Close, 7, 0));
    let early = || of(control(EntryKind::LogStart, 9, 0));
    let damaged = || {
        let steps = vec![lost(3), control(EntryKind::LogStart, 9, 0)];
        BTreeMap::from([(some_partition(), told(steps).unwrap())])
    };
    for (others, expected) in [(early(), (true, 7)), (damaged(), (false, 9))] {
        for two in [[closed(), others.clone()], [others, closed()]] {
            let mut all = BTreeMap::new();
            two.into_iter().for_each(|one| merge(&mut all, one));
            let found = &all[&some_partition()];
            assert_eq!((found.is_closed, found.log_start), (expected.0, Offset(expected.1)));
        }
    }
}

/// The shard that had it before may have said more of it, and an older row that it was here.
#[test]
fn a_deletion_is_the_last_word_of_a_partition() {
    let of = |steps| BTreeMap::from([(some_partition(), told(steps).unwrap())]);
    let row = || control(EntryKind::Checkpoint, 7, 0);
    let deleted = || of(vec![row(), control(EntryKind::Delete, 0, 0)]);
    assert!(deleted()[&some_partition()].is_deleted);
    let damage = Damage { shard: 0, incarnation: 1, sequence: 3 };
    let damaged = ScanStep::Damaged(Entry::new(EntryKind::Append, some_partition()), damage);
    let steps = vec![row(), damaged, control(EntryKind::Delete, 0, 0)];
    assert!(told(steps).unwrap().is_deleted, "whatever was damaged before");
    for two in [[deleted(), of(vec![row()])], [of(vec![row()]), deleted()]] {
        let mut all = BTreeMap::new();
        two.into_iter().for_each(|one| merge(&mut all, one));
        assert!(all[&some_partition()].is_deleted);
    }
}
