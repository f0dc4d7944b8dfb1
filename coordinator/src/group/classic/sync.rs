//! SyncGroup: members ask for their assignment, the leader brings it.

use alloc::{collections::BTreeMap, vec::Vec};

use bytes::Bytes;
use protocol::Str;

use super::{ClassicState, change::Change};
use crate::group::{
    Answer, GroupCommand, GroupDecision, Groups, Moment, Timer, Token,
    answer::{SyncError, Synced},
    consumer::classic_member,
    memory::{AsksFor, WithoutMemory},
};

/// A SyncGroup request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncGroup {
    pub token: Token,
    pub group: Str,
    pub member: Str,
    pub instance: Option<Str>,
    pub generation: i32,
    /// What the member thinks was agreed on, where its version says so.
    pub protocol_type: Option<Str>,
    pub protocol: Option<Str>,
    /// From the leader: (member, assignment).
    pub assignments: Vec<(Str, Bytes)>,
}

impl GroupCommand for SyncGroup {
    fn decide(&self, groups: &Groups, now: Moment) -> GroupDecision {
        if groups.consumer(&self.group).is_some() {
            return classic_member::sync(groups, now, self);
        }
        let mut change = Change::of(groups, &self.group, now);
        if let Err(error) = self.sync(&mut change) {
            change.answer(self.token, Answer::Sync(Err(error)));
        }
        change.decided()
    }

    fn without_memory(&self, _groups: &Groups) -> Option<WithoutMemory> {
        let answer = Answer::Sync(Err(SyncError::OutOfMemory));
        Some(WithoutMemory { asks_for: AsksFor::Member, token: self.token, answer })
    }
}

impl SyncGroup {
    fn sync(&self, change: &mut Change<'_>) -> Result<(), SyncError> {
        if self.group.is_empty() {
            return Err(SyncError::InvalidGroupId);
        }
        let group = &change.group;
        group.check_member(&self.member, self.instance.as_ref())?;
        if group.generation != self.generation {
            return Err(SyncError::IllegalGeneration);
        }
        // Before the first generation nothing was agreed on.
        let differs = |said: &Option<Str>, agreed: &Option<Str>| {
            said.is_some() && agreed.is_some() && said != agreed
        };
        if differs(&self.protocol_type, &group.protocol_type)
            || differs(&self.protocol, &group.protocol)
        {
            return Err(SyncError::InconsistentProtocol);
        }
        match group.state {
            ClassicState::Empty => Err(SyncError::UnknownMember),
            ClassicState::PreparingRebalance { .. } => Err(SyncError::RebalanceInProgress),
            ClassicState::CompletingRebalance => {
                self.wait(change);
                Ok(())
            }
            ClassicState::Stable => {
                if let Some(member) = change.group_mut().member_mut(&self.member) {
                    member.owes_sync = false;
                }
                change.extend_session(&self.member);
                let synced = change.synced(&self.member);
                change.answer(self.token, Answer::Sync(Ok(synced)));
                Ok(())
            }
        }
    }

    fn wait(&self, change: &mut Change<'_>) {
        let is_leader = change.group.leader.as_ref() == Some(&self.member);
        if let Some(member) = change.group_mut().member_mut(&self.member) {
            member.owes_sync = false;
            if let Some(before) = member.syncing.replace(self.token) {
                let answer = Answer::Sync(Err(SyncError::RebalanceInProgress));
                change.answer(before, answer);
            }
        }
        change.extend_session(&self.member);
        if is_leader {
            change.assign(&self.assignments);
        }
    }
}

impl Change<'_> {
    /// The leader's word: the group is stable, and everybody who waits is told. The time for those who
    /// have not asked yet goes on.
    fn assign(&mut self, assignments: &[(Str, Bytes)]) {
        let given: BTreeMap<&Str, &Bytes> =
            assignments.iter().map(|(member, assignment)| (member, assignment)).collect();
        let ids: Vec<Str> = self.group.members().map(|(id, _)| id.clone()).collect();
        for id in &ids {
            let assignment = given.get(id).map_or_else(Bytes::new, |of| Bytes::copy_from_slice(of));
            let _ = self.group_mut().change_member(id, |member| member.assignment = assignment);
        }
        if !self.fits_a_record() {
            self.refuse_syncs(SyncError::GroupTooLarge);
            return self.begin_rebalance();
        }
        self.enter(ClassicState::Stable);
        self.store();
        for id in &ids {
            let waiting = self.group_mut().member_mut(id).and_then(|member| member.syncing.take());
            if let Some(token) = waiting {
                let synced = self.synced(id);
                self.answer(token, Answer::Sync(Ok(synced)));
                self.extend_session(id);
            }
        }
        if !self.group.members().any(|(_, member)| member.owes_sync) {
            self.set_timer(Timer::Rebalance, None);
        }
    }

    fn synced(&self, id: &str) -> Synced {
        let group = &self.group;
        Synced {
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            protocol: group.protocol.clone().unwrap_or_default(),
            assignment: group
                .member(id)
                .map(|member| member.assignment.clone())
                .unwrap_or_default(),
        }
    }
}
