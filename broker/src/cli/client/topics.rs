//! What metadata says of topics.

use protocol::messages::metadata::MetadataResponseTopic;
use protocol::{ErrorCode, TopicId};

use super::{Client, Refusal};
use crate::cli::failure::Failure;

/// How long to wait before a question that may be answered better is asked again.
const AGAIN: std::time::Duration = std::time::Duration::from_millis(100);

#[derive(Clone, Debug)]
pub(crate) struct PartitionInfo {
    pub(crate) index: i32,
    /// −1: none.
    pub(crate) leader: i32,
    pub(crate) leader_epoch: i32,
    pub(crate) replicas: Vec<i32>,
    pub(crate) isr: Vec<i32>,
}

#[derive(Clone, Debug)]
pub(crate) struct TopicInfo {
    pub(crate) name: String,
    pub(crate) id: TopicId,
    pub(crate) is_internal: bool,
    /// By index.
    pub(crate) partitions: Vec<PartitionInfo>,
}

impl TopicInfo {
    fn of(topic: &MetadataResponseTopic) -> Self {
        let mut partitions: Vec<PartitionInfo> = topic
            .partitions
            .iter()
            .map(|partition| PartitionInfo {
                index: partition.partition_index,
                leader: partition.leader_id,
                leader_epoch: partition.leader_epoch,
                replicas: partition.replica_nodes.clone(),
                isr: partition.isr_nodes.clone(),
            })
            .collect();
        partitions.sort_by_key(|partition| partition.index);
        Self {
            name: topic.name.as_deref().unwrap_or_default().to_owned(),
            id: topic.topic_id,
            is_internal: topic.is_internal,
            partitions,
        }
    }

    pub(crate) fn leader_of(&self, partition: i32) -> Option<i32> {
        let found = self.partitions.iter().find(|found| found.index == partition)?;
        (found.leader >= 0).then_some(found.leader)
    }

    /// Fails unless the topic has these partitions; none are all.
    pub(crate) fn select(&self, wanted: &[i32]) -> Result<Vec<PartitionInfo>, Failure> {
        if wanted.is_empty() {
            return Ok(self.partitions.clone());
        }
        let mut chosen = Vec::new();
        for index in wanted {
            let found = self.partitions.iter().find(|partition| partition.index == *index);
            chosen.push(found.cloned().ok_or_else(|| {
                Failure::failed(format!(
                    "topic {} has no partition {index}: its partitions are 0 to {}",
                    self.name,
                    self.partitions.len().saturating_sub(1)
                ))
            })?);
        }
        chosen.sort_by_key(|partition| partition.index);
        chosen.dedup_by_key(|partition| partition.index);
        Ok(chosen)
    }
}

impl Client {
    /// One topic, with a leader for each partition.
    pub(crate) fn topic(&mut self, name: &str) -> Result<TopicInfo, Failure> {
        let deadline = self.deadline();
        loop {
            let metadata = self.metadata(Some(&[name]))?;
            let Some(topic) = metadata.topics.first() else {
                return Err(Failure::failed(format!(
                    "the broker does not answer for topic {name}"
                )));
            };
            let refusal = Refusal::of(topic.error_code);
            // A topic that does not exist will not exist in a moment either.
            let is_unknown =
                refusal.is_some_and(|refusal| refusal.is(ErrorCode::UnknownTopicOrPartition));
            let without_leader =
                topic.partitions.iter().find_map(|partition| Refusal::of(partition.error_code));
            let in_the_way = refusal.or(without_leader);
            match in_the_way {
                None => return Ok(TopicInfo::of(topic)),
                Some(refusal)
                    if refusal.is_retriable()
                        && !is_unknown
                        && std::time::Instant::now() < deadline =>
                {
                    std::thread::sleep(AGAIN);
                }
                Some(refusal) => return Err(refusal.failure(&format!("topic {name}"), None)),
            }
        }
    }

    /// All topics, by name.
    pub(crate) fn topics(&mut self) -> Result<Vec<TopicInfo>, Failure> {
        let metadata = self.metadata(None)?;
        let mut topics: Vec<TopicInfo> = metadata.topics.iter().map(TopicInfo::of).collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }
}
