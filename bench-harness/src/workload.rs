//! What a run does: a file of the OpenMessaging benchmark, unmodified, and our own keys in it.
//!
//! * `yaml`: typed reading of a mapping that says which key is wrong and how
//! * `omb`: the keys of OpenMessaging files
//! * `own`: our keys, below `corelane:`, which OpenMessaging's own program ignores
//! * `shipped`: the workloads inside this binary
//! * `tests`: samples of both kinds of keys
//!
//! Keys of OpenMessaging that are not known are ignored with a note, as that program does; unknown keys of ours
//! are refused, since they are typing errors.

mod omb;
mod own;
pub mod shipped;
#[cfg(test)]
mod tests;
mod yaml;

use std::path::PathBuf;

use serde::Serialize;

pub use own::{
    Acks, ArrivalKind, ClientTier, Durability, EXPLAINED as OWN_KEYS, Grouping, InvalidationRules,
    OwnKeys, Slo, WarmUp, name_of as codec_name,
};
pub use yaml::WorkloadError;

use crate::limits::{PARTITIONS_MAX, PRODUCERS_MAX, STAMP_BYTES};
use yaml::Fields;

/// A workload that was read and checked.
#[derive(Clone, Debug, Serialize)]
pub struct Workload {
    pub name: String,
    pub topics: u32,
    pub partitions_per_topic: u32,
    pub record_bytes: usize,
    pub keys: KeyChoice,
    pub payload: PayloadChoice,
    pub subscriptions_per_topic: u32,
    pub consumers_per_subscription: u32,
    pub producers_per_topic: u32,
    pub rate: Rate,
    /// What is produced before consumers begin.
    pub backlog_bytes: u64,
    pub duration_seconds: f64,
    pub own: OwnKeys,
    /// What was ignored, or is done differently than a file says.
    pub notes: Vec<String>,
}

/// How fast.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "loop")]
pub enum Rate {
    /// All producers together, whatever the broker does.
    Open { records_per_second: f64 },
    /// As fast as acknowledgements come. Its latencies are those of a client that waits: no percentile of it is
    /// comparable with an open loop's.
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum KeyChoice {
    None,
    RoundRobin { count: u32 },
    Uniform { count: u32 },
    Zipf { count: u32 },
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum PayloadChoice {
    Generated { entropy: f64, pool: usize },
    File { path: PathBuf },
}

/// Where a workload's text is from.
pub struct Source<'a> {
    pub text: &'a str,
    /// What `payloadFile` is relative to, beside the working directory.
    pub directory: Option<PathBuf>,
    /// `KEY=VALUE` of the command line: replaces OpenMessaging's keys and ours.
    pub settings: &'a [String],
}

impl Workload {
    pub fn parse(source: &Source<'_>) -> Result<Self, WorkloadError> {
        let mut fields = Fields::parse(source.text)?;
        for setting in source.settings {
            fields.set(setting, &own::KEYS)?;
        }
        let own_fields = fields.mapping("corelane")?;
        let own = own::read(own_fields)?;
        let mut workload = omb::read(&mut fields, own, source.directory.as_deref())?;
        for key in fields.unread() {
            workload.notes.push(format!("{key} is not known here and was ignored"));
        }
        workload.check()?;
        Ok(workload)
    }

    #[must_use]
    pub fn partitions(&self) -> usize {
        self.topics as usize * self.partitions_per_topic as usize
    }

    #[must_use]
    pub fn producers(&self) -> usize {
        self.topics as usize * self.producers_per_topic as usize
    }

    /// Subscriptions that read from the beginning of the run on.
    #[must_use]
    pub const fn is_consumed(&self) -> bool {
        self.subscriptions_per_topic > 0 && self.consumers_per_subscription > 0
    }

    fn check(&self) -> Result<(), WorkloadError> {
        let refuse = |key: &str, why: &str| Err(WorkloadError::new(key, why));
        if self.topics == 0 || self.partitions_per_topic == 0 {
            return refuse(
                "topics",
                "there is nothing to write to; give topics and partitionsPerTopic",
            );
        }
        if self.partitions() > PARTITIONS_MAX {
            return refuse("partitionsPerTopic", "a run has at most 100,000 partitions in all");
        }
        if self.producers() == 0 {
            return refuse("producersPerTopic", "nobody produces; give at least 1");
        }
        if self.producers() >= PRODUCERS_MAX {
            return refuse("producersPerTopic", "a run has at most 65,535 producers in all");
        }
        if self.record_bytes < STAMP_BYTES {
            return refuse(
                "messageSize",
                "a record is told from others by its first 16 bytes; give at least 16",
            );
        }
        if self.duration_seconds <= 0.0 {
            return refuse(
                "testDurationMinutes",
                "a run needs time; give it here or with --duration SECONDS",
            );
        }
        if self.own.idempotence && self.own.acks == Acks::Leader {
            return refuse("corelane.acks", "idempotent producers need acks: all");
        }
        Ok(())
    }
}
