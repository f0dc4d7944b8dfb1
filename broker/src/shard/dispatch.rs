//! Frames to handlers, answers back to the requests that wait for them.

use std::time::Duration;

use net::{CloseReason, ClosedConnection, ConnectionId, Frame};
use protocol::{ApiKey, Reader, Request as RequestBody, RequestHeader, Str};
use runtime::clock::Monotonic;

use super::Shard;
use super::mail::{Answer, Mail, ShardIndex};
use super::requests::{Head, RequestId, Stages};
use crate::handlers::{Work, api_versions};
use crate::limits::OVERSIZE_TOLD_EVERY_MS;

/// What Kafka's own tools call themselves.
const ADMIN_CLIENT_ID: &str = "__admin_client";

impl Shard {
    /// Takes frames as long as there is a place for their requests and their mail.
    pub(super) fn dispatch_frames(&mut self) {
        self.ask_held_fetches();
        self.dispatch_in_turn();
        while self.has_room_for_requests() {
            let Some(frame) = self.progress.frames.pop_front() else { return };
            if let Some((received, frame)) = self.wait_for_turn(frame) {
                self.dispatch(received, &frame);
            }
        }
    }

    pub(super) fn has_room_for_requests(&self) -> bool {
        self.progress.requests.has_room() && self.outbox.has_room()
    }

    pub(super) fn dispatch(&mut self, received: Monotonic, frame: &Frame) {
        let mut reader = Reader::new(&frame.bytes);
        let Ok(header) = RequestHeader::decode(&mut reader) else {
            // Nobody could parse an answer to an API or version that is not known: as in Kafka.
            self.metrics.malformed += 1;
            return self.close_after(frame.connection, frame.sequence);
        };
        let mut head = Head {
            connection: frame.connection,
            sequence: frame.sequence,
            api_key: header.api_key,
            version: header.api_version,
            correlation_id: header.correlation_id,
            is_admin_client: header.client_id.as_deref() == Some(ADMIN_CLIENT_ID),
            stages: Stages { received, dispatched: self.now.monotonic },
        };
        self.metrics.count_request(header.api_key);
        if !header.is_served() {
            assert!(header.api_key == ApiKey::ApiVersions, "others are refused with their header");
            head.version = 0;
            return self.respond(&head, api_versions::unsupported());
        }
        match RequestBody::decode(header.api_key, header.api_version, &reader.rest()) {
            Ok(body) => self.handle(head, header.client_id, body),
            Err(_) => {
                self.metrics.malformed += 1;
                self.close_after(frame.connection, frame.sequence);
            }
        }
    }

    fn handle(&mut self, head: Head, client_id: Option<Str>, body: RequestBody) {
        match body {
            RequestBody::Produce(body) => self.produce(head, body),
            RequestBody::Fetch(body) => self.begin_fetch(head, &body),
            RequestBody::ListOffsets(body) => self.list_offsets(head, body),
            RequestBody::Metadata(body) => self.describe_metadata(head, body),
            RequestBody::FindCoordinator(body) => self.find_coordinator(head, body),
            RequestBody::ApiVersions(body) => self.api_versions(&head, &body),
            RequestBody::CreateTopics(body) => self.create_topics(head, body),
            RequestBody::DeleteTopics(body) => self.delete_topics(head, body),
            RequestBody::DeleteRecords(body) => self.delete_records_of(head, body),
            RequestBody::InitProducerId(body) => self.init_producer_id(head, &body),
            RequestBody::OffsetForLeaderEpoch(body) => self.offset_for_leader_epoch(head, body),
            RequestBody::DescribeConfigs(body) => self.describe_configs(&head, body),
            RequestBody::AlterConfigs(body) => self.alter_configs(head, body),
            RequestBody::DescribeLogDirs(body) => self.describe_log_dirs(head, body),
            RequestBody::CreatePartitions(body) => self.create_partitions(head, body),
            RequestBody::IncrementalAlterConfigs(body) => {
                self.incremental_alter_configs(head, body);
            }
            RequestBody::DescribeCluster(body) => self.describe_cluster(&head, &body),
            RequestBody::DescribeTopicPartitions(body) => {
                self.describe_topic_partitions(&head, body);
            }
            RequestBody::ListConfigResources(body) => self.list_config_resources(&head, &body),
            RequestBody::OffsetCommit(body) => self.offset_commit(head, body),
            RequestBody::OffsetFetch(body) => self.offset_fetch(head, body),
            RequestBody::JoinGroup(body) => self.join_group(head, client_id, body),
            RequestBody::Heartbeat(body) => self.heartbeat(head, body),
            RequestBody::LeaveGroup(body) => self.leave_group(head, body),
            RequestBody::SyncGroup(body) => self.sync_group(head, body),
            RequestBody::DescribeGroups(body) => self.describe_groups(head, body),
            RequestBody::ListGroups(body) => self.list_groups(head, body),
            RequestBody::DeleteGroups(body) => self.delete_groups(head, body),
            RequestBody::OffsetDelete(body) => self.offset_delete(head, body),
            RequestBody::ConsumerGroupHeartbeat(body) => {
                self.consumer_group_heartbeat(head, client_id, body);
            }
            RequestBody::ConsumerGroupDescribe(body) => self.consumer_group_describe(head, body),
        }
    }

