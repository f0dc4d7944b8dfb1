//! Overrides of topics and brokers, both ways of changing them.

use alloc::{format, string::ToString, vec, vec::Vec};

use protocol::{BrokerId, Str};

use super::{NODE, NOW, apply, create, delete, set_configs, started, started_with, text, topic_id};
use crate::{
    limits::{GROUP_CONFIG_BYTES_MAX, GROUP_NAME_BYTES_MAX, RECORDS_PER_DECISION_MAX},
    metadata::{
        AlterConfigs, ConfigResource, IncrementalAlterConfigs, Metadata, TopicNameError,
        alter_configs::{AlterConfigError, AlterConfigsError, ConfigChange, ConfigOperation},
    },
    topic_config::{ConfigError, ConfigSource},
};

use ConfigOperation::{Append, Delete, Set, Subtract};

fn topic_a() -> ConfigResource {
    ConfigResource::Topic(text("a"))
}

fn change(name: &str, operation: ConfigOperation, value: Option<&str>) -> ConfigChange {
    ConfigChange { name: text(name), operation, value: value.map(text) }
}

fn incremental(resource: ConfigResource, changes: Vec<ConfigChange>) -> IncrementalAlterConfigs {
    IncrementalAlterConfigs { resources: vec![(resource, changes)], validate_only: false }
}

fn refused(
    metadata: &Metadata,
    resource: ConfigResource,
    changes: Vec<ConfigChange>,
) -> AlterConfigError {
    let decision = metadata.decide(NOW, &incremental(resource, changes)).unwrap();
    assert_eq!(decision.records, vec![]);
    decision.reply[0].1.clone().unwrap_err()
}

fn overrides(metadata: &Metadata) -> Vec<(&str, &str)> {
    let topic = metadata.image().topic_by_name("a").unwrap();
    topic.configs().iter().map(|(name, value)| (&**name, &**value)).collect()
}

#[test]
fn alter_configs_replaces_every_override() {
    let mut metadata = started(1);
    create(&mut metadata, "a", 1, 1);
    set_configs(&mut metadata, "a", &[("retention.ms", "1"), ("segment.ms", "2")]);
    set_configs(&mut metadata, "a", &[("segment.ms", "2"), ("flush.ms", "3")]);
    assert_eq!(overrides(&metadata), vec![("flush.ms", "3"), ("segment.ms", "2")]);
    let command = AlterConfigs { resources: vec![(topic_a(), vec![])], validate_only: true };
    assert_eq!(metadata.decide(NOW, &command).unwrap().records, vec![]);
    let command = AlterConfigs { validate_only: false, ..command };
    assert_eq!(metadata.decide(NOW, &command).unwrap().records.len(), 2);
    apply(&mut metadata, &command).unwrap();
    assert_eq!(overrides(&metadata), vec![]);
}

#[test]
fn incremental_changes_touch_what_they_name() {
    let mut metadata = started(1);
    create(&mut metadata, "a", 1, 1);
    set_configs(&mut metadata, "a", &[("retention.ms", "1"), ("segment.ms", "2")]);
    let changes = vec![
        change("retention.ms", Set, Some("9")),
        change("segment.ms", Delete, None),
        change("segment.bytes", Delete, Some("ignored")),
        change("cleanup.policy", Append, Some("compact,delete")),
    ];
    let reply = apply(&mut metadata, &incremental(topic_a(), changes)).unwrap();
    assert_eq!(reply[0].1, Ok(()));
    let expected = vec![("cleanup.policy", "delete,compact"), ("retention.ms", "9")];
    assert_eq!(overrides(&metadata), expected, "the default was the list to add to");
    let changes = vec![change("cleanup.policy", Subtract, Some("delete, nothing"))];
    apply(&mut metadata, &incremental(topic_a(), changes)).unwrap();
    assert_eq!(overrides(&metadata)[0], ("cleanup.policy", "compact"));
    let same = vec![change("retention.ms", Set, Some("9"))];
    let decision = metadata.decide(NOW, &incremental(topic_a(), same)).unwrap();
    assert_eq!(decision.records, vec![], "nothing changed");
}

