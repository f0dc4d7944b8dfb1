//! Partitions that the metadata has on this node and recovery did not find: their directory is gone, or
//! nothing sound says what is in it.
//!
//! They get their directory back with what the journal still holds of them, and are suspect where that is
//! not all; never are they created anew, empty.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use coordinator::metadata::{Image, LogDirectoryId};
use engine::PartitionId;
use engine::disk::{DirId, FileSystem, FileSystemError};
use engine::recovery::{LastBlock, NodeRecovery, RecoverError, restore};
use protocol::{BrokerId, PartitionIndex};

/// A log directory of this node, as recovery and as the metadata name it.
pub struct KnownDirectory<'a> {
    pub dir: DirId,
    pub id: LogDirectoryId,
    pub fs: &'a dyn FileSystem,
}

/// Puts them into `found`; gives those that were there neither.
pub fn restore_vanished(
    found: &mut NodeRecovery,
    image: &Image,
    broker: BrokerId,
    directories: &[KnownDirectory<'_>],
    last_blocks: LastBlock,
) -> Result<Vec<PartitionId>, RecoverError> {
    let mut restored = Vec::new();
    for (id, path, directory) in missing(found, image, broker, directories) {
        let failed = |error| RecoverError { dir: directory.dir, error };
        let known = found.vanished.remove(&id);
        if known.is_none() && !holds_segments(directory.fs, &path).map_err(failed)? {
            // It was never written.
            continue;
        }
        let (fs, dir) = (directory.fs, directory.dir);
        let partition = restore(fs, dir, &path, id, known.as_ref(), last_blocks).map_err(failed)?;
        // Its partition.metadata named another one.
        found.partitions.retain(|_, other| other.directory != partition.directory);
        found.unknown.retain(|unknown| *unknown != (directory.dir, path.clone()));
        found.partitions.insert(id, partition);
        restored.push(id);
    }
    Ok(restored)
}

fn missing<'a, 'd>(
    found: &NodeRecovery,
    image: &Image,
    broker: BrokerId,
    directories: &'a [KnownDirectory<'d>],
) -> Vec<(PartitionId, PathBuf, &'a KnownDirectory<'d>)> {
    let by_id: BTreeMap<LogDirectoryId, &KnownDirectory<'_>> =
        directories.iter().map(|directory| (directory.id, directory)).collect();
    let mut missing = Vec::new();
    for topic in image.topics() {
        for (index, partition) in (0..).map(PartitionIndex).zip(topic.partitions()) {
            let id = PartitionId { topic_id: topic.id(), partition: index };
            let replica = partition.replica_on(broker);
            let directory = replica.and_then(|replica| by_id.get(&replica.directory));
            if let Some(directory) = directory
                && !found.partitions.contains_key(&id)
            {
                missing.push((id, PathBuf::from(format!("{}-{index}", topic.name())), *directory));
            }
        }
    }
    missing
}

fn holds_segments(fs: &dyn FileSystem, directory: &Path) -> Result<bool, FileSystemError> {
    let entries = match fs.entries(directory) {
        Err(FileSystemError::NotFound) => return Ok(false),
        entries => entries?,
    };
    let is_segment = |name: &Path| name.extension().is_some_and(|extension| extension == "log");
    Ok(entries.iter().any(|entry| entry.length > 0 && is_segment(&entry.name)))
}
