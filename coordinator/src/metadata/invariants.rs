//! What holds between any two batches of records.

use alloc::collections::BTreeSet;

use super::{image::Image, topic::Topic, topic_name};
use crate::limits::GROUP_CONFIG_BYTES_MAX;

impl Image {
    /// Asserts the invariants; tests and the simulation call it after every step.
    pub(crate) fn invariants(&self) {
        assert_eq!(self.topics.len(), self.topic_ids.len(), "one name per live topic");
        assert_eq!(self.topics.len(), self.unified_names.len(), "no two names unify");
        for (id, topic) in &self.topics {
            assert_eq!(*id, topic.id, "a topic is kept under its id");
            assert_eq!(self.topic_ids.get(&topic.name), Some(id), "a topic is found by its name");
            let unified = topic_name::unify(&topic.name);
            assert_eq!(self.unified_names.get(&*unified), Some(id), "and by its unified name");
            assert!(!self.deleting.contains_key(id), "a live topic is not being deleted");
        }
        for topic in self.all_topics() {
            assert!(!topic.id.is_none(), "no topic has the id that means none");
            assert!(topic_name::check(&topic.name).is_ok(), "names are legal");
            assert!(!topic.partitions.is_empty(), "a topic has partitions");
            self.partition_invariants(topic);
        }
        assert!(self.topics_placed >= self.topics.len() as u64, "every topic was placed once");
        assert!(self.broker_configs.values().all(|overrides| !overrides.is_empty()));
        assert!(self.group_configs.values().all(|overrides| !overrides.is_empty()));
        let groups = self.group_configs.iter();
        let bytes = groups.flat_map(|(group, overrides)| {
            overrides.iter().map(|(name, value)| group.len() + name.len() + value.len())
        });
        assert_eq!(bytes.sum::<usize>(), self.group_config_bytes, "what groups set is counted");
        assert!(self.group_config_bytes <= GROUP_CONFIG_BYTES_MAX, "and has its bound");
        assert!(self.next_producer_id.0 >= 0, "producer ids are not negative");
    }

    fn partition_invariants(&self, topic: &Topic) {
        for (index, partition) in topic.indexed() {
            let name = &topic.name;
            let replicas: BTreeSet<_> = partition.replicas.iter().map(|r| r.broker).collect();
            assert!(!replicas.is_empty(), "{name}-{index} has a replica");
            assert_eq!(replicas.len(), partition.replicas.len(), "one replica a broker");
            let isr: BTreeSet<_> = partition.isr.iter().copied().collect();
            assert_eq!(isr.len(), partition.isr.len(), "in-sync replicas are unique");
            assert!(isr.is_subset(&replicas), "in-sync replicas are replicas");
            assert!(
                partition.leader.is_none_or(|leader| isr.contains(&leader)),
                "the leader of {name}-{index} is in sync"
            );
            assert!(partition.leader_epoch.0 >= 0, "leader epochs are not negative");
            for replica in &partition.replicas {
                let broker = self.brokers.get(&replica.broker);
                assert!(
                    broker.is_some_and(|broker| broker.has_shard(replica.shard)),
                    "the owner of {name}-{index} exists"
                );
            }
        }
    }
}
