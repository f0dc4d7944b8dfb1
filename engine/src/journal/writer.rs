//! The writing half of the journal: files in rotation, groups in flight, acknowledgement in order.
//!
//! ```text
//! file   Preparing ──prewritten──► Free ──rotate──► Active ──full──► Full ──checkpointed──► Retiring ──► Free
//! group  submitted ──► written ──(and all before it written)──► acknowledged
//! ```
//!
//! A file is written again only when a group that no longer needs it (`live_start` above its last
//! sequence) is itself acknowledged: recovery never misses a group that some durable header asks for.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use runtime::memory::Arena;

use super::entry::Entry;
use super::group::{self, GroupHeader, JournalSalt, group_bytes};
use crate::config::DiskConfig;
use crate::disk::{DiskClass, DiskEffect, DiskOp, FileId, OpId};
use crate::limits::{JOURNAL_GROUP_BYTES_MAX, JOURNAL_GROUP_ENTRIES_MAX, JOURNAL_IDLE_MS};

/// Name of a journal file: `journal/<shard>/<number>.journal` below its log directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JournalFileName {
    pub shard: u32,
    pub number: u64,
}

impl JournalFileName {
    /// Directory of a shard's journal.
    pub fn directory(shard: u32) -> PathBuf {
        Path::new("journal").join(shard.to_string())
    }

    pub fn path(self) -> PathBuf {
        Self::directory(self.shard).join(format!("{}.journal", self.number))
    }

    /// The number in a file name, if it is one of a journal file.
    pub fn number_of(name: &Path) -> Option<u64> {
        name.to_str()?.strip_suffix(".journal")?.parse().ok()
    }
}

/// Who this journal belongs to.
#[derive(Clone, Copy, Debug)]
pub struct JournalIdentity {
    pub shard: u32,
    pub incarnation: u64,
    pub salt: JournalSalt,
}

/// Where the incarnation's opening, written by recovery, left the journal.
#[derive(Clone, Copy, Debug)]
pub struct JournalOpening {
    pub next_sequence: u64,
    pub previous_crc: u32,
    pub write_position: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileState {
    Free,
    Active {
        first_sequence: u64,
    },
    /// Holds sequences below `end` that may still be needed.
    Full {
        end: u64,
    },
}

#[derive(Debug)]
struct JournalFile {
    file: FileId,
    bytes: u64,
    state: FileState,
}

#[derive(Debug)]
struct InFlight<N> {
    op: OpId,
    sequence: u64,
    live_start: u64,
    written: bool,
    bytes: usize,
    notices: Vec<N>,
}

/// Counters of one journal.
#[derive(Clone, Copy, Debug, Default)]
pub struct JournalMetrics {
    pub groups: u64,
    pub bytes: u64,
    pub entries: u64,
    pub rotations: u64,
    /// Times that appends waited because no journal file was free.
    pub stalls: u64,
}

/// The journal of one shard; `N` is what the owner wants to hear when a group is acknowledged.
#[derive(Debug)]
pub struct Journal<N> {
    identity: JournalIdentity,
    files: Vec<JournalFile>,
    write_position: u64,
    next_sequence: u64,
    /// Groups below it are durable, all of them.
    acknowledged_end: u64,
    /// `acknowledged_end` as the newest submitted header states it.
    stated_end: u64,
    /// Behind the last group that holds anything: empty groups need no statement about themselves.
    content_end: u64,
    live_start: u64,
    opening_end: u64,
    previous_crc: u32,
    in_flight: VecDeque<InFlight<N>>,
    /// When the last group was acknowledged, for the empty group of an idle shard.
    quiet_since: u64,
    failed: bool,
    disk: DiskConfig,
    pub metrics: JournalMetrics,
}

impl<N> Journal<N> {
    /// Goes on behind the opening in `first` file.
    pub fn new(
        identity: JournalIdentity,
        opening: JournalOpening,
        first: (FileId, u64),
        disk: DiskConfig,
    ) -> Self {
        let (file, bytes) = first;
        Self {
            identity,
            files: vec![JournalFile {
                file,
                bytes,
                state: FileState::Active { first_sequence: 0 },
            }],
            write_position: opening.write_position,
            next_sequence: opening.next_sequence,
            acknowledged_end: opening.next_sequence,
            stated_end: 0,
            content_end: opening.next_sequence,
            live_start: 0,
            opening_end: opening.next_sequence,
            previous_crc: opening.previous_crc,
            in_flight: VecDeque::new(),
            quiet_since: 0,
            failed: false,
            disk,
            metrics: JournalMetrics::default(),
        }
    }

