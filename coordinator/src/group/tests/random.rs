//! Random sequences of requests, time and restarts. What must hold: generations never go back, a member has
//! one assignment in a generation, what was acknowledged as committed is there, whoever waits is answered once
//! and not later than when all sessions have ended, and the log, its bytes and its compaction give what lives.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    rc::Rc,
    vec,
    vec::Vec,
};

use bytes::Bytes;
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_oneof, proptest},
};
use protocol::{PartitionIndex, Str, consumer_protocol::ConsumerProtocolSubscription};

use super::{
    World, bytes, join,
    log::{compacted, encoded, replayed},
    offsets::commit,
};
use crate::{
    group::{
        Answer, ClassicGroup, ClusterTopic, ClusterTopics, DurableRecord, GroupSettings, Token,
        answer::{JoinError, Joined},
        classic::{
            ClassicState,
            heartbeat::Heartbeat,
            join::JoinGroup,
            leave::{LeaveGroup, Leaving},
            sync::SyncGroup,
        },
        commit::OffsetCommit,
        delete::DeleteGroup,
        forget::Forgetting,
        offset_delete::OffsetDelete,
    },
    limits::NEW_MEMBER_JOIN_MS_MAX,
};

const CLIENTS: usize = 5;
const TOPICS: [&str; 2] = ["t", "u"];

/// What happens next; small domains, so that steps meet.
#[derive(Clone, Debug)]
enum Step {
    Join {
        client: usize,
        says: u8,
    },
    Sync {
        client: usize,
    },
    Heartbeat {
        client: usize,
    },
    Leave {
        client: usize,
        by_instance: bool,
    },
    Commit {
        client: usize,
        partition: i32,
        offset: i64,
    },
    CommitAlone {
        topic: usize,
        offset: i64,
        retention_ms: Option<i64>,
    },
    DeleteOffset {
        topic: usize,
    },
    DeleteGroup,
    ForgetTopic {
        topic: usize,
    },
    Pass {
        ms: u64,
    },
    /// These clients do what clients do: they join until they are in, and ask for their assignment.
    Round {
        clients: u8,
        says: u8,
    },
    /// The client forgets who it was.
    Crash {
        client: usize,
    },
    /// The machine is loaded anew: whoever waited has lost its connection.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..CLIENTS;
    let topic = 0..TOPICS.len();
    prop_oneof![
        8 => (client.clone(), 0..4_u8).prop_map(|(client, says)| Step::Join { client, says }),
        6 => client.clone().prop_map(|client| Step::Sync { client }),
        4 => client.clone().prop_map(|client| Step::Heartbeat { client }),
        1 => (client.clone(), any::<bool>())
            .prop_map(|(client, by_instance)| Step::Leave { client, by_instance }),
        4 => (client.clone(), 0..2_i32, 0..100_i64)
            .prop_map(|(client, partition, offset)| Step::Commit { client, partition, offset }),
        2 => (topic.clone(), 0..100_i64, proptest::option::of(1..50_000_i64))
            .prop_map(|(topic, offset, retention_ms)| {
                Step::CommitAlone { topic, offset, retention_ms }
            }),
        1 => topic.clone().prop_map(|topic| Step::DeleteOffset { topic }),
        1 => Just(Step::DeleteGroup),
        1 => topic.prop_map(|topic| Step::ForgetTopic { topic }),
        3 => prop_oneof![4 => Just(100), 4 => Just(3_000), 2 => Just(9_000), 1 => Just(61_000)]
            .prop_map(|ms| Step::Pass { ms }),
        6 => (1..32_u8, 0..4_u8).prop_map(|(clients, says)| Step::Round { clients, says }),
        1 => client.prop_map(|client| Step::Crash { client }),
        1 => Just(Step::Restart),
    ]
}

/// What a client knows of itself.
#[derive(Clone, Debug, Default)]
struct Client {
    member: Str,
    joined: Option<Joined>,
}

