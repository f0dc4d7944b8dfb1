//! Log compaction over real files: what stays, what a crash at any step leaves, what readers see meanwhile.

#![allow(clippy::unwrap_used, clippy::tests_outside_test_module, reason = "tests may panic")]

mod world;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use engine::PartitionId;
use engine::config::{CompactionConfig, LogConfig};
use engine::disk::{DiskClass, DiskEffect, DiskOp, Step};
use engine::request::ReadError;
use protocol::Offset;
use protocol::record_batch::{BatchSlice, Compression, RecordIterator};
use world::{Batch, World};

/// Key to (offset, value) of its newest record.
type Newest = BTreeMap<String, (i64, Option<String>)>;

fn compacted() -> LogConfig {
    LogConfig {
        cleanup_compact: true,
        cleanup_delete: false,
        segment_bytes: 4_096,
        compaction: CompactionConfig {
            dirty_ratio_ppm_min: 1,
            delete_retention_ms: 1 << 40,
            ..CompactionConfig::default()
        },
        ..LogConfig::default()
    }
}

fn world() -> World {
    let mut world = World::new();
    world.config = compacted();
    world
}

/// All records in order: (offset, key, value).
fn records(world: &mut World, id: PartitionId) -> Vec<(i64, String, Option<String>)> {
    let offsets = world.offsets(id);
    let mut at = offsets.log_start;
    let mut found = Vec::new();
    while at < offsets.high_watermark {
        let read = world.read(id, at);
        assert!(read.bytes > 0, "there is something to read at {at:?}: {offsets:?}");
        let bytes = read.parts.concat();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let batch = BatchSlice::first(rest).unwrap();
            assert!(batch.crc_is_valid());
            assert!(batch.header.next_offset() > at, "batches come in order");
            at = batch.header.next_offset();
            rest = &rest[batch.bytes.len()..];
            let codec = batch.header.attributes.compression().unwrap();
            let data = Bytes::copy_from_slice(batch.record_data());
            let data = codec.decompress(&data, 1 << 20).unwrap();
            for record in RecordIterator::new(&data, batch.header.record_count) {
                let record = record.unwrap();
                let offset = batch.header.base_offset.0 + i64::from(record.offset_delta);
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                found.push((offset, text(record.key.unwrap()), record.value.map(text)));
            }
        }
        assert_eq!(at, read.next);
    }
    found
}

fn newest(records: &[(i64, String, Option<String>)]) -> Newest {
    records.iter().map(|(offset, key, value)| (key.clone(), (*offset, value.clone()))).collect()
}

const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Batches of two records until some segments are full. A codec for each.
fn fill(world: &mut World, id: PartitionId, batches: usize) {
    for at in 0..batches {
        let value = format!("{at:0>400}");
        let (first, second) = (KEYS[at % 4], KEYS[(at + 1) % 4]);
        let batch = Batch::keyed(&[(first, Some(&value)), (second, Some(&value))]);
        world.append(id, &batch.compressed(Compression::ALL[at % 3]));
    }
}

/// Time for checkpoints, and for a round of the cleaner behind each.
fn clean(world: &mut World) {
    for _ in 0..40 {
        world.tick();
    }
}

#[test]
fn of_each_key_the_newest_record_is_left_in_few_segments() {
    let mut world = world();
    let id = world.create("t-0");
    fill(&mut world, id, 60);
    let before = records(&mut world, id);
    let segments = world.engine().get(id).unwrap().segments.len();
    assert!(segments > 5, "{segments}");
    clean(&mut world);
    for _ in 0..2 {
        let after = records(&mut world, id);
        assert_eq!(newest(&after), newest(&before));
        assert!(after.len() < before.len() / 3, "{} of {}", after.len(), before.len());
        assert!(after.iter().all(|record| before.contains(record)), "nothing is made up");
        let partition = world.engine().get(id).unwrap();
        assert!(partition.segments.len() < segments / 2, "small segments become one");
        assert_eq!(world.offsets(id).log_start, Offset(0));
        world.crash();
    }
    fill(&mut world, id, 60);
    let expected = newest(&records(&mut world, id));
    clean(&mut world);
    world.stop();
    assert_eq!(newest(&records(&mut world, id)), expected);
}

