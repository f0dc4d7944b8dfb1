//! What the requests to the controller have in common: a command goes there, its answer comes back when it
//! is committed and every shard knows of it.

use std::time::Duration;

use engine::request::LifecycleError;
use protocol::{ErrorCode, Str};

use super::Work;
use crate::limits::COMMAND_TIMEOUT_MS_MAX;
use crate::shard::Shard;
use crate::shard::command::{Command, CommandReply, Refused};
use crate::shard::mail::Mail;
use crate::shard::requests::{Head, Request, RequestId};

impl Shard {
    /// Sends a command; `work` takes its answer.
    pub(super) fn command(&mut self, head: Head, timeout_ms: i32, command: Command, work: Work) {
        let timeout_ms = timeout_ms.clamp(0, COMMAND_TIMEOUT_MS_MAX).unsigned_abs();
        let timeout = Duration::from_millis(u64::from(timeout_ms));
        let deadline = Some(self.now.monotonic + timeout);
        let request = self.begin_request(Request { head, deadline, work });
        let (shard, command) = (self.node.me, Box::new(command));
        self.outbox.post(self.node.controller(), Mail::Command { shard, request, command });
    }

    pub(crate) fn on_command_done(&mut self, id: RequestId, reply: CommandReply) {
        match self.progress.requests.get(id).map(|request| &request.work) {
            Some(Work::Metadata(_)) => return self.finish_metadata(id, Some(&reply)),
            Some(Work::FindCoordinator(_)) => return self.finish_find_coordinator(id),
            _ => {}
        }
        if let Some(Request { head, work, .. }) = self.end_request(id) {
            self.answer_command(&head, work, Some(reply));
        }
    }

    /// What was decided may still be committed later: the client is told that it does not know.
    pub(crate) fn on_command_timeout(&mut self, id: RequestId) {
        if let Some(Request { head, work, .. }) = self.end_request(id) {
            self.answer_command(&head, work, None);
        }
    }

    fn answer_command(&mut self, head: &Head, work: Work, reply: Option<CommandReply>) {
        match (work, reply) {
            (Work::CreateTopics(work), None) => self.finish_create_topics(head, work, None),
            (Work::CreateTopics(work), Some(CommandReply::CreateTopics(reply))) => {
                self.finish_create_topics(head, work, Some(reply));
            }
            (Work::CreatePartitions(work), None) => {
                self.finish_create_partitions(head, work, None);
            }
            (Work::CreatePartitions(work), Some(CommandReply::CreatePartitions(reply))) => {
                self.finish_create_partitions(head, work, Some(reply));
            }
            (Work::DeleteTopics(work), None) => self.finish_delete_topics(head, work, None),
            (Work::DeleteTopics(work), Some(CommandReply::DeleteTopics(reply))) => {
                self.finish_delete_topics(head, work, Some(reply));
            }
            (Work::AlterConfigs(work), None) => self.finish_alter_configs(head, work, None),
            (Work::AlterConfigs(work), Some(CommandReply::AlterConfigs(reply))) => {
                self.finish_alter_configs(head, work, Some(reply));
            }
            (Work::IncrementalAlterConfigs(work), None) => {
                self.finish_incremental_alter_configs(head, work, None);
            }
            (Work::IncrementalAlterConfigs(work), Some(CommandReply::AlterConfigs(reply))) => {
                self.finish_incremental_alter_configs(head, work, Some(reply));
            }
            (work, reply) => unreachable!("a command's answer is its own: {work:?} {reply:?}"),
        }
    }
}

/// Code and words for a command without an answer of its own: refused as a whole, or too late.
pub(super) fn no_answer<E: std::fmt::Display>(
    refused: Option<&Refused<E>>,
    code_of: impl Fn(&E) -> ErrorCode,
) -> (i16, Option<Str>) {
    let Some(refused) = refused else {
        let text = "The controller has not answered in time; the change may still be made.";
        return (ErrorCode::RequestTimedOut.code(), Some(Str::from_static(text)));
    };
    let text = match refused {
        Refused::LogUnavailable => Str::from_static("The metadata log cannot be written."),
        Refused::Owner(LifecycleError::NoSpace) => Str::from_static(
            "The disk is full: the partitions exist, and can be used when there is space.",
        ),
        Refused::Owner(_) => Str::from_static(
            "The partitions exist, but a directory could not be made for all of them; the node goes on trying.",
        ),
        Refused::Overloaded => Str::from_static("Too many changes wait for the metadata log."),
        Refused::Command(error) => Str::from(error.to_string()),
    };
    (crate::error_code::refused(refused, code_of).code(), Some(text))
}
