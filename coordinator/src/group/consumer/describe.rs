//! ConsumerGroupDescribe: what operators see of groups of the consumer protocol.

use alloc::vec::Vec;

use protocol::{PartitionIndex, Str, TopicId};

use super::{Assignor, ConsumerGroup, ConsumerMember, OwnedPartitions, partitions::PartitionSet};
use crate::group::{
    Answer, ClusterTopics, GroupCommand, GroupDecision, Groups, Moment, Token,
    answer::AnswerTooLarge,
    describe::{GroupState, GroupType},
    room::Room,
};

/// One group of a ConsumerGroupDescribe request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeConsumerGroup {
    pub token: Token,
    pub group: Str,
    /// Of the answer.
    pub bytes_max: usize,
}

/// A group in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedConsumerGroup {
    pub state: GroupState,
    pub epoch: i32,
    pub assignment_epoch: i32,
    pub assignor: &'static str,
    /// In the order of member ids.
    pub members: Vec<DescribedConsumerMember>,
}

/// A member as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedConsumerMember {
    pub member: Str,
    pub member_epoch: i32,
    pub instance: Option<Str>,
    pub rack: Option<Str>,
    pub client_id: Str,
    pub client_host: Str,
    pub topics: Vec<Str>,
    /// Empty: none.
    pub regex: Str,
    /// Which protocol the member itself speaks.
    pub member_type: GroupType,
    /// What it has, also what it has yet to give back. Topics that were deleted have no name and are left out.
    pub assignment: Vec<DescribedPartitions>,
    pub target: Vec<DescribedPartitions>,
}

/// Partitions of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedPartitions {
    pub topic_id: TopicId,
    pub topic: Str,
    pub partitions: Vec<PartitionIndex>,
}

impl GroupCommand for DescribeConsumerGroup {
    fn decide(&self, groups: &Groups, _now: Moment) -> GroupDecision {
        let described = Room::of_group(self.bytes_max).and_then(|mut room| {
            let group = groups.consumer(&self.group);
            group.map(|group| described(group, groups, &mut room)).transpose()
        });
        GroupDecision::answer(self.token, Answer::DescribeConsumer(described))
    }
}

fn described(
    group: &ConsumerGroup,
    groups: &Groups,
    room: &mut Room,
) -> Result<DescribedConsumerGroup, AnswerTooLarge> {
    let assignors = &groups.settings.consumer.assignors;
    let topics = &groups.topics;
    let mut members = Vec::new();
    for (id, member) in group.members() {
        let described = described_member(id, member, topics);
        room.take(described.bytes())?;
        members.push(described);
    }
    Ok(DescribedConsumerGroup {
        state: group.state(),
        epoch: group.epoch(),
        assignment_epoch: group.assignment_epoch(),
        assignor: group.preferred_assignor(assignors).name(),
        members,
    })
}

fn described_member(
    id: &Str,
    member: &ConsumerMember,
    topics: &ClusterTopics,
) -> DescribedConsumerMember {
    let said = member.said().cloned().unwrap_or_default();
    let current = member.current();
    let has = |owned: &OwnedPartitions| owned.listed();
    let mut owned = PartitionSet::new(has(&current.assigned));
    for (topic, partitions) in has(&current.revoking) {
        owned.add(topic, partitions);
    }
    let target = member.target().cloned().unwrap_or_default();
    DescribedConsumerMember {
        member: id.clone(),
        member_epoch: current.epoch,
        instance: said.instance.clone(),
        rack: said.rack.clone(),
        client_id: said.client_id.clone(),
        client_host: said.client_host.clone(),
        topics: said.topics.clone(),
        regex: said.regex.clone(),
        member_type: if member.is_classic() { GroupType::Classic } else { GroupType::Consumer },
        assignment: named(&owned, topics),
        target: named(&target, topics),
    }
}

fn named(set: &PartitionSet, topics: &ClusterTopics) -> Vec<DescribedPartitions> {
    let named = set.iter().filter_map(|(topic_id, partitions)| {
        let topic = topics.name_of(topic_id)?.clone();
        Some(DescribedPartitions { topic_id, topic, partitions: partitions.to_vec() })
    });
    named.collect()
}

impl ConsumerGroup {
    /// What most members ask for; of several the first of these, which is also the default.
    pub fn preferred_assignor(&self, assignors: &[Assignor]) -> Assignor {
        let votes = |assignor: &Assignor| self.index.assignor_count(assignor.name());
        let most = assignors.iter().map(votes).max().unwrap_or(0);
        let preferred = assignors.iter().find(|assignor| votes(assignor) == most);
        preferred.copied().unwrap_or(Assignor::Uniform)
    }
}
