//! What a change of the cluster's topics makes of a group.

use super::{World, beats, has, joins, owns, pair, told};
use crate::group::consumer::MemberState;

#[test]
fn a_topic_that_grows_is_seen_at_the_next_heartbeat() {
    let mut world = pair();
    world.set_topics(&[("t", 6), ("u", 2)]);
    assert_eq!(told(world.beat(beats("b", 3))), has(4, &[("t", &[2, 3, 5])]));
    assert_eq!(told(world.beat(beats("a", 3))), has(4, &[("t", &[0, 1, 4])]));
}

#[test]
fn other_topics_change_nothing() {
    let mut world = pair();
    let written = world.log.len();
    world.set_topics(&[("t", 4), ("v", 2)]);
    assert_eq!(told(world.beat(beats("a", 3))), (3, None));
    assert_eq!(world.log.len(), written);
    assert_eq!(world.consumers().epoch(), 3);
}

#[test]
fn a_topic_that_was_deleted_is_given_back_and_comes_back_with_another_id() {
    let mut world = pair();
    world.set_topics(&[("u", 2)]);
    assert_eq!(told(world.beat(beats("a", 3))), has(3, &[]));
    assert_eq!(world.state_of("a"), MemberState::UnrevokedPartitions);
    assert_eq!(told(world.beat(owns("a", 3, &[]))), (4, None));
    world.set_topics(&[("u", 2), ("t", 4)]);
    assert_eq!(told(world.beat(beats("a", 4))), has(5, &[("t", &[0, 1])]));
    // b never heard of it: what it has is there again, and its own.
    assert_eq!(told(world.beat(beats("b", 3))), (5, None));
}

#[test]
fn a_topic_that_is_created_later_is_read_then() {
    let mut world = World::of_consumers(&[]);
    assert_eq!(told(world.beat(joins("a", &["t"]))), has(2, &[]));
    world.set_topics(&[("t", 2)]);
    assert_eq!(told(world.beat(beats("a", 2))), has(3, &[("t", &[0, 1])]));
}
