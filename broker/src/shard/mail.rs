//! What shards say to each other: a closed list, each message owning its data.
//!
//! A question carries the place that its answer goes to ([`ReplyTo`]); whoever asks has reserved that
//! place before. One hop each way for produce and fetch.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use coordinator::metadata::{MetadataRecord, ShardId};
use engine::PartitionId;
use engine::recovery::RecoveredPartition;
use engine::request::{
    AppendError, Appended, LifecycleError, PartitionOffsets, ReadError, Records,
};
use protocol::{LeaderEpoch, Offset, ProducerId, TopicId};
use runtime::clock::Monotonic;
use runtime::memory::MemoryRange;

use super::command::{Command, CommandReply};
use super::group_coordinator::question::{GroupAsk, GroupReply};
use super::metrics::ShardSnapshot;
use super::placement::PlacedPartition;
use super::requests::RequestId;

/// A mailbox: data shards by number, then the controller, the coordinator, and the node's main thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardIndex(pub u16);

impl ShardIndex {
    /// The mailbox of a shard that owns partitions. Data shards come first among the mailboxes.
    pub(crate) fn of_owner(shard: ShardId, coordinator: Self) -> Self {
        match shard {
            ShardId::COORDINATOR => coordinator,
            ShardId(number) => Self(number),
        }
    }
}

/// Where an answer goes: a part of a request in progress on a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyTo {
    pub shard: ShardIndex,
    pub request: RequestId,
    pub part: u32,
}

#[derive(Debug)]
pub enum Mail {
    /// To an owner.
    Append(AppendPart),
    Fetch(Box<FetchAsk>),
    /// Read now whatever is there, for a fetch that is parked.
    FetchNow {
        shard: ShardIndex,
        request: RequestId,
        response_bytes_max: usize,
    },
    FetchCancel {
        shard: ShardIndex,
        request: RequestId,
    },
    Query {
        reply: ReplyTo,
        query: Query,
    },
    /// To the coordinator shard.
    Group(Box<GroupAsk>),
    /// All that one request asks; the answers together hold no more than so many bytes.
    Groups {
        asks: Vec<GroupAsk>,
        answer_bytes_max: usize,
    },

    /// From an owner.
    Appended {
        request: RequestId,
        part: u32,
        result: Result<Appended, AppendError>,
        posted: Monotonic,
    },
    Fetched {
        request: RequestId,
        from: ShardIndex,
        parts: Vec<FetchedPart>,
        /// Where the owner's memory lies, and with it all records of the parts.
        memory: MemoryRange,
    },
    FetchParked {
        request: RequestId,
        from: ShardIndex,
        bytes: u64,
    },
    /// A question to a group was taken, and is answered when others have come: its memory may go.
    GroupParked {
        request: RequestId,
    },
    Answer {
        request: RequestId,
        part: u32,
        answer: Answer,
    },

    /// To and from the controller shard.
    Command {
        shard: ShardIndex,
        request: RequestId,
        command: Box<Command>,
    },
    CommandDone {
        request: RequestId,
        reply: Box<CommandReply>,
    },
    /// Records that are committed, or partitions that became usable.
    Announce {
        announcement: u64,
        news: News,
    },
    Applied {
        announcement: u64,
    },
    AllocateProducerIds,
    ProducerIds(Option<Range<ProducerId>>),
    Created {
        partition: PartitionId,
        result: Result<(), LifecycleError>,
    },
    Deleted {
        partition: PartitionId,
        result: Result<(), LifecycleError>,
    },

    /// A partition changes its owner.
    Release {
        partition: PartitionId,
    },
    Released {
        partition: PartitionId,
        result: Result<Box<RecoveredPartition>, LifecycleError>,
    },
    Adopt {
        partition: Box<RecoveredPartition>,
    },
    Adopted {
        partition: PartitionId,
        result: Result<(), LifecycleError>,
    },

    /// To and from the node's main thread.
    Ready,
    Storage(Arc<Vec<DirectorySpace>>),
    TakeSnapshot,
    Snapshot(Box<ShardSnapshot>),
    ListPartitions,
    Partitions(Vec<PlacedPartition>),
    Drain,
    Drained,
    ShutDown,
    Stopped,
    DirectoryFailed {
        path: String,
        error: String,
    },
    /// Something that only an operator can mend.
    Trouble {
        what: String,
    },
}

/// One log directory's space and health, as the node's main thread saw them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectorySpace {
    /// It failed while the node ran: nothing of it is served until the next start.
    pub is_offline: bool,
    pub total_bytes: u64,
    pub usable_bytes: u64,
}

