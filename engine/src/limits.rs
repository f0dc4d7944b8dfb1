//! Every bound of the engine, with the arithmetic behind it.

/// Direct I/O granularity: addresses, positions and lengths of data-file writes are multiples of it.
/// 4 KiB is the physical block of practically every drive and never smaller than its logical block.
pub const BLOCK_BYTES: usize = 4096;
