//! One node of engines alone under virtual time: several shards over virtual disks, clients that know
//! what they were told, and everything that can go wrong with disks and power.
//!
//! A *world* is made from a seed. It lives through a number of lives of its node: each ends with a power
//! cut, a kill, a failed disk or an orderly stop; the next begins with recovery, which may be cut too.
//!
//! | module | job |
//! |---|---|
//! | `actions` | what clients and operators do next |
//! | `answers` | what the engines answer, against what is allowed |
//! | `autopsy` | what the disks hold when something was found |
//! | `damage` | bits that flip while the node is down |
//! | `disturbance` | disks that fill up and disks that fail |
//! | `endings` | how a life ends and the next one begins |
//! | `node` | how a node starts; its shards |
//! | `phases` | what a power cut interrupted |
//! | `producers` | idempotent producers with retries |
//! | `reading` | reads, and walks through whole logs |
//! | `traits` | what is drawn once for a world |

mod actions;
mod answers;
mod autopsy;
mod damage;
mod disturbance;
mod endings;
mod node;
mod phases;
mod producers;
mod reading;
mod traits;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use broker::engine::PartitionId;
use broker::engine::disk::DirId;
use broker::engine::partition::PartitionState;
use broker::engine::recovery::RecoveredPartition;
use broker::engine::request::{EngineEvent, ReadTarget, Token};
use broker::protocol::{LeaderEpoch, Offset};
use broker::runtime::clock::{Monotonic, Now, WallMillis};
use broker::runtime::memory::Arena;

use crate::batches::{BatchNumber, Batches};
use crate::disk::{Trace, VirtualFileSystem};
use crate::log::{Call, Log, LogState};
use crate::plant::Plant;
use crate::random::Random;
use crate::violation::{Checked, Checker};
use node::Node;
use producers::Producers;
use reading::Walks;
use traits::Traits;

pub(crate) use phases::{CutPhase, PhaseCounts, mark_disk};

const NANOS_PER_MS: u64 = 1_000_000;
/// Everything asked is answered within this virtual time once nothing is wrong any more.
const ANSWER_MS_MAX: u64 = 120_000;

/// A partition of this world, by its place in the list of all there ever were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LogKey(usize);

/// What an answer is waited for.
#[derive(Clone, Debug)]
enum Expected {
    Append {
        log: LogKey,
        number: BatchNumber,
        call: Call,
        producer: Option<usize>,
        /// The newest that was asked for before.
        epoch: LeaderEpoch,
        /// It must be refused.
        invalid: bool,
    },
    Read {
        log: LogKey,
        target: ReadTarget,
        bytes_max: usize,
        /// As they were when it was sent.
        log_start: Offset,
        high_watermark: Offset,
        /// It belongs to a walk through the log.
        walk: bool,
    },
    Create {
        log: LogKey,
        shard: usize,
    },
    Delete(LogKey),
    DeleteRecords {
        log: LogKey,
        offset: Offset,
    },
    Release {
        log: LogKey,
        to: usize,
    },
    Adopt {
        log: LogKey,
        shard: usize,
    },
    ShutDown,
}

/// A partition between two shards.
#[derive(Debug)]
struct Parcel {
    due: u64,
    log: LogKey,
    to: usize,
    partition: Box<RecoveredPartition>,
}

/// What may be answered although it is no success.
#[derive(Clone, Copy, Debug, Default)]
struct Excuses {
    /// The disk was full at some time of this life.
    no_space: bool,
    /// A disk operation failed in this life.
    failed: bool,
    /// Bits were flipped before this life.
    damaged: bool,
    stopping: bool,
}

/// How many things happened, for the summary.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) cuts: u64,
    pub(crate) kills: u64,
    pub(crate) stops: u64,
    pub(crate) failures: u64,
    pub(crate) damages: u64,
    pub(crate) appends: u64,
    pub(crate) appended_bytes: u64,
    pub(crate) duplicates: u64,
    pub(crate) reads: u64,
    pub(crate) batches_checked: u64,
    pub(crate) told_damage: u64,
    pub(crate) told_losses: u64,
    /// Records that compaction took.
    pub(crate) cleaned: u64,
    /// Connections that went to another shard.
    pub(crate) moved_connections: u64,
    pub(crate) virtual_ms: u64,
    pub(crate) phases: PhaseCounts,
}

