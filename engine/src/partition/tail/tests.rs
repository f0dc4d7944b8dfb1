//! The tail against a plain vector of bytes.

use std::collections::BTreeMap;

use proptest::prelude::*;
use protocol::Offset;
use runtime::memory::Arena;

use super::{Stored, Tail};
use crate::limits::BLOCK_BYTES;

const BLOCK: u64 = BLOCK_BYTES as u64;

#[derive(Clone, Debug)]
enum Step {
    Append {
        bytes: usize,
        after_ms: u64,
    },
    /// Everything acknowledged is written in whole blocks, as far as this part of it.
    Flush {
        percent: u64,
    },
    Evict,
    Shrink,
    Roll,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1usize..30_000, 0u64..400)
            .prop_map(|(bytes, after_ms)| Step::Append { bytes, after_ms }),
        1 => (200_000usize..1_500_000, 0u64..400)
            .prop_map(|(bytes, after_ms)| Step::Append { bytes, after_ms }),
        3 => (0u64..=100).prop_map(|percent| Step::Flush { percent }),
        3 => Just(Step::Evict),
        2 => Just(Step::Shrink),
        1 => Just(Step::Roll),
    ];
    proptest::collection::vec(step, 1..60)
}

/// The log as a naive list of bytes, with what is in files.
#[derive(Default)]
struct Model {
    segments: BTreeMap<Offset, Vec<u8>>,
    flushed: BTreeMap<Offset, u64>,
    active: Offset,
    byte: u8,
}

impl Model {
    fn length(&self) -> u64 {
        self.segments.get(&self.active).map_or(0, |bytes| bytes.len() as u64)
    }

    fn stored(&self, segment: Offset) -> Stored {
        let bytes = self.flushed.get(&segment).copied().unwrap_or(0);
        Stored { bytes, is_complete: segment != self.active }
    }

    fn check(&self, tail: &Tail) {
        for (segment, bytes) in &self.segments {
            let end = bytes.len() as u64;
            let flushed = self.flushed.get(segment).copied().unwrap_or(0);
            let start = tail.start(*segment).unwrap_or(end);
            assert!(start <= flushed || start == end, "what is not in the file is in memory");
            assert!(end == flushed || start <= flushed);
            let mut parts = Vec::new();
            if start < end {
                tail.slices(*segment, start..end, &mut parts);
                assert_eq!(parts.concat(), bytes[start as usize..]);
                let middle = start + (end - start) / 2;
                let whole = middle - middle % BLOCK;
                for part in tail.blocks(*segment, start..whole.max(start)) {
                    assert_eq!(part.as_ptr() as usize % BLOCK_BYTES, 0);
                    assert_eq!(part.len() % BLOCK_BYTES, 0);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_tail_is_the_end_of_a_naive_list_of_bytes(steps in steps()) {
        let arena = Arena::new(128 << 20).unwrap();
        let (mut tail, mut model, mut now) = (Tail::default(), Model::default(), 0);
        for step in steps {
            match step {
                Step::Append { bytes, after_ms } => {
                    now += after_ms;
                    model.byte = model.byte.wrapping_add(1);
                    let data = vec![model.byte; bytes];
                    let at = (model.active, model.length());
                    let blocks = tail.reserve(&arena, now, at, bytes).expect("enough memory");
                    let (head, rest) = data.split_at(bytes / 3);
                    tail.append(at, blocks, &[head, rest]);
                    model.segments.entry(model.active).or_default().extend(data);
                }
                Step::Flush { percent } => {
                    let length = model.length();
                    let to = length * percent / 100;
                    let flushed = model.flushed.entry(model.active).or_default();
                    *flushed = (*flushed).max(to - to % BLOCK);
                }
                Step::Evict => {
                    let before = tail.memory_bytes();
                    let spare = tail.spare_since(|segment| model.stored(segment));
                    let mut released = tail.evict_oldest(|segment| model.stored(segment));
                    if released == 0 {
                        released = tail.shrink(&arena, |segment| model.stored(segment));
                    }
                    prop_assert_eq!(tail.memory_bytes() + released, before);
                    prop_assert_eq!(released > 0, spare.is_some(), "it gives what it promised");
                }
                Step::Shrink => {
                    let before = tail.memory_bytes();
                    let released = tail.shrink(&arena, |segment| model.stored(segment));
                    prop_assert_eq!(tail.memory_bytes() + released, before);
                }
                Step::Roll if model.length() > 0 => {
                    // The old one is completed.
                    model.flushed.insert(model.active, model.length());
                    model.active = Offset(model.active.0 + 1);
                }
                Step::Roll => {}
            }
            model.check(&tail);
        }
        tail.clear();
        prop_assert_eq!(tail.memory_bytes(), 0);
        drop(tail);
        prop_assert_eq!(arena.allocated(), 0, "all memory came back");
    }
}

#[test]
fn no_memory_changes_nothing() {
    let arena = Arena::new(2 << 20).unwrap();
    let held = arena.allocate(1 << 20).unwrap();
    let mut tail = Tail::default();
    let at = (Offset(0), 0);
    let blocks = tail.reserve(&arena, 0, at, 1_000).unwrap();
    tail.append(at, blocks, &[&[7; 1_000]]);
    let before = (tail.memory_bytes(), arena.allocated());
    assert!(tail.reserve(&arena, 0, (Offset(0), 1_000), 3 << 20).is_none());
    assert_eq!((tail.memory_bytes(), arena.allocated()), before);
    drop(held);
}

#[test]
fn quick_partitions_get_larger_chunks_and_slow_ones_smaller() {
    let arena = Arena::new(64 << 20).unwrap();
    let mut tail = Tail::default();
    let (mut at, mut now) = (0u64, 0);
    let mut fill = |tail: &mut Tail, pause: u64| {
        let before = tail.memory_bytes();
        while tail.memory_bytes() == before {
            now += pause;
            let blocks = tail.reserve(&arena, now, (Offset(0), at), 4096).unwrap();
            tail.append((Offset(0), at), blocks, &[&[1; 4096]]);
            at += 4096;
        }
        tail.memory_bytes() - before
    };
    let sizes: Vec<usize> = (0..3).map(|_| fill(&mut tail, 0)).collect();
    assert_eq!(sizes, [4 << 10, 64 << 10, 1 << 20]);
    assert_eq!(fill(&mut tail, 10_000), 64 << 10);
    assert_eq!(fill(&mut tail, 10_000), 4 << 10);
}
