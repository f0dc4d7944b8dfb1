//! A broker of a few APIs in this process, which does what a test wants it to do wrong.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use protocol::frame::{decode_request, encode_response};
use protocol::messages::api_versions::{ApiVersion, ApiVersionsResponse};
use protocol::messages::create_topics::{CreatableTopicResult, CreateTopicsResponse};
use protocol::messages::delete_topics::{DeletableTopicResult, DeleteTopicsResponse};
use protocol::messages::fetch::{FetchResponse, FetchableTopicResponse, PartitionData};
use protocol::messages::find_coordinator::FindCoordinatorResponse;
use protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use protocol::messages::metadata::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use protocol::messages::produce::{
    PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceResponse,
};
use protocol::record_batch::{BatchSlice, patch};
use protocol::{ApiKey, ErrorCode, LeaderEpoch, Offset, Request, Response};

/// Kafka's timestamp for the end of a log.
const LATEST: i64 = -1;

/// What happens at the broker's n-th batch, counted from 1.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Nothing,
    /// Answers nobody for this long.
    Stall {
        at: usize,
        time: Duration,
    },
    /// Acknowledges it and forgets it.
    Lose {
        at: usize,
    },
    /// Keeps it twice.
    Double {
        at: usize,
    },
    /// Keeps the last of all batches twice, found when it is asked where the log ends.
    DoubleLast,
    /// Keeps it with one bit changed.
    Alter {
        at: usize,
    },
    /// Keeps it in front of the batch before it.
    Swap {
        at: usize,
    },
    /// Refuses it.
    Refuse {
        at: usize,
    },
    /// Closes all connections.
    Die {
        at: usize,
    },
}

#[derive(Default)]
struct Log {
    next_offset: i64,
    batches: Vec<Bytes>,
}

struct State {
    fault: Fault,
    batches: usize,
    is_dead: bool,
    topics: BTreeMap<String, Vec<Log>>,
    deleted: Vec<String>,
    /// It knows that it leads what its metadata say that it leads: when it was asked for the second time.
    leads: bool,
}

