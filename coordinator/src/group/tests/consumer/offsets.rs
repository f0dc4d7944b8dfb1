//! Offsets of a group of the consumer protocol: who may commit, fetch and delete, and what expires.

use alloc::{vec, vec::Vec};

use protocol::{PartitionIndex, Str, TopicId};

use super::{ConsumerHeartbeat, World, beats, joins, pair};
use crate::group::{
    Answer,
    answer::{
        CommitError, DeleteGroupError, OffsetDeleteError, OffsetFetchError, OffsetNotDeleted,
    },
    commit::OffsetCommit,
    delete::DeleteGroup,
    offset_delete::OffsetDelete,
    offset_fetch::{FetchedTopics, FetchingMember, OffsetFetch},
    tests::offsets::commit,
};

fn of(member: &str, epoch: i32, topic: &str, partition: i32) -> OffsetCommit {
    OffsetCommit {
        member: Str::from(member),
        generation: (epoch >= 0).then_some(epoch),
        knows_member_epochs: true,
        ..commit(topic, partition, 5)
    }
}

impl World {
    fn fetch_as(&mut self, member: &str, member_epoch: i32) -> Result<usize, OffsetFetchError> {
        let token = self.token();
        let member = Some(FetchingMember { member: Str::from(member), member_epoch });
        let topics = FetchedTopics::All;
        self.run(&OffsetFetch {
            token,
            group: Str::from("g"),
            topics,
            require_stable: true,
            member,
            bytes_max: usize::MAX,
        });
        match self.answer(token) {
            Some(Answer::OffsetFetch(result)) => result.map(|topics| topics.len()),
            other => panic!("answered at once: {other:?}"),
        }
    }

    fn delete(&mut self) -> Result<(), DeleteGroupError> {
        let token = self.token();
        self.run(&DeleteGroup { token, group: Str::from("g") });
        match self.answer(token) {
            Some(Answer::DeleteGroup(result)) => result,
            other => panic!("answered at once: {other:?}"),
        }
    }

    fn delete_offset(
        &mut self,
        topic: &str,
    ) -> Result<Vec<Result<(), OffsetNotDeleted>>, OffsetDeleteError> {
        let token = self.token();
        let partitions = vec![(Str::from(topic), PartitionIndex(0))];
        self.run(&OffsetDelete { token, group: Str::from("g"), partitions });
        match self.answer(token) {
            Some(Answer::OffsetDelete(result)) => result,
            other => panic!("answered at once: {other:?}"),
        }
    }
}

#[test]
fn a_member_commits_in_its_epoch() {
    let mut world = pair();
    assert_eq!(world.commit(of("a", 3, "t", 0)), Ok(vec![Ok(())]));
    // Also what is not its own: it says so, and its epoch is right.
    assert_eq!(world.commit(of("a", 3, "t", 3)), Ok(vec![Ok(())]));
    assert_eq!(world.commit(of("a", 4, "t", 0)), Err(CommitError::StaleMemberEpoch));
    assert_eq!(world.commit(of("x", 3, "t", 0)), Err(CommitError::UnknownMember));
    assert_eq!(world.commit(of("", -1, "t", 0)), Err(CommitError::UnknownMember));
    assert_eq!(world.commit(of("a", -1, "t", 0)), Err(CommitError::StaleMemberEpoch));
    let old = OffsetCommit { knows_member_epochs: false, ..of("a", 3, "t", 0) };
    assert_eq!(world.commit(old), Err(CommitError::UnsupportedVersion));
}

/// KIP-1251: the answer with the new epoch may be on its way.
#[test]
fn in_an_epoch_before_it_commits_what_it_has_had_since_then() {
    let mut world = pair();
    assert_eq!(world.commit(of("a", 2, "t", 0)), Ok(vec![Ok(())]));
    let by_id = OffsetCommit { offsets: of("a", 2, "t", 1).offsets, ..of("a", 2, "t", 1) };
    let by_id = OffsetCommit {
        offsets: by_id
            .offsets
            .into_iter()
            .map(|of| crate::group::commit::OffsetToCommit { topic_id: super::topic_id("t"), ..of })
            .collect(),
        ..by_id
    };
    assert_eq!(world.commit(by_id), Ok(vec![Ok(())]));
    assert_eq!(world.commit(of("a", 1, "t", 0)), Err(CommitError::StaleMemberEpoch));
    assert_eq!(world.commit(of("a", 2, "t", 2)), Err(CommitError::StaleMemberEpoch), "given back");
    assert_eq!(world.commit(of("b", 2, "t", 2)), Err(CommitError::StaleMemberEpoch), "got in 3");
    assert_eq!(world.commit(of("a", 2, "not there", 0)), Err(CommitError::StaleMemberEpoch));
    // What it has yet to give back is still its own.
    world.beat(joins("c", &["t"])).unwrap();
    world.beat(beats("b", 3)).unwrap();
    assert_eq!(world.commit(of("b", 3, "t", 3)), Ok(vec![Ok(())]));
}

