//! What operators see of groups.

use alloc::{vec, vec::Vec};

use protocol::Str;

use super::{World, bytes, join, offsets::commit};
use crate::group::{
    Answer,
    commit::OffsetCommit,
    describe::{
        DescribeGroup, DescribedGroup, DescribedMember, GroupState, GroupType, ListGroups,
        ListedGroup,
    },
};

impl World {
    fn describe(&mut self) -> DescribedGroup {
        let token = self.token();
        self.run(&DescribeGroup { token, group: Str::from("g"), bytes_max: usize::MAX });
        match self.answer(token) {
            Some(Answer::Describe(Ok(described))) => described,
            other => panic!("it is answered at once: {other:?}"),
        }
    }

    fn list(&mut self, states: &[&str], types: &[&str]) -> Vec<ListedGroup> {
        let token = self.token();
        let owned = |names: &[&str]| names.iter().map(|name| Str::from(*name)).collect();
        let (states, types, bytes_max) = (owned(states), owned(types), usize::MAX);
        self.run(&ListGroups { token, states, types, bytes_max });
        match self.answer(token) {
            Some(Answer::List(Ok(listed))) => listed,
            other => panic!("it is answered at once: {other:?}"),
        }
    }
}

#[test]
fn a_group_is_described_in_each_of_its_states() {
    let mut world = World::new();
    let dead = world.describe();
    assert_eq!((dead.state.name(), dead.members.len()), ("Dead", 0));

    let (a, a_joins) = world.join("a");
    let preparing = world.describe();
    assert_eq!((preparing.state.name(), &*preparing.protocol), ("PreparingRebalance", ""));
    let seen = |metadata: &str, assignment: &str| DescribedMember {
        member: a.clone(),
        instance: None,
        client_id: Str::from("a"),
        client_host: Str::from("/127.0.0.1"),
        metadata: bytes(metadata),
        assignment: bytes(assignment),
    };
    assert_eq!(preparing.members, [seen("", "")]);

    world.pass(super::DELAY_MS);
    world.joined(a_joins);
    let completing = world.describe();
    assert_eq!((completing.state.name(), &*completing.protocol), ("CompletingRebalance", ""));
    assert_eq!(completing.members, [seen("", "")]);

    let leading = world.sync(&a, 1, &[(&a, "all")]);
    world.synced(leading);
    let stable = DescribedGroup {
        state: GroupState::Stable,
        protocol_type: Str::from("consumer"),
        protocol: Str::from("range"),
        members: vec![seen("a", "all")],
    };
    assert_eq!(world.describe(), stable);

    world.pass(u64::try_from(super::SESSION_MS).unwrap());
    let empty = DescribedGroup {
        state: GroupState::Empty,
        protocol: Str::from(""),
        members: Vec::new(),
        ..stable
    };
    assert_eq!(world.describe(), empty);
}

#[test]
fn groups_are_listed_by_state_and_type_whatever_the_case() {
    let mut world = World::new();
    world.stable_pair();
    let _ = world.commit(OffsetCommit { group: Str::from("alone"), ..commit("t", 0, 5) });
    let listed = |group: &str, protocol_type: &str, state| ListedGroup {
        group: Str::from(group),
        protocol_type: Str::from(protocol_type),
        state,
        group_type: GroupType::Classic,
    };
    let alone = listed("alone", "", GroupState::Empty);
    let stable = listed("g", "consumer", GroupState::Stable);
    let both = [alone.clone(), stable.clone()];
    assert_eq!(world.list(&[], &[]), both);
    assert_eq!(world.list(&["stable"], &[]), core::slice::from_ref(&stable));
    assert_eq!(world.list(&[" EMPTY ", "nonsense"], &["Classic"]), [alone]);
    assert_eq!(world.list(&["Empty", "Stable"], &["consumer", "classic"]), both);
    assert_eq!(world.list(&["nonsense"], &[]), []);
    assert_eq!(world.list(&[], &["share"]), []);
    world.join_as(join("c", ""));
    assert_eq!(world.list(&["Stable"], &[]), [stable], "who has only an id changes nothing");
}
