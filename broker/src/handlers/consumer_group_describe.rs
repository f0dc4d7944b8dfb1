//! ConsumerGroupDescribe: state and members of groups of the consumer protocol.

use coordinator::group::Answer;
use coordinator::group::answer::Token;
use coordinator::group::consumer::describe::{
    DescribeConsumerGroup, DescribedConsumerGroup, DescribedConsumerMember, DescribedPartitions,
};
use coordinator::group::describe::GroupType;
use protocol::messages::consumer_group_describe::{
    Assignment, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DescribedGroup,
    Member, TopicPartitions,
};
use protocol::{ErrorCode, Str};

use super::authorise::{GROUP_OPERATIONS, Operation};
use super::groups::{EachGroup, GroupWork, unexpected};
use crate::error_code::groups as code_of;
use crate::shard::Shard;
use crate::shard::group_coordinator::question::GroupReply;
use crate::shard::requests::Head;
use crate::shard::responding::Collected;

/// Kafka's numbers for which protocol a member speaks.
const CLASSIC_MEMBER: i8 = 0;
const CONSUMER_MEMBER: i8 = 1;

/// The groups of a request.
#[derive(Debug)]
pub(crate) struct Describing {
    each: EachGroup<DescribedConsumerGroup>,
    with_operations: bool,
}

impl Describing {
    /// Whether it was the last.
    pub(super) fn on_answer(&mut self, part: u32, reply: GroupReply, collected: Collected) -> bool {
        let answer = match reply {
            Ok(Answer::DescribeConsumer(found)) => match found {
                Ok(found) => found.ok_or(ErrorCode::GroupIdNotFound),
                Err(why) => Err(code_of::too_large(why, collected)),
            },
            Ok(_) => Err(unexpected()),
            Err(refused) => Err(code_of::refused(refused)),
        };
        self.each.on_answer(part, answer)
    }
}

impl Shard {
    pub(crate) fn consumer_group_describe(
        &mut self,
        head: Head,
        body: ConsumerGroupDescribeRequest,
    ) {
        let groups = body.group_ids.into_iter().map(|group| {
            let refused = self.group_refused(&head, Operation::Describe, &group);
            (group, refused)
        });
        let groups = groups.collect();
        let with_operations = body.include_authorized_operations;
        let work = |each| GroupWork::ConsumerGroupDescribe(Describing { each, with_operations });
        let question = |group| DescribeConsumerGroup { token: Token(0), group, bytes_max: 0 };
        self.ask_each_group(head, groups, work, question);
    }

    pub(super) fn finish_consumer_group_describe(&mut self, head: &Head, describing: Describing) {
        let Describing { each, with_operations } = describing;
        let operations = if with_operations { GROUP_OPERATIONS } else { i32::MIN };
        let groups = each.groups.into_iter().map(|(group, found)| shown(group, found, operations));
        let groups: Vec<DescribedGroup> = groups.collect();
        for group in &groups {
            self.metrics.count_error(group.error_code);
        }
        let response =
            ConsumerGroupDescribeResponse { groups, ..ConsumerGroupDescribeResponse::default() };
        self.respond(head, response);
    }
}

fn shown(
    group_id: Str,
    found: Result<DescribedConsumerGroup, ErrorCode>,
    operations: i32,
) -> DescribedGroup {
    match found {
        Ok(found) => DescribedGroup {
            group_id,
            group_state: Str::from_static(found.state.name()),
            group_epoch: found.epoch,
            assignment_epoch: found.assignment_epoch,
            assignor_name: Str::from_static(found.assignor),
            members: found.members.into_iter().map(shown_member).collect(),
            authorized_operations: operations,
            ..DescribedGroup::default()
        },
        Err(code) => {
            let text = (code == ErrorCode::GroupIdNotFound)
                .then(|| Str::from(format!("Group {group_id} not found.")));
            DescribedGroup {
                group_id,
                error_code: code.code(),
                error_message: text,
                ..DescribedGroup::default()
            }
        }
    }
}

fn shown_member(member: DescribedConsumerMember) -> Member {
    Member {
        member_id: member.member,
        instance_id: member.instance,
        rack_id: member.rack,
        member_epoch: member.member_epoch,
        client_id: member.client_id,
        client_host: member.client_host,
        subscribed_topic_names: member.topics,
        subscribed_topic_regex: (!member.regex.is_empty()).then_some(member.regex),
        assignment: assignment(member.assignment),
        target_assignment: assignment(member.target),
        member_type: match member.member_type {
            GroupType::Classic => CLASSIC_MEMBER,
            GroupType::Consumer => CONSUMER_MEMBER,
        },
    }
}

fn assignment(partitions: Vec<DescribedPartitions>) -> Assignment {
    let topics = partitions.into_iter().map(|of| TopicPartitions {
        topic_id: of.topic_id,
        topic_name: of.topic,
        partitions: of.partitions.into_iter().map(|partition| partition.0).collect(),
    });
    Assignment { topic_partitions: topics.collect() }
}
