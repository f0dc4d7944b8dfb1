//! A group of the consumer protocol while a command on it is decided: the next state grows beside the one that
//! is, with what is to be recorded and answered. A command that fails in the middle drops all of it.

use alloc::{collections::BTreeMap, rc::Rc, vec::Vec};

use protocol::Str;

use super::{ConsumerGroup, ConsumerPart, Refreshed, StoredConsumerMember};
use crate::{
    group::{
        Answer, ClusterTopics, DurableRecord, GroupConfig, GroupDecision, GroupRecord, Groups,
        LiveRecord, Moment, Timer, Token, settings::ConsumerSettings,
    },
    limits::{CONSUMER_DECISION_RECORDS_MAX, DECISION_BYTES_MAX},
};

/// The group as it will be.
pub(in crate::group) struct ConsumerChange<'a> {
    pub(in crate::group) groups: &'a Groups,
    pub(in crate::group) now: Moment,
    id: Str,
    /// Shared with the one that is until the first change.
    pub(super) group: Rc<ConsumerGroup>,
    records: Vec<GroupRecord>,
    record_count: usize,
    bytes: usize,
    /// The last word for each.
    timers: BTreeMap<Timer, Option<u64>>,
    /// Of the group of the classic protocol that it has become: these end the decision.
    converted: Vec<GroupRecord>,
    answers: Vec<(Token, Answer)>,
}

/// Heartbeats in a session, at least: one may be late, and one lost.
const BEATS_PER_SESSION: i32 = 3;

impl<'a> ConsumerChange<'a> {
    /// Of a group that is there or, if it is not, begins to be.
    pub(in crate::group) fn of(groups: &'a Groups, id: &Str, now: Moment) -> Self {
        Self {
            groups,
            now,
            id: groups.name_of(id),
            group: groups.consumers.get(id).cloned().unwrap_or_default(),
            records: Vec::new(),
            record_count: 0,
            bytes: 0,
            timers: BTreeMap::new(),
            converted: Vec::new(),
            answers: Vec::new(),
        }
    }

    pub(super) fn id(&self) -> &Str {
        &self.id
    }

    pub(super) fn settings(&self) -> &'a ConsumerSettings {
        &self.groups.settings.consumer
    }

    pub(super) fn topics(&self) -> &'a ClusterTopics {
        &self.groups.topics
    }

    pub(super) fn config(&self) -> GroupConfig {
        self.groups.configs.get(&self.id).copied().unwrap_or_default()
    }

    /// Records the part; what is decided next sees it.
    pub(super) fn write(&mut self, part: ConsumerPart) {
        self.see(&part);
        self.write_last(part);
    }

    /// What was recorded last is looked at all the same.
    pub(super) fn see(&mut self, part: &ConsumerPart) {
        Rc::make_mut(&mut self.group).apply(part);
    }

    /// Records the part. Nothing that is decided next looks at it: so the state need not be copied, which a
    /// group of thousands would notice at every heartbeat.
    pub(super) fn write_last(&mut self, part: ConsumerPart) {
        let group = self.id.clone();
        self.write_durable(DurableRecord::Consumer { group, part });
    }

    pub(super) fn write_durable(&mut self, record: DurableRecord) {
        self.record_count += 1;
        self.bytes += record.bytes_max();
        self.records.push(GroupRecord::Durable(record));
    }

    pub(super) fn write_live(&mut self, record: LiveRecord) {
        self.records.push(GroupRecord::Live(record));
    }

    /// What was seen of the topics. A group that comes to nothing in the same command has seen nothing.
    pub(super) fn set_refreshed(&mut self, refreshed: Refreshed) {
        if self.group.refreshed != refreshed {
            Rc::make_mut(&mut self.group).set_refreshed(refreshed);
            let group = self.id.clone();
            self.write_live(LiveRecord::Refreshed { group, value: refreshed });
        }
    }

    /// What is recorded is one batch of the log.
    pub(in crate::group) fn fits_a_batch(&self) -> bool {
        self.record_count <= CONSUMER_DECISION_RECORDS_MAX && self.bytes <= DECISION_BYTES_MAX
    }

    pub(super) fn record_count(&self) -> usize {
        self.record_count
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// There is room for so many more records of a member, beside those that end the decision.
    pub(super) fn room_for_tombstones(&self, members: usize, bytes: usize) -> bool {
        self.record_count + 3 * members + 100 <= CONSUMER_DECISION_RECORDS_MAX
            && self.bytes + bytes <= DECISION_BYTES_MAX / 2
    }

    pub(in crate::group) fn set_timer(&mut self, timer: Timer, at_ms: Option<u64>) {
        self.timers.insert(timer, at_ms);
    }

    pub(super) fn set_timer_in(&mut self, timer: Timer, in_ms: u64) {
        let at_ms = self.now.monotonic_ms.saturating_add(in_ms);
        self.set_timer(timer, Some(at_ms));
    }

    /// One that runs already goes on.
    pub(super) fn set_timer_if_absent(&mut self, timer: Timer, in_ms: u64) {
        let known = self.groups.timers.at(&self.id, &timer);
        if self.timers.get(&timer).copied().unwrap_or(known).is_none() {
            self.set_timer_in(timer, in_ms);
        }
    }

    /// The member was heard of.
    pub(super) fn extend_session(&mut self, member: &Str, said: &StoredConsumerMember) {
        let session_ms = match &said.classic {
            Some(classic) => classic.session_timeout_ms,
            None => self.settings().session_timeout.for_group(self.config().session_timeout_ms),
        };
        let session_ms = u64::try_from(session_ms).unwrap_or(0);
        self.set_timer_in(Timer::Session { member: member.clone() }, session_ms);
    }

    /// How often members are to come. Where the group says nothing of it, a third of its session at most: a member
    /// that is lost is noticed by the others' next heartbeats, and these would otherwise take as long as the
    /// session itself.
    pub(super) fn heartbeat_interval_ms(&self) -> i32 {
        let config = self.config();
        let interval = self.settings().heartbeat_interval;
        let session_ms = self.settings().session_timeout.for_group(config.session_timeout_ms);
        match config.heartbeat_interval_ms {
            Some(wanted_ms) => interval.for_group(Some(wanted_ms)),
            None => interval.ms.min((session_ms / BEATS_PER_SESSION).max(1)),
        }
    }

    pub(super) fn clear_timers_of(&mut self, member: &Str) {
        for timer in Timer::of_consumer_member(member) {
            self.set_timer(timer, None);
        }
    }

    /// Takes over what was decided about the group of the classic protocol that it has become.
    pub(super) fn absorb(&mut self, decision: GroupDecision) {
        self.converted.extend(decision.records);
        self.answers.extend(decision.answers);
    }

    pub(in crate::group) fn answer(&mut self, token: Token, answer: Answer) {
        self.answers.push((token, answer));
    }

    /// What was decided. Timers come last: a group that changed its protocol has lost those it had.
    pub(in crate::group) fn decided(self) -> GroupDecision {
        let mut records = self.records;
        for (timer, at_ms) in self.timers {
            if at_ms.is_some() || self.groups.timers.at(&self.id, &timer).is_some() {
                let group = self.id.clone();
                records.push(GroupRecord::Live(LiveRecord::Timer { group, timer, at_ms }));
            }
        }
        records.extend(self.converted);
        GroupDecision { records, answers: self.answers }
    }
}
