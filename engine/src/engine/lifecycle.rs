//! Partitions are created, deleted, handed to another shard, trimmed and given new leader epochs.

use std::path::PathBuf;

use bytes::Bytes;
use protocol::{LeaderEpoch, Offset};

use super::completion::Pending;
use super::{Departed, Engine, Notice, Slot};
use crate::PartitionId;
use crate::config::LogConfig;
use crate::disk::Step;
use crate::journal::entry::{Entry, EntryKind};
use crate::limits::{BLOCK_BYTES, CHUNK_BYTES, PARTITIONS_SERVED_PER_SHARD_MAX};
use crate::partition::cleaner_checkpoint::CleanerCheckpoint;
use crate::partition::epochs::EpochHistory;
use crate::partition::newest::NewestBatches;
use crate::partition::position::LogPosition;
use crate::partition::producers::ProducerTable;
use crate::partition::tail::Tail;
use crate::partition::{Closing, Partition, PartitionDirectory, PartitionState};
use crate::recovery::{RecoveredPartition, identity, state_file};
use crate::request::{AppendError, EngineEvent, LifecycleError, Token};

/// A partition to be created.
#[derive(Clone, Debug)]
pub struct PartitionSpec {
    pub id: PartitionId,
    pub directory: PartitionDirectory,
    pub config: LogConfig,
    pub leader_epoch: LeaderEpoch,
}

impl Engine {
    /// Creates a partition; `Done` comes once its directory is durable.
    pub fn create(&mut self, token: Token, spec: PartitionSpec) {
        if self.journal.has_failed() {
            return self.done(token, Err(LifecycleError::Unavailable));
        }
        if self.by_id.contains_key(&spec.id) {
            self.events.push_back(EngineEvent::Done { token, result: Ok(()) });
            return;
        }
        // What may be asked for the controller bounds; a start with fewer shards creates what is missing beyond.
        if self.by_id.len() >= PARTITIONS_SERVED_PER_SHARD_MAX {
            let result = Err(LifecycleError::TooManyPartitions);
            self.events.push_back(EngineEvent::Done { token, result });
            return;
        }
        let path = spec.directory.path.clone();
        let dir = spec.directory.dir;
        let file = path.join(identity::FILE_NAME);
        let steps = vec![
            Step::CreateDir(path.clone()),
            Step::WriteFile { path: file.clone(), data: identity::encode(spec.id.topic_id) },
            Step::Sync(file),
            Step::SyncDir(path),
            Step::SyncDir(PathBuf::new()),
        ];
        let start = LogPosition::segment_start(Offset(0));
        let mut epochs = EpochHistory::default();
        epochs.begin(spec.leader_epoch, Offset(0));
        let slot = self.insert(Partition {
            id: spec.id,
            directory: spec.directory,
            config: spec.config,
            state: PartitionState::Open,
            leader_epoch: spec.leader_epoch,
            epochs,
            log_start: Offset(0),
            log_start_durable: Offset(0),
            end: start,
            durable: start,
            segments: std::collections::VecDeque::new(),
            cleaner: CleanerCheckpoint::default(),
            tail: Tail::default(),
            newest: NewestBatches::default(),
            producers: ProducerTable::default(),
            producers_known: true,
            waiting: std::collections::VecDeque::new(),
            runs: std::collections::VecDeque::new(),
            acks: std::collections::VecDeque::new(),
            operations: 1,
            is_ready: false,
            is_waiting: false,
            is_held: false,
            is_moved: false,
            unchecked_to: start,
            is_created: false,
            is_vouched: false,
            is_leaving: false,
            is_dirty: true,
            partial_since: 0,
            closing: None,
            released_by: None,
        });
        self.issue_job(dir, steps, Pending::CreatePartition { slot, token });
    }

    /// Its directory is durable; from the first row on the journal speaks of it.
    pub(super) fn on_partition_created(&mut self, slot: Slot, token: Token) {
        if let Some(partition) = self.partition_mut(slot) {
            partition.is_created = true;
        }
        let result = match self.partition(slot) {
            // While an orderly end completes the files nothing joins the journal; the next start creates it.
            _ if self.is_completing() => Err(LifecycleError::NotOwner),
            Some(partition) if !partition.is_leaving && !self.journal.has_failed() => {
                self.checkpoint_entry(slot).ok_or(LifecycleError::Unavailable)
            }
            _ => Err(LifecycleError::Unavailable),
        };
        match result {
            Ok(row) => self.push_control(row, Bytes::new(), Some(Notice::Created { slot, token })),
            Err(error) => {
                self.done(token, Err(error));
                self.end_operation(slot);
            }
        }
    }

