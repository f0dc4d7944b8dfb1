//! Two results side by side: whether they may be compared at all, then each measure with its ratio.
//!
//! Pure: a function of two `result.json` and `manifest.json`, or of two `compare.json` (`comparisons`). Two single runs
//! say less than `compare`, which interleaves many: a difference beyond both intervals is one of these two runs, not yet
//! one of two brokers.

mod comparisons;

use serde::Serialize;
use serde_json::Value;

use crate::histograms::Latency;
use crate::results::comparison::Better;

/// Of the workload, what may differ between comparable runs.
const WORKLOAD_IGNORED: [&str; 6] =
    ["name", "notes", "duration_seconds", "own.duration_seconds", "own.slo", "own.invalidation"];
/// Of the manifest, what must be the same for figures to be comparable, and what it is called.
const MACHINE: [(&str, &str); 13] = [
    ("/machine/cpu_model", "CPU"),
    ("/machine/facts/cpus/allowed", "CPUs"),
    ("/machine/facts/memory/total", "memory"),
    ("/machine/facts/kernel/release", "kernel"),
    ("/machine/clock_source", "clock source"),
    ("/broker/is_local", "whether the broker is on the client's machine"),
    ("/broker/disk/kind", "file system"),
    ("/broker/disk/mount_options", "mount options"),
    ("/broker/disk/disks/0/name", "disk"),
    ("/broker/disk/disks/0/model", "disk's model"),
    ("/broker/disk/disks/0/scheduler", "disk's scheduler"),
    ("/broker/disk/disks/0/write_cache", "disk's write cache"),
    ("/harness/is_optimised", "whether the harness is an optimised build"),
];
/// What is compared may well differ in these.
const VERSIONS: [(&str, &str); 6] = [
    ("/harness/version", "harness"),
    ("/client/librdkafka", "librdkafka"),
    ("/client/producer", "client's configuration"),
    ("/broker/program", "broker's program"),
    ("/broker/program_bytes", "size of the broker's program"),
    ("/broker/arguments", "broker's command"),
];

/// One of two results.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    pub name: &'a str,
    pub result: &'a Value,
    pub manifest: &'a Value,
}

/// `diff --format json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diff {
    pub a: String,
    pub b: String,
    /// Same workload, same machine, and both verified and valid.
    pub is_comparable: bool,
    /// Why it is not, in words.
    pub not_comparable: Vec<String>,
    pub workload: Vec<Difference>,
    pub machine: Vec<Difference>,
    /// What was perhaps to be compared.
    pub versions: Vec<Difference>,
    pub measures: Vec<Measure>,
}

/// A value that is not the same.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    pub what: String,
    pub a: Value,
    pub b: Value,
}

/// One measure of both.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measure {
    pub name: String,
    pub unit: &'static str,
    pub better: Better,
    pub a: f64,
    pub b: f64,
    pub interval_a: Option<(f64, f64)>,
    pub interval_b: Option<(f64, f64)>,
    /// `b` divided by `a`; `None` where `a` is 0.
    pub ratio: Option<f64>,
    /// Whether the intervals have nothing in common; `None` where the results carry none.
    pub is_beyond_intervals: Option<bool>,
}

