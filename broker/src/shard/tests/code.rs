//! Kafka's numbers for what clients are told, as they stand in answers.

pub(super) const OFFSET_OUT_OF_RANGE: i16 = 1;
pub(super) const CORRUPT_MESSAGE: i16 = 2;
pub(super) const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
pub(super) const LEADER_NOT_AVAILABLE: i16 = 5;
pub(super) const NOT_LEADER_OR_FOLLOWER: i16 = 6;
pub(super) const MESSAGE_TOO_LARGE: i16 = 10;
pub(super) const COORDINATOR_NOT_AVAILABLE: i16 = 15;
pub(super) const NOT_COORDINATOR: i16 = 16;
pub(super) const INVALID_TOPIC_EXCEPTION: i16 = 17;
pub(super) const INVALID_REQUIRED_ACKS: i16 = 21;
pub(super) const ILLEGAL_GENERATION: i16 = 22;
pub(super) const UNKNOWN_MEMBER_ID: i16 = 25;
pub(super) const UNSUPPORTED_VERSION: i16 = 35;
pub(super) const TOPIC_ALREADY_EXISTS: i16 = 36;
pub(super) const INVALID_TXN_STATE: i16 = 48;
pub(super) const INVALID_PRODUCER_ID_MAPPING: i16 = 49;
pub(super) const TRANSACTIONAL_ID_AUTHORIZATION_FAILED: i16 = 53;
pub(super) const KAFKA_STORAGE_ERROR: i16 = 56;
pub(super) const NON_EMPTY_GROUP: i16 = 68;
pub(super) const GROUP_ID_NOT_FOUND: i16 = 69;
pub(super) const INVALID_FETCH_SESSION_EPOCH: i16 = 71;
pub(super) const UNSUPPORTED_COMPRESSION_TYPE: i16 = 76;
pub(super) const MEMBER_ID_REQUIRED: i16 = 79;
pub(super) const INVALID_RECORD: i16 = 87;
pub(super) const TRANSACTION_ABORTABLE: i16 = 120;
