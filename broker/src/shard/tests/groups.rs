//! Groups over the wire: the coordinator's log comes with the first of them, answers wait for the disk, and what
//! the log does not take was never said.

use bytes::Bytes;
use coordinator::group::home::partition_of;
use engine::PartitionId;
use protocol::Str;
use protocol::messages::delete_groups::DeleteGroupsRequest;
use protocol::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use protocol::messages::describe_groups::DescribeGroupsRequest;
use protocol::messages::find_coordinator::FindCoordinatorRequest;
use protocol::messages::heartbeat::HeartbeatRequest;
use protocol::messages::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
};
use protocol::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use protocol::messages::list_groups::ListGroupsRequest;
use protocol::messages::metadata::MetadataRequest;
use protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use protocol::messages::sync_group::{
    SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse,
};

use super::code;
use super::produce_and_fetch::create;
use super::world::{Client, World};
use crate::shard::mail::Mail;

const FIND: i16 = 5;
const JOIN: i16 = 9;
const SYNC: i16 = 5;
const COMMIT: i16 = 9;
const FETCH: i16 = 9;
/// After two data shards and the controller.
const COORDINATOR: usize = 3;
pub(super) const GROUP: &str = "analytics";

/// A world with a topic of two partitions and the coordinator's log.
pub(super) fn with_coordinator() -> (World, Client) {
    let mut world = World::new(2);
    let client = world.connect(0);
    create(&mut world, client, "t", 2);
    let found = find(&mut world, client);
    assert_eq!(found, (0, 1, "h".to_owned(), 9));
    (world, client)
}

pub(super) fn find(world: &mut World, client: Client) -> (i16, i32, String, i32) {
    let request = FindCoordinatorRequest {
        coordinator_keys: vec![Str::from(GROUP)],
        ..FindCoordinatorRequest::default()
    };
    let response = world.ask(client, FIND, request);
    let found = &response.coordinators[0];
    (found.error_code, found.node_id, found.host.to_string(), found.port)
}

fn join(member: &str) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: Str::from(GROUP),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        member_id: Str::from(member),
        protocol_type: Str::from("consumer"),
        protocols: vec![JoinGroupRequestProtocol {
            name: Str::from("range"),
            metadata: Bytes::from_static(b"topics"),
        }],
        ..JoinGroupRequest::default()
    }
}

/// A lonely member of a stable group; gives its id and generation.
fn joined(world: &mut World, client: Client) -> (Str, i32) {
    let given = world.ask(client, JOIN, join(""));
    assert_eq!(given.error_code, code::MEMBER_ID_REQUIRED);
    assert!(given.member_id.starts_with("test-"), "{}", given.member_id);
    world.send(client, JOIN, join(&given.member_id));
    world.settle();
    assert!(world.response::<JoinGroupResponse>(client, JOIN).is_none(), "more may come");
    world.advance_ms(3_000);
    world.settle();
    let joined = world.response::<JoinGroupResponse>(client, JOIN).expect("the rebalance is over");
    assert_eq!((joined.error_code, &joined.leader), (0, &joined.member_id));
    let assigned = SyncGroupRequestAssignment {
        member_id: joined.member_id.clone(),
        assignment: Bytes::from_static(b"both"),
    };
    let request = SyncGroupRequest {
        group_id: Str::from(GROUP),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        protocol_type: Some(Str::from("consumer")),
        protocol_name: Some(Str::from("range")),
        assignments: vec![assigned],
        ..SyncGroupRequest::default()
    };
    world.send(client, SYNC, request);
    assert!(world.response::<SyncGroupResponse>(client, SYNC).is_none(), "it is not durable yet");
    world.settle();
    let synced = world.response::<SyncGroupResponse>(client, SYNC).expect("it is durable");
    assert_eq!((synced.error_code, synced.assignment), (0, Bytes::from_static(b"both")));
    (joined.member_id, joined.generation_id)
}

