//! Clients that speak Kafka's protocol over virtual connections, and what they ask.

use std::collections::VecDeque;

use broker::net::{ConnectionId, ListenerId, NetEvent};
use broker::protocol::frame::decode_response;
use broker::protocol::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsTopic,
};
use broker::protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use broker::protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use broker::protocol::messages::delete_topics::DeleteTopicsRequest;
use broker::protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use broker::protocol::messages::init_producer_id::InitProducerIdRequest;
use broker::protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use broker::protocol::messages::metadata::MetadataRequest;
use broker::protocol::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use broker::protocol::messages::{ApiRequest, ApiResponse};
use broker::protocol::record_batch::{Producer as BatchProducer, increment_sequence};
use broker::protocol::{
    CorrelationId, Offset, ProducerEpoch, ProducerId, RequestHeader, Str, encode_request,
};
use broker::shard::event::Event;
use bytes::Bytes;

use super::member_requests::{MemberAsked, STEADY, STEADY_PARTITIONS};
use super::members::MemberKey;
use super::network::Connection;
use super::topics::{COMPACTED_SEGMENT_BYTES, DELETE_RETENTION_MS, Pending, Producer, TopicState};
use super::{LogKey, NodeWorld, TopicKey};
use crate::batches::{BatchNumber, BatchShape};
use crate::log::{Call, Walk};
use crate::violation::{Checked, Checker};

/// Batches that an idempotent producer has in flight at most.
const IN_FLIGHT_MAX: usize = 5;
const TIMEOUT_MS: i32 = 60_000;
const FETCH_BYTES_MAX: i32 = 256 << 10;

pub(super) const PRODUCE: i16 = 9;
pub(super) const FETCH: i16 = 12;
pub(super) const LIST_OFFSETS: i16 = 7;
pub(super) const METADATA: i16 = 12;
pub(super) const CREATE_TOPICS: i16 = 7;
pub(super) const DELETE_TOPICS: i16 = 5;
pub(super) const CREATE_PARTITIONS: i16 = 3;
pub(super) const DELETE_RECORDS: i16 = 2;
pub(super) const INIT_PRODUCER_ID: i16 = 4;

/// A connection and what was asked on it, in order.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) connection: Connection,
    pub(super) asked: VecDeque<Asked>,
    next_correlation: i32,
}

#[derive(Debug)]
pub(super) struct Asked {
    correlation: CorrelationId,
    pub(super) since: u64,
    pub(super) what: What,
}

/// A batch that was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) log: LogKey,
    pub(super) number: BatchNumber,
    pub(super) call: Call,
}

#[derive(Debug)]
pub(super) enum What {
    Produce(Vec<Sent>),
    Fetch {
        log: LogKey,
        offset: Offset,
        told: (Offset, Offset),
        walk: Option<Walk>,
    },
    /// The earliest and then the latest offset, right after a start.
    Offsets {
        log: LogKey,
        earliest: Option<Offset>,
    },
    Create(TopicKey),
    Delete(TopicKey),
    Grow {
        topic: TopicKey,
        to: usize,
    },
    DeleteRecords {
        log: LogKey,
        below: Offset,
    },
    AllTopics,
    ProducerId(LogKey),
    Member {
        member: MemberKey,
        life: u64,
        asked: MemberAsked,
    },
}

/// A client, by its place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClientKey(pub(super) usize);

impl Client {
    /// The answer to the oldest request.
    pub(super) fn decode<R: ApiResponse>(asked: &Asked, version: i16, frame: &Bytes) -> Checked<R> {
        match decode_response::<R>(version, frame) {
            Ok((correlation, response)) if correlation == asked.correlation => Ok(response),
            Ok((correlation, _)) => Err(Checker::AnswersMakeSense.violated(format!(
                "{correlation:?} is answered where {:?} is due",
                asked.correlation
            ))),
            Err(error) => Err(Checker::AnswersMakeSense.violated(format!(
                "an answer to {:?} that nobody can read: {error:?}",
                asked.what
            ))),
        }
    }
}

impl NodeWorld {
    pub(super) fn connect(&mut self) -> ClientKey {
        let shard = self.random.below(self.node.data_shards() as u64) as usize;
        self.next_connection += 1;
        let id = ConnectionId::new(self.next_connection, 1);
        let connection = Connection::new(id, shard);
        let peer = "127.0.0.1:5000".parse().expect("an address");
        let opened = NetEvent::Opened { connection: id, listener: ListenerId(0), peer };
        let now = self.clock();
        self.node.shards[shard].shard.apply(now, Event::Net(opened));
        self.node.shards[shard].turn_at = Some(self.now);
        self.clients.push(Client { connection, asked: VecDeque::new(), next_correlation: 0 });
        ClientKey(self.clients.len() - 1)
    }

