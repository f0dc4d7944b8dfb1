//! From what recovery found to what every shard starts from: over any file systems, so that the simulation
//! starts its nodes as the production node does.
//!
//! ```text
//!   found, metadata log ─► this start's decisions ─► owners ─► journals opened ─► old journals go ─► shards
//! ```
//!
//! Nothing of the incarnation before is removed until every shard's new journal is durable.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use coordinator::Metadata;
use coordinator::limits::RECORDS_PER_DECISION_MAX;
use coordinator::metadata::record::LeaderEpochReason;
use coordinator::metadata::{
    Broker, BumpLeaderEpochs, Command, Decision, FormCluster, Image, LeaderEpochBump, Listener,
    LogDirectory, LogDirectoryId, MetadataRecord, RegisterBroker, ShardId, Topic, WallMillis,
};
use coordinator::topic_config::StaticBrokerConfig;
use engine::config::{DiskConfig, Durability, EngineConfig};
use engine::disk::{DirId, FileSystem, FileSystemError};
use engine::journal::group::JournalSalt;
use engine::journal::writer::{JournalFileName, JournalIdentity};
use engine::limits::JOURNAL_FILES;
use engine::recovery::meta::FILE_NAME;
use engine::recovery::{
    FromJournal, LastBlock, NodeRecovery, OpenedJournal, RecoveredPartition, open_shard_with,
};
use engine::{EngineStart, PartitionId};
use protocol::{BrokerId, Offset, PartitionIndex, Str};

use super::NodeError;
use super::accepted_losses::{self, AcceptedLoss};
use super::crowded;
use super::large_batches;
use super::leftovers::Leftovers;
use crate::shard::log_config_of;
use crate::shard::mail::{DirectorySpace, ShardIndex};
use crate::shard::metadata_log::{self, METADATA, MetadataLog};
use crate::shard::metadata_log_config;
use crate::shard::start::{
    ControllerStart, DirectoryFacts, ListenerFacts, NodeFacts, Role, ShardStart,
};
use crate::vanished::{KnownDirectory, restore_vanished};

/// The places of controller and coordinator among journals: no data shard has these numbers, whatever
/// `--shards` says.
pub const CONTROLLER_JOURNAL: u32 = 65_535;
pub const COORDINATOR_JOURNAL: u32 = ShardId::COORDINATOR.0 as u32;

/// One log directory as a start sees it. Its `DirId` is its place.
pub struct StartDirectory<'a> {
    pub fs: &'a dyn FileSystem,
    /// As clients and operators are shown it.
    pub path: PathBuf,
    pub id: LogDirectoryId,
    pub space: DirectorySpace,
}

/// A node's log directories, and its identity in them.
pub struct StartDirectories<'a> {
    pub all: Vec<StartDirectory<'a>>,
    pub cluster_id: String,
    pub node_id: i32,
    pub incarnation: u64,
    pub salt: JournalSalt,
}

/// The limits of one kind of shard.
#[derive(Clone, Debug)]
pub struct StartLimits {
    pub journal_file_bytes: u64,
    pub tail_bytes_max: usize,
    pub tail_bytes_first: usize,
    pub net: net::Limits,
}

/// What a start is asked for.
#[derive(Clone, Debug)]
pub struct StartPlan {
    pub data_shards: u16,
    pub data: StartLimits,
    /// Of the controller shard and of the coordinator shard, each.
    pub dedicated: StartLimits,
    /// What groups may take in memory.
    pub groups_bytes_max: usize,
    /// Requests for one other shard, in a row, after which a connection goes there.
    pub steered_after: u32,
    pub listeners: Vec<ListenerFacts>,
    pub properties: StaticBrokerConfig,
    /// The largest batch that memory takes.
    pub batch_bytes_max: usize,
    /// A start without a log directory of before is what the operator wants.
    pub give_up_missing: bool,
    /// How journals and segments are written.
    pub disk: DiskConfig,
    pub now: WallMillis,
}

/// What the operator should see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartNote {
    Info(String),
    Warning(String),
    Error(String),
}

