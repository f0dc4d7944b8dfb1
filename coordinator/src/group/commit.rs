//! OffsetCommit: a member, or a consumer that works without a group's members, leaves where it stands.

use alloc::vec::Vec;

use protocol::{LeaderEpoch, Offset, PartitionIndex, Str, TopicId};

use super::{
    Answer, DurableRecord, GroupCommand, GroupDecision, Groups, Moment, Token,
    answer::{CommitError, OffsetRefused},
    batch::Batch,
    classic::{ClassicState, change::Change},
    memory::{AsksFor, WithoutMemory},
    offsets::CommittedOffset,
};
use crate::{
    limits::{COMMIT_OFFSETS_MAX, OFFSET_METADATA_BYTES_MAX},
    metadata::WallMillis,
};

/// An OffsetCommit request. That its topics and partitions exist was checked before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetCommit {
    pub token: Token,
    /// May be empty, as in Kafka.
    pub group: Str,
    /// Empty: it is no member.
    pub member: Str,
    pub instance: Option<Str>,
    /// `None`: it is in no generation.
    pub generation: Option<i32>,
    /// Named by versions 2 to 4 only.
    pub retention_ms: Option<i64>,
    /// Version 9 and later: the generation may be a member's epoch.
    pub knows_member_epochs: bool,
    pub offsets: Vec<OffsetToCommit>,
}

/// One partition of the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetToCommit {
    pub topic: Str,
    pub topic_id: TopicId,
    pub partition: PartitionIndex,
    pub offset: Offset,
    pub leader_epoch: Option<LeaderEpoch>,
    pub metadata: Str,
    /// Named by version 1 only.
    pub committed_at: Option<WallMillis>,
}

impl GroupCommand for OffsetCommit {
    fn decide(&self, groups: &Groups, now: Moment) -> GroupDecision {
        let mut change = Change::of(groups, &self.group, now);
        let result = self.check(groups, &change).and_then(|()| self.commit(groups, &mut change));
        change.answer(self.token, Answer::Commit(result));
        change.decided()
    }

    fn without_memory(&self, _groups: &Groups) -> Option<WithoutMemory> {
        let answer = Answer::Commit(Err(CommitError::OutOfMemory));
        Some(WithoutMemory { asks_for: AsksFor::Newcomer, token: self.token, answer })
    }
}

impl OffsetCommit {
    fn check(&self, groups: &Groups, change: &Change<'_>) -> Result<(), CommitError> {
        self.check_membership(groups, change)?;
        if !groups.has_room_for_offsets_of(&self.group) {
            return Err(CommitError::TooManyGroups);
        }
        if self.offsets.len() > COMMIT_OFFSETS_MAX {
            return Err(CommitError::TooLarge);
        }
        Ok(())
    }

    /// Who is in no generation may commit while nobody is a member: tools, and consumers that assign
    /// themselves. A group that is not there begins so.
    fn check_membership(&self, groups: &Groups, change: &Change<'_>) -> Result<(), CommitError> {
        if let Some(consumers) = groups.consumer(&self.group) {
            return consumers.check_commit(self, &groups.topics);
        }
        let group = &change.group;
        let Some(generation) = self.generation else {
            if group.state() == ClassicState::Empty {
                return Ok(());
            }
            if !self.member.is_empty() || self.instance.is_some() {
                group.check_member(&self.member, self.instance.as_ref())?;
                return Err(CommitError::IllegalGeneration);
            }
            return Err(CommitError::UnknownMember);
        };
        if !groups.contains(&self.group) {
            return Err(CommitError::UnknownGroup);
        }
        group.check_member(&self.member, self.instance.as_ref())?;
        if group.generation() != generation {
            return Err(CommitError::IllegalGeneration);
        }
        // The member knows the new generation and not yet what it is to read in it: what it commits
        // may be another's already. While members still join, it is its own.
        if group.state() == ClassicState::CompletingRebalance {
            return Err(CommitError::RebalanceInProgress);
        }
        Ok(())
    }

    fn commit(
        &self,
        groups: &Groups,
        change: &mut Change<'_>,
    ) -> Result<Vec<Result<(), OffsetRefused>>, CommitError> {
        let max = change.settings.offset_metadata_max.min(OFFSET_METADATA_BYTES_MAX);
        let known = groups.offsets_of(change.id());
        let mut batch = Batch::default();
        let mut results = Vec::with_capacity(self.offsets.len());
        for commit in &self.offsets {
            if !fits(&commit.metadata, max) {
                results.push(Err(OffsetRefused::MetadataTooLarge));
                continue;
            }
            let topic = known
                .map_or_else(|| commit.topic.detached(), |offsets| offsets.name_of(&commit.topic));
            let group = change.id().clone();
            let (partition, value) = (commit.partition, self.value(commit, change.now));
            if !batch.push(DurableRecord::Offset { group, topic, partition, value }) {
                return Err(CommitError::TooLarge);
            }
            results.push(Ok(()));
        }
        change.extend_session(&self.member);
        change.write_all(batch);
        Ok(results)
    }

    fn value(&self, commit: &OffsetToCommit, now: Moment) -> CommittedOffset {
        let value = CommittedOffset {
            offset: commit.offset,
            leader_epoch: commit.leader_epoch,
            metadata: commit.metadata.detached(),
            committed_at: commit.committed_at.unwrap_or(now.wall),
            expires_at: None,
            topic_id: commit.topic_id,
        };
        let Some(retention_ms) = self.retention_ms else { return value };
        let expires_at = Some(WallMillis(now.wall.0.saturating_add(retention_ms)));
        CommittedOffset { expires_at, leader_epoch: None, topic_id: TopicId::NONE, ..value }
    }
}

/// Kafka counts as Java does, in UTF-16: never more than in bytes. What does not fit a record's string in
/// bytes is refused as well.
fn fits(metadata: &str, max: usize) -> bool {
    metadata.len() <= max
        || (metadata.len() <= OFFSET_METADATA_BYTES_MAX && metadata.encode_utf16().count() <= max)
}
