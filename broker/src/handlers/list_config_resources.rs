//! ListConfigResources: topics and brokers, which all have a configuration, and the groups that have one of their
//! own, whether they exist or not.

use protocol::messages::list_config_resources::{
    ListConfigResourcesRequest, ListConfigResourcesResponse, ListedConfigResource,
};
use protocol::{ErrorCode, Str};

use super::alter_configs::{BROKER, GROUP, TOPIC};
use super::authorise::{Operation, Resource};
use crate::shard::Shard;
use crate::shard::requests::Head;

/// Kafka's types of which there is nothing here.
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;

/// In the order in which Kafka answers.
const ALL: [i8; 5] = [GROUP, CLIENT_METRICS, BROKER_LOGGER, BROKER, TOPIC];

impl Shard {
    pub(crate) fn list_config_resources(&mut self, head: &Head, body: &ListConfigResourcesRequest) {
        let mut response = ListConfigResourcesResponse::default();
        // The first version asks for nothing else, and cannot say of what type an answer is.
        let of_metrics_alone = head.version == 0;
        let asked = &body.resource_types;
        if !self.is_allowed(head, Operation::DescribeConfigs, Resource::Cluster) {
            response.error_code = ErrorCode::ClusterAuthorizationFailed.code();
        } else if !asked.iter().all(|asked| ALL.contains(asked)) {
            response.error_code = ErrorCode::UnsupportedVersion.code();
        } else if !of_metrics_alone {
            let wanted = ALL.into_iter().filter(|of| asked.is_empty() || asked.contains(of));
            response.config_resources = wanted.flat_map(|of| self.config_resources(of)).collect();
        }
        self.metrics.count_error(response.error_code);
        self.respond(head, response);
    }

    fn config_resources(&self, resource_type: i8) -> Vec<ListedConfigResource> {
        let image = self.replica.metadata().image();
        let names: Vec<Str> = match resource_type {
            GROUP => image.configured_groups().map(|(group, _)| group.clone()).collect(),
            BROKER => image.brokers().map(|broker| Str::from(broker.id.to_string())).collect(),
            TOPIC => image.topics_by_name().map(|topic| topic.name().clone()).collect(),
            _ => Vec::new(),
        };
        let listed = |resource_name| ListedConfigResource { resource_name, resource_type };
        names.into_iter().map(listed).collect()
    }
}
