//! From runs to ratios: which value each run has of each metric, and which runs are compared.

use serde_json::Value;

use crate::limits::EXCEEDANCES_MIN;
use crate::results::comparison::{CaseRun, Estimate, Metric, MetricRatio, Pair};
use crate::statistics::{Paired, mean, ratio};

/// A run's value, and how many samples it is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Observed {
    value: f64,
    samples: u64,
}

/// Both runs of a block.
type Both<'a> = (&'a CaseRun, &'a CaseRun);

/// All ratios of two subjects of a case.
pub(super) fn pair(runs: &[CaseRun], a: &str, b: &str) -> Pair {
    let counting = blocks(runs, a, b, &|run| run.counts);
    // Better a figure that is labelled than none.
    let (blocks, label) = if counting.is_empty() {
        (blocks(runs, a, b, &|run| run.report.is_some()), Some("no block is valid"))
    } else {
        (counting, None)
    };
    let ratios = Metric::ALL.iter().filter_map(|metric| ratio_of(*metric, &blocks, label));
    Pair { a: a.to_owned(), b: b.to_owned(), ratios: ratios.collect() }
}

/// The last attempt of each block in which both are usable.
fn blocks<'a>(
    runs: &'a [CaseRun],
    a: &str,
    b: &str,
    is_usable: &dyn Fn(&CaseRun) -> bool,
) -> Vec<Both<'a>> {
    let of = |block: u32, subject: &str| {
        let usable = runs.iter().filter(|run| run.block == block && is_usable(run));
        usable.filter(|run| run.subject == subject).max_by_key(|run| run.attempt)
    };
    let count = runs.iter().map(|run| run.block + 1).max().unwrap_or(0);
    (0..count).filter_map(|block| of(block, a).zip(of(block, b))).collect()
}

