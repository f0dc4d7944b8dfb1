//! What the requests to the group coordinator have in common: the partition of `__consumer_offsets` that a
//! group belongs to is asked, on the shard that owns it.

use std::collections::BTreeMap;
use std::time::Duration;

use coordinator::group::home::partition_of;
use coordinator::metadata::CONSUMER_OFFSETS_TOPIC;
use engine::PartitionId;
use protocol::{ErrorCode, PartitionIndex, Str};
use runtime::clock::Monotonic;

use super::authorise::{Operation, Resource};
use super::{
    Work, consumer_group_describe, delete_groups, describe_groups, join_group, leave_group,
    list_groups, offset_commit, offset_delete, offset_fetch,
};
use crate::limits::{GROUP_WAITS_MAX, GROUPS_ASKED_MAX, QUERY_TIMEOUT_MS};
use crate::shard::Shard;
use crate::shard::group_coordinator::question::{
    GroupAsk, GroupQuestion, GroupRefused, GroupReply,
};
use crate::shard::mail::{Mail, ReplyTo, ShardIndex};
use crate::shard::requests::{Head, Request, RequestId};
use crate::shard::responding::Collected;

/// A request to the group coordinator in progress.
#[derive(Debug)]
pub(crate) struct GroupRequest {
    work: GroupWork,
    /// What its answers may hold: of requests about several groups.
    collected: Collected,
}

#[derive(Debug)]
pub(crate) enum GroupWork {
    JoinGroup(join_group::Joining),
    SyncGroup,
    Heartbeat,
    LeaveGroup(leave_group::Leaving),
    OffsetCommit(offset_commit::Committing),
    OffsetFetch(offset_fetch::Fetching),
    OffsetDelete(offset_delete::Deleting),
    DescribeGroups(describe_groups::Describing),
    ListGroups(list_groups::Listing),
    DeleteGroups(delete_groups::Deleting),
    ConsumerHeartbeat,
    ConsumerGroupDescribe(consumer_group_describe::Describing),
}

impl GroupWork {
    const fn waits_for_members(&self) -> bool {
        matches!(self, Self::JoinGroup(_) | Self::SyncGroup)
    }
}

/// Several groups of one request, in its order, each with an answer of its own.
#[derive(Debug)]
pub(super) struct EachGroup<T> {
    pub(super) groups: Vec<(Str, Result<T, ErrorCode>)>,
    outstanding: usize,
}

impl<T> EachGroup<T> {
    /// Whether it was the last.
    pub(super) fn on_answer(&mut self, part: u32, answer: Result<T, ErrorCode>) -> bool {
        let group = usize::try_from(part).ok().and_then(|at| self.groups.get_mut(at));
        group.expect("answers are to parts that were asked").1 = answer;
        self.outstanding -= 1;
        self.outstanding == 0
    }
}

/// A partition of the coordinator's log that can be asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupHome {
    pub(super) partition: PartitionId,
    owner: ShardIndex,
}

impl Shard {
    /// Who coordinates a group, if that is this node.
    pub(super) fn home_of(&self, group: &str) -> Result<GroupHome, GroupRefused> {
        let topic = self.replica.topic_by_name(CONSUMER_OFFSETS_TOPIC);
        let count = topic.ok_or(GroupRefused::NotCoordinator)?.partitions().len();
        self.group_home(partition_of(group, count))
    }

    /// All partitions of the coordinator's log on this node; none before the first group.
    pub(super) fn all_group_homes(&self) -> Vec<GroupHome> {
        let topic = self.replica.topic_by_name(CONSUMER_OFFSETS_TOPIC);
        let count = topic.map_or(0, |topic| topic.partitions().len());
        let indexes = (0..).map(PartitionIndex).take(count);
        indexes.filter_map(|index| self.group_home(index).ok()).collect()
    }

    fn group_home(&self, index: PartitionIndex) -> Result<GroupHome, GroupRefused> {
        let route = self.replica.route_by_name(CONSUMER_OFFSETS_TOPIC, index);
        let route = route.ok_or(GroupRefused::NotCoordinator)?;
        Ok(GroupHome { partition: route.partition, owner: route.owner })
    }

    /// Where a client is, as Kafka shows it.
    pub(super) fn client_host(&self, head: &Head) -> Str {
        let peer = self.front.connections.peer(head.connection);
        Str::from(peer.map_or_else(String::new, |peer| format!("/{}", peer.ip())))
    }

