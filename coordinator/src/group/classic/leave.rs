//! LeaveGroup: members go, or an operator takes static members out by their instance ids.

use alloc::vec::Vec;

use protocol::Str;

use super::{ClassicState, change::Change};
use crate::group::{
    Answer, GroupCommand, GroupDecision, Groups, Moment, Token, answer::LeaveError,
    consumer::classic_member,
};

/// A LeaveGroup request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaveGroup {
    pub token: Token,
    pub group: Str,
    pub members: Vec<Leaving>,
}

/// Who leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// Empty: whoever has the instance id.
    pub member: Str,
    pub instance: Option<Str>,
}

impl GroupCommand for LeaveGroup {
    fn decide(&self, groups: &Groups, now: Moment) -> GroupDecision {
        if groups.consumer(&self.group).is_some() {
            return classic_member::leave(groups, now, self);
        }
        let mut change = Change::of(groups, &self.group, now);
        let mut results = Vec::with_capacity(self.members.len());
        let mut has_changed = false;
        for leaving in &self.members {
            let result = if self.group.is_empty() {
                Err(LeaveError::InvalidGroupId)
            } else {
                change.leave(leaving)
            };
            has_changed |= result.is_ok();
            results.push(result);
        }
        if has_changed && change.group.state != ClassicState::Empty {
            change.rebalance();
        }
        change.answer(self.token, Answer::Leave(results));
        change.decided()
    }
}

impl Change<'_> {
    fn leave(&mut self, leaving: &Leaving) -> Result<(), LeaveError> {
        let id = match &leaving.instance {
            Some(instance) if leaving.member.is_empty() => {
                self.group.of_instance(instance).cloned().ok_or(LeaveError::UnknownMember)?
            }
            None if self.take_given_id(&leaving.member) => return Ok(()),
            instance => {
                self.group.check_member(&leaving.member, instance.as_ref())?;
                leaving.member.clone()
            }
        };
        self.drop_member(&id);
        Ok(())
    }
}
