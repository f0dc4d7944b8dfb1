//! Changes of configurations, in Kafka's two ways: all of a resource's overrides at once, or single
//! ones.

use alloc::{borrow::ToOwned, collections::BTreeSet, string::String, vec::Vec};
use core::fmt;

use protocol::{BrokerId, Str};

use super::{
    Command, Decision, Metadata, MetadataRecord, NO_OVERRIDES, WallMillis,
    record::{ConfigTarget, excess_bytes},
    topic_name::{self, TopicNameError},
};
use crate::{
    limits::{DECISION_BYTES_MAX, GROUP_CONFIG_BYTES_MAX, RECORDS_PER_DECISION_MAX},
    topic_config::{
        ConfigError, Overrides, broker_config, group_config, topic_config,
        validate::{
            list_definition, validate_broker_config, validate_group_configs, validate_topic_configs,
        },
    },
};

/// What a configuration belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigResource {
    Topic(Str),
    /// Whether it exists or not.
    Group(Str),
    Broker(BrokerId),
    /// All brokers.
    BrokerDefault,
}

/// Names with the values a client gave; one that is missing is refused.
pub type GivenConfigs = Vec<(Str, Option<Str>)>;

/// Replaces all overrides of each resource; what is not named returns to its default.
#[derive(Clone, Debug, PartialEq)]
pub struct AlterConfigs {
    pub resources: Vec<(ConfigResource, GivenConfigs)>,
    pub validate_only: bool,
}

/// Changes single overrides of each resource; what is not named stays.
#[derive(Clone, Debug, PartialEq)]
pub struct IncrementalAlterConfigs {
    pub resources: Vec<(ConfigResource, Vec<ConfigChange>)>,
    pub validate_only: bool,
}

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigChange {
    pub name: Str,
    pub operation: ConfigOperation,
    /// May be missing for `Delete` alone.
    pub value: Option<Str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigOperation {
    Set,
    /// Back to the default.
    Delete,
    /// Adds values to a list.
    Append,
    /// Takes values off a list.
    Subtract,
}

/// What became of each resource, in the order of the command.
pub type AlterConfigsReply = Vec<(ConfigResource, Result<(), AlterConfigError>)>;

/// Why the command as a whole is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlterConfigsError {
    TooManyRecords { records: usize },
    TooManyBytes { bytes: usize },
}

/// Why one resource is refused; declared in the order in which it is checked.
#[derive(Clone, Debug, PartialEq)]
pub enum AlterConfigError {
    DuplicateResource,
    DuplicateNames,
    NullValues {
        names: Vec<Str>,
    },
    UnknownBroker {
        broker: BrokerId,
    },
    NotAList {
        operation: ConfigOperation,
        name: Str,
    },
    InvalidTopicName(TopicNameError),
    Config(ConfigError),
    /// After the values, as in Kafka.
    UnknownTopic,
    /// Groups have as much configuration as is kept.
    NoRoomForGroup,
}

impl Command for AlterConfigs {
    type Reply = AlterConfigsReply;
    type Error = AlterConfigsError;

    fn decide(
        &self,
        metadata: &Metadata,
        _: WallMillis,
    ) -> Result<Decision<AlterConfigsReply>, AlterConfigsError> {
        decide_each(metadata, &self.resources, self.validate_only, |resource, configs| {
            check_names(configs.iter().map(|(name, value)| (name, value.is_none())))?;
            let current = current_overrides(metadata, resource)?;
            let given = configs.iter();
            let given = given.filter_map(|(name, value)| Some((name.detached(), value.as_ref()?)));
            let wanted = given.map(|(name, value)| (name, value.detached())).collect();
            record_change(metadata, resource, current, &wanted)
        })
    }
}

impl Command for IncrementalAlterConfigs {
    type Reply = AlterConfigsReply;
    type Error = AlterConfigsError;

    fn decide(
        &self,
        metadata: &Metadata,
        _: WallMillis,
    ) -> Result<Decision<AlterConfigsReply>, AlterConfigsError> {
        decide_each(metadata, &self.resources, self.validate_only, |resource, changes| {
            check_names(changes.iter().map(|change| {
                let optional = change.operation == ConfigOperation::Delete;
                (&change.name, change.value.is_none() && !optional)
            }))?;
            let current = current_overrides(metadata, resource)?;
            let mut wanted = current.clone();
            for change in changes {
                apply(metadata, resource, change, &mut wanted)?;
            }
            record_change(metadata, resource, current, &wanted)
        })
    }
}

