//! All topic properties of Kafka 4, and Corelane's own: the rows, sorted by name.
//!
//! `message.format.version`, `message.downconversion.enable` and
//! `message.timestamp.difference.max.ms` ended with Kafka 4.0; as there, they are unknown names
//! here.

use super::definition::{
    ConfigDefinition,
    ConfigKind::{Boolean, Double, Int, List, Long, String},
    Effect::{Later, Never, Now},
    ValidValues::{Any, AtLeast, Between, BetweenOr, ListOf, OneOf, ThrottledReplicas},
    find, hours, minutes, row, same,
};

const MIB: i64 = 1024 * 1024;
/// `Long.MAX_VALUE`: Kafka's "no limit" of times and counts.
const UNLIMITED: &str = "9223372036854775807";

/// The row of a topic property, by its exact name.
pub fn topic_config(name: &str) -> Option<&'static ConfigDefinition> {
    find(TOPIC_CONFIGS, name)
}

pub static TOPIC_CONFIGS: &[ConfigDefinition] = &[
    row("cleanup.policy", List, "delete", ListOf(&["compact", "delete"]), Now,
        "What happens to old segments: 'delete' drops them by time and size; 'compact' keeps the last record of each key.")
        .with(&[same("log.cleanup.policy")]),
    row("compression.gzip.level", Int, "-1", BetweenOr(1, 9, -1), Later,
        "The level used when compression.type is gzip; -1 is the codec's own default.")
        .with(&[same("compression.gzip.level")]),
    row("compression.lz4.level", Int, "9", Between(1, 17), Later,
        "The level used when compression.type is lz4.")
        .with(&[same("compression.lz4.level")]),
    row("compression.type", String, "producer",
        OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), Later,
        "The codec that batches are stored with; 'producer' keeps what the producer chose.")
        .with(&[same("compression.type")]),
    row("compression.zstd.level", Int, "3", Between(-131_072, 22), Later,
        "The level used when compression.type is zstd.")
        .with(&[same("compression.zstd.level")]),
    row("corelane.durability", String, "fsync", OneOf(&["fsync", "memory"]), Now,
        "When a record counts as stored: 'fsync' acknowledges and serves it once it is on stable storage, 'memory' at once, and a crash may lose it.")
        .with(&[same("corelane.durability")]),
    row("delete.retention.ms", Long, "86400000", AtLeast(0), Now,
        "How long compaction keeps the marker of a deleted key.")
        .with(&[same("log.cleaner.delete.retention.ms")]),
    row("file.delete.delay.ms", Long, "60000", AtLeast(0), Never,
        "Kafka's wait before it unlinks a file; Corelane unlinks once the removal is durable and no read holds the file.")
        .with(&[same("log.segment.delete.delay.ms")]),
    row("flush.messages", Long, UNLIMITED, AtLeast(1), Never,
        "Kafka's records between two syncs; in Corelane an acknowledged record is already on stable storage.")
        .with(&[same("log.flush.interval.messages")]),
    row("flush.ms", Long, UNLIMITED, AtLeast(0), Never,
        "Kafka's time between two syncs; in Corelane an acknowledged record is already on stable storage.")
        .with(&[same("log.flush.interval.ms"), same("log.flush.scheduler.interval.ms")]),
    row("follower.replication.throttled.replicas", List, "", ThrottledReplicas, Later,
        "Replicas whose catching up is throttled on the follower: '*' or partition:broker pairs."),
    row("index.interval.bytes", Int, "4096", AtLeast(0), Now,
        "Bytes of a segment between two entries of its offset index.")
        .with(&[same("log.index.interval.bytes")]),
    ConfigDefinition::new("internal.segment.bytes", Int, None, Any, Now,
        "A segment size below segment.bytes' minimum, for tests only.").internal(),
    row("leader.replication.throttled.replicas", List, "", ThrottledReplicas, Later,
        "Replicas whose catching up is throttled on the leader: '*' or partition:broker pairs."),
    row("local.retention.bytes", Long, "-2", AtLeast(-2), Never,
        "Bytes of a partition kept on local disks when segments also go to remote storage; -2 follows retention.bytes.")
        .with(&[same("log.local.retention.bytes")]),
    row("local.retention.ms", Long, "-2", AtLeast(-2), Never,
        "Time for which segments stay on local disks when they also go to remote storage; -2 follows retention.ms.")
        .with(&[same("log.local.retention.ms")]),
    row("max.compaction.lag.ms", Long, UNLIMITED, AtLeast(1), Now,
        "The longest time for which a record may escape compaction.")
        .with(&[same("log.cleaner.max.compaction.lag.ms")]),
    row("max.message.bytes", Int, "1048588", AtLeast(0), Now,
        "The largest record batch that is accepted, compressed, its 12 leading bytes included.")
        .with(&[same("message.max.bytes")]),
    row("message.timestamp.after.max.ms", Long, "3600000", AtLeast(0), Now,
        "How far a record's timestamp may lie ahead of the broker's clock, with CreateTime.")
        .with(&[same("log.message.timestamp.after.max.ms")]),
    row("message.timestamp.before.max.ms", Long, UNLIMITED, AtLeast(0), Now,
        "How far a record's timestamp may lie behind the broker's clock, with CreateTime.")
        .with(&[same("log.message.timestamp.before.max.ms")]),
    row("message.timestamp.type", String, "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]), Now,
        "Whose clock a record's timestamp comes from: the producer's or the broker's.")
        .with(&[same("log.message.timestamp.type")]),
    row("min.cleanable.dirty.ratio", Double, "0.5", Between(0, 1), Now,
        "The part of a log that must be new before compaction is worth it.")
        .with(&[same("log.cleaner.min.cleanable.ratio")]),
    row("min.compaction.lag.ms", Long, "0", AtLeast(0), Now,
        "The shortest time for which every record is kept before compaction.")
        .with(&[same("log.cleaner.min.compaction.lag.ms")]),
    row("min.insync.replicas", Int, "1", AtLeast(1), Now,
        "In-sync replicas that a produce with acks=all needs, whatever the number of the topic's replicas is.")
        .with(&[same("min.insync.replicas")]),
    row("preallocate", Boolean, "false", Any, Never,
        "Kafka's switch for allocating segments ahead; Corelane always does, in steps that grow with the write rate.")
        .with(&[same("log.preallocate")]),
    row("remote.copy.lag.bytes", Long, "0", AtLeast(-1), Never,
        "Bytes by which copying to remote storage may lag."),
    row("remote.copy.lag.ms", Long, "0", AtLeast(-1), Never,
        "Time by which copying to remote storage may lag."),
    row("remote.log.copy.disable", Boolean, "false", Any, Never,
        "Stops copying segments to remote storage."),
    row("remote.log.delete.on.disable", Boolean, "false", Any, Never,
        "Drops the remote segments when remote storage is turned off."),
    row("remote.storage.enable", Boolean, "false", Any, Never,
        "Copies segments to remote storage; this node has none, so only 'false' is accepted."),
    row("retention.bytes", Long, "-1", Any, Now,
        "Bytes of a partition beyond which its oldest segments are deleted; -1 for no limit.")
        .with(&[same("log.retention.bytes")]),
    row("retention.ms", Long, "604800000", AtLeast(-1), Now,
        "Age at which segments are deleted; -1 for no limit.")
        .with(&[same("log.retention.ms"), minutes("log.retention.minutes"), hours("log.retention.hours")]),
    row("segment.bytes", Int, "1073741824", AtLeast(MIB), Now,
        "Size at which a segment is closed and the next one begins.")
        .with(&[same("log.segment.bytes")]),
    row("segment.index.bytes", Int, "10485760", AtLeast(4), Now,
        "Bytes of an offset index at which its segment is closed; Corelane does not preallocate it.")
        .with(&[same("log.index.size.max.bytes")]),
    row("segment.jitter.ms", Long, "0", AtLeast(0), Later,
        "The most that is taken off segment.ms, so that segments do not all roll at once.")
        .with(&[same("log.roll.jitter.ms"), hours("log.roll.jitter.hours")]),
    row("segment.ms", Long, "604800000", AtLeast(1), Now,
        "Age at which a segment is closed even if it is not full.")
        .with(&[same("log.roll.ms"), hours("log.roll.hours")]),
    row("unclean.leader.election.enable", Boolean, "false", Any, Later,
        "Lets a replica that is not in sync become leader when no other is left, at the price of records.")
        .with(&[same("unclean.leader.election.enable")]),
];
