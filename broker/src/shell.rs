//! The production loop around a shard: collects events, lets the shard decide, performs the effects.
//! Decides nothing itself.
//!
//! ```text
//!   completions ─► net driver, disk driver ─► events ─┐
//!   mailbox ─────────────────────────────► parcels ───┼─► Shard ─► effects ─► drivers, mailbox
//!   deadline ─────────────────────────────────────────┘
//! ```
//!
//! * `parcel`: what mailboxes carry
//! * `acceptor`: accepting, handing out and moving connections, on the controller's shard

mod acceptor;
mod parcel;

use std::collections::VecDeque;

use engine::disk::DiskEvent;
use engine::disk::driver::DiskDriver;
use net::driver::{AcceptedSocket, Driver, DriverConfig};
use net::{ConnectionId, NetEvent, Placement};
use runtime::clock::{Monotonic, Now};
use runtime::mailbox::Mailbox;
use runtime::ring::{Completion, Ring, Token};
use runtime::shard::{ShardLoop, Turn};

use crate::shard::Shard;
use crate::shard::event::{Effects, Event};
use crate::shard::mail::{Mail, ShardIndex};
use crate::shard::metrics::ShellSnapshot;
use crate::shard::steering::{Luggage, Move};
use acceptor::Accepting;

pub(crate) use parcel::Parcel;

/// The top byte of the disk driver's tokens; sockets and listeners have the net crate's.
pub(crate) const DISK_TAG: u8 = 3;

/// Mailboxes that are no data shard's: those of controller, coordinator and the node's main thread. They come
/// behind the data shards', in this order.
const NOT_DATA_SHARDS: usize = 3;

/// What a shell is made of.
pub(crate) struct ShellParts {
    pub(crate) shard: Shard,
    pub(crate) mailbox: Mailbox<Parcel>,
    pub(crate) disk: DiskDriver,
    pub(crate) sockets: DriverConfig,
    /// On the controller's shard: where connections of the whole node go.
    pub(crate) placement: Option<Placement>,
}

/// The loop of one shard.
#[derive(Debug)]
pub(crate) struct Shell {
    shard: Shard,
    mailbox: Mailbox<Parcel>,
    disk: DiskDriver,
    sockets: Driver,
    accepting: Option<Accepting>,
    effects: Effects,
    net_events: Vec<NetEvent>,
    disk_events: Vec<DiskEvent>,
    /// Of connections that were other shards' before.
    moved_here: Vec<(ConnectionId, Luggage)>,
    /// To be posted as slots allow.
    steered: VecDeque<Parcel>,
    /// Connections that ended and that the accepting shard does not know of yet.
    ended: usize,
    /// The ring's deadline, where one is set.
    armed: Option<Monotonic>,
}

impl Shell {
    pub(crate) fn new(parts: ShellParts) -> Self {
        let ShellParts { shard, mailbox, disk, sockets, placement } = parts;
        Self {
            shard,
            mailbox,
            disk,
            sockets: Driver::new(sockets),
            accepting: placement.map(Accepting::new),
            effects: Effects::default(),
            net_events: Vec::new(),
            disk_events: Vec::new(),
            moved_here: Vec::new(),
            steered: VecDeque::new(),
            ended: 0,
            armed: None,
        }
    }

    fn on_completion(&mut self, ring: &mut Ring, now: Monotonic, completion: Completion) {
        if matches!(completion, Completion::DeadlineReached) {
            self.armed = None;
            return;
        }
        if token_of(&completion).is_some_and(|token| self.disk.owns(token)) {
            return self.disk.complete(ring, completion, &mut self.disk_events);
        }
        let left = self.sockets.on_completion(ring, completion, &mut self.net_events);
        if let Some(left) = left {
            let accepting = self.accepting.as_mut().expect("only listeners are left");
            accepting.on_completion(ring, now, left);
        }
    }

    /// Takes all parcels; true if there were any.
    fn take_parcels(&mut self, ring: &mut Ring, now: Now) -> bool {
        let mut parcels = Vec::new();
        self.mailbox.drain(|from, parcel| parcels.push((from, parcel)));
        let any = !parcels.is_empty();
        for (from, parcel) in parcels {
            match parcel {
                Parcel::Mail(parcel) => {
                    let from = ShardIndex(u16::try_from(from).expect("mailboxes are bounded"));
                    self.shard.apply(now, Event::Mail { from, parcel });
                }
                Parcel::Connection(socket, luggage) => self.adopt(ring, socket, luggage),
                Parcel::Steered { socket, to, luggage } => {
                    if let Some(accepting) = &mut self.accepting {
                        accepting.steer(socket, (from, to), luggage);
                    }
                }
                Parcel::Ended(count) => {
                    if let Some(accepting) = &mut self.accepting {
                        accepting.ended(from, count);
                    }
                }
                Parcel::Listen(addresses) => {
                    if let Some(accepting) = &mut self.accepting {
                        accepting.listen(ring, &addresses);
                    }
                }
                Parcel::StopListening => {
                    if let Some(accepting) = &mut self.accepting {
                        accepting.stop(ring);
                    }
                }
                Parcel::Listening(_) => unreachable!("for the node's main thread"),
            }
        }
        any
    }

    fn adopt(&mut self, ring: &mut Ring, socket: AcceptedSocket, luggage: Option<Luggage>) {
        match self.sockets.adopt(ring, socket, &mut self.net_events) {
            Ok(connection) => {
                self.moved_here.extend(luggage.map(|luggage| (connection, luggage)));
            }
            Err(_) => self.ended += 1,
        }
    }

