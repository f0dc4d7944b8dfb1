//! Every row of the validation table, and the order of the rows.

use bytes::Bytes;

use super::super::{
    ATTRIBUTES_AT, BASE_OFFSET_AT, BASE_SEQUENCE_AT, BATCH_LENGTH_AT, BatchBuilder, BatchOptions,
    CRC_AT, CRC_COVERS_FROM, Compression, DecompressError, LAST_OFFSET_DELTA_AT, MAGIC_AT,
    Producer, RECORD_COUNT_AT, RecordError, TimestampType,
};
use super::{
    ProduceBatchError, ProduceRules, RecordRefusal as Refusal, RecordRules, RecordsError,
    RefusedRecord, RefusedRecords, validate_produce, validate_records,
};
use crate::ids::{Offset, ProducerEpoch, ProducerId};
use crate::limits::RECORDS_REFUSED_MAX;

const RULES: ProduceRules = ProduceRules {
    zstd_allowed: true,
    batch_bytes_max: 1000,
    segment_bytes_max: 2000,
    timestamp_type: TimestampType::CreateTime,
};

fn batch(compression: Compression, records: i32) -> Vec<u8> {
    let producer = Producer { id: ProducerId(4), epoch: ProducerEpoch(0), base_sequence: 0 };
    let options = BatchOptions { compression, producer: Some(producer), ..Default::default() };
    let mut builder = BatchBuilder::new(options);
    for index in 0..records {
        builder.push(1000 + i64::from(index), Some(b"key"), Some(b"value"), &[]);
    }
    builder.finish()
}

fn with(mut bytes: Vec<u8>, at: usize, field: &[u8]) -> Vec<u8> {
    bytes[at..at + field.len()].copy_from_slice(field);
    bytes
}

/// As [`with`], with a CRC that holds.
fn signed(bytes: Vec<u8>, at: usize, field: &[u8]) -> Vec<u8> {
    let bytes = with(bytes, at, field);
    let crc = crc32c::crc32c(&bytes[CRC_COVERS_FROM..]);
    with(bytes, CRC_AT, &crc.to_be_bytes())
}

fn error(bytes: Vec<u8>) -> Option<ProduceBatchError> {
    validate_produce(Some(&bytes.into()), &RULES).err()
}

#[test]
fn a_good_batch_passes_with_every_codec() {
    for compression in Compression::ALL {
        let bytes = Bytes::from(batch(compression, 3));
        let batch = validate_produce(Some(&bytes), &RULES).unwrap();
        assert_eq!(batch.compression(), compression);
        assert_eq!(batch.bytes().as_ptr(), bytes.as_ptr());
        assert_eq!(batch.header().next_offset(), Offset(3));
        assert_eq!(batch.header().last_sequence(), 2);
    }
}

