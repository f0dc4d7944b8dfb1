//! The data directories: created, locked, tried, and who they belong to.

use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use engine::disk::real::{DataAccess, DirectoryLock, RealFileSystem, SlowCalls};
use engine::disk::{DirId, FileSystem};
use engine::journal::group::JournalSalt;
use engine::limits::SLOW_CALLS_IN_FLIGHT_MAX;
use engine::recovery::meta::{
    FILE_NAME, FORMAT_VERSION, KnownDirectory, MetaError, MetaProperties,
};
use protocol::TopicId;
use tuning::{
    DirectoryContents, DirectoryFacts, DurabilityWanted, HostRoot, directory_checks,
    probe_directory,
};

use super::NodeError;
use super::log::Log;
use crate::shard::mail::DirectorySpace;

/// One `--data-dir`. Its `DirId` is its place.
pub(super) struct DataDirectory {
    pub(super) path: PathBuf,
    pub(super) fs: Arc<RealFileSystem>,
    pub(super) id: TopicId,
    /// As the kernel names it.
    device: String,
    space: DirectorySpace,
    /// Held as long as the node runs.
    _lock: DirectoryLock,
}

/// All data directories of a node, and the node's identity in them.
pub(super) struct DataDirectories {
    pub(super) all: Vec<DataDirectory>,
    pub(super) cluster_id: String,
    pub(super) node_id: i32,
    pub(super) incarnation: u64,
    pub(super) salt: JournalSalt,
    /// Directories of before that this start gives up.
    pub(super) given_up: Vec<KnownDirectory>,
}

const NODE_ID: i32 = 1;

impl DataDirectories {
    pub(super) fn open(
        paths: &[PathBuf],
        durability: DurabilityWanted,
        node_id: Option<i32>,
        give_up_missing: bool,
        log: &Log,
    ) -> Result<Self, NodeError> {
        refuse_twice(paths)?;
        let slow_calls = SlowCalls::new(SLOW_CALLS_IN_FLIGHT_MAX).map_err(NodeError::Mailboxes)?;
        let slow_calls = Arc::new(slow_calls);
        let mut opened = Vec::with_capacity(paths.len());
        for path in paths {
            opened.push(open_one(path, durability, &slow_calls, log)?);
        }
        let given_up = missing(&opened);
        if !give_up_missing && !given_up.is_empty() {
            let paths = given_up.into_iter().map(|known| known.path).collect();
            return Err(NodeError::DirectoriesMissing { paths });
        }
        let known = opened.iter().find_map(|one| one.meta.as_ref());
        let cluster_id = match known {
            Some(meta) => meta.cluster_id.clone(),
            None => TopicId(random_bytes()?).to_string(),
        };
        let salt = match known {
            Some(meta) => meta.salt,
            None => JournalSalt(u64::from_ne_bytes(random_bytes()?)),
        };
        let found = known.map(|meta| meta.node_id);
        let node_id = node_id.or(found).unwrap_or(NODE_ID);
        let incarnations = opened.iter().filter_map(|one| one.meta.as_ref());
        let incarnation = 1 + incarnations.map(|meta| meta.incarnation).max().unwrap_or(0);
        let mut metas = Vec::with_capacity(opened.len());
        for one in &opened {
            let meta = match &one.meta {
                Some(meta) => check(&one.path, meta.clone(), &cluster_id, node_id)?,
                None => {
                    let meta = MetaProperties {
                        cluster_id: cluster_id.clone(),
                        node_id,
                        directory_id: TopicId(random_bytes()?).to_string(),
                        format: FORMAT_VERSION,
                        incarnation,
                        salt,
                        directories: Vec::new(),
                    };
                    // The others must not know of it before it has its identity for good.
                    one.write(&meta)?;
                    meta
                }
            };
            metas.push(meta);
        }
        // Those that are given up are missed until this start is committed: cut short before that, the next
        // one must not take the journals at hand for all.
        let given = opened.iter().zip(&metas).map(|(one, meta)| one.known_as(meta));
        let directories: Vec<KnownDirectory> = given.chain(given_up.iter().cloned()).collect();
        let mut all = Vec::with_capacity(opened.len());
        for (one, meta) in opened.into_iter().zip(metas) {
            let id = TopicId::parse(&meta.directory_id).ok_or_else(|| NodeError::MetaDamaged {
                path: one.path.join(FILE_NAME),
                key: "directory.id",
            })?;
            let directories = directories.clone();
            one.write(&MetaProperties { incarnation, directories, ..meta })?;
            let space = one.space;
            let (path, fs, device) = (one.path, one.fs, one.device);
            all.push(DataDirectory { path, fs, id, device, space, _lock: one.lock });
        }
        Ok(Self { all, cluster_id, node_id, incarnation, salt, given_up })
    }