fn commit(member: &str, generation: i32, topic: &str, offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition {
        partition_index: 1,
        committed_offset: offset,
        committed_leader_epoch: 4,
        committed_metadata: Some(Str::from("where I was")),
    };
    OffsetCommitRequest {
        group_id: Str::from(GROUP),
        generation_id_or_member_epoch: generation,
        member_id: Str::from(member),
        topics: vec![OffsetCommitRequestTopic {
            name: Str::from(topic),
            partitions: vec![partition],
        }],
        ..OffsetCommitRequest::default()
    }
}

fn commit_code(response: &OffsetCommitResponse) -> i16 {
    response.topics[0].partitions[0].error_code
}

/// Error of the group, offset, leader epoch and metadata of partition 1.
fn committed(world: &mut World, client: Client) -> (i16, i64, i32, String) {
    let topic = OffsetFetchRequestTopics { name: Str::from("t"), partition_indexes: vec![1] };
    let group = OffsetFetchRequestGroup {
        group_id: Str::from(GROUP),
        topics: Some(vec![topic]),
        ..OffsetFetchRequestGroup::default()
    };
    let request = OffsetFetchRequest { groups: vec![group], ..OffsetFetchRequest::default() };
    let response = world.ask(client, FETCH, request);
    let group = &response.groups[0];
    let Some(topic) = group.topics.first() else {
        return (group.error_code, -1, -1, String::new());
    };
    let found = &topic.partitions[0];
    let metadata = found.metadata.as_deref().unwrap_or_default().to_owned();
    (group.error_code, found.committed_offset, found.committed_leader_epoch, metadata)
}

#[test]
fn the_first_group_brings_the_coordinators_log_and_this_node_coordinates() {
    let (mut world, client) = with_coordinator();
    let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
    let response = world.ask(client, 12, request);
    let topic = |name: &str| {
        let found = response.topics.iter().find(|topic| topic.name.as_deref() == Some(name));
        found.map(|topic| (topic.is_internal, topic.partitions.len()))
    };
    assert_eq!(topic("__consumer_offsets"), Some((true, 50)));
    // From another shard, which asks for what is there.
    let other = world.connect(1);
    assert_eq!(find(&mut world, other).0, 0);
    let request = FindCoordinatorRequest {
        key_type: 1,
        coordinator_keys: vec![Str::from("transactional")],
        ..FindCoordinatorRequest::default()
    };
    let response = world.ask(client, FIND, request);
    assert_eq!(response.coordinators[0].error_code, code::COORDINATOR_NOT_AVAILABLE);
}

#[test]
fn without_the_coordinators_log_nobody_coordinates_and_there_are_no_groups() {
    let mut world = World::new(1);
    let client = world.connect(0);
    let response = world.ask(client, 4, HeartbeatRequest::default());
    assert_eq!(response.error_code, code::NOT_COORDINATOR);
    let response = world.ask(client, 5, ListGroupsRequest::default());
    assert_eq!((response.error_code, response.groups), (0, vec![]));
}

