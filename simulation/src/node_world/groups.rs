//! What is known of groups, and must therefore be true: who was told to own what in which generation, and which
//! commits were acknowledged.

use std::collections::{BTreeMap, BTreeSet};

use broker::protocol::TopicId;

use crate::violation::{Checked, Checker};

/// A partition of a topic, as members own it.
pub(super) type Slot = (TopicId, i32);

/// A group of this world, by its place among `GROUPS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GroupKey(pub(super) usize);

/// How a group's members speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Classic,
    Consumer,
    /// It has no members: a tool commits for it.
    Alone,
}

pub(super) const GROUPS: [(&str, Protocol); 3] =
    [("classics", Protocol::Classic), ("consumers", Protocol::Consumer), ("tool", Protocol::Alone)];

/// Sessions of all members: short, so that lives are long.
pub(super) const SESSION_MS: u64 = 200;
/// Longer than any member takes that lives.
pub(super) const REBALANCE_MS: u64 = 2_000;

impl GroupKey {
    pub(super) fn name(self) -> &'static str {
        GROUPS[self.0].0
    }

    pub(super) fn protocol(self) -> Protocol {
        GROUPS[self.0].1
    }
}

#[derive(Debug, Default)]
pub(super) struct GroupFacts {
    /// Of the classic protocol: what the members of each generation were told to own.
    generations: BTreeMap<GroupKey, BTreeMap<i32, BTreeMap<Slot, String>>>,
    commits: BTreeMap<(GroupKey, i32), Commits>,
    next_commit: i64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Commits {
    /// The newest that was acknowledged.
    acknowledged: i64,
    /// The newest that was sent.
    sent: i64,
}

impl GroupFacts {
    /// The newest generation that a member was told to be in.
    pub(super) fn newest_generation(&self, group: GroupKey) -> i32 {
        let generations = self.generations.get(&group);
        generations.and_then(|of| of.last_key_value()).map_or(0, |(newest, _)| *newest)
    }

    /// A member of the classic protocol has its assignment: nobody else has any of it in this generation, and
    /// no older one begins again.
    pub(super) fn assigned(
        &mut self,
        group: GroupKey,
        generation: i32,
        member: &str,
        slots: &BTreeSet<Slot>,
    ) -> Checked {
        let generations = self.generations.entry(group).or_default();
        let told = generations.entry(generation).or_default();
        for slot in slots {
            let owner = told.entry(*slot).or_insert_with(|| member.to_owned());
            Checker::OneOwner.check(owner == member, || {
                format!("{slot:?} has two owners in generation {generation}: {owner} and {member}")
            })?;
        }
        Ok(())
    }

    /// Offsets of commits only grow, so that an older one is told from a newer one.
    pub(super) fn commit_sent(&mut self, group: GroupKey, partition: i32) -> i64 {
        self.next_commit += 1;
        self.commits.entry((group, partition)).or_default().sent = self.next_commit;
        self.next_commit
    }

    pub(super) fn commit_acknowledged(&mut self, group: GroupKey, partition: i32, offset: i64) {
        let commits = self.commits.entry((group, partition)).or_default();
        commits.acknowledged = commits.acknowledged.max(offset);
    }

    /// What a fetch that is asked now has to find at least.
    pub(super) fn floor(&self, group: GroupKey, partition: i32) -> i64 {
        self.commits.get(&(group, partition)).map_or(0, |commits| commits.acknowledged)
    }

    pub(super) fn found(&self, group: GroupKey, partition: i32, floor: i64, found: i64) -> Checked {
        let sent = self.commits.get(&(group, partition)).map_or(0, |commits| commits.sent);
        let name = group.name();
        Checker::CommitsHold.check(found.max(0) >= floor, || {
            format!("{name}: partition {partition} is at {found}, and {floor} was acknowledged")
        })?;
        Checker::CommitsHold.check(found <= sent, || {
            format!("{name}: partition {partition} is at {found}, which nobody committed")
        })
    }
}
