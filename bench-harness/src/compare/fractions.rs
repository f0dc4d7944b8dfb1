//! Fractions of the machine's limits, for the figures that a limit bounds.
//!
//! | figure | limit |
//! |---|---|
//! | acknowledged by `rdkafka` at saturation, nobody reads | the same client against a broker that keeps nothing |
//! | acknowledged by `raw` at saturation | durable sequential writes or loopback, whichever is lower |
//! | caught up | sequential reads or loopback, whichever is lower |

use serde_json::Value;

use crate::results::comparison::{Metric, MetricRatio};
use crate::workload::{ClientTier, Rate, Workload};

/// Names of limits in `limits.json`, and what they are.
const DURABLE: &str = "disk.sequential.durable-write";
const READ: &str = "disk.sequential.read";
const LOOPBACK: &str = "loopback.throughput";

/// Records whose ceiling is measured.
const CEILINGS: [(usize, &str); 2] =
    [(1024, "client.rdkafka.null-broker.1KiB"), (100, "client.rdkafka.null-broker.100B")];

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
    let Some((limit, name)) = limit_of(ratio.metric, workload, limits) else {
        ratio.limit = Some("no measured limit bounds it".to_owned());
        return;
    };
    ratio.fraction_of_limit_a = ratio.a.map(|estimate| estimate.mean / limit);
    ratio.fraction_of_limit_b = ratio.b.map(|estimate| estimate.mean / limit);
    ratio.limit = Some(name);
}

/// Bytes a second, and which limit it is.
fn limit_of(metric: Metric, workload: &Workload, limits: &Value) -> Option<(f64, String)> {
    let value = |id: &str| {
        let all = limits["limits"].as_array()?;
        all.iter().find(|limit| limit["id"] == id)?["value"].as_f64().filter(|rate| *rate > 0.0)
    };
    let lower = |one: &'static str| {
        let both = [(value(one)?, one), (value(LOOPBACK)?, LOOPBACK)];
        let (limit, id) = both.into_iter().min_by(|a, b| a.0.total_cmp(&b.0))?;
        Some((limit, id.to_owned()))
    };
    let is_saturated = workload.rate == Rate::Closed && !workload.is_consumed();
    match (metric, workload.own.client) {
        (Metric::CaughtUpBytes, _) => lower(READ),
        (Metric::AcknowledgedBytes, ClientTier::Raw) if is_saturated => lower(DURABLE),
        (Metric::AcknowledgedBytes, ClientTier::Rdkafka) if is_saturated => {
            let bytes = workload.record_bytes;
            let (_, id) = CEILINGS.into_iter().find(|(known, _)| *known == bytes)?;
            Some((value(id)? * bytes as f64, id.to_owned()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::limit_of;
    use crate::results::comparison::Metric;
    use crate::workload::{Source, Workload, shipped};

    #[test]
    fn each_figure_has_the_limit_that_bounds_it() {
        let limit = |id: &str, value: f64| json!({ "id": id, "value": value });
        let limits = json!({ "limits": [
            limit("client.rdkafka.null-broker.1KiB", 1_000.0),
            limit("disk.sequential.durable-write", 300.0),
            limit("disk.sequential.read", 900.0),
            limit("loopback.throughput", 500.0),
        ] });
        let found = |name: &str, metric| {
            let text = shipped::find(name).unwrap();
            let source = Source { text, directory: None, settings: &[] };
            limit_of(metric, &Workload::parse(&source).unwrap(), &limits)
        };
        let acknowledged = Metric::AcknowledgedBytes;
        assert_eq!(found("saturate-1k", acknowledged).unwrap().0, 1_024_000.0);
        assert_eq!(found("saturate-raw", acknowledged).unwrap().1, "disk.sequential.durable-write");
        assert_eq!(found("catch-up", Metric::CaughtUpBytes).unwrap().1, "loopback.throughput");
        assert_eq!(found("telemetry-1k", acknowledged), None, "it is what was offered");
        assert_eq!(found("saturate-100b", acknowledged), None, "not measured");
        assert_eq!(found("saturate-1k", Metric::PeakMemory), None);
    }
}
