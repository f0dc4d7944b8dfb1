//! A new incarnation of a shard's journal: its first groups state every partition, in a fresh file.
//!
//! Until all of the opening is durable the incarnation before it counts; nothing is appended before.

use std::path::Path;

use bytes::Bytes;
use runtime::memory::{Arena, Block};

use super::journals::read_state;
use super::{OpenedJournal, RecoveredPartition, state_file};
use crate::PartitionId;
use crate::disk::{FileSystem, FileSystemError};
use crate::journal::entry::{ENTRY_BYTES, Entry, EntryKind};
use crate::journal::group::{self, GroupHeader, group_bytes};
use crate::journal::writer::{JournalFileName, JournalIdentity, JournalOpening};
use crate::limits::{
    BLOCK_BYTES, JOURNAL_FIRST_FILE_BYTES, JOURNAL_GROUP_BYTES_MAX, JOURNAL_GROUP_ENTRIES_MAX,
};

/// Opens the journal of one shard with these partitions. `number` is above every journal file's there.
pub fn open_shard(
    fs: &dyn FileSystem,
    identity: JournalIdentity,
    partitions: &[RecoveredPartition],
    number: u64,
) -> Result<OpenedJournal, FileSystemError> {
    open_shard_with(fs, identity, partitions, number, JOURNAL_FIRST_FILE_BYTES)
}

/// The same with a first file of at least this size; the simulation's are small, so that they are
/// recycled all the time.
pub fn open_shard_with(
    fs: &dyn FileSystem,
    identity: JournalIdentity,
    partitions: &[RecoveredPartition],
    number: u64,
    first_file_bytes: u64,
) -> Result<OpenedJournal, FileSystemError> {
    let groups = opening_groups(partitions);
    let needed: usize = groups.iter().map(bytes_of).sum();
    let name = JournalFileName { shard: identity.shard, number };
    let path = name.path();
    let directory = JournalFileName::directory(identity.shard);
    // Room for what a checkpoint may log, until the next file is ready.
    let reserved = (partitions.len() * (BLOCK_BYTES + 2 * ENTRY_BYTES)) as u64;
    let file_bytes = (needed as u64 + reserved + first_file_bytes / 4 * 3)
        .max(first_file_bytes)
        .next_multiple_of(BLOCK_BYTES as u64);
    fs.create_dir(Path::new("journal"))?;
    fs.create_dir(&directory)?;
    fs.sync_dir(Path::new("journal"))?;
    fs.sync_dir(Path::new(""))?;
    write_state(fs, identity.shard, partitions)?;
    fs.allocate(&path, 0, file_bytes)?;
    prewrite(fs, &path, file_bytes)?;
    fs.sync(&path)?;
    fs.sync_dir(&directory)?;
    let opening = write_groups(fs, identity, &groups, (&path, file_bytes))?;
    fs.sync(&path)?;
    Ok(OpenedJournal {
        identity,
        opening,
        first_file: path,
        first_file_bytes: file_bytes,
        free_files: Vec::new(),
        next_file_number: number + 1,
    })
}

type Entries = Vec<(Entry, Bytes)>;

fn bytes_of(entries: &Entries) -> usize {
    group_bytes(entries.len(), entries.iter().map(|entry| entry.1.len()).sum())
}

fn opening_groups(partitions: &[RecoveredPartition]) -> Vec<Entries> {
    let mut groups = vec![vec![(Entry::new(EntryKind::Start, PartitionId::NONE), Bytes::new())]];
    for partition in partitions {
        let mut entries = vec![(row(partition), Bytes::new())];
        entries.extend(fragment(partition));
        let last = groups.last_mut().expect("there is a first group");
        let bytes = bytes_of(last) + bytes_of(&entries);
        if bytes > JOURNAL_GROUP_BYTES_MAX || last.len() + 2 > JOURNAL_GROUP_ENTRIES_MAX {
            groups.push(entries);
        } else {
            last.append(&mut entries);
        }
    }
    groups
}

