//! One entry point per decoder for fuzzers: any bytes in, no panic out. What decodes is encoded again and
//! must decode to the same value.

use bytes::Bytes;

use crate::api_key::ApiKey;
use crate::consumer_protocol::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use crate::frame;
use crate::group_record::{GroupRecord, GroupRecordError};
use crate::ids::CorrelationId;
use crate::limits::RECORDS_REFUSED_MAX;
use crate::record_batch::{
    ATTRIBUTES_AT, BATCH_LENGTH_AT, BatchWalk, CRC_AT, CRC_COVERS_FROM, HEADER_BYTES,
    LENGTH_COUNTS_FROM, ProduceRules, RecordIterator, RecordRules, RecordsError, TimestampType,
    validate_produce, validate_records,
};
use crate::response::Response;
use crate::wire::{DecodeError, Records};

/// What a batch may become when the fuzzer decompresses it.
const DECOMPRESSED_BYTES_MAX: usize = 1024 * 1024;

/// A request frame without its size: header and body, as a broker reads it.
pub fn request_frame(bytes: &[u8]) {
    let frame = Bytes::copy_from_slice(bytes);
    let Ok((header, request)) = frame::decode_request(&frame) else { return };
    let parts = frame::encode_request(&header, &request).expect("what came in can go out");
    let again = Bytes::from(parts.concat()).slice(frame::SIZE_BYTES..);
    match frame::decode_request(&again) {
        Ok(again) => assert_eq!(again, (header, request)),
        // Without its unknown tags and trailing bytes the frame has a smaller allowance.
        Err(error) => assert_eq!(error, DecodeError::DecodedTooLarge),
    }
}

/// The first two bytes choose the API and the version, the rest is a response frame without its size.
pub fn response_frame(bytes: &[u8]) {
    let Some(([api, version], frame)) = bytes.split_first_chunk() else { return };
    let api_key = ApiKey::ALL[usize::from(*api) % ApiKey::ALL.len()];
    let described = api_key.described();
    let versions = described.end() - described.start() + 1;
    let version = described.start() + i16::from(*version) % versions;
    let frame = Bytes::copy_from_slice(frame);
    let Ok((correlation_id, response)) = frame::decode_any_response(api_key, version, &frame)
    else {
        return;
    };
    let again = encoded(correlation_id, version, &response);
    match frame::decode_any_response(api_key, version, &again) {
        Ok(again) => assert_eq!(again, (correlation_id, response)),
        Err(error) => assert_eq!(error, DecodeError::DecodedTooLarge),
    }
}

fn encoded(correlation_id: CorrelationId, version: i16, response: &Response) -> Bytes {
    let parts = frame::encode_response(correlation_id, version, response);
    let parts = parts.expect("what came in can go out");
    Records::from(parts).joined().slice(frame::SIZE_BYTES..)
}

/// A record of `__consumer_offsets`: the first byte is the length of the key, what follows the key is the value.
pub fn group_record(bytes: &[u8]) {
    let Some((key_bytes, record)) = bytes.split_first() else { return };
    let key_bytes = usize::from(*key_bytes).min(record.len());
    let mut key = Bytes::copy_from_slice(record);
    let value = key.split_off(key_bytes);
    let Ok(record) = GroupRecord::decode(&key, Some(&value)) else { return };
    let again = record.encode().expect("what came in can go out");
    match GroupRecord::decode(&again.key, again.value.as_ref()) {
        Ok(again) => assert_eq!(again, record),
        Err(error) => {
            assert_eq!(error, GroupRecordError::Malformed(DecodeError::DecodedTooLarge));
        }
    }
}

/// The metadata and the assignment of a consumer of the classic protocol.
pub fn consumer_protocol(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    if let Ok((version, subscription)) = ConsumerProtocolSubscription::parse(&bytes) {
        let topics = ConsumerProtocolSubscription::parse_topics(&bytes);
        assert_eq!(topics.as_ref(), Ok(&subscription.topics));
        let again = subscription.to_bytes(version).expect("what came in can go out");
        assert_eq!(ConsumerProtocolSubscription::parse(&again), Ok((version, subscription)));
    }
    if let Ok((version, assignment)) = ConsumerProtocolAssignment::parse(&bytes) {
        let again = assignment.to_bytes(version).expect("what came in can go out");
        assert_eq!(ConsumerProtocolAssignment::parse(&again), Ok((version, assignment)));
    }
}

