//! One core's state machine: everything that a shard knows and does, without a socket, a file, a clock or
//! a thread.
//!
//! ```text
//!   events                                                                     effects
//!   Net   ──► connections ──frames──► handlers ──┐                    ┌──► Net  (receive, send, close)
//!   Mail  ──► owner, controller, requests  ──────┼──► engine, outbox ─┼──► Disk (write, read, job)
//!   Disk  ──► engine ──events──► answers   ──────┘                    └──► Mail (one parcel a shard)
//! ```
//!
//! The shell calls `apply` for each event of a batch, then `finish_batch`, then performs the effects.
//! Groups of the journal, parcels of mail and sends are formed in `finish_batch`: batching falls out of
//! the loop and needs no timer. Data shards and the controller shard are the same type; the controller
//! has the metadata machine besides.
//!
//! * `event`: what goes in and comes out; `mail`, `command`: what shards say to each other
//! * `requests`: requests in progress; `slab`: where they are kept; `outbox`: mail that waits for a slot
//! * `responding`: responses, and how much memory they may pin
//! * `dispatch`: frames to handlers; `turns`: which frames wait for theirs
//! * `replica`: the metadata as this shard knows it
//! * `owner`, `fetching`, `finding`: what an owner of partitions does for requests of any shard
//! * `reconcile`: this shard's partitions follow the metadata
//! * `controller`: the metadata machine and its log; `metadata_log`: the bytes of that log
//! * `group_coordinator`: the groups in the partitions of `__consumer_offsets` that this shard owns
//! * `sessions`: fetch sessions; `producer_ids`: ids for idempotent producers
//! * `steering`: connections that go to the shard that owns what they use
//! * `client_limits`: what broker properties allow clients
//! * `metrics`; `stages`: where a produce request's time goes
//! * `log_config`, `placement`, `random`, `start`: what their names say

pub(crate) mod client_limits;
pub mod command;
mod controller;
mod dispatch;
pub mod event;
mod fetching;
mod finding;
pub mod group_coordinator;
pub(crate) mod log_config;
pub mod mail;
pub mod metadata_log;
pub mod metrics;
mod outbox;
mod owner;
pub mod placement;
mod producer_ids;
mod random;
mod reconcile;
pub(crate) mod replica;
pub(crate) mod requests;
pub(crate) mod responding;
pub(crate) mod sessions;
mod slab;
pub mod stages;
pub mod start;
pub mod steering;
#[cfg(test)]
mod tests;
mod turns;

use std::collections::{BTreeSet, VecDeque};

use engine::Engine;
use engine::request::{EngineEvent, Token};
use net::{Connections, Frame, NetOutput};
use runtime::clock::{Monotonic, Now};
use runtime::memory::{Arena, MemoryRange};

use crate::limits::{REQUESTS_MAX, RESPONSES_MEMORY_DIVISOR, WAITS_MAX};
use client_limits::FetchLimits;
use controller::Controller;
use event::{Effects, Event};
use fetching::OwnerFetches;
use group_coordinator::GroupCoordinator;
use mail::{Mail, ShardIndex};
use metrics::ShardMetrics;
use outbox::Outbox;
use owner::Wait;
use producer_ids::ProducerIdBlock;
use random::Random;
use reconcile::Reconciler;
use replica::Replica;
use requests::{Request, RequestId};
use sessions::FetchSessions;
use slab::{Slab, SlabKey};
use start::{NodeFacts, Role, ShardStart};
use steering::Steering;
use turns::Turns;

pub use log_config::{log_config_of, metadata_log_config};
pub use requests::RequestId as RequestNumber;

impl SlabKey for Token {
    fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    fn raw(self) -> u64 {
        self.0
    }
}

/// Requests in progress on this shard's connections.
#[derive(Debug)]
pub(crate) struct InProgress {
    pub(crate) requests: Slab<RequestId, Request>,
    /// Requests that are answered at a certain time, whatever is there then.
    timers: BTreeSet<(Monotonic, RequestId)>,
    /// Frames that are complete and wait for a place.
    frames: VecDeque<(Monotonic, Frame)>,
    pub(crate) turns: Turns,
    /// Fetches by connection, to be cancelled when it closes.
    pub(crate) fetches: BTreeSet<(net::ConnectionId, RequestId)>,
    /// Fetches that are not begun because responses pin too much memory.
    pub(crate) held_fetches: VecDeque<RequestId>,
    /// Requests that wait for other members of their groups, with no time of their own.
    pub(crate) group_waits: usize,
}