#[test]
fn tools_commit_while_nobody_is_a_member() {
    let mut world = pair();
    for member in ["a", "b"] {
        world.beat(beats(member, -1)).unwrap();
    }
    assert_eq!(world.commit(of("", -1, "t", 0)), Ok(vec![Ok(())]));
    assert_eq!(world.commit(of("a", 3, "t", 0)), Err(CommitError::UnknownMember));
}

#[test]
fn a_member_fetches_in_its_epoch_and_tools_fetch_always() {
    let mut world = pair();
    world.commit(of("a", 3, "t", 0)).unwrap();
    assert_eq!(world.fetch_as("a", 3), Ok(1));
    assert_eq!(world.fetch_as("a", 2), Err(OffsetFetchError::StaleMemberEpoch));
    assert_eq!(world.fetch_as("x", 3), Err(OffsetFetchError::UnknownMember));
    assert_eq!(world.fetch(FetchedTopics::All).len(), 1);
    // A group that is not there, or of the classic protocol, asks for no member.
    world.beat(beats("a", -1)).unwrap();
    world.beat(beats("b", -1)).unwrap();
    assert_eq!(world.delete(), Ok(()));
    assert_eq!(world.fetch_as("a", 3), Ok(0));
}

#[test]
fn offsets_of_topics_that_nobody_reads_may_be_deleted() {
    let mut world = pair();
    for topic in ["t", "u"] {
        world.commit(of("a", 3, topic, 0)).unwrap();
    }
    assert_eq!(world.delete_offset("t"), Ok(vec![Err(OffsetNotDeleted::GroupIsSubscribed)]));
    assert_eq!(world.delete_offset("u"), Ok(vec![Ok(())]));
    let matching = ConsumerHeartbeat { regex: Some(Str::from("u.*")), ..beats("a", 3) };
    world.beat(matching).unwrap();
    assert_eq!(world.delete_offset("u"), Ok(vec![Err(OffsetNotDeleted::GroupIsSubscribed)]));
}

#[test]
fn a_group_is_deleted_when_nobody_is_a_member_with_all_its_records() {
    let mut world = pair();
    world.commit(of("a", 3, "t", 0)).unwrap();
    assert_eq!(world.delete(), Err(DeleteGroupError::NonEmptyGroup));
    world.beat(beats("a", -1)).unwrap();
    world.beat(beats("b", -1)).unwrap();
    assert_eq!(world.delete(), Ok(()));
    assert!(!world.groups.contains("g"));
    assert!(!world.restarted().contains("g"));
    assert_eq!(world.delete(), Err(DeleteGroupError::UnknownGroup));
    assert_eq!(world.beat(joins("a", &["t"])).unwrap().member_epoch, 2, "it begins anew");
}

#[test]
fn offsets_expire_after_their_commit_unless_somebody_reads_the_topic() {
    let mut world = pair();
    world.groups.on_loaded(world.now());
    for topic in ["t", "u"] {
        world.commit(of("a", 3, topic, 0)).unwrap();
    }
    let retention_ms = u64::try_from(world.groups.settings.offsets_retention_ms).unwrap();
    let check_ms = world.groups.settings.offsets_retention_check_ms;
    world.groups.settings.consumer.session_timeout.ms = i32::MAX;
    world.beat(beats("a", 3)).unwrap();
    world.beat(beats("b", 3)).unwrap();
    world.pass(retention_ms + check_ms);
    let offsets = world.groups.offsets_of("g").unwrap();
    assert_eq!(offsets.topics().map(|topic| &**topic).collect::<Vec<_>>(), ["t"]);
    world.beat(beats("a", -1)).unwrap();
    world.beat(beats("b", -1)).unwrap();
    world.pass(check_ms);
    assert!(!world.groups.contains("g"), "neither members nor offsets are left");
    assert!(!world.restarted().contains("g"));
}

#[test]
fn an_empty_group_without_offsets_goes_by_itself() {
    let mut world = World::of_consumers(&[("t", 1)]);
    world.groups.on_loaded(world.now());
    world.beat(joins("a", &["t"])).unwrap();
    world.beat(beats("a", -1)).unwrap();
    assert!(world.groups.contains("g"));
    world.pass(world.groups.settings.offsets_retention_check_ms);
    assert!(!world.groups.contains("g"));
    let _: TopicId = super::topic_id("t");
}
