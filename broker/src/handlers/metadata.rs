//! Metadata: brokers, topics, leaders. Topics that are asked for and do not exist are created where both
//! the client and the configuration allow it; the answer waits until they can be used.

use std::collections::BTreeSet;
use std::time::Duration;

use coordinator::metadata::{CreateTopics, Topic, TopicNameError, is_internal, is_reserved};
use protocol::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};
use protocol::{ErrorCode, Str, TopicId};

use super::Work;
use super::authorise::{CLUSTER_OPERATIONS, Operation, Resource, TOPIC_OPERATIONS};
use super::topic_view::no_topic;
use crate::error_code;
use crate::limits::{AUTO_CREATE_WAIT_MS, AUTO_CREATED_TOPICS_MAX};
use crate::shard::Shard;
use crate::shard::command::{Command, CommandReply};
use crate::shard::mail::Mail;
use crate::shard::requests::{Head, Request, RequestId};

/// A request that waits for topics that it creates.
#[derive(Debug)]
pub(crate) struct Creating {
    body: MetadataRequest,
}

/// Version from which null, not an empty list, means all topics.
const NULL_IS_ALL_FROM: i16 = 1;

impl Shard {
    pub(crate) fn describe_metadata(&mut self, head: Head, body: MetadataRequest) {
        let missing = self.topics_to_create(&head, &body);
        if missing.is_empty() {
            let response = self.metadata_response(&head, &body, None);
            return self.respond(&head, response);
        }
        let random = &mut self.front.random;
        let new = missing.into_iter().map(|name| (name, random.topic_id()));
        let command = Command::CreateTopics(CreateTopics::automatic(new.collect::<Vec<_>>()));
        let deadline = Some(self.now.monotonic + Duration::from_millis(AUTO_CREATE_WAIT_MS));
        let work = Work::Metadata(Creating { body });
        let request = self.begin_request(Request { head, deadline, work });
        let (shard, command) = (self.node.me, Box::new(command));
        self.outbox.post(self.node.controller(), Mail::Command { shard, request, command });
    }

    /// The topics are created, or were refused, or it takes too long.
    pub(crate) fn finish_metadata(&mut self, id: RequestId, reply: Option<&CommandReply>) {
        let Some(Request { head, work: Work::Metadata(creating), .. }) = self.end_request(id)
        else {
            unreachable!("only a Metadata ends here");
        };
        let response = self.metadata_response(&head, &creating.body, reply);
        self.respond(&head, response);
    }

    fn topics_to_create(&self, head: &Head, body: &MetadataRequest) -> Vec<Str> {
        let enabled = self.replica.metadata().broker_config_value("auto.create.topics.enable");
        if !body.allow_auto_topic_creation || enabled.as_deref() == Some("false") {
            return Vec::new();
        }
        let names = body.topics.iter().flatten().filter_map(|topic| topic.name.as_ref());
        let missing: BTreeSet<Str> = names
            .filter(|name| self.replica.topic_by_name(name).is_none())
            .filter(|name| TopicNameError::of(name).is_none())
            // Their coordinators create them, with partitions and properties of their own.
            .filter(|name| !is_internal(name) && !is_reserved(name))
            .filter(|name| self.is_allowed(head, Operation::Create, Resource::Topic(name)))
            .cloned()
            .collect();
        missing.into_iter().take(AUTO_CREATED_TOPICS_MAX).collect()
    }

