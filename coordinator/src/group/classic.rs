//! A group of the classic protocol: its members agree on a protocol, one of them assigns the partitions.
//!
//! ```text
//!            a member joins                 all have joined, or time is up
//!   Empty ───────────────────▶ Preparing ─────────────────────────────────▶ Completing
//!     ▲                         ▲   │ nobody is left                             │ the leader's
//!     │                         │   └───▶ Empty                                  ▼ assignment
//!     └─────────────────────────┴──────────────────────────────────────────── Stable
//!        who leaves, changes or falls silent begins the next rebalance
//! ```
//!
//! * `change`: a group while a command on it is decided; `rebalance`: its phases
//! * `join`, `sync`, `heartbeat`, `leave`: one file per request

pub(super) mod change;
pub mod heartbeat;
pub mod join;
pub mod leave;
mod rebalance;
pub mod sync;

use alloc::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    vec::Vec,
};

use bytes::Bytes;
use protocol::Str;

use super::{
    Token,
    answer::NotAMember,
    memory::{given_id_bytes, member_bytes},
    record::{StoredClassicGroup, StoredMember},
    subscribed::{CONSUMER, SubscribedTopics},
};
use crate::metadata::WallMillis;

/// Where the group stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClassicState {
    /// No members; its offsets may live on.
    #[default]
    Empty,
    /// Members join; the first rebalance of a group waits for more to come.
    PreparingRebalance {
        first: Option<FirstRebalance>,
    },
    /// Everybody who joined knows the generation; the leader is assigning.
    CompletingRebalance,
    Stable,
}

/// The first rebalance is put off a little each time somebody came, up to a bound: members that start
/// together would otherwise cause one each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstRebalance {
    /// It is put off no more after this.
    pub until_ms: u64,
    /// Somebody came since it was put off last.
    pub has_grown: bool,
}

/// One member of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    pub instance: Option<Str>,
    pub client_id: Str,
    pub client_host: Str,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    /// What it can do, its favourite first, each with metadata for the leader.
    pub protocols: Vec<(Str, Bytes)>,
    pub assignment: Bytes,
    /// Its JoinGroup that waits for the rebalance.
    pub joining: Option<Joining>,
    /// Its SyncGroup that waits for the leader.
    pub syncing: Option<Token>,
    /// It joined this generation and has not asked for its assignment.
    pub owes_sync: bool,
    /// It has not been told its member id: it cannot send heartbeats.
    pub is_new: bool,
}

/// A JoinGroup that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joining {
    pub token: Token,
    pub since_ms: u64,
}

impl Member {
    pub fn session_ms(&self) -> u64 {
        u64::try_from(self.session_timeout_ms).unwrap_or(0)
    }

    pub fn metadata_for(&self, protocol: &str) -> Option<&Bytes> {
        self.protocols.iter().find(|(name, _)| name == protocol).map(|(_, metadata)| metadata)
    }
}

/// A group of the classic protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassicGroup {
    pub(super) state: ClassicState,
    /// `None`: not known, of a group that was stored long ago.
    pub(super) state_since: Option<WallMillis>,
    pub(super) generation: i32,
    /// Of its members: "consumer", mostly.
    pub(super) protocol_type: Option<Str>,
    /// Chosen by the last completed rebalance.
    pub(super) protocol: Option<Str>,
    pub(super) leader: Option<Str>,
    /// By member id.
    members: BTreeMap<Str, Rc<Member>>,
    /// Member ids by instance id.
    instances: BTreeMap<Str, Str>,
    /// Ids that were given and not used yet.
    given_ids: BTreeSet<Str>,
    /// Its record is in the log, and ends with a tombstone.
    pub(super) is_stored: bool,
    subscribed_topics: SubscribedTopics,
    /// What members and given ids take in memory.
    member_bytes: usize,
}

impl ClassicGroup {
    /// As its record says.
    pub fn restored(stored: &StoredClassicGroup) -> Self {
        let state =
            if stored.members.is_empty() { ClassicState::Empty } else { ClassicState::Stable };
        let protocol_type =
            (!stored.protocol_type.is_empty()).then(|| stored.protocol_type.clone());
        let mut group = Self {
            state,
            state_since: stored.state_since,
            generation: stored.generation,
            protocol_type,
            protocol: stored.protocol.clone(),
            leader: stored.leader.clone(),
            is_stored: true,
            ..Self::default()
        };
        for member in &stored.members {
            let protocol = stored.protocol.clone().unwrap_or_default();
            let restored = Member {
                instance: member.instance.clone(),
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                session_timeout_ms: member.session_timeout_ms,
                protocols: Vec::from([(protocol, member.subscription.clone())]),
                assignment: member.assignment.clone(),
                ..Member::default()
            };
            group.put(member.member.clone(), restored);
        }
        if !group.leader.as_ref().is_some_and(|leader| group.members.contains_key(leader)) {
            group.leader = group.members.keys().next().cloned();
        }
        if !group.members.is_empty() {
            group.protocol.get_or_insert_default();
        }
        group.note_subscribed_topics();
        group
    }

