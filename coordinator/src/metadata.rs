//! The controller's machine: what the cluster is made of, decided by commands and replayed from
//! records.
//!
//! ```text
//! command ── decide(&self) ──▶ records + reply      records ── replay(&mut self) ──▶ state
//!                                  │                     ▲
//!                                  └── the log of __cluster_metadata-0: proposed, then committed
//! ```
//!
//! * `image`: the replicated state; `broker`, `topic`: what it is made of
//! * `record`: the records and their bytes; `replay`, `snapshot`: from records to state and back
//! * one file per command: `form_cluster`, `register_broker`, `create_topics`, `create_partitions`,
//!   `delete_topics`, `alter_configs`, `move_partition`, `bump_leader_epochs`,
//!   `allocate_producer_ids`
//! * `topic_name`: Kafka's rules for names; `assignment`: which brokers; `placement`: which shard
//!   and directory
//! * `explain`: why a partition lives where it does; `invariants`: what holds after every record

pub mod allocate_producer_ids;
pub mod alter_configs;
mod assignment;
mod broker;
pub mod bump_leader_epochs;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_topics;
mod explain;
pub mod form_cluster;
mod image;
mod invariants;
pub mod move_partition;
mod placement;
pub mod record;
pub mod register_broker;
mod replay;
mod snapshot;
mod topic;
mod topic_name;

#[cfg(test)]
pub(crate) mod tests;

use alloc::vec::Vec;

use protocol::{BrokerId, TopicId};

pub use allocate_producer_ids::AllocateProducerIds;
pub use alter_configs::{AlterConfigs, ConfigResource, IncrementalAlterConfigs};
pub use assignment::AssignmentError;
pub use broker::{Broker, Listener, LogDirectory, LogDirectoryId, ShardId};
pub use bump_leader_epochs::{BumpLeaderEpochs, LeaderEpochBump};
pub use create_partitions::CreatePartitions;
pub use create_topics::CreateTopics;
pub use delete_topics::{DeleteTopics, FinishDelete};
pub use explain::Explanation;
pub use form_cluster::FormCluster;
pub use image::Image;
pub use move_partition::MovePartition;
pub use placement::{OfflinePlaces, ShardsFull};
pub use record::MetadataRecord;
pub use register_broker::RegisterBroker;
pub use replay::ReplayError;
pub use topic::{Partition, PlacementReason, Replica, Topic, TopicSelector};
pub use topic_name::{CONSUMER_OFFSETS_TOPIC, TopicNameError, is_internal, is_reserved};

use crate::{
    group::GroupConfig,
    topic_config::{
        ConfigDescription, ConfigLayers, ConfigValue, Overrides, StaticBrokerConfig, TopicConfig,
        broker_config, describe, topic_config,
    },
};

/// The wall clock in milliseconds since 1970: an argument of every decision, never read here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallMillis(pub i64);

/// What a command decided: the records to propose, and the reply to give once they are committed.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<R> {
    /// One atomic batch, at most
    /// [`RECORDS_PER_DECISION_MAX`](crate::limits::RECORDS_PER_DECISION_MAX). Empty where nothing
    /// changes.
    pub records: Vec<MetadataRecord>,
    pub reply: R,
}

/// A question to the controller. Commands on several topics or resources answer each of them in
/// their reply; the error is for what refuses the command as a whole.
pub trait Command {
    type Reply;
    type Error;

    fn decide(
        &self,
        metadata: &Metadata,
        now: WallMillis,
    ) -> Result<Decision<Self::Reply>, Self::Error>;
}

/// The machine as one node sees it: the replicated state, and the node's own configuration file
/// under it.
///
/// Lives on the controller shard. Equal logs give equal [`Image`]s on every node; decisions may
/// differ between nodes by their configuration files, which is why only the active controller
/// decides.
#[derive(Clone, Debug)]
pub struct Metadata {
    node: BrokerId,
    configured: StaticBrokerConfig,
    image: Image,
}

static NO_OVERRIDES: Overrides = Overrides::new();