    /// Begins a request that the coordinator answers at once, or once its records are durable.
    pub(super) fn begin_group_request(&mut self, head: Head, work: GroupWork) -> RequestId {
        let deadline = self.now.monotonic + Duration::from_millis(QUERY_TIMEOUT_MS);
        self.begin_group_request_until(head, work, Collected::default(), Some(deadline))
    }

    fn begin_group_request_until(
        &mut self,
        head: Head,
        work: GroupWork,
        collected: Collected,
        deadline: Option<Monotonic>,
    ) -> RequestId {
        let work = Work::Group(Box::new(GroupRequest { work, collected }));
        self.begin_request(Request { head, deadline, work })
    }

    /// Begins a request about several groups, and asks. Who cannot be asked has answered.
    pub(super) fn ask_groups(
        &mut self,
        head: Head,
        work: GroupWork,
        questions: Vec<(u32, Result<GroupHome, GroupRefused>, GroupQuestion)>,
    ) {
        let collected = self.begin_collecting(&head);
        let deadline = Some(self.now.monotonic + Duration::from_millis(QUERY_TIMEOUT_MS));
        let request = self.begin_group_request_until(head, work, collected, deadline);
        if questions.is_empty() {
            return self.end_group_request(request);
        }
        let mut refusals = Vec::new();
        let mut by_owner: BTreeMap<ShardIndex, Vec<GroupAsk>> = BTreeMap::new();
        for (part, home, question) in questions {
            match home {
                Ok(GroupHome { partition, owner }) => {
                    let reply = ReplyTo { shard: self.node.me, request, part };
                    let ask = GroupAsk { reply, partition, question };
                    by_owner.entry(owner).or_default().push(ask);
                }
                Err(refused) => refusals.push((part, refused)),
            }
        }
        // One shard has all partitions of the coordinator's log; of two, each would have its part of the room.
        let answer_bytes_max = collected.bytes_max / by_owner.len().max(1);
        for (owner, asks) in by_owner {
            self.outbox.post(owner, Mail::Groups { asks, answer_bytes_max });
        }
        for (part, refused) in refusals {
            self.on_group_answer(request, part, Err(refused));
        }
    }

    pub(super) fn ask_group(
        &mut self,
        (request, part): (RequestId, u32),
        home: GroupHome,
        question: impl Into<GroupQuestion>,
    ) {
        let reply = ReplyTo { shard: self.node.me, request, part };
        let GroupHome { partition, owner } = home;
        let ask = GroupAsk { reply, partition, question: question.into() };
        self.outbox.post(owner, Mail::Group(Box::new(ask)));
    }

    /// Begins a request that waits for other members: the coordinator knows until when. `None`: too many wait.
    pub(super) fn begin_group_wait(&mut self, head: Head, work: GroupWork) -> Option<RequestId> {
        assert!(work.waits_for_members(), "others are answered at once");
        if self.progress.group_waits >= GROUP_WAITS_MAX {
            return None;
        }
        self.progress.group_waits += 1;
        Some(self.begin_group_request_until(head, work, Collected::default(), None))
    }

    /// The group has what it keeps of the request: the frame's memory is others' while it waits.
    pub(crate) fn on_group_parked(&mut self, id: RequestId) {
        let Some(request) = self.progress.requests.get(id) else { return };
        let head = request.head;
        self.release_frame(&head);
    }

    /// Asks for a request with one question; who cannot be asked has answered.
    pub(super) fn ask_one_group(
        &mut self,
        request: RequestId,
        group: &str,
        question: impl Into<GroupQuestion>,
    ) {
        match self.home_of(group) {
            Ok(home) => self.ask_group((request, 0), home, question),
            Err(refused) => self.on_group_answer(request, 0, Err(refused)),
        }
    }

    /// Asks about each group that is not refused right away. Without one the request ends at once.
    pub(super) fn ask_each_group<T, Q: Into<GroupQuestion>>(
        &mut self,
        head: Head,
        groups: Vec<(Str, Option<ErrorCode>)>,
        work: impl FnOnce(EachGroup<T>) -> GroupWork,
        question: impl Fn(Str) -> Q,
    ) {
        let asked = (0..).zip(&groups).filter(|(_, (_, refused))| refused.is_none());
        let asked = asked
            .take(GROUPS_ASKED_MAX)
            .map(|(part, (group, _))| (part, self.home_of(group), question(group.clone()).into()));
        let asked: Vec<_> = asked.collect();
        // Also of those beyond: clients ask again, for these alone.
        let unanswered = crate::error_code::groups::refused(GroupRefused::Unavailable);
        let groups =
            groups.into_iter().map(|(group, refused)| (group, Err(refused.unwrap_or(unanswered))));
        let each = EachGroup { groups: groups.collect(), outstanding: asked.len() };
        self.ask_groups(head, work(each), asked);
    }

