//! OffsetCommit: where the members of a group, or a client on its own, will go on.

use crate::string::Str;
use crate::wire::messages;

messages! {
    OffsetCommitRequest {
        group_id: Str, 0..;
        /// The generation in the classic protocol, the member's epoch in the consumer protocol; −1 with
        /// an empty member id is a client that is in no group.
        generation_id_or_member_epoch: i32, 1.., default -1;
        member_id: Str, 1..;
        group_instance_id: Option<Str>, 7.., null 7..;
        /// −1 is the broker's retention.
        retention_time_ms: i64, 2..=4, default -1;
        topics: Vec<OffsetCommitRequestTopic>, 0..;
    }

    OffsetCommitRequestTopic {
        name: Str, 0..=9;
        partitions: Vec<OffsetCommitRequestPartition>, 0..;
    }

    OffsetCommitRequestPartition {
        partition_index: i32, 0..;
        committed_offset: i64, 0..;
        committed_leader_epoch: i32, 6.., default -1;
        committed_metadata: Option<Str>, 0.., null 0..;
    }

    OffsetCommitResponse {
        throttle_time_ms: i32, 3..;
        topics: Vec<OffsetCommitResponseTopic>, 0..;
    }

    OffsetCommitResponseTopic {
        name: Str, 0..=9;
        partitions: Vec<OffsetCommitResponsePartition>, 0..;
    }

    OffsetCommitResponsePartition {
        partition_index: i32, 0..;
        error_code: i16, 0..;
    }
}
