//! Every bound of this crate, with its arithmetic.

use std::time::Duration;

/// Latencies are recorded up to an hour; longer ones count as an hour.
pub const LATENCY_NS_MAX: u64 = 3_600 * 1_000_000_000;

/// Samples that must lie beyond a percentile before it is said: fewer, and it is the luck of one sample.
/// p99.9 needs 10,000 samples, p99.99 100,000.
pub const EXCEEDANCES_MIN: u64 = 10;

/// Bytes at the front of each record of the `rdkafka` tier that say which record it is: producer, sequence,
/// and when it was due.
pub const STAMP_BYTES: usize = 16;

/// Producers of a run: their number stands in 16 bits of the stamp.
pub const PRODUCERS_MAX: usize = 1 << 16;

/// Different payloads of one run. The `rdkafka` tier sends them in turn: at 1 KiB each, more than fits into
/// the caches nearest to the core, so that payloads come from memory as an application's do.
pub const PAYLOADS_DEFAULT: usize = 1_000;

/// Pre-encoded batches of a connection and partition count in the `raw` tier: 16 batches of 1 MB are 16 MB.
pub const BATCHES_ENCODED_MAX: usize = 16;
/// … and what they may take together.
pub const BATCHES_ENCODED_BYTES_MAX: usize = 32 << 20;

/// A response that is read: the largest fetch that is asked for, and its overhead.
pub const RESPONSE_BYTES_MAX: usize = 64 << 20;

/// Sent batches whose due times a consumer of the `raw` tier can look up: one that is farther behind gives no
/// end-to-end latency for what it reads. 65,536 × 8 bytes a producer.
pub const SENT_BATCHES_REMEMBERED: usize = 1 << 16;

/// Violations that are told in full; the rest is counted.
pub const VIOLATIONS_TOLD_MAX: usize = 20;

/// Partitions in all: each has a chain for each producer and each subscription.
pub const PARTITIONS_MAX: usize = 100_000;

/// A workload file: people write them.
pub const WORKLOAD_FILE_BYTES_MAX: u64 = 1 << 20;

/// Windows of the time series, one a second: a day.
pub const WINDOWS_MAX: usize = 86_400;

/// The text of a broker's metrics: a node with 64 shards and thousands of partitions has some.
pub const METRICS_BYTES_MAX: u64 = 64 << 20;

/// Connections of the null broker: each is a thread. A run of 500 librdkafka clients has 1,000.
pub const NULL_BROKER_CONNECTIONS_MAX: usize = 4_096;
/// How long a fetch of the null broker waits for nothing.
pub const NULL_BROKER_FETCH_WAIT_MAX: Duration = Duration::from_secs(30);

/// Lines of a broker's log that are told when it does not start: a Java exception's first causes.
pub const BROKER_LOG_LINES_TOLD: usize = 20;

/// Free on the disk before each run of a comparison: beside records for a journal, logs and what others write …
pub const COMPARE_DISK_FREE_BYTES_MIN: u64 = 4_000_000_000;
/// … and for what a closed loop gets acknowledged in a second, while nobody knows how much that is.
pub const COMPARE_BYTES_PER_SECOND_ASSUMED: f64 = 500e6;
