//! The four latencies of a run, and what may be said of them.
//!
//! ```text
//!   intended        sent              acknowledged      consumed
//!      │  schedule   │     service         │               │
//!      │    delay    │                     │               │
//!      └──────────── response ─────────────┘               │
//!      └──────────────────── end to end ───────────────────┘
//! ```
//!
//! Response and end to end begin when a record was *due*: a broker that stalls makes records wait to be sent,
//! and that wait is its own doing. Service alone hides it (coordinated omission). Histograms of threads and
//! windows are merged; percentiles are never averaged. A percentile is given with at least
//! [`EXCEEDANCES_MIN`] observations above it, with the interval that its order statistics allow.

use std::sync::LazyLock;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::limits::{EXCEEDANCES_MIN, LATENCY_NS_MAX};

/// Significant decimal digits of a recorded value.
const DIGITS: u8 = 3;
/// Of a two-sided interval with 95 % confidence.
const NORMAL_QUANTILE: f64 = 1.96;

/// Which latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Latency {
    ScheduleDelay,
    Service,
    Response,
    EndToEnd,
}

impl Latency {
    pub const ALL: [Self; 4] = [Self::ScheduleDelay, Self::Service, Self::Response, Self::EndToEnd];

    /// As in file names, JSON and workload files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ScheduleDelay => "schedule_delay",
            Self::Service => "service",
            Self::Response => "response",
            Self::EndToEnd => "end_to_end",
        }
    }
}

/// Nanoseconds of each of the four.
#[derive(Clone, Debug, Default)]
pub struct Histograms {
    /// Each is a quarter of a megabyte, and most threads record one or three of the four.
    of: [Option<Histogram<u64>>; 4],
    /// Times that each was recorded: records that were sent as one are one observation, however many they are.
    observations: [u64; 4],
}

static EMPTY: LazyLock<Histogram<u64>> = LazyLock::new(empty);

impl Histograms {
    #[must_use]
    pub fn get(&self, latency: Latency) -> &Histogram<u64> {
        self.of[latency as usize].as_ref().unwrap_or(&EMPTY)
    }

    /// How often it was recorded. The records of one batch have one latency, and vouch for it once.
    #[must_use]
    pub const fn observations(&self, latency: Latency) -> u64 {
        self.observations[latency as usize]
    }

    /// `count` records that had the same latency; beyond an hour it is an hour.
    pub fn record(&mut self, latency: Latency, nanoseconds: u64, count: u64) {
        let value = nanoseconds.clamp(1, LATENCY_NS_MAX);
        self.observations[latency as usize] += 1;
        self.of[latency as usize]
            .get_or_insert_with(empty)
            .record_n(value, count)
            .expect("the value is within the histogram's bounds");
    }

    /// Records that were due, sent and acknowledged at these times.
    pub fn record_acknowledged(&mut self, times: Acknowledged, count: u64) {
        self.record(Latency::ScheduleDelay, times.sent_ns.saturating_sub(times.intended_ns), count);
        self.record(Latency::Service, times.acknowledged_ns.saturating_sub(times.sent_ns), count);
        self.record(
            Latency::Response,
            times.acknowledged_ns.saturating_sub(times.intended_ns),
            count,
        );
    }

    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.of.iter_mut().zip(&other.of) {
            if let Some(theirs) = theirs {
                let mine = mine.get_or_insert_with(empty);
                mine.add(theirs).expect("all histograms have the same bounds");
            }
        }
        for (mine, theirs) in self.observations.iter_mut().zip(&other.observations) {
            *mine += theirs;
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.of.iter().flatten().all(Histogram::is_empty)
    }
}

/// Three times of one record, in nanoseconds of the run's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    pub intended_ns: u64,
    pub sent_ns: u64,
    pub acknowledged_ns: u64,
}

/// A percentile that the samples support.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Percentile {
    pub percent: f64,
    pub nanoseconds: u64,
    /// 95 % interval from order statistics. It takes observations for independent: neighbours in time are not,
    /// so ratios between runs have intervals of their own.
    pub from_nanoseconds: u64,
    pub to_nanoseconds: u64,
}

impl Histograms {
    /// `None` where fewer than [`EXCEEDANCES_MIN`] observations lie beyond.
    #[must_use]
    pub fn percentile(&self, latency: Latency, percent: f64) -> Option<Percentile> {
        let (histogram, observations) = (self.get(latency), self.observations(latency) as f64);
        let share = percent / 100.0;
        if observations * (1.0 - share) + 1e-6 < EXCEEDANCES_MIN as f64 {
            return None;
        }
        let spread = NORMAL_QUANTILE * (share * (1.0 - share) / observations).sqrt();
        let at = |quantile: f64| histogram.value_at_quantile(quantile.clamp(0.0, 1.0));
        Some(Percentile {
            percent,
            nanoseconds: at(share),
            from_nanoseconds: at(share - spread),
            to_nanoseconds: at(share + spread),
        })
    }

