//! What an owner of partitions does for requests of any shard's connections: appends, questions, hand-over.
//! Fetches are in `fetching`, offsets by time in `finding`.

use std::sync::Arc;

use engine::PartitionId;
use engine::disk::DirId;
use engine::partition::Partition;
use engine::recovery::RecoveredPartition;
use engine::request::{AppendError, AppendRequest, Appended, LifecycleError, Token};
use protocol::{LeaderEpoch, Offset};
use runtime::clock::Monotonic;

use super::Shard;
use super::fetching::FetchId;
use super::finding::Finding;
use super::mail::{
    Answer, AppendPart, DeleteRecordsError, DirectorySpace, EpochError, FoundOffset, Mail,
    OffsetSpec, PartitionSize, Query, QueryError, ReplyTo,
};

/// What an answer of the engine is for.
#[derive(Debug)]
pub(crate) enum Wait {
    Append {
        reply: ReplyTo,
        arrived: Monotonic,
    },
    /// A partition of a fetch, by its place in it.
    Fetch {
        fetch: FetchId,
        at: usize,
    },
    Find(Box<Finding>),
    DeleteRecords {
        reply: ReplyTo,
        partition: PartitionId,
    },
    Create(PartitionId),
    Delete(PartitionId),
    Release(PartitionId),
    Adopt(PartitionId),
    /// The controller's records.
    MetadataAppend,
    MetadataTrim,
    /// Records of groups.
    GroupAppend(PartitionId),
    GroupRead(PartitionId),
    ShutDown,
}

impl Shard {
    pub(super) fn on_owner_mail(&mut self, mail: Mail) {
        match mail {
            Mail::Append(append) => self.append(append),
            Mail::Fetch(ask) => self.fetch(*ask),
            Mail::FetchNow { shard, request, response_bytes_max } => {
                self.fetch_now(shard, request, response_bytes_max);
            }
            Mail::FetchCancel { shard, request } => self.cancel_fetch(shard, request),
            Mail::Query { reply, query } => self.answer_query(reply, query),
            Mail::Group(ask) => drop(self.answer_group(*ask, usize::MAX)),
            Mail::Groups { asks, answer_bytes_max } => self.answer_groups(asks, answer_bytes_max),
            Mail::Release { partition } => {
                let token = self.wait_for(Wait::Release(partition));
                self.owner.engine.release(token, partition);
            }
            Mail::Adopt { partition } => self.adopt(*partition),
            other => unreachable!("not for an owner: {other:?}"),
        }
    }

    /// A place for an answer of the engine.
    pub(crate) fn wait_for(&mut self, wait: Wait) -> Token {
        self.owner.waits.insert(wait)
    }

    fn append(&mut self, append: AppendPart) {
        let AppendPart { reply, partition, batch, zstd_allowed, dispatched, posted } = append;
        let arrived = self.now.monotonic;
        if !self.owner.waits.has_room() {
            return self.appended(reply, Err(AppendError::Overloaded));
        }
        let hop = (reply.shard != self.node.me).then_some(posted);
        self.metrics.stages.arrived(dispatched, hop, arrived);
        let token = self.wait_for(Wait::Append { reply, arrived });
        self.owner.engine.append(AppendRequest { token, partition, batch, zstd_allowed });
    }

    fn appended(&mut self, reply: ReplyTo, result: Result<Appended, AppendError>) {
        let ReplyTo { shard, request, part } = reply;
        let posted = self.now.monotonic;
        self.outbox.post(shard, Mail::Appended { request, part, result, posted });
    }

    pub(super) fn on_appended(&mut self, token: Token, result: Result<Appended, AppendError>) {
        match self.owner.waits.remove(token) {
            Some(Wait::Append { reply, arrived }) => {
                if let Ok(appended) = &result {
                    let now = self.now.monotonic;
                    self.metrics.stages.appended(arrived, &appended.moments, now);
                }
                self.appended(reply, result);
            }
            Some(Wait::MetadataAppend) => self.on_metadata_appended(result),
            Some(Wait::GroupAppend(partition)) => self.on_group_appended(partition, result),
            other => unreachable!("an append was waited for: {other:?}"),
        }
    }

