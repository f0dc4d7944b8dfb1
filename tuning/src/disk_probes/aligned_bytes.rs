//! Memory at an address that direct I/O takes, filled with bytes that no disk compresses.

use crate::limits::PROBE_BLOCK_BYTES;

/// A longer vector, and where in it the aligned part begins: a vector itself begins where the allocator likes.
pub(super) struct AlignedBytes {
    bytes: Vec<u8>,
    begin: usize,
    length: usize,
}

impl AlignedBytes {
    pub(super) fn new(length: usize) -> Self {
        let mut bytes = vec![0; length + PROBE_BLOCK_BYTES];
        // Disks that compress or leave zeroes out would look faster than they are.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for word in bytes.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        Self::within(bytes, length)
    }

    /// Of zeros.
    pub(super) fn zeroed(length: usize) -> Self {
        Self::within(vec![0; length + PROBE_BLOCK_BYTES], length)
    }

    fn within(bytes: Vec<u8>, length: usize) -> Self {
        let begin = bytes.as_ptr().align_offset(PROBE_BLOCK_BYTES);
        Self { bytes, begin, length }
    }

    pub(super) fn get(&self) -> &[u8] {
        &self.bytes[self.begin..self.begin + self.length]
    }

    pub(super) fn get_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.begin..self.begin + self.length]
    }
}
