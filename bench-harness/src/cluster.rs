//! The broker's side of a run: topics made for it and removed after it, and who leads their partitions.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use protocol::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use protocol::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use protocol::{ErrorCode, Str};

use crate::connection::Connection;
use crate::failure::Failure;
use crate::verification::PartitionNumber;

/// How long a broker may take to create or delete topics: thousands of partitions are files.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(120);
const ADMIN_TIMEOUT_MS: i32 = 120_000;
/// Topics of one request.
const TOPICS_PER_REQUEST: usize = 100;
/// Partitions of one request.
const PARTITIONS_PER_REQUEST: usize = 1_000;
/// Kafka's timestamp for a log's first offset.
const EARLIEST: i64 = -2;
/// … and for the offset behind the last record that can be read.
const LATEST: i64 = -1;
/// Kafka's number of topics among what has a configuration.
const TOPIC_RESOURCE: i8 = 2;
/// What tells when a broker acknowledges: Corelane's property, and Kafka's.
pub const DURABILITY_PROPERTY: &str = "corelane.durability";
const FLUSH_PROPERTY: &str = "flush.messages";
/// Before leaders are asked again.
const AGAIN: Duration = Duration::from_millis(50);

/// What the topics of a run are to be.
#[derive(Clone, Debug)]
pub struct TopicsWanted {
    pub names: Vec<String>,
    pub partitions: u32,
    pub replication_factor: Option<u32>,
    pub configs: Vec<(String, String)>,
}

/// A partition of the run's topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionPlace {
    pub number: PartitionNumber,
    pub topic: String,
    pub index: i32,
    /// `HOST:PORT` of its leader.
    pub leader: String,
}

/// A cluster whose topics are the run's.
pub struct Cluster {
    bootstrap: String,
}

impl Cluster {
    #[must_use]
    pub fn at(bootstrap: &str) -> Self {
        Self { bootstrap: bootstrap.to_owned() }
    }

