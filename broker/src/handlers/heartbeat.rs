//! Heartbeat: a member lives; it hears of a rebalance that it has to join.

use coordinator::group::Answer;
use coordinator::group::answer::Token;
use coordinator::group::classic::heartbeat::Heartbeat;
use protocol::ErrorCode;
use protocol::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};

use super::authorise::{Operation, Resource};
use super::groups::{GroupWork, unexpected};
use crate::error_code::groups as code_of;
use crate::shard::Shard;
use crate::shard::group_coordinator::question::{GroupRefused, GroupReply};
use crate::shard::requests::Head;

impl Shard {
    pub(crate) fn heartbeat(&mut self, head: Head, body: HeartbeatRequest) {
        if !self.is_allowed(&head, Operation::Read, Resource::Group(&body.group_id)) {
            return self.answer_heartbeat(&head, ErrorCode::GroupAuthorizationFailed);
        }
        let question = Heartbeat {
            token: Token(0),
            group: body.group_id.clone(),
            member: body.member_id,
            instance: body.group_instance_id,
            generation: body.generation_id,
        };
        let request = self.begin_group_request(head, GroupWork::Heartbeat);
        self.ask_one_group(request, &body.group_id, question);
    }

    pub(super) fn finish_heartbeat(&mut self, head: &Head, reply: GroupReply) {
        let code = match reply {
            Ok(Answer::Heartbeat(Ok(()))) => ErrorCode::None,
            Ok(Answer::Heartbeat(Err(error))) => code_of::heartbeat(error),
            Ok(_) => unexpected(),
            // All sessions begin anew when the log is loaded: nobody has to do anything, as in Kafka.
            Err(GroupRefused::Loading) => ErrorCode::None,
            Err(refused) => code_of::refused(refused),
        };
        self.answer_heartbeat(head, code);
    }

    fn answer_heartbeat(&mut self, head: &Head, code: ErrorCode) {
        self.metrics.count_error(code.code());
        let error_code = code.code();
        self.respond(head, HeartbeatResponse { error_code, ..HeartbeatResponse::default() });
    }
}
