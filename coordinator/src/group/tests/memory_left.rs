//! All groups together take no more than they may: newcomers are refused first, members that are there go on.

use std::{vec, vec::Vec};

use bytes::Bytes;
use protocol::{PartitionIndex, Str};

use super::{
    DELAY_MS, World,
    consumer::{beats, joins},
    join,
    offsets::commit,
};
use crate::group::{
    Answer, GroupRecord, Groups,
    answer::{CommitError, ConsumerHeartbeatError, JoinError, SyncError},
    classic::{ClassicState, join::JoinGroup, leave::Leaving, sync::SyncGroup},
    commit::{OffsetCommit, OffsetToCommit},
    consumer::request::ConsumerHeartbeat,
    memory::MemoryLeft,
};

fn leave(world: &mut World, for_newcomers: usize, for_members: usize) {
    world.groups.set_memory_left(MemoryLeft { for_newcomers, for_members });
}

fn says(join: JoinGroup, bytes: usize) -> JoinGroup {
    JoinGroup { protocols: vec![(Str::from("range"), Bytes::from(vec![0; bytes]))], ..join }
}

/// 10,000 ids that nobody came back with, in groups of the longest names, were kept for half an hour.
#[test]
fn an_id_that_is_given_takes_memory_and_gives_it_back() {
    let mut world = World::new();
    let group = || Str::from("g".repeat(30_000).as_str());
    let long = || JoinGroup { group: group(), ..join("a", "") };
    leave(&mut world, 30_000, usize::MAX);
    let token = world.join_as(long());
    assert_eq!(world.answer(token), Some(Answer::Join(Err(JoinError::OutOfMemory))));
    assert_eq!((world.groups.bytes(), world.groups.contains(&group())), (0, false));
    leave(&mut world, 40_000, usize::MAX);
    let token = world.join_as(long());
    let answer = world.answer(token);
    assert!(matches!(answer, Some(Answer::Join(Err(JoinError::MemberIdRequired { .. })))));
    assert!(world.groups.bytes() > 30_000);
    world.pass(u64::try_from(super::SESSION_MS).unwrap());
    assert_eq!((world.groups.bytes(), world.groups.contains(&group())), (0, false));
}

#[test]
fn new_members_are_refused_and_those_that_are_there_go_on() {
    let mut world = World::new();
    let (member, token) = world.join("a");
    world.pass(DELAY_MS);
    let joined = world.joined(token);
    leave(&mut world, 0, 10_000);
    let refused = world.join_as(join("b", ""));
    assert_eq!(world.answer(refused), Some(Answer::Join(Err(JoinError::OutOfMemory))));

    let sync = |world: &mut World, bytes: usize| {
        let token = world.token();
        let (group, member) = (Str::from("g"), member.clone());
        let assignments = vec![(member.clone(), Bytes::from(vec![7; bytes]))];
        world.run(&SyncGroup {
            token,
            group,
            member,
            instance: None,
            generation: joined.generation,
            protocol_type: None,
            protocol: None,
            assignments,
        });
        world.answer(token)
    };
    let refused = Some(Answer::Sync(Err(SyncError::OutOfMemory)));
    assert_eq!(sync(&mut world, 10_001), refused);
    assert_eq!(world.group().state(), ClassicState::CompletingRebalance, "it may assign less");
    assert!(matches!(sync(&mut world, 9_000), Some(Answer::Sync(Ok(_)))));

    leave(&mut world, 0, 2_000);
    let token = world.join_as(says(join("a", &member), 15_000));
    assert_eq!(world.answer(token), Some(Answer::Join(Err(JoinError::OutOfMemory))));
    let token = world.join_as(says(join("a", &member), 1_000));
    assert!(matches!(world.answer(token), Some(Answer::Join(Ok(_)))));
    world.leave(vec![Leaving { member, instance: None }]);
    assert!(world.groups.bytes() < 2_000, "what is left is the group: {}", world.groups.bytes());
}

#[test]
fn offsets_that_are_there_are_moved_when_new_ones_are_refused() {
    let mut world = World::new();
    assert!(world.commit(commit("t", 0, 1)).is_ok());
    leave(&mut world, 0, 100_000);
    assert_eq!(world.commit(commit("t", 1, 1)), Err(CommitError::OutOfMemory));
    let group = Str::from("other");
    let other = OffsetCommit { group, ..commit("t", 0, 1) };
    assert_eq!(world.commit(other), Err(CommitError::OutOfMemory));
    assert!(world.commit(commit("t", 0, 2)).is_ok());
    let metadata = Str::from("x".repeat(100).as_str());
    let partition = PartitionIndex(0);
    let longer = OffsetToCommit { metadata, partition, ..commit("t", 0, 3).offsets.remove(0) };
    let longer = || OffsetCommit { offsets: vec![longer.clone()], ..commit("t", 0, 3) };
    assert_eq!(world.commit(longer()), Err(CommitError::OutOfMemory));
    assert_eq!(world.position("t", 0), Some(2));
    leave(&mut world, 100, 100);
    assert!(world.commit(longer()).is_ok());
}

#[test]
fn members_of_the_consumer_protocol_go_on_too() {
    let mut world = World::of_consumers(&[("t", 2)]);
    assert!(world.beat(joins("a", &["t"])).is_ok());
    let epoch = world.groups.consumer("g").unwrap().epoch();
    leave(&mut world, 0, 2_000);
    assert_eq!(world.beat(joins("b", &["t"])), Err(ConsumerHeartbeatError::OutOfMemory));
    assert!(world.beat(beats("a", epoch)).is_ok());
    let names: Vec<Str> = (0..50).map(|at| Str::from(std::format!("topic-{at}"))).collect();
    let many = ConsumerHeartbeat { topics: Some(names), ..beats("a", epoch) };
    assert_eq!(world.beat(many), Err(ConsumerHeartbeatError::OutOfMemory));
}

/// A start takes what its log says, however little memory it has.
#[test]
fn what_a_log_says_is_replayed_whatever_there_is() {
    let mut world = World::new();
    let _ = world.commit(commit("t", 0, 1));
    let mut loaded = Groups::default();
    loaded.set_memory_left(MemoryLeft { for_newcomers: 0, for_members: 0 });
    for record in &world.log {
        loaded.replay(&GroupRecord::Durable(record.clone()));
    }
    assert_eq!(loaded.bytes(), world.groups.bytes());
    assert_eq!(loaded.offsets_of("g"), world.groups.offsets_of("g"));
}
