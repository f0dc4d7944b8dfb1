//! One node of whole shards under virtual time: the production state machine of every core, its engines
//! over virtual disks, mail that takes its time, and clients that speak Kafka's protocol over virtual
//! connections. Nothing of the node is replaced but what performs its effects.
//!
//! A world is made from a seed and lives through lives of its node, as the world of engines does; each
//! start has another number of shards, and decides, recovers and places as the production start does.
//!
//! | module | job |
//! |---|---|
//! | `answers` | what the node answers, against what is allowed |
//! | `clients` | connections, and what is asked on them |
//! | `endings` | how a life ends and the next one begins |
//! | `groups` | what is known of groups, and must be true |
//! | `members` | members of groups, and what befalls them; `member_requests`, `member_answers`: what they say and hear |
//! | `moving` | connections between two shards |
//! | `network` | one virtual connection |
//! | `node` | how a node starts; its shards and their mail |
//! | `topics` | what is known of topics, partitions and their writers |

mod answers;
mod clients;
mod endings;
mod groups;
mod member_answers;
mod member_requests;
mod members;
mod moving;
mod network;
mod node;
mod topics;

use std::collections::BTreeSet;
use std::rc::Rc;

use broker::coordinator::metadata::{MovePartition, ShardId, TopicSelector};
use broker::net::{ConnectionId, NetEffect};
use broker::protocol::{BrokerId, PartitionIndex, Str};
use broker::runtime::clock::{Monotonic, Now, WallMillis};
use broker::runtime::memory::Arena;
use broker::shard::RequestNumber;
use broker::shard::command::Command;
use broker::shard::event::{Effects, Event};
use broker::shard::mail::{Mail, ShardIndex};

use crate::batches::Batches;
use crate::disk::{Trace, VirtualFileSystem};
use crate::engine_world::{Tally, WorldOptions};
use crate::plant::{Lure, Plant};
use crate::random::Random;
use crate::violation::{Checked, Checker};
use clients::Client;
use groups::GroupFacts;
use members::Member;
use node::Node;
use topics::{Partition, Topic};

const NANOS_PER_MS: u64 = 1_000_000;
const DISK_BYTES: u64 = 1 << 36;
/// Everything asked is answered within this virtual time once no client does anything new.
const ANSWER_MS_MAX: u64 = 120_000;
/// A shard that has something left to do gets its next turn after this long.
const TURN_NS: u64 = 1_000;

/// A partition of this world, by its place in the list of all there ever were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LogKey(usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct TopicKey(usize);

/// What is drawn once for a world.
#[derive(Clone, Debug)]
struct Traits {
    lives: u64,
    dirs: usize,
    shards_max: u64,
    journal_file_bytes: u64,
    pause_ns: u64,
    /// One batch in so many is large.
    large_one_in: u64,
    /// Some topics are compacted.
    compacts: bool,
}

impl Traits {
    fn draw(random: &mut Random, seed: u64, plant: Plant) -> Self {
        let mut traits = Self {
            lives: 3 + random.below(4),
            dirs: if random.one_in(3) { 2 } else { 1 },
            shards_max: 1 + random.below(4),
            journal_file_bytes: if random.coin() { 512 << 10 } else { 1 << 20 },
            pause_ns: [20_000, 100_000, 1_000_000][random.below(3) as usize],
            large_one_in: [20, 100, 1_000_000][random.below(3) as usize],
            // By the world's number: worlds that found something once stay as they were.
            compacts: (seed >> 1).is_multiple_of(2) || plant.lure() == Lure::Compaction,
        };
        match plant.lure() {
            Lure::Starts => traits.lives = 20,
            Lure::Compaction => {
                traits.lives = 12;
                traits.pause_ns = 1_000_000;
            }
            Lure::Traffic => {
                traits.shards_max = 1;
                traits.journal_file_bytes = 512 << 10;
                // Large runs would go past the journal.
                traits.large_one_in = 1_000_000;
            }
            _ => {}
        }
        traits
    }
}

