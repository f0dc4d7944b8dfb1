//! The replicated state: what the log says, and nothing else.

use alloc::collections::BTreeMap;

use protocol::{BrokerId, ProducerId, Str, TopicId};

use super::{
    broker::Broker,
    topic::{Topic, TopicSelector},
};
use crate::topic_config::Overrides;

/// The cluster, as of one offset of the metadata log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Image {
    pub(crate) cluster_id: Option<Str>,
    pub(crate) brokers: BTreeMap<BrokerId, Broker>,
    /// Live topics.
    pub(crate) topics: BTreeMap<TopicId, Topic>,
    /// Live topics by name.
    pub(crate) topic_ids: BTreeMap<Str, TopicId>,
    /// Live topics by name with every '.' as '_': two of the same form may not exist.
    pub(crate) unified_names: BTreeMap<Str, TopicId>,
    /// Deleted topics whose files are still being removed. Their names are free again.
    pub(crate) deleting: BTreeMap<TopicId, Topic>,
    pub(crate) broker_configs: BTreeMap<BrokerId, Overrides>,
    pub(crate) broker_default_configs: Overrides,
    /// By group, whether it exists or not. Invariant: no group without overrides.
    pub(crate) group_configs: BTreeMap<Str, Overrides>,
    /// Names and values in the configurations of all groups.
    pub(crate) group_config_bytes: usize,
    /// The first producer id that no block holds yet.
    pub(crate) next_producer_id: ProducerId,
    /// Topics ever created: where the placement of the next one starts.
    pub(crate) topics_placed: u64,
}

impl Image {
    pub fn cluster_id(&self) -> Option<&Str> {
        self.cluster_id.as_ref()
    }

    pub fn brokers(&self) -> impl Iterator<Item = &Broker> {
        self.brokers.values()
    }

    pub fn broker(&self, id: BrokerId) -> Option<&Broker> {
        self.brokers.get(&id)
    }

    /// Live topics, by id.
    pub fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.topics.values()
    }

    /// Live topics, by name.
    pub fn topics_by_name(&self) -> impl Iterator<Item = &Topic> {
        self.topic_ids.values().map(|id| &self.topics[id])
    }

    pub fn topic(&self, id: TopicId) -> Option<&Topic> {
        self.topics.get(&id)
    }

    pub fn topic_by_name(&self, name: &str) -> Option<&Topic> {
        self.topics.get(self.topic_ids.get(name)?)
    }

    pub fn select(&self, selector: &TopicSelector) -> Option<&Topic> {
        match selector {
            TopicSelector::Name(name) => self.topic_by_name(name),
            TopicSelector::Id(id) => self.topic(*id),
        }
    }

    /// Deleted topics whose files are still being removed: their owners close and remove them, also
    /// after a restart.
    pub fn deleting(&self) -> impl Iterator<Item = &Topic> {
        self.deleting.values()
    }

    pub fn is_deleting(&self, id: TopicId) -> bool {
        self.deleting.contains_key(&id)
    }

    pub fn broker_configs(&self, broker: BrokerId) -> Option<&Overrides> {
        self.broker_configs.get(&broker)
    }

    pub fn broker_default_configs(&self) -> &Overrides {
        &self.broker_default_configs
    }

    pub fn group_configs(&self, group: &str) -> Option<&Overrides> {
        self.group_configs.get(group)
    }

    /// Groups with a configuration of their own, by name; whether they exist is not known here.
    pub fn configured_groups(&self) -> impl Iterator<Item = (&Str, &Overrides)> {
        self.group_configs.iter()
    }

    pub fn next_producer_id(&self) -> ProducerId {
        self.next_producer_id
    }

    /// Whether an id belongs to a topic that exists or whose files still do.
    pub(crate) fn knows(&self, id: TopicId) -> bool {
        self.topics.contains_key(&id) || self.deleting.contains_key(&id)
    }

    /// A live topic that the name would be taken for in Kafka's metrics names.
    pub(crate) fn unified(&self, unified_name: &str) -> Option<&Topic> {
        self.topics.get(self.unified_names.get(unified_name)?)
    }

    /// A topic, live or being deleted.
    pub(crate) fn any_topic_mut(&mut self, id: TopicId) -> Option<&mut Topic> {
        match self.topics.get_mut(&id) {
            Some(topic) => Some(topic),
            None => self.deleting.get_mut(&id),
        }
    }

    /// All topics, live or being deleted.
    pub(crate) fn all_topics(&self) -> impl Iterator<Item = &Topic> {
        self.topics.values().chain(self.deleting.values())
    }
}