/// What this shard does for the partitions that it owns.
#[derive(Debug)]
pub(crate) struct Owner {
    pub(crate) engine: Engine,
    /// Where the engine's memory lies.
    pub(crate) memory: MemoryRange,
    /// What the engine's answers are for.
    pub(crate) waits: Slab<Token, Wait>,
    pub(crate) fetches: OwnerFetches,
    pub(crate) reconciler: Reconciler,
}

/// What this shard does for its connections.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) connections: Connections,
    pub(crate) out: NetOutput,
    pub(crate) sessions: FetchSessions,
    pub(crate) steering: Steering,
    pub(crate) producer_ids: ProducerIdBlock,
    pub(crate) random: Random,
    /// Bytes that all responses together may pin.
    pub(crate) responses_bytes_max: usize,
    /// Of these, bytes that answers in progress may collect.
    pub(crate) collected_bytes: usize,
    /// Bytes that one fetch is answered.
    pub(crate) fetch_bytes_max: usize,
    /// When the operator heard last of a request that memory could never hold.
    pub(crate) oversize_told: Option<Monotonic>,
}

/// How far this shard has come in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Starting,
    Serving,
    /// Connections end as they have their answers.
    Draining {
        reported: bool,
    },
    Stopping,
    Stopped,
}

/// One core's state machine. Lives on its core; `!Send`.
#[derive(Debug)]
pub struct Shard {
    pub(crate) node: NodeFacts,
    pub(crate) now: Now,
    pub(crate) front: Front,
    pub(crate) progress: InProgress,
    pub(crate) owner: Owner,
    pub(crate) replica: Replica,
    pub(crate) controller: Option<Controller>,
    /// Empty but on the coordinator shard.
    pub(crate) groups: GroupCoordinator,
    pub(crate) outbox: Outbox,
    pub(crate) metrics: ShardMetrics,
    life: Life,
}

impl Shard {
    /// A shard as recovery and the metadata log left it; `arena` is its memory.
    pub fn new(start: ShardStart, arena: Arena, now: Now) -> Self {
        let ShardStart { node, role, metadata, metadata_next, engine, net_limits, seed } = start;
        let responses_bytes_max = arena.capacity() / RESPONSES_MEMORY_DIVISOR;
        let fetch_limits = FetchLimits::new(&metadata, &node);
        let net_limits = client_limits::net_limits(&metadata, net_limits);
        let memory = arena.range();
        let engine = Engine::new(engine, arena.clone(), now);
        let groups_bytes_max = match role {
            Role::Coordinator { groups_bytes_max } => groups_bytes_max,
            Role::Data | Role::Controller(_) => 0,
        };
        let controller = match role {
            Role::Data | Role::Coordinator { .. } => None,
            Role::Controller(start) => Some(Controller::new(*start, &node)),
        };
        let mut shard = Self {
            now,
            front: Front {
                connections: Connections::new(net_limits, arena),
                out: NetOutput::default(),
                sessions: FetchSessions::new(fetch_limits.sessions_max),
                steering: Steering::default(),
                producer_ids: ProducerIdBlock::default(),
                random: Random::new(seed),
                responses_bytes_max,
                collected_bytes: 0,
                fetch_bytes_max: fetch_limits.bytes_max,
                oversize_told: None,
            },
            progress: InProgress {
                requests: Slab::new(REQUESTS_MAX),
                timers: BTreeSet::new(),
                frames: VecDeque::new(),
                turns: Turns::default(),
                fetches: BTreeSet::new(),
                held_fetches: VecDeque::new(),
                group_waits: 0,
            },
            owner: Owner {
                engine,
                memory,
                waits: Slab::new(WAITS_MAX),
                fetches: OwnerFetches::default(),
                reconciler: Reconciler::default(),
            },
            replica: Replica::new(&node, metadata, metadata_next),
            controller,
            groups: GroupCoordinator::new(groups_bytes_max),
            outbox: Outbox::new(node.me, usize::from(node.endpoints())),
            metrics: ShardMetrics::default(),
            life: Life::Starting,
            node,
        };
        shard.owner.engine.set_now(now);
        shard.reconcile_all();
        shard.start_controller();
        shard
    }

    /// Whose state this is.
    pub fn index(&self) -> ShardIndex {
        self.node.me
    }

    /// Whether everything is durable and the shard's thread may end.
    pub fn is_stopped(&self) -> bool {
        self.life == Life::Stopped
    }

    /// Connections now, for whoever hands new ones out.
    pub fn connections(&self) -> usize {
        self.front.connections.len()
    }

