//! CreateTopics: answered when every owner's directory is durable and every shard knows of the topic.

use coordinator::metadata::create_topics::{
    CreateTopicError, CreateTopicsError, CreateTopicsReply, CreatedTopic, NewAssignment, NewTopic,
};
use coordinator::metadata::{CreateTopics, OfflinePlaces};
use protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest,
    CreateTopicsResponse,
};
use protocol::{BrokerId, ErrorCode, PartitionIndex, Str, TopicId};

use super::Work;
use super::authorise::{Operation, Resource};
use super::commands::no_answer;
use super::describe_configs::source_code;
use crate::error_code;
use crate::shard::Shard;
use crate::shard::command::{Command, Refused};
use crate::shard::requests::Head;

#[derive(Debug)]
pub(crate) struct Creating {
    names: Vec<Str>,
    refused: Vec<CreatableTopicResult>,
}

impl Shard {
    pub(crate) fn create_topics(&mut self, head: Head, body: CreateTopicsRequest) {
        let cluster = self.is_allowed(&head, Operation::Create, Resource::Cluster);
        let (allowed, refused): (Vec<_>, Vec<_>) = body.topics.into_iter().partition(|topic| {
            cluster || self.is_allowed(&head, Operation::Create, Resource::Topic(&topic.name))
        });
        let refused = refused
            .into_iter()
            .map(|topic| failed(topic.name, ErrorCode::TopicAuthorizationFailed.code(), None));
        let refused: Vec<_> = refused.collect();
        let work =
            Creating { names: allowed.iter().map(|topic| topic.name.clone()).collect(), refused };
        if allowed.is_empty() {
            return self.finish_create_topics(&head, work, Some(Ok(Vec::new())));
        }
        let random = &mut self.front.random;
        let topics = allowed.into_iter().map(|topic| new_topic(topic, random.topic_id()));
        let command = Command::CreateTopics(CreateTopics {
            topics: topics.collect(),
            validate_only: body.validate_only,
            offline: OfflinePlaces::NONE,
        });
        self.command(head, body.timeout_ms, command, Work::CreateTopics(work));
    }

    pub(super) fn finish_create_topics(
        &mut self,
        head: &Head,
        work: Creating,
        reply: Option<Result<CreateTopicsReply, Refused<CreateTopicsError>>>,
    ) {
        let mut topics = work.refused;
        match reply {
            Some(Ok(reply)) => {
                topics.extend(reply.into_iter().map(|(name, result)| self.created(name, result)));
            }
            Some(Err(refused)) => {
                let (code, text) = no_answer(Some(&refused), error_code::create_topics);
                let names = work.names.into_iter();
                topics.extend(names.map(|name| failed(name, code, text.clone())));
            }
            None => {
                let (code, text) = no_answer::<CreateTopicsError>(None, error_code::create_topics);
                let names = work.names.into_iter();
                topics.extend(names.map(|name| failed(name, code, text.clone())));
            }
        }
        for topic in &topics {
            self.metrics.count_error(topic.error_code);
        }
        self.respond(head, CreateTopicsResponse { topics, ..CreateTopicsResponse::default() });
    }

    fn created(
        &self,
        name: Str,
        result: Result<CreatedTopic, CreateTopicError>,
    ) -> CreatableTopicResult {
        let created = match result {
            Ok(created) => created,
            Err(error) => {
                let text = Some(Str::from(error.to_string()));
                return failed(name, error_code::create_topic(&error).code(), text);
            }
        };
        let described = self.replica.metadata().describe_topic_configs(&created.configs);
        let configs = described.into_iter().map(|config| CreatableTopicConfigs {
            name: Str::from_static(config.name),
            value: config.value.map(Str::from),
            read_only: config.read_only,
            config_source: source_code(config.source),
            is_sensitive: config.sensitive,
        });
        CreatableTopicResult {
            name,
            topic_id: created.id,
            num_partitions: i32::try_from(created.partitions).unwrap_or(i32::MAX),
            replication_factor: i16::try_from(created.replication_factor).unwrap_or(i16::MAX),
            configs: Some(configs.collect()),
            ..CreatableTopicResult::default()
        }
    }
}

fn failed(name: Str, error_code: i16, error_message: Option<Str>) -> CreatableTopicResult {
    CreatableTopicResult {
        name,
        error_code,
        error_message,
        num_partitions: -1,
        replication_factor: -1,
        configs: None,
        ..CreatableTopicResult::default()
    }
}

fn new_topic(topic: CreatableTopic, id: TopicId) -> NewTopic {
    let assignments = topic.assignments.into_iter().map(|assignment| NewAssignment {
        partition: PartitionIndex(assignment.partition_index),
        brokers: assignment.broker_ids.into_iter().map(BrokerId).collect(),
    });
    NewTopic {
        name: topic.name,
        id,
        partitions: (topic.num_partitions != -1).then_some(topic.num_partitions),
        replication_factor: (topic.replication_factor != -1).then_some(topic.replication_factor),
        assignments: assignments.collect(),
        configs: topic.configs.into_iter().map(|config| (config.name, config.value)).collect(),
    }
}
