//! Replies wait for their records, decisions see what is proposed, and refused ones never happened.

use alloc::{vec, vec::Vec};

use protocol::{Offset, Str, TopicId};

use super::{Proposals, recover};
use crate::metadata::{
    CreateTopics, Decision, WallMillis, create_topics::CreateTopicError,
    create_topics::CreateTopicsReply, tests::started,
};

fn create(proposals: &Proposals<&'static str>, name: &str, id: u8) -> Decision<CreateTopicsReply> {
    let command = CreateTopics::automatic([(Str::from(name), TopicId([id; 16]))]);
    proposals.decide(WallMillis(5), &command).unwrap()
}

fn released(proposals: &mut Proposals<&'static str>) -> Vec<&'static str> {
    let mut replies = Vec::new();
    while let Some(committed) = proposals.take_committed() {
        proposals.invariants();
        replies.push(committed.reply);
    }
    replies
}

#[test]
fn a_reply_waits_until_its_records_are_committed() {
    let mut proposals = Proposals::new(started(2), Offset(10));
    let decision = create(&proposals, "a", 1);
    let offsets = proposals.on_propose(decision.records, "a");
    assert_eq!(offsets, Offset(10)..Offset(12));
    assert_eq!(released(&mut proposals), Vec::<&str>::new());
    assert!(proposals.proposed().image().topic_by_name("a").is_some());
    assert!(proposals.committed().image().topic_by_name("a").is_none());

    proposals.on_committed(Offset(11));
    assert_eq!(released(&mut proposals), Vec::<&str>::new(), "half a batch is no batch");
    proposals.on_committed(Offset(12));
    assert_eq!(released(&mut proposals), vec!["a"]);
    assert_eq!(proposals.committed().image(), proposals.proposed().image());
}

#[test]
fn a_decision_sees_what_is_proposed_and_its_refusal_waits_for_it() {
    let mut proposals = Proposals::new(started(2), Offset(0));
    let first = create(&proposals, "a", 1);
    proposals.on_propose(first.records, "created");
    let second = create(&proposals, "a", 2);
    assert!(matches!(second.reply[0].1, Err(CreateTopicError::AlreadyExists { .. })));
    assert_eq!(second.records, vec![]);
    proposals.on_propose(second.records, "exists");
    assert_eq!(released(&mut proposals), Vec::<&str>::new());
    proposals.on_committed(Offset(2));
    assert_eq!(released(&mut proposals), vec!["created", "exists"]);
}

#[test]
fn a_decision_without_records_is_released_at_once_when_nothing_waits() {
    let mut proposals = Proposals::new(started(2), Offset(7));
    assert_eq!(proposals.on_propose(vec![], "nothing"), Offset(7)..Offset(7));
    assert_eq!(released(&mut proposals), vec!["nothing"]);
}

#[test]
fn refused_records_and_all_after_them_never_happened() {
    let mut proposals = Proposals::new(started(2), Offset(0));
    let a = create(&proposals, "a", 1);
    proposals.on_propose(a.records, "a");
    proposals.on_propose(vec![], "after a");
    let b = create(&proposals, "b", 2);
    let b = proposals.on_propose(b.records, "b");
    let c = create(&proposals, "c", 3);
    proposals.on_propose(c.records, "c");
    assert_eq!(proposals.on_refused(b.start), vec!["b", "c"]);
    proposals.invariants();
    assert!(proposals.proposed().image().topic_by_name("a").is_some());
    assert!(proposals.proposed().image().topic_by_name("b").is_none());
    let b = create(&proposals, "b", 4);
    assert_eq!(proposals.on_propose(b.records, "b again"), Offset(2)..Offset(4));
    proposals.on_committed(Offset(4));
    assert_eq!(released(&mut proposals), vec!["a", "after a", "b again"]);
}

#[test]
fn resigning_keeps_what_is_committed_and_returns_the_rest() {
    let mut proposals = Proposals::new(started(2), Offset(0));
    let a = create(&proposals, "a", 1);
    proposals.on_propose(a.records, "a");
    let (committed, replies) = proposals.resign();
    assert_eq!(replies, vec!["a"]);
    assert_eq!(committed.image(), started(2).image());
}

#[test]
fn a_log_recovers_to_the_state_that_was_committed() {
    let live = started(3);
    let records: Vec<_> = live.snapshot_records().collect();
    let recovered = recover(crate::metadata::tests::empty(), &records).unwrap();
    assert_eq!(recovered.image(), live.image());
}
