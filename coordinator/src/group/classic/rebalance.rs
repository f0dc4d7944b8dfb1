//! The phases of a rebalance: members are asked to join, a generation begins, the leader assigns.

use alloc::vec::Vec;

use bytes::Bytes;
use protocol::Str;

use super::{ClassicState, FirstRebalance, Member, change::Change};
use crate::{
    group::{
        Answer, Timer,
        answer::{JoinError, Joined, JoinedMember, SyncError},
    },
    limits::{NEW_MEMBER_JOIN_MS_MAX, REBALANCE_AGAIN_MS_MIN},
};

impl Change<'_> {
    /// Something changed about the members: a rebalance begins, or the one under way may be complete.
    pub(in crate::group) fn rebalance(&mut self) {
        match self.group.state {
            ClassicState::PreparingRebalance { .. } => self.complete_join_if_all_are_there(),
            ClassicState::Empty => self.begin_first_rebalance(),
            ClassicState::Stable | ClassicState::CompletingRebalance => self.begin_rebalance(),
        }
    }

    fn begin_first_rebalance(&mut self) {
        let bound_ms = self.group.rebalance_timeout_ms();
        let delay_ms = self.settings.initial_rebalance_delay_ms.min(bound_ms);
        let first = FirstRebalance {
            until_ms: self.now.monotonic_ms.saturating_add(bound_ms),
            has_grown: false,
        };
        self.enter(ClassicState::PreparingRebalance { first: Some(first) });
        self.set_timer_in(Timer::Rebalance, delay_ms);
    }

    pub(in crate::group) fn begin_rebalance(&mut self) {
        self.refuse_syncs(SyncError::RebalanceInProgress);
        self.enter(ClassicState::PreparingRebalance { first: None });
        self.set_timer_in(Timer::Rebalance, self.group.rebalance_timeout_ms());
        self.complete_join_if_all_are_there();
    }

    pub(super) fn refuse_syncs(&mut self, why: SyncError) {
        let ids: Vec<Str> = self.group.members().map(|(id, _)| id.clone()).collect();
        for id in ids {
            let Some(member) = self.group.member(&id) else { continue };
            if member.syncing.is_none() && !member.owes_sync {
                continue;
            }
            if let Some(member) = self.group_mut().member_mut(&id) {
                member.owes_sync = false;
                if let Some(token) = member.syncing.take() {
                    self.answer(token, Answer::Sync(Err(why)));
                }
            }
        }
    }

    /// The first rebalance of a group waits for its time.
    pub(super) fn complete_join_if_all_are_there(&mut self) {
        let is_first =
            !matches!(self.group.state, ClassicState::PreparingRebalance { first: None });
        if !is_first && self.group.all_have_joined() {
            self.complete_join();
        }
    }

    /// The time to join, or to ask for the assignment, is over.
    pub(crate) fn rebalance_timed_out(&mut self) {
        let now_ms = self.now.monotonic_ms;
        match self.group.state {
            ClassicState::PreparingRebalance { first: Some(first) }
                if first.has_grown && now_ms < first.until_ms =>
            {
                let left_ms = first.until_ms - now_ms;
                let first = FirstRebalance { has_grown: false, ..first };
                self.group_mut().state = ClassicState::PreparingRebalance { first: Some(first) };
                let delay_ms = self.settings.initial_rebalance_delay_ms.min(left_ms);
                self.set_timer_in(Timer::Rebalance, delay_ms);
            }
            ClassicState::PreparingRebalance { .. } => self.complete_join(),
            ClassicState::CompletingRebalance | ClassicState::Stable => self.drop_who_owes_a_sync(),
            ClassicState::Empty => {}
        }
    }

    fn drop_who_owes_a_sync(&mut self) {
        let owing = self.group.members().filter(|(_, member)| member.owes_sync);
        let owing: Vec<Str> = owing.map(|(id, _)| id.clone()).collect();
        if owing.is_empty() {
            return;
        }
        for id in &owing {
            self.drop_member(id);
        }
        self.rebalance();
    }

    /// There is no place for it: nobody waits for it either.
    pub(super) fn turn_away(&mut self, id: &str) {
        if self.take_given_id(id) {
            self.complete_join_if_all_are_there();
        } else if self.group.member(id).is_some() {
            self.drop_member(id);
            self.rebalance();
        }
    }

    /// The id that it was given is used up.
    pub(super) fn take_given_id(&mut self, id: &str) -> bool {
        let was_given = self.group.given_ids().contains(id);
        if was_given {
            self.group_mut().take_given_id(id);
            self.set_timer(Timer::GivenId { member: Str::from(id) }, None);
        }
        was_given
    }

    /// Takes the member out; a request of its that waits is answered.
    pub(super) fn drop_member(&mut self, id: &str) {
        let Some(member) = self.group_mut().take(id) else { return };
        if let Some(joining) = member.joining {
            self.answer(joining.token, Answer::Join(Err(JoinError::UnknownMember)));
        }
        if let Some(token) = member.syncing {
            self.answer(token, Answer::Sync(Err(SyncError::UnknownMember)));
        }
        self.set_timer(Timer::Session { member: Str::from(id) }, None);
    }

    /// Who has joined makes the next generation. Static members may come back to their place until their
    /// session ends; everybody else who has not joined is out.
    fn complete_join(&mut self) {
        let absent = self.group.members().filter(|(_, member)| member.joining.is_none());
        let absent: Vec<Str> = absent
            .filter(|(_, member)| member.instance.is_none())
            .map(|(id, _)| id.clone())
            .collect();
        for id in &absent {
            self.drop_member(id);
        }
        if self.group.member_count() == 0 {
            return self.begin_empty_generation();
        }
        if !self.elect_leader_among_joined() {
            // Only static members are left, and none of them came.
            let again_ms = self.group.rebalance_timeout_ms().max(REBALANCE_AGAIN_MS_MIN);
            return self.set_timer_in(Timer::Rebalance, again_ms);
        }
        self.begin_generation();
    }

    fn elect_leader_among_joined(&mut self) -> bool {
        let has_joined = |member: &Member| member.joining.is_some();
        let leader = self.group.leader().and_then(|leader| self.group.member(leader));
        if leader.is_some_and(has_joined) {
            return true;
        }
        let first = self.group.members().find(|(_, member)| has_joined(member));
        let Some(first) = first.map(|(id, _)| id.clone()) else { return false };
        self.group_mut().leader = Some(first);
        true
    }

    fn begin_empty_generation(&mut self) {
        let generation = self.group.generation.saturating_add(1);
        self.group_mut().generation = generation;
        self.group_mut().protocol = None;
        self.group_mut().leader = None;
        self.group_mut().note_subscribed_topics();
        self.enter(ClassicState::Empty);
        self.set_timer(Timer::Rebalance, None);
        self.store();
    }

    fn begin_generation(&mut self) {
        let generation = self.group.generation.saturating_add(1);
        self.group_mut().generation = generation;
        self.group_mut().protocol = self.group.choose_protocol();
        self.group_mut().note_subscribed_topics();
        self.enter(ClassicState::CompletingRebalance);
        let ids: Vec<Str> = self.group.members().map(|(id, _)| id.clone()).collect();
        for id in ids {
            let joining = self.group_mut().change_member(&id, |member| {
                member.assignment = Bytes::new();
                member.is_new = false;
                let joining = member.joining.take();
                member.owes_sync |= joining.is_some();
                joining
            });
            if let Some(joining) = joining.flatten() {
                let joined = self.joined(&id, false);
                self.answer(joining.token, Answer::Join(Ok(joined)));
            }
            self.extend_session(&id);
        }
        self.set_timer_in(Timer::Rebalance, self.group.rebalance_timeout_ms());
    }

    /// What a member of this generation is told; the leader sees everybody.
    pub(super) fn joined(&self, id: &str, skips_assignment: bool) -> Joined {
        let group = &self.group;
        let protocol = group.protocol.clone().unwrap_or_default();
        let leader = group.leader.clone().unwrap_or_default();
        let seen = (leader == id).then(|| {
            group.members().map(|(id, member)| JoinedMember {
                member: id.clone(),
                instance: member.instance.clone(),
                metadata: member.metadata_for(&protocol).cloned().unwrap_or_default(),
            })
        });
        Joined {
            generation: group.generation,
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            members: seen.into_iter().flatten().collect(),
            protocol,
            leader,
            member: Str::from(id),
            skips_assignment,
        }
    }

    /// Nothing was heard of the member for its session's time; whoever waits for an answer is alive, but
    /// a new one that nobody ever answered is given up some day.
    pub(crate) fn session_ended(&mut self, id: &str) {
        let Some(member) = self.group.member(id) else { return };
        let now_ms = self.now.monotonic_ms;
        let waits = match member.joining {
            Some(joining) if member.is_new => {
                now_ms < joining.since_ms.saturating_add(NEW_MEMBER_JOIN_MS_MAX)
            }
            Some(_) => true,
            None => member.syncing.is_some(),
        };
        if waits {
            return self.extend_session(id);
        }
        self.drop_member(id);
        self.rebalance();
    }

    /// Nobody came with the id that was given.
    pub(crate) fn given_id_expired(&mut self, id: &str) {
        if self.take_given_id(id) {
            self.complete_join_if_all_are_there();
        }
    }
}
