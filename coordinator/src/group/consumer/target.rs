//! The target assignment: computed when the group's epoch is ahead of it, but not more often than
//! `consumer.assignment.interval.ms` says, so that members that join together cause one and not one each.
//! What is put off is computed by a timer, or by the first heartbeat after its time.

use alloc::{collections::BTreeMap, rc::Rc, vec::Vec};

use protocol::{Str, TopicId};

use super::{
    ConsumerPart, PartitionSet, StoredConsumerMember, TargetEpoch,
    assignor::{PartitionCounts, Subscriber},
    change::ConsumerChange,
};
use crate::group::Timer;

impl ConsumerChange<'_> {
    /// Brings the target assignment to the group's epoch, if it is time.
    pub(super) fn update_target(&mut self) {
        if self.group.assignment_epoch() >= self.group.epoch() {
            return;
        }
        match self.wait_ms() {
            0 => self.compute_target(),
            wait_ms => self.set_timer_if_absent(Timer::Assignment, wait_ms),
        }
    }

    /// The timer's time has come.
    pub(super) fn update_target_late(&mut self) {
        if !self.group.is_empty() {
            self.update_target();
        }
    }

    /// How long the next one is put off. A clock that went back puts off nothing.
    fn wait_ms(&self) -> u64 {
        let wanted_ms = self.config().assignment_interval_ms;
        let interval_ms = self.settings().assignment_interval.for_group(wanted_ms);
        let Some(before) = self.group.target_epoch.and_then(|target| target.computed_at) else {
            return 0;
        };
        match self.now.wall.0.checked_sub(before.0) {
            Some(age_ms) if age_ms >= 0 => {
                u64::try_from(i64::from(interval_ms).saturating_sub(age_ms)).unwrap_or(0)
            }
            _ => 0,
        }
    }

    fn compute_target(&mut self) {
        let assignor = self.group.preferred_assignor(&self.settings().assignors);
        let group = Rc::clone(&self.group);
        let mut subscriptions = Subscriptions::default();
        let subscribers: Vec<Subscriber<'_>> = group
            .members()
            .filter_map(|(member, of)| {
                let said = of.said.as_deref()?;
                let topics = subscriptions.of(self, said);
                let (instance, before) = (said.instance.as_ref(), of.target.as_deref());
                Some(Subscriber { member, instance, topics, before })
            })
            .collect();
        let targets = assignor.assign(&subscribers, &subscriptions.counts);
        for (subscriber, target) in subscribers.iter().zip(targets) {
            if subscriber.before != Some(&target) {
                let (member, value) = (subscriber.member.clone(), Some(Rc::new(target)));
                self.write(ConsumerPart::Target { member, value });
            }
        }
        let computed_at = Some(self.now.wall);
        let epoch = group.epoch();
        self.write(ConsumerPart::TargetEpoch(Some(TargetEpoch { epoch, computed_at })));
        self.set_timer(Timer::Assignment, None);
    }

    /// Of a member that has none yet: nothing.
    pub(super) fn target_of(&self, id: &str) -> Rc<PartitionSet> {
        let member = self.group.members.get(id);
        member.and_then(|member| member.target.clone()).unwrap_or_default()
    }
}

/// The topics of each subscription, looked up once for all members that have the same.
#[derive(Default)]
struct Subscriptions {
    known: BTreeMap<(Vec<Str>, Str), Rc<Vec<TopicId>>>,
    counts: PartitionCounts,
    last: Option<(Vec<Str>, Str, Rc<Vec<TopicId>>)>,
}

impl Subscriptions {
    fn of(&mut self, change: &ConsumerChange<'_>, said: &StoredConsumerMember) -> Rc<Vec<TopicId>> {
        // Mostly, neighbours subscribe to the same.
        if let Some((topics, regex, ids)) = &self.last
            && *topics == said.topics
            && *regex == said.regex
        {
            return Rc::clone(ids);
        }
        let key = (said.topics.clone(), said.regex.clone());
        let ids = match self.known.get(&key) {
            Some(ids) => Rc::clone(ids),
            None => {
                let ids = Rc::new(self.look_up(change, said));
                self.known.insert(key.clone(), Rc::clone(&ids));
                ids
            }
        };
        self.last = Some((key.0, key.1, Rc::clone(&ids)));
        ids
    }

    /// Those that are there, sorted.
    fn look_up(
        &mut self,
        change: &ConsumerChange<'_>,
        said: &StoredConsumerMember,
    ) -> Vec<TopicId> {
        let by_regex = change.group.regexes.get(&said.regex).map(|regex| &regex.topics);
        let names = said.topics.iter().chain(by_regex.into_iter().flatten());
        let topics = names.filter_map(|name| change.topics().by_name(name));
        let mut ids = Vec::new();
        for topic in topics {
            self.counts.insert(topic.id, topic.partition_count);
            ids.push(topic.id);
        }
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}
