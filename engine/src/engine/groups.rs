//! Group commit: what waits becomes one journal write; large runs go straight to their segments.

use bytes::Bytes;

use super::completion::Pending;
use super::lifecycle::close_entry;
use super::{Control, Engine, Notice, Slot};
use crate::disk::planted::PlantedFault;
use crate::disk::{DiskClass, DiskOp, OpId};
use crate::journal::entry::{ENTRY_BYTES, Entry, EntryKind};
use crate::journal::group::{HEADER_BYTES, group_bytes};
use crate::limits::{BLOCK_BYTES, BYPASS_RUN_BYTES_MIN, JOURNAL_GROUP_ENTRIES_MAX};
use crate::partition::{Closing, Partition, Run, RunState};

/// What a draft consists of, to be put back if the group cannot be written now.
enum Taken {
    Control(Control),
    Run(Slot, Run),
}

/// A group being put together.
#[derive(Default)]
struct Draft {
    taken: Vec<Taken>,
    entries: Vec<Entry>,
    bodies: Vec<Bytes>,
    notices: Vec<Notice>,
    /// Partitions whose unfinished last block begins in this group.
    partials: Vec<Slot>,
    body_bytes: usize,
    run_bytes: u64,
    /// Something did not fit any more.
    is_full: bool,
}

/// What became of a partition's runs in a draft.
enum Drafted {
    /// Nothing of it can join a group before a completion or an append.
    Done,
    /// Its next run is large and waits for its turn to be written straight to the segment.
    AwaitsDirect,
    /// The group is full.
    Full,
}

impl Draft {
    fn fits(&self, body_bytes: usize, room: usize) -> bool {
        self.entries.len() < JOURNAL_GROUP_ENTRIES_MAX
            && group_bytes(self.entries.len() + 1, self.body_bytes + body_bytes) <= room
    }

    fn push(&mut self, mut entry: Entry, parts: Vec<Bytes>) {
        let bytes: usize = parts.iter().map(Bytes::len).sum();
        entry.body_bytes = u32::try_from(bytes).expect("a group's bodies are far below 4 GiB");
        self.body_bytes += bytes;
        self.entries.push(entry);
        self.bodies.extend(parts);
    }
}

impl Engine {
    /// The partition has runs that a group or a direct write may take.
    pub(super) fn mark_ready(&mut self, slot: Slot) {
        let Some(partition) = self.partition_mut(slot) else { return };
        if !partition.runs.is_empty() && !std::mem::replace(&mut partition.is_ready, true) {
            self.ready.push_back(slot);
        }
    }

    /// A control entry joins the next group; its notice comes when that one is acknowledged.
    pub(super) fn push_control(&mut self, entry: Entry, body: Bytes, notice: Option<Notice>) {
        self.control.push_back(Control { entry, body, notice });
    }

    /// Starts direct writes of large runs and submits groups as far as the journal admits.
    pub(super) fn form_groups(&mut self) {
        self.launch_direct_runs();
        self.is_short_of_memory = false;
        loop {
            let waiting = self.unjournaled_bytes
                + self.control.iter().map(|control| control.body.len() as u64 + 1).sum::<u64>();
            let waiting = usize::try_from(waiting).unwrap_or(usize::MAX);
            if waiting == 0 || !self.journal.admits(waiting) || !self.submit_group() {
                return;
            }
        }
    }

    /// Submits one group; false when there is nothing to take, or no room or memory for it.
    fn submit_group(&mut self) -> bool {
        let mut draft = self.draft();
        if draft.entries.is_empty() {
            // What does not fit into an empty group fits into one of a new file.
            if !draft.is_full || !self.rotate() {
                return false;
            }
            draft = self.draft();
            if draft.entries.is_empty() {
                return false;
            }
        }
        self.submit_draft(draft)
    }

    fn submit_draft(&mut self, draft: Draft) -> bool {
        let op = OpId(self.next_op);
        let sequence = self.journal.next_sequence();
        let Some(effect) = self.journal.submit(&draft.entries, &draft.bodies, &self.arena, op)
        else {
            self.put_back(draft);
            return false;
        };
        self.next_op += 1;
        self.pending.insert(op, Pending::Group);
        self.effects.push(effect);
        self.journal.notify(draft.notices);
        self.unjournaled_bytes -= draft.run_bytes;
        for slot in draft.partials {
            if let Some(partition) = self.partition_mut(slot) {
                partition.partial_since = sequence;
            }
        }
        if PlantedFault::EarlyAcknowledgement.is_planted() {
            self.on_group_written(op);
        }
        true
    }

