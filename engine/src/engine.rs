//! The engine of one shard: its journal and the logs of the partitions it owns.
//!
//! Lives on its shard's core and is touched by nobody else. Inputs are method calls and completions of
//! disk operations; outputs gather in `effects` (for the disk) and `events` (for the broker), which the
//! shard takes after each batch of inputs.

mod append;
mod checkpoint;
mod compaction;
mod completion;
pub mod damage;
mod failure;
mod groups;
mod index_cache;
mod journal_files;
pub mod lifecycle;
mod memory;
mod producer_rebuild;
mod reads;
mod retention;
mod room;
mod segments;
mod shutdown;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use protocol::Offset;
use runtime::clock::{Monotonic, Now};
use runtime::memory::Arena;

use crate::PartitionId;
use crate::config::EngineConfig;
use crate::disk::{DirId, DiskEffect, DiskOp, FileId, Job, OpId, Step};
use crate::journal::entry::{Entry, EntryKind};
use crate::journal::writer::{Journal, JournalMetrics};
use crate::partition::position::LogPosition;
use crate::partition::{Partition, PartitionState};
use crate::request::{EngineEvent, PartitionOffsets, Token};
use checkpoint::Checkpoint;
use compaction::Cleaner;
use completion::Pending;
use damage::Damages;
use index_cache::IndexCache;
use journal_files::PreparingDelayed;
use memory::TailAim;
use producer_rebuild::ProducerRebuild;
use reads::Reads;
use shutdown::Shutdown;

/// A partition's place in its engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// What an acknowledged group means.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Notice {
    /// The partition is durable up to here.
    Appended { slot: Slot, to: LogPosition, submitted: Monotonic },
    /// A control entry with a waiting request.
    Control(Token),
    /// Partition can be handed over or deleted.
    Closed(Slot),
    /// All entries of a checkpoint are durable.
    Checkpoint,
    /// Log start offset is durable.
    LogStart { slot: Slot, offset: Offset },
    /// A new partition's first row is durable.
    Created { slot: Slot, token: Token },
}

/// A control entry waiting for a group.
#[derive(Debug)]
pub(crate) struct Control {
    entry: Entry,
    body: Bytes,
    notice: Option<Notice>,
}

/// What this shard knew of a partition it handed over, for its journal and its state file.
#[derive(Clone, Debug)]
pub(crate) struct Departed {
    close: Entry,
    state: Bytes,
}

/// Counters of one engine.
#[derive(Clone, Copy, Debug, Default)]
pub struct EngineMetrics {
    pub appends: u64,
    pub append_bytes: u64,
    pub duplicates: u64,
    pub direct_runs: u64,
    pub direct_bytes: u64,
    pub write_behind_bytes: u64,
    pub tail_reads: u64,
    pub tail_read_bytes: u64,
    pub disk_reads: u64,
    pub disk_read_bytes: u64,
    pub corrupt_reads: u64,
    pub append_waits: u64,
    pub checkpoints: u64,
    pub segments_created: u64,
    pub segments_deleted: u64,
    /// Rounds of the cleaner that began, and those that ended with damage.
    pub cleaner_rounds: u64,
    pub cleaner_failures: u64,
    pub cleaner_read_bytes: u64,
    pub cleaner_written_bytes: u64,
    /// By which segments became smaller.
    pub cleaner_removed_bytes: u64,
    /// When a round ended last, by the wall clock.
    pub cleaner_last_round_ms: Option<i64>,
    /// The largest share of a compacted log, in millionths, that was dirty at the last look.
    pub cleaner_dirty_ppm_max: u64,
    /// Logs that are not compacted because of damage in them.
    pub cleaner_uncleanable: u64,
}

#[derive(Debug)]
pub struct Engine {
    config: EngineConfig,
    arena: Arena,
    now: Now,
    journal: Journal<Notice>,
    partitions: Vec<Option<Partition>>,
    by_id: BTreeMap<PartitionId, Slot>,
    /// Partitions with runs that a group or a direct write may take, in order of their first byte.
    ready: VecDeque<Slot>,
    /// Partitions with appends that wait for room, in order.
    waiting: VecDeque<Slot>,
    control: VecDeque<Control>,
    /// Bytes of gathered runs and of written runs whose pointer is due.
    unjournaled_bytes: u64,
    direct_in_flight: usize,
    write_behind_in_flight: usize,
    /// Partitions with memory to take back, in turn.
    tail_order: VecDeque<Slot>,
    tail_bytes: usize,
    tail_aim: TailAim,
    /// A group waits for memory.
    is_short_of_memory: bool,
    pending: BTreeMap<OpId, Pending>,
    next_op: u64,
    next_file: u32,
    /// Journal files being prewritten.
    preparing: usize,
    /// It has not begun yet.
    preparing_delayed: Option<PreparingDelayed>,
    next_journal_file: u64,
    checkpoint: Checkpoint,
    reads: Reads,
    damages: Damages,
    indexes: IndexCache,
    cleaner: Cleaner,
    retention_due_ms: u64,
    /// When segments that are due are looked for next.
    retention_check_due_ms: u64,
    shutdown: Shutdown,
    /// Partitions whose files an orderly end could not complete.
    incomplete: BTreeSet<Slot>,
    /// Partitions that are being handed over.
    releasing: Vec<Slot>,
    departed: BTreeMap<PartitionId, Departed>,
    /// Partitions that are being deleted, until their directories are gone durably: the journal goes on saying so.
    deleting: BTreeSet<PartitionId>,
    /// Adoptions that wait for the next checkpoint run.
    adoptions: Vec<(PartitionId, Token)>,
    rebuild: ProducerRebuild,
    moved: Vec<Slot>,
    effects: Vec<DiskEffect>,
    events: VecDeque<EngineEvent>,
    pub metrics: EngineMetrics,
}

