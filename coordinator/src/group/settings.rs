//! What rules groups: Kafka's broker properties, and the properties of single groups.

use alloc::vec::Vec;

use super::consumer::Assignor;
use crate::topic_config::{ConfigValue, Overrides, group_config, parse};

/// Kafka's broker properties that rule groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    /// `group.min.session.timeout.ms`
    pub session_timeout_min_ms: i32,
    /// `group.max.session.timeout.ms`
    pub session_timeout_max_ms: i32,
    /// `group.initial.rebalance.delay.ms`
    pub initial_rebalance_delay_ms: u64,
    /// `group.max.size`, and never more than
    /// [`GROUP_MEMBERS_MAX`](crate::limits::GROUP_MEMBERS_MAX).
    pub members_max: usize,
    /// `offset.metadata.max.bytes`, and never more than
    /// [`OFFSET_METADATA_BYTES_MAX`](crate::limits::OFFSET_METADATA_BYTES_MAX).
    pub offset_metadata_max: usize,
    /// `offsets.retention.minutes`
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`
    pub offsets_retention_check_ms: u64,
    /// Of the consumer protocol.
    pub consumer: ConsumerSettings,
}

impl Default for GroupSettings {
    fn default() -> Self {
        Self {
            session_timeout_min_ms: 6_000,
            session_timeout_max_ms: 1_800_000,
            initial_rebalance_delay_ms: 3_000,
            members_max: crate::limits::GROUP_MEMBERS_MAX,
            offset_metadata_max: 4_096,
            offsets_retention_ms: 7 * 24 * 60 * 60 * 1_000,
            offsets_retention_check_ms: 600_000,
            consumer: ConsumerSettings::default(),
        }
    }
}

/// Kafka's broker properties of the consumer protocol: `group.consumer.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerSettings {
    /// `group.consumer.session.timeout.ms`, `.min.session.timeout.ms`, `.max.session.timeout.ms`
    pub session_timeout: Ruled,
    /// `group.consumer.heartbeat.interval.ms`, `.min.heartbeat.interval.ms`,
    /// `.max.heartbeat.interval.ms`
    pub heartbeat_interval: Ruled,
    /// `group.consumer.assignment.interval.ms`, `.min.assignment.interval.ms`,
    /// `.max.assignment.interval.ms`: members that join together would otherwise cause one assignment
    /// each.
    pub assignment_interval: Ruled,
    /// `group.consumer.max.size`, and never more than
    /// [`GROUP_MEMBERS_MAX`](crate::limits::GROUP_MEMBERS_MAX).
    pub members_max: usize,
    /// `group.consumer.assignors`: the first is the default. Never empty.
    pub assignors: Vec<Assignor>,
    /// `group.consumer.migration.policy`
    pub migration: MigrationPolicy,
    /// `group.consumer.regex.refresh.interval.ms`
    pub regex_refresh_ms: u64,
}

impl Default for ConsumerSettings {
    fn default() -> Self {
        Self {
            session_timeout: Ruled { ms: 45_000, min_ms: 45_000, max_ms: 60_000 },
            heartbeat_interval: Ruled { ms: 5_000, min_ms: 5_000, max_ms: 15_000 },
            assignment_interval: Ruled { ms: 1_000, min_ms: 0, max_ms: 15_000 },
            members_max: crate::limits::GROUP_MEMBERS_MAX,
            assignors: Vec::from([Assignor::Uniform, Assignor::Range]),
            migration: MigrationPolicy::Bidirectional,
            regex_refresh_ms: 600_000,
        }
    }
}

/// A time that a group may change for itself, within bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ruled {
    pub ms: i32,
    pub min_ms: i32,
    pub max_ms: i32,
}

impl Ruled {
    /// For a group that wants this. What was set before the bounds were narrowed is moved inside, as in
    /// Kafka.
    pub fn for_group(&self, wanted_ms: Option<i32>) -> i32 {
        wanted_ms.map_or(self.ms, |ms| ms.min(self.max_ms).max(self.min_ms))
    }
}

/// Which groups change between the classic and the consumer protocol while they live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MigrationPolicy {
    /// Both ways.
    #[default]
    Bidirectional,
    /// To the consumer protocol.
    Upgrade,
    /// Back to the classic protocol.
    Downgrade,
    Disabled,
}

impl MigrationPolicy {
    pub const fn upgrades(self) -> bool {
        matches!(self, Self::Bidirectional | Self::Upgrade)
    }

    pub const fn downgrades(self) -> bool {
        matches!(self, Self::Bidirectional | Self::Downgrade)
    }

    /// Kafka compares without regard to case.
    pub fn parse(name: &str) -> Option<Self> {
        let all = [
            ("bidirectional", Self::Bidirectional),
            ("upgrade", Self::Upgrade),
            ("downgrade", Self::Downgrade),
            ("disabled", Self::Disabled),
        ];
        all.into_iter()
            .find(|(known, _)| name.eq_ignore_ascii_case(known))
            .map(|(_, policy)| policy)
    }
}

/// What an operator set for one group (a resource of type GROUP). `None`: as for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupConfig {
    /// `consumer.session.timeout.ms`
    pub session_timeout_ms: Option<i32>,
    /// `consumer.heartbeat.interval.ms`
    pub heartbeat_interval_ms: Option<i32>,
    /// `consumer.assignment.interval.ms`
    pub assignment_interval_ms: Option<i32>,
}

impl GroupConfig {
    /// A stored value that this version finds invalid is passed over: a log written by another version must not
    /// stop the node.
    pub fn of(overrides: &Overrides) -> Self {
        let number = |name: &str| {
            let definition = group_config(name).expect("the name is in the table");
            match parse(definition, overrides.get(name)?) {
                Ok(ConfigValue::Integer(number)) => i32::try_from(number).ok(),
                _ => None,
            }
        };
        Self {
            session_timeout_ms: number("consumer.session.timeout.ms"),
            heartbeat_interval_ms: number("consumer.heartbeat.interval.ms"),
            assignment_interval_ms: number("consumer.assignment.interval.ms"),
        }
    }
}