    /// The log directories as the node sees them now: one that failed under another shard stops here, too.
    /// The controller goes on with its own as long as it can write to it.
    pub(super) fn on_storage(&mut self, space: Arc<Vec<DirectorySpace>>) {
        let offline = (0..).map(DirId).zip(space.iter()).filter(|(_, space)| space.is_offline);
        let news: Vec<DirId> =
            offline.map(|(dir, _)| dir).filter(|dir| !self.node.has_failed(*dir)).collect();
        self.node.space = space;
        if self.controller.is_some() || news.is_empty() {
            return;
        }
        for dir in news {
            self.owner.engine.on_directory_failed(dir);
        }
        self.fail_offline_fetches();
    }

    pub(super) fn on_lifecycle_done(&mut self, token: Token, result: Result<(), LifecycleError>) {
        let controller = self.node.controller();
        match self.owner.waits.remove(token) {
            Some(Wait::DeleteRecords { reply, partition }) => {
                let log_start =
                    self.owner.engine.offsets(partition).map(|offsets| offsets.log_start);
                let result = result.and(log_start.ok_or(LifecycleError::NotOwner));
                let result = result.map_err(DeleteRecordsError::Partition);
                self.reply(reply, Answer::DeletedRecords(result));
            }
            Some(Wait::Create(partition)) => self.on_created(partition, result),
            Some(Wait::Delete(partition)) => {
                self.outbox.post(controller, Mail::Deleted { partition, result });
            }
            Some(Wait::Release(partition)) => {
                let error = result.expect_err("a release ends as an event of its own");
                self.outbox.post(controller, Mail::Released { partition, result: Err(error) });
            }
            Some(Wait::Adopt(partition)) => {
                self.outbox.post(controller, Mail::Adopted { partition, result });
            }
            Some(Wait::ShutDown) => self.on_stopped(),
            Some(Wait::MetadataTrim) => {}
            other => unreachable!("a lifecycle request was waited for: {other:?}"),
        }
    }

    pub(super) fn on_released(&mut self, token: Token, partition: Box<RecoveredPartition>) {
        let wait = self.owner.waits.remove(token);
        assert!(matches!(wait, Some(Wait::Release(_))), "a release was waited for: {wait:?}");
        let id = partition.id;
        self.owner.reconciler.on_released(id);
        let mail = Mail::Released { partition: id, result: Ok(partition) };
        self.outbox.post(self.node.controller(), mail);
    }

    fn adopt(&mut self, partition: RecoveredPartition) {
        let id = partition.id;
        self.owner.reconciler.on_adopted(id);
        let token = self.wait_for(Wait::Adopt(id));
        self.owner.engine.adopt(token, partition);
        self.bring_up_to_date(id);
    }

    pub(super) fn reply(&mut self, to: ReplyTo, answer: Answer) {
        let ReplyTo { shard, request, part } = to;
        self.outbox.post(shard, Mail::Answer { request, part, answer });
    }

    fn answer_query(&mut self, reply: ReplyTo, query: Query) {
        let answer = match query {
            Query::Offset { partition, current_leader_epoch, at } => {
                match self.find_offset(partition, current_leader_epoch, at) {
                    Ok(Some(found)) => Answer::Offset(Ok(Some(found))),
                    Ok(None) => return self.begin_finding(reply, partition, at),
                    Err(error) => Answer::Offset(Err(error)),
                }
            }
            Query::RecordTime { partition, offset } => {
                return self.find_record(reply, partition, offset);
            }
            Query::EpochEnd { partition, current_leader_epoch, leader_epoch } => {
                Answer::EpochEnd(self.epoch_end(partition, current_leader_epoch, leader_epoch))
            }
            Query::DeleteRecords { partition, before } => {
                return self.delete_records(reply, partition, before);
            }
            Query::LogDirectories => Answer::LogDirectories(self.partition_sizes()),
        };
        self.reply(reply, answer);
    }