    /// This start is committed: what it gave up is missed no more.
    pub(super) fn forget_given_up(&self) -> Result<(), NodeError> {
        for directory in self.all.iter().filter(|_| !self.given_up.is_empty()) {
            let path = &directory.path;
            let meta = read_meta(path, &directory.fs)?;
            let mut meta =
                meta.ok_or_else(|| NodeError::MetaMissing { path: path.join(FILE_NAME) })?;
            meta.directories.retain(|known| self.given_up.iter().all(|gone| gone.id != known.id));
            let written = meta.write(&*directory.fs);
            written.map_err(|error| NodeError::Disk { path: path.clone(), error })?;
        }
        Ok(())
    }

    pub(super) fn with_ids(&self) -> impl Iterator<Item = (DirId, &DataDirectory)> {
        (0..).map(DirId).zip(&self.all)
    }

    pub(super) fn get(&self, dir: DirId) -> &DataDirectory {
        &self.all[usize::from(dir.0)]
    }

    /// An error with the device that the directory at this place stands on: that is what is looked at next.
    pub(super) fn on_device(&self, place: Option<usize>, error: &str) -> String {
        match place.and_then(|place| self.all.get(place)) {
            Some(directory) => format!("{error}, on {}", directory.device),
            None => error.to_owned(),
        }
    }

    pub(super) fn free_bytes_min(&self) -> u64 {
        let free = self.all.iter().map(|directory| directory.space.usable_bytes);
        free.min().expect("a node has a data directory")
    }

    /// Space as it is now.
    pub(super) fn spaces(&self) -> Vec<DirectorySpace> {
        self.all.iter().map(|directory| space_of(&directory.path, directory.space)).collect()
    }
}

struct Opened {
    path: PathBuf,
    fs: Arc<RealFileSystem>,
    meta: Option<MetaProperties>,
    device: String,
    space: DirectorySpace,
    lock: DirectoryLock,
}

impl Opened {
    fn write(&self, meta: &MetaProperties) -> Result<(), NodeError> {
        let disk = |error| NodeError::Disk { path: self.path.clone(), error };
        meta.write(&*self.fs).map_err(disk)
    }

    fn known_as(&self, meta: &MetaProperties) -> KnownDirectory {
        let path = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        let path = path.to_string_lossy().into_owned();
        KnownDirectory { id: meta.directory_id.clone(), path }
    }
}

/// A shard's journal, in one directory, speaks of partitions in others: without it recovery would take
/// their logs for shorter than they are, and what it removes behind their ends would be gone for good. So
/// this comes before anything is recovered.
fn missing(opened: &[Opened]) -> Vec<KnownDirectory> {
    let metas: Vec<&MetaProperties> = opened.iter().filter_map(|one| one.meta.as_ref()).collect();
    MetaProperties::missing(&metas).into_iter().cloned().collect()
}

/// Before anything is created: the node would meet its own lock.
fn refuse_twice(paths: &[PathBuf]) -> Result<(), NodeError> {
    for (at, path) in paths.iter().enumerate() {
        let same = |other: &&PathBuf| resolved(other) == resolved(path);
        if let Some(other) = paths[..at].iter().find(same) {
            return Err(NodeError::DirectoryTwice { path: path.clone(), other: other.clone() });
        }
    }
    Ok(())
}

/// Without symbolic links and dots, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for existing in path.ancestors() {
        if let (Ok(mut found), Ok(rest)) = (existing.canonicalize(), path.strip_prefix(existing)) {
            // What does not exist is no symbolic link.
            for part in rest.components() {
                match part {
                    Component::ParentDir => drop(found.pop()),
                    part => found.push(part),
                }
            }
            return found;
        }
    }
    path
}

