//! ListOffsets: the owner's watermarks, or the first record at or after a time.

use std::time::Duration;

use protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use protocol::{ErrorCode, LeaderEpoch, PartitionIndex};

use super::authorise::{Operation, Resource};
use super::{Joined, Work};
use crate::error_code;
use crate::limits::QUERY_TIMEOUT_MS;
use crate::shard::Shard;
use crate::shard::mail::{FoundOffset, Mail, OffsetSpec, Query, QueryError, ReplyTo};
use crate::shard::requests::{Head, Request, RequestId};

/// What a time means; `None` for a special time that this version of the API does not have.
fn spec(timestamp: i64, version: i16) -> Option<OffsetSpec> {
    match timestamp {
        -1 => Some(OffsetSpec::Latest),
        -2 => Some(OffsetSpec::Earliest),
        -3 if version >= 7 => Some(OffsetSpec::MaxTimestamp),
        -4 if version >= 8 => Some(OffsetSpec::EarliestLocal),
        -5 if version >= 9 => Some(OffsetSpec::LatestTiered),
        timestamp if timestamp >= 0 => Some(OffsetSpec::Timestamp(timestamp)),
        _ => None,
    }
}

impl Shard {
    pub(crate) fn list_offsets(&mut self, head: Head, body: ListOffsetsRequest) {
        let mut joined = Joined::new(ListOffsetsResponse::default());
        let mut queries = Vec::new();
        for (at, topic) in body.topics.into_iter().enumerate() {
            let resource = Resource::Topic(&topic.name);
            let allowed = self.is_allowed(&head, Operation::Describe, resource);
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for (index_at, wanted) in topic.partitions.iter().enumerate() {
                let index = PartitionIndex(wanted.partition_index);
                let route = self.replica.route_by_name(&topic.name, index);
                let code = match (allowed, route, spec(wanted.timestamp, head.version)) {
                    (false, ..) => ErrorCode::TopicAuthorizationFailed,
                    (_, None, _) => ErrorCode::UnknownTopicOrPartition,
                    (_, _, None) => ErrorCode::UnsupportedVersion,
                    (_, Some(route), Some(spec)) => {
                        let part = joined.expect(at, index_at);
                        queries.push((part, route, query(wanted, route.partition, spec)));
                        ErrorCode::RequestTimedOut
                    }
                };
                partitions.push(ListOffsetsPartitionResponse {
                    partition_index: wanted.partition_index,
                    error_code: code.code(),
                    timestamp: -1,
                    offset: -1,
                    leader_epoch: -1,
                });
            }
            let topic = ListOffsetsTopicResponse { name: topic.name, partitions };
            joined.response.topics.push(topic);
        }
        let is_done = queries.is_empty();
        let deadline = Some(self.now.monotonic + Duration::from_millis(QUERY_TIMEOUT_MS));
        let work = Work::ListOffsets(joined);
        let request = self.begin_request(Request { head, deadline, work });
        for (part, route, query) in queries {
            let reply = ReplyTo { shard: self.node.me, request, part };
            self.outbox.post(route.owner, Mail::Query { reply, query });
        }
        if is_done {
            self.finish_list_offsets(request);
        }
    }

    pub(crate) fn on_offset(
        &mut self,
        id: RequestId,
        part: u32,
        result: Result<Option<FoundOffset>, QueryError>,
    ) {
        let Some(request) = self.progress.requests.get_mut(id) else { return };
        let Work::ListOffsets(joined) = &mut request.work else { unreachable!("an offset") };
        let (topic, at) = joined.place(part);
        let partition = &mut joined.response.topics[topic].partitions[at];
        match result {
            Ok(found) => {
                partition.error_code = ErrorCode::None.code();
                if let Some(found) = found {
                    partition.offset = found.offset.0;
                    partition.timestamp = found.timestamp.unwrap_or(-1);
                    partition.leader_epoch = found.leader_epoch.map_or(-1, |epoch| epoch.0);
                }
            }
            Err(error) => partition.error_code = error_code::query(error).code(),
        }
        if joined.outstanding == 0 {
            self.finish_list_offsets(id);
        }
    }

    pub(crate) fn finish_list_offsets(&mut self, id: RequestId) {
        let Some(Request { head, work: Work::ListOffsets(joined), .. }) = self.end_request(id)
        else {
            unreachable!("only a ListOffsets ends here");
        };
        for partition in joined.response.topics.iter().flat_map(|topic| &topic.partitions) {
            self.metrics.count_error(partition.error_code);
        }
        self.respond(&head, joined.response);
    }
}

fn query(wanted: &ListOffsetsPartition, partition: engine::PartitionId, at: OffsetSpec) -> Query {
    let epoch = wanted.current_leader_epoch;
    let current_leader_epoch = (epoch >= 0).then_some(LeaderEpoch(epoch));
    Query::Offset { partition, current_leader_epoch, at }
}

#[cfg(test)]
mod tests {
    use super::{OffsetSpec, spec};

    #[test]
    fn special_times_exist_from_their_versions_on() {
        assert_eq!(spec(-1, 1), Some(OffsetSpec::Latest));
        assert_eq!(spec(-2, 1), Some(OffsetSpec::Earliest));
        assert_eq!((spec(-3, 6), spec(-3, 7)), (None, Some(OffsetSpec::MaxTimestamp)));
        assert_eq!((spec(-4, 7), spec(-4, 8)), (None, Some(OffsetSpec::EarliestLocal)));
        assert_eq!((spec(-5, 8), spec(-5, 9)), (None, Some(OffsetSpec::LatestTiered)));
        assert_eq!(spec(0, 1), Some(OffsetSpec::Timestamp(0)));
        assert_eq!(spec(-6, 9), None);
    }
}
