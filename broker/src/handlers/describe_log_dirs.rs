//! DescribeLogDirs: every shard names its partitions and their sizes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use engine::disk::DirId;
use protocol::messages::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic,
};
use protocol::{ErrorCode, Str};

use super::Work;
use super::authorise::{Operation, Resource};
use crate::limits::QUERY_TIMEOUT_MS;
use crate::shard::Shard;
use crate::shard::mail::{Mail, PartitionSize, Query, ReplyTo, ShardIndex};
use crate::shard::requests::{Head, Request, RequestId};

#[derive(Debug)]
pub(crate) struct DescribeLogDirs {
    /// Partitions asked for by topic; `None`: all.
    wanted: Option<BTreeMap<Str, BTreeSet<i32>>>,
    sizes: Vec<PartitionSize>,
    outstanding: usize,
}

impl Shard {
    pub(crate) fn describe_log_dirs(&mut self, head: Head, body: DescribeLogDirsRequest) {
        if !self.is_allowed(&head, Operation::Describe, Resource::Cluster) {
            let error_code = ErrorCode::ClusterAuthorizationFailed.code();
            let response = DescribeLogDirsResponse { error_code, ..Default::default() };
            return self.respond(&head, response);
        }
        let wanted = body.topics.map(|topics| {
            let topics = topics.into_iter();
            let partitions = |of: Vec<i32>| of.into_iter().collect();
            topics.map(|topic| (topic.topic, partitions(topic.partitions))).collect()
        });
        let owners: Vec<ShardIndex> = self.node.owners().collect();
        let describe = DescribeLogDirs { wanted, sizes: Vec::new(), outstanding: owners.len() };
        let deadline = Some(self.now.monotonic + Duration::from_millis(QUERY_TIMEOUT_MS));
        let work = Work::DescribeLogDirs(describe);
        let request = self.begin_request(Request { head, deadline, work });
        for owner in owners {
            let reply = ReplyTo { shard: self.node.me, request, part: 0 };
            self.outbox.post(owner, Mail::Query { reply, query: Query::LogDirectories });
        }
    }

    pub(crate) fn on_log_directories(&mut self, id: RequestId, sizes: &[PartitionSize]) {
        let Some(request) = self.progress.requests.get_mut(id) else { return };
        let Work::DescribeLogDirs(describe) = &mut request.work else { unreachable!("sizes") };
        describe.sizes.extend_from_slice(sizes);
        describe.outstanding -= 1;
        if describe.outstanding == 0 {
            self.finish_describe_log_dirs(id);
        }
    }

    pub(crate) fn finish_describe_log_dirs(&mut self, id: RequestId) {
        let Some(Request { head, work: Work::DescribeLogDirs(describe), .. }) =
            self.end_request(id)
        else {
            unreachable!("only a DescribeLogDirs ends here");
        };
        let is_complete = describe.outstanding == 0;
        let code = if is_complete { ErrorCode::None } else { ErrorCode::RequestTimedOut };
        let directories = self.node.directories.iter().zip(0_u16..);
        let results = directories.map(|(directory, dir)| {
            let space = self.node.space.get(usize::from(dir));
            let log_dir = Str::from(directory.path.as_str());
            if self.node.has_failed(DirId(dir)) {
                // As in Kafka: what was in it is not told.
                return DescribeLogDirsResult {
                    error_code: ErrorCode::KafkaStorageError.code(),
                    log_dir,
                    total_bytes: -1,
                    usable_bytes: -1,
                    ..DescribeLogDirsResult::default()
                };
            }
            let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
            DescribeLogDirsResult {
                error_code: code.code(),
                log_dir,
                topics: self.topics_in(dir, &describe),
                total_bytes: space.map_or(-1, |space| bytes(space.total_bytes)),
                usable_bytes: space.map_or(-1, |space| bytes(space.usable_bytes)),
            }
        });
        let response = DescribeLogDirsResponse {
            error_code: code.code(),
            results: results.collect(),
            ..DescribeLogDirsResponse::default()
        };
        self.respond(&head, response);
    }

    fn topics_in(&self, dir: u16, describe: &DescribeLogDirs) -> Vec<DescribeLogDirsTopic> {
        let mut topics: BTreeMap<Str, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
        for size in describe.sizes.iter().filter(|size| size.dir == dir) {
            let Some(topic) = self.replica.topic(size.partition.topic_id) else { continue };
            let index = size.partition.partition.0;
            let is_wanted = match &describe.wanted {
                None => true,
                Some(wanted) => {
                    let partitions = wanted.get(&**topic.name());
                    partitions.is_some_and(|partitions| partitions.contains(&index))
                }
            };
            if is_wanted {
                let partition = DescribeLogDirsPartition {
                    partition_index: index,
                    partition_size: i64::try_from(size.bytes).unwrap_or(i64::MAX),
                    offset_lag: 0,
                    is_future_key: false,
                };
                topics.entry(topic.name().clone()).or_default().push(partition);
            }
        }
        let topics = topics.into_iter();
        topics.map(|(name, partitions)| DescribeLogDirsTopic { name, partitions }).collect()
    }
}
