//! OffsetForLeaderEpoch: where the log of an epoch ends.

use std::time::Duration;

use protocol::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    OffsetForLeaderTopicResult,
};
use protocol::{ErrorCode, LeaderEpoch, Offset, PartitionIndex};

use super::authorise::{Operation, Resource};
use super::{Joined, Work};
use crate::error_code;
use crate::limits::QUERY_TIMEOUT_MS;
use crate::shard::Shard;
use crate::shard::mail::{Mail, Query, QueryError, ReplyTo};
use crate::shard::requests::{Head, Request, RequestId};

impl Shard {
    pub(crate) fn offset_for_leader_epoch(
        &mut self,
        head: Head,
        body: OffsetForLeaderEpochRequest,
    ) {
        let mut joined = Joined::new(OffsetForLeaderEpochResponse::default());
        let mut queries = Vec::new();
        for (at, topic) in body.topics.into_iter().enumerate() {
            let resource = Resource::Topic(&topic.topic);
            let allowed = self.is_allowed(&head, Operation::Describe, resource);
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for (index_at, wanted) in topic.partitions.iter().enumerate() {
                let index = PartitionIndex(wanted.partition);
                let code = match self.replica.route_by_name(&topic.topic, index) {
                    _ if !allowed => ErrorCode::TopicAuthorizationFailed,
                    None => ErrorCode::UnknownTopicOrPartition,
                    Some(route) => {
                        let known = wanted.current_leader_epoch;
                        let query = Query::EpochEnd {
                            partition: route.partition,
                            current_leader_epoch: (known >= 0).then_some(LeaderEpoch(known)),
                            leader_epoch: LeaderEpoch(wanted.leader_epoch),
                        };
                        queries.push((joined.expect(at, index_at), route.owner, query));
                        ErrorCode::RequestTimedOut
                    }
                };
                partitions.push(EpochEndOffset {
                    error_code: code.code(),
                    partition: wanted.partition,
                    leader_epoch: -1,
                    end_offset: -1,
                });
            }
            let topic = OffsetForLeaderTopicResult { topic: topic.topic, partitions };
            joined.response.topics.push(topic);
        }
        let is_done = queries.is_empty();
        let deadline = Some(self.now.monotonic + Duration::from_millis(QUERY_TIMEOUT_MS));
        let work = Work::OffsetForLeaderEpoch(joined);
        let request = self.begin_request(Request { head, deadline, work });
        for (part, owner, query) in queries {
            let reply = ReplyTo { shard: self.node.me, request, part };
            self.outbox.post(owner, Mail::Query { reply, query });
        }
        if is_done {
            self.finish_offset_for_leader_epoch(request);
        }
    }

    pub(crate) fn on_epoch_end(
        &mut self,
        id: RequestId,
        part: u32,
        result: Result<Option<(LeaderEpoch, Offset)>, QueryError>,
    ) {
        let Some(request) = self.progress.requests.get_mut(id) else { return };
        let Work::OffsetForLeaderEpoch(joined) = &mut request.work else {
            unreachable!("an epoch's end");
        };
        let (topic, at) = joined.place(part);
        let partition = &mut joined.response.topics[topic].partitions[at];
        match result {
            Ok(found) => {
                partition.error_code = ErrorCode::None.code();
                if let Some((epoch, end)) = found {
                    (partition.leader_epoch, partition.end_offset) = (epoch.0, end.0);
                }
            }
            Err(error) => partition.error_code = error_code::query(error).code(),
        }
        if joined.outstanding == 0 {
            self.finish_offset_for_leader_epoch(id);
        }
    }

    pub(crate) fn finish_offset_for_leader_epoch(&mut self, id: RequestId) {
        let Some(Request { head, work: Work::OffsetForLeaderEpoch(joined), .. }) =
            self.end_request(id)
        else {
            unreachable!("only an OffsetForLeaderEpoch ends here");
        };
        for partition in joined.response.topics.iter().flat_map(|topic| &topic.partitions) {
            self.metrics.count_error(partition.error_code);
        }
        self.respond(&head, joined.response);
    }
}
