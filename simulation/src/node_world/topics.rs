//! What clients and operators know of topics: which there must be, which there may be, and whose records
//! they wait for.

use std::collections::VecDeque;

use broker::protocol::TopicId;
use broker::protocol::messages::metadata::MetadataResponse;
use bytes::Bytes;

use super::{LogKey, NodeWorld, TopicKey};
use crate::batches::BatchNumber;
use crate::log::{Log, LogState};
use crate::violation::{Checked, Checker};
use broker::engine::PartitionId;
use broker::engine::config::{CompactionConfig, LogConfig};
use broker::engine::disk::DirId;
use broker::protocol::{LeaderEpoch, PartitionIndex};

/// `delete.retention.ms` of compacted topics, and how large their segments and batches are.
pub(super) const DELETE_RETENTION_MS: i64 = 2_000;
pub(super) const COMPACTED_SEGMENT_BYTES: usize = 16 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TopicState {
    /// Asked for, not answered.
    Creating,
    Live,
    /// Its removal was asked for, and not answered.
    Deleting,
    Deleted,
}

#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: String,
    pub(super) state: TopicState,
    id: Option<TopicId>,
    pub(super) partitions: Vec<LogKey>,
    /// Partitions that were asked for, not answered.
    pub(super) growing_to: Option<usize>,
}

/// One partition: what is known of its log, and of who writes to it.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) topic: TopicKey,
    pub(super) index: i32,
    pub(super) log: Log,
    pub(super) producer: Option<Producer>,
    /// It may answer that somebody else has it, if asked before this time.
    pub(super) moved_at: u64,
    pub(super) is_moving: bool,
    /// Log starts were asked for up to here.
    pub(super) deleted_below: i64,
}

/// An idempotent producer, the only writer of its partition.
#[derive(Debug, Default)]
pub(super) struct Producer {
    pub(super) id: Option<i64>,
    pub(super) is_asking: bool,
    pub(super) next_sequence: i32,
    /// In order of their sequences.
    pub(super) unacknowledged: VecDeque<Pending>,
    /// Something failed: everything is sent again once nothing is in flight.
    pub(super) resends: bool,
    /// Its first batch was acknowledged.
    pub(super) is_known: bool,
    /// A batch was refused since it has this id.
    pub(super) was_refused: bool,
    /// It takes another id once nothing is in flight.
    pub(super) starts_over: bool,
}

impl Topic {
    pub(super) fn created(&mut self, id: TopicId) {
        self.state = TopicState::Live;
        self.id = Some(id);
    }

    /// As the node calls it, once it said so.
    pub(super) fn id(&self) -> Option<TopicId> {
        self.id
    }
}

impl Producer {
    /// Its first batch was refused by a leader that went, and a later one, which was in flight behind it,
    /// taken by the next leader, acknowledged or not: as in Kafka, of a producer that is not known any
    /// sequence is taken. The first one can follow no more: clients ask for another id.
    pub(super) fn may_be_overtaken(&self) -> bool {
        !self.is_known && self.was_refused
    }
}

#[derive(Debug)]
pub(super) struct Pending {
    pub(super) number: BatchNumber,
    pub(super) bytes: Bytes,
    pub(super) in_flight: bool,
    pub(super) acknowledged: bool,
    /// Everything before it was acknowledged when it was sent.
    pub(super) is_first: bool,
}

impl NodeWorld {
    pub(super) fn live_partitions(&self) -> Vec<LogKey> {
        let live = self.topics.iter().filter(|topic| topic.state == TopicState::Live);
        live.flat_map(|topic| topic.partitions.iter().copied()).collect()
    }

    pub(super) fn any_live(&mut self) -> Option<LogKey> {
        let live = self.live_partitions();
        let count = live.len() as u64;
        (count > 0).then(|| live[self.random.below(count) as usize])
    }

    /// Whether the topic is there, for all that its clients know.
    pub(super) fn is_live(&self, key: LogKey) -> bool {
        self.topics[self.partitions[key.0].topic.0].state == TopicState::Live
    }

