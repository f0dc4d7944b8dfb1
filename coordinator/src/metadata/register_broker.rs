//! A broker starts: its listeners, shards and log directories are recorded, and partitions whose
//! shard is gone get another owner.
//!
//! A changed number of shards also balances again: per topic first, then in total, with as few
//! moves as it takes, and never a partition that an operator placed. Partitions keep their log
//! directory, even one that is missing: their records are there, so they are offline until it
//! returns; an empty log in its place would be a silent loss.

use alloc::{collections::BTreeMap, vec, vec::Vec};
use core::fmt;

use protocol::{BrokerId, PartitionIndex, Str, TopicId};

use super::{
    Command, Decision, Metadata, MetadataRecord, WallMillis,
    broker::{Broker, Listener, LogDirectory, LogDirectoryId, ShardId},
    image::Image,
    placement::emptiest_shard,
    topic::{PlacementReason, Replica, TopicLoad},
};
use crate::limits::{
    LISTENERS_MAX, LOG_DIRECTORIES_MAX, PARTITIONS_PER_SHARD_MAX, REBALANCE_PASSES_MAX,
    RECORDS_PER_DECISION_MAX, SHARDS_MAX,
};

/// What a broker says of itself after its local recovery, before it serves.
#[derive(Clone, Debug, PartialEq)]
pub struct RegisterBroker {
    pub cluster_id: Str,
    pub broker: Broker,
}

/// What became of a registration.
#[derive(Clone, Debug, PartialEq)]
pub struct Registered {
    /// `false`: more partitions had to move than one decision holds. Once these are committed,
    /// decide again.
    pub complete: bool,
    pub moved: usize,
    /// Live partitions on this broker whose log directory it did not find.
    pub offline: Vec<(TopicId, PartitionIndex)>,
}

/// Declared in the order in which it is checked.
#[derive(Clone, Debug, PartialEq)]
pub enum RegisterBrokerError {
    ClusterNotFormed,
    WrongCluster { expected: Str, actual: Str },
    StaleIncarnation { registered: u64, offered: u64 },
    NoShards,
    TooManyShards { shards: u16 },
    NoListeners,
    TooManyListeners { listeners: usize },
    DuplicateListener { name: Str },
    NoLogDirectories,
    TooManyLogDirectories { directories: usize },
    DuplicateLogDirectory { id: LogDirectoryId },
}

impl Command for RegisterBroker {
    type Reply = Registered;
    type Error = RegisterBrokerError;

    fn decide(
        &self,
        metadata: &Metadata,
        _: WallMillis,
    ) -> Result<Decision<Registered>, RegisterBrokerError> {
        let image = &metadata.image;
        check(self, image)?;
        let mut moves = Moves::new(image, &self.broker);
        moves.leave_missing_shards();
        let offline = moves.offline(image, &self.broker);
        if moves.records.len() >= RECORDS_PER_DECISION_MAX {
            moves.records.truncate(RECORDS_PER_DECISION_MAX);
            let moved = moves.records.len();
            let reply = Registered { complete: false, moved, offline };
            return Ok(Decision { records: moves.records, reply });
        }
        // Moves off missing shards come first and go to shards that also the old registration has;
        // the state is whole after every record.
        let mut records = core::mem::take(&mut moves.records);
        records.push(MetadataRecord::Broker(detached(&self.broker)));
        let previous = image.broker(self.broker.id);
        if previous.is_some_and(|previous| previous.data_shards != self.broker.data_shards) {
            moves.balance();
            moves.records.truncate(RECORDS_PER_DECISION_MAX - records.len());
            records.append(&mut moves.records);
        }
        let reply = Registered { complete: true, moved: records.len() - 1, offline };
        Ok(Decision { records, reply })
    }
}

