//! Memory of one shard: an arena of aligned blocks, and append-only chunks on top of it.
//!
//! ```text
//!   Arena (shard, !Send) ──allocate──► Block (unique, Send) ──freeze──► Bytes
//!        ▲                               │      └─Chunk::new─► Chunk ──slice──► Bytes
//!        └───── return lane ◄──── drop (any thread; the last slice drops its block)
//! ```
//!
//! The mapping lives until the arena and every block and slice are gone. Nothing here needs a ring.

mod arena;
mod block;
mod buddy;
mod chunk;
mod range;
mod region;
#[cfg(test)]
mod tests;

pub use arena::Arena;
pub use block::Block;
pub use chunk::Chunk;
pub use range::MemoryRange;
pub(crate) use region::Region;
