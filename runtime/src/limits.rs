//! Every maximum of this crate, with the arithmetic behind it.

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
