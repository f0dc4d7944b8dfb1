//! The data directories of one stopped node: locked, and known to belong together.

use std::path::{Path, PathBuf};

use engine::disk::DirId;
use engine::disk::real::{DataAccess, DirectoryLock, RealFileSystem};
use engine::recovery::meta::{self, MetaProperties};

use super::overlay::Overlay;
use super::report::Report;
use crate::cli::failure::Failure;
use crate::cli::stored_files::{open_for_reading, read_meta, unreadable};

pub(super) struct NodeData {
    pub(super) directories: Vec<DataDirectory>,
    /// Held until the check is over.
    _locks: Vec<DirectoryLock>,
}

pub(super) struct DataDirectory {
    pub(super) id: DirId,
    pub(super) path: PathBuf,
    pub(super) meta: MetaProperties,
}

impl NodeData {
    /// Locks the directories: a running node changes what is looked at.
    pub(super) fn open(paths: &[PathBuf], report: &mut Report) -> Result<Self, Failure> {
        let mut locks = Vec::new();
        let mut directories: Vec<DataDirectory> = Vec::new();
        for (number, path) in (0..).zip(paths) {
            locks.push(
                DirectoryLock::take(path).map_err(|error| Failure::failed(error.to_string()))?,
            );
            let file = path.join(meta::FILE_NAME);
            report.checked(std::fs::metadata(&file).map_or(0, |stat| stat.len()));
            match read_meta(path) {
                Ok(meta) => {
                    directories.push(DataDirectory { id: DirId(number), path: path.clone(), meta })
                }
                Err(failure) => {
                    let hurts = "everything in this directory: the node does not start with it";
                    report.damage(&file, None, failure.to_string(), hurts);
                }
            }
        }
        if let Some((first, others)) = directories.split_first() {
            for other in others {
                let of = |meta: &MetaProperties| (meta.cluster_id.clone(), meta.node_id, meta.salt);
                if of(&first.meta) != of(&other.meta) {
                    return Err(Failure::usage(format!(
                        "{} and {} belong to different nodes; check one node at a time",
                        first.path.display(),
                        other.path.display()
                    )));
                }
            }
        }
        Ok(Self { directories, _locks: locks })
    }

    /// What is wrong where log directories of the node are not among these.
    pub(super) fn missing(&self) -> Option<String> {
        let metas: Vec<&MetaProperties> = self.directories.iter().map(|one| &one.meta).collect();
        let missing = MetaProperties::missing(&metas);
        let paths: Vec<&str> = missing.iter().map(|known| known.path.as_str()).collect();
        if paths.is_empty() {
            return None;
        }
        Some(format!(
            "the node's data in {} are missing: name all data directories of the node; if they are lost, \
             start it with --give-up-missing-data-dir first",
            paths.join(" and ")
        ))
    }

    pub(super) fn path_of(&self, id: DirId) -> &Path {
        let found = self.directories.iter().find(|directory| directory.id == id);
        found.map_or(Path::new(""), |directory| &directory.path)
    }

    /// Views that keep all changes in memory.
    pub(super) fn overlays(&self) -> Result<Vec<(DirId, Overlay)>, Failure> {
        let open = |directory: &DataDirectory| {
            Ok((directory.id, Overlay::new(open_for_reading(&directory.path)?)))
        };
        self.directories.iter().map(open).collect()
    }

    /// The directories themselves, as a node writes them.
    pub(super) fn real(&self) -> Result<Vec<(DirId, RealFileSystem)>, Failure> {
        let open = |directory: &DataDirectory| {
            let fs = RealFileSystem::open(&directory.path, access(&directory.path));
            Ok((directory.id, fs.map_err(|error| unreadable(&directory.path, &error))?))
        };
        self.directories.iter().map(open).collect()
    }
}

/// As a node chooses: direct where the file system can.
fn access(path: &Path) -> DataAccess {
    match engine::disk::real::probe(path) {
        Ok(probe) if probe.direct_io_bytes.is_some() => DataAccess::Direct,
        _ => DataAccess::Buffered,
    }
}
