//! ListOffsets: where a log begins and ends, and which record is the first of a time.

use bytes::Bytes;
use protocol::Str;
use protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use protocol::record_batch::{
    BatchBuilder, BatchOptions, Compression, MAX_TIMESTAMP_AT, restate_max_timestamp,
};

use super::produce_and_fetch::{create, produce};
use super::world::{Client, World, batch};

const PRODUCE: i16 = 9;
const START: i64 = 1_700_000_000_000;

fn offset_of(world: &mut World, client: Client, timestamp: i64) -> (i64, i64) {
    let partition = ListOffsetsPartition { timestamp, ..ListOffsetsPartition::default() };
    let topic = ListOffsetsTopic { name: Str::from("t"), partitions: vec![partition] };
    let request = ListOffsetsRequest { topics: vec![topic], ..Default::default() };
    let response = world.ask(client, 9, request);
    let partition = &response.topics[0].partitions[0];
    assert_eq!(partition.error_code, 0);
    (partition.offset, partition.timestamp)
}

fn delete_before(world: &mut World, client: Client, offset: i64) {
    let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset }];
    let topics = vec![DeleteRecordsTopic { name: Str::from("t"), partitions }];
    let response = world.ask(client, 2, DeleteRecordsRequest { topics, timeout_ms: 1_000 });
    assert_eq!(response.topics[0].partitions[0].error_code, 0, "{response:?}");
}

/// Records with these times behind `START`, in a batch.
fn times(compression: Compression, times: &[i64]) -> Vec<u8> {
    let options = BatchOptions { compression, ..BatchOptions::default() };
    let mut builder = BatchBuilder::new(options);
    for time in times {
        builder.push(START + time, None, Some(b"value"), &[]);
    }
    builder.finish()
}

fn world() -> (World, Client) {
    let mut world = World::new(1);
    let client = world.connect(0);
    create(&mut world, client, "t", 1);
    (world, client)
}

fn append(world: &mut World, client: Client, records: Vec<u8>) {
    let response = world.ask(client, PRODUCE, produce(1, "t", 0, Bytes::from(records)));
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0, "{response:?}");
}

#[test]
fn offsets_by_time_are_of_the_record_inside_the_batch() {
    let (mut world, client) = world();
    for round in 0..3 {
        let records = batch(&["a", "b", "c"], START + round * 10);
        world.ask(client, PRODUCE, produce(1, "t", 0, records));
    }
    let table = [
        (-1, (9, -1)),
        (-2, (0, -1)),
        (-3, (8, START + 22)),
        (-4, (0, -1)),
        (-5, (-1, -1)),
        (START, (0, START)),
        (START + 11, (4, START + 11)),
        // Between two batches, and after all records.
        (START + 13, (6, START + 20)),
        (START + 23, (-1, -1)),
    ];
    for (timestamp, expected) in table {
        assert_eq!(offset_of(&mut world, client, timestamp), expected, "{timestamp}");
    }
}

/// The search ended in the batch whose header promised such a record, where that is below the log start.
#[test]
fn a_time_whose_first_record_was_deleted_is_found_in_the_next_batch() {
    let (mut world, client) = world();
    append(&mut world, client, times(Compression::None, &[5_000, 1_000]));
    append(&mut world, client, times(Compression::None, &[4_000]));
    append(&mut world, client, times(Compression::None, &[3_000]));
    assert_eq!(offset_of(&mut world, client, -3), (0, START + 5_000));
    delete_before(&mut world, client, 1);
    assert_eq!(offset_of(&mut world, client, START + 2_000), (2, START + 4_000));
    assert_eq!(offset_of(&mut world, client, START + 4_001), (-1, -1));
    assert_eq!(offset_of(&mut world, client, -3), (2, START + 4_000));
    delete_before(&mut world, client, 4);
    assert_eq!(offset_of(&mut world, client, START), (-1, -1));
    assert_eq!(offset_of(&mut world, client, -3), (-1, -1));
}

/// Compressed records are not looked at when they come: their header is believed until somebody asks.
#[test]
fn a_header_that_promises_too_much_does_not_end_the_search() {
    let (mut world, client) = world();
    let mut boastful = times(Compression::Lz4, &[1_000]);
    restate_max_timestamp(&mut boastful, START + 50_000);
    assert_eq!(boastful[MAX_TIMESTAMP_AT..][..8], (START + 50_000).to_be_bytes());
    append(&mut world, client, boastful);
    append(&mut world, client, times(Compression::Lz4, &[8_000, 9_000]));
    assert_eq!(offset_of(&mut world, client, START + 7_000), (1, START + 8_000));
    assert_eq!(offset_of(&mut world, client, START + 10_000), (-1, -1));
    assert_eq!(offset_of(&mut world, client, -3), (2, START + 9_000));
}

/// Every time, over random batches with the log start inside of one: what a walk over all records finds.
#[test]
fn offsets_by_time_are_those_that_a_walk_over_all_records_finds() {
    for seed in 1..40_u64 {
        let mut state = seed;
        let mut below = |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % bound
        };
        let (mut world, client) = world();
        let mut records = Vec::new();
        for _ in 0..1 + below(6) {
            let batch: Vec<i64> =
                (0..1 + below(4)).map(|_| i64::try_from(below(30)).unwrap()).collect();
            append(&mut world, client, times(Compression::None, &batch));
            records.extend(batch);
        }
        let log_start = usize::try_from(below(records.len() as u64)).unwrap();
        delete_before(&mut world, client, log_start.try_into().unwrap());
        let left = || records.iter().enumerate().skip(log_start);
        for time in 0..31 {
            let found = left().find(|(_, record)| **record >= time);
            let expected =
                found.map_or((-1, -1), |(at, record)| (i64::try_from(at).unwrap(), START + record));
            assert_eq!(offset_of(&mut world, client, START + time), expected, "{seed} {time}");
        }
        let largest = left().map(|(_, record)| *record).max().unwrap();
        let (at, _) = left().find(|(_, record)| **record == largest).unwrap();
        let expected = (i64::try_from(at).unwrap(), START + largest);
        assert_eq!(offset_of(&mut world, client, -3), expected, "{seed}");
    }
}
