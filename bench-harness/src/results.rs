//! What a run leaves behind: one report, and files that other programs read.
//!
//! * `omb`: `omb-result.json`, as the OpenMessaging benchmark's chart script reads it
//! * `hlog`: an interval log of HdrHistogram, one histogram a second and latency
//! * `throughput`: rates and their intervals
//! * `timeseries`: `timeseries.csv`, one line a second
//! * `manifest`: `manifest.json`: machine, versions, seeds, configurations, the command
//! * `comparison`: `compare.json`, brokers side by side
//! * `validity`: whether the machine let the run say something about the broker
//! * `used`: `used.csv`, what broker, client, host and disk used in each second
//! * `distribution`: `distributions.json`, curves and histograms for charts
//! * `folder`: the files in their folder

pub mod comparison;
pub mod distribution;
pub mod folder;
pub mod hlog;
pub mod manifest;
pub mod omb;
pub mod throughput;
pub mod timeseries;
pub mod used;
pub mod validity;

use serde::Serialize;

use crate::accounting::Used;
use crate::bounds::Bound;
use crate::histograms::{Histograms, Latency, Summary};
use crate::verification::Verdict;
use crate::workload::{Slo, Workload};
pub use throughput::Throughput;
pub use validity::Validity;

/// A run that verified. `result.json` is this.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    pub label: String,
    pub workload: Workload,
    pub client: &'static str,
    /// When the broker acknowledges, as it says itself; where it does not say, what the workload asked for.
    pub durability: String,
    /// `open` or `closed`: closed loops' latencies are not comparable.
    pub load: &'static str,
    pub measured_seconds: f64,
    pub warm_up_seconds: f64,
    pub offered_records_per_second: Option<f64>,
    pub throughput: Throughput,
    /// `None`: no limits were given, or none bounds it.
    pub fraction_of_limit: Option<FractionOfLimit>,
    /// The same of readers that began at the beginning.
    pub caught_up_fraction_of_limit: Option<FractionOfLimit>,
    pub latencies: Latencies,
    pub broker: BrokerUse,
    pub used: Used,
    pub verification: Verdict,
    pub validity: Validity,
    pub objective: Option<Objective>,
    pub notes: Vec<String>,
}

/// How much of what the machine, or the client, can do at most was reached.
#[derive(Clone, Debug, Serialize)]
pub struct FractionOfLimit {
    pub fraction: f64,
    #[serde(flatten)]
    pub bound: Bound,
}

/// Of records that were due within the measured time. Nanoseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Latencies {
    pub schedule_delay: Option<Summary>,
    pub service: Option<Summary>,
    pub response: Option<Summary>,
    pub end_to_end: Option<Summary>,
}

impl Latencies {
    #[must_use]
    pub fn of(histograms: &Histograms) -> Self {
        let of = |latency| histograms.summary(latency);
        Self {
            schedule_delay: of(Latency::ScheduleDelay),
            service: of(Latency::Service),
            response: of(Latency::Response),
            end_to_end: of(Latency::EndToEnd),
        }
    }

    #[must_use]
    pub const fn get(&self, latency: Latency) -> Option<&Summary> {
        match latency {
            Latency::ScheduleDelay => self.schedule_delay.as_ref(),
            Latency::Service => self.service.as_ref(),
            Latency::Response => self.response.as_ref(),
            Latency::EndToEnd => self.end_to_end.as_ref(),
        }
    }
}

/// What the broker paid, where its process is on this machine.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct BrokerUse {
    pub process: Option<u32>,
    /// For a gigabyte (10^9 bytes) of keys and values, acknowledged and read taken together.
    pub cpu_seconds_per_gigabyte: Option<f64>,
    pub peak_memory_bytes: Option<u64>,
    /// The same, and what the machine's page cache grew by meanwhile: memory that a broker needs that keeps its newest
    /// records there.
    pub memory_with_cache_bytes: Option<u64>,
    /// Of the whole device until everything was written back, for each byte acknowledged from the measured time on.
    pub device_bytes_per_byte: Option<f64>,
}

/// An objective and what was measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Objective {
    pub slo: Slo,
    /// `None`: too few samples to say.
    pub measured_milliseconds: Option<f64>,
    pub is_met: bool,
}

impl Objective {
    /// Of a latency whose worst samples are missing.
    #[must_use]
    pub const fn unknown(slo: Slo) -> Self {
        Self { slo, measured_milliseconds: None, is_met: false }
    }

    #[must_use]
    pub fn judge(slo: Slo, histograms: &Histograms) -> Self {
        let found = histograms.percentile(slo.latency, slo.percent);
        let measured_milliseconds = found.map(|found| found.nanoseconds as f64 / 1e6);
        let is_met = measured_milliseconds.is_some_and(|measured| measured <= slo.milliseconds);
        Self { slo, measured_milliseconds, is_met }
    }
}

#[cfg(test)]
mod tests {
    use super::Objective;
    use crate::histograms::{Histograms, Latency};
    use crate::workload::Slo;

    #[test]
    fn an_objective_is_met_only_when_the_samples_can_say_so() {
        let slo = Slo { latency: Latency::Response, percent: 99.0, milliseconds: 10.0 };
        let with = |samples, milliseconds: u64| {
            let mut histograms = Histograms::default();
            (0..samples)
                .for_each(|_| histograms.record(Latency::Response, milliseconds * 1_000_000, 1));
            Objective::judge(slo, &histograms)
        };
        assert!(with(1_000, 9).is_met);
        assert!(!with(1_000, 11).is_met);
        let unknown = with(999, 9);
        assert!(!unknown.is_met && unknown.measured_milliseconds.is_none());
    }
}
