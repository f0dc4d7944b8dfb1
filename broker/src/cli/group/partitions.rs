//! Where a group is in each partition, and how far behind.
//!
//! ```text
//!   log start        committed                    log end
//!       │ read           │ the first unread record    │
//!   ────┼────────────────┼──▪─────────────────────────┼───►  offsets
//!                        ◄────────── lag ─────────────►      in seconds: the age of ▪
//! ```

use std::collections::BTreeMap;

use serde::Serialize;

use super::logs::Logs;
use crate::cli::client::Client;
use crate::cli::client::groups::{Committed, GroupInfo};
use crate::cli::failure::Failure;
use crate::cli::times;

/// What `--help` says of both measures.
pub(super) const LAG_HELP: &str =
    "LAG is the log end less the committed offset, as Kafka's own tools count it; – where nothing is committed.
LAG SECONDS is the age of the first record that is not consumed yet: this machine's clock less the timestamp
of the record at the committed offset. It is 0 where the lag is 0.";

#[derive(Clone, Debug, Serialize)]
pub(super) struct GroupPartition {
    pub(super) topic: String,
    pub(super) partition: i32,
    /// `None`: nothing is committed.
    pub(super) committed_offset: Option<i64>,
    /// `None` where the partition cannot be asked.
    pub(super) log_start_offset: Option<i64>,
    pub(super) log_end_offset: Option<i64>,
    pub(super) lag: Option<i64>,
    pub(super) lag_seconds: Option<f64>,
    pub(super) metadata: String,
    pub(super) owner: Option<Owner>,
}

/// Of what `GroupPartition::cells` gives.
pub(super) const HEADINGS: [&str; 6] =
    ["TOPIC", "PARTITION", "COMMITTED", "LOG END", "LAG", "LAG SECONDS"];

impl GroupPartition {
    /// What every table of partitions shows.
    pub(super) fn cells(&self) -> [String; HEADINGS.len()] {
        [
            self.topic.clone(),
            self.partition.to_string(),
            number(self.committed_offset),
            number(self.log_end_offset),
            number(self.lag),
            seconds(self.lag_seconds),
        ]
    }
}

/// The member that reads a partition.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Owner {
    pub(super) member_id: String,
    pub(super) client_id: String,
    pub(super) host: String,
}

/// Whether timestamps of unread records are worth a read each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    Records,
    RecordsAndSeconds,
}

/// All partitions that the group committed in or reads.
pub(super) fn partitions_of(
    client: &mut Client,
    logs: &mut Logs,
    group: &GroupInfo,
    measure: Measure,
) -> Result<Vec<GroupPartition>, Failure> {
    let committed = client.committed(&group.id, None)?;
    let committed =
        committed.map_err(|refusal| refusal.failure(&format!("group {}", group.id), None))?;
    let committed: BTreeMap<(String, i32), Committed> =
        committed.into_iter().map(|one| ((one.topic.clone(), one.partition), one)).collect();
    let owners = owners_of(group);
    let mut wanted: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in committed.keys().chain(owners.keys()) {
        let partitions = wanted.entry(topic.clone()).or_default();
        if !partitions.contains(partition) {
            partitions.push(*partition);
        }
    }
    logs.look_at(client, &wanted)?;
    let mut found = Vec::new();
    for (topic, mut partitions) in wanted {
        partitions.sort_unstable();
        for partition in partitions {
            let key = (topic.clone(), partition);
            let owner = owners.get(&key).cloned();
            let place = (topic.as_str(), partition);
            found.push(measured(client, logs, place, committed.get(&key), owner, measure)?);
        }
    }
    Ok(found)
}

fn owners_of(group: &GroupInfo) -> BTreeMap<(String, i32), Owner> {
    let mut owners = BTreeMap::new();
    for member in &group.members {
        let owner = Owner {
            member_id: member.member_id.clone(),
            client_id: member.client_id.clone(),
            host: member.host.clone(),
        };
        for (topic, partitions) in &member.partitions {
            for partition in partitions {
                owners.insert((topic.clone(), *partition), owner.clone());
            }
        }
    }
    owners
}

fn measured(
    client: &mut Client,
    logs: &mut Logs,
    (topic, partition): (&str, i32),
    committed: Option<&Committed>,
    owner: Option<Owner>,
    measure: Measure,
) -> Result<GroupPartition, Failure> {
    let log = logs.log(topic, partition);
    let offset = committed.map(|committed| committed.offset);
    let lag = log.zip(offset).map(|(log, offset)| (log.end - offset).max(0));
    let lag_seconds = match (log, offset, lag) {
        (_, _, Some(0)) => Some(0.0),
        (Some(log), Some(offset), Some(_)) if measure == Measure::RecordsAndSeconds => {
            let first = offset.max(log.start);
            logs.time_of(client, topic, partition, first)?.map(age_in_seconds)
        }
        _ => None,
    };
    Ok(GroupPartition {
        topic: topic.to_owned(),
        partition,
        committed_offset: offset,
        log_start_offset: log.map(|log| log.start),
        log_end_offset: log.map(|log| log.end),
        lag,
        lag_seconds,
        metadata: committed.map(|committed| committed.metadata.clone()).unwrap_or_default(),
        owner,
    })
}

/// To the millisecond. A record from the future is not behind.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of 285,000 years fit")]
fn age_in_seconds(timestamp: i64) -> f64 {
    times::now_ms().saturating_sub(timestamp).max(0) as f64 / 1000.0
}

/// Of a group, or of several partitions of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct TotalLag {
    pub(super) lag: i64,
    /// Of the partition that is furthest behind.
    pub(super) lag_seconds: f64,
}

impl TotalLag {
    pub(super) fn of(partitions: &[GroupPartition]) -> Self {
        let lags = partitions.iter().filter_map(|partition| partition.lag);
        let seconds = partitions.iter().filter_map(|partition| partition.lag_seconds);
        Self { lag: lags.sum(), lag_seconds: seconds.fold(0.0, f64::max) }
    }
}

/// As tables show it: one digit behind the point below a minute and a half.
pub(super) fn seconds(seconds: Option<f64>) -> String {
    match seconds {
        None => "–".to_owned(),
        Some(seconds) if seconds < 100.0 => format!("{seconds:.1}"),
        Some(seconds) => format!("{seconds:.0}"),
    }
}

pub(super) fn number(number: Option<i64>) -> String {
    number.map_or_else(|| "–".to_owned(), |number| number.to_string())
}

/// Records that nobody of the group will read any more: they were deleted before.
pub(super) fn lost(partition: &GroupPartition) -> Option<i64> {
    let lost = partition.log_start_offset? - partition.committed_offset?;
    (lost > 0).then_some(lost)
}
