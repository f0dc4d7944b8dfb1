//! State into records: what a snapshot holds. Replaying them into an empty image gives an equal
//! one.

use core::iter;

use super::{
    image::Image,
    record::{ConfigTarget, MetadataRecord},
    topic::Topic,
};
use crate::topic_config::Overrides;

impl Image {
    /// In the only order that replays: brokers before the partitions on them, deleted topics before
    /// live ones, whose names they may have had.
    pub(crate) fn snapshot_records(&self) -> impl Iterator<Item = MetadataRecord> + '_ {
        let cluster = self.cluster_id.iter().cloned();
        let cluster = cluster.map(|cluster_id| MetadataRecord::Cluster { cluster_id });
        let brokers = self.brokers.values().cloned().map(MetadataRecord::Broker);
        let broker_configs = self.broker_configs.iter();
        let broker_configs = broker_configs
            .flat_map(|(broker, overrides)| configs(ConfigTarget::Broker(*broker), overrides));
        let group_configs = self.group_configs.iter();
        let group_configs = group_configs
            .flat_map(|(group, overrides)| configs(ConfigTarget::Group(group.clone()), overrides));
        let default_configs = configs(ConfigTarget::BrokerDefault, &self.broker_default_configs);
        let deleting = self.deleting.values().flat_map(|topic| {
            let deleted = MetadataRecord::TopicDeleted { topic: topic.id };
            topic_records(topic).chain(iter::once(deleted))
        });
        let live = self.topics.values().flat_map(topic_records);
        let next = self.next_producer_id;
        let producer_ids = (next.0 > 0).then_some(MetadataRecord::ProducerIds { next });
        let placed = self.topics_placed;
        let placed = (placed > 0).then_some(MetadataRecord::TopicsPlaced { count: placed });
        cluster
            .chain(brokers)
            .chain(broker_configs)
            .chain(default_configs)
            .chain(group_configs)
            .chain(deleting)
            .chain(live)
            .chain(producer_ids)
            .chain(placed)
    }
}

fn topic_records(topic: &Topic) -> impl Iterator<Item = MetadataRecord> + '_ {
    let (id, name, created) = (topic.id, topic.name.clone(), topic.created);
    let partitions = topic.indexed().map(move |(partition, state)| MetadataRecord::Partition {
        topic: id,
        partition,
        state: state.clone(),
    });
    iter::once(MetadataRecord::Topic { topic: id, name, created })
        .chain(configs(ConfigTarget::Topic(id), &topic.configs))
        .chain(partitions)
}

fn configs(
    target: ConfigTarget,
    overrides: &Overrides,
) -> impl Iterator<Item = MetadataRecord> + '_ {
    overrides.iter().map(move |(name, value)| {
        let (target, name, value) = (target.clone(), name.clone(), Some(value.clone()));
        MetadataRecord::Config { target, name, value }
    })
}
