//! Who leads a partition, told beside the code that a client asked the wrong broker or knows an old leader
//! epoch: it can go on without asking for metadata first.

use std::collections::BTreeSet;

use coordinator::metadata::Topic;
use protocol::ErrorCode;
use protocol::messages::{fetch, produce};

use super::topic_view::BrokerView;
use crate::shard::Shard;
use crate::shard::requests::Head;

/// Versions from which clients take the hint.
const PRODUCE_FROM: i16 = 10;
const FETCH_FROM: i16 = 16;

impl Shard {
    pub(super) fn hint_producer(&self, head: &Head, response: &mut produce::ProduceResponse) {
        if head.version < PRODUCE_FROM {
            return;
        }
        let mut leaders = BTreeSet::new();
        for topic in &mut response.responses {
            let known = self.replica.topic_by_name(&topic.name);
            for partition in &mut topic.partition_responses {
                if partition.error_code != ErrorCode::NotLeaderOrFollower.code() {
                    continue;
                }
                let (leader_id, leader_epoch) = self.leader(known, partition.index);
                partition.current_leader = produce::LeaderIdAndEpoch { leader_id, leader_epoch };
                leaders.insert(leader_id);
            }
        }
        let brokers = self.endpoints(head, &leaders);
        let endpoint = |BrokerView { id, host, port, rack }| produce::NodeEndpoint {
            node_id: id,
            host,
            port,
            rack,
        };
        response.node_endpoints = brokers.map(endpoint).collect();
    }

    pub(super) fn hint_consumer(&self, head: &Head, response: &mut fetch::FetchResponse) {
        if head.version < FETCH_FROM {
            return;
        }
        let mut leaders = BTreeSet::new();
        for topic in &mut response.responses {
            for partition in &mut topic.partitions {
                let code = partition.error_code;
                if code != ErrorCode::NotLeaderOrFollower.code()
                    && code != ErrorCode::FencedLeaderEpoch.code()
                {
                    continue;
                }
                let known = self.replica.topic(topic.topic_id);
                let (leader_id, leader_epoch) = self.leader(known, partition.partition_index);
                partition.current_leader = fetch::LeaderIdAndEpoch { leader_id, leader_epoch };
                leaders.insert(leader_id);
            }
        }
        let brokers = self.endpoints(head, &leaders);
        let endpoint = |BrokerView { id, host, port, rack }| fetch::NodeEndpoint {
            node_id: id,
            host,
            port,
            rack,
        };
        response.node_endpoints = brokers.map(endpoint).collect();
    }

    /// Leader and its epoch; -1 each where nothing is known.
    fn leader(&self, topic: Option<&Topic>, index: i32) -> (i32, i32) {
        let index = usize::try_from(index).ok();
        let known = topic.zip(index).filter(|(topic, index)| *index < topic.partitions().len());
        known.map_or((-1, -1), |(topic, index)| {
            let view = self.partition_view(topic, index);
            (view.leader, view.leader_epoch)
        })
    }

    fn endpoints(&self, head: &Head, leaders: &BTreeSet<i32>) -> impl Iterator<Item = BrokerView> {
        let brokers = match leaders.is_empty() {
            true => Vec::new(),
            false => self.brokers_for(head),
        };
        brokers.into_iter().filter(move |broker| leaders.contains(&broker.id))
    }
}
