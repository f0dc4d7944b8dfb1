//! Whole frames: four bytes of size, a header, a body.
//!
//! The server's side is [`encode_response`]; the client's side (command line, conformance programs, load
//! generators) is [`encode_request`] and [`decode_response`]. Sockets are elsewhere.

use std::fmt;

use bytes::Bytes;

use crate::api_key::ApiKey;
use crate::header::{RequestHeader, ResponseHeader};
use crate::ids::CorrelationId;
use crate::limits::RESPONSE_BYTES_MAX;
use crate::messages::ApiResponse;
use crate::request::Request;
use crate::response::Response;
use crate::wire::{Context, DecodeError, EncodeError, Reader, Writer};

/// Bytes of the size before each frame. The size does not count itself.
pub const SIZE_BYTES: usize = 4;

/// A response's head is rarely longer; the vector grows where it is.
const HEAD_BYTES: usize = 256;

/// A size that no frame has: negative, or beyond what the reader allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameSizeError {
    pub size: i32,
    pub bytes_max: usize,
}

impl fmt::Display for FrameSizeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "frame of {} bytes, at most {} are read", self.size, self.bytes_max)
    }
}

impl std::error::Error for FrameSizeError {}

/// A response that is larger than [`RESPONSE_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseTooLarge {
    pub api_key: ApiKey,
}

impl fmt::Display for ResponseTooLarge {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { api_key } = self;
        write!(formatter, "a response to {api_key} would have more than {RESPONSE_BYTES_MAX} bytes")
    }
}

impl std::error::Error for ResponseTooLarge {}

/// The bytes that follow `size`, checked before anything is reserved for them.
pub fn frame_bytes(size: [u8; SIZE_BYTES], bytes_max: usize) -> Result<usize, FrameSizeError> {
    let size = i32::from_be_bytes(size);
    usize::try_from(size)
        .ok()
        .filter(|bytes| *bytes <= bytes_max)
        .ok_or(FrameSizeError { size, bytes_max })
}

/// A response as parts to send in order. The first part begins with the size; record batches are parts of
/// their own, uncopied. `version` is that of the request, or 0 for ApiVersions in a version that is not served.
/// What makes a response large is bounded where it is collected; one that came here all the same is not sent,
/// and no more than [`RESPONSE_BYTES_MAX`] of it is written.
///
/// # Panics
/// When the response's API has no such version: a programmer's error.
pub fn encode_response(
    correlation_id: CorrelationId,
    version: i16,
    response: &Response,
) -> Result<Vec<Bytes>, ResponseTooLarge> {
    let api_key = response.api_key();
    assert!(api_key.describes(version), "{api_key} has no version {version}");
    let mut writer = Writer::bounded(HEAD_BYTES, RESPONSE_BYTES_MAX);
    writer.i32(0);
    ResponseHeader { correlation_id }.encode(&mut writer, api_key, version);
    response.encode(&mut writer, version);
    let size = i32::try_from(writer.length() - SIZE_BYTES);
    let (Ok(size), false) = (size, writer.has_overflown()) else {
        return Err(ResponseTooLarge { api_key });
    };
    writer.patch_i32(0, size);
    Ok(writer.finish())
}

/// A request as parts to send in order, like [`encode_response`].
///
/// # Panics
/// When the header names another API than the body has.
pub fn encode_request(
    header: &RequestHeader,
    request: &Request,
) -> Result<Vec<Bytes>, EncodeError> {
    assert_eq!(header.api_key, request.api_key(), "the header names the body's API");
    if !header.api_key.describes(header.api_version) {
        return Err(EncodeError::UnsupportedVersion { version: header.api_version });
    }
    let mut writer = Writer::with_capacity(HEAD_BYTES);
    writer.i32(0);
    header.encode(&mut writer);
    request.encode(&mut writer, header.api_version);
    if writer.string_was_cut() {
        return Err(EncodeError::StringTooLong);
    }
    let bytes = writer.length() - SIZE_BYTES;
    let size = i32::try_from(bytes).map_err(|_| EncodeError::FrameTooLarge { bytes })?;
    writer.patch_i32(0, size);
    Ok(writer.finish())
}

/// A request frame without its size, of every API that is described. A broker begins with
/// [`RequestHeader::decode`], which knows what is served.
pub fn decode_request(frame: &Bytes) -> Result<(RequestHeader, Request), DecodeError> {
    let mut reader = Reader::new(frame);
    let header = RequestHeader::decode_described(&mut reader)?;
    let request = Request::decode(header.api_key, header.api_version, &reader.rest())?;
    Ok((header, request))
}

/// A response frame without its size, to a request of `R`'s API and `version`.
pub fn decode_response<R: ApiResponse>(
    version: i16,
    frame: &Bytes,
) -> Result<(CorrelationId, R), DecodeError> {
    if !R::API.describes(version) {
        return Err(DecodeError::UnsupportedVersion { version });
    }
    let mut reader = Reader::new(frame);
    let header = ResponseHeader::decode(&mut reader, R::API, version)?;
    let context = Context::new(version, R::API.is_flexible(version));
    Ok((header.correlation_id, R::decode(&mut reader, context)?))
}