#[derive(Debug)]
pub(crate) struct NodeWorld {
    options: WorldOptions,
    traits: Traits,
    random: Random,
    now: u64,
    dirs: Vec<Rc<VirtualFileSystem>>,
    arenas: Vec<Arena>,
    node: Node,
    /// The writers, then the readers, then those of members.
    clients: Vec<Client>,
    writers: usize,
    readers: usize,
    topics: Vec<Topic>,
    partitions: Vec<Partition>,
    batches: Batches,
    producer_ids: BTreeSet<i64>,
    /// Moves that are under way, by the number of their request.
    moves: Vec<(RequestNumber, LogKey)>,
    next_connection: u32,
    next_request: u64,
    next_action: u64,
    /// What the main thread heard of shards: ready, drained, stopped.
    ready: usize,
    drained: BTreeSet<usize>,
    stopped: BTreeSet<usize>,
    is_stopping: bool,
    stopped_in_order: bool,
    /// The last answer about all topics had no error in it.
    topics_usable: bool,
    /// None but in worlds of groups.
    members: Vec<Member>,
    group_facts: GroupFacts,
    members_act: bool,
    members_meet_misfortune: bool,
    trace: Trace,
    tally: Tally,
}

/// How far a run through virtual time went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    GoOn,
    /// The power went.
    Stopped,
}

impl NodeWorld {
    /// Members of groups live longer than batches.
    fn has_groups(&self) -> bool {
        self.options.groups
    }

    pub(crate) fn new(options: WorldOptions) -> Self {
        let mut random = Random::new(options.seed ^ 0x6e6f_6465);
        let mut traits = Traits::draw(&mut random, options.seed, options.plant);
        if options.groups {
            traits.pause_ns = 10 * NANOS_PER_MS;
            traits.compacts = false;
        }
        let dirs = (0..traits.dirs)
            .map(|_| Rc::new(VirtualFileSystem::new(random.next_u64(), DISK_BYTES)))
            .collect::<Vec<_>>();
        for dir in &dirs {
            dir.plant(options.plant.disk());
            if options.trace {
                dir.be_loud();
            }
        }
        let arenas = (0..traits.shards_max + node::DEDICATED_SHARDS as u64)
            .map(|_| Arena::new(node::ARENA_BYTES).expect("memory for a shard"))
            .collect();
        let batches = Batches::new(&mut random);
        let mut world = Self {
            options,
            traits,
            random,
            now: 1_000 * NANOS_PER_MS,
            dirs,
            arenas,
            node: Node::default(),
            clients: Vec::new(),
            writers: 1,
            readers: 1,
            topics: Vec::new(),
            partitions: Vec::new(),
            batches,
            producer_ids: BTreeSet::new(),
            moves: Vec::new(),
            next_connection: 0,
            next_request: 0,
            next_action: 0,
            ready: 0,
            drained: BTreeSet::new(),
            stopped: BTreeSet::new(),
            is_stopping: false,
            stopped_in_order: false,
            topics_usable: false,
            members: Vec::new(),
            group_facts: GroupFacts::default(),
            members_act: false,
            members_meet_misfortune: false,
            trace: Trace::new(),
            tally: Tally::default(),
        };
        if world.has_groups() {
            world.make_members();
        }
        world
    }

    /// Lives all its lives.
    pub(crate) fn run(&mut self) -> Checked {
        self.live_all()?;
        self.tally.virtual_ms = self.now / NANOS_PER_MS;
        let gone = self.partitions.iter().filter_map(|partition| partition.log.compacted.as_ref());
        self.tally.cleaned = gone.map(|compacted| compacted.gone() as u64).sum();
        Ok(())
    }

    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    /// One number for everything that happened.
    pub(crate) fn trace_hash(&self) -> u64 {
        let mut trace = self.trace;
        for dir in &self.dirs {
            trace.number(dir.trace_hash());
        }
        trace.hash()
    }

    fn note(&self, what: impl FnOnce(&Self) -> String) {
        if self.options.trace {
            eprintln!("{:>12.3} ms  {}", self.now as f64 / NANOS_PER_MS as f64, what(self));
        }
    }

    fn clock(&self) -> Now {
        let wall = 1_700_000_000_000 + (self.now / NANOS_PER_MS) as i64;
        Now { monotonic: Monotonic(self.now), wall: WallMillis(wall) }
    }

    fn has_stopped(&self) -> bool {
        self.dirs.iter().any(|dir| dir.has_stopped())
    }

    fn next_due(&self) -> Option<u64> {
        let shards = self.node.shards.iter().flat_map(|shard| {
            let deadline = shard.shard.deadline().map(|due| due.0);
            [shard.disk.deadline(), deadline, shard.turn_at]
        });
        let connections = self.clients.iter().map(|client| &client.connection);
        let connections = connections.filter(|found| !Self::is_under_way(found.shard));
        let connections = connections.map(|connection| connection.deadline());
        let moves = self.node.moved_connections.iter().map(|moved| Some(moved.due));
        let others = connections.chain([self.node.mail.deadline(), self.next_member_due()]);
        let others = others.chain(moves);
        shards.chain(others).flatten().min()
    }

