//! Groups' properties: Kafka's names, ranges, bounds and texts.

use alloc::{format, string::ToString, vec, vec::Vec};

use super::{NONE, check_values, configured, overrides};
use crate::{
    group::GroupConfig,
    topic_config::{
        ConfigError, ConfigLayers, ConfigSource, Effect, GROUP_CONFIGS, GroupBoundError,
        StaticBrokerConfig, broker_config, describe, group_config,
        group_table::{GROUP_BOUNDS, GROUP_SESSIONS, GroupBounds},
        validate::validate_group_configs,
    },
};

fn validated_over(file: &StaticBrokerConfig, entries: &[(&str, &str)]) -> Result<(), ConfigError> {
    let group = overrides(entries);
    validate_group_configs(&ConfigLayers {
        topic: &NONE,
        group: &group,
        broker: &NONE,
        broker_default: &NONE,
        configured: file,
    })
}

fn validated(entries: &[(&str, &str)]) -> Result<(), ConfigError> {
    validated_over(&StaticBrokerConfig::default(), entries)
}

#[test]
fn all_group_properties_of_kafka_4_are_known() {
    let known = [
        "consumer.assignment.interval.ms",
        "consumer.heartbeat.interval.ms",
        "consumer.session.timeout.ms",
        "share.assignment.interval.ms",
        "share.auto.offset.reset",
        "share.delivery.count.limit",
        "share.heartbeat.interval.ms",
        "share.isolation.level",
        "share.partition.max.record.locks",
        "share.record.lock.duration.ms",
        "share.renew.acknowledge.enable",
        "share.session.timeout.ms",
        "streams.assignment.interval.ms",
        "streams.heartbeat.interval.ms",
        "streams.initial.rebalance.delay.ms",
        "streams.num.standby.replicas",
        "streams.session.timeout.ms",
    ];
    assert_eq!(GROUP_CONFIGS.iter().map(|row| row.name).collect::<Vec<_>>(), known);
    for row in GROUP_CONFIGS {
        let is_of_consumers = row.name.starts_with("consumer.");
        let expected = if is_of_consumers { Effect::Now } else { Effect::Later };
        assert_eq!(row.effect, expected, "{}", row.name);
    }
    let error = validated(&[("retention.ms", "1")]).unwrap_err();
    assert_eq!(error.to_string(), "Unknown group config name: retention.ms");
}

/// Name, value, and the text of the refusal; an empty text is acceptance.
const VALUES: &[(&str, &str, &str)] = &[
    ("consumer.session.timeout.ms", "6000", ""),
    ("consumer.session.timeout.ms", " 60000 ", ""),
    (
        "consumer.session.timeout.ms",
        "soon",
        "Invalid value soon for configuration consumer.session.timeout.ms: Not a number of type INT",
    ),
    (
        "consumer.session.timeout.ms",
        "0",
        "Invalid value 0 for configuration consumer.session.timeout.ms: Value must be at least 1",
    ),
    (
        "consumer.session.timeout.ms",
        "5999",
        "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms",
    ),
    (
        "consumer.session.timeout.ms",
        "60001",
        "consumer.session.timeout.ms must be less than or equal to group.consumer.max.session.timeout.ms",
    ),
    (
        "consumer.heartbeat.interval.ms",
        "4999",
        "consumer.heartbeat.interval.ms must be greater than or equal to group.consumer.min.heartbeat.interval.ms",
    ),
    ("consumer.assignment.interval.ms", "0", ""),
    (
        "consumer.assignment.interval.ms",
        "15001",
        "consumer.assignment.interval.ms must be less than or equal to group.consumer.max.assignment.interval.ms",
    ),
    (
        "share.session.timeout.ms",
        "6000",
        "share.session.timeout.ms must be greater than or equal to group.share.min.session.timeout.ms",
    ),
    ("streams.num.standby.replicas", "2", ""),
    (
        "streams.num.standby.replicas",
        "3",
        "streams.num.standby.replicas must be less than or equal to group.streams.max.standby.replicas",
    ),
    ("share.auto.offset.reset", "earliest", ""),
    ("share.auto.offset.reset", "by_duration:PT1H", ""),
    ("share.auto.offset.reset", "by_duration:p1dt2h3m4.5s", ""),
    ("share.auto.offset.reset", "by_duration:P2D", ""),
    (
        "share.auto.offset.reset",
        "LATEST",
        "Invalid value LATEST for configuration share.auto.offset.reset: Invalid value `LATEST` for configuration share.auto.offset.reset. The value must be either 'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'.",
    ),
    ("share.isolation.level", "read_committed", ""),
    (
        "share.isolation.level",
        "READ_COMMITTED",
        "Invalid value READ_COMMITTED for configuration share.isolation.level: String must be one of: read_committed, read_uncommitted",
    ),
];

#[test]
fn values_are_accepted_and_refused_as_by_kafka() {
    check_values(VALUES, validated);
}