/// `None` where the case does not measure it.
fn ratio_of(metric: Metric, blocks: &[Both<'_>], label: Option<&str>) -> Option<MetricRatio> {
    let observed: Vec<(Option<Observed>, Option<Observed>)> =
        blocks.iter().map(|(a, b)| (observe(metric, a), observe(metric, b))).collect();
    let side_a: Vec<Observed> = observed.iter().filter_map(|(a, _)| *a).collect();
    let side_b: Vec<Observed> = observed.iter().filter_map(|(_, b)| *b).collect();
    if side_a.is_empty() && side_b.is_empty() {
        return None;
    }
    let paired: Vec<Paired> = observed
        .iter()
        .filter_map(|(a, b)| Some(Paired { a: (*a)?.value, b: (*b)?.value }))
        .collect();
    let notes: Vec<String> = [
        label.map(str::to_owned),
        (paired.len() < blocks.len()).then(|| missing(metric, paired.len(), blocks.len())),
    ]
    .into_iter()
    .flatten()
    .collect();
    let samples = |side: &[Observed]| side.iter().map(|observed| observed.samples).sum();
    Some(MetricRatio {
        metric,
        unit: metric.unit().to_owned(),
        better: metric.better(),
        a: estimate(&side_a),
        b: estimate(&side_b),
        ratio: ratio(&paired),
        samples_a: samples(&side_a),
        samples_b: samples(&side_b),
        fraction_of_limit_a: None,
        fraction_of_limit_b: None,
        limit: None,
        note: (!notes.is_empty()).then(|| notes.join("; ")),
    })
}

fn missing(metric: Metric, there: usize, blocks: usize) -> String {
    let why = match metric {
        Metric::BrokerCpu
        | Metric::PeakMemory
        | Metric::MemoryWithCache
        | Metric::DeviceBytes
        | Metric::StartUp
        | Metric::FirstAcknowledgement => "not a process that was started here".to_owned(),
        _ => format!("fewer than {EXCEEDANCES_MIN} observations beyond it"),
    };
    format!("{there} of {blocks} blocks: {why}")
}

fn estimate(side: &[Observed]) -> Option<Estimate> {
    mean(&side.iter().map(|observed| observed.value).collect::<Vec<f64>>())
}

fn observe(metric: Metric, run: &CaseRun) -> Option<Observed> {
    let report = run.report.as_ref()?;
    let one = |value: Option<f64>| {
        value.filter(|value| *value > 0.0).map(|value| Observed { value, samples: 1 })
    };
    let rate = |name: &str| one(report["throughput"][name].as_f64());
    let broker = |name: &str| one(report["broker"][name].as_f64());
    match metric {
        Metric::AcknowledgedBytes => rate("acknowledged_bytes_per_second"),
        Metric::ConsumedBytes => rate("consumed_bytes_per_second"),
        Metric::CaughtUpBytes => rate("caught_up_bytes_per_second"),
        Metric::ResponseP50 => percentile(report, "response", 50.0),
        Metric::ResponseP99 => percentile(report, "response", 99.0),
        Metric::ResponseP999 => percentile(report, "response", 99.9),
        Metric::EndToEndP50 => percentile(report, "end_to_end", 50.0),
        Metric::EndToEndP99 => percentile(report, "end_to_end", 99.0),
        Metric::EndToEndP999 => percentile(report, "end_to_end", 99.9),
        Metric::BrokerCpu => broker("cpu_seconds_per_gigabyte"),
        Metric::DeviceBytes => broker("device_bytes_per_byte"),
        Metric::PeakMemory => broker("peak_memory_bytes"),
        Metric::MemoryWithCache => broker("memory_with_cache_bytes"),
        Metric::StartUp => one(run.start_up.map(|start| start.first_metadata_milliseconds)),
        Metric::FirstAcknowledgement => {
            one(run.start_up.map(|start| start.first_acknowledgement_milliseconds))
        }
    }
}

/// In milliseconds. A closed loop's latency is that of its own queue: it is not compared.
fn percentile(report: &Value, latency: &str, percent: f64) -> Option<Observed> {
    if report["load"] != "open" {
        return None;
    }
    let summary = &report["latencies"][latency];
    let percentiles = summary["percentiles"].as_array()?;
    let found = percentiles.iter().find(|found| found["percent"].as_f64() == Some(percent))?;
    let value = found["nanoseconds"].as_f64()? / 1e6;
    Some(Observed { value, samples: summary["samples"].as_u64()? })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::pair;
    use crate::results::comparison::{CaseRun, Metric, MetricRatio, StartUp};

    fn run(subject: &str, block: u32, rate: f64, load: &str) -> CaseRun {
        let report = json!({
            "load": load,
            "throughput": { "acknowledged_bytes_per_second": rate, "consumed_bytes_per_second": 0.0 },
            "latencies": { "response": {
                "samples": 5_000,
                "percentiles": [{ "percent": 99.0, "nanoseconds": 2_000_000 }],
            }, "end_to_end": null },
            "broker": { "cpu_seconds_per_gigabyte": 0.5, "peak_memory_bytes": null },
        });
        CaseRun {
            subject: subject.to_owned(),
            block,
            attempt: 1,
            counts: true,
            reason: None,
            remark: None,
            offered_records_per_second: None,
            start_up: (subject == "a").then_some(StartUp {
                first_metadata_milliseconds: 90.0,
                first_acknowledgement_milliseconds: 100.0,
            }),
            report: Some(report),
            folder: None,
        }
    }

    fn metric(runs: &[CaseRun], metric: Metric) -> Option<MetricRatio> {
        pair(runs, "a", "b").ratios.into_iter().find(|ratio| ratio.metric == metric)
    }

    #[test]
    fn runs_of_one_block_are_compared() {
        let runs = [
            run("a", 0, 300.0, "open"),
            run("b", 0, 100.0, "open"),
            run("b", 1, 10.0, "open"),
            run("a", 1, 30.0, "open"),
        ];
        let found = metric(&runs, Metric::AcknowledgedBytes).unwrap();
        let ratio = found.ratio.unwrap();
        assert!((ratio.mean - 3.0).abs() < 1e-9 && ratio.observations == 2);
        assert!(
            (ratio.to.unwrap() - 3.0).abs() < 1e-9,
            "3 in each block, whatever the machine did"
        );
        let latency = metric(&runs, Metric::ResponseP99).unwrap();
        assert_eq!((latency.a.unwrap().observations, latency.samples_a), (2, 10_000));
        assert!(metric(&runs, Metric::ConsumedBytes).is_none(), "nobody reads");
        assert!(metric(&runs, Metric::EndToEndP99).is_none());
        let start = metric(&runs, Metric::StartUp).unwrap();
        assert!(start.ratio.is_none() && start.a.is_some() && start.note.is_some());
    }

    #[test]
    fn a_closed_loops_latencies_are_not_compared() {
        let runs = [run("a", 0, 3.0, "closed"), run("b", 0, 1.0, "closed")];
        assert!(metric(&runs, Metric::ResponseP99).is_none());
        let one = metric(&runs, Metric::AcknowledgedBytes).unwrap().ratio.unwrap();
        assert_eq!((one.from, one.observations), (None, 1));
    }

    #[test]
    fn what_does_not_count_is_left_out_and_labelled_where_there_is_nothing_else() {
        let mut runs = [
            run("a", 0, 300.0, "open"),
            run("b", 0, 100.0, "open"),
            run("b", 1, 10.0, "open"),
            run("a", 1, 90.0, "open"),
        ];
        runs[0].counts = false;
        let found = metric(&runs, Metric::AcknowledgedBytes).unwrap();
        assert!((found.ratio.unwrap().mean - 9.0).abs() < 1e-9);
        assert_eq!(found.note, None);
        runs[2].counts = false;
        let found = metric(&runs, Metric::AcknowledgedBytes).unwrap();
        assert_eq!(found.ratio.unwrap().observations, 2);
        assert!(found.note.unwrap().contains("no block is valid"));
    }
}
