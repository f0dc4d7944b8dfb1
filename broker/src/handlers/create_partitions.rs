//! CreatePartitions: one row for each topic, answered when the new partitions can be used.

use coordinator::metadata::create_partitions::{
    CreatePartitionsRefused, CreatePartitionsReply, GrownTopic,
};
use coordinator::metadata::{CreatePartitions, OfflinePlaces};
use protocol::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
    CreatePartitionsTopicResult,
};
use protocol::{BrokerId, ErrorCode, Str};

use super::Work;
use super::authorise::{Operation, Resource};
use super::commands::no_answer;
use crate::error_code;
use crate::shard::Shard;
use crate::shard::command::{Command, Refused};
use crate::shard::requests::Head;

#[derive(Debug)]
pub(crate) struct Growing {
    names: Vec<Str>,
    refused: Vec<CreatePartitionsTopicResult>,
}

impl Shard {
    pub(crate) fn create_partitions(&mut self, head: Head, body: CreatePartitionsRequest) {
        let (allowed, refused): (Vec<_>, Vec<_>) = body.topics.into_iter().partition(|topic| {
            self.is_allowed(&head, Operation::Alter, Resource::Topic(&topic.name))
        });
        let refused = refused.into_iter().map(|topic| CreatePartitionsTopicResult {
            name: topic.name,
            error_code: ErrorCode::TopicAuthorizationFailed.code(),
            error_message: None,
        });
        let names = allowed.iter().map(|topic| topic.name.clone()).collect();
        let work = Growing { names, refused: refused.collect() };
        let command = CreatePartitions {
            topics: allowed.into_iter().map(grown_topic).collect(),
            validate_only: body.validate_only,
            offline: OfflinePlaces::NONE,
        };
        let command = Command::CreatePartitions(command);
        self.command(head, body.timeout_ms, command, Work::CreatePartitions(work));
    }

    pub(super) fn finish_create_partitions(
        &mut self,
        head: &Head,
        work: Growing,
        reply: Option<Result<CreatePartitionsReply, Refused<CreatePartitionsRefused>>>,
    ) {
        let mut results = work.refused;
        match reply {
            Some(Ok(reply)) => results.extend(reply.into_iter().map(|(name, result)| {
                let error = result.err();
                let code = error.as_ref().map_or(ErrorCode::None, error_code::create_partitions);
                let error_message = error.map(|error| Str::from(error.to_string()));
                CreatePartitionsTopicResult { name, error_code: code.code(), error_message }
            })),
            no_reply => {
                let refused = no_reply.as_ref().and_then(|reply| reply.as_ref().err());
                let (code, text) = no_answer(refused, error_code::create_partitions_refused);
                results.extend(work.names.into_iter().map(|name| CreatePartitionsTopicResult {
                    name,
                    error_code: code,
                    error_message: text.clone(),
                }));
            }
        }
        for result in &results {
            self.metrics.count_error(result.error_code);
        }
        let response = CreatePartitionsResponse { results, ..CreatePartitionsResponse::default() };
        self.respond(head, response);
    }
}

fn grown_topic(topic: CreatePartitionsTopic) -> GrownTopic {
    let assignments = topic.assignments.map(|assignments| {
        let brokers = assignments.into_iter();
        brokers.map(|one| one.broker_ids.into_iter().map(BrokerId).collect()).collect()
    });
    GrownTopic { name: topic.name, count: topic.count, assignments }
}
