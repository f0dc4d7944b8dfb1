//! DescribeGroups: state and members of groups of the classic protocol.

use coordinator::group::Answer;
use coordinator::group::answer::Token;
use coordinator::group::describe::{DescribeGroup, DescribedGroup as Described, GroupState};
use protocol::messages::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};
use protocol::{ErrorCode, Str};

use super::authorise::{GROUP_OPERATIONS, Operation, Resource};
use super::groups::{GroupWork, unexpected};
use crate::error_code::groups as code_of;
use crate::shard::Shard;
use crate::shard::group_coordinator::question::{GroupRefused, GroupReply};
use crate::shard::requests::Head;

/// Version from which a group that is not there is an error; before, it is a dead one.
const NOT_FOUND_FROM: i16 = 6;

/// The groups of a request, in its order.
#[derive(Debug)]
pub(crate) struct Describing {
    groups: Vec<(Str, Result<Described, ErrorCode>)>,
    outstanding: usize,
    with_operations: bool,
}

impl Describing {
    /// Whether it was the last.
    pub(super) fn on_answer(&mut self, part: u32, reply: GroupReply) -> bool {
        let group = usize::try_from(part).ok().and_then(|at| self.groups.get_mut(at));
        let group = group.expect("answers are to parts that were asked");
        group.1 = match reply {
            Ok(Answer::Describe(described)) => Ok(described),
            Ok(_) => Err(unexpected()),
            Err(refused) => Err(code_of::refused(refused)),
        };
        self.outstanding -= 1;
        self.outstanding == 0
    }
}

impl Shard {
    pub(crate) fn describe_groups(&mut self, head: Head, body: DescribeGroupsRequest) {
        let missing = code_of::refused(GroupRefused::NotCoordinator);
        let groups = body.groups.into_iter().map(|group| {
            let allowed = self.is_allowed(&head, Operation::Describe, Resource::Group(&group));
            let code = if allowed { missing } else { ErrorCode::GroupAuthorizationFailed };
            (group, Err(code))
        });
        let groups: Vec<(Str, Result<Described, ErrorCode>)> = groups.collect();
        let questions = groups.iter().enumerate().filter(|(_, group)| group.1 == Err(missing));
        let questions = questions.map(|(at, group)| (at, group.0.clone()));
        let questions: Vec<(usize, Str)> = questions.collect();
        let describing = Describing {
            groups,
            outstanding: questions.len(),
            with_operations: body.include_authorized_operations,
        };
        if questions.is_empty() {
            return self.finish_describe_groups(&head, describing);
        }
        let request = self.begin_group_request(head, GroupWork::DescribeGroups(describing));
        for (at, group) in questions {
            let part = u32::try_from(at).expect("a frame is below 4 GiB");
            match self.home_of(&group) {
                Ok(home) => {
                    let question = DescribeGroup { token: Token(0), group };
                    self.ask_group((request, part), home, question);
                }
                Err(refused) => self.on_group_answer(request, part, Err(refused)),
            }
        }
    }

    pub(super) fn finish_describe_groups(&mut self, head: &Head, describing: Describing) {
        let Describing { groups, with_operations, .. } = describing;
        let described = groups.into_iter().map(|(group, found)| {
            let operations = if with_operations { GROUP_OPERATIONS } else { i32::MIN };
            shown(head, group, found, operations)
        });
        let groups: Vec<DescribedGroup> = described.collect();
        for group in &groups {
            self.metrics.count_error(group.error_code);
        }
        self.respond(head, DescribeGroupsResponse { groups, ..DescribeGroupsResponse::default() });
    }
}

fn shown(
    head: &Head,
    group_id: Str,
    found: Result<Described, ErrorCode>,
    operations: i32,
) -> DescribedGroup {
    let mut shown = DescribedGroup { group_id, ..DescribedGroup::default() };
    let found = match found {
        Ok(found) => found,
        Err(code) => {
            shown.error_code = code.code();
            return shown;
        }
    };
    if found.state == GroupState::Dead && head.version >= NOT_FOUND_FROM {
        shown.error_code = ErrorCode::GroupIdNotFound.code();
        let text = format!("Group {} not found.", shown.group_id);
        shown.error_message = Some(Str::from(text));
    }
    let members = found.members.into_iter().map(|member| DescribedGroupMember {
        member_id: member.member,
        group_instance_id: member.instance,
        client_id: member.client_id,
        client_host: member.client_host,
        member_metadata: member.metadata,
        member_assignment: member.assignment,
    });
    DescribedGroup {
        group_state: Str::from_static(found.state.name()),
        protocol_type: found.protocol_type,
        protocol_data: found.protocol,
        members: members.collect(),
        authorized_operations: operations,
        ..shown
    }
}
