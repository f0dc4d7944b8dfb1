//! What coordinators say of groups: which there are, their members, and where they are in each partition.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::consumer_protocol::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use protocol::messages::consumer_group_describe::{self as consumer, ConsumerGroupDescribeRequest};
use protocol::messages::describe_groups::{self as classic, DescribeGroupsRequest};
use protocol::messages::list_groups::{ListGroupsRequest, ListedGroup};
use protocol::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup};
use protocol::{ApiKey, ErrorCode, Str};
use serde::Serialize;

use super::{Client, Refusal};
use crate::cli::failure::Failure;
use crate::cli::limits::GROUPS_PER_REQUEST_MAX;

const AGAIN: Duration = Duration::from_millis(100);

/// Which protocol a group's members speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum GroupType {
    Classic,
    Consumer,
}

impl GroupType {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
        }
    }
}

/// A group in full, of either protocol.
#[derive(Clone, Debug)]
pub(crate) struct GroupInfo {
    pub(crate) id: String,
    pub(crate) group_type: GroupType,
    pub(crate) state: String,
    /// The broker's id.
    pub(crate) coordinator: i32,
    /// Empty where there is none yet.
    pub(crate) assignor: String,
    /// Of the consumer protocol: the group's and its assignment's epoch. Coordinators do not tell the generation
    /// of a classic group.
    pub(crate) epochs: Option<(i32, i32)>,
    pub(crate) members: Vec<MemberInfo>,
}

impl GroupInfo {
    /// Nobody is in it; it may be nothing but offsets.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty() && matches!(self.state.as_str(), "Empty" | "Dead" | "")
    }
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct MemberInfo {
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) host: String,
    pub(crate) epoch: Option<i32>,
    pub(crate) subscribed: Vec<String>,
    pub(crate) subscribed_pattern: Option<String>,
    pub(crate) partitions: BTreeMap<String, Vec<i32>>,
}

/// Where a group goes on in one partition.
#[derive(Clone, Debug)]
pub(crate) struct Committed {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) metadata: String,
}

/// Who fetches offsets as a member of a group of the consumer protocol.
#[derive(Clone, Debug)]
pub(crate) struct MemberEpoch {
    pub(crate) member: String,
    pub(crate) epoch: i32,
}

impl Client {
    /// All groups of these states and types (none are all), by name.
    pub(crate) fn groups(
        &mut self,
        states: &[String],
        types: &[String],
    ) -> Result<Vec<GroupInfo>, Failure> {
        let strings = |texts: &[String]| texts.iter().map(|text| text.as_str().into()).collect();
        self.metadata(Some(&[]))?;
        let brokers: Vec<i32> = self.addresses.keys().copied().collect();
        let mut groups = Vec::new();
        for broker in brokers {
            let request = || ListGroupsRequest {
                states_filter: strings(states),
                types_filter: strings(types),
            };
            let listed = self.list_groups_of(broker, request)?;
            let (consumers, classics): (Vec<_>, Vec<_>) = listed
                .into_iter()
                .partition(|group| group.group_type.eq_ignore_ascii_case("consumer"));
            let ids = |listed: Vec<ListedGroup>| -> Vec<Str> {
                listed.into_iter().map(|group| group.group_id).collect()
            };
            groups.extend(self.described(broker, &ids(consumers), ids(classics))?);
        }
        groups.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(groups)
    }

    fn list_groups_of(
        &mut self,
        broker: i32,
        request: impl Fn() -> ListGroupsRequest,
    ) -> Result<Vec<ListedGroup>, Failure> {
        let deadline = self.deadline();
        loop {
            let response = self.on_broker(broker, request())?;
            let Some(refusal) = Refusal::of(response.error_code) else {
                return Ok(response.groups);
            };
            if !refusal.is_of_coordinator() || Instant::now() >= deadline {
                return Err(refusal.failure(&format!("groups of broker {broker}"), None));
            }
            std::thread::sleep(AGAIN);
        }
    }

