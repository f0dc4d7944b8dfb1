//! Configurations of single groups over the wire, from the operator's request to what members are told.

use protocol::Str;
use protocol::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
};
use protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
};
use protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse, AlterableConfig,
    IncrementalAlterConfigsRequest,
};
use protocol::messages::list_config_resources::ListConfigResourcesRequest;
use protocol::messages::list_groups::ListGroupsRequest;

use super::code;
use super::groups::{GROUP, find, with_coordinator};
use super::produce_and_fetch::create;
use super::world::{Client, World};

const OF_GROUPS: i8 = 32;
const SESSION: &str = "consumer.session.timeout.ms";
const HEARTBEAT: &str = "consumer.heartbeat.interval.ms";

/// Sets or, without a value, deletes one property of a group.
fn alter(
    world: &mut World,
    client: Client,
    (group, name, value): (&str, &str, Option<&str>),
) -> AlterConfigsResourceResponse {
    let config = AlterableConfig {
        name: Str::from(name),
        config_operation: if value.is_some() { 0 } else { 1 },
        value: value.map(Str::from),
    };
    let resource = AlterConfigsResource {
        resource_type: OF_GROUPS,
        resource_name: Str::from(group),
        configs: vec![config],
    };
    let request =
        IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    world.ask(client, 1, request).responses.remove(0)
}

fn set(world: &mut World, client: Client, name: &str, value: &str) {
    let answer = alter(world, client, (GROUP, name, Some(value)));
    assert_eq!((answer.error_code, answer.resource_type, &*answer.resource_name), (0, 32, GROUP));
}

fn describe(world: &mut World, client: Client, name: &str) -> DescribeConfigsResourceResult {
    let resource = DescribeConfigsResource {
        resource_type: OF_GROUPS,
        resource_name: Str::from(GROUP),
        // Asks for all, as no list does.
        configuration_keys: Some(Vec::new()),
    };
    let request = DescribeConfigsRequest {
        resources: vec![resource],
        include_synonyms: true,
        include_documentation: true,
    };
    let mut response = world.ask(client, 4, request);
    let result = response.results.remove(0);
    assert_eq!((result.error_code, result.configs.len()), (0, 17));
    result.configs.into_iter().find(|config| *config.name == *name).expect("it is listed")
}

fn heartbeat(world: &mut World, client: Client, epoch: i32) -> ConsumerGroupHeartbeatResponse {
    let is_new = epoch == 0;
    let request = ConsumerGroupHeartbeatRequest {
        group_id: Str::from(GROUP),
        member_id: Str::from("AAAAAAAAAAAAAAAAAAAAAA"),
        member_epoch: epoch,
        rebalance_timeout_ms: if is_new { 60_000 } else { -1 },
        subscribed_topic_names: is_new.then(|| vec![Str::from("t")]),
        topic_partitions: is_new.then(Vec::new),
        ..ConsumerGroupHeartbeatRequest::default()
    };
    world.ask(client, 1, request)
}

fn group_state(world: &mut World, client: Client) -> String {
    let response = world.ask(client, 5, ListGroupsRequest::default());
    response.groups[0].group_state.to_string()
}

#[test]
fn a_group_has_its_own_heartbeat_interval_and_session_timeout() {
    let (mut world, client) = with_coordinator();
    set(&mut world, client, SESSION, "7000");
    set(&mut world, client, HEARTBEAT, "6000");
    let joined = heartbeat(&mut world, client, 0);
    assert_eq!((joined.error_code, joined.heartbeat_interval_ms), (0, 6_000));
    world.advance_ms(6_999);
    assert_ne!(group_state(&mut world, client), "Empty");
    world.advance_ms(1);
    assert_eq!(group_state(&mut world, client), "Empty");
    let gone = heartbeat(&mut world, client, joined.member_epoch);
    assert_eq!(gone.error_code, code::UNKNOWN_MEMBER_ID);
}

/// The coordinator's log comes later than the group's configuration, as its partitions do at a start.
#[test]
fn a_configuration_is_there_when_the_groups_are_loaded() {
    let mut world = World::new(2);
    let client = world.connect(0);
    create(&mut world, client, "t", 2);
    set(&mut world, client, HEARTBEAT, "6000");
    assert_eq!(find(&mut world, client).0, 0);
    assert_eq!(heartbeat(&mut world, client, 0).heartbeat_interval_ms, 6_000);
}

