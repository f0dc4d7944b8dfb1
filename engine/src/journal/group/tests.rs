//! Groups: golden bytes, round trips, and every kind of damage.

use bytes::Bytes;
use protocol::{Offset, PartitionIndex, TopicId};
use runtime::memory::Arena;

use super::{Group, GroupContent, GroupHeader, HEADER_BYTES, JournalSalt, decode, encode};
use crate::PartitionId;
use crate::journal::entry::{ENTRY_BYTES, Entry, EntryKind};

const SALT: JournalSalt = JournalSalt(0x0123_4567_89ab_cdef);
const HEADER: GroupHeader = GroupHeader {
    shard: 2,
    incarnation: 5,
    sequence: 9,
    acknowledged_end: 8,
    live_start: 4,
    opening_end: 1,
    previous_crc: 0x5555_aaaa,
    file_bytes: 0,
};

fn entry(body: &[u8]) -> Entry {
    let partition = PartitionId { topic_id: TopicId([1; 16]), partition: PartitionIndex(0) };
    let bytes = u32::try_from(body.len()).unwrap();
    Entry {
        next: Offset(1),
        body_bytes: bytes,
        run_bytes: u64::from(bytes),
        ..Entry::new(EntryKind::Append, partition)
    }
}

fn group(bodies: &[&[u8]]) -> Vec<u8> {
    let mut block = Arena::new(2 << 20).unwrap().allocate(1 << 20).unwrap();
    block.fill(0xee);
    let entries: Vec<Entry> = bodies.iter().map(|body| entry(body)).collect();
    let (length, _) = encode(&mut block, SALT, &HEADER, &entries, bodies.iter().copied());
    block[..length].to_vec()
}

fn read(bytes: Vec<u8>) -> Option<Group> {
    decode(&Bytes::from(bytes), SALT, 2)
}

#[test]
fn what_is_written_is_read_back() {
    let bytes = group(&[b"first", b"second body"]);
    assert_eq!(bytes.len(), 4096);
    let read = read(bytes).unwrap();
    assert_eq!((read.header, read.total_bytes), (HEADER, 4096));
    let GroupContent::Sound(entries) = read.content else { panic!("{:?}", read.content) };
    let bodies: Vec<&[u8]> = entries.iter().map(|(_, body)| &body[..]).collect();
    assert_eq!(bodies, [&b"first"[..], b"second body"]);
    assert_eq!(entries[1].0, entry(b"second body"));
}

#[test]
fn the_header_has_the_layout_that_journals_on_disk_have() {
    let bytes = group(&[b"x"]);
    let mut golden = b"CLJG".to_vec();
    golden.extend([1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0]);
    for field in [5u64, 9, 8, 4, 1] {
        golden.extend(field.to_le_bytes());
    }
    for field in [4096u32, 88, 1, 0x5555_aaaa] {
        golden.extend(field.to_le_bytes());
    }
    golden.extend(crc32c::crc32c(&bytes[HEADER_BYTES..HEADER_BYTES + ENTRY_BYTES]).to_le_bytes());
    golden.extend(crc32c::crc32c(b"x").to_le_bytes());
    golden.resize(124, 0);
    let salted = [&SALT.0.to_le_bytes()[..], &golden].concat();
    golden.extend(crc32c::crc32c(&salted).to_le_bytes());
    assert_eq!(bytes[..HEADER_BYTES], golden);
    assert!(bytes[HEADER_BYTES + ENTRY_BYTES + 1..].iter().all(|byte| *byte == 0), "padding");
}

#[test]
fn every_flipped_bit_is_noticed_where_it_hurts() {
    let bodies: [&[u8]; 2] = [b"first", b"second"];
    let sound = group(&bodies);
    let table_end = HEADER_BYTES + 2 * ENTRY_BYTES;
    let body_end = table_end + 11;
    for at in 0..body_end {
        for bit in 0..8 {
            let mut bytes = sound.clone();
            bytes[at] ^= 1 << bit;
            match read(bytes) {
                None => assert!(at < HEADER_BYTES, "byte {at}"),
                Some(group) => match group.content {
                    GroupContent::TableDamaged => {
                        assert!((HEADER_BYTES..table_end).contains(&at), "byte {at}");
                    }
                    GroupContent::BodyDamaged(entries) => {
                        assert!((table_end..body_end).contains(&at), "byte {at}");
                        assert_eq!(entries.len(), 2, "it still tells whom it hurt");
                    }
                    GroupContent::Sound(_) => panic!("byte {at} was not noticed"),
                },
            }
        }
    }
}

#[test]
fn a_group_cut_short_is_damaged_and_no_panic() {
    let sound = group(&[b"first", b"second"]);
    for length in 0..sound.len() {
        if let Some(group) = read(sound[..length].to_vec()) {
            let is_sound = matches!(group.content, GroupContent::Sound(_));
            assert_eq!(is_sound, length >= HEADER_BYTES + 2 * ENTRY_BYTES + 11);
        }
    }
}

#[test]
fn another_node_s_or_shard_s_group_is_none() {
    let bytes = Bytes::from(group(&[b"x"]));
    assert!(decode(&bytes, SALT, 2).is_some());
    assert!(decode(&bytes, SALT, 3).is_none());
    assert!(decode(&bytes, JournalSalt(1), 2).is_none());
}

#[test]
fn a_header_that_acknowledges_itself_is_none() {
    let mut block = Arena::new(2 << 20).unwrap().allocate(4096).unwrap();
    for (acknowledged_end, live_start, is_header) in [(9, 9, true), (10, 0, false), (8, 9, false)] {
        let header = GroupHeader { acknowledged_end, live_start, ..HEADER };
        let (length, _) = encode(&mut block, SALT, &header, &[], std::iter::empty());
        let bytes = Bytes::copy_from_slice(&block[..length]);
        assert_eq!(decode(&bytes, SALT, 2).is_some(), is_header);
    }
}
