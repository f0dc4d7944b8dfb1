//! Sound bytes of every kind that a node reads.

use bytes::Bytes;
use protocol::consumer_protocol::{ConsumerProtocolSubscription, TopicPartition, VERSION_MAX};
use protocol::group_record::{
    ClassicMemberMetadata, ClassicProtocol, ConsumerGroupMemberMetadataKey,
    ConsumerGroupMemberMetadataValue, EncodedGroupRecord, GroupMetadataKey, GroupMetadataValue,
    GroupRecord, MemberMetadata, OffsetCommitKey, OffsetCommitValue,
};
use protocol::record_batch::{BatchBuilder, BatchOptions, Compression, HeaderField};
use protocol::{ApiKey, CorrelationId, Request, RequestHeader, Response, Str, TopicId, frame};

use crate::mutation::Random;

/// Bodies tried for each API and version, and how many of those that decode are kept.
const TRIES: usize = 400;
const KEPT: usize = 2;

/// Zeros whose compressed form is small: 16 MiB where the codec makes little of them.
const BOMB_BYTES: usize = 16 << 20;
/// lz4 and snappy make them a 255th and a 21st: this stays below the longest input.
const SMALL_BOMB_BYTES: usize = 1 << 20;

pub(crate) fn samples() -> Vec<Vec<u8>> {
    let mut samples = vec![Vec::new(), vec![0; 4096]];
    for compression in Compression::ALL {
        samples.push(batch(compression));
        samples.push(batch(compression).repeat(3));
        samples.push(bomb(compression));
    }
    // Files are as often damaged as messages, of which there are many more.
    for _ in 0..16 {
        samples.extend(engine::fuzz::samples());
    }
    samples.extend(group_records());
    let mut random = Random::new(0, 0);
    for (at, api_key) in (0u8..).zip(ApiKey::ALL.iter().copied()) {
        for (version_at, version) in (0u8..).zip(api_key.described()) {
            samples.extend(requests(&mut random, api_key, version));
            // As the entry point takes them: which API and version, then the frame.
            let responses = responses(&mut random, api_key, version);
            samples.extend(responses.map(|frame| [vec![at, version_at], frame].concat()));
        }
    }
    samples
}

/// As the entry point takes them: the key's length, the key, the value. The metadata inside comes alone too.
fn group_records() -> Vec<Vec<u8>> {
    let group_id = Str::from("group");
    let partitions = TopicPartition { topic: Str::from("topic"), partitions: vec![0, 1, 2] };
    let subscription = ConsumerProtocolSubscription {
        topics: vec![Str::from("topic"), Str::from("other")],
        owned_partitions: vec![partitions],
        generation_id: 3,
        ..ConsumerProtocolSubscription::default()
    };
    let metadata = subscription.to_bytes(VERSION_MAX).expect("short strings");
    let member = MemberMetadata {
        member_id: Str::from("member"),
        subscription: metadata.clone(),
        ..MemberMetadata::default()
    };
    let protocol = ClassicProtocol { name: Str::from("range"), metadata: metadata.clone() };
    let classic =
        ClassicMemberMetadata { session_timeout_ms: 45_000, supported_protocols: vec![protocol] };
    let records = [
        GroupRecord::OffsetCommit {
            key: OffsetCommitKey {
                group_id: group_id.clone(),
                topic: Str::from("topic"),
                partition: 1,
            },
            value: Some(OffsetCommitValue {
                metadata: Str::from("metadata"),
                topic_id: TopicId([7; 16]),
                ..OffsetCommitValue::default()
            }),
        },
        GroupRecord::GroupMetadata {
            key: GroupMetadataKey { group_id: group_id.clone() },
            value: Some(GroupMetadataValue {
                members: vec![member.clone(), member],
                ..GroupMetadataValue::default()
            }),
        },
        GroupRecord::ConsumerGroupMemberMetadata {
            key: ConsumerGroupMemberMetadataKey { group_id, member_id: Str::from("member") },
            value: Some(ConsumerGroupMemberMetadataValue {
                subscribed_topic_names: vec![Str::from("topic"), Str::from("other")],
                classic_member_metadata: Some(classic),
                ..ConsumerGroupMemberMetadataValue::default()
            }),
        },
    ];
    let sound = records.iter().map(|record| {
        let EncodedGroupRecord { key, value } = record.encode().expect("short strings");
        let key_bytes = u8::try_from(key.len()).expect("a short key");
        [&[key_bytes][..], &key, &value.unwrap_or_default()].concat()
    });
    sound.chain([metadata.to_vec()]).collect()
}

fn batch(compression: Compression) -> Vec<u8> {
    let mut builder = BatchBuilder::new(BatchOptions { compression, ..BatchOptions::default() });
    for at in 0..20i64 {
        let value = vec![b'v'; usize::try_from(at).unwrap_or_default() * 13];
        let header = HeaderField::new("header", Some(b"value"));
        builder.push(1_700_000_000_000 + at, Some(b"key"), Some(&value), &[header]);
    }
    builder.finish()
}

/// A small batch that becomes a large one.
fn bomb(compression: Compression) -> Vec<u8> {
    let length = match compression {
        Compression::None => 0,
        Compression::Gzip | Compression::Zstd => BOMB_BYTES,
        Compression::Snappy | Compression::Lz4 => SMALL_BOMB_BYTES,
    };
    let mut builder = BatchBuilder::new(BatchOptions { compression, ..BatchOptions::default() });
    builder.push(1_700_000_000_000, Some(b"key"), Some(&vec![0; length]), &[]);
    builder.finish()
}

/// Small numbers are counts that fit, so that decoding gets deep.
fn body(random: &mut Random) -> Bytes {
    let length = random.below(160);
    let bound = [3, 5, 40, 256][random.below(4)];
    (0..length).map(|_| random.below(bound).to_le_bytes()[0]).collect()
}

fn requests(
    random: &mut Random,
    api_key: ApiKey,
    api_version: i16,
) -> impl Iterator<Item = Vec<u8>> {
    let header = RequestHeader {
        api_key,
        api_version,
        correlation_id: CorrelationId(7),
        client_id: Some(Str::from("fuzz")),
    };
    let mut found: Vec<Vec<u8>> = (0..TRIES)
        .filter_map(|_| {
            let request = Request::decode(api_key, api_version, &body(random)).ok()?;
            let parts = frame::encode_request(&header, &request).ok()?;
            Some(parts.concat().split_off(frame::SIZE_BYTES))
        })
        .collect();
    found.sort_by_key(|frame| std::cmp::Reverse(frame.len()));
    found.into_iter().take(KEPT)
}

fn responses(
    random: &mut Random,
    api_key: ApiKey,
    api_version: i16,
) -> impl Iterator<Item = Vec<u8>> {
    let mut found: Vec<Vec<u8>> = (0..TRIES)
        .filter_map(|_| {
            let response = Response::decode(api_key, api_version, &body(random)).ok()?;
            let parts = frame::encode_response(CorrelationId(7), api_version, &response).ok()?;
            let parts: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
            Some(parts[frame::SIZE_BYTES..].to_vec())
        })
        .collect();
    found.sort_by_key(|frame| std::cmp::Reverse(frame.len()));
    found.into_iter().take(KEPT)
}
