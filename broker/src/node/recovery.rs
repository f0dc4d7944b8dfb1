//! From what is in the data directories to what every shard starts from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread;

use coordinator::Metadata;
use coordinator::limits::RECORDS_PER_DECISION_MAX;
use coordinator::metadata::record::LeaderEpochReason;
use coordinator::metadata::{
    Broker, BumpLeaderEpochs, Command, Decision, FormCluster, Image, LeaderEpochBump, Listener,
    LogDirectory, LogDirectoryId, MetadataRecord, RegisterBroker, ShardId, Topic, WallMillis,
};
use engine::config::{Durability, EngineConfig};
use engine::disk::{DirId, FileSystem, FileSystemError};
use engine::journal::writer::{JournalFileName, JournalIdentity};
use engine::limits::JOURNAL_FILES;
use engine::recovery::{self, LogDirectories, NodeRecovery, OpenedJournal, RecoveredPartition};
use engine::{EngineStart, PartitionId};
use protocol::{BrokerId, PartitionIndex, Str};
use tuning::ShardPlan;

use super::NodeError;
use super::accepted_losses::{self, AcceptedLoss};
use super::data_directories::{DataDirectories, random_bytes};
use super::log::Log;
use super::memory_plan::{MemoryPlan, ShardLimits};
use crate::config::{Config, Listen};
use crate::shard::log_config;
use crate::shard::mail::ShardIndex;
use crate::shard::metadata_log::{self, METADATA, MetadataLog};
use crate::shard::metadata_log_config;
use crate::shard::start::{
    ControllerStart, DirectoryFacts, ListenerFacts, NodeFacts, Role, ShardStart,
};

/// The controller's place among journals: no data shard has this number, whatever `--shards` says.
const CONTROLLER_JOURNAL: u32 = 65_535;

/// What the node starts from.
pub(super) struct Recovered {
    /// By mailbox: the data shards, then the controller.
    pub(super) starts: Vec<ShardStart>,
    pub(super) advertised: Vec<String>,
    /// Their notes go when this start is committed.
    pub(super) accepted_losses: Vec<AcceptedLoss>,
}

pub(super) fn recover(
    directories: &DataDirectories,
    config: &Config,
    listen: &[Listen],
    plan: &ShardPlan,
    memory: &MemoryPlan,
    log: &Log,
) -> Result<Recovered, NodeError> {
    let dirs = directories.with_ids().map(|(id, directory)| {
        let fs: &dyn FileSystem = &*directory.fs;
        (id, fs)
    });
    let dirs = LogDirectories { dirs: dirs.collect(), salt: directories.salt };
    let mut found = recovery::recover(&dirs)
        .map_err(|failed| disk_error(directories, failed.dir, failed.error))?;
    report(&found, directories, log);
    let broker = BrokerId(directories.node_id);
    let metadata_partition = found.partitions.remove(&METADATA);
    let before = read_metadata(directories, config, broker, metadata_partition.as_ref())?;
    let listeners = listeners(listen);
    let mut start = begin_start(&before, directories, plan, &listeners, log)?;
    let accepted_losses = begin_new_epochs(&mut start, &found, log)?;
    let facts = NodeFacts {
        me: ShardIndex(0),
        broker,
        data_shards: u16::try_from(plan.data_shards.len()).expect("shards are bounded"),
        cluster_id: Str::from(directories.cluster_id.as_str()),
        listeners,
        directories: Arc::new(directory_facts(directories)),
        space: Arc::new(directories.spaces()),
    };
    let owned = by_owner(&mut found, &start.metadata, broker, facts.data_shards);
    let mut plans = shard_plans(directories, plan, memory, owned, metadata_partition, &start);
    let journals = open_journals(directories, &plans, &found)?;
    let journals = keep_or_remove(directories, &plans, journals, &found)?;
    remove_doomed(directories, &found);
    let mut starts = Vec::with_capacity(plans.len());
    for (at, (plan, journal)) in plans.drain(..).zip(journals).enumerate() {
        let me = ShardIndex(u16::try_from(at).expect("shards are bounded"));
        let role = match me == facts.controller() {
            false => Role::Data,
            true => Role::Controller(Box::new(ControllerStart {
                metadata: before.metadata.clone(),
                next: before.next,
                log_start: before.start,
                decisions: start.decisions.clone(),
            })),
        };
        starts.push(ShardStart {
            node: NodeFacts { me, ..facts.clone() },
            role,
            metadata: start.metadata.clone(),
            metadata_next: start.next,
            engine: EngineStart { config: plan.config, journal, partitions: plan.partitions },
            net_limits: plan.net,
            seed: u128::from_ne_bytes(random_bytes()?),
        });
    }
    let advertised: BTreeSet<String> =
        listen.iter().map(|listen| listen.advertised.to_string()).collect();
    let advertised = advertised.into_iter().collect();
    Ok(Recovered { starts, advertised, accepted_losses })
}

