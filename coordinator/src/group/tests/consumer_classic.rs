//! Members of the classic protocol in groups of the consumer protocol, and groups that change their protocol.

use alloc::{string::ToString, vec, vec::Vec};

use bytes::Bytes;
use protocol::{
    Str,
    consumer_protocol::{ConsumerProtocolAssignment, ConsumerProtocolSubscription, TopicPartition},
};

use super::{
    DELAY_MS, REBALANCE_MS, SESSION_MS, World,
    consumer::{beats, joins, listed},
    join,
};
use crate::{
    group::{
        Answer, DurableRecord, MigrationPolicy,
        answer::{
            CommitError, ConsumerHeartbeatError, HeartbeatError, JoinError, LeaveError, SyncError,
        },
        classic::{ClassicState, join::JoinGroup, leave::Leaving},
        commit::OffsetCommit,
        consumer::{MemberState, request::ConsumerHeartbeat},
        describe::GroupState,
        tests::offsets::commit,
    },
    limits::GROUP_MEMBERS_MAX,
};

type Topics<'a> = &'a [(&'a str, &'a [i32])];

fn named(topics: Topics<'_>) -> Vec<TopicPartition> {
    let named = |(topic, partitions): &(&str, &[i32])| TopicPartition {
        topic: Str::from(*topic),
        partitions: partitions.to_vec(),
    };
    topics.iter().map(named).collect()
}

fn subscription(topics: &[&str], owned: Topics<'_>, generation_id: i32) -> Bytes {
    let said = ConsumerProtocolSubscription {
        topics: topics.iter().map(|topic| Str::from(*topic)).collect(),
        owned_partitions: named(owned),
        generation_id,
        ..ConsumerProtocolSubscription::default()
    };
    said.to_bytes(2).unwrap()
}

fn assignment(topics: Topics<'_>) -> Bytes {
    let assigned =
        ConsumerProtocolAssignment { assigned_partitions: named(topics), user_data: None };
    assigned.to_bytes(2).unwrap()
}

/// A member that reads t and u.
fn says(member: &str, owned: Topics<'_>, generation: i32) -> JoinGroup {
    let protocols = vec![(Str::from("range"), subscription(&["t", "u"], owned, generation))];
    JoinGroup { protocols, ..join(member, member) }
}

fn fixed(instance: &str, request: JoinGroup) -> JoinGroup {
    JoinGroup { instance: Some(Str::from(instance)), ..request }
}

impl World {
    /// In the group as it is: one answer at once.
    fn joins_at_once(&mut self, request: JoinGroup) -> Result<(Str, i32), JoinError> {
        let token = self.join_as(request);
        match self.answer(token) {
            Some(Answer::Join(result)) => result.map(|joined| (joined.member, joined.generation)),
            other => panic!("answered at once: {other:?}"),
        }
    }

    fn syncs(&mut self, member: &str, generation: i32) -> Result<Bytes, SyncError> {
        let token = self.sync(&Str::from(member), generation, &[]);
        match self.answer(token) {
            Some(Answer::Sync(result)) => result.map(|synced| synced.assignment),
            other => panic!("answered at once: {other:?}"),
        }
    }

    /// a and b of the classic protocol, stable in generation 1; each has two partitions of t and one of u.
    fn classic_pair() -> Self {
        let mut world = Self::of_consumers(&[("t", 4), ("u", 2)]);
        let tokens = ["a", "b"].map(|member| {
            let request = JoinGroup {
                new_member: Str::from(member),
                knows_given_ids: false,
                ..says("", &[], -1)
            };
            let token = world.token();
            world.run(&JoinGroup { token, ..request });
            token
        });
        world.pass(2 * DELAY_MS);
        assert_eq!(tokens.map(|token| world.joined(token).generation), [1, 1]);
        let b = world.sync(&Str::from("b"), 1, &[]);
        let token = world.token();
        let assignments = vec![
            (Str::from("a"), assignment(&[("t", &[0, 1]), ("u", &[0])])),
            (Str::from("b"), assignment(&[("t", &[2, 3]), ("u", &[1])])),
        ];
        world.run(&crate::group::classic::sync::SyncGroup {
            token,
            group: Str::from("g"),
            member: Str::from("a"),
            instance: None,
            generation: 1,
            protocol_type: None,
            protocol: None,
            assignments,
        });
        world.synced(token);
        world.synced(b);
        world
    }

