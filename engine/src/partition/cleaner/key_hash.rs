//! 128-bit hashes of record keys: SipHash with a 16-byte key and a 16-byte result.
//!
//! Two keys with the same hash would be one to the cleaner, and the older record would go. With 2^128 values
//! that takes chance some 10^19 keys; whoever wants it on purpose can as well write the key itself.

/// Rounds for each eight bytes and at the end: SipHash-1-3, as fast as the records can be read.
const ROUNDS: usize = 1;
const ROUNDS_LAST: usize = 3;

/// A key's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHash(pub u64, pub u64);

/// Hashes the keys of one log.
#[derive(Clone, Copy, Debug)]
pub struct KeyHasher {
    seed: (u64, u64),
}

impl KeyHasher {
    /// `seed` differs between topics, so that no two have their keys hashed alike.
    pub fn new(seed: [u8; 16]) -> Self {
        let (low, high) = seed.split_at(8);
        Self { seed: (word(low), word(high)) }
    }

    pub fn hash(&self, key: &[u8]) -> KeyHash {
        sip128::<ROUNDS, ROUNDS_LAST>(self.seed, key)
    }
}

fn word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

fn sip128<const EACH: usize, const LAST: usize>(seed: (u64, u64), data: &[u8]) -> KeyHash {
    // The four words of "somepseudorandomlygeneratedbytes".
    let mut state = [
        seed.0 ^ 0x736f_6d65_7073_6575,
        seed.1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
        seed.0 ^ 0x6c79_6765_6e65_7261,
        seed.1 ^ 0x7465_6462_7974_6573,
    ];
    let mut words = data.chunks_exact(8);
    for bytes in &mut words {
        absorb::<EACH>(&mut state, word(bytes));
    }
    // The last word has what is left and, in its highest byte, the length.
    absorb::<EACH>(&mut state, word(words.remainder()) | (data.len() as u64) << 56);
    state[2] ^= 0xee;
    let first = squeeze::<LAST>(&mut state);
    state[1] ^= 0xdd;
    KeyHash(first, squeeze::<LAST>(&mut state))
}

fn absorb<const ROUNDS: usize>(state: &mut [u64; 4], word: u64) {
    state[3] ^= word;
    for _ in 0..ROUNDS {
        round(state);
    }
    state[0] ^= word;
}

fn squeeze<const ROUNDS: usize>(state: &mut [u64; 4]) -> u64 {
    for _ in 0..ROUNDS {
        round(state);
    }
    state[0] ^ state[1] ^ state[2] ^ state[3]
}

fn round([a, b, c, d]: &mut [u64; 4]) {
    *a = a.wrapping_add(*b);
    *c = c.wrapping_add(*d);
    *b = b.rotate_left(13) ^ *a;
    *d = d.rotate_left(16) ^ *c;
    *a = a.rotate_left(32);
    *c = c.wrapping_add(*b);
    *a = a.wrapping_add(*d);
    *b = b.rotate_left(17) ^ *c;
    *d = d.rotate_left(21) ^ *a;
    *c = c.rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::{KeyHash, KeyHasher, sip128};

    /// The vectors that the algorithm's authors publish are of SipHash-2-4 with the key 00, 01, … 0f.
    #[test]
    fn the_hash_is_siphash() {
        let seed = (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        let of = |data: &[u8]| sip128::<2, 4>(seed, data);
        let bytes = |hash: KeyHash| [hash.0.to_le_bytes(), hash.1.to_le_bytes()].concat();
        let empty = [
            0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55,
            0x02, 0x93,
        ];
        assert_eq!(bytes(of(&[])), empty);
        let one = [
            0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44, 0x34, 0x76, 0x59, 0x11, 0x9b, 0x22,
            0xfc, 0x45,
        ];
        assert_eq!(bytes(of(&[0])), one);
    }

    #[test]
    fn keys_of_every_length_and_seed_differ() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in [[0; 16], [1; 16]] {
            let hasher = KeyHasher::new(seed);
            for length in 0..64 {
                let hash = hasher.hash(&vec![0; length]);
                assert!(seen.insert((hash.0, hash.1)), "{length}");
            }
        }
    }
}