    #[must_use]
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// A connection to the first broker of the list that can be reached.
    pub fn connect(&self) -> Result<Connection, Failure> {
        let mut failure = Failure::new("--bootstrap-server names no broker; give HOST:PORT");
        for address in self.bootstrap.split(',').map(str::trim).filter(|text| !text.is_empty()) {
            match Connection::open(address, ADMIN_TIMEOUT) {
                Ok(connection) => return Ok(connection),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Creates the topics and waits until every partition has a leader that serves it.
    pub fn create(&self, wanted: &TopicsWanted) -> Result<Vec<PartitionPlace>, Failure> {
        let mut controller = self.controller()?;
        for names in wanted.names.chunks(TOPICS_PER_REQUEST) {
            let topics = names.iter().map(|name| creatable(name, wanted)).collect();
            let request =
                CreateTopicsRequest { topics, timeout_ms: ADMIN_TIMEOUT_MS, validate_only: false };
            let response = controller.call(request)?;
            if let Some(topic) = response.topics.iter().find(|topic| topic.error_code != 0) {
                let said = topic.error_message.as_deref().unwrap_or("no reason given");
                return Err(Failure::new(format!(
                    "the broker refuses to create topic {}: {} ({said})",
                    &*topic.name,
                    error_name(topic.error_code)
                )));
            }
        }
        let places = self.places(wanted)?;
        self.wait_until_served(&places)?;
        Ok(places)
    }

    /// Metadata may name a leader that does not know yet that it is one. A first batch that it refuses is sent again
    /// behind others, and a producer that is not idempotent has its records in another order then.
    fn wait_until_served(&self, places: &[PartitionPlace]) -> Result<(), Failure> {
        let deadline = Instant::now() + ADMIN_TIMEOUT;
        for (leader, places) in by_leader(places) {
            let mut connection = Connection::open(&leader, ADMIN_TIMEOUT)?;
            for places in places.chunks(PARTITIONS_PER_REQUEST) {
                while !is_served(&connection.call(offsets_of(places, EARLIEST))?) {
                    if Instant::now() > deadline {
                        return Err(Failure::new(format!(
                            "{leader} leads partitions of the run's topics and does not serve them; look at the \
                             broker's log"
                        )));
                    }
                    std::thread::sleep(AGAIN);
                }
            }
        }
        Ok(())
    }

    /// What is not there is as good as deleted.
    pub fn delete(&self, names: &[String]) -> Result<(), Failure> {
        let mut controller = self.controller()?;
        for names in names.chunks(TOPICS_PER_REQUEST) {
            let request = DeleteTopicsRequest {
                topics: names
                    .iter()
                    .map(|name| DeleteTopicState {
                        name: Some(Str::from(name.as_str())),
                        ..DeleteTopicState::default()
                    })
                    .collect(),
                topic_names: names.iter().map(|name| Str::from(name.as_str())).collect(),
                timeout_ms: ADMIN_TIMEOUT_MS,
            };
            let response = controller.call(request)?;
            let unknown = ErrorCode::UnknownTopicOrPartition.code();
            let refused = response
                .responses
                .iter()
                .find(|topic| topic.error_code != 0 && topic.error_code != unknown);
            if let Some(topic) = refused {
                return Err(Failure::new(format!(
                    "the broker refuses to delete topic {}: {}",
                    topic.name.as_deref().unwrap_or("?"),
                    error_name(topic.error_code)
                )));
            }
        }
        Ok(())
    }

    /// Where logs end: the offset behind the last record of each partition.
    pub fn ends(
        &self,
        places: &[PartitionPlace],
    ) -> Result<BTreeMap<PartitionNumber, i64>, Failure> {
        let mut ends = BTreeMap::new();
        for (leader, places) in by_leader(places) {
            let mut connection = Connection::open(&leader, ADMIN_TIMEOUT)?;
            for places in places.chunks(PARTITIONS_PER_REQUEST) {
                let response = connection.call(offsets_of(places, LATEST))?;
                for place in places {
                    let end = offset_in(&response, place).ok_or_else(|| {
                        Failure::new(format!(
                            "{leader} does not say where partition {} of {} ends",
                            place.index, place.topic
                        ))
                    })?;
                    ends.insert(place.number, end);
                }
            }
        }
        Ok(ends)
    }

    /// When the broker acknowledges what is written to the topic: `fsync`, `memory`, `flush.messages=1`, `page cache`.
    /// `None` where it does not say.
    #[must_use]
    pub fn durability(&self, topic: &str) -> Option<String> {
        let keys = [DURABILITY_PROPERTY, FLUSH_PROPERTY];
        let request = DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type: TOPIC_RESOURCE,
                resource_name: Str::from(topic),
                configuration_keys: Some(keys.map(Str::from).into()),
            }],
            ..DescribeConfigsRequest::default()
        };
        let response = self.connect().ok()?.call(request).ok()?;
        let configs = &response.results.first().filter(|result| result.error_code == 0)?.configs;
        let value = |name: &str| {
            let config = configs.iter().find(|config| &*config.name == name)?;
            config.value.as_deref().map(str::to_owned)
        };
        value(DURABILITY_PROPERTY).or_else(|| {
            value(FLUSH_PROPERTY).map(|messages| match messages.as_str() {
                "1" => format!("{FLUSH_PROPERTY}=1"),
                _ => "page cache".to_owned(),
            })
        })
    }

    /// What the cluster calls itself.
    pub fn id(&self) -> Result<Option<String>, Failure> {
        let metadata = self.connect()?.call(metadata_of(&[]))?;
        Ok(metadata.cluster_id.as_deref().map(str::to_owned))
    }

    fn places(&self, wanted: &TopicsWanted) -> Result<Vec<PartitionPlace>, Failure> {
        let deadline = Instant::now() + ADMIN_TIMEOUT;
        let mut connection = self.connect()?;
        loop {
            let metadata = connection.call(metadata_of(&wanted.names))?;
            if let Some(places) = places_in(&metadata, wanted) {
                return Ok(places);
            }
            if Instant::now() > deadline {
                return Err(Failure::new(
                    "the topics were created, but not all of their partitions have leaders; \
                     look at the broker's log",
                ));
            }
            std::thread::sleep(AGAIN);
        }
    }

