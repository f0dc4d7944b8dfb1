//! Domain errors to Kafka's codes: the only place. Every match is exhaustive.

pub(crate) mod groups;

use coordinator::metadata::alter_configs::{AlterConfigError, AlterConfigsError};
use coordinator::metadata::create_partitions::{CreatePartitionsError, CreatePartitionsRefused};
use coordinator::metadata::create_topics::{CreateTopicError, CreateTopicsError};
use coordinator::metadata::delete_topics::{DeleteTopicError, DeleteTopicsError};
use engine::request::{AppendError, InvalidBatch, LifecycleError, ReadError};
use protocol::ErrorCode;
use protocol::record_batch::{DecompressError, ProduceBatchError, RecordsError};

use crate::shard::command::Refused;
use crate::shard::mail::{DeleteRecordsError, EpochError, FetchError, QueryError};
use crate::shard::sessions::SessionError;

pub(crate) fn append(error: &AppendError) -> ErrorCode {
    match error {
        // Retriable, and the client asks for metadata first.
        AppendError::NotOwner => ErrorCode::NotLeaderOrFollower,
        AppendError::Unavailable | AppendError::NoSpace => ErrorCode::KafkaStorageError,
        AppendError::Invalid(invalid) => invalid_batch(invalid),
        // Producers split the batch and send it again.
        AppendError::BeyondMemory { .. } => ErrorCode::MessageTooLarge,
        AppendError::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
        AppendError::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
        // Retriable without a metadata request; nothing was appended.
        AppendError::ProducersUnknown => ErrorCode::NotEnoughReplicas,
        AppendError::Overloaded => ErrorCode::RequestTimedOut,
    }
}

fn invalid_batch(invalid: &InvalidBatch) -> ErrorCode {
    match invalid {
        InvalidBatch::Batch(error) => produce_batch(error),
        InvalidBatch::Records(error) => records(error),
    }
}

fn produce_batch(error: &ProduceBatchError) -> ErrorCode {
    match error {
        ProduceBatchError::IllegalLength { .. } | ProduceBatchError::Corrupt => {
            ErrorCode::CorruptMessage
        }
        ProduceBatchError::ZstdNotAllowed | ProduceBatchError::UnknownCodec => {
            ErrorCode::UnsupportedCompressionType
        }
        // Producers split the batch and send it again.
        ProduceBatchError::TooLarge { .. } => ErrorCode::MessageTooLarge,
        ProduceBatchError::LargerThanSegment { .. } => ErrorCode::RecordListTooLarge,
        ProduceBatchError::LogAppendTimestamps => ErrorCode::InvalidTimestamp,
        ProduceBatchError::NoBatch
        | ProduceBatchError::WrongMagic { .. }
        | ProduceBatchError::MoreThanOneBatch
        | ProduceBatchError::BaseOffsetNotZero { .. }
        | ProduceBatchError::NegativeOffsetRange { .. }
        | ProduceBatchError::NoRecords { .. }
        | ProduceBatchError::CountMismatch { .. }
        | ProduceBatchError::ControlBatch
        | ProduceBatchError::NegativeBaseSequence { .. } => ErrorCode::InvalidRecord,
    }
}

fn records(error: &RecordsError) -> ErrorCode {
    match error {
        RecordsError::Decompress(DecompressError::Corrupt) => ErrorCode::CorruptMessage,
        RecordsError::Decompress(DecompressError::TooLarge { .. }) => ErrorCode::MessageTooLarge,
        RecordsError::Refused(refused) if refused.timestamp_among_them => {
            ErrorCode::InvalidTimestamp
        }
        RecordsError::TooManyRecords { .. }
        | RecordsError::Malformed { .. }
        | RecordsError::OffsetDelta { .. }
        | RecordsError::Refused(_) => ErrorCode::InvalidRecord,
    }
}

fn epoch(error: EpochError) -> ErrorCode {
    match error {
        EpochError::Fenced { .. } => ErrorCode::FencedLeaderEpoch,
        EpochError::Unknown { .. } => ErrorCode::UnknownLeaderEpoch,
    }
}

pub(crate) fn fetch(error: FetchError) -> ErrorCode {
    match error {
        FetchError::Epoch(error) => epoch(error),
        FetchError::Read(ReadError::NotOwner) => ErrorCode::NotLeaderOrFollower,
        FetchError::Read(ReadError::OutOfRange { .. }) => ErrorCode::OffsetOutOfRange,
        FetchError::Read(ReadError::Unavailable) => ErrorCode::KafkaStorageError,
    }
}

pub(crate) fn query(error: QueryError) -> ErrorCode {
    match error {
        QueryError::Epoch(error) => epoch(error),
        QueryError::NotOwner => ErrorCode::NotLeaderOrFollower,
        QueryError::Unavailable => ErrorCode::KafkaStorageError,
    }
}

pub(crate) fn lifecycle(error: &LifecycleError) -> ErrorCode {
    match error {
        LifecycleError::NotOwner => ErrorCode::NotLeaderOrFollower,
        LifecycleError::OutOfRange => ErrorCode::OffsetOutOfRange,
        LifecycleError::NoSpace | LifecycleError::Unavailable => ErrorCode::KafkaStorageError,
        LifecycleError::TooManyPartitions => ErrorCode::PolicyViolation,
    }
}

pub(crate) fn delete_records(error: &DeleteRecordsError) -> ErrorCode {
    match error {
        DeleteRecordsError::Policy => ErrorCode::PolicyViolation,
        DeleteRecordsError::Partition(error) => lifecycle(error),
    }
}