#[test]
fn a_member_joins_commits_and_leaves_and_the_group_keeps_its_place() {
    let (mut world, client) = with_coordinator();
    let (member, generation) = joined(&mut world, client);
    let heartbeat = HeartbeatRequest {
        group_id: Str::from(GROUP),
        generation_id: generation,
        member_id: member.clone(),
        ..HeartbeatRequest::default()
    };
    assert_eq!(world.ask(client, 4, heartbeat.clone()).error_code, 0);
    let response = world.ask(client, COMMIT, commit(&member, generation, "t", 1_048));
    assert_eq!(commit_code(&response), 0);
    assert_eq!(committed(&mut world, client), (0, 1_048, 4, "where I was".to_owned()));
    let response = world.ask(client, COMMIT, commit(&member, generation + 1, "t", 9_999));
    assert_eq!(commit_code(&response), code::ILLEGAL_GENERATION);
    let response = world.ask(client, COMMIT, commit(&member, generation, "nothing", 1));
    assert_eq!(commit_code(&response), code::UNKNOWN_TOPIC_OR_PARTITION);

    let request = DescribeGroupsRequest {
        groups: vec![Str::from(GROUP), Str::from("nobody")],
        include_authorized_operations: true,
    };
    let response = world.ask(client, 6, request);
    let [known, unknown] = &response.groups[..] else { panic!("two groups: {response:?}") };
    assert_eq!(
        (known.error_code, &*known.group_state, &*known.protocol_data),
        (0, "Stable", "range")
    );
    let shown = &known.members[0];
    assert_eq!((&shown.member_id, &*shown.client_id), (&member, "test"));
    assert_eq!((&*shown.client_host, &*shown.member_assignment), ("/127.0.0.1", &b"both"[..]));
    assert_eq!(known.authorized_operations, 3_400);
    assert_eq!(unknown.error_code, code::GROUP_ID_NOT_FOUND);
    assert_eq!(&*unknown.group_state, "Dead");

    let delete = DeleteGroupsRequest { groups_names: vec![Str::from(GROUP), Str::from("nobody")] };
    let response = world.ask(client, 2, delete.clone());
    let codes: Vec<i16> = response.results.iter().map(|result| result.error_code).collect();
    let refused = [code::NON_EMPTY_GROUP, code::GROUP_ID_NOT_FOUND];
    assert_eq!(codes, refused);

    let leaving = MemberIdentity { member_id: member, ..MemberIdentity::default() };
    let leave = LeaveGroupRequest {
        group_id: Str::from(GROUP),
        members: vec![leaving],
        ..LeaveGroupRequest::default()
    };
    let response = world.ask(client, 5, leave);
    assert_eq!((response.error_code, response.members[0].error_code), (0, 0));
    let gone = world.ask(client, 4, heartbeat);
    assert_eq!(gone.error_code, code::UNKNOWN_MEMBER_ID);
    assert_eq!(committed(&mut world, client).1, 1_048);
    assert_eq!(world.ask(client, 2, delete).results[0].error_code, 0);
    assert_eq!(committed(&mut world, client), (0, -1, -1, String::new()));
}

#[test]
fn a_commit_is_answered_when_it_is_durable() {
    let (mut world, client) = with_coordinator();
    world.send(client, COMMIT, commit("", -1, "t", 7));
    assert!(world.response::<OffsetCommitResponse>(client, COMMIT).is_none(), "it is not durable");
    world.settle();
    let response = world.response::<OffsetCommitResponse>(client, COMMIT).expect("an answer");
    assert_eq!(commit_code(&response), 0);
}

#[test]
fn a_member_that_is_not_heard_of_has_left() {
    let (mut world, client) = with_coordinator();
    joined(&mut world, client);
    world.advance_ms(9_999);
    let state = |world: &mut World| {
        let response = world.ask(client, 5, ListGroupsRequest::default());
        response.groups[0].group_state.to_string()
    };
    assert_eq!(state(&mut world), "Stable");
    world.advance_ms(2);
    assert_eq!(state(&mut world), "Empty");
}

/// What the log refused was never committed, and the groups are loaded anew from what it has.
#[test]
fn a_commit_that_the_log_refuses_is_none() {
    let (mut world, client) = with_coordinator();
    let response = world.ask(client, COMMIT, commit("", -1, "t", 7));
    assert_eq!(commit_code(&response), 0);
    world.send(client, COMMIT, commit("", -1, "t", 8));
    world.fail_disk();
    let response = world.response::<OffsetCommitResponse>(client, COMMIT).expect("an answer");
    assert_eq!(commit_code(&response), code::NOT_COORDINATOR);
    let (code, offset, ..) = committed(&mut world, client);
    assert_eq!(offset, -1, "a failed log directory serves nothing");
    assert_eq!(code, code::COORDINATOR_NOT_AVAILABLE);
}