fn row(partition: &RecoveredPartition) -> Entry {
    // Recovery made everything durable; whole blocks are stated, the last one travels as a fragment.
    let position = match &partition.active {
        Some(active) if active.is_complete => active.length,
        Some(active) => active.length - active.length % BLOCK_BYTES as u64,
        None => 0,
    };
    Entry {
        leader_epoch: partition.leader_epoch,
        base: partition.log_start,
        next: partition.end.offset,
        segment: partition.end.segment,
        position,
        run_bytes: partition.end.position - position,
        // Nothing was in flight when it was made.
        as_of: u64::MAX,
        ..Entry::new(EntryKind::Checkpoint, partition.id)
    }
}

fn fragment(partition: &RecoveredPartition) -> Option<(Entry, Bytes)> {
    let bytes = partition.last_block.clone();
    if bytes.is_empty() {
        return None;
    }
    let entry = Entry {
        leader_epoch: partition.leader_epoch,
        next: partition.end.offset,
        segment: partition.end.segment,
        position: partition.end.position - bytes.len() as u64,
        body_bytes: u32::try_from(bytes.len()).expect("a fragment is shorter than a block"),
        ..Entry::new(EntryKind::Fragment, partition.id)
    };
    Some((entry, bytes))
}

fn write_state(
    fs: &dyn FileSystem,
    shard: u32,
    partitions: &[RecoveredPartition],
) -> Result<(), FileSystemError> {
    // What this shard knew of partitions that another one opens: the power may go before that one has
    // written it. The first checkpoint drops it.
    let mut others = read_state(fs, shard)?;
    partitions.iter().for_each(|partition| drop(others.remove(&partition.id)));
    let sections: Vec<Bytes> = partitions
        .iter()
        .map(|partition| {
            let state = state_file::SavedState {
                as_of: partition.end.offset,
                leader_epoch: partition.leader_epoch,
                epochs: partition.epochs.clone(),
                producers: partition.producers.clone(),
                producers_known: partition.producers_known,
            };
            state_file::encode_section(partition.id, &state)
        })
        .chain(others.iter().map(|(id, state)| state_file::encode_section(*id, state)))
        .collect();
    let path = state_file::path(shard);
    let temporary = path.with_extension("new");
    fs.write_file(&temporary, &state_file::encode_sections(sections.iter()))?;
    fs.sync(&temporary)?;
    fs.rename(&temporary, &path)?;
    fs.sync_dir(&JournalFileName::directory(shard))
}

fn prewrite(fs: &dyn FileSystem, path: &Path, bytes: u64) -> Result<(), FileSystemError> {
    let zeros = vec![0u8; 1 << 20];
    let mut position = 0;
    while position < bytes {
        let piece = usize::try_from(bytes - position).unwrap_or(usize::MAX).min(zeros.len());
        fs.write(path, position, &zeros[..piece])?;
        position += piece as u64;
    }
    Ok(())
}

fn write_groups(
    fs: &dyn FileSystem,
    identity: JournalIdentity,
    groups: &[Entries],
    (path, file_bytes): (&Path, u64),
) -> Result<JournalOpening, FileSystemError> {
    let opening_end = groups.len() as u64;
    let mut opening = JournalOpening { next_sequence: 0, previous_crc: 0, write_position: 0 };
    let arena = Arena::new(2 * JOURNAL_GROUP_BYTES_MAX)
        .map_err(|_| FileSystemError::Failed { errno: 12, call: "mmap of a journal block" })?;
    for entries in groups {
        let mut block: Block = arena
            .allocate(bytes_of(entries))
            .ok_or(FileSystemError::Failed { errno: 12, call: "memory for a journal block" })?;
        let header = GroupHeader {
            shard: identity.shard,
            incarnation: identity.incarnation,
            sequence: opening.next_sequence,
            acknowledged_end: opening.next_sequence,
            live_start: 0,
            opening_end,
            previous_crc: opening.previous_crc,
            file_bytes,
        };
        let rows: Vec<Entry> = entries.iter().map(|entry| entry.0).collect();
        let bodies = entries.iter().map(|entry| &entry.1[..]);
        let (length, crc) = group::encode(&mut block, identity.salt, &header, &rows, bodies);
        fs.write(path, opening.write_position, &block[..length])?;
        opening.next_sequence += 1;
        opening.previous_crc = crc;
        opening.write_position += length as u64;
    }
    Ok(opening)
}
