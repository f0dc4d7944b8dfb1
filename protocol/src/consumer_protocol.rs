//! What consumers of the classic protocol put into a group's opaque bytes: the metadata of a member says what
//! it subscribes and owns, its assignment what it is to read.
//!
//! ```text
//! version: i16 | fields of that version, never flexible
//! ```
//!
//! Only the leader of a group reads them in the classic protocol. The coordinator does where it must know what
//! a group reads (the expiry and deletion of offsets) and where members of both protocols meet (KIP-848).
//! The layouts are those of Apache Kafka's `ConsumerProtocolSubscription.json` and
//! `ConsumerProtocolAssignment.json`. A version above 3 is read as 3: later ones only append fields.

use bytes::Bytes;

use crate::string::Str;
use crate::wire::{Context, DecodeError, EncodeError, Reader, Records, Wire, Writer, messages};

/// The highest version of both, as of Kafka 4.3.
pub const VERSION_MAX: i16 = 3;

messages! {
    ConsumerProtocolSubscription {
        topics: Vec<Str>, 0..;
        user_data: Option<Bytes>, 0.., null 0..;
        owned_partitions: Vec<TopicPartition>, 1..;
        /// In which the member owned them.
        generation_id: i32, 2.., default -1;
        rack_id: Option<Str>, 3.., null 3..;
    }

    ConsumerProtocolAssignment {
        assigned_partitions: Vec<TopicPartition>, 0..;
        user_data: Option<Bytes>, 0.., null 0..;
    }

    /// The partitions of one topic.
    TopicPartition {
        topic: Str, 0..;
        partitions: Vec<i32>, 0..;
    }
}

impl ConsumerProtocolSubscription {
    /// The version that the member wrote, in which it also wants to be answered, and what it says.
    pub fn parse(metadata: &Bytes) -> Result<(i16, Self), DecodeError> {
        parse(metadata)
    }

    /// The topics alone. They stand first in every version: so clients that leave out what their version
    /// asks for are understood too, as by Kafka.
    pub fn parse_topics(metadata: &Bytes) -> Result<Vec<Str>, DecodeError> {
        let mut reader = Reader::new(metadata);
        read_version(&mut reader)?;
        Wire::decode(&mut reader, context(0))
    }

    pub fn to_bytes(&self, version: i16) -> Result<Bytes, EncodeError> {
        write(self, version)
    }
}

impl ConsumerProtocolAssignment {
    /// The version that the leader wrote, and what it assigned.
    pub fn parse(assignment: &Bytes) -> Result<(i16, Self), DecodeError> {
        parse(assignment)
    }

    pub fn to_bytes(&self, version: i16) -> Result<Bytes, EncodeError> {
        write(self, version)
    }
}

const fn context(version: i16) -> Context {
    Context::new(version, false)
}

fn parse<T: Wire>(bytes: &Bytes) -> Result<(i16, T), DecodeError> {
    let mut reader = Reader::new(bytes);
    let version = read_version(&mut reader)?;
    Ok((version, T::decode(&mut reader, context(version))?))
}

fn read_version(reader: &mut Reader<'_>) -> Result<i16, DecodeError> {
    let version = reader.i16()?;
    if version < 0 {
        return Err(DecodeError::UnsupportedVersion { version });
    }
    Ok(version.min(VERSION_MAX))
}

