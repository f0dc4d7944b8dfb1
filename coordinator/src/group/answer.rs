//! What members are told. Kafka's codes are not known here: `broker` maps the errors.

use alloc::vec::Vec;

use bytes::Bytes;
use protocol::Str;

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

/// Why a member did not join, in the order in which it is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinError {
    InvalidGroupId,
    InvalidSessionTimeout,
    InconsistentProtocol,
    /// `group.max.size` members are there.
    GroupIsFull,
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
