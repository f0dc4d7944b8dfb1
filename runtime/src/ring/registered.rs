//! Arena memory that is registered with the kernel: operations on it skip pinning its pages.

use std::io;
use std::sync::Arc;

use crate::limits::REGISTERED_BUFFER_BYTES_MAX;
use crate::memory::{Arena, Region};
use crate::ring::kernel::Kernel;

/// The registered ranges, by buffer index. Empty: nothing is registered.
pub(super) struct Registered {
    /// First address and length.
    ranges: Vec<(usize, usize)>,
    /// Registered memory must stay mapped while the ring lives.
    regions: Vec<Arc<Region>>,
}

impl Registered {
    pub(super) fn none() -> Self {
        Self { ranges: Vec::new(), regions: Vec::new() }
    }

    /// Registers the first `bytes_max` of each arena.
    pub(super) fn register(
        kernel: &Kernel,
        arenas: &[&Arena],
        bytes_max: usize,
    ) -> io::Result<Self> {
        let mut vectors = Vec::new();
        for arena in arenas {
            let region = arena.region();
            let end = region.bytes().min(bytes_max);
            for offset in (0..end).step_by(REGISTERED_BUFFER_BYTES_MAX) {
                vectors.push(libc::iovec {
                    iov_base: region.base().wrapping_add(offset).cast(),
                    iov_len: (end - offset).min(REGISTERED_BUFFER_BYTES_MAX),
                });
            }
        }
        if vectors.is_empty() {
            return Ok(Self::none());
        }
        // SAFETY: every range lies in a mapping that `regions` keeps; the ring is dropped first.
        unsafe { kernel.submitter().register_buffers(&vectors)? };
        Ok(Self {
            ranges: vectors.iter().map(|part| (part.iov_base as usize, part.iov_len)).collect(),
            regions: arenas.iter().map(|arena| Arc::clone(arena.region())).collect(),
        })
    }

    /// For a ring that could not end its operations.
    pub(super) fn leak(&mut self) {
        std::mem::forget(std::mem::take(&mut self.regions));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The index of the registered buffer that holds all of this range.
    pub(super) fn index_of(&self, address: *const u8, len: usize) -> Option<u16> {
        let address = address as usize;
        let index = self
            .ranges
            .iter()
            .position(|(start, bytes)| address >= *start && address + len <= start + bytes)?;
        Some(u16::try_from(index).expect("a handful of ranges"))
    }
}
