//! The consumer protocol, rule by rule.

mod describe;
mod large;
mod log;
mod offsets;
mod regex;
mod static_members;
mod topics;

use alloc::{rc::Rc, vec, vec::Vec};

use protocol::{PartitionIndex, Str, TopicId};

use super::World;
use crate::group::{
    Answer, ClusterTopic, ClusterTopics, ConsumerGroup, ConsumerSettings, GroupConfig,
    GroupSettings,
    answer::{ConsumerHeartbeatAnswer, ConsumerHeartbeatError, InvalidHeartbeat},
    consumer::{MemberState, request::ConsumerHeartbeat},
    describe::GroupState,
    settings::Ruled,
};

/// `group.consumer.session.timeout.ms`
const SESSION_MS: u64 = 45_000;
const REBALANCE_MS: i32 = 60_000;

pub(super) fn topic_id(name: &str) -> TopicId {
    let mut id = [0; 16];
    id[..name.len()].copy_from_slice(name.as_bytes());
    TopicId(id)
}

/// Without the interval between assignments: what is decided is seen at once.
pub(super) fn settings() -> GroupSettings {
    let assignment_interval = Ruled { ms: 0, min_ms: 0, max_ms: 15_000 };
    let consumer = ConsumerSettings { assignment_interval, ..ConsumerSettings::default() };
    GroupSettings { consumer, ..GroupSettings::default() }
}

pub(super) fn joins(member: &str, topics: &[&str]) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        group: Str::from("g"),
        member: Str::from(member),
        makes_member_ids: true,
        client_id: Str::from("client"),
        client_host: Str::from("/10.0.0.1"),
        rebalance_timeout_ms: Some(REBALANCE_MS),
        topics: Some(topics.iter().map(|topic| Str::from(*topic)).collect()),
        owned: Some(vec![]),
        ..ConsumerHeartbeat::default()
    }
}

/// With nothing new to say.
pub(super) fn beats(member: &str, member_epoch: i32) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        member_epoch,
        rebalance_timeout_ms: None,
        topics: None,
        owned: None,
        ..joins(member, &[])
    }
}

pub(super) fn owns(member: &str, member_epoch: i32, owned: &[(&str, &[i32])]) -> ConsumerHeartbeat {
    ConsumerHeartbeat { owned: Some(listed(owned)), ..beats(member, member_epoch) }
}

pub(super) fn listed(topics: &[(&str, &[i32])]) -> Vec<(TopicId, Vec<PartitionIndex>)> {
    let indices = |partitions: &[i32]| partitions.iter().map(|at| PartitionIndex(*at)).collect();
    topics.iter().map(|(topic, partitions)| (topic_id(topic), indices(partitions))).collect()
}

type Told = (i32, Option<Vec<(TopicId, Vec<PartitionIndex>)>>);
type Beaten = Result<ConsumerHeartbeatAnswer, ConsumerHeartbeatError>;

impl World {
    pub(super) fn of_consumers(topics: &[(&str, i32)]) -> Self {
        let mut world = Self::with(settings());
        world.set_topics(topics);
        world
    }

    pub(super) fn set_topics(&mut self, topics: &[(&str, i32)]) {
        let topic = |(name, partition_count): &(&str, i32)| {
            let (id, partition_count) = (topic_id(name), *partition_count);
            (Str::from(*name), ClusterTopic { id, partition_count })
        };
        let version = self.groups.topics.version() + 1;
        let topics = ClusterTopics::new(version, topics.iter().map(topic));
        self.groups.set_topics(Rc::new(topics));
    }

    pub(super) fn beat(&mut self, request: ConsumerHeartbeat) -> Beaten {
        let token = self.token();
        self.run(&ConsumerHeartbeat { token, ..request });
        match self.answer(token) {
            Some(Answer::ConsumerHeartbeat(result)) => result,
            other => panic!("a heartbeat is answered at once: {other:?}"),
        }
    }

    pub(super) fn consumers(&self) -> &ConsumerGroup {
        self.groups.consumer("g").expect("the group is there")
    }

    fn state_of(&self, member: &str) -> MemberState {
        self.consumers().member(member).expect("it is a member").current().state
    }
}

