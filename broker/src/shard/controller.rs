//! The controller: commands are decided, their records appended to the metadata log, and when those are
//! durable, told to all shards; replies wait for all of that.
//!
//! ```text
//!   command ─► decide ─► proposed ─► appended (one batch at a time) ─► durable = committed
//!           committed ─► announced to every shard ─► owners report directories ─► reply
//! ```
//!
//! One batch is in the engine at a time: so a batch that the log refuses refuses all that follow, and
//! offsets stay those that were proposed.
//!
//! * `moves`: a partition from one owner to another; `snapshots`: the log is kept short

mod moves;
mod snapshots;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use coordinator::Proposals;
use coordinator::metadata::move_partition::MovedPartition;
use coordinator::metadata::{
    self, AllocateProducerIds, CreatePartitions, CreateTopics, FinishDelete, MetadataRecord,
    WallMillis,
};
use coordinator::proposals::Committed;
use engine::PartitionId;
use engine::recovery::RecoveredPartition;
use engine::request::{AppendError, AppendRequest, Appended, LifecycleError};
use protocol::{BrokerId, Offset, ProducerId, TopicId};

use super::Shard;
use super::command::{Command, CommandReply, Refused};
use super::mail::{Mail, News, ShardIndex};
use super::metadata_log::{METADATA, decision_batch};
use super::owner::Wait;
use super::requests::RequestId;
use super::start::{ControllerStart, NodeFacts};
use moves::Move;
use snapshots::Snapshots;

/// Who asked for a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asker {
    shard: ShardIndex,
    request: RequestId,
}

/// What is done when a decision is committed.
#[derive(Debug)]
enum Then {
    /// A decision of this start: the shards have it already.
    Start,
    Reply {
        asker: Asker,
        reply: Box<CommandReply>,
    },
    ProducerIds {
        shard: ShardIndex,
        block: Range<ProducerId>,
    },
    /// A deleted topic is forgotten.
    Forget(TopicId),
    Move {
        partition: Box<RecoveredPartition>,
        moved: MovedPartition,
    },
}

/// A batch on its way into the log.
#[derive(Debug)]
struct Batch {
    offsets: Range<Offset>,
    bytes: Bytes,
    /// Of a snapshot: no proposal waits for it.
    snapshot: Option<SnapshotPart>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SnapshotPart {
    More,
    Last { begins: Offset },
}

/// A reply that waits for owners' directories.
#[derive(Debug)]
struct Creation {
    missing: BTreeSet<PartitionId>,
    partitions: Vec<PartitionId>,
    asker: Asker,
    reply: Box<CommandReply>,
}

/// Partitions of a deleted topic that are not gone.
#[derive(Debug)]
struct Deletion {
    missing: BTreeSet<PartitionId>,
    /// Those that stay until the next start: their log directory failed.
    left: BTreeSet<PartitionId>,
}

#[derive(Debug)]
pub(crate) struct Controller {
    broker: BrokerId,
    proposals: Proposals<Then>,
    /// Where the next proposed record goes.
    next: Offset,
    /// The first is in the engine if `is_appending`.
    batches: VecDeque<Batch>,
    is_appending: bool,
    start: Vec<Vec<MetadataRecord>>,
    /// Decisions of this start that are not committed yet.
    starting: usize,
    announced: u64,
    /// By shard: the last announcement that it has applied.
    applied: Vec<u64>,
    /// Replies in order of the announcement that all shards must have applied first.
    held: VecDeque<(u64, Asker, Box<CommandReply>)>,
    creations: Vec<Creation>,
    deletions: BTreeMap<TopicId, Deletion>,
    /// Deleted topics that are ready to be forgotten.
    forgettable: VecDeque<TopicId>,
    moves: BTreeMap<PartitionId, Move>,
    snapshots: Snapshots,
}

impl Controller {
    pub(super) fn new(start: ControllerStart, node: &NodeFacts) -> Self {
        let ControllerStart { metadata, next, log_start, decisions } = start;
        Self {
            broker: node.broker,
            proposals: Proposals::new(metadata, next),
            next,
            batches: VecDeque::new(),
            is_appending: false,
            starting: decisions.len(),
            start: decisions,
            announced: 0,
            applied: vec![0; node.shards().count()],
            held: VecDeque::new(),
            creations: Vec::new(),
            deletions: BTreeMap::new(),
            forgettable: VecDeque::new(),
            moves: BTreeMap::new(),
            snapshots: Snapshots::new(log_start),
        }
    }

    pub(super) fn is_started(&self) -> bool {
        self.starting == 0
    }

    pub(super) fn invariants(&self) {
        self.proposals.invariants();
        assert!(self.held.iter().is_sorted_by_key(|held| held.0), "replies wait in order");
        assert!(!self.is_appending || !self.batches.is_empty(), "what is appended is known");
    }

