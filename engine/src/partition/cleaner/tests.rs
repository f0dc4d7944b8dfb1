//! What the cleaner keeps of batches, one by one.

use protocol::record_batch::{
    BatchBuilder, BatchHeader, BatchOptions, BatchSlice, Compression, RecordIterator, patch,
};
use protocol::{LeaderEpoch, Offset};

use super::key_hash::KeyHasher;
use super::offset_map::OffsetMap;
use super::{CleanRules, CleanedBatch, KeysNoted, clean_batch, note_keys};

const NOW_MS: i64 = 1_000_000;
const DELETE_RETENTION_MS: i64 = 500;

fn batch(base: i64, records: &[(Option<&str>, Option<&str>)]) -> Vec<u8> {
    compressed(Compression::None, base, records)
}

fn compressed(
    compression: Compression,
    base: i64,
    records: &[(Option<&str>, Option<&str>)],
) -> Vec<u8> {
    let mut builder = BatchBuilder::new(BatchOptions { compression, ..BatchOptions::default() });
    for (key, value) in records {
        builder.push(7, key.map(str::as_bytes), value.map(str::as_bytes), &[]);
    }
    let mut bytes = builder.finish();
    patch(&mut bytes, Offset(base), LeaderEpoch(0));
    bytes
}

struct World {
    map: OffsetMap,
    hasher: KeyHasher,
    covered: Offset,
    now_ms: i64,
    must_stay: bool,
}

impl World {
    /// The map knows these batches, which are all there are.
    fn of(batches: &[&Vec<u8>]) -> Self {
        let (mut map, hasher) = (OffsetMap::with_room_for(0), KeyHasher::new([3; 16]));
        let mut covered = Offset(0);
        for bytes in batches {
            let batch = BatchSlice::first(bytes).unwrap();
            assert_eq!(note_keys(&batch, Offset(0), &hasher, &mut map), KeysNoted::All);
            covered = batch.header.next_offset();
        }
        Self { map, hasher, covered, now_ms: NOW_MS, must_stay: false }
    }

    fn clean(&self, bytes: &[u8]) -> CleanedBatch {
        let rules = CleanRules {
            map: &self.map,
            hasher: &self.hasher,
            covered: self.covered,
            now_ms: self.now_ms,
            delete_retention_ms: DELETE_RETENTION_MS,
            must_stay: self.must_stay,
        };
        clean_batch(&BatchSlice::first(bytes).unwrap(), &rules)
    }

    /// The bytes of what is left, which must be something new.
    fn rewritten(&self, bytes: &[u8]) -> Vec<u8> {
        match self.clean(bytes) {
            CleanedBatch::Rewritten(left) => left,
            other => panic!("{other:?}"),
        }
    }
}

fn offsets(bytes: &[u8]) -> Vec<i64> {
    let batch = BatchSlice::first(bytes).unwrap();
    RecordIterator::new(batch.record_data(), batch.header.record_count)
        .map(|record| batch.header.base_offset.0 + i64::from(record.unwrap().offset_delta))
        .collect()
}

fn header(bytes: &[u8]) -> BatchHeader {
    BatchSlice::first(bytes).unwrap().header
}

#[test]
fn of_each_key_the_newest_record_stays() {
    let old = batch(0, &[(Some("a"), Some("1")), (Some("b"), Some("1")), (Some("a"), Some("2"))]);
    let new = batch(3, &[(Some("b"), Some("2")), (Some("c"), Some("1"))]);
    let world = World::of(&[&old, &new]);
    assert_eq!(offsets(&world.rewritten(&old)), [2]);
    assert_eq!(world.clean(&new), CleanedBatch::Unchanged);
    let superseded = batch(0, &[(Some("b"), Some("0"))]);
    assert_eq!(world.clean(&superseded), CleanedBatch::Dropped);
}

