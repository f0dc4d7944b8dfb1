//! The durable records as bytes of `__consumer_offsets`, in Kafka's format, and back.
//!
//! A record that the machine does not know (Kafka wrote it for a group of another kind) is kept as it is, by its
//! key. One that it should know and cannot read is an error: to skip it would be to forget what it replaces.

use alloc::vec::Vec;

use bytes::Bytes;
use protocol::{
    LeaderEpoch, Offset, PartitionIndex, Str,
    group_record::{
        EncodedGroupRecord, GroupMetadataKey, GroupMetadataValue, GroupRecord as KafkaRecord,
        GroupRecordError, MemberMetadata, OffsetCommitKey, OffsetCommitValue,
    },
    wire::EncodeError,
};

use super::{
    CommittedOffset, DurableRecord,
    consumer::ConsumerPart,
    record::{StoredClassicGroup, StoredMember},
};
use crate::metadata::WallMillis;

impl DurableRecord {
    /// Refuses strings that are longer than Kafka's longest.
    pub fn encode(&self) -> Result<EncodedGroupRecord, EncodeError> {
        let record = match self {
            Self::ClassicGroup { group, value } => KafkaRecord::GroupMetadata {
                key: GroupMetadataKey { group_id: group.clone() },
                value: Some(group_to_kafka(value)),
            },
            Self::GroupGone { group } => KafkaRecord::GroupMetadata {
                key: GroupMetadataKey { group_id: group.clone() },
                value: None,
            },
            Self::Offset { group, topic, partition, value } => KafkaRecord::OffsetCommit {
                key: offset_key(group, topic, *partition),
                value: Some(offset_to_kafka(value)),
            },
            Self::OffsetGone { group, topic, partition } => {
                KafkaRecord::OffsetCommit { key: offset_key(group, topic, *partition), value: None }
            }
            Self::Consumer { group, part } => part.to_kafka(group),
            Self::Apart { key, value } => {
                return Ok(EncodedGroupRecord { key: key.clone(), value: value.clone() });
            }
        };
        record.encode()
    }

    /// What is decoded has memory of its own: it outlives the bytes that were read.
    pub fn decode(key: &Bytes, value: Option<&Bytes>) -> Result<Self, GroupRecordError> {
        let apart = || Self::Apart { key: copied(key), value: value.map(copied) };
        match KafkaRecord::decode(key, value) {
            Ok(KafkaRecord::OffsetCommit { key, value }) => Ok(offset_from_kafka(&key, value)),
            Ok(KafkaRecord::GroupMetadata { key, value }) => {
                let group = key.group_id.detached();
                Ok(match value {
                    Some(value) => Self::ClassicGroup { group, value: group_from_kafka(&value) },
                    None => Self::GroupGone { group },
                })
            }
            Ok(record) => Ok(match ConsumerPart::from_kafka(&record) {
                Some(part) => Self::Consumer { group: record.group_id().detached(), part },
                None => apart(),
            }),
            Err(GroupRecordError::UnknownType { .. }) => Ok(apart()),
            Err(
                error @ (GroupRecordError::UnsupportedVersion { .. }
                | GroupRecordError::Malformed(_)),
            ) => Err(error),
        }
    }
}

fn copied(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

fn offset_key(group: &Str, topic: &Str, partition: PartitionIndex) -> OffsetCommitKey {
    OffsetCommitKey { group_id: group.clone(), topic: topic.clone(), partition: partition.0 }
}

fn offset_to_kafka(value: &CommittedOffset) -> OffsetCommitValue {
    OffsetCommitValue {
        offset: value.offset.0,
        leader_epoch: value.leader_epoch.map_or(-1, |epoch| epoch.0),
        metadata: value.metadata.clone(),
        commit_timestamp: value.committed_at.0,
        expire_timestamp: value.expires_at.map_or(-1, |at| at.0),
        topic_id: value.topic_id,
    }
}

fn offset_from_kafka(key: &OffsetCommitKey, value: Option<OffsetCommitValue>) -> DurableRecord {
    let (group, topic) = (key.group_id.detached(), key.topic.detached());
    let partition = PartitionIndex(key.partition);
    let Some(value) = value else {
        return DurableRecord::OffsetGone { group, topic, partition };
    };
    let value = CommittedOffset {
        offset: Offset(value.offset),
        leader_epoch: (value.leader_epoch != -1).then_some(LeaderEpoch(value.leader_epoch)),
        metadata: value.metadata.detached(),
        committed_at: WallMillis(value.commit_timestamp),
        expires_at: (value.expire_timestamp != -1).then_some(WallMillis(value.expire_timestamp)),
        topic_id: value.topic_id,
    };
    DurableRecord::Offset { group, topic, partition, value }
}

fn group_to_kafka(value: &StoredClassicGroup) -> GroupMetadataValue {
    let members = value.members.iter().map(|member| MemberMetadata {
        member_id: member.member.clone(),
        group_instance_id: member.instance.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        rebalance_timeout: member.rebalance_timeout_ms,
        session_timeout: member.session_timeout_ms,
        subscription: member.subscription.clone(),
        assignment: member.assignment.clone(),
    });
    GroupMetadataValue {
        protocol_type: value.protocol_type.clone(),
        generation: value.generation,
        protocol: value.protocol.clone(),
        leader: value.leader.clone(),
        current_state_timestamp: value.state_since.map_or(-1, |since| since.0),
        members: members.collect(),
    }
}

fn group_from_kafka(value: &GroupMetadataValue) -> StoredClassicGroup {
    let mut members: Vec<StoredMember> = value.members.iter().map(member_from_kafka).collect();
    members.sort_by(|one, other| one.member.cmp(&other.member));
    let since = value.current_state_timestamp;
    StoredClassicGroup {
        protocol_type: value.protocol_type.detached(),
        generation: value.generation,
        protocol: value.protocol.as_ref().map(Str::detached),
        leader: value.leader.as_ref().map(Str::detached),
        state_since: (since != -1).then_some(WallMillis(since)),
        members,
    }
}

fn member_from_kafka(member: &MemberMetadata) -> StoredMember {
    // Members that were stored before there was a rebalance timeout.
    let rebalance_timeout_ms = match member.rebalance_timeout {
        -1 => member.session_timeout,
        timeout => timeout,
    };
    StoredMember {
        member: member.member_id.detached(),
        instance: member.group_instance_id.as_ref().map(Str::detached),
        client_id: member.client_id.detached(),
        client_host: member.client_host.detached(),
        rebalance_timeout_ms,
        session_timeout_ms: member.session_timeout,
        subscription: copied(&member.subscription),
        assignment: copied(&member.assignment),
    }
}
