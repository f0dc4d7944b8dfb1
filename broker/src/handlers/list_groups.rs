//! ListGroups: all groups that this node coordinates, by state and type.

use coordinator::group::Answer;
use coordinator::group::answer::Token;
use coordinator::group::describe::{ListGroups, ListedGroup as Listed};
use protocol::messages::list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup};
use protocol::{ErrorCode, Str};

use super::authorise::{Operation, Resource};
use super::groups::{GroupWork, unexpected};
use crate::error_code::groups as code_of;
use crate::shard::Shard;
use crate::shard::group_coordinator::question::GroupReply;
use crate::shard::requests::Head;
use crate::shard::responding::Collected;

/// What the partitions of the coordinator's log have said so far.
#[derive(Debug)]
pub(crate) struct Listing {
    groups: Vec<Listed>,
    /// A partition that cannot say leaves the list incomplete.
    code: ErrorCode,
    outstanding: usize,
}

impl Listing {
    /// Whether it was the last.
    pub(super) fn on_answer(&mut self, reply: GroupReply, collected: Collected) -> bool {
        match reply {
            Ok(Answer::List(Ok(groups))) => self.groups.extend(groups),
            Ok(Answer::List(Err(why))) => self.code = code_of::too_large(why, collected),
            Ok(_) => self.code = unexpected(),
            Err(refused) => self.code = code_of::refused(refused),
        }
        self.outstanding -= 1;
        self.outstanding == 0
    }
}

impl Shard {
    pub(crate) fn list_groups(&mut self, head: Head, body: ListGroupsRequest) {
        let homes = self.all_group_homes();
        let (groups, code) = (Vec::new(), ErrorCode::None);
        let listing = Listing { groups, code, outstanding: homes.len() };
        if homes.is_empty() {
            return self.finish_list_groups(&head, listing);
        }
        let questions = homes.into_iter().map(|home| {
            let (states, types) = (body.states_filter.clone(), body.types_filter.clone());
            let question = ListGroups { token: Token(0), states, types, bytes_max: 0 };
            (0, Ok(home), question.into())
        });
        let questions = questions.collect();
        self.ask_groups(head, GroupWork::ListGroups(listing), questions);
    }

    pub(super) fn finish_list_groups(&mut self, head: &Head, mut listing: Listing) {
        if listing.outstanding > 0 && listing.code == ErrorCode::None {
            listing.code = ErrorCode::CoordinatorNotAvailable;
        }
        self.metrics.count_error(listing.code.code());
        let all = self.is_allowed(head, Operation::Describe, Resource::Cluster);
        let visible = listing.groups.into_iter().filter(|listed| {
            all || self.is_allowed(head, Operation::Describe, Resource::Group(&listed.group))
        });
        let groups = visible.map(|listed| ListedGroup {
            group_id: listed.group,
            protocol_type: listed.protocol_type,
            group_state: Str::from_static(listed.state.name()),
            group_type: Str::from_static(listed.group_type.name()),
        });
        let groups = match listing.code {
            ErrorCode::None => groups.collect(),
            _ => Vec::new(),
        };
        let error_code = listing.code.code();
        let response = ListGroupsResponse { error_code, groups, ..ListGroupsResponse::default() };
        self.respond(head, response);
    }
}