#[test]
fn compressed_batches_are_cleaned_alike() {
    for codec in Compression::ALL {
        let old = compressed(codec, 0, &[(Some("a"), Some("1")), (Some("b"), Some("1"))]);
        let world = World::of(&[&old, &compressed(codec, 2, &[(Some("a"), Some("2"))])]);
        assert_eq!(header(&world.rewritten(&old)).record_count, 1, "{codec}");
    }
}

#[test]
fn records_without_a_key_go_and_those_behind_the_map_stay() {
    let unkeyed = batch(0, &[(None, Some("1")), (Some("a"), Some("1"))]);
    let newer = batch(2, &[(Some("a"), Some("2")), (None, None)]);
    let world = World::of(&[&unkeyed]);
    assert_eq!(offsets(&world.rewritten(&unkeyed)), [1]);
    let CleanedBatch::Rewritten(dated) = world.clean(&newer) else { panic!("it has a tombstone") };
    assert_eq!(offsets(&dated), [2, 3], "the map does not reach there");
}

#[test]
fn a_tombstone_stays_until_its_delete_horizon_has_passed() {
    let tombstone = batch(0, &[(Some("a"), None), (Some("b"), Some("1"))]);
    let mut world = World::of(&[&tombstone]);
    let dated = world.rewritten(&tombstone);
    assert_eq!(header(&dated).delete_horizon_ms(), Some(NOW_MS + DELETE_RETENTION_MS));
    world.now_ms += DELETE_RETENTION_MS - 1;
    assert_eq!(world.clean(&dated), CleanedBatch::Unchanged);
    world.now_ms += 1;
    assert_eq!(offsets(&world.rewritten(&dated)), [1]);
    let alone = world.rewritten(&batch(0, &[(Some("a"), None)]));
    world.now_ms += DELETE_RETENTION_MS;
    assert_eq!(world.clean(&alone), CleanedBatch::Dropped);
}

#[test]
fn a_batch_that_must_stay_stays_without_records() {
    let old = batch(5, &[(Some("a"), Some("1")), (Some("a"), Some("2"))]);
    let mut world = World::of(&[&old, &batch(7, &[(Some("a"), Some("3"))])]);
    world.must_stay = true;
    let empty = world.rewritten(&old);
    assert_eq!((header(&empty).record_count, header(&empty).next_offset()), (0, Offset(7)));
    assert_eq!(world.clean(&empty), CleanedBatch::Unchanged);
    world.must_stay = false;
    assert_eq!(world.clean(&empty), CleanedBatch::Dropped);
}

#[test]
fn a_batch_whose_records_cannot_be_read_stays_and_makes_nothing_go() {
    let mut garbage = batch(1, &[(Some("a"), Some("1"))]);
    garbage[22] = 4; // says zstd
    let old = batch(0, &[(Some("a"), Some("0"))]);
    let world = World::of(&[&old, &garbage]);
    assert_eq!(world.clean(&garbage), CleanedBatch::Unchanged);
    assert_eq!(world.clean(&old), CleanedBatch::Unchanged);
}

#[test]
fn a_full_map_tells_where_it_ends() {
    let hasher = KeyHasher::new([0; 16]);
    let mut map = OffsetMap::with_room_for(0);
    let key = |number: i64| format!("key {number}");
    let noted = (0i64..).find_map(|base| {
        let bytes = batch(base, &[(Some(&key(base)), None)]);
        let batch = BatchSlice::first(&bytes).unwrap();
        match note_keys(&batch, Offset(0), &hasher, &mut map) {
            KeysNoted::All => None,
            KeysNoted::Below(offset) => Some((base, offset)),
        }
    });
    let (base, covered) = noted.unwrap();
    assert_eq!((covered, map.keys() as i64), (Offset(base), base));
    // What begins behind the first dirty offset alone is noted.
    let bytes = batch(0, &[(Some("new"), None)]);
    let batch = BatchSlice::first(&bytes).unwrap();
    assert_eq!(note_keys(&batch, Offset(1), &hasher, &mut map), KeysNoted::All);
}
