//! Sequences of idempotent producers: each row of the decision table.

use protocol::record_batch::{Attributes, BatchHeader, MAGIC};
use protocol::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

use super::{ProducerBatch, ProducerTable, SequenceCheck};
use crate::limits::PRODUCERS_PER_PARTITION_MAX;

/// A batch of `count` records by producer 1.
fn batch(epoch: i16, sequence: i32, count: i32, base: i64) -> BatchHeader {
    BatchHeader {
        base_offset: Offset(base),
        batch_length: 100,
        partition_leader_epoch: LeaderEpoch(0),
        magic: MAGIC,
        crc: 0,
        attributes: Attributes(0),
        last_offset_delta: count - 1,
        base_timestamp: 0,
        max_timestamp: 0,
        producer_id: ProducerId(1),
        producer_epoch: ProducerEpoch(epoch),
        base_sequence: sequence,
        record_count: count,
    }
}

fn after(batches: &[BatchHeader]) -> ProducerTable {
    let mut table = ProducerTable::default();
    for batch in batches {
        table.note(batch, -1, 0);
    }
    table
}

fn verdict(table: &ProducerTable, header: &BatchHeader) -> String {
    match table.check(header) {
        SequenceCheck::Append => "append".to_owned(),
        SequenceCheck::Duplicate(batch) => {
            format!("duplicate of {}..{}", batch.base.0, batch.next.0)
        }
        SequenceCheck::InvalidEpoch { stored } => format!("epoch {}", stored.0),
        SequenceCheck::OutOfOrder { expected, .. } => format!("expected {expected}"),
    }
}

#[test]
fn every_row_of_the_table_holds() {
    let known = after(&[batch(4, 0, 2, 0), batch(4, 2, 3, 2)]);
    let rows = [
        ("unknown producer, any sequence", ProducerTable::default(), batch(0, 77, 1, 0), "append"),
        ("older epoch", known.clone(), batch(3, 5, 1, 0), "epoch 4"),
        ("newer epoch from 0", known.clone(), batch(5, 0, 1, 0), "append"),
        ("newer epoch from elsewhere", known.clone(), batch(5, 5, 1, 0), "expected 0"),
        ("the last batch again", known.clone(), batch(4, 2, 3, 0), "duplicate of 2..5"),
        ("the one before again", known.clone(), batch(4, 0, 2, 0), "duplicate of 0..2"),
        ("the next one", known.clone(), batch(4, 5, 9, 0), "append"),
        ("a gap", known.clone(), batch(4, 6, 1, 0), "expected 5"),
        ("the same beginning, another end", known.clone(), batch(4, 2, 2, 0), "expected 5"),
        ("beginning anew", known, batch(4, 0, 1, 0), "expected 5"),
    ];
    for (name, table, header, expected) in rows {
        assert_eq!(verdict(&table, &header), expected, "{name}");
    }
}

#[test]
fn five_batches_are_remembered_and_a_sixth_takes_the_oldest_place() {
    let batches: Vec<_> = (0..6).map(|at| batch(0, at, 1, i64::from(at))).collect();
    let table = after(&batches);
    assert_eq!(verdict(&table, &batches[0]), "expected 6");
    for (at, batch) in batches.iter().enumerate().skip(1) {
        assert_eq!(verdict(&table, batch), format!("duplicate of {at}..{}", at + 1));
    }
}

#[test]
fn a_new_epoch_forgets_the_batches_of_the_old_one() {
    let table = after(&[batch(0, 0, 2, 0), batch(1, 0, 1, 2)]);
    assert_eq!(verdict(&table, &batch(1, 0, 1, 0)), "duplicate of 2..3");
    assert_eq!(verdict(&table, &batch(1, 0, 2, 0)), "expected 1");
    assert_eq!(verdict(&table, &batch(0, 2, 1, 0)), "epoch 1");
}

#[test]
fn sequences_wrap_from_the_largest_to_0() {
    let max = i32::MAX;
    let table = after(&[batch(0, max - 1, 2, 0)]);
    assert_eq!(verdict(&table, &batch(0, 0, 1, 0)), "append");
    assert_eq!(verdict(&table, &batch(0, 1, 1, 0)), "expected 0");
    // A batch across the wrap: its last sequence is 1.
    let across = batch(0, max - 1, 4, 0);
    let table = after(&[across]);
    assert_eq!(table.iter().next().unwrap().1.batches[0].last_sequence, 1);
    assert_eq!(verdict(&table, &across), "duplicate of 0..4");
    assert_eq!(verdict(&table, &batch(0, 2, 1, 0)), "append");
    assert_eq!(verdict(&table, &batch(0, 0, 1, 0)), "expected 2");
}

#[test]
fn a_duplicate_carries_the_timestamp_of_its_first_answer() {
    let mut table = ProducerTable::default();
    table.note(&batch(0, 0, 1, 40), 1_234, 0);
    let SequenceCheck::Duplicate(found) = table.check(&batch(0, 0, 1, 0)) else { panic!() };
    let expected = ProducerBatch {
        first_sequence: 0,
        last_sequence: 0,
        base: Offset(40),
        next: Offset(41),
        timestamp: 1_234,
    };
    assert_eq!(found, expected);
}

#[test]
fn silent_producers_expire_and_the_number_of_producers_is_bounded() {
    let mut table = ProducerTable::default();
    let by = |id: i64| BatchHeader { producer_id: ProducerId(id), ..batch(0, 0, 1, 0) };
    for id in 0..PRODUCERS_PER_PARTITION_MAX as i64 + 10 {
        table.note(&by(id), -1, id);
    }
    assert!(table.len() <= PRODUCERS_PER_PARTITION_MAX);
    assert_eq!(verdict(&table, &by(0)), "append", "the silent ones went first");
    let newest = PRODUCERS_PER_PARTITION_MAX as i64 + 9;
    assert!(verdict(&table, &by(newest)).starts_with("duplicate"));
    table.expire(newest);
    assert_eq!(table.len(), 1);
}

#[test]
fn the_most_silent_producers_of_a_shard_go_when_there_are_too_many() {
    let mut tables = [ProducerTable::default(), ProducerTable::default()];
    for at in 0..100 {
        let table = &mut tables[usize::from(at % 4 == 0)];
        table.note(&BatchHeader { producer_id: ProducerId(at), ..batch(0, 0, 1, 0) }, -1, at);
    }
    assert_eq!(ProducerTable::crowded_out_before(tables.iter(), 100), None);
    let before = ProducerTable::crowded_out_before(tables.iter(), 60);
    assert_eq!(before, Some(40));
    for table in &mut tables {
        table.expire(before.unwrap());
        assert!(table.iter().all(|(id, _)| id.0 >= 40));
    }
    assert_eq!(tables[0].len() + tables[1].len(), 60);
    // Without a bound to keep, nobody goes; with none allowed, all but the last.
    assert_eq!(ProducerTable::crowded_out_before(tables.iter(), usize::MAX), None);
    assert_eq!(ProducerTable::crowded_out_before(tables.iter(), 1), Some(99));
}
