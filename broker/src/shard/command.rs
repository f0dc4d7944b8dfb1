//! What shards ask of the controller, and what it answers: the coordinator's commands as one closed list.

use coordinator::metadata::{
    AlterConfigs, CreatePartitions, CreateTopics, DeleteTopics, IncrementalAlterConfigs,
    MovePartition, alter_configs, create_partitions, create_topics, delete_topics, move_partition,
};
use engine::request::LifecycleError;

/// A command for the controller.
#[derive(Debug)]
pub enum Command {
    CreateTopics(CreateTopics),
    CreatePartitions(CreatePartitions),
    DeleteTopics(DeleteTopics),
    AlterConfigs(AlterConfigs),
    IncrementalAlterConfigs(IncrementalAlterConfigs),
    MovePartition(MovePartition),
}

/// The controller's answer, once it is committed and every shard knows of it.
#[derive(Debug)]
pub enum CommandReply {
    CreateTopics(
        Result<create_topics::CreateTopicsReply, Refused<create_topics::CreateTopicsError>>,
    ),
    CreatePartitions(
        Result<
            create_partitions::CreatePartitionsReply,
            Refused<create_partitions::CreatePartitionsRefused>,
        >,
    ),
    DeleteTopics(
        Result<delete_topics::DeleteTopicsReply, Refused<delete_topics::DeleteTopicsError>>,
    ),
    AlterConfigs(
        Result<alter_configs::AlterConfigsReply, Refused<alter_configs::AlterConfigsError>>,
    ),
    MovePartition(Result<move_partition::MovedPartition, Refused<MoveError>>),
}

/// Why a command as a whole has no answer of its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Refused<E> {
    /// The metadata log does not take records: its disk is full or failed.
    LogUnavailable,
    /// What was decided is recorded, but a partition's owner could not make its directory; it goes on trying.
    Owner(LifecycleError),
    /// Too many commands wait already.
    Overloaded,
    /// The command itself.
    Command(E),
}

/// Why a partition was not moved.
#[derive(Clone, Debug, PartialEq)]
pub enum MoveError {
    Command(move_partition::MovePartitionError),
    /// The owner could not hand it over, or the new one not take it.
    Owner(LifecycleError),
    /// It is being moved already.
    Moving,
    /// Only the shard can change while the node runs.
    OtherDirectory,
    /// The log directory of the new shard's journal failed: it takes no record.
    ShardOffline,
}
