//! One measured limit.

use clap::ValueEnum;
use serde::Serialize;
use tuning::Samples;

/// What a limit is of, in the order of measuring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Sequential bandwidth, and how long a durable write takes.
    Disk,
    /// Copying, CRC32C, system calls, clock, timers.
    Processor,
    /// TCP within this machine.
    Loopback,
    /// What librdkafka reaches where the broker does next to nothing.
    Clients,
}

impl Group {
    pub const ALL: [Self; 4] = [Self::Disk, Self::Processor, Self::Loopback, Self::Clients];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Unit {
    #[serde(rename = "bytes/s")]
    BytesPerSecond,
    #[serde(rename = "records/s")]
    RecordsPerSecond,
    #[serde(rename = "writes/s")]
    WritesPerSecond,
    #[serde(rename = "ns")]
    Nanoseconds,
    #[serde(rename = "%")]
    Percent,
}

/// A figure, and what makes it believable.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Limit {
    /// Stable: `disk.sequential.write`, `disk.durable.dsync.prewritten.4KiB`.
    pub id: String,
    /// Of a latency the median; of the rest the mean over the time of the probe. `None`: too few samples.
    pub value: Option<f64>,
    pub unit: Unit,
    pub samples: u64,
    /// Where single ones were timed. A percentile is there only with ten samples beyond it.
    pub p50_nanoseconds: Option<u64>,
    pub p99_nanoseconds: Option<u64>,
    pub max_nanoseconds: Option<u64>,
    pub how: String,
}

impl Limit {
    pub(super) fn rate(id: &str, unit: Unit, rate: f64, samples: u64, how: &str) -> Self {
        Self {
            id: id.to_owned(),
            value: Some(rate),
            unit,
            samples,
            p50_nanoseconds: None,
            p99_nanoseconds: None,
            max_nanoseconds: None,
            how: how.to_owned(),
        }
    }

    pub(super) fn latency(id: String, samples: &Samples, how: &str) -> Self {
        let median = samples.p50_nanoseconds.map(|nanoseconds| nanoseconds as f64);
        Self { value: median, ..Self::timed(id, Unit::Nanoseconds, 0.0, samples, how) }
    }

    /// A rate of things that were timed one by one.
    pub(super) fn timed(id: String, unit: Unit, rate: f64, samples: &Samples, how: &str) -> Self {
        Self {
            id,
            value: Some(rate),
            unit,
            samples: samples.count,
            p50_nanoseconds: samples.p50_nanoseconds,
            p99_nanoseconds: samples.p99_nanoseconds,
            max_nanoseconds: Some(samples.max_nanoseconds),
            how: how.to_owned(),
        }
    }
}

/// Not a limit but a disturbance: with more than a little of it, the others are too low.
pub(super) fn steal(percent: f64, seconds: f64) -> Limit {
    let how = "time of all CPUs that the hypervisor gave to others while this was measured";
    Limit::rate("machine.steal", Unit::Percent, percent, seconds.ceil() as u64, how)
}
