//! Members of groups: they join, own, commit, pause, crash, leave and come back, over connections of their own.
//!
//! A member that is paused goes on believing that it owns what it was told. That is an error only while its
//! session cannot have ended: then nobody else may own the same.

use std::collections::BTreeSet;

use broker::protocol::{Str, TopicId};

use super::clients::ClientKey;
use super::groups::{GROUPS, GroupKey, Protocol, SESSION_MS, Slot};
use super::{NANOS_PER_MS, NodeWorld};
use crate::random::Random;
use crate::violation::{Checked, Checker};

const MEMBERS_PER_GROUP: usize = 3;
/// Of the static member of a group.
const INSTANCE: &str = "instance";
/// One in so many steps of a member is a misfortune.
const MISFORTUNE_ONE_IN: u64 = 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MemberKey(pub(super) usize);

/// What a member does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Looks for the coordinator.
    Find,
    Join,
    Sync,
    Beat,
    /// It went, and comes back.
    Away,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) group: GroupKey,
    pub(super) client: Option<ClientKey>,
    /// Counts its lives: answers to an earlier one are nobody's.
    pub(super) life: u64,
    pub(super) id: Str,
    /// Of a static member: what it is called in all its lives.
    pub(super) instance: Option<Str>,
    pub(super) step: Step,
    /// Where it goes on when it has found the coordinator.
    pub(super) after_find: Step,
    /// Generation or member epoch.
    pub(super) epoch: i32,
    pub(super) owned: BTreeSet<Slot>,
    /// Of the consumer protocol: what it shall own once it has given back the rest.
    pub(super) wanted: Option<BTreeSet<Slot>>,
    /// Of the consumer protocol: `owned` changed since it was told.
    pub(super) tells_owned: bool,
    /// Of the consumer protocol: an answer may have been lost, so that it says everything, to hear everything.
    pub(super) tells_all: bool,
    /// Of the classic protocol, for the leader: the other members.
    pub(super) followers: Vec<Str>,
    pub(super) due: u64,
    /// When the newest request was sent that was answered well.
    pub(super) heard: u64,
    /// An answer is due.
    pub(super) waits: bool,
}

impl Member {
    fn new(group: GroupKey, instance: Option<Str>) -> Self {
        Self {
            group,
            client: None,
            life: 0,
            id: Str::default(),
            instance,
            step: Step::Find,
            after_find: Step::Join,
            epoch: 0,
            owned: BTreeSet::new(),
            wanted: None,
            tells_owned: false,
            tells_all: false,
            followers: Vec::new(),
            due: 0,
            heard: 0,
            waits: false,
        }
    }

    /// It is no member any more, for all that it knows.
    pub(super) fn give_up(&mut self) {
        self.owned.clear();
        self.wanted = None;
        self.followers.clear();
        self.epoch = 0;
        self.step = Step::Join;
    }

    /// Who it is, whatever its life.
    pub(super) fn name(&self) -> &Str {
        self.instance.as_ref().unwrap_or(&self.id)
    }

    /// Whether the coordinator cannot have given it up: its session, which is counted in whole milliseconds, has
    /// not ended.
    fn must_be_alive(&self, now: u64) -> bool {
        now < self.heard + (SESSION_MS - 1) * NANOS_PER_MS
    }
}

impl NodeWorld {
    pub(super) fn make_members(&mut self) {
        for group in (0..GROUPS.len()).map(GroupKey) {
            let count = match group.protocol() {
                Protocol::Alone => 1,
                Protocol::Classic | Protocol::Consumer => MEMBERS_PER_GROUP,
            };
            // In every second world one of a group's members is static.
            let has_static =
                group.protocol() != Protocol::Alone && self.options.seed.is_multiple_of(2);
            let instance = |at| (has_static && at == 0).then(|| Str::from_static(INSTANCE));
            self.members.extend((0..count).map(|at| Member::new(group, instance(at))));
        }
    }

    /// The node is gone, and every connection: members look for the coordinator, and are still members.
    pub(super) fn leave_members(&mut self) {
        for member in &mut self.members {
            member.client = None;
            member.waits = false;
            member.tells_all = true;
            member.life += 1;
            if !matches!(member.step, Step::Find | Step::Away) {
                member.after_find = member.step;
                member.step = Step::Find;
            }
        }
    }

    pub(super) fn next_member_due(&self) -> Option<u64> {
        // Before there are connections again nobody can act.
        if !self.members_act || self.clients.is_empty() {
            return None;
        }
        let waiting = self.members.iter().filter(|member| !member.waits);
        waiting.map(|member| member.due).min()
    }

