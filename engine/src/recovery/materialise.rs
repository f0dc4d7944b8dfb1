//! The journal's bytes go into a partition's segments, durable, and its log ends where they end.
//!
//! A cursor walks the segment from the checkpointed position on; each piece continues it:
//!
//! | piece | at the cursor |
//! |---|---|
//! | append, fragment | its bytes are written |
//! | pointer | its blocks are on disk already and must match their CRC; head and tail are written |
//! | begins behind the cursor | the bytes between are missing: the log ends, the partition is suspect |
//! | begins another segment | the one before is cut to its length |

use std::path::Path;

use bytes::Bytes;
use protocol::Offset;
use protocol::record_batch::BatchHeader;

use super::beginning::{begin, tells_of_all};
use super::files_before::FilesBefore;
use super::from_journal::FromJournal;
use super::identity;
use super::replay::{Piece, Replay};
use super::state_file::SavedState;
use super::suspicion::SuspectNote;
use super::unsynced::Unsynced;
use super::{ActiveSegment, RecoveredPartition, Suspicion};
use crate::PartitionId;
use crate::batch::BatchView;
use crate::config::LogConfig;
use crate::disk::{FileSystem, FileSystemError};
use crate::journal::entry::EntryKind;
use crate::limits::BLOCK_BYTES;
use crate::partition::PartitionDirectory;
use crate::partition::batch_walk::walk_batches;
use crate::partition::cleaner_checkpoint::CleanerCheckpoint;
use crate::partition::epochs::EpochHistory;
use crate::partition::index::segment_path;
use crate::partition::position::LogPosition;
use crate::partition::producers::ProducerTable;

const BLOCK: u64 = BLOCK_BYTES as u64;

/// A partition's directory with what is in it.
#[derive(Clone, Debug)]
pub struct PartitionFiles {
    pub directory: PartitionDirectory,
    /// (base offset, file length), in order.
    pub segments: Vec<(Offset, u64)>,
    /// How far the segments are compacted; `None`: the file that says so is damaged.
    pub cleaner: Option<CleanerCheckpoint>,
    /// Set by an earlier recovery that found damage; removed when the loss is accepted.
    pub suspect_note: Option<SuspectNote>,
}

/// Where the unfinished last block of a log is after recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastBlock {
    /// In memory, and in the journal that is opened next: where the file has room for it nothing is written,
    /// so that thousands of partitions with a few records each start at once.
    InJournal,
    /// The same, but written where the file has something else in place of acknowledged bytes.
    Compared,
    /// In the file, too: for whoever reads the files afterwards.
    InFile,
}

/// Brings one partition's segments up to what its journal says. They are durable once `unsynced` is.
pub fn materialise(
    fs: &dyn FileSystem,
    id: PartitionId,
    files: &PartitionFiles,
    replay: Option<&Replay>,
    saved: Option<&SavedState>,
    last_block: LastBlock,
    unsynced: &mut Unsynced,
) -> Result<RecoveredPartition, FileSystemError> {
    let mut builder = Builder::new(fs, files, replay, saved, unsynced);
    if let Some(replay) = replay {
        builder.apply_all(replay)?;
    }
    builder.finish(id, last_block)
}

struct Builder<'a> {
    fs: &'a dyn FileSystem,
    unsynced: &'a mut Unsynced,
    files: &'a PartitionFiles,
    replay: Option<&'a Replay>,
    /// Where the next piece must begin.
    segment: Offset,
    position: u64,
    next: Offset,
    /// Bytes from `buffer_start`, a block's start, to the cursor that are not written yet.
    buffer: Vec<u8>,
    buffer_start: u64,
    written: bool,
    /// How far the checkpoint has this segment; zero for later ones.
    checkpointed: u64,
    /// The journal has bytes of this segment behind that.
    grew: bool,
    from_journal: FromJournal,
    files_before: FilesBefore,
    finished: Vec<(Offset, u64)>,
    epochs: EpochHistory,
    producers: ProducerTable,
    producers_from: Offset,
    producers_known: bool,
    suspicion: Option<Suspicion>,
    missing_below: Option<Offset>,
}

