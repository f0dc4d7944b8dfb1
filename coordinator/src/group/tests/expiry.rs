//! What goes by itself, and when.

use alloc::{format, rc::Rc, vec};

use protocol::{Str, TopicId};

use super::offsets::commit;
use super::{SESSION_MS, World, bytes, join};
use crate::{
    group::{
        ClusterTopic, ClusterTopics, Due, GroupSettings,
        classic::{ClassicState, join::JoinGroup, leave::Leaving},
        commit::OffsetCommit,
        forget::Forgetting,
    },
    limits::{EXPIRY_VISITS_MAX, FORGOTTEN_OFFSETS_MAX},
    metadata::WallMillis,
};

const RETENTION_MS: u64 = 1_000_000;
const CHECK_MS: u64 = 1_000;

fn world() -> World {
    let mut world = World::with(GroupSettings {
        offsets_retention_ms: i64::try_from(RETENTION_MS).unwrap(),
        offsets_retention_check_ms: CHECK_MS,
        ..GroupSettings::default()
    });
    world.groups.on_loaded(world.now());
    world
}

impl World {
    /// Time passes, and the member stays alive.
    fn pass_alive(&mut self, member: &Str, ms: u64) {
        let step = u64::try_from(SESSION_MS / 2).unwrap();
        for _ in 0..ms / step {
            self.pass(step);
            let _ = self.heartbeat(member, 1);
        }
        self.pass(ms % step);
    }
}

#[test]
fn offsets_alone_go_when_their_own_commit_is_old() {
    let mut world = world();
    let _ = world.commit(commit("t", 0, 5));
    world.pass(RETENTION_MS / 2);
    let _ = world.commit(commit("t", 1, 6));
    world.pass(RETENTION_MS / 2 - 1);
    assert_eq!((world.position("t", 0), world.position("t", 1)), (Some(5), Some(6)));
    world.pass(CHECK_MS);
    assert_eq!((world.position("t", 0), world.position("t", 1)), (None, Some(6)));
    world.pass(RETENTION_MS / 2);
    assert!(!world.groups.contains("g"));
    assert!(!world.restarted().contains("g"));
}

#[test]
fn an_empty_groups_offsets_go_together_long_after_it_became_empty() {
    let mut world = world();
    let _ = world.commit(commit("t", 0, 5));
    let member = world.stable_consumer(&["t"]);
    world.pass_alive(&member, 2 * RETENTION_MS);
    assert_eq!(world.position("t", 0), Some(5), "somebody reads the topic");
    world.pass(u64::try_from(SESSION_MS).unwrap());
    assert_eq!(world.group().state(), ClassicState::Empty);
    world.pass(RETENTION_MS - CHECK_MS - u64::try_from(SESSION_MS).unwrap());
    // A tool's commit does not keep the group.
    let _ = world.commit(commit("u", 0, 6));
    assert_eq!(world.position("t", 0), Some(5));
    world.pass(u64::try_from(SESSION_MS).unwrap() + 2 * CHECK_MS);
    assert!(!world.groups.contains("g"), "the group went with them");
    assert!(!world.restarted().contains("g"));
}

#[test]
fn stable_consumers_lose_offsets_of_topics_that_they_read_no_more() {
    let mut world = world();
    let _ = world.commit(commit("t", 0, 5));
    let _ = world.commit(commit("u", 0, 6));
    let member = world.stable_consumer(&["t"]);
    world.pass_alive(&member, RETENTION_MS / 2);
    assert_eq!(world.position("u", 0), Some(6));
    world.pass_alive(&member, RETENTION_MS);
    assert_eq!((world.position("t", 0), world.position("u", 0)), (Some(5), None));
}

#[test]
fn members_that_do_not_say_what_they_read_lose_nothing() {
    for (protocol_type, metadata) in [("consumer", "x"), ("connect", "x")] {
        let mut world = world();
        let _ = world.commit(commit("t", 0, 5));
        let joins = world.join_as(JoinGroup {
            protocol_type: Str::from(protocol_type),
            protocols: vec![(Str::from("p"), bytes(metadata))],
            knows_given_ids: false,
            ..join("a", "")
        });
        world.pass(super::DELAY_MS);
        let member = world.joined(joins).member;
        let assigned = world.sync(&member, 1, &[(&member, "all")]);
        world.synced(assigned);
        world.pass_alive(&member, 2 * RETENTION_MS);
        assert_eq!(world.position("t", 0), Some(5), "{protocol_type}");
    }
}

#[test]
fn a_commit_that_named_its_retention_goes_by_it() {
    let mut world = world();
    let _ = world.commit(OffsetCommit { retention_ms: Some(5_000), ..commit("t", 0, 5) });
    let long = i64::try_from(2 * RETENTION_MS).unwrap();
    let _ = world.commit(OffsetCommit { retention_ms: Some(long), ..commit("t", 1, 6) });
    world.pass(5_000 - 1);
    assert_eq!(world.position("t", 0), Some(5));
    world.pass(CHECK_MS);
    assert_eq!(world.position("t", 0), None);
    world.pass(RETENTION_MS);
    assert_eq!(world.position("t", 1), Some(6));
}

