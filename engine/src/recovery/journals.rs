//! What the journals of all shards say together.
//!
//! A start opens the journals of all shards one after the other, and only then lets go of the ones
//! before. Cut short in between, some shards have a new journal and others do not, and what changed its
//! shard may be in an old journal alone: then older incarnations count too. Any group behind an opening
//! shows that all openings of that incarnation were durable; then the newest incarnation is enough.

use std::collections::BTreeMap;
use std::path::Path;

use super::RecoverError;
use super::directories::{LogDirectories, NodeRecovery};
use super::journal_files::{read_all, read_newest};
use super::replay::{self, Replay};
use super::state_file::{self, SavedState};
use crate::PartitionId;
use crate::disk::job::read_file;
use crate::disk::{DirId, FileSystem, FileSystemError};
use crate::journal::writer::JournalFileName;

/// What is known of every partition, from whichever shard had it last.
#[derive(Debug, Default)]
pub(super) struct Journals {
    pub(super) replays: BTreeMap<PartitionId, Replay>,
    pub(super) saved: BTreeMap<PartitionId, SavedState>,
}

/// The journal directory of one shard.
struct ShardJournal<'a> {
    dir: DirId,
    fs: &'a dyn FileSystem,
    shard: u32,
    files: Vec<(JournalFileName, u64)>,
}

pub(super) fn read(
    directories: &LogDirectories<'_>,
    recovery: &mut NodeRecovery,
) -> Result<Journals, RecoverError> {
    let mut journals = Journals::default();
    let mut shards = Vec::new();
    for (dir, fs) in &directories.dirs {
        let listed = list(*dir, *fs, &mut journals, recovery);
        shards.extend(listed.map_err(|error| RecoverError { dir: *dir, error })?);
    }
    // (incarnation, whether it went beyond its opening) of the newest known so far.
    let mut newest = (0, false);
    for journal in &shards {
        let ShardJournal { dir, fs, shard, files } = journal;
        let (scans, bytes) = read_newest(*fs, directories.salt, files, *shard)
            .map_err(|error| RecoverError { dir: *dir, error })?;
        recovery.journal_bytes += bytes;
        recovery.incarnation_max = recovery.incarnation_max.max(scans.incarnation_max);
        for scan in scans.complete {
            newest = newest.max((scan.incarnation, scan.cut > scan.opening_end));
            replay::merge(&mut journals.replays, replay::replay(scan, *shard));
        }
    }
    let older = if newest.1 { &[][..] } else { &shards[..] };
    for ShardJournal { dir, fs, shard, files } in older {
        let (scans, bytes) = read_all(*fs, directories.salt, files, *shard)
            .map_err(|error| RecoverError { dir: *dir, error })?;
        recovery.journal_bytes += bytes;
        for scan in scans.complete {
            replay::merge(&mut journals.replays, replay::replay(scan, *shard));
        }
    }
    if directories.journals_missing {
        replay::doubt_older(&mut journals.replays, newest.0);
    }
    Ok(journals)
}

/// The journals of one log directory; state files are read on the way.
fn list<'a>(
    dir: DirId,
    fs: &'a dyn FileSystem,
    journals: &mut Journals,
    recovery: &mut NodeRecovery,
) -> Result<Vec<ShardJournal<'a>>, FileSystemError> {
    let shards = match fs.entries(Path::new("journal")) {
        Ok(entries) => entries,
        Err(FileSystemError::NotFound) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut listed = Vec::new();
    for entry in shards {
        let shard: Option<u32> = entry.name.to_str().and_then(|name| name.parse().ok());
        let (true, Some(shard)) = (entry.is_dir, shard) else { continue };
        let mut files = Vec::new();
        for file in fs.entries(&JournalFileName::directory(shard))? {
            let Some(number) = JournalFileName::number_of(&file.name) else { continue };
            let name = JournalFileName { shard, number };
            recovery.journal_files.push((dir, name, file.length));
            files.push((name, file.length));
        }
        listed.push(ShardJournal { dir, fs, shard, files });
        for (id, state) in read_state(fs, shard)? {
            let rank =
                |state: &SavedState| (state.as_of, state.leader_epoch, state.producers_known);
            if journals.saved.get(&id).is_none_or(|known| rank(known) <= rank(&state)) {
                journals.saved.insert(id, state);
            }
        }
    }
    Ok(listed)
}

/// What a shard's state file says; one that is too large to be ours says nothing.
pub(super) fn read_state(
    fs: &dyn FileSystem,
    shard: u32,
) -> Result<BTreeMap<PartitionId, SavedState>, FileSystemError> {
    let path = state_file::path(shard);
    match fs.length(&path) {
        Ok(length) if length > state_file::FILE_BYTES_MAX => return Ok(BTreeMap::new()),
        Ok(_) => {}
        Err(FileSystemError::NotFound) => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    }
    let file = read_file(fs, &path, state_file::FILE_BYTES_MAX)?;
    Ok(file.map(state_file::decode).unwrap_or_default())
}
