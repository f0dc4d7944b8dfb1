//! FindCoordinator: who coordinates a group. On one node that is this node; the coordinator's log is created
//! when the first group is looked for. There is no coordinator for transactions yet.

use std::time::Duration;

use coordinator::metadata::{CONSUMER_OFFSETS_TOPIC, CreateTopics};
use protocol::messages::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};
use protocol::{ErrorCode, Str};

use super::Work;
use super::authorise::{Operation, Resource};
use crate::limits::AUTO_CREATE_WAIT_MS;
use crate::shard::Shard;
use crate::shard::command::Command;
use crate::shard::mail::Mail;
use crate::shard::requests::{Head, Request, RequestId};

/// Version from which a request names several keys.
const KEYS_FROM: i16 = 4;
/// What a key is.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

/// Of those that a response has no room for: clients ask again, for these alone.
const TOO_MANY_KEYS: &str = "Ask for fewer keys at once.";
/// A key in a response, beside the strings.
const COORDINATOR_BYTES: usize = 192;

/// A request that waits for the coordinator's log.
#[derive(Debug)]
pub(crate) struct FindingCoordinator {
    body: FindCoordinatorRequest,
}

impl Shard {
    pub(crate) fn find_coordinator(&mut self, head: Head, body: FindCoordinatorRequest) {
        let is_there = self.replica.topic_by_name(CONSUMER_OFFSETS_TOPIC).is_some();
        if is_there || body.key_type != GROUP {
            return self.answer_coordinator(&head, body);
        }
        let id = self.front.random.topic_id();
        let command = CreateTopics::consumer_offsets(id, self.replica.metadata());
        let command = Box::new(Command::CreateTopics(command));
        let deadline = Some(self.now.monotonic + Duration::from_millis(AUTO_CREATE_WAIT_MS));
        let work = Work::FindCoordinator(FindingCoordinator { body });
        let request = self.begin_request(Request { head, deadline, work });
        let shard = self.node.me;
        self.outbox.post(self.node.controller(), Mail::Command { shard, request, command });
    }

    /// The coordinator's log is there, whoever created it, or it takes too long.
    pub(crate) fn finish_find_coordinator(&mut self, id: RequestId) {
        let Some(Request { head, work: Work::FindCoordinator(finding), .. }) = self.end_request(id)
        else {
            unreachable!("only a FindCoordinator ends here");
        };
        self.answer_coordinator(&head, finding.body);
    }

    fn answer_coordinator(&mut self, head: &Head, body: FindCoordinatorRequest) {
        if head.version < KEYS_FROM {
            let found = self.coordinator_of(head, body.key_type, body.key);
            self.metrics.count_error(found.error_code);
            let response = FindCoordinatorResponse {
                error_code: found.error_code,
                error_message: found.error_message,
                node_id: found.node_id,
                host: found.host,
                port: found.port,
                ..FindCoordinatorResponse::default()
            };
            return self.respond(head, response);
        }
        let mut coordinators = Vec::with_capacity(body.coordinator_keys.len());
        let collected = self.begin_collecting(head);
        let mut left = collected.bytes_max;
        for key in body.coordinator_keys {
            let found = match left {
                0 => nobody(key, ErrorCode::CoordinatorNotAvailable, TOO_MANY_KEYS),
                _ => self.coordinator_of(head, body.key_type, key),
            };
            let message = found.error_message.as_ref().map_or(0, |text| text.len());
            let bytes = COORDINATOR_BYTES + found.key.len() + found.host.len() + message;
            left = left.saturating_sub(bytes);
            self.metrics.count_error(found.error_code);
            coordinators.push(found);
        }
        self.end_collecting(collected);
        let response = FindCoordinatorResponse {
            node_id: -1,
            port: -1,
            coordinators,
            ..FindCoordinatorResponse::default()
        };
        self.respond(head, response);
    }

    fn coordinator_of(&self, head: &Head, key_type: i8, key: Str) -> Coordinator {
        let (code, message) = match key_type {
            GROUP if !self.is_allowed(head, Operation::Describe, Resource::Group(&key)) => {
                (ErrorCode::GroupAuthorizationFailed, "The group may not be described.")
            }
            GROUP => match self.home_of(&key) {
                Ok(_) => return self.this_node(head, key),
                Err(_) => (ErrorCode::CoordinatorNotAvailable, "The coordinator is not available."),
            },
            TRANSACTION => {
                (ErrorCode::CoordinatorNotAvailable, "There are no transactions here yet.")
            }
            _ => (ErrorCode::InvalidRequest, "There is no coordinator of this type."),
        };
        nobody(key, code, message)
    }

    fn this_node(&self, head: &Head, key: Str) -> Coordinator {
        let brokers = self.brokers_for(head).into_iter();
        let mut here = brokers.filter(|broker| broker.id == self.node.broker.0);
        let here = here.next().expect("a node is registered before it serves");
        Coordinator {
            key,
            node_id: here.id,
            host: here.host,
            port: here.port,
            error_code: ErrorCode::None.code(),
            error_message: None,
        }
    }
}

fn nobody(key: Str, code: ErrorCode, message: &'static str) -> Coordinator {
    Coordinator {
        key,
        node_id: -1,
        host: Str::default(),
        port: -1,
        error_code: code.code(),
        error_message: Some(Str::from_static(message)),
    }
}
