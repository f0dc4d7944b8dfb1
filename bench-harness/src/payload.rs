//! What records contain: a pool of seeded payloads whose compressibility is chosen.
//!
//! Each payload begins with a stamp that is written anew for every record: which producer, which of its records,
//! and when it was due. Behind it stand bytes of the pool. Their CRC is known beforehand, so that a producer
//! need not compute anything for verification, and a consumer one CRC.

use crate::limits::STAMP_BYTES;
use crate::random::{Random, mix};
use crate::verification::ProducerNumber;

/// Bytes of a run of random or repeated bytes: short, so that the mix is even within a record.
const RUN_BYTES: usize = 8;
/// What stands where nothing is random: it compresses to nearly nothing.
const FILLER: &[u8; RUN_BYTES] = b"corelane";
/// Of the stamp's number of the producer's record.
const SEQUENCE_BITS: u32 = 48;

/// Payloads that records take in turn.
#[derive(Clone, Debug)]
pub struct PayloadPool {
    payloads: Vec<Payload>,
}

#[derive(Clone, Debug)]
struct Payload {
    bytes: Vec<u8>,
    /// Of what is behind the stamp.
    tail_crc: u32,
}

/// Which record a payload belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub producer: ProducerNumber,
    /// Counts all records of the producer; below 2^48.
    pub sequence: u64,
    /// Of the run's clock.
    pub intended_ns: u64,
}

impl Stamp {
    #[must_use]
    pub fn to_bytes(self) -> [u8; STAMP_BYTES] {
        let mut bytes = [0; STAMP_BYTES];
        let name = (u64::from(self.producer.0) << SEQUENCE_BITS) | self.sequence;
        bytes[..8].copy_from_slice(&name.to_be_bytes());
        bytes[8..].copy_from_slice(&self.intended_ns.to_be_bytes());
        bytes
    }

    /// `None` where a payload is too short to have one.
    #[must_use]
    pub fn read(payload: &[u8]) -> Option<Self> {
        let (name, rest) = payload.split_first_chunk::<8>()?;
        let (intended, _) = rest.split_first_chunk::<8>()?;
        let name = u64::from_be_bytes(*name);
        Some(Self {
            producer: ProducerNumber(u16::try_from(name >> SEQUENCE_BITS).unwrap_or(u16::MAX)),
            sequence: name & ((1 << SEQUENCE_BITS) - 1),
            intended_ns: u64::from_be_bytes(*intended),
        })
    }
}

impl PayloadPool {
    /// `entropy` is the share of bytes that do not compress, 0 to 1.
    ///
    /// # Panics
    /// When records are too short for a stamp, or there are none: the workload was checked.
    #[must_use]
    pub fn generated(record_bytes: usize, entropy: f64, count: usize, seed: u64) -> Self {
        assert!(count > 0, "a pool has payloads");
        let payloads = (0..count as u64).map(|at| {
            payload_of(generated(record_bytes, entropy, &mut Random::for_part(seed, at)))
        });
        Self { payloads: payloads.collect() }
    }

    /// One payload that the user gave.
    #[must_use]
    pub fn of_bytes(bytes: Vec<u8>) -> Self {
        Self { payloads: vec![payload_of(bytes)] }
    }

    /// Writes the record's payload into `buffer`, replacing what was there.
    pub fn write(&self, stamp: Stamp, buffer: &mut Vec<u8>) {
        buffer.clear();
        buffer.extend_from_slice(&stamp.to_bytes());
        buffer.extend_from_slice(&self.of(stamp.sequence).bytes[STAMP_BYTES..]);
    }

    /// The payload as it is in the pool.
    #[must_use]
    pub fn bytes(&self, sequence: u64) -> &[u8] {
        &self.of(sequence).bytes
    }

    /// What a record with this key hashes to, without looking at its payload.
    #[must_use]
    pub fn fingerprint(&self, stamp: Stamp, key: Option<&[u8]>) -> u64 {
        fingerprint(stamp, key, self.of(stamp.sequence).tail_crc)
    }

