//! State machines that live in a log.
//!
//! # Job
//! Every machine here is deterministic and has the same two halves: a command is *decided* against
//! the state (`&self`: deciding cannot change anything) into records and a reply, and records are
//! *replayed* into the state. The records travel through the ordinary append path of an ordinary
//! partition; a reply is released when its records are committed; a restart is a replay. Same
//! records, same state, on every node.
//!
//! # May touch
//! Nothing: no I/O, no clock, no randomness, no threads, and `no_std` makes that a compile error.
//! The time, new topic ids and all else that differs between runs are arguments. Kafka's error
//! codes are not known here: errors are domain values, and `broker` maps them. Maps are ordered, so
//! that iteration is the same everywhere.
//!
//! # Map
//! * [`group`]: the group coordinator's machine: groups of the classic and of the consumer protocol, their
//!   members, epochs and assignments, committed offsets; its log is a partition of `__consumer_offsets`
//! * [`metadata`]: the controller's machine: brokers, topics, partitions and their owners,
//!   configurations, producer ids; its log is the partition `__cluster_metadata-0`
//! * [`proposals`]: between *propose* and *commit*: decided records wait here for the log, replies
//!   for their records
//! * [`topic_config`]: Kafka's topic and broker properties: names, types, ranges, where a value
//!   comes from
//! * [`limits`]: named maxima
//!
//! Still to come, a module of its own beside these: `transaction` (in `__transaction_state`), with Kafka's
//! record formats and the same two halves.
//!
//! # Invariants
//! * A replayed log, or a snapshot of it, gives the state that was live when it was written.
//! * Each replica of each partition has exactly one owner: a shard that its broker has.
//! * Decoding bytes of the log never panics and never allocates beyond what the bytes can hold.
#![no_std]

extern crate alloc;

#[cfg(test)]
extern crate std;

pub mod group;
pub mod limits;
pub mod metadata;
pub mod proposals;
pub mod topic_config;

pub use metadata::{Command, Decision, Metadata, MetadataRecord};
pub use proposals::Proposals;
pub use topic_config::TopicConfig;