impl<'a> Builder<'a> {
    fn new(
        fs: &'a dyn FileSystem,
        files: &'a PartitionFiles,
        replay: Option<&'a Replay>,
        saved: Option<&SavedState>,
        unsynced: &'a mut Unsynced,
    ) -> Self {
        let (segment, position) = Self::begin_behind_cleaned(files, replay);
        let older = files.segments.iter().filter(|(base, _)| *base < segment).copied().collect();
        let next = match replay {
            // Until pieces tell more, the log ends where the checkpoint stands, unless that one expects
            // bytes in the journal: then they are missing.
            Some(replay) if replay.pieces.is_empty() && replay.unflushed == 0 => {
                replay.next.max(segment)
            }
            // Pieces from before it (of an earlier stay in this shard) do not reach that far.
            Some(Replay { whole: Some((at, next)), .. }) if *at == (segment, position) => {
                (*next).max(segment)
            }
            _ => segment,
        };
        let known = saved.filter(|saved| saved.producers_known);
        // Where the journal still has the log from its first byte on, it tells of every producer.
        let is_whole = replay.map_or((segment, position) == (Offset(0), 0), tells_of_all);
        Self {
            fs,
            unsynced,
            files,
            replay,
            segment,
            position,
            next,
            buffer: Vec::new(),
            buffer_start: position - position % BLOCK,
            written: false,
            checkpointed: position,
            grew: false,
            from_journal: FromJournal::default(),
            files_before: FilesBefore::new((segment, position), replay),
            finished: older,
            epochs: saved.map(|saved| saved.epochs.clone()).unwrap_or_default(),
            producers: known.map(|saved| saved.producers.clone()).unwrap_or_default(),
            producers_from: known.map_or(Offset(0), |saved| saved.as_of),
            producers_known: known.is_some() || is_whole,
            suspicion: None,
            missing_below: None,
        }
    }

    /// Where the journal's bytes begin, and never in a segment that was cleaned since: when that happened a
    /// durable checkpoint stood behind it, which damage may have taken.
    fn begin_behind_cleaned(files: &PartitionFiles, replay: Option<&Replay>) -> (Offset, u64) {
        let stated = begin(files, replay);
        let cleaned = files.cleaner.unwrap_or_default().cleaned;
        // Where a loss was accepted the log may end before it now.
        let is_there = files.segments.iter().any(|(base, _)| *base == cleaned);
        if replay.is_some() && is_there { stated.max((cleaned, 0)) } else { stated }
    }

    fn apply_all(&mut self, replay: &Replay) -> Result<(), FileSystemError> {
        let mut pieces: Vec<&Piece> = replay.pieces.iter().collect();
        pieces.sort_by_key(|piece| (piece.entry.segment, piece.entry.position));
        if !self.check_checkpointed(&pieces)? {
            pieces.clear();
        }
        self.load_partial_block(&pieces)?;
        for piece in pieces {
            if !self.apply(piece)? {
                break;
            }
        }
        for (epoch, start) in &replay.epochs {
            // It began at a log end that was not acknowledged and did not survive.
            self.epochs.begin(*epoch, (*start).min(self.next));
        }
        if let Some(damage) = replay.damage {
            self.suspicion.get_or_insert(Suspicion::Journal(damage));
        } else if self.next < replay.acknowledged.max(replay.next) {
            let acknowledged = replay.acknowledged.max(replay.next);
            self.suspicion.get_or_insert(Suspicion::Missing { acknowledged, found: self.next });
        }
        Ok(())
    }

    /// The checkpoint may stand inside a block (after an orderly end): its bytes come from the file.
    fn load_partial_block(&mut self, pieces: &[&Piece]) -> Result<(), FileSystemError> {
        let bytes = index(self.position - self.buffer_start);
        if pieces.iter().any(|piece| self.is_journaled(piece)) {
            // The file's block may be torn: it was about to be written again.
            self.position = self.buffer_start;
            return Ok(());
        }
        if bytes > 0 {
            let mut block = vec![0u8; BLOCK_BYTES];
            let path = self.log_path();
            let read = match self.fs.read(&path, self.buffer_start, &mut block) {
                Err(FileSystemError::NotFound) => 0,
                read => read?,
            };
            if read < bytes {
                // The journal's fragment may bring them yet.
                self.position = self.buffer_start;
                return Ok(());
            }
            self.buffer = block[..bytes].to_vec();
        }
        Ok(())
    }