    /// Takes one event of a batch.
    pub fn apply(&mut self, now: Now, event: Event) {
        self.set_now(now);
        match event {
            Event::Net(event) => {
                let out = &mut self.front.out;
                self.front.connections.on_event(now.monotonic, event, out);
                self.take_frames();
            }
            Event::Disk(event) => self.owner.engine.on_disk(event),
            Event::Mail { from, parcel } => {
                for mail in parcel {
                    self.on_mail(from, mail);
                }
            }
            Event::MovedHere { connection, luggage } => self.on_moved_here(connection, luggage),
            Event::Deadline => self.on_deadline(),
        }
    }

    /// Dispatches waiting frames. `finish_batch` does it as well: this is for shells that tell the time of each step.
    pub fn take_requests(&mut self, now: Now) {
        self.set_now(now);
        self.dispatch_frames();
    }

    /// Takes what this shard has for itself, appends above all; `finish_batch` does it as well.
    pub fn take_own_mail(&mut self, now: Now) {
        self.set_now(now);
        self.take_local_mail();
    }

    /// Ends a batch: waiting frames are dispatched, the journal's group is formed, answers become sends.
    pub fn finish_batch(&mut self, now: Now, out: &mut Effects) {
        self.set_now(now);
        self.report_life();
        loop {
            self.take_local_mail();
            self.dispatch_frames();
            self.take_local_mail();
            self.append_group_batches();
            self.owner.engine.finish_batch();
            let events = self.owner.engine.take_events();
            let may_begin = self.progress.turns.has_news() && self.has_room_for_requests();
            if events.is_empty() && !self.outbox.has_local() && !may_begin {
                break;
            }
            for event in events {
                self.on_engine_event(event);
            }
        }
        self.expire_requests();
        self.front.connections.finish_batch(now.monotonic, &mut self.front.out);
        self.take_frames();
        self.report_life();
        out.net.append(&mut self.front.out.effects);
        for left in std::mem::take(&mut self.front.out.left) {
            let moved = self.move_of(left);
            out.moves.push(moved);
        }
        out.disk.append(&mut self.owner.engine.take_effects());
        self.outbox.take_parcels(&mut out.mail_slots, |to, parcel| out.mail.push((to, parcel)));
    }

