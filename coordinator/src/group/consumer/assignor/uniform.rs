//! The same number for everybody, or one more: balance first, then as few moves as that allows.

use alloc::{collections::BTreeMap, vec::Vec};

use protocol::{PartitionIndex, TopicId};

use super::{Given, PartitionCounts, PartitionSet, Subscriber};

/// All subscribe to the same topics.
pub(super) fn assign(
    subscribers: &[Subscriber<'_>],
    counts: &PartitionCounts,
) -> Vec<PartitionSet> {
    let topics = subscribers.first().map(|of| of.topics.as_slice()).unwrap_or_default();
    let total: usize = topics.iter().map(|topic| partitions_of(counts, *topic)).sum();
    let share = total / subscribers.len();
    let mut shares_with_one_more = total % subscribers.len();
    let mut given = Given::none(counts);
    let mut targets = Vec::with_capacity(subscribers.len());
    for (at, subscriber) in subscribers.iter().enumerate() {
        let may_have_one_more = shares_with_one_more > 0;
        let kept = keep(subscriber, share + usize::from(may_have_one_more), &mut given);
        let room = share + usize::from(may_have_one_more) - kept.count;
        // Who has room anyway leaves the one more to others, while there are others enough.
        let others_can = subscribers.len() - at > shares_with_one_more;
        let gives_up = may_have_one_more && room > 0 && others_can;
        if may_have_one_more && !gives_up {
            shares_with_one_more -= 1;
        }
        targets.push((kept.partitions, room - usize::from(gives_up)));
    }
    let given = &given;
    let mut rest = topics
        .iter()
        .flat_map(|topic| given.rest_of(*topic).map(move |partition| (*topic, partition)));
    let fill = |(kept, room): (Kept, usize)| {
        let mut topics = kept;
        for (topic, partition) in rest.by_ref().take(room) {
            topics.entry(topic).or_default().push(partition);
        }
        PartitionSet::new(topics)
    };
    targets.into_iter().map(fill).collect()
}

type Kept = BTreeMap<TopicId, Vec<PartitionIndex>>;

struct Keeps {
    partitions: Kept,
    count: usize,
}

fn partitions_of(counts: &PartitionCounts, topic: TopicId) -> usize {
    counts.get(&topic).and_then(|count| usize::try_from(*count).ok()).unwrap_or(0)
}

/// At most so many of what it was to have.
fn keep(subscriber: &Subscriber<'_>, count_max: usize, given: &mut Given) -> Keeps {
    let mut keeps = Keeps { partitions: Kept::new(), count: 0 };
    for (topic, partitions) in subscriber.before.iter().flat_map(|before| before.iter()) {
        if subscriber.topics.binary_search(&topic).is_err() {
            continue;
        }
        for partition in partitions {
            if keeps.count < count_max && given.give(topic, *partition) {
                keeps.partitions.entry(topic).or_default().push(*partition);
                keeps.count += 1;
            }
        }
    }
    keeps
}
