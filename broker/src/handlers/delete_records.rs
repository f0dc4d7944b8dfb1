//! DeleteRecords: the owner moves the log start; the answer waits until that is durable.

use coordinator::metadata::is_internal;
use std::time::Duration;

use protocol::messages::delete_records::{
    DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteRecordsTopicResult,
};
use protocol::{ErrorCode, Offset, PartitionIndex};

use super::authorise::{Operation, Resource};
use super::{Joined, Work};
use crate::error_code;
use crate::shard::Shard;
use crate::shard::mail::{DeleteRecordsError, Mail, Query, ReplyTo};
use crate::shard::requests::{Head, Request, RequestId};

/// Stands for the high watermark.
const HIGH_WATERMARK: i64 = -1;

impl Shard {
    pub(crate) fn delete_records_of(&mut self, head: Head, body: DeleteRecordsRequest) {
        let timeout_ms = u64::from(body.timeout_ms.max(0).unsigned_abs());
        let mut joined = Joined::new(DeleteRecordsResponse::default());
        let mut queries = Vec::new();
        for (at, topic) in body.topics.into_iter().enumerate() {
            let resource = Resource::Topic(&topic.name);
            let allowed = self.is_allowed(&head, Operation::Delete, resource);
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for (index_at, wanted) in topic.partitions.iter().enumerate() {
                let index = PartitionIndex(wanted.partition_index);
                let route = self.replica.route_by_name(&topic.name, index);
                let code = match (allowed, route, wanted.offset) {
                    (false, ..) => ErrorCode::TopicAuthorizationFailed,
                    (_, None, _) => ErrorCode::UnknownTopicOrPartition,
                    _ if is_internal(&topic.name) => ErrorCode::InvalidTopicException,
                    (_, _, offset) if offset < HIGH_WATERMARK => ErrorCode::OffsetOutOfRange,
                    (_, Some(route), offset) => {
                        let before = (offset != HIGH_WATERMARK).then_some(Offset(offset));
                        let partition = route.partition;
                        let query = Query::DeleteRecords { partition, before };
                        queries.push((joined.expect(at, index_at), route.owner, query));
                        ErrorCode::RequestTimedOut
                    }
                };
                partitions.push(DeleteRecordsPartitionResult {
                    partition_index: wanted.partition_index,
                    low_watermark: -1,
                    error_code: code.code(),
                });
            }
            let topic = DeleteRecordsTopicResult { name: topic.name, partitions };
            joined.response.topics.push(topic);
        }
        let is_done = queries.is_empty();
        let deadline = Some(self.now.monotonic + Duration::from_millis(timeout_ms));
        let work = Work::DeleteRecords(joined);
        let request = self.begin_request(Request { head, deadline, work });
        for (part, owner, query) in queries {
            let reply = ReplyTo { shard: self.node.me, request, part };
            self.outbox.post(owner, Mail::Query { reply, query });
        }
        if is_done {
            self.finish_delete_records(request);
        }
    }

    pub(crate) fn on_deleted_records(
        &mut self,
        id: RequestId,
        part: u32,
        result: &Result<Offset, DeleteRecordsError>,
    ) {
        let Some(request) = self.progress.requests.get_mut(id) else { return };
        let Work::DeleteRecords(joined) = &mut request.work else { unreachable!("a log start") };
        let (topic, at) = joined.place(part);
        let partition = &mut joined.response.topics[topic].partitions[at];
        match result {
            Ok(log_start) => {
                partition.error_code = ErrorCode::None.code();
                partition.low_watermark = log_start.0;
            }
            Err(error) => partition.error_code = error_code::delete_records(error).code(),
        }
        if joined.outstanding == 0 {
            self.finish_delete_records(id);
        }
    }

    pub(crate) fn finish_delete_records(&mut self, id: RequestId) {
        let Some(Request { head, work: Work::DeleteRecords(joined), .. }) = self.end_request(id)
        else {
            unreachable!("only a DeleteRecords ends here");
        };
        for partition in joined.response.topics.iter().flat_map(|topic| &topic.partitions) {
            self.metrics.count_error(partition.error_code);
        }
        self.respond(&head, joined.response);
    }
}
