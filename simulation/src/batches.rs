//! Record batches that can be told apart: each carries a number in its first record's key.

use broker::protocol::record_batch::{BatchBuilder, BatchOptions, HEADER_BYTES, Producer};
use bytes::Bytes;

use crate::random::Random;

/// Values are cut out of so many random bytes.
const POOL_BYTES: usize = 1 << 20;

/// Names a batch that a client made; a retry carries the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BatchNumber(pub(crate) u64);

/// What a batch is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchShape {
    pub(crate) records: usize,
    /// Of all values together.
    pub(crate) bytes: usize,
    pub(crate) producer: Option<Producer>,
    pub(crate) timestamp: i64,
}

#[derive(Debug)]
pub(crate) struct Batches {
    pool: Vec<u8>,
    next: u64,
}

impl Batches {
    pub(crate) fn new(random: &mut Random) -> Self {
        let pool = (0..POOL_BYTES / 8).flat_map(|_| random.next_u64().to_le_bytes()).collect();
        Self { pool, next: 1 }
    }

    pub(crate) fn make(&mut self, random: &mut Random, shape: &BatchShape) -> (BatchNumber, Bytes) {
        let number = BatchNumber(self.next);
        self.next += 1;
        let options = BatchOptions { producer: shape.producer, ..BatchOptions::default() };
        let mut builder = BatchBuilder::new(options);
        let value_bytes = (shape.bytes / shape.records).min(self.pool.len());
        let from = random.below((self.pool.len() - value_bytes + 1) as u64) as usize;
        let value = &self.pool[from..from + value_bytes];
        let key = number.0.to_be_bytes();
        for at in 0..shape.records {
            let timestamp = shape.timestamp + at as i64;
            builder.push(timestamp, Some(&key), Some(value), &[]);
        }
        (number, Bytes::from(builder.finish()))
    }
}

/// The number in a batch; `None` if this is not one of ours.
pub(crate) fn number_of(batch: &[u8]) -> Option<BatchNumber> {
    let mut rest = batch.get(HEADER_BYTES..)?;
    skip_varint(&mut rest)?; // the record's length
    rest = rest.get(1..)?; // its attributes
    skip_varint(&mut rest)?; // its timestamp
    skip_varint(&mut rest)?; // its offset
    skip_varint(&mut rest)?; // its key's length
    let key = rest.get(..8)?.try_into().ok()?;
    Some(BatchNumber(u64::from_be_bytes(key)))
}

fn skip_varint(bytes: &mut &[u8]) -> Option<()> {
    let end = bytes.iter().position(|byte| byte & 0x80 == 0)?;
    *bytes = &bytes[end + 1..];
    Some(())
}

#[cfg(test)]
mod tests {
    use super::{BatchShape, Batches, number_of};
    use crate::random::Random;

    #[test]
    fn a_batch_carries_its_number() {
        let mut random = Random::new(1);
        let mut batches = Batches::new(&mut random);
        for records in [1, 3, 200] {
            let shape = BatchShape { records, bytes: 40_000, producer: None, timestamp: 1 << 40 };
            let (number, bytes) = batches.make(&mut random, &shape);
            assert_eq!(number_of(&bytes), Some(number));
        }
    }
}