fn open_one(
    path: &Path,
    durability: DurabilityWanted,
    slow_calls: &Arc<SlowCalls>,
    log: &Log,
) -> Result<Opened, NodeError> {
    let failed = |error| NodeError::CreateDirectory { path: path.into(), error };
    fs::create_dir_all(path).map_err(failed)?;
    let lock = DirectoryLock::take(path).map_err(NodeError::Lock)?;
    let facts = DirectoryFacts::read(&HostRoot::live(), path);
    let facts = facts.map_err(|error| NodeError::Directory(error.to_string()))?;
    let is_known = path.join(FILE_NAME).exists() || path.join("journal").exists();
    let contents = match is_known {
        true => DirectoryContents::NodeData,
        false => DirectoryContents::Nothing,
    };
    let checks = directory_checks(&facts, &probe_directory(path), durability, contents);
    if let Some(fatal) = checks.iter().find(|check| check.is_fatal()) {
        return Err(NodeError::Directory(format!("{}: {}", path.display(), fatal.sentence())));
    }
    let probed = engine::disk::real::probe(path);
    let probed = probed.map_err(|error| NodeError::Directory(format!("{error:?}")))?;
    log.info(&format!(
        "{}: {} on {}, direct I/O {}, durable writes {}",
        path.display(),
        probed.file_system,
        probed.device,
        probed.direct_io_bytes.map_or("unknown".to_owned(), |bytes| format!("of {bytes} B")),
        if probed.is_durable() { "yes" } else { "no" },
    ));
    let access = match probed.direct_io_bytes {
        Some(_) => DataAccess::Direct,
        None => DataAccess::Buffered,
    };
    let disk = |error| NodeError::Disk { path: path.into(), error };
    let fs = RealFileSystem::open(path, access).map_err(disk)?;
    let fs = Arc::new(fs.bounded_by(Arc::clone(slow_calls)));
    let meta = read_meta(path, &fs)?;
    let unknown =
        DirectorySpace { is_offline: false, total_bytes: 0, usable_bytes: facts.free.get() };
    let space = space_of(path, unknown);
    if meta.is_none() && contents == DirectoryContents::NodeData {
        return Err(NodeError::MetaMissing { path: path.join(FILE_NAME) });
    }
    let device = probed.device.to_string();
    Ok(Opened { path: path.into(), fs, meta, device, space, lock })
}

fn read_meta(path: &Path, fs: &RealFileSystem) -> Result<Option<MetaProperties>, NodeError> {
    MetaProperties::read(fs as &dyn FileSystem).map_err(|error| match error {
        MetaError::FileSystem(error) => NodeError::Disk { path: path.into(), error },
        MetaError::NewerFormat { found } => NodeError::NewerFormat { path: path.into(), found },
        MetaError::Damaged { key } => NodeError::MetaDamaged { path: path.join(FILE_NAME), key },
    })
}

fn check(
    path: &Path,
    meta: MetaProperties,
    cluster_id: &str,
    node_id: i32,
) -> Result<MetaProperties, NodeError> {
    if meta.cluster_id != cluster_id {
        let (expected, found) = (cluster_id.to_owned(), meta.cluster_id);
        return Err(NodeError::OtherCluster { path: path.into(), expected, found });
    }
    if meta.node_id != node_id {
        let (given, found) = (node_id, meta.node_id);
        return Err(NodeError::OtherNode { path: path.into(), given, found });
    }
    Ok(meta)
}

fn space_of(path: &Path, unknown: DirectorySpace) -> DirectorySpace {
    let Ok(status) = rustix::fs::statvfs(path) else { return unknown };
    DirectorySpace {
        is_offline: false,
        total_bytes: status.f_blocks.saturating_mul(status.f_frsize),
        usable_bytes: status.f_bavail.saturating_mul(status.f_frsize),
    }
}

/// From the kernel: identities and seeds.
pub(super) fn random_bytes<const N: usize>() -> Result<[u8; N], NodeError> {
    let mut bytes = [0; N];
    let read =
        |bytes: &mut [u8]| -> io::Result<()> { fs::File::open("/dev/urandom")?.read_exact(bytes) };
    read(&mut bytes).map_err(NodeError::Seed)?;
    Ok(bytes)
}