    fn propose(&mut self, records: Vec<MetadataRecord>, then: Then, wall_ms: i64) {
        let bytes = (!records.is_empty()).then(|| decision_batch(&records, wall_ms));
        let offsets = self.proposals.on_propose(records, then);
        self.next = offsets.end;
        if let Some(bytes) = bytes {
            self.batches.push_back(Batch { offsets, bytes, snapshot: None });
        }
    }

    /// Deleted topics wait for their partitions on this broker.
    fn await_deletion(&mut self, topic: TopicId) {
        let mut deleting = self.proposals.committed().image().deleting();
        let Some(deleted) = deleting.find(|deleted| deleted.id() == topic) else { return };
        let partitions = (0..).map(protocol::PartitionIndex).zip(deleted.partitions());
        let here = partitions.filter(|(_, state)| state.replica_on(self.broker).is_some());
        let missing: BTreeSet<PartitionId> =
            here.map(|(partition, _)| PartitionId { topic_id: topic, partition }).collect();
        if missing.is_empty() {
            self.forgettable.push_back(topic);
        }
        self.deletions.insert(topic, Deletion { missing, left: BTreeSet::new() });
    }
}

impl Shard {
    fn controller_mut(&mut self) -> &mut Controller {
        self.controller.as_mut().expect("mail for the controller comes to its shard")
    }

    pub(super) fn start_controller(&mut self) {
        let wall_ms = self.now.wall.0;
        let Some(controller) = &mut self.controller else { return };
        for records in std::mem::take(&mut controller.start) {
            controller.propose(records, Then::Start, wall_ms);
        }
        let image = controller.proposals.committed().image();
        let deleting: Vec<TopicId> = image.deleting().map(metadata::Topic::id).collect();
        for topic in deleting {
            controller.await_deletion(topic);
        }
        self.drive_controller();
    }

    pub(super) fn on_controller_mail(&mut self, from: ShardIndex, mail: Mail) {
        match mail {
            Mail::Command { shard, request, command } => {
                self.on_command(Asker { shard, request }, *command);
            }
            Mail::Applied { announcement } => {
                self.controller_mut().applied[usize::from(from.0)] = announcement;
            }
            Mail::AllocateProducerIds => self.allocate_producer_ids(from),
            Mail::Created { partition, result } => self.on_directory_created(partition, result),
            Mail::Deleted { partition, result } => self.on_directory_deleted(partition, &result),
            Mail::Released { partition, result } => self.on_partition_released(partition, result),
            Mail::Adopted { partition, result } => self.on_partition_adopted(partition, result),
            other => unreachable!("not for the controller: {other:?}"),
        }
        self.drive_controller();
    }

    /// Goes on with whatever can go on.
    fn drive_controller(&mut self) {
        self.forget_deleted_topics();
        self.drive_log();
    }

    fn drive_log(&mut self) {
        self.release_committed();
        self.append_next_batch();
        self.release_replies();
    }

    fn on_command(&mut self, asker: Asker, command: Command) {
        let now = WallMillis(self.now.wall.0);
        let offline = self.node.offline_places();
        let controller = self.controller_mut();
        if !controller.proposals.has_room() {
            let reply = overloaded(&command);
            return self.answer_command_of(asker, reply);
        }
        let proposals = &controller.proposals;
        macro_rules! decide {
            ($command:expr, $reply:ident) => {
                match proposals.decide(now, &$command) {
                    Ok(decision) => (decision.records, CommandReply::$reply(Ok(decision.reply))),
                    Err(error) => {
                        let reply = CommandReply::$reply(Err(Refused::Command(error)));
                        return self.answer_command_of(asker, reply);
                    }
                }
            };
        }
        let (records, reply) = match command {
            Command::CreateTopics(command) => {
                decide!(CreateTopics { offline, ..command }, CreateTopics)
            }
            Command::CreatePartitions(command) => {
                decide!(CreatePartitions { offline, ..command }, CreatePartitions)
            }
            Command::DeleteTopics(command) => decide!(command, DeleteTopics),
            Command::AlterConfigs(command) => decide!(command, AlterConfigs),
            Command::IncrementalAlterConfigs(command) => decide!(command, AlterConfigs),
            Command::MovePartition(command) => return self.begin_move(asker, command),
        };
        let then = Then::Reply { asker, reply: Box::new(reply) };
        self.controller_mut().propose(records, then, now.0);
    }

    fn answer_command_of(&mut self, asker: Asker, reply: CommandReply) {
        let Asker { shard, request } = asker;
        self.outbox.post(shard, Mail::CommandDone { request, reply: Box::new(reply) });
    }

