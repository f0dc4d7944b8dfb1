//! Tests: records as Kafka 4.3.1's own serializer writes them, and as nobody should.

use bytes::Bytes;

use super::{
    ClassicMemberMetadata, ClassicProtocol, ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupCurrentMemberAssignmentValue, ConsumerGroupMemberMetadataKey,
    ConsumerGroupMemberMetadataValue, ConsumerGroupMetadataKey, ConsumerGroupMetadataValue,
    ConsumerGroupPartitionMetadataKey, ConsumerGroupPartitionMetadataValue,
    ConsumerGroupRegularExpressionKey, ConsumerGroupRegularExpressionValue,
    ConsumerGroupTargetAssignmentMemberKey, ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataKey, ConsumerGroupTargetAssignmentMetadataValue,
    CurrentPartitions, EncodedGroupRecord, GroupMetadataKey, GroupMetadataValue, GroupRecord,
    GroupRecordError, MemberMetadata, OffsetCommitKey, OffsetCommitValue, PartitionMetadata,
    TargetPartitions, TopicMetadata,
};
use crate::ids::TopicId;
use crate::limits::{DECODED_BYTES_BASE, DECODED_BYTES_PER_FRAME_BYTE_MAX};
use crate::string::Str;
use crate::wire::generate::{Source, hex};
use crate::wire::{DecodeError, EncodeError};

fn text(text: &str) -> Str {
    Str::from(text)
}

fn decoded(key: &str, value: &str) -> Result<GroupRecord, GroupRecordError> {
    GroupRecord::decode(&hex(key), Some(&hex(value)))
}

/// The record means these bytes in both directions.
fn assert_is(record: &GroupRecord, key: &str, value: &str) {
    assert_eq!(decoded(key, value).as_ref(), Ok(record));
    let encoded = EncodedGroupRecord { key: hex(key), value: Some(hex(value)) };
    assert_eq!(record.encode(), Ok(encoded));
    assert_eq!(record.group_id(), "analytics");
}

const OFFSET_KEY: &str = "0001 0009616e616c7974696373 00066f7264657273 00000007";
const GROUP_KEY: &str = "0002 0009616e616c7974696373";

/// 1,700,000,000,000 milliseconds.
const THEN: &str = "0000018bcfe56800";
const TOPIC: &str = "0102030405060708090a0b0c0d0e0f10";

fn topic_id() -> TopicId {
    TopicId(std::array::from_fn(|at| u8::try_from(at).unwrap() + 1))
}

fn offset_commit(value: Option<OffsetCommitValue>) -> GroupRecord {
    let key = OffsetCommitKey { group_id: text("analytics"), topic: text("orders"), partition: 7 };
    GroupRecord::OffsetCommit { key, value }
}

fn committed() -> OffsetCommitValue {
    OffsetCommitValue {
        offset: 1048,
        metadata: text("note"),
        commit_timestamp: 1_700_000_000_000,
        ..OffsetCommitValue::default()
    }
}

#[test]
fn committed_offsets_are_those_of_kafka() {
    let value = OffsetCommitValue { leader_epoch: 3, ..committed() };
    let written = format!("0003 0000000000000418 00000003 00046e6f7465 {THEN}");
    assert_is(&offset_commit(Some(value.clone())), OFFSET_KEY, &written);

    let value = OffsetCommitValue { topic_id: topic_id(), ..value };
    let written = format!("0004 0000000000000418 00000003 056e6f7465 {THEN} 01 00 10 {TOPIC}");
    assert_is(&offset_commit(Some(value)), OFFSET_KEY, &written);

    let value = OffsetCommitValue { expire_timestamp: 1_700_000_060_000, ..committed() };
    let written = format!("0001 0000000000000418 00046e6f7465 {THEN} 0000018bcfe65260");
    assert_is(&offset_commit(Some(value)), OFFSET_KEY, &written);
}

#[test]
fn committed_offsets_of_old_brokers_are_read() {
    let legacy_key = OFFSET_KEY.replacen("0001", "0000", 1);
    for version in [0, 2] {
        let written = format!("000{version} 0000000000000418 00046e6f7465 {THEN}");
        for key in [OFFSET_KEY, &legacy_key] {
            assert_eq!(decoded(key, &written), Ok(offset_commit(Some(committed()))));
        }
    }
}

#[test]
fn a_tombstone_is_a_key_alone() {
    let tombstone = offset_commit(None);
    assert!(tombstone.is_tombstone());
    assert_eq!(GroupRecord::decode(&hex(OFFSET_KEY), None), Ok(tombstone.clone()));
    let encoded = EncodedGroupRecord { key: hex(OFFSET_KEY), value: None };
    assert_eq!(tombstone.encode(), Ok(encoded));
}

