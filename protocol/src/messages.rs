//! One description per message, one module per API. Field names are Kafka's in snake case; integers are
//! raw, as on the wire.
//!
//! To add an API: a row in `api_key.rs`, a module here with its two descriptions, a row in the list below.

pub mod alter_configs;
pub mod api_versions;
pub mod consumer_group_describe;
pub mod consumer_group_heartbeat;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_groups;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_groups;
pub mod describe_log_dirs;
pub mod describe_topic_partitions;
pub mod fetch;
pub mod find_coordinator;
pub mod heartbeat;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod join_group;
pub mod leave_group;
pub mod list_config_resources;
pub mod list_groups;
pub mod list_offsets;
pub mod metadata;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
#[cfg(test)]
mod oracle;
pub mod produce;
#[cfg(test)]
mod robustness;
pub mod sync_group;

use crate::api_key::ApiKey;
use crate::request::Request;
use crate::response::Response;
use crate::wire::Wire;

/// Hands every API, its module and its two messages to `$macro`.
macro_rules! for_each_api {
    ($macro:ident) => {
        $macro! {
            Produce, produce, ProduceRequest, ProduceResponse;
            Fetch, fetch, FetchRequest, FetchResponse;
            ListOffsets, list_offsets, ListOffsetsRequest, ListOffsetsResponse;
            Metadata, metadata, MetadataRequest, MetadataResponse;
            OffsetCommit, offset_commit, OffsetCommitRequest, OffsetCommitResponse;
            OffsetFetch, offset_fetch, OffsetFetchRequest, OffsetFetchResponse;
            FindCoordinator, find_coordinator, FindCoordinatorRequest, FindCoordinatorResponse;
            JoinGroup, join_group, JoinGroupRequest, JoinGroupResponse;
            Heartbeat, heartbeat, HeartbeatRequest, HeartbeatResponse;
            LeaveGroup, leave_group, LeaveGroupRequest, LeaveGroupResponse;
            SyncGroup, sync_group, SyncGroupRequest, SyncGroupResponse;
            DescribeGroups, describe_groups, DescribeGroupsRequest, DescribeGroupsResponse;
            ListGroups, list_groups, ListGroupsRequest, ListGroupsResponse;
            ApiVersions, api_versions, ApiVersionsRequest, ApiVersionsResponse;
            CreateTopics, create_topics, CreateTopicsRequest, CreateTopicsResponse;
            DeleteTopics, delete_topics, DeleteTopicsRequest, DeleteTopicsResponse;
            DeleteRecords, delete_records, DeleteRecordsRequest, DeleteRecordsResponse;
            InitProducerId, init_producer_id, InitProducerIdRequest, InitProducerIdResponse;
            OffsetForLeaderEpoch, offset_for_leader_epoch, OffsetForLeaderEpochRequest,
                OffsetForLeaderEpochResponse;
            DescribeConfigs, describe_configs, DescribeConfigsRequest, DescribeConfigsResponse;
            AlterConfigs, alter_configs, AlterConfigsRequest, AlterConfigsResponse;
            DescribeLogDirs, describe_log_dirs, DescribeLogDirsRequest, DescribeLogDirsResponse;
            CreatePartitions, create_partitions, CreatePartitionsRequest, CreatePartitionsResponse;
            DeleteGroups, delete_groups, DeleteGroupsRequest, DeleteGroupsResponse;
            IncrementalAlterConfigs, incremental_alter_configs, IncrementalAlterConfigsRequest,
                IncrementalAlterConfigsResponse;
            OffsetDelete, offset_delete, OffsetDeleteRequest, OffsetDeleteResponse;
            DescribeCluster, describe_cluster, DescribeClusterRequest, DescribeClusterResponse;
            ConsumerGroupHeartbeat, consumer_group_heartbeat, ConsumerGroupHeartbeatRequest,
                ConsumerGroupHeartbeatResponse;
            ConsumerGroupDescribe, consumer_group_describe, ConsumerGroupDescribeRequest,
                ConsumerGroupDescribeResponse;
            ListConfigResources, list_config_resources, ListConfigResourcesRequest,
                ListConfigResourcesResponse;
            DescribeTopicPartitions, describe_topic_partitions, DescribeTopicPartitionsRequest,
                DescribeTopicPartitionsResponse;
        }
    };
}
pub(crate) use for_each_api;

/// The request body of one API.
pub trait ApiRequest: Wire + Into<Request> {
    const API: ApiKey;
    type Response: ApiResponse;
}

/// The response body of one API.
pub trait ApiResponse: Wire + Into<Response> {
    const API: ApiKey;
}

macro_rules! pair {
    ($($api:ident, $module:ident, $request:ident, $response:ident;)*) => { $(
        impl ApiRequest for $module::$request {
            const API: ApiKey = ApiKey::$api;
            type Response = $module::$response;
        }

        impl ApiResponse for $module::$response {
            const API: ApiKey = ApiKey::$api;
        }
    )* };
}
for_each_api!(pair);