struct Trial {
    world: World,
    clients: Vec<Client>,
    /// Who asked, and was not answered; `None`: it crashed meanwhile, and nobody hears the answer.
    waiting: BTreeMap<Token, Option<usize>>,
    /// Of the group as it lives now.
    generation: i32,
    /// By generation and member.
    assigned: BTreeMap<(i32, Str), Bytes>,
    /// By topic and partition.
    acknowledged: BTreeMap<(Str, PartitionIndex), i64>,
    log_seen: usize,
    steps: usize,
}

impl Trial {
    fn new() -> Self {
        let mut world = World::with(GroupSettings {
            offsets_retention_check_ms: 20_000,
            members_max: CLIENTS - 1,
            ..GroupSettings::default()
        });
        world.groups.on_loaded(world.now());
        Self {
            world,
            clients: vec![Client::default(); CLIENTS],
            waiting: BTreeMap::new(),
            generation: 0,
            assigned: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            log_seen: 0,
            steps: 0,
        }
    }

    fn ask(&mut self, client: usize) -> Token {
        let token = self.world.token();
        self.waiting.insert(token, Some(client));
        token
    }

    fn step(&mut self, step: &Step) {
        self.steps += 1;
        match step {
            Step::Join { client, says } => self.join(*client, *says),
            Step::Sync { client } => self.sync(*client),
            Step::Heartbeat { client } => {
                let token = self.ask(*client);
                let (member, generation) = self.identity(*client);
                let (group, instance) = (Str::from("g"), instance(*client));
                self.world.run(&Heartbeat { token, group, member, instance, generation });
            }
            Step::Leave { client, by_instance } => {
                let token = self.ask(*client);
                let instance = instance(*client).filter(|_| *by_instance);
                let member = match instance {
                    Some(_) => Str::from(""),
                    None => self.clients[*client].member.clone(),
                };
                let members = vec![Leaving { member, instance }];
                self.world.run(&LeaveGroup { token, group: Str::from("g"), members });
            }
            Step::Commit { client, partition, offset } => self.commit(*client, *partition, *offset),
            Step::CommitAlone { topic, offset, retention_ms } => {
                let request = commit(TOPICS[*topic], 7, *offset);
                let request = OffsetCommit { retention_ms: *retention_ms, ..request };
                self.run_commit(request, 0);
            }
            Step::DeleteOffset { topic } => {
                let token = self.ask(0);
                let partitions = vec![(Str::from(TOPICS[*topic]), PartitionIndex(7))];
                self.world.run(&OffsetDelete { token, group: Str::from("g"), partitions });
            }
            Step::DeleteGroup => {
                let token = self.ask(0);
                self.world.run(&DeleteGroup { token, group: Str::from("g") });
            }
            Step::ForgetTopic { topic } => {
                let topics = TOPICS.map(|name| (Str::from(name), ClusterTopic::default()));
                self.world.groups.set_topics(Rc::new(ClusterTopics::new(1, topics)));
                let forgetting = Forgetting::default().and(&Str::from(TOPICS[*topic]));
                assert_eq!(self.world.forget(forgetting), None);
            }
            Step::Pass { ms } => self.world.pass(*ms),
            Step::Round { clients, says } => return self.round(*clients, *says),
            Step::Crash { client } => {
                self.clients[*client] = Client::default();
                let asked = self.waiting.values_mut().filter(|of| **of == Some(*client));
                asked.for_each(|of| *of = None);
            }
            Step::Restart => self.restart(),
        }
        self.settle();
    }

    fn identity(&self, client: usize) -> (Str, i32) {
        let client = &self.clients[client];
        (client.member.clone(), client.joined.as_ref().map_or(-1, |joined| joined.generation))
    }

    fn join(&mut self, client: usize, says: u8) {
        let token = self.ask(client);
        let topics = TOPICS.iter().take(usize::from(says)).map(|topic| Str::from(*topic));
        let said = ConsumerProtocolSubscription { topics: topics.collect(), ..Default::default() };
        let metadata = match says {
            3 => bytes("nonsense"),
            _ => said.to_bytes(0).unwrap(),
        };
        let name = format!("c{client}");
        self.world.run(&JoinGroup {
            token,
            new_member: Str::from(format!("{name}-{}", token.0)),
            instance: instance(client),
            protocols: vec![(Str::from("range"), metadata)],
            knows_given_ids: client != 1,
            may_skip_assignment: says == 2,
            ..join(&name, &self.clients[client].member)
        });
    }