    /// False when the log ends before this piece.
    fn apply(&mut self, piece: &Piece) -> Result<bool, FileSystemError> {
        let entry = &piece.entry;
        if entry.segment < self.segment {
            // Of a run that was deleted meanwhile: who wrote it went with it. Of one that was cleaned the
            // segments tell, in a scan.
            let run = self.read_run_to_note(piece)?;
            let is_cleaned = entry.segment < self.files.cleaner.unwrap_or_default().cleaned;
            if entry.kind == EntryKind::Pointer && run.is_none() && is_cleaned {
                self.producers_known &= entry.next <= self.producers_from;
            }
            self.note_batches(piece, run.as_deref());
            return Ok(true);
        }
        if entry.segment > self.segment {
            if entry.segment != self.next || entry.position != 0 {
                return Ok(false);
            }
            if !self.finish_segment()? {
                return Ok(false);
            }
            self.begin_segment(entry.segment);
        }
        if entry.position > self.position {
            return Ok(false);
        }
        let is_behind = piece.end() <= self.position;
        let run = if is_behind { self.read_run_to_note(piece)? } else { self.read_run(piece)? };
        if !is_behind {
            match (entry.kind, &run) {
                (EntryKind::Pointer, None) => {
                    self.suspicion = Some(Suspicion::Run { base: entry.base });
                    return Ok(false);
                }
                (EntryKind::Pointer, Some(_)) => self.apply_pointer(piece)?,
                _ => {
                    let from = index(self.position - entry.position);
                    self.push(&piece.body[from..])?;
                }
            }
            self.from_journal.note(self.position.max(self.checkpointed), piece.end());
            self.position = piece.end();
            self.grew |= piece.end() > self.checkpointed;
        }
        self.next = self.next.max(entry.next);
        self.note_batches(piece, run.as_deref());
        Ok(true)
    }

