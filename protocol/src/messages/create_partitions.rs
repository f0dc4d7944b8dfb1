//! CreatePartitions: grows topics.

use crate::string::Str;
use crate::wire::messages;

messages! {
    CreatePartitionsRequest {
        topics: Vec<CreatePartitionsTopic>, 0..;
        timeout_ms: i32, 0..;
        validate_only: bool, 0..;
    }

    CreatePartitionsTopic {
        name: Str, 0..;
        count: i32, 0..;
        assignments: Option<Vec<CreatePartitionsAssignment>>, 0.., null 0..;
    }

    CreatePartitionsAssignment {
        broker_ids: Vec<i32>, 0..;
    }

    CreatePartitionsResponse {
        throttle_time_ms: i32, 0..;
        results: Vec<CreatePartitionsTopicResult>, 0..;
    }

    CreatePartitionsTopicResult {
        name: Str, 0..;
        error_code: i16, 0..;
        error_message: Option<Str>, 0.., null 0..;
    }
}
