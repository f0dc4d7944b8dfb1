//! The group coordinator: the partitions of `__consumer_offsets` of this node, on the coordinator shard.
//!
//! The machine is `coordinator::group`; here its partitions are loaded, asked, and written, over the shard's
//! engine. Timers are decisions like any other: a deadline only brings the machine's own to the decision.
//!
//! * `question`: what is asked; `partition`: one partition's groups, and how their answers wait for the log
//! * `snapshot`: where groups are, for whoever shows it
//! * `loading`: a partition's groups from its log; `settings`: the properties that rule groups

mod loading;
mod partition;
pub mod question;
mod settings;
pub mod snapshot;

use std::collections::BTreeMap;
use std::rc::Rc;

use coordinator::group::home::partition_of;
use coordinator::group::memory::MemoryLeft;
use coordinator::group::{ClusterTopics, Due, Moment, Token};
use coordinator::limits::EXPIRY_VISITS_MAX;
use coordinator::metadata::{CONSUMER_OFFSETS_TOPIC, WallMillis};
use engine::PartitionId;
use engine::request::{AppendError, AppendRequest, Appended};
use protocol::{Str, TopicId};
use runtime::clock::Monotonic;

use super::Shard;
use super::mail::{Answer, Mail, ReplyTo};
use super::owner::Wait;
use crate::limits::{GROUP_MEMBERS_RESERVE_DIVISOR, GROUP_TIMERS_PER_TURN, METRICS_GROUP_ROWS_MAX};
use partition::{Answers, GroupPartition};
use question::{GroupAsk, GroupRefused, GroupReply};
use snapshot::GroupsSnapshot;

#[derive(Debug, Default)]
pub(crate) struct GroupCoordinator {
    partitions: BTreeMap<PartitionId, GroupPartition>,
    next_token: u64,
    /// What groups may subscribe to; `None`: it changed, and is looked at before the next decision.
    topics: Option<Rc<ClusterTopics>>,
    topics_version: u64,
    /// What the groups of all partitions may take; what their logs say is taken all the same.
    bytes_max: usize,
    /// It was said that they take more.
    is_told: bool,
}

impl GroupCoordinator {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, ..Self::default() }
    }

    /// What groups take in memory.
    fn bytes(&self) -> usize {
        self.partitions.values().map(|partition| partition.groups.bytes()).sum()
    }

    fn memory_left(&self) -> MemoryLeft {
        let bytes = self.bytes();
        let for_members = self.bytes_max.saturating_sub(bytes);
        let reserve = self.bytes_max / GROUP_MEMBERS_RESERVE_DIVISOR;
        MemoryLeft { for_newcomers: for_members.saturating_sub(reserve), for_members }
    }

    /// Groups were loaded; `Some`: they take more than they may, which nobody was told.
    fn beyond_memory(&mut self) -> Option<String> {
        let (bytes, max) = (self.bytes(), self.bytes_max);
        if bytes <= max || std::mem::replace(&mut self.is_told, true) {
            return None;
        }
        let mib = |bytes: usize| bytes >> 20;
        Some(format!(
            "consumer groups take {} MiB, and {} MiB are theirs: new members and offsets are refused; start with \
             more --memory, or delete groups that nobody uses (corelane group delete)",
            mib(bytes),
            mib(max)
        ))
    }

    pub(super) fn deadline(&self) -> Option<Monotonic> {
        let deadlines = self.partitions.values().filter_map(GroupPartition::deadline_ms);
        deadlines.min().map(|ms| Monotonic(ms.saturating_mul(1_000_000)))
    }

    pub(super) fn snapshot(&self) -> GroupsSnapshot {
        let active = self.partitions.values().filter(|partition| partition.is_active());
        let groups = active.map(|partition| &partition.groups);
        let snapshot = GroupsSnapshot::of(groups, METRICS_GROUP_ROWS_MAX);
        GroupsSnapshot { bytes: self.bytes(), bytes_max: self.bytes_max, ..snapshot }
    }

    /// Topics came, went or grew.
    pub(super) fn on_topics_changed(&mut self) {
        self.topics = None;
    }

    pub(super) fn invariants(&self) {
        self.partitions.values().for_each(GroupPartition::invariants);
    }
}

impl Shard {
    fn moment(&self) -> Moment {
        Moment { monotonic_ms: self.now.monotonic.0 / 1_000_000, wall: WallMillis(self.now.wall.0) }
    }

    /// The topics of the cluster as they are now, for all groups; on other shards nobody asks for them.
    fn look_at_topics(&mut self) {
        if self.groups.topics.is_some() || self.groups.partitions.is_empty() {
            return;
        }
        let coordinator = &mut self.groups;
        coordinator.topics_version += 1;
        let image = self.replica.metadata().image();
        let topics = Rc::new(ClusterTopics::of(coordinator.topics_version, image));
        for partition in coordinator.partitions.values_mut() {
            partition.groups.set_topics(Rc::clone(&topics));
        }
        coordinator.topics = Some(topics);
    }

    /// An operator changed a group's configuration.
    pub(super) fn on_group_config(&mut self, group: &Str) {
        let topic = self.replica.topic_by_name(CONSUMER_OFFSETS_TOPIC);
        let Some((topic_id, count)) = topic.map(|topic| (topic.id(), topic.partitions().len()))
        else {
            return;
        };
        let id = PartitionId { topic_id, partition: partition_of(group, count) };
        let config = self.replica.metadata().group_config(group);
        if let Some(partition) = self.groups.partitions.get_mut(&id) {
            partition.groups.set_config(group, config);
        }
    }

