//! Every bound of a shard and of the node, with the arithmetic behind it.
//!
//! Memory of a data shard (its arena of `M` bytes) is planned as
//!
//! ```text
//!   log tails              M / 2          engine: `EngineConfig::tail_bytes_max`; they begin with less
//! + responses              M / 4          slices that a client has not taken yet
//! + large requests         M / 8          blocks that frames are received into
//! + journal groups, reads  M / 8          blocks of disk operations
//! ```
//!
//! Beside the arena stand small requests (at most 16 MiB), the requests in progress, fetch sessions and
//! the metadata replica: some 40 MiB where everything is at its limit.

/// Requests in progress of one shard: 10,000 idle connections with one long poll each, and as many
/// again. At about 300 bytes each this is 6 MB.
pub const REQUESTS_MAX: usize = 20_000;

/// Of these, joins and syncs that wait for other members, for as long as a rebalance takes: those of all members
/// of 1,000 groups of 10, and half as many. Everybody else finds a place.
pub const GROUP_WAITS_MAX: usize = 15_000;

/// Bytes of a client id, or of an instance id, that stand in the id of a member: a longer name would leave no room
/// for what makes the id its own, in strings of 32,767 bytes.
pub const MEMBER_NAME_BYTES_MAX: usize = 255;

/// Answers of the engine and of owners that are waited for: each request asks for a few parts.
pub const WAITS_MAX: usize = 1 << 18;

/// Pieces of mail that may wait for one shard before no further frame is taken: a turn of a busy shard
/// sends some hundreds.
pub const MAIL_WAITING_MAX: usize = 4096;

/// Slots of each mailbox; a slot carries all the mail of one turn. 64 turns of a sender while the receiver
/// sleeps or works are far more than their turns differ.
pub const MAILBOX_SLOTS: usize = 64;

/// Bytes that one fetch response pins.
pub const RESPONSE_BYTES_MAX: usize = 4 << 20;

/// Requests for partitions of one other shard, in a row, after which a connection goes there: a client that has
/// just begun asks this and that.
pub const STEERED_AFTER_REQUESTS: u32 = 32;

/// A request or response of more bytes of records says that a client is after throughput rather than an early
/// answer: its connection stays where it is.
pub const STEERED_BYTES_MAX: usize = 32 << 10;

/// Times that a connection is moved at most; each time after four times as many requests as before.
pub const STEERED_TIMES_MAX: u32 = 8;

/// The least that an owner is allowed in a fetch with many owners: one batch of a usual size.
pub const OWNER_ALLOWANCE_BYTES_MIN: usize = 64 << 10;

/// Share of a shard's memory that all its responses may pin: 1 / 4.
pub const RESPONSES_MEMORY_DIVISOR: usize = 4;

/// A response takes at most this part of what responses may still pin: with 1 / 8, thirty clients that
/// read nothing leave something to the next one.
pub const RESPONSE_SHARE_DIVISOR: usize = 8;

/// Bytes that the answers to one request may collect from the group coordinator, or of configurations, counted as
/// they are in memory: some 200,000 offsets, or the descriptions of 30,000 members. A request that names groups
/// is small, whatever they hold.
pub const COLLECTED_BYTES_MAX: usize = 32 << 20;

/// And the least, where responses pin so much memory already: below it nothing is collected.
pub const COLLECTED_BYTES_MIN: usize = 1 << 20;

/// One request takes at most this part of what responses may still pin.
pub const COLLECTED_SHARE_DIVISOR: usize = 4;

/// Groups that one request asks about; clients ask again for the others. Some milliseconds of the coordinator
/// shard.
pub const GROUPS_ASKED_MAX: usize = 10_000;

/// Fetches that wait for room are looked at in turn, so many each turn of the shard.
pub const HELD_FETCHES_PER_TURN: usize = 64;

/// Fetches wait this long at most, whatever the client asks: half of what clients wait for an answer.
pub const FETCH_WAIT_MS_MAX: i32 = 15_000;

/// Fetch sessions of one shard, and partitions in all of them: at some 150 bytes each 15 MB.
pub const FETCH_SESSIONS_MAX: usize = 1_000;
pub const FETCH_SESSION_PARTITIONS_MAX: usize = 100_000;

/// A session that was used within this time is not evicted for another's sake: Kafka's two minutes.
pub const FETCH_SESSION_KEPT_MS: u64 = 120_000;

/// A produce request is given at least this long: acknowledgements wait for the disk, and a client that
/// sets no time would never see one.
pub const PRODUCE_TIMEOUT_MS_MIN: i32 = 1_000;

/// Bad records that one produce response names: at some hundred bytes each 100 KB. Of one batch it names
/// `protocol::limits::RECORDS_REFUSED_MAX`.
pub const RECORD_ERRORS_MAX: usize = 1_000;

/// Requests to the controller end after this long, whatever the client asks.
pub const COMMAND_TIMEOUT_MS_MAX: i32 = 120_000;

/// Metadata waits this long for topics that it creates; then they are LEADER_NOT_AVAILABLE for now.
pub const AUTO_CREATE_WAIT_MS: u64 = 5_000;

/// Questions to other shards are answered in microseconds; this is for a disk that stalls.
pub const QUERY_TIMEOUT_MS: u64 = 30_000;

