//! What can be wrong with a configuration, in the words that Kafka uses.

use alloc::string::String;
use core::fmt;

use protocol::Str;

use super::definition::ConfigKind;
use crate::limits::CONFIG_VALUE_BYTES_MAX;

/// Why a configuration is refused; declared in the order in which it is checked.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfigError {
    UnknownTopicConfig {
        name: Str,
    },
    UnknownGroupConfig {
        name: Str,
    },
    UnknownBrokerConfig {
        name: Str,
    },
    /// The property is set by the configuration file and a restart only.
    ReadOnlyBrokerConfig {
        name: Str,
    },
    ValueTooLong {
        name: Str,
        bytes: usize,
    },
    NotABoolean {
        name: &'static str,
        value: String,
    },
    NotANumber {
        name: &'static str,
        value: String,
        kind: ConfigKind,
    },
    TooSmall {
        name: &'static str,
        value: String,
        min: i64,
    },
    TooLarge {
        name: &'static str,
        value: String,
        max: i64,
    },
    OutsideRange {
        name: &'static str,
        value: String,
        min: i64,
        max: i64,
        or: i64,
    },
    NotOneOf {
        name: &'static str,
        value: String,
        allowed: &'static [&'static str],
    },
    DuplicateListValue {
        name: &'static str,
    },
    EmptyListValue {
        name: &'static str,
    },
    NotThrottledReplicas {
        name: &'static str,
        value: String,
    },
    /// `min.compaction.lag.ms` above `max.compaction.lag.ms`, with the values in force.
    CompactionLagsCross {
        min_ms: i64,
        max_ms: i64,
    },
    RemoteStorageUnavailable,
    NotAnOffsetReset {
        name: &'static str,
        value: String,
    },
    GroupBound(GroupBoundError),
}

/// How a group's property is not where other properties want it, with the values in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupBoundError {
    /// Below a property of the broker.
    Below { name: &'static str, bound: &'static str },
    /// Above a property of the broker.
    Above { name: &'static str, bound: &'static str },
    /// Not greater than another of the group's.
    NotGreater { name: &'static str, than: &'static str },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownTopicConfig { name } => write!(f, "Unknown topic config name: {name}"),
            Self::UnknownGroupConfig { name } => write!(f, "Unknown group config name: {name}"),
            Self::UnknownBrokerConfig { name } => write!(f, "Unknown broker config name: {name}"),
            Self::ReadOnlyBrokerConfig { name } => write!(
                f,
                "Cannot update these configs dynamically: Set({name}); set it in the configuration \
                 file and restart the node"
            ),
            Self::ValueTooLong { name, bytes } => write!(
                f,
                "The value of configuration {name} has {bytes} bytes; at most \
                 {CONFIG_VALUE_BYTES_MAX} are kept"
            ),
            Self::NotABoolean { name, value } => {
                invalid(f, value, name)?;
                f.write_str("Expected value to be either true or false")
            }
            Self::NotANumber { name, value, kind } => {
                invalid(f, value, name)?;
                write!(f, "Not a number of type {}", number_type(*kind))
            }
            Self::TooSmall { name, value, min } => {
                invalid(f, value, name)?;
                write!(f, "Value must be at least {min}")
            }
            Self::TooLarge { name, value, max } => {
                invalid(f, value, name)?;
                write!(f, "Value must be no more than {max}")
            }
            Self::OutsideRange { name, value, min, max, or } => {
                invalid(f, value, name)?;
                write!(f, "Value must be between {min} and {max} or equal to {or}")
            }
            Self::NotOneOf { name, value, allowed } => {
                invalid(f, value, name)?;
                write!(f, "String must be one of: {}", allowed.join(", "))
            }
            Self::DuplicateListValue { name } => {
                write!(f, "Configuration '{name}' values must not be duplicated.")
            }
            Self::EmptyListValue { name } => {
                write!(f, "Configuration '{name}' values must not be empty.")
            }
            Self::NotThrottledReplicas { name, value } => {
                invalid(f, value, name)?;
                write!(
                    f,
                    "{name} must be the literal '*' or a list of replicas in the following format: \
                     [partitionId]:[brokerId],[partitionId]:[brokerId],..."
                )
            }
            Self::NotAnOffsetReset { name, value } => {
                invalid(f, value, name)?;
                write!(f, "Invalid value `{value}` for configuration {name}. {OFFSET_RESETS}")
            }
            Self::GroupBound(error) => error.fmt(f),
            Self::CompactionLagsCross { min_ms, max_ms } => write!(
                f,
                "conflict topic config setting min.compaction.lag.ms ({min_ms}) > \
                 max.compaction.lag.ms ({max_ms})"
            ),
            Self::RemoteStorageUnavailable => f.write_str(
                "Tiered Storage functionality is disabled in the broker. \
                 Topic cannot be configured with remote log storage.",
            ),
        }
    }
}

impl core::error::Error for ConfigError {}

const OFFSET_RESETS: &str = "The value must be either 'earliest', 'latest' or of the format \
                             'by_duration:<PnDTnHnMn.nS>'.";

impl fmt::Display for GroupBoundError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Below { name, bound } => {
                write!(f, "{name} must be greater than or equal to {bound}")
            }
            Self::Above { name, bound } => {
                write!(f, "{name} must be less than or equal to {bound}")
            }
            Self::NotGreater { name, than } => write!(f, "{name} must be greater than {than}"),
        }
    }
}

impl core::error::Error for GroupBoundError {}

fn invalid(f: &mut fmt::Formatter<'_>, value: &str, name: &str) -> fmt::Result {
    write!(f, "Invalid value {value} for configuration {name}: ")
}

fn number_type(kind: ConfigKind) -> &'static str {
    match kind {
        ConfigKind::Short => "SHORT",
        ConfigKind::Int => "INT",
        ConfigKind::Long => "LONG",
        ConfigKind::Double => "DOUBLE",
        ConfigKind::Boolean | ConfigKind::String | ConfigKind::List | ConfigKind::Password => {
            unreachable!("only numbers fail to be numbers")
        }
    }
}
