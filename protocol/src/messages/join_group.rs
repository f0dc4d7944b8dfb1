//! JoinGroup: a member of the classic protocol enters a rebalance; the answer makes one of them the leader.

use bytes::Bytes;

use crate::string::Str;
use crate::wire::messages;

messages! {
    JoinGroupRequest {
        group_id: Str, 0..;
        session_timeout_ms: i32, 0..;
        /// Version 0 has none: the session timeout stands for it.
        rebalance_timeout_ms: i32, 1.., default -1;
        member_id: Str, 0..;
        group_instance_id: Option<Str>, 5.., null 5..;
        protocol_type: Str, 0..;
        /// The member's favourite first.
        protocols: Vec<JoinGroupRequestProtocol>, 0..;
        reason: Option<Str>, 8.., null 8..;
    }

    JoinGroupRequestProtocol {
        name: Str, 0..;
        /// For consumers a
        /// [`ConsumerProtocolSubscription`](crate::consumer_protocol::ConsumerProtocolSubscription).
        metadata: Bytes, 0..;
    }

    JoinGroupResponse {
        throttle_time_ms: i32, 2..;
        error_code: i16, 0..;
        generation_id: i32, 0.., default -1;
        protocol_type: Option<Str>, 7.., null 7..;
        protocol_name: Option<Str>, 0.., null 7..;
        leader: Str, 0..;
        skip_assignment: bool, 9..;
        member_id: Str, 0..;
        /// Filled for the leader alone.
        members: Vec<JoinGroupResponseMember>, 0..;
    }

    JoinGroupResponseMember {
        member_id: Str, 0..;
        group_instance_id: Option<Str>, 5.., null 5..;
        metadata: Bytes, 0..;
    }
}