    /// What a request that names a group is refused with before anybody is asked.
    pub(super) fn group_refused(
        &self,
        head: &Head,
        operation: Operation,
        group: &str,
    ) -> Option<ErrorCode> {
        if !self.is_allowed(head, operation, Resource::Group(group)) {
            return Some(ErrorCode::GroupAuthorizationFailed);
        }
        group.is_empty().then_some(ErrorCode::InvalidGroupId)
    }

    pub(crate) fn on_group_answer(&mut self, id: RequestId, part: u32, reply: GroupReply) {
        let Some(request) = self.progress.requests.get_mut(id) else { return };
        let Work::Group(group) = &mut request.work else { unreachable!("a group's answer") };
        let collected = group.collected;
        let is_done = match &mut group.work {
            // One question each.
            GroupWork::JoinGroup(_)
            | GroupWork::SyncGroup
            | GroupWork::Heartbeat
            | GroupWork::LeaveGroup(_)
            | GroupWork::OffsetCommit(_)
            | GroupWork::ConsumerHeartbeat
            | GroupWork::OffsetDelete(_) => return self.finish_group_request(id, reply),
            GroupWork::OffsetFetch(fetching) => fetching.on_answer(part, reply, collected),
            GroupWork::DescribeGroups(describing) => describing.on_answer(part, reply, collected),
            GroupWork::ListGroups(listing) => listing.on_answer(reply, collected),
            GroupWork::DeleteGroups(deleting) => deleting.on_answer(part, reply),
            GroupWork::ConsumerGroupDescribe(describing) => {
                describing.on_answer(part, reply, collected)
            }
        };
        if is_done {
            self.finish_group_request(id, Err(GroupRefused::Unavailable));
        }
    }

    /// The coordinator has not answered in time, or the node ends: what is missing is refused.
    pub(crate) fn end_group_request(&mut self, id: RequestId) {
        self.finish_group_request(id, Err(GroupRefused::NotCoordinator));
    }

    /// `reply` is the answer where there is one question only.
    fn finish_group_request(&mut self, id: RequestId, reply: GroupReply) {
        let Some(Request { head, work: Work::Group(group), .. }) = self.end_request(id) else {
            unreachable!("only requests to the group coordinator end here");
        };
        self.end_collecting(group.collected);
        self.progress.group_waits -= usize::from(group.work.waits_for_members());
        match group.work {
            GroupWork::JoinGroup(joining) => self.finish_join_group(&head, joining, reply),
            GroupWork::SyncGroup => self.finish_sync_group(&head, reply),
            GroupWork::Heartbeat => self.finish_heartbeat(&head, reply),
            GroupWork::LeaveGroup(leaving) => self.finish_leave_group(&head, leaving, reply),
            GroupWork::OffsetCommit(committing) => {
                self.finish_offset_commit(&head, committing, reply);
            }
            GroupWork::OffsetFetch(fetching) => self.finish_offset_fetch(&head, fetching),
            GroupWork::OffsetDelete(deleting) => self.finish_offset_delete(&head, deleting, reply),
            GroupWork::DescribeGroups(describing) => {
                self.finish_describe_groups(&head, describing);
            }
            GroupWork::ListGroups(listing) => self.finish_list_groups(&head, listing),
            GroupWork::DeleteGroups(deleting) => self.finish_delete_groups(&head, deleting),
            GroupWork::ConsumerHeartbeat => self.finish_consumer_heartbeat(&head, reply),
            GroupWork::ConsumerGroupDescribe(describing) => {
                self.finish_consumer_group_describe(&head, describing);
            }
        }
    }

    /// No member of this node's connections waits for a rebalance any more.
    pub(crate) fn end_group_waits(&mut self) {
        let waits = |request: &Request| match &request.work {
            Work::Group(group) => group.work.waits_for_members(),
            _ => false,
        };
        let waiting = self.progress.requests.iter().filter(|(_, request)| waits(request));
        let waiting: Vec<RequestId> = waiting.map(|(id, _)| id).collect();
        for id in waiting {
            self.end_group_request(id);
        }
    }
}

/// What an answer that is of another question would be: a defect, which costs this request alone.
pub(super) fn unexpected() -> ErrorCode {
    ErrorCode::UnknownServerError
}
