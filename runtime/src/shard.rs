//! The thread of a shard: a glommio executor whose main task pumps the ring and runs the caller's
//! loop, and parks on one eventfd when there is nothing to do.
//!
//! ```text
//!   pump the ring ──► turn(completions) ──► … ──► idle: announce, look again, await the eventfd
//!        ▲                                                             │
//!        └──── mail, completions and helpers all ring the one bell ◄───┘
//! ```
//!
//! * `config`: name, place, sizes.
//! * `shard_loop`: [`ShardLoop`], what the caller supplies.
//! * `executor`: glommio's part of it.
//! * `thread`: starting and running.
//! * `blocking_helper`: a thread for what blocks (file-system jobs).
//! * `abort`: a panic of a shard ends the process.

mod abort;
mod blocking_helper;
mod config;
mod executor;
mod shard_loop;
mod thread;

pub use blocking_helper::BlockingHelper;
pub use config::{Placement, ShardConfig, StartError};
pub use executor::prepare_process;
pub use shard_loop::{ShardLoop, ShardSetup, Turn};
pub use thread::{ShardHandle, StartingShard, start};