    /// Who writes to this partition: always the same connection, so that its order is the log's.
    fn writer_of(&self, log: LogKey) -> ClientKey {
        ClientKey(log.0 % self.writers)
    }

    pub(super) fn reader(&mut self) -> ClientKey {
        ClientKey(self.writers + self.random.below(self.readers as u64) as usize)
    }

    pub(super) fn send<R: ApiRequest>(
        &mut self,
        client: ClientKey,
        version: i16,
        request: R,
        what: Option<What>,
    ) {
        self.note(|_| format!("client {} asks {what:?}", client.0));
        let known = &mut self.clients[client.0];
        known.next_correlation += 1;
        let correlation = CorrelationId(known.next_correlation);
        let header = RequestHeader {
            api_key: R::API,
            api_version: version,
            correlation_id: correlation,
            client_id: Some(Str::from("simulated")),
        };
        let parts = encode_request(&header, &request.into()).expect("a sound request");
        let bytes = Bytes::from(parts.concat());
        self.trace.bytes(&bytes);
        known.connection.client_sends(self.now, &mut self.random, bytes);
        if let Some(what) = what {
            known.asked.push_back(Asked { correlation, since: self.now, what });
        }
    }

    fn name_of(&self, log: LogKey) -> (Str, i32) {
        let partition = &self.partitions[log.0];
        (Str::from(self.topics[partition.topic.0].name.as_str()), partition.index)
    }

    /// Batches for one partition, or several of one connection; acknowledged or not.
    pub(super) fn produce(&mut self) {
        let Some(log) = self.any_live() else { return };
        if self.partitions[log.0].producer.is_some() {
            return self.produce_idempotent(log);
        }
        let mut logs = vec![log];
        for other in self.live_partitions() {
            let is_plain = self.partitions[other.0].producer.is_none();
            let is_same = self.writer_of(other) == self.writer_of(log);
            if other != log && is_plain && is_same && self.random.one_in(3) {
                logs.push(other);
            }
        }
        let acks = [0, 1, -1][self.random.below(3) as usize];
        let mut sent = Vec::new();
        let mut data = Vec::new();
        for log in logs {
            let is_keyed = self.partitions[log.0].log.compacted.is_some();
            let bytes = self.draw_bytes().min(bytes_max(is_keyed));
            let records = 1 + self.random.below(3) as usize;
            let timestamp = self.clock().wall.0;
            let shape = BatchShape { records, bytes, producer: None, timestamp, is_keyed };
            let (number, bytes) = self.batches.make(&mut self.random, &shape);
            sent.push(self.note_sent(log, number, &bytes));
            data.push((log, bytes));
        }
        self.send_produce(log, acks, sent, data);
    }

    fn note_sent(&mut self, log: LogKey, number: BatchNumber, bytes: &Bytes) -> Sent {
        self.tally.appends += 1;
        self.tally.appended_bytes += bytes.len() as u64;
        let now_ms = self.clock().wall.0;
        let call = self.partitions[log.0].log.send(number, bytes, now_ms);
        Sent { log, number, call }
    }

    fn send_produce(&mut self, of: LogKey, acks: i16, sent: Vec<Sent>, data: Vec<(LogKey, Bytes)>) {
        let topic_data = data.into_iter().map(|(log, bytes)| {
            let (name, index) = self.name_of(log);
            let partition = PartitionProduceData { index, records: Some(bytes) };
            TopicProduceData { name, partition_data: vec![partition] }
        });
        let request = ProduceRequest {
            acks,
            timeout_ms: TIMEOUT_MS,
            topic_data: topic_data.collect(),
            ..ProduceRequest::default()
        };
        let what = (acks != 0).then_some(What::Produce(sent));
        self.send(self.writer_of(of), PRODUCE, request, what);
    }

