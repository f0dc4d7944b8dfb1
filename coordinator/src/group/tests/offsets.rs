//! Committed offsets: who may commit, what is kept of it, what is found again, and what may be deleted.

use alloc::{string::String, vec, vec::Vec};

use protocol::{
    LeaderEpoch, Offset, PartitionIndex, Str, TopicId,
    consumer_protocol::ConsumerProtocolSubscription,
};

use super::{DELAY_MS, SESSION_MS, World, bytes, join, static_join};
use crate::{
    group::{
        Answer, CommittedOffset, GroupSettings, Token,
        answer::{
            CommitError, DeleteGroupError, HeartbeatError, JoinError, OffsetDeleteError,
            OffsetNotDeleted, OffsetRefused,
        },
        classic::{ClassicState, join::JoinGroup},
        commit::{OffsetCommit, OffsetToCommit},
        delete::DeleteGroup,
        offset_delete::OffsetDelete,
        offset_fetch::{FetchedOffsets, FetchedTopics, OffsetFetch},
    },
    limits::{COMMIT_OFFSETS_MAX, RECORDS_PER_DECISION_MAX},
    metadata::WallMillis,
};

pub(super) type Commits = Result<Vec<Result<(), OffsetRefused>>, CommitError>;

/// A commit of one offset without a member's help.
pub(super) fn commit(topic: &str, partition: i32, offset: i64) -> OffsetCommit {
    OffsetCommit {
        token: Token(0),
        group: Str::from("g"),
        member: Str::from(""),
        instance: None,
        generation: None,
        retention_ms: None,
        knows_member_epochs: false,
        offsets: vec![to_commit(topic, partition, offset)],
    }
}

fn to_commit(topic: &str, partition: i32, offset: i64) -> OffsetToCommit {
    OffsetToCommit {
        topic: Str::from(topic),
        partition: PartitionIndex(partition),
        offset: Offset(offset),
        ..OffsetToCommit::default()
    }
}

impl World {
    pub(super) fn commit(&mut self, commit: OffsetCommit) -> Commits {
        let token = self.token();
        self.run(&OffsetCommit { token, ..commit });
        match self.answer(token) {
            Some(Answer::Commit(result)) => result,
            other => panic!("a commit is answered at once: {other:?}"),
        }
    }

    fn commit_as(&mut self, member: &Str, generation: i32, offset: i64) -> Commits {
        let (member, generation) = (member.clone(), Some(generation));
        self.commit(OffsetCommit { member, generation, ..commit("t", 0, offset) })
    }

    pub(super) fn fetch(&mut self, topics: FetchedTopics) -> Vec<FetchedOffsets> {
        let token = self.token();
        self.run(&OffsetFetch {
            token,
            group: Str::from("g"),
            topics,
            require_stable: false,
            member: None,
            bytes_max: usize::MAX,
        });
        match self.answer(token) {
            Some(Answer::OffsetFetch(Ok(fetched))) => fetched,
            other => panic!("a fetch is answered at once: {other:?}"),
        }
    }

    /// The committed offset of a partition of "g".
    pub(super) fn position(&self, topic: &str, partition: i32) -> Option<i64> {
        let offsets = self.groups.offsets_of("g")?;
        offsets.get(topic, PartitionIndex(partition)).map(|committed| committed.offset.0)
    }

    fn delete_offsets(
        &mut self,
        partitions: &[(&str, i32)],
    ) -> Result<Vec<Result<(), OffsetNotDeleted>>, OffsetDeleteError> {
        let token = self.token();
        let partitions = partitions
            .iter()
            .map(|(topic, partition)| (Str::from(*topic), PartitionIndex(*partition)))
            .collect();
        self.run(&OffsetDelete { token, group: Str::from("g"), partitions });
        match self.answer(token) {
            Some(Answer::OffsetDelete(result)) => result,
            other => panic!("it is answered at once: {other:?}"),
        }
    }

    fn delete_group(&mut self) -> Result<(), DeleteGroupError> {
        let token = self.token();
        for _ in 0..10 {
            self.run(&DeleteGroup { token, group: Str::from("g") });
            if let Some(Answer::DeleteGroup(result)) = self.answer(token) {
                return result;
            }
        }
        panic!("it is answered after some decisions");
    }

    /// One consumer that is alone in generation 1 and subscribes to these topics.
    pub(super) fn stable_consumer(&mut self, topics: &[&str]) -> Str {
        let topics = topics.iter().map(|topic| Str::from(*topic)).collect();
        let said = ConsumerProtocolSubscription { topics, ..Default::default() };
        let protocols = vec![(Str::from("range"), said.to_bytes(0).unwrap())];
        self.stable_member(JoinGroup { protocols, ..join("a", "") })
    }