fn decide_each<C>(
    metadata: &Metadata,
    resources: &[(ConfigResource, C)],
    validate_only: bool,
    change: impl Fn(&ConfigResource, &C) -> Result<Vec<MetadataRecord>, AlterConfigError>,
) -> Result<Decision<AlterConfigsReply>, AlterConfigsError> {
    let mut seen = BTreeSet::new();
    let mut duplicates = BTreeSet::new();
    for (resource, _) in resources {
        if !seen.insert(resource) {
            duplicates.insert(resource);
        }
    }
    let (mut records, mut reply) = (Vec::new(), Vec::with_capacity(resources.len()));
    let mut room = GROUP_CONFIG_BYTES_MAX.saturating_sub(metadata.image.group_config_bytes);
    for (resource, changes) in resources {
        let decided = if duplicates.contains(resource) {
            Err(AlterConfigError::DuplicateResource)
        } else {
            change(resource, changes).and_then(|decided| within(&mut room, decided))
        };
        let result = decided.map(|mut decided| records.append(&mut decided));
        if records.len() > RECORDS_PER_DECISION_MAX {
            return Err(AlterConfigsError::TooManyRecords { records: records.len() });
        }
        reply.push((resource.clone(), result));
    }
    if let Some(bytes) = excess_bytes(&records) {
        return Err(AlterConfigsError::TooManyBytes { bytes });
    }
    if validate_only {
        records.clear();
    }
    Ok(Decision { records, reply })
}

/// What is set for groups takes room; what is replaced or deleted gives it back to the next decision.
fn within(
    room: &mut usize,
    decided: Vec<MetadataRecord>,
) -> Result<Vec<MetadataRecord>, AlterConfigError> {
    let bytes = decided.iter().map(|record| match record {
        MetadataRecord::Config { target: ConfigTarget::Group(group), name, value: Some(value) } => {
            group.len() + name.len() + value.len()
        }
        _ => 0,
    });
    *room = room.checked_sub(bytes.sum()).ok_or(AlterConfigError::NoRoomForGroup)?;
    Ok(decided)
}

/// Names with whether their value is missing.
fn check_names<'a>(
    names: impl Iterator<Item = (&'a Str, bool)> + Clone,
) -> Result<(), AlterConfigError> {
    let mut seen = BTreeSet::new();
    if !names.clone().all(|(name, _)| seen.insert(name)) {
        return Err(AlterConfigError::DuplicateNames);
    }
    let nulls = names.filter(|(_, null)| *null);
    let names: Vec<Str> = nulls.map(|(name, _)| name.clone()).collect();
    if names.is_empty() { Ok(()) } else { Err(AlterConfigError::NullValues { names }) }
}

/// A topic that does not exist has none: its existence is checked last.
fn current_overrides<'a>(
    metadata: &'a Metadata,
    resource: &ConfigResource,
) -> Result<&'a Overrides, AlterConfigError> {
    let image = &metadata.image;
    match resource {
        ConfigResource::Topic(name) => {
            Ok(image.topic_by_name(name).map_or(&NO_OVERRIDES, |topic| &topic.configs))
        }
        ConfigResource::Group(group) => Ok(image.group_configs(group).unwrap_or(&NO_OVERRIDES)),
        ConfigResource::Broker(broker) if image.broker(*broker).is_none() => {
            Err(AlterConfigError::UnknownBroker { broker: *broker })
        }
        ConfigResource::Broker(broker) => {
            Ok(image.broker_configs(*broker).unwrap_or(&NO_OVERRIDES))
        }
        ConfigResource::BrokerDefault => Ok(image.broker_default_configs()),
    }
}

fn apply(
    metadata: &Metadata,
    resource: &ConfigResource,
    change: &ConfigChange,
    wanted: &mut Overrides,
) -> Result<(), AlterConfigError> {
    let (name, operation) = (change.name.detached(), change.operation);
    let given = change.value.as_ref();
    let given = || given.expect("checked: every operation but delete has a value").detached();
    match operation {
        ConfigOperation::Set => {
            wanted.insert(name, given());
        }
        ConfigOperation::Delete => {
            wanted.remove(&name);
        }
        ConfigOperation::Append | ConfigOperation::Subtract => {
            let Some(current) = list_in_force(metadata, resource, &name, wanted) else {
                return Err(AlterConfigError::NotAList { operation, name });
            };
            let value = edited(&current, operation, &given());
            wanted.insert(name, Str::from(value));
        }
    }
    Ok(())
}

