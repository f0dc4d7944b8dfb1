//! Which partition a directory holds: Kafka's `partition.metadata`, and names of doomed directories.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use protocol::{PartitionIndex, TopicId};

use crate::PartitionId;

pub const FILE_NAME: &str = "partition.metadata";
/// Far larger than any sound one.
pub const FILE_BYTES_MAX: u64 = 4096;

/// Contents of `partition.metadata`.
pub fn encode(topic_id: TopicId) -> Bytes {
    Bytes::from(format!("version: 0\ntopic_id: {topic_id}\n"))
}

/// The topic id in a `partition.metadata`.
pub fn decode(bytes: &[u8]) -> Option<TopicId> {
    let text = std::str::from_utf8(bytes).ok()?;
    let id = text.lines().find_map(|line| line.strip_prefix("topic_id:"))?;
    parse_topic_id(id.trim())
}

/// Kafka's text form of a topic id: 22 digits of URL-safe base64.
fn parse_topic_id(text: &str) -> Option<TopicId> {
    if text.len() != 22 {
        return None;
    }
    let mut bits: u128 = 0;
    for (at, digit) in text.bytes().enumerate() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        // The last digit holds two bits of the id and four of padding.
        bits = if at < 21 {
            bits << 6 | u128::from(value)
        } else {
            bits << 2 | u128::from(value >> 4)
        };
    }
    Some(TopicId(bits.to_be_bytes()))
}

/// Whether a creation that ended too early left a `partition.metadata` so: none, or one whose length became durable
/// before its bytes.
pub fn was_never_written(metadata: Option<&[u8]>) -> bool {
    metadata.is_none_or(|bytes| bytes.iter().all(|byte| *byte == 0))
}

/// Topic and partition in a directory's name.
pub fn split_name(name: &str) -> Option<(&str, PartitionIndex)> {
    let (topic, partition) = name.rsplit_once('-')?;
    let partition: i32 = partition.parse().ok().filter(|index| *index >= 0)?;
    (!topic.is_empty()).then_some((topic, PartitionIndex(partition)))
}

/// The partition in a directory with this name and metadata.
pub fn partition_id(name: &str, metadata: &[u8]) -> Option<PartitionId> {
    let (_, partition) = split_name(name)?;
    Some(PartitionId { topic_id: decode(metadata)?, partition })
}

const DOOMED_SUFFIX: &str = "-delete";

/// Where a deleted partition's directory goes before its files are removed.
pub fn doomed_path(path: &Path, topic_id: TopicId) -> PathBuf {
    PathBuf::from(format!("{}.{topic_id}{DOOMED_SUFFIX}", path.display()))
}

/// Whether a directory holds a partition whose deletion was durable.
pub fn is_doomed(name: &str) -> bool {
    name.ends_with(DOOMED_SUFFIX)
}
