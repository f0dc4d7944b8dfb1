//! One core: a thread of its own, an io_uring ring, aligned memory, mailboxes to the other cores,
//! the clock.
//!
//! May touch the kernel; knows no Kafka notion. The only crate with glommio, io-uring and (nearly
//! all) `unsafe`; no type of theirs is public here.
//!
//! * [`memory`]: blocks of a bounded, aligned arena; append-only chunks; slices that outlive both.
//! * [`mailbox`]: bounded queues between every two shards; the bell that wakes a parked one.
//! * [`clock`]: the pair of times that every core of the broker is handed.
//! * `limits`: every maximum of this crate, with its arithmetic.
//!
//! `memory`, `mailbox` and `clock` need no kernel ring: a test may build a shard on them alone.

#![allow(unsafe_code)]

pub mod clock;
pub mod limits;
pub mod mailbox;
pub mod memory;
