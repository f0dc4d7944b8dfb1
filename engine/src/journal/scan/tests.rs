//! Which groups count: each row of the decision table.

use bytes::Bytes;
use proptest::prelude::*;
use protocol::{Offset, PartitionIndex, TopicId};
use runtime::memory::Arena;

use super::{JournalBytes, Scan, ScanStep, scan};
use crate::PartitionId;
use crate::journal::entry::{ENTRY_BYTES, Entry, EntryKind};
use crate::journal::group::{GroupHeader, HEADER_BYTES, JournalSalt, encode};
use crate::limits::BLOCK_BYTES;

const SALT: JournalSalt = JournalSalt(77);

/// What is wrong with a group.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    Missing,
    Header,
    Table,
    Body,
}

/// Groups 0… of incarnation 1; group *n* has an entry with base *n*, and says that groups below
/// `acknowledged[n]` are.
fn journal(groups: &[(u64, Fault)]) -> Bytes {
    let mut file = Vec::new();
    let mut previous_crc = 0;
    let mut block = Arena::new(2 << 20).unwrap().allocate(4096).unwrap();
    for (at, (acknowledged_end, fault)) in groups.iter().enumerate() {
        let sequence = at as u64;
        let header = GroupHeader {
            shard: 0,
            incarnation: 1,
            sequence,
            acknowledged_end: *acknowledged_end,
            live_start: 0,
            opening_end: 1,
            previous_crc,
            file_bytes: (groups.len() * BLOCK_BYTES) as u64,
        };
        let entry = Entry {
            base: Offset(at as i64),
            next: Offset(at as i64 + 1),
            body_bytes: 4,
            run_bytes: 4,
            ..Entry::new(EntryKind::Append, partition(at))
        };
        let row =
            Entry { base: entry.base, ..Entry::new(EntryKind::LogStart, partition(100 + at)) };
        let (length, crc) =
            encode(&mut block, SALT, &header, &[entry, row], std::iter::once(&b"body"[..]));
        previous_crc = crc;
        let mut bytes = block[..length].to_vec();
        match fault {
            Fault::None => {}
            Fault::Missing => bytes.fill(0),
            Fault::Header => bytes[30] ^= 1,
            Fault::Table => bytes[HEADER_BYTES + 5] ^= 1,
            Fault::Body => bytes[HEADER_BYTES + 2 * ENTRY_BYTES] ^= 1,
        }
        file.extend(bytes);
    }
    Bytes::from(file)
}

fn partition(at: usize) -> PartitionId {
    let index = i32::try_from(at).unwrap();
    PartitionId { topic_id: TopicId([9; 16]), partition: PartitionIndex(index) }
}

fn scan_one(file: Bytes) -> Option<Scan> {
    scan(&[file.into()], SALT, 0).complete.into_iter().next()
}

/// Entries that count as `a<base>`, their rows without a body as `r<base>`, damage as `d<sequence>` of a
/// partition or `D<sequence>` of all; then the cut.
fn told(groups: &[(u64, Fault)]) -> String {
    let Some(scan) = scan_one(journal(groups)) else { return "nothing".to_owned() };
    let steps = scan.steps.iter().map(|step| match step {
        ScanStep::Apply(entry, _) if entry.kind == EntryKind::Append => {
            format!("a{}", entry.base.0)
        }
        ScanStep::Apply(entry, _) => format!("r{}", entry.base.0),
        ScanStep::Damaged(_, damage) => format!("d{}", damage.sequence),
        ScanStep::AllDamaged(damage) => format!("D{}", damage.sequence),
    });
    steps.chain([format!("cut {}", scan.cut)]).collect::<Vec<_>>().join(" ")
}

