//! What one answer may collect: of the requests whose answers are as large as what groups hold.
//!
//! Bytes are counted in memory, which is more than on the wire, and never less than what an answer keeps alive.

use bytes::Bytes;
use protocol::Str;

use super::{
    Answer, CommittedOffset,
    answer::AnswerTooLarge,
    consumer::describe::{DescribedConsumerMember, DescribedPartitions},
    describe::{DescribedMember, ListedGroup},
    offset_fetch::FetchedOffsets,
};

/// A group or a member in an answer and in the response that is made of it, beside its strings.
const ITEM_BYTES: usize = 512;
/// A topic in both.
const TOPIC_BYTES: usize = 192;
/// An offset in both.
const OFFSET_BYTES: usize = 160;
/// A string in a list.
const STRING_BYTES: usize = size_of::<Str>();
/// The index of a partition in both.
const PARTITION_BYTES: usize = 8;

/// Filled until it is full.
#[derive(Debug)]
pub(super) struct Room {
    bytes_max: usize,
    left: usize,
}

impl Room {
    /// For one group.
    pub(super) fn of_group(bytes_max: usize) -> Result<Self, AnswerTooLarge> {
        let mut room = Self { bytes_max, left: bytes_max };
        room.take(ITEM_BYTES)?;
        Ok(room)
    }

    pub(super) fn take(&mut self, bytes: usize) -> Result<(), AnswerTooLarge> {
        let left = self.left.checked_sub(bytes);
        self.left = left.ok_or(AnswerTooLarge { bytes_max: self.bytes_max })?;
        Ok(())
    }
}

impl Answer {
    /// What it takes of the room for the answers to one request.
    pub fn bytes(&self) -> usize {
        ITEM_BYTES
            + match self {
                Self::OffsetFetch(Ok(topics)) => topics.iter().map(FetchedOffsets::bytes).sum(),
                Self::Describe(Ok(group)) => group.members.iter().map(DescribedMember::bytes).sum(),
                Self::DescribeConsumer(Ok(Some(group))) => {
                    group.members.iter().map(DescribedConsumerMember::bytes).sum()
                }
                Self::List(Ok(groups)) => groups.iter().map(ListedGroup::bytes).sum(),
                // As large as the request at most, or as what one record says of a group.
                _ => 0,
            }
    }
}

impl FetchedOffsets {
    pub(super) fn topic_bytes(topic: &Str) -> usize {
        TOPIC_BYTES + topic.len()
    }

    pub(super) fn offset_bytes(offset: Option<&CommittedOffset>) -> usize {
        OFFSET_BYTES + offset.map_or(0, |offset| offset.metadata.len())
    }

    fn bytes(&self) -> usize {
        let offsets = self.partitions.iter();
        Self::topic_bytes(&self.topic)
            + offsets.map(|(_, offset)| Self::offset_bytes(offset.as_ref())).sum::<usize>()
    }
}

impl DescribedMember {
    pub(super) fn bytes(&self) -> usize {
        ITEM_BYTES
            + self.member.len()
            + optional(self.instance.as_ref())
            + self.client_id.len()
            + self.client_host.len()
            + Bytes::len(&self.metadata)
            + Bytes::len(&self.assignment)
    }
}

impl DescribedConsumerMember {
    pub(super) fn bytes(&self) -> usize {
        let topics = self.topics.iter().map(|topic| 2 * STRING_BYTES + topic.len());
        let assigned = self.assignment.iter().chain(&self.target).map(DescribedPartitions::bytes);
        ITEM_BYTES
            + self.member.len()
            + optional(self.instance.as_ref())
            + optional(self.rack.as_ref())
            + self.client_id.len()
            + self.client_host.len()
            + self.regex.len()
            + topics.sum::<usize>()
            + assigned.sum::<usize>()
    }
}

impl DescribedPartitions {
    fn bytes(&self) -> usize {
        TOPIC_BYTES + self.topic.len() + PARTITION_BYTES * self.partitions.len()
    }
}

impl ListedGroup {
    pub(super) fn bytes(&self) -> usize {
        ITEM_BYTES / 2 + self.group.len() + self.protocol_type.len()
    }
}

fn optional(text: Option<&Str>) -> usize {
    text.map_or(0, |text| text.len())
}
