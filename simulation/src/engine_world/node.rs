//! A node of engines alone: how it starts over its log directories, and its shards.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use broker::engine::config::{DiskConfig, EngineConfig, LogConfig};
use broker::engine::disk::{DirId, FileSystem, FileSystemError, Job, Step, execute};
use broker::engine::journal::group::JournalSalt;
use broker::engine::journal::writer::{JournalFileName, JournalIdentity};
use broker::engine::limits::JOURNAL_FILES;
use broker::engine::recovery::meta::{FORMAT_VERSION, MetaError, MetaProperties};
use broker::engine::recovery::{
    LastBlock, LogDirectories, NodeRecovery, OpenedJournal, RecoverError, RecoveredPartition,
    open_shard_with, recover,
};
use broker::engine::{Engine, EngineStart, PartitionId};
use broker::runtime::clock::Now;
use broker::runtime::memory::Arena;

use crate::disk::{JournalEditor, VirtualDisk, VirtualFileSystem};
use crate::plant::Plant;
use crate::random::Random;

pub(super) const SALT: JournalSalt = JournalSalt(0x5eed_5a17);
/// Memory of a shard's logs; small, so that reads go to the disk too.
const TAIL_BYTES_MAX: usize = 6 << 20;
/// Memory of a shard: tails, journal groups, windows of reads.
pub(super) const ARENA_BYTES: usize = 48 << 20;
const RETENTION_CHECK_MS: u64 = 5_000;
/// With every tick, and at once: a life may be short.
const CLEANER_BACKOFF_MS: u64 = 0;
const PRODUCER_EXPIRATION_MS: i64 = 30 * 24 * 3_600_000;

#[derive(Debug)]
pub(super) struct Shard {
    pub(super) engine: Engine,
    pub(super) disk: VirtualDisk,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) shards: Vec<Shard>,
}

/// Why a start did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StartError {
    /// The power went.
    Stopped,
    Failed(String),
}

impl From<FileSystemError> for StartError {
    fn from(error: FileSystemError) -> Self {
        match error {
            FileSystemError::Stopped => Self::Stopped,
            error => Self::Failed(format!("{error:?}")),
        }
    }
}

/// What a start is given.
#[derive(Debug)]
pub(super) struct NodeStart<'a> {
    pub(super) dirs: &'a [Rc<VirtualFileSystem>],
    pub(super) arenas: &'a [Arena],
    pub(super) now: Now,
    pub(super) journal_file_bytes: u64,
    pub(super) plant: Plant,
}

/// A start that has recovered what it found and has not opened its journals yet.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) incarnation: u64,
    pub(super) recovery: NodeRecovery,
}