    fn allocate_producer_ids(&mut self, shard: ShardIndex) {
        let now = WallMillis(self.now.wall.0);
        let controller = self.controller_mut();
        let command = AllocateProducerIds { count: crate::limits::PRODUCER_ID_BLOCK };
        let decided = controller.proposals.decide(now, &command);
        match decided {
            Ok(decision) if controller.proposals.has_room() => {
                let block = decision.reply;
                let then = Then::ProducerIds { shard, block };
                controller.propose(decision.records, then, now.0);
            }
            Ok(_) | Err(_) => self.outbox.post(shard, Mail::ProducerIds(None)),
        }
    }

    fn append_next_batch(&mut self) {
        self.snapshot_if_due();
        let controller = self.controller_mut();
        if controller.is_appending {
            return;
        }
        let Some(batch) = controller.batches.front().map(|batch| batch.bytes.clone()) else {
            return;
        };
        controller.is_appending = true;
        let token = self.wait_for(Wait::MetadataAppend);
        let partition = METADATA;
        self.owner.engine.append(AppendRequest { token, partition, batch, zstd_allowed: true });
    }

    pub(super) fn on_metadata_appended(&mut self, result: Result<Appended, AppendError>) {
        let controller = self.controller_mut();
        controller.is_appending = false;
        let batch = controller.batches.pop_front().expect("it was being appended");
        match result {
            Ok(appended) => {
                assert!(appended.base == batch.offsets.start, "the log has the offsets proposed");
                match batch.snapshot {
                    None => controller.proposals.on_committed(batch.offsets.end),
                    Some(SnapshotPart::More) => {}
                    Some(SnapshotPart::Last { begins }) => self.trim_metadata_log(begins),
                }
            }
            Err(_) => {
                self.on_log_refused(batch.offsets.start);
                // What was refused now would be refused again, for ever, before anything else happens.
                return self.drive_log();
            }
        }
        self.drive_controller();
    }

    /// The batch at `from` is not in the log, and none after it will be.
    #[cold]
    fn on_log_refused(&mut self, from: Offset) {
        let controller = self.controller_mut();
        controller.batches.clear();
        controller.next = from;
        let refused = controller.snapshot_refused(from);
        let refused = refused.unwrap_or_else(|| controller.proposals.on_refused(from));
        for then in refused {
            self.refuse_then(then);
        }
    }

    fn refuse_then(&mut self, then: Then) {
        match then {
            Then::Start => {
                let path = super::metadata_log::DIRECTORY.to_owned();
                let error = "the metadata log cannot be written".to_owned();
                self.outbox.post(self.node.main(), Mail::DirectoryFailed { path, error });
            }
            Then::Reply { asker, reply } => {
                let reply = log_unavailable(&reply);
                self.answer_command_of(asker, reply);
            }
            Then::ProducerIds { shard, .. } => self.outbox.post(shard, Mail::ProducerIds(None)),
            // Tried again with the next mail.
            Then::Forget(topic) => self.controller_mut().forgettable.push_back(topic),
            Then::Move { partition, moved } => self.undo_move(partition, &moved),
        }
    }

    fn release_committed(&mut self) {
        while let Some(committed) = self.controller_mut().proposals.take_committed() {
            let Committed { offsets, records, reply } = committed;
            let created = self.created_here(&records);
            for record in &records {
                if let MetadataRecord::TopicDeleted { topic } = record {
                    self.controller_mut().await_deletion(*topic);
                }
            }
            if !records.is_empty() && !matches!(reply, Then::Start) {
                self.announce(News::Records { offsets, records: Arc::new(records) });
            }
            self.on_decision_committed(reply, created);
        }
    }

    fn on_decision_committed(&mut self, then: Then, created: Vec<PartitionId>) {
        let controller = self.controller_mut();
        match then {
            Then::Start => controller.starting -= 1,
            Then::Reply { asker, reply } if created.is_empty() => {
                controller.held.push_back((controller.announced, asker, reply));
            }
            Then::Reply { asker, reply } => {
                let missing = created.iter().copied().collect();
                let creation = Creation { missing, partitions: created, asker, reply };
                controller.creations.push(creation);
            }
            Then::ProducerIds { shard, block } => {
                self.outbox.post(shard, Mail::ProducerIds(Some(block)));
            }
            Then::Forget(topic) => {
                controller.deletions.remove(&topic);
            }
            Then::Move { partition, moved } => self.hand_over(partition, &moved),
        }
    }

    fn created_here(&self, records: &[MetadataRecord]) -> Vec<PartitionId> {
        let created = records.iter().filter_map(|record| match record {
            MetadataRecord::Partition { topic, partition, state } => {
                let here = state.replica_on(self.node.broker).is_some();
                here.then_some(PartitionId { topic_id: *topic, partition: *partition })
            }
            _ => None,
        });
        created.collect()
    }

