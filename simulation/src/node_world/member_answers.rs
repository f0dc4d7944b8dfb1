//! What members are answered, and what that tells of their groups.

use std::collections::BTreeSet;

use broker::protocol::ErrorCode;
use broker::protocol::messages::consumer_group_heartbeat::{
    Assignment, ConsumerGroupHeartbeatResponse,
};
use broker::protocol::messages::find_coordinator::FindCoordinatorResponse;
use broker::protocol::messages::heartbeat::HeartbeatResponse;
use broker::protocol::messages::join_group::JoinGroupResponse;
use broker::protocol::messages::leave_group::LeaveGroupResponse;
use broker::protocol::messages::offset_commit::OffsetCommitResponse;
use broker::protocol::messages::offset_fetch::OffsetFetchResponse;
use broker::protocol::messages::sync_group::SyncGroupResponse;
use bytes::Bytes;

use super::NodeWorld;
use super::clients::{Asked, Client};
use super::groups::{Protocol, Slot};
use super::member_requests::{
    CONSUMER_GROUP_HEARTBEAT, FIND_COORDINATOR, HEARTBEAT, JOIN_GROUP, LEAVE_GROUP, MemberAsked,
    OFFSET_COMMIT, OFFSET_FETCH, SYNC_GROUP,
};
use super::members::{MemberKey, Step};
use crate::plant::Plant;
use crate::violation::{Checked, Checker};

impl NodeWorld {
    pub(super) fn hear_member(
        &mut self,
        asked: &Asked,
        (key, life): (MemberKey, u64),
        what: MemberAsked,
        frame: &Bytes,
    ) -> Checked {
        let is_current = self.members[key.0].life == life;
        if is_current {
            self.members[key.0].waits = false;
        }
        match what {
            MemberAsked::Find => {
                let response =
                    Client::decode::<FindCoordinatorResponse>(asked, FIND_COORDINATOR, frame)?;
                let is_found = response.coordinators[0].error_code == 0;
                let member = &mut self.members[key.0];
                if is_current && is_found {
                    member.step = member.after_find;
                }
                Ok(())
            }
            MemberAsked::Join => {
                let response = Client::decode::<JoinGroupResponse>(asked, JOIN_GROUP, frame)?;
                if is_current { self.on_joined(key, asked.since, response) } else { Ok(()) }
            }
            MemberAsked::Sync => {
                let response = Client::decode::<SyncGroupResponse>(asked, SYNC_GROUP, frame)?;
                if is_current { self.on_synced(key, asked.since, &response) } else { Ok(()) }
            }
            MemberAsked::Beat => {
                let response = Client::decode::<HeartbeatResponse>(asked, HEARTBEAT, frame)?;
                if is_current {
                    self.on_beat(key, asked.since, response.error_code)
                } else {
                    Ok(())
                }
            }
            MemberAsked::Leave => self.hear_farewell(asked, key, frame),
            MemberAsked::Commit { partition, offset, newest_generation } => {
                let response = Client::decode::<OffsetCommitResponse>(asked, OFFSET_COMMIT, frame)?;
                let code = response.topics[0].partitions[0].error_code;
                let code = self.options.plant.commit_answer(code);
                self.on_commit(key, is_current, (partition, offset, newest_generation), code)
            }
            MemberAsked::Fetch { partition, floor } => {
                let response = Client::decode::<OffsetFetchResponse>(asked, OFFSET_FETCH, frame)?;
                let group = &response.groups[0];
                if group.error_code != 0 {
                    return self.member_refused(key, is_current, group.error_code);
                }
                let found = group.topics[0].partitions[0].committed_offset;
                self.group_facts.found(self.members[key.0].group, partition, floor, found)
            }
            MemberAsked::ConsumerBeat => {
                let response = Client::decode::<ConsumerGroupHeartbeatResponse>(
                    asked,
                    CONSUMER_GROUP_HEARTBEAT,
                    frame,
                )?;
                if !is_current {
                    return Ok(());
                }
                let code = self.options.plant.heartbeat_answer(response.error_code);
                if code != 0 {
                    self.members[key.0].tells_all = true;
                    return self.member_refused(key, true, code);
                }
                if response.error_code != 0 {
                    self.members[key.0].heard = asked.since.max(self.members[key.0].heard);
                    return Ok(());
                }
                self.on_consumer_beat(key, asked.since, response)
            }
        }
    }

    /// Whatever it is told: it is gone.
    fn hear_farewell(&self, asked: &Asked, key: MemberKey, frame: &Bytes) -> Checked {
        match self.members[key.0].group.protocol() {
            Protocol::Classic => {
                Client::decode::<LeaveGroupResponse>(asked, LEAVE_GROUP, frame).map(drop)
            }
            Protocol::Consumer | Protocol::Alone => {
                let version = CONSUMER_GROUP_HEARTBEAT;
                Client::decode::<ConsumerGroupHeartbeatResponse>(asked, version, frame).map(drop)
            }
        }
    }

    fn on_joined(&mut self, key: MemberKey, since: u64, response: JoinGroupResponse) -> Checked {
        let code = response.error_code;
        let member = &mut self.members[key.0];
        if code == ErrorCode::MemberIdRequired.code() {
            member.id = response.member_id;
            return Ok(());
        }
        if code != 0 {
            return self.member_refused(key, true, code);
        }
        member.heard = since.max(member.heard);
        member.id = response.member_id;
        member.epoch = response.generation_id;
        member.followers = response.members.into_iter().map(|one| one.member_id).collect();
        member.step = Step::Sync;
        Ok(())
    }

