//! ApiVersions: what is spoken here. Its answer must be readable to a client that speaks anything.

use protocol::messages::api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use protocol::{ApiKey, ErrorCode, Str};

use crate::shard::Shard;
use crate::shard::requests::Head;

/// Version from which clients name their software.
const SOFTWARE_FROM: i16 = 3;

/// Kafka's feature by which clients know that groups may speak the consumer protocol. Older Java clients take no
/// feature that begins with 0.
const GROUP_VERSION: &str = "group.version";
const CONSUMER_PROTOCOL: i16 = 1;
/// Features do not change while a cluster lives.
const FEATURES_EPOCH: i64 = 0;

fn api_keys() -> Vec<ApiVersion> {
    let all = ApiKey::ALL.iter().filter_map(|api_key| {
        let versions = api_key.advertised()?;
        Some(ApiVersion {
            api_key: api_key.code(),
            min_version: *versions.start(),
            max_version: *versions.end(),
        })
    });
    all.collect()
}

/// For a version that is not served: version 0 with an error, and still all versions, so that the client
/// can begin anew.
pub(crate) fn unsupported() -> ApiVersionsResponse {
    ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: api_keys(),
        ..ApiVersionsResponse::default()
    }
}

impl Shard {
    pub(crate) fn api_versions(&mut self, head: &Head, body: &ApiVersionsRequest) {
        let is_named = head.version < SOFTWARE_FROM
            || is_software_name(&body.client_software_name)
                && is_software_name(&body.client_software_version);
        let code = if is_named { ErrorCode::None } else { ErrorCode::InvalidRequest };
        self.metrics.count_error(code.code());
        let response = ApiVersionsResponse {
            error_code: code.code(),
            api_keys: if is_named { api_keys() } else { Vec::new() },
            supported_features: vec![SupportedFeatureKey {
                name: Str::from_static(GROUP_VERSION),
                min_version: CONSUMER_PROTOCOL,
                max_version: CONSUMER_PROTOCOL,
            }],
            finalized_features_epoch: FEATURES_EPOCH,
            finalized_features: vec![FinalizedFeatureKey {
                name: Str::from_static(GROUP_VERSION),
                max_version_level: CONSUMER_PROTOCOL,
                min_version_level: CONSUMER_PROTOCOL,
            }],
            ..ApiVersionsResponse::default()
        };
        self.respond(head, response);
    }
}

/// Letters and digits, with dashes and dots between them.
fn is_software_name(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    let ends = [name.bytes().next(), name.bytes().next_back()];
    ends.iter().all(|end| end.is_some_and(|byte| byte.is_ascii_alphanumeric()))
        && name.bytes().all(is_inner)
}

#[cfg(test)]
mod tests {
    use protocol::{ApiKey, DecodeError, Reader, RequestHeader};

    use super::{is_software_name, unsupported};

    #[test]
    fn software_names_begin_and_end_with_a_letter_or_digit() {
        assert!(is_software_name("apache-kafka-java") && is_software_name("4.0.0-SNAPSHOT"));
        assert!(is_software_name("a"));
        for name in ["", "-a", "a-", ".", "a b", "ä"] {
            assert!(!is_software_name(name), "{name}");
        }
    }

    #[test]
    fn an_unsupported_version_is_still_told_what_is_supported() {
        let response = unsupported();
        assert_eq!(response.error_code, 35);
        assert!(response.api_keys.iter().any(|api| api.api_key == 18 && api.max_version >= 3));
        assert!(response.api_keys.iter().any(|api| api.api_key == 0 && api.min_version == 0));
    }

    #[test]
    fn what_is_not_listed_is_refused_as_an_unknown_api() {
        let listed = unsupported().api_keys;
        for code in 0..=i16::from(i8::MAX) {
            // What the listed version is, or any that has messages, or 0.
            let version = listed.iter().find(|api| api.api_key == code).map(|api| api.max_version);
            let described = ApiKey::from_code(code).map(|api| *api.described().end());
            let asked = version.or(described).unwrap_or(0);
            let [code_bytes, version_bytes] = [code.to_be_bytes(), asked.to_be_bytes()];
            let frame = [&code_bytes[..], &version_bytes, &[0, 0, 0, 1, 0xff, 0xff, 0]].concat();
            let header = RequestHeader::decode(&mut Reader::new(&frame.into()));
            match version {
                Some(_) => assert_eq!(header.map(|header| header.api_key.code()), Ok(code)),
                None => assert_eq!(header, Err(DecodeError::UnknownApiKey { code })),
            }
        }
    }
}
