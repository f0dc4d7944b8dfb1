//! What members are told. Kafka's codes are not known here: `broker` maps the errors.

use alloc::vec::Vec;

use bytes::Bytes;
use protocol::Str;

use super::{
    describe::{DescribedGroup, ListedGroup},
    offset_fetch::FetchedOffsets,
};

/// Whoever asked and waits for an answer; given by the caller, never interpreted here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token(pub u64);

/// An answer to one request.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Join(Result<Joined, JoinError>),
    Sync(Result<Synced, SyncError>),
    Heartbeat(Result<(), HeartbeatError>),
    /// One for each member that was to leave, in the request's order.
    Leave(Vec<Result<(), LeaveError>>),
    /// One for each offset, in the request's order.
    Commit(Result<Vec<Result<(), OffsetRefused>>, CommitError>),
    OffsetFetch(Vec<FetchedOffsets>),
    /// One for each partition, in the request's order.
    OffsetDelete(Result<Vec<Result<(), OffsetNotDeleted>>, OffsetDeleteError>),
    DeleteGroup(Result<(), DeleteGroupError>),
    Describe(DescribedGroup),
    List(Vec<ListedGroup>),
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

/// Why a member cannot leave, in the order in which it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaveError {
    InvalidGroupId,
    UnknownMember,
    FencedInstance,
}

/// Why nothing was committed, in the order in which it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitError {
    /// A generation of a group that is not there.
    UnknownGroup,
    UnknownMember,
    FencedInstance,
    IllegalGeneration,
    RebalanceInProgress,
    /// The coordinator takes no more groups.
    TooManyGroups,
    /// More than [`COMMIT_OFFSETS_MAX`](crate::limits::COMMIT_OFFSETS_MAX), or more bytes than one batch
    /// takes.
    TooLarge,
}

/// Why one offset was not committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetRefused {
    /// More than `offset.metadata.max.bytes`.
    MetadataTooLarge,
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

not_a_member!(JoinError, SyncError, HeartbeatError, LeaveError, CommitError);