    fn metadata_response(
        &mut self,
        head: &Head,
        body: &MetadataRequest,
        reply: Option<&CommandReply>,
    ) -> MetadataResponse {
        let is_all = match &body.topics {
            None => true,
            Some(topics) => topics.is_empty() && head.version < NULL_IS_ALL_FROM,
        };
        let mut topics = Vec::new();
        if is_all {
            let all = self.replica.metadata().image().topics_by_name();
            let allowed = all.filter(|topic| {
                self.is_allowed(head, Operation::Describe, Resource::Topic(topic.name()))
            });
            topics.extend(allowed.map(|topic| self.topic_response(topic, body)));
        }
        // As in Kafka, who names a topic twice is told once.
        let mut told = BTreeSet::new();
        let wanted = body.topics.iter().flatten();
        for wanted in wanted.filter(|wanted| told.insert((&wanted.name, wanted.topic_id))) {
            topics.push(self.wanted_topic(head, wanted, body, reply));
        }
        for topic in &topics {
            self.metrics.count_error(topic.error_code);
        }
        let brokers = self.brokers_for(head).into_iter().map(|broker| MetadataResponseBroker {
            node_id: broker.id,
            host: broker.host,
            port: broker.port,
            rack: broker.rack,
        });
        let operations = body.include_cluster_authorized_operations;
        MetadataResponse {
            brokers: brokers.collect(),
            cluster_id: Some(self.node.cluster_id.clone()),
            controller_id: self.node.broker.0,
            topics,
            cluster_authorized_operations: if operations { CLUSTER_OPERATIONS } else { i32::MIN },
            ..MetadataResponse::default()
        }
    }

    fn wanted_topic(
        &self,
        head: &Head,
        wanted: &MetadataRequestTopic,
        body: &MetadataRequest,
        reply: Option<&CommandReply>,
    ) -> MetadataResponseTopic {
        let (topic, unknown) = match &wanted.name {
            Some(name) => (self.replica.topic_by_name(name), no_topic(name)),
            None => (self.replica.topic(wanted.topic_id), ErrorCode::UnknownTopicId),
        };
        let name = topic.map(Topic::name).or(wanted.name.as_ref());
        let is_allowed = name
            .is_none_or(|name| self.is_allowed(head, Operation::Describe, Resource::Topic(name)));
        let code = match topic {
            _ if !is_allowed => ErrorCode::TopicAuthorizationFailed,
            Some(topic) => return self.topic_response(topic, body),
            None if body.allow_auto_topic_creation => {
                wanted.name.as_ref().map_or(unknown, |name| self.why_missing(name, reply, unknown))
            }
            None => unknown,
        };
        MetadataResponseTopic {
            error_code: code.code(),
            // Older versions have no null.
            name: wanted.name.clone().or_else(|| (head.version < 12).then(Str::default)),
            topic_id: if wanted.name.is_some() { TopicId::NONE } else { wanted.topic_id },
            is_internal: name.is_some_and(|name| is_internal(name)),
            topic_authorized_operations: i32::MIN,
            ..MetadataResponseTopic::default()
        }
    }

    /// Why a topic that should have been created does not exist.
    fn why_missing(
        &self,
        name: &str,
        reply: Option<&CommandReply>,
        unknown: ErrorCode,
    ) -> ErrorCode {
        let enabled = self.replica.metadata().broker_config_value("auto.create.topics.enable");
        let is_refused = unknown != ErrorCode::UnknownTopicOrPartition;
        let is_created = !is_internal(name) && !is_reserved(name);
        if is_refused || enabled.as_deref() == Some("false") || !is_created {
            return unknown;
        }
        let Some(CommandReply::CreateTopics(Ok(created))) = reply else {
            return ErrorCode::LeaderNotAvailable;
        };
        let result = created.iter().find(|result| result.0 == *name).map(|result| &result.1);
        match result {
            Some(Err(error)) => error_code::create_topic(error),
            Some(Ok(_)) | None => ErrorCode::LeaderNotAvailable,
        }
    }

    fn topic_response(&self, topic: &Topic, body: &MetadataRequest) -> MetadataResponseTopic {
        let views = (0..topic.partitions().len()).map(|index| self.partition_view(topic, index));
        let partitions = views.map(|view| MetadataResponsePartition {
            error_code: view.code.code(),
            partition_index: view.index,
            leader_id: view.leader,
            leader_epoch: view.leader_epoch,
            replica_nodes: view.replicas,
            isr_nodes: view.in_sync,
            offline_replicas: view.offline,
        });
        let operations = body.include_topic_authorized_operations;
        MetadataResponseTopic {
            error_code: ErrorCode::None.code(),
            name: Some(topic.name().clone()),
            topic_id: topic.id(),
            is_internal: is_internal(topic.name()),
            partitions: partitions.collect(),
            topic_authorized_operations: if operations { TOPIC_OPERATIONS } else { i32::MIN },
        }
    }
}
