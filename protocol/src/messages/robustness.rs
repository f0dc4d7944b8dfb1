//! Tests: what hostile bytes do to the decoders: no panic, no memory beyond the frame's allowance.

use bytes::Bytes;

use super::for_each_api;
use crate::api_key::ApiKey;
use crate::limits::{DECODED_BYTES_BASE, DECODED_BYTES_PER_FRAME_BYTE_MAX};
use crate::messages;
use crate::request::Request;
use crate::response::Response;
use crate::wire::generate::{Generate, Source};
use crate::wire::{DecodeError, Writer};

/// A valid request and a valid response of every API and version.
fn samples(seed: u64) -> Vec<(ApiKey, i16, Bytes, Bytes)> {
    let mut samples = Vec::new();
    macro_rules! sample {
        ($($api:ident, $module:ident, $request:ident, $response:ident;)*) => { $(
            for version in ApiKey::$api.described() {
                let mut source = Source::new(seed);
                let request = Request::$api(messages::$module::$request::generate(&mut source));
                let response = Response::$api(messages::$module::$response::generate(&mut source));
                let mut writer = Writer::default();
                request.encode(&mut writer, version);
                let request = writer.finish().concat().into();
                let mut writer = Writer::default();
                response.encode(&mut writer, version);
                let response = writer.finish().concat().into();
                samples.push((ApiKey::$api, version, request, response));
            }
        )* };
    }
    for_each_api!(sample);
    samples
}

/// Decodes as a request and as a response and checks what that allocated.
fn decode(api_key: ApiKey, version: i16, body: &Bytes) -> [Option<DecodeError>; 2] {
    let mut errors = [None, None];
    let requests = allocation_counter::measure(|| {
        errors[0] = Request::decode(api_key, version, body).err();
    });
    let responses = allocation_counter::measure(|| {
        errors[1] = Response::decode(api_key, version, body).err();
    });
    let allowance = DECODED_BYTES_BASE + DECODED_BYTES_PER_FRAME_BYTE_MAX * body.len();
    for info in [requests, responses] {
        assert!(info.bytes_total <= allowance as u64, "{api_key} {version}: {info:?}");
    }
    errors
}

#[test]
fn valid_messages_decode_and_every_truncation_is_an_error() {
    for (api_key, version, request, response) in samples(7) {
        assert_eq!(decode(api_key, version, &request)[0], None);
        assert_eq!(decode(api_key, version, &response)[1], None);
        for length in 0..request.len() {
            let error = decode(api_key, version, &request.slice(..length))[0];
            assert!(error.is_some(), "{api_key} {version}");
        }
        for length in 0..response.len() {
            let error = decode(api_key, version, &response.slice(..length))[1];
            assert!(error.is_some(), "{api_key} {version}");
        }
    }
}

#[test]
fn mutated_messages_neither_panic_nor_allocate_beyond_their_allowance() {
    let mut source = Source::new(11);
    for seed in 0..8 {
        for (api_key, version, request, response) in samples(seed) {
            for valid in [request, response] {
                for _ in 0..24 {
                    let mut bytes = valid.to_vec();
                    for _ in 0..=source.below(4) {
                        mutate(&mut bytes, &mut source);
                    }
                    decode(api_key, version, &bytes.into());
                }
            }
        }
    }
}

fn mutate(bytes: &mut Vec<u8>, source: &mut Source) {
    let at = usize::try_from(source.below(bytes.len() as u64 + 1)).unwrap();
    let extreme = [0, 1, 0x7f, 0x80, 0xff][usize::try_from(source.below(5)).unwrap()];
    match source.below(4) {
        0 if at < bytes.len() => bytes[at] = source.next().to_le_bytes()[0],
        1 if at < bytes.len() => bytes[at] = extreme,
        2 => bytes.insert(at, extreme),
        _ if at < bytes.len() => drop(bytes.remove(at)),
        _ => bytes.push(extreme),
    }
}

#[test]
fn random_bytes_neither_panic_nor_allocate_beyond_their_allowance() {
    let mut source = Source::new(13);
    for api_key in ApiKey::ALL {
        for version in api_key.described() {
            for _ in 0..200 {
                let length = source.below(120);
                // Small values are counts that fit, so that decoding gets deeper.
                let bound = [256, 4, 40][usize::try_from(source.below(3)).unwrap()];
                let bytes: Bytes =
                    (0..length).map(|_| source.below(bound).to_le_bytes()[0]).collect();
                decode(*api_key, version, &bytes);
            }
        }
    }
}

#[test]
fn counts_larger_than_the_frame_are_refused_before_anything_is_allocated() {
    // Metadata version 1: an array of 2^31 − 1 topics in eight bytes.
    let body = Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    let info = allocation_counter::measure(|| {
        let error = Request::decode(ApiKey::Metadata, 1, &body).err();
        assert_eq!(error, Some(DecodeError::TooManyElements { count: 0x7fff_ffff }));
    });
    assert_eq!(info.count_total, 0);
}

#[test]
fn an_array_of_empty_strings_may_not_take_32_times_its_bytes() {
    // DeleteTopics version 4: a megabyte of names without letters.
    let names = 1 << 20;
    let mut writer = Writer::default();
    writer.unsigned_varint(names + 1);
    writer.slice(&vec![1; names as usize + 5]);
    let body = Bytes::from(writer.finish().concat());
    let error = Request::decode(ApiKey::DeleteTopics, 4, &body).err();
    assert_eq!(error, Some(DecodeError::DecodedTooLarge));
}

#[test]
fn unknown_tagged_fields_are_skipped_up_to_their_limit() {
    // InitProducerId version 2: no transactional id, a timeout, then tags.
    let body = |tags: u32| {
        let mut writer = Writer::default();
        writer.slice(&[0, 0, 0, 0, 1]);
        writer.unsigned_varint(tags);
        for tag in 0..tags {
            writer.unsigned_varint(tag);
            writer.slice(&[2, 0xaa, 0xbb]);
        }
        Bytes::from(writer.finish().concat())
    };
    let decode = |tags| Request::decode(ApiKey::InitProducerId, 2, &body(tags)).err();
    assert_eq!(decode(0), None);
    assert_eq!(decode(1000), None);
    assert_eq!(decode(1025), Some(DecodeError::TooManyUnknownTaggedFields));
}

#[test]
fn records_and_names_are_slices_of_the_frame() {
    let (_, version, body, _) = samples(3)
        .into_iter()
        .find(|(api, version, ..)| (*api, *version) == (ApiKey::Produce, 9))
        .unwrap();
    let Ok(Request::Produce(request)) = Request::decode(ApiKey::Produce, version, &body) else {
        panic!("a produce request")
    };
    let frame = body.as_ptr_range();
    for topic in request.topic_data {
        assert!(topic.name.is_empty() || frame.contains(&topic.name.as_ptr()));
        for records in topic.partition_data.into_iter().filter_map(|partition| partition.records) {
            assert!(records.is_empty() || frame.contains(&records.as_ptr()));
        }
    }
}
