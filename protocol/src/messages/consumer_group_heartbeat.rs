//! ConsumerGroupHeartbeat: all that a member of the consumer protocol (KIP-848) says and hears.
//!
//! Null means "as in the last heartbeat", which an empty list does not.

use crate::ids::TopicId;
use crate::string::Str;
use crate::wire::messages;

messages! {
    ConsumerGroupHeartbeatRequest {
        group_id: Str, 0..;
        member_id: Str, 0..;
        /// 0 joins, −1 leaves, −2 leaves as a static member that will be back.
        member_epoch: i32, 0..;
        instance_id: Option<Str>, 0.., null 0..;
        rack_id: Option<Str>, 0.., null 0..;
        /// −1 is as in the last heartbeat.
        rebalance_timeout_ms: i32, 0.., default -1;
        subscribed_topic_names: Option<Vec<Str>>, 0.., null 0..;
        subscribed_topic_regex: Option<Str>, 1.., null 1..;
        server_assignor: Option<Str>, 0.., null 0..;
        /// What the member owns.
        topic_partitions: Option<Vec<TopicPartitions>>, 0.., null 0..;
    }

    TopicPartitions {
        topic_id: TopicId, 0..;
        partitions: Vec<i32>, 0..;
    }

    ConsumerGroupHeartbeatResponse {
        throttle_time_ms: i32, 0..;
        error_code: i16, 0..;
        error_message: Option<Str>, 0.., null 0..;
        member_id: Option<Str>, 0.., null 0..;
        member_epoch: i32, 0..;
        heartbeat_interval_ms: i32, 0..;
        assignment: Option<Assignment>, 0.., null 0..;
    }

    Assignment {
        topic_partitions: Vec<TopicPartitions>, 0..;
    }
}