impl Metadata {
    pub fn new(node: BrokerId, configured: StaticBrokerConfig) -> Self {
        Self { node, configured, image: Image::default() }
    }

    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Decides a command against this state. Changes nothing: that is the records' part.
    pub fn decide<C: Command>(
        &self,
        now: WallMillis,
        command: &C,
    ) -> Result<Decision<C::Reply>, C::Error> {
        command.decide(self, now)
    }

    /// Applies one record of the log.
    pub fn replay(&mut self, record: &MetadataRecord) -> Result<(), ReplayError> {
        self.image.replay(record)
    }

    /// Records that turn an empty machine into this one.
    pub fn snapshot_records(&self) -> impl Iterator<Item = MetadataRecord> + '_ {
        self.image.snapshot_records()
    }

    /// Asserts what must hold after every record.
    pub fn invariants(&self) {
        self.image.invariants();
    }

    /// The configuration in force for a topic on this node.
    pub fn topic_config(&self, topic: TopicId) -> Option<TopicConfig> {
        let topic = self.image.topic(topic)?;
        Some(TopicConfig::resolve(&self.layers(topic.configs())))
    }

    /// In-sync replicas that a produce with acks=-1 to this topic needs.
    pub fn min_insync_replicas(&self, topic: &Topic) -> i64 {
        match self.plain_topic_config(topic, "min.insync.replicas") {
            ConfigValue::Integer(number) => number,
            other => unreachable!("a number of replicas: {other:?}"),
        }
    }

    /// Whether all that this topic keeps is said to be compressed with zstd.
    pub fn is_zstd(&self, topic: &Topic) -> bool {
        self.plain_topic_config(topic, "compression.type") == ConfigValue::Text("zstd")
    }

    fn plain_topic_config<'a>(&'a self, topic: &'a Topic, name: &str) -> ConfigValue<'a> {
        let definition = topic_config(name).expect("it is in the table");
        self.layers(topic.configs()).plain(definition)
    }

    /// Every property of a topic with these overrides: an existing topic's, or those of one being
    /// created.
    pub fn describe_topic_configs(&self, overrides: &Overrides) -> Vec<ConfigDescription> {
        describe::describe_topic(&self.layers(overrides))
    }

    /// Every property of a group, whether it exists or not.
    pub fn describe_group_configs(&self, group: &str) -> Vec<ConfigDescription> {
        let overrides = self.image.group_configs(group).unwrap_or(&NO_OVERRIDES);
        describe::describe_group(&self.group_layers(overrides))
    }

    /// What an operator set for a group, of what its coordinator acts on; `None`: nothing of it.
    pub fn group_config(&self, group: &str) -> Option<GroupConfig> {
        let config = GroupConfig::of(self.image.group_configs(group)?);
        (config != GroupConfig::default()).then_some(config)
    }

    /// Every property of a broker. Its configuration file is known for this node alone.
    pub fn describe_broker_configs(&self) -> Vec<ConfigDescription> {
        describe::describe_broker(&self.layers(&NO_OVERRIDES))
    }

    /// The properties that are set dynamically for all brokers.
    pub fn describe_broker_default_configs(&self) -> Vec<ConfigDescription> {
        describe::describe_broker_default(&self.layers(&NO_OVERRIDES))
    }

    /// The value in force of a broker property on this node.
    pub fn broker_config_value(&self, name: &str) -> Option<alloc::string::String> {
        let layers = self.layers(&NO_OVERRIDES);
        let mut found = layers.of_broker_config(broker_config(name)?);
        if found.is_empty() { None } else { Some(found.swap_remove(0).value) }
    }

    fn layers<'a>(&'a self, topic: &'a Overrides) -> ConfigLayers<'a> {
        ConfigLayers {
            topic,
            group: &NO_OVERRIDES,
            broker: self.image.broker_configs(self.node).unwrap_or(&NO_OVERRIDES),
            broker_default: self.image.broker_default_configs(),
            configured: &self.configured,
        }
    }

    fn group_layers<'a>(&'a self, group: &'a Overrides) -> ConfigLayers<'a> {
        ConfigLayers { group, ..self.layers(&NO_OVERRIDES) }
    }

    /// A whole number of the broker table that is valid by the table's range and has a default.
    fn broker_number(&self, name: &str) -> i32 {
        let value = self.broker_config_value(name).expect("the property has a default");
        value.trim().parse().expect("configured values are validated")
    }
}
