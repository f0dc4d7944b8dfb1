//! The log's bytes: what this machine writes and what Kafka wrote.

use alloc::{vec, vec::Vec};

use bytes::Bytes;
use proptest::{
    collection, option,
    prelude::{Just, Strategy, any, prop_oneof, proptest},
};
use protocol::{
    LeaderEpoch, Offset, PartitionIndex, Str, TopicId,
    group_record::{
        GroupMetadataKey, GroupMetadataValue, GroupRecord as KafkaRecord, GroupRecordError,
        MemberMetadata,
    },
};

use super::{World, bytes};
use crate::{
    group::{
        ClassicGroup, CommittedOffset, Due, DurableRecord, GroupRecord, GroupSettings, Groups,
        classic::ClassicState,
        record::{StoredClassicGroup, StoredMember},
        subscribed::SubscribedTopics,
    },
    metadata::WallMillis,
};

/// What a record of a batch has before key and value: lengths, deltas, attributes.
const BATCH_SHARE_BYTES: usize = 5 * 5 + 2;

fn g() -> Str {
    Str::from("g")
}

fn stored() -> StoredClassicGroup {
    let member = |name: &str, instance: Option<&str>| StoredMember {
        member: Str::from(name),
        instance: instance.map(Str::from),
        client_id: Str::from("client"),
        client_host: Str::from("/10.0.0.1"),
        rebalance_timeout_ms: 60_000,
        session_timeout_ms: 10_000,
        subscription: bytes("wants"),
        assignment: bytes("has"),
    };
    StoredClassicGroup {
        protocol_type: Str::from("consumer"),
        generation: 7,
        protocol: Some(Str::from("range")),
        leader: Some(Str::from("a")),
        state_since: Some(WallMillis(1_700_000_000_000)),
        members: vec![member("a", None), member("b", Some("i"))],
    }
}

fn offset(value: CommittedOffset) -> DurableRecord {
    DurableRecord::Offset { group: g(), topic: Str::from("t"), partition: PartitionIndex(3), value }
}

fn offset_gone() -> DurableRecord {
    DurableRecord::OffsetGone { group: g(), topic: Str::from("t"), partition: PartitionIndex(3) }
}

fn replayed(records: &[DurableRecord]) -> Groups {
    let mut groups = Groups::new(GroupSettings::default());
    for record in records {
        groups.replay(&GroupRecord::Durable(record.clone()));
        groups.invariants();
    }
    groups
}

fn decoded(record: &KafkaRecord) -> Result<DurableRecord, GroupRecordError> {
    let encoded = record.encode().unwrap();
    DurableRecord::decode(&encoded.key, encoded.value.as_ref())
}

#[test]
fn every_record_survives_its_bytes() {
    let plain = CommittedOffset { offset: Offset(5), ..CommittedOffset::default() };
    let epoch = Some(LeaderEpoch(2));
    let records = [
        DurableRecord::ClassicGroup { group: g(), value: stored() },
        DurableRecord::ClassicGroup { group: g(), value: StoredClassicGroup::default() },
        DurableRecord::GroupGone { group: g() },
        offset(plain.clone()),
        offset(CommittedOffset {
            leader_epoch: epoch,
            metadata: Str::from("m"),
            committed_at: WallMillis(9),
            ..plain.clone()
        }),
        offset(CommittedOffset {
            leader_epoch: epoch,
            topic_id: TopicId([1; 16]),
            ..plain.clone()
        }),
        offset(CommittedOffset { expires_at: Some(WallMillis(9)), ..plain }),
        offset_gone(),
        DurableRecord::Apart { key: Bytes::from_static(b"\0\x0bshare"), value: Some(bytes("x")) },
        DurableRecord::Apart { key: Bytes::from_static(b"\0\x0bshare"), value: None },
    ];
    for record in records {
        let encoded = record.encode().unwrap();
        let bytes = encoded.key.len() + encoded.value.as_ref().map_or(0, Bytes::len);
        assert!(bytes + BATCH_SHARE_BYTES <= record.bytes_max(), "{record:?}");
        assert_eq!(DurableRecord::decode(&encoded.key, encoded.value.as_ref()), Ok(record));
    }
}

