//! Where a mapping lies, for whoever has to know whether bytes are in it.

/// The addresses of an arena's memory. Says nothing of its contents and keeps nothing alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryRange {
    start: usize,
    bytes: usize,
}

impl MemoryRange {
    pub(super) fn new(start: *const u8, bytes: usize) -> Self {
        Self { start: start.addr(), bytes }
    }

    /// Whether all of these bytes lie in it.
    pub fn holds(&self, bytes: &[u8]) -> bool {
        // Below the start the distance wraps and is larger than any mapping.
        let distance = bytes.as_ptr().addr().wrapping_sub(self.start);
        distance < self.bytes && bytes.len() <= self.bytes - distance
    }
}
