//! The bounds of this crate and the arithmetic behind them.

use std::time::Duration;

use crate::byte_count::ByteCount;
use crate::kernel::KernelVersion;

/// The oldest kernel a node starts on: single-issuer rings with deferred task work (6.1), multishot
/// receive and zero-copy send (6.0), shared direct overwrites on ext4 (6.3 at best, 6.1 at worst).
pub const KERNEL_VERSION_MIN: KernelVersion = KernelVersion { major: 6, minor: 1 };

/// What the executor of a shard locks at the least; with less it refuses to start.
pub const MEMLOCK_BYTES_MIN: ByteCount = ByteCount::kib(512);

/// Rings whose queues may lock less than this have fewer than 256 places in each, which costs system calls
/// under load.
pub(crate) const RING_LOCKED_WANTED: ByteCount = ByteCount::kib(24);

/// Open files a node should be able to hold: 5,000 connections and the segments of 10,000
/// partitions with a factor of six to spare. Fewer are bounded by a cache, at the price of opens.
pub(crate) const NOFILE_WANTED: u64 = 100_000;

/// The most data shards one node runs: mailboxes are a full mesh, so memory grows with its square.
pub const SHARDS_MAX: u32 = 1024;

/// The least a data shard works with: its journal groups in flight, the tails of idle partitions,
/// and responses, which may pin no more than a quarter of the shard.
pub(crate) const DATA_SHARD_BYTES_MIN: ByteCount = ByteCount::mib(64);
/// 8 groups of 1 MiB.
const JOURNAL_BYTES: u64 = 8 << 20;
/// The tails of 5,000 partitions that nobody writes to.
const IDLE_TAIL_BYTES: u64 = 32 << 20;
/// 4 responses of 4 MiB.
const RESPONSE_BYTES: u64 = 4 * (4 << 20);
const _: () =
    assert!(JOURNAL_BYTES + IDLE_TAIL_BYTES + RESPONSE_BYTES <= DATA_SHARD_BYTES_MIN.get());
const _: () = assert!(RESPONSE_BYTES <= DATA_SHARD_BYTES_MIN.get() / 4);

/// A data shard gains nothing from more than this unless it is asked for: the tail that consumers
/// read is seconds long, and a larger arena only starts slower.
pub(crate) const DATA_SHARD_BYTES_DEFAULT_MAX: ByteCount = ByteCount::gib(4);

/// The memory of a shard is one arena.
pub(crate) const DATA_SHARD_BYTES_MAX: ByteCount =
    ByteCount(runtime::limits::ARENA_BYTES_MAX as u64);

/// The controller shard and the coordinator shard, each: they hold metadata and groups, no bulk
/// data. A sixteenth of the whole, within these bounds.
pub(crate) const DEDICATED_SHARD_BYTES_MIN: ByteCount = ByteCount::mib(16);
pub(crate) const DEDICATED_SHARD_BYTES_MAX: ByteCount = ByteCount::mib(256);
pub(crate) const DEDICATED_SHARD_FRACTION: u64 = 16;
pub const DEDICATED_SHARDS: u64 = 2;

/// What consumer groups and their offsets take, beside the memory of the coordinator shard. An eighth of the whole,
/// within these bounds: of 1 GiB 128 MiB, which are 480,000 offsets and 10,000 members; of the least 8 MiB, which
/// are 40,000 offsets.
pub(crate) const GROUPS_BYTES_MIN: ByteCount = ByteCount::mib(8);
pub(crate) const GROUPS_BYTES_MAX: ByteCount = ByteCount::gib(1);
pub(crate) const GROUPS_FRACTION: u64 = 8;

/// From this many cores on, one is left to the two dedicated shards.
pub(crate) const CORES_WITH_ONE_FOR_CONTROL_MIN: usize = 4;

/// Below this much free space a node cannot prepare its first journals (16 MiB prewritten for the
/// first file of a data shard, 16 MiB for each dedicated shard) beside the 64 MiB that are kept free.
pub(crate) const FREE_BYTES_MIN: ByteCount = ByteCount::mib(128);
/// Below this, or below this share of the disk, running full is a matter of hours.
pub(crate) const FREE_BYTES_WANTED: ByteCount = ByteCount::gib(10);
pub(crate) const FREE_PERCENT_WANTED: u64 = 20;

/// Direct I/O is tried with one block of this size: the physical block of every disk of the last
/// ten years, and the page size.
pub(crate) const PROBE_BLOCK_BYTES: usize = 4096;

/// Larger files below `/proc` and `/sys` are cut there: `mountinfo` of a machine with thousands of
/// containers stays below it.
pub(crate) const HOST_FILE_BYTES_MAX: u64 = 4 << 20;
/// How many levels of mapped devices (LVM on RAID on partitions) and of cgroups are followed.
pub(crate) const DEVICE_LEVELS_MAX: usize = 8;
pub(crate) const CGROUP_LEVELS_MAX: usize = 32;

/// RAM (or the cgroup's limit) for each data shard: half of it is the node's, so that 1 GiB of tails is
/// some seconds of a shard's traffic.
pub(crate) const MACHINE_BYTES_A_SHARD_WANTED: ByteCount = ByteCount::gib(2);

