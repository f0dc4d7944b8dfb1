//! OffsetCommit: where a group goes on. Answered when it is on stable storage.

use coordinator::group::Answer;
use coordinator::group::answer::Token;
use coordinator::group::commit::{OffsetCommit, OffsetToCommit};
use protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
};
use protocol::{ErrorCode, LeaderEpoch, Offset, PartitionIndex};

use super::authorise::{Operation, Resource};
use super::groups::{GroupWork, unexpected};
use crate::error_code::groups as code_of;
use crate::shard::Shard;
use crate::shard::group_coordinator::question::GroupReply;
use crate::shard::requests::Head;

/// Version from which the generation may be a member's epoch.
const MEMBER_EPOCHS_FROM: i16 = 9;

/// The answer so far, and where each offset that was asked for belongs in it.
#[derive(Debug)]
pub(crate) struct Committing {
    response: OffsetCommitResponse,
    /// Topic and partition in the response, in the question's order.
    places: Vec<(usize, usize)>,
}

impl Shard {
    pub(crate) fn offset_commit(&mut self, head: Head, body: OffsetCommitRequest) {
        let group_allowed =
            self.is_allowed(&head, Operation::Read, Resource::Group(&body.group_id));
        let mut committing =
            Committing { response: OffsetCommitResponse::default(), places: Vec::new() };
        let mut offsets = Vec::new();
        for (topic_at, topic) in body.topics.into_iter().enumerate() {
            let allowed = self.is_allowed(&head, Operation::Read, Resource::Topic(&topic.name));
            let known = self.replica.topic_by_name(&topic.name);
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for (at, wanted) in topic.partitions.into_iter().enumerate() {
                let index = PartitionIndex(wanted.partition_index);
                let is_there = known.is_some_and(|known| known.partition(index).is_some());
                let code = if !group_allowed {
                    ErrorCode::GroupAuthorizationFailed
                } else if !allowed {
                    ErrorCode::TopicAuthorizationFailed
                } else if !is_there {
                    ErrorCode::UnknownTopicOrPartition
                } else {
                    let epoch = wanted.committed_leader_epoch;
                    committing.places.push((topic_at, at));
                    offsets.push(OffsetToCommit {
                        topic: topic.name.clone(),
                        topic_id: known.map(coordinator::metadata::Topic::id).unwrap_or_default(),
                        partition: index,
                        offset: Offset(wanted.committed_offset),
                        leader_epoch: (epoch >= 0).then_some(LeaderEpoch(epoch)),
                        metadata: wanted.committed_metadata.unwrap_or_default(),
                        committed_at: None,
                    });
                    ErrorCode::None
                };
                let error_code = code.code();
                partitions.push(OffsetCommitResponsePartition {
                    partition_index: wanted.partition_index,
                    error_code,
                });
            }
            let topic = OffsetCommitResponseTopic { name: topic.name, partitions };
            committing.response.topics.push(topic);
        }
        if offsets.is_empty() {
            return self.answer_commit(&head, committing.response);
        }
        let generation = body.generation_id_or_member_epoch;
        let question = OffsetCommit {
            token: Token(0),
            group: body.group_id.clone(),
            member: body.member_id,
            instance: body.group_instance_id,
            generation: (generation >= 0).then_some(generation),
            retention_ms: (body.retention_time_ms >= 0).then_some(body.retention_time_ms),
            knows_member_epochs: head.version >= MEMBER_EPOCHS_FROM,
            offsets,
        };
        let request = self.begin_group_request(head, GroupWork::OffsetCommit(committing));
        self.ask_one_group(request, &body.group_id, question);
    }

    pub(super) fn finish_offset_commit(
        &mut self,
        head: &Head,
        mut committing: Committing,
        reply: GroupReply,
    ) {
        let all = |code: ErrorCode, count: usize| vec![code; count];
        let count = committing.places.len();
        let codes = match reply {
            Ok(Answer::Commit(Ok(results))) => {
                let codes = results.iter().map(|result| match result {
                    Ok(()) => ErrorCode::None,
                    Err(refused) => code_of::offset_refused(*refused),
                });
                codes.collect()
            }
            Ok(Answer::Commit(Err(error))) => all(code_of::commit(error, head.version), count),
            Ok(_) => all(unexpected(), count),
            Err(refused) => all(code_of::refused(refused), count),
        };
        for ((topic, at), code) in committing.places.into_iter().zip(codes) {
            committing.response.topics[topic].partitions[at].error_code = code.code();
        }
        self.answer_commit(head, committing.response);
    }

    fn answer_commit(&mut self, head: &Head, response: OffsetCommitResponse) {
        for partition in response.topics.iter().flat_map(|topic| &topic.partitions) {
            self.metrics.count_error(partition.error_code);
        }
        self.respond(head, response);
    }
}
