//! What is done to sound bytes, and the generator that decides it.

/// Longest input: larger ones only repeat what shorter ones do.
const INPUT_BYTES_MAX: usize = 64 << 10;

/// A small generator (SplitMix64): the same seed, the same bytes.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64, round: u64) -> Self {
        // Seeds that follow each other have no round in common.
        let mut mixed = Self(seed);
        Self(mixed.next().wrapping_add(round.wrapping_mul(0x2545_F491_4F6C_DD1D)))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.next() % bound).unwrap_or_default()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

/// A sample with some damage, or noise.
pub(crate) fn input(random: &mut Random, samples: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = samples[random.below(samples.len())].clone();
    if random.below(16) == 0 {
        let length = random.below(512);
        bytes = (0..length).map(|_| random.byte()).collect();
    }
    for _ in 0..random.below(6) {
        mutate(random, &mut bytes, samples);
    }
    bytes.truncate(INPUT_BYTES_MAX);
    bytes
}

fn mutate(random: &mut Random, bytes: &mut Vec<u8>, samples: &[Vec<u8>]) {
    // Heads decide most: half of the damage is there.
    let bound = if random.below(2) == 0 { bytes.len().min(96) } else { bytes.len() };
    let at = random.below(bound + 1);
    match random.below(8) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        1 if at < bytes.len() => bytes[at] = random.byte(),
        2 => bytes.truncate(at),
        3 => bytes.insert(at, random.byte()),
        4 if at + 4 <= bytes.len() => {
            let numbers = [0u32, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0x00FF_FFFF, 127, 128];
            let number = numbers[random.below(numbers.len())];
            let ends = [number.to_be_bytes(), number.to_le_bytes()];
            bytes[at..at + 4].copy_from_slice(&ends[random.below(2)]);
        }
        5 => {
            let other = &samples[random.below(samples.len())];
            let from = random.below(other.len() + 1);
            let piece = &other[from..(from + random.below(256)).min(other.len())];
            let tail = bytes.split_off(at);
            bytes.extend_from_slice(piece);
            bytes.extend_from_slice(&tail);
        }
        6 if at < bytes.len() => drop(bytes.remove(at)),
        _ => {
            let to = (at + random.below(32)).min(bytes.len());
            let piece = bytes[at..to].to_vec();
            bytes.extend_from_slice(&piece);
        }
    }
}
