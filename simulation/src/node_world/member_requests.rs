//! What members ask.

use std::collections::BTreeMap;

use broker::protocol::messages::ApiRequest;
use broker::protocol::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, TopicPartitions,
};
use broker::protocol::messages::find_coordinator::FindCoordinatorRequest;
use broker::protocol::messages::heartbeat::HeartbeatRequest;
use broker::protocol::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use broker::protocol::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use broker::protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use broker::protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use broker::protocol::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use broker::protocol::{Str, TopicId};
use bytes::Bytes;

use super::clients::What;
use super::groups::{GroupKey, Protocol, REBALANCE_MS, SESSION_MS, Slot};
use super::members::{Member, MemberKey, Step, new_member_id, share_out};
use super::topics::TopicState;
use super::{NANOS_PER_MS, NodeWorld};
use crate::plant::Plant;

pub(super) const FIND_COORDINATOR: i16 = 4;
pub(super) const JOIN_GROUP: i16 = 7;
pub(super) const SYNC_GROUP: i16 = 5;
pub(super) const HEARTBEAT: i16 = 4;
pub(super) const LEAVE_GROUP: i16 = 4;
pub(super) const OFFSET_COMMIT: i16 = 9;
pub(super) const OFFSET_FETCH: i16 = 9;
pub(super) const CONSUMER_GROUP_HEARTBEAT: i16 = 1;

/// The protocol type of classic members; the coordinator does not read what they say.
pub(super) const PROTOCOL_TYPE: &str = "simulated";
pub(super) const PROTOCOL: &str = "in-turn";
/// The topic that groups read and commit for; it is never deleted.
pub(super) const STEADY: &str = "steady";
pub(super) const STEADY_PARTITIONS: i32 = 6;

/// What a member asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum MemberAsked {
    Find,
    Join,
    Sync,
    Beat,
    Leave,
    Commit { partition: i32, offset: i64, newest_generation: i32 },
    Fetch { partition: i32, floor: i64 },
    ConsumerBeat,
}

impl NodeWorld {
    /// The steady topic's id, once it is there.
    pub(super) fn steady(&self) -> Option<TopicId> {
        let mut topics = self.topics.iter();
        let steady = topics.find(|topic| topic.name == STEADY && topic.state == TopicState::Live);
        steady.and_then(super::topics::Topic::id)
    }

    fn member_asks<R: ApiRequest>(
        &mut self,
        key: MemberKey,
        version: i16,
        request: R,
        asked: MemberAsked,
    ) {
        let member = &mut self.members[key.0];
        let Some(client) = member.client else { return };
        member.waits = true;
        let life = member.life;
        let what = What::Member { member: key, life, asked };
        self.send(client, version, request, Some(what));
    }

    fn group_of(&self, key: MemberKey) -> Str {
        Str::from(self.members[key.0].group.name())
    }

    pub(super) fn find_coordinator(&mut self, key: MemberKey) {
        if self.steady().is_none() {
            return;
        }
        let coordinator_keys = vec![self.group_of(key)];
        let request = FindCoordinatorRequest { coordinator_keys, ..Default::default() };
        self.member_asks(key, FIND_COORDINATOR, request, MemberAsked::Find);
    }

    pub(super) fn join_group(&mut self, key: MemberKey) {
        let group_id = self.group_of(key);
        let member = &mut self.members[key.0];
        // Who joins has given up what it had.
        member.owned.clear();
        let request = JoinGroupRequest {
            group_id,
            session_timeout_ms: SESSION_MS as i32,
            rebalance_timeout_ms: REBALANCE_MS as i32,
            member_id: member.id.clone(),
            group_instance_id: member.instance.clone(),
            protocol_type: Str::from(PROTOCOL_TYPE),
            protocols: vec![JoinGroupRequestProtocol {
                name: Str::from(PROTOCOL),
                metadata: Bytes::new(),
            }],
            ..JoinGroupRequest::default()
        };
        self.member_asks(key, JOIN_GROUP, request, MemberAsked::Join);
    }