#[test]
fn a_string_that_no_record_can_carry_is_refused() {
    let record = DurableRecord::GroupGone { group: Str::from("x".repeat(32_768)) };
    assert!(record.encode().is_err());
}

#[test]
fn records_of_other_kinds_of_groups_are_kept_apart_and_fail_nothing() {
    let keys = [b"\0\x0b\0\x01g", b"\0\x11\0\x01g"].map(|key| Bytes::from_static(key));
    let unknown =
        |key| DurableRecord::decode(key, Some(&bytes("what a later Kafka knows"))).unwrap();
    let records = keys.each_ref().map(unknown);
    let mut groups = replayed(&records);
    assert_eq!((groups.apart_count(), groups.iter().count()), (2, 0));

    let gone = DurableRecord::decode(&keys[0], None).unwrap();
    groups.replay(&GroupRecord::Durable(gone.clone()));
    groups.replay(&GroupRecord::Durable(gone));
    assert_eq!(groups.apart_count(), 1);
}

#[test]
fn what_should_be_known_and_cannot_be_read_is_an_error() {
    let encoded = DurableRecord::ClassicGroup { group: g(), value: stored() }.encode().unwrap();
    let value = encoded.value.unwrap();
    let later = Bytes::from([&[0, 99], &value[2..]].concat());
    let refused = Err(GroupRecordError::UnsupportedVersion { code: 2, version: 99 });
    assert_eq!(DurableRecord::decode(&encoded.key, Some(&later)), refused);
    for length in 0..value.len() {
        let cut = value.slice(..length);
        assert!(DurableRecord::decode(&encoded.key, Some(&cut)).is_err(), "{length}");
    }
}

#[test]
fn tombstones_of_what_is_not_there_are_nothing() {
    let nothing = [
        offset_gone(),
        DurableRecord::GroupGone { group: g() },
        DurableRecord::Apart { key: bytes("k"), value: None },
    ];
    let groups = replayed(&nothing);
    assert_eq!((groups.iter().count(), groups.apart_count()), (0, 0));
}

fn any_stored() -> impl Strategy<Value = StoredClassicGroup> {
    let name = || prop_oneof![Just("a"), Just("b"), Just("c"), Just("")].prop_map(Str::from);
    let member = (name(), option::of(name()), -2..20_000_i32, -2..20_000_i32, 0..3_usize);
    let member = member.prop_map(|(member, instance, session, rebalance, said)| StoredMember {
        member,
        instance,
        rebalance_timeout_ms: rebalance,
        session_timeout_ms: session,
        subscription: Bytes::from(vec![0; said * 3]),
        ..StoredMember::default()
    });
    (name(), any::<i32>(), option::of(name()), option::of(name()), collection::vec(member, 0..5))
        .prop_map(|(protocol_type, generation, protocol, leader, members)| StoredClassicGroup {
            protocol_type,
            generation,
            protocol,
            leader,
            state_since: None,
            members,
        })
}

/// Their coordinator tried again at once, and again, until their sessions ended.
#[test]
fn static_members_who_give_a_rebalance_no_time_do_not_keep_their_coordinator_busy() {
    let mut value = stored();
    for (member, (instance, session_ms)) in
        value.members.iter_mut().zip([("i", 1_000), ("j", 20_000)])
    {
        member.instance = Some(Str::from(instance));
        (member.session_timeout_ms, member.rebalance_timeout_ms) = (session_ms, 0);
    }
    let mut world = World::new();
    world.groups = replayed(&[DurableRecord::ClassicGroup { group: g(), value }]);
    world.groups.on_loaded(world.now());
    let mut turns = 0;
    while world.now_ms < 10_000 {
        world.now_ms = world.now_ms.max(world.groups.deadline_ms().unwrap());
        world.run(&Due);
        turns += 1;
        assert!(turns < 100, "still at {} ms", world.now_ms);
    }
    assert_eq!(world.groups.get("g").unwrap().member_count(), 1);
}