fn check(command: &RegisterBroker, image: &Image) -> Result<(), RegisterBrokerError> {
    let broker = &command.broker;
    let expected = image.cluster_id().ok_or(RegisterBrokerError::ClusterNotFormed)?;
    if *expected != command.cluster_id {
        let (expected, actual) = (expected.clone(), command.cluster_id.clone());
        return Err(RegisterBrokerError::WrongCluster { expected, actual });
    }
    let registered = image.broker(broker.id).map_or(0, |previous| previous.incarnation);
    if broker.incarnation < registered {
        let offered = broker.incarnation;
        return Err(RegisterBrokerError::StaleIncarnation { registered, offered });
    }
    match broker.data_shards {
        0 => return Err(RegisterBrokerError::NoShards),
        shards if shards > SHARDS_MAX => return Err(RegisterBrokerError::TooManyShards { shards }),
        _ => {}
    }
    check_listeners(&broker.listeners)?;
    check_log_directories(&broker.log_directories)
}

fn check_listeners(listeners: &[Listener]) -> Result<(), RegisterBrokerError> {
    match listeners.len() {
        0 => return Err(RegisterBrokerError::NoListeners),
        count if count > LISTENERS_MAX => {
            return Err(RegisterBrokerError::TooManyListeners { listeners: count });
        }
        _ => {}
    }
    for (at, listener) in listeners.iter().enumerate() {
        if listeners[..at].iter().any(|other| other.name == listener.name) {
            return Err(RegisterBrokerError::DuplicateListener { name: listener.name.clone() });
        }
    }
    Ok(())
}

fn check_log_directories(directories: &[LogDirectory]) -> Result<(), RegisterBrokerError> {
    match directories.len() {
        0 => return Err(RegisterBrokerError::NoLogDirectories),
        count if count > LOG_DIRECTORIES_MAX => {
            return Err(RegisterBrokerError::TooManyLogDirectories { directories: count });
        }
        _ => {}
    }
    for (at, directory) in directories.iter().enumerate() {
        if directories[..at].iter().any(|other| other.id == directory.id) {
            return Err(RegisterBrokerError::DuplicateLogDirectory { id: directory.id });
        }
    }
    Ok(())
}

fn detached(broker: &Broker) -> Broker {
    let mut broker = broker.clone();
    broker.rack = broker.rack.as_ref().map(Str::detached);
    for listener in &mut broker.listeners {
        listener.name = listener.name.detached();
        listener.host = listener.host.detached();
    }
    for directory in &mut broker.log_directories {
        directory.path = directory.path.detached();
    }
    broker
}

/// The replicas on one broker while they get new shards.
struct Moves {
    broker: BrokerId,
    /// Partitions per shard of the new registration.
    totals: Vec<u32>,
    topics: BTreeMap<TopicId, TopicLoad>,
    replicas: BTreeMap<(TopicId, PartitionIndex), Replica>,
    records: Vec<MetadataRecord>,
}

impl Moves {
    fn new(image: &Image, broker: &Broker) -> Self {
        let mut moves = Self {
            broker: broker.id,
            totals: vec![0; usize::from(broker.data_shards)],
            topics: BTreeMap::new(),
            replicas: BTreeMap::new(),
            records: Vec::new(),
        };
        for topic in image.all_topics() {
            for (index, partition) in topic.indexed() {
                let Some(replica) = partition.replica_on(broker.id) else { continue };
                moves.replicas.insert((topic.id, index), *replica);
                if replica.shard != ShardId::COORDINATOR && broker.has_shard(replica.shard) {
                    moves.count(topic.id, replica.shard);
                }
            }
        }
        moves
    }

    /// Every partition of a shard that is gone, deleted ones too: somebody has to remove their
    /// files.
    fn leave_missing_shards(&mut self) {
        let gone = |replica: &Replica| {
            replica.shard != ShardId::COORDINATOR
                && usize::from(replica.shard.0) >= self.totals.len()
        };
        let leaving = self.replicas.iter().filter(|(_, replica)| gone(replica));
        let leaving: Vec<_> = leaving.map(|(key, replica)| (*key, *replica)).collect();
        for (ordinal, ((topic, partition), replica)) in (0..).zip(leaving) {
            let load = self.topics.entry(topic).or_default();
            let to = emptiest_shard(&self.totals, self.broker, load, ordinal);
            self.count(topic, to);
            let reason = PlacementReason::ShardGone { from: replica.shard };
            self.record(topic, partition, Replica { shard: to, reason, ..replica });
        }
    }

