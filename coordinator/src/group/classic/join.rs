//! JoinGroup: a member enters the group, or comes back to take part in a rebalance.

use alloc::vec::Vec;

use bytes::Bytes;
use protocol::Str;

use super::{ClassicGroup, ClassicState, FirstRebalance, Joining, Member, change::Change};
use crate::{
    group::{
        Answer, GroupCommand, GroupDecision, Groups, Moment, Timer, Token,
        answer::{JoinError, SyncError},
        consumer::{change::ConsumerChange, classic_member},
        memory::{AsksFor, WithoutMemory},
    },
    limits::GROUP_SAID_BYTES_MAX,
};

/// A JoinGroup request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinGroup {
    pub token: Token,
    pub group: Str,
    /// Empty: it has none yet.
    pub member: Str,
    /// The id that it gets if it needs one; nobody else has it.
    pub new_member: Str,
    pub instance: Option<Str>,
    pub client_id: Str,
    pub client_host: Str,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    pub protocol_type: Str,
    /// Its favourite first.
    pub protocols: Vec<(Str, Bytes)>,
    /// Newer clients come twice: the first time for their id, so that who is not heard of again leaves no
    /// member behind (version 4 and later).
    pub knows_given_ids: bool,
    /// The leader may be told to assign nothing (version 9 and later).
    pub may_skip_assignment: bool,
}

impl GroupCommand for JoinGroup {
    fn decide(&self, groups: &Groups, now: Moment) -> GroupDecision {
        let consumers = groups.consumer(&self.group);
        if consumers.is_some_and(|consumers| !consumers.is_empty()) && !self.is_out_of_range(groups)
        {
            return classic_member::join(groups, now, self);
        }
        let mut change = Change::of(groups, &self.group, now);
        match (self.join(groups, &mut change), consumers) {
            (Err(error), _) => change.answer(self.token, Answer::Join(Err(error))),
            // Nobody is left of those who spoke the other protocol.
            (Ok(()), Some(_)) => {
                let mut consumers = ConsumerChange::of(groups, &self.group, now);
                consumers.write_tombstones();
                let mut decision = consumers.decided();
                let begun = change.decided();
                decision.records.extend(begun.records);
                decision.answers.extend(begun.answers);
                return decision;
            }
            (Ok(()), None) => {}
        }
        change.decided()
    }

    fn without_memory(&self, groups: &Groups) -> Option<WithoutMemory> {
        let classic = groups.get(&self.group).and_then(|group| group.member(&self.member));
        let consumer = groups.consumer(&self.group).and_then(|group| group.member(&self.member));
        let asks_for = match classic.is_some() || consumer.is_some() {
            true => AsksFor::Member,
            false => AsksFor::Newcomer,
        };
        let answer = Answer::Join(Err(JoinError::OutOfMemory));
        Some(WithoutMemory { asks_for, token: self.token, answer })
    }
}

impl JoinGroup {
    fn join(&self, groups: &Groups, change: &mut Change<'_>) -> Result<(), JoinError> {
        if self.group.is_empty() {
            return Err(JoinError::InvalidGroupId);
        }
        if self.is_out_of_range(groups) {
            return Err(JoinError::InvalidSessionTimeout);
        }
        if groups.get(&self.group).is_none() && !self.member.is_empty() {
            return Err(JoinError::UnknownMember);
        }
        if !groups.has_room_for(&self.group) {
            return Err(JoinError::TooManyGroups);
        }
        if !self.has_room(change) {
            change.turn_away(&self.member);
            return Err(JoinError::GroupIsFull);
        }
        if !change.group.supports(&self.protocol_type, &self.protocols) {
            return Err(JoinError::InconsistentProtocol);
        }
        if self.member.is_empty() {
            self.join_as_new(change);
            Ok(())
        } else if self.instance.is_none() && change.take_given_id(&self.member) {
            self.add(change, self.member.detached());
            Ok(())
        } else {
            self.join_again(change)
        }
    }

    fn is_out_of_range(&self, groups: &Groups) -> bool {
        let settings = &groups.settings;
        let sessions = settings.session_timeout_min_ms..=settings.session_timeout_max_ms;
        !sessions.contains(&self.session_timeout_ms)
    }

    /// Members that are there may always join again, but not in a rebalance that enough others have joined:
    /// so a group that has become too large loses who comes last. Given ids are places too, for those who
    /// ask for one.
    fn has_room(&self, change: &Change<'_>) -> bool {
        let group = &change.group;
        let member = group.member(&self.member);
        let given = if self.member.is_empty() { group.given_ids().len() } else { 0 };
        let (has_place, taken) = match group.state {
            ClassicState::Empty => (false, 0),
            ClassicState::PreparingRebalance { .. } => {
                (member.is_some_and(|member| member.joining.is_some()), group.joining_count())
            }
            ClassicState::CompletingRebalance | ClassicState::Stable => {
                (member.is_some(), group.member_count())
            }
        };
        (has_place || taken + given < change.settings.members_max) && self.may_say_that_much(group)
    }

    fn may_say_that_much(&self, group: &ClassicGroup) -> bool {
        let others = group.members().filter(|(id, _)| **id != self.member);
        let said = others.map(|(_, member)| said_bytes(&member.protocols)).sum::<usize>();
        said + said_bytes(&self.protocols) <= GROUP_SAID_BYTES_MAX
    }

