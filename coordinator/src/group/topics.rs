//! The topics of the cluster, as far as groups have to know: names, ids, partition counts.

use alloc::collections::BTreeMap;

use protocol::{PartitionIndex, Str, TopicId};

use crate::metadata::Image;

/// All topics of the cluster, as of one version of its metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterTopics {
    /// Another one for each other content. Never goes back.
    version: u64,
    by_name: BTreeMap<Str, ClusterTopic>,
    names: BTreeMap<TopicId, Str>,
}

/// One topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClusterTopic {
    pub id: TopicId,
    /// Its partitions are `0..partition_count`.
    pub partition_count: i32,
}

impl ClusterTopic {
    pub fn has(&self, partition: PartitionIndex) -> bool {
        (0..self.partition_count).contains(&partition.0)
    }
}

impl ClusterTopics {
    pub fn new(version: u64, topics: impl IntoIterator<Item = (Str, ClusterTopic)>) -> Self {
        let by_name: BTreeMap<Str, ClusterTopic> = topics.into_iter().collect();
        let names = by_name.iter().map(|(name, topic)| (topic.id, name.clone())).collect();
        Self { version, by_name, names }
    }

    /// Those of the controller's metadata.
    pub fn of(version: u64, image: &Image) -> Self {
        let topics = image.topics_by_name().map(|topic| {
            let partition_count = i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX);
            (topic.name().clone(), ClusterTopic { id: topic.id(), partition_count })
        });
        Self::new(version, topics)
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn by_name(&self, name: &str) -> Option<&ClusterTopic> {
        self.by_name.get(name)
    }

    pub fn name_of(&self, id: TopicId) -> Option<&Str> {
        self.names.get(&id)
    }

    pub fn by_id(&self, id: TopicId) -> Option<&ClusterTopic> {
        self.by_name(self.name_of(id)?)
    }

    /// In order.
    pub fn names(&self) -> impl Iterator<Item = &Str> {
        self.by_name.keys()
    }
}