    /// And c of the consumer protocol, in epoch 2, which waits for what they are to give back.
    fn mixed() -> Self {
        let mut world = Self::classic_pair();
        let c = world.beat(joins("c", &["t", "u"])).unwrap();
        assert_eq!((c.member_epoch, c.assignment), (2, Some(vec![])));
        world
    }
}

#[test]
fn a_classic_group_is_converted_by_its_first_member_of_the_consumer_protocol() {
    let mut world = World::mixed();
    assert_eq!(world.groups.get("g"), None);
    let a = world.consumers().member("a").unwrap();
    assert_eq!((a.epoch(), a.current().state), (1, MemberState::Stable));
    assert_eq!(a.current().assigned.listed(), listed(&[("t", &[0, 1]), ("u", &[0])]));
    assert_eq!(world.consumers().state(), GroupState::Reconciling);
    assert!(world.log.contains(&DurableRecord::GroupGone { group: Str::from("g") }));

    // They join to take their step: each keeps what it may, and gives the rest back.
    let in_progress = Err(HeartbeatError::RebalanceInProgress);
    assert_eq!(world.heartbeat(&Str::from("a"), 1), in_progress);
    let had: Topics<'_> = &[("t", &[0, 1]), ("u", &[0])];
    assert_eq!(world.joins_at_once(says("a", had, 1)), Ok((Str::from("a"), 1)));
    assert_eq!(world.syncs("a", 1), Ok(assignment(&[("t", &[0, 1])])));
    assert_eq!(world.heartbeat(&Str::from("a"), 1), in_progress, "it has not given u back");
    assert_eq!(world.joins_at_once(says("a", &[("t", &[0, 1])], 1)), Ok((Str::from("a"), 2)));
    assert_eq!(world.syncs("a", 2), Ok(assignment(&[("t", &[0, 1])])));
    assert_eq!(world.heartbeat(&Str::from("a"), 2), Ok(()));
    let c = world.beat(beats("c", 2)).unwrap();
    assert_eq!(c.assignment, Some(listed(&[("u", &[0])])));

    // An eager one has given everything back before.
    assert_eq!(world.heartbeat(&Str::from("b"), 1), in_progress);
    assert_eq!(world.joins_at_once(says("b", &[], -1)), Ok((Str::from("b"), 2)));
    assert_eq!(world.syncs("b", 2), Ok(assignment(&[("t", &[2, 3])])));
    let c = world.beat(beats("c", 2)).unwrap();
    assert_eq!(c.assignment, Some(listed(&[("u", &[0, 1])])));
    assert_eq!(world.consumers().state(), GroupState::Stable);
    world.groups.invariants();
}

#[test]
fn whoever_waits_for_a_rebalance_of_the_classic_protocol_joins_again() {
    let mut world = World::classic_pair();
    // b joins with other topics, and waits for a.
    let protocols = vec![(Str::from("range"), subscription(&["u"], &[("u", &[1])], 1))];
    let b = world.join_as(JoinGroup { protocols, ..join("b", "b") });
    assert_eq!(world.answer(b), None);
    world.beat(joins("c", &["t", "u"])).unwrap();
    assert_eq!(world.answer(b), Some(Answer::Join(Err(JoinError::RebalanceInProgress))));
    world.pass(1_000);

    // And a follower waits for its leader.
    let mut world = World::classic_pair();
    let tokens =
        [world.join_as(says("a", &[("t", &[0])], 1)), world.join_as(says("b", &[("t", &[2])], 1))];
    assert_eq!(tokens.map(|token| world.joined(token).generation), [2, 2]);
    let b = world.sync(&Str::from("b"), 2, &[]);
    world.beat(joins("c", &["t", "u"])).unwrap();
    assert_eq!(world.answer(b), Some(Answer::Sync(Err(SyncError::RebalanceInProgress))));
    // What they said that they keep is theirs, though nobody assigned it to them.
    let has = |world: &World, member: &str| {
        world.consumers().member(member).unwrap().current().assigned.listed()
    };
    assert_eq!(has(&world, "a"), listed(&[("t", &[0])]));
    assert_eq!(has(&world, "b"), listed(&[("t", &[2])]));
    assert_eq!(has(&world, "c"), listed(&[("u", &[0, 1])]));
}