    /// No memory for the group now: everything goes back to where it came from, in front.
    #[cold]
    fn put_back(&mut self, draft: Draft) {
        self.is_short_of_memory = true;
        for taken in draft.taken.into_iter().rev() {
            match taken {
                Taken::Control(control) => self.control.push_front(control),
                Taken::Run(slot, run) => {
                    if let Some(partition) = self.partition_mut(slot) {
                        partition.runs.push_front(run);
                    }
                    self.mark_ready(slot);
                }
            }
        }
    }

    /// An empty group of an idle shard, so that the acknowledged end on disk catches up.
    pub(super) fn submit_statement(&mut self) {
        let has_room = self.journal.room() >= BLOCK_BYTES || self.rotate();
        if !has_room || !self.submit_draft(Draft::default()) {
            self.journal.put_off_statement(self.now_ms());
        }
    }

    /// Takes control entries first, then runs, partition by partition.
    fn draft(&mut self) -> Draft {
        let room = self.journal.room();
        let mut draft = Draft::default();
        while let Some(control) = self.control.front() {
            if !draft.fits(control.body.len(), room) {
                draft.is_full = true;
                return draft;
            }
            let control = self.control.pop_front().expect("the front was just looked at");
            draft.partials.extend(self.last_block_in(&control.entry));
            draft.push(control.entry, vec![control.body.clone()]);
            draft.notices.extend(control.notice);
            draft.taken.push(Taken::Control(control));
        }
        for _ in 0..self.ready.len() {
            let Some(slot) = self.ready.pop_front() else { break };
            match self.draft_partition(slot, room, &mut draft) {
                Drafted::Done => {
                    if let Some(partition) = self.partition_mut(slot) {
                        partition.is_ready = false;
                    }
                }
                Drafted::AwaitsDirect => self.ready.push_back(slot),
                Drafted::Full => {
                    draft.is_full = true;
                    self.ready.push_front(slot);
                    break;
                }
            }
        }
        draft
    }

    /// The partition whose unfinished last block this entry holds from its first byte on, with all that groups before
    /// have of it.
    fn last_block_in(&self, entry: &Entry) -> Option<Slot> {
        let slot = self.slot(entry.partition)?;
        let partition = self.partition(slot)?;
        let end = partition.end;
        let block_start = end.position - end.position % BLOCK_BYTES as u64;
        let submitted = partition.runs.front().map_or(end.offset, |run| run.from.offset);
        let is_it = entry.kind == EntryKind::Fragment
            && entry.next == submitted
            && entry.segment == end.segment
            && entry.position == block_start;
        is_it.then_some(slot)
    }

    /// Takes the partition's runs as far as they are due.
    fn draft_partition(&mut self, slot: Slot, room: usize, draft: &mut Draft) -> Drafted {
        loop {
            let Some(partition) = self.partition_mut(slot) else { return Drafted::Done };
            let Some(run) = partition.runs.front() else { return Drafted::Done };
            if is_large(run) {
                return Drafted::AwaitsDirect;
            }
            let Some((entry, parts)) = entry_of(partition, run) else { return Drafted::Done };
            let bytes: usize = parts.iter().map(Bytes::len).sum();
            if !draft.fits(bytes, room) {
                return Drafted::Full;
            }
            let run = partition.runs.pop_front().expect("the front was just looked at");
            let block_start = run.to.position - run.to.position % BLOCK_BYTES as u64;
            if block_start >= run.from.position {
                draft.partials.push(slot);
            }
            draft.run_bytes += run.bytes();
            draft.push(entry, parts);
            let submitted = self.now.monotonic;
            draft.notices.push(Notice::Appended { slot, to: run.to, submitted });
            draft.taken.push(Taken::Run(slot, run));
        }
    }

    /// Runs of 256 KiB and more are written to their segment at once, several at a time.
    fn launch_direct_runs(&mut self) {
        for at in 0..self.ready.len() {
            if self.direct_in_flight >= self.config.disk.large_runs_in_flight {
                return;
            }
            let slot = self.ready[at];
            while self.launch_direct_run(slot) {}
        }
    }