#[test]
fn every_row_of_the_table_holds() {
    use Fault::{Body, Header, Missing, None, Table};
    type Row = (&'static str, &'static [(u64, Fault)], &'static str);
    let rows: &[Row] = &[
        ("all sound", &[(0, None), (1, None), (1, None)], "a0 r0 a1 r1 a2 r2 cut 3"),
        ("missing above", &[(0, None), (1, None), (1, Missing)], "a0 r0 a1 r1 cut 2"),
        ("missing above, valid behind", &[(0, None), (1, Missing), (1, None)], "a0 r0 cut 1"),
        ("header above", &[(0, None), (1, Header), (1, None)], "a0 r0 cut 1"),
        ("table above", &[(0, None), (1, Table), (1, None)], "a0 r0 cut 1"),
        ("body above", &[(0, None), (1, Body), (1, None)], "a0 r0 cut 1"),
        ("missing below", &[(0, None), (1, Missing), (2, None)], "a0 r0 D1 a2 r2 cut 3"),
        ("header below", &[(0, None), (1, Header), (2, None)], "a0 r0 D1 a2 r2 cut 3"),
        ("table below", &[(0, None), (1, Table), (2, None)], "a0 r0 D1 a2 r2 cut 3"),
        ("body below", &[(0, None), (1, Body), (2, None)], "a0 r0 d1 r1 a2 r2 cut 3"),
        (
            "two missing below are one hole",
            &[(0, None), (1, Missing), (1, Missing), (3, None)],
            "a0 r0 D1 a3 r3 cut 4",
        ),
        ("opening lost, known by the next", &[(0, Missing), (1, None)], "D0 a1 r1 cut 2"),
        ("opening never complete", &[(0, Missing), (0, None)], "nothing"),
        ("empty", &[], "nothing"),
    ];
    for (name, groups, expected) in rows {
        assert_eq!(told(groups), *expected, "{name}");
    }
}

#[test]
fn a_stale_group_that_reaches_over_a_new_one_hides_nothing() {
    // Group 1 never got to the disk; where it would be, a longer group of the life before begins.
    let new = journal(&[(0, Fault::None), (1, Fault::None), (2, Fault::None)]);
    let mut file = new.to_vec();
    let mut block = Arena::new(2 << 20).unwrap().allocate(64 << 10).unwrap();
    let body = vec![1u8; 20_000];
    let entry = Entry {
        next: Offset(1),
        body_bytes: 20_000,
        run_bytes: 20_000,
        ..Entry::new(EntryKind::Append, partition(0))
    };
    let header = GroupHeader {
        shard: 0,
        incarnation: 0,
        sequence: 40,
        acknowledged_end: 0,
        live_start: 0,
        opening_end: 1,
        previous_crc: 0,
        file_bytes: 0,
    };
    encode(&mut block, SALT, &header, &[entry], std::iter::once(&body[..]));
    file[4096..8192].copy_from_slice(&block[..4096]);
    let scan = scan_one(Bytes::from(file)).unwrap();
    assert_eq!(scan.cut, 3, "group 2 says that group 1 was acknowledged");
    assert!(scan.steps.iter().any(|step| matches!(step, ScanStep::AllDamaged(_))));
}

#[test]
fn an_absurd_acknowledged_end_costs_nothing() {
    let mut block = Arena::new(2 << 20).unwrap().allocate(4096).unwrap();
    let header = GroupHeader {
        shard: 0,
        incarnation: 1,
        sequence: u64::MAX - 1,
        acknowledged_end: u64::MAX - 1,
        live_start: 0,
        opening_end: 0,
        previous_crc: 0,
        file_bytes: 0,
    };
    let (length, _) = encode(&mut block, SALT, &header, &[], std::iter::empty());
    let scan = scan_one(Bytes::copy_from_slice(&block[..length])).unwrap();
    assert_eq!((scan.steps.len(), scan.cut), (1, u64::MAX));
}

proptest! {
    #[test]
    fn flipped_bytes_never_panic_and_never_invent(
        flips in proptest::collection::vec((0usize..5 * 4096, any::<u8>()), 0..20),
    ) {
        let groups = [(0, Fault::None), (1, Fault::None), (2, Fault::None), (3, Fault::None), (4, Fault::None)];
        let mut file = journal(&groups).to_vec();
        for (at, byte) in flips {
            file[at] ^= byte;
        }
        if let Some(scan) = scan_one(Bytes::from(file)) {
            for step in scan.steps {
                if let ScanStep::Apply(entry, body) = step && entry.kind == EntryKind::Append {
                    prop_assert_eq!(&body[..], b"body");
                }
            }
        }
    }
}

/// The prewritten file is at its length before a group stands in it.
#[test]
fn a_file_that_was_cut_may_have_lost_what_was_acknowledged() {
    let whole = journal(&[(0, Fault::None), (1, Fault::None), (2, Fault::None)]);
    let cut = whole.slice(..2 * BLOCK_BYTES);
    let told = |files: &[JournalBytes]| {
        let scan = scan(files, SALT, 0).complete.remove(0);
        let lost = scan.steps.iter().filter(|step| matches!(step, ScanStep::AllDamaged(_)));
        (scan.cut, lost.count())
    };
    assert_eq!(told(&[whole.clone().into()]), (3, 0));
    assert_eq!(told(&[cut.clone().into()]), (2, 1), "its last group may have been another one");
    let next = JournalBytes::from(whole.slice(2 * BLOCK_BYTES..));
    let next = JournalBytes { length: whole.len() as u64, ..next };
    assert_eq!(told(&[cut.into(), next]), (3, 0), "what followed it is known");
}
