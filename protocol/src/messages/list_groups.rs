//! ListGroups: the groups of this coordinator, by state and type.

use crate::string::Str;
use crate::wire::messages;

messages! {
    ListGroupsRequest {
        /// Empty is all.
        states_filter: Vec<Str>, 4..;
        /// Empty is all.
        types_filter: Vec<Str>, 5..;
    }

    ListGroupsResponse {
        throttle_time_ms: i32, 1..;
        error_code: i16, 0..;
        groups: Vec<ListedGroup>, 0..;
    }

    ListedGroup {
        group_id: Str, 0..;
        protocol_type: Str, 0..;
        group_state: Str, 4..;
        group_type: Str, 5..;
    }
}
