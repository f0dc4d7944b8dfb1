//! The classic protocol, request by request, and what a restart makes of it.

mod codec;
mod consumer;
mod consumer_classic;
mod consumer_random;
mod describe;
mod expiry;
mod large;
mod log;
mod memory;
mod memory_left;
mod offsets;
mod random;
mod room;

use alloc::{format, string::String, vec, vec::Vec};

use bytes::Bytes;
use protocol::Str;

use super::{
    Answer, ClassicGroup, Due, DurableRecord, GroupCommand, GroupDecision, GroupRecord,
    GroupSettings, Groups, Moment, Token,
    answer::{HeartbeatError, JoinError, Joined, LeaveError, SyncError},
    classic::{
        ClassicState,
        heartbeat::Heartbeat,
        join::JoinGroup,
        leave::{LeaveGroup, Leaving},
        sync::SyncGroup,
    },
    forget::Forgetting,
};
use crate::metadata::WallMillis;

const SESSION_MS: i32 = 10_000;
const REBALANCE_MS: i32 = 60_000;
/// Kafka's `group.initial.rebalance.delay.ms`.
const DELAY_MS: u64 = 3_000;

/// The machine with a clock, and every answer so far.
struct World {
    groups: Groups,
    now_ms: u64,
    next_token: u64,
    answers: Vec<(Token, Answer)>,
    log: Vec<DurableRecord>,
    /// Invariants are asserted after each record: the log is one that a coordinator wrote, and not too long.
    is_sound: bool,
}

impl World {
    fn new() -> Self {
        Self::with(GroupSettings::default())
    }

    fn with(settings: GroupSettings) -> Self {
        let groups = Groups::new(settings);
        let (answers, log) = (Vec::new(), Vec::new());
        Self { groups, now_ms: 0, next_token: 0, answers, log, is_sound: true }
    }

    fn now(&self) -> Moment {
        let wall = WallMillis(1_700_000_000_000 + i64::try_from(self.now_ms).unwrap());
        Moment { monotonic_ms: self.now_ms, wall }
    }

