//! How long something took, counted by powers of two: cheap enough for every request, and small enough that all
//! of them can be copied for whoever shows them.

use std::time::Duration;

use crate::clock::Monotonic;

/// The first bucket ends at 2¹¹ ns, 2 µs: less is not told apart.
const FIRST_BOUND_LOG2: u32 = 11;
/// The last one that has an end, at 2³³ ns, 8.6 s.
const LAST_BOUND_LOG2: u32 = 33;
const BOUNDED: usize = (LAST_BOUND_LOG2 - FIRST_BOUND_LOG2 + 1) as usize;

/// Counts of durations. Each bucket ends at twice the time of the one before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    counts: [u64; BOUNDED],
    beyond: u64,
    sum_ns: u64,
}

impl Durations {
    /// Counts the time between two moments; none where the second is the earlier one.
    pub fn record(&mut self, from: Monotonic, to: Monotonic) {
        let nanos = to.0.saturating_sub(from.0);
        // The exponent of the smallest power of two that is not below it.
        let log2 = u64::BITS - nanos.saturating_sub(1).leading_zeros();
        let at = log2.saturating_sub(FIRST_BOUND_LOG2) as usize;
        match self.counts.get_mut(at) {
            Some(count) => *count += 1,
            None => self.beyond += 1,
        }
        self.sum_ns = self.sum_ns.saturating_add(nanos);
    }

    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.beyond
    }

    #[must_use]
    pub const fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_ns)
    }

    /// Each bucket's end, and how many durations were at most so long; those beyond the last end are only in
    /// [`count`](Self::count).
    pub fn cumulative(&self) -> impl Iterator<Item = (Duration, u64)> {
        let ends = (FIRST_BOUND_LOG2..).map(|log2| Duration::from_nanos(1 << log2));
        let sums = self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        ends.zip(sums)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{BOUNDED, Durations};
    use crate::clock::Monotonic;

    fn recorded(nanos: &[u64]) -> Durations {
        let mut durations = Durations::default();
        for nanos in nanos {
            durations.record(Monotonic(5), Monotonic(5 + nanos));
        }
        durations
    }

    /// In which bucket it is; `None`: behind the last end.
    fn bucket(nanos: u64) -> Option<Duration> {
        recorded(&[nanos]).cumulative().find(|(_, count)| *count > 0).map(|(end, _)| end)
    }

    #[test]
    fn a_duration_is_in_the_first_bucket_that_does_not_end_before_it() {
        let end = |log2: u32| Some(Duration::from_nanos(1 << log2));
        for nanos in [0, 1, 1_000, 2_048] {
            assert_eq!(bucket(nanos), end(11), "{nanos}");
        }
        for (nanos, log2) in [(2_049, 12), (4_096, 12), (4_097, 13), (1 << 33, 33)] {
            assert_eq!(bucket(nanos), end(log2), "{nanos}");
        }
        assert_eq!(bucket((1 << 33) + 1), None);
        assert_eq!(bucket(u64::MAX - 5), None);
    }

    #[test]
    fn all_are_counted_and_summed_and_none_is_negative() {
        let mut durations = recorded(&[10, 3_000, 1 << 40]);
        durations.record(Monotonic(7), Monotonic(3));
        assert_eq!(durations.count(), 4);
        assert_eq!(durations.sum(), Duration::from_nanos(3_010 + (1 << 40)));
        let all: Vec<u64> = durations.cumulative().map(|(_, count)| count).collect();
        assert_eq!((all.len(), all[0], all[1], all[BOUNDED - 1]), (BOUNDED, 2, 3, 3));
    }
}