#[test]
fn a_topic_that_is_not_compacted_is_left_alone() {
    let mut world = world();
    world.config.cleanup_compact = false;
    let id = world.create("t-0");
    fill(&mut world, id, 30);
    clean(&mut world);
    assert_eq!((records(&mut world, id).len(), world.engine().metrics.cleaner_rounds), (60, 0));
}

#[test]
fn tombstones_go_when_their_time_has_passed_and_what_they_deleted_stays_away() {
    let mut world = world();
    world.config.compaction.delete_retention_ms = 60_000;
    let id = world.create("t-0");
    world.append(id, &Batch::keyed(&[("gone", Some("1")), ("a", Some("1"))]));
    fill(&mut world, id, 20);
    world.append(id, &Batch::keyed(&[("gone", None)]));
    fill(&mut world, id, 20);
    clean(&mut world);
    let gone = |records: &[(i64, String, Option<String>)]| -> Vec<Option<String>> {
        let of_it = records.iter().filter(|record| record.1 == "gone");
        of_it.map(|record| record.2.clone()).collect()
    };
    assert_eq!(gone(&records(&mut world, id)), [None], "consumers are told of the deletion");
    clean(&mut world);
    fill(&mut world, id, 20);
    clean(&mut world);
    assert_eq!(gone(&records(&mut world, id)), []);
    world.crash();
    assert_eq!(gone(&records(&mut world, id)), []);
}

#[test]
fn a_producer_whose_records_are_gone_goes_on_with_its_sequence() {
    let mut world = world();
    let id = world.create("t-0");
    let batch = |sequence| Batch::keyed(&[("a", Some("1"))]).by_producer(5, 0, sequence);
    world.append(id, &batch(0));
    world.append(id, &batch(1));
    fill(&mut world, id, 40);
    clean(&mut world);
    assert!(!records(&mut world, id).iter().any(|record| record.0 < 2));
    // The scan through the log finds its last batch, without records.
    std::fs::remove_file(world.root().join("journal/0/state")).unwrap();
    world.crash();
    world.settle(30);
    assert_eq!(world.append(id, &batch(1)).base, Offset(1), "a duplicate");
    assert_eq!(world.append(id, &batch(2)).base, world.offsets(id).log_end.minus(1));
}

trait Minus {
    fn minus(self, count: i64) -> Offset;
}

impl Minus for Offset {
    fn minus(self, count: i64) -> Offset {
        Offset(self.0 - count)
    }
}

#[test]
fn records_that_are_too_young_stay() {
    let mut world = world();
    world.config.compaction.lag_ms_min = 3_600_000;
    let id = world.create("t-0");
    fill(&mut world, id, 40);
    clean(&mut world);
    assert_eq!(records(&mut world, id).len(), 80);
    world.crash();
    clean(&mut world);
    assert_eq!(records(&mut world, id).len(), 80);
}

#[test]
fn a_log_with_few_dirty_bytes_waits_until_they_are_old() {
    let mut world = world();
    world.config.compaction.dirty_ratio_ppm_min = 1_000_000;
    let id = world.create("t-0");
    fill(&mut world, id, 40);
    clean(&mut world);
    assert_eq!(records(&mut world, id).len(), 80);
    world.config.compaction.lag_ms_max = Some(20_000);
    world.crash();
    clean(&mut world);
    assert!(records(&mut world, id).len() < 40);
}

/// Effects of the cleaner: its transfers, and jobs that name its files.
fn is_of_the_cleaner(effect: &DiskEffect) -> bool {
    match &effect.request {
        DiskOp::Read { class, .. } | DiskOp::Write { class, .. } => *class == DiskClass::Background,
        DiskOp::Job(job) => job.steps.iter().any(|step| {
            let path = match step {
                Step::Rename { from, .. } => from,
                Step::RemoveFile(path) | Step::Allocate { path, .. } => path,
                _ => return false,
            };
            let name = path.to_str().unwrap();
            name.contains("cleaned") || name.contains("cleaner") || name.ends_with(".log")
        }),
        _ => false,
    }
}

static STEPS_LEFT: AtomicUsize = AtomicUsize::new(0);

/// Lets so many of the cleaner's operations happen, and no more.
fn holds_when_spent(effect: &DiskEffect) -> bool {
    let spend = |left: usize| left.checked_sub(1);
    is_of_the_cleaner(effect)
        && STEPS_LEFT.fetch_update(Ordering::SeqCst, Ordering::SeqCst, spend).is_err()
}