    fn token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }

    fn run<C: GroupCommand>(&mut self, command: &C) {
        let GroupDecision { records, answers } = self.groups.decide(self.now(), command);
        for record in &records {
            self.groups.replay(record);
            if self.is_sound && records.len() < 10 {
                self.groups.invariants();
            }
            if let GroupRecord::Durable(record) = record {
                self.log.push(record.clone());
            }
        }
        self.answers.extend(answers);
    }

    /// One step; gives the rest.
    fn forget(&mut self, forgetting: Forgetting) -> Option<Forgetting> {
        let forgotten = forgetting.step(&self.groups);
        for record in &forgotten.decision.records {
            self.groups.replay(record);
            if let GroupRecord::Durable(record) = record {
                self.log.push(record.clone());
            }
        }
        self.groups.invariants();
        forgotten.rest
    }

    /// Time passes, and everything that is due with it.
    fn pass(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while let Some(at) = self.groups.deadline_ms().filter(|at| *at <= end) {
            self.now_ms = self.now_ms.max(at);
            self.run(&Due);
        }
        self.now_ms = end;
    }

    fn answer(&mut self, token: Token) -> Option<Answer> {
        let at = self.answers.iter().position(|(of, _)| *of == token)?;
        Some(self.answers.remove(at).1)
    }

    fn group(&self) -> &ClassicGroup {
        self.groups.get("g").expect("the group is there")
    }

    fn join_as(&mut self, join: JoinGroup) -> Token {
        let token = self.token();
        let new_member = Str::from(format!("{}-{}", join.client_id, token.0));
        self.run(&JoinGroup { token, new_member, ..join });
        token
    }

    /// A client of version 4 or later joins: with the id that it is given.
    fn join(&mut self, client: &str) -> (Str, Token) {
        let first = self.join_as(join(client, ""));
        let Some(Answer::Join(Err(JoinError::MemberIdRequired { member }))) = self.answer(first)
        else {
            panic!("a new member gets its id first");
        };
        let token = self.join_as(join(client, &member));
        (member, token)
    }

    fn joined(&mut self, token: Token) -> Joined {
        match self.answer(token) {
            Some(Answer::Join(Ok(joined))) => joined,
            other => panic!("it has joined: {other:?}"),
        }
    }

    fn sync(&mut self, member: &Str, generation: i32, assignments: &[(&Str, &str)]) -> Token {
        let token = self.token();
        let assignments =
            assignments.iter().map(|(member, text)| ((*member).clone(), bytes(text))).collect();
        self.run(&SyncGroup {
            token,
            group: Str::from("g"),
            member: member.clone(),
            instance: None,
            generation,
            protocol_type: None,
            protocol: None,
            assignments,
        });
        token
    }

    fn synced(&mut self, token: Token) -> Bytes {
        match self.answer(token) {
            Some(Answer::Sync(Ok(synced))) => synced.assignment,
            other => panic!("it has an assignment: {other:?}"),
        }
    }

    fn heartbeat(&mut self, member: &Str, generation: i32) -> Result<(), HeartbeatError> {
        let token = self.token();
        let (group, member) = (Str::from("g"), member.clone());
        self.run(&Heartbeat { token, group, member, instance: None, generation });
        match self.answer(token) {
            Some(Answer::Heartbeat(result)) => result,
            other => panic!("a heartbeat is answered at once: {other:?}"),
        }
    }

    fn leave(&mut self, members: Vec<Leaving>) -> Vec<Result<(), LeaveError>> {
        let token = self.token();
        self.run(&LeaveGroup { token, group: Str::from("g"), members });
        match self.answer(token) {
            Some(Answer::Leave(results)) => results,
            other => panic!("leaving is answered at once: {other:?}"),
        }
    }

    /// Two members, stable in generation 1: (leader, follower).
    fn stable_pair(&mut self) -> (Str, Str) {
        let (a, a_joins) = self.join("a");
        let (b, b_joins) = self.join("b");
        self.pass(2 * DELAY_MS);
        let (of_a, of_b) = (self.joined(a_joins), self.joined(b_joins));
        assert_eq!((of_a.generation, &of_a.leader, &of_b.leader), (1, &a, &a));
        let waiting = self.sync(&b, 1, &[]);
        assert_eq!(self.answer(waiting), None, "the leader has not assigned");
        let leading = self.sync(&a, 1, &[(&a, "for a"), (&b, "for b")]);
        assert_eq!(self.synced(leading), bytes("for a"));
        assert_eq!(self.synced(waiting), bytes("for b"));
        (a, b)
    }

    /// The machine as the log alone gives it.
    fn restarted(&self) -> Groups {
        let mut groups = Groups::new(GroupSettings::default());
        for record in &self.log {
            groups.replay(&GroupRecord::Durable(record.clone()));
        }
        groups.on_loaded(self.now());
        groups.invariants();
        groups
    }
}

fn bytes(text: &str) -> Bytes {
    Bytes::from(String::from(text))
}

fn join(client: &str, member: &str) -> JoinGroup {
    JoinGroup {
        token: Token(0),
        group: Str::from("g"),
        member: Str::from(member),
        new_member: Str::from(""),
        instance: None,
        client_id: Str::from(client),
        client_host: Str::from("/127.0.0.1"),
        session_timeout_ms: SESSION_MS,
        rebalance_timeout_ms: REBALANCE_MS,
        protocol_type: Str::from("consumer"),
        protocols: vec![(Str::from("range"), bytes(client))],
        knows_given_ids: true,
        may_skip_assignment: false,
    }
}

fn static_join(client: &str, member: &str) -> JoinGroup {
    JoinGroup { instance: Some(Str::from(client)), ..join(client, member) }
}

#[test]
fn members_that_start_together_are_in_one_generation() {
    let mut world = World::new();
    let (a, a_joins) = world.join("a");
    world.pass(DELAY_MS - 1);
    let (b, b_joins) = world.join("b");
    world.pass(1);
    assert_eq!(world.answer(a_joins), None, "somebody came: it is put off once more");
    world.pass(DELAY_MS);
    let (leader, follower) = (world.joined(a_joins), world.joined(b_joins));
    assert_eq!((leader.generation, follower.generation), (1, 1));
    assert_eq!((&leader.member, &leader.leader, &follower.leader), (&a, &a, &a));
    assert_eq!(&*leader.protocol, "range");
    let seen: Vec<_> = leader.members.iter().map(|seen| (&seen.member, &seen.metadata)).collect();
    assert_eq!(seen, [(&a, &bytes("a")), (&b, &bytes("b"))]);
    assert!(follower.members.is_empty(), "the leader alone assigns");
}