/// What an engine starts from; recovery made it.
#[derive(Debug)]
pub struct EngineStart {
    pub config: EngineConfig,
    pub journal: crate::recovery::OpenedJournal,
    pub partitions: Vec<crate::recovery::RecoveredPartition>,
}

impl Engine {
    /// Takes over what recovery found; `arena` is the shard's memory.
    pub fn new(start: EngineStart, arena: Arena, now: Now) -> Self {
        let file = FileId(0);
        let opened = start.journal;
        let journal = Journal::new(
            opened.identity,
            opened.opening,
            (file, opened.first_file_bytes),
            start.config.disk,
        );
        let delayed = PreparingDelayed::new(now.monotonic.0 / 1_000_000, journal.left());
        let mut engine = Self {
            config: start.config,
            arena,
            now,
            journal,
            partitions: Vec::new(),
            by_id: BTreeMap::new(),
            ready: VecDeque::new(),
            waiting: VecDeque::new(),
            control: VecDeque::new(),
            unjournaled_bytes: 0,
            direct_in_flight: 0,
            write_behind_in_flight: 0,
            tail_order: VecDeque::new(),
            tail_bytes: 0,
            tail_aim: TailAim::new(start.config.tail_bytes_first),
            is_short_of_memory: false,
            pending: BTreeMap::new(),
            next_op: 0,
            next_file: 1,
            preparing: 0,
            preparing_delayed: Some(delayed),
            next_journal_file: opened.next_file_number,
            checkpoint: Checkpoint::default(),
            reads: Reads::default(),
            damages: Damages::default(),
            indexes: IndexCache::default(),
            cleaner: Cleaner::due_at(now.monotonic.0 / 1_000_000 + start.config.cleaner_backoff_ms),
            retention_due_ms: 0,
            retention_check_due_ms: now.monotonic.0 / 1_000_000
                + start.config.retention_check_ms.min(crate::limits::RETENTION_FIRST_MS),
            shutdown: Shutdown::default(),
            incomplete: BTreeSet::new(),
            releasing: Vec::new(),
            departed: BTreeMap::new(),
            deleting: BTreeSet::new(),
            adoptions: Vec::new(),
            rebuild: ProducerRebuild::default(),
            moved: Vec::new(),
            effects: Vec::new(),
            events: VecDeque::new(),
            metrics: EngineMetrics::default(),
        };
        engine.bind(file, start.config.journal_dir, opened.first_file);
        for (path, bytes) in opened.free_files {
            let file = engine.new_file(start.config.journal_dir, path);
            engine.journal.add_file(file, bytes);
        }
        for partition in start.partitions {
            let slot = engine.adopt_recovered(partition);
            // What the journal says was deleted may still have files.
            engine.remove_deleted_segments(slot);
        }
        engine
    }

    /// Time moves only here; called before each batch of inputs.
    pub fn set_now(&mut self, now: Now) {
        self.now = now;
    }

    /// What the disk is asked to do, in order.
    pub fn take_effects(&mut self) -> Vec<DiskEffect> {
        std::mem::take(&mut self.effects)
    }

    /// What the broker should hear, in order.
    pub fn take_events(&mut self) -> VecDeque<EngineEvent> {
        std::mem::take(&mut self.events)
    }

    /// Ends a batch of inputs: waiting appends are tried again, a group is formed, background work goes on.
    pub fn finish_batch(&mut self) {
        self.allow_searches();
        self.retry_waiting();
        self.form_groups();
        self.drive_checkpoint();
        self.drive_releases();
        self.drive_shutdown();
        self.form_groups();
        self.begin_preparing_journal();
        self.drive_reads();
        self.drive_producer_rebuild();
        self.drive_cleaner();
        for slot in std::mem::take(&mut self.moved) {
            if let Some(partition) = self.partition_mut(slot) {
                partition.is_moved = false;
                let id = partition.id;
                self.events.push_back(EngineEvent::HighWatermarkMoved(id));
            }
        }
    }