    fn round(&mut self, clients: u8, says: u8) {
        let mut clients: Vec<usize> =
            (0..CLIENTS).filter(|client| clients & (1 << client) != 0).collect();
        for _ in 0..2 {
            for client in &clients {
                let is_in = |joined: &Joined| joined.generation == self.generation;
                if !self.clients[*client].joined.as_ref().is_some_and(is_in) {
                    self.join(*client, says);
                    self.settle();
                }
            }
        }
        self.step(&Step::Pass { ms: 6_000 });
        // Followers first, so that they wait.
        clients.sort_by_key(|client| {
            self.clients[*client].joined.as_ref().map_or(0, |joined| joined.members.len())
        });
        for client in clients {
            self.sync(client);
            self.settle();
        }
    }

    fn sync(&mut self, client: usize) {
        let token = self.ask(client);
        let (member, generation) = self.identity(client);
        let joined = self.clients[client].joined.as_ref();
        let seen = joined.into_iter().flat_map(|joined| &joined.members);
        let assignments = seen
            .map(|seen| (seen.member.clone(), bytes(&format!("{}:{}", self.steps, seen.member))))
            .collect();
        self.world.run(&SyncGroup {
            token,
            group: Str::from("g"),
            member,
            instance: instance(client),
            generation,
            protocol_type: Some(Str::from("consumer")),
            protocol: None,
            assignments,
        });
    }

    fn commit(&mut self, client: usize, partition: i32, offset: i64) {
        let (member, generation) = self.identity(client);
        let request = OffsetCommit {
            member,
            instance: instance(client),
            generation: (generation >= 0).then_some(generation),
            ..commit("t", partition, offset)
        };
        self.run_commit(request, client);
    }

    fn run_commit(&mut self, request: OffsetCommit, client: usize) {
        let token = self.ask(client);
        let (what, generation) = (request.offsets[0].clone(), request.generation);
        self.world.run(&OffsetCommit { token, ..request });
        let was_accepted = self.world.answers.iter().any(|(of, answer)| {
            *of == token && matches!(answer, Answer::Commit(Ok(each)) if each[0].is_ok())
        });
        if was_accepted {
            let live = self.world.groups.get("g").map(ClassicGroup::generation);
            assert!(generation.is_none() || generation == live, "old generations are fenced");
            self.acknowledged.insert((what.topic, what.partition), what.offset.0);
        }
    }

    fn restart(&mut self) {
        self.waiting.clear();
        let settings = self.world.groups.settings.clone();
        self.world.groups = replayed(settings, &encoded(&self.world.log));
        self.world.groups.on_loaded(self.world.now());
        self.world.groups.invariants();
        let assigned = self.assigned.keys().map(|(generation, _)| *generation).max();
        let restored = self.world.groups.groups.get("g").map_or(0, |group| group.generation());
        assert!(assigned.unwrap_or(0) <= restored, "who has an assignment is not forgotten");
        self.generation = restored;
    }

    /// Takes the answers in, and checks what must hold after every step.
    fn settle(&mut self) {
        for (token, answer) in core::mem::take(&mut self.world.answers) {
            let client = self.waiting.remove(&token).expect("answered once, and only who asked");
            if let Some(client) = client {
                self.hear(client, answer);
            }
        }
        for record in &self.world.log[self.log_seen..] {
            match record {
                DurableRecord::GroupGone { .. } => {
                    self.generation = 0;
                    self.assigned.clear();
                }
                DurableRecord::OffsetGone { topic, partition, .. } => {
                    self.acknowledged.remove(&(topic.clone(), *partition));
                }
                _ => {}
            }
        }
        self.log_seen = self.world.log.len();
        let live = self.world.groups.groups.get("g").map(Rc::as_ref);
        if let Some(group) = live {
            assert!(group.generation() >= self.generation, "generations never go back");
            self.generation = group.generation();
        }
        let offsets = self.world.groups.offsets_of("g");
        let kept: BTreeMap<_, _> = offsets
            .into_iter()
            .flat_map(|offsets| offsets.iter())
            .map(|(topic, partition, of)| ((topic.clone(), partition), of.offset.0))
            .collect();
        assert_eq!(kept, self.acknowledged, "what was acknowledged is there, and nothing else");
        self.check_log();
    }