/// Epoch and assignment.
fn told(beaten: Beaten) -> Told {
    let answer = beaten.expect("it is a member");
    (answer.member_epoch, answer.assignment)
}

fn has(epoch: i32, topics: &[(&str, &[i32])]) -> Told {
    (epoch, Some(listed(topics)))
}

/// Two members, reconciled in epoch 3: a has 0 and 1, b has 2 and 3 of t.
fn pair() -> World {
    let mut world = World::of_consumers(&[("t", 4), ("u", 2)]);
    assert_eq!(told(world.beat(joins("a", &["t"]))), has(2, &[("t", &[0, 1, 2, 3])]));
    assert_eq!(told(world.beat(joins("b", &["t"]))), has(3, &[]));
    assert_eq!(told(world.beat(beats("a", 2))), has(2, &[("t", &[0, 1])]));
    assert_eq!(told(world.beat(owns("a", 2, &[("t", &[0, 1])]))), (3, None));
    assert_eq!(told(world.beat(beats("b", 3))), has(3, &[("t", &[2, 3])]));
    assert_eq!(world.consumers().state(), GroupState::Stable);
    world
}

#[test]
fn partitions_are_given_back_before_somebody_else_gets_them() {
    let mut world = World::of_consumers(&[("t", 4)]);
    let joined = world.beat(joins("a", &["t"])).unwrap();
    assert_eq!((joined.member_epoch, joined.heartbeat_interval_ms), (2, 5_000));
    assert_eq!(joined.assignment, Some(listed(&[("t", &[0, 1, 2, 3])])));
    assert_eq!(world.consumers().state(), GroupState::Stable);

    assert_eq!(told(world.beat(joins("b", &["t"]))), has(3, &[]));
    assert_eq!(world.state_of("b"), MemberState::UnreleasedPartitions);
    assert_eq!(world.consumers().state(), GroupState::Reconciling);
    // a stays in its epoch until it has given back what is asked for, however often it says otherwise.
    assert_eq!(told(world.beat(beats("a", 2))), has(2, &[("t", &[0, 1])]));
    assert_eq!(world.state_of("a"), MemberState::UnrevokedPartitions);
    assert_eq!(told(world.beat(owns("a", 2, &[("t", &[0, 1, 2])]))), (2, None));
    assert_eq!(told(world.beat(beats("b", 3))), (3, None));
    assert_eq!(told(world.beat(owns("a", 2, &[("t", &[0, 1])]))), (3, None));
    assert_eq!(told(world.beat(beats("b", 3))), has(3, &[("t", &[2, 3])]));
    assert_eq!(
        (world.state_of("a"), world.state_of("b")),
        (MemberState::Stable, MemberState::Stable)
    );
    assert_eq!(world.consumers().state(), GroupState::Stable);
}

#[test]
fn a_heartbeat_with_nothing_new_records_nothing_and_is_told_nothing() {
    let mut world = pair();
    let written = world.log.len();
    assert_eq!(told(world.beat(beats("a", 3))), (3, None));
    assert_eq!(world.log.len(), written);
    // A full request asks for everything.
    let full = ConsumerHeartbeat {
        member_epoch: 3,
        owned: Some(listed(&[("t", &[0, 1])])),
        ..joins("a", &["t"])
    };
    assert_eq!(told(world.beat(full)), has(3, &[("t", &[0, 1])]));
    assert_eq!(world.log.len(), written);
}

#[test]
fn null_is_as_before_and_an_empty_list_is_nothing() {
    let mut world = pair();
    let beat = ConsumerHeartbeat { topics: Some(vec![]), ..beats("a", 3) };
    assert_eq!(told(world.beat(beat)), has(3, &[]));
    assert_eq!(world.state_of("a"), MemberState::UnrevokedPartitions);
    assert_eq!(told(world.beat(owns("a", 3, &[]))), (4, None));
    assert_eq!(told(world.beat(beats("b", 3))), has(4, &[("t", &[0, 1, 2, 3])]));
    assert_eq!(
        world.consumers().member("a").unwrap().said().unwrap().rebalance_timeout_ms,
        REBALANCE_MS
    );
}

