//! What the log says of a group of the consumer protocol: records that Kafka's tools read, in any order.

use alloc::{collections::BTreeMap, rc::Rc, vec, vec::Vec};

use bytes::Bytes;
use proptest::{
    collection::vec as many,
    option,
    prelude::{Just, Strategy, any, prop_oneof, proptest},
};
use protocol::{
    PartitionIndex, Str, TopicId,
    group_record::{
        ConsumerGroupPartitionMetadataKey, ConsumerGroupPartitionMetadataValue, CurrentPartitions,
        GroupRecord as KafkaRecord,
    },
};

use super::{ConsumerHeartbeat, World, beats, has, joins, owns, pair, settings, told, topic_id};
use crate::{
    group::{
        ConsumerGroup, DurableRecord, GroupRecord, Groups,
        consumer::{
            ConsumerPart, CurrentAssignment, GroupEpoch, MemberState, OwnedPartitions,
            PartitionSet, ResolvedRegex, StoredConsumerMember, TargetEpoch, member::ClassicPart,
        },
        describe::GroupState,
    },
    metadata::WallMillis,
};

fn of_g(part: ConsumerPart) -> DurableRecord {
    DurableRecord::Consumer { group: Str::from("g"), part }
}

fn replayed<'a>(records: impl IntoIterator<Item = &'a DurableRecord>) -> Groups {
    let mut groups = Groups::new(settings());
    for record in records {
        groups.replay(&GroupRecord::Durable(record.clone()));
    }
    groups
}

/// Without what only the living know.
fn durable(groups: &Groups) -> Option<ConsumerGroup> {
    let mut group = groups.consumer("g").cloned()?;
    group.set_refreshed(Default::default());
    Some(group)
}

#[test]
fn a_restart_goes_on_where_the_group_stood() {
    let mut world = pair();
    world.beat(joins("c", &["t"])).unwrap();
    assert_eq!(told(world.beat(beats("b", 3))), has(3, &[("t", &[2])]));
    let topics = Rc::clone(&world.groups.topics);
    let mut groups = replayed(&world.log);
    assert_eq!(durable(&groups), durable(&world.groups));
    groups.set_topics(topics);
    groups.on_loaded(world.now());
    world.groups = groups;
    let written = world.log.len();
    assert_eq!(told(world.beat(beats("a", 3))), (4, None));
    assert_eq!(told(world.beat(beats("c", 4))), (4, None));
    // a has moved on, and c has heard of its epoch.
    assert_eq!(world.log.len() - written, 2);
    assert_eq!(told(world.beat(owns("b", 3, &[("t", &[2])]))), (4, None));
    assert_eq!(told(world.beat(beats("c", 4))), has(4, &[("t", &[3])]));
}

#[test]
fn after_a_restart_sessions_and_the_time_to_give_back_begin_anew() {
    let mut world = World::of_consumers(&[("t", 4)]);
    world.beat(joins("a", &["t"])).unwrap();
    world.beat(joins("b", &["t"])).unwrap();
    world.beat(ConsumerHeartbeat { rebalance_timeout_ms: Some(30_000), ..beats("a", 2) }).unwrap();
    world.pass(29_000);
    world.groups = replayed(&world.log);
    world.groups.on_loaded(world.now());
    world.pass(29_999);
    assert_eq!(world.consumers().member_count(), 2);
    world.pass(1);
    assert!(world.consumers().member("a").is_none(), "it did not give back");
    world.pass(14_999);
    assert_eq!(world.consumers().member_count(), 1);
    world.pass(1);
    assert_eq!(world.consumers().member_count(), 0, "nothing was heard of it");
}