#[test]
fn each_member_gets_the_bytes_that_the_leader_assigned() {
    let mut world = World::new();
    let (a, b) = world.stable_pair();
    assert_eq!(world.group().state(), ClassicState::Stable);
    assert_eq!((world.heartbeat(&a, 1), world.heartbeat(&b, 1)), (Ok(()), Ok(())));
    let again = world.sync(&b, 1, &[]);
    assert_eq!(world.synced(again), bytes("for b"), "whoever asks again is told again");
}

#[test]
fn a_new_member_begins_a_rebalance_that_all_have_to_join() {
    let mut world = World::new();
    let (a, b) = world.stable_pair();
    let (c, c_joins) = world.join("c");
    assert_eq!(world.heartbeat(&a, 1), Err(HeartbeatError::RebalanceInProgress));
    let refused = world.sync(&b, 1, &[]);
    let answer = Some(Answer::Sync(Err(SyncError::RebalanceInProgress)));
    assert_eq!(world.answer(refused), answer);
    let a_joins = world.join_as(join("a", &a));
    assert_eq!(world.answer(c_joins), None, "one is missing");
    let b_joins = world.join_as(join("b", &b));
    let generations = [a_joins, b_joins, c_joins].map(|token| world.joined(token).generation);
    assert_eq!(generations, [2, 2, 2]);
    assert_eq!(world.heartbeat(&b, 1), Err(HeartbeatError::IllegalGeneration));
    assert_eq!(world.heartbeat(&c, 2), Ok(()));
}

#[test]
fn who_does_not_join_in_time_is_left_behind() {
    let mut world = World::new();
    let (a, b) = world.stable_pair();
    let (_, c_joins) = world.join("c");
    let a_joins = world.join_as(join("a", &a));
    // It lives, and never asks to join again.
    for _ in 0..REBALANCE_MS / SESSION_MS * 2 {
        world.pass(u64::try_from(SESSION_MS / 2).unwrap());
        let _ = world.heartbeat(&b, 1);
    }
    assert_eq!((world.joined(a_joins).generation, world.joined(c_joins).generation), (2, 2));
    assert_eq!(world.heartbeat(&b, 1), Err(HeartbeatError::UnknownMember));
    assert_eq!(world.group().member_count(), 2);
}

#[test]
fn a_silent_member_is_replaced_when_its_session_ends() {
    let mut world = World::new();
    let (a, b) = world.stable_pair();
    world.pass(u64::try_from(SESSION_MS).unwrap() - 1);
    assert_eq!(world.heartbeat(&a, 1), Ok(()));
    world.pass(1);
    assert_eq!(world.heartbeat(&b, 1), Err(HeartbeatError::UnknownMember));
    assert_eq!(world.heartbeat(&a, 1), Err(HeartbeatError::RebalanceInProgress));
    let joins = world.join_as(join("a", &a));
    assert_eq!(world.joined(joins).generation, 2, "nobody else has to be waited for");
}

#[test]
fn the_last_one_leaves_an_empty_group_that_remembers_its_generation() {
    let mut world = World::new();
    let (a, b) = world.stable_pair();
    let leaving = |member: &Str| Leaving { member: member.clone(), instance: None };
    let unknown = Leaving { member: Str::from("x"), instance: None };
    let results = world.leave(vec![leaving(&a), unknown, leaving(&b)]);
    assert_eq!(results, [Ok(()), Err(LeaveError::UnknownMember), Ok(())]);
    assert_eq!(world.group().state(), ClassicState::Empty);
    assert_eq!(world.restarted().get("g").unwrap().generation(), 2);
    let (_, joins) = world.join("c");
    world.pass(DELAY_MS);
    assert_eq!(world.joined(joins).generation, 3);
}