#[test]
fn what_a_member_no_longer_reads_it_gives_back_though_the_target_is_put_off() {
    let mut world = pair();
    world.groups.settings.consumer.assignment_interval.ms = 15_000;
    let beat = ConsumerHeartbeat { topics: Some(vec![Str::from("u")]), ..beats("a", 3) };
    assert_eq!(told(world.beat(beat)), has(3, &[]));
    assert_eq!(world.consumers().state(), GroupState::Assigning);
    world.pass(15_000);
    assert_eq!(told(world.beat(owns("a", 3, &[]))), has(4, &[("u", &[0, 1])]));
}

#[test]
fn the_answer_with_the_new_epoch_may_be_lost() {
    let mut world = pair();
    world.beat(ConsumerHeartbeat { member_epoch: -1, ..beats("b", 3) }).unwrap();
    assert_eq!(told(world.beat(beats("a", 3))), has(4, &[("t", &[0, 1, 2, 3])]));
    // It did not hear of epoch 4.
    let again = ConsumerHeartbeat {
        member_epoch: 3,
        owned: Some(listed(&[("t", &[0, 1])])),
        ..joins("a", &["t"])
    };
    assert_eq!(told(world.beat(again)), has(4, &[("t", &[0, 1, 2, 3])]));
    let fenced = Err(ConsumerHeartbeatError::FencedMemberEpoch);
    assert_eq!(world.beat(beats("a", 3)), fenced, "it has to say what it owns");
    assert_eq!(world.beat(owns("a", 3, &[("u", &[0])])), fenced, "it claims what it has not got");
    assert_eq!(world.beat(beats("a", 2)), fenced);
    assert_eq!(world.beat(beats("a", 5)), fenced);
}

#[test]
fn a_fenced_member_comes_back_with_epoch_zero_and_keeps_its_place() {
    let mut world = pair();
    assert_eq!(world.beat(beats("a", 2)), Err(ConsumerHeartbeatError::FencedMemberEpoch));
    assert_eq!(told(world.beat(joins("a", &["t"]))), has(3, &[("t", &[0, 1])]));
    assert_eq!(world.consumers().state(), GroupState::Stable);
}

#[test]
fn who_leaves_or_falls_silent_leaves_its_partitions_to_the_others() {
    let mut world = pair();
    let left = world.beat(ConsumerHeartbeat { member_epoch: -1, ..beats("b", 3) }).unwrap();
    assert_eq!((left.member_epoch, left.heartbeat_interval_ms, left.assignment), (-1, 0, None));
    assert_eq!(world.consumers().state(), GroupState::Assigning);
    assert_eq!(told(world.beat(beats("a", 3))), has(4, &[("t", &[0, 1, 2, 3])]));
    let unknown = Err(ConsumerHeartbeatError::UnknownMember);
    assert_eq!(world.beat(beats("b", 3)), unknown);
    assert_eq!(world.beat(ConsumerHeartbeat { member_epoch: -1, ..beats("b", 3) }), unknown);

    world.pass(SESSION_MS - 1);
    assert_eq!(told(world.beat(beats("a", 4))), (4, None));
    world.pass(SESSION_MS - 1);
    assert_eq!(world.consumers().member_count(), 1);
    world.pass(1);
    assert_eq!(world.consumers().state(), GroupState::Empty);
    assert_eq!(world.beat(beats("a", 4)), unknown);
}

#[test]
fn who_does_not_give_back_in_time_is_fenced() {
    let mut world = World::of_consumers(&[("t", 4)]);
    world.beat(joins("a", &["t"])).unwrap();
    world.beat(joins("b", &["t"])).unwrap();
    world.beat(beats("a", 2)).unwrap();
    for _ in 0..2 {
        world.pass(20_000);
        world.beat(beats("a", 2)).unwrap();
        world.beat(beats("b", 3)).unwrap();
    }
    world.pass(19_999);
    assert_eq!(world.state_of("a"), MemberState::UnrevokedPartitions);
    world.pass(1);
    assert_eq!(world.beat(beats("a", 2)), Err(ConsumerHeartbeatError::UnknownMember));
    assert_eq!(told(world.beat(beats("b", 3))), has(4, &[("t", &[0, 1, 2, 3])]));
}

#[test]
fn who_has_given_back_in_time_is_not_fenced() {
    let mut world = pair();
    for _ in 0..5 {
        world.pass(20_000);
        world.beat(beats("a", 3)).unwrap();
        world.beat(beats("b", 3)).unwrap();
    }
    assert_eq!(world.consumers().state(), GroupState::Stable);
}