fn group_metadata(value: GroupMetadataValue) -> GroupRecord {
    let key = GroupMetadataKey { group_id: text("analytics") };
    GroupRecord::GroupMetadata { key, value: Some(value) }
}

fn range_group(version: i16) -> GroupMetadataValue {
    let member = MemberMetadata {
        member_id: text("m-1"),
        group_instance_id: (version >= 3).then(|| text("i-1")),
        client_id: text("c"),
        client_host: text("/127.0.0.1"),
        rebalance_timeout: if version >= 1 { 300_000 } else { -1 },
        session_timeout: 45_000,
        subscription: Bytes::from_static(&[0, 1, 2]),
        assignment: Bytes::from_static(&[9]),
    };
    GroupMetadataValue {
        protocol_type: text("consumer"),
        generation: 5,
        protocol: Some(text("range")),
        leader: Some(text("m-1")),
        current_state_timestamp: if version >= 2 { 1_700_000_000_000 } else { -1 },
        members: vec![member],
    }
}

#[test]
fn groups_of_the_classic_protocol_are_those_of_kafka() {
    let head = "0008636f6e73756d6572 00000005 000572616e6765 00036d2d31";
    let member = "00036d2d31 0003692d31 000163 000a2f3132372e302e302e31 000493e0 0000afc8
        00000003 000102 00000001 09";
    let written = format!("0003 {head} {THEN} 00000001 {member}");
    assert_is(&group_metadata(range_group(3)), GROUP_KEY, &written);

    let empty = GroupMetadataValue {
        current_state_timestamp: 1_700_000_000_000,
        ..GroupMetadataValue::default()
    };
    let written = format!("0003 0000 00000000 ffff ffff {THEN} 00000000");
    assert_is(&group_metadata(empty), GROUP_KEY, &written);
}

#[test]
fn groups_of_the_classic_protocol_are_read_in_every_version() {
    let head = "0008636f6e73756d6572 00000005 000572616e6765 00036d2d31";
    let (old_member, timeout) = ("00036d2d31 000163 000a2f3132372e302e302e31", "000493e0");
    let tail = "0000afc8 00000003 000102 00000001 09";
    for (version, written) in [
        (0, format!("0000 {head} 00000001 {old_member} {tail}")),
        (1, format!("0001 {head} 00000001 {old_member} {timeout} {tail}")),
        (2, format!("0002 {head} {THEN} 00000001 {old_member} {timeout} {tail}")),
    ] {
        assert_eq!(decoded(GROUP_KEY, &written), Ok(group_metadata(range_group(version))));
    }
    let flexible = format!(
        "0004 09636f6e73756d6572 00000005 0672616e6765 046d2d31 {THEN} 02
         046d2d31 04692d31 0263 0b2f3132372e302e302e31 000493e0 0000afc8 04 000102 02 09 00 00"
    );
    assert_eq!(decoded(GROUP_KEY, &flexible), Ok(group_metadata(range_group(3))));
}

#[test]
fn groups_of_the_consumer_protocol_are_those_of_kafka() {
    let group_id = text("analytics");
    let key = ConsumerGroupMetadataKey { group_id: group_id.clone() };
    let value = ConsumerGroupMetadataValue { epoch: 12, metadata_hash: 0x1122_3344_5566_7788 };
    let record = GroupRecord::ConsumerGroupMetadata { key: key.clone(), value: Some(value) };
    let written = "0000 0000000c 01 00 08 1122334455667788";
    assert_is(&record, "0003 0009616e616c7974696373", written);
    let value = ConsumerGroupMetadataValue { epoch: 12, metadata_hash: 0 };
    let record = GroupRecord::ConsumerGroupMetadata { key, value: Some(value) };
    assert_is(&record, "0003 0009616e616c7974696373", "0000 0000000c 00");

    let partition = PartitionMetadata { partition: 2, racks: vec![text("r1"), text("r2")] };
    let topic = TopicMetadata {
        topic_id: topic_id(),
        topic_name: text("orders"),
        num_partitions: 4,
        partition_metadata: vec![partition],
    };
    let key = ConsumerGroupPartitionMetadataKey { group_id: group_id.clone() };
    let value = Some(ConsumerGroupPartitionMetadataValue { topics: vec![topic] });
    let record = GroupRecord::ConsumerGroupPartitionMetadata { key, value };
    let written =
        format!("0000 02 {TOPIC} 076f7264657273 00000004 02 00000002 03 037231 037232 00 00 00");
    assert_is(&record, "0004 0009616e616c7974696373", &written);

    let key = ConsumerGroupTargetAssignmentMetadataKey { group_id: group_id.clone() };
    let value = ConsumerGroupTargetAssignmentMetadataValue {
        assignment_epoch: 12,
        assignment_timestamp: 1_700_000_000_000,
    };
    let record = GroupRecord::ConsumerGroupTargetAssignmentMetadata { key, value: Some(value) };
    let written = format!("0000 0000000c 01 00 08 {THEN}");
    assert_is(&record, "0006 0009616e616c7974696373", &written);

    let regular_expression = text("o.*");
    let key = ConsumerGroupRegularExpressionKey { group_id, regular_expression };
    let value = ConsumerGroupRegularExpressionValue {
        topics: vec![text("orders"), text("offers")],
        version: 99,
        timestamp: 1_700_000_000_000,
    };
    let record = GroupRecord::ConsumerGroupRegularExpression { key, value: Some(value) };
    let written = format!("0000 03 076f7264657273 076f6666657273 0000000000000063 {THEN} 00");
    assert_is(&record, "0010 0009616e616c7974696373 00036f2e2a", &written);
}

