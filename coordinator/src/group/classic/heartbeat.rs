//! Heartbeat: a member is alive, and hears whether it has to join again.

use protocol::Str;

use super::{ClassicState, change::Change};
use crate::group::{
    Answer, GroupCommand, GroupDecision, Groups, Moment, Token, answer::HeartbeatError,
    consumer::classic_member,
};

/// A Heartbeat request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    pub token: Token,
    pub group: Str,
    pub member: Str,
    pub instance: Option<Str>,
    pub generation: i32,
}

impl GroupCommand for Heartbeat {
    fn decide(&self, groups: &Groups, now: Moment) -> GroupDecision {
        if groups.consumer(&self.group).is_some() {
            return classic_member::heartbeat(groups, now, self);
        }
        let mut change = Change::of(groups, &self.group, now);
        let result = self.beat(&mut change);
        change.answer(self.token, Answer::Heartbeat(result));
        change.decided()
    }
}

impl Heartbeat {
    fn beat(&self, change: &mut Change<'_>) -> Result<(), HeartbeatError> {
        if self.group.is_empty() {
            return Err(HeartbeatError::InvalidGroupId);
        }
        let group = &change.group;
        group.check_member(&self.member, self.instance.as_ref())?;
        if group.generation != self.generation {
            return Err(HeartbeatError::IllegalGeneration);
        }
        let state = group.state;
        change.extend_session(&self.member);
        match state {
            ClassicState::Empty => Err(HeartbeatError::UnknownMember),
            ClassicState::PreparingRebalance { .. } => Err(HeartbeatError::RebalanceInProgress),
            ClassicState::CompletingRebalance | ClassicState::Stable => Ok(()),
        }
    }
}
