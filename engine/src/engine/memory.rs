//! The memory of log tails: a fixed share of the shard, taken back from partitions in turn, oldest first.

use super::{Engine, Slot};
use crate::limits::{BLOCK_BYTES, CHUNK_BYTES};
use crate::partition::Partition;

impl Engine {
    /// True if `bytes` more of `slot` may be held; otherwise memory is on its way (write-behind was
    /// pushed), or readers still hold it.
    pub(super) fn ensure_tail_room(&mut self, slot: Slot, bytes: usize) -> bool {
        // A chunk may begin before the position and be of a larger class than needed.
        let wanted = bytes.max(CHUNK_BYTES[0]) + BLOCK_BYTES;
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
        while freed < bytes && in_vain < self.tail_order.len() && !self.is_evicted {
            let Some(slot) = self.tail_order.pop_front() else { break };
            let released = self.evict_one(slot);
            freed += released;
            if released == 0 {
                self.write_behind(slot, BLOCK_BYTES as u64);
                in_vain += 1;
            } else {
                in_vain = 0;
            }
            if let Some(partition) = self.partition_mut(slot) {
                partition.is_held = false;
            }
            self.hold(slot);
        }
        self.is_evicted |= freed < bytes;
    }

    fn evict_one(&mut self, slot: Slot) -> usize {
        let arena = self.arena.clone();
        let Some(partition) = self.partition_mut(slot) else { return 0 };
        let flushed = flushed_ends(partition);
        let mut released = partition.tail.evict_oldest(|segment, end| {
            flushed.iter().any(|(base, to)| *base == segment && end <= *to)
                || flushed.first().is_some_and(|(base, _)| segment < *base)
        });
        if released == 0
            && let Some(segment) = partition.segments.back()
        {
            let to = (segment.base, segment.flushed);
            released = partition.tail.shrink(&arena, to);
        }
        self.tail_bytes -= released;
        released
    }
}

/// (segment, how far its file holds every byte) of the segments that may have bytes in memory.
fn flushed_ends(partition: &Partition) -> Vec<(protocol::Offset, u64)> {
    partition.segments.iter().map(|segment| (segment.base, segment.readable_from_disk())).collect()
}
