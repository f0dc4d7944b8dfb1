//! The tables against Kafka's rules: names, ranges, texts, layers.

mod groups;

use alloc::{format, string::ToString, vec, vec::Vec};

use protocol::Str;

use super::{
    BROKER_CONFIGS, CleanupPolicy, Compression, ConfigError, ConfigKind, ConfigLayers,
    ConfigSource, Durability, Effect, GROUP_CONFIGS, Overrides, StaticBrokerConfig, TOPIC_CONFIGS,
    TimestampType, TopicConfig, broker_config, describe, topic_config,
    validate::{validate_broker_config, validate_topic_configs},
    value::parse,
};

static NONE: Overrides = Overrides::new();

fn overrides(entries: &[(&str, &str)]) -> Overrides {
    entries.iter().map(|(name, value)| (Str::from(*name), Str::from(*value))).collect()
}

fn configured(entries: &[(&str, &str)]) -> StaticBrokerConfig {
    StaticBrokerConfig::new(overrides(entries)).unwrap()
}

fn validated(entries: &[(&str, &str)]) -> Result<(), ConfigError> {
    let (topic, configured) = (overrides(entries), StaticBrokerConfig::default());
    validate_topic_configs(&ConfigLayers {
        topic: &topic,
        group: &NONE,
        broker: &NONE,
        broker_default: &NONE,
        configured: &configured,
    })
}

fn resolved(entries: &[(&str, &str)]) -> TopicConfig {
    let (topic, configured) = (overrides(entries), StaticBrokerConfig::default());
    TopicConfig::resolve(&ConfigLayers {
        topic: &topic,
        group: &NONE,
        broker: &NONE,
        broker_default: &NONE,
        configured: &configured,
    })
}

#[test]
fn tables_are_sorted_without_duplicates_and_their_defaults_are_valid() {
    for table in [TOPIC_CONFIGS, GROUP_CONFIGS, BROKER_CONFIGS] {
        assert!(table.is_sorted_by(|a, b| a.name < b.name));
        for row in table {
            if let Some(default) = row.default {
                let parsed = parse(row, default).unwrap();
                assert_eq!(parsed.to_text(), default, "{} is in Kafka's spelling", row.name);
            }
            assert!(!row.doc.is_empty());
        }
    }
}

#[test]
fn every_topic_default_is_what_the_broker_defaults_give() {
    let configured = StaticBrokerConfig::default();
    let layers = ConfigLayers {
        topic: &NONE,
        group: &NONE,
        broker: &NONE,
        broker_default: &NONE,
        configured: &configured,
    };
    for row in TOPIC_CONFIGS.iter().chain(GROUP_CONFIGS) {
        for synonym in row.synonyms {
            assert!(broker_config(synonym.name).is_some(), "{} is in the table", synonym.name);
        }
        let effective = layers.effective(row).map(|(text, _)| text);
        assert_eq!(effective.as_deref(), row.default, "{}", row.name);
    }
}

#[test]
fn all_topic_properties_of_kafka_4_are_known_and_the_ended_ones_are_not() {
    let known = [
        "cleanup.policy",
        "compression.gzip.level",
        "compression.lz4.level",
        "compression.type",
        "compression.zstd.level",
        "delete.retention.ms",
        "file.delete.delay.ms",
        "flush.messages",
        "flush.ms",
        "follower.replication.throttled.replicas",
        "index.interval.bytes",
        "internal.segment.bytes",
        "leader.replication.throttled.replicas",
        "local.retention.bytes",
        "local.retention.ms",
        "max.compaction.lag.ms",
        "max.message.bytes",
        "message.timestamp.after.max.ms",
        "message.timestamp.before.max.ms",
        "message.timestamp.type",
        "min.cleanable.dirty.ratio",
        "min.compaction.lag.ms",
        "min.insync.replicas",
        "preallocate",
        "remote.copy.lag.bytes",
        "remote.copy.lag.ms",
        "remote.log.copy.disable",
        "remote.log.delete.on.disable",
        "remote.storage.enable",
        "retention.bytes",
        "retention.ms",
        "segment.bytes",
        "segment.index.bytes",
        "segment.jitter.ms",
        "segment.ms",
        "unclean.leader.election.enable",
    ];
    for name in known {
        assert!(topic_config(name).is_some(), "{name}");
    }
    assert_eq!(TOPIC_CONFIGS.len(), known.len() + 1, "and Corelane's own");
    for name in [
        "message.format.version",
        "message.downconversion.enable",
        "message.timestamp.difference.max.ms",
    ] {
        let error = validated(&[(name, "x")]).unwrap_err();
        assert_eq!(error.to_string(), format!("Unknown topic config name: {name}"));
    }
}