    /// Answers that go to requests of this shard's connections. A request that was answered meanwhile
    /// (its time was up, its connection closed) is gone, and the answer with it.
    pub(super) fn on_answer_mail(&mut self, from: ShardIndex, mail: Mail) {
        match mail {
            Mail::Appended { request, part, result, posted } => {
                if from != self.node.me {
                    self.metrics.stages.hop_back.record(posted, self.now.monotonic);
                }
                self.on_produced(request, part, &result);
            }
            Mail::Fetched { request, from, parts, memory } => {
                self.front.connections.know_log_memory(memory);
                self.on_fetched(request, from, parts);
            }
            Mail::FetchParked { request, from, bytes } => {
                self.on_fetch_parked(request, from, bytes);
            }
            Mail::GroupParked { request } => self.on_group_parked(request),
            Mail::Answer { request, part, answer } => self.on_answer(request, part, answer),
            Mail::CommandDone { request, reply } => self.on_command_done(request, *reply),
            Mail::ProducerIds(block) => self.on_producer_ids(block),
            other => unreachable!("no answer: {other:?}"),
        }
    }

    fn on_answer(&mut self, request: RequestId, part: u32, answer: Answer) {
        match answer {
            Answer::Offset(result) => self.on_offset(request, part, result),
            Answer::EpochEnd(result) => self.on_epoch_end(request, part, result),
            Answer::DeletedRecords(result) => self.on_deleted_records(request, part, &result),
            Answer::LogDirectories(sizes) => self.on_log_directories(request, &sizes),
            Answer::Group(reply) => self.on_group_answer(request, part, *reply),
        }
    }

    /// A request's time is up: it is answered with what is there.
    pub(super) fn on_request_deadline(&mut self, id: RequestId) {
        let Some(request) = self.progress.requests.get_mut(id) else { return };
        request.deadline = None;
        match &request.work {
            Work::Fetch(_) => self.on_fetch_deadline(id),
            Work::Metadata(_) => self.finish_metadata(id, None),
            Work::Produce(_) => self.finish_produce(id),
            Work::ListOffsets(_) => self.finish_list_offsets(id),
            Work::OffsetForLeaderEpoch(_) => self.finish_offset_for_leader_epoch(id),
            Work::DeleteRecords(_) => self.finish_delete_records(id),
            Work::DescribeLogDirs(_) => self.finish_describe_log_dirs(id),
            Work::InitProducerId => self.on_producer_id_timeout(id),
            Work::FindCoordinator(_) => self.finish_find_coordinator(id),
            Work::Group(_) => self.end_group_request(id),
            Work::CreateTopics(_)
            | Work::CreatePartitions(_)
            | Work::DeleteTopics(_)
            | Work::AlterConfigs(_)
            | Work::IncrementalAlterConfigs(_) => self.on_command_timeout(id),
        }
    }

    pub(super) fn on_connection_closed(&mut self, closed: &ClosedConnection) {
        let connection = closed.connection;
        self.front.sessions.on_closed(connection);
        self.front.steering.forget(connection);
        if let CloseReason::SizeBeyondMemory { size } = closed.reason {
            self.tell_of_oversize(size);
        }
        let of_it: Vec<RequestId> = self.fetches_of(connection).collect();
        for id in of_it {
            self.abandon_fetch(id);
        }
    }

    /// The client hears nothing but the end of its connection, and comes again.
    #[cold]
    fn tell_of_oversize(&mut self, size: i32) {
        let now = self.now.monotonic;
        let pause = Duration::from_millis(OVERSIZE_TOLD_EVERY_MS);
        if self.front.oversize_told.is_some_and(|told| now < told + pause) {
            return;
        }
        self.front.oversize_told = Some(now);
        let max = self.front.connections.limits().request_huge_bytes_max;
        let what = format!(
            "a client announced a request of {size} bytes and was disconnected: this node's memory takes {max}; \
             give it more --memory or fewer --shards, or its clients a smaller max.request.size"
        );
        self.outbox.post(self.node.main(), Mail::Trouble { what });
    }

    /// Fetches in progress of a connection.
    pub(super) fn fetches_of(&self, connection: ConnectionId) -> impl Iterator<Item = RequestId> {
        let all = (connection, RequestId::FIRST)..=(connection, RequestId::LAST);
        self.progress.fetches.range(all).map(|fetch| fetch.1)
    }
}
