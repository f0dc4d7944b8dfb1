//! Mail between shards: a bounded queue for every ordered pair of them, and a bell per shard that is
//! rung only when the shard sleeps.
//!
//! Order is kept per sender. A full queue is the sender's business: it looks at `free_slots` before
//! it commits to an effect. Works between plain threads; no ring is needed.

mod bell;
mod mesh;

pub use bell::Bell;
pub use mesh::{Mailbox, mesh};
