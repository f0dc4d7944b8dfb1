//! A partition's log and a shard's journal: appends, reads, recovery, retention.
//!
//! The engine decides and the shell performs: the core (every module but `disk`'s real half) does no
//! I/O, reads no clock and draws no random number. It emits [`disk::DiskEffect`]s and is told of their
//! completions; the production node and the simulation drive the same code.
//!
//! May touch: files, through the plans of [`disk`]. Must not know: sockets, API messages, error codes.
//!
//! | module | job |
//! |---|---|
//! | [`disk`] | the seam to files: operations, jobs, the file-system trait, the real file system |
//! | [`limits`] | every bound of the engine, with its arithmetic |

pub mod disk;
pub mod limits;
