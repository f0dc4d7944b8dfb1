//! Tests: every message of every API in every version that is described against the `kafka-protocol` crate.
//!
//! Our bytes are decoded by the crate, which encodes them again to the same bytes: so both codecs agree in
//! both directions. That alone would not notice two neighbours of the same type that were swapped, so the
//! two decoded values are also compared field by field, by name.

use std::collections::HashSet;
use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::{Decodable, Encodable};

use super::for_each_api;
use crate::api_key::ApiKey;
use crate::header::{RequestHeader, ResponseHeader};
use crate::ids::CorrelationId;
use crate::string::Str;
use crate::wire::generate::{Generate, Source};
use crate::wire::{Context, Reader, Wire, Writer};

const SEEDS: u64 = 60;

macro_rules! oracle {
    ($($api:ident, $module:ident, $request:ident, $response:ident;)*) => { $(
        mod $module {
            use kafka_protocol::messages as theirs;

            use crate::api_key::ApiKey;
            use crate::messages::$module as ours;

            #[test]
            fn requests_agree_with_the_oracle() {
                super::agree::<ours::$request, theirs::$request>(ApiKey::$api);
            }

            #[test]
            fn responses_agree_with_the_oracle() {
                super::agree::<ours::$response, theirs::$response>(ApiKey::$api);
            }
        }
    )* };
}
for_each_api!(oracle);

fn encoded<T: Wire>(value: &T, context: Context) -> Bytes {
    let mut writer = Writer::default();
    value.encode(&mut writer, context);
    writer.finish().concat().into()
}

fn agree<Ours, Theirs>(api_key: ApiKey)
where
    Ours: Wire + Generate + Debug + PartialEq + Default,
    Theirs: Decodable + Encodable + Debug,
{
    for version in api_key.described() {
        let context = Context::new(version, api_key.is_flexible(version));
        for seed in 0..SEEDS {
            let value = match seed {
                0 => Ours::default(),
                _ => Ours::generate(&mut Source::new(seed)),
            };
            let place = format!("{api_key} version {version} seed {seed}");
            let bytes = encoded(&value, context);

            let mut rest = bytes.clone();
            let theirs = Theirs::decode(&mut rest, version)
                .unwrap_or_else(|error| panic!("{place}: {error}: {value:?}"));
            assert!(rest.is_empty(), "{place}: {} bytes left: {value:?}", rest.len());
            let mut again = BytesMut::new();
            theirs.encode(&mut again, version).unwrap_or_else(|error| panic!("{place}: {error}"));
            assert_eq!(again, bytes, "{place}: {value:?}");

            let mut reader = Reader::new(&bytes);
            let ours = Ours::decode(&mut reader, context)
                .unwrap_or_else(|error| panic!("{place}: {error}: {value:?}"));
            assert_eq!(reader.remaining(), 0, "{place}");
            assert_eq!(encoded(&ours, context), bytes, "{place}");
            let ours = tokens(&format!("{ours:?}"));
            let names = names(&ours);
            let theirs = tokens(&format!("{theirs:?}"));
            let (mut ours, theirs) = (fields(&ours, &names), fields(&theirs, &names));
            // They may have newer fields at the end, whose names are known from elsewhere.
            ours.pop();
            let differs = ours.iter().zip(&theirs).position(|(ours, theirs)| ours != theirs);
            let around = differs.map(|at| at.saturating_sub(3)..at + 1);
            assert_eq!(around.clone().map(|at| &ours[at]), around.map(|at| &theirs[at]), "{place}");
            assert!(ours.len() < theirs.len(), "{place}");
        }
    }
}

