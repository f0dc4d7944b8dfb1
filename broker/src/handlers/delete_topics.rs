//! DeleteTopics: by name or by id. Answered when the deletion is durable and no shard serves the topic any
//! more; its files go behind that.

use coordinator::metadata::delete_topics::{
    DeleteTopicError, DeleteTopicsError, DeleteTopicsReply, DeletedTopic,
};
use coordinator::metadata::{DeleteTopics, TopicSelector};
use protocol::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse,
};
use protocol::{ErrorCode, Str, TopicId};

use super::Work;
use super::authorise::{Operation, Resource};
use super::commands::no_answer;
use crate::error_code;
use crate::shard::Shard;
use crate::shard::command::{Command, Refused};
use crate::shard::requests::Head;

#[derive(Debug)]
pub(crate) struct Deleting {
    selectors: Vec<TopicSelector>,
    refused: Vec<DeletableTopicResult>,
}

impl Shard {
    pub(crate) fn delete_topics(&mut self, head: Head, body: DeleteTopicsRequest) {
        let by_state = body.topics.into_iter().map(|topic| match topic.name {
            Some(name) => TopicSelector::Name(name),
            None => TopicSelector::Id(topic.topic_id),
        });
        let by_name = body.topic_names.into_iter().map(TopicSelector::Name);
        let mut work = Deleting { selectors: Vec::new(), refused: Vec::new() };
        for selector in by_state.chain(by_name) {
            let topic = self.replica.metadata().image().select(&selector);
            let is_allowed = topic.is_none_or(|topic| {
                self.is_allowed(&head, Operation::Delete, Resource::Topic(topic.name()))
            });
            if is_allowed {
                work.selectors.push(selector);
            } else {
                let code = ErrorCode::TopicAuthorizationFailed.code();
                work.refused.push(failed(selector, code, None));
            }
        }
        let command = Command::DeleteTopics(DeleteTopics { topics: work.selectors.clone() });
        self.command(head, body.timeout_ms, command, Work::DeleteTopics(work));
    }

    pub(super) fn finish_delete_topics(
        &mut self,
        head: &Head,
        work: Deleting,
        reply: Option<Result<DeleteTopicsReply, Refused<DeleteTopicsError>>>,
    ) {
        let mut responses = work.refused;
        match reply {
            Some(Ok(reply)) => {
                let results = reply.into_iter();
                responses.extend(results.map(|(selector, result)| deleted(selector, result)));
            }
            no_reply => {
                let refused = no_reply.as_ref().and_then(|reply| reply.as_ref().err());
                let (code, text) = no_answer(refused, error_code::delete_topics);
                let selectors = work.selectors.into_iter();
                responses.extend(selectors.map(|one| failed(one, code, text.clone())));
            }
        }
        for response in &responses {
            self.metrics.count_error(response.error_code);
        }
        let response = DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() };
        self.respond(head, response);
    }
}

fn deleted(
    selector: TopicSelector,
    result: Result<DeletedTopic, DeleteTopicError>,
) -> DeletableTopicResult {
    match result {
        Ok(topic) => DeletableTopicResult {
            name: Some(topic.name),
            topic_id: topic.id,
            ..DeletableTopicResult::default()
        },
        Err(error) => {
            let text = Some(Str::from(error.to_string()));
            failed(selector, error_code::delete_topic(&error).code(), text)
        }
    }
}

fn failed(
    selector: TopicSelector,
    error_code: i16,
    error_message: Option<Str>,
) -> DeletableTopicResult {
    let (name, topic_id) = match selector {
        TopicSelector::Name(name) => (Some(name), TopicId::NONE),
        TopicSelector::Id(id) => (None, id),
    };
    DeletableTopicResult { name, topic_id, error_code, error_message }
}
