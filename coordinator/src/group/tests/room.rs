//! Answers are no larger than they may be: who names one group six hundred times is not answered 2 GiB.

use std::{vec, vec::Vec};

use protocol::Str;

use super::{World, join, offsets::commit};
use crate::group::{
    Answer, GroupCommand, Groups, Moment, Token,
    answer::{AnswerTooLarge, OffsetFetchError},
    commit::{OffsetCommit, OffsetToCommit},
    consumer::describe::DescribeConsumerGroup,
    describe::{DescribeGroup, ListGroups},
    offset_fetch::{FetchedTopics, OffsetFetch},
};

fn answer_of(groups: &Groups, command: &impl GroupCommand) -> Answer {
    let answers = groups.decide(Moment::default(), command).answers;
    answers.into_iter().next().expect("it is answered at once").1
}

/// What is said of the groups `g` and `c`, each answer no larger than this.
fn answers(groups: &Groups, bytes_max: usize) -> [Answer; 5] {
    let token = Token(0);
    let group = || Str::from("g");
    let fetch = |topics| OffsetFetch {
        token,
        group: group(),
        topics,
        require_stable: false,
        member: None,
        bytes_max,
    };
    let twice = vec![protocol::PartitionIndex(0); 2];
    let named = FetchedTopics::These(vec![(Str::from("t"), twice)]);
    let (states, types) = (Vec::new(), Vec::new());
    let consumers = DescribeConsumerGroup { token, group: Str::from("c"), bytes_max };
    [
        answer_of(groups, &fetch(FetchedTopics::All)),
        answer_of(groups, &fetch(named)),
        answer_of(groups, &DescribeGroup { token, group: group(), bytes_max }),
        answer_of(groups, &consumers),
        answer_of(groups, &ListGroups { token, states, types, bytes_max }),
    ]
}

fn is_too_large(answer: &Answer, bytes_max: usize) -> bool {
    let why = AnswerTooLarge { bytes_max };
    match answer {
        Answer::OffsetFetch(result) => *result == Err(OffsetFetchError::TooLarge(why)),
        Answer::Describe(result) => *result == Err(why),
        Answer::DescribeConsumer(result) => *result == Err(why),
        Answer::List(result) => *result == Err(why),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_answer_is_as_large_as_it_may_be_and_not_a_byte_more() {
    let mut world = World::of_consumers(&[("t", 1)]);
    let member = super::consumer::joins("m", &["t"]);
    world
        .beat(crate::group::consumer::request::ConsumerHeartbeat {
            group: Str::from("c"),
            ..member
        })
        .unwrap();
    let offset = OffsetToCommit {
        metadata: Str::from("x".repeat(1_000).as_str()),
        ..commit("t", 0, 5).offsets.remove(0)
    };
    world.commit(OffsetCommit { offsets: vec![offset], ..commit("t", 0, 5) }).unwrap();
    world.join_as(join("a", ""));
    let unbounded = answers(&world.groups, usize::MAX);
    for (at, answer) in unbounded.iter().enumerate() {
        let bytes = answer.bytes();
        assert_eq!(&answers(&world.groups, bytes)[at], answer);
        assert!(is_too_large(&answers(&world.groups, bytes - 1)[at], bytes - 1), "{answer:?}");
    }
    assert!(unbounded[1].bytes() > 2_000, "the offset stands there twice");
    assert!(is_too_large(&answers(&world.groups, 0)[0], 0));
}
