//! DeleteGroups: groups without members, with all that they committed.

use coordinator::group::Answer;
use coordinator::group::answer::Token;
use coordinator::group::delete::DeleteGroup;
use protocol::ErrorCode;
use protocol::messages::delete_groups::{
    DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse,
};

use super::authorise::{Operation, Resource};
use super::groups::{EachGroup, GroupWork, unexpected};
use crate::error_code::groups as code_of;
use crate::shard::Shard;
use crate::shard::group_coordinator::question::GroupReply;
use crate::shard::requests::Head;

/// The groups of a request.
#[derive(Debug)]
pub(crate) struct Deleting {
    each: EachGroup<()>,
}

impl Deleting {
    /// Whether it was the last.
    pub(super) fn on_answer(&mut self, part: u32, reply: GroupReply) -> bool {
        let answer = match reply {
            Ok(Answer::DeleteGroup(result)) => result.map_err(code_of::delete),
            Ok(_) => Err(unexpected()),
            Err(refused) => Err(code_of::refused(refused)),
        };
        self.each.on_answer(part, answer)
    }
}

impl Shard {
    pub(crate) fn delete_groups(&mut self, head: Head, body: DeleteGroupsRequest) {
        let groups = body.groups_names.into_iter().map(|group| {
            // Also the group without a name, as in Kafka: offsets may have been committed for it.
            let allowed = self.is_allowed(&head, Operation::Delete, Resource::Group(&group));
            (group, (!allowed).then_some(ErrorCode::GroupAuthorizationFailed))
        });
        let groups = groups.collect();
        let work = |each| GroupWork::DeleteGroups(Deleting { each });
        self.ask_each_group(head, groups, work, |group| DeleteGroup { token: Token(0), group });
    }

    pub(super) fn finish_delete_groups(&mut self, head: &Head, deleting: Deleting) {
        let results = deleting.each.groups.into_iter().map(|(group_id, result)| {
            let code = result.err().unwrap_or(ErrorCode::None);
            self.metrics.count_error(code.code());
            DeletableGroupResult { group_id, error_code: code.code() }
        });
        let results = results.collect();
        self.respond(head, DeleteGroupsResponse { results, ..DeleteGroupsResponse::default() });
    }
}
