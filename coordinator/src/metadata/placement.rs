//! Which shard and which log directory of its broker own a replica.
//!
//! A table that is kept and shown, not a hash: each new replica goes to the shard with the fewest
//! partitions of the same topic, among these the one with the fewest partitions at all, among these
//! the next one round from where the topic starts; each topic starts one shard further than the
//! last. So a topic's partitions differ by at most one between shards, and topics of one partition
//! spread as well. Its directory is the one with the fewest partitions for its free space. What failed
//! since its broker started takes no new replica. Partitions of internal topics go to the coordinator shard.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec,
    vec::Vec,
};

use protocol::BrokerId;

use super::{
    broker::{Broker, LogDirectoryId, ShardId},
    image::Image,
    topic::{PlacementReason, Replica, TopicLoad},
    topic_name::is_internal,
};

/// What failed since its broker started: new partitions are placed beside it. The controller says it with
/// each command, at the moment of the decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfflinePlaces {
    pub directories: BTreeSet<LogDirectoryId>,
    /// Shards whose journal was in a log directory that failed: they take no record, wherever it goes.
    pub shards: BTreeSet<(BrokerId, ShardId)>,
}

impl OfflinePlaces {
    /// Nothing failed.
    pub const NONE: Self = Self { directories: BTreeSet::new(), shards: BTreeSet::new() };
}

/// Which shards a topic's partitions may live on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    DataShards,
    CoordinatorShard,
}

impl Home {
    pub(crate) fn of(topic: &str) -> Self {
        if is_internal(topic) { Self::CoordinatorShard } else { Self::DataShards }
    }
}

/// How loaded every broker is, while one command places partitions.
pub(crate) struct Placement {
    brokers: BTreeMap<BrokerId, BrokerLoad>,
}

struct BrokerLoad {
    /// Partitions per shard.
    shards: Vec<u32>,
    offline_shards: BTreeSet<ShardId>,
    /// Those that did not fail.
    directories: Vec<DirectoryLoad>,
}

struct DirectoryLoad {
    id: LogDirectoryId,
    free_bytes: u64,
    partitions: u32,
}

impl Placement {
    /// The load of live topics.
    pub(crate) fn new(image: &Image, offline: &OfflinePlaces) -> Self {
        let brokers = image.brokers().map(|broker| (broker.id, BrokerLoad::new(broker, offline)));
        let mut placement = Self { brokers: brokers.collect() };
        for partition in image.topics().flat_map(|topic| topic.partitions()) {
            for replica in &partition.replicas {
                placement.broker(replica.broker).add(replica.shard, replica.directory);
            }
        }
        placement
    }

    /// The first of these brokers that can take no partition: all that it could live on failed.
    pub(crate) fn first_offline<'a>(
        &self,
        home: Home,
        brokers: impl IntoIterator<Item = &'a BrokerId>,
    ) -> Option<BrokerId> {
        let mut brokers = brokers.into_iter();
        brokers.find(|broker| self.brokers[broker].is_offline(home)).copied()
    }

    /// Owners for one new partition on these brokers, of which none is offline; counts them in.
    pub(crate) fn place(
        &mut self,
        home: Home,
        topic: &mut TopicLoad,
        ordinal: u64,
        brokers: &[BrokerId],
    ) -> Vec<Replica> {
        let mut replicas = Vec::with_capacity(brokers.len());
        for &broker in brokers {
            let load = self.broker(broker);
            let shard = match home {
                Home::DataShards => load.emptiest(broker, topic, ordinal),
                Home::CoordinatorShard => ShardId::COORDINATOR,
            };
            let directory = load.roomiest_directory();
            load.add(shard, directory);
            *topic.entry((broker, shard)).or_default() += 1;
            let reason = PlacementReason::Created;
            replicas.push(Replica { broker, shard, directory, reason });
        }
        replicas
    }

    fn broker(&mut self, id: BrokerId) -> &mut BrokerLoad {
        self.brokers.get_mut(&id).expect("replicas live on registered brokers")
    }
}

impl BrokerLoad {
    fn new(broker: &Broker, offline: &OfflinePlaces) -> Self {
        let online = broker.log_directories.iter();
        let online = online.filter(|directory| !offline.directories.contains(&directory.id));
        let directories = online.map(|directory| DirectoryLoad {
            id: directory.id,
            free_bytes: directory.free_bytes.max(1),
            partitions: 0,
        });
        let offline_shards = offline.shards.iter().filter(|(of, _)| *of == broker.id);
        Self {
            shards: vec![0; usize::from(broker.data_shards)],
            offline_shards: offline_shards.map(|(_, shard)| *shard).collect(),
            directories: directories.collect(),
        }
    }

    fn add(&mut self, shard: ShardId, directory: LogDirectoryId) {
        if shard != ShardId::COORDINATOR {
            self.shards[usize::from(shard.0)] += 1;
        }
        let directory = self.directories.iter_mut().find(|load| load.id == directory);
        if let Some(load) = directory {
            load.partitions += 1;
        }
    }

    fn is_offline(&self, home: Home) -> bool {
        let is_offline = |shard: ShardId| self.offline_shards.contains(&shard);
        let shards = u16::try_from(self.shards.len()).expect("shards are bounded by SHARDS_MAX");
        self.directories.is_empty()
            || match home {
                Home::DataShards => (0..shards).map(ShardId).all(is_offline),
                Home::CoordinatorShard => is_offline(ShardId::COORDINATOR),
            }
    }

    fn emptiest(&self, broker: BrokerId, topic: &TopicLoad, ordinal: u64) -> ShardId {
        let shard = emptiest_online(&self.shards, &self.offline_shards, broker, topic, ordinal);
        shard.expect("the caller asked whether the broker is offline")
    }

    /// Fewest partitions per free byte, the new one counted, compared without dividing.
    fn roomiest_directory(&self) -> LogDirectoryId {
        let mut best: Option<&DirectoryLoad> = None;
        for load in &self.directories {
            let cost = |a: &DirectoryLoad, b: &DirectoryLoad| {
                (u128::from(a.partitions) + 1) * u128::from(b.free_bytes)
            };
            if best.is_none_or(|best| cost(load, best) < cost(best, load)) {
                best = Some(load);
            }
        }
        best.expect("the caller asked whether the broker is offline").id
    }
}

/// The shard for one more partition of a topic: see the module's head.
pub(crate) fn emptiest_shard(
    totals: &[u32],
    broker: BrokerId,
    topic: &TopicLoad,
    ordinal: u64,
) -> ShardId {
    let shard = emptiest_online(totals, &BTreeSet::new(), broker, topic, ordinal);
    shard.expect("a broker has a shard")
}

fn emptiest_online(
    totals: &[u32],
    offline: &BTreeSet<ShardId>,
    broker: BrokerId,
    topic: &TopicLoad,
    ordinal: u64,
) -> Option<ShardId> {
    let shards = u16::try_from(totals.len()).expect("shards are bounded by SHARDS_MAX");
    let start = u16::try_from(ordinal % u64::from(shards)).expect("less than the shards");
    let round = (0..shards).map(|step| ShardId((start + step) % shards));
    let cost = |shard: &ShardId| {
        let of_topic = topic.get(&(broker, *shard)).copied().unwrap_or(0);
        (of_topic, totals[usize::from(shard.0)])
    };
    round.filter(|shard| !offline.contains(shard)).min_by_key(cost)
}
