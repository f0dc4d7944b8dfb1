//! The parts of a group as Kafka's records, and back. What is decoded has memory of its own.

use alloc::{rc::Rc, vec::Vec};

use bytes::Bytes;
use protocol::{
    PartitionIndex, Str,
    group_record::{
        ClassicMemberMetadata, ClassicProtocol, ConsumerGroupCurrentMemberAssignmentKey,
        ConsumerGroupCurrentMemberAssignmentValue, ConsumerGroupMemberMetadataKey,
        ConsumerGroupMemberMetadataValue, ConsumerGroupMetadataKey, ConsumerGroupMetadataValue,
        ConsumerGroupPartitionMetadataKey, ConsumerGroupPartitionMetadataValue,
        ConsumerGroupRegularExpressionKey, ConsumerGroupRegularExpressionValue,
        ConsumerGroupTargetAssignmentMemberKey, ConsumerGroupTargetAssignmentMemberValue,
        ConsumerGroupTargetAssignmentMetadataKey, ConsumerGroupTargetAssignmentMetadataValue,
        CurrentPartitions, GroupRecord as KafkaRecord, TargetPartitions,
    },
};

use super::{
    member::{ClassicPart, CurrentAssignment, MemberState, StoredConsumerMember},
    part::{ConsumerPart, GroupEpoch, ResolvedRegex, TargetEpoch},
    partitions::{Owned, OwnedPartitions, PartitionSet},
};
use crate::metadata::WallMillis;

impl ConsumerPart {
    pub(in crate::group) fn to_kafka(&self, group: &Str) -> KafkaRecord {
        let group_id = group.clone();
        match self {
            Self::Epoch(value) => KafkaRecord::ConsumerGroupMetadata {
                key: ConsumerGroupMetadataKey { group_id },
                value: value.map(|of| ConsumerGroupMetadataValue {
                    epoch: of.epoch,
                    metadata_hash: of.metadata_hash,
                }),
            },
            Self::OldTopics(is_there) => KafkaRecord::ConsumerGroupPartitionMetadata {
                key: ConsumerGroupPartitionMetadataKey { group_id },
                value: is_there.then(ConsumerGroupPartitionMetadataValue::default),
            },
            Self::Member { member, value } => KafkaRecord::ConsumerGroupMemberMetadata {
                key: ConsumerGroupMemberMetadataKey { group_id, member_id: member.clone() },
                value: value.as_deref().map(member_to_kafka),
            },
            Self::TargetEpoch(value) => KafkaRecord::ConsumerGroupTargetAssignmentMetadata {
                key: ConsumerGroupTargetAssignmentMetadataKey { group_id },
                value: value.map(|of| ConsumerGroupTargetAssignmentMetadataValue {
                    assignment_epoch: of.epoch,
                    assignment_timestamp: of.computed_at.map_or(0, |at| at.0),
                }),
            },
            Self::Target { member, value } => KafkaRecord::ConsumerGroupTargetAssignmentMember {
                key: ConsumerGroupTargetAssignmentMemberKey { group_id, member_id: member.clone() },
                value: value.as_deref().map(target_to_kafka),
            },
            Self::Current { member, value } => KafkaRecord::ConsumerGroupCurrentMemberAssignment {
                key: ConsumerGroupCurrentMemberAssignmentKey {
                    group_id,
                    member_id: member.clone(),
                },
                value: value.as_deref().map(current_to_kafka),
            },
            Self::Regex { regex, value } => KafkaRecord::ConsumerGroupRegularExpression {
                key: ConsumerGroupRegularExpressionKey {
                    group_id,
                    regular_expression: regex.clone(),
                },
                value: value.as_deref().map(|of| ConsumerGroupRegularExpressionValue {
                    topics: of.topics.clone(),
                    version: of.version,
                    timestamp: of.at.0,
                }),
            },
        }
    }

    /// `None`: the record is about something else.
    pub(in crate::group) fn from_kafka(record: &KafkaRecord) -> Option<Self> {
        Some(match record {
            KafkaRecord::ConsumerGroupMetadata { value, .. } => Self::Epoch(
                value
                    .as_ref()
                    .map(|of| GroupEpoch { epoch: of.epoch, metadata_hash: of.metadata_hash }),
            ),
            KafkaRecord::ConsumerGroupPartitionMetadata { value, .. } => {
                Self::OldTopics(value.is_some())
            }
            KafkaRecord::ConsumerGroupMemberMetadata { key, value } => Self::Member {
                member: key.member_id.detached(),
                value: value.as_ref().map(|of| Rc::new(member_from_kafka(of))),
            },
            KafkaRecord::ConsumerGroupTargetAssignmentMetadata { value, .. } => {
                Self::TargetEpoch(value.as_ref().map(|of| {
                    TargetEpoch {
                        epoch: of.assignment_epoch,
                        computed_at: (of.assignment_timestamp != 0)
                            .then_some(WallMillis(of.assignment_timestamp)),
                    }
                }))
            }
            KafkaRecord::ConsumerGroupTargetAssignmentMember { key, value } => Self::Target {
                member: key.member_id.detached(),
                value: value.as_ref().map(|of| Rc::new(target_from_kafka(of))),
            },
            KafkaRecord::ConsumerGroupCurrentMemberAssignment { key, value } => Self::Current {
                member: key.member_id.detached(),
                value: value.as_ref().map(|of| Rc::new(current_from_kafka(of))),
            },
            KafkaRecord::ConsumerGroupRegularExpression { key, value } => Self::Regex {
                regex: key.regular_expression.detached(),
                value: value.as_ref().map(|of| Rc::new(regex_from_kafka(of))),
            },
            KafkaRecord::OffsetCommit { .. } | KafkaRecord::GroupMetadata { .. } => return None,
        })
    }
}

