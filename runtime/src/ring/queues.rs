//! How long the queues of a ring are. Since Linux 6.13 they count as locked memory, in whole pages:
//!
//! ```text
//!   submission queue   64 bytes an entry
//!   completion queue   header, 16 bytes a completion, 4 bytes a submission
//! ```

use io_uring::{cqueue, squeue};

use crate::limits::{
    COMPLETIONS_MIN, PAGE_BYTES, QUEUE_HEADER_BYTES, RING_LOCKED_BYTES_MIN, SUBMISSIONS_MAX,
};

/// The lengths of both queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Queues {
    /// Invariant: a power of two, `COMPLETIONS_MIN` or more.
    pub(super) completions: usize,
}

impl Queues {
    /// A place for each operation, as far as that locks no more than `locked_bytes_max`; never less than
    /// the least.
    pub(super) fn within(operations_max: usize, locked_bytes_max: u64) -> Self {
        let completions = operations_max.next_power_of_two().max(COMPLETIONS_MIN);
        let mut queues = Self { completions };
        while queues.locked_bytes() > locked_bytes_max {
            match queues.shorter() {
                Some(shorter) => queues = shorter,
                None => break,
            }
        }
        queues
    }

    pub(super) fn submissions(self) -> usize {
        self.completions.min(SUBMISSIONS_MAX)
    }

    pub(super) fn shorter(self) -> Option<Self> {
        let completions = self.completions / 2;
        (completions >= COMPLETIONS_MIN).then_some(Self { completions })
    }

    pub(super) fn locked_bytes(self) -> u64 {
        let entries = self.submissions() * size_of::<squeue::Entry>();
        let completions = QUEUE_HEADER_BYTES
            + self.completions * size_of::<cqueue::Entry>()
            + self.submissions() * size_of::<u32>();
        let pages = entries.div_ceil(PAGE_BYTES) + completions.div_ceil(PAGE_BYTES);
        (pages * PAGE_BYTES) as u64
    }
}

const _: () = assert!(COMPLETIONS_MIN * size_of::<squeue::Entry>() <= PAGE_BYTES);
const _: () = assert!(
    QUEUE_HEADER_BYTES + COMPLETIONS_MIN * (size_of::<cqueue::Entry>() + size_of::<u32>())
        <= PAGE_BYTES
);
const _: () = assert!(2 * PAGE_BYTES as u64 <= RING_LOCKED_BYTES_MIN);

#[cfg(test)]
mod tests {
    use super::Queues;
    use crate::limits::{COMPLETIONS_MIN, OPERATIONS_MAX};

    /// How many such rings a user with 8 MiB of lockable memory could make on Linux 6.18.
    #[test]
    fn the_kernel_counts_as_many_pages() {
        for (completions, rings) in [
            (64, 1024),
            (128, 682),
            (256, 341),
            (512, 186),
            (1024, 93),
            (2048, 78),
            (4096, 60),
            (16_384, 24),
        ] {
            let queues = Queues { completions };
            assert_eq!((8 << 20) / queues.locked_bytes(), rings, "{completions}");
        }
    }

    #[test]
    fn queues_stay_within_what_may_be_locked() {
        for locked in (0..1 << 19).step_by(4_000) {
            for operations in [1, 64, 65, 1_000, 4_096, OPERATIONS_MAX] {
                let queues = Queues::within(operations, locked);
                assert!(
                    queues.completions >= COMPLETIONS_MIN && queues.completions.is_power_of_two()
                );
                assert!(queues.locked_bytes() <= locked || queues.completions == COMPLETIONS_MIN);
                assert!(queues.completions < 2 * operations.max(COMPLETIONS_MIN));
            }
        }
        assert_eq!(Queues::within(OPERATIONS_MAX, u64::MAX).completions, OPERATIONS_MAX);
    }
}
