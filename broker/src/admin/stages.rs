//! `corelane_stage_seconds`: where the time of requests goes, as histograms by shard and stage.

use std::fmt::Write;

use runtime::durations::Durations;

use crate::shard::metrics::ShardSnapshot;

const NAME: &str = "corelane_stage_seconds";

const STAGES: usize = 11;

/// In the order of a request's way: first and last are of all requests, the others of produce requests.
fn stages(snapshot: &ShardSnapshot) -> [(&'static str, &Durations); STAGES] {
    let [queue, decode, hop, admit, journal_wait, durable_write, watermark, hop_back, total] =
        snapshot.shard_metrics.stages.named();
    let socket = ("socket", &snapshot.net.receive);
    let send = ("send", &snapshot.net.send);
    [
        socket,
        queue,
        decode,
        hop,
        admit,
        journal_wait,
        durable_write,
        watermark,
        hop_back,
        total,
        send,
    ]
}

pub(super) fn text(out: &mut String, snapshots: &[ShardSnapshot]) {
    let _ = writeln!(
        out,
        "# HELP {NAME} Where the time of produce requests goes, by stage; socket and send are of all requests, total is \
         from a request's last byte to its response.\n# TYPE {NAME} histogram"
    );
    // Stage by stage, so that whoever reads them in order sees a request's way, whatever each shard has seen of it.
    for at in 0..STAGES {
        for snapshot in snapshots {
            let (stage, durations) = stages(snapshot)[at];
            let labels = format!("shard=\"{}\",stage=\"{stage}\"", snapshot.name);
            one(out, &labels, durations);
        }
    }
}

/// A shard that never saw the stage has no rows of it.
fn one(out: &mut String, labels: &str, durations: &Durations) {
    let count = durations.count();
    if count == 0 {
        return;
    }
    for (end, until) in durations.cumulative() {
        let _ = writeln!(out, "{NAME}_bucket{{{labels},le=\"{}\"}} {until}", end.as_secs_f64());
    }
    let _ = writeln!(out, "{NAME}_bucket{{{labels},le=\"+Inf\"}} {count}");
    let _ = writeln!(out, "{NAME}_sum{{{labels}}} {}", durations.sum().as_secs_f64());
    let _ = writeln!(out, "{NAME}_count{{{labels}}} {count}");
}

#[cfg(test)]
mod tests {
    use runtime::clock::Monotonic;
    use runtime::durations::Durations;

    use super::one;

    #[test]
    fn rows_are_those_of_a_prometheus_histogram() {
        let mut durations = Durations::default();
        for nanos in [1_500, 3_000, 10_000_000_000] {
            durations.record(Monotonic(0), Monotonic(nanos));
        }
        let mut text = String::new();
        one(&mut text, "stage=\"hop\"", &durations);
        let lines: Vec<&str> = text.lines().collect();
        let bucket = |end: &str, count: u64| {
            format!("corelane_stage_seconds_bucket{{stage=\"hop\",le=\"{end}\"}} {count}")
        };
        assert_eq!(lines[..2], [bucket("0.000002048", 1), bucket("0.000004096", 2)]);
        let last = lines.len() - 4;
        assert_eq!(lines[last..last + 2], [bucket("8.589934592", 2), bucket("+Inf", 3)]);
        assert_eq!(
            lines[last + 2..],
            [
                "corelane_stage_seconds_sum{stage=\"hop\"} 10.0000045",
                "corelane_stage_seconds_count{stage=\"hop\"} 3",
            ]
        );
    }

    #[test]
    fn what_never_happened_has_no_rows() {
        let mut text = String::new();
        one(&mut text, "", &Durations::default());
        assert_eq!(text, "");
    }
}
