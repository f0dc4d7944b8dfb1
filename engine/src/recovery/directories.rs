//! Looks through the log directories of a node and recovers every partition in them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use protocol::Offset;

use super::RecoveredPartition;
use super::identity;
use super::journals::{self, Journals};
use super::materialise::{LastBlock, PartitionFiles, materialise};
use super::replacement;
use super::replay::Replay;
use super::state_file::SavedState;
use super::suspicion::{
    self, ACCEPT_LOSS_FILE, NOTE_BYTES_MAX, SUSPECT_FILE, SuspectNote, Suspicion,
};
use super::unsynced::Unsynced;
use crate::PartitionId;
use crate::disk::job::read_file;
use crate::disk::{DirId, FileSystem, FileSystemError};
use crate::journal::group::JournalSalt;
use crate::journal::writer::JournalFileName;
use crate::limits::LAST_BLOCKS_COMPARED_MAX;
use crate::partition::PartitionDirectory;

/// One log directory of the node.
pub struct LogDirectories<'a> {
    pub dirs: Vec<(DirId, &'a dyn FileSystem)>,
    pub salt: JournalSalt,
    pub last_blocks: LastBlock,
    /// A log directory of the newest start is not among these: what its journals knew is not known.
    pub journals_missing: bool,
}

/// What recovery found in all log directories.
#[derive(Debug, Default)]
pub struct NodeRecovery {
    pub partitions: BTreeMap<PartitionId, RecoveredPartition>,
    /// Journal files found: (directory, name, bytes).
    pub journal_files: Vec<(DirId, JournalFileName, u64)>,
    /// Directories of deleted partitions whose files are still there.
    pub doomed: Vec<(DirId, PathBuf)>,
    /// Directories that look like a partition and are not sound: left alone, reported.
    pub unknown: Vec<(DirId, PathBuf)>,
    /// Partitions whose loss was accepted since the last start; see [`ACCEPT_LOSS_FILE`].
    pub accepted_losses: Vec<PartitionId>,
    /// Partitions with records that the journal speaks of, and no directory has.
    pub vanished: BTreeMap<PartitionId, Vanished>,
    /// Partitions that are not suspect, of which only a journal that is missing may have held the newest
    /// records.
    pub outdated: Vec<PartitionId>,
    /// See [`LogDirectories::journals_missing`].
    pub journals_missing: bool,
    pub incarnation_max: u64,
    pub journal_bytes: u64,
}

/// What is known of a partition without a directory.
#[derive(Clone, Debug)]
pub struct Vanished {
    replay: Replay,
    saved: Option<SavedState>,
}

/// Why recovery stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoverError {
    pub dir: DirId,
    pub error: FileSystemError,
}

/// Recovers all partitions: their segments are complete and durable when it returns.
pub fn recover(directories: &LogDirectories<'_>) -> Result<NodeRecovery, RecoverError> {
    let journals_missing = directories.journals_missing;
    let mut recovery = NodeRecovery { journals_missing, ..NodeRecovery::default() };
    let Journals { replays, saved } = journals::read(directories, &mut recovery)?;
    for (dir, fs) in &directories.dirs {
        let last_blocks = directories.last_blocks;
        recover_directory(*dir, *fs, &replays, &saved, last_blocks, &mut recovery)
            .map_err(|error| RecoverError { dir: *dir, error })?;
    }
    for (id, replay) in replays {
        // Who let it go knows the most where the journal of its next owner is missing.
        let is_missed = (!replay.is_closed || journals_missing)
            && !replay.is_deleted
            && replay.reached > Offset(0);
        if is_missed && !recovery.partitions.contains_key(&id) {
            let saved = saved.get(&id).cloned();
            recovery.vanished.insert(id, Vanished { replay, saved });
        }
    }
    Ok(recovery)
}

/// Gives a partition its directory back: with what the journal has of it and what stands in segments of
/// that name. It is suspect unless that is all; where a journal that is missing may have known more, that is not
/// known.
pub fn restore(
    fs: &dyn FileSystem,
    dir: DirId,
    path: &Path,
    id: PartitionId,
    known: Option<&Vanished>,
    journals_missing: bool,
    last_blocks: LastBlock,
) -> Result<RecoveredPartition, FileSystemError> {
    fs.create_dir(path)?;
    let file = path.join(identity::FILE_NAME);
    fs.write_file(&file, &identity::encode(id.topic_id))?;
    fs.sync(&file)?;
    fs.sync_dir(path)?;
    fs.sync_dir(Path::new(""))?;
    let (files, _) = list_segments(dir, fs, path)?;
    let (replay, saved) = match known {
        Some(known) => (Some(&known.replay), known.saved.as_ref()),
        None => (None, None),
    };
    let mut unsynced = Unsynced::default();
    let mut recovered = materialise(fs, id, &files, replay, saved, last_blocks, &mut unsynced)?;
    if journals_missing && replay.is_none_or(|replay| replay.may_be_older) {
        let end = recovered.end.offset;
        recovered.suspicion.get_or_insert(Suspicion::Forgotten { end });
    }
    unsynced.sync(fs)?;
    if let (Some(suspicion), None) = (&recovered.suspicion, &files.suspect_note) {
        suspicion::leave_note(fs, &recovered, suspicion)?;
    }
    Ok(recovered)
}