    /// Moves while a move evens out a topic, or the totals without making a topic less even.
    fn balance(&mut self) {
        for _ in 0..REBALANCE_PASSES_MAX {
            let before = self.records.len();
            let keys: Vec<_> = self.replicas.keys().copied().collect();
            for (topic, partition) in keys {
                self.balance_one(topic, partition);
            }
            if self.records.len() == before {
                return;
            }
        }
    }

    fn balance_one(&mut self, topic: TopicId, partition: PartitionIndex) {
        let replica = self.replicas[&(topic, partition)];
        if replica.reason == PlacementReason::Moved || replica.shard == ShardId::COORDINATOR {
            return;
        }
        let from = replica.shard;
        let load = &self.topics[&topic];
        let to = emptiest_shard(&self.totals, self.broker, load, 0);
        let of_topic = |shard| load.get(&(self.broker, shard)).copied().unwrap_or(0);
        let total = |shard: ShardId| self.totals[usize::from(shard.0)];
        let evens_topic = of_topic(to) + 1 < of_topic(from);
        let evens_total = of_topic(to) < of_topic(from) && total(to) + 1 < total(from);
        let is_full = total(to) >= PARTITIONS_PER_SHARD_MAX && total(to) >= total(from);
        if is_full || (!evens_topic && !evens_total) {
            return;
        }
        self.totals[usize::from(from.0)] -= 1;
        let load = self.topics.get_mut(&topic).expect("the topic was counted");
        *load.get_mut(&(self.broker, from)).expect("the shard was counted") -= 1;
        self.count(topic, to);
        let reason = PlacementReason::Rebalanced { from };
        self.record(topic, partition, Replica { shard: to, reason, ..replica });
    }

    fn count(&mut self, topic: TopicId, shard: ShardId) {
        self.totals[usize::from(shard.0)] += 1;
        let load = self.topics.entry(topic).or_default();
        *load.entry((self.broker, shard)).or_default() += 1;
    }

    fn record(&mut self, topic: TopicId, partition: PartitionIndex, replica: Replica) {
        self.replicas.insert((topic, partition), replica);
        let Replica { broker, shard, directory, reason } = replica;
        let record =
            MetadataRecord::PartitionMoved { topic, partition, broker, shard, directory, reason };
        self.records.push(record);
    }

    fn offline(&self, image: &Image, broker: &Broker) -> Vec<(TopicId, PartitionIndex)> {
        let missing = self.replicas.iter().filter(|((topic, _), replica)| {
            image.topic(*topic).is_some() && broker.log_directory(replica.directory).is_none()
        });
        missing.map(|(key, _)| *key).collect()
    }
}

impl fmt::Display for RegisterBrokerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClusterNotFormed => f.write_str("the cluster has no id yet"),
            Self::WrongCluster { expected, actual } => {
                write!(f, "this is cluster {expected}, and the broker belongs to {actual}")
            }
            Self::StaleIncarnation { registered, offered } => {
                write!(f, "start {offered} of this broker, but start {registered} is registered")
            }
            Self::NoShards => f.write_str("a broker needs at least one data shard"),
            Self::TooManyShards { shards } => {
                write!(f, "{shards} data shards; at most {SHARDS_MAX} are possible")
            }
            Self::NoListeners => f.write_str("a broker needs a listener"),
            Self::TooManyListeners { listeners } => {
                write!(f, "{listeners} listeners; at most {LISTENERS_MAX} are possible")
            }
            Self::DuplicateListener { name } => write!(f, "two listeners are named {name}"),
            Self::NoLogDirectories => f.write_str("a broker needs a log directory"),
            Self::TooManyLogDirectories { directories } => {
                write!(
                    f,
                    "{directories} log directories; at most {LOG_DIRECTORIES_MAX} are possible"
                )
            }
            Self::DuplicateLogDirectory { id } => {
                write!(f, "two log directories have the id {:032x}", u128::from_be_bytes(id.0))
            }
        }
    }
}

impl core::error::Error for RegisterBrokerError {}
