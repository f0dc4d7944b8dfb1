//! The records of `__consumer_offsets`, in Kafka's own format, so that Kafka's tools read our groups and we read
//! Kafka's.
//!
//! Key and value begin with two bytes each: the key's say what the record is about, the value's in which
//! version it is written. A record without a value is a tombstone. Keys are never flexible.
//!
//! ```text
//! key     type: i16    | group id, then what else the type is about
//! value   version: i16 | fields of that version
//! ```
//!
//! | file | job |
//! |---|---|
//! | `classic.rs` | committed offsets, and groups of the classic protocol |
//! | `consumer.rs` | groups of the consumer protocol (KIP-848): one record for each part that changes by itself |
//!
//! The layouts are those of Apache Kafka 4.3 (its `group-coordinator` module, `common/message/*.json`); the
//! tests hold bytes that Kafka's own serializer wrote. Tagged fields of later versions are skipped. What a
//! decoded record holds shares the memory of key and value.

mod classic;
mod consumer;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::RangeInclusive;

use bytes::Bytes;

pub use self::classic::{
    GroupMetadataKey, GroupMetadataValue, MemberMetadata, OffsetCommitKey, OffsetCommitValue,
};
pub use self::consumer::{
    ClassicMemberMetadata, ClassicProtocol, ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupCurrentMemberAssignmentValue, ConsumerGroupMemberMetadataKey,
    ConsumerGroupMemberMetadataValue, ConsumerGroupMetadataKey, ConsumerGroupMetadataValue,
    ConsumerGroupPartitionMetadataKey, ConsumerGroupPartitionMetadataValue,
    ConsumerGroupRegularExpressionKey, ConsumerGroupRegularExpressionValue,
    ConsumerGroupTargetAssignmentMemberKey, ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataKey, ConsumerGroupTargetAssignmentMetadataValue,
    CurrentPartitions, PartitionMetadata, TargetPartitions, TopicMetadata,
};
use crate::string::Str;
use crate::wire::{Context, DecodeError, EncodeError, Reader, Records, Wire, Writer};

/// What Kafka 0.8.2 wrote for a committed offset. The rest of the key is as in [`OFFSET_COMMIT`].
const LEGACY_OFFSET_COMMIT: i16 = 0;
const OFFSET_COMMIT: i16 = 1;

/// Keys have the one version that their type has always had.
const KEY: Context = Context::new(0, false);

/// Why a record is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupRecordError {
    /// Of a later Kafka, or of a kind of group that is not known here (share and streams groups). Kafka
    /// skips such records with a line in the log.
    UnknownType {
        code: i16,
    },
    /// A value that a later Kafka wrote. To skip it would be to forget what it replaces.
    UnsupportedVersion {
        code: i16,
        version: i16,
    },
    Malformed(DecodeError),
}

impl fmt::Display for GroupRecordError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType { code } => write!(formatter, "group record type {code} is unknown"),
            Self::UnsupportedVersion { code, version } => {
                write!(formatter, "version {version} of group record type {code} is not read")
            }
            Self::Malformed(error) => write!(formatter, "malformed group record: {error}"),
        }
    }
}

impl std::error::Error for GroupRecordError {}

impl From<DecodeError> for GroupRecordError {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}

/// A record's two parts, as they stand in a record batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedGroupRecord {
    pub key: Bytes,
    /// `None` is a tombstone.
    pub value: Option<Bytes>,
}

