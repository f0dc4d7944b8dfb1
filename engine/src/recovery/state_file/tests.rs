//! The state file: round trips and garbage.

use std::collections::VecDeque;

use bytes::Bytes;
use proptest::prelude::*;
use protocol::{LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, TopicId};

use super::{SavedState, decode, encode_section, encode_sections};
use crate::PartitionId;
use crate::partition::epochs::EpochHistory;
use crate::partition::producers::{Producer, ProducerBatch, ProducerTable};

fn id(at: u8) -> PartitionId {
    PartitionId { topic_id: TopicId([at; 16]), partition: PartitionIndex(i32::from(at)) }
}

fn state(producers: i64, as_of: i64) -> SavedState {
    let mut table = ProducerTable::default();
    for at in 0..producers {
        let batch = |of: i32| ProducerBatch {
            first_sequence: of,
            last_sequence: of + 1,
            base: Offset(at),
            next: Offset(at + 1),
            timestamp: -1,
        };
        let batches: VecDeque<_> = (0..i32::try_from(at % 6).unwrap()).map(batch).collect();
        let producer = Producer { epoch: ProducerEpoch(3), last_append_ms: at, batches };
        table.insert(ProducerId(at), producer);
    }
    let epochs = vec![(LeaderEpoch(0), Offset(0)), (LeaderEpoch(4), Offset(9))];
    SavedState {
        as_of: Offset(as_of),
        leader_epoch: LeaderEpoch(4),
        epochs: EpochHistory::from_pairs(epochs).unwrap(),
        producers: table,
        producers_known: true,
    }
}

fn file(sections: &[(PartitionId, SavedState)]) -> Vec<u8> {
    let sections: Vec<Bytes> =
        sections.iter().map(|(id, state)| encode_section(*id, state)).collect();
    encode_sections(sections.iter()).to_vec()
}

#[test]
fn what_is_saved_is_read_back() {
    let saved = [(id(1), state(9, 40)), (id(2), state(0, 0))];
    let found = decode(Bytes::from(file(&saved)));
    assert_eq!(found.into_iter().collect::<Vec<_>>(), saved);
}

#[test]
fn unknown_producers_are_told_from_none() {
    let unknown = SavedState { producers_known: false, ..state(0, 7) };
    let found = decode(Bytes::from(file(&[(id(1), unknown.clone())])));
    assert_eq!(found.get(&id(1)), Some(&unknown));
}

#[test]
fn the_file_has_the_layout_that_nodes_on_disk_have() {
    let bytes = file(&[(id(1), state(0, 40))]);
    let mut body = vec![1u8; 16];
    body.extend(1i32.to_le_bytes());
    body.extend(40i64.to_le_bytes());
    body.extend(4i32.to_le_bytes());
    body.extend(2u32.to_le_bytes());
    body.extend([&0i32.to_le_bytes()[..], &0i64.to_le_bytes()].concat());
    body.extend([&4i32.to_le_bytes()[..], &9i64.to_le_bytes()].concat());
    body.extend(0u32.to_le_bytes());
    let mut golden = b"CLST\x01\0\0\0".to_vec();
    golden.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
    golden.extend(crc32c::crc32c(&body).to_le_bytes());
    golden.extend(body);
    assert_eq!(bytes, golden);
}

#[test]
fn damage_costs_one_partition_and_the_newer_of_two_sections_counts() {
    let mut bytes = file(&[(id(1), state(2, 40)), (id(2), state(2, 50))]);
    bytes[30] ^= 1;
    let found = decode(Bytes::from(bytes));
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), [id(2)]);
    let twice = file(&[(id(1), state(2, 50)), (id(1), state(3, 40))]);
    assert_eq!(decode(Bytes::from(twice))[&id(1)], state(2, 50));
}

#[test]
fn another_format_is_as_good_as_none() {
    let sound = file(&[(id(1), state(0, 0))]);
    for at in 0..6 {
        let mut bytes = sound.clone();
        bytes[at] ^= 1;
        assert!(decode(Bytes::from(bytes)).is_empty());
    }
}

proptest! {
    #[test]
    fn flipped_and_cut_files_never_panic_and_never_invent(
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..10),
        cut in any::<prop::sample::Index>(),
    ) {
        let saved = [(id(1), state(9, 40)), (id(2), state(3, 50))];
        let mut bytes = file(&saved);
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= byte;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        for (id, state) in decode(Bytes::from(bytes)) {
            prop_assert!(saved.contains(&(id, state)));
        }
    }
}
