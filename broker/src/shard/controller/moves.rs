//! A partition from one owner to another: the old owner completes and releases it, the record says who owns
//! it from now on, and when that is committed the new owner adopts it. In between nobody takes appends for
//! it, and clients try again.

use coordinator::metadata::move_partition::MovedPartition;
use coordinator::metadata::{MovePartition, WallMillis};
use engine::PartitionId;
use engine::recovery::RecoveredPartition;
use engine::request::LifecycleError;

use super::{Asker, Shard, Then};
use crate::shard::command::{CommandReply, MoveError, Refused};
use crate::shard::mail::{Mail, ShardIndex};

/// A move in progress.
#[derive(Debug)]
pub(super) struct Move {
    asker: Asker,
    command: MovePartition,
    from: ShardIndex,
    /// How it ends, once the partition has an owner again.
    ends: Option<Result<MovedPartition, Refused<MoveError>>>,
}

impl Shard {
    pub(super) fn begin_move(&mut self, asker: Asker, command: MovePartition) {
        let now = WallMillis(self.now.wall.0);
        let controller = self.controller_mut();
        let proposals = &controller.proposals;
        let moved = match proposals.decide(now, &command) {
            Ok(decision) => decision.reply,
            Err(error) => return self.refuse_move(asker, MoveError::Command(error)),
        };
        let topic = proposals.proposed().image().select(&command.topic);
        let topic_id = topic.expect("the decision found it").id();
        let id = PartitionId { topic_id, partition: command.partition };
        if moved.from.directory != moved.to.directory {
            return self.refuse_move(asker, MoveError::OtherDirectory);
        }
        if moved.from.shard == moved.to.shard {
            return self.answer_command_of(asker, CommandReply::MovePartition(Ok(moved)));
        }
        if controller.moves.contains_key(&id) {
            return self.refuse_move(asker, MoveError::Moving);
        }
        if self.node.is_shard_offline(moved.to.shard) {
            return self.refuse_move(asker, MoveError::ShardOffline);
        }
        let from = self.node.mailbox_of(moved.from.shard);
        self.controller_mut().moves.insert(id, Move { asker, command, from, ends: None });
        self.outbox.post(from, Mail::Release { partition: id });
    }

    fn refuse_move(&mut self, asker: Asker, error: MoveError) {
        let reply = CommandReply::MovePartition(Err(Refused::Command(error)));
        self.answer_command_of(asker, reply);
    }

    pub(super) fn on_partition_released(
        &mut self,
        id: PartitionId,
        result: Result<Box<RecoveredPartition>, LifecycleError>,
    ) {
        let now = WallMillis(self.now.wall.0);
        let controller = self.controller_mut();
        let partition = match result {
            Ok(partition) => partition,
            Err(error) => {
                let ended = controller.moves.remove(&id).expect("a release belongs to a move");
                return self.refuse_move(ended.asker, MoveError::Owner(error));
            }
        };
        let begun = controller.moves.get(&id).expect("a release belongs to a move");
        let decided = controller.proposals.decide(now, &begun.command);
        let has_room = controller.proposals.has_room();
        match decided {
            Ok(decision) if self.node.is_shard_offline(decision.reply.to.shard) => {
                self.give_back(partition, Refused::Command(MoveError::ShardOffline));
            }
            Ok(decision) if has_room => {
                let then = Then::Move { partition, moved: decision.reply };
                self.controller_mut().propose(decision.records, then, now.0);
            }
            Ok(_) => self.give_back(partition, Refused::Overloaded),
            Err(error) => {
                self.give_back(partition, Refused::Command(MoveError::Command(error)));
            }
        }
    }

    /// The record is committed: the new owner takes the partition.
    pub(super) fn hand_over(&mut self, partition: Box<RecoveredPartition>, moved: &MovedPartition) {
        let moving = self.controller_mut().moves.get_mut(&partition.id);
        moving.expect("a hand-over belongs to a move").ends = Some(Ok(*moved));
        self.outbox.post(self.node.mailbox_of(moved.to.shard), Mail::Adopt { partition });
    }

    /// The record was refused.
    pub(super) fn undo_move(&mut self, partition: Box<RecoveredPartition>, _: &MovedPartition) {
        self.give_back(partition, Refused::LogUnavailable);
    }

    fn give_back(&mut self, partition: Box<RecoveredPartition>, why: Refused<MoveError>) {
        let moving = self.controller_mut().moves.get_mut(&partition.id);
        let moving = moving.expect("a released partition belongs to a move");
        moving.ends = Some(Err(why));
        let from = moving.from;
        self.outbox.post(from, Mail::Adopt { partition });
    }

    pub(super) fn on_partition_adopted(
        &mut self,
        id: PartitionId,
        result: Result<(), LifecycleError>,
    ) {
        let ended = self.controller_mut().moves.remove(&id);
        let Move { asker, ends, .. } = ended.expect("an adoption belongs to a move");
        let ends = ends.expect("a partition is adopted when its move ends");
        let reply = match result {
            Ok(()) => ends,
            Err(error) => Err(Refused::Command(MoveError::Owner(error))),
        };
        self.answer_command_of(asker, CommandReply::MovePartition(reply));
    }
}