/// At every operation of a round in turn: a crash there, and an orderly end, lose nothing and bring nothing back.
#[test]
fn a_crash_between_any_two_operations_leaves_the_old_or_the_new_segments() {
    let mut went_through = false;
    for steps in 0..200 {
        let mut world = world();
        let id = world.create("t-0");
        fill(&mut world, id, 30);
        let before = records(&mut world, id);
        STEPS_LEFT.store(steps, Ordering::SeqCst);
        world.hold = holds_when_spent;
        clean(&mut world);
        went_through = world.held() == 0;
        let meanwhile = records_if_read(&mut world, id);
        world.hold = |_| false;
        world.crash();
        let after = records(&mut world, id);
        assert_eq!(newest(&after), newest(&before), "after {steps} operations");
        assert!(after.iter().all(|record| before.contains(record)));
        if let Some(meanwhile) = meanwhile {
            assert_eq!(newest(&meanwhile), newest(&before), "after {steps} operations");
        }
        let leftovers = std::fs::read_dir(world.root().join("t-0")).unwrap();
        let names = leftovers.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(names.filter(|name| name.contains("cleaned")).count(), 0);
        fill(&mut world, id, 30);
        let before = records(&mut world, id);
        clean(&mut world);
        world.stop();
        assert_eq!(newest(&records(&mut world, id)), newest(&before), "after {steps} operations");
        if went_through {
            break;
        }
    }
    assert!(went_through, "a round has fewer operations");
}

/// `None` where the reads wait for the file that is about to be replaced.
fn records_if_read(
    world: &mut World,
    id: PartitionId,
) -> Option<Vec<(i64, String, Option<String>)>> {
    let is_waiting = world.engine().get(id).unwrap().segments.iter().any(|it| it.is_replaced);
    (!is_waiting).then(|| records(world, id))
}

#[test]
fn reads_that_wait_for_the_new_segment_find_it() {
    let mut world = world();
    let id = world.create("t-0");
    fill(&mut world, id, 30);
    let before = newest(&records(&mut world, id));
    // The job that gives the new files their names.
    world.hold = |effect| match &effect.request {
        DiskOp::Job(job) => job.steps.iter().any(|step| match step {
            Step::Rename { to, .. } => to.extension().is_some_and(|it| it == "timeindex"),
            _ => false,
        }),
        _ => false,
    };
    clean(&mut world);
    assert_eq!(world.held(), 1);
    let waiting = world.submit_read(id, Offset(0));
    world.settle(5);
    assert_eq!(world.read_answer(waiting), None);
    world.let_go();
    let answer: Result<_, ReadError> = world.read_answer(waiting).unwrap();
    assert!(answer.unwrap().bytes > 0);
    assert_eq!(newest(&records(&mut world, id)), before);
}

#[test]
fn a_log_that_moves_to_another_shard_keeps_its_gaps() {
    let mut world = world();
    let id = world.create("t-0");
    fill(&mut world, id, 30);
    clean(&mut world);
    let before = records(&mut world, id);
    world.move_to_new_shard(id);
    assert_eq!(records(&mut world, id), before);
}

#[test]
fn retention_takes_cleaned_segments_too() {
    let mut world = world();
    world.config.cleanup_delete = true;
    world.config.retention_ms = Some(100_000);
    let id = world.create("t-0");
    fill(&mut world, id, 30);
    clean(&mut world);
    for _ in 0..100 {
        world.tick();
    }
    let offsets = world.offsets(id);
    assert_eq!(offsets.log_start, offsets.log_end);
    world.crash();
    assert_eq!(world.offsets(id).log_start, offsets.log_end);
}

#[test]
fn damage_is_not_cleaned_away() {
    let mut world = world();
    let id = world.create("t-0");
    fill(&mut world, id, 30);
    world.settle(2);
    let path = world.root().join("t-0/00000000000000000000.log");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    clean(&mut world);
    assert_eq!(world.engine().metrics.cleaner_uncleanable, 1);
    assert_eq!(world.engine().metrics.cleaner_failures, 1, "it is not tried again");
    let last = world.offsets(id).log_end.minus(1);
    assert!(world.read(id, last).bytes > 0, "everything else is served");
}
