//! What the group reads: names and regular expressions of its members, and the topics that are there. Where
//! that changes, the group's epoch goes on.
//!
//! Regular expressions are looked up at once when they are new, and for all when the cluster's topics changed:
//! but not more often than every ten seconds, and at least every ten minutes, as in Kafka.

use alloc::{collections::BTreeSet, rc::Rc, vec::Vec};

use protocol::{Str, TopicId};

use super::{
    ConsumerGroup, ConsumerPart, GroupEpoch, ResolvedRegex, StoredConsumerMember,
    change::ConsumerChange, pattern::Pattern,
};
use crate::{
    group::{ClusterTopics, answer::ConsumerHeartbeatError},
    limits::{GROUP_REGEXES_MAX, REGEX_REFRESH_MS_MIN},
};

impl ConsumerChange<'_> {
    /// Takes what the member says now. Whether what it subscribes to has changed.
    pub(super) fn subscribe(
        &mut self,
        id: &Str,
        said: &Rc<StoredConsumerMember>,
    ) -> Result<bool, ConsumerHeartbeatError> {
        let before = self.group.member(id).and_then(|member| member.said.clone());
        let names_have_changed =
            before.as_ref().map_or(!said.topics.is_empty(), |before| before.topics != said.topics);
        if before.as_ref() != Some(said) {
            let (member, value) = (id.clone(), Some(Rc::clone(said)));
            self.write(ConsumerPart::Member { member, value });
        }
        let regex_before = before.map(|before| before.regex.clone()).unwrap_or_default();
        let regex_has_changed = regex_before != said.regex;
        if regex_has_changed {
            self.drop_unused_regex(&regex_before);
            self.add_regex(&said.regex)?;
        }
        let refreshed = self.refresh_regexes();
        let has_changed = names_have_changed || regex_has_changed;
        self.advance_epoch(has_changed || refreshed);
        Ok(has_changed)
    }

    /// Nobody subscribes to it any more.
    pub(super) fn drop_unused_regex(&mut self, regex: &Str) {
        if self.group.regexes.contains_key(regex) && self.group.index.regex_count(regex) == 0 {
            self.write(ConsumerPart::Regex { regex: regex.clone(), value: None });
        }
    }

    fn add_regex(&mut self, regex: &Str) -> Result<(), ConsumerHeartbeatError> {
        if regex.is_empty() || self.group.regexes.contains_key(regex) {
            return Ok(());
        }
        if self.group.regexes.len() >= GROUP_REGEXES_MAX {
            return Err(ConsumerHeartbeatError::GroupIsFull);
        }
        let pattern =
            Pattern::new(regex).map_err(|_| ConsumerHeartbeatError::InvalidRegularExpression)?;
        let value = Some(Rc::new(self.resolved(&pattern)));
        self.write(ConsumerPart::Regex { regex: regex.clone(), value });
        Ok(())
    }

    fn resolved(&self, pattern: &Pattern) -> ResolvedRegex {
        let topics = self.topics();
        ResolvedRegex {
            topics: topics.names().filter(|name| pattern.matches(name)).cloned().collect(),
            version: i64::try_from(topics.version()).unwrap_or(i64::MAX),
            at: self.now.wall,
        }
    }

    /// Whether one matches other topics than before.
    fn refresh_regexes(&mut self) -> bool {
        let refreshed = self.group.refreshed;
        let version = Some(self.topics().version());
        let age_ms = self.now.monotonic_ms.saturating_sub(refreshed.regex_at_ms);
        let is_due = match refreshed.regex_version {
            None => true,
            same if same == version => age_ms >= self.settings().regex_refresh_ms,
            Some(_) => age_ms >= REGEX_REFRESH_MS_MIN,
        };
        let regexes: Vec<Str> = self.group.index.regexes().cloned().collect();
        if !is_due || regexes.is_empty() {
            return false;
        }
        let mut has_changed = false;
        for regex in regexes {
            // They were compiled when they came.
            let Ok(pattern) = Pattern::new(&regex) else { continue };
            let resolved = self.resolved(&pattern);
            let known = self.group.regexes.get(&regex);
            if known.is_none_or(|known| known.topics != resolved.topics) {
                let value = Some(Rc::new(resolved));
                self.write(ConsumerPart::Regex { regex, value });
                has_changed = true;
            }
        }
        let regex_at_ms = self.now.monotonic_ms;
        let group = &self.group;
        self.set_refreshed(super::Refreshed {
            regex_version: version,
            regex_at_ms,
            ..group.refreshed
        });
        has_changed
    }

    /// The group's next epoch, where its subscriptions or its topics changed.
    pub(super) fn advance_epoch(&mut self, has_changed: bool) {
        let version = Some(self.topics().version());
        let is_new = self.group.epoch.is_none();
        if !has_changed && !is_new && self.group.refreshed.topics_version == version {
            return;
        }
        let metadata_hash = self.group.hash_of_topics(self.topics());
        let is_other = has_changed || metadata_hash != self.group.metadata_hash();
        if is_other || is_new {
            let epoch = if is_other { self.group.next_epoch() } else { self.group.epoch() };
            self.write(ConsumerPart::Epoch(Some(GroupEpoch { epoch, metadata_hash })));
            // The hash stands for it.
            if self.group.has_old_topics {
                self.write(ConsumerPart::OldTopics(false));
            }
        }
        let refreshed = self.group.refreshed;
        self.set_refreshed(super::Refreshed { topics_version: version, ..refreshed });
    }

    pub(super) fn is_subscribed(&self, said: &StoredConsumerMember, topic: TopicId) -> bool {
        let Some(name) = self.topics().name_of(topic) else { return false };
        said.topics.binary_search(name).is_ok()
            || self.group.regexes.get(&said.regex).is_some_and(|regex| regex.has(name))
    }
}

impl ConsumerGroup {
    /// Of the topics that the group reads and that are there: their ids and partition counts; 0 when there
    /// are none. Kafka has another function for the same; a Kafka that goes on with our log finds another
    /// hash, and its groups get one more epoch.
    pub(super) fn hash_of_topics(&self, topics: &ClusterTopics) -> i64 {
        let by_regex = self.regexes.values().flat_map(|regex| &regex.topics);
        let names: BTreeSet<&Str> = self.index.topics().keys().chain(by_regex).collect();
        let mut hash = FNV_OFFSET;
        let mut is_any = false;
        for topic in names.into_iter().filter_map(|name| topics.by_name(name)) {
            is_any = true;
            for byte in topic.id.0.into_iter().chain(topic.partition_count.to_be_bytes()) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
            }
        }
        let hash = i64::from_be_bytes(hash.to_be_bytes());
        match (is_any, hash) {
            (false, _) => 0,
            (true, 0) => 1,
            (true, hash) => hash,
        }
    }
}

/// FNV-1a of 64 bits.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;
