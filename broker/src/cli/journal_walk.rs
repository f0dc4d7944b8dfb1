//! The groups of a journal file, with where they stand.

use std::path::Path;

use bytes::Bytes;
use engine::disk::FileSystem;
use engine::disk::job::read_file;
use engine::journal::entry::{Entry, EntryKind};
use engine::journal::group::{self, Group, GroupContent, JournalSalt};
use engine::limits::BLOCK_BYTES;

use super::failure::Failure;
use super::limits::JOURNAL_FILE_BYTES_MAX;
use super::stored_files::unreadable;

/// A group with a sound header.
#[derive(Clone, Debug)]
pub(crate) struct StoredGroup {
    pub(crate) position: u64,
    pub(crate) group: Group,
}

impl StoredGroup {
    pub(crate) fn end(&self) -> u64 {
        self.position + self.group.total_bytes as u64
    }

    /// The entry table, with what of the bodies is there.
    pub(crate) fn entries(&self) -> Vec<(Entry, Option<Bytes>)> {
        match &self.group.content {
            GroupContent::Sound(entries) => {
                entries.iter().map(|(entry, body)| (*entry, Some(body.clone()))).collect()
            }
            GroupContent::BodyDamaged(entries) => {
                entries.iter().map(|entry| (*entry, None)).collect()
            }
            GroupContent::TableDamaged => Vec::new(),
        }
    }

    pub(crate) fn state(&self) -> &'static str {
        match self.group.content {
            GroupContent::Sound(_) => "sound",
            GroupContent::BodyDamaged(_) => "body damaged",
            GroupContent::TableDamaged => "table damaged",
        }
    }
}

/// All groups of a file, block by block, as recovery reads them: a stale group may reach over the
/// beginning of a new one.
pub(crate) fn groups_of(data: &Bytes, salt: JournalSalt, shard: u32) -> Vec<StoredGroup> {
    let mut groups = Vec::new();
    for at in (0..data.len()).step_by(BLOCK_BYTES) {
        if let Some(group) = group::decode(&data.slice(at..), salt, shard) {
            groups.push(StoredGroup { position: at as u64, group });
        }
    }
    groups
}

pub(crate) fn read_journal_file(fs: &dyn FileSystem, path: &Path) -> Result<Bytes, Failure> {
    let file = read_file(fs, path, JOURNAL_FILE_BYTES_MAX);
    Ok(file.map_err(|error| unreadable(path, &error))?.unwrap_or_default())
}

/// In the words of the design.
pub(crate) fn kind_name(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Append => "append",
        EntryKind::Pointer => "pointer",
        EntryKind::Fragment => "fragment",
        EntryKind::Checkpoint => "checkpoint",
        EntryKind::EpochStart => "epoch start",
        EntryKind::LogStart => "log start",
        EntryKind::Close => "close",
        EntryKind::Delete => "delete",
        EntryKind::Start => "start",
        EntryKind::CheckpointEnd => "checkpoint end",
    }
}