/// As [`decode_response`], for an API known only at run time.
pub fn decode_any_response(
    api_key: ApiKey,
    version: i16,
    frame: &Bytes,
) -> Result<(CorrelationId, Response), DecodeError> {
    let mut reader = Reader::new(frame);
    let header = ResponseHeader::decode(&mut reader, api_key, version)?;
    Ok((header.correlation_id, Response::decode(api_key, version, &reader.rest())?))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{
        ApiKey, CorrelationId, EncodeError, FrameSizeError, RESPONSE_BYTES_MAX, Request,
        RequestHeader, Response, ResponseTooLarge, SIZE_BYTES, decode_any_response, decode_request,
        decode_response, encode_request, encode_response, frame_bytes,
    };
    use crate::messages::fetch::{FetchResponse, FetchableTopicResponse, PartitionData};
    use crate::messages::metadata::{MetadataRequest, MetadataRequestTopic};
    use crate::string::Str;
    use crate::wire::Records;

    fn without_size(parts: &[Bytes]) -> Bytes {
        let frame = Bytes::from(parts.concat());
        let size = *frame.first_chunk().unwrap();
        assert_eq!(frame_bytes(size, frame.len()), Ok(frame.len() - SIZE_BYTES));
        frame.slice(SIZE_BYTES..)
    }

    #[test]
    fn sizes_are_checked_before_anything_is_read() {
        assert_eq!(frame_bytes([0, 0, 1, 0], 256), Ok(256));
        assert_eq!(
            frame_bytes([0, 0, 1, 1], 256),
            Err(FrameSizeError { size: 257, bytes_max: 256 })
        );
        assert!(frame_bytes([0xff; 4], usize::MAX).is_err());
        // The first bytes of a TLS handshake.
        assert!(frame_bytes([0x16, 3, 1, 2], 100 << 20).is_err());
    }

    #[test]
    fn a_fetch_response_carries_its_batches_uncopied_in_every_version() {
        let batches = [Bytes::from(vec![1; 500]), Bytes::from(vec![2; 300])];
        for version in ApiKey::Fetch.described() {
            let partition = |records: &[Bytes]| PartitionData {
                records: Records::from(records.to_vec()),
                ..PartitionData::default()
            };
            let topic = FetchableTopicResponse {
                partitions: vec![partition(&batches), partition(&[]), partition(&batches[..1])],
                ..FetchableTopicResponse::default()
            };
            let body = FetchResponse { responses: vec![topic], ..FetchResponse::default() };
            let response = Response::from(body.clone());
            let parts = encode_response(CorrelationId(5), version, &response).unwrap();
            let sent: Vec<_> = parts.iter().map(|part| part.as_ptr()).collect();
            for batch in &batches {
                assert!(sent.contains(&batch.as_ptr()), "version {version}");
            }
            // Head, two batches, what is between, one batch, and the tags of flexible versions.
            let tags = usize::from(ApiKey::Fetch.is_flexible(version));
            assert_eq!(parts.len(), 5 + tags);
            let frame = without_size(&parts);
            let decoded = decode_response::<FetchResponse>(version, &frame);
            assert_eq!(decoded, Ok((CorrelationId(5), body)));
            let decoded = decode_any_response(ApiKey::Fetch, version, &frame);
            assert_eq!(decoded, Ok((CorrelationId(5), response)));
        }
    }

    /// A group's offsets, named six hundred times in one request, made the node write a frame of more than 2 GiB,
    /// and end.
    #[test]
    fn a_response_that_is_too_large_is_not_sent() {
        let batch = Bytes::from(vec![1; 1 << 20]);
        let response = |batches: usize| {
            let records = Records::from(vec![batch.clone(); batches]);
            let partition = PartitionData { records, ..PartitionData::default() };
            let topic = FetchableTopicResponse {
                partitions: vec![partition],
                ..FetchableTopicResponse::default()
            };
            Response::from(FetchResponse { responses: vec![topic], ..FetchResponse::default() })
        };
        let of = |batches| encode_response(CorrelationId(5), 12, &response(batches));
        assert!(of(RESPONSE_BYTES_MAX / batch.len() - 1).is_ok());
        let error = ResponseTooLarge { api_key: ApiKey::Fetch };
        assert_eq!(of(RESPONSE_BYTES_MAX / batch.len()), Err(error));
    }

    fn metadata_request(version: i16, name: &str) -> (RequestHeader, Request) {
        let header = RequestHeader {
            api_key: ApiKey::Metadata,
            api_version: version,
            correlation_id: CorrelationId(1),
            client_id: Some(Str::from("test")),
        };
        let topic = MetadataRequestTopic { name: Some(name.into()), ..Default::default() };
        let body = MetadataRequest { topics: Some(vec![topic]), ..MetadataRequest::default() };
        (header, body.into())
    }

    #[test]
    fn requests_round_trip_and_those_that_cannot_be_sent_are_refused() {
        for version in ApiKey::Metadata.described() {
            let (header, request) = metadata_request(version, "topic");
            let frame = without_size(&encode_request(&header, &request).unwrap());
            assert_eq!(decode_request(&frame), Ok((header, request)));
        }
        let (header, request) = metadata_request(13, "topic");
        let error = EncodeError::UnsupportedVersion { version: 13 };
        assert_eq!(encode_request(&header, &request), Err(error));
        let (header, request) = metadata_request(12, &"x".repeat(40_000));
        assert_eq!(encode_request(&header, &request), Err(EncodeError::StringTooLong));
    }

    #[test]
    fn bytes_after_the_last_field_are_ignored() {
        let (header, request) = metadata_request(1, "topic");
        let frame = without_size(&encode_request(&header, &request).unwrap());
        let longer = Bytes::from([&frame[..], b"more"].concat());
        assert_eq!(decode_request(&longer), Ok((header, request)));
    }
}
