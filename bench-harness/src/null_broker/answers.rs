//! A request to its response. Nothing is kept but offsets.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::frame::{decode_request, encode_response};
use protocol::messages::api_versions::{ApiVersion, ApiVersionsResponse};
use protocol::messages::create_topics::{
    CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};
use protocol::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse,
};
use protocol::messages::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData,
};
use protocol::messages::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};
use protocol::messages::init_producer_id::InitProducerIdResponse;
use protocol::messages::list_offsets::{
    ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use protocol::messages::metadata::{
    MetadataRequest, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};
use protocol::messages::produce::{
    PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceResponse,
};
use protocol::record_batch::BatchSlice;
use protocol::{ApiKey, CorrelationId, ErrorCode, Request, Response, Str};

use super::NULL_CLUSTER_ID;
use super::topics::{NotCreated, Topic, Topics};
use crate::limits::NULL_BROKER_FETCH_WAIT_MAX;

const NODE_ID: i32 = 1;
/// The last version in which topics have names: here they have no ids.
const FETCH_VERSION_MAX: i16 = 12;

/// What is served; everything else ends the connection.
const SERVED: [ApiKey; 9] = [
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::FindCoordinator,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::InitProducerId,
];

pub(super) enum Answer {
    /// To be sent in order.
    Response(Vec<Bytes>),
    /// A produce request without acknowledgement.
    Nothing,
}

/// One connection's.
pub(super) struct Answers {
    /// Where the client reached us, and is to go on reaching us.
    address: SocketAddr,
    topics: Topics,
    /// What the connection writes to, so that it asks for a topic once.
    known: HashMap<String, Arc<Topic>>,
}

impl Answers {
    pub(super) fn new(address: SocketAddr, topics: Topics) -> Self {
        Self { address, topics, known: HashMap::new() }
    }

    pub(super) fn answer(&mut self, frame: &Bytes) -> io::Result<Answer> {
        if let Some(correlation) = unknown_version(frame) {
            return encoded(correlation, 0, &Response::ApiVersions(refusal()));
        }
        let (header, request) = decode_request(frame).map_err(io::Error::other)?;
        let response = match request {
            Request::Produce(request) => {
                let is_silent = request.acks == 0;
                let response = self.produce(request);
                if is_silent {
                    return Ok(Answer::Nothing);
                }
                Response::Produce(response)
            }
            Request::Fetch(request) => Response::Fetch(self.fetch(request)),
            Request::ApiVersions(_) => Response::ApiVersions(api_versions()),
            Request::Metadata(request) => Response::Metadata(self.metadata(request)),
            Request::ListOffsets(request) => Response::ListOffsets(self.list_offsets(request)),
            Request::CreateTopics(request) => Response::CreateTopics(self.create(request)),
            Request::DeleteTopics(request) => Response::DeleteTopics(self.delete(request)),
            Request::FindCoordinator(request) => Response::FindCoordinator(no_groups(request)),
            Request::InitProducerId(_) => Response::InitProducerId(InitProducerIdResponse {
                producer_id: self.topics.next_producer_id(),
                ..InitProducerIdResponse::default()
            }),
            other => {
                let api = other.api_key();
                return Err(io::Error::other(format!("the null broker does not serve {api}")));
            }
        };
        encoded(header.correlation_id, header.api_version, &response)
    }

    fn produce(&mut self, request: ProduceRequest) -> ProduceResponse {
        let mut responses = Vec::with_capacity(request.topic_data.len());
        for topic in request.topic_data {
            let found = self.topic(&topic.name);
            let answers = topic.partition_data.into_iter().map(|partition| {
                let told = take(found.as_deref(), partition.index, partition.records.as_ref());
                let (base_offset, error) = match told {
                    Ok(offset) => (offset, 0),
                    Err(code) => (-1, code.code()),
                };
                PartitionProduceResponse {
                    index: partition.index,
                    base_offset,
                    error_code: error,
                    log_start_offset: base_offset,
                    ..PartitionProduceResponse::default()
                }
            });
            let partition_responses = answers.collect();
            responses.push(TopicProduceResponse { name: topic.name, partition_responses });
        }
        ProduceResponse { responses, ..ProduceResponse::default() }
    }

    /// Everything was forgotten: the log begins where it ends, and who waits there waits in vain.
    fn fetch(&mut self, request: FetchRequest) -> FetchResponse {
        let mut is_refused = false;
        let mut responses = Vec::new();
        for asked in request.topics {
            let topic = self.topic(&asked.topic);
            let partitions = asked.partitions.iter().map(|one| {
                let answer = nothing_of(topic.as_deref(), one);
                is_refused |= answer.error_code != 0;
                answer
            });
            let partitions = partitions.collect();
            let topic = asked.topic;
            responses.push(FetchableTopicResponse { topic, partitions, ..Default::default() });
        }
        if !is_refused && request.min_bytes > 0 {
            let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
            std::thread::sleep(wait.min(NULL_BROKER_FETCH_WAIT_MAX));
        }
        FetchResponse { responses, ..FetchResponse::default() }
    }

    fn list_offsets(&mut self, request: ListOffsetsRequest) -> ListOffsetsResponse {
        let mut topics = Vec::new();
        for asked in request.topics {
            let topic = self.topic(&asked.name);
            let partitions = asked.partitions.iter().map(|one| {
                let end = topic.as_ref().and_then(|topic| topic.next_offset(one.partition_index));
                ListOffsetsPartitionResponse {
                    partition_index: one.partition_index,
                    error_code: code_of(end),
                    offset: end.unwrap_or(-1),
                    ..ListOffsetsPartitionResponse::default()
                }
            });
            let partitions = partitions.collect();
            topics.push(ListOffsetsTopicResponse { name: asked.name, partitions });
        }
        ListOffsetsResponse { topics, ..ListOffsetsResponse::default() }
    }

    fn metadata(&mut self, request: MetadataRequest) -> MetadataResponse {
        let topics = match request.topics {
            None => self.topics.all().iter().map(|topic| described(topic)).collect(),
            Some(asked) => {
                let names = asked.into_iter().map(|one| one.name.unwrap_or_default());
                names
                    .map(|name| match self.topic(&name) {
                        Some(topic) => described(&topic),
                        None => MetadataResponseTopic {
                            error_code: ErrorCode::UnknownTopicOrPartition.code(),
                            name: Some(name),
                            ..MetadataResponseTopic::default()
                        },
                    })
                    .collect()
            }
        };
        let broker = MetadataResponseBroker {
            node_id: NODE_ID,
            host: Str::from(self.address.ip().to_string()),
            port: i32::from(self.address.port()),
            ..MetadataResponseBroker::default()
        };
        MetadataResponse {
            brokers: vec![broker],
            cluster_id: Some(Str::from(NULL_CLUSTER_ID)),
            controller_id: NODE_ID,
            topics,
            ..MetadataResponse::default()
        }
    }

    fn create(&self, request: CreateTopicsRequest) -> CreateTopicsResponse {
        let topics = request.topics.into_iter().map(|topic| {
            let created = match request.validate_only {
                true => Ok(()),
                false => self.topics.create(&topic.name, topic.num_partitions),
            };
            let error = match created {
                Ok(()) => 0,
                Err(NotCreated::Exists) => ErrorCode::TopicAlreadyExists.code(),
                Err(NotCreated::Partitions) => ErrorCode::InvalidPartitions.code(),
            };
            CreatableTopicResult {
                name: topic.name,
                error_code: error,
                num_partitions: topic.num_partitions,
                ..CreatableTopicResult::default()
            }
        });
        CreateTopicsResponse { topics: topics.collect(), ..CreateTopicsResponse::default() }
    }

    fn delete(&mut self, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
        let names = request.topics.into_iter().map(|topic| topic.name.unwrap_or_default());
        let names: Vec<Str> = names.chain(request.topic_names).collect();
        let responses = names.into_iter().map(|name| {
            self.known.remove(&*name);
            let is_deleted = self.topics.delete(&name);
            let error_code = code_of(is_deleted.then_some(0));
            DeletableTopicResult { name: Some(name), error_code, ..DeletableTopicResult::default() }
        });
        DeleteTopicsResponse { responses: responses.collect(), ..DeleteTopicsResponse::default() }
    }

    fn topic(&mut self, name: &str) -> Option<Arc<Topic>> {
        if let Some(known) = self.known.get(name).filter(|topic| !topic.is_deleted()) {
            return Some(Arc::clone(known));
        }
        self.known.remove(name);
        let found = self.topics.find(name)?;
        self.known.insert(name.to_owned(), Arc::clone(&found));
        Some(found)
    }
}

/// Checks one batch as a broker must before it stores it, and gives its offset.
fn take(topic: Option<&Topic>, partition: i32, records: Option<&Bytes>) -> Result<i64, ErrorCode> {
    let topic = topic.ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let records = records.ok_or(ErrorCode::InvalidRecord)?;
    let batch = BatchSlice::first(records).map_err(|_| ErrorCode::CorruptMessage)?;
    if batch.bytes.len() != records.len() {
        return Err(ErrorCode::InvalidRecord);
    }
    if !batch.crc_is_valid() {
        return Err(ErrorCode::CorruptMessage);
    }
    let count = i64::from(batch.header.last_offset_delta) + 1;
    topic.assign(partition, count).ok_or(ErrorCode::UnknownTopicOrPartition)
}

fn nothing_of(topic: Option<&Topic>, asked: &FetchPartition) -> PartitionData {
    let end = topic.and_then(|topic| topic.next_offset(asked.partition));
    let error_code = match end {
        None => ErrorCode::UnknownTopicOrPartition.code(),
        Some(end) if end != asked.fetch_offset => ErrorCode::OffsetOutOfRange.code(),
        Some(_) => 0,
    };
    let end = end.unwrap_or(-1);
    PartitionData {
        partition_index: asked.partition,
        error_code,
        high_watermark: end,
        last_stable_offset: end,
        log_start_offset: end,
        ..PartitionData::default()
    }
}

fn described(topic: &Topic) -> MetadataResponseTopic {
    let count = i32::try_from(topic.partitions()).unwrap_or(i32::MAX);
    let partitions = (0..count).map(|index| MetadataResponsePartition {
        partition_index: index,
        leader_id: NODE_ID,
        replica_nodes: vec![NODE_ID],
        isr_nodes: vec![NODE_ID],
        ..MetadataResponsePartition::default()
    });
    MetadataResponseTopic {
        name: Some(Str::from(topic.name.as_str())),
        partitions: partitions.collect(),
        ..MetadataResponseTopic::default()
    }
}

/// There are no groups: clients that look for theirs are told so, and go on without.
fn no_groups(request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    let error_code = ErrorCode::CoordinatorNotAvailable.code();
    let coordinators = request.coordinator_keys.into_iter().map(|key| Coordinator {
        key,
        node_id: -1,
        port: -1,
        error_code,
        ..Coordinator::default()
    });
    FindCoordinatorResponse {
        error_code,
        node_id: -1,
        port: -1,
        coordinators: coordinators.collect(),
        ..FindCoordinatorResponse::default()
    }
}

const fn code_of(found: Option<i64>) -> i16 {
    match found {
        Some(_) => 0,
        None => ErrorCode::UnknownTopicOrPartition.code(),
    }
}

fn api_versions() -> ApiVersionsResponse {
    let api_keys = SERVED.iter().map(|api| {
        let newest = *api.described().end();
        ApiVersion {
            api_key: api.code(),
            min_version: *api.described().start(),
            max_version: if *api == ApiKey::Fetch { newest.min(FETCH_VERSION_MAX) } else { newest },
        }
    });
    ApiVersionsResponse { api_keys: api_keys.collect(), ..ApiVersionsResponse::default() }
}

fn refusal() -> ApiVersionsResponse {
    ApiVersionsResponse { error_code: ErrorCode::UnsupportedVersion.code(), ..api_versions() }
}

/// A client that is newer than we are begins with an ApiVersions that we do not know; the correlation id stands at
/// the same place in all of them.
fn unknown_version(frame: &[u8]) -> Option<CorrelationId> {
    let (head, _) = frame.split_first_chunk::<8>()?;
    let [a, b, c, d, rest @ ..] = *head;
    let api = ApiKey::ApiVersions;
    let is_known = api.described().contains(&i16::from_be_bytes([c, d]));
    let is_asked = i16::from_be_bytes([a, b]) == api.code();
    (is_asked && !is_known).then(|| CorrelationId(i32::from_be_bytes(rest)))
}

fn encoded(correlation: CorrelationId, version: i16, response: &Response) -> io::Result<Answer> {
    encode_response(correlation, version, response).map(Answer::Response).map_err(io::Error::other)
}