impl Tally {
    pub(crate) fn merge(&mut self, other: &Self) {
        self.cuts += other.cuts;
        self.kills += other.kills;
        self.stops += other.stops;
        self.failures += other.failures;
        self.damages += other.damages;
        self.appends += other.appends;
        self.appended_bytes += other.appended_bytes;
        self.duplicates += other.duplicates;
        self.reads += other.reads;
        self.batches_checked += other.batches_checked;
        self.told_damage += other.told_damage;
        self.told_losses += other.told_losses;
        self.cleaned += other.cleaned;
        self.moved_connections += other.moved_connections;
        self.virtual_ms += other.virtual_ms;
        self.phases.merge(&other.phases);
    }
}

/// What a run is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WorldOptions {
    pub(crate) seed: u64,
    pub(crate) plant: Plant,
    /// Actions in a life, about.
    pub(crate) steps: u64,
    pub(crate) trace: bool,
    /// Of whole nodes: groups and their members besides.
    pub(crate) groups: bool,
}

#[derive(Debug)]
pub(crate) struct EngineWorld {
    options: WorldOptions,
    traits: Traits,
    random: Random,
    now: u64,
    wall_ms: i64,
    /// By which it was set back in all.
    set_back_ms: i64,
    dirs: Vec<Rc<VirtualFileSystem>>,
    arenas: Vec<Arena>,
    node: Node,
    logs: Vec<Log>,
    batches: Batches,
    producers: Producers,
    walks: Walks,
    expected: BTreeMap<Token, (u64, Expected)>,
    parcels: Vec<Parcel>,
    /// High watermarks as last seen, to know which moved.
    watermarks: BTreeMap<PartitionId, Offset>,
    next_token: u64,
    /// A shard was asked for something since its last turn: the next one is at once.
    is_asked: bool,
    next_topic: u64,
    next_action: u64,
    excuses: Excuses,
    /// A log directory went offline in this life.
    has_failed: bool,
    /// Log directories that went offline since the last start that came to its end.
    failed_dirs: BTreeSet<DirId>,
    /// The disks have less room than the engine wants.
    is_full: bool,
    /// Shards that ended in order.
    shut_down: usize,
    /// The last life ended so that nothing is left to recover.
    stopped_in_order: bool,
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

impl EngineWorld {
    pub(crate) fn new(options: WorldOptions) -> Self {
        let mut random = Random::new(options.seed);
        let traits = Traits::draw(&mut random, options.seed, options.plant);
        let dirs = (0..traits.dirs)
            .map(|_| Rc::new(VirtualFileSystem::new(random.next_u64(), traits::DISK_BYTES)))
            .collect::<Vec<_>>();
        for dir in &dirs {
            dir.plant(options.plant.disk());
            if options.trace {
                dir.be_loud();
            }
        }
        let arenas = (0..traits.shards_max)
            .map(|_| Arena::new(node::ARENA_BYTES).expect("memory for a shard"))
            .collect();
        let batches = Batches::new(&mut random);
        Self {
            options,
            traits,
            random,
            now: 1_000 * NANOS_PER_MS,
            wall_ms: 1_700_000_000_000,
            set_back_ms: 0,
            dirs,
            arenas,
            node: Node { shards: Vec::new() },
            logs: Vec::new(),
            batches,
            producers: Producers::default(),
            walks: Walks::default(),
            expected: BTreeMap::new(),
            parcels: Vec::new(),
            watermarks: BTreeMap::new(),
            next_token: 0,
            is_asked: false,
            next_topic: 0,
            next_action: 0,
            excuses: Excuses::default(),
            has_failed: false,
            failed_dirs: BTreeSet::new(),
            is_full: false,
            shut_down: 0,
            stopped_in_order: false,
            trace: Trace::new(),
            tally: Tally::default(),
        }
    }

