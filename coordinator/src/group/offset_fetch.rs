//! OffsetFetch: where a group goes on.

use alloc::vec::Vec;

use protocol::{PartitionIndex, Str};

use super::{
    Answer, CommittedOffset, GroupCommand, GroupDecision, Groups, Moment, Offsets, Token,
    answer::OffsetFetchError,
};

/// An OffsetFetch request, for one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetFetch {
    pub token: Token,
    pub group: Str,
    pub topics: FetchedTopics,
    /// Offsets that a transaction has brought and not ended are not to be seen. No transaction brings any
    /// yet: an answer holds for both.
    pub require_stable: bool,
    /// Who asks, where it says so (version 9 and later).
    pub member: Option<FetchingMember>,
}

/// A member of a group of the consumer protocol that asks. One of the classic protocol need not be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchingMember {
    pub member: Str,
    pub member_epoch: i32,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchedTopics {
    /// Whatever the group committed.
    All,
    These(Vec<(Str, Vec<PartitionIndex>)>),
}

/// The offsets of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedOffsets {
    pub topic: Str,
    /// `None`: nothing is committed there.
    pub partitions: Vec<(PartitionIndex, Option<CommittedOffset>)>,
}

/// A group that is not there has committed nothing: that is no error.
impl GroupCommand for OffsetFetch {
    fn decide(&self, groups: &Groups, _now: Moment) -> GroupDecision {
        if let Err(error) = self.check(groups) {
            return GroupDecision::answer(self.token, Answer::OffsetFetch(Err(error)));
        }
        let offsets = groups.offsets_of(&self.group);
        let fetched = match &self.topics {
            FetchedTopics::All => offsets.map(all).unwrap_or_default(),
            FetchedTopics::These(topics) => {
                topics.iter().map(|(topic, asked)| these(offsets, topic, asked)).collect()
            }
        };
        GroupDecision::answer(self.token, Answer::OffsetFetch(Ok(fetched)))
    }
}

impl OffsetFetch {
    fn check(&self, groups: &Groups) -> Result<(), OffsetFetchError> {
        match (groups.consumer(&self.group), &self.member) {
            (Some(group), Some(member)) => group.check_fetch(member),
            _ => Ok(()),
        }
    }
}

fn all(offsets: &Offsets) -> Vec<FetchedOffsets> {
    let of_topic = |topic: &Str| FetchedOffsets {
        topic: topic.clone(),
        partitions: offsets
            .of_topic(topic)
            .map(|(partition, offset)| (partition, Some(offset.clone())))
            .collect(),
    };
    offsets.topics().map(of_topic).collect()
}

fn these(offsets: Option<&Offsets>, topic: &Str, asked: &[PartitionIndex]) -> FetchedOffsets {
    let committed =
        |partition: PartitionIndex| offsets.and_then(|offsets| offsets.get(topic, partition));
    FetchedOffsets {
        topic: topic.clone(),
        partitions: asked.iter().map(|at| (*at, committed(*at).cloned())).collect(),
    }
}
