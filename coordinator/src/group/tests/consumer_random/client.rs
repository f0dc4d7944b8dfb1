//! A member as it knows itself: what it says, what it was told, what it reads.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    vec::Vec,
};

use protocol::{PartitionIndex, Str, TopicId};

use crate::group::answer::Joined;

pub(super) type Partition = (TopicId, PartitionIndex);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Speaks {
    #[default]
    Consumer,
    /// Gives everything back before it joins again.
    Eager,
    /// Keeps what it may.
    Cooperative,
}

/// What a client knows of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Client {
    pub(super) speaks: Speaks,
    pub(super) instance: Option<Str>,
    pub(super) lives: usize,
    pub(super) member: Str,
    /// 0 or -1: it is no member. The generation, in the classic protocol.
    pub(super) epoch: i32,
    /// What it reads.
    pub(super) holds: BTreeSet<Partition>,
    /// What it was told to read.
    pub(super) told: BTreeSet<Partition>,
    pub(super) says: usize,
    /// As the coordinator was told last.
    pub(super) said: Option<usize>,
    pub(super) reported: Option<BTreeSet<Partition>>,
    /// It did not hear an answer: it says everything again.
    pub(super) is_unsure: bool,
    pub(super) joined: Option<Joined>,
    /// It has its assignment of this generation.
    pub(super) is_synced: bool,
    pub(super) is_waiting: bool,
}

impl Client {
    pub(super) fn is_classic(&self) -> bool {
        self.speaks != Speaks::Consumer
    }

    pub(super) fn abandon(&mut self) {
        self.epoch = if self.is_classic() { -1 } else { 0 };
        self.holds.clear();
        self.told.clear();
        self.reported = None;
        self.joined = None;
        self.is_synced = false;
    }

    /// A new process, under a new member id. A static member of the classic protocol reads what it read before:
    /// if that were something else, nobody would hear of it, as in Kafka.
    pub(super) fn crash(&mut self, number: usize) {
        if self.is_classic() && self.instance.is_some() {
            self.says = self.said.unwrap_or(self.says);
        }
        self.abandon();
        self.lives += 1;
        self.is_unsure = false;
        self.is_waiting = false;
        self.member = match self.is_classic() {
            true => Str::default(),
            false => Str::from(format!("m{number}-{}", self.lives)),
        };
    }
}

pub(super) fn listed(holds: &BTreeSet<Partition>) -> Vec<(TopicId, Vec<PartitionIndex>)> {
    let mut topics: BTreeMap<TopicId, Vec<PartitionIndex>> = BTreeMap::new();
    for (topic, partition) in holds {
        topics.entry(*topic).or_default().push(*partition);
    }
    topics.into_iter().collect()
}

pub(super) fn set_of(topics: &[(TopicId, Vec<PartitionIndex>)]) -> BTreeSet<Partition> {
    topics.iter().flat_map(|(topic, of)| of.iter().map(move |at| (*topic, *at))).collect()
}