#[test]
fn groups_forget_where_they_were_in_a_topic_that_is_deleted() {
    let (mut world, client) = with_coordinator();
    world.ask(client, COMMIT, commit("", -1, "t", 7));
    let topics = vec![DeleteTopicState { name: Some(Str::from("t")), ..Default::default() }];
    let delete = DeleteTopicsRequest { topics, timeout_ms: 1_000, ..Default::default() };
    assert_eq!(world.ask(client, 6, delete).responses[0].error_code, 0);
    create(&mut world, client, "t", 2);
    assert_eq!(committed(&mut world, client), (0, -1, -1, String::new()));
}

/// Otherwise a connection could not be drained until the rebalance is over.
#[test]
fn who_waits_for_a_rebalance_is_answered_when_the_node_ends() {
    let (mut world, client) = with_coordinator();
    let given = world.ask(client, JOIN, join(""));
    world.send(client, JOIN, join(&given.member_id));
    world.settle();
    world.tell(0, Mail::Drain);
    let response = world.response::<JoinGroupResponse>(client, JOIN).expect("an answer");
    assert_eq!(response.error_code, code::NOT_COORDINATOR);
    assert!(world.main.iter().any(|mail| matches!(mail, Mail::Drained)));
}

/// 1,200 members that waited for a rebalance with 15 KB each had all the memory of small requests: heartbeats of
/// other groups waited half a minute.
#[test]
fn who_waits_for_a_rebalance_holds_no_memory_of_requests() {
    let (mut world, client) = with_coordinator();
    let held = |world: &World| world.shard(0).front.connections.request_bytes_held();
    let metadata = Bytes::from(vec![7; 12_000]);
    let protocol = JoinGroupRequestProtocol { name: Str::from("range"), metadata };
    let large =
        |member: &str| JoinGroupRequest { protocols: vec![protocol.clone()], ..join(member) };
    let given = world.ask(client, JOIN, large(""));
    world.send(client, JOIN, large(&given.member_id));
    world.settle();
    assert_eq!(held(&world), 0);
    assert_eq!(world.shard(0).progress.group_waits, 1);
    world.advance_ms(3_000);
    world.settle();
    let joined = world.response::<JoinGroupResponse>(client, JOIN).expect("the rebalance is over");
    assert_eq!((joined.error_code, joined.members[0].metadata.len()), (0, 12_000));

    // Another that does not lead, so that it waits for its assignment.
    let other = world.connect(0);
    let given = world.ask(other, JOIN, join(""));
    world.send(other, JOIN, join(&given.member_id));
    world.send(client, JOIN, large(&joined.member_id));
    world.settle();
    let joined = world.response::<JoinGroupResponse>(other, JOIN).expect("both have joined");
    let request = SyncGroupRequest {
        group_id: Str::from(GROUP),
        generation_id: joined.generation_id,
        member_id: joined.member_id,
        protocol_type: Some(Str::from("consumer")),
        protocol_name: Some(Str::from("range")),
        ..SyncGroupRequest::default()
    };
    world.send(other, SYNC, request);
    world.settle();
    assert!(world.response::<SyncGroupResponse>(other, SYNC).is_none(), "the leader assigns");
    assert_eq!((held(&world), world.shard(0).progress.group_waits), (0, 1));
}

/// A client id of nearly 32,767 bytes left no room for the rest of the member id: it was cut in the answer, and
/// nobody knew the member.
#[test]
fn a_member_of_a_very_long_client_id_is_known() {
    let (mut world, client) = with_coordinator();
    let named = "ü".repeat(6_000);
    world.send_as(&named, client, JOIN, join(""));
    world.settle();
    let given = world.response::<JoinGroupResponse>(client, JOIN).unwrap();
    assert!(given.member_id.starts_with("üüü") && given.member_id.len() < 300);
}

