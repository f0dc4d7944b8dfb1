//! Produce: each batch to its partition's owner, the answers joined.
//!
//! Batches are mailed in the order of the requests, and mail keeps its order: so batches of one
//! connection to one partition are appended in order.

use std::time::Duration;

use coordinator::metadata::{Topic, is_internal};
use engine::request::{AppendError, Appended, InvalidBatch};
use protocol::messages::produce::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, ProduceRequest, ProduceResponse,
    TopicProduceResponse,
};
use protocol::record_batch::{BatchHeader, RecordsError, RefusedRecord};
use protocol::{ErrorCode, PartitionIndex, Str};

use super::Work;
use super::authorise::{Operation, Resource};
use crate::error_code;
use crate::limits::{PRODUCE_TIMEOUT_MS_MIN, RECORD_ERRORS_MAX};
use crate::shard::Shard;
use crate::shard::mail::{AppendPart, Mail, ReplyTo};
use crate::shard::replica::Route;
use crate::shard::requests::{Head, Request, RequestId};

#[derive(Debug)]
pub(crate) struct Produce {
    acks: i16,
    response: ProduceResponse,
    places: Vec<(usize, usize)>,
    outstanding: usize,
    /// Records that the response may still name.
    record_errors_left: usize,
}

/// Acknowledged by every in-sync replica.
const ACKS_ALL: i16 = -1;

/// Version from which clients know that a transaction can go on by being aborted.
const TRANSACTION_ABORTABLE_FROM: i16 = 11;

/// Version from which batches may be compressed with zstd.
const ZSTD_FROM: i16 = 7;

fn answered(index: i32, code: ErrorCode) -> PartitionProduceResponse {
    PartitionProduceResponse {
        index,
        error_code: code.code(),
        base_offset: -1,
        log_append_time_ms: -1,
        log_start_offset: -1,
        ..PartitionProduceResponse::default()
    }
}

impl Shard {
    pub(crate) fn produce(&mut self, head: Head, body: ProduceRequest) {
        let transactions = transactions(&body);
        let mut produce = Produce {
            acks: body.acks,
            response: ProduceResponse::default(),
            places: Vec::new(),
            outstanding: 0,
            record_errors_left: RECORD_ERRORS_MAX,
        };
        let timeout_ms = body.timeout_ms.max(PRODUCE_TIMEOUT_MS_MIN).unsigned_abs();
        let timeout = Duration::from_millis(u64::from(timeout_ms));
        let mut appends = Vec::new();
        for (at, topic) in body.topic_data.into_iter().enumerate() {
            let allowed = self.is_allowed(&head, Operation::Write, Resource::Topic(&topic.name));
            let known = self.replica.topic_by_name(&topic.name);
            let refused = match transactions {
                Transactions::Refused(code) => Some(code),
                _ if !allowed => Some(ErrorCode::TopicAuthorizationFailed),
                Transactions::None | Transactions::Some => None,
            };
            let mut partitions = Vec::with_capacity(topic.partition_data.len());
            for (index_at, data) in topic.partition_data.into_iter().enumerate() {
                let index = PartitionIndex(data.index);
                let admitted = match (refused, known) {
                    (Some(code), _) => Err(code),
                    (None, None) => Err(ErrorCode::UnknownTopicOrPartition),
                    (None, Some(known)) => self.open_partition(&head, body.acks, known, index),
                };
                let admitted = admitted.and_then(|route| {
                    let batch = data.records.ok_or(ErrorCode::InvalidRecord)?;
                    check_transaction(transactions, head.version, &batch)?;
                    Ok((route, batch))
                });
                let code = match admitted {
                    Ok(append) => {
                        appends.push(append);
                        produce.places.push((at, index_at));
                        ErrorCode::RequestTimedOut
                    }
                    Err(code) => code,
                };
                partitions.push(answered(data.index, code));
            }
            let response =
                TopicProduceResponse { name: topic.name, partition_responses: partitions };
            produce.response.responses.push(response);
        }
        let bytes = appends.iter().map(|(_, batch)| batch.len()).sum();
        self.note_owners(&head, appends.iter().map(|(route, _)| route.owner), bytes);
        produce.outstanding = appends.len();
        let is_done = appends.is_empty();
        let deadline = Some(self.now.monotonic + timeout);
        let request = self.begin_request(Request { head, deadline, work: Work::Produce(produce) });
        for (part, (route, batch)) in (0..).zip(appends) {
            let reply = ReplyTo { shard: self.node.me, request, part };
            let zstd_allowed = head.version >= ZSTD_FROM;
            let partition = route.partition;
            let (dispatched, posted) = (head.stages.dispatched, self.now.monotonic);
            let append = AppendPart { reply, partition, batch, zstd_allowed, dispatched, posted };
            self.outbox.post(route.owner, Mail::Append(append));
        }
        if is_done {
            self.finish_produce(request);
        }
    }

    /// The way to a partition that takes batches of such a request, or Kafka's first reason why it does not.
    fn open_partition(
        &self,
        head: &Head,
        acks: i16,
        topic: &Topic,
        index: PartitionIndex,
    ) -> Result<Route, ErrorCode> {
        let route = self.replica.route(topic, index);
        let (Some(route), Some(partition)) = (route, topic.partition(index)) else {
            return Err(ErrorCode::UnknownTopicOrPartition);
        };
        if !(ACKS_ALL..=1).contains(&acks) {
            return Err(ErrorCode::InvalidRequiredAcks);
        }
        if is_internal(topic.name()) && !head.is_admin_client {
            return Err(ErrorCode::InvalidTopicException);
        }
        let count = |brokers: usize| i64::try_from(brokers).unwrap_or(i64::MAX);
        // Of a topic with fewer replicas than that, as Kafka since 3.7, all.
        let wanted = self.replica.metadata().min_insync_replicas(topic);
        let wanted = wanted.min(count(partition.replicas.len()));
        if acks == ACKS_ALL && count(partition.isr.len()) < wanted {
            return Err(ErrorCode::NotEnoughReplicas);
        }
        Ok(route)
    }