#[test]
fn a_deleted_configuration_returns_to_the_brokers() {
    let (mut world, client) = with_coordinator();
    set(&mut world, client, HEARTBEAT, "6000");
    let joined = heartbeat(&mut world, client, 0);
    assert_eq!(joined.heartbeat_interval_ms, 6_000);
    let answer = alter(&mut world, client, (GROUP, HEARTBEAT, None));
    assert_eq!(answer.error_code, 0);
    let next = heartbeat(&mut world, client, joined.member_epoch);
    assert_eq!((next.error_code, next.heartbeat_interval_ms), (0, 5_000));
    assert_eq!(describe(&mut world, client, HEARTBEAT).config_source, 5);
    // Of a session that is counted already, too.
    set(&mut world, client, SESSION, "6000");
    let next = heartbeat(&mut world, client, next.member_epoch);
    alter(&mut world, client, (GROUP, SESSION, None));
    heartbeat(&mut world, client, next.member_epoch);
    world.advance_ms(44_999);
    assert_ne!(group_state(&mut world, client), "Empty");
    world.advance_ms(1);
    assert_eq!(group_state(&mut world, client), "Empty");
}

#[test]
fn describing_a_group_shows_what_is_set_and_what_stands_behind_it() {
    let (mut world, client) = with_coordinator();
    let synonyms = |shown: &DescribeConfigsResourceResult| -> Vec<(String, String, i8)> {
        let all = shown.synonyms.iter();
        let value = |value: &Option<Str>| value.as_deref().unwrap_or_default().to_owned();
        all.map(|of| (of.name.to_string(), value(&of.value), of.source)).collect()
    };
    let of_all = ("group.consumer.session.timeout.ms".to_owned(), "45000".to_owned(), 5);
    let shown = describe(&mut world, client, SESSION);
    assert_eq!((shown.value.as_deref(), shown.config_source), (Some("45000"), 5));
    assert_eq!(synonyms(&shown), vec![of_all.clone()]);
    set(&mut world, client, SESSION, "6000");
    let shown = describe(&mut world, client, SESSION);
    assert_eq!((shown.value.as_deref(), shown.config_source), (Some("6000"), 8));
    assert_eq!(synonyms(&shown), vec![(SESSION.to_owned(), "6000".to_owned(), 8), of_all]);
    assert_eq!((shown.config_type, shown.read_only, shown.is_sensitive), (3, false, false));
    assert!(shown.documentation.is_some_and(|text| text.contains("has left")));
    let later = describe(&mut world, client, "share.session.timeout.ms");
    assert!(later.documentation.is_some_and(|text| text.ends_with("without effect yet.)")));
}

#[test]
fn a_group_is_refused_what_the_broker_does_not_allow() {
    let (mut world, client) = with_coordinator();
    let mut refused = |group: &str, name: &str, value: &str| {
        let answer = alter(&mut world, client, (group, name, Some(value)));
        (answer.error_code, answer.error_message.unwrap_or_default().to_string())
    };
    let text = "consumer.session.timeout.ms must be greater than or equal to \
                group.consumer.min.session.timeout.ms";
    assert_eq!(refused(GROUP, SESSION, "5999"), (code::INVALID_CONFIG, text.to_owned()));
    let text = "Unknown group config name: retention.ms";
    assert_eq!(refused(GROUP, "retention.ms", "1"), (code::INVALID_CONFIG, text.to_owned()));
    let text = "Default group resources are not allowed.";
    assert_eq!(refused("", SESSION, "6000"), (code::INVALID_REQUEST, text.to_owned()));
    assert_eq!(describe(&mut world, client, SESSION).config_source, 5);
}

/// Kafka's tool asks for it before it describes a group that has no members yet.
#[test]
fn groups_with_a_configuration_are_listed_with_whatever_else_has_one() {
    let (mut world, client) = with_coordinator();
    set(&mut world, client, SESSION, "6000");
    let mut listed = |version: i16, resource_types: &[i8]| {
        let request = ListConfigResourcesRequest { resource_types: resource_types.to_vec() };
        let response = world.ask(client, version, request);
        let all = response.config_resources.into_iter();
        let all = all.map(|of| (of.resource_type, of.resource_name.to_string()));
        (response.error_code, all.collect::<Vec<_>>())
    };
    let (group, broker) = ((OF_GROUPS, GROUP.to_owned()), (4, "1".to_owned()));
    let topics = ["__consumer_offsets", "t"].map(|name| (2, name.to_owned()));
    assert_eq!(listed(1, &[OF_GROUPS]), (0, vec![group.clone()]));
    assert_eq!(listed(1, &[]), (0, [vec![group, broker], topics.to_vec()].concat()));
    assert_eq!(listed(1, &[3]), (code::UNSUPPORTED_VERSION, vec![]));
    assert_eq!(listed(0, &[]), (0, vec![]), "it knows subscriptions to metrics alone");
}