    fn produce_idempotent(&mut self, log: LogKey) {
        let records = 1 + self.random.below(4) as usize;
        let is_keyed = self.partitions[log.0].log.compacted.is_some();
        let bytes = self.draw_bytes().min(bytes_max(is_keyed));
        let timestamp = self.clock().wall.0;
        let writer = self.writer_of(log);
        let Some(producer) = &mut self.partitions[log.0].producer else { return };
        let Some(id) = producer.id else {
            if !std::mem::replace(&mut producer.is_asking, true) {
                let request = InitProducerIdRequest {
                    producer_id: -1,
                    producer_epoch: -1,
                    ..InitProducerIdRequest::default()
                };
                self.send(writer, INIT_PRODUCER_ID, request, Some(What::ProducerId(log)));
            }
            return;
        };
        if producer.resends || producer.unacknowledged.len() >= IN_FLIGHT_MAX {
            return;
        }
        let base_sequence = producer.next_sequence;
        producer.next_sequence = increment_sequence(base_sequence, records as i32);
        let is_first = producer.unacknowledged.is_empty();
        let by = BatchProducer { id: ProducerId(id), epoch: ProducerEpoch(0), base_sequence };
        let shape = BatchShape { records, bytes, producer: Some(by), timestamp, is_keyed };
        let (number, bytes) = self.batches.make(&mut self.random, &shape);
        let pending = Pending {
            number,
            bytes: bytes.clone(),
            in_flight: true,
            acknowledged: false,
            is_first,
        };
        let producer = self.partitions[log.0].producer.as_mut().expect("it was just looked at");
        producer.unacknowledged.push_back(pending);
        let sent = self.note_sent(log, number, &bytes);
        self.send_produce(log, -1, vec![sent], vec![(log, bytes)]);
    }

    /// Producers that had an error send everything again, in order, once nothing is in flight.
    pub(super) fn resend_due(&mut self) {
        for log in self.live_partitions() {
            let Some(producer) = &mut self.partitions[log.0].producer else { continue };
            if !producer.resends || producer.unacknowledged.iter().any(|pending| pending.in_flight)
            {
                continue;
            }
            if producer.starts_over {
                *producer = Producer::default();
                continue;
            }
            producer.resends = false;
            let mut due = Vec::new();
            for (place, pending) in producer.unacknowledged.iter_mut().enumerate() {
                pending.in_flight = true;
                pending.is_first = place == 0;
                due.push((pending.number, pending.bytes.clone()));
            }
            self.tally.duplicates += due.len() as u64;
            for (number, bytes) in due {
                let sent = self.note_sent(log, number, &bytes);
                self.send_produce(log, -1, vec![sent], vec![(log, bytes)]);
            }
        }
    }

    pub(super) fn fetch_somewhere(&mut self) {
        let Some(log) = self.any_live() else { return };
        let (start, end) = self.partitions[log.0].log.told();
        let span = (end.0 - start.0).max(0) as u64 + 1;
        let offset = Offset(start.0 + self.random.below(span) as i64);
        let client = self.reader();
        // A long poll at times: it is answered by what is appended next, or by its end.
        let wait = if self.random.one_in(4) { (500, 1 << 20) } else { (0, 1) };
        self.fetch(client, log, offset, None, wait);
    }

    pub(super) fn fetch(
        &mut self,
        client: ClientKey,
        log: LogKey,
        offset: Offset,
        walk: Option<Walk>,
        (max_wait_ms, min_bytes): (i32, i32),
    ) {
        let told = self.partitions[log.0].log.told();
        let (topic, partition) = self.name_of(log);
        let partition = FetchPartition {
            partition,
            fetch_offset: offset.0,
            partition_max_bytes: FETCH_BYTES_MAX,
            ..FetchPartition::default()
        };
        let topic = FetchTopic { topic, partitions: vec![partition], ..FetchTopic::default() };
        let request = FetchRequest {
            max_wait_ms,
            min_bytes,
            max_bytes: 1 << 20,
            topics: vec![topic],
            ..FetchRequest::default()
        };
        self.tally.reads += 1;
        self.send(client, FETCH, request, Some(What::Fetch { log, offset, told, walk }));
    }

    /// Walks through every log, from its start to its end.
    pub(super) fn walk_all(&mut self) {
        for log in self.live_partitions() {
            let client = self.reader();
            let start = self.partitions[log.0].log.told().0;
            self.fetch(client, log, start, Some(Walk::from(start)), (0, 1));
        }
    }

    pub(super) fn ask_offset(&mut self, client: ClientKey, log: LogKey, earliest: Option<Offset>) {
        let (name, partition_index) = self.name_of(log);
        let timestamp = if earliest.is_none() { -2 } else { -1 };
        let partition =
            ListOffsetsPartition { partition_index, timestamp, ..ListOffsetsPartition::default() };
        let topic = ListOffsetsTopic { name, partitions: vec![partition] };
        let request =
            ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
        self.send(client, LIST_OFFSETS, request, Some(What::Offsets { log, earliest }));
    }

    pub(super) fn ask_all_topics(&mut self, client: ClientKey) {
        let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
        self.send(client, METADATA, request, Some(What::AllTopics));
    }

