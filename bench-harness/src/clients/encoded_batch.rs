//! Batches that are encoded once and sent many times.
//!
//! Each sending has a name, its ordinal within its connection, which stands in the batch's timestamps: so batches
//! that are sent again differ, a consumer knows whose they are, and their CRC is their fingerprint. Only the header
//! is new each time; the CRC over the records is known and joined with the header's.

use protocol::record_batch::{
    ATTRIBUTES_AT, BASE_SEQUENCE_AT, BASE_TIMESTAMP_AT, BatchBuilder, BatchOptions, CRC_AT,
    Compression, HEADER_BYTES, MAX_TIMESTAMP_AT, PRODUCER_EPOCH_AT, PRODUCER_ID_AT, Producer,
};

use crate::keys::Keys;
use crate::payload::PayloadPool;

/// Bytes of a record beside key and value, at the most.
const RECORD_OVERHEAD_BYTES: usize = 24;
/// Below this, computing a CRC is cheaper than joining two.
const CRC_JOINED_FROM_BYTES: usize = 16 << 10;
/// Timestamps count up from a month ago: they stay in the past, where brokers take any.
const TIME_BASE_AGO_MS: i64 = 30 * 24 * 3_600_000;

/// The header of a batch as it is sent.
pub(crate) type HeaderBytes = [u8; HEADER_BYTES];

pub(crate) struct EncodedBatch {
    bytes: Vec<u8>,
    records_crc: u32,
    pub(crate) records: u32,
    /// Of keys and values.
    pub(crate) payload_bytes: u64,
}

/// How large a batch is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchSize {
    pub(crate) bytes: usize,
    pub(crate) codec: Compression,
}

impl EncodedBatch {
    /// As many records as fit, one at the least, beginning with the pool's `first`.
    pub(crate) fn encode(pool: &PayloadPool, keys: &mut Keys, first: u64, size: BatchSize) -> Self {
        let options = BatchOptions { compression: size.codec, ..BatchOptions::default() };
        let mut builder = BatchBuilder::new(options);
        let mut payload_bytes = 0;
        for sequence in first.. {
            let value = pool.bytes(sequence);
            let key = keys.next_key();
            let key_bytes = key.map_or(0, |key| key.len());
            let length = value.len() + key_bytes + RECORD_OVERHEAD_BYTES;
            if !builder.is_empty() && builder.length() + length > size.bytes {
                break;
            }
            builder.push(0, key.as_ref().map(<[u8; 8]>::as_slice), Some(value), &[]);
            payload_bytes += (value.len() + key_bytes) as u64;
        }
        let records = builder.records().unsigned_abs();
        let bytes = builder.finish();
        let records_crc = crc32c::crc32c(&bytes[HEADER_BYTES..]);
        Self { bytes, records_crc, records, payload_bytes }
    }

    pub(crate) fn length(&self) -> usize {
        self.bytes.len()
    }

    /// What follows the header.
    pub(crate) fn body(&self) -> &[u8] {
        &self.bytes[HEADER_BYTES..]
    }

    /// The header of one sending, and its CRC.
    pub(crate) fn header(&self, timestamp: i64, producer: Option<Producer>) -> (HeaderBytes, u32) {
        let mut header: HeaderBytes =
            self.bytes[..HEADER_BYTES].try_into().expect("a batch has a header");
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(BASE_TIMESTAMP_AT, &timestamp.to_be_bytes());
        put(MAX_TIMESTAMP_AT, &timestamp.to_be_bytes());
        if let Some(producer) = producer {
            put(PRODUCER_ID_AT, &producer.id.0.to_be_bytes());
            put(PRODUCER_EPOCH_AT, &producer.epoch.0.to_be_bytes());
            put(BASE_SEQUENCE_AT, &producer.base_sequence.to_be_bytes());
        }
        let head_crc = crc32c::crc32c(&header[ATTRIBUTES_AT..]);
        let body = self.body();
        let crc = if body.len() < CRC_JOINED_FROM_BYTES {
            crc32c::crc32c_append(head_crc, body)
        } else {
            crc32c::crc32c_combine(head_crc, self.records_crc, body.len())
        };
        header[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
        (header, crc)
    }
}

/// Names of batches as timestamps: which connection's, and its how manyth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchNames {
    base_ms: i64,
    connections: u64,
}

