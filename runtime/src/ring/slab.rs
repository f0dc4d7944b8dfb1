//! Slots with generations: a key outlives what it named and is then known to be stale.

/// Names one occupancy of one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

impl Key {
    pub(super) fn to_u64(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }

    pub(super) fn from_u64(value: u64) -> Self {
        Self { slot: value as u32, generation: (value >> 32) as u32 }
    }
}

/// A fixed number of slots; neither grows nor moves what it holds.
#[derive(Debug)]
pub(super) struct Slab<T> {
    slots: Box<[Slot<T>]>,
    /// Free slots; the last freed is reused first, while its memory is warm.
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Slab<T> {
    pub(super) fn new(capacity: usize) -> Self {
        let count = u32::try_from(capacity).expect("bounded by the limits");
        Self {
            slots: (0..count).map(|_| Slot { generation: 0, value: None }).collect(),
            free: (0..count).rev().collect(),
        }
    }

    pub(super) fn free_slots(&self) -> usize {
        self.free.len()
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The caller holds a credit: a full slab is a broken invariant.
    pub(super) fn insert(&mut self, value: T) -> Key {
        let slot = self.free.pop().expect("a free slot was reserved");
        let entry = &mut self.slots[slot as usize];
        debug_assert!(entry.value.is_none());
        entry.value = Some(value);
        Key { slot, generation: entry.generation }
    }

    /// None: the key is stale.
    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let entry = self.slots.get_mut(key.slot as usize)?;
        if entry.generation == key.generation { entry.value.as_mut() } else { None }
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        let entry = self.slots.get_mut(key.slot as usize)?;
        if entry.generation != key.generation {
            return None;
        }
        let value = entry.value.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(key.slot);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, Slab};

    #[test]
    fn a_reused_slot_does_not_answer_to_its_old_key() {
        let mut slab = Slab::new(2);
        let first = slab.insert('a');
        assert_eq!(slab.remove(first), Some('a'));
        let second = slab.insert('b');
        assert_eq!(second.slot, first.slot);
        assert_ne!(second, first);
        assert_eq!(slab.get_mut(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get_mut(second), Some(&mut 'b'));
    }

    #[test]
    fn slots_are_bounded_and_counted() {
        let mut slab = Slab::new(3);
        let keys: Vec<Key> = (0..3).map(|value| slab.insert(value)).collect();
        assert_eq!((slab.free_slots(), slab.len()), (0, 3));
        slab.remove(keys[1]);
        assert_eq!((slab.free_slots(), slab.len()), (1, 2));
        assert_eq!(slab.insert(9).slot, keys[1].slot);
    }

    #[test]
    fn a_key_survives_its_journey_through_the_kernel() {
        let key = Key { slot: 0xdead_beef, generation: 0x0123_4567 };
        assert_eq!(Key::from_u64(key.to_u64()), key);
    }
}
