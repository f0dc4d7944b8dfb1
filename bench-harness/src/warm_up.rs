//! When a warm-up is over.

use crate::collector::Second;
use crate::workload::{OwnKeys, WarmUp};

/// Seconds that are compared.
const WINDOWS: usize = 3;
/// How far they may lie from their mean.
const SPREAD_MAX: f64 = 0.05;
/// A warm-up that does not become stable ends after this many seconds, and the result says so …
const STABLE_SECONDS_MAX: f64 = 30.0;
/// … or, where it has a least time, this much later than that at the earliest.
const STABLE_SECONDS_AFTER_LEAST: f64 = 20.0;

/// The longest that a warm-up takes which lasts `least_seconds` in any case.
#[must_use]
pub fn seconds_max(least_seconds: f64) -> f64 {
    STABLE_SECONDS_MAX.max(least_seconds + STABLE_SECONDS_AFTER_LEAST)
}

/// The shortest warm-up of a workload.
#[must_use]
pub fn shortest(own: &OwnKeys) -> f64 {
    match own.warm_up {
        Some(WarmUp::Seconds(seconds)) => seconds,
        Some(WarmUp::Stable) | None => own.warm_up_seconds_min,
    }
}

/// What a result says of a warm-up that did not become stable.
const UNSETTLED: &str = "throughput and p99 had not settled within 5 % after";

/// That sentence.
#[must_use]
pub fn unsettled(seconds: f64) -> String {
    format!("{UNSETTLED} {seconds} s of warm-up")
}

/// Whether a note is that sentence.
#[must_use]
pub fn is_said_by(note: &str) -> bool {
    note.starts_with(UNSETTLED)
}

/// Whether throughput and p99 of response have settled: the last three seconds lie within 5 % of their means.
/// The first second of a run is never among them.
#[must_use]
pub fn is_stable(seconds: &[Second]) -> bool {
    if seconds.len() < WINDOWS + 1 {
        return false;
    }
    let last = &seconds[seconds.len() - WINDOWS..];
    let within = |values: Vec<f64>| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        mean > 0.0 && values.iter().all(|value| (value / mean - 1.0).abs() <= SPREAD_MAX)
    };
    within(last.iter().map(|second| second.acknowledged_records as f64).collect())
        && within(last.iter().map(|second| second.response_p99_ns as f64).collect())
}

#[cfg(test)]
mod tests {
    use super::is_stable;
    use crate::collector::Collector;
    use crate::histograms::Latency;
    use crate::recorder::{Counts, Window};

    fn stable(rates: &[u64], latency: impl Fn(u64) -> u64) -> bool {
        let mut collector = Collector::new(0);
        for (index, rate) in (0..).zip(rates) {
            let counts = Counts { acknowledged_records: *rate, ..Counts::default() };
            let mut window = Window { index, counts, ..Window::default() };
            window.other.record(Latency::Response, latency(index), *rate);
            collector.add(&window);
        }
        collector.close_until(rates.len() as u64);
        is_stable(&collector.seconds)
    }

    #[test]
    fn three_like_seconds_after_the_first_are_stable() {
        let flat = |_| 1_000_000;
        assert!(stable(&[5, 1000, 1010, 990], flat));
        assert!(!stable(&[1000, 1010, 990], flat), "the first second is among them");
        assert!(!stable(&[5, 1000, 1010, 800], flat));
        assert!(!stable(&[5, 1000, 1000, 1000], |index| 1_000_000 * index));
        assert!(!stable(&[0, 0, 0, 0], flat));
    }
}