    /// The questions of one request, in its order: what those before leave of the room is for the next.
    pub(super) fn answer_groups(&mut self, asks: Vec<GroupAsk>, answer_bytes_max: usize) {
        let mut left = answer_bytes_max;
        for ask in asks {
            left = left.saturating_sub(self.answer_group(ask, left));
        }
    }

    /// Gives the bytes that the answer holds, whenever it is given.
    pub(super) fn answer_group(&mut self, ask: GroupAsk, answer_bytes_max: usize) -> usize {
        self.look_at_topics();
        let GroupAsk { reply, partition, mut question } = ask;
        question.set_answer_bytes_max(answer_bytes_max);
        let now = self.moment();
        let mut out = Answers::new();
        let left = self.groups.memory_left();
        let coordinator = &mut self.groups;
        let bytes = match coordinator.partitions.get_mut(&partition) {
            Some(found) => {
                let token = Token(coordinator.next_token);
                coordinator.next_token += 1;
                found.groups.set_memory_left(left);
                found.ask(now, token, reply, question, &mut out)
            }
            None => {
                out.push((reply, Err(GroupRefused::NotCoordinator)));
                Some(0)
            }
        };
        if bytes.is_none() {
            // What the group keeps of the question has memory of its own.
            self.outbox.post(reply.shard, Mail::GroupParked { request: reply.request });
        }
        self.give_group_answers(out);
        bytes.unwrap_or(0)
    }

    fn give_group_answers(&mut self, answers: Answers) {
        for (reply, answer) in answers {
            self.reply_group(reply, answer);
        }
    }

    fn reply_group(&mut self, to: ReplyTo, answer: GroupReply) {
        self.reply(to, Answer::Group(Box::new(answer)));
    }

    /// What has become due in all partitions; the rest of it in another turn.
    pub(super) fn on_group_deadline(&mut self) {
        self.look_at_topics();
        let now = self.moment();
        let mut out = Answers::new();
        let mut left = GROUP_TIMERS_PER_TURN;
        let memory_left = self.groups.memory_left();
        for partition in self.groups.partitions.values_mut() {
            partition.groups.set_memory_left(memory_left);
            while left > 0 && partition.timer_ms().is_some_and(|due| due <= now.monotonic_ms) {
                partition.decide_alone(now, |groups| groups.decide(now, &Due), &mut out);
                left -= 1;
            }
        }
        self.forget_offsets(now, &mut out);
        self.give_group_answers(out);
    }

    /// A topic is gone: no group goes on there. Groups that are still being loaded hear of it as well.
    pub(super) fn forget_deleted_topic_of_groups(&mut self, topic: TopicId) {
        let image = self.replica.metadata().image();
        let deleted = image.deleting().find(|deleted| deleted.id() == topic);
        let Some(topic) = deleted.map(|deleted| deleted.name()) else { return };
        for partition in self.groups.partitions.values_mut() {
            let forgetting = partition.forgetting.take().unwrap_or_default();
            partition.forgetting = Some(forgetting.and(topic));
        }
        self.look_at_topics();
        let now = self.moment();
        let mut out = Answers::new();
        self.forget_offsets(now, &mut out);
        self.give_group_answers(out);
    }

    /// Looks for offsets of deleted topics, as many in one turn that others are answered in between.
    fn forget_offsets(&mut self, now: Moment, out: &mut Answers) {
        let mut visits = 0;
        for partition in self.groups.partitions.values_mut() {
            if !partition.can_forget() {
                continue;
            }
            let forgetting = partition.forgetting.take().unwrap_or_default();
            let forgotten = forgetting.step(&partition.groups);
            visits += forgotten.visits;
            partition.forgetting = forgotten.rest;
            let is_something = partition.decide_alone(now, |_| forgotten.decision, out);
            if partition.forgetting.is_some() || is_something || visits >= EXPIRY_VISITS_MAX {
                return;
            }
        }
    }

    /// Batches that formed in this turn go to the log.
    pub(super) fn append_group_batches(&mut self) {
        let batches = self.groups.partitions.iter_mut();
        let batches = batches.filter_map(|(id, found)| Some((*id, found.next_batch()?)));
        let batches: Vec<_> = batches.collect();
        for (partition, batch) in batches {
            let token = self.wait_for(Wait::GroupAppend(partition));
            self.owner.engine.append(AppendRequest { token, partition, batch, zstd_allowed: true });
        }
    }

    pub(super) fn on_group_appended(
        &mut self,
        id: PartitionId,
        result: Result<Appended, AppendError>,
    ) {
        let mut out = Answers::new();
        // Whose log is gone was forgotten, and everybody refused.
        let Some(partition) = self.groups.partitions.get_mut(&id) else { return };
        if !partition.is_active() {
            return;
        }
        match result {
            Ok(_) => partition.on_committed(&mut out),
            Err(_) => {
                partition.refuse_all(GroupRefused::NotCoordinator, &mut out);
                self.begin_loading_groups(id);
            }
        }
        self.give_group_answers(out);
    }

    /// Whether a partition is one of the coordinator's log.
    pub(super) fn is_of_groups(&self, id: PartitionId) -> bool {
        let topic = self.replica.topic(id.topic_id);
        topic.is_some_and(|topic| **topic.name() == *CONSUMER_OFFSETS_TOPIC)
    }

    /// The partition's log is being deleted: who asks here is wrong from now on.
    pub(super) fn unload_groups(&mut self, id: PartitionId) {
        let mut out = Answers::new();
        if let Some(mut partition) = self.groups.partitions.remove(&id) {
            partition.refuse_all(GroupRefused::NotCoordinator, &mut out);
        }
        self.give_group_answers(out);
    }
}
