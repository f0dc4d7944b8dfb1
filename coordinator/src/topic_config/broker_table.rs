//! The broker properties that mean something to Corelane, or that tools look for: the rows, sorted
//! by name.
//!
//! A property without a default is the node's own (its id, listeners, directories): the node gives
//! it at start.

use super::definition::{
    BrokerSynonym, ConfigDefinition, ConfigKind,
    ConfigKind::{Boolean, Double, Int, List, Long, Short, String},
    Effect,
    Effect::{Later, Never, Now},
    ValidValues,
    ValidValues::{Any, AtLeast, Between, BetweenOr, ListOf, OneOf},
    find, hours, minutes, row, same,
};

const MIB: i64 = 1024 * 1024;
const UNLIMITED: &str = "9223372036854775807";
const INT_MAX: &str = "2147483647";

const RETENTION: &[BrokerSynonym] =
    &[same("log.retention.ms"), minutes("log.retention.minutes"), hours("log.retention.hours")];
const ROLL: &[BrokerSynonym] = &[same("log.roll.ms"), hours("log.roll.hours")];
const JITTER: &[BrokerSynonym] = &[same("log.roll.jitter.ms"), hours("log.roll.jitter.hours")];
const FLUSH: &[BrokerSynonym] =
    &[same("log.flush.interval.ms"), same("log.flush.scheduler.interval.ms")];

/// The row of a broker property, by its exact name.
pub fn broker_config(name: &str) -> Option<&'static ConfigDefinition> {
    find(BROKER_CONFIGS, name)
}

const fn unset(
    name: &'static str,
    kind: ConfigKind,
    valid: ValidValues,
    effect: Effect,
    doc: &'static str,
) -> ConfigDefinition {
    ConfigDefinition::new(name, kind, None, valid, effect, doc)
}

