//! Neighbouring partitions, topic by topic: the same partitions of topics with as many partitions meet at one
//! member. What members had before does not count; static members stand in the order of their instance
//! ids, so that they keep their place when they come back.

use alloc::{collections::BTreeMap, vec, vec::Vec};
use core::cmp::Ordering;

use protocol::{PartitionIndex, TopicId};

use super::{PartitionCounts, PartitionSet, Subscriber};

pub(super) fn assign(
    subscribers: &[Subscriber<'_>],
    counts: &PartitionCounts,
) -> Vec<PartitionSet> {
    let mut order: Vec<usize> = (0..subscribers.len()).collect();
    order.sort_by(|one, other| compare(&subscribers[*one], &subscribers[*other]));
    let mut members: BTreeMap<TopicId, i32> = BTreeMap::new();
    for topic in subscribers.iter().flat_map(|of| of.topics.iter()) {
        *members.entry(*topic).or_default() += 1;
    }
    let mut ranges: BTreeMap<TopicId, Range> = BTreeMap::new();
    for (topic, members) in members {
        let count = counts.get(&topic).copied().unwrap_or(0);
        ranges.insert(topic, Range { next: 0, share: count / members, longer: count % members });
    }
    let mut targets = vec![PartitionSet::default(); subscribers.len()];
    for at in order {
        for topic in subscribers[at].topics.iter() {
            let Some(range) = ranges.get_mut(topic) else { continue };
            targets[at].add(*topic, range.take());
        }
    }
    targets
}

/// What is left of a topic.
struct Range {
    next: i32,
    share: i32,
    /// How many members still get one more.
    longer: i32,
}

impl Range {
    fn take(&mut self) -> Vec<PartitionIndex> {
        let mut count = self.share;
        if self.longer > 0 {
            self.longer -= 1;
            count += 1;
        }
        let from = self.next;
        self.next += count;
        (from..self.next).map(PartitionIndex).collect()
    }
}

/// Static members first.
fn compare(one: &Subscriber<'_>, other: &Subscriber<'_>) -> Ordering {
    match (one.instance, other.instance) {
        (Some(one), Some(other)) => one.cmp(other),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => one.member.cmp(other.member),
    }
}
