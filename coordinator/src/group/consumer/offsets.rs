//! Who may commit and fetch offsets of a group of the consumer protocol.

use protocol::PartitionIndex;

use super::{ConsumerGroup, ConsumerMember};
use crate::group::{
    ClusterTopics,
    answer::{CommitError, OffsetFetchError},
    commit::{OffsetCommit, OffsetToCommit},
    offset_fetch::FetchingMember,
};

impl ConsumerGroup {
    /// A member may commit in its epoch; in one before, what it has had since then: the answer with its new
    /// epoch may be on its way.
    pub(in crate::group) fn check_commit(
        &self,
        commit: &OffsetCommit,
        topics: &ClusterTopics,
    ) -> Result<(), CommitError> {
        // Tools, while nobody is a member.
        if commit.generation.is_none() && self.is_empty() {
            return Ok(());
        }
        let member = self.member(&commit.member).ok_or(CommitError::UnknownMember)?;
        if !member.is_classic() && !commit.knows_member_epochs {
            return Err(CommitError::UnsupportedVersion);
        }
        let epoch = commit.generation.unwrap_or(-1);
        if epoch == member.epoch() {
            return Ok(());
        }
        let may = |offset: &OffsetToCommit| {
            let id = match offset.topic_id.is_none() {
                true => topics.by_name(&offset.topic).map(|topic| topic.id),
                false => Some(offset.topic_id),
            };
            let since = id.and_then(|id| member.current().epoch_of(id, offset.partition));
            since.is_some_and(|since| since <= epoch)
        };
        match epoch < member.epoch() && commit.offsets.iter().all(may) {
            true => Ok(()),
            false if member.is_classic() => Err(CommitError::IllegalGeneration),
            false => Err(CommitError::StaleMemberEpoch),
        }
    }

    pub(in crate::group) fn check_fetch(
        &self,
        fetching: &FetchingMember,
    ) -> Result<(), OffsetFetchError> {
        let member = self.member(&fetching.member).ok_or(OffsetFetchError::UnknownMember)?;
        match fetching.member_epoch == member.epoch() {
            true => Ok(()),
            false if member.is_classic() => Err(OffsetFetchError::IllegalGeneration),
            false => Err(OffsetFetchError::StaleMemberEpoch),
        }
    }
}

impl ConsumerMember {
    /// Whether it has the partition, or has yet to give it back.
    pub fn owns(&self, topic: protocol::TopicId, partition: PartitionIndex) -> bool {
        self.current().epoch_of(topic, partition).is_some()
    }
}
