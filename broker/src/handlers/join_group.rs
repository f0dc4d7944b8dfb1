//! JoinGroup: the answer comes when the rebalance is complete, or with a refusal at once.

use bytes::Bytes;
use coordinator::group::Answer;
use coordinator::group::answer::{JoinError, Joined, Token};
use coordinator::group::classic::join::JoinGroup;
use protocol::messages::join_group::{
    JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember,
};
use protocol::{ErrorCode, Str};

use super::authorise::{Operation, Resource};
use super::groups::{GroupWork, unexpected};
use crate::error_code::groups as code_of;
use crate::limits::MEMBER_NAME_BYTES_MAX;
use crate::shard::Shard;
use crate::shard::group_coordinator::question::GroupReply;
use crate::shard::requests::Head;

/// Version from which a member without an id is given one to come back with.
const GIVEN_IDS_FROM: i16 = 4;
/// Version from which the protocol's type and name may be null.
const NULL_PROTOCOL_FROM: i16 = 7;
/// Version from which a leader can be told to assign nothing.
const SKIP_ASSIGNMENT_FROM: i16 = 9;

/// What the answer repeats.
#[derive(Debug)]
pub(crate) struct Joining {
    member: Str,
}

impl Shard {
    pub(crate) fn join_group(&mut self, head: Head, client: Option<Str>, body: JoinGroupRequest) {
        // While it waits it pins no frame.
        let joining = Joining { member: body.member_id.detached() };
        if !self.is_allowed(&head, Operation::Read, Resource::Group(&body.group_id)) {
            let code = ErrorCode::GroupAuthorizationFailed;
            return self.refuse_join(&head, joining.member, code);
        }
        let client_id = client.unwrap_or_default();
        let named_after = body.group_instance_id.as_ref().unwrap_or(&client_id);
        let named_after = &named_after[..named_after.floor_char_boundary(MEMBER_NAME_BYTES_MAX)];
        let new_member = Str::from(format!("{named_after}-{}", self.front.random.uuid()));
        let rebalance_timeout_ms = match body.rebalance_timeout_ms {
            -1 => body.session_timeout_ms,
            timeout_ms => timeout_ms,
        };
        let protocols = body.protocols.into_iter().map(|known| (known.name, known.metadata));
        let question = JoinGroup {
            token: Token(0),
            group: body.group_id.clone(),
            member: body.member_id,
            new_member,
            instance: body.group_instance_id,
            client_id,
            client_host: self.client_host(&head),
            session_timeout_ms: body.session_timeout_ms,
            rebalance_timeout_ms,
            protocol_type: body.protocol_type,
            protocols: protocols.collect(),
            knows_given_ids: head.version >= GIVEN_IDS_FROM,
            may_skip_assignment: head.version >= SKIP_ASSIGNMENT_FROM,
        };
        match self.begin_group_wait(head, GroupWork::JoinGroup(joining)) {
            Some(request) => self.ask_one_group(request, &body.group_id, question),
            None => self.refuse_join(&head, question.member, ErrorCode::CoordinatorNotAvailable),
        }
    }

    pub(super) fn finish_join_group(&mut self, head: &Head, joining: Joining, reply: GroupReply) {
        let refused = match reply {
            Ok(Answer::Join(Ok(joined))) => {
                let response = response(head, joined);
                return self.respond(head, response);
            }
            Ok(Answer::Join(Err(JoinError::MemberIdRequired { member }))) => {
                return self.refuse_join(head, member, ErrorCode::MemberIdRequired);
            }
            Ok(Answer::Join(Err(error))) => code_of::join(&error),
            Ok(_) => unexpected(),
            Err(refused) => code_of::refused(refused),
        };
        self.refuse_join(head, joining.member, refused);
    }

    fn refuse_join(&mut self, head: &Head, member_id: Str, code: ErrorCode) {
        self.metrics.count_error(code.code());
        let none = (head.version < NULL_PROTOCOL_FROM).then(Str::default);
        let response = JoinGroupResponse {
            error_code: code.code(),
            generation_id: -1,
            protocol_name: none,
            member_id,
            ..JoinGroupResponse::default()
        };
        self.respond(head, response);
    }
}

fn response(head: &Head, joined: Joined) -> JoinGroupResponse {
    let members = joined.members.into_iter().map(|member| JoinGroupResponseMember {
        member_id: member.member,
        group_instance_id: member.instance,
        metadata: Bytes::clone(&member.metadata),
    });
    JoinGroupResponse {
        error_code: ErrorCode::None.code(),
        generation_id: joined.generation,
        protocol_type: (head.version >= NULL_PROTOCOL_FROM).then_some(joined.protocol_type),
        protocol_name: Some(joined.protocol),
        leader: joined.leader,
        skip_assignment: joined.skips_assignment,
        member_id: joined.member,
        members: members.collect(),
        ..JoinGroupResponse::default()
    }
}
