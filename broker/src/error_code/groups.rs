//! What the group coordinator says to Kafka's codes.

use coordinator::group::answer::{
    AnswerTooLarge, CommitError, ConsumerHeartbeatError, DeleteGroupError, HeartbeatError,
    JoinError, LeaveError, OffsetDeleteError, OffsetFetchError, OffsetNotDeleted, OffsetRefused,
    SyncError,
};
use protocol::ErrorCode;

use crate::shard::group_coordinator::question::GroupRefused;
use crate::shard::responding::Collected;

/// OffsetCommit's version from which a group that is not there has a code of its own.
const COMMIT_GROUP_NOT_FOUND_FROM: i16 = 9;

pub(crate) fn refused(refused: GroupRefused) -> ErrorCode {
    match refused {
        GroupRefused::Loading => ErrorCode::CoordinatorLoadInProgress,
        GroupRefused::NotCoordinator => ErrorCode::NotCoordinator,
        GroupRefused::Unavailable => ErrorCode::CoordinatorNotAvailable,
    }
}

/// For SyncGroup: who is asked for an assignment that nobody knows has the member join again.
pub(crate) fn refused_member(why: GroupRefused) -> ErrorCode {
    match why {
        GroupRefused::Loading => ErrorCode::RebalanceInProgress,
        other => refused(other),
    }
}

pub(crate) fn join(error: &JoinError) -> ErrorCode {
    match error {
        JoinError::InvalidGroupId => ErrorCode::InvalidGroupId,
        JoinError::InvalidSessionTimeout => ErrorCode::InvalidSessionTimeout,
        JoinError::TooManyGroups => ErrorCode::CoordinatorNotAvailable,
        JoinError::GroupIsFull => ErrorCode::GroupMaxSizeReached,
        JoinError::InconsistentProtocol => ErrorCode::InconsistentGroupProtocol,
        JoinError::UnknownMember => ErrorCode::UnknownMemberId,
        JoinError::FencedInstance => ErrorCode::FencedInstanceId,
        JoinError::MemberIdRequired { .. } => ErrorCode::MemberIdRequired,
        JoinError::RebalanceInProgress => ErrorCode::RebalanceInProgress,
        // Clients ask again, until others have left.
        JoinError::OutOfMemory => ErrorCode::CoordinatorNotAvailable,
    }
}

pub(crate) fn sync(error: SyncError) -> ErrorCode {
    match error {
        SyncError::InvalidGroupId => ErrorCode::InvalidGroupId,
        SyncError::UnknownMember => ErrorCode::UnknownMemberId,
        SyncError::FencedInstance => ErrorCode::FencedInstanceId,
        SyncError::IllegalGeneration => ErrorCode::IllegalGeneration,
        SyncError::InconsistentProtocol => ErrorCode::InconsistentGroupProtocol,
        SyncError::RebalanceInProgress => ErrorCode::RebalanceInProgress,
        SyncError::GroupTooLarge => ErrorCode::UnknownServerError,
        SyncError::OutOfMemory => ErrorCode::CoordinatorNotAvailable,
    }
}

pub(crate) fn heartbeat(error: HeartbeatError) -> ErrorCode {
    match error {
        HeartbeatError::InvalidGroupId => ErrorCode::InvalidGroupId,
        HeartbeatError::UnknownMember => ErrorCode::UnknownMemberId,
        HeartbeatError::FencedInstance => ErrorCode::FencedInstanceId,
        HeartbeatError::IllegalGeneration => ErrorCode::IllegalGeneration,
        HeartbeatError::RebalanceInProgress => ErrorCode::RebalanceInProgress,
    }
}

pub(crate) fn consumer_heartbeat(error: ConsumerHeartbeatError) -> ErrorCode {
    match error {
        ConsumerHeartbeatError::Invalid(_) => ErrorCode::InvalidRequest,
        ConsumerHeartbeatError::UnsupportedAssignor => ErrorCode::UnsupportedAssignor,
        ConsumerHeartbeatError::UnknownGroup => ErrorCode::GroupIdNotFound,
        ConsumerHeartbeatError::TooManyGroups => ErrorCode::CoordinatorNotAvailable,
        ConsumerHeartbeatError::GroupIsFull => ErrorCode::GroupMaxSizeReached,
        ConsumerHeartbeatError::UnknownMember => ErrorCode::UnknownMemberId,
        ConsumerHeartbeatError::FencedInstance => ErrorCode::FencedInstanceId,
        ConsumerHeartbeatError::UnreleasedInstance => ErrorCode::UnreleasedInstanceId,
        ConsumerHeartbeatError::FencedMemberEpoch => ErrorCode::FencedMemberEpoch,
        ConsumerHeartbeatError::InvalidRegularExpression => ErrorCode::InvalidRegularExpression,
        ConsumerHeartbeatError::GroupTooLarge => ErrorCode::UnknownServerError,
        ConsumerHeartbeatError::OutOfMemory => ErrorCode::CoordinatorNotAvailable,
    }
}

