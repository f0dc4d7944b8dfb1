//! Random members of both protocols in one group: heartbeats, lost answers, crashes, static members that leave and
//! return, changed subscriptions and topics, time, restarts. What must hold after every step:
//!
//! * what a member holds is the coordinator's word for it, until it gave it back or is out: so no partition has two
//!   readers
//! * epochs never go back, neither the group's nor a member's, nor over a change of the protocol
//! * the log, its bytes and its compaction (in any order) give what lives
//!
//! And in the end, when nothing happens any more, every partition that somebody reads has one reader, and
//! when everybody is gone nothing is left.

use alloc::{collections::BTreeMap, format, rc::Rc, vec, vec::Vec};

use bytes::Bytes;
use proptest::{
    collection::vec,
    prelude::{ProptestConfig, any, proptest},
};
use protocol::{
    Str, TopicId,
    consumer_protocol::{ConsumerProtocolAssignment, ConsumerProtocolSubscription, TopicPartition},
};

use super::{
    World, consumer, join,
    log::{compacted, encoded, replayed},
    offsets::commit,
};
use crate::group::{
    Answer, ClusterTopic, ClusterTopics, ConsumerGroup, DurableRecord, GroupSettings, Groups,
    Token,
    answer::Joined,
    classic::{
        ClassicState,
        heartbeat::Heartbeat,
        join::JoinGroup,
        leave::{LeaveGroup, Leaving},
        sync::SyncGroup,
    },
    commit::OffsetCommit,
    consumer::{ConsumerPart, request::ConsumerHeartbeat},
    delete::DeleteGroup,
    describe::GroupState,
};

mod answers;
mod client;
mod step;

use client::{Client, Partition, Speaks, listed};
use step::{Step, step};

const CLIENTS: usize = 6;
/// Those that speak the classic protocol, as bits.
const CLASSIC: u8 = 0b01_1000;
/// What members subscribe to: names, and a regular expression that those of the classic protocol replace.
const SUBSCRIPTIONS: [(&[&str], &str); 4] =
    [(&["t"], ""), (&["t", "u"], ""), (&[], ""), (&["t"], "[uv].?")];
const TOPICS: [&[(&str, i32)]; 4] =
    [&[("t", 4)], &[("t", 4), ("u", 2)], &[("t", 5), ("u", 2), ("v", 1)], &[("u", 3)]];

struct Trial {
    world: World,
    clients: Vec<Client>,
    waiting: BTreeMap<Token, usize>,
    /// The group's epoch or generation, while it lives.
    epoch: i32,
    member_epochs: BTreeMap<Str, i32>,
    log_seen: usize,
    /// How often a topic was created.
    incarnations: BTreeMap<Str, u8>,
}

impl Trial {
    fn new() -> Self {
        let mut world = World::with(GroupSettings {
            offsets_retention_check_ms: 20_000,
            ..consumer::settings()
        });
        world.groups.settings.consumer.assignment_interval.ms = 1_000;
        world.groups.on_loaded(world.now());
        let speaks = [
            Speaks::Consumer,
            Speaks::Consumer,
            Speaks::Consumer,
            Speaks::Eager,
            Speaks::Cooperative,
            Speaks::Consumer,
        ];
        let client = |(number, speaks)| {
            let instance = matches!(number, 2 | 4 | 5).then(|| Str::from(format!("i{number}")));
            let mut client = Client { speaks, instance, says: 1, ..Client::default() };
            client.crash(number);
            client
        };
        let mut trial = Self {
            world,
            clients: speaks.into_iter().enumerate().map(client).collect(),
            waiting: BTreeMap::new(),
            epoch: 0,
            member_epochs: BTreeMap::new(),
            log_seen: 0,
            incarnations: BTreeMap::new(),
        };
        trial.set_topics(TOPICS[1]);
        trial
    }