    /// Every member whose time has come does what it does next.
    pub(super) fn members_turn(&mut self) {
        if !self.members_act || self.clients.is_empty() {
            return;
        }
        for key in (0..self.members.len()).map(MemberKey) {
            let member = &self.members[key.0];
            if !member.waits && member.due <= self.now {
                self.member_turn(key);
            }
        }
    }

    fn member_turn(&mut self, key: MemberKey) {
        let pause = (2 + self.random.below(30)) * NANOS_PER_MS;
        self.members[key.0].due = self.now + pause;
        if self.members_meet_misfortune && self.random.one_in(MISFORTUNE_ONE_IN) {
            return self.misfortune(key);
        }
        if self.members[key.0].client.is_none() {
            self.members[key.0].client = Some(self.connect());
        }
        let member = &mut self.members[key.0];
        match member.step {
            Step::Away => {
                member.step = Step::Find;
                member.after_find = Step::Join;
            }
            Step::Find => self.find_coordinator(key),
            Step::Join => match member.group.protocol() {
                Protocol::Classic => self.join_group(key),
                Protocol::Consumer => self.beat_consumer(key),
                Protocol::Alone => self.commit_somewhere(key),
            },
            Step::Sync => self.sync_group(key),
            Step::Beat => self.member_beat(key),
        }
    }

    fn member_beat(&mut self, key: MemberKey) {
        let is_classic = self.members[key.0].group.protocol() == Protocol::Classic;
        match self.random.below(4) {
            0 if !self.members[key.0].owned.is_empty() => self.commit_somewhere(key),
            1 => self.fetch_commits(key),
            _ if is_classic => self.beat_classic(key),
            _ => {
                self.give_back(key);
                self.beat_consumer(key);
            }
        }
    }

    /// Takes its time to let go of what it shall not own any more.
    fn give_back(&mut self, key: MemberKey) {
        if self.random.one_in(3) {
            return;
        }
        let member = &mut self.members[key.0];
        if let Some(wanted) = member.wanted.take() {
            member.owned.retain(|slot| wanted.contains(slot));
            member.tells_owned = true;
        }
    }

    fn misfortune(&mut self, key: MemberKey) {
        let kind = self.random.below(4);
        let pause = self.random.below(3 * SESSION_MS) * NANOS_PER_MS;
        let member = &mut self.members[key.0];
        member.due = self.now + pause;
        match kind {
            // It stops for a while, and does not know.
            0 | 1 => {}
            // It crashes; another one comes in its place.
            2 => {
                let life = member.life + 1;
                let anew = Member::new(member.group, member.instance.take());
                *member = Member { life, due: self.now + pause, ..anew };
                self.note(|_| format!("member {} crashes", key.0));
            }
            _ => self.leave_group(key),
        }
    }

    /// A member was told that it owns these: nobody else may, whose session goes on.
    pub(super) fn check_owner(&self, key: MemberKey, slots: &BTreeSet<Slot>) -> Checked {
        let group = self.members[key.0].group;
        let others = self.members.iter().enumerate();
        for (at, other) in others.filter(|(at, other)| *at != key.0 && other.group == group) {
            let both: Vec<&Slot> = slots.intersection(&other.owned).collect();
            Checker::OneOwner.check(both.is_empty() || !other.must_be_alive(self.now), || {
                let name = group.name();
                format!("{name}: {both:?} belong to members {} and {at} at once", key.0)
            })?;
        }
        Ok(())
    }

    /// Everything is owned, once, by members that agree.
    pub(super) fn is_settled(&self, group: GroupKey, all: &BTreeSet<Slot>) -> bool {
        let members: Vec<&Member> =
            self.members.iter().filter(|member| member.group == group).collect();
        let is_member = |member: &&&Member| member.step == Step::Beat && member.wanted.is_none();
        let count: usize = members.iter().map(|member| member.owned.len()).sum();
        let owned: BTreeSet<Slot> =
            members.iter().flat_map(|member| member.owned.iter().copied()).collect();
        let epochs: BTreeSet<i32> = members.iter().map(|member| member.epoch).collect();
        members.iter().filter(is_member).count() == members.len()
            && count == owned.len()
            && owned == *all
            && epochs.len() == 1
    }
}

/// A member's id, which it makes itself.
pub(super) fn new_member_id(random: &mut Random) -> Str {
    Str::from(format!("member-{:016x}", random.next_u64()))
}

/// The assignment of a leader: partitions in turn.
pub(super) fn share_out(
    members: &[Str],
    topic: TopicId,
    partitions: i32,
) -> Vec<(Str, BTreeSet<Slot>)> {
    let mut shares: Vec<(Str, BTreeSet<Slot>)> =
        members.iter().map(|member| (member.clone(), BTreeSet::new())).collect();
    for partition in 0..partitions {
        let at = usize::try_from(partition).unwrap_or(0) % shares.len();
        shares[at].1.insert((topic, partition));
    }
    shares
}
