//! SyncGroup: the leader brings the assignments, and everybody gets theirs.

use coordinator::group::Answer;
use coordinator::group::answer::Token;
use coordinator::group::classic::sync::SyncGroup;
use protocol::ErrorCode;
use protocol::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};

use super::authorise::{Operation, Resource};
use super::groups::{GroupWork, unexpected};
use crate::error_code::groups as code_of;
use crate::shard::Shard;
use crate::shard::group_coordinator::question::GroupReply;
use crate::shard::requests::Head;

/// Version from which a member says what it thinks was agreed on.
const PROTOCOL_FROM: i16 = 5;

impl Shard {
    pub(crate) fn sync_group(&mut self, head: Head, body: SyncGroupRequest) {
        if !self.is_allowed(&head, Operation::Read, Resource::Group(&body.group_id)) {
            return self.refuse_sync(&head, ErrorCode::GroupAuthorizationFailed);
        }
        let says_protocol = body.protocol_type.is_some() && body.protocol_name.is_some();
        if head.version >= PROTOCOL_FROM && !says_protocol {
            return self.refuse_sync(&head, ErrorCode::InconsistentGroupProtocol);
        }
        let assignments = body.assignments.into_iter();
        let question = SyncGroup {
            token: Token(0),
            group: body.group_id.clone(),
            member: body.member_id,
            instance: body.group_instance_id,
            generation: body.generation_id,
            protocol_type: body.protocol_type,
            protocol: body.protocol_name,
            assignments: assignments.map(|given| (given.member_id, given.assignment)).collect(),
        };
        match self.begin_group_wait(head, GroupWork::SyncGroup) {
            Some(request) => self.ask_one_group(request, &body.group_id, question),
            None => self.refuse_sync(&head, ErrorCode::CoordinatorNotAvailable),
        }
    }

    pub(super) fn finish_sync_group(&mut self, head: &Head, reply: GroupReply) {
        let refused = match reply {
            Ok(Answer::Sync(Ok(synced))) => {
                let response = SyncGroupResponse {
                    error_code: ErrorCode::None.code(),
                    protocol_type: Some(synced.protocol_type),
                    protocol_name: Some(synced.protocol),
                    assignment: synced.assignment,
                    ..SyncGroupResponse::default()
                };
                return self.respond(head, response);
            }
            Ok(Answer::Sync(Err(error))) => code_of::sync(error),
            Ok(_) => unexpected(),
            Err(refused) => code_of::refused_member(refused),
        };
        self.refuse_sync(head, refused);
    }

    fn refuse_sync(&mut self, head: &Head, code: ErrorCode) {
        self.metrics.count_error(code.code());
        let error_code = code.code();
        self.respond(head, SyncGroupResponse { error_code, ..SyncGroupResponse::default() });
    }
}