    fn join_as_new(&self, change: &mut Change<'_>) {
        let id = self.new_member.clone();
        match &self.instance {
            Some(instance) => match change.group.of_instance(instance).cloned() {
                Some(before) => self.replace(change, &before, id),
                None => self.add(change, id),
            },
            None if self.knows_given_ids => {
                change.group_mut().give_id(id.clone());
                let session_ms = u64::try_from(self.session_timeout_ms).unwrap_or(0);
                change.set_timer_in(Timer::GivenId { member: id.clone() }, session_ms);
                let error = JoinError::MemberIdRequired { member: id };
                change.answer(self.token, Answer::Join(Err(error)));
            }
            None => self.add(change, id),
        }
    }

    fn new_member(&self, now: Moment) -> Member {
        Member {
            instance: self.instance.as_ref().map(Str::detached),
            client_id: self.client_id.detached(),
            client_host: self.client_host.detached(),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            session_timeout_ms: self.session_timeout_ms,
            protocols: self.detached_protocols(),
            joining: Some(Joining { token: self.token, since_ms: now.monotonic_ms }),
            is_new: true,
            ..Member::default()
        }
    }

    /// In memory of their own: what a group keeps pins no request.
    pub(in crate::group) fn detached_protocols(&self) -> Vec<(Str, Bytes)> {
        let protocols = self.protocols.iter();
        protocols.map(|(name, data)| (name.detached(), Bytes::copy_from_slice(data))).collect()
    }

    fn add(&self, change: &mut Change<'_>, id: Str) {
        if change.group.member_count() == 0 {
            change.group_mut().protocol_type = Some(self.protocol_type.detached());
        }
        if let ClassicState::PreparingRebalance { first: Some(first) } = change.group.state {
            let first = FirstRebalance { has_grown: true, ..first };
            change.group_mut().state = ClassicState::PreparingRebalance { first: Some(first) };
        }
        let member = self.new_member(change.now);
        change.group_mut().put(id.clone(), member);
        change.extend_session(&id);
        change.rebalance();
    }

    fn join_again(&self, change: &mut Change<'_>) -> Result<(), JoinError> {
        let member = change.group.check_member(&self.member, self.instance.as_ref())?;
        let is_same = member.protocols == self.protocols;
        let is_leader = change.group.leader.as_ref() == Some(&self.member);
        match change.group.state {
            ClassicState::Empty => return Err(JoinError::UnknownMember),
            // Its answer was lost: it is told again.
            ClassicState::CompletingRebalance if is_same => self.tell_again(change),
            // A follower that only asks; a leader that joins again wants a rebalance.
            ClassicState::Stable if is_same && !is_leader => self.tell_again(change),
            ClassicState::PreparingRebalance { .. }
            | ClassicState::CompletingRebalance
            | ClassicState::Stable => {
                self.update(change, &self.member);
                change.rebalance();
            }
        }
        Ok(())
    }

    fn tell_again(&self, change: &mut Change<'_>) {
        change.extend_session(&self.member);
        let joined = change.joined(&self.member, false);
        change.answer(self.token, Answer::Join(Ok(joined)));
    }

    /// Takes what the request says of a member. An older request of it that waits is answered.
    fn update(&self, change: &mut Change<'_>, id: &str) {
        let since_ms = change.now.monotonic_ms;
        let before = change.group_mut().change_member(id, |member| {
            member.protocols = self.detached_protocols();
            member.client_id = self.client_id.detached();
            member.client_host = self.client_host.detached();
            member.rebalance_timeout_ms = self.rebalance_timeout_ms;
            member.session_timeout_ms = self.session_timeout_ms;
            member.joining.replace(Joining { token: self.token, since_ms })
        });
        if let Some(before) = before.flatten() {
            let answer = Answer::Join(Err(JoinError::RebalanceInProgress));
            change.answer(before.token, answer);
        }
        change.extend_session(id);
    }

    /// A static member came back under a new id: it takes the place of the one before, which is fenced;
    /// in a stable group whose protocol stays nobody else hears of it.
    fn replace(&self, change: &mut Change<'_>, before: &Str, id: Str) {
        let was_leader = change.group.leader.as_ref() == Some(before);
        let protocol = change.group.protocol.clone();
        let Some(mut member) = change.group_mut().take(before) else { return };
        change.set_timer(Timer::Session { member: before.clone() }, None);
        if let Some(joining) = member.joining.take() {
            change.answer(joining.token, Answer::Join(Err(JoinError::FencedInstance)));
        }
        if let Some(token) = member.syncing.take() {
            change.answer(token, Answer::Sync(Err(SyncError::FencedInstance)));
        }
        change.group_mut().put(id.clone(), member);
        if was_leader {
            change.group_mut().leader = Some(id.clone());
        }
        self.update(change, &id);
        // As in Kafka, what it says for the protocol does not count: a client that has just begun says that it
        // owns nothing, and one before it may have said otherwise.
        let is_unchanged = change.group.choose_protocol() == protocol;
        if change.group.state != ClassicState::Stable || !is_unchanged {
            return change.rebalance();
        }
        if let Some(member) = change.group_mut().member_mut(&id) {
            member.joining = None;
        }
        change.group_mut().note_subscribed_topics();
        change.store();
        let mut joined = change.joined(&id, was_leader && self.may_skip_assignment);
        if was_leader && !self.may_skip_assignment {
            // It would assign anew: older clients are kept from it by another's name.
            joined.leader = before.clone();
            joined.members = Vec::new();
        }
        change.answer(self.token, Answer::Join(Ok(joined)));
    }
}

fn said_bytes(protocols: &[(Str, Bytes)]) -> usize {
    protocols.iter().map(|(name, metadata)| name.len() + metadata.len()).sum()
}