#[test]
fn a_group_that_cannot_be_converted_is_no_group_of_consumers() {
    let refused = Err(ConsumerHeartbeatError::UnknownGroup);
    let mut world = World::classic_pair();
    world.groups.settings.consumer.migration = MigrationPolicy::Downgrade;
    assert_eq!(world.beat(joins("c", &["t"])), refused);
    world.groups.settings.consumer.migration = MigrationPolicy::Upgrade;
    world.groups.settings.consumer.members_max = 1;
    assert_eq!(world.beat(joins("c", &["t"])), refused);
    assert_eq!(world.group().state(), ClassicState::Stable);
    assert_eq!(world.heartbeat(&Str::from("a"), 1), Ok(()));

    // Metadata that is none, and members that are no consumers.
    for (protocol_type, metadata) in [("consumer", "nonsense"), ("connect", "")] {
        let mut world = World::of_consumers(&[("t", 4)]);
        world.join_as(JoinGroup {
            protocol_type: Str::from(protocol_type),
            protocols: vec![(Str::from("range"), Bytes::from(metadata.to_string()))],
            knows_given_ids: false,
            ..join("a", "")
        });
        world.pass(2 * DELAY_MS);
        assert_eq!(world.beat(joins("c", &["t"])), refused);
    }

    // An assignor of the members' own left data that would be lost.
    let mut world = World::classic_pair();
    let tokens = [world.join_as(says("a", &[], -1)), world.join_as(says("b", &[], -1))];
    assert_eq!(tokens.map(|token| world.joined(token).generation), [2, 2]);
    let custom = ConsumerProtocolAssignment {
        user_data: Some(Bytes::from("mine")),
        assigned_partitions: vec![],
    };
    let text = custom.to_bytes(0).unwrap();
    let token = world.token();
    world.run(&crate::group::classic::sync::SyncGroup {
        token,
        group: Str::from("g"),
        member: Str::from("a"),
        instance: None,
        generation: 2,
        protocol_type: None,
        protocol: None,
        assignments: vec![(Str::from("b"), text)],
    });
    assert_eq!(world.beat(joins("c", &["t"])), refused);
}

#[test]
fn a_partition_that_clients_gave_to_two_goes_to_one() {
    let mut world = World::classic_pair();
    let tokens = [world.join_as(says("a", &[], -1)), world.join_as(says("b", &[], -1))];
    assert_eq!(tokens.map(|token| world.joined(token).generation), [2, 2]);
    let token = world.token();
    let both = assignment(&[("t", &[0, 1, 9, -1]), ("gone", &[0])]);
    world.run(&crate::group::classic::sync::SyncGroup {
        token,
        group: Str::from("g"),
        member: Str::from("a"),
        instance: None,
        generation: 2,
        protocol_type: None,
        protocol: None,
        assignments: vec![(Str::from("a"), both.clone()), (Str::from("b"), both)],
    });
    world.beat(joins("c", &["t", "u"])).unwrap();
    let has = |member: &str| world.consumers().member(member).unwrap().current().assigned.listed();
    assert_eq!(has("a"), listed(&[("t", &[0, 1])]));
    assert_eq!(has("b"), []);
    world.groups.invariants();
}

#[test]
fn an_empty_group_is_of_the_protocol_of_who_comes() {
    let mut world = World::classic_pair();
    world.leave(
        ["a", "b"].map(|member| Leaving { member: Str::from(member), instance: None }).into(),
    );
    assert_eq!(world.group().state(), ClassicState::Empty);
    assert_eq!(world.beat(joins("c", &["t"])).unwrap().member_epoch, 2);
    assert!(world.groups.get("g").is_none());
    assert!(world.restarted().consumer("g").is_some());

    world.beat(beats("c", -1)).unwrap();
    let unknown = world.joins_at_once(says("a", &[], -1));
    assert_eq!(unknown, Err(JoinError::UnknownMember), "nobody has that id");
    assert!(world.groups.consumer("g").is_some());
    let token = world.join_as(JoinGroup { knows_given_ids: false, ..says("", &[], -1) });
    assert!(world.groups.consumer("g").is_none());
    world.pass(2 * DELAY_MS);
    assert_eq!(world.joined(token).generation, 1);
    let restarted = world.restarted();
    assert!(restarted.consumer("g").is_none(), "its records have their tombstones");
}

