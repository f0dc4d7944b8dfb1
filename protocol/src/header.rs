//! Request and response headers.

use crate::api_key::ApiKey;
use crate::ids::CorrelationId;
use crate::string::Str;
use crate::wire::{Context, DecodeError, Reader, Wire, Writer};

/// What precedes every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    pub api_key: ApiKey,
    pub api_version: i16,
    pub correlation_id: CorrelationId,
    pub client_id: Option<Str>,
}

impl RequestHeader {
    /// Reads up to the body, as a broker does: an API that is described and not served is unknown.
    ///
    /// The form of a header depends on whether its version is flexible, so a version that is not served
    /// ends the connection, as in Kafka. ApiVersions is the exception (KIP-511): its header comes back with
    /// the version that was asked for and without a client id, [`Self::is_served`] is false, and the
    /// broker answers version 0 with UNSUPPORTED_VERSION without looking at the body.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let header = Self::decode_described(reader)?;
        if header.api_key.is_served() {
            Ok(header)
        } else {
            Err(DecodeError::UnknownApiKey { code: header.api_key.code() })
        }
    }

    /// As [`Self::decode`], of every API that is described.
    pub(crate) fn decode_described(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let code = reader.i16()?;
        let api_version = reader.i16()?;
        let correlation_id = CorrelationId(reader.i32()?);
        let api_key = ApiKey::from_code(code).ok_or(DecodeError::UnknownApiKey { code })?;
        let mut header = Self { api_key, api_version, correlation_id, client_id: None };
        if !api_key.describes(api_version) {
            if api_key == ApiKey::ApiVersions {
                return Ok(header);
            }
            return Err(DecodeError::UnsupportedVersion { version: api_version });
        }
        let context = Context::new(api_version, false).nullable(true);
        header.client_id = Wire::decode(reader, context)?;
        if api_key.is_flexible(api_version) {
            reader.tagged_fields(|_, _| Ok(false))?;
        }
        Ok(header)
    }

    /// The API that a request asks for, without a look at the rest of it.
    #[must_use]
    pub fn api_key_of(request: &[u8]) -> Option<ApiKey> {
        let code = request.first_chunk::<2>()?;
        ApiKey::from_code(i16::from_be_bytes(*code))
    }

    #[must_use]
    pub fn is_served(&self) -> bool {
        self.api_key.serves(self.api_version)
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.i16(self.api_key.code());
        writer.i16(self.api_version);
        writer.i32(self.correlation_id.0);
        self.client_id.encode(writer, Context::new(self.api_version, false).nullable(true));
        if self.api_key.is_flexible(self.api_version) {
            writer.unsigned_varint(0);
        }
    }
}

/// What precedes every response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHeader {
    pub correlation_id: CorrelationId,
}

impl ResponseHeader {
    /// `version` is that of the request it answers.
    pub fn decode(
        reader: &mut Reader<'_>,
        api_key: ApiKey,
        version: i16,
    ) -> Result<Self, DecodeError> {
        let correlation_id = CorrelationId(reader.i32()?);
        if api_key.response_header_version(version) >= 1 {
            reader.tagged_fields(|_, _| Ok(false))?;
        }
        Ok(Self { correlation_id })
    }

    pub(crate) fn encode(self, writer: &mut Writer, api_key: ApiKey, version: i16) {
        writer.i32(self.correlation_id.0);
        if api_key.response_header_version(version) >= 1 {
            writer.unsigned_varint(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{ApiKey, CorrelationId, DecodeError, Reader, RequestHeader, Writer};
    use crate::string::Str;

    fn encoded(header: &RequestHeader) -> Bytes {
        let mut writer = Writer::default();
        header.encode(&mut writer);
        writer.finish().concat().into()
    }

    #[test]
    fn headers_round_trip_and_leave_the_body() {
        for (version, client_id) in [(1, None), (5, Some("")), (9, Some("console")), (12, None)] {
            let header = RequestHeader {
                api_key: ApiKey::Metadata,
                api_version: version,
                correlation_id: CorrelationId(-7),
                client_id: client_id.map(Str::from),
            };
            let frame: Bytes = [&encoded(&header)[..], b"body"].concat().into();
            let mut reader = Reader::new(&frame);
            assert_eq!(RequestHeader::decode(&mut reader), Ok(header));
            assert_eq!(reader.rest(), "body");
        }
    }

    #[test]
    fn api_versions_of_the_future_decodes_without_its_client_id() {
        let header = RequestHeader {
            api_key: ApiKey::ApiVersions,
            api_version: 99,
            correlation_id: CorrelationId(3),
            client_id: None,
        };
        let frame = encoded(&header);
        let decoded = RequestHeader::decode(&mut Reader::new(&frame));
        assert_eq!(decoded, Ok(header));
        assert!(!decoded.unwrap().is_served());
    }

    #[test]
    fn other_unserved_versions_and_unknown_keys_are_refused() {
        let frame = Bytes::from_static(&[0, 3, 0, 13, 0, 0, 0, 1, 0xff, 0xff]);
        assert_eq!(
            RequestHeader::decode(&mut Reader::new(&frame)),
            Err(DecodeError::UnsupportedVersion { version: 13 })
        );
        let frame = Bytes::from_static(&[0, 4, 0, 0, 0, 0, 0, 1, 0xff, 0xff]);
        assert_eq!(
            RequestHeader::decode(&mut Reader::new(&frame)),
            Err(DecodeError::UnknownApiKey { code: 4 })
        );
    }

    #[test]
    fn a_broker_knows_the_keys_that_are_advertised_and_no_others() {
        for code in -1..=i16::from(i8::MAX) {
            let api_key = ApiKey::from_code(code);
            let api_version = api_key.map_or(0, |api_key| *api_key.described().end());
            let mut writer = Writer::default();
            writer.i16(code);
            writer.i16(api_version);
            writer.slice(&[0, 0, 0, 1, 0xff, 0xff, 0]);
            let frame = Bytes::from(writer.finish().concat());
            let decoded = RequestHeader::decode(&mut Reader::new(&frame));
            let described = RequestHeader::decode_described(&mut Reader::new(&frame));
            match api_key {
                Some(api_key) if api_key.advertised().is_some() => {
                    assert_eq!(decoded.map(|header| header.api_key), Ok(api_key));
                }
                Some(api_key) => {
                    assert_eq!(decoded, Err(DecodeError::UnknownApiKey { code }));
                    assert_eq!(described.map(|header| header.api_key), Ok(api_key));
                }
                None => {
                    assert_eq!(decoded, Err(DecodeError::UnknownApiKey { code }));
                    assert_eq!(described, Err(DecodeError::UnknownApiKey { code }));
                }
            }
        }
    }
}
