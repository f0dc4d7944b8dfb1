//! LeaveGroup: a member goes, or an administrator removes several.

use coordinator::group::Answer;
use coordinator::group::answer::Token;
use coordinator::group::classic::leave::{LeaveGroup, Leaving as LeavingMember};
use protocol::ErrorCode;
use protocol::messages::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberResponse};

use super::authorise::{Operation, Resource};
use super::groups::{GroupWork, unexpected};
use crate::error_code::groups as code_of;
use crate::shard::Shard;
use crate::shard::group_coordinator::question::GroupReply;
use crate::shard::requests::Head;

/// Version from which several members leave at once, each with an answer of its own.
const MEMBERS_FROM: i16 = 3;

/// Who leaves, in the request's order.
#[derive(Debug)]
pub(crate) struct Leaving {
    members: Vec<LeavingMember>,
}

impl Shard {
    pub(crate) fn leave_group(&mut self, head: Head, body: LeaveGroupRequest) {
        let members: Vec<LeavingMember> = if head.version < MEMBERS_FROM {
            vec![LeavingMember { member: body.member_id, instance: None }]
        } else {
            let members = body.members.into_iter().map(|member| LeavingMember {
                member: member.member_id,
                instance: member.group_instance_id,
            });
            members.collect()
        };
        let leaving = Leaving { members: members.clone() };
        let refused = if !self.is_allowed(&head, Operation::Read, Resource::Group(&body.group_id)) {
            Some(ErrorCode::GroupAuthorizationFailed)
        } else if body.group_id.is_empty() {
            Some(ErrorCode::InvalidGroupId)
        } else {
            None
        };
        if let Some(code) = refused {
            return self.answer_leave(&head, code, Vec::new());
        }
        let question = LeaveGroup { token: Token(0), group: body.group_id.clone(), members };
        let request = self.begin_group_request(head, GroupWork::LeaveGroup(leaving));
        self.ask_one_group(request, &body.group_id, question);
    }

    pub(super) fn finish_leave_group(&mut self, head: &Head, leaving: Leaving, reply: GroupReply) {
        let results = match reply {
            Ok(Answer::Leave(results)) => results,
            Ok(_) => return self.answer_leave(head, unexpected(), Vec::new()),
            Err(refused) => {
                return self.answer_leave(head, code_of::refused(refused), Vec::new());
            }
        };
        let codes = results.iter().map(|result| match result {
            Ok(()) => ErrorCode::None,
            Err(error) => code_of::leave(*error),
        });
        let codes: Vec<ErrorCode> = codes.collect();
        if head.version < MEMBERS_FROM {
            let code = codes.first().copied().unwrap_or(ErrorCode::None);
            return self.answer_leave(head, code, Vec::new());
        }
        let members = leaving.members.into_iter().zip(codes).map(|(member, code)| MemberResponse {
            member_id: member.member,
            group_instance_id: member.instance,
            error_code: code.code(),
        });
        self.answer_leave(head, ErrorCode::None, members.collect());
    }

    fn answer_leave(&mut self, head: &Head, code: ErrorCode, members: Vec<MemberResponse>) {
        self.metrics.count_error(code.code());
        for member in &members {
            self.metrics.count_error(member.error_code);
        }
        let error_code = code.code();
        let response = LeaveGroupResponse { error_code, members, ..LeaveGroupResponse::default() };
        self.respond(head, response);
    }
}
