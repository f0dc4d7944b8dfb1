//! The node: shards, handlers, configuration, command line.
//!
//! Job: wires the other crates on every core. A shard is a state machine (`shard`), a small loop performs
//! its effects (`shell`), a node is the order in which everything starts and ends (`node`).
//!
//! May touch: everything. Must not: algorithms; those move down into the crate that owns the noun.
//!
//! | module | what is there |
//! |---|---|
//! | `admin` | health, metrics and placement of partitions over HTTP |
//! | [`config`] | flags, environment and file to one checked configuration |
//! | `cli` | the command line (a module of the binary, which nothing here uses) |
//! | `error_code` | domain errors to Kafka's codes: the only place |
//! | `handlers` | one file per API: a request to mail, answers to a response |
//! | [`limits`] | every bound with its arithmetic |
//! | [`node`] | start order, serving, orderly end |
//! | [`shard`] | one core's state machine: events in, effects out |
//! | `shell` | the production loop around a shard |
//! | [`vanished`] | partitions whose directory is gone: restored or suspect, never empty |

/// For `simulation`, which drives the same crates under a virtual disk.
pub use {coordinator, engine, net, protocol, runtime};

mod admin;
pub mod config;
mod error_code;
mod handlers;
pub mod limits;
pub mod node;
pub mod shard;
mod shell;
pub mod vanished;
