//! Where topics and groups are, under the names that dashboards for danielqsj's kafka_exporter use, and lag in
//! seconds beside them.
//!
//! Committed offsets are the coordinator's, log ends the owners', and the time of a group's first unread record is
//! read by the record's owner for the answer that shows it.

use std::collections::BTreeMap;
use std::fmt::Write;

use engine::PartitionId;
use protocol::{Offset, Str};

use super::metrics::{gauge, kafka};
use crate::limits::METRICS_PARTITIONS_MAX;
use crate::shard::mail::ShardIndex;
use crate::shard::metrics::{LogSnapshot, ShardSnapshot};

/// A record, by its partition and offset.
pub(crate) type Place = (PartitionId, Offset);

/// When records were written, in milliseconds since 1970; `None` where no reader sees one there.
pub(crate) type Times = BTreeMap<Place, Option<i64>>;

/// A group in one partition.
struct Reading<'a> {
    group: &'a str,
    topic: &'a str,
    partition: i32,
    committed: Offset,
    /// `None`: nobody owns it now.
    log: Option<(ShardIndex, &'a LogSnapshot)>,
}

impl Reading<'_> {
    fn lag(&self) -> Option<i64> {
        let (_, log) = self.log?;
        Some((log.high_watermark.0 - self.committed.0).max(0))
    }

    /// The first record that the group has not consumed and still can.
    fn first_unread(&self) -> Option<(Place, ShardIndex)> {
        let (owner, log) = self.log?;
        let first = self.committed.max(log.log_start);
        (first < log.high_watermark).then_some(((log.id, first), owner))
    }

    fn lag_seconds(&self, times: &Times, now_ms: i64) -> Option<f64> {
        self.log?;
        let Some((place, _)) = self.first_unread() else { return Some(0.0) };
        let written_ms = times.get(&place).copied().flatten()?;
        Some(seconds(now_ms.saturating_sub(written_ms).max(0)))
    }

    fn labels(&self) -> String {
        let Self { group, topic, partition, .. } = self;
        format!(
            "{{consumergroup=\"{}\",topic=\"{}\",partition=\"{partition}\"}}",
            escaped(group),
            escaped(topic)
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of 285,000 years fit")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

fn readings(snapshots: &[ShardSnapshot]) -> Vec<Reading<'_>> {
    let logs = snapshots.iter().flat_map(|shard| shard.logs.iter().map(|log| (shard.shard, log)));
    let logs: BTreeMap<(&str, i32), (ShardIndex, &LogSnapshot)> =
        logs.map(|of| ((of.1.topic.as_str(), of.1.id.partition.0), of)).collect();
    let groups = snapshots.iter().flat_map(|shard| &shard.groups.groups);
    let readings = groups.flat_map(|group| group.offsets.iter().map(move |of| (group, of)));
    let readings = readings.map(|(group, (topic, partition, committed))| Reading {
        group: &group.group,
        topic,
        partition: partition.0,
        committed: *committed,
        log: logs.get(&(topic.as_str(), partition.0)).copied(),
    });
    readings.collect()
}

/// The first unread record of each group and partition, and who owns it.
pub(crate) fn unread(snapshots: &[ShardSnapshot]) -> BTreeMap<Place, ShardIndex> {
    readings(snapshots).iter().filter_map(Reading::first_unread).collect()
}

/// As Prometheus text.
pub(crate) fn text(out: &mut String, snapshots: &[ShardSnapshot], times: &Times, now_ms: i64) {
    let partitions_left_out = topic_rows(out, snapshots);
    let readings = readings(snapshots);
    group_rows(out, snapshots, &readings);
    let family = kafka(
        "consumergroup_lag_seconds",
        "Age of the first record that the group has not consumed yet: the node's clock less the timestamp at which \
         the record's batch begins, which is read for this answer. 0 where nothing is unread; no row where it could \
         not be read.",
    );
    let ages = || readings.iter().map(|one| (one, one.lag_seconds(times, now_ms)));
    family.rows(out, ages().filter_map(|(one, age)| Some((one.labels(), age?))));
    let sum = |of: fn(&ShardSnapshot) -> usize| snapshots.iter().map(of).sum::<usize>();
    let row = |bytes: usize| [(String::new(), bytes)];
    gauge("groups_memory_bytes", "What consumer groups and their offsets take in memory.")
        .rows(out, row(sum(|shard| shard.groups.bytes)));
    gauge(
        "groups_memory_bytes_max",
        "What they may take; new members and offsets are refused from seven eighths of it on.",
    )
    .rows(out, row(sum(|shard| shard.groups.bytes_max)));
    let groups_left_out: usize = snapshots.iter().map(|shard| shard.groups.rows_left_out).sum();
    let times_left_out = ages().filter(|(one, age)| one.log.is_some() && age.is_none()).count();
    let row = |what: &str, count: usize| (format!("{{rows=\"{what}\"}}"), count);
    gauge(
        "metrics_rows_left_out",
        "Partitions that this answer does not show: of groups, of topics, and those whose first unread record was \
         not read. Beyond the limits, or not known in time.",
    )
    .rows(
        out,
        [
            row("consumergroup", groups_left_out),
            row("topic_partition", partitions_left_out),
            row("consumergroup_lag_seconds", times_left_out),
        ],
    );
}

/// Gives how many partitions there was no room for.
fn topic_rows(out: &mut String, snapshots: &[ShardSnapshot]) -> usize {
    let mut logs: Vec<&LogSnapshot> = snapshots.iter().flat_map(|shard| &shard.logs).collect();
    logs.sort_by(|one, other| {
        (&one.topic, one.id.partition).cmp(&(&other.topic, other.id.partition))
    });
    let mut counts: BTreeMap<&Str, usize> = BTreeMap::new();
    for log in &logs {
        *counts.entry(&log.topic).or_default() += 1;
    }
    let shown = logs.len().min(METRICS_PARTITIONS_MAX);
    kafka("brokers", "Brokers of the cluster.").rows(out, [(String::new(), 1)]);
    let counts = counts.into_iter().take(METRICS_PARTITIONS_MAX);
    kafka("topic_partitions", "Partitions of a topic that are online.").rows(
        out,
        counts.map(|(topic, count)| (format!("{{topic=\"{}\"}}", escaped(topic)), count)),
    );
    let rows = |value: fn(&LogSnapshot) -> Offset| {
        logs[..shown].iter().map(move |log| {
            let (topic, partition) = (escaped(&log.topic), log.id.partition);
            (format!("{{topic=\"{topic}\",partition=\"{partition}\"}}"), value(log))
        })
    };
    kafka("topic_partition_current_offset", "Log end offset of a partition, for consumers.")
        .rows(out, rows(|log| log.high_watermark));
    kafka("topic_partition_oldest_offset", "Log start offset of a partition.")
        .rows(out, rows(|log| log.log_start));
    logs.len() - shown
}

fn group_rows(out: &mut String, snapshots: &[ShardSnapshot], readings: &[Reading<'_>]) {
    let groups = snapshots.iter().flat_map(|shard| &shard.groups.groups);
    kafka("consumergroup_members", "Members of a group.").rows(
        out,
        groups.map(|group| {
            (format!("{{consumergroup=\"{}\"}}", escaped(&group.group)), group.members)
        }),
    );
    kafka("consumergroup_current_offset", "Offset that a group committed in a partition.")
        .rows(out, readings.iter().map(|one| (one.labels(), one.committed)));
    kafka("consumergroup_current_offset_sum", "Sum of these over a topic's partitions.")
        .rows(out, sums(readings, |one| Some(one.committed.0)));
    kafka("consumergroup_lag", "Log end offset less committed offset.")
        .rows(out, readings.iter().filter_map(|one| Some((one.labels(), one.lag()?))));
    kafka("consumergroup_lag_sum", "Sum of these over a topic's partitions.")
        .rows(out, sums(readings, Reading::lag));
}

/// By group and topic.
fn sums<'a>(
    readings: &[Reading<'a>],
    value: impl Fn(&Reading<'a>) -> Option<i64>,
) -> Vec<(String, i64)> {
    let mut sums: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for one in readings {
        if let Some(value) = value(one) {
            *sums.entry((one.group, one.topic)).or_default() += value;
        }
    }
    let rows = sums.into_iter().map(|((group, topic), sum)| {
        let (group, topic) = (escaped(group), escaped(topic));
        (format!("{{consumergroup=\"{group}\",topic=\"{topic}\"}}"), sum)
    });
    rows.collect()
}

/// A label's value: group names may have any letters.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str("\\n"),
            _ => {
                let _ = escaped.write_char(letter);
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn a_groups_name_cannot_end_its_label() {
        assert_eq!(escaped("plain-1.x"), "plain-1.x");
        assert_eq!(escaped("a\"} 1\nb\\"), "a\\\"} 1\\nb\\\\");
    }
}