fn member_record(value: ConsumerGroupMemberMetadataValue) -> GroupRecord {
    let key =
        ConsumerGroupMemberMetadataKey { group_id: text("analytics"), member_id: text("m-1") };
    GroupRecord::ConsumerGroupMemberMetadata { key, value: Some(value) }
}

#[test]
fn members_of_the_consumer_protocol_are_those_of_kafka() {
    let value = ConsumerGroupMemberMetadataValue {
        instance_id: None,
        rack_id: Some(text("r1")),
        client_id: text("c"),
        client_host: text("/127.0.0.1"),
        subscribed_topic_names: vec![text("clicks"), text("orders")],
        subscribed_topic_regex: Some(text("o.*")),
        rebalance_timeout_ms: 300_000,
        server_assignor: Some(text("uniform")),
        classic_member_metadata: None,
    };
    let key = "0005 0009616e616c7974696373 00036d2d31";
    let written = "0000 00 037231 0263 0b2f3132372e302e302e31 03 07636c69636b73 076f7264657273
        046f2e2a 000493e0 08756e69666f726d 01 00 01 00";
    assert_is(&member_record(value.clone()), key, written);

    let protocol =
        ClassicProtocol { name: text("range"), metadata: Bytes::from_static(&[0, 1, 2]) };
    let value = ConsumerGroupMemberMetadataValue {
        instance_id: Some(text("i-1")),
        rack_id: None,
        subscribed_topic_regex: None,
        server_assignor: None,
        classic_member_metadata: Some(ClassicMemberMetadata {
            session_timeout_ms: 45_000,
            supported_protocols: vec![protocol],
        }),
        ..value
    };
    let written = "0000 04692d31 00 0263 0b2f3132372e302e302e31 03 07636c69636b73 076f7264657273
        00 000493e0 00 01 00 12 01 0000afc8 02 0672616e6765 04 000102 00 00";
    assert_is(&member_record(value), key, written);
}

#[test]
fn a_member_says_that_it_is_not_of_the_classic_protocol() {
    // The generated code of Kafka gives a record without the field an empty one.
    let EncodedGroupRecord { key, value } =
        member_record(ConsumerGroupMemberMetadataValue::default()).encode().unwrap();
    let value = value.unwrap();
    assert_eq!(value[value.len() - 4..], [1, 0, 1, 0]);
    let without = Bytes::from([&value[..value.len() - 4], &[0]].concat());
    let expected = Ok(member_record(ConsumerGroupMemberMetadataValue::default()));
    for value in [value, without] {
        assert_eq!(GroupRecord::decode(&key, Some(&value)), expected);
    }
}

#[test]
fn a_classic_member_with_long_metadata_comes_back() {
    let metadata = Bytes::from(vec![7; 10_000]);
    let classic = ClassicMemberMetadata {
        session_timeout_ms: 1,
        supported_protocols: vec![ClassicProtocol { name: text("range"), metadata }],
    };
    let record = member_record(ConsumerGroupMemberMetadataValue {
        classic_member_metadata: Some(classic),
        ..ConsumerGroupMemberMetadataValue::default()
    });
    let EncodedGroupRecord { key, value } = record.encode().unwrap();
    assert_eq!(GroupRecord::decode(&key, value.as_ref()), Ok(record));
}

/// One tagged field: the epochs 10 and 12.
const EPOCHS: &str = "01 00 09 03 0000000a 0000000c";

