//! Small requests do not make large responses: what is named many times is answered as far as there is room.

use protocol::Str;
use protocol::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};

use super::code;
use super::groups::{GROUP, with_coordinator};
use super::produce_and_fetch::create;
use super::world::{Client, World};
use crate::limits::COLLECTED_SHARE_DIVISOR;

const COMMIT: i16 = 9;
const FETCH: i16 = 8;
const METADATA_BYTES: usize = 4_096;

/// What one request may collect in an idle shard.
fn room(world: &World, client: Client) -> usize {
    world.shard(client.shard).front.responses_bytes_max / COLLECTED_SHARE_DIVISOR
}

/// Two offsets with much metadata.
fn commit(world: &mut World, client: Client) {
    let partition = |partition_index| OffsetCommitRequestPartition {
        partition_index,
        committed_offset: 5,
        committed_leader_epoch: -1,
        committed_metadata: Some(Str::from("x".repeat(METADATA_BYTES).as_str())),
    };
    let topic = OffsetCommitRequestTopic {
        name: Str::from("t"),
        partitions: (0..2).map(partition).collect(),
    };
    let request = OffsetCommitRequest {
        group_id: Str::from(GROUP),
        generation_id_or_member_epoch: -1,
        topics: vec![topic],
        ..OffsetCommitRequest::default()
    };
    let response = world.ask(client, COMMIT, request);
    assert_eq!(response.topics[0].partitions[1].error_code, 0);
}

fn fetch(groups: usize, topics: Option<Vec<OffsetFetchRequestTopics>>) -> OffsetFetchRequest {
    let group = OffsetFetchRequestGroup {
        group_id: Str::from(GROUP),
        topics,
        ..OffsetFetchRequestGroup::default()
    };
    OffsetFetchRequest { groups: vec![group; groups], ..OffsetFetchRequest::default() }
}

/// 600 times one group with 1,000 such offsets: a request of 2.4 KB that ended the node.
#[test]
fn a_group_that_is_named_very_often_is_answered_as_far_as_there_is_room() {
    let (mut world, client) = with_coordinator();
    commit(&mut world, client);
    let named = 900;
    let response = world.ask(client, FETCH, fetch(named, None));
    let codes: Vec<i16> = response.groups.iter().map(|group| group.error_code).collect();
    let answered = codes.iter().take_while(|code| **code == 0).count();
    assert!(answered > 100 && answered * 2 * METADATA_BYTES <= room(&world, client), "{answered}");
    let refused = vec![code::COORDINATOR_NOT_AVAILABLE; named - answered];
    assert_eq!(codes[answered..], refused, "and clients ask again for these");
    let again = world.ask(client, FETCH, fetch(1, None));
    assert_eq!(again.groups[0].error_code, 0, "the room is there again");
    assert_eq!(world.shard(client.shard).front.collected_bytes, 0);
}

#[test]
fn what_never_fits_into_a_response_is_refused_for_good() {
    let (mut world, client) = with_coordinator();
    commit(&mut world, client);
    let times = room(&world, client) / METADATA_BYTES;
    let topic =
        OffsetFetchRequestTopics { name: Str::from("t"), partition_indexes: vec![0; times] };
    let response = world.ask(client, FETCH, fetch(1, Some(vec![topic])));
    assert_eq!(response.groups[0].error_code, code::INVALID_REQUEST);
}

#[test]
fn a_topic_that_is_named_often_is_told_once() {
    let mut world = World::new(1);
    let client = world.connect(0);
    create(&mut world, client, "t", 3);
    let topic = MetadataRequestTopic { name: Some(Str::from("t")), ..Default::default() };
    let request = MetadataRequest { topics: Some(vec![topic; 500]), ..Default::default() };
    let response = world.ask(client, 9, request);
    let partitions: Vec<usize> = response.topics.iter().map(|of| of.partitions.len()).collect();
    assert_eq!(partitions, [3]);
}

#[test]
fn resources_without_number_are_described_as_far_as_there_is_room() {
    let mut world = World::new(1);
    let client = world.connect(0);
    let resource = DescribeConfigsResource {
        resource_type: 4,
        resource_name: Str::from("1"),
        ..Default::default()
    };
    let named = 2_000;
    let request = DescribeConfigsRequest {
        resources: vec![resource; named],
        include_synonyms: true,
        include_documentation: true,
    };
    let response = world.ask(client, 4, request);
    let answered = response.results.iter().filter(|result| result.error_code == 0).count();
    assert!((1..named).contains(&answered), "{answered}");
    let last = &response.results[named - 1];
    assert_eq!((last.error_code, last.configs.len()), (code::INVALID_REQUEST, 0));
}