    fn launch_direct_run(&mut self, slot: Slot) -> bool {
        if self.direct_in_flight >= self.config.disk.large_runs_in_flight {
            return false;
        }
        let Some(partition) = self.partition(slot) else { return false };
        let Some(at) = partition.runs.iter().position(is_large) else { return false };
        let run = &partition.runs[at];
        let (base, blocks) = (run.from.segment, run_blocks(run));
        let Some(segment) = partition.segment(base) else { return false };
        // The first block may hold older bytes: it is written whole, for the first time.
        if segment.flushing_to.is_some_and(|to| to > blocks.start) || segment.flushed > blocks.start
        {
            return false;
        }
        let data = partition.tail.blocks(base, blocks.clone());
        let Some(file) = self.segment_file(slot, base) else { return false };
        let bytes = blocks.end - blocks.start;
        let position = blocks.start;
        let request =
            DiskOp::Write { file, position, data, durable: true, class: DiskClass::Bypass };
        let op = self.issue(request, Pending::DirectRun { slot, base, blocks: blocks.clone() });
        let partition = self.partition_mut(slot).expect("it was just looked at");
        partition.operations += 1;
        partition.runs[at].state = RunState::Direct(op);
        partition.segment_mut(base).expect("it was just looked at").begin_direct(blocks);
        self.direct_in_flight += 1;
        self.checkpoint.note_direct(bytes);
        self.metrics.direct_runs += 1;
        self.metrics.direct_bytes += bytes;
        true
    }

    /// Goes on in the next journal file, which begins with a row for every partition; those that leave
    /// have the word (Close) that says so there, once more if it is in flight in the file before.
    fn rotate(&mut self) -> bool {
        if self.is_completing() || !self.journal.rotate() {
            // Its rows would state files as durable that wait for the last sync.
            return false;
        }
        let slots: Vec<Slot> = self.by_id.values().copied().collect();
        for slot in slots.into_iter().rev() {
            let Some(partition) = self.partition(slot) else { continue };
            let entry = match partition.closing {
                Some(Closing::Release(_)) if partition.is_leaving => Some(close_entry(partition)),
                // Deleted: see below.
                _ if partition.is_leaving => None,
                _ => self.checkpoint_entry(slot),
            };
            if let Some(entry) = entry {
                self.control.push_front(Control { entry, body: Bytes::new(), notice: None });
            }
        }
        for id in &self.deleting {
            let entry = Entry::new(EntryKind::Delete, *id);
            self.control.push_front(Control { entry, body: Bytes::new(), notice: None });
        }
        // The files that say that a partition left may be recycled before its new owner has a word of
        // it in its own journal.
        for departed in self.departed.values() {
            let entry = departed.close;
            self.control.push_front(Control { entry, body: Bytes::new(), notice: None });
        }
        self.recycle_small_file();
        true
    }
}

/// Whether the run is to be written straight to its segment.
fn is_large(run: &Run) -> bool {
    run.state == RunState::Gathering && run.bytes() >= BYPASS_RUN_BYTES_MIN
}

/// The journal entry of a run that is due, with its body; `None` while its blocks are being written.
fn entry_of(partition: &Partition, run: &Run) -> Option<(Entry, Vec<Bytes>)> {
    let mut parts = Vec::new();
    let mut entry = Entry {
        leader_epoch: run.leader_epoch,
        base: run.from.offset,
        next: run.to.offset,
        segment: run.from.segment,
        position: run.from.position,
        run_bytes: run.bytes(),
        ..Entry::new(EntryKind::Append, partition.id)
    };
    match run.state {
        RunState::Direct(_) => return None,
        RunState::Gathering => {
            let range = run.from.position..run.to.position;
            partition.tail.slices(run.from.segment, range, &mut parts);
        }
        RunState::Written => {
            entry.kind = EntryKind::Pointer;
            entry.run_crc = run.headers_crc;
            let range = run_blocks(run).end..run.to.position;
            partition.tail.slices(run.from.segment, range, &mut parts);
        }
    }
    Some((entry, parts))
}

/// The whole blocks of a run, the first one with the bytes before the run.
fn run_blocks(run: &Run) -> std::ops::Range<u64> {
    let block = BLOCK_BYTES as u64;
    let floor = |position: u64| position - position % block;
    floor(run.from.position)..floor(run.to.position)
}

const _: () = assert!(HEADER_BYTES + ENTRY_BYTES < BLOCK_BYTES);