    fn controller(&self) -> Result<Connection, Failure> {
        let mut connection = self.connect()?;
        let metadata = connection.call(metadata_of(&[]))?;
        match address_of(&metadata, metadata.controller_id) {
            Some(address) => Connection::open(&address, ADMIN_TIMEOUT),
            None => Ok(connection),
        }
    }
}

/// Partitions by the broker that leads them.
#[must_use]
pub fn by_leader(places: &[PartitionPlace]) -> BTreeMap<String, Vec<PartitionPlace>> {
    let mut leaders: BTreeMap<String, Vec<PartitionPlace>> = BTreeMap::new();
    for place in places {
        leaders.entry(place.leader.clone()).or_default().push(place.clone());
    }
    leaders
}

/// Asks where partitions begin or end: only who serves them knows.
fn offsets_of(places: &[PartitionPlace], timestamp: i64) -> ListOffsetsRequest {
    let mut topics: Vec<ListOffsetsTopic> = Vec::new();
    for place in places {
        let partition = ListOffsetsPartition {
            partition_index: place.index,
            current_leader_epoch: -1,
            timestamp,
        };
        match topics.last_mut().filter(|topic| *topic.name == *place.topic) {
            Some(topic) => topic.partitions.push(partition),
            None => topics.push(ListOffsetsTopic {
                name: Str::from(place.topic.as_str()),
                partitions: vec![partition],
            }),
        }
    }
    ListOffsetsRequest { replica_id: -1, topics, ..ListOffsetsRequest::default() }
}

fn offset_in(response: &ListOffsetsResponse, place: &PartitionPlace) -> Option<i64> {
    let topic = response.topics.iter().find(|topic| *topic.name == *place.topic)?;
    let mut partitions = topic.partitions.iter();
    let found = partitions.find(|partition| partition.partition_index == place.index)?;
    (found.error_code == 0).then_some(found.offset)
}

fn is_served(response: &ListOffsetsResponse) -> bool {
    let mut partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
    partitions.all(|partition| partition.error_code == 0)
}

/// Kafka's name of an error code, or its number.
#[must_use]
pub fn error_name(code: i16) -> String {
    ErrorCode::from_code(code)
        .map_or_else(|| format!("error {code}"), |known| known.name().to_owned())
}

fn creatable(name: &str, wanted: &TopicsWanted) -> CreatableTopic {
    let config = |(name, value): &(String, String)| CreatableTopicConfig {
        name: Str::from(name.as_str()),
        value: Some(Str::from(value.as_str())),
    };
    CreatableTopic {
        name: Str::from(name),
        num_partitions: i32::try_from(wanted.partitions).unwrap_or(i32::MAX),
        replication_factor: wanted
            .replication_factor
            .map_or(-1, |factor| i16::try_from(factor).unwrap_or(i16::MAX)),
        configs: wanted.configs.iter().map(config).collect(),
        ..CreatableTopic::default()
    }
}

fn metadata_of(names: &[String]) -> MetadataRequest {
    let topic = |name: &String| MetadataRequestTopic {
        name: Some(Str::from(name.as_str())),
        ..MetadataRequestTopic::default()
    };
    MetadataRequest {
        topics: Some(names.iter().map(topic).collect()),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    }
}

/// `None` while a partition is missing or has no leader.
fn places_in(metadata: &MetadataResponse, wanted: &TopicsWanted) -> Option<Vec<PartitionPlace>> {
    let mut places = Vec::new();
    for name in &wanted.names {
        let topic =
            metadata.topics.iter().find(|topic| topic.name.as_deref() == Some(name.as_str()))?;
        let mut partitions: Vec<_> = topic.partitions.iter().collect();
        partitions.sort_by_key(|partition| partition.partition_index);
        if partitions.len() != wanted.partitions as usize {
            return None;
        }
        for partition in partitions {
            places.push(PartitionPlace {
                number: PartitionNumber(u32::try_from(places.len()).ok()?),
                topic: name.clone(),
                index: partition.partition_index,
                leader: address_of(metadata, partition.leader_id)?,
            });
        }
    }
    Some(places)
}

fn address_of(metadata: &MetadataResponse, broker: i32) -> Option<String> {
    let broker = metadata.brokers.iter().find(|known| known.node_id == broker)?;
    let (host, port) = (&*broker.host, broker.port);
    Some(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}