#[test]
fn headers_agree_with_the_oracle() {
    use kafka_protocol::messages::{
        ApiKey as TheirKey, RequestHeader as TheirRequest, ResponseHeader as TheirResponse,
    };
    for api_key in ApiKey::ALL {
        let their_key = TheirKey::try_from(api_key.code()).unwrap();
        for version in api_key.described() {
            let header_version = their_key.request_header_version(version);
            assert_eq!(api_key.request_header_version(version), header_version, "{api_key}");
            for client_id in [None, Some("client")] {
                let header = RequestHeader {
                    api_key: *api_key,
                    api_version: version,
                    correlation_id: CorrelationId(77),
                    client_id: client_id.map(Str::from),
                };
                let mut writer = Writer::default();
                header.encode(&mut writer);
                let bytes = Bytes::from(writer.finish().concat());
                let theirs = TheirRequest::decode(&mut bytes.clone(), header_version).unwrap();
                assert_eq!(theirs.client_id.as_deref(), client_id);
                let mut again = BytesMut::new();
                theirs.encode(&mut again, header_version).unwrap();
                assert_eq!(again, bytes);
            }
            let header_version = their_key.response_header_version(version);
            assert_eq!(api_key.response_header_version(version), header_version, "{api_key}");
            let mut writer = Writer::default();
            ResponseHeader { correlation_id: CorrelationId(-2) }.encode(
                &mut writer,
                *api_key,
                version,
            );
            let bytes = Bytes::from(writer.finish().concat());
            let theirs = TheirResponse::decode(&mut bytes.clone(), header_version).unwrap();
            assert_eq!(theirs.correlation_id, -2);
            let mut again = BytesMut::new();
            theirs.encode(&mut again, header_version).unwrap();
            assert_eq!(again, bytes);
        }
    }
}

#[test]
fn every_tagged_field_survives_beside_unknown_ones() {
    use crate::messages::api_versions::ApiVersionsResponse;
    let context = Context::new(4, true);
    let value =
        ApiVersionsResponse { finalized_features_epoch: 8, ..ApiVersionsResponse::default() };
    let mut bytes = encoded(&value, context).to_vec();
    // One tagged field: its count is the byte before the tag. Append an unknown second one.
    let count = bytes.len() - (1 + 1 + 1 + 8);
    assert_eq!(bytes[count..count + 3], [1, 1, 8]);
    bytes[count] = 2;
    bytes.extend([99, 3, 1, 2, 3]);
    let bytes = Bytes::from(bytes);
    let decoded = ApiVersionsResponse::decode(&mut Reader::new(&bytes), context);
    assert_eq!(decoded, Ok(value));
}

/// A value's debug text as a list of names and scalars, without what differs by taste or by age: names of
/// structs, newtypes around scalars, fields of versions that we do not serve. How ids and batches print
/// differs too, and what an absent nullable field becomes (null or empty); bytes tell those apart.
fn fields<'a>(tokens: &'a [String], names: &HashSet<&str>) -> Vec<&'a str> {
    const OPAQUE: [&str; 3] = ["topic_id", "replica_directory_id", "records"];
    let mut out = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        let next = |ahead: usize| tokens.get(index + ahead).map_or("", String::as_str);
        let is_name = next(0).starts_with(char::is_alphabetic);
        if is_name && next(1) == ":" && (OPAQUE.contains(&next(0)) || !names.contains(next(0))) {
            index = value_end(tokens, index + 2);
        } else if next(0) == "Some" && next(2) == "\"\"" {
            out.push("None");
            index += 4;
        } else if next(0) == "Some" && next(2) == "[" && next(3) == "]" {
            out.push("None");
            index += 5;
        } else if is_name && next(1) == "(" && next(0) != "Some" {
            out.push(next(2));
            assert_eq!(next(3), ")", "a newtype around a scalar");
            index += 4;
        } else if is_name && next(1) == "{" || next(0) == "," {
            index += 1;
        } else {
            out.push(tokens[index].as_str());
            index += 1;
        }
    }
    out
}

fn names(tokens: &[String]) -> HashSet<&str> {
    tokens.windows(2).filter(|pair| pair[1] == ":").map(|pair| pair[0].as_str()).collect()
}

/// The comma or bracket after the value that begins at `start`.
fn value_end(tokens: &[String], start: usize) -> usize {
    let mut depth = 0i32;
    for (index, token) in tokens.iter().enumerate().skip(start) {
        match token.as_str() {
            "," | "}" if depth == 0 => return index,
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
    }
    tokens.len()
}

fn tokens(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if first == '"' || rest.starts_with("b\"") {
            quoted_length(rest)
        } else if first.is_alphanumeric() || "-_.".contains(first) {
            rest.find(|c: char| !c.is_alphanumeric() && !"-_.".contains(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        if first != ' ' {
            out.push(rest[..length].to_string());
        }
        rest = &rest[length..];
    }
    out
}

fn quoted_length(text: &str) -> usize {
    let mut escaped = false;
    let open = text.find('"').unwrap();
    for (index, c) in text.char_indices().skip_while(|(index, _)| *index <= open) {
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return index + 1,
            _ => escaped = false,
        }
    }
    panic!("an open quote")
}
