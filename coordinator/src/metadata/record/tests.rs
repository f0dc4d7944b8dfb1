//! The bytes of records: exact, reversible, bounded.

use alloc::{vec, vec::Vec};

use proptest::prelude::{any, proptest};
use protocol::{BrokerId, LeaderEpoch, PartitionIndex, ProducerId, Str, TopicId};

use super::{ConfigTarget, DecodeError, LeaderEpochReason, MetadataRecord};
use crate::metadata::{
    WallMillis,
    broker::{Broker, Listener, LogDirectory, LogDirectoryId, ShardId},
    topic::{Partition, PlacementReason, Replica},
};

const TOPIC: TopicId = TopicId([0x11; 16]);

/// One record of every type, with every option and enum value somewhere.
fn every_record() -> Vec<MetadataRecord> {
    let (topic, partition) = (TOPIC, PartitionIndex(300));
    let (broker, directory) = (BrokerId(1), LogDirectoryId([0x22; 16]));
    let replica =
        |id, reason| Replica { broker: BrokerId(id), shard: ShardId(2), directory, reason };
    let name = Str::from("retention.ms");
    let config = |target, value: Option<&str>| MetadataRecord::Config {
        target,
        name: name.clone(),
        value: value.map(Str::from),
    };
    let bumped = |reason| MetadataRecord::LeaderEpochBumped {
        topic,
        partition,
        leader_epoch: LeaderEpoch(7),
        reason,
    };
    vec![
        MetadataRecord::Cluster { cluster_id: Str::from("corelane") },
        MetadataRecord::Broker(Broker {
            id: broker,
            incarnation: 300,
            rack: Some(Str::from("r1")),
            listeners: vec![Listener { name: Str::from("P"), host: Str::from("h"), port: 9092 }],
            data_shards: 4,
            log_directories: vec![LogDirectory {
                id: directory,
                path: Str::from("/d"),
                free_bytes: 1 << 40,
            }],
        }),
        MetadataRecord::Topic { topic, name: Str::from("a.b"), created: WallMillis(-1) },
        MetadataRecord::Partition {
            topic,
            partition,
            state: Partition {
                replicas: vec![
                    replica(1, PlacementReason::Created),
                    replica(2, PlacementReason::Moved),
                    replica(3, PlacementReason::ShardGone { from: ShardId(9) }),
                    replica(4, PlacementReason::Rebalanced { from: ShardId(8) }),
                ],
                isr: vec![BrokerId(1), BrokerId(2)],
                leader: Some(BrokerId(1)),
                leader_epoch: LeaderEpoch(0),
                partition_epoch: 5,
            },
        },
        MetadataRecord::PartitionMoved {
            topic,
            partition,
            broker,
            shard: ShardId(3),
            directory,
            reason: PlacementReason::Moved,
        },
        bumped(LeaderEpochReason::LossAccepted),
        bumped(LeaderEpochReason::UncleanStart),
        MetadataRecord::TopicDeleted { topic },
        MetadataRecord::TopicRemoved { topic },
        config(ConfigTarget::Topic(topic), Some("-1")),
        config(ConfigTarget::Broker(broker), None),
        config(ConfigTarget::BrokerDefault, Some("")),
        config(ConfigTarget::Group(Str::from("g")), Some("6")),
        config(ConfigTarget::Group(Str::from("g")), None),
        MetadataRecord::ProducerIds { next: ProducerId(i64::MAX) },
        MetadataRecord::TopicsPlaced { count: u64::MAX },
    ]
}

#[test]
fn every_record_comes_back_from_its_bytes() {
    for record in every_record() {
        assert_eq!(MetadataRecord::decode(&record.encode()), Ok(record));
    }
}

