//! Balance and stickiness of the assignors, by examples and over random groups.

use alloc::{collections::BTreeMap, format, rc::Rc, vec, vec::Vec};

use proptest::{
    collection::{btree_set, vec},
    prelude::{Strategy, proptest},
};
use protocol::{PartitionIndex, Str, TopicId};

use super::{Assignor, PartitionCounts, PartitionSet, Subscriber};

fn topic(number: u8) -> TopicId {
    TopicId([number; 16])
}

/// What members subscribe to, and what they were to have.
#[derive(Clone, Debug, Default)]
struct Group {
    counts: PartitionCounts,
    members: BTreeMap<Str, Vec<TopicId>>,
    targets: BTreeMap<Str, PartitionSet>,
    instances: BTreeMap<Str, Str>,
}

impl Group {
    fn new(counts: &[i32], members: &[(&str, &[u8])]) -> Self {
        let mut group = Self::default();
        for (number, count) in (1..).zip(counts) {
            group.counts.insert(topic(number), *count);
        }
        for (member, topics) in members {
            group.join(member, topics);
        }
        group
    }

    fn join(&mut self, member: &str, topics: &[u8]) {
        let mut topics: Vec<TopicId> = topics.iter().map(|number| topic(*number)).collect();
        topics.sort_unstable();
        self.members.insert(Str::from(member), topics);
    }

    fn leave(&mut self, member: &str) {
        self.members.remove(member);
        self.targets.remove(member);
    }

    /// Assigns, and answers how many partitions changed hands that both could have kept.
    fn assign(&mut self, assignor: Assignor) -> usize {
        let targets = {
            let subscriber = |(member, topics): (&'_ Str, &'_ Vec<TopicId>)| {
                let topics = Rc::new(topics.clone());
                (member.clone(), topics, self.targets.get(member).cloned())
            };
            let rows: Vec<_> = self.members.iter().map(subscriber).collect();
            let subscribers: Vec<Subscriber<'_>> = rows
                .iter()
                .map(|(member, topics, before)| Subscriber {
                    member,
                    instance: self.instances.get(member),
                    topics: Rc::clone(topics),
                    before: before.as_ref(),
                })
                .collect();
            let subscribed = rows.iter().flat_map(|(_, topics, _)| topics.iter());
            let counts = subscribed.filter_map(|of| Some((*of, *self.counts.get(of)?))).collect();
            assignor.assign(&subscribers, &counts)
        };
        let before = core::mem::take(&mut self.targets);
        self.targets = self.members.keys().cloned().zip(targets).collect();
        self.check();
        let mut moved = 0;
        for (member, target) in &self.targets {
            for (topic, partitions) in target.iter() {
                for partition in partitions {
                    let had = before.iter().find(|(_, had)| had.contains(topic, *partition));
                    moved += usize::from(had.is_some_and(|(who, _)| who != member));
                }
            }
        }
        moved
    }

    /// Each partition of each subscribed topic has one owner, who subscribes to it.
    fn check(&self) {
        let mut owners: BTreeMap<(TopicId, PartitionIndex), &Str> = BTreeMap::new();
        for (member, target) in &self.targets {
            for (topic, partitions) in target.iter() {
                assert!(self.members[member].contains(&topic), "{member} reads it");
                for partition in partitions {
                    assert!((0..self.counts[&topic]).contains(&partition.0), "it is there");
                    let before = owners.insert((topic, *partition), member);
                    assert_eq!(before, None, "one owner");
                }
            }
        }
        let subscribed: alloc::collections::BTreeSet<_> =
            self.members.values().flatten().filter(|of| self.counts.contains_key(of)).collect();
        let all: i32 = subscribed.iter().map(|topic| self.counts[topic]).sum();
        assert_eq!(owners.len(), usize::try_from(all).unwrap(), "nothing is left over");
    }

    fn loads(&self) -> Vec<usize> {
        self.targets.values().map(PartitionSet::len).collect()
    }

    fn partitions_of(&self, member: &str, number: u8) -> Vec<i32> {
        self.targets[member].of_topic(topic(number)).iter().map(|at| at.0).collect()
    }
}

#[test]
fn uniform_gives_everybody_the_same_number_and_moves_no_more_than_that_takes() {
    let mut group = Group::new(&[4, 3], &[("a", &[1, 2]), ("b", &[1, 2])]);
    group.assign(Assignor::Uniform);
    assert_eq!(group.loads(), [3, 4]);
    group.join("c", &[1, 2]);
    assert_eq!(group.assign(Assignor::Uniform), 2, "c gets two, and nothing else moves");
    assert_eq!(group.loads(), [3, 2, 2]);
    assert_eq!(group.assign(Assignor::Uniform), 0);
    group.leave("b");
    assert_eq!(group.assign(Assignor::Uniform), 0, "only what b had goes to others");
    assert_eq!(group.loads(), [3, 4]);
    group.counts.insert(topic(1), 6);
    assert_eq!(group.assign(Assignor::Uniform), 0, "only the new ones go to somebody");
    assert_eq!(group.loads(), [4, 5]);
}

#[test]
fn more_members_than_partitions_leave_some_without() {
    let mut group = Group::new(&[2], &[("a", &[1]), ("b", &[1]), ("c", &[1])]);
    group.assign(Assignor::Uniform);
    assert_eq!(group.loads(), [0, 1, 1]);
    group.leave("b");
    assert_eq!(group.assign(Assignor::Uniform), 0);
    assert_eq!(group.loads(), [1, 1]);
}

