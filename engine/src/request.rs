//! What the broker asks of the engine and what it hears back: domain values, no error codes.

use bytes::Bytes;
use protocol::record_batch::{ProduceBatchError, RecordsError};
use protocol::{LeaderEpoch, Offset, ProducerEpoch};
use runtime::clock::Monotonic;

use crate::PartitionId;
use crate::disk::{DirId, DiskError};
use crate::engine::damage::Damage;
use crate::recovery::RecoveredPartition;

/// Pairs an answer with its request; chosen by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u64);

/// One batch for one partition.
#[derive(Clone, Debug)]
pub struct AppendRequest {
    pub token: Token,
    pub partition: PartitionId,
    /// Exactly one record batch, as received.
    pub batch: Bytes,
    /// False for requests older than zstd.
    pub zstd_allowed: bool,
}

/// Where an appended batch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub base: Offset,
    /// The log append time if the topic stamps one, else -1's absence.
    pub log_append_ms: Option<i64>,
    pub log_start: Offset,
    pub moments: AppendMoments,
}

/// When an append reached each stage in the engine; for latency by stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppendMoments {
    /// It had its offset and its place in the log's memory.
    pub accepted: Monotonic,
    /// The journal's group with its bytes, or with the pointer to them, was given to the disk.
    pub submitted: Monotonic,
    /// That group, and all before it, were durable. Where memory suffices, all three are the same.
    pub durable: Monotonic,
}

/// Why a batch was not appended, in order of precedence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// This shard does not own the partition.
    NotOwner,
    /// The log directory failed, or acknowledged data was lost and nobody accepted the loss.
    Unavailable,
    /// The batch itself is bad.
    Invalid(InvalidBatch),
    /// The topic allows it, and this shard's memory could never take it.
    BeyondMemory {
        bytes: usize,
        max: usize,
    },
    InvalidProducerEpoch {
        stored: ProducerEpoch,
        actual: ProducerEpoch,
    },
    OutOfOrderSequence {
        expected: i32,
        actual: i32,
    },
    /// The state of idempotent producers is still being rebuilt: retry later.
    ProducersUnknown,
    /// No space left on the device.
    NoSpace,
    /// Too many appends wait for this partition.
    Overloaded,
}

/// What is wrong with a batch: with the batch itself, or with its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidBatch {
    Batch(ProduceBatchError),
    Records(RecordsError),
}

/// A request for records at the tail or behind it.
#[derive(Clone, Copy, Debug)]
pub struct ReadRequest {
    pub token: Token,
    pub partition: PartitionId,
    pub target: ReadTarget,
    /// Whole batches up to this many bytes, the first one whatever its size.
    pub bytes_max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadTarget {
    Offset(Offset),
    /// The first batch that ends at or behind `from` and says that it has a timestamp at or above `at_least`.
    Timestamp {
        at_least: i64,
        from: Offset,
    },
}

/// Record batches, ready to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    pub parts: Vec<Bytes>,
    pub bytes: usize,
    /// Base offset of the first batch and the offset behind the last one.
    pub first: Offset,
    pub next: Offset,
}

impl Records {
    /// Nothing, at the place that was asked for.
    pub(crate) fn empty(target: ReadTarget) -> Self {
        let at = match target {
            ReadTarget::Offset(offset) => offset,
            ReadTarget::Timestamp { from, .. } => from,
        };
        Self { first: at, next: at, ..Self::default() }
    }
}

/// Why a read failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    NotOwner,
    /// Below the log start or above the log end.
    OutOfRange {
        log_start: Offset,
        log_end: Offset,
    },
    /// The log directory failed or the bytes on disk are damaged.
    Unavailable,
}

/// Offsets of a partition as its owner knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionOffsets {
    pub log_start: Offset,
    pub high_watermark: Offset,
    pub log_end: Offset,
    pub leader_epoch: LeaderEpoch,
    /// Its log directory failed: nothing is served.
    pub is_offline: bool,
}

/// What the broker is told.
#[derive(Debug)]
pub enum EngineEvent {
    Appended {
        token: Token,
        result: Result<Appended, AppendError>,
    },
    ReadDone {
        token: Token,
        result: Result<Records, ReadError>,
    },
    /// Consumers may read further than before; told once a batch of events.
    HighWatermarkMoved(PartitionId),
    /// A create, delete, release, delete-records or shut-down request is done and durable.
    Done {
        token: Token,
        result: Result<(), LifecycleError>,
    },
    /// A partition left this shard; its new owner adopts it.
    Released {
        token: Token,
        partition: Box<RecoveredPartition>,
    },
    /// A read met bytes that are not what was written; told once for each place.
    DamageFound(Box<Damage>),
    /// The log directory failed; its partitions are offline.
    DirectoryFailed {
        dir: DirId,
        error: DiskError,
    },
}

/// Why a partition could not be created, deleted, handed over or trimmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LifecycleError {
    NotOwner,
    OutOfRange,
    NoSpace,
    Unavailable,
    TooManyPartitions,
}
