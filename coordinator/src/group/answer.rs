//! What members are told. Kafka's codes are not known here: `broker` maps the errors.

use alloc::vec::Vec;

use bytes::Bytes;
use protocol::{PartitionIndex, Str, TopicId};

use super::{
    consumer::describe::DescribedConsumerGroup,
    describe::{DescribedGroup, ListedGroup},
    offset_fetch::FetchedOffsets,
};

/// Whoever asked and waits for an answer; given by the caller, never interpreted here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token(pub u64);

/// An answer to one request.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Join(Result<Joined, JoinError>),
    Sync(Result<Synced, SyncError>),
    Heartbeat(Result<(), HeartbeatError>),
    ConsumerHeartbeat(Result<ConsumerHeartbeatAnswer, ConsumerHeartbeatError>),
    /// One for each member that was to leave, in the request's order.
    Leave(Vec<Result<(), LeaveError>>),
    /// One for each offset, in the request's order.
    Commit(Result<Vec<Result<(), OffsetRefused>>, CommitError>),
    OffsetFetch(Result<Vec<FetchedOffsets>, OffsetFetchError>),
    /// One for each partition, in the request's order.
    OffsetDelete(Result<Vec<Result<(), OffsetNotDeleted>>, OffsetDeleteError>),
    DeleteGroup(Result<(), DeleteGroupError>),
    Describe(Result<DescribedGroup, AnswerTooLarge>),
    /// `None`: there is no such group of the consumer protocol.
    DescribeConsumer(Result<Option<DescribedConsumerGroup>, AnswerTooLarge>),
    List(Result<Vec<ListedGroup>, AnswerTooLarge>),
}

/// The answer would hold more than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerTooLarge {
    /// What it could have held.
    pub bytes_max: usize,
}

/// A member is in a generation of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    pub generation: i32,
    pub protocol_type: Str,
    pub protocol: Str,
    pub leader: Str,
    pub member: Str,
    /// The leader has to assign nothing: the group keeps its assignment.
    pub skips_assignment: bool,
    /// For the leader: everybody, with the metadata of the protocol that was chosen.
    pub members: Vec<JoinedMember>,
}

/// A member as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    pub member: Str,
    pub instance: Option<Str>,
    pub metadata: Bytes,
}

/// A member's assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    pub protocol_type: Str,
    pub protocol: Str,
    /// As the leader gave it, byte for byte.
    pub assignment: Bytes,
}

/// What a member of the consumer protocol hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerHeartbeatAnswer {
    pub member: Str,
    /// As in the request of a member that leaves.
    pub member_epoch: i32,
    /// 0 for a member that leaves.
    pub heartbeat_interval_ms: i32,
    /// What the member has; `None`: as it was told before.
    pub assignment: Option<Vec<(TopicId, Vec<PartitionIndex>)>>,
}

/// Why a request is not a member's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAMember {
    Unknown,
    /// Another member has its instance id now.
    Fenced,
}

/// Why a member did not join, in the order in which it is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinError {
    InvalidGroupId,
    InvalidSessionTimeout,
    /// The coordinator takes no more groups.
    TooManyGroups,
    /// `group.max.size` members are there, or they say too much.
    GroupIsFull,
    InconsistentProtocol,
    UnknownMember,
    FencedInstance,
    /// The id to come back with: who never hears of it leaves no member behind.
    MemberIdRequired {
        member: Str,
    },
    /// The rebalance went on without the member.
    RebalanceInProgress,
    /// All groups together take as much as they may.
    OutOfMemory,
}

/// Why there is no assignment, in the order in which it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncError {
    InvalidGroupId,
    UnknownMember,
    FencedInstance,
    IllegalGeneration,
    InconsistentProtocol,
    RebalanceInProgress,
    /// Members and assignments do not fit a record: the leader has to assign less.
    GroupTooLarge,
    /// All groups together take as much as they may.
    OutOfMemory,
}

/// What a heartbeat tells, in the order in which it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeartbeatError {
    InvalidGroupId,
    UnknownMember,
    FencedInstance,
    IllegalGeneration,
    RebalanceInProgress,
}

