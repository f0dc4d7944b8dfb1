//! DescribeCluster: the brokers as the client's listener reaches them.

use protocol::messages::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};
use protocol::{ErrorCode, Str};

use super::authorise::{CLUSTER_OPERATIONS, Operation, Resource};
use crate::shard::Shard;
use crate::shard::requests::Head;

/// Brokers; the other type, controllers, is for Kafka's own controller listeners.
const ENDPOINTS_OF_BROKERS: i8 = 1;

impl Shard {
    pub(crate) fn describe_cluster(&mut self, head: &Head, body: &DescribeClusterRequest) {
        let mut response = DescribeClusterResponse {
            endpoint_type: body.endpoint_type,
            cluster_id: self.node.cluster_id.clone(),
            controller_id: self.node.broker.0,
            cluster_authorized_operations: i32::MIN,
            ..DescribeClusterResponse::default()
        };
        if !self.is_allowed(head, Operation::Describe, Resource::Cluster) {
            response.error_code = ErrorCode::ClusterAuthorizationFailed.code();
        } else if body.endpoint_type != ENDPOINTS_OF_BROKERS {
            response.error_code = ErrorCode::UnsupportedEndpointType.code();
            response.error_message =
                Some(Str::from_static("Only the endpoints of brokers can be described here."));
        } else {
            let reachable = self.brokers_for(head);
            let brokers = reachable.into_iter().map(|broker| DescribeClusterBroker {
                broker_id: broker.id,
                host: broker.host,
                port: broker.port,
                rack: broker.rack,
                is_fenced: false,
            });
            response.brokers = brokers.collect();
            if body.include_cluster_authorized_operations {
                response.cluster_authorized_operations = CLUSTER_OPERATIONS;
            }
        }
        self.metrics.count_error(response.error_code);
        self.respond(head, response);
    }
}
