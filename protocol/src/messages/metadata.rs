//! Metadata: brokers, topics, and where each partition's leader is.

use crate::ids::TopicId;
use crate::string::Str;
use crate::wire::messages;

messages! {
    MetadataRequest {
        /// Version 0: empty is all. From 1: null is all, empty is none.
        topics: Option<Vec<MetadataRequestTopic>>, 0.., null 1..;
        /// Versions without the field mean true.
        allow_auto_topic_creation: bool, 4.., default true;
        include_cluster_authorized_operations: bool, 8..=10;
        include_topic_authorized_operations: bool, 8..;
    }

    MetadataRequestTopic {
        topic_id: TopicId, 10..;
        name: Option<Str>, 0.., null 10..;
    }

    MetadataResponse {
        throttle_time_ms: i32, 3..;
        brokers: Vec<MetadataResponseBroker>, 0..;
        cluster_id: Option<Str>, 2.., null 2..;
        controller_id: i32, 1.., default -1;
        topics: Vec<MetadataResponseTopic>, 0..;
        cluster_authorized_operations: i32, 8..=10, default i32::MIN;
    }

    MetadataResponseBroker {
        node_id: i32, 0..;
        host: Str, 0..;
        port: i32, 0..;
        rack: Option<Str>, 1.., null 1..;
    }

    MetadataResponseTopic {
        error_code: i16, 0..;
        name: Option<Str>, 0.., null 12..;
        topic_id: TopicId, 10..;
        is_internal: bool, 1..;
        partitions: Vec<MetadataResponsePartition>, 0..;
        topic_authorized_operations: i32, 8.., default i32::MIN;
    }

    MetadataResponsePartition {
        error_code: i16, 0..;
        partition_index: i32, 0..;
        leader_id: i32, 0..;
        leader_epoch: i32, 7.., default -1;
        replica_nodes: Vec<i32>, 0..;
        isr_nodes: Vec<i32>, 0..;
        offline_replicas: Vec<i32>, 5..;
    }
}
