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

/// Places of the completion queue of a ring in want of lockable memory, which all processes of a user
/// share: 4 KiB.
pub const COMPLETIONS_MIN: usize = 256;

/// One ring takes at most so much of what the user may lock: all of a ring's queues at 8 MiB, the limit
/// of a stock login, and short ones at 512 KiB, the least that a node starts with.
pub const LOCKED_SHARE: u64 = 16;

/// Descriptors of one ring.
pub const DESCRIPTORS_MAX: usize = 1 << 15;

/// Completions handed out at once, so that one pump is bounded; the rest follows with the next.
pub const COMPLETIONS_PER_PUMP_MAX: usize = 1024;

/// One registered buffer: the kernel's limit.
pub const REGISTERED_BUFFER_BYTES_MAX: usize = 1 << 30;

/// Memory that glommio registers with its own rings, three times over. We use none of it; this is
/// the least it takes.
pub const EXECUTOR_IO_MEMORY_BYTES: usize = 64 << 10;

/// Entries of glommio's own rings. Few would do for one awaited eventfd, but glommio also preempts
/// when so many of its completions pile up, which must not happen (see `shard/thread.rs`).
pub const EXECUTOR_RING_ENTRIES: usize = 128;