/// What one shard is made of.
#[derive(Debug)]
pub struct PlannedShard {
    config: EngineConfig,
    partitions: Vec<RecoveredPartition>,
    net: net::Limits,
}

/// A start that is decided, and whose journals are not open yet.
#[derive(Debug)]
pub struct Assembly {
    /// The data shards by number, then the controller, then the coordinator.
    pub shards: Vec<PlannedShard>,
    pub notes: Vec<StartNote>,
    pub(super) accepted_losses: Vec<AcceptedLoss>,
    found: NodeRecovery,
    before: MetadataLog,
    start: Start,
    facts: NodeFacts,
    groups_bytes_max: usize,
    incarnation: u64,
    salt: JournalSalt,
}

/// Decides what this start has to, and which shard gets what.
pub fn assemble(
    directories: &StartDirectories<'_>,
    plan: &StartPlan,
    mut found: NodeRecovery,
) -> Result<Assembly, NodeError> {
    let broker = BrokerId(directories.node_id);
    let metadata_partition = found.partitions.remove(&METADATA);
    if metadata_partition.is_none() && holds_more_than_metadata(&found) {
        let path = directories.all[0].path.join(metadata_log::DIRECTORY);
        return Err(NodeError::MetadataGone { path });
    }
    let before = read_metadata(directories, plan, broker, metadata_partition.as_ref())?;
    check_identity(&before, directories)?;
    check_directories(&before, directories, plan)?;
    let restored = restore(&mut found, &before, directories)?;
    let mut start = begin_start(&before, directories, plan)?;
    start.notes.extend(restored);
    let accepted_losses = begin_new_epochs(&mut start, &found)?;
    let owned = by_owner(&mut found, &start.metadata, broker);
    let shards = planned_shards(directories, plan, owned, metadata_partition, &start);
    let facts = directories.all.iter().map(|directory| DirectoryFacts {
        id: directory.id,
        path: directory.path.to_string_lossy().into_owned(),
    });
    let facts = NodeFacts {
        me: ShardIndex(0),
        broker,
        data_shards: plan.data_shards,
        cluster_id: Str::from(directories.cluster_id.as_str()),
        steered_after: plan.steered_after,
        listeners: plan.listeners.clone(),
        directories: Arc::new(facts.collect()),
        journals: Arc::new(shards.iter().map(PlannedShard::journal_dir).collect()),
        space: Arc::new(directories.all.iter().map(|directory| directory.space).collect()),
    };
    Ok(Assembly {
        shards,
        notes: std::mem::take(&mut start.notes),
        accepted_losses,
        found,
        before,
        start,
        facts,
        groups_bytes_max: plan.groups_bytes_max,
        incarnation: directories.incarnation,
        salt: directories.salt,
    })
}

impl PlannedShard {
    /// Where its journal is.
    pub fn journal_dir(&self) -> DirId {
        self.config.journal_dir
    }
}

impl Assembly {
    /// What this start owes to the journal before it.
    pub(super) fn taken_from_journal(&self) -> FromJournal {
        let partitions = self.shards.iter().flat_map(|shard| &shard.partitions);
        partitions.map(|partition| partition.from_journal).sum()
    }

    /// Opens the journal of one shard in this incarnation, in the file system of its `journal_dir`.
    pub fn open_journal(
        &self,
        shard: &PlannedShard,
        fs: &dyn FileSystem,
        first_file_bytes: u64,
    ) -> Result<OpenedJournal, FileSystemError> {
        let number = shard.config.shard;
        let names = self.found.journal_files.iter().filter(|file| file.1.shard == number);
        let next = names.map(|file| file.1.number + 1).max().unwrap_or(0);
        let (incarnation, salt) = (self.incarnation, self.salt);
        let identity = JournalIdentity { shard: number, incarnation, salt };
        open_shard_with(fs, identity, &shard.partitions, next, first_file_bytes)
    }

