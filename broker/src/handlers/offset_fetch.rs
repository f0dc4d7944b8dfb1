//! OffsetFetch: where groups go on; several groups at once from version 8.

use coordinator::group::Answer;
use coordinator::group::answer::Token;
use coordinator::group::offset_fetch::{
    FetchedOffsets, FetchedTopics, FetchingMember, OffsetFetch,
};
use protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchResponse, OffsetFetchResponseGroup,
    OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use protocol::{ErrorCode, PartitionIndex, Str};

use super::authorise::{Operation, Resource};
use super::groups::{GroupWork, unexpected};
use crate::error_code::groups as code_of;
use crate::limits::GROUPS_ASKED_MAX;
use crate::shard::Shard;
use crate::shard::group_coordinator::question::{GroupRefused, GroupReply};
use crate::shard::requests::Head;
use crate::shard::responding::Collected;

/// Version from which a request names several groups.
const GROUPS_FROM: i16 = 8;
/// Version from which an error of the group stands beside the topics; before, in each partition.
const GROUP_ERROR_FROM: i16 = 2;

/// What is asked for one group.
#[derive(Debug)]
struct Asked {
    group: Str,
    /// `None`: all.
    topics: Option<Vec<(Str, Vec<PartitionIndex>)>>,
    /// Topics that may not be read: they are not asked for.
    forbidden: Vec<(Str, Vec<PartitionIndex>)>,
    member: Option<FetchingMember>,
    found: Result<Vec<FetchedOffsets>, ErrorCode>,
}

/// The groups of a request, in its order.
#[derive(Debug)]
pub(crate) struct Fetching {
    groups: Vec<Asked>,
    outstanding: usize,
}

impl Fetching {
    /// Whether it was the last.
    pub(super) fn on_answer(&mut self, part: u32, reply: GroupReply, collected: Collected) -> bool {
        let asked = usize::try_from(part).ok().and_then(|at| self.groups.get_mut(at));
        let asked = asked.expect("answers are to parts that were asked");
        asked.found = match reply {
            Ok(Answer::OffsetFetch(Ok(found))) => Ok(found),
            Ok(Answer::OffsetFetch(Err(error))) => Err(code_of::offset_fetch(error, collected)),
            Ok(_) => Err(unexpected()),
            Err(refused) => Err(code_of::refused(refused)),
        };
        self.outstanding -= 1;
        self.outstanding == 0
    }
}

fn indexes(indexes: Vec<i32>) -> Vec<PartitionIndex> {
    indexes.into_iter().map(PartitionIndex).collect()
}

impl Shard {
    pub(crate) fn offset_fetch(&mut self, head: Head, body: OffsetFetchRequest) {
        let wanted: Vec<_> = if head.version >= GROUPS_FROM {
            let groups = body.groups.into_iter().map(|wanted| {
                let topics = wanted.topics.map(|topics| {
                    let topics = topics.into_iter();
                    topics.map(|topic| (topic.name, indexes(topic.partition_indexes))).collect()
                });
                let member_epoch = wanted.member_epoch;
                let member = wanted.member_id.filter(|member| !member.is_empty());
                let member = member.map(|member| FetchingMember { member, member_epoch });
                (wanted.group_id, topics, member)
            });
            groups.collect()
        } else {
            let topics = body.topics.map(|topics| {
                let topics = topics.into_iter();
                topics.map(|topic| (topic.name, indexes(topic.partition_indexes))).collect()
            });
            vec![(body.group_id, topics, None)]
        };
        let groups = wanted.into_iter().map(|(group, topics, member)| {
            let asked = self.asked(&head, group, topics);
            Asked { member, ..asked }
        });
        let groups: Vec<Asked> = groups.collect();
        let may_ask = |asked: &Asked| asked.found != Err(ErrorCode::GroupAuthorizationFailed);
        let questions = (0..).zip(&groups).filter(|(_, asked)| may_ask(asked));
        let questions = questions.take(GROUPS_ASKED_MAX).map(|(part, asked)| {
            let topics = asked.topics.clone().map_or(FetchedTopics::All, FetchedTopics::These);
            let (group, require_stable) = (asked.group.clone(), body.require_stable);
            let member = asked.member.clone();
            let home = self.home_of(&group);
            let (token, bytes_max) = (Token(0), 0);
            let question = OffsetFetch { token, group, topics, require_stable, member, bytes_max };
            (part, home, question.into())
        });
        let questions: Vec<_> = questions.collect();
        let fetching = Fetching { groups, outstanding: questions.len() };
        self.ask_groups(head, GroupWork::OffsetFetch(fetching), questions);
    }

