//! New topics: asked for, or created because somebody asked for their metadata.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec,
    vec::Vec,
};
use core::fmt;

use protocol::{BrokerId, LeaderEpoch, PartitionIndex, Str, TopicId};

use super::{
    Command, Decision, Metadata, MetadataRecord, WallMillis,
    assignment::{self, AssignmentError},
    image::Image,
    placement::{Home, NoPlace, OfflinePlaces, Placement, ShardsFull},
    record::{ConfigTarget, excess_bytes},
    topic::{Partition, Replica, TopicLoad},
    topic_name::{self, CLUSTER_METADATA_TOPIC, CONSUMER_OFFSETS_TOPIC, TopicNameError},
};
use crate::{
    limits::{RECORDS_PER_DECISION_MAX, REPLICAS_MAX},
    topic_config::{ConfigError, Overrides, validate::validate_topic_configs},
};

/// Topics to create, each on its own: one that is refused stops no other.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateTopics {
    pub topics: Vec<NewTopic>,
    pub validate_only: bool,
    /// Said by the controller when it decides.
    pub offline: OfflinePlaces,
}

/// One topic to create.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTopic {
    pub name: Str,
    /// Drawn by the caller: 128 random bits, not those of [`TopicId::NONE`].
    pub id: TopicId,
    /// `None` is the broker's default; must be so where assignments are given.
    pub partitions: Option<i32>,
    /// `None` is the broker's default; must be so where assignments are given.
    pub replication_factor: Option<i16>,
    /// Empty: the controller chooses.
    pub assignments: Vec<NewAssignment>,
    /// A value that is missing is refused.
    pub configs: Vec<(Str, Option<Str>)>,
}

/// The brokers that shall replicate a partition, the preferred leader first.
#[derive(Clone, Debug, PartialEq)]
pub struct NewAssignment {
    pub partition: PartitionIndex,
    pub brokers: Vec<BrokerId>,
}

/// A topic that was created, or would have been.
#[derive(Clone, Debug, PartialEq)]
pub struct CreatedTopic {
    pub id: TopicId,
    pub partitions: usize,
    pub replication_factor: usize,
    pub configs: Overrides,
    /// Deleted topics of the same name: their directories must have gone before the owners create
    /// the new ones.
    pub predecessors: Vec<TopicId>,
}

/// What became of each topic, in the order of the command.
pub type CreateTopicsReply = Vec<(Str, Result<CreatedTopic, CreateTopicError>)>;

/// Why the command as a whole is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateTopicsError {
    TooManyRecords { records: u64 },
    TooManyBytes { bytes: usize },
}

/// Why one topic is refused; declared in the order in which it is checked.
#[derive(Clone, Debug, PartialEq)]
pub enum CreateTopicError {
    DuplicateName,
    ReservedName,
    InvalidName(TopicNameError),
    AlreadyExists {
        name: Str,
    },
    /// Kafka's metrics show '.' as '_'; two topics that differ in nothing else may not exist.
    NameCollides {
        name: Str,
        existing: Str,
    },
    NullConfigValues {
        names: Vec<Str>,
    },
    Config(ConfigError),
    AssignmentsWithReplicationFactor,
    AssignmentsWithPartitions,
    Assignment(AssignmentError),
    InvalidReplicationFactor {
        replication_factor: i16,
    },
    InvalidPartitions {
        partitions: i32,
    },
    TooFewBrokers {
        replication_factor: usize,
        brokers: usize,
    },
    /// All that its partitions could live on there failed.
    BrokerOffline {
        broker: BrokerId,
    },
    ShardsFull(ShardsFull),
    /// The drawn id is another topic's: draw again.
    IdTaken {
        id: TopicId,
    },
}

impl CreateTopics {
    /// Topics that are created because they were asked for: defaults for everything.
    pub fn automatic(topics: impl IntoIterator<Item = (Str, TopicId)>) -> Self {
        let new = |(name, id)| NewTopic {
            name,
            id,
            partitions: None,
            replication_factor: None,
            assignments: Vec::new(),
            configs: Vec::new(),
        };
        let topics = topics.into_iter().map(new).collect();
        Self { topics, validate_only: false, offline: OfflinePlaces::NONE }
    }