impl Diff {
    #[must_use]
    pub fn of(a: &Side<'_>, b: &Side<'_>) -> Self {
        let workload = differences_of_workload(a.result, b.result);
        let machine = differences(a.manifest, b.manifest, &MACHINE);
        let mut versions = differences(a.manifest, b.manifest, &VERSIONS);
        versions.extend(differences(a.result, b.result, &[("/durability", "durability")]));
        let mut not_comparable = Vec::new();
        not_comparable.extend(they_differ("workloads", &workload));
        not_comparable.extend(they_differ("machines", &machine));
        for side in [a, b] {
            if side.manifest.is_null() {
                not_comparable
                    .push(format!("{} has no manifest: its machine is unknown", side.name));
            }
            if side.result["verification"]["is_verified"] != Value::Bool(true) {
                not_comparable.push(format!("{} is not verified", side.name));
            }
            if side.result["validity"]["is_valid"] != Value::Bool(true) {
                let reasons = side.result["validity"]["reasons"].as_array().into_iter().flatten();
                let reasons: Vec<&str> = reasons.filter_map(Value::as_str).collect();
                not_comparable.push(format!("{} is not valid: {}", side.name, reasons.join("; ")));
            }
        }
        Self {
            a: a.name.to_owned(),
            b: b.name.to_owned(),
            is_comparable: not_comparable.is_empty(),
            not_comparable,
            workload,
            machine,
            versions,
            measures: measures(a.result, b.result),
        }
    }
}

/// Why figures are not comparable, where anything differs that must not.
fn they_differ<'a>(
    what: &str,
    differences: impl IntoIterator<Item = &'a Difference>,
) -> Option<String> {
    let names: Vec<&str> = differences.into_iter().map(|one| one.what.as_str()).collect();
    (!names.is_empty()).then(|| format!("the {what} differ in {}", names.join(", ")))
}

fn differences(a: &Value, b: &Value, places: &[(&str, &str)]) -> Vec<Difference> {
    let at = |value: &Value, place: &str| value.pointer(place).cloned().unwrap_or(Value::Null);
    let of = |(place, what): &(&str, &str)| {
        let (a, b) = (at(a, place), at(b, place));
        (a != b).then(|| Difference { what: (*what).to_owned(), a, b })
    };
    places.iter().filter_map(of).collect()
}

/// Every key of either workload, with its path. How the client loads the broker is a part of it.
fn differences_of_workload(a: &Value, b: &Value) -> Vec<Difference> {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    leaves("", &a["workload"], &mut left);
    leaves("", &b["workload"], &mut right);
    let find = |leaves: &[(String, Value)], path: &str| {
        leaves.iter().find(|(known, _)| known == path).map(|(_, value)| value.clone())
    };
    let mut paths: Vec<&String> = left.iter().chain(&right).map(|(path, _)| path).collect();
    paths.sort();
    paths.dedup();
    let is_ignored = |path: &str| {
        WORKLOAD_IGNORED.iter().any(|ignored| {
            path == *ignored || path.strip_prefix(ignored).is_some_and(|rest| rest.starts_with('.'))
        })
    };
    let of = |path: &String| {
        let [a, b] = [&left, &right].map(|side| find(side, path).unwrap_or(Value::Null));
        (a != b).then(|| Difference { what: path.clone(), a, b })
    };
    paths.into_iter().filter(|path| !is_ignored(path)).filter_map(of).collect()
}

fn leaves(path: &str, value: &Value, found: &mut Vec<(String, Value)>) {
    let Value::Object(fields) = value else {
        found.push((path.to_owned(), value.clone()));
        return;
    };
    for (key, value) in fields {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        leaves(&path, value, found);
    }
}

