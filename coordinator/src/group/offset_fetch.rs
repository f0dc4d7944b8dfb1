//! OffsetFetch: where a group goes on.

use alloc::vec::Vec;

use protocol::{PartitionIndex, Str};

use super::{Answer, CommittedOffset, GroupCommand, GroupDecision, Groups, Moment, Offsets, Token};

/// An OffsetFetch request, for one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetFetch {
    pub token: Token,
    pub group: Str,
    pub topics: FetchedTopics,
    /// Offsets that a transaction has brought and not ended are not to be seen. No transaction brings any
    /// yet: an answer holds for both.
    pub require_stable: bool,
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
        let offsets = groups.offsets_of(&self.group);
        let fetched = match &self.topics {
            FetchedTopics::All => offsets.map(all).unwrap_or_default(),
            FetchedTopics::These(topics) => {
                topics.iter().map(|(topic, asked)| these(offsets, topic, asked)).collect()
            }
        };
        GroupDecision::answer(self.token, Answer::OffsetFetch(fetched))
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
