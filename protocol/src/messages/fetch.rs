//! Fetch: reads record batches; sessions from version 7, topic ids instead of names from 13.

use crate::ids::TopicId;
use crate::string::Str;
use crate::wire::{Records, messages};

messages! {
    FetchRequest {
        cluster_id: Option<Str>, 12.., null 12.., tag 0;
        replica_id: i32, 0..=14, default -1;
        replica_state: ReplicaState, 15.., tag 1;
        max_wait_ms: i32, 0..;
        min_bytes: i32, 0..;
        max_bytes: i32, 3.., default i32::MAX;
        isolation_level: i8, 4..;
        session_id: i32, 7..;
        /// 0 opens a session, −1 closes it or does without.
        session_epoch: i32, 7.., default -1;
        topics: Vec<FetchTopic>, 0..;
        forgotten_topics_data: Vec<ForgottenTopic>, 7..;
        rack_id: Str, 11..;
    }

    ReplicaState {
        replica_id: i32, 15.., default -1;
        replica_epoch: i64, 15.., default -1;
    }

    FetchTopic {
        topic: Str, 0..=12;
        topic_id: TopicId, 13..;
        partitions: Vec<FetchPartition>, 0..;
    }

    FetchPartition {
        partition: i32, 0..;
        current_leader_epoch: i32, 9.., default -1;
        fetch_offset: i64, 0..;
        last_fetched_epoch: i32, 12.., default -1;
        log_start_offset: i64, 5.., default -1;
        partition_max_bytes: i32, 0..;
        replica_directory_id: [u8; 16], 17.., tag 0;
    }

    ForgottenTopic {
        topic: Str, 7..=12;
        topic_id: TopicId, 13..;
        partitions: Vec<i32>, 7..;
    }

    FetchResponse {
        throttle_time_ms: i32, 1..;
        error_code: i16, 7..;
        session_id: i32, 7..;
        responses: Vec<FetchableTopicResponse>, 0..;
        node_endpoints: Vec<NodeEndpoint>, 16.., tag 0;
    }

    FetchableTopicResponse {
        topic: Str, 0..=12;
        topic_id: TopicId, 13..;
        partitions: Vec<PartitionData>, 0..;
    }

    PartitionData {
        partition_index: i32, 0..;
        error_code: i16, 0..;
        high_watermark: i64, 0..;
        last_stable_offset: i64, 4.., default -1;
        log_start_offset: i64, 5.., default -1;
        diverging_epoch: EpochEndOffset, 12.., tag 0;
        current_leader: LeaderIdAndEpoch, 12.., tag 1;
        snapshot_id: SnapshotId, 12.., tag 2;
        /// Null for isolation level 0 (read uncommitted).
        aborted_transactions: Option<Vec<AbortedTransaction>>, 4.., null 4..;
        preferred_read_replica: i32, 11.., default -1;
        /// Slices of log memory on the way out.
        records: Records, 0..;
    }

    EpochEndOffset {
        epoch: i32, 12.., default -1;
        end_offset: i64, 12.., default -1;
    }

    LeaderIdAndEpoch {
        leader_id: i32, 12.., default -1;
        leader_epoch: i32, 12.., default -1;
    }

    SnapshotId {
        end_offset: i64, 0.., default -1;
        epoch: i32, 0.., default -1;
    }

    AbortedTransaction {
        producer_id: i64, 4..;
        first_offset: i64, 4..;
    }

    NodeEndpoint {
        node_id: i32, 16..;
        host: Str, 16..;
        port: i32, 16..;
        rack: Option<Str>, 16.., null 16..;
    }
}