    /// `None`: the log's batches have to be looked at.
    fn find_offset(
        &self,
        id: PartitionId,
        current_leader_epoch: Option<LeaderEpoch>,
        at: OffsetSpec,
    ) -> Result<Option<FoundOffset>, QueryError> {
        let (partition, offsets) = self.queried(id, current_leader_epoch)?;
        let offset = match at {
            OffsetSpec::Latest => offsets.high_watermark,
            OffsetSpec::Earliest | OffsetSpec::EarliestLocal => offsets.log_start,
            // Nothing is tiered.
            OffsetSpec::LatestTiered => {
                let offset = Offset(-1);
                return Ok(Some(FoundOffset { offset, timestamp: None, leader_epoch: None }));
            }
            OffsetSpec::MaxTimestamp | OffsetSpec::Timestamp(_) => return Ok(None),
        };
        let leader_epoch = match at {
            OffsetSpec::Latest => Some(offsets.leader_epoch),
            _ => partition.epochs.epoch_at(offset),
        };
        Ok(Some(FoundOffset { offset, timestamp: None, leader_epoch }))
    }

    fn epoch_end(
        &self,
        id: PartitionId,
        current_leader_epoch: Option<LeaderEpoch>,
        leader_epoch: LeaderEpoch,
    ) -> Result<Option<(LeaderEpoch, Offset)>, QueryError> {
        let (partition, offsets) = self.queried(id, current_leader_epoch)?;
        if leader_epoch == offsets.leader_epoch {
            return Ok(Some((leader_epoch, offsets.log_end)));
        }
        Ok(partition.epochs.end_of(leader_epoch, offsets.log_end))
    }

    fn queried(
        &self,
        id: PartitionId,
        current_leader_epoch: Option<LeaderEpoch>,
    ) -> Result<(&Partition, engine::request::PartitionOffsets), QueryError> {
        let partition = self.owner.engine.get(id).ok_or(QueryError::NotOwner)?;
        let offsets = self.owner.engine.offsets(id).ok_or(QueryError::NotOwner)?;
        if offsets.is_offline {
            return Err(QueryError::Unavailable);
        }
        check_epoch(current_leader_epoch, offsets.leader_epoch).map_err(QueryError::Epoch)?;
        Ok((partition, offsets))
    }

    fn delete_records(&mut self, reply: ReplyTo, partition: PartitionId, before: Option<Offset>) {
        let offsets = self.owner.engine.offsets(partition);
        let config = self.owner.engine.get(partition).map(|found| &found.config);
        let (Some(offsets), Some(config)) = (offsets, config) else {
            let error = DeleteRecordsError::Partition(LifecycleError::NotOwner);
            return self.reply(reply, Answer::DeletedRecords(Err(error)));
        };
        if !config.cleanup_delete {
            return self.reply(reply, Answer::DeletedRecords(Err(DeleteRecordsError::Policy)));
        }
        let offset = before.unwrap_or(offsets.high_watermark);
        let token = self.wait_for(Wait::DeleteRecords { reply, partition });
        self.owner.engine.delete_records(token, partition, offset);
    }

    fn partition_sizes(&self) -> Vec<PartitionSize> {
        let sizes = self.owner.engine.iter().map(|partition| PartitionSize {
            partition: partition.id,
            dir: partition.directory.dir.0,
            bytes: partition.bytes(),
        });
        sizes.collect()
    }
}

/// Whether the leader epoch that a client knows is today's; clients that know none are not checked.
pub(super) fn check_epoch(
    known: Option<LeaderEpoch>,
    current: LeaderEpoch,
) -> Result<(), EpochError> {
    match known {
        Some(known) if known < current => Err(EpochError::Fenced { current }),
        Some(known) if known > current => Err(EpochError::Unknown { current }),
        Some(_) | None => Ok(()),
    }
}
