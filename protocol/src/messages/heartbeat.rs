//! Heartbeat: a member of the classic protocol lives, and learns of rebalances.

use crate::string::Str;
use crate::wire::messages;

messages! {
    HeartbeatRequest {
        group_id: Str, 0..;
        generation_id: i32, 0..;
        member_id: Str, 0..;
        group_instance_id: Option<Str>, 3.., null 3..;
    }

    HeartbeatResponse {
        throttle_time_ms: i32, 1..;
        error_code: i16, 0..;
    }
}