#[test]
fn every_row_of_the_table_has_its_error() {
    use ProduceBatchError as E;
    let good = || batch(Compression::None, 3);
    let length = |length: i32| with(good(), BATCH_LENGTH_AT, &length.to_be_bytes());
    assert_eq!(validate_produce(None, &RULES).err(), Some(E::NoBatch));
    assert_eq!(error(Vec::new()), Some(E::NoBatch));
    for end in 0..good().len() {
        assert_eq!(error(good()[..end].to_vec()), Some(E::NoBatch), "{end}");
    }
    assert_eq!(error(length(13)), Some(E::IllegalLength { batch_length: 13 }));
    // Shorter than the header, with more bytes behind it or none.
    assert_eq!(error(length(48)), Some(E::IllegalLength { batch_length: 48 }));
    let short = length(20)[..32].to_vec();
    assert_eq!(error(short), Some(E::IllegalLength { batch_length: 20 }));
    let old = with(length(20), MAGIC_AT, &[1]);
    assert_eq!(error(old), Some(E::WrongMagic { magic: 1 }));
    assert_eq!(error(length(-1)), Some(E::IllegalLength { batch_length: -1 }));
    assert_eq!(error(length(i32::MAX)), Some(E::NoBatch));
    assert_eq!(error(with(good(), MAGIC_AT, &[1])), Some(E::WrongMagic { magic: 1 }));
    assert_eq!(error([good(), good()].concat()), Some(E::MoreThanOneBatch));
    assert_eq!(error([good(), vec![0]].concat()), Some(E::MoreThanOneBatch));
    assert_eq!(
        error(with(good(), BASE_OFFSET_AT, &5i64.to_be_bytes())),
        Some(E::BaseOffsetNotZero { base_offset: Offset(5) })
    );
    assert!(matches!(error(batch(Compression::None, 200)), Some(E::TooLarge { .. })));
    for at in CRC_AT..good().len() {
        let flipped = good()[at] ^ 1;
        assert_eq!(error(with(good(), at, &[flipped])), Some(E::Corrupt), "{at}");
    }
    assert_eq!(
        error(signed(good(), LAST_OFFSET_DELTA_AT, &(-1i32).to_be_bytes())),
        Some(E::NegativeOffsetRange { last_offset_delta: -1 })
    );
    assert_eq!(
        error(signed(good(), RECORD_COUNT_AT, &0i32.to_be_bytes())),
        Some(E::NoRecords { record_count: 0 })
    );
    assert_eq!(
        error(signed(good(), RECORD_COUNT_AT, &4i32.to_be_bytes())),
        Some(E::CountMismatch { last_offset_delta: 2, record_count: 4 })
    );
    assert_eq!(error(signed(good(), ATTRIBUTES_AT, &[0, 1 << 5])), Some(E::ControlBatch));
    assert_eq!(error(signed(good(), ATTRIBUTES_AT, &[0, 5])), Some(E::UnknownCodec));
    assert_eq!(
        error(signed(good(), BASE_SEQUENCE_AT, &(-1i32).to_be_bytes())),
        Some(E::NegativeBaseSequence { base_sequence: -1 })
    );
    assert_eq!(error(signed(good(), ATTRIBUTES_AT, &[0, 1 << 3])), Some(E::LogAppendTimestamps));
}

#[test]
fn the_rules_decide_about_zstd_segments_and_timestamps() {
    use ProduceBatchError as E;
    let check = |bytes: Vec<u8>, rules: ProduceRules| validate_produce(Some(&bytes.into()), &rules);
    let old = ProduceRules { zstd_allowed: false, ..RULES };
    assert_eq!(check(batch(Compression::Zstd, 1), old).err(), Some(E::ZstdNotAllowed));
    assert!(check(batch(Compression::Lz4, 1), old).is_ok());
    let small = ProduceRules { segment_bytes_max: 61, ..RULES };
    assert!(matches!(
        check(batch(Compression::None, 1), small),
        Err(E::LargerThanSegment { bytes_max: 61, .. })
    ));
    let stamped = signed(batch(Compression::None, 1), ATTRIBUTES_AT, &[0, 1 << 3]);
    let append = ProduceRules { timestamp_type: TimestampType::LogAppendTime, ..RULES };
    assert!(check(stamped, append).is_ok());
}