    /// The group coordinator's log, as the broker properties want it. Replicas that there are no brokers for
    /// are not asked for.
    pub fn consumer_offsets(id: TopicId, metadata: &Metadata) -> Self {
        let brokers = metadata.image.brokers().count().max(1);
        let replicas = metadata.broker_number("offsets.topic.replication.factor");
        let replicas = i16::try_from(positive(replicas).min(brokers)).unwrap_or(i16::MAX);
        let segment_bytes = metadata.broker_config_value("offsets.topic.segment.bytes");
        let given = |name, value| (Str::from_static(name), Some(value));
        let topic = NewTopic {
            name: Str::from_static(CONSUMER_OFFSETS_TOPIC),
            id,
            partitions: Some(metadata.broker_number("offsets.topic.num.partitions")),
            replication_factor: Some(replicas),
            assignments: Vec::new(),
            configs: vec![
                given("cleanup.policy", Str::from_static("compact")),
                given("compression.type", Str::from_static("producer")),
                given("segment.bytes", Str::from(segment_bytes.unwrap_or_default())),
            ],
        };
        Self { topics: vec![topic], validate_only: false, offline: OfflinePlaces::NONE }
    }
}

impl Command for CreateTopics {
    type Reply = CreateTopicsReply;
    type Error = CreateTopicsError;

    fn decide(
        &self,
        metadata: &Metadata,
        now: WallMillis,
    ) -> Result<Decision<CreateTopicsReply>, CreateTopicsError> {
        check_size(self, metadata)?;
        let mut seen = BTreeSet::new();
        let mut duplicates = BTreeSet::new();
        for topic in &self.topics {
            if !seen.insert(&topic.name) {
                duplicates.insert(&topic.name);
            }
        }
        let mut creation = Creation {
            metadata,
            now,
            placement: Placement::new(&metadata.image, &self.offline),
            ordinal: metadata.image.topics_placed,
            unified: BTreeMap::new(),
            ids: BTreeSet::new(),
            records: Vec::new(),
        };
        let mut reply = Vec::with_capacity(self.topics.len());
        for topic in &self.topics {
            let result = if duplicates.contains(&topic.name) {
                Err(CreateTopicError::DuplicateName)
            } else {
                creation.create(topic)
            };
            reply.push((topic.name.clone(), result));
        }
        let mut records = creation.records;
        if records.len() > RECORDS_PER_DECISION_MAX {
            return Err(CreateTopicsError::TooManyRecords { records: records.len() as u64 });
        }
        if let Some(bytes) = excess_bytes(&records) {
            return Err(CreateTopicsError::TooManyBytes { bytes });
        }
        if self.validate_only {
            records.clear();
        }
        Ok(Decision { records, reply })
    }
}

/// Refuses what could not be recorded in one batch before anything of that size is built.
fn check_size(command: &CreateTopics, metadata: &Metadata) -> Result<(), CreateTopicsError> {
    let default = metadata.broker_number("num.partitions");
    let mut records = 0_u64;
    for topic in &command.topics {
        let partitions = topic.partitions.unwrap_or(default).max(0);
        let partitions = partitions.unsigned_abs().max(topic.assignments.len() as u32);
        records += 1 + u64::from(partitions) + topic.configs.len() as u64;
    }
    if records > RECORDS_PER_DECISION_MAX as u64 {
        return Err(CreateTopicsError::TooManyRecords { records });
    }
    Ok(())
}

/// One command's creations, each seeing those before it.
struct Creation<'a> {
    metadata: &'a Metadata,
    now: WallMillis,
    placement: Placement,
    ordinal: u64,
    /// Names created by this command, unified.
    unified: BTreeMap<String, Str>,
    ids: BTreeSet<TopicId>,
    records: Vec<MetadataRecord>,
}

