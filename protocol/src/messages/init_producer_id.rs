//! InitProducerId: the identity of an idempotent or transactional producer.

use crate::string::Str;
use crate::wire::messages;

messages! {
    InitProducerIdRequest {
        transactional_id: Option<Str>, 0.., null 0..;
        transaction_timeout_ms: i32, 0..;
        producer_id: i64, 3.., default -1;
        producer_epoch: i16, 3.., default -1;
    }

    InitProducerIdResponse {
        throttle_time_ms: i32, 0..;
        error_code: i16, 0..;
        producer_id: i64, 0.., default -1;
        producer_epoch: i16, 0..;
    }
}
