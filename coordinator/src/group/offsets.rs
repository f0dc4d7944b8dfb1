//! The committed offsets of one group, by topic and partition.

use alloc::collections::BTreeMap;

use protocol::{LeaderEpoch, Offset, PartitionIndex, Str, TopicId};

use super::memory::TOPIC_BYTES;
use crate::metadata::WallMillis;

/// Where a group goes on in one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommittedOffset {
    /// Of the next record to be read.
    pub offset: Offset,
    /// Of the last record that was read, where the consumer said so.
    pub leader_epoch: Option<LeaderEpoch>,
    /// What the consumer wants to remember with it.
    pub metadata: Str,
    pub committed_at: WallMillis,
    /// For a commit that named its retention, as very old clients do: such an offset has neither leader
    /// epoch nor topic id, because the record's version has none.
    pub expires_at: Option<WallMillis>,
    /// Of the topic that was meant, where it is known.
    pub topic_id: TopicId,
}

/// The offsets of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    /// Invariant: no topic without partitions.
    topics: BTreeMap<Str, BTreeMap<PartitionIndex, CommittedOffset>>,
    /// Of all topics.
    count: usize,
    /// What all of them take in memory.
    bytes: usize,
}

impl Offsets {
    pub fn get(&self, topic: &str, partition: PartitionIndex) -> Option<&CommittedOffset> {
        self.topics.get(topic)?.get(&partition)
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn counted_bytes(&self) -> usize {
        let topics = self.topics.keys().map(|topic| TOPIC_BYTES + topic.len());
        topics.sum::<usize>() + self.iter().map(|(.., offset)| offset.bytes()).sum::<usize>()
    }

    pub(super) fn has_topic(&self, topic: &str) -> bool {
        self.topics.contains_key(topic)
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn topics(&self) -> impl Iterator<Item = &Str> {
        self.topics.keys()
    }

    /// In the order of partitions.
    pub fn of_topic(
        &self,
        topic: &str,
    ) -> impl Iterator<Item = (PartitionIndex, &CommittedOffset)> {
        let partitions = self.topics.get(topic).into_iter().flatten();
        partitions.map(|(partition, offset)| (*partition, offset))
    }

    /// In the order of topics and partitions.
    pub fn iter(&self) -> impl Iterator<Item = (&Str, PartitionIndex, &CommittedOffset)> {
        self.topics.iter().flat_map(|(topic, partitions)| {
            partitions.iter().map(move |(partition, offset)| (topic, *partition, offset))
        })
    }

    /// The topic's name in memory that is kept anyway; for a new one in memory of its own.
    pub(super) fn name_of(&self, topic: &Str) -> Str {
        match self.topics.get_key_value(topic) {
            Some((known, _)) => known.clone(),
            None => topic.detached(),
        }
    }

    pub(super) fn set(&mut self, topic: &Str, partition: PartitionIndex, value: CommittedOffset) {
        if !self.topics.contains_key(topic) {
            self.topics.insert(topic.clone(), BTreeMap::new());
            self.bytes += TOPIC_BYTES + topic.len();
        }
        self.bytes += value.bytes();
        let of_topic = self.topics.get_mut(topic).map(|of| of.insert(partition, value));
        match of_topic.flatten() {
            Some(before) => self.bytes -= before.bytes(),
            None => self.count += 1,
        }
    }

    /// Total: what is not there is not removed.
    pub(super) fn remove(&mut self, topic: &str, partition: PartitionIndex) {
        let Some(of_topic) = self.topics.get_mut(topic) else { return };
        if let Some(before) = of_topic.remove(&partition) {
            self.count -= 1;
            self.bytes -= before.bytes();
        }
        if of_topic.is_empty() {
            self.topics.remove(topic);
            self.bytes -= TOPIC_BYTES + topic.len();
        }
    }

    /// Asserts what must hold after every record.
    pub(super) fn invariants(&self) {
        assert!(!self.is_empty(), "a group without offsets has no place for them");
        assert_eq!(self.count, self.iter().count(), "every offset is counted");
        assert!(self.topics.values().all(|of| !of.is_empty()), "no topic without partitions");
    }
}