#[test]
fn the_bytes_of_released_versions_never_change() {
    let hex = |bytes: Vec<u8>| {
        use core::fmt::Write;
        bytes.iter().fold(alloc::string::String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    };
    let bytes: Vec<_> = every_record().iter().map(|record| hex(record.encode())).collect();
    let golden = [
        "010008636f72656c616e65",
        "020002ac020102723101015001688447040122222222222222222222222222222222022f64808080808020",
        "03001111111111111111111111111111111103612e6201",
        "040011111111111111111111111111111111d80404\
         02022222222222222222222222222222222200\
         04022222222222222222222222222222222201\
         0602222222222222222222222222222222220209\
         0802222222222222222222222222222222220308\
         020204\
         0102\
         0005",
        "050011111111111111111111111111111111d80402032222222222222222222222222222222201",
        "060011111111111111111111111111111111d8040e00",
        "060011111111111111111111111111111111d8040e01",
        "070011111111111111111111111111111111",
        "080011111111111111111111111111111111",
        "090000111111111111111111111111111111110c726574656e74696f6e2e6d7301022d31",
        "090001020c726574656e74696f6e2e6d7300",
        "0900020c726574656e74696f6e2e6d730100",
        "0c0001670c726574656e74696f6e2e6d73010136",
        "0c0001670c726574656e74696f6e2e6d7300",
        "0a00feffffffffffffffff01",
        "0b00ffffffffffffffffff01",
    ];
    assert_eq!(bytes, golden);
}

#[test]
fn every_shorter_form_is_truncated_and_every_longer_one_trails() {
    for record in every_record() {
        let mut bytes = record.encode();
        for len in 0..bytes.len() {
            assert_eq!(MetadataRecord::decode(&bytes[..len]), Err(DecodeError::Truncated));
        }
        bytes.push(0);
        assert_eq!(MetadataRecord::decode(&bytes), Err(DecodeError::TrailingBytes { bytes: 1 }));
    }
}

#[test]
fn newer_types_and_versions_say_so() {
    let unknown = MetadataRecord::decode(&[200, 0]).unwrap_err();
    assert_eq!(unknown, DecodeError::UnknownType { record_type: 200 });
    let newer = MetadataRecord::decode(&[3, 1, 0, 0]).unwrap_err();
    assert_eq!(newer, DecodeError::UnknownVersion { record: "Topic", version: 1, newest: 0 });
    assert!(std::format!("{newer}").contains("newer"));
}

#[test]
fn every_decode_error_has_its_bytes() {
    let decode = |bytes: &[u8]| MetadataRecord::decode(bytes).unwrap_err();
    let too_long = vec![0; crate::limits::RECORD_BYTES_MAX + 1];
    assert_eq!(decode(&too_long), DecodeError::TooLong { bytes: too_long.len() });
    assert_eq!(decode(&[1, 0, 1, 0xff]), DecodeError::InvalidText);
    assert_eq!(decode(&[9, 0, 3]), DecodeError::InvalidTag { tag: 3 });
    assert_eq!(decode(&[9, 0, 2, 0, 2]), DecodeError::InvalidTag { tag: 2 });
    let eleven = [&[11_u8, 0][..], &[0xff; 11]].concat();
    assert_eq!(decode(&eleven), DecodeError::NumberOutOfRange);
    let wide = [&[11_u8, 0][..], &[0xff; 9], &[2]].concat();
    assert_eq!(decode(&wide), DecodeError::NumberOutOfRange);
    // A list that claims more elements than there are bytes allocates nothing.
    let many = [&[2_u8, 0, 2, 0, 0][..], &[0xff, 0xff, 0xff, 0xff, 0x0f]].concat();
    assert_eq!(decode(&many), DecodeError::Truncated);
}

proptest! {
    #[test]
    fn garbage_never_panics(record_type in 0_u8..14, body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut bytes = vec![record_type, 0];
        bytes.extend(body);
        if let Ok(record) = MetadataRecord::decode(&bytes) {
            assert_eq!(MetadataRecord::decode(&record.encode()), Ok(record));
        }
    }

    #[test]
    fn a_flipped_bit_never_panics(at in any::<proptest::sample::Index>(), bit in 0..8_u32, which in any::<proptest::sample::Index>()) {
        let records = every_record();
        let mut bytes = records[which.index(records.len())].encode();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let _ = MetadataRecord::decode(&bytes);
    }
}