    /// A topic that is created again (with fewer partitions, say) has another id. Ids begin with the names.
    fn set_topics(&mut self, topics: &[(&str, i32)]) {
        let known = Rc::clone(&self.world.groups.topics);
        let mut ids = Vec::new();
        for (name, partition_count) in topics {
            let incarnation = self.incarnations.entry(Str::from(*name)).or_default();
            let grows = |of: &ClusterTopic| of.partition_count <= *partition_count;
            if !known.by_name(name).is_some_and(grows) {
                *incarnation += 1;
            }
            let mut id = consumer::topic_id(name);
            id.0[15] = *incarnation;
            let partition_count = *partition_count;
            ids.push((Str::from(*name), ClusterTopic { id, partition_count }));
        }
        self.world.groups.set_topics(Rc::new(ClusterTopics::new(known.version() + 1, ids)));
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Beat { client, is_lost, is_full } => self.beat(client, is_lost, is_full),
            Step::Subscribe { client, says } => self.clients[client].says = says,
            Step::GiveBack { client } => self.give_back(client),
            Step::Leave { client, comes_back } => self.leave(client, comes_back),
            Step::Crash { client, switches } => {
                self.waiting.retain(|_, waiting| *waiting != client);
                if switches && client == 5 {
                    let speaks = &mut self.clients[client].speaks;
                    *speaks = match speaks {
                        Speaks::Consumer => Speaks::Cooperative,
                        _ => Speaks::Consumer,
                    };
                }
                self.clients[client].crash(client);
            }
            Step::Commit { client, behind } => self.commit(client, behind),
            Step::Topics { which } => self.set_topics(TOPICS[which]),
            Step::DeleteGroup => {
                let token = self.world.token();
                self.world.run(&DeleteGroup { token, group: Str::from("g") });
                self.world.answer(token);
            }
            Step::ConsumersLeave => {
                for client in (0..CLIENTS)
                    .filter(|client| !self.clients[*client].is_classic())
                    .collect::<Vec<_>>()
                {
                    self.leave(client, false);
                    self.settle();
                }
            }
            Step::Pass { ms } => self.world.pass(ms),
            Step::Round { clients } => {
                for _ in 0..3 {
                    for client in (0..CLIENTS).filter(|client| clients & (1 << client) != 0) {
                        self.beat(client, false, false);
                        self.settle();
                        self.give_back(client);
                    }
                    self.world.pass(1_000);
                    self.settle();
                }
            }
            Step::Restart => self.restart(),
        }
        self.settle();
    }

    fn ask(&mut self, client: usize) -> Token {
        let token = self.world.token();
        self.waiting.insert(token, client);
        token
    }

    fn give_back(&mut self, client: usize) {
        let client = &mut self.clients[client];
        let told = client.told.clone();
        client.holds.retain(|partition| told.contains(partition));
    }

    fn beat(&mut self, number: usize, is_lost: bool, is_full: bool) {
        if self.clients[number].is_classic() {
            return self.beat_classic(number);
        }
        let token = self.ask(number);
        let client = &mut self.clients[number];
        let is_full = is_full || client.is_unsure || client.epoch == 0;
        let (names, regex) = SUBSCRIPTIONS[client.says];
        let says = (is_full || client.said != Some(client.says)).then_some((names, regex));
        let owns = is_full || client.reported.as_ref() != Some(&client.holds);
        let request = ConsumerHeartbeat {
            token,
            member_epoch: client.epoch,
            instance: client.instance.clone(),
            rebalance_timeout_ms: is_full.then_some(60_000),
            topics: says.map(|(names, _)| names.iter().map(|name| Str::from(*name)).collect()),
            regex: says.map(|(_, regex)| Str::from(regex)),
            owned: owns.then(|| listed(&client.holds)),
            ..consumer::joins(&client.member, &[])
        };
        client.said = Some(client.says);
        client.reported = Some(client.holds.clone());
        client.is_unsure = is_lost;
        self.world.run(&request);
        if is_lost {
            self.waiting.remove(&token);
            let answer = self.world.answer(token).expect("answered at once");
            // A member that was put out is not told so, and is out all the same.
            if matches!(answer, Answer::ConsumerHeartbeat(Err(_)))
                && self.clients[number].epoch == 0
            {
                self.clients[number].abandon();
            }
        }
    }

    fn beat_classic(&mut self, number: usize) {
        let client = &self.clients[number];
        if client.is_waiting {
            return;
        }
        let has_changed = client.said != Some(client.says);
        match (&client.joined, client.is_synced) {
            (None, _) => self.join(number),
            (Some(joined), false) => {
                let assignments = self.lead(joined);
                let token = self.ask(number);
                let client = &mut self.clients[number];
                client.is_waiting = true;
                let request = SyncGroup {
                    token,
                    group: Str::from("g"),
                    member: client.member.clone(),
                    instance: client.instance.clone(),
                    generation: client.epoch,
                    protocol_type: Some(Str::from("consumer")),
                    protocol: Some(Str::from("range")),
                    assignments,
                };
                self.world.run(&request);
            }
            (Some(_), true) if has_changed => self.join(number),
            (Some(_), true) => {
                let token = self.ask(number);
                let client = &self.clients[number];
                let request = Heartbeat {
                    token,
                    group: Str::from("g"),
                    member: client.member.clone(),
                    instance: client.instance.clone(),
                    generation: client.epoch,
                };
                self.world.run(&request);
            }
        }
    }

    fn join(&mut self, number: usize) {
        let token = self.ask(number);
        let client = &mut self.clients[number];
        if client.speaks == Speaks::Eager {
            client.holds.clear();
        }
        // What it no longer reads it gives back before it says so.
        let (names, _) = SUBSCRIPTIONS[client.says];
        client.holds.retain(|(topic, _)| names.contains(&name_of(*topic).as_str()));
        let owned = listed(&client.holds).into_iter().map(|(topic, partitions)| TopicPartition {
            topic: name_of(topic),
            partitions: partitions.iter().map(|at| at.0).collect(),
        });
        let said = ConsumerProtocolSubscription {
            topics: names.iter().map(|name| Str::from(*name)).collect(),
            owned_partitions: owned.collect(),
            generation_id: client.epoch,
            ..Default::default()
        };
        client.said = Some(client.says);
        client.joined = None;
        client.is_waiting = true;
        let name = format!("c{number}");
        let request = JoinGroup {
            token,
            new_member: Str::from(format!("{name}-{}", token.0)),
            instance: client.instance.clone(),
            protocols: vec![(Str::from("range"), said.to_bytes(2).unwrap())],
            knows_given_ids: true,
            ..join(&name, &client.member)
        };
        self.world.run(&request);
    }

    /// Of the leader: everybody keeps what it has, and gets of the rest what it reads.
    fn lead(&self, joined: &Joined) -> Vec<(Str, Bytes)> {
        if joined.members.is_empty() {
            return Vec::new();
        }
        let mut said: Vec<(Str, ConsumerProtocolSubscription)> = joined
            .members
            .iter()
            .map(|of| {
                (of.member.clone(), ConsumerProtocolSubscription::parse(&of.metadata).unwrap().1)
            })
            .collect();
        said.sort_by_key(|(_, said)| core::cmp::Reverse(said.generation_id));
        let mut given: BTreeMap<(Str, i32), Str> = BTreeMap::new();
        for (member, said) in &said {
            for TopicPartition { topic, partitions } in &said.owned_partitions {
                for partition in partitions {
                    given.entry((topic.clone(), *partition)).or_insert_with(|| member.clone());
                }
            }
        }
        for name in self.world.groups.topics.names() {
            let count = self.world.groups.topics.by_name(name).unwrap().partition_count;
            for partition in 0..count {
                let mut readers = said.iter().filter(|(_, said)| said.topics.contains(name));
                if let Some((member, _)) = readers.next() {
                    given.entry((name.clone(), partition)).or_insert_with(|| member.clone());
                }
            }
        }
        let of_member = |member: &Str| {
            let mine = given.iter().filter(|(_, owner)| *owner == member);
            let assigned_partitions = mine.map(|((topic, partition), _)| TopicPartition {
                topic: topic.clone(),
                partitions: vec![*partition],
            });
            let assignment = ConsumerProtocolAssignment {
                assigned_partitions: assigned_partitions.collect(),
                user_data: None,
            };
            assignment.to_bytes(2).unwrap()
        };
        said.iter().map(|(member, _)| (member.clone(), of_member(member))).collect()
    }

    fn leave(&mut self, number: usize, comes_back: bool) {
        let client = &self.clients[number];
        if client.epoch <= 0 || client.is_waiting {
            return;
        }
        let token = self.ask(number);
        let client = &mut self.clients[number];
        let (member, instance) = (client.member.clone(), client.instance.clone());
        client.crash(number);
        self.waiting.remove(&token);
        if self.clients[number].is_classic() {
            let members = vec![Leaving { member, instance }];
            self.world.run(&LeaveGroup { token, group: Str::from("g"), members });
        } else {
            let member_epoch = if comes_back && instance.is_some() { -2 } else { -1 };
            let request =
                ConsumerHeartbeat { token, instance, ..consumer::beats(&member, member_epoch) };
            self.world.run(&request);
        }
        self.world.answer(token);
    }

    /// What a member holds it may commit, in its epoch and in those since it has it.
    fn commit(&mut self, number: usize, behind: i32) {
        let client = &self.clients[number];
        let topics = &self.world.groups.topics;
        let is_there = |held: &&Partition| topics.by_id(held.0).is_some();
        let Some((topic, partition)) = client.holds.iter().find(is_there).copied() else { return };
        let generation = client.epoch - behind;
        let token = self.world.token();
        let request = OffsetCommit {
            token,
            member: client.member.clone(),
            generation: (generation >= 0).then_some(generation),
            knows_member_epochs: true,
            ..commit(&name_of(topic), partition.0, 5)
        };
        let current = self
            .world
            .groups
            .consumer("g")
            .and_then(|group| Some(group.member(&client.member)?.current()));
        self.world.run(&request);
        let Some(Answer::Commit(result)) = self.world.answer(token) else {
            panic!("answered at once")
        };
        let Some(current) = current else { return };
        let may = generation == current.epoch
            || (generation < current.epoch
                && current.epoch_of(topic, partition).is_some_and(|since| since <= generation));
        assert_eq!(result.is_ok(), may, "{generation} of {current:?}");
    }

    fn restart(&mut self) {
        self.waiting.clear();
        for client in self.clients.iter_mut().filter(|client| client.is_waiting) {
            client.is_waiting = false;
        }
        let before = &self.world.groups;
        let mut groups = replayed(before.settings.clone(), &encoded(&self.world.log));
        groups.set_topics(Rc::clone(&before.topics));
        self.world.groups = groups;
        self.world.groups.on_loaded(self.world.now());
        // A rebalance of the classic protocol that was under way is forgotten.
        self.epoch = self.live_epoch().unwrap_or(0);
        self.member_epochs.clear();
    }

    fn live_epoch(&self) -> Option<i32> {
        let consumers = self.world.groups.consumer("g").map(ConsumerGroup::epoch);
        let classic = || self.world.groups.groups.get("g").map(|group| group.generation());
        consumers.or_else(classic)
    }

    fn settle(&mut self) {
        for (token, answer) in core::mem::take(&mut self.world.answers) {
            if let Some(client) = self.waiting.remove(&token) {
                self.hear(client, answer);
            }
        }
        let is_end = |record: &DurableRecord| {
            let epoch = ConsumerPart::Epoch(None);
            matches!(record, DurableRecord::GroupGone { .. })
                || matches!(record, DurableRecord::Consumer { part, .. } if *part == epoch)
        };
        // A group that was deleted begins anew; one that changed its protocol goes on.
        let has_ended = self.world.log[self.log_seen..].iter().any(is_end);
        let is_converted =
            self.world.groups.consumer("g").is_some_and(|group| group.epoch() >= self.epoch);
        let is_recorded = self.world.log.len() > self.log_seen;
        self.log_seen = self.world.log.len();
        match self.live_epoch() {
            Some(epoch) if has_ended && !is_converted && epoch <= 2 => self.epoch = epoch,
            Some(epoch) => {
                assert!(epoch >= self.epoch, "epochs never go back");
                self.epoch = epoch;
            }
            None => self.epoch = 0,
        }
        self.check_members();
        if is_recorded {
            self.check_log();
            self.world.groups.invariants();
        }
    }

    fn check_members(&mut self) {
        let Some(group) = self.world.groups.consumer("g") else {
            return self.member_epochs.clear();
        };
        let mut member_epochs = BTreeMap::new();
        for (id, member) in group.members() {
            let epoch = member.epoch();
            let before = self.member_epochs.get(id).copied().unwrap_or(0);
            assert!(epoch == -2 || epoch >= before, "a member's epoch never goes back");
            assert!(epoch <= group.epoch(), "nobody is ahead of its group");
            member_epochs.insert(id.clone(), epoch.max(0));
        }
        self.member_epochs = member_epochs;
        for client in &self.clients {
            let Some(member) = group.member(&client.member) else { continue };
            // What was deleted nobody reads.
            let topics = &self.world.groups.topics;
            let holds = client.holds.iter().filter(|(topic, _)| topics.by_id(*topic).is_some());
            for (topic, partition) in holds {
                assert!(
                    member.owns(*topic, *partition),
                    "{client:?} reads what is its own: {member:?}"
                );
            }
        }
    }

    fn check_log(&self) {
        let settings = &self.world.groups.settings;
        let bytes = encoded(&self.world.log);
        let restored = replayed(settings.clone(), &bytes);
        restored.invariants();
        let live = durable(&self.world.groups);
        assert_eq!(durable(&restored), live, "the log tells what lives");
        for order in [false, true] {
            let compacted = replayed(settings.clone(), &compacted(&bytes, order));
            assert_eq!(durable(&compacted), live, "so does its compaction");
            assert_eq!(compacted.groups, restored.groups);
            assert_eq!(compacted.offsets, restored.offsets);
        }
        for (id, group) in &restored.groups {
            let live = &self.world.groups.groups[id];
            if matches!(live.state(), ClassicState::Empty | ClassicState::Stable) {
                assert_eq!(live.stored(), group.stored());
            }
        }
    }

    /// Nothing happens any more but what members do by themselves.
    fn come_to_rest(&mut self) {
        self.step(&Step::Topics { which: 2 });
        for _ in 0..140 {
            for client in 0..CLIENTS {
                self.step(&Step::Beat { client, is_lost: false, is_full: false });
                self.step(&Step::GiveBack { client });
            }
            self.step(&Step::Pass { ms: 1_000 });
        }
        let mut readers: BTreeMap<Partition, usize> = BTreeMap::new();
        for client in &self.clients {
            assert!(client.epoch > 0, "{client:?} is a member");
            client.holds.iter().for_each(|at| *readers.entry(*at).or_default() += 1);
        }
        assert!(readers.values().all(|count| *count == 1), "one reader each");
        let topics = &self.world.groups.topics;
        let is_read = |name: &&Str| {
            self.clients.iter().any(|client| {
                let (names, regex) = SUBSCRIPTIONS[client.says];
                let by_regex = !regex.is_empty() && !client.is_classic() && **name != "t";
                names.contains(&name.as_str()) || by_regex
            })
        };
        let counts = topics.names().filter(is_read).map(|name| topics.by_name(name).unwrap());
        let total: i32 = counts.map(|topic| topic.partition_count).sum();
        assert_eq!(readers.len(), usize::try_from(total).unwrap(), "nothing goes unread");
        if let Some(group) = self.world.groups.consumer("g") {
            assert_eq!(group.state(), GroupState::Stable);
        }
    }
}

