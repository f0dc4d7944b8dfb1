//! More partitions for topics that exist.

use alloc::{collections::BTreeSet, vec::Vec};
use core::fmt;

use protocol::{BrokerId, PartitionIndex, Str};

use super::{
    Command, Decision, Metadata, MetadataRecord, WallMillis,
    assignment::{self, AssignmentError},
    create_topics::{new_partition, write_offline},
    placement::{Home, NoPlace, OfflinePlaces, Placement, ShardsFull},
    record::excess_bytes,
    topic::Topic,
    topic_name::is_internal,
};
use crate::limits::RECORDS_PER_DECISION_MAX;

/// Topics to grow, each on its own.
#[derive(Clone, Debug, PartialEq)]
pub struct CreatePartitions {
    pub topics: Vec<GrownTopic>,
    pub validate_only: bool,
    /// Said by the controller when it decides.
    pub offline: OfflinePlaces,
}

/// One topic to grow.
#[derive(Clone, Debug, PartialEq)]
pub struct GrownTopic {
    pub name: Str,
    /// Partitions in all, the existing ones counted.
    pub count: i32,
    /// For each new partition its brokers; `None`: the controller chooses.
    pub assignments: Option<Vec<Vec<BrokerId>>>,
}

/// What became of each topic, in the order of the command.
pub type CreatePartitionsReply = Vec<(Str, Result<(), CreatePartitionsError>)>;

/// Why the command as a whole is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreatePartitionsRefused {
    TooManyRecords { records: u64 },
    TooManyBytes { bytes: usize },
}

/// Why one topic is refused; declared in the order in which it is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreatePartitionsError {
    DuplicateName,
    UnknownTopic,
    SameCount {
        count: usize,
    },
    FewerPartitions {
        name: Str,
        current: usize,
        count: i32,
    },
    Assignment(AssignmentError),
    /// Which of its partitions a group belongs to follows from their number: groups would lose their place.
    InternalTopic,
    /// All that the new partitions could live on there failed.
    BrokerOffline {
        broker: BrokerId,
    },
    ShardsFull(ShardsFull),
}

impl Command for CreatePartitions {
    type Reply = CreatePartitionsReply;
    type Error = CreatePartitionsRefused;

    fn decide(
        &self,
        metadata: &Metadata,
        _: WallMillis,
    ) -> Result<Decision<CreatePartitionsReply>, CreatePartitionsRefused> {
        let image = &metadata.image;
        let mut seen = BTreeSet::new();
        let mut duplicates = BTreeSet::new();
        for topic in &self.topics {
            if !seen.insert(&topic.name) {
                duplicates.insert(&topic.name);
            }
        }
        let mut placement = Placement::new(image, &self.offline);
        let mut records = Vec::new();
        let mut reply = Vec::with_capacity(self.topics.len());
        for grown in &self.topics {
            let checked = if duplicates.contains(&grown.name) {
                Err(CreatePartitionsError::DuplicateName)
            } else {
                check(grown, metadata)
            };
            let result = match checked {
                Err(error) => Err(error),
                Ok((topic, added)) => {
                    let total = records.len() as u64 + added as u64;
                    if total > RECORDS_PER_DECISION_MAX as u64 {
                        return Err(CreatePartitionsRefused::TooManyRecords { records: total });
                    }
                    grow(topic, grown, added, metadata, &mut placement, &mut records)
                }
            };
            reply.push((grown.name.clone(), result));
        }
        if let Some(bytes) = excess_bytes(&records) {
            return Err(CreatePartitionsRefused::TooManyBytes { bytes });
        }
        if self.validate_only {
            records.clear();
        }
        Ok(Decision { records, reply })
    }
}

fn check<'a>(
    grown: &GrownTopic,
    metadata: &'a Metadata,
) -> Result<(&'a Topic, usize), CreatePartitionsError> {
    let image = &metadata.image;
    let topic = image.topic_by_name(&grown.name).ok_or(CreatePartitionsError::UnknownTopic)?;
    let current = topic.partitions.len();
    if is_internal(&topic.name) && usize::try_from(grown.count) != Ok(current) {
        return Err(CreatePartitionsError::InternalTopic);
    }
    let added = match usize::try_from(grown.count) {
        Ok(count) if count == current => return Err(CreatePartitionsError::SameCount { count }),
        Ok(count) if count > current => count - current,
        Ok(_) | Err(_) => {
            let (name, count) = (grown.name.clone(), grown.count);
            return Err(CreatePartitionsError::FewerPartitions { name, current, count });
        }
    };
    if let Some(assigned) = &grown.assignments {
        if assigned.len() != added {
            let error = AssignmentError::CountDiffers { added, assignments: assigned.len() };
            return Err(CreatePartitionsError::Assignment(error));
        }
        for brokers in assigned {
            assignment::check_brokers(image, brokers, Some(replication_factor(topic)))
                .map_err(CreatePartitionsError::Assignment)?;
        }
    }
    Ok((topic, added))
}

fn grow(
    topic: &Topic,
    grown: &GrownTopic,
    added: usize,
    metadata: &Metadata,
    placement: &mut Placement,
    records: &mut Vec<MetadataRecord>,
) -> Result<(), CreatePartitionsError> {
    let first = topic.partitions.len();
    let assigned = match &grown.assignments {
        Some(assigned) => assigned.clone(),
        None => assignment::spread(&metadata.image, 0, first, added, replication_factor(topic)),
    };
    let home = Home::of(&topic.name);
    placement.check(home, &assigned)?;
    let mut load = topic.load();
    for (index, brokers) in (first..).zip(&assigned) {
        let partition = PartitionIndex(i32::try_from(index).expect("the count is an i32"));
        let state = new_partition(placement.place(home, &mut load, first as u64, brokers));
        records.push(MetadataRecord::Partition { topic: topic.id, partition, state });
    }
    Ok(())
}

fn replication_factor(topic: &Topic) -> usize {
    topic.partitions.first().expect("a topic has partitions").replicas.len()
}

impl From<NoPlace> for CreatePartitionsError {
    fn from(why: NoPlace) -> Self {
        match why {
            NoPlace::Offline { broker } => Self::BrokerOffline { broker },
            NoPlace::Full(full) => Self::ShardsFull(full),
        }
    }
}

impl fmt::Display for CreatePartitionsRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Excessively large number of partitions per request.")
    }
}

impl core::error::Error for CreatePartitionsRefused {}

impl fmt::Display for CreatePartitionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateName => f.write_str("Duplicate topic name."),
            Self::UnknownTopic => f.write_str("This server does not host this topic-partition."),
            Self::SameCount { count } => write!(f, "Topic already has {count} partition(s)."),
            Self::FewerPartitions { name, current, count } => write!(
                f,
                "The topic {name} currently has {current} partition(s); {count} would not be an \
                 increase."
            ),
            Self::Assignment(error) => error.fmt(f),
            Self::InternalTopic => f.write_str(
                "The number of partitions of an internal topic cannot change: it says which of them a \
                 group belongs to.",
            ),
            Self::BrokerOffline { broker } => write_offline(f, *broker),
            Self::ShardsFull(full) => full.fmt(f),
        }
    }
}

impl core::error::Error for CreatePartitionsError {}
