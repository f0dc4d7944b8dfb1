//! For each key of the dirty part of a log the offset of its newest record, in bounded memory.
//!
//! ```text
//! slot   hash u64 | hash u64 | offset + 1 u64        (24 bytes; all zero: free)
//! ```
//!
//! Open addressing with linear probing. When three quarters of the slots are taken it is full: what is cleaned
//! with it then ends where it ended.

use protocol::Offset;

use super::key_hash::KeyHash;
use crate::limits::CLEANER_MAP_BYTES_MAX;

const SLOT_WORDS: usize = 3;
const SLOT_BYTES: usize = SLOT_WORDS * 8;
const SLOTS_MIN: usize = 1 << 10;
const SLOTS_MAX: usize = CLEANER_MAP_BYTES_MAX / SLOT_BYTES;

#[derive(Debug)]
pub struct OffsetMap {
    /// A power of two of slots.
    words: Vec<u64>,
    mask: usize,
    keys: usize,
    keys_max: usize,
}

impl OffsetMap {
    /// With room for this many keys, or for as many as the limit allows.
    pub fn with_room_for(keys: usize) -> Self {
        let largest = 1 << SLOTS_MAX.ilog2();
        let wanted = keys.saturating_mul(4).div_ceil(3).saturating_add(1);
        let slots = wanted.clamp(SLOTS_MIN, largest).next_power_of_two();
        // Zeros come from the kernel untouched: memory is taken as keys come.
        let words = vec![0; slots * SLOT_WORDS];
        Self { words, mask: slots - 1, keys: 0, keys_max: slots / 4 * 3 }
    }

    pub fn keys(&self) -> usize {
        self.keys
    }

    pub fn is_full(&self) -> bool {
        self.keys >= self.keys_max
    }

    /// Bytes that it takes.
    pub fn memory_bytes(&self) -> usize {
        self.words.len() * 8
    }

    /// The newest record of the key that was put.
    pub fn get(&self, key: KeyHash) -> Option<Offset> {
        let at = self.slot_of(key);
        let stored = self.words[at + 2];
        (stored != 0).then(|| Offset((stored - 1).cast_signed()))
    }

    /// The key has a record at `offset`, newer than all before. False when there is no room for one more key.
    pub fn put(&mut self, key: KeyHash, offset: Offset) -> bool {
        let at = self.slot_of(key);
        if self.words[at + 2] == 0 {
            if self.is_full() {
                return false;
            }
            self.keys += 1;
        }
        let stored = offset.0.cast_unsigned() + 1;
        self.words[at..at + SLOT_WORDS].copy_from_slice(&[key.0, key.1, stored]);
        true
    }

    /// Where the key stands, or the free slot where it would.
    fn slot_of(&self, key: KeyHash) -> usize {
        let mut slot = usize::try_from(key.0 & self.mask as u64).expect("masked") & self.mask;
        loop {
            let at = slot * SLOT_WORDS;
            let is_free = self.words[at + 2] == 0;
            if is_free || (self.words[at], self.words[at + 1]) == (key.0, key.1) {
                return at;
            }
            slot = (slot + 1) & self.mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{KeyHash, Offset, OffsetMap, SLOTS_MIN};

    #[test]
    fn the_newest_offset_of_each_key_is_found_also_where_slots_collide() {
        let mut map = OffsetMap::with_room_for(0);
        let key = |number: u64| KeyHash(number % 3 + SLOTS_MIN as u64 - 2, number);
        for number in 0..600 {
            assert_eq!(map.get(key(number)), None);
            assert!(map.put(key(number), Offset(number.cast_signed())));
        }
        assert!(map.put(key(7), Offset(1_000)));
        for number in (0..600).filter(|number| *number != 7) {
            assert_eq!(map.get(key(number)), Some(Offset(number.cast_signed())));
        }
        assert_eq!((map.get(key(7)), map.keys()), (Some(Offset(1_000)), 600));
    }

    #[test]
    fn a_full_map_takes_newer_offsets_of_its_keys_and_no_other_key() {
        let mut map = OffsetMap::with_room_for(0);
        let key = |number: u64| KeyHash(number, 0);
        let count = (0..).find(|number| !map.put(key(*number), Offset(0))).unwrap();
        assert_eq!(count, SLOTS_MIN as u64 / 4 * 3);
        assert!(map.is_full() && map.put(key(1), Offset(5)) && !map.put(key(count), Offset(5)));
        assert_eq!((map.get(key(1)), map.get(key(count))), (Some(Offset(5)), None));
    }

    #[test]
    fn no_map_is_larger_than_the_limit() {
        let map = OffsetMap::with_room_for(usize::MAX);
        let limit = crate::limits::CLEANER_MAP_BYTES_MAX;
        assert!(map.memory_bytes() <= limit && map.memory_bytes() > limit / 2);
    }
}