/// With a session of 6 s and heartbeats every 5 s it took up to 11 s until another member had the partitions of one
/// that was lost.
#[test]
fn members_of_short_sessions_come_more_often() {
    let mut world = World::of_consumers(&[("t", 1)]);
    world.groups.settings.consumer.session_timeout.min_ms = 6_000;
    let config = GroupConfig { session_timeout_ms: Some(6_000), ..GroupConfig::default() };
    world.groups.set_config(&Str::from("g"), Some(config));
    assert_eq!(world.beat(joins("a", &["t"])).unwrap().heartbeat_interval_ms, 2_000);
}

#[test]
fn sessions_and_intervals_are_the_groups_own() {
    let mut world = World::of_consumers(&[("t", 1)]);
    let config = GroupConfig {
        session_timeout_ms: Some(50_000),
        heartbeat_interval_ms: Some(7_000),
        assignment_interval_ms: None,
    };
    world.groups.set_config(&Str::from("g"), Some(config));
    assert_eq!(world.beat(joins("a", &["t"])).unwrap().heartbeat_interval_ms, 7_000);
    world.pass(49_999);
    assert_eq!(world.consumers().member_count(), 1);
    world.pass(1);
    assert_eq!(world.consumers().member_count(), 0);

    // What lies beyond the broker's bounds is moved inside.
    let config =
        GroupConfig { session_timeout_ms: Some(1), heartbeat_interval_ms: Some(1), ..config };
    world.groups.set_config(&Str::from("g"), Some(config));
    assert_eq!(world.beat(joins("a", &["t"])).unwrap().heartbeat_interval_ms, 5_000);
    world.pass(44_999);
    assert_eq!(world.consumers().member_count(), 1);
    world.groups.set_config(&Str::from("g"), None);
    world.pass(1);
    assert_eq!(world.consumers().member_count(), 0);
}

#[test]
fn members_that_join_together_cause_one_assignment() {
    let mut world = World::of_consumers(&[("t", 4)]);
    world.groups.settings.consumer.assignment_interval.ms = 1_000;
    assert_eq!(told(world.beat(joins("a", &["t"]))), has(2, &[("t", &[0, 1, 2, 3])]));
    for member in ["b", "c", "d"] {
        world.pass(100);
        assert_eq!(told(world.beat(joins(member, &["t"]))), has(2, &[]));
    }
    assert_eq!((world.consumers().epoch(), world.consumers().assignment_epoch()), (5, 2));
    assert_eq!(world.consumers().state(), GroupState::Assigning);
    world.pass(699);
    assert_eq!(world.consumers().assignment_epoch(), 2);
    world.pass(1);
    assert_eq!(world.consumers().assignment_epoch(), 5);
    assert_eq!(told(world.beat(beats("a", 2))), has(2, &[("t", &[0])]));
    assert_eq!(told(world.beat(owns("a", 2, &[("t", &[0])]))), (5, None));
    for (member, partition) in [("b", 1), ("c", 2), ("d", 3)] {
        assert_eq!(told(world.beat(beats(member, 2))), has(5, &[("t", &[partition])]));
    }
}