/// What both have, in the order in which it matters.
fn measures(a: &Value, b: &Value) -> Vec<Measure> {
    const SCALARS: [(&str, &str, &str, Better); 6] = [
        ("/throughput/acknowledged_bytes_per_second", "acknowledged", "B/s", Better::Higher),
        ("/throughput/consumed_bytes_per_second", "consumed", "B/s", Better::Higher),
        ("/throughput/caught_up_bytes_per_second", "caught up", "B/s", Better::Higher),
        ("/broker/cpu_seconds_per_gigabyte", "broker's CPU", "CPU-s/GB", Better::Lower),
        ("/broker/peak_memory_bytes", "peak memory", "B", Better::Lower),
        ("/broker/device_bytes_per_byte", "device bytes a byte", "B/B", Better::Lower),
    ];
    let is_closed = a["load"] == "closed" || b["load"] == "closed";
    let scalar = |(place, name, unit, better): (&str, &str, &'static str, Better)| {
        // An open loop gets what it offers, second by second: its interval is of the client's clock.
        let interval = |result: &Value| interval_of_rate(result, place).filter(|_| is_closed);
        let at = |result: &Value| Some((number(result, place)?, interval(result)));
        let (a, b) = (at(a)?, at(b)?);
        (a.0 != 0.0 || b.0 != 0.0).then(|| measure(name, unit, better, [a, b]))
    };
    let (throughput, cost) = SCALARS.split_at(3);
    let mut all: Vec<Measure> = throughput.iter().copied().filter_map(scalar).collect();
    // In a closed loop records are due when they are sent: response and schedule delay say nothing.
    let latencies: &[Latency] = if is_closed {
        &[Latency::Service, Latency::EndToEnd]
    } else {
        &[Latency::Response, Latency::EndToEnd, Latency::Service, Latency::ScheduleDelay]
    };
    for latency in latencies {
        for (percent, of_a) in percentiles(a, *latency) {
            let others = percentiles(b, *latency);
            let Some((_, of_b)) = others.into_iter().find(|(other, _)| *other == percent) else {
                continue;
            };
            let name = format!("{} p{percent}", latency.name().replace('_', " "));
            all.push(measure(&name, "ms", Better::Lower, [of_a, of_b]));
        }
    }
    all.extend(cost.iter().copied().filter_map(scalar));
    all
}

fn number(result: &Value, place: &str) -> Option<f64> {
    result.pointer(place).and_then(Value::as_f64)
}

/// Rates have theirs beside them.
fn interval_of_rate(result: &Value, place: &str) -> Option<(f64, f64)> {
    let interval = format!("{}_interval", place.strip_suffix("_per_second")?);
    let at = |end: &str| number(result, &format!("{interval}/{end}"));
    at("from").zip(at("to"))
}

/// A value, and its interval where it has one.
type Estimate = (f64, Option<(f64, f64)>);

fn measure(name: &str, unit: &'static str, better: Better, [a, b]: [Estimate; 2]) -> Measure {
    let beyond = |(a, b): ((f64, f64), (f64, f64))| a.1 < b.0 || b.1 < a.0;
    Measure {
        name: name.to_owned(),
        unit,
        better,
        a: a.0,
        b: b.0,
        interval_a: a.1,
        interval_b: b.1,
        ratio: (a.0 != 0.0).then(|| b.0 / a.0),
        is_beyond_intervals: a.1.zip(b.1).map(beyond),
    }
}