    /// When `on_deadline` is due, in milliseconds of the monotonic clock.
    pub fn deadline_ms(&self) -> Option<u64> {
        let retention = Some(self.retention_due_ms);
        let is_waiting =
            !self.waiting.is_empty() || self.is_short_of_memory || self.reads_are_stuck();
        let memory = is_waiting.then(|| self.now_ms() + 1);
        // The last steps of an orderly end save what a run would.
        let (is_wanted, retry) = match self.is_completing() {
            true => (false, None),
            false => (self.checkpoint.is_wanted(), self.checkpoint.retry_ms()),
        };
        let is_due = self.producer_rebuild_is_due() || is_wanted;
        let at = self.now_ms() + u64::from(self.reads_are_stuck());
        let due = (is_due && !self.journal.has_failed()).then_some(at);
        let statement = self.journal.statement_deadline();
        let preparing = self.preparing_due_ms();
        [retention, statement, retry, memory, due, preparing].into_iter().flatten().min()
    }

    /// Work that is due by the clock alone.
    pub fn on_deadline(&mut self) {
        let now = self.now_ms();
        if self.journal.statement_deadline().is_some_and(|due| due <= now) {
            self.submit_statement();
        }
        if self.retention_due_ms <= now {
            self.retention_due_ms = now + crate::limits::RETENTION_INTERVAL_MS;
            self.apply_retention();
            self.drop_idle_read_ahead();
            self.retry_producer_rebuild();
            self.start_cleaning();
            // A full disk may have refused them.
            self.prepare_journal_files();
        }
    }

    /// Offsets of a partition that this shard owns.
    pub fn offsets(&self, id: PartitionId) -> Option<PartitionOffsets> {
        let partition = self.partition(self.slot(id)?)?;
        (partition.state != PartitionState::Closing).then(|| PartitionOffsets {
            log_start: partition.log_start,
            high_watermark: partition.high_watermark().offset,
            log_end: partition.end.offset,
            leader_epoch: partition.leader_epoch,
            is_offline: partition.state == PartitionState::Offline,
        })
    }

    /// A partition that this shard owns, to look at.
    pub fn get(&self, id: PartitionId) -> Option<&Partition> {
        self.partition(self.slot(id)?)
    }

    /// All partitions of this shard, in order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Partition> {
        self.by_id.values().filter_map(|slot| self.partition(*slot))
    }

    pub fn journal_metrics(&self) -> JournalMetrics {
        self.journal.metrics
    }

    /// Memory of log tails, in bytes.
    pub fn tail_bytes(&self) -> usize {
        self.tail_bytes
    }

    /// Checks what must hold between any two batches of inputs.
    pub fn invariants(&self) {
        let mut tail_bytes = 0;
        for partition in self.partitions.iter().flatten() {
            partition.invariants();
            tail_bytes += partition.tail.memory_bytes();
        }
        assert!(tail_bytes == self.tail_bytes, "the tails' memory is accounted");
    }

    fn now_ms(&self) -> u64 {
        self.now.monotonic.0 / 1_000_000
    }

    fn slot(&self, id: PartitionId) -> Option<Slot> {
        self.by_id.get(&id).copied()
    }

    fn partition(&self, slot: Slot) -> Option<&Partition> {
        self.partitions.get(slot.0 as usize)?.as_ref()
    }

    fn partition_mut(&mut self, slot: Slot) -> Option<&mut Partition> {
        self.partitions.get_mut(slot.0 as usize)?.as_mut()
    }

    fn issue(&mut self, request: DiskOp, pending: Pending) -> OpId {
        let op = OpId(self.next_op);
        self.next_op += 1;
        self.pending.insert(op, pending);
        self.effects.push(DiskEffect { op, request });
        op
    }

    fn issue_job(&mut self, dir: DirId, steps: Vec<Step>, pending: Pending) -> OpId {
        self.issue(DiskOp::Job(Job { dir, steps }), pending)
    }

    fn bind(&mut self, file: FileId, dir: DirId, path: std::path::PathBuf) {
        let op = OpId(self.next_op);
        self.next_op += 1;
        self.effects.push(DiskEffect { op, request: DiskOp::Bind { file, dir, path } });
    }

    fn unbind(&mut self, file: FileId) {
        let op = OpId(self.next_op);
        self.next_op += 1;
        self.effects.push(DiskEffect { op, request: DiskOp::Unbind { file } });
    }

    fn new_file(&mut self, dir: DirId, path: std::path::PathBuf) -> FileId {
        let file = FileId(self.next_file);
        self.next_file += 1;
        self.bind(file, dir, path);
        file
    }

    /// A checkpoint row of `slot` as of now; `None` before its directory is durable.
    fn checkpoint_entry(&self, slot: Slot) -> Option<Entry> {
        let partition = self.partition(slot).filter(|partition| partition.is_created)?;
        let (segment, position) = partition.checkpointed();
        Some(Entry {
            leader_epoch: partition.leader_epoch,
            base: partition.log_start,
            next: partition.durable.offset,
            segment,
            position,
            run_bytes: partition.unflushed_bytes(),
            as_of: self.journal.acknowledged_end(),
            ..Entry::new(EntryKind::Checkpoint, partition.id)
        })
    }
}