#[test]
fn a_wrong_request_is_refused_in_kafkas_order() {
    use InvalidHeartbeat as Invalid;
    let with = |change: &dyn Fn(&mut ConsumerHeartbeat)| {
        let mut request = joins("a", &["t"]);
        change(&mut request);
        request
    };
    let rows: [(ConsumerHeartbeat, Invalid); 11] = [
        (with(&|of| of.member = Str::default()), Invalid::EmptyMemberId),
        (
            with(&|of| {
                (of.member, of.makes_member_ids, of.member_epoch) = (Str::default(), false, 1)
            }),
            Invalid::EmptyMemberId,
        ),
        (
            with(&|of| {
                (of.member, of.makes_member_ids, of.member_epoch) = (Str::default(), false, -1)
            }),
            Invalid::EmptyMemberId,
        ),
        (with(&|of| of.group = Str::default()), Invalid::EmptyGroupId),
        (with(&|of| of.instance = Some(Str::default())), Invalid::EmptyInstanceId),
        (with(&|of| of.rack = Some(Str::default())), Invalid::EmptyRackId),
        (with(&|of| of.rebalance_timeout_ms = None), Invalid::NoRebalanceTimeout),
        (with(&|of| of.owned = None), Invalid::OwnsPartitions),
        (with(&|of| of.topics = None), Invalid::NoSubscription),
        (with(&|of| of.member_epoch = -2), Invalid::NoInstanceId),
        (with(&|of| of.member_epoch = -3), Invalid::Epoch),
    ];
    let mut world = World::of_consumers(&[("t", 1)]);
    for (request, invalid) in rows {
        assert_eq!(world.beat(request), Err(ConsumerHeartbeatError::Invalid(invalid)));
    }
    let unknown = with(&|of| of.assignor = Some(Str::from("sticky")));
    assert_eq!(world.beat(unknown), Err(ConsumerHeartbeatError::UnsupportedAssignor));
    assert_eq!(world.beat(beats("a", 1)), Err(ConsumerHeartbeatError::UnknownGroup));
    assert_eq!(world.beat(beats("a", -1)), Err(ConsumerHeartbeatError::UnknownGroup));
    assert_eq!((world.log.len(), world.groups.contains("g")), (0, false));
}

#[test]
fn in_version_0_the_coordinator_makes_the_member_id() {
    let mut world = World::of_consumers(&[("t", 1)]);
    let request = ConsumerHeartbeat {
        makes_member_ids: false,
        new_member: Str::from("made"),
        ..joins("", &["t"])
    };
    let joined = world.beat(request).unwrap();
    assert_eq!((&*joined.member, joined.member_epoch), ("made", 2));
}

#[test]
fn a_full_group_turns_new_members_away() {
    let mut world = World::of_consumers(&[("t", 2)]);
    world.groups.settings.consumer.members_max = 2;
    world.beat(joins("a", &["t"])).unwrap();
    world.beat(joins("b", &["t"])).unwrap();
    assert_eq!(world.beat(joins("c", &["t"])), Err(ConsumerHeartbeatError::GroupIsFull));
    world.beat(joins("b", &["t"])).unwrap();
    world.beat(ConsumerHeartbeat { member_epoch: -1, ..beats("a", 2) }).unwrap();
    world.beat(joins("c", &["t"])).unwrap();
}

#[test]
fn the_assignor_is_the_one_that_most_members_ask_for() {
    let mut world = World::of_consumers(&[("t", 4), ("u", 4)]);
    let topics = ["t", "u"];
    let ranged =
        |member| ConsumerHeartbeat { assignor: Some(Str::from("range")), ..joins(member, &topics) };
    world.beat(joins("a", &topics)).unwrap();
    world.beat(ranged("b")).unwrap();
    world.beat(ranged("c")).unwrap();
    let target = |world: &World, member| {
        world.consumers().member(member).unwrap().target().unwrap().as_ref().clone()
    };
    let of_topic = |topic, world: &World| {
        ["a", "b", "c"].map(|member| target(world, member).of_topic(topic_id(topic)).len())
    };
    assert_eq!([of_topic("t", &world), of_topic("u", &world)], [[2, 1, 1], [2, 1, 1]]);
    world
        .beat(ConsumerHeartbeat {
            assignor: Some(Str::from("uniform")),
            topics: Some(vec![Str::from("t")]),
            ..beats("b", 3)
        })
        .unwrap();
    let votes = world.consumers().preferred_assignor(&world.groups.settings.consumer.assignors);
    assert_eq!(votes.name(), "uniform", "of as many votes the first of the settings");
}

#[test]
fn members_of_nothing_are_members() {
    let mut world = World::of_consumers(&[("t", 1)]);
    assert_eq!(told(world.beat(joins("a", &[]))), has(1, &[]));
    assert_eq!(told(world.beat(joins("b", &["not there"]))), has(2, &[]));
    assert_eq!(told(world.beat(beats("a", 1))), (2, None));
    assert_eq!(world.consumers().state(), GroupState::Stable);
    let beat = ConsumerHeartbeat { topics: Some(vec![Str::from("t")]), ..beats("a", 2) };
    assert_eq!(told(world.beat(beat)), has(3, &[("t", &[0])]));
}