#[test]
fn a_group_whose_last_consumer_leaves_is_of_the_classic_protocol_again() {
    let mut world = World::mixed();
    world.joins_at_once(says("a", &[("t", &[0, 1])], 1)).unwrap();
    world.beat(beats("c", -1)).unwrap();
    assert!(world.groups.consumer("g").is_none());
    let group = world.group();
    assert!(matches!(group.state(), ClassicState::PreparingRebalance { .. }));
    assert_eq!((group.generation(), group.member_count()), (2, 2));
    let restarted = world.restarted();
    assert!(restarted.consumer("g").is_none());
    assert_eq!(restarted.get("g").unwrap().generation(), 2);

    assert_eq!(world.heartbeat(&Str::from("a"), 2), Err(HeartbeatError::RebalanceInProgress));
    assert_eq!(world.heartbeat(&Str::from("b"), 1), Err(HeartbeatError::IllegalGeneration));
    let tokens = [world.join_as(says("a", &[], -1)), world.join_as(says("b", &[], -1))];
    assert_eq!(tokens.map(|token| world.joined(token).generation), [3, 3]);
}

#[test]
fn so_is_one_whose_last_consumer_falls_silent() {
    let mut world = World::mixed();
    let session_ms = u64::try_from(SESSION_MS).unwrap();
    for _ in 0..9 {
        world.pass(session_ms / 2);
        for member in ["a", "b"] {
            let _ = world.heartbeat(&Str::from(member), 1);
        }
    }
    assert_eq!(world.group().member_count(), 2);
    // It has what it had: until it joins again it reads on.
    let a = world.group().member("a").unwrap();
    assert_eq!(a.assignment, assignment(&[("t", &[0, 1]), ("u", &[0])]));
    world.pass(session_ms * 2);
    assert_eq!(world.group().member_count(), 0, "nobody joined");
}

#[test]
fn without_that_policy_the_group_stays_as_it_is() {
    let mut world = World::mixed();
    world.groups.settings.consumer.migration = MigrationPolicy::Upgrade;
    world.beat(beats("c", -1)).unwrap();
    assert_eq!(world.consumers().member_count(), 2);
    let mut world = World::mixed();
    world.groups.settings.members_max = 1;
    world.beat(beats("c", -1)).unwrap();
    assert_eq!(world.consumers().member_count(), 2);
}

