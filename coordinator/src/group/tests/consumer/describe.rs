//! What operators see of groups of the consumer protocol.

use alloc::{vec, vec::Vec};

use protocol::{PartitionIndex, Str};

use super::{ConsumerHeartbeat, World, beats, joins, pair, topic_id};
use crate::group::{
    Answer,
    consumer::describe::{
        DescribeConsumerGroup, DescribedConsumerGroup, DescribedConsumerMember, DescribedPartitions,
    },
    describe::{DescribeGroup, GroupState, GroupType, ListGroups},
    tests::join,
};

impl World {
    fn describe_consumers(&mut self) -> Option<DescribedConsumerGroup> {
        let token = self.token();
        self.run(&DescribeConsumerGroup { token, group: Str::from("g"), bytes_max: usize::MAX });
        match self.answer(token) {
            Some(Answer::DescribeConsumer(Ok(described))) => described,
            other => panic!("answered at once: {other:?}"),
        }
    }

    fn list_rows(
        &mut self,
        states: &[&str],
        types: &[&str],
    ) -> Vec<(Str, &'static str, &'static str)> {
        let token = self.token();
        let names = |of: &[&str]| of.iter().map(|name| Str::from(*name)).collect();
        let (states, types, bytes_max) = (names(states), names(types), usize::MAX);
        self.run(&ListGroups { token, states, types, bytes_max });
        let Some(Answer::List(Ok(listed))) = self.answer(token) else { panic!("answered at once") };
        let row = |of: crate::group::describe::ListedGroup| {
            assert_eq!(of.protocol_type, "consumer");
            (of.group, of.state.name(), of.group_type.name())
        };
        listed.into_iter().map(row).collect()
    }
}

fn partitions(topic: &str, partitions: &[i32]) -> Vec<DescribedPartitions> {
    let partitions = partitions.iter().map(|at| PartitionIndex(*at)).collect();
    vec![DescribedPartitions { topic_id: topic_id(topic), topic: Str::from(topic), partitions }]
}

#[test]
fn members_are_shown_with_what_they_have_and_what_they_are_to_have() {
    let mut world = pair();
    let c = ConsumerHeartbeat {
        instance: Some(Str::from("i")),
        rack: Some(Str::from("r")),
        regex: Some(Str::from("t")),
        ..joins("c", &[])
    };
    world.beat(c).unwrap();
    world.beat(beats("b", 3)).unwrap();
    let described = world.describe_consumers().unwrap();
    let head = (described.state, described.epoch, described.assignment_epoch, described.assignor);
    assert_eq!(head, (GroupState::Reconciling, 4, 4, "uniform"));
    let ids: Vec<&str> = described.members.iter().map(|member| &*member.member).collect();
    assert_eq!(ids, ["a", "b", "c"]);
    let b = DescribedConsumerMember {
        member: Str::from("b"),
        member_epoch: 3,
        instance: None,
        rack: None,
        client_id: Str::from("client"),
        client_host: Str::from("/10.0.0.1"),
        topics: vec![Str::from("t")],
        regex: Str::default(),
        member_type: GroupType::Consumer,
        // What it has yet to give back is its own.
        assignment: partitions("t", &[2, 3]),
        target: partitions("t", &[2]),
    };
    assert_eq!(described.members[1], b);
    let c = DescribedConsumerMember {
        member: Str::from("c"),
        member_epoch: 4,
        instance: Some(Str::from("i")),
        rack: Some(Str::from("r")),
        topics: vec![],
        regex: Str::from("t"),
        assignment: vec![],
        target: partitions("t", &[3]),
        ..b
    };
    assert_eq!(described.members[2], c);
}

#[test]
fn each_protocols_groups_are_described_by_its_own_request() {
    let mut world = pair();
    let token = world.token();
    world.run(&DescribeGroup { token, group: Str::from("g"), bytes_max: usize::MAX });
    let Some(Answer::Describe(Ok(described))) = world.answer(token) else {
        panic!("answered at once")
    };
    assert_eq!(described.state, GroupState::Dead);

    let mut world = World::of_consumers(&[("t", 1)]);
    assert_eq!(world.describe_consumers(), None);
    world.join("a");
    assert_eq!(world.describe_consumers(), None);
}

#[test]
fn groups_of_both_protocols_are_listed_in_order_by_state_and_type() {
    let mut world = pair();
    for (group, name) in [("a", "a"), ("z", "z")] {
        let request = join(name, "");
        world.join_as(crate::group::classic::join::JoinGroup {
            group: Str::from(group),
            knows_given_ids: false,
            ..request
        });
    }
    let g = (Str::from("g"), "Stable", "consumer");
    let classic = |name| (Str::from(name), "PreparingRebalance", "classic");
    assert_eq!(world.list_rows(&[], &[]), [classic("a"), g.clone(), classic("z")]);
    assert_eq!(world.list_rows(&[], &["Consumer"]), core::slice::from_ref(&g));
    assert_eq!(world.list_rows(&[], &["CLASSIC"]), [classic("a"), classic("z")]);
    assert_eq!(world.list_rows(&["stable", "assigning"], &[]), [g]);
    world.beat(beats("a", -1)).unwrap();
    assert_eq!(world.list_rows(&["assigning"], &[]), [(Str::from("g"), "Assigning", "consumer")]);
    assert_eq!(world.list_rows(&["reconciling"], &[]), []);
    world.beat(beats("b", -1)).unwrap();
    assert_eq!(world.list_rows(&["empty"], &[]), [(Str::from("g"), "Empty", "consumer")]);
}