#[test]
fn assignments_of_the_consumer_protocol_are_those_of_kafka() {
    let [group_id, member_id] = [text("analytics"), text("m-1")];
    let key = ConsumerGroupTargetAssignmentMemberKey {
        group_id: group_id.clone(),
        member_id: member_id.clone(),
    };
    let target = TargetPartitions { topic_id: topic_id(), partitions: vec![0, 2] };
    let value = Some(ConsumerGroupTargetAssignmentMemberValue { topic_partitions: vec![target] });
    let record = GroupRecord::ConsumerGroupTargetAssignmentMember { key, value };
    let written = format!("0000 02 {TOPIC} 03 00000000 00000002 00 00");
    assert_is(&record, "0007 0009616e616c7974696373 00036d2d31", &written);

    // Kafka writes the epochs since 4.3.
    for (assignment_epochs, tags) in [(None, "00"), (Some(vec![10, 12]), EPOCHS)] {
        let assigned =
            CurrentPartitions { topic_id: topic_id(), partitions: vec![0, 2], assignment_epochs };
        let pending = CurrentPartitions {
            topic_id: TopicId(std::array::from_fn(|at| u8::try_from(at).unwrap() + 0x11)),
            partitions: vec![5],
            assignment_epochs: None,
        };
        let key = ConsumerGroupCurrentMemberAssignmentKey {
            group_id: group_id.clone(),
            member_id: member_id.clone(),
        };
        let value = ConsumerGroupCurrentMemberAssignmentValue {
            member_epoch: 12,
            previous_member_epoch: 11,
            state: 1,
            assigned_partitions: vec![assigned],
            partitions_pending_revocation: vec![pending],
        };
        let record = GroupRecord::ConsumerGroupCurrentMemberAssignment { key, value: Some(value) };
        let written = format!(
            "0000 0000000c 0000000b 01 02 {TOPIC} 03 00000000 00000002 {tags}
             02 1112131415161718191a1b1c1d1e1f20 02 00000005 00 00"
        );
        assert_is(&record, "0008 0009616e616c7974696373 00036d2d31", &written);
    }
}

#[test]
fn what_is_not_known_is_told_apart_from_what_is_broken() {
    // A share group's epoch.
    let error = GroupRecordError::UnknownType { code: 11 };
    assert_eq!(decoded("000b 000173", "0000 00000001 0000000000000000 00"), Err(error));
    let error = GroupRecordError::UnsupportedVersion { code: 1, version: 5 };
    assert_eq!(decoded(OFFSET_KEY, "0005 0000000000000418"), Err(error));
    let error = GroupRecordError::UnsupportedVersion { code: 2, version: -1 };
    assert_eq!(decoded(GROUP_KEY, "ffff 00"), Err(error));
    let error = GroupRecordError::Malformed(DecodeError::Truncated);
    assert_eq!(decoded("00", "0000"), Err(error));
    assert_eq!(decoded(GROUP_KEY, "00"), Err(error));
}

#[test]
fn strings_that_kafka_could_not_read_are_refused() {
    let key = GroupMetadataKey { group_id: Str::from("x".repeat(40_000)) };
    let record = GroupRecord::GroupMetadata { key, value: None };
    assert_eq!(record.encode(), Err(EncodeError::StringTooLong));
}

#[test]
fn what_is_decoded_is_encoded_to_the_same_and_every_truncation_is_an_error() {
    for seed in 0..20 {
        for record in GroupRecord::samples(&mut Source::new(seed)) {
            let encoded = record.encode().unwrap();
            let EncodedGroupRecord { key, value } = &encoded;
            let again = GroupRecord::decode(key, value.as_ref()).unwrap();
            assert_eq!(again.encode().as_ref(), Ok(&encoded), "{record:?}");
            assert_eq!(again.group_id(), record.group_id());
            for length in 0..key.len() {
                GroupRecord::decode(&key.slice(..length), value.as_ref()).unwrap_err();
            }
            for length in 0..value.as_ref().map_or(0, Bytes::len) {
                let cut = value.as_ref().map(|value| value.slice(..length));
                GroupRecord::decode(key, cut.as_ref()).unwrap_err();
            }
        }
    }
}

#[test]
fn random_values_neither_panic_nor_allocate_beyond_their_allowance() {
    let mut source = Source::new(17);
    for code in 0..=16 {
        let key = hex(&format!("00{code:02x} 000161 000162 00000000"));
        for _ in 0..500 {
            let bound = [256, 4, 40][usize::try_from(source.below(3)).unwrap()];
            let length = source.below(120);
            let version = [0, source.below(5).to_le_bytes()[0]];
            let rest = (0..length).map(|_| source.below(bound).to_le_bytes()[0]);
            let value: Bytes = version.into_iter().chain(rest).collect();
            let info = allocation_counter::measure(|| {
                let _ = GroupRecord::decode(&key, Some(&value));
            });
            let allowance = DECODED_BYTES_BASE + DECODED_BYTES_PER_FRAME_BYTE_MAX * value.len();
            assert!(info.bytes_total <= allowance as u64, "{code}: {info:?}");
        }
    }
}
