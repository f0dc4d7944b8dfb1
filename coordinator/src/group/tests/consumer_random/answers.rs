//! What members are answered, and what they do then.

use alloc::vec::Vec;

use bytes::Bytes;
use protocol::{PartitionIndex, Str, consumer_protocol::ConsumerProtocolAssignment};

use super::{
    Trial,
    client::{Speaks, set_of},
};
use crate::group::{
    Answer,
    answer::{ConsumerHeartbeatError, HeartbeatError, JoinError, Joined, SyncError},
};

impl Trial {
    pub(super) fn hear(&mut self, number: usize, answer: Answer) {
        let client = &mut self.clients[number];
        match answer {
            Answer::ConsumerHeartbeat(Ok(answer)) => {
                client.epoch = answer.member_epoch;
                if let Some(assignment) = answer.assignment {
                    client.told = set_of(&assignment);
                    client.holds.extend(&client.told);
                }
            }
            Answer::ConsumerHeartbeat(Err(error)) => match error {
                ConsumerHeartbeatError::UnknownMember
                | ConsumerHeartbeatError::FencedMemberEpoch
                | ConsumerHeartbeatError::FencedInstance
                | ConsumerHeartbeatError::UnknownGroup => client.abandon(),
                ConsumerHeartbeatError::UnreleasedInstance => {}
                other => panic!("{other:?}"),
            },
            Answer::Join(result) => {
                client.is_waiting = false;
                self.hear_join(number, result);
            }
            Answer::Sync(result) => {
                client.is_waiting = false;
                self.hear_sync(number, result.map(|synced| synced.assignment));
            }
            Answer::Heartbeat(Ok(())) => {}
            Answer::Heartbeat(Err(HeartbeatError::RebalanceInProgress)) => self.join(number),
            Answer::Heartbeat(Err(_)) => self.leave_classic(number),
            other => panic!("{other:?}"),
        }
    }

    fn leave_classic(&mut self, number: usize) {
        let client = &mut self.clients[number];
        client.abandon();
        client.member = Str::default();
    }

    fn hear_join(&mut self, number: usize, result: Result<Joined, JoinError>) {
        let client = &mut self.clients[number];
        match result {
            Ok(joined) => {
                client.member = joined.member.clone();
                client.epoch = joined.generation;
                client.joined = Some(joined);
                client.is_synced = false;
            }
            Err(JoinError::MemberIdRequired { member }) => {
                client.member = member;
                self.join(number);
            }
            Err(JoinError::RebalanceInProgress) => client.said = None,
            Err(_) => self.leave_classic(number),
        }
    }

    fn hear_sync(&mut self, number: usize, result: Result<Bytes, SyncError>) {
        match result {
            Ok(assignment) => {
                let client = &mut self.clients[number];
                client.is_synced = true;
                let assigned = match assignment.is_empty() {
                    true => Vec::new(),
                    false => {
                        ConsumerProtocolAssignment::parse(&assignment)
                            .unwrap()
                            .1
                            .assigned_partitions
                    }
                };
                let topics = &self.world.groups.topics;
                let partitions = assigned.iter().flat_map(|of| {
                    let id = topics.by_name(&of.topic).map(|topic| topic.id);
                    let partitions = of.partitions.iter().map(|at| PartitionIndex(*at));
                    partitions.filter_map(move |at| Some((id?, at)))
                });
                client.told = partitions.collect();
                // What is not there any more nobody reads.
                client.holds.extend(&client.told);
                let told = client.told.clone();
                let had = client.holds.len();
                client.holds.retain(|partition| told.contains(partition));
                let has_given_back = client.holds.len() < had;
                if has_given_back && client.speaks == Speaks::Cooperative {
                    self.join(number);
                }
            }
            Err(SyncError::RebalanceInProgress) => self.clients[number].joined = None,
            Err(_) => self.leave_classic(number),
        }
    }
}
