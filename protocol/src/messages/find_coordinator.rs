//! FindCoordinator: which broker coordinates a group or a transaction.

use crate::string::Str;
use crate::wire::messages;

messages! {
    FindCoordinatorRequest {
        key: Str, 0..=3;
        /// 0 group, 1 transaction, 2 share group.
        key_type: i8, 1..;
        coordinator_keys: Vec<Str>, 4..;
    }

    FindCoordinatorResponse {
        throttle_time_ms: i32, 1..;
        error_code: i16, 0..=3;
        error_message: Option<Str>, 1..=3, null 1..=3;
        node_id: i32, 0..=3;
        host: Str, 0..=3;
        port: i32, 0..=3;
        coordinators: Vec<Coordinator>, 4..;
    }

    Coordinator {
        key: Str, 4..;
        node_id: i32, 4..;
        host: Str, 4..;
        port: i32, 4..;
        error_code: i16, 4..;
        error_message: Option<Str>, 4.., null 4..;
    }
}
