//! Sets of partitions: what members are to have, and what they have since which epoch.

use alloc::{collections::BTreeMap, vec::Vec};
use core::cmp::Ordering;

use protocol::{PartitionIndex, TopicId};

/// Partitions by topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionSet {
    /// Invariant: sorted, without duplicates, and no topic without partitions.
    topics: BTreeMap<TopicId, Vec<PartitionIndex>>,
}

impl PartitionSet {
    pub fn new(topics: impl IntoIterator<Item = (TopicId, Vec<PartitionIndex>)>) -> Self {
        let mut all = Self::default();
        for (topic, partitions) in topics {
            all.add(topic, partitions);
        }
        all
    }

    pub fn add(&mut self, topic: TopicId, mut partitions: Vec<PartitionIndex>) {
        if partitions.is_empty() {
            return;
        }
        let of_topic = self.topics.entry(topic).or_default();
        of_topic.append(&mut partitions);
        of_topic.sort_unstable();
        of_topic.dedup();
    }

    pub fn of_topic(&self, topic: TopicId) -> &[PartitionIndex] {
        self.topics.get(&topic).map_or(&[], Vec::as_slice)
    }

    pub fn contains(&self, topic: TopicId, partition: PartitionIndex) -> bool {
        self.of_topic(topic).binary_search(&partition).is_ok()
    }

    pub fn iter(&self) -> impl Iterator<Item = (TopicId, &[PartitionIndex])> {
        self.topics.iter().map(|(topic, partitions)| (*topic, partitions.as_slice()))
    }

    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Of all topics.
    pub fn len(&self) -> usize {
        self.topics.values().map(Vec::len).sum()
    }

    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }
}

/// A partition and the group's epoch in which the member got it.
pub type Owned = (PartitionIndex, i32);

/// Partitions that a member has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedPartitions {
    /// Invariant: sorted, without duplicates, and no topic without partitions.
    topics: BTreeMap<TopicId, Vec<Owned>>,
}

impl OwnedPartitions {
    pub fn new(topics: impl IntoIterator<Item = (TopicId, Vec<Owned>)>) -> Self {
        let mut all = Self::default();
        for (topic, partitions) in topics {
            all.add(topic, partitions);
        }
        all
    }

    /// All of a set, since this epoch.
    pub fn since(set: &PartitionSet, epoch: i32) -> Self {
        let owned =
            |partitions: &[PartitionIndex]| partitions.iter().map(|at| (*at, epoch)).collect();
        Self::new(set.iter().map(|(topic, partitions)| (topic, owned(partitions))))
    }

    /// Of a partition that is there already the epoch stays.
    pub fn add(&mut self, topic: TopicId, mut partitions: Vec<Owned>) {
        if partitions.is_empty() {
            return;
        }
        let of_topic = self.topics.entry(topic).or_default();
        of_topic.append(&mut partitions);
        of_topic.sort_by_key(|(partition, _)| *partition);
        of_topic.dedup_by_key(|(partition, _)| *partition);
    }

    pub fn remove_topic(&mut self, topic: TopicId) -> Vec<Owned> {
        self.topics.remove(&topic).unwrap_or_default()
    }

    pub fn of_topic(&self, topic: TopicId) -> &[Owned] {
        self.topics.get(&topic).map_or(&[], Vec::as_slice)
    }

    /// Since which epoch the member has it.
    pub fn epoch_of(&self, topic: TopicId, partition: PartitionIndex) -> Option<i32> {
        let of_topic = self.of_topic(topic);
        let at = of_topic.binary_search_by_key(&partition, |(known, _)| *known).ok()?;
        of_topic.get(at).map(|(_, epoch)| *epoch)
    }

    pub fn contains(&self, topic: TopicId, partition: PartitionIndex) -> bool {
        self.epoch_of(topic, partition).is_some()
    }

    pub fn iter(&self) -> impl Iterator<Item = (TopicId, &[Owned])> {
        self.topics.iter().map(|(topic, partitions)| (*topic, partitions.as_slice()))
    }

    pub fn topics(&self) -> impl Iterator<Item = TopicId> {
        self.topics.keys().copied()
    }

    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Of all topics.
    pub fn len(&self) -> usize {
        self.topics.values().map(Vec::len).sum()
    }

    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// Without the epochs.
    pub fn listed(&self) -> Vec<(TopicId, Vec<PartitionIndex>)> {
        let plain = |owned: &[Owned]| owned.iter().map(|(partition, _)| *partition).collect();
        self.iter().map(|(topic, owned)| (topic, plain(owned))).collect()
    }

    /// The same, with another epoch for all.
    pub fn with_epoch(&self, epoch: i32) -> Self {
        let reset =
            |owned: &[Owned]| owned.iter().map(|(partition, _)| (*partition, epoch)).collect();
        Self::new(self.iter().map(|(topic, owned)| (topic, reset(owned))))
    }
}

/// What becomes of one topic's partitions on the way to a target.
#[derive(Debug, Default)]
pub struct Split {
    pub kept: Vec<Owned>,
    pub lost: Vec<Owned>,
    pub gained: Vec<PartitionIndex>,
}

/// In one pass over both: a member may have tens of thousands.
pub fn split(owned: &[Owned], target: &[PartitionIndex]) -> Split {
    let mut split = Split::default();
    let (mut owned, mut target) = (owned.iter().peekable(), target.iter().peekable());
    loop {
        let order = match (owned.peek(), target.peek()) {
            (None, None) => return split,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((has, _)), Some(wanted)) => has.cmp(*wanted),
        };
        match order {
            Ordering::Less => split.lost.extend(owned.next()),
            Ordering::Greater => split.gained.extend(target.next()),
            Ordering::Equal => {
                split.kept.extend(owned.next());
                target.next();
            }
        }
    }
}
