//! Bytes to records. Total: no bytes panic, and nothing is allocated beyond what the bytes hold.

use alloc::vec::Vec;
use core::fmt;

use protocol::{BrokerId, LeaderEpoch, PartitionIndex, ProducerId, Str, TopicId};

use super::{ConfigTarget, LeaderEpochReason, MetadataRecord, encode};
use crate::{
    limits::RECORD_BYTES_MAX,
    metadata::{
        WallMillis,
        broker::{Broker, Listener, LogDirectory, LogDirectoryId, ShardId},
        topic::{Partition, PlacementReason, Replica},
    },
};

/// Why bytes are no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    TooLong {
        bytes: usize,
    },
    /// A type that this version of Corelane does not know: the log was written by a newer one.
    UnknownType {
        record_type: u8,
    },
    /// A known type in a version that this version of Corelane does not know: the log was written
    /// by a newer one.
    UnknownVersion {
        record: &'static str,
        version: u8,
        newest: u8,
    },
    Truncated,
    NumberOutOfRange,
    InvalidText,
    /// An option or enum byte with no meaning.
    InvalidTag {
        tag: u8,
    },
    TrailingBytes {
        bytes: usize,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes } => {
                write!(
                    f,
                    "a metadata record of {bytes} bytes; at most {RECORD_BYTES_MAX} are written"
                )
            }
            Self::UnknownType { record_type } => write!(
                f,
                "metadata record type {record_type} is unknown: a newer version of Corelane wrote \
                 this log; start that version"
            ),
            Self::UnknownVersion { record, version, newest } => write!(
                f,
                "metadata record {record} has version {version}, this version of Corelane reads up \
                 to {newest}: a newer one wrote this log; start that version"
            ),
            Self::Truncated => f.write_str("a metadata record ends early"),
            Self::NumberOutOfRange => f.write_str("a number in a metadata record is out of range"),
            Self::InvalidText => f.write_str("a text in a metadata record is not UTF-8"),
            Self::InvalidTag { tag } => {
                write!(f, "a tag {tag} in a metadata record has no meaning")
            }
            Self::TrailingBytes { bytes } => {
                write!(f, "{bytes} bytes follow the last field of a metadata record")
            }
        }
    }
}

impl core::error::Error for DecodeError {}

pub(super) fn decode(bytes: &[u8]) -> Result<MetadataRecord, DecodeError> {
    if bytes.len() > RECORD_BYTES_MAX {
        return Err(DecodeError::TooLong { bytes: bytes.len() });
    }
    let mut from = Reader(bytes);
    let record_type = from.byte()?;
    let Some(record) = name_of(record_type) else {
        return Err(DecodeError::UnknownType { record_type });
    };
    let version = from.byte()?;
    if version > encode::VERSION {
        let newest = encode::VERSION;
        return Err(DecodeError::UnknownVersion { record, version, newest });
    }
    let record = decode_fields(record_type, &mut from)?;
    match from.0.len() {
        0 => Ok(record),
        bytes => Err(DecodeError::TrailingBytes { bytes }),
    }
}

fn name_of(record_type: u8) -> Option<&'static str> {
    Some(match record_type {
        encode::CLUSTER => "Cluster",
        encode::BROKER => "Broker",
        encode::TOPIC => "Topic",
        encode::PARTITION => "Partition",
        encode::PARTITION_MOVED => "PartitionMoved",
        encode::LEADER_EPOCH_BUMPED => "LeaderEpochBumped",
        encode::TOPIC_DELETED => "TopicDeleted",
        encode::TOPIC_REMOVED => "TopicRemoved",
        encode::CONFIG => "Config",
        encode::PRODUCER_IDS => "ProducerIds",
        encode::TOPICS_PLACED => "TopicsPlaced",
        encode::GROUP_CONFIG => "GroupConfig",
        _ => return None,
    })
}

fn decode_fields(record_type: u8, from: &mut Reader<'_>) -> Result<MetadataRecord, DecodeError> {
    Ok(match record_type {
        encode::CLUSTER => MetadataRecord::Cluster { cluster_id: from.text()? },
        encode::BROKER => MetadataRecord::Broker(decode_broker(from)?),
        encode::TOPIC => {
            let (topic, name) = (TopicId(from.id()?), from.text()?);
            MetadataRecord::Topic { topic, name, created: WallMillis(from.signed()?) }
        }
        encode::PARTITION => {
            let (topic, partition) = decode_topic_partition(from)?;
            MetadataRecord::Partition { topic, partition, state: decode_partition(from)? }
        }
        encode::PARTITION_MOVED => {
            let (topic, partition) = decode_topic_partition(from)?;
            let Replica { broker, shard, directory, reason } = decode_replica(from)?;
            MetadataRecord::PartitionMoved { topic, partition, broker, shard, directory, reason }
        }
        encode::LEADER_EPOCH_BUMPED => {
            let (topic, partition) = decode_topic_partition(from)?;
            let leader_epoch = LeaderEpoch(from.int()?);
            let reason = match from.byte()? {
                0 => LeaderEpochReason::LossAccepted,
                1 => LeaderEpochReason::UncleanStart,
                tag => return Err(DecodeError::InvalidTag { tag }),
            };
            MetadataRecord::LeaderEpochBumped { topic, partition, leader_epoch, reason }
        }
        encode::TOPIC_DELETED => MetadataRecord::TopicDeleted { topic: TopicId(from.id()?) },
        encode::TOPIC_REMOVED => MetadataRecord::TopicRemoved { topic: TopicId(from.id()?) },
        encode::CONFIG => {
            let (target, name) = (decode_config_target(from)?, from.text()?);
            MetadataRecord::Config { target, name, value: from.option(Reader::text)? }
        }
        encode::PRODUCER_IDS => MetadataRecord::ProducerIds { next: ProducerId(from.signed()?) },
        encode::TOPICS_PLACED => MetadataRecord::TopicsPlaced { count: from.unsigned()? },
        encode::GROUP_CONFIG => {
            let (target, name) = (ConfigTarget::Group(from.text()?), from.text()?);
            MetadataRecord::Config { target, name, value: from.option(Reader::text)? }
        }
        _ => return Err(DecodeError::UnknownType { record_type }),
    })
}