    pub(super) fn sync_group(&mut self, key: MemberKey) {
        let group_id = self.group_of(key);
        let Some(topic) = self.steady() else { return };
        let member = &self.members[key.0];
        let shares = match member.followers.is_empty() {
            true => Vec::new(),
            false => share_out(&member.followers, topic, STEADY_PARTITIONS),
        };
        let assignments = shares.into_iter().map(|(member_id, slots)| {
            let partitions = slots.into_iter().map(|slot| slot.1 as u8);
            let assignment = partitions.collect::<Vec<u8>>().into();
            SyncGroupRequestAssignment { member_id, assignment }
        });
        let request = SyncGroupRequest {
            group_id,
            generation_id: member.epoch,
            member_id: member.id.clone(),
            group_instance_id: member.instance.clone(),
            protocol_type: Some(Str::from(PROTOCOL_TYPE)),
            protocol_name: Some(Str::from(PROTOCOL)),
            assignments: assignments.collect(),
        };
        self.member_asks(key, SYNC_GROUP, request, MemberAsked::Sync);
    }

    pub(super) fn beat_classic(&mut self, key: MemberKey) {
        let group_id = self.group_of(key);
        let member = &self.members[key.0];
        let request = HeartbeatRequest {
            group_id,
            generation_id: member.epoch,
            member_id: member.id.clone(),
            group_instance_id: member.instance.clone(),
        };
        self.member_asks(key, HEARTBEAT, request, MemberAsked::Beat);
    }

    pub(super) fn leave_group(&mut self, key: MemberKey) {
        let group_id = self.group_of(key);
        let member = &mut self.members[key.0];
        if member.client.is_none() || member.step != Step::Beat {
            return;
        }
        member.give_up();
        member.step = Step::Away;
        let id = std::mem::take(&mut member.id);
        let instance = member.instance.clone();
        // A static member of the consumer protocol may leave for a while only: nobody gets what it had.
        let for_a_while = instance.is_some() && self.random.one_in(2);
        let member = &self.members[key.0];
        match member.group.protocol() {
            Protocol::Classic => {
                let members = vec![MemberIdentity {
                    member_id: id,
                    group_instance_id: instance,
                    ..MemberIdentity::default()
                }];
                let request = LeaveGroupRequest { group_id, members, ..Default::default() };
                self.member_asks(key, LEAVE_GROUP, request, MemberAsked::Leave);
            }
            Protocol::Consumer => {
                let request = ConsumerGroupHeartbeatRequest {
                    group_id,
                    member_id: id,
                    instance_id: instance,
                    member_epoch: if for_a_while { -2 } else { -1 },
                    ..ConsumerGroupHeartbeatRequest::default()
                };
                self.member_asks(key, CONSUMER_GROUP_HEARTBEAT, request, MemberAsked::Leave);
            }
            Protocol::Alone => {}
        }
    }

    pub(super) fn beat_consumer(&mut self, key: MemberKey) {
        let group_id = self.group_of(key);
        if self.members[key.0].id.is_empty() {
            self.members[key.0].id = new_member_id(&mut self.random);
        }
        let plant = self.options.plant;
        let member = &mut self.members[key.0];
        let joins = member.step == Step::Join;
        let says_all = joins || std::mem::take(&mut member.tells_all);
        let told_owned = says_all || member.tells_owned;
        let topics = || vec![Str::from(STEADY), Str::from("t0")];
        let request = ConsumerGroupHeartbeatRequest {
            group_id,
            member_id: member.id.clone(),
            member_epoch: member.epoch,
            instance_id: says_all.then(|| member.instance.clone()).flatten(),
            rebalance_timeout_ms: if says_all { REBALANCE_MS as i32 } else { -1 },
            subscribed_topic_names: says_all.then(topics),
            topic_partitions: told_owned.then(|| listed(member, plant)),
            ..ConsumerGroupHeartbeatRequest::default()
        };
        member.tells_owned = false;
        let asked = MemberAsked::ConsumerBeat;
        self.member_asks(key, CONSUMER_GROUP_HEARTBEAT, request, asked);
    }

