//! DeleteGroups: groups without members, with all that they committed.

use crate::string::Str;
use crate::wire::messages;

messages! {
    DeleteGroupsRequest {
        groups_names: Vec<Str>, 0..;
    }

    DeleteGroupsResponse {
        throttle_time_ms: i32, 0..;
        results: Vec<DeletableGroupResult>, 0..;
    }

    DeletableGroupResult {
        group_id: Str, 0..;
        error_code: i16, 0..;
    }
}