#[test]
fn a_given_id_that_is_not_used_holds_nobody_up() {
    let mut world = World::new();
    let (a, joins) = world.join("a");
    world.pass(DELAY_MS);
    world.joined(joins);
    let assigned = world.sync(&a, 1, &[(&a, "all")]);
    world.synced(assigned);
    world.join_as(join("b", ""));
    let again = world.join_as(join("a", &a));
    assert_eq!(world.answer(again), None, "whoever has the other id may come yet");
    world.pass(u64::try_from(SESSION_MS).unwrap());
    assert_eq!(world.joined(again).generation, 2);
    assert_eq!(world.group().member_count(), 1);
}

#[test]
fn a_group_that_nobody_completed_leaves_no_trace() {
    let mut world = World::new();
    world.join_as(join("a", ""));
    assert!(world.groups.get("g").is_some(), "an id was given");
    world.pass(u64::try_from(SESSION_MS).unwrap());
    assert!(world.groups.get("g").is_none());
    assert_eq!((world.log.len(), world.groups.deadline_ms()), (0, None));
}

#[test]
fn a_static_member_comes_back_to_its_place_and_fences_who_had_it() {
    let mut world = World::new();
    let a_joins = world.join_as(static_join("a", ""));
    let b_joins = world.join_as(static_join("b", ""));
    world.pass(2 * DELAY_MS);
    let (a, b) = (world.joined(a_joins).member, world.joined(b_joins).member);
    let leading = world.sync(&a, 1, &[(&a, "for a"), (&b, "for b")]);
    world.synced(leading);
    let waiting = world.sync(&b, 1, &[]);
    world.synced(waiting);

    let again = world.join_as(static_join("b", ""));
    let again = world.joined(again);
    assert_eq!((again.generation, &again.leader), (1, &a), "nobody else hears of it");
    assert_ne!(again.member, b);
    assert_eq!(world.heartbeat(&a, 1), Ok(()));
    let assigned = world.sync(&again.member, 1, &[]);
    assert_eq!(world.synced(assigned), bytes("for b"));
    let old = world.join_as(static_join("b", &b));
    assert_eq!(world.answer(old), Some(Answer::Join(Err(JoinError::FencedInstance))));
    let stored = world.restarted();
    assert!(stored.get("g").unwrap().member(&again.member).is_some(), "also after a restart");

    let by_instance = Leaving { member: Str::from(""), instance: Some(Str::from("b")) };
    assert_eq!(world.leave(vec![by_instance]), [Ok(())]);
    assert_eq!(world.heartbeat(&a, 1), Err(HeartbeatError::RebalanceInProgress));
}

/// The Java client says what it owns, and of which generation, when it joins; begun anew it owns nothing.
#[test]
fn a_static_member_that_owns_nothing_any_more_comes_back_without_a_rebalance() {
    let mut world = World::new();
    let owning = vec![(Str::from("range"), bytes("owns 0 of generation 1"))];
    let a_joins = world.join_as(JoinGroup { protocols: owning, ..static_join("a", "") });
    let b_joins = world.join_as(static_join("b", ""));
    world.pass(2 * DELAY_MS);
    let (a, b) = (world.joined(a_joins).member, world.joined(b_joins).member);
    let leading = world.sync(&a, 1, &[(&a, "for a"), (&b, "for b")]);
    world.synced(leading);
    let again = world.join_as(JoinGroup { may_skip_assignment: true, ..static_join("a", "") });
    assert_eq!(world.joined(again).generation, 1);
    assert_eq!(world.heartbeat(&b, 1), Ok(()));
}

#[test]
fn a_static_leader_that_comes_back_assigns_nothing_anew() {
    for may_skip_assignment in [false, true] {
        let mut world = World::new();
        let joins = world.join_as(static_join("a", ""));
        world.pass(DELAY_MS);
        let a = world.joined(joins).member;
        let leading = world.sync(&a, 1, &[(&a, "all")]);
        world.synced(leading);
        let again = world.join_as(JoinGroup { may_skip_assignment, ..static_join("a", "") });
        let again = world.joined(again);
        assert_eq!(again.skips_assignment, may_skip_assignment);
        assert_eq!(again.leader == again.member, may_skip_assignment, "older ones are no leader");
        assert_eq!(again.members.len(), usize::from(may_skip_assignment));
    }
}

