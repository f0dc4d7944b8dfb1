//! The limits of each shard, from the memory, the disk and the descriptors that it has.
//!
//! ```text
//!   memory of a shard = arena + small requests (1/16) + receive buffers + operations and connections
//!                     + one huge request (the power of two within 1/4, 128 MiB at the most)
//!   groups            = an eighth of the node, on the coordinator shard, beside its arena
//!   data files        = half of what the process may open, in equal parts; the rest is for connections
//!   arena             = log tails (1/2) + responses (1/4) + large requests (1/8) + disk operations (1/8)
//! ```

use std::fmt;

use engine::limits::{
    BATCH_MEMORY_DIVISOR, BLOCK_BYTES, JOURNAL_FILE_BYTES, JOURNAL_FILE_BYTES_DEDICATED,
    JOURNAL_FILES, OPEN_FILES_MAX,
};
use net::driver::DriverConfig;
use runtime::ring::RingConfig;
use tuning::{ByteCount, DEDICATED_SHARDS, ShardPlan};

/// The ring's operation, the driver's socket, the core's connection and a request in progress.
const CONNECTION_BYTES: u64 = 4 << 10;
/// One connection for each so much memory, within bounds.
const MEMORY_PER_CONNECTION: u64 = 16 << 10;
const CONNECTIONS_MIN: u64 = 256;
const CONNECTIONS_MAX: u64 = 10_000;
const RECEIVE_BUFFER_BYTES: u64 = 16 << 10;
/// Operations of the ring for the disk, the listeners, the timer.
const DISK_OPERATIONS: usize = 512;
const SENDS_MAX: usize = 2_048;
/// Of a shard that has few partitions.
const OPEN_FILES_DEDICATED: usize = 1_024;
const OPEN_FILES_MIN: usize = 64;
/// A twentieth of the free space, for all journals together.
const JOURNAL_SPACE_DIVISOR: u64 = 20;
/// All journals of a node together: what a start after a crash has to read.
const JOURNALS_BYTES_MAX: u64 = 1 << 30;
/// Some groups of 1 MiB; incarnations begin in a file of this size, too.
const JOURNAL_FILE_BYTES_MIN: u64 = 4 << 20;
/// The default of `socket.request.max.bytes` fits in it.
const HUGE_REQUEST_BYTES_MAX: u64 = 128 << 20;

/// The limits of one kind of shard.
#[derive(Clone, Debug)]
pub(super) struct ShardLimits {
    pub(super) arena_bytes: usize,
    pub(super) tail_bytes_max: usize,
    pub(super) journal_file_bytes: u64,
    /// Data files that it keeps open.
    pub(super) open_files: usize,
    pub(super) net: net::Limits,
    pub(super) sockets: DriverConfig,
    pub(super) ring: RingConfig,
}

impl ShardLimits {
    /// The largest batch that the shard's logs take, and that can come in a request.
    pub(super) fn batch_bytes_max(&self) -> usize {
        (self.arena_bytes / BATCH_MEMORY_DIVISOR).min(self.net.request_huge_bytes_max)
    }
}

#[derive(Clone, Debug)]
pub(super) struct MemoryPlan {
    pub(super) data: ShardLimits,
    /// Of the controller shard and of the coordinator shard, each.
    pub(super) dedicated: ShardLimits,
    /// What groups take, beside the coordinator shard's arena.
    pub(super) groups_bytes_max: usize,
    shards: usize,
    memory: ByteCount,
}

impl MemoryPlan {
    /// `free_bytes` is what the fullest data directory has, `descriptors` what the process may open, if that is bounded.
    pub(super) fn new(
        plan: &ShardPlan,
        free_bytes: u64,
        descriptors: Option<u64>,
        pin_memory: bool,
    ) -> Self {
        let shards = plan.data_shards.len();
        let files = (shards as u64 + DEDICATED_SHARDS) * JOURNAL_FILES as u64;
        let affordable = (free_bytes / JOURNAL_SPACE_DIVISOR).min(JOURNALS_BYTES_MAX) / files;
        let journal = |wanted: u64| {
            let bytes = wanted.min(affordable).max(JOURNAL_FILE_BYTES_MIN);
            bytes - bytes % BLOCK_BYTES as u64
        };
        let data_journal = journal(JOURNAL_FILE_BYTES);
        let dedicated_journal = journal(JOURNAL_FILE_BYTES_DEDICATED);
        let share = open_files_share(descriptors, shards as u64 + DEDICATED_SHARDS);
        let mut data = data_limits(plan.data_shard_memory, data_journal, share, pin_memory);
        let mut dedicated = dedicated_limits(plan.dedicated_shard_memory, dedicated_journal, share);
        data.ring.locked_bytes_max = plan.ring_locked_bytes_max;
        dedicated.ring.locked_bytes_max = plan.ring_locked_bytes_max;
        let groups = plan.groups_memory.get();
        let groups_bytes_max = usize::try_from(groups).expect("memory is addressable");
        Self { data, dedicated, groups_bytes_max, shards, memory: plan.memory }
    }
}

/// Data files for each shard.
fn open_files_share(descriptors: Option<u64>, shards: u64) -> usize {
    let share = descriptors.map_or(u64::MAX, |descriptors| descriptors / 2 / shards);
    usize::try_from(share).unwrap_or(usize::MAX).clamp(OPEN_FILES_MIN, OPEN_FILES_MAX)
}

