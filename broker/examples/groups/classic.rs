//! Groups of the classic protocol: every member joins, the leader shares out, everybody beats.

use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::Str;
use protocol::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use protocol::messages::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
};
use protocol::messages::sync_group::{
    SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse,
};

use crate::member::Line;

const JOIN: i16 = 7;
const SYNC: i16 = 4;
const HEARTBEAT: i16 = 3;
const REBALANCE_IN_PROGRESS: i16 = 27;
const MEMBER_ID_REQUIRED: i16 = 79;

/// One member of one group.
#[derive(Clone)]
pub(crate) struct Member {
    group: Str,
    id: Str,
    generation: i32,
}

/// A connection with a member of each of some groups.
pub(crate) struct Desk {
    line: Line,
    members: Vec<Member>,
}

impl Desk {
    pub(crate) fn new(bootstrap: &str, groups: impl IntoIterator<Item = String>) -> Self {
        let members = groups.into_iter().map(|group| Member {
            group: Str::from(group),
            id: Str::default(),
            generation: -1,
        });
        Self { line: Line::connect(bootstrap), members: members.collect() }
    }
}

fn join(member: &Member) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: member.group.clone(),
        session_timeout_ms: 45_000,
        rebalance_timeout_ms: 60_000,
        member_id: member.id.clone(),
        protocol_type: Str::from_static("measure"),
        protocols: vec![JoinGroupRequestProtocol {
            name: Str::from_static("in-turn"),
            metadata: Bytes::from_static(&[0; 32]),
        }],
        ..JoinGroupRequest::default()
    }
}

/// From the first JoinGroup to the last assignment.
pub(crate) fn settle(desks: &mut [Desk]) -> Duration {
    let begun = Instant::now();
    for desk in desks.iter_mut() {
        desk.line.send(JOIN, desk.members.iter().map(join));
    }
    for desk in desks.iter_mut() {
        for at in 0..desk.members.len() {
            let given: JoinGroupResponse = desk.line.receive(JOIN);
            assert_eq!(given.error_code, MEMBER_ID_REQUIRED, "a new member is given an id");
            desk.members[at].id = given.member_id;
        }
    }
    let mut joined: Vec<Vec<JoinGroupResponse>> = Vec::new();
    loop {
        for desk in desks.iter_mut() {
            desk.line.send(JOIN, desk.members.iter().map(join));
        }
        joined.clear();
        for desk in desks.iter_mut() {
            let count = desk.members.len();
            joined.push((0..count).map(|_| desk.line.receive(JOIN)).collect());
        }
        for (desk, answers) in desks.iter_mut().zip(&joined) {
            for (member, answer) in desk.members.iter_mut().zip(answers) {
                assert_eq!(answer.error_code, 0, "a member joins");
                member.generation = answer.generation_id;
            }
        }
        let syncs = sync_all(desks, &joined);
        if syncs.iter().all(|code| *code == 0) {
            return begun.elapsed();
        }
        assert!(syncs.iter().all(|code| matches!(*code, 0 | REBALANCE_IN_PROGRESS)), "{syncs:?}");
    }
}

fn sync_all(desks: &mut [Desk], joined: &[Vec<JoinGroupResponse>]) -> Vec<i16> {
    for (desk, answers) in desks.iter_mut().zip(joined) {
        let requests = desk.members.iter().zip(answers).map(|(member, answer)| {
            let assignments = answer.members.iter().map(|of| SyncGroupRequestAssignment {
                member_id: of.member_id.clone(),
                assignment: Bytes::from_static(&[0; 32]),
            });
            SyncGroupRequest {
                group_id: member.group.clone(),
                generation_id: member.generation,
                member_id: member.id.clone(),
                assignments: assignments.collect(),
                ..SyncGroupRequest::default()
            }
        });
        desk.line.send(SYNC, requests.collect::<Vec<_>>());
    }
    let mut codes = Vec::new();
    for desk in desks.iter_mut() {
        for _ in 0..desk.members.len() {
            codes.push(desk.line.receive::<SyncGroupResponse>(SYNC).error_code);
        }
    }
    codes
}

/// Every member beats once every `interval`, for so long; milliseconds of each connection's beats, sorted.
pub(crate) fn beat(desks: &mut [Desk], interval: Duration, time: Duration) -> (u64, Vec<f64>) {
    let begun = Instant::now();
    let pause = interval / u32::try_from(desks.len()).unwrap();
    let (mut beats, mut times, mut due) = (0, Vec::new(), begun);
    while begun.elapsed() < time {
        for desk in desks.iter_mut() {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            due += pause;
            let sent = Instant::now();
            let requests = desk.members.iter().map(|member| HeartbeatRequest {
                group_id: member.group.clone(),
                generation_id: member.generation,
                member_id: member.id.clone(),
                ..HeartbeatRequest::default()
            });
            desk.line.send(HEARTBEAT, requests.collect::<Vec<_>>());
            for _ in 0..desk.members.len() {
                let answer: HeartbeatResponse = desk.line.receive(HEARTBEAT);
                assert_eq!(answer.error_code, 0, "the group is stable");
                beats += 1;
            }
            times.push(sent.elapsed().as_secs_f64() * 1e3);
        }
    }
    times.sort_by(f64::total_cmp);
    (beats, times)
}
