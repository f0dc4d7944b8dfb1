//! DescribeGroups: state and members of groups of the classic protocol.

use bytes::Bytes;

use crate::string::Str;
use crate::wire::messages;

messages! {
    DescribeGroupsRequest {
        groups: Vec<Str>, 0..;
        include_authorized_operations: bool, 3..;
    }

    DescribeGroupsResponse {
        throttle_time_ms: i32, 1..;
        groups: Vec<DescribedGroup>, 0..;
    }

    DescribedGroup {
        error_code: i16, 0..;
        error_message: Option<Str>, 6.., null 6..;
        group_id: Str, 0..;
        group_state: Str, 0..;
        protocol_type: Str, 0..;
        /// The protocol that was chosen, in a stable group.
        protocol_data: Str, 0..;
        members: Vec<DescribedGroupMember>, 0..;
        authorized_operations: i32, 3.., default i32::MIN;
    }

    DescribedGroupMember {
        member_id: Str, 0..;
        group_instance_id: Option<Str>, 4.., null 4..;
        client_id: Str, 0..;
        client_host: Str, 0..;
        member_metadata: Bytes, 0..;
        member_assignment: Bytes, 0..;
    }
}