    /// The run's blocks are on disk; only what stands around them is written.
    fn apply_pointer(&mut self, piece: &Piece) -> Result<(), FileSystemError> {
        let blocks = run_blocks(piece);
        // What the buffer holds of the run's first block is on disk with the run.
        if self.buffer_start < blocks.start {
            let whole = index(blocks.start - self.buffer_start).min(self.buffer.len());
            let rest = self.buffer.split_off(whole);
            self.flush_blocks()?;
            drop(rest);
        }
        self.buffer.clear();
        self.buffer_start = blocks.end;
        let tail_from = index(u64::from(piece.entry.head_bytes));
        self.push(&piece.body[tail_from..])
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), FileSystemError> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= 1 << 20 {
            self.flush_blocks()?;
        }
        Ok(())
    }

    /// Writes the buffer's whole blocks.
    fn flush_blocks(&mut self) -> Result<(), FileSystemError> {
        let whole = self.buffer.len() - self.buffer.len() % BLOCK_BYTES;
        if whole > 0 {
            let path = self.log_path();
            self.fs.write(&path, self.buffer_start, &self.buffer[..whole])?;
            self.buffer.drain(..whole);
            self.buffer_start += whole as u64;
            self.written = true;
        }
        Ok(())
    }

    /// Writes everything, the last block padded; in a suspect log with what stands there: acknowledged
    /// records may.
    fn flush_padded(&mut self) -> Result<(), FileSystemError> {
        self.flush_blocks()?;
        if !self.buffer.is_empty() {
            let path = self.log_path();
            let mut block = vec![0; BLOCK_BYTES];
            if self.suspicion.is_some() {
                match self.fs.read(&path, self.buffer_start, &mut block) {
                    Ok(_) | Err(FileSystemError::NotFound) => {}
                    Err(error) => return Err(error),
                }
            }
            block[..self.buffer.len()].copy_from_slice(&self.buffer);
            self.fs.write(&path, self.buffer_start, &block)?;
            self.written = true;
        }
        Ok(())
    }

    /// False if there is no such file.
    fn finish_segment(&mut self) -> Result<bool, FileSystemError> {
        self.flush_padded()?;
        let path = self.log_path();
        if !self.written && self.file_length(self.segment).is_none() {
            return Ok(false);
        }
        self.fs.set_length(&path, self.position)?;
        self.unsynced.file(path);
        // Index files that stand there are of an earlier end and know too little: retention would take
        // younger records for as old as those.
        for extension in ["index", "timeindex"] {
            let path = segment_path(&self.files.directory.path, self.segment, extension);
            self.fs.remove_file(&path)?;
        }
        self.unsynced.directory(&self.files.directory.path);
        self.finished.push((self.segment, self.position));
        Ok(true)
    }

    fn begin_segment(&mut self, base: Offset) {
        self.segment = base;
        self.position = 0;
        self.buffer.clear();
        self.buffer_start = 0;
        self.written = false;
        self.checkpointed = 0;
        self.grew = true;
    }

    /// Producers and epochs move with the batches of the piece, whose bytes are the run's or its body.
    fn note_batches(&mut self, piece: &Piece, run: Option<&[u8]>) {
        let entry = &piece.entry;
        if entry.kind == EntryKind::Fragment {
            return;
        }
        self.epochs.begin(entry.leader_epoch, entry.base);
        if entry.next <= self.producers_from {
            return;
        }
        let bytes = match entry.kind {
            EntryKind::Pointer => run.unwrap_or_default(),
            _ => &piece.body,
        };
        let mut rest = bytes;
        while let Some(header) = BatchHeader::read(rest) {
            if header.total_bytes() > rest.len() || !header.is_plausible() {
                break;
            }
            if header.producer().is_some() && header.base_offset >= self.producers_from {
                // When it came nobody noted: the timestamps are the client's. It is not long ago.
                self.producers.note(&header, header.log_append_timestamp(), i64::MAX);
            }
            rest = &rest[header.total_bytes()..];
        }
    }

    fn finish(
        mut self,
        id: PartitionId,
        last_block: LastBlock,
    ) -> Result<RecoveredPartition, FileSystemError> {
        self.check_unknown();
        self.check_older_segments();
        self.check_outdated()?;
        let note = self.files.suspect_note.as_ref();
        if let Some(note) = note {
            self.suspicion.get_or_insert(Suspicion::Earlier(note.reason.clone()));
        }
        let path = self.log_path();
        let on_disk = self.files.segments.iter().find(|(base, _)| *base == self.segment);
        let has_room = on_disk.is_some_and(|(_, length)| *length >= self.position);
        if has_room && self.may_stay_behind(last_block)? {
            self.flush_blocks()?;
        } else {
            self.flush_padded()?;
        }
        if self.written {
            self.unsynced.file(path.clone());
            if on_disk.is_none() {
                self.unsynced.directory(&self.files.directory.path);
            }
        }
        let has_file = on_disk.is_some() || self.written;
        self.keep_names(id, has_file)?;
        self.remove_newer_segments()?;
        let log_start = self.replay.map_or(Offset(0), |replay| replay.log_start);
        let log_start = log_start.max(self.finished.first().map_or(self.segment, |first| first.0));
        let active =
            if has_file { Some(self.active(&path, on_disk.map(|file| file.1))?) } else { None };
        self.epochs.trim_below(log_start);
        let end = LogPosition { offset: self.next, segment: self.segment, position: self.position };
        let leader_epoch = self.epochs.latest().unwrap_or_default();
        if let Some(replay) = self.replay.filter(|replay| replay.leader_epoch > leader_epoch) {
            // A row knew of the epoch before its own entry was written.
            self.epochs.begin(replay.leader_epoch, self.next);
        }
        Ok(RecoveredPartition {
            id,
            directory: self.files.directory.clone(),
            config: LogConfig::default(),
            leader_epoch: self.epochs.latest().unwrap_or_default(),
            epochs: self.epochs,
            log_start: log_start.min(self.next),
            end,
            reached: self
                .replay
                .map_or(Offset(0), |replay| replay.reached)
                .max(note.map_or(Offset(0), |note| note.reached))
                .max(end.offset),
            missing_below: self.missing_below.or(note.and_then(|note| note.missing_below)),
            finished: self.finished,
            cleaner: self.files.cleaner.unwrap_or(CleanerCheckpoint {
                cleaned: self.segment,
                ..CleanerCheckpoint::default()
            }),
            active,
            last_block: Bytes::from(self.buffer),
            producers: self.producers,
            producers_known: self.producers_known,
            suspicion: self.suspicion,
            from_journal: self.from_journal,
            files_before: self.files_before,
        })
    }

    /// Names and sizes that a killed process had not made durable yet are seen, and a power cut would
    /// still take them: those of files that nothing acknowledged stands in yet.
    fn keep_names(&mut self, id: PartitionId, has_file: bool) -> Result<(), FileSystemError> {
        let directory = &self.files.directory.path;
        if has_file && self.position == 0 {
            self.unsynced.file(self.log_path());
            self.unsynced.directory(directory);
        }
        if self.replay.is_none() {
            // Written again, for a sync of what the first process wrote may have failed: the kernel
            // shows it and takes it for clean.
            let path = directory.join(identity::FILE_NAME);
            self.fs.write_file(&path, &identity::encode(id.topic_id))?;
            self.unsynced.file(path);
            self.unsynced.directory(directory);
            self.unsynced.directory(Path::new(""));
        }
        Ok(())
    }

    fn file_length(&self, base: Offset) -> Option<u64> {
        self.files.segments.iter().find(|segment| segment.0 == base).map(|segment| segment.1)
    }

    /// False if the file holds less than the checkpoint says, and the journal does not bring it back: the
    /// log then ends with the last whole batch, and nothing continues it.
    fn check_checkpointed(&mut self, pieces: &[&Piece]) -> Result<bool, FileSystemError> {
        let found = self.file_length(self.segment).unwrap_or(0);
        if found >= self.position
            || (found >= self.buffer_start && pieces.iter().any(|piece| self.is_journaled(piece)))
        {
            return Ok(true);
        }
        let mut next = self.segment;
        let path = self.log_path();
        self.position = walk_batches(self.fs, &path, found, |_, header| {
            next = next.max(header.next_offset());
        })?;
        self.next = next;
        self.buffer_start = self.position - self.position % BLOCK;
        let acknowledged = self.replay.map_or(next, |replay| replay.acknowledged);
        self.suspicion = Some(Suspicion::Missing { acknowledged, found: next });
        Ok(false)
    }

    /// Whether the piece has the checkpoint's unfinished block.
    fn is_journaled(&self, piece: &Piece) -> bool {
        piece.entry.segment == self.segment
            && piece.entry.kind != EntryKind::Pointer
            && piece.entry.position <= self.buffer_start
            && piece.end() >= self.position
    }

    /// Segments without a journal that speaks of them: a partition gets its first segment only after
    /// its first row.
    fn check_unknown(&mut self) {
        let holds_data = self.files.segments.iter().any(|(_, length)| *length > 0);
        if self.replay.is_none() && holds_data {
            self.suspicion.get_or_insert(Suspicion::Unknown);
        }
    }

    /// Finished segments must follow on each other up to the checkpointed one.
    fn check_older_segments(&mut self) {
        let Some(replay) = self.replay else { return };
        let first = self.finished.first().map_or(self.segment, |first| first.0);
        if first > replay.log_start {
            let (acknowledged, found) = (replay.log_start, first);
            self.suspicion.get_or_insert(Suspicion::Missing { acknowledged, found });
            self.missing_below = Some(found);
        }
    }

    /// Files of segments that begin behind the log end hold nothing that was acknowledged; where the
    /// partition is suspect they stay, because they may help whoever looks into it.
    fn remove_newer_segments(&mut self) -> Result<(), FileSystemError> {
        let newer: Vec<Offset> = self
            .files
            .segments
            .iter()
            .map(|(base, _)| *base)
            .filter(|base| *base > self.segment)
            .collect();
        if newer.is_empty() || self.suspicion.is_some() {
            return Ok(());
        }
        for base in newer {
            for extension in ["log", "index", "timeindex"] {
                let path = segment_path(&self.files.directory.path, base, extension);
                self.fs.remove_file(&path)?;
            }
        }
        self.unsynced.directory(&self.files.directory.path);
        Ok(())
    }

    fn log_path(&self) -> std::path::PathBuf {
        segment_path(&self.files.directory.path, self.segment, "log")
    }
}

/// The whole blocks of a pointer's run, the first with the bytes before it.
fn run_blocks(piece: &Piece) -> std::ops::Range<u64> {
    let (from, to) = (piece.entry.position, piece.end());
    from - from % BLOCK..to - to % BLOCK
}

fn index(bytes: u64) -> usize {
    usize::try_from(bytes).expect("a journal file or a run fits into memory")
}

mod active;
mod beyond;
mod run;
#[cfg(test)]
mod tests;