    pub(super) fn new_topic(&mut self, name: String, partitions: usize) -> TopicKey {
        let key = TopicKey(self.topics.len());
        let topic = Topic {
            name,
            state: TopicState::Creating,
            id: None,
            partitions: Vec::new(),
            growing_to: None,
        };
        self.topics.push(topic);
        self.grow_topic(key, partitions);
        key
    }

    /// Topics of every second name are compacted, in worlds that have such.
    pub(super) fn is_compacted(&self, topic: &str) -> bool {
        let is_even = topic.bytes().last().is_some_and(|digit| digit.is_multiple_of(2));
        self.traits.compacts && is_even
    }

    /// What the checkers need to know of it.
    fn log_config(&self, topic: &str) -> LogConfig {
        LogConfig {
            cleanup_compact: self.is_compacted(topic),
            compaction: CompactionConfig {
                delete_retention_ms: DELETE_RETENTION_MS,
                ..CompactionConfig::default()
            },
            ..LogConfig::default()
        }
    }

    pub(super) fn grow_topic(&mut self, key: TopicKey, to: usize) {
        while self.topics[key.0].partitions.len() < to {
            let index = self.topics[key.0].partitions.len() as i32;
            // The log is known by its name; ids are the broker's.
            let mut topic_id = [0; 16];
            topic_id[..8].copy_from_slice(&(self.partitions.len() as u64 + 1).to_be_bytes());
            let id = PartitionId { topic_id: TopicId(topic_id), partition: PartitionIndex(index) };
            let name = format!("{}-{index}", self.topics[key.0].name);
            let config = self.log_config(&self.topics[key.0].name);
            let mut log = Log::new(id, name, DirId(0), config);
            log.state = LogState::Live { shard: 0 };
            log.epoch_asked = LeaderEpoch(i32::MAX);
            let producer = self.random.coin().then(Producer::default);
            let place = LogKey(self.partitions.len());
            self.partitions.push(Partition {
                topic: key,
                index,
                log,
                producer,
                moved_at: 0,
                is_moving: false,
                deleted_below: 0,
            });
            self.topics[key.0].partitions.push(place);
        }
    }

    /// What the node says after a start, against what must be so; true if everything is usable.
    pub(super) fn on_all_topics(&mut self, response: &MetadataResponse) -> Checked<bool> {
        let mut is_usable = true;
        for found in &response.topics {
            let name = found.name.as_deref().unwrap_or_default();
            if found.is_internal {
                continue;
            }
            let known = self
                .topics
                .iter()
                .any(|topic| topic.name == name && topic.state != TopicState::Deleted);
            Checker::PartitionsAreThose
                .check(known, || format!("there is a topic {name:?}, which nobody created"))?;
            is_usable &= found.error_code == 0
                && found.partitions.iter().all(|partition| partition.error_code == 0);
        }
        if !is_usable {
            return Ok(false);
        }
        for at in (0..self.topics.len()).map(TopicKey) {
            self.judge_topic(at, response)?;
        }
        Ok(true)
    }

    fn judge_topic(&mut self, at: TopicKey, response: &MetadataResponse) -> Checked {
        let topic = &self.topics[at.0];
        if topic.state == TopicState::Deleted {
            return Ok(());
        }
        let name = topic.name.clone();
        let found = response.topics.iter().find(|found| found.name.as_deref() == Some(&*name));
        let Some(found) = found else {
            Checker::PartitionsAreThose
                .check(topic.state != TopicState::Live, || format!("topic {name} is gone"))?;
            self.topics[at.0].state = TopicState::Deleted;
            return Ok(());
        };
        let (count, known) = (found.partitions.len(), topic.partitions.len());
        let same_id = topic.id.is_none_or(|id| id == found.topic_id);
        Checker::PartitionsAreThose.check(same_id, || format!("topic {name} has another id"))?;
        let is_right = count == known || topic.growing_to == Some(count);
        Checker::PartitionsAreThose.check(is_right, || {
            format!("topic {name} has {count} partitions where {known} were created")
        })?;
        let id = found.topic_id;
        let topic = &mut self.topics[at.0];
        topic.id = Some(id);
        topic.state = TopicState::Live;
        topic.growing_to = None;
        self.grow_topic(at, count);
        Ok(())
    }
}