/// A batch with every fault at once, mended one by one, shows the errors in the order of their variants.
#[test]
fn the_first_error_in_the_order_of_the_variants_is_reported() {
    use ProduceBatchError as E;
    let rules = ProduceRules { zstd_allowed: false, batch_bytes_max: 70, ..RULES };
    let check = |bytes: &[u8]| validate_produce(Some(&Bytes::copy_from_slice(bytes)), &rules).err();
    let mut bytes = batch(Compression::None, 3);
    let size = bytes.len();
    bytes = with(bytes, BASE_OFFSET_AT, &1i64.to_be_bytes());
    bytes = with(bytes, ATTRIBUTES_AT, &[0, 0b10_1100]);
    bytes = with(bytes, LAST_OFFSET_DELTA_AT, &(-3i32).to_be_bytes());
    bytes = with(bytes, RECORD_COUNT_AT, &0i32.to_be_bytes());
    bytes = with(bytes, BASE_SEQUENCE_AT, &(-1i32).to_be_bytes());
    bytes.push(0);
    assert_eq!(check(&bytes), Some(E::ZstdNotAllowed));
    bytes[ATTRIBUTES_AT + 1] = 0b10_1101;
    assert_eq!(check(&bytes), Some(E::MoreThanOneBatch));
    bytes.pop();
    assert_eq!(check(&bytes), Some(E::BaseOffsetNotZero { base_offset: Offset(1) }));
    bytes = with(bytes, BASE_OFFSET_AT, &[0; 8]);
    assert_eq!(check(&bytes), Some(E::TooLarge { bytes: size, bytes_max: 70 }));
    assert_eq!(error(bytes.clone()), Some(E::Corrupt));
    bytes = signed(bytes, BASE_OFFSET_AT, &[]);
    assert_eq!(error(bytes.clone()), Some(E::NegativeOffsetRange { last_offset_delta: -3 }));
    bytes = signed(bytes, LAST_OFFSET_DELTA_AT, &2i32.to_be_bytes());
    assert_eq!(error(bytes.clone()), Some(E::NoRecords { record_count: 0 }));
    bytes = signed(bytes, RECORD_COUNT_AT, &3i32.to_be_bytes());
    assert_eq!(error(bytes.clone()), Some(E::ControlBatch));
    bytes = signed(bytes, ATTRIBUTES_AT, &[0, 0b1101]);
    assert_eq!(error(bytes.clone()), Some(E::UnknownCodec));
    bytes = signed(bytes, ATTRIBUTES_AT, &[0, 0b1000]);
    assert_eq!(error(bytes.clone()), Some(E::NegativeBaseSequence { base_sequence: -1 }));
    bytes = signed(bytes, BASE_SEQUENCE_AT, &[0; 4]);
    assert_eq!(error(bytes.clone()), Some(E::LogAppendTimestamps));
    assert_eq!(error(signed(bytes, ATTRIBUTES_AT, &[0, 0])), None);
}

fn refused(records: &[(i32, Refusal)]) -> Result<i64, RecordsError> {
    let first: Vec<_> =
        records.iter().map(|&(index, refusal)| RefusedRecord { index, refusal }).collect();
    let timestamp_among_them =
        records.iter().any(|(_, refusal)| matches!(refusal, Refusal::Timestamp { .. }));
    Err(RecordsError::Refused(RefusedRecords { count: first.len(), first, timestamp_among_them }))
}

#[test]
fn every_record_that_the_topic_does_not_take_is_named_up_to_a_bound() {
    let records = 3 * RECORDS_REFUSED_MAX;
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for _ in 0..records {
        builder.push(7, None, Some(b""), &[]);
    }
    let rules = ProduceRules { batch_bytes_max: 1 << 20, segment_bytes_max: 1 << 20, ..RULES };
    let batch = validate_produce(Some(&builder.finish().into()), &rules).unwrap();
    let rules = RecordRules {
        key_required: true,
        timestamps: Some(8..=9),
        decompressed_bytes_max: 1 << 20,
    };
    let Err(RecordsError::Refused(refused)) = validate_records(&batch, &rules) else {
        panic!("records without a key are refused")
    };
    assert_eq!((refused.first.len(), refused.count), (RECORDS_REFUSED_MAX, records));
    // A record has one reason, the key's first.
    assert!(!refused.timestamp_among_them);
    assert!(refused.first.iter().all(|record| record.refusal == Refusal::MissingKey));
}

#[test]
fn a_record_without_a_timestamp_is_not_out_of_time() {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.push(-1, Some(b"key"), None, &[]);
    let batch = validate_produce(Some(&builder.finish().into()), &RULES).unwrap();
    let rules = RecordRules {
        key_required: true,
        timestamps: Some(1000..=1001),
        decompressed_bytes_max: 999,
    };
    assert_eq!(validate_records(&batch, &rules).err(), None);
}