    /// Files of earlier incarnations are written over where they fit; the others go when this start is
    /// committed.
    pub fn keep_or_leave(&self, journals: &mut [OpenedJournal]) -> Leftovers {
        let mut leftovers = Leftovers::default();
        for (dir, name, bytes) in &self.found.journal_files {
            let at = self.shards.iter().position(|shard| {
                shard.config.shard == name.shard && shard.config.journal_dir == *dir
            });
            match at {
                Some(at)
                    if *bytes == self.shards[at].config.journal_file_bytes
                        && journals[at].free_files.len() + 1 < JOURNAL_FILES =>
                {
                    journals[at].free_files.push((name.path(), *bytes));
                }
                Some(_) => leftovers.journal_file(*dir, *name),
                None => leftovers.directory(*dir, JournalFileName::directory(name.shard)),
            }
        }
        for (dir, path) in &self.found.doomed {
            leftovers.directory(*dir, path.clone());
        }
        leftovers
    }

    /// What the shards start from, by mailbox: the data shards, the controller, the coordinator.
    pub fn into_starts(
        self,
        journals: Vec<OpenedJournal>,
        mut seed: impl FnMut() -> Result<u128, NodeError>,
    ) -> Result<Vec<ShardStart>, NodeError> {
        let Self { shards, before, start, facts, groups_bytes_max, .. } = self;
        let mut starts = Vec::with_capacity(shards.len());
        for (at, (shard, journal)) in shards.into_iter().zip(journals).enumerate() {
            let me = ShardIndex(u16::try_from(at).expect("shards are bounded"));
            let role = if me == facts.controller() {
                Role::Controller(Box::new(ControllerStart {
                    metadata: before.metadata.clone(),
                    next: before.next,
                    log_start: before.start,
                    decisions: start.decisions.clone(),
                }))
            } else if me == facts.coordinator() {
                Role::Coordinator { groups_bytes_max }
            } else {
                Role::Data
            };
            let PlannedShard { config, partitions, net } = shard;
            starts.push(ShardStart {
                node: NodeFacts { me, ..facts.clone() },
                role,
                metadata: start.metadata.clone(),
                metadata_next: start.next,
                engine: EngineStart { config, journal, partitions },
                net_limits: net,
                seed: seed()?,
            });
        }
        Ok(starts)
    }
}

impl StartDirectories<'_> {
    fn get(&self, dir: DirId) -> &StartDirectory<'_> {
        &self.all[usize::from(dir.0)]
    }
}

/// Without its metadata log a node would begin anew beside the data of the one before.
fn holds_more_than_metadata(found: &NodeRecovery) -> bool {
    let mut unknown = found.unknown.iter().map(|(_, path)| path);
    let is_metadata = |path: &PathBuf| path == Path::new(metadata_log::DIRECTORY);
    !found.partitions.is_empty() || !found.vanished.is_empty() || unknown.any(is_metadata)
}

/// What `meta.properties` says of the node must be what the metadata says.
fn check_identity(
    before: &MetadataLog,
    directories: &StartDirectories<'_>,
) -> Result<(), NodeError> {
    let image = before.metadata.image();
    let path = directories.all[0].path.join(FILE_NAME);
    if let Some(known) = image.cluster_id().filter(|id| ***id != *directories.cluster_id) {
        let (key, known) = ("cluster.id", known.to_string());
        return Err(NodeError::MetaDiffers { path, key, known });
    }
    if image.brokers().next().is_some() && image.broker(BrokerId(directories.node_id)).is_none() {
        let known: Vec<String> = image.brokers().map(|broker| broker.id.to_string()).collect();
        let (key, known) = ("node.id", known.join(" or "));
        return Err(NodeError::MetaDiffers { path, key, known });
    }
    Ok(())
}