    /// A stable group whose members are still to be put into it.
    pub(super) fn of_consumers(generation: i32) -> Self {
        Self {
            state: ClassicState::Stable,
            generation,
            protocol_type: Some(Str::from_static(CONSUMER)),
            is_stored: true,
            ..Self::default()
        }
    }

    /// What its record says.
    pub fn stored(&self) -> StoredClassicGroup {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let members = self.members.iter().map(|(id, member)| StoredMember {
            member: id.clone(),
            instance: member.instance.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            subscription: member.metadata_for(protocol).cloned().unwrap_or_default(),
            assignment: member.assignment.clone(),
        });
        StoredClassicGroup {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            state_since: self.state_since,
            members: members.collect(),
        }
    }

    /// Whether its record would say just that.
    pub(super) fn is_stored_as(&self, stored: &StoredClassicGroup) -> bool {
        matches!(self.state, ClassicState::Empty | ClassicState::Stable) && self.stored() == *stored
    }

    /// Nobody is in it, and nobody ever completed a rebalance: it leaves no trace.
    pub(super) fn is_nothing(&self) -> bool {
        self.state == ClassicState::Empty && !self.is_stored && self.given_ids.is_empty()
    }

    /// Nobody is in it, and nobody is on the way: its record may go.
    pub(super) fn is_over(&self) -> bool {
        self.state == ClassicState::Empty && self.is_stored && self.given_ids.is_empty()
    }

    /// A generation begins: what its members read is what counts until the next one.
    pub(super) fn note_subscribed_topics(&mut self) {
        let protocol_type = self.protocol_type.as_deref().unwrap_or_default();
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let metadata = self.members.values().filter_map(|member| member.metadata_for(protocol));
        self.subscribed_topics = SubscribedTopics::of_members(protocol_type, metadata);
    }

    /// Who names an instance id has to be the member that has it.
    pub(super) fn check_member(
        &self,
        id: &str,
        instance: Option<&Str>,
    ) -> Result<&Member, NotAMember> {
        if let Some(instance) = instance {
            match self.of_instance(instance) {
                None => return Err(NotAMember::Unknown),
                Some(member) if *member != *id => return Err(NotAMember::Fenced),
                Some(_) => {}
            }
        }
        self.member(id).ok_or(NotAMember::Unknown)
    }

    pub fn state(&self) -> ClassicState {
        self.state
    }

    /// When it came to this state.
    pub fn state_since(&self) -> Option<WallMillis> {
        self.state_since
    }

    pub fn generation(&self) -> i32 {
        self.generation
    }

    pub fn protocol_type(&self) -> Option<&Str> {
        self.protocol_type.as_ref()
    }

    pub fn is_of_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    pub fn subscribed_topics(&self) -> &SubscribedTopics {
        &self.subscribed_topics
    }