    /// Lives all its lives.
    pub(crate) fn run(&mut self) -> Checked {
        let lived = self.live_all();
        if lived.is_err() && self.options.trace {
            self.autopsy();
        }
        lived?;
        self.tally.virtual_ms = self.now / NANOS_PER_MS;
        let gone = self.logs.iter().filter_map(|log| log.compacted.as_ref());
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

    fn note(&mut self, what: impl FnOnce(&Self) -> String) {
        if self.options.trace {
            eprintln!("{:>12.3} ms  {}", self.now as f64 / NANOS_PER_MS as f64, what(self));
        }
    }

    fn clock(&self) -> Now {
        let wall = self.wall_ms + (self.now / NANOS_PER_MS) as i64;
        Now { monotonic: Monotonic(self.now), wall: WallMillis(wall) }
    }

    fn log(&mut self, key: LogKey) -> &mut Log {
        &mut self.logs[key.0]
    }

    fn key_of(&self, id: PartitionId) -> Option<LogKey> {
        self.logs.iter().position(|log| log.id == id).map(LogKey)
    }

    fn expect(&mut self, expected: Expected) -> Token {
        self.next_token += 1;
        self.is_asked = true;
        let token = Token(self.next_token);
        self.trace.number(token.0);
        self.expected.insert(token, (self.now, expected));
        token
    }

    fn has_stopped(&self) -> bool {
        self.dirs.iter().any(|dir| dir.has_stopped())
    }

    /// The next moment at which something is due, the next action of clients aside.
    fn next_due(&self) -> Option<u64> {
        let shards = self.node.shards.iter().flat_map(|shard| {
            let engine = shard.engine.deadline_ms().map(|due| due * NANOS_PER_MS);
            [shard.disk.deadline(), engine]
        });
        shards.flatten().chain(self.parcels.iter().map(|parcel| parcel.due)).min()
    }

    /// Moves time to the next thing that is due (at most to `until`) and lets it happen.
    fn turn(&mut self, until: u64) -> Checked<Turn> {
        let is_asked = std::mem::take(&mut self.is_asked);
        let due = if is_asked { self.now } else { self.next_due().unwrap_or(until).min(until) };
        self.now = self.now.max(due);
        self.deliver_parcels();
        for shard in 0..self.node.shards.len() {
            self.turn_shard(shard)?;
            if self.has_stopped() {
                return Ok(Turn::Stopped);
            }
        }
        Ok(Turn::GoOn)
    }

    /// One turn of a shard's loop: what the disk has done, what the clock says, what follows from it.
    fn turn_shard(&mut self, at: usize) -> Checked {
        let (now, clock) = (self.now, self.clock());
        let batch_max = 1 + self.random.below(8);
        let shard = &mut self.node.shards[at];
        shard.engine.set_now(clock);
        for _ in 0..batch_max {
            let Some(event) = shard.disk.complete(now) else { break };
            shard.engine.on_disk(event);
        }
        if shard.engine.deadline_ms().is_some_and(|due| due * NANOS_PER_MS <= now) {
            shard.engine.on_deadline();
        }
        shard.engine.finish_batch();
        for effect in shard.engine.take_effects() {
            shard.disk.submit(now, effect);
        }
        shard.engine.invariants();
        let events = shard.engine.take_events();
        let told: Vec<PartitionId> = events
            .iter()
            .filter_map(|event| match event {
                EngineEvent::HighWatermarkMoved(id) => Some(*id),
                _ => None,
            })
            .collect();
        let moved = self.look_at_partitions(at)?;
        for event in events {
            self.on_event(at, event)?;
        }
        self.check_told(&moved, &told)
    }

    /// What the shard's partitions say of themselves; gives those whose high watermark moved since the
    /// last look.
    fn look_at_partitions(&mut self, at: usize) -> Checked<Vec<PartitionId>> {
        let mut moved = Vec::new();
        let engine = &self.node.shards[at].engine;
        for log in self.logs.iter_mut().filter(|log| log.shard() == Some(at)) {
            let Some(offsets) = engine.offsets(log.id) else { continue };
            log.observe(&offsets)?;
            let end = offsets.high_watermark;
            let before = self.watermarks.insert(log.id, end);
            let is_open =
                engine.get(log.id).is_some_and(|found| found.state == PartitionState::Open);
            if is_open && before.is_some_and(|before| before < end) {
                moved.push(log.id);
            }
        }
        Ok(moved)
    }

    fn deliver_parcels(&mut self) {
        let now = self.now;
        let due: Vec<Parcel> = self.parcels.extract_if(.., |parcel| parcel.due <= now).collect();
        for Parcel { log, to, partition, .. } in due {
            let token = self.expect(Expected::Adopt { log, shard: to });
            self.node.shards[to].engine.adopt(token, *partition);
        }
    }

    /// Lets things happen until nothing is waited for. No client does anything new.
    fn settle(&mut self) -> Checked<Turn> {
        let begun = self.now;
        loop {
            if self.turn(u64::MAX - 1)? == Turn::Stopped {
                return Ok(Turn::Stopped);
            }
            self.resend_due();
            if self.expected.is_empty() && self.parcels.is_empty() && !self.producers.are_busy() {
                return Ok(Turn::GoOn);
            }
            Checker::Progress.check(self.now < begun + ANSWER_MS_MAX * NANOS_PER_MS, || {
                let waiting: Vec<_> = self.expected.values().take(5).collect();
                format!("{} requests are not answered: {waiting:?}", self.expected.len())
            })?;
        }
    }
}

impl LogState {
    fn is_alive(self) -> bool {
        matches!(self, Self::Creating | Self::Live { .. } | Self::Moving)
    }
}