#[test]
fn a_resource_is_refused_for_each_reason_in_order() {
    let mut metadata = started(1);
    create(&mut metadata, "a", 1, 1);
    let set = |name, value| change(name, Set, value);
    let twice = vec![set("x", None), set("x", Some("1"))];
    assert_eq!(refused(&metadata, topic_a(), twice), AlterConfigError::DuplicateNames);
    let unknown_broker = ConfigResource::Broker(BrokerId(7));
    let error = refused(&metadata, unknown_broker.clone(), vec![set("x", None)]);
    assert_eq!(error, AlterConfigError::NullValues { names: vec![text("x")] });
    assert_eq!(error.to_string(), "Null value not supported for : x");
    let error = refused(&metadata, unknown_broker, vec![set("x", Some("1"))]);
    assert_eq!(error, AlterConfigError::UnknownBroker { broker: BrokerId(7) });
    let bad_name = ConfigResource::Topic(Str::from("a/b"));
    let error =
        refused(&metadata, bad_name.clone(), vec![change("retention.ms", Append, Some("1"))]);
    assert_eq!(error.to_string(), "Can't APPEND to key retention.ms because its type is not LIST.");
    let error = refused(&metadata, bad_name, vec![set("retention.ms", Some("x"))]);
    assert!(matches!(
        error,
        AlterConfigError::InvalidTopicName(TopicNameError::IllegalCharacter { .. })
    ));
    let unknown = ConfigResource::Topic(text("b"));
    let error = refused(&metadata, unknown.clone(), vec![set("retention.ms", Some("x"))]);
    assert!(matches!(error, AlterConfigError::Config(ConfigError::NotANumber { .. })));
    let error = refused(&metadata, unknown, vec![set("retention.ms", Some("1"))]);
    assert_eq!(error, AlterConfigError::UnknownTopic);
    let error = refused(&metadata, topic_a(), vec![set("no.such", Some("1"))]);
    assert_eq!(error.to_string(), "Unknown topic config name: no.such");
}

#[test]
fn one_refused_resource_stops_no_other_and_duplicates_are_refused_each() {
    let mut metadata = started(1);
    create(&mut metadata, "a", 1, 1);
    create(&mut metadata, "b", 2, 1);
    let b = || ConfigResource::Topic(text("b"));
    let set = || vec![(text("retention.ms"), Some(text("4")))];
    let resources = vec![(b(), set()), (topic_a(), set()), (b(), set())];
    let reply = apply(&mut metadata, &AlterConfigs { resources, validate_only: false }).unwrap();
    let results: Vec<_> = reply.into_iter().map(|(_, result)| result).collect();
    let duplicate = || Err(AlterConfigError::DuplicateResource);
    assert_eq!(results, vec![duplicate(), Ok(()), duplicate()]);
    assert_eq!(overrides(&metadata), vec![("retention.ms", "4")]);
}

#[test]
fn more_changes_than_one_batch_holds_are_refused() {
    let mut metadata = started(1);
    let topics = (0..5_001_u32).map(|n| {
        let mut id = [1; 16];
        id[..4].copy_from_slice(&n.to_be_bytes());
        (Str::from(alloc::format!("t{n}")), protocol::TopicId(id))
    });
    let topics: Vec<_> = topics.collect();
    let (first, rest) = topics.split_at(2_500);
    for part in [first, rest] {
        let create = crate::metadata::CreateTopics::automatic(part.iter().cloned());
        apply(&mut metadata, &create).unwrap();
    }
    let configs =
        || vec![(text("flush.ms"), Some(text("1"))), (text("segment.ms"), Some(text("1")))];
    let resources = topics.into_iter().map(|(name, _)| (ConfigResource::Topic(name), configs()));
    let command = AlterConfigs { resources: resources.collect(), validate_only: false };
    let error = metadata.decide(NOW, &command).unwrap_err();
    let records = RECORDS_PER_DECISION_MAX + 2;
    assert_eq!(error, AlterConfigsError::TooManyRecords { records });
}