    /// Consumers that do not say what they read may read everything.
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed_topics {
            SubscribedTopics::Known(topics) => topics.contains(topic),
            SubscribedTopics::Unknown => self.is_of_consumers(),
        }
    }

    pub fn protocol(&self) -> Option<&Str> {
        self.protocol.as_ref()
    }

    pub fn leader(&self) -> Option<&Str> {
        self.leader.as_ref()
    }

    pub fn members(&self) -> impl Iterator<Item = (&Str, &Member)> {
        self.members.iter().map(|(id, member)| (id, member.as_ref()))
    }

    pub fn member(&self, id: &str) -> Option<&Member> {
        self.members.get(id).map(Rc::as_ref)
    }

    pub fn member_count(&self) -> usize {
        self.members.len()
    }

    /// The member that has this instance id now.
    pub(super) fn of_instance(&self, instance: &str) -> Option<&Str> {
        self.instances.get(instance)
    }

    pub(super) fn given_ids(&self) -> &BTreeSet<Str> {
        &self.given_ids
    }

    pub(super) fn give_id(&mut self, id: Str) {
        let bytes = given_id_bytes(&id);
        self.member_bytes += if self.given_ids.insert(id) { bytes } else { 0 };
    }

    pub(super) fn take_given_id(&mut self, id: &str) {
        self.member_bytes -= if self.given_ids.remove(id) { given_id_bytes(id) } else { 0 };
    }

    /// Changes what a member says or has.
    pub(super) fn change_member<R>(
        &mut self,
        id: &str,
        change: impl FnOnce(&mut Member) -> R,
    ) -> Option<R> {
        let member = Rc::make_mut(self.members.get_mut(id)?);
        let before = member_bytes(id, member);
        let changed = change(member);
        self.member_bytes = self.member_bytes + member_bytes(id, member) - before;
        Some(changed)
    }

    /// For its waits and marks; what takes memory is changed with [`Self::change_member`].
    pub(super) fn member_mut(&mut self, id: &str) -> Option<&mut Member> {
        self.members.get_mut(id).map(Rc::make_mut)
    }

    /// A new member, or one with the place of another of the same id. The first is the leader.
    pub(super) fn put(&mut self, id: Str, member: Member) {
        let before = self.members.get(&id).and_then(|before| before.instance.clone());
        if let Some(instance) = before {
            self.instances.remove(&instance);
        }
        if let Some(instance) = &member.instance {
            self.instances.insert(instance.clone(), id.clone());
        }
        self.leader.get_or_insert_with(|| id.clone());
        self.member_bytes += member_bytes(&id, &member);
        if let Some(before) = self.members.insert(id.clone(), Rc::new(member)) {
            self.member_bytes -= member_bytes(&id, &before);
        }
    }

    pub(super) fn take(&mut self, id: &str) -> Option<Member> {
        let member = self.members.remove(id)?;
        self.member_bytes -= member_bytes(id, &member);
        if let Some(instance) = &member.instance
            && self.instances.get(instance).is_some_and(|known| known == id)
        {
            self.instances.remove(instance);
        }
        if self.leader.as_deref() == Some(id) {
            self.leader = self.members.keys().next().cloned();
        }
        Some(Rc::unwrap_or_clone(member))
    }

    /// Whether everybody who is known of has joined.
    pub(super) fn all_have_joined(&self) -> bool {
        self.given_ids.is_empty() && self.members.values().all(|member| member.joining.is_some())
    }

    pub(super) fn joining_count(&self) -> usize {
        self.members.values().filter(|member| member.joining.is_some()).count()
    }

    /// A protocol type that its members do not have, or no protocol that all of them know.
    pub(super) fn supports(&self, protocol_type: &str, protocols: &[(Str, Bytes)]) -> bool {
        if self.members.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|(name, _)| self.is_known_to_all(name))
    }

    fn is_known_to_all(&self, protocol: &str) -> bool {
        self.members.values().all(|member| member.metadata_for(protocol).is_some())
    }

    /// The protocol that most members name first, of those that all know; the first by name of several.
    pub(super) fn choose_protocol(&self) -> Option<Str> {
        let names = |member: &'_ Rc<Member>| -> BTreeSet<Str> {
            member.protocols.iter().map(|(name, _)| name.clone()).collect()
        };
        let mut known_to_all = self.members.values().next().map(names)?;
        known_to_all.retain(|name| self.is_known_to_all(name));
        let mut votes: BTreeMap<&Str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let mut names = member.protocols.iter().map(|(name, _)| name);
            if let Some(favourite) = names.find(|name| known_to_all.contains(*name)) {
                *votes.entry(favourite).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name.clone())
    }

    /// The longest that a member may take to join again.
    pub(super) fn rebalance_timeout_ms(&self) -> u64 {
        let timeouts = self.members.values().map(|member| member.rebalance_timeout_ms);
        timeouts.max().and_then(|most| u64::try_from(most).ok()).unwrap_or(0)
    }

    /// What it takes in memory, beside its name.
    pub(super) fn bytes(&self) -> usize {
        let length = |text: &Option<Str>| text.as_deref().map_or(0, str::len);
        self.member_bytes
            + length(&self.protocol_type)
            + length(&self.protocol)
            + length(&self.leader)
    }

    /// The same, of all members anew.
    pub(super) fn counted_bytes(&self) -> usize {
        let members = self.members.iter().map(|(id, member)| member_bytes(id, member));
        let given = self.given_ids.iter().map(|id| given_id_bytes(id));
        self.bytes() - self.member_bytes + members.sum::<usize>() + given.sum::<usize>()
    }

    /// Asserts what must hold after every record.
    pub(super) fn invariants(&self) {
        let has_members = !self.members.is_empty();
        assert!(has_members || self.leader.is_none(), "a leader is a member");
        if let Some(leader) = &self.leader {
            assert!(self.members.contains_key(leader), "the leader is a member");
        }
        for (instance, member) in &self.instances {
            let of = self.members.get(member).and_then(|member| member.instance.as_ref());
            assert_eq!(of, Some(instance), "instances are those of members");
        }
        match self.state {
            ClassicState::Empty => assert!(!has_members, "an empty group has no members"),
            ClassicState::PreparingRebalance { .. } => {
                let waits = |member: &Rc<Member>| member.syncing.is_some();
                assert!(!self.members.values().any(waits), "nobody waits for an assignment");
            }
            ClassicState::CompletingRebalance | ClassicState::Stable => {
                assert!(has_members && self.protocol.is_some(), "members agreed on a protocol");
                let waits = |member: &Rc<Member>| member.joining.is_some();
                assert!(!self.members.values().any(waits), "nobody waits to join");
            }
        }
    }
}