    fn on_synced(&mut self, key: MemberKey, since: u64, response: &SyncGroupResponse) -> Checked {
        if response.error_code != 0 {
            return self.member_refused(key, true, response.error_code);
        }
        let Some(steady) = self.steady() else { return Ok(()) };
        let slots = response.assignment.iter().map(|partition| (steady, i32::from(*partition)));
        let slots: BTreeSet<Slot> = slots.collect();
        let (group, epoch, id) = {
            let member = &self.members[key.0];
            (member.group, member.epoch, member.name().to_string())
        };
        self.group_facts.assigned(group, epoch, &id, &slots)?;
        self.check_owner(key, &slots)?;
        let member = &mut self.members[key.0];
        member.heard = since.max(member.heard);
        member.owned = slots;
        member.step = Step::Beat;
        Ok(())
    }

    fn on_beat(&mut self, key: MemberKey, since: u64, code: i16) -> Checked {
        let code = self.options.plant.heartbeat_answer(code);
        if code != 0 {
            return self.member_refused(key, true, code);
        }
        let member = &mut self.members[key.0];
        member.heard = since.max(member.heard);
        Ok(())
    }

    fn on_commit(
        &mut self,
        key: MemberKey,
        is_current: bool,
        (partition, offset, newest_generation): (i32, i64, i32),
        code: i16,
    ) -> Checked {
        if code != 0 {
            return self.member_refused(key, is_current, code);
        }
        let group = self.members[key.0].group;
        self.group_facts.commit_acknowledged(group, partition, offset);
        if is_current && group.protocol() == Protocol::Classic {
            let epoch = self.members[key.0].epoch;
            return Checker::OneOwner.check(epoch >= newest_generation, || {
                let name = group.name();
                format!("{name}: generation {epoch} commits in generation {newest_generation}")
            });
        }
        Ok(())
    }

    fn on_consumer_beat(
        &mut self,
        key: MemberKey,
        since: u64,
        response: ConsumerGroupHeartbeatResponse,
    ) -> Checked {
        let member = &mut self.members[key.0];
        let before = member.epoch;
        member.heard = since.max(member.heard);
        member.epoch = response.member_epoch;
        member.step = Step::Beat;
        Checker::OneOwner.check(response.member_epoch >= before, || {
            format!("member {} goes back from epoch {before}", key.0)
        })?;
        let Some(Assignment { topic_partitions }) = response.assignment else { return Ok(()) };
        let shall = topic_partitions.into_iter().flat_map(|of| {
            let topic = of.topic_id;
            of.partitions.into_iter().map(move |partition| (topic, partition))
        });
        let shall: BTreeSet<Slot> = shall.collect();
        self.note(|world| {
            let has = &world.members[key.0].owned;
            format!("member {} has {has:?} and shall have {shall:?}", key.0)
        });
        let new: BTreeSet<Slot> = shall.difference(&self.members[key.0].owned).copied().collect();
        self.check_owner(key, &new)?;
        let plant = self.options.plant;
        let member = &mut self.members[key.0];
        let goes = member.owned.difference(&shall).next().is_some();
        member.tells_owned |= !new.is_empty() || (goes && plant == Plant::HandedOnTooSoon);
        member.owned.extend(new);
        member.wanted = goes.then_some(shall);
        Ok(())
    }

    /// Why a member is not served, and what it does then.
    fn member_refused(&mut self, key: MemberKey, is_current: bool, code: i16) -> Checked {
        if !is_current {
            return Ok(());
        }
        let member = &mut self.members[key.0];
        let is_classic = member.group.protocol() == Protocol::Classic;
        match ErrorCode::from_code(code) {
            Some(
                ErrorCode::NotCoordinator
                | ErrorCode::CoordinatorNotAvailable
                | ErrorCode::CoordinatorLoadInProgress,
            ) => {
                if member.step != Step::Away {
                    member.after_find = member.step;
                    member.step = Step::Find;
                }
            }
            // Of a commit or a fetch of the consumer protocol: the next heartbeat brings the epoch.
            Some(ErrorCode::StaleMemberEpoch) => {}
            Some(ErrorCode::RebalanceInProgress) => member.give_up(),
            Some(ErrorCode::IllegalGeneration) if is_classic => member.give_up(),
            Some(ErrorCode::FencedMemberEpoch) => member.give_up(),
            // Its last life may be a member still: until that one's session ends.
            Some(ErrorCode::UnreleasedInstanceId) => member.give_up(),
            // A request of its last life came after one of this.
            Some(ErrorCode::FencedInstanceId) => {
                member.give_up();
                member.id = broker::protocol::Str::default();
            }
            Some(ErrorCode::UnknownMemberId | ErrorCode::GroupIdNotFound) => {
                member.give_up();
                member.id = broker::protocol::Str::default();
            }
            other => {
                let name = other.map_or("an unknown code", ErrorCode::name);
                let what = format!("member {} of {}: {name}", key.0, member.group.name());
                return Err(Checker::AnswersMakeSense.violated(what));
            }
        }
        self.member_goes_on(key);
        Ok(())
    }
}
