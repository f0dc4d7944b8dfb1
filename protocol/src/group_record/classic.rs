//! Committed offsets, and groups of the classic protocol.

use bytes::Bytes;

use crate::ids::TopicId;
use crate::string::Str;
use crate::wire::messages;

messages! {
    OffsetCommitKey {
        group_id: Str, 0..;
        topic: Str, 0..;
        partition: i32, 0..;
    }

    OffsetCommitValue {
        offset: i64, 0..;
        leader_epoch: i32, 3.., default -1;
        metadata: Str, 0..;
        commit_timestamp: i64, 0..;
        /// For a commit that named its retention (OffsetCommit 2 to 4), else −1.
        expire_timestamp: i64, 1..=1, default -1;
        /// Of the topic that was meant, where it is known: one that is created anew under the name has another.
        topic_id: TopicId, 4.., tag 0;
    }

    GroupMetadataKey {
        group_id: Str, 0..;
    }

    /// A group after a rebalance, or without members.
    GroupMetadataValue {
        protocol_type: Str, 0..;
        generation: i32, 0..;
        protocol: Option<Str>, 0.., null 0..;
        leader: Option<Str>, 0.., null 0..;
        current_state_timestamp: i64, 2.., default -1;
        members: Vec<MemberMetadata>, 0..;
    }

    MemberMetadata {
        member_id: Str, 0..;
        group_instance_id: Option<Str>, 3.., null 3..;
        client_id: Str, 0..;
        client_host: Str, 0..;
        /// −1 in version 0: the session timeout stands for it.
        rebalance_timeout: i32, 1.., default -1;
        session_timeout: i32, 0..;
        /// The member's metadata for the protocol that was chosen.
        subscription: Bytes, 0..;
        assignment: Bytes, 0..;
    }
}

impl OffsetCommitValue {
    /// The version that can say what this value holds: 1 alone has an expiry (and neither leader epoch nor
    /// topic id), 4 alone has a topic id. Kafka wrote 3 until topic ids came, and 4.3 writes 4.
    pub(super) fn written_in(&self) -> i16 {
        if self.expire_timestamp != -1 {
            1
        } else if self.topic_id == TopicId::NONE {
            3
        } else {
            4
        }
    }
}