/// A longer text of a finding is cut there: the table has one line for each.
pub(crate) const FINDING_TEXT_MAX: usize = 80;
/// Where measured: deeper sleeps are switched off. `C1` takes 1 to 2 microseconds, `C1E` 10, `C6` 100.
pub(crate) const IDLE_EXIT_MICROS_MAX: u64 = 10;
/// 2 % of the processors' time.
pub(crate) const STEAL_PER_MILLE_MAX: u64 = 20;
/// A read of the clock that does not enter the kernel takes 20 to 60 ns.
pub(crate) const CLOCK_NANOS_MAX: u64 = 200;
/// Some tens of microseconds a round with a fast clock, 2 ms with a slow one.
pub(crate) const CLOCK_READS: u32 = 1000;
/// One receive queue on fewer cores is a quarter of the machine's work or more for its core anyway: a detour by
/// another gains nothing.
pub(crate) const CORES_OF_ONE_QUEUE_MIN: usize = 4;
/// Connections that are brought to the core that reads them: all of a node's, some times over. 8 bytes each.
pub(crate) const FLOWS_STEERED: u32 = 32_768;
/// What drivers come with at the most: a packet more a wait of 20 µs.
pub(crate) const GRO_FLUSH_NANOS_MAX: i64 = 20_000;
/// A ring that misses less than one packet in so many is long enough.
pub(crate) const PACKETS_A_MISSED_ONE: u64 = 1_000_000;
/// How long a card may save up packets where it does not choose by load: half of what a durable write takes; and
/// where latency is measured: less than a wake-up.
pub(crate) const COALESCED_MICROSECONDS_MAX: u32 = 50;
pub(crate) const COALESCED_MICROSECONDS_BENCH_MAX: u32 = 8;
/// A core without a shard takes the interrupts of so many that have one.
pub(crate) const SHARDS_A_FREE_CORE: usize = 16;
/// Smaller pieces cut a large group of the journal (1 MiB) into more than four.
pub(crate) const ARRAY_CHUNK_BYTES_MIN: ByteCount = ByteCount::kib(256);
/// Processes whose names are read: half a second's work at the most.
pub(crate) const PROCESSES_LOOKED_AT_MAX: usize = 20_000;

/// A change is some hundred bytes of the journal; a machine of 256 cores has 2,000 changes in one run.
pub(crate) const JOURNAL_BYTES_MAX: u64 = 16 << 20;
/// Room that each change keeps free for the lines that close it: `applied` takes 51 bytes and `restored` 83, with the
/// longest numbers there are.
pub(crate) const JOURNAL_CLOSING_BYTES: u64 = 160;

/// Open files of a unit: ten times what is wanted, and what systemd itself may give.
pub(crate) const NOFILE_OF_UNIT: u64 = 1 << 20;
const _: () = assert!(NOFILE_OF_UNIT >= NOFILE_WANTED);
/// A node is restarted when its shards have not answered for so long: longer than any disk's pause that is not
/// a failure.
pub(crate) const WATCHDOG_SECONDS: u64 = 60;
/// A start reads at most 1 GiB of journals, and looks at every segment's end.
pub(crate) const START_MINUTES_MAX: u64 = 15;
/// A shard's thread, its helpers and the kernel's workers of its ring.
pub(crate) const TASKS_OF_A_SHARD: u64 = 64;
/// The main thread and the dedicated shards with theirs.
pub(crate) const TASKS_BESIDE_SHARDS: u64 = 512;

/// The file that a disk is measured with: larger than what a drive's own cache holds for long, and written in a
/// second or two. It is an eighth of what is free at the most: files beside it have as much again at once.
pub(crate) const PROBE_FILE_BYTES_MAX: ByteCount = ByteCount::gib(1);
pub(crate) const PROBE_FILE_BYTES_MIN: ByteCount = ByteCount::mib(64);
pub(crate) const PROBE_FREE_SHARE: u64 = 8;
/// A file that is new for each probe: 32,768 writes of 4 KiB, 128 of 1 MiB.
pub(crate) const PROBE_SIDE_FILE_BYTES: ByteCount = ByteCount::mib(128);
const _: () = assert!(
    PROBE_FILE_BYTES_MIN.get() + PROBE_SIDE_FILE_BYTES.get()
        < PROBE_FILE_BYTES_MIN.get() * PROBE_FREE_SHARE
);
/// How the file is written before it is measured with, and for how long at the most: a disk with 100 MB/s has a
/// file of 300 MB.
pub(crate) const PROBE_WRITE_BYTES: usize = 4 << 20;
pub(crate) const PREWRITE_TIME_MAX: Duration = Duration::from_secs(3);
/// Samples beyond a percentile: p99 needs 1,000.
pub(crate) const EXCEEDANCES_MIN: usize = 10;
/// What is asked for where there were fewer than the 20 samples that a median needs, and for how long at the most: a
/// disk of 200 ms a write has its median.
pub(crate) const MEDIAN_SAMPLES_WANTED: u32 = 24;
const _: () = assert!(MEDIAN_SAMPLES_WANTED as usize > 2 * EXCEEDANCES_MIN);
pub(crate) const SLOW_DISK_TIME_MAX: Duration = Duration::from_secs(5);
/// Two rounds of a sweep that differ by more were not of one disk alone; idle disks stay within 10 %.
pub(crate) const ROUNDS_AGREE_PERCENT: f64 = 125.0;
/// What was measured so long ago was of a drive with less in it.
pub(crate) const CALIBRATION_DAYS_MAX: u64 = 365;
/// The fastest drives with power of their own take 12 µs and more for a stable write with all that is above them.
pub(crate) const BELIEVABLE_FLUSH_NANOS_MIN: u64 = 10_000;
/// A durable write into a volatile cache is a write and a flush, or a forced write past the cache: within a tenth of
/// the plain write it was neither.
pub(crate) const FLUSH_COST_PERCENT_MIN: u64 = 110;