fn samples() -> Vec<DurableRecord> {
    let (a, b) = (Str::from("a"), Str::from("b"));
    let set = PartitionSet::new([(topic_id("t"), vec![PartitionIndex(0), PartitionIndex(3)])]);
    let said = StoredConsumerMember {
        instance: Some(Str::from("i")),
        rack: Some(Str::from("r")),
        client_id: Str::from("client"),
        client_host: Str::from("/10.0.0.1"),
        topics: vec![Str::from("t"), Str::from("u")],
        regex: Str::from("v.*"),
        rebalance_timeout_ms: 60_000,
        assignor: Some(Str::from("range")),
        classic: None,
    };
    let protocols = vec![(Str::from("range"), Bytes::from_static(b"wants"))];
    let classic = Some(ClassicPart { session_timeout_ms: 10_000, protocols });
    let state = MemberState::UnrevokedPartitions;
    let assigned = OwnedPartitions::since(&set, 3);
    let revoking = OwnedPartitions::new([(topic_id("u"), vec![(PartitionIndex(7), 2)])]);
    let current = CurrentAssignment { epoch: 4, previous_epoch: 3, state, assigned, revoking };
    let regex = ResolvedRegex { topics: vec![Str::from("v1")], version: 7, at: WallMillis(9) };
    let target_epoch = TargetEpoch { epoch: 4, computed_at: Some(WallMillis(8)) };
    let plain = StoredConsumerMember { classic, ..StoredConsumerMember::default() };
    vec![
        of_g(ConsumerPart::Epoch(Some(GroupEpoch { epoch: 5, metadata_hash: -77 }))),
        of_g(ConsumerPart::OldTopics(true)),
        of_g(ConsumerPart::Member { member: a.clone(), value: Some(Rc::new(said)) }),
        of_g(ConsumerPart::Member { member: b.clone(), value: Some(Rc::new(plain)) }),
        of_g(ConsumerPart::TargetEpoch(Some(target_epoch))),
        of_g(ConsumerPart::TargetEpoch(Some(TargetEpoch { epoch: 4, computed_at: None }))),
        of_g(ConsumerPart::Target { member: a.clone(), value: Some(Rc::new(set)) }),
        of_g(ConsumerPart::Target { member: b.clone(), value: Some(Rc::default()) }),
        of_g(ConsumerPart::Current { member: a.clone(), value: Some(Rc::new(current)) }),
        of_g(ConsumerPart::Current { member: b, value: Some(Rc::default()) }),
        of_g(ConsumerPart::Regex { regex: Str::from("v.*"), value: Some(Rc::new(regex)) }),
    ]
}

fn tombstone_of(record: &DurableRecord) -> DurableRecord {
    let DurableRecord::Consumer { part, .. } = record else { panic!("a part") };
    of_g(match part.clone() {
        ConsumerPart::Epoch(_) => ConsumerPart::Epoch(None),
        ConsumerPart::OldTopics(_) => ConsumerPart::OldTopics(false),
        ConsumerPart::TargetEpoch(_) => ConsumerPart::TargetEpoch(None),
        ConsumerPart::Member { member, .. } => ConsumerPart::Member { member, value: None },
        ConsumerPart::Target { member, .. } => ConsumerPart::Target { member, value: None },
        ConsumerPart::Current { member, .. } => ConsumerPart::Current { member, value: None },
        ConsumerPart::Regex { regex, .. } => ConsumerPart::Regex { regex, value: None },
    })
}

#[test]
fn every_record_survives_its_bytes_and_takes_no_more_than_it_is_said_to() {
    let samples = samples();
    let tombstones: Vec<_> = samples.iter().map(tombstone_of).collect();
    for record in samples.into_iter().chain(tombstones) {
        let encoded = record.encode().unwrap();
        let bytes = encoded.key.len() + encoded.value.as_ref().map_or(0, Bytes::len);
        // Beside key and value, a record of a batch has lengths, deltas and attributes.
        assert!(bytes + 5 * 5 + 2 <= record.bytes_max(), "{record:?}");
        assert_eq!(DurableRecord::decode(&encoded.key, encoded.value.as_ref()), Ok(record));
    }
}