#[test]
fn range_gives_neighbours_and_the_same_partitions_of_topics_that_belong_together() {
    let mut group = Group::new(&[5, 5, 1], &[("a", &[1, 2, 3]), ("b", &[1, 2, 3])]);
    group.assign(Assignor::Range);
    for topic in [1, 2] {
        assert_eq!(group.partitions_of("a", topic), [0, 1, 2]);
        assert_eq!(group.partitions_of("b", topic), [3, 4]);
    }
    assert_eq!(group.partitions_of("a", 3), [0]);
    group.join("c", &[2]);
    group.assign(Assignor::Range);
    assert_eq!(group.partitions_of("a", 1), [0, 1, 2]);
    assert_eq!(group.partitions_of("a", 2), [0, 1]);
    assert_eq!(group.partitions_of("b", 2), [2, 3]);
    assert_eq!(group.partitions_of("c", 2), [4]);
}

#[test]
fn range_puts_static_members_first_in_the_order_of_their_instances() {
    let mut group = Group::new(&[3], &[("a", &[1]), ("b", &[1]), ("c", &[1])]);
    group.instances.insert(Str::from("b"), Str::from("y"));
    group.instances.insert(Str::from("c"), Str::from("x"));
    group.assign(Assignor::Range);
    assert_eq!(["c", "b", "a"].map(|member| group.partitions_of(member, 1)), [[0], [1], [2]]);
}

#[test]
fn members_with_different_subscriptions_are_balanced_as_far_as_it_goes() {
    let mut group = Group::new(&[3, 3, 6], &[("a", &[1]), ("b", &[1, 2]), ("c", &[1, 2, 3])]);
    group.assign(Assignor::Uniform);
    assert_eq!(group.loads(), [3, 3, 6]);
    group.leave("a");
    assert_eq!(group.assign(Assignor::Uniform), 0);
    assert_eq!(group.loads(), [6, 6]);
    group.join("d", &[2]);
    assert_eq!(group.assign(Assignor::Uniform), 3, "d can have no more than the second topic");
    assert_eq!(group.loads(), [3, 6, 3]);
}

#[test]
fn a_thousand_members_with_a_thousand_partitions_and_one_with_ten_thousand() {
    let names: Vec<_> = (0..1_000).map(|number| format!("m{number:04}")).collect();
    let mut group = Group::new(&[1_000, 10_000], &[]);
    for assignor in Assignor::ALL {
        for name in &names {
            group.join(name, &[1]);
        }
        group.assign(assignor);
        assert!(group.loads().iter().all(|load| *load == 1));
        for name in &names[1..] {
            group.leave(name);
        }
        group.join(&names[0], &[2]);
        group.assign(assignor);
        assert_eq!(group.loads(), [10_000]);
    }
    group.leave(&names[0]);
    for (number, name) in names.iter().enumerate() {
        group.join(name, if number % 2 == 0 { &[1, 2] } else { &[2] });
    }
    group.assign(Assignor::Uniform);
    assert!(group.loads().iter().all(|load| *load == 11));
}

#[derive(Clone, Debug)]
enum Step {
    Join(u8, Vec<u8>),
    Leave(u8),
    Grow(u8, i32),
}

fn steps(topics: impl Strategy<Value = Vec<u8>> + Clone) -> impl Strategy<Value = Vec<Step>> {
    let step = proptest::prop_oneof![
        4 => (0..7_u8, topics).prop_map(|(member, topics)| Step::Join(member, topics)),
        2 => (0..7_u8).prop_map(Step::Leave),
        1 => (1..4_u8, 1..5_i32).prop_map(|(topic, by)| Step::Grow(topic, by)),
    ];
    vec(step, 1..20)
}

fn take(group: &mut Group, step: &Step) {
    match step {
        Step::Join(member, topics) => group.join(&format!("m{member}"), topics),
        Step::Leave(member) => group.leave(&format!("m{member}")),
        Step::Grow(number, by) => *group.counts.entry(topic(*number)).or_default() += by,
    }
}

fn spread(loads: &[usize]) -> usize {
    loads.iter().max().unwrap_or(&0) - loads.iter().min().unwrap_or(&0)
}

proptest! {
    #[test]
    fn members_of_one_subscription_never_differ_by_more_than_one(
        steps in steps(proptest::prelude::Just(vec![1, 2, 3])),
    ) {
        let mut group = Group::new(&[3, 1, 4], &[]);
        for step in &steps {
            take(&mut group, step);
            group.assign(Assignor::Uniform);
            assert!(spread(&group.loads()) <= 1, "{:?}", group.loads());
            let before = group.targets.clone();
            assert_eq!(group.assign(Assignor::Uniform), 0);
            assert_eq!(group.targets, before, "nothing changed");
        }
    }

    #[test]
    fn whatever_members_subscribe_to_no_single_move_helps_in_the_end(
        steps in steps(btree_set(1..4_u8, 0..3).prop_map(|set| set.into_iter().collect())),
    ) {
        let mut group = Group::new(&[3, 1, 4], &[]);
        for step in &steps {
            take(&mut group, step);
            group.assign(Assignor::Uniform);
            let load = |member: &Str| group.targets[member].len();
            for (member, target) in &group.targets {
                for (topic, _) in target.iter() {
                    let subscribers = group.members.iter().filter(|(_, of)| of.contains(&topic));
                    let least = subscribers.map(|(other, _)| load(other)).min().unwrap();
                    assert!(load(member) <= least + 1, "{:?}", group.targets);
                }
            }
            group.assign(Assignor::Range);
        }
    }
}