    /// Sequence the next group gets.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    pub fn acknowledged_end(&self) -> u64 {
        self.acknowledged_end
    }

    /// Groups below it do not count any more.
    pub fn live_start(&self) -> u64 {
        self.live_start
    }

    /// First sequence of the active file: everything before it is in files that can be retired.
    pub fn active_start(&self) -> u64 {
        match self.active().state {
            FileState::Active { first_sequence } => first_sequence,
            FileState::Free | FileState::Full { .. } => unreachable!("the active file is active"),
        }
    }

    pub fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
    }

    pub fn file_count(&self) -> usize {
        self.files.len()
    }

    /// Full files that no checkpoint has released; a released one is free once a header says so.
    pub fn unreleased_files(&self) -> usize {
        let is_kept = |state| matches!(state, FileState::Full { end } if end > self.live_start);
        self.files.iter().filter(|file| is_kept(file.state)).count()
    }

    pub fn free_files(&self) -> usize {
        self.files.iter().filter(|file| file.state == FileState::Free).count()
    }

    pub fn free_bytes(&self) -> u64 {
        let free = self.files.iter().filter(|file| file.state == FileState::Free);
        free.map(|file| file.bytes).sum()
    }

    /// Bytes of all files in the rotation but the largest.
    pub fn spare_bytes(&self) -> u64 {
        let bytes = self.files.iter().map(|file| file.bytes);
        bytes.clone().sum::<u64>() - bytes.max().unwrap_or(0)
    }

    /// Whether a group may be submitted now: at once when none is in flight, beside others only when
    /// enough waits.
    pub fn admits(&self, waiting_bytes: usize) -> bool {
        !self.failed
            && (self.in_flight.is_empty()
                || (waiting_bytes >= self.disk.journal_group_bytes_eager
                    && self.in_flight.len() < self.disk.journal_groups_in_flight))
    }

    /// Bytes that a group in the active file may have at most.
    pub fn room(&self) -> usize {
        usize::try_from(self.left()).unwrap_or(usize::MAX).min(JOURNAL_GROUP_BYTES_MAX)
    }

    /// Bytes of the active file that are not written yet.
    pub fn left(&self) -> u64 {
        self.active().bytes - self.write_position
    }

    /// Goes on in the next free file, a small one only where there is no other; false if there is none (the caller
    /// counts a stall and waits).
    pub fn rotate(&mut self) -> bool {
        let files = self.files.iter().enumerate();
        let free = files.filter(|(_, file)| file.state == FileState::Free);
        let Some((next, _)) = free.min_by_key(|(_, file)| Reverse(file.bytes)) else {
            self.metrics.stalls += 1;
            return false;
        };
        let end = self.next_sequence;
        for file in &mut self.files {
            if matches!(file.state, FileState::Active { .. }) {
                file.state = FileState::Full { end };
            }
        }
        self.files[next].state = FileState::Active { first_sequence: end };
        self.write_position = 0;
        self.metrics.rotations += 1;
        true
    }

    /// Writes one group. The caller kept to `room`; `None` when there is no memory for it now.
    pub fn submit(
        &mut self,
        entries: &[Entry],
        bodies: &[Bytes],
        arena: &Arena,
        op: OpId,
    ) -> Option<DiskEffect> {
        assert!(entries.len() <= JOURNAL_GROUP_ENTRIES_MAX, "the caller bounds a group's entries");
        let body_bytes: usize = bodies.iter().map(Bytes::len).sum();
        let bytes = group_bytes(entries.len(), body_bytes);
        assert!(bytes <= self.room(), "the caller bounds a group by the room in the file");
        let mut block = arena.allocate(bytes)?;
        let header = GroupHeader {
            shard: self.identity.shard,
            incarnation: self.identity.incarnation,
            sequence: self.next_sequence,
            acknowledged_end: self.acknowledged_end,
            live_start: self.live_start,
            opening_end: self.opening_end,
            previous_crc: self.previous_crc,
            file_bytes: self.active().bytes,
        };
        let bodies = bodies.iter().map(|body| &body[..]);
        let (length, crc) = group::encode(&mut block, self.identity.salt, &header, entries, bodies);
        let effect = DiskEffect {
            op,
            request: DiskOp::Write {
                file: self.active().file,
                position: self.write_position,
                data: vec![block.freeze(length)],
                durable: true,
                class: DiskClass::Journal,
            },
        };
        self.in_flight.push_back(InFlight {
            op,
            sequence: self.next_sequence,
            live_start: self.live_start,
            written: false,
            bytes: length,
            notices: Vec::new(),
        });
        self.previous_crc = crc;
        self.stated_end = self.acknowledged_end;
        self.next_sequence += 1;
        if !entries.is_empty() {
            self.content_end = self.next_sequence;
        }
        self.write_position += length as u64;
        self.metrics.groups += 1;
        self.metrics.entries += entries.len() as u64;
        self.metrics.bytes += length as u64;
        Some(effect)
    }

    /// Attaches what the owner wants to hear once the group just submitted is acknowledged.
    pub fn notify(&mut self, notices: Vec<N>) {
        self.in_flight.back_mut().expect("a group was just submitted").notices = notices;
    }

    /// Bytes of groups in flight.
    pub fn in_flight_bytes(&self) -> usize {
        self.in_flight.iter().map(|group| group.bytes).sum()
    }

    pub fn owns(&self, op: OpId) -> bool {
        self.in_flight.iter().any(|group| group.op == op)
    }

    /// A group's write completed; gives the notices of all groups that are acknowledged by it, in order.
    pub fn on_written(&mut self, now_ms: u64, op: OpId, acknowledged: &mut Vec<N>) {
        if let Some(group) = self.in_flight.iter_mut().find(|group| group.op == op) {
            group.written = true;
        }
        while !self.failed && self.in_flight.front().is_some_and(|group| group.written) {
            let group = self.in_flight.pop_front().expect("the front was just looked at");
            assert!(group.sequence == self.acknowledged_end, "groups are acknowledged in sequence");
            self.acknowledged_end = group.sequence + 1;
            acknowledged.extend(group.notices);
            self.free_below(group.live_start);
        }
        self.quiet_since = now_ms;
    }

    /// A write of the journal failed: nothing more is acknowledged, nothing more is written. Gives what
    /// the owner would have heard of the groups in flight, now in vain.
    pub fn fail(&mut self) -> Vec<N> {
        self.failed = true;
        self.in_flight.drain(..).flat_map(|group| group.notices).collect()
    }

    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// Everything below `sequence` is durable elsewhere and stated so by acknowledged entries: the next
    /// header says so, and once that one is acknowledged the files are free.
    pub fn release_below(&mut self, sequence: u64) {
        assert!(sequence <= self.acknowledged_end, "only acknowledged groups can be released");
        self.live_start = self.live_start.max(sequence);
    }

    /// Whether a header with the newest `live_start` or acknowledged end is still owed to the disk.
    fn owes_statement(&self) -> bool {
        self.stated_end < self.content_end
            || self
                .files
                .iter()
                .any(|file| matches!(file.state, FileState::Full { end } if end <= self.live_start))
    }

    /// When an idle shard writes an empty group, in milliseconds of the monotonic clock.
    pub fn statement_deadline(&self) -> Option<u64> {
        let owed = self.in_flight.is_empty() && !self.failed && self.owes_statement();
        owed.then_some(self.quiet_since + JOURNAL_IDLE_MS)
    }

    /// An empty group could not be written now: it is tried again as if the last group were new.
    pub fn put_off_statement(&mut self, now_ms: u64) {
        self.quiet_since = now_ms;
    }

    /// A prewritten file joins the rotation.
    pub fn add_file(&mut self, file: FileId, bytes: u64) {
        self.files.push(JournalFile { file, bytes, state: FileState::Free });
    }

    /// Takes a free file that is smaller than `bytes` out of the rotation: the first file of an
    /// incarnation is small.
    pub fn take_small_free_file(&mut self, bytes: u64) -> Option<FileId> {
        let at = self
            .files
            .iter()
            .position(|file| file.state == FileState::Free && file.bytes < bytes)?;
        Some(self.files.remove(at).file)
    }

    fn free_below(&mut self, live_start: u64) {
        for file in &mut self.files {
            if matches!(file.state, FileState::Full { end } if end <= live_start) {
                file.state = FileState::Free;
            }
        }
    }

    fn active(&self) -> &JournalFile {
        self.files
            .iter()
            .find(|file| matches!(file.state, FileState::Active { .. }))
            .expect("one file is always active")
    }
}

#[cfg(test)]
mod tests;
