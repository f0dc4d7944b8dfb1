//! One core: a thread of its own, an io_uring ring, aligned memory, mailboxes to the other cores,
//! the clock.
//!
//! May touch the kernel; knows no Kafka notion. The only crate with glommio, io-uring and (nearly
//! all) `unsafe`; no type of theirs is public here.
//!
//! * [`memory`]: blocks of a bounded, aligned arena; append-only chunks; slices that outlive both.
//! * [`mailbox`]: bounded queues between every two shards; the bell that wakes a parked one.
//! * [`clock`]: the pair of times that every core of the broker is handed.
//! * [`durations`]: how long something took, counted by powers of two.
//! * [`ring`]: sockets and data files: one io_uring, operations in, completions out.
//! * [`shard`]: the thread of a shard, its loop, and its helper for what blocks.
//! * [`socket`]: listeners and the settings of connections.
//! * [`probe`]: what a machine must allow before a node starts, and what to do where it does not.
//! * [`locked_memory`]: how much of what a user may lock a ring takes; waiting for it.
//! * `os_error`: [`OsError`], an errno as a value.
//! * `limits`: every maximum of this crate, with its arithmetic.
//!
//! `memory`, `mailbox` and `clock` need no kernel ring: a test may build a shard on them alone.

#![allow(unsafe_code)]

pub mod clock;
pub mod durations;
pub mod limits;
pub mod locked_memory;
pub mod mailbox;
pub mod memory;
mod os_error;
pub mod probe;
pub mod ring;
pub mod shard;
pub mod socket;

pub use os_error::OsError;
