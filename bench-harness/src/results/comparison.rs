//! `compare.json`: brokers side by side, every run behind every figure.
//!
//! ```text
//! Comparison ─┬─ subjects          who was measured: id, version, durability, commands
//!             ├─ control           A/A: one subject against itself, the noise floor (a `Case`)
//!             └─ cases: Case ─┬─ runs: CaseRun    every run of every block, those that do not count too
//!                             └─ pairs: Pair ──── ratios: MetricRatio, with their intervals
//! ```
//!
//! A block is one run of each subject of the case, one after another; every second block goes through them in reverse
//! order (A B, B A, …), so that a machine that becomes faster or slower favours nobody. Each run has a freshly started
//! broker with an empty data directory, and the broker is stopped before the next one starts.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The number in [`Comparison::format`]. Readers refuse others.
pub const COMPARISON_FORMAT: u32 = 1;

/// The whole file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Comparison {
    pub format: u32,
    pub harness_version: String,
    /// The command line of the comparison.
    pub arguments: Vec<String>,
    pub started_unix_seconds: u64,
    /// From the first preparation to the last result.
    pub seconds: f64,
    /// The same value as `machine` in a run's `manifest.json`.
    pub machine: Value,
    /// The folder that held the brokers' data, all on one file system.
    pub data_directory: String,
    pub method: Method,
    pub subjects: Vec<Subject>,
    /// `None` where it was left out or came to nothing; `notes` say why.
    pub control: Option<Case>,
    pub cases: Vec<Case>,
    /// The whole of `limits.json`, where there is one.
    pub limits: Option<Value>,
    /// Why there are no limits, in words.
    pub limits_missing: Option<String>,
    /// What a reader should know, in sentences.
    pub notes: Vec<String>,
}

/// How it was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Method {
    /// Blocks of each case that were asked for.
    pub blocks: u32,
    /// Of each interval, in percent: 95.
    pub confidence_percent: f64,
    /// Of each run; workloads with another duration say so in their reports.
    pub measured_seconds: f64,
    /// A warm-up is over when throughput and p99 have settled, and not before that many seconds.
    pub warm_up_seconds_min: f64,
    /// How it works, in sentences for a report.
    pub sentences: Vec<String>,
}

/// A broker in one mode.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Subject {
    /// Short and without spaces, as in `Case::subjects` and in folders: `corelane-fsync`, `kafka-default`,
    /// `kafka-flush-1`, `address`.
    pub id: String,
    /// For people: `Corelane 0.1.0, fsync`.
    pub name: String,
    pub kind: SubjectKind,
    pub version: Option<String>,
    /// When it acknowledges: `fsync`, `memory`, `default flush`, `flush.messages=1`, `unknown`.
    pub durability: String,
    /// What that means, in one sentence.
    pub durability_explained: String,
    /// How its last process was started; empty for an address.
    pub command: Vec<String>,
    /// What it was configured with, beside the command.
    pub configuration: Vec<(String, String)>,
    /// Properties of topics that its runs set, beside the workload's.
    pub topic_configs: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectKind {
    Corelane,
    Kafka,
    /// Keeps nothing.
    Null,
    /// Somebody else's broker: neither started nor stopped.
    Address,
}

/// One workload at one load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Case {
    /// Short and without spaces, as in folders: `saturate-1k`, `telemetry-1k-half`.
    pub id: String,
    /// For people.
    pub title: String,
    /// The workload's own name.
    pub workload: String,
    /// `closed` (saturation: its latencies are not compared) or `open`.
    pub load: String,
    /// How the rate of an open loop was chosen, in words; runs say what it was.
    pub rate_chosen: Option<String>,
    /// Ids, in the order of the even blocks.
    pub subjects: Vec<String>,
    /// In the order in which they ran.
    pub runs: Vec<CaseRun>,
    pub pairs: Vec<Pair>,
    /// Why the case came to nothing or to less than was asked for, in words.
    pub notes: Vec<String>,
}

/// One start of a broker and what was measured on it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaseRun {
    pub subject: String,
    /// From 0; pairs are made within a block.
    pub block: u32,
    /// From 1; a run that failed or is invalid is repeated, at most twice.
    pub attempt: u32,
    /// Whether it counts in the ratios: it verified and is valid.
    pub counts: bool,
    /// Why it does not count, in words.
    pub reason: Option<String>,
    /// What to mind about one that counts: the broker did not keep up with the rate, the warm-up had not settled.
    #[serde(default)]
    pub remark: Option<String>,
    pub offered_records_per_second: Option<f64>,
    /// `None` for an address.
    pub start_up: Option<StartUp>,
    /// The report as in `result.json`; `None` where there was no result.
    pub report: Option<Value>,
    /// Folder of its files, relative to that of the comparison.
    pub folder: Option<String>,
}

