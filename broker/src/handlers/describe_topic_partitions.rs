//! DescribeTopicPartitions: topics in pages; the cursor says where the next page begins.

use coordinator::metadata::is_internal;
use std::collections::BTreeSet;

use protocol::messages::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use protocol::{ErrorCode, Str};

use super::authorise::{Operation, Resource, TOPIC_OPERATIONS};
use super::topic_view::no_topic;
use crate::limits::DESCRIBED_PARTITIONS_MAX;
use crate::shard::Shard;
use crate::shard::requests::Head;

impl Shard {
    pub(crate) fn describe_topic_partitions(
        &mut self,
        head: &Head,
        body: DescribeTopicPartitionsRequest,
    ) {
        let limit = body.response_partition_limit.clamp(1, DESCRIBED_PARTITIONS_MAX);
        let mut left = usize::try_from(limit).expect("at least 1");
        let is_all = body.topics.is_empty();
        let names: BTreeSet<Str> = if is_all {
            let all = self.replica.metadata().image().topics_by_name();
            all.map(|topic| topic.name().clone()).collect()
        } else {
            body.topics.into_iter().map(|topic| topic.name).collect()
        };
        let cursor = body.cursor;
        let from = cursor.as_ref().map_or("", |cursor| &*cursor.topic_name);
        let mut response = DescribeTopicPartitionsResponse::default();
        for name in names.into_iter().filter(|name| &**name >= from) {
            if left == 0 {
                response.next_cursor = Some(Cursor { topic_name: name, partition_index: 0 });
                break;
            }
            let first = match &cursor {
                Some(cursor) if cursor.topic_name == name => cursor.partition_index.max(0),
                _ => 0,
            };
            let first = usize::try_from(first).expect("not negative");
            let Some((topic, next)) = self.page_of(head, &name, first, left, is_all) else {
                continue;
            };
            left -= topic.partitions.len();
            self.metrics.count_error(topic.error_code);
            response.topics.push(topic);
            if let Some(next) = next {
                let partition_index = i32::try_from(next).expect("partitions are counted by i32");
                response.next_cursor = Some(Cursor { topic_name: name, partition_index });
                break;
            }
        }
        self.respond(head, response);
    }

    /// Partitions of a topic from `first` on, at most `left`, and where the next page begins.
    fn page_of(
        &self,
        head: &Head,
        name: &Str,
        first: usize,
        left: usize,
        is_all: bool,
    ) -> Option<(DescribeTopicPartitionsResponseTopic, Option<usize>)> {
        let failed = |code: ErrorCode| DescribeTopicPartitionsResponseTopic {
            error_code: code.code(),
            name: Some(name.clone()),
            topic_authorized_operations: i32::MIN,
            ..Default::default()
        };
        if !self.is_allowed(head, Operation::Describe, Resource::Topic(name)) {
            return (!is_all).then(|| (failed(ErrorCode::TopicAuthorizationFailed), None));
        }
        let Some(topic) = self.replica.topic_by_name(name) else {
            return Some((failed(no_topic(name)), None));
        };
        let count = topic.partitions().len();
        let end = count.min(first.saturating_add(left));
        let views = (first..end).map(|index| self.partition_view(topic, index));
        let partitions = views.map(|view| DescribeTopicPartitionsResponsePartition {
            error_code: view.code.code(),
            partition_index: view.index,
            leader_id: view.leader,
            leader_epoch: view.leader_epoch,
            replica_nodes: view.replicas,
            isr_nodes: view.in_sync,
            eligible_leader_replicas: Some(Vec::new()),
            last_known_elr: Some(Vec::new()),
            offline_replicas: view.offline,
        });
        let topic = DescribeTopicPartitionsResponseTopic {
            error_code: ErrorCode::None.code(),
            name: Some(name.clone()),
            topic_id: topic.id(),
            is_internal: is_internal(name),
            partitions: partitions.collect(),
            topic_authorized_operations: TOPIC_OPERATIONS,
        };
        Some((topic, (end < count).then_some(end)))
    }
}