/// A shard's journal may be in another log directory than its partitions. Begun without one of them, the
/// journals of this start would stand in place of those that still hold acknowledged records.
fn check_directories(
    before: &MetadataLog,
    directories: &StartDirectories<'_>,
    plan: &StartPlan,
) -> Result<(), NodeError> {
    let known = before.metadata.image().broker(BrokerId(directories.node_id));
    let known = known.into_iter().flat_map(|broker| &broker.log_directories);
    let is_given = |id| directories.all.iter().any(|directory| directory.id == id);
    let missing: Vec<String> =
        known.filter(|one| !is_given(one.id)).map(|one| one.path.to_string()).collect();
    if missing.is_empty() || plan.give_up_missing {
        return Ok(());
    }
    Err(NodeError::DirectoriesMissing { paths: missing })
}

/// Partitions of the metadata that recovery did not find.
fn restore(
    found: &mut NodeRecovery,
    before: &MetadataLog,
    directories: &StartDirectories<'_>,
) -> Result<Vec<StartNote>, NodeError> {
    let known = (0..).map(DirId).zip(&directories.all);
    let known = known.map(|(dir, one)| KnownDirectory { dir, id: one.id, fs: one.fs });
    let known: Vec<KnownDirectory<'_>> = known.collect();
    let (image, broker) = (before.metadata.image(), BrokerId(directories.node_id));
    let restored = restore_vanished(found, image, broker, &known, LastBlock::Compared);
    let restored = restored.map_err(|failed| {
        let path = directories.get(failed.dir).path.clone();
        NodeError::Disk { path, error: failed.error }
    })?;
    let notes = restored.into_iter().map(|id| {
        let partition = &found.partitions[&id];
        let path = partition.directory.path.display();
        let what = "its directory or the partition.metadata in it was gone";
        match &partition.suspicion {
            None => StartNote::Warning(format!(
                "{path}: {what}; the journal has all of its records"
            )),
            Some(suspicion) => StartNote::Error(format!(
                "{path}: {what}, and acknowledged records are missing ({suspicion}); it is served up to \
                 offset {} and takes no records; stop the node, and `corelane verify --accept-loss` \
                 says what is lost and brings the partition back",
                partition.end.offset
            )),
        }
    });
    Ok(notes.collect())
}

fn read_metadata(
    directories: &StartDirectories<'_>,
    plan: &StartPlan,
    broker: BrokerId,
    partition: Option<&RecoveredPartition>,
) -> Result<MetadataLog, NodeError> {
    let empty = Metadata::new(broker, plan.properties.clone());
    let Some(partition) = partition else {
        return Ok(MetadataLog { metadata: empty, start: Offset(0), next: Offset(0) });
    };
    let directory = directories.get(partition.directory.dir);
    if let Some(suspicion) = &partition.suspicion {
        let (path, why) = (directory.path.clone(), suspicion.to_string());
        return Err(NodeError::MetadataSuspect { path, why });
    }
    metadata_log::read(directory.fs, partition, empty).map_err(NodeError::MetadataLog)
}

/// This start's decisions, and the metadata with them.
#[derive(Debug)]
struct Start {
    metadata: Metadata,
    next: Offset,
    decisions: Vec<Vec<MetadataRecord>>,
    notes: Vec<StartNote>,
    now: WallMillis,
}

impl Start {
    fn decide<C: Command>(&mut self, command: &C) -> Result<C::Reply, NodeError>
    where
        C::Error: std::fmt::Display,
    {
        let decided = self.metadata.decide(self.now, command);
        let Decision { records, reply } =
            decided.map_err(|error| NodeError::Metadata(error.to_string()))?;
        for record in &records {
            let replayed = self.metadata.replay(record);
            replayed.map_err(|error| NodeError::Metadata(error.to_string()))?;
        }
        let count = i64::try_from(records.len()).expect("a decision is bounded");
        self.next = Offset(self.next.0 + count);
        self.decisions.push(records);
        Ok(reply)
    }
}