impl NodeStart<'_> {
    fn dir_ids(&self) -> impl Iterator<Item = (DirId, &Rc<VirtualFileSystem>)> {
        self.dirs.iter().enumerate().map(|(at, dir)| (dir_id(at), dir))
    }

    /// The first half: a new incarnation, and everything that was acknowledged, in its segments.
    pub(super) fn recover(&self) -> Result<Recovered, StartError> {
        let incarnation = self.next_incarnation()?;
        let dirs =
            self.dir_ids().map(|(id, dir)| (id, &**dir as &dyn FileSystem)).collect::<Vec<_>>();
        let recovery = recover(&LogDirectories {
            dirs,
            salt: SALT,
            last_blocks: LastBlock::Compared,
            journals_missing: false,
        })
        .map_err(|RecoverError { error, .. }| StartError::from(error))?;
        Ok(Recovered { incarnation, recovery })
    }

    /// Counted in the first log directory, durable before it is used.
    fn next_incarnation(&self) -> Result<u64, StartError> {
        let first: &VirtualFileSystem = &self.dirs[0];
        let found = match MetaProperties::read(first) {
            Ok(found) => found,
            Err(MetaError::FileSystem(error)) => return Err(error.into()),
            Err(error) => return Err(StartError::Failed(format!("{error:?}"))),
        };
        let before = found.map_or(0, |meta| meta.incarnation);
        let incarnation = if self.plant.incarnations_are_reused() { 1 } else { before + 1 };
        let meta = MetaProperties {
            cluster_id: "simulated".to_owned(),
            node_id: 1,
            directory_id: "first".to_owned(),
            format: FORMAT_VERSION,
            incarnation,
            salt: SALT,
            directories: Vec::new(),
        };
        meta.write(first)?;
        Ok(incarnation)
    }

    /// The second half: every shard states its partitions in a fresh journal, then the old ones go.
    pub(super) fn open(
        &self,
        recovered: Recovered,
        shards: u32,
        owner: impl Fn(PartitionId) -> u32,
        config: impl Fn(PartitionId) -> LogConfig,
        random: &mut Random,
    ) -> Result<Node, StartError> {
        let Recovered { incarnation, recovery } = recovered;
        if self.plant.old_journals_go_first() {
            self.remove_journals(&recovery)?;
        }
        let mut of_shard: BTreeMap<u32, Vec<RecoveredPartition>> = BTreeMap::new();
        let NodeRecovery { partitions, journal_files, doomed, .. } = recovery;
        for mut partition in partitions.into_values() {
            partition.config = config(partition.id);
            of_shard.entry(owner(partition.id)).or_default().push(partition);
        }
        let mut opened = Vec::new();
        for shard in 0..shards {
            let partitions = of_shard.remove(&shard).unwrap_or_default();
            let journal_dir = dir_id(shard as usize % self.dirs.len());
            let identity = JournalIdentity { shard, incarnation, salt: SALT };
            let number = journal_files.iter().filter(|file| file.1.shard == shard);
            let number = number.map(|file| file.1.number + 1).max().unwrap_or(0);
            let files: &VirtualFileSystem = &self.dirs[usize::from(journal_dir.0)];
            let first_bytes = self.journal_file_bytes;
            let journal = open_shard_with(files, identity, &partitions, number, first_bytes)?;
            opened.push((journal_dir, journal, partitions));
        }
        if !self.plant.old_journals_go_first() {
            self.keep_or_remove(&mut opened, &journal_files)?;
        }
        self.remove_doomed(doomed)?;
        let shards =
            opened.into_iter().zip(0..).map(|((journal_dir, journal, partitions), shard)| {
                let config = EngineConfig {
                    journal_dir,
                    shard,
                    journal_file_bytes: self.journal_file_bytes,
                    tail_bytes_max: TAIL_BYTES_MAX,
                    tail_bytes_first: TAIL_BYTES_MAX / 8,
                    producer_expiration_ms: PRODUCER_EXPIRATION_MS,
                    retention_check_ms: RETENTION_CHECK_MS,
                    cleaner_backoff_ms: CLEANER_BACKOFF_MS,
                    disk: DiskConfig::default(),
                };
                let start = EngineStart { config, journal, partitions };
                let arena = self.arenas[shard as usize].clone();
                Shard {
                    disk: self.disk(shard, &arena, random),
                    engine: Engine::new(start, arena, self.now),
                }
            });
        Ok(Node { shards: shards.collect() })
    }

    fn disk(&self, shard: u32, arena: &Arena, random: &mut Random) -> VirtualDisk {
        let planted = self.plant.disk();
        let editor =
            planted.journal_edit.map(|edit| JournalEditor::new(edit, SALT, shard, arena.clone()));
        let dirs = self.dir_ids().map(|(id, dir)| (id, Rc::clone(dir))).collect();
        VirtualDisk::new(dirs, random.fork(), planted, editor)
    }

    fn remove_journals(&self, recovery: &NodeRecovery) -> Result<(), StartError> {
        self.remove_files(&recovery.journal_files)?;
        for (_, dir) in self.dir_ids() {
            dir.sync_file_system()?;
        }
        Ok(())
    }

    /// All new journals are durable: old files are written over where they fit, and go where not.
    fn keep_or_remove(
        &self,
        opened: &mut [(DirId, OpenedJournal, Vec<RecoveredPartition>)],
        files: &[(DirId, JournalFileName, u64)],
    ) -> Result<(), StartError> {
        for file in files {
            let (dir, name, bytes) = *file;
            let wanted = opened.get_mut(name.shard as usize).filter(|(of, journal, _)| {
                *of == dir
                    && bytes == self.journal_file_bytes
                    && journal.free_files.len() + 1 < JOURNAL_FILES
            });
            match wanted {
                Some((_, journal, _)) => journal.free_files.push((name.path(), bytes)),
                None => self.remove_files(&[*file])?,
            }
        }
        Ok(())
    }

    fn remove_files(&self, files: &[(DirId, JournalFileName, u64)]) -> Result<(), StartError> {
        for (dir, name, _) in files {
            self.dirs[usize::from(dir.0)].remove_file(&name.path())?;
        }
        Ok(())
    }

    /// What a deletion left when it was cut short.
    fn remove_doomed(&self, doomed: Vec<(DirId, std::path::PathBuf)>) -> Result<(), StartError> {
        for (dir, path) in doomed {
            let steps = vec![Step::RemoveDir(path), Step::SyncDir(Path::new("").to_owned())];
            execute(&*self.dirs[usize::from(dir.0)], &Job { dir, steps })?;
        }
        Ok(())
    }
}

pub(super) fn dir_id(at: usize) -> DirId {
    DirId(u16::try_from(at).expect("a handful of log directories"))
}