fn disk_error(directories: &DataDirectories, dir: DirId, error: FileSystemError) -> NodeError {
    NodeError::Disk { path: directories.get(dir).path.clone(), error }
}

/// What the operator should see of what was found.
fn report(found: &NodeRecovery, directories: &DataDirectories, log: &Log) {
    for (dir, path) in &found.unknown {
        let path = directories.get(*dir).path.join(path);
        log.warn(&format!(
            "{} looks like a partition and holds no sound partition.metadata: it is left alone",
            path.display()
        ));
    }
    for partition in found.partitions.values() {
        if let Some(suspicion) = &partition.suspicion {
            let directory = &partition.directory;
            let path = directories.get(directory.dir).path.join(&directory.path);
            log.error(&format!(
                "{}: acknowledged records are missing or damaged ({suspicion}); it is served up to \
                 offset {} and takes no records; stop the node, and `corelane verify --accept-loss` \
                 says what is lost and brings the partition back",
                path.display(),
                partition.end.offset
            ));
        }
    }
}

fn read_metadata(
    directories: &DataDirectories,
    config: &Config,
    broker: BrokerId,
    partition: Option<&RecoveredPartition>,
) -> Result<MetadataLog, NodeError> {
    let empty = Metadata::new(broker, config.properties.clone());
    let Some(partition) = partition else {
        let zero = protocol::Offset(0);
        return Ok(MetadataLog { metadata: empty, start: zero, next: zero });
    };
    let directory = directories.get(partition.directory.dir);
    if let Some(suspicion) = &partition.suspicion {
        let (path, why) = (directory.path.clone(), suspicion.to_string());
        return Err(NodeError::MetadataSuspect { path, why });
    }
    metadata_log::read(&*directory.fs, partition, empty).map_err(NodeError::MetadataLog)
}

fn listeners(listen: &[Listen]) -> Vec<ListenerFacts> {
    let facts = listen.iter().map(|listen| ListenerFacts {
        name: Str::from(listen.name.as_str()),
        host: Str::from(listen.advertised.host.as_str()),
        port: listen.advertised.port,
    });
    facts.collect()
}

fn directory_facts(directories: &DataDirectories) -> Vec<DirectoryFacts> {
    let facts = directories.all.iter().map(|directory| {
        let path = directory.path.canonicalize().unwrap_or_else(|_| directory.path.clone());
        DirectoryFacts {
            id: LogDirectoryId(directory.id.0),
            path: path.to_string_lossy().into_owned(),
        }
    });
    facts.collect()
}

/// This start's decisions, and the metadata with them.
struct Start {
    metadata: Metadata,
    next: protocol::Offset,
    decisions: Vec<Vec<MetadataRecord>>,
}

impl Start {
    fn decide<C: Command>(&mut self, command: &C) -> Result<C::Reply, NodeError>
    where
        C::Error: std::fmt::Display,
    {
        let now = WallMillis(runtime::clock::WallMillis::read().0);
        let decided = self.metadata.decide(now, command);
        let Decision { records, reply } =
            decided.map_err(|error| NodeError::Metadata(error.to_string()))?;
        for record in &records {
            let replayed = self.metadata.replay(record);
            replayed.map_err(|error| NodeError::Metadata(error.to_string()))?;
        }
        let count = i64::try_from(records.len()).expect("a decision is bounded");
        self.next = protocol::Offset(self.next.0 + count);
        self.decisions.push(records);
        Ok(reply)
    }
}

