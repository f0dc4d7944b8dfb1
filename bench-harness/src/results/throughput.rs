//! What was moved in the measured time, with the interval that its seconds leave for the mean.

use serde::Serialize;

use crate::collector::{Phase, Second};
use crate::recorder::Counts;
use crate::statistics::steady_mean;

/// A shorter catching up was none.
const CATCHING_UP_SECONDS_MIN: f64 = 0.001;

/// Means over the measured time.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Throughput {
    pub acknowledged_records_per_second: f64,
    /// Keys and values.
    pub acknowledged_bytes_per_second: f64,
    /// `None`: too few whole seconds.
    pub acknowledged_bytes_interval: Option<RateInterval>,
    pub consumed_records_per_second: f64,
    pub consumed_bytes_per_second: f64,
    pub consumed_bytes_interval: Option<RateInterval>,
    /// Of readers that began at the beginning, until they had seen the end.
    pub caught_up_bytes_per_second: f64,
    /// How long that took. `None`: nobody did, or not within the measured time.
    pub caught_up_seconds: Option<f64>,
    /// Due within the measured time, and not sent even in the time after it.
    pub unsent_records: u64,
}

/// Where the mean lies, 95 %, were this run to go on as it went. It says nothing of another run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RateInterval {
    pub from: f64,
    pub to: f64,
    /// Parts of the measured time that it comes from.
    pub batches: u32,
}

impl Throughput {
    /// `seconds` long was the measured time, of which `series` are the whole seconds.
    #[must_use]
    pub fn of(
        counts: &Counts,
        series: &[Second],
        seconds: f64,
        caught_up_seconds: Option<f64>,
    ) -> Self {
        let rate = |count: u64| count as f64 / seconds;
        Self {
            acknowledged_records_per_second: rate(counts.acknowledged_records),
            acknowledged_bytes_per_second: rate(counts.acknowledged_bytes),
            acknowledged_bytes_interval: interval(series, |second| second.acknowledged_bytes),
            consumed_records_per_second: rate(counts.consumed_records),
            consumed_bytes_per_second: rate(counts.consumed_bytes),
            consumed_bytes_interval: interval(series, |second| second.consumed_bytes),
            // Who has caught up reads what is written: that is no throughput of its own.
            caught_up_bytes_per_second: counts.caught_up_bytes as f64
                / caught_up_seconds.unwrap_or(seconds).clamp(CATCHING_UP_SECONDS_MIN, seconds),
            caught_up_seconds,
            unsent_records: 0,
        }
    }
}

fn interval(series: &[Second], bytes: impl Fn(&Second) -> u64) -> Option<RateInterval> {
    let measured = series.iter().filter(|second| second.phase == Phase::Measuring);
    let rates: Vec<f64> = measured.map(|second| bytes(second) as f64).collect();
    let found = steady_mean(&rates).filter(|_| rates.iter().any(|rate| *rate > 0.0))?;
    // Nothing is slower than nothing.
    Some(RateInterval { from: found.from.max(0.0), ..found })
}

#[cfg(test)]
mod tests {
    use super::Throughput;
    use crate::collector::Collector;
    use crate::recorder::{Counts, Window};

    /// One second of so many bytes for each.
    fn throughput(bytes: &[u64]) -> Throughput {
        let mut collector = Collector::new(1);
        let measured = bytes.len() as u64;
        // Warm-up and draining are not measured, and would show.
        collector.measure(2, 2 + measured);
        for (index, bytes) in [9_999, 9_999].iter().chain(bytes).chain(&[9_999]).enumerate() {
            let counts = Counts { acknowledged_bytes: *bytes, ..Counts::default() };
            let index = index as u64;
            collector.add(&Window { index, counts, ..Window::default() });
        }
        collector.close_until(3 + measured);
        let all = bytes.iter().sum();
        let counts = Counts { acknowledged_bytes: all, ..Counts::default() };
        Throughput::of(&counts, &collector.seconds, measured as f64, None)
    }

    #[test]
    fn the_interval_holds_the_mean_and_is_that_of_the_measured_seconds() {
        let steady = throughput(&[100, 100, 100, 100, 100]);
        let found = steady.acknowledged_bytes_interval.unwrap();
        assert_eq!((found.from, found.to, found.batches), (100.0, 100.0, 5));
        assert_eq!(steady.consumed_bytes_interval, None, "nobody read");
        let unsteady = throughput(&[80, 120, 90, 110, 100]);
        let found = unsteady.acknowledged_bytes_interval.unwrap();
        assert!(found.from < 90.0 && 110.0 < found.to, "{found:?}");
        assert!((found.from + found.to - 200.0).abs() < 1e-6);
    }

    #[test]
    fn three_seconds_say_too_little() {
        assert_eq!(throughput(&[100, 101, 99]).acknowledged_bytes_interval, None);
    }
}