pub(crate) fn leave(error: LeaveError) -> ErrorCode {
    match error {
        LeaveError::InvalidGroupId => ErrorCode::InvalidGroupId,
        LeaveError::UnknownMember => ErrorCode::UnknownMemberId,
        LeaveError::FencedInstance => ErrorCode::FencedInstanceId,
        // Asked again, the rest of them leave.
        LeaveError::TooManyMembers => ErrorCode::CoordinatorNotAvailable,
    }
}

pub(crate) fn commit(error: CommitError, version: i16) -> ErrorCode {
    match error {
        CommitError::UnknownGroup if version >= COMMIT_GROUP_NOT_FOUND_FROM => {
            ErrorCode::GroupIdNotFound
        }
        CommitError::UnknownGroup | CommitError::IllegalGeneration => ErrorCode::IllegalGeneration,
        CommitError::UnknownMember => ErrorCode::UnknownMemberId,
        CommitError::FencedInstance => ErrorCode::FencedInstanceId,
        CommitError::UnsupportedVersion => ErrorCode::UnsupportedVersion,
        CommitError::StaleMemberEpoch => ErrorCode::StaleMemberEpoch,
        CommitError::RebalanceInProgress => ErrorCode::RebalanceInProgress,
        CommitError::TooManyGroups => ErrorCode::CoordinatorNotAvailable,
        CommitError::TooLarge => ErrorCode::InvalidCommitOffsetSize,
        CommitError::OutOfMemory => ErrorCode::CoordinatorNotAvailable,
    }
}

pub(crate) fn offset_refused(why: OffsetRefused) -> ErrorCode {
    match why {
        OffsetRefused::MetadataTooLarge => ErrorCode::OffsetMetadataTooLarge,
    }
}

/// Clients ask again for a group that had no room beside the others of its request, or while others do not take
/// their responses: then it may have some. What never fits they are told for good.
pub(crate) fn too_large(why: AnswerTooLarge, collected: Collected) -> ErrorCode {
    match collected.may_fit_later(why.bytes_max) {
        true => ErrorCode::CoordinatorNotAvailable,
        false => ErrorCode::InvalidRequest,
    }
}

pub(crate) fn offset_fetch(error: OffsetFetchError, collected: Collected) -> ErrorCode {
    match error {
        OffsetFetchError::TooLarge(why) => too_large(why, collected),
        OffsetFetchError::UnknownMember => ErrorCode::UnknownMemberId,
        OffsetFetchError::IllegalGeneration => ErrorCode::IllegalGeneration,
        OffsetFetchError::StaleMemberEpoch => ErrorCode::StaleMemberEpoch,
    }
}

pub(crate) fn offset_delete(error: OffsetDeleteError) -> ErrorCode {
    match error {
        OffsetDeleteError::InvalidGroupId => ErrorCode::InvalidGroupId,
        OffsetDeleteError::UnknownGroup => ErrorCode::GroupIdNotFound,
        OffsetDeleteError::NonEmptyGroup => ErrorCode::NonEmptyGroup,
        OffsetDeleteError::TooManyOffsets => ErrorCode::InvalidRequest,
    }
}

pub(crate) fn offset_not_deleted(why: OffsetNotDeleted) -> ErrorCode {
    match why {
        OffsetNotDeleted::GroupIsSubscribed => ErrorCode::GroupSubscribedToTopic,
    }
}

pub(crate) fn delete(error: DeleteGroupError) -> ErrorCode {
    match error {
        DeleteGroupError::UnknownGroup => ErrorCode::GroupIdNotFound,
        DeleteGroupError::NonEmptyGroup => ErrorCode::NonEmptyGroup,
    }
}
