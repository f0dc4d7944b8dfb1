//! Every bound of the command line, with its arithmetic.

/// Bytes of one response: a fetch asks for at most [`FETCH_BYTES_MAX`], but a broker always sends the
/// first batch whole, and that can be as large as a request (100 MiB); the rest is its own head.
pub(crate) const RESPONSE_BYTES_MAX: usize = 128 << 20;

/// Bytes that a consumer asks for at once, from all partitions and from one.
pub(crate) const FETCH_BYTES_MAX: i32 = 16 << 20;
pub(crate) const FETCH_PARTITION_BYTES_MAX: i32 = 2 << 20;
/// How long a broker may hold a fetch that finds nothing.
pub(crate) const FETCH_WAIT_MS_MAX: i32 = 500;

/// What one batch may become when it is decompressed: forty times the usual largest batch.
pub(crate) const DECOMPRESSED_BYTES_MAX: usize = 256 << 20;

/// A producer's batch is sent when it is this large: below Kafka's default `max.message.bytes` of
/// 1,048,588 also where compression makes it larger.
pub(crate) const BATCH_BYTES_MAX: usize = 900 << 10;
/// … or when no line came for this long.
pub(crate) const LINGER_MS: u64 = 10;
/// Batches of all partitions that wait for one request: 16 of them are 16 MiB, far below any broker's
/// largest request.
pub(crate) const REQUEST_BATCHES_MAX: usize = 16;
/// Lines read ahead of the producer.
pub(crate) const LINES_AHEAD_MAX: usize = 4_096;
/// A line or a file given as one record: the largest request less its head.
pub(crate) const VALUE_BYTES_MAX: u64 = 99 << 20;

/// Groups described at once: with a thousand members of some hundred bytes each an answer is 50 MB.
pub(crate) const GROUPS_PER_REQUEST_MAX: usize = 100;
/// Members that a sentence names; the rest are counted.
pub(crate) const MEMBERS_NAMED_MAX: usize = 3;

/// An answer of the admin address: 5,000 partitions at some 500 bytes are 2.5 MB.
pub(crate) const ADMIN_RESPONSE_BYTES_MAX: u64 = 256 << 20;

/// Longest batch that a segment can hold: what a request can carry.
pub(crate) const STORED_BATCH_BYTES_MAX: usize = 128 << 20;
/// Small files (indexes, state, properties) are read whole.
pub(crate) const SMALL_FILE_BYTES_MAX: u64 = 512 << 20;
/// A journal file.
pub(crate) const JOURNAL_FILE_BYTES_MAX: u64 = 1 << 30;

const _: () = assert!(FETCH_BYTES_MAX as usize <= RESPONSE_BYTES_MAX);
const _: () = assert!(BATCH_BYTES_MAX < 1_048_588);