    /// A partition that it owns, or for a tool any.
    fn some_partition(&mut self, key: MemberKey) -> Option<i32> {
        let steady = self.steady()?;
        let member = &self.members[key.0];
        let owned = member.owned.iter().filter(|slot| slot.0 == steady).map(|slot| slot.1);
        let choices: Vec<i32> = match member.group.protocol() {
            Protocol::Alone => (0..STEADY_PARTITIONS).collect(),
            Protocol::Classic | Protocol::Consumer => owned.collect(),
        };
        let count = choices.len() as u64;
        (count > 0).then(|| choices[self.random.below(count) as usize])
    }

    pub(super) fn commit_somewhere(&mut self, key: MemberKey) {
        let Some(partition_index) = self.some_partition(key) else { return };
        if self.random.one_in(3) {
            return self.fetch_commits(key);
        }
        let group_id = self.group_of(key);
        let member = &self.members[key.0];
        let group: GroupKey = member.group;
        let offset = self.group_facts.commit_sent(group, partition_index);
        let newest_generation = self.group_facts.newest_generation(group);
        let partition = OffsetCommitRequestPartition {
            partition_index,
            committed_offset: offset,
            ..OffsetCommitRequestPartition::default()
        };
        let is_alone = group.protocol() == Protocol::Alone;
        let request = OffsetCommitRequest {
            group_id,
            generation_id_or_member_epoch: if is_alone { -1 } else { member.epoch },
            member_id: member.id.clone(),
            group_instance_id: member.instance.clone(),
            topics: vec![OffsetCommitRequestTopic {
                name: Str::from(STEADY),
                partitions: vec![partition],
            }],
            ..OffsetCommitRequest::default()
        };
        let partition = partition_index;
        let asked = MemberAsked::Commit { partition, offset, newest_generation };
        self.member_asks(key, OFFSET_COMMIT, request, asked);
    }

    /// As an operator would: whatever is committed.
    pub(super) fn fetch_commits(&mut self, key: MemberKey) {
        let partition = self.random.below(STEADY_PARTITIONS as u64) as i32;
        let group = self.members[key.0].group;
        let floor = self.group_facts.floor(group, partition);
        let topic = OffsetFetchRequestTopics {
            name: Str::from(STEADY),
            partition_indexes: vec![partition],
        };
        let wanted = OffsetFetchRequestGroup {
            group_id: self.group_of(key),
            topics: Some(vec![topic]),
            ..OffsetFetchRequestGroup::default()
        };
        let request = OffsetFetchRequest { groups: vec![wanted], ..OffsetFetchRequest::default() };
        self.member_asks(key, OFFSET_FETCH, request, MemberAsked::Fetch { partition, floor });
    }

    /// Members go on in a little while, after an answer that changes nothing.
    pub(super) fn member_goes_on(&mut self, key: MemberKey) {
        let pause = (1 + self.random.below(10)) * NANOS_PER_MS;
        self.members[key.0].due = self.now + pause;
    }
}

fn listed(member: &Member, plant: Plant) -> Vec<TopicPartitions> {
    let mut topics: BTreeMap<TopicId, Vec<i32>> = BTreeMap::new();
    // As if the coordinator did not wait for what it has not given back yet.
    let wanted = member.wanted.as_ref().filter(|_| plant == Plant::HandedOnTooSoon);
    let kept = |slot: &&Slot| wanted.is_none_or(|wanted| wanted.contains(*slot));
    for (topic, partition) in member.owned.iter().filter(kept) {
        topics.entry(*topic).or_default().push(*partition);
    }
    let topics = topics.into_iter();
    topics.map(|(topic_id, partitions)| TopicPartitions { topic_id, partitions }).collect()
}