fn write<T: Wire>(value: &T, version: i16) -> Result<Bytes, EncodeError> {
    if !(0..=VERSION_MAX).contains(&version) {
        return Err(EncodeError::UnsupportedVersion { version });
    }
    let mut writer = Writer::default();
    writer.i16(version);
    value.encode(&mut writer, context(version));
    if writer.string_was_cut() {
        return Err(EncodeError::StringTooLong);
    }
    Ok(Records::from(writer.finish()).joined())
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};
    use kafka_protocol::messages as theirs;
    use kafka_protocol::protocol::{Decodable, Encodable};

    use super::{
        ConsumerProtocolAssignment, ConsumerProtocolSubscription, DecodeError, EncodeError, Str,
        TopicPartition, VERSION_MAX,
    };
    use crate::wire::generate::{Generate, Source, hex};

    /// What Kafka 4.3's own consumer writes for one subscription, in versions 0 to 3.
    const SUBSCRIPTIONS: [&str; 4] = [
        "0000 00000002 0006636c69636b73 00066f7264657273 00000002 0708",
        "0001 00000002 0006636c69636b73 00066f7264657273 00000002 0708
              00000001 00066f7264657273 00000002 00000000 00000003",
        "0002 00000002 0006636c69636b73 00066f7264657273 00000002 0708
              00000001 00066f7264657273 00000002 00000000 00000003 00000005",
        "0003 00000002 0006636c69636b73 00066f7264657273 00000002 0708
              00000001 00066f7264657273 00000002 00000000 00000003 00000005 0002 7231",
    ];

    /// And for one assignment, whose versions differ in nothing else.
    const ASSIGNMENT: &str = "00000001 00066f7264657273 00000002 00000000 00000003 ffffffff";

    fn orders() -> TopicPartition {
        TopicPartition { topic: Str::from("orders"), partitions: vec![0, 3] }
    }

    #[test]
    fn subscriptions_are_those_of_kafka_in_every_version() {
        for (version, digits) in (0..).zip(SUBSCRIPTIONS) {
            let none = ConsumerProtocolSubscription::default();
            let expected = ConsumerProtocolSubscription {
                topics: vec![Str::from("clicks"), Str::from("orders")],
                user_data: Some(Bytes::from_static(&[7, 8])),
                owned_partitions: if version >= 1 { vec![orders()] } else { Vec::new() },
                generation_id: if version >= 2 { 5 } else { none.generation_id },
                rack_id: (version >= 3).then(|| Str::from("r1")),
            };
            assert_eq!(expected.to_bytes(version), Ok(hex(digits)));
            let parsed = ConsumerProtocolSubscription::parse(&hex(digits));
            assert_eq!(parsed, Ok((version, expected)));
        }
    }

    #[test]
    fn assignments_are_those_of_kafka_in_every_version() {
        for version in 0..=VERSION_MAX {
            let expected =
                ConsumerProtocolAssignment { assigned_partitions: vec![orders()], user_data: None };
            let digits = format!("000{version}{ASSIGNMENT}");
            assert_eq!(expected.to_bytes(version), Ok(hex(&digits)));
            assert_eq!(ConsumerProtocolAssignment::parse(&hex(&digits)), Ok((version, expected)));
        }
    }

    #[test]
    fn both_agree_with_the_oracle() {
        fn again<T: Decodable + Encodable>(version: i16, mut ours: Bytes) {
            let expected = ours.slice(2..);
            let theirs = T::decode(&mut ours.split_off(2), version).unwrap();
            let mut again = BytesMut::new();
            theirs.encode(&mut again, version).unwrap();
            assert_eq!(again, expected);
        }
        for version in 0..=VERSION_MAX {
            for seed in 0..60 {
                let mut source = Source::new(seed);
                let subscription = ConsumerProtocolSubscription::generate(&mut source);
                let encoded = subscription.to_bytes(version).unwrap();
                again::<theirs::ConsumerProtocolSubscription>(version, encoded);
                let assignment = ConsumerProtocolAssignment::generate(&mut source);
                let encoded = assignment.to_bytes(version).unwrap();
                again::<theirs::ConsumerProtocolAssignment>(version, encoded.clone());
                let parsed = ConsumerProtocolAssignment::parse(&encoded);
                assert_eq!(parsed, Ok((version, assignment)));
            }
        }
    }

    #[test]
    fn later_versions_are_read_as_the_last_known_one() {
        let later = hex(&format!("7fff {} 0102", &SUBSCRIPTIONS[3][4..]));
        let expected = ConsumerProtocolSubscription::parse(&hex(SUBSCRIPTIONS[3]));
        assert_eq!(ConsumerProtocolSubscription::parse(&later), expected);
        let refused = Err(DecodeError::UnsupportedVersion { version: -1 });
        assert_eq!(ConsumerProtocolAssignment::parse(&hex("ffff 00000000 ffffffff")), refused);
        let error = EncodeError::UnsupportedVersion { version: 4 };
        assert_eq!(ConsumerProtocolAssignment::default().to_bytes(4), Err(error));
    }

    #[test]
    fn topics_are_found_where_the_rest_of_a_subscription_is_missing() {
        // Version 1 without owned partitions.
        let short = hex("0001 00000001 00066f7264657273 ffffffff");
        assert_eq!(ConsumerProtocolSubscription::parse(&short), Err(DecodeError::Truncated));
        let topics = ConsumerProtocolSubscription::parse_topics(&short);
        assert_eq!(topics, Ok(vec![Str::from("orders")]));
    }

    #[test]
    fn every_truncation_is_an_error() {
        for digits in SUBSCRIPTIONS {
            let whole = hex(digits);
            for length in 0..whole.len() {
                assert!(ConsumerProtocolSubscription::parse(&whole.slice(..length)).is_err());
            }
        }
    }
}