impl Creation<'_> {
    fn create(&mut self, topic: &NewTopic) -> Result<CreatedTopic, CreateTopicError> {
        let image = &self.metadata.image;
        self.check_name(topic)?;
        let configs = check_configs(topic, self.metadata)?;
        let brokers = choose_brokers(topic, self.metadata, self.ordinal)?;
        self.placement.check(Home::of(&topic.name), &brokers)?;
        assert!(!topic.id.is_none(), "the caller draws a topic id");
        if image.knows(topic.id) || !self.ids.insert(topic.id) {
            return Err(CreateTopicError::IdTaken { id: topic.id });
        }
        let name = topic.name.detached();
        self.unified.insert(topic_name::unify(&name), name.clone());
        let of_name = image.deleting().filter(|deleted| deleted.name == name);
        let predecessors = of_name.map(|deleted| deleted.id).collect();
        self.record(topic.id, name, &configs, &brokers);
        self.ordinal += 1;
        let (partitions, replication_factor) = (brokers.len(), brokers[0].len());
        Ok(CreatedTopic { id: topic.id, partitions, replication_factor, configs, predecessors })
    }

    fn check_name(&self, topic: &NewTopic) -> Result<(), CreateTopicError> {
        let name = &topic.name;
        if **name == *CLUSTER_METADATA_TOPIC {
            return Err(CreateTopicError::ReservedName);
        }
        topic_name::check(name).map_err(CreateTopicError::InvalidName)?;
        let image = &self.metadata.image;
        if image.topic_by_name(name).is_some() {
            return Err(CreateTopicError::AlreadyExists { name: name.clone() });
        }
        let unified = topic_name::unify(name);
        let existing = image.unified(&unified).map(|topic| &topic.name);
        match existing.or_else(|| self.unified.get(&unified)) {
            Some(existing) => {
                let (name, existing) = (name.clone(), existing.clone());
                Err(CreateTopicError::NameCollides { name, existing })
            }
            None => Ok(()),
        }
    }

    fn record(
        &mut self,
        topic: TopicId,
        name: Str,
        configs: &Overrides,
        brokers: &[Vec<BrokerId>],
    ) {
        let home = Home::of(&name);
        self.records.push(MetadataRecord::Topic { topic, name, created: self.now });
        for (name, value) in configs {
            let (target, name, value) =
                (ConfigTarget::Topic(topic), name.clone(), Some(value.clone()));
            self.records.push(MetadataRecord::Config { target, name, value });
        }
        let mut load = TopicLoad::new();
        for (partition, brokers) in (0..).map(PartitionIndex).zip(brokers) {
            let replicas = self.placement.place(home, &mut load, self.ordinal, brokers);
            let state = new_partition(replicas);
            self.records.push(MetadataRecord::Partition { topic, partition, state });
        }
    }
}

/// A partition at the start of its life: every replica in sync, the first one leading.
pub(crate) fn new_partition(replicas: Vec<Replica>) -> Partition {
    let isr: Vec<BrokerId> = replicas.iter().map(|replica| replica.broker).collect();
    let leader = isr.first().copied();
    Partition { replicas, isr, leader, leader_epoch: LeaderEpoch(0), partition_epoch: 0 }
}

fn check_configs(topic: &NewTopic, metadata: &Metadata) -> Result<Overrides, CreateTopicError> {
    let nulls = topic.configs.iter().filter(|(_, value)| value.is_none());
    let names: Vec<Str> = nulls.map(|(name, _)| name.clone()).collect();
    if !names.is_empty() {
        return Err(CreateTopicError::NullConfigValues { names });
    }
    let given = topic.configs.iter();
    let given = given.filter_map(|(name, value)| Some((name.detached(), value.as_ref()?)));
    let configs = given.map(|(name, value)| (name, value.detached())).collect();
    validate_topic_configs(&metadata.layers(&configs)).map_err(CreateTopicError::Config)?;
    Ok(configs)
}

fn choose_brokers(
    topic: &NewTopic,
    metadata: &Metadata,
    ordinal: u64,
) -> Result<Vec<Vec<BrokerId>>, CreateTopicError> {
    if !topic.assignments.is_empty() {
        return assigned_brokers(topic, &metadata.image);
    }
    let invalid = |n| CreateTopicError::InvalidReplicationFactor { replication_factor: n };
    let replication_factor = match topic.replication_factor {
        Some(given) => usize::try_from(given).ok().filter(|n| *n > 0).ok_or(invalid(given))?,
        None => positive(metadata.broker_number("default.replication.factor")),
    };
    let invalid = |n| CreateTopicError::InvalidPartitions { partitions: n };
    let partitions = match topic.partitions {
        Some(given) => usize::try_from(given).ok().filter(|n| *n > 0).ok_or(invalid(given))?,
        None => positive(metadata.broker_number("num.partitions")),
    };
    let brokers = metadata.image.brokers().count();
    if replication_factor > brokers.min(REPLICAS_MAX) {
        return Err(CreateTopicError::TooFewBrokers { replication_factor, brokers });
    }
    Ok(assignment::spread(&metadata.image, ordinal, 0, partitions, replication_factor))
}

