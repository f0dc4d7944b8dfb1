//! Tests: deterministic values of every message, with nulls, empties and extremes.

use bytes::Bytes;

use super::records::Records;
use crate::ids::TopicId;
use crate::string::Str;

/// A small generator of numbers (splitmix64): the same seed gives the same values.
#[derive(Debug)]
pub(crate) struct Source {
    state: u64,
    /// Arrays get shorter as they nest, so that a value stays small.
    depth: u32,
}

impl Source {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed, depth: 0 }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.state;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Bytes that are written down in hexadecimal digits, with blanks between them.
pub(crate) fn hex(digits: &str) -> Bytes {
    let digits: Vec<u8> = digits.bytes().filter(|digit| !digit.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

pub(crate) trait Generate {
    fn generate(source: &mut Source) -> Self;
}

macro_rules! integers {
    ($($type:ty),*) => { $(
        impl Generate for $type {
            #[expect(clippy::cast_possible_truncation, reason = "any bits will do")]
            fn generate(source: &mut Source) -> Self {
                match source.below(8) {
                    0 => 0,
                    1 => -1,
                    2 => <$type>::MAX,
                    3 => <$type>::MIN,
                    4 => (source.next() % 100) as $type,
                    _ => source.next().cast_signed() as $type,
                }
            }
        }
    )* };
}
integers!(i8, i16, i32);

impl Generate for i64 {
    fn generate(source: &mut Source) -> Self {
        match source.below(4) {
            0 => -1,
            1 => Self::MAX,
            _ => source.next().cast_signed(),
        }
    }
}

impl Generate for bool {
    fn generate(source: &mut Source) -> Self {
        source.below(2) == 1
    }
}

impl Generate for [u8; 16] {
    fn generate(source: &mut Source) -> Self {
        match source.below(4) {
            0 => [0; 16],
            _ => (u128::from(source.next()) << 64 | u128::from(source.next())).to_be_bytes(),
        }
    }
}

impl Generate for TopicId {
    fn generate(source: &mut Source) -> Self {
        Self(Generate::generate(source))
    }
}

impl Generate for Str {
    fn generate(source: &mut Source) -> Self {
        let length = match source.below(16) {
            0..4 => 0,
            4 => 200,
            _ => source.below(20),
        };
        let letters = ['a', 'Z', '0', '-', '.', 'ü', '水', '\u{1f980}'];
        let text: String = (0..length)
            .map(|_| letters[usize::try_from(source.below(8)).expect("below 8")])
            .collect();
        Self::from(text)
    }
}

impl Generate for Bytes {
    fn generate(source: &mut Source) -> Self {
        let length = if source.below(3) == 0 { 0 } else { source.below(300) };
        (0..length).map(|_| source.next().to_le_bytes()[0]).collect()
    }
}

impl Generate for Records {
    fn generate(source: &mut Source) -> Self {
        let parts = source.below(4);
        Self::from((0..parts).map(|_| Bytes::generate(source)).collect::<Vec<_>>())
    }
}

impl<T: Generate> Generate for Option<T> {
    fn generate(source: &mut Source) -> Self {
        (source.below(3) > 0).then(|| T::generate(source))
    }
}

impl<T: Generate> Generate for Vec<T> {
    fn generate(source: &mut Source) -> Self {
        let bound = [7, 4, 3, 2].get(source.depth as usize).copied().unwrap_or(2);
        let length = source.below(bound);
        source.depth += 1;
        let elements = (0..length).map(|_| T::generate(source)).collect();
        source.depth -= 1;
        elements
    }
}
