//! DeleteTopics: by name, from version 6 also by id.

use crate::ids::TopicId;
use crate::string::Str;
use crate::wire::messages;

messages! {
    DeleteTopicsRequest {
        topics: Vec<DeleteTopicState>, 6..;
        topic_names: Vec<Str>, 0..=5;
        timeout_ms: i32, 0..;
    }

    DeleteTopicState {
        name: Option<Str>, 6.., null 6..;
        topic_id: TopicId, 6..;
    }

    DeleteTopicsResponse {
        throttle_time_ms: i32, 1..;
        responses: Vec<DeletableTopicResult>, 0..;
    }

    DeletableTopicResult {
        name: Option<Str>, 0.., null 6..;
        topic_id: TopicId, 6..;
        error_code: i16, 0..;
        error_message: Option<Str>, 5.., null 5..;
    }
}