/// Milliseconds by percent.
fn percentiles(result: &Value, latency: Latency) -> Vec<(f64, Estimate)> {
    let all = result["latencies"][latency.name()]["percentiles"].as_array();
    let of = |found: &Value| {
        let milliseconds = |key: &str| found[key].as_f64().map(|nanoseconds| nanoseconds / 1e6);
        let interval = milliseconds("from_nanoseconds").zip(milliseconds("to_nanoseconds"));
        Some((found["percent"].as_f64()?, (milliseconds("nanoseconds")?, interval)))
    };
    all.into_iter().flatten().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Diff, Measure, Side};
    use crate::results::comparison::Better;

    fn result(rate: u32, p99: [u64; 3], is_valid: bool) -> Value {
        json!({
            "load": "open",
            "workload": { "name": "w", "rate": { "records_per_second": rate }, "own": {
                "acks": "all", "duration_seconds": rate, "slo": { "percent": rate } } },
            "throughput": { "acknowledged_bytes_per_second": 100.0,
                "acknowledged_bytes_interval": { "from": 90.0, "to": 110.0, "batches": 10 },
                "consumed_bytes_per_second": 0.0 },
            "latencies": { "response": { "percentiles": [{ "percent": 99.0,
                "nanoseconds": p99[1], "from_nanoseconds": p99[0], "to_nanoseconds": p99[2] }] } },
            "broker": { "peak_memory_bytes": 5 },
            "verification": { "is_verified": true },
            "validity": { "is_valid": is_valid, "reasons": ["steal"] },
        })
    }

    fn machine(kernel: &str, command: &str) -> Value {
        json!({ "machine": { "facts": { "kernel": { "release": kernel } } },
            "broker": { "arguments": [command] } })
    }

    fn diff(a: &(Value, Value), b: &(Value, Value)) -> Diff {
        let side = |name, (result, manifest)| Side { name, result, manifest };
        Diff::of(&side("a", (&a.0, &a.1)), &side("b", (&b.0, &b.1)))
    }

    fn of<'a>(diff: &'a Diff, name: &str) -> &'a Measure {
        diff.measures.iter().find(|measure| measure.name == name).unwrap()
    }

    #[test]
    fn runs_of_one_workload_on_one_machine_are_comparable_whatever_the_broker_is() {
        let a = (result(5, [1_000_000, 2_000_000, 3_000_000], true), machine("6.1", "ours"));
        let b = (result(5, [3_500_000, 4_000_000, 5_000_000], true), machine("6.1", "theirs"));
        let found = diff(&a, &b);
        assert!(found.is_comparable, "{:?}", found.not_comparable);
        assert_eq!(found.versions.len(), 1);
        assert_eq!(found.versions[0].what, "broker's command");
        let p99 = of(&found, "response p99");
        assert_eq!((p99.a, p99.b, p99.ratio), (2.0, 4.0, Some(2.0)));
        assert_eq!((p99.is_beyond_intervals, p99.better), (Some(true), Better::Lower));
        let acknowledged = of(&found, "acknowledged");
        assert_eq!(acknowledged.is_beyond_intervals, None, "it is what was offered");
        assert_eq!(of(&found, "peak memory").is_beyond_intervals, None, "it carries no interval");
        let names: Vec<&str> = found.measures.iter().map(|measure| measure.name.as_str()).collect();
        assert_eq!(names, ["acknowledged", "response p99", "peak memory"], "and nobody consumed");
    }

    #[test]
    fn rates_of_closed_loops_have_intervals() {
        let mut closed = result(5, [1, 2, 3], true);
        closed["load"] = "closed".into();
        let side = (closed, machine("6.1", "ours"));
        let found = diff(&side, &side);
        let acknowledged = of(&found, "acknowledged");
        assert_eq!(acknowledged.interval_a, Some((90.0, 110.0)));
        assert_eq!(acknowledged.is_beyond_intervals, Some(false));
    }

    #[test]
    fn intervals_that_overlap_are_no_difference() {
        let a = (result(5, [1_000_000, 2_000_000, 3_000_000], true), machine("6.1", "ours"));
        let b = (result(5, [2_900_000, 4_000_000, 5_000_000], true), machine("6.1", "ours"));
        assert_eq!(of(&diff(&a, &b), "response p99").is_beyond_intervals, Some(false));
    }

    #[test]
    fn another_workload_machine_or_an_invalid_run_is_not_comparable_and_says_why() {
        let p99 = [1, 2, 3];
        let a = (result(5, p99, true), machine("6.1", "ours"));
        let rate = diff(&a, &(result(6, p99, true), machine("6.1", "ours")));
        assert!(!rate.is_comparable);
        assert_eq!(rate.not_comparable, ["the workloads differ in rate.records_per_second"]);
        let kernel = diff(&a, &(result(5, p99, true), machine("7.0", "ours")));
        assert_eq!(kernel.not_comparable, ["the machines differ in kernel"]);
        let invalid = diff(&a, &(result(5, p99, false), machine("6.1", "ours")));
        assert_eq!(invalid.not_comparable, ["b is not valid: steal"]);
        let unknown = diff(&a, &(result(5, p99, true), Value::Null));
        assert!(unknown.not_comparable.iter().any(|reason| reason.contains("no manifest")));
    }
}
