//! The walk over batches in a window.

use bytes::Bytes;
use proptest::prelude::*;
use protocol::record_batch::{BatchBuilder, BatchHeader, BatchOptions, patch};
use protocol::{LeaderEpoch, Offset};

use super::{Found, Known, Search, Target, Window, search};
use crate::batch::BatchView;
use crate::partition::index::SegmentIndex;

/// Batches of (records, value bytes, timestamp), one behind the other, from offset 100 on.
fn log(batches: &[(usize, usize, i64)]) -> (Vec<u8>, Vec<(u64, BatchHeader)>) {
    let (mut bytes, mut headers, mut offset) = (Vec::new(), Vec::new(), 100);
    for (records, value_bytes, timestamp) in batches {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        for _ in 0..*records {
            builder.push(*timestamp, None, Some(&vec![1; *value_bytes]), &[]);
        }
        let mut batch = builder.finish();
        patch(&mut batch, Offset(offset), LeaderEpoch(0));
        offset += *records as i64;
        headers.push((bytes.len() as u64, BatchHeader::read(&batch).unwrap()));
        bytes.extend(batch);
    }
    (bytes, headers)
}

/// The bytes from `start` on in pieces of this size.
fn window(bytes: &[u8], start: usize, end: usize, piece: usize) -> Window {
    let parts = bytes[start..end].chunks(piece).map(Bytes::copy_from_slice).collect();
    Window::new(start as u64, parts)
}

fn wanted(target: Target, bound: u64, bytes_max: usize) -> Search {
    let base = Offset(100);
    Search {
        base,
        from: 0,
        known: None,
        is_dense: true,
        end: Offset(i64::MAX),
        target,
        bound,
        bytes_max,
        verify: true,
        index_interval_bytes: 200,
    }
}

fn run(window: &Window, search_of: &Search) -> Found {
    search(window, search_of, &mut SegmentIndex::default())
}

#[test]
fn whole_batches_up_to_the_bytes_asked_for_and_never_less_than_one() {
    let (bytes, headers) = log(&[(1, 100, 1), (2, 100, 2), (1, 100, 3)]);
    let end = bytes.len() as u64;
    let all = window(&bytes, 0, bytes.len(), 77);
    let at = |bytes_max| run(&all, &wanted(Target::Offset(Offset(102)), end, bytes_max));
    let second = headers[1].0;
    let third = headers[2].0;
    let one = Found::Batches { range: second..third, first: Offset(101), next: Offset(103) };
    assert_eq!(at(1), one);
    assert_eq!(at(usize::try_from(end - second).unwrap() - 1), one);
    let both = Found::Batches { range: second..end, first: Offset(101), next: Offset(104) };
    assert_eq!(at(usize::try_from(end - second).unwrap()), both);
    assert_eq!(at(usize::MAX), both);
}

#[test]
fn what_is_beyond_the_bound_is_not_there() {
    let (bytes, headers) = log(&[(1, 100, 1), (1, 100, 2)]);
    let all = window(&bytes, 0, bytes.len(), 4096);
    let bound = headers[1].0;
    let first = Found::Batches { range: 0..bound, first: Offset(100), next: Offset(101) };
    assert_eq!(run(&all, &wanted(Target::Offset(Offset(100)), bound, 1 << 20)), first);
    assert_eq!(run(&all, &wanted(Target::Offset(Offset(101)), bound, 1 << 20)), Found::Nothing);
}

#[test]
fn a_window_that_ends_too_soon_says_where_to_go_on_and_with_how_much() {
    let (bytes, headers) = log(&[(1, 100, 1), (1, 5_000, 2)]);
    let (second, end) = (headers[1].0, bytes.len() as u64);
    let target = Target::Offset(Offset(101));
    let short = usize::try_from(second).unwrap() + 10;
    let in_header = run(&window(&bytes, 0, short, 50), &wanted(target, end, 1 << 20));
    let known = Some(Known::Base(Offset(101)));
    assert_eq!(in_header, Found::GoOn { from: second, bytes: 61, known });
    let in_body = run(&window(&bytes, 0, short + 100, 50), &wanted(target, end, 1 << 20));
    let whole = headers[1].1.total_bytes();
    assert_eq!(in_body, Found::GoOn { from: second, bytes: whole, known });
}

#[test]
fn a_timestamp_finds_the_first_batch_as_new_above_the_log_start() {
    let (bytes, _) = log(&[(1, 10, 5), (1, 10, 9), (1, 10, 7), (1, 10, 9)]);
    let end = bytes.len() as u64;
    let all = window(&bytes, 0, bytes.len(), 4096);
    let first_of = |at_least, log_start| {
        let target = Target::Timestamp { at_least, from: Offset(log_start) };
        match run(&all, &wanted(target, end, 1)) {
            Found::Batches { first, .. } => Some(first.0),
            other => {
                assert_eq!(other, Found::Nothing);
                None
            }
        }
    };
    let table = [(0, 100, Some(100)), (6, 100, Some(101)), (8, 102, Some(103)), (10, 100, None)];
    for (at_least, log_start, expected) in table {
        assert_eq!(first_of(at_least, log_start), expected);
    }
}