/// From the start of the process. Milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartUp {
    pub first_metadata_milliseconds: f64,
    /// Until a record was acknowledged, in a topic that was made for it.
    pub first_acknowledgement_milliseconds: f64,
}

/// Two subjects of a case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pair {
    /// Ids. A ratio is `a` divided by `b`.
    pub a: String,
    pub b: String,
    /// In the order of [`Metric::ALL`]; metrics that the case does not measure are left out.
    pub ratios: Vec<MetricRatio>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MetricRatio {
    pub metric: Metric,
    pub unit: String,
    pub better: Better,
    /// Geometric means over the runs that count, with their intervals.
    pub a: Option<Estimate>,
    pub b: Option<Estimate>,
    /// `a` divided by `b`, from the ratios within blocks.
    pub ratio: Option<Estimate>,
    /// Samples behind all runs of each side together: records of a latency, runs of anything else.
    pub samples_a: u64,
    pub samples_b: u64,
    /// Of the limit of the machine that applies, each side; `None` with a reason.
    pub fraction_of_limit_a: Option<f64>,
    pub fraction_of_limit_b: Option<f64>,
    /// Which limit it is, or why there is no fraction.
    pub limit: Option<String>,
    /// Why there is no ratio, or what to mind in reading it.
    pub note: Option<String>,
}

/// A geometric mean and its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub mean: f64,
    /// 95 %, Student's t over logarithms. `None` where there is only one observation.
    pub from: Option<f64>,
    pub to: Option<f64>,
    /// Runs, or pairs of runs of one block.
    pub observations: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    Higher,
    Lower,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Keys and values that were acknowledged, bytes a second; of an open loop it is what was offered.
    AcknowledgedBytes,
    ConsumedBytes,
    CaughtUpBytes,
    ResponseP50,
    ResponseP99,
    ResponseP999,
    EndToEndP50,
    EndToEndP99,
    EndToEndP999,
    BrokerCpu,
    DeviceBytes,
    PeakMemory,
    /// Peak memory, and what the machine's page cache grew by in the measured time.
    MemoryWithCache,
    /// Process start until the first metadata answer.
    StartUp,
    /// Process start until the first acknowledged record.
    FirstAcknowledgement,
}

impl Metric {
    pub const ALL: [Self; 15] = [
        Self::AcknowledgedBytes,
        Self::ConsumedBytes,
        Self::CaughtUpBytes,
        Self::ResponseP50,
        Self::ResponseP99,
        Self::ResponseP999,
        Self::EndToEndP50,
        Self::EndToEndP99,
        Self::EndToEndP999,
        Self::BrokerCpu,
        Self::DeviceBytes,
        Self::PeakMemory,
        Self::MemoryWithCache,
        Self::StartUp,
        Self::FirstAcknowledgement,
    ];

    /// As in tables.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::AcknowledgedBytes => "acknowledged",
            Self::ConsumedBytes => "consumed",
            Self::CaughtUpBytes => "caught up",
            Self::ResponseP50 => "response p50",
            Self::ResponseP99 => "response p99",
            Self::ResponseP999 => "response p99.9",
            Self::EndToEndP50 => "end to end p50",
            Self::EndToEndP99 => "end to end p99",
            Self::EndToEndP999 => "end to end p99.9",
            Self::BrokerCpu => "broker CPU",
            Self::DeviceBytes => "device bytes",
            Self::PeakMemory => "peak memory",
            Self::MemoryWithCache => "with page cache",
            Self::StartUp => "start-up",
            Self::FirstAcknowledgement => "first acknowledgement",
        }
    }

    /// Of [`MetricRatio::a`] and [`MetricRatio::b`].
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::AcknowledgedBytes | Self::ConsumedBytes | Self::CaughtUpBytes => "B/s",
            Self::ResponseP50
            | Self::ResponseP99
            | Self::ResponseP999
            | Self::EndToEndP50
            | Self::EndToEndP99
            | Self::EndToEndP999
            | Self::StartUp
            | Self::FirstAcknowledgement => "ms",
            Self::BrokerCpu => "CPU-s/GB",
            Self::DeviceBytes => "B/B",
            Self::PeakMemory | Self::MemoryWithCache => "B",
        }
    }

    #[must_use]
    pub const fn better(self) -> Better {
        match self {
            Self::AcknowledgedBytes | Self::ConsumedBytes | Self::CaughtUpBytes => Better::Higher,
            _ => Better::Lower,
        }
    }
}