#[test]
fn classic_members_are_refused_for_kafkas_reasons() {
    let mut world = World::mixed();
    let inconsistent = Err(JoinError::InconsistentProtocol);
    let new = JoinGroup { knows_given_ids: false, ..says("", &[], -1) };
    let connect = JoinGroup { protocol_type: Str::from("connect"), ..new.clone() };
    assert_eq!(world.joins_at_once(connect), inconsistent);
    let other = vec![(Str::from("sticky"), subscription(&["t"], &[], -1))];
    assert_eq!(world.joins_at_once(JoinGroup { protocols: other, ..new.clone() }), inconsistent);
    let nonsense = vec![(Str::from("range"), Bytes::from("nonsense"))];
    assert_eq!(world.joins_at_once(JoinGroup { protocols: nonsense, ..new.clone() }), inconsistent);
    let short = JoinGroup { session_timeout_ms: 1, ..new.clone() };
    assert_eq!(world.joins_at_once(short), Err(JoinError::InvalidSessionTimeout));
    let given = world.joins_at_once(JoinGroup { knows_given_ids: true, ..new.clone() });
    let Err(JoinError::MemberIdRequired { member }) = given else {
        panic!("its id first: {given:?}")
    };
    assert!(world.consumers().member(&member).is_none(), "nothing is kept of it");
    assert_eq!(world.joins_at_once(says(&member, &[], -1)), Ok((member, 3)));
    world.groups.settings.consumer.members_max = 4;
    assert_eq!(world.joins_at_once(new.clone()), Err(JoinError::GroupIsFull));
    world.groups.settings.consumer.migration = MigrationPolicy::Disabled;
    assert_eq!(world.joins_at_once(new), inconsistent);

    assert_eq!(world.syncs("c", 2), Err(SyncError::UnknownMember), "it speaks the other protocol");
    assert_eq!(world.heartbeat(&Str::from("c"), 2), Err(HeartbeatError::UnknownMember));
    assert_eq!(world.syncs("x", 2), Err(SyncError::UnknownMember));
    assert_eq!(world.syncs("a", 7), Err(SyncError::IllegalGeneration));
    assert_eq!(world.heartbeat(&Str::from("a"), 7), Err(HeartbeatError::IllegalGeneration));
    assert_eq!(world.syncs("a", 1), Err(SyncError::RebalanceInProgress));
    let as_a = |generation, offset| OffsetCommit {
        member: Str::from("a"),
        generation: Some(generation),
        ..commit("t", 0, offset)
    };
    assert_eq!(world.commit(as_a(1, 5)), Ok(vec![Ok(())]), "in any version");
    assert_eq!(world.commit(as_a(2, 5)), Err(CommitError::IllegalGeneration));
    assert_eq!(world.commit(as_a(0, 5)), Err(CommitError::IllegalGeneration));
}

#[test]
fn who_is_asked_to_join_and_does_not_is_fenced() {
    let mut world = World::mixed();
    let rebalance_ms = u64::try_from(REBALANCE_MS).unwrap();
    for _ in 0..(rebalance_ms / 5_000) {
        assert!(world.consumers().member("a").is_some());
        assert_eq!(world.heartbeat(&Str::from("a"), 1), Err(HeartbeatError::RebalanceInProgress));
        let _ = world.heartbeat(&Str::from("b"), 1);
        let _ = world.beat(beats("c", 2));
        world.pass(5_000);
    }
    assert!(world.consumers().member("a").is_none());
    assert_eq!(world.heartbeat(&Str::from("a"), 1), Err(HeartbeatError::UnknownMember));
}

#[test]
fn who_joins_and_does_not_ask_for_its_assignment_is_fenced() {
    let mut world = World::mixed();
    world.joins_at_once(says("a", &[], -1)).unwrap();
    world.joins_at_once(says("b", &[], -1)).unwrap();
    world.syncs("b", 2).unwrap();
    for _ in 0..(REBALANCE_MS / 5_000) {
        assert!(world.consumers().member("a").is_some());
        for member in ["a", "b"] {
            let _ = world.heartbeat(&Str::from(member), 2);
        }
        let _ = world.beat(beats("c", 2));
        world.pass(5_000);
    }
    assert!(world.consumers().member("a").is_none());
    assert!(world.consumers().member("b").is_some());
}

#[test]
fn members_of_both_protocols_leave_together() {
    let mut world = World::mixed();
    let c = ConsumerHeartbeat { instance: Some(Str::from("i")), ..beats("c", 2) };
    assert_eq!(world.beat(c), Err(ConsumerHeartbeatError::UnknownMember));
    world.beat(ConsumerHeartbeat { instance: Some(Str::from("i")), ..joins("d", &["t"]) }).unwrap();
    let by_member = |member: &str| Leaving { member: Str::from(member), instance: None };
    let by_instance = |instance: &str, member: &str| Leaving {
        member: Str::from(member),
        instance: Some(Str::from(instance)),
    };
    let leaving = vec![
        by_member("b"),
        by_instance("i", "c"),
        by_instance("i", ""),
        by_instance("j", ""),
        by_member("x"),
    ];
    let unknown = Err(LeaveError::UnknownMember);
    let results = [Ok(()), Err(LeaveError::FencedInstance), Ok(()), unknown, unknown];
    assert_eq!(world.leave(leaving), results);
    let left: Vec<&str> = world.consumers().members().map(|(id, _)| &**id).collect();
    assert_eq!(left, ["a", "c"]);
    assert_eq!(world.consumers().epoch(), 4, "one epoch for both");
}