/// Listens until the test's process ends.
#[derive(Clone)]
pub(crate) struct SmallBroker {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl SmallBroker {
    pub(crate) fn start(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = State {
            fault,
            batches: 0,
            is_dead: false,
            topics: BTreeMap::new(),
            deleted: Vec::new(),
            leads: false,
        };
        let broker = Self { port, state: Arc::new(Mutex::new(state)) };
        let accepting = broker.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let broker = accepting.clone();
                std::thread::spawn(move || broker.serve(stream));
            }
        });
        broker
    }

    pub(crate) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn topics(&self) -> usize {
        self.state.lock().unwrap().topics.len()
    }

    pub(crate) fn deleted(&self) -> usize {
        self.state.lock().unwrap().deleted.len()
    }

    fn serve(&self, mut stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        loop {
            let mut size = [0; 4];
            if stream.read_exact(&mut size).is_err() {
                return;
            }
            let mut frame = vec![0; usize::try_from(u32::from_be_bytes(size)).unwrap()];
            if stream.read_exact(&mut frame).is_err() {
                return;
            }
            let (header, request) = decode_request(&Bytes::from(frame)).unwrap();
            let Some(response) = self.answer(request) else { return };
            let parts = encode_response(header.correlation_id, header.api_version, &response);
            if stream.write_all(&parts.unwrap().concat()).is_err() {
                return;
            }
        }
    }

    fn answer(&self, request: Request) -> Option<Response> {
        if self.state.lock().unwrap().is_dead {
            return None;
        }
        Some(match request {
            Request::ApiVersions(_) => Response::ApiVersions(api_versions()),
            Request::Metadata(request) => {
                let names: Vec<String> = request
                    .topics
                    .unwrap_or_default()
                    .iter()
                    .filter_map(|topic| topic.name.as_deref().map(str::to_owned))
                    .collect();
                Response::Metadata(self.metadata(&names))
            }
            Request::CreateTopics(request) => {
                let mut state = self.state.lock().unwrap();
                let mut topics = Vec::new();
                for topic in request.topics {
                    let logs = (0..topic.num_partitions).map(|_| Log::default()).collect();
                    state.topics.insert(topic.name.to_string(), logs);
                    let name = topic.name;
                    topics.push(CreatableTopicResult { name, ..CreatableTopicResult::default() });
                }
                Response::CreateTopics(CreateTopicsResponse {
                    topics,
                    ..CreateTopicsResponse::default()
                })
            }
            Request::DeleteTopics(request) => {
                let mut state = self.state.lock().unwrap();
                let names = request.topics.iter().filter_map(|topic| topic.name.clone());
                let mut responses = Vec::new();
                for name in names.chain(request.topic_names.iter().cloned()) {
                    state.topics.remove(&*name);
                    state.deleted.push(name.to_string());
                    responses.push(DeletableTopicResult {
                        name: Some(name),
                        ..DeletableTopicResult::default()
                    });
                }
                Response::DeleteTopics(DeleteTopicsResponse {
                    responses,
                    ..DeleteTopicsResponse::default()
                })
            }
            Request::FindCoordinator(_) => Response::FindCoordinator(FindCoordinatorResponse {
                error_code: ErrorCode::CoordinatorNotAvailable.code(),
                ..FindCoordinatorResponse::default()
            }),
            Request::ListOffsets(request) => Response::ListOffsets(self.offsets(request)),
            Request::Produce(request) => Response::Produce(self.produce(request)?),
            Request::Fetch(request) => {
                let asked = request.topics.iter().map(|topic| {
                    let partitions = topic.partitions.iter();
                    let partitions = partitions.map(|one| (one.partition, one.fetch_offset));
                    (topic.topic.to_string(), partitions.collect::<Vec<_>>())
                });
                Response::Fetch(self.fetch(&asked.collect::<Vec<_>>()))
            }
            other => panic!("{:?} is not asked of this broker", other.api_key()),
        })
    }

    fn offsets(&self, request: ListOffsetsRequest) -> ListOffsetsResponse {
        let mut state = self.state.lock().unwrap();
        let code = match std::mem::replace(&mut state.leads, true) {
            true => ErrorCode::None,
            false => ErrorCode::NotLeaderOrFollower,
        };
        let fault = state.fault;
        let mut partition = |topic: &str, one: &ListOffsetsPartition| {
            let logs = state.topics.get_mut(topic).unwrap();
            let log = &mut logs[usize::try_from(one.partition_index).unwrap()];
            if one.timestamp == LATEST && matches!(fault, Fault::DoubleLast) {
                let last = log.batches.last().unwrap().clone();
                log.keep(&last);
            }
            ListOffsetsPartitionResponse {
                partition_index: one.partition_index,
                error_code: code.code(),
                offset: if one.timestamp == LATEST { log.next_offset } else { 0 },
                ..ListOffsetsPartitionResponse::default()
            }
        };
        let topics = request.topics.into_iter().map(|topic| ListOffsetsTopicResponse {
            partitions: topic.partitions.iter().map(|one| partition(&topic.name, one)).collect(),
            name: topic.name,
        });
        ListOffsetsResponse { topics: topics.collect(), ..ListOffsetsResponse::default() }
    }

    fn metadata(&self, names: &[String]) -> MetadataResponse {
        let state = self.state.lock().unwrap();
        let topic = |name: &String| {
            let count = state.topics.get(name).map_or(0, Vec::len);
            let partitions = (0..count).map(|index| MetadataResponsePartition {
                partition_index: i32::try_from(index).unwrap(),
                leader_id: 1,
                ..MetadataResponsePartition::default()
            });
            MetadataResponseTopic {
                name: Some(name.as_str().into()),
                partitions: partitions.collect(),
                ..MetadataResponseTopic::default()
            }
        };
        let broker = MetadataResponseBroker {
            node_id: 1,
            host: "127.0.0.1".into(),
            port: i32::from(self.port),
            ..MetadataResponseBroker::default()
        };
        MetadataResponse {
            brokers: vec![broker],
            controller_id: 1,
            topics: names.iter().map(topic).collect(),
            ..MetadataResponse::default()
        }
    }

    fn produce(&self, request: ProduceRequest) -> Option<ProduceResponse> {
        // A stall holds the lock: nobody is answered meanwhile.
        let mut state = self.state.lock().unwrap();
        assert!(state.leads, "records for a leader that does not serve yet");
        let mut responses = Vec::new();
        for topic in request.topic_data {
            let mut answers = Vec::new();
            for partition in topic.partition_data {
                state.batches += 1;
                let index = usize::try_from(partition.index).unwrap();
                let batch = partition.records.unwrap();
                let (offset, error_code) = state.append(&topic.name, index, &batch);
                answers.push(PartitionProduceResponse {
                    index: partition.index,
                    base_offset: offset,
                    error_code,
                    ..PartitionProduceResponse::default()
                });
            }
            responses.push(TopicProduceResponse { name: topic.name, partition_responses: answers });
        }
        let answer = ProduceResponse { responses, ..ProduceResponse::default() };
        (!state.is_dead).then_some(answer)
    }

    fn fetch(&self, asked: &[(String, Vec<(i32, i64)>)]) -> FetchResponse {
        let state = self.state.lock().unwrap();
        let mut response = FetchResponse::default();
        let mut is_empty = true;
        for (topic, partitions) in asked {
            let partitions = partitions.iter().map(|(index, offset)| {
                let log = &state.topics[topic][usize::try_from(*index).unwrap()];
                let is_wanted = |batch: &&Bytes| {
                    BatchSlice::first(batch).unwrap().header.next_offset().0 > *offset
                };
                let batches: Vec<Bytes> =
                    log.batches.iter().filter(is_wanted).take(50).cloned().collect();
                is_empty &= batches.is_empty();
                PartitionData {
                    partition_index: *index,
                    high_watermark: log.next_offset,
                    records: Bytes::from(batches.concat()).into(),
                    ..PartitionData::default()
                }
            });
            let partitions = partitions.collect();
            let topic = topic.as_str().into();
            let answer = FetchableTopicResponse { topic, partitions, ..Default::default() };
            response.responses.push(answer);
        }
        drop(state);
        if is_empty {
            std::thread::sleep(Duration::from_millis(5));
        }
        response
    }
}