/// Why a member of the consumer protocol is not served, in the order in which it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsumerHeartbeatError {
    Invalid(InvalidHeartbeat),
    UnsupportedAssignor,
    /// There is none, or it is of the classic protocol and cannot be converted.
    UnknownGroup,
    /// The coordinator takes no more groups.
    TooManyGroups,
    /// `group.consumer.max.size` members are there, or they say too much.
    GroupIsFull,
    UnknownMember,
    /// Another member has its instance id now.
    FencedInstance,
    /// Another member has its instance id, and has not left.
    UnreleasedInstance,
    /// The member has to give up its partitions, and to join again.
    FencedMemberEpoch,
    InvalidRegularExpression,
    /// What would have to be recorded does not fit a batch.
    GroupTooLarge,
    /// All groups together take as much as they may.
    OutOfMemory,
}

/// What is wrong with a heartbeat, in the order in which it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidHeartbeat {
    EmptyMemberId,
    EmptyGroupId,
    EmptyInstanceId,
    EmptyRackId,
    NoRebalanceTimeout,
    OwnsPartitions,
    NoSubscription,
    NoInstanceId,
    Epoch,
}

impl InvalidHeartbeat {
    /// In Kafka's words.
    pub const fn text(self) -> &'static str {
        match self {
            Self::EmptyMemberId => "MemberId can't be empty.",
            Self::EmptyGroupId => "GroupId can't be empty.",
            Self::EmptyInstanceId => "InstanceId can't be empty.",
            Self::EmptyRackId => "RackId can't be empty.",
            Self::NoRebalanceTimeout => "RebalanceTimeoutMs must be provided in first request.",
            Self::OwnsPartitions => "TopicPartitions must be empty when (re-)joining.",
            Self::NoSubscription => {
                "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining."
            }
            Self::NoInstanceId => "InstanceId can't be null.",
            Self::Epoch => "MemberEpoch is invalid.",
        }
    }
}

impl From<InvalidHeartbeat> for ConsumerHeartbeatError {
    fn from(what: InvalidHeartbeat) -> Self {
        Self::Invalid(what)
    }
}

/// Why a member cannot leave, in the order in which it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaveError {
    InvalidGroupId,
    UnknownMember,
    FencedInstance,
    /// Of a group of the consumer protocol: more than one batch of the log takes. The others have left.
    TooManyMembers,
}

/// Why nothing was committed, in the order in which it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitError {
    /// A generation of a group that is not there.
    UnknownGroup,
    UnknownMember,
    FencedInstance,
    /// A member of the consumer protocol commits in a version that knows no member epochs.
    UnsupportedVersion,
    IllegalGeneration,
    /// Of a member of the consumer protocol: it is in another epoch.
    StaleMemberEpoch,
    RebalanceInProgress,
    /// The coordinator takes no more groups.
    TooManyGroups,
    /// More than [`COMMIT_OFFSETS_MAX`](crate::limits::COMMIT_OFFSETS_MAX), or more bytes than one batch
    /// takes.
    TooLarge,
    /// All groups together take as much as they may.
    OutOfMemory,
}

/// Why one offset was not committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetRefused {
    /// More than `offset.metadata.max.bytes`.
    MetadataTooLarge,
}

/// Why no offset was fetched, in the order in which it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetFetchError {
    UnknownMember,
    /// Of a member of the classic protocol in a group of the consumer protocol.
    IllegalGeneration,
    StaleMemberEpoch,
    TooLarge(AnswerTooLarge),
}

impl From<AnswerTooLarge> for OffsetFetchError {
    fn from(why: AnswerTooLarge) -> Self {
        Self::TooLarge(why)
    }
}

/// Why no offset was deleted, in the order in which it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetDeleteError {
    InvalidGroupId,
    UnknownGroup,
    /// Its members do not say what they read.
    NonEmptyGroup,
    /// More than one batch takes.
    TooManyOffsets,
}

/// Why one offset was not deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetNotDeleted {
    /// A member reads the topic.
    GroupIsSubscribed,
}

/// Why a group was not deleted, in the order in which it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteGroupError {
    UnknownGroup,
    NonEmptyGroup,
}

macro_rules! not_a_member {
    ($($error:ident),*) => { $(
        impl From<NotAMember> for $error {
            fn from(why: NotAMember) -> Self {
                match why {
                    NotAMember::Unknown => Self::UnknownMember,
                    NotAMember::Fenced => Self::FencedInstance,
                }
            }
        }
    )* };
}

not_a_member!(
    JoinError,
    SyncError,
    HeartbeatError,
    LeaveError,
    CommitError,
    ConsumerHeartbeatError
);
