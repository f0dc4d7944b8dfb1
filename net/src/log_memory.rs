//! The memory that records are sent from: the arenas of the node's shards, as far as this shard has met them.

use bytes::Bytes;
use runtime::memory::MemoryRange;

#[derive(Debug, Default)]
pub(crate) struct LogMemory {
    /// At most one a shard.
    ranges: Vec<MemoryRange>,
    /// Where the last slice was found: the next one is mostly there, too.
    last: usize,
}

impl LogMemory {
    pub(crate) fn know(&mut self, range: MemoryRange) {
        if !self.ranges.contains(&range) {
            self.ranges.push(range);
        }
    }

    /// How many bytes of these parts lie in log memory: what was copied on its way does not.
    pub(crate) fn bytes_in(&mut self, parts: &[Bytes]) -> usize {
        let mut bytes = 0;
        for part in parts {
            let is_in_last = self.ranges.get(self.last).is_some_and(|range| range.holds(part));
            let found = is_in_last.then_some(self.last);
            let found = found.or_else(|| self.ranges.iter().position(|range| range.holds(part)));
            if let Some(at) = found {
                self.last = at;
                bytes += part.len();
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use runtime::memory::Arena;

    use super::LogMemory;

    #[test]
    fn bytes_of_known_arenas_are_told_from_copies_of_them() {
        let (one, other) = (Arena::new(1 << 20).unwrap(), Arena::new(1 << 20).unwrap());
        let slice = |arena: &Arena, len| arena.allocate(len).unwrap().freeze(len);
        let mut memory = LogMemory::default();
        memory.know(one.range());
        memory.know(one.range());
        let whole = slice(&one, 1 << 19);
        let parts =
            [whole.clone(), slice(&other, 10), Bytes::copy_from_slice(&whole), Bytes::new()];
        assert_eq!(memory.bytes_in(&parts), 1 << 19);
        memory.know(other.range());
        assert_eq!(memory.bytes_in(&parts), (1 << 19) + 10);
        assert_eq!(memory.bytes_in(&[whole.slice(7..9), slice(&other, 5), whole.slice(..1)]), 8);
    }
}
