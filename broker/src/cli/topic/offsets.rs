//! Offsets of partitions: where logs start and end, and what stands at a point in time.

use std::collections::BTreeMap;

use protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};

use crate::cli::client::{Client, Refusal, TopicInfo};
use crate::cli::failure::Failure;

/// ListOffsets' special times.
pub(crate) const LATEST: i64 = -1;
pub(crate) const EARLIEST: i64 = -2;

/// The offset of `timestamp` (or a special time) in each of these partitions. A partition without a
/// record at or after that time has none.
pub(crate) fn offsets_of(
    client: &mut Client,
    topic: &TopicInfo,
    partitions: &[i32],
    timestamp: i64,
) -> Result<BTreeMap<i32, Option<i64>>, Failure> {
    let mut by_leader: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for index in partitions {
        let leader = topic.leader_of(*index).ok_or_else(|| topic.without_leader(*index))?;
        by_leader.entry(leader).or_default().push(*index);
    }
    let mut offsets = BTreeMap::new();
    for (leader, partitions) in by_leader {
        let response = client.on_broker(leader, request(&topic.name, &partitions, timestamp))?;
        for partition in response.topics.iter().flat_map(|topic| &topic.partitions) {
            let index = partition.partition_index;
            if let Some(refusal) = Refusal::of(partition.error_code) {
                return Err(refusal.failure(&format!("partition {index} of {}", topic.name), None));
            }
            offsets.insert(index, (partition.offset >= 0).then_some(partition.offset));
        }
    }
    Ok(offsets)
}

fn request(topic: &str, partitions: &[i32], timestamp: i64) -> ListOffsetsRequest {
    let partition = |index: &i32| ListOffsetsPartition {
        partition_index: *index,
        current_leader_epoch: -1,
        timestamp,
    };
    ListOffsetsRequest {
        replica_id: -1,
        isolation_level: 0,
        topics: vec![ListOffsetsTopic {
            name: topic.into(),
            partitions: partitions.iter().map(partition).collect(),
        }],
    }
}