#[test]
fn a_count_beyond_what_compressed_data_can_hold_is_refused_without_looking_into_them() {
    for compression in Compression::ALL {
        let good = batch(compression, 3);
        let check = |bytes: Vec<u8>| {
            validate_produce(Some(&bytes.into()), &RULES).unwrap().check_compressed(256 << 20)
        };
        assert_eq!(check(good.clone()), Ok(()), "{compression}");
        let count = i32::MAX;
        let bytes = signed(good, RECORD_COUNT_AT, &count.to_be_bytes());
        let bytes = signed(bytes, LAST_OFFSET_DELTA_AT, &(count - 1).to_be_bytes());
        let error = RecordsError::TooManyRecords { record_count: count };
        assert_eq!(check(bytes), Err(error), "{compression}");
    }
    let garbage = signed(batch(Compression::None, 3), ATTRIBUTES_AT, &[0, 4]);
    let garbage = validate_produce(Some(&garbage.into()), &RULES).unwrap();
    let error = RecordsError::Decompress(DecompressError::Corrupt);
    assert_eq!(garbage.check_compressed(256 << 20), Err(error));
}

#[test]
fn records_are_checked_in_order_with_their_index() {
    let rules = RecordRules {
        key_required: true,
        timestamps: Some(1000..=1001),
        decompressed_bytes_max: 999,
    };
    let check = |bytes: Vec<u8>, rules: &RecordRules| {
        validate_records(&validate_produce(Some(&bytes.into()), &RULES).unwrap(), rules)
    };
    for compression in Compression::ALL {
        assert_eq!(check(batch(compression, 2), &rules), Ok(1001));
        assert_eq!(
            check(batch(compression, 4), &rules),
            refused(&[
                (2, Refusal::Timestamp { timestamp: 1002 }),
                (3, Refusal::Timestamp { timestamp: 1003 })
            ])
        );
        let small = RecordRules { decompressed_bytes_max: 10, ..rules.clone() };
        let is_bounded =
            matches!(check(batch(compression, 2), &small), Err(RecordsError::Decompress(_)));
        assert_eq!(is_bounded, compression != Compression::None);
    }
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.push(1000, None, Some(b"value"), &[]);
    let keyless = builder.finish();
    assert_eq!(check(keyless.clone(), &rules), refused(&[(0, Refusal::MissingKey)]));
    let any = RecordRules { key_required: false, timestamps: None, ..rules.clone() };
    assert_eq!(check(keyless.clone(), &any), Ok(1000));
    // The offset delta is the record's fourth byte.
    let wrong = signed(keyless.clone(), 64, &[4]);
    assert_eq!(check(wrong, &any), Err(RecordsError::OffsetDelta { index: 0, offset_delta: 2 }));
    // Its first byte is its length, in zig-zag.
    let wrong = signed(keyless, 61, &[126]);
    let error = RecordError::Truncated;
    assert_eq!(check(wrong, &any), Err(RecordsError::Malformed { index: 0, error }));
}

/// Once the data were decompressed as a whole: a batch of a megabyte took a quarter of a gigabyte.
#[test]
fn a_bomb_is_walked_without_keeping_what_it_becomes() {
    let rules = ProduceRules { batch_bytes_max: 4 << 20, segment_bytes_max: 4 << 20, ..RULES };
    for compression in [Compression::Gzip, Compression::Lz4, Compression::Zstd] {
        let mut builder =
            BatchBuilder::new(BatchOptions { compression, ..BatchOptions::default() });
        builder.push(1000, Some(b"key"), Some(&vec![0; 96 << 20]), &[]);
        let batch = validate_produce(Some(&builder.finish().into()), &rules).unwrap();
        let check = |decompressed_bytes_max| {
            let rules =
                RecordRules { key_required: true, timestamps: None, decompressed_bytes_max };
            validate_records(&batch, &rules)
        };
        let info = allocation_counter::measure(|| assert_eq!(check(128 << 20), Ok(1000)));
        assert!(info.bytes_max < 20 << 20, "{compression}: {info:?}");
        let too_large = DecompressError::TooLarge { bytes_max: 64 << 20 };
        assert_eq!(check(64 << 20), Err(RecordsError::Decompress(too_large)));
    }
}
