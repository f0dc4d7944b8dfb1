//! OffsetForLeaderEpoch: where the log of an epoch ends, to find truncations.

use crate::string::Str;
use crate::wire::messages;

messages! {
    OffsetForLeaderEpochRequest {
        replica_id: i32, 3.., default -2;
        topics: Vec<OffsetForLeaderTopic>, 0..;
    }

    OffsetForLeaderTopic {
        topic: Str, 0..;
        partitions: Vec<OffsetForLeaderPartition>, 0..;
    }

    OffsetForLeaderPartition {
        partition: i32, 0..;
        current_leader_epoch: i32, 2.., default -1;
        leader_epoch: i32, 0..;
    }

    OffsetForLeaderEpochResponse {
        throttle_time_ms: i32, 2..;
        topics: Vec<OffsetForLeaderTopicResult>, 0..;
    }

    OffsetForLeaderTopicResult {
        topic: Str, 0..;
        partitions: Vec<EpochEndOffset>, 0..;
    }

    EpochEndOffset {
        error_code: i16, 0..;
        partition: i32, 0..;
        leader_epoch: i32, 1.., default -1;
        end_offset: i64, 0.., default -1;
    }
}