/// Groups had bounds of their own each, and no bound together: 300 of them with 4 MiB of offsets took 1.3 GB.
#[test]
fn groups_take_no_more_memory_than_they_may() {
    let (mut world, client) = with_coordinator();
    let mut refused = Vec::new();
    for at in 0..200 {
        let mut request = commit("", -1, "t", at);
        request.group_id = Str::from(format!("group-{at}"));
        request.topics[0].partitions[0].committed_metadata = Some(Str::from("x".repeat(4_096)));
        let response = world.ask(client, COMMIT, request);
        if commit_code(&response) != 0 {
            assert_eq!(commit_code(&response), code::COORDINATOR_NOT_AVAILABLE);
            refused.push(at);
        }
    }
    let first = refused[0];
    assert_eq!(refused, (first..200).collect::<Vec<_>>(), "from the first on, all");
    let snapshot = world.shard(COORDINATOR).groups.snapshot();
    assert!(snapshot.bytes > snapshot.bytes_max / 2 && snapshot.bytes < snapshot.bytes_max);

    let mut request = commit("", -1, "t", 1_000);
    request.group_id = Str::from("group-0");
    request.topics[0].partitions[0].committed_metadata = Some(Str::from("x".repeat(4_096)));
    let response = world.ask(client, COMMIT, request);
    assert_eq!(commit_code(&response), 0, "offsets that are there are moved");

    let groups_names = (0..50).map(|at| Str::from(format!("group-{at}"))).collect();
    let deleted = world.ask(client, 2, DeleteGroupsRequest { groups_names });
    assert!(deleted.results.iter().all(|result| result.error_code == 0));
    let response = world.ask(client, COMMIT, commit("", -1, "t", 7));
    assert_eq!(commit_code(&response), 0, "there is room again");
}

fn partition_of_group(world: &World) -> PartitionId {
    let topic = world.shard(COORDINATOR).replica.topic_by_name("__consumer_offsets").unwrap();
    PartitionId { topic_id: topic.id(), partition: partition_of(GROUP, topic.partitions().len()) }
}

/// Groups that were being loaded did not hear that a topic was deleted: their offsets counted for the next topic of
/// that name.
#[test]
fn offsets_of_a_topic_that_went_while_groups_were_loaded_are_forgotten() {
    let (mut world, client) = with_coordinator();
    let committed_code = commit_code(&world.ask(client, COMMIT, commit("", -1, "t", 7)));
    assert_eq!(committed_code, 0);
    let id = partition_of_group(&world);
    world.shard_mut(COORDINATOR).unload_groups(id);
    let request = DeleteTopicsRequest {
        topics: vec![DeleteTopicState { name: Some(Str::from("t")), ..Default::default() }],
        timeout_ms: 1_000,
        ..Default::default()
    };
    let deleted = world.ask(client, 6, request);
    assert_eq!(deleted.responses[0].error_code, 0);
    create(&mut world, client, "t", 2);
    world.shard_mut(COORDINATOR).begin_loading_groups(id);
    for _ in 0..3 {
        world.advance_ms(1);
        world.settle();
    }
    assert_eq!(committed(&mut world, client), (0, -1, -1, String::new()));
}

/// Kafka knows a group without a name: offsets may be committed for it, and it may be deleted.
#[test]
fn a_group_without_a_name_is_deleted() {
    let (mut world, client) = with_coordinator();
    let request = OffsetCommitRequest { group_id: Str::from(""), ..commit("", -1, "t", 7) };
    assert_eq!(commit_code(&world.ask(client, COMMIT, request)), 0);
    let request = DeleteGroupsRequest { groups_names: vec![Str::from("")] };
    let code = |world: &mut World| world.ask(client, 2, request.clone()).results[0].error_code;
    assert_eq!([code(&mut world), code(&mut world)], [0, code::GROUP_ID_NOT_FOUND]);
}