    fn hear(&mut self, client: usize, answer: Answer) {
        match answer {
            Answer::Join(Ok(joined)) => {
                self.clients[client].member = joined.member.clone();
                self.clients[client].joined = Some(joined);
            }
            Answer::Join(Err(JoinError::MemberIdRequired { member })) => {
                self.clients[client] = Client { member, joined: None };
            }
            Answer::Join(Err(JoinError::UnknownMember | JoinError::FencedInstance)) => {
                self.clients[client] = Client::default();
            }
            Answer::Sync(Ok(synced)) => {
                let (member, generation) = self.identity(client);
                // It crashed while it waited: nobody hears the answer.
                if generation < 0 {
                    return;
                }
                let live = self.world.groups.get("g").unwrap();
                let is_settled = live.state() != ClassicState::CompletingRebalance;
                assert!(is_settled || live.generation() > generation, "the leader's word is out");
                let before = self.assigned.insert((generation, member), synced.assignment.clone());
                assert!(
                    before.is_none_or(|before| before == synced.assignment),
                    "one assignment per member and generation"
                );
            }
            _ => {}
        }
    }

    /// The log, its bytes and its compaction give the same, and that is what lives.
    fn check_log(&self) {
        let settings = &self.world.groups.settings;
        let bytes = encoded(&self.world.log);
        let restored = replayed(settings.clone(), &bytes);
        restored.invariants();
        let compacted = replayed(settings.clone(), &compacted(&bytes, true));
        assert_eq!(compacted.groups, restored.groups);
        assert_eq!(compacted.offsets, restored.offsets);

        assert_eq!(self.world.groups.offsets, restored.offsets);
        let live = &self.world.groups.groups;
        let stored = live.iter().filter(|(_, group)| group.is_stored).map(|(id, _)| id);
        let stored: BTreeSet<_> = stored.collect();
        assert_eq!(stored, restored.groups.keys().collect());
        for (id, restored) in &restored.groups {
            let live = &live[id];
            match live.state() {
                ClassicState::Empty | ClassicState::Stable => {
                    assert_eq!(live.stored(), restored.stored());
                    assert_eq!(live.subscribed_topics(), restored.subscribed_topics());
                }
                ClassicState::PreparingRebalance { .. } | ClassicState::CompletingRebalance => {
                    assert!(live.generation() >= restored.generation());
                }
            }
        }
    }
}

/// Two of the clients are static members.
fn instance(client: usize) -> Option<Str> {
    (client >= 3).then(|| Str::from(format!("i{client}")))
}

proptest! {
    #[test]
    fn whatever_happens_the_group_settles_its_log_tells_it_and_in_the_end_nothing_is_left(
        steps in vec(step(), 0..80),
    ) {
        let mut trial = Trial::new();
        for step in &steps {
            trial.step(step);
        }
        let sessions_ms = 2 * NEW_MEMBER_JOIN_MS_MAX;
        trial.step(&Step::Pass { ms: sessions_ms });
        assert_eq!(trial.waiting, BTreeMap::new(), "whoever waits is answered");
        for group in trial.world.groups.groups.values() {
            assert_eq!((group.state(), group.member_count()), (ClassicState::Empty, 0));
        }
        let retention_ms = trial.world.groups.settings.offsets_retention_ms;
        trial.world.now_ms += u64::try_from(retention_ms).unwrap();
        trial.step(&Step::Pass { ms: 40_000 });
        assert_eq!(trial.world.groups.iter().count(), 0, "in the end nothing is left");
    }
}
