//! What a ConsumerGroupHeartbeat request may say, before anybody looks at the group.

use alloc::vec::Vec;

use protocol::{PartitionIndex, Str, TopicId};

use super::{Assignor, member::STATIC_LEAVE_EPOCH};
use crate::group::{
    Token,
    answer::{ConsumerHeartbeatError, InvalidHeartbeat},
    settings::ConsumerSettings,
};

/// The epoch of a member that joins, or comes back after it was fenced.
pub(super) const JOIN_EPOCH: i32 = 0;
/// The epoch of a member that leaves.
pub(super) const LEAVE_EPOCH: i32 = -1;

/// A ConsumerGroupHeartbeat request. `None` is as in the last heartbeat, which an empty list is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerHeartbeat {
    pub token: Token,
    pub group: Str,
    /// Made by the client (version 1 and later), or empty in a first request of version 0.
    pub member: Str,
    /// The id that a member without one gets; nobody else has it.
    pub new_member: Str,
    /// Version 1 and later: a member makes its id itself.
    pub makes_member_ids: bool,
    /// 0 joins, -1 leaves, -2 leaves and will be back.
    pub member_epoch: i32,
    pub instance: Option<Str>,
    pub rack: Option<Str>,
    pub client_id: Str,
    pub client_host: Str,
    pub rebalance_timeout_ms: Option<i32>,
    pub topics: Option<Vec<Str>>,
    pub regex: Option<Str>,
    pub assignor: Option<Str>,
    /// What the member owns.
    pub owned: Option<Vec<(TopicId, Vec<PartitionIndex>)>>,
}

impl ConsumerHeartbeat {
    pub(super) fn joins(&self) -> bool {
        self.member_epoch == JOIN_EPOCH
    }

    pub(super) fn leaves(&self) -> bool {
        matches!(self.member_epoch, LEAVE_EPOCH | STATIC_LEAVE_EPOCH)
    }

    /// All that is not optional is said: the member may have lost what it was told.
    pub(super) fn is_full(&self) -> bool {
        self.rebalance_timeout_ms.is_some()
            && (self.topics.is_some() || self.regex.is_some())
            && self.owned.is_some()
    }

    pub(super) fn check(&self, settings: &ConsumerSettings) -> Result<(), ConsumerHeartbeatError> {
        self.check_ids().and_then(|()| self.check_epoch())?;
        let Some(assignor) = &self.assignor else { return Ok(()) };
        let known = Assignor::parse(assignor);
        match known.is_some_and(|assignor| settings.assignors.contains(&assignor)) {
            true => Ok(()),
            false => Err(ConsumerHeartbeatError::UnsupportedAssignor),
        }
    }

    fn check_ids(&self) -> Result<(), InvalidHeartbeat> {
        let is_empty = |text: &Option<Str>| text.as_deref() == Some("");
        let needs_member_id =
            self.makes_member_ids || self.member_epoch > 0 || self.member_epoch == LEAVE_EPOCH;
        if needs_member_id && self.member.is_empty() {
            return Err(InvalidHeartbeat::EmptyMemberId);
        }
        if self.group.is_empty() {
            return Err(InvalidHeartbeat::EmptyGroupId);
        }
        if is_empty(&self.instance) {
            return Err(InvalidHeartbeat::EmptyInstanceId);
        }
        if is_empty(&self.rack) {
            return Err(InvalidHeartbeat::EmptyRackId);
        }
        Ok(())
    }

    fn check_epoch(&self) -> Result<(), InvalidHeartbeat> {
        match self.member_epoch {
            JOIN_EPOCH if self.rebalance_timeout_ms.is_none() => {
                Err(InvalidHeartbeat::NoRebalanceTimeout)
            }
            JOIN_EPOCH if self.owned.as_ref().is_none_or(|owned| !owned.is_empty()) => {
                Err(InvalidHeartbeat::OwnsPartitions)
            }
            JOIN_EPOCH if self.topics.is_none() && self.regex.is_none() => {
                Err(InvalidHeartbeat::NoSubscription)
            }
            STATIC_LEAVE_EPOCH if self.instance.is_none() => Err(InvalidHeartbeat::NoInstanceId),
            epoch if epoch < STATIC_LEAVE_EPOCH => Err(InvalidHeartbeat::Epoch),
            _ => Ok(()),
        }
    }
}
