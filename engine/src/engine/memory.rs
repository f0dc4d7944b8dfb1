//! The memory of log tails: at most a fixed share of the shard, taken back from partitions in turn, and among those whose
//! turn is near from the one that was written longest ago: what a consumer may not have read yet stays.
//!
//! Of that share tails use what proves of use: they begin with a little, and each read from disk of what the whole
//! share would have kept adds to it. Memory that a process touches for the first time is dear where a hypervisor
//! gives it lazily (2.5 s of CPU a GB were measured), and most consumers read what was just written.

use std::collections::VecDeque;

use protocol::Offset;

use super::{Engine, Slot};
use crate::limits::{
    BLOCK_BYTES, CHUNK_BYTES, TAIL_BYTES_STEP, TAIL_KEPT_MS, TAILS_COMPARED, TRIMMED_PARTITIONS_MAX,
};
use crate::partition::segment::Segment;
use crate::partition::tail::Stored;
use crate::partition::{Partition, Run};

const BLOCK: u64 = BLOCK_BYTES as u64;

/// What tails are to hold, of what they may.
#[derive(Debug)]
pub(super) struct TailAim {
    bytes: usize,
    trimmed_in_vain: SearchedInVain,
    evicted_in_vain: SearchedInVain,
}

/// When a search for memory ended without enough, in milliseconds of the monotonic clock: looking through thousands
/// of partitions with each batch of inputs took a quarter of a shard's time.
type SearchedInVain = Option<u64>;

impl TailAim {
    pub(super) fn new(bytes: usize) -> Self {
        Self { bytes, trimmed_in_vain: None, evicted_in_vain: None }
    }
}

/// What a turn gave.
enum Evicted {
    /// Not none.
    Bytes(usize),
    /// Of those whose turn it was, which are at least one.
    Nothing(Vec<Slot>),
}

impl Engine {
    /// True if `bytes` more of `slot` may be held; otherwise memory is on its way (write-behind was
    /// pushed), or readers still hold it.
    pub(super) fn ensure_tail_room(&mut self, slot: Slot, bytes: usize) -> bool {
        // A chunk may begin before the position and be of a larger class than needed.
        let wanted = bytes.max(CHUNK_BYTES[0]) + BLOCK_BYTES;
        self.trim((self.tail_bytes + wanted).saturating_sub(self.tail_aim.bytes));
        let bound = self.config.tail_bytes_max;
        if self.tail_bytes + wanted > bound {
            self.evict(self.tail_bytes + wanted - bound);
        }
        // A batch larger than the bound is taken when nothing else is held.
        let is_alone = wanted > bound && self.tail_bytes <= bound / 2;
        let fits = self.tail_bytes + wanted <= bound || is_alone;
        if !fits {
            self.write_behind(slot, BLOCK_BYTES as u64);
        }
        fits
    }

    /// A consumer reads from disk what stands so far into a segment: if all of their share would have kept it, tails
    /// get more.
    pub(super) fn note_missed(&mut self, slot: Slot, base: Offset, position: u64) {
        let share = self.config.tail_bytes_max;
        if self.tail_aim.bytes < share && self.is_within(slot, (base, position), share as u64) {
            self.tail_aim.bytes = (self.tail_aim.bytes + TAIL_BYTES_STEP).min(share);
        }
    }

    /// Whether a partition's log goes on for at most so many bytes behind a place.
    fn is_within(&self, slot: Slot, (base, position): (Offset, u64), bytes: u64) -> bool {
        let Some(partition) = self.partition(slot) else { return false };
        let mut left = bytes + position;
        for segment in partition.segments.iter().rev() {
            let Some(rest) = left.checked_sub(segment.length) else { return false };
            left = rest;
            if segment.base <= base {
                return true;
            }
        }
        false
    }

    /// Drops flushed chunks that are beyond what tails are to hold, of some partitions. Writes nothing for it, and what
    /// was just written stays: consumers are about to come for it.
    fn trim(&mut self, bytes: usize) {
        let written_by_ms = self.now_ms().saturating_sub(TAIL_KEPT_MS);
        let mut freed = 0;
        let mut in_vain = 0;
        while freed < bytes
            && in_vain < self.tail_order.len().min(TRIMMED_PARTITIONS_MAX)
            && self.tail_aim.trimmed_in_vain.is_none()
        {
            match self.evict_next(written_by_ms, in_vain) {
                Evicted::Bytes(released) => (freed, in_vain) = (freed + released, 0),
                Evicted::Nothing(passed) => in_vain += passed.len(),
            }
        }
        if freed < bytes {
            self.tail_aim.trimmed_in_vain.get_or_insert(self.now_ms());
        }
    }

    /// Whatever was looked for in vain before.
    pub(super) fn search_anew(&mut self) {
        self.tail_aim.evicted_in_vain = None;
    }

