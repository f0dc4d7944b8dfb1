//! The shard's ring: every socket and data file goes through one io_uring of the shard's own.
//!
//! ```text
//!   submit (a slot each) ──► SQ ──enter──► kernel ──► CQ ──pump──► Completion values
//!                 │ slot owns buffers until the last completion of its operation │
//! ```
//!
//! No futures and no callbacks: an operation carries the caller's [`Token`] and ends as one
//! [`Completion`] (an accept as many, a zero-copy send as two). Nothing here blocks.
//!
//! * `config`: sizes of a ring.
//! * `completion`: tokens and what comes back.
//! * `shard_ring`: [`Ring`]: submitting.
//! * `pump`: flushing, draining, parking.
//! * `progress`: one kernel completion moves its operation on, or ends it.
//! * `operation`: what a slot holds, and the kernel entry made from it.
//! * `slab`: slots with generations.
//! * `descriptors`: the file descriptors a ring owns, registered with the kernel.
//! * `receive_buffers`: buffers provided to the kernel, returned from any thread.
//! * `registered`: arena memory registered with the kernel.
//! * `deadline`: the shard's one timer.
//! * `kernel`: the io_uring itself; `queues`: how long its queues are.

mod completion;
mod config;
mod deadline;
mod descriptors;
mod kernel;
mod operation;
mod progress;
mod pump;
mod queues;
mod receive_buffers;
mod registered;
mod shard_ring;
mod slab;

pub use completion::{Completion, Token};
pub use config::{RingConfig, RingError};
pub use descriptors::Descriptor;
pub use operation::WriteData;
pub use shard_ring::{Ring, RingCounters, WriteRequest};
