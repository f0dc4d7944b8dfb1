//! The memory of requests: reserved before a body is received, given back when the request is answered.
//!
//! Two lanes, each with a budget and a queue of its own. *Small* requests (fetches, metadata, little
//! batches) may be held for long, a fetch as long as its poll waits; *large* ones are produce requests
//! and last as long as a disk write. With one budget a large request could wait for ever behind a
//! thousand polls, and every small request behind it.
//!
//! A lane is fair: whoever has to wait joins its queue, and nobody overtakes the queue's head. A large
//! request beyond the whole budget is let in alone, when the lane holds nothing else, so that an
//! allowed size is always served in the end.

use std::collections::VecDeque;

use runtime::memory::{Arena, Block};

use crate::ids::ConnectionId;
use crate::limits::{Limits, SMALL_FRAME_BYTES_MAX};

/// The smallest block of an arena.
const BLOCK_BYTES_MIN: usize = 4096;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lane {
    Small,
    Large,
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
    /// Invariant: `held <= limit`, or one request holds all of it.
    held: usize,
    limit: usize,
    requests: usize,
    queue: VecDeque<ConnectionId>,
}

impl Budget {
    const fn new(limit: usize) -> Self {
        Self { held: 0, limit, requests: 0, queue: VecDeque::new() }
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
    small: Budget,
    large: Budget,
    /// The head of the large lane could have had its block but for the arena.
    arena_short: bool,
}

impl RequestMemory {
    pub(crate) fn new(limits: &Limits, arena: Arena) -> Self {
        Self {
            arena,
            small: Budget::new(limits.request_small_bytes_max),
            large: Budget::new(limits.request_large_bytes_max),
            arena_short: false,
        }
    }

    pub(crate) const fn lane_of(length: usize) -> Lane {
        if length <= SMALL_FRAME_BYTES_MAX { Lane::Small } else { Lane::Large }
    }

    /// What a large frame takes: arenas have blocks of powers of two.
    fn block_bytes(length: usize) -> usize {
        length.next_power_of_two().max(BLOCK_BYTES_MIN)
    }

    /// Whether a frame of this length could ever be held.
    pub(crate) fn could_hold(&self, length: usize) -> bool {
        Self::lane_of(length) == Lane::Small || Self::block_bytes(length) <= self.arena.capacity()
    }

    pub(crate) const fn held(&self) -> usize {
        self.small.held + self.large.held
    }

    pub(crate) fn waiting(&self) -> usize {
        self.small.queue.len() + self.large.queue.len()
    }

    /// Whether only another owner of the arena can end the wait: such a return wakes nobody.
    pub(crate) const fn waits_for_arena(&self) -> bool {
        self.arena_short
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

    pub(crate) fn reserve_large(
        &mut self,
        connection: ConnectionId,
        length: usize,
    ) -> Result<(Charge, Block), Shortage> {
        let bytes = Self::block_bytes(length);
        if !self.large.has_room(connection, bytes) {
            return Err(Shortage::Budget);
        }
        let Some(block) = self.arena.allocate(length) else {
            self.arena_short = true;
            return Err(Shortage::Arena);
        };
        assert!(block.len() >= length, "a block of {} for {length} bytes", block.len());
        self.arena_short = false;
        self.large.take(connection, bytes);
        Ok((Charge { lane: Lane::Large, bytes }, block))
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
        if self.large.queue.is_empty() {
            self.arena_short = false;
        }
    }

    pub(crate) fn head(&self, lane: Lane) -> Option<ConnectionId> {
        self.budget(lane).queue.front().copied()
    }

    const fn budget(&self, lane: Lane) -> &Budget {
        match lane {
            Lane::Small => &self.small,
            Lane::Large => &self.large,
        }
    }

    const fn budget_mut(&mut self, lane: Lane) -> &mut Budget {
        match lane {
            Lane::Small => &mut self.small,
            Lane::Large => &mut self.large,
        }
    }

    /// `charged` and `waiting` are what the connections say of themselves, by lane: small, large.
    pub(crate) fn invariants(&self, charged: [usize; 2], waiting: [usize; 2]) {
        for (budget, charged, waiting) in
            [(&self.small, charged[0], waiting[0]), (&self.large, charged[1], waiting[1])]
        {
            assert_eq!(budget.held, charged, "the lane and its connections disagree on bytes held");
            assert_eq!(
                budget.queue.len(),
                waiting,
                "the lane and its connections disagree on waiting"
            );
            assert!(budget.held <= budget.limit || budget.requests == 1, "the budget is exceeded");
        }
        assert!(!self.arena_short || !self.large.queue.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::{Arena, Charge, ConnectionId, Lane, Limits, RequestMemory, Shortage};

    const KIB: usize = 1024;

    fn memory(arena: usize) -> RequestMemory {
        let limits = Limits {
            request_small_bytes_max: 32 * KIB,
            request_large_bytes_max: 128 * KIB,
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
        let (large, block) = memory.reserve_large(connection(0), 100 * KIB).unwrap();
        drop(block);
        assert_eq!(memory.reserve_large(connection(1), 64 * KIB).unwrap_err(), Shortage::Budget);
        memory.join_queue(connection(1), Lane::Large);
        memory.release(large);
        assert_eq!(memory.reserve_large(connection(2), 20 * KIB).unwrap_err(), Shortage::Budget);
        let (charge, _block) = memory.reserve_large(connection(1), 64 * KIB).unwrap();
        assert_eq!((charge.bytes(), memory.waiting()), (64 * KIB, 0));
    }

    #[test]
    fn one_request_beyond_the_budget_is_held_alone() {
        let mut memory = memory(4096 * KIB);
        let (beyond, _block) = memory.reserve_large(connection(0), 300 * KIB).unwrap();
        assert_eq!(beyond.bytes(), 512 * KIB);
        memory.invariants([0, 512 * KIB], [0, 0]);
        assert_eq!(memory.reserve_large(connection(1), 20 * KIB).unwrap_err(), Shortage::Budget);
        memory.release(beyond);
        assert!(memory.reserve_large(connection(1), 20 * KIB).is_ok());
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
        assert!(memory.could_hold(2048 * KIB));
        assert!(!memory.could_hold(2048 * KIB + 1));
        assert!(memory.could_hold(1));
    }

    #[test]
    fn an_empty_arena_is_told_apart_from_a_spent_budget() {
        let mut memory = memory(2048 * KIB);
        let other = memory.arena.allocate(2048 * KIB).unwrap();
        assert_eq!(memory.reserve_large(connection(0), 20 * KIB).unwrap_err(), Shortage::Arena);
        memory.join_queue(connection(0), Lane::Large);
        assert!(memory.waits_for_arena());
        drop(other);
        assert!(memory.reserve_large(connection(0), 20 * KIB).is_ok());
        assert!(!memory.waits_for_arena());
    }
}
