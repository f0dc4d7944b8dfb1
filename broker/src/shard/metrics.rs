//! Counters of one shard. Plain numbers: only the shard's core touches them; a snapshot is mailed to
//! whoever shows them.

use std::collections::BTreeMap;

use engine::PartitionId;
use engine::engine::EngineMetrics;
use engine::journal::writer::JournalMetrics;
use engine::partition::PartitionState;
use net::driver::{AcceptMetrics, DriverMetrics};
use protocol::{ApiKey, Offset, Str};
use runtime::clock::Monotonic;
use runtime::ring::RingCounters;

use super::Shard;
use super::group_coordinator::snapshot::GroupsSnapshot;
use super::mail::ShardIndex;
use super::requests::Head;
use super::stages::ProduceStages;

/// Requests of one API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ApiMetrics {
    pub requests: u64,
    pub answers: u64,
    /// From the frame's last byte to the answer, of all answers.
    pub total_ns: u64,
    /// Of that, before the handler began.
    pub queued_ns: u64,
}

#[derive(Clone, Debug, Default)]
pub struct ShardMetrics {
    pub apis: BTreeMap<ApiKey, ApiMetrics>,
    /// By Kafka's code, in answers' partitions, topics and heads.
    pub errors: BTreeMap<i16, u64>,
    /// Frames that are no request that is served here.
    pub malformed: u64,
    pub fetches_parked: u64,
    pub stages: ProduceStages,
}

impl ShardMetrics {
    pub(crate) fn count_request(&mut self, api_key: ApiKey) {
        self.apis.entry(api_key).or_default().requests += 1;
    }

    pub(crate) fn count_answer(&mut self, head: &Head, now: Monotonic) {
        let api = self.apis.entry(head.api_key).or_default();
        let nanos = |later: Monotonic, earlier: Monotonic| later.0.saturating_sub(earlier.0);
        api.answers += 1;
        api.total_ns += nanos(now, head.stages.received);
        api.queued_ns += nanos(head.stages.dispatched, head.stages.received);
        if head.api_key == ApiKey::Produce {
            self.stages.answered(&head.stages, now);
        }
    }

    pub(crate) fn count_error(&mut self, code: i16) {
        if code != 0 {
            *self.errors.entry(code).or_default() += 1;
        }
    }
}

/// All numbers of a shard at one time.
#[derive(Clone, Debug)]
pub struct ShardSnapshot {
    pub shard: ShardIndex,
    /// As it is shown: a data shard's number, or what a dedicated shard does.
    pub name: String,
    pub shard_metrics: ShardMetrics,
    pub net: net::Metrics,
    pub engine: EngineMetrics,
    pub journal: JournalMetrics,
    /// Connections that left for another shard.
    pub connections_moved: u64,
    pub requests_in_progress: usize,
    pub frames_waiting: usize,
    pub fetches_parked: usize,
    pub sessions: usize,
    pub session_partitions: usize,
    pub partitions: usize,
    /// Read-only because acknowledged records are missing or damaged.
    pub partitions_suspect: usize,
    pub tail_bytes: usize,
    pub request_bytes: usize,
    pub response_bytes: usize,
    /// Of the partitions that are owned here.
    pub logs: Vec<LogSnapshot>,
    /// Of the coordinator shard.
    pub groups: GroupsSnapshot,
    /// Filled in by the shard's shell.
    pub shell: Option<ShellSnapshot>,
}

/// How far a partition's log reaches for consumers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSnapshot {
    pub id: PartitionId,
    pub topic: Str,
    pub log_start: Offset,
    pub high_watermark: Offset,
}

/// Numbers of the loop around a shard.
#[derive(Clone, Debug)]
pub struct ShellSnapshot {
    pub ring: RingCounters,
    pub operations_in_flight: usize,
    pub sockets: DriverMetrics,
    pub accept: Option<AcceptMetrics>,
    pub disk_operations: usize,
    /// How often the caps of disk classes are halved, because the journal's writes take long.
    pub disk_caps_halved: u32,
    pub buffers_registered: bool,
}

impl Shard {
    pub(super) fn snapshot(&self) -> ShardSnapshot {
        ShardSnapshot {
            shard: self.node.me,
            name: self.node.shown(self.node.me),
            shard_metrics: self.metrics.clone(),
            net: self.front.connections.metrics().clone(),
            engine: self.owner.engine.metrics,
            journal: self.owner.engine.journal_metrics(),
            connections_moved: self.front.steering.moved(),
            requests_in_progress: self.progress.requests.len(),
            frames_waiting: self.progress.frames.len(),
            fetches_parked: self.owner.fetches.parked(),
            sessions: self.front.sessions.len(),
            session_partitions: self.front.sessions.partitions(),
            partitions: self.owner.engine.iter().count(),
            partitions_suspect: {
                let all = self.owner.engine.iter();
                all.filter(|partition| partition.state == PartitionState::Suspect).count()
            },
            tail_bytes: self.owner.engine.tail_bytes(),
            request_bytes: self.front.connections.request_bytes_held(),
            response_bytes: self.front.connections.response_bytes_pinned(),
            logs: self.log_snapshots(),
            groups: self.groups.snapshot(),
            shell: None,
        }
    }

    fn log_snapshots(&self) -> Vec<LogSnapshot> {
        let logs = self.owner.engine.iter().filter_map(|partition| {
            let offsets = self.owner.engine.offsets(partition.id).filter(|of| !of.is_offline)?;
            let topic = self.replica.topic(partition.id.topic_id)?.name().clone();
            let (log_start, high_watermark) = (offsets.log_start, offsets.high_watermark);
            Some(LogSnapshot { id: partition.id, topic, log_start, high_watermark })
        });
        logs.collect()
    }
}
