//! Reads the journal files of one shard: the newest first, and only what can still count.
//!
//! A node that was killed has tens of megabytes that count in hundreds that are stale; being ready
//! within a second means not reading the rest. A file is skipped when a newer one says that nothing in
//! it is needed any more, and is read only as far as its groups go, and beyond by the most that groups
//! in flight together can have left behind a missing one.

use bytes::Bytes;
use runtime::memory::Arena;

use crate::disk::{FileSystem, FileSystemError};
use crate::journal::group::{self, GroupHeader, JournalSalt};
use crate::journal::scan::{JournalBytes, Scans, scan};
use crate::journal::writer::JournalFileName;
use crate::limits::{BLOCK_BYTES, JOURNAL_GROUP_BYTES_MAX, JOURNAL_GROUPS_IN_FLIGHT_MAX};

/// Groups in flight behind a missing one reach at most this far.
const BEYOND_GAP_BYTES: usize = JOURNAL_GROUPS_IN_FLIGHT_MAX * JOURNAL_GROUP_BYTES_MAX;
const PIECE_BYTES: usize = 4 << 20;
const NO_MEMORY: FileSystemError =
    FileSystemError::Failed { errno: 12, call: "memory for a journal file" };

/// A journal file with the header of its first group, if that is sound.
struct Candidate {
    name: JournalFileName,
    length: u64,
    first: Option<GroupHeader>,
}

/// What the newest incarnation that counts says of the shard, and how many bytes were read to know it.
pub(super) fn read_newest(
    fs: &dyn FileSystem,
    salt: JournalSalt,
    files: &[(JournalFileName, u64)],
    shard: u32,
) -> Result<(Scans, u64), FileSystemError> {
    let candidates = candidates(fs, salt, files, shard)?;
    let mut read = Reading::new(fs, salt, shard);
    let newest =
        candidates.iter().filter_map(|file| file.first).map(|first| first.incarnation).max();
    for file in &candidates {
        if file.first.is_none_or(|first| Some(first.incarnation) == newest) {
            read.file(file)?;
        }
    }
    let mut scans = scan(&read.files, salt, shard);
    if scans.complete.first().map(|scan| scan.incarnation) != newest {
        // The newest incarnation never got as far as to count.
        for file in &candidates {
            if file.first.is_some_and(|first| Some(first.incarnation) != newest) {
                read.file(file)?;
            }
        }
        scans = scan(&read.files, salt, shard);
    }
    scans.complete.truncate(1);
    Ok((scans, read.bytes))
}

/// What every incarnation says of which there are files: needed after a start that was cut short.
pub(super) fn read_all(
    fs: &dyn FileSystem,
    salt: JournalSalt,
    files: &[(JournalFileName, u64)],
    shard: u32,
) -> Result<(Scans, u64), FileSystemError> {
    let mut read = Reading::new(fs, salt, shard);
    for file in &candidates(fs, salt, files, shard)? {
        read.file(file)?;
    }
    Ok((scan(&read.files, salt, shard), read.bytes))
}

/// The files, newest first; one without a sound beginning may hold anything, so it is never skipped.
fn candidates(
    fs: &dyn FileSystem,
    salt: JournalSalt,
    files: &[(JournalFileName, u64)],
    shard: u32,
) -> Result<Vec<Candidate>, FileSystemError> {
    let mut candidates = Vec::new();
    for (name, length) in files {
        let mut block = vec![0u8; BLOCK_BYTES];
        let read = fs.read(&name.path(), 0, &mut block)?;
        block.truncate(read);
        let first = group::peek(&block, salt, shard).map(|found| found.0);
        candidates.push(Candidate { name: *name, length: *length, first });
    }
    candidates.sort_by_key(|file| {
        std::cmp::Reverse(
            file.first.map_or((u64::MAX, 0), |first| (first.incarnation, first.sequence)),
        )
    });
    Ok(candidates)
}

struct Reading<'a> {
    fs: &'a dyn FileSystem,
    salt: JournalSalt,
    shard: u32,
    /// (incarnation, first needed sequence, first sequence of the file read last).
    newest: Option<(u64, u64, u64)>,
    files: Vec<JournalBytes>,
    bytes: u64,
}

impl<'a> Reading<'a> {
    fn new(fs: &'a dyn FileSystem, salt: JournalSalt, shard: u32) -> Self {
        Self { fs, salt, shard, newest: None, files: Vec::new(), bytes: 0 }
    }

    fn file(&mut self, file: &Candidate) -> Result<(), FileSystemError> {
        if let (Some(first), Some((incarnation, live_start, next_first))) =
            (file.first, self.newest)
            && first.incarnation == incarnation
            && next_first <= live_start
        {
            // All its groups are below the next file's first, which is not needed itself.
            self.newest = Some((incarnation, live_start, first.sequence));
            return Ok(());
        }
        let (data, live_start) = self.read_groups(file)?;
        if let Some(first) = file.first {
            let known = self.newest.filter(|known| known.0 == first.incarnation);
            let live_start = known.map_or(live_start, |known| known.1.max(live_start));
            self.newest = Some((first.incarnation, live_start, first.sequence));
        }
        self.files.push(JournalBytes { bytes: data, length: file.length });
        Ok(())
    }

    /// The file up to where its groups end for good, and the highest live start they state.
    fn read_groups(&mut self, file: &Candidate) -> Result<(Bytes, u64), FileSystemError> {
        let length = usize::try_from(file.length).unwrap_or(usize::MAX);
        // Aligned memory that is its own mapping: read without a copy, given back as a whole.
        let memory = Arena::new(length.max(BLOCK_BYTES).next_power_of_two()).ok();
        let block = memory.and_then(|memory| memory.allocate(length.max(BLOCK_BYTES)));
        let mut data = block.ok_or(NO_MEMORY)?;
        let mut filled = 0;
        let (mut at, mut gap, mut live_start) = (0usize, None, 0);
        let mut last: Option<(u64, u64)> = None;
        loop {
            while at + JOURNAL_GROUP_BYTES_MAX > filled && filled < length {
                let end = length.min(filled + PIECE_BYTES);
                self.read_piece(file, filled, &mut data[filled..end])?;
                filled = end;
            }
            if at >= filled {
                break;
            }
            let follows = |header: &GroupHeader| {
                last.is_none_or(|last| header.incarnation == last.0 && header.sequence > last.1)
            };
            match group::peek(&data[at..filled], self.salt, self.shard) {
                Some((header, _, bytes)) if follows(&header) => {
                    last = Some((header.incarnation, header.sequence));
                    live_start = live_start.max(header.live_start);
                    gap = None;
                    at += bytes;
                }
                _ => {
                    if at - *gap.get_or_insert(at) > BEYOND_GAP_BYTES {
                        break;
                    }
                    at += BLOCK_BYTES;
                }
            }
        }
        Ok((data.freeze(at.min(filled)), live_start))
    }

    fn read_piece(
        &mut self,
        file: &Candidate,
        from: usize,
        into: &mut [u8],
    ) -> Result<(), FileSystemError> {
        let read = self.fs.read(&file.name.path(), from as u64, into)?;
        self.bytes += read as u64;
        if read < into.len() {
            return Err(FileSystemError::Failed { errno: 5, call: "read of a journal file" });
        }
        Ok(())
    }
}