/// The topics' ids begin with their names.
fn name_of(topic: TopicId) -> Str {
    let name: Vec<u8> = topic.0.into_iter().take_while(|byte| *byte != 0).collect();
    Str::from_utf8(Bytes::from(name)).unwrap()
}

/// Groups of the consumer protocol, without what only the living know.
fn durable(groups: &Groups) -> BTreeMap<Str, ConsumerGroup> {
    let plain = |(id, group): (&Str, &Rc<ConsumerGroup>)| {
        let mut group = (**group).clone();
        group.set_refreshed(Default::default());
        (id.clone(), group)
    };
    groups.consumers.iter().map(plain).collect()
}

/// Each trial replays the whole log after every step: less of them than elsewhere, unless more are asked for.
fn trials() -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: asked.unwrap_or(48), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(trials())]

    #[test]
    fn nobody_reads_what_is_anothers_and_every_group_comes_to_rest(
        begins_classic in any::<bool>(),
        steps in vec(step(), 0..60),
    ) {
        let mut trial = Trial::new();
        for _ in 0..if begins_classic { 5 } else { 0 } {
            trial.step(&Step::Round { clients: CLASSIC });
        }
        for step in &steps {
            trial.step(step);
        }
        trial.come_to_rest();
        for client in 0..CLIENTS {
            trial.step(&Step::Crash { client, switches: false });
        }
        trial.step(&Step::Pass { ms: 200_000 });
        if let Some(group) = trial.world.groups.consumer("g") {
            assert_eq!(group.state(), GroupState::Empty);
        }
        let retention_ms = trial.world.groups.settings.offsets_retention_ms;
        trial.world.now_ms += u64::try_from(retention_ms).unwrap();
        trial.step(&Step::Pass { ms: 40_000 });
        assert_eq!(trial.world.groups.iter().count(), 0, "in the end nothing is left");
        assert_eq!(trial.world.groups.consumers().count(), 0, "in the end nothing is left");
    }
}
