//! Topics end in two steps: the record that they are deleted becomes durable first, then their
//! owners close and remove the partitions, then a second record forgets the id. A node that stops
//! in between goes on at its next start, and no start can bring a deleted topic back.

use alloc::{collections::BTreeMap, vec, vec::Vec};
use core::fmt;

use protocol::TopicId;

use super::{
    Command, Decision, Metadata, MetadataRecord, WallMillis,
    topic::{Topic, TopicSelector},
};
use crate::limits::RECORDS_PER_DECISION_MAX;

/// Topics to delete, each on its own.
#[derive(Clone, Debug, PartialEq)]
pub struct DeleteTopics {
    pub topics: Vec<TopicSelector>,
}

/// What became of each selector, in the order of the command.
pub type DeleteTopicsReply = Vec<(TopicSelector, Result<DeletedTopic, DeleteTopicError>)>;

/// A topic that was deleted.
#[derive(Clone, Debug, PartialEq)]
pub struct DeletedTopic {
    pub id: TopicId,
    pub name: protocol::Str,
}

/// Why the command as a whole is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeleteTopicsError {
    Disabled,
    TooManyRecords { records: usize },
}

/// Why one topic is refused; declared in the order in which it is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeleteTopicError {
    DuplicateName,
    DuplicateId,
    UnknownName,
    UnknownId,
    /// The same command names the topic by its id too; neither is deleted.
    AlsoGivenById,
    /// The same command names the topic by its name too; neither is deleted.
    AlsoGivenByName,
}

impl Command for DeleteTopics {
    type Reply = DeleteTopicsReply;
    type Error = DeleteTopicsError;

    fn decide(
        &self,
        metadata: &Metadata,
        _: WallMillis,
    ) -> Result<Decision<DeleteTopicsReply>, DeleteTopicsError> {
        if metadata.broker_config_value("delete.topic.enable").as_deref() == Some("false") {
            return Err(DeleteTopicsError::Disabled);
        }
        if self.topics.len() > RECORDS_PER_DECISION_MAX {
            return Err(DeleteTopicsError::TooManyRecords { records: self.topics.len() });
        }
        let mut by_selector: BTreeMap<&TopicSelector, u32> = BTreeMap::new();
        let mut by_topic: BTreeMap<TopicId, u32> = BTreeMap::new();
        for selector in &self.topics {
            let uses = by_selector.entry(selector).or_default();
            *uses += 1;
            if let (1, Some(topic)) = (*uses, metadata.image.select(selector)) {
                *by_topic.entry(topic.id).or_default() += 1;
            }
        }
        let (mut records, mut reply) = (Vec::new(), Vec::with_capacity(self.topics.len()));
        for selector in &self.topics {
            let topic = metadata.image.select(selector);
            let result = check(selector, by_selector[selector] > 1, topic, &by_topic);
            if let Ok(topic) = &result {
                records.push(MetadataRecord::TopicDeleted { topic: topic.id });
            }
            reply.push((selector.clone(), result));
        }
        Ok(Decision { records, reply })
    }
}

fn check(
    selector: &TopicSelector,
    duplicate: bool,
    topic: Option<&Topic>,
    by_topic: &BTreeMap<TopicId, u32>,
) -> Result<DeletedTopic, DeleteTopicError> {
    let (duplicate_error, unknown, twice) = match selector {
        TopicSelector::Name(_) => (
            DeleteTopicError::DuplicateName,
            DeleteTopicError::UnknownName,
            DeleteTopicError::AlsoGivenById,
        ),
        TopicSelector::Id(_) => (
            DeleteTopicError::DuplicateId,
            DeleteTopicError::UnknownId,
            DeleteTopicError::AlsoGivenByName,
        ),
    };
    if duplicate {
        return Err(duplicate_error);
    }
    let topic = topic.ok_or(unknown)?;
    if by_topic[&topic.id] > 1 {
        return Err(twice);
    }
    Ok(DeletedTopic { id: topic.id, name: topic.name.clone() })
}

/// Forgets a deleted topic: every owner has closed and removed its partitions, durably.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FinishDelete {
    pub topic: TopicId,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FinishDeleteError {
    NotDeleting { topic: TopicId },
}

impl Command for FinishDelete {
    type Reply = ();
    type Error = FinishDeleteError;

    fn decide(
        &self,
        metadata: &Metadata,
        _: WallMillis,
    ) -> Result<Decision<()>, FinishDeleteError> {
        let topic = self.topic;
        if !metadata.image.is_deleting(topic) {
            return Err(FinishDeleteError::NotDeleting { topic });
        }
        Ok(Decision { records: vec![MetadataRecord::TopicRemoved { topic }], reply: () })
    }
}

impl fmt::Display for DeleteTopicsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disabled => f.write_str("Topic deletion is disabled."),
            Self::TooManyRecords { records } => {
                write!(f, "{records} topics; one request deletes {RECORDS_PER_DECISION_MAX}")
            }
        }
    }
}

impl core::error::Error for DeleteTopicsError {}

impl fmt::Display for DeleteTopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DuplicateName => "Duplicate topic name.",
            Self::DuplicateId => "Duplicate topic id.",
            Self::UnknownName => "This server does not host this topic-partition.",
            Self::UnknownId => "This server does not host this topic ID.",
            Self::AlsoGivenById | Self::AlsoGivenByName => {
                "The provided topic name maps to an ID that was already supplied."
            }
        })
    }
}

impl core::error::Error for DeleteTopicError {}

impl fmt::Display for FinishDeleteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::NotDeleting { topic } = self;
        write!(f, "no topic {topic} is being deleted")
    }
}

impl core::error::Error for FinishDeleteError {}
