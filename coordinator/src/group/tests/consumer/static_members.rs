//! Members with instance ids: who leaves for a while has its partitions when it comes back.

use protocol::Str;

use super::{ConsumerHeartbeat, SESSION_MS, World, beats, has, joins, owns, told};
use crate::group::{answer::ConsumerHeartbeatError, consumer::MemberState, describe::GroupState};

fn named(instance: &str, request: ConsumerHeartbeat) -> ConsumerHeartbeat {
    ConsumerHeartbeat { instance: Some(Str::from(instance)), ..request }
}

/// a is static, b is not; each has two partitions, in epoch 3.
fn pair() -> World {
    let mut world = World::of_consumers(&[("t", 4)]);
    world.beat(named("i", joins("a", &["t"]))).unwrap();
    world.beat(joins("b", &["t"])).unwrap();
    world.beat(named("i", beats("a", 2))).unwrap();
    world.beat(named("i", owns("a", 2, &[("t", &[0, 1])]))).unwrap();
    assert_eq!(told(world.beat(beats("b", 3))), has(3, &[("t", &[2, 3])]));
    world
}

#[test]
fn who_leaves_for_a_while_comes_back_to_its_partitions_and_nobody_else_hears_of_it() {
    let mut world = pair();
    let left = world.beat(named("i", beats("a", -2))).unwrap();
    assert_eq!((&*left.member, left.member_epoch), ("a", -2));
    assert_eq!(told(world.beat(beats("b", 3))), (3, None));
    assert_eq!(world.consumers().state(), GroupState::Reconciling);
    assert_eq!(told(world.beat(named("i", joins("c", &["t"])))), has(3, &[("t", &[0, 1])]));
    assert_eq!((world.consumers().epoch(), world.consumers().state()), (3, GroupState::Stable));
    assert_eq!(world.consumers().of_instance("i").map(|id| &**id), Some("c"));
    assert!(world.consumers().member("a").is_none());
    assert_eq!(world.beat(named("i", beats("a", 3))), Err(ConsumerHeartbeatError::FencedInstance));
    assert_eq!(world.beat(beats("a", 3)), Err(ConsumerHeartbeatError::UnknownMember));
}

#[test]
fn who_comes_back_under_its_own_id_is_the_same() {
    let mut world = pair();
    world.beat(named("i", beats("a", -2))).unwrap();
    assert_eq!(told(world.beat(named("i", joins("a", &["t"])))), has(3, &[("t", &[0, 1])]));
    assert_eq!(world.consumers().epoch(), 3);
}

#[test]
fn an_instance_that_has_not_left_is_not_released_to_another() {
    let mut world = pair();
    let refused = Err(ConsumerHeartbeatError::UnreleasedInstance);
    assert_eq!(world.beat(named("i", joins("c", &["t"]))), refused);
    assert_eq!(told(world.beat(named("i", joins("a", &["t"])))), has(3, &[("t", &[0, 1])]));
    world.pass(SESSION_MS);
    assert_eq!(world.consumers().member_count(), 0);
    assert_eq!(told(world.beat(named("i", joins("c", &["t"])))), has(6, &[("t", &[0, 1, 2, 3])]));
}

#[test]
fn who_stays_away_longer_than_its_session_is_fenced() {
    let mut world = pair();
    world.pass(SESSION_MS / 2);
    world.beat(beats("b", 3)).unwrap();
    world.beat(named("i", beats("a", -2))).unwrap();
    world.pass(SESSION_MS / 2);
    assert_eq!(told(world.beat(beats("b", 3))), has(4, &[("t", &[0, 1, 2, 3])]));
}

#[test]
fn who_leaves_while_it_gives_back_has_given_it_back() {
    let mut world = pair();
    world.beat(joins("c", &["t"])).unwrap();
    assert_eq!(told(world.beat(named("i", beats("a", 3)))), (4, None), "it keeps two of the four");
    assert_eq!(told(world.beat(beats("b", 3))), has(3, &[("t", &[2])]));
    world.beat(named("j", joins("d", &["t"]))).unwrap();
    assert_eq!(told(world.beat(named("i", beats("a", 4)))), has(4, &[("t", &[0])]));
    assert_eq!(world.state_of("a"), MemberState::UnrevokedPartitions);
    world.beat(named("i", beats("a", -2))).unwrap();
    assert_eq!(told(world.beat(named("j", beats("d", 5)))), has(5, &[("t", &[1])]));
    assert_eq!(told(world.beat(named("i", joins("e", &["t"])))), has(5, &[("t", &[0])]));
    world.pass(REBALANCE_MS);
}

const REBALANCE_MS: u64 = 10_000;

#[test]
fn only_the_member_that_has_an_instance_speaks_for_it() {
    let mut world = pair();
    assert_eq!(world.beat(named("i", beats("b", 3))), Err(ConsumerHeartbeatError::FencedInstance));
    assert_eq!(world.beat(named("i", beats("b", -2))), Err(ConsumerHeartbeatError::FencedInstance));
    assert_eq!(world.beat(named("i", beats("b", -1))), Err(ConsumerHeartbeatError::FencedInstance));
    assert_eq!(world.beat(named("j", beats("b", 3))), Err(ConsumerHeartbeatError::UnknownMember));
    assert_eq!(world.beat(named("j", beats("b", -2))), Err(ConsumerHeartbeatError::UnknownMember));
}

#[test]
fn a_full_group_lets_static_members_come_back() {
    let mut world = pair();
    world.groups.settings.consumer.members_max = 2;
    world.beat(named("i", beats("a", -2))).unwrap();
    assert_eq!(world.beat(joins("c", &["t"])), Err(ConsumerHeartbeatError::GroupIsFull));
    world.beat(named("i", joins("c", &["t"]))).unwrap();
}