    fn stable_member(&mut self, join: JoinGroup) -> Str {
        let joins = self.join_as(JoinGroup { knows_given_ids: false, ..join });
        self.pass(DELAY_MS);
        let member = self.joined(joins).member;
        let assigned = self.sync(&member, 1, &[(&member, "all")]);
        self.synced(assigned);
        member
    }
}

#[test]
fn what_is_committed_is_found_again_as_it_was() {
    let mut world = World::new();
    let full = OffsetToCommit {
        topic_id: TopicId([7; 16]),
        leader_epoch: Some(LeaderEpoch(5)),
        metadata: Str::from("remember me"),
        ..to_commit("t", 1, 1_048)
    };
    let plain = to_commit("u", 0, 3);
    let both = vec![full, plain];
    let answered = world.commit(OffsetCommit { offsets: both, ..commit("", 0, 0) });
    assert_eq!(answered, Ok(vec![Ok(()), Ok(())]));
    let committed_at = world.now().wall;
    let of_t = CommittedOffset {
        offset: Offset(1_048),
        leader_epoch: Some(LeaderEpoch(5)),
        metadata: Str::from("remember me"),
        committed_at,
        expires_at: None,
        topic_id: TopicId([7; 16]),
    };
    let of_u = CommittedOffset { offset: Offset(3), committed_at, ..CommittedOffset::default() };
    let found = |topic: &str, partition, offset: Option<&CommittedOffset>| FetchedOffsets {
        topic: Str::from(topic),
        partitions: vec![(PartitionIndex(partition), offset.cloned())],
    };
    let all = world.fetch(FetchedTopics::All);
    assert_eq!(all, [found("t", 1, Some(&of_t)), found("u", 0, Some(&of_u))]);
    let these = vec![
        (Str::from("u"), vec![PartitionIndex(0)]),
        (Str::from("t"), vec![PartitionIndex(9)]),
        (Str::from("never"), vec![PartitionIndex(0)]),
    ];
    let these = world.fetch(FetchedTopics::These(these));
    let expected = [found("u", 0, Some(&of_u)), found("t", 9, None), found("never", 0, None)];
    assert_eq!(these, expected, "in the order that was asked for; what is not there is no error");
    assert_eq!(world.restarted().offsets_of("g"), world.groups.offsets_of("g"));
}

#[test]
fn a_group_that_is_not_there_has_committed_nothing() {
    let mut world = World::new();
    assert_eq!(world.fetch(FetchedTopics::All), []);
    let one = FetchedTopics::These(vec![(Str::from("t"), vec![PartitionIndex(0)])]);
    let expected =
        FetchedOffsets { topic: Str::from("t"), partitions: vec![(PartitionIndex(0), None)] };
    assert_eq!(world.fetch(one), [expected]);
}

#[test]
fn without_a_generation_one_commits_only_while_nobody_is_a_member() {
    let mut world = World::new();
    assert_eq!(world.commit(commit("t", 0, 5)), Ok(vec![Ok(())]), "it begins a group");
    assert_eq!(world.groups.get("g").unwrap().state(), ClassicState::Empty);
    let late = OffsetCommit { generation: Some(0), ..commit("t", 0, 6) };
    assert_eq!(world.commit(late), Err(CommitError::UnknownMember));

    let member = world.stable_consumer(&["t"]);
    assert_eq!(world.commit(commit("t", 0, 7)), Err(CommitError::UnknownMember));
    let named = OffsetCommit { member: member.clone(), ..commit("t", 0, 7) };
    assert_eq!(world.commit(named), Err(CommitError::IllegalGeneration));
    assert_eq!(world.position("t", 0), Some(5));
    world.pass(u64::try_from(SESSION_MS).unwrap());
    assert_eq!(world.group().state(), ClassicState::Empty);
    assert_eq!(world.commit(commit("t", 0, 8)), Ok(vec![Ok(())]), "a tool sets it back");
    assert_eq!(world.position("t", 0), Some(8));
}

