//! The broker properties that rule groups.

use coordinator::Metadata;
use coordinator::group::consumer::Assignor;
use coordinator::group::settings::{ConsumerSettings, GroupSettings, MigrationPolicy, Ruled};
use coordinator::limits::{GROUP_MEMBERS_MAX, OFFSET_METADATA_BYTES_MAX};

pub(super) fn group_settings(metadata: &Metadata) -> GroupSettings {
    let text = |name: &str| metadata.broker_config_value(name).expect("it has a default");
    let number = |name: &str| -> i64 { text(name).parse().expect("the property is a number") };
    let millis = |name: &str| i32::try_from(number(name)).unwrap_or(i32::MAX);
    let positive = |name: &str| u64::try_from(number(name)).unwrap_or(0);
    let count = |name: &str, max: usize| usize::try_from(number(name)).unwrap_or(0).min(max);
    GroupSettings {
        session_timeout_min_ms: millis("group.min.session.timeout.ms"),
        session_timeout_max_ms: millis("group.max.session.timeout.ms"),
        initial_rebalance_delay_ms: positive("group.initial.rebalance.delay.ms"),
        members_max: count("group.max.size", GROUP_MEMBERS_MAX),
        offset_metadata_max: count("offset.metadata.max.bytes", OFFSET_METADATA_BYTES_MAX),
        offsets_retention_ms: number("offsets.retention.minutes").saturating_mul(60_000),
        offsets_retention_check_ms: positive("offsets.retention.check.interval.ms"),
        consumer: ConsumerSettings {
            session_timeout: Ruled {
                ms: millis("group.consumer.session.timeout.ms"),
                min_ms: millis("group.consumer.min.session.timeout.ms"),
                max_ms: millis("group.consumer.max.session.timeout.ms"),
            },
            heartbeat_interval: Ruled {
                ms: millis("group.consumer.heartbeat.interval.ms"),
                min_ms: millis("group.consumer.min.heartbeat.interval.ms"),
                max_ms: millis("group.consumer.max.heartbeat.interval.ms"),
            },
            assignment_interval: Ruled {
                ms: millis("group.consumer.assignment.interval.ms"),
                min_ms: millis("group.consumer.min.assignment.interval.ms"),
                max_ms: millis("group.consumer.max.assignment.interval.ms"),
            },
            members_max: count("group.consumer.max.size", GROUP_MEMBERS_MAX),
            assignors: assignors(&text("group.consumer.assignors")),
            migration: MigrationPolicy::parse(&text("group.consumer.migration.policy"))
                .unwrap_or_default(),
            regex_refresh_ms: positive("group.consumer.regex.refresh.interval.ms"),
        },
    }
}

/// Those of the list that are known, in its order; all where none is.
fn assignors(list: &str) -> Vec<Assignor> {
    let known: Vec<Assignor> =
        list.split(',').filter_map(|name| Assignor::parse(name.trim())).collect();
    if known.is_empty() { ConsumerSettings::default().assignors } else { known }
}
