//! May these overrides be stored? Names, values, and what must hold between them.

use protocol::Str;

use super::{
    broker_table::broker_config,
    definition::{ConfigDefinition, ConfigKind, Update},
    error::ConfigError,
    layers::ConfigLayers,
    topic_table::topic_config,
    value::{ConfigValue, parse},
};
use crate::limits::CONFIG_VALUE_BYTES_MAX;

/// Checks a topic's overrides as they would be after a change, over the layers below them.
pub fn validate_topic_configs(layers: &ConfigLayers<'_>) -> Result<(), ConfigError> {
    for name in layers.topic.keys() {
        if topic_config(name).is_none() {
            return Err(ConfigError::UnknownTopicConfig { name: name.clone() });
        }
    }
    for (name, value) in layers.topic {
        validate_value(row(name), name, value)?;
    }
    let min_ms = layers.integer(row("min.compaction.lag.ms"));
    let max_ms = layers.integer(row("max.compaction.lag.ms"));
    if min_ms > max_ms {
        return Err(ConfigError::CompactionLagsCross { min_ms, max_ms });
    }
    let remote = layers.topic.get("remote.storage.enable");
    let remote = remote.map(|text| parse(row("remote.storage.enable"), text));
    if remote == Some(Ok(ConfigValue::Boolean(true))) {
        return Err(ConfigError::RemoteStorageUnavailable);
    }
    Ok(())
}

/// Checks one dynamic broker property: known, changeable, and of a valid value where one is given.
pub fn validate_broker_config(name: &Str, value: Option<&Str>) -> Result<(), ConfigError> {
    let Some(definition) = broker_config(name) else {
        return Err(ConfigError::UnknownBrokerConfig { name: name.clone() });
    };
    if definition.update == Update::ReadOnly {
        return Err(ConfigError::ReadOnlyBrokerConfig { name: name.clone() });
    }
    value.map_or(Ok(()), |value| validate_value(definition, name, value))
}

/// The row of a property if its value is a list, for `APPEND` and `SUBTRACT`.
pub(crate) fn list_definition(
    definition: Option<&'static ConfigDefinition>,
) -> Option<&'static ConfigDefinition> {
    definition.filter(|row| row.kind == ConfigKind::List)
}

fn validate_value(
    definition: &ConfigDefinition,
    name: &Str,
    value: &Str,
) -> Result<(), ConfigError> {
    if value.len() > CONFIG_VALUE_BYTES_MAX {
        return Err(ConfigError::ValueTooLong { name: name.clone(), bytes: value.len() });
    }
    parse(definition, value).map(|_| ())
}

fn row(name: &str) -> &'static ConfigDefinition {
    topic_config(name).expect("the name is in the table")
}
