//! Members with different subscriptions: partitions stay where they are, what nobody has goes to whoever
//! has least, and then whoever has most gives to whoever has least, topic by topic, while it helps.
//!
//! Where subscriptions overlap without being the same, one pass need not be enough; the passes are
//! bounded, and each leaves the members closer to each other.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec,
    vec::Vec,
};
use core::cmp::Ordering;

use protocol::{PartitionIndex, TopicId};

use super::{PartitionCounts, PartitionSet, Subscriber};
use crate::limits::ASSIGNOR_PASSES_MAX;

pub(super) fn assign(
    subscribers: &[Subscriber<'_>],
    counts: &PartitionCounts,
) -> Vec<PartitionSet> {
    let mut assignment = Assignment::kept(subscribers, counts);
    assignment.give_the_rest();
    assignment.balance();
    assignment.targets(subscribers.len())
}

struct Topic {
    id: TopicId,
    /// By their places, in order.
    subscribers: Vec<usize>,
    /// By partition: the place of whom it goes to.
    owners: Vec<Option<usize>>,
}

impl Topic {
    /// First those with most partitions for each subscriber, then those with fewest subscribers: they leave
    /// the least choice.
    fn compare(&self, other: &Self) -> Ordering {
        let per_subscriber = |one: &Self, other: &Self| one.owners.len() * other.subscribers.len();
        per_subscriber(other, self)
            .cmp(&per_subscriber(self, other))
            .then(self.subscribers.len().cmp(&other.subscribers.len()))
            .then(self.id.cmp(&other.id))
    }
}

struct Assignment {
    topics: Vec<Topic>,
    /// By the places of subscribers: of all topics.
    loads: Vec<usize>,
}

impl Assignment {
    fn kept(subscribers: &[Subscriber<'_>], counts: &PartitionCounts) -> Self {
        let mut topics: BTreeMap<TopicId, Topic> = BTreeMap::new();
        let mut loads = vec![0; subscribers.len()];
        for (place, subscriber) in subscribers.iter().enumerate() {
            for id in subscriber.topics.iter() {
                let count = counts.get(id).and_then(|count| usize::try_from(*count).ok());
                let topic = topics.entry(*id).or_insert_with(|| Topic {
                    id: *id,
                    subscribers: Vec::new(),
                    owners: vec![None; count.unwrap_or(0)],
                });
                topic.subscribers.push(place);
                for partition in subscriber.before.map_or(&[][..], |before| before.of_topic(*id)) {
                    let at = usize::try_from(partition.0).ok();
                    let owner = at.and_then(|at| topic.owners.get_mut(at));
                    if let Some(owner @ None) = owner {
                        *owner = Some(place);
                        loads[place] += 1;
                    }
                }
            }
        }
        let mut topics: Vec<Topic> = topics.into_values().collect();
        topics.sort_by(Topic::compare);
        Self { topics, loads }
    }

    fn give_the_rest(&mut self) {
        let loads = &mut self.loads;
        for topic in &mut self.topics {
            if topic.owners.iter().all(Option::is_some) {
                continue;
            }
            let mut by_load: BTreeSet<(usize, usize)> =
                topic.subscribers.iter().map(|place| (loads[*place], *place)).collect();
            for owner in topic.owners.iter_mut().filter(|owner| owner.is_none()) {
                let Some((load, place)) = by_load.pop_first() else { break };
                *owner = Some(place);
                loads[place] = load + 1;
                by_load.insert((load + 1, place));
            }
        }
    }

    fn balance(&mut self) {
        for _ in 0..ASSIGNOR_PASSES_MAX {
            let mut has_moved = false;
            for topic in &mut self.topics {
                has_moved |= balance_topic(topic, &mut self.loads);
            }
            if !has_moved {
                return;
            }
        }
    }

    fn targets(self, count: usize) -> Vec<PartitionSet> {
        let mut targets = vec![PartitionSet::default(); count];
        for topic in self.topics {
            let mut by_owner: BTreeMap<usize, Vec<PartitionIndex>> = BTreeMap::new();
            for (partition, owner) in (0..).zip(&topic.owners) {
                if let Some(owner) = owner {
                    by_owner.entry(*owner).or_default().push(PartitionIndex(partition));
                }
            }
            for (owner, partitions) in by_owner {
                targets[owner].add(topic.id, partitions);
            }
        }
        targets
    }
}

/// Whether anything moved.
fn balance_topic(topic: &mut Topic, loads: &mut [usize]) -> bool {
    let of_subscribers = || topic.subscribers.iter().map(|place| loads[*place]);
    let (least, most) = (of_subscribers().min(), of_subscribers().max());
    if most.unwrap_or(0) - least.unwrap_or(0) <= 1 {
        return false;
    }
    let mut owned: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (partition, owner) in topic.owners.iter().enumerate() {
        if let Some(owner) = owner {
            owned.entry(*owner).or_default().push(partition);
        }
    }
    let mut takers: BTreeSet<(usize, usize)> =
        topic.subscribers.iter().map(|place| (loads[*place], *place)).collect();
    let mut givers = takers.clone();
    let mut has_moved = false;
    while let (Some(taker), Some(giver)) = (takers.first().copied(), givers.pop_last()) {
        if giver.0 <= taker.0 + 1 {
            break;
        }
        // Who has nothing of this topic gives nothing.
        let Some(partition) = owned.get_mut(&giver.1).and_then(Vec::pop) else { continue };
        topic.owners[partition] = Some(taker.1);
        takers.remove(&taker);
        takers.insert((taker.0 + 1, taker.1));
        takers.remove(&giver);
        takers.insert((giver.0 - 1, giver.1));
        // The taker is never a giver: it has least.
        givers.remove(&taker);
        givers.insert((giver.0 - 1, giver.1));
        loads[taker.1] += 1;
        loads[giver.1] -= 1;
        has_moved = true;
    }
    has_moved
}