impl State {
    /// The offset that is told, and an error code.
    fn append(&mut self, topic: &str, partition: usize, batch: &Bytes) -> (i64, i16) {
        let number = self.batches;
        let fault = self.fault;
        let is_dead = &mut self.is_dead;
        let log = &mut self.topics.get_mut(topic).unwrap()[partition];
        let told = log.next_offset;
        match fault {
            Fault::Stall { at, time } if at == number => std::thread::sleep(time),
            Fault::Lose { at } if at == number => return (told, 0),
            Fault::Double { at } if at == number => log.keep(batch),
            Fault::Refuse { at } if at == number => return (-1, ErrorCode::InvalidRecord.code()),
            Fault::Die { at } if at == number => *is_dead = true,
            _ => {}
        }
        log.keep(batch);
        match fault {
            Fault::Alter { at } if at == number => {
                let mut altered = log.batches.pop().unwrap().to_vec();
                // Within the value: its last byte, before the count of headers.
                let at = altered.len() - 2;
                altered[at] ^= 1;
                log.batches.push(altered.into());
            }
            Fault::Swap { at } if at == number => {
                let (last, before) = (log.batches.pop().unwrap(), log.batches.pop().unwrap());
                log.next_offset = BatchSlice::first(&before).unwrap().header.base_offset.0;
                log.keep(&last);
                log.keep(&before);
            }
            _ => {}
        }
        (told, 0)
    }
}

impl Log {
    fn keep(&mut self, batch: &Bytes) {
        let mut kept = batch.to_vec();
        patch(&mut kept, Offset(self.next_offset), LeaderEpoch(0));
        self.next_offset = BatchSlice::first(&kept).unwrap().header.next_offset().0;
        self.batches.push(kept.into());
    }
}

fn api_versions() -> ApiVersionsResponse {
    let served = [
        ApiKey::Produce,
        ApiKey::Fetch,
        ApiKey::Metadata,
        ApiKey::ApiVersions,
        ApiKey::CreateTopics,
        ApiKey::DeleteTopics,
        // librdkafka looks for a group's coordinator even where it is told its partitions.
        ApiKey::FindCoordinator,
        ApiKey::OffsetCommit,
        ApiKey::OffsetFetch,
        ApiKey::JoinGroup,
        ApiKey::SyncGroup,
        ApiKey::Heartbeat,
        ApiKey::LeaveGroup,
        ApiKey::ListOffsets,
    ];
    let api_keys = served.iter().map(|api| ApiVersion {
        api_key: api.code(),
        min_version: *api.described().start(),
        // Topics have names here, not ids.
        max_version: (*api.described().end()).min(if *api == ApiKey::Fetch { 12 } else { 99 }),
    });
    ApiVersionsResponse { api_keys: api_keys.collect(), ..ApiVersionsResponse::default() }
}