    fn announce(&mut self, news: News) {
        let controller = self.controller_mut();
        controller.announced += 1;
        let announcement = controller.announced;
        for shard in self.node.shards() {
            self.outbox.post(shard, Mail::Announce { announcement, news: news.clone() });
        }
    }

    /// Replies go when every shard knows what they say.
    fn release_replies(&mut self) {
        let controller = self.controller_mut();
        let applied = controller.applied.iter().copied().min().expect("there is a shard");
        let ready = controller.held.partition_point(|held| held.0 <= applied);
        let ready: Vec<_> = controller.held.drain(..ready).collect();
        for (_, Asker { shard, request }, reply) in ready {
            self.outbox.post(shard, Mail::CommandDone { request, reply });
        }
    }

    fn on_directory_created(&mut self, partition: PartitionId, result: Result<(), LifecycleError>) {
        let controller = self.controller_mut();
        let mut creations = controller.creations.iter();
        let at = creations.position(|creation| creation.missing.contains(&partition));
        let Some(at) = at else {
            // Created at a start, or tried again after its command was refused.
            if result.is_ok() {
                self.announce(News::Usable(vec![partition]));
            }
            return;
        };
        if let Err(error) = result {
            let Creation { missing, partitions, asker, reply } = controller.creations.remove(at);
            let done = partitions.into_iter().filter(|created| !missing.contains(created));
            self.announce(News::Usable(done.collect()));
            // The topic exists, and its owner goes on trying; the client is told of the disk.
            return self.answer_command_of(asker, refused_by_owner(&reply, error));
        }
        let creation = &mut controller.creations[at];
        creation.missing.remove(&partition);
        if creation.missing.is_empty() {
            let Creation { partitions, asker, reply, .. } = controller.creations.remove(at);
            self.announce(News::Usable(partitions));
            let controller = self.controller_mut();
            controller.held.push_back((controller.announced, asker, reply));
        }
    }

    fn on_directory_deleted(
        &mut self,
        partition: PartitionId,
        result: &Result<(), LifecycleError>,
    ) {
        let controller = self.controller_mut();
        let topic = partition.topic_id;
        let Some(Deletion { missing, left }) = controller.deletions.get_mut(&topic) else { return };
        match result {
            Ok(()) if !missing.remove(&partition) => return,
            Ok(()) => {}
            // Its log directory failed: the next start removes it.
            Err(_) => drop(left.insert(partition)),
        }
        if missing.is_empty() {
            controller.forgettable.push_back(topic);
        } else if missing.is_subset(left) {
            let partitions = Arc::new(missing.clone());
            self.announce(News::Left { topic, partitions });
        }
    }

    fn forget_deleted_topics(&mut self) {
        let now = WallMillis(self.now.wall.0);
        let controller = self.controller_mut();
        while controller.proposals.has_room() {
            let Some(topic) = controller.forgettable.pop_front() else { return };
            let decision = controller.proposals.decide(now, &FinishDelete { topic });
            let decision = decision.expect("a topic is forgotten once, after its deletion");
            controller.propose(decision.records, Then::Forget(topic), now.0);
        }
    }
}

/// Too much waits already: the controller does not even decide.
fn overloaded(command: &Command) -> CommandReply {
    match command {
        Command::CreateTopics(_) => CommandReply::CreateTopics(Err(Refused::Overloaded)),
        Command::CreatePartitions(_) => CommandReply::CreatePartitions(Err(Refused::Overloaded)),
        Command::DeleteTopics(_) => CommandReply::DeleteTopics(Err(Refused::Overloaded)),
        Command::AlterConfigs(_) | Command::IncrementalAlterConfigs(_) => {
            CommandReply::AlterConfigs(Err(Refused::Overloaded))
        }
        Command::MovePartition(_) => CommandReply::MovePartition(Err(Refused::Overloaded)),
    }
}

fn log_unavailable(reply: &CommandReply) -> CommandReply {
    match reply {
        CommandReply::CreateTopics(_) => CommandReply::CreateTopics(Err(Refused::LogUnavailable)),
        CommandReply::CreatePartitions(_) => {
            CommandReply::CreatePartitions(Err(Refused::LogUnavailable))
        }
        CommandReply::DeleteTopics(_) => CommandReply::DeleteTopics(Err(Refused::LogUnavailable)),
        CommandReply::AlterConfigs(_) => CommandReply::AlterConfigs(Err(Refused::LogUnavailable)),
        CommandReply::MovePartition(_) => CommandReply::MovePartition(Err(Refused::LogUnavailable)),
    }
}

fn refused_by_owner(reply: &CommandReply, error: LifecycleError) -> CommandReply {
    match reply {
        CommandReply::CreatePartitions(_) => {
            CommandReply::CreatePartitions(Err(Refused::Owner(error)))
        }
        // Nothing else makes partitions.
        _ => CommandReply::CreateTopics(Err(Refused::Owner(error))),
    }
}
