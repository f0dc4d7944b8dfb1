//! ConsumerGroupHeartbeat: a member of the consumer protocol says what it wants and owns, and hears what it shall
//! own.

use coordinator::group::Answer;
use coordinator::group::answer::{ConsumerHeartbeatAnswer, ConsumerHeartbeatError, Token};
use coordinator::group::consumer::request::ConsumerHeartbeat;
use protocol::messages::consumer_group_heartbeat::{
    Assignment, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitions,
};
use protocol::{ErrorCode, PartitionIndex, Str};

use super::authorise::{Operation, Resource};
use super::groups::{GroupWork, unexpected};
use crate::error_code::groups as code_of;
use crate::shard::Shard;
use crate::shard::group_coordinator::question::GroupReply;
use crate::shard::requests::Head;

/// Version from which members make their ids themselves.
const OWN_IDS_FROM: i16 = 1;

impl Shard {
    pub(crate) fn consumer_group_heartbeat(
        &mut self,
        head: Head,
        client: Option<Str>,
        body: ConsumerGroupHeartbeatRequest,
    ) {
        if !self.is_allowed(&head, Operation::Read, Resource::Group(&body.group_id)) {
            let code = ErrorCode::GroupAuthorizationFailed;
            return self.refuse_consumer(&head, code, None);
        }
        let wanted = body.subscribed_topic_names.iter().flatten();
        let mut wanted = wanted.map(|topic| Resource::Topic(topic));
        if !wanted.all(|topic| self.is_allowed(&head, Operation::Describe, topic)) {
            let code = ErrorCode::TopicAuthorizationFailed;
            return self.refuse_consumer(&head, code, None);
        }
        let owned = body.topic_partitions.map(|owned| {
            let owned = owned
                .into_iter()
                .map(|of| (of.topic_id, of.partitions.into_iter().map(PartitionIndex).collect()));
            owned.collect()
        });
        let question = ConsumerHeartbeat {
            token: Token(0),
            group: body.group_id.clone(),
            member: body.member_id,
            new_member: Str::from(self.front.random.uuid()),
            makes_member_ids: head.version >= OWN_IDS_FROM,
            member_epoch: body.member_epoch,
            instance: body.instance_id,
            rack: body.rack_id,
            client_id: client.unwrap_or_default(),
            client_host: self.client_host(&head),
            rebalance_timeout_ms: (body.rebalance_timeout_ms != -1)
                .then_some(body.rebalance_timeout_ms),
            topics: body.subscribed_topic_names,
            regex: body.subscribed_topic_regex,
            assignor: body.server_assignor,
            owned,
        };
        let request = self.begin_group_request(head, GroupWork::ConsumerHeartbeat);
        self.ask_one_group(request, &body.group_id, question);
    }

    pub(super) fn finish_consumer_heartbeat(&mut self, head: &Head, reply: GroupReply) {
        let (code, text) = match reply {
            Ok(Answer::ConsumerHeartbeat(Ok(answer))) => {
                return self.respond(head, response(answer));
            }
            Ok(Answer::ConsumerHeartbeat(Err(error))) => {
                let text = match error {
                    ConsumerHeartbeatError::Invalid(what) => Some(what.text()),
                    _ => None,
                };
                (code_of::consumer_heartbeat(error), text)
            }
            Ok(_) => (unexpected(), None),
            Err(refused) => (code_of::refused(refused), None),
        };
        self.refuse_consumer(head, code, text);
    }

    fn refuse_consumer(&mut self, head: &Head, code: ErrorCode, text: Option<&'static str>) {
        self.metrics.count_error(code.code());
        let response = ConsumerGroupHeartbeatResponse {
            error_code: code.code(),
            error_message: text.map(Str::from_static),
            ..ConsumerGroupHeartbeatResponse::default()
        };
        self.respond(head, response);
    }
}

fn response(answer: ConsumerHeartbeatAnswer) -> ConsumerGroupHeartbeatResponse {
    let assignment = answer.assignment.map(|assigned| {
        let assigned = assigned.into_iter().map(|(topic_id, partitions)| TopicPartitions {
            topic_id,
            partitions: partitions.into_iter().map(|partition| partition.0).collect(),
        });
        Assignment { topic_partitions: assigned.collect() }
    });
    ConsumerGroupHeartbeatResponse {
        error_code: ErrorCode::None.code(),
        member_id: Some(answer.member),
        member_epoch: answer.member_epoch,
        heartbeat_interval_ms: answer.heartbeat_interval_ms,
        assignment,
        ..ConsumerGroupHeartbeatResponse::default()
    }
}