    pub(crate) fn on_produced(
        &mut self,
        id: RequestId,
        part: u32,
        result: &Result<Appended, AppendError>,
    ) {
        let Some(request) = self.progress.requests.get_mut(id) else { return };
        let Work::Produce(produce) = &mut request.work else { unreachable!("a part of a produce") };
        let (topic, at) = produce.places[usize::try_from(part).expect("usize is at least 32 bits")];
        let response = &mut produce.response.responses[topic];
        let partition = &mut response.partition_responses[at];
        match result {
            Ok(appended) => {
                partition.error_code = ErrorCode::None.code();
                partition.base_offset = appended.base.0;
                partition.log_append_time_ms = appended.log_append_ms.unwrap_or(-1);
                partition.log_start_offset = appended.log_start.0;
            }
            Err(error) => {
                partition.error_code = error_code::append(error).code();
                if let AppendError::BeyondMemory { bytes, max } = error {
                    let text = format!(
                        "The batch has {bytes} bytes, and this node's memory takes {max}, whatever max.message.bytes says."
                    );
                    partition.error_message = Some(Str::from(text));
                }
                if let AppendError::Invalid(invalid) = error {
                    explain(invalid, partition, produce.record_errors_left);
                    produce.record_errors_left -= partition.record_errors.len();
                }
            }
        }
        produce.outstanding -= 1;
        if produce.outstanding == 0 {
            self.finish_produce(id);
        }
    }

    /// The last part is in, or the time is up.
    pub(crate) fn finish_produce(&mut self, id: RequestId) {
        let Some(Request { head, work: Work::Produce(mut produce), .. }) = self.end_request(id)
        else {
            unreachable!("only a produce ends here");
        };
        let responses = produce.response.responses.iter();
        let codes = responses.flat_map(|topic| &topic.partition_responses);
        let codes: Vec<i16> = codes.map(|partition| partition.error_code).collect();
        let failed = codes.iter().any(|code| *code != ErrorCode::None.code());
        codes.iter().for_each(|code| self.metrics.count_error(*code));
        if failed {
            self.hint_producer(&head, &mut produce.response);
        }
        match (produce.acks, failed) {
            (0, false) => self.respond_nothing(&head),
            // The client cannot be told; a closed connection makes it ask for metadata.
            (0, true) => self.close_after(head.connection, head.sequence),
            _ => self.respond(&head, produce.response),
        }
    }
}

/// What a request's batches say of transactions.
#[derive(Clone, Copy, Debug)]
enum Transactions {
    None,
    /// Some batches belong to one, which was never begun: there is no coordinator for transactions.
    Some,
    /// Wrong for the whole request.
    Refused(ErrorCode),
}

fn transactions(body: &ProduceRequest) -> Transactions {
    let batches = body.topic_data.iter().flat_map(|topic| &topic.partition_data);
    let headers = batches.filter_map(|data| BatchHeader::read(data.records.as_ref()?));
    let transactional = headers.filter(|header| header.attributes.is_transactional());
    let mut transactional = transactional.peekable();
    if transactional.peek().is_none() {
        return Transactions::None;
    }
    if body.transactional_id.is_none() {
        return Transactions::Refused(ErrorCode::TransactionalIdAuthorizationFailed);
    }
    let with_id = transactional.filter(|header| header.producer_id.0 >= 0);
    let mut producers = with_id.map(|header| (header.producer_id, header.producer_epoch));
    let first = producers.next();
    if producers.any(|producer| Some(producer) != first) {
        return Transactions::Refused(ErrorCode::InvalidProducerIdMapping);
    }
    Transactions::Some
}

/// Refuses a batch that belongs to a transaction.
fn check_transaction(
    transactions: Transactions,
    version: i16,
    batch: &[u8],
) -> Result<(), ErrorCode> {
    let is_transactional = |header: BatchHeader| header.attributes.is_transactional();
    match transactions {
        Transactions::Some if BatchHeader::read(batch).is_some_and(is_transactional) => {
            Err(if version < TRANSACTION_ABORTABLE_FROM {
                ErrorCode::InvalidTxnState
            } else {
                ErrorCode::TransactionAbortable
            })
        }
        Transactions::None | Transactions::Some | Transactions::Refused(_) => Ok(()),
    }
}

/// The batch's fault in words, and that of each record which is to blame.
fn explain(invalid: &InvalidBatch, partition: &mut PartitionProduceResponse, errors_max: usize) {
    let error = match invalid {
        InvalidBatch::Batch(error) => {
            partition.error_message = Some(Str::from(error.to_string()));
            return;
        }
        InvalidBatch::Records(error) => error,
    };
    partition.error_message = Some(Str::from(error.to_string()));
    partition.record_errors = match error {
        RecordsError::Decompress(_) | RecordsError::TooManyRecords { .. } => Vec::new(),
        RecordsError::Malformed { index, .. } | RecordsError::OffsetDelta { index, .. } => {
            let batch_index_error_message = partition.error_message.clone();
            vec![BatchIndexAndErrorMessage { batch_index: *index, batch_index_error_message }]
        }
        RecordsError::Refused(refused) => refused.first.iter().map(record_error).collect(),
    };
    partition.record_errors.truncate(errors_max);
}

fn record_error(refused: &RefusedRecord) -> BatchIndexAndErrorMessage {
    BatchIndexAndErrorMessage {
        batch_index: refused.index,
        batch_index_error_message: Some(Str::from(refused.refusal.to_string())),
    }
}