/// What the controller tells all shards.
#[derive(Clone, Debug)]
pub enum News {
    Records {
        offsets: Range<Offset>,
        records: Arc<Vec<MetadataRecord>>,
    },
    /// The owners' directories of these partitions are durable.
    Usable(Vec<PartitionId>),
    /// Of this deleted topic only these partitions are left until the next start: their log directory failed.
    Left {
        topic: TopicId,
        partitions: Arc<BTreeSet<PartitionId>>,
    },
}

impl Mail {
    /// It is given to another shard's mailbox.
    pub(crate) fn leaves(&mut self, now: Monotonic) {
        match self {
            Self::Append(AppendPart { posted, .. }) | Self::Appended { posted, .. } => {
                *posted = now;
            }
            _ => {}
        }
    }
}

/// One batch for one partition.
#[derive(Debug)]
pub struct AppendPart {
    pub reply: ReplyTo,
    pub partition: PartitionId,
    pub batch: Bytes,
    pub zstd_allowed: bool,
    /// When its request's handler began.
    pub dispatched: Monotonic,
    /// When it left that shard; its shell knows best.
    pub posted: Monotonic,
}

/// The part of a fetch that one owner serves.
#[derive(Clone, Debug)]
pub struct FetchAsk {
    pub shard: ShardIndex,
    pub request: RequestId,
    pub bytes_min: u64,
    pub response_bytes_max: usize,
    /// Whether to park when there is too little; else read what is there.
    pub may_wait: bool,
    pub parts: Vec<FetchTarget>,
}

#[derive(Clone, Copy, Debug)]
pub struct FetchTarget {
    /// Place in the request.
    pub part: u32,
    pub partition: PartitionId,
    pub offset: Offset,
    pub bytes_max: usize,
    pub current_leader_epoch: Option<LeaderEpoch>,
    pub last_fetched_epoch: Option<LeaderEpoch>,
}

#[derive(Debug)]
pub struct FetchedPart {
    pub part: u32,
    pub result: Result<Fetched, FetchError>,
}

/// Why records are not deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeleteRecordsError {
    /// The topic's `cleanup.policy` has no `delete`.
    Policy,
    Partition(LifecycleError),
}

/// What a fetch found in one partition.
#[derive(Debug)]
pub struct Fetched {
    pub offsets: PartitionOffsets,
    /// The fetcher's log differs from here on.
    pub diverging: Option<(LeaderEpoch, Offset)>,
    pub records: Records,
}

/// Why a leader epoch that a client names does not fit; in order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpochError {
    Fenced { current: LeaderEpoch },
    Unknown { current: LeaderEpoch },
}

/// Why a partition cannot be fetched; in order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchError {
    Epoch(EpochError),
    Read(ReadError),
}

/// A question about one shard's partitions.
#[derive(Clone, Debug)]
pub enum Query {
    Offset {
        partition: PartitionId,
        current_leader_epoch: Option<LeaderEpoch>,
        at: OffsetSpec,
    },
    /// When the record at an offset was written, as far as the head of its batch says: when the batch was begun.
    RecordTime {
        partition: PartitionId,
        offset: Offset,
    },
    EpochEnd {
        partition: PartitionId,
        current_leader_epoch: Option<LeaderEpoch>,
        leader_epoch: LeaderEpoch,
    },
    DeleteRecords {
        partition: PartitionId,
        before: Option<Offset>,
    },
    LogDirectories,
}

/// Which offset is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    Latest,
    Earliest,
    MaxTimestamp,
    EarliestLocal,
    LatestTiered,
    /// Of the first record at or after this time.
    Timestamp(i64),
}

#[derive(Debug)]
pub enum Answer {
    Offset(Result<Option<FoundOffset>, QueryError>),
    EpochEnd(Result<Option<(LeaderEpoch, Offset)>, QueryError>),
    DeletedRecords(Result<Offset, DeleteRecordsError>),
    LogDirectories(Vec<PartitionSize>),
    Group(Box<GroupReply>),
}

/// An offset that was found, with the record's timestamp where one was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    pub offset: Offset,
    pub timestamp: Option<i64>,
    pub leader_epoch: Option<LeaderEpoch>,
}

/// Why a question about a partition has no answer; in order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryError {
    Epoch(EpochError),
    NotOwner,
    Unavailable,
}

/// A partition and the bytes of its log.
#[derive(Clone, Copy, Debug)]
pub struct PartitionSize {
    pub partition: PartitionId,
    pub dir: u16,
    pub bytes: u64,
}
