//! Whole frames: four bytes of size, a header, a body.
//!
//! The server's side is [`encode_response`]; the client's side (command line, conformance programs, load
//! generators) is [`encode_request`] and [`decode_response`]. Sockets are elsewhere.

use std::fmt;

use bytes::Bytes;

use crate::api_key::ApiKey;
use crate::header::{RequestHeader, ResponseHeader};
use crate::ids::CorrelationId;
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
///
/// # Panics
/// When the response is larger than a frame can be (2 GiB) or its version is not served: programmer's errors.
#[must_use]
pub fn encode_response(
    correlation_id: CorrelationId,
    version: i16,
    response: &Response,
) -> Vec<Bytes> {
    let api_key = response.api_key();
    assert!(api_key.serves(version), "{api_key} version {version} is not served");
    let mut writer = Writer::with_capacity(HEAD_BYTES);
    writer.i32(0);
    ResponseHeader { correlation_id }.encode(&mut writer, api_key, version);
    response.encode(&mut writer, version);
    let bytes = writer.length() - SIZE_BYTES;
    writer.patch_i32(0, i32::try_from(bytes).expect("the broker bounds its responses"));
    writer.finish()
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
    if !header.is_served() {
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

/// A request frame without its size.
pub fn decode_request(frame: &Bytes) -> Result<(RequestHeader, Request), DecodeError> {
    let mut reader = Reader::new(frame);
    let header = RequestHeader::decode(&mut reader)?;
    let request = Request::decode(header.api_key, header.api_version, &reader.rest())?;
    Ok((header, request))
}

/// A response frame without its size, to a request of `R`'s API and `version`.
pub fn decode_response<R: ApiResponse>(
    version: i16,
    frame: &Bytes,
) -> Result<(CorrelationId, R), DecodeError> {
    if !R::API.serves(version) {
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