/// KAFKA-17306: a compacted log may bring a tombstone of a group or member that nobody knows.
#[test]
fn tombstones_of_what_is_not_there_are_nothing() {
    let tombstones: Vec<DurableRecord> = samples().iter().map(tombstone_of).collect();
    let groups = replayed(&tombstones);
    assert!(!groups.contains("g"));
    groups.invariants();
    // Also of a group of which other parts are there.
    let (first, rest) = tombstones.split_first().unwrap();
    let epoch = samples().remove(0);
    let groups = replayed([&epoch].into_iter().chain(rest));
    assert_eq!(groups.consumer("g").map(|group| group.epoch()), Some(5));
    assert!(!replayed([&epoch, first]).contains("g"));
}

#[test]
fn a_classic_groups_tombstone_takes_nothing_of_its_successor() {
    let mut world = pair();
    let gone = DurableRecord::GroupGone { group: Str::from("g") };
    let before = durable(&world.groups);
    world.groups.replay(&GroupRecord::Durable(gone.clone()));
    assert_eq!(durable(&world.groups), before);
    let groups = replayed(world.log.iter().chain([&gone]));
    assert_eq!(durable(&groups), before);
}

/// Before 4.1 a record told the topics; since then a hash stands for it, and its tombstone ends it.
#[test]
fn what_an_older_kafka_wrote_is_understood() {
    let key = ConsumerGroupPartitionMetadataKey { group_id: Str::from("g") };
    let value = Some(ConsumerGroupPartitionMetadataValue::default());
    let encoded = KafkaRecord::ConsumerGroupPartitionMetadata { key, value }.encode().unwrap();
    let record = DurableRecord::decode(&encoded.key, encoded.value.as_ref()).unwrap();
    assert_eq!(record, of_g(ConsumerPart::OldTopics(true)));

    // Without the epochs in which partitions were assigned, the member's epoch stands for them.
    let current = samples().remove(8).encode().unwrap();
    let Ok(KafkaRecord::ConsumerGroupCurrentMemberAssignment { key, value: Some(mut value) }) =
        KafkaRecord::decode(&current.key, current.value.as_ref())
    else {
        panic!("a current assignment");
    };
    let without = |of: &mut CurrentPartitions| of.assignment_epochs = None;
    value.assigned_partitions.iter_mut().for_each(without);
    let record = KafkaRecord::ConsumerGroupCurrentMemberAssignment { key, value: Some(value) };
    let encoded = record.encode().unwrap();
    let groups = replayed([&DurableRecord::decode(&encoded.key, encoded.value.as_ref()).unwrap()]);
    let member = groups.consumer("g").unwrap().part_of("a").current();
    assert_eq!(member.assigned.epoch_of(topic_id("t"), PartitionIndex(3)), Some(4));
}

#[test]
fn the_record_of_topics_of_an_older_kafka_ends_with_the_group() {
    let mut world = pair();
    world.groups.replay(&GroupRecord::Durable(of_g(ConsumerPart::OldTopics(true))));
    world.log.clear();
    world.set_topics(&[("t", 5)]);
    world.beat(beats("a", 3)).unwrap();
    assert!(world.log.contains(&of_g(ConsumerPart::OldTopics(false))));
}

