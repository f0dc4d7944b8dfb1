//! Brokers and topics as Metadata, DescribeCluster and DescribeTopicPartitions show them.

use coordinator::metadata::{Partition, Replica, Topic, TopicNameError};
use engine::PartitionId;
use protocol::{ErrorCode, PartitionIndex, Str};

use crate::shard::Shard;
use crate::shard::requests::Head;

/// A broker as a client reaches it.
#[derive(Clone, Debug)]
pub(super) struct BrokerView {
    pub(super) id: i32,
    pub(super) host: Str,
    pub(super) port: i32,
    pub(super) rack: Option<Str>,
}

/// A partition with the leader that clients may be told of.
#[derive(Clone, Debug)]
pub(super) struct PartitionView {
    pub(super) code: ErrorCode,
    pub(super) index: i32,
    pub(super) leader: i32,
    pub(super) leader_epoch: i32,
    pub(super) replicas: Vec<i32>,
    pub(super) in_sync: Vec<i32>,
    pub(super) offline: Vec<i32>,
}

impl Shard {
    /// The brokers by the listener that the client uses: addresses of another may not reach them.
    pub(super) fn brokers_for(&self, head: &Head) -> Vec<BrokerView> {
        let listener = self.front.connections.listener(head.connection);
        let listener = listener.and_then(|id| self.node.listeners.get(usize::from(id.0)));
        let name = listener.map(|listener| &listener.name);
        let brokers = self.replica.metadata().image().brokers();
        let views = brokers.filter_map(|broker| {
            let mut listeners = broker.listeners.iter();
            let same = listeners.clone().find(|listener| Some(&listener.name) == name);
            let listener = same.or_else(|| listeners.next())?;
            Some(BrokerView {
                id: broker.id.0,
                host: listener.host.clone(),
                port: i32::from(listener.port),
                rack: broker.rack.clone(),
            })
        });
        views.collect()
    }

    pub(super) fn partition_view(&self, topic: &Topic, index: usize) -> PartitionView {
        let partition: &Partition = &topic.partitions()[index];
        let index = PartitionIndex(i32::try_from(index).expect("partitions are counted by i32"));
        let id = PartitionId { topic_id: topic.id(), partition: index };
        let is_offline =
            |replica: &Replica| replica.broker == self.node.broker && self.node.is_offline(replica);
        let offline = partition.replicas.iter().filter(|replica| is_offline(replica));
        let offline: Vec<i32> = offline.map(|replica| replica.broker.0).collect();
        let leader = partition.leader.map(|leader| leader.0);
        let leader =
            leader.filter(|leader| self.replica.is_usable(id) && !offline.contains(leader));
        PartitionView {
            code: if leader.is_some() { ErrorCode::None } else { ErrorCode::LeaderNotAvailable },
            index: index.0,
            leader: leader.unwrap_or(-1),
            leader_epoch: partition.leader_epoch.0,
            replicas: partition.replicas.iter().map(|replica| replica.broker.0).collect(),
            in_sync: partition.isr.iter().map(|broker| broker.0).collect(),
            offline,
        }
    }
}

/// What is said of a topic that does not exist: whether it could.
pub(super) fn no_topic(name: &Str) -> ErrorCode {
    match TopicNameError::of(name) {
        Some(_) => ErrorCode::InvalidTopicException,
        None => ErrorCode::UnknownTopicOrPartition,
    }
}