/// Forms the cluster at its first start, and registers this start.
fn begin_start(
    before: &MetadataLog,
    directories: &StartDirectories<'_>,
    plan: &StartPlan,
) -> Result<Start, NodeError> {
    let (metadata, next, now) = (before.metadata.clone(), before.next, plan.now);
    let mut start = Start { metadata, next, decisions: Vec::new(), notes: Vec::new(), now };
    let cluster_id = Str::from(directories.cluster_id.as_str());
    if start.metadata.image().cluster_id().is_none() {
        start.decide(&FormCluster { cluster_id: cluster_id.clone() })?;
    }
    let listeners = plan.listeners.iter().map(|listener| Listener {
        name: listener.name.clone(),
        host: listener.host.clone(),
        port: listener.port,
    });
    let log_directories = directories.all.iter().map(|directory| LogDirectory {
        id: directory.id,
        path: Str::from(directory.path.to_string_lossy().into_owned()),
        free_bytes: directory.space.usable_bytes,
    });
    let broker = Broker {
        id: BrokerId(directories.node_id),
        incarnation: directories.incarnation,
        rack: None,
        listeners: listeners.collect(),
        data_shards: plan.data_shards,
        log_directories: log_directories.collect(),
    };
    let register = RegisterBroker { cluster_id, broker };
    loop {
        let registered = start.decide(&register)?;
        if registered.moved > 0 {
            let moved = registered.moved;
            let text = format!("{moved} partitions have another shard than before");
            start.notes.push(StartNote::Info(text));
        }
        if registered.complete {
            if !registered.offline.is_empty() {
                start.notes.push(StartNote::Error(format!(
                    "{} partitions are offline: their log directory was given up",
                    registered.offline.len()
                )));
            }
            break;
        }
    }
    let id = BrokerId(directories.node_id);
    start.notes.extend(crowded::check(start.metadata.image(), id, plan.data_shards)?);
    start.notes.extend(large_batches::note(&start.metadata, plan.batch_bytes_max));
    Ok(start)
}

/// Epochs of partitions that lost records, or may have, are given up.
fn begin_new_epochs(
    start: &mut Start,
    found: &NodeRecovery,
) -> Result<Vec<AcceptedLoss>, NodeError> {
    let mut unclean = unclean_memory_partitions(start.metadata.image(), &start.metadata, found);
    unclean.extend(outdated_partitions(start.metadata.image(), found));
    for partitions in unclean.chunks(RECORDS_PER_DECISION_MAX) {
        let (partitions, reason) = (partitions.to_vec(), LeaderEpochReason::UncleanStart);
        start.decide(&BumpLeaderEpochs { partitions, reason })?;
    }
    let accepted = accepted_losses::find(found, &start.metadata);
    for losses in accepted.chunks(RECORDS_PER_DECISION_MAX) {
        let partitions = losses.iter().map(|loss| loss.bump).collect();
        let reason = LeaderEpochReason::LossAccepted;
        let bumped = start.decide(&BumpLeaderEpochs { partitions, reason })?;
        for (loss, epoch) in losses.iter().zip(bumped) {
            let epoch = epoch.map_err(|error| NodeError::Metadata(error.to_string()))?;
            start.notes.push(StartNote::Warning(loss.sentence(epoch)));
        }
    }
    Ok(accepted)
}

/// Partitions that acknowledge from memory and were not closed in good order.
fn unclean_memory_partitions(
    image: &Image,
    metadata: &Metadata,
    found: &NodeRecovery,
) -> Vec<LeaderEpochBump> {
    let mut unclean = Vec::new();
    for topic in image.topics() {
        let config = log_config_of(metadata, topic.id());
        if config.is_none_or(|config| config.durability != Durability::Memory) {
            continue;
        }
        for index in (0..).map(PartitionIndex).take(topic.partitions().len()) {
            let id = PartitionId { topic_id: topic.id(), partition: index };
            let Some(partition) = found.partitions.get(&id) else { continue };
            if partition.active.as_ref().is_some_and(|active| !active.is_complete) {
                unclean.push(LeaderEpochBump {
                    topic: topic.id(),
                    partition: index,
                    above: partition.leader_epoch,
                });
            }
        }
    }
    unclean
}

