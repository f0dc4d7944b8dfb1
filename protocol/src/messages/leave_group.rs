//! LeaveGroup: a member goes, or an administrator removes several (from version 3).

use crate::string::Str;
use crate::wire::messages;

messages! {
    LeaveGroupRequest {
        group_id: Str, 0..;
        member_id: Str, 0..=2;
        members: Vec<MemberIdentity>, 3..;
    }

    MemberIdentity {
        /// Empty when a static member is removed by its instance id.
        member_id: Str, 3..;
        group_instance_id: Option<Str>, 3.., null 3..;
        reason: Option<Str>, 5.., null 5..;
    }

    LeaveGroupResponse {
        throttle_time_ms: i32, 1..;
        error_code: i16, 0..;
        members: Vec<MemberResponse>, 3..;
    }

    MemberResponse {
        member_id: Str, 3..;
        group_instance_id: Option<Str>, 3.., null 3..;
        error_code: i16, 3..;
    }
}
