//! From what is in the data directories to what every shard starts from.

use std::collections::BTreeSet;
use std::thread;

use coordinator::metadata::{LogDirectoryId, WallMillis};
use engine::disk::{DirId, FileSystem, FileSystemError};
use engine::limits::{JOURNAL_FIRST_FILE_BYTES, TAIL_BYTES_FIRST};
use engine::recovery::{self, FromJournal, LastBlock, LogDirectories, NodeRecovery, OpenedJournal};
use protocol::Str;
use tuning::ShardPlan;

use super::NodeError;
use super::accepted_losses::AcceptedLoss;
use super::assembly::{
    Assembly, StartDirectories, StartDirectory, StartLimits, StartNote, StartPlan, assemble,
};
use super::data_directories::{DataDirectories, random_bytes};
use super::leftovers::Leftovers;
use super::log::Log;
use super::memory_plan::{MemoryPlan, ShardLimits};
use super::own_properties::with_own;
use crate::config::{Config, Listen};
use crate::limits::STEERED_AFTER_REQUESTS;
use crate::shard::start::{ListenerFacts, ShardStart};

/// What the node starts from.
pub(super) struct Recovered {
    /// By mailbox: the data shards, the controller, the coordinator.
    pub(super) starts: Vec<ShardStart>,
    pub(super) advertised: Vec<String>,
    /// Their notes go when this start is committed.
    pub(super) accepted_losses: Vec<AcceptedLoss>,
    /// They go when this start is committed.
    pub(super) leftovers: Leftovers,
    pub(super) from_journal: FromJournal,
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
    let dirs = LogDirectories {
        dirs: dirs.collect(),
        salt: directories.salt,
        last_blocks: LastBlock::Compared,
        journals_missing: !directories.given_up.is_empty(),
    };
    let found = recovery::recover(&dirs)
        .map_err(|failed| disk_error(directories, failed.dir, failed.error))?;
    report(&found, directories, log);
    let start_directories = start_directories(directories);
    let log_dirs = start_directories.all.iter().map(|one| one.path.to_string_lossy().into_owned());
    let log_dirs: Vec<String> = log_dirs.collect();
    let start_plan = StartPlan {
        data_shards: u16::try_from(plan.data_shards.len()).expect("shards are bounded"),
        data: start_limits(&memory.data),
        dedicated: start_limits(&memory.dedicated),
        groups_bytes_max: memory.groups_bytes_max,
        steered_after: STEERED_AFTER_REQUESTS,
        listeners: listeners(listen),
        properties: with_own(&config.properties, directories.node_id, listen, &log_dirs),
        batch_bytes_max: memory.data.batch_bytes_max(),
        give_up_missing: config.give_up_missing,
        disk: config.disk,
        now: WallMillis(runtime::clock::WallMillis::read().0),
    };
    let mut assembly = assemble(&start_directories, &start_plan, found)?;
    for note in std::mem::take(&mut assembly.notes) {
        match note {
            StartNote::Info(text) => log.info(&text),
            StartNote::Warning(text) => log.warn(&text),
            StartNote::Error(text) => log.error(&text),
        }
    }
    let from_journal = assembly.taken_from_journal();
    if from_journal != FromJournal::default() {
        log.info(&format!(
            "recovered {} journal entries, {} bytes of logs that reached beyond their checkpoints",
            from_journal.entries, from_journal.bytes
        ));
    }
    let mut journals = open_journals(directories, &assembly)?;
    let leftovers = assembly.keep_or_leave(&mut journals);
    let accepted_losses = std::mem::take(&mut assembly.accepted_losses);
    let starts = assembly.into_starts(journals, || Ok(u128::from_ne_bytes(random_bytes()?)))?;
    let advertised: BTreeSet<String> =
        listen.iter().map(|listen| listen.advertised.to_string()).collect();
    let advertised = advertised.into_iter().collect();
    Ok(Recovered { starts, advertised, accepted_losses, leftovers, from_journal })
}

fn disk_error(directories: &DataDirectories, dir: DirId, error: FileSystemError) -> NodeError {
    NodeError::Disk { path: directories.get(dir).path.clone(), error }
}

fn start_directories(directories: &DataDirectories) -> StartDirectories<'_> {
    let all = directories.all.iter().zip(directories.spaces()).map(|(directory, space)| {
        let path = directory.path.canonicalize().unwrap_or_else(|_| directory.path.clone());
        StartDirectory { fs: &*directory.fs, path, id: LogDirectoryId(directory.id.0), space }
    });
    StartDirectories {
        all: all.collect(),
        cluster_id: directories.cluster_id.clone(),
        node_id: directories.node_id,
        incarnation: directories.incarnation,
        salt: directories.salt,
    }
}

fn start_limits(limits: &ShardLimits) -> StartLimits {
    StartLimits {
        journal_file_bytes: limits.journal_file_bytes,
        tail_bytes_max: limits.tail_bytes_max,
        tail_bytes_first: TAIL_BYTES_FIRST.min(limits.tail_bytes_max),
        net: limits.net.clone(),
    }
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
    for partition in found.outdated.iter().filter_map(|id| found.partitions.get(id)) {
        let directory = &partition.directory;
        let path = directories.get(directory.dir).path.join(&directory.path);
        log.warn(&format!(
            "{}: the journal that had it last was in a log directory that was given up: records from \
             offset {} on are lost if that one alone held them; the log goes on there in a new leader epoch",
            path.display(),
            partition.end.offset
        ));
    }
}

fn listeners(listen: &[Listen]) -> Vec<ListenerFacts> {
    let facts = listen.iter().map(|listen| ListenerFacts {
        name: Str::from(listen.name.as_str()),
        host: Str::from(listen.advertised.host.as_str()),
        port: listen.advertised.port,
    });
    facts.collect()
}

/// Opens every shard's journal in this incarnation, all at once.
fn open_journals(
    directories: &DataDirectories,
    assembly: &Assembly,
) -> Result<Vec<OpenedJournal>, NodeError> {
    let opened = thread::scope(|scope| {
        let opening: Vec<_> = assembly
            .shards
            .iter()
            .map(|shard| {
                scope.spawn(move || {
                    let fs = &*directories.get(shard.journal_dir()).fs;
                    let opened = assembly.open_journal(shard, fs, JOURNAL_FIRST_FILE_BYTES);
                    opened.map_err(|error| disk_error(directories, shard.journal_dir(), error))
                })
            })
            .collect();
        let joined = opening
            .into_iter()
            .map(|thread| thread.join().expect("a thread that opens a journal does not panic"));
        joined.collect::<Vec<_>>()
    });
    opened.into_iter().collect()
}