impl BatchNames {
    #[must_use]
    pub fn new(now_ms: i64, connections: usize) -> Self {
        Self { base_ms: now_ms - TIME_BASE_AGO_MS, connections: connections.max(1) as u64 }
    }

    #[must_use]
    pub fn timestamp(&self, connection: u16, ordinal: u64) -> i64 {
        let number = ordinal * self.connections + u64::from(connection);
        self.base_ms + i64::try_from(number).expect("a run is far shorter")
    }

    /// Connection and ordinal; `None` for a timestamp that no batch of this run has.
    #[must_use]
    pub fn read(&self, timestamp: i64) -> Option<(u16, u64)> {
        let number = u64::try_from(timestamp.checked_sub(self.base_ms)?).ok()?;
        let connection = u16::try_from(number % self.connections).ok()?;
        Some((connection, number / self.connections))
    }
}

#[cfg(test)]
mod tests {
    use protocol::record_batch::{BatchSlice, Compression, Producer};
    use protocol::{ProducerEpoch, ProducerId};

    use super::{BatchNames, BatchSize, EncodedBatch};
    use crate::keys::Keys;
    use crate::payload::PayloadPool;
    use crate::workload::KeyChoice;

    fn encoded(record_bytes: usize, bytes: usize, codec: Compression) -> EncodedBatch {
        let pool = PayloadPool::generated(record_bytes, 0.5, 10, 1);
        let mut keys = Keys::new(KeyChoice::RoundRobin { count: 3 }, 1);
        EncodedBatch::encode(&pool, &mut keys, 0, BatchSize { bytes, codec })
    }

    #[test]
    fn every_sending_is_a_valid_batch_with_its_own_crc() {
        for (record_bytes, bytes) in [(100, 1), (100, 4_096), (1_024, 1_000_000)] {
            for codec in [Compression::None, Compression::Lz4] {
                let batch = encoded(record_bytes, bytes, codec);
                let mut crcs = Vec::new();
                for timestamp in [1_000, 1_001] {
                    let producer =
                        Producer { id: ProducerId(7), epoch: ProducerEpoch(1), base_sequence: 9 };
                    let (header, crc) = batch.header(timestamp, Some(producer));
                    let sent = [&header, batch.body()].concat();
                    let read = BatchSlice::first(&sent).unwrap();
                    assert!(read.crc_is_valid());
                    assert_eq!(read.header.crc, crc);
                    assert_eq!(read.header.base_timestamp, timestamp);
                    assert_eq!(read.header.producer(), Some(producer));
                    assert_eq!(read.header.record_count.unsigned_abs(), batch.records);
                    crcs.push(crc);
                }
                assert_ne!(crcs[0], crcs[1]);
            }
        }
    }

    #[test]
    fn batches_are_as_large_as_asked_and_have_a_record_at_least() {
        assert_eq!(encoded(1_024, 1, Compression::None).records, 1);
        let batch = encoded(1_024, 16 << 10, Compression::None);
        assert_eq!(batch.records, 15);
        assert!(batch.length() <= 16 << 10);
        assert_eq!(batch.payload_bytes, 15 * 1_032);
    }

    #[test]
    fn names_tell_connections_and_ordinals() {
        let names = BatchNames::new(1_700_000_000_000, 3);
        for (connection, ordinal) in [(0, 0), (2, 0), (1, 1_000_000)] {
            let timestamp = names.timestamp(connection, ordinal);
            assert_eq!(names.read(timestamp), Some((connection, ordinal)));
        }
        assert_eq!(names.read(5), None);
        assert_eq!(names.read(i64::MIN), None);
    }
}
