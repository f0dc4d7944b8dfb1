//! Every maximum of this crate, with the arithmetic behind it.

use std::time::Duration;

/// The unit of memory and of direct disk I/O. Logical sectors may be 512 bytes, but every device of
/// today has physical sectors of 4096, and a partial one costs a read.
pub const PAGE_BYTES: usize = 4096;

/// The alignment of an arena: a huge page, so that the kernel may back it with huge pages.
pub const ARENA_ALIGNMENT_BYTES: usize = 2 << 20;

/// The largest block of an arena. The kernel registers at most 1 GiB as one buffer; a block is
/// aligned to its own size, so a block of at most 1 GiB never straddles two registered buffers.
pub const BLOCK_BYTES_MAX: usize = 1 << 30;

/// Memory of one arena: pages are numbered with 32 bits, one value is kept for "none".
pub const ARENA_BYTES_MAX: usize = 1 << 40;

const _: () = assert!(ARENA_BYTES_MAX / PAGE_BYTES < u32::MAX as usize);
const _: () = assert!(BLOCK_BYTES_MAX.is_multiple_of(ARENA_ALIGNMENT_BYTES));
const _: () = assert!(ARENA_ALIGNMENT_BYTES.is_multiple_of(PAGE_BYTES));

/// Parts of one vectored operation: the kernel's IOV_MAX. Longer lists are continued.
pub const VECTOR_PARTS_MAX: usize = 1024;

/// Vectors longer than this are given back after use: slots × 64 × 16 bytes stay, 1 KiB a slot.
pub const VECTOR_PARTS_KEPT: usize = 64;

/// One provided receive buffer: holds nearly every request but bulk produce, whose body is received
/// straight into its own block.
pub const RECEIVE_BUFFER_BYTES: usize = 16 << 10;

/// Provided receive buffers of one ring: the kernel's limit.
pub const RECEIVE_BUFFERS_MAX: usize = 1 << 15;

/// Entries of a submission queue. A full queue is flushed, so this bounds a batch, not the load:
/// 1,024 × 64 bytes = 64 KiB.
pub const SUBMISSIONS_MAX: usize = 1024;

/// A ring for which no memory may be locked is tried again after this long, and as often as that: 1 s in all,
/// many times what the kernel takes to give back what an ended process had locked.
pub const LOCKED_MEMORY_WAIT: Duration = Duration::from_millis(20);
pub const LOCKED_MEMORY_WAITS_MAX: u32 = 50;

/// Operations in flight on one ring, each with one place in the completion queue: 16,384 × 16 bytes
/// = 256 KiB. Should more complete at once (a zero-copy send completes twice, accepts complete many
/// times), the kernel keeps the rest in a list until there is room.
pub const OPERATIONS_MAX: usize = 1 << 14;

/// Places of either queue of a ring in want of lockable memory, which all processes of a user share: a page
/// for each queue.
pub const COMPLETIONS_MIN: usize = 64;

/// The queues of one ring take at most so much of what the user may lock: 512 KiB (all that the longest
/// queues need) at 8 MiB, the limit of a stock login.
pub const LOCKED_RING_SHARE: u64 = 16;

/// All shards of a node together take at most so much of what the user may lock, while their least fits
/// into that: the user's other processes have rings, too.
pub const LOCKED_NODE_SHARE: u64 = 2;

/// Descriptors of one ring.
pub const DESCRIPTORS_MAX: usize = 1 << 15;

/// Completions handed out at once, so that one pump is bounded; the rest follows with the next.
pub const COMPLETIONS_PER_PUMP_MAX: usize = 1024;

/// One registered buffer: the kernel's limit.
pub const REGISTERED_BUFFER_BYTES_MAX: usize = 1 << 30;

/// Memory that glommio registers with its own rings, three times over. We use none of it; this is
/// the least it takes.
pub const EXECUTOR_IO_MEMORY_BYTES: usize = 64 << 10;

/// Entries of glommio's own rings, three for each executor. Few would do for one awaited eventfd, but
/// glommio also preempts when so many of its completions pile up between two looks at them, which must
/// not happen (see `shard/executor.rs`): there are no ten. 64 are the most that lock two pages a ring.
pub const EXECUTOR_RING_ENTRIES: usize = 64;

/// What glommio's three rings lock: a page for each queue.
pub const EXECUTOR_LOCKED_BYTES: u64 = 3 * 2 * PAGE_BYTES as u64;

/// What the kernel writes before the entries of a completion queue.
pub const QUEUE_HEADER_BYTES: usize = 64;

/// What the least of a ring locks: two pages of queues and one of provided buffers (up to 256).
pub const RING_LOCKED_BYTES_MIN: u64 = 3 * PAGE_BYTES as u64;

/// What a shard locks at the least: 36 KiB. 512 KiB carry 14 shards, 8 MiB 227.
pub const SHARD_LOCKED_BYTES_MIN: u64 = EXECUTOR_LOCKED_BYTES + RING_LOCKED_BYTES_MIN;