/// The list that values are added to or taken off: the override, or else what is in force without
/// one.
fn list_in_force(
    metadata: &Metadata,
    resource: &ConfigResource,
    name: &Str,
    wanted: &Overrides,
) -> Option<String> {
    let definition = match resource {
        ConfigResource::Topic(_) => topic_config(name),
        ConfigResource::Group(_) => group_config(name),
        ConfigResource::Broker(_) | ConfigResource::BrokerDefault => broker_config(name),
    };
    let definition = list_definition(definition)?;
    let in_force = || match resource {
        ConfigResource::Topic(_) | ConfigResource::Group(_) => {
            metadata.layers(&NO_OVERRIDES).value_text(definition)
        }
        ConfigResource::Broker(_) | ConfigResource::BrokerDefault => {
            metadata.broker_config_value(name)
        }
    };
    match wanted.get(name) {
        Some(value) => Some((**value).to_owned()),
        None => Some(in_force().unwrap_or_default()),
    }
}

fn edited(current: &str, operation: ConfigOperation, given: &str) -> String {
    let given = crate::topic_config::list_parts(given);
    let mut parts = crate::topic_config::list_parts(current);
    if operation == ConfigOperation::Subtract {
        parts.retain(|part| !given.contains(part));
    } else {
        for part in given {
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
    }
    parts.join(",")
}

/// Checks the overrides as they would be, and records how they differ from those that are.
fn record_change(
    metadata: &Metadata,
    resource: &ConfigResource,
    current: &Overrides,
    wanted: &Overrides,
) -> Result<Vec<MetadataRecord>, AlterConfigError> {
    let changed = wanted.iter().filter(|(name, value)| current.get(*name) != Some(*value));
    let removed = current.keys().filter(|name| !wanted.contains_key(*name));
    let target = match resource {
        ConfigResource::Topic(name) => {
            topic_name::check(name).map_err(AlterConfigError::InvalidTopicName)?;
            validate_topic_configs(&metadata.layers(wanted)).map_err(AlterConfigError::Config)?;
            let topic = metadata.image.topic_by_name(name);
            ConfigTarget::Topic(topic.ok_or(AlterConfigError::UnknownTopic)?.id)
        }
        ConfigResource::Group(name) => {
            let layers = metadata.group_layers(wanted);
            validate_group_configs(&layers).map_err(AlterConfigError::Config)?;
            ConfigTarget::Group(name.detached())
        }
        ConfigResource::Broker(broker) => {
            check_broker_configs(changed.clone())?;
            ConfigTarget::Broker(*broker)
        }
        ConfigResource::BrokerDefault => {
            check_broker_configs(changed.clone())?;
            ConfigTarget::BrokerDefault
        }
    };
    let changed = changed.map(|(name, value)| (name.clone(), Some(value.clone())));
    let removed = removed.map(|name| (name.clone(), None));
    let record = |(name, value)| {
        let target = target.clone();
        MetadataRecord::Config { target, name, value }
    };
    Ok(changed.chain(removed).map(record).collect())
}

fn check_broker_configs<'a>(
    mut changed: impl Iterator<Item = (&'a Str, &'a Str)>,
) -> Result<(), AlterConfigError> {
    let check = |(name, value)| validate_broker_config(name, Some(value));
    changed.try_for_each(check).map_err(AlterConfigError::Config)
}

impl fmt::Display for AlterConfigsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyRecords { records } => {
                write!(f, "{records} changes; one request makes {RECORDS_PER_DECISION_MAX}")
            }
            Self::TooManyBytes { bytes } => {
                write!(f, "{bytes} bytes of changes; one request makes {DECISION_BYTES_MAX}")
            }
        }
    }
}

impl core::error::Error for AlterConfigsError {}

impl fmt::Display for AlterConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateResource => f.write_str("Each resource must appear at most once."),
            Self::DuplicateNames => f.write_str("Error due to duplicate config keys"),
            Self::NullValues { names } => {
                write!(f, "Null value not supported for : {}", names.join(", "))
            }
            Self::UnknownBroker { broker } => write!(f, "Unexpected broker id {broker}"),
            Self::NotAList { operation, name } => {
                let operation = match operation {
                    ConfigOperation::Set => "SET",
                    ConfigOperation::Delete => "DELETE",
                    ConfigOperation::Append => "APPEND",
                    ConfigOperation::Subtract => "SUBTRACT",
                };
                write!(f, "Can't {operation} to key {name} because its type is not LIST.")
            }
            Self::InvalidTopicName(error) => error.fmt(f),
            Self::Config(error) => error.fmt(f),
            Self::NoRoomForGroup => write!(
                f,
                "All groups together may have {GROUP_CONFIG_BYTES_MAX} bytes of configuration; \
                 delete that of groups which are no more"
            ),
            Self::UnknownTopic => f.write_str("This server does not host this topic-partition."),
        }
    }
}

impl core::error::Error for AlterConfigError {}
