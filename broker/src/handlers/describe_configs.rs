//! DescribeConfigs: every property of a topic, group or broker with its value, source and synonyms.

use coordinator::metadata::TopicSelector;
use coordinator::topic_config::{ConfigDescription, ConfigKind, ConfigSource};
use protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};
use protocol::{ErrorCode, Str};

use super::alter_configs::{BROKER, GROUP, TOPIC};
use super::authorise::{Operation, Resource};
use crate::shard::Shard;
use crate::shard::requests::Head;

/// Kafka's numbers for where a value comes from.
pub(super) fn source_code(source: ConfigSource) -> i8 {
    match source {
        ConfigSource::DynamicTopic => 1,
        ConfigSource::DynamicBroker => 2,
        ConfigSource::DynamicDefaultBroker => 3,
        ConfigSource::StaticBroker => 4,
        ConfigSource::Default => 5,
        ConfigSource::DynamicGroup => 8,
    }
}

/// Of those that a response has no room for: a resource that is named in five bytes is described in thousands.
const TOO_MANY_RESOURCES: &str = "There is no room to describe this resource beside the others: ask for fewer resources at once.";

/// A property in a response, and each of its synonyms, beside the strings.
const CONFIG_BYTES: usize = 256;

fn bytes_of(config: &DescribeConfigsResourceResult) -> usize {
    let length = |text: &Option<Str>| text.as_ref().map_or(0, |text| text.len());
    let synonyms = config.synonyms.iter();
    CONFIG_BYTES
        + length(&config.value)
        + length(&config.documentation)
        + synonyms.map(|synonym| CONFIG_BYTES + length(&synonym.value)).sum::<usize>()
}

fn kind_code(kind: ConfigKind) -> i8 {
    match kind {
        ConfigKind::Boolean => 1,
        ConfigKind::String => 2,
        ConfigKind::Int => 3,
        ConfigKind::Short => 4,
        ConfigKind::Long => 5,
        ConfigKind::Double => 6,
        ConfigKind::List => 7,
        ConfigKind::Password => 9,
    }
}

impl Shard {
    pub(crate) fn describe_configs(&mut self, head: &Head, body: DescribeConfigsRequest) {
        let (synonyms, documentation) = (body.include_synonyms, body.include_documentation);
        let mut response = DescribeConfigsResponse::default();
        let collected = self.begin_collecting(head);
        let mut left = collected.bytes_max;
        for resource in body.resources {
            let described = match left {
                0 => Err((ErrorCode::InvalidRequest, Str::from_static(TOO_MANY_RESOURCES))),
                _ => self.describe_resource(head, &resource),
            };
            let (code, text, configs) = match described {
                Ok(configs) => (ErrorCode::None, None, configs),
                Err((code, text)) => (code, Some(text), Vec::new()),
            };
            self.metrics.count_error(code.code());
            let keys = resource.configuration_keys.as_deref();
            let wanted = configs.into_iter().filter(|config| {
                keys.is_none_or(|keys| {
                    keys.is_empty() || keys.iter().any(|key| *key == config.name)
                })
            });
            let configs = wanted.map(|one| shown(one, synonyms, documentation));
            let configs: Vec<DescribeConfigsResourceResult> = configs.collect();
            left = left.saturating_sub(configs.iter().map(bytes_of).sum());
            response.results.push(DescribeConfigsResult {
                error_code: code.code(),
                error_message: text,
                resource_type: resource.resource_type,
                resource_name: resource.resource_name,
                configs,
            });
        }
        self.end_collecting(collected);
        self.respond(head, response);
    }

    fn describe_resource(
        &self,
        head: &Head,
        resource: &DescribeConfigsResource,
    ) -> Result<Vec<ConfigDescription>, (ErrorCode, Str)> {
        let metadata = self.replica.metadata();
        let name = &resource.resource_name;
        let cluster = self.is_allowed(head, Operation::DescribeConfigs, Resource::Cluster);
        match resource.resource_type {
            TOPIC => {
                if !self.is_allowed(head, Operation::DescribeConfigs, Resource::Topic(name)) {
                    let text = Str::from_static("Topic authorization failed.");
                    return Err((ErrorCode::TopicAuthorizationFailed, text));
                }
                let topic = metadata.image().select(&TopicSelector::Name(name.clone()));
                let text = Str::from_static("This server does not host this topic-partition.");
                let topic = topic.ok_or((ErrorCode::UnknownTopicOrPartition, text))?;
                Ok(metadata.describe_topic_configs(topic.configs()))
            }
            GROUP => {
                if !self.is_allowed(head, Operation::DescribeConfigs, Resource::Group(name)) {
                    let text = Str::from_static("Group authorization failed.");
                    return Err((ErrorCode::GroupAuthorizationFailed, text));
                }
                if name.is_empty() {
                    let text = Str::from_static("Group name must not be empty");
                    return Err((ErrorCode::InvalidRequest, text));
                }
                Ok(metadata.describe_group_configs(name))
            }
            BROKER if !cluster => {
                let text = Str::from_static("Cluster authorization failed.");
                Err((ErrorCode::ClusterAuthorizationFailed, text))
            }
            BROKER if name.is_empty() => Ok(metadata.describe_broker_default_configs()),
            BROKER if name.parse() == Ok(self.node.broker.0) => {
                Ok(metadata.describe_broker_configs())
            }
            BROKER => {
                let text = format!("Unexpected broker id, expected {}.", self.node.broker);
                Err((ErrorCode::InvalidRequest, Str::from(text)))
            }
            other => {
                let text = format!("Resource type {other} has no configuration here.");
                Err((ErrorCode::InvalidRequest, Str::from(text)))
            }
        }
    }
}

fn shown(
    config: ConfigDescription,
    synonyms: bool,
    documentation: bool,
) -> DescribeConfigsResourceResult {
    let listed = config.synonyms.into_iter().filter(|_| synonyms);
    let listed = listed.map(|synonym| DescribeConfigsSynonym {
        name: Str::from_static(synonym.name),
        value: (!config.sensitive).then(|| Str::from(synonym.value)),
        source: source_code(synonym.source),
    });
    DescribeConfigsResourceResult {
        name: Str::from_static(config.name),
        synonyms: listed.collect(),
        value: config.value.map(Str::from),
        read_only: config.read_only,
        config_source: source_code(config.source),
        is_sensitive: config.sensitive,
        config_type: kind_code(config.kind),
        documentation: documentation.then(|| Str::from(config.documentation)),
    }
}