/// Creating directories is tried again this often when it failed.
pub const RECONCILE_RETRY_MS: u64 = 1_000;

/// Partitions in one DescribeTopicPartitions response: Kafka's default limit.
pub const DESCRIBED_PARTITIONS_MAX: i32 = 2_000;

/// Topics that one metadata request may create.
pub const AUTO_CREATED_TOPICS_MAX: usize = 1_000;

/// Records of a batch are decompressed up to this much to find a timestamp: forty times the largest batch.
/// Nothing of it is kept.
pub const DECOMPRESSED_BYTES_MAX: usize = 40 << 20;

/// Producer ids that a shard takes from the controller at a time.
pub const PRODUCER_ID_BLOCK: u32 = 1_000;

/// Producers that wait for a block of ids.
pub const PRODUCERS_WAITING_MAX: usize = 10_000;

/// The metadata log gets a snapshot when this many records, and four times the snapshot, were added to it.
pub const METADATA_SNAPSHOT_RECORDS_MIN: i64 = 10_000;

/// Records of a snapshot in one batch: at up to 512 KiB a record the batch stays below the log's bound by
/// being cut at this many bytes too.
pub const METADATA_BATCH_BYTES: usize = 512 << 10;

/// Largest batch that the metadata log takes: a decision of 4 MiB and what frames its 10,000 records.
pub const METADATA_BATCH_BYTES_MAX: usize = 5 << 20;

/// Segment of the metadata log: small, so that a snapshot gives room back.
pub const METADATA_SEGMENT_BYTES: u64 = 64 << 20;

/// A batch of the group coordinator's log takes no further decision from this size on. A decision is 4 MiB at
/// most (`coordinator::limits::DECISION_BYTES_MAX`), and whole.
pub const GROUP_BATCH_BYTES: usize = 1 << 20;

/// Batches of one partition of groups that wait for the log; beyond them nothing is decided. Some 50,000
/// commits, a hundred times what one journal write takes.
pub const GROUP_BATCHES_WAITING_MAX: usize = 8;

/// Of what groups may take in memory, one part in so many is for members that are there: their assignments and
/// what they come to say. Newcomers are refused before it is touched.
pub const GROUP_MEMBERS_RESERVE_DIVISOR: usize = 8;

/// Timers of groups that one turn of the coordinator shard looks at: about a millisecond.
pub const GROUP_TIMERS_PER_TURN: usize = 1_000;

/// The group coordinator's log is read in pieces of this size, one of each partition at a time.
pub const GROUP_READ_BYTES: usize = 256 << 10;

/// An admin request: its head, and how long it may take.
pub const ADMIN_REQUEST_BYTES_MAX: usize = 8 << 10;
pub const ADMIN_REQUEST_MS_MAX: u64 = 1_000;

/// How long an admin request waits for the shards' answers.
pub const ADMIN_ANSWER_MS_MAX: u64 = 2_000;

/// Shards are asked so often within the time after which a supervisor's watchdog ends the node: two rounds may
/// be late without harm.
pub(crate) const WATCHDOG_QUESTIONS: u32 = 4;

/// Partitions of groups that one answer of /metrics shows, whole groups at a time: with three rows of some 120
/// bytes each 4 MB, and a few milliseconds of the coordinator shard.
pub const METRICS_GROUP_ROWS_MAX: usize = 10_000;

/// Partitions of topics that one answer of /metrics shows: two rows of some 80 bytes each.
pub const METRICS_PARTITIONS_MAX: usize = 10_000;

/// Batches that are read for one answer of /metrics, to know when they were written: some microseconds each where
/// they are in memory, a millisecond or two in all. What was read for the answer before is known.
pub const METRICS_READS_MAX: usize = 500;

/// Draining connections at the end takes at most this long; what is left is closed.
pub const DRAIN_MS_MAX: u64 = 5_000;

/// How long each of an orderly end's three steps may take: data shards, the coordinator, the controller.
pub const SHUT_DOWN_MS_MAX: u64 = 120_000;
/// After which whoever supervises a node may end it: an orderly end and ten seconds.
pub const STOP_SECONDS_MAX: u64 = (DRAIN_MS_MAX + 3 * SHUT_DOWN_MS_MAX) / 1000 + 10;

/// Free space is looked at this often.
pub const FREE_BYTES_INTERVAL_MS: u64 = 5_000;

/// How long a port that is in use is waited for, and how often it is tried: a node that was killed a moment
/// ago still has it for some milliseconds.
pub const BIND_MS_MAX: u64 = 1_500;
pub const BIND_RETRY_MS: u64 = 10;

/// A client that announces more than memory could hold comes again at once: the log names it this often.
pub const OVERSIZE_TOLD_EVERY_MS: u64 = 10_000;

/// Accepted connections that wait in the kernel for each listener.
pub const LISTEN_BACKLOG: i32 = 1_024;

const _: () = assert!(GROUP_WAITS_MAX < REQUESTS_MAX);
const _: () = assert!(COLLECTED_BYTES_MAX * 2 < protocol::limits::RESPONSE_BYTES_MAX);
const _: () = assert!(RESPONSE_BYTES_MAX >= 1 << 20, "a response holds the largest usual batch");
