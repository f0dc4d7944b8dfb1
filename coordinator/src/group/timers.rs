//! Until when things last. No timer changes anything by itself: the first that is due is decided as a
//! command, [`Due`].

use alloc::collections::{BTreeMap, BTreeSet};

use protocol::Str;

use super::{
    GroupCommand, GroupDecision, Groups, Moment, classic::change::Change,
    consumer::change::ConsumerChange, expiry, memory::AsksFor,
};

/// Something of a group that ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// A member that is not heard of until then has left.
    Session { member: Str },
    /// A member id was given and has to be used until then.
    GivenId { member: Str },
    /// A member of the consumer protocol that has not given back what it has to until then is fenced.
    Revocation { member: Str },
    /// A member of the classic protocol in a group of the consumer protocol that was asked to join again and has
    /// not until then is fenced.
    ClassicJoin { member: Str },
    /// The same, of one that has not asked for its assignment.
    ClassicSync { member: Str },
    /// The target assignment of a group of the consumer protocol was put off until then.
    Assignment,
    /// Members that have not joined, or not asked for their assignment, until then are left behind.
    Rebalance,
}

impl Timer {
    /// All that a member of a group of the consumer protocol may have.
    pub(super) fn of_consumer_member(member: &Str) -> [Self; 4] {
        let member = || member.clone();
        [
            Self::Session { member: member() },
            Self::Revocation { member: member() },
            Self::ClassicJoin { member: member() },
            Self::ClassicSync { member: member() },
        ]
    }
}

/// All timers, by what they are for and by time.
#[derive(Clone, Debug, Default)]
pub(super) struct Timers {
    /// Same entries as `by_time`.
    of_group: BTreeMap<Str, BTreeMap<Timer, u64>>,
    by_time: BTreeSet<(u64, Str, Timer)>,
}

impl Timers {
    pub(super) fn first(&self) -> Option<(u64, (&Str, &Timer))> {
        self.by_time.first().map(|(at, group, timer)| (*at, (group, timer)))
    }

    pub(super) fn set(&mut self, group: &Str, timer: &Timer, at_ms: Option<u64>) {
        let of_group = self.of_group.entry(group.clone()).or_default();
        let before = match at_ms {
            Some(at_ms) => of_group.insert(timer.clone(), at_ms),
            None => of_group.remove(timer),
        };
        if of_group.is_empty() {
            self.of_group.remove(group);
        }
        if let Some(before) = before {
            self.by_time.remove(&(before, group.clone(), timer.clone()));
        }
        if let Some(at_ms) = at_ms {
            self.by_time.insert((at_ms, group.clone(), timer.clone()));
        }
    }

    pub(super) fn forget(&mut self, group: &Str) {
        for (timer, at) in self.of_group.remove(group).unwrap_or_default() {
            self.by_time.remove(&(at, group.clone(), timer));
        }
    }

    pub(super) fn at(&self, group: &str, timer: &Timer) -> Option<u64> {
        self.of_group.get(group)?.get(timer).copied()
    }
}

/// The first timer's time has come, or that of the search for what has expired. Decides nothing while it has
/// not; asked again until [`Groups::deadline_ms`] lies ahead.
#[derive(Clone, Copy, Debug)]
pub struct Due;

impl GroupCommand for Due {
    fn decide(&self, groups: &Groups, now: Moment) -> GroupDecision {
        let is_due = |at_ms: &u64| *at_ms <= now.monotonic_ms;
        let first = groups.timers.first().filter(|(at_ms, _)| is_due(at_ms));
        let Some((_, (group, timer))) = first else {
            return match groups.expiry.at_ms.filter(is_due) {
                Some(_) => expiry::search(groups, now),
                None => GroupDecision::default(),
            };
        };
        if groups.consumer(group).is_some() {
            let mut change = ConsumerChange::of(groups, group, now);
            change.set_timer(timer.clone(), None);
            change.timer_ended(timer);
            if change.fits_a_batch() {
                let decision = change.decided();
                if groups.has_memory(&decision.records, AsksFor::Member) {
                    return decision;
                }
            }
            // A target assignment that is too large: the heartbeat that asks for it is told.
            let mut change = ConsumerChange::of(groups, group, now);
            change.set_timer(timer.clone(), None);
            return change.decided();
        }
        let mut change = Change::of(groups, group, now);
        change.set_timer(timer.clone(), None);
        match timer {
            Timer::Session { member } => change.session_ended(member),
            Timer::GivenId { member } => change.given_id_expired(member),
            Timer::Rebalance => change.rebalance_timed_out(),
            // The group was of the consumer protocol when they began.
            Timer::Revocation { .. }
            | Timer::ClassicJoin { .. }
            | Timer::ClassicSync { .. }
            | Timer::Assignment => {}
        }
        change.decided()
    }
}