#[test]
fn durations_are_those_of_iso_8601() {
    for no in ["", "1H", "P", "PT", "P1", "P1DT", "PTH", "PT1", "PT1M1H", "P1H", "PT.5S", "-PT1S"] {
        let value = format!("by_duration:{no}");
        let refused = validated(&[("share.auto.offset.reset", &value)]);
        assert!(matches!(refused, Err(ConfigError::NotAnOffsetReset { .. })), "{no}");
    }
    for yes in ["PT0S", "PT1H2M", "PT3M4S", "P1DT1H", "PT1,123456789S"] {
        let value = format!("by_duration:{yes}");
        assert_eq!(validated(&[("share.auto.offset.reset", &value)]), Ok(()), "{yes}");
    }
}

#[test]
fn the_brokers_properties_bound_the_groups() {
    let file = configured(&[
        ("group.consumer.min.session.timeout.ms", "20000"),
        ("group.consumer.max.heartbeat.interval.ms", "6000"),
    ]);
    let error = validated_over(&file, &[("consumer.session.timeout.ms", "19999")]).unwrap_err();
    let (name, bound) = ("consumer.session.timeout.ms", "group.consumer.min.session.timeout.ms");
    assert_eq!(error, ConfigError::GroupBound(GroupBoundError::Below { name, bound }));
    assert_eq!(validated_over(&file, &[("consumer.session.timeout.ms", "20000")]), Ok(()));
    let error = validated_over(&file, &[("consumer.heartbeat.interval.ms", "6001")]).unwrap_err();
    let (name, bound) =
        ("consumer.heartbeat.interval.ms", "group.consumer.max.heartbeat.interval.ms");
    assert_eq!(error, ConfigError::GroupBound(GroupBoundError::Above { name, bound }));
}

#[test]
fn a_session_outlasts_the_heartbeats_whatever_layer_they_come_from() {
    let both =
        [("consumer.session.timeout.ms", "10000"), ("consumer.heartbeat.interval.ms", "10000")];
    let error = validated(&both).unwrap_err();
    assert_eq!(
        error.to_string(),
        "consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms"
    );
    let file = configured(&[("group.consumer.heartbeat.interval.ms", "7000")]);
    assert!(validated_over(&file, &[("consumer.session.timeout.ms", "7000")]).is_err());
    assert_eq!(validated_over(&file, &[("consumer.session.timeout.ms", "7001")]), Ok(()));
}

/// Also where nothing is set: a node's defaults never keep an operator from changing something else.
#[test]
fn bounds_and_sessions_are_of_properties_that_there_are_and_hold_for_the_defaults() {
    assert_eq!(validated(&[]), Ok(()));
    for GroupBounds { name, min, max } in GROUP_BOUNDS {
        let row = group_config(name).expect(name);
        for bound in [*min, *max].into_iter().flatten() {
            assert!(broker_config(bound).is_some_and(|bound| bound.effect == row.effect));
        }
        assert_eq!(validated(&[(name, row.default.unwrap())]), Ok(()), "{name}");
    }
    for (session, heartbeat) in GROUP_SESSIONS {
        assert!(group_config(session).is_some() && group_config(heartbeat).is_some());
    }
}

#[test]
fn describing_a_group_lists_every_property_with_what_stands_behind_it() {
    let group = overrides(&[("consumer.session.timeout.ms", " 6000")]);
    let file = configured(&[("group.consumer.heartbeat.interval.ms", "6000")]);
    let layers = ConfigLayers {
        topic: &NONE,
        group: &group,
        broker: &NONE,
        broker_default: &NONE,
        configured: &file,
    };
    let described = describe::describe_group(&layers);
    assert_eq!(described.len(), GROUP_CONFIGS.len());
    let shown = |name: &str| {
        let entry = described.iter().find(|entry| entry.name == name).unwrap();
        let synonyms = entry.synonyms.iter().map(|of| (of.name, of.source)).collect::<Vec<_>>();
        (entry.value.as_deref().unwrap(), entry.source, synonyms)
    };
    let (group, file, default) =
        (ConfigSource::DynamicGroup, ConfigSource::StaticBroker, ConfigSource::Default);
    let behind = "group.consumer.session.timeout.ms";
    let synonyms = vec![("consumer.session.timeout.ms", group), (behind, default)];
    assert_eq!(shown("consumer.session.timeout.ms"), ("6000", group, synonyms));
    let behind = "group.consumer.heartbeat.interval.ms";
    let synonyms = vec![(behind, file), (behind, default)];
    assert_eq!(shown("consumer.heartbeat.interval.ms"), ("6000", file, synonyms));
    let synonyms = vec![("share.isolation.level", default)];
    assert_eq!(shown("share.isolation.level"), ("read_uncommitted", default, synonyms));
    assert!(described.iter().all(|entry| !entry.read_only && !entry.sensitive));
}

#[test]
fn what_a_coordinator_acts_on_passes_over_what_is_invalid() {
    let config = GroupConfig::of(&overrides(&[
        ("consumer.session.timeout.ms", " 6000"),
        ("consumer.heartbeat.interval.ms", "often"),
        ("share.session.timeout.ms", "50000"),
    ]));
    let expected = GroupConfig { session_timeout_ms: Some(6_000), ..GroupConfig::default() };
    assert_eq!(config, expected);
}
