//! Sound bytes of every kind of file, for fuzzers to damage: noise alone gets nowhere near the places where
//! recovery decides something.

use std::collections::VecDeque;

use bytes::Bytes;
use protocol::record_batch::{BatchBuilder, BatchOptions, BatchSlice, Compression};
use protocol::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use runtime::memory::{Arena, Block};

use super::{SALT, some_partition};
use crate::PartitionId;
use crate::journal::entry::{Entry, EntryKind};
use crate::journal::group::{GroupHeader, encode};
use crate::partition::epochs::EpochHistory;
use crate::partition::index::SegmentIndex;
use crate::partition::producers::{Producer, ProducerBatch, ProducerTable};
use crate::recovery::state_file::{SavedState, encode_section, encode_sections};

/// Journal files, state files, segments behind the three bytes that choose what for, pairs of indexes: each
/// as its entry point takes it.
pub fn samples() -> Vec<Vec<u8>> {
    vec![
        journal(&[&[start()], &[append(0), append(1)], &[log_start(3)]]),
        journal(&[&[start(), checkpoint(), checkpoint_end()], &[epoch(), append(0)], &[close()]]),
        journal(&[&[start(), checkpoint(), fragment(), checkpoint_end()], &[append(1)]]),
        journal(&[&[start()], &[pointer()], &[append(2)], &[], &[append(3)]]),
        state_file(),
        [vec![2, 128, 200], segment()].concat(),
        [vec![9, 100, 31], segment()].concat(),
        index_files(),
    ]
}

/// A row of a group, and its body.
type Row = (Entry, Vec<u8>);

fn row(kind: EntryKind, change: impl FnOnce(&mut Entry)) -> Row {
    let mut entry = Entry { leader_epoch: LeaderEpoch(1), ..Entry::new(kind, some_partition()) };
    change(&mut entry);
    (entry, Vec::new())
}

fn start() -> Row {
    (Entry::new(EntryKind::Start, PartitionId::NONE), Vec::new())
}

fn checkpoint_end() -> Row {
    (Entry::new(EntryKind::CheckpointEnd, PartitionId::NONE), Vec::new())
}

fn checkpoint() -> Row {
    row(EntryKind::Checkpoint, |_| {})
}

fn epoch() -> Row {
    row(EntryKind::EpochStart, |_| {})
}

fn log_start(base: i64) -> Row {
    row(EntryKind::LogStart, |entry| entry.base = Offset(base))
}

fn close() -> Row {
    row(EntryKind::Close, |entry| entry.next = Offset(5))
}

/// The batch at this place of a log of equal batches.
fn append(place: u8) -> Row {
    let body = batch(place);
    let (mut entry, _) = row(EntryKind::Append, |_| {});
    entry.base = Offset(i64::from(place) * 5);
    entry.next = Offset(entry.base.0 + 5);
    entry.position = u64::from(place) * body.len() as u64;
    entry.run_bytes = body.len() as u64;
    (entry, body)
}

fn fragment() -> Row {
    let (mut entry, body) = append(0);
    entry.kind = EntryKind::Fragment;
    (entry, body)
}

/// Two whole blocks that are in the segment, and one batch behind them.
fn pointer() -> Row {
    let body = batch(1);
    let (mut entry, _) = row(EntryKind::Pointer, |entry| entry.next = Offset(10));
    entry.run_bytes = 8_192 + body.len() as u64;
    entry.run_crc = crc32c::crc32c(&[0; 8_192]);
    (entry, body)
}

fn batch(place: u8) -> Vec<u8> {
    let compression = if place == 2 { Compression::Lz4 } else { Compression::None };
    let mut builder = BatchBuilder::new(BatchOptions { compression, ..BatchOptions::default() });
    for at in 0..5 {
        builder.push(1_000 + at, Some(b"key"), Some(&[place; 40]), &[]);
    }
    let mut bytes = builder.finish();
    let base = i64::from(place) * 5;
    bytes[..8].copy_from_slice(&base.to_be_bytes());
    bytes[12..16].copy_from_slice(&1i32.to_be_bytes());
    bytes
}

fn journal(groups: &[&[Row]]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut previous_crc = 0;
    let mut block = block();
    for (sequence, rows) in (0u64..).zip(groups) {
        let header = GroupHeader {
            shard: 0,
            incarnation: 1,
            sequence,
            acknowledged_end: sequence,
            live_start: 0,
            opening_end: 1,
            previous_crc,
            file_bytes: 0,
        };
        let mut entries: Vec<Entry> = rows.iter().map(|row| row.0).collect();
        for (entry, (_, body)) in entries.iter_mut().zip(*rows) {
            entry.body_bytes = u32::try_from(body.len()).expect("bodies are a few batches");
        }
        let bodies = rows.iter().map(|row| &row.1[..]);
        let (length, crc) = encode(&mut block, SALT, &header, &entries, bodies);
        previous_crc = crc;
        file.extend_from_slice(&block[..length]);
    }
    file
}

fn block() -> Block {
    let arena = Arena::new(64 << 10).expect("64 KiB can be mapped");
    arena.allocate(32 << 10).expect("it is the arena's first block")
}

fn state_file() -> Vec<u8> {
    let batch = ProducerBatch {
        first_sequence: 3,
        last_sequence: 7,
        base: Offset(0),
        next: Offset(5),
        timestamp: -1,
    };
    let mut producers = ProducerTable::default();
    for id in 0..3 {
        let batches = VecDeque::from([batch, batch]);
        let producer = Producer { epoch: ProducerEpoch(1), last_append_ms: 1_000, batches };
        producers.insert(ProducerId(id), producer);
    }
    let epochs = vec![(LeaderEpoch(0), Offset(0)), (LeaderEpoch(1), Offset(3))];
    let state = SavedState {
        as_of: Offset(5),
        leader_epoch: LeaderEpoch(1),
        epochs: EpochHistory::from_pairs(epochs).expect("they grow"),
        producers,
        producers_known: true,
    };
    let section: Bytes = encode_section(some_partition(), &state);
    encode_sections([&section, &section].into_iter()).to_vec()
}

fn segment() -> Vec<u8> {
    (0..4).flat_map(batch).collect()
}

/// The length of the offset index, then the two.
fn index_files() -> Vec<u8> {
    let (mut index, mut position) = (SegmentIndex::default(), 0);
    for place in 0..40 {
        let bytes = batch(place);
        let header = BatchSlice::first(&bytes).expect("it was just built").header;
        index.note(Offset(0), position, &header, 64);
        position += bytes.len() as u64;
    }
    let (offsets, times) = index.encode();
    let length = u16::try_from(offsets.len()).expect("forty entries");
    [&length.to_le_bytes()[..], &offsets[..], &times[..]].concat()
}