    #[must_use]
    pub fn summary(&self, latency: Latency) -> Option<Summary> {
        let histogram = self.get(latency);
        (!histogram.is_empty()).then(|| Summary {
            samples: histogram.len(),
            observations: self.observations(latency),
            mean_nanoseconds: histogram.mean(),
            max_nanoseconds: histogram.max(),
            percentiles: PERCENTS
                .iter()
                .filter_map(|percent| self.percentile(latency, *percent))
                .collect(),
        })
    }
}

/// What is said of one latency.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Records.
    pub samples: u64,
    /// Of which so many were measured apart from each other.
    pub observations: u64,
    pub mean_nanoseconds: f64,
    pub max_nanoseconds: u64,
    /// Those that the observations support, upwards.
    pub percentiles: Vec<Percentile>,
}

/// What reports show.
pub const PERCENTS: [f64; 6] = [50.0, 90.0, 99.0, 99.9, 99.99, 99.999];

fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, DIGITS).expect("the bounds are constant")
}

#[cfg(test)]
mod tests {
    use super::{Acknowledged, Histograms, Latency};
    use crate::schedule::{Arrival, Schedule};

    const MILLISECOND: u64 = 1_000_000;

    fn filled(values: impl Iterator<Item = u64>) -> Histograms {
        let mut histograms = Histograms::default();
        values.for_each(|value| histograms.record(Latency::Response, value, 1));
        histograms
    }

    #[test]
    fn a_percentile_needs_ten_samples_beyond_it() {
        let thousand = filled(1..=1_000);
        let at = |percent| thousand.percentile(Latency::Response, percent);
        assert!(at(99.0).is_some(), "ten lie beyond");
        assert!(at(99.1).is_none(), "nine lie beyond");
        let shown = thousand.summary(Latency::Response).unwrap();
        assert_eq!(shown.samples, 1_000);
        assert_eq!(shown.percentiles.last().unwrap().percent, 99.0);
        assert!(thousand.summary(Latency::Service).is_none());
    }

    #[test]
    fn a_batch_vouches_for_its_latency_once() {
        let mut histograms = Histograms::default();
        (0..100).for_each(|at| histograms.record(Latency::Response, 1_000 + at, 1_000));
        let summary = histograms.summary(Latency::Response).unwrap();
        assert_eq!((summary.samples, summary.observations), (100_000, 100));
        assert_eq!(summary.percentiles.last().unwrap().percent, 90.0, "ten batches lie beyond");
    }

    #[test]
    fn the_interval_of_a_percentile_holds_it_and_narrows_with_samples() {
        let width = |samples: u64| {
            // The same distribution, 1 to 1,000 µs, however many samples.
            let histograms = filled((0..samples).map(|at| 1_000 * (1 + at * 1_000 / samples)));
            let found = histograms.percentile(Latency::Response, 90.0).unwrap();
            assert!(found.from_nanoseconds <= found.nanoseconds);
            assert!(found.nanoseconds <= found.to_nanoseconds);
            found.to_nanoseconds - found.from_nanoseconds
        };
        assert!(width(1_000) > 3 * width(100_000));
    }

    #[test]
    fn merging_is_not_averaging() {
        // 90 % of the samples are fast; the mean of the two medians would be 50 ms.
        let mut all = filled((0..9_000).map(|_| MILLISECOND));
        all.merge(&filled((0..1_000).map(|_| 99 * MILLISECOND)));
        let median = all.percentile(Latency::Response, 50.0).unwrap();
        assert!(median.nanoseconds.abs_diff(MILLISECOND) < MILLISECOND / 100);
        assert_eq!(all.get(Latency::Response).len(), 10_000);
    }

    #[test]
    fn values_beyond_the_bounds_are_kept_at_them() {
        let histograms = filled([0, u64::MAX].into_iter());
        assert_eq!(histograms.get(Latency::Response).len(), 2);
    }

    /// A server with one place that stops for a second in a run of ten, on a virtual clock; the client sends
    /// one record at a time. Every record that was due in the stall waits for it: response shows that, service
    /// shows one slow record.
    #[test]
    fn a_stall_shows_in_the_response_of_an_open_loop_and_hides_from_service() {
        let mut schedule = Schedule::new(Arrival::Constant, 1_000.0, 0, 1);
        let mut histograms = Histograms::default();
        let (stall_from, stall_to) = (4_000 * MILLISECOND, 5_000 * MILLISECOND);
        let mut free_ns = 0;
        for _ in 0..10_000 {
            let intended_ns = schedule.next_ns();
            let sent_ns = intended_ns.max(free_ns);
            let begun_ns =
                if (stall_from..stall_to).contains(&sent_ns) { stall_to } else { sent_ns };
            let acknowledged_ns = begun_ns + MILLISECOND / 10;
            free_ns = acknowledged_ns;
            histograms
                .record_acknowledged(Acknowledged { intended_ns, sent_ns, acknowledged_ns }, 1);
        }
        let at = |latency, percent| histograms.percentile(latency, percent).unwrap().nanoseconds;
        assert!(at(Latency::Service, 99.0) < MILLISECOND);
        assert!(at(Latency::Response, 99.0) > 800 * MILLISECOND, "a tenth of the run stood still");
        assert!(at(Latency::ScheduleDelay, 99.0) > 800 * MILLISECOND);
        assert!(at(Latency::Response, 50.0) < MILLISECOND);
    }
}
