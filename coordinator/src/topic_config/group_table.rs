//! The properties of single groups: the rows, sorted by name, and the bounds that the broker's properties set them.
//!
//! A group has a configuration whether it exists or not, as in Kafka: an operator sets it before the first member
//! joins.

use super::definition::{
    ConfigDefinition,
    ConfigKind::{Boolean, Int, String},
    Effect::{Later, Now},
    ValidValues::{Any, AtLeast, OffsetReset, OneOf},
    find, row, same,
};

/// The row of a group's property, by its exact name.
pub fn group_config(name: &str) -> Option<&'static ConfigDefinition> {
    find(GROUP_CONFIGS, name)
}

pub static GROUP_CONFIGS: &[ConfigDefinition] = &[
    row(
        "consumer.assignment.interval.ms",
        Int,
        "1000",
        AtLeast(0),
        Now,
        "Time between two assignments of a group of the consumer protocol.",
    )
    .with(&[same("group.consumer.assignment.interval.ms")]),
    row(
        "consumer.heartbeat.interval.ms",
        Int,
        "5000",
        AtLeast(1),
        Now,
        "Time between two heartbeats of a member of the consumer protocol.",
    )
    .with(&[same("group.consumer.heartbeat.interval.ms")]),
    row(
        "consumer.session.timeout.ms",
        Int,
        "45000",
        AtLeast(1),
        Now,
        "Time without a heartbeat after which a member of the consumer protocol has left.",
    )
    .with(&[same("group.consumer.session.timeout.ms")]),
    row(
        "share.assignment.interval.ms",
        Int,
        "1000",
        AtLeast(0),
        Later,
        "Time between two assignments of a share group.",
    )
    .with(&[same("group.share.assignment.interval.ms")]),
    row(
        "share.auto.offset.reset",
        String,
        "latest",
        OffsetReset,
        Later,
        "Where a share group begins: 'earliest', 'latest', or 'by_duration:' and how long ago in ISO 8601, as PT1H.",
    ),
    row(
        "share.delivery.count.limit",
        Int,
        "5",
        AtLeast(2),
        Later,
        "How often a record is delivered to a share group at the most.",
    )
    .with(&[same("group.share.delivery.count.limit")]),
    row(
        "share.heartbeat.interval.ms",
        Int,
        "5000",
        AtLeast(1),
        Later,
        "Time between two heartbeats of a member of a share group.",
    )
    .with(&[same("group.share.heartbeat.interval.ms")]),
    row(
        "share.isolation.level",
        String,
        "read_uncommitted",
        OneOf(&["read_committed", "read_uncommitted"]),
        Later,
        "Whether a share group gets only what is committed, or also what open and aborted transactions wrote.",
    ),
    row(
        "share.partition.max.record.locks",
        Int,
        "2000",
        AtLeast(100),
        Later,
        "Records of a partition that a share group may have locked.",
    )
    .with(&[same("group.share.partition.max.record.locks")]),
    row(
        "share.record.lock.duration.ms",
        Int,
        "30000",
        AtLeast(1000),
        Later,
        "Time for which a share group locks a record that it delivered.",
    )
    .with(&[same("group.share.record.lock.duration.ms")]),
    row(
        "share.renew.acknowledge.enable",
        Boolean,
        "true",
        Any,
        Later,
        "Whether a member of a share group may renew its lock of a record.",
    ),
    row(
        "share.session.timeout.ms",
        Int,
        "45000",
        AtLeast(1),
        Later,
        "Time without a heartbeat after which a member of a share group has left.",
    )
    .with(&[same("group.share.session.timeout.ms")]),
    row(
        "streams.assignment.interval.ms",
        Int,
        "1000",
        AtLeast(0),
        Later,
        "Time between two assignments of a streams group.",
    )
    .with(&[same("group.streams.assignment.interval.ms")]),
    row(
        "streams.heartbeat.interval.ms",
        Int,
        "5000",
        AtLeast(1),
        Later,
        "Time between two heartbeats of a member of a streams group.",
    )
    .with(&[same("group.streams.heartbeat.interval.ms")]),
    row(
        "streams.initial.rebalance.delay.ms",
        Int,
        "3000",
        AtLeast(0),
        Later,
        "Time that the first rebalance of a streams group waits for more members.",
    )
    .with(&[same("group.streams.initial.rebalance.delay.ms")]),
    row(
        "streams.num.standby.replicas",
        Int,
        "0",
        AtLeast(0),
        Later,
        "Standby replicas of each task of a streams group.",
    )
    .with(&[same("group.streams.num.standby.replicas")]),
    row(
        "streams.session.timeout.ms",
        Int,
        "45000",
        AtLeast(1),
        Later,
        "Time without a heartbeat after which a member of a streams group has left.",
    )
    .with(&[same("group.streams.session.timeout.ms")]),
];

