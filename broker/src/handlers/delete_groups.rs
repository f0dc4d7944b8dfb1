//! DeleteGroups: groups without members, with all that they committed.

use coordinator::group::Answer;
use coordinator::group::answer::Token;
use coordinator::group::delete::DeleteGroup;
use protocol::messages::delete_groups::{
    DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse,
};
use protocol::{ErrorCode, Str};

use super::authorise::{Operation, Resource};
use super::groups::{GroupWork, unexpected};
use crate::error_code::groups as code_of;
use crate::shard::Shard;
use crate::shard::group_coordinator::question::{GroupRefused, GroupReply};
use crate::shard::requests::Head;

/// The groups of a request, in its order.
#[derive(Debug)]
pub(crate) struct Deleting {
    groups: Vec<(Str, ErrorCode)>,
    outstanding: usize,
}

impl Deleting {
    /// Whether it was the last.
    pub(super) fn on_answer(&mut self, part: u32, reply: GroupReply) -> bool {
        let group = usize::try_from(part).ok().and_then(|at| self.groups.get_mut(at));
        let group = group.expect("answers are to parts that were asked");
        group.1 = match reply {
            Ok(Answer::DeleteGroup(Ok(()))) => ErrorCode::None,
            Ok(Answer::DeleteGroup(Err(error))) => code_of::delete(error),
            Ok(_) => unexpected(),
            Err(refused) => code_of::refused(refused),
        };
        self.outstanding -= 1;
        self.outstanding == 0
    }
}

impl Shard {
    pub(crate) fn delete_groups(&mut self, head: Head, body: DeleteGroupsRequest) {
        let missing = code_of::refused(GroupRefused::NotCoordinator);
        let groups = body.groups_names.into_iter().map(|group| {
            let allowed = self.is_allowed(&head, Operation::Delete, Resource::Group(&group));
            let code = if !allowed {
                ErrorCode::GroupAuthorizationFailed
            } else if group.is_empty() {
                ErrorCode::InvalidGroupId
            } else {
                missing
            };
            (group, code)
        });
        let groups: Vec<(Str, ErrorCode)> = groups.collect();
        let questions = groups.iter().enumerate().filter(|(_, group)| group.1 == missing);
        let questions = questions.map(|(at, group)| (at, group.0.clone()));
        let questions: Vec<(usize, Str)> = questions.collect();
        let deleting = Deleting { groups, outstanding: questions.len() };
        if questions.is_empty() {
            return self.finish_delete_groups(&head, deleting);
        }
        let request = self.begin_group_request(head, GroupWork::DeleteGroups(deleting));
        for (at, group) in questions {
            let part = u32::try_from(at).expect("a frame is below 4 GiB");
            match self.home_of(&group) {
                Ok(home) => {
                    let question = DeleteGroup { token: Token(0), group };
                    self.ask_group((request, part), home, question);
                }
                Err(refused) => self.on_group_answer(request, part, Err(refused)),
            }
        }
    }

    pub(super) fn finish_delete_groups(&mut self, head: &Head, deleting: Deleting) {
        let results = deleting.groups.into_iter().map(|(group_id, code)| {
            self.metrics.count_error(code.code());
            DeletableGroupResult { group_id, error_code: code.code() }
        });
        let results = results.collect();
        self.respond(head, DeleteGroupsResponse { results, ..DeleteGroupsResponse::default() });
    }
}