    /// One group; `None`: there is no such group.
    pub(crate) fn group(&mut self, id: &str) -> Result<Option<GroupInfo>, Failure> {
        let names = [Str::from(id)];
        let request = || DescribeGroupsRequest {
            groups: names.to_vec(),
            include_authorized_operations: false,
        };
        // Waits until the coordinator knows its groups.
        self.on_coordinator(id, request, |response| {
            response.groups.first().map_or(0, |group| group.error_code)
        })?;
        let refused = |refusal: Refusal| refusal.failure(&format!("group {id}"), None);
        let broker = self.coordinator_of(id)?.map_err(refused)?;
        Ok(self.described(broker, &names, Vec::new())?.pop())
    }

    /// Groups that were of these protocols a moment ago. One may have changed from one to the other meanwhile, or
    /// have been deleted.
    fn described(
        &mut self,
        broker: i32,
        consumers: &[Str],
        mut classics: Vec<Str>,
    ) -> Result<Vec<GroupInfo>, Failure> {
        let missing = |ids: &[Str], found: &[GroupInfo]| -> Vec<Str> {
            let is_missing = |id: &&Str| !found.iter().any(|group| group.id == id.as_str());
            ids.iter().filter(is_missing).cloned().collect()
        };
        let mut found = self.describe_consumers(broker, consumers)?;
        classics.extend(missing(consumers, &found));
        found.extend(self.describe_classics(broker, &classics)?);
        let others = missing(&classics, &found);
        found.extend(self.describe_consumers(broker, &others)?);
        Ok(found)
    }

    fn describe_consumers(&mut self, broker: i32, ids: &[Str]) -> Result<Vec<GroupInfo>, Failure> {
        if !self.offers(broker, ApiKey::ConsumerGroupDescribe)? {
            return Ok(Vec::new());
        }
        let mut groups = Vec::new();
        for ids in ids.chunks(GROUPS_PER_REQUEST_MAX) {
            let (group_ids, include_authorized_operations) = (ids.to_vec(), false);
            let request = ConsumerGroupDescribeRequest { group_ids, include_authorized_operations };
            for group in self.on_broker(broker, request)?.groups {
                match Refusal::of(group.error_code) {
                    None => groups.push(of_consumers(broker, group)),
                    Some(refusal) if refusal.is(ErrorCode::GroupIdNotFound) => {}
                    Some(refusal) => {
                        let what = format!("group {}", group.group_id);
                        return Err(refusal.failure(&what, group.error_message.as_deref()));
                    }
                }
            }
        }
        Ok(groups)
    }

    fn describe_classics(&mut self, broker: i32, ids: &[Str]) -> Result<Vec<GroupInfo>, Failure> {
        let mut groups = Vec::new();
        for ids in ids.chunks(GROUPS_PER_REQUEST_MAX) {
            let (names, include_authorized_operations) = (ids.to_vec(), false);
            let request = DescribeGroupsRequest { groups: names, include_authorized_operations };
            for group in self.on_broker(broker, request)?.groups {
                match Refusal::of(group.error_code) {
                    // Older brokers say so of what is not there.
                    None if &*group.group_state == "Dead" => {}
                    None => groups.push(of_classic(broker, group)),
                    Some(refusal) if refusal.is(ErrorCode::GroupIdNotFound) => {}
                    Some(refusal) => {
                        let what = format!("group {}", group.group_id);
                        return Err(refusal.failure(&what, group.error_message.as_deref()));
                    }
                }
            }
        }
        Ok(groups)
    }