    fn asked(
        &self,
        head: &Head,
        group: Str,
        topics: Option<Vec<(Str, Vec<PartitionIndex>)>>,
    ) -> Asked {
        let is_allowed = self.is_allowed(head, Operation::Describe, Resource::Group(&group));
        let found = match is_allowed {
            // Also of groups beyond those that are asked about: clients ask again, for these alone.
            true => Err(code_of::refused(GroupRefused::Unavailable)),
            false => Err(ErrorCode::GroupAuthorizationFailed),
        };
        let Some(topics) = topics else {
            return Asked { group, topics: None, forbidden: Vec::new(), member: None, found };
        };
        let (topics, forbidden) = topics.into_iter().partition(|(topic, _)| {
            self.is_allowed(head, Operation::Describe, Resource::Topic(topic))
        });
        Asked { group, topics: Some(topics), forbidden, member: None, found }
    }

    pub(super) fn finish_offset_fetch(&mut self, head: &Head, fetching: Fetching) {
        let groups = fetching.groups.into_iter().map(|asked| self.fetched(head, asked));
        let mut groups: Vec<OffsetFetchResponseGroup> = groups.collect();
        for group in &groups {
            self.metrics.count_error(group.error_code);
        }
        let response = if head.version >= GROUPS_FROM {
            OffsetFetchResponse { groups, ..OffsetFetchResponse::default() }
        } else {
            let group = groups.pop().expect("older versions ask for one group");
            let topics = group.topics.into_iter().map(older_topic).collect();
            let error_code = group.error_code;
            OffsetFetchResponse { topics, error_code, ..OffsetFetchResponse::default() }
        };
        self.respond(head, response);
    }

    fn fetched(&self, head: &Head, asked: Asked) -> OffsetFetchResponseGroup {
        let mut topics = Vec::new();
        let code = match asked.found {
            Ok(found) => {
                let visible = found.into_iter().filter(|topic| {
                    self.is_allowed(head, Operation::Describe, Resource::Topic(&topic.topic))
                });
                topics.extend(visible.map(found_topic));
                let forbidden = ErrorCode::TopicAuthorizationFailed;
                topics.extend(asked.forbidden.into_iter().map(|topic| failed(topic, forbidden)));
                ErrorCode::None
            }
            Err(code) => {
                // There the error has no other place.
                if head.version < GROUP_ERROR_FROM {
                    let all = asked.topics.into_iter().flatten().chain(asked.forbidden);
                    topics.extend(all.map(|topic| failed(topic, code)));
                }
                code
            }
        };
        OffsetFetchResponseGroup { group_id: asked.group, topics, error_code: code.code() }
    }
}

fn found_topic(found: FetchedOffsets) -> OffsetFetchResponseTopics {
    let partitions = found.partitions.into_iter().map(|(index, offset)| match offset {
        Some(offset) => OffsetFetchResponsePartitions {
            partition_index: index.0,
            committed_offset: offset.offset.0,
            committed_leader_epoch: offset.leader_epoch.map_or(-1, |epoch| epoch.0),
            metadata: Some(offset.metadata),
            error_code: ErrorCode::None.code(),
        },
        None => nothing(index, ErrorCode::None),
    });
    OffsetFetchResponseTopics { name: found.topic, partitions: partitions.collect() }
}

fn failed(
    (name, partitions): (Str, Vec<PartitionIndex>),
    code: ErrorCode,
) -> OffsetFetchResponseTopics {
    let partitions = partitions.into_iter().map(|index| nothing(index, code)).collect();
    OffsetFetchResponseTopics { name, partitions }
}

fn nothing(index: PartitionIndex, code: ErrorCode) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index: index.0,
        committed_offset: -1,
        committed_leader_epoch: -1,
        metadata: Some(Str::default()),
        error_code: code.code(),
    }
}

fn older_topic(topic: OffsetFetchResponseTopics) -> OffsetFetchResponseTopic {
    let partitions = topic.partitions.into_iter().map(|found| OffsetFetchResponsePartition {
        partition_index: found.partition_index,
        committed_offset: found.committed_offset,
        committed_leader_epoch: found.committed_leader_epoch,
        metadata: found.metadata,
        error_code: found.error_code,
    });
    OffsetFetchResponseTopic { name: topic.name, partitions: partitions.collect() }
}
