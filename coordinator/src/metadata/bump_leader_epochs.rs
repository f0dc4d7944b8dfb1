//! New leader epochs on the same leader, where records were lost or may have been: what was
//! appended before and what comes after must not share an epoch.

use alloc::{collections::BTreeMap, vec::Vec};
use core::fmt;

use protocol::{LeaderEpoch, PartitionIndex, TopicId};

use super::{
    Command, Decision, Metadata, MetadataRecord, WallMillis, image::Image,
    record::LeaderEpochReason,
};
use crate::limits::RECORDS_PER_DECISION_MAX;

/// Partitions whose leader epoch shall grow, each on its own.
#[derive(Clone, Debug, PartialEq)]
pub struct BumpLeaderEpochs {
    pub partitions: Vec<LeaderEpochBump>,
    pub reason: LeaderEpochReason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderEpochBump {
    pub topic: TopicId,
    pub partition: PartitionIndex,
    /// The newest epoch in the partition's log, which may know more than metadata that lost records.
    pub above: LeaderEpoch,
}

/// The new epochs, in the order of the command.
pub type BumpLeaderEpochsReply = Vec<Result<LeaderEpoch, BumpLeaderEpochError>>;

/// Why the command as a whole is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BumpLeaderEpochsError {
    TooManyRecords { records: usize },
}

/// Declared in the order in which it is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BumpLeaderEpochError {
    UnknownTopic,
    UnknownPartition,
    Exhausted,
}

impl Command for BumpLeaderEpochs {
    type Reply = BumpLeaderEpochsReply;
    type Error = BumpLeaderEpochsError;

    fn decide(
        &self,
        metadata: &Metadata,
        _: WallMillis,
    ) -> Result<Decision<BumpLeaderEpochsReply>, BumpLeaderEpochsError> {
        if self.partitions.len() > RECORDS_PER_DECISION_MAX {
            return Err(BumpLeaderEpochsError::TooManyRecords { records: self.partitions.len() });
        }
        let mut bumped = BTreeMap::new();
        let (mut records, mut reply) = (Vec::new(), Vec::with_capacity(self.partitions.len()));
        for bump in &self.partitions {
            let LeaderEpochBump { topic, partition, .. } = *bump;
            let result = bumped_epoch(&metadata.image, &bumped, bump);
            if let Ok(leader_epoch) = result {
                bumped.insert((topic, partition), leader_epoch);
                let reason = self.reason;
                records.push(MetadataRecord::LeaderEpochBumped {
                    topic,
                    partition,
                    leader_epoch,
                    reason,
                });
            }
            reply.push(result);
        }
        Ok(Decision { records, reply })
    }
}

fn bumped_epoch(
    image: &Image,
    bumped: &BTreeMap<(TopicId, PartitionIndex), LeaderEpoch>,
    bump: &LeaderEpochBump,
) -> Result<LeaderEpoch, BumpLeaderEpochError> {
    let LeaderEpochBump { topic, partition, above } = *bump;
    let found = image.topic(topic).ok_or(BumpLeaderEpochError::UnknownTopic)?;
    let found = found.partition(partition).ok_or(BumpLeaderEpochError::UnknownPartition)?;
    let current = bumped.get(&(topic, partition)).copied().unwrap_or(found.leader_epoch);
    let next = current.max(above).0.checked_add(1).ok_or(BumpLeaderEpochError::Exhausted)?;
    Ok(LeaderEpoch(next))
}

impl fmt::Display for BumpLeaderEpochsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::TooManyRecords { records } = self;
        write!(f, "{records} partitions; one command takes {RECORDS_PER_DECISION_MAX}")
    }
}

impl core::error::Error for BumpLeaderEpochsError {}

impl fmt::Display for BumpLeaderEpochError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownTopic => "there is no such topic",
            Self::UnknownPartition => "the topic has no such partition",
            Self::Exhausted => "the partition has used up its leader epochs",
        })
    }
}

impl core::error::Error for BumpLeaderEpochError {}
