//! InitProducerId: an identity for an idempotent producer.
//!
//! Without a transactional id every request gets a new producer id with epoch 0, also one that names an
//! older identity: as in Kafka, whose clients raise their epoch themselves. Transactional ids need a
//! coordinator for transactions, and there is none yet.

use std::ops::Range;
use std::time::Duration;

use protocol::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use protocol::{ErrorCode, ProducerId};

use super::Work;
use super::authorise::{Operation, Resource};
use crate::limits::{PRODUCERS_WAITING_MAX, QUERY_TIMEOUT_MS};
use crate::shard::Shard;
use crate::shard::mail::Mail;
use crate::shard::requests::{Head, Request, RequestId};

impl Shard {
    pub(crate) fn init_producer_id(&mut self, head: Head, body: &InitProducerIdRequest) {
        let has_id = body.producer_id >= 0;
        let has_epoch = body.producer_epoch >= 0;
        let is_allowed = self.is_allowed(&head, Operation::IdempotentWrite, Resource::Cluster);
        let refused = if !is_allowed {
            Some(ErrorCode::ClusterAuthorizationFailed)
        } else if body.transactional_id.as_ref().is_some_and(|id| id.is_empty())
            || has_id != has_epoch
        {
            Some(ErrorCode::InvalidRequest)
        } else if body.transactional_id.is_some() {
            Some(ErrorCode::CoordinatorNotAvailable)
        } else if self.front.producer_ids.waiting.len() >= PRODUCERS_WAITING_MAX {
            Some(ErrorCode::CoordinatorLoadInProgress)
        } else {
            None
        };
        if let Some(code) = refused {
            return self.refuse_producer(&head, code);
        }
        if let Some(id) = self.front.producer_ids.take() {
            return self.name_producer(&head, id);
        }
        let deadline = Some(self.now.monotonic + Duration::from_millis(QUERY_TIMEOUT_MS));
        let request = self.begin_request(Request { head, deadline, work: Work::InitProducerId });
        self.front.producer_ids.waiting.push_back(request);
        self.ask_for_producer_ids();
    }

    fn ask_for_producer_ids(&mut self) {
        let block = &mut self.front.producer_ids;
        if !block.is_asked && !block.waiting.is_empty() {
            block.is_asked = true;
            self.outbox.post(self.node.controller(), Mail::AllocateProducerIds);
        }
    }

    pub(crate) fn on_producer_ids(&mut self, block: Option<Range<ProducerId>>) {
        self.front.producer_ids.is_asked = false;
        let is_refused = block.is_none();
        if let Some(block) = block {
            self.front.producer_ids.refill(block);
        }
        while let Some(request) = self.front.producer_ids.waiting.pop_front() {
            if self.progress.requests.get(request).is_none() {
                continue;
            }
            let Some(id) = self.front.producer_ids.take() else {
                if is_refused {
                    self.on_producer_id_timeout(request);
                    continue;
                }
                self.front.producer_ids.waiting.push_front(request);
                return self.ask_for_producer_ids();
            };
            let Some(Request { head, .. }) = self.end_request(request) else { continue };
            self.name_producer(&head, id);
        }
    }

    /// No ids: the client asks again.
    pub(crate) fn on_producer_id_timeout(&mut self, id: RequestId) {
        if let Some(Request { head, .. }) = self.end_request(id) {
            self.refuse_producer(&head, ErrorCode::CoordinatorLoadInProgress);
        }
    }

    fn name_producer(&mut self, head: &Head, id: ProducerId) {
        let response = InitProducerIdResponse {
            producer_id: id.0,
            producer_epoch: 0,
            ..InitProducerIdResponse::default()
        };
        self.respond(head, response);
    }

    fn refuse_producer(&mut self, head: &Head, code: ErrorCode) {
        self.metrics.count_error(code.code());
        let response = InitProducerIdResponse {
            error_code: code.code(),
            producer_id: -1,
            producer_epoch: -1,
            ..InitProducerIdResponse::default()
        };
        self.respond(head, response);
    }
}