    /// Moves time to the next thing that is due (at most to `until`) and lets it happen.
    fn turn(&mut self, until: u64) -> Checked<Turn> {
        let due = self.next_due().unwrap_or(until).min(until);
        self.now = self.now.max(due);
        for shard in 0..self.node.shards.len() {
            self.turn_shard(shard);
            if self.has_stopped() {
                return Ok(Turn::Stopped);
            }
        }
        self.hear_main()?;
        self.hear_clients()?;
        self.members_turn();
        Ok(Turn::GoOn)
    }

    /// One turn of a shard's loop, as the production shell turns it.
    fn turn_shard(&mut self, at: usize) {
        let clock = self.clock();
        let batch_max = 1 + self.random.below(16) as usize;
        let events = self.take_events(at, batch_max);
        let is_due = {
            let node = &self.node.shards[at];
            let deadline = node.shard.deadline().is_some_and(|due| due <= clock.monotonic);
            deadline || node.turn_at.is_some_and(|due| due <= self.now)
        };
        if events.is_empty() && !is_due {
            return;
        }
        let is_full = events.len() >= batch_max;
        let shard = &mut self.node.shards[at].shard;
        for event in events {
            shard.apply(clock, event);
        }
        if shard.deadline().is_some_and(|due| due <= clock.monotonic) {
            shard.apply(clock, Event::Deadline);
        }
        let endpoints = self.node.shards.len() + 1;
        let mail_slots = (0..endpoints).map(|to| self.node.mail.free_slots(at, to)).collect();
        let mut effects = Effects { mail_slots, ..Effects::default() };
        let shard = &mut self.node.shards[at].shard;
        shard.finish_batch(clock, &mut effects);
        shard.invariants();
        let goes_on = is_full || shard.is_waiting();
        self.node.shards[at].turn_at = goes_on.then_some(self.now + TURN_NS);
        self.perform(at, effects);
    }

    /// What has happened for a shard: from everywhere, in turn.
    fn take_events(&mut self, at: usize, most: usize) -> Vec<Event> {
        let mut events = Vec::new();
        while events.len() < most {
            let before = events.len();
            if let Some(event) = self.node.shards[at].disk.complete(self.now) {
                events.push(Event::Disk(event));
            }
            events.append(&mut self.take_moved_here(at));
            if let Some((from, parcel)) = self.node.mail.take(self.now, at) {
                events.push(Event::Mail { from, parcel });
            }
            for client in self.clients.iter_mut().filter(|client| client.connection.shard == at) {
                if let Some(event) = client.connection.take_event(self.now, &mut self.random) {
                    events.push(Event::Net(event));
                }
            }
            if events.len() == before {
                break;
            }
        }
        events
    }

    fn perform(&mut self, at: usize, effects: Effects) {
        let now = self.now;
        for effect in effects.net {
            let id = connection_of(&effect);
            let client = client_of(&mut self.clients, id);
            client.connection.perform(now, &mut self.random, effect);
        }
        for moved in effects.moves {
            self.begin_move(at, moved);
        }
        for effect in effects.disk {
            self.node.shards[at].disk.submit(now, effect);
        }
        for (to, parcel) in effects.mail {
            let way = (at, usize::from(to.0));
            self.node.mail.post(now, &mut self.random, way, parcel);
        }
    }

    /// Mail to the node's main thread.
    fn hear_main(&mut self) -> Checked {
        let main = self.node.main();
        while let Some((from, parcel)) = self.node.mail.take(self.now, main) {
            for mail in parcel {
                self.hear_one(usize::from(from.0), mail)?;
            }
        }
        Ok(())
    }

    fn hear_one(&mut self, from: usize, mail: Mail) -> Checked {
        match mail {
            Mail::Ready => self.ready += 1,
            Mail::Drained => drop(self.drained.insert(from)),
            Mail::Stopped => drop(self.stopped.insert(from)),
            Mail::CommandDone { request, reply } => {
                self.note(|_| format!("a move ended: {reply:?}"));
                if let Some(at) = self.moves.iter().position(|known| known.0 == request) {
                    let (_, log) = self.moves.swap_remove(at);
                    self.partitions[log.0].is_moving = false;
                    self.partitions[log.0].moved_at = self.now;
                }
            }
            Mail::Trouble { what } => return Err(Checker::AnswersMakeSense.violated(what)),
            Mail::DirectoryFailed { path, error } => {
                let what = format!("{path} failed without a reason: {error}");
                return Err(Checker::AnswersMakeSense.violated(what));
            }
            _ => {}
        }
        Ok(())
    }