#[test]
fn damage_is_served_to_nobody() {
    let (bytes, headers) = log(&[(1, 100, 1), (1, 100, 2), (1, 100, 3)]);
    let end = bytes.len() as u64;
    let (second, third) =
        (usize::try_from(headers[1].0).unwrap(), usize::try_from(headers[2].0).unwrap());
    // All but the two fields that the CRC does not cover; those are checked against their neighbours.
    for at in (second..third).filter(|at| !(second + 12..second + 16).contains(at)) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let all = window(&damaged, 0, damaged.len(), 4096);
        match run(&all, &wanted(Target::Offset(Offset(100)), end, 1 << 20)) {
            Found::Batches { range, .. } => assert_eq!(range, 0..headers[1].0, "byte {at}"),
            other => panic!("the first batch is sound: {other:?} at byte {at}"),
        }
        match run(&all, &wanted(Target::Offset(Offset(101)), end, 1 << 20)) {
            Found::Batches { range, .. } => assert!(range.start > headers[1].0, "byte {at}"),
            Found::Corrupt { .. } | Found::GoOn { .. } | Found::Nothing => {}
        }
    }
}

proptest! {
    #[test]
    fn a_search_agrees_with_a_list_of_batches(
        batches in proptest::collection::vec((1usize..4, 0usize..300, 0i64..20), 1..20),
        offset in 100i64..140,
        bytes_max in 1usize..3_000,
        piece in 1usize..500,
    ) {
        let (bytes, headers) = log(&batches);
        let end = bytes.len() as u64;
        let all = window(&bytes, 0, bytes.len(), piece);
        let found = run(&all, &wanted(Target::Offset(Offset(offset)), end, bytes_max));
        let from = headers.iter().position(|(_, header)| header.last_offset().0 >= offset);
        let Some(from) = from else {
            prop_assert_eq!(found, Found::Nothing);
            return Ok(());
        };
        let start = headers[from].0;
        let ends = headers[from..].iter().map(|(at, header)| at + header.total_bytes() as u64);
        let fitting = ends.clone().take_while(|end| end - start <= bytes_max as u64).last();
        let expected = fitting.or_else(|| ends.clone().next()).unwrap();
        let Found::Batches { range, first, .. } = found else { panic!("{found:?}") };
        prop_assert_eq!(range, start..expected);
        prop_assert_eq!(first, headers[from].1.base_offset);
    }

    #[test]
    fn garbage_never_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        from in 0u64..600,
        bound in 0u64..700,
        start in 0u64..300,
    ) {
        let garbage = Window::new(start, vec![Bytes::from(bytes)]);
        let search_of = Search { from: from.max(start), ..wanted(Target::Offset(Offset(100)), bound, 100) };
        run(&garbage, &search_of);
    }
}

/// The base offset is outside a batch's CRC: where offsets may be missing, the index says where they are.
#[test]
fn a_gap_is_one_where_the_index_says_so_and_damage_elsewhere() {
    let (bytes, headers) = log(&[(1, 100, 1), (1, 100, 2), (1, 100, 3)]);
    let end = bytes.len() as u64;
    // The batches at 103 and 110, where 101 and 102 were, moved there by a cleaner.
    let moved = |at: usize, base: i64| {
        let mut bytes = bytes.clone();
        let at = headers[at].0 as usize;
        bytes[at..at + 8].copy_from_slice(&base.to_be_bytes());
        bytes
    };
    let cleaned = moved(1, 103);
    let mut cleaned =
        [&cleaned[..headers[2].0 as usize], &moved(2, 104)[headers[2].0 as usize..]].concat();
    let mut index = SegmentIndex::default();
    let mut position = 0;
    while let Some(header) = BatchHeader::read(&cleaned[position..]) {
        index.note(Offset(100), position as u64, &header, 1 << 20);
        position += header.total_bytes();
    }
    assert_eq!(index.entries(), 1, "of the batch behind the gap");
    let look = |bytes: &[u8], index: &SegmentIndex| {
        let wanted =
            Search { is_dense: false, ..wanted(Target::Offset(Offset(100)), end, 1 << 20) };
        let window = window(bytes, 0, bytes.len(), 1 << 20);
        match search(&window, &wanted, &mut index.clone()) {
            Found::Batches { next, .. } => next.0,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(look(&cleaned, &index), 105);
    let (offsets, times) = index.encode();
    let index = SegmentIndex::decode(&offsets, &times, end).unwrap();
    assert_eq!(look(&cleaned, &index), 105, "also with the index that was read back");
    for (at, sound) in [(1, 101), (2, 104)] {
        let at = headers[at].0 as usize + 7;
        cleaned[at] ^= 4;
        assert_eq!(look(&cleaned, &index), sound, "what stands behind a wrong offset is not given");
        cleaned[at] ^= 4;
    }
}
