//! Who is to have which partitions.
//!
//! * `uniform`: members that subscribe to the same topics get the same number of partitions, and keep as
//!   many as they may of what they were to have
//! * `mixed`: the same, as far as it goes, for members whose subscriptions differ
//! * `range`: neighbouring partitions of each topic, topic by topic, in the order of the members

mod mixed;
mod range;
#[cfg(test)]
mod tests;
mod uniform;

use alloc::{collections::BTreeMap, rc::Rc, vec::Vec};

use protocol::{PartitionIndex, Str, TopicId};

use super::partitions::PartitionSet;

/// A server-side assignor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assignor {
    Uniform,
    Range,
}

impl Assignor {
    pub const ALL: [Self; 2] = [Self::Uniform, Self::Range];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|assignor| assignor.name() == name)
    }

    /// The target of each subscriber, in their order. Each partition of each topic that anybody subscribes
    /// to goes to one who does.
    pub fn assign(
        self,
        subscribers: &[Subscriber<'_>],
        counts: &PartitionCounts,
    ) -> Vec<PartitionSet> {
        let Some(first) = subscribers.first() else { return Vec::new() };
        let is_same = |of: &Subscriber<'_>| {
            Rc::ptr_eq(&of.topics, &first.topics) || of.topics == first.topics
        };
        match self {
            Self::Range => range::assign(subscribers, counts),
            Self::Uniform if subscribers.iter().all(is_same) => {
                uniform::assign(subscribers, counts)
            }
            Self::Uniform => mixed::assign(subscribers, counts),
        }
    }
}

/// How many partitions each subscribed topic has.
pub type PartitionCounts = BTreeMap<TopicId, i32>;

/// A member, as an assignor sees it.
#[derive(Clone, Debug)]
pub struct Subscriber<'a> {
    pub member: &'a Str,
    pub instance: Option<&'a Str>,
    /// That are there, sorted.
    pub topics: Rc<Vec<TopicId>>,
    /// What it was to have until now.
    pub before: Option<&'a PartitionSet>,
}

/// The partitions of topics, and which of them are given.
struct Given {
    topics: BTreeMap<TopicId, Vec<bool>>,
}

impl Given {
    fn none(counts: &PartitionCounts) -> Self {
        let free = |count: i32| alloc::vec![false; usize::try_from(count).unwrap_or(0)];
        Self { topics: counts.iter().map(|(topic, count)| (*topic, free(*count))).collect() }
    }

    /// False: there is no such partition, or it is given already.
    fn give(&mut self, topic: TopicId, partition: PartitionIndex) -> bool {
        let Some(of_topic) = self.topics.get_mut(&topic) else { return false };
        let at = usize::try_from(partition.0).ok().and_then(|at| of_topic.get_mut(at));
        at.is_some_and(|is_given| !core::mem::replace(is_given, true))
    }

    fn rest_of(&self, topic: TopicId) -> impl Iterator<Item = PartitionIndex> {
        let of_topic = self.topics.get(&topic).into_iter().flatten();
        let free = (0..).zip(of_topic).filter(|(_, is_given)| !**is_given);
        free.map(|(partition, _)| PartitionIndex(partition))
    }
}
