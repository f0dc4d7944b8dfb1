//! May these overrides be stored? Names, values, and what must hold between them.

use protocol::Str;

use super::{
    broker_table::broker_config,
    definition::{ConfigDefinition, ConfigKind, Update},
    error::{ConfigError, GroupBoundError},
    group_table::{GROUP_BOUNDS, GROUP_SESSIONS, GroupBounds, group_config},
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

/// Checks a group's overrides as they would be after a change: values, and that they are within what the broker
/// allows to groups.
pub fn validate_group_configs(layers: &ConfigLayers<'_>) -> Result<(), ConfigError> {
    for name in layers.group.keys() {
        if group_config(name).is_none() {
            return Err(ConfigError::UnknownGroupConfig { name: name.clone() });
        }
    }
    for (name, value) in layers.group {
        validate_value(group_row(name), name, value)?;
    }
    let is_set = |name: &str| layers.group.contains_key(name);
    for bounds in GROUP_BOUNDS.iter().filter(|bounds| is_set(bounds.name)) {
        check_bounds(layers, bounds).map_err(ConfigError::GroupBound)?;
    }
    for &(name, than) in GROUP_SESSIONS.iter().filter(|(name, than)| is_set(name) || is_set(than)) {
        if layers.integer(group_row(name)) <= layers.integer(group_row(than)) {
            return Err(ConfigError::GroupBound(GroupBoundError::NotGreater { name, than }));
        }
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

/// That a group's property is within what the broker allows to groups.
fn check_bounds(
    layers: &ConfigLayers<'_>,
    GroupBounds { name, min, max }: &GroupBounds,
) -> Result<(), GroupBoundError> {
    let value = layers.integer(group_row(name));
    if let Some(bound) = min.filter(|bound| value < layers.broker_integer(bound)) {
        return Err(GroupBoundError::Below { name, bound });
    }
    if let Some(bound) = max.filter(|bound| value > layers.broker_integer(bound)) {
        return Err(GroupBoundError::Above { name, bound });
    }
    Ok(())
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

fn group_row(name: &str) -> &'static ConfigDefinition {
    group_config(name).expect("the name is in the table")
}