fn decode_topic_partition(from: &mut Reader<'_>) -> Result<(TopicId, PartitionIndex), DecodeError> {
    Ok((TopicId(from.id()?), PartitionIndex(from.int()?)))
}

fn decode_broker(from: &mut Reader<'_>) -> Result<Broker, DecodeError> {
    Ok(Broker {
        id: BrokerId(from.int()?),
        incarnation: from.unsigned()?,
        rack: from.option(Reader::text)?,
        listeners: from.list(|from| {
            let (name, host) = (from.text()?, from.text()?);
            Ok(Listener { name, host, port: from.short()? })
        })?,
        data_shards: from.short()?,
        log_directories: from.list(|from| {
            let (id, path) = (LogDirectoryId(from.id()?), from.text()?);
            Ok(LogDirectory { id, path, free_bytes: from.unsigned()? })
        })?,
    })
}

fn decode_partition(from: &mut Reader<'_>) -> Result<Partition, DecodeError> {
    Ok(Partition {
        replicas: from.list(decode_replica)?,
        isr: from.list(|from| Ok(BrokerId(from.int()?)))?,
        leader: from.option(|from| Ok(BrokerId(from.int()?)))?,
        leader_epoch: LeaderEpoch(from.int()?),
        partition_epoch: from.unsigned()?.try_into().map_err(|_| DecodeError::NumberOutOfRange)?,
    })
}

fn decode_replica(from: &mut Reader<'_>) -> Result<Replica, DecodeError> {
    let broker = BrokerId(from.int()?);
    let shard = ShardId(from.short()?);
    let directory = LogDirectoryId(from.id()?);
    let reason = match from.byte()? {
        0 => PlacementReason::Created,
        1 => PlacementReason::Moved,
        2 => PlacementReason::ShardGone { from: ShardId(from.short()?) },
        3 => PlacementReason::Rebalanced { from: ShardId(from.short()?) },
        tag => return Err(DecodeError::InvalidTag { tag }),
    };
    Ok(Replica { broker, shard, directory, reason })
}

fn decode_config_target(from: &mut Reader<'_>) -> Result<ConfigTarget, DecodeError> {
    match from.byte()? {
        0 => Ok(ConfigTarget::Topic(TopicId(from.id()?))),
        1 => Ok(ConfigTarget::Broker(BrokerId(from.int()?))),
        2 => Ok(ConfigTarget::BrokerDefault),
        tag => Err(DecodeError::InvalidTag { tag }),
    }
}

/// The bytes that are left.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8, DecodeError> {
        let (first, rest) = self.0.split_first().ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(*first)
    }

    fn bytes(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(head)
    }

    fn id(&mut self) -> Result<[u8; 16], DecodeError> {
        let (head, rest) = self.0.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(*head)
    }

    fn unsigned(&mut self) -> Result<u64, DecodeError> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(DecodeError::NumberOutOfRange);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(DecodeError::NumberOutOfRange)
    }

    fn signed(&mut self) -> Result<i64, DecodeError> {
        let number = self.unsigned()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    fn int(&mut self) -> Result<i32, DecodeError> {
        self.signed()?.try_into().map_err(|_| DecodeError::NumberOutOfRange)
    }

    fn short(&mut self) -> Result<u16, DecodeError> {
        self.unsigned()?.try_into().map_err(|_| DecodeError::NumberOutOfRange)
    }

    /// A copy: state outlives the block that the log was read into.
    fn text(&mut self) -> Result<Str, DecodeError> {
        let len = self.unsigned()?.try_into().map_err(|_| DecodeError::Truncated)?;
        let bytes = self.bytes(len)?;
        core::str::from_utf8(bytes).map(Str::from).map_err(|_| DecodeError::InvalidText)
    }

    fn option<T>(
        &mut self,
        decode: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        match self.byte()? {
            0 => Ok(None),
            1 => decode(self).map(Some),
            tag => Err(DecodeError::InvalidTag { tag }),
        }
    }

    /// Elements have at least one byte, so a count beyond the bytes that are left is refused before
    /// it is used.
    fn list<T>(
        &mut self,
        mut decode: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.unsigned()?;
        if count > self.0.len() as u64 {
            return Err(DecodeError::Truncated);
        }
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(decode(self)?);
        }
        Ok(elements)
    }
}
