//! The memory of requests: reserved before a body is received, given back when the request is answered.
//!
//! Three lanes, each with a budget and a queue of its own. *Small* requests (fetches, metadata, little
//! batches) may be held for long, a fetch as long as its poll waits; *large* ones are produce requests
//! and last as long as a disk write. With one budget a large request could wait for ever behind a
//! thousand polls, and every small request behind it. *Huge* ones would take a good part of what large
//! ones may have together: they come one at a time, into a block that is kept for them, and nobody but
//! another huge one waits for them. Among others' blocks none that large may ever be free.
//!
//! A lane is fair: whoever has to wait joins its queue, and nobody overtakes the queue's head. A large
//! frame is a thirty-second of the arena at the most: a hole for it comes as log tails are let go. So an
//! allowed size is served in the end; a larger one closes its connection before its body is received.

use std::collections::VecDeque;

use runtime::memory::{Arena, Block};

use crate::ids::ConnectionId;
use crate::limits::{LARGE_FRAMES_MIN, Limits, SMALL_FRAME_BYTES_MAX};

/// The smallest block of an arena.
const BLOCK_BYTES_MIN: usize = 4096;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lane {
    Small,
    Large,
    Huge,
}

impl Lane {
    pub(crate) const ALL: [Self; 3] = [Self::Small, Self::Large, Self::Huge];
}

/// Memory that a request holds. It must be given back: there is no `Drop`, the lane counts.
#[must_use]
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Charge {
    lane: Lane,
    bytes: usize,
}