#[test]
fn more_than_a_batch_takes_leave_in_pieces() {
    let mut world = World::of_consumers(&[("t", 1)]);
    world.is_sound = false;
    world.groups.settings.consumer.assignment_interval.ms = 15_000;
    let long = "x".repeat(4_000);
    let names: Vec<Str> =
        (0..300).map(|number| Str::from(alloc::format!("{number}{long}"))).collect();
    for name in &names {
        world.beat(joins(name, &[])).unwrap();
    }
    assert!(names.len() < GROUP_MEMBERS_MAX);
    let leaving =
        || names.iter().map(|name| Leaving { member: name.clone(), instance: None }).collect();
    let results = world.leave(leaving());
    let gone = results.iter().filter(|result| result.is_ok()).count();
    assert!(gone > 100 && gone < 300, "{gone}");
    assert!(results[gone..].iter().all(|result| *result == Err(LeaveError::TooManyMembers)));
    world.leave(leaving());
    assert_eq!(world.consumers().state(), GroupState::Empty);
}

#[test]
fn a_static_member_changes_its_protocol_in_place() {
    let mut world = World::mixed();
    let d = world
        .joins_at_once(fixed("i", JoinGroup { new_member: Str::from("d"), ..says("", &[], -1) }));
    let (d, epoch) = d.unwrap();
    let target = world.consumers().member(&d).unwrap().target().unwrap().clone();
    assert_eq!(epoch, 3);
    // It is restarted with the other protocol, and need not have left.
    let e = ConsumerHeartbeat { instance: Some(Str::from("i")), ..joins("e", &["t", "u"]) };
    assert_eq!(world.beat(e).unwrap().member_epoch, 3);
    let member = world.consumers().member("e").unwrap();
    assert_eq!((member.target(), member.is_classic()), (Some(&target), false));
    assert!(world.consumers().member(&d).is_none());
    // And back.
    let (f, epoch) = world.joins_at_once(fixed("i", says("", &[], -1))).unwrap();
    assert_eq!((epoch, world.consumers().epoch()), (3, 3));
    assert!(world.consumers().member(&f).unwrap().is_classic());
    let fenced = fixed("i", says("e", &[], -1));
    assert_eq!(world.joins_at_once(fenced), Err(JoinError::FencedInstance));
    assert_eq!(world.joins_at_once(fixed("j", says("x", &[], -1))), Err(JoinError::UnknownMember));
}

#[test]
fn the_last_consumer_may_come_back_as_a_member_of_the_classic_protocol() {
    let mut world = World::classic_pair();
    let c = || ConsumerHeartbeat { instance: Some(Str::from("i")), ..joins("c", &["t", "u"]) };
    world.beat(c()).unwrap();
    for member in ["a", "b"] {
        let (_, epoch) = world.joins_at_once(says(member, &[], -1)).unwrap();
        world.syncs(member, epoch).unwrap();
    }
    world.beat(ConsumerHeartbeat { instance: Some(Str::from("i")), ..beats("c", 2) }).unwrap();
    let same = fixed("i", says("", &[("u", &[0, 1])], 2));
    let (d, epoch) = world.joins_at_once(same).unwrap();
    assert_eq!(epoch, 2);
    let group = world.group();
    assert_eq!(
        (group.state(), group.generation()),
        (ClassicState::Stable, 2),
        "nothing changed for anybody"
    );
    assert_eq!(world.syncs(&d, 2), Ok(assignment(&[("u", &[0, 1])])));
    for member in ["a", "b"] {
        assert_eq!(world.heartbeat(&Str::from(member), 2), Ok(()));
    }
    assert_eq!(world.restarted().get("g").unwrap().stored(), world.group().stored());

    // With another subscription everybody joins again.
    let mut world = World::classic_pair();
    world.beat(c()).unwrap();
    let protocols = vec![(Str::from("range"), subscription(&["t"], &[], -1))];
    world.joins_at_once(fixed("i", JoinGroup { protocols, ..join("d", "") })).unwrap();
    assert!(matches!(world.group().state(), ClassicState::PreparingRebalance { .. }));
}