#[test]
fn commits_of_members_are_refused_in_kafkas_order() {
    let mut world = World::new();
    let nobody = Str::from("nobody");
    assert_eq!(world.commit_as(&nobody, 1, 5), Err(CommitError::UnknownGroup));
    let (a, b) = world.stable_pair();
    assert_eq!(world.commit_as(&nobody, 7, 5), Err(CommitError::UnknownMember));
    assert_eq!(world.commit_as(&a, 0, 5), Err(CommitError::IllegalGeneration));
    assert_eq!(world.commit_as(&a, 2, 5), Err(CommitError::IllegalGeneration));
    assert_eq!(world.commit_as(&a, 1, 5), Ok(vec![Ok(())]));

    let (_, c_joins) = world.join("c");
    assert_eq!(world.commit_as(&a, 1, 6), Ok(vec![Ok(())]), "while members join it is its own");
    let joins = [world.join_as(join("a", &a)), world.join_as(join("b", &b)), c_joins];
    for token in joins {
        assert_eq!(world.joined(token).generation, 2);
    }
    assert_eq!(world.commit_as(&a, 1, 7), Err(CommitError::IllegalGeneration));
    assert_eq!(world.commit_as(&a, 2, 7), Err(CommitError::RebalanceInProgress));
    assert_eq!(world.position("t", 0), Some(6));
}

#[test]
fn a_commit_with_the_instance_id_of_another_is_fenced() {
    let mut world = World::new();
    let a = world.stable_member(static_join("a", ""));
    let by = |member: &Str, instance: &str| OffsetCommit {
        member: member.clone(),
        instance: Some(Str::from(instance)),
        generation: Some(1),
        ..commit("t", 0, 5)
    };
    assert_eq!(world.commit(by(&a, "a")), Ok(vec![Ok(())]));
    assert_eq!(world.commit(by(&Str::from("x"), "a")), Err(CommitError::FencedInstance));
    assert_eq!(world.commit(by(&a, "b")), Err(CommitError::UnknownMember));
}

#[test]
fn a_commit_is_a_sign_of_life() {
    let mut world = World::new();
    let a = world.stable_consumer(&["t"]);
    for offset in 0..5 {
        world.pass(u64::try_from(SESSION_MS).unwrap() - 1);
        assert_eq!(world.commit_as(&a, 1, offset), Ok(vec![Ok(())]));
    }
    assert_eq!(world.heartbeat(&a, 1), Ok(()));
    world.pass(u64::try_from(SESSION_MS).unwrap());
    assert_eq!(world.heartbeat(&a, 1), Err(HeartbeatError::UnknownMember));
}

#[test]
fn metadata_that_is_too_large_costs_its_own_partition_only() {
    let mut world = World::new();
    let said = |partition, text: String| OffsetToCommit {
        metadata: Str::from(text),
        ..to_commit("t", partition, 1)
    };
    let offsets = vec![
        said(0, "x".repeat(4_096)),
        said(1, "x".repeat(4_097)),
        // Java's length, not the bytes'.
        said(2, "ö".repeat(4_096)),
        said(3, "ö".repeat(4_097)),
    ];
    let answered = world.commit(OffsetCommit { offsets, ..commit("", 0, 0) });
    let refused = Err(OffsetRefused::MetadataTooLarge);
    assert_eq!(answered, Ok(vec![Ok(()), refused, Ok(()), refused]));
    let positions = [0, 1, 2, 3].map(|partition| world.position("t", partition));
    assert_eq!(positions, [Some(1), None, Some(1), None]);
}

#[test]
fn one_commit_is_one_batch_or_nothing() {
    let mut world = World::new();
    let most = i32::try_from(COMMIT_OFFSETS_MAX).unwrap();
    let offsets = |count| (0..count).map(|partition| to_commit("t", partition, 1)).collect();
    let too_many = OffsetCommit { offsets: offsets(most + 1), ..commit("", 0, 0) };
    assert_eq!(world.commit(too_many), Err(CommitError::TooLarge));
    assert!(world.groups.offsets_of("g").is_none());
    let answered = world.commit(OffsetCommit { offsets: offsets(most), ..commit("", 0, 0) });
    assert_eq!(answered.map(|each| each.len()), Ok(COMMIT_OFFSETS_MAX));
}

#[test]
fn a_commit_that_names_its_retention_keeps_what_its_record_can_say() {
    let mut world = World::new();
    let offsets =
        vec![OffsetToCommit { leader_epoch: Some(LeaderEpoch(3)), ..to_commit("t", 0, 5) }];
    let retention_ms = Some(1_000);
    let answered = world.commit(OffsetCommit { retention_ms, offsets, ..commit("", 0, 0) });
    assert_eq!(answered, Ok(vec![Ok(())]));
    let kept = world.groups.offsets_of("g").unwrap().get("t", PartitionIndex(0)).unwrap().clone();
    assert_eq!(kept.expires_at, Some(WallMillis(world.now().wall.0 + 1_000)));
    assert_eq!(kept.leader_epoch, None);
}

