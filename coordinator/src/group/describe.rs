//! DescribeGroups and ListGroups: what operators see of groups.

use alloc::vec::Vec;

use bytes::Bytes;
use protocol::Str;

use super::{
    Answer, ClassicGroup, GroupCommand, GroupDecision, Groups, Moment, Token,
    answer::AnswerTooLarge, classic::ClassicState, room::Room, subscribed::CONSUMER,
};

/// A group's state, as Kafka names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupState {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
    /// Of the consumer protocol: the target assignment is to be computed.
    Assigning,
    /// Of the consumer protocol: members are on their way to the target assignment.
    Reconciling,
    /// There is no such group.
    Dead,
}

impl GroupState {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Dead => "Dead",
        }
    }
}

impl From<ClassicState> for GroupState {
    fn from(state: ClassicState) -> Self {
        match state {
            ClassicState::Empty => Self::Empty,
            ClassicState::PreparingRebalance { .. } => Self::PreparingRebalance,
            ClassicState::CompletingRebalance => Self::CompletingRebalance,
            ClassicState::Stable => Self::Stable,
        }
    }
}

/// Which protocol a group's members speak, as Kafka names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupType {
    Classic,
    Consumer,
}

impl GroupType {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
        }
    }
}

/// One group of a DescribeGroups request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeGroup {
    pub token: Token,
    pub group: Str,
    /// Of the answer.
    pub bytes_max: usize,
}

/// A group in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedGroup {
    pub state: GroupState,
    /// Empty where nobody was ever a member.
    pub protocol_type: Str,
    /// Empty unless the group is stable.
    pub protocol: Str,
    /// In the order of member ids.
    pub members: Vec<DescribedMember>,
}

/// A member as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedMember {
    pub member: Str,
    pub instance: Option<Str>,
    pub client_id: Str,
    pub client_host: Str,
    /// Both are empty unless the group is stable: else they are of no generation.
    pub metadata: Bytes,
    pub assignment: Bytes,
}

impl GroupCommand for DescribeGroup {
    fn decide(&self, groups: &Groups, _now: Moment) -> GroupDecision {
        let described = Room::of_group(self.bytes_max).and_then(|mut room| {
            let group = groups.get(&self.group);
            group.map_or_else(|| Ok(nobody()), |group| described(group, &mut room))
        });
        GroupDecision::answer(self.token, Answer::Describe(described))
    }
}

fn nobody() -> DescribedGroup {
    DescribedGroup {
        state: GroupState::Dead,
        protocol_type: Str::default(),
        protocol: Str::default(),
        members: Vec::new(),
    }
}

fn described(group: &ClassicGroup, room: &mut Room) -> Result<DescribedGroup, AnswerTooLarge> {
    let state = GroupState::from(group.state());
    let protocol = match state {
        GroupState::Stable => group.protocol(),
        _ => None,
    };
    let mut members = Vec::new();
    for (id, member) in group.members() {
        let described = DescribedMember {
            member: id.clone(),
            instance: member.instance.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: protocol
                .and_then(|protocol| member.metadata_for(protocol))
                .cloned()
                .unwrap_or_default(),
            assignment: protocol.map(|_| member.assignment.clone()).unwrap_or_default(),
        };
        room.take(described.bytes())?;
        members.push(described);
    }
    Ok(DescribedGroup {
        state,
        protocol_type: group.protocol_type().cloned().unwrap_or_default(),
        protocol: protocol.cloned().unwrap_or_default(),
        members,
    })
}

/// A ListGroups request. Both filters are compared as Kafka does, without regard to case; an empty one lets
/// everything through, and a name that nobody knows lets nothing through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListGroups {
    pub token: Token,
    pub states: Vec<Str>,
    pub types: Vec<Str>,
    /// Of the answer.
    pub bytes_max: usize,
}

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    pub group: Str,
    pub protocol_type: Str,
    pub state: GroupState,
    pub group_type: GroupType,
}

impl GroupCommand for ListGroups {
    fn decide(&self, groups: &Groups, _now: Moment) -> GroupDecision {
        let classic = groups.iter().map(|(id, group)| ListedGroup {
            group: id.clone(),
            protocol_type: group.protocol_type().cloned().unwrap_or_default(),
            state: group.state().into(),
            group_type: GroupType::Classic,
        });
        let consumers = groups.consumers().map(|(id, group)| ListedGroup {
            group: id.clone(),
            protocol_type: Str::from_static(CONSUMER),
            state: group.state(),
            group_type: GroupType::Consumer,
        });
        let wanted = classic.chain(consumers).filter(|group| {
            lets_through(&self.states, group.state.name())
                && lets_through(&self.types, group.group_type.name())
        });
        GroupDecision::answer(self.token, Answer::List(self.listed(wanted)))
    }
}

impl ListGroups {
    fn listed(
        &self,
        wanted: impl Iterator<Item = ListedGroup>,
    ) -> Result<Vec<ListedGroup>, AnswerTooLarge> {
        let mut room = Room::of_group(self.bytes_max)?;
        let mut listed = Vec::new();
        for group in wanted {
            room.take(group.bytes())?;
            listed.push(group);
        }
        listed.sort_by(|one, other| one.group.cmp(&other.group));
        Ok(listed)
    }
}

fn lets_through(filter: &[Str], name: &str) -> bool {
    filter.is_empty() || filter.iter().any(|wanted| wanted.trim().eq_ignore_ascii_case(name))
}
