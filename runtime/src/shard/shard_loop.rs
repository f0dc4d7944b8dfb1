//! What the caller of a shard supplies.

use std::sync::Arc;

use crate::mailbox::Bell;
use crate::memory::Arena;
use crate::ring::{Completion, Ring};

/// A shard's own logic. Made, run and dropped on the shard's thread.
pub trait ShardLoop {
    /// Takes what has completed and whatever else has arrived (mail, helpers' results), applies it
    /// all, and submits what follows. Empties `completions`. Never waits.
    fn turn(&mut self, ring: &mut Ring, completions: &mut Vec<Completion>) -> Turn;

    /// Whether nothing has arrived but through the ring: no mail, no helper's result. Asked once
    /// more after the shard has announced that it will sleep, so that no wake-up is lost.
    fn is_idle(&self) -> bool;

    /// Whether background work waits.
    fn has_background(&self) -> bool {
        false
    }

    /// One slice of background work: at most some 100 µs, for it delays the next turn. Slices get
    /// the time that turns leave, and a tenth of it under load.
    fn background(&mut self, _ring: &mut Ring) {}
}

/// What follows a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Something was done: another turn follows at once.
    Busy,
    /// Nothing was left to do: park, unless something arrives meanwhile.
    Idle,
    /// The shard ends. Operations in flight are cancelled and waited for.
    Stop,
}

/// What a shard's loop is made from, on the shard's thread.
#[derive(Debug)]
pub struct ShardSetup<'a> {
    pub arena: &'a Arena,
    pub ring: &'a mut Ring,
    /// Wakes this shard; for helpers.
    pub bell: &'a Arc<Bell>,
}