/// Name, value, and the text of the refusal; an empty text is acceptance.
const VALUES: &[(&str, &str, &str)] = &[
    ("cleanup.policy", "delete", ""),
    ("cleanup.policy", "compact, delete", ""),
    ("cleanup.policy", "", ""),
    (
        "cleanup.policy",
        "delete,delete",
        "Configuration 'cleanup.policy' values must not be duplicated.",
    ),
    ("cleanup.policy", "delete,", "Configuration 'cleanup.policy' values must not be empty."),
    (
        "cleanup.policy",
        "purge",
        "Invalid value purge for configuration cleanup.policy: String must be one of: compact, delete",
    ),
    ("compression.gzip.level", "-1", ""),
    ("compression.gzip.level", "9", ""),
    (
        "compression.gzip.level",
        "0",
        "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1",
    ),
    (
        "compression.lz4.level",
        "18",
        "Invalid value 18 for configuration compression.lz4.level: Value must be no more than 17",
    ),
    (
        "compression.zstd.level",
        "-131073",
        "Invalid value -131073 for configuration compression.zstd.level: Value must be at least -131072",
    ),
    ("compression.type", "zstd", ""),
    (
        "compression.type",
        "ZSTD",
        "Invalid value ZSTD for configuration compression.type: String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer",
    ),
    ("corelane.durability", "memory", ""),
    (
        "corelane.durability",
        "disk",
        "Invalid value disk for configuration corelane.durability: String must be one of: fsync, memory",
    ),
    ("follower.replication.throttled.replicas", "*", ""),
    ("follower.replication.throttled.replicas", "0:1, 1:2", ""),
    (
        "leader.replication.throttled.replicas",
        "0:x",
        "Invalid value [0:x] for configuration leader.replication.throttled.replicas: leader.replication.throttled.replicas must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...",
    ),
    (
        "max.compaction.lag.ms",
        "0",
        "Invalid value 0 for configuration max.compaction.lag.ms: Value must be at least 1",
    ),
    (
        "max.message.bytes",
        "2147483648",
        "Invalid value 2147483648 for configuration max.message.bytes: Not a number of type INT",
    ),
    ("max.message.bytes", " 0 ", ""),
    ("min.cleanable.dirty.ratio", "1", ""),
    (
        "min.cleanable.dirty.ratio",
        "1.5",
        "Invalid value 1.5 for configuration min.cleanable.dirty.ratio: Value must be no more than 1",
    ),
    (
        "min.cleanable.dirty.ratio",
        "-0.1",
        "Invalid value -0.1 for configuration min.cleanable.dirty.ratio: Value must be at least 0",
    ),
    (
        "min.cleanable.dirty.ratio",
        "NaN",
        "Invalid value NaN for configuration min.cleanable.dirty.ratio: Not a number of type DOUBLE",
    ),
    ("preallocate", "TRUE", ""),
    (
        "preallocate",
        "yes",
        "Invalid value yes for configuration preallocate: Expected value to be either true or false",
    ),
    ("remote.storage.enable", "false", ""),
    (
        "remote.storage.enable",
        "true",
        "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.",
    ),
    ("retention.bytes", "-5", ""),
    ("retention.ms", "-1", ""),
    (
        "retention.ms",
        "-2",
        "Invalid value -2 for configuration retention.ms: Value must be at least -1",
    ),
    (
        "retention.ms",
        "7d",
        "Invalid value 7d for configuration retention.ms: Not a number of type LONG",
    ),
    (
        "segment.bytes",
        "1048575",
        "Invalid value 1048575 for configuration segment.bytes: Value must be at least 1048576",
    ),
    ("internal.segment.bytes", "100", ""),
    (
        "segment.index.bytes",
        "3",
        "Invalid value 3 for configuration segment.index.bytes: Value must be at least 4",
    ),
];

/// Names and values with what is said of them; nothing of those that are accepted.
fn check_values(
    values: &[(&str, &str, &str)],
    validated: impl Fn(&[(&str, &str)]) -> Result<(), ConfigError>,
) {
    for (name, value, expected) in values {
        let text =
            validated(&[(name, value)]).map_or_else(|error| error.to_string(), |()| "".into());
        assert_eq!(text, *expected, "{name}={value}");
    }
}

#[test]
fn values_are_accepted_and_refused_as_by_kafka() {
    check_values(VALUES, validated);
}

#[test]
fn a_value_longer_than_kafka_can_carry_is_refused() {
    let long = "0:1,".repeat(10_000);
    let error = validated(&[("leader.replication.throttled.replicas", &long)]).unwrap_err();
    assert!(matches!(error, ConfigError::ValueTooLong { bytes: 40_000, .. }));
}