impl Charge {
    pub(crate) const fn lane(&self) -> Lane {
        self.lane
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Why a request must wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shortage {
    Budget,
    Arena,
}

#[derive(Debug)]
struct Budget {
    /// Invariant: `held <= limit`, or one request holds all of it: always so with a limit of 0.
    held: usize,
    limit: usize,
    requests: usize,
    queue: VecDeque<ConnectionId>,
    /// The head of the queue could have had its block but for the arena.
    arena_short: bool,
}

impl Budget {
    const fn new(limit: usize) -> Self {
        Self { held: 0, limit, requests: 0, queue: VecDeque::new(), arena_short: false }
    }

    fn has_room(&self, connection: ConnectionId, bytes: usize) -> bool {
        let first = self.queue.front().is_none_or(|head| *head == connection);
        let fits = self.held.checked_add(bytes).is_some_and(|held| held <= self.limit);
        first && (fits || self.held == 0)
    }

    fn take(&mut self, connection: ConnectionId, bytes: usize) {
        if self.queue.front() == Some(&connection) {
            self.queue.pop_front();
        }
        self.held += bytes;
        self.requests += 1;
    }
}

/// The memory of all requests of a shard.
#[derive(Debug)]
pub(crate) struct RequestMemory {
    arena: Arena,
    /// One block. What no huge frame ever came into costs nothing. `None`: there is no address space.
    huge_arena: Option<Arena>,
    small: Budget,
    large: Budget,
    huge: Budget,
}

impl RequestMemory {
    pub(crate) fn new(limits: &Limits, arena: Arena) -> Self {
        Self {
            arena,
            huge_arena: Arena::new(limits.request_huge_bytes_max).ok(),
            small: Budget::new(limits.request_small_bytes_max),
            large: Budget::new(limits.request_large_bytes_max),
            huge: Budget::new(0),
        }
    }

    pub(crate) fn lane_of(&self, length: usize) -> Lane {
        if length <= SMALL_FRAME_BYTES_MAX {
            Lane::Small
        } else if Self::block_bytes(length) <= self.large.limit / LARGE_FRAMES_MIN {
            Lane::Large
        } else {
            Lane::Huge
        }
    }

    /// What a large frame takes: arenas have blocks of powers of two.
    fn block_bytes(length: usize) -> usize {
        length.next_power_of_two().max(BLOCK_BYTES_MIN)
    }

    /// Whether a frame of this length could ever be held.
    pub(crate) fn could_hold(&self, length: usize) -> bool {
        let capacity = match self.lane_of(length) {
            Lane::Small => return true,
            Lane::Large => self.arena.capacity(),
            Lane::Huge => self.huge_arena.as_ref().map_or(0, Arena::capacity),
        };
        Self::block_bytes(length) <= capacity
    }

    pub(crate) fn held(&self) -> usize {
        Lane::ALL.iter().map(|lane| self.budget(*lane).held).sum()
    }

    pub(crate) fn waiting(&self) -> usize {
        Lane::ALL.iter().map(|lane| self.budget(*lane).queue.len()).sum()
    }

    /// Whether a frame that is being received in this lane keeps memory from others. A huge one always
    /// does: there is one block for all of them.
    pub(crate) fn is_pressed(&self, lane: Lane) -> bool {
        let budget = self.budget(lane);
        !budget.queue.is_empty() || (lane == Lane::Huge && budget.requests > 0)
    }

    /// Whether only another owner of the arena can end the wait: such a return wakes nobody.
    pub(crate) const fn waits_for_arena(&self) -> bool {
        self.large.arena_short || self.huge.arena_short
    }

    pub(crate) fn reserve_small(
        &mut self,
        connection: ConnectionId,
        length: usize,
    ) -> Result<Charge, Shortage> {
        if !self.small.has_room(connection, length) {
            return Err(Shortage::Budget);
        }
        self.small.take(connection, length);
        Ok(Charge { lane: Lane::Small, bytes: length })
    }

    /// For a large or a huge frame.
    pub(crate) fn reserve_block(
        &mut self,
        connection: ConnectionId,
        length: usize,
    ) -> Result<(Charge, Block), Shortage> {
        let lane = self.lane_of(length);
        let bytes = Self::block_bytes(length);
        let arena = match lane {
            Lane::Huge => self.huge_arena.clone().expect("what cannot be held is not reserved"),
            Lane::Small | Lane::Large => self.arena.clone(),
        };
        let budget = self.budget_mut(lane);
        if !budget.has_room(connection, bytes) {
            return Err(Shortage::Budget);
        }
        let Some(block) = arena.allocate(length) else {
            budget.arena_short = true;
            return Err(Shortage::Arena);
        };
        assert!(block.len() >= length, "a block of {} for {length} bytes", block.len());
        budget.arena_short = false;
        budget.take(connection, bytes);
        Ok((Charge { lane, bytes }, block))
    }

    pub(crate) fn release(&mut self, charge: Charge) {
        let budget = self.budget_mut(charge.lane);
        assert!(budget.held >= charge.bytes, "more memory released than held");
        assert!(budget.requests > 0, "more requests released than held");
        budget.held -= charge.bytes;
        budget.requests -= 1;
    }

    pub(crate) fn join_queue(&mut self, connection: ConnectionId, lane: Lane) {
        self.budget_mut(lane).queue.push_back(connection);
    }

    /// Linear in the queue, for a connection that ends or is throttled while it waits: rare.
    pub(crate) fn leave_queue(&mut self, connection: ConnectionId, lane: Lane) {
        let queue = &mut self.budget_mut(lane).queue;
        let place = queue.iter().position(|waiting| *waiting == connection);
        queue.remove(place.expect("a waiting connection is in its lane's queue"));
        if queue.is_empty() {
            self.budget_mut(lane).arena_short = false;
        }
    }

    pub(crate) fn head(&self, lane: Lane) -> Option<ConnectionId> {
        self.budget(lane).queue.front().copied()
    }

    const fn budget(&self, lane: Lane) -> &Budget {
        match lane {
            Lane::Small => &self.small,
            Lane::Large => &self.large,
            Lane::Huge => &self.huge,
        }
    }

    const fn budget_mut(&mut self, lane: Lane) -> &mut Budget {
        match lane {
            Lane::Small => &mut self.small,
            Lane::Large => &mut self.large,
            Lane::Huge => &mut self.huge,
        }
    }

    /// `charged` and `waiting` are what the connections say of themselves, by lane.
    pub(crate) fn invariants(&self, charged: [usize; 3], waiting: [usize; 3]) {
        for ((lane, charged), waiting) in Lane::ALL.into_iter().zip(charged).zip(waiting) {
            let budget = self.budget(lane);
            assert_eq!(budget.held, charged, "the lane and its connections disagree on bytes held");
            assert_eq!(
                budget.queue.len(),
                waiting,
                "the lane and its connections disagree on waiting"
            );
            let exceeded = budget.held > budget.limit;
            assert!(!exceeded || budget.requests == 1, "the budget is exceeded");
            assert!(!exceeded || lane == Lane::Huge, "only a huge frame exceeds a budget");
            assert!(!budget.arena_short || !budget.queue.is_empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Arena, Charge, ConnectionId, Lane, Limits, RequestMemory, Shortage};

    const KIB: usize = 1024;

    fn memory(arena: usize) -> RequestMemory {
        let limits = Limits {
            request_small_bytes_max: 32 * KIB,
            request_large_bytes_max: 512 * KIB,
            request_huge_bytes_max: 1024 * KIB,
            ..Limits::default()
        };
        RequestMemory::new(&limits, Arena::new(arena).unwrap())
    }

    fn connection(slot: u32) -> ConnectionId {
        ConnectionId::new(slot, 1)
    }

    #[test]
    fn nobody_overtakes_the_head_of_a_queue() {
        let mut memory = memory(4096 * KIB);
        let held: Vec<_> = (0..4)
            .map(|slot| memory.reserve_block(connection(slot), 100 * KIB).unwrap().0)
            .collect();
        assert_eq!(memory.reserve_block(connection(4), 64 * KIB).unwrap_err(), Shortage::Budget);
        memory.join_queue(connection(4), Lane::Large);
        held.into_iter().for_each(|charge| memory.release(charge));
        assert_eq!(memory.reserve_block(connection(5), 20 * KIB).unwrap_err(), Shortage::Budget);
        let (charge, _block) = memory.reserve_block(connection(4), 64 * KIB).unwrap();
        assert_eq!((charge.bytes(), memory.waiting()), (64 * KIB, 0));
    }

    #[test]
    fn huge_requests_come_one_at_a_time_and_keep_no_large_one_waiting() {
        let mut memory = memory(4096 * KIB);
        let (huge, _block) = memory.reserve_block(connection(0), 300 * KIB).unwrap();
        assert_eq!((huge.lane(), huge.bytes()), (Lane::Huge, 512 * KIB));
        memory.invariants([0, 0, 512 * KIB], [0, 0, 0]);
        assert_eq!(memory.reserve_block(connection(1), 129 * KIB).unwrap_err(), Shortage::Budget);
        memory.join_queue(connection(1), Lane::Huge);
        let (large, _block) = memory.reserve_block(connection(2), 128 * KIB).unwrap();
        assert_eq!((large.lane(), large.bytes()), (Lane::Large, 128 * KIB));
        memory.release(huge);
        assert!(memory.reserve_block(connection(1), 129 * KIB).is_ok());
    }

    #[test]
    fn a_lane_is_pressed_while_somebody_waits_and_by_every_huge_request() {
        let mut memory = memory(4096 * KIB);
        let (large, _block) = memory.reserve_block(connection(0), 20 * KIB).unwrap();
        assert!(!memory.is_pressed(Lane::Large));
        memory.join_queue(connection(1), Lane::Large);
        assert!(memory.is_pressed(Lane::Large) && !memory.is_pressed(Lane::Small));
        memory.release(large);
        let (huge, _block) = memory.reserve_block(connection(2), 300 * KIB).unwrap();
        assert!(memory.is_pressed(Lane::Huge));
        memory.release(huge);
        assert!(!memory.is_pressed(Lane::Huge));
    }

    #[test]
    fn small_requests_do_not_wait_behind_large_ones() {
        let mut memory = memory(4096 * KIB);
        memory.join_queue(connection(0), Lane::Large);
        let charge = memory.reserve_small(connection(1), 100);
        assert_eq!(charge, Ok(Charge { lane: Lane::Small, bytes: 100 }));
    }

    #[test]
    fn a_frame_that_the_arena_can_never_hold_is_known_beforehand() {
        let memory = memory(2048 * KIB);
        assert!(memory.could_hold(1024 * KIB));
        assert!(!memory.could_hold(1024 * KIB + 1));
        assert!(memory.could_hold(1));
    }

    #[test]
    fn an_empty_arena_is_told_apart_from_a_spent_budget() {
        let mut memory = memory(2048 * KIB);
        let other = memory.arena.allocate(2048 * KIB).unwrap();
        assert_eq!(memory.reserve_block(connection(0), 20 * KIB).unwrap_err(), Shortage::Arena);
        memory.join_queue(connection(0), Lane::Large);
        assert!(memory.waits_for_arena());
        drop(other);
        assert!(memory.reserve_block(connection(0), 20 * KIB).is_ok());
        assert!(!memory.waits_for_arena());
    }

    /// Log tails hold their memory for as long as there is enough: a frame waited for a block among them until
    /// its connection was closed, again and again.
    #[test]
    fn a_huge_frame_has_its_block_whatever_else_fills_the_arena() {
        let mut memory = memory(2048 * KIB);
        let tails: Vec<_> = std::iter::from_fn(|| memory.arena.allocate(4096)).collect();
        assert_eq!(tails.len(), 512);
        let (huge, block) = memory.reserve_block(connection(0), 1000 * KIB).unwrap();
        assert_eq!(huge.lane(), Lane::Huge);
        drop(block);
        memory.release(huge);
        assert!(memory.reserve_block(connection(1), 1024 * KIB).is_ok());
    }
}
