//! The memory of log tails: a fixed share of the shard, taken back oldest first.

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
        let fits = self.tail_bytes + wanted <= bound;
        if !fits {
            self.write_behind(slot, BLOCK_BYTES as u64);
        }
        fits
    }

    /// Drops the oldest flushed chunks until `bytes` are free, as far as that is possible now.
    pub(super) fn evict(&mut self, bytes: usize) {
        let mut freed = 0;
        let mut kept = Vec::new();
        for _ in 0..self.tail_order.len() {
            if freed >= bytes {
                break;
            }
            let Some(slot) = self.tail_order.pop_front() else { break };
            let released = self.evict_one(slot);
            freed += released;
            if released == 0 {
                self.write_behind(slot, BLOCK_BYTES as u64);
                if self.partition(slot).is_some_and(|partition| partition.tail.memory_bytes() > 0) {
                    kept.push(slot);
                }
            }
        }
        for slot in kept {
            self.tail_order.push_back(slot);
        }
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
            let to = segment.flushed;
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