/// The code of a command that was refused as a whole; `command` gives that of the command's own reasons.
pub(crate) fn refused<E>(refused: &Refused<E>, command: impl Fn(&E) -> ErrorCode) -> ErrorCode {
    match refused {
        Refused::LogUnavailable => ErrorCode::KafkaStorageError,
        Refused::Owner(error) => lifecycle(error),
        // Retriable; nothing was done.
        Refused::Overloaded => ErrorCode::RequestTimedOut,
        Refused::Command(error) => command(error),
    }
}

pub(crate) fn create_topics(error: &CreateTopicsError) -> ErrorCode {
    match error {
        CreateTopicsError::TooManyRecords { .. } | CreateTopicsError::TooManyBytes { .. } => {
            ErrorCode::PolicyViolation
        }
    }
}

pub(crate) fn create_topic(error: &CreateTopicError) -> ErrorCode {
    match error {
        CreateTopicError::DuplicateName
        | CreateTopicError::ReservedName
        | CreateTopicError::AssignmentsWithReplicationFactor
        | CreateTopicError::AssignmentsWithPartitions => ErrorCode::InvalidRequest,
        CreateTopicError::InvalidName(_) | CreateTopicError::NameCollides { .. } => {
            ErrorCode::InvalidTopicException
        }
        CreateTopicError::AlreadyExists { .. } => ErrorCode::TopicAlreadyExists,
        CreateTopicError::NullConfigValues { .. } | CreateTopicError::Config(_) => {
            ErrorCode::InvalidConfig
        }
        CreateTopicError::Assignment(_) => ErrorCode::InvalidReplicaAssignment,
        CreateTopicError::InvalidReplicationFactor { .. }
        | CreateTopicError::TooFewBrokers { .. } => ErrorCode::InvalidReplicationFactor,
        CreateTopicError::InvalidPartitions { .. } => ErrorCode::InvalidPartitions,
        CreateTopicError::BrokerOffline { .. } => ErrorCode::KafkaStorageError,
        CreateTopicError::ShardsFull(_) => ErrorCode::PolicyViolation,
        // Another id is drawn for the next request.
        CreateTopicError::IdTaken { .. } => ErrorCode::UnknownServerError,
    }
}

pub(crate) fn create_partitions_refused(error: &CreatePartitionsRefused) -> ErrorCode {
    match error {
        CreatePartitionsRefused::TooManyRecords { .. }
        | CreatePartitionsRefused::TooManyBytes { .. } => ErrorCode::PolicyViolation,
    }
}

pub(crate) fn create_partitions(error: &CreatePartitionsError) -> ErrorCode {
    match error {
        CreatePartitionsError::DuplicateName => ErrorCode::InvalidRequest,
        CreatePartitionsError::UnknownTopic => ErrorCode::UnknownTopicOrPartition,
        CreatePartitionsError::SameCount { .. }
        | CreatePartitionsError::FewerPartitions { .. }
        | CreatePartitionsError::InternalTopic => ErrorCode::InvalidPartitions,
        CreatePartitionsError::Assignment(_) => ErrorCode::InvalidReplicaAssignment,
        CreatePartitionsError::BrokerOffline { .. } => ErrorCode::KafkaStorageError,
        CreatePartitionsError::ShardsFull(_) => ErrorCode::PolicyViolation,
    }
}

pub(crate) fn delete_topics(error: &DeleteTopicsError) -> ErrorCode {
    match error {
        DeleteTopicsError::Disabled => ErrorCode::TopicDeletionDisabled,
        DeleteTopicsError::TooManyRecords { .. } => ErrorCode::PolicyViolation,
    }
}

pub(crate) fn delete_topic(error: &DeleteTopicError) -> ErrorCode {
    match error {
        DeleteTopicError::DuplicateName
        | DeleteTopicError::DuplicateId
        | DeleteTopicError::AlsoGivenById
        | DeleteTopicError::AlsoGivenByName => ErrorCode::InvalidRequest,
        DeleteTopicError::UnknownName => ErrorCode::UnknownTopicOrPartition,
        DeleteTopicError::UnknownId => ErrorCode::UnknownTopicId,
    }
}

pub(crate) fn alter_configs(error: &AlterConfigsError) -> ErrorCode {
    match error {
        AlterConfigsError::TooManyRecords { .. } | AlterConfigsError::TooManyBytes { .. } => {
            ErrorCode::PolicyViolation
        }
    }
}

pub(crate) fn alter_config(error: &AlterConfigError) -> ErrorCode {
    match error {
        AlterConfigError::DuplicateResource
        | AlterConfigError::DuplicateNames
        | AlterConfigError::NullValues { .. }
        | AlterConfigError::UnknownBroker { .. } => ErrorCode::InvalidRequest,
        AlterConfigError::NotAList { .. } | AlterConfigError::Config(_) => ErrorCode::InvalidConfig,
        AlterConfigError::InvalidTopicName(_) => ErrorCode::InvalidTopicException,
        AlterConfigError::UnknownTopic => ErrorCode::UnknownTopicOrPartition,
        AlterConfigError::NoRoomForGroup => ErrorCode::PolicyViolation,
    }
}

pub(crate) fn session(error: SessionError) -> ErrorCode {
    match error {
        SessionError::NotFound => ErrorCode::FetchSessionIdNotFound,
        SessionError::WrongEpoch => ErrorCode::InvalidFetchSessionEpoch,
        SessionError::TopicIdsMixed => ErrorCode::FetchSessionTopicIdError,
    }
}

/// Kafka's name of a code, for metrics.
pub(crate) fn name(code: i16) -> &'static str {
    ErrorCode::from_code(code).map_or("UNKNOWN", ErrorCode::name)
}
