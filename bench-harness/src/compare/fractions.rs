//! Fractions of the machine's limits, for the figures of a comparison that a limit bounds.

use serde_json::Value;

use crate::bounds::{Bound, LIMIT_TOLERANCE};
use crate::results::comparison::{Metric, MetricRatio};
use crate::workload::{Rate, Workload};

/// Fills in what applies, and says why where nothing does.
pub(super) fn fill(
    ratio: &mut MetricRatio,
    workload: &Workload,
    limits: Option<&Value>,
    missing: Option<&str>,
) {
    let Some(limits) = limits else {
        ratio.limit = missing.map(str::to_owned);
        return;
    };
    let Some(bound) = bound_of(ratio.metric, workload, limits) else {
        ratio.limit = Some("no measured limit bounds it".to_owned());
        return;
    };
    let share = |mean: f64| mean / bound.bytes_per_second;
    ratio.fraction_of_limit_a = ratio.a.map(|estimate| share(estimate.mean));
    ratio.fraction_of_limit_b = ratio.b.map(|estimate| share(estimate.mean));
    let is_above = [ratio.fraction_of_limit_a, ratio.fraction_of_limit_b]
        .into_iter()
        .flatten()
        .any(|share| share > LIMIT_TOLERANCE);
    if is_above {
        let means = [ratio.a, ratio.b].into_iter().flatten().map(|estimate| estimate.mean);
        let most = means.fold(0.0, f64::max);
        let why = if bound.is_beyond_stable_storage(most, limits) {
            "more than the disk makes durable: not all of it was when it was acknowledged"
        } else {
            "more than the limit, which was measured apart: the machine was slower then"
        };
        let before = ratio.note.take().map(|note| note + "; ").unwrap_or_default();
        ratio.note = Some(before + why);
    }
    ratio.limit = Some(bound.limit);
}

/// What is offered by an open loop, and what readers make of it, is not bounded by a limit but by the rate.
fn bound_of(metric: Metric, workload: &Workload, limits: &Value) -> Option<Bound> {
    let is_saturated = workload.rate == Rate::Closed;
    match metric {
        Metric::CaughtUpBytes => Bound::of_caught_up(workload, limits),
        Metric::AcknowledgedBytes if is_saturated && !workload.is_consumed() => {
            Bound::of_acknowledged(workload, limits)
        }
        Metric::ConsumedBytes if is_saturated => Bound::of_consumed(workload, limits),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{bound_of, fill};
    use crate::results::comparison::{Estimate, Metric, MetricRatio};
    use crate::workload::{Source, Workload, shipped};

    fn limits() -> Value {
        let limit = |id: &str, value: f64| json!({ "id": id, "value": value });
        json!({ "limits": [
            limit("client.rdkafka.null-broker.1KiB", 1_000.0),
            limit("disk.sequential.durable-write.preallocated", 300.0),
            limit("disk.sequential.read", 900.0),
            limit("loopback.throughput", 500.0),
        ] })
    }

    fn workload(name: &str) -> Workload {
        let text = shipped::find(name).unwrap();
        Workload::parse(&Source { text, directory: None, settings: &[] }).unwrap()
    }

    #[test]
    fn figures_of_a_chosen_rate_have_no_limit() {
        let limits = limits();
        let found = |name: &str, metric| bound_of(metric, &workload(name), &limits);
        let acknowledged = Metric::AcknowledgedBytes;
        assert_eq!(found("saturate-1k", acknowledged).unwrap().bytes_per_second, 1_024_000.0);
        assert_eq!(found("catch-up", Metric::CaughtUpBytes).unwrap().limit, "loopback.throughput");
        assert_eq!(found("telemetry-1k", acknowledged), None, "it is what was offered");
        assert_eq!(found("saturate-1k", Metric::PeakMemory), None);
    }

    #[test]
    fn more_than_the_disk_makes_durable_is_said_to_be_so() {
        let mean = |mean| Some(Estimate { mean, from: None, to: None, observations: 1 });
        let mut ratio = MetricRatio {
            metric: Metric::AcknowledgedBytes,
            unit: "B/s".to_owned(),
            better: Metric::AcknowledgedBytes.better(),
            a: mean(290.0),
            b: mean(900.0),
            ratio: None,
            samples_a: 1,
            samples_b: 1,
            fraction_of_limit_a: None,
            fraction_of_limit_b: None,
            limit: None,
            note: Some("one block".to_owned()),
        };
        fill(&mut ratio, &workload("saturate-raw"), Some(&limits()), None);
        assert_eq!(ratio.fraction_of_limit_b, Some(3.0));
        let note = ratio.note.unwrap();
        assert!(note.starts_with("one block; more than the disk makes durable"), "{note}");
    }
}
