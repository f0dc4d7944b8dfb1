//! What a group keeps has memory of its own: a member would otherwise pin the frame of its request.

use alloc::vec;

use bytes::Bytes;
use protocol::{Offset, PartitionIndex, Str, consumer_protocol::ConsumerProtocolSubscription};

use super::{
    World,
    consumer::{beats, joins},
    join,
};
use crate::group::{
    Answer, Token,
    classic::{join::JoinGroup, sync::SyncGroup},
    commit::{OffsetCommit, OffsetToCommit},
    consumer::request::ConsumerHeartbeat,
};

/// A request as it comes: all its strings are slices of one frame.
struct Frame(Bytes);

impl Frame {
    fn new() -> Self {
        let text = "|g||consumer||range||member||host||topic||note||assigned|";
        Self(Bytes::from(text.as_bytes().to_vec()))
    }

    fn bytes(&self, text: &str) -> Bytes {
        let at = self.0.windows(text.len()).position(|window| window == text.as_bytes()).unwrap();
        self.0.slice(at..at + text.len())
    }

    fn text(&self, text: &str) -> Str {
        Str::from_utf8(self.bytes(text)).unwrap()
    }
}

#[test]
fn members_assignments_and_offsets_pin_no_request() {
    let mut world = World::new();
    let frame = Frame::new();
    let joins = world.join_as(JoinGroup {
        group: frame.text("g"),
        instance: Some(frame.text("member")),
        client_id: frame.text("member"),
        client_host: frame.text("host"),
        protocol_type: frame.text("consumer"),
        protocols: vec![(frame.text("range"), frame.bytes("note"))],
        ..join("a", "")
    });
    world.pass(super::DELAY_MS);
    let member = world.joined(joins).member;
    assert!(frame.0.is_unique(), "a member does not");

    let token = world.token();
    world.run(&SyncGroup {
        token,
        group: frame.text("g"),
        member: member.clone(),
        instance: None,
        generation: 1,
        protocol_type: None,
        protocol: None,
        assignments: vec![(member, frame.bytes("assigned"))],
    });
    assert_eq!(world.synced(token), "assigned");
    assert!(frame.0.is_unique(), "an assignment does not");

    let offset = OffsetToCommit {
        topic: frame.text("topic"),
        metadata: frame.text("note"),
        partition: PartitionIndex(0),
        offset: Offset(5),
        ..OffsetToCommit::default()
    };
    let commit = OffsetCommit {
        token: Token(0),
        group: frame.text("host"),
        member: Str::from(""),
        instance: None,
        generation: None,
        retention_ms: None,
        knows_member_epochs: false,
        offsets: vec![offset],
    };
    assert_eq!(world.commit(commit), Ok(vec![Ok(())]));
    world.log.clear();
    assert!(frame.0.is_unique(), "an offset does not");
}

#[test]
fn members_of_the_consumer_protocol_pin_no_request() {
    let mut world = World::of_consumers(&[("topic", 2)]);
    let frame = Frame::new();
    let text = |text: &str| frame.text(text);
    let request = ConsumerHeartbeat {
        group: text("g"),
        member: text("member"),
        instance: Some(text("note")),
        rack: Some(text("host")),
        client_id: text("member"),
        client_host: text("host"),
        topics: Some(vec![text("topic")]),
        regex: Some(text("assigned")),
        assignor: Some(text("range")),
        ..joins("member", &[])
    };
    assert_eq!(world.beat(request).unwrap().member_epoch, 2);
    world.answers.clear();
    assert!(frame.0.is_unique(), "a new member does not");
    let request = ConsumerHeartbeat {
        group: text("g"),
        member: text("member"),
        client_id: text("host"),
        client_host: text("note"),
        rack: Some(text("member")),
        regex: Some(text("note")),
        ..beats("member", 2)
    };
    assert_eq!(world.beat(request).unwrap().member_epoch, 3);
    assert!(frame.0.is_unique(), "one that says something else does not");

    let said =
        ConsumerProtocolSubscription { topics: vec![Str::from("topic")], ..Default::default() };
    let said = Frame(said.to_bytes(0).unwrap());
    let token = world.join_as(JoinGroup {
        group: text("g"),
        instance: Some(text("host")),
        client_id: text("member"),
        client_host: text("host"),
        protocols: vec![(text("range"), said.0.slice(..))],
        ..join("a", "")
    });
    assert!(matches!(world.answer(token), Some(Answer::Join(Ok(_)))));
    assert!(frame.0.is_unique() && said.0.is_unique(), "one of the classic protocol does not");
}