fn member_to_kafka(said: &StoredConsumerMember) -> ConsumerGroupMemberMetadataValue {
    let protocol = |(name, metadata): &(Str, Bytes)| ClassicProtocol {
        name: name.clone(),
        metadata: metadata.clone(),
    };
    ConsumerGroupMemberMetadataValue {
        instance_id: said.instance.clone(),
        rack_id: said.rack.clone(),
        client_id: said.client_id.clone(),
        client_host: said.client_host.clone(),
        subscribed_topic_names: said.topics.clone(),
        subscribed_topic_regex: Some(said.regex.clone()),
        rebalance_timeout_ms: said.rebalance_timeout_ms,
        server_assignor: said.assignor.clone(),
        classic_member_metadata: said.classic.as_ref().map(|classic| ClassicMemberMetadata {
            session_timeout_ms: classic.session_timeout_ms,
            supported_protocols: classic.protocols.iter().map(protocol).collect(),
        }),
    }
}

fn member_from_kafka(value: &ConsumerGroupMemberMetadataValue) -> StoredConsumerMember {
    let protocol = |protocol: &ClassicProtocol| {
        (protocol.name.detached(), Bytes::copy_from_slice(&protocol.metadata))
    };
    StoredConsumerMember {
        instance: value.instance_id.as_ref().map(Str::detached),
        rack: value.rack_id.as_ref().map(Str::detached),
        client_id: value.client_id.detached(),
        client_host: value.client_host.detached(),
        topics: sorted(value.subscribed_topic_names.iter().map(Str::detached)),
        regex: value.subscribed_topic_regex.as_ref().map(Str::detached).unwrap_or_default(),
        rebalance_timeout_ms: value.rebalance_timeout_ms,
        assignor: value.server_assignor.as_ref().map(Str::detached),
        classic: value.classic_member_metadata.as_ref().map(|classic| ClassicPart {
            session_timeout_ms: classic.session_timeout_ms,
            protocols: classic.supported_protocols.iter().map(protocol).collect(),
        }),
    }
}

/// Without duplicates.
pub(super) fn sorted(names: impl Iterator<Item = Str>) -> Vec<Str> {
    let mut names: Vec<Str> = names.collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn target_to_kafka(target: &PartitionSet) -> ConsumerGroupTargetAssignmentMemberValue {
    let of_topic = |(topic_id, partitions): (_, &[PartitionIndex])| TargetPartitions {
        topic_id,
        partitions: partitions.iter().map(|partition| partition.0).collect(),
    };
    ConsumerGroupTargetAssignmentMemberValue {
        topic_partitions: target.iter().map(of_topic).collect(),
    }
}

fn target_from_kafka(value: &ConsumerGroupTargetAssignmentMemberValue) -> PartitionSet {
    let indices =
        |of: &TargetPartitions| of.partitions.iter().map(|at| PartitionIndex(*at)).collect();
    PartitionSet::new(value.topic_partitions.iter().map(|of| (of.topic_id, indices(of))))
}

fn current_to_kafka(current: &CurrentAssignment) -> ConsumerGroupCurrentMemberAssignmentValue {
    ConsumerGroupCurrentMemberAssignmentValue {
        member_epoch: current.epoch,
        previous_member_epoch: current.previous_epoch,
        state: match current.state {
            MemberState::Stable => 0,
            MemberState::UnrevokedPartitions => 1,
            MemberState::UnreleasedPartitions => 2,
            MemberState::Unknown => i8::MAX,
        },
        assigned_partitions: owned_to_kafka(&current.assigned),
        partitions_pending_revocation: owned_to_kafka(&current.revoking),
    }
}

fn owned_to_kafka(owned: &OwnedPartitions) -> Vec<CurrentPartitions> {
    let of_topic = |(topic_id, owned): (_, &[Owned])| CurrentPartitions {
        topic_id,
        partitions: owned.iter().map(|(partition, _)| partition.0).collect(),
        assignment_epochs: Some(owned.iter().map(|(_, epoch)| *epoch).collect()),
    };
    owned.iter().map(of_topic).collect()
}

fn current_from_kafka(value: &ConsumerGroupCurrentMemberAssignmentValue) -> CurrentAssignment {
    let epoch = value.member_epoch;
    CurrentAssignment {
        epoch,
        previous_epoch: value.previous_member_epoch,
        state: match value.state {
            0 => MemberState::Stable,
            1 => MemberState::UnrevokedPartitions,
            2 => MemberState::UnreleasedPartitions,
            _ => MemberState::Unknown,
        },
        assigned: owned_from_kafka(&value.assigned_partitions, epoch),
        revoking: owned_from_kafka(&value.partitions_pending_revocation, epoch),
    }
}

/// Where the epochs are not said, the member's stands for them.
fn owned_from_kafka(topics: &[CurrentPartitions], member_epoch: i32) -> OwnedPartitions {
    let since = |of: &CurrentPartitions| -> Vec<Owned> {
        let epochs = of.assignment_epochs.as_deref().unwrap_or_default();
        let are_said = epochs.len() == of.partitions.len();
        let epoch = |at: usize| match epochs.get(at) {
            Some(epoch) if are_said => *epoch,
            _ => member_epoch.max(0),
        };
        let partitions = of.partitions.iter().enumerate();
        partitions.map(|(at, partition)| (PartitionIndex(*partition), epoch(at))).collect()
    };
    OwnedPartitions::new(topics.iter().map(|of| (of.topic_id, since(of))))
}

fn regex_from_kafka(value: &ConsumerGroupRegularExpressionValue) -> ResolvedRegex {
    ResolvedRegex {
        topics: sorted(value.topics.iter().map(Str::detached)),
        version: value.version,
        at: WallMillis(value.timestamp),
    }
}
