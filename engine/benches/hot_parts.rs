//! What a node does for each request, one part at a time: `cargo bench -p engine`.
//!
//! `hot_parts --count NAME TIMES` runs one part so many times and nothing else: `.ci/instructions` counts instructions
//! of that, which stay the same on a machine where times do not. `hot_parts --list` names the parts.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program of developers")]

use std::hint::black_box;

use bytes::Bytes;
use criterion::Criterion;
use engine::PartitionId;
use engine::journal::entry::{Entry, EntryKind};
use engine::journal::group::{self, GroupHeader, JournalSalt, group_bytes};
use engine::journal::scan::{JournalBytes, scan};
use engine::partition::index::SegmentIndex;
use protocol::frame::decode_request;
use protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use protocol::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use protocol::record_batch::{
    BatchBuilder, BatchHeader, BatchOptions, BatchWalk, ProduceRules, RecordIterator,
    TimestampType, patch, validate_produce,
};
use protocol::{
    ApiKey, CorrelationId, LeaderEpoch, Offset, PartitionIndex, Request, RequestHeader, TopicId,
    encode_request,
};
use runtime::memory::Arena;

/// Of a batch, and of its values: 16 KiB, what a client with little to send sends at once.
const RECORDS: usize = 16;
const VALUE_BYTES: usize = 1_024;
/// Partitions of a request, entries of a journal group, batches of a walk.
const MANY: usize = 64;
const PRODUCE_VERSION: i16 = 9;
const FETCH_VERSION: i16 = 13;
const SALT: JournalSalt = JournalSalt(7);
const SIZE_BYTES: usize = 4;
/// Batches of an indexed segment, and how far apart its entries are.
const INDEXED: i64 = 50_000;
const INDEX_INTERVAL_BYTES: u32 = 4_096;

struct Part {
    name: &'static str,
    run: Box<dyn FnMut()>,
}

fn part<T>(name: &'static str, mut run: impl FnMut() -> T + 'static) -> Part {
    Part { name, run: Box::new(move || drop(black_box(run()))) }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if arguments.get(1) == Some(&"--list") {
        parts().iter().for_each(|part| println!("{}", part.name));
    } else if let [_, "--count", name, times] = arguments[..] {
        let mut part = parts().into_iter().find(|part| part.name == name).expect("a part's name");
        (0..times.parse::<u64>().unwrap()).for_each(|_| (part.run)());
    } else {
        let mut criterion = Criterion::default().configure_from_args();
        for mut part in parts() {
            criterion.bench_function(part.name, |bencher| bencher.iter(|| (part.run)()));
        }
        criterion.final_summary();
    }
}

fn parts() -> Vec<Part> {
    let mut parts = requests();
    parts.extend(batches());
    parts.extend(journal());
    parts.push(index());
    parts
}

fn batch(first: i64, records: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    let value: Vec<u8> = (0..VALUE_BYTES).map(|at| at as u8).collect();
    (0..records).for_each(|at| builder.push(at as i64, None, Some(&value), &[]));
    let mut batch = builder.finish();
    patch(&mut batch, Offset(first), LeaderEpoch(0));
    batch
}

fn partition(index: i32) -> PartitionId {
    PartitionId { topic_id: TopicId([5; 16]), partition: PartitionIndex(index) }
}

fn frame(version: i16, request: &Request) -> Bytes {
    let header = RequestHeader {
        api_key: match request {
            Request::Produce(_) => ApiKey::Produce,
            _ => ApiKey::Fetch,
        },
        api_version: version,
        correlation_id: CorrelationId(1),
        client_id: Some("a client".into()),
    };
    let frame = encode_request(&header, request).unwrap().concat();
    Bytes::from(frame).slice(SIZE_BYTES..)
}