/// Forms the cluster at its first start, and registers this start.
fn begin_start(
    before: &MetadataLog,
    directories: &DataDirectories,
    plan: &ShardPlan,
    listeners: &[ListenerFacts],
    log: &Log,
) -> Result<Start, NodeError> {
    let metadata = before.metadata.clone();
    let mut start = Start { metadata, next: before.next, decisions: Vec::new() };
    let cluster_id = Str::from(directories.cluster_id.as_str());
    if start.metadata.image().cluster_id().is_none() {
        start.decide(&FormCluster { cluster_id: cluster_id.clone() })?;
    }
    let listeners = listeners.iter().map(|listener| Listener {
        name: listener.name.clone(),
        host: listener.host.clone(),
        port: listener.port,
    });
    let log_directories = directories.all.iter().zip(directories.spaces());
    let log_directories = log_directories.map(|(directory, space)| LogDirectory {
        id: LogDirectoryId(directory.id.0),
        path: Str::from(directory.path.to_string_lossy().into_owned()),
        free_bytes: space.usable_bytes,
    });
    let broker = Broker {
        id: BrokerId(directories.node_id),
        incarnation: directories.incarnation,
        rack: None,
        listeners: listeners.collect(),
        data_shards: u16::try_from(plan.data_shards.len()).expect("shards are bounded"),
        log_directories: log_directories.collect(),
    };
    let register = RegisterBroker { cluster_id, broker };
    loop {
        let registered = start.decide(&register)?;
        if registered.moved > 0 {
            log.info(&format!("{} partitions have another shard than before", registered.moved));
        }
        if registered.complete {
            if !registered.offline.is_empty() {
                log.error(&format!(
                    "{} partitions are offline: their log directory was not given; start with all \
                     --data-dir of this node",
                    registered.offline.len()
                ));
            }
            break;
        }
    }
    Ok(start)
}

