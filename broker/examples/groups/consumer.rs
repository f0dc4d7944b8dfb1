//! A group of the consumer protocol: members beat until each has its part.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use protocol::Str;
use protocol::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitions,
};

use crate::member::Line;

const HEARTBEAT: i16 = 1;
/// Members of one connection.
const MEMBERS_PER_LINE: usize = 50;

struct Member {
    id: Str,
    epoch: i32,
    owned: Vec<TopicPartitions>,
    tells: bool,
}

fn beat(group: &str, topic: &str, member: &Member) -> ConsumerGroupHeartbeatRequest {
    let joins = member.epoch == 0;
    ConsumerGroupHeartbeatRequest {
        group_id: Str::from(group),
        member_id: member.id.clone(),
        member_epoch: member.epoch,
        rebalance_timeout_ms: if joins { 60_000 } else { -1 },
        subscribed_topic_names: joins.then(|| vec![Str::from(topic)]),
        topic_partitions: (joins || member.tells).then(|| member.owned.clone()),
        ..ConsumerGroupHeartbeatRequest::default()
    }
}

/// So many members, until each has its equal share and all are in one epoch: from the first heartbeat on. They beat
/// without a pause, as fast as they are answered.
pub(crate) fn settle(
    bootstrap: &str,
    group: &str,
    (topic, partitions): (&str, usize),
    count: usize,
) -> (Duration, u64) {
    let mut lines: Vec<Line> =
        (0..count.div_ceil(MEMBERS_PER_LINE)).map(|_| Line::connect(bootstrap)).collect();
    let mut members: Vec<Member> = (0..count)
        .map(|at| Member {
            id: Str::from(format!("member-{at}")),
            epoch: 0,
            owned: Vec::new(),
            tells: false,
        })
        .collect();
    let (begun, mut beats) = (Instant::now(), 0);
    loop {
        for (line, members) in lines.iter_mut().zip(members.chunks(MEMBERS_PER_LINE)) {
            line.send(HEARTBEAT, members.iter().map(|member| beat(group, topic, member)));
        }
        for (line, members) in lines.iter_mut().zip(members.chunks_mut(MEMBERS_PER_LINE)) {
            for member in members {
                let answer: ConsumerGroupHeartbeatResponse = line.receive(HEARTBEAT);
                assert_eq!(answer.error_code, 0, "{:?}", answer.error_message);
                beats += 1;
                member.epoch = answer.member_epoch;
                member.tells = answer.assignment.is_some();
                if let Some(assignment) = answer.assignment {
                    member.owned = assignment.topic_partitions;
                }
            }
        }
        let epochs: BTreeSet<i32> = members.iter().map(|member| member.epoch).collect();
        let owned = members.iter().flat_map(|member| &member.owned);
        let owned: Vec<i32> = owned.flat_map(|of| of.partitions.iter().copied()).collect();
        let different: BTreeSet<i32> = owned.iter().copied().collect();
        let share =
            |member: &Member| -> usize { member.owned.iter().map(|of| of.partitions.len()).sum() };
        let is_even = members.iter().all(|member| share(member) == partitions / count);
        if epochs.len() == 1 && is_even && different.len() == owned.len() {
            return (begun.elapsed(), beats);
        }
        assert!(begun.elapsed() < Duration::from_secs(300), "the group does not settle");
    }
}
