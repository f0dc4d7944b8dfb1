//! What a group keeps has memory of its own: a member would otherwise pin the frame of its request.

use alloc::vec;

use bytes::Bytes;
use protocol::{Offset, PartitionIndex, Str};

use super::{World, join};
use crate::group::{
    Token,
    classic::{join::JoinGroup, sync::SyncGroup},
    commit::{OffsetCommit, OffsetToCommit},
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