macro_rules! group_records {
    ($(
        $(#[$meta:meta])*
        $name:ident = $code:expr, $key:ident, $value:ident,
            read $read:expr, write $write:expr, flexible $flexible:literal;
    )*) => {
        /// One record; without a value it is a tombstone.
        #[derive(Clone, Debug, PartialEq)]
        pub enum GroupRecord {
            $($(#[$meta])* $name { key: $key, value: Option<$value> },)*
        }

        impl GroupRecord {
            /// Bytes after the last field are ignored, as in Kafka.
            pub fn decode(key: &Bytes, value: Option<&Bytes>) -> Result<Self, GroupRecordError> {
                let mut reader = Reader::new(key);
                let code = match reader.i16()? {
                    LEGACY_OFFSET_COMMIT => OFFSET_COMMIT,
                    code => code,
                };
                $(
                    if code == $code {
                        let key = Wire::decode(&mut reader, KEY)?;
                        let value = value.map(|value| decode_value(code, value, $read, $flexible));
                        return Ok(Self::$name { key, value: value.transpose()? });
                    }
                )*
                Err(GroupRecordError::UnknownType { code })
            }

            /// Refuses strings that are longer than Kafka's longest.
            pub fn encode(&self) -> Result<EncodedGroupRecord, EncodeError> {
                match self {
                    $(Self::$name { key, value } => {
                        let key = encode_part($code, key, KEY)?;
                        let written_in: fn(&$value) -> i16 = $write;
                        let value = value.as_ref().map(|value| {
                            let version = written_in(value);
                            let context = Context::new(version, version >= $flexible);
                            encode_part(version, value, context)
                        });
                        Ok(EncodedGroupRecord { key, value: value.transpose()? })
                    })*
                }
            }

            #[must_use]
            pub const fn group_id(&self) -> &Str {
                match self {
                    $(Self::$name { key, .. } => &key.group_id,)*
                }
            }

            #[must_use]
            pub const fn is_tombstone(&self) -> bool {
                match self {
                    $(Self::$name { value, .. } => value.is_none(),)*
                }
            }

            /// One record of each type.
            #[cfg(test)]
            fn samples(source: &mut crate::wire::generate::Source) -> Vec<Self> {
                use crate::wire::generate::Generate;
                vec![$(Self::$name {
                    key: Generate::generate(source),
                    value: Generate::generate(source),
                }),*]
            }
        }
    };
}

group_records! {
    OffsetCommit = OFFSET_COMMIT, OffsetCommitKey, OffsetCommitValue,
        read 0..=4, write OffsetCommitValue::written_in, flexible 4;
    /// Kafka writes the last version before the flexible one, and so do we.
    GroupMetadata = 2, GroupMetadataKey, GroupMetadataValue, read 0..=4, write |_| 3, flexible 4;
    ConsumerGroupMetadata = 3, ConsumerGroupMetadataKey, ConsumerGroupMetadataValue,
        read 0..=0, write |_| 0, flexible 0;
    /// Only read, and ended by a tombstone: since 4.1 a hash in [`Self::ConsumerGroupMetadata`] stands for it.
    ConsumerGroupPartitionMetadata = 4, ConsumerGroupPartitionMetadataKey,
        ConsumerGroupPartitionMetadataValue, read 0..=0, write |_| 0, flexible 0;
    ConsumerGroupMemberMetadata = 5, ConsumerGroupMemberMetadataKey,
        ConsumerGroupMemberMetadataValue, read 0..=0, write |_| 0, flexible 0;
    ConsumerGroupTargetAssignmentMetadata = 6, ConsumerGroupTargetAssignmentMetadataKey,
        ConsumerGroupTargetAssignmentMetadataValue, read 0..=0, write |_| 0, flexible 0;
    ConsumerGroupTargetAssignmentMember = 7, ConsumerGroupTargetAssignmentMemberKey,
        ConsumerGroupTargetAssignmentMemberValue, read 0..=0, write |_| 0, flexible 0;
    ConsumerGroupCurrentMemberAssignment = 8, ConsumerGroupCurrentMemberAssignmentKey,
        ConsumerGroupCurrentMemberAssignmentValue, read 0..=0, write |_| 0, flexible 0;
    ConsumerGroupRegularExpression = 16, ConsumerGroupRegularExpressionKey,
        ConsumerGroupRegularExpressionValue, read 0..=0, write |_| 0, flexible 0;
}

fn decode_value<T: Wire>(
    code: i16,
    value: &Bytes,
    read: RangeInclusive<i16>,
    flexible_from: i16,
) -> Result<T, GroupRecordError> {
    let mut reader = Reader::new(value);
    let version = reader.i16()?;
    if !read.contains(&version) {
        return Err(GroupRecordError::UnsupportedVersion { code, version });
    }
    Ok(T::decode(&mut reader, Context::new(version, version >= flexible_from))?)
}

fn encode_part<T: Wire>(prefix: i16, part: &T, context: Context) -> Result<Bytes, EncodeError> {
    let mut writer = Writer::default();
    writer.i16(prefix);
    part.encode(&mut writer, context);
    if writer.string_was_cut() {
        return Err(EncodeError::StringTooLong);
    }
    Ok(Records::from(writer.finish()).joined())
}