#[test]
fn an_empty_group_without_offsets_goes_at_once_and_one_that_somebody_joins_does_not() {
    let mut world = world();
    world.stable_consumer(&["t"]);
    world.pass(u64::try_from(SESSION_MS).unwrap() - CHECK_MS);
    assert_eq!(world.group().state(), ClassicState::Stable);
    world.pass(2 * CHECK_MS);
    assert!(!world.groups.contains("g"));

    let (a, b) = world.stable_pair();
    let leaving = |member| Leaving { member, instance: None };
    assert_eq!(world.leave(vec![leaving(a), leaving(b)]), [Ok(()), Ok(())]);
    world.join_as(join("c", ""));
    world.pass(3 * CHECK_MS);
    assert_eq!(world.group().generation(), 2, "who was given an id may come");
    world.pass(u64::try_from(SESSION_MS).unwrap() + CHECK_MS);
    assert!(!world.groups.contains("g"));
}

#[test]
fn a_clock_that_steps_back_takes_nothing_away() {
    let mut world = world();
    let late = WallMillis(world.now().wall.0 + i64::try_from(10 * RETENTION_MS).unwrap());
    let mut from_the_future = commit("t", 0, 5);
    from_the_future.offsets[0].committed_at = Some(late);
    let _ = world.commit(from_the_future);
    world.pass(2 * RETENTION_MS);
    assert_eq!(world.position("t", 0), Some(5));
}

#[test]
fn the_search_goes_on_where_it_stopped_until_all_is_seen() {
    let mut world = world();
    let each = 100;
    let groups = 3 * EXPIRY_VISITS_MAX / each;
    for group in 0..groups {
        let mut request = commit("t", 0, 5);
        let template = request.offsets[0].clone();
        request.offsets = (0..i32::try_from(each).unwrap())
            .map(|partition| {
                let mut offset = template.clone();
                offset.partition.0 = partition;
                offset
            })
            .collect();
        request.group = Str::from(format!("g{group:05}"));
        let _ = world.commit(request);
    }
    world.now_ms += RETENTION_MS;
    let mut steps = 0;
    while world.groups.deadline_ms().is_some_and(|at| at <= world.now_ms) {
        let before = world.log.len();
        world.run(&Due);
        assert!(world.log.len() - before <= crate::limits::RECORDS_PER_DECISION_MAX);
        steps += 1;
    }
    assert_eq!(world.groups.iter().count(), 0);
    assert!(steps > 3, "in {steps} steps");
}

#[test]
fn a_deleted_topic_is_forgotten_by_every_group() {
    let mut world = world();
    for group in ["f", "g", "h"] {
        for topic in ["t", "u"] {
            let _ = world.commit(OffsetCommit { group: Str::from(group), ..commit(topic, 0, 5) });
        }
    }
    let _ = world.commit(commit("t", 1, 6));
    let of = |name: &str, id: u8| {
        let topic = ClusterTopic { id: TopicId([id; 16]), partition_count: 2 };
        (Str::from(name), topic)
    };
    let topics = |version, topics: vec::Vec<_>| Rc::new(ClusterTopics::new(version, topics));
    world.groups.set_topics(topics(1, vec![of("u", 1)]));
    assert_eq!(world.forget(Forgetting::default()), None);
    for group in ["f", "g", "h"] {
        let left = world.groups.offsets_of(group).unwrap();
        assert_eq!(left.topics().collect::<vec::Vec<_>>(), ["u"], "{group}");
    }
    let before = world.log.len();
    assert_eq!(world.forget(Forgetting::default()), None);
    assert_eq!(world.log.len(), before, "nothing is left to forget");

    // Deleted and created anew: who committed with the new one's id goes on.
    let mut known = commit("u", 1, 7);
    known.offsets[0].topic_id = TopicId([2; 16]);
    let _ = world.commit(known);
    let mut other = commit("u", 2, 7);
    other.offsets[0].topic_id = TopicId([1; 16]);
    let _ = world.commit(other);
    world.groups.set_topics(topics(2, vec![of("u", 2)]));
    assert_eq!(world.forget(Forgetting::default().and(&Str::from("u"))), None);
    assert_eq!(world.groups.iter().count(), 1);
    let left = world.groups.offsets_of("g").unwrap();
    assert_eq!(left.iter().map(|(_, partition, _)| partition.0).collect::<vec::Vec<_>>(), [1]);
}

#[test]
fn very_many_offsets_are_forgotten_in_steps() {
    let mut world = world();
    let count = i32::try_from(FORGOTTEN_OFFSETS_MAX).unwrap() + 1;
    for partition in 0..count {
        let _ = world.commit(commit("t", partition, 5));
    }
    let rest = world.forget(Forgetting::default()).expect("it is more than one step");
    assert_eq!(world.groups.offsets_of("g").unwrap().len(), 1);
    assert_eq!(world.forget(rest), None);
    assert!(!world.groups.contains("g"));
}
