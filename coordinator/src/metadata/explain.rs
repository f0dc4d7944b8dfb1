//! Why a partition lives where it does, for people.

use core::fmt;

use protocol::{BrokerId, PartitionIndex, TopicId};

use super::{
    broker::ShardId,
    image::Image,
    topic::{PlacementReason, Replica},
};

/// A replica's owner, why it is that one, and the balance around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    pub replica: Replica,
    /// Whether the replica's log directory was usable at its broker's last start.
    pub directory_online: bool,
    pub data_shards: u16,
    /// Partitions of the same topic: on this shard, and on all shards of this broker.
    pub topic_on_shard: usize,
    pub topic_on_broker: usize,
    /// Partitions of all topics on this shard.
    pub all_on_shard: usize,
}

impl Image {
    /// Explains the replica of a partition on a broker; `None` if there is none.
    pub fn explain(
        &self,
        topic: TopicId,
        partition: PartitionIndex,
        broker: BrokerId,
    ) -> Option<Explanation> {
        let topic = self.topic(topic)?;
        let replica = *topic.partition(partition)?.replica_on(broker)?;
        let registered = self.broker(broker)?;
        let on_broker = |replica: &&Replica| replica.broker == broker;
        let replicas = topic.partitions().iter().flat_map(|partition| &partition.replicas);
        let of_topic = replicas.filter(on_broker);
        let all = self.topics().flat_map(|topic| topic.partitions());
        let all = all.flat_map(|partition| &partition.replicas).filter(on_broker);
        let same_shard = |other: &&Replica| other.shard == replica.shard;
        Some(Explanation {
            replica,
            directory_online: registered.log_directory(replica.directory).is_some(),
            data_shards: registered.data_shards,
            topic_on_shard: of_topic.clone().filter(same_shard).count(),
            topic_on_broker: of_topic.count(),
            all_on_shard: all.filter(same_shard).count(),
        })
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.replica.shard == ShardId::COORDINATOR {
            f.write_str("a coordinator's log, on the shard of its own that coordinators have")?;
            return self.write_directory(f);
        }
        match self.replica.reason {
            PlacementReason::Created => f.write_str("created here for balance")?,
            PlacementReason::Moved => f.write_str("moved here by an operator")?,
            PlacementReason::ShardGone { from } => {
                write!(f, "came from shard {from}, which is no more")?;
            }
            PlacementReason::Rebalanced { from } => {
                write!(f, "came from shard {from} when the number of shards changed")?;
            }
        }
        write!(
            f,
            ": {} of the topic's {} partitions, {} in all, on this one of {} shards",
            self.topic_on_shard, self.topic_on_broker, self.all_on_shard, self.data_shards
        )?;
        self.write_directory(f)
    }
}

impl Explanation {
    fn write_directory(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.directory_online { Ok(()) } else { f.write_str("; its log directory is missing") }
    }
}