#[test]
fn offsets_of_topics_that_somebody_reads_are_not_deleted() {
    let mut world = World::new();
    assert_eq!(world.delete_offsets(&[("t", 0)]), Err(OffsetDeleteError::UnknownGroup));
    for topic in ["t", "u"] {
        assert_eq!(world.commit(commit(topic, 0, 5)), Ok(vec![Ok(())]));
    }
    world.stable_consumer(&["t"]);
    let results = world.delete_offsets(&[("t", 0), ("u", 0), ("u", 1), ("v", 0)]);
    let subscribed = Err(OffsetNotDeleted::GroupIsSubscribed);
    assert_eq!(results, Ok(vec![subscribed, Ok(()), Ok(()), Ok(())]));
    assert_eq!((world.position("t", 0), world.position("u", 0)), (Some(5), None));
    world.pass(u64::try_from(SESSION_MS).unwrap());
    assert_eq!(world.delete_offsets(&[("t", 0)]), Ok(vec![Ok(())]), "nobody reads it now");
    assert!(world.groups.offsets_of("g").is_none());
}

#[test]
fn members_that_do_not_say_what_they_read_keep_all_offsets() {
    let mut world = World::new();
    assert_eq!(world.commit(commit("t", 0, 5)), Ok(vec![Ok(())]));
    let protocols = vec![(Str::from("range"), bytes("x"))];
    world.stable_member(JoinGroup { protocols, ..join("a", "") });
    let subscribed = Err(OffsetNotDeleted::GroupIsSubscribed);
    assert_eq!(world.delete_offsets(&[("t", 0)]), Ok(vec![subscribed]));

    let mut world = World::new();
    world.stable_member(JoinGroup { protocol_type: Str::from("connect"), ..join("a", "") });
    assert_eq!(world.delete_offsets(&[("t", 0)]), Err(OffsetDeleteError::NonEmptyGroup));
}

#[test]
fn a_group_is_deleted_with_all_its_offsets_when_nobody_is_in_it() {
    let mut world = World::new();
    assert_eq!(world.delete_group(), Err(DeleteGroupError::UnknownGroup));
    let member = world.stable_consumer(&["t"]);
    assert_eq!(world.commit_as(&member, 1, 5), Ok(vec![Ok(())]));
    assert_eq!(world.delete_group(), Err(DeleteGroupError::NonEmptyGroup));
    world.pass(u64::try_from(SESSION_MS).unwrap());
    assert_eq!(world.delete_group(), Ok(()));
    assert!(world.groups.get("g").is_none() && world.groups.offsets_of("g").is_none());
    assert!(!world.restarted().contains("g"), "also after a restart");
    assert_eq!(world.delete_group(), Err(DeleteGroupError::UnknownGroup));
    world.stable_consumer(&["t"]);
    assert_eq!(world.position("t", 0), None, "it begins anew");
}

#[test]
fn a_group_with_very_many_offsets_is_deleted_in_steps() {
    let mut world = World::new();
    let each = i32::try_from(COMMIT_OFFSETS_MAX).unwrap();
    for topic in ["t", "u"] {
        let offsets = (0..each).map(|partition| to_commit(topic, partition, 1)).collect();
        let answered = world.commit(OffsetCommit { offsets, ..commit("", 0, 0) });
        assert_eq!(answered.map(|each| each.len()), Ok(COMMIT_OFFSETS_MAX));
    }
    let token = world.token();
    let delete = DeleteGroup { token, group: Str::from("g") };
    world.run(&delete);
    assert_eq!(world.answer(token), None);
    let left = world.groups.offsets_of("g").unwrap().len();
    assert_eq!(left, 2 * COMMIT_OFFSETS_MAX - RECORDS_PER_DECISION_MAX);
    assert_eq!(world.delete_group(), Ok(()));
    assert!(!world.groups.contains("g"));
}

#[test]
fn whoever_was_on_the_way_into_a_deleted_group_begins_anew() {
    let mut world = World::new();
    let first = world.join_as(join("a", ""));
    let Some(Answer::Join(Err(JoinError::MemberIdRequired { member }))) = world.answer(first)
    else {
        panic!("it was given an id");
    };
    assert_eq!(world.delete_group(), Ok(()));
    assert_eq!(world.groups.deadline_ms(), None);
    let second = world.join_as(join("a", &member));
    assert_eq!(world.answer(second), Some(Answer::Join(Err(JoinError::UnknownMember))));
}

#[test]
fn settings_bound_the_metadata() {
    let settings = GroupSettings { offset_metadata_max: 2, ..GroupSettings::default() };
    let mut world = World::with(settings);
    let offsets = vec![OffsetToCommit { metadata: Str::from("abc"), ..to_commit("t", 0, 1) }];
    let answered = world.commit(OffsetCommit { offsets, ..commit("", 0, 0) });
    assert_eq!(answered, Ok(vec![Err(OffsetRefused::MetadataTooLarge)]));
}
