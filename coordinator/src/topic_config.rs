//! Kafka's properties of topics, groups and brokers: one table each, and what follows from them.
//!
//! A value is found in layers, the nearest first: the topic's or group's own overrides, this broker's dynamic
//! configuration, the cluster's dynamic default, the node's configuration file, the default of the
//! table. [`ConfigLayers`] is that search; [`TopicConfig`] its typed result for a partition's
//! owner; [`describe`] its explanation for a client.
//!
//! * `definition`: what a table row says
//! * `topic_table`, `group_table`, `broker_table`: the rows
//! * `value`: Kafka's value syntax and ranges
//! * `layers`: where a value comes from
//! * `view`: the typed view
//! * `validate`: may these overrides be stored?
//! * `describe`: every property with value, source and synonyms
//! * `error`: what can be wrong with a configuration, in Kafka's words

mod broker_table;
mod definition;
pub mod describe;
mod error;
mod group_table;
mod layers;
mod topic_table;
pub mod validate;
mod value;
mod view;

#[cfg(test)]
mod tests;

pub use broker_table::{BROKER_CONFIGS, broker_config};
pub use definition::{
    BrokerSynonym, ConfigDefinition, ConfigKind, Effect, Scale, Update, ValidValues,
};
pub use describe::ConfigDescription;
pub use error::{ConfigError, GroupBoundError};
pub use group_table::{GROUP_CONFIGS, group_config};
pub use layers::{ConfigLayers, ConfigSource, ConfigSynonym, Overrides, StaticBrokerConfig};
pub use topic_table::{TOPIC_CONFIGS, topic_config};
pub(crate) use value::{ConfigValue, list_parts, parse};
pub use view::{
    CleanupPolicy, CompactionConfig, Compression, Durability, FlushConfig, RetentionConfig,
    SegmentConfig, TimestampConfig, TimestampType, TopicConfig,
};