fn positive(number: i32) -> usize {
    usize::try_from(number).expect("the broker table's range begins at 1")
}

fn assigned_brokers(
    topic: &NewTopic,
    image: &Image,
) -> Result<Vec<Vec<BrokerId>>, CreateTopicError> {
    if topic.replication_factor.is_some() {
        return Err(CreateTopicError::AssignmentsWithReplicationFactor);
    }
    if topic.partitions.is_some() {
        return Err(CreateTopicError::AssignmentsWithPartitions);
    }
    let mut of_partition = BTreeMap::new();
    let mut replication_factor = None;
    for NewAssignment { partition, brokers } in &topic.assignments {
        if of_partition.contains_key(partition) {
            let error = AssignmentError::DuplicatePartition { partition: *partition };
            return Err(CreateTopicError::Assignment(error));
        }
        assignment::check_brokers(image, brokers, replication_factor)
            .map_err(CreateTopicError::Assignment)?;
        replication_factor = Some(brokers.len());
        of_partition.insert(*partition, brokers.clone());
    }
    let mut assigned = vec![];
    for (expected, (partition, brokers)) in (0..).zip(of_partition) {
        if partition != PartitionIndex(expected) {
            return Err(CreateTopicError::Assignment(AssignmentError::NotConsecutive));
        }
        assigned.push(brokers);
    }
    Ok(assigned)
}

impl From<NoPlace> for CreateTopicError {
    fn from(why: NoPlace) -> Self {
        match why {
            NoPlace::Offline { broker } => Self::BrokerOffline { broker },
            NoPlace::Full(full) => Self::ShardsFull(full),
        }
    }
}

impl fmt::Display for CreateTopicsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Excessively large number of partitions per request.")
    }
}

impl core::error::Error for CreateTopicsError {}

impl fmt::Display for CreateTopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateName => f.write_str("Duplicate topic name."),
            Self::ReservedName => {
                write!(f, "Creation of internal topic {CLUSTER_METADATA_TOPIC} is prohibited.")
            }
            Self::InvalidName(error) => error.fmt(f),
            Self::AlreadyExists { name } => write!(f, "Topic '{name}' already exists."),
            Self::NameCollides { name, existing } => {
                write!(f, "Topic '{name}' collides with existing topic: {existing}")
            }
            Self::NullConfigValues { names } => {
                write!(f, "Null value not supported for topic configs: {}", names.join(","))
            }
            Self::Config(error) => error.fmt(f),
            Self::AssignmentsWithReplicationFactor => f.write_str(
                "A manual partition assignment was specified, but replication factor was not set \
                 to -1.",
            ),
            Self::AssignmentsWithPartitions => f.write_str(
                "A manual partition assignment was specified, but numPartitions was not set to -1.",
            ),
            Self::Assignment(error) => error.fmt(f),
            Self::InvalidReplicationFactor { .. } => f.write_str(
                "Replication factor must be larger than 0, or -1 to use the default value.",
            ),
            Self::InvalidPartitions { .. } => {
                f.write_str("Number of partitions was set to an invalid non-positive value.")
            }
            Self::TooFewBrokers { replication_factor, brokers } => write!(
                f,
                "Unable to replicate the partition {replication_factor} time(s): The target \
                 replication factor of {replication_factor} cannot be reached because only \
                 {brokers} broker(s) are registered."
            ),
            Self::BrokerOffline { broker } => write_offline(f, *broker),
            Self::ShardsFull(full) => full.fmt(f),
            Self::IdTaken { id } => write!(f, "The topic id {id} is already in use."),
        }
    }
}

impl core::error::Error for CreateTopicError {}

/// Why a broker takes no new partition.
pub(crate) fn write_offline(f: &mut fmt::Formatter<'_>, broker: BrokerId) -> fmt::Result {
    write!(
        f,
        "The log directories that new partitions on broker {broker} need have failed; mend them and \
         start it again."
    )
}