#[test]
fn refusals_come_in_kafkas_order() {
    let settings = GroupSettings { members_max: 1, ..GroupSettings::default() };
    let mut world = World::with(settings);
    let base = || join("a", "");
    let table = [
        (JoinGroup { group: Str::from(""), ..base() }, JoinError::InvalidGroupId),
        (JoinGroup { session_timeout_ms: 5_999, ..base() }, JoinError::InvalidSessionTimeout),
        (JoinGroup { session_timeout_ms: 1_800_001, ..base() }, JoinError::InvalidSessionTimeout),
        (join("a", "nobody"), JoinError::UnknownMember),
        (JoinGroup { protocol_type: Str::from(""), ..base() }, JoinError::InconsistentProtocol),
        (JoinGroup { protocols: Vec::new(), ..base() }, JoinError::InconsistentProtocol),
    ];
    for (request, expected) in table {
        let token = world.join_as(request.clone());
        assert_eq!(world.answer(token), Some(Answer::Join(Err(expected))), "{request:?}");
    }
    let (_, joins) = world.join("a");
    let second = world.join_as(base());
    assert_eq!(world.answer(second), Some(Answer::Join(Err(JoinError::GroupIsFull))));
    world.pass(DELAY_MS);
    world.joined(joins);

    let mut world = World::new();
    world.stable_pair();
    let other = vec![(Str::from("sticky"), bytes("x"))];
    let token = world.join_as(JoinGroup { protocols: other, ..base() });
    let refused = Some(Answer::Join(Err(JoinError::InconsistentProtocol)));
    assert_eq!(world.answer(token), refused, "no protocol that all know");
}

/// The id is no static member's: it would get the place of whoever has the instance id.
#[test]
fn a_given_id_is_not_used_with_an_instance_id() {
    let mut world = World::new();
    let a_joins = world.join_as(static_join("a", ""));
    let given = world.join_as(join("b", ""));
    let Some(Answer::Join(Err(JoinError::MemberIdRequired { member }))) = world.answer(given)
    else {
        panic!("it was given an id");
    };
    let fenced = world.join_as(static_join("a", &member));
    assert_eq!(world.answer(fenced), Some(Answer::Join(Err(JoinError::FencedInstance))));
    let unknown = world.join_as(static_join("b", &member));
    assert_eq!(world.answer(unknown), Some(Answer::Join(Err(JoinError::UnknownMember))));
    world.pass(DELAY_MS);
    world.joined(a_joins);
    assert_eq!(world.group().member_count(), 1);
}

#[test]
fn a_full_group_turns_away_who_comes_last_and_does_not_wait_for_it() {
    let mut world = World::with(GroupSettings { members_max: 2, ..GroupSettings::default() });
    let (a, b) = world.stable_pair();
    assert_eq!(world.leave(vec![Leaving { member: b, instance: None }]), [Ok(())]);
    let (_, c_joins) = world.join("c");
    let (_, d_joins) = world.join("d");
    let late = world.join_as(join("a", &a));
    assert_eq!(world.answer(late), Some(Answer::Join(Err(JoinError::GroupIsFull))));
    assert_eq!(world.joined(c_joins).generation, 2);
    assert_eq!(world.joined(d_joins).generation, 2);
    assert_eq!(world.heartbeat(&a, 1), Err(HeartbeatError::UnknownMember));
}

#[test]
fn a_given_id_keeps_a_place_for_its_member() {
    let mut world = World::with(GroupSettings { members_max: 2, ..GroupSettings::default() });
    let old = |name: &str| JoinGroup { knows_given_ids: false, ..join(name, "") };
    let a_joins = world.join_as(old("a"));
    let given = world.join_as(join("b", ""));
    let Some(Answer::Join(Err(JoinError::MemberIdRequired { member }))) = world.answer(given)
    else {
        panic!("it was given an id");
    };
    let refused = world.join_as(old("c"));
    let full = Some(Answer::Join(Err(JoinError::GroupIsFull)));
    assert_eq!(world.answer(refused), full, "the place is kept");
    let b_joins = world.join_as(join("b", &member));
    world.pass(2 * DELAY_MS);
    assert_eq!((world.joined(a_joins).generation, world.joined(b_joins).generation), (1, 1));
}

