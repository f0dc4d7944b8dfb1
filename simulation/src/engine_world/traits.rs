//! What is drawn once for a world: how large it is, and what its clients and its disks are like.

use crate::plant::{Lure, Plant};
use crate::random::Random;

/// Plenty; a full disk is made by lowering it.
pub(super) const DISK_BYTES: u64 = 1 << 36;

#[derive(Clone, Debug)]
pub(super) struct Traits {
    pub(super) lives: u64,
    pub(super) dirs: usize,
    pub(super) shards_max: u32,
    pub(super) journal_file_bytes: u64,
    pub(super) logs_max: usize,
    pub(super) producers_max: usize,
    /// Much traffic in few lives, so that journal files are recycled.
    pub(super) is_heavy: bool,
    /// Mean time between two actions.
    pub(super) pause_ns: u64,
    /// Bytes that clients send in one life, about.
    pub(super) bytes_max: u64,
    pub(super) large_one_in: u64,
    pub(super) segment_bytes: u64,
    pub(super) has_memory_topics: bool,
    pub(super) stamps_append_time: bool,
    /// Some topics are compacted.
    pub(super) compacts: bool,
    pub(super) full_disks: bool,
    pub(super) failing_disks: bool,
    /// Bits flip at the end of the world.
    pub(super) damage: bool,
}

impl Traits {
    pub(super) fn draw(random: &mut Random, seed: u64, plant: Plant) -> Self {
        let choose = |random: &mut Random, choices: &[u64]| {
            choices[random.below(choices.len() as u64) as usize]
        };
        let lure = plant.lure();
        let is_heavy = random.one_in(5) || lure == Lure::Traffic;
        let mut traits = Self {
            is_heavy,
            lives: if is_heavy { 2 + random.below(2) } else { 4 + random.below(5) },
            dirs: if random.one_in(3) { 2 } else { 1 },
            shards_max: 1 + random.below(4) as u32,
            journal_file_bytes: match is_heavy {
                true => 512 << 10,
                false => choose(random, &[512 << 10, 512 << 10, 1 << 20, 2 << 20]),
            },
            logs_max: 1 + random.below(10) as usize,
            producers_max: random.below(6) as usize,
            pause_ns: choose(random, &[20_000, 100_000, 400_000, 3_000_000]),
            bytes_max: match is_heavy {
                true => 12 << 20,
                false => choose(random, &[200 << 10, 1 << 20, 3 << 20, 6 << 20]),
            },
            large_one_in: choose(random, &[8, 25, 100, 1_000_000]) * if is_heavy { 8 } else { 1 },
            segment_bytes: choose(random, &[48 << 10, 256 << 10, 1 << 20, 1 << 30]),
            has_memory_topics: random.one_in(4),
            stamps_append_time: random.one_in(5),
            // By the world's number: worlds that found something once stay as they were.
            compacts: (seed >> 1).is_multiple_of(2) || lure == Lure::Compaction,
            full_disks: random.one_in(6),
            failing_disks: random.one_in(6),
            damage: random.one_in(8) || lure == Lure::Damage,
        };
        match lure {
            Lure::LargeRuns => {
                traits.large_one_in = 2;
                traits.segment_bytes = 1 << 30;
                traits.bytes_max = 12 << 20;
            }
            Lure::SmallSegments => traits.segment_bytes = 48 << 10,
            Lure::Compaction => {
                traits.lives = 12;
                traits.bytes_max = 3 << 20;
                traits.segment_bytes = 48 << 10;
                traits.failing_disks = false;
                traits.full_disks = false;
            }
            Lure::Starts => {
                traits.lives = 20;
                traits.bytes_max = 50 << 10;
            }
            Lure::Nothing | Lure::Damage | Lure::Traffic => {}
        }
        traits
    }
}
