//! Slots with generations: a key that outlived its entry finds nothing, never somebody else's.

use std::marker::PhantomData;

/// A key of a [`Slab`]: slot and generation.
pub(crate) trait SlabKey: Copy {
    fn from_raw(raw: u64) -> Self;
    fn raw(self) -> u64;
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// Values by slot and generation, at most `limit` of them.
#[derive(Debug)]
pub(crate) struct Slab<K, T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    limit: usize,
    key: PhantomData<K>,
}

impl<K: SlabKey, T> Slab<K, T> {
    pub(crate) fn new(limit: usize) -> Self {
        assert!(u32::try_from(limit).is_ok(), "slots are 32 bits");
        Self { slots: Vec::new(), free: Vec::new(), limit, key: PhantomData }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.len() < self.limit
    }

    /// The caller asked for room.
    pub(crate) fn insert(&mut self, value: T) -> K {
        assert!(self.has_room(), "the caller asks for room first");
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(Slot { generation: 0, value: None });
                u32::try_from(self.slots.len() - 1).expect("the limit fits")
            }
        };
        let entry = &mut self.slots[slot as usize];
        entry.value = Some(value);
        K::from_raw(u64::from(entry.generation) << 32 | u64::from(slot))
    }

    pub(crate) fn get(&self, key: K) -> Option<&T> {
        let (slot, generation) = split(key);
        let entry = self.slots.get(slot)?;
        entry.value.as_ref().filter(|_| entry.generation == generation)
    }

    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut T> {
        let (slot, generation) = split(key);
        let entry = self.slots.get_mut(slot)?;
        if entry.generation == generation { entry.value.as_mut() } else { None }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &T)> {
        let taken = self.slots.iter().enumerate();
        taken.filter_map(|(slot, entry)| {
            let raw = u64::from(entry.generation) << 32 | u64::try_from(slot).expect("32 bits");
            Some((K::from_raw(raw), entry.value.as_ref()?))
        })
    }

    pub(crate) fn remove(&mut self, key: K) -> Option<T> {
        let (slot, generation) = split(key);
        let entry = self.slots.get_mut(slot)?;
        if entry.generation != generation {
            return None;
        }
        let value = entry.value.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(u32::try_from(slot).expect("slots are 32 bits"));
        Some(value)
    }
}

fn split<K: SlabKey>(key: K) -> (usize, u32) {
    let raw = key.raw();
    let slot = usize::try_from(raw & u64::from(u32::MAX)).expect("32 bits");
    (slot, u32::try_from(raw >> 32).expect("32 bits"))
}

#[cfg(test)]
mod tests {
    use super::{Slab, SlabKey};

    impl SlabKey for u64 {
        fn from_raw(raw: u64) -> Self {
            raw
        }
        fn raw(self) -> u64 {
            self
        }
    }

    #[test]
    fn a_key_never_finds_the_next_entry_of_its_slot() {
        let mut slab: Slab<u64, &str> = Slab::new(2);
        let first = slab.insert("first");
        assert_eq!(slab.remove(first), Some("first"));
        let second = slab.insert("second");
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get(second), Some(&"second"));
        assert_eq!(slab.len(), 1);
        slab.insert("third");
        assert!(!slab.has_room());
        assert_eq!(slab.len(), 2);
    }
}