    fn post_from_main(&mut self, to: usize, mail: Mail) {
        let way = (self.node.main(), to);
        self.node.mail.post(self.now, &mut self.random, way, vec![mail]);
    }

    /// One action of clients and operators, and when the next one is due.
    fn act(&mut self) {
        match self.random.below(100) {
            0..=54 => self.produce(),
            55..=72 => self.fetch_somewhere(),
            73..=77 => self.create_topic(),
            78 => self.delete_topic(),
            79..=80 => self.create_partitions(),
            81..=84 => self.delete_records(),
            85..=89 => self.move_partition(),
            90..=91 => {
                let ms = [30, 400, 3_000][self.random.below(3) as usize];
                self.next_action = self.now + (ms + self.random.below(ms)) * NANOS_PER_MS;
            }
            _ => self.produce(),
        }
        self.next_action = self.next_action.max(self.now)
            + self.traits.pause_ns / 2
            + self.random.below(self.traits.pause_ns);
    }

    fn move_partition(&mut self) {
        let Some(log) = self.any_live() else { return };
        if self.partitions[log.0].is_moving {
            return;
        }
        self.partitions[log.0].is_moving = true;
        let shard = self.random.below(self.node.data_shards() as u64) as u16;
        let partition = &self.partitions[log.0];
        let name = self.topics[partition.topic.0].name.as_str();
        let command = MovePartition {
            topic: TopicSelector::Name(Str::from(name)),
            partition: PartitionIndex(partition.index),
            broker: BrokerId(1),
            shard: Some(ShardId(shard)),
            directory: None,
        };
        self.note(|world| format!("move {} to {shard}", world.partitions[log.0].log.name));
        self.next_request += 1;
        let request = RequestNumber::external(self.next_request);
        self.moves.push((request, log));
        let main = ShardIndex(u16::try_from(self.node.main()).expect("shards are few"));
        let command = Box::new(Command::MovePartition(command));
        let controller = self.node.data_shards();
        self.post_from_main(controller, Mail::Command { shard: main, request, command });
    }

    fn draw_bytes(&mut self) -> usize {
        let bytes = match self.random.below(100) {
            _ if self.random.one_in(self.traits.large_one_in) => {
                (256 << 10) + self.random.below(300 << 10)
            }
            0..=69 => 10 + self.random.below(300),
            70..=89 => 300 + self.random.below(8 << 10),
            _ => (8 << 10) + self.random.below(40 << 10),
        };
        bytes as usize
    }

    /// Lets things happen until nothing is waited for. No client does anything new.
    fn settle(&mut self) -> Checked<Turn> {
        let begun = self.now;
        loop {
            self.resend_due();
            let live = self.live_partitions();
            let is_busy = self.clients.iter().any(|client| !client.asked.is_empty())
                || !self.moves.is_empty()
                || live.iter().any(|log| {
                    let producer = self.partitions[log.0].producer.as_ref();
                    producer.is_some_and(|producer| !producer.unacknowledged.is_empty())
                });
            if !is_busy {
                return Ok(Turn::GoOn);
            }
            if self.turn(u64::MAX - 1)? == Turn::Stopped {
                return Ok(Turn::Stopped);
            }
            Checker::Progress.check(self.now < begun + ANSWER_MS_MAX * NANOS_PER_MS, || {
                let asked = self.clients.iter().flat_map(|client| client.asked.iter());
                let waiting: Vec<_> = asked.map(|asked| &asked.what).take(5).collect();
                format!("not answered: {waiting:?}, moves {:?}", self.moves)
            })?;
        }
    }
}

/// Whose connection that is: it stays in the list until the node ends.
fn client_of(clients: &mut [Client], id: ConnectionId) -> &mut Client {
    let found = clients.iter_mut().find(|client| client.connection.id == id);
    found.expect("shards name connections that were opened")
}

fn connection_of(effect: &NetEffect) -> ConnectionId {
    match effect {
        NetEffect::Receive { connection }
        | NetEffect::ReceiveInto { connection, .. }
        | NetEffect::Send { connection, .. }
        | NetEffect::Close { connection } => *connection,
    }
}