/// The broker properties between which a group's property lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupBounds {
    pub(crate) name: &'static str,
    pub(crate) min: Option<&'static str>,
    pub(crate) max: Option<&'static str>,
}

const fn bounds(name: &'static str, min: &'static str, max: &'static str) -> GroupBounds {
    GroupBounds { name, min: Some(min), max: Some(max) }
}

/// In the order in which Kafka checks them.
pub(crate) static GROUP_BOUNDS: &[GroupBounds] = &[
    bounds(
        "consumer.heartbeat.interval.ms",
        "group.consumer.min.heartbeat.interval.ms",
        "group.consumer.max.heartbeat.interval.ms",
    ),
    bounds(
        "consumer.session.timeout.ms",
        "group.consumer.min.session.timeout.ms",
        "group.consumer.max.session.timeout.ms",
    ),
    bounds(
        "consumer.assignment.interval.ms",
        "group.consumer.min.assignment.interval.ms",
        "group.consumer.max.assignment.interval.ms",
    ),
    bounds(
        "share.heartbeat.interval.ms",
        "group.share.min.heartbeat.interval.ms",
        "group.share.max.heartbeat.interval.ms",
    ),
    bounds(
        "share.session.timeout.ms",
        "group.share.min.session.timeout.ms",
        "group.share.max.session.timeout.ms",
    ),
    bounds(
        "share.record.lock.duration.ms",
        "group.share.min.record.lock.duration.ms",
        "group.share.max.record.lock.duration.ms",
    ),
    bounds(
        "share.delivery.count.limit",
        "group.share.min.delivery.count.limit",
        "group.share.max.delivery.count.limit",
    ),
    bounds(
        "share.partition.max.record.locks",
        "group.share.min.partition.max.record.locks",
        "group.share.max.partition.max.record.locks",
    ),
    bounds(
        "share.assignment.interval.ms",
        "group.share.min.assignment.interval.ms",
        "group.share.max.assignment.interval.ms",
    ),
    bounds(
        "streams.heartbeat.interval.ms",
        "group.streams.min.heartbeat.interval.ms",
        "group.streams.max.heartbeat.interval.ms",
    ),
    bounds(
        "streams.session.timeout.ms",
        "group.streams.min.session.timeout.ms",
        "group.streams.max.session.timeout.ms",
    ),
    GroupBounds {
        name: "streams.num.standby.replicas",
        min: None,
        max: Some("group.streams.max.standby.replicas"),
    },
    bounds(
        "streams.assignment.interval.ms",
        "group.streams.min.assignment.interval.ms",
        "group.streams.max.assignment.interval.ms",
    ),
];

/// Properties that have to be greater than others: sessions outlast the time between two heartbeats.
pub(crate) static GROUP_SESSIONS: &[(&str, &str)] = &[
    ("consumer.session.timeout.ms", "consumer.heartbeat.interval.ms"),
    ("share.session.timeout.ms", "share.heartbeat.interval.ms"),
    ("streams.session.timeout.ms", "streams.heartbeat.interval.ms"),
];