    fn apply_events(&mut self, now: Now) -> bool {
        let any = !self.net_events.is_empty() || !self.disk_events.is_empty();
        for event in self.net_events.drain(..) {
            self.ended += usize::from(matches!(event, NetEvent::Closed { .. }));
            self.shard.apply(now, Event::Net(event));
        }
        for (connection, luggage) in self.moved_here.drain(..) {
            self.shard.apply(now, Event::MovedHere { connection, luggage });
        }
        for event in self.disk_events.drain(..) {
            self.shard.apply(now, Event::Disk(event));
        }
        any
    }

    fn perform(&mut self, ring: &mut Ring) {
        for effect in self.effects.net.drain(..) {
            self.sockets.perform(ring, effect);
        }
        for Move { connection, to, luggage } in self.effects.moves.drain(..) {
            let socket = self.sockets.give_away(ring, connection);
            let to = usize::from(to.0);
            self.steered.push_back(Parcel::Steered { socket, to, luggage });
        }
        for effect in self.effects.disk.drain(..) {
            self.disk.submit(ring, effect);
        }
        let now = (!self.effects.mail.is_empty()).then(Monotonic::read);
        for (to, mut mail) in self.effects.mail.drain(..) {
            for mail in &mut mail {
                mail.leaves(now.expect("there is mail"));
                if let Mail::Snapshot(snapshot) = mail {
                    snapshot.shell = Some(ShellSnapshot {
                        ring: ring.counters(),
                        operations_in_flight: ring.in_flight(),
                        sockets: self.sockets.metrics().clone(),
                        accept: self.accepting.as_ref().map(Accepting::metrics),
                        disk_operations: self.disk.in_flight(),
                        disk_caps_halved: self.disk.halvings(),
                        buffers_registered: ring.buffers_registered(),
                    });
                }
            }
            self.mailbox.post(usize::from(to.0), Parcel::Mail(mail));
        }
    }

    /// Parcels of the shell itself, as slots allow.
    fn post_own(&mut self) {
        let controller = self.mailbox.shards() - NOT_DATA_SHARDS;
        if let Some(accepting) = &mut self.accepting {
            return accepting.post(&mut self.mailbox);
        }
        if self.ended > 0 && self.mailbox.free_slots(controller) > 0 {
            self.mailbox.post(controller, Parcel::Ended(std::mem::take(&mut self.ended)));
        }
        while self.mailbox.free_slots(controller) > 0
            && let Some(steered) = self.steered.pop_front()
        {
            self.mailbox.post(controller, steered);
        }
    }

    fn arm(&mut self, ring: &mut Ring, now: Monotonic) {
        let accepting = self.accepting.as_ref().and_then(Accepting::deadline);
        let due = [self.shard.deadline(), accepting].into_iter().flatten().min();
        let Some(due) = due else { return };
        // An earlier deadline may stay: it costs a turn that finds nothing.
        if self.armed.is_none_or(|armed| due < armed || armed <= now) {
            ring.set_deadline(Some(due));
            self.armed = Some(due);
        }
    }

    fn is_over(&self) -> bool {
        self.shard.is_stopped() && !self.shard.is_waiting() && self.disk.in_flight() == 0
    }
}

impl ShardLoop for Shell {
    fn turn(&mut self, ring: &mut Ring, completions: &mut Vec<Completion>) -> Turn {
        let now = Now::read();
        let mut busy = !completions.is_empty();
        for completion in completions.drain(..) {
            self.on_completion(ring, now.monotonic, completion);
        }
        self.disk.poll(ring, &mut self.disk_events);
        busy |= self.take_parcels(ring, now);
        busy |= self.apply_events(now);
        if let Some(accepting) = &mut self.accepting {
            accepting.on_deadline(ring, now.monotonic);
        }
        if self.shard.deadline().is_some_and(|due| due <= now.monotonic) {
            self.shard.apply(now, Event::Deadline);
            busy = true;
        }
        let shards = self.mailbox.shards();
        self.effects.mail_slots.clear();
        self.effects.mail_slots.extend((0..shards).map(|to| self.mailbox.free_slots(to)));
        // The clock is read between the steps so that each stage's time counts as its own.
        let later = || Now { monotonic: Monotonic::read(), ..now };
        self.shard.take_requests(later());
        self.shard.take_own_mail(later());
        self.shard.finish_batch(later(), &mut self.effects);
        self.perform(ring);
        self.post_own();
        if self.is_over() {
            return Turn::Stop;
        }
        self.arm(ring, now.monotonic);
        // Mail that waits for a slot is tried again: nobody tells when a slot is free.
        busy |= self.shard.is_waiting() || !self.steered.is_empty();
        busy |= self.accepting.as_ref().is_some_and(Accepting::is_waiting);
        if busy { Turn::Busy } else { Turn::Idle }
    }

    fn is_idle(&self) -> bool {
        self.mailbox.is_empty() && self.disk.is_idle()
    }
}

fn token_of(completion: &Completion) -> Option<Token> {
    match completion {
        Completion::Nop { token }
        | Completion::Accepted { token, .. }
        | Completion::Received { token, .. }
        | Completion::Filled { token, .. }
        | Completion::Sent { token, .. }
        | Completion::Released { token, .. }
        | Completion::Written { token, .. }
        | Completion::Read { token, .. }
        | Completion::Closed { token } => Some(*token),
        Completion::DeadlineReached => None,
    }
}
