//! A partition's log and a shard's journal: appends, reads, recovery, retention, compaction.
//!
//! The engine decides and the shell performs: the core (every module but `disk`'s real half) does no
//! I/O, reads no clock and draws no random number. It emits [`disk::DiskEffect`]s and is told of their
//! completions; the production node and the simulation drive the same code.
//!
//! May touch: files, through the plans of [`disk`]. Must not know: sockets, API messages, error codes.
//!
//! | module | job |
//! |---|---|
//! | [`batch`] | what is asked of a batch header that was read back |
//! | [`config`] | properties of a log and of a shard's engine |
//! | [`disk`] | the seam to files: operations, jobs, the file-system trait, the real file system |
//! | [`engine`] | one shard's engine: appends, group commit, checkpoints, reads, retention, compaction, lifecycle |
//! | [`fuzz`] | entry points for fuzzers |
//! | [`journal`] | layout of the shard's journal, its writing and its reading back |
//! | [`limits`] | every bound of the engine, with its arithmetic |
//! | [`partition`] | one partition's log: segments, tail in memory, indexes, epochs, producers |
//! | [`recovery`] | from what a crash left to logs that can be served |
//! | [`request`] | what the broker asks and hears |

pub mod batch;
pub mod config;
pub mod disk;
pub mod engine;
pub mod fuzz;
pub mod journal;
pub mod limits;
pub mod partition;
pub mod recovery;
pub mod request;

use protocol::{PartitionIndex, TopicId};

pub use engine::{Engine, EngineStart};

/// A partition of a topic: by the topic's identity, so that a recreated topic is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId {
    pub topic_id: TopicId,
    pub partition: PartitionIndex,
}

impl PartitionId {
    /// Stands in journal entries that are about no partition.
    pub const NONE: Self = Self { topic_id: TopicId::NONE, partition: PartitionIndex(-1) };
}
