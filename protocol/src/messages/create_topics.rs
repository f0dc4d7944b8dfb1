//! CreateTopics.

use crate::ids::TopicId;
use crate::string::Str;
use crate::wire::messages;

messages! {
    CreateTopicsRequest {
        topics: Vec<CreatableTopic>, 0..;
        timeout_ms: i32, 0.., default 60000;
        validate_only: bool, 1..;
    }

    CreatableTopic {
        name: Str, 0..;
        /// −1: the broker's default, from version 4.
        num_partitions: i32, 0..;
        /// −1: the broker's default, from version 4.
        replication_factor: i16, 0..;
        assignments: Vec<CreatableReplicaAssignment>, 0..;
        configs: Vec<CreatableTopicConfig>, 0..;
    }

    CreatableReplicaAssignment {
        partition_index: i32, 0..;
        broker_ids: Vec<i32>, 0..;
    }

    CreatableTopicConfig {
        name: Str, 0..;
        value: Option<Str>, 0.., null 0..;
    }

    CreateTopicsResponse {
        throttle_time_ms: i32, 2..;
        topics: Vec<CreatableTopicResult>, 0..;
    }

    CreatableTopicResult {
        name: Str, 0..;
        topic_id: TopicId, 7..;
        error_code: i16, 0..;
        error_message: Option<Str>, 1.., null 0..;
        topic_config_error_code: i16, 5.., tag 0;
        num_partitions: i32, 5.., default -1;
        replication_factor: i16, 5.., default -1;
        configs: Option<Vec<CreatableTopicConfigs>>, 5.., null 5..;
    }

    CreatableTopicConfigs {
        name: Str, 5..;
        value: Option<Str>, 5.., null 5..;
        read_only: bool, 5..;
        config_source: i8, 5.., default -1;
        is_sensitive: bool, 5..;
    }
}