fn requests() -> Vec<Part> {
    let records = Bytes::from(batch(0, RECORDS));
    let data = |index| PartitionProduceData { index, records: Some(records.clone()) };
    let produce = ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            name: "a-topic".into(),
            partition_data: (0..MANY as i32).map(data).collect(),
        }],
        ..ProduceRequest::default()
    };
    let wanted = |partition| FetchPartition { partition, fetch_offset: 77, ..Default::default() };
    let fetch = FetchRequest {
        max_wait_ms: 500,
        min_bytes: 1,
        topics: vec![FetchTopic {
            topic_id: TopicId([5; 16]),
            partitions: (0..MANY as i32).map(wanted).collect(),
            ..FetchTopic::default()
        }],
        ..FetchRequest::default()
    };
    let produce = frame(PRODUCE_VERSION, &produce.into());
    let fetch = frame(FETCH_VERSION, &fetch.into());
    vec![
        part("decode_produce_64_partitions", move || decode_request(&produce).unwrap()),
        part("decode_fetch_64_partitions", move || decode_request(&fetch).unwrap()),
    ]
}

fn batches() -> Vec<Part> {
    let produced = Bytes::from(batch(0, RECORDS));
    let rules = ProduceRules {
        zstd_allowed: true,
        batch_bytes_max: 1 << 20,
        segment_bytes_max: 1 << 30,
        timestamp_type: TimestampType::CreateTime,
    };
    let stored: Vec<u8> = (0..MANY).flat_map(|at| batch((at * RECORDS) as i64, RECORDS)).collect();
    let records = validate_produce(Some(&produced), &rules).unwrap().record_data();
    vec![
        part("validate_batch_16_kib", move || validate_produce(Some(&produced), &rules).unwrap()),
        part("walk_64_batches", move || {
            BatchWalk::new(&stored).map(|batch| batch.unwrap().header.next_offset().0).sum::<i64>()
        }),
        part("iterate_16_records", move || {
            RecordIterator::new(&records, RECORDS as i32).filter(Result::is_ok).count()
        }),
    ]
}

fn group_header(file_bytes: usize) -> GroupHeader {
    GroupHeader {
        shard: 0,
        incarnation: 1,
        sequence: 0,
        acknowledged_end: 0,
        live_start: 0,
        opening_end: 1,
        previous_crc: 0,
        file_bytes: file_bytes as u64,
    }
}

fn journal() -> Vec<Part> {
    // One record each: what an entry costs, beside the bytes of its body.
    let body = batch(0, 1);
    let entries: Vec<Entry> = (0..MANY as i32)
        .map(|at| Entry {
            base: Offset(0),
            next: Offset(1),
            body_bytes: body.len() as u32,
            run_bytes: body.len() as u64,
            ..Entry::new(EntryKind::Append, partition(at))
        })
        .collect();
    let bytes = group_bytes(MANY, MANY * body.len());
    let arena = Arena::new(4 << 20).unwrap();
    let mut block = arena.allocate(bytes).unwrap();
    let mut encode = move || {
        let bodies = (0..MANY).map(|_| &body[..]);
        group::encode(&mut block, SALT, &group_header(bytes), &entries, bodies);
        Bytes::copy_from_slice(&block[..bytes])
    };
    let file = JournalBytes::from(encode());
    assert_eq!(scan(std::slice::from_ref(&file), SALT, 0).complete.len(), 1);
    vec![
        part("encode_journal_group_64_entries", encode),
        part("scan_journal_group_64_entries", move || scan(std::slice::from_ref(&file), SALT, 0)),
    ]
}

fn index() -> Part {
    let one = batch(0, RECORDS);
    let header = BatchHeader::read(&one).unwrap();
    let mut index = SegmentIndex::default();
    for at in 0..INDEXED {
        let base_offset = Offset(at * RECORDS as i64);
        let header = BatchHeader { base_offset, ..header };
        index.note(Offset(0), at as u64 * one.len() as u64, &header, INDEX_INTERVAL_BYTES);
    }
    let mut wanted = 0;
    part("look_up_in_index", move || {
        // A multiplicative walk over all offsets: neither the cache nor the branches learn it.
        wanted = (wanted * 48_271 + 11) % (INDEXED * RECORDS as i64);
        index.position_before(Offset(0), Offset(wanted))
    })
}