proptest! {
    /// Also one that no coordinator would write: two members of one id or instance, a leader who is none.
    #[test]
    fn whatever_a_groups_record_says_it_is_loaded_and_ends_with_its_sessions(
        value in any_stored(),
    ) {
        let record = DurableRecord::ClassicGroup { group: g(), value };
        let encoded = record.encode().unwrap();
        let record = DurableRecord::decode(&encoded.key, encoded.value.as_ref()).unwrap();
        let mut world = World::new();
        world.groups = replayed(&[record]);
        world.groups.on_loaded(world.now());
        world.pass(100_000);
        assert_eq!(world.groups.get("g").map_or(0, ClassicGroup::member_count), 0);
    }
}

/// Its first instance id stayed with it, and no member had that.
#[test]
fn a_member_that_is_stored_twice_counts_as_it_is_stored_last() {
    let mut value = stored();
    for (member, instance) in value.members.iter_mut().zip(["i", "j"]) {
        member.member = Str::from("a");
        member.instance = Some(Str::from(instance));
    }
    let groups = replayed(&[DurableRecord::ClassicGroup { group: g(), value }]);
    let members: Vec<_> = groups.get("g").unwrap().members().collect();
    assert_eq!(members.len(), 1);
    assert_eq!(members[0].1.instance.as_deref(), Some("j"));
}

#[test]
fn a_group_and_its_offsets_may_come_in_any_order() {
    let group = DurableRecord::ClassicGroup { group: g(), value: stored() };
    let offset = offset(CommittedOffset { offset: Offset(5), ..CommittedOffset::default() });
    let gone = DurableRecord::GroupGone { group: g() };
    for records in [[group.clone(), offset.clone()], [offset.clone(), group.clone()]] {
        let groups = replayed(&records);
        assert_eq!(groups.get("g").unwrap().state(), ClassicState::Stable);
        assert_eq!(groups.get("g").unwrap().generation(), 7);
        assert_eq!(groups.offsets_of("g").map(|offsets| offsets.len()), Some(1));
    }
    // The group's tombstone takes no offset with it that stands in the log.
    for records in [[gone.clone(), offset.clone()], [offset, gone]] {
        let groups = replayed(&records);
        assert_eq!(groups.get("g").unwrap().state(), ClassicState::Empty);
        assert_eq!(groups.offsets_of("g").map(|offsets| offsets.len()), Some(1));
    }
}

#[test]
fn groups_that_an_older_kafka_stored_are_understood() {
    let member = MemberMetadata {
        member_id: Str::from("a"),
        session_timeout: 30_000,
        rebalance_timeout: -1,
        ..MemberMetadata::default()
    };
    let value = GroupMetadataValue {
        protocol_type: Str::from("consumer"),
        generation: 4,
        protocol: Some(Str::from("range")),
        leader: Some(Str::from("somebody who is not there")),
        current_state_timestamp: -1,
        members: vec![member],
    };
    let key = GroupMetadataKey { group_id: g() };
    let record = decoded(&KafkaRecord::GroupMetadata { key, value: Some(value) }).unwrap();
    let groups = replayed(&[record]);
    let group = groups.get("g").unwrap();
    assert_eq!(group.state_since(), None);
    assert_eq!(group.leader().map(|leader| &**leader), Some("a"), "a leader is a member");
    let members: Vec<_> = group.members().map(|(_, of)| of.rebalance_timeout_ms).collect();
    assert_eq!(members, [30_000]);
    assert_eq!(*group.subscribed_topics(), SubscribedTopics::Unknown);
}