fn recover_directory(
    dir: DirId,
    fs: &dyn FileSystem,
    replays: &BTreeMap<PartitionId, Replay>,
    saved: &BTreeMap<PartitionId, SavedState>,
    last_blocks: LastBlock,
    recovery: &mut NodeRecovery,
) -> Result<(), FileSystemError> {
    let mut unsynced = Unsynced::default();
    let entries = fs.entries(Path::new(""))?;
    let last_blocks = match last_blocks {
        LastBlock::Compared if entries.len() > LAST_BLOCKS_COMPARED_MAX => LastBlock::InJournal,
        _ => last_blocks,
    };
    for entry in entries {
        let Some(name) = entry.name.to_str().filter(|_| entry.is_dir) else { continue };
        if identity::is_doomed(name) {
            recovery.doomed.push((dir, entry.name.clone()));
            continue;
        }
        if identity::split_name(name).is_none() {
            continue;
        }
        let path = entry.name.join(identity::FILE_NAME);
        let metadata = read_file(fs, &path, identity::FILE_BYTES_MAX)?;
        let is_begun = identity::was_never_written(metadata.as_deref());
        let id = metadata.and_then(|metadata| identity::partition_id(name, &metadata));
        let Some(id) = id else {
            // A partition whose creation a crash cut short has nothing in it, and is created again.
            if !is_begun || !list_segments(dir, fs, &entry.name)?.0.segments.is_empty() {
                recovery.unknown.push((dir, entry.name.clone()));
            }
            continue;
        };
        let (files, accepted) = list_segments(dir, fs, &entry.name)?;
        let (replay, saved) = (replays.get(&id), saved.get(&id));
        let mut recovered = materialise(fs, id, &files, replay, saved, last_blocks, &mut unsynced)?;
        if replay.is_some_and(|replay| replay.is_deleted) {
            // Only its directory is left, which goes as soon as the metadata say so, too.
            recovered.suspicion = None;
        }
        if let Some(suspicion) = &recovered.suspicion
            && files.suspect_note.is_none()
        {
            suspicion::leave_note(fs, &recovered, suspicion)?;
        }
        // Where it is suspect still, accepting the loss was cut short and has to be done again.
        if accepted && recovered.suspicion.is_none() {
            recovery.accepted_losses.push(id);
        }
        if replay.is_some_and(|replay| replay.may_be_older && !replay.is_deleted)
            && recovered.suspicion.is_none()
        {
            recovery.outdated.push(id);
        }
        recovery.partitions.insert(id, recovered);
    }
    if recovery.doomed.iter().any(|doomed| doomed.0 == dir) {
        // A killed process may not have made the new names durable: with a power cut they would be
        // partitions again, and what is removed from them now would be missing.
        unsynced.directory(Path::new(""));
    }
    unsynced.sync(fs)
}

/// The partition's files, and whether a loss was accepted since the last start.
fn list_segments(
    dir: DirId,
    fs: &dyn FileSystem,
    directory: &Path,
) -> Result<(PartitionFiles, bool), FileSystemError> {
    let mut segments = Vec::new();
    let mut suspect_note = None;
    let mut accepted = false;
    let mut entries = fs.entries(directory)?;
    let (cleaner, is_changed) = replacement::finish(fs, directory, &entries)?;
    if is_changed {
        entries = fs.entries(directory)?;
    }
    for entry in entries {
        let name = entry.name.to_str().unwrap_or_default();
        if name == SUSPECT_FILE {
            let note = read_file(fs, &directory.join(name), NOTE_BYTES_MAX)?;
            suspect_note = Some(SuspectNote::decode(&note.unwrap_or_default()));
        }
        accepted |= name == ACCEPT_LOSS_FILE;
        if let Some(base) = name.strip_suffix(".log").and_then(|base| base.parse().ok()) {
            segments.push((Offset(base), entry.length));
        }
    }
    segments.sort_unstable();
    let directory = PartitionDirectory { dir, path: directory.to_owned() };
    Ok((PartitionFiles { directory, segments, cleaner, suspect_note }, accepted))
}