fn data_limits(
    memory: ByteCount,
    journal_file_bytes: u64,
    open_files: usize,
    pin_memory: bool,
) -> ShardLimits {
    let memory = memory.get();
    let connections = (memory / MEMORY_PER_CONNECTION).clamp(CONNECTIONS_MIN, CONNECTIONS_MAX);
    let receive_buffers = (memory / (256 << 10)).clamp(64, 256).next_power_of_two().min(256);
    let small = (memory / 16).min(16 << 20);
    let beside = small + receive_buffers * RECEIVE_BUFFER_BYTES + connections * CONNECTION_BYTES;
    let all = memory.saturating_sub(beside).max(memory / 2);
    let huge = (1 << (all / 4).ilog2()).min(HUGE_REQUEST_BYTES_MAX);
    let arena = aligned(all - huge);
    let connections = usize::try_from(connections).expect("bounded");
    let sockets = DriverConfig {
        connections_max: connections,
        sends_max: SENDS_MAX.min(connections),
        receive_buffers_low: 16,
    };
    let ring = RingConfig {
        operations_max: sockets.operations_max() + DISK_OPERATIONS,
        descriptors_max: connections + open_files + 64,
        receive_buffers: usize::try_from(receive_buffers).expect("bounded"),
        registered_bytes_max: if pin_memory { arena } else { 0 },
        ..RingConfig::default()
    };
    let net = net::Limits {
        request_small_bytes_max: usize::try_from(small).expect("bounded"),
        request_large_bytes_max: arena / 8,
        request_huge_bytes_max: usize::try_from(huge).expect("bounded"),
        connections_max: connections,
        ..net::Limits::default()
    };
    let tail_bytes_max = arena / 2;
    // What is in the journal and not yet in segments is in the tails: more journal would never fill.
    let of_tails = (tail_bytes_max / JOURNAL_FILES / BLOCK_BYTES * BLOCK_BYTES) as u64;
    ShardLimits {
        arena_bytes: arena,
        tail_bytes_max,
        journal_file_bytes: journal_file_bytes.min(of_tails.max(JOURNAL_FILE_BYTES_MIN)),
        open_files,
        net,
        sockets,
        ring,
    }
}

/// The controller shard has listeners, the coordinator shard not even these: they have no connections.
fn dedicated_limits(
    memory: ByteCount,
    journal_file_bytes: u64,
    open_files_share: usize,
) -> ShardLimits {
    let open_files = open_files_share.min(OPEN_FILES_DEDICATED);
    let arena = aligned(memory.get() / 8 * 7);
    let sockets = DriverConfig { connections_max: 16, sends_max: 16, receive_buffers_low: 1 };
    ShardLimits {
        arena_bytes: arena,
        tail_bytes_max: arena / 2,
        journal_file_bytes,
        open_files,
        net: net::Limits { connections_max: 16, ..net::Limits::default() },
        sockets,
        ring: RingConfig {
            operations_max: 1_024,
            descriptors_max: open_files + 1_024,
            receive_buffers: 16,
            ..RingConfig::default()
        },
    }
}

fn aligned(bytes: u64) -> usize {
    let bytes = bytes - bytes % (2 << 20);
    usize::try_from(bytes).expect("memory is addressable")
}

impl fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = |bytes: usize| ByteCount(bytes as u64);
        let data = &self.data;
        write!(
            f,
            "memory {}: {} data shards with {} each (log tails {}, responses {}, large requests {}, small \
             requests {}, {} connections; requests of up to {}, batches of up to {}), controller and coordinator {} each, groups {}; journals of {} × {} a shard",
            self.memory,
            self.shards,
            size(data.arena_bytes),
            size(data.tail_bytes_max),
            size(data.arena_bytes / crate::limits::RESPONSES_MEMORY_DIVISOR),
            size(data.net.request_large_bytes_max),
            size(data.net.request_small_bytes_max),
            data.net.connections_max,
            size(data.net.request_huge_bytes_max),
            size(data.batch_bytes_max()),
            size(self.dedicated.arena_bytes),
            size(self.groups_bytes_max),
            JOURNAL_FILES,
            ByteCount(data.journal_file_bytes),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{
        JOURNAL_FILE_BYTES, JOURNAL_FILE_BYTES_MIN, JOURNAL_FILES, OPEN_FILES_MAX, data_limits,
        open_files_share,
    };
    use tuning::ByteCount;

    #[test]
    fn a_shards_journal_is_no_larger_than_its_tails() {
        for mebibytes in [64_u64, 100, 256, 1_024, 4_096] {
            let limits = data_limits(ByteCount::mib(mebibytes), JOURNAL_FILE_BYTES, 100, false);
            let journal = limits.journal_file_bytes * JOURNAL_FILES as u64;
            assert!(journal <= limits.tail_bytes_max as u64, "{mebibytes} MiB: {journal}");
            assert!(limits.journal_file_bytes >= JOURNAL_FILE_BYTES_MIN);
        }
        let large = data_limits(ByteCount::mib(4_096), JOURNAL_FILE_BYTES, 100, true);
        assert_eq!(large.journal_file_bytes, JOURNAL_FILE_BYTES);
        assert_eq!(large.ring.registered_bytes_max, large.arena_bytes);
    }

    #[test]
    fn data_files_leave_half_of_the_descriptors_to_connections() {
        for (descriptors, shards) in [(4_096, 10), (1_024, 4), (65_536, 4)] {
            let share = open_files_share(Some(descriptors), shards) as u64;
            assert!(share * shards <= descriptors / 2, "{descriptors} for {shards}: {share}");
        }
        assert_eq!(open_files_share(Some(1 << 20), 4), OPEN_FILES_MAX);
        assert_eq!(open_files_share(None, 4), OPEN_FILES_MAX);
    }
}