    pub(super) fn on_created_durable(&mut self, slot: Slot, token: Token) {
        if let Some(partition) = self.partition_mut(slot) {
            partition.is_vouched = true;
        }
        self.done(token, Ok(()));
        self.end_operation(slot);
    }

    /// Takes over a partition as recovery (or the shard that had it) left it.
    pub(super) fn adopt_recovered(&mut self, recovered: RecoveredPartition) -> Slot {
        let arena = self.arena.clone();
        if arena.allocate(BLOCK_BYTES).is_none() {
            // A partition that moves here under load finds a block for its unfinished last one.
            self.drop_read_ahead();
            self.search_anew();
            self.evict(CHUNK_BYTES[0]);
        }
        let (mut partition, last_block) = recovered.into_partition();
        partition.producers.not_later_than(self.now.wall.0);
        if let Some(active) = partition.segments.back_mut() {
            active.expect_age(self.now.wall.0);
        }
        if !last_block.is_empty() {
            let end = partition.end;
            let at = (end.segment, end.position - last_block.len() as u64);
            let blocks = partition.tail.reserve(&arena, 0, at, last_block.len());
            let blocks = blocks.expect("a shard has memory for a block of each of its partitions");
            partition.tail.append(at, blocks, &[&last_block]);
        }
        let memory = partition.tail.memory_bytes();
        self.tail_bytes += memory;
        let slot = self.insert(partition);
        self.hold(slot);
        self.expect_producers(slot);
        slot
    }

    /// Takes over a partition that another shard released; `Done` comes once this shard's journal and
    /// state file vouch for it.
    pub fn adopt(&mut self, token: Token, recovered: RecoveredPartition) {
        if self.journal.has_failed() || self.by_id.contains_key(&recovered.id) {
            return self.done(token, Err(LifecycleError::Unavailable));
        }
        let id = recovered.id;
        self.departed.remove(&id);
        let slot = self.adopt_recovered(recovered);
        if let Some(partition) = self.partition_mut(slot) {
            partition.is_dirty = true;
            partition.is_vouched = false;
        }
        self.adoptions.push((id, token));
    }

    /// Hands a partition over: appends are refused from now on, those accepted become durable, its files
    /// are completed; then `Released` carries it out.
    pub fn release(&mut self, token: Token, id: PartitionId) {
        let slot = self.slot(id);
        let is_open = |engine: &Self, slot| {
            engine.partition(slot).is_some_and(|partition| partition.state == PartitionState::Open)
        };
        let Some(slot) = slot.filter(|slot| is_open(self, *slot)) else {
            let result = Err(LifecycleError::NotOwner);
            self.events.push_back(EngineEvent::Done { token, result });
            return;
        };
        self.fail_waiting(slot, &AppendError::NotOwner);
        let partition = self.partition_mut(slot).expect("the id was just looked up");
        partition.state = PartitionState::Closing;
        partition.closing = Some(Closing::Release(token));
        self.forget_reads(slot);
        self.releasing.push(slot);
    }

    /// Releases go on as their partitions become durable, complete on disk, and quiet.
    pub(super) fn drive_releases(&mut self) {
        for slot in std::mem::take(&mut self.releasing) {
            if !self.drive_release(slot) {
                self.releasing.push(slot);
            }
        }
    }

    /// True when the partition is on its way out (or gone).
    fn drive_release(&mut self, slot: Slot) -> bool {
        let Some(partition) = self.partition(slot) else { return true };
        if partition.closing.is_none() {
            return true;
        }
        if partition.durable.offset < partition.end.offset || partition.operations > 0 {
            return false;
        }
        let unfinished = partition.segments.iter().find(|segment| !segment.is_finished());
        if let Some(base) = unfinished.map(|segment| segment.base) {
            self.write_behind(slot, BLOCK_BYTES as u64);
            let is_quiet = self.partition(slot).is_some_and(|partition| partition.operations == 0);
            if is_quiet {
                self.finish_segment(slot, base);
            }
            return false;
        }
        // Ownership changes only after a checkpoint: epochs and producers are saved by then.
        let Some(run) = partition.released_by else {
            let run = self.checkpoint.want_run();
            if let Some(partition) = self.partition_mut(slot) {
                partition.released_by = Some(run);
            }
            return false;
        };
        if !self.checkpoint.has_ended(run) {
            return false;
        }
        let entry = close_entry(partition);
        if let Some(partition) = self.partition_mut(slot) {
            partition.operations += 1;
            partition.is_leaving = true;
        }
        self.push_control(entry, Bytes::new(), Some(Notice::Closed(slot)));
        true
    }

