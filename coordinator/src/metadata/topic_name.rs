//! Kafka's rules for topic names.

use alloc::string::String;
use core::fmt;

use protocol::Str;

use crate::limits::TOPIC_NAME_BYTES_MAX;

/// The controller's own log: nobody creates it.
pub(crate) const CLUSTER_METADATA_TOPIC: &str = "__cluster_metadata";

/// The group coordinator's log.
pub const CONSUMER_OFFSETS_TOPIC: &str = "__consumer_offsets";

/// Whether a name is the controller's own log's: it is no topic for clients, whatever they ask.
pub fn is_reserved(name: &str) -> bool {
    name == CLUSTER_METADATA_TOPIC
}

/// Whether a topic is the log of a coordinator: its partitions live on the coordinator shard, clients do not
/// write to it, and asking for it does not create it.
pub fn is_internal(name: &str) -> bool {
    matches!(name, CONSUMER_OFFSETS_TOPIC | "__transaction_state" | "__share_group_state")
}

/// Why a name is none; declared in the order in which it is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicNameError {
    Empty,
    Dot,
    DotDot,
    TooLong { name: Str },
    IllegalCharacter { name: Str },
}

impl TopicNameError {
    /// Why this is no topic's name, if it is none.
    pub fn of(name: &Str) -> Option<Self> {
        check(name).err()
    }
}

impl fmt::Display for TopicNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Topic name is invalid: ")?;
        match self {
            Self::Empty => f.write_str("the empty string is not allowed"),
            Self::Dot => f.write_str("'.' is not allowed"),
            Self::DotDot => f.write_str("'..' is not allowed"),
            Self::TooLong { name } => write!(
                f,
                "the length of '{name}' is longer than the max allowed length {TOPIC_NAME_BYTES_MAX}"
            ),
            Self::IllegalCharacter { name } => write!(
                f,
                "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' \
                 and '-'"
            ),
        }
    }
}

impl core::error::Error for TopicNameError {}

pub(crate) fn check(name: &Str) -> Result<(), TopicNameError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    match &**name {
        "" => Err(TopicNameError::Empty),
        "." => Err(TopicNameError::Dot),
        ".." => Err(TopicNameError::DotDot),
        text if text.chars().count() > TOPIC_NAME_BYTES_MAX => {
            Err(TopicNameError::TooLong { name: name.clone() })
        }
        text if !text.bytes().all(legal) => {
            Err(TopicNameError::IllegalCharacter { name: name.clone() })
        }
        _ => Ok(()),
    }
}

/// The name as metrics show it: names that differ only in '.' and '_' become the same.
pub(crate) fn unify(name: &str) -> String {
    name.replace('.', "_")
}
