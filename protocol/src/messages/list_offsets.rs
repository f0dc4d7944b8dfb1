//! ListOffsets: the offset of a time, or of a special time (−1 to −5).

use crate::string::Str;
use crate::wire::messages;

messages! {
    ListOffsetsRequest {
        replica_id: i32, 0..;
        isolation_level: i8, 2..;
        topics: Vec<ListOffsetsTopic>, 0..;
    }

    ListOffsetsTopic {
        name: Str, 0..;
        partitions: Vec<ListOffsetsPartition>, 0..;
    }

    ListOffsetsPartition {
        partition_index: i32, 0..;
        current_leader_epoch: i32, 4.., default -1;
        /// −1 latest, −2 earliest, −3 max timestamp, −4 earliest local, −5 latest tiered.
        timestamp: i64, 0..;
    }

    ListOffsetsResponse {
        throttle_time_ms: i32, 2..;
        topics: Vec<ListOffsetsTopicResponse>, 0..;
    }

    ListOffsetsTopicResponse {
        name: Str, 0..;
        partitions: Vec<ListOffsetsPartitionResponse>, 0..;
    }

    ListOffsetsPartitionResponse {
        partition_index: i32, 0..;
        error_code: i16, 0..;
        timestamp: i64, 1.., default -1;
        offset: i64, 1.., default -1;
        leader_epoch: i32, 4.., default -1;
    }
}