#[test]
fn compaction_lags_may_not_cross_whatever_layer_they_come_from() {
    let error = validated(&[("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "9")]);
    assert_eq!(error, Err(ConfigError::CompactionLagsCross { min_ms: 10, max_ms: 9 }));
    let (topic, configured) = (
        overrides(&[("min.compaction.lag.ms", "10")]),
        configured(&[("log.cleaner.max.compaction.lag.ms", "5")]),
    );
    let layers = ConfigLayers {
        topic: &topic,
        group: &NONE,
        broker: &NONE,
        broker_default: &NONE,
        configured: &configured,
    };
    let error = validate_topic_configs(&layers).unwrap_err();
    assert_eq!(
        error.to_string(),
        "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)"
    );
}

#[test]
fn broker_properties_are_dynamic_or_not() {
    let check = |name: &str, value: &str| {
        validate_broker_config(&Str::from(name), Some(&Str::from(value))).map_err(|e| e.to_string())
    };
    assert_eq!(check("log.retention.ms", "1000"), Ok(()));
    assert!(check("log.segment.bytes", "1").unwrap_err().contains("at least 1048576"));
    assert!(
        check("num.partitions", "3")
            .unwrap_err()
            .starts_with("Cannot update these configs dynamically: Set(num.partitions)")
    );
    assert_eq!(check("no.such", "3").unwrap_err(), "Unknown broker config name: no.such");
    let file = StaticBrokerConfig::new(overrides(&[("no.such", "1")]));
    assert_eq!(file, Err(ConfigError::UnknownBrokerConfig { name: Str::from("no.such") }));
    assert!(StaticBrokerConfig::new(overrides(&[("num.partitions", "0")])).is_err());
}

#[test]
fn the_nearest_layer_wins_and_all_are_listed() {
    let topic = overrides(&[("retention.ms", "1")]);
    let broker = overrides(&[("log.retention.ms", "2")]);
    let broker_default = overrides(&[("log.retention.ms", "3")]);
    let configured = configured(&[("log.retention.minutes", "4"), ("log.retention.hours", "5")]);
    let layers = ConfigLayers {
        topic: &topic,
        group: &NONE,
        broker: &broker,
        broker_default: &broker_default,
        configured: &configured,
    };
    let row = topic_config("retention.ms").unwrap();
    let found: Vec<_> =
        layers.of_own_config(row).into_iter().map(|s| (s.name, s.value, s.source)).collect();
    let expected = [
        ("retention.ms", "1", ConfigSource::DynamicTopic),
        ("log.retention.ms", "2", ConfigSource::DynamicBroker),
        ("log.retention.ms", "3", ConfigSource::DynamicDefaultBroker),
        ("log.retention.minutes", "4", ConfigSource::StaticBroker),
        ("log.retention.hours", "5", ConfigSource::StaticBroker),
        ("log.retention.hours", "168", ConfigSource::Default),
    ];
    assert_eq!(found, expected.map(|(name, value, source)| (name, value.to_string(), source)));

    let mut layers = layers;
    let effective = |layers: &ConfigLayers<'_>| layers.effective(row).unwrap();
    assert_eq!(effective(&layers), ("1".to_string(), ConfigSource::DynamicTopic));
    layers.topic = &NONE;
    assert_eq!(effective(&layers), ("2".to_string(), ConfigSource::DynamicBroker));
    layers.broker = &NONE;
    assert_eq!(effective(&layers), ("3".to_string(), ConfigSource::DynamicDefaultBroker));
    layers.broker_default = &NONE;
    assert_eq!(effective(&layers), ("240000".to_string(), ConfigSource::StaticBroker));
}

#[test]
fn a_stored_value_that_is_invalid_gives_way_to_the_next_layer() {
    let config = resolved(&[("retention.ms", "nonsense"), ("unknown.name", "x")]);
    assert_eq!(config.retention.retention_ms, Some(604_800_000));
}

#[test]
fn the_view_of_no_overrides_is_kafkas_default_and_durable() {
    let config = resolved(&[]);
    assert_eq!(config.durability, Durability::Fsync);
    assert_eq!(config.cleanup, CleanupPolicy { delete: true, compact: false });
    assert_eq!(config.retention.retention_ms, Some(604_800_000));
    assert_eq!(config.retention.retention_bytes, None);
    assert_eq!(config.segment.segment_bytes, 1 << 30);
    assert_eq!(config.segment.index_interval_bytes, 4096);
    assert_eq!(config.timestamp.timestamp_type, TimestampType::CreateTime);
    assert_eq!(config.timestamp.before_max_ms, None);
    assert_eq!(config.timestamp.after_max_ms, Some(3_600_000));
    assert_eq!(config.flush.flush_messages, None);
    assert_eq!(config.compression, Compression::Producer);
    assert_eq!(config.max_message_bytes, 1_048_588);
    assert_eq!(config.min_insync_replicas, 1);
}

#[test]
fn the_view_types_what_was_set() {
    let config = resolved(&[
        ("cleanup.policy", "compact, delete"),
        ("compression.type", "zstd"),
        ("compression.zstd.level", "7"),
        ("corelane.durability", "memory"),
        ("internal.segment.bytes", "4096"),
        ("max.compaction.lag.ms", "5"),
        ("message.timestamp.type", "LogAppendTime"),
        ("min.cleanable.dirty.ratio", "0.25"),
        ("retention.bytes", "100"),
        ("retention.ms", "-1"),
    ]);
    assert_eq!(config.cleanup, CleanupPolicy { delete: true, compact: true });
    assert_eq!(config.compression, Compression::Zstd { level: 7 });
    assert_eq!(config.durability, Durability::Memory);
    assert_eq!(config.segment.segment_bytes, 4096);
    assert_eq!(config.compaction.max_compaction_lag_ms, Some(5));
    assert_eq!(config.timestamp.timestamp_type, TimestampType::LogAppendTime);
    assert!((config.compaction.min_cleanable_dirty_ratio - 0.25).abs() < f64::EPSILON);
    assert_eq!(config.retention.retention_bytes, Some(100));
    assert_eq!(config.retention.retention_ms, None);
}

#[test]
fn describing_a_topic_lists_every_property_with_source_and_documentation() {
    let topic = overrides(&[("cleanup.policy", " compact "), ("preallocate", "TRUE")]);
    let configured = configured(&[("log.segment.bytes", "2097152")]);
    let layers = ConfigLayers {
        topic: &topic,
        group: &NONE,
        broker: &NONE,
        broker_default: &NONE,
        configured: &configured,
    };
    let described = describe::describe_topic(&layers);
    assert_eq!(described.len(), TOPIC_CONFIGS.len() - 1, "all but the internal one");
    let find = |name: &str| described.iter().find(|entry| entry.name == name).unwrap();
    assert_eq!(find("cleanup.policy").value.as_deref(), Some("compact"));
    assert_eq!(find("cleanup.policy").source, ConfigSource::DynamicTopic);
    assert_eq!(find("cleanup.policy").kind, ConfigKind::List);
    assert_eq!(find("cleanup.policy").effect, Effect::Now);
    assert_eq!(find("preallocate").value.as_deref(), Some("true"));
    assert_eq!(find("segment.bytes").value.as_deref(), Some("2097152"));
    assert_eq!(find("segment.bytes").source, ConfigSource::StaticBroker);
    assert_eq!(find("segment.bytes").synonyms.len(), 2);
    assert_eq!(find("retention.ms").value.as_deref(), Some("604800000"));
    assert_eq!(find("retention.ms").source, ConfigSource::Default);
    assert!(find("flush.ms").documentation.ends_with("without effect here.)"));
    assert!(described.iter().all(|entry| !entry.read_only && !entry.sensitive));
    let topic = overrides(&[("internal.segment.bytes", "9")]);
    let layers = ConfigLayers { topic: &topic, ..layers };
    assert_eq!(describe::describe_topic(&layers).len(), TOPIC_CONFIGS.len());
}

#[test]
fn describing_brokers_tells_file_and_dynamic_values_apart() {
    let broker_default = overrides(&[("log.retention.ms", "5")]);
    let configured = configured(&[("num.partitions", "3"), ("node.id", "1")]);
    let layers = ConfigLayers {
        topic: &NONE,
        group: &NONE,
        broker: &NONE,
        broker_default: &broker_default,
        configured: &configured,
    };
    let described = describe::describe_broker(&layers);
    assert_eq!(described.len(), BROKER_CONFIGS.len());
    let find = |name: &str| described.iter().find(|entry| entry.name == name).unwrap();
    assert_eq!(find("num.partitions").value.as_deref(), Some("3"));
    assert_eq!(find("num.partitions").source, ConfigSource::StaticBroker);
    assert!(find("num.partitions").read_only);
    assert!(!find("log.retention.ms").read_only);
    assert_eq!(find("log.retention.ms").source, ConfigSource::DynamicDefaultBroker);
    assert_eq!(find("log.dirs").value, None);
    let defaults = describe::describe_broker_default(&layers);
    let listed: Vec<_> = defaults.iter().map(|e| (e.name, e.value.as_deref())).collect();
    assert_eq!(listed, vec![("log.retention.ms", Some("5"))]);
}

/// `segment.index.bytes` closes segments and was said to have no effect.
#[test]
fn a_topic_property_and_its_defaults_property_have_effect_together() {
    for row in TOPIC_CONFIGS.iter().chain(GROUP_CONFIGS) {
        for synonym in row.synonyms {
            let default = broker_config(synonym.name).expect(synonym.name);
            assert_eq!(row.effect, default.effect, "{} and {}", row.name, synonym.name);
        }
    }
    assert_eq!(topic_config("segment.index.bytes").unwrap().effect, Effect::Now);
}