    /// What a group committed, by topic and partition.
    pub(crate) fn committed(
        &mut self,
        group: &str,
        member: Option<&MemberEpoch>,
    ) -> Result<Result<Vec<Committed>, Refusal>, Failure> {
        let request = || OffsetFetchRequest {
            group_id: group.into(),
            topics: None,
            groups: vec![OffsetFetchRequestGroup {
                group_id: group.into(),
                member_id: member.map(|member| member.member.as_str().into()),
                member_epoch: member.map_or(-1, |member| member.epoch),
                topics: None,
            }],
            // Of a commit that is part of a transaction it is known in a moment whether it counts.
            require_stable: false,
        };
        let response = self.on_coordinator(group, request, |response| {
            response.groups.first().map_or(response.error_code, |group| group.error_code)
        })?;
        let code = response.groups.first().map_or(response.error_code, |group| group.error_code);
        if let Some(refusal) = Refusal::of(code) {
            return Ok(Err(refusal));
        }
        let mut found = Vec::new();
        let mut take = |topic: &Str, partition: i32, offset: i64, metadata: Option<&Str>| {
            if offset >= 0 {
                let metadata = metadata.map(|text| text.as_str()).unwrap_or_default().to_owned();
                let topic = topic.as_str().to_owned();
                found.push(Committed { topic, partition, offset, metadata });
            }
        };
        for topic in response.groups.iter().flat_map(|group| &group.topics) {
            for one in &topic.partitions {
                let metadata = one.metadata.as_ref();
                take(&topic.name, one.partition_index, one.committed_offset, metadata);
            }
        }
        for topic in &response.topics {
            for one in &topic.partitions {
                let metadata = one.metadata.as_ref();
                take(&topic.name, one.partition_index, one.committed_offset, metadata);
            }
        }
        Ok(Ok(found))
    }
}

fn of_consumers(coordinator: i32, group: consumer::DescribedGroup) -> GroupInfo {
    let members = group.members.into_iter().map(|member| MemberInfo {
        member_id: member.member_id.to_string(),
        instance_id: member.instance_id.map(|id| id.to_string()),
        client_id: member.client_id.to_string(),
        host: member.client_host.to_string(),
        epoch: Some(member.member_epoch),
        subscribed: member.subscribed_topic_names.iter().map(ToString::to_string).collect(),
        subscribed_pattern: member.subscribed_topic_regex.map(|pattern| pattern.to_string()),
        partitions: member
            .assignment
            .topic_partitions
            .into_iter()
            .map(|topic| (topic.topic_name.to_string(), topic.partitions))
            .collect(),
    });
    GroupInfo {
        id: group.group_id.to_string(),
        group_type: GroupType::Consumer,
        state: group.group_state.to_string(),
        coordinator,
        assignor: group.assignor_name.to_string(),
        epochs: Some((group.group_epoch, group.assignment_epoch)),
        members: members.collect(),
    }
}

fn of_classic(coordinator: i32, group: classic::DescribedGroup) -> GroupInfo {
    // What others than consumers say to each other (Connect's workers, say) is in their own language.
    let are_consumers = &*group.protocol_type == "consumer";
    let members = group.members.into_iter().map(|mut member| {
        if !are_consumers {
            (member.member_assignment, member.member_metadata) = (Bytes::new(), Bytes::new());
        }
        // Of no generation, it is empty.
        let assigned = ConsumerProtocolAssignment::parse(&member.member_assignment);
        let assigned = assigned.map(|(_, assigned)| assigned.assigned_partitions);
        let subscribed = ConsumerProtocolSubscription::parse_topics(&member.member_metadata);
        MemberInfo {
            member_id: member.member_id.to_string(),
            instance_id: member.group_instance_id.map(|id| id.to_string()),
            client_id: member.client_id.to_string(),
            host: member.client_host.to_string(),
            epoch: None,
            subscribed: subscribed
                .map(|topics| topics.iter().map(ToString::to_string).collect())
                .unwrap_or_default(),
            subscribed_pattern: None,
            partitions: assigned
                .unwrap_or_default()
                .into_iter()
                .map(|topic| (topic.topic.to_string(), topic.partitions))
                .collect(),
        }
    });
    GroupInfo {
        id: group.group_id.to_string(),
        group_type: GroupType::Classic,
        state: group.group_state.to_string(),
        coordinator,
        assignor: group.protocol_data.to_string(),
        epochs: None,
        members: members.collect(),
    }
}
