//! DescribeGroups: state and members of groups of the classic protocol.

use coordinator::group::Answer;
use coordinator::group::answer::Token;
use coordinator::group::describe::{DescribeGroup, DescribedGroup as Described, GroupState};
use protocol::messages::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};
use protocol::{ErrorCode, Str};

use super::authorise::{GROUP_OPERATIONS, Operation, Resource};
use super::groups::{EachGroup, GroupWork, unexpected};
use crate::error_code::groups as code_of;
use crate::shard::Shard;
use crate::shard::group_coordinator::question::GroupReply;
use crate::shard::requests::Head;
use crate::shard::responding::Collected;

/// Version from which a group that is not there is an error; before, it is a dead one.
const NOT_FOUND_FROM: i16 = 6;

/// The groups of a request.
#[derive(Debug)]
pub(crate) struct Describing {
    each: EachGroup<Described>,
    with_operations: bool,
}

impl Describing {
    /// Whether it was the last.
    pub(super) fn on_answer(&mut self, part: u32, reply: GroupReply, collected: Collected) -> bool {
        let answer = match reply {
            Ok(Answer::Describe(found)) => found.map_err(|why| code_of::too_large(why, collected)),
            Ok(_) => Err(unexpected()),
            Err(refused) => Err(code_of::refused(refused)),
        };
        self.each.on_answer(part, answer)
    }
}

impl Shard {
    pub(crate) fn describe_groups(&mut self, head: Head, body: DescribeGroupsRequest) {
        let groups = body.groups.into_iter().map(|group| {
            let allowed = self.is_allowed(&head, Operation::Describe, Resource::Group(&group));
            (group, (!allowed).then_some(ErrorCode::GroupAuthorizationFailed))
        });
        let groups = groups.collect();
        let with_operations = body.include_authorized_operations;
        let work = |each| GroupWork::DescribeGroups(Describing { each, with_operations });
        self.ask_each_group(head, groups, work, |group| DescribeGroup {
            token: Token(0),
            group,
            bytes_max: 0,
        });
    }

    pub(super) fn finish_describe_groups(&mut self, head: &Head, describing: Describing) {
        let Describing { each, with_operations } = describing;
        let described = each.groups.into_iter().map(|(group, found)| {
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
