//! What is counted over all members of a group. Counts, so that members may change in any order.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use protocol::{PartitionIndex, Str, TopicId};

use super::{
    member::{ConsumerMember, CurrentAssignment, StoredConsumerMember},
    partitions::OwnedPartitions,
};

/// Counts of what members say and have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    member_count: usize,
    said_bytes: usize,
    /// Member ids by instance id. While a log is loaded, there may be several.
    instances: BTreeMap<Str, BTreeSet<Str>>,
    /// How many members subscribe to a topic by its name.
    topics: BTreeMap<Str, usize>,
    regexes: BTreeMap<Str, usize>,
    assignors: BTreeMap<Str, usize>,
    classic_count: usize,
    /// How many members of the classic protocol know a protocol.
    protocols: BTreeMap<Str, usize>,
    /// How many members have a partition, or have yet to give it back: one, in a group that lives.
    owners: BTreeMap<TopicId, BTreeMap<PartitionIndex, usize>>,
}

impl Index {
    pub(super) fn of<'a>(members: impl Iterator<Item = (&'a Str, &'a Rc<ConsumerMember>)>) -> Self {
        let mut index = Self::default();
        for (id, member) in members {
            index.change_said(id, None, member.said.as_deref());
            index.change_current(None, member.current.as_deref());
        }
        index
    }

    pub(super) fn change_said(
        &mut self,
        id: &Str,
        before: Option<&StoredConsumerMember>,
        after: Option<&StoredConsumerMember>,
    ) {
        if let Some(said) = before {
            self.forget_said(id, said);
        }
        if let Some(said) = after {
            self.count_said(id, said);
        }
    }

    fn count_said(&mut self, id: &Str, said: &StoredConsumerMember) {
        self.member_count += 1;
        self.said_bytes += id.len() + said.said_bytes();
        if let Some(instance) = &said.instance {
            self.instances.entry(instance.clone()).or_default().insert(id.clone());
        }
        said.topics.iter().for_each(|topic| more(&mut self.topics, topic));
        if !said.regex.is_empty() {
            more(&mut self.regexes, &said.regex);
        }
        said.assignor.iter().for_each(|assignor| more(&mut self.assignors, assignor));
        if let Some(classic) = &said.classic {
            self.classic_count += 1;
            classic.protocols.iter().for_each(|(name, _)| more(&mut self.protocols, name));
        }
    }

    fn forget_said(&mut self, id: &Str, said: &StoredConsumerMember) {
        self.member_count -= 1;
        self.said_bytes -= id.len() + said.said_bytes();
        if let Some(instance) = &said.instance
            && let Some(members) = self.instances.get_mut(instance)
        {
            members.remove(id);
            if members.is_empty() {
                self.instances.remove(instance);
            }
        }
        said.topics.iter().for_each(|topic| less(&mut self.topics, topic));
        if !said.regex.is_empty() {
            less(&mut self.regexes, &said.regex);
        }
        said.assignor.iter().for_each(|assignor| less(&mut self.assignors, assignor));
        if let Some(classic) = &said.classic {
            self.classic_count -= 1;
            classic.protocols.iter().for_each(|(name, _)| less(&mut self.protocols, name));
        }
    }

    pub(super) fn change_current(
        &mut self,
        before: Option<&CurrentAssignment>,
        after: Option<&CurrentAssignment>,
    ) {
        let none = OwnedPartitions::default();
        let had = before.map_or([&none, &none], |of| [&of.assigned, &of.revoking]);
        let has = after.map_or([&none, &none], |of| [&of.assigned, &of.revoking]);
        for (had, has) in had.into_iter().zip(has) {
            for (topic, owned) in had.iter() {
                if owned != has.of_topic(topic) {
                    self.release(topic, owned);
                }
            }
            for (topic, owned) in has.iter() {
                if owned != had.of_topic(topic) {
                    self.own(topic, owned);
                }
            }
        }
    }

    fn own(&mut self, topic: TopicId, owned: &[(PartitionIndex, i32)]) {
        let of_topic = self.owners.entry(topic).or_default();
        for (partition, _) in owned {
            *of_topic.entry(*partition).or_default() += 1;
        }
    }

    fn release(&mut self, topic: TopicId, owned: &[(PartitionIndex, i32)]) {
        let Some(of_topic) = self.owners.get_mut(&topic) else { return };
        for (partition, _) in owned {
            let Some(count) = of_topic.get_mut(partition) else { continue };
            *count -= 1;
            if *count == 0 {
                of_topic.remove(partition);
            }
        }
        if of_topic.is_empty() {
            self.owners.remove(&topic);
        }
    }

    pub(super) fn member_count(&self) -> usize {
        self.member_count
    }

    pub(super) fn said_bytes(&self) -> usize {
        self.said_bytes
    }

    pub(super) fn classic_count(&self) -> usize {
        self.classic_count
    }

    pub(super) fn of_instance(&self, instance: &str) -> Option<&Str> {
        self.instances.get(instance)?.first()
    }

    pub(super) fn topics(&self) -> &BTreeMap<Str, usize> {
        &self.topics
    }

    /// How many members subscribe to it.
    pub(super) fn regex_count(&self, regex: &str) -> usize {
        self.regexes.get(regex).copied().unwrap_or(0)
    }

    pub(super) fn regexes(&self) -> impl Iterator<Item = &Str> {
        self.regexes.keys()
    }

    pub(super) fn assignor_count(&self, assignor: &str) -> usize {
        self.assignors.get(assignor).copied().unwrap_or(0)
    }

    /// All members of the classic protocol know it.
    pub(super) fn is_known_to_all(&self, protocol: &str) -> bool {
        self.protocols.get(protocol).copied().unwrap_or(0) == self.classic_count
    }

    pub(super) fn owner_count(&self, topic: TopicId, partition: PartitionIndex) -> usize {
        self.owners.get(&topic).and_then(|of| of.get(&partition)).copied().unwrap_or(0)
    }

    pub(super) fn no_partition_has_two_owners(&self) -> bool {
        self.owners.values().all(|partitions| partitions.values().all(|count| *count == 1))
    }
}

fn more(counts: &mut BTreeMap<Str, usize>, name: &Str) {
    if let Some(count) = counts.get_mut(name) {
        *count += 1;
    } else {
        counts.insert(name.clone(), 1);
    }
}

fn less(counts: &mut BTreeMap<Str, usize>, name: &Str) {
    let Some(count) = counts.get_mut(name) else { return };
    *count -= 1;
    if *count == 0 {
        counts.remove(name);
    }
}