#[test]
fn more_bytes_than_one_batch_holds_are_refused() {
    let mut metadata = started(1);
    let topics: Vec<_> =
        (1..140).map(|id| (Str::from(alloc::format!("t{id}")), topic_id(id))).collect();
    let create = crate::metadata::CreateTopics::automatic(topics.iter().cloned());
    apply(&mut metadata, &create).unwrap();
    let long = "0:1,".repeat(8_000);
    let configs = || vec![(text("leader.replication.throttled.replicas"), Some(text(&long)))];
    let resources = topics.into_iter().map(|(name, _)| (ConfigResource::Topic(name), configs()));
    let command = AlterConfigs { resources: resources.collect(), validate_only: false };
    let error = metadata.decide(NOW, &command).unwrap_err();
    assert!(matches!(error, AlterConfigsError::TooManyBytes { bytes: 4_448_000.. }), "{error}");
}

#[test]
fn broker_configs_are_dynamic_for_one_or_all_and_topics_inherit_them() {
    let mut metadata = started_with(1, &[("log.retention.hours", "1")]);
    create(&mut metadata, "a", 1, 1);
    let retention =
        |metadata: &Metadata| metadata.topic_config(topic_id(1)).unwrap().retention.retention_ms;
    assert_eq!(retention(&metadata), Some(3_600_000));
    let set = |value| vec![change("log.retention.ms", Set, Some(value))];
    apply(&mut metadata, &incremental(ConfigResource::BrokerDefault, set("20"))).unwrap();
    assert_eq!(retention(&metadata), Some(20));
    apply(&mut metadata, &incremental(ConfigResource::Broker(NODE), set("10"))).unwrap();
    assert_eq!(retention(&metadata), Some(10));
    let described = metadata.describe_broker_configs();
    let entry = described.iter().find(|entry| entry.name == "log.retention.ms").unwrap();
    assert_eq!((entry.value.as_deref(), entry.source), (Some("10"), ConfigSource::DynamicBroker));
    assert_eq!(metadata.describe_broker_default_configs().len(), 1);
    let topic = metadata.image().topic(topic_id(1)).unwrap().configs().clone();
    let described = metadata.describe_topic_configs(&topic);
    let entry = described.iter().find(|entry| entry.name == "retention.ms").unwrap();
    assert_eq!(entry.synonyms.len(), 4);
    let delete = vec![change("log.retention.ms", Delete, None)];
    apply(&mut metadata, &incremental(ConfigResource::Broker(NODE), delete)).unwrap();
    assert_eq!(retention(&metadata), Some(20));
    assert!(metadata.image().broker_configs(NODE).is_none());

    let error = refused(
        &metadata,
        ConfigResource::BrokerDefault,
        vec![change("num.partitions", Set, Some("2"))],
    );
    assert!(matches!(error, AlterConfigError::Config(ConfigError::ReadOnlyBrokerConfig { .. })));
    let error = refused(&metadata, ConfigResource::Broker(NODE), vec![change("x", Set, Some("2"))]);
    assert!(matches!(error, AlterConfigError::Config(ConfigError::UnknownBrokerConfig { .. })));
}

#[test]
fn a_recreated_topic_inherits_nothing() {
    let mut metadata = started(1);
    create(&mut metadata, "a", 1, 1);
    set_configs(&mut metadata, "a", &[("retention.ms", "1")]);
    delete(&mut metadata, 1);
    create(&mut metadata, "a", 2, 1);
    assert_eq!(overrides(&metadata), vec![]);
}

fn group() -> ConfigResource {
    ConfigResource::Group(text("payments"))
}

const SESSION: &str = "consumer.session.timeout.ms";

