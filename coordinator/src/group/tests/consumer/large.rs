//! Groups as large as they may be, and what is larger.

use alloc::{format, vec::Vec};

use protocol::Str;

use super::{ConsumerHeartbeat, World, beats, joins, listed, owns, told};
use crate::{
    group::{
        answer::ConsumerHeartbeatError, consumer::partitions::PartitionSet, describe::GroupState,
    },
    limits::{CONSUMER_MEMBER_BYTES_MAX, DECISION_BYTES_MAX},
};

#[test]
fn a_thousand_members_share_a_thousand_partitions() {
    let mut world = World::of_consumers(&[("t", 1_000)]);
    // Its invariants are asserted at the end: they look at every member.
    world.is_sound = false;
    world.groups.settings.consumer.assignment_interval.ms = 1_000;
    let names: Vec<_> = (0..1_000).map(|number| format!("m{number:03}")).collect();
    for name in &names {
        world.beat(joins(name, &["t"])).unwrap();
    }
    world.pass(1_000);
    assert_eq!(world.consumers().assignment_epoch(), 1_001);
    let mut has = alloc::collections::BTreeMap::new();
    let mut rounds = 0;
    while world.consumers().state() != GroupState::Stable {
        rounds += 1;
        for name in &names {
            let member = world.consumers().member(name).unwrap().current();
            let owned: Option<&Vec<_>> = has.get(name);
            let request = ConsumerHeartbeat { owned: owned.cloned(), ..beats(name, member.epoch) };
            let (_, assignment) = told(world.beat(request));
            if let Some(assignment) = assignment {
                has.insert(name.clone(), assignment);
            }
        }
        assert!(rounds < 4, "each gives back, then gets");
    }
    let sizes = world.consumers().members().map(|(_, member)| member.current().assigned.len());
    assert!(sizes.into_iter().all(|size| size == 1));
    world.groups.invariants();
}

#[test]
fn one_member_has_ten_thousand_partitions_and_gives_half_of_them_back() {
    let mut world = World::of_consumers(&[("t", 10_000)]);
    let (_, all) = told(world.beat(joins("a", &["t"])));
    assert_eq!(PartitionSet::new(all.unwrap()).len(), 10_000);
    world.beat(joins("b", &["t"])).unwrap();
    let (_, half) = told(world.beat(beats("a", 2)));
    let half = half.unwrap();
    let request = ConsumerHeartbeat { owned: Some(half.clone()), ..owns("a", 2, &[]) };
    assert_eq!(told(world.beat(request)), (3, None));
    let (_, others) = told(world.beat(beats("b", 3)));
    assert_eq!(PartitionSet::new(half).len() + PartitionSet::new(others.unwrap()).len(), 10_000);
}

#[test]
fn who_says_too_much_is_turned_away() {
    let mut world = World::of_consumers(&[("t", 1)]);
    let long = "x".repeat(CONSUMER_MEMBER_BYTES_MAX);
    let full = Err(ConsumerHeartbeatError::GroupIsFull);
    assert_eq!(world.beat(joins("a", &[&long])), full);
    assert!(!world.groups.contains("g"));
    world.beat(joins("a", &["t"])).unwrap();
    let written = world.log.len();
    let request = ConsumerHeartbeat { rack: Some(Str::from(long)), ..beats("a", 2) };
    assert_eq!(world.beat(request), full);
    assert_eq!(world.log.len(), written);
    let many = (0..40).map(|number| format!("m{number}"));
    let most = "x".repeat(CONSUMER_MEMBER_BYTES_MAX - 100);
    let results: Vec<_> = many.map(|name| world.beat(joins(&name, &[&most])).is_ok()).collect();
    assert_eq!(results.iter().filter(|is_in| **is_in).count(), 32, "32 MiB in all");
}

#[test]
fn an_assignment_that_fits_no_batch_is_refused_and_whoever_leaves_can() {
    let mut world = World::of_consumers(&[("t", 1)]);
    world.beat(joins("a", &["t"])).unwrap();
    let partitions = i32::try_from(DECISION_BYTES_MAX / 8).unwrap();
    world.set_topics(&[("t", partitions)]);
    let written = world.log.len();
    assert_eq!(world.beat(beats("a", 2)), Err(ConsumerHeartbeatError::GroupTooLarge));
    assert_eq!(world.log.len(), written);
    world.set_topics(&[("t", 2)]);
    assert_eq!(told(world.beat(beats("a", 2))), (3, Some(listed(&[("t", &[0, 1])]))));
    world.beat(beats("a", -1)).unwrap();
}
