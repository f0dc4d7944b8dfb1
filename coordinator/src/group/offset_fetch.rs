//! OffsetFetch: where a group goes on.

use alloc::vec::Vec;

use protocol::{PartitionIndex, Str};

use super::{
    Answer, CommittedOffset, GroupCommand, GroupDecision, Groups, Moment, Offsets, Token,
    answer::{AnswerTooLarge, OffsetFetchError},
    room::Room,
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
    /// Of the answer.
    pub bytes_max: usize,
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
        let fetched = self.check(groups).and_then(|()| Ok(self.fetch(groups)?));
        GroupDecision::answer(self.token, Answer::OffsetFetch(fetched))
    }
}

impl OffsetFetch {
    fn fetch(&self, groups: &Groups) -> Result<Vec<FetchedOffsets>, AnswerTooLarge> {
        let mut room = Room::of_group(self.bytes_max)?;
        let offsets = groups.offsets_of(&self.group);
        match &self.topics {
            FetchedTopics::All => match offsets {
                Some(offsets) => all(offsets, &mut room),
                None => Ok(Vec::new()),
            },
            FetchedTopics::These(topics) => {
                let topics = topics.iter();
                topics.map(|(topic, asked)| these(offsets, topic, asked, &mut room)).collect()
            }
        }
    }

    fn check(&self, groups: &Groups) -> Result<(), OffsetFetchError> {
        match (groups.consumer(&self.group), &self.member) {
            (Some(group), Some(member)) => group.check_fetch(member),
            _ => Ok(()),
        }
    }
}

fn all(offsets: &Offsets, room: &mut Room) -> Result<Vec<FetchedOffsets>, AnswerTooLarge> {
    let of_topic = |topic: &Str| {
        let known = offsets.of_topic(topic).map(|(partition, offset)| (partition, Some(offset)));
        fetched(topic, known, room)
    };
    offsets.topics().map(of_topic).collect()
}

fn these(
    offsets: Option<&Offsets>,
    topic: &Str,
    asked: &[PartitionIndex],
    room: &mut Room,
) -> Result<FetchedOffsets, AnswerTooLarge> {
    let committed =
        |partition: PartitionIndex| offsets.and_then(|offsets| offsets.get(topic, partition));
    fetched(topic, asked.iter().map(|at| (*at, committed(*at))), room)
}

fn fetched<'a>(
    topic: &Str,
    found: impl Iterator<Item = (PartitionIndex, Option<&'a CommittedOffset>)>,
    room: &mut Room,
) -> Result<FetchedOffsets, AnswerTooLarge> {
    room.take(FetchedOffsets::topic_bytes(topic))?;
    let mut partitions = Vec::new();
    for (partition, offset) in found {
        room.take(FetchedOffsets::offset_bytes(offset))?;
        partitions.push((partition, offset.cloned()));
    }
    Ok(FetchedOffsets { topic: topic.clone(), partitions })
}
