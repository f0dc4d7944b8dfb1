//! Subscriptions by regular expressions.

use alloc::{format, vec, vec::Vec};

use protocol::Str;

use super::{ConsumerHeartbeat, World, beats, has, joins, owns, told};
use crate::{
    group::answer::ConsumerHeartbeatError,
    limits::{GROUP_REGEXES_MAX, REGEX_REFRESH_MS_MIN},
};

fn matching(regex: &str, request: ConsumerHeartbeat) -> ConsumerHeartbeat {
    ConsumerHeartbeat { regex: Some(Str::from(regex)), ..request }
}

fn resolved(world: &World) -> Vec<(&str, Vec<&str>)> {
    let regexes = world.consumers().regexes();
    regexes
        .map(|(regex, of)| (&**regex, of.topics.iter().map(|topic| &**topic).collect()))
        .collect()
}

#[test]
fn a_regular_expression_stands_for_the_topics_that_match_all_of_it() {
    let mut world = World::of_consumers(&[("ab", 1), ("abc", 2), ("xab", 1), ("z", 1)]);
    let joined = told(world.beat(matching("a.*", joins("a", &["z"]))));
    assert_eq!(joined, has(2, &[("ab", &[0]), ("abc", &[0, 1]), ("z", &[0])]));
    assert_eq!(resolved(&world), [("a.*", vec!["ab", "abc"])]);
    assert!(
        world.consumers().is_subscribed_to("abc") && !world.consumers().is_subscribed_to("xab")
    );
}

#[test]
fn what_is_no_regular_expression_is_refused_and_nothing_changes() {
    let mut world = World::of_consumers(&[("ab", 1)]);
    let refused = Err(ConsumerHeartbeatError::InvalidRegularExpression);
    assert_eq!(world.beat(matching("(", joins("a", &[]))), refused);
    assert!(!world.groups.contains("g"));
    world.beat(joins("a", &["ab"])).unwrap();
    let written = world.log.len();
    assert_eq!(world.beat(matching("[", beats("a", 2))), refused);
    assert_eq!(world.log.len(), written);
    assert_eq!(told(world.beat(beats("a", 2))), (2, None));
}

#[test]
fn it_lives_as_long_as_somebody_subscribes_to_it() {
    let mut world = World::of_consumers(&[("ab", 2), ("x", 2)]);
    let request = |member| ConsumerHeartbeat { topics: None, ..matching("a.", joins(member, &[])) };
    assert_eq!(told(world.beat(request("a"))), has(2, &[("ab", &[0, 1])]));
    world.beat(request("b")).unwrap();
    world.beat(matching("x", beats("a", 2))).unwrap();
    assert_eq!(resolved(&world), [("a.", vec!["ab"]), ("x", vec!["x"])]);
    assert_eq!(told(world.beat(owns("a", 2, &[]))), has(4, &[("x", &[0, 1])]));
    world.beat(beats("b", -1)).unwrap();
    assert_eq!(resolved(&world), [("x", vec!["x"])]);
    // None any more, and a name in its place.
    let beat =
        ConsumerHeartbeat { topics: Some(vec![Str::from("ab")]), ..matching("", beats("a", 4)) };
    world.beat(beat).unwrap();
    assert_eq!(resolved(&world), []);
    assert_eq!(told(world.beat(owns("a", 4, &[]))), has(6, &[("ab", &[0, 1])]));
}

#[test]
fn topics_that_come_and_go_are_found_but_not_all_the_time() {
    let mut world = World::of_consumers(&[("ab", 1)]);
    assert_eq!(told(world.beat(matching("a.", joins("a", &[])))), has(2, &[("ab", &[0])]));
    world.set_topics(&[("ab", 1), ("ac", 1)]);
    assert_eq!(told(world.beat(beats("a", 2))), (2, None), "it was looked up just now");
    world.pass(REGEX_REFRESH_MS_MIN);
    assert_eq!(told(world.beat(beats("a", 2))), has(3, &[("ab", &[0]), ("ac", &[0])]));
    world.set_topics(&[("ac", 1), ("x", 1)]);
    // A topic that is gone is nobody's, whatever the expression was found to match.
    assert_eq!(told(world.beat(beats("a", 3))), has(3, &[("ac", &[0])]));
    world.pass(REGEX_REFRESH_MS_MIN);
    assert_eq!(told(world.beat(owns("a", 3, &[("ac", &[0])]))), (5, None));
    assert_eq!(resolved(&world), [("a.", vec!["ac"])]);
}

#[test]
fn a_group_has_a_bounded_number_of_them() {
    let mut world = World::of_consumers(&[("ab", 1)]);
    for at in 0..GROUP_REGEXES_MAX {
        world.beat(matching(&format!("a{at}"), joins(&format!("m{at}"), &[]))).unwrap();
    }
    let refused = Err(ConsumerHeartbeatError::GroupIsFull);
    assert_eq!(world.beat(matching("one more", joins("a", &[]))), refused);
    world.beat(matching("a7", joins("a", &[]))).unwrap();
}
