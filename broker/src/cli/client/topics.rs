//! What metadata says of topics.

use std::collections::BTreeSet;
use std::time::Instant;

use protocol::messages::metadata::{MetadataResponsePartition, MetadataResponseTopic};
use protocol::{ErrorCode, TopicId};

use super::{Client, Refusal};
use crate::cli::failure::Failure;

/// How long to wait before a question that may be answered better is asked again.
const AGAIN: std::time::Duration = std::time::Duration::from_millis(100);

/// Why no replica of a partition can lead it. Waiting does not help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offline {
    /// Its brokers are down.
    Brokers,
    /// A broker is up, and does not have the log.
    LogDirectory,
}

#[derive(Clone, Debug)]
pub(crate) struct PartitionInfo {
    pub(crate) index: i32,
    /// −1: none.
    pub(crate) leader: i32,
    pub(crate) leader_epoch: i32,
    pub(crate) replicas: Vec<i32>,
    pub(crate) isr: Vec<i32>,
    /// `None` also where a leader will be there in a moment.
    pub(crate) offline: Option<Offline>,
}

impl PartitionInfo {
    fn of(partition: &MetadataResponsePartition, brokers: &BTreeSet<i32>) -> Self {
        let replicas = &partition.replica_nodes;
        let offline = &partition.offline_replicas;
        let is_offline = partition.leader_id < 0
            && !replicas.is_empty()
            && replicas.iter().all(|replica| offline.contains(replica));
        let is_known = replicas.iter().any(|replica| brokers.contains(replica));
        Self {
            index: partition.partition_index,
            leader: partition.leader_id,
            leader_epoch: partition.leader_epoch,
            replicas: replicas.clone(),
            isr: partition.isr_nodes.clone(),
            offline: match (is_offline, is_known) {
                (false, _) => None,
                (true, true) => Some(Offline::LogDirectory),
                (true, false) => Some(Offline::Brokers),
            },
        }
    }
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
    fn of(topic: &MetadataResponseTopic, brokers: &BTreeSet<i32>) -> Self {
        let partitions = topic.partitions.iter();
        let mut partitions: Vec<PartitionInfo> =
            partitions.map(|partition| PartitionInfo::of(partition, brokers)).collect();
        partitions.sort_by_key(|partition| partition.index);
        Self {
            name: topic.name.as_deref().unwrap_or_default().to_owned(),
            id: topic.topic_id,
            is_internal: topic.is_internal,
            partitions,
        }
    }

    pub(crate) fn leader_of(&self, partition: i32) -> Option<i32> {
        let found = self.partition(partition)?;
        (found.leader >= 0).then_some(found.leader)
    }

    pub(crate) fn is_offline(&self, partition: i32) -> bool {
        self.partition(partition).is_some_and(|found| found.offline.is_some())
    }

    /// Why nobody can be asked about a partition.
    pub(crate) fn without_leader(&self, partition: i32) -> Failure {
        let found = self.partition(partition);
        let what = format!("partition {partition} of {}", self.name);
        let replicas = found.map_or(&[][..], |found| &found.replicas);
        let replicas: Vec<String> = replicas.iter().map(i32::to_string).collect();
        let replicas = replicas.join(", ");
        Failure::failed(match found.and_then(|found| found.offline) {
            Some(Offline::LogDirectory) => format!(
                "{what} is offline: its log directory on broker {replicas} failed or is missing; `corelane doctor` on that machine says which"
            ),
            Some(Offline::Brokers) => {
                format!("{what} is offline: broker {replicas} is down; start it")
            }
            None => format!("{what} has no leader now; try again in a moment"),
        })
    }

    /// A partition among `wanted` (none are all) of which nobody can be asked yet.
    fn awaited(&self, wanted: &[i32]) -> Option<i32> {
        let is_wanted = |index: i32| wanted.is_empty() || wanted.contains(&index);
        let mut partitions = self.partitions.iter();
        let found = partitions.find(|partition| {
            is_wanted(partition.index) && partition.leader < 0 && partition.offline.is_none()
        })?;
        Some(found.index)
    }

