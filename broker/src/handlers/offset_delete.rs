//! OffsetDelete: a group forgets where it was in partitions that it does not read.

use coordinator::group::Answer;
use coordinator::group::answer::Token;
use coordinator::group::offset_delete::OffsetDelete;
use protocol::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
};
use protocol::{ErrorCode, PartitionIndex};

use super::authorise::{Operation, Resource};
use super::groups::{GroupWork, unexpected};
use crate::error_code::groups as code_of;
use crate::shard::Shard;
use crate::shard::group_coordinator::question::GroupReply;
use crate::shard::requests::Head;

/// The answer so far, and where each partition that was asked for belongs in it.
#[derive(Debug)]
pub(crate) struct Deleting {
    response: OffsetDeleteResponse,
    places: Vec<(usize, usize)>,
}

impl Shard {
    pub(crate) fn offset_delete(&mut self, head: Head, body: OffsetDeleteRequest) {
        if !self.is_allowed(&head, Operation::Delete, Resource::Group(&body.group_id)) {
            let refused = ErrorCode::GroupAuthorizationFailed;
            return self.refuse_offset_delete(&head, refused);
        }
        let mut deleting =
            Deleting { response: OffsetDeleteResponse::default(), places: Vec::new() };
        let mut wanted = Vec::new();
        for (topic_at, topic) in body.topics.into_iter().enumerate() {
            let allowed = self.is_allowed(&head, Operation::Read, Resource::Topic(&topic.name));
            let known = self.replica.topic_by_name(&topic.name);
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for (at, partition) in topic.partitions.iter().enumerate() {
                let index = PartitionIndex(partition.partition_index);
                let is_there = known.is_some_and(|known| known.partition(index).is_some());
                let code = if !allowed {
                    ErrorCode::TopicAuthorizationFailed
                } else if !is_there {
                    ErrorCode::UnknownTopicOrPartition
                } else {
                    deleting.places.push((topic_at, at));
                    wanted.push((topic.name.clone(), index));
                    ErrorCode::None
                };
                partitions.push(OffsetDeleteResponsePartition {
                    partition_index: partition.partition_index,
                    error_code: code.code(),
                });
            }
            let topic = OffsetDeleteResponseTopic { name: topic.name, partitions };
            deleting.response.topics.push(topic);
        }
        let (group, partitions) = (body.group_id.clone(), wanted);
        let question = OffsetDelete { token: Token(0), group, partitions };
        let request = self.begin_group_request(head, GroupWork::OffsetDelete(deleting));
        self.ask_one_group(request, &body.group_id, question);
    }

    pub(super) fn finish_offset_delete(
        &mut self,
        head: &Head,
        mut deleting: Deleting,
        reply: GroupReply,
    ) {
        let results = match reply {
            Ok(Answer::OffsetDelete(Ok(results))) => results,
            Ok(Answer::OffsetDelete(Err(error))) => {
                return self.refuse_offset_delete(head, code_of::offset_delete(error));
            }
            Ok(_) => return self.refuse_offset_delete(head, unexpected()),
            Err(refused) => return self.refuse_offset_delete(head, code_of::refused(refused)),
        };
        for ((topic, at), result) in deleting.places.into_iter().zip(results) {
            if let Err(why) = result {
                let code = code_of::offset_not_deleted(why).code();
                deleting.response.topics[topic].partitions[at].error_code = code;
            }
        }
        for partition in deleting.response.topics.iter().flat_map(|topic| &topic.partitions) {
            self.metrics.count_error(partition.error_code);
        }
        self.respond(head, deleting.response);
    }

    fn refuse_offset_delete(&mut self, head: &Head, code: ErrorCode) {
        self.metrics.count_error(code.code());
        let error_code = code.code();
        self.respond(head, OffsetDeleteResponse { error_code, ..OffsetDeleteResponse::default() });
    }
}