    /// What a record that was read hashes to: its bytes are looked at.
    #[must_use]
    pub fn fingerprint_of(stamp: Stamp, key: Option<&[u8]>, payload: &[u8]) -> u64 {
        let tail = payload.get(STAMP_BYTES..).unwrap_or_default();
        fingerprint(stamp, key, crc32c::crc32c(tail))
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.payloads.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.payloads.is_empty()
    }

    fn of(&self, sequence: u64) -> &Payload {
        let at = sequence % self.payloads.len() as u64;
        &self.payloads[usize::try_from(at).expect("less than the pool's length")]
    }
}

fn fingerprint(stamp: Stamp, key: Option<&[u8]>, tail_crc: u32) -> u64 {
    // No key and an empty key differ.
    let key = key.map_or(0, |key| mix(u64::from(crc32c::crc32c(key)) + 1));
    (u64::from(tail_crc) << 32) ^ stamp.intended_ns ^ key
}

fn payload_of(bytes: Vec<u8>) -> Payload {
    assert!(bytes.len() >= STAMP_BYTES, "a payload holds a stamp");
    let tail_crc = crc32c::crc32c(&bytes[STAMP_BYTES..]);
    Payload { bytes, tail_crc }
}

/// Bytes of which a share is random.
#[must_use]
pub fn generated(length: usize, entropy: f64, random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + RUN_BYTES);
    while bytes.len() < length {
        if random.next_unit() < entropy {
            bytes.extend_from_slice(&random.next_u64().to_le_bytes());
        } else {
            bytes.extend_from_slice(FILLER);
        }
    }
    bytes.truncate(length);
    bytes
}

#[cfg(test)]
mod tests {
    use protocol::record_batch::Compression;

    use super::{PayloadPool, Stamp, generated};
    use crate::random::Random;
    use crate::verification::ProducerNumber;

    fn stamp(sequence: u64) -> Stamp {
        Stamp { producer: ProducerNumber(513), sequence, intended_ns: 77 << 40 }
    }

    #[test]
    fn a_stamp_survives_its_bytes() {
        for sequence in [0, 1, (1 << 48) - 1] {
            assert_eq!(Stamp::read(&stamp(sequence).to_bytes()), Some(stamp(sequence)));
        }
        assert_eq!(Stamp::read(&[0; 15]), None);
    }

    #[test]
    fn the_fingerprint_that_is_known_is_the_one_that_is_read() {
        let pool = PayloadPool::generated(100, 0.5, 10, 3);
        let mut buffer = Vec::new();
        for sequence in 0..25 {
            pool.write(stamp(sequence), &mut buffer);
            assert_eq!(buffer.len(), 100);
            let read = Stamp::read(&buffer).unwrap();
            assert_eq!(read, stamp(sequence));
            let known = pool.fingerprint(read, Some(b"k"));
            assert_eq!(known, PayloadPool::fingerprint_of(read, Some(b"k"), &buffer));
            for key in [None, Some(&b""[..]), Some(&b"l"[..])] {
                assert_ne!(known, PayloadPool::fingerprint_of(read, key, &buffer));
            }
            buffer[60] ^= 4;
            assert_ne!(known, PayloadPool::fingerprint_of(read, Some(b"k"), &buffer));
        }
    }

    #[test]
    fn the_smallest_record_is_a_stamp() {
        let pool = PayloadPool::generated(16, 1.0, 1, 0);
        let mut buffer = Vec::new();
        pool.write(stamp(5), &mut buffer);
        assert_eq!(buffer, stamp(5).to_bytes());
    }

    #[test]
    fn entropy_is_what_a_codec_finds() {
        let compressed = |entropy| {
            let bytes = generated(100_000, entropy, &mut Random::new(1));
            Compression::Zstd.compress(&bytes).len() as f64 / 100_000.0
        };
        assert!(compressed(0.0) < 0.01);
        assert!((0.4..0.65).contains(&compressed(0.5)));
        assert!(compressed(1.0) > 0.99);
    }

    #[test]
    fn a_seed_gives_the_same_pool() {
        let pool = |seed| PayloadPool::generated(64, 1.0, 3, seed).bytes(2).to_vec();
        assert_eq!(pool(1), pool(1));
        assert_ne!(pool(1), pool(2));
    }
}
