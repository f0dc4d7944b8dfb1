//! Record batches that can be told apart: each carries a number in its first record's key.

use broker::protocol::record_batch::{
    BatchBuilder, BatchOptions, BatchSlice, Compression, HEADER_BYTES, HeaderField, Producer,
    RecordIterator,
};
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
    /// For a compacted log: few keys, some tombstones, and the number in a header of each record.
    pub(crate) is_keyed: bool,
}

/// Keys of a compacted log: few, so that they come again.
const KEYS: u64 = 10;
/// Of the records of a compacted log.
const TOMBSTONE_ONE_IN: u64 = 6;
/// The header that names a record's batch.
const NUMBER_HEADER: &str = "number";

/// A record of a compacted log, as it can be told from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyedRecord {
    pub(crate) offset_delta: i32,
    pub(crate) timestamp: i64,
    pub(crate) key: u8,
    pub(crate) is_tombstone: bool,
    pub(crate) number: BatchNumber,
    value: Option<Bytes>,
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
        if shape.is_keyed {
            return (number, self.make_keyed(random, shape, number));
        }
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

    fn make_keyed(&self, random: &mut Random, shape: &BatchShape, number: BatchNumber) -> Bytes {
        let compression = match random.one_in(3) {
            true => Compression::ALL[random.below(5) as usize],
            false => Compression::None,
        };
        let producer = shape.producer;
        let options = BatchOptions { producer, compression, ..BatchOptions::default() };
        let mut builder = BatchBuilder::new(options);
        let value_bytes = (shape.bytes / shape.records).min(self.pool.len());
        let from = random.below((self.pool.len() - value_bytes + 1) as u64) as usize;
        let value = &self.pool[from..from + value_bytes];
        let name = number.0.to_be_bytes();
        let header = HeaderField::new(NUMBER_HEADER, Some(&name));
        for at in 0..shape.records {
            let key = [random.below(KEYS) as u8];
            let value = (!random.one_in(TOMBSTONE_ONE_IN)).then_some(value);
            // Not in order, as clients' clocks are.
            let timestamp = shape.timestamp + [0, 5, 2][at % 3];
            builder.push(timestamp, Some(&key), value, &[header]);
        }
        Bytes::from(builder.finish())
    }
}

/// The records of a batch of a compacted log that can be read.
pub(crate) fn keyed_records(batch: &Bytes) -> Vec<KeyedRecord> {
    let Ok(slice) = BatchSlice::first(batch) else { return Vec::new() };
    let header = slice.header;
    let codec = header.attributes.compression().unwrap_or_default();
    let Ok(data) = codec.decompress(&batch.slice(HEADER_BYTES..), 64 << 20) else {
        return Vec::new();
    };
    let records = RecordIterator::new(&data, header.record_count).map_while(Result::ok);
    let keyed = records.filter_map(|record| {
        let named = record.headers.iter().find(|it| it.key == NUMBER_HEADER.as_bytes())?;
        let number = u64::from_be_bytes(named.value?.try_into().ok()?);
        Some(KeyedRecord {
            offset_delta: record.offset_delta,
            timestamp: header.base_timestamp + record.timestamp_delta,
            key: *record.key?.first()?,
            is_tombstone: record.value.is_none(),
            number: BatchNumber(number),
            value: record.value.map(Bytes::copy_from_slice),
        })
    });
    keyed.collect()
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
            let shape = BatchShape {
                records,
                bytes: 40_000,
                producer: None,
                timestamp: 1 << 40,
                is_keyed: false,
            };
            let (number, bytes) = batches.make(&mut random, &shape);
            assert_eq!(number_of(&bytes), Some(number));
        }
    }
}
