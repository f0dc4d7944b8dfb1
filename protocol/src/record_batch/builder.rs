//! Records to a batch: for clients, and for the logs that the broker itself writes.

use super::compression::Compression;
use super::header::{
    Attributes, BatchHeader, CRC_AT, CRC_COVERS_FROM, HEADER_BYTES, LENGTH_COUNTS_FROM, MAGIC,
    Producer,
};
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use crate::wire::{varint_length, varlong_length, write_varint, write_varlong};

/// What a batch says beside its records.
#[derive(Clone, Copy, Debug, Default)]
pub struct BatchOptions {
    pub compression: Compression,
    /// `None` for a producer without idempotence.
    pub producer: Option<Producer>,
    pub is_transactional: bool,
    pub is_control: bool,
}

/// A header of a record to be written.
#[derive(Clone, Copy, Debug)]
pub struct HeaderField<'a> {
    pub key: &'a str,
    pub value: Option<&'a [u8]>,
}

impl<'a> HeaderField<'a> {
    #[must_use]
    pub const fn new(key: &'a str, value: Option<&'a [u8]>) -> Self {
        Self { key, value }
    }
}

/// Collects records and gives one batch with base offset 0 and leader epoch −1, as producers send it.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    options: BatchOptions,
    /// Room for the header, then the records uncompressed.
    bytes: Vec<u8>,
    records: i32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl BatchBuilder {
    #[must_use]
    pub fn new(options: BatchOptions) -> Self {
        let bytes = vec![0; HEADER_BYTES];
        Self { options, bytes, records: 0, base_timestamp: -1, max_timestamp: -1 }
    }

    #[must_use]
    pub const fn records(&self) -> i32 {
        self.records
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Bytes of the batch if it were finished now without compression.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.bytes.len()
    }

    /// Appends a record; the first one gives the batch its base timestamp.
    pub fn push(
        &mut self,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[HeaderField<'_>],
    ) {
        if self.records == 0 {
            self.base_timestamp = timestamp_ms;
            self.max_timestamp = timestamp_ms;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp_ms);
        let timestamp_delta = timestamp_ms.wrapping_sub(self.base_timestamp);
        let length = 1
            + varlong_length(timestamp_delta)
            + varint_length(self.records)
            + nullable_length(key)
            + nullable_length(value)
            + varint_length(fitting(headers.len()))
            + headers
                .iter()
                .map(|header| {
                    nullable_length(Some(header.key.as_bytes())) + nullable_length(header.value)
                })
                .sum::<usize>();
        let out = &mut self.bytes;
        write_varint(out, fitting(length));
        let start = out.len();
        out.push(0);
        write_varlong(out, timestamp_delta);
        write_varint(out, self.records);
        write_nullable(out, key);
        write_nullable(out, value);
        write_varint(out, fitting(headers.len()));
        for header in headers {
            write_nullable(out, Some(header.key.as_bytes()));
            write_nullable(out, header.value);
        }
        assert_eq!(out.len() - start, length, "a record is as long as it says");
        self.records = self.records.checked_add(1).expect("a batch is bounded far below this");
    }

    /// The whole batch, compressed if so asked.
    ///
    /// # Panics
    /// When there are no records: producers do not send empty batches.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        assert!(self.records > 0, "a batch has records");
        let mut bytes = self.bytes;
        if self.options.compression != Compression::None {
            let compressed = self.options.compression.compress(&bytes[HEADER_BYTES..]);
            bytes.truncate(HEADER_BYTES);
            bytes.extend_from_slice(&compressed);
        }
        let producer = self.options.producer;
        let mut header = Vec::with_capacity(HEADER_BYTES);
        BatchHeader {
            base_offset: Offset(0),
            batch_length: fitting(bytes.len() - LENGTH_COUNTS_FROM),
            partition_leader_epoch: LeaderEpoch(-1),
            magic: MAGIC,
            crc: 0,
            attributes: Attributes::new(self.options.compression)
                .with_transactional(self.options.is_transactional)
                .with_control(self.options.is_control),
            last_offset_delta: self.records - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: producer.map_or(ProducerId(-1), |producer| producer.id),
            producer_epoch: producer.map_or(ProducerEpoch(-1), |producer| producer.epoch),
            base_sequence: producer.map_or(-1, |producer| producer.base_sequence),
            record_count: self.records,
        }
        .write(&mut header);
        bytes[..HEADER_BYTES].copy_from_slice(&header);
        let crc = crc32c::crc32c(&bytes[CRC_COVERS_FROM..]);
        bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
        bytes
    }
}

fn nullable_length(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| varint_length(fitting(bytes.len())) + bytes.len())
}

fn write_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            write_varint(out, fitting(bytes.len()));
            out.extend_from_slice(bytes);
        }
        None => write_varint(out, -1),
    }
}

fn fitting(length: usize) -> i32 {
    i32::try_from(length).expect("batches are far below 2 GiB")
}

#[cfg(test)]
mod tests {
    use super::{BatchBuilder, BatchOptions, HeaderField, Producer, ProducerEpoch, ProducerId};

    /// Written down field by field from Kafka's format; the CRC was computed by an independent
    /// bit-by-bit implementation of CRC-32C.
    #[test]
    fn a_batch_is_these_bytes() {
        let producer =
            Producer { id: ProducerId(0x1122), epoch: ProducerEpoch(3), base_sequence: 7 };
        let options = BatchOptions { producer: Some(producer), ..BatchOptions::default() };
        let mut builder = BatchBuilder::new(options);
        builder.push(1000, Some(b"k"), Some(b"v1"), &[HeaderField::new("h", Some(b"x"))]);
        builder.push(1001, None, Some(b""), &[]);
        #[rustfmt::skip]
        let expected = [
            0, 0, 0, 0, 0, 0, 0, 0,             // base offset
            0, 0, 0, 70,                        // batch length
            0xff, 0xff, 0xff, 0xff,             // partition leader epoch
            2,                                  // magic
            0, 0, 0, 0,                         // crc, below
            0, 0,                               // attributes
            0, 0, 0, 1,                         // last offset delta
            0, 0, 0, 0, 0, 0, 0x03, 0xe8,       // base timestamp
            0, 0, 0, 0, 0, 0, 0x03, 0xe9,       // max timestamp
            0, 0, 0, 0, 0, 0, 0x11, 0x22,       // producer id
            0, 3,                               // producer epoch
            0, 0, 0, 7,                         // base sequence
            0, 0, 0, 2,                         // record count
            26, 0, 0, 0,                        // length 13, attributes, timestamp Δ 0, offset Δ 0
            2, b'k', 4, b'v', b'1', 2, 2, b'h', 2, b'x',
            12, 0, 2, 2, 1, 0, 0,               // length 6, attributes, Δ 1, Δ 1, null, empty, none
        ];
        let crc = crc32c_bit_by_bit(&expected[21..]);
        let mut expected = expected.to_vec();
        expected[17..21].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(crc, 0x5135_3356);
        assert_eq!(builder.finish(), expected);
    }

    fn crc32c_bit_by_bit(bytes: &[u8]) -> u32 {
        let mut crc = u32::MAX;
        for byte in bytes {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            }
        }
        !crc
    }

    #[test]
    fn the_length_before_finishing_is_the_length_after() {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        for index in 0..300 {
            builder.push(index * 1000, Some(&[1; 100]), None, &[]);
        }
        let length = builder.length();
        assert_eq!(builder.finish().len(), length);
    }
}