#[test]
fn a_group_is_configured_whether_it_exists_or_not_and_deleting_returns_to_the_default() {
    let mut metadata = started(1);
    let session = |metadata: &Metadata| {
        let config = metadata.group_config("payments")?;
        config.session_timeout_ms
    };
    let set = vec![change(SESSION, Set, Some("6000")), change("share.isolation.level", Set, None)];
    let nulls = refused(&metadata, group(), set);
    assert!(matches!(nulls, AlterConfigError::NullValues { .. }));
    let set = |value| vec![change(SESSION, Set, Some(value))];
    apply(&mut metadata, &incremental(group(), set("6000"))).unwrap();
    assert_eq!(session(&metadata), Some(6_000));
    assert_eq!(metadata.group_config("other"), None);
    let described = metadata.describe_group_configs("payments");
    let entry = described.iter().find(|entry| entry.name == SESSION).unwrap();
    assert_eq!((entry.value.as_deref(), entry.source), (Some("6000"), ConfigSource::DynamicGroup));
    let described = metadata.describe_group_configs("other");
    let entry = described.iter().find(|entry| entry.name == SESSION).unwrap();
    assert_eq!((entry.value.as_deref(), entry.source), (Some("45000"), ConfigSource::Default));

    let error = refused(&metadata, group(), set("5999"));
    assert!(matches!(error, AlterConfigError::Config(ConfigError::GroupBound(_))));
    let error = refused(&metadata, group(), vec![change("no.such", Set, Some("1"))]);
    assert_eq!(error.to_string(), "Unknown group config name: no.such");
    let error = refused(&metadata, group(), vec![change(SESSION, Append, Some("1"))]);
    assert_eq!(
        error.to_string(),
        format!("Can't APPEND to key {SESSION} because its type is not LIST.")
    );

    // All of a group's at once: what is not named returns to its default.
    let configs = vec![(text("share.isolation.level"), Some(text("read_committed")))];
    let replace = AlterConfigs { resources: vec![(group(), configs)], validate_only: false };
    apply(&mut metadata, &replace).unwrap();
    assert_eq!(metadata.group_config("payments"), None, "the coordinator acts on nothing of it");
    assert!(metadata.image().group_configs("payments").is_some());
    let delete = vec![change("share.isolation.level", Delete, None)];
    apply(&mut metadata, &incremental(group(), delete)).unwrap();
    assert_eq!(metadata.image().configured_groups().count(), 0);
}

#[test]
fn a_snapshot_keeps_the_configurations_of_groups() {
    let mut metadata = started(1);
    let set = vec![change(SESSION, Set, Some("6000"))];
    apply(&mut metadata, &incremental(group(), set)).unwrap();
    let mut copy = super::empty();
    for record in metadata.snapshot_records() {
        copy.replay(&record).unwrap();
    }
    assert_eq!(copy.image(), metadata.image());
    assert_eq!(copy.group_config("payments").unwrap().session_timeout_ms, Some(6_000));
}

/// Names of groups are long if somebody wants: what they set is bounded, and what is taken back counts no more.
#[test]
fn groups_have_room_for_so_much_configuration() {
    let mut metadata = started(1);
    let name = "g".repeat(GROUP_NAME_BYTES_MAX - 4);
    let long = |at: usize| ConfigResource::Group(Str::from(alloc::format!("{at:04}{name}")));
    let set = || vec![change(SESSION, Set, Some("6000"))];
    let each = GROUP_NAME_BYTES_MAX + SESSION.len() + 4;
    let room = GROUP_CONFIG_BYTES_MAX / each;
    for at in 0..room - 1 {
        let reply = apply(&mut metadata, &incremental(long(at), set())).unwrap();
        assert_eq!(reply[0].1, Ok(()));
    }
    // Two in one request: the one that finds no room keeps nothing from the other.
    let resources = vec![(long(room - 1), set()), (long(room), set())];
    let command = IncrementalAlterConfigs { resources, validate_only: false };
    let reply = apply(&mut metadata, &command).unwrap();
    let results: Vec<_> = reply.into_iter().map(|(_, result)| result).collect();
    assert_eq!(results, vec![Ok(()), Err(AlterConfigError::NoRoomForGroup)]);
    assert_eq!(refused(&metadata, long(room), set()), AlterConfigError::NoRoomForGroup);
    let same = metadata.decide(NOW, &incremental(long(0), set())).unwrap();
    assert_eq!((same.records, &same.reply[0].1), (vec![], &Ok(())));
    apply(&mut metadata, &incremental(long(0), vec![change(SESSION, Delete, None)])).unwrap();
    let reply = apply(&mut metadata, &incremental(long(room), set())).unwrap();
    assert_eq!(reply[0].1, Ok(()));
}