fn any_part() -> impl Strategy<Value = ConsumerPart> {
    let name = || prop_oneof![Just("a"), Just("b"), Just("")].prop_map(Str::from);
    let epoch = || -3..9_i32;
    let partitions = || many((0..2_u8, many((0..4_i32).prop_map(PartitionIndex), 0..4)), 0..3);
    let set = move || {
        partitions().prop_map(|of| {
            PartitionSet::new(of.into_iter().map(|(id, of)| (TopicId([id; 16]), of)))
        })
    };
    let owned =
        move || (set(), epoch()).prop_map(|(set, epoch)| OwnedPartitions::since(&set, epoch));
    let state = prop_oneof![
        Just(MemberState::Stable),
        Just(MemberState::UnrevokedPartitions),
        Just(MemberState::UnreleasedPartitions),
        Just(MemberState::Unknown),
    ];
    let current = (epoch(), epoch(), state, owned(), owned()).prop_map(
        |(epoch, previous_epoch, state, assigned, revoking)| CurrentAssignment {
            epoch,
            previous_epoch,
            state,
            assigned,
            revoking,
        },
    );
    let said = (option::of(name()), name(), epoch(), option::of(name()), any::<bool>()).prop_map(
        |(instance, regex, rebalance_timeout_ms, assignor, is_classic)| StoredConsumerMember {
            instance,
            topics: vec![Str::from("t")],
            regex,
            rebalance_timeout_ms,
            assignor,
            classic: is_classic.then(ClassicPart::default),
            ..StoredConsumerMember::default()
        },
    );
    let part = |member: Str, value: Option<PartitionSet>| ConsumerPart::Target {
        member,
        value: value.map(Rc::new),
    };
    prop_oneof![
        option::of((epoch(), any::<i64>())).prop_map(|of| {
            ConsumerPart::Epoch(
                of.map(|(epoch, metadata_hash)| GroupEpoch { epoch, metadata_hash }),
            )
        }),
        any::<bool>().prop_map(ConsumerPart::OldTopics),
        option::of(epoch()).prop_map(|of| {
            ConsumerPart::TargetEpoch(of.map(|epoch| TargetEpoch { epoch, computed_at: None }))
        }),
        (name(), option::of(said))
            .prop_map(|(member, value)| ConsumerPart::Member { member, value: value.map(Rc::new) }),
        (name(), option::of(set())).prop_map(move |(member, value)| part(member, value)),
        (name(), option::of(current)).prop_map(|(member, value)| ConsumerPart::Current {
            member,
            value: value.map(Rc::new)
        }),
        (name(), any::<bool>()).prop_map(|(regex, is_there)| {
            ConsumerPart::Regex { regex, value: is_there.then(Rc::default) }
        }),
    ]
}

proptest! {
    #[test]
    fn no_bytes_panic(
        kind in prop_oneof![0..9_i16, Just(16), any::<i16>()],
        key in many(any::<u8>(), 0..12),
        version in prop_oneof![Just(0_i16), any::<i16>()],
        value in many(any::<u8>(), 0..40),
    ) {
        let name: &[u8] = b"\0\x01g\0\x01a";
        for key in [&[&kind.to_be_bytes()[..], &key].concat(), &[&kind.to_be_bytes()[..], name].concat()] {
            let value = Bytes::from([&version.to_be_bytes()[..], &value].concat());
            let decoded = DurableRecord::decode(&Bytes::copy_from_slice(key), Some(&value));
            let mut groups = Groups::new(settings());
            decoded.iter().for_each(|record| groups.replay(&GroupRecord::Durable(record.clone())));
        }
    }

    /// Also what no coordinator would write: parts of nobody, two owners of one partition, epochs below zero.
    #[test]
    fn whatever_the_log_says_the_last_of_each_key_counts_in_any_order_and_members_are_served(
        parts in many(any_part(), 0..40),
    ) {
        let records: Vec<DurableRecord> = parts.into_iter().map(of_g).collect();
        let mut last: BTreeMap<Bytes, DurableRecord> = BTreeMap::new();
        for record in &records {
            let encoded = record.encode().unwrap();
            let decoded = DurableRecord::decode(&encoded.key, encoded.value.as_ref()).unwrap();
            assert_eq!(&decoded, record);
            last.insert(encoded.key, decoded);
        }
        let groups = replayed(&records);
        assert_eq!(durable(&replayed(last.values())), durable(&groups));
        assert_eq!(durable(&replayed(last.values().rev())), durable(&groups));

        let mut world = World::of_consumers(&[("t", 2)]);
        let topics = Rc::clone(&world.groups.topics);
        world.groups = groups;
        world.groups.set_topics(topics);
        world.groups.on_loaded(world.now());
        world.is_sound = false;
        let joined = world.beat(joins("c", &["t"])).unwrap();
        assert!(joined.member_epoch > 0);
        world.pass(100_000);
        if let Some(group) = world.groups.consumer("g") {
            assert_eq!(group.state(), GroupState::Empty, "sessions end");
        }
    }
}