    fn insert(&mut self, partition: Partition) -> Slot {
        let free = self.partitions.iter().position(Option::is_none);
        let at = free.unwrap_or(self.partitions.len());
        let slot = Slot(u32::try_from(at).expect("partitions of a shard are bounded"));
        self.by_id.insert(partition.id, slot);
        if at == self.partitions.len() {
            self.partitions.push(Some(partition));
        } else {
            self.partitions[at] = Some(partition);
        }
        slot
    }

    /// The topic's properties changed.
    pub fn set_config(&mut self, id: PartitionId, config: LogConfig) {
        let Some(slot) = self.slot(id) else { return };
        let Some(partition) = self.partition_mut(slot) else { return };
        partition.config = config;
        // A topic that stops asking for stable storage answers whoever waits for it.
        if partition.config.durability == crate::config::Durability::Memory {
            self.release_acks(slot);
        }
    }

    /// Leader epoch `epoch` begins at the log end; durable before anything appended in it.
    pub fn begin_epoch(&mut self, id: PartitionId, epoch: LeaderEpoch) {
        let Some(slot) = self.slot(id) else { return };
        let Some(partition) = self.partition_mut(slot) else { return };
        if epoch <= partition.leader_epoch {
            return;
        }
        partition.leader_epoch = epoch;
        let start = partition.end.offset;
        partition.epochs.begin(epoch, start);
        partition.is_dirty = true;
        let entry =
            Entry { leader_epoch: epoch, base: start, ..Entry::new(EntryKind::EpochStart, id) };
        self.push_control(entry, Bytes::new(), None);
    }

    /// Everything below `offset` may go: `Done` comes once the new log start is durable.
    pub fn delete_records(&mut self, token: Token, id: PartitionId, offset: Offset) {
        let result = self.move_log_start(token, id, offset);
        if let Err(error) = result {
            self.events.push_back(EngineEvent::Done { token, result: Err(error) });
        }
    }

    fn move_log_start(
        &mut self,
        token: Token,
        id: PartitionId,
        offset: Offset,
    ) -> Result<(), LifecycleError> {
        let slot = self.slot(id).ok_or(LifecycleError::NotOwner)?;
        let partition = self.partition(slot).ok_or(LifecycleError::NotOwner)?;
        match partition.state {
            PartitionState::Closing => return Err(LifecycleError::NotOwner),
            PartitionState::Offline | PartitionState::Suspect => {
                return Err(LifecycleError::Unavailable);
            }
            // The journal's first word of a partition is its row: without it nobody would know its log.
            PartitionState::Open if !partition.is_vouched => return Err(LifecycleError::NotOwner),
            PartitionState::Open => {}
        }
        if offset > partition.high_watermark().offset {
            return Err(LifecycleError::OutOfRange);
        }
        self.log_start_to(slot, offset);
        let entry = Entry::new(EntryKind::CheckpointEnd, PartitionId::NONE);
        self.push_control(entry, Bytes::new(), Some(Notice::Control(token)));
        Ok(())
    }

    /// Moves the log start and journals it; segments below it go once that is durable.
    pub(super) fn log_start_to(&mut self, slot: Slot, offset: Offset) {
        let Some(partition) = self.partition_mut(slot) else { return };
        if offset <= partition.log_start {
            return;
        }
        assert!(
            partition.is_vouched,
            "the journal knows of a partition before its log start moves"
        );
        partition.log_start = offset;
        partition.epochs.trim_below(offset);
        partition.is_dirty = true;
        let id = partition.id;
        let entry = Entry { base: offset, ..Entry::new(EntryKind::LogStart, id) };
        self.push_control(entry, Bytes::new(), Some(Notice::LogStart { slot, offset }));
    }

