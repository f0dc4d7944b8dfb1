//! Groups of the consumer protocol (KIP-848): one record for each part that changes by itself.
//!
//! ```text
//! group   3 epoch   16 topics of each regular expression   6 epoch of the target assignment
//! member  5 what it subscribed   7 its target assignment   8 what it has now
//! ```

use bytes::Bytes;

use crate::ids::TopicId;
use crate::string::Str;
use crate::wire::messages;

messages! {
    ConsumerGroupMetadataKey {
        group_id: Str, 0..;
    }

    ConsumerGroupMetadataValue {
        epoch: i32, 0..;
        /// Of all topics that the group subscribed to; 0 is not computed yet.
        metadata_hash: i64, 0.., tag 0;
    }

    ConsumerGroupPartitionMetadataKey {
        group_id: Str, 0..;
    }

    ConsumerGroupPartitionMetadataValue {
        topics: Vec<TopicMetadata>, 0..;
    }

    TopicMetadata {
        topic_id: TopicId, 0..;
        topic_name: Str, 0..;
        num_partitions: i32, 0..;
        partition_metadata: Vec<PartitionMetadata>, 0..;
    }

    PartitionMetadata {
        partition: i32, 0..;
        racks: Vec<Str>, 0..;
    }

    ConsumerGroupMemberMetadataKey {
        group_id: Str, 0..;
        member_id: Str, 0..;
    }

    ConsumerGroupMemberMetadataValue {
        instance_id: Option<Str>, 0.., null 0..;
        rack_id: Option<Str>, 0.., null 0..;
        client_id: Str, 0..;
        client_host: Str, 0..;
        subscribed_topic_names: Vec<Str>, 0..;
        subscribed_topic_regex: Option<Str>, 0.., null 0..;
        rebalance_timeout_ms: i32, 0.., default -1;
        server_assignor: Option<Str>, 0.., null 0..;
        /// For a member that still speaks the classic protocol. Kafka takes a record without this field for a
        /// member of the classic protocol, so null is written too.
        classic_member_metadata: Option<ClassicMemberMetadata>, 0.., null 0.., tag 0 always;
    }

    ClassicMemberMetadata {
        session_timeout_ms: i32, 0..;
        supported_protocols: Vec<ClassicProtocol>, 0..;
    }

    ClassicProtocol {
        name: Str, 0..;
        /// A [`ConsumerProtocolSubscription`](crate::consumer_protocol::ConsumerProtocolSubscription).
        metadata: Bytes, 0..;
    }

    ConsumerGroupTargetAssignmentMetadataKey {
        group_id: Str, 0..;
    }

    ConsumerGroupTargetAssignmentMetadataValue {
        assignment_epoch: i32, 0..;
        /// When it was computed; 0 is not known.
        assignment_timestamp: i64, 0.., tag 0;
    }

    ConsumerGroupTargetAssignmentMemberKey {
        group_id: Str, 0..;
        member_id: Str, 0..;
    }

    ConsumerGroupTargetAssignmentMemberValue {
        topic_partitions: Vec<TargetPartitions>, 0..;
    }

    TargetPartitions {
        topic_id: TopicId, 0..;
        partitions: Vec<i32>, 0..;
    }

    ConsumerGroupCurrentMemberAssignmentKey {
        group_id: Str, 0..;
        member_id: Str, 0..;
    }

    ConsumerGroupCurrentMemberAssignmentValue {
        member_epoch: i32, 0..;
        /// For a member that did not hear of its last epoch.
        previous_member_epoch: i32, 0..;
        /// 0 stable, 1 has partitions to revoke, 2 waits for partitions of others.
        state: i8, 0..;
        assigned_partitions: Vec<CurrentPartitions>, 0..;
        partitions_pending_revocation: Vec<CurrentPartitions>, 0..;
    }

    CurrentPartitions {
        topic_id: TopicId, 0..;
        partitions: Vec<i32>, 0..;
        /// The epoch in which the member got each of the partitions (KIP-1251); null or empty is not known.
        assignment_epochs: Option<Vec<i32>>, 0.., null 0.., tag 0;
    }

    ConsumerGroupRegularExpressionKey {
        group_id: Str, 0..;
        regular_expression: Str, 0..;
    }

    ConsumerGroupRegularExpressionValue {
        topics: Vec<Str>, 0..;
        /// Of the metadata in which the topics were looked up.
        version: i64, 0..;
        timestamp: i64, 0..;
    }
}
