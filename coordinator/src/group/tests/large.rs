//! What is too large is refused before it is decided, and bounds what a group keeps.

use alloc::{format, string::String, vec, vec::Vec};

use bytes::Bytes;
use protocol::{Offset, PartitionIndex, Str};

use super::{DELAY_MS, World, bytes, join, offsets::commit};
use crate::{
    group::{
        Answer,
        answer::{CommitError, HeartbeatError, JoinError, SyncError},
        classic::{ClassicState, join::JoinGroup},
        commit::{OffsetCommit, OffsetToCommit},
        forget::Forgetting,
    },
    limits::{DECISION_BYTES_MAX, GROUP_RECORD_BYTES_MAX, GROUP_SAID_BYTES_MAX},
};

fn much(bytes: usize) -> Bytes {
    Bytes::from(vec![7; bytes])
}

fn says(join: JoinGroup, bytes: usize) -> JoinGroup {
    JoinGroup { protocols: vec![(Str::from("range"), much(bytes))], knows_given_ids: false, ..join }
}

#[test]
fn a_commit_of_more_bytes_than_a_batch_takes_commits_nothing() {
    let mut world = World::new();
    let each = |partition| OffsetToCommit {
        topic: Str::from("t"),
        partition: PartitionIndex(partition),
        offset: Offset(1),
        metadata: Str::from("x".repeat(4_096)),
        ..OffsetToCommit::default()
    };
    let count = |bytes: usize| i32::try_from(bytes / 4_096).unwrap();
    let offsets = (0..=count(DECISION_BYTES_MAX)).map(each).collect();
    let answered = world.commit(OffsetCommit { offsets, ..commit("", 0, 0) });
    assert_eq!(answered, Err(CommitError::TooLarge));
    assert!(!world.groups.contains("g"));
    let offsets = (0..count(DECISION_BYTES_MAX / 2)).map(each).collect();
    assert!(world.commit(OffsetCommit { offsets, ..commit("", 0, 0) }).is_ok());
}

#[test]
fn tombstones_fit_a_batch_whatever_the_groups_name_is() {
    let mut world = World::new();
    let name = |at: usize| Str::from(format!("{at}{}", "g".repeat(30_000)));
    for at in 0..200 {
        let _ = world.commit(OffsetCommit { group: name(at), ..commit("t", 0, 1) });
    }
    let mut decisions = 0;
    let mut left = Some(Forgetting::default());
    while let Some(forgetting) = left {
        let before = world.log.len();
        left = world.forget(forgetting);
        let bytes: usize = world.log[before..].iter().map(|record| record.bytes_max()).sum();
        assert!(bytes <= DECISION_BYTES_MAX);
        decisions += 1;
    }
    assert_eq!((decisions, world.groups.iter().count()), (2, 0));
}

#[test]
fn assignments_that_fit_no_record_are_refused_and_the_group_tries_again() {
    let mut world = World::new();
    let (a, a_joins) = world.join("a");
    let (b, b_joins) = world.join("b");
    world.pass(2 * DELAY_MS);
    let (_, _) = (world.joined(a_joins), world.joined(b_joins));
    let waiting = world.sync(&b, 1, &[]);
    let huge = String::from_utf8(vec![b'x'; GROUP_RECORD_BYTES_MAX]).unwrap();
    let leading = world.sync(&a, 1, &[(&a, &huge), (&b, "for b")]);
    let refused = Some(Answer::Sync(Err(SyncError::GroupTooLarge)));
    assert_eq!([world.answer(leading), world.answer(waiting)], [refused.clone(), refused]);
    assert_eq!(world.heartbeat(&b, 1), Err(HeartbeatError::RebalanceInProgress));
    assert_eq!(world.log, []);

    let joins = [world.join_as(join("a", &a)), world.join_as(join("b", &b))];
    let generations = joins.map(|token| world.joined(token).generation);
    assert_eq!(generations, [2, 2]);
    let leading = world.sync(&a, 2, &[(&a, "for a")]);
    assert_eq!(world.synced(leading), bytes("for a"));
}

#[test]
fn who_says_too_much_is_turned_away() {
    let mut world = World::new();
    let half = GROUP_SAID_BYTES_MAX / 2;
    let joins = world.join_as(says(join("a", ""), half));
    let full = Some(Answer::Join(Err(JoinError::GroupIsFull)));
    let refused = world.join_as(says(join("b", ""), half));
    assert_eq!(world.answer(refused), full);
    let other = world.join_as(says(join("c", ""), 10));
    world.pass(2 * DELAY_MS);
    let a = world.joined(joins).member;
    let c = world.joined(other).member;
    let leading = world.sync(&a, 1, &[(&a, "all")]);
    assert_eq!(world.answer(leading), Some(Answer::Sync(Err(SyncError::GroupTooLarge))));
    assert!(matches!(world.group().state(), ClassicState::PreparingRebalance { .. }));

    let waiting = world.join_as(says(join("c", &c), 11));
    let refused = world.join_as(says(join("a", &a), GROUP_SAID_BYTES_MAX));
    assert_eq!(world.answer(refused), full);
    assert_eq!(world.joined(waiting).generation, 2, "nobody waits for it");
}

#[test]
fn a_stable_member_that_says_too_much_leaves_a_rebalance_behind() {
    let mut world = World::new();
    let (a, b) = world.stable_pair();
    let refused = world.join_as(says(join("b", &b), GROUP_SAID_BYTES_MAX + 1));
    assert_eq!(world.answer(refused), Some(Answer::Join(Err(JoinError::GroupIsFull))));
    assert_eq!(world.heartbeat(&a, 1), Err(HeartbeatError::RebalanceInProgress));
    let again = world.join_as(join("a", &a));
    let seen: Vec<Str> = world.joined(again).members.into_iter().map(|of| of.member).collect();
    assert_eq!(seen, [a]);
}