    /// When the next `Event::Deadline` is due.
    pub fn deadline(&self) -> Option<Monotonic> {
        let millis = |ms: u64| Monotonic(ms.saturating_mul(1_000_000));
        [
            self.front.connections.deadline(),
            self.owner.engine.deadline_ms().map(millis),
            self.progress.timers.first().map(|timer| timer.0),
            self.owner.reconciler.retry_at(),
            self.groups.deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Whether something is left to do in another turn at once: mail or frames that wait for a place.
    pub fn is_waiting(&self) -> bool {
        self.outbox.is_waiting()
    }

    /// Checks what must hold between any two batches.
    pub fn invariants(&self) {
        self.front.connections.invariants();
        self.owner.engine.invariants();
        self.groups.invariants();
        if let Some(controller) = &self.controller {
            controller.invariants();
        }
    }

    fn set_now(&mut self, now: Now) {
        self.now = now;
        self.owner.engine.set_now(now);
    }

    fn on_deadline(&mut self) {
        self.front.connections.on_deadline(self.now.monotonic, &mut self.front.out);
        self.take_frames();
        self.owner.engine.on_deadline();
        self.retry_reconcile();
        self.on_group_deadline();
    }

    /// Frames and closed connections, as the connections put them out.
    pub(crate) fn take_frames(&mut self) {
        let now = self.now.monotonic;
        let out = &mut self.front.out;
        self.progress.frames.extend(out.frames.drain(..).map(|frame| (now, frame)));
        for closed in std::mem::take(&mut out.closed) {
            self.on_connection_closed(&closed);
        }
    }

    fn take_local_mail(&mut self) {
        let me = self.node.me;
        while let Some(mail) = self.outbox.take_local() {
            self.on_mail(me, mail);
        }
    }

    fn on_engine_event(&mut self, event: EngineEvent) {
        match event {
            EngineEvent::Appended { token, result } => self.on_appended(token, result),
            EngineEvent::ReadDone { token, result } => self.on_read_done(token, result),
            EngineEvent::HighWatermarkMoved(partition) => {
                self.wake_fetches(partition);
                self.go_on_loading(partition);
            }
            EngineEvent::Done { token, result } => self.on_lifecycle_done(token, result),
            EngineEvent::Released { token, partition } => self.on_released(token, partition),
            EngineEvent::DamageFound(damage) => self.on_damage_found(&damage),
            EngineEvent::DirectoryFailed { dir, error } => {
                let path = self.node.directory_path(dir).to_owned();
                let error = error.to_string();
                self.outbox.post(self.node.main(), Mail::DirectoryFailed { path, error });
                self.fail_offline_fetches();
            }
        }
    }

    /// The end of a request in progress; `None` if it has its answer already.
    pub(crate) fn end_request(&mut self, id: RequestId) -> Option<Request> {
        let request = self.progress.requests.remove(id)?;
        if let Some(deadline) = request.deadline {
            self.progress.timers.remove(&(deadline, id));
        }
        self.progress.fetches.remove(&(request.head.connection, id));
        Some(request)
    }

    /// A request's time is up before its deadline.
    pub(crate) fn forget_deadline(&mut self, id: RequestId) {
        let request = self.progress.requests.get_mut(id);
        if let Some(deadline) = request.and_then(|request| request.deadline.take()) {
            self.progress.timers.remove(&(deadline, id));
        }
    }

    /// Whether nothing shall be waited for any more.
    pub(crate) fn is_draining(&self) -> bool {
        !matches!(self.life, Life::Starting | Life::Serving)
    }

    /// Begins a request that waits for answers.
    pub(crate) fn begin_request(&mut self, request: Request) -> RequestId {
        let deadline = request.deadline;
        let id = self.progress.requests.insert(request);
        if let Some(deadline) = deadline {
            self.progress.timers.insert((deadline, id));
        }
        id
    }

    /// Requests whose time is up are answered with what is there.
    fn expire_requests(&mut self) {
        while let Some((at, id)) = self.progress.timers.first().copied() {
            if at > self.now.monotonic {
                return;
            }
            self.progress.timers.pop_first();
            self.on_request_deadline(id);
        }
    }

    /// Tells the node's main thread of the next step in this shard's life.
    fn report_life(&mut self) {
        let main = self.node.main();
        match self.life {
            Life::Starting if self.is_started() => {
                self.life = Life::Serving;
                self.outbox.post(main, Mail::Ready);
            }
            Life::Draining { reported: false } if self.front.connections.is_empty() => {
                self.life = Life::Draining { reported: true };
                self.outbox.post(main, Mail::Drained);
            }
            _ => {}
        }
    }

    fn is_started(&self) -> bool {
        self.controller.as_ref().is_none_or(Controller::is_started)
    }

    fn drain(&mut self) {
        if !matches!(self.life, Life::Draining { .. } | Life::Stopping | Life::Stopped) {
            self.life = Life::Draining { reported: false };
            self.front.connections.drain();
            self.end_long_polls();
            self.end_group_waits();
        }
    }

    fn shut_down(&mut self) {
        if matches!(self.life, Life::Stopping | Life::Stopped) {
            return;
        }
        self.life = Life::Stopping;
        let token = self.owner.waits.insert(Wait::ShutDown);
        self.owner.engine.shut_down(token);
    }

    fn on_stopped(&mut self) {
        self.life = Life::Stopped;
        self.outbox.post(self.node.main(), Mail::Stopped);
    }

    /// Mail of a shard, this one included.
    fn on_mail(&mut self, from: ShardIndex, mail: Mail) {
        match mail {
            Mail::Append(_)
            | Mail::Fetch(_)
            | Mail::FetchNow { .. }
            | Mail::FetchCancel { .. }
            | Mail::Query { .. }
            | Mail::Group(_)
            | Mail::Groups { .. }
            | Mail::Release { .. }
            | Mail::Adopt { .. } => self.on_owner_mail(mail),
            Mail::Appended { .. }
            | Mail::Fetched { .. }
            | Mail::FetchParked { .. }
            | Mail::GroupParked { .. }
            | Mail::Answer { .. }
            | Mail::CommandDone { .. }
            | Mail::ProducerIds(_) => self.on_answer_mail(from, mail),
            Mail::Command { .. }
            | Mail::Applied { .. }
            | Mail::AllocateProducerIds
            | Mail::Created { .. }
            | Mail::Deleted { .. }
            | Mail::Released { .. }
            | Mail::Adopted { .. } => self.on_controller_mail(from, mail),
            Mail::Announce { announcement, news } => {
                self.on_news(news);
                self.outbox.post(from, Mail::Applied { announcement });
            }
            Mail::Storage(space) => self.on_storage(space),
            Mail::TakeSnapshot => {
                let snapshot = Box::new(self.snapshot());
                self.outbox.post(from, Mail::Snapshot(snapshot));
            }
            Mail::ListPartitions => {
                let partitions = self.placed_partitions();
                self.outbox.post(from, Mail::Partitions(partitions));
            }
            Mail::Drain => self.drain(),
            Mail::ShutDown => self.shut_down(),
            Mail::Ready
            | Mail::Snapshot(_)
            | Mail::Partitions(_)
            | Mail::Drained
            | Mail::Stopped
            | Mail::DirectoryFailed { .. }
            | Mail::Trouble { .. } => {
                unreachable!("for the node's main thread: {mail:?}")
            }
        }
    }
}