    /// Deletes a partition: its files go once `Done` told that nobody will see it again.
    pub fn delete(&mut self, token: Token, id: PartitionId) {
        let Some(slot) = self.slot(id) else {
            return self.done(token, Err(LifecycleError::NotOwner));
        };
        if self.journal.has_failed() {
            return self.delete_without_journal(token, slot);
        }
        let partition = self.partition_mut(slot).expect("the id was just looked up");
        match partition.closing {
            Some(Closing::Delete(_)) => return self.done(token, Err(LifecycleError::NotOwner)),
            Some(Closing::Release(waiting)) => {
                // Whoever wanted it has no use for it any more.
                self.releasing.retain(|releasing| *releasing != slot);
                self.done(waiting, Err(LifecycleError::NotOwner));
            }
            None => {}
        }
        let partition = self.partition_mut(slot).expect("the id was just looked up");
        partition.state = PartitionState::Closing;
        partition.closing = Some(Closing::Delete(token));
        let lost: u64 = partition.runs.drain(..).map(|run| run.bytes()).sum();
        self.unjournaled_bytes -= lost;
        self.fail_appends(slot, &AppendError::NotOwner);
        self.forget_reads(slot);
        self.deleting.insert(id);
        // Its operations are over before the notice can let it go.
        if let Some(partition) = self.partition_mut(slot) {
            partition.operations += 1;
            partition.is_leaving = true;
        }
        let entry = Entry::new(EntryKind::Delete, id);
        self.push_control(entry, Bytes::new(), Some(Notice::Closed(slot)));
    }

    /// The journal is lost, and the partition stands in another log directory: its files go all the same, so that
    /// a topic of the same name can have the directory. That it is deleted the metadata know.
    fn delete_without_journal(&mut self, token: Token, slot: Slot) {
        let partition = self.partition(slot).expect("the caller looked the id up");
        if partition.directory.dir == self.config.journal_dir || partition.operations > 0 {
            return self.done(token, Err(LifecycleError::Unavailable));
        }
        if let Some(partition) = self.partition_mut(slot) {
            partition.closing = Some(Closing::Delete(token));
            partition.is_leaving = true;
        }
        self.close_if_quiet(slot);
    }

    pub(super) fn on_close_durable(&mut self, slot: Slot) {
        self.end_operation(slot);
    }

    /// A closing partition goes when nothing is in flight on its files.
    pub(super) fn close_if_quiet(&mut self, slot: Slot) {
        let Some(partition) = self.partition(slot) else { return };
        let (true, Some(closing)) = (partition.operations == 0, partition.closing) else { return };
        if let Closing::Release(token) = closing {
            if !self.releasing.contains(&slot) {
                self.hand_over(slot, token);
            }
            return;
        }
        let directory = partition.directory.clone();
        let id = partition.id;
        self.forget(slot);
        if let Closing::Delete(token) = closing {
            let doomed = identity::doomed_path(&directory.path, id.topic_id);
            let steps = vec![
                Step::Rename { from: directory.path, to: doomed.clone() },
                Step::SyncDir(PathBuf::new()),
            ];
            let dir = directory.dir;
            self.issue_job(dir, steps, Pending::RemovePartition { dir, id, token });
            let steps = vec![Step::RemoveDir(doomed), Step::SyncDir(PathBuf::new())];
            self.issue_job(directory.dir, steps, Pending::Cleanup);
        }
    }

    fn hand_over(&mut self, slot: Slot, token: Token) {
        let Some(partition) = self.partition(slot) else { return };
        // Until this shard's next incarnation its journal and its state file keep what it knew of the
        // partition: the new owner may not have written its own yet when the power goes.
        let id = partition.id;
        let departed =
            Departed { close: close_entry(partition), state: state_file::section(partition) };
        let recovered = RecoveredPartition::of(partition);
        self.departed.insert(id, departed);
        self.forget(slot);
        self.events.push_back(EngineEvent::Released { token, partition: Box::new(recovered) });
    }

    /// Takes a partition out of the tables.
    pub(super) fn forget(&mut self, slot: Slot) {
        self.fail_appends(slot, &AppendError::NotOwner);
        self.checkpoint.forget(slot);
        let Some(partition) = self.partitions.get_mut(slot.0 as usize).and_then(Option::take)
        else {
            return;
        };
        self.by_id.remove(&partition.id);
        self.forget_cleaning(slot, partition.id);
        self.tail_bytes -= partition.tail.memory_bytes();
        self.ready.retain(|ready| *ready != slot);
        self.waiting.retain(|waiting| *waiting != slot);
        self.tail_order.retain(|held| *held != slot);
        self.forget_reads(slot);
        for segment in &partition.segments {
            if let Some(file) = segment.file {
                self.unbind(file);
            }
        }
    }
}

/// The journal's word that a partition with complete files left this shard.
pub(super) fn close_entry(partition: &Partition) -> Entry {
    let (segment, position) = partition.checkpointed();
    Entry {
        leader_epoch: partition.leader_epoch,
        base: partition.log_start,
        next: partition.end.offset,
        segment,
        position,
        ..Entry::new(EntryKind::Close, partition.id)
    }
}
