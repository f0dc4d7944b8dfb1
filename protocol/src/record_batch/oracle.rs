//! Tests: our records against the `kafka-protocol` crate's, both ways, with every codec.

use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{
    Compression as TheirCompression, Record as TheirRecord, RecordBatchDecoder, RecordBatchEncoder,
    RecordEncodeOptions, TimestampType as TheirTimestampType,
};

use super::{
    BatchBuilder, BatchOptions, BatchSlice, Compression, HeaderField, Producer, RecordIterator,
};
use crate::ids::{ProducerEpoch, ProducerId};
use crate::string::Str;
use crate::wire::generate::{Generate, Source};

/// Key, value, timestamp, headers without duplicates, which the crate drops.
type Sample = (Option<Bytes>, Option<Bytes>, i64, Vec<(Str, Option<Bytes>)>);

fn samples(seed: u64) -> Vec<Sample> {
    let source = &mut Source::new(seed);
    let base = 1_700_000_000_000;
    let mut records: Vec<Sample> = (0..=source.below(40))
        .map(|_| {
            let mut headers: Vec<(Str, Option<Bytes>)> = (0..source.below(4))
                .map(|_| (Str::generate(source), Generate::generate(source)))
                .collect();
            headers.sort();
            headers.dedup_by(|left, right| left.0 == right.0);
            let timestamp = base + i64::try_from(source.below(100_000)).unwrap();
            (Generate::generate(source), Generate::generate(source), timestamp, headers)
        })
        .collect();
    // The crate takes the least timestamp for the base, we take the first.
    records[0].2 = base;
    records
}

const PRODUCER: Producer =
    Producer { id: ProducerId(99), epoch: ProducerEpoch(2), base_sequence: 40 };

fn ours(samples: &[Sample], compression: Compression) -> Vec<u8> {
    let options = BatchOptions { compression, producer: Some(PRODUCER), ..BatchOptions::default() };
    let mut builder = BatchBuilder::new(options);
    for (key, value, timestamp, headers) in samples {
        let headers: Vec<_> =
            headers.iter().map(|(key, value)| HeaderField::new(key, value.as_deref())).collect();
        builder.push(*timestamp, key.as_deref(), value.as_deref(), &headers);
    }
    builder.finish()
}

fn their_record(index: usize, (key, value, timestamp, headers): &Sample) -> TheirRecord {
    let offset = i64::try_from(index).unwrap();
    TheirRecord {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: 99,
        producer_epoch: 2,
        timestamp_type: TheirTimestampType::Creation,
        offset,
        sequence: 40 + i32::try_from(index).unwrap(),
        timestamp: *timestamp,
        key: key.clone(),
        value: value.clone(),
        headers: headers
            .iter()
            .map(|(key, value)| (StrBytes::from_string(key.to_string()), value.clone()))
            .collect::<IndexMap<_, _>>(),
    }
}

fn pairs() -> [(Compression, TheirCompression); 5] {
    [
        (Compression::None, TheirCompression::None),
        (Compression::Gzip, TheirCompression::Gzip),
        (Compression::Snappy, TheirCompression::Snappy),
        (Compression::Lz4, TheirCompression::Lz4),
        (Compression::Zstd, TheirCompression::Zstd),
    ]
}

#[test]
fn the_oracle_reads_what_we_write() {
    for (compression, _) in pairs() {
        for seed in 0..40 {
            let samples = samples(seed);
            let expected: Vec<_> = samples
                .iter()
                .enumerate()
                .map(|(index, sample)| their_record(index, sample))
                .collect();
            let mut bytes = Bytes::from(ours(&samples, compression));
            let decoded = RecordBatchDecoder::decode(&mut bytes).unwrap();
            assert_eq!(decoded.records, expected, "{compression} seed {seed}");
        }
    }
}

#[test]
fn we_read_what_the_oracle_writes() {
    for (compression, theirs) in pairs() {
        for seed in 0..40 {
            let samples = samples(seed);
            let records: Vec<_> = samples
                .iter()
                .enumerate()
                .map(|(index, sample)| their_record(index, sample))
                .collect();
            let mut bytes = BytesMut::new();
            let options = RecordEncodeOptions { version: 2, compression: theirs };
            RecordBatchEncoder::encode(&mut bytes, &records, &options).unwrap();
            if compression == Compression::None {
                assert_eq!(bytes, ours(&samples, compression), "seed {seed}");
            }
            let batch = BatchSlice::first(&bytes).unwrap();
            assert!(batch.crc_is_valid());
            assert_eq!(batch.bytes.len(), bytes.len());
            assert_eq!(batch.header.producer(), Some(PRODUCER));
            assert_eq!(batch.header.attributes.compression(), Some(compression));
            let data = Bytes::copy_from_slice(batch.record_data());
            let data = compression.decompress(&data, 1 << 20).unwrap();
            let decoded: Vec<Sample> = RecordIterator::new(&data, batch.header.record_count)
                .map(|record| {
                    let record = record.unwrap();
                    let copied = |bytes: Option<&[u8]>| bytes.map(Bytes::copy_from_slice);
                    let headers = record.headers.iter();
                    (
                        copied(record.key),
                        copied(record.value),
                        batch.header.base_timestamp + record.timestamp_delta,
                        headers.map(|h| (Str::from(&*h.key_text()), copied(h.value))).collect(),
                    )
                })
                .collect();
            assert_eq!(decoded, samples, "{compression} seed {seed}");
        }
    }
}