    fn partition(&self, index: i32) -> Option<&PartitionInfo> {
        self.partitions.iter().find(|partition| partition.index == index)
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
    /// One topic; the partitions that are `wanted` (none are all) have a leader, or are offline.
    pub(crate) fn topic(&mut self, name: &str, wanted: &[i32]) -> Result<TopicInfo, Failure> {
        let deadline = self.deadline();
        loop {
            let failure = match self.look_at_topic(name)? {
                Ok(topic) => match topic.awaited(wanted) {
                    None => return Ok(topic),
                    Some(partition) => topic.without_leader(partition),
                },
                Err(refusal) => {
                    let failure = refusal.failure(&format!("topic {name}"), None);
                    // A topic that does not exist will not exist in a moment either.
                    if refusal.is(ErrorCode::UnknownTopicOrPartition) || !refusal.is_retriable() {
                        return Err(failure);
                    }
                    failure
                }
            };
            if Instant::now() >= deadline {
                return Err(failure);
            }
            std::thread::sleep(AGAIN);
        }
    }

    /// One topic as it is now, whoever leads its partitions.
    pub(crate) fn topic_now(&mut self, name: &str) -> Result<TopicInfo, Failure> {
        let topic = self.look_at_topic(name)?;
        topic.map_err(|refusal| refusal.failure(&format!("topic {name}"), None))
    }

    /// All topics, by name.
    pub(crate) fn topics(&mut self) -> Result<Vec<TopicInfo>, Failure> {
        let metadata = self.metadata(None)?;
        let brokers = metadata.brokers.iter().map(|broker| broker.node_id).collect();
        let topics = metadata.topics.iter().map(|topic| TopicInfo::of(topic, &brokers));
        let mut topics: Vec<TopicInfo> = topics.collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    fn look_at_topic(&mut self, name: &str) -> Result<Result<TopicInfo, Refusal>, Failure> {
        let metadata = self.metadata(Some(&[name]))?;
        let Some(topic) = metadata.topics.first() else {
            return Err(Failure::failed(format!("the broker does not answer for topic {name}")));
        };
        let brokers = metadata.brokers.iter().map(|broker| broker.node_id).collect();
        Ok(match Refusal::of(topic.error_code) {
            Some(refusal) => Err(refusal),
            None => Ok(TopicInfo::of(topic, &brokers)),
        })
    }
}

#[cfg(test)]
mod tests {
    use protocol::messages::metadata::{MetadataResponsePartition, MetadataResponseTopic};

    use super::{Offline, TopicInfo};

    fn partition(index: i32, leader: i32, offline: &[i32]) -> MetadataResponsePartition {
        MetadataResponsePartition {
            partition_index: index,
            leader_id: leader,
            replica_nodes: vec![1, 2],
            offline_replicas: offline.to_vec(),
            ..MetadataResponsePartition::default()
        }
    }

    #[test]
    fn a_partition_is_offline_when_no_replica_is_left_that_could_lead_it() {
        let partitions =
            vec![partition(1, -1, &[2]), partition(0, 1, &[2]), partition(2, -1, &[1, 2])];
        let name = Some("t".into());
        let topic = MetadataResponseTopic { name, partitions, ..Default::default() };
        for (brokers, cause, said) in [
            (vec![1], Offline::LogDirectory, "log directory on broker 1, 2 failed or is missing"),
            (vec![3], Offline::Brokers, "broker 1, 2 is down"),
        ] {
            let topic = TopicInfo::of(&topic, &brokers.into_iter().collect());
            let offline: Vec<_> = topic.partitions.iter().map(|found| found.offline).collect();
            assert_eq!(offline, [None, None, Some(cause)]);
            let why = topic.without_leader(2).to_string();
            assert!(why.contains("partition 2 of t is offline") && why.contains(said), "{why}");
            assert!(topic.without_leader(1).to_string().contains("try again"));
            assert_eq!(topic.awaited(&[]), Some(1), "somebody will lead it");
            assert_eq!(topic.awaited(&[0, 2]), None, "nobody waits for what is offline");
        }
    }
}
