//! Kafka's index files byte for byte, and lookups against a naive model.

use proptest::prelude::*;
use protocol::record_batch::{Attributes, BatchHeader, MAGIC};
use protocol::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

use super::SegmentIndex;
use crate::batch::BatchView;

const BASE: Offset = Offset(1_000);

fn header(base: i64, records: i32, bytes: i32, timestamp: i64) -> BatchHeader {
    BatchHeader {
        base_offset: Offset(base),
        batch_length: bytes - 12,
        partition_leader_epoch: LeaderEpoch(0),
        magic: MAGIC,
        crc: 0,
        attributes: Attributes(0),
        last_offset_delta: records - 1,
        base_timestamp: timestamp,
        max_timestamp: timestamp,
        producer_id: ProducerId(-1),
        producer_epoch: ProducerEpoch(-1),
        base_sequence: -1,
        record_count: records,
    }
}

/// The index of batches (records, bytes, timestamp), and their headers with positions.
fn index(batches: &[(i32, i32, i64)], interval: u32) -> (SegmentIndex, Vec<(u64, BatchHeader)>) {
    let mut index = SegmentIndex::default();
    let mut headers = Vec::new();
    let (mut position, mut offset) = (0, BASE.0);
    for (records, bytes, timestamp) in batches {
        let header = header(offset, *records, *bytes, *timestamp);
        index.note(BASE, position, &header, interval);
        headers.push((position, header));
        position += header.total_bytes() as u64;
        offset += i64::from(*records);
    }
    (index, headers)
}

#[test]
fn files_have_the_bytes_that_kafka_writes() {
    // Kafka: an entry for a batch once more than the interval passed, with its last offset; the time
    // index gets the largest timestamp so far at the same moments, and at the end of the segment.
    let batches = [(2, 100, 50), (3, 100, 70), (1, 100, 60), (5, 100, 90), (1, 100, 95)];
    let (index, _) = index(&batches, 150);
    let (offsets, times) = index.encode();
    let offset_entries = [(5u32, 200u32), (11, 400)];
    let golden: Vec<u8> = offset_entries
        .iter()
        .flat_map(|(relative, position)| [relative.to_be_bytes(), position.to_be_bytes()].concat())
        .collect();
    assert_eq!(offsets, golden);
    let time_entries = [(70i64, 4u32), (95, 11)];
    let golden: Vec<u8> = time_entries
        .iter()
        .flat_map(|(timestamp, relative)| {
            [&timestamp.to_be_bytes()[..], &relative.to_be_bytes()].concat()
        })
        .collect();
    assert_eq!(times, golden);
}

#[test]
fn batches_without_a_timestamp_get_no_time_entry() {
    // Kafka's dump tool takes an entry with timestamp -1 for one out of order.
    let (index, _) = index(&[(1, 100, -1), (1, 100, -1), (1, 100, -1)], 50);
    let (offsets, times) = index.encode();
    assert_eq!((offsets.len(), times.len()), (16, 0));
    assert_eq!(index.max_timestamp(), None);
}

#[test]
fn batches_seen_already_or_out_of_place_are_ignored() {
    let (mut index, headers) = index(&[(1, 100, 1), (1, 100, 2)], 50);
    let before = index.clone();
    index.note(BASE, 0, &headers[0].1, 50);
    index.note(BASE, 300, &header(1_003, 1, 100, 3), 50);
    assert_eq!(index, before);
}

#[test]
fn files_that_make_no_sense_are_refused() {
    let entry =
        |relative: u32, position: u32| [relative.to_be_bytes(), position.to_be_bytes()].concat();
    let sound = [entry(3, 100), entry(7, 200)].concat();
    let times = [0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3];
    assert!(SegmentIndex::decode(&sound, &times, 300).is_some());
    assert!(SegmentIndex::decode(&sound, &[], 300).is_none(), "the times were lost");
    assert!(SegmentIndex::decode(&sound, &times, 200).is_none(), "beyond the segment");
    assert!(SegmentIndex::decode(&sound[1..], &times, 300).is_none(), "not whole entries");
    assert!(SegmentIndex::decode(&sound, &[0; 11], 300).is_none());
    let backwards = [entry(7, 200), entry(3, 100)].concat();
    assert!(SegmentIndex::decode(&backwards, &times, 300).is_none());
}

proptest! {
    #[test]
    fn look_ups_agree_with_a_walk(
        batches in proptest::collection::vec((1i32..5, 61i32..400, 0i64..50), 1..60),
        interval in 1u32..600,
        offset in 0i64..200,
        timestamp in -1i64..60,
        is_reread: bool,
    ) {
        let (mut index, headers) = index(&batches, interval);
        let length = headers.last().map_or(0, |(at, header)| at + header.total_bytes() as u64);
        if is_reread {
            let (offsets, times) = index.encode();
            index = SegmentIndex::decode(&offsets, &times, length).unwrap();
        }
        // At or before the batch sought, and on a batch boundary.
        let boundaries: Vec<u64> = headers.iter().map(|(at, _)| *at).collect();
        let from = index.position_before(BASE, Offset(BASE.0 + offset));
        prop_assert!(boundaries.contains(&from));
        let sought = headers.iter().find(|(_, header)| header.last_offset().0 >= BASE.0 + offset);
        if let Some((at, _)) = sought {
            prop_assert!(from <= *at);
        }
        let from = index.position_before_time(BASE, timestamp);
        prop_assert!(boundaries.contains(&from));
        let sought = headers.iter().find(|(_, header)| header.max_timestamp >= timestamp);
        if let Some((at, _)) = sought {
            prop_assert!(from <= *at, "no batch before it is as new");
        }
        prop_assert!(index.entry_before_position(length) <= length);
    }

    #[test]
    fn files_that_are_garbage_never_panic(
        offsets in proptest::collection::vec(any::<u8>(), 0..100),
        times in proptest::collection::vec(any::<u8>(), 0..100),
        length: u64,
    ) {
        if let Some(index) = SegmentIndex::decode(&offsets, &times, length) {
            prop_assert!(index.position_before(BASE, Offset(i64::MAX)) < length.max(1));
            index.position_before_time(Offset(0), i64::MAX);
        }
    }

    #[test]
    fn an_index_that_was_read_back_goes_on_as_if_it_had_not_been(
        batches in proptest::collection::vec((1i32..5, 61i32..400, 0i64..1000), 2..40),
        interval in 1u32..600,
    ) {
        let (whole, headers) = index(&batches, interval);
        let (offsets, times) = whole.encode();
        let length = headers.last().map_or(0, |(at, header)| at + header.total_bytes() as u64);
        let mut again = SegmentIndex::decode(&offsets, &times, length).unwrap();
        for (position, header) in &headers {
            again.note(BASE, *position, header, interval);
        }
        prop_assert_eq!(again.covered(), whole.covered());
        prop_assert_eq!(again.encode(), whole.encode());
    }
}