/// Bytes of a log or of a fetch response: walked, checked, decompressed, read.
pub fn record_batches(bytes: &[u8]) {
    for batch in BatchWalk::new(bytes) {
        let Ok(batch) = batch else { return };
        let _ = batch.crc_is_valid();
        let Some(compression) = batch.header.attributes.compression() else { continue };
        let data = Bytes::copy_from_slice(batch.record_data());
        let Ok(data) = compression.decompress(&data, DECOMPRESSED_BYTES_MAX) else { continue };
        for record in RecordIterator::new(&data, batch.header.record_count).flatten() {
            assert_eq!(record.headers.iter().count(), record.headers.count());
        }
    }
}

/// The records of one partition in a produce request, as they are and with length and CRC made right.
pub fn produced_records(bytes: &[u8]) {
    produced(bytes);
    let mut repaired = bytes.to_vec();
    if repaired.len() < HEADER_BYTES {
        return;
    }
    let length = i32::try_from(repaired.len() - LENGTH_COUNTS_FROM).unwrap_or(i32::MAX);
    repaired[BATCH_LENGTH_AT..LENGTH_COUNTS_FROM].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c::crc32c(&repaired[CRC_COVERS_FROM..]);
    repaired[CRC_AT..ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
    produced(&repaired);
}

fn produced(bytes: &[u8]) {
    let rules = ProduceRules {
        zstd_allowed: true,
        batch_bytes_max: DECOMPRESSED_BYTES_MAX,
        segment_bytes_max: DECOMPRESSED_BYTES_MAX,
        timestamp_type: TimestampType::CreateTime,
    };
    let Ok(batch) = validate_produce(Some(&Bytes::copy_from_slice(bytes)), &rules) else { return };
    let rules = RecordRules {
        key_required: true,
        timestamps: Some(0..=i64::MAX),
        decompressed_bytes_max: DECOMPRESSED_BYTES_MAX,
    };
    let cheap = batch.check_compressed(DECOMPRESSED_BYTES_MAX);
    match validate_records(&batch, &rules) {
        // Nothing sound fails the check that is made without looking at the records.
        Ok(_) => assert_eq!(cheap, Ok(())),
        Err(RecordsError::Refused(refused)) => {
            assert!((1..=RECORDS_REFUSED_MAX).contains(&refused.first.len()));
            assert!(refused.count >= refused.first.len());
            assert_eq!(cheap, Ok(()));
        }
        Err(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{
        consumer_protocol, group_record, produced_records, record_batches, request_frame,
        response_frame,
    };
    use crate::record_batch::{BatchBuilder, BatchOptions, Compression};
    use crate::wire::generate::Source;

    #[test]
    fn random_bytes_are_survived_by_every_entry_point() {
        let mut source = Source::new(1);
        for round in 0..20_000 {
            let length = source.below(200);
            let bound = if round % 2 == 0 { 256 } else { 8 };
            let mut bytes: Vec<u8> =
                (0..length).map(|_| source.below(bound).to_le_bytes()[0]).collect();
            response_frame(&bytes);
            record_batches(&bytes);
            produced_records(&bytes);
            consumer_protocol(&bytes);
            group_record(&bytes);
            // Aim at a key whose texts are empty and whose partition is 0.
            let code = source.below(17).to_le_bytes()[0];
            let record = [&[10, 0, code][..], &[0; 8], &bytes].concat();
            group_record(&record);
            // Aim at an API and a low version.
            if let Some(head) = bytes.first_chunk_mut::<4>() {
                *head =
                    [0, source.below(64).to_le_bytes()[0], 0, source.below(13).to_le_bytes()[0]];
            }
            request_frame(&bytes);
        }
    }

    #[test]
    fn mutated_batches_are_survived() {
        let mut source = Source::new(2);
        for compression in Compression::ALL {
            let mut builder =
                BatchBuilder::new(BatchOptions { compression, ..BatchOptions::default() });
            for index in 0..20 {
                builder.push(index, Some(b"key"), Some(b"value"), &[]);
            }
            let valid = builder.finish();
            for _ in 0..500 {
                let mut bytes = valid.repeat(2);
                for _ in 0..=source.below(3) {
                    let at = usize::try_from(source.below(bytes.len() as u64)).unwrap();
                    bytes[at] = source.next().to_le_bytes()[0];
                }
                record_batches(&bytes);
                bytes.truncate(valid.len());
                produced_records(&bytes);
            }
        }
    }
}
