//! Many durations to the few figures that may be said of them.

use std::time::Duration;

use serde::Serialize;

use crate::limits::EXCEEDANCES_MIN;

/// Durations of one thing that was done many times. A percentile is there only with ten samples beyond it: with
/// fewer it is the luck of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Samples {
    pub count: u64,
    pub p50_nanoseconds: Option<u64>,
    pub p99_nanoseconds: Option<u64>,
    pub max_nanoseconds: u64,
}

impl Samples {
    #[must_use]
    pub fn of(mut nanoseconds: Vec<u64>) -> Self {
        nanoseconds.sort_unstable();
        let at = |percent: usize| {
            let beyond = nanoseconds.len() * (100 - percent) / 100;
            let index = nanoseconds.len().checked_sub(beyond + 1)?;
            (beyond >= EXCEEDANCES_MIN).then(|| nanoseconds[index])
        };
        Self {
            count: nanoseconds.len() as u64,
            p50_nanoseconds: at(50),
            p99_nanoseconds: at(99),
            max_nanoseconds: nanoseconds.last().copied().unwrap_or(0),
        }
    }
}

/// Saturates after 584 years.
pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::Samples;

    #[test]
    fn a_percentile_needs_ten_samples_beyond_it() {
        let of = |count: u64| Samples::of((1..=count).rev().collect());
        assert_eq!(of(0), Samples::default());
        assert_eq!((of(19).p50_nanoseconds, of(20).p50_nanoseconds), (None, Some(10)));
        assert_eq!((of(999).p99_nanoseconds, of(1_000).p99_nanoseconds), (None, Some(990)));
        assert_eq!(of(1_000).max_nanoseconds, 1_000);
    }
}