    /// What was looked for in vain is looked for again with the next millisecond, or once all is written that was
    /// to make room.
    pub(super) fn allow_searches(&mut self) {
        let now_ms = self.now_ms();
        let aim = &mut self.tail_aim;
        aim.trimmed_in_vain.take_if(|since| *since != now_ms);
        aim.evicted_in_vain.take_if(|since| *since != now_ms || self.write_behind_in_flight == 0);
    }

    /// The partition has memory that can be taken back when it is flushed. A last block of 4 KiB is
    /// left to it: partitions that never hold more need no place in the list.
    pub(super) fn hold(&mut self, slot: Slot) {
        let Some(partition) = self.partition_mut(slot) else { return };
        if partition.tail.memory_bytes() > BLOCK_BYTES
            && !std::mem::replace(&mut partition.is_held, true)
        {
            self.tail_order.push_back(slot);
        }
    }

    /// Drops the oldest flushed chunks of each partition until `bytes` are free, as far as that is
    /// possible now.
    pub(super) fn evict(&mut self, bytes: usize) {
        let mut freed = 0;
        let mut in_vain = 0;
        while freed < bytes
            && in_vain < self.tail_order.len()
            && self.tail_aim.evicted_in_vain.is_none()
        {
            match self.evict_next(u64::MAX, in_vain) {
                Evicted::Bytes(released) => (freed, in_vain) = (freed + released, 0),
                Evicted::Nothing(passed) => {
                    in_vain += passed.len();
                    passed.into_iter().for_each(|slot| self.write_behind(slot, BLOCK_BYTES as u64));
                }
            }
        }
        if freed < bytes {
            self.tail_aim.evicted_in_vain.get_or_insert(self.now_ms());
        }
    }

    /// Takes what is oldest of what the next few partitions can spare, if it was written by then; that partition, or all
    /// of them where none can, get another turn behind the others. So many at the end of the list had theirs in vain.
    fn evict_next(&mut self, written_by_ms: u64, in_vain: usize) -> Evicted {
        let looked_at = self.tail_order.len().saturating_sub(in_vain).min(TAILS_COMPARED);
        let spare =
            (0..looked_at).filter_map(|at| Some((self.spare_since(self.tail_order[at])?, at)));
        let oldest = spare.filter(|(written_ms, _)| *written_ms <= written_by_ms).min();
        let released = oldest.and_then(|(_, at)| {
            let slot = self.tail_order.remove(at)?;
            let released = self.evict_one(slot);
            self.hold_again(slot);
            (released > 0).then_some(released)
        });
        if let Some(released) = released {
            return Evicted::Bytes(released);
        }
        let looked_at = looked_at.min(self.tail_order.len());
        let passed: Vec<Slot> = self.tail_order.drain(..looked_at).collect();
        passed.iter().for_each(|slot| self.hold_again(*slot));
        Evicted::Nothing(passed)
    }

    /// It had its turn.
    fn hold_again(&mut self, slot: Slot) {
        if let Some(partition) = self.partition_mut(slot) {
            partition.is_held = false;
        }
        self.hold(slot);
    }

    fn spare_since(&self, slot: Slot) -> Option<u64> {
        let Partition { tail, segments, runs, end, .. } = self.partition(slot)?;
        tail.spare_since(|segment| stored(segments, runs, end.segment, segment))
    }

    fn evict_one(&mut self, slot: Slot) -> usize {
        let arena = self.arena.clone();
        let Some(partition) = self.partition_mut(slot) else { return 0 };
        let Partition { tail, segments, runs, end, .. } = partition;
        let stored = |segment| stored(segments, runs, end.segment, segment);
        let mut released = tail.evict_oldest(stored);
        if released == 0 {
            released = tail.shrink(&arena, stored);
        }
        self.tail_bytes -= released;
        released
    }
}

/// What files hold of a segment of a partition that ends in `last`, and nobody needs from memory any more: what the journal
/// is to be told of a run that was written straight to the segment has its last bytes in it. The last block of the segment
/// that the log ends in is asked for by whoever takes the partition over, be its file complete.
fn stored(
    segments: &VecDeque<Segment>,
    runs: &VecDeque<Run>,
    last: Offset,
    base: Offset,
) -> Stored {
    match segments.binary_search_by_key(&base, |segment| segment.base) {
        Ok(at) => {
            let segment = &segments[at];
            let untold = runs.iter().find(|run| run.from.segment == base);
            let told = untold.map_or(u64::MAX, |run| run.from.position / BLOCK * BLOCK);
            let is_complete = segment.is_finished() && base != last;
            Stored { bytes: segment.readable_from_disk().min(told), is_complete }
        }
        // Retention took it.
        Err(0) if !segments.is_empty() => Stored { bytes: u64::MAX, is_complete: true },
        Err(_) => Stored { bytes: 0, is_complete: false },
    }
}
