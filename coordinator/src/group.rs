//! The group coordinator's machine: the groups of one partition of `__consumer_offsets`, decided by
//! commands and replayed from records.
//!
//! ```text
//! command ── decide(&self) ──▶ records + answers     records ── replay(&mut self) ──▶ state
//!                                  │                     ▲
//!                                  └── durable ones: the log of a partition of __consumer_offsets
//! ```
//!
//! Records are of two kinds. A [`DurableRecord`] goes through the log, and its replay after a restart
//! is all that is left then. A [`LiveRecord`] says what only the living know (who waits for an answer,
//! until when a session lasts): it is replayed at once and never written. Answers wait until every
//! durable record decided before them is committed, also those of reads, so that nobody is told what a
//! crash could still take back, and one state is enough. When the log refuses records, the machine is
//! dropped and loaded anew.
//!
//! * `classic`: groups of the classic protocol, whose members agree among themselves
//! * `record`: what is decided and replayed; `answer`: what members are told, and their errors
//! * `timers`: until when sessions, rebalances and given member ids last

pub mod answer;
pub mod classic;
pub mod record;
pub mod timers;

#[cfg(test)]
mod tests;

use alloc::{collections::BTreeMap, rc::Rc, vec::Vec};

use protocol::Str;

pub use answer::{Answer, Token};
pub use classic::ClassicGroup;
pub use record::{DurableRecord, GroupRecord, LiveRecord};
pub use timers::{Due, Timer};

use crate::metadata::WallMillis;
use timers::Timers;

/// When something happens: sessions and rebalances are measured on the monotonic clock, records are
/// stamped with the wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    pub monotonic_ms: u64,
    pub wall: WallMillis,
}

/// Kafka's broker properties that rule groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    /// `group.min.session.timeout.ms`
    pub session_timeout_min_ms: i32,
    /// `group.max.session.timeout.ms`
    pub session_timeout_max_ms: i32,
    /// `group.initial.rebalance.delay.ms`
    pub initial_rebalance_delay_ms: u64,
    /// `group.max.size`, and never more than
    /// [`GROUP_MEMBERS_MAX`](crate::limits::GROUP_MEMBERS_MAX).
    pub members_max: usize,
}

impl Default for GroupSettings {
    fn default() -> Self {
        Self {
            session_timeout_min_ms: 6_000,
            session_timeout_max_ms: 1_800_000,
            initial_rebalance_delay_ms: 3_000,
            members_max: crate::limits::GROUP_MEMBERS_MAX,
        }
    }
}

/// What a command decided.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupDecision {
    /// In order. The durable ones are one atomic batch of the log.
    pub records: Vec<GroupRecord>,
    /// To be given once all durable records decided until now are committed. One command may answer
    /// many who waited: a rebalance that is complete answers all its members.
    pub answers: Vec<(Token, Answer)>,
}

/// A question to the coordinator of a group, or the passing of time.
pub trait GroupCommand {
    fn decide(&self, groups: &Groups, now: Moment) -> GroupDecision;
}

/// The groups of one partition of `__consumer_offsets`.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    settings: GroupSettings,
    groups: BTreeMap<Str, Rc<ClassicGroup>>,
    timers: Timers,
}

impl Groups {
    pub fn new(settings: GroupSettings) -> Self {
        Self { settings, ..Self::default() }
    }

    pub fn get(&self, group: &str) -> Option<&ClassicGroup> {
        self.groups.get(group).map(Rc::as_ref)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Str, &ClassicGroup)> {
        self.groups.iter().map(|(id, group)| (id, group.as_ref()))
    }

    /// When [`Due`] is to be decided next.
    pub fn deadline_ms(&self) -> Option<u64> {
        self.timers.first().map(|(at, _)| at)
    }

    /// Decides a command against this state. Changes nothing: that is the records' part.
    pub fn decide<C: GroupCommand>(&self, now: Moment, command: &C) -> GroupDecision {
        command.decide(self, now)
    }

    /// Applies one record. Total: a tombstone of what is not there is nothing, and a record of the log
    /// stands for all that it says, in whatever order groups come.
    pub fn replay(&mut self, record: &GroupRecord) {
        match record {
            GroupRecord::Durable(DurableRecord::ClassicGroup { group, value }) => {
                // A group that lives knows more than its record.
                let is_living =
                    self.groups.get(group).is_some_and(|known| known.is_stored_as(value));
                if !is_living {
                    let restored = ClassicGroup::restored(value);
                    self.groups.insert(group.clone(), Rc::new(restored));
                }
            }
            GroupRecord::Durable(DurableRecord::GroupGone { group }) => {
                self.groups.remove(group);
                self.timers.forget(group);
            }
            GroupRecord::Live(LiveRecord::ClassicGroup { group, value }) => match value {
                Some(value) => drop(self.groups.insert(group.clone(), Rc::clone(value))),
                None => drop(self.groups.remove(group)),
            },
            GroupRecord::Live(LiveRecord::Timer { group, timer, at_ms }) => {
                self.timers.set(group, timer, *at_ms);
            }
        }
    }

    /// The log is loaded: sessions of all members begin anew, so that who did not hear of the
    /// coordinator's restart has its whole time to come back.
    pub fn on_loaded(&mut self, now: Moment) {
        let sessions: Vec<(Str, Str, u64)> = self
            .groups
            .iter()
            .flat_map(|(id, group)| {
                let members = group.members();
                members.map(|(member, of)| (id.clone(), member.clone(), of.session_ms()))
            })
            .collect();
        for (group, member, session_ms) in sessions {
            let at_ms = now.monotonic_ms.saturating_add(session_ms);
            self.timers.set(&group, &Timer::Session { member }, Some(at_ms));
        }
    }

    /// Asserts what must hold after every record.
    pub fn invariants(&self) {
        for group in self.groups.values() {
            group.invariants();
        }
    }
}