/// Partitions whose newest records may be gone with a log directory that was given up.
fn outdated_partitions(image: &Image, found: &NodeRecovery) -> Vec<LeaderEpochBump> {
    let partitions = found.outdated.iter().filter_map(|id| found.partitions.get(id));
    let bumps = partitions.map(|partition| LeaderEpochBump {
        topic: partition.id.topic_id,
        partition: partition.id.partition,
        above: partition.leader_epoch,
    });
    let is_known = |bump: &LeaderEpochBump| {
        image.topic(bump.topic).is_some_and(|topic| topic.partition(bump.partition).is_some())
    };
    bumps.filter(is_known).collect()
}

/// Recovered partitions of topics by the shard that owns them now.
fn by_owner(
    found: &mut NodeRecovery,
    metadata: &Metadata,
    broker: BrokerId,
) -> BTreeMap<ShardId, Vec<RecoveredPartition>> {
    let mut owned: BTreeMap<ShardId, Vec<RecoveredPartition>> = BTreeMap::new();
    for (id, mut partition) in std::mem::take(&mut found.partitions) {
        let Some(shard) = owner_of(metadata.image(), id, broker) else { continue };
        if let Some(config) = log_config_of(metadata, id.topic_id) {
            partition.config = config;
        }
        owned.entry(shard).or_default().push(partition);
    }
    owned
}

fn owner_of(image: &Image, id: PartitionId, broker: BrokerId) -> Option<ShardId> {
    let deleted = || image.deleting().find(|topic| topic.id() == id.topic_id);
    let topic: &Topic = image.topic(id.topic_id).or_else(deleted)?;
    Some(topic.partition(id.partition)?.replica_on(broker)?.shard)
}

fn planned_shards(
    directories: &StartDirectories<'_>,
    plan: &StartPlan,
    mut owned: BTreeMap<ShardId, Vec<RecoveredPartition>>,
    metadata_partition: Option<RecoveredPartition>,
    start: &Start,
) -> Vec<PlannedShard> {
    let property = |name: &str| start.metadata.broker_config_value(name);
    let producer_expiration_ms = property("producer.id.expiration.ms")
        .and_then(|value| value.parse().ok())
        .unwrap_or(86_400_000);
    let retention_check_ms = property("log.retention.check.interval.ms")
        .and_then(|value| value.parse().ok())
        .unwrap_or(300_000);
    let cleaner_backoff_ms =
        property("log.cleaner.backoff.ms").and_then(|value| value.parse().ok()).unwrap_or(15_000);
    let config = |shard: u32, dir: usize, limits: &StartLimits| EngineConfig {
        journal_dir: DirId(
            u16::try_from(dir % directories.all.len()).expect("log directories are bounded"),
        ),
        shard,
        journal_file_bytes: limits.journal_file_bytes,
        tail_bytes_max: limits.tail_bytes_max,
        tail_bytes_first: limits.tail_bytes_first,
        producer_expiration_ms,
        retention_check_ms,
        cleaner_backoff_ms,
        disk: plan.disk,
    };
    let data = (0..plan.data_shards).map(|number| PlannedShard {
        config: config(number.into(), usize::from(number), &plan.data),
        partitions: owned.remove(&ShardId(number)).unwrap_or_default(),
        net: plan.data.net.clone(),
    });
    let mut shards: Vec<PlannedShard> = data.collect();
    let mut partitions: Vec<RecoveredPartition> = metadata_partition.into_iter().collect();
    partitions.iter_mut().for_each(|partition| partition.config = metadata_log_config());
    shards.push(PlannedShard {
        config: config(CONTROLLER_JOURNAL, 0, &plan.dedicated),
        partitions,
        net: plan.dedicated.net.clone(),
    });
    shards.push(PlannedShard {
        config: config(COORDINATOR_JOURNAL, usize::from(plan.data_shards), &plan.dedicated),
        partitions: owned.remove(&ShardId::COORDINATOR).unwrap_or_default(),
        net: plan.dedicated.net.clone(),
    });
    assert!(owned.is_empty(), "every shard with partitions is there: {:?}", owned.keys());
    shards
}