/// Epochs of partitions that lost records, or may have, are given up.
fn begin_new_epochs(
    start: &mut Start,
    found: &NodeRecovery,
    log: &Log,
) -> Result<Vec<AcceptedLoss>, NodeError> {
    let unclean = unclean_memory_partitions(start.metadata.image(), &start.metadata, found);
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
            loss.report(epoch, log);
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
        let config = metadata.topic_config(topic.id()).map(|config| log_config(&config));
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

/// Recovered partitions by the data shard that owns them now.
fn by_owner(
    found: &mut NodeRecovery,
    metadata: &Metadata,
    broker: BrokerId,
    shards: u16,
) -> Vec<Vec<RecoveredPartition>> {
    let mut owned: Vec<Vec<RecoveredPartition>> = (0..shards).map(|_| Vec::new()).collect();
    for (id, mut partition) in std::mem::take(&mut found.partitions) {
        let Some(ShardId(shard)) = owner_of(metadata.image(), id, broker) else { continue };
        if let Some(config) = metadata.topic_config(id.topic_id) {
            partition.config = log_config(&config);
        }
        owned[usize::from(shard)].push(partition);
    }
    owned
}

fn owner_of(image: &Image, id: PartitionId, broker: BrokerId) -> Option<ShardId> {
    let deleted = || image.deleting().find(|topic| topic.id() == id.topic_id);
    let topic: &Topic = image.topic(id.topic_id).or_else(deleted)?;
    Some(topic.partition(id.partition)?.replica_on(broker)?.shard)
}

/// What one shard is made of.
struct ShardPlanned {
    config: EngineConfig,
    partitions: Vec<RecoveredPartition>,
    net: net::Limits,
}

fn shard_plans(
    directories: &DataDirectories,
    plan: &ShardPlan,
    memory: &MemoryPlan,
    owned: Vec<Vec<RecoveredPartition>>,
    metadata_partition: Option<RecoveredPartition>,
    start: &Start,
) -> Vec<ShardPlanned> {
    let property = |name: &str| start.metadata.broker_config_value(name);
    let producer_expiration_ms = property("producer.id.expiration.ms")
        .and_then(|value| value.parse().ok())
        .unwrap_or(86_400_000);
    let retention_check_ms = property("log.retention.check.interval.ms")
        .and_then(|value| value.parse().ok())
        .unwrap_or(300_000);
    let config = |shard: u32, dir: usize, limits: &ShardLimits| EngineConfig {
        journal_dir: DirId(u16::try_from(dir).expect("log directories are bounded")),
        shard,
        journal_file_bytes: limits.journal_file_bytes,
        tail_bytes_max: limits.tail_bytes_max,
        producer_expiration_ms,
        retention_check_ms,
    };
    assert!(owned.len() == plan.data_shards.len(), "one list for each data shard");
    let data = (0..).zip(owned).map(|(shard, partitions)| ShardPlanned {
        config: config(shard, shard as usize % directories.all.len(), &memory.data),
        partitions,
        net: memory.data.net.clone(),
    });
    let mut plans: Vec<ShardPlanned> = data.collect();
    let mut partitions: Vec<RecoveredPartition> = metadata_partition.into_iter().collect();
    partitions.iter_mut().for_each(|partition| partition.config = metadata_log_config());
    plans.push(ShardPlanned {
        config: config(CONTROLLER_JOURNAL, 0, &memory.controller),
        partitions,
        net: memory.controller.net.clone(),
    });
    plans
}

/// Opens every shard's journal in this incarnation, all at once.
fn open_journals(
    directories: &DataDirectories,
    plans: &[ShardPlanned],
    found: &NodeRecovery,
) -> Result<Vec<OpenedJournal>, NodeError> {
    let opened = thread::scope(|scope| {
        let opening: Vec<_> = plans
            .iter()
            .map(|plan| scope.spawn(move || open_journal(directories, plan, found)))
            .collect();
        let joined = opening
            .into_iter()
            .map(|thread| thread.join().expect("a thread that opens a journal does not panic"));
        joined.collect::<Vec<_>>()
    });
    opened.into_iter().collect()
}

fn open_journal(
    directories: &DataDirectories,
    plan: &ShardPlanned,
    found: &NodeRecovery,
) -> Result<OpenedJournal, NodeError> {
    let EngineConfig { shard, journal_dir, .. } = plan.config;
    let names = found.journal_files.iter().filter(|file| file.1.shard == shard);
    let number = names.map(|file| file.1.number + 1).max().unwrap_or(0);
    let incarnation = directories.incarnation;
    let identity = JournalIdentity { shard, incarnation, salt: directories.salt };
    let fs = &*directories.get(journal_dir).fs;
    recovery::open_shard(fs, identity, &plan.partitions, number)
        .map_err(|error| disk_error(directories, journal_dir, error))
}

/// All new journals are durable: files of earlier incarnations are written over where they fit, and go
/// where they do not.
fn keep_or_remove(
    directories: &DataDirectories,
    plans: &[ShardPlanned],
    mut journals: Vec<OpenedJournal>,
    found: &NodeRecovery,
) -> Result<Vec<OpenedJournal>, NodeError> {
    let mut touched: BTreeMap<(DirId, u32), bool> = BTreeMap::new();
    for (dir, name, bytes) in &found.journal_files {
        let at = plans
            .iter()
            .position(|plan| plan.config.shard == name.shard && plan.config.journal_dir == *dir);
        touched.insert((*dir, name.shard), at.is_some());
        let is_wanted = at.is_some_and(|at| {
            *bytes == plans[at].config.journal_file_bytes
                && journals[at].free_files.len() + 1 < JOURNAL_FILES
        });
        if let (true, Some(at)) = (is_wanted, at) {
            journals[at].free_files.push((name.path(), *bytes));
        } else {
            let removed = directories.get(*dir).fs.remove_file(&name.path());
            removed.map_err(|error| disk_error(directories, *dir, error))?;
        }
    }
    for ((dir, shard), is_in_use) in touched {
        let cleaned = clean_journal_directory(directories, dir, shard, is_in_use);
        cleaned.map_err(|error| disk_error(directories, dir, error))?;
    }
    Ok(journals)
}

fn clean_journal_directory(
    directories: &DataDirectories,
    dir: DirId,
    shard: u32,
    is_in_use: bool,
) -> Result<(), FileSystemError> {
    let fs = &directories.get(dir).fs;
    let path = JournalFileName::directory(shard);
    if is_in_use {
        return fs.sync_dir(&path);
    }
    for entry in fs.entries(&path)? {
        fs.remove_file(&path.join(entry.name))?;
    }
    fs.remove_dir(&path)
}

/// Directories of partitions whose deletion was durable. Nobody waits for it.
fn remove_doomed(directories: &DataDirectories, found: &NodeRecovery) {
    for (dir, path) in found.doomed.clone() {
        let fs = Arc::clone(&directories.get(dir).fs);
        thread::spawn(move || {
            // What fails is found and tried again at the next start.
            for entry in fs.entries(&path).unwrap_or_default() {
                let _ = fs.remove_file(&path.join(entry.name));
            }
            let _ = fs.remove_dir(&path);
        });
    }
}