#[test]
fn a_loaded_group_that_is_too_large_now_rebalances_until_it_is_not() {
    let mut world = World::new();
    let (a, b) = world.stable_pair();
    let mut groups = Groups::new(GroupSettings { members_max: 1, ..GroupSettings::default() });
    for record in &world.log {
        groups.replay(&GroupRecord::Durable(record.clone()));
    }
    groups.on_loaded(world.now());
    world.groups = groups;
    assert_eq!(world.heartbeat(&a, 1), Err(HeartbeatError::RebalanceInProgress));
    let first = world.join_as(join("a", &a));
    let last = world.join_as(join("b", &b));
    assert_eq!(world.answer(last), Some(Answer::Join(Err(JoinError::GroupIsFull))));
    assert_eq!(world.joined(first).generation, 2);
}

/// Version 5 and later name what they think was agreed on; before the first generation that is nothing.
#[test]
fn who_asks_for_an_assignment_before_the_first_generation_is_told_to_join() {
    let mut world = World::new();
    let (a, _) = world.join("a");
    let token = world.token();
    world.run(&SyncGroup {
        token,
        group: Str::from("g"),
        member: a,
        instance: None,
        generation: 0,
        protocol_type: Some(Str::from("consumer")),
        protocol: Some(Str::from("range")),
        assignments: Vec::new(),
    });
    let answer = Some(Answer::Sync(Err(SyncError::RebalanceInProgress)));
    assert_eq!(world.answer(token), answer);
}

#[test]
fn the_protocol_that_most_want_and_all_know_is_chosen() {
    let mut world = World::new();
    let names = [&["sticky", "range"][..], &["range", "sticky"], &["range", "sticky", "own"]];
    let mut tokens = Vec::new();
    for (at, names) in names.iter().enumerate() {
        let protocols = names.iter().map(|name| (Str::from(*name), bytes("m"))).collect();
        let request = JoinGroup { protocols, ..join(&format!("{at}"), "") };
        tokens.push(world.join_as(JoinGroup { knows_given_ids: false, ..request }));
    }
    world.pass(3 * DELAY_MS);
    for token in tokens {
        assert_eq!(&*world.joined(token).protocol, "range");
    }
}

#[test]
fn a_restart_keeps_the_generation_and_every_assignment() {
    let mut world = World::new();
    let (a, b) = world.stable_pair();
    let mut groups = world.restarted();
    let (live, restored) = (world.group().stored(), groups.get("g").unwrap().stored());
    assert_eq!(restored, live, "the log tells what is");
    assert_eq!(groups.get("g").unwrap().state(), ClassicState::Stable);
    core::mem::swap(&mut world.groups, &mut groups);
    world.pass(u64::try_from(SESSION_MS).unwrap() - 1);
    assert_eq!((world.heartbeat(&a, 1), world.heartbeat(&b, 1)), (Ok(()), Ok(())));
    let token = world.sync(&b, 1, &[]);
    assert_eq!(world.synced(token), bytes("for b"));
    world.pass(u64::try_from(SESSION_MS).unwrap());
    let unknown = Err(HeartbeatError::UnknownMember);
    assert_eq!(world.heartbeat(&a, 1), unknown, "who does not come back is replaced");
}

#[test]
fn a_leader_that_never_assigns_is_dropped() {
    let mut world = World::new();
    let (a, a_joins) = world.join("a");
    let (b, b_joins) = world.join("b");
    world.pass(2 * DELAY_MS);
    world.joined(a_joins);
    world.joined(b_joins);
    let waiting = world.sync(&b, 1, &[]);
    for _ in 0..REBALANCE_MS / SESSION_MS * 2 {
        world.pass(u64::try_from(SESSION_MS / 2).unwrap());
        let _ = world.heartbeat(&a, 1);
    }
    let answer = Some(Answer::Sync(Err(SyncError::RebalanceInProgress)));
    assert_eq!(world.answer(waiting), answer, "it has to join again");
    assert_eq!(world.heartbeat(&a, 1), Err(HeartbeatError::UnknownMember));
    let joins = world.join_as(join("b", &b));
    assert_eq!(world.joined(joins).leader, b);
}
