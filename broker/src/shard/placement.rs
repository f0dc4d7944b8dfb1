//! This shard's partitions for whoever lists them: where each lives, how far it is, and why it is here.

use std::path::Path;

use coordinator::metadata::{Partition as PartitionMetadata, Topic};
use engine::config::Durability;
use engine::engine::damage::{Damage, DamageKind};
use engine::partition::{Partition, PartitionState};
use protocol::PartitionIndex;

use super::Shard;
use super::log_config::log_config_of;
use super::mail::{Mail, ShardIndex};

/// In the place of an offset that nobody can know: the log is not there.
const UNKNOWN: i64 = -1;

/// One partition as its owner shows it.
#[derive(Clone, Debug)]
pub struct PlacedPartition {
    pub topic: String,
    pub partition: i32,
    pub shard: ShardIndex,
    /// Empty where it is missing.
    pub directory: String,
    pub bytes: u64,
    pub log_start: i64,
    pub high_watermark: i64,
    pub log_end: i64,
    pub leader_epoch: i32,
    pub durability: &'static str,
    pub state: &'static str,
    pub why: String,
    /// Where reads found segments damaged.
    pub damage: Vec<DamagedPlace>,
}

/// A place in a segment's file that reads cannot pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedPlace {
    pub file: String,
    pub position: u64,
    /// That a read wanted: it, or one behind it, cannot be read.
    pub offset: i64,
    pub what: &'static str,
}

impl Shard {
    pub(super) fn placed_partitions(&self) -> Vec<PlacedPartition> {
        let open = self.owner.engine.iter().filter_map(|partition| self.placed(partition));
        open.chain(self.missing_partitions()).collect()
    }

    /// Partitions of this shard whose log directory was not there when the node started.
    fn missing_partitions(&self) -> impl Iterator<Item = PlacedPartition> {
        let topics = self.replica.metadata().image().topics();
        let all =
            topics.flat_map(|topic| topic.partitions().iter().zip(0..).map(move |it| (topic, it)));
        all.filter_map(|(topic, (partition, index))| {
            let replica = partition.replica_on(self.node.broker)?;
            let is_missing = self.node.dir_of(replica.directory).is_none();
            let is_own = self.node.mailbox_of(replica.shard) == self.node.me;
            (is_missing && is_own).then(|| self.missing(topic, partition, PartitionIndex(index)))
        })
    }

    fn missing(
        &self,
        topic: &Topic,
        partition: &PartitionMetadata,
        index: PartitionIndex,
    ) -> PlacedPartition {
        let image = self.replica.metadata().image();
        let why = image.explain(topic.id(), index, self.node.broker);
        let config = log_config_of(self.replica.metadata(), topic.id());
        let durability = config.map(|config| config.durability).unwrap_or_default();
        PlacedPartition {
            topic: topic.name().to_string(),
            partition: index.0,
            shard: self.node.me,
            directory: String::new(),
            bytes: 0,
            log_start: UNKNOWN,
            high_watermark: UNKNOWN,
            log_end: UNKNOWN,
            leader_epoch: partition.leader_epoch.0,
            durability: name_of(durability),
            state: "offline",
            why: why.map(|why| why.to_string()).unwrap_or_default(),
            damage: Vec::new(),
        }
    }

    fn placed(&self, partition: &Partition) -> Option<PlacedPartition> {
        let id = partition.id;
        let image = self.replica.metadata().image();
        let topic = image.topic(id.topic_id)?;
        let why = image.explain(id.topic_id, id.partition, self.node.broker);
        let damage: Vec<DamagedPlace> =
            self.owner.engine.damages(id).map(|one| self.damaged_place(one)).collect();
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
            durability: name_of(partition.config.durability),
            state: match partition.state {
                PartitionState::Open if !damage.is_empty() => "damaged",
                PartitionState::Open => "online",
                PartitionState::Suspect => "suspect",
                PartitionState::Offline => "offline",
                PartitionState::Closing => "closing",
            },
            why: why.map(|why| why.to_string()).unwrap_or_default(),
            damage,
        })
    }
}

impl Shard {
    /// A read met damage: the operator hears of each place once.
    pub(super) fn on_damage_found(&mut self, damage: &Damage) {
        let DamagedPlace { file, position, offset, what } = self.damaged_place(damage);
        let what = format!(
            "{file} at {position}: {what}; a read of offset {offset} failed with KAFKA_STORAGE_ERROR, and others \
             will; stop the node, and `corelane verify` says what is hurt"
        );
        self.outbox.post(self.node.main(), Mail::Trouble { what });
    }

    fn damaged_place(&self, damage: &Damage) -> DamagedPlace {
        let root = Path::new(self.node.directory_path(damage.file.dir));
        DamagedPlace {
            file: root.join(&damage.file.path).display().to_string(),
            position: damage.position,
            offset: damage.offset.0,
            what: match damage.kind {
                DamageKind::NotTheBatch => "the bytes there are not what was written",
                DamageKind::Unreadable => "the device cannot read there (see `dmesg`)",
            },
        }
    }
}

fn name_of(durability: Durability) -> &'static str {
    match durability {
        Durability::Fsync => "fsync",
        Durability::Memory => "memory",
    }
}
