//! This shard's partitions for whoever lists them: where each lives, how far it is, and why it is here.

use engine::config::Durability;
use engine::partition::{Partition, PartitionState};

use super::Shard;
use super::mail::ShardIndex;

/// One partition as its owner shows it.
#[derive(Clone, Debug)]
pub struct PlacedPartition {
    pub topic: String,
    pub partition: i32,
    pub shard: ShardIndex,
    pub directory: String,
    pub bytes: u64,
    pub log_start: i64,
    pub high_watermark: i64,
    pub log_end: i64,
    pub leader_epoch: i32,
    pub durability: &'static str,
    pub state: &'static str,
    pub why: String,
}

impl Shard {
    pub(super) fn placed_partitions(&self) -> Vec<PlacedPartition> {
        self.owner.engine.iter().filter_map(|partition| self.placed(partition)).collect()
    }

    fn placed(&self, partition: &Partition) -> Option<PlacedPartition> {
        let id = partition.id;
        let image = self.replica.metadata().image();
        let topic = image.topic(id.topic_id)?;
        let why = image.explain(id.topic_id, id.partition, self.node.broker);
        Some(PlacedPartition {
            topic: topic.name().to_string(),
            partition: id.partition.0,
            shard: self.node.me,
            directory: self.node.directory_path(partition.directory.dir).to_owned(),
            bytes: partition.bytes(),
            log_start: partition.log_start.0,
            high_watermark: partition.high_watermark().offset.0,
            log_end: partition.end.offset.0,
            leader_epoch: partition.leader_epoch.0,
            durability: match partition.config.durability {
                Durability::Fsync => "fsync",
                Durability::Memory => "memory",
            },
            state: match partition.state {
                PartitionState::Open => "online",
                PartitionState::Suspect => "suspect",
                PartitionState::Offline => "offline",
                PartitionState::Closing => "closing",
            },
            why: why.map(|why| why.to_string()).unwrap_or_default(),
        })
    }
}
