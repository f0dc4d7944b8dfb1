//! Which shard and which log directory of its broker own a replica.
//!
//! A table that is kept and shown, not a hash: each new replica goes to the shard with the fewest
//! partitions of the same topic, among these the one with the fewest partitions at all, among these
//! the next one round from where the topic starts; each topic starts one shard further than the
//! last. So a topic's partitions differ by at most one between shards, and topics of one partition
//! spread as well. Its directory is the one with the fewest partitions for its free space. What failed
//! since its broker started takes no new replica, nor does a shard that has as many as one may have; there the
//! partitions of deleted topics count until they are gone. Partitions of internal topics go to the coordinator
//! shard.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec,
    vec::Vec,
};
use core::fmt;

use protocol::BrokerId;

use super::{
    broker::{Broker, LogDirectoryId, ShardId},
    image::Image,
    topic::{PlacementReason, Replica, TopicLoad},
    topic_name::is_internal,
};
use crate::limits::PARTITIONS_PER_SHARD_MAX;

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

/// Shards of a broker have no room for all the partitions that would come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardsFull {
    pub broker: BrokerId,
    /// Partitions that would come.
    pub wanted: u64,
    /// Partitions that there is room for.
    pub room: u64,
}

/// Why there is no place for new partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// All that they could live on failed.
    Offline {
        broker: BrokerId,
    },
    Full(ShardsFull),
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
    /// Partitions per data shard.
    shards: Vec<u32>,
    /// Partitions of the coordinator shard.
    of_coordinator: u32,
    /// What is left of deleted topics on each shard.
    deleting: BTreeMap<ShardId, u32>,
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
        for partition in image.deleting().flat_map(|topic| topic.partitions()) {
            for replica in &partition.replicas {
                let deleting = &mut placement.broker(replica.broker).deleting;
                *deleting.entry(replica.shard).or_default() += 1;
            }
        }
        placement
    }

    /// Whether all of these new partitions have a place; of each its brokers.
    pub(crate) fn check(&self, home: Home, partitions: &[Vec<BrokerId>]) -> Result<(), NoPlace> {
        let mut wanted: BTreeMap<BrokerId, u64> = BTreeMap::new();
        for broker in partitions.iter().flatten() {
            *wanted.entry(*broker).or_default() += 1;
        }
        for (broker, wanted) in wanted {
            let load = &self.brokers[&broker];
            if load.is_offline(home) {
                return Err(NoPlace::Offline { broker });
            }
            let room = load.room(home);
            if wanted > room {
                return Err(NoPlace::Full(ShardsFull { broker, wanted, room }));
            }
        }
        Ok(())
    }

    /// Whether one more partition has a place on this shard.
    pub(crate) fn has_room(&self, broker: BrokerId, shard: ShardId) -> bool {
        self.brokers[&broker].room_on(shard) > 0
    }

    /// Owners for one new partition on these brokers, which were checked; counts them in.
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
            of_coordinator: 0,
            deleting: BTreeMap::new(),
            offline_shards: offline_shards.map(|(_, shard)| *shard).collect(),
            directories: directories.collect(),
        }
    }

    fn add(&mut self, shard: ShardId, directory: LogDirectoryId) {
        if shard == ShardId::COORDINATOR {
            self.of_coordinator += 1;
        } else {
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

    /// Partitions that the shards that did not fail can take.
    fn room(&self, home: Home) -> u64 {
        let shards = u16::try_from(self.shards.len()).expect("shards are bounded by SHARDS_MAX");
        match home {
            Home::DataShards => (0..shards)
                .map(ShardId)
                .filter(|shard| !self.offline_shards.contains(shard))
                .map(|shard| u64::from(self.room_on(shard)))
                .sum(),
            Home::CoordinatorShard => u64::from(self.room_on(ShardId::COORDINATOR)),
        }
    }

    fn room_on(&self, shard: ShardId) -> u32 {
        let live = match shard {
            ShardId::COORDINATOR => self.of_coordinator,
            shard => self.shards[usize::from(shard.0)],
        };
        let deleting = self.deleting.get(&shard).copied().unwrap_or(0);
        PARTITIONS_PER_SHARD_MAX.saturating_sub(live).saturating_sub(deleting)
    }

    fn emptiest(&self, broker: BrokerId, topic: &TopicLoad, ordinal: u64) -> ShardId {
        let takes_none = |shard| self.offline_shards.contains(&shard) || self.room_on(shard) == 0;
        let shard = emptiest_of(&self.shards, takes_none, broker, topic, ordinal);
        shard.expect("the caller asked whether all have a place")
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

/// The shard for one more partition of a topic that exists: see the module's head.
pub(crate) fn emptiest_shard(
    totals: &[u32],
    broker: BrokerId,
    topic: &TopicLoad,
    ordinal: u64,
) -> ShardId {
    let is_full = |shard: ShardId| totals[usize::from(shard.0)] >= PARTITIONS_PER_SHARD_MAX;
    let shard = emptiest_of(totals, is_full, broker, topic, ordinal);
    // What exists lives somewhere: full ones take it where there is no other.
    let shard = shard.or_else(|| emptiest_of(totals, |_| false, broker, topic, ordinal));
    shard.expect("a broker has a shard")
}

fn emptiest_of(
    totals: &[u32],
    takes_none: impl Fn(ShardId) -> bool,
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
    round.filter(|shard| !takes_none(*shard)).min_by_key(cost)
}

impl fmt::Display for ShardsFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { broker, wanted, room } = self;
        write!(
            f,
            "{wanted} new partition(s) on broker {broker}, and its shards have room for {room}: a shard \
             takes {PARTITIONS_PER_SHARD_MAX}, those of deleted topics counted until they are gone. Delete \
             topics, or start it with more shards."
        )
    }
}