pub static BROKER_CONFIGS: &[ConfigDefinition] = &[
    unset("advertised.listeners", String, Any, Now, "The addresses that clients are told to connect to.").read_only(),
    row("auto.create.topics.enable", Boolean, "true", Any, Now, "Whether asking for the metadata of an unknown topic creates it.").read_only(),
    unset("broker.id", Int, AtLeast(0), Now, "This node's id.").read_only(),
    unset("broker.rack", String, Any, Later, "The rack this node stands in.").read_only(),
    row("compression.gzip.level", Int, "-1", BetweenOr(1, 9, -1), Later, "Default of the topic property of the same name."),
    row("compression.lz4.level", Int, "9", Between(1, 17), Later, "Default of the topic property of the same name."),
    row("compression.type", String, "producer", OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), Later, "Default of the topic property of the same name."),
    row("compression.zstd.level", Int, "3", Between(-131_072, 22), Later, "Default of the topic property of the same name."),
    row("connections.max.idle.ms", Long, "600000", Any, Now, "Time without a request after which a connection is closed; negative for never.").read_only(),
    row("corelane.durability", String, "fsync", OneOf(&["fsync", "memory"]), Now, "Default of the topic property of the same name; changing it changes what an acknowledgement promises, so it needs a restart.").read_only(),
    row("default.replication.factor", Int, "1", AtLeast(1), Now, "Replicas of a topic whose creator named none.").read_only(),
    row("delete.topic.enable", Boolean, "true", Any, Now, "Whether topics may be deleted.").read_only(),
    row("fetch.max.bytes", Int, "57671680", AtLeast(1024), Now, "The most bytes that one fetch response carries, within 4 MiB.").read_only(),
    row("group.consumer.assignment.interval.ms", Int, "1000", AtLeast(0), Now, "Time between two assignments of a group of the consumer protocol.").read_only(),
    row("group.consumer.assignors", List, "uniform,range", ListOf(&["uniform", "range"]), Now, "The assignors of the consumer protocol; the first is the default.").read_only(),
    row("group.consumer.heartbeat.interval.ms", Int, "5000", AtLeast(1), Now, "Time between two heartbeats of a member of the consumer protocol.").read_only(),
    row("group.consumer.max.assignment.interval.ms", Int, "15000", AtLeast(0), Now, "The longest assignment interval that a group may have.").read_only(),
    row("group.consumer.max.heartbeat.interval.ms", Int, "15000", AtLeast(1), Now, "The longest heartbeat interval that a group may have.").read_only(),
    row("group.consumer.max.session.timeout.ms", Int, "60000", AtLeast(1), Now, "The longest session timeout that a group of the consumer protocol may have.").read_only(),
    row("group.consumer.max.size", Int, INT_MAX, AtLeast(1), Now, "The most members of a group of the consumer protocol, within 10,000.").read_only(),
    row("group.consumer.migration.policy", String, "bidirectional", OneOf(&["bidirectional", "upgrade", "downgrade", "disabled"]), Now, "Which groups change between the classic and the consumer protocol while they live.").read_only(),
    row("group.consumer.min.assignment.interval.ms", Int, "0", AtLeast(0), Now, "The shortest assignment interval that a group may have.").read_only(),
    row("group.consumer.min.heartbeat.interval.ms", Int, "5000", AtLeast(1), Now, "The shortest heartbeat interval that a group may have.").read_only(),
    row("group.consumer.min.session.timeout.ms", Int, "6000", AtLeast(1), Now, "The shortest session timeout that a group of the consumer protocol may have; as of classic groups, where Kafka has 45000.").read_only(),
    row("group.consumer.regex.refresh.interval.ms", Int, "600000", AtLeast(1), Now, "Time after which regular expressions of subscriptions are looked at again without a reason.").read_only(),
    row("group.consumer.session.timeout.ms", Int, "45000", AtLeast(1), Now, "Time without a heartbeat after which a member of the consumer protocol has left.").read_only(),
    row("group.initial.rebalance.delay.ms", Int, "3000", AtLeast(0), Now, "Time that the first rebalance of an empty group waits for more members.").read_only(),
    row("group.max.session.timeout.ms", Int, "1800000", Any, Now, "The longest session timeout that a member of a classic group may ask for.").read_only(),
    row("group.max.size", Int, INT_MAX, AtLeast(1), Now, "The most members of a classic group, within 10,000.").read_only(),
    row("group.min.session.timeout.ms", Int, "6000", Any, Now, "The shortest session timeout that a member of a classic group may ask for.").read_only(),
    row("group.share.assignment.interval.ms", Int, "1000", AtLeast(0), Later, "Time between two assignments of a share group.").read_only(),
    row("group.share.delivery.count.limit", Int, "5", Between(2, 10), Later, "How often a record is delivered to a share group at the most.").read_only(),
    row("group.share.heartbeat.interval.ms", Int, "5000", AtLeast(1), Later, "Time between two heartbeats of a member of a share group.").read_only(),
    row("group.share.max.assignment.interval.ms", Int, "15000", AtLeast(0), Later, "The longest assignment interval that a share group may have.").read_only(),
    row("group.share.max.delivery.count.limit", Int, "10", Between(5, 25), Later, "The most deliveries of a record that a share group may ask for.").read_only(),
    row("group.share.max.heartbeat.interval.ms", Int, "15000", AtLeast(1), Later, "The longest heartbeat interval that a share group may have.").read_only(),
    row("group.share.max.partition.max.record.locks", Int, "4000", Between(2_000, 10_000), Later, "The most locked records that a share group may ask for.").read_only(),
    row("group.share.max.record.lock.duration.ms", Int, "60000", Between(30_000, 3_600_000), Later, "The longest lock of a record that a share group may ask for.").read_only(),
    row("group.share.max.session.timeout.ms", Int, "60000", AtLeast(1), Later, "The longest session timeout that a share group may have.").read_only(),
    row("group.share.min.assignment.interval.ms", Int, "0", AtLeast(0), Later, "The shortest assignment interval that a share group may have.").read_only(),
    row("group.share.min.delivery.count.limit", Int, "2", Between(2, 5), Later, "The fewest deliveries of a record that a share group may ask for.").read_only(),
    row("group.share.min.heartbeat.interval.ms", Int, "5000", AtLeast(1), Later, "The shortest heartbeat interval that a share group may have.").read_only(),
    row("group.share.min.partition.max.record.locks", Int, "100", Between(100, 2_000), Later, "The fewest locked records that a share group may ask for.").read_only(),
    row("group.share.min.record.lock.duration.ms", Int, "15000", Between(1_000, 30_000), Later, "The shortest lock of a record that a share group may ask for.").read_only(),
    row("group.share.min.session.timeout.ms", Int, "45000", AtLeast(1), Later, "The shortest session timeout that a share group may have.").read_only(),
    row("group.share.partition.max.record.locks", Int, "2000", Between(100, 10_000), Later, "Records of a partition that a share group may have locked.").read_only(),
    row("group.share.record.lock.duration.ms", Int, "30000", Between(1_000, 3_600_000), Later, "Time for which a share group locks a record that it delivered.").read_only(),
    row("group.share.session.timeout.ms", Int, "45000", AtLeast(1), Later, "Time without a heartbeat after which a member of a share group has left.").read_only(),
    row("group.streams.assignment.interval.ms", Int, "1000", AtLeast(0), Later, "Time between two assignments of a streams group.").read_only(),
    row("group.streams.heartbeat.interval.ms", Int, "5000", AtLeast(1), Later, "Time between two heartbeats of a member of a streams group.").read_only(),
    row("group.streams.initial.rebalance.delay.ms", Int, "3000", AtLeast(0), Later, "Time that the first rebalance of a streams group waits for more members.").read_only(),
    row("group.streams.max.assignment.interval.ms", Int, "15000", AtLeast(0), Later, "The longest assignment interval that a streams group may have.").read_only(),
    row("group.streams.max.heartbeat.interval.ms", Int, "15000", AtLeast(1), Later, "The longest heartbeat interval that a streams group may have.").read_only(),
    row("group.streams.max.session.timeout.ms", Int, "60000", AtLeast(1), Later, "The longest session timeout that a streams group may have.").read_only(),
    row("group.streams.max.standby.replicas", Int, "2", AtLeast(0), Later, "The most standby replicas that a streams group may ask for.").read_only(),
    row("group.streams.min.assignment.interval.ms", Int, "0", AtLeast(0), Later, "The shortest assignment interval that a streams group may have.").read_only(),
    row("group.streams.min.heartbeat.interval.ms", Int, "5000", AtLeast(1), Later, "The shortest heartbeat interval that a streams group may have.").read_only(),
    row("group.streams.min.session.timeout.ms", Int, "45000", AtLeast(1), Later, "The shortest session timeout that a streams group may have.").read_only(),
    row("group.streams.num.standby.replicas", Int, "0", AtLeast(0), Later, "Standby replicas of each task of a streams group.").read_only(),
    row("group.streams.session.timeout.ms", Int, "45000", AtLeast(1), Later, "Time without a heartbeat after which a member of a streams group has left.").read_only(),
    row("inter.broker.protocol.version", String, "3.9-IV0", Any, Never, "Tools read Kafka's feature level from this name.").read_only(),
    unset("listeners", String, Any, Now, "The addresses this node listens on.").read_only(),
    row("log.cleaner.backoff.ms", Long, "15000", AtLeast(0), Now, "How often logs to compact are looked for.").read_only(),
    row("log.cleaner.delete.retention.ms", Long, "86400000", AtLeast(0), Now, "Default of the topic property delete.retention.ms."),
    row("log.cleaner.max.compaction.lag.ms", Long, UNLIMITED, AtLeast(1), Now, "Default of the topic property max.compaction.lag.ms."),
    row("log.cleaner.min.cleanable.ratio", Double, "0.5", Between(0, 1), Now, "Default of the topic property min.cleanable.dirty.ratio."),
    row("log.cleaner.min.compaction.lag.ms", Long, "0", AtLeast(0), Now, "Default of the topic property min.compaction.lag.ms."),
    row("log.cleanup.policy", List, "delete", ListOf(&["compact", "delete"]), Now, "Default of the topic property cleanup.policy."),
    unset("log.dirs", List, Any, Now, "The log directories, separated by commas.").read_only(),
    row("log.flush.interval.messages", Long, UNLIMITED, AtLeast(1), Never, "Default of the topic property flush.messages."),
    unset("log.flush.interval.ms", Long, Any, Never, "Default of the topic property flush.ms.").with(FLUSH),
    row("log.flush.scheduler.interval.ms", Long, UNLIMITED, Any, Never, "Default of log.flush.interval.ms.").read_only(),
    row("log.index.interval.bytes", Int, "4096", AtLeast(0), Now, "Default of the topic property index.interval.bytes."),
    row("log.index.size.max.bytes", Int, "10485760", AtLeast(4), Now, "Default of the topic property segment.index.bytes."),
    row("log.local.retention.bytes", Long, "-2", AtLeast(-2), Never, "Default of the topic property local.retention.bytes."),
    row("log.local.retention.ms", Long, "-2", AtLeast(-2), Never, "Default of the topic property local.retention.ms."),
    row("log.message.timestamp.after.max.ms", Long, "3600000", AtLeast(0), Now, "Default of the topic property message.timestamp.after.max.ms."),
    row("log.message.timestamp.before.max.ms", Long, UNLIMITED, AtLeast(0), Now, "Default of the topic property message.timestamp.before.max.ms."),
    row("log.message.timestamp.type", String, "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]), Now, "Default of the topic property message.timestamp.type."),
    row("log.preallocate", Boolean, "false", Any, Never, "Default of the topic property preallocate."),
    row("log.retention.bytes", Long, "-1", Any, Now, "Default of the topic property retention.bytes."),
    row("log.retention.check.interval.ms", Long, "300000", AtLeast(1), Now, "Time between two looks for segments to delete.").read_only(),
    row("log.retention.hours", Int, "168", Any, Now, "Hours after which segments are deleted, where log.retention.minutes and log.retention.ms are not set.").with(RETENTION).read_only(),
    unset("log.retention.minutes", Int, Any, Now, "Minutes after which segments are deleted, where log.retention.ms is not set.").with(RETENTION).read_only(),
    unset("log.retention.ms", Long, AtLeast(-1), Now, "Default of the topic property retention.ms.").with(RETENTION),
    row("log.roll.hours", Int, "168", AtLeast(1), Now, "Hours after which a segment is closed, where log.roll.ms is not set.").with(ROLL).read_only(),
    row("log.roll.jitter.hours", Int, "0", AtLeast(0), Later, "The most hours taken off log.roll.hours, where log.roll.jitter.ms is not set.").with(JITTER).read_only(),
    unset("log.roll.jitter.ms", Long, AtLeast(0), Later, "Default of the topic property segment.jitter.ms.").with(JITTER),
    unset("log.roll.ms", Long, AtLeast(1), Now, "Default of the topic property segment.ms.").with(ROLL),
    row("log.segment.bytes", Int, "1073741824", AtLeast(MIB), Now, "Default of the topic property segment.bytes."),
    row("log.segment.delete.delay.ms", Long, "60000", AtLeast(0), Never, "Default of the topic property file.delete.delay.ms."),
    row("max.connections", Int, INT_MAX, AtLeast(0), Now, "The most connections this node keeps open, within what its memory allows.").read_only(),
    row("max.incremental.fetch.session.cache.slots", Int, "1000", AtLeast(0), Now, "The most fetch sessions this node keeps, in equal parts on its shards.").read_only(),
    row("message.max.bytes", Int, "1048588", AtLeast(0), Now, "Default of the topic property max.message.bytes."),
    row("min.insync.replicas", Int, "1", AtLeast(1), Now, "Default of the topic property of the same name."),
    unset("node.id", Int, AtLeast(0), Now, "This node's id.").read_only(),
    row("num.partitions", Int, "1", AtLeast(1), Now, "Partitions of a topic whose creator named no number.").read_only(),
    row("offset.metadata.max.bytes", Int, "4096", Any, Now, "The most bytes that a consumer may keep with a committed offset.").read_only(),
    row("offsets.retention.check.interval.ms", Long, "600000", AtLeast(1), Now, "Time between two looks for offsets to forget.").read_only(),
    row("offsets.retention.minutes", Int, "10080", AtLeast(1), Now, "Minutes after which the offsets of a group without members are forgotten.").read_only(),
    row("offsets.topic.num.partitions", Int, "50", AtLeast(1), Now, "Partitions of the topic that keeps consumer groups' offsets.").read_only(),
    row("offsets.topic.replication.factor", Short, "1", AtLeast(1), Now, "Replicas of the topic that keeps consumer groups' offsets, within the brokers that there are.").read_only(),
    row("offsets.topic.segment.bytes", Int, "104857600", AtLeast(MIB), Now, "Segment of the topic that keeps consumer groups' offsets.").read_only(),
    row("process.roles", List, "broker,controller", Any, Never, "A Corelane node is both.").read_only(),
    row("producer.id.expiration.ms", Int, "86400000", AtLeast(1), Now, "Time without a write after which an idempotent producer's state is dropped.").read_only(),
    row("socket.request.max.bytes", Int, "104857600", AtLeast(1), Now, "The largest request that is accepted.").read_only(),
    row("transaction.state.log.num.partitions", Int, "50", AtLeast(1), Later, "Partitions of the topic that keeps transactions.").read_only(),
    row("transaction.state.log.replication.factor", Short, "1", AtLeast(1), Later, "Replicas of the topic that keeps transactions.").read_only(),
    row("unclean.leader.election.enable", Boolean, "false", Any, Later, "Default of the topic property of the same name."),
];
