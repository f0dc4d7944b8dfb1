//! Named maxima of this crate, with the arithmetic behind each.

/// Records that one command may decide. One decision is one record batch in the metadata log, and a
/// batch is atomic: at 100 bytes a partition record this is 1 MB, which the journal takes in one
/// group. It is also Kafka's bound for one controller operation.
pub const RECORDS_PER_DECISION_MAX: usize = 10_000;

/// Bytes of the records that one command may decide. 10,000 partitions of three replicas are 0.9 MB;
/// 4 MiB leaves room for long configuration values and is a quarter of one journal file of the
/// controller shard (16 MiB).
pub const DECISION_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Decisions that may wait for their commit at once. At one journal write (about 0.2 ms) a group,
/// 1,024 waiting decisions are far more than the log can need to stay busy; beyond that the
/// controller stops taking requests.
pub const PROPOSALS_MAX: usize = 1_024;

/// Bytes of one encoded metadata record, checked before it is proposed and before it is decoded.
/// The largest is a broker with all its listeners and log directories: 16 × (249 + 255 + 8) + 64 ×
/// (4,096 + 32) = 272,384.
pub const RECORD_BYTES_MAX: usize = 512 * 1024;

/// Bytes of one configuration value: what Kafka's non-flexible strings can carry (i16 length).
pub const CONFIG_VALUE_BYTES_MAX: usize = 32_767;

/// Bytes of a group's name: what Kafka's strings can carry.
pub const GROUP_NAME_BYTES_MAX: usize = 32_767;

/// Bytes of names and values in the configurations of all groups, which every shard keeps and every snapshot
/// writes. A property of a group with a short name is about 55 bytes: 25,000 groups with three each.
pub const GROUP_CONFIG_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of a topic name: Kafka's limit. Directory names add `-<partition>` and must stay below 255
/// bytes.
pub const TOPIC_NAME_BYTES_MAX: usize = 249;

/// Data shards of one node. Shards are cores; the largest machines have 768 hardware threads today.
pub const SHARDS_MAX: u16 = 1_024;

/// Partitions of one shard that commands may bring about: what its journal is made for (the engine's bound, which
/// the broker compares with this one). A start with fewer shards can leave a shard more: they are served, and
/// it gets no new one.
pub const PARTITIONS_PER_SHARD_MAX: u32 = 8_192;

/// Listeners of one broker.
pub const LISTENERS_MAX: usize = 16;

/// Log directories of one broker: one per disk.
pub const LOG_DIRECTORIES_MAX: usize = 64;

/// Replicas of one partition; Kafka clients are tested with far fewer.
pub const REPLICAS_MAX: usize = 64;

/// Producer ids in one block: Kafka's constant. A node that restarts loses at most the rest of one
/// block, and 2^63 / 1,000 blocks outlast any cluster.
pub const PRODUCER_ID_BLOCK_MAX: u32 = 1_000;

/// Passes over all partitions when a changed shard count is balanced again. Each pass moves every
/// partition that can improve the balance; two suffice in the tests, the rest is headroom, and an
/// unfinished balance is no error.
pub const REBALANCE_PASSES_MAX: usize = 8;

/// Members of one group, whatever `group.max.size` says. A member with its metadata is about a kilobyte; ten
/// thousand of one group are 10 MB, and one decision answers all of them.
pub const GROUP_MEMBERS_MAX: usize = 10_000;

/// How long a new member may wait for its first rebalance without a word: Kafka's five minutes. It has no
/// member id to send heartbeats with.
pub const NEW_MEMBER_JOIN_MS_MAX: u64 = 300_000;

/// Before a rebalance to which nobody came, all being static, is tried again: members may have given it no time.
pub const REBALANCE_AGAIN_MS_MIN: u64 = 1_000;

/// Groups of one partition of `__consumer_offsets` that have members or a generation, and as many that have
/// offsets. With ids and maps a small group is about a kilobyte: 100 MB in each of the two, when full.
pub const GROUPS_MAX: usize = 100_000;

/// Bytes of what the members of one group say of themselves for all protocols that they know. A member of a
/// thousand subscribed topics says 50 KB; who would be too much is turned away from a full group.
pub const GROUP_SAID_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Bytes of a group's record: its members, what they say for the chosen protocol, and their assignments. One
/// record of one batch; a thousand members with a thousand partitions are 0.5 MB.
pub const GROUP_RECORD_BYTES_MAX: usize = 3 * 1024 * 1024;

/// Records that one decision about a group of the consumer protocol may write: a group of the largest size that
/// changes its protocol is three for each member.
pub const CONSUMER_DECISION_RECORDS_MAX: usize = 4 * GROUP_MEMBERS_MAX;

/// Bytes of what one member of the consumer protocol says of itself: a thousand topics of the longest names are
/// 250 KB.
pub const CONSUMER_MEMBER_BYTES_MAX: usize = 1024 * 1024;

/// Different regular expressions of one group. Each is matched with every topic when topics change.
pub const GROUP_REGEXES_MAX: usize = 100;

/// Bytes of a regular expression: a list of some hundred names.
pub const REGEX_BYTES_MAX: usize = 16 * 1024;

/// Bytes of a regular expression when compiled, and of what matching it keeps.
pub const REGEX_COMPILED_BYTES_MAX: usize = 1024 * 1024;

/// Repetitions that a regular expression may ask for: the bound of RE2.
pub const REGEX_REPETITIONS_MAX: usize = 1_000;

/// How soon regular expressions are looked up again when topics change: Kafka's ten seconds.
pub const REGEX_REFRESH_MS_MIN: u64 = 10_000;

/// Passes over all topics when members with different subscriptions are balanced. Members whose subscriptions do
/// not overlap need two; each further one about halves what is left.
pub const ASSIGNOR_PASSES_MAX: usize = 16;

/// Offsets that one OffsetCommit may bring: one record each, in one atomic batch.
pub const COMMIT_OFFSETS_MAX: usize = RECORDS_PER_DECISION_MAX;

/// Bytes of an offset's metadata, whatever `offset.metadata.max.bytes` says: what the records' strings can
/// carry (i16 length).
pub const OFFSET_METADATA_BYTES_MAX: usize = 32_767;

/// Offsets and groups that one decision looks at when it searches what has expired; the next one goes on from
/// there. At about 50 ns each, one step takes a millisecond.
pub const EXPIRY_VISITS_MAX: usize = 20_000;

/// Offsets that one decision takes away because their topics are gone: a millisecond or two, so that others are
/// answered in between.
pub const FORGOTTEN_OFFSETS_MAX: usize = 2_000;

const _: () = assert!(FORGOTTEN_OFFSETS_MAX <= RECORDS_PER_DECISION_MAX);
const _: () = assert!(GROUP_RECORD_BYTES_MAX < DECISION_BYTES_MAX);
const _: () = assert!(CONSUMER_MEMBER_BYTES_MAX < DECISION_BYTES_MAX);
const _: () = assert!(COMMIT_OFFSETS_MAX <= RECORDS_PER_DECISION_MAX);
const _: () = assert!(
    LISTENERS_MAX * (249 + 255 + 8) + LOG_DIRECTORIES_MAX * (4_096 + 32) < RECORD_BYTES_MAX
);
const _: () = assert!(RECORD_BYTES_MAX < DECISION_BYTES_MAX);
const _: () = assert!(GROUP_NAME_BYTES_MAX + CONFIG_VALUE_BYTES_MAX * 2 < RECORD_BYTES_MAX);
const _: () = assert!(SHARDS_MAX < crate::metadata::ShardId::COORDINATOR.0);