    pub(super) fn create_topic(&mut self) {
        let alive = self.topics.iter().filter(|topic| topic.state != TopicState::Deleted);
        let names: Vec<String> = alive.map(|topic| topic.name.clone()).collect();
        // Few names, so that topics come again under the name of a deleted one.
        let name = format!("t{}", self.random.below(6));
        if names.contains(&name) {
            return;
        }
        let partitions = 1 + self.random.below(4) as usize;
        self.create_topic_named(name, partitions);
    }

    /// The topic that groups read.
    pub(super) fn create_steady_topic(&mut self) {
        let is_there = self
            .topics
            .iter()
            .any(|topic| topic.name == STEADY && topic.state != TopicState::Deleted);
        if !is_there {
            self.create_topic_named(STEADY.to_owned(), STEADY_PARTITIONS as usize);
        }
    }

    fn create_topic_named(&mut self, name: String, partitions: usize) {
        let key = self.new_topic(name.clone(), partitions);
        let config = |name, value: &str| CreatableTopicConfig {
            name: Str::from(name),
            value: Some(Str::from(value)),
        };
        let mut configs = vec![config("segment.bytes", "1048576")];
        if self.options.plant.topics_are_in_memory() {
            configs.push(config("corelane.durability", "memory"));
        }
        let (segment, retention) =
            (COMPACTED_SEGMENT_BYTES.to_string(), DELETE_RETENTION_MS.to_string());
        if self.is_compacted(&name) {
            // Where records are not deleted, DeleteRecords is refused.
            configs.push(config("cleanup.policy", "compact,delete"));
            configs.push(config("internal.segment.bytes", &segment));
            configs.push(config("delete.retention.ms", &retention));
            configs.push(config("min.cleanable.dirty.ratio", "0"));
        }
        let topic = CreatableTopic {
            name: Str::from(name.as_str()),
            num_partitions: partitions as i32,
            replication_factor: 1,
            configs,
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest {
            topics: vec![topic],
            timeout_ms: TIMEOUT_MS,
            ..CreateTopicsRequest::default()
        };
        let client = self.reader();
        self.send(client, CREATE_TOPICS, request, Some(What::Create(key)));
    }

    fn any_live_topic(&mut self) -> Option<TopicKey> {
        let live = self.any_live()?;
        Some(self.partitions[live.0].topic)
    }

    pub(super) fn delete_topic(&mut self) {
        let Some(key) = self.any_live_topic() else { return };
        let topic = &mut self.topics[key.0];
        if topic.growing_to.is_some() || topic.name == STEADY {
            return;
        }
        topic.state = TopicState::Deleting;
        let topic_names = vec![Str::from(topic.name.as_str())];
        let request =
            DeleteTopicsRequest { topic_names, timeout_ms: TIMEOUT_MS, ..Default::default() };
        let client = self.reader();
        self.send(client, DELETE_TOPICS, request, Some(What::Delete(key)));
    }

    pub(super) fn create_partitions(&mut self) {
        let Some(key) = self.any_live_topic() else { return };
        let topic = &mut self.topics[key.0];
        let to = topic.partitions.len() + 1;
        if to > 6 || topic.growing_to.is_some() || topic.name == STEADY {
            return;
        }
        topic.growing_to = Some(to);
        let name = Str::from(topic.name.as_str());
        let topic = CreatePartitionsTopic { name, count: to as i32, assignments: None };
        let request = CreatePartitionsRequest {
            topics: vec![topic],
            timeout_ms: TIMEOUT_MS,
            ..Default::default()
        };
        let client = self.reader();
        self.send(client, CREATE_PARTITIONS, request, Some(What::Grow { topic: key, to }));
    }

    pub(super) fn delete_records(&mut self) {
        let Some(log) = self.any_live() else { return };
        let (start, end) = self.partitions[log.0].log.told();
        let span = (end.0 - start.0).max(0) as u64 + 1;
        let below = Offset(start.0 + self.random.below(span) as i64);
        let partition = &mut self.partitions[log.0];
        partition.deleted_below = partition.deleted_below.max(below.0);
        partition.log.log_start_asked(below);
        let (name, partition_index) = self.name_of(log);
        let partition = DeleteRecordsPartition { partition_index, offset: below.0 };
        let topic = DeleteRecordsTopic { name, partitions: vec![partition] };
        let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms: TIMEOUT_MS };
        let client = self.reader();
        self.send(client, DELETE_RECORDS, request, Some(What::DeleteRecords { log, below }));
    }
}

/// What fits the segments of a compacted topic, with what a batch has beside its values.
fn bytes_max(is_compacted: bool) -> usize {
    if is_compacted { COMPACTED_SEGMENT_BYTES - 1_024 } else { usize::MAX }
}
